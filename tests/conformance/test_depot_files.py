"""One large station over real sockets: three chargers, one of each version, below a CSMS of each version; files over real HTTP.

What the chargers fetch and put is real: they run in processes of their own and know nothing of Yardmaster but the addresses they are
given. Yardmaster is killed in the middle of each transfer and must end it, once, in the order the documents want.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.support.yard import Peer, Yard, frames, free_port, site, until

pytestmark = pytest.mark.system

CHARGERS = {"CP16": "ocpp1.6", "CP201": "ocpp2.0.1", "CP21": "ocpp2.1"}
FIRMWARE = b"firmware of the matrix " * 1000
MD5 = hashlib.md5(FIRMWARE).hexdigest()
DEPOT = "DEPOT"


class Site:
    """All processes."""

    def __init__(self, folder: Path, yard: Yard, csms: Peer, web: str, chargers: dict[str, Peer]) -> None:
        self.folder, self.yard, self.csms, self.web, self.chargers = folder, yard, csms, web, chargers

    async def order(self, action: str, payload: dict[str, Any]) -> dict[str, Any]:
        """A CALL of the CSMS."""
        answer = await self.csms.do(station=DEPOT, action=action, payload=payload)
        assert "error" not in answer, f"{action}: {answer}"
        result: dict[str, Any] = answer["result"]
        return result

    async def up(self) -> bool:
        """Whether everybody is connected, and the CSMS hears the depot."""
        links = (await self.yard.state())["links"]
        return all(link["online"] and link["upstream"] == "open" for link in links)

    async def killed(self) -> None:
        """kill -9 of Yardmaster, a new start, and all chargers dial again."""
        await self.yard.kill()
        await self.yard.start()
        for charger in self.chargers.values():
            await charger.do(do="dial")
        await until(self.up)

    def heard(self, *actions: str) -> list[dict[str, Any]]:
        """What the CSMS has heard."""
        read = [json.loads(entry["text"]) for entry in frames(self.folder / "csms.jsonl") if entry.get("dir") == "in"]
        return [frame[3] for frame in read if frame[0] == 2 and frame[2] in actions]

    def web_log(self, word: str) -> list[str]:
        """Paths the CSMS's web server has met."""
        return [entry[word] for entry in frames(self.folder / "csms.jsonl") if word in entry]

    def invalid(self) -> list[Any]:
        """Frames of ours that broke a schema."""
        logs = ["csms.jsonl", *(f"{name}.jsonl" for name in CHARGERS)]
        return [entry["invalid"] for log in logs for entry in frames(self.folder / log) if "invalid" in entry]


@asynccontextmanager
async def running(folder: Path, upstream: str) -> AsyncIterator[Site]:
    """Three chargers that have booted, and a CSMS that has accepted the depot."""
    port = free_port()
    csms = Peer("matrix_csms.py", str(folder / "csms.jsonl"), str(port), "9001", upstream)
    web = (await csms.start())["web"]
    policy = {"firmware_models": ["generic"], "firmware_parallel": 3, "status_wait_s": 0.2, "site_values_s": 0}
    up = {"id": "csms", "url": f"ws://127.0.0.1:{port}/ocpp", "reconnect_min_s": 0.2, "reconnect_max_s": 0.5, "face": "depot", "identity": DEPOT}
    stations = [{"id": name, "evses": [{"id": 1, "max_current_a": 16, "fallback_a": 0}]} for name in CHARGERS]
    data = site(folder, stations=stations, upstreams=[{**up, "depot": policy}], files={"host": "127.0.0.1", "port": free_port()})
    chargers: dict[str, Peer] = {}
    async with Yard(folder, data) as yard:
        try:
            for name, version in CHARGERS.items():
                chargers[name] = Peer("matrix_station.py", str(folder / f"{name}.jsonl"), f"{yard.ocpp_url}/{name}", version)
                await chargers[name].start()
                await chargers[name].do(do="boot")
            here = Site(folder, yard, csms, web, chargers)
            await until(here.up)
            yield here
        finally:
            for peer in (csms, *chargers.values()):
                await peer.stop()


# -- firmware ------------------------------------------------------------------------------------------------


async def published(here: Site, request_id: int) -> list[tuple[str, Any]]:
    """(status, addresses) of a PublishFirmware when it has ended."""

    def told() -> list[tuple[str, Any]]:
        heard = here.heard("PublishFirmwareStatusNotification")
        return [(one["status"], one.get("location")) for one in heard if one.get("requestId") == request_id]

    ends = ("Published", "DownloadFailed", "InvalidChecksum", "PublishFailed")
    await until(lambda: told() and told()[-1][0] in ends)
    return told()


async def get(url: str) -> tuple[int, bytes]:
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        return response.status, await response.read()


