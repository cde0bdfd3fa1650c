"""The way down: one CALL at a time, answers to the right side, the CSMS's patience and the station's."""

from __future__ import annotations

import json
from typing import Any

from controller.facts import EvseKey, SetpointAnswered, Stamp
from controller.link.downlink import CSMS_PATIENCE_S, STATION_ANSWER_S, Downlink
from controller.link.ids import IdSource
from controller.link.lane import Priority
from controller.ocpp import rpc
from controller.ocpp.dialect import Dialect
from controller.ocpp.registry import dialect_for
from controller.orders import Inject, InstallFloor, SendStation, SendUpstream

LEG = 3


def _dialect(version: str) -> Dialect:
    found = dialect_for(version)
    assert found is not None
    return found


class Way:
    """A ``Downlink`` in virtual time; what went where in the last step."""

    def __init__(self, version: str = "ocpp2.0.1") -> None:
        self.mono_s = 1000.0
        self.told: list[tuple[str, bool]] = []
        self.it = Downlink("CP1", IdSource("test"), 230.0, self._relayed)
        self.it.connected(1, _dialect(version))
        self.down: list[list[object]] = []
        self.up: list[list[object]] = []
        self.facts: list[object] = []

    @property
    def at(self) -> Stamp:
        return Stamp(self.mono_s, 1_790_000_000.0 + self.mono_s)

    def _relayed(self, at: Stamp, call: rpc.Call, frame: rpc.Result | rpc.Error | None) -> list[object]:
        self.told.append((call.message_id, frame is not None))
        return []

    def saw(self, outcomes: object) -> Way:
        assert isinstance(outcomes, list)
        self.down = [json.loads(one.text) for one in outcomes if isinstance(one, SendStation)]
        self.up = [json.loads(one.text) for one in outcomes if isinstance(one, SendUpstream)]
        self.facts = [one for one in outcomes if isinstance(one, SetpointAnswered)]
        return self

    def csms(self, message_id: str, action: str = "ClearCache") -> Way:
        frame = rpc.parse(json.dumps([2, message_id, action, {}]), version="ocpp2.0.1")
        assert isinstance(frame, rpc.Call)
        return self.saw(self.it.relay(self.at, frame, LEG) or [])

    def station(self, *frame: object) -> Way:
        parsed = rpc.parse(json.dumps(list(frame)), version="ocpp2.0.1")
        assert isinstance(parsed, rpc.Result | rpc.Error)
        return self.saw(self.it.answer(self.at, parsed, LEG))

    def inject(self, number: int = 1, urgent: bool = False) -> Way:
        return self.saw(self.it.carry(Inject(EvseKey("CP1", 1), number, 16.0, 3, 120.0, "plan", urgent), self.at, None))

    def wait(self, seconds: float) -> Way:
        self.mono_s += seconds
        return self.saw(self.it.tick(self.at, LEG))


def test_trap_1_ids_of_csms_and_controller_do_not_meet_and_answers_stay_apart() -> None:
    way = Way()
    ours = str(way.inject().down[0][1])
    assert way.csms(ours).down == [], "an id in use is not taken"
    assert way.csms("c").down == []
    way.station(3, ours, {"status": "Accepted"})
    assert way.up == []
    assert [frame[1] for frame in way.down] == ["c"]
    way.station(3, "c", {"status": "Accepted"})
    assert way.up == [[3, "c", {"status": "Accepted"}]]
    assert way.station(3, "c", {"status": "Accepted"}).up == [], "the same answer twice"


def test_trap_2_a_setpoint_and_a_command_are_never_out_together() -> None:
    way = Way()
    assert len(way.csms("c").down) == 1
    assert way.inject(urgent=True).down == []
    assert [frame[2] for frame in way.station(3, "c", {"status": "Accepted"}).down] == ["SetChargingProfile"]


def test_a_command_that_waited_is_answered_in_time_and_the_lane_stays_taken() -> None:
    way = Way()
    ours = way.inject().down[0][1]
    way.csms("c")
    way.wait(CSMS_PATIENCE_S - 5.0)
    assert [frame[1] for frame in way.station(3, ours, {"status": "Accepted"}).down] == ["c"]
    assert [frame[:3] for frame in way.wait(5.0).up] == [[4, "c", "GenericError"]]
    assert way.told == [("c", False)]
    assert way.csms("d").down == [], "the station still thinks"
    assert way.wait(5.0).up == [], "once is enough"
    way.station(3, "c", {"status": "Accepted"})
    assert way.up == []
    assert [frame[1] for frame in way.down] == ["d"]
    assert way.told == [("c", False)]


def test_a_command_given_up_frees_the_lane_at_the_station_s_own_deadline() -> None:
    way = Way()
    ours = way.inject().down[0][1]
    way.csms("c")
    way.wait(20.0)
    way.station(3, ours, {"status": "Accepted"})
    way.wait(10.0)
    way.csms("d")
    assert [frame[1] for frame in way.wait(STATION_ANSWER_S - 10.0).down] == ["d"]
    assert way.up == []
    assert way.told == [("c", False)]


def test_a_command_in_flight_when_the_station_goes_is_reported_once() -> None:
    way = Way()
    ours = way.inject().down[0][1]
    way.csms("c")
    way.wait(20.0)
    way.station(3, ours, {"status": "Accepted"})
    way.wait(10.0)
    way.it.disconnected(way.at)
    assert way.told == [("c", False)]


