"""1.6 -> 2.x -> 1.6 keeps what 1.6 can say: a 1.6 station and a 1.6 CSMS with the hub between them.

Whatever a station says reaches the CSMS in the same words, and whatever the CSMS says reaches the station, but for what 2.x has no word for:
the transactionId (each end has its own), SoftReset as a reason to stop (ImmediateReset is HardReset on the way back), a missing reason (it
means Local), Temperature and RPM, and defaults that are written out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controller.ocpp.hub import Message, Said
from controller.ocpp.registry import sides_for
from controller.ocpp.times import timestamp
from controller.ocpp.v16 import keys, readings
from tests.support.examples import examples
from tests.support.pair import Pair

Payload = dict[str, Any]
LAW = settings(deadline=None, database=None, suppress_health_check=list(HealthCheck), max_examples=examples(60))
START_WALL_S = 1_795_276_800.0
OK = {"status": "Accepted"}

TAGS = st.text(alphabet="0123456789ABCDEFabcdefXYZxyz-_*", min_size=1, max_size=20)
TIMES = st.integers(0, 86_400_000).map(lambda ms: timestamp(START_WALL_S + 2000 + ms / 1000))
CONNECTORS = st.sampled_from((1, 2))
INFOS = st.fixed_dictionaries(
    {"status": st.sampled_from(("Accepted", "Blocked", "Expired", "Invalid", "ConcurrentTx"))}, optional={"expiryDate": TIMES, "parentIdTag": TAGS}
)


class World:
    """Both ends, and what each is answered. heard: (end, action, payload) of all that arrived."""

    def __init__(self, **answers: Payload | Callable[[Payload], Payload]) -> None:
        sides = sides_for("ocpp1.6")
        assert sides is not None
        self.answers = answers
        self.pair = Pair(sides, sides, lambda version, action: self._answer(action))
        for end, side in self.pair.sides.items():
            self.pair.spawn(end, side.opened())

    def _answer(self, action: str) -> Said:
        answer = self.answers.get(action, {})
        return Said(answer(self.pair.sent[-1].payload) if callable(answer) else answer)

    def station(self, action: str, payload: Payload) -> Any:
        """The station says something; returns the answer it gets."""
        return self.pair.says("station", Message(action, payload))

    def csms(self, action: str, payload: Payload) -> Any:
        """The CSMS asks something; returns the answer it gets."""
        return self.pair.says("csms", Message(action, payload))

    def heard(self, end: str, *actions: str) -> list[tuple[str, Payload]]:
        """What arrived at an end, of these actions or of all."""
        assert self.pair.complaints == []
        return [(sent.action, sent.payload) for sent in self.pair.sent if sent.end == end and (not actions or sent.action in actions)]


# -- transactions ------------------------------------------------------------------------------------------------

SAMPLES = st.fixed_dictionaries(
    {
        "value": st.integers(-(10**6), 10**9).map(lambda tenths: f"{tenths / 10:g}" if tenths % 10 else str(tenths // 10)),
        "measurand": st.sampled_from(readings.MEASURANDS),
        "unit": st.sampled_from(("Wh", "kWh", "varh", "W", "kW", "VA", "var", "A", "V", "Percent")),
    },
    optional={
        "context": st.sampled_from(("Sample.Periodic", "Sample.Clock", "Trigger", "Other", "Interruption.Begin")),
        "phase": st.sampled_from(readings.PHASES),
        "location": st.sampled_from(readings.LOCATIONS),
        "format": st.just("Raw"),
    },
)
VALUES = st.lists(st.fixed_dictionaries({"timestamp": TIMES, "sampledValue": st.lists(SAMPLES, min_size=1, max_size=3)}), min_size=1, max_size=2)
REASONS = (
    *("EmergencyStop", "EVDisconnected", "HardReset", "Local", "Other", "PowerLoss", "Reboot", "Remote", "SoftReset", "UnlockCommand"),
    "DeAuthorized",
)
STARTS = st.fixed_dictionaries(
    {"connectorId": CONNECTORS, "idTag": TAGS, "meterStart": st.integers(0, 10**8), "timestamp": TIMES},
    optional={"reservationId": st.integers(0, 10**6)},
)
STOPS = st.fixed_dictionaries(
    {"meterStop": st.integers(0, 10**8), "timestamp": TIMES},
    optional={"reason": st.sampled_from(REASONS), "idTag": TAGS, "transactionData": VALUES},
)


def plainly(values: list[Payload]) -> list[Payload]:
    """Readings without what is only a default written out, in numbers."""

    def plain(sample: Payload) -> Payload:
        return {name: float(value) if name == "value" else value for name, value in sample.items() if name != "format"}

    return [{"timestamp": entry["timestamp"], "sampledValue": [plain(sample) for sample in entry["sampledValue"]]} for entry in values]


@LAW
@given(STARTS, st.lists(VALUES, max_size=3, unique_by=str), STOPS, INFOS, st.integers(1, 10**9))
def test_a_transaction(start: Payload, several: list[list[Payload]], stop: Payload, info: Payload, number: int) -> None:
    world = World(StartTransaction={"transactionId": number, "idTagInfo": info}, StopTransaction={}, Authorize={"idTagInfo": info})
    begun = world.station("StartTransaction", start)
    assert begun.payload["idTagInfo"] == info
    own = begun.payload["transactionId"]
    assert own > 0
    for values in several:
        said = {"connectorId": start["connectorId"], "transactionId": own, "meterValue": values}
        assert world.station("MeterValues", said) == Said({})
    assert isinstance(world.station("StopTransaction", {**stop, "transactionId": own}), Said)

    [(_, first)] = world.heard("csms", "StartTransaction")
    assert first == start
    told = [payload for _, payload in world.heard("csms", "MeterValues")]
    assert [plainly(payload["meterValue"]) for payload in told] == [plainly(values) for values in several]
    assert all((payload["connectorId"], payload["transactionId"]) == (start["connectorId"], number) for payload in told)
    [(_, last)] = world.heard("csms", "StopTransaction")
    data = plainly(last.pop("transactionData", []))
    for entry in plainly(stop.get("transactionData", [])):
        assert entry in data
    reason = stop.get("reason", "Local")
    expected = {name: stop[name] for name in ("meterStop", "timestamp", "idTag") if name in stop}
    assert last == {**expected, "transactionId": number, "reason": "HardReset" if reason == "SoftReset" else reason}


@LAW
@given(st.lists(STARTS, min_size=2, max_size=6), st.integers(-1, 3))
def test_each_transaction_is_one_whatever_numbers_the_csms_gives(starts: list[Payload], number: int) -> None:
    """Trap 8, 16E 3.54: the same start said again is the same one; no two share a number at the station."""
    world = World(StartTransaction={"transactionId": number, "idTagInfo": OK}, StopTransaction={})
    numbers = {}
    for start in starts:
        key = tuple(start[name] for name in ("connectorId", "idTag", "timestamp", "meterStart"))
        own = world.station("StartTransaction", start).payload["transactionId"]
        assert numbers.setdefault(key, own) == own
    assert len(set(numbers.values())) == len(numbers)
    assert len(world.heard("csms", "StartTransaction")) == len(numbers)


@LAW
@given(CONNECTORS | st.just(0), VALUES)
def test_values_outside_transactions(connector_id: int, values: list[Payload]) -> None:
    world = World()
    world.station("MeterValues", {"connectorId": connector_id, "meterValue": values})
    [(_, payload)] = world.heard("csms", "MeterValues")
    assert payload["connectorId"] == connector_id
    assert plainly(payload["meterValue"]) == plainly(values)


# -- states and cards -------------------------------------------------------------------------------------------------

IDLE = ("Available", "Preparing", "Reserved", "Unavailable", "Faulted")
CODES = (
    *("ConnectorLockFailure", "EVCommunicationError", "GroundFailure", "HighTemperature", "InternalError", "LocalListConflict", "NoError"),
    *("OtherError", "OverCurrentFailure", "PowerMeterFailure", "PowerSwitchFailure", "ReaderFailure", "ResetFailure", "UnderVoltage"),
    *("OverVoltage", "WeakSignal"),
)
STATUSES = st.fixed_dictionaries(
    {"connectorId": CONNECTORS, "errorCode": st.sampled_from(CODES), "status": st.sampled_from(IDLE), "timestamp": TIMES}, optional={"info": TAGS}
)


@LAW
@given(st.lists(STATUSES, min_size=1, max_size=6))
def test_the_last_status_of_each_connector(statuses: list[Payload]) -> None:
    """2.x tells state and fault apart, so 1.6 hears it in two messages; the last of them is the station's word."""
    world = World()
    for status in statuses:
        assert world.station("StatusNotification", status) == Said({})
    last = {payload["connectorId"]: payload for payload in statuses}
    heard = {payload["connectorId"]: payload for _, payload in world.heard("csms", "StatusNotification")}
    assert {number: payload["status"] for number, payload in heard.items()} == {number: payload["status"] for number, payload in last.items()}
    for number, payload in last.items():
        # A fault nobody has named is OtherError.
        unnamed = payload["errorCode"] == "NoError" and payload["status"] == "Faulted"
        assert heard[number]["errorCode"] in ({"NoError", "OtherError"} if unnamed else {payload["errorCode"]})


