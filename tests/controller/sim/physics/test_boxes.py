"""Boxes with a temper: what they accept, when a limit acts, what they forget; and the short cuts change nothing."""

from __future__ import annotations

from typing import Any

import pytest

from controller.facts import Stamp
from controller.sim.car import CarSpec
from controller.sim.evse import EvseSpec
from controller.sim.physics.boxes import TemperedStation
from controller.sim.physics.cars import TemperedCar
from controller.sim.physics.tempers import BoxTemper, box_named, car_named
from controller.sim.station import StationSpec
from tests.controller.sim.kit import DAY, Bench, profile

SPEC = CarSpec("car", DAY, DAY + 86_400, 60_000.0, 80_000.0, 0.2, reaction_s=1.0, announces=False)


class Box:
    """A tempered station with a CSMS in memory and a car plugged in."""

    def __init__(self, temper: BoxTemper, version: str = "2.0.1", car: str = "obedient") -> None:
        evses = (EvseSpec(1, (0, 1, 2), 32.0, temper.quantum_a),)
        self.station = TemperedStation(StationSpec("S1", evses, sample_s=temper.sample_s, version=version), temper, 1)
        self.bench = Bench(self.station)
        self.bench.watch.subprotocol = f"ocpp{version}"
        self.bench.books.speaks("S1", f"ocpp{version}")
        self.bench.connect()
        self.car = TemperedCar(SPEC, car_named(car), 3)
        self.station.plug_in(self.bench.at, 1, SPEC, self.car)
        self.bench.run(10)

    def run(self, seconds: float) -> None:
        """Let time pass."""
        self.bench.run(seconds)

    def set(self, body: dict[str, Any], evse_id: int = 1) -> dict[str, Any]:
        """SetChargingProfile; the answer."""
        return self.call("SetChargingProfile", {"evseId": evse_id, "chargingProfile": body})

    def call(self, action: str, payload: dict[str, Any]) -> dict[str, Any]:
        """Any CALL to the station; the answer's payload."""
        found: dict[str, Any] = self.bench.ask(action, payload)
        return found

    @property
    def evse(self) -> Any:
        return self.station.evses[1]

    def tx(self, limit: float, **more: Any) -> dict[str, Any]:
        """A TxProfile for the running transaction, from now on."""
        own = {"profile_id": 9, "purpose": "TxProfile", "transactionId": self.evse.transaction.session.transaction_id, "stack": 1}
        return profile(limit, **{**own, **more})


def test_a_limit_acts_when_the_box_has_applied_it() -> None:
    box = Box(box_named("slow to apply"))
    assert box.evse.offer_a == 32.0
    assert box.set(box.tx(10.0)) == {"status": "Accepted"}
    box.run(4)
    assert box.evse.offer_a == 32.0
    box.run(2)
    assert box.evse.offer_a == 10.0


def test_an_expired_setpoint_falls_to_the_floor_without_anybody() -> None:
    box = Box(box_named("by the book"))
    box.set(profile(6.0))
    box.set(box.tx(16.0, duration_s=60 + int(box.bench.now_s)))
    box.run(30)
    assert box.evse.offer_a == 16.0
    box.run(33)
    assert box.evse.offer_a == 6.0
    box.run(10)
    assert box.car.current_a == 6.0


def test_who_takes_watts_only_says_so_and_counts_them_over_the_phases() -> None:
    box = Box(box_named("watts only"))
    assert box.set(box.tx(10.0))["statusInfo"]["reasonCode"] == "UnsupportedRateUnit"
    watts = box.tx(0, unit="W", periods=[{"startPeriod": 0, "limit": 6900.0, "numberPhases": 3}])
    assert box.set(watts) == {"status": "Accepted"}
    box.run(5)
    assert box.evse.offer_a == pytest.approx(10.0)
    asked = {"component": {"name": "SmartChargingCtrlr"}, "variable": {"name": "RateUnit"}}
    assert box.call("GetVariables", {"getVariableData": [asked]})["getVariableResult"][0]["attributeValue"] == "W"


def test_who_counts_its_writes_says_when_to_come_again_and_takes_tx_profiles_always() -> None:
    box = Box(box_named("counts its writes"))
    assert box.set(profile(6.0)) == {"status": "Accepted"}
    box.run(13)
    refused = box.set(profile(7.0))
    assert refused["statusInfo"] == {"reasonCode": "RateLimitExceeded", "additionalInfo": "47 seconds before retry"}
    assert box.set(box.tx(9.0)) == {"status": "Accepted"}
    box.run(47)
    assert box.set(profile(7.0)) == {"status": "Accepted"}


def test_who_rejects_tx_profiles_takes_defaults() -> None:
    box = Box(box_named("rejects TxProfile"))
    assert box.set(box.tx(9.0))["status"] == "Rejected"
    assert box.set(profile(9.0)) == {"status": "Accepted"}


