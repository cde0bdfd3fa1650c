"""Limits over time laid over each other, for the truth about what a station does (K08)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from controller.facts import LimitStep

Steps = tuple[LimitStep, ...]
Rule = Callable[[Sequence[LimitStep]], LimitStep]
NOTHING = LimitStep(0.0, None)


def lowest(base: Steps, *caps: Steps) -> Steps:
    """``base`` capped by others; limit None is no limit. Phases, modes and setpoints are those of the base, held within the cap."""

    def rule(now: Sequence[LimitStep]) -> LimitStep:
        limits = [step.limit_a for step in now if step.limit_a is not None]
        limit_a, setpoint_a = min(limits, default=None), now[0].setpoint_a
        capped = setpoint_a if setpoint_a is None or limit_a is None else min(setpoint_a, limit_a)
        return replace(now[0], limit_a=limit_a, setpoint_a=capped)

    return combine((base, *caps), rule)


def total(layers: Sequence[Steps]) -> Steps:
    """The sum of several EVSEs; unlimited if one of them is. Setpoints add up where all have one."""

    def rule(now: Sequence[LimitStep]) -> LimitStep:
        limits = [step.limit_a for step in now]
        setpoints = [step.setpoint_a for step in now]
        return LimitStep(
            0.0,
            None if any(limit is None for limit in limits) else sum(limit for limit in limits if limit is not None),
            setpoint_a=None if any(one is None for one in setpoints) else sum(one for one in setpoints if one is not None),
        )

    return combine(layers, rule)


def scaled(steps: Steps, factor: float) -> Steps:
    """All currents times a factor > 0."""
    if factor == 1.0:
        return steps
    return tuple(
        replace(
            step,
            limit_a=None if step.limit_a is None else step.limit_a * factor,
            discharge_a=None if step.discharge_a is None else step.discharge_a * factor,
            setpoint_a=None if step.setpoint_a is None else step.setpoint_a * factor,
        )
        for step in steps
    )


def combine(layers: Sequence[Steps], rule: Rule) -> Steps:
    """Walk all layers side by side, each once: a week of short periods must not hold the loop (P3)."""
    moments = sorted((step.start_wall_s, index, place) for index, layer in enumerate(layers) for place, step in enumerate(layer))
    now = [NOTHING] * len(layers)
    steps: list[LimitStep] = []
    for position, (wall_s, index, place) in enumerate(moments):
        now[index] = layers[index][place]
        if position + 1 < len(moments) and moments[position + 1][0] == wall_s:
            continue
        step = replace(rule(now), start_wall_s=wall_s)
        if not steps or replace(steps[-1], start_wall_s=wall_s) != step:
            steps.append(step)
    return tuple(steps)
