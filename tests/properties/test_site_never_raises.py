"""``Site.handle`` takes any fact in any order: strangers, rubbish numbers, clocks that jump. It never raises."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controller.facts import (
    ChargingState,
    ContactsRead,
    DeviceAnswered,
    DeviceRead,
    Direction,
    DriverKnown,
    EventsTold,
    EvseKey,
    EvseMeasured,
    EvseStatus,
    EvseStatusChanged,
    Fact,
    FailsafeStated,
    FloorConfirmed,
    GridEvent,
    LimitReceived,
    LimitRefused,
    LimitStated,
    LimitStep,
    LimitUnit,
    MeterFailed,
    MeterRead,
    NeedsAnnounced,
    NeedStated,
    PlanFailed,
    PlanSolved,
    Restored,
    ScheduleAnnounced,
    SeriesKind,
    SeriesTold,
    SessionChanged,
    SetpointAnswered,
    SignalBeat,
    SourceChanged,
    Stamp,
    StationOffline,
    StationOnline,
    Steering,
    TimePassed,
    UpstreamWished,
)
from controller.orders import Inject, InstallFloor, SolvePlan
from controller.site.site import Site
from meters.reading import Quality, Reading
from optimizer.problem import Plan, Problem
from optimizer.problem_json import problem_to_json
from optimizer.rules import allocate
from optimizer.terms import defects
from tests.support.examples import examples
from tests.support.site_story import QUICK, depot

WALL_S = 1_780_000_000.0
RUBBISH = st.sampled_from([0.0, 1.0, 6.0, 16.0, 32.0, 400.0, -5.0, 1e30, math.nan, math.inf, -math.inf])
MAYBE = st.one_of(st.none(), RUBBISH)
TRIPLE = st.tuples(MAYBE, MAYBE, MAYBE)
EVSES = st.builds(EvseKey, st.sampled_from(["CP1", "CP2", "CP2", "stranger", ""]), st.sampled_from([0, 1, 2, 99]))
STATIONS = st.sampled_from(["CP1", "CP2", "stranger"])
METERS = st.sampled_from(["grid", "pv", "battery", "hall0", "stranger"])
NAMES = st.sampled_from(["mqtt", "mqtt:fleet", "api", "solver", "history", ""])
CIRCUITS = st.sampled_from(["grid", "hall0", "nowhere"])
READINGS = st.builds(
    Reading,
    METERS,
    st.sampled_from(list(Quality)),
    current_a=TRIPLE,
    phase_power_w=TRIPLE,
    voltage_v=TRIPLE,
    power_w=MAYBE,
    soc_percent=MAYBE,
)
STEPS = st.lists(st.builds(LimitStep, st.sampled_from([0.0, WALL_S, WALL_S + 900, math.nan]), MAYBE), max_size=3).map(tuple)
WORDS = st.dictionaries(
    st.sampled_from(
        ["value", "unit", "ends_wall_s", "sequence", "peak_w", "since_wall_s", "transaction_id", "started_wall_s", "base_wh", "target_wh"]
    ),
    st.one_of(MAYBE, st.sampled_from(["A", "W", "tx-1", "x", [], {}])),
)
SPACES = [
    ("signal", "dso"),
    ("signal", "vtn"),
    ("signal", "gone"),
    ("device", "battery"),
    ("series", "dso"),
    ("limit", "mqtt:grid"),
    ("limit", "api"),
    ("peak", "grid"),
    ("session", "CP1/1"),
    ("failsafe", "mqtt"),
    ("strange", ""),
]
LEARNT = [("past", "0 CP1/1"), ("past", ""), ("usual", "load 3"), ("usual", "load 2026-05-30"), ("usual", "sun x"), ("explained", "2026-05-30")]
SOURCES = st.sampled_from(["dso", "fleet", "vtn", "box", "stranger", ""])
DEVICES = st.sampled_from(["battery", "roof", "r1", "stranger"])
MOMENTS = st.sampled_from([-math.inf, 0.0, WALL_S, WALL_S + 900.0, WALL_S + 7200.0, 1e30, math.nan, math.inf])
EVENTS = st.lists(
    st.builds(
        GridEvent,
        st.sampled_from(["a", "b", "c", ""]),
        st.integers(-1, 3),
        MOMENTS,
        MAYBE,
        MAYBE,
        MAYBE,
        MAYBE,
        MAYBE,
        MAYBE,
        st.integers(-5, 5),
        RUBBISH,
        RUBBISH,
        RUBBISH,
        st.booleans(),
        st.booleans(),
        st.booleans(),
        st.sampled_from(["", "peak"]),
    ),
    max_size=3,
).map(tuple)
SLOTS = st.lists(st.tuples(MOMENTS, MOMENTS, RUBBISH), max_size=4).map(tuple)
ODD_PAST = ["CP1/1", "nowhere", [0, 1], WALL_S - 9000.0, WALL_S, 5000.0, 1e30, None, 3.0, ""]
MEMORIES = st.dictionaries(
    st.sampled_from(SPACES + LEARNT),
    st.one_of(WORDS, st.none(), st.just("rubbish"), st.just(7), st.just(ODD_PAST), st.lists(MAYBE, max_size=9)),
)


def facts(at: Stamp) -> st.SearchStrategy[Fact]:
    """Any fact at one moment."""
    now = st.just(at)
    states = st.one_of(st.none(), st.sampled_from(list(ChargingState)))
    yes = st.booleans()
    units, sequences = st.sampled_from(list(LimitUnit)), st.one_of(st.none(), st.integers(0, 5))
    return st.one_of(
        st.builds(TimePassed, now),
        st.builds(TimePassed, now),
        st.builds(Restored, now, MEMORIES, st.just({})),
        st.builds(StationOnline, now, STATIONS, st.just("2.0.1")),
        st.builds(StationOffline, now, STATIONS),
        st.builds(EvseStatusChanged, now, EVSES, st.sampled_from(list(EvseStatus))),
        st.builds(SessionChanged, now, EVSES, st.sampled_from(["tx-1", "tx-2"]), states, yes, yes, st.sampled_from([None, 0, 1, 3, 9]), yes),
        st.builds(EvseMeasured, now, EVSES, TRIPLE, MAYBE, MAYBE, MAYBE, MAYBE),
        st.builds(NeedsAnnounced, now, EVSES, MAYBE, MAYBE, MAYBE, MAYBE),
        st.builds(NeedStated, now, EVSES, MAYBE, MAYBE, NAMES),
        st.builds(UpstreamWished, now, EVSES, STEPS, st.sampled_from(["", "upstream profile 1"])),
        st.builds(SetpointAnswered, now, EVSES, st.integers(0, 40), yes, st.just("why")),
        st.builds(FloorConfirmed, now, EVSES, MAYBE, yes),
        st.builds(MeterRead, now, READINGS),
        st.builds(MeterFailed, now, METERS, st.just("timeout")),
        st.builds(LimitReceived, now, NAMES, CIRCUITS, MAYBE, units, RUBBISH, sequences, MAYBE, yes),
        st.builds(LimitRefused, now, NAMES, st.just("why"), st.just("{}")),
        st.builds(SourceChanged, now, NAMES, yes, st.just("detail")),
        st.builds(PlanFailed, now, st.just("why")),
        st.builds(DriverKnown, now, EVSES, st.sampled_from(["tx-1", "tx-2"]), st.none(), MAYBE, MAYBE, st.just("g"), st.sampled_from(["", "u"])),
        st.builds(ScheduleAnnounced, now, EVSES, STEPS),
        senses(at),
    )


def senses(at: Stamp) -> st.SearchStrategy[Fact]:
    """Any fact of the grid's signals, of series and of what we command besides chargers."""
    now, ways, yes = st.just(at), st.sampled_from(list(Direction)), st.booleans()
    orders, why = st.one_of(st.none(), st.integers(-1, 5)), st.sampled_from(["", "why", "=1+1"])
    closed = st.one_of(st.none(), yes)
    return st.one_of(
        st.builds(LimitStated, now, SOURCES, ways, MAYBE, MAYBE, orders, MAYBE, yes, st.integers(0, 3), why),
        st.builds(LimitStated, now, SOURCES, ways, MAYBE, MAYBE, orders, MAYBE, yes, st.integers(0, 3), why),
        st.builds(SignalBeat, now, SOURCES),
        st.builds(FailsafeStated, now, SOURCES, ways, MAYBE, st.one_of(MAYBE, st.just(7200.0)), st.integers(0, 3)),
        st.builds(ContactsRead, now, SOURCES, st.lists(closed, max_size=3).map(tuple)),
        st.builds(EventsTold, now, SOURCES, EVENTS, st.sampled_from([(), ("cannot do that",)])),
        st.builds(SeriesTold, now, st.sampled_from(list(SeriesKind)), SOURCES, SLOTS, why, yes),
        st.builds(DeviceRead, now, DEVICES, MAYBE, MAYBE, st.sampled_from(list(Steering)), closed, MAYBE, MAYBE, MAYBE, why),
        st.builds(DeviceAnswered, now, DEVICES, st.integers(-1, 40), yes, why, yes),
    )


