"""Meters and stations that show what is not: F41, F43-F45, F48-F50, F57 by number, as stories of the site half in virtual time."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from controller.facts import EvseKey, EvseMeasured, Fact, LimitUnit, MeterFailed, MeterRead, PhaseAmps
from controller.orders import Inject, RecordPoint
from meters.reading import Quality, Reading
from tests.support.site_story import Story, depot

CP1, CP2, CP3 = EvseKey("CP1", 1), EvseKey("CP2", 1), EvseKey("CP3", 1)
PV = {"id": "pv", "role": "pv", "source": {"type": "mqtt", "topic": "pv"}}
BATTERY_METER = {"id": "store", "role": "battery", "source": {"type": "mqtt", "topic": "store"}}
BATTERY = {"capacity_wh": 20_000, "max_charge_w": 20_000, "max_discharge_w": 20_000, "min_soc_percent": 10}


class Crooked(Story):
    """A depot whose grid meter shows something else than what flows."""

    shows: Callable[[PhaseAmps], PhaseAmps] = staticmethod(lambda amps: amps)
    rounds = 0

    def reading(self, amps: PhaseAmps, quality: Quality = Quality.GOOD, meter: str = "grid", **more: Any) -> Fact:
        return super().reading(self.shows(amps), quality, meter, **more)

    def steps(self, rounds: int, building_a: float = 10.0, until: str = "normal") -> int:
        """Cars come and go, half a minute each; how many came until the site left this mode."""
        for number in range(rounds):
            self.rounds += 1
            key = f"CP{self.rounds % 2 + 1}"
            self.plug(key)
            self.run(30, building_a)
            self.unplug(EvseKey(key, 1))
            self.run(25, building_a)
            if self.site.mode.mode.value != until:
                return number + 1
        return rounds


def crooked(shows: Callable[[PhaseAmps], PhaseAmps], generation: bool = True, **parts: Any) -> Crooked:
    """With generation behind the meter nothing but the steps can show what is wrong."""
    told = Crooked(depot(3, **{"meters": [PV] if generation else [], **parts}))
    told.start()
    told.shows = shows
    return told


def turned(*phases: int) -> Callable[[PhaseAmps], PhaseAmps]:
    def shows(amps: PhaseAmps) -> PhaseAmps:
        found = [-one if phase in phases else one for phase, one in enumerate(amps)]
        return found[0], found[1], found[2]

    return shows


# -- F41 ------------------------------------------------------------------------------------------------------


def quantised(told: Story, amps: PhaseAmps, second: int) -> MeterRead:
    whole = tuple(float(round(one)) for one in amps)
    reading = Reading("grid", Quality.GOOD, (whole[0], whole[1], whole[2]), power_w=230.0 * sum(amps), energy_import_wh=1000.0 + 7 * second)
    return MeterRead(told.at(), reading)


def test_f41_a_steady_building_behind_a_meter_of_whole_amperes_is_not_stuck() -> None:
    """A battery keeps the grid at 20 A while cars change by 3 A; only the digits of power and energy move."""
    told = Story(depot(2, meters=[BATTERY_METER]))
    told.start()
    told.plug("CP1")
    told.run(20)
    for second in range(100):
        told.now += 1
        told.wants_a[CP1] = told.drawn_a[CP1] = 20.0 if second < 30 else 23.0
        told.report()
        told.do(quantised(told, (20.0, 20.0, 20.0), second))
        told.do(told.tick())
        assert told.site.mode.mode.value == "normal"


def test_f41_currents_that_stand_still_for_minutes_while_all_else_moves_are_stuck_too() -> None:
    told = Story(depot(2))
    told.start()
    told.plug("CP1")
    told.run(20)
    for second in range(200):
        told.now += 1
        told.drawn_a[CP1] = 26.0 if second < 10 else 12.0
        told.report()
        reading = Reading("grid", Quality.GOOD, (36.0, 36.0, 36.0), power_w=1000.0 + second, energy_import_wh=1000.0 + second)
        told.do(MeterRead(told.at(), reading))
        told.do(told.tick())
    assert told.site.mode.mode.value == "failsafe"
    assert "stuck" in told.site.mode.reason


# -- F43 ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("phases", [(0, 1, 2), (0,), (2,)])
def test_f43_a_turned_sensor_is_proved_by_five_steps_and_the_site_falls_back(phases: tuple[int, ...]) -> None:
    told = crooked(turned(*phases))
    assert told.steps(10) <= 5
    assert told.site.mode.mode.value == "failsafe"
    names = ", ".join(f"L{phase + 1}" for phase in phases)
    assert f"{names} counts backwards" in told.site.mode.reason
    assert len(told.told("not believed, site goes to fallback")) == 1
    told.plug("CP3")
    told.run(10)
    assert told.site.actuator.channels[CP3].present_a(told.now) <= 6.0


def test_f43_without_generation_it_is_seen_within_seconds_without_any_step() -> None:
    told = crooked(turned(0, 1, 2), generation=False)
    told.plug("CP1")
    told.run(25)
    assert told.site.mode.mode.value == "failsafe"


def test_f43_a_sensor_turned_back_is_believed_after_three_right_steps() -> None:
    told = crooked(turned(0, 1, 2))
    told.steps(10)
    told.shows = turned()
    for _ in range(8):
        told.steps(1, until="failsafe")
        if told.site.mode.mode.value == "normal":
            break
    assert told.site.mode.mode.value == "normal"
    assert told.told("agrees with the cars again")


@pytest.mark.parametrize("store", [False, True])
def test_f43_a_right_meter_stays_believed_with_sun_and_battery(store: bool) -> None:
    told = crooked(turned(), meters=[BATTERY_METER] if store else [PV], generation=False)
    for number in range(20):
        told.plug(f"CP{number % 3 + 1}")
        told.run(30, -20.0 + 3 * (number % 5))
        told.unplug(EvseKey(f"CP{number % 3 + 1}", 1))
        told.run(25, -20.0 + 3 * (number % 5))
    assert not told.told("steps of the cars")
    assert told.site.mode.mode.value == "normal"


# -- F44 ------------------------------------------------------------------------------------------------------


def test_f44_a_phase_without_current_beside_others_that_follow_counts_with_the_worst() -> None:
    told = crooked(lambda amps: (amps[0], amps[1], 0.0))
    for _ in range(6):
        told.steps(1)
    assert "L3 shows nothing of the cars on it" in told.told("highest phase counts")[0]
    assert told.site.mode.mode.value == "normal"
    told.run(3)
    currents = told.site.meters.grid_current_a()
    assert currents is not None
    assert currents[2] == currents[0] >= 10.0


def test_f44_swapped_phases_are_seen_by_one_phase_cars() -> None:
    told = crooked(lambda amps: (amps[1], amps[0], amps[2]))
    told.one_phase |= {CP1, CP2}
    for _ in range(6):
        told.steps(1)
    assert "cars on L1 appear on L2" in told.told("highest phase counts")[0]
    currents = told.site.meters.grid_current_a()
    assert currents is not None
    assert len(set(currents)) == 1


# -- F45 ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("factor", "said", "building_a"), [(10.0, "shows ten times too much", 1.0), (0.1, "shows a tenth of what flows", 10.0)])
def test_f45_a_wrong_scale_shows_in_the_ratio_of_the_steps_where_the_sum_says_nothing(factor: float, said: str, building_a: float) -> None:
    """With room for cars to move: without any, a meter that shows ten times too much is over its limit and nobody charges."""
    told = crooked(lambda amps: (factor * amps[0], factor * amps[1], factor * amps[2]), fuse_a=400.0)
    told.steps(12, building_a)
    assert told.site.mode.mode.value == "failsafe"
    assert said in told.site.mode.reason


# -- F48, F49, F50 -----------------------------------------------------------------------------------------------


def test_f48_a_meter_that_counts_from_nought_again_keeps_its_power_and_gets_a_mark() -> None:
    told = Story(depot(1))
    told.start()
    told.plug("CP1")
    for second in range(20):
        told.now += 1
        told.settle()
        told.report()
        counter = 5_000_000.0 + second if second < 10 else 3.0 + second
        told.do(told.reading(told.metered_a(10.0), energy_import_wh=counter))
        told.do(told.tick())
    assert told.site.mode.mode.value == "normal"
    assert told.drawn_a[CP1] == 32.0
    assert len(told.told("fell from 5000.0 to 0.0 kWh")) == 1
    marks = [order for order in told.of(RecordPoint) if order.measurement == "meter_restart"]
    assert [(one.tags, one.fields) for one in marks] == [({"meter": "grid", "register": "import"}, {"before_wh": 5_000_009.0, "after_wh": 13.0})]


def test_f49_a_rising_error_rate_is_told_once_while_control_goes_on_and_once_when_it_is_over() -> None:
    told = Story(depot(1))
    told.start()
    told.plug("CP1")
    for second in range(120):
        told.step(10.0 if second % 4 else None)
        if second % 4 == 0:
            told.do(MeterFailed(told.at(), "grid", "wrong answer: bad checksum"))
    assert told.site.mode.mode.value == "normal"
    assert len(told.told("of the readings of meter grid fail (wrong answer: bad checksum)")) == 1
    told.run(150)
    assert len(told.told("come through again")) == 1


def test_f49_a_few_lost_answers_are_no_news() -> None:
    told = Story(depot(1))
    told.start()
    for second in range(300):
        told.step(10.0 if second % 25 else None)
        if second % 25 == 0:
            told.do(MeterFailed(told.at(), "grid", "timeout"))
    assert not told.told("of the readings")


def test_f50_a_meter_that_takes_five_seconds_each_time_costs_a_steady_margin_and_no_flood() -> None:
    told = Story(depot(2))
    told.start()
    told.plug("CP1")
    told.plug("CP2")
    for second in range(300):
        told.step(10.0 if second % 5 == 0 else None)
        if second == 150:
            told.orders.clear()
    assert told.site.mode.mode.value == "degraded"
    assert "always late - 10 % of the fuse" in told.site.mode.reason
    drawn_a = sum(told.drawn_a.values())
    assert 63 - 1 - 10 - 6.3 - 2 <= drawn_a <= 63 - 1 - 10 - 6.3
    told_of_mode = told.told("site is in")
    assert not told_of_mode, "the mode comes and goes with each reading"
    changes = [order for _, order in told.orders if isinstance(order, Inject)]
    assert len(changes) <= 2 * (150 / 50 + 1), "setpoints are renewed, not moved up and down"


# -- F57 ------------------------------------------------------------------------------------------------------


def test_f57_limits_on_named_circuits_bind_there_and_the_smallest_wins_on_each() -> None:
    told = Story(depot(4, fuse_a=200.0, circuits=2, circuit_fuse_a=63.0))
    told.start()
    for number in range(4):
        told.plug(f"CP{number + 1}")
    told.run(20)
    told.limit(40.0, circuit="hall0", source="mqtt")
    told.limit(20.0, circuit="hall0", source="api")
    told.limit(13_800.0, LimitUnit.W, circuit="grid", source="vpp")
    told.limit(60.0, circuit="grid", source="mqtt")
    told.run(30)
    hall0 = told.drawn_a[CP1] + told.drawn_a[CP3]
    assert hall0 <= 20.0
    assert max(told.metered_a(10.0)) <= 20.0, "13.8 kW are 20 A on each phase"
    view = {(one.circuit, one.source): one for one in told.site.view(told.at()).limits}
    assert view["grid", "vpp"].binding
    assert not view["grid", "mqtt"].binding
    told.limit(None, circuit="grid", source="vpp")
    told.run(40)
    assert 12.0 <= told.drawn_a[CP1] + told.drawn_a[CP3] <= 20.0
    assert "api" in told.site.grants[CP1].reason


# -- circuits nobody measures ------------------------------------------------------------------------------------


def test_a_circuit_without_a_meter_is_guarded_by_what_its_stations_say() -> None:
    """Two cars in a hall of 40 A; one draws 32 A with a setpoint of 20 A. The other makes room before the escalation has begun."""
    told = Story(depot(2, fuse_a=200.0, circuits=1, circuit_fuse_a=40.0))
    told.start()
    told.plug("CP1")
    told.plug("CP2")
    told.run(30)
    assert 36 <= told.drawn_a[CP1] + told.drawn_a[CP2] <= 40
    told.stubborn.add(CP1)
    told.drawn_a[CP1] = 32.0
    told.run(4)
    assert told.site.actuator.channels[CP2].present_a(told.now) <= 8.0
    told.run(3)
    assert told.drawn_a[CP1] + told.drawn_a[CP2] <= 40.0
    told.run(60)
    assert max(told.drawn_a[CP1] + told.drawn_a[CP2], 0.0) <= 40.0


def test_a_derived_excess_is_told_as_derived() -> None:
    told = Story(depot(2, fuse_a=200.0, circuits=1, circuit_fuse_a=40.0))
    told.start()
    told.plug("CP1")
    told.plug("CP2")
    told.run(30)
    told.stubborn |= {CP1, CP2}
    told.drawn_a.update({CP1: 32.0, CP2: 32.0})
    told.run(12)
    assert any("its stations add up to 64 A, limit 40 A" in text for text in told.told("hall0"))
    told.stubborn.clear()
    told.drawn_a.update({CP1: 6.0, CP2: 6.0})
    told.run(40)
    assert told.told("hall0 is below its limit again")


# -- Stop ---------------------------------------------------------------------------------------------------------


def test_stop_pauses_the_lowest_priority_first_when_the_fallbacks_do_not_fit() -> None:
    """Meter lost, and a limit of 18 A leaves room for two fallbacks of 6 A beside a worst load of 4 A."""
    config = depot(3, worst_other_load_a=4.0)
    low = config.stations[1].model_copy(update={"evses": (config.stations[1].evses[0].model_copy(update={"priority": -3}),)})
    told = Story(config.model_copy(update={"stations": (config.stations[0], low, config.stations[2])}))
    told.start()
    for number in range(3):
        told.plug(f"CP{number + 1}")
    told.run(20)
    told.limit(18.0)
    told.run(20, None)
    assert told.site.mode.mode.value == "stop"
    assert {key: told.site.actuator.channels[key].present_a(told.now) for key in (CP1, CP2, CP3)} == {CP1: 6.0, CP2: 0.0, CP3: 6.0}
    told.run(60)
    assert told.site.mode.mode.value == "normal"


def test_stop_is_told_while_a_station_obeys_nothing_and_the_fuse_is_over() -> None:
    told = Story(depot(2, fuse_a=40.0))
    told.start()
    told.plug("CP1")
    told.plug("CP2")
    told.run(20)
    told.stubborn.add(CP1)
    told.drawn_a[CP1] = 32.0
    told.run(60, 12.0)
    assert told.site.mode.mode.value == "stop"
    assert "CP1/1 does not follow" in told.site.mode.reason
    assert told.drawn_a[CP2] == 0.0


def test_stop_is_told_once_though_the_fuse_is_over_now_and_then() -> None:
    told = Story(depot(2, fuse_a=40.0))
    told.start()
    told.plug("CP1")
    told.run(20)
    told.stubborn.add(CP1)
    told.drawn_a[CP1] = 32.0
    for _ in range(10):
        told.run(60, 12.0)
        told.run(60, 5.0)
    assert len(told.told("site is in stop mode")) == 1
    told.unplug(CP1)
    told.run(3)
    assert told.site.mode.mode.value == "normal"


# -- the battery --------------------------------------------------------------------------------------------------


def stored(told: Story, discharge_a: float, soc_percent: float | None) -> None:
    reading = Reading("store", Quality.GOOD, power_w=-3 * 230.0 * discharge_a, soc_percent=soc_percent)
    told.do(MeterRead(told.at(), reading))


def test_a_battery_that_runs_empty_lifts_the_grid_by_nothing_that_was_not_kept_free() -> None:
    """20 A per phase from the battery until it is at its lowest charge: the cars have made room before it stops."""
    told = Story(depot(3, meters=[BATTERY_METER], battery={**BATTERY, "meter": "store"}))
    told.start()
    for number in range(3):
        told.plug(f"CP{number + 1}")
    worst_a = 0.0
    for second in range(240):
        soc_percent = max(10.0, 60.0 - second / 3)
        giving_a = 20.0 if soc_percent > 10.0 else 0.0
        stored(told, giving_a, round(soc_percent))
        told.step(30.0 - giving_a)
        worst_a = max(worst_a, *told.metered_a(30.0 - giving_a))
        if soc_percent == 50.0:
            assert sum(told.drawn_a.values()) > 45.0, "far from empty its power is there to be used"
    assert worst_a <= 63.0


@pytest.mark.parametrize("silent", [False, True])
def test_a_battery_nobody_knows_enough_of_counts_with_what_it_gives(silent: bool) -> None:
    told = Story(depot(3, meters=[BATTERY_METER], battery={**BATTERY, "meter": "store"}))
    told.start()
    for number in range(3):
        told.plug(f"CP{number + 1}")
    for _ in range(40):
        stored(told, 20.0, 60.0)
        told.step(10.0)
    assert sum(told.drawn_a.values()) > 45.0
    for _ in range(40):
        if not silent:
            stored(told, 20.0, None)
        told.step(10.0)
    assert sum(told.drawn_a.values()) <= 63.0 - 1.0 - 30.0
    assert bool(told.told("room is kept for what the battery gave last")) is silent


# -- stations that lie (F41-F45 at a station) --------------------------------------------------------------------------


class Lying(Story):
    """A depot in which one station tells something else than what flows."""

    tells: Callable[[PhaseAmps], PhaseAmps] = staticmethod(lambda amps: amps)
    watts: Callable[[float], float] = staticmethod(lambda power_w: power_w)
    liar = CP1
    energy_wh: float | None = None

    def report(self) -> None:
        for key, drawn_a in self.drawn_a.items():
            idle_a = 0.0 if key in self.one_phase else drawn_a
            amps, power_w = (drawn_a, idle_a, idle_a), 230.0 * (drawn_a + 2 * idle_a)
            if key == self.liar:
                amps, power_w = self.tells(amps), self.watts(power_w)
            self.do(EvseMeasured(self.at(), key, amps, power_w, self.energy_wh if key == self.liar else None))


def lying(count: int = 2, **parts: Any) -> Lying:
    told = Lying(depot(count, **parts))
    told.start()
    for number in range(count):
        told.plug(f"CP{number + 1}")
    told.run(20)
    return told


@pytest.mark.parametrize(
    ("tells", "said"),
    [
        (lambda amps: tuple(1000.0 * one for one in amps), "currents it cannot carry"),
        (lambda amps: tuple(10.0 * one for one in amps), "currents it cannot carry"),
        (lambda amps: tuple(-one for one in amps), "shows charging as negative"),
    ],
)
def test_f43_f45_a_station_with_impossible_currents_loses_its_voice_and_harms_nobody(tells: Callable[[PhaseAmps], PhaseAmps], said: str) -> None:
    told = lying()
    before_a = told.site.actuator.channels[CP1].present_a(told.now)
    told.tells = tells
    told.run(60)
    assert len(told.told(said)) == 1
    assert told.site.mode.mode.value == "normal"
    assert 18.0 <= told.site.actuator.channels[CP1].present_a(told.now) <= before_a
    assert told.drawn_a[CP2] >= 18.0
    assert not told.told("draws"), "nobody is pursued for a wrong number"
    assert max(told.metered_a(10.0)) <= 63.0
    told.tells = lambda amps: amps
    told.run(10)
    assert len(told.told("agree again")) == 1


def test_f45_kilowatts_sent_as_watts_cost_nothing_but_the_power() -> None:
    told = lying()
    told.watts = lambda power_w: power_w / 1000.0
    told.run(30)
    assert len(told.told("kW sent as W")) == 1
    assert told.site.evses[CP1].current_a[0] == told.drawn_a[CP1]
    assert told.site.evses[CP1].power_w == pytest.approx(3 * 230.0 * told.drawn_a[CP1])


def test_f41_a_station_that_repeats_itself_while_its_setpoint_moves_is_not_heard() -> None:
    told = lying()
    told.energy_wh = 5000.0
    frozen = (told.drawn_a[CP1],) * 3
    told.tells, told.watts = lambda amps: frozen, lambda power_w: 3 * 230.0 * frozen[0]
    told.run(10)
    told.limit(36.0)
    told.run(75)
    assert len(told.told("repeats the same values")) == 1
    assert told.site.evses[CP1].current_a == (None, None, None)


def test_f45_a_station_that_tells_less_than_the_meter_shows_is_found_by_its_own_steps() -> None:
    told = lying(1)
    told.tells = lambda amps: (min(6.0, amps[0]),) * 3
    told.watts = lambda power_w: min(4140.0, power_w)
    for _ in range(5):
        told.limit(45.0, circuit="grid", valid_for_s=25)
        told.run(60)
    assert len(told.told("tells something else than the meter shows")) == 1
    capped_a = told.site.proof.claims.cap(CP1)
    told.run(60)
    assert told.site.actuator.channels[CP1].present_a(told.now) <= capped_a


@pytest.mark.parametrize("generation", [False, True])
@pytest.mark.parametrize("kind", ["motors", "clouds", "drift"])
def test_f43_f45_an_honest_site_that_lives_at_its_limit_is_never_accused(kind: str, generation: bool) -> None:
    """An hour and a half of our own control moving the cars against the building, cars coming and going: nobody is suspected."""
    rng = random.Random(f"yardmaster {kind} {generation}")
    told = Crooked(depot(3, meters=[PV] if generation else []))
    told.start()
    told.one_phase.add(CP3)
    building_a = goal_a = 20.0
    for second in range(5400):
        if second % 60 == 0:
            goal_a = rng.choice((5.0, 15.0, 25.0, 35.0)) - 15.0 * generation
        if kind == "motors":
            building_a = goal_a + (25.0 if rng.random() < 0.02 else 0.0)
        elif kind == "clouds":
            building_a += max(-2.0, min(2.0, goal_a - building_a))
        else:
            building_a += max(-0.3, min(0.3, goal_a - building_a)) + rng.gauss(0.0, 0.1)
        if second % 97 == 0:
            key = EvseKey(f"CP{1 + second // 97 % 3}", 1)
            told.unplug(key) if told.site.evses[key].session is not None else told.plug(key, wants_a=rng.choice((16.0, 32.0)))
        told.step(building_a)
    words = ("steps of the cars", "tells something else", "wired to other phases", "highest phase", "less than the stations")
    assert not [text for word in words for text in told.told(word)]


def test_f44_a_station_wired_to_other_phases_is_found_and_the_rotation_is_suggested() -> None:
    """CP1's L1 really hangs on L2. Its one-phase car comes and goes; CP2 is right."""
    told = Lying(depot(2))
    told.start()
    told.one_phase |= {CP1, CP2}

    def turned_round(building_a: float) -> PhaseAmps:
        return building_a + told.drawn_a.get(CP2, 0.0), building_a + told.drawn_a.get(CP1, 0.0), building_a

    told.metered_a = turned_round  # type: ignore[method-assign]
    for _ in range(6):
        for key in ("CP2", "CP1"):
            told.plug(key)
            told.run(30)
            told.unplug(EvseKey(key, 1))
            told.run(25)
    found = told.told("wired to other phases")
    assert len(found) == 1
    assert found[0].startswith("CP1/1")
    assert "its car on L1 appears on L2 - write phases: [L2, L3, L1]" in found[0]
    assert told.site.mode.mode.value == "normal"
    told.plug("CP1")
    told.run(10)
    assert told.site.evses[CP1].phases == (0, 1, 2), "until somebody has looked it counts on all of them"
