"""Which transactions run at one station, as its messages tell.

Old news never displaces what runs (F16), an end counts however late it comes (E04), and a
transaction belongs to one station (F14). Where the CSMS names the transaction (1.6) it is booked when
the station has got its name. The picture is kept on disk: after a restart the site knows at once who
charges (P9).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from controller.facts import ChargingState, EvseKey, Fact, SessionChanged, SetpointAnswered, Stamp
from controller.link.downlink import Downlink
from controller.link.profiles import Profiles, Transaction
from controller.link.transaction_ids import FIRST_LOCAL, LAST_LOCAL
from controller.ocpp import rpc
from controller.ocpp.dialect import Dialect, TransactionEvent
from controller.orders import Order, Persist, Severity, Tell

Outcome = Order | Fact

ENDED_KEPT: Final = 16
"""Ids of ended transactions that late messages may still name (trap 9)."""
_DURING_A_SESSION: Final = (ChargingState.CHARGING, ChargingState.SUSPENDED_EV, ChargingState.SUSPENDED_EVSE)


class Running:
    """One station's. phases: EVSE id -> number of its phases. remember: the order that keeps the picture on disk.

    places: transaction -> station, shared by all stations of the same CSMS.
    """

    __slots__ = (
        "_begun",
        "_down",
        "_ended",
        "_phases",
        "_places",
        "_profiles",
        "_remember",
        "_states",
        "_station_id",
        "_unwanted",
        "transactions",
    )

    def __init__(
        self,
        station_id: str,
        phases: Mapping[int, int],
        down: Downlink,
        profiles: Profiles,
        places: dict[str, str],
        remember: Callable[[], Persist],
    ) -> None:
        self._station_id = station_id
        self._phases = phases
        self._down = down
        self._profiles = profiles
        self._places = places
        self._remember = remember
        self._begun: dict[int, str] = {}  # EVSE -> key of the message its transaction began with, "" if not known
        self._ended: dict[str, str] = {}  # transaction -> the same, oldest first
        self._unwanted: set[str] = set()
        self._states: dict[int, ChargingState | None] = {}  # as 1.6 tells them: beside the transaction
        self.transactions: dict[int, Transaction] = {}

    def rewire(self, places: dict[str, str]) -> None:
        """The station has another CSMS from now on: ids are its, and nothing runs."""
        self._places = places
        self._ended.clear()

    def id_at(self, evse_id: int) -> str | None:
        """The transaction that runs at an EVSE."""
        running = self.transactions.get(evse_id)
        return running.transaction_id if running is not None else None

    def ids(self) -> set[str]:
        """All that run."""
        return {running.transaction_id for running in self.transactions.values()}

    def is_over(self, event: TransactionEvent) -> bool:
        """Whether an event is of a transaction whose end has been heard.

        Another start under the id of an old one is none: some count from 1 again after each restart (B28).
        """
        begun = self._ended.get(event.transaction_id)
        another = event.started and not event.offline and event.key not in ("", begun)
        return begun is not None and not another

    def is_foreign(self, event: TransactionEvent) -> bool:
        """Whether an event is of a transaction that runs at another station, and never was here (F14)."""
        transaction_id = event.transaction_id
        other = self._places.get(transaction_id, self._station_id)
        known = other == self._station_id or transaction_id in self.ids() or transaction_id in self._ended
        return not known and not _shared(transaction_id)

    # -- the journal's side ----------------------------------------------------------------------------

    def dump(self) -> dict[str, Any]:
        """As JSON."""
        return {str(evse): {"id": running.transaction_id, "start_wall_s": running.start_wall_s} for evse, running in self.transactions.items()}

    def load(self, data: Any) -> None:
        """What ``dump`` gave. Raises AttributeError, KeyError, TypeError or ValueError for anything else."""
        for key, value in data.items():
            if int(key) in self._phases:
                transaction_id = str(value["id"])
                self.transactions[int(key)] = Transaction(transaction_id, float(value["start_wall_s"]))
                self._places.setdefault(transaction_id, self._station_id)

    # -- what messages tell ------------------------------------------------------------------------------

    def observe(self, at: Stamp, call: rpc.Call, event: TransactionEvent | None, dialect: Dialect) -> list[Outcome]:
        """The neutral facts of a CALL, and what it changes here. event: its transaction, see ``dialect.transaction_event``."""
        place = self._place(event) if event is not None else 0
        facts = dialect.observe(at, self._station_id, call.action, call.payload, place)
        if event is None or not event.transaction_id:
            return self._named(facts) if facts else []
        if self._is_routine(place, event):
            return [*facts]
        if event.started:
            facts = [self._with_state(fact) for fact in facts]
        elif not event.ended and event.transaction_id in self._ended:
            facts = [fact for fact in facts if not isinstance(fact, SessionChanged)]  # a late reading begins nothing anew
        if event.ended and self.id_at(place) == event.transaction_id:
            # However late it comes, the end of the running transaction is news (E04).
            facts = [replace(fact, live=True) if isinstance(fact, SessionChanged) else fact for fact in facts]
        return [*facts, *(self._book(at, place, event) if place in self._phases else [])]

    def _is_routine(self, place: int, event: TransactionEvent) -> bool:
        """Whether nothing but its facts can follow from a message: it goes on with what runs at its EVSE, as nearly all do."""
        running = self.transactions.get(place)
        news = event.started or event.ended or event.remote_start_id is not None or event.transaction_id in self._ended
        return not news and running is not None and running.transaction_id == event.transaction_id

    def _named(self, facts: list[Fact]) -> list[Outcome]:
        """A state told without a transaction (1.6) is that of the one that runs there; where none does it is kept for the next."""
        named: list[Outcome] = []
        for fact in facts:
            if isinstance(fact, SessionChanged) and not fact.transaction_id:
                self._states[fact.evse.evse_id] = fact.charging_state
                running = self.id_at(fact.evse.evse_id)
                named += [] if running is None else [replace(fact, transaction_id=running)]
            else:
                named.append(fact)
        return named

    def _with_state(self, fact: Fact) -> Fact:
        """A start that was told late is no replay if the station says at the same time that there is charging (1.6)."""
        state = self._states.get(fact.evse.evse_id) if isinstance(fact, SessionChanged) else None
        if not isinstance(fact, SessionChanged) or fact.charging_state is not None or state is None:
            return fact
        return replace(fact, charging_state=state, live=fact.live or state in _DURING_A_SESSION)

    def _place(self, event: TransactionEvent) -> int:
        """EVSE of an event: as it says, as its transaction is known, or the only one there is; else 0."""
        known = event.evse_id or self._evse_of(event.transaction_id)
        return known or (next(iter(self._phases)) if len(self._phases) == 1 else 0)

    def _evse_of(self, transaction_id: str) -> int:
        return next((evse for evse, running in self.transactions.items() if running.transaction_id == transaction_id), 0)

    def _book(self, at: Stamp, evse_id: int, event: TransactionEvent) -> list[Outcome]:
        mine = self.id_at(evse_id) == event.transaction_id
        outcomes = [] if mine else self._strange(event.transaction_id)
        if event.ended:
            self._end(evse_id if mine else 0, event.transaction_id)
            return outcomes + (self._forget(at, evse_id) if mine else [])
        if not mine:
            if self.is_over(event) or (evse_id in self.transactions and event.offline):
                return outcomes
            self._begun[evse_id] = event.key
            outcomes += self._begin(at, evse_id, event.transaction_id)
        return [*outcomes, *self._profiles.seen(at, evse_id, event, self.transactions)]

    def _end(self, evse_id: int, transaction_id: str) -> None:
        begun = self._begun.pop(evse_id, self._ended.pop(transaction_id, ""))
        self._ended[transaction_id] = begun
        if len(self._ended) > ENDED_KEPT:
            del self._ended[next(iter(self._ended))]

    def _begin(self, at: Stamp, evse_id: int, transaction_id: str) -> list[Outcome]:
        self._down.transaction_ended(evse_id)
        self._ended.pop(transaction_id, None)
        before = self.id_at(evse_id)
        if before is not None and self._places.get(before) == self._station_id:
            del self._places[before]
        self.transactions[evse_id] = Transaction(transaction_id, at.wall_s)
        self._places.setdefault(transaction_id, self._station_id)
        return [*self._profiles.started(at, evse_id, transaction_id, self.transactions), self._remember()]

    def _strange(self, transaction_id: str) -> list[Outcome]:
        """A transaction belongs to one station (F14). The message passes all the same: upstream it is bound to its own leg."""
        other = self._places.get(transaction_id, self._station_id)
        if other == self._station_id or _shared(transaction_id):
            return []
        text = f"a transaction that runs at {other} is reported here too - one of the two stations is wrong; check their identities"
        return [Tell(Severity.ALARM, self._station_id, text)]

    def _forget(self, at: Stamp, evse_id: int) -> list[Outcome]:
        gone = self.transactions.pop(evse_id)
        if self._places.get(gone.transaction_id) == self._station_id:
            del self._places[gone.transaction_id]
        self._down.transaction_ended(evse_id)
        return [*self._profiles.ended(at, evse_id, gone.transaction_id, self.transactions), self._remember()]

    def lost(self, at: Stamp, outcomes: list[Outcome]) -> list[Outcome]:
        """A station that knows no such transaction has lost it without a word: so do we, and it gets a default next."""
        more: list[Outcome] = []
        for outcome in outcomes:
            if isinstance(outcome, SetpointAnswered) and not outcome.accepted and "TxNotFound" in outcome.reason:
                transaction_id = self.id_at(outcome.evse.evse_id)
                if transaction_id is not None:
                    more.append(SessionChanged(at, outcome.evse, transaction_id, None, ended=True))
                    more += self._forget(at, outcome.evse.evse_id)
        return outcomes + more

    def wall_moved(self, at: Stamp, moved_s: float) -> list[Outcome]:
        """The wall clock has jumped: what began by the old one began as long ago by the new one (F77)."""
        for evse_id, running in list(self.transactions.items()):
            if running.start_wall_s <= at.wall_s - moved_s:  # else it is from before a restart without the time
                self.transactions[evse_id] = replace(running, start_wall_s=running.start_wall_s + moved_s)
        return [self._remember()] if self.transactions else []

    def told(self, at: Stamp) -> list[Outcome]:
        """The station is online: after a restart the site knows of no session, and a station may be silent for a quarter of an hour (P9)."""
        return [
            SessionChanged(at, EvseKey(self._station_id, evse_id), running.transaction_id, None, started=False, ended=False)
            for evse_id, running in self.transactions.items()
        ]

    # -- drivers the CSMS does not accept ------------------------------------------------------------------

    def unwanted(self, at: Stamp, transaction_id: str, online: bool) -> list[Outcome]:
        """The CSMS does not accept the driver of a session that began while it was away (4.4)."""
        if transaction_id not in self.ids():
            return []
        text = "CSMS does not accept the driver of a session that began while it was away - the session is stopped"
        told = Tell(Severity.WARNING, self._station_id, text if online else f"{text} as soon as the station is back")
        self._unwanted.add(transaction_id)
        return [told, *(self.stop_unwanted(at) if online else [])]

    def stop_unwanted(self, at: Stamp) -> list[Outcome]:
        """The station takes commands: stop what still runs of the sessions nobody wants."""
        unwanted, self._unwanted = self._unwanted & self.ids(), set()
        outcomes: list[Outcome] = []
        for transaction_id in sorted(unwanted):
            assert self._down.dialect is not None
            outcomes += self._down.send_own(at, *self._down.dialect.stop_transaction(transaction_id))
        return outcomes


def _shared(transaction_id: str) -> bool:
    """Whether several stations may have this id in 1.6: each has its own local ones, and what is not above 0 means nothing (16E 3.54)."""
    number = int(transaction_id) if transaction_id.removeprefix("-").isdecimal() and len(transaction_id) < 12 else FIRST_LOCAL - 1
    return number <= 0 or FIRST_LOCAL <= number <= LAST_LOCAL
