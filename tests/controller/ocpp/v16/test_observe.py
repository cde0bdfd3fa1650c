"""What a 1.6 station's messages mean in amps and watts, also from stations that write oddly."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.facts import ChargingState, EvseKey, EvseMeasured, EvseStatus, EvseStatusChanged, Fact, SessionChanged, Stamp
from controller.ocpp.registry import dialects
from controller.ocpp.times import timestamp
from tests.support.examples import examples
from tests.support.schemas import check_request

V16 = "ocpp1.6"
DIALECT = dialects()[V16]
AT = Stamp(10.0, 1_795_276_800.0)
NOW = timestamp(AT.wall_s)
OLD = timestamp(AT.wall_s - 3600.0)
EVSE = EvseKey("CP1", 2)


def observe(action: str, payload: dict[str, Any], evse_hint: int = 0, at: Stamp = AT) -> list[Fact]:
    return DIALECT.observe(at, "CP1", action, payload, evse_hint)


def sample(value: Any, measurand: str | None = None, unit: str | None = None, **more: str) -> dict[str, Any]:
    return {"value": value} | ({"measurand": measurand} if measurand else {}) | ({"unit": unit} if unit else {}) | more


def current(value: Any, phase: str | None = None, measurand: str = "Current.Import") -> dict[str, Any]:
    return sample(value, measurand, "A", **({"phase": phase} if phase else {}))


def values(*samples: dict[str, Any], moment: str = NOW, **more: Any) -> dict[str, Any]:
    return {"connectorId": 2, "meterValue": [{"timestamp": moment, "sampledValue": list(samples)}]} | more


def measured(*samples: dict[str, Any]) -> EvseMeasured:
    (fact,) = observe("MeterValues", values(*samples))
    assert isinstance(fact, EvseMeasured)
    assert fact.evse == EVSE
    return fact


# -- status ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "status", "state"),
    [
        ("Available", EvseStatus.AVAILABLE, ChargingState.IDLE),
        ("Preparing", EvseStatus.OCCUPIED, ChargingState.EV_CONNECTED),
        ("Charging", EvseStatus.OCCUPIED, ChargingState.CHARGING),
        ("SuspendedEV", EvseStatus.OCCUPIED, ChargingState.SUSPENDED_EV),
        ("SuspendedEVSE", EvseStatus.OCCUPIED, ChargingState.SUSPENDED_EVSE),
        ("Finishing", EvseStatus.OCCUPIED, ChargingState.EV_CONNECTED),
        ("Reserved", EvseStatus.RESERVED, ChargingState.IDLE),
        ("Unavailable", EvseStatus.UNAVAILABLE, None),
        ("Faulted", EvseStatus.FAULTED, None),
    ],
)
def test_status_words_are_status_and_charging_state(word: str, status: EvseStatus, state: ChargingState | None) -> None:
    payload = {"connectorId": 2, "errorCode": "NoError", "status": word}
    check_request("StatusNotification", payload, V16)
    state_fact = [] if state is None else [SessionChanged(AT, EVSE, "", state)]
    assert observe("StatusNotification", payload) == [EvseStatusChanged(AT, EVSE, status), *state_fact]
    # Its time is that of the change, and what it says still holds.
    assert observe("StatusNotification", {**payload, "timestamp": OLD}) == observe("StatusNotification", payload)


def test_the_station_itself_and_odd_words_are_no_status_of_an_evse() -> None:
    for payload in ({"connectorId": 0, "status": "Available"}, {"status": "Available"}, {"connectorId": 2, "status": "Occupied"}, {"connectorId": 2}):
        assert observe("StatusNotification", payload) == []


# -- transactions -----------------------------------------------------------------------------------------------

START = {"connectorId": 2, "idTag": "AABB", "meterStart": 1200, "timestamp": NOW}
STOP = {"transactionId": 17, "meterStop": 9000, "timestamp": NOW}


def test_a_start_is_told_once_its_id_is_known() -> None:
    assert observe("StartTransaction", START) == []
    register, session = observe("StartTransaction", {**START, "transactionId": 17})
    assert register == EvseMeasured(AT, EVSE, energy_wh=1200.0)  # first: the session begins with it
    assert session == SessionChanged(AT, EVSE, "17", None, started=True)


def test_a_start_from_the_station_s_queue_is_not_live() -> None:  # F16
    assert observe("StartTransaction", {**START, "timestamp": OLD, "transactionId": 17}) == [
        SessionChanged(AT, EVSE, "17", None, started=True, live=False)
    ]


def test_a_stop_ends_the_session_at_the_evse_of_its_transaction() -> None:
    assert observe("StopTransaction", STOP) == []  # of nowhere
    assert observe("StopTransaction", STOP, 2) == [
        EvseMeasured(AT, EVSE, energy_wh=9000.0),
        SessionChanged(AT, EVSE, "17", None, ended=True),
    ]
    assert observe("StopTransaction", {**STOP, "timestamp": OLD}, 2) == [SessionChanged(AT, EVSE, "17", None, ended=True, live=False)]
    assert observe("StopTransaction", {**STOP, "transactionId": "x"}, 2) == []


@pytest.mark.parametrize("register", [None, "", "12,5", [1], True])
def test_a_register_nobody_can_read_costs_only_the_register(register: Any) -> None:
    assert observe("StopTransaction", {**STOP, "meterStop": register}, 2) == [SessionChanged(AT, EVSE, "17", None, ended=True)]


def test_meter_values_of_a_transaction_say_that_it_goes_on() -> None:
    facts = observe("MeterValues", values(current("16.0"), transactionId=17))
    assert facts[0] == SessionChanged(AT, EVSE, "17", None)
    assert isinstance(facts[1], EvseMeasured)


# -- stale and live --------------------------------------------------------------------------------------------------


def test_readings_from_the_station_s_queue_are_not_the_present() -> None:  # F16
    old = values(current("0.0"), moment=OLD, transactionId=17)
    assert observe("MeterValues", old) == [SessionChanged(AT, EVSE, "17", None, live=False)]
    assert observe("MeterValues", values(current("0.0"), moment=OLD)) == []
    assert observe("MeterValues", values(current("0.0"), moment="at noon")) == []


@pytest.mark.parametrize(("age_s", "live"), [(0.0, True), (119.0, True), (121.0, False), (-7200.0, True)])
def test_how_old_is_old(age_s: float, live: bool) -> None:
    assert bool(observe("MeterValues", values(current("6.0"), moment=timestamp(AT.wall_s - age_s)))) is live


def test_in_a_compressed_day_age_is_compressed_too() -> None:
    fast = Stamp(10.0, AT.wall_s, wall_speed=60.0)
    assert observe("MeterValues", values(current("6.0"), moment=timestamp(AT.wall_s - 3600.0)), at=fast)


def test_without_a_trusted_clock_nothing_is_called_old() -> None:  # F78
    lost = Stamp(10.0, AT.wall_s, wall_trusted=False)
    assert observe("MeterValues", values(current("6.0"), moment=OLD), at=lost)


@pytest.mark.parametrize("moment", ["2026-11-21T16:00:00", "2026-11-21T16:00:00.123456789Z", "2026-11-21t16:00:00z", "2026-11-21T17:00:00+01:00"])
def test_times_as_stations_write_them(moment: str) -> None:  # B18
    assert timestamp(AT.wall_s).startswith("2026-11-21T16:00:00")
    assert observe("MeterValues", values(current("6.0"), moment=moment)) != []


@pytest.mark.parametrize("moment", ["2026-02-30T16:00:00Z", "0001-01-01T00:00:00Z", "", None, 1795276800])
def test_times_that_are_none_make_no_reading(moment: Any) -> None:  # B18
    assert observe("MeterValues", values(current("6.0"), moment=moment)) == []


def test_of_several_moments_the_latest_counts_however_it_is_split() -> None:
    first = {"timestamp": timestamp(AT.wall_s - 30), "sampledValue": [current("32.0", "L1"), current("32.0", "L2")]}
    split = [{"timestamp": NOW, "sampledValue": [current(str(amps), phase)]} for amps, phase in ((6.0, "L1"), (7.0, "L2"), (8.0, "L3"))]
    (fact,) = observe("MeterValues", {"connectorId": 2, "meterValue": [first, *split]})
    assert isinstance(fact, EvseMeasured)
    assert fact.phase_current_a == (6.0, 7.0, 8.0)


# -- values --------------------------------------------------------------------------------------------------------


def test_currents_per_phase_and_the_safe_reading_of_one_without() -> None:
    assert measured(current("10.0", "L1"), current("11", "L2-N"), current("12.5", "L3")).phase_current_a == (10.0, 11.0, 12.5)
    assert measured(current("16.0")).phase_current_a == (16.0, 16.0, 16.0)
    assert measured(current("16.0", "L2"), current("3.0", "N")).phase_current_a == (None, 16.0, None)


def test_defaults_are_the_import_register_in_wh() -> None:
    assert measured(sample("1234.5")).energy_wh == 1234.5
    assert measured(sample("12.5", unit="kWh")).energy_wh == 12_500.0


def test_units() -> None:
    fact = measured(
        sample("7.2", "Power.Active.Import", "kW"), sample("81", "SoC", "Percent", location="EV"), sample("231.5", "Voltage", "V", phase="L1-N")
    )
    assert (fact.power_w, fact.soc_percent, fact.voltage_v) == (7_200.0, 81.0, 231.5)
    assert measured(sample("400", "Voltage", "V", phase="L1-L2"), current("6")).voltage_v is None
    assert measured(sample("81", "SoC"), sample("16", "Current.Import")).phase_current_a == (16.0, 16.0, 16.0)


def test_export_is_negative_and_phases_add_up() -> None:
    fact = measured(
        current("5.0", "L1", "Current.Export"), *(sample("1.1", "Power.Active.Import", "kW", phase=phase) for phase in ("L1", "L2", "L3"))
    )
    assert fact.phase_current_a == (-5.0, None, None)
    assert fact.power_w == pytest.approx(3300.0)


@pytest.mark.parametrize(
    "value", ["", "12,5", "0x1F", "14.4kW", "NaN", "Infinity", "1e400", "1_000", "１２", "1" * 100, "1e40", None, [16], True, {"a": 1}]
)
def test_values_that_are_no_numbers_are_left_out(value: Any) -> None:  # B19
    assert observe("MeterValues", values(current(value))) == []


@pytest.mark.parametrize(
    ("value", "amps"), [(" 7 ", 7.0), ("+6.5", 6.5), ("1.6e1", 16.0), (".5", 0.5), ("7.", 7.0), (16, 16.0), (31.884057998657227, 31.884057998657227)]
)
def test_numbers_as_stations_write_them(value: Any, amps: float) -> None:  # B19
    assert measured(current(value, "L1")).phase_current_a == (amps, None, None)


@pytest.mark.parametrize(
    "odd",
    [
        sample("7.2", "Power.Active.Import"),  # W or kW?
        sample("16", "Current.Import", "W"),
        sample("7200", "Power.Active.Import", "A"),
        sample("7200", "Power.Active.Import", "kWh"),
        sample("16", "Current.Offered", "A"),
        sample("11000", "Power.Offered", "W"),
        sample("40", "Temperature", "Celcius"),
        sample("40", "Temperature", "Celsius"),
        sample("500", "Energy.Active.Import.Interval", "Wh"),
        sample("16", "Current.Import", "A", location="Body"),
        sample("16", "Current.Import", "A", location="EV"),
        sample("0A0B0C", "Energy.Active.Import.Register", "Wh", format="SignedData"),
        sample("120", "SoC", "Percent"),
        sample("16", "current.import", "A"),
        {"measurand": "Current.Import"},
    ],
)
def test_what_says_nothing_about_the_present_draw_is_left_out(odd: dict[str, Any]) -> None:  # B19, trap 29
    assert observe("MeterValues", values(odd)) == []
    assert measured(odd, current("6.0", "L1")).phase_current_a == (6.0, None, None)


def test_connector_0_is_the_station_and_no_evse() -> None:  # trap 11
    assert observe("MeterValues", values(current("63.0"), connectorId=0)) == []
    assert observe("MeterValues", values(current("63.0"), connectorId=0), 2) == []
    # A reading of a transaction is that of its EVSE, whatever connector some write.
    session, fact = observe("MeterValues", values(current("16.0"), connectorId=0, transactionId=17), 2)
    assert (session.evse, fact.evse) == (EVSE, EVSE)  # type: ignore[attr-defined]


# -- never raises --------------------------------------------------------------------------------------------------------

JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12) | st.sampled_from([NOW, OLD, "Charging", "16.0", "A", "L1", "17"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
FIELDS = ("connectorId", "transactionId", "status", "timestamp", "meterStart", "meterStop", "meterValue", "idTag", "evse")
SAMPLES = st.fixed_dictionaries({}, optional=dict.fromkeys(("value", "measurand", "unit", "phase", "location", "format", "context"), JUNK))
VALUES = st.lists(st.fixed_dictionaries({"timestamp": JUNK, "sampledValue": st.lists(SAMPLES | JUNK, max_size=3) | JUNK}) | JUNK, max_size=3)
PAYLOADS = st.fixed_dictionaries({}, optional=dict.fromkeys(FIELDS, JUNK) | {"meterValue": VALUES | JUNK})
ACTIONS = st.sampled_from(["StatusNotification", "StartTransaction", "StopTransaction", "MeterValues", "Heartbeat", "Odd"])


@settings(max_examples=examples(300), deadline=None)
@given(action=ACTIONS, payload=PAYLOADS, evse_hint=st.integers(0, 3))
def test_nothing_a_station_sends_breaks_the_reader(action: str, payload: dict[str, Any], evse_hint: int) -> None:
    facts = observe(action, payload, evse_hint)
    assert all(isinstance(fact, EvseStatusChanged | SessionChanged | EvseMeasured) and fact.evse.evse_id > 0 for fact in facts)
    event = DIALECT.transaction_event(action, payload)
    assert event is None or event.evse_id >= 0
    assert DIALECT.thinnable(action, payload) in (True, False)
    evse_id, connector = DIALECT.status_key(payload)
    assert evse_id >= 0
    assert connector in (0, 1)
