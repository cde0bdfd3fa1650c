"""One 1.6 station on a 2.0.1 CSMS that knows nothing of 1.6, played through the whole engine: boot to stop, an outage, a power cut.

Expected values are from OCPP-NOTES 12.4 to 12.6. What must hold over everything (traps 7, 8, 9; E01.FR.08): one transactionId per
session, sequence numbers without a gap, no message that says something else under a number the CSMS has heard already.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from controller.engine import Engine
from controller.io.schemas import read_schema, shapes
from controller.orders import SendUpstream
from controller.site.stations.charger import ChargerModel
from tests.support.playbook import Playbook, config

NOW = "2026-09-21T14:30:00.000Z"
"""When a world begins."""
IDLE = {"connectorId": 1, "errorCode": "NoError", "status": "Available", "timestamp": NOW}
BOOT = {"chargePointVendor": "Acme", "chargePointModel": "One", "chargePointSerialNumber": "S-1", "firmwareVersion": "1.2"}


class Csms:
    """A 2.0.1 CSMS: judges every CALL by its schema, answers it, and keeps a ledger."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.silent: Callable[[str, dict[str, Any]], bool] = lambda action, payload: False

    def take(self, action: str, payload: dict[str, Any]) -> dict[str, Any] | None:
        assert read_schema("ocpp2.0.1", action, False) is not None, action
        assert shapes().check("ocpp2.0.1", action, False, payload) == ""
        self.calls.append((action, payload))
        if self.silent(action, payload):
            return None
        accepted = {"status": "Accepted"}
        answers: dict[str, dict[str, Any]] = {
            "BootNotification": {"currentTime": NOW, "interval": 300, "status": "Accepted"},
            "Heartbeat": {"currentTime": NOW},
            "Authorize": {"idTokenInfo": accepted},
            "TransactionEvent": {"idTokenInfo": accepted} if "idToken" in payload else {},
        }
        return answers.get(action, {})

    def events(self) -> list[dict[str, Any]]:
        """All TransactionEvents, each once: a repeat after a power cut says the same."""
        ledger: dict[tuple[str, int], dict[str, Any]] = {}
        for action, payload in self.calls:
            if action == "TransactionEvent":
                key = (payload["transactionInfo"]["transactionId"], payload["seqNo"])
                same = {name: value for name, value in payload.items() if name != "offline"}
                assert ledger.setdefault(key, same) == same, "a number that says two things"
        return list(ledger.values())

    def said(self, action: str) -> list[dict[str, Any]]:
        return [payload for known, payload in self.calls if known == action]


class World(Playbook):
    """CP1 speaks 1.6 and answers every command with its most usual word; ``csms`` is there unless told otherwise."""

    csms: Csms

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.engine = Engine(self.config, kwargs.get("seed", "test"), {"generic": ChargerModel("generic")}, shapes())
        self.links = self.engine  # type: ignore[assignment]
        self.answers_16: dict[str, list[dict[str, Any]]] = {}
        self.heard_16: list[Any] = []

    def run(self) -> None:
        """Settle everything that follows: CSMS and station answer what they are asked."""
        for _ in range(200):
            ups, downs = list(self.sent_up), list(self.sent_down)
            self.outcomes = []
            if not ups and not downs:
                return
            later: list[Any] = []
            for text in ups:
                later += self._at_csms(json.loads(text))
            for text in downs:
                later += self._at_station(json.loads(text))
            self.outcomes = later
        raise AssertionError("it does not come to rest")

    def _at_csms(self, frame: list[Any]) -> list[Any]:
        if frame[0] != 2:
            return []
        answer = self.csms.take(frame[2], frame[3])
        return self.csms_says(3, frame[1], answer) if answer is not None else []

    def csms_says(self, *frame: Any) -> list[Any]:
        return super().csms(*frame)  # type: ignore[misc, operator]

    def _at_station(self, frame: list[Any]) -> list[Any]:
        if frame[0] == 2:
            assert shapes().check("ocpp1.6", frame[2], False, frame[3]) == ""
            known: dict[str, dict[str, Any]] = {"GetConfiguration": {"configurationKey": [], "unknownKey": []}}
            return self.station(3, frame[1], known.get(frame[2], {"status": "Accepted"}))
        self.heard_16.append(frame)
        return []

    def say(self, message_id: str, action: str, payload: dict[str, Any]) -> list[Any] | None:
        """A CALL of the station; its answer, None if none came by now."""
        assert shapes().check("ocpp1.6", action, False, payload) == ""
        self.heard_16 = []
        self.station(2, message_id, action, payload)
        self.run()
        (answer,) = [frame for frame in self.heard_16 if frame[1] == message_id] or [None]
        if answer is not None and answer[0] == 3:
            assert shapes().check("ocpp1.6", action, True, answer[2]) == ""
        return answer

    def pass_time(self, seconds: int) -> None:
        for _ in range(seconds):
            self.wait(1)
            self.run()


