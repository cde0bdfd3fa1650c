"""How numbers and times read."""

from __future__ import annotations

from dataclasses import replace

import pytest

from controller.sim.backtest.report_words import (
    energy,
    hours,
    kind_of,
    money,
    name_of,
    number,
    percent,
    plain_unit,
    power,
    rate,
    span_words,
    text,
    when_words,
    zone_of,
)
from tests.support.garage_month import month

GAP = "\u00a0"


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (number(-1234.5, 1), "\u22121,234.5"),
        (number(-0.04, 1), "0.0"),
        (number(float("nan")), "\u2013"),
        (money(1234.4, "EUR"), f"1,234{GAP}EUR"),
        (money(99.996, "EUR"), f"100{GAP}EUR"),
        (money(-5.2, "USD"), f"\u22125.20{GAP}USD"),
        (rate(0.27), "0.27"),
        (rate(0.2705), "0.2705"),
        (rate(0.275), "0.275"),
        (rate(-0.01), "\u22120.01"),
        (energy(940.0), f"0.9{GAP}kWh"),
        (energy(123_456.0), f"123{GAP}kWh"),
        (energy(123_456_789.0), f"123{GAP}MWh"),
        (power(99_960.0), f"100{GAP}kW"),
        (power(5_500.0), f"5.5{GAP}kW"),
        (percent(99.96), f"99.96{GAP}%"),
        (percent(100.0), f"100{GAP}%"),
        (percent(12.34), f"12.3{GAP}%"),
        (hours(0.0), "0"),
        (hours(40.0), f"40{GAP}s"),
        (hours(1500.0), f"25{GAP}min"),
        (hours(45_000.0), f"12.5{GAP}h"),
        (hours(720_000.0), f"200{GAP}h"),
        (plain_unit("<b>E\u20acUR & more"), "bE\u20acURmor"),
        (plain_unit("<>"), "?"),
        (text(f"1{GAP}kW"), f"1{GAP}kW"),
        (text("a<b>\"&'\x07"), "a&lt;b&gt;&quot;&amp;&#x27; "),
    ],
)
def test_numbers_read_like_this(said: str, words: str) -> None:
    assert said == words


@pytest.mark.parametrize(
    ("policy", "kind", "name"),
    [
        ("uncontrolled", "uncontrolled", "Uncontrolled"),
        ("Round robin", "round-robin", "In turns"),
        ("least laxity", "llf", "Least time to spare first"),
        ("earliest deadline", "edf", "Earliest departure first"),
        ("first come", "first-come", "First come, first served"),
        ("ours_v2g", "ours-v2g", "Yardmaster with V2G"),
        ("perfect foresight", "bound", "Perfect foresight"),
        ("my own", "my-own", "my own"),
    ],
)
def test_policies_have_names(policy: str, kind: str, name: str) -> None:
    assert kind_of(policy) == kind
    assert name_of(policy) == name


@pytest.mark.parametrize(
    ("begin", "end", "words"),
    [
        (1_551_394_800.0, 1_554_069_600.0, "March 2019"),
        (1_546_297_200.0, 1_577_833_200.0, "2019"),
        (1_551_394_800.0, 1_551_394_800.0 + 86_400.0, "1 March 2019"),
        (1_551_394_800.0, 1_551_394_800.0 + 14 * 86_400.0, "1 March to 14 March 2019"),
        (1_546_297_200.0 - 86_400.0, 1_546_297_200.0 + 86_400.0, "31 December 2018 to 1 January 2019"),
        (1_551_394_800.0, 1_551_394_800.0, "1 March 2019"),
    ],
)
def test_spans(begin: float, end: float, words: str) -> None:
    span = replace(month(1, 0), start_wall_s=begin, end_wall_s=end)
    assert span_words(span) == words
    assert when_words(span).split(" ", 1)[1] == words
    assert when_words(span).split(" ", 1)[0] == ("from" if " to " in words else "on" if words[0] == "1" else "in")


def test_an_unknown_zone_is_utc() -> None:
    assert str(zone_of(replace(month(1, 0), timezone="Mars/Olympus"))) == "UTC"
