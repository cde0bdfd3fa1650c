"""One record, one line: columns, colours, cut to the terminal, nothing that could do something to it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from controller.tools.lines import Lines, payload_text, printable, second_half

WALL_S = 1_790_000_000.25


def record(**changes: Any) -> dict[str, Any]:
    base = {
        "wall_s": WALL_S,
        "mono_s": 5.0,
        "station": "CP1",
        "leg": "station",
        "way": "up",
        "kind": "CALL",
        "action": "Heartbeat",
        "id": "3f2a91c0-1111",
        "did": "relayed",
        "text": '[2,"3f2a91c0-1111","Heartbeat",{"a":1}]',
        "hidden": False,
    }
    return {**base, **changes}


def test_the_columns() -> None:
    words = Lines().line(record()).split()
    assert words[0].endswith(".250")
    assert words[1:] == ["CP1", "station", "→", "CALL", "Heartbeat", "3f2a91c0", "relayed", '{"a":1}']


@pytest.mark.parametrize(
    ("leg", "way", "arrow"),
    [
        ("station", "up", "station →"),
        ("station", "down", "→ station"),
        ("csms", "down", "csms →"),
        ("csms", "up", "→ csms"),
        ("mirror:b", "up", "→ mirror:b"),
        ("mirror:b", "down", "mirror:b →"),
    ],
)
def test_who_speaks_to_whom(leg: str, way: str, arrow: str) -> None:
    assert f" {arrow} " in Lines().line(record(leg=leg, way=way))


def test_a_line_fits_the_terminal() -> None:
    long = record(text=json.dumps([2, "x", "Heartbeat", {"a": "x" * 500}]))
    for width in (60, 90, 120, 200):
        assert len(Lines(width=width).line(long)) <= max(width, 90)
    assert Lines(width=120).line(long).endswith("…")
    assert "x" * 500 in Lines().line(long)


def test_colours_only_when_wanted_and_they_take_no_room() -> None:
    long = record(text=json.dumps([2, "x", "Heartbeat", {"a": "x" * 500}]))
    plain, painted = Lines(width=120).line(long), Lines(width=120, color=True).line(long)
    assert "\x1b" not in plain
    assert "\x1b[36m" in painted
    while "\x1b" in painted:
        head, _, rest = painted.partition("\x1b")
        painted = head + rest.partition("m")[2]
    assert painted == plain


@pytest.mark.parametrize("nasty", ["\x1b[2J", "\x9b31m", "\r\n", "\x00", "\u202e", "\ud800"])
def test_nothing_a_station_says_reaches_the_terminal_raw(nasty: str) -> None:
    fields = record(
        station=f"C{nasty}P",
        action=f"Beat{nasty}",
        id=f"i{nasty}d",
        text=json.dumps([2, "x", "y", {"a": nasty}], ensure_ascii=False),
    )
    broken = record(kind="BROKEN", text=f"[2,{nasty}")
    closed = record(kind="CLOSED", text=nasty, version=nasty, path=nasty)
    for one in (fields, broken, closed):
        assert nasty not in Lines().line(one)


def test_an_error_says_its_code_and_words() -> None:
    text = '[4,"x","NotSupported","no such thing",{"a":1}]'
    assert payload_text(record(kind="ERROR", text=text)) == 'NotSupported: no such thing {"a":1}'
    assert payload_text(record(kind="ERROR", text='[4,"x","NotSupported","",{}]')) == "NotSupported: "
    assert payload_text(record(kind="ERROR", text='[4,"x","GenericError"]')) == "GenericError: "


def test_connections_lost_records_and_waiting() -> None:
    line = Lines().line(record(kind="OPENED", text="10.0.0.7", version="ocpp1.6", path="/CP1"))
    assert line.endswith("connected   10.0.0.7, version ocpp1.6, path /CP1")
    assert "17 records left out" in Lines().line({"lost": 17})
    assert "(waited 2.500 s)" in Lines().line(record(waited_s=2.5))


def test_what_only_repeats() -> None:
    assert second_half(record(leg="csms"))
    assert not second_half(record())
    assert not second_half(record(leg="csms", waited_s=1.0)), "it was not shown as relayed before"
    assert not second_half(record(leg="csms", did="ours"))
    assert not second_half({"lost": 3})


def test_printable_keeps_what_people_can_read() -> None:
    assert printable("Müller → 東京") == "Müller → 東京"