SIGNALS = [
    {"id": "dso", "type": "eebus", "failsafe_w": "section_14a", "failsafe_production_w": 0, "binds": "controllable"},
    {"id": "fleet", "type": "mqtt", "circuit": "hall0"},
    {"id": "vtn", "type": "openadr3", "url": "http://vtn", "ven_name": "yard", "failsafe_w": 5000},
    {
        "id": "box",
        "type": "contacts",
        "contacts": [
            {"name": "W4", "pin": {"type": "file", "path": "/pin"}, "consumption_w": 4200},
            {"name": "W3", "pin": {"type": "file", "path": "/pin"}, "production_percent": 30, "missing": "hold"},
        ],
    },
]


def ruined(data: st.DataObject, plan: Plan) -> Plan:
    """A plan, now and then with a part that makes no sense."""
    worse: dict[str, Any] = {
        "grid_power_w": (math.nan,) * len(plan.slots),
        "ev_power_w": {"CP1/1": (math.inf,)},
        "battery_power_w": (1e30,),
        "slots": (),
        "shortfall_wh": {"CP1/1": math.nan},
    }
    part = data.draw(st.sampled_from(["", "", *worse]))
    return replace(plan, **{part: worse[part]}) if part else plan


@given(st.data())
@settings(max_examples=examples(40), deadline=None, suppress_health_check=list(HealthCheck))
def test_any_facts_in_any_order_are_taken_and_every_setpoint_is_a_sound_number(data: st.DataObject) -> None:
    speed = data.draw(st.sampled_from([1.0, 60.0]))
    control = {"type": "sunspec", "host": "127.0.0.1"}
    parts: dict[str, Any] = {
        "battery": {"capacity_wh": 40000, "max_charge_w": 9000, "max_discharge_w": 9000, "command": {"control": control}},
        "limits": {"failsafe_a": 20},
        "inverters": [{"id": "roof", "max_power_w": 20_000, "control": control}],
        "relays": [{"id": "r1", "pin": {"type": "file", "path": "/pin"}, "closes": "limited"}],
        "signals": SIGNALS,
    }
    more = [{"id": name, "role": name, "source": {"type": "modbus", "host": "meter", "map": "any"}} for name in ("pv", "battery")]
    site = Site(depot(2, circuits=1, meters=more, **parts), QUICK)
    mono_s, wall_s = 1000.0, WALL_S
    problems: list[Problem] = []
    for _ in range(data.draw(st.integers(5, 40))):
        mono_s += data.draw(st.sampled_from([0.0, 0.1, 1.0, 1.0, 1.0, 5.0, 50.0, 4000.0]))
        wall_s += data.draw(st.sampled_from([0.0, 1.0, 1.0, 60.0, 3600.0, -7200.0, 86_400.0]))
        at = Stamp(mono_s, wall_s, speed, data.draw(st.booleans()))
        fact = data.draw(facts(at))
        if problems and data.draw(st.integers(0, 3)) == 0:
            fact = PlanSolved(at, ruined(data, allocate(data.draw(st.sampled_from(problems)))))
        for order in site.handle(fact):
            if isinstance(order, Inject | InstallFloor):
                assert 0.0 <= order.limit_a <= 32.0, order
                assert order.limit_a == 0.0 or order.limit_a >= 6.0, order
            if isinstance(order, SolvePlan):
                assert not defects(order.problem), defects(order.problem)
                assert problem_to_json(order.problem)
                problems.append(order.problem)
        assert not site.planner.contained.defects, site.planner.contained.tell()
        view = site.view(at)
        assert all(evse.limit_a is None or math.isfinite(evse.limit_a) for evse in view.evses)
