"""Rows on their way up: translated, settled in the right order, repeated, thinned, remembered."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from controller.config import UpstreamConfig
from controller.facts import OutboxRow, Stamp
from controller.link.replay import REPLAYS_PER_SECOND, SPACE, OurRow, Replay
from controller.link.transaction_ids import FIRST_LOCAL
from controller.ocpp import rpc
from controller.ocpp.dialect import RetryRules
from controller.ocpp.registry import dialect_for
from controller.orders import ForgetRows, LoadRows, Persist, Tell, UpdateRow
from tests.support.playbook import start_16, values_16

AT = Stamp(100.0, 1_790_000_000.0)
DIALECT = dialect_for("ocpp1.6")
assert DIALECT is not None
LOCAL = str(FIRST_LOCAL + 5)
UPSTREAM = UpstreamConfig(id="csms", url="ws://127.0.0.1/", queued_values=10)


def row(number: int, action: str = "MeterValues", payload: Any = None, **more: Any) -> OutboxRow:
    text = json.dumps([2, f"m{number}", action, payload if payload is not None else values_16(int(LOCAL), str(number))])
    return replace(OutboxRow(number, "CP1", LOCAL, action, text, 0.0, version="ocpp1.6"), **more)


def start(number: int = 1) -> OutboxRow:
    return row(number, "StartTransaction", start_16(), key="the start")


def replay(*rows: OutboxRow, last: str = LOCAL) -> Replay:
    made = Replay("CP1", UPSTREAM)
    assert made.restore(rows, {"ids": {"last": int(last), "mapped": []}, "retry": [None, None]}) == []
    return made


def sent(made: Replay, at: Stamp = AT) -> OurRow:
    outcomes, ours = made.next(at, DIALECT)
    assert outcomes == []
    assert ours is not None
    return ours


def test_a_start_goes_as_it_is_and_its_answer_names_the_rest() -> None:
    made = replay(start(), row(2))
    first = sent(made)
    assert first.request == start_16()
    remember, forget = made.accepted(first, {"transactionId": 17, "idTagInfo": {}}, DIALECT)
    assert isinstance(remember, Persist)
    assert remember.remember[(SPACE, "CP1")]["ids"]["mapped"] == [[LOCAL, "17", "the start", False]]
    assert forget == ForgetRows((1,))
    assert sent(made).request["transactionId"] == 17


def test_a_second_answer_changes_nothing() -> None:
    made = replay(start())
    first = sent(made)
    made.accepted(first, {"transactionId": 17}, DIALECT)
    assert made.accepted(first, {"transactionId": 18}, DIALECT) == []
    assert made.ids.to_csms(LOCAL) == "17"


def test_a_start_that_was_settled_when_the_power_failed_is_not_sent_again() -> None:
    made = Replay("CP1", UPSTREAM)
    memory = {"ids": {"last": int(LOCAL), "mapped": [[LOCAL, "17", "the start", False]]}, "retry": [None, None]}
    assert made.restore((start(), row(2)), memory) == [ForgetRows((1,))]
    assert sent(made).request["transactionId"] == 17


def test_a_damaged_memory_costs_the_ids_and_not_the_queue() -> None:
    made = Replay("CP1", UPSTREAM)
    (told,) = made.restore((row(2),), {"ids": 5})
    assert isinstance(told, Tell)
    assert len(made.outbox) == 1


def test_the_text_of_a_row_far_behind_is_read_first() -> None:
    made = replay(row(1, text=""))
    outcomes, ours = made.next(AT, DIALECT)
    assert (outcomes, ours) == ([LoadRows("CP1", (1,))], None)
    assert made.loaded((1,), [row(1)]) == []
    assert sent(made).number == 1


@pytest.mark.parametrize("text", ["[2,", "{}", '[3,"a",{}]', '[6,"a","X",{}]'])
def test_a_row_that_cannot_be_read_is_set_aside(text: str) -> None:
    made = replay(row(1, text=text))
    (update, told), ours = made.next(AT, DIALECT)
    assert (update, ours) == (UpdateRow(1, 0, True), None)
    assert isinstance(told, Tell)
    assert made.outbox.parked == 1


def test_no_more_than_a_few_rows_a_second() -> None:
    made = replay(*(row(number) for number in range(1, 20)))
    for number in range(1, REPLAYS_PER_SECOND + 1):
        assert sent(made).number == number
        made.outbox.done(number)
    assert made.next(AT, DIALECT) == ([], None)
    assert sent(made, replace(AT, mono_s=AT.mono_s + 1.0)).number == REPLAYS_PER_SECOND + 1


def error(code: str, description: str = "") -> rpc.Error:
    return rpc.Error("x", code, description, {}, "")


def test_refusals_follow_the_station_s_rules_where_it_has_any() -> None:
    made = replay(row(1))
    assert (made.retry.attempts, made.retry.interval_s) == (3, 30.0)
    made.learn(RetryRules(2, None))
    assert (made.retry.attempts, made.retry.interval_s) == (2, 30.0)
    ours = sent(made)
    assert made.refused(ours, error("InternalError"), AT, DIALECT) == [UpdateRow(1, 1, False)]
    update, told = made.refused(sent(made, replace(AT, mono_s=130.0)), error("InternalError"), AT, DIALECT)
    assert update == UpdateRow(1, 2, True)
    assert isinstance(told, Tell)


@pytest.mark.parametrize(("rules", "attempts", "interval_s"), [(RetryRules(0, -5.0), 1, 0.0), (RetryRules(10**9, 1e12), 100, 3600.0)])
def test_absurd_rules_are_bounded(rules: RetryRules, attempts: int, interval_s: float) -> None:
    made = replay()
    made.learn(rules)
    assert (made.retry.attempts, made.retry.interval_s) == (attempts, interval_s)


def test_an_action_the_csms_does_not_know_is_dropped_unless_money_is_in_it() -> None:
    made = replay(row(1, "SecurityEventNotification", {"type": "x", "timestamp": "2026-11-21T16:00:00Z"}, transaction_id=""), row(2))
    assert made.refused(sent(made), error("NotImplemented"), AT, DIALECT) == [ForgetRows((1,))]
    assert made.refused(sent(made), error("NotImplemented"), AT, DIALECT) == [UpdateRow(2, 1, False)]


def test_thinning_is_told_once_and_counted_when_the_csms_is_back() -> None:
    made = replay()
    outcomes = [outcome for number in range(1, 40) for outcome in made.stored([row(number, values_of=LOCAL)])]
    gone = sum(len(one.numbers) for one in outcomes if isinstance(one, ForgetRows))
    assert gone == 39 - len(made.outbox) > 20
    assert len([one for one in outcomes if isinstance(one, Tell)]) == 1
    *_, told = made.back(len(made.outbox))
    assert isinstance(told, Tell)
    assert f"{gone} periodic meter values were left out" in told.text
    (told,) = made.back(1)
    assert isinstance(told, Tell)
    assert "left out" not in told.text


def test_what_was_thinned_is_still_counted_after_a_restart() -> None:
    made, memory, gone = replay(), None, 0
    for number in range(1, 40):
        for one in made.stored([row(number, values_of=LOCAL)]):
            gone += len(one.numbers) if isinstance(one, ForgetRows) else 0
            memory = one.remember[("outage", "CP1")] if isinstance(one, Persist) else memory
    other = replay()
    assert other.restore((), json.loads(json.dumps(memory))) == []
    persist, told = other.back(0)
    assert isinstance(told, Tell)
    assert f"{gone} periodic meter values were left out" in told.text
    assert isinstance(persist, Persist)
    assert "thinned" not in persist.remember[("outage", "CP1")], "told once"


NEXT = str(FIRST_LOCAL + 6)


def two_sessions() -> Replay:
    """Of one connector: the first's last reading, and the start of the second."""
    return replay(row(1), replace(start(2), transaction_id=NEXT), row(3, payload=values_16(int(NEXT), "3"), transaction_id=NEXT), last=NEXT)


def test_a_start_waits_for_what_is_repeated_of_the_session_before() -> None:
    made = two_sessions()
    made.outbox.silent(sent(made).number, AT.mono_s)
    assert made.next(AT, DIALECT) == ([], None)
    later = Stamp(AT.mono_s + 31.0, AT.wall_s + 31.0)
    first = sent(made, later)
    assert first.number == 1
    made.accepted(first, {}, DIALECT)
    assert sent(made, later).number == 2


def test_a_start_of_another_evse_does_not() -> None:
    made = two_sessions()
    made.may_follow = lambda event, waiting: (event.evse_id, set(waiting)) == (1, {LOCAL})
    made.outbox.silent(sent(made).number, AT.mono_s)
    assert sent(made).number == 2
