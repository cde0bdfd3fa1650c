"""One 2.0.1 station on a 1.6 CSMS that knows nothing of 2.x, played through the whole engine: boot to stop, commands, an outage, a power cut.

Expected values are from OCPP-NOTES 12.2 to 12.11. What must hold over everything (16 4.2, traps 7, 8): one StartTransaction and one StopTransaction
per session, in order, under the number the CSMS gave; every frame valid in its version.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from controller.engine import Engine
from controller.io.schemas import shapes
from controller.site.stations.charger import ChargerModel
from tests.support.playbook import Playbook, config

NOW = "2026-09-21T14:30:00.000Z"
"""When a world begins."""
UUID = "3f9d1c3e-0000-4000-8000-000000000001"
CARD = {"idToken": "04A1B2C3", "type": "ISO14443"}
OK = {"status": "Accepted"}
Payload = dict[str, Any]


class Csms:
    """A 1.6 CSMS: judges every CALL by its schema, answers it, numbers transactions from 501, and keeps a ledger."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Payload]] = []
        self.silent: Callable[[str], bool] = lambda action: False
        self.number = 500

    def take(self, action: str, payload: Payload) -> Payload | None:
        assert shapes().check("ocpp1.6", action, False, payload) == "", action
        self.calls.append((action, payload))
        if self.silent(action):
            return None
        if action == "StartTransaction":
            self.number += 1
        answers: dict[str, Payload] = {
            "BootNotification": {"currentTime": NOW, "interval": 300, "status": "Accepted"},
            "Heartbeat": {"currentTime": NOW},
            "Authorize": {"idTagInfo": OK},
            "StartTransaction": {"idTagInfo": OK, "transactionId": self.number},
        }
        return answers.get(action, {})

    def transactions(self) -> list[tuple[str, Payload]]:
        """What it was told of transactions, in order."""
        return [(action, payload) for action, payload in self.calls if action in ("StartTransaction", "MeterValues", "StopTransaction")]

    def said(self, action: str) -> list[Payload]:
        return [payload for known, payload in self.calls if known == action]


class World(Playbook):
    """CP1 speaks 2.0.1 and answers commands as told; ``csms`` is there unless told otherwise."""

    csms_end: Csms

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.engine = Engine(self.config, kwargs.get("seed", "test"), {"generic": ChargerModel("generic")}, shapes())
        self.links = self.engine  # type: ignore[assignment]
        self.commands: list[tuple[str, Payload]] = []
        self.answers: dict[str, Callable[[Payload], Payload]] = {}
        self.heard: list[Any] = []
        self.heard_up: list[Any] = []

    def run(self) -> None:
        """Settle everything that follows."""
        for _ in range(300):
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
            self.heard_up.append(frame)
            return []
        answer = self.csms_end.take(frame[2], frame[3])
        return self.csms(3, frame[1], answer) if answer is not None else []

    def _at_station(self, frame: list[Any]) -> list[Any]:
        if frame[0] != 2:
            self.heard.append(frame)
            return []
        assert shapes().check("ocpp2.0.1", frame[2], False, frame[3]) == "", frame
        self.commands.append((frame[2], frame[3]))
        answer = self.answers.get(frame[2], lambda payload: OK)(frame[3])
        return self.station(3, frame[1], answer)

    def say(self, message_id: str, action: str, payload: Payload) -> Payload | None:
        """A CALL of the station; its answer, None if none came by now."""
        assert shapes().check("ocpp2.0.1", action, False, payload) == ""
        self.heard = []
        self.station(2, message_id, action, payload)
        self.run()
        found = [frame for frame in self.heard if frame[1] == message_id]
        if not found:
            return None
        assert found[0][0] == 3, found
        assert shapes().check("ocpp2.0.1", action, True, found[0][2]) == ""
        answer: Payload = found[0][2]
        return answer

    def ask(self, message_id: str, action: str, payload: Payload) -> Payload:
        """A CALL of the CSMS; its answer."""
        assert shapes().check("ocpp1.6", action, False, payload) == ""
        self.heard_up, self.commands = [], []
        self.csms(2, message_id, action, payload)
        self.run()
        (found,) = [frame for frame in self.heard_up if frame[1] == message_id]
        assert found[0] == 3, found
        assert shapes().check("ocpp1.6", action, True, found[2]) == ""
        answer: Payload = found[2]
        return answer

    def pass_time(self, seconds: int) -> None:
        for _ in range(seconds):
            self.wait(1)
            self.run()


