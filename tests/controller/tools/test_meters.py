"""``yardmaster meters`` against devices on the loopback address and on a serial port: what it finds, reads, records, replays and judges."""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from pymodbus.framer import FramerType
from pymodbus.server import ModbusSerialServer, ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from controller.paths import config_dir
from controller.sim.sunspec import SimHybrid, SimSunSpec
from controller.tools.client import ToolError
from controller.tools.meters import ACTIONS, add_arguments
from controller.tools.meters_image import load
from controller.tools.meters_line import several
from controller.tools.meters_replay import serving
from controller.tools.meters_scan import _hosts
from controller.tools.meters_test import Protocol, judge, verdict
from meters.reading import Quality, Reading
from meters.template import load_all
from tests.support.modbus_lines import HOST, Asked, RawDevice, raw_over_tcp, serial_pair
from tests.support.register_images import Truth, image_of

MAPS = load_all(config_dir() / "meters")


async def yardmaster(*words: str) -> int:
    """What the command does, on the test's own event loop."""
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    arguments = parser.parse_args(list(words))
    return await ACTIONS[arguments.action][2](arguments)


def device(unit: int, name: str, truth: Truth | None = None) -> SimDevice:
    """A pymodbus device made from a map and its marks."""
    template = MAPS[name]
    image = image_of(template, truth)
    for mark in template.marks[:1]:
        count = mark.span.length
        image |= {mark.address + at: mark.equals[0] >> 16 * (count - 1 - at) & 0xFFFF for at in range(count)}
    return SimDevice(unit, simdata=[SimData(address, values=[word], datatype=DataType.REGISTERS) for address, word in sorted(image.items())])


@asynccontextmanager
async def devices(port: int, *units: SimDevice) -> AsyncIterator[list[str]]:
    server = ModbusTcpServer(list(units), address=(HOST, port))
    await server.serve_forever(background=True)
    try:
        yield ["--host", HOST, "--port", str(port)]
    finally:
        await server.shutdown()


# -- scan -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["abb_b23", "socomec_countis", "kostal_ksem", "eastron_sdm630", "schneider_iem3000_pm5000", "huawei_sun2000_meter"])
async def test_scan_finds_a_device_and_its_map_best_first(name: str, free_port: int, capsys: pytest.CaptureFixture[str]) -> None:
    async with devices(free_port, device(7, name)) as where:
        assert await yardmaster("scan", *where, "--unit", "6-8", "--gap", "0", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert [unit["unit"] for unit in found["units"]] == [7]
    assert found["units"][0]["matches"][0]["source"] == name


async def test_scan_tells_what_to_write_in_the_site_file(free_port: int, capsys: pytest.CaptureFixture[str]) -> None:
    async with devices(free_port, device(1, "abb_b23")) as where:
        assert await yardmaster("scan", *where, "--unit", "1", "--gap", "0") == 0
    out = capsys.readouterr().out
    assert "ABB B23 family: known by its constant (B23)" in out
    assert f"source: {{type: modbus, map: abb_b23, host: 127.0.0.1, port: {free_port}, unit: 1}}" in out


async def test_scan_finds_sunspec_by_its_letters_and_names_the_device(free_port: int, capsys: pytest.CaptureFixture[str]) -> None:
    def text(words: int, value: str) -> list[int]:
        data = value.encode().ljust(2 * words, b"\0")
        return [int.from_bytes(data[at : at + 2], "big") for at in range(0, 2 * words, 2)]

    common = [1, 66, *text(16, "Fronius"), *text(16, "Symo GEN24"), *[0] * 34]
    words = [0x5375, 0x6E53, *common, 203, 105, *[0] * 105, 0xFFFF, 0]
    registers = [SimData(40000, values=words, datatype=DataType.REGISTERS)]
    async with devices(free_port, SimDevice(1, simdata=registers)) as where:
        assert await yardmaster("scan", *where, "--unit", "1", "--gap", "0") == 0
    out = capsys.readouterr().out
    assert "Fronius Symo GEN24: SunSpec at 40000 with models 1, 203" in out
    assert "source: {type: sunspec," in out


async def test_scan_of_nobody_says_so(free_port: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert await yardmaster("scan", "--host", HOST, "--port", str(free_port)) == 1
    assert "nothing answers" in capsys.readouterr().err


async def test_scan_only_ever_reads_and_asks_one_thing_at_a_time(free_port: int) -> None:
    async with raw_over_tcp(free_port, rtu=False) as raw:
        await yardmaster("scan", "--host", HOST, "--port", str(free_port), "--unit", "1,2", "--gap", "0")
    assert {asked.function for asked in raw.asked} <= {3, 4}
    assert raw.connections == 1
    once = [(asked.unit, asked.function, asked.address, asked.count) for asked in raw.asked]
    assert len(once) - len(set(once)) <= 2, "nothing is asked twice but the first word"


async def test_scan_of_a_serial_port_tries_its_speeds(capsys: pytest.CaptureFixture[str]) -> None:
    with serial_pair() as (ours, theirs):
        server = ModbusSerialServer(device(4, "eastron_sdm630"), port=theirs, baudrate=9600)
        await server.serve_forever(background=True)
        assert await yardmaster("scan", "--device", ours, "--baud", "9600", "--unit", "4", "--timeout", "1", "--gap", "0") == 0
        await server.shutdown()
    assert "source: {type: modbus, map: eastron_sdm630, framing: rtu, device:" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10.0.0.1", ["10.0.0.1"]),
        ("10.0.0.250-252,meter.local", ["10.0.0.250", "10.0.0.251", "10.0.0.252", "meter.local"]),
        ("10.0.0.0/30", ["10.0.0.1", "10.0.0.2"]),
        ("my-meter.local", ["my-meter.local"]),
    ],
)
def test_ranges_of_addresses(text: str, expected: list[str]) -> None:
    assert list(_hosts(text)) == expected