async def firmware(here: Site) -> None:
    """Loaded once, though Yardmaster is killed in the middle; every charger fetches it here; then it is gone."""
    assert await here.order("UnpublishFirmware", {"checksum": MD5}) == {"status": "NoFirmware"}
    request = {"location": f"{here.web}/slow/fw.bin", "checksum": MD5, "requestId": 7}
    assert (await here.order("PublishFirmware", request))["status"] == "Accepted"
    await until(lambda: here.web_log("download"))
    assert await here.order("UnpublishFirmware", {"checksum": MD5}) == {"status": "DownloadOngoing"}
    await here.killed()
    await until(lambda: len(here.web_log("download")) == 2)
    (here.folder / "go").touch()
    told = await published(here, 7)
    # L03: every change once and in order, and at the end all addresses; the kill is no change.
    assert [status for status, _ in told] == ["Downloading", "Downloaded", "ChecksumVerified", "Published"]
    (url,) = told[-1][1]
    assert await get(url) == (200, FIRMWARE)
    # An UpdateFirmware with that address: the chargers of the configured models take it from here.
    order = {"requestId": 8, "firmware": {"location": url, "retrieveDateTime": "2026-01-01T00:00:00Z"}}
    assert await here.order("UpdateFirmware", order) == {"status": "Accepted"}
    await until(lambda: any(one["status"] == "Installed" for one in here.heard("FirmwareStatusNotification")))
    states = here.heard("FirmwareStatusNotification")
    assert {one["requestId"] for one in states} == {8}
    assert [one["status"] for one in states].count("Installed") == 1
    assert states[-1]["statusInfo"]["additionalInfo"] == "3 of 3 chargers installed"
    assert len(here.web_log("download")) == 2, "nobody but Yardmaster has fetched it from the CSMS"
    assert await here.order("UnpublishFirmware", {"checksum": MD5}) == {"status": "Unpublished"}
    await until(lambda: unreachable(url))


async def other_firmware(here: Site) -> None:
    """What is not what was announced is not published."""
    request = {"location": f"{here.web}/fw.bin", "checksum": "0" * 32, "requestId": 9}
    assert (await here.order("PublishFirmware", request))["status"] == "Accepted"
    assert [status for status, _ in await published(here, 9)] == ["Downloading", "Downloaded", "InvalidChecksum"]
    assert (await here.order("PublishFirmware", {**request, "location": "file:///etc/passwd"}))["status"] == "Rejected"


async def reachable(url: str) -> bool:
    try:
        return (await get(url))[0] == 200
    except aiohttp.ClientError:
        return False


async def unreachable(url: str) -> bool:
    return not await reachable(url)


# -- logs ------------------------------------------------------------------------------------------------------


def asked(upstream: str, url: str, request_id: int, kind: str = "DiagnosticsLog") -> tuple[str, dict[str, Any]]:
    if upstream == "ocpp1.6":
        return "GetDiagnostics", {"location": url, "retries": 3, "retryInterval": 1}
    return "GetLog", {"logType": kind, "requestId": request_id, "log": {"remoteLocation": url}, "retries": 3, "retryInterval": 1}


def log_states(here: Site) -> list[tuple[str, Any]]:
    return [(one["status"], one.get("requestId")) for one in here.heard("LogStatusNotification", "DiagnosticsStatusNotification")]


def upload(here: Site, name: str) -> dict[str, bytes]:
    """What is in the zip that came."""
    (path,) = [path for path in (here.folder / "uploads").iterdir() if path.name.endswith(name)]
    body = path.read_bytes()
    with zipfile.ZipFile(io.BytesIO(body[body.index(b"PK\x03\x04") :])) as archive:
        return {entry: archive.read(entry) for entry in archive.namelist()}


async def logs(here: Site, upstream: str, kind: str) -> None:
    """Yardmaster is killed in the middle of the upload: the logs are collected and sent again."""
    action, request = asked(upstream, f"{here.web}/slow/log.zip", 31, kind)
    answer = await here.order(action, request)
    assert (answer.get("filename") or answer["fileName"]).startswith(f"DEPOT-{kind}-")
    await until(lambda: here.web_log("begun"))
    await here.killed()
    (here.folder / "go").touch()
    await until(lambda: any(status == "Uploaded" for status, _ in log_states(here)))
    number = None if upstream == "ocpp1.6" else 31
    assert log_states(here) == [("Uploading", number), ("Uploaded", number)]
    check_logs(upload(here, "log.zip"), kind)


def check_logs(held: dict[str, bytes], kind: str) -> None:
    """Everybody's log is there."""
    manifest = {one["id"]: one for one in json.loads(held["manifest.json"])["chargers"]}
    assert sorted(manifest) == sorted(CHARGERS)
    for name, one in manifest.items():
        assert one["state"] == "complete", (name, kind, one)
        (file,) = one["files"]
        assert held[file] in (b"log of the station", b"diagnostics of the station")
    assert b"site test" in held["yardmaster-events.txt"]


