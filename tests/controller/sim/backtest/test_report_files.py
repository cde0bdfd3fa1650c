"""JSON comes back as it went, CSV holds the same numbers, and rubbish is refused with a sentence."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from controller.sim.backtest.report_files import LIMITS, POLICIES, QUARTERS, SESSIONS, ResultError, read_json, write_csv, write_json
from tests.support.garage_month import month


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_json_comes_back_whole(tmp_path: Path) -> None:
    backtest = month(4, 6)
    assert read_json(write_json(backtest, tmp_path / "result.json")) == backtest


def test_json_has_no_words_json_does_not_know(tmp_path: Path) -> None:
    backtest = month(2, 3)
    odd = replace(backtest, policies=(replace(backtest.policies[0], worst={"hall-a": math.inf}, seconds=math.nan),))
    data = json.loads(write_json(odd, tmp_path / "result.json").read_text(encoding="utf-8"))
    assert data["policies"][0]["worst"] == {"hall-a": None}


@pytest.mark.parametrize("content", ["", "{}", "[]", "7", '{"policies": 3}', '{"policies": [{}]}', '{"site": "x", "policies": [], "more": 1}'])
def test_rubbish_is_refused_with_the_file_s_name(tmp_path: Path, content: str) -> None:
    path = tmp_path / "result.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ResultError, match=r"result\.json is not a result of a backtest"):
        read_json(path)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(ResultError, match="FileNotFoundError"):
        read_json(tmp_path / "nothing.json")


def test_csv_has_the_same_numbers(tmp_path: Path) -> None:
    backtest = month(4, 6)
    written = write_csv(backtest, tmp_path / "out")
    assert {path.name for path in written} == {POLICIES, SESSIONS, QUARTERS, LIMITS}
    policies = rows(tmp_path / "out" / POLICIES)
    for row, one in zip(policies, backtest.policies, strict=True):
        assert row["policy"] == one.policy
        assert float(row["ev_cost"]) == pytest.approx(one.ev_cost)
        assert float(row["delivered_kwh"]) == pytest.approx(one.delivered_wh / 1000.0)
    sessions = rows(tmp_path / "out" / SESSIONS)
    assert sum(float(row["delivered_wh"]) for row in sessions if row["policy"] == "ours") == pytest.approx(backtest.policies[5].delivered_wh)
    assert {row["stated_wh"] for row in sessions} >= {""}
    quarters = rows(tmp_path / "out" / QUARTERS)
    assert len(quarters) == sum(len(one.curve) for one in backtest.policies)
    assert float(quarters[0]["load site"]) == pytest.approx(backtest.policies[0].curve[0].loads["site"])
    assert rows(tmp_path / "out" / LIMITS)[2]["saved_by_more"] == ""


def test_names_never_become_formulas(tmp_path: Path) -> None:
    backtest = month(2, 3)
    bad = tuple(replace(stay, id="=HYPERLINK(1)", evse="-2+3") for stay in backtest.policies[0].sessions)
    write_csv(replace(backtest, policies=(replace(backtest.policies[0], sessions=bad),)), tmp_path)
    row = rows(tmp_path / SESSIONS)[0]
    assert (row["session"], row["evse"]) == ("'=HYPERLINK(1)", "'-2+3")
