"""How much a program holds in memory, container by container: the size of every dict, list, set, tuple and deque that an object leads to.

Containers are told apart by the way that leads to them; all members of one container share theirs: ``.link.sessions[]._queue`` is the sum
over all sessions. What grows without bound shows as a way whose number rises from day to day.
"""

from __future__ import annotations

import functools
import types
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

ATOMS = (str, bytes, int, float, complex, type(None), type, types.ModuleType, types.BuiltinFunctionType, BaseModel)
"""What holds nothing of a run: plain values, code, and the configuration."""
CONTAINERS = (dict, list, set, frozenset, tuple, deque)


def census(root: object) -> Counter[str]:
    """Members by way; each object is counted once, at the first way that leads to it."""
    found: Counter[str] = Counter()
    seen: dict[int, object] = {}  # the objects, too: an id must not be given to another one meanwhile
    todo: deque[tuple[str, object]] = deque([("", root)])
    while todo:
        way, thing = todo.popleft()
        if isinstance(thing, ATOMS) or id(thing) in seen:
            continue
        seen[id(thing)] = thing
        if isinstance(thing, CONTAINERS):
            found[way] += len(thing)
        todo.extend((way + step, part) for step, part in _parts(thing))
    return found


def grown(before: Mapping[str, int], after: Mapping[str, int], slack: int, share: float) -> dict[str, tuple[int, int]]:
    """Ways whose number rose by more than ``slack`` and by more than ``share`` of what it was: (before, after)."""
    rows = {way: (before.get(way, 0), count) for way, count in after.items()}
    return {way: row for way, row in rows.items() if row[1] - row[0] > max(slack, share * row[0])}


def most(counts: list[Counter[str]]) -> Counter[str]:
    """The largest number of each way among several moments."""
    found: Counter[str] = Counter()
    for count in counts:
        found |= count
    return found


def _parts(thing: Any) -> Iterator[tuple[str, object]]:
    if isinstance(thing, (dict, types.MappingProxyType)):
        yield from (("[]", part) for part in list(thing.values()))
        yield from (("[key]", part) for part in list(thing))
    elif isinstance(thing, (list, set, frozenset, tuple, deque)):
        yield from (("[]", part) for part in list(thing))
    elif isinstance(thing, types.FunctionType):
        yield from (("()", cell.cell_contents) for cell in thing.__closure__ or () if _filled(cell))
    elif isinstance(thing, types.MethodType):
        yield "", thing.__self__
    elif isinstance(thing, functools.partial):
        yield from (("()", part) for part in (thing.func, *thing.args, *thing.keywords.values()))
    else:
        yield from _members(thing)


def _members(thing: Any) -> Iterator[tuple[str, object]]:
    for kind in type(thing).__mro__:
        slots = kind.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            own = f"_{kind.__name__.lstrip('_')}{name}" if name.startswith("__") and not name.endswith("__") else name
            if own not in ("__dict__", "__weakref__") and hasattr(thing, own):
                yield f".{name}", getattr(thing, own)
    yield from ((f".{name}", part) for name, part in list(getattr(thing, "__dict__", {}).items()))


def _filled(cell: types.CellType) -> bool:
    try:
        return cell.cell_contents is not cell
    except ValueError:
        return False
