"""What answers of the CSMS settle, in time and late."""

from __future__ import annotations

import json
from itertools import count
from typing import Any

from controller.config import UpstreamConfig
from controller.facts import Fact, OutboxRow, Stamp
from controller.link.answering import Answering, Hooks
from controller.link.held import Held, Relay
from controller.link.lane import Priority, Waiting
from controller.link.owed import OurBoot, OurStatus, Owed
from controller.link.replay import OurRow, Replay
from controller.link.settling import LATE_ROWS_KEPT, Settling
from controller.ocpp import rpc
from controller.ocpp.ledger import Owner
from controller.ocpp.registry import dialect_for
from controller.orders import ForgetRows, Order, Persist, SendStation
from tests.support.playbook import BOOT_16, start_16, stop_16, values_16

AT = Stamp(100.0, 1_790_000_000.0)


class Side:
    """A ``Settling`` of a 1.6 station and all it works on."""

    def __init__(self, stop_invalid: bool = True) -> None:
        self.unwanted: list[str] = []
        self.learnt: list[tuple[str, str]] = []
        tokens = count(1)
        hooks = Hooks(lambda at, text: [], lambda at, call, transaction_id: [], self._unwanted)
        self.replay = Replay("CP1", UpstreamConfig(id="csms", url="ws://127.0.0.1/"))
        self.answers = Answering("CP1", True, self.replay, lambda: next(tokens), lambda token, at: None, hooks)
        self.owed = Owed("CP1")
        dialect = dialect_for("ocpp1.6")
        assert dialect is not None
        self.answers.connected(1, dialect)
        self.it = Settling(self.answers, self.replay, self.owed, self._learn, hooks, stop_invalid)

    def _unwanted(self, at: Stamp, transaction_id: str) -> list[Order | Fact]:
        self.unwanted.append(transaction_id)
        return []

    def _learn(self, token: dict[str, Any], info: dict[str, Any], wall_s: float) -> dict[tuple[str, str], Any]:
        self.learnt.append((token["idToken"], info["status"]))
        return {("token", token["idToken"]): info}

    def relay(self, action: str, payload: dict[str, Any], message_id: str = "a") -> Waiting:
        frame = rpc.parse(json.dumps([2, message_id, action, payload]), version="ocpp1.6")
        assert isinstance(frame, rpc.Call)
        return waiting(Relay(frame, self.answers.about(frame)), message_id)

    def row(self, number: int, action: str, payload: dict[str, Any], transaction_id: str) -> Waiting:
        self.replay.outbox.add([OutboxRow(number, "CP1", transaction_id, action, "[]", 0.0, version="ocpp1.6")])
        return waiting(OurRow(number, action, payload, transaction_id, ""), "a")


def waiting(note: object, message_id: str) -> Waiting:
    return Waiting(message_id, "", "", Owner.PEER, Priority.RELAYED, 0.0, note)


def result(payload: dict[str, Any], message_id: str = "a") -> rpc.Result:
    return rpc.Result(message_id, payload, rpc.result_text(message_id, payload))


BLOCKED = {"idTagInfo": {"status": "Blocked"}, "transactionId": 17}


def test_a_live_answer_goes_down_and_teaches_what_it_says_of_the_driver() -> None:
    side = Side()
    outcomes = side.it.answered(AT, side.relay("Authorize", {"idTag": "A"}), result({"idTagInfo": {"status": "Blocked"}}))
    assert [one.text for one in outcomes if isinstance(one, SendStation)] == ['[3,"a",{"idTagInfo":{"status":"Blocked"}}]']
    assert side.learnt == [("A", "Blocked")]
    assert side.unwanted == []


def test_a_queued_start_with_an_unwanted_driver_is_told_once() -> None:
    for stop in (True, False):
        side = Side(stop_invalid=stop)
        item = side.row(1, "StartTransaction", start_16(), "2140000001")
        assert ForgetRows((1,)) in side.it.answered(AT, item, result(BLOCKED))
        side.it.answered(AT, item, result(BLOCKED))
        assert side.unwanted == (["2140000001"] if stop else [])


def test_the_end_of_a_mapped_transaction_is_written() -> None:
    side = Side()
    local = side.replay.ids.fresh(AT)
    side.replay.ids.settle(local, "17", "k")
    outcomes = side.it.answered(AT, side.relay("StopTransaction", stop_16(int(local))), result({}))
    assert [type(one) for one in outcomes] == [SendStation, Persist]
    assert side.replay.ids.starts() == []


def test_a_late_answer_finds_the_row_of_its_message_and_no_other() -> None:
    side = Side()
    item = side.relay("MeterValues", values_16(7))
    call = item.note.call("ocpp1.6")
    stored = OutboxRow(5, "CP1", "7", "MeterValues", "[]", 0.0, version="ocpp1.6")
    side.replay.outbox.add([stored])
    assert side.it.stored(AT, Held(call, item.note.about, "", "7", relay=item.note), stored) == []
    assert side.replay.outbox.next(AT.mono_s) is None, "the CSMS gets time to answer"
    assert side.it.late(AT, side.relay("MeterValues", values_16(7)), result({})) == [], "another message under the same id"
    assert side.it.late(AT, item, result({})) == [ForgetRows((5,))]
    assert side.it.late(AT, item, result({})) == []


def test_a_late_answer_before_the_disk_is_kept_with_the_message() -> None:
    side = Side()
    item = side.relay("MeterValues", values_16(7))
    held = Held(item.note.call("ocpp1.6"), item.note.about, "", "7", relay=item.note)
    side.answers.held[1] = held
    assert side.it.late(AT, item, result({"x": 1})) == []
    assert held.taken == {"x": 1}
    stored = OutboxRow(5, "CP1", "7", "MeterValues", "[]", 0.0, version="ocpp1.6")
    side.replay.outbox.add([stored])
    assert side.it.stored(AT, held, stored) == [ForgetRows((5,))]


def test_a_late_answer_nobody_waits_for_still_teaches() -> None:
    side = Side()
    (remember,) = side.it.late(AT, side.relay("Authorize", {"idTag": "A"}), result({"idTagInfo": {"status": "Accepted"}}))
    assert isinstance(remember, Persist)
    assert side.learnt == [("A", "Accepted")]


def test_late_rows_are_bounded_and_gone_with_the_leg() -> None:
    side = Side()
    for number in range(100):
        item = side.relay("MeterValues", values_16(7, str(number)), str(number))
        row = OutboxRow(number + 1, "CP1", "7", "MeterValues", "[]", 0.0)
        side.it.stored(AT, Held(item.note.call("ocpp1.6"), item.note.about, "", "7", relay=item.note), row)
    assert len(side.it._late_rows) == LATE_ROWS_KEPT
    side.it.forget_leg()
    assert len(side.it._late_rows) == 0


def test_what_was_told_in_the_station_s_name_is_owed_no_more() -> None:
    side = Side()
    side.owed.set_boot(BOOT_16)
    side.it.answered(AT, waiting(OurBoot(), "a"), result({"status": "Pending"}))
    assert side.owed.boot is not None
    assert not side.owed.boot_due(AT)
    assert [type(one) for one in side.it.answered(AT, waiting(OurBoot(), "a"), result({"status": "Accepted"}))] == [Persist]
    assert side.owed.boot is None
    status = {"status": "Available"}
    side.owed.status((1, 1), status)
    side.it.answered(AT, waiting(OurStatus((1, 1), status), "a"), result({}))
    assert len(side.owed) == 0
