"""What a test found: a verdict, a sentence, and what to do. "Not certain" is a verdict of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any


class Verdict(StrEnum):
    """pass, fail, unsure = not certain, info = measured, nothing to judge, skipped = not tested."""

    PASS = "pass"
    FAIL = "fail"
    UNSURE = "unsure"
    INFO = "info"
    SKIPPED = "skipped"


WORDS: Mapping[Verdict, str] = {
    Verdict.PASS: "passed",
    Verdict.FAIL: "FAILED",
    Verdict.UNSURE: "not certain",
    Verdict.INFO: "measured",
    Verdict.SKIPPED: "not tested",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One result. title: what was looked at; text: what was seen; advice: what a person can do, "" = nothing."""

    title: str
    verdict: Verdict
    text: str
    advice: str = ""

    def as_json(self) -> dict[str, str]:
        """For the state file."""
        return {"title": self.title, "verdict": self.verdict.value, "text": self.text, "advice": self.advice}


def finding_of(data: Mapping[str, Any]) -> Finding:
    """Back from the state file. Raises KeyError or ValueError for anything else."""
    return Finding(str(data["title"]), Verdict(data["verdict"]), str(data["text"]), str(data.get("advice", "")))


def worst(findings: Iterable[Finding]) -> Verdict:
    """The verdict over several: one failure fails all, one doubt leaves it open."""
    verdicts = {one.verdict for one in findings}
    for verdict in (Verdict.FAIL, Verdict.UNSURE, Verdict.PASS, Verdict.INFO):
        if verdict in verdicts:
            return verdict
    return Verdict.SKIPPED


@dataclass(frozen=True, slots=True)
class Quirks:
    """Measured fields of ``io.chargers.ChargerFile``; None = not measured, what the model says stays."""

    purposes: tuple[str, ...] | None = None
    unit: str | None = None
    other_unit: bool | None = None
    relative: bool | None = None
    apply_s: float | None = None
    step_a: float | None = None
    keeps_default: bool | None = None
    reads_back: bool | None = None
    min_current_a: float | None = None
    overdraw_part: float | None = None
    resume: str | None = None
    dynamic: bool | None = None
    min_write_s: float | None = None
    stack_level: int | None = None

    def known(self) -> dict[str, Any]:
        """The fields that were measured."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items() if value is not None}

    def merged(self, other: Quirks) -> Quirks:
        """Both; the other wins where both know."""
        return Quirks(**{**{k: v for k, v in asdict(self).items() if v is not None}, **{k: v for k, v in asdict(other).items() if v is not None}})

    def careful(self, other: Quirks) -> Quirks:
        """Two boxes of one make, or two tests of one: where both know, the safer figure counts."""
        both = self.merged(other)
        safer: dict[str, Any] = {}
        for name, pick in _SAFER.items():
            mine, its = getattr(self, name), getattr(other, name)
            if mine is not None and its is not None:
                safer[name] = pick((mine, its))
        if self.purposes is not None and other.purposes is not None:
            safer["purposes"] = tuple(one for one in self.purposes if one in other.purposes) or self.purposes
        return both.merged(Quirks(**safer))


_SAFER: Mapping[str, Callable[[tuple[Any, Any]], Any]] = {
    "stack_level": max,
    "apply_s": max,
    "step_a": max,
    "min_current_a": max,
    "overdraw_part": max,
    "min_write_s": max,
    "keeps_default": min,
    "reads_back": min,
    "other_unit": min,
    "dynamic": min,
    "resume": lambda pair: max(pair, key=("none", "status", "availability").index),
}
"""Which of two figures is the safer one."""


def quirks_of(data: Mapping[str, Any]) -> Quirks:
    """Back from the state file. Raises TypeError for unknown fields."""
    purposes = data.get("purposes")
    return Quirks(**{**data, **({"purposes": tuple(purposes)} if purposes is not None else {})})


@dataclass(frozen=True, slots=True)
class Rotation:
    """Site phases that feed the EVSE's own L1, L2, L3: 0..2, None = not seen. certain: own phases that were told apart."""

    site_phases: tuple[int | None, int | None, int | None] = (None, None, None)
    used: int = 0

    @property
    def known(self) -> bool:
        """Whether anything was told apart."""
        return any(phase is not None for phase in self.site_phases)


@dataclass(frozen=True, slots=True)
class Outcome:
    """Result of one test of one EVSE: findings, measured quirks, how it is wired."""

    findings: tuple[Finding, ...] = ()
    quirks: Quirks = field(default_factory=Quirks)
    rotation: Rotation | None = None
