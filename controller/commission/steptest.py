"""Judges the step test of one EVSE: wiring, direction, scale, speed, accuracy; each as a finding with a remedy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median

from controller.commission.findings import Finding, Outcome, Quirks, Rotation, Verdict
from controller.commission.phases import Effect, PhaseEffect, Step, effect_of, faint, mapping, names, own_phases, settled, shares_of, steps_of
from controller.commission.record import PHASE_NAMES, Curve, Hold, Record

ARRIVED_A, ARRIVED_PART = 1.0, 0.15
"""A new limit has arrived when the current is this near to where it settles."""
SLOW_METER_S = 5.0
"""A meter read more rarely times nothing [s]."""
OVERDRAW_PART = 0.02
"""More than this above the limit is an overdraw and no rounding."""


def judge(record: Record, wired: Sequence[int]) -> Outcome:
    """The outcome of a step test. wired: site phases that feed the EVSE's own L1, L2, L3 by the site file."""
    steps = steps_of(record)
    if not steps:
        text = "no step could be measured: the car took less than 3 A more at the higher level, or none was accepted"
        return Outcome((Finding("Step test", Verdict.UNSURE, text, "Plug in a car that can take at least 10 A, not nearly full, and test again."),))
    findings: list[Finding] = []
    rotations: list[Rotation] = []
    for curve in record.meters:
        shares = shares_of(curve, steps)
        effects = (effect_of(curve, 0, steps, shares[0]), effect_of(curve, 1, steps, shares[1]), effect_of(curve, 2, steps, shares[2]))
        found, rotation = _meter(curve, effects, steps, wired)
        findings += found
        rotations += [rotation] if rotation is not None else []
    findings += _between(record, rotations)
    speed, apply_s = _speed(record, steps)
    over, overdraw_part = _overdraw(record)
    rotation = next((one for one in rotations if one.known), rotations[0] if rotations else None)
    return Outcome((*findings, speed, over), Quirks(apply_s=apply_s, overdraw_part=overdraw_part), rotation)


# -- one meter --------------------------------------------------------------------------------------


def _meter(curve: Curve, effects: tuple[PhaseEffect, ...], steps: Sequence[Step], wired: Sequence[int]) -> tuple[list[Finding], Rotation | None]:
    title = f"Meter {curve.name}"
    by = {effect: [phase for phase, one in enumerate(effects) if one.effect is effect] for effect in Effect}
    small = faint(effects)
    gains = _gains(effects)
    if by[Effect.TURNED]:
        return [_turned(title, by[Effect.TURNED], steps, gains)], None
    if by[Effect.SCALED] or (small and not by[Effect.MOVES]):
        return [_scaled(title, by[Effect.SCALED] or small, effects, gains)], None
    if by[Effect.UNCLEAR]:
        text = f"not certain on {names(by[Effect.UNCLEAR])} ({gains}); the building changes too much, or too few steps"
        return [Finding(title, Verdict.UNSURE, text, "Repeat with more steps, or when large machines stand still.")], None
    moving = by[Effect.MOVES]
    if not moving:
        text = f"does not see this charger at all ({gains})"
        return [Finding(title, Verdict.FAIL, text, "Check which circuit the charger hangs on, and where this meter's transformers sit.")], None
    rotation = _rotation(curve, steps, moving)
    return [_wiring(title, moving, rotation, steps, wired)], rotation


def _gains(effects: Sequence[PhaseEffect]) -> str:
    parts = (f"{PHASE_NAMES[phase]} {one.gain:+.2f}" for phase, one in enumerate(effects) if math.isfinite(one.gain))
    return "change at the meter per A at the charger: " + ", ".join(parts)


def _turned(title: str, phases: Sequence[int], steps: Sequence[Step], gains: str) -> Finding:
    if own_phases(steps) is None:
        text = f"{names(phases)} moves against the steps ({gains}), but the station tells nothing that proves it followed them"
        return Finding(title, Verdict.UNSURE, text, "Turned transformer, or a very slow charger: repeat with longer steps (--hold).")
    remedy = "Turn the current transformer of that phase round (or swap its two wires), then test again."
    return Finding(title, Verdict.FAIL, f"{names(phases)} counts backwards: more charging shows as less import ({gains})", remedy)


