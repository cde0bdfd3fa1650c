"""From the picture to rows and claims: layers, sources, booking, unbalance, giving back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from controller.facts import EvseKey, LimitStep, LimitUnit, NeedsAnnounced, Stamp
from controller.site.grid.limits import Limit
from controller.site.sharing.budget import CircuitLoad, StationWish, Target
from controller.site.stations.channel import Floor, Sent, Wanted
from controller.site.stations.charger import ChargerModel
from tests.support.pictures import WALL_S, Picture
from tests.support.site_story import depot


def picture(count: int = 2, fuse_a: float = 100.0, models: dict[str, ChargerModel] | None = None, **parts: Any) -> Picture:
    return Picture(depot(count, fuse_a=fuse_a, **parts), models)


def limit(amps: float, source: str) -> Limit:
    return Limit(source, "grid", amps, LimitUnit.A, amps, f"fleet limit ({source})", 5000.0, WALL_S + 5000.0)


# -- the chain of limits -------------------------------------------------------------------------------------


def test_every_layer_is_told_with_its_source_and_end() -> None:
    site = picture()
    key = site.car("CP1", (16.0, 16.0, 16.0), car_max_a=25.0)
    site.wish("CP1", LimitStep(WALL_S, 20.0), LimitStep(WALL_S + 7000.0, None))
    site.targets[key] = Target(18.0, "plan", ends_wall_s=WALL_S + 900.0)
    site.loads["grid"] = replace(site.loads["grid"], lost=True)
    site.channel("CP1").floor = Floor.FAILED
    site.paused.add(key)
    told = site.budget.layers(site.evses[key], site.channel("CP1"), site.inputs())
    assert [(one.source, one.limit_a, one.ends_wall_s) for one in told] == [
        ("charger", 32.0, None),
        ("car", 25.0, None),
        ("upstream", 20.0, WALL_S + 7000.0),
        ("plan", 18.0, WALL_S + 900.0),
        ("floor", 6.0, None),
        ("safety", 6.0, None),
        ("guard", 0.0, None),
    ]
    assert told[5].reason == "meter grid silent - fallback"


@pytest.mark.parametrize(
    ("wish_a", "target_a", "fuse_a", "expected"),
    [
        (None, None, 200.0, (32.0, "", None, "charger maximum")),
        (20.0, None, 200.0, (20.0, "CSO", WALL_S + 7000.0, "upstream profile 7")),
        (20.0, 12.0, 200.0, (12.0, "EMS", WALL_S + 900.0, "plan")),
        (20.0, None, 40.0, (15.0, "EMS", None, "fuse L1")),
        (10.0, None, 40.0, (10.0, "CSO", WALL_S + 7000.0, "upstream profile 7")),
    ],
)
def test_a_grant_says_who_holds_it_back_and_until_when(
    wish_a: float | None, target_a: float | None, fuse_a: float, expected: tuple[float, str, float | None, str]
) -> None:
    site = picture(fuse_a=fuse_a)
    for name in ("CP1", "CP2"):
        key = site.car(name, limit_a=0.0)
        if wish_a is not None:
            site.wish(name, LimitStep(WALL_S, wish_a), LimitStep(WALL_S + 7000.0, None))
        if target_a is not None:
            site.targets[key] = Target(target_a, "plan", ends_wall_s=WALL_S + 900.0)
    grant = site.decide()["CP1"]
    assert (grant.limit_a, grant.source, grant.ends_wall_s, grant.reason) == expected


@pytest.mark.parametrize(
    ("source", "word"),
    [("mqtt", "EMS"), ("api", "EMS"), ("mqtt:solar", "EMS"), ("mqtt:so", "SO"), ("mqtt:dso-1", "SO"), ("grid", "SO"), ("contract", "EMS")],
)
def test_a_limit_of_the_grid_operator_is_told_as_such(source: str, word: str) -> None:
    site = picture()
    site.car("CP1", limit_a=0.0)
    site.limits["grid"] = limit(22.0, source)
    grant = site.decide()["CP1"]
    assert (grant.limit_a, grant.source, grant.ends_wall_s) == (12.0, word, WALL_S + 5000.0)


def test_the_csms_limit_for_a_station_in_sum_is_the_csms_word() -> None:
    site = picture()
    site.car("CP1", limit_a=0.0)
    site.station_wishes["CP1"] = StationWish(13.0, "station profile 3", WALL_S + 60.0)
    grant = site.decide()["CP1"]
    assert (grant.limit_a, grant.source, grant.ends_wall_s, grant.reason) == (13.0, "CSO", WALL_S + 60.0, "station profile 3")


def test_a_ceiling_and_a_setpoint_of_the_csms_both_bind() -> None:
    site = picture()
    site.car("CP1", limit_a=0.0)
    site.wish("CP1", LimitStep(WALL_S, 20.0, setpoint_a=11.0))
    assert site.decide()["CP1"].limit_a == 11.0


def test_a_learned_maximum_of_the_car_is_a_layer() -> None:
    site = picture()
    key = site.car("CP1", (16.0, 16.0, 16.0))
    learned = replace(site.evses[key].appetite, most_a=16.2, learned_mono_s=site.now)
    site.evses[key] = replace(site.evses[key], appetite=learned)
    grant = site.decide()["CP1"]
    assert (grant.limit_a, grant.reason, grant.source) == (20.0, "car maximum (it takes no more)", "")


# -- booking ---------------------------------------------------------------------------------------------------


def test_who_is_out_of_control_is_subtracted_with_its_maximum_and_what_it_overdraws() -> None:
    site = picture(models={"generic": ChargerModel("generic", overdraw_part=0.05)})
    site.car("CP1", (6.0, 6.0, 6.0))
    site.car("CP2", limit_a=0.0)
    site.channel("CP1").uncontrollable = True
    frozen = site.freeze()
    assert frozen.booked_a == {EvseKey("CP1", 1): pytest.approx(33.6)}
    assert frozen.rows[0].capacity_a == pytest.approx(100 - 10 - 33.6)


def test_amps_are_what_a_car_draws_at_a_charger_that_lets_it_draw_more() -> None:
    """Told 6 A and 32 A it draws 6.3 A and 33.6 A; the actuator tells it what fits."""
    site = picture(models={"generic": ChargerModel("generic", overdraw_part=0.05)})
    site.car("CP1", limit_a=0.0)
    claim = site.freeze().claims[0]
    assert (claim.min_a, claim.cap_a) == (pytest.approx(6.3), pytest.approx(33.6))


def test_an_offline_station_put_on_one_phase_is_booked_on_all_it_falls_back_to() -> None:
    site = picture()
    key = site.car("CP1")
    site.evses[key] = replace(site.evses[key], switched=1)
    site.channel("CP1").online = False
    assert [row.capacity_a for row in site.freeze().rows[:3]] == [84.0, 84.0, 84.0]


# -- unbalance ------------------------------------------------------------------------------------------------------


def lopsided(**cars: tuple[int, ...]) -> Picture:
    site = picture(len(cars), 200.0, grid={"max_unbalance_a": 20})
    for name, phases in cars.items():
        amps = [10.0 if phase in phases else 0.0 for phase in range(3)]
        site.car(name, (amps[0], amps[1], amps[2]), phases)
    return site


def amps(site: Picture) -> list[float]:
    return [grant.limit_a for grant in site.decide().values()]


def test_one_phase_cars_get_no_more_than_the_unbalance_limit_and_say_so() -> None:
    site = lopsided(CP1=(0,), CP2=(0,))
    grants = site.decide()
    assert [grant.limit_a for grant in grants.values()] == [10.0, 10.0]
    assert (grants["CP1"].reason, grants["CP1"].source) == ("unbalance limit L1 over L2", "EMS")


def test_who_draws_on_the_other_phases_makes_room() -> None:
    """10 A are drawn on each other phase, so 20 + 10 A may flow on this one."""
    assert amps(lopsided(CP1=(0,), CP2=(1,), CP3=(2,))) == [30.0, 30.0, 30.0]


def test_the_emptiest_phase_counts() -> None:
    """Nothing on L3: L1 and L2 may carry 20 A."""
    assert amps(lopsided(CP1=(0,), CP2=(1,))) == [20.0, 20.0]


def test_a_two_phase_car_counts_on_both_against_the_third() -> None:
    assert amps(lopsided(CP1=(0, 1))) == [20.0]
    assert amps(lopsided(CP1=(0, 1), CP2=(2,))) == [30.0, 30.0]


def test_three_phase_cars_are_free_of_it() -> None:
    assert amps(lopsided(CP1=(0, 1, 2), CP2=(0,))) == [32.0, 20.0]


def test_a_car_of_unknown_phases_counts_as_one_on_its_first_phase() -> None:
    site = picture(1, 200.0, grid={"max_unbalance_a": 20})
    site.car("CP1", limit_a=0.0)
    assert amps(site) == [20.0]


def test_a_support_that_this_decision_cuts_is_not_leaned_on() -> None:
    """L2 and L3 pause by their plan: what they still draw now is no reason to give L1 more."""
    site = lopsided(CP1=(0,), CP2=(1,), CP3=(2,))
    for name in ("CP2", "CP3"):
        site.targets[EvseKey(name, 1)] = Target(0.0, "plan: charges later")
    assert amps(site) == [20.0, 0.0, 0.0]


def test_without_a_limit_there_are_no_such_rows() -> None:
    site = picture(1)
    assert len(site.freeze().rows) == 3


# -- giving back ---------------------------------------------------------------------------------------------------------


def giving(export_w: float | None = None, count: int = 1, wanted_w: float = 6900.0, **parts: Any) -> Picture:
    grid = {} if export_w is None else {"max_export_w": export_w}
    site = picture(count, evse={"v2g": {"max_discharge_w": 11_000}}, grid=grid, **parts)
    for number in range(1, count + 1):
        name = f"CP{number}"
        key = EvseKey(name, 1)
        said = NeedsAnnounced(Stamp(0.0, 0.0), key, None, None, max_discharge_w=10_000.0, bidirectional=True)
        site.car(name, (0.0, 0.0, 0.0), announced=said)
        site.evses[key] = replace(site.evses[key], soc_percent=80.0)
        site.features(name, modes=("CentralSetpoint", "Idle"), v2x=(1,))
        site.targets[key] = Target(0.0, "plan: gives back", discharge_w=wanted_w)
    return site


def setpoints(site: Picture) -> list[float | None]:
    return [grant.setpoint_w for grant in site.decide().values()]


def test_a_car_gives_back_what_the_plan_wants_and_charges_nothing() -> None:
    site = giving()
    grant = site.decide()["CP1"]
    assert (grant.limit_a, grant.setpoint_w, grant.reason, grant.waiting, grant.idle) == (
        0.0,
        pytest.approx(-6900.0),
        "plan: gives back",
        False,
        False,
    )


@pytest.mark.parametrize(
    ("export_w", "expected"),
    [(None, -6900.0), (0.0, -6900.0), (50_000.0, -6900.0)],
)
def test_the_building_takes_it_first(export_w: float | None, expected: float) -> None:
    """30 A of building are 6900 W."""
    assert setpoints(giving(export_w)) == [pytest.approx(expected)]


def test_two_cars_share_what_building_and_export_limit_take() -> None:
    assert setpoints(giving(2300.0, count=2)) == [pytest.approx(-4600.0), pytest.approx(-4600.0)]


def test_a_load_that_nobody_measures_takes_nothing() -> None:
    site = giving(0.0)
    site.loads["grid"] = CircuitLoad((50.0, 50.0, 50.0), 0.0)
    assert setpoints(site) == [None]


def test_sun_on_the_roof_takes_the_room_of_the_export_limit() -> None:
    site = giving(2300.0)
    site.loads["grid"] = CircuitLoad((-2.0, -2.0, -2.0), 0.0, meter="grid")
    assert setpoints(site) == [pytest.approx(-2300.0 + 6 * 230.0)]


def test_no_fuse_carries_more_backwards_than_forwards() -> None:
    site = giving(None, count=3, fuse_a=25.0, wanted_w=8280.0)
    assert setpoints(site) == [pytest.approx(-25 * 3 * 230.0 / 3)] * 3


def test_what_is_given_back_makes_no_room_for_charging() -> None:
    site = giving(None, count=2, fuse_a=30.0)
    key = EvseKey("CP2", 1)
    del site.targets[key]
    grants = site.decide()
    assert grants["CP1"].setpoint_w == pytest.approx(-6900.0)
    assert grants["CP2"].limit_a == 20.0, "30 A less 10 A of building, whatever CP1 gives"


@pytest.mark.parametrize("trouble", ["mode", "meter lost", "floor", "paused", "switching", "reserve", "station", "disobeys"])
def test_nothing_is_given_back_in_doubt(trouble: str) -> None:
    site, key = giving(), EvseKey("CP1", 1)
    if trouble == "mode":
        site.may_give = False
    elif trouble == "meter lost":
        site.loads["grid"] = replace(site.loads["grid"], lost=True)
    elif trouble == "floor":
        site.channel("CP1").floor = Floor.READING
    elif trouble == "paused":
        site.paused.add(key)
    elif trouble == "switching":
        site.evses[key] = replace(site.evses[key], switching=True)
    elif trouble == "reserve":
        site.evses[key] = replace(site.evses[key], soc_percent=50.0)
    elif trouble == "station":
        site.actuator.features.clear()
    else:
        site.disobeying.add(key)
    assert setpoints(site) == [None]


def test_a_circuit_over_its_limit_keeps_what_is_given_back() -> None:
    """Nothing rises there for a while; to stop giving would be a rise."""
    site = giving()
    site.loads["grid"] = replace(site.loads["grid"], hold=True)
    assert setpoints(site) == [pytest.approx(-6900.0)]


def test_the_csms_may_want_it_back_and_bounds_it() -> None:
    site = giving()
    site.wish("CP1", LimitStep(WALL_S, 16.0, discharge_a=-8.0, setpoint_a=-10.0, mode="CentralSetpoint"))
    assert setpoints(site) == [pytest.approx(-8.0 * 690.0)]


def test_a_car_that_gives_back_falls_to_its_floor_when_its_setpoint_ends() -> None:
    """The station charges then: whoever gives back still counts with its fallback as soon as nothing else is known."""
    site = giving()
    channel = site.channel("CP1")
    wanted = Wanted(0.0, 0.0, "plan", 3, setpoint_w=-6900.0)
    channel.sent = channel.accepted = Sent(1, 0.0, "plan", 900.0, site.now - 1.0, wanted=wanted)
    assert channel.ceiling_a(site.now, None, 0.0) == 6.0
    channel.online = False
    frozen = site.freeze()
    assert frozen.booked_a == {EvseKey("CP1", 1): 6.0}


@pytest.mark.parametrize(("mode", "wanted_w", "expected"), [("Idle", 0.0, True), ("", 0.0, True), ("", 6900.0, False)])
def test_a_v2x_session_that_shall_do_nothing_is_idle(mode: str, wanted_w: float, expected: bool) -> None:
    site = giving(wanted_w=wanted_w)
    if mode:
        site.wish("CP1", LimitStep(WALL_S, None, mode=mode))
    grant = site.decide()["CP1"]
    assert (grant.idle, grant.limit_a) == (expected, 0.0)


def test_a_pause_of_the_guard_is_a_plain_pause() -> None:
    site = giving(wanted_w=0.0)
    site.targets.clear()
    site.paused.add(EvseKey("CP1", 1))
    grant = site.decide()["CP1"]
    assert (grant.limit_a, grant.idle) == (0.0, False)


def test_idle_only_where_it_was_announced() -> None:
    site = giving(wanted_w=0.0)
    site.features("CP1", modes=("CentralSetpoint",), v2x=(1,))
    assert not site.decide()["CP1"].idle


def test_giving_back_on_one_phase_keeps_to_the_unbalance_limit() -> None:
    """20 A allowed: half of it for what is given back on L1, which then no charging on L2 or L3 may use again."""
    site = picture(3, 200.0, evse={"v2g": {"max_discharge_w": 11_000}}, grid={"max_unbalance_a": 20})
    key = EvseKey("CP1", 1)
    site.car("CP1", (0.0, 0.0, 0.0), (0,), announced=NeedsAnnounced(Stamp(0.0, 0.0), key, None, None, max_discharge_w=9_000.0, bidirectional=True))
    site.evses[key] = replace(site.evses[key], soc_percent=80.0)
    site.features("CP1", modes=("CentralSetpoint",), v2x=(1,))
    site.targets[key] = Target(0.0, "plan", discharge_w=4600.0)
    site.car("CP2", (0.0, 16.0, 0.0), (1,))
    grants = site.decide()
    assert grants["CP1"].setpoint_w == pytest.approx(-2300.0)
    assert grants["CP2"].limit_a == 10.0
