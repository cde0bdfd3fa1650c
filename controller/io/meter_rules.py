"""What each meter of this site is expected to tell: from configuration to ``meters.quality``."""

from __future__ import annotations

from controller.config import PHASE_INDEX, Config, MeterConfig
from meters.quality import Expectation
from meters.template import Template


def expectation(config: Config, meter: MeterConfig, template: Template | None = None) -> Expectation:
    """The fuse a meter watches, and the phases whose current must be in every reading.

    Only grid and circuit meters guard a fuse. A map without currents (``template``) cannot be asked for them.
    """
    fuse_a = next((circuit.fuse_a for circuit in config.circuits if circuit.meter == meter.id), config.grid.fuse_a)
    needed: tuple[int, ...] = ()
    if meter.role in ("grid", "circuit"):
        needed = tuple(phase for phase in range(config.grid.phases) if template is None or phase in _measured(template))
    return Expectation(fuse_a, config.grid.voltage_v, needed)


def _measured(template: Template) -> set[int]:
    return {phase for name, phase in PHASE_INDEX.items() if f"i_{name.lower()}" in template.registers}