@LAW
@given(STARTS, st.lists(st.sampled_from(("Charging", "SuspendedEV", "SuspendedEVSE")), min_size=1, max_size=6))
def test_statuses_in_a_transaction(start: Payload, words: list[str]) -> None:
    world = World(StartTransaction={"transactionId": 7, "idTagInfo": OK}, StopTransaction={})
    world.pair.tick(20)  # nothing of before is on its way
    status = {"connectorId": start["connectorId"], "errorCode": "NoError", "timestamp": start["timestamp"]}
    world.station("StatusNotification", {**status, "status": "Preparing"})
    world.station("StartTransaction", start)
    for word in words:
        world.station("StatusNotification", {**status, "status": word})
    world.pair.tick(20)
    heard = [payload["status"] for _, payload in world.heard("csms", "StatusNotification")]
    assert heard[0] == "Preparing"
    assert heard[-1] == words[-1]


@LAW
@given(TAGS, INFOS)
def test_a_card(tag: str, info: Payload) -> None:
    world = World(Authorize={"idTagInfo": info})
    assert world.station("Authorize", {"idTag": tag}) == Said({"idTagInfo": info})
    assert world.heard("csms") == [("Authorize", {"idTag": tag})]


# -- commands ------------------------------------------------------------------------------------------------------------

