"""What upstream believes about the charging profiles of one station.

The station's own stack of profiles belongs to Yardmaster (OCPP-NOTES 5.6), so the CSMS's profiles
are kept here and never sent down. This file judges them as the station would with its state (known
EVSE, running transaction, duplicates: K01.FR.05/06/33/39/52/53), answers from them, and says what
they wish for an EVSE over time. In 1.6 nothing is a duplicate: a profile of the same purpose and stack
level silently replaces the older one of its connector, one for a connector stands in for the station's
default there, and a TxProfile without transaction means the running one (5.16.2-5.16.4, 3.13.1).
It holds limits, not setpoints, and never decides what is charged.

In 2.1 a PriorityCharging profile counts while its transaction has priority (K21, K22) and stands for EVSE 0 or
one EVSE; LocalGeneration adds to what limits its own place (K27). What limits the station beside OCPP, as it
tells itself (K11-K13), is kept here as well: it caps the wish, is the CSMS's to neither set nor clear, and is
no profile of its.

Profile ids live in the CSMS's space alone: one that falls into our own range is stored like any
other, as it never meets ours at the station.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import tzinfo
from typing import Any, Final

from controller.facts import LimitStep
from controller.link.profile_rules import Placed, acts_on, as_long_ago, check_no_conflict, conflict, expired, meets, ranked, takes_place_of
from controller.ocpp.dialect import ProfileCriteria
from controller.ocpp.profile_support import check_phase_to_use
from controller.ocpp.schedule import (
    Kind,
    Layer,
    Profile,
    ProfileError,
    Purpose,
    composite,
    explain_at,
    invalid_for_good,
    on_phases,
    profile_from_json,
    profile_to_json,
    without_calendar,
)

OWN_PROFILE_IDS: Final = range(900_000_000, 900_001_000)
"""Ids of the profiles Yardmaster itself writes into stations."""

MAX_PERIODS_IN_ALL: Final = 8192
"""Periods of all profiles of a station together: bounds the time of one ``wish`` (about 0.1 s at worst)."""

MAX_EXTERNAL: Final = 16
"""Limits of different places and sources that a station may tell of."""
UNTOUCHABLE: Final = (Purpose.EXTERNAL, Purpose.LOCAL_GENERATION)
"""Purposes that ClearChargingProfile leaves alone (K10)."""


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What beside the profiles decides what they mean at an EVSE.

    session_start_wall_s None: as if a session began now. voltage_v: nominal, phase to neutral. phase_count: of the EVSE.
    Without a trusted wall clock what depends on the calendar holds all the time with its lowest limit (F78). The rest as in
    ``ocpp.schedule.composite``.
    """

    session_start_wall_s: float | None
    voltage_v: float
    wall_trusted: bool = True
    phase_count: int = 3
    priority_active: bool = False
    soc_percent: float | None = None
    offline_since_wall_s: float | None = None
    timezone: tzinfo | None = None
    delay_seed: str = ""

    def known(self) -> dict[str, Any]:
        """What ``composite`` and ``explain_at`` take by keyword."""
        return {
            "priority_active": self.priority_active,
            "soc_percent": self.soc_percent,
            "offline_since_wall_s": self.offline_since_wall_s,
            "timezone": self.timezone,
            "delay_seed": self.delay_seed,
        }


@dataclass(frozen=True, slots=True)
class Wish:
    """What the CSMS sets for an EVSE from now on: limits per phase [A], words that name the profile behind the first step.

    min_rate_a: less than this is inefficient, says that profile (K01.FR.21).
    """

    steps: tuple[LimitStep, ...]
    reason: str
    min_rate_a: float | None


