"""Moods of strangers: a CSMS that closes idle connections or keeps everybody pending, a station that tells things twice or leaves some out.

Peers are processes of their own made with PyPI ``ocpp``. Each story runs where nothing is translated and where something is.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.world import World, world
from tests.support.yard import until

pytestmark = pytest.mark.system

BOOT_16 = {"charge_point_vendor": "Indie", "charge_point_model": "One"}
BOOT_2 = {"reason": "PowerUp", "charging_station": {"vendor_name": "Indie", "model": "One"}}
NOW = "2026-11-21T10:00:00Z"
TOKEN = {"id_token": "GOOD-1", "type": "Local"}
V16, V201, V21 = "ocpp1.6", "ocpp2.0.1", "ocpp2.1"


async def cells(folder: Path, pairs: list[tuple[str, str]], story: Callable[[World], Awaitable[None]], *words: str) -> None:
    """The story for (station, CSMS) pairs, side by side: most of it is waiting."""

    async def one(station: str, csms: str) -> None:
        place = folder / f"{station}-{csms}"
        place.mkdir()
        async with world(place, station, csms, *words) as here:
            await story(here)

    async with asyncio.TaskGroup() as group:
        for station, csms in pairs:
            group.create_task(one(station, csms))


async def boot(here: World) -> str:
    """The station's boot; what the CSMS thinks of it."""
    return str((await here.call("BootNotification", **(BOOT_16 if here.version == V16 else BOOT_2)))["status"])


async def accepted(here: World) -> None:
    """It boots as often as it has to."""

    async def once() -> bool:
        return await boot(here) == "Accepted"

    await until(once)


async def charge(here: World, number: int = 1) -> None:
    """A whole session, the one of that number."""
    if here.version == V16:
        time = f"2026-11-21T1{number}:00:00Z"
        begun = await here.call("StartTransaction", connector_id=1, id_tag="GOOD-1", meter_start=1000, timestamp=time)
        await here.call("StopTransaction", transaction_id=begun["transaction_id"], meter_stop=1500, timestamp=time)
        return
    about = {"transaction_info": {"transaction_id": f"tx-{number}"}}
    await here.call("TransactionEvent", **event("Started", 0, 1000, id_token=TOKEN, **about))
    await here.call("TransactionEvent", **event("Ended", 1, 1500, **about))


def event(kind: str, number: int, value: int, **more: Any) -> dict[str, Any]:
    readings = [{"timestamp": NOW, "sampled_value": [{"value": value}]}]
    about = {"event_type": kind, "timestamp": NOW, "trigger_reason": "Trigger", "seq_no": number, "transaction_info": {"transaction_id": "tx-1"}}
    return {**about, "evse": {"id": 1, "connector_id": 1}, "meter_value": readings, **more}


def sold(here: World) -> list[Any]:
    """What the CSMS would bill: registers at the start and at the end, in the order they were told."""
    found: list[Any] = []
    for action, payload in here.at_csms("StartTransaction", "StopTransaction", "TransactionEvent"):
        kind = payload.get("eventType", {"StartTransaction": "Started", "StopTransaction": "Ended"}.get(action))
        values = [sample["value"] for entry in payload.get("meterValue", []) for sample in entry["sampledValue"]]
        value = payload.get("meterStart", payload.get("meterStop", values[-1] if values else None))
        if kind in ("Started", "Ended"):
            found.append((kind, value))
    return found


async def test_a_csms_that_closes_idle_connections_is_dialled_again_and_loses_nothing(tmp_path: Path) -> None:
    async def story(here: World) -> None:
        await accepted(here)
        for number in (1, 2):
            known = len(here.texts("csms.jsonl", "closed"))
            await until(lambda known=known: len(here.texts("csms.jsonl", "closed")) > known)
            await charge(here, number)
        await until(lambda: len(sold(here)) == 4)
        assert sold(here) == [("Started", 1000), ("Ended", 1500)] * 2
        assert await boot(here) == "Accepted", "the station itself has noticed nothing"

    await cells(tmp_path, [(V16, V16), (V201, V16), (V16, V201)], story, "idle:1")


