"""A virtual leg: a session's texts become conversations of a side, and the side's questions reach the session one at a time.

The side here is the test's own, as small as can be: it says what a leg owes any side.
"""

from __future__ import annotations

import json
from itertools import count
from typing import Any

import pytest

from controller.config import Config
from controller.facts import Stamp, UpstreamClosed, UpstreamFrame, UpstreamOpened
from controller.io.schemas import shapes
from controller.link.faces import Means
from controller.link.ids import IdSource
from controller.link.keeper import Keeper
from controller.link.leg import NOT_THERE, STATION_ANSWER_S, Leg
from controller.link.talks import Outcome, Then
from controller.ocpp.hub import (
    NO_ANSWER,
    WIRE,
    Ask,
    Conversation,
    Failed,
    Keep,
    Message,
    Post,
    Reply,
    Said,
    Side,
    Sides,
    Surroundings,
)
from controller.orders import Persist, SendUpstream, Tell

SITE = Config.model_validate(
    {
        "site": {"id": "test"},
        "grid": {"fuse_a": 63, "worst_other_load_a": 10},
        "stations": [{"id": "CP1", "evses": [{"id": 1, "max_current_a": 32}, {"id": 2, "max_current_a": 16, "phases": ["L1"]}]}],
    }
)


class SmallSide:
    """Heartbeats pass, a start remembers its number before it goes up, a reset asks the station, an unlock is badly translated."""

    def __init__(self, surroundings: Surroundings) -> None:
        self.surroundings = surroundings
        self.life: list[str] = []

    def said(self, message: Message) -> Conversation:
        if message.action == "StartTransaction":
            known = self.surroundings.memory.get("start")
            if known is None:
                known = self.surroundings.number()
                self.surroundings.memory.put("start", known)
                kept = yield Keep()
                assert kept is None
            return Said({"transactionId": known, "idTagInfo": {"status": "Accepted"}})
        if message.action == "MeterValues":
            return Said({"odd": True})
        answer = yield Ask("Heartbeat", {})
        return answer if isinstance(answer, Failed) else Said({"currentTime": answer.payload["currentTime"]})

    def asked(self, message: Message) -> Conversation:
        if message.action == "UnlockConnector":
            answer = yield Ask("UnlockConnector", {"connectorId": "one"}, to=WIRE)
            return answer if isinstance(answer, Failed) else Said({"status": "Unlocked"})
        if message.action == "ClearCache":
            yield Post("ClearCache", {}, to=WIRE)
            return Said({"status": "Maybe"})
        answer = yield Ask("Reset", {"type": "Soft"}, to=WIRE)
        return answer if isinstance(answer, Failed) else Said({"status": answer.payload["status"]})

    def opened(self) -> list[Conversation]:
        self.life.append("opened")
        return []

    def closed(self) -> list[Conversation]:
        self.life.append("closed")
        return []

    def tick(self) -> list[Conversation]:
        return []


class World:
    """A leg, the hub above it played by the test, and the disk."""

    def __init__(self) -> None:
        self.mono_s = 100.0
        self.ups: list[tuple[Message, Then]] = []
        self.sides: list[SmallSide] = []
        self.heard: list[Reply] = []
        tokens = count(1)
        self.keeper = Keeper(lambda: next(tokens))
        self.means = Means(SITE, shapes(), IdSource("leg"), self.keeper, lambda station_id, offered: offered[0])
        self.leg = Leg(SITE.stations[0], self.means, self._up, find=self._find)

    @property
    def at(self) -> Stamp:
        return Stamp(self.mono_s, 1_790_000_000.0 + self.mono_s)

    def _find(self, version: str) -> Sides | None:
        def made(surroundings: Surroundings) -> Side:
            self.sides.append(SmallSide(surroundings))
            return self.sides[-1]

        return Sides("ocpp1.6", made, made) if version == "ocpp1.6" else None

    def _up(self, at: Stamp, message: Message, then: Then) -> list[Outcome]:
        self.ups.append((message, then))
        return []

    def open(self) -> list[Outcome]:
        return [*self.leg.open(self.at, 7, "ocpp1.6"), *self.leg.present(self.at, True)]

    def says(self, *frame: Any, generation: int = 7) -> list[Outcome]:
        return self.leg.said(self.at, SendUpstream("CP1", generation, json.dumps(list(frame))))

    def ask(self, action: str, payload: dict[str, Any]) -> list[Outcome]:
        def then(at: Stamp, reply: Reply) -> list[Outcome]:
            self.heard.append(reply)
            return []

        return self.leg.ask(self.at, Message(action, payload), then)


