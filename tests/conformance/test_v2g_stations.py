"""Giving back, over real sockets: ``yardmaster run`` with its own solver against stations that know nothing of it (Q01, Q03, trap 23).

What has to stand on the wire is written down here from the specification: sign and field rules of operation mode CentralSetpoint,
Q03.FR.02 (a setpoint stands alone), K01.FR.111-114 (only the Tx layer holds it), Q01.FR.31 (what a station announces), K28.
Energy is dear for the next two hours and cheap afterwards, so that it pays to give back now.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from controller.io.clock import Clock
from tests.support.schemas import check_request
from tests.support.yard import Peer, Yard, site, until

pytestmark = pytest.mark.system

STATIONS = [
    {"name": "gives", "announces": True, "needs": True, "refuses": False},
    {"name": "mute", "announces": False, "needs": True, "refuses": False},
    {"name": "plain-car", "announces": True, "needs": False, "refuses": False},
    {"name": "refuses", "announces": True, "needs": True, "refuses": True},
]
MAX_DISCHARGE_W, CAR_W = 4000.0, 5000.0


@dataclass
class Frames:
    """What one station sent ("out") and got ("in"), in order."""

    lines: list[dict[str, Any]]

    def calls(self, direction: str, action: str) -> list[tuple[int, dict[str, Any]]]:
        """(place in the order, payload) of the CALLs of an action."""
        return [(n, line["frame"][3]) for n, line in enumerate(self.lines) if line["dir"] == direction and line["frame"][0:3:2] == [2, action]]

    def answered(self, action: str) -> int:
        """Where the station gave its last answer to such a CALL."""
        ids = {line["frame"][1] for line in self.lines if line["dir"] == "in" and line["frame"][0:3:2] == [2, action]}
        return max(n for n, line in enumerate(self.lines) if line["dir"] == "out" and line["frame"][0] == 3 and line["frame"][1] in ids)

    def v2x(self) -> list[tuple[int, dict[str, Any]]]:
        """SetChargingProfile with an operation mode."""
        return [(n, body) for n, body in self.calls("in", "SetChargingProfile") if "operationMode" in json.dumps(body)]


@dataclass
class Run:
    """What was seen of the run."""

    frames: dict[str, Frames]
    power_w: dict[str, float]
    states: dict[str, str]
    log: str


def depot(folder: Path) -> dict[str, Any]:
    dear = datetime.fromtimestamp(Clock().stamp().wall_s, UTC)
    edges = [(dear - timedelta(minutes=1), 0.50), (dear + timedelta(hours=2), 0.10)]
    prices = sorted((edge.strftime("%H:%M"), price) for edge, price in edges)
    if prices[0][0] != "00:00":
        prices.insert(0, ("00:00", prices[-1][1]))
    evse = {"id": 1, "max_current_a": 16, "fallback_a": 6, "v2g": {"max_discharge_w": MAX_DISCHARGE_W, "reserve_percent": 30}}
    return site(
        folder,
        site={"id": "test", "timezone": "UTC"},
        grid={"fuse_a": 63, "worst_other_load_a": 25},  # enough to take what all cars could give
        stations=[{"id": station["name"], "evses": [json.loads(json.dumps(evse))]} for station in STATIONS],
        authorization={"unknown": "accept"},
        tariff={"buy": [{"start": start, "price_per_kwh": price} for start, price in prices], "sell_per_kwh": 0.05},
        control={"setpoint_life_s": 20, "setpoint_renew_s": 5, "plan_every_s": 5},
    )


def told_enough(log: Path) -> bool:
    """Whether the setpoint of the car that gives was renewed twice, and the station that refused one was told something else afterwards."""
    lines = [json.loads(line) for line in log.read_text().split("\n")[:-1]]
    gives, refuses = (Frames([line for line in lines if line["name"] == name]) for name in ("gives", "refuses"))
    plain = [n for n, body in refuses.calls("in", "SetChargingProfile") if "operationMode" not in json.dumps(body)]
    return len(gives.v2x()) >= 3 and bool(refuses.v2x()) and plain[-1] > refuses.v2x()[0][0]


async def live(folder: Path) -> Run:
    log = folder / "stations.jsonl"
    async with Yard(folder, depot(folder)) as yard:
        peer = Peer("v2g_stations.py", str(log), yard.ocpp_url, json.dumps(STATIONS))
        try:
            await peer.start()

            async def gives() -> bool:
                return any(evse["id"] == "gives/1" and evse["state"] == "discharging" for evse in (await yard.state())["site"]["evses"])

            await until(gives, 60.0)
            await until(lambda: told_enough(log), 60.0)
            evses = (await yard.state())["site"]["evses"]
        finally:
            await peer.stop()
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    frames = {str(station["name"]): Frames([line for line in lines if line["name"] == station["name"]]) for station in STATIONS}
    power_w = {evse["station_id"]: evse["power_w"] for evse in evses}
    return Run(frames, power_w, {evse["station_id"]: evse["state"] for evse in evses}, yard.log.read_text())


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return asyncio.run(live(tmp_path_factory.mktemp("v2g")))


def test_the_car_gives_back_and_the_state_says_so(run: Run) -> None:
    assert run.states["gives"] == "discharging"
    assert run.power_w["gives"] == pytest.approx(-MAX_DISCHARGE_W, abs=1.0), "the owner allows less than the car offers"


def test_all_our_calls_are_valid(run: Run) -> None:
    for frames in run.frames.values():
        for line in frames.lines:
            if line["dir"] == "in" and line["frame"][0] == 2:
                check_request(line["frame"][2], line["frame"][3], "v21")


def test_a_setpoint_is_written_as_the_specification_wants_it(run: Run) -> None:
    frames = run.frames["gives"]
    (_, started), *_ = [(n, body) for n, body in frames.calls("out", "TransactionEvent") if body["eventType"] == "Started"]
    assert frames.v2x()
    for _, body in frames.v2x():
        profile = body["chargingProfile"]
        (schedule,) = profile["chargingSchedule"]
        (period,) = schedule["chargingSchedulePeriod"]
        assert body["evseId"] == 1
        assert profile["chargingProfilePurpose"] == "TxProfile", "K01.FR.111-114: a MaxProfile cannot hold it"
        assert profile["transactionId"] == started["transactionInfo"]["transactionId"], "K01.FR.03"
        assert schedule["chargingRateUnit"] == "W", "a setpoint is the sum of all phases"
        assert schedule["duration"] > 0, "it ends without us"
        assert period["operationMode"] == "CentralSetpoint"
        assert -MAX_DISCHARGE_W <= period["setpoint"] < 0.0, "out of the car is negative; no more than the owner and the car allow (trap 23)"
        assert not {"limit", "dischargeLimit", "setpointReactive", "setpoint_L2", "setpoint_L3"} & set(period), "Q03.FR.02"


def test_it_is_renewed_before_it_ends(run: Run) -> None:
    frames = run.frames["gives"]
    written = [frames.lines[n]["at"] for n, _ in frames.v2x()]
    assert len(written) >= 2
    lasts_s = min(body["chargingProfile"]["chargingSchedule"][0]["duration"] for _, body in frames.v2x())
    assert max(later - earlier for earlier, later in pairwise(written)) < min(lasts_s, 20.0)


def test_nothing_of_it_before_the_station_announced_it_and_the_car_asked_for_it(run: Run) -> None:
    frames = run.frames["gives"]
    first = frames.v2x()[0][0]
    assert first > frames.answered("GetVariables")
    assert first > frames.calls("out", "NotifyEVChargingNeeds")[0][0]


@pytest.mark.parametrize("name", ["mute", "plain-car"])
def test_who_did_not_say_so_never_gets_a_setpoint(run: Run, name: str) -> None:
    frames = run.frames[name]
    assert frames.v2x() == []
    assert "setpoint" not in json.dumps([body for _, body in frames.calls("in", "UpdateDynamicSchedule")])
    assert frames.calls("in", "SetChargingProfile"), "it charges like any other"


def test_a_station_that_refuses_is_asked_once_and_goes_on_charging(run: Run) -> None:
    frames = run.frames["refuses"]
    assert len(frames.v2x()) == 1, "it has no Dynamic profiles, so there is one way only"
    later = [n for n, body in frames.calls("in", "SetChargingProfile") if "operationMode" not in json.dumps(body)]
    assert later[-1] > frames.v2x()[0][0]
    assert run.log.count("refused a V2X setpoint") == 1


def test_the_needs_of_no_car_are_rejected(run: Run) -> None:
    """Trap 22: an ISO 15118-20 session would end."""
    for name in ("gives", "mute", "refuses"):
        lines = run.frames[name].lines
        asked = {line["frame"][1] for line in lines if line["dir"] == "out" and line["frame"][0:3:2] == [2, "NotifyEVChargingNeeds"]}
        answers = [line["frame"][2]["status"] for line in lines if line["dir"] == "in" and line["frame"][0] == 3 and line["frame"][1] in asked]
        assert answers == ["Accepted"] or answers == ["NoChargingProfile"]


def test_the_floor_is_a_charging_profile(run: Run) -> None:
    """Whatever happens to us, the station goes back to charging: its default has a limit and no operation mode."""
    for frames in run.frames.values():
        floors = [body["chargingProfile"] for _, body in frames.calls("in", "SetChargingProfile")]
        floors = [profile for profile in floors if profile["chargingProfilePurpose"] == "TxDefaultProfile"]
        assert floors
        periods = [period for profile in floors for schedule in profile["chargingSchedule"] for period in schedule["chargingSchedulePeriod"]]
        assert all(period.keys() <= {"startPeriod", "limit", "numberPhases"} and period["limit"] == 6.0 for period in periods)
