"""What the site says about control, and the facts about stations, drivers and cars that it keeps."""

from __future__ import annotations

from dataclasses import replace

from controller.facts import DriverKnown, EvseKey, FeaturesLearned, FloorConfirmed, LimitStep, Restored, ScheduleAnnounced, SetpointAnswered
from controller.orders import Inject, Order, ReadBack
from controller.site.stations.charger import ChargerModel
from tests.support.site_story import WALL_S, Story, depot

CP1, CP2 = EvseKey("CP1", 1), EvseKey("CP2", 1)


def story(count: int = 1, **parts: object) -> Story:
    told = Story(depot(count, **parts))  # type: ignore[arg-type]
    told.start()
    return told


def test_a_mis_stacking_station_is_told_once() -> None:
    told = story()
    told.unconfirmed.add(CP1)  # the story answers no composites; this test does
    told.do(FloorConfirmed(told.at(), CP1, 6.0, True))
    told.plug(CP1)
    seen = 0
    for _ in range(30):
        told.step()
        asked = [order for order in told.of(ReadBack) if order.number]
        for order in asked[seen:]:
            told.do(FloorConfirmed(told.at(), CP1, 32.0, False, number=order.number))
        seen = len(asked)
    assert len(told.told("does not obey what it accepts")) == 1
    assert {order.strategy.unit for order in told.of(Inject)} == {"A", "W"}


def test_features_reach_the_strategies_and_stay() -> None:
    told = story()
    told.do(FeaturesLearned(told.at(), "CP1", units=("W",)))
    assert told.site.features["CP1"].units == ("W",)
    told.plug(CP1)
    told.run(3)
    assert {order.strategy.unit for order in told.of(Inject)} == {"W"}
    assert told.do(FeaturesLearned(told.at(), "nobody", units=("W",))) == []


def test_a_driver_told_before_the_session_counts_in_it() -> None:
    told = story()
    told.do(DriverKnown(told.at(), CP1, f"tx-CP1-{told.now:g}", 5, energy_wh=9000.0, group="van"))
    told.plug(CP1)
    session = told.site.evses[CP1].session
    assert session is not None
    assert (session.driver.priority if session.driver else None, session.need_wh) == (5, 9000.0)


def test_a_driver_of_another_session_does_not() -> None:
    told = story()
    told.do(DriverKnown(told.at(), CP1, "tx-of-yesterday", 5))
    told.plug(CP1)
    session = told.site.evses[CP1].session
    assert session is not None
    assert session.driver is None


def test_what_a_car_says_it_takes_is_left_to_others_beyond_it() -> None:
    # 63 A less 10 A building less 1 A margin: 26 A each, were it not for a car that says it takes 10 A.
    told = story(2)
    for key in (CP1, CP2):
        told.plug(key)
    told.do(ScheduleAnnounced(told.at(), CP1, (LimitStep(WALL_S, 10.0), LimitStep(WALL_S + 9e9, None))))
    told.wants_a[CP1] = 10.0
    told.run(40)
    assert told.drawn_a[CP2] == 32.0
    assert told.drawn_a[CP1] == 10.0
    told.do(ScheduleAnnounced(told.at(), CP1, ()))
    session = told.site.evses[CP1].session
    assert session is not None
    assert session.schedule == ()
    told.do(ScheduleAnnounced(told.at(), CP1, (LimitStep(WALL_S, float("nan")),)))
    assert told.site.evses[CP1].session.schedule == ()  # type: ignore[union-attr]


def test_rubbish_in_the_journal_about_control_costs_only_itself() -> None:
    told = story()
    rubbish = {("strategy", "CP1/1"): 7, ("strategy", "x"): {}, ("blocked", "CP9/1"): {"blocked": True}, ("blocked", "CP1/1"): "yes"}
    assert told.do(Restored(told.at(), rubbish, {})) == []
    told.plug(CP1)
    told.run(20)
    assert told.drawn_a[CP1] == 32.0
    assert not told.blocked()


def test_answers_about_a_whole_station_are_heard() -> None:
    models = {"generic": ChargerModel("generic", purposes=("ChargingStationMaxProfile",))}
    config = depot(1)
    one = config.stations[0].evses[0]
    station = config.stations[0].model_copy(update={"evses": (one, one.model_copy(update={"id": 2}))})
    told = Story(config.model_copy(update={"stations": (station,)}), models=models)
    told.start()
    told.refusing.add(EvseKey("CP1", 0))
    told.plug(CP1)
    told.run(10)
    assert {text.split()[0] for text in told.told("takes no setpoints")} == {"CP1/1", "CP1/2"}
    told.refusing.clear()
    told.run(70)
    assert len(told.told("takes setpoints again")) == 2


def test_an_answer_from_nobody_we_know_is_no_trouble() -> None:
    told = story()
    orders: list[Order] = told.do(SetpointAnswered(told.at(), EvseKey("CP9", 3), 1, False))
    orders += told.do(FloorConfirmed(told.at(), EvseKey("CP9", 0), 6.0, True, number=5))
    orders += told.do(replace(SetpointAnswered(told.at(), CP1, 999, True, retry_after_s=-5.0), lost=True))
    assert orders == []
