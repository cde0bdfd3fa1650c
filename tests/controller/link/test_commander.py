"""Orders of the site become CALLs, answers become facts: exactly as said, and never counted before they are accepted."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from controller.facts import EvseKey, FloorConfirmed, SetpointAnswered, Stamp
from controller.link.downlink import STATION_ANSWER_S, Downlink
from controller.link.ids import IdSource
from controller.ocpp import rpc
from controller.ocpp.registry import dialect_for
from controller.orders import ClearSetpoint, Inject, InstallFloor, Order, ReadBack, SendStation, SetAvailable, Strategy, Wake

EVSE = EvseKey("CP1", 1)
PLAN = Inject(EVSE, 1, 16.0, 3, 120.0, "plan")
DYNAMIC = Strategy(dynamic=True)
DEFAULT = Strategy("tx_default")
MAX = Strategy("station_max")
OK = {"status": "Accepted"}
NO = {"status": "Rejected"}
RATE = {"status": "Rejected", "statusInfo": {"reasonCode": "RateLimitExceeded", "additionalInfo": "12 seconds before retry"}}


class Way:
    """One station's way down in virtual time. ``tx``: the running transaction. ``facts``: of the last step."""

    def __init__(self, version: str = "ocpp2.1", modes: tuple[str, ...] = (), tx: str | None = "t-1") -> None:
        self.mono_s, self.tx, self.began_wall_s = 1000.0, tx, 1_789_999_000.0
        self.it = Downlink("CP1", IdSource("test"), 230.0, lambda at, call, frame: [], {1: 3, 2: 1}, lambda evse_id: frozenset(modes))
        self.version, self.number = version, 0
        self.connect()
        self.frames: list[Any] = []
        self.facts: list[Any] = []

    def connect(self) -> None:
        dialect = dialect_for(self.version)
        assert dialect is not None
        self.it.connected((self.it.generation or 0) + 1, dialect)

    @property
    def at(self) -> Stamp:
        return Stamp(self.mono_s, 1_790_000_000.0 + self.mono_s)

    def saw(self, outcomes: list[Any]) -> list[Any]:
        self.frames = [json.loads(one.text) for one in outcomes if isinstance(one, SendStation)]
        self.facts = [one for one in outcomes if isinstance(one, SetpointAnswered | FloorConfirmed)]
        return self.frames

    def order(self, order: Order) -> list[Any]:
        return self.saw(self.it.carry(order, self.at, self.tx, self.began_wall_s if self.tx else None))

    def inject(self, **fields: Any) -> tuple[str, dict[str, Any]]:
        """The next setpoint: (action, payload) of the frame it became."""
        self.number += 1
        ((_, self.last, action, payload),) = self.order(replace(PLAN, number=self.number, **fields))
        return action, payload

    def answer(self, payload: dict[str, Any] | str, message_id: str = "") -> list[Any]:
        """The station answers the frame in flight: a payload, or the code of an error."""
        found = message_id or self.frames[0][1]
        text = json.dumps([4, found, payload, "", {}] if isinstance(payload, str) else [3, found, payload])
        parsed = rpc.parse(text, version=self.version)
        assert isinstance(parsed, rpc.Result | rpc.Error)
        return self.saw(self.it.answer(self.at, parsed, None))

    @property
    def fact(self) -> Any:
        (found,) = self.facts
        return found


def profile(payload: dict[str, Any]) -> dict[str, Any]:
    return dict(payload.get("chargingProfile") or payload["csChargingProfiles"])


# -- setpoints ---------------------------------------------------------------------------------------------


def test_a_setpoint_counts_from_its_acceptance_to_its_end() -> None:
    way = Way()
    way.inject()
    assert way.it.commanded_a(1, way.at) is None
    way.answer(OK)
    assert (way.fact.number, way.fact.accepted) == (1, True)
    assert way.it.commanded_a(1, way.at) == 16.0
    way.mono_s += 120.0
    assert way.it.commanded_a(1, way.at) is None


@pytest.mark.parametrize(("refusal", "reason"), [(NO, "Rejected"), ({"status": "NotSupported"}, "NotSupported"), ("NotSupported", "NotSupported")])
@pytest.mark.parametrize("version", ["ocpp1.6", "ocpp2.0.1", "ocpp2.1"])
def test_f04_a_no_is_definite_as_status_and_as_error(version: str, refusal: Any, reason: str) -> None:
    way = Way(version, tx="17")
    way.inject()
    if way.answer(refusal):  # written to begin now instead, in case it was the date
        way.answer(refusal)
    assert (way.fact.accepted, way.fact.lost, reason in way.fact.reason) == (False, False, True)
    assert way.it.setpoints == {}


