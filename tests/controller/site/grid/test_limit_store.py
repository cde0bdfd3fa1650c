"""Received limits: what is believed, for how long, and what a restart keeps. Faults F51-F57 have their stories."""

from __future__ import annotations

import math

import pytest

from controller.facts import LimitReceived, LimitUnit, Stamp
from controller.site.grid.limit_store import LimitStore
from controller.site.grid.words import Refusal
from tests.support.site_story import depot

WALL_S = 1_780_000_000.0


def at(now: float = 0.0, speed: float = 1.0, trusted: bool = True) -> Stamp:
    return Stamp(now, WALL_S + now * speed, speed, trusted)


def store(**limits: float) -> LimitStore:
    return LimitStore(depot(1, limits=limits, grid={"max_import_w": 34_500}))


def limit(value: float | None = 20.0, now: float = 0.0, unit: LimitUnit = LimitUnit.A, valid_for_s: float = 60.0, **more: object) -> LimitReceived:
    stamp = more.pop("at", at(now))
    return LimitReceived(stamp, str(more.pop("source", "mqtt")), str(more.pop("circuit", "grid")), value, unit, valid_for_s, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(("value", "unit", "amps"), [(20.0, LimitUnit.A, 20.0), (6900.0, LimitUnit.W, 10.0), (0.0, LimitUnit.W, 0.0)])
def test_watts_are_the_sum_of_the_phases(value: float, unit: LimitUnit, amps: float) -> None:
    limits = store()
    assert limits.receive(limit(value, unit=unit)) is None
    assert limits.smallest(0.0)["grid"].limit_a == pytest.approx(amps)


def test_the_contract_is_a_limit_without_end() -> None:
    contract = store().in_force(1e9)[0]
    assert (contract.source, contract.limit_a, contract.ends_mono_s) == ("contract", 50.0, None)


@pytest.mark.parametrize("valid_for_s", [0.0, -5.0, math.nan])
def test_a_life_must_be_more_than_nothing(valid_for_s: float) -> None:
    assert isinstance(store().receive(limit(valid_for_s=valid_for_s)), Refusal)


def test_a_withdrawn_limit_is_gone_but_its_order_is_remembered() -> None:
    limits = store()
    assert limits.receive(limit(sequence=5)) is None
    assert limits.receive(limit(None, sequence=6)) is None
    assert limits.smallest(0.0)["grid"].source == "contract"
    refusal = limits.receive(limit(sequence=5))
    assert refusal is not None
    assert not refusal.repeat
    repeat = limits.receive(limit(sequence=6))
    assert repeat is not None
    assert repeat.repeat


def test_each_source_and_circuit_counts_by_itself() -> None:
    limits = store()
    assert limits.receive(limit(sequence=5)) is None
    assert limits.receive(limit(sequence=1, source="api")) is None


def test_a_fresh_sequence_is_taken_when_the_old_one_is_long_past() -> None:
    limits = store(max_valid_for_s=100.0)
    assert limits.receive(limit(sequence=900)) is None
    assert limits.receive(limit(sequence=1, now=99.0)) is not None
    assert limits.receive(limit(sequence=1, now=101.0)) is None


def test_ends_run_on_the_monotonic_clock_also_in_the_compressed_day_of_the_demo() -> None:
    limits = store()
    assert limits.receive(limit(at=at(10.0, speed=100.0), valid_for_s=60.0)) is None
    held = limits.smallest(10.0)["grid"]
    assert held.ends_mono_s == 70.0
    assert held.ends_wall_s == WALL_S + 1000.0 + 6000.0
    assert limits.expire(69.9) == []
    assert [one.source for one in limits.expire(70.0)] == ["mqtt"]


def test_an_unknown_clock_refuses_no_retained_limit() -> None:
    limits = store()
    assert limits.receive(limit(at=at(trusted=False), retained=True)) is None


def test_a_restart_keeps_what_is_left_and_forgets_what_has_ended() -> None:
    limits = store()
    limits.receive(limit(sequence=3))
    memory = limits.memory("mqtt", "grid")
    again = store()
    again.restore("mqtt", "grid", memory, at(40.0))
    assert again.smallest(40.0)["grid"].ends_mono_s == 60.0
    late = store()
    late.restore("mqtt", "grid", memory, at(61.0))
    assert late.smallest(61.0)["grid"].source == "contract"
    blind = store(max_valid_for_s=500.0)
    blind.restore("mqtt", "grid", memory, Stamp(7.0, 0.0, wall_trusted=False))
    assert blind.smallest(7.0)["grid"].ends_mono_s == 507.0
    gone = store()
    gone.restore("mqtt", "no such circuit", memory, at(1.0))
    assert [one.source for one in gone.in_force(1.0)] == ["contract"]


@pytest.mark.parametrize("rubbish", [{"value": "x", "ends_wall_s": WALL_S}, {"value": 5, "ends_wall_s": []}, {"unit": 7, "sequence": "a"}, {}])
def test_rubbish_in_the_journal_is_no_limit_and_no_error(rubbish: dict[str, object]) -> None:
    made = store()
    made.restore("mqtt", "grid", rubbish, at(1.0))
    assert [one.source for one in made.in_force(1.0)] == ["contract"]


def test_a_limit_that_ended_while_we_were_down_waits_for_word_of_the_broker() -> None:
    memory = {"value": 20.0, "unit": "A", "ends_wall_s": WALL_S + 10.0, "sequence": 1, "issued_wall_s": None}
    for broker_up, failsafe in ((True, False), (False, True)):
        made = LimitStore(depot(1, limits={"failsafe_a": 16}))
        made.restore("mqtt", "grid", memory, at(100.0))
        assert made.smallest(101.0)["grid"].limit_a == 20.0
        made.broker(broker_up)
        made.expire(161.0)
        assert made.failsafe is failsafe
