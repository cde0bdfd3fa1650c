"""What upstream believes about the charging profiles of one station.

The station's own stack of profiles belongs to Yardmaster (OCPP-NOTES 5.6), so the CSMS's profiles
are kept here and never sent down. This file judges them as the station would with its state (known
EVSE, running transaction, duplicates: K01.FR.05/06/33/39/52/53), answers from them, and says what
they wish for an EVSE over time. In 1.6 nothing is a duplicate: a profile of the same purpose and stack
level silently replaces the older one of its connector, one for a connector stands in for the station's
default there, and a TxProfile without transaction means the running one (5.16.2-5.16.4, 3.13.1).
It holds limits, not setpoints, and never decides what is charged.

Profile ids live in the CSMS's space alone: one that falls into our own range is stored like any
other, as it never meets ours at the station.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

from controller.facts import LimitStep
from controller.ocpp.dialect import ProfileCriteria
from controller.ocpp.schedule import (
    Kind,
    Profile,
    ProfileError,
    Purpose,
    composite,
    leading_at,
    on_phases,
    profile_from_json,
    profile_to_json,
    without_calendar,
)

OWN_PROFILE_IDS: Final = range(900_000_000, 900_001_000)
"""Ids of the profiles Yardmaster itself writes into stations."""

MAX_PERIODS_IN_ALL: Final = 8192
"""Periods of all profiles of a station together: bounds the time of one ``wish`` (about 0.1 s at worst)."""

Placed = tuple[int, Profile]
"""(evse_id, profile)."""


class ProfileView:
    """The CSMS's profiles of one station. evse_ids: its EVSEs, all > 0. max_profiles: more are refused."""

    __slots__ = ("_evse_ids", "_max_profiles", "_placed", "station_id")

    def __init__(self, station_id: str, evse_ids: Iterable[int], max_profiles: int = 100) -> None:
        self.station_id = station_id
        self._evse_ids = frozenset(evse_ids)
        self._max_profiles = max_profiles
        self._placed: dict[int, Placed] = {}

    def __len__(self) -> int:
        return len(self._placed)

    # -- what the CSMS does -------------------------------------------------------------------------

    def set(self, evse_id: int, profile: Profile, transactions: Mapping[int, str], now_wall_s: float, replaces: bool = False) -> None:
        """Take a profile for an EVSE (0 = station); the same id replaces, wherever it was (K01.FR.05).

        transactions: evse_id -> id of the running transaction. replaces: by the rules of 1.6, see the
        module's text. Raises ProfileError and changes nothing if the station would reject it.
        """
        if replaces and profile.purpose is Purpose.TX and profile.transaction_id is None:
            profile = replace(profile, transaction_id=transactions.get(evse_id))
        self._check_place(evse_id, profile, transactions)
        others = [placed for placed in self._placed.values() if placed[1].profile_id != profile.profile_id]
        if replaces:
            others = [other for other in others if not _takes_place_of((evse_id, profile), other)]
        else:
            _check_no_conflict((evse_id, profile), others)
        living = [placed for placed in others if not _expired(placed[1], now_wall_s)]
        self._check_room([*living, (evse_id, profile)])
        self._placed = {kept.profile_id: (owner, kept) for owner, kept in living} | {profile.profile_id: (evse_id, profile)}

    def clear(self, criteria: ProfileCriteria) -> int:
        """Forget the profiles that meet all criteria (K10); how many they were."""
        chosen = [profile.profile_id for _, profile in self.select(criteria)]
        for profile_id in chosen:
            del self._placed[profile_id]
        return len(chosen)

    def select(self, criteria: ProfileCriteria) -> list[Placed]:
        """(evse_id, profile) that meet all criteria (K09), ordered by EVSE and profile id."""
        chosen = (placed for placed in self._placed.values() if _meets(placed, criteria))
        return sorted(chosen, key=lambda placed: (placed[0], placed[1].profile_id))

    def end_transaction(self, evse_id: int, transaction_id: str) -> None:
        """A transaction is over: its TxProfiles die with it."""
        self._placed = {
            profile_id: placed
            for profile_id, placed in self._placed.items()
            if not (placed[1].purpose is Purpose.TX and placed[0] == evse_id and placed[1].transaction_id == transaction_id)
        }

    # -- what it means ------------------------------------------------------------------------------

    def wish(
        self,
        evse_id: int,
        session_start_wall_s: float | None,
        now_wall_s: float,
        voltage_v: float,
        horizon_s: float = 86_400,
        wall_trusted: bool = True,
        phase_count: int = 3,
    ) -> tuple[tuple[LimitStep, ...], str]:
        """(steps from now on, words for people): limit per phase [A] that the CSMS sets for an EVSE.

        evse_id 0: the station's sum. session_start_wall_s None: as if a session began now. voltage_v:
        nominal, phase to neutral. Without a trusted wall clock what depends on the calendar holds all the
        time with its lowest limit (F78). phase_count: of the EVSE. The words name the profile that limits now, "upstream profile 17".
        """
        own_defaults = {profile.stack_level for owner, profile in self._placed.values() if owner == evse_id and profile.purpose is Purpose.TX_DEFAULT}
        acting = [profile for owner, profile in self._placed.values() if _acts_on(owner, profile, evse_id, own_defaults)]
        profiles = [on_phases(profile, phase_count) for profile in acting]
        if not wall_trusted:
            profiles = [without_calendar(profile, voltage_v) for profile in profiles]
        steps = composite(profiles, now_wall_s, now_wall_s + horizon_s, session_start_wall_s, voltage_v)
        leading = leading_at(profiles, now_wall_s, session_start_wall_s, voltage_v)
        return steps, "no upstream profile" if leading is None else f"upstream profile {leading.profile_id}"

    # -- the journal's side ----------------------------------------------------------------------------

    def dump(self) -> list[Any]:
        """All profiles as JSON-able data."""
        return [{"evse_id": evse_id, "profile": profile_to_json(profile)} for evse_id, profile in self._placed.values()]

    def load(self, data: Any) -> int:
        """Take back what ``dump`` wrote, replacing all; how many entries could not be used.

        Entries that cannot be read, belong to an EVSE that is gone, or exceed the bounds are left out, the others stay.
        """
        entries = data if isinstance(data, list) else [data]
        self._placed = {}
        lost = 0
        for entry in entries:
            try:
                evse_id, profile = _read(entry)
                self._check_evse(evse_id)
                self._check_room([*self._placed.values(), (evse_id, profile)])
            except ProfileError:
                lost += 1
            else:
                self._placed[profile.profile_id] = (evse_id, profile)
        return lost

    # -- rules -------------------------------------------------------------------------------------------

    def _check_place(self, evse_id: int, profile: Profile, transactions: Mapping[int, str]) -> None:
        self._check_evse(evse_id)
        if profile.purpose is Purpose.EXTERNAL:
            raise ProfileError("InvalidProfile", "external constraints are not set over OCPP (K01.FR.22)")
        if profile.purpose is Purpose.STATION_MAX and (evse_id != 0 or profile.kind is Kind.RELATIVE):
            raise ProfileError("InvalidProfile", "a station's maximum belongs to EVSE 0 and is not Relative (K01.FR.38)")
        if profile.purpose is Purpose.TX and (profile.transaction_id is None or transactions.get(evse_id) != profile.transaction_id):
            raise ProfileError("TxNotFound", f"the transaction does not run on EVSE {evse_id} (K01.FR.33)")

    def _check_evse(self, evse_id: int) -> None:
        if evse_id != 0 and evse_id not in self._evse_ids:
            raise ProfileError("UnknownEvse", f"EVSE {evse_id} does not exist")

    def _check_room(self, placed: list[Placed]) -> None:
        if len(placed) > self._max_profiles:
            raise ProfileError("OutOfStorage", f"more than {self._max_profiles} profiles; clear some first")
        if sum(len(schedule.periods) for _, profile in placed for schedule in profile.schedules) > MAX_PERIODS_IN_ALL:
            raise ProfileError("OutOfStorage", f"more than {MAX_PERIODS_IN_ALL} periods in all profiles; clear some first")


