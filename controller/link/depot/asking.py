"""How parts ask stations, and how the answers of several stations become the one answer of the depot.

Honest means: what was done is said to be done, and who did not do it is named, in the answer's statusInfo (short) and in the
event log. A station that is away is not asked; its answer counts as ``AWAY``.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from controller.link.depot.office import Card, Office
from controller.ocpp.hub import NO_ANSWER, Ask, AskAll, Emit, Failed, Keep, Payload, Reply, Said, Step
from controller.orders import Severity, Tell

T = TypeVar("T")
Asking = Generator[Step, "Reply | None", T]
"""A piece of a conversation that finds something out; used with ``yield from``."""

AWAY: Final = Failed("GenericError", "charger is offline")
WITHIN_S: Final = 20.0
"""How long a command for several stations waits for the last of them: less than the usual 30 s of a CSMS."""
INFO_LENGTH: Final = 500
"""Of additionalInfo: 2.0.1 takes 512."""
OFFLINE: Final = "StationOffline"
LATE: Final = "Timeout"
PARTLY: Final = "PartlyDone"
BY_POLICY: Final = "NotEnabled"
UNKNOWN_EVSE: Final = "UnknownEvse"
UNKNOWN_TX: Final = "TxNotFound"
UNSUPPORTED: Final = "UnsupportedRequest"


@dataclass(frozen=True, slots=True)
class Heard:
    """What one station answered."""

    station_id: str
    reply: Reply

    @property
    def payload(self) -> Payload:
        """Its answer, {} if it gave none."""
        return self.reply.payload if isinstance(self.reply, Said) else {}

    @property
    def status(self) -> str:
        """Its status, "" if it gave none."""
        return str(self.payload.get("status", ""))

    @property
    def away(self) -> bool:
        """Whether it could not be asked, or nobody knows what became of the question."""
        return self.reply in (AWAY, NO_ANSWER)

    @property
    def unsupported(self) -> bool:
        """Whether it does not know what was asked, in whatever words it says so."""
        if isinstance(self.reply, Failed):
            return self.reply.code in ("NotSupported", "NotImplemented")
        said = self.payload.get("statusInfo")
        return isinstance(said, dict) and said.get("reasonCode") == UNSUPPORTED

    @property
    def words(self) -> str:
        """Its answer for people."""
        if isinstance(self.reply, Failed):
            return self.reply.description if self.away else f"{self.reply.code} {self.reply.description}".strip()
        said = self.payload.get("statusInfo")
        detail = ", ".join(str(said[key]) for key in ("reasonCode", "additionalInfo") if said.get(key)) if isinstance(said, dict) else ""
        return f"{self.status} ({detail})" if detail else self.status


# -- asking ------------------------------------------------------------------------------------------


def ask_one(card: Card, action: str, payload: Payload) -> Asking[Heard]:
    """Ask a station; AWAY if it is not linked."""
    reply: Reply | None = AWAY
    if card.linked:
        reply = yield Ask(action, payload, to=card.station_id)
    return Heard(card.station_id, reply if reply is not None else AWAY)


def ask_in_time(card: Card, action: str, payload: Payload) -> Asking[Heard]:
    """The same for a command whose answer the CSMS waits for: a charger that hangs does not cost the CSMS its answer."""
    (heard,) = yield from ask_each([(card, action, payload)])
    return heard


def ask_each(questions: Sequence[tuple[Card, str, Payload]], within_s: float = WITHIN_S) -> Asking[list[Heard]]:
    """Ask several stations at once; the answers in the order of the questions. Those of one station follow each other."""
    asks = AskAll(tuple(Ask(action, payload, to=card.station_id) for card, action, payload in questions if card.linked), within_s)
    if asks.asks:
        yield asks
    replies = iter(asks.replies)
    return [Heard(card.station_id, next(replies) if card.linked else AWAY) for card, _, _ in questions]


def ask_everyone(office: Office, action: str, payload: Payload) -> Asking[list[Heard]]:
    """Ask all stations of the site file the same."""
    return (yield from ask_each([(card, action, payload) for card in configured(office)]))


def kept(office: Office, before: Mapping[str, Any]) -> Asking[None]:
    """What was changed is on disk, or as it was: the CSMS then hears an error, and nothing comes of it. before: key -> value of the memory."""
    try:
        yield Keep()
    except GeneratorExit:
        for key, value in before.items():
            office.memory.put(key, value)
        raise


def configured(office: Office) -> tuple[Card, ...]:
    """The stations of the site file."""
    return tuple(card for card in office.cards.values() if card.configured)


# -- where things are -----------------------------------------------------------------------------------


def place_of(office: Office, number: Any) -> tuple[Card, int] | None:
    """(card, its own EVSE number) of a number of the depot; None for none, for 0 and for a charger that is no longer in the site file."""
    place = office.place(number) if isinstance(number, int) and not isinstance(number, bool) and number > 0 else None
    return place if place is not None and place[0].configured else None


def numbered(office: Office, station_id: str, evse_id: Any) -> int | None:
    """The depot's number of a station's EVSE, None if it has none."""
    return office.numbering.of(station_id, evse_id) if isinstance(evse_id, int) else None


# -- answering ------------------------------------------------------------------------------------------


def info(code: str, text: str = "") -> Payload:
    """A statusInfo block."""
    return {"statusInfo": {"reasonCode": code, **({"additionalInfo": shortened(text)} if text else {})}}


def shortened(text: str) -> str:
    """A text cut to what every version takes."""
    return text if len(text) <= INFO_LENGTH else f"{text[: INFO_LENGTH - 3]}..."


def refused(status: str, code: str, text: str = "") -> Said:
    """An answer with the action's own "no" and why."""
    return Said({"status": status, **info(code, text)})


