"""One cell of the matrix: a station of one version, a face, a CSMS of one version, each peer in a process of its own.

The site has two stations in its file, so that the station of the story is EVSE 3 of the depot face; the other one never comes, and
is of another model, for which no firmware is meant.
``Csms16`` and ``Csms2`` speak the CSMS's own words; ``view`` is what the CSMS saw, in words that have no version.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.support.yard import Peer, Yard, frames, free_port, site, until

VERSIONS = ("ocpp1.6", "ocpp2.0.1", "ocpp2.1")
FACES = ("pair", "depot")
STATION = "CP1"
DEPOT = "DEPOT"
ENERGY = "Energy.Active.Import.Register"
STATIONS = [
    {"id": "OTHER", "model": "watts_only", "evses": [{"id": evse_id, "max_current_a": 32, "fallback_a": 0} for evse_id in (1, 2)]},
    {"id": STATION, "evses": [{"id": 1, "max_current_a": 32, "fallback_a": 6}]},
]


class Cell:
    """The three processes. place: the EVSE or connector number at the CSMS; name: the identity there."""

    def __init__(self, folder: Path, station: str, face: str, upstream: str, yard: Yard, port: int) -> None:
        self.folder, self.station_version, self.face, self.upstream = folder, station, face, upstream
        self.yard, self.port = yard, port
        self.name, self.place = (STATION, 1) if face == "pair" else (DEPOT, 3)
        self.station: Peer | None = None
        self.csms: Peer | None = None
        self.web = ""
        self.words: Csms16 | Csms2 = Csms16(self) if upstream == "ocpp1.6" else Csms2(self)

    # -- processes ------------------------------------------------------------------------------------

    async def csms_on(self, first: int = 9001) -> None:
        """Start the CSMS; first: its first transaction id in 1.6."""
        self.csms = Peer("matrix_csms.py", str(self.folder / "csms.jsonl"), str(self.port), str(first), self.upstream)
        self.web = (await self.csms.start())["web"]

    async def csms_off(self) -> None:
        """kill -9 of the CSMS; returns when Yardmaster has noticed."""
        assert self.csms is not None
        await self.csms.stop()
        await until(lambda: self.upstream_is("away"))

    async def plug_in(self) -> None:
        """The station's process starts and dials."""
        self.station = Peer("matrix_station.py", str(self.folder / "station.jsonl"), f"{self.yard.ocpp_url}/{STATION}", self.station_version)
        assert (await self.station.start())["subprotocol"] == self.station_version

    async def stop(self) -> None:
        """End both peers."""
        for peer in (self.station, self.csms):
            if peer is not None:
                await peer.stop()

    async def link(self) -> dict[str, Any]:
        """Yardmaster's own view of the station's links."""
        links = (await self.yard.state())["links"]
        return next(link for link in links if link["station_id"] == STATION)

    async def upstream_is(self, state: str) -> bool:
        """Whether Yardmaster says so of the station's upstream."""
        return bool((await self.link())["upstream"] == state)

    async def settled(self) -> bool:
        """Whether the CSMS has everything."""
        link = await self.link()
        return bool(link["upstream"] == "open" and link["queued"] == 0)

    # -- what is done -------------------------------------------------------------------------------------

    async def do(self, deed: str, **how: Any) -> dict[str, Any]:
        """A deed of the station; its result, fails on CALLERROR."""
        assert self.station is not None
        answer = await self.station.do(do=deed, **how)
        assert "error" not in answer, f"{deed}: {answer}"
        result: dict[str, Any] = answer.get("result", answer)
        return result

    async def order(self, action: str, payload: dict[str, Any]) -> dict[str, Any]:
        """A CALL of the CSMS; its result, fails on CALLERROR."""
        assert self.csms is not None
        answer = await self.csms.do(station=self.name, action=action, payload=payload)
        assert "error" not in answer, f"{action} {payload}: {answer}"
        result: dict[str, Any] = answer["result"]
        return result

    async def station_has(self, check: Callable[[dict[str, Any]], bool]) -> None:
        """Wait until the station's state passes a check."""

        async def passes() -> bool:
            return check(await self.do("state"))

        await until(passes)

    # -- what was seen ----------------------------------------------------------------------------------------

    def at_csms(self, *actions: str) -> list[tuple[str, dict[str, Any]]]:
        """(action, payload) of the CALLs the CSMS has got under the identity of this cell."""
        return self._calls("csms.jsonl", self.name, actions)

    def at_station(self, *actions: str) -> list[tuple[str, dict[str, Any]]]:
        """The same of the station."""
        return self._calls("station.jsonl", STATION, actions)

    def invalid(self) -> list[Any]:
        """Frames of Yardmaster that broke the schemas of their version, as the peers judged them."""
        return [entry["invalid"] for log in ("csms.jsonl", "station.jsonl") for entry in frames(self.folder / log) if "invalid" in entry]

    def names(self) -> set[str]:
        """All identities the CSMS has met."""
        return {entry["name"] for entry in frames(self.folder / "csms.jsonl") if "text" in entry}

    def _calls(self, log: str, name: str, actions: tuple[str, ...]) -> list[tuple[str, dict[str, Any]]]:
        entries = [entry for entry in frames(self.folder / log) if entry["name"] == name and entry.get("dir") == "in"]
        read = [json.loads(entry["text"]) for entry in entries]
        return [(frame[2], frame[3]) for frame in read if frame[0] == 2 and (not actions or frame[2] in actions)]