def _scaled(title: str, phases: Sequence[int], effects: Sequence[PhaseEffect], gains: str) -> Finding:
    factor = median([abs(effects[phase].gain) for phase in phases])
    text = f"{names(phases)} shows {factor:.2g} A for every A of the charger ({gains})"
    hint = f"Check the transformer ratio and the scale in the meter's register map: the true factor looks {1 / factor:.2g} times larger."
    return Finding(title, Verdict.FAIL, text, hint if factor > 0 else "Check the transformer ratio.")


def _rotation(curve: Curve, steps: Sequence[Step], moving: Sequence[int]) -> Rotation:
    found = mapping(curve, steps) if own_phases(steps) is not None else {0: moving[0]} if len(moving) == 1 else {}
    found = {own: site for own, site in found.items() if site in moving}
    return Rotation((found.get(0), found.get(1), found.get(2)), len(moving))


def _wiring(title: str, moving: Sequence[int], rotation: Rotation, steps: Sequence[Step], wired: Sequence[int]) -> Finding:
    used = own_phases(steps)
    expected = {wired[phase] for phase in (used if used is not None else range(len(moving))) if phase < len(wired)}
    wrong = {own: site for own, site in enumerate(rotation.site_phases) if site is not None and (own >= len(wired) or wired[own] != site)}
    if wrong:
        own, site = next(iter(wrong.items()))
        should = PHASE_NAMES[wired[own]] if own < len(wired) else "nothing"
        text = f"the charger's {PHASE_NAMES[own]} loads {PHASE_NAMES[site]} of the site; the site file says {should}"
        return Finding(title, Verdict.FAIL, text, "Change phases of this EVSE in site.yaml (site-changes.txt has the line), or rewire.")
    if set(moving) != expected and (used is not None or len(moving) > 1):
        text = f"{names(moving)} moves, the site file expects {names(sorted(expected))}"
        return Finding(title, Verdict.FAIL, text, "Check phases of this EVSE in site.yaml, and the order of this meter's transformers.")
    if not rotation.known:
        text = f"{names(moving)} moves with the charger, in the right direction and to scale; their order was not told apart"
        return Finding(title, Verdict.UNSURE, text, "Repeat with a one-phase car or test box: only then the order of the phases shows.")
    told = ", ".join(f"{PHASE_NAMES[own]} on {PHASE_NAMES[site]}" for own, site in enumerate(rotation.site_phases) if site is not None)
    return Finding(title, Verdict.PASS, f"sees the charger's {told}, in the right direction and to scale, as the site file says")


def _between(record: Record, rotations: Sequence[Rotation]) -> list[Finding]:
    """Two meters over one charger must agree on its phases."""
    known = [one.site_phases for one in rotations if one.known]
    if len(known) < 2 or len(set(known)) == 1:
        return []
    text = f"{', '.join(curve.name for curve in record.meters)} do not agree on the phases of this charger"
    return [Finding("Meters against each other", Verdict.FAIL, text, "One of them has swapped phases: compare their transformers at the panel.")]


# -- speed --------------------------------------------------------------------------------------------


