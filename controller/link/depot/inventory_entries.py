"""One charger's device model as data: read page by page, packed for the disk, and indexed for whoever looks something up. Pure.

Each page is worked up when it comes, and what is looked up often stands in an index: a hundred chargers with thousands of variables
must not hold up the loop when a CSMS asks about all of them.
"""

from __future__ import annotations

import base64
import hashlib
import json
import sys
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from controller.link.depot.addresses import Name, is_cut, name_of, up
from controller.link.depot.numbering import Numbering

Payload = dict[str, Any]
Key = tuple[str, str, str]
"""(component, variable, instance of the variable), in small letters."""

MOST_VARIABLES: Final = 4000
"""Of one charger."""
MOST_IN_ALL: Final = 150_000
"""Of all chargers, about 1 kB each: shared out evenly, but each may have ``AT_LEAST``."""
AT_LEAST: Final = 500
FLAGS: Final = frozenset({"active", "available", "enabled", "problem"})
"""The variables that GetReport's criteria are about."""
PACKING: Final = 1
"""Of zlib: the fastest, which still makes a tenth of it."""


class Entries(Mapping[Name, Payload]):
    """Name in the charger's own words -> an element of reportData. Kept as text: as objects, a large depot's would fill the memory."""

    __slots__ = ("_actual", "_settable", "_texts")

    def __init__(self) -> None:
        self._texts: dict[Name, str] = {}
        self._actual: dict[Name, str] = {}
        self._settable: set[Name] = set()

    def __getitem__(self, name: Name) -> Payload:
        found: Payload = json.loads(self._texts[name])
        return found

    def __iter__(self) -> Iterator[Name]:
        return iter(self._texts)

    def __len__(self) -> int:
        return len(self._texts)

    def __contains__(self, name: object) -> bool:
        return name in self._texts

    def put(self, name: Name, entry: Payload) -> None:
        """Enter or replace one."""
        self._texts[name] = json.dumps(entry, separators=(",", ":"))
        value = actual(entry)
        if value is None:
            self._actual.pop(name, None)
        else:
            self._actual[name] = value
        (self._settable.add if settable(entry) else self._settable.discard)(name)

    def actual(self, name: Name) -> str | None:
        """The Actual value of one, None = it has none, or is not there."""
        return self._actual.get(name)

    def settable(self, name: Name) -> bool:
        """Whether an operator can set it."""
        return name in self._settable

    def text(self) -> str:
        """All of them as a JSON list."""
        return f"[{','.join(self._texts.values())}]"


class Place(NamedTuple):
    """A variable: its name in the depot's words, and in the charger's own."""

    shown: Name
    own: Name


@dataclass(slots=True)
class Index:
    """by_key: the entries on whatever tier. by_component: those the depot shows. cut: (component, cut instance) -> the charger's component.

    connectors: EVSE -> its connectors' numbers. flags: those of by_component that are ``FLAGS``.
    """

    by_key: dict[Key, list[Name]] = field(default_factory=dict)
    by_component: dict[str, list[Place]] = field(default_factory=dict)
    cut: dict[tuple[str, str], Payload] = field(default_factory=dict)
    connectors: dict[int, set[int]] = field(default_factory=dict)
    flags: list[Place] = field(default_factory=list)


@dataclass(slots=True)
class Reading:
    """A report as it comes. begun_mono_s, heard_mono_s: since when, and the last page. most: variables that are taken."""

    request_id: int
    begun_mono_s: float
    heard_mono_s: float
    most: int = MOST_VARIABLES
    entries: Entries = field(default_factory=Entries)
    bare: dict[Name, str] = field(default_factory=dict)
    pages: set[int] = field(default_factory=set)
    last: int | None = None

    @property
    def complete(self) -> bool:
        """Whether all pages are here, or as many variables as we take of one charger."""
        return len(self.entries) >= self.most or (self.last is not None and len(self.pages) == self.last + 1)

    def page(self, payload: Payload) -> None:
        """One NotifyReport. A page that comes twice counts once."""
        seq = payload.get("seqNo", 0)
        if not isinstance(seq, int) or seq in self.pages or seq < 0 or (self.last is not None and seq > self.last):
            return
        self.pages.add(seq)
        if not payload.get("tbc", False):
            self.last = seq
            self.pages = {page for page in self.pages if page <= seq}
        for item in filter(readable, payload.get("reportData") or []):
            if len(self.entries) >= self.most:
                return
            name = _named(item)
            entry = _merged(self.entries.get(name), item)
            self.entries.put(name, entry)
            self.bare[name] = _bare(entry)

    def shape(self) -> str:
        """A digest of everything but the values."""
        text = "\n".join(f"{name}{self.bare[name]}" for name in sorted(self.bare))
        return hashlib.sha256(text.encode()).hexdigest()[:32]


