"""The picture of simulated days: nothing that is written runs over its right edge."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest

from controller.check import load_config
from controller.sim.account import Outcome, Sample
from controller.sim.picture import WIDTH, draw

DEMO = Path(__file__).resolve().parents[3] / "config" / "site.demo.yaml"
MIDNIGHT_WALL_S = 1_781_654_400.0
CHARACTER = 5.6  # mean width of a character at font size 10


@pytest.mark.parametrize("start_hour", [0.0, 6.0, 15.5, 16.0, 22.25])
def test_price_labels_stay_inside_the_picture(start_hour: float) -> None:
    start_wall_s = MIDNIGHT_WALL_S + 3600.0 * start_hour
    zeros: dict[str, Any] = {field.name: 0 for field in dataclasses.fields(Outcome)}
    curve = tuple(Sample(start_wall_s + 900.0 * step, 10_000.0, 0.0, 40.0) for step in range(97))
    svg = draw(load_config(DEMO), [Outcome(**zeros | {"name": "plan", "curve": curve, "short": ()})], "a day")
    labels = re.findall(r'<text x="([\d.]+)"[^>]*>([\d.]+ EUR/kWh)', svg)
    assert len(labels) >= 3
    assert all(float(x) + CHARACTER * len(text) <= WIDTH for x, text in labels)