def _speed(record: Record, steps: Sequence[Step]) -> tuple[Finding, float | None]:
    """From Accepted to effect, by the fastest source that saw the steps."""
    title = "Time until a new limit acts"
    curve = _fastest(record, steps)
    times = [seconds for step in steps if curve is not None and (seconds := arrival_s(curve, step)) is not None]
    if curve is None or len(times) < min(3, len(steps)):
        text = f"only {len(times)} of {len(steps)} steps could be timed"
        return Finding(title, Verdict.UNSURE, text, "Repeat with longer holds (--hold)."), None
    p95_s = percentile(times, 0.95)
    every = f", it is read every {curve.period_s:.1f} s" if curve.period_s else ""
    apply_s = float(math.ceil(p95_s))
    text = f"95 % within {p95_s:.1f} s, usually {median(times):.1f} s, by {curve.name} over {len(times)} steps{every}; car included"
    advice = "Longer than 30 s: the site keeps a cut car's current free so long; ask the maker for newer firmware." if apply_s > 30 else ""
    return Finding(title, Verdict.FAIL if apply_s > 120 else Verdict.INFO, text, advice), min(apply_s, 120.0)


def _fastest(record: Record, steps: Sequence[Step]) -> Curve | None:
    """The meter with the shortest period whose sum moves clearly with the steps; the station's own word only without one."""
    usable = [curve for curve in record.meters if curve.period_s and curve.period_s <= SLOW_METER_S and _sees(curve, steps)]
    if not usable and _sees(record.station, steps):
        return record.station
    return min(usable, key=lambda curve: curve.period_s or math.inf, default=None)


def _sees(curve: Curve, steps: Sequence[Step]) -> bool:
    gains = [delta / step.reference_a for step in steps if (delta := _sum_delta(curve, step)) is not None]
    return len(gains) >= min(3, len(steps)) and median(gains) > 0.3


def _sum_delta(curve: Curve, step: Step) -> float | None:
    sooner, later = _sum_at(curve, step.before), _sum_at(curve, step.after)
    return later - sooner if sooner is not None and later is not None else None


def _sum_at(curve: Curve, hold: Hold) -> float | None:
    parts = [settled(curve, phase, hold) for phase in range(3)]
    known = [part for part in parts if part is not None]
    return sum(known) if known else None


def arrival_s(curve: Curve, step: Step) -> float | None:
    """Seconds from Accepted until the sum of the phases is, and the next sample stays, where it settles; None = never."""
    before, after = _sum_at(curve, step.before), _sum_at(curve, step.after)
    if before is None or after is None:
        return None
    near_a = max(ARRIVED_A, ARRIVED_PART * abs(after - before))
    samples = curve.between(step.after.accepted_s, step.after.until_s)
    sums = [(sample.mono_s, sum(amps for amps in sample.amps if amps is not None)) for sample in samples]
    for number, (mono_s, amps) in enumerate(sums):
        if all(abs(later - after) <= near_a for _, later in [(mono_s, amps), *sums[number + 1 : number + 2]]):
            return mono_s - step.after.accepted_s
    return None


def percentile(values: Sequence[float], part: float) -> float:
    """Linear between the ordered values; part 0..1."""
    ordered = sorted(values)
    place = part * (len(ordered) - 1)
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])


# -- accuracy -----------------------------------------------------------------------------------------


def _overdraw(record: Record) -> tuple[Finding, float | None]:
    title = "Current against limit"
    parts = [(drawn_a - hold.limit_a) / hold.limit_a for hold in record.holds if hold.limit_a >= 6 and (drawn_a := drawn(record, hold)) is not None]
    if len(parts) < 3:
        return Finding(title, Verdict.SKIPPED, "the station tells no currents by phase"), None
    part = median(parts)
    if part <= OVERDRAW_PART:
        return Finding(title, Verdict.PASS, f"stays within its limit (usually {100 * part:+.1f} %)"), 0.0
    rounded = min(0.25, math.ceil(100 * part - 1e-6) / 100)
    advice = "Written into the model file: the site counts with it." if part <= 0.25 else "More than 25 %: do not rely on this charger."
    return Finding(title, Verdict.FAIL if part > 0.25 else Verdict.INFO, f"draws {100 * part:.1f} % more than it may", advice), rounded


def drawn(record: Record, hold: Hold) -> float | None:
    """What the station told it draws at the end of a hold, on its largest phase [A]."""
    told = [amps for phase in range(3) if (amps := settled(record.station, phase, hold)) is not None]
    return max(told) if told else None
