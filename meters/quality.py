"""Is this reading believable, and which way is import?

Turns the quantities of a meter into a ``Reading`` in our one convention (import positive,
per site phase) and judges it. BAD counts as silence, SUSPECT makes the site take the safer
side. It never repairs a number, it never guesses a missing one, and it keeps no memory:
stuck values, jumps and wrong CT directions (F41, F43) show only over time: ``steadiness`` judges
one meter by itself, the site compares it with its stations.

Rules (catalogue F42, F44, F45, B42): frequency 45..65 Hz, voltage 50..300 V, |current| within
ten fuses, phase powers add up to the total, power fits current and voltage.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from meters.reading import PhaseTriple, Quality, Reading
from meters.template import PHASES

FREQUENCY_HZ = (45.0, 65.0)
VOLTAGE_V = (50.0, 300.0)
FUSE_MULTIPLE = 10.0
SUM_SLACK_W, SUM_SLACK_SHARE = 50.0, 0.02
BAD_FACTOR = 10.0  # ten times the tolerance is no rounding: word order, shifted answer, wrong scale
CURRENT_SLACK_A = 1.0  # meters with 0.1 A steps, averaged over different windows
POWER_SLACK_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class Convention:
    """How the device writes direction.

    sign: what a positive power means. current: "signed" currents follow the same sign;
    "unsigned" are magnitudes and get the sign of the phase power.
    """

    sign: Literal["import", "export"] = "import"
    current: Literal["signed", "unsigned"] = "signed"


@dataclass(frozen=True, slots=True)
class Expectation:
    """What this meter is expected to tell.

    fuse_a: fuse of what it measures, per phase [A]. voltage_v: nominal, phase to neutral [V].
    current_phases: site phases (0..2) whose current must be present; a reading without one is BAD.
    wiring: the site phase (0..2) behind each of the meter's own phases, first to last; its further
    phases are not connected. reversed: its current transformers look the wrong way.
    """

    fuse_a: float
    voltage_v: float = 230.0
    current_phases: tuple[int, ...] = ()
    wiring: tuple[int, ...] = (0, 1, 2)
    reversed: bool = False


def judge(meter_id: str, quantities: Mapping[str, float | None], convention: Convention, expected: Expectation) -> Reading:
    """The reading of one poll. ``quantities``: names of ``template``, SI units, the device's own signs and phases."""
    finite = _measured({name: value for name, value in quantities.items() if value is not None and math.isfinite(value)})
    if expected.reversed:
        finite = _turned(finite, convention)
    reading = _wired(_in_our_convention(meter_id, finite, convention), expected)
    return _judged(reading, expected, bool(finite), _direction_unknown(finite, convention))


def judge_reading(reading: Reading, expected: Expectation, any_value: bool = True, direction_unknown: bool = False) -> Reading:
    """Judge a reading that is import positive already, phases still as the meter names them (MQTT, virtual meters)."""
    if expected.reversed:
        reading = _turned_reading(reading)
    return _judged(_wired(reading, expected), expected, any_value, direction_unknown)


def _judged(reading: Reading, expected: Expectation, any_value: bool, direction_unknown: bool) -> Reading:
    if not any_value:
        return replace(reading, quality=Quality.BAD, reason="the meter reports no value at all")
    bad = [*_missing(reading, expected), *_out_of_range(reading, expected)]
    suspect = ["direction of the currents unknown while exporting"] if direction_unknown else []
    for text, grave in (*_sum_mismatch(reading), *_power_without_current(reading, expected), *_total_without_current(reading, expected)):
        (bad if grave else suspect).append(text)
    suspect += _opposite_signs(reading)
    quality = Quality.BAD if bad else Quality.SUSPECT if suspect else Quality.GOOD
    return replace(_without_nonsense(reading), quality=quality, reason="; ".join(bad or suspect))


# -- three wires -------------------------------------------------------------------------------


def _measured(values: dict[str, float]) -> dict[str, float]:
    """Without what a device shows as 0 because it does not measure it: phase powers and voltages of a network without neutral.

    Nothing flows on no phase while power flows in total; and without any voltage there is no power.
    """
    flows = any(abs(values.get(f"i_{phase}", 0.0)) >= CURRENT_SLACK_A for phase in PHASES)
    total = values.get("p", values.get("p_imp", 0.0) - values.get("p_exp", 0.0))
    if not flows or abs(total) <= SUM_SLACK_W:
        return values
    unmeasured: set[str] = set()
    for kinds in (tuple(f"p_{phase}{way}" for phase in PHASES for way in ("", "_imp", "_exp")), tuple(f"u_{phase}" for phase in PHASES)):
        there = [name for name in kinds if name in values]
        if all(values[name] == 0.0 for name in there):
            unmeasured.update(there)
    return {name: value for name, value in values.items() if name not in unmeasured}


# -- how it is wired ---------------------------------------------------------------------------