@pytest.mark.parametrize("text", ["10.0.0.0/99", "10.0.0.999-1000"])
def test_ranges_that_are_none(text: str) -> None:
    with pytest.raises(ToolError, match="no range of addresses"):
        list(_hosts(text))


@pytest.mark.parametrize("text", ["0-256", "x", "5-3", "-1", "1,,2"])
def test_units_that_are_none(text: str) -> None:
    with pytest.raises(ToolError, match="is not understood"):
        several(text, 0, 255, "unit")


# -- read -------------------------------------------------------------------------------------------------------


async def test_read_shows_values_units_and_quality(free_port: int, capsys: pytest.CaptureFixture[str]) -> None:
    async with devices(free_port, device(71, "kostal_ksem")) as where:
        assert await yardmaster("read", *where, "--map", "kostal_ksem") == 0, "the unit is the map's own"
    out = capsys.readouterr().out
    assert "Kostal Smart Energy Meter" in out
    assert [line.split() for line in out.splitlines() if line.startswith("current")] == [["current", "12.40", "7.10", "20.30", "A"]]
    assert [line.split() for line in out.splitlines() if line.startswith("power")] == [["power", "2840", "1620", "4650", "9110", "W"]]
    assert "imported     4200.00 kWh" in out


async def test_read_of_a_meter_of_the_site_again_and_again_as_json(free_port: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    site = tmp_path / "site.yaml"
    source = f"{{type: modbus, host: {HOST}, port: {free_port}, map: abb_b23, poll_s: 0.1}}"
    site.write_text(
        "site: {id: depot}\ngrid: {fuse_a: 63, worst_other_load_a: 10, meter: main}\n"
        f"meters: [{{id: main, role: grid, source: {source}}}]\nupstreams: []\n",
        encoding="utf-8",
    )
    async with devices(free_port, device(1, "abb_b23")):
        assert await yardmaster("read", "main", "--config", str(site), "--every", "0.05", "--times", "3", "--json") == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["quality"] for line in lines] == ["good"] * 3
    assert lines[0]["current_a"] == pytest.approx([12.4, 7.1, 20.3])
    with pytest.raises(ToolError, match="has no meter 'mian'; it has main"):
        await yardmaster("read", "mian", "--config", str(site))


