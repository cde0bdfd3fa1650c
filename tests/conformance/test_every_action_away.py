"""Every message of a station of every OCPP version while its CSMS is away, and what the CSMS hears when it is back.

Each is answered at once and validly, or with an error the version knows, exactly as ``link/policy`` says. What costs
money or evidence arrives afterwards, once, with every field it had; nothing else does but the boot and the present
state. Serves P1, P2; OCPP-NOTES 3.2, 4.2, 4.3; E12, 16 3.7.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from controller.link import policy
from controller.link.policy import Upstream, Verb
from tests.conformance.catalogue import SILENT, Catalogue, Exchange
from tests.conformance.directions import CALLS, CODES, UP
from tests.conformance.peers import bodies
from tests.conformance.wires import NAMES, VERSIONS, defaults, depot
from tests.support.yard import Peer, Yard, frames, free_port, until

pytestmark = pytest.mark.system

MUST_BE_KEPT = {
    "ocpp1.6": {"StartTransaction", "StopTransaction", "MeterValues"},
    "ocpp2.0.1": {"TransactionEvent"},
    "ocpp2.1": {"TransactionEvent", "NotifySettlement"},
}
"""Whatever else the table keeps: transaction-related messages (16 3.7, E12) and payments taken (C20)."""


@dataclass
class Outage:
    """What the stations sent, what they got, what the CSMSs heard afterwards."""

    sent: dict[str, list[Exchange]] = field(default_factory=dict)
    unanswered: dict[str, Any] = field(default_factory=dict)
    answers: dict[str, dict[str, list[Any]]] = field(default_factory=dict)
    arrived: dict[str, list[list[Any]]] = field(default_factory=dict)


async def live(folder: Path) -> Outage:
    """The stations talk while nobody is there; then the CSMSs start, until nothing waits any more."""
    outage, answers, ports = Outage(), defaults(folder), {version: free_port() for version in VERSIONS}
    data = depot(folder, ports)
    for upstream in data["upstreams"]:
        upstream.update(reconnect_min_s=0.2, reconnect_max_s=0.5)
    async with Yard(folder, data) as yard:
        await asyncio.gather(*(talk(outage, version, yard, folder, answers, ports[version]) for version in VERSIONS))
    for version, name in NAMES.items():
        heard = [json.loads(frame["text"]) for frame in frames(folder / f"{name}.jsonl") if frame["dir"] == "in"]
        outage.answers[version] = {frame[1]: frame for frame in heard if frame[0] in (3, 4)}
        outage.arrived[version] = [json.loads(frame["text"]) for frame in frames(folder / f"{name}-csms.jsonl") if frame["dir"] == "in"]
    return outage


async def talk(outage: Outage, version: str, yard: Yard, folder: Path, answers: Path, port: int) -> None:
    name = NAMES[version]
    made = outage.sent[version] = [exchange for exchange in Catalogue(version).exchanges(UP) if exchange.style in bodies.STYLES]
    station = Peer("wire_station.py", str(folder / f"{name}.jsonl"), str(answers), f"{yard.ocpp_url}/{name}", version)
    csms = Peer("wire_csms.py", str(folder / f"{name}-csms.jsonl"), str(answers), str(port), version)
    try:
        await station.start()
        outage.unanswered[version] = (await station.do(op="calls", texts=[exchange.text for exchange in made]))["unanswered"]
        await csms.start()
        await until(lambda: empty(yard, name), 60)
    except AssertionError as error:
        outage.unanswered[version] = repr(error)
    finally:
        await station.stop()
        await csms.stop()


async def empty(yard: Yard, name: str) -> bool:
    """Whether the station's CSMS is there and has acknowledged all."""
    links = (await yard.state())["links"]
    return any(link["station_id"] == name and link["upstream"] == "open" and link["queued"] == 0 for link in links)


@pytest.fixture(scope="module")
def outage(tmp_path_factory: pytest.TempPathFactory) -> Outage:
    """The one outage all tests of this file look at."""
    return asyncio.run(live(tmp_path_factory.mktemp("away")))


def verb(version: str, action: str) -> Verb:
    return policy.from_station(version, action, Upstream.AWAY)


@pytest.mark.parametrize("version", VERSIONS)
def test_money_and_evidence_are_kept(version: str) -> None:
    assert {action for action in CALLS[version][UP] if verb(version, action) is Verb.HOLD} >= MUST_BE_KEPT[version]


@pytest.mark.parametrize("version", VERSIONS)
def test_every_message_is_answered_as_the_table_says(outage: Outage, version: str, counted: Counter[tuple[str, str, str]]) -> None:
    assert outage.unanswered[version] == []
    calls = [exchange for exchange in outage.sent[version] if exchange.fate != SILENT]
    for exchange in calls:
        kind, _, *rest = outage.answers[version][exchange.message_id]
        shown = f"{exchange.action} {exchange.style}: {outage.answers[version][exchange.message_id]}"
        if verb(version, exchange.action) is Verb.REFUSE:
            assert kind == 4, shown
            assert rest[0] in CODES[version], shown
        else:
            assert kind == 3, shown
            bodies.check(version, f"{exchange.action}Response", rest[0])
    counted[version, UP, "while the CSMS is away"] = len(calls)


@pytest.mark.parametrize("version", VERSIONS)
def test_what_is_kept_arrives_once_and_whole(outage: Outage, version: str, counted: Counter[tuple[str, str, str]]) -> None:
    kept = [exchange for exchange in outage.sent[version] if exchange.fate != SILENT and verb(version, exchange.action) is Verb.HOLD]
    expected = [fingerprint(json.loads(exchange.text)) for exchange in kept]
    arrived = [fingerprint(frame) for frame in outage.arrived[version] if frame[0] == 2 and verb(version, frame[2]) is Verb.HOLD]
    assert Counter(arrived) == Counter(expected)
    counted[version, UP, "kept and sent later"] = len(kept)


def fingerprint(frame: list[Any]) -> str:
    """A CALL without what an outage rightly changes: its id, offline, the transaction id of 1.6 (seen in the stories)."""
    payload = {key: value for key, value in frame[3].items() if key != "offline"}
    if isinstance(payload.get("transactionId"), int):
        del payload["transactionId"]
    return json.dumps([frame[2], payload], sort_keys=True).replace("-0.0]", "0.0]")  # one number, two spellings


@pytest.mark.parametrize("version", ["ocpp2.0.1", "ocpp2.1"])
def test_transactions_arrive_in_order_and_marked_offline(outage: Outage, version: str) -> None:
    events = [frame[3] for frame in outage.arrived[version] if frame[0] == 2 and frame[2] == "TransactionEvent"]
    assert all(event["offline"] is True for event in events), "E11.FR.07"
    for transaction in {event["transactionInfo"]["transactionId"] for event in events}:
        kinds = [event["eventType"] for event in events if event["transactionInfo"]["transactionId"] == transaction]
        assert kinds == ["Started", "Updated", "Ended"]


@pytest.mark.parametrize("version", VERSIONS)
def test_of_the_rest_the_csms_hears_the_boot_and_the_present_only(outage: Outage, version: str) -> None:
    rest = [frame[2] for frame in outage.arrived[version] if frame[0] == 2 and verb(version, frame[2]) is not Verb.HOLD]
    assert next(frame[2] for frame in outage.arrived[version] if frame[0] == 2) == "BootNotification"
    assert Counter(rest) <= Counter({"BootNotification": 1, "StatusNotification": 3, "NotifyChargingLimit": 99, "ClearedChargingLimit": 99})