def world() -> World:
    made = World(config(stop_invalid=True), version="ocpp2.0.1", translates=True)
    made.csms_end = Csms()
    return made


def power_cut(old: World) -> World:
    other = old.restarted()
    assert isinstance(other, World)
    other.csms_end, other.answers = old.csms_end, old.answers
    return other


def come(w: World, first: bool = True) -> None:
    """The station connects; its CSMS is asked for 2.0.1 only the first time."""
    w.admit()
    if first:
        w.close("no version", no_common_version=True)
    assert "ocpp1.6" in w.dials()[-1].offered
    w.open("ocpp1.6")
    w.run()


def back(w: World) -> None:
    """Time passes until the CSMS is dialled and everything queued has gone up."""
    for _ in range(60):
        w.wait(1)
        if w.dials():
            w.open("ocpp1.6")
            w.run()
            w.pass_time(8)
            return
        w.run()
    raise AssertionError("the CSMS was never dialled again")


def booted() -> World:
    w = world()
    come(w)
    station = {"vendorName": "A vendor with a long name", "model": "Two", "serialNumber": "S-2", "firmwareVersion": "9"}
    answer = w.say("b", "BootNotification", {"reason": "PowerUp", "chargingStation": station})
    assert answer == {"currentTime": NOW, "interval": 300, "status": "Accepted"}
    w.say("s", "StatusNotification", status("Available"))
    return w


def status(word: str) -> Payload:
    return {"timestamp": NOW, "connectorStatus": word, "evseId": 1, "connectorId": 1}


def event(kind: str, seq: int, trigger: str, minute: int, energy_wh: float, **more: Any) -> Payload:
    info: Payload = {"transactionId": UUID}
    info |= {name: more.pop(name) for name in ("chargingState", "stoppedReason", "remoteStartId") if name in more}
    context = {"Started": "Transaction.Begin", "Updated": "Sample.Periodic", "Ended": "Transaction.End"}[kind]
    moment = f"2026-09-21T14:{minute:02d}:00.000Z"
    sample = {"value": energy_wh, "context": context, "measurand": "Energy.Active.Import.Register", "unitOfMeasure": {"unit": "Wh"}}
    head = {"eventType": kind, "seqNo": seq, "triggerReason": trigger, "timestamp": moment, "transactionInfo": info}
    return {**head, "meterValue": [{"timestamp": moment, "sampledValue": [sample]}], **more}


def started(**more: Any) -> Payload:
    return event("Started", 0, "Authorized", 30, 1000, evse={"id": 1, "connectorId": 1}, idToken=CARD, chargingState="Charging", **more)


