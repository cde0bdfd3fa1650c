"""Problems and plans as JSON: for the pipe to the solver child, for files, and for bug reports.

What comes in is checked: a missing, mistyped or unknown field is a ProblemJsonError with its path. Numbers that JSON cannot
carry (infinity, NaN) are written as null and read back as "not a number given": such a problem is refused,
except that a departure of infinity is written as the year 9999.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json

from optimizer.problem import Battery, Ev, Node, Plan, Problem, Slot

FOREVER_WALL_S = 253_402_300_799.0
"""9999-12-31T23:59:59Z [s]."""

_problems: TypeAdapter[Problem] = TypeAdapter(Problem)
_plans: TypeAdapter[Plan] = TypeAdapter(Plan)


class ProblemJsonError(ValueError):
    """The text is not a problem (or plan). The message names the places."""


def problem_to_json(problem: Problem, indent: int | None = None) -> bytes:
    """UTF-8 JSON of a problem, field names as in ``problem.py``."""
    evs = tuple(_with_finite_departure(ev) for ev in problem.evs)
    return _problems.dump_json(dataclasses.replace(problem, evs=evs), indent=indent)


def _with_finite_departure(ev: Ev) -> Ev:
    return dataclasses.replace(ev, departure_wall_s=FOREVER_WALL_S) if ev.departure_wall_s == math.inf else ev


def problem_from_json(text: bytes | str) -> Problem:
    """The problem in a JSON text. Raises ProblemJsonError."""
    return problem_from_raw(_parsed(text))


def problem_from_raw(raw: Any) -> Problem:
    """The problem in an already parsed JSON value. Raises ProblemJsonError."""
    unknown = [path for part in _parts(raw) for path in _unknown_keys(*part)]
    if unknown:
        raise ProblemJsonError(f"unknown fields: {', '.join(unknown)}")
    problem: Problem = _validated(_problems, raw)
    return problem


def plan_to_json(plan: Plan, indent: int | None = None) -> bytes:
    """UTF-8 JSON of a plan."""
    return _plans.dump_json(plan, indent=indent)


def plan_from_json(text: bytes | str) -> Plan:
    """The plan in a JSON text. Raises ProblemJsonError."""
    return plan_from_raw(_parsed(text))


def plan_from_raw(raw: Any) -> Plan:
    """The plan in an already parsed JSON value. Raises ProblemJsonError."""
    plan: Plan = _validated(_plans, raw)
    return plan


def plan_to_raw(plan: Plan) -> Any:
    """A plan as JSON value."""
    return _plans.dump_python(plan, mode="json")


def _parsed(text: bytes | str) -> Any:
    try:
        return from_json(text)
    except ValueError as error:
        raise ProblemJsonError(f"not JSON: {error}") from error


def _validated(adapter: TypeAdapter[Any], raw: Any) -> Any:
    try:
        return adapter.validate_python(raw)
    except ValidationError as error:
        places = [f"{'.'.join(str(part) for part in item['loc']) or 'text'}: {item['msg']}" for item in error.errors()[:10]]
        raise ProblemJsonError("; ".join(places)) from error


def _parts(raw: Any) -> list[tuple[str, Any, type]]:
    """Every object inside a raw problem with its path and the dataclass it stands for."""
    if not isinstance(raw, dict):
        return []
    parts: list[tuple[str, Any, type]] = [("", raw, Problem), ("battery.", raw.get("battery"), Battery)]
    for name, kind in (("slots", Slot), ("nodes", Node), ("evs", Ev)):
        rows = raw.get(name)
        parts += [(f"{name}.{index}.", row, kind) for index, row in enumerate(rows if isinstance(rows, list) else [])]
    return parts


def _unknown_keys(path: str, raw: Any, kind: type) -> list[str]:
    return [f"{path}{key}" for key in raw if key not in _KNOWN[kind]] if isinstance(raw, dict) and not raw.keys() <= _KNOWN[kind] else []


_KNOWN: dict[type, frozenset[str]] = {kind: frozenset(item.name for item in dataclasses.fields(kind)) for kind in (Problem, Battery, Slot, Node, Ev)}
