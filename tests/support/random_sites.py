"""Random small sites for laws of planning.

``problems``: anything that can be posed: crooked trees, unbalanced and overloaded phases, negative prices, V2G with nonsense numbers,
feed-in by other loads, limits of 0, limits in watts, stays outside the horizon, slots that straddle demand windows. ``sound_problems``: sites
without overloads by others, with positive prices and believable cars: those that the independent formulation covers.
"""

from __future__ import annotations

from hypothesis import strategies as st

from optimizer.problem import EXPECTED, Battery, Ev, Node, Problem, Slot

START_S = 1_700_000_100.0
"""A quarter hour of the clock."""
VOLTS = 230.0

amps = st.floats(-40, 70).map(lambda value: round(value, 2))
limits = st.sampled_from([0.0, 6.0, 16.0, 25.0, 32.0, 63.0])
prices = st.floats(-0.2, 0.6).map(lambda value: round(value, 3))
costs = st.floats(0.05, 0.6).map(lambda value: round(value, 3))
phase_sets = st.sampled_from([(0,), (1,), (2,), (0, 1), (0, 1, 2), (2, 0, 1)])
watts = st.sampled_from([0.0, 1000.0, 15_000.0, 60_000.0])


def per_slot(values: st.SearchStrategy[float], count: int) -> st.SearchStrategy[tuple[float, ...]]:
    """One value per slot."""
    return st.tuples(*[values] * count)


def maybe(values: st.SearchStrategy[tuple[float, ...]]) -> st.SearchStrategy[tuple[float, ...]]:
    """Nothing, or a series."""
    return st.one_of(st.just(()), values)


@st.composite
def slot_rows(draw: st.DrawFn, aligned: bool = False) -> tuple[Slot, ...]:
    first = st.sampled_from([60.0, 300.0, 900.0]) if aligned else st.sampled_from([1.0, 300.0, 900.0])
    begin_s, lengths = START_S, [draw(first), *draw(st.lists(st.sampled_from([900.0, 3600.0]), min_size=1, max_size=5))]
    if aligned:
        begin_s += 900.0 - lengths[0]
    starts = [begin_s + sum(lengths[:index]) for index in range(len(lengths))]
    return tuple(Slot(start, length) for start, length in zip(starts, lengths, strict=True))


# -- anything -------------------------------------------------------------------------------------------


@st.composite
def trees(draw: st.DrawFn, count: int) -> tuple[Node, ...]:
    nodes = []
    for index in range(draw(st.integers(1, 4))):
        parent = None if index == 0 else f"n{draw(st.integers(0, index - 1))}"
        loads = draw(st.one_of(st.just(()), st.tuples(*[st.tuples(amps, amps, amps)] * count)))
        copper = draw(st.one_of(st.tuples(limits, limits, limits), limits.map(lambda limit: (limit, limit, limit))))
        margin = draw(maybe(per_slot(st.sampled_from([0.0, 3.0, 20.0]), count)))
        rule = draw(st.sampled_from([None, None, 0.0, 10.0, 20.0]))
        ceiling = draw(maybe(per_slot(limits, count)))
        total = draw(maybe(per_slot(st.sampled_from([-500.0, 0.0, 3000.0, 9000.0, 1e6]), count)))
        nodes.append(Node(f"n{index}", parent, copper, ceiling, loads, margin, rule, total, draw(st.booleans())))
    return tuple(nodes)


curves = st.sampled_from([(), (), ((0.0, 11_000.0), (30_000.0, 7000.0), (40_000.0, 1000.0)), ((5000.0, 4000.0), (20_000.0, 0.0)), ((0.0, 0.0),)])
odd_curves = st.one_of(curves, st.sampled_from([((0.0, 3000.0), (9000.0, 5000.0)), ((0.0, float("nan")),), ((9000.0, 9e3), (0.0, 1e3))]))


