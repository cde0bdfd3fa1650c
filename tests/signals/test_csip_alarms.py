"""DER alarms: CSIP 4.6.3 and table 14 of 5.2.5.3, at 230 V with the bounds of EN 50160 (10 %)."""

from __future__ import annotations

import json

import pytest

from signals.csip_alarms import HOLD_S, MOST_WAITING, REFUSED, Alarms, LogEvent, document_of
from signals.csip_xml import parse_as

HIGH, LOW, GOOD = 253.1, 206.9, 230.0


def seen(alarms: Alarms, voltage_v: float, from_s: float, seconds: float) -> list[int]:
    """Codes that come while a voltage lasts; the server's clock is 1000 s ahead."""
    before = len(alarms.waiting)
    for second in range(int(seconds) + 1):
        alarms.see(voltage_v, from_s + second, from_s + second + 1000)
    return [event.code for event in alarms.waiting[before:]]


@pytest.mark.parametrize(("voltage_v", "code", "bit"), [(HIGH, 2, 0b010), (LOW, 4, 0b100)])
def test_an_alarm_comes_when_it_lasts_and_goes_when_it_is_over(voltage_v: float, code: int, bit: int) -> None:
    alarms = Alarms(230.0)
    assert seen(alarms, voltage_v, 0, HOLD_S - 1) == []
    assert seen(alarms, voltage_v, 10, 0) == [code]
    assert alarms.bits == bit
    assert alarms.waiting[0] == LogEvent(0, code, 1010, f"{voltage_v:.1f} V")
    assert seen(alarms, voltage_v, 11, 60) == [], "once"
    assert seen(alarms, GOOD, 80, 9) == []
    assert seen(alarms, GOOD, 90, 0) == [code + 1]
    assert alarms.bits == 0
    assert [event.number for event in alarms.waiting] == [0, 1]


def test_a_dip_that_is_short_and_a_voltage_at_the_bound_are_no_alarms() -> None:
    alarms = Alarms(230.0)
    for start in range(0, 100, 10):
        assert seen(alarms, LOW, start, 5) == []
        assert seen(alarms, GOOD, start + 6, 3) == []
    assert seen(alarms, 252.9, 200, 60) == []
    assert seen(alarms, 207.1, 300, 60) == []


def test_it_does_not_flicker_between_the_bounds() -> None:
    """Back is 9 %, not 10: 251 V keeps an alarm that is there and begins none."""
    alarms = Alarms(230.0)
    assert seen(alarms, 251.0, 0, 60) == []
    assert seen(alarms, HIGH, 100, 10) == [2]
    assert seen(alarms, 251.0, 120, 60) == []
    assert alarms.bits == 0b010


def test_from_high_to_low_both_are_told() -> None:
    alarms = Alarms(230.0)
    assert seen(alarms, HIGH, 0, 10) == [2]
    assert seen(alarms, LOW, 20, 10) == [3, 4]


def test_no_reading_and_no_nominal_voltage_say_nothing() -> None:
    alarms = Alarms(230.0)
    seen(alarms, HIGH, 0, 5)
    assert not alarms.see(None, 100, 1100)
    assert not Alarms(0.0).see(400.0, 0, 0)


def test_a_clock_that_is_set_back_raises_nothing_early() -> None:
    alarms = Alarms(230.0)
    assert seen(alarms, HIGH, 1000, 5) == []
    assert seen(alarms, HIGH, 500, 8) == []


def test_it_outlives_a_restart() -> None:
    alarms = Alarms(230.0)
    seen(alarms, HIGH, 0, 10)
    again = Alarms(230.0)
    again.remember(alarms.text())
    assert (again.bits, again.waiting) == (alarms.bits, alarms.waiting)
    again.told(again.waiting[0])
    assert again.waiting == []
    assert seen(again, GOOD, 100, 10) == [3]
    assert again.waiting[0].number == 1


NONE = ["", "{", "[]", "null", '{"bits": 1}', '{"bits": "x", "next": 0, "waiting": []}', '{"bits": 0, "next": 0, "waiting": [7]}']


@pytest.mark.parametrize("text", NONE)
def test_what_is_no_memory_is_refused(text: str) -> None:
    alarms = Alarms(230.0)
    with pytest.raises(ValueError, match=r"no alarms|Expecting|invalid literal"):
        alarms.remember(text)
    assert (alarms.bits, alarms.waiting) == (0, [])


def test_numbers_have_16_bits_and_the_queue_an_end() -> None:
    alarms = Alarms(230.0)
    alarms.remember(json.dumps({"bits": 0, "next": 65_535, "waiting": []}))
    for start in range(0, 30 * 2 * MOST_WAITING, 30):
        seen(alarms, HIGH if start % 60 == 0 else GOOD, start, 12)
    assert len(alarms.waiting) == MOST_WAITING
    assert max(event.number for event in alarms.waiting) < 65_536


def test_the_document() -> None:
    """LogEvent of sep.xsd: its elements in order; details has 32 characters at most."""
    root = parse_as(document_of(LogEvent(7, 2, 1_700_000_000, "x" * 40)), "LogEvent")
    told = [(child.tag, child.text) for child in root.children]
    assert told == [
        ("createdDateTime", "1700000000"),
        ("details", "x" * 32),
        ("functionSet", "11"),
        ("logEventCode", "2"),
        ("logEventID", "7"),
        ("logEventPEN", "40732"),
        ("profileID", "2"),
    ]


def test_every_alarm_of_the_table_is_told_or_refused() -> None:
    """Table 14 has eleven: two are told."""
    assert len(REFUSED) == 9