def test_f05_f06_no_answer_is_no_no_and_a_late_one_is_heard() -> None:
    way = Way()
    way.inject()
    late = way.last
    way.mono_s += STATION_ANSWER_S
    way.saw(way.it.tick(way.at, None))
    assert (way.fact.accepted, way.fact.lost) == (False, True)
    way.answer(OK, late)
    assert (way.fact.number, way.fact.accepted) == (1, True)
    assert way.it.commanded_a(1, way.at) == 16.0


def test_a_late_answer_to_an_old_setpoint_changes_nothing() -> None:
    way = Way()
    way.inject()
    late = way.last
    way.mono_s += STATION_ANSWER_S
    way.it.tick(way.at, None)
    way.inject(limit_a=8.0)
    way.answer(OK)
    way.answer(OK, late)
    assert way.it.commanded_a(1, way.at) == 8.0


def test_an_answer_nobody_can_read_leaves_it_open() -> None:
    way = Way()
    way.inject()
    broken = rpc.Error(way.last, "GenericError", "what", {}, "")
    way.saw(way.it.answer(way.at, broken, None, unreadable=True))
    assert (way.fact.accepted, way.fact.lost) == (False, True)


def test_a_lost_connection_loses_what_was_sent_and_not_what_waited() -> None:
    way = Way()
    way.inject()
    way.order(InstallFloor(EVSE, 9, 6.0, 3))
    way.saw(way.it.disconnected(way.at))
    assert [(fact.number, fact.lost) for fact in way.facts] == [(1, True), (9, False)]
    way.order(replace(PLAN, number=10))
    assert (way.fact.number, way.fact.lost) == (10, False)


def test_a_newer_setpoint_replaces_one_that_was_not_sent() -> None:
    way = Way()
    way.inject()
    way.order(replace(PLAN, number=2))
    way.order(replace(PLAN, number=3, limit_a=6.0))
    assert [(fact.number, fact.accepted, fact.lost) for fact in way.facts] == [(2, False, False)]


@pytest.mark.parametrize("strategy", [Strategy(), DYNAMIC])
def test_a_station_that_is_written_too_often_says_when_again(strategy: Strategy) -> None:  # K01.FR.56-59
    way = Way()
    way.inject(strategy=strategy)
    assert way.answer(RATE) == []
    assert (way.fact.accepted, way.fact.retry_after_s) == (False, 12.0)


def test_a_dc_evse_that_wants_no_phases_gets_none_from_then_on() -> None:  # K01.FR.44
    way = Way()
    way.inject()
    way.answer({"status": "Rejected", "statusInfo": {"reasonCode": "NoPhaseForDC"}})
    (schedule,) = profile(way.inject()[1])["chargingSchedule"]
    assert schedule["chargingSchedulePeriod"] == [{"startPeriod": 0, "limit": 16.0}]


def test_what_duplicates_ours_is_cleared_in_its_own_place_and_once() -> None:  # K01.FR.06, FR.53
    way = Way("ocpp2.0.1")
    way.inject(strategy=DEFAULT)
    duplicate = {"status": "Rejected", "statusInfo": {"reasonCode": "DuplicateProfile"}}
    (first,) = way.answer(duplicate)
    assert first[3]["chargingProfileCriteria"] == {"evseId": 1, "chargingProfilePurpose": "TxDefaultProfile", "stackLevel": 1}
    assert way.fact.accepted is False


def test_a_relative_setpoint_lives_as_long_from_now_as_any_other() -> None:  # K01.FR.42: it counts from the session
    way = Way()
    way.began_wall_s = way.at.wall_s - 1000.0
    (schedule,) = profile(way.inject(strategy=Strategy(relative=True))[1])["chargingSchedule"]
    assert schedule["duration"] == 1000 + 120
    way.answer(OK)
    way.tx = None
    (schedule,) = profile(way.inject(strategy=Strategy("tx_default", relative=True))[1])["chargingSchedule"]
    assert schedule["duration"] == 120


