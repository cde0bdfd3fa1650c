"""The load a plan cannot command: the building, expected from what is measured now and then from what is usual at that hour.

With room for a worse day, on which the building draws more and the sun gives less.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from controller.config import ROOT_CIRCUIT, Config
from controller.facts import PhaseAmps
from controller.site.layout import PHASES, Layout
from controller.site.plans.plan_inputs import PlanInputs
from controller.site.plans.sunshine import darker_w
from optimizer.forecast import blended_w, profile_w
from optimizer.problem import Slot


def other_load_a(config: Config, layout: Layout, inputs: PlanInputs, name: str, slots: tuple[Slot, ...], weeks: int) -> tuple[PhaseAmps, ...]:
    """Load of this node alone per slot and phase [A], with the EVSEs that cannot be commanded."""
    children = [child for child in layout.circuits.values() if child.parent == name]
    own = [inputs.loads[name].other_a[phase] - sum(inputs.loads[child.id].other_a[phase] for child in children) for phase in PHASES]
    series: tuple[PhaseAmps, ...]
    if name == ROOT_CIRCUIT and _metered(layout, inputs):
        series = _building_a(config, layout, inputs, own, slots, weeks)
    else:
        series = ((max(0.0, own[0]), max(0.0, own[1]), max(0.0, own[2])),) * len(slots)
    booked = [0.0, 0.0, 0.0]
    for key, amps in inputs.booked_a.items():
        if layout.places[key].circuit == name:
            for phase in inputs.evses[key].phases:
                booked[phase] += amps
    if not any(booked):
        return series
    return tuple((a + booked[0], b + booked[1], c + booked[2]) for a, b, c in series)


def _metered(layout: Layout, inputs: PlanInputs) -> bool:
    return layout.circuits[ROOT_CIRCUIT].meter is not None and not inputs.loads[ROOT_CIRCUIT].lost


def _apart_a(layout: Layout, inputs: PlanInputs) -> float:
    """What PV and battery hide of the building, per phase [A]: the meter sees all three together, the plan forecasts each on its own."""
    return ((inputs.pv_w or 0.0) - (inputs.battery_w or 0.0)) / (layout.phase_count * layout.voltage_v)


def building_w(layout: Layout, inputs: PlanInputs) -> float | None:
    """What the building draws now, cars, PV and battery apart [W]; None when the grid meter is not believed."""
    if not _metered(layout, inputs):
        return None
    apart_a = _apart_a(layout, inputs)
    phases = range(layout.phase_count)
    return sum(max(0.0, inputs.loads[ROOT_CIRCUIT].other_a[phase] + apart_a) for phase in phases) * layout.voltage_v


def _building_a(
    config: Config, layout: Layout, inputs: PlanInputs, own_a: Sequence[float], slots: tuple[Slot, ...], weeks: int
) -> tuple[PhaseAmps, ...]:
    """From the currents of now to what is usual, each phase from its own measurement; what is usual is spread evenly."""
    apart_a = _apart_a(layout, inputs)
    present_a = [max(0.0, amps + apart_a) for amps in own_a]
    volts, expected = layout.voltage_v, _building_w(config, inputs, slots)
    if expected is None:
        return ((present_a[0], present_a[1], present_a[2]),) * len(slots)
    if weeks and inputs.load is not None:
        return tuple((watts / 3.0 / volts,) * 3 for watts in inputs.load.again_w(slots, weeks, expected))
    thirds = [watts / 3.0 / volts for watts in expected]
    first, second, third = (blended_w(slots, thirds, amps) for amps in present_a)
    return tuple(zip(first, second, third, strict=True))


def _building_w(config: Config, inputs: PlanInputs, slots: Sequence[Slot]) -> tuple[float, ...] | None:
    """What the building is expected to draw [W]: as a feed tells, else as usual; None where neither feed, days nor the owner have told."""
    told, zone, fed = config.forecast.base_load_w, config.site.timezone, inputs.foreseen.load_w
    configured = profile_w(slots, told, zone) if told else None
    usual = configured
    if inputs.load is not None and inputs.load.knows:
        usual = inputs.load.expected_w(slots, configured or (0.0,) * len(slots)) if configured or inputs.load.knows_all else None
    if not fed or not slots:
        return usual
    mean = fed.mean(slots[0].start_wall_s, slots[-1].start_wall_s + slots[-1].duration_s)
    return fed.per_slot(slots, usual if usual is not None else (mean,) * len(slots)) if mean is not None else usual


def worse_day_a(config: Config, layout: Layout, inputs: PlanInputs, slots: Sequence[Slot]) -> tuple[float, ...]:
    """Room for a day on which the building draws more and the sun gives less, per phase and slot [A]; () until days have taught it."""
    sure = config.forecast.load_certainty_percent / 100.0
    if sure <= 0.5:
        return ()
    higher = inputs.load.above_w(slots, sure) if inputs.load is not None and inputs.load.knows else ()
    parts = [watts for watts in (higher, darker_w(config, inputs.foreseen, inputs.sun, slots, 1.0 - sure)) if watts]
    if not parts:
        return ()
    per_w = 1.0 / (layout.phase_count * layout.voltage_v)
    return tuple(math.hypot(*watts) * per_w for watts in zip(*parts, strict=True))