def _turned(values: Mapping[str, float], convention: Convention) -> dict[str, float]:
    """The quantities of transformers that look the wrong way. Currents without sign stay: their direction is that of the power."""
    signed = convention.current == "signed"
    turned: dict[str, float] = {}
    for name, value in values.items():
        if name.endswith("_imp"):
            turned[f"{name[:-4]}_exp"] = value
        elif name.endswith("_exp"):
            turned[f"{name[:-4]}_imp"] = value
        else:
            turns = name == "p" or name.startswith("p_") or (signed and name.startswith("i_"))
            turned[name] = -value if turns else value
    return turned


def _turned_reading(reading: Reading) -> Reading:
    first, second, third = (None if amps is None else -amps for amps in reading.current_a)
    one, two, three = (None if watts is None else -watts for watts in reading.phase_power_w)
    return replace(
        reading,
        current_a=(first, second, third),
        phase_power_w=(one, two, three),
        power_w=None if reading.power_w is None else -reading.power_w,
        energy_import_wh=reading.energy_export_wh,
        energy_export_wh=reading.energy_import_wh,
    )


def _wired(reading: Reading, expected: Expectation) -> Reading:
    """The reading by site phase. A meter of one phase has its power there."""
    if expected.wiring == (0, 1, 2):
        return reading
    power_w = reading.phase_power_w
    if len(expected.wiring) == 1 and power_w[0] is None:
        power_w = (reading.power_w, None, None)
    known = [watts for watts in power_w[: len(expected.wiring)] if watts is not None]
    return replace(
        reading,
        power_w=sum(known) if reading.power_w is None and len(known) == len(expected.wiring) else reading.power_w,
        current_a=_moved(reading.current_a, expected.wiring),
        phase_power_w=_moved(power_w, expected.wiring),
        voltage_v=_moved(reading.voltage_v, expected.wiring),
    )


def _moved(values: PhaseTriple, wiring: tuple[int, ...]) -> PhaseTriple:
    amps: list[float | None] = [None, None, None]
    for own, phase in enumerate(wiring):
        amps[phase] = values[own]
    return amps[0], amps[1], amps[2]


# -- convention ------------------------------------------------------------------------------


def _in_our_convention(meter_id: str, values: Mapping[str, float], convention: Convention) -> Reading:
    factor = 1.0 if convention.sign == "import" else -1.0
    phase_power = _triple(_net(values, f"p_{phase}", factor) for phase in PHASES)
    raw_current = _triple(values.get(f"i_{phase}") for phase in PHASES)
    if convention.current == "unsigned":
        current = _triple(_signed_like(i, p) for i, p in zip(raw_current, phase_power, strict=True))
    else:
        current = _triple(None if i is None else i * factor for i in raw_current)
    power_w = _net(values, "p", factor)
    return Reading(
        meter_id=meter_id,
        quality=Quality.GOOD,
        current_a=current,
        phase_power_w=phase_power,
        voltage_v=_triple(values.get(f"u_{phase}") for phase in PHASES),
        power_w=_total(phase_power) if power_w is None else power_w,
        frequency_hz=values.get("f"),
        energy_import_wh=values.get("e_imp"),
        energy_export_wh=values.get("e_exp"),
        soc_percent=values.get("soc"),
    )


def _triple(values: Iterator[float | None]) -> PhaseTriple:
    first, second, third = values
    return first, second, third


def _net(values: Mapping[str, float], name: str, factor: float) -> float | None:
    """The signed power, or import minus export where the meter keeps them apart."""
    if name in values:
        return values[name] * factor
    if f"{name}_imp" in values and f"{name}_exp" in values:
        return values[f"{name}_imp"] - values[f"{name}_exp"]
    return None


def _signed_like(current_a: float | None, power_w: float | None) -> float | None:
    """A magnitude with the direction of the power; without one it counts as load, the safer side."""
    if current_a is None:
        return None
    return -abs(current_a) if power_w is not None and power_w < 0 else abs(current_a)


def _total(phase_power_w: PhaseTriple) -> float | None:
    known = [power for power in phase_power_w if power is not None]
    return sum(known) if len(known) == 3 else None


def _direction_unknown(values: Mapping[str, float], convention: Convention) -> bool:
    if convention.current == "signed":
        return False
    total = _net(values, "p", 1.0 if convention.sign == "import" else -1.0)
    blind = any(f"i_{phase}" in values and _net(values, f"p_{phase}", 1.0) is None for phase in PHASES)
    return blind and total is not None and total < 0


# -- checks: each yields sentences -------------------------------------------------------------


def _missing(reading: Reading, expected: Expectation) -> Iterator[str]:
    for phase in expected.current_phases:
        if reading.current_a[phase] is None:
            yield f"current of L{phase + 1} is not available"