# -- the CSMS's words -----------------------------------------------------------------------------------------


class Csms16:
    """A 1.6 CSMS."""

    def __init__(self, cell: Cell) -> None:
        self.cell = cell

    async def limit(self, amps: float) -> str:
        schedule = {"chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": amps}]}
        profile = {"chargingProfileId": 7, "stackLevel": 1, "chargingProfilePurpose": "TxProfile", "chargingProfileKind": "Relative"}
        profile |= {"transactionId": self.running(), "chargingSchedule": schedule}
        return await self._status("SetChargingProfile", {"connectorId": self.cell.place, "csChargingProfiles": profile})

    def running(self) -> Any:
        answers = [json.loads(entry["text"]) for entry in frames(self.cell.folder / "csms.jsonl") if entry.get("dir") == "out"]
        return [frame[2]["transactionId"] for frame in answers if frame[0] == 3 and "transactionId" in frame[2]][-1]

    async def stop(self) -> str:
        return await self._status("RemoteStopTransaction", {"transactionId": self.running()})

    async def start(self, token: str) -> str:
        return await self._status("RemoteStartTransaction", {"idTag": token, "connectorId": self.cell.place})

    async def read(self) -> str:
        answer = await self.cell.order("GetConfiguration", {"key": ["MeterValueSampleInterval"]})
        return str(answer["configurationKey"][0]["value"])

    async def write(self, value: str) -> str:
        return await self._status("ChangeConfiguration", {"key": "MeterValueSampleInterval", "value": value})

    async def send_list(self, version: int, *tokens: str) -> str:
        entries = [{"idTag": token, "idTagInfo": {"status": "Accepted"}} for token in tokens]
        return await self._status("SendLocalList", {"listVersion": version, "updateType": "Full", "localAuthorizationList": entries})

    async def list_version(self) -> int:
        return int((await self.cell.order("GetLocalListVersion", {}))["listVersion"])

    async def firmware(self, url: str) -> str:
        await self.cell.order("UpdateFirmware", {"location": url, "retrieveDate": "2026-01-01T00:00:00Z"})
        return "Accepted"

    async def logs(self, url: str) -> str:
        return "Accepted" if "fileName" in await self.cell.order("GetDiagnostics", {"location": url}) else "Rejected"

    async def reset(self) -> str:
        return await self._status("Reset", {"type": "Soft"})

    async def _status(self, action: str, payload: dict[str, Any]) -> str:
        return str((await self.cell.order(action, payload))["status"])

    def view(self) -> list[tuple[Any, ...]]:
        """Sessions as the CSMS saw them."""
        seen: list[tuple[Any, ...]] = []
        for action, payload in self.cell.at_csms("StartTransaction", "MeterValues", "StopTransaction"):
            if action == "StartTransaction":
                seen.append(("start", payload["connectorId"], payload["idTag"].upper(), payload["meterStart"]))
            elif action == "StopTransaction":
                seen.append(("stop", payload["meterStop"], payload.get("reason", "Local")))
            elif payload.get("transactionId") is not None:
                seen += [("value", wh) for wh in _periodic(payload["meterValue"])]
        return seen

    def states(self) -> list[str]:
        return [payload["status"] for _, payload in self.cell.at_csms("StatusNotification") if payload["connectorId"] == self.cell.place]

    def firmware_states(self) -> list[str]:
        return [payload["status"] for _, payload in self.cell.at_csms("FirmwareStatusNotification")]

    def log_states(self) -> list[str]:
        return [payload["status"] for _, payload in self.cell.at_csms("DiagnosticsStatusNotification", "LogStatusNotification")]

    def laws(self) -> None:
        """Every start but those of the outage was answered with its own id, and every stop names one of them."""
        answers = [json.loads(entry["text"]) for entry in frames(self.cell.folder / "csms.jsonl") if entry.get("dir") == "out"]
        given = [frame[2]["transactionId"] for frame in answers if frame[0] == 3 and "transactionId" in frame[2]]
        assert len(set(given)) == len(given)
        assert [payload["transactionId"] for _, payload in self.cell.at_csms("StopTransaction")] == given