def no_evse(status: str, number: Any) -> Said:
    """The answer to a message for an EVSE that this depot does not have."""
    return refused(status, UNKNOWN_EVSE, f"there is no EVSE {number}")


def relayed(heard: Heard, otherwise: str) -> Said:
    """The answer of the one station that was asked; ``otherwise`` is the status if it gave none."""
    if isinstance(heard.reply, Said):
        return heard.reply
    code = LATE if heard.reply == NO_ANSWER else OFFLINE if heard.away else UNSUPPORTED if heard.unsupported else "Unspecified"
    return refused(otherwise, code, f"{heard.station_id}: {heard.words}")


def named(heard: Iterable[Heard]) -> str:
    """Who said what, in one line."""
    return "; ".join(f"{one.station_id}: {one.words}" for one in heard)


def merged(heard: Sequence[Heard], done: Sequence[str], otherwise: str, note: str = "") -> Said:
    """One answer out of several: the first of the statuses ``done`` that any station gave, else ``otherwise``.

    Those that did not do it are named; note: is added to what is said about it.
    """
    missing = [one for one in heard if one.status not in done]
    status = next((status for status in done if any(one.status == status for one in heard)), otherwise)
    text = "; ".join(part for part in (named(missing), note) if part)
    if not missing and not note:
        return Said({"status": status})
    code = PARTLY if missing and len(missing) < len(heard) else OFFLINE if missing and all(one.away for one in missing) else "NoError"
    return refused(status, code if status in done else _why(missing), text)


def _why(missing: Sequence[Heard]) -> str:
    if all(one.away for one in missing):
        return OFFLINE
    codes = {str(one.payload.get("statusInfo", {}).get("reasonCode", "")) for one in missing if isinstance(one.payload.get("statusInfo", {}), dict)}
    return codes.pop() if len(codes) == 1 and "" not in codes else "Unspecified"


def told(office: Office, action: str, heard: Iterable[Heard], done: Sequence[str]) -> list[Emit]:
    """An entry of the event log about the stations that did not do what all were asked for; none if all did."""
    missing = [one for one in heard if one.status not in done]
    if not missing:
        return []
    return [Emit(Tell(Severity.WARNING, office.identity, f"{action} of the CSMS for the whole site was not done at: {named(missing)}"[:1000]))]


def tell(office: Office, severity: Severity, text: str) -> Emit:
    """An entry of the event log."""
    return Emit(Tell(severity, office.identity, text))


def nothing_to_ask(office: Office) -> bool:
    """No station can be asked now."""
    return not any(card.linked for card in configured(office))
