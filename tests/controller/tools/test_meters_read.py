"""``yardmaster meters read`` against register images of real devices, written by hand: every value, sign and phase, whatever the device refuses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from controller.__main__ import main as yardmaster
from controller.paths import config_dir
from meters.decode import decode
from meters.quality import Convention, Expectation, judge
from meters.reading import Quality
from meters.template import PHASES, load_all
from tests.support.field_images import BY_MAP, DEVICES, HOST, TRUE, Device, Habits, standing, words
from tests.support.meters_command import Done, meters
from tests.support.sunspec_by_hand import common, der_701, inverter_103, inverter_113, listed, meter_203, meter_213, model, ports_714

MAPS = load_all(config_dir() / "meters")
TOTALS = {"total": "power_w", "f": "frequency_hz", "imp": "energy_import_wh", "exp": "energy_export_wh"}
ROUNDED = {"total": 0.5, "f": 0.001, "e_imp": 1000.0, "e_exp": 1000.0}
"""Counters in kWh and floats of seven digits are off by less than a kWh."""

OWN_WAYS = {
    "as it likes": Habits(),
    "at most 10, and says failure": Habits(most=10, too_long=4),
    "nothing between its values": Habits(holes=False),
}


async def read(port: int, device: Device, habits: Habits, *more: str) -> Done:
    async with standing(port, device, habits):
        where = ("--host", HOST, "--port", str(port), "--unit", str(device.unit), "--timeout", "5")
        return await meters("read", *where, *more)


def check(reading: Mapping[str, Any], shows: str) -> None:
    """Everything the map tells is the truth, and nothing else is told."""
    told = shows.split()
    for kind, name in (("u", "voltage_v"), ("i", "current_a"), ("p", "phase_power_w")):
        phases = range(3) if kind in told else range(1) if f"{kind}1" in told else range(0)
        expected = [pytest.approx(TRUE[kind][at], rel=1e-6, abs=1e-3) if at in phases else None for at in range(3)]  # type: ignore[index]
        assert reading[name] == expected, name
    for name, key in TOTALS.items():
        known = {"imp": "e_imp", "exp": "e_exp"}.get(name, name)
        total = pytest.approx(TRUE[known], abs=ROUNDED[known]) if name in told else None
        assert reading[key] == total, key


# -- register maps ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("ways", OWN_WAYS)
@pytest.mark.parametrize("name", BY_MAP)
async def test_every_map_tells_the_truth_about_a_real_device(name: str, ways: str, free_port: int) -> None:
    device = BY_MAP[name]
    done = await read(free_port, device, OWN_WAYS[ways], "--map", name, "--json")
    assert (done.code, done.json["quality"]) == (0, "good"), done.json["reason"]
    check(done.json, device.shows)


@pytest.mark.parametrize("unit", [0, 1, 247, 255])
async def test_any_unit_id_can_be_asked(unit: int, free_port: int) -> None:
    device = Device("abb_b23", 3, BY_MAP["abb_b23"].table, "", unit)
    done = await read(free_port, device, Habits(units=frozenset({unit})), "--map", "abb_b23", "--json")
    assert done.json["power_w"] == 5750.0


@pytest.mark.parametrize("code", [2, 4])
async def test_energy_and_frequency_that_are_refused_cost_nothing_else(code: int, free_port: int) -> None:
    device = BY_MAP["eastron_sdm630"]
    habits = Habits(without=frozenset(range(70, 76)), code=code)
    done = await read(free_port, device, habits, "--map", "eastron_sdm630", "--json")
    check(done.json, "u i p total")


async def test_a_meter_of_one_phase_may_refuse_the_others(free_port: int) -> None:
    """An SDM230 has the registers of L1 of its big brother and no others."""
    table = words([(0, "f", (230.0,)), (6, "f", (10.0,)), (12, "f", (2300.0,)), (70, "f", (50.0, 1234.5, 7.5))])
    device = Device("eastron_sdm630", 4, table, "")
    asked = ("--map", "eastron_sdm630")
    wired = await read(free_port, device, Habits(holes=False), *asked, "--phases", "L3", "--json")
    assert (wired.json["quality"], wired.json["current_a"], wired.json["power_w"]) == ("good", [None, None, 10.0], 2300.0)
    whole = await read(free_port, device, Habits(holes=False), *asked)
    assert whole.code == 1
    assert "current of L2 is not available" in whole.out
    assert "--phases L1 for a meter of one phase" in whole.out


async def test_a_network_of_three_wires_has_no_phase_powers_and_no_phase_voltages(free_port: int) -> None:
    """Such a meter writes 0 where it measures nothing: that is not the power of these phases."""
    table = words([(0, "f", (0.0, 0.0, 0.0, 10.0, 11.0, 12.0, 0.0, 0.0, 0.0)), (52, "f", (4300.0,)), (70, "f", (50.0, 1.0, 0.0))])
    done = await read(free_port, Device("eastron_sdm630", 4, table, ""), Habits(), "--map", "eastron_sdm630", "--json")
    assert (done.json["quality"], done.json["current_a"], done.json["power_w"]) == ("good", [10.0, 11.0, 12.0], 4300.0)
    assert done.json["phase_power_w"] == done.json["voltage_v"] == [None] * 3


async def test_a_meter_that_lost_its_voltages_is_not_one_of_three_wires(free_port: int) -> None:
    table = words([(0, "f", (0.0, 0.0, 0.0, 10.0, 11.0, 12.0, 0.0, 0.0, 0.0)), (52, "f", (0.0,)), (70, "f", (50.0, 1.0, 0.0))])
    done = await read(free_port, Device("eastron_sdm630", 4, table, ""), Habits(), "--map", "eastron_sdm630", "--json")
    assert (done.json["quality"], done.json["reason"][:21]) == ("bad", "voltage of L1 is 0 V;")


@pytest.mark.parametrize("codes", [(0, 0, 0, 0), (0xFFFF, 0, 0, 0)])
async def test_an_inverter_that_lost_its_meter_shows_no_zeros(codes: tuple[int, ...], free_port: int) -> None:
    """Huawei: state 0, or no state at all, with all values 0."""
    table = dict.fromkeys(range(37100, 37140), 0) | {37100: codes[0]}
    done = await read(free_port, Device("huawei_sun2000_meter", 3, table, ""), Habits(), "--map", "huawei_sun2000_meter")
    assert (done.code, "no value: the inverter has lost its meter" in done.out) == (1, True)


async def test_currents_of_one_function_are_not_those_of_the_other(free_port: int) -> None:
    device = BY_MAP["eastron_sdm630"]
    done = await read(free_port, device, Habits(functions=frozenset({3})), "--map", "eastron_sdm630")
    assert "the map reads with function 4, this device may want 3" in done.out


@pytest.mark.parametrize("name", [device.map_name for device in DEVICES if {"u", "u1", "f"} & set(device.shows.split())])
def test_a_map_of_another_maker_is_never_believed(name: str) -> None:
    """Whatever the other device answers where it has registers, and 0 in between. Maps without voltage and frequency cannot tell."""
    template = MAPS[name]
    needed = tuple(at for at, phase in enumerate(PHASES) if f"i_{phase}" in template.registers)
    addresses = {at for block in template.plan() for at in range(block.address, block.end)}
    for other in DEVICES:
        if other.map_name[:4] == name[:4] or other.function != template.function:
            continue
        image = {at: other.registers.get(at, 0) for at in addresses}
        convention = Convention(template.sign, template.current or "signed")
        found = judge("m", decode(template, image), convention, Expectation(630.0, current_phases=needed))
        assert found.quality is Quality.BAD, (other.map_name, found)


async def test_a_wrong_map_is_told_with_what_to_do(free_port: int) -> None:
    done = await read(free_port, BY_MAP["carlo_gavazzi_em340"], Habits(), "--map", "carlo_gavazzi_em24_rtu")
    assert (done.code, "frequency is 0 Hz" in done.out, "yardmaster meters scan" in done.out) == (1, True, True)


# -- SunSpec ---------------------------------------------------------------------------------------------

VENDOR, EMPTY = [64001, 3, 1, 2, 3], [64110, 0]
LISTS = {
    "at 40000": listed(common(), meter_203()),
    "at 0": listed(common(), meter_203(), base=0),
    "at 50000": listed(common(), meter_213(), base=50000),
    "out of order, with unknown models": listed(meter_203(), VENDOR, EMPTY, common()),
    "without an end": listed(common(), VENDOR, meter_213(), end=()),
    "ended by 0": listed(common(), meter_213(), end=(0, 0)),
    "one model too long, another right": listed(common(), meter_203(length=106), meter_213()),
    "short common model": listed(common(length=65), meter_203()),
}


@pytest.mark.parametrize("most", [125, 60])
@pytest.mark.parametrize("where", LISTS)
async def test_a_sunspec_meter_tells_the_truth_wherever_its_list_is(where: str, most: int, free_port: int) -> None:
    done = await sunspec(free_port, LISTS[where], Habits(most=most, holes=False), "--role", "grid")
    assert done.json["quality"] == "good"
    check(done.json, "u i p total f imp exp")


async def sunspec(port: int, table: dict[int, int], habits: Habits, *more: str) -> Done:
    return await read(port, Device("sunspec", 3, table, ""), habits, "--sunspec", "--json", *more)


@pytest.mark.parametrize("build", [meter_203, meter_213])
async def test_meters_of_fewer_phases_and_without_neutral(build: Any, free_port: int) -> None:
    first = 201 if build is meter_203 else 211
    single = (await sunspec(free_port, listed(common(), build(first, phases=1)), Habits(), "--role", "grid")).json
    assert (single["current_a"], single["phase_power_w"], single["power_w"]) == ([10.0, None, None], [2300.0, None, None], 2300.0)
    split = (await sunspec(free_port, listed(common(), build(first + 1, phases=2)), Habits(), "--role", "grid")).json
    assert (split["current_a"], split["power_w"]) == ([10.0, -5.0, None], 1150.0)
    delta = (await sunspec(free_port, listed(common(), build(first + 3)), Habits(), "--role", "grid")).json
    assert (delta["current_a"], delta["voltage_v"]) == ([10.0, -5.0, 20.0], [None] * 3)


async def test_a_value_without_its_scale_is_no_value(free_port: int) -> None:
    powers = (await sunspec(free_port, listed(common(), meter_203(w22=0x8000)), Habits(), "--role", "grid")).json
    assert (powers["current_a"], powers["power_w"]) == ([10.0, 5.0, 20.0], None), "of unknown direction, so load"
    amps = (await sunspec(free_port, listed(common(), meter_203(w6=0x8000)), Habits(), "--role", "grid")).json
    assert (amps["current_a"], amps["power_w"]) == ([None] * 3, 5750.0)


async def test_the_second_meter_behind_an_inverter_that_counts_feeding_in(free_port: int) -> None:
    table = listed(common("SolarEdge"), inverter_103(), common(), meter_213(), common(), meter_203(way=-1))
    done = await sunspec(free_port, table, Habits(), "--role", "grid", "--nth", "2", "--sign", "export")
    check(done.json, "u i p total f imp exp")


@pytest.mark.parametrize(("one", "given_wh"), [(inverter_103(), 12_345_000.0), (inverter_113(), 12_345_000.0), (der_701(), 12_345_678_901.0)])
async def test_an_inverter_produces_negative_power(one: list[int], given_wh: float, free_port: int) -> None:
    done = await sunspec(free_port, listed(common(), one), Habits(holes=False), "--role", "pv")
    assert (done.json["power_w"], done.json["current_a"], done.json["energy_export_wh"]) == (-6900.0, [-10.0] * 3, given_wh)


@pytest.mark.parametrize("storage", [(), (model(713, 7, {}),)])
async def test_the_ports_of_a_hybrid_are_told_apart(storage: tuple[list[int], ...], free_port: int) -> None:
    """Two PV inputs give 5000 W and 3000 W, the battery takes 1100 W of it."""
    table = listed(common(), der_701(), ports_714((0, 500), (0, 300), (1, -110)), *storage)
    pv = await sunspec(free_port, table, Habits(holes=False), "--role", "pv")
    battery = await sunspec(free_port, table, Habits(holes=False), "--role", "battery")
    assert (pv.json["power_w"], battery.json["power_w"]) == (-8000.0, 1100.0)


async def test_a_device_that_is_silent_where_it_has_no_list_is_asked_elsewhere(free_port: int) -> None:
    done = await sunspec(free_port, listed(common(), meter_213(), base=50000), Habits(holes=False, mute=True), "--role", "grid", "--timeout", "1")
    assert done.json["power_w"] == pytest.approx(5750.0)


# -- wrong use -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "given", ["read", "scan", "test", "read --host h", "read grid", "scan --host h --unit 0-256", "read --host h --map abb_b23 --phases L4"]
)
def test_wrong_use_ends_with_2_and_a_sentence(given: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert yardmaster(["meters", *given.split()]) == 2
    assert f"yardmaster meters {given.split()[0]} --help" in capsys.readouterr().err


def test_a_device_that_is_not_there_ends_with_1_and_what_to_try(free_port: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert yardmaster(["meters", "read", "--host", HOST, "--port", str(free_port), "--map", "abb_b23"]) == 1
    assert "try: see that it is switched on" in capsys.readouterr().out
