"""``yardmaster meters test``: can this meter be relied on? In plain words, with an exit code."""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from controller.io.field.bus import Buses
from controller.tools.meters_line import Subject, add_subject_arguments, seconds, subject_of
from meters.reading import PhaseTriple, Quality, Reading, ReadingError

EPILOG = """\
Reads the meter on its beat and says how often it answered, how fast, whether its numbers fit together (phase sum, power
against current and voltage, directions) and whether they move. Exit code 0: fit; 1: not fit, or not to be reached.

Examples:
  yardmaster meters test grid --config site.yaml --seconds 60
  yardmaster meters test --host 192.168.1.20 --map ./my_meter.yaml
"""
ENOUGH_ANSWERS = 0.98
MOVES_AFTER = 5
"""Readings after which values that are the same to the last digit are told."""
NOTABLE_A = 1.0


@dataclass(slots=True)
class Protocol:
    """What happened. took_s: of the polls that were answered."""

    polls: int = 0
    readings: list[Reading] = field(default_factory=list)
    took_s: list[float] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)

    @property
    def share(self) -> float:
        """Of the polls that were answered."""
        return len(self.readings) / self.polls if self.polls else 0.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One sentence. well: False = the meter is not fit; None = something to know."""

    well: bool | None
    text: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The action's own arguments."""
    parser.epilog = EPILOG
    add_subject_arguments(parser)
    parser.add_argument("--seconds", type=seconds, default=10.0, help="how long to read it (default: %(default)s)")
    parser.add_argument("--every", type=seconds, metavar="SECONDS", help="time between two readings (default: the meter's own, else 1)")


async def run(arguments: argparse.Namespace) -> int:
    """Read for a while, tell what was found."""
    subject = subject_of(arguments, Buses())
    every_s = max(arguments.every or subject.poll_s, subject.template.min_poll_s if subject.template else 0.0)
    print(f"{subject.name}: {subject.what}, {subject.where}; reading for {arguments.seconds:g} s, every {every_s:g} s")
    protocol = await _watch(subject, arguments.seconds, every_s)
    findings = list(judge(protocol, every_s))
    for finding in findings:
        print(f"{ {True: 'ok  ', False: 'BAD ', None: 'note'}[finding.well] }  {finding.text}")
    fit = all(finding.well is not False for finding in findings)
    print(verdict(protocol, fit))
    return 0 if fit else 1


def judge(protocol: Protocol, every_s: float) -> Iterator[Finding]:
    """Everything that can be said about what a meter told."""
    yield from _answers(protocol)
    if not protocol.readings:
        return
    yield from _speed(protocol, every_s)
    yield from _quality(protocol.readings)
    yield from _sums(protocol.readings)
    yield from _signs(protocol.readings)
    yield from _moves(protocol.readings)


def verdict(protocol: Protocol, fit: bool) -> str:
    """The last line."""
    if not protocol.readings:
        return "Not reached: nothing can be said about its numbers."
    if not fit:
        return "Not fit as it is. What is marked BAD has to be mended first."
    if all(value is None for value in protocol.readings[-1].current_a):
        return "Fit for information. It shows no currents, so it cannot guard a fuse by itself."
    return "Fit to guard a fuse, as far as numbers can tell. Compare one reading with the display before you rely on it."


async def _watch(subject: Subject, seconds: float, every_s: float) -> Protocol:
    protocol, loop = Protocol(), asyncio.get_running_loop()
    beat_s = began_s = loop.time()
    try:
        while not protocol.polls or beat_s - began_s < seconds:
            asked_s = loop.time()
            protocol.polls += 1
            try:
                protocol.readings.append(await subject.poll())
                protocol.took_s.append(loop.time() - asked_s)
            except ReadingError as error:
                protocol.errors[str(error)] += 1
            _progress(protocol)
            beat_s = max(beat_s + every_s, loop.time())
            if beat_s - began_s < seconds:
                await asyncio.sleep(beat_s - loop.time())
    finally:
        await subject.close()
        _progress(protocol, last=True)
    return protocol


