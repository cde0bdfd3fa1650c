"""The grid's word to a whole depot over real sockets (R01-R05, Q03, Q08, Q02): ``yardmaster run`` as one 2.1 station between independent peers.

Three stations give back 3 kW each by a setpoint of the CSMS for EVSE 0. What has to stand on the wire is written here from the specification.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.giving_face import RATED_W, GivingFace, giving_face, now_s, spec, when

pytestmark = pytest.mark.system

NAMES = ["Y1", "Y2", "Y3"]
LATER = "Y4"
SETPOINT_W = -9000.0
CURVE = {"priority": 3, "yUnit": "PctMaxVar", "curveData": [{"x": 92.0, "y": 44.0}, {"x": 98.0, "y": 0.0}, {"x": 108.0, "y": -44.0}]}
FIXED_VAR = {"priority": 2, "setpoint": -30.0, "unit": "PctMaxVar"}
"""Trap 24: negative is the absorbing direction here, opposite to V2X setpoints. Nobody on the way may turn it."""
Payload = dict[str, Any]


@dataclass
class Seen:
    """What was seen of one life of the depot."""

    face: GivingFace | None = None
    at: dict[str, float] = field(default_factory=dict)
    answers: dict[str, Payload] = field(default_factory=dict)
    flows: dict[str, dict[str, float]] = field(default_factory=dict)
    reports: list[Payload] = field(default_factory=list)


def site_setpoint(watts: float) -> Payload:
    """Q03: CentralSetpoint of the whole station, as TxDefaultProfile of EVSE 0."""
    period = {"startPeriod": 0, "setpoint": watts, "operationMode": "CentralSetpoint"}
    schedule = {"id": 1, "chargingRateUnit": "W", "chargingSchedulePeriod": [period], "startSchedule": "2026-01-01T00:00:00Z"}
    head = {"id": 5, "stackLevel": 0, "chargingProfilePurpose": "TxDefaultProfile", "chargingProfileKind": "Absolute"}
    return {"evseId": 0, "chargingProfile": {**head, "chargingSchedule": [schedule]}}


def control(control_id: str, kind: str, key: str, body: Payload, default: bool = True) -> Payload:
    return {"isDefault": default, "controlId": control_id, "controlType": kind, key: body}


async def live(folder: Path) -> Seen:
    seen = Seen()
    specs = [spec("Y1", "VoltVar,FixedVar"), spec("Y2", "VoltVar"), spec("Y3")]
    async with giving_face(folder, [*NAMES, LATER], specs) as face:
        seen.face = face
        await face.discharging(0)
        await face.wait(lambda: len(face.at_csms("NotifyEVChargingNeeds")) == len(NAMES), 40)
        answers = seen.answers
        answers["setpoint"] = await face.order("SetChargingProfile", site_setpoint(SETPOINT_W))
        await face.wait(lambda: abs(sum(face.last_w(*NAMES)) - SETPOINT_W) < 60, 20)
        await curves(face, seen)
        await limit_and_back(face, seen)
        await scheduled(face, seen)
        await v2x(face, seen)
    return seen


async def curves(face: GivingFace, seen: Seen) -> None:
    """Two controls for inverters; one charger more comes later, and one goes."""
    seen.answers["unsupported"] = await face.order("SetDERControl", control("u", "WattVar", "curve", CURVE))
    seen.answers["curve"] = await face.order("SetDERControl", control("vv", "VoltVar", "curve", CURVE))
    seen.answers["fixed"] = await face.order("SetDERControl", control("fv", "FixedVar", "fixedVar", FIXED_VAR))
    assert face.stations is not None
    await face.stations.do(come=spec(LATER, "FixedVar"))
    await face.wait(lambda: face.at_station(LATER, "SetDERControl"))
    await face.wait(lambda: face.at_station("Y1", "SetDERControl")[1:])
    own = {name: [payload["controlId"] for _, payload in face.at_station(name, "SetDERControl")] for name in ("Y1", "Y2")}
    for name in ("Y2", "Y1"):
        await face.say(name, "NotifyDERAlarm", {"controlType": "VoltVar", "gridEventFault": "OverVoltage", "timestamp": when(now_s())})
    for name in ("Y1", "Y2"):
        alarm = {"controlType": "VoltVar", "gridEventFault": "OverVoltage", "timestamp": when(now_s()), "alarmEnded": True}
        await face.say(name, "NotifyDERAlarm", alarm)
    await face.wait(lambda: len(face.at_csms("NotifyDERAlarm")) >= 2)
    await face.stations.do(leave="Y2")
    seen.answers["get"] = await face.order("GetDERControl", {"requestId": 77})
    await face.wait(lambda: face.at_csms("ReportDERControl"))
    seen.reports = [payload for _, _, payload in face.at_csms("ReportDERControl")]
    seen.answers["clear curve"] = await face.order("ClearDERControl", {"isDefault": True, "controlId": "vv"})
    await face.stations.do(come=spec("Y2", "VoltVar"))
    await face.wait(lambda: face.at_station("Y2", "ClearDERControl"))
    seen.answers["own"] = dict(own)
    await face.wait(lambda: abs(sum(face.last_w(*NAMES, LATER)) - SETPOINT_W) < 60, 20)


async def limit_and_back(face: GivingFace, seen: Seen) -> None:
    everybody = [*NAMES, LATER]
    await face.wait(lambda: sum(flow[-1][1] for name in everybody if (flow := face.flows(name))) < SETPOINT_W + 100, 20)
    giving = [name for name, watts in zip(everybody, face.last_w(*everybody), strict=True) if watts < 0]
    body = {"priority": 1, "pctMaxDischargePower": 0}
    seen.answers["limit"] = await face.order("SetDERControl", control("17", "LimitMaxDischarge", "limitMaxDischarge", body))
    seen.at["limit"] = face.sent_by_csms("SetDERControl")
    await face.wait(lambda: all(watts >= 0 for watts in face.last_w(*everybody)), 10)
    seen.at["last"] = max(at for name in giving for at, watts in face.powers(name) if at > seen.at["limit"] and watts >= 0)
    await face.wait(lambda: [one for _, _, one in face.at_csms("NotifyDERAlarm") if one["controlType"] == "LimitMaxDischarge"])
    await face.told_since(now_s(), 3, everybody)
    seen.at["clear"] = now_s()
    seen.answers["clear"] = await face.order("ClearDERControl", {"isDefault": True, "controlId": "17"})
    await face.wait(lambda: abs(sum(face.last_w(*everybody)) - SETPOINT_W) < 60, 10)
    seen.at["back"] = max(at for name in everybody for at, _ in face.powers(name))
    await face.wait(lambda: any(one.get("alarmEnded") for _, _, one in face.at_csms("NotifyDERAlarm") if one["controlType"] == "LimitMaxDischarge"))


async def scheduled(face: GivingFace, seen: Seen) -> None:
    """R04: in force from startTime for its duration."""
    begins = seen.at["begins"] = float(int(now_s()) + 2)
    body = {"priority": 1, "pctMaxDischargePower": 10, "startTime": when(begins), "duration": 3}
    seen.answers["scheduled"] = await face.order("SetDERControl", control("s", "LimitMaxDischarge", "limitMaxDischarge", body, default=False))
    await face.wait(lambda: len(face.at_csms("NotifyDERStartStop")) >= 2)


async def v2x(face: GivingFace, seen: Seen) -> None:
    seen.answers["signal"] = await face.order("AFRRSignal", {"timestamp": when(now_s()), "signal": 20})
    transaction = next(p["transactionInfo"]["transactionId"] for _, _, p in face.at_csms("TransactionEvent") if p.get("evse", {}).get("id") == 3)
    seen.answers["allowed"] = await face.order("NotifyAllowedEnergyTransfer", {"transactionId": transaction, "allowedEnergyTransfer": ["AC_BPT"]})
    seen.answers["composite"] = await face.order("GetCompositeSchedule", {"evseId": 0, "duration": 600, "chargingRateUnit": "W"})
    await face.csms.stop()
    needs = {"requestedEnergyTransfer": "AC_BPT", "v2xChargingParameters": {"maxDischargePower": 5000.0, "maxChargePower": 11_000.0}}
    seen.answers["needs alone"] = await face.say("Y1", "NotifyEVChargingNeeds", {"evseId": 1, "chargingNeeds": needs})


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Seen:
    return asyncio.run(live(tmp_path_factory.mktemp("der")))


def face_of(seen: Seen) -> GivingFace:
    assert seen.face is not None
    return seen.face


def test_every_frame_is_valid(seen: Seen) -> None:
    assert face_of(seen).invalid() == []


def test_a_setpoint_for_the_depot_is_shared_over_the_cars(seen: Seen) -> None:
    """Each within what its owner allows; the sum is what the CSMS asked for."""
    assert seen.answers["setpoint"] == {"status": "Accepted"}
    for name in NAMES:
        assert min(watts for _, watts in face_of(seen).powers(name)) >= -RATED_W


def test_limit_0_reaches_the_last_station_and_holds_until_it_is_cleared(seen: Seen) -> None:
    face = face_of(seen)
    there_ms, back_ms = 1000 * (seen.at["last"] - seen.at["limit"]), 1000 * (seen.at["back"] - seen.at["clear"])
    print(f"SetDERControl to the last station's setpoint: {there_ms:.0f} ms; ClearDERControl: {back_ms:.0f} ms")
    assert (seen.answers["limit"], seen.answers["clear"]) == ({"status": "Accepted"}, {"status": "Accepted"})
    assert seen.at["limit"] < seen.at["last"] < seen.at["clear"] < seen.at["back"]
    for name in [*NAMES, LATER]:
        told = [watts for at, watts in face.powers(name) if seen.at["last"] <= at < seen.at["clear"]]
        flowed = [watts for at, watts in face.flows(name) if seen.at["last"] + 1.5 < at < seen.at["clear"]]
        assert all(watts >= 0 for watts in told), name
        assert flowed, name
        assert min(flowed) >= 0, name


def test_holding_cars_below_the_csmss_own_setpoint_is_an_alarm_and_its_end(seen: Seen) -> None:
    """R05.FR.01, FR.02."""
    told = [one for _, _, one in face_of(seen).at_csms("NotifyDERAlarm") if one["controlType"] == "LimitMaxDischarge"]
    assert [one.get("alarmEnded", False) for one in told][:2] == [False, True]


def test_a_scheduled_control_starts_and_ends_when_it_says_and_the_csms_hears_both(seen: Seen) -> None:
    """R04.FR.20, FR.22; 10 % of four times 4 kW."""
    face, begins = face_of(seen), seen.at["begins"]
    notices = [one for _, _, one in face.at_csms("NotifyDERStartStop")]
    told = [(one["controlId"], one["started"], datetime.fromisoformat(one["timestamp"]).timestamp()) for one in notices]
    assert [(name, started) for name, started, _ in told] == [("s", True), ("s", False)]
    assert 0.0 <= told[0][2] - begins < 1.5
    assert 0.0 <= told[1][2] - (begins + 3.0) < 1.5
    powers = {name: [watts for at, watts in face.powers(name) if begins + 1.5 <= at < begins + 3.0] for name in [*NAMES, LATER]}
    flows = [face.flows(name) for name in [*NAMES, LATER]]
    then = sum(next(watts for at, watts in reversed(flow) if at < begins + 2.9) for flow in flows)
    assert then >= -0.1 * 4 * RATED_W - 1.0, powers


def test_curves_go_to_those_that_can_unchanged_under_ids_of_their_own(seen: Seen) -> None:
    face = face_of(seen)
    given = {name: {payload["controlType"]: payload for _, payload in face.at_station(name, "SetDERControl")} for name in [*NAMES, LATER]}
    assert seen.answers["unsupported"]["status"] == "NotSupported"
    assert {name: sorted(found) for name, found in given.items()} == {"Y1": ["FixedVar", "VoltVar"], "Y2": ["VoltVar"], "Y3": [], LATER: ["FixedVar"]}
    assert given["Y1"]["VoltVar"]["curve"] == given["Y2"]["VoltVar"]["curve"] == CURVE
    assert given["Y1"]["FixedVar"]["fixedVar"] == given[LATER]["FixedVar"]["fixedVar"] == FIXED_VAR
    ids = [payload["controlId"] for found in given.values() for payload in found.values()]
    assert len(set(ids)) == len(ids)


def test_a_charger_that_was_away_loses_what_was_cleared_meanwhile(seen: Seen) -> None:
    cleared = [payload for _, payload in face_of(seen).at_station("Y2", "ClearDERControl")]
    assert cleared == [{"isDefault": True, "controlId": seen.answers["own"]["Y2"][0]}]


def test_alarms_of_two_chargers_are_one(seen: Seen) -> None:
    told = [one for _, _, one in face_of(seen).at_csms("NotifyDERAlarm") if one["controlType"] == "VoltVar"]
    assert [(one["gridEventFault"], one.get("alarmEnded", False)) for one in told] == [("OverVoltage", False), ("OverVoltage", True)]


def test_a_report_names_all_controls_as_the_csms_set_them(seen: Seen) -> None:
    """R04.FR.30-FR.32."""
    (report,) = seen.reports
    assert seen.answers["get"] == {"status": "Accepted"}
    assert (report["requestId"], report.get("tbc", False)) == (77, False)
    assert [(one["id"], one["curveType"], one["curve"]) for one in report["curve"]] == [("vv", "VoltVar", CURVE)]
    assert [(one["id"], one["fixedVar"]) for one in report["fixedVar"]] == [("fv", FIXED_VAR)]


def test_a_signal_for_nobody_is_rejected(seen: Seen) -> None:
    """Q08.FR.11."""
    assert (seen.answers["signal"]["status"], seen.answers["signal"]["statusInfo"]["reasonCode"]) == ("Rejected", "NoSignalWattCurve")


def test_an_allowed_service_goes_to_the_car_of_the_transaction(seen: Seen) -> None:
    assert seen.answers["allowed"] == {"status": "Accepted"}
    got = {name: len(face_of(seen).at_station(name, "NotifyAllowedEnergyTransfer")) for name in NAMES}
    assert got == {"Y1": 0, "Y2": 0, "Y3": 1}


def test_needs_of_a_car_come_with_the_depots_evse_and_are_never_rejected_for_want_of_a_csms(seen: Seen) -> None:
    """Trap 22: Rejected would end a -20 session."""
    assert {1, 2, 3} <= {payload["evseId"] for _, _, payload in face_of(seen).at_csms("NotifyEVChargingNeeds")}
    assert seen.answers["needs alone"]["status"] in ("Accepted", "NoChargingProfile")


def test_the_composite_of_the_depot_is_answered(seen: Seen) -> None:
    assert seen.answers["composite"]["status"] == "Accepted"
