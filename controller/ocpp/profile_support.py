"""Rules about a charging profile that need more than the profile: what its EVSE can do, and the profiles it meets there.

Part of judging a SetChargingProfile as a station would; the rules a profile breaks by itself stand with its version.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from itertools import chain

from controller.ocpp.profile_data import Period, Profile, ProfileError, Purpose

_TRANSACTION = (Purpose.TX, Purpose.TX_DEFAULT, Purpose.PRIORITY)


def check_modes(profile: Profile, announced: Collection[str]) -> None:
    """Every operation mode is ChargingOnly or one the EVSE has announced. Raises ProfileError (K01.FR.115)."""
    wanted = {period.mode.value for schedule in profile.schedules for period in schedule.periods} - {""}
    missing = sorted(wanted - set(announced))
    if missing:
        raise ProfileError("InvalidOperationMode", f"the EVSE has not announced operationMode {', '.join(missing)} (K01.FR.115)")


def check_phase_to_use(profile: Profile, others: Iterable[Profile]) -> None:
    """No profile it would be merged with wants another phase. others: those that act on the same EVSE. Raises ProfileError (K01.FR.141)."""
    wanted = _phases(profile)
    for other in others if wanted else ():
        if _merged(profile, other) and len(wanted | _phases(other)) > 1 and _phases(other):
            raise ProfileError("PhaseConflict", f"phaseToUse is another one in profile {other.profile_id} (K01.FR.141)")


def check_single_phases(profile: Profile) -> None:
    """It names no single phases. Raises ProfileError (K01.FR.142/144, V2X.10)."""
    periods = chain.from_iterable(schedule.periods for schedule in profile.schedules)
    if any(_names_phases(period) for period in periods):
        raise ProfileError("PhaseConflict", "the car has told no limits of single phases, so it takes none (K01.FR.142/144, V2X.10)")


def _names_phases(period: Period) -> bool:
    values = (period.discharge, period.setpoint)
    return period.limit_l2 is not None or period.limit_l3 is not None or any(value is not None and value.split for value in values)


def check_no_phases(profile: Profile) -> None:
    """It says nothing of phases, as sent. Raises ProfileError (K01.FR.44/54)."""
    raws = profile.raw.get("chargingSchedule")
    periods = [period for raw in raws if isinstance(raw, dict) for period in raw.get("chargingSchedulePeriod", [])] if isinstance(raws, list) else []
    if any(period.get(key) is not None for period in periods for key in ("numberPhases", "phaseToUse")):
        raise ProfileError("NoPhaseForDC", "numberPhases and phaseToUse mean nothing for a DC EVSE (K01.FR.44)")


def _phases(profile: Profile) -> set[int]:
    periods = chain.from_iterable(schedule.periods for schedule in profile.schedules)
    return {period.phase_to_use for period in periods if period.phase_to_use is not None}


def _merged(one: Profile, other: Profile) -> bool:
    """Whether both can count at once: of different purposes that do not stand in for each other."""
    return one.purpose is not other.purpose and not (one.purpose in _TRANSACTION and other.purpose in _TRANSACTION)
