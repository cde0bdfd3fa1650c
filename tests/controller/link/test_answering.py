"""What a station hears: after the disk, the same again, under every id it asked with, or an honest error."""

from __future__ import annotations

import json
from itertools import count
from typing import Any

from controller.config import UpstreamConfig
from controller.facts import Fact, Stamp
from controller.link.answering import Answering, Hooks
from controller.link.policy import Verb
from controller.link.replay import SPACE, Replay
from controller.ocpp import rpc
from controller.ocpp.dialect import Payload
from controller.ocpp.registry import dialect_for
from controller.orders import CloseStation, Order, Persist, SendStation
from tests.support.playbook import BOOT_16, start_16, values_16

AT = Stamp(100.0, 1_790_000_000.0)
KNOWN = {"AABBCC": {"status": "Accepted"}}


class Desk:
    """An ``Answering`` and what its hooks heard."""

    def __init__(self, keeps: bool = True, version: str = "ocpp1.6") -> None:
        self.heard: list[tuple[str, ...]] = []
        upstream = UpstreamConfig(id="csms", url="ws://127.0.0.1/") if keeps else None
        hooks = Hooks(self._boot, self._started, lambda at, transaction_id: [])
        tokens = count(1)
        self.it = Answering("CP1", keeps, Replay("CP1", upstream), lambda: next(tokens), self._lookup, hooks)
        dialect = dialect_for(version)
        assert dialect is not None
        self.it.connected(1, dialect)

    def _lookup(self, token: Payload, at: Stamp) -> Payload | None:
        return KNOWN.get(token["idToken"])

    def _boot(self, at: Stamp, text: str) -> list[Order | Fact]:
        self.heard.append(("boot", json.loads(text)[2]["status"]))
        return []

    def _started(self, at: Stamp, call: rpc.Call, transaction_id: str) -> list[Order | Fact]:
        self.heard.append(("started", transaction_id))
        return []

    def call(self, message_id: str, action: str, payload: Any) -> rpc.Call:
        frame = rpc.parse(json.dumps([2, message_id, action, payload]), version=self.it.version)
        assert isinstance(frame, rpc.Call)
        return frame

    def written(self, token: int = 1) -> list[list[Any]]:
        """The disk has it: what goes down."""
        return sent(self.it.persisted(AT, self.it.held.pop(token)))


def sent(outcomes: list[Order | Fact]) -> list[list[Any]]:
    return [json.loads(one.text) for one in outcomes if isinstance(one, SendStation)]


def test_a_held_start_waits_for_the_disk_and_its_id_is_written_with_it() -> None:
    desk = Desk()
    (order,) = desk.it.local(AT, desk.call("s", "StartTransaction", start_16()), Verb.HOLD)
    assert isinstance(order, Persist)
    (row,) = order.rows
    assert order.remember[(SPACE, "CP1")]["ids"]["last"] == int(row.transaction_id)
    assert (row.version, row.values_of, len(row.key)) == ("ocpp1.6", "", 16)
    assert desk.heard == []
    assert desk.it.holds(row.transaction_id)
    assert desk.written() == [[3, "s", {"idTagInfo": {"status": "Accepted"}, "transactionId": int(row.transaction_id)}]]
    assert desk.heard == [("started", row.transaction_id)]
    assert not desk.it.holds(row.transaction_id)


def test_a_site_without_csms_writes_the_id_and_no_row() -> None:
    desk = Desk(keeps=False)
    (order,) = desk.it.local(AT, desk.call("s", "StartTransaction", start_16()), Verb.ANSWER)
    assert isinstance(order, Persist)
    assert order.rows == ()
    assert (SPACE, "CP1") in order.remember


def test_readings_are_marked_with_what_they_belong_to() -> None:
    desk = Desk()
    orders = [*desk.it.local(AT, desk.call("a", "MeterValues", values_16(7)), Verb.HOLD)]
    orders += desk.it.local(AT, desk.call("b", "MeterValues", values_16(None, connector_id=3)), Verb.HOLD)
    assert [order.rows[0].values_of for order in orders if isinstance(order, Persist)] == ["7", "evse 3"]
    assert [order.rows[0].transaction_id for order in orders if isinstance(order, Persist)] == ["7", ""]


