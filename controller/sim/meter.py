"""A Modbus server with the register map of ``config/meters/yardmaster_sim.yaml``.

Serves any number of units (grid, PV, battery) behind one port. Registers are written when they are
asked for, so a reading is never older than the question. The map file is the only place that knows
addresses: the server encodes with it, the controller decodes with it.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Mapping
from pathlib import Path

from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from controller.sim.car import VOLTAGE_V
from controller.sim.site import MeterValues
from meters.decode import encode_value
from meters.template import Template, load_template

MAP_NAME = "yardmaster_sim"
FREQUENCY_HZ = 50.0

logging.getLogger("pymodbus.logging").setLevel(logging.CRITICAL)  # every client that hangs up is an error to it


class SimMeters:
    """The meters of a site on one TCP port. silent: connections are served but never answered with values."""

    def __init__(self, maps_dir: Path, units: Mapping[int, Callable[[], MeterValues]]) -> None:
        self.template = load_template(maps_dir / f"{MAP_NAME}.yaml")
        self.port = 0
        self.silent = False
        self._units = dict(units)
        self._server: ModbusTcpServer | None = None

    async def start(self, port: int = 0) -> None:
        """Listen on the loopback interface; 0 picks a free port."""
        self._server = ModbusTcpServer([self._device(unit) for unit in self._units], address=("127.0.0.1", port))
        await self._server.serve_forever(background=True)
        transport = self._server.transport
        assert isinstance(transport, asyncio.Server)
        self.port = int(transport.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Close the port and every connection."""
        if self._server is not None:
            await self._server.shutdown()  # type: ignore[no-untyped-call]
            self._server = None

    def _device(self, unit: int) -> SimDevice:
        length = max(span.end for span in self.template.spans)

        async def refresh(
            _function: int, start: int, _address: int, _count: int, registers: list[int], _values: list[int] | list[bool] | None
        ) -> ExcCodes | None:
            if self.silent:
                return ExcCodes.DEVICE_BUSY
            for address, word in image(self.template, self._units[unit]()).items():
                registers[address - start] = word
            return None

        return SimDevice(id=unit, simdata=[SimData(0, count=length, values=0, datatype=DataType.REGISTERS)], action=refresh)


def image(template: Template, values: MeterValues) -> dict[int, int]:
    """Register image (address -> word) of a reading; what a meter does not have is NaN."""
    words: dict[int, int] = {}
    quantities = _quantities(values)
    for name, register in template.registers.items():
        for offset, word in enumerate(encode_value(quantities.get(name, math.nan), register, template)):
            words[register.address + offset] = word
    if template.probe is not None:
        words[template.probe.address] = template.probe.equals[0]
    return words


def _quantities(values: MeterValues) -> dict[str, float]:
    quantities = {"p": values.power_w, "f": FREQUENCY_HZ, "e_imp": values.import_wh, "e_exp": values.export_wh}
    for index, current_a in enumerate(values.current_a):
        phase = f"l{index + 1}"
        quantities |= {f"u_{phase}": VOLTAGE_V, f"i_{phase}": current_a, f"p_{phase}": current_a * VOLTAGE_V}
    if values.soc_percent is not None:
        quantities["soc"] = values.soc_percent
    return quantities