def test_who_forgets_its_default_is_unlimited_after_a_reconnect() -> None:
    box = Box(box_named("forgets its default"))
    box.set(profile(6.0))
    box.station.closed(box.bench.at)
    box.run(3)
    assert box.evse.offer_a == 6.0
    box.bench.connect()
    box.run(3)
    assert box.evse.offer_a == 32.0


def test_mis_stacking_the_lowest_and_the_newest() -> None:
    lowest = Box(box_named("takes the lowest profile"))
    lowest.set(profile(6.0))
    lowest.set(lowest.tx(16.0))
    lowest.run(5)
    assert lowest.evse.offer_a == 6.0
    newest = Box(box_named("takes the newest profile"))
    newest.set(newest.tx(16.0))
    newest.set(profile(6.0))
    newest.run(5)
    assert newest.evse.offer_a == 6.0


def test_who_ignores_profiles_accepts_them() -> None:
    box = Box(box_named("ignores profiles"))
    assert box.set(box.tx(0.0)) == {"status": "Accepted"}
    box.run(20)
    assert box.evse.offer_a == 32.0


def test_a_sleeper_is_woken_by_the_nudges_this_box_gives() -> None:
    for name, wakes in (("by the book", True), ("wakes by availability only", False)):
        box = Box(box_named(name), car="sleeper")
        box.set(box.tx(0.0))
        box.run(330)
        box.set(box.tx(10.0))
        box.run(20)
        assert box.car.current_a == 0.0
        box.call("TriggerMessage", {"requestedMessage": "StatusNotification", "evse": {"id": 1}})
        box.run(20)
        assert (box.car.current_a == 10.0) is wakes


def test_whole_amps_in_its_meter_values() -> None:
    box = Box(box_named("meters each minute, whole amps"))
    box.set(box.tx(9.4))
    box.run(70)
    book = next(iter(box.bench.books.transactions.values()))
    values = [sample for event in book.events.values() for sample in event["meterValue"][0]["sampledValue"]]
    amps = {sample["value"] for sample in values if sample["measurand"] == "Current.Import"}
    assert all(one == round(one) for one in amps)
    assert 9.0 in amps


def test_dynamic_profiles_of_2_1_are_updated_and_expire_after_their_last_update() -> None:
    box = Box(box_named("by the book"), "2.1")
    box.set(profile(6.0))
    body = box.tx(16.0, chargingProfileKind="Dynamic", duration_s=60)
    del body["chargingSchedule"][0]["startSchedule"]
    assert box.set(body) == {"status": "Accepted"}
    box.run(40)
    assert box.evse.offer_a == 16.0
    assert box.call("UpdateDynamicSchedule", {"chargingProfileId": 9, "scheduleUpdate": {"limit": 12.0}}) == {"status": "Accepted"}
    box.run(40)
    assert box.evse.offer_a == 12.0
    box.run(24)
    assert box.evse.offer_a == 6.0
    assert box.call("UpdateDynamicSchedule", {"chargingProfileId": 9, "scheduleUpdate": {"limit": 14.0}}) == {"status": "Accepted"}
    box.run(3)
    assert box.evse.offer_a == 14.0
    assert box.call("UpdateDynamicSchedule", {"chargingProfileId": 5, "scheduleUpdate": {"limit": 14.0}})["status"] == "Rejected"


def test_writes_are_counted_by_what_they_are() -> None:
    box = Box(box_named("by the book"))
    box.set(profile(6.0))
    box.set(box.tx(9.0))
    box.set(box.tx(8.0))
    box.call("ClearChargingProfile", {"chargingProfileId": 9})
    assert box.station.writes == {"TxDefaultProfile": 1, "TxProfile": 2, "ClearChargingProfile": 1}


def test_mishaps_come_by_chance_about_as_often_as_said() -> None:
    temper = BoxTemper("x", offline_every_h=1.0)
    station = TemperedStation(StationSpec("S1", (EvseSpec(1),)), temper, 1)
    seen = [what for second in range(0, 200 * 3600, 10) if (what := station.mishap(Stamp(float(second), DAY + second)))]
    assert set(seen) == {"offline"}
    assert 150 < len(seen) < 250


def test_a_station_that_rests_says_the_same_as_one_that_looks_each_second() -> None:
    def course(restless: bool) -> list[Any]:
        box = Box(box_named("by the book"))
        for limit in (10.0, 0.0, 12.0):  # settles, pauses, resumes
            box.set(box.tx(limit, start=box.bench.now_s))
            for _ in range(200):
                if restless:
                    box.station._stir()
                box.run(1)
        return box.bench.sent

    assert course(True) == course(False)
    assert len(course(False)) > 20