def test_a_repeat_is_answered_like_the_first_on_this_connection_and_the_next() -> None:
    desk = Desk()
    desk.it.local(AT, desk.call("a", "MeterValues", values_16(7)), Verb.HOLD)
    assert desk.it.again(AT, desk.call("b", "MeterValues", values_16(7))) == []
    assert desk.it.again(AT, desk.call("c", "MeterValues", values_16(7, "other"))) is None
    assert desk.it.dialect is not None
    desk.it.connected(2, desk.it.dialect)
    assert desk.it.again(AT, desk.call("d", "MeterValues", values_16(7))) == []
    assert desk.written() == [[3, "d", {}]], "the first connection is gone"
    again = desk.it.again(AT, desk.call("e", "MeterValues", values_16(7)))
    assert again is not None
    assert sent(again) == [[3, "e", {}]]


def test_what_the_csms_answers_is_remembered_by_content_only_if_it_starts_a_transaction() -> None:
    desk = Desk()
    reading, start = desk.call("a", "MeterValues", values_16(7)), desk.call("s", "StartTransaction", start_16())
    desk.it.result(AT, reading, desk.it.about(reading), '[3,"a",{}]', live=True)
    desk.it.result(AT, start, desk.it.about(start), '[3,"s",{"transactionId":5}]', "5", live=True)
    assert desk.it.again(AT, desk.call("b", "MeterValues", values_16(7))) is None
    assert desk.it.again(AT, desk.call("a", "MeterValues", values_16(7))) is not None
    again = desk.it.again(AT, desk.call("t", "StartTransaction", start_16()))
    assert again is not None
    assert sent(again) == [[3, "t", {"transactionId": 5}]]


def test_an_answer_goes_down_under_every_id_and_an_error_too() -> None:
    desk = Desk()
    call = desk.call("a", "Heartbeat", {})
    assert [frame[1] for frame in sent(desk.it.result(AT, call, desk.it.about(call), '[3,"a",{}]', also=("b",)))] == ["a", "b"]
    frame = rpc.Error("-1", "GenericError", "no", {}, '[4,"-1","GenericError","no",{}]')
    assert [one[:3] for one in sent(desk.it.refusal(AT, call, frame, ("b",)))] == [[4, "a", "GenericError"], [4, "b", "GenericError"]]


def test_without_an_answer_of_its_own_the_station_hears_that_the_csms_is_away() -> None:
    desk = Desk()
    (answer,) = sent(desk.it.local(AT, desk.call("x", "Unheard", {}), Verb.ANSWER))
    assert answer[:3] == [4, "x", "GenericError"]
    (answer,) = sent(desk.it.local(AT, desk.call("h", "Heartbeat", {}), Verb.REFUSE))
    assert answer[:3] == [4, "h", "GenericError"]


def test_the_session_hears_of_boots() -> None:
    desk = Desk()
    desk.it.local(AT, desk.call("b", "BootNotification", BOOT_16), Verb.ANSWER)
    assert desk.heard == [("boot", "Accepted")]


def test_f73_what_the_disk_refuses_closes_the_socket_it_came_on_and_no_other() -> None:
    desk = Desk()
    for name in ("a", "b"):
        desk.it.local(AT, desk.call(name, "MeterValues", values_16(7, name)), Verb.HOLD)
    first, second = desk.it.held.pop(1), desk.it.held.pop(2)
    assert [one.code for one in desk.it.failed(first) if isinstance(one, CloseStation)] == [1013]
    assert desk.it.persisted(AT, second) == [], "nothing later is acknowledged on a socket that closes"
    assert desk.it.dialect is not None
    desk.it.connected(2, desk.it.dialect)
    assert [one for one in desk.it.failed(first) if isinstance(one, CloseStation)] == []