async def test_read_tells_why_it_cannot_and_fails(free_port: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert await yardmaster("read", "--host", HOST, "--port", str(free_port), "--map", "abb_b23") == 1
    assert "does not accept the connection" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("--map", "abb_b23"), "name the device"),
        (("--host", HOST), "--map NAME or --sunspec"),
        (("--host", HOST, "--map", "abb_b24"), "there is no register map 'abb_b24'"),
        (("--host", HOST, "--map", "abb_b23", "--framing", "tls"), "tls needs ca_file"),
        (("--host", HOST, "--map", "abb_b23", "--port", "99999"), "port"),
        (("grid",), "its site file"),
    ],
)
async def test_read_explains_what_is_missing(words: tuple[str, ...], text: str) -> None:
    with pytest.raises(ToolError, match=text):
        await yardmaster("read", *words)


# -- record, replay ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["abb_b23", "eastron_sdm72dm_v2_short", "socomec_diris_a10"])
async def test_a_recorded_device_reads_like_the_device_itself(name: str, free_port: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "image.json"
    async with devices(free_port, device(9, name)) as where:
        assert await yardmaster("record", *where, "--unit", "9", "--map", name, "--gap", "0", "--out", str(out)) == 0
        await yardmaster("read", *where, "--unit", "9", "--map", name, "--json")
        first = json.loads(capsys.readouterr().out.splitlines()[-1])
    async with serving(load(out), 0) as port:
        await yardmaster("read", "--host", HOST, "--port", str(port), "--unit", "9", "--map", name, "--json")
    again = json.loads(capsys.readouterr().out.splitlines()[-1])
    for key in ("current_a", "phase_power_w", "power_w", "voltage_v", "frequency_hz", "energy_import_wh", "quality"):
        assert again[key] == first[key]


async def test_what_a_device_refuses_is_noted_and_the_rest_recorded(free_port: int, tmp_path: Path) -> None:
    def behave(raw: RawDevice, asked: Asked) -> list[tuple[float, bytes]] | None:
        hole = asked.address <= 13 < asked.address + asked.count
        return [(0.0, raw.exception(asked, 2))] if hole else None

    out = tmp_path / "image.json"
    async with raw_over_tcp(free_port, rtu=False, behave=behave):
        where = ("--host", HOST, "--port", str(free_port), "--gap", "0")
        assert await yardmaster("record", *where, "--registers", "0-40,input:100-104", "--out", str(out)) == 0
    data = json.loads(out.read_text())
    assert data["unreadable"] == [[3, 13, 1]]
    assert data["samples"][0]["holding"] == {"0": list(range(13)), "14": list(range(14, 41))}
    assert data["samples"][0]["input"] == {"100": [100, 101, 102, 103, 104]}


async def test_replay_refuses_as_a_device_does(free_port: int, tmp_path: Path) -> None:
    path = tmp_path / "image.json"
    sample = {"after_s": 0, "holding": {"10": [1, 2, 3]}, "input": {}}
    path.write_text(json.dumps({"format": "yardmaster-registers", "version": 1, "unit": 5, "samples": [sample]}))
    async with serving(load(path), free_port):
        reader, writer = await asyncio.open_connection(HOST, free_port)
        for request, answer in (
            ("0001 0000 0006 05 03 000a 0003", "0001 0000 0009 05 03 06 0001 0002 0003"),
            ("0002 0000 0006 05 03 000a 0004", "0002 0000 0003 05 83 02"),
            ("0003 0000 0006 05 04 000a 0001", "0003 0000 0003 05 84 02"),
            ("0004 0000 0006 05 06 000a 0001", "0004 0000 0003 05 86 01"),
            ("0005 0000 0006 05 03 000a 0000", "0005 0000 0003 05 83 03"),
            ("0006 0000 0006 06 03 000a 0001", "0006 0000 0003 06 83 0b"),
        ):
            writer.write(bytes.fromhex(request))
            expected = bytes.fromhex(answer)
            assert await reader.readexactly(len(expected)) == expected
        writer.close()


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"format": "other"}', '{"format": "yardmaster-registers", "version": 1, "unit": 1, "samples": []}', "[" * 100_000]
)
def test_a_file_that_is_no_recording_is_refused_with_a_sentence(text: str, tmp_path: Path) -> None:
    path = tmp_path / "image.json"
    path.write_text(text)
    with pytest.raises(ToolError, match=r"image\.json"):
        load(path)


