"""Yardmaster between a station and a CSMS that know nothing of it: PyPI ``ocpp`` in their own processes.

Seen on the wire by their own logs: what passes is byte-identical both ways with its ids (P8, P4 6.4);
the CSMS's charging profiles end here (OCPP-NOTES 5.6); our own CALLs and their answers stay below.
"""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.yard import Peer, Yard, frames, site, until

pytestmark = pytest.mark.system

PROFILE = {
    "id": 41,
    "stack_level": 2,
    "charging_profile_purpose": "TxDefaultProfile",
    "charging_profile_kind": "Relative",
    "charging_schedule": [{"id": 1, "charging_rate_unit": "A", "charging_schedule_period": [{"start_period": 0, "limit": 9.0, "number_phases": 3}]}],
}


class Depot:
    """Yardmaster, one station, one CSMS."""

    def __init__(self, yard: Yard, station: Peer, csms: Peer, station_log: Path, csms_log: Path) -> None:
        self.yard, self.station, self.csms = yard, station, csms
        self._station_log, self._csms_log = station_log, csms_log

    def at_station(self, direction: str) -> list[str]:
        return [frame["text"] for frame in frames(self._station_log) if frame["dir"] == direction]

    def at_csms(self, direction: str) -> list[str]:
        return [frame["text"] for frame in frames(self._csms_log) if frame["dir"] == direction]

    async def call(self, action: str, **payload: Any) -> dict[str, Any]:
        return await self.station.do(action=action, payload=payload)

    async def order(self, action: str, **payload: Any) -> dict[str, Any]:
        return await self.csms.do(station="CP1", action=action, payload=payload)

    async def transaction(self, kind: str, seq: int, **more: Any) -> dict[str, Any]:
        trigger = {"Started": "CablePluggedIn", "Updated": "MeterValuePeriodic", "Ended": "EVDeparted"}[kind]
        return await self.call(
            "TransactionEvent",
            event_type=kind,
            timestamp="2026-11-21T16:00:00Z",
            trigger_reason=trigger,
            seq_no=seq,
            transaction_info={"transaction_id": "tx-independent", "charging_state": "Charging"},
            **more,
        )


@pytest.fixture
async def depot(tmp_path: Path) -> AsyncIterator[Depot]:
    csms_log, station_log = tmp_path / "csms.jsonl", tmp_path / "station.jsonl"
    csms = Peer("csms_process.py", str(csms_log))
    port = (await csms.start())["port"]
    data = site(tmp_path, upstreams=[{"id": "csms", "url": f"ws://127.0.0.1:{port}/ocpp"}])
    async with Yard(tmp_path, data) as yard:
        station = Peer("station_process.py", str(station_log), f"{yard.ocpp_url}/CP1")
        assert (await station.start())["subprotocol"] == "ocpp2.0.1"
        yield Depot(yard, station, csms, station_log, csms_log)
        await station.stop()
    await csms.stop()


def ids(texts: list[str]) -> list[str]:
    return [json.loads(text)[1] for text in texts]


async def session(depot: Depot) -> None:
    booted = await depot.call("BootNotification", reason="PowerUp", charging_station={"vendor_name": "Indie", "model": "One"})
    assert booted["status"] == "Accepted"
    good = await depot.call("Authorize", id_token={"id_token": "GOOD-1", "type": "ISO14443"})
    assert good["id_token_info"]["status"] == "Accepted"
    bad = await depot.call("Authorize", id_token={"id_token": "BAD-1", "type": "ISO14443"})
    assert bad["id_token_info"]["status"] == "Invalid"
    await depot.call("StatusNotification", timestamp="2026-11-21T16:00:00Z", connector_status="Occupied", evse_id=1, connector_id=1)
    token = {"id_token": "GOOD-1", "type": "ISO14443"}
    assert (await depot.transaction("Started", 0, evse={"id": 1, "connector_id": 1}, id_token=token))["id_token_info"]["status"] == "Accepted"
    sample = {"timestamp": "2026-11-21T16:00:10Z", "sampled_value": [{"value": 15.98, "measurand": "Current.Import", "phase": "L1"}]}
    for seq in (1, 2):
        await depot.transaction("Updated", seq, meter_value=[sample])
    await depot.call("DataTransfer", vendor_id="indie", data={"odd": [1, 2.50, "é"]})


async def test_a_whole_transaction_passes_byte_for_byte_both_ways(depot: Depot) -> None:
    await session(depot)
    await depot.transaction("Ended", 3)
    component = {"component": {"name": "OCPPCommCtrlr"}, "variable": {"name": "HeartbeatInterval"}}
    answer = await depot.order("GetVariables", get_variable_data=[component])
    assert answer["get_variable_result"][0]["attribute_value"] == "42"

    calls_up = [text for text in depot.at_station("out") if text.startswith("[2,")]
    assert [text for text in depot.at_csms("in") if text.startswith("[2,")] == calls_up
    assert len(calls_up) == 9
    answers_down = [text for text in depot.at_csms("out") if text.startswith("[3,")]
    assert [text for text in depot.at_station("in") if text.startswith("[3,")] == answers_down
    calls_down = [text for text in depot.at_csms("out") if text.startswith("[2,")]
    assert [text for text in depot.at_station("in") if text in calls_down] == calls_down
    own = set(ids(calls_down))
    answers_up = [text for text in depot.at_csms("in") if text.startswith("[3,")]
    assert answers_up == [text for text in depot.at_station("out") if text.startswith("[3,") and json.loads(text)[1] in own]


async def test_profiles_of_the_csms_end_here_and_ours_never_leak(depot: Depot) -> None:
    await session(depot)

    def ours() -> list[Any]:
        received = [json.loads(text) for text in depot.at_station("in")]
        return [frame[3] for frame in received if frame[0] == 2 and frame[2] == "SetChargingProfile"]

    def setpoints() -> list[float]:
        profiles = [profile["chargingProfile"] for profile in ours()]
        tx = [p for p in profiles if p["chargingProfilePurpose"] == "TxProfile"]
        return [p["chargingSchedule"][0]["chargingSchedulePeriod"][0]["limit"] for p in tx]

    await until(lambda: [limit for limit in setpoints() if limit > 9.0])
    assert (await depot.order("SetChargingProfile", evse_id=1, charging_profile=PROFILE))["status"] == "Accepted"
    await until(lambda: setpoints() and setpoints()[-1] == 9.0)

    assert all(profile["chargingProfile"]["id"] >= 900_000_000 for profile in ours())
    floors = [p for p in ours() if p["chargingProfile"]["chargingProfilePurpose"] == "TxDefaultProfile"]
    assert floors[0]["chargingProfile"]["chargingSchedule"][0]["chargingSchedulePeriod"][0]["limit"] == 6.0
    sent_by_csms = set(ids([text for text in depot.at_csms("out") if text.startswith("[2,")]))
    answers_up = [text for text in depot.at_csms("in") if text[:3] in ("[3,", "[4,")]
    assert set(ids(answers_up)) <= sent_by_csms
    assert not sent_by_csms & set(ids([text for text in depot.at_station("in") if text.startswith("[2,")]))

    schedule = (await depot.order("GetCompositeSchedule", evse_id=1, duration=600, charging_rate_unit="A"))["schedule"]
    assert schedule["charging_schedule_period"][0]["limit"] == 9.0
    refused = await depot.order("SetChargingProfile", evse_id=7, charging_profile={**PROFILE, "id": 42})
    assert refused["status"] == "Rejected"
    assert (await depot.order("ClearChargingProfile", charging_profile_id=41))["status"] == "Accepted"
    await until(lambda: setpoints()[-1] > 9.0)
