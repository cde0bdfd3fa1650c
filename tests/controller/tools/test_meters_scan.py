"""``yardmaster meters scan`` against images of real devices: finds the map, proposes what can be pasted into a site file, says what to do else."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from controller.config_meters import MeterConfig
from tests.support.field_images import BY_MAP, HOST, KSEM, Device, Habits, standing, words
from tests.support.meters_command import Done, meters
from tests.support.sunspec_by_hand import common, inverter_103, listed, meter_203, meter_213, model, ports_714

SAME = {
    "eastron_sdm72dm_v2_short": "eastron_sdm630",
    "janitza_b23_mbus": "janitza_umg96",
}
"""Devices that cannot be told from others of their family by what they answer."""


async def scan(port: int, device: Device, habits: Habits | None = None, *more: str) -> Done:
    async with standing(port, device, habits or Habits(units=frozenset({device.unit}))):
        where = ("--host", HOST, "--port", str(port), "--unit", str(device.unit), "--framing", "tcp", "--gap", "0", "--timeout", "5")
        if habits is not None and (habits.mute or habits.silent):
            where = (*where[:-1], "1")
        return await meters("scan", *where, *more)


def proposed(done: Done) -> dict[str, MeterConfig]:
    """The meters a person would paste into the site file, as the program reads them."""
    text = done.out.partition("      meters:\n")[2]
    lines = [line for line in text.splitlines() if line.startswith("        - ")]
    return {meter["role"]: MeterConfig.model_validate(meter) for meter in yaml.safe_load("\n".join(lines)) or []}


@pytest.mark.parametrize(("name", "most"), [*((name, 125) for name in BY_MAP), ("kostal_ksem", 60), ("eastron_sdm630", 60)])
async def test_every_real_device_is_found_and_can_be_pasted(name: str, most: int, free_port: int) -> None:
    device = BY_MAP[name]
    done = await scan(free_port, device, Habits(most=most, units=frozenset({device.unit})))
    assert done.code == 0, done.err
    source: Any = proposed(done)["grid"].source
    assert (source.type, source.map, source.unit, source.port) == ("modbus", SAME.get(name, name), device.unit, free_port)


async def test_a_plenticore_set_to_big_endian_is_found_as_such(free_port: int) -> None:
    floats = words(
        [(220, "f", (50.0, 10.0, 2300.0)), (230, "f", (230.0, 5.0, -1150.0)), (240, "f", (230.5, 20.0, 4600.0)), (250, "f", (229.5, 5750.0))]
    )
    battery = words([(210, "f", (55.0,)), (582, "h", (1200,))])
    name = {768 + at: word for at, word in enumerate((0x504C, 0x454E, 0x5449, 0x434F))}
    done = await scan(free_port, Device("", 3, floats | battery, "", 71, name))
    found = {role: meter.source.map for role, meter in proposed(done).items()}  # type: ignore[union-attr]
    assert found == {"grid": "kostal_plenticore_big", "battery": "kostal_plenticore_battery_big"}


async def test_a_meter_of_one_phase_is_proposed_with_its_phase(free_port: int) -> None:
    """An ABB B21: what it does not measure is all ones."""
    table = words(
        [
            (0x5B00, "I", (2300, 0xFFFFFFFF, 0xFFFFFFFF)), (0x5B0C, "I", (1000, 0xFFFFFFFF, 0xFFFFFFFF)),
            (0x5B14, "i", (230_000, 230_000, 0x7FFFFFFF, 0x7FFFFFFF)), (0x5B2C, "H", (5000,)), (0x5000, "Q", (12_345_670, 2**64 - 1)),
        ]
    )  # fmt: skip
    meter = proposed(await scan(free_port, Device("", 3, table, "")))["grid"]
    assert (meter.source.map, meter.phases) == ("abb_b23", ("L1",))  # type: ignore[union-attr]


async def test_a_solaredge_is_proposed_with_its_sign(free_port: int) -> None:
    """Its meters count feeding in as positive: pasted without that, PV would look like load."""
    table = listed(common("SolarEdge", "SE10K"), inverter_103(), common(), meter_203(way=-1), common(), meter_203(way=-1))
    done = await scan(free_port, Device("", 3, table, ""))
    found = proposed(done)
    assert (found["grid"].source.sign, found["pv"].source.sign) == ("export", None)  # type: ignore[union-attr]
    assert "nth: 2 is the second" in done.out


async def test_a_hybrid_is_proposed_as_three_meters(free_port: int) -> None:
    table = listed(common("Acme"), inverter_103(), ports_714((0, 500), (1, -100)), model(713, 7, {}), meter_213())
    assert list(proposed(await scan(free_port, Device("", 3, table, "")))) == ["grid", "pv", "battery"]


async def test_a_device_that_speaks_both_is_proposed_once(free_port: int) -> None:
    done = await scan(free_port, Device("", 3, words(KSEM) | listed(common("KOSTAL", "KSEM"), meter_203()), "", 71))
    assert [meter.source.type for meter in proposed(done).values()] == ["sunspec"]
    assert "Kostal Smart Energy Meter: plausible: 230/230/230 V, 10.0/-5.0/20.0 A, 5750 W" in done.out


async def test_a_device_that_is_silent_instead_of_refusing_is_found(free_port: int) -> None:
    """It does not answer where the first maps look: 0x8960 and 0x5B00 (ABB), 0x0500 (BYD)."""
    device = BY_MAP["eastron_sdm630"]
    done = await scan(free_port, device, Habits(silent=frozenset({0x8960, 0x5B00, 0x0500})))
    assert proposed(done)["grid"].source.map == "eastron_sdm630"  # type: ignore[union-attr]


async def test_a_device_that_says_failure_to_what_it_has_not_is_found(free_port: int) -> None:
    """Register 0 is refused with 4, as a server without any device would."""
    habits = Habits(holes=False, without=frozenset(range(100)), code=4)
    assert proposed(await scan(free_port, BY_MAP["janitza_umg96"], habits))["grid"].source.map == "janitza_umg96"  # type: ignore[union-attr]


async def test_a_server_that_says_failure_to_everything_is_nobody(free_port: int) -> None:
    done = await scan(free_port, BY_MAP["abb_b23"], Habits(without=frozenset(range(65_536)), code=4))
    assert (done.code, done.out) == (1, "")


async def test_an_inverter_at_night_is_known_by_its_constant(free_port: int) -> None:
    nothing = words([(30513, "Q", (2**64 - 1,)), (30775, "I", (0x80000000,)), (30051, "I", (8001,))])
    done = await scan(free_port, Device("", 3, nothing, "", 3))
    assert proposed(done)["pv"].source.map == "sma_inverter_pv"  # type: ignore[union-attr]
    assert "tells no values now; at night that is usual" in done.out


async def test_registers_that_are_all_zero_are_no_device(free_port: int) -> None:
    done = await scan(free_port, Device("", 3, dict.fromkeys(range(65_536), 0), "", 3))
    assert "answers, but no register map fits" in done.out
    assert not proposed(done)


async def test_what_takes_the_connection_and_stays_silent_is_told(free_port: int) -> None:
    done = await scan(free_port, BY_MAP["janitza_umg96"], Habits(mute=True))
    assert done.code == 1
    assert f"127.0.0.1 port {free_port}: takes the connection and stays silent; try all unit ids" in done.err


async def test_the_caution_of_a_map_is_told_with_it(free_port: int) -> None:
    assert "note: has no currents: it cannot protect a fuse" in (await scan(free_port, BY_MAP["victron_gx"])).out


async def test_json_holds_the_same_proposal(free_port: int) -> None:
    done = await scan(free_port, BY_MAP["abb_b23"], None, "--json")
    [unit] = done.json["units"]
    assert MeterConfig.model_validate(unit["meters"][0]).source.map == "abb_b23"  # type: ignore[union-attr]
    assert unit["matches"][0]["source"] == "abb_b23"