def world() -> World:
    site = config(stop_invalid=True)
    made = World(site, version="ocpp1.6", translates=True)
    made.csms = Csms()
    return made


def power_cut(old: World) -> World:
    other = old.restarted()
    assert isinstance(other, World)
    other.csms = old.csms
    return other


def come(w: World, first: bool = True) -> None:
    """The station connects; its CSMS is asked for 1.6 only the first time."""
    w.admit()
    if first:
        assert w.dials()[-1].offered == ("ocpp1.6",)
        w.close("no version", no_common_version=True)
    assert w.dials()[-1].offered[0] == "ocpp2.0.1"
    w.open("ocpp2.0.1")
    w.run()


def test_a_day_of_a_16_station_on_a_201_csms() -> None:
    w = world()
    come(w)
    assert w.say("b", "BootNotification", BOOT) == [3, "b", {"currentTime": NOW, "interval": 300, "status": "Accepted"}]
    (boot,) = w.csms.said("BootNotification")
    assert boot["reason"] == "PowerUp"
    assert boot["chargingStation"]["serialNumber"] == "S-1"
    w.say("s1", "StatusNotification", IDLE)
    answer = w.say("a", "Authorize", {"idTag": "04A1B2C3"})
    assert answer == [3, "a", {"idTagInfo": {"status": "Accepted"}}]
    assert w.csms.said("Authorize")[0]["idToken"] == {"idToken": "04A1B2C3", "type": "ISO14443"}  # eight hex digits: a card (12.4)
    w.say("s2", "StatusNotification", {**IDLE, "status": "Preparing"})

    answer = w.say("t1", "StartTransaction", {"connectorId": 1, "idTag": "04A1B2C3", "meterStart": 1000, "timestamp": NOW})
    assert answer is not None
    number = answer[2]["transactionId"]
    assert 0 < number < 2**31
    (started,) = w.csms.events()
    transaction_id = started["transactionInfo"]["transactionId"]
    assert (started["eventType"], started["seqNo"]) == ("Started", 0)
    assert started["evse"]["id"] == 1
    assert started["idToken"]["idToken"] == "04A1B2C3"
    assert started["meterValue"][0]["sampledValue"][0]["value"] == 1000

    w.say("s3", "StatusNotification", {**IDLE, "status": "Charging"})
    w.say("v1", "MeterValues", values(number, "2026-09-21T14:31:00.000Z", 2000))
    w.close("CSMS stopped")  # an outage: the station goes on and hears an answer each time
    w.run()
    assert w.say("v2", "MeterValues", values(number, "2026-09-21T14:32:00.000Z", 3000)) is not None
    assert w.say("v3", "MeterValues", values(number, "2026-09-21T14:33:00.000Z", 4000)) is not None
    back(w)
    energies = [reading(event) for event in w.csms.events() if event["eventType"] == "Updated" and "meterValue" in event]
    assert energies == [2000, 3000, 4000]

    answer = w.say(
        "t2",
        "StopTransaction",
        {"transactionId": number, "meterStop": 5000, "timestamp": "2026-09-21T14:45:00.000Z", "idTag": "04A1B2C3", "reason": "Local"},
    )
    assert answer is not None
    assert answer[0] == 3
    events = w.csms.events()
    assert {event["transactionInfo"]["transactionId"] for event in events} == {transaction_id}
    assert [event["seqNo"] for event in events] == list(range(len(events)))
    assert [event["eventType"] for event in events] == ["Started", *["Updated"] * (len(events) - 2), "Ended"]
    assert events[-1]["transactionInfo"]["stoppedReason"] == "Local"
    assert reading(events[-1]) == 5000
    w.pass_time(90)
    assert w.csms.events() == events


def values(number: int, time: str, energy_wh: int) -> dict[str, Any]:
    sampled = {"value": str(energy_wh), "context": "Sample.Periodic", "measurand": "Energy.Active.Import.Register", "unit": "Wh"}
    return {"connectorId": 1, "transactionId": number, "meterValue": [{"timestamp": time, "sampledValue": [sampled]}]}


