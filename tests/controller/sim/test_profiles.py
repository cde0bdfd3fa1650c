"""The stacking rules of 2.0.1 as a simulated station applies them."""

from __future__ import annotations

import pytest

from controller.sim.profiles import ProfileStore, Session
from controller.sim.wire import iso
from tests.controller.sim.kit import DAY, profile

SESSION = Session("tx", DAY)


def store(*entries: tuple[int, dict[str, object]]) -> ProfileStore:
    subject = ProfileStore((1, 2))
    for evse_id, body in entries:
        assert subject.put(evse_id, body, SESSION) == ""
    return subject


def tx(limit: float, **more: object) -> dict[str, object]:
    return profile(limit, **({"profile_id": 9, "purpose": "TxProfile", "transactionId": "tx"} | more))


def test_nothing_installed_means_no_limit() -> None:
    assert store().evse_limit_a(1, DAY, SESSION) is None


def test_the_transaction_profile_wins_over_the_default_even_when_it_is_higher() -> None:
    subject = store((1, profile(6)), (1, tx(20)))
    assert subject.evse_limit_a(1, DAY + 10, SESSION) == 20
    assert subject.evse_limit_a(1, DAY + 10, None) == 6


def test_the_dead_man_an_expired_transaction_profile_falls_back_to_the_default() -> None:
    subject = store((1, profile(6)), (1, tx(20, duration_s=120)))
    assert subject.evse_limit_a(1, DAY + 119, SESSION) == 20
    assert subject.evse_limit_a(1, DAY + 120, SESSION) == 6


def test_valid_from_is_inclusive_and_valid_to_exclusive() -> None:
    subject = store((1, profile(6)), (1, tx(20, validFrom=iso(DAY + 10), validTo=iso(DAY + 20))))
    limits = [subject.evse_limit_a(1, DAY + second, SESSION) for second in (9, 10, 19, 20)]
    assert limits == [6, 20, 20, 6]


def test_the_higher_stack_level_wins_outright() -> None:
    subject = store((1, tx(10)), (1, tx(30, profile_id=10, stack=1, duration_s=60)))
    assert subject.evse_limit_a(1, DAY + 1, SESSION) == 30
    assert subject.evse_limit_a(1, DAY + 61, SESSION) == 10


def test_a_default_on_evse_0_counts_for_every_evse() -> None:
    subject = store((0, profile(8)))
    assert [subject.evse_limit_a(evse, DAY, None) for evse in (1, 2)] == [8, 8]


def test_periods_and_watts_are_read() -> None:
    periods = [{"startPeriod": 0, "limit": 11_040, "numberPhases": 3}, {"startPeriod": 60, "limit": 2_300, "numberPhases": 1}]
    subject = store((1, tx(0, unit="W", periods=periods)))
    assert subject.evse_limit_a(1, DAY + 59, SESSION) == pytest.approx(16)
    assert subject.evse_limit_a(1, DAY + 60, SESSION) == pytest.approx(10)


def test_recurring_daily_repeats_and_leaves_a_gap() -> None:
    subject = store((1, profile(12, chargingProfileKind="Recurring", recurrencyKind="Daily", duration_s=3600)))
    limits = [subject.evse_limit_a(1, DAY + hours * 3600, None) for hours in (0.5, 1.5, 24.5, 25.5)]
    assert limits == [12, None, 12, None]


def test_relative_counts_from_the_session() -> None:
    body = tx(14, duration_s=100, chargingProfileKind="Relative")
    subject = store((1, body))
    later = Session("tx", DAY + 1000)
    assert subject.evse_limit_a(1, DAY + 1050, later) == 14
    assert subject.evse_limit_a(1, DAY + 1100, later) is None


@pytest.mark.parametrize(
    ("evse_id", "body", "reason"),
    [
        (3, profile(6), "UnknownEvse"),
        (0, tx(6), "InvalidProfile"),
        (1, tx(6, transactionId="another"), "TxNotFound"),
        (1, profile(6, purpose="ChargingStationMaxProfile"), "InvalidProfile"),
        (1, profile(6, purpose="ChargingStationExternalConstraints"), "InvalidProfile"),
        (1, profile(6, periods=[{"startPeriod": 5, "limit": 6}]), "InvalidSchedule"),
        (1, profile(6, chargingProfileKind="Recurring"), "InvalidProfile"),
        (1, profile(6, profile_id=2), "DuplicateProfile"),
        (0, profile(6, profile_id=2), "DuplicateProfile"),
        (1, tx(6, profile_id=10), "DuplicateProfile"),
    ],
)
def test_what_a_station_refuses(evse_id: int, body: dict[str, object], reason: str) -> None:
    subject = store((1, profile(10)), (1, tx(20)))
    assert subject.put(evse_id, body, SESSION) == reason
    assert len(subject) == 2


def test_the_same_id_replaces() -> None:
    subject = store((1, profile(10)), (1, profile(7)))
    assert subject.evse_limit_a(1, DAY, None) == 7


def test_a_transaction_takes_its_profiles_with_it() -> None:
    subject = store((1, profile(6)), (1, tx(20)))
    subject.end_session(1)
    assert subject.evse_limit_a(1, DAY, SESSION) == 6


@pytest.mark.parametrize(
    ("profile_id", "criteria", "left"),
    [(1, {}, 1), (None, {"chargingProfilePurpose": "TxProfile"}, 1), (None, {"stackLevel": 0}, 0), (None, {"evseId": 2}, 2), (77, {}, 2)],
)
def test_clear_takes_an_id_or_any_and_combination(profile_id: int | None, criteria: dict[str, object], left: int) -> None:
    subject = store((1, profile(6)), (1, tx(20)))
    subject.clear(profile_id, criteria)
    assert len(subject) == left
