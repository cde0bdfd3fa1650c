"""Modes to watts and controls to events.

Meanings of modes: IEEE 2030.5-2018 DERControlBase; CSIP-AUS for import, export, generation and load.
"""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signals.csip_modes import Category, Effects, Modes, Power, Ratings, effects
from signals.csip_resources import BadItem, Control, Default, Program
from signals.csip_schedule import (
    INVALID,
    LATE,
    NOT_APPLICABLE,
    ProgramState,
    held,
    merged,
    schedule,
)

RATINGS = Ratings(generation_w=25_000.0, charge_w=4_000.0, discharge_w=5_000.0)
"""A plant of 20 kW and a battery that gives 5 kW and takes 4 kW."""
LFDI = "3E4F45AB31EDFE5B67E343E5E4562E31984E23E5"
PROGRAM = Program("AA", 1, "DNSP", None, None, None)


def powers(**modes: tuple[int, int] | int) -> Modes:
    return Modes(powers=tuple((name, Power(*one) if isinstance(one, tuple) else Power(one, 0)) for name, one in modes.items()))


@pytest.mark.parametrize(
    ("modes", "wanted"),
    [
        (powers(opModImpLimW=11_000), Effects(consumption_w=11_000.0)),
        (powers(opModExpLimW=(5, 3)), Effects(production_w=5000.0)),  # 5 * 10^3
        (powers(opModExpLimW=(12_345, -1)), Effects(production_w=1234.5)),
        (powers(opModExpLimW=0), Effects(production_w=0.0)),  # a limit of 0 is a limit
        (Modes(percents=(("opModMaxLimW", 6000),)), Effects(production_w=15_000.0)),  # 60 % of 25 kW
        (Modes(percents=(("opModMaxLimW", 0),)), Effects(production_w=0.0)),
        (powers(opModTargetW=3000), Effects(setpoint_w=-3000.0)),  # delivered is counted positive there, imported here
        (powers(opModStorageTargetW=-2000), Effects(battery_w=2000.0)),
        (Modes(percents=(("opModFixedW", 5000),)), Effects(battery_w=-2500.0)),  # discharge with 50 % of 5 kW
        (Modes(percents=(("opModFixedW", -5000),)), Effects(battery_w=2000.0)),  # charge with 50 % of 4 kW
        (Modes(connect=False), Effects(connected=False)),
        (Modes(connect=True, energize=False), Effects(connected=False)),
        (Modes(connect=True, energize=True), Effects()),
        (Modes(), Effects()),
        (powers(opModExpLimW=-1), Effects(production_w=0.0, undone=("opModExpLimW",))),  # nobody can be made to import: 0 is held
        (powers(opModLoadLimW=7000), Effects(load_w=7000.0)),  # of the devices that are controlled, not of the connection (annex B)
        (powers(opModGenLimW=7000), Effects(generation_w=7000.0)),
        (powers(opModGenLimW=0, opModExpLimW=5000), Effects(production_w=5000.0, generation_w=0.0)),
        (Modes(others=("opModVoltVar",)), Effects(undone=("opModVoltVar",), done=False)),
    ],
)
def test_what_modes_mean(modes: Modes, wanted: Effects) -> None:
    assert effects(modes, RATINGS) == wanted


def test_the_lowest_of_several_limits_counts() -> None:
    both = Modes(powers=(("opModExpLimW", Power(9000, 0)), ("opModGenLimW", Power(8000, 0))), percents=(("opModMaxLimW", 2000),))
    assert (effects(both, RATINGS).production_w, effects(both, RATINGS).generation_w) == (5000.0, 8000.0)  # 20 % of 25 kW


def test_a_source_aimed_at_the_loads_carries_out_load_limits() -> None:
    loads = replace(RATINGS, controllable=True)
    assert effects(powers(opModLoadLimW=7000), loads) == Effects(load_w=7000.0)
    assert effects(powers(opModImpLimW=7000), loads).undone == ("opModImpLimW",)


def test_a_battery_that_is_not_there_is_not_commanded() -> None:
    without = Ratings(generation_w=20_000.0)
    assert effects(powers(opModStorageTargetW=1000), without) == Effects(undone=("opModStorageTargetW",), done=False)
    assert effects(Modes(percents=(("opModFixedW", 100),)), without).done is False


limits = st.builds(Power, st.integers(0, 10**9), st.integers(-9, 9))


@given(st.sampled_from(["opModImpLimW", "opModExpLimW", "opModGenLimW", "opModLoadLimW"]), st.lists(limits, min_size=1, max_size=3), st.booleans())
def test_a_limit_is_never_higher_than_stated(name: str, stated: list[Power], controllable: bool) -> None:
    names = [name, "opModExpLimW" if name != "opModExpLimW" else "opModGenLimW", "opModImpLimW" if name != "opModImpLimW" else "opModLoadLimW"]
    modes = Modes(powers=tuple(zip(names, stated, strict=False)))
    found = effects(modes, replace(RATINGS, controllable=controllable))
    for one, power in modes.powers:
        exact = Fraction(power.value) * Fraction(10) ** power.multiplier
        fields = {"Imp": found.consumption_w, "Exp": found.production_w, "Gen": found.generation_w, "Loa": found.load_w}
        held_w = fields[one.removeprefix("opMod")[:3]]
        assert held_w is not None
        assert 0 <= Fraction(held_w) <= exact
        assert Fraction(held_w) >= exact * Fraction(999_999, 1_000_000), "nor much lower"