class ProfileView:
    """The CSMS's profiles of one station. evse_ids: its EVSEs, all > 0. max_profiles: more are refused."""

    __slots__ = ("_evse_ids", "_external", "_max_profiles", "_placed", "_written", "station_id")

    def __init__(self, station_id: str, evse_ids: Iterable[int], max_profiles: int = 100) -> None:
        self.station_id = station_id
        self._evse_ids = frozenset(evse_ids)
        self._max_profiles = max_profiles
        self._placed: dict[int, Placed] = {}
        self._external: dict[tuple[int, str], Profile] = {}
        self._written: dict[int, tuple[int, Profile, dict[str, Any]]] = {}

    def __len__(self) -> int:
        return len(self._placed)

    # -- what the CSMS does -------------------------------------------------------------------------

    def set(self, evse_id: int, profile: Profile, transactions: Mapping[int, str], now_wall_s: float, replaces: bool = False) -> None:
        """Take a profile for an EVSE (0 = station); the same id replaces, wherever it was (K01.FR.05).

        transactions: evse_id -> id of the running transaction. now_wall_s: what has ended by then makes room; -inf while nobody
        knows the time. replaces: by the rules of 1.6, see the module's text. Raises ProfileError and changes nothing if the station would reject it.
        """
        if replaces and profile.purpose is Purpose.TX and profile.transaction_id is None:
            profile = replace(profile, transaction_id=transactions.get(evse_id))
        self._check_place(evse_id, profile, transactions)
        living = [placed for placed in self._placed.values() if not expired(placed[1], now_wall_s)]
        others = [placed for placed in living if placed[1].profile_id != profile.profile_id]
        if replaces:
            others = [other for other in others if not takes_place_of((evse_id, profile), other)]
        else:
            check_no_conflict((evse_id, profile), others)
            check_phase_to_use(profile, [other for owner, other in others if 0 in (owner, evse_id) or owner == evse_id])
        self._check_room([*others, (evse_id, profile)])
        self._placed = {kept.profile_id: (owner, kept) for owner, kept in others} | {profile.profile_id: (evse_id, profile)}

    def put(self, evse_id: int, profile: Profile, replaces: bool = False) -> None:
        """Book a profile that the station itself has judged and accepted: whatever it conflicts with, the station has dropped.

        Raises ProfileError only where there is no room, and for an EVSE that nobody knows here.
        """
        self._check_evse(evse_id)
        new = (evse_id, profile)
        others = [placed for placed in self._placed.values() if placed[1].profile_id != profile.profile_id]
        kept = [other for other in others if not (takes_place_of(new, other) if replaces else conflict(new, other))]
        self._check_room([*kept, new])
        self._placed = {one.profile_id: (owner, one) for owner, one in [*kept, new]}

    def clear(self, criteria: ProfileCriteria) -> int:
        """Forget the profiles that meet all criteria (K10); how many they were. Some no CSMS can clear."""
        chosen = [profile.profile_id for _, profile in self.select(criteria) if profile.purpose not in UNTOUCHABLE]
        for profile_id in chosen:
            del self._placed[profile_id]
        return len(chosen)

    def find(self, profile_id: int) -> Placed | None:
        """(evse_id, profile) of an id."""
        return self._placed.get(profile_id)

    def update(self, profile: Profile) -> None:
        """Other values for a profile that is here (K28): it stays where it is."""
        evse_id, _ = self._placed[profile.profile_id]
        self._placed[profile.profile_id] = (evse_id, profile)

    def has_priority(self, evse_id: int) -> bool:
        """Whether a PriorityCharging profile stands for this EVSE, or for all (K21.FR.01)."""
        return any(profile.purpose is Purpose.PRIORITY and owner in (0, evse_id) for owner, profile in self._placed.values())

    def dynamic(self) -> list[Profile]:
        """The Dynamic profiles that want to be pulled (K28.FR.10)."""
        return [profile for _, profile in self._placed.values() if profile.kind is Kind.DYNAMIC and profile.update_interval_s]

    def minds_absence(self) -> bool:
        """Whether any profile says what is to happen while the CSMS is away (K01.FR.101-103)."""
        return any(profile.max_offline_s is not None for _, profile in self._placed.values())

    def minds_charge(self) -> bool:
        """Whether any profile depends on the state of charge (K01.FR.100)."""
        return any(schedule.limit_at_soc is not None for _, profile in self._placed.values() for schedule in profile.schedules)

    def clock_moved(self, now_wall_s: float, moved_s: float) -> bool:
        """The wall clock has jumped: Dynamic profiles were updated as long ago by the new one (F77); whether there are any."""
        kept = {
            key: (owner, replace(profile, updated_wall_s=as_long_ago(profile.updated_wall_s, now_wall_s, moved_s)))
            for key, (owner, profile) in self._placed.items()
            if profile.updated_wall_s is not None
        }
        self._placed |= kept
        return bool(kept)

    def drop_ended(self, transactions: Mapping[int, str]) -> None:
        """Forget the TxProfiles of transactions that do not run."""
        running = set(transactions.items())
        self._placed = {
            key: (owner, profile)
            for key, (owner, profile) in self._placed.items()
            if profile.purpose is not Purpose.TX or (owner, profile.transaction_id) in running
        }

    def drop_dead(self, now_wall_s: float, offline_since_wall_s: float | None) -> int:
        """Forget what can never count again; how many they were."""
        dead = [key for key, (_, profile) in self._placed.items() if invalid_for_good(profile, now_wall_s, offline_since_wall_s)]
        for profile_id in dead:
            del self._placed[profile_id]
        return len(dead)

    # -- what limits the station beside OCPP ---------------------------------------------------------------

    def set_external(self, evse_id: int, source: str, profile: Profile | None) -> bool:
        """The station is limited by a source, or not any more (None); whether that is news."""
        before = dict(self._external)
        if profile is None:
            self._external = {key: kept for key, kept in before.items() if not (key[1] == source and evse_id in (0, key[0]))}
        elif (evse_id == 0 or evse_id in self._evse_ids) and (len(before) < MAX_EXTERNAL or (evse_id, source) in before):
            self._external[(evse_id, source)] = profile
        return self._external != before

    def select(self, criteria: ProfileCriteria) -> list[Placed]:
        """(evse_id, profile) that meet all criteria (K09), ordered by EVSE and profile id."""
        chosen = (placed for placed in self._placed.values() if meets(placed, criteria))
        return sorted(chosen, key=lambda placed: (placed[0], placed[1].profile_id))

    def end_transaction(self, evse_id: int, transaction_id: str) -> None:
        """A transaction is over: its TxProfiles die with it."""
        self._placed = {
            profile_id: placed
            for profile_id, placed in self._placed.items()
            if not (placed[1].purpose is Purpose.TX and placed[0] == evse_id and placed[1].transaction_id == transaction_id)
        }

    # -- what it means ------------------------------------------------------------------------------

    def wish(self, evse_id: int, now_wall_s: float, horizon_s: float, around: Circumstances) -> Wish:
        """What the CSMS sets for an EVSE from now on; evse_id 0: for the station's sum."""
        profiles = [on_phases(profile, around.phase_count) for profile in self._acting(evse_id)]
        if not around.wall_trusted:
            profiles = [without_calendar(profile, around.voltage_v) for profile in profiles]
        start_wall_s, voltage_v, known = around.session_start_wall_s, around.voltage_v, around.known()
        steps = composite(profiles, now_wall_s, now_wall_s + horizon_s, start_wall_s, voltage_v, **known)
        layers = explain_at(profiles, now_wall_s, start_wall_s, voltage_v, **known)
        found = [layer for layer in layers if layer.binding] or [layer for layer in layers if layer.counts and layer.said.mode]
        return Wish(steps, _words(found[0].profile) if found else "no upstream profile", found[0].min_rate_a if found else None)

    def chain(self, evse_id: int, now_wall_s: float, around: Circumstances) -> tuple[Layer, ...]:
        """The leading profile of each purpose for an EVSE now, for people: which of them counts and which one binds."""
        profiles = [on_phases(profile, around.phase_count) for profile in self._acting(evse_id)]
        return explain_at(profiles, now_wall_s, around.session_start_wall_s, around.voltage_v, **around.known())

    def _acting(self, evse_id: int) -> list[Profile]:
        own_defaults = {profile.stack_level for owner, profile in self._placed.values() if owner == evse_id and profile.purpose is Purpose.TX_DEFAULT}
        external = [profile for (owner, _), profile in self._external.items() if owner in (0, evse_id)]
        acting = [profile for owner, profile in self._placed.values() if acts_on(owner, profile, evse_id, own_defaults)]
        if evse_id and self._generates_in_all():
            # What the station generates adds to its sum; its maximum alone would hold each EVSE lower than that.
            external = [profile for (owner, _), profile in self._external.items() if owner == evse_id]
            acting = [profile for profile in acting if profile.purpose is not Purpose.STATION_MAX]
        return acting + ranked(external)

    def _generates_in_all(self) -> bool:
        return any(owner == 0 and profile.purpose is Purpose.LOCAL_GENERATION for owner, profile in self._placed.values())

    # -- the journal's side ----------------------------------------------------------------------------

    def dump(self) -> list[Any]:
        """All profiles as JSON-able data, nobody may change it. What stays from one dump to the next is written once: a CSMS
        that sets one long profile after another must not hold the loop (F24).
        """
        written = {key: self._entry(key, evse_id, profile) for key, (evse_id, profile) in self._placed.items()}
        self._written = written
        return [entry for _, _, entry in written.values()]

    def _entry(self, key: int, evse_id: int, profile: Profile) -> tuple[int, Profile, dict[str, Any]]:
        known = self._written.get(key)
        if known is not None and known[0] == evse_id and known[1] is profile:
            return known
        return evse_id, profile, {"evse_id": evse_id, "profile": profile_to_json(profile)}

    @property
    def period_count(self) -> int:
        """Periods of all profiles together."""
        return sum(len(schedule.periods) for _, profile in self._placed.values() for schedule in profile.schedules)

    def dump_external(self) -> list[Any]:
        """What limits the station beside OCPP as JSON-able data."""
        return [[evse_id, source, profile_to_json(profile)] for (evse_id, source), profile in self._external.items()]

    def load_external(self, data: Any) -> None:
        """Take back what ``dump_external`` wrote; what cannot be read is left out."""
        for entry in data if isinstance(data, list) else []:
            match entry:
                case [int(evse_id), str(source), dict(profile)]:
                    with suppress(ProfileError):
                        self.set_external(evse_id, source, profile_from_json(profile))

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


def _words(profile: Profile) -> str:
    return "limit the station tells of" if profile.purpose is Purpose.EXTERNAL else f"upstream profile {profile.profile_id}"


def _read(entry: Any) -> Placed:
    evse_id = entry.get("evse_id") if isinstance(entry, dict) else None
    if type(evse_id) is not int:
        raise ProfileError("InvalidProfile", "stored entry cannot be read")
    return evse_id, profile_from_json(entry.get("profile"))
