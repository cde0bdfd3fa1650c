"""The tests of ``yardmaster commission``: what is asked of the bench, step by step. What it means is judged in ``controller.commission``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from controller.commission import habits
from controller.commission.charts import Chart, charts_of
from controller.commission.findings import Finding, Outcome, Verdict
from controller.commission.habits import DYNAMIC, WAYS, Answer, Fall, Way
from controller.commission.record import Record
from controller.commission.steptest import judge
from controller.tools.bench import SAME_LEVEL_A, Bench, NotReachedError

LEAST_STEP_A = 4.0
"""The two levels of the step test lie at least so far apart [A]."""
BURST = 5
PROBE_LIFE_S = 120.0


@dataclass(frozen=True, slots=True)
class Point:
    """The EVSE under test, by the site.

    wired: site phases 0..2 of its own L1, L2, L3. apply_s: measured, or of its model [s]. stack_level: of its fallback, by its model.
    """

    station: str
    evse: int
    wired: tuple[int, ...]
    min_a: float
    max_a: float
    floor_a: float
    version: str
    apply_s: float = 10.0
    stack_level: int = 0

    def __str__(self) -> str:
        return f"{self.station}/{self.evse}"


@dataclass(frozen=True, slots=True)
class Result:
    """What a test leaves: its outcome and its curves."""

    outcome: Outcome
    charts: tuple[Chart, ...] = ()


Confirm = Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class Trial:
    """One test. tell: what it does, in words; needs_car: a car or test box must charge; asks: a question that must be agreed to first."""

    name: str
    title: str
    tell: str
    run: Callable[[Bench, Point], Result]
    asks: str = ""
    needs_car: bool = True


def _doubt(title: str, error: Exception) -> Result:
    return Result(Outcome((Finding(title, Verdict.UNSURE, str(error), "Put this right and repeat the test."),)))


def _levels(bench: Bench, point: Point) -> tuple[float, float]:
    """(low, high) that the car follows and the site allows. Raises NotReachedError when they lie too near."""
    low_a = point.min_a
    high_a = bench.hold(min(point.max_a, max(16.0, low_a + 8.0)), "highest level")
    drawn_a = bench.drawn_a
    if drawn_a is not None and drawn_a < high_a - 1.0:
        high_a = float(int(drawn_a))
    if high_a - low_a < LEAST_STEP_A:
        why = f"the car draws {drawn_a:.1f} A" if drawn_a is not None and drawn_a < low_a + LEAST_STEP_A else bench.present_reason
        raise NotReachedError(f"only {high_a:g} A are possible over a minimum of {low_a:g} A: {why}")
    return low_a, high_a


def step_test(bench: Bench, point: Point) -> Result:
    """Down and up, several times; each level is read back."""
    bench.begin()
    try:
        low_a, high_a = _levels(bench, point)
        for cycle in range(bench.pace.cycles):
            for level_a in (low_a, high_a):
                bench.hold(level_a, f"step {cycle + 1} of {bench.pace.cycles}")
                if cycle < 2:
                    bench.ask(level_a, deed="read_back")
                    bench.wait(bench.pace.poll_s * 2)
    except NotReachedError as error:
        return _doubt("Step test", error)
    record = bench.record
    steps, reads = judge(record, point.wired), habits.judge_read_back(record)
    both = Outcome((*steps.findings, *reads.findings), steps.quirks.merged(reads.quirks), steps.rotation)
    return Result(both, tuple(charts_of(record, f"Step test of {point}")))


def minimum_test(bench: Bench, point: Point) -> Result:
    """From the site's minimum upwards until it charges, then 0 A, then up again."""
    bench.begin()
    try:
        level_a = point.min_a
        while level_a <= min(point.max_a, 16.0):
            bench.hold(level_a, "smallest current")
            if bench.drawn_a is None or bench.drawn_a >= habits.DRAWING_A:
                break
            level_a += 1.0
        least = habits.judge_minimum(bench.record)
        bench.hold(0.0, "pause")
        up_a = min(point.max_a, level_a + 4.0)
        bench.ask(up_a)
        bench.wait(bench.pace.patience_s, lambda: bench.limit_a is not None and abs(bench.limit_a - up_a) < SAME_LEVEL_A, "offering current again")
        for trick in ("", "wake_status", "wake_availability"):
            if trick:
                bench.ask(up_a, deed=trick)
            if bench.wait(bench.pace.wake_s, lambda: (bench.drawn_a or 0.0) >= habits.DRAWING_A, "waiting for the car to wake"):
                break
    except NotReachedError as error:
        return _doubt("Smallest current and pause", error)
    record = bench.record
    pause = habits.judge_pause(record)
    both = Outcome((*least.findings, *pause.findings), least.quirks.merged(pause.quirks))
    return Result(both, tuple(charts_of(record, f"Pause test of {point}"))[:1])