def test_a_setpoint_for_the_whole_station_has_one_place() -> None:
    way = Way()
    payload = way.inject(strategy=MAX)[1]
    assert (payload["evseId"], profile(payload)["id"]) == (0, 900_000_001)
    way.answer(OK)
    assert way.order(ClearSetpoint(EVSE, 9))[0][3] == {"chargingProfileId": 900_000_001}


# -- what outlives what -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("strategy", "left"), [(Strategy(), None), (DEFAULT, 16.0), (MAX, 16.0)])
@pytest.mark.parametrize("end", ["transaction", "reboot"])
def test_a_default_outlives_its_transaction_and_a_boot(strategy: Strategy, left: float | None, end: str) -> None:
    way = Way()
    way.inject(strategy=strategy)
    way.answer(OK)
    if end == "transaction":
        way.it.transaction_ended(1)
    else:
        way.it.rebooted()
    assert way.it.commanded_a(1, way.at) == left
    way.mono_s += 120.0
    assert way.it.commanded_a(1, way.at) is None


def test_a_1_6_setpoint_without_a_number_is_a_default_and_counts_as_one() -> None:  # B28
    way = Way("ocpp1.6", tx="-1")
    assert profile(way.inject()[1])["chargingProfilePurpose"] == "TxDefaultProfile"
    way.answer(OK)
    way.it.transaction_ended(1)
    assert way.it.commanded_a(1, way.at) == 16.0


def test_a_relative_default_begins_anew_with_each_session_and_counts_until_it_is_taken_out() -> None:
    way = Way()
    way.inject(strategy=Strategy("tx_default", relative=True))
    way.answer(OK)
    way.mono_s += 10_000.0
    assert way.it.commanded_a(1, way.at) == 16.0
    way.order(ClearSetpoint(EVSE, 9))
    way.answer(OK)
    assert way.it.commanded_a(1, way.at) is None


@pytest.mark.parametrize(("answer", "gone"), [(OK, True), ({"status": "Unknown"}, True), ({}, False), ("NotSupported", False)])
@pytest.mark.parametrize("version", ["ocpp1.6", "ocpp2.1"])
def test_what_a_station_does_not_know_is_taken_out(version: str, answer: Any, gone: bool) -> None:
    way = Way(version, tx="17")
    way.inject(strategy=DEFAULT)
    way.answer(OK)
    ((_, _, action, _),) = way.order(ClearSetpoint(EVSE, 9))
    assert action == "ClearChargingProfile"
    way.answer(answer)
    assert (way.fact.number, way.fact.accepted, way.fact.lost) == (9, gone, False)
    assert (way.it.commanded_a(1, way.at) is None) is gone


# -- Dynamic profiles (K28) ---------------------------------------------------------------------------------------


def dynamic(way: Way) -> None:
    assert way.inject(strategy=DYNAMIC)[0] == "SetChargingProfile"
    way.answer(OK)


def test_a_dynamic_profile_is_written_once_and_then_updated() -> None:
    way = Way()
    dynamic(way)
    assert way.inject(strategy=DYNAMIC, limit_a=10.0) == (
        "UpdateDynamicSchedule",
        {"chargingProfileId": 900_000_003, "scheduleUpdate": {"limit": 10.0}},
    )
    way.mono_s += 20.0
    way.answer(OK)
    assert (way.fact.accepted, way.it.commanded_a(1, way.at)) == (True, 10.0)
    way.mono_s += 119.0
    assert way.it.commanded_a(1, way.at) == 10.0, "the watchdog counts from the update"
    way.mono_s += 1.0
    assert way.it.commanded_a(1, way.at) is None


@pytest.mark.parametrize("change", [{"phase_count": 1}, {"life_s": 60.0}, {"strategy": Strategy(dynamic=True, unit="W")}, {"strategy": Strategy()}])
def test_what_an_update_cannot_say_is_written_whole(change: dict[str, Any]) -> None:
    way = Way()
    dynamic(way)
    assert way.inject(**{"strategy": DYNAMIC, **change})[0] == "SetChargingProfile"


@pytest.mark.parametrize("end", ["connection", "reboot", "transaction"])
def test_after_a_break_it_is_written_whole(end: str) -> None:
    way = Way()
    dynamic(way)
    {"connection": way.connect, "reboot": way.it.rebooted, "transaction": lambda: way.it.transaction_ended(1)}[end]()
    assert way.inject(strategy=DYNAMIC)[0] == "SetChargingProfile"