def reading(event: dict[str, Any]) -> float:
    return max(float(sample["value"]) for meter in event["meterValue"] for sample in meter["sampledValue"])


def back(w: World) -> None:
    """Time passes until the CSMS is dialled and everything queued has gone up."""
    for _ in range(60):
        w.wait(1)
        dialled = bool(w.dials())
        if dialled:
            assert w.dials()[-1].offered == ("ocpp2.0.1",)  # remembered
            w.open("ocpp2.0.1")
        w.run()
        if dialled:
            w.pass_time(5)
            return
    raise AssertionError("the CSMS was never dialled again")


def test_power_cut_between_a_start_and_its_answer() -> None:
    w = world()
    come(w)
    w.say("b", "BootNotification", BOOT)
    w.csms.silent = lambda action, payload: action == "TransactionEvent"
    start = {"connectorId": 1, "idTag": "04A1B2C3", "meterStart": 1000, "timestamp": NOW}
    assert w.say("t1", "StartTransaction", start) is None
    (first,) = w.csms.events()
    w.csms.silent = lambda action, payload: False
    w = power_cut(w)
    come(w, first=False)
    answer = w.say("t1-again", "StartTransaction", start)
    assert answer is not None
    (again,) = w.csms.events()  # the same message: same transactionId, same seqNo, same content
    assert again["transactionInfo"]["transactionId"] == first["transactionInfo"]["transactionId"]
    w.say("t2", "StopTransaction", {"transactionId": answer[2]["transactionId"], "meterStop": 1500, "timestamp": "2026-09-21T14:45:00.000Z"})
    assert [(event["eventType"], event["seqNo"]) for event in w.csms.events()] == [("Started", 0), ("Ended", 1)]


def test_whole_session_during_an_outage_and_a_power_cut() -> None:
    """Trap 8: the station gets a number of ours; the CSMS hears one session in order, marked as offline, when it is back."""
    w = world()
    come(w)
    w.say("b", "BootNotification", BOOT)
    w.say("a", "Authorize", {"idTag": "04A1B2C3"})
    w.close("CSMS stopped")
    answer = w.say("t1", "StartTransaction", {"connectorId": 1, "idTag": "04A1B2C3", "meterStart": 0, "timestamp": NOW})
    assert answer is not None
    number = answer[2]["transactionId"]
    assert number > 0
    w.say("v1", "MeterValues", values(number, "2026-09-21T14:31:00.000Z", 700))
    w = power_cut(w)
    w.admit()
    w.close("connection refused")
    w.mono_s += 60.0
    w.say("t2", "StopTransaction", {"transactionId": number, "meterStop": 900, "timestamp": "2026-09-21T14:32:00.000Z", "reason": "EVDisconnected"})
    assert w.csms.events() == []
    w.mono_s += 600.0
    back(w)
    w.pass_time(30)
    events = w.csms.events()
    assert [event["seqNo"] for event in events] == list(range(len(events)))
    assert len({event["transactionInfo"]["transactionId"] for event in events}) == 1
    assert (events[0]["eventType"], events[-1]["eventType"]) == ("Started", "Ended")
    assert [reading(event) for event in events if "meterValue" in event][-2:] == [700, 900]
    sent = [payload for action, payload in w.csms.calls if action == "TransactionEvent"]
    assert all(payload["offline"] is True for payload in sent)
    assert events[-1]["transactionInfo"]["stoppedReason"] == "EVDisconnected"


def test_remote_stop_reaches_the_station_under_its_own_number() -> None:
    w = world()
    come(w)
    w.say("b", "BootNotification", BOOT)
    answer = w.say("t1", "StartTransaction", {"connectorId": 1, "idTag": "04A1B2C3", "meterStart": 1000, "timestamp": NOW})
    assert answer is not None
    transaction_id = w.csms.events()[0]["transactionInfo"]["transactionId"]
    w.csms_says(2, "r", "RequestStopTransaction", {"transactionId": transaction_id})
    ((_, message_id, action, payload),) = [json.loads(text) for text in w.sent_down]
    assert (action, payload) == ("RemoteStopTransaction", {"transactionId": answer[2]["transactionId"]})
    w.station(3, message_id, {"status": "Accepted"})
    ups = [json.loads(outcome.text) for outcome in w.outcomes if isinstance(outcome, SendUpstream)]
    assert [3, "r", {"status": "Accepted"}] in ups
