"""The site's picture as JSON text, made at most once a second however many pages look at it.

The first look of a page gets everything; later looks get only the members that changed since. A
member is a name of the snapshot's top level or of its ``site``. The time alone is no change.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable
from functools import cache
from typing import Any

from aiohttp import web

from controller.snapshot import Snapshot

_OUTER = ("site_id", "site_name", "timezone", "currency", "wall_speed", "version", "links", "faces", "moves")


def to_json(value: Any) -> str:
    """Compact JSON; a dataclass becomes an object of its fields. A NaN or infinity, which JSON cannot say, becomes null: unknown."""
    try:
        return _compact(value)
    except ValueError:
        return _compact(_without_nan(value))


def _fields(value: object) -> dict[str, Any]:
    """The fields of a dataclass, one level deep: ``dataclasses.asdict`` copies all levels and takes five times as long."""
    kind: Any = type(value)
    return {name: getattr(value, name) for name in _names(kind)}


@cache
def _names(kind: type) -> tuple[str, ...]:
    """Names of a dataclass's fields. Raises TypeError for anything else."""
    return tuple(field.name for field in dataclasses.fields(kind))


_compact = json.JSONEncoder(allow_nan=False, separators=(",", ":"), default=_fields).encode


def _without_nan(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return _without_nan(_fields(value)) if dataclasses.is_dataclass(value) else value


def answer_json(value: Any, status: int = 200) -> web.Response:
    """A JSON answer."""
    return web.json_response(text=to_json(value), status=status)


class Feed:
    """Pictures and what changed between them.

    number rises with each picture that differs from the one before. period_s: pictures are no more
    frequent than this on the monotonic clock the caller passes in.
    """

    def __init__(self, snapshot: Callable[[], Snapshot], period_s: float) -> None:
        self._snapshot = snapshot
        self._period_s = period_s
        self._taken_mono_s = -math.inf
        self._texts: dict[str, str] = {}
        self._since: dict[str, int] = {}
        self._events: list[tuple[int, str]] = []
        self.number = 0
        self.now_wall_s = 0.0

    def look(self, mono_s: float) -> None:
        """Take a new picture if the last one is old enough."""
        if mono_s - self._taken_mono_s < 0.9 * self._period_s:
            return
        self._taken_mono_s = mono_s
        picture, known = self._snapshot(), dict(self._events)
        self.now_wall_s = picture.now_wall_s
        self._events = [(event.number, known.get(event.number) or to_json(event)) for event in picture.events]  # an event never changes
        texts = {name: to_json(getattr(picture, name)) for name in _OUTER}
        texts |= {f"site.{name}": to_json(member) for name, member in _fields(picture.site).items()}
        texts["events"] = str(self._events[-1][0] if self._events else 0)
        changed = [name for name, text in texts.items() if self._texts.get(name) != text]
        if changed:
            self.number += 1
            self._texts = texts
            self._since |= dict.fromkeys(changed, self.number)

    def full(self) -> str:
        """The whole snapshot."""
        return self._join(list(self._texts), -1)

    def last_event(self) -> int:
        """Number of the newest event; 0 when there is none."""
        return self._events[-1][0] if self._events else 0

    def changes(self, since: int, last_event: int) -> str | None:
        """Members that changed after picture ``since`` and events after ``last_event``; None if nothing did."""
        names = [name for name, number in self._since.items() if number > since]
        return self._join(names, last_event) if names else None

    def time(self) -> str:
        """Only what the clock says."""
        return f'{{"now_wall_s":{to_json(self.now_wall_s)}}}'

    def _join(self, names: list[str], last_event: int) -> str:
        members = [f'"now_wall_s":{to_json(self.now_wall_s)}']
        members += [f'"{name}":{self._texts[name]}' for name in names if name in _OUTER]
        inner = [f'"{name.removeprefix("site.")}":{self._texts[name]}' for name in names if name.startswith("site.")]
        if inner:
            members.append(f'"site":{{{",".join(inner)}}}')
        if "events" in names:
            members.append('"events":[' + ",".join(text for number, text in self._events if number > last_event) + "]")
        return "{" + ",".join(members) + "}"
