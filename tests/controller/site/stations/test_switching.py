"""Between one and three phases: when, to which, how long, and what happens on the way."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest

from controller.facts import EvseKey, EvseMeasured, FeaturesLearned, LimitStep
from controller.orders import Inject
from controller.site.sharing.arbiter import Grant, decide
from controller.site.sharing.budget import CircuitLoad, Target
from controller.site.stations.charger import ChargerModel
from controller.site.stations.switching import DOWN_HOLD_S, GIVE_UP_S, UP_HOLD_S, Switcher
from tests.support.pictures import PACE, WALL_S, Picture
from tests.support.site_story import Story, depot

KEY = EvseKey("CP1", 1)
MODELS = {"generic": ChargerModel("generic", apply_s=2.0, phase_switching=True, phase_pause_s=8.0)}
SETTLED_S = 15
"""Pause of the charger, reaction of the car and a little more [s]."""


class Depot(Picture):
    """A picture that goes on: stations accept everything, cars follow at once."""

    def __init__(self, count: int = 1, choice: bool = True, **parts: object) -> None:
        super().__init__(depot(count, fuse_a=40.0, **parts), MODELS)  # type: ignore[arg-type]
        self.switcher = Switcher(self.layout, self.config.control)
        self.obeys = True
        for name in self.actuator.features if not choice else [f"CP{number + 1}" for number in range(count)]:
            self.features(name, phase_switching=True)

    def other(self, *amps: float) -> None:
        """What else flows, by phase."""
        self.loads["grid"] = CircuitLoad((amps[0], amps[1], amps[2]), 0.0, meter="grid")

    def step(self) -> dict[str, Grant]:
        """One second: decide, switch, follow."""
        self.now += 1.0
        frozen = self.freeze()
        grants = decide(frozen.rows, frozen.claims, PACE)
        self.turns.take(grants, self.now)
        self.evses.update(self.switcher.look(self.budget, frozen, grants, self.evses, self.actuator.channels))
        for grant in grants:
            self.hold(grant.key.station_id, grant.limit_a if self.obeys else 16.0)
        return {grant.key.station_id: grant for grant in grants}

    def run(self, seconds: float) -> dict[str, Grant]:
        """Some seconds; the last grants."""
        grants: dict[str, Grant] = {}
        for _ in range(int(seconds)):
            grants = self.step()
        return grants

    @property
    def switched(self) -> int | None:
        return self.evses[KEY].switched


def words(grant: Grant) -> tuple[float, int | None, int | None]:
    return grant.limit_a, grant.phase_count, grant.phase_to_use


def test_a_car_without_room_on_three_phases_charges_on_the_one_with_most_room() -> None:
    site = Depot()
    site.other(36.0, 14.0, 30.0)
    site.car("CP1", limit_a=0.0)
    assert site.run(DOWN_HOLD_S)["CP1"].waiting
    assert words(site.run(3)["CP1"]) == (0.0, 1, 2), "on the way it has nothing"
    assert words(site.run(SETTLED_S)["CP1"]) == (26.0, 1, 2)
    assert site.evses[KEY].phases == (1,)


def test_on_the_way_all_phases_count() -> None:
    site = Depot()
    site.other(36.0, 14.0, 30.0)
    site.car("CP1", limit_a=0.0)
    site.run(DOWN_HOLD_S + 3)
    assert site.evses[KEY].switching
    assert site.freeze().claims[0].rows == (0, 1, 2)


def test_it_goes_back_when_three_phases_have_had_room_for_a_while_and_not_too_soon() -> None:
    site = Depot(control={"phase_switch_s": 300})
    site.other(36.0, 14.0, 30.0)
    site.car("CP1", limit_a=0.0)
    site.run(DOWN_HOLD_S + SETTLED_S + 5)
    begun = site.now
    site.other(10.0, 10.0, 10.0)
    site.run(UP_HOLD_S + 60)
    assert site.switched == 1, "five minutes between two switches"
    site.run(300 - (site.now - begun) + SETTLED_S + 20)
    assert words(site.run(1)["CP1"]) == (30.0, 3, None)
    assert site.switched is None


def test_room_that_comes_and_goes_is_no_reason_to_go_back() -> None:
    site = Depot(control={"phase_switch_s": 60})
    site.other(36.0, 14.0, 30.0)
    site.car("CP1", limit_a=0.0)
    site.run(DOWN_HOLD_S + SETTLED_S + 5)
    for _ in range(8):
        site.other(10.0, 10.0, 10.0)
        site.run(UP_HOLD_S - 10)
        site.other(36.0, 14.0, 30.0)
        site.run(5)
    assert site.switched == 1


def test_who_may_not_name_the_phase_gets_its_first_or_none() -> None:
    site = Depot(choice=False)
    site.other(36.0, 14.0, 30.0)
    site.car("CP1", limit_a=0.0)
    assert site.run(60)["CP1"].waiting
    assert site.switched is None
    site.other(14.0, 36.0, 30.0)
    assert words(site.run(60)["CP1"]) == (26.0, 1, None)


def test_a_1_6_station_may_not_name_the_phase() -> None:
    site = Depot()
    site.channel("CP1").version = "ocpp1.6"
    site.other(14.0, 36.0, 30.0)
    site.car("CP1", limit_a=0.0)
    assert words(site.run(60)["CP1"]) == (26.0, 1, None)


def test_without_room_for_the_minimum_on_any_phase_nothing_is_switched() -> None:
    site = Depot()
    site.other(36.0, 36.0, 36.0)
    site.car("CP1", limit_a=0.0)
    assert site.run(60)["CP1"].waiting
    assert site.evses[KEY].switched is None


def test_the_minimum_of_others_is_not_taken() -> None:
    """L2 has 10 A, of which the other car needs 6."""
    site = Depot(2)
    site.other(36.0, 30.0, 36.0)
    site.car("CP1", limit_a=0.0)
    site.car("CP2", (0.0, 10.0, 0.0), (1,))
    site.run(60)
    assert site.switched is None


def test_two_that_wait_do_not_both_go_to_the_same_little_room() -> None:
    site = Depot(2)
    site.other(36.0, 32.0, 36.0)
    site.car("CP1", limit_a=0.0)
    site.car("CP2", limit_a=0.0)
    site.run(DOWN_HOLD_S + 3)
    assert [evse.switched for evse in site.evses.values()] == [1, None]


@pytest.mark.parametrize(("power_w", "expected"), [(2300.0, 0), (4139.0, 0), (4200.0, None), (1000.0, None), (None, None)])
def test_a_plan_below_three_minimums_is_carried_out_on_one_phase(power_w: float | None, expected: int | None) -> None:
    """Three times 6 A at 230 V are 4140 W; less than 1380 W is nothing for one phase either."""
    site = Depot()
    site.car("CP1", (6.0, 6.0, 6.0))
    site.targets[KEY] = Target(6.0, "plan", power_w=power_w)
    site.run(DOWN_HOLD_S + 5)
    assert site.switched == expected


def test_a_plan_needs_clearly_more_than_three_minimums_to_go_back() -> None:
    site = Depot(control={"phase_switch_s": 60})
    site.car("CP1", (6.0, 6.0, 6.0))
    site.targets[KEY] = Target(6.0, "plan", power_w=2300.0)
    site.run(DOWN_HOLD_S + SETTLED_S + 10)
    site.targets[KEY] = Target(18.0, "plan", power_w=4300.0)
    site.run(60 + UP_HOLD_S + SETTLED_S)
    assert site.switched == 0
    site.targets[KEY] = Target(20.0, "plan", power_w=4600.0)
    site.run(60 + UP_HOLD_S + SETTLED_S)
    assert site.switched is None


def test_the_csms_may_ask_for_one_phase() -> None:
    site = Depot()
    site.car("CP1", (16.0, 16.0, 16.0))
    site.wish("CP1", LimitStep(WALL_S, 16.0, phase_count=1))
    assert words(site.run(DOWN_HOLD_S + SETTLED_S + 10)["CP1"]) == (16.0, 1, 1)


def test_a_car_that_draws_elsewhere_after_the_switch_counts_with_all_and_is_left_alone() -> None:
    site = Depot(control={"phase_switch_s": 60})
    site.other(36.0, 14.0, 30.0)
    site.car("CP1", limit_a=0.0)
    site.run(DOWN_HOLD_S + SETTLED_S + 5)
    use = replace(site.evses[KEY].phase_use, most=(0, 1, 2))
    site.evses[KEY] = replace(site.evses[KEY], phase_use=use)
    site.step()
    assert site.evses[KEY].phases == (0, 1, 2)
    assert site.run(600)["CP1"].waiting
    assert site.evses[KEY].switched is None


def test_a_station_that_does_not_take_the_pause_is_not_switched() -> None:
    site = Depot()
    site.car("CP1", (6.0, 6.0, 6.0))
    site.targets[KEY] = Target(6.0, "plan", power_w=2300.0)
    site.obeys = False
    site.run(DOWN_HOLD_S + GIVE_UP_S + 5)
    assert (site.evses[KEY].switching, site.evses[KEY].switched) == (False, None)
    site.obeys = True
    site.run(300)
    assert site.switched is None


def test_a_new_session_starts_as_wired() -> None:
    site = Depot()
    site.other(36.0, 14.0, 30.0)
    site.car("CP1", limit_a=0.0)
    site.run(DOWN_HOLD_S + 3)
    site.evses[KEY] = replace(site.evses[KEY], session=None, switched=None, switching=False)
    site.step()
    site.car("CP1", limit_a=0.0, transaction_id="next")
    assert site.step()["CP1"].phase_count == 3


# -- the whole site ----------------------------------------------------------------------------------------


class Switching(Story):
    """A story whose charger really switches, and pauses for it."""

    def __init__(self) -> None:
        config = depot(1, fuse_a=25.0, worst_other_load_a=15.0, control={"phase_switch_s": 120})
        super().__init__(config, MODELS)
        self.used: tuple[int, ...] = (0, 1, 2)
        self.building: tuple[float, float, float] = (10.0, 10.0, 10.0)

    def _inject(self, order: Inject) -> None:
        if order.limit_a > 0:
            self.used = (0, 1, 2) if order.phase_count != 1 else ((order.phase_to_use or 1) - 1,)
        super()._inject(order)

    def flows(self) -> list[float]:
        drawn_a = self.drawn_a.get(KEY, 0.0)
        return [drawn_a if phase in self.used else 0.0 for phase in range(3)]

    def metered_a(self, building_a: float) -> tuple[float, float, float]:
        car = self.flows()
        return self.building[0] + car[0], self.building[1] + car[1], self.building[2] + car[2]

    def report(self) -> None:
        car = self.flows()
        self.do(EvseMeasured(self.at(), KEY, (car[0], car[1], car[2])))

    def over(self, seconds: int) -> Iterable[float]:
        """Run, and tell the highest phase of each second."""
        for _ in range(seconds):
            self.step()
            yield max(self.metered_a(0.0))


def test_a_charger_switches_while_the_building_lives_and_no_fuse_notices() -> None:
    told = Switching()
    told.do(FeaturesLearned(told.at(), "CP1", phase_switching=True))
    told.start()
    told.plug(KEY)
    highest = [max(told.over(60))]
    assert told.used == (0, 1, 2)
    told.building = (21.0, 9.0, 20.0)
    list(told.over(8))
    highest.append(max(told.over(120)))
    assert (told.used, told.drawn_a[KEY]) == ((1,), 15.0)
    told.building = (8.0, 8.0, 8.0)
    highest.append(max(told.over(300)))
    assert (told.used, told.drawn_a[KEY]) == ((0, 1, 2), 15.0), "25 A less 1 A kept free and a little more than 8 A"
    assert max(highest) <= 25.0