def test_a_day_of_a_201_station_on_a_16_csms() -> None:
    w = booted()
    (boot,) = w.csms_end.said("BootNotification")
    assert boot["chargePointVendor"] == "A vendor with a long"  # 20 characters (12.2)
    told = [(payload["connectorId"], payload["status"]) for payload in w.csms_end.said("StatusNotification")]
    assert (0, "Available") in told
    assert told[-1] == (1, "Available")
    assert w.say("a", "Authorize", {"idToken": CARD}) == {"idTokenInfo": OK}
    assert w.csms_end.said("Authorize") == [{"idTag": "04A1B2C3"}]
    w.say("s2", "StatusNotification", status("Occupied"))
    assert w.say("t0", "TransactionEvent", started()) == {"idTokenInfo": OK}
    w.say("t1", "TransactionEvent", event("Updated", 1, "MeterValuePeriodic", 31, 2000))
    w.close("CSMS stopped")  # an outage: the station goes on and hears an answer each time
    w.run()
    assert w.say("t2", "TransactionEvent", event("Updated", 2, "MeterValuePeriodic", 32, 3000)) is not None
    assert w.say("t3", "TransactionEvent", event("Updated", 3, "MeterValuePeriodic", 33, 4000)) is not None
    back(w)
    assert w.say("t4", "TransactionEvent", event("Ended", 4, "StopAuthorized", 45, 5000.4, stoppedReason="Local", idToken=CARD)) is not None
    w.say("s3", "StatusNotification", status("Available"))

    start = {"connectorId": 1, "idTag": "04A1B2C3", "meterStart": 1000, "timestamp": NOW}
    said = w.csms_end.transactions()
    assert said[0] == ("StartTransaction", start)
    values = [payload for action, payload in said if action == "MeterValues"]
    assert [(payload["transactionId"], payload["meterValue"][0]["sampledValue"][0]["value"]) for payload in values] == [
        (501, "2000"),
        (501, "3000"),
        (501, "4000"),
    ]
    assert [payload["meterValue"][0]["timestamp"][14:16] for payload in values] == ["31", "32", "33"]
    action, stop = said[-1]
    assert action == "StopTransaction"
    assert (stop["transactionId"], stop["meterStop"], stop["reason"], stop["idTag"]) == (501, 5000, "Local", "04A1B2C3")
    words = [payload["status"] for payload in w.csms_end.said("StatusNotification") if payload["connectorId"] == 1]
    assert words[:3] == ["Available", "Preparing", "Charging"]
    assert words[-1] == "Available"
    before = list(said)
    w.pass_time(60)
    assert w.csms_end.transactions() == before


def test_power_cut_between_a_start_and_its_answer() -> None:
    """The CSMS has answered, the number is on disk, the station has heard nothing: it asks again and starts nothing twice."""
    w = booted()
    w.csms_end.silent = lambda action: action == "StartTransaction"
    assert w.say("t0", "TransactionEvent", started()) is None
    w.csms_end.silent = lambda action: False
    w = power_cut(w)
    come(w, first=False)
    assert w.say("t0-again", "TransactionEvent", started()) == {"idTokenInfo": OK}
    # The first one was never answered: 1.6 has no way to ask whether it was heard, so it is said again in the same words.
    first, second = w.csms_end.said("StartTransaction")
    assert first == second
    w = power_cut(w)
    come(w, first=False)
    w.say("t0-more", "TransactionEvent", started())
    w.say("t1", "TransactionEvent", event("Ended", 1, "EVCommunicationLost", 45, 1500, stoppedReason="EVDisconnected"))
    assert len(w.csms_end.said("StartTransaction")) == 2
    assert [(payload["transactionId"], payload["meterStop"]) for payload in w.csms_end.said("StopTransaction")] == [(501, 1500)]


def test_whole_session_during_an_outage_and_a_power_cut() -> None:
    w = booted()
    w.say("a", "Authorize", {"idToken": CARD})
    w.close("CSMS stopped")
    assert w.say("t0", "TransactionEvent", started(offline=True)) is not None
    w.say("t1", "TransactionEvent", event("Updated", 1, "MeterValuePeriodic", 31, 1700, offline=True))
    w = power_cut(w)
    w.admit()
    w.close("connection refused")
    w.mono_s += 60.0
    w.say("t2", "TransactionEvent", event("Ended", 2, "EVCommunicationLost", 32, 1900, stoppedReason="EVDisconnected", offline=True))
    assert w.csms_end.transactions() == []
    w.mono_s += 600.0
    back(w)
    w.pass_time(30)
    assert [action for action, _ in w.csms_end.transactions()] == ["StartTransaction", "MeterValues", "StopTransaction"]
    assert w.csms_end.said("StartTransaction")[0]["timestamp"] == NOW
    assert w.csms_end.said("StopTransaction")[0] == {
        "transactionId": 501,
        "meterStop": 1900,
        "timestamp": "2026-09-21T14:32:00.000Z",
        "reason": "EVDisconnected",
    }


