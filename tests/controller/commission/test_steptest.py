"""The step test on synthetic sites: what is wired wrong is named, what cannot be known is called not certain."""

from __future__ import annotations

from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.commission.findings import Finding, Outcome, Verdict
from controller.commission.record import read
from controller.commission.steptest import judge, percentile
from tests.support.examples import examples
from tests.support.steps import EVSE, STATION, World, entries

LEVELS = (16.0, 6.0) * 5
ONE_PHASE = (1.0, 0.0, 0.0)


def judged(world: World, wired: tuple[int, ...] = (0, 1, 2), meters: tuple[str, ...] = ("grid",)) -> Outcome:
    return judge(read(entries(world, LEVELS, meters=meters), STATION, EVSE), wired)


def meter(outcome: Outcome, name: str = "grid") -> Finding:
    return next(one for one in outcome.findings if one.title == f"Meter {name}")


def test_as_wired_with_a_one_phase_car() -> None:
    outcome = judged(World(car_a=ONE_PHASE))
    assert meter(outcome).verdict is Verdict.PASS
    assert outcome.rotation is not None
    assert outcome.rotation.site_phases == (0, None, None)


@pytest.mark.parametrize("first", [1, 2])
def test_a_rotation_the_site_file_does_not_know(first: int) -> None:
    rotation = {1: (1, 2, 0), 2: (2, 0, 1)}[first]
    outcome = judged(World(rotation=rotation, car_a=ONE_PHASE))
    assert meter(outcome).verdict is Verdict.FAIL
    assert f"loads L{first + 1} of the site; the site file says L1" in meter(outcome).text
    assert outcome.rotation is not None
    assert outcome.rotation.site_phases[0] == first
    assert meter(judged(World(rotation=rotation, car_a=ONE_PHASE), wired=rotation)).verdict is Verdict.PASS


def test_three_equal_phases_cannot_be_told_apart_and_that_is_said() -> None:
    outcome = judged(World(rotation=(2, 0, 1)))
    assert meter(outcome).verdict is Verdict.UNSURE
    assert "one-phase car" in meter(outcome).advice
    assert outcome.rotation is not None
    assert not outcome.rotation.known


@pytest.mark.parametrize("rotation", list(permutations(range(3))))
def test_an_unbalanced_test_box_shows_the_whole_order(rotation: tuple[int, int, int]) -> None:
    outcome = judged(World(rotation=rotation, car_a=(1.0, 0.7, 0.4)))
    assert outcome.rotation is not None
    assert outcome.rotation.site_phases == rotation
    assert meter(outcome).verdict is (Verdict.PASS if rotation == (0, 1, 2) else Verdict.FAIL)


def test_a_turned_transformer() -> None:
    finding = meter(judged(World(gain=(1.0, -1.0, 1.0))))
    assert finding.verdict is Verdict.FAIL
    assert finding.text.startswith("L2 counts backwards")


def test_a_turned_transformer_is_not_claimed_when_the_station_tells_nothing() -> None:
    assert meter(judged(World(gain=(-1.0, -1.0, -1.0), tells=False))).verdict is Verdict.UNSURE


@pytest.mark.parametrize(("gain", "said"), [(10.0, "10 A"), (0.1, "0.1 A"), (2.0, "2 A"), (0.5, "0.5 A")])
def test_a_wrong_scale(gain: float, said: str) -> None:
    finding = meter(judged(World(gain=(gain, gain, gain), noise_a=0.1)))
    assert finding.verdict is Verdict.FAIL
    assert f"shows {said}" in finding.text


def test_a_meter_that_does_not_see_the_charger() -> None:
    outcome = judged(World(car_a=ONE_PHASE), meters=("grid",))
    assert meter(outcome).verdict is Verdict.PASS
    same = {"current_a": [12.0, 12.0, 12.0], "phase_power_w": [2760.0] * 3}
    blind = [{**entry, **same} if entry["kind"] == "meter" else entry for entry in entries(World(), LEVELS)]
    finding = meter(judge(read(blind, STATION, EVSE), (0, 1, 2)))
    assert finding.verdict is Verdict.FAIL
    assert "does not see this charger" in finding.text


def test_two_meters_that_do_not_agree() -> None:
    seen = entries(World(car_a=ONE_PHASE), LEVELS, meters=("grid",))
    other = [entry for entry in entries(World(rotation=(1, 2, 0), car_a=ONE_PHASE), LEVELS, meters=("hall",)) if entry["kind"] == "meter"]
    outcome = judge(read(sorted(seen + other, key=lambda entry: entry["mono_s"]), STATION, EVSE), (0, 1, 2))
    assert any(one.title == "Meters against each other" and one.verdict is Verdict.FAIL for one in outcome.findings)


