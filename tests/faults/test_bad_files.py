"""Bad input that comes as files and surroundings, by number: site.yaml (B44), tariffs (B45), odd environments (B46)."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from controller.check import ConfigError, load_config
from controller.io.clock import Clock
from controller.site.plans.tariffs import books_of
from tests.support.yard import ROOT, Yard, site, until

SMALL = """\
site: {id: yard, timezone: Europe/Berlin}
grid: {fuse_a: 63, worst_other_load_a: 20}
stations:
  - id: box1
    evses: [{id: 1, max_current_a: 32, fallback_a: 6}]
"""


def problems(folder: Path, text: str | bytes) -> list[str]:
    """Every problem of a site file, as a person reads it."""
    file = folder / "site.yaml"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(ConfigError) as caught:
        load_config(file)
    return caught.value.text().splitlines()


BOMB = "a: &a [x, x, x]\nb: &b [*a, *a, *a]\nc: &c [*b, *b, *b]\n" + SMALL

WRONG_FILES = [
    ("tabs", SMALL.replace("  - id", "\t- id"), "tab"),
    ("duplicate keys", SMALL + "grid: {fuse_a: 6300, worst_other_load_a: 0}\n", "twice"),
    ("an anchors bomb", BOMB, "alias"),
    ("10 MB", SMALL + "# " + "x" * 10_000_000, "large"),
    ("wrong encoding", SMALL.replace("yard", "h\xf6f").encode("latin-1"), "UTF-8"),
    ("a number with its unit", SMALL.replace("fuse_a: 63", "fuse_a: 63A"), "write 63,"),
    ("yes as an id", SMALL.replace("box1", "yes"), "yes without quotes"),
]


@pytest.mark.parametrize(("text", "word"), [row[1:] for row in WRONG_FILES], ids=[row[0] for row in WRONG_FILES])
def test_b44_a_wrong_site_file_gets_one_clear_error(tmp_path: Path, text: str | bytes, word: str) -> None:
    found = problems(tmp_path, text)
    assert any(word.lower() in line.lower() for line in found), found
    assert len([line for line in found if line.strip()]) <= 4, "one mistake, one message"


WRONG_TARIFFS = [
    ("overlap", "{buy: [{start: '06:00', price_per_kwh: 0.3}, {start: '06:00', price_per_kwh: 0.2}]}", "same time"),
    ("order", "{buy: [{start: '22:00', price_per_kwh: 0.3}, {start: '06:00', price_per_kwh: 0.2}]}", "before"),
    ("25th hour", "{buy: [{start: '25:00', price_per_kwh: 0.3}]}", "HH:MM"),
    ("no currency", "{currency: ''}", "capital letters"),
    ("no number", "{buy: [{start: '00:00', price_per_kwh: .nan}]}", "finite"),
    ("cents", "{buy: [{start: '00:00', price_per_kwh: 30}]}", "at most 10"),
]


@pytest.mark.parametrize(("tariff", "word"), [row[1:] for row in WRONG_TARIFFS], ids=[row[0] for row in WRONG_TARIFFS])
def test_b45_a_wrong_tariff_is_refused_with_its_place(tmp_path: Path, tariff: str, word: str) -> None:
    found = problems(tmp_path, f"{SMALL}tariff: {tariff}\n")
    assert any(word in line for line in found), found
    assert any("tariff" in line and "line 6" in line for line in found), found


def test_b45_negative_prices_are_prices_and_windows_leave_no_gap(tmp_path: Path) -> None:
    file = tmp_path / "site.yaml"
    file.write_text(SMALL + "tariff: {buy: [{start: '06:00', price_per_kwh: -0.05}, {start: '22:00', price_per_kwh: 0.2}]}\n")
    config = load_config(file)
    book = books_of(config.tariff, config.site.timezone).buy
    midnight_s, hour_s = 1_792_879_200.0, 3600.0  # 2026-10-25T00:00 in Berlin, a day of 25 hours
    prices = [book.at(midnight_s + (number + 0.5) * hour_s) for number in range(25)]
    # 00-06 by the clock are seven hours that night; the evening's price holds around midnight.
    assert prices == [0.2] * 7 + [-0.05] * 16 + [0.2] * 2


def test_b46_a_clock_of_1970_is_not_trusted() -> None:
    assert not Clock(start_wall_s=12.0).stamp().wall_trusted
    assert Clock(start_wall_s=1_792_879_200.0).stamp().wall_trusted


ENVIRONMENTS: list[tuple[str, dict[str, str]]] = [
    ("locale C", {"LC_ALL": "C", "LANG": "C", "PYTHONUTF8": "0"}),
    ("no home", {"HOME": "/nonexistent/home"}),
    ("a time zone that is none", {"TZ": "Mars/Olympus"}),
    ("no host name", {"HOSTNAME": ""}),
]


@pytest.mark.system
@pytest.mark.parametrize("changes", [row[1] for row in ENVIRONMENTS], ids=[row[0] for row in ENVIRONMENTS])
async def test_b46_it_starts_in_odd_environments(tmp_path: Path, changes: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in changes.items():
        monkeypatch.setenv(name, value)
    data: dict[str, Any] = site(tmp_path, site={"id": "test", "name": "Depot Königsstraße"})
    async with Yard(tmp_path, data) as yard, aiohttp.ClientSession() as session, session.get(f"{yard.api_url}/api/v1/state") as answer:
        assert (await answer.json())["site_name"] == "Depot Königsstraße"
    assert "Traceback" not in yard.log.read_text()


def memory_kb(pid: int) -> int:
    return int(Path(f"/proc/{pid}/status").read_text().split("VmRSS:")[1].split()[0])


@pytest.mark.system
async def test_b46_two_gigabytes_of_logs_are_nobodys_business(tmp_path: Path) -> None:
    """Our output goes behind 2 GiB of earlier lines, more of them lie in the data folder: nobody reads, copies or counts them."""
    data, yard = tmp_path / "data", Yard(tmp_path, site(tmp_path))
    data.mkdir()
    logs = [yard.log, data / "yardmaster.log", data / "yardmaster.log.1"]
    for log in logs:
        with log.open("wb") as file:
            file.truncate(2**31 + 1)  # sparse: it takes no room on the disk of this test
    async with yard:
        assert yard.process is not None
        await until(lambda: yard.log.stat().st_size > 2**31 + 1)  # and goes on writing behind them
        assert memory_kb(yard.process.pid) < 1_000_000
    assert [log.stat().st_size for log in logs[1:]] == [2**31 + 1] * 2
    with yard.log.open("rb") as file:
        file.seek(2**31 + 1)
        said = file.read().decode()
    assert "the page is at" in said
    assert "Traceback" not in said


def test_b46_what_runs_in_a_container_bounds_its_logs() -> None:
    """A container's output is kept for ever unless somebody says otherwise; systemd's journal is bounded by itself."""
    services = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())["services"]
    for name, service in services.items():
        options = service.get("logging", {}).get("options", {})
        assert {"max-size", "max-file"} <= options.keys(), name


@pytest.mark.system
async def test_b46_a_data_folder_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    place = tmp_path / "data"
    place.write_text("a file where the folder should be")
    file = tmp_path / "site.yaml"
    file.write_text(yaml.safe_dump(site(tmp_path)))
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "controller",
        "run",
        str(file),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=ROOT,
    )
    said, _ = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 1
    assert str(place) in said.decode()
    assert "Traceback" not in said.decode()