TYPES = st.sampled_from(("Operative", "Inoperative"))
ENTRIES = st.fixed_dictionaries({"idTag": TAGS, "idTagInfo": INFOS})
COMMANDS = st.one_of(
    st.tuples(st.just("ChangeAvailability"), st.fixed_dictionaries({"connectorId": st.integers(0, 2), "type": TYPES})),
    st.tuples(
        st.just("ReserveNow"),
        st.fixed_dictionaries(
            {"connectorId": CONNECTORS, "expiryDate": TIMES, "idTag": TAGS, "reservationId": st.integers(0, 10**6)}, optional={"parentIdTag": TAGS}
        ),
    ),
    st.tuples(st.just("ClearCache"), st.just({})),
    st.tuples(
        st.just("SendLocalList"),
        st.fixed_dictionaries(
            {"listVersion": st.integers(1, 10**6), "updateType": st.sampled_from(("Full", "Differential"))},
            optional={"localAuthorizationList": st.lists(ENTRIES, min_size=1, max_size=4, unique_by=lambda entry: entry["idTag"].casefold())},
        ),
    ),
    st.tuples(st.just("RemoteStartTransaction"), st.fixed_dictionaries({"connectorId": CONNECTORS, "idTag": TAGS})),
    st.tuples(st.just("UnlockConnector"), st.fixed_dictionaries({"connectorId": CONNECTORS})),
    st.tuples(
        st.just("DataTransfer"),
        st.fixed_dictionaries({"vendorId": TAGS}, optional={"messageId": TAGS, "data": st.text(max_size=30)}),
    ),
)
ANSWERS = {
    **dict.fromkeys(("ChangeAvailability", "ReserveNow", "ClearCache", "SendLocalList", "RemoteStartTransaction", "DataTransfer"), OK),
    "UnlockConnector": {"status": "Unlocked"},
}


