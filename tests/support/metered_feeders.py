"""Feeders with a building, a car and a meter each, every meter of another kind, on real sockets and a real serial line.

``Feeder.trouble``: "" = well; "dead" = no answer at all; "nonsense" = "not available" codes, words in the wrong order, no JSON.
"""

from __future__ import annotations

import asyncio
import json
import random
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
from aiohttp import web
from paho.mqtt.enums import CallbackAPIVersion
from pymodbus.framer import FramerType
from pymodbus.server import ModbusSerialServer, ModbusTcpServer, ModbusTlsServer
from pymodbus.simulator import DataType, SimData, SimDevice

from controller.io.tasks import end, spawn
from controller.paths import config_dir
from controller.sim.sunspec import Plant, SimHybrid, SimSunSpec
from meters.template import load_template
from tests.support.certificates import ECDSA_CERT, ECDSA_KEY
from tests.support.modbus_lines import HOST, serial_pair
from tests.support.register_images import Truth, image_of
from tests.support.yard import free_port

VOLTAGE_V = 230.0
FOREVER_S = 3600.0


class Feeder:
    """What hangs on one fuse, the same on every phase. car_a: told by the test."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.building_a = 8.0
        self.car_a: Callable[[], float] = lambda: 0.0
        self.trouble = ""

    @property
    def total_a(self) -> float:
        """What flows [A]."""
        return self.building_a + self.car_a()

    def shown_a(self) -> float:
        """The same with last digits that move, as a real meter's do."""
        return self.total_a + random.Random().uniform(0.0, 0.03)


def _registers(feeder: Feeder, map_name: str, unit: int, more_a: float = 0.0) -> SimDevice:
    """A pymodbus device with a shipped map, made anew for each request."""
    template = load_template(config_dir() / "meters" / f"{map_name}.yaml")
    first, last = min(image_of(template)), max(image_of(template))

    async def refresh(_function: int, start: int, _address: int, _count: int, registers: list[int], _new: Any) -> None:
        if feeder.trouble == "dead":
            await asyncio.sleep(FOREVER_S)
        amps = (feeder.shown_a() + more_a,) * 3
        watts = (amps[0] * VOLTAGE_V,) * 3
        image = image_of(template, Truth((VOLTAGE_V,) * 3, amps, watts))
        if feeder.trouble == "nonsense":
            for register in template.registers.values():
                words = [image[at] for at in range(register.span.address, register.span.end)]
                image.update(enumerate(reversed(words), register.address))
        for address, word in image.items():
            registers[address - start] = word

    return SimDevice(unit, simdata=[SimData(first, count=last - first + 1, values=0, datatype=DataType.REGISTERS)], action=refresh)


class _Grid(Plant):
    """A SunSpec device that has nothing but its meter."""

    __slots__ = ("feeder",)

    feeder: Feeder

    @property
    def grid_w(self) -> float:
        return 3 * VOLTAGE_V * self.feeder.shown_a()


