"""Reset of a 1.6 station (OCPP-NOTES 12.7): gently first, hard if it does not go down, and OnIdle only when nothing runs (trap 27).

1.6 has no reset that waits. So we answer Scheduled, keep it on disk, and send a Soft reset when the station is truly idle: no
transaction in the book, and every connector has said so since the station is connected.
"""

from __future__ import annotations

from typing import Final

from controller.ocpp.hub import WIRE, Conversation, Emit, Failed, Message, Said
from controller.ocpp.v16.station_state import IN_USE, StationState, ask, hub_error, is_unknown, no
from controller.orders import Severity, Tell

REBOOT_S: Final = 180.0
"""A station that said yes to a Soft reset and is still there after this gets a Hard one."""
ASK_AFTER_S: Final = 30.0
"""A connector that has told no status so long after the wire opened is asked for it."""
TRIES: Final = 3
AGAIN_S: Final = 60.0
"""A station that refuses a reset although it is idle is asked again after this, so often."""
QUIET_S: Final = 15.0
"""So long after the wire opened nobody knows yet what the station still has to tell."""


class Resets:
    """One station's. Memory: "reset" = a reset waits for idle; "reason" = why the next boot happens, in hub words."""

    def __init__(self, state: StationState) -> None:
        self._state = state
        self._hard_due_mono_s: float | None = None
        self._asked: set[int] = set()
        self._sent = False
        self._tries = 0
        self._again_mono_s = float("-inf")
        self._mute = False

    # -- commands ------------------------------------------------------------------------------------------------

    def reset(self, message: Message) -> Conversation:
        """Reset in hub words."""
        kind, evse_id = message.payload.get("type"), message.payload.get("evseId")
        if not self._state.is_whole(evse_id):
            return Said(no("UnsupportedParam", "this station can only be reset as a whole"))
        if kind == "Immediate":
            return (yield from self._now("RemoteReset"))
        if kind != "OnIdle":
            return Said(no("UnsupportedParam", f"{kind} is not known in OCPP 1.6"))
        if self._is_idle():
            return (yield from self._now("ScheduledReset"))
        self._state.memory.put("reset", True)
        self._tries, self._again_mono_s = 0, float("-inf")
        yield from self._state.keep()
        return Said({"status": "Scheduled"})

    def _now(self, reason: str) -> Conversation:
        """Soft; Hard at once where the station has no Soft for us."""
        self._state.memory.put("reset", None)
        return (yield from self._sent_now(reason))

    def _sent_now(self, reason: str) -> Conversation:
        self._state.memory.put("reason", reason)
        yield from self._state.keep()
        for kind in ("Soft", "Hard"):
            reply = yield from ask("Reset", {"type": kind}, WIRE)
            if isinstance(reply, Said) and reply.payload.get("status") == "Accepted":
                self._hard_due_mono_s = self._state.around.now().mono_s + REBOOT_S if kind == "Soft" else None
                return Said({"status": "Accepted"})
        self._state.memory.put("reason", None)
        return hub_error(reply) if isinstance(reply, Failed) and not is_unknown(reply) else Said({"status": "Rejected"})

    def _scheduled(self) -> Conversation:
        """The promised reset. It stays promised until the station takes it; after some refusals a person hears of it."""
        reply = yield from self._sent_now("ScheduledReset")
        done = isinstance(reply, Said) and reply.payload.get("status") == "Accepted"
        self._tries += 1
        if done or self._tries >= TRIES:
            self._state.memory.put("reset", None)
            yield from self._state.keep()
        if not done and self._tries >= TRIES:
            text = f"the reset that was to come when it is idle was refused {TRIES} times - it is given up; reset the charger by hand"
            yield Emit(Tell(Severity.WARNING, self._state.around.name, text))
        self._again_mono_s, self._sent = self._state.around.now().mono_s + AGAIN_S, False
        return reply

    # -- what happens ----------------------------------------------------------------------------------------------

    def opened(self) -> None:
        """The station is there again."""
        self._asked.clear()
        self._sent = False

    def booted(self) -> None:
        """It has started anew: whatever was to be reset is."""
        self._hard_due_mono_s = None
        if self._state.memory.get("reset") is not None:
            self._state.memory.put("reset", None)

    def gone(self) -> None:
        """Its wire is gone: it reboots, or will be seen again."""
        self._hard_due_mono_s = None

    def tick(self) -> list[Conversation]:
        """A second has passed."""
        mono_s = self._state.around.now().mono_s
        if self._hard_due_mono_s is not None and mono_s >= self._hard_due_mono_s:
            self._hard_due_mono_s = None
            return [self._hard()]
        if self._state.memory.get("reset") is None or self._sent:
            return []
        if mono_s >= self._again_mono_s and self._is_idle():
            self._sent = True
            return [self._scheduled()]
        return self._ask_states(mono_s)

    def _hard(self) -> Conversation:
        reply = yield from ask("Reset", {"type": "Hard"}, WIRE)
        return reply

    # -- idle --------------------------------------------------------------------------------------------------------

    def _is_idle(self) -> bool:
        """Nothing runs, as far as the station has said itself since it is connected: what it keeps in its queue is not in our book."""
        state = self._state
        if not state.is_open or state.around.now().mono_s - state.opened_mono_s < QUIET_S or state.busy():
            return False
        return all(self._quiet(connector) for connector in state.evse_ids)

    def _quiet(self, connector: int) -> bool:
        heard = self._state.statuses.get(connector)
        if heard is None and connector in self._asked and self._mute:
            heard = self._state.status(connector)  # it cannot be asked: what it said before its connection broke
        return heard is not None and heard not in IN_USE

    def _ask_states(self, mono_s: float) -> list[Conversation]:
        """Those that have told no status are asked, once a connection."""
        if not self._state.is_open or mono_s - self._state.opened_mono_s < ASK_AFTER_S:
            return []
        silent = [one for one in self._state.evse_ids if one not in self._state.statuses and one not in self._asked]
        self._asked.update(silent)
        return [self._ask_state(connector) for connector in silent]

    def _ask_state(self, connector: int) -> Conversation:
        reply = yield from ask("TriggerMessage", {"requestedMessage": "StatusNotification", "connectorId": connector}, WIRE)
        if not (isinstance(reply, Said) and reply.payload.get("status") == "Accepted"):
            self._mute = True
        return reply
