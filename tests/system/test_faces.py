"""A running site changes over from pairs to one large station, and has both at once: real processes, every frame judged by its peer.

Three chargers of three versions. The old CSMS speaks 2.0.1 and sees each charger for itself, two of them translated; the new one sees one
large station. Peers are the matrix's: PyPI ``ocpp``, nothing of ours.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.yard import ROOT, Peer, Yard, frames, free_port, site, until

pytestmark = pytest.mark.system

VERSIONS = {"OLD16": "ocpp1.6", "MID201": "ocpp2.0.1", "NEW21": "ocpp2.1"}
DEPOT = "DEPOT-17"
SECRET = "0123456789abcdef0123456789abcdef01234567"


class Site:
    """The controller, two CSMSs and three chargers, each a process. pair, depot: the CSMSs' logs."""

    def __init__(self, folder: Path, **stations: str) -> None:
        self.folder = folder
        self.ports = {"pair": free_port(), "depot": free_port()}
        upstreams = [
            {"id": "pair", "url": f"ws://127.0.0.1:{self.ports['pair']}/ocpp", "versions": ["ocpp2.0.1"], "reconnect_min_s": 0.2},
            {"id": "depot", "url": f"ws://127.0.0.1:{self.ports['depot']}/ocpp", "face": "depot", "identity": DEPOT, "reconnect_min_s": 0.2},
        ]
        chargers = [
            {"id": name, "upstream": stations.get(name, "pair"), "evses": [{"id": 1, "max_current_a": 16, "fallback_a": 6}]} for name in VERSIONS
        ]
        self.yard = Yard(folder, site(folder, stations=chargers, upstreams=upstreams))
        self.peers: dict[str, Peer] = {}

    async def csms(self, name: str, version: str) -> None:
        self.peers[name] = Peer("matrix_csms.py", str(self.folder / f"{name}.jsonl"), str(self.ports[name]), "501", version)
        await self.peers[name].start()

    async def chargers(self) -> None:
        """All three dial and boot."""
        for name, version in VERSIONS.items():
            self.peers[name] = Peer("matrix_station.py", str(self.folder / f"{name}.jsonl"), f"{self.yard.ocpp_url}/{name}", version)
            assert (await self.peers[name].start())["subprotocol"] == version
            assert (await self.do(name, "boot"))["status"] == "Accepted"

    async def do(self, name: str, deed: str, **how: Any) -> dict[str, Any]:
        answer = await self.peers[name].do(do=deed, **how)
        assert "error" not in answer, f"{deed}: {answer}"
        result: dict[str, Any] = answer.get("result", answer)
        return result

    def heard(self, csms: str, name: str, *actions: str) -> list[dict[str, Any]]:
        """Payloads of the CALLs a CSMS has got under an identity."""
        entries = [entry for entry in frames(self.folder / f"{csms}.jsonl") if entry.get("name") == name and entry.get("dir") == "in"]
        return [frame[3] for entry in entries if (frame := json.loads(entry["text"]))[0] == 2 and frame[2] in actions]

    def states(self) -> dict[int, str]:
        """The newest state of each EVSE as the depot's CSMS knows it."""
        return {told["evseId"]: told["connectorStatus"] for told in self.heard("depot", DEPOT, "StatusNotification")}

    def states16(self) -> dict[int, str]:
        """The same, of a CSMS that speaks 1.6; connector 0 is the depot itself."""
        return {told["connectorId"]: told["status"] for told in self.heard("depot", DEPOT, "StatusNotification") if told["connectorId"]}

    def invalid(self) -> list[Any]:
        logs = (self.folder / f"{name}.jsonl" for name in self.peers)
        return [entry["invalid"] for log in logs for entry in frames(log) if "invalid" in entry]

    async def command(self, *words: str) -> str:
        """``yardmaster WORDS`` as a person types it: what it prints."""
        command = (sys.executable, "-m", "controller", *words, "--url", self.yard.api_url)
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, cwd=ROOT)
        printed, _ = await asyncio.wait_for(process.communicate(), 60)
        assert process.returncode == 0
        return printed.decode()

    async def upstream_of(self, name: str) -> tuple[str, str]:
        """(which CSMS a charger has, whether it is there), by the API."""
        state = await self.yard.state()
        move = next(move for move in state["moves"] if move["station_id"] == name)
        return move["current"], next(link["upstream"] for link in state["links"] if link["station_id"] == name)


@asynccontextmanager
async def running(folder: Path, depot_version: str = "ocpp2.1", **stations: str) -> AsyncIterator[Site]:
    here = Site(folder, **stations)
    try:
        await here.csms("pair", "ocpp2.0.1")
        await here.csms("depot", depot_version)
        async with here.yard:
            await here.chargers()
            yield here
    finally:
        for peer in here.peers.values():
            await peer.stop()


def kinds(events: list[dict[str, Any]]) -> list[tuple[str, int]]:
    return [(event["eventType"], event["seqNo"]) for event in events]


