"""What a connected car has said of its phases, as far as it decides which profiles its EVSE takes (2.x).

Limits of single phases are for cars that told theirs phase by phase (K01.FR.142/144, V2X.10); a DC car has no phases, so its EVSE
takes none unless it controls those of its input (K01.FR.44/54). A car that said nothing is taken as an AC car that
told nothing of single phases. An EVSE that has refused our own phases for being DC refuses the CSMS's too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from controller.facts import NeedsAnnounced
from controller.ocpp.profile_support import check_no_phases, check_single_phases
from controller.ocpp.schedule import Profile

Asked = Callable[[int], bool]
"""Something about an EVSE."""


class Cars:
    """Those at one station. input_phases: whether a DC EVSE controls the phases of its input; refuses_phases: whether it has refused ours."""

    __slots__ = ("_input_phases", "_refuses_phases", "_told")

    def __init__(self, input_phases: Asked, refuses_phases: Asked) -> None:
        self._input_phases = input_phases
        self._refuses_phases = refuses_phases
        self._told: dict[int, tuple[bool, bool]] = {}  # EVSE -> (phase by phase, DC)

    def seen(self, needs: NeedsAnnounced) -> bool:
        """A car said what it needs; whether that is news."""
        said = (needs.single_phases, needs.transfer_mode.startswith("DC"))
        news = self._told.get(needs.evse.evse_id, (False, False)) != said
        self._told[needs.evse.evse_id] = said
        return news

    def gone(self, evse_id: int) -> None:
        """Its session is over; the next car speaks for itself. A start forgets nothing: needs may come before it."""
        self._told.pop(evse_id, None)

    def check(self, evse_id: int, profile: Profile) -> None:
        """Raises ProfileError for a profile that the car at an EVSE, or the EVSE itself, cannot follow. evse_id 0: no one in particular."""
        if not evse_id:
            return
        _, is_dc = self._told.get(evse_id, (False, False))
        if (is_dc or self._refuses_phases(evse_id)) and not self._input_phases(evse_id):
            check_no_phases(profile)
        self.check_update(evse_id, profile)

    def check_update(self, evse_id: int, profile: Profile) -> None:
        """The same for one that is here already and gets new values."""
        if evse_id and not self._told.get(evse_id, (False, False))[0]:
            check_single_phases(profile)

    # -- the journal's side ------------------------------------------------------------------------------

    def dump(self) -> list[Any]:
        """As JSON."""
        return [[evse_id, *said] for evse_id, said in self._told.items()]

    def load(self, data: Any) -> None:
        """What ``dump`` gave; what cannot be read was not said."""
        for entry in data if isinstance(data, list) else []:
            match entry:
                case [int(evse_id), bool(by_phase), bool(is_dc)]:
                    self._told[evse_id] = (by_phase, is_dc)