async def test_record_never_overwrites(free_port: int, tmp_path: Path) -> None:
    path = tmp_path / "image.json"
    path.write_text("mine")
    with pytest.raises(ToolError, match="exists already"):
        await yardmaster("record", "--host", HOST, "--port", str(free_port), "--map", "abb_b23", "--out", str(path))
    assert path.read_text() == "mine"


# -- test -------------------------------------------------------------------------------------------------------


async def test_test_says_fit_for_a_good_meter(free_port: int, capsys: pytest.CaptureFixture[str]) -> None:
    async with devices(free_port, device(1, "janitza_umg96")) as where:
        assert await yardmaster("test", *where, "--map", "janitza_umg96", "--seconds", "0.3", "--every", "0.05") == 0
    out = capsys.readouterr().out
    assert "Fit to guard a fuse" in out
    assert "nothing moved" in out


async def test_test_says_not_fit_when_the_map_is_the_wrong_one(free_port: int, capsys: pytest.CaptureFixture[str]) -> None:
    """Word order the wrong way round: plausible to nobody."""
    swapped = MAPS["janitza_umg96"].model_copy(update={"word_order": "little"})
    data = [SimData(address, values=[word], datatype=DataType.REGISTERS) for address, word in sorted(image_of(swapped).items())]
    async with devices(free_port, SimDevice(1, simdata=data)) as where:
        assert await yardmaster("test", *where, "--map", "janitza_umg96", "--seconds", "0.1", "--every", "0.05") == 1
    assert "readings are bad" in capsys.readouterr().out


def reading(amps: float = 10.0, watts: float = 2300.0, **more: object) -> Reading:
    values = {"current_a": (amps,) * 3, "phase_power_w": (watts,) * 3, "voltage_v": (230.0,) * 3, "power_w": 3 * watts, **more}
    return Reading("m", **{"quality": Quality.GOOD, **values})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("readings", "told"),
    [
        ([reading(power_w=7500.0)] * 2, "add up to the total within 600 W"),
        ([reading(watts=-2300.0)] * 2, "current and power of L1 point in opposite directions"),
        ([reading(quality=Quality.BAD, reason="frequency is 5 Hz")], "1 of 1 readings are bad: frequency is 5 Hz"),
    ],
)
def test_what_makes_a_meter_unfit(readings: list[Reading], told: str) -> None:
    protocol = Protocol(polls=len(readings), readings=readings, took_s=[0.1] * len(readings))
    bad = [finding.text for finding in judge(protocol, 1.0) if finding.well is False]
    assert any(told in text for text in bad), bad


def test_missing_and_slow_answers_make_a_meter_unfit() -> None:
    protocol = Protocol(polls=10, readings=[reading(amps=10 + at) for at in range(8)], took_s=[1.5] * 8)
    protocol.errors["no answer: unit 1 did not answer within 1 s"] = 2
    bad = [finding.text for finding in judge(protocol, 1.0) if finding.well is False]
    assert "answered 8 of 10 times; 2 x no answer: unit 1 did not answer within 1 s" in bad
    assert any("set poll_s to 3.0 or more" in text for text in bad)


def test_a_transformer_on_the_wrong_phase_is_pointed_out_and_no_currents_are_no_guard() -> None:
    protocol = Protocol(polls=1, readings=[reading(amps=10.0, watts=300.0)], took_s=[0.1])
    assert any("of the right phase" in finding.text for finding in judge(protocol, 1.0) if finding.well is None)
    blind = Protocol(polls=1, readings=[reading(current_a=(None,) * 3)], took_s=[0.1])
    assert "no currents" in verdict(blind, fit=True)
    assert "Not reached" in verdict(Protocol(polls=3), fit=False)


