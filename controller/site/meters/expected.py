"""What each meter of this site is expected to tell: from configuration to ``meters.quality``."""

from __future__ import annotations

from collections.abc import Collection

from controller.config import PHASE_INDEX, Config, MeterConfig
from meters.quality import Expectation
from meters.template import Template


def expectation(config: Config, meter: MeterConfig, template: Template | None = None, measured: Collection[int] | None = None) -> Expectation:
    """The fuse a meter watches, how it is wired, and the site phases whose current must be in every reading.

    Only grid and circuit meters guard a fuse. A map without currents (``template``), or a device that has none on
    some of its own phases (``measured``: those that have, 0..2), cannot be asked for them.
    """
    fuse_a = next((circuit.fuse_a for circuit in config.circuits if circuit.meter == meter.id), config.grid.fuse_a)
    wiring = tuple(PHASE_INDEX[phase] for phase in meter.phases)
    needed: tuple[int, ...] = ()
    if meter.role in ("grid", "circuit"):
        own = measured if measured is not None else _measured(template) if template is not None else range(3)
        has = {phase for place, phase in enumerate(wiring) if place in own}
        asked = range(config.grid.phases)
        # What a map does not measure it is not asked for; a phase the meter is not wired to is missing all the same.
        needed = tuple(phase for phase in asked if phase in has or (own and phase not in wiring))
    return Expectation(fuse_a, config.grid.voltage_v, needed, wiring, meter.reversed)


def _measured(template: Template) -> set[int]:
    return {phase for name, phase in PHASE_INDEX.items() if f"i_{name.lower()}" in template.registers}
