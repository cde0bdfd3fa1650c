"""Habits of a charger from small traces written by hand."""

from __future__ import annotations

from typing import Any

import pytest

from controller.commission.findings import Outcome, Quirks, Verdict
from controller.commission.habits import (
    DYNAMIC,
    WAYS,
    Answer,
    Fall,
    judge_burst,
    judge_fall,
    judge_fineness,
    judge_minimum,
    judge_pause,
    judge_read_back,
    judge_reboot,
    judge_ways,
)
from controller.commission.record import Record, read

Entry = dict[str, Any]


def trace(*entries: Entry) -> Record:
    return read(sorted(entries, key=lambda entry: float(entry["mono_s"])), "CP1", 1)


def entry(mono_s: float, kind: str, **more: Any) -> Entry:
    return {"mono_s": mono_s, "kind": kind, "station": "CP1", "evse": 1, **more}


def held(begin_s: float, order: int, limit_a: float, drawn_a: float | None, long_s: int = 10) -> list[Entry]:
    """A setpoint, accepted, and what the car draws from two seconds later on."""
    told = [entry(begin_s + second, "station", current_a=[drawn_a, None, None]) for second in range(2, long_s)] if drawn_a is not None else []
    return [entry(begin_s, "sent", order=order, limit_a=limit_a), entry(begin_s + 0.1, "answered", order=order, accepted=True), *told]


def verdicts(outcome: Outcome) -> list[Verdict]:
    return [one.verdict for one in outcome.findings]


def test_a_box_that_pauses_below_8_a() -> None:
    outcome = judge_minimum(trace(*held(0, 1, 6, 0), *held(10, 2, 7, 0), *held(20, 3, 8, 7.9)))
    assert outcome.quirks == Quirks(min_current_a=8)
    assert outcome.findings[0].text == "charges from 8 A, pauses at 7 A"


def test_no_current_told_is_not_certain() -> None:
    assert verdicts(judge_minimum(trace(*held(0, 1, 6, None)))) == [Verdict.UNSURE]
    assert verdicts(judge_pause(trace(*held(0, 1, 0, None)))) == [Verdict.UNSURE]
    assert verdicts(judge_fineness(trace(*held(0, 1, 11, None)), 10)) == [Verdict.UNSURE]


def test_it_wakes_by_itself() -> None:
    outcome = judge_pause(trace(*held(0, 1, 0, 0), *held(10, 2, 10, 9.8)))
    assert verdicts(outcome) == [Verdict.PASS, Verdict.PASS]
    assert outcome.quirks == Quirks(resume="none")


@pytest.mark.parametrize(("tricks", "resume"), [(("status",), "status"), (("status", "availability"), "availability")])
def test_it_wakes_by_the_last_trick_before(tricks: tuple[str, ...], resume: str) -> None:
    wakes = [entry(15 + 5 * number, "wake", trick=trick) for number, trick in enumerate(tricks)]
    later = [entry(15 + 5 * len(tricks), "station", current_a=[9.5, None, None])]
    outcome = judge_pause(trace(*held(0, 1, 0, 0), *held(10, 2, 10, 0, 5), *wakes, *later))
    assert outcome.quirks == Quirks(resume=resume)


def test_it_never_wakes() -> None:
    outcome = judge_pause(trace(*held(0, 1, 0, 0), *held(10, 2, 10, 0), entry(15, "wake", trick="status")))
    assert verdicts(outcome) == [Verdict.PASS, Verdict.FAIL]
    assert outcome.quirks.resume is None


def test_it_does_not_pause() -> None:
    assert verdicts(judge_pause(trace(*held(0, 1, 0, 6.0)))) == [Verdict.FAIL]


@pytest.mark.parametrize(
    ("drawn", "step_a"),
    [((11, 10.8, 10.5, 10), 0.1), ((11, 10.5, 10.5, 10), 0.5), ((11, 10, 10, 10), 1.0), ((11, 11, 11, 10), None)],
)
def test_the_smallest_step(drawn: tuple[float, ...], step_a: float | None) -> None:
    holds = [held(10 * number, number + 1, limit_a, drawn[number]) for number, limit_a in enumerate((11.0, 10.8, 10.5, 10.0))]
    assert judge_fineness(trace(*(one for hold in holds for one in hold)), 10.0).quirks.step_a == step_a


@pytest.mark.parametrize(("said", "honest"), [((10.0, 6.0), True), ((32.0, 32.0), False), ((None, None), False), ((10.0, 10.0), False)])
def test_reading_back(said: tuple[float | None, ...], honest: bool) -> None:
    asked = [entry(5, "read_back", limit_a=said[0], ok=True), entry(15, "read_back", limit_a=said[1], ok=True)]
    assert judge_read_back(trace(*held(0, 1, 10, 10), *held(10, 2, 6, 6), *asked)).quirks.reads_back is honest


ALL = ("TxProfile", "TxDefaultProfile", "ChargingStationMaxProfile")


def answers(**by_label: str) -> list[Answer]:
    """o = obeyed, i = ignored, r = rejected, u = effect not seen, n = no answer; in the order of WAYS."""
    words = {"o": (True, True), "i": (True, False), "r": (False, None), "u": (True, None), "n": (None, None)}
    return [Answer(way, words[letter][0], "", words[letter][1]) for way, letter in zip((*WAYS, DYNAMIC), by_label["all"], strict=False)]


