"""Alarms about meters and fuses: what happened, what we did, what a person can do; once per change. Decides nothing."""

from __future__ import annotations

from collections.abc import Mapping

from controller.config import ROOT_CIRCUIT, ControlConfig
from controller.orders import Order, RecordPoint, Severity, Tell
from controller.site.guard import Excess
from controller.site.layout import PHASE_NAMES
from controller.site.meters.freshness import Health, MeterWatch

OVER_TELL_S = 3.0
"""A fuse must be over its limit this long before a person is told [s]."""


class Alarms:
    """Remembers only what was told."""

    def __init__(self, control: ControlConfig) -> None:
        self._lost_s = control.meter_lost_s
        self._lost: set[str] = set()
        self._proved: dict[str, str] = {}
        self._noisy: set[str] = set()
        self._over: set[str] = set()

    def meter(self, watch: MeterWatch, circuit: str, silent_s: float, wall_s: float) -> list[Order]:
        """What there is to tell about a meter now. silent_s: since it last spoke, or since we asked first."""
        held = "site" if circuit == ROOT_CIRCUIT else f"circuit {circuit}"
        return [*self._silence(watch, held, silent_s), *self._proof(watch, held), *self._line(watch), *_restart(watch, wall_s)]

    def _silence(self, watch: MeterWatch, held: str, silent_s: float) -> list[Order]:
        meter_id, told = watch.meter_id, watch.meter_id in self._lost
        if watch.health is Health.GOOD and told:
            self._lost.discard(meter_id)
            return [Tell(Severity.INFO, f"meter {meter_id}", f"meter {meter_id} answers again - normal control")]
        # At start-up the meter has the same time to speak as later.
        if watch.health is not Health.LOST or told or silent_s < self._lost_s:
            return []
        self._lost.add(meter_id)
        because = f" ({watch.trouble})" if watch.trouble else ""
        text = f"meter {meter_id} silent for {silent_s:.0f} s{because} - {held} held to fallback; check its cable and power"
        return [Tell(Severity.ALARM, f"meter {meter_id}", text)]

    def _proof(self, watch: MeterWatch, held: str) -> list[Order]:
        """What the steps of the cars have proved (F43, F44, F45)."""
        proof, before = watch.distrust or watch.unsorted, self._proved.get(watch.meter_id, "")
        if proof == before:
            return []
        self._proved[watch.meter_id] = proof
        if not proof:
            return [Tell(Severity.INFO, f"meter {watch.meter_id}", f"meter {watch.meter_id} agrees with the cars again")]
        if watch.distrust:
            done = f"not believed, {held} goes to fallback; turn or replace the current sensor, correct the meter's settings, then restart Yardmaster"
        else:
            done = "the highest phase counts for all of them; check the order of its current sensors and the phases of the stations"
        return [Tell(Severity.ALARM, f"meter {watch.meter_id}", f"meter {watch.meter_id}: {proof} - {done}")]

    def _line(self, watch: MeterWatch) -> list[Order]:
        """A line that gets worse is told before it is dead (F49)."""
        meter_id = watch.meter_id
        if watch.polls.bad and watch.health is not Health.LOST and meter_id not in self._noisy:
            self._noisy.add(meter_id)
            share = f"{100 * watch.polls.part:.0f} % of the readings of meter {meter_id} fail ({watch.polls.reason or 'no answer'})"
            text = f"{share} - control goes on with the others; look for a second master on its line, a loose wire, a missing terminator"
            return [Tell(Severity.ALARM, f"meter {meter_id}", text)]
        if not watch.polls.bad and meter_id in self._noisy:
            self._noisy.discard(meter_id)
            return [Tell(Severity.INFO, f"meter {meter_id}", f"the readings of meter {meter_id} come through again")]
        return []

    def over(self, found: Mapping[str, tuple[Excess, ...]], for_s: Mapping[str, float]) -> list[Order]:
        """Circuits over their limits. for_s: how long each has been [s]."""
        orders: list[Order] = []
        for circuit, excess in found.items():
            if circuit in self._over or for_s[circuit] < OVER_TELL_S:
                continue
            self._over.add(circuit)
            worst = max(excess, key=lambda one: (one.phase is not None, one.measured_a))
            measured = "has no meter to look at and its stations add up to" if worst.derived else "measured"
            amps = f"{measured} {worst.measured_a:.0f} A, limit {worst.limit_a:.0f} A"
            where = PHASE_NAMES[worst.phase] if worst.phase is not None else "over all phases"
            text = f"{circuit} {where} {amps} - charging is cut; reduce other loads if it stays"
            orders.append(Tell(Severity.WARNING, f"circuit {circuit}", text))
        for circuit in [name for name in self._over if name not in found]:
            self._over.discard(circuit)
            orders.append(Tell(Severity.INFO, f"circuit {circuit}", f"{circuit} is below its limit again"))
        return orders


def _restart(watch: MeterWatch, wall_s: float) -> list[Order]:
    """The power of a meter that counts anew is as good as before; its energy series gets a mark (F48)."""
    broken, watch.restarted = watch.restarted, None
    if broken is None:
        return []
    fell = f"the {broken.register} counter of meter {watch.meter_id} fell from {broken.before_wh / 1000:.1f} to {broken.after_wh / 1000:.1f} kWh"
    text = f"{fell} - its power is used as before, its energy is counted anew from here; look whether it was replaced"
    point = RecordPoint(
        "meter_restart",
        {"meter": watch.meter_id, "register": broken.register},
        {"before_wh": broken.before_wh, "after_wh": broken.after_wh},
        wall_s,
    )
    return [Tell(Severity.WARNING, f"meter {watch.meter_id}", text), point]
