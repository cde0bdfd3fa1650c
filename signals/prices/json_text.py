"""JSON from strangers: bounded, without NaN and infinity, and ways into it that never raise anything but PriceError."""

from __future__ import annotations

import json
from typing import Any

from signals.prices.slots import PriceError, shown

MOST_BYTES = 4 * 1024 * 1024


def read_json(body: bytes, what: str = "the answer") -> Any:
    """The value. Raises PriceError for anything that is not JSON by its standard."""
    if len(body) > MOST_BYTES:
        raise PriceError(f"{what} has more than {MOST_BYTES} bytes")
    try:
        return json.loads(body.decode("utf-8-sig"), parse_constant=_refuse)
    except PriceError:
        raise
    except (ValueError, RecursionError) as error:
        begin = body[:60].decode("utf-8", "replace")
        raise PriceError(f"{what} is no JSON ({type(error).__name__}); it begins {begin!r}") from None


def _refuse(name: str) -> Any:
    raise PriceError(f"{name} is no number in JSON, and no price")


def at_path(value: Any, path: str, what: str = "the answer") -> Any:
    """What lies at a path such as "data.prices" or "data.0.prices" ("" = the value itself). Raises PriceError naming the step that is missing."""
    for step in path.split(".") if path else ():
        if isinstance(value, dict) and step in value:
            value = value[step]
        elif isinstance(value, list) and step.isdigit() and int(step) < len(value):
            value = value[int(step)]
        else:
            raise PriceError(f"{what} has no {step!r} of the path {path!r}{_instead(value)}")
    return value


def object_of(value: Any, what: str) -> dict[str, Any]:
    """A JSON object. Raises PriceError."""
    if not isinstance(value, dict):
        raise PriceError(f"{what} is {shown(value)}, not a JSON object")
    return value


def list_of(value: Any, what: str) -> list[Any]:
    """A JSON list. Raises PriceError."""
    if not isinstance(value, list):
        raise PriceError(f"{what} is {shown(value)}, not a list")
    return value


def _instead(value: Any) -> str:
    if isinstance(value, dict):
        return f"; it has {', '.join(sorted(map(str, value))[:10])}"
    return ""