@pytest.fixture
def world() -> World:
    return World()


def frames(outcomes: list[Outcome]) -> list[Any]:
    """What the session hears, parsed."""
    assert all(outcome.generation == 7 for outcome in outcomes if isinstance(outcome, UpstreamFrame))
    return [json.loads(outcome.text) for outcome in outcomes if isinstance(outcome, UpstreamFrame)]


def test_open_tells_the_session_its_own_generation_and_version(world: World) -> None:
    assert world.leg.open(world.at, 7, "ocpp1.6")[0] == UpstreamOpened(world.at, "CP1", 7, "ocpp1.6")
    assert world.leg.is_open
    assert not world.leg.linked


def test_side_learns_the_evses_and_begins_only_with_its_station(world: World) -> None:
    world.leg.open(world.at, 7, "ocpp1.6")
    assert not world.sides
    world.leg.present(world.at, True)
    (side,) = world.sides
    assert side.life == ["opened"]
    assert [(evse.evse_id, evse.phases, evse.max_current_a) for evse in side.surroundings.evses()] == [(1, 3, 32.0), (2, 1, 16.0)]
    world.leg.present(world.at, False)
    assert side.life == ["opened", "closed"]


def test_version_without_sides_is_no_leg(world: World) -> None:
    (closed,) = world.leg.open(world.at, 7, "ocpp9")
    assert isinstance(closed, UpstreamClosed)
    assert closed.generation == 7
    assert not world.leg.is_open


def test_call_goes_up_in_hub_words_and_its_answer_comes_back(world: World) -> None:
    world.open()
    assert world.says(2, "a", "Heartbeat", {}) == []
    ((message, then),) = world.ups
    assert message == Message("Heartbeat", {})
    answer = then(world.at, Said({"currentTime": "2026-11-21T16:00:00Z"}))
    assert frames(answer) == [[3, "a", {"currentTime": "2026-11-21T16:00:00Z"}]]


def test_error_comes_back_as_the_version_spells_it(world: World) -> None:
    world.open()
    world.says(2, "a", "Heartbeat", {})
    assert frames(world.ups[0][1](world.at, Failed("FormatViolation", "no"))) == [[4, "a", "FormationViolation", "no", {}]]


def test_silence_above_is_silence_for_the_session(world: World) -> None:
    # An error would count as a refusal of the message, and three of these give it up.
    world.open()
    world.says(2, "a", "Heartbeat", {})
    assert world.ups[0][1](world.at, NO_ANSWER) == []
    world.says(2, "b", "Heartbeat", {})
    assert len(world.ups) == 2


def test_same_message_given_again_while_it_is_on_its_way_goes_up_once(world: World) -> None:
    world.open()
    world.says(2, "a", "Heartbeat", {})
    world.says(2, "b", "Heartbeat", {})
    assert len(world.ups) == 1
    answers = frames(world.ups[0][1](world.at, Said({"currentTime": "2026-11-21T16:00:00Z"})))
    assert [frame[1] for frame in answers] == ["a", "b"]


