"""What ``yardmaster check`` says of SunSpec meters."""

from __future__ import annotations

from typing import Any

from controller.checking.cautions import warnings_about
from controller.checking.rules import Site, cross_problems
from controller.config import Config


def said(role: str = "grid", **source: Any) -> list[str]:
    meter = {"id": "m", "role": role, "source": {"type": "sunspec", "host": "10.0.0.9", **source}}
    body = {"site": {"id": "yard"}, "grid": {"fuse_a": 63, "worst_other_load_a": 10, "meter": "m" if role == "grid" else None}, "meters": [meter]}
    site = Site(Config.model_validate(body))
    return [f"{problem.path}: {problem.message}" for problem in (*cross_problems(site), *warnings_about(site)) if problem.where[0] == "meters"]


def test_a_usual_meter_is_fine() -> None:
    assert said() == []
    assert said(models=[203, 213], nth=2, sign="export") == []
    assert said(role="pv", models=[160], poll_s=30) == []


def test_models_without_values_are_named() -> None:
    assert said(models=[203, 123]) == [
        "meters.0.source.models.1: SunSpec model 123 holds no values of a meter; known are 101, 102, 103, 111, 112, 113, 701, 201, 202, 203, 204, "
        "211, 212, 213, 214, 802, 713, 124, 714, 160"
    ]


def test_a_meter_that_guards_a_fuse_is_polled_often() -> None:
    assert "would count as lost between two readings" in said(poll_s=10)[0]
    assert "one missed reading makes this meter late" in said(poll_s=5)[0]
