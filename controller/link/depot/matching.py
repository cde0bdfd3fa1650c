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
    counts = {
        "component": True,
        "instance": "instance" in asked,
        "evse_id": evse is not None,
        "connector_id": evse is not None and "connectorId" in evse,
        "variable": given is not None,
        "variable_instance": given is not None and "instance" in given,
    }
    places = [place for place, word in enumerate(Name._fields) if counts[word]]
    return lambda name: all(name[place] == wanted[place] for place in places)


def fits(pattern: Payload, name: Name) -> bool:
    """Whether one filter means one variable."""
    return filter_of(pattern)(name)
