"""The way down: one CALL at a time, answers to the right side, the CSMS's patience and the station's."""

from __future__ import annotations

import json

from controller.facts import EvseKey, SetpointAnswered, Stamp
from controller.link.downlink import CSMS_PATIENCE_S, STATION_ANSWER_S, Downlink
from controller.link.ids import IdSource
from controller.link.lane import Priority
from controller.ocpp import rpc
from controller.ocpp.dialect import Dialect
from controller.ocpp.registry import dialect_for
from controller.orders import Inject, SendStation, SendUpstream

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


# -- F26: our CALLs and the CSMS's cross --------------------------------------------------------------------


def test_f26_a_csms_with_many_commands_keeps_ours_waiting_no_longer_than_a_second() -> None:
    way = Way()
    for name in "abcdefgh":
        way.csms(name)
    way.inject(1)
    sent = []
    for current in "abcd":
        way.mono_s += 0.4  # how long the station thinks about each
        way.station(3, current, {})
        sent += [frame[1] for frame in way.down]
        assert way.it.lane.ledger.pending == 1, "never two in flight"
        if frame_of_ours(way):
            break
    assert sent[:2] == ["b", "c"]
    assert len(sent) == 3
    assert frame_of_ours(way), "ours had waited 1.2 s"


def frame_of_ours(way: Way) -> bool:
    return bool(way.down) and way.down[0][2] == "SetChargingProfile"


def test_f26_ours_take_turns_with_the_csms_s() -> None:
    way = Way()
    for name in "ab":
        way.csms(name)
    for _ in range(3):
        way.saw(way.it.send_own(way.at, "ClearCache", {}))
    way.mono_s += 5.0
    order = []
    current: object = "a"
    for _ in range(4):
        way.station(3, current, {})
        current = way.down[0][1]
        order.append("csms" if current in ("a", "b") else "ours")
    assert order == ["ours", "csms", "ours", "ours"], "after two of ours the CSMS has nothing more to say"


def test_f26_a_cut_waits_only_for_the_answer_in_flight() -> None:
    way = Way()
    for name in "abc":
        way.csms(name)
    way.inject(1, urgent=True)
    assert [frame[2] for frame in way.station(3, "a", {}).down] == ["SetChargingProfile"]