async def logs_again(here: Site, upstream: str, kind: str) -> None:
    """The server refuses twice; there are retries. No log holds the address's password or a driver's card."""
    before = len(log_states(here))
    await here.chargers["CP16"].do(do="authorize", token="GOOD-CARD")
    await here.chargers["CP21"].do(do="authorize", token="BAD-CARD")
    action, request = asked(upstream, f"{here.web}/busy/again.zip".replace("//", "//me:hunter2@", 1), 32, kind)
    await here.order(action, request)
    await until(lambda: [status for status, _ in log_states(here)[before:]] == ["Uploading", "Uploaded"])
    held = upload(here, "again.zip")
    check_logs(held, kind)
    told = b"".join(held.values()) + here.yard.log.read_bytes()
    assert not [secret for secret in (b"hunter2", b"GOOD-CARD", b"BAD-CARD") if secret in told]


async def logs_superseded(here: Site) -> None:
    """A second request ends the first; what a server forbids is told."""
    (here.folder / "go").unlink(missing_ok=True)
    before, begun = len(log_states(here)), len(here.web_log("begun"))
    action, request = asked("ocpp2.1", f"{here.web}/slow/first.zip", 41)
    assert (await here.order(action, request))["status"] == "Accepted"
    await until(lambda: len(here.web_log("begun")) > begun)
    action, request = asked("ocpp2.1", f"{here.web}/form/second.zip", 42)  # its server takes forms only
    assert (await here.order(action, request))["status"] == "AcceptedCanceled"
    await until(lambda: log_states(here)[-1] == ("Uploaded", 42))
    assert log_states(here)[before:] == [("Uploading", 41), ("AcceptedCanceled", 41), ("Uploading", 42), ("Uploaded", 42)]
    check_logs(upload(here, "second.zip"), "DiagnosticsLog")
    action, request = asked("ocpp2.1", f"{here.web}/no/third.zip", 43)
    await here.order(action, request)
    await until(lambda: log_states(here)[-1] == ("PermissionDenied", 43))
    (here.folder / "go").touch()


# -- device model ------------------------------------------------------------------------------------------------


def variable(component: str, name: str, instance: str = "", **more: Any) -> dict[str, Any]:
    return {"component": {"name": component, **({"instance": instance} if instance else {})}, "variable": {"name": name}, **more}


def items(here: Site, request_id: int) -> list[dict[str, Any]] | None:
    """A report when it is whole."""
    pages = [one for one in here.heard("NotifyReport") if one["requestId"] == request_id]
    if not pages or pages[-1].get("tbc", False):
        return None
    assert [page["seqNo"] for page in pages] == list(range(len(pages)))
    return [item for page in pages for item in page.get("reportData", [])]


async def device_model(here: Site) -> None:
    """Of the depot, and of each charger."""
    assert await here.order("GetBaseReport", {"requestId": 1, "reportBase": "FullInventory"}) == {"status": "Accepted"}
    whole = await until(lambda: items(here, 1))
    owners = {(item["component"]["name"], item["component"].get("instance", "")) for item in whole}
    assert {("SampledDataCtrlr", ""), ("LocalController", "")} <= owners
    assert {("SampledDataCtrlr", name) for name in CHARGERS} <= owners  # each charger's own components, of every version
    assert {item["component"]["evse"]["id"] for item in whole if item["component"]["name"] == "EVSE"} == {1, 2, 3}
    for request_id, base in ((2, "SummaryInventory"), (3, "ConfigurationInventory")):
        assert await here.order("GetBaseReport", {"requestId": request_id, "reportBase": base}) == {"status": "Accepted"}
        assert await until(lambda request_id=request_id: items(here, request_id))
    wanted = {"requestId": 4, "componentVariable": [{"component": {"name": "SampledDataCtrlr"}, "variable": {"name": "TxUpdatedInterval"}}]}
    assert await here.order("GetReport", wanted) == {"status": "Accepted"}
    assert len(await until(lambda: items(here, 4))) == 1 + len(CHARGERS)
    nothing = {"requestId": 5, "componentVariable": [{"component": {"name": "Nothing"}}]}
    assert await here.order("GetReport", nothing) == {"status": "EmptyResultSet"}
    asked_for = [
        variable("SampledDataCtrlr", "TxUpdatedInterval"),
        *[variable("SampledDataCtrlr", "TxUpdatedInterval", name) for name in CHARGERS],
        variable("Nothing", "X"),
        variable("ChargingStation", "Nothing"),
        variable("ChargingStation", "Model", attributeType="Target"),
        variable("SecurityCtrlr", "BasicAuthPassword"),
    ]
    answer = await here.order("GetVariables", {"getVariableData": asked_for})
    found = [(one["attributeStatus"], one.get("attributeValue")) for one in answer["getVariableResult"]]
    assert found[:4] == [("Accepted", "60")] * 4
    assert [status for status, _ in found[4:]] == ["UnknownComponent", "UnknownVariable", "NotSupportedAttributeType", "Rejected"]
    writes = [
        variable("SampledDataCtrlr", "TxUpdatedInterval", "CP16", attributeValue="44"),
        variable("SampledDataCtrlr", "TxUpdatedInterval", "CP21", attributeValue="45"),
        variable("ChargingStation", "Model", attributeValue="mine"),
        variable("SampledDataCtrlr", "TxUpdatedInterval", attributeValue="ten"),
    ]
    answer = await here.order("SetVariables", {"setVariableData": writes})
    assert [one["attributeStatus"] for one in answer["setVariableResult"]] == ["Accepted", "Accepted", "Rejected", "Rejected"]
    values = [set((await charger.do(do="state"))["settings"].values()) for charger in here.chargers.values()]
    assert ("44" in values[0], "60" in values[1], "45" in values[2]) == (True, True, True)


