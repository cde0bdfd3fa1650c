"""Why, in awkward cases: every row adds up, the sentence is true, and what binds is marked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from controller.config import Config
from controller.facts import (
    EvseKey,
    EvseMeasured,
    FeaturesLearned,
    LimitReceived,
    LimitStep,
    LimitUnit,
    NeedsAnnounced,
    StationOffline,
    StationOnline,
    TrialAsked,
    UpstreamWished,
)
from controller.site.site import Site
from controller.site.stations.charger import ChargerModel
from controller.site.telling.why import explain
from controller.snapshot import WhyView
from tests.support.site_story import WALL_S, Story, depot

ONE, TWO = EvseKey("CP1", 1), EvseKey("CP2", 1)
Case = tuple[WhyView, Story]


def told(count: int = 2, models: dict[str, ChargerModel] | None = None, seconds: int = 60, **parts: Any) -> Story:
    story = Story(depot(count, **parts), models)
    story.start()
    for number in range(count):
        story.plug(f"CP{number + 1}")
    story.run(seconds)
    return story


def why(story: Story, key: EvseKey = ONE) -> Case:
    return explain(story.site, key, story.at()), story


def without_one(story: Story) -> None:
    """Some seconds in which CP1 tells nothing."""
    for _ in range(3):
        story.step(report=False)
        amps = story.drawn_a[TWO]
        story.do(EvseMeasured(story.at(), TWO, (amps,) * 3, power_w=690.0 * amps))


def offline() -> Case:
    """Its last setpoint is kept free for it, as its sentence and its rows say."""
    story = told()
    story.do(StationOffline(story.at(), "CP1"))
    story.run(3)
    return why(story)


def beside_an_offline_one() -> Case:
    story = told()
    story.do(StationOffline(story.at(), "CP1"))
    without_one(story)
    return why(story, TWO)


def offline_after_it_was_put_on_one_phase() -> Case:
    """It falls back to all of its phases: booked on each."""
    story = told(models={"generic": ChargerModel(name="generic", apply_s=2.0, phase_switching=True)})
    evse = story.site.evses[ONE]
    story.site.evses[ONE] = type(evse)(evse.place, session=evse.session, switched=0)
    story.do(StationOffline(story.at(), "CP1"))
    without_one(story)
    return why(story, TWO)


def uncontrollable() -> Case:
    story = Story(depot(2))
    story.refusing.add(ONE)
    story.takes[ONE] = set()
    story.start()
    story.plug(ONE)
    story.plug(TWO)
    story.run(90)
    return why(story)


def beside_an_uncontrollable_one() -> Case:
    return why(uncontrollable()[1], TWO)


def disobeying() -> Case:
    """It accepted a cut to a few amperes and draws 26 A."""
    story = told()
    story.stubborn.add(ONE)
    story.run(25, 45.0)
    return why(story)


def giving_back() -> Case:
    story = Story(depot(2, evse={"v2g": {"max_discharge_w": 11_000}}))
    story.do(FeaturesLearned(story.at(), "CP1", modes=("CentralSetpoint",), v2x=(1,)))
    story.start()
    story.do(StationOnline(story.at(), "CP1", "2.1"))
    story.plug(ONE)
    story.plug(TWO)
    story.do(NeedsAnnounced(story.at(), ONE, None, None, max_discharge_w=11_000.0, bidirectional=True))
    step = LimitStep(WALL_S, 0.0, discharge_a=-16.0, setpoint_a=-10.0, mode="CentralSetpoint")
    story.do(UpstreamWished(story.at(), ONE, (step,), "upstream profile 4"))
    for _ in range(30):
        story.step(report=False)
        story.do(EvseMeasured(story.at(), ONE, (0.0, 0.0, 0.0), power_w=0.0, soc_percent=80.0))
    return why(story)


def one_phase_car() -> Case:
    story = told()
    story.one_phase.add(ONE)
    story.run(60, 40.0)
    return why(story)


def held_as_a_station() -> Case:
    config = depot(1, fuse_a=40.0)
    station = config.stations[0]
    both = (station.evses[0], station.evses[0].model_copy(update={"id": 2}))
    whole = Config.model_validate(config.model_copy(update={"stations": (station.model_copy(update={"evses": both}),)}).model_dump())
    models = {"generic": ChargerModel(name="generic", apply_s=2.0, purposes=("ChargingStationMaxProfile",))}
    story = Story(whole, site=Site(whole, models))
    story.start()
    story.plug(ONE)
    story.plug(EvseKey("CP1", 2))
    story.run(90)
    return why(story)


def unbalance(count: int) -> Case:
    story = Story(depot(count, fuse_a=100.0, grid={"max_unbalance_a": 13}, evse={"phases": ["L1"], "fallback_a": 0}))
    story.start()
    for number in range(count):
        story.one_phase.add(story.plug(f"CP{number + 1}"))
    story.run(60)
    return why(story)


def unbalance_of_one() -> Case:
    return unbalance(1)


def unbalance_of_two() -> Case:
    return unbalance(2)


def named_circuit() -> Case:
    story = told(2, circuits=1, circuit_fuse_a=40.0)
    story.do(LimitReceived(story.at(), "api", "hall0", 20.0, LimitUnit.A, 600.0))
    story.run(20)
    return why(story)


def circuit_that_nobody_measures() -> Case:
    """Its fuse of 32 A: two cars, of which one draws 2 A more than it is told."""
    story = told(2, circuits=1, circuit_fuse_a=32.0)
    for _ in range(10):
        story.step(report=False)
        for key in (ONE, TWO):
            amps = story.drawn_a[key] + 2.0 * (key == TWO)
            story.do(EvseMeasured(story.at(), key, (amps,) * 3, power_w=690.0 * amps))
    return why(story)


def station_limit_of_the_csms() -> Case:
    story = told()
    story.do(UpstreamWished(story.at(), EvseKey("CP1", 0), (LimitStep(WALL_S, 11.0),), "upstream profile 9"))
    story.run(20)
    return why(story)


def building_over_the_fuse() -> Case:
    story = told()
    story.run(3, 70.0)
    return why(story)


def sun() -> Case:
    """The roof feeds in 8 A: what flows besides the cars is negative."""
    story = told(4)
    story.run(60, -8.0)
    return why(story)


def silent_meter() -> Case:
    story = told()
    for _ in range(40):
        story.step(None)
    return why(story)


def draws_more_than_told() -> Case:
    story = told(2, {"generic": ChargerModel(name="generic", apply_s=2.0, overdraw_part=0.05)}, fuse_a=43.0)
    return why(story)


def under_test() -> Case:
    story = told()
    for _ in range(10):
        story.do(TrialAsked(story.at(), ONE, 9.0, 20.0, "me"))
        story.step()
    return why(story)


def beside_a_test() -> Case:
    story = told()
    story.run(40, 45.0)
    for _ in range(10):
        story.do(TrialAsked(story.at(), ONE, 6.0, 20.0, "me"))
        story.step()
    return why(story, TWO)


CASES: list[tuple[Callable[[], Case], tuple[str, ...]]] = [
    (offline, ("CP1/1: station offline - 26 A kept free for it.",)),
    (beside_an_offline_one, ("CP2/1 has 25 A: fuse L", "is full (10 A other load, 0 A other cars, 27 A kept free)")),
    (offline_after_it_was_put_on_one_phase, ("CP2/1 has",)),
    (uncontrollable, ("CP1/1 takes no setpoints (Rejected): 32 A are kept free for it.",)),
    (beside_an_uncontrollable_one, ("CP2/1 has 20 A: fuse L", "33 A kept free)")),
    (disobeying, ("CP1/1 draws 26 A with a setpoint of", "it does not follow, 26 A are kept free for it.")),
    (giving_back, ("CP1/1 gives back 6.9 kW: upstream profile 4.",)),
    (one_phase_car, ("CP1/1 has 11 A: fuse L1 carries 63 A and is full (40 A other load, 10 A other cars, 1 A kept free).",)),
    (held_as_a_station, ("CP1/1 has", "fuse L")),
    (unbalance_of_one, ("CP1/1 has 13 A: unbalance limit L1 over L", "allows 13 A and is full (0 A balanced by cars on the other phase")),
    (unbalance_of_two, ("CP1/1 has 7 A: unbalance limit L1 over L", "6 A other cars")),
    (named_circuit, ("CP1/1 has 10 A: fleet limit (api) for hall0 L1 allows 20 A and is full (0 A other load, 10 A other cars, 0 A kept free).",)),
    (circuit_that_nobody_measures, ("CP1/1 has", "circuit hall0 L", "carries 32 A and is full (2 A other load")),
    (station_limit_of_the_csms, ("CP1/1 has 11 A: upstream profile 9 L1 allows 11 A and is full (0 A other load, 0 A other cars, 0 A kept free).",)),
    (building_over_the_fuse, ("CP1/1",)),
    (sun, ("CP1/1 has", "(8 A fed in by others,")),
    (silent_meter, ("CP1/1 has 6 A: meter grid silent - fallback.",)),
    (draws_more_than_told, ("CP1/1 has 15 A: fuse L",)),
    (under_test, ("CP1/1 has 9 A: commissioning test.",)),
    (beside_a_test, ("held while another charger is tested.",)),
]


@pytest.mark.parametrize(("case", "words"), CASES, ids=[case.__name__ for case, _ in CASES])
def test_the_figures_add_up_and_the_sentence_is_true(case: Callable[[], Case], words: tuple[str, ...]) -> None:
    found, story = case()
    print(found.sentence, *found.rows, *found.layers, sep="\n")
    for word in words:
        assert word in found.sentence
    assert "  " not in found.sentence
    assert "-0" not in found.sentence
    for row in found.rows:
        parts_a = row.other_a + row.margin_a + row.booked_a + row.others_a + row.own_a + row.left_a
        assert row.carries_a == pytest.approx(parts_a, abs=1e-6)
        assert min(row.margin_a, row.booked_a, row.others_a, row.own_a) >= -1e-6
    assert found.layers == tuple(sorted(found.layers, key=lambda layer: layer.limit_a))
    assert sum(layer.binds for layer in found.layers) + any(row.binds for row in found.rows) <= 1
    assert [row.left_a for row in found.rows] == sorted(row.left_a for row in found.rows)
    assert story.site.frozen is not None


def test_what_is_kept_for_an_offline_station_stands_in_its_own_rows() -> None:
    found, _ = offline()
    assert {row.booked_a for row in found.rows} == {26.0}
    assert {row.own_a for row in found.rows} == {0.0}


def test_an_offline_station_that_was_on_one_phase_counts_on_all() -> None:
    found, _ = offline_after_it_was_put_on_one_phase()
    assert [row.booked_a for row in found.rows] == [26.0, 26.0, 26.0]
    assert {row.margin_a for row in found.rows} == {1.0}


def test_a_station_limit_shows_what_it_carries_even_beside_a_booking() -> None:
    found, _ = station_limit_of_the_csms()
    assert {(row.what, row.phase) for row in found.rows if row.carries_a == 11.0} == {("upstream profile 9", name) for name in ("L1", "L2", "L3")}


def test_a_box_for_the_whole_station_says_what_the_station_was_told() -> None:
    found, story = held_as_a_station()
    line = story.site.actuator.line(ONE)
    assert line is not None
    assert line.accepted is not None
    assert any(f"{line.accepted.told_a:.4g} A for the whole station" in text for text in found.told)


def test_the_priority_of_a_test_is_told() -> None:
    assert "commissioning test" in under_test()[0].priority_from
    assert [layer.source for layer in under_test()[0].layers if layer.binds] == ["test"]
