"""Response codes of IEEE 2030.5-2018 table 27 and the ledger that keeps each to once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signals.csip_answers import GIVE_UP_S, KEEP_S, Ledger, Waiting, code, wanted
from signals.csip_schedule import Reply

REPLY = Reply("/rsp", 3, "AA", start_s=1000.0, end_s=2000.0, created_s=10.0)


@pytest.mark.parametrize(
    ("what", "number"),
    [("received", 1), ("started", 2), ("completed", 3), ("cancelled", 6), ("superseded", 14), ("partial", 8), ("rejected", 253), ("opted in", None)],
)
def test_codes(what: str, number: int | None) -> None:
    assert code(what, REPLY) == number


def test_superseded_by_the_same_program_is_7_and_by_another_14() -> None:
    later = Reply("/rsp", 3, "AA", start_s=1500.0, end_s=2500.0, created_s=20.0)
    foreign = Reply("/rsp", 3, "BB", start_s=1500.0, end_s=2500.0, created_s=20.0)
    elsewhen = Reply("/rsp", 3, "AA", start_s=2000.0, end_s=2500.0, created_s=20.0)
    assert code("superseded", REPLY, [REPLY, later]) == 7
    assert code("superseded", REPLY, [REPLY, foreign]) == 14
    assert code("superseded", REPLY, [REPLY, elsewhen]) == 14


def test_what_the_server_superseded_is_not_called_cancelled() -> None:
    assert code("cancelled", Reply("/rsp", 3, "AA", superseded=True)) == 7
    assert code("superseded", Reply("/rsp", 3, "AA", superseded=True)) == 7


def test_a_control_done_in_part_is_not_called_complete() -> None:
    assert code("completed", Reply("/rsp", 3, "AA", partly=True)) == 8


@pytest.mark.parametrize(
    ("number", "required", "asked"),
    [
        (1, 1, True),
        (1, 2, False),
        (2, 2, True),
        (2, 1, False),
        (3, 3, True),
        (6, 2, True),
        (252, 1, True),
        (254, 2, True),
        (254, 4, False),
        (8, 4, True),
        (3, 4, False),
    ],
)
def test_what_response_required_asks_for(number: int, required: int, asked: bool) -> None:
    assert wanted(number, required) is asked


def test_each_response_waits_once_in_order() -> None:
    ledger = Ledger()
    assert ledger.offer("01", 1, REPLY, 500.0, 400.0)
    assert not ledger.offer("01", 1, REPLY, 501.0, 401.0)
    assert ledger.offer("01", 2, REPLY, 1000.0, 900.0)
    first = ledger.next()
    assert first == Waiting("01", 1, "/rsp", 500, 400.0)
    assert first is not None
    ledger.done(first)
    second = ledger.next()
    assert second is not None
    assert second.code == 2
    ledger.done(second)
    assert ledger.next() is None
    assert ledger.known() == {"01"}


def test_nothing_follows_an_end() -> None:
    ledger = Ledger()
    ledger.offer("01", 6, REPLY, 0, 0)
    assert not ledger.offer("01", 3, REPLY, 0, 0)
    assert not ledger.offer("01", 2, REPLY, 0, 0)


def test_what_nobody_asks_for_is_remembered_but_not_sent() -> None:
    ledger = Ledger()
    ledger.offer("01", 1, Reply("/rsp", 0, "AA"), 0, 0)
    ledger.offer("02", 1, Reply(None, 3, "AA"), 0, 0)
    assert ledger.next() is None
    assert ledger.known() == {"01", "02"}


def test_a_restart_keeps_everything() -> None:
    ledger = Ledger()
    ledger.offer("01", 1, REPLY, 500.0, 400.0)
    ledger.offer("01", 2, REPLY, 600.0, 500.0)
    waiting = ledger.next()
    assert waiting is not None
    ledger.done(waiting)
    again = Ledger.of(ledger.text())
    assert again.text() == ledger.text()
    assert not again.offer("01", 1, REPLY, 700.0, 600.0)
    found = again.next()
    assert found is not None
    assert found.code == 2


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"highest": 0, "said": {"a": []}, "waiting": []}',
        '{"highest": 0, "said": {}, "waiting": [{}]}',
        '{"highest": 0, "said": 5, "waiting": []}',
        "\x00",
    ],
)
def test_a_ledger_that_is_none_is_told(text: str) -> None:
    with pytest.raises(ValueError, match="no ledger"):
        Ledger.of(text)


def test_versions_only_rise() -> None:
    ledger = Ledger()
    assert ledger.number(1_700_000_000.5) == 1_700_000_000
    assert ledger.number(1_700_000_000.9) == 1_700_000_001
    again = Ledger.of(ledger.text())
    assert again.number(1_600_000_000.0) == 1_700_000_002  # the server's clock was set back meanwhile
    assert again.number(1_800_000_000.0) == 1_800_000_000


def test_old_entries_go_and_those_the_server_lists_stay() -> None:
    ledger = Ledger()
    ledger.offer("01", 1, REPLY, 0, 0.0)
    ledger.offer("02", 1, REPLY, 0, 0.0)
    assert not ledger.tidy(100.0, frozenset())
    assert ledger.tidy(GIVE_UP_S + 1, frozenset({"01"}))  # nobody waits a day
    assert ledger.next() is None
    assert ledger.tidy(KEEP_S + 1, frozenset({"01"}))
    assert ledger.known() == {"01"}


def test_the_ledger_is_bounded() -> None:
    ledger = Ledger()
    for number in range(2500):
        ledger.offer(f"{number:X}", 1, REPLY, 0, float(number))
    ledger.tidy(2500.0, frozenset())
    assert len(ledger.known()) == 2000
    assert "9C3" in ledger.known()  # 2499, the newest
    assert "0" not in ledger.known()


@given(st.text(max_size=200))
def test_any_file_is_a_ledger_or_a_value_error(text: str) -> None:
    try:
        Ledger.of(text)
    except ValueError:
        return


def test_what_was_tried_is_known_over_a_restart() -> None:
    ledger = Ledger()
    ledger.offer("AA", 1, REPLY, 1000.0, 990.0)
    waiting = ledger.next()
    assert waiting is not None
    assert not waiting.tried
    tried = ledger.tried(waiting, True)
    assert Ledger.of(ledger.text()).next() == tried
    untried = ledger.tried(tried, False)
    assert ledger.next() == untried == waiting
    ledger.done(untried)
    assert ledger.next() is None