# -- what an installer gets wrong -----------------------------------------------------------------------------------


async def test_a_recording_that_cannot_be_kept_is_not_begun(tmp_path: Path, free_port: int) -> None:
    async with raw_over_tcp(free_port, rtu=False) as raw:
        where = ["--host", HOST, "--port", str(free_port), "--registers", "0-5"]
        with pytest.raises(ToolError, match="cannot be written"):
            await yardmaster("record", *where, "--out", str(tmp_path / "no" / "folder.json"))
        (tmp_path / "taken.json").write_text("mine")
        with pytest.raises(ToolError, match="exists already"):
            await yardmaster("record", *where, "--out", str(tmp_path / "taken.json"))
    assert raw.asked == []
    assert (tmp_path / "taken.json").read_text() == "mine"


async def test_a_recording_of_nothing_leaves_no_file(tmp_path: Path, free_port: int) -> None:
    out = tmp_path / "out.json"
    with pytest.raises(ToolError, match="nothing was recorded: not connected"):
        await yardmaster("record", "--host", HOST, "--port", str(free_port), "--registers", "0-5", "--out", str(out))
    assert not out.exists()


async def test_a_map_brings_its_unit_along_when_recording_too(tmp_path: Path, free_port: int) -> None:
    async with devices(free_port, device(71, "kostal_ksem")) as where:
        assert await yardmaster("record", *where, "--map", "kostal_ksem", "--out", str(tmp_path / "out.json")) == 0
    assert load(tmp_path / "out.json").unit == 71


async def test_scan_finds_meters_behind_a_serial_gateway_in_raw_mode(free_port: int, capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody has said that it is one: Modbus TCP gets no answer there."""
    server = ModbusTcpServer([device(3, "abb_b23")], address=(HOST, free_port), framer=FramerType.RTU)
    await server.serve_forever(background=True)
    assert await yardmaster("scan", "--host", HOST, "--port", str(free_port), "--unit", "3", "--gap", "0", "--timeout", "0.3") == 0
    await server.shutdown()
    assert f"map: abb_b23, host: 127.0.0.1, port: {free_port}, framing: rtu_over_tcp, unit: 3}}" in capsys.readouterr().out


async def test_scan_does_not_take_any_sunspec_device_for_a_solaredge(free_port: int, capsys: pytest.CaptureFixture[str]) -> None:
    sim = SimSunSpec(SimHybrid("der"))
    await sim.start(free_port)
    assert await yardmaster("scan", "--host", HOST, "--port", str(free_port), "--unit", "1", "--gap", "0", "--json") == 0
    await sim.stop()
    matches = json.loads(capsys.readouterr().out)["units"][0]["matches"]
    assert [match["source"] for match in matches] == ["sunspec"]


async def test_letters_without_a_list_behind_them_are_no_sunspec_device(free_port: int, capsys: pytest.CaptureFixture[str]) -> None:
    words = SimData(40000, values=[0x5375, 0x6E53, 0xFFFF, 0], datatype=DataType.REGISTERS)
    async with devices(free_port, SimDevice(1, simdata=[words])) as where:
        await yardmaster("scan", *where, "--unit", "1", "--gap", "0", "--json")
    assert json.loads(capsys.readouterr().out)["units"][0]["matches"] == []


@pytest.mark.parametrize("words", [("read", "--every", "-1"), ("read", "--every", "0"), ("test", "--seconds", "0"), ("read", "--timeout", "nan")])
def test_times_that_are_none_are_refused(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    with pytest.raises(SystemExit):
        parser.parse_args([*words, "--host", HOST, "--map", "abb_b23"])
    assert "is no time above 0 s" in capsys.readouterr().err


async def test_a_serial_port_that_is_not_there_is_told_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    assert await yardmaster("read", "--device", "/dev/ttyNobody", "--map", "abb_b23") == 1
    assert "/dev/ttyNobody is not there; is the adapter plugged in" in capsys.readouterr().out