@LAW
@given(COMMANDS)
def test_a_command_arrives_as_it_was_said_and_so_does_its_answer(command: tuple[str, Payload]) -> None:
    action, payload = command
    world = World(**ANSWERS)
    assert world.csms(action, payload) == Said(ANSWERS[action])
    assert world.heard("station") == [(action, payload)]


# -- configuration ---------------------------------------------------------------------------------------------------------

WRITABLE = [row for row in keys.ROWS if row.access == "RW"]
VENDOR_KEYS = st.text(alphabet="abcXYZ0123456789-_.", min_size=1, max_size=50)


def value_for(row: keys.Row) -> st.SearchStrategy[str]:
    """What a key of this kind may be set to, in the standard's own spelling."""
    if row.kind == "boolean":
        return st.sampled_from(("true", "false"))
    if row.kind == "MemberList":
        return st.lists(st.sampled_from(readings.MEASURANDS), max_size=6, unique=True).map(",".join)
    return st.integers(0, 10**6).map(str) if row.kind == "integer" else TAGS


SETTINGS = st.one_of(
    st.sampled_from(WRITABLE).flatmap(lambda row: st.tuples(st.just(row.key), value_for(row))), st.tuples(VENDOR_KEYS, st.text(max_size=100))
)


@LAW
@given(SETTINGS, st.sampled_from(("Accepted", "Rejected", "RebootRequired", "NotSupported")))
def test_a_setting(setting: tuple[str, str], status: str) -> None:
    key, value = setting
    world = World(ChangeConfiguration={"status": status})
    assert world.csms("ChangeConfiguration", {"key": key, "value": value}) == Said({"status": status})
    assert world.heard("station") == [("ChangeConfiguration", {"key": key, "value": value})]


@LAW
@given(st.dictionaries(st.sampled_from([row.key for row in WRITABLE]) | VENDOR_KEYS, st.none(), min_size=1, max_size=5), st.data())
def test_what_is_set_is_read(named: dict[str, None], data: st.DataObject) -> None:
    values = {key: data.draw(value_for(row) if (row := keys.row_of(key)) is not None else st.text(min_size=1, max_size=50)) for key in named}

    def station(request: Payload) -> Payload:
        return {"configurationKey": [{"key": key, "readonly": False, "value": values[key]} for key in request.get("key", values) if key in values]}

    world = World(GetConfiguration=station)
    reply = world.csms("GetConfiguration", {"key": [*values, "Unheard.Of.Key"]})
    assert reply.payload.get("unknownKey") == ["Unheard.Of.Key"]
    assert {entry["key"]: entry.get("value") for entry in reply.payload["configurationKey"]} == values


# -- profiles -----------------------------------------------------------------------------------------------------------------

PERIODS = st.lists(
    st.fixed_dictionaries(
        {"startPeriod": st.integers(0, 86_400), "limit": st.integers(0, 630).map(lambda tenths: tenths / 10)},
        optional={"numberPhases": st.integers(1, 3)},
    ),
    min_size=1,
    max_size=4,
)


