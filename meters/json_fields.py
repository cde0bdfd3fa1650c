"""Where a value is in a JSON document, and whether what is there is a number.

A path is keys with dots and list places in brackets: ``StatusSNS.ENERGY.Power``, ``emeters[0].power``,
``em:0.a_act_power``; keys that hold dots or brackets go into brackets and quotes: ``["1.8.0"].value``.
``$`` in front, or alone for the whole document, is allowed. Nothing is guessed: what is not a finite
number, or not there, is None; what cannot be a number at all (true, a list, "nan") is an error.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

Step = str | int
Quantities = dict[str, float | None]
"""Names as in ``template``; A, W, V, Hz, Wh, percent; the device's own signs."""

_STEP: Final = re.compile(r"""\.?([^.\[\]]+)|\[(\d{1,4})\]|\["([^"]+)"\]|\['([^']+)'\]""")
_NUMBER: Final = re.compile(r"\s*[+-]?\d{1,30}(\.\d{0,30})?([eE][+-]?\d{1,3})?\s*")


class JsonError(ValueError):
    """A document cannot be used; the text is for a person."""


@dataclass(frozen=True, slots=True)
class Field:
    """One value: the steps to it, and what it is multiplied with."""

    steps: tuple[Step, ...]
    scale: float = 1.0


def parse_path(path: str) -> tuple[Step, ...]:
    """The steps of a path. Raises ValueError with what is wrong."""
    text = path.strip().removeprefix("$")
    if text in ("", "."):
        if path.strip() in ("$", "."):
            return ()
        raise ValueError("the path is empty; write $ for the whole document")
    steps: list[Step] = []
    at = 0
    while at < len(text):
        found = _STEP.match(text, at)
        if found is None or (text[at] == "." and at + 1 == len(text)):
            raise ValueError(f"the path {path!r} cannot be read at {text[at:]!r}; write for example emeters[0].power")
        key, place, quoted, other = found.groups()
        steps.append(int(place) if place is not None else key or quoted or other)
        at = found.end()
    return tuple(steps)


def look(document: Any, steps: tuple[Step, ...]) -> Any:
    """What is at the end of the steps, None if nothing is."""
    for step in steps:
        if isinstance(step, int):
            if not isinstance(document, list) or step >= len(document):
                return None
            document = document[step]
        elif isinstance(document, dict):
            document = document.get(step)
        else:
            return None
    return document


def number(value: Any, where: str, from_text: bool = False) -> float | None:
    """A finite number, None for null. from_text: decimals in quotes count as well. Raises JsonError for anything else."""
    if value is None:
        return None
    if from_text and isinstance(value, str) and _NUMBER.fullmatch(value):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise JsonError(f"{where} is {_shown(value)}, no number")
    try:
        result = float(value)
    except OverflowError:
        raise JsonError(f"{where} is larger than any number a meter shows") from None
    if not math.isfinite(result):
        raise JsonError(f"{where} is not finite")
    return result


def pick(document: Any, fields: Mapping[str, Field]) -> Quantities:
    """The values of all fields. A bare number is the value of a single field. Raises JsonError if none is there."""
    if not isinstance(document, dict | list):
        return _bare(document, fields)
    found: Quantities = {}
    for name, field in fields.items():
        value = number(look(document, field.steps), name, from_text=True)
        found[name] = None if value is None else value * field.scale
    if all(value is None for value in found.values()):
        raise JsonError(f"none of {', '.join(fields)} is in the document; check the paths")
    return found


def _bare(document: Any, fields: Mapping[str, Field]) -> Quantities:
    if len(fields) != 1:
        raise JsonError(f"the payload is {_shown(document)}, but {len(fields)} fields are looked for in it")
    [(name, field)] = fields.items()
    value = number(document, name, from_text=True)
    if value is None:
        raise JsonError(f"{name} is null")
    return {name: value * field.scale}


def _shown(value: Any) -> str:
    names = {dict: "an object", list: "a list", bool: "true or false", type(None): "null"}
    return names.get(type(value), repr(value)[:40])