def _check_no_conflict(new: Placed, others: list[Placed]) -> None:
    for other in others:
        if _conflict(new, other):
            raise ProfileError("DuplicateProfile", f"profile {other[1].profile_id} has the same purpose and stackLevel")


def _takes_place_of(new: Placed, old: Placed) -> bool:
    """1.6: same purpose and stack level at the same connector."""
    return (new[0], new[1].purpose, new[1].stack_level) == (old[0], old[1].purpose, old[1].stack_level)


def _conflict(new: Placed, old: Placed) -> bool:
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


def _expired(profile: Profile, now_wall_s: float) -> bool:
    return _end(profile) <= now_wall_s


def _meets(placed: Placed, criteria: ProfileCriteria) -> bool:
    evse_id, profile = placed
    return (
        (not criteria.profile_ids or profile.profile_id in criteria.profile_ids)
        and criteria.evse_id in (None, evse_id)
        and criteria.purpose in (None, profile.purpose)
        and criteria.stack_level in (None, profile.stack_level)
    )


def _acts_on(owner: int, profile: Profile, evse_id: int, own_defaults: set[int]) -> bool:
    """A station's maximum bounds the sum and so each part of it; a default on EVSE 0 is meant for every EVSE, not for the sum.

    own_defaults: stack levels of the EVSE's own defaults. Beside one of them a station's default of that level counts
    no more (1.6); in 2.x they cannot meet (K01.FR.52/53).
    """
    if owner == 0 and profile.purpose is Purpose.TX_DEFAULT:
        return evse_id != 0 and profile.stack_level not in own_defaults
    return owner in (0, evse_id)


def _read(entry: Any) -> Placed:
    evse_id = entry.get("evse_id") if isinstance(entry, dict) else None
    if type(evse_id) is not int:
        raise ProfileError("InvalidProfile", "stored entry cannot be read")
    return evse_id, profile_from_json(entry.get("profile"))