def actual(entry: Payload) -> str | None:
    """The Actual value of an element of reportData; None = it has none."""
    found = [one.get("value") for one in entry["variableAttribute"] if one.get("type", "Actual") == "Actual"]
    return found[0] if found and isinstance(found[0], str) else None


def settable(entry: Payload) -> bool:
    """Whether an operator can set a variable. Without a word about it, it can be."""
    return any(one.get("mutability", "ReadWrite") != "ReadOnly" for one in entry["variableAttribute"])


def index_of(numbering: Numbering, station_id: str, entries: Entries) -> Index:
    """The index of a charger's entries."""
    index = Index()
    shown_as: dict[tuple[str, str, int, int], tuple[str, int] | None] = {}
    for name in entries:
        index.by_key.setdefault((name.component, name.variable, name.variable_instance), []).append(name)
        owner = name.owner
        if owner not in shown_as:
            component = entries[name]["component"]
            shown_as[owner] = _enter(index, up(numbering, station_id, component), component)
            if name.evse_id and name.connector_id:
                index.connectors.setdefault(name.evse_id, set()).add(name.connector_id)
        place = shown_as[owner]
        if place is not None:
            shown = name._replace(instance=place[0], evse_id=place[1])
            index.by_component.setdefault(name.component, []).append(Place(shown, name))
            if name.variable in FLAGS and not name.variable_instance:
                index.flags.append(Place(shown, name))
    return index


def _enter(index: Index, shown: Payload | None, component: Payload) -> tuple[str, int] | None:
    """(instance, EVSE) of a component in the depot's words."""
    if shown is None:
        return None
    name = name_of(shown)
    if not name.evse_id and is_cut(str(shown.get("instance") or "")):
        index.cut[name.component, name.instance] = component
    return name.instance, name.evse_id


def share_of(stations: int) -> int:
    """How many variables of one charger are taken where there are so many chargers."""
    return max(AT_LEAST, min(MOST_VARIABLES, MOST_IN_ALL // max(1, stations)))


def _named(item: Payload) -> Name:
    """The name of an element; chargers have most of their words in common, so each is kept once."""
    name = name_of(item["component"], item["variable"])
    return name._replace(component=sys.intern(name.component), variable=sys.intern(name.variable))


def readable(item: Any) -> bool:
    """Whether an element of reportData names its variable and has attributes."""
    if not isinstance(item, dict):
        return False
    parts = (item.get("component"), item.get("variable"))
    attributes = item.get("variableAttribute")
    named = all(isinstance(part, dict) and isinstance(part.get("name"), str) for part in parts)
    return named and isinstance(attributes, list) and bool(attributes) and all(isinstance(one, dict) for one in attributes)


def _merged(old: Payload | None, new: Payload) -> Payload:
    """Some stations report the attributes of one variable in several elements."""
    if old is None:
        return new
    kinds = {one.get("type", "Actual") for one in new["variableAttribute"]}
    kept = [one for one in old["variableAttribute"] if one.get("type", "Actual") not in kinds]
    return {**old, **new, "variableAttribute": [*kept, *new["variableAttribute"]][:4]}


def _bare(entry: Payload) -> str:
    """Everything but the values."""
    return json.dumps({**entry, "variableAttribute": [{**one, "value": ""} for one in entry["variableAttribute"]]}, sort_keys=True)


# -- on disk -------------------------------------------------------------------------------------------------


def packed(entries: Entries, shape: str) -> str:
    """As text for the memory, its shape first."""
    return f"{shape}:{base64.b85encode(zlib.compress(entries.text().encode(), PACKING)).decode()}"


def shape_of(stored: Any) -> str:
    """The shape of what is stored, "" = unknown."""
    return stored.partition(":")[0] if isinstance(stored, str) and ":" in stored else ""


def unpacked(stored: Any) -> Entries:
    """What ``packed`` gave; what cannot be read is as good as nothing, it will be asked again."""
    try:
        text = stored.rpartition(":")[2] if isinstance(stored, str) else ""
        items = json.loads(zlib.decompress(base64.b85decode(text))) if text else []
    except (ValueError, zlib.error):
        items = []
    entries = Entries()
    for item in filter(readable, items if isinstance(items, list) else []):
        entries.put(_named(item), item)
    return entries