@st.composite
def cars(draw: st.DrawFn, index: int, nodes: int, count: int) -> Ev:
    arrival_s = START_S + draw(st.sampled_from([-3600.0, 0.0, 700.0, 2000.0]))
    stay_s = draw(st.sampled_from([-100.0, 0.0, 450.0, 1800.0, 5000.0, float("inf")]))
    battery, two_way, expected = draw(st.booleans()), draw(st.booleans()), draw(st.integers(0, 4)) == 0
    return Ev(
        ev_id=f"{EXPECTED if expected else ''}ev{index}",
        node_id=f"n{draw(st.integers(0, nodes - 1))}",
        phases=draw(phase_sets),
        arrival_wall_s=arrival_s,
        departure_wall_s=arrival_s + stay_s,
        energy_need_wh=draw(st.sampled_from([-5.0, 0.0, 300.0, 2500.0, 20_000.0])),
        min_power_w=1380.0,
        max_power_w=draw(st.sampled_from([0.0, 1380.0, 3680.0, 11_040.0])),
        efficiency=draw(st.sampled_from([1.0, 0.9, 0.0])),
        priority=draw(st.integers(-9, 9)),
        max_slot_power_w=draw(maybe(per_slot(st.sampled_from([0.0, 2000.0, 20_000.0]), count))),
        max_discharge_w=draw(st.sampled_from([0.0, 3000.0, 11_000.0])) if battery and two_way else 0.0,
        capacity_wh=draw(st.sampled_from([0.0, 5000.0, 40_000.0])) if battery else 0.0,
        soc_wh=draw(st.sampled_from([-1.0, 0.0, 4000.0, 39_000.0, float("nan")])) if battery else 0.0,
        reserve_wh=draw(st.sampled_from([0.0, 3000.0, 41_000.0])) if battery else 0.0,
        wear_per_kwh=draw(st.sampled_from([0.0, 0.08])) if two_way else 0.0,
        present_power_w=draw(st.sampled_from([0.0, 3680.0, -3000.0])),
        minimum_wh=draw(st.sampled_from([0.0, 0.0, 1000.0, 50_000.0])),
        acceptance=draw(odd_curves) if battery else (),
        max_slot_discharge_w=draw(maybe(per_slot(st.sampled_from([0.0, 2500.0]), count))) if two_way else (),
        expected=expected,
        shortfall_per_kwh=draw(st.sampled_from([None, None, 0.0, 2.5])),
    )


batteries = st.builds(
    Battery,
    capacity_wh=st.sampled_from([0.0, 4000.0, 20_000.0]),
    soc_wh=st.sampled_from([-100.0, 0.0, 2000.0, 30_000.0]),
    min_soc_wh=st.sampled_from([0.0, 1000.0, 50_000.0]),
    max_charge_w=st.sampled_from([0.0, 5000.0]),
    max_discharge_w=st.sampled_from([0.0, 5000.0]),
    efficiency_one_way=st.sampled_from([0.8, 0.96, 1.0]),
    wear_per_kwh=st.sampled_from([0.0, 0.03]),
    reserve_wh=st.sampled_from([0.0, 0.0, 3000.0, 50_000.0]),
    sun_only=st.sampled_from([False, False, True]),
    feeds_grid=st.sampled_from([True, True, False]),
)


@st.composite
def problems(draw: st.DrawFn) -> Problem:
    """Anything."""
    slots = draw(slot_rows(aligned=draw(st.booleans())))
    count = len(slots)
    nodes = draw(trees(count))
    series, site_limits = per_slot(prices, count), maybe(per_slot(watts, count))
    return Problem(
        created_wall_s=slots[0].start_wall_s,
        slots=slots,
        voltage_v=VOLTS,
        nodes=nodes,
        evs=tuple(draw(cars(index, len(nodes), count)) for index in range(draw(st.integers(0, 5)))),
        buy_per_kwh=draw(series),
        sell_per_kwh=draw(series),
        pv_w=draw(per_slot(watts, count)),
        import_limit_w=draw(site_limits),
        export_limit_w=draw(site_limits),
        demand_per_kw=draw(st.sampled_from([0.0, 0.3, 8.0])),
        peak_so_far_w=draw(st.sampled_from([0.0, 9000.0])),
        battery=draw(st.one_of(st.none(), batteries)),
        shortfall_per_kwh=draw(st.sampled_from([None, 1.0, 10.0])),
        demand_window_s=draw(st.sampled_from([900.0, 1800.0, 3600.0])),
        window_import_wh=draw(st.sampled_from([0.0, 0.0, 4000.0])),
        co2_kg_per_kwh=draw(maybe(per_slot(st.sampled_from([0.0, 0.4, -0.1]), count))),
        co2_per_kg=draw(st.sampled_from([0.0, 0.1])),
        reserve_w=draw(maybe(per_slot(st.sampled_from([0.0, 5000.0]), count))),
        grid_setpoint_w=draw(st.one_of(st.just(()), st.tuples(*[st.sampled_from([None, None, 0.0, 8000.0, -5000.0])] * count))),
    )


# -- what the independent formulation covers ---------------------------------------------------------------


@st.composite
def sound_trees(draw: st.DrawFn, count: int) -> tuple[Node, ...]:
    """Loads that always leave room for the margin; the root carries all of them."""
    small = st.floats(0, 4).map(lambda value: round(value, 2))
    nodes = []
    for index in range(draw(st.integers(1, 3))):
        parent = None if index == 0 else f"n{draw(st.integers(0, index - 1))}"
        limit = draw(st.sampled_from([25.0, 40.0])) if index == 0 else draw(st.sampled_from([18.0, 20.0]))
        loads = draw(st.one_of(st.just(()), st.tuples(*[st.tuples(small, small, small)] * count)))
        ceiling = draw(maybe(per_slot(st.sampled_from([17.5, 30.0]), count)))
        margin = draw(maybe(per_slot(st.sampled_from([0.0, 3.0]), count)))
        rule, total = draw(st.sampled_from([None, None, 10.0, 16.0])), draw(maybe(per_slot(st.sampled_from([9000.0, 11_000.0]), count)))
        nodes.append(Node(f"n{index}", parent, (limit,) * 3, ceiling, loads, margin, rule, total, draw(st.booleans())))
    return tuple(nodes)