async def monitors_set(here: Site) -> list[int]:
    """Set on the depot's own variables; their numbers."""
    watch = [
        {**variable("ChargingStation", "Power"), "type": "Periodic", "value": 1, "severity": 6},
        {**variable("LocalController", "Count"), "type": "Delta", "value": 1, "severity": 5},
        {**variable("ChargingStation", "Model"), "type": "Delta", "value": 1, "severity": 5},
        {**variable("Nothing", "X"), "type": "Delta", "value": 1, "severity": 5},
    ]
    watch[1]["variable"] = {"name": "Count", "instance": "ChargersOnline"}
    answer = (await here.order("SetVariableMonitoring", {"setMonitoringData": watch}))["setMonitoringResult"]
    assert [one["status"] for one in answer] == ["Accepted", "Accepted", "UnsupportedMonitorType", "UnknownComponent"]
    numbers = [one["id"] for one in answer if "id" in one]
    await until(lambda: len(events(here, numbers[0])) >= 2)
    assert {event["trigger"] for event in events(here, numbers[0])} == {"Periodic"}
    return numbers


def events(here: Site, number: int) -> list[dict[str, Any]]:
    """Of one monitor."""
    return [event for one in here.heard("NotifyEvent") for event in one["eventData"] if event.get("variableMonitoringId") == number]


async def monitors_cleared(here: Site, numbers: list[int]) -> None:
    """They speak still, after all that has happened, until they are cleared."""
    before = len(events(here, numbers[0]))
    await until(lambda: len(events(here, numbers[0])) > before)
    await here.chargers["CP21"].stop()
    await until(lambda: events(here, numbers[1]))
    assert events(here, numbers[1])[-1]["trigger"] == "Delta"
    assert await here.order("GetMonitoringReport", {"requestId": 9, "monitoringCriteria": ["PeriodicMonitoring"]}) == {"status": "Accepted"}
    (page,) = await until(lambda: here.heard("NotifyMonitoringReport"))
    assert [rule["id"] for rule in page["monitor"][0]["variableMonitoring"]] == numbers[:1]
    answer = await here.order("ClearVariableMonitoring", {"id": [*numbers, 999_999]})
    assert [one["status"] for one in answer["clearMonitoringResult"]] == ["Accepted", "Accepted", "NotFound"]
    assert len({event["eventId"] for one in here.heard("NotifyEvent") for event in one["eventData"]}) == sum(
        len(one["eventData"]) for one in here.heard("NotifyEvent")
    ), "an event's number never comes again"


# -- the tests -----------------------------------------------------------------------------------------------------


async def test_a_day_below_a_21_csms(tmp_path: Path) -> None:
    async with running(tmp_path, "ocpp2.1") as here:
        numbers = await monitors_set(here)
        await firmware(here)
        await other_firmware(here)
        await logs_superseded(here)
        await monitors_cleared(here, numbers)
        assert here.invalid() == []


async def test_a_day_below_a_201_csms(tmp_path: Path) -> None:
    async with running(tmp_path, "ocpp2.0.1") as here:
        await device_model(here)
        await logs_again(here, "ocpp2.0.1", "SecurityLog")
        assert here.invalid() == []


async def test_a_day_below_a_16_csms(tmp_path: Path) -> None:
    async with running(tmp_path, "ocpp1.6") as here:
        await logs(here, "ocpp1.6", "DiagnosticsLog")
        await logs_again(here, "ocpp1.6", "DiagnosticsLog")
        assert here.invalid() == []