@st.composite
def profiles(draw: st.DrawFn) -> Payload:
    """A SetChargingProfile that says all it means."""
    purpose = draw(st.sampled_from(("ChargePointMaxProfile", "TxDefaultProfile", "TxProfile")))
    kind = draw(st.sampled_from(("Absolute", "Recurring") if purpose == "ChargePointMaxProfile" else ("Absolute", "Recurring", "Relative")))
    schedule: Payload = {"chargingRateUnit": draw(st.sampled_from("AW")), "chargingSchedulePeriod": draw(PERIODS)}
    schedule |= {} if kind == "Relative" else {"startSchedule": draw(TIMES)}
    schedule |= draw(st.fixed_dictionaries({}, optional={"duration": st.integers(1, 10**6), "minChargingRate": st.just(6.0)}))
    profile = {"chargingProfileId": draw(st.integers(0, 10**6)), "stackLevel": draw(st.integers(0, 9)), "chargingProfilePurpose": purpose}
    profile |= {"chargingProfileKind": kind, "chargingSchedule": schedule} | ({"recurrencyKind": "Daily"} if kind == "Recurring" else {})
    profile |= draw(st.fixed_dictionaries({}, optional={"validFrom": TIMES}))
    return {"connectorId": 0 if purpose == "ChargePointMaxProfile" else draw(CONNECTORS), "csChargingProfiles": profile}


@LAW
@given(profiles())
def test_a_profile(request: Payload) -> None:
    world = World(SetChargingProfile=OK, StartTransaction={"transactionId": 9, "idTagInfo": OK})
    profile, expected = request["csChargingProfiles"], dict(request["csChargingProfiles"])
    if profile["chargingProfilePurpose"] == "TxProfile":
        start = {"connectorId": request["connectorId"], "idTag": "A", "meterStart": 0, "timestamp": timestamp(START_WALL_S + 1000)}
        own = world.station("StartTransaction", start).payload["transactionId"]
        request = {**request, "csChargingProfiles": {**profile, "transactionId": 9}}
        expected["transactionId"] = own
    assert world.csms("SetChargingProfile", request) == Said(OK)
    assert world.heard("station", "SetChargingProfile") == [("SetChargingProfile", {**request, "csChargingProfiles": expected})]


@LAW
@given(profiles(), st.integers(1, 10**6))
def test_the_next_profile_of_a_place_replaces_the_one_there(request: Payload, other_id: int) -> None:
    """5.2: the same purpose and stack level; the station is given both, and the second under the first's id."""
    profile = request["csChargingProfiles"]
    if profile["chargingProfilePurpose"] == "TxProfile":
        profile["chargingProfilePurpose"] = "TxDefaultProfile"
    world = World(SetChargingProfile=OK, ClearChargingProfile=OK)
    assert world.csms("SetChargingProfile", request) == Said(OK)
    assert world.csms("SetChargingProfile", {**request, "csChargingProfiles": {**profile, "chargingProfileId": other_id}}) == Said(OK)
    ids = {payload["csChargingProfiles"]["chargingProfileId"] for _, payload in world.heard("station", "SetChargingProfile")}
    assert ids == {profile["chargingProfileId"]}
    assert world.csms("ClearChargingProfile", {"id": other_id}) == Said(OK)
    assert world.heard("station", "ClearChargingProfile") == [("ClearChargingProfile", {"id": profile["chargingProfileId"]})]


@LAW
@given(PERIODS, st.sampled_from("AW"), st.integers(1, 86_400), CONNECTORS | st.just(0), TIMES)
def test_a_composite_schedule(periods: list[Payload], unit: str, duration_s: int, connector_id: int, start: str) -> None:
    schedule = {"duration": duration_s, "startSchedule": start, "chargingRateUnit": unit, "chargingSchedulePeriod": periods}
    answer = {"status": "Accepted", "connectorId": connector_id, "scheduleStart": start, "chargingSchedule": schedule}
    world = World(GetCompositeSchedule=answer)
    request = {"connectorId": connector_id, "duration": duration_s, "chargingRateUnit": unit}
    assert world.csms("GetCompositeSchedule", request) == Said(answer)
    assert world.heard("station") == [("GetCompositeSchedule", request)]
