"""``yardmaster simulate`` with recorded sessions, from the command line: what is printed, written and refused."""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path

import pytest

from controller.sim.simulate import add_arguments, main
from tests.controller.sim.backtest.kit import TARIFF, ZONE, sessions_file


def run(*words: str) -> int:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return main(parser.parse_args(words))


def basics(folder: Path) -> list[str]:
    (folder / "tariff.json").write_text(TARIFF)
    return ["--sessions", str(sessions_file(folder)), "--from", "2026-06-03", "--to", "2026-06-03", "--prices", str(folder / "tariff.json"),
            "--timezone", ZONE, "--jobs", "1", "--out", str(folder / "out")]  # fmt: skip


def test_a_day_under_the_rules_is_told_and_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*basics(tmp_path), "--policy", "uncontrolled,first-come,edf,llf,round-robin,bound", "--load", "10") == 0
    out = capsys.readouterr().out
    assert "sessions, 2026-06-03 to 2026-06-03, 7 sessions" in out
    for word in ("uncontrolled", "first-come", "llf", "round-robin", "bound", "made from the sessions", "report.html"):
        assert word in out
    folder = tmp_path / "out"
    data = json.loads((folder / "results.json").read_text())
    assert [policy["policy"] for policy in data["policies"]] == ["uncontrolled", "first-come", "edf", "llf", "round-robin", "bound"]
    assert len(list(csv.reader((folder / "policies.csv").open()))) == 7
    assert "<html" in (folder / "report.html").read_text()


def test_the_quick_way_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*basics(tmp_path), "--policy", "llf,ours,bound", "--quick") == 0
    assert "(quick)" in capsys.readouterr().out
    assert json.loads((tmp_path / "out" / "results.json").read_text())["fidelity"] == "quick"


def test_several_files_get_a_folder_each(tmp_path: Path) -> None:
    (tmp_path / "two").mkdir()
    other = sessions_file(tmp_path / "two", [("Q1", 9.0, 12.0, 8.0)])
    assert run(*basics(tmp_path), "--sessions", str(other), "--policy", "edf") == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["1-sessions", "2-sessions"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--policy", "best"], "unknown policy best; there are all, uncontrolled"),
        (["--from", "2020-01-01", "--to", "2020-01-02"], "the file has 2026-06-03 to 2026-06-03"),
        (["--sessions", "none.csv"], "none.csv cannot be read"),
        (["--site", "none.yaml"], "none.yaml"),
        (["--prices", "none.json"], "none.json cannot be read"),
        (["--policy", "ours-v2g", "--v2g-share", "0"], "nothing is left to run"),
        (["--jobs", "0"], "at least 1 process"),
    ],
)
def test_what_is_wrong_is_one_sentence(words: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = basics(tmp_path)
    if words[0] == "--sessions":
        options = options[2:]
    assert run(*options, *words) == 1
    error = capsys.readouterr().err
    assert told in error
    assert "Traceback" not in error


def test_options_of_a_backtest_need_its_sessions(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--from", "2026-06-03", "--quick") == 2
    assert "--from, --quick: only with --sessions FILE" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["--from", "June"], ["--v2g-share", "30"], ["--capacity", "-5"], ["--load-scale", "much"]])
def test_wrong_words_are_refused_by_name(words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run(*basics(tmp_path), *words)
    assert words[0] in capsys.readouterr().err


def test_the_help_has_examples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run("--help")
    out = capsys.readouterr().out
    assert "yardmaster simulate --sessions caltech.csv.gz" in out
    assert "evse, arrival, departure, energy_kwh" in out