class Csms2:
    """A 2.0.1 or 2.1 CSMS."""

    def __init__(self, cell: Cell) -> None:
        self.cell = cell
        self.request = 100

    async def limit(self, amps: float) -> str:
        period = {"startPeriod": 0, "limit": amps}
        schedule = {"id": 1, "chargingRateUnit": "A", "chargingSchedulePeriod": [period]}
        profile = {"id": 7, "stackLevel": 1, "chargingProfilePurpose": "TxProfile", "chargingProfileKind": "Relative"}
        profile |= {"transactionId": self.running(), "chargingSchedule": [schedule]}
        return await self._status("SetChargingProfile", {"evseId": self.cell.place, "chargingProfile": profile})

    def running(self) -> str:
        return str(self.cell.at_csms("TransactionEvent")[-1][1]["transactionInfo"]["transactionId"])

    async def stop(self) -> str:
        return await self._status("RequestStopTransaction", {"transactionId": self.running()})

    async def start(self, token: str) -> str:
        self.request += 1
        payload = {"idToken": {"idToken": token, "type": "Central"}, "remoteStartId": self.request, "evseId": self.cell.place}
        return await self._status("RequestStartTransaction", payload)

    async def read(self) -> str:
        answer = await self.cell.order("GetVariables", {"getVariableData": [INTERVAL]})
        return str(answer["getVariableResult"][0].get("attributeValue"))

    async def write(self, value: str) -> str:
        answer = await self.cell.order("SetVariables", {"setVariableData": [{**INTERVAL, "attributeValue": value}]})
        return str(answer["setVariableResult"][0]["attributeStatus"])

    async def send_list(self, version: int, *tokens: str) -> str:
        entries = [{"idToken": {"idToken": token, "type": "Central"}, "idTokenInfo": {"status": "Accepted"}} for token in tokens]
        return await self._status("SendLocalList", {"versionNumber": version, "updateType": "Full", "localAuthorizationList": entries})

    async def list_version(self) -> int:
        return int((await self.cell.order("GetLocalListVersion", {}))["versionNumber"])

    async def firmware(self, url: str) -> str:
        firmware = {"location": url, "retrieveDateTime": "2026-01-01T00:00:00Z"}
        return await self._status("UpdateFirmware", {"requestId": 51, "firmware": firmware})

    async def logs(self, url: str) -> str:
        return await self._status("GetLog", {"logType": "DiagnosticsLog", "requestId": 61, "log": {"remoteLocation": url}})

    async def reset(self) -> str:
        return await self._status("Reset", {"type": "Immediate"})

    async def _status(self, action: str, payload: dict[str, Any]) -> str:
        return str((await self.cell.order(action, payload))["status"])

    def view(self) -> list[tuple[Any, ...]]:
        """Sessions as the CSMS saw them."""
        seen: list[tuple[Any, ...]] = []
        for _, payload in self.cell.at_csms("TransactionEvent"):
            readings = payload.get("meterValue", [])
            if payload["eventType"] == "Started":
                seen.append(("start", payload["evse"]["id"], payload["idToken"]["idToken"].upper(), _register(readings, "Transaction.Begin")))
            if payload["eventType"] == "Updated":
                seen += [("value", wh) for wh in _periodic(readings)]
            if payload["eventType"] == "Ended":
                info = payload["transactionInfo"]
                seen.append(("stop", _register(readings, "Transaction.End"), info.get("stoppedReason", "Local")))
        return seen

    def states(self) -> list[str]:
        return [payload["connectorStatus"] for _, payload in self.cell.at_csms("StatusNotification") if payload["evseId"] == self.cell.place] + [
            event["actualValue"]
            for _, payload in self.cell.at_csms("NotifyEvent")
            for event in payload["eventData"]
            if event["component"].get("evse", {}).get("id") == self.cell.place and event["variable"]["name"] == "AvailabilityState"
        ]

    def firmware_states(self) -> list[str]:
        return [payload["status"] for _, payload in self.cell.at_csms("FirmwareStatusNotification")]

    def log_states(self) -> list[str]:
        return [payload["status"] for _, payload in self.cell.at_csms("LogStatusNotification")]

    def laws(self) -> None:
        """Per transaction seqNo counts from 0 without a gap, one Started first, one Ended last; ids never come again."""
        told: dict[str, list[tuple[int, str]]] = {}
        for _, payload in self.cell.at_csms("TransactionEvent"):
            told.setdefault(payload["transactionInfo"]["transactionId"], []).append((payload["seqNo"], payload["eventType"]))
        for events in told.values():
            assert [seq for seq, _ in events] == list(range(len(events)))
            assert [kind for _, kind in events if kind != "Updated"] == ["Started", "Ended"]
            assert (events[0][1], events[-1][1]) == ("Started", "Ended")


