"""Axes with round figures, shapes where they belong, tables with heads."""

from __future__ import annotations

import math

import pytest

from controller.sim.backtest.report_plot import DOT, FILL, LINE, Axis, Canvas, Column, bar_cell, figure, legend, scale, table


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (0.0, 100.0, ["0", "20", "40", "60", "80", "100\u00a0kW"]),
        (0.0, 0.41, ["0.0", "0.1", "0.2", "0.3", "0.4", "0.5\u00a0kW"]),
        (-30.0, 155.0, ["\u221250", "0", "50", "100", "150", "200\u00a0kW"]),
        (0.0, 0.0, ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0\u00a0kW"]),
        (math.nan, 1.0, ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0\u00a0kW"]),
    ],
)
def test_axes_have_round_figures(low: float, high: float, words: list[str]) -> None:
    assert [word for _, word in scale(low, high, "kW").ticks] == words


@pytest.mark.parametrize("high", [1e-3, 0.7, 3.0, 19.0, 999.0, 1e6])
def test_an_axis_holds_what_it_was_made_for(high: float) -> None:
    axis = scale(-high / 3.0, high)
    assert axis.low <= -high / 3.0
    assert axis.high >= high
    assert 3 <= len(axis.ticks) <= 9


def axes() -> Canvas:
    return Canvas(Axis(0.0, 10.0, ((0.0, "0"), (10.0, "10"))), Axis(0.0, 100.0, ((0.0, "0"), (100.0, "100"))))


def test_points_stand_where_their_values_say_and_never_outside() -> None:
    canvas = axes()
    canvas.line([(0.0, 0.0), (5.0, 50.0), (20.0, 500.0)], "x")
    assert 'd="M0,400 500,200 1000,0"' in canvas.html("alt")


def test_bars_and_steps_and_areas() -> None:
    canvas = axes()
    canvas.bar(2.0, 4.0, 0.0, 25.0, "cars", "2 < 4")
    canvas.steps([0.0, 5.0, 10.0], [10.0, 20.0], "s")
    canvas.area([0.0, 10.0], [0.0], [0.0], "nothing")
    html = canvas.html("alt")
    assert 'x="200" y="300" width="200" height="100"><title>2 &lt; 4</title>' in html
    assert 'd="M0,360 500,360 500,320 1000,320"' in html
    assert "nothing" not in html


def test_a_level_outside_is_not_drawn() -> None:
    canvas = axes()
    canvas.level(500.0, "limit", "limit 500")
    assert "limit 500" not in canvas.html("alt")
    canvas.level(50.0, "limit", "limit 50")
    assert '<span class="tag" style="bottom:50.0%">limit 50</span>' in canvas.html("alt")


def test_a_picture_has_its_words() -> None:
    keys = legend([("a", "A", FILL), ("b", "B", LINE), ("c", "C", DOT)])
    html = figure("Title <1>", "safe", axes().html('what "it" shows'), keys, "<p>numbers</p>")
    assert 'aria-label="what &quot;it&quot; shows"' in html
    assert "Title &lt;1&gt;" in html
    assert "<details>" in html
    assert html.count("<li>") == 3


def test_a_table_names_rows_and_columns() -> None:
    html = table("Cap", [Column("Row", False), Column("kW")], [["a", "1"], ["b", "2"]], marks=["ours"])
    assert html.count('scope="row"') == 2
    assert html.count('scope="col"') == 2
    assert '<td class="num" data-label="kW">1</td>' in html
    assert '<tr class="ours">' in html


@pytest.mark.parametrize(("value", "style"), [(50.0, "left:50.0%;width:25.0%"), (-100.0, "left:0.0%;width:50.0%"), (0.0, "left:50.0%;width:0.4%")])
def test_small_bars_begin_at_zero(value: float, style: str) -> None:
    assert style in bar_cell(-100.0, value, 100.0, "x")