async def test_a_running_site_becomes_one_large_station_and_no_session_is_cut(tmp_path: Path) -> None:
    async with running(tmp_path) as here:
        await until(lambda: here.upstream_of("MID201"))
        await until(lambda: here.heard("pair", "MID201", "BootNotification"))
        await here.do("MID201", "plug")
        await here.do("MID201", "start", token="GOOD-1", wh=1000)

        printed = await here.command("face", "depot")
        assert "MID201               pair -> depot (said by the operator), waits: a charging session runs" in printed.splitlines()
        # Numbers follow the site file: 1 and 3 are there, 2 is kept for the charger that still charges.
        await until(lambda: here.states() == {1: "Available", 2: "Unavailable", 3: "Available"})

        await here.yard.kill()
        await here.yard.start()
        for name in VERSIONS:
            await here.do(name, "redial")
        await here.do("MID201", "values", wh=1100)
        assert await here.upstream_of("MID201") == ("pair", "open")
        await here.do("MID201", "status", word="Occupied")
        await here.do("MID201", "stop", wh=1200)
        await until(lambda: here.states().get(2) == "Occupied")
        assert await here.upstream_of("MID201") == ("depot", "open")

        await here.do("MID201", "start", token="GOOD-2", wh=1200)
        await here.do("OLD16", "start", token="GOOD-3", wh=500)
        await here.do("MID201", "stop", wh=1300)
        await here.do("OLD16", "stop", wh=700)
        await until(lambda: len(here.heard("depot", DEPOT, "TransactionEvent")) >= 4)

        first = here.heard("pair", "MID201", "TransactionEvent")
        assert kinds(first) == [("Started", 0), ("Updated", 1), ("Ended", 2)]
        assert len({event["transactionInfo"]["transactionId"] for event in first}) == 1
        later = here.heard("depot", DEPOT, "TransactionEvent")
        assert sorted(event["evse"]["id"] for event in later if event["eventType"] == "Started") == [1, 2]
        assert sum(event["eventType"] == "Ended" for event in later) == 2
        both = {event["transactionInfo"]["transactionId"] for event in first} & {event["transactionInfo"]["transactionId"] for event in later}
        assert not both
        assert {entry["name"] for entry in frames(tmp_path / "depot.jsonl") if "text" in entry} == {DEPOT}
        assert here.invalid() == []
        assert not [event for event in (await here.yard.state())["events"] if event["severity"] == "alarm"]


async def test_one_relayed_one_translated_and_one_in_the_depot(tmp_path: Path) -> None:
    """MID201 is relayed and OLD16 translated to the CSMS of 2.0.1; NEW21 is connector 1 of the depot at a CSMS of 1.6."""
    async with running(tmp_path, "ocpp1.6", NEW21="depot") as here:
        await until(lambda: here.states16() == {1: "Available"})
        with (tmp_path / "tap.jsonl").open("wb") as file:
            command = (sys.executable, "-m", "controller", "tap", "--json", "--url", here.yard.api_url)
            tap = await asyncio.create_subprocess_exec(*command, stdout=file, stderr=asyncio.subprocess.PIPE, cwd=ROOT)
            assert tap.stderr is not None
            await asyncio.wait_for(tap.stderr.readline(), 60)  # it says that it listens
            for name in VERSIONS:
                await here.do(name, "start", token="GOOD-1", wh=1000)
                await here.do(name, "stop", wh=1500)
            password = {"key": "AuthorizationKey", "value": SECRET}
            await here.peers["depot"].do(station=DEPOT, action="ChangeConfiguration", payload=password)
            await until(lambda: here.heard("depot", DEPOT, "StopTransaction"))
            await until(lambda: b"StopTransaction" in (tmp_path / "tap.jsonl").read_bytes())
            tap.terminate()
            await tap.wait()
        assert [(start["connectorId"], start["meterStart"]) for start in here.heard("depot", DEPOT, "StartTransaction")] == [(1, 1000)]
        assert kinds(here.heard("pair", "MID201", "TransactionEvent")) == [("Started", 0), ("Ended", 1)]
        # 1.6 tells that it charges with a status, which is an event of its own in 2.0.1.
        assert kinds(here.heard("pair", "OLD16", "TransactionEvent")) == [("Started", 0), ("Updated", 1), ("Ended", 2)]
        assert here.invalid() == []

        seen = frames(tmp_path / "tap.jsonl")
        fates = {(one["station"], one["leg"], one.get("action"), one.get("did")) for one in seen if one["way"] == "up" and one["kind"] == "CALL"}
        assert ("MID201", "station", "TransactionEvent", "relayed") in fates
        assert {("OLD16", "station", "StartTransaction", "translated"), ("OLD16", "csms", "TransactionEvent", "translated")} <= fates
        assert {("NEW21", "station", "TransactionEvent", "translated"), (DEPOT, "csms", "StartTransaction", "translated")} <= fates
        assert not [one for one in seen if one["leg"] == "csms" and one["station"] == "NEW21"]
        assert SECRET not in (tmp_path / "tap.jsonl").read_text()

        status = await here.command("status")
        assert f"as one    {DEPOT} at depot: accepted with ocpp1.6, waiting: nothing" in status.splitlines()
        assert [line.split()[:3] for line in status.splitlines() if "EVSE 1 " in line] == [["EVSE", "1", "NEW21/1"]]
