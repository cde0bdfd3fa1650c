"""The shell that commands devices, against real Modbus servers: SunSpec devices, a map with controls, coils, files, MQTT topics."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from controller.config import Config
from controller.facts import DeviceAnswered, DeviceRead, Fact, Steering
from controller.io.clock import Clock
from controller.io.field.bus import Buses
from controller.io.field.devices import DevicesShell
from controller.io.shell import StartError
from controller.orders import SteerDevice
from controller.paths import config_dir
from controller.sim.sunspec import Dress, Plant, SimHybrid, SimSunSpec

MAPS = config_dir() / "meters"
MAP = """
name: test battery
products: [{brand: test, description: test}]
transport: tcp
function: 3
sign: import
registers:
  p:   {address: 0, type: s16}
  soc: {address: 1, type: u16, scale: 0.1}
controls:
  kind: battery
  sign: export
  setpoint: {address: 10, type: s16, scale: 10}
  life: {address: 11, type: u16}
  after: [{address: 12, type: u16, value: 1}]
  free: [{address: 12, type: u16, value: 0}]
"""


class Bench:
    """A running shell and what it said."""

    def __init__(self, config: Config, maps: Path, topics: Any = None) -> None:
        self.facts: list[Fact] = []
        self.buses = Buses()
        self.shell = DevicesShell(config, Clock(), self.facts.append, maps, self.buses, look_s=0.05)
        self.shell.topics = topics
        self._numbers = 0

    async def answer(self, device: str, **wish: Any) -> DeviceAnswered:
        """Steer, and wait for the answer."""
        self._numbers += 1
        number = self._numbers
        self.shell.carry(SteerDevice(device, number, **wish))
        return await self.until(DeviceAnswered, lambda fact: fact.number == number)

    async def until(self, kind: type[Any], so: Callable[[Any], bool]) -> Any:
        """The first fact of a kind that is so; only what comes from now on, or is there already."""
        async with asyncio.timeout(10):
            while True:
                for fact in self.facts:
                    if isinstance(fact, kind) and so(fact):
                        return fact
                await asyncio.sleep(0.02)

    async def look(self, device: str, so: Callable[[DeviceRead], bool]) -> DeviceRead:
        """A look from now on that is so."""
        self.facts.clear()
        found: DeviceRead = await self.until(DeviceRead, lambda fact: fact.device == device and so(fact))
        return found

    async def stop(self) -> None:
        """End the shell and its lines."""
        await self.shell.stop()
        await self.buses.close()


def site(**parts: Any) -> Config:
    base = {"site": {"id": "s"}, "grid": {"fuse_a": 63, "worst_other_load_a": 30}}
    return Config.model_validate({**base, **parts})


def battery(control: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"capacity_wh": 10_000, "max_charge_w": 5_000, "max_discharge_w": 5_000, "command": {"control": control, **more}}


@pytest.fixture
async def benches() -> AsyncIterator[list[Bench]]:
    found: list[Bench] = []
    yield found
    for bench in found:
        await bench.stop()


@pytest.fixture
async def servers() -> AsyncIterator[list[Any]]:
    found: list[Any] = []
    yield found
    for server in found:
        await server.stop()


async def hybrid(servers: list[Any], dress: Dress) -> SimSunSpec:
    server = SimSunSpec(SimHybrid(dress, plant=Plant(pv_w=6_000.0)))
    await server.start()
    servers.append(server)
    return server


class Registers:
    """A plain Modbus server: registers and coils that hold what is written."""

    def __init__(self) -> None:
        self.words: dict[int, int] = {}
        self.coils: dict[int, bool] = {}
        self.writes: list[tuple[int, list[int]]] = []
        self.refuses = False
        self.stubborn = False
        self.port = 0

    async def start(self) -> None:
        async def serve(function: int, start: int, address: int, count: int, registers: list[int], values: Any) -> Any:
            if values is not None:
                if self.refuses:
                    from pymodbus.constants import ExcCodes

                    return ExcCodes.ILLEGAL_VALUE
                self.writes.append((address, list(values)))
                if not self.stubborn:
                    (self.coils if function in (5, 15) else self.words).update(enumerate(values, address))
                return None
            for at in range(address, address + count):
                if function in (3, 4):
                    registers[at - start] = self.words.get(at, 0)
                elif function in (1, 2):
                    word, bit = divmod(at, 16)
                    mask = 1 << bit
                    old = registers[word - start // 16]
                    registers[word - start // 16] = old | mask if self.coils.get(at) else old & ~mask
            return None

        memory = SimData(0, count=200, values=0, datatype=DataType.REGISTERS)
        self._server = ModbusTcpServer(SimDevice(id=1, simdata=[memory], action=serve), address=("127.0.0.1", 0))
        await self._server.serve_forever(background=True)
        transport: Any = self._server.transport
        self.port = int(transport.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        await self._server.shutdown()


async def registers(servers: list[Any]) -> Registers:
    server = Registers()
    await server.start()
    servers.append(server)
    return server


async def running(benches: list[Bench], config: Config, maps: Path = MAPS, topics: Any = None) -> Bench:
    bench = Bench(config, maps, topics)
    benches.append(bench)
    await bench.shell.start()
    return bench


# -- SunSpec -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dress", ["int", "float", "der"])
async def test_a_sunspec_inverter_is_held_down_read_back_and_given_free(benches: list[Bench], servers: list[Any], dress: Dress) -> None:
    server = await hybrid(servers, dress)
    control = {"type": "sunspec", "host": "127.0.0.1", "port": server.port}
    bench = await running(benches, site(inverters=[{"id": "roof", "max_power_w": 10_000, "control": control}]))
    free = await bench.look("roof", lambda fact: True)
    assert free.steering is Steering.FREE
    assert free.command_w is None
    assert (await bench.answer("roof", power_w=3_000.0, life_s=60.0)).confirmed
    held = await bench.look("roof", lambda fact: fact.steering is Steering.OURS)
    assert held.command_w == pytest.approx(3_000.0)
    assert server.device.limit_w == pytest.approx(3_000.0)
    assert (await bench.answer("roof", power_w=None)).ok
    assert server.device.limit_w is None


@pytest.mark.parametrize("dress", ["int", "der"])
async def test_a_sunspec_battery_charges_and_discharges_as_told(benches: list[Bench], servers: list[Any], dress: Dress) -> None:
    server = await hybrid(servers, dress)
    server.device.plant.pv_w = 0.0
    bench = await running(benches, site(battery=battery({"type": "sunspec", "host": "127.0.0.1", "port": server.port})))
    for watts in (2_000.0, -3_000.0, 0.0):
        assert (await bench.answer("battery", power_w=watts, life_s=60.0)).confirmed
        seen = await bench.look("battery", lambda fact: fact.steering is Steering.OURS)
        assert seen.command_w == pytest.approx(watts, abs=60.0)
        assert seen.soc_percent == pytest.approx(50.0, abs=1.0)
    assert (await bench.answer("battery", power_w=None)).ok


async def test_somebody_elses_command_shows_as_theirs(benches: list[Bench], servers: list[Any]) -> None:
    server = await hybrid(servers, "int")
    control = {"type": "sunspec", "host": "127.0.0.1", "port": server.port}
    bench = await running(benches, site(inverters=[{"id": "roof", "max_power_w": 10_000, "control": control}]))
    await bench.answer("roof", power_w=3_000.0, life_s=60.0)
    server.device.stubborn = {(123, "WMaxLimPct"): 55.0}
    theirs = await bench.look("roof", lambda fact: fact.steering is Steering.OTHER)
    assert theirs.command_w == pytest.approx(5_500.0)


async def test_everything_we_command_is_given_free_when_the_program_stops(benches: list[Bench], servers: list[Any]) -> None:
    one, other = await hybrid(servers, "int"), await hybrid(servers, "der")
    control = {"type": "sunspec", "host": "127.0.0.1", "port": one.port}
    store = battery({"type": "sunspec", "host": "127.0.0.1", "port": other.port})
    bench = await running(benches, site(inverters=[{"id": "roof", "max_power_w": 10_000, "control": control}], battery=store))
    assert (await bench.answer("roof", power_w=3_000.0)).ok
    assert (await bench.answer("battery", power_w=1_000.0)).ok
    async with asyncio.timeout(30):
        await bench.shell.stop()
    assert one.device.limit_w is None
    assert other.device.may_w(123.0) == 123.0


async def test_a_discharge_that_a_fuse_hangs_on_is_left_to_end_by_itself_when_the_program_stops(benches: list[Bench], servers: list[Any]) -> None:
    server = await hybrid(servers, "int")
    store = battery({"type": "sunspec", "host": "127.0.0.1", "port": server.port})
    bench = await running(benches, site(battery=store))
    assert (await bench.answer("battery", power_w=-2_000.0, life_s=135.0, keeps=True)).ok
    await bench.shell.stop()
    assert server.device.may_w(0.0) == pytest.approx(-2_000.0)
    assert server.device.value(124, "InOutWRte_RvrtTms") == 135
    bench = await running(benches, site(battery=store))
    assert (await bench.answer("battery", power_w=-2_000.0, life_s=135.0, keeps=True)).ok
    assert (await bench.answer("battery", power_w=-1_000.0)).ok  # the fuse does without it now
    await bench.shell.stop()
    assert server.device.may_w(0.0) == 0.0


class BusyHybrid(SimHybrid):
    """Answers its first writes with exception 6: it is busy."""

    busy = 0

    def write(self, address: int, words: list[int]) -> ExcCodes | None:
        """One Modbus write."""
        if self.busy > 0:
            self.busy -= 1
            return ExcCodes.DEVICE_BUSY
        return super().write(address, words)


@pytest.mark.parametrize(("busy", "ok"), [(3, True), (100, False)])
async def test_a_device_that_is_busy_is_asked_again_a_few_times(benches: list[Bench], servers: list[Any], busy: int, ok: bool) -> None:
    device = BusyHybrid("int", plant=Plant(pv_w=6_000.0))
    server = SimSunSpec(device)
    await server.start()
    servers.append(server)
    control = {"type": "sunspec", "host": "127.0.0.1", "port": server.port}
    bench = await running(benches, site(inverters=[{"id": "roof", "max_power_w": 10_000, "control": control}]))
    device.busy = busy
    answer = await bench.answer("roof", power_w=3_000.0)
    assert answer.ok is ok
    assert ok or "busy" in answer.reason
    device.busy = 0


async def test_what_waits_at_the_stop_knows_better_what_a_fuse_hangs_on(benches: list[Bench], servers: list[Any]) -> None:
    server = await hybrid(servers, "int")
    bench = await running(benches, site(battery=battery({"type": "sunspec", "host": "127.0.0.1", "port": server.port})))
    assert (await bench.answer("battery", power_w=-2_000.0, life_s=135.0, keeps=True)).ok
    bench.shell.carry(SteerDevice("battery", 99, -2_000.0))  # nobody has got round to it
    await bench.shell.stop()
    assert server.device.may_w(0.0) == 0.0


async def test_a_device_that_cannot_be_given_free_is_named_with_how_its_command_ends(
    benches: list[Bench], servers: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    server = await hybrid(servers, "int")
    bench = await running(benches, site(battery=battery({"type": "sunspec", "host": "127.0.0.1", "port": server.port})))
    assert (await bench.answer("battery", power_w=2_000.0)).ok
    await server.stop()
    await bench.shell.stop()
    (told,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING" and "given free" in record.getMessage()]
    assert told.startswith("battery ")
    assert told.endswith("it falls free by its own watchdog")


async def test_what_the_battery_may_take_from_the_grid_by_itself_is_as_it_was_when_it_is_free_again(benches: list[Bench], servers: list[Any]) -> None:
    server = await hybrid(servers, "int")
    store = battery({"type": "sunspec", "host": "127.0.0.1", "port": server.port})
    bench = await running(benches, site(battery=store))
    assert server.device.value(124, "ChaGriSet") == 0
    assert (await bench.answer("battery", power_w=2_000.0)).ok
    assert server.device.value(124, "ChaGriSet") == 1
    assert (await bench.answer("battery")).ok
    assert server.device.value(124, "ChaGriSet") == 0


@pytest.mark.parametrize("dress", ["int", "float", "der"])
async def test_a_large_inverter_shows_and_takes_what_16_bits_of_watts_cannot_hold(benches: list[Bench], servers: list[Any], dress: Dress) -> None:
    server = SimSunSpec(SimHybrid(dress, plant=Plant(rating_w=70_000.0, pv_w=64_000.0, most_w=30_000.0, capacity_wh=80_000.0, other_w=0.0)))
    servers.append(server)
    await server.start()
    control = {"type": "sunspec", "host": "127.0.0.1", "port": server.port}
    bench = await running(benches, site(inverters=[{"id": "roof", "max_power_w": 70_000, "control": control}]))
    seen = await bench.look("roof", lambda fact: fact.power_w is not None and fact.power_w > 63_900.0)
    assert seen.power_w == pytest.approx(64_000.0, abs=100.0)
    assert (await bench.answer("roof", power_w=41_000.0)).ok
    held = await bench.look("roof", lambda fact: fact.power_w is not None and fact.power_w < 41_100.0)
    assert held.command_w == pytest.approx(41_000.0, abs=100.0)


async def test_a_device_that_is_away_is_no_error_at_the_start_and_says_why(benches: list[Bench], unused_tcp_port: int) -> None:
    control = {"type": "sunspec", "host": "127.0.0.1", "port": unused_tcp_port}
    bench = await running(benches, site(inverters=[{"id": "roof", "max_power_w": 10_000, "control": control}]))
    answer = await bench.answer("roof", power_w=1_000.0)
    assert not answer.ok
    assert "127.0.0.1" in answer.reason


# -- maps ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def maps(tmp_path: Path) -> Path:
    (tmp_path / "mine.yaml").write_text(MAP, encoding="utf-8")
    return tmp_path


async def test_a_map_with_controls_writes_in_its_order_and_reads_back(benches: list[Bench], servers: list[Any], maps: Path) -> None:
    server = await registers(servers)
    server.words |= {0: 0x10000 - 500, 1: 655}
    bench = await running(benches, site(battery=battery({"type": "modbus", "host": "127.0.0.1", "port": server.port, "map": "mine"})), maps)
    assert (await bench.answer("battery", power_w=2_004.0, life_s=60.0)).confirmed
    assert server.writes == [(11, [60]), (10, [0x10000 - 200]), (12, [1])]  # export: charging is negative; tens of watts, cut towards zero
    seen = await bench.look("battery", lambda fact: fact.steering is Steering.OURS)
    assert (seen.power_w, seen.soc_percent) == (-500.0, pytest.approx(65.5))
    server.words[10] = 300
    theirs = await bench.look("battery", lambda fact: fact.steering is Steering.OTHER)
    assert theirs.command_w == pytest.approx(-3_000.0)
    assert (await bench.answer("battery", power_w=None)).ok
    assert server.words[12] == 0
    assert (await bench.look("battery", lambda fact: True)).steering is Steering.FREE


async def test_a_command_that_is_refused_or_not_taken_is_told_in_plain_words(benches: list[Bench], servers: list[Any], maps: Path) -> None:
    server = await registers(servers)
    bench = await running(benches, site(battery=battery({"type": "modbus", "host": "127.0.0.1", "port": server.port, "map": "mine"})), maps)
    server.refuses = True
    assert "illegal value" in (await bench.answer("battery", power_w=1_000.0)).reason
    server.refuses, server.stubborn = False, True
    assert "does not show it" in (await bench.answer("battery", power_w=1_000.0)).reason


def test_a_map_that_cannot_command_the_device_ends_the_start(tmp_path: Path, maps: Path) -> None:
    (maps / "plain.yaml").write_text(MAP.split("controls:")[0], encoding="utf-8")
    for name in ("plain", "absent"):
        with pytest.raises(StartError, match=name):
            DevicesShell(site(battery=battery({"type": "modbus", "host": "127.0.0.1", "map": name})), Clock(), lambda fact: None, maps, Buses())


# -- relays ----------------------------------------------------------------------------------------------------------


async def test_relays_on_a_module_and_in_a_file(benches: list[Bench], servers: list[Any], tmp_path: Path) -> None:
    server, file = await registers(servers), tmp_path / "gpio"
    file.write_text("0\n", encoding="ascii")
    relays = [
        {"id": "coil", "closes": "limited", "pin": {"type": "modbus", "host": "127.0.0.1", "port": server.port, "address": 7, "table": "coil"}},
        {"id": "file", "closes": "failsafe", "pin": {"type": "file", "path": str(file)}},
    ]
    bench = await running(benches, site(relays=relays))
    assert (await bench.answer("coil", closed=True)).confirmed
    assert (await bench.answer("file", closed=True)).confirmed
    assert server.coils[7]
    assert file.read_text(encoding="ascii") == "1"
    assert (await bench.look("coil", lambda fact: True)).closed
    await bench.shell.stop()
    assert not server.coils[7]
    assert file.read_text(encoding="ascii") == "0"


# -- MQTT ------------------------------------------------------------------------------------------------------------


class Board:
    """A broker in memory. echo: a device that tells its state back."""

    def __init__(self, echo: bool = True) -> None:
        self.said: list[tuple[str, Any]] = []
        self.echo = echo
        self._takers: dict[str, Callable[[str, bytes, bool], None]] = {}

    def listen(self, topic: str, take: Callable[[str, bytes, bool], None]) -> None:
        self._takers[topic] = take

    def say(self, topic: str, payload: str, retain: bool = False) -> None:
        self.said.append((topic, json.loads(payload)))
        if self.echo:
            self.tell(json.dumps({"power_w": json.loads(payload)["power_w"]}))

    def tell(self, payload: str, retained: bool = False) -> None:
        """The device says something."""
        self._takers["dev/state"]("dev/state", payload.encode(), retained)


async def test_mqtt_commands_are_confirmed_by_the_state_that_follows(benches: list[Bench]) -> None:
    board = Board()
    control = {"type": "mqtt", "command_topic": "dev/set", "state_topic": "dev/state"}
    bench = await running(benches, site(battery=battery(control), mqtt={"host": "127.0.0.1"}), topics=board)
    board.tell('{"power_w": 4000}', retained=True)  # from before our start: says nothing
    assert (await bench.answer("battery", power_w=-2_000.0, life_s=60.0)).confirmed
    assert board.said == [("dev/set", {"power_w": -2000, "valid_for_s": 60})]
    assert (await bench.look("battery", lambda fact: True)).steering is Steering.OURS
    board.tell('{"power_w": 700}')
    assert (await bench.look("battery", lambda fact: fact.steering is Steering.OTHER)).command_w == 700.0
    for garbage in ("", "null", "[1]", '{"power_w": "many"}', '{"power_w": NaN}', '{"power_w": true}'):
        board.tell(garbage)
    assert (await bench.look("battery", lambda fact: True)).command_w == 700.0
    assert (await bench.answer("battery", power_w=None)).ok
    assert board.said[-1] == ("dev/set", {"power_w": None})


async def test_mqtt_without_a_state_topic_is_carried_out_and_not_confirmed(benches: list[Bench]) -> None:
    board = Board(echo=False)
    control = {"type": "mqtt", "command_topic": "dev/set"}
    bench = await running(benches, site(battery=battery(control), mqtt={"host": "127.0.0.1"}), topics=board)
    answer = await bench.answer("battery", power_w=500.0)
    assert answer.ok
    assert not answer.confirmed