# -- controls -------------------------------------------------------------------------------------------


def control(**more: object) -> Control:
    basis = Control("01", 0, "", 1000, 600, 900, 0, 900, 0, 0, None, powers(opModImpLimW=5000), "/rsp", 3)
    return replace(basis, **more)  # type: ignore[arg-type]


def state(*controls: Control, program: Program = PROGRAM, default: Default | None = None, bad: tuple[tuple[BadItem, str], ...] = ()) -> ProgramState:
    return ProgramState(program, default, controls, bad)


def test_a_control_becomes_an_event() -> None:
    found = schedule([state(control(randomize_start_s=60, randomize_duration_s=-30, version=3))], RATINGS, LFDI, 950.0)
    event = found.events[0]
    assert (event.event_id, event.version, event.start_s, event.duration_s) == ("01", 3, 1000.0, 600.0)
    assert (event.randomize_start_s, event.randomize_duration_s) == (60.0, -30.0)
    assert (event.primacy, event.created_s, event.cancelled, event.answers) == (1, 900.0, False, True)
    assert event.effects.consumption_w == 5000.0
    assert found.rejected == ()


def test_a_default_holds_from_ever_and_for_ever() -> None:
    found = schedule([state(default=Default("DD", 4, "", powers(opModExpLimW=1500)))], RATINGS, LFDI, 950.0)
    event = found.events[0]
    assert (event.event_id, event.version, event.start_s, event.duration_s) == ("default:AA", 4, -math.inf, None)
    assert event.effects.production_w == 1500.0
    assert event.answers is False


@pytest.mark.parametrize(("reply_to", "required", "answers"), [("/r", 1, True), ("/r", 0, False), (None, 3, False)])
def test_only_who_asks_is_answered(reply_to: str | None, required: int, answers: bool) -> None:
    found = schedule([state(control(reply_to=reply_to, response_required=required))], RATINGS, LFDI, 950.0)
    assert found.events[0].answers is answers


@pytest.mark.parametrize(("status", "cancelled"), [(0, False), (1, False), (2, True), (4, True)])
def test_the_servers_status(status: int, cancelled: bool) -> None:
    found = schedule([state(control(status=status))], RATINGS, LFDI, 1100.0, frozenset({"01"}))
    assert found.events[0].cancelled is cancelled
    assert found.replies["01"].superseded is (status == 4)


def test_cancelled_with_randomisation_ends_in_the_window_and_at_once_if_it_has_not_begun() -> None:
    ended = control(status=3, status_s=1100, randomize_start_s=-20, randomize_duration_s=100)
    running = schedule([state(ended)], RATINGS, LFDI, 1100.0, frozenset({"01"}))
    assert running.events[0].cancelled is False
    assert running.next_s is not None
    assert 1100.0 <= running.next_s < 1200.0
    ends = [schedule([state(ended)], RATINGS, f"device {number}", 1099.0, frozenset({"01"})).next_s or 0.0 for number in range(50)]
    assert 1120.0 < max(ends) < 1200.0  # the larger of 20 and 100
    over = schedule([state(ended)], RATINGS, LFDI, running.next_s, frozenset({"01"}))
    assert over.events[0].cancelled is True
    assert schedule([state(ended)], RATINGS, LFDI, 970.0).events[0].cancelled is True
    other = schedule([state(ended)], RATINGS, "OTHER", 1100.0, frozenset({"01"}))
    assert other.next_s != running.next_s


def test_what_came_too_late_is_rejected_and_what_was_answered_before_is_not() -> None:
    assert schedule([state(control())], RATINGS, LFDI, 1600.0).rejected == (("01", LATE),)
    assert schedule([state(control())], RATINGS, LFDI, 1600.0).events == ()
    assert schedule([state(control())], RATINGS, LFDI, 1600.0, frozenset({"01"})).rejected == ()
    assert len(schedule([state(control())], RATINGS, LFDI, 1600.0, frozenset({"01"})).events) == 1
    assert schedule([state(control(status=2))], RATINGS, LFDI, 1600.0).rejected == ()
    ancient = schedule([state(control())], RATINGS, LFDI, 1600.0 + 3601.0)
    assert (ancient.events, ancient.rejected, dict(ancient.replies)) == ((), (), {})


def test_a_control_of_which_nothing_can_be_done_is_rejected() -> None:
    found = schedule([state(control(modes=Modes(others=("opModVoltVar",))))], RATINGS, LFDI, 950.0)
    assert (found.events, found.rejected) == ((), (("01", NOT_APPLICABLE),))
    assert "opModVoltVar" in found.troubles[0]


