"""Why a transaction of a 1.6 station begins: the order in which it told cable and card, or a remote start that is waited for (OCPP-NOTES 12.5)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from controller.ocpp.hub import Memory
from controller.ocpp.v16.station_state import StationState

WAITED_S: Final = 600.0
"""A remote start that has not begun by then has timed out at the station (ConnectionTimeOut is shorter)."""
CARDS_KEPT: Final = 16


@dataclass(frozen=True, slots=True)
class Cause:
    """triggerReason of a Started event, and the remote start behind it."""

    trigger: str
    remote_start_id: int | None = None


class Starts:
    """One station's. Remote starts are kept on disk: the station may begin after a restart of ours."""

    def __init__(self, state: StationState) -> None:
        self._state = state
        self._memory: Memory = state.memory
        self._plugged_mono_s: dict[int, float] = {}
        self._card_mono_s: dict[str, float] = {}

    # -- what was seen -------------------------------------------------------------------------------------

    def card(self, id_tag: str) -> None:
        """A driver has held a card before it."""
        self._card_mono_s.pop(id_tag.casefold(), None)
        self._card_mono_s[id_tag.casefold()] = self._state.around.now().mono_s
        for oldest in list(self._card_mono_s)[:-CARDS_KEPT]:
            del self._card_mono_s[oldest]

    def status(self, connector: int, status: str) -> None:
        """A connector has told its status."""
        if status == "Preparing":
            self._plugged_mono_s.setdefault(connector, self._state.around.now().mono_s)
        else:
            self._plugged_mono_s.pop(connector, None)

    # -- remote starts -------------------------------------------------------------------------------------

    def expect(self, connector: int, id_tag: str, remote_start_id: int) -> None:
        """A remote start goes to the station. connector 0: where it likes."""
        self._memory.put(f"remote:{connector}", [remote_start_id, id_tag.casefold(), self._state.around.now().wall_s])

    def forget(self, connector: int) -> None:
        """The station would not."""
        self._memory.put(f"remote:{connector}", None)

    def cause(self, connector: int, id_tag: str) -> Cause:
        """Why a transaction begins there now; a remote start is named once."""
        for place in (connector, 0):
            found = self._memory.get(f"remote:{place}")
            if found is not None and found[1] == id_tag.casefold():
                self._memory.put(f"remote:{place}", None)
                if self._fresh(float(found[2])):
                    return Cause("RemoteStart", int(found[0]))
        plugged, card = self._plugged_mono_s.get(connector), self._card_mono_s.pop(id_tag.casefold(), None)
        card_first = plugged is not None and card is not None and card < plugged
        return Cause("CablePluggedIn" if card_first else "Authorized")

    def _fresh(self, since_wall_s: float) -> bool:
        at = self._state.around.now()
        return at.wall_s - since_wall_s <= WAITED_S * at.wall_speed