def test_an_error_without_an_id_settles_the_call_in_flight() -> None:  # 16.5
    way = Way()
    way.csms("c")
    way.csms("d")
    way.station(4, "-1", "FormatViolation", "what", {})
    assert [frame[:4] for frame in way.up] == [[4, "c", "FormatViolation", "what"]]
    assert [frame[1] for frame in way.down] == ["d"]
    way.station(3, "d", {})
    assert way.station(4, "-1", "FormatViolation", "what", {}).up == []
    way.inject(7)
    assert [(one.number, one.accepted) for one in way.station(4, "-1", "GenericError", "", {}).facts] == [(7, False)]  # type: ignore[attr-defined]


def test_an_answer_to_a_csms_that_has_hung_up_goes_nowhere() -> None:
    way = Way()
    way.csms("c")
    frame = rpc.parse('[3,"c",{}]', version="ocpp2.0.1")
    assert isinstance(frame, rpc.Result)
    assert way.it.answer(way.at, frame, LEG + 1) == []
    assert way.it.lane.ledger.pending == 0


def test_our_own_calls_go_nowhere_without_a_station() -> None:
    way = Way()
    assert [frame[2] for frame in way.saw(way.it.send_own(way.at, "ClearCache", {})).down] == ["ClearCache"]
    way.it.disconnected(way.at)
    assert way.it.send_own(way.at, "ClearCache", {}) == []
    heard: list[object] = []

    def done(at: Stamp, frame: object) -> list[object]:
        heard.append(frame)
        return []

    assert way.it.ask(way.at, "ClearCache", {}, done, Priority.HOUSEKEEPING) == []  # type: ignore[arg-type]
    assert heard == [None]


def test_the_version_of_the_connection_spells_the_errors() -> None:
    way = Way("ocpp1.6")
    way.csms("c")
    way.station(4, "-1", "OccurrenceConstraintViolation", "", {})
    assert way.up[0][2] == "OccurenceConstraintViolation"


class Way16(Way):
    """The way to a 1.6 station with a running transaction 17; ``tries`` is what the site does after each answer."""

    def __init__(self) -> None:
        super().__init__("ocpp1.6")
        self.number = 0

    def setpoint(self, status: str) -> str:
        """One setpoint of the site, answered with ``status``; the purpose the station was sent."""
        self.number += 1
        order = Inject(EvseKey("CP1", 1), self.number, 16.0, 3, 120.0, "plan", False)
        frame: Any = self.saw(self.it.carry(order, self.at, "17")).down[0]
        self.station(3, frame[1], {"status": status})
        return str(frame[3]["csChargingProfiles"]["chargingProfilePurpose"])

    def floor(self, status: str) -> list[Any]:
        """One try to write the floor: all that was sent, answered with ``status``."""
        self.number += 1
        self.saw(self.it.carry(InstallFloor(EvseKey("CP1", 1), self.number, 6.0, 3), self.at, None))
        sent = []
        while self.down:
            frame: Any = self.down[0]
            sent.append(frame)
            self.station(3, frame[1], {"status": status if frame[2] == "SetChargingProfile" else "Unknown"})
        return sent


def test_a_setpoint_refused_without_a_reason_clears_the_way_and_then_comes_as_default() -> None:
    way = Way16()
    assert way.setpoint("Rejected") == "TxProfile"
    assert [(frame[2], frame[3]) for frame in way.down] == [("ClearChargingProfile", {"connectorId": 1, "chargingProfilePurpose": "TxProfile"})]
    way.station(3, way.down[0][1], {"status": "Unknown"})
    assert way.setpoint("Rejected") == "TxProfile"
    assert way.down == [], "cleared once, not each time"
    assert [way.setpoint("Accepted") for _ in range(2)] == ["TxDefaultProfile", "TxDefaultProfile"]
    way.it.transaction_ended(1)
    assert way.it.commanded_a(1, way.at) == 16.0, "a default outlives its transaction"
    way.it.connected(2, _dialect("ocpp1.6"))
    assert way.setpoint("Accepted") == "TxDefaultProfile", "a station does not change its mind with a new link"
    way.it.rebooted()
    assert way.setpoint("Accepted") == "TxProfile"


def test_a_setpoint_taken_in_between_makes_earlier_refusals_forgotten() -> None:
    way = Way16()
    way.setpoint("Rejected")
    way.station(3, way.down[0][1], {"status": "Accepted"})
    way.setpoint("Accepted")
    assert way.setpoint("Rejected") == "TxProfile"
    way.station(3, way.down[0][1], {"status": "Accepted"})
    assert way.setpoint("Accepted") == "TxProfile"


def test_a_floor_refused_without_a_reason_is_written_again_after_the_defaults_of_others_are_gone() -> None:
    way = Way16()
    assert [frame[2] for frame in way.floor("Rejected")] == ["SetChargingProfile"]
    again = way.floor("Accepted")
    assert [frame[2] for frame in again] == ["ClearChargingProfile", "ClearChargingProfile", "SetChargingProfile"]
    assert [frame[3]["connectorId"] for frame in again] == [1, 0, 1]
    assert way.it.floors == {1: 6.0}


def test_a_floor_that_holds_is_not_given_up_for_a_guess() -> None:
    way = Way16()
    way.floor("Accepted")
    way.floor("Rejected")
    assert [frame[2] for frame in way.floor("Rejected")] == ["SetChargingProfile"]


def test_a_reason_is_enough_and_2_x_stations_get_no_defaults_for_setpoints() -> None:
    way = Way()
    for number in range(1, 5):
        frame: Any = way.saw(way.it.carry(Inject(EvseKey("CP1", 1), number, 16.0, 3, 120.0, "plan", False), way.at, "t-1")).down[0]
        assert frame[3]["chargingProfile"]["chargingProfilePurpose"] == "TxProfile"
        assert way.station(3, frame[1], {"status": "Rejected", "statusInfo": {"reasonCode": "InternalError"}}).down == []