@pytest.mark.parametrize(
    ("letters", "quirks"),
    [
        ("oooooo", Quirks(purposes=ALL, unit="A", other_unit=True, stack_level=0)),
        ("orrorr", Quirks(purposes=("TxProfile",), unit="A", other_unit=False, stack_level=0)),
        ("rorrrr", Quirks(purposes=("TxProfile",), unit="W", other_unit=False, stack_level=0)),
        ("rrrrro", Quirks(purposes=("ChargingStationMaxProfile",))),
        ("iiiiii", Quirks()),
        ("ouuuur", Quirks(purposes=("TxProfile",), unit="A", stack_level=0)),
        ("nnnnnn", Quirks()),
        ("oooooor", Quirks(purposes=ALL, unit="A", other_unit=True, dynamic=False, stack_level=0)),
        ("irrorr", Quirks(purposes=("TxProfile",), unit="A", other_unit=False, stack_level=1)),
    ],
)
def test_what_the_ways_say(letters: str, quirks: Quirks) -> None:
    assert judge_ways(answers(all=letters)).quirks == quirks


def test_the_stack_level_counts_from_the_one_the_fallback_has() -> None:
    assert judge_ways(answers(all="orrorr"), 4).quirks.stack_level == 4
    assert judge_ways(answers(all="rrrorr"), 4).quirks.stack_level == 5
    assert Quirks(stack_level=0).careful(Quirks(stack_level=1)).stack_level == 1


def test_no_answer_is_not_certain_and_no_refusal() -> None:
    """What our own side did not send, or nobody answered, says nothing about the box."""
    sent = entry(1, "sent", order=-1, limit_a=8.0)
    lost = trace(sent, entry(2, "answered", order=-1, accepted=False, lost=True, reason="no answer in time"))
    replaced = trace(sent, entry(2, "answered", order=-1, accepted=False, lost=False, reason="replaced by a newer setpoint"))
    refused = trace(sent, entry(2, "answered", order=-1, accepted=False, lost=False, reason="Rejected"))
    assert [one.sent[0].lost for one in (lost, replaced, refused)] == [True, True, False]
    assert Verdict.UNSURE in verdicts(judge_ways(answers(all="nooooo")))
    assert verdicts(judge_burst(lost, 1)) == [Verdict.UNSURE]


def test_accepting_and_ignoring_is_a_failure_refusing_is_not() -> None:
    assert Verdict.FAIL in verdicts(judge_ways(answers(all="oiiiii")))
    assert Verdict.FAIL not in verdicts(judge_ways(answers(all="orrrrr")))
    assert verdicts(judge_ways(answers(all="rrrrrr")))[-1] is Verdict.FAIL


def test_a_rate_limit() -> None:
    writes = [entry(number, "sent", order=-number, limit_a=6) for number in range(1, 6)]
    said = [entry(number + 0.1, "answered", order=-number, accepted=number < 3, reason="RateLimitExceeded") for number in range(1, 6)]
    assert judge_burst(trace(*writes, *said, entry(4.2, "rate_limit", retry_after_s=12.0)), 5).quirks == Quirks(min_write_s=12.0)
    assert verdicts(judge_burst(trace(*writes, *said), 5)) == [Verdict.UNSURE]


@pytest.mark.parametrize(("limit_a", "keeps"), [(6.0, True), (32.0, False), (None, None)])
def test_the_power_cut(limit_a: float | None, keeps: bool) -> None:
    back = [entry(50, "link", online=True), entry(51, "read_back", limit_a=limit_a, ok=False, order=-4), entry(51.1, "floor", order=9, limit_a=6)]
    assert judge_reboot(trace(*back), 6.0).quirks == Quirks(keeps_default=keeps)


def test_a_power_cut_whose_floor_was_written_before_it_spoke_says_nothing() -> None:
    late = [entry(50, "link", online=True), entry(50.1, "floor", order=9, limit_a=6), entry(51, "read_back", limit_a=6.0, ok=True, order=-4)]
    assert verdicts(judge_reboot(trace(*late), 6.0)) == [Verdict.UNSURE]
    assert verdicts(judge_reboot(trace(), 6.0)) == [Verdict.SKIPPED]


# -- pull our plug: life 20 s, apply 5 s, floor 6 A, the car drew 16 A on one phase over 10 A of building ------

FALL = Fall(floor_a=6.0, drawn_a=16.0, phases=1, life_s=20.0, apply_s=5.0)


def fall(fell_after_s: float, back: bool = True, motor_a: float = 0.0) -> Outcome:
    amps = [(second, 26.0 if second < 60 + fell_after_s else 16.0 + motor_a * (second % 7 == 0)) for second in range(40, 110)]
    meter = [{"mono_s": second, "kind": "meter", "name": "grid", "quality": "good", "current_a": [value, 0, 0]} for second, value in amps]
    taken = [entry(101, "sent", order=9, limit_a=16), entry(101.1, "answered", order=9, accepted=True)]
    again = [entry(100, "link", online=True), *taken] if back else []
    return judge_fall(trace(*meter, entry(60, "held_off"), *again), FALL)


def test_it_falls_in_time_and_comes_back() -> None:
    assert verdicts(fall(20)) == [Verdict.PASS, Verdict.PASS]
    assert verdicts(fall(20, motor_a=15.0)) == [Verdict.PASS, Verdict.PASS]


def test_it_falls_late_or_never() -> None:
    assert verdicts(fall(34))[0] is Verdict.FAIL
    never = fall(1000)
    assert never.findings[0].verdict is Verdict.FAIL
    assert "NOT safe by construction" in never.findings[0].advice


def test_it_does_not_come_back() -> None:
    assert verdicts(fall(20, back=False))[1] is Verdict.FAIL


def test_a_fall_that_could_not_show_is_not_certain() -> None:
    record = trace(entry(60, "held_off"))
    assert verdicts(judge_fall(record, Fall(6.0, 6.5, 3, 20.0, 5.0))) == [Verdict.UNSURE]
    assert verdicts(judge_fall(record, FALL))[0] is Verdict.UNSURE
    assert verdicts(judge_fall(trace(), FALL)) == [Verdict.SKIPPED]