def test_a_control_of_which_a_part_can_be_done_is_done_and_named() -> None:
    mixed = replace(powers(opModImpLimW=5000), others=("opModVoltVar",))
    found = schedule([state(control(modes=mixed))], RATINGS, LFDI, 950.0)
    assert found.events[0].effects.consumption_w == 5000.0
    assert found.replies["01"].partly is True
    assert found.rejected == ()


def test_an_unreadable_control_is_rejected_as_invalid() -> None:
    found = schedule([state(bad=((BadItem("0B", "/r", 3), "no interval"), (BadItem(), "no mRID")))], RATINGS, LFDI, 950.0)
    assert found.rejected == (("0B", INVALID),)
    assert len(found.troubles) == 2


def test_a_garbled_limit_is_not_lifted() -> None:
    before = [state(control())]
    after = held([state(bad=((BadItem("01", "/r", 3), "no interval"),))], before)
    assert after[0].controls == (control(),)
    assert after[0].bad == ()


@pytest.mark.parametrize(
    ("category", "ours"),
    [(None, True), (0, True), (Category.ENERGY_MANAGER, True), (Category.EVSE | 1, True), (1 << 3, False), (Category.STORAGE, True)],
)
def test_device_categories(category: int | None, ours: bool) -> None:
    found = schedule([state(control(category=category))], RATINGS, LFDI, 950.0)
    assert bool(found.events) is ours
    assert bool(found.replies) is ours  # and others do not answer


def test_the_same_control_in_two_programs_counts_in_the_first_by_primacy() -> None:
    low = replace(PROGRAM, mrid="BB", primacy=0)
    found = schedule([state(control()), state(control(), program=low)], RATINGS, LFDI, 950.0)
    assert [event.primacy for event in found.events] == [0]


def test_both_lists_of_a_program_as_one() -> None:
    scheduled, active = control(), control(status=1, status_s=1000)
    assert merged([scheduled], [active]) == (active,)
    assert merged([active], [scheduled]) == (active,)
    assert merged([control(version=2)], [active]) == (control(version=2),)
    assert [one.mrid for one in merged([scheduled], [control(mrid="02")])] == ["01", "02"]


modes_of_all_kinds = st.builds(
    Modes,
    powers=st.dictionaries(
        st.sampled_from(["opModImpLimW", "opModExpLimW", "opModGenLimW", "opModLoadLimW", "opModTargetW", "opModStorageTargetW"]),
        st.builds(Power, st.integers(-(10**9), 10**9), st.integers(-9, 9)),
    ).map(lambda found: tuple(found.items())),
    percents=st.dictionaries(st.sampled_from(["opModMaxLimW", "opModFixedW"]), st.integers(0, 10_000)).map(lambda found: tuple(found.items())),
    connect=st.sampled_from([None, True, False]),
    energize=st.sampled_from([None, True, False]),
    others=st.lists(st.sampled_from(["opModVoltVar", "opModNew"]), max_size=2).map(tuple),
)
any_control = st.builds(
    Control,
    mrid=st.sampled_from(["01", "02", "03", "04"]),
    version=st.integers(0, 65_535),
    name=st.just(""),
    start_s=st.integers(0, 4000),
    duration_s=st.integers(0, 2**32 - 1),
    created_s=st.integers(0, 4000),
    status=st.integers(0, 4),
    status_s=st.integers(0, 4000),
    randomize_start_s=st.integers(-3600, 3600),
    randomize_duration_s=st.integers(-3600, 3600),
    category=st.sampled_from([None, 0, 1, 1 << 14]),
    modes=modes_of_all_kinds,
    reply_to=st.sampled_from([None, "/r"]),
    response_required=st.integers(0, 255),
)


@given(st.lists(st.tuples(st.integers(0, 255), st.lists(any_control, max_size=4)), max_size=3), st.floats(0, 10_000), st.booleans(), st.booleans())
def test_any_set_of_controls(programs: list[tuple[int, list[Control]]], now_s: float, controllable: bool, battery: bool) -> None:
    """Each event once, finite limits from 0, rejected ones are not told, and what it depends on is only what was read."""
    ratings = replace(RATINGS if battery else Ratings(20_000.0), controllable=controllable)
    states = [
        state(*controls, program=replace(PROGRAM, mrid=f"{number:02X}", primacy=primacy)) for number, (primacy, controls) in enumerate(programs)
    ]
    found = schedule(states, ratings, LFDI, now_s)
    ids = [event.event_id for event in found.events]
    assert len(ids) == len(set(ids))
    assert not set(ids) & {mrid for mrid, _ in found.rejected}
    assert all(mrid in found.replies for mrid in ids)
    for event in found.events:
        for limit_w in (event.effects.consumption_w, event.effects.production_w):
            assert limit_w is None or (math.isfinite(limit_w) and limit_w >= 0)
        for power_w in (event.effects.setpoint_w, event.effects.battery_w):
            assert power_w is None or math.isfinite(power_w)
    assert found.next_s is None or found.next_s > now_s
    assert schedule(states, ratings, LFDI, now_s) == found
