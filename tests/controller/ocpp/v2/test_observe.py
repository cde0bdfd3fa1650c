"""What a station's messages mean in amps and watts, also from stations that write oddly."""

from typing import Any

import pytest

from controller.facts import ChargingState, EvseKey, EvseMeasured, EvseStatus, EvseStatusChanged, NeedsAnnounced, SessionChanged, Stamp
from controller.ocpp.samples import number
from controller.ocpp.v2.observe import observe

AT = Stamp(10.0, 1_790_000_000.0)


def values(*samples: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"timestamp": "2026-11-21T16:00:00Z", "sampledValue": list(samples)}]


def measured(*samples: dict[str, Any]) -> EvseMeasured:
    (fact,) = observe(AT, "CP1", "MeterValues", {"evseId": 2, "meterValue": values(*samples)})
    assert isinstance(fact, EvseMeasured)
    return fact


def current(value: float, phase: str | None = None, measurand: str = "Current.Import") -> dict[str, Any]:
    return {"value": value, "measurand": measurand} | ({"phase": phase} if phase else {})


def test_status_words() -> None:
    payload = {"evseId": 2, "connectorId": 1, "connectorStatus": "Occupied", "timestamp": "x"}
    assert observe(AT, "CP1", "StatusNotification", payload) == [EvseStatusChanged(AT, EvseKey("CP1", 2), EvseStatus.OCCUPIED)]
    assert observe(AT, "CP1", "StatusNotification", {**payload, "connectorStatus": "Preparing"}) == []


def test_availability_by_notify_event() -> None:
    data = {
        "component": {"name": "Connector", "evse": {"id": 1, "connectorId": 1}},
        "variable": {"name": "AvailabilityState"},
        "actualValue": "Faulted",
    }
    assert observe(AT, "CP1", "NotifyEvent", {"eventData": [data, "odd", {}]}) == [EvseStatusChanged(AT, EvseKey("CP1", 1), EvseStatus.FAULTED)]


def test_currents_per_phase_and_the_safe_reading_of_one_without() -> None:
    fact = measured(current(10.0, "L1"), current(11.0, "L2"), current(12.0, "L3"))
    assert fact.phase_current_a == (10.0, 11.0, 12.0)
    assert measured(current(16.0)).phase_current_a == (16.0, 16.0, 16.0)
    assert measured(current(16.0, "L2-N")).phase_current_a == (None, 16.0, None)


def test_units_multipliers_and_defaults() -> None:
    fact = measured(
        {"value": 12.5, "unitOfMeasure": {"unit": "kWh"}},
        {"value": 7.2, "measurand": "Power.Active.Import", "unitOfMeasure": {"unit": "W", "multiplier": 3}},
        {"value": "81", "measurand": "SoC", "unitOfMeasure": {"unit": "Percent"}},
        {"value": 231.5, "measurand": "Voltage", "phase": "L1-N"},
    )
    assert (fact.energy_wh, fact.power_w, fact.soc_percent, fact.voltage_v) == (12_500.0, 7_200.0, 81.0, 231.5)


def test_export_is_negative_and_phases_add_up() -> None:
    fact = measured(current(5.0, "L1", "Current.Export"), {"value": 1.1, "measurand": "Power.Active.Export", "unitOfMeasure": {"unit": "kW"}})
    assert fact.phase_current_a[0] == -5.0
    assert fact.power_w == -1100.0
    both = measured(
        {"value": 100, "measurand": "Power.Active.Import", "phase": "L1"}, {"value": 200, "measurand": "Power.Active.Import", "phase": "L2"}
    )
    assert both.power_w == 300.0


def test_a_zero_export_does_not_hide_the_import() -> None:
    assert measured(current(9.0, "L1"), current(0.0, "L1", "Current.Export")).phase_current_a[0] == 9.0


@pytest.mark.parametrize("value", ["", "12,5", "0x1F", None, True, float("nan"), "1e999", [], 10**400])
def test_values_that_are_no_numbers_are_left_out(value: object) -> None:  # B19
    assert number(value) is None
    assert observe(AT, "CP1", "MeterValues", {"evseId": 1, "meterValue": values({"value": value, "measurand": "Current.Import"})}) == []


@pytest.mark.parametrize("value", [None, 3, "x", [], [3], [{}], [{"sampledValue": 3}], [{"sampledValue": ["x"]}]])
def test_meter_values_of_any_shape_never_raise(value: object) -> None:
    assert observe(AT, "CP1", "MeterValues", {"evseId": 1, "meterValue": value}) == []


def event(kind: str, **more: Any) -> dict[str, Any]:
    return {"eventType": kind, "seqNo": 1, "transactionInfo": {"transactionId": "t", "chargingState": "SuspendedEVSE"}, **more}


def test_sessions_with_state_phases_and_place() -> None:
    (fact,) = observe(AT, "CP1", "TransactionEvent", event("Started", evse={"id": 3}, numberOfPhasesUsed=1))
    assert fact == SessionChanged(AT, EvseKey("CP1", 3), "t", ChargingState.SUSPENDED_EVSE, started=True, phase_count=1)


def test_later_messages_take_the_evse_from_the_hint_and_values_come_before_the_end() -> None:
    facts = observe(AT, "CP1", "TransactionEvent", event("Ended", meterValue=values({"value": 900})), evse_hint=2)
    assert [type(fact) for fact in facts] == [EvseMeasured, SessionChanged]
    assert all(fact.evse == EvseKey("CP1", 2) for fact in facts if isinstance(fact, EvseMeasured | SessionChanged))


def test_old_events_do_not_speak_of_now() -> None:  # F16
    (fact,) = observe(AT, "CP1", "TransactionEvent", event("Updated", offline=True, meterValue=values(current(9.0))), evse_hint=2)
    assert isinstance(fact, SessionChanged)
    assert not fact.live


def test_needs_of_a_car() -> None:
    needs = {"departureTime": "2026-11-21T18:00:00Z", "acChargingParameters": {"energyAmount": 12000, "evMaxCurrent": 16}}
    (fact,) = observe(AT, "CP1", "NotifyEVChargingNeeds", {"evseId": 1, "chargingNeeds": needs})
    assert isinstance(fact, NeedsAnnounced)
    assert (fact.energy_wh, fact.max_current_a) == (12000.0, 16.0)
    assert fact.departure_wall_s is not None
    assert observe(AT, "CP1", "NotifyEVChargingNeeds", {"evseId": 1, "chargingNeeds": "soon"}) == []