def fineness_test(bench: Bench, point: Point) -> Result:
    """Downwards in parts of an ampere."""
    bench.begin()
    base_a = min(point.max_a - 1.0, point.min_a + 4.0)
    try:
        for offset_a in (1.0, 0.8, 0.5, 0.0):
            bench.hold(round(base_a + offset_a, 1), "fine steps")
    except NotReachedError as error:
        return _doubt("Smallest step", error)
    return Result(habits.judge_fineness(bench.record, base_a), tuple(charts_of(bench.record, f"Fine steps of {point}"))[:1])


def ways_test(bench: Bench, point: Point) -> Result:
    """Every way to write a setpoint, one after the other, each below the setpoint in force."""
    bench.begin()
    answers: list[Answer] = []
    ways = (*WAYS, DYNAMIC) if point.version.endswith("2.1") else WAYS
    try:
        _, high_a = _levels(bench, point)
        for number, way in enumerate(ways):
            bench.begin()
            bench.hold(high_a, f"profiles {number + 1} of {len(ways)}")
            answers.append(_try(bench, point, way, high_a, number))
    except NotReachedError as error:
        if not answers:
            return _doubt("Profiles", error)
    finally:
        bench.ask(point.min_a, deed="rewrite")
    outcome = habits.judge_ways(answers, point.stack_level)
    bench.begin()
    bench.hold(point.min_a, "many writes")
    for _ in range(BURST):
        bench.ask(point.min_a, probe={"limit_a": point.min_a, "life_s": PROBE_LIFE_S, "stack_level": point.stack_level + 1})
        bench.wait(bench.pace.patience_s, lambda: all(one.answered_s is not None for one in bench.record.sent), "many writes")
    burst = habits.judge_burst(bench.record, BURST)
    bench.ask(point.min_a, deed="rewrite")
    return Result(Outcome((*outcome.findings, *burst.findings), outcome.quirks.merged(burst.quirks)))


def _try(bench: Bench, point: Point, way: Way, high_a: float, number: int) -> Answer:
    """One way. The limit is another one each time, and none that the floor or the setpoint would explain."""
    span_a = high_a - point.min_a
    low_a = point.min_a + (0.0, 1.0)[number % 2] * (span_a > 5)
    if abs(low_a - point.floor_a) < 1.5:
        low_a = point.floor_a + 2.0
    if way.purpose != "tx":
        bench.ask(high_a, deed="clear")
        bench.wait(2 * bench.pace.poll_s)
    how = {name: value for name, value in asdict(way).items() if name != "label"} | {"stack_level": point.stack_level + way.stack_level}
    bench.ask(high_a, probe={"limit_a": low_a, "life_s": PROBE_LIFE_S, **how})

    def mine(record: Record) -> Any:
        return next((one for one in record.sent if one.number < 0), None)

    def answered() -> bool:
        sent = mine(bench.record)
        return sent is not None and sent.answered_s is not None

    bench.wait(min(45.0, bench.pace.patience_s), answered, f"profiles: {way.label}")
    sent = mine(bench.record)
    if sent is None or sent.answered_s is None or sent.lost:
        bench.ask(high_a, deed="rewrite")
        return Answer(way, None, sent.reason if sent is not None else "")
    if not sent.accepted:
        bench.ask(high_a, deed="rewrite")
        return Answer(way, False, sent.reason)

    def obeyed() -> bool:
        later = [one for one in bench.record.station.samples if one.mono_s > sent.answered_s]
        return bool(later) and abs(max((a for a in later[-1].amps if a is not None), default=-99.0) - low_a) <= 0.8

    seen = bool(bench.record.station.samples)
    done = bench.wait(bench.pace.patience_s / 2, obeyed, f"profiles: {way.label}")
    overwritten = any(one.number > 0 and one.sent_s > sent.sent_s for one in bench.record.sent)
    if way.purpose != "tx":
        bench.ask(high_a, deed="clear")
        bench.wait(2 * bench.pace.poll_s)
    bench.ask(high_a, deed="rewrite")
    return Answer(way, True, "", True if done else False if seen and not overwritten else None)


