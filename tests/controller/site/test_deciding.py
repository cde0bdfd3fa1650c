"""Stories of decisions in virtual time: arrivals, crowds, turns, phases, trees of circuits."""

from __future__ import annotations

from itertools import pairwise

from controller.facts import (
    ChargingState,
    EvseKey,
    LimitUnit,
)
from controller.site.sharing.arbiter import Rank
from controller.site.sharing.turns import rank
from tests.support.site_story import Story, depot

CP1, CP2 = EvseKey("CP1", 1), EvseKey("CP2", 1)


def present(told: Story, key: EvseKey) -> float:
    return told.site.actuator.channels[key].present_a(told.now)


def test_a_car_arrives_and_gets_what_is_free_within_two_ticks() -> None:
    told = Story(depot(2))
    told.start()
    told.plug(CP1)
    told.run(2)
    assert present(told, CP1) == 32.0
    told.plug(CP2)
    told.run(2)
    assert present(told, CP2) >= 6.0
    told.run(20)
    assert sorted((present(told, CP1), present(told, CP2))) in ([25.0, 26.0], [26.0, 26.0])
    assert told.site.view(told.at()).evses[0].reason in ("fuse L1", "fuse L2", "fuse L3")


def test_the_fuse_holds_through_a_whole_restless_day() -> None:
    told = Story(depot(6, circuits=2, circuit_fuse_a=40.0))
    told.start()
    keys = list(told.site.evses)
    worst = 0
    for second in range(600):
        if second % 50 == 10:
            key = keys[(second // 50) % 6]
            if key in told.drawn_a:
                told.unplug(key)
            else:
                told.plug(key, wants_a=16.0 if second % 100 == 10 else 32.0)
        building_a = 10.0 + 20.0 * ((second // 40) % 2)
        told.step(building_a, report=second % 7 == 0)
        over = max(told.metered_a(building_a)) > 63.0
        worst = worst + 1 if over else 0
        assert worst <= 5, f"over the fuse for {worst} s at {second}"
        halls = [sum(a for key, a in told.drawn_a.items() if told.site.layout.places[key].circuit == name) for name in ("hall0", "hall1")]
        assert max(halls) <= 40.0 + 6.0
    injected = {limit_a for key in keys for _, limit_a in told.injected(key)}
    assert all(limit_a == 0.0 or limit_a >= 6.0 for limit_a in injected)
    assert max(injected) == 32.0


def test_stations_that_report_once_a_minute_do_not_make_the_site_swing() -> None:
    told = Story(depot(2))
    told.start()
    told.plug(CP1)
    told.plug(CP2)
    told.run(60)
    told.orders.clear()
    for second in range(240):
        told.step(building_a=20.0, report=second % 60 == 0)
    changes = {limit_a for key in (CP1, CP2) for _, limit_a in told.injected(key)}
    assert len(changes) <= 2, changes
    assert max(told.metered_a(20.0)) > 58.0


def test_too_many_cars_take_turns_and_nobody_is_forgotten() -> None:
    told = Story(depot(4, fuse_a=32.0, worst_other_load_a=5.0, evse={"fallback_a": 0}))
    told.start()
    for number in range(4):
        told.plug(f"CP{number + 1}")
    served: dict[EvseKey, int] = dict.fromkeys(told.drawn_a, 0)
    for _ in range(600):  # longer, and the solver that says nothing is replaced by rules, which have an order of their own
        told.step(15.0)
        for key, drawn_a in told.drawn_a.items():
            served[key] += drawn_a > 0
    assert all(seconds > 250 for seconds in served.values()), served
    assert max(served.values()) < 2 * min(served.values())
    assert "waiting for a turn" in " ".join(one.reason for one in told.site.view(told.at()).evses)


def test_an_offer_that_is_not_used_is_lent_to_others_and_comes_back() -> None:
    told = Story(depot(2))
    told.start()
    told.plug(CP1, wants_a=8.0)
    told.plug(CP2)
    told.run(60)
    assert present(told, CP2) == 32.0
    assert 8.0 <= present(told, CP1) <= 20.0
    told.wants_a[CP1] = 32.0
    told.drawn_a[CP1] = present(told, CP1)
    told._due += [(told.now, CP1, present(told, CP1))]
    told.run(60)
    assert present(told, CP1) >= 25.0
    assert max(told.metered_a(10.0)) <= 63.0


def test_a_one_phase_car_is_counted_on_its_phase_only() -> None:
    told = Story(depot(2))
    told.start()
    told.one_phase.add(CP1)
    told.plug(CP1)
    told.plug(CP2)
    told.run(5)
    assert present(told, CP2) < 32.0
    told.run(30)
    assert told.site.evses[CP1].phases == (0,)
    assert max(told.metered_a(10.0)) <= 63.0


def test_without_a_grid_meter_the_worst_load_is_kept_free() -> None:
    told = Story(depot(2, metered=False, worst_other_load_a=20.0))
    told.start()
    told.plug(CP1)
    told.plug(CP2)
    told.run(20, None)
    assert present(told, CP1) + present(told, CP2) == 42.0
    view = told.site.view(told.at())
    assert (view.mode, "no grid meter" in view.mode_reason) == ("normal", True)


def test_a_silent_circuit_meter_holds_only_what_hangs_below_it() -> None:
    meters = [{"id": "hall", "role": "circuit", "source": {"type": "modbus", "host": "hall", "map": "any"}}]
    config = depot(2, fuse_a=100.0, circuits=2, meters=meters)
    halls = (config.circuits[0].model_copy(update={"meter": "hall"}), config.circuits[1])
    told = Story(config.model_copy(update={"circuits": halls}))
    told.start()
    for _ in range(4):
        told.do(told.reading((0.0, 0.0, 0.0), meter="hall"))
        told.step()
    told.plug(CP1)
    told.plug(CP2)
    for _ in range(12):
        told.do(told.reading((told.drawn_a[CP1],) * 3, meter="hall"))
        told.step()
    assert (present(told, CP1), present(told, CP2)) == (32.0, 32.0)
    told.run(12)
    assert (present(told, CP1), present(told, CP2)) == (6.0, 32.0)
    assert told.site.grants[CP1].reason == "meter hall silent - fallback"
    assert "circuit hall0 held to fallback" in told.told("meter hall silent")[0]


def test_stop_when_the_fallbacks_do_not_fit_a_limit_and_the_meter_is_silent() -> None:
    told = Story(depot(2))
    told.start()
    told.plug(CP1)
    told.plug(CP2)
    told.run(5)
    told.limit(25.0)
    told.run(15, None)
    assert told.site.mode.mode.value == "stop"
    assert present(told, CP1) + present(told, CP2) == 0.0


def test_the_contract_and_a_limit_in_watts_bind_each_phase() -> None:
    told = Story(depot(1, grid={"max_import_w": 20_700}))
    told.start()
    told.plug(CP1)
    told.run(10, 9.5)
    assert present(told, CP1) == 20.0
    assert told.site.grants[CP1].reason == "import limit (contract)"
    told.limit(13_800.0, LimitUnit.W)
    told.run(2, 9.5)
    assert present(told, CP1) == 10.0
    assert told.published("limit/state")[-1]["circuits"]["grid"]["source"] == "mqtt"


def test_a_setpoint_is_renewed_in_time_and_only_then() -> None:
    told = Story(depot(1))
    told.start()
    told.plug(CP1)
    told.run(160)
    times = [when for when, _ in told.injected(CP1)]
    assert len(times) == 4
    assert all(45 <= later - earlier <= 55 for earlier, later in pairwise(times))


def test_a_car_that_is_full_goes_last_when_room_is_short() -> None:
    told = Story(depot(1))
    told.start()
    told.plug(CP1, state=ChargingState.SUSPENDED_EV)
    assert rank(told.site.evses[CP1], None, told.now, 300.0) is Rank.RESTING
