"""Reset (B11, B12): of one charger, or of all by the policy ``reset``. Yardmaster itself never restarts for it, and says so.

Immediate or OnIdle is each charger's own matter: a 2.x charger waits for the end of its transactions itself, for a 1.6 charger its
side of the hub waits and sends Soft only then (trap 27). So "Scheduled" of one makes it "Scheduled" for all. When the chargers that were reset
are back (or their patience is over) the depot sends a BootNotification with reason RemoteReset, as the CSMS expects after a Reset;
ScheduledReset if one had to wait for its sessions (B12).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from controller.link.depot.asking import (
    BY_POLICY,
    OFFLINE,
    ask_everyone,
    ask_in_time,
    merged,
    no_evse,
    nothing_to_ask,
    place_of,
    refused,
    relayed,
    told,
)
from controller.link.depot.office import Card, FromCsms, Office, Quiet
from controller.ocpp.hub import Conversation, Message

NOTE: Final = "the local controller itself does not restart"
DONE: Final = ("Scheduled", "Accepted")
PATIENCE_S: Final = 180.0
"""So long a charger that resets at once may take to go and come back."""
LONG_PATIENCE_S: Final = 86_400.0
"""The same of one that waits for the end of its sessions."""


@dataclass(slots=True)
class _Wait:
    """For a station. gone: it has lost its connection since it was told."""

    until_mono_s: float
    gone: bool = False


class Resets(Quiet):
    """Reset."""

    def __init__(self, office: Office) -> None:
        self._office = office
        self._awaited: dict[str, _Wait] = {}
        self._reason = ""

    def of_csms(self) -> Mapping[str, FromCsms]:
        """Reset."""
        return {"Reset": self._reset}

    def _reset(self, message: Message) -> Conversation:
        payload = message.payload
        if payload.get("evseId"):
            return (yield from self._one(message))
        if self._office.policy.reset == "refuse":
            return refused("Rejected", BY_POLICY, "this site resets single EVSEs only (depot.reset)")
        if nothing_to_ask(self._office):
            return refused("Rejected", OFFLINE, f"no charger is online; {NOTE}")
        whole = {key: value for key, value in payload.items() if key != "evseId"}
        heard = yield from ask_everyone(self._office, message.action, whole)
        yield from told(self._office, message.action, heard, DONE)
        now_mono_s = self._office.now().mono_s
        patience_s = {"Accepted": PATIENCE_S, "Scheduled": LONG_PATIENCE_S}
        self._awaited = {one.station_id: _Wait(now_mono_s + patience_s[one.status]) for one in heard if one.status in patience_s}
        self._reason = "ScheduledReset" if any(one.status == "Scheduled" for one in heard) else "RemoteReset"
        return merged(heard, DONE, "Rejected", NOTE)

    def station_changed(self, card: Card) -> list[Conversation]:
        """One that was reset has gone, or is back."""
        wait = self._awaited.get(card.station_id)
        if wait is None:
            return []
        if wait.gone and card.linked:
            del self._awaited[card.station_id]
            self._boot_when_all_are_back()
        wait.gone = wait.gone or not card.online
        return []

    def tick(self) -> list[Conversation]:
        """Some do not come back soon, or did not go."""
        now_mono_s = self._office.now().mono_s
        late = [station_id for station_id, wait in self._awaited.items() if now_mono_s >= wait.until_mono_s]
        for station_id in late:
            del self._awaited[station_id]
        if late:
            self._boot_when_all_are_back()
        return []

    def _boot_when_all_are_back(self) -> None:
        if not self._awaited:
            self._office.boot_wanted = self._reason

    def _one(self, message: Message) -> Conversation:
        place = place_of(self._office, message.payload["evseId"])
        if place is None:
            return no_evse("Rejected", message.payload["evseId"])
        card, evse_id = place
        rest = {key: value for key, value in message.payload.items() if key != "evseId"}
        # A charger with one EVSE is that EVSE; one with several judges itself whether it can reset one alone.
        heard = yield from ask_in_time(card, message.action, rest if _is_whole(card) else {**rest, "evseId": evse_id})
        return relayed(heard, "Rejected")


def _is_whole(card: Card) -> bool:
    return card.config is not None and len(card.config.evses) == 1