def plug_test(bench: Bench, point: Point) -> Result:
    """The connection is gone for longer than the last setpoint lives; a meter must see the fall."""
    bench.begin()
    try:
        _, high_a = _levels(bench, point)
        bench.hold(high_a, "before the plug is pulled")
    except NotReachedError as error:
        return _doubt("Pull our plug", error)
    record = bench.record
    used = sum(amps is not None and amps >= habits.DRAWING_A for amps in (record.station.samples[-1].amps if record.station.samples else ()))
    life_s = max((float(entry.get("life_s") or 0.0) for entry in record.of("sent")), default=120.0)
    fall = Fall(point.floor_a, bench.drawn_a or 0.0, used or len(point.wired), life_s, point.apply_s)
    gone_s = life_s + fall.apply_s + habits.FALL_SLACK_S + max(2.0, 3.0 * bench.pace.poll_s)
    bench.ask(high_a, deed="hold_off", hold_s=gone_s)
    bench.wait(gone_s, what="our plug is pulled; the charger must fall to its floor by itself")

    def back() -> bool:
        found = bench.record
        online = [float(one["mono_s"]) for one in found.of("link") if one.get("online")]
        return bool(online) and any(one.accepted and one.sent_s >= online[-1] for one in found.sent)

    bench.wait(2 * bench.pace.patience_s, back, "waiting for the station to come back")
    return Result(habits.judge_fall(bench.record, fall), tuple(charts_of(bench.record, f"Pull our plug at {point}")))


def reboot_test(bench: Bench, point: Point) -> Result:
    """A person switches the station off and on; its floor is read before it is written again."""
    bench.begin()
    bench.ask(None, deed="look_first")
    bench.say("  Switch the station off at its breaker now, wait ten seconds, switch it on again.")

    def link(online: bool) -> bool:
        return any(bool(one.get("online")) is online for one in bench.record.of("link"))

    bench.wait(bench.pace.car_s, lambda: link(False), "waiting for it to go off")
    if link(False):
        bench.wait(bench.pace.car_s, lambda: link(True), "waiting for it to come back")
        bench.wait(bench.pace.patience_s, lambda: any(one.get("evse") == point.evse for one in bench.record.of("floor")), "it is back")
    return Result(habits.judge_reboot(bench.record, point.floor_a))


TRIALS = (
    Trial(
        "steps",
        "Per-phase step test",
        "The charger goes down and up several times while the meters are watched. It finds phase order, turned or swapped\n"
        "transformers, scale errors, and how long a new limit takes to act. A one-phase car or test box shows the phase order best.",
        step_test,
    ),
    Trial("minimum", "Smallest current and pause", "The charger goes to its minimum, then to 0 A, then up again.", minimum_test),
    Trial("fineness", "Fine steps", "The charger goes down in parts of an ampere.", fineness_test),
    Trial("ways", "Profile support", "Every kind of charging profile is tried once, always below the limit in force.", ways_test),
    Trial(
        "plug",
        "Pull our plug",
        "The connection to this station is cut off on purpose for some minutes. The meter must see it fall to its fallback by itself.",
        plug_test,
        asks="Cut the connection to this station now?",
    ),
    Trial(
        "reboot",
        "Power cut",
        "The station is switched off at its breaker and on again. It is asked whether it still knows its fallback.",
        reboot_test,
        asks="Can you switch this station off and on now?",
        needs_car=False,
    ),
)


def no_car(trial: Trial) -> Result:
    """Nobody plugged in a car."""
    return Result(Outcome((Finding(trial.title, Verdict.SKIPPED, "no car or test box was charging"),)))


def declined(trial: Trial) -> Result:
    """The person said no."""
    return Result(Outcome((Finding(trial.title, Verdict.SKIPPED, "left out by the person who tested"),)))