def test_another_transaction_needs_another_profile() -> None:
    way = Way()
    dynamic(way)
    way.tx = "t-2"
    assert way.inject(strategy=DYNAMIC)[0] == "SetChargingProfile"


@pytest.mark.parametrize("refusal", [NO, "NotImplemented", "NotSupported"])
def test_an_update_that_is_refused_is_written_whole_for_the_same_order(refusal: Any) -> None:
    way = Way()
    dynamic(way)
    way.inject(strategy=DYNAMIC, limit_a=10.0)
    ((_, _, action, payload),) = way.answer(refusal)
    assert (action, profile(payload)["chargingProfileKind"], way.facts) == ("SetChargingProfile", "Dynamic", [])
    way.answer(OK)
    assert (way.fact.number, way.fact.accepted, way.it.commanded_a(1, way.at)) == (2, True, 10.0)
    follows = "UpdateDynamicSchedule" if refusal is NO else "SetChargingProfile"
    assert way.inject(strategy=DYNAMIC, limit_a=8.0)[0] == follows, "a station that does not know updates is not asked again"


def test_a_refused_update_never_comes_after_a_newer_cut() -> None:
    way = Way()
    dynamic(way)
    way.inject(strategy=DYNAMIC, limit_a=32.0)
    update = way.last
    way.order(replace(PLAN, number=9, limit_a=6.0, urgent=True, strategy=DYNAMIC))
    ((_, _, action, _),) = way.answer(NO, update)
    assert (way.fact.number, way.fact.accepted) == (2, False)
    assert action == "UpdateDynamicSchedule", "the cut, as it was queued"
    ((_, _, action, payload),) = way.answer(NO)
    assert action == "SetChargingProfile"
    assert profile(payload)["chargingSchedule"][0]["chargingSchedulePeriod"][0]["limit"] == 6.0
    assert way.answer(OK) == []


def test_only_2_1_knows_dynamic_profiles() -> None:
    way = Way("ocpp2.0.1")
    written = profile(way.inject(strategy=Strategy(dynamic=True, max_offline_s=60.0))[1])
    assert (written["chargingProfileKind"], "maxOfflineDuration" in written) == ("Absolute", False)


# -- V2G ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "modes", "tx", "purpose"),
    [
        ("ocpp2.1", (), "t-1", "tx"),
        ("ocpp2.1", ("ChargingOnly", "Idle"), "t-1", "tx"),
        ("ocpp2.0.1", ("CentralSetpoint",), "t-1", "tx"),
        ("ocpp1.6", ("CentralSetpoint",), "17", "tx"),
        ("ocpp2.1", ("CentralSetpoint",), None, "tx"),
        ("ocpp2.1", ("CentralSetpoint",), "t-1", "tx_default"),
    ],
)
def test_nobody_is_told_to_give_back_who_did_not_announce_it(version: str, modes: tuple[str, ...], tx: str | None, purpose: str) -> None:
    way = Way(version, modes, tx)
    assert way.order(replace(PLAN, setpoint_w=-5000.0, limit_a=0.0, strategy=Strategy(purpose))) == []
    assert (way.fact.accepted, way.fact.lost) == (False, False)


def test_a_v2x_setpoint_goes_to_a_station_that_announced_it_and_is_updated() -> None:  # Q03, Q04
    way = Way(modes=("CentralSetpoint",))
    way.inject(setpoint_w=-5000.0, limit_a=0.0, strategy=DYNAMIC)
    way.answer(OK)
    assert way.inject(setpoint_w=-3000.0, limit_a=0.0, strategy=DYNAMIC)[1]["scheduleUpdate"] == {"setpoint": -3000.0}


def test_idle_needs_its_own_word() -> None:  # Q10
    assert Way(modes=("CentralSetpoint",)).order(replace(PLAN, idle=True)) == []
    (schedule,) = profile(Way(modes=("Idle",)).inject(idle=True)[1])["chargingSchedule"]
    assert schedule["chargingSchedulePeriod"][0]["operationMode"] == "Idle"


# -- 1.6 refuses without a reason ---------------------------------------------------------------------------------------