INTERVAL = {"component": {"name": "SampledDataCtrlr"}, "variable": {"name": "TxUpdatedInterval"}}


def _samples(readings: list[dict[str, Any]]) -> list[tuple[str, float]]:
    """(context, Wh) of the import register."""
    found = []
    for reading in readings:
        for sample in reading["sampledValue"]:
            if sample.get("measurand", ENERGY) == ENERGY:
                unit = sample.get("unit") or sample.get("unitOfMeasure", {}).get("unit", "Wh")
                found.append((sample.get("context", "Sample.Periodic"), float(sample["value"]) * (1000 if unit == "kWh" else 1)))
    return found


def _periodic(readings: list[dict[str, Any]]) -> list[float]:
    return [wh for context, wh in _samples(readings) if context == "Sample.Periodic"]


def _register(readings: list[dict[str, Any]], context: str) -> float | None:
    return next((wh for found, wh in _samples(readings) if found == context), None)


@asynccontextmanager
async def cell(folder: Path, station: str, face: str, upstream: str) -> AsyncIterator[Cell]:
    """Everything running, the station connected but not booted."""
    port = free_port()
    up: dict[str, Any] = {"id": "csms", "url": f"ws://127.0.0.1:{port}/ocpp", "reconnect_min_s": 0.2, "reconnect_max_s": 1, "face": face}
    if face == "depot":
        up |= {"identity": DEPOT, "depot": {"firmware_models": ["generic"], "status_wait_s": 0.5, "site_values_s": 0}}
    async with Yard(folder, site(folder, stations=STATIONS, upstreams=[up])) as yard:
        here = Cell(folder, station, face, upstream, yard, port)
        try:
            await here.csms_on()
            await here.plug_in()
            yield here
        finally:
            await here.stop()
