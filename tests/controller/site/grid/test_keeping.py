"""Nothing is acknowledged before it is on disk, whoever states a limit and whatever the disk does; the limit itself holds at once."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.facts import EventsTold, FailsafeStated, GridEvent, LimitReceived, LimitStated, LimitUnit, Persisted, PersistFailed, SignalBeat, Stamp
from controller.orders import AnswerEvent, AnswerLimit, AnswerSignal, Inject, Order, Persist, Publish
from controller.site.grid.keeping import LATE_S, NOT_KEPT, Answer, Keeping
from tests.support.signal_story import CONSUMPTION, FAILSAFE_W, PRODUCTION, STATED, SignalStory, entry

KEY, OTHER = ("signal", "dso"), ("signal", "fleet")
YES, NO = AnswerSignal("dso", 1, True, "", 5.0), AnswerSignal("dso", 1, False, "why", 5.0)
SAID = Answer((YES,), (NO,))
AT = Stamp(1000.0, 1_780_000_000.0)
BARE = {"failsafe_w": None, "failsafe_production_w": None, "heartbeat_s": 0}


def write(keeping: Keeping, memory: object, key: tuple[str, str] = KEY) -> int:
    (order,) = keeping.remember({key: memory})
    assert isinstance(order, Persist)
    assert order.remember == {key: memory}
    return order.token


def slow(*entries: dict[str, object]) -> SignalStory:
    """A story whose disk waits for the test."""
    story = SignalStory(*entries)
    story.disk = None
    return story


def answers(orders: list[Order]) -> list[Order]:
    return [order for order in orders if isinstance(order, AnswerSignal | AnswerLimit | AnswerEvent)]


class TestKeeping:
    def test_its_numbers_never_meet_those_of_the_link(self) -> None:
        keeping = Keeping()
        tokens = [write(keeping, number) for number in range(5)]
        assert tokens == sorted(set(tokens), reverse=True)
        assert max(tokens) < 0  # the link counts from 1 up, and 0 asks for no answer
        assert keeping.stored(Persisted(AT, 1)) == []

    def test_an_answer_waits_for_what_was_written_before_it(self) -> None:
        keeping = Keeping()
        token = write(keeping, {"value": 1})
        assert keeping.answer(KEY, SAID, AT) == []
        assert keeping.waits(KEY)
        assert keeping.answer(OTHER, SAID, AT) == [YES]  # nothing of another's is under way
        assert keeping.stored(Persisted(AT, token)) == [YES]
        assert keeping.stored(Persisted(AT, token)) == []
        assert keeping.answer(KEY, SAID, AT) == [YES]

    def test_what_the_disk_has_is_not_written_again(self) -> None:
        keeping = Keeping()
        keeping.stored(Persisted(AT, write(keeping, {"value": 1})))
        assert keeping.remember({KEY: {"value": 1}}) == []
        assert keeping.remember({KEY: None}) != []

    def test_a_refusing_disk_is_told_of_and_gets_it_once_more_without_a_question(self) -> None:
        keeping = Keeping()
        token = write(keeping, {"value": 1})
        keeping.answer(KEY, SAID, AT)
        assert keeping.stored(PersistFailed(AT, token, "full")) == [NO, Persist(0, remember={KEY: {"value": 1}})]
        assert keeping.answer(KEY, SAID, AT) == [NO]  # nobody knows whether that was written
        again = write(keeping, {"value": 1})  # the same memory: until one is known to be there
        keeping.stored(Persisted(AT, again))
        assert keeping.answer(KEY, SAID, AT) == [YES]

    def test_a_newer_memory_carries_an_older_one_that_failed(self) -> None:
        keeping = Keeping()
        first = write(keeping, {"value": 1})
        keeping.answer(KEY, SAID, AT)
        second = write(keeping, {"value": 2})
        keeping.answer(KEY, SAID, AT)
        assert keeping.stored(PersistFailed(AT, first, "full")) == [NO]
        assert keeping.stored(Persisted(AT, second)) == [YES]
        assert keeping.answer(KEY, SAID, AT) == [YES]

    def test_a_disk_that_says_nothing_keeps_nobody_waiting_and_costs_no_memory(self) -> None:
        keeping = Keeping()
        for number in range(1000):
            at = Stamp(AT.mono_s + number * 0.1, AT.wall_s)
            write(keeping, number)
            keeping.answer(KEY, SAID, at)
            assert YES not in keeping.look(at)
            write(keeping, -number - 1)  # of time passing: nobody asks for it
        assert len(keeping._writing) <= LATE_S / 0.1 + 2
        assert set(keeping.look(Stamp(AT.mono_s + 1000.0, AT.wall_s))) == {NO}
        assert len(keeping._writing) == 1


@pytest.mark.parametrize("kind", STATED)
class TestStatements:
    def test_a_cut_before_the_disk_has_it_there_was_no_answer(self, kind: str) -> None:
        story = slow(entry(kind, **BARE))
        story.start()
        car = story.plug("CP1")
        story.run(5)
        orders = story.say(0.0)
        assert story.holds_w() == 0.0
        assert [order.limit_a for order in orders if isinstance(order, Inject) and order.evse == car] == [0.0]  # obeyed at once
        assert answers(orders) == []
        story.restart()
        assert story.holds_w() is None
        assert story.of(AnswerSignal) == []

    def test_a_cut_behind_the_answer_and_it_holds(self, kind: str) -> None:
        story = slow(entry(kind, **BARE))
        story.say(5000.0)
        (answer,) = answers(story.write())
        assert answer == AnswerSignal("dso", 1, True, "", 5000.0)
        story.restart()
        assert story.holds_w() == 5000.0

    def test_a_full_disk_is_said_and_the_limit_holds(self, kind: str) -> None:  # F73, F74
        story = slow(entry(kind, **BARE))
        story.say(5000.0)
        (answer,) = answers(story.write(done=False))
        assert answer == AnswerSignal("dso", 1, False, NOT_KEPT, 5000.0)
        assert story.holds_w() == 5000.0
        (late,) = story.unwritten  # the journal has it for when the disk works again
        assert late.token == 0
        assert late.remember[KEY]["consumption"]["value"] == 5000.0
        story.write()
        story.say(5000.0)  # the same again: nothing new to remember, and yet nobody knows that it is there
        (answer,) = answers(story.write())
        assert answer == AnswerSignal("dso", 2, True, "", 5000.0)

    def test_a_disk_that_hangs_is_told_of_after_four_seconds(self, kind: str) -> None:
        story = slow(entry(kind, **BARE))
        story.say(5000.0)
        story.wait(LATE_S - 1.0, step_s=1.0)
        assert story.of(AnswerSignal) == []
        story.wait(1.0)
        assert story.of(AnswerSignal) == [AnswerSignal("dso", 1, False, NOT_KEPT, 5000.0)]
        assert answers(story.write()) == []  # answered once

    def test_failsafe_values_wait_too(self, kind: str) -> None:
        story = slow(entry(kind))
        assert answers(story.do(FailsafeStated(story.at(), "dso", CONSUMPTION, 3000.0, 7200.0, 9))) == []
        assert story.holds_w() == 3000.0
        assert answers(story.write()) == [AnswerSignal("dso", 9, True, "", 3000.0)]
        story.restart()
        assert story.holds_w() == 3000.0

    def test_a_refusal_needs_no_disk_and_keeps_its_place_behind_what_waits(self, kind: str) -> None:
        story = slow(entry(kind, **BARE))
        story.say(6000.0)
        story.write()
        (refused,) = answers(story.say(-1.0))
        assert isinstance(refused, AnswerSignal)
        assert not refused.accepted
        story.do(LimitStated(story.at(), "dso", CONSUMPTION, 5000.0, sequence=7, number=21))
        twice = story.do(LimitStated(story.at(), "dso", CONSUMPTION, 5000.0, sequence=7, number=22))
        assert answers(twice) == []  # "7 is not newer than 7" would say that 7 was taken
        assert [(one.number, one.accepted) for one in answers(story.write()) if isinstance(one, AnswerSignal)] == [(21, True), (22, False)]

    def test_both_directions_wait_for_their_own_word(self, kind: str) -> None:
        story = slow(entry(kind, **BARE))
        story.say(5000.0)
        story.say(0.0, PRODUCTION)
        assert [one.number for one in answers(story.write(most=1)) if isinstance(one, AnswerSignal)] == [1]
        story.restart()  # the second was not acknowledged
        assert (story.holds_w(), story.holds_w(PRODUCTION)) == (5000.0, None)


def test_a_heartbeat_writes_nothing() -> None:
    story = slow(entry("eebus"))
    story.say(None)
    story.write()
    for _ in range(100):
        story.now += 1.0
        story.do(SignalBeat(story.at(), "dso"))
        story.do(story.tick())
    assert story.unwritten == []


class TestEvents:
    def event(self, story: SignalStory, **more: object) -> list[Order]:
        event = GridEvent("e", 1, story.at().wall_s, 600.0, answers=True, **{"consumption_w": 5000.0, **more})  # type: ignore[arg-type]
        return answers(story.do(EventsTold(story.at(), "dso", (event,))))

    def test_what_is_said_of_an_event_waits_for_the_disk(self) -> None:
        story = slow(entry("ieee2030_5"))
        assert self.event(story) == []
        assert story.holds_w() == FAILSAFE_W or story.holds_w() == 5000.0
        assert [one.what for one in answers(story.write()) if isinstance(one, AnswerEvent)] == ["received", "started"]

    def test_a_rejection_does_not(self) -> None:
        story = slow(entry("openadr2"))
        said = self.event(story, consumption_w=math.nan)
        assert [one.what for one in said if isinstance(one, AnswerEvent)] == ["received", "rejected"]

    def test_a_schedule_outlives_a_disk_that_fails(self) -> None:
        story = slow(entry("ieee2030_5"))
        self.event(story)
        assert [one.what for one in answers(story.write(done=False)) if isinstance(one, AnswerEvent)] == ["received", "started"]


class TestFleetLimits:
    def state(self, story: SignalStory, amps: float | None, number: int = 0, **more: object) -> list[Order]:
        more = {"source": "api" if number else "mqtt", **more}
        source = str(more.pop("source"))
        return story.do(LimitReceived(story.at(), source, "grid", amps, LimitUnit.A, 600.0, number=number, **more))  # type: ignore[arg-type]

    def held_a(self, story: SignalStory) -> float | None:
        limit = story.site.limits.smallest(story.now).get("grid")
        return limit.value if limit is not None else None

    def test_over_the_broker_the_acknowledgement_is_a_message_of_its_own(self) -> None:
        story = slow()
        said = self.state(story, 20.0, sequence=4)
        assert self.held_a(story) == 20.0
        assert not [order for order in said if isinstance(order, Publish) and order.topic == "limit/accepted"]
        story.write()
        assert story.published("limit/accepted") == [{"source": "mqtt", "circuit": "grid", "value": 20.0, "unit": "A", "sequence": 4}]
        story.restart()
        assert self.held_a(story) == 20.0

    def test_a_cut_before_the_disk_has_it(self) -> None:
        story = slow()
        self.state(story, 20.0, number=1)
        story.restart()
        assert story.of(AnswerLimit) == []
        assert story.published("limit/accepted") == []
        assert self.held_a(story) is None

    def test_over_the_api(self) -> None:
        story = slow()
        assert answers(self.state(story, 20.0, number=5)) == []
        assert answers(story.write()) == [AnswerLimit(5, True, True)]

    def test_a_full_disk_is_said_and_the_limit_holds(self) -> None:
        story = slow()
        self.state(story, 20.0, number=5)
        assert answers(story.write(done=False)) == [AnswerLimit(5, False, True, NOT_KEPT)]
        assert story.published("limit/accepted") == []
        assert story.published("limit/refused")[-1]["reason"] == NOT_KEPT
        assert self.held_a(story) == 20.0

    def test_a_refusal_comes_at_once(self) -> None:
        story = slow()
        (answer,) = answers(self.state(story, 5000.0, number=6))
        assert isinstance(answer, AnswerLimit)
        assert (answer.accepted, answer.holds) == (False, False)
        assert "check the unit" in answer.reason

    def test_the_same_call_made_twice_gets_the_same_answer_and_the_disk_another_chance(self) -> None:
        story = slow()
        self.state(story, 20.0, number=7, sequence=3)
        story.write(done=False)
        story.write()
        self.state(story, 20.0, number=8, sequence=3)
        assert answers(story.write()) == [AnswerLimit(8, True, True)]
        (other,) = answers(self.state(story, 30.0, number=9, sequence=3))
        assert isinstance(other, AnswerLimit)
        assert not other.accepted

    def test_a_withdrawal_is_acknowledged_like_a_limit(self) -> None:
        story = slow()
        self.state(story, 20.0, number=1)
        story.write()
        assert answers(self.state(story, None, number=2)) == []
        story.restart()  # the withdrawal was not acknowledged: the limit goes on
        assert self.held_a(story) == 20.0


@settings(max_examples=60, deadline=None)
@given(
    deeds=st.lists(st.one_of(st.integers(1, 60), st.sampled_from(["write", "fail", "time", "cut"])), max_size=25),
    kind=st.sampled_from([*STATED, "fleet"]),
)
def test_a_power_cut_at_any_moment_forgets_nothing_that_was_acknowledged(deeds: list[int | str], kind: str) -> None:
    """Numbers state so many amps or kilowatts, each another one; what holds after a cut is the last acknowledged or a later statement."""
    fleet = TestFleetLimits()
    story = slow() if kind == "fleet" else slow(entry(kind, **BARE))
    stated: list[float] = []
    known: list[float | None] = [None]  # acknowledged or found after a cut, and everything stated since

    def acknowledged(orders: list[Order]) -> None:
        for one in answers(orders):
            assert isinstance(one, AnswerSignal | AnswerLimit)
            if one.accepted:
                known[:] = stated[one.number - 1 :]

    def held() -> float | None:
        return fleet.held_a(story) if kind == "fleet" else story.holds_w()

    for deed in [*deeds, "cut"]:
        if isinstance(deed, int):
            value = float(deed) if kind == "fleet" else deed * 1000.0
            stated.append(value)
            known.append(value)
            number = len(stated)
            told = (
                fleet.state(story, value, number) if kind == "fleet" else story.do(LimitStated(story.at(), "dso", CONSUMPTION, value, number=number))
            )
            acknowledged(told)
            assert held() == value  # obeyed at once
        elif deed == "write":
            acknowledged(story.write(most=1))
        elif deed == "fail":
            acknowledged(story.write(done=False, most=1))
        elif deed == "time":
            story.now += 1.0
            acknowledged(story.do(story.tick()))
        else:
            story.restart()
            assert held() in known
            known[:] = [held()]