def test_commands_of_the_csms() -> None:
    w = booted()
    w.say("t0", "TransactionEvent", started())
    assert w.ask("r1", "RemoteStopTransaction", {"transactionId": 501}) == OK
    assert ("RequestStopTransaction", {"transactionId": UUID}) in w.commands
    assert w.ask("r2", "RemoteStopTransaction", {"transactionId": 7}) == {"status": "Rejected"}
    w.say("t1", "TransactionEvent", event("Ended", 1, "RemoteStop", 40, 1100, stoppedReason="Remote"))
    assert w.csms_end.said("StopTransaction")[0]["reason"] == "Remote"
    assert w.ask("r3", "RemoteStartTransaction", {"connectorId": 1, "idTag": "ROAMER"}) == OK
    (start,) = [payload for action, payload in w.commands if action == "RequestStartTransaction"]
    assert (start["evseId"], start["idToken"]["idToken"]) == (1, "ROAMER")
    assert w.ask("r4", "ChangeAvailability", {"connectorId": 0, "type": "Operative"}) == OK
    assert ("ChangeAvailability", {"operationalStatus": "Operative"}) in w.commands
    assert w.ask("r5", "UnlockConnector", {"connectorId": 9}) == {"status": "NotSupported"}


def test_settings_of_the_csms() -> None:
    w = booted()

    def take(payload: Payload) -> Payload:
        results = [{key: item[key] for key in ("component", "variable")} | {"attributeStatus": "Accepted"} for item in payload["setVariableData"]]
        return {"setVariableResult": results}

    def tell(payload: Payload) -> Payload:
        places = [{key: item[key] for key in ("component", "variable")} for item in payload["getVariableData"]]
        return {"getVariableResult": [{**place, "attributeStatus": "Accepted", "attributeValue": "60"} for place in places]}

    w.answers |= {"SetVariables": take, "GetVariables": tell}
    assert w.ask("c1", "ChangeConfiguration", {"key": "MeterValueSampleInterval", "value": "60"}) == OK
    assert w.ask("c2", "GetConfiguration", {"key": ["MeterValueSampleInterval", "NumberOfConnectors"]}) == {
        "configurationKey": [
            {"key": "MeterValueSampleInterval", "readonly": False, "value": "60"},
            {"key": "NumberOfConnectors", "readonly": True, "value": "1"},
        ]
    }


def test_a_limit_of_the_csms() -> None:
    """Its profile is taken by the arbiter, as on any leg; what the station gets is valid in 2.0.1 and no more than that."""
    w = booted()
    w.say("t0", "TransactionEvent", started())
    schedule = {"chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 10.0}]}
    head = {"chargingProfileId": 4, "stackLevel": 0, "chargingProfilePurpose": "TxProfile", "chargingProfileKind": "Relative"}
    profile = {**head, "transactionId": 501, "chargingSchedule": schedule}
    assert w.ask("p1", "SetChargingProfile", {"connectorId": 1, "csChargingProfiles": profile}) == OK
    answer = w.ask("p2", "GetCompositeSchedule", {"connectorId": 1, "duration": 600, "chargingRateUnit": "A"})
    assert answer["status"] == "Accepted"
    assert max(period["limit"] for period in answer["chargingSchedule"]["chargingSchedulePeriod"]) <= 10.0
    assert w.ask("p3", "ClearChargingProfile", {"id": 4}) == OK
    assert w.ask("p4", "ClearChargingProfile", {"id": 4}) == {"status": "Unknown"}
