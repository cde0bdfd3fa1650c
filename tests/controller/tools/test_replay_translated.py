"""Recordings with translated legs played again: chargers of another version than their CSMS, and a depot as one station.

The world that is recorded has another seed than the replay, so every id that Yardmaster makes is another one there.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from controller.__main__ import main
from controller.check import load_config
from controller.engine import Engine
from controller.facts import (
    Fact,
    OutboxRow,
    Persisted,
    Restored,
    RowsLoaded,
    Stamp,
    StationConnected,
    StationFrame,
    TimePassed,
    UpstreamClosed,
    UpstreamFrame,
    UpstreamOpened,
)
from controller.io.chargers import load_chargers
from controller.io.links.tap_reading import Reader, Wires
from controller.io.schemas import shapes
from controller.ocpp.times import timestamp
from controller.orders import CloseUpstream, DialUpstream, ForgetRows, LoadRows, Persist, SendStation, SendUpstream
from controller.paths import config_dir
from controller.tools.transcript import TranscriptWriter

MODELS = load_chargers(config_dir() / "chargers")
START_WALL_S = 1_790_000_000.0
Payload = dict[str, Any]


def write_site(folder: Path, version: str, face: str = "pair") -> Path:
    data = {
        "site": {"id": "test"},
        "grid": {"fuse_a": 63, "worst_other_load_a": 10},
        "stations": [{"id": "CP1", "evses": [{"id": 1, "max_current_a": 32, "fallback_a": 6}]}],
        "upstreams": [
            {
                "id": "csms",
                "url": "ws://127.0.0.1:1/ocpp",
                "face": face,
                "versions": [version],
                "depot": {"site_values_s": 0, "status_wait_s": 0} if face == "depot" else {},
            }
        ],
        "data_dir": str(folder / "data"),
    }
    path = folder / "site.yaml"
    path.write_text(yaml.safe_dump(data))
    return path


class World:
    """A real engine with one charger and one CSMS that answer everything by themselves, recorded as the tap would."""

    def __init__(self, site: Path, station: str, csms: str) -> None:
        self.config = load_config(site)
        depots = frozenset(self.config.identity_of(upstream) for upstream in self.config.upstreams if upstream.face == "depot")
        self.engine = Engine(self.config, "as recorded", MODELS, shapes())
        self.reader = Reader(Wires({}, depots, lambda name: self.engine.links.translates(name)))
        self.station_version, self.csms_version = station, csms
        self.mono_s = 5000.0
        self.records: list[Payload] = []
        self.rows: dict[int, OutboxRow] = {}
        self.dial: DialUpstream | None = None
        self.is_open = self.reachable = False
        self.count = 0
        self.up: list[tuple[str, Payload]] = []
        self.down: list[tuple[str, Payload]] = []
        self.replies: dict[str, Payload] = {}
        self.csms_says: dict[str, Callable[[Payload], Payload]] = {}
        self._todo: list[Fact] = []
        self.feed(Restored(self.at, {}, {}))

    @property
    def at(self) -> Stamp:
        return Stamp(self.mono_s, START_WALL_S + self.mono_s)

    def feed(self, fact: Fact) -> None:
        self._todo.append(fact)
        if len(self._todo) > 1:
            return
        while self._todo:
            first = self._todo[0]
            orders = self.engine.handle(first)
            self.records += [seen.as_json() for seen in self.reader.read(first, orders)]
            for order in orders:
                self._carry(order)
            self._todo.pop(0)

    def _carry(self, order: Any) -> None:
        match order:
            case DialUpstream():
                self.dial = order
                if self.reachable:
                    self.open()
            case CloseUpstream():
                self.is_open = False
                self.feed(UpstreamClosed(self.at, order.station_id, order.generation, order.reason))
            case Persist():
                stored = []
                for row in order.rows:
                    self.count += 1
                    stored.append(replace(row, number=self.count))
                self.rows |= {row.number: row for row in stored}
                self.feed(Persisted(self.at, order.token, tuple(stored)))
            case LoadRows():
                self.feed(RowsLoaded(self.at, order.station_id, tuple(self.rows[n] for n in order.numbers if n in self.rows), order.numbers))
            case ForgetRows():
                for number in order.numbers:
                    self.rows.pop(number, None)
            case SendUpstream():
                self._csms_hears(json.loads(order.text))
            case SendStation():
                self._station_hears(json.loads(order.text))

    def _csms_hears(self, frame: list[Any]) -> None:
        if frame[0] != 2:
            self.replies[frame[1]] = frame[2]
            return
        self.up.append((frame[2], frame[3]))
        says = self.csms_says.get(frame[2])
        now = timestamp(self.at.wall_s)
        usual = {
            "BootNotification": {"currentTime": now, "interval": 300, "status": "Accepted"},
            "Heartbeat": {"currentTime": now},
            "Authorize": {"idTokenInfo": {"status": "Accepted"}} if self.csms_version != "ocpp1.6" else {"idTagInfo": {"status": "Accepted"}},
            "StartTransaction": {"transactionId": 4711, "idTagInfo": {"status": "Accepted"}},
        }
        self._from_csms([3, frame[1], says(frame[3]) if says else usual.get(frame[2], {})])

    def _station_hears(self, frame: list[Any]) -> None:
        if frame[0] != 2:
            self.replies[frame[1]] = frame[2]
            return
        self.down.append((frame[2], frame[3]))
        if frame[2] in ("GetConfiguration", "GetVariables", "GetCompositeSchedule", "GetBaseReport", "SetVariables"):
            self._from_station([4, frame[1], "NotSupported", "", {}])
        else:
            self._from_station([3, frame[1], {"status": "Accepted"}])

    def _from_csms(self, frame: list[Any]) -> None:
        assert self.dial is not None
        self.feed(UpstreamFrame(self.at, self.dial.station_id, self.dial.generation, json.dumps(frame)))

    def _from_station(self, frame: list[Any]) -> None:
        self.feed(StationFrame(self.at, "CP1", 1, json.dumps(frame)))

    # -- the story ------------------------------------------------------------------------------------

    def wait(self, seconds: int = 3) -> None:
        for _ in range(seconds):
            self.mono_s += 1.0
            self.feed(TimePassed(self.at))

    def open(self) -> None:
        assert self.dial is not None
        self.reachable = self.is_open = True
        self.feed(UpstreamOpened(self.at, self.dial.station_id, self.dial.generation, self.csms_version))

    def outage(self) -> None:
        assert self.dial is not None
        self.reachable = self.is_open = False
        self.feed(UpstreamClosed(self.at, self.dial.station_id, self.dial.generation, "network down"))

    def connect(self) -> None:
        self.feed(StationConnected(self.at, "CP1", 1, self.station_version, "127.0.0.1", "/CP1"))

    def station(self, action: str, payload: Payload) -> Payload:
        self.count += 1
        self.mono_s += 0.1
        message_id = f"s{self.count}"
        self._from_station([2, message_id, action, payload])
        return self.replies.get(message_id, {})

    def csms(self, action: str, payload: Payload) -> Payload:
        self.count += 1
        self.mono_s += 0.1
        message_id = f"c{self.count}"
        self._from_csms([2, message_id, action, payload])
        return self.replies.get(message_id, {})

    def write(self, path: Path) -> Path:
        writer = TranscriptWriter(path)
        wall_s = START_WALL_S + 5000.0
        writer.header({"site": "test", "yardmaster": "x", "wall_s": wall_s, "mono_s": 5000.0, "wall_speed": 1.0, "stations": []})
        for record in self.records:
            writer.record(record)
        writer.close()
        return path


def old_charger(site: Path, version: str) -> World:
    """A 1.6 charger on a CSMS of 2.x: boot, a session over an outage, a remote stop, the next session."""
    world = World(site, "ocpp1.6", version)
    world.connect()
    world.wait(1)
    world.open()
    world.wait()
    world.station("BootNotification", {"chargePointVendor": "Acme", "chargePointModel": "One"})
    world.wait()
    world.station("StatusNotification", {"connectorId": 1, "errorCode": "NoError", "status": "Preparing"})
    world.station("Authorize", {"idTag": "AABBCCDD"})
    for _ in range(2):
        session(world)
    return world


def session(world: World) -> None:
    start = {"connectorId": 1, "idTag": "AABBCCDD", "meterStart": 100, "timestamp": timestamp(world.at.wall_s)}
    number = world.station("StartTransaction", start)["transactionId"]
    world.wait()
    values = [{"timestamp": timestamp(world.at.wall_s), "sampledValue": [{"value": "150"}]}]
    world.station("MeterValues", {"connectorId": 1, "transactionId": number, "meterValue": values})
    world.outage()
    world.station("MeterValues", {"connectorId": 1, "transactionId": number, "meterValue": values})
    world.wait(20)
    world.open() if not world.is_open else None
    world.wait(10)
    if world.csms_version != "ocpp1.6":
        events = [payload for action, payload in world.up if action == "TransactionEvent"]
        stopped = world.csms("RequestStopTransaction", {"transactionId": events[-1]["transactionInfo"]["transactionId"]})
        assert stopped["status"] == "Accepted"
        assert world.down[-1] == ("RemoteStopTransaction", {"transactionId": number})
    world.station("StopTransaction", {"transactionId": number, "meterStop": 200, "timestamp": timestamp(world.at.wall_s), "reason": "Remote"})
    world.wait(5)


def replayed(capsys: pytest.CaptureFixture[str], recording: Path, site: Path) -> tuple[int, Payload]:
    code = main(["replay", str(recording), "--config", str(site), "--json"])
    result: Payload = json.loads(capsys.readouterr().out)
    return code, result


@pytest.mark.parametrize("version", ["ocpp2.0.1", "ocpp2.1"])
@pytest.mark.parametrize("face", ["pair", "depot"])
def test_the_same_engine_says_the_same_in_other_words(tmp_path: Path, capsys: pytest.CaptureFixture[str], version: str, face: str) -> None:
    site = write_site(tmp_path, version, face)
    world = old_charger(site, version)
    told = [payload for action, payload in world.up if action == "TransactionEvent"]
    assert {payload["eventType"] for payload in told} == {"Started", "Updated", "Ended"}
    code, result = replayed(capsys, world.write(tmp_path / "day.jsonl"), site)
    assert [item for item in result["differences"] if item["bad"]] == []
    assert code == 0
    counts = result["in_other_words"]
    assert counts["then"] > 10
    assert counts["same"] >= counts["then"] - 2, result["differences"]
    assert result["translated"]
    assert result["waiting"] == 0


def test_a_new_charger_on_an_old_csms(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    site = write_site(tmp_path, "ocpp1.6")
    world = World(site, "ocpp2.0.1", "ocpp1.6")
    world.connect()
    world.wait(1)
    world.open()
    world.wait()
    world.station("BootNotification", {"reason": "PowerUp", "chargingStation": {"vendorName": "Acme", "model": "Two"}})
    world.wait()
    assert world.csms("RemoteStartTransaction", {"connectorId": 1, "idTag": "AABB"})["status"] == "Accepted"
    asked = next(payload for action, payload in world.down if action == "RequestStartTransaction")
    info = {"transactionId": "tx-77", "remoteStartId": asked["remoteStartId"]}
    event = {"eventType": "Started", "triggerReason": "RemoteStart", "seqNo": 0, "evse": {"id": 1, "connectorId": 1}}
    token = {"idToken": "AABB", "type": "Central"}
    world.station("TransactionEvent", {**event, "timestamp": timestamp(world.at.wall_s), "transactionInfo": info, "idToken": token})
    world.wait()
    assert world.csms("RemoteStopTransaction", {"transactionId": 4711})["status"] == "Accepted"
    ended = {**event, "eventType": "Ended", "seqNo": 1, "triggerReason": "RemoteStop", "transactionInfo": {"transactionId": "tx-77"}}
    world.station("TransactionEvent", {**ended, "timestamp": timestamp(world.at.wall_s)})
    world.wait()
    assert [action for action, _ in world.up if "Transaction" in action] == ["StartTransaction", "StopTransaction"]
    code, result = replayed(capsys, world.write(tmp_path / "day.jsonl"), site)
    assert (code, [item for item in result["differences"] if item["bad"]]) == (0, [])


def test_a_message_that_would_not_go_on_in_other_words_is_a_loss(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As if the version that recorded it had told one more event of a session."""
    site = write_site(tmp_path, "ocpp2.0.1")
    world = old_charger(site, "ocpp2.0.1")
    number, record = next(
        (number, record) for number, record in enumerate(world.records) if record.get("action") == "TransactionEvent" and "Ended" in record["text"]
    )
    told_more = record["text"].replace(record["id"], "0" * 36).replace('"seqNo":2', '"seqNo":3')
    world.records.insert(number + 1, {**record, "text": told_more, "id": "0" * 36})
    code, result = replayed(capsys, world.write(tmp_path / "day.jsonl"), site)
    assert code == 1
    assert {item["what"] for item in result["differences"] if item["bad"]} == {"lost on its way"}


def test_other_content_in_other_words_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    site = write_site(tmp_path, "ocpp2.0.1")
    world = old_charger(site, "ocpp2.0.1")
    then, now = '"triggerReason":"RemoteStop"', '"triggerReason":"Trigger"'
    world.records = [{**record, "text": record["text"].replace(then, now)} for record in world.records]
    code, result = replayed(capsys, world.write(tmp_path / "day.jsonl"), site)
    assert code == 0
    assert "translated otherwise" in {item["what"] for item in result["differences"]}