async def test_a_csms_that_keeps_a_station_pending_reads_it_meanwhile_and_accepts_it_in_the_end(tmp_path: Path) -> None:
    async def story(here: World) -> None:
        assert await boot(here) == "Pending"

        async def read() -> bool:
            return await setting(here) == "42"

        await until(read)
        assert await boot(here) == "Pending", "asking does not make it accepted"
        await accepted(here)
        await charge(here)
        await until(lambda: len(sold(here)) == 2)
        assert sold(here) == [("Started", 1000), ("Ended", 1500)]

    await cells(tmp_path, [(V16, V16), (V201, V201), (V201, V16), (V16, V201)], story, "pending:3")


async def setting(here: World) -> str:
    """What the CSMS reads of the station."""
    if here.csms_version == V16:
        found = (await here.order("GetConfiguration", key=["HeartbeatInterval"]))["configuration_key"]
        return str(found[0]["value"])
    wanted = {"component": {"name": "OCPPCommCtrlr"}, "variable": {"name": "HeartbeatInterval"}}
    return str((await here.order("GetVariables", get_variable_data=[wanted]))["get_variable_result"][0]["attribute_value"])


async def test_a_stop_that_a_16_station_tells_again_and_again_is_one_stop(tmp_path: Path) -> None:
    """What comes again under a new id goes on (it is the CSMS's business, P8), but as the same stop: transaction, number, time, register."""

    async def story(here: World) -> None:
        await accepted(here)
        begun = await here.call("StartTransaction", connector_id=1, id_tag="GOOD-1", meter_start=1000, timestamp=NOW)
        stop = {"transaction_id": begun["transaction_id"], "meter_stop": 1500, "timestamp": "2026-11-21T10:05:00Z", "reason": "Local"}
        await here.call("StopTransaction", **stop)
        await here.unplug()
        await here.plug()
        await accepted(here)
        await here.call("StopTransaction", **stop)
        await here.call("StopTransaction", **stop)
        await charge(here, 2)
        await until(lambda: len(ends(here)) == 2)
        assert [entry for entry in sold(here) if entry[0] == "Started"] == [("Started", 1000)] * 2
        assert {value for kind, value in sold(here) if kind == "Ended"} == {1500}

    await cells(tmp_path, [(V16, V16), (V16, V201), (V16, V21)], story)


def ends(here: World) -> set[str]:
    """Ends of transactions that are different to the CSMS."""
    told = [payload for _, payload in here.at_csms("StopTransaction", "TransactionEvent") if payload.get("eventType", "Ended") == "Ended"]
    return {json.dumps({key: value for key, value in payload.items() if key != "offline"}, sort_keys=True) for payload in told}


async def test_events_of_an_offline_station_arrive_although_some_never_come(tmp_path: Path) -> None:
    """seqNo 2 and 3 are lost in the station: nobody invents them, nobody waits for them, and the register at the end counts."""

    async def story(here: World) -> None:
        await accepted(here)
        told = [event("Started", 0, 1000, id_token=TOKEN), event("Updated", 1, 1100), event("Updated", 4, 1400), event("Ended", 5, 1500)]
        for one in told:
            await here.call("TransactionEvent", **one, offline=True)
        await until(lambda: len(sold(here)) == 2)
        assert sold(here) == [("Started", 1000), ("Ended", 1500)]
        if here.csms_version != V16:
            seen = [(payload["seqNo"], payload["offline"]) for _, payload in here.at_csms("TransactionEvent")]
            assert seen == [(0, True), (1, True), (4, True), (5, True)]
        if here.csms_version == here.version:
            sent = [text for text in here.texts("station.jsonl", "out") if '"TransactionEvent"' in text]
            assert [text for text in here.texts("csms.jsonl", "in") if '"TransactionEvent"' in text] == sent, "byte for byte"

    await cells(tmp_path, [(V201, V201), (V201, V16), (V201, V21), (V21, V201)], story)