def test_start_is_on_disk_before_its_answer_and_survives_a_crash(world: World) -> None:
    world.open()
    start = {"connectorId": 1, "idTag": "AA", "meterStart": 0, "timestamp": "2026-11-21T16:00:00Z"}
    (persist,) = world.says(2, "a", "StartTransaction", start)
    assert isinstance(persist, Persist)
    assert persist.remember == {("hub:leg:CP1:ocpp1.6", "start"): 1, ("hub:site", "number"): 1}
    answered = frames(world.keeper.persisted(world.at, persist.token))
    assert answered == [[3, "a", {"transactionId": 1, "idTagInfo": {"status": "Accepted"}}]]
    after = World()
    after.keeper.restore(persist.remember)
    after.open()
    assert frames(after.says(2, "b", "StartTransaction", start))[0][2]["transactionId"] == 1


def test_what_the_disk_refuses_is_not_answered_and_not_lost(world: World) -> None:
    world.open()
    start = {"connectorId": 1, "idTag": "AA", "meterStart": 0, "timestamp": "2026-11-21T16:00:00Z"}
    (persist,) = world.says(2, "a", "StartTransaction", start)
    assert isinstance(persist, Persist)
    outcomes = world.keeper.persist_failed(world.at, persist.token)
    assert frames(outcomes) == []  # an error would count as a refusal; the session gives it again
    assert any(isinstance(outcome, Tell) for outcome in outcomes)
    (persist,) = world.says(2, "b", "StartTransaction", start)
    assert isinstance(persist, Persist)
    assert frames(world.keeper.persisted(world.at, persist.token))[0][:2] == [3, "b"]


def test_a_leg_that_goes_while_the_disk_is_behind_ends_what_waits_for_it(world: World) -> None:
    world.open()
    start = {"connectorId": 1, "idTag": "AA", "meterStart": 0, "timestamp": "2026-11-21T16:00:00Z"}
    (persist,) = world.says(2, "a", "StartTransaction", start)
    assert isinstance(persist, Persist)
    world.keeper.persist_failed(world.at, persist.token)
    (persist,) = world.says(2, "b", "StartTransaction", start)
    assert isinstance(persist, Persist)
    world.leg.hung_up(world.at)
    assert world.keeper.persisted(world.at, persist.token) == []


def test_answer_that_breaks_the_schema_never_reaches_the_station(world: World) -> None:
    world.open()
    values = {"connectorId": 1, "meterValue": [{"timestamp": "2026-11-21T16:00:00Z", "sampledValue": [{"value": "1"}]}]}
    outcomes = world.says(2, "a", "MeterValues", values)
    assert [frame[:3] for frame in frames(outcomes)] == [[4, "a", "FormationViolation"]]
    assert sum(isinstance(outcome, Tell) for outcome in outcomes) == 1
    again = world.says(2, "b", "MeterValues", values)
    assert not any(isinstance(outcome, Tell) for outcome in again)  # one warning, not one per message


def test_what_only_the_hub_knows_passes_for_the_session_alone(world: World) -> None:
    world.open()
    notice = {"evseId": 1, "chargingLimit": {"chargingLimitSource": "EMS"}}
    world.says(2, "a", "NotifyChargingLimit", notice)
    ((message, then),) = world.ups
    assert message == Message("NotifyChargingLimit", notice)
    assert frames(then(world.at, Said({}))) == [[3, "a", {}]]
    assert [frame[:3] for frame in frames(world.says(2, "b", "TransactionEvent", {}))] == [[4, "b", "NotImplemented"]]


def test_hub_message_that_breaks_the_schema_does_not_go_up(world: World) -> None:
    world.open()
    outcomes = world.says(2, "a", "NotifyChargingLimit", {"evseId": "one"})
    assert not world.ups
    assert [frame[:3] for frame in frames(outcomes)] == [[4, "a", "FormationViolation"]]


