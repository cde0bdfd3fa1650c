"""A depot of independent 2.1 stations whose cars can give back, as one station of an independent CSMS: every one a process of its own."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from controller.io.clock import Clock
from tests.support.yard import Peer, Yard, frames, free_port, site, until

DEPOT = "DEPOT"
RATED_W = 4000.0
"""What the owner lets each car give back."""
Payload = dict[str, Any]
SETTERS = ("SetChargingProfile", "UpdateDynamicSchedule")


def spec(name: str, der: str = "") -> Payload:
    """A station of ``v2g_stations``."""
    return {"name": name, "announces": True, "needs": True, "refuses": False, "der": der}


def now_s() -> float:
    """What the peers' clocks say [Unix s]."""
    return Clock().stamp().wall_s


def when(wall_s: float) -> str:
    """RFC 3339 with milliseconds."""
    return datetime.fromtimestamp(wall_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class GivingFace:
    """names: all stations of the site file; some may not be there yet."""

    def __init__(self, folder: Path, upstream: str, yard: Yard, port: int) -> None:
        self.folder, self.upstream, self.yard, self._port = folder, upstream, yard, port
        self.csms = Peer("matrix_csms.py", str(folder / "csms.jsonl"), str(port), "9001", upstream)
        self.stations: Peer | None = None

    async def begin(self, specs: list[Payload]) -> None:
        """CSMS and stations come."""
        await self.csms.start()
        self.stations = Peer("v2g_stations.py", str(self.folder / "stations.jsonl"), self.yard.ocpp_url, json.dumps(specs))
        await self.stations.start()

    async def end(self) -> None:
        """All peers end."""
        for peer in (self.stations, self.csms):
            if peer is not None:
                await peer.stop()

    async def order(self, action: str, payload: Payload) -> Payload:
        """A CALL of the CSMS and its answer; fails on CALLERROR."""
        answer = await self.csms.do(station=DEPOT, action=action, payload=payload)
        assert "error" not in answer, f"{action} {payload}: {answer}"
        result: Payload = answer["result"]
        return result

    async def say(self, name: str, action: str, payload: Payload) -> Payload:
        """A CALL of a station and its answer."""
        assert self.stations is not None
        said: Payload = (await self.stations.do(say=name, action=action, payload=payload))["said"]
        return said

    # -- what was seen ----------------------------------------------------------------------------------

    def at_csms(self, *actions: str) -> list[tuple[float, str, Payload]]:
        """(time, action, payload) of what the depot told."""
        entries = [entry for entry in frames(self.folder / "csms.jsonl") if entry.get("name") == DEPOT and entry.get("dir") == "in"]
        read = [(entry["at"], json.loads(entry["text"])) for entry in entries]
        return [(at, frame[2], frame[3]) for at, frame in read if frame[0] == 2 and (not actions or frame[2] in actions)]

    def sent_by_csms(self, action: str) -> float:
        """When the CSMS last sent such a CALL."""
        entries = [entry for entry in frames(self.folder / "csms.jsonl") if entry.get("dir") == "out" and f'"{action}"' in entry["text"]]
        return float(entries[-1]["at"])

    def at_station(self, name: str, *actions: str) -> list[tuple[float, Payload]]:
        """(time, payload) of the CALLs a station got."""
        lines = [line for line in frames(self.folder / "stations.jsonl") if line["name"] == name and line["dir"] == "in"]
        return [(line["at"], line["frame"][3]) for line in lines if line["frame"][0] == 2 and line["frame"][2] in actions]

    def powers(self, name: str) -> list[tuple[float, float]]:
        """(time, W) as a station was told: a setpoint, or what its limit lets flow on three phases."""
        found = []
        for at, payload in self.at_station(name, *SETTERS):
            profile = payload.get("chargingProfile")
            if profile is not None and profile["chargingProfilePurpose"] != "TxProfile":
                continue
            values = payload["scheduleUpdate"] if profile is None else profile["chargingSchedule"][0]["chargingSchedulePeriod"][0]
            found.append((at, float(values["setpoint"] if "setpoint" in values else 690.0 * values.get("limit", 0.0))))
        return found

    async def told_since(self, begin_s: float, readings: int, names: Iterable[str], seconds: float = 30.0) -> None:
        """Wait until each of these stations has told so many flows after a moment [s, as in ``flows``]."""
        await self.wait(lambda: all(sum(at > begin_s for at, _ in self.flows(name)) >= readings for name in names), seconds)

    def flows(self, name: str) -> list[tuple[float, float]]:
        """(time, W) as a station measured itself, charging positive."""
        found = []
        for line in frames(self.folder / "stations.jsonl"):
            if line["name"] == name and line["dir"] == "out" and line["frame"][0:3:2] == [2, "TransactionEvent"]:
                (sample,) = [one for one in line["frame"][3]["meterValue"][0]["sampledValue"] if one.get("measurand", "").startswith("Power")]
                found.append((line["at"], sample["value"] * (-1.0 if sample["measurand"].endswith("Export") else 1.0)))
        return found

    def last_w(self, *names: str) -> list[float]:
        """What each station was told last [W]."""
        return [(self.powers(name) or [(0.0, 0.0)])[-1][1] for name in names]

    @property
    def connected(self) -> bool:
        """Whether the CSMS has heard the depot."""
        return bool(self.at_csms())

    def invalid(self) -> list[Any]:
        """Frames of Yardmaster that break the schemas of the CSMS's version."""
        return [entry for entry in frames(self.folder / "csms.jsonl") if "invalid" in entry]

    async def state(self) -> Payload:
        """The site's own words."""
        found: Payload = (await self.yard.state())["site"]
        return found

    async def discharging(self, count: int) -> None:
        """Wait until so many cars give back as Yardmaster sees it."""

        async def enough() -> bool:
            return sum(evse["state"] == "discharging" for evse in (await self.state())["evses"]) >= count

        await until(enough, 40.0)

    async def wait(self, condition: Callable[[], Any], seconds: float = 20.0) -> Any:
        """Until something is seen."""
        return await until(condition, seconds)


@asynccontextmanager
async def giving_face(folder: Path, names: list[str], here: list[Payload], upstream: str = "ocpp2.1", **grid: Any) -> AsyncIterator[GivingFace]:
    """names: the site file's stations; here: those that come at once."""
    port = free_port()
    evse = {"id": 1, "max_current_a": 16, "fallback_a": 0, "v2g": {"max_discharge_w": RATED_W, "reserve_percent": 30}}
    up = {"id": "csms", "url": f"ws://127.0.0.1:{port}/ocpp", "reconnect_min_s": 0.2, "reconnect_max_s": 1, "face": "depot", "identity": DEPOT}
    data = site(
        folder,
        site={"id": "test", "timezone": "UTC"},
        grid={"fuse_a": 125, "worst_other_load_a": 25, **grid},
        stations=[{"id": name, "evses": [json.loads(json.dumps(evse))]} for name in names],
        upstreams=[{**up, "depot": {"status_wait_s": 0.5, "site_values_s": 0}}],
        authorization={"unknown": "accept"},
        control={"setpoint_life_s": 20, "setpoint_renew_s": 5, "plan_every_s": 60},
    )
    async with Yard(folder, data) as yard:
        face = GivingFace(folder, upstream, yard, port)
        try:
            await face.begin(here)
            yield face
        finally:
            await face.end()