def _out_of_range(reading: Reading, expected: Expectation) -> Iterator[str]:
    limit_a = FUSE_MULTIPLE * expected.fuse_a
    limit_w = limit_a * expected.voltage_v
    for phase in range(3):
        current, power, voltage = reading.current_a[phase], reading.phase_power_w[phase], reading.voltage_v[phase]
        if current is not None and abs(current) > limit_a:
            yield f"current of L{phase + 1} is {current:.4g} A, more than ten fuses"
        if power is not None and abs(power) > limit_w:
            yield f"power of L{phase + 1} is {power:.4g} W, more than ten fuses"
        if voltage is not None and not VOLTAGE_V[0] <= voltage <= VOLTAGE_V[1] and not _unwired(reading, phase, expected):
            yield f"voltage of L{phase + 1} is {voltage:.4g} V"
    if reading.power_w is not None and abs(reading.power_w) > 3 * limit_w:
        yield f"power is {reading.power_w:.4g} W, more than ten fuses"
    frequency = reading.frequency_hz
    if frequency is not None and not FREQUENCY_HZ[0] <= frequency <= FREQUENCY_HZ[1]:
        yield f"frequency is {frequency:.4g} Hz"


def _unwired(reading: Reading, phase: int, expected: Expectation) -> bool:
    """Nothing is connected to this input of the meter: no voltage, no current, and nobody expects one."""
    voltage, current = reading.voltage_v[phase], reading.current_a[phase]
    return phase not in expected.current_phases and abs(voltage or 0.0) < VOLTAGE_V[0] and abs(current or 0.0) < CURRENT_SLACK_A


def _sum_mismatch(reading: Reading) -> Iterator[tuple[str, bool]]:
    total = _total(reading.phase_power_w)
    if total is None or reading.power_w is None:
        return
    slack_w = max(SUM_SLACK_W, SUM_SLACK_SHARE * abs(reading.power_w))
    gap_w = abs(reading.power_w - total)
    if gap_w > slack_w:
        yield f"power {reading.power_w:.4g} W is not the sum of its phases {total:.4g} W", gap_w > BAD_FACTOR * slack_w


def _power_without_current(reading: Reading, expected: Expectation) -> Iterator[tuple[str, bool]]:
    """Active power cannot exceed voltage times current: a wrong scale or CT ratio (F45)."""
    for phase in range(3):
        current, power = reading.current_a[phase], reading.phase_power_w[phase]
        if current is None or power is None:
            continue
        voltage = reading.voltage_v[phase] or expected.voltage_v
        possible_w = (abs(current) + CURRENT_SLACK_A) * voltage * (1 + POWER_SLACK_SHARE)
        if abs(power) > possible_w:
            yield f"L{phase + 1} shows {power:.4g} W but only {current:.4g} A", abs(power) > BAD_FACTOR * possible_w


def _total_without_current(reading: Reading, expected: Expectation) -> Iterator[tuple[str, bool]]:
    """The same for a meter at a fuse that tells its power as a total only: currents of the wrong sign or scale (F43, F45)."""
    currents = [reading.current_a[phase] for phase in expected.current_phases]
    known = [current for current in currents if current is not None]
    if reading.power_w is None or None not in reading.phase_power_w or not currents or len(known) < len(currents):
        return
    way = 1.0 if reading.power_w >= 0 else -1.0
    that_way_a = sum(max(0.0, current * way) + CURRENT_SLACK_A for current in known)
    possible_w = that_way_a * expected.voltage_v * (1 + POWER_SLACK_SHARE)
    if abs(reading.power_w) > possible_w:
        verb = "is imported" if way > 0 else "is exported"
        # Currents that show import while there is none are on the safe side.
        yield f"{abs(reading.power_w):.4g} W {verb}, but the currents do not show it", way > 0 and reading.power_w > BAD_FACTOR * possible_w


def _opposite_signs(reading: Reading) -> Iterator[str]:
    """A meter whose currents have no sign although its map says so (F43)."""
    for phase in range(3):
        current, power = reading.current_a[phase], reading.phase_power_w[phase]
        voltage = reading.voltage_v[phase] or VOLTAGE_V[1]
        if current is None or power is None or abs(current) < CURRENT_SLACK_A or abs(power) < CURRENT_SLACK_A * voltage:
            continue
        if current * power < 0:
            yield f"current and power of L{phase + 1} point in opposite directions"


def _without_nonsense(reading: Reading) -> Reading:
    """Drop secondary values that cannot be: they must not spoil a reading whose currents are right."""
    soc = reading.soc_percent
    energy_import, energy_export = reading.energy_import_wh, reading.energy_export_wh
    return replace(
        reading,
        soc_percent=soc if soc is not None and 0.0 <= soc <= 100.0 else None,
        energy_import_wh=energy_import if energy_import is not None and energy_import >= 0 else None,
        energy_export_wh=energy_export if energy_export is not None and energy_export >= 0 else None,
    )
