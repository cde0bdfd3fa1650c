"""Profiles in the journal: back as they were, also those an older Yardmaster wrote."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from controller.ocpp.schedule import (
    Kind,
    LimitAtSoC,
    Mode,
    Period,
    PerPhase,
    Profile,
    ProfileError,
    Purpose,
    Recurrency,
    Schedule,
    profile_from_json,
    profile_to_json,
)

NOW = 1_790_000_000.0
PLAIN = Profile(1, 0, Purpose.TX_DEFAULT, Kind.RELATIVE, (Schedule(1, "A", (Period(0, 6),)),))
FULL = Profile(
    17,
    3,
    Purpose.TX,
    Kind.DYNAMIC,
    (
        Schedule(
            7,
            "W",
            (
                Period(0, 11_000, 1, 2, 10.0, 0.0),
                Period(60, None, mode=Mode.CENTRAL_SETPOINT, discharge=PerPhase(-10, -20), setpoint=PerPhase(0.0)),
            ),
            3600,
            None,
            1380,
            0.0,
            600.0,
            LimitAtSoC(80, 0.0),
        ),
    ),
    "t-1",
    NOW,
    NOW + 5,
    Recurrency.WEEKLY,
    {"id": 17},
    NOW,
    60,
    0.0,
    True,
)


@pytest.mark.parametrize("profile", [PLAIN, FULL])
def test_a_profile_survives_the_disk(profile: Profile) -> None:
    again = profile_from_json(json.loads(json.dumps(profile_to_json(profile))))
    assert again == profile
    assert again.raw == profile.raw


def test_what_an_older_yardmaster_wrote_is_read() -> None:
    period = {"start_s": 0.0, "limit": 11_000.0, "phase_count": 1, "phase_to_use": 2}
    schedule = {"schedule_id": 7, "unit": "W", "periods": [period], "duration_s": 3600.0, "start_wall_s": NOW, "min_rate": None}
    old = {
        "profile_id": 17,
        "stack_level": 3,
        "purpose": "tx",
        "kind": "recurring",
        "schedules": [schedule],
        "transaction_id": "t-1",
        "valid_from_wall_s": None,
        "valid_to_wall_s": NOW,
        "recurrency": "daily",
        "raw": {"id": 17},
    }
    expected = Schedule(7, "W", (Period(0, 11_000, 1, 2),), 3600, NOW)
    profile = profile_from_json(old)
    assert profile == Profile(17, 3, Purpose.TX, Kind.RECURRING, (expected,), "t-1", None, NOW, Recurrency.DAILY)
    assert json.loads(json.dumps(profile_to_json(profile))) == old  # what says nothing new is written as before


def broken(key: str, value: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda data: data | {key: value}


def period(**changes: Any) -> Callable[[dict[str, Any]], Any]:
    whole = {"start_s": 0, "limit": 1, "phase_count": 3, "phase_to_use": None}
    return lambda data: data | {"schedules": [data["schedules"][0] | {"periods": [whole | changes]}]}


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: None,
        lambda data: [],
        lambda data: {},
        broken("purpose", "party"),
        broken("schedules", [{}]),
        broken("schedules", 3),
        broken("valid_to_wall_s", "soon"),
        broken("valid_to_wall_s", float("nan")),
        broken("max_offline_s", "long"),
        broken("raw", 7),
        lambda data: data | {"schedules": [data["schedules"][0] | {"periods": []}]},
        lambda data: data | {"schedules": [data["schedules"][0] | {"unit": "V"}]},
        lambda data: data | {"schedules": [data["schedules"][0] | {"limit_at_soc": {"soc_percent": 80}}]},
        period(limit=-1),
        period(limit=None),
        period(limit_l2=-1),
        period(phase_count=0),
        period(mode="LocalFrequency"),
        period(setpoint=5),
    ],
)
def test_a_damaged_record_is_refused_clearly(damage: Callable[[dict[str, Any]], Any]) -> None:
    with pytest.raises(ProfileError) as caught:
        profile_from_json(damage(profile_to_json(PLAIN)))
    assert caught.value.reason_code == "InvalidProfile"