def test_a_two_phase_charger_on_a_third_phase() -> None:
    finding = meter(judged(World(rotation=(0, 2, 1), car_a=(1.0, 1.0, 0.0))))
    assert finding.verdict is Verdict.FAIL
    assert "L1 and L3 moves, the site file expects L1 and L2" in finding.text


@pytest.mark.parametrize("apply_s", [1.0, 4.0, 9.0])
def test_the_time_until_a_limit_acts(apply_s: float) -> None:
    """The meter is read once a second, so up to a second later than it acts; rounded up to whole seconds."""
    outcome = judged(World(apply_s=apply_s, meter_s=1.0, sample_s=5.0))
    assert outcome.quirks.apply_s is not None
    assert apply_s <= outcome.quirks.apply_s <= apply_s + 2.0


def test_overdraw() -> None:
    assert judged(World(overdraw=0.05)).quirks.overdraw_part == pytest.approx(0.05, abs=0.01)
    assert judged(World()).quirks.overdraw_part == 0.0


def test_too_few_steps_are_not_certain() -> None:
    outcome = judge(read(entries(World(), (16.0, 6.0, 16.0)), STATION, EVSE), (0, 1, 2))
    assert meter(outcome).verdict is Verdict.UNSURE


def test_nothing_accepted_is_not_certain() -> None:
    outcome = judge(read([], STATION, EVSE), (0, 1, 2))
    assert [one.verdict for one in outcome.findings] == [Verdict.UNSURE]
    assert outcome.quirks.known() == {}


def test_entries_of_others_and_broken_ones_count_nothing() -> None:
    good = entries(World(car_a=ONE_PHASE), LEVELS)
    foreign = [{**entry, "station": "CP9", "limit_a": 3.0} for entry in good if entry["kind"] in ("sent", "answered")]
    broken = [{"kind": 5, "mono_s": 1.0}, {"kind": "meter"}, {"kind": "station", "mono_s": 5.0, "station": STATION, "evse": EVSE, "current_a": "x"}]
    assert judge(read([*good, *foreign, *broken], STATION, EVSE), (0, 1, 2)) == judge(read(good, STATION, EVSE), (0, 1, 2))


def test_percentile() -> None:
    assert percentile([3.0], 0.95) == 3.0
    assert percentile([1.0, 2.0], 0.5) == 1.5
    assert percentile(list(range(101)), 0.95) == 95


# -- laws ----------------------------------------------------------------------------------------------

SITES = st.builds(
    World,
    rotation=st.sampled_from(list(permutations(range(3)))),
    car_a=st.sampled_from([ONE_PHASE, (1.0, 1.0, 1.0), (1.0, 1.0, 0.0), (1.0, 0.7, 0.4)]),
    gain=st.sampled_from([(1.0, 1.0, 1.0), (-1.0, 1.0, 1.0), (1.0, 1.0, -1.0), (-1.0, -1.0, -1.0)]),
    noise_a=st.floats(0.0, 12.0),
    drift_a=st.floats(-10.0, 10.0),
    motor=st.one_of(st.none(), st.tuples(st.floats(0.0, 200.0), st.floats(-20.0, 20.0))),
    apply_s=st.floats(0.5, 9.0),
    meter_s=st.sampled_from([0.5, 1.0, 3.0]),
    sample_s=st.sampled_from([1.0, 5.0, 9.0]),
    tells=st.booleans(),
    seed=st.integers(0, 10_000),
)


@settings(max_examples=examples(120), deadline=None)
@given(SITES)
def test_whatever_the_building_does_no_wrong_phase_is_named(world: World) -> None:
    """Doubt is allowed, a wrong certainty is not."""
    outcome = judged(world)
    finding = meter(outcome)
    turned = {phase for own, phase in enumerate(world.rotation) if world.car_a[own] and world.gain[phase] < 0}
    if outcome.rotation is not None:
        for own, phase in enumerate(outcome.rotation.site_phases):
            # A station that tells nothing is taken for one that uses its phases from L1 on.
            assert phase is None or phase == world.rotation[own]
    if "counts backwards" in finding.text:
        named = finding.text.split(" counts")[0]
        assert {int(word[1]) - 1 for word in named.replace(",", "").replace(" and", "").split()} <= turned
    if finding.verdict is Verdict.PASS:
        assert not turned
    if outcome.quirks.apply_s is not None and world.noise_a < 0.3 and abs(world.drift_a) < 1 and world.motor is None:
        assert outcome.quirks.apply_s >= int(world.apply_s) - 1
