"""A simulated 2.1 station on the wire: every frame fits the published schema of 2.1."""

from __future__ import annotations

from tests.controller.sim.kit import Bench, car, make_bench


def charging(**spec: object) -> Bench:
    bench = make_bench(version="2.1", **spec)
    bench.connect()
    bench.run(2)
    bench.station.plug_in(bench.at, 1, car())
    bench.run(30)
    return bench


def test_a_whole_visit_is_valid_and_complete() -> None:
    bench = charging()
    bench.station.unplug(bench.at, 1)
    bench.run(5)
    (book,) = bench.books.transactions.values()
    assert book.complete
    assert book.in_order
    modes = [event["transactionInfo"]["operationMode"] for event in bench.events()]
    assert modes[0] == "Idle"
    assert "ChargingOnly" in modes
    assert {"NotifyEvent", "NotifyEVChargingNeeds"} <= set(bench.actions())
    assert "StatusNotification" not in bench.actions()
    assert bench.books.statuses["A1", 1] == "Available"
    assert bench.watch.errors == []


def test_its_power_streams_if_the_csms_wants_it() -> None:
    bench = charging(stream_s=5)
    sends = [frame for frame in bench.sent if frame[0] == 6]
    assert 5 <= len(sends) <= 8
    assert {frame[2] for frame in sends} == {"NotifyPeriodicEventStream"}
    assert float(sends[-1][3]["data"][0]["v"]) == 16 * 690
    assert bench.books.streamed["A1"] == len(sends)
    assert len({frame[1] for frame in sends}) == len(sends)
    (stream,) = bench.ask("GetPeriodicEventStream", {})["constantStreamData"]
    assert stream["params"]["interval"] == 5


def test_without_consent_nothing_streams() -> None:
    bench = charging()
    assert not [frame for frame in bench.sent if frame[0] == 6]
    assert bench.ask("GetPeriodicEventStream", {}) == {}
    assert bench.ask("UsePriorityCharging", {"transactionId": "t", "activate": True}) == {"status": "NoProfile"}


# -- giving back ------------------------------------------------------------------------------------------


def bus(v2x: bool = True) -> Bench:
    bench = make_bench(version="2.1", v2x=v2x)
    bench.connect()
    bench.run(2)
    bench.station.plug_in(bench.at, 1, car(soc=0.8, max_discharge_w=7000.0))
    bench.run(20)
    return bench


def central(bench: Bench, setpoint_w: float) -> dict[str, object]:
    """SetChargingProfile of a setpoint for the running transaction."""
    (book,) = bench.books.transactions.values()
    period = {"startPeriod": 0, "operationMode": "CentralSetpoint", "setpoint": setpoint_w, "numberPhases": 3}
    schedule = {"id": 1, "duration": 60, "chargingRateUnit": "W", "chargingSchedulePeriod": [period]}
    body = {"id": 5, "stackLevel": 1, "chargingProfilePurpose": "TxProfile", "chargingProfileKind": "Dynamic", "chargingSchedule": [schedule]}
    return {"evseId": 1, "chargingProfile": {**body, "transactionId": book.transaction_id}}


def test_a_car_that_can_give_back_asks_for_a_bidirectional_transfer() -> None:
    """Q01, ISO 15118-20: no capacity, but how much there is to the car's highest and lowest state."""
    bench = bus()
    (needs,) = [frame[3]["chargingNeeds"] for frame in bench.sent if frame[0] == 2 and frame[2] == "NotifyEVChargingNeeds"]
    assert needs["requestedEnergyTransfer"] == "AC_BPT"
    v2x = needs["v2xChargingParameters"]
    assert (v2x["maxDischargePower"], v2x["evMaxEnergyRequest"], v2x["evMinV2XEnergyRequest"]) == (7000, 12_000, -36_000)
    assert bench.watch.errors == []


def test_it_obeys_a_setpoint_tells_export_and_goes_back_when_the_profile_ends() -> None:
    bench = bus()
    assert bench.ask("SetChargingProfile", central(bench, -6900.0)) == {"status": "Accepted"}
    bench.run(30)
    evse = bench.station.evses[1]
    assert evse.power_w == -6900.0
    told = {value["measurand"]: value["value"] for value in bench.events()[-1]["meterValue"][0]["sampledValue"] if "phase" not in value}
    assert told["Power.Active.Export"] == 6900.0
    assert told["Energy.Active.Export.Register"] > 0
    assert "Power.Active.Import" not in told
    changed = [event for event in bench.events() if event["triggerReason"] == "OperationModeChanged"]
    assert [event["transactionInfo"]["operationMode"] for event in changed] == ["CentralSetpoint"]
    bench.run(60)
    assert evse.power_w > 0.0, "the watchdog has run out"


def test_a_station_without_v2x_gives_nothing_back_and_says_so() -> None:
    bench = bus(v2x=False)
    bench.ask("SetChargingProfile", central(bench, -6900.0))
    bench.run(30)
    assert bench.station.evses[1].power_w == 0.0
    asked = {"component": {"name": "V2XChargingCtrlr", "evse": {"id": 1}}, "variable": {"name": "Available"}}
    (found,) = bench.ask("GetVariables", {"getVariableData": [asked]})["getVariableResult"]
    assert found["attributeValue"] == "false"
    assert found["component"] == asked["component"]