def test_a_first_refusal_clears_the_way_and_the_strategy_stays_the_site_s_choice() -> None:
    way = Way("ocpp1.6", tx="17")
    way.inject()
    assert [frame[2] for frame in way.answer(NO)] == ["SetChargingProfile"], "perhaps only its date was refused"
    ((_, cleared, action, payload),) = way.answer(NO)
    assert (action, payload) == ("ClearChargingProfile", {"connectorId": 1, "chargingProfilePurpose": "TxProfile"})
    way.answer({"status": "Unknown"}, cleared)
    assert profile(way.inject()[1])["chargingProfilePurpose"] == "TxProfile"
    assert way.answer(NO) == [], "cleared once, not each time"
    assert profile(way.inject(strategy=DEFAULT)[1])["chargingProfilePurpose"] == "TxDefaultProfile"
    way.answer(OK)
    assert profile(way.inject()[1])["chargingProfilePurpose"] == "TxProfile"
    assert len(way.answer(NO)) == 1, "one was taken in between"


def test_a_station_that_cannot_is_not_cleared_for_it() -> None:
    way = Way("ocpp1.6", tx="17")
    way.inject()
    assert way.answer({"status": "NotSupported"}) == []


def test_a_reason_is_enough_in_2_x() -> None:
    way = Way()
    way.inject()
    assert way.answer({"status": "Rejected", "statusInfo": {"reasonCode": "InternalError"}}) == []


def floor(way: Way, status: str) -> list[Any]:
    """One try to write the floor: all that was sent, answered with ``status``."""
    way.number += 1
    sent = []
    way.order(InstallFloor(EVSE, way.number, 6.0, 3))
    while way.frames:
        sent.append(way.frames[0])
        way.answer({"status": status if way.frames[0][2] == "SetChargingProfile" else "Unknown"})
    return sent


def test_a_floor_refused_without_a_reason_is_written_again_after_the_defaults_of_others_are_gone() -> None:
    way = Way("ocpp1.6", tx="17")
    assert [frame[2] for frame in floor(way, "Rejected")] == ["SetChargingProfile"]
    again = floor(way, "Accepted")
    assert [(frame[2], frame[3]["connectorId"]) for frame in again] == [
        ("ClearChargingProfile", 1),
        ("ClearChargingProfile", 0),
        ("SetChargingProfile", 1),
    ]
    assert way.it.floors == {1: 6.0}


def test_a_floor_that_holds_is_not_given_up_for_a_guess() -> None:
    way = Way("ocpp1.6", tx="17")
    floor(way, "Accepted")
    floor(way, "Rejected")
    assert [frame[2] for frame in floor(way, "Rejected")] == ["SetChargingProfile"]


# -- reading back -----------------------------------------------------------------------------------------------------------


def composite(*limits: float, **fields: Any) -> dict[str, Any]:
    periods = [{"startPeriod": 60 * index, "limit": limit} for index, limit in enumerate(limits)]
    return {"status": "Accepted", "schedule": {"chargingRateUnit": "A", "chargingSchedulePeriod": periods, **fields}}


@pytest.mark.parametrize(
    ("answer", "limit_a", "ok"),
    [
        (composite(6.0), 6.0, True),
        (composite(16.0), 16.0, False),
        (composite(6.0, 32.0), 32.0, False),  # it would rise in a minute
        (composite(4140.0, chargingRateUnit="W"), 6.0, True),  # 4140 W / 230 V / 3
        (composite(), None, False),
        (NO, None, False),
        ("NotSupported", None, False),
    ],
)
def test_a_floor_must_hold_at_every_moment(answer: Any, limit_a: float | None, ok: bool) -> None:  # 16.9
    way = Way()
    way.order(ReadBack(EVSE, 6.0))
    way.answer(answer)
    assert (way.fact.number, way.fact.limit_a, way.fact.ok) == (0, limit_a, ok)


def test_a_setpoint_is_read_as_it_holds_now() -> None:
    way = Way()
    way.order(ReadBack(EVSE, 0.0, 7))
    way.answer(composite(0.0, 6.0))
    assert (way.fact.number, way.fact.limit_a, way.fact.ok) == (7, 0.0, True), "the floor comes after it"


def test_a_setpoint_read_too_high_has_the_way_cleared_before_the_next_and_once() -> None:  # trap 14
    way = Way("ocpp2.0.1")
    for expected in (["ClearChargingProfile", "SetChargingProfile"], ["SetChargingProfile"]):
        way.order(ReadBack(EVSE, 6.0, 7))
        way.answer(composite(32.0))
        assert way.fact.ok is False
        way.number += 1
        actions = []
        way.order(replace(PLAN, number=way.number))
        while way.frames:
            actions.append(way.frames[0][2])
            way.answer(OK)
        assert actions == expected


