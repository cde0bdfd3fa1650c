"""Which charging profiles of a CSMS can live side by side at a station, and which of them act on an EVSE (K01, 1.6 5.16).

Pure rules about two profiles, or one and its place; ``profile_view`` keeps the profiles.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Final

from controller.ocpp.dialect import ProfileCriteria
from controller.ocpp.schedule import Profile, ProfileError, Purpose

FOR_EACH: Final = (Purpose.TX_DEFAULT, Purpose.PRIORITY)
"""Purposes that are meant for each EVSE when they are set for EVSE 0."""


Placed = tuple[int, Profile]
"""(evse_id, profile)."""


def as_long_ago(wall_s: float | None, now_wall_s: float, moved_s: float) -> float | None:
    """A moment by a clock that has been set by moved_s; one from before a restart without the time stays as it is."""
    return wall_s if wall_s is None or wall_s > now_wall_s - moved_s else wall_s + moved_s


def check_no_conflict(new: Placed, others: list[Placed]) -> None:
    """Raises ProfileError (DuplicateProfile) if one of the others must not live beside the new one."""
    for other in others:
        if conflict(new, other):
            raise ProfileError("DuplicateProfile", f"profile {other[1].profile_id} has the same purpose and stackLevel")


def takes_place_of(new: Placed, old: Placed) -> bool:
    """1.6: same purpose and stack level at the same connector."""
    return (new[0], new[1].purpose, new[1].stack_level) == (old[0], old[1].purpose, old[1].stack_level)


def conflict(new: Placed, old: Placed) -> bool:
    """Two profiles with different ids that must not live side by side."""
    (new_evse, one), (old_evse, other) = new, old
    if (one.purpose, one.stack_level) != (other.purpose, other.stack_level):
        return False
    if one.purpose is Purpose.TX:
        return one.transaction_id == other.transaction_id  # K01.FR.39
    if one.purpose is Purpose.TX_DEFAULT and new_evse != old_evse:
        return 0 in (new_evse, old_evse)  # K01.FR.52/53
    return new_evse == old_evse and _overlap(one, other)  # K01.FR.06


def _overlap(one: Profile, other: Profile) -> bool:
    return _begin(one) < _end(other) and _begin(other) < _end(one)


def _begin(profile: Profile) -> float:
    return -math.inf if profile.valid_from_wall_s is None else profile.valid_from_wall_s


def _end(profile: Profile) -> float:
    return math.inf if profile.valid_to_wall_s is None else profile.valid_to_wall_s


def expired(profile: Profile, now_wall_s: float) -> bool:
    """Whether its validTo is past (K01.FR.37)."""
    return _end(profile) <= now_wall_s


def meets(placed: Placed, criteria: ProfileCriteria) -> bool:
    """Whether a profile meets all criteria (K09, K10)."""
    evse_id, profile = placed
    return (
        (not criteria.profile_ids or profile.profile_id in criteria.profile_ids)
        and criteria.evse_id in (None, evse_id)
        and criteria.purpose in (None, profile.purpose)
        and criteria.stack_level in (None, profile.stack_level)
    )


def acts_on(owner: int, profile: Profile, evse_id: int, own_defaults: set[int]) -> bool:
    """A station's maximum bounds the sum and so each part of it; a default on EVSE 0 is meant for every EVSE, not for the sum.

    own_defaults: stack levels of the EVSE's own defaults. Beside one of them a station's default of that level counts
    no more (1.6); in 2.x they cannot meet (K01.FR.52/53).
    """
    if owner == 0 and profile.purpose in FOR_EACH:
        return evse_id != 0 and (profile.purpose is Purpose.PRIORITY or profile.stack_level not in own_defaults)
    if profile.purpose is Purpose.LOCAL_GENERATION:
        return owner == evse_id
    return owner in (0, evse_id)


def ranked(external: list[Profile]) -> list[Profile]:
    """Limits of several sources all count, so none may stand above another as a higher stack level would."""
    schedules = tuple(schedule for profile in external for schedule in profile.schedules)
    return [replace(external[0], schedules=schedules)] if external else []
