"""A recording once more through the engine: the same again is good, a loss is exit code 1."""

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
from controller.orders import CloseUpstream, DialUpstream, ForgetRows, LoadRows, Order, Persist, SendStation, SendUpstream
from controller.paths import config_dir
from controller.sim.scenario import DEMO, DEMO_MIDNIGHT_WALL_S
from controller.sim.strategies import moments
from controller.sim.virtual import VirtualDay
from controller.tools.transcript import TranscriptWriter

MODELS = load_chargers(config_dir() / "chargers")
BOOT = {"reason": "PowerUp", "chargingStation": {"vendorName": "Acme", "model": "One"}}
START_WALL_S = 1_790_000_000.0
SPOKEN = Wires({("CP1", "station"): "ocpp2.0.1"})


def write_site(folder: Path, *stations: str, **more: Any) -> Path:
    data = {
        "site": {"id": "test"},
        "grid": {"fuse_a": 63, "worst_other_load_a": 10},
        "stations": [{"id": name, "evses": [{"id": 1, "max_current_a": 32, "fallback_a": 6}]} for name in stations or ("CP1",)],
        "upstreams": [{"id": "csms", "url": "ws://127.0.0.1:1/ocpp"}],
        "data_dir": str(folder / "data"),
        **more,
    }
    path = folder / "site.yaml"
    path.write_text(yaml.safe_dump(data))
    return path


class Tale:
    """One station, one CSMS and a real engine, told step by step and recorded as the tap would."""

    def __init__(self, site: Path) -> None:
        self.engine = Engine(load_config(site), "as recorded", MODELS)
        self.reader = Reader(SPOKEN)
        self.mono_s = 5000.0
        self.records: list[dict[str, Any]] = []
        self.sent: list[Order] = []
        self.answered: set[str] = set()
        self.leg = 0
        self.rows: dict[int, OutboxRow] = {}
        self.number = 0
        self.feed(Restored(self.at, {}, {}))

    @property
    def at(self) -> Stamp:
        return Stamp(self.mono_s, START_WALL_S + self.mono_s)

    def feed(self, fact: Fact) -> None:
        orders = self.engine.handle(fact)
        self.records += [seen.as_json() for seen in self.reader.read(fact, orders)]
        self.sent += orders
        for order in orders:
            match order:
                case DialUpstream():
                    self.leg = order.generation
                case CloseUpstream():
                    self.feed(UpstreamClosed(self.at, "CP1", order.generation, order.reason))
                case Persist():
                    stored = tuple(replace(row, number=self.number + index) for index, row in enumerate(order.rows, 1))
                    self.number += len(stored)
                    self.rows |= {row.number: row for row in stored}
                    self.feed(Persisted(self.at, order.token, stored))
                case LoadRows():
                    self.feed(RowsLoaded(self.at, "CP1", tuple(self.rows[number] for number in order.numbers), order.numbers))
                case ForgetRows():
                    for number in order.numbers:
                        self.rows.pop(number, None)

    def wait(self, seconds: int) -> None:
        for _ in range(seconds):
            self.mono_s += 1.0
            self.feed(TimePassed(self.at))

    def connect(self) -> None:
        self.feed(StationConnected(self.at, "CP1", 1, "ocpp2.0.1", "127.0.0.1", "/CP1"))

    def csms_is_back(self) -> None:
        self.feed(UpstreamOpened(self.at, "CP1", self.leg, "ocpp2.0.1"))

    def csms_is_gone(self) -> None:
        self.feed(UpstreamClosed(self.at, "CP1", self.leg, "network down"))

    def station(self, *frame: Any) -> None:
        self.mono_s += 0.1
        self.feed(StationFrame(self.at, "CP1", 1, json.dumps(frame)))

    def csms(self, *frame: Any) -> None:
        self.mono_s += 0.1
        self.feed(UpstreamFrame(self.at, "CP1", self.leg, json.dumps(frame)))

    def answer_ours(self, up: bool, payload: dict[str, Any]) -> bool:
        """Answer every CALL of Yardmaster's own that went up or down and has no answer yet; whether there was one."""
        kind = SendUpstream if up else SendStation
        calls = [json.loads(order.text) for order in self.sent if isinstance(order, kind)]
        open_calls = [call for call in calls if call[0] == 2 and len(call[1]) > 10 and call[1] not in self.answered]
        for call in open_calls:
            self.answered.add(call[1])
            (self.csms if up else self.station)(3, call[1], payload)
        return bool(open_calls)

    def settle(self) -> None:
        """The station accepts what Yardmaster writes into it, until it has no more to say."""
        self.wait(3)
        while self.answer_ours(False, {"status": "Accepted"}):
            self.wait(3)

    def write(self, path: Path) -> Path:
        writer = TranscriptWriter(path)
        start = {"site": "test", "yardmaster": "test", "wall_s": START_WALL_S + 5000.0, "mono_s": 5000.0, "wall_speed": 1.0, "stations": []}
        writer.header(start)
        for record in self.records:
            writer.record(record)
        writer.close()
        return path


