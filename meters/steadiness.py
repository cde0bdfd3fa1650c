"""Does this meter's word fit the words before it?

Two watches one meter can stand by itself, set in the site file: a jump larger than anything the
place can do is believed only when the next readings confirm it, and values that stay the same to
the last digit for too long are those of a device that has stopped looking (F41). Rules that need
the stations' word as well live with the site. Nothing here repairs a value.
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import replace

from meters.reading import Quality, Reading

CONFIRMED_AFTER = 3
"""A jump is believed when this many readings in a row, the first included, agree about it."""
GAP_S = 15.0
"""After a silence this long the reading before it says nothing about the next one [s]."""


class Steadiness:
    """Memory of one meter. ``mono_s`` is monotonic seconds.

    max_step_a: largest change of a phase believed at once [A]. stuck_after_s: how long every digit may stay the same [s].
    None: no such watch. voltage_v: turns a phase power into a current where the meter shows none.
    """

    def __init__(self, max_step_a: float | None, stuck_after_s: float | None, voltage_v: float = 230.0) -> None:
        self._max_step_a, self._stuck_after_s, self._voltage_v = max_step_a, stuck_after_s, voltage_v
        self._believed: tuple[float | None, ...] | None = None
        self._doubted: tuple[float | None, ...] | None = None
        self._count = 0
        self._seen_mono_s = -math.inf
        self._digits: Hashable = None
        self._still_since_mono_s = -math.inf

    def look(self, reading: Reading, mono_s: float) -> Reading:
        """The reading, BAD with a reason if it is not to be believed. One that is BAD already passes as it is."""
        if reading.quality is Quality.BAD:
            return reading
        trouble = self._stuck(reading, mono_s) or self._jump(reading, mono_s)
        return replace(reading, quality=Quality.BAD, reason=trouble) if trouble else reading

    def _stuck(self, reading: Reading, mono_s: float) -> str:
        digits = _digits(reading)
        if digits != self._digits:
            self._digits, self._still_since_mono_s = digits, mono_s
            return ""
        still_s = mono_s - self._still_since_mono_s
        if self._stuck_after_s is None or still_s < self._stuck_after_s:
            return ""
        return f"every value has been the same for {still_s:.0f} s; the meter has stopped measuring"

    def _jump(self, reading: Reading, mono_s: float) -> str:
        if self._max_step_a is None:
            return ""
        amps = self._amps(reading)
        silent, self._seen_mono_s = mono_s - self._seen_mono_s > GAP_S, mono_s
        if self._believed is None or silent or _within(amps, self._believed, self._max_step_a):
            self._believed, self._doubted, self._count = amps, None, 0
            return ""
        agrees = self._doubted is not None and _within(amps, self._doubted, self._max_step_a)
        self._count = self._count + 1 if agrees else 1
        self._doubted = amps
        if self._count >= CONFIRMED_AFTER:
            self._believed, self._doubted, self._count = amps, None, 0
            return ""
        phase, was_a, now_a = _largest(amps, self._believed)
        return f"L{phase + 1} jumped from {was_a:.4g} to {now_a:.4g} A, more than {self._max_step_a:g} A at once; waiting for it to be confirmed"

    def _amps(self, reading: Reading) -> tuple[float | None, ...]:
        found: list[float | None] = []
        for current_a, power_w, voltage_v in zip(reading.current_a, reading.phase_power_w, reading.voltage_v, strict=True):
            known = current_a if current_a is not None or power_w is None else power_w / (voltage_v or self._voltage_v)
            found.append(known)
        return tuple(found)


def _digits(reading: Reading) -> Hashable:
    values = reading.current_a, reading.phase_power_w, reading.voltage_v, reading.power_w, reading.frequency_hz
    return values, reading.energy_import_wh, reading.energy_export_wh, reading.soc_percent


def _within(amps: tuple[float | None, ...], others: tuple[float | None, ...], step_a: float) -> bool:
    return all(one is None or other is None or abs(one - other) <= step_a for one, other in zip(amps, others, strict=True))


def _largest(amps: tuple[float | None, ...], others: tuple[float | None, ...]) -> tuple[int, float, float]:
    pairs = [(phase, was, now) for phase, (now, was) in enumerate(zip(amps, others, strict=True)) if now is not None and was is not None]
    return max(pairs, key=lambda pair: abs(pair[2] - pair[1]))
