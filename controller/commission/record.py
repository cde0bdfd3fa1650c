"""The trace of a test as curves and holds.

The controller hands out what it measured, sent and heard (``site.commissioning``) as plain entries. Here
they become: one ``Curve`` per meter, one of what the station itself tells, and the ``Hold``s, that is the
setpoints the station had, from its Accepted to the next one. Entries that cannot be read are left out;
a test that misses them says "not certain" by itself.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

Triple = tuple[float | None, float | None, float | None]
Entry = Mapping[str, Any]

PHASE_NAMES = ("L1", "L2", "L3")
STATION = "station"
"""Name of the curve of what the station tells; by the station's own phases."""
NOTHING: Triple = (None, None, None)
NOT_ITS_WORD = ("replaced by a newer setpoint", "station is not connected", "station disconnected", "no answer in time")
"""Reasons that no station gave: such an order says nothing about it."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Currents at a moment [A], by phase; import positive, None = not told."""

    mono_s: float
    amps: Triple


@dataclass(frozen=True, slots=True)
class Curve:
    """What one source said, oldest first."""

    name: str
    samples: tuple[Sample, ...]

    def between(self, from_s: float, until_s: float) -> tuple[Sample, ...]:
        """Samples of a span; both ends belong to it."""
        return tuple(sample for sample in self.samples if from_s <= sample.mono_s <= until_s)

    def phase(self, index: int, from_s: float = -math.inf, until_s: float = math.inf) -> list[float]:
        """The known values of one phase in a span [A]."""
        return [amps for sample in self.between(from_s, until_s) if (amps := sample.amps[index]) is not None]

    @property
    def period_s(self) -> float | None:
        """Usual time between two samples [s]."""
        gaps = [later.mono_s - sooner.mono_s for sooner, later in zip(self.samples, self.samples[1:], strict=False)]
        return median(gaps) if gaps else None


@dataclass(frozen=True, slots=True)
class Hold:
    """One setpoint a station accepted [A], and until the next one was sent."""

    limit_a: float
    sent_s: float
    accepted_s: float
    until_s: float

    @property
    def long_s(self) -> float:
        """How long it was in force alone [s]."""
        return self.until_s - self.accepted_s


@dataclass(frozen=True, slots=True)
class Sent:
    """One profile on its way: answered None = no answer yet. lost: no answer of the station, so nobody knows; reason tells why."""

    number: int
    limit_a: float
    sent_s: float
    answered_s: float | None = None
    accepted: bool = False
    reason: str = ""
    how: Mapping[str, Any] = field(default_factory=dict)
    lost: bool = False


@dataclass(frozen=True, slots=True)
class Record:
    """Everything one test saw."""

    meters: tuple[Curve, ...] = ()
    station: Curve = Curve(STATION, ())
    sent: tuple[Sent, ...] = ()
    holds: tuple[Hold, ...] = ()
    until_s: float = 0.0
    entries: tuple[Entry, ...] = ()

    def meter(self, name: str) -> Curve | None:
        """The curve of a meter."""
        return next((curve for curve in self.meters if curve.name == name), None)

    def of(self, kind: str) -> tuple[Entry, ...]:
        """Entries of one kind."""
        return tuple(entry for entry in self.entries if entry["kind"] == kind)


def read(entries: Iterable[Entry], station: str, evse: int) -> Record:
    """The record of one EVSE's test from the controller's entries, oldest first."""
    mine = [entry for entry in entries if _whole(entry) and _about(entry, station, evse)]
    until_s = max((float(entry["mono_s"]) for entry in mine), default=0.0)
    meters: dict[str, list[Sample]] = {}
    told: list[Sample] = []
    for entry in mine:
        if entry["kind"] == "meter" and entry.get("quality") != "bad":
            meters.setdefault(str(entry["name"]), []).append(Sample(float(entry["mono_s"]), signed(entry)))
        elif entry["kind"] == "station" and any(amps is not None for amps in triple(entry.get("current_a"))):
            told.append(Sample(float(entry["mono_s"]), triple(entry.get("current_a"))))
    sent = _sent(mine)
    curves = tuple(Curve(name, tuple(samples)) for name, samples in sorted(meters.items()))
    return Record(curves, Curve(STATION, tuple(told)), sent, _holds(sent, until_s), until_s, tuple(mine))


def _whole(entry: Entry) -> bool:
    return isinstance(entry.get("kind"), str) and isinstance(entry.get("mono_s"), int | float)


def _about(entry: Entry, station: str, evse: int) -> bool:
    return bool(entry.get("station", station) == station and entry.get("evse", evse) == evse)


def triple(value: Any) -> Triple:
    """Three numbers or None each; anything else is three times None."""
    if not isinstance(value, Sequence) or isinstance(value, str) or len(value) != 3:
        return NOTHING
    return _number(value[0]), _number(value[1]), _number(value[2])


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) else None


def signed(entry: Entry) -> Triple:
    """Currents of a meter with the direction its powers tell: many meters give a current without a sign."""
    amps, watts = triple(entry.get("current_a")), triple(entry.get("phase_power_w"))
    first, second, third = (-abs(a) if a is not None and w is not None and w < 0 else a for a, w in zip(amps, watts, strict=True))
    return first, second, third


def _sent(entries: Sequence[Entry]) -> tuple[Sent, ...]:
    answers = {int(entry["order"]): entry for entry in _numbered(entries, "answered")}
    found: list[Sent] = []
    for entry in _numbered(entries, "sent"):
        answer = answers.get(int(entry["order"]))
        answered_s = float(answer["mono_s"]) if answer is not None else None
        accepted, reason = (bool(answer.get("accepted")), str(answer.get("reason") or "")) if answer is not None else (False, "")
        lost = answer is not None and not accepted and (bool(answer.get("lost")) or reason in NOT_ITS_WORD)
        sent = Sent(int(entry["order"]), float(entry["limit_a"]), float(entry["mono_s"]), answered_s, accepted, reason, entry.get("how") or {}, lost)
        found.append(sent)
    return tuple(found)


def _numbered(entries: Sequence[Entry], kind: str) -> list[Entry]:
    """Entries of a kind that name their command in ``order``."""
    return [entry for entry in entries if entry["kind"] == kind and isinstance(entry.get("order"), int)]


def _holds(sent: Sequence[Sent], until_s: float) -> tuple[Hold, ...]:
    """Setpoints in a row that are equal (renewals) are one hold."""
    holds: list[Hold] = []
    for one in sent:
        if not one.accepted or one.answered_s is None or one.number < 0:
            continue
        if holds and abs(holds[-1].limit_a - one.limit_a) < 0.05:
            continue
        if holds:
            last = holds[-1]
            holds[-1] = Hold(last.limit_a, last.sent_s, last.accepted_s, one.sent_s)
        holds.append(Hold(one.limit_a, one.sent_s, one.answered_s, until_s))
    return tuple(holds)
