"""What the tap says about each frame, and that no password leaves it (A01.FR.09, A01.FR.12)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.facts import (
    Fact,
    OutboxRow,
    Persisted,
    Stamp,
    StationClosed,
    StationConnected,
    StationFrame,
    StationRefused,
    TimePassed,
    UpstreamClosed,
    UpstreamFrame,
    UpstreamOpened,
)
from controller.io.links.tap_reading import CALLS_KEPT, Reader, Seen, Wires, broken_view
from controller.link.ids import IdSource
from controller.orders import CloseStation, CloseUpstream, DialUpstream, Order, Persist, SendStation, SendUpstream
from tests.support.examples import examples

SECRET = "hunter2-hunter2-hunter2"
KEY = "0123456789abcdef0123456789abcdef01234567"


class Wire:
    """A reader, and what it said about each step."""

    def __init__(self, version: str = "ocpp2.0.1", wires: Wires | None = None) -> None:
        self.mono_s = 100.0
        self.reader = Reader(wires or Wires({("CP1", "station"): version}))

    @property
    def at(self) -> Stamp:
        return Stamp(self.mono_s, 1_790_000_000.0 + self.mono_s)

    def step(self, fact: Fact, *orders: Order) -> list[Seen]:
        return list(self.reader.read(fact, orders))

    def up(self, text: str, *orders: Order) -> list[Seen]:
        return self.step(StationFrame(self.at, "CP1", 1, text), *orders)

    def down(self, text: str, *orders: Order, mirror: str = "") -> list[Seen]:
        return self.step(UpstreamFrame(self.at, "CP1", 1, text, mirror), *orders)


def call(message_id: str, action: str, payload: Any) -> str:
    return json.dumps([2, message_id, action, payload])


def result(message_id: str, payload: Any) -> str:
    return json.dumps([3, message_id, payload])


def to_station(text: str) -> SendStation:
    return SendStation("CP1", 1, text)


def to_csms(text: str, mirror: str = "") -> SendUpstream:
    return SendUpstream("CP1", 1, text, mirror)


def said(seen: list[Seen]) -> list[tuple[str, str, str, str, str]]:
    return [(item.leg, item.way, item.kind, item.action, item.did) for item in seen]


HEARTBEAT = call("h1", "Heartbeat", {})


# -- what was done ------------------------------------------------------------------------------------


def test_a_relayed_exchange() -> None:
    wire = Wire()
    assert said(wire.up(HEARTBEAT, to_csms(HEARTBEAT))) == [
        ("station", "up", "CALL", "Heartbeat", "relayed"),
        ("csms", "up", "CALL", "Heartbeat", "relayed"),
    ]
    answer = result("h1", {"currentTime": "2026-01-01T00:00:00Z"})
    assert said(wire.down(answer, to_station(answer))) == [
        ("csms", "down", "RESULT", "Heartbeat", "relayed"),
        ("station", "down", "RESULT", "Heartbeat", "relayed"),
    ]


def test_a_call_that_waits_and_goes_on_later_tells_how_long() -> None:
    wire = Wire()
    assert said(wire.up(HEARTBEAT)) == [("station", "up", "CALL", "Heartbeat", "waits")]
    wire.mono_s += 2.5
    (later,) = wire.step(TimePassed(wire.at), to_csms(HEARTBEAT))
    assert (later.did, later.waited_s) == ("relayed", 2.5)
    assert later.as_json()["waited_s"] == 2.5


def test_a_held_call_and_its_answer_from_here() -> None:
    wire = Wire()
    text = call("t1", "TransactionEvent", {"seqNo": 1})
    row = OutboxRow(0, "CP1", "tx", "TransactionEvent", text, 1.0)
    assert said(wire.up(text, Persist(7, (row,)))) == [("station", "up", "CALL", "TransactionEvent", "held")]
    assert said(wire.step(Persisted(wire.at, 7, (row,)), to_station(result("t1", {})))) == [
        ("station", "down", "RESULT", "TransactionEvent", "answered")
    ]


def test_another_stations_row_holds_nothing_of_this_one() -> None:
    wire = Wire()
    row = OutboxRow(0, "CP2", "tx", "TransactionEvent", "", 1.0)
    assert wire.up(HEARTBEAT, Persist(7, (row,)))[0].did == "waits"


def test_a_call_answered_here() -> None:
    wire = Wire()
    assert [item.did for item in wire.up(HEARTBEAT, to_station(result("h1", {})))] == ["answered", "answered"]


def test_an_intercepted_command() -> None:
    wire = Wire()
    text = call("c1", "SetChargingProfile", {"evseId": 1})
    assert said(wire.down(text, to_csms(result("c1", {"status": "Accepted"})))) == [
        ("csms", "down", "CALL", "SetChargingProfile", "intercepted"),
        ("csms", "up", "RESULT", "SetChargingProfile", "answered"),
    ]


def test_a_changed_command() -> None:
    wire = Wire()
    text = call("c1", "RequestStartTransaction", {"remoteStartId": 1, "chargingProfile": {}})
    other = call("c1", "RequestStartTransaction", {"remoteStartId": 1})
    assert [item.did for item in wire.down(text, to_station(other))] == ["changed", "changed"]


def test_our_own_call_and_the_answer_that_ends_here() -> None:
    wire = Wire()
    own = call("ym-1", "SetChargingProfile", {"evseId": 1})
    assert said(wire.step(TimePassed(wire.at), to_station(own))) == [("station", "down", "CALL", "SetChargingProfile", "ours")]
    assert said(wire.up(result("ym-1", {"status": "Accepted"}))) == [("station", "up", "RESULT", "SetChargingProfile", "ours")]


def test_an_answer_nobody_asked_for() -> None:
    (seen,) = Wire().up(result("x9", {"status": "Accepted"}))
    assert (seen.action, seen.did) == ("", "dropped")
    assert "Accepted" not in seen.text, "without its question nobody knows what it holds"


def test_a_mirror_gets_a_copy_and_is_refused() -> None:
    wire = Wire()
    assert said(wire.up(HEARTBEAT, to_csms(HEARTBEAT), to_csms(HEARTBEAT, "billing")))[2] == ("mirror:billing", "up", "CALL", "Heartbeat", "relayed")
    refusal = json.dumps([4, "m1", "NotSupported", "not allowed", {}])
    assert said(wire.down(call("m1", "Reset", {"type": "Immediate"}), to_csms(refusal, "billing"), mirror="billing")) == [
        ("mirror:billing", "down", "CALL", "Reset", "intercepted"),
        ("mirror:billing", "up", "ERROR", "Reset", "answered"),
    ]


def test_sends_of_21_pass() -> None:
    wire = Wire("ocpp2.1")
    text = json.dumps([6, "s1", "NotifyPeriodicEventStream", {"id": 1}])
    assert said(wire.up(text, to_csms(text))) == [
        ("station", "up", "SEND", "NotifyPeriodicEventStream", "relayed"),
        ("csms", "up", "SEND", "NotifyPeriodicEventStream", "relayed"),
    ]


def test_the_same_id_in_both_directions_is_two_messages() -> None:
    wire = Wire()
    wire.up(call("1", "Heartbeat", {}), to_csms(call("1", "Heartbeat", {})))
    wire.down(call("1", "Reset", {"type": "Immediate"}), to_station(call("1", "Reset", {"type": "Immediate"})))
    assert wire.up(result("1", {"status": "Accepted"}), to_csms(result("1", {"status": "Accepted"})))[0].action == "Reset"
    assert wire.down(result("1", {}), to_station(result("1", {})))[0].action == "Heartbeat"


def test_memory_is_bounded() -> None:
    wire = Wire()
    for number in range(3 * CALLS_KEPT):
        text = call(str(number), "Heartbeat", {})
        wire.up(text, to_csms(text))
    memory = wire.reader._memories["CP1"]
    assert max(len(memory.calls), len(memory.came)) <= CALLS_KEPT


# -- connections ----------------------------------------------------------------------------------------


def test_connections_are_told() -> None:
    wire = Wire()
    at = wire.at
    steps: list[tuple[Fact, tuple[Order, ...]]] = [
        (
            StationConnected(at, "CP1", 1, "ocpp2.0.1", "10.0.0.7", "/CP1?user=a&pw=" + SECRET),
            (DialUpstream("CP1", 1, "csms", ("ocpp2.0.1",), password=SECRET),),
        ),
        (UpstreamOpened(at, "CP1", 1, "ocpp2.0.1"), ()),
        (UpstreamClosed(at, "CP1", 1, "gone"), (CloseStation("CP1", 1, 1001, "CSMS is away"),)),
        (StationClosed(at, "CP1", 1, "1001"), (CloseUpstream("CP1", 1, "station disconnected"),)),
        (StationRefused(at, "CP1", "10.0.0.9", "wrong password"), ()),
    ]
    seen = [item for fact, orders in steps for item in wire.step(fact, *orders)]
    assert [(item.leg, item.kind) for item in seen] == [
        ("station", "OPENED"),
        ("csms", "DIALLED"),
        ("csms", "OPENED"),
        ("csms", "CLOSED"),
        ("station", "HANGUP"),
        ("station", "CLOSED"),
        ("csms", "HANGUP"),
        ("station", "REFUSED"),
    ]
    assert seen[0].as_json()["path"] == "/CP1"
    assert SECRET not in json.dumps([item.as_json() for item in seen])


# -- secrets ---------------------------------------------------------------------------------------------


def set_password(value: str, name: str = "BasicAuthPassword") -> dict[str, Any]:
    return {"setVariableData": [{"attributeValue": value, "component": {"name": "SecurityCtrlr"}, "variable": {"name": name}}]}


@pytest.mark.parametrize(
    ("version", "action", "payload"),
    [
        ("ocpp1.6", "ChangeConfiguration", {"key": "AuthorizationKey", "value": KEY}),
        ("ocpp1.6", "ChangeConfiguration", {"key": "authorizationkey", "value": KEY}),
        ("ocpp2.0.1", "SetVariables", set_password(KEY)),
        ("ocpp2.0.1", "SetVariables", set_password(KEY, "basicauthPASSWORD")),
        ("ocpp2.1", "SetVariables", set_password(KEY)),
        ("", "SetVariables", set_password(KEY)),  # a station whose version is not known
        ("", "ChangeConfiguration", {"key": "AuthorizationKey", "value": KEY}),
    ],
)
def test_a_new_password_is_never_shown_on_either_leg(version: str, action: str, payload: dict[str, Any]) -> None:
    wire = Wire(version)
    text = call("p1", action, payload)
    seen = wire.down(text, to_station(text))
    echo = json.dumps([4, "p1", "PropertyConstraintViolation", f"{KEY} is too long", {"value": KEY}])
    seen += wire.up(echo, to_csms(echo))
    seen += wire.up(result("p1", {"status": "Rejected", "attributeStatusInfo": {"reasonCode": "x", "additionalInfo": KEY}}))
    shown = json.dumps([item.as_json() for item in seen])
    assert KEY not in shown
    assert [item.hidden for item in seen[:4]] == [True] * 4
    assert said(seen)[:2] == [("csms", "down", "CALL", action, "relayed"), ("station", "down", "CALL", action, "relayed")]


def test_a_password_a_station_tells_is_not_shown() -> None:
    wire = Wire()
    question = call("g1", "GetVariables", {"getVariableData": [{"component": {"name": "SecurityCtrlr"}, "variable": {"name": "BasicAuthPassword"}}]})
    wire.down(question, to_station(question))
    answer = result(
        "g1",
        {
            "getVariableResult": [
                {
                    "attributeStatus": "Accepted",
                    "attributeValue": SECRET,
                    "component": {"name": "SecurityCtrlr"},
                    "variable": {"name": "BasicAuthPassword"},
                }
            ]
        },
    )
    seen = wire.up(answer, to_csms(answer))
    assert SECRET not in json.dumps([item.as_json() for item in seen])
    assert [item.did for item in seen] == ["relayed", "relayed"], "what is hidden is still told apart by its real text"


@pytest.mark.parametrize(
    "text",
    [
        f'[2,"p1","ChangeConfiguration",{{"key":"AuthorizationKey","value":"{KEY}"}}',
        f'[2,"p1","SetVariables",{{"setVariableData":[{{"attributeValue":"{KEY}"',
        f"[2,'p1','ChangeConfiguration',{{'key':'AuthorizationKey','value':'{KEY}'}}]",
        f'[2,"p1","X",{{"a":"{KEY}","b":NaN}}]',
        f'[2,"p1","X",{{"a" :\n "{KEY}',
        f'[2,"p1","\\u0043hangeConfiguration",{{"\\u006bey":"\\u0041uthorizationKey", {KEY}',
        f'[9,"p1","X",{{"secret":"{KEY}"}}]',
    ],
)
def test_a_broken_frame_shows_no_secret_either(text: str) -> None:
    (seen,) = Wire().down(text)
    assert seen.kind == "BROKEN"
    assert seen.hidden
    assert KEY not in seen.text


def test_a_broken_frame_is_cut_and_shows_where_it_breaks() -> None:
    (seen,) = Wire().up('[2,"b1","MeterValues",{"evseId":1,"x":NaN' + " " * 5000)
    assert seen.text.startswith('[2,"b1","MeterValues",{"evseId":1,"x":NaN')
    assert "characters)" in seen.text
    assert len(seen.text) < 500


@settings(max_examples=examples(200), deadline=None)
@given(st.text(max_size=60))
def test_any_text_is_read(text: str) -> None:
    wire = Wire()
    (seen,) = wire.up(text)
    assert json.dumps(seen.as_json())
    assert isinstance(broken_view(text), str)


# -- in other words: a CSMS of another version, or one that sees one large station --------------------------

TRANSLATED_ID = IdSource("test").fresh(translated=True)
OWN_ID = IdSource("test").fresh()


def translated_pair() -> Wire:
    return Wire(wires=Wires({("CP1", "station"): "ocpp2.0.1", ("CP1", "csms"): "ocpp1.6"}, translated=lambda station_id: station_id == "CP1"))


def test_a_password_is_hidden_in_the_words_of_the_version_of_its_own_leg() -> None:
    """A 1.6 CSMS of a 2.0.1 station sets its password in 1.6's words."""
    (seen,) = translated_pair().down(call("c1", "ChangeConfiguration", {"key": "AuthorizationKey", "value": KEY}))
    assert seen.hidden
    assert KEY not in seen.text
    later = Wire()
    later.step(UpstreamOpened(later.at, "CP1", -1, "ocpp1.6", ""))
    (seen,) = later.down(call("c1", "ChangeConfiguration", {"key": "AuthorizationKey", "value": KEY}))
    assert KEY not in seen.text
    mirrored = Wire()
    mirrored.step(UpstreamOpened(mirrored.at, "CP1", 1, "ocpp1.6", "copy"))
    (seen,) = mirrored.down(call("c1", "ChangeConfiguration", {"key": "AuthorizationKey", "value": KEY}), mirror="copy")
    assert KEY not in seen.text