def test_the_composite_is_asked_in_the_unit_of_the_setpoint_and_in_the_other_when_refused() -> None:
    way = Way()
    way.inject(strategy=Strategy(unit="W"))
    way.answer(OK)
    units = []
    for _ in range(3):
        way.order(ReadBack(EVSE, 6.0, 1))
        units.append(way.frames[0][3]["chargingRateUnit"])
        way.answer(NO if len(units) == 1 else composite(6.0))
    assert units == ["W", "A", "A"]


# -- waking a car (trap 19) ----------------------------------------------------------------------------------------------------


def test_a_station_is_asked_for_its_status() -> None:
    assert Way().order(Wake(EVSE, "status"))[0][2] == "TriggerMessage"
    assert Way().order(Wake(EVSE, "none")) == []
    assert Way().order(Wake(EVSE, "dance")) == []


def test_out_of_order_and_back_one_after_the_other() -> None:
    way = Way()
    (out,) = way.order(Wake(EVSE, "availability"))
    assert out[3]["operationalStatus"] == "Inoperative"
    (back,) = way.answer({"status": "Scheduled"})
    assert (back[2], back[3]["operationalStatus"]) == ("ChangeAvailability", "Operative")
    assert way.answer(OK) == []
    assert way.saw(way.it.commander.online(way.at)) == []
    assert way.order(Wake(EVSE, "availability"))[0][2] == "ChangeAvailability", "no transaction was lost by it"


def test_a_station_that_ends_the_transaction_for_it_is_not_asked_again() -> None:
    way = Way()
    way.order(Wake(EVSE, "availability"))
    way.answer(OK)
    way.answer(OK)
    assert way.order(Wake(EVSE, "availability"))[0][2] == "TriggerMessage"


def test_an_evse_is_put_in_order_again_after_the_connection_was_lost_in_between() -> None:
    way = Way()
    way.order(Wake(EVSE, "availability"))
    way.it.disconnected(way.at)
    way.connect()
    (back,) = way.saw(way.it.commander.online(way.at))
    assert back[3]["operationalStatus"] == "Operative"
    way.answer(OK)
    assert way.saw(way.it.commander.online(way.at)) == []


def test_what_the_site_says_of_an_evse_overrules_a_wake_up() -> None:
    way = Way()
    way.order(Wake(EVSE, "availability"))
    way.it.disconnected(way.at)
    way.connect()
    way.order(SetAvailable(EVSE, False))
    assert way.saw(way.it.commander.online(way.at)) == []


def test_an_order_nobody_knows_gives_nothing() -> None:
    assert Way().order(Order()) == []


# -- probes of commissioning: negative numbers ---------------------------------------------------------------------


@pytest.mark.parametrize(("version", "answer"), [("ocpp1.6", NO), ("ocpp2.0.1", {**NO, "statusInfo": {"reasonCode": "DuplicateProfile"}})])
def test_a_refused_probe_clears_nothing(version: str, answer: dict[str, Any]) -> None:
    """A setpoint may lie below the floor: who takes it out for a test lets the car rise."""
    way = Way(version, tx="7")
    way.inject()
    way.answer(OK)
    way.order(replace(PLAN, number=-1, limit_a=8.0, strategy=Strategy(unit="W")))
    way.answer(answer)
    assert way.frames == []
    assert (way.fact.number, way.fact.accepted) == (-1, False)


def test_after_a_probe_a_dynamic_profile_is_written_whole() -> None:
    """The probe has taken its place under the same id: an update would change something else, perhaps nothing."""
    way = Way()
    dynamic(way)
    way.order(replace(PLAN, number=-1, limit_a=8.0, strategy=Strategy(stack_level=3)))
    way.answer(OK)
    assert way.inject(limit_a=6.0, strategy=DYNAMIC)[0] == "SetChargingProfile"


def test_the_station_max_profile_of_a_probe_is_taken_out_in_its_own_place() -> None:
    way = Way()
    way.order(replace(PLAN, number=-1, strategy=MAX))
    way.answer(OK)
    written = way.inject()[1]
    way.answer(OK)
    ((_, _, action, payload),) = way.order(ClearSetpoint(EVSE, -2, "station_max"))
    assert action == "ClearChargingProfile"
    assert payload["chargingProfileId"] != profile(written)["id"]
