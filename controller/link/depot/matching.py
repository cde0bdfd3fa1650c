"""Whether a filter of GetReport or GetMonitoringReport means a variable: what it leaves out is any (B08.FR.21-24, N02)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from controller.link.depot.addresses import Name, name_of

Payload = dict[str, Any]
Fits = Callable[[Name], bool]


def filter_of(pattern: Payload) -> Fits:
    """pattern: {component, variable?}. Left out: instance, EVSE, connector, variable, its instance."""
    asked, given = pattern["component"], pattern.get("variable")
    wanted, evse = name_of(asked, given), asked.get("evse")
    places = [Name._fields.index("component")]
    places += [1] if "instance" in asked else []
    places += [2] if evse is not None else []
    places += [3] if evse is not None and "connectorId" in evse else []
    places += [4] if given is not None else []
    places += [5] if given is not None and "instance" in given else []
    return lambda name: all(name[place] == wanted[place] for place in places)


def fits(pattern: Payload, name: Name) -> bool:
    """Whether one filter means one variable."""
    return filter_of(pattern)(name)
