"""Makes a file with some wrong values whole enough that the cross checks can still run on the rest.

So that a person sees all problems of a file at once and not one layer after the other. A wrong value is
left out where the model has a default, and replaced by a harmless one where it has none; the caller skips
every cross check that looks at such a value. The result is only looked at, never run.
"""

from __future__ import annotations

import copy
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError

from controller.checking.explain import models_at, place_in_file
from controller.checking.problems import Where
from controller.config import Config

MAX_ROUNDS = 6

_EVSE: dict[str, Any] = {"id": "#", "max_current_a": 32}
_SUBSTITUTES: dict[tuple[str, ...], Any] = {
    ("site",): {"id": "unnamed"},
    ("site", "id"): "unnamed",
    ("grid",): {"fuse_a": 6300, "worst_other_load_a": 0},
    ("grid", "fuse_a"): 6300,
    ("grid", "worst_other_load_a"): 0,
    ("circuits", "*"): {"id": "unnamed#", "fuse_a": 6300},
    ("circuits", "*", "id"): "unnamed#",
    ("circuits", "*", "fuse_a"): 6300,
    ("stations", "*"): {"id": "unnamed#", "evses": [_EVSE]},
    ("stations", "*", "id"): "unnamed#",
    ("stations", "*", "evses"): [_EVSE],
    ("stations", "*", "evses", "*"): _EVSE,
    ("stations", "*", "evses", "*", "id"): "#",
    ("stations", "*", "evses", "*", "max_current_a"): 1000,
    ("upstreams", "*"): {"id": "unnamed#", "url": "ws://unnamed"},
    ("upstreams", "*", "id"): "unnamed#",
    ("upstreams", "*", "url"): "ws://unnamed",
    ("meters", "*"): {"id": "unnamed#", "role": "pv", "source": {"type": "mqtt", "topic": "unnamed"}},
    ("meters", "*", "id"): "unnamed#",
    ("meters", "*", "role"): "pv",
    ("meters", "*", "source"): {"type": "mqtt", "topic": "unnamed"},
}
"""What stands in for a value that has no default; # becomes the number of the list entry."""


Pattern = tuple[str, ...]
"""A place without list positions, e.g. ("stations", "evses", "phases")."""


def salvage(data: dict[str, Any]) -> tuple[Config | None, frozenset[Where]]:
    """The rest of the file as a Config, and which places are not what the file says; (None, ...) if it is hopeless."""
    data = copy.deepcopy(data)
    touched: set[Where] = set()
    for _ in range(MAX_ROUNDS):
        try:
            return Config.model_validate(data), frozenset(touched)
        except ValidationError as error:
            wrong = [(place_in_file(item["loc"], item["type"], data), item) for item in error.errors(include_url=False)]
            for where, item in wrong:  # all places first: a repair may take a whole block away
                touched.update(_doubtful(where, item["loc"], item["type"]))
                _repair(data, where)
    return None, frozenset(touched)


def pattern_of(where: Where) -> Pattern:
    """The place without list positions."""
    return tuple(step for step in where if isinstance(step, str))


def _doubtful(where: Where, loc: Where, kind: str) -> set[Where]:
    """The place itself; for an unknown key those it may have been meant to be."""
    if kind != "extra_forbidden" or not where:
        return {where}
    names = {name for model in models_at(loc[:-1]) for name in model.model_fields}
    return {(*where[:-1], close) for close in get_close_matches(str(where[-1]), names, n=3)}


def _repair(data: dict[str, Any], where: Where) -> None:
    """Replace or leave out the value here; if neither helps, the nearest block around it."""
    for length in range(len(where), 0, -1):
        place = where[:length]
        pattern = tuple("*" if isinstance(step, int) else step for step in place)
        if pattern in _SUBSTITUTES:
            return _put(data, place, _numbered(_SUBSTITUTES[pattern], place))
        if _removed(data, place):
            return None
    return None


def _numbered(value: Any, place: Where) -> Any:
    """The substitute with the entry's number in it, so that no two of them are twins."""
    number = next((step for step in reversed(place) if isinstance(step, int)), 0)
    if value == "#":
        return 99 - number % 90
    if isinstance(value, str):
        return value.replace("#", str(number))
    if isinstance(value, dict):
        return {key: _numbered(inner, place) for key, inner in value.items()}
    if isinstance(value, list):
        return [_numbered(inner, (*place, index)) for index, inner in enumerate(value)]
    return value


def _put(data: Any, place: Where, value: Any) -> None:
    holder = _holder(data, place)
    if holder is not None:
        holder[place[-1]] = value


def _holder(data: Any, place: Where) -> Any:
    """The block around a place; None if an earlier repair has taken it away."""
    for step in place[:-1]:
        try:
            data = data[step]
        except (KeyError, IndexError, TypeError):
            return None
    return data


def _removed(data: Any, place: Where) -> bool:
    """Leave a key out. False if it is not there (a required one that is missing) or is a list entry."""
    holder = _holder(data, place)
    if not isinstance(holder, dict) or place[-1] not in holder:
        return False
    del holder[place[-1]]
    return True