def test_a_translated_exchange_shows_both_words() -> None:
    wire = translated_pair()
    assert said(wire.up(HEARTBEAT, to_csms(call(TRANSLATED_ID, "Heartbeat", {})))) == [
        ("station", "up", "CALL", "Heartbeat", "translated"),
        ("csms", "up", "CALL", "Heartbeat", "translated"),
    ]
    assert said(wire.down(result(TRANSLATED_ID, {}), to_station(result("h1", {})))) == [
        ("csms", "down", "RESULT", "Heartbeat", "translated"),
        ("station", "down", "RESULT", "Heartbeat", "translated"),
    ]


def test_a_translated_command_and_one_that_is_answered_here() -> None:
    wire = translated_pair()
    stop = call("c7", "RemoteStopTransaction", {"transactionId": 5})
    went = wire.down(stop, to_station(call(TRANSLATED_ID, "RequestStopTransaction", {"transactionId": "tx"})))
    assert [item.did for item in went] == ["translated", "translated"]
    back = wire.up(result(TRANSLATED_ID, {"status": "Accepted"}), to_csms(result("c7", {"status": "Accepted"})))
    assert [item.did for item in back] == ["translated", "translated"]
    assert [item.did for item in wire.down(call("c8", "GetConfiguration", {}), to_csms(result("c8", {})))] == ["intercepted", "answered"]