def transaction(kind: str, seq: int) -> dict[str, Any]:
    return {
        "eventType": kind,
        "timestamp": "2026-09-21T16:00:00Z",
        "triggerReason": "CablePluggedIn",
        "seqNo": seq,
        "transactionInfo": {"transactionId": "tx-1", "chargingState": "Charging"},
        "evse": {"id": 1, "connectorId": 1},
    }


def a_day(site: Path) -> Tale:
    """Boot, a command, a session across an outage, the queue drained, a command with a profile."""
    tale = Tale(site)
    tale.connect()
    tale.csms_is_back()
    tale.station(2, "b1", "BootNotification", BOOT)
    tale.csms(3, "b1", {"currentTime": "2026-09-21T15:00:00Z", "interval": 300, "status": "Accepted"})
    tale.settle()
    tale.csms(2, "c1", "ChangeAvailability", {"operationalStatus": "Operative"})
    tale.station(3, "c1", {"status": "Accepted"})
    tale.station(2, "t0", "TransactionEvent", transaction("Started", 0))
    tale.csms(3, "t0", {})
    tale.settle()
    tale.csms_is_gone()
    tale.station(2, "t1", "TransactionEvent", transaction("Updated", 1))
    tale.station(2, "h1", "Heartbeat", {})
    tale.wait(20)
    tale.csms_is_back()
    tale.wait(5)
    while tale.answer_ours(True, {}):
        tale.wait(2)
    tale.settle()
    profile = {
        "id": 3,
        "stackLevel": 0,
        "chargingProfilePurpose": "TxProfile",
        "chargingProfileKind": "Relative",
        "chargingSchedule": [{"id": 1, "chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 10.0}]}],
    }
    token = {"idToken": "AABB", "type": "ISO14443"}
    tale.csms(2, "c2", "RequestStartTransaction", {"remoteStartId": 7, "evseId": 1, "idToken": token, "chargingProfile": profile})
    tale.station(3, "c2", {"status": "Accepted"})
    return tale


def replayed(capsys: pytest.CaptureFixture[str], recording: Path, site: Path, *more: str) -> tuple[int, dict[str, Any]]:
    code = main(["replay", str(recording), "--config", str(site), "--json", *more])
    result: dict[str, Any] = json.loads(capsys.readouterr().out)
    return code, result


def fates(result: dict[str, Any]) -> dict[tuple[str, str], int]:
    return {(fate["then"], fate["now"]): fate["count"] for fate in result["fates"]}


def test_the_same_engine_does_the_same_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    site = write_site(tmp_path)
    tale = a_day(site)
    assert {"relayed", "held", "answered", "changed", "ours"} <= {record.get("did") for record in tale.records}, "the tale has one of each"
    code, result = replayed(capsys, tale.write(tmp_path / "day.jsonl"), site)
    assert result["differences"] == []
    assert code == 0
    assert all(then == now for then, now in fates(result))
    assert fates(result)["relayed", "relayed"] >= 6
    assert fates(result)["held", "held"] == 1
    assert fates(result)["changed", "changed"] == 1
    assert result["waiting"] == 0
    assert result["own"]["then"] > 0


def test_a_recording_of_the_demo(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Ten stations of the demo for a quarter of an hour, simulated cars, recorded at the engine."""
    path = config_dir() / "site.demo.yaml"
    start_wall_s = DEMO_MIDNIGHT_WALL_S + 3600.0 * DEMO.start_h
    day = VirtualDay(load_config(path), DEMO, start_wall_s, MODELS)
    reader, records, handle = Reader(SPOKEN), list[dict[str, Any]](), day.engine.handle
    times: list[Stamp] = []

    def recorded(fact: Fact) -> list[Order]:
        orders = handle(fact)
        times.append(fact.at)
        records.extend(seen.as_json() for seen in reader.read(fact, orders))
        return orders

    day.engine.handle = recorded  # type: ignore[method-assign]
    for index, at in enumerate(moments(start_wall_s, 15 / 60)):
        if index == 0:
            day.begin(at)
        day.step(at)
    writer = TranscriptWriter(tmp_path / "demo.jsonl")
    first = times[0]
    writer.header(
        {"site": "demo", "yardmaster": "x", "wall_s": first.wall_s, "mono_s": first.mono_s, "wall_speed": first.wall_speed, "stations": []}
    )
    for record in records:
        writer.record(record)
    writer.close()
    code, result = replayed(capsys, tmp_path / "demo.jsonl", path)
    assert (code, result["differences"]) == (0, [])
    assert fates(result)["relayed", "relayed"] > 100
    assert {record["kind"] for record in records} >= {"OPENED", "CALL", "RESULT"}


def tampered(tale: Tale, change: Callable[[dict[str, Any]], dict[str, Any] | None]) -> None:
    tale.records = [other for record in tale.records if (other := change(dict(record))) is not None]


def test_a_station_that_is_not_in_the_site_file_loses_its_messages(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recording = a_day(write_site(tmp_path)).write(tmp_path / "day.jsonl")
    code, result = replayed(capsys, recording, write_site(tmp_path, "CP2"))
    assert code == 1
    assert result["bad"] is True
    lost = [item for item in result["differences"] if item["what"] == "lost"]
    assert {item["record"]["action"] for item in lost} >= {"BootNotification", "TransactionEvent", "ChangeAvailability"}


def test_a_command_that_was_relayed_and_now_meets_nobody_is_lost(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    site = write_site(tmp_path)
    tale = a_day(site)
    tampered(tale, lambda record: None if record["kind"] == "OPENED" and record["leg"] == "station" else record)
    code, result = replayed(capsys, tale.write(tmp_path / "day.jsonl"), site)
    assert code == 1
    assert {item["what"] for item in result["differences"] if item["bad"]} == {"lost"}


def test_a_text_that_went_on_untouched_and_now_does_not_is_bad(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As if the version that recorded it had passed the charging profile on to the station."""
    site = write_site(tmp_path)
    tale = a_day(site)
    came = next(record["text"] for record in tale.records if record.get("id") == "c2" and record["leg"] == "csms")
    tampered(tale, lambda record: {**record, "text": came} if record.get("id") == "c2" and record["kind"] == "CALL" else record)
    code, result = replayed(capsys, tale.write(tmp_path / "day.jsonl"), site)
    assert code == 1
    (item,) = [item for item in result["differences"] if item["bad"]]
    assert (item["what"], item["then"]) == ("text altered", "relayed")
    assert "chargingProfile" not in item["now"]


def test_another_treatment_is_told_and_no_loss(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The site file has no CSMS any more: what was relayed is answered here now."""
    recording = a_day(write_site(tmp_path)).write(tmp_path / "day.jsonl")
    code, result = replayed(capsys, recording, write_site(tmp_path, upstreams=[]))
    told = {item["what"] for item in result["differences"]}
    assert "treated otherwise" in told
    commands = [item for item in result["differences"] if item["bad"]]
    assert {item["record"]["leg"] for item in commands} <= {"csms"}, "only the CSMS's own commands have nowhere to go"
    assert code == (1 if commands else 0)


def test_a_recording_from_the_middle(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The header tells who was there; an answer whose question came before is left out."""
    site = write_site(tmp_path)
    tale = a_day(site)
    begin = next(index for index, record in enumerate(tale.records) if record.get("id") == "t0" and record["kind"] == "RESULT")
    path = tmp_path / "middle.jsonl"
    first = tale.records[begin]
    writer = TranscriptWriter(path)
    state = {"station": "CP1", "version": "ocpp2.0.1", "online": True, "upstream": "open"}
    writer.header({**first, "site": "test", "yardmaster": "x", "wall_speed": 1.0, "stations": [state]})
    for index, record in enumerate(tale.records[begin:]):
        writer.record({**record, "action": ""} if index < 1 else record)
    writer.close()
    code, result = replayed(capsys, path, site)
    assert (code, [item for item in result["differences"] if item["bad"]]) == (0, [])
    assert result["left_out"] == 1


def test_what_a_person_reads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    site = write_site(tmp_path)
    recording = a_day(site).write(tmp_path / "day.jsonl")
    assert main(["replay", str(recording), "--config", str(site), "--sent"]) == 0
    told = capsys.readouterr().out
    assert "result     nothing lost, no relayed text altered" in told
    assert "relayed then and now" in told
    assert " → csms " in told, "with --sent, what Yardmaster sends"
    assert main(["replay", str(recording), "--config", str(write_site(tmp_path, "CP2"))]) == 1
    told = capsys.readouterr().out
    assert "!! lost:" in told
    assert "messages would be lost or altered" in told


def test_one_station_of_many(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    site = write_site(tmp_path)
    recording = a_day(site).write(tmp_path / "day.jsonl")
    assert replayed(capsys, recording, site, "--station", "CP1")[0] == 0
    assert main(["replay", str(recording), "--config", str(site), "--station", "CP9"]) == 1
    assert "CP9 is not in this recording" in capsys.readouterr().err


@pytest.mark.parametrize("content", ["", "hello", '{"transcript":1}\n{"x":1}\n'])
def test_a_bad_file_is_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str) -> None:
    (tmp_path / "bad.jsonl").write_text(content)
    assert main(["replay", str(tmp_path / "bad.jsonl"), "--config", str(write_site(tmp_path))]) == 1
    told = capsys.readouterr().err
    assert told.startswith("yardmaster: ")
    assert "Traceback" not in told


def test_a_bad_site_file_is_told_as_check_tells_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recording = a_day(write_site(tmp_path)).write(tmp_path / "day.jsonl")
    assert main(["replay", str(recording), "--config", str(write_site(tmp_path, nonsense=1))]) == 1
    assert "nonsense" in capsys.readouterr().err


def test_who_is_translated_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recording = tmp_path / "day.jsonl"
    stations = [{"station": name, "version": "ocpp2.0.1", "online": True, "upstream": "open"} for name in ("CP1", "CP2")]
    head = {"transcript": 1, "site": "test", "wall_s": START_WALL_S, "mono_s": 0.0, "wall_speed": 1.0, "stations": stations}
    seen = {"wall_s": START_WALL_S + 1, "mono_s": 1.0, "leg": "station", "way": "up", "kind": "CALL", "action": "Heartbeat", "hidden": False}
    rows = [{**seen, "station": "CP2", "id": "h", "did": "translated", "text": '[2,"h","Heartbeat",{}]'}]
    rows.append({**seen, "station": "DEPOT", "leg": "csms", "id": "d", "did": "translated", "text": '[2,"d","Heartbeat",{}]'})
    recording.write_text("".join(json.dumps(row) + "\n" for row in (head, *rows)), encoding="utf-8")
    assert main(["replay", str(recording), "--config", str(write_site(tmp_path, "CP1", "CP2"))]) == 0
    printed = capsys.readouterr().out
    assert "translated CP2, DEPOT: compared by content" in printed
    assert "2 records" in printed
