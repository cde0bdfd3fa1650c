"""The project's own papers: pins, schema, links, the service's unit file. What ``make check`` runs, and that it can fail."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from deploy import check_project

ROOT = Path(__file__).resolve().parents[2]


def test_the_papers_are_in_order(capsys: pytest.CaptureFixture[str]) -> None:
    code = check_project.main()
    assert capsys.readouterr().out == "project: links, commands, schema, shipped sites and pins are in order\n"
    assert code == 0


def test_a_dead_link_and_a_missing_heading_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check_project, "ROOT", tmp_path)
    other = tmp_path / "other.md"
    other.write_text("# What it is, really\n", encoding="utf-8")
    page = tmp_path / "page.md"
    page.write_text(
        "[good](other.md#what-it-is-really) [web](https://example.com) [gone](gone.md) [no](other.md#nowhere)\n\n```\n[code](x.md)\n```\n",
        encoding="utf-8",
    )
    assert list(check_project.dead_links(page)) == [
        "page.md: the link gone.md leads nowhere",
        "page.md: other.md#nowhere names a heading that is not there",
    ]


def test_a_missing_pin_and_a_stale_schema_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check_project, "ROOT", tmp_path)
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "site.schema.json").write_text("{}", encoding="utf-8")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    pins = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    (tmp_path / "constraints.txt").write_text(pins.replace("pymodbus==", "pymodbux=="), encoding="utf-8")
    assert list(check_project.missing_pins()) == ["constraints.txt: pymodbus of pyproject.toml is not pinned; run: make constraints"]
    assert "make schema" in next(iter(check_project.stale_schema()))


def test_the_pins_name_versions_only() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert all(line.count("==") == 1 and not set(line) & set("/@: ") for line in pins)
    assert pins == sorted(pins, key=lambda line: line.partition("==")[0])


def test_the_container_holds_every_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    packages = {name.rstrip("*") for name in project["tool"]["setuptools"]["packages"]["find"]["include"]}
    copied = set(re.findall(r"^COPY (\w+) \1$", (ROOT / "deploy" / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE))
    assert packages == copied
    assert packages == {path.parent.name for path in ROOT.glob("*/__init__.py")}


def test_the_service_is_closed_as_far_as_promised() -> None:
    judged = subprocess.run([ROOT / "deploy" / "check-unit.sh"], capture_output=True, text=True, check=False)
    assert judged.returncode == 0, judged.stdout + judged.stderr
    assert "OK" in judged.stdout


def test_the_watchdog_and_the_dead_man_fit_together() -> None:
    """The service must be back before the stations' setpoints end, with one renewal to spare."""
    unit = (ROOT / "deploy" / "yardmaster.service").read_text(encoding="utf-8")
    assert "Type=notify\n" in unit
    assert "WatchdogSec=15\n" in unit
    assert "RestartSec=1\n" in unit
    assert "StartLimitIntervalSec=0\n" in unit


def test_control_goes_first_on_a_busy_box_and_outlives_its_solver() -> None:
    """The solver adds 10 to its niceness, and offers itself when memory runs out: by default systemd would end the whole service with it."""
    unit = (ROOT / "deploy" / "yardmaster.service").read_text(encoding="utf-8").splitlines()
    assert {"Nice=-5", "CPUWeight=500", "OOMPolicy=continue"} <= set(unit)


def test_an_installed_service_finds_its_code_compiled() -> None:
    """It may write nothing beside its code, so whoever installs compiles all of the packages."""
    made = (ROOT / "Makefile").read_text(encoding="utf-8")
    compiled = re.search(r"^install:.*\n\t@\$\(BIN\)/python -m compileall -q (.+)$", made, re.MULTILINE)
    assert compiled is not None
    assert set(compiled[1].split()) == {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests"}