def test_what_is_ours_stays_ours_on_a_translated_leg() -> None:
    wire = translated_pair()
    (sent,) = wire.step(TimePassed(wire.at), to_station(call(OWN_ID, "SetChargingProfile", {})))
    assert sent.did == "ours"
    assert wire.up(result(OWN_ID, {"status": "Accepted"}))[0].did == "ours"
    assert [item.did for item in wire.up(HEARTBEAT, to_station(result("h1", {})))] == ["answered", "answered"]


def test_a_message_kept_on_disk_goes_on_in_other_words_only_while_the_csms_is_there() -> None:
    text = call("t1", "TransactionEvent", {"seqNo": 1})
    row = OutboxRow(0, "CP1", "tx", "TransactionEvent", text, 1.0)
    assert translated_pair().up(text, Persist(7, (row,)))[0].did == "translated"
    away = Wire(wires=Wires({("CP1", "station"): "ocpp2.0.1"}))
    assert away.up(text, Persist(7, (row,)))[0].did == "held"


def test_a_depots_own_leg_is_read_in_its_version_and_says_what_is_its_own() -> None:
    wire = Wire(wires=Wires({("DEPOT", "csms"): "ocpp2.1"}, frozenset({"DEPOT"})))
    boot = wire.step(TimePassed(wire.at), SendUpstream("DEPOT", 1, call(TRANSLATED_ID, "BootNotification", {"reason": "PowerUp"})))
    assert [(item.station_id, item.leg, item.did, item.hidden) for item in boot] == [("DEPOT", "csms", "ours", False)]
    state = wire.step(TimePassed(wire.at), SendUpstream("DEPOT", 1, call(TRANSLATED_ID[:-1] + "0", "StatusNotification", {"evseId": 3})))
    assert (state[0].did, state[0].hidden) == ("translated", False)
    asked = wire.step(UpstreamFrame(wire.at, "DEPOT", 1, call("c1", "RequestStopTransaction", {"transactionId": "x"})))
    assert asked[0].did == "translated"
    secret = {"setVariableData": [{"component": {"name": "SecurityCtrlr"}, "variable": {"name": "BasicAuthPassword"}, "attributeValue": SECRET}]}
    (hidden,) = wire.step(UpstreamFrame(wire.at, "DEPOT", 1, call("c2", "SetVariables", secret)))
    assert hidden.hidden
    assert SECRET not in hidden.text