def test_question_reaches_the_station_and_its_answer_comes_back_in_hub_words(world: World) -> None:
    world.open()
    ((kind, message_id, action, payload),) = frames(world.ask("Reset", {"type": "OnIdle"}))
    assert (kind, action, payload) == (2, "Reset", {"type": "Soft"})
    assert world.heard == []
    world.says(3, message_id, {"status": "Accepted"})
    assert world.heard == [Said({"status": "Accepted"})]


def test_station_is_asked_one_thing_at_a_time(world: World) -> None:
    world.open()
    (first,) = frames(world.ask("Reset", {"type": "OnIdle"}))
    assert frames(world.ask("Reset", {"type": "Immediate"})) == []
    (second,) = frames(world.says(3, first[1], {"status": "Accepted"}))
    assert second[1] != first[1]
    world.says(4, second[1], "InternalError", "broken", {})
    assert world.heard == [Said({"status": "Accepted"}), Failed("InternalError", "broken")]


def test_question_that_cannot_be_said_is_refused_and_not_sent(world: World) -> None:
    world.open()
    outcomes = world.ask("UnlockConnector", {"evseId": 1, "connectorId": 1})
    assert frames(outcomes) == []
    assert isinstance(world.heard[0], Failed)
    assert world.heard[0].code == "FormatViolation"


def test_answer_that_is_no_hub_answer_does_not_go_up(world: World) -> None:
    world.open()
    world.ask("ClearCache", {})
    assert isinstance(world.heard[0], Failed)
    assert world.heard[0].code == "FormatViolation"


def test_station_that_goes_away_answers_nothing(world: World) -> None:
    world.open()
    world.ask("Reset", {"type": "OnIdle"})
    world.ask("Reset", {"type": "Immediate"})
    world.leg.present(world.at, False)
    assert world.heard == [NO_ANSWER, NO_ANSWER]
    world.ask("Reset", {"type": "OnIdle"})
    assert world.heard[2] == NOT_THERE


def test_station_that_stays_silent_is_not_waited_for_for_ever(world: World) -> None:
    world.open()
    world.ask("Reset", {"type": "OnIdle"})
    world.mono_s += STATION_ANSWER_S - 1
    world.leg.tick(world.at)
    assert world.heard == []
    world.mono_s += 1
    world.leg.tick(world.at)
    assert world.heard == [NO_ANSWER]


def test_lost_csms_is_told_before_anything_fails_and_late_answers_stay_away(world: World) -> None:
    world.open()
    world.says(2, "a", "Heartbeat", {})
    outcomes = world.leg.shut(world.at, "gone")
    assert outcomes == [UpstreamClosed(world.at, "CP1", 7, "gone")]
    assert world.ups[0][1](world.at, Said({"currentTime": "2026-11-21T16:00:00Z"})) == []
    world.leg.open(world.at, 8, "ocpp1.6")
    assert world.ups[0][1](world.at, Said({"currentTime": "2026-11-21T16:00:00Z"})) == []


def test_texts_of_an_older_leg_are_nobodys(world: World) -> None:
    world.open()
    assert world.says(2, "a", "Heartbeat", {}, generation=6) == []
    assert not world.ups


def test_side_that_cannot_even_begin_ends_its_message_and_nothing_else(world: World) -> None:
    world.open()

    def broken(message: Message) -> Conversation:
        raise ZeroDivisionError

    def broken_tick() -> list[Conversation]:
        raise ZeroDivisionError

    (side,) = world.sides
    side.said = broken  # type: ignore[method-assign]
    side.tick = broken_tick  # type: ignore[method-assign]
    outcomes = world.says(2, "a", "Heartbeat", {})
    assert [frame[:3] for frame in frames(outcomes)] == [[4, "a", "InternalError"]]
    assert any(isinstance(outcome, Tell) for outcome in outcomes)
    assert any(isinstance(outcome, Tell) for outcome in world.leg.tick(world.at))
    del side.said
    world.says(2, "b", "Heartbeat", {})
    assert len(world.ups) == 1