def _progress(protocol: Protocol, last: bool = False) -> None:
    if sys.stderr.isatty():
        print(f"\r{len(protocol.readings)} of {protocol.polls} answered", end="\n" if last else "", file=sys.stderr, flush=True)


def _answers(protocol: Protocol) -> Iterator[Finding]:
    text = f"answered {len(protocol.readings)} of {protocol.polls} times"
    for error, count in protocol.errors.most_common(3):
        text += f"; {count} x {error}"
    yield Finding(protocol.share >= ENOUGH_ANSWERS, text)


def _speed(protocol: Protocol, every_s: float) -> Iterator[Finding]:
    ordered = sorted(protocol.took_s)
    middle, slow = statistics.median(ordered), ordered[min(len(ordered) - 1, round(0.95 * len(ordered)))]
    text = f"a reading takes {1000 * middle:.0f} ms, 95 % at most {1000 * slow:.0f} ms, the slowest {1000 * ordered[-1]:.0f} ms"
    if slow > every_s:
        yield Finding(False, f"{text}: slower than the time between two readings; set poll_s to {2 * slow:.1f} or more")
    else:
        yield Finding(True, text)


def _quality(readings: Sequence[Reading]) -> Iterator[Finding]:
    counts = Counter(reading.quality for reading in readings)
    for quality, well in ((Quality.BAD, False), (Quality.SUSPECT, None)):
        if counts[quality]:
            reason, _ = Counter(reading.reason for reading in readings if reading.quality is quality).most_common(1)[0]
            yield Finding(well, f"{counts[quality]} of {len(readings)} readings are {quality.value}: {reason}")
    if counts[Quality.GOOD] == len(readings):
        yield Finding(True, "every reading is plausible")


def _sums(readings: Sequence[Reading]) -> Iterator[Finding]:
    gaps = [abs(reading.power_w - sum(phases)) for reading in readings if reading.power_w is not None and (phases := _whole(reading.phase_power_w))]
    if not gaps:
        yield Finding(None, "no total beside the phases' powers: their sum cannot be checked")
        return
    most = max(gaps)
    allowed = max(50.0, 0.02 * max(abs(reading.power_w or 0.0) for reading in readings))
    yield Finding(most <= allowed, f"the phases' powers add up to the total within {most:.0f} W")


def _signs(readings: Sequence[Reading]) -> Iterator[Finding]:
    last = readings[-1]
    for at in range(3):
        pairs = [(reading.current_a[at], reading.phase_power_w[at], reading.voltage_v[at]) for reading in readings]
        known = [(i, p, u or 230.0) for i, p, u in pairs if i is not None and p is not None and abs(i) >= NOTABLE_A]
        if not known:
            continue
        if any(i * p < 0 for i, p, _ in known):
            yield Finding(False, f"current and power of L{at + 1} point in opposite directions: the map's sign or its current is wrong")
        share = statistics.median(abs(p) / (abs(i) * u) for i, p, u in known)
        if not 0.3 <= share <= 1.1:
            yield Finding(
                None, f"L{at + 1}: power is {share:.2f} of current times voltage; is the current transformer of the right phase, its ratio right?"
            )
    if last.power_w is not None:
        way = "import, consumption or charging" if last.power_w >= 0 else "export, production or discharging"
        yield Finding(
            None, f"power is {last.power_w:.0f} W now, which means {way}; if it is the other way round, set reversed: true in the site file"
        )


def _moves(readings: Sequence[Reading]) -> Iterator[Finding]:
    if len(readings) < MOVES_AFTER:
        return
    first = readings[0]
    still = all(
        (r.current_a, r.phase_power_w, r.voltage_v, r.power_w) == (first.current_a, first.phase_power_w, first.voltage_v, first.power_w)
        for r in readings
    )
    if still:
        yield Finding(None, f"nothing moved in {len(readings)} readings, not even by the last digit: is it a live meter?")
    else:
        yield Finding(True, "its values move")


def _whole(triple: PhaseTriple) -> tuple[float, ...]:
    known = tuple(value for value in triple if value is not None)
    return known if len(known) == 3 else ()
