"""What ``yardmaster simulate`` prints and saves."""

from __future__ import annotations

import argparse
import csv
import json
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from controller.paths import config_dir
from controller.sim.account import Outcome, Sample
from controller.sim.scenario import DEMO
from controller.sim.simulate import add_arguments, main, save, table, unknown_bays
from tests.controller.sim.kit import DAY
from tests.controller.sim.test_site import CONFIG

CURVE = tuple(Sample(DAY + 3600.0 * hour, 1000.0 * hour, 500.0, 5.0 * hour) for hour in range(7, 30))
WILD = Outcome("uncontrolled", 200.0, 40.0, 100_000.0, 210.0, 125.0, 600.0, 100.0, 100.0, (), CURVE)
OURS = Outcome("Yardmaster", 150.0, 30.0, 60_000.0, 110.0, 125.0, 0.0, 99.0, 100.0, ("van-01 1.0 kWh",), CURVE)


def test_the_table_tells_cost_peak_fuse_and_saving() -> None:
    text = table(CONFIG, [WILD, OURS])
    assert "210" in text
    assert "10 min" in text
    assert "saves 60.00 EUR a day (25 %)" in text
    assert "peak lower by 40.0 kW (40 %)" in text
    assert "van-01 1.0 kWh" in text


def test_what_cars_gave_back_is_told_with_its_price() -> None:
    ours = replace(OURS, given_wh=25_300.0, wear_cost=2.02)
    assert "Yardmaster: cars gave back 25.3 kWh; its cost holds 2.02 EUR for their wear." in table(CONFIG, [WILD, ours])
    assert "gave back" not in table(CONFIG, [WILD, OURS])


def test_everything_is_saved_and_the_picture_is_svg(tmp_path: Path) -> None:
    save(tmp_path, CONFIG, [WILD, OURS], DEMO)
    root = ElementTree.parse(tmp_path / "simulation.svg").getroot()
    texts = " ".join(node.text or "" for node in root.iter("{http://www.w3.org/2000/svg}text"))
    assert "fuse 125 A" in texts
    assert "0.41 EUR/kWh" in texts
    assert len(list(root.iter("{http://www.w3.org/2000/svg}polyline"))) == 4
    numbers = json.loads((tmp_path / "simulation.json").read_text())
    assert [item["cost"] for item in numbers] == [240.0, 180.0]
    rows = list(csv.reader((tmp_path / "simulation.csv").open()))
    assert len(rows) == 1 + 2 * len(CURVE)


def test_a_quick_look_runs_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    assert main(parser.parse_args(["--hours", "0.2", "--out", str(tmp_path / "out")])) == 0
    assert (tmp_path / "out" / "simulation.svg").is_file()
    assert "Yardmaster" in capsys.readouterr().out


def test_a_site_without_the_bays_of_the_day_is_refused_with_their_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (config_dir() / "site.demo.yaml").read_text().replace("id: Y1", "id: Z9")
    (tmp_path / "site.yaml").write_text(text)
    arguments = argparse.Namespace(file=tmp_path / "site.yaml", day="demo", out=tmp_path, hours=0.1)
    assert main(arguments) == 1
    assert "Y1/1" in capsys.readouterr().err
    assert unknown_bays(CONFIG, DEMO) == []


def test_a_file_that_is_not_there_is_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = argparse.Namespace(file=tmp_path / "none.yaml", day="demo", out=tmp_path, hours=0.1)
    assert main(arguments) == 1
    assert "none.yaml" in capsys.readouterr().err
