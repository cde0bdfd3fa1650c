"""The out folder: goes on where it was stopped, loses nothing of before, belongs to one site."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from controller.commission.charts import Chart, Line
from controller.commission.findings import Finding, Outcome, Quirks, Rotation, Verdict
from controller.io.chargers import load_chargers
from controller.site.stations.charger import GENERIC
from controller.tools import commission
from controller.tools.client import ToolError
from controller.tools.handover import STATE, Handover
from controller.tools.trials import Result
from tests.support.site_story import depot

SITE = {"site_id": "test", "site_name": "Test depot", "version": "0.1.0"}
CHART = Chart("x", (Line("L1", "0", ((0.0, 1.0),)),))


def handover(folder: Path, site: dict[str, Any] | None = None) -> Handover:
    made = Handover(folder, depot(2), {"generic": GENERIC})
    made.load()
    made.site(site or SITE)
    return made


def result(apply_s: float = 4.0) -> Result:
    outcome = Outcome((Finding("Step test", Verdict.PASS, "fine"),), Quirks(apply_s=apply_s), Rotation((1, None, None), 1))
    return Result(outcome, (CHART,))


def test_it_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    handover(tmp_path).keep("CP1/1", "steps", result())
    again = handover(tmp_path)
    assert again.done("CP1/1", "steps")
    assert not again.done("CP1/1", "plug")
    said = again.write()
    assert len(said) == 3
    assert load_chargers(tmp_path / "chargers")["cp1"].apply_s == 4.0
    assert "phases: [L2, L3, L1]" in (tmp_path / "site-changes.txt").read_text()
    assert "EVSE CP1/1" in (tmp_path / "report.html").read_text()


def test_an_earlier_model_file_is_kept(tmp_path: Path) -> None:
    made = handover(tmp_path)
    made.keep("CP1/1", "steps", result())
    made.write()
    assert not any("kept" in line for line in made.write())  # the same again is no change
    (tmp_path / "chargers" / "cp1.yaml").write_text("apply_s: 9\n")
    assert any("kept the earlier cp1.yaml as cp1.yaml.1" in line for line in made.write())
    assert (tmp_path / "chargers" / "cp1.yaml.1").read_text() == "apply_s: 9\n"


def test_boxes_of_one_make_share_a_file_with_the_safer_figures(tmp_path: Path) -> None:
    made = handover(tmp_path)
    for station, apply_s in (("CP1", 3.0), ("CP2", 11.0)):
        made.details(station, {"vendor": "Acme", "model": "W22", "firmware": "1.2"})
        made.keep(f"{station}/1", "steps", result(apply_s))
    made.write()
    assert [path.name for path in (tmp_path / "chargers").iterdir()] == ["acme-w22.yaml"]
    assert load_chargers(tmp_path / "chargers")["acme-w22"].apply_s == 11.0


def test_a_folder_of_another_site_is_refused(tmp_path: Path) -> None:
    handover(tmp_path).keep("CP1/1", "steps", result())
    with pytest.raises(ToolError, match="holds the commissioning of site test"):
        handover(tmp_path, {**SITE, "site_id": "other"})


@pytest.mark.parametrize("text", ["", "[]", "{", '{"format": 99}', '{"format": 1, "site": {}, "details": {}, "tests": [{}]}'])
def test_a_damaged_state_file_is_told_and_kept(tmp_path: Path, text: str) -> None:
    (tmp_path / STATE).write_text(text)
    with pytest.raises(ToolError, match="cannot be used"):
        handover(tmp_path)
    assert (tmp_path / STATE).read_text() == text


def test_nothing_tested_is_said(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="nothing has been tested"):
        handover(tmp_path).write()


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(ToolError, match="cannot be written"):
        Handover(tmp_path / "out", None, {}).keep("CP1/1", "steps", result())


def arguments(folder: Path, *words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    commission.add_arguments(parser)
    return parser.parse_args(["--out", str(folder), *words])


def test_the_report_alone_needs_no_controller(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    handover(tmp_path).keep("CP1/1", "steps", result())
    assert commission.main(arguments(tmp_path, "--report")) == 0
    assert "report.html" in capsys.readouterr().out


def test_without_a_controller_it_says_so(tmp_path: Path, free_port: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert commission.main(arguments(tmp_path, "--yes", "--url", f"http://127.0.0.1:{free_port}")) == 1
    assert "no controller answers" in capsys.readouterr().err


@pytest.mark.parametrize("words", [("--hold", "0"), ("--hold", "nan"), ("--cycles", "2"), ("--only", "everything")])
def test_wrong_lengths_are_refused(tmp_path: Path, words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        arguments(tmp_path, *words)
    capsys.readouterr()


def test_what_was_not_tested_is_said(tmp_path: Path) -> None:
    """An owner must not read "passed" where nobody looked: the other EVSE, the other tests, giving back and switching phases."""
    made = handover(tmp_path)
    made.keep("CP1/1", "steps", result())
    made.write()
    page = (tmp_path / "report.html").read_text()
    assert "EVSE CP2/1" in page
    assert "Passed: everything that was tested is as it must be. 13 points were not tested." in page  # 5 of CP1, 6 of CP2, 2 beyond
    assert page.count("not done yet") == 11
    assert "Giving back (V2G)" in page
    assert "One phase and three phases" in page


def test_what_the_site_relies_on_without_a_test_is_named(tmp_path: Path) -> None:
    switching = replace(GENERIC, phase_switching=True)
    made = Handover(tmp_path, depot(2, evse={"v2g": {"max_discharge_w": 5000}}), {"generic": switching})
    made.site(SITE)
    made.keep("CP1/1", "steps", result())
    made.write()
    page = (tmp_path / "report.html").read_text()
    assert "not tested, but used at CP1/1, CP2/1" in page
    assert "not tested, but used at CP1, CP2" in page
