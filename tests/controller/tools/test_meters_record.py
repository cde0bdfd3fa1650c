"""``yardmaster meters record``: what is in the file is what the device had, for weeks, and a file that was cut off is read as far as it goes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from controller.tools.client import ToolError
from controller.tools.meters_image import Table, Writer, load
from controller.tools.meters_replay import serving
from tests.support.field_images import BY_MAP, HOST, Habits, behaving, standing
from tests.support.meters_command import meters
from tests.support.modbus_lines import Asked, RawDevice, Say, raw_over_tcp


@pytest.mark.parametrize("habits", [Habits(), Habits(most=10), Habits(holes=False), Habits(without=frozenset(range(0x5B2C, 0x5B2D)))])
async def test_a_recorded_device_is_the_device(habits: Habits, free_port: int, tmp_path: Path) -> None:
    """Also where it takes short reads only, or has holes: the plan of the map is followed, no value is cut in two."""
    out, device = tmp_path / "abb.json", BY_MAP["abb_b23"]
    async with standing(free_port, device, habits):
        where = ("--host", HOST, "--port", str(free_port), "--timeout", "5")
        assert (await meters("record", *where, "--map", "abb_b23", "--gap", "0", "--out", str(out))).code == 0
        live = (await meters("read", *where, "--map", "abb_b23", "--json")).json
    async with serving(load(out), 0) as port:
        again = (await meters("read", "--host", HOST, "--port", str(port), "--map", "abb_b23", "--json")).json
        assert (await meters("test", "--host", HOST, "--port", str(port), "--map", "abb_b23", "--seconds", "0.1", "--every", "5")).code == 0
        found = await meters("scan", "--host", HOST, "--port", str(port), "--unit", "1", "--gap", "0", "--timeout", "5", "--json")
    timeless = {"at": 0, "took_ms": 0}
    assert again | timeless == live | timeless
    assert found.json["units"][0]["matches"][0]["source"] == "abb_b23"


async def test_a_value_is_not_cut_in_two_where_a_device_reads_whole_values_only(free_port: int, tmp_path: Path) -> None:
    def behave(raw: RawDevice, asked: Asked) -> list[Say]:
        return [(0.0, raw.right(asked) if asked.count == 2 and asked.address % 2 == 0 else raw.exception(asked, 2))]

    async with raw_over_tcp(free_port, rtu=False, behave=behave):
        where = ("--host", HOST, "--port", str(free_port), "--gap", "0")
        await meters("record", *where, "--registers", "100-113", "--out", str(tmp_path / "a.json"))
    assert json.loads((tmp_path / "a.json").read_text())["samples"][0]["holding"] == {"100": list(range(100, 114))}


async def test_a_silence_leaves_a_gap_and_does_not_end_a_recording(free_port: int, tmp_path: Path) -> None:
    device, right = BY_MAP["kostal_ksem"], behaving(BY_MAP["kostal_ksem"], Habits())

    def behave(raw: RawDevice, asked: Asked) -> list[Say]:
        return [(0.0, raw.exception(asked, 6))] if asked.number == 4 else right(raw, asked)

    async with raw_over_tcp(free_port, rtu=False, behave=behave):
        where = ("--host", HOST, "--port", str(free_port), "--map", device.map_name, "--gap", "0")
        done = await meters("record", *where, "--seconds", "1.5", "--every", "0.05", "--timeout", "5", "--out", str(tmp_path / "a.json"))
    assert "no sample after" in done.err
    recording = load(tmp_path / "a.json")
    assert len(recording.samples) >= 2
    assert {len(sample.tables[3]) for sample in recording.samples} == {len(recording.samples[0].tables[3])}


def written(path: Path, count: int) -> None:
    with path.open("w", encoding="utf-8") as file:
        writer = Writer(file, 7, "h port 502 unit 7", "abb_b23")
        for number in range(count):
            writer.add(float(number), {3: {100: number, 101: 5, 500: 9}, 4: {}})
        writer.end()


def test_a_recording_that_was_cut_off_is_read_up_to_its_last_whole_sample(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    written(path, 3)
    whole = path.read_text(encoding="utf-8")
    json.loads(whole)
    assert [sample.tables[3].get(100) for sample in load(path).samples] == [0, 1, 2]
    second = whole.index("\n", whole.index("\n") + 1)
    for cut in range(second + 2, len(whole)):
        path.write_text(whole[:cut], encoding="utf-8")
        found = [sample.tables[3].get(100) for sample in load(path).samples]
        assert found == list(range(len(found)))
        assert found
    path.write_text(whole[: whole.index("\n") + 1], encoding="utf-8")
    with pytest.raises(ToolError, match="it has no samples"):
        load(path)


def test_damage_in_the_middle_of_a_recording_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    written(path, 3)
    path.write_text(path.read_text(encoding="utf-8").replace('"after_s":1.0', '"after_s":1.'), encoding="utf-8")
    with pytest.raises(ToolError, match="is no recording"):
        load(path)


def test_a_table_knows_what_is_there_and_what_is_not() -> None:
    table = Table({"100": [1, 2], "40000": [3]})
    assert [table.get(at) for at in (99, 100, 101, 102, 39999, 40000, 40001)] == [None, 1, 2, None, None, 3, None]
    assert len(table) == 3


@pytest.mark.parametrize("stretches", [{"100": [1, 2], "101": [3]}, {"-1": [1]}, {"65535": [1, 2]}, {"0": [65_536]}, {"0": [True]}, {"0": [1.5]}])
def test_tables_that_cannot_be_are_refused(stretches: dict[str, list[int]]) -> None:
    with pytest.raises(ValueError, match=r"within|overlap"):
        Table(stretches)