class Feeders:
    """All of them. sources: what the site file says of each meter; parts: further meters, of which the virtual one is made."""

    NAMES = ("http", "mqtt", "sunspec", "serial", "gateway", "neighbour", "tls", "virtual")

    def __init__(self, folder: Path, broker_port: int) -> None:
        self.all = {name: Feeder(name) for name in self.NAMES}
        self.sources: dict[str, dict[str, Any]] = {}
        self.parts: list[dict[str, Any]] = []
        self._folder, self._broker_port = folder, broker_port
        self._sunspec: SimSunSpec | None = None

    @asynccontextmanager
    async def up(self) -> AsyncIterator[None]:
        """Every device answers."""
        async with AsyncExitStack() as stack:
            await self._modbus(stack)
            await self._http(stack)
            plant = _Grid()
            plant.feeder = self.all["sunspec"]
            self._sunspec = SimSunSpec(SimHybrid("int", plant=plant))
            await self._sunspec.start()
            stack.push_async_callback(self._sunspec.stop)
            self.sources["sunspec"] = {"type": "sunspec", "host": HOST, "port": self._sunspec.port}
            client = paho.Client(CallbackAPIVersion.VERSION2)
            client.connect(HOST, self._broker_port)
            client.loop_start()
            stack.callback(client.loop_stop)
            task = spawn(self._publish(client), "meter that publishes")
            stack.push_async_callback(end, [task])
            self.sources["mqtt"] = {"type": "mqtt", "topic": "meter/main"}
            yield

    async def befalls(self, trouble: str) -> None:
        """The same to all of them."""
        for feeder in self.all.values():
            feeder.trouble = trouble
        if self._sunspec is not None:
            self._sunspec.silent = trouble == "nonsense"
            if trouble == "dead":
                await self._sunspec.stop()

    async def well_again(self) -> None:
        """All answer again; what was dead stays so."""
        await self.befalls("")

    async def _modbus(self, stack: AsyncExitStack) -> None:
        gateway, part, tls = free_port(), free_port(), free_port()
        behind = [_registers(self.all["gateway"], "carlo_gavazzi_em340", 1), _registers(self.all["neighbour"], "carlo_gavazzi_em340", 2)]
        ours, theirs = stack.enter_context(serial_pair())
        (self._folder / "meter.crt").write_text(ECDSA_CERT)
        (self._folder / "meter.key").write_text(ECDSA_KEY)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._folder / "meter.crt", self._folder / "meter.key")
        for server in (
            ModbusTcpServer(behind, address=(HOST, gateway), framer=FramerType.RTU),
            ModbusTcpServer(_registers(self.all["virtual"], "eastron_sdm630", 1, more_a=5.0), address=(HOST, part)),
            ModbusTlsServer(_registers(self.all["tls"], "schneider_iem3000_pm5000", 1), address=(HOST, tls), sslctx=context),
            ModbusSerialServer(_registers(self.all["serial"], "eastron_sdm630", 4), port=theirs, baudrate=9600),
        ):
            await server.serve_forever(background=True)
            stack.push_async_callback(server.shutdown)
        line = {"type": "modbus", "framing": "rtu_over_tcp", "host": HOST, "port": gateway, "map": "carlo_gavazzi_em340"}
        secure = {"framing": "tls", "host": HOST, "port": tls, "ca_file": str(self._folder / "meter.crt")}
        self.sources |= {
            "serial": {"type": "modbus", "framing": "rtu", "device": ours, "unit": 4, "map": "eastron_sdm630"},
            "gateway": {**line, "unit": 1},
            "neighbour": {**line, "unit": 2},
            "tls": {"type": "modbus", "map": "schneider_iem3000_pm5000", **secure},
            "virtual": {"type": "virtual", "plus": ["whole"], "minus": ["pump"]},
        }
        self.parts.append({"id": "whole", "role": "load", "source": {"type": "modbus", "host": HOST, "port": part, "map": "eastron_sdm630"}})

    async def _http(self, stack: AsyncExitStack) -> None:
        feeder = self.all["http"]

        async def shelly(_request: web.Request) -> web.Response:
            if feeder.trouble == "dead":
                await asyncio.sleep(FOREVER_S)
            if feeder.trouble == "nonsense":
                return web.Response(text="<html>Please log in</html>", content_type="text/html")
            amps = feeder.shown_a()
            values = {"current": amps, "act_power": amps * VOLTAGE_V, "voltage": VOLTAGE_V}
            phases = {f"{letter}_{name}": value for letter in "abc" for name, value in values.items()}
            return web.json_response({"em:0": {"id": 0, **phases, "total_act_power": 3 * amps * VOLTAGE_V}, "sys": {}})

        async def pump(_request: web.Request) -> web.Response:
            return web.json_response({"a": 5.0, "w": 5.0 * VOLTAGE_V})

        app = web.Application()
        app.router.add_get("/rpc/Shelly.GetStatus", shelly)
        app.router.add_get("/pump", pump)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        port = free_port()
        await web.TCPSite(runner, HOST, port).start()
        self.sources["http"] = {"type": "http", "url": f"http://{HOST}:{port}", "format": "shelly"}
        fields = {f"{kind}_l{phase}": {"path": path} for kind, path in (("i", "a"), ("p", "w")) for phase in (1, 2, 3)}
        self.parts.append({"id": "pump", "role": "load", "source": {"type": "http", "url": f"http://{HOST}:{port}/pump", "fields": fields}})

    async def _publish(self, client: paho.Client) -> None:
        feeder = self.all["mqtt"]
        while True:
            amps = feeder.shown_a()
            good = json.dumps({"current_a": [amps] * 3, "power_w": 3 * amps * VOLTAGE_V})
            if feeder.trouble != "dead":
                client.publish("meter/main", good if not feeder.trouble else '{"current_a": [NaN, "1", null]}')
            await asyncio.sleep(1.0)