@st.composite
def sound_cars(draw: st.DrawFn, index: int, nodes: int, count: int) -> Ev:
    arrival_s = START_S + draw(st.sampled_from([-3600.0, 700.0, 2000.0]))
    two_way, curve = draw(st.integers(0, 2)) == 0, draw(curves)
    soc_wh = draw(st.sampled_from([4000.0, 21_000.0]))
    return Ev(
        ev_id=f"ev{index}",
        node_id=f"n{draw(st.integers(0, nodes - 1))}",
        phases=draw(phase_sets),
        arrival_wall_s=arrival_s,
        departure_wall_s=arrival_s + draw(st.sampled_from([1800.0, 5000.0, 20_000.0])),
        energy_need_wh=draw(st.floats(0, 15_000).map(round)),
        min_power_w=1380.0,
        max_power_w=draw(st.sampled_from([3680.0, 7360.0, 11_040.0])),
        efficiency=draw(st.sampled_from([1.0, 0.9])),
        priority=draw(st.integers(-1, 2)),
        max_slot_power_w=draw(maybe(per_slot(st.sampled_from([0.0, 2000.0, 20_000.0]), count))),
        max_discharge_w=draw(st.sampled_from([3000.0, 11_000.0])) if two_way else 0.0,
        capacity_wh=45_000.0,
        soc_wh=soc_wh,
        reserve_wh=draw(st.sampled_from([0.0, 3000.0])),
        wear_per_kwh=draw(st.sampled_from([0.0, 0.08])),
        present_power_w=draw(st.sampled_from([0.0, 3680.0])),
        minimum_wh=draw(st.sampled_from([0.0, 1000.0, 4000.0])),
        wait_per_kwh=draw(maybe(per_slot(st.sampled_from([0.0, 0.02, 0.4]), count).map(sorted).map(tuple))),
        acceptance=curve if len(curve) > 1 and curve[-1][0] > soc_wh else (),
        max_slot_discharge_w=draw(maybe(per_slot(st.sampled_from([0.0, 2500.0]), count))) if two_way else (),
    )


@st.composite
def sound_problems(draw: st.DrawFn) -> Problem:
    """A site without contradictions, with every part that a site may have."""
    slots = draw(slot_rows(aligned=draw(st.booleans())))
    count = len(slots)
    nodes = draw(sound_trees(count))
    store = st.builds(
        Battery, st.just(9000.0), st.sampled_from([1000.0, 6000.0]), st.sampled_from([0.0, 2000.0]), st.just(4000.0), st.just(5000.0),
        st.sampled_from([0.9, 1.0]), st.sampled_from([0.0, 0.03]), st.sampled_from([0.0, 3000.0]),
    )  # fmt: skip
    return Problem(
        created_wall_s=slots[0].start_wall_s,
        slots=slots,
        voltage_v=VOLTS,
        nodes=nodes,
        evs=tuple(draw(sound_cars(index, len(nodes), count)) for index in range(draw(st.integers(0, 5)))),
        buy_per_kwh=draw(per_slot(costs, count)),
        sell_per_kwh=draw(per_slot(st.sampled_from([0.0, 0.04, 0.3]), count)),
        pv_w=draw(per_slot(st.sampled_from([0.0, 0.0, 3000.0, 9000.0]), count)),
        import_limit_w=draw(maybe(per_slot(st.sampled_from([12_000.0, 16_000.0]), count))),
        export_limit_w=draw(maybe(per_slot(st.sampled_from([0.0, 6000.0]), count))),
        demand_per_kw=draw(st.sampled_from([0.0, 0.3, 8.0])),
        peak_so_far_w=draw(st.sampled_from([0.0, 9000.0])),
        battery=draw(st.one_of(st.none(), store)),
        shortfall_per_kwh=draw(st.sampled_from([None, 1.0])),
        demand_window_s=draw(st.sampled_from([900.0, 1800.0, 3600.0])),
        window_import_wh=draw(st.sampled_from([0.0, 700.0])),
        co2_kg_per_kwh=draw(maybe(per_slot(st.sampled_from([0.0, 0.4]), count))),
        co2_per_kg=draw(st.sampled_from([0.0, 0.1])),
        reserve_w=draw(maybe(per_slot(st.sampled_from([0.0, 5000.0]), count))),
        grid_setpoint_w=draw(st.one_of(st.just(()), st.tuples(*[st.sampled_from([None, None, 0.0, 8000.0])] * count))),
    )
