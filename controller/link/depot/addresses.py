"""Where a component of a charger lies in the depot's own device model, and the way back.

- On an EVSE or connector: the same component on the depot's EVSE number.
- Of the whole charger: ``instance`` is the station's id, or "station id/instance" if the component had one already. A
  station's id holds no "/", so the first one parts the two.
- An instance has 50 letters. What would be longer is cut and ends in "~" and a digest of the whole; it is found again
  through the charger's inventory, in which everything that was ever shown stands.

The depot's own components come first: none of them has a station's id as instance. An EVSE that the site file does not have is no
part of the depot; its components are not shown.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from controller.link.depot.numbering import Numbering

Payload = dict[str, Any]
INSTANCE_LETTERS: Final = 50
DIGEST_LETTERS: Final = 12


class Name(NamedTuple):
    """A component and a variable as they are compared: without regard to capitals. evse_id 0, connector_id 0: none."""

    component: str
    instance: str
    evse_id: int
    connector_id: int
    variable: str
    variable_instance: str

    @property
    def owner(self) -> tuple[str, str, int, int]:
        """The component alone."""
        return self[:4]


def name_of(component: Payload, variable: Payload | None = None) -> Name:
    """The name of a component, and of one of its variables."""
    evse, variable = component.get("evse") or {}, variable or {}
    return Name(
        str(component.get("name", "")).casefold(),
        str(component.get("instance") or "").casefold(),
        _number(evse.get("id")),
        _number(evse.get("connectorId")),
        str(variable.get("name", "")).casefold(),
        str(variable.get("instance") or "").casefold(),
    )


def component_of(name: str, instance: str = "", evse_id: int = 0, connector_id: int = 0) -> Payload:
    """A component in words. evse_id 0: of the station; connector_id 0: of the EVSE."""
    component: Payload = {"name": name}
    if instance:
        component["instance"] = instance
    if evse_id:
        component["evse"] = {"id": evse_id, **({"connectorId": connector_id} if connector_id else {})}
    return component


def up(numbering: Numbering, station_id: str, component: Payload) -> Payload | None:
    """A charger's component as the depot shows it; None = it is on an EVSE the depot does not have."""
    evse = component.get("evse") or {}
    own = _number(evse.get("id"))
    if own:
        number = numbering.of(station_id, own)
        return None if number is None else {**component, "evse": {**evse, "id": number}}
    instance = component.get("instance") or ""
    shown = {key: value for key, value in component.items() if key not in ("evse", "instance")}
    return {**shown, "instance": _short(f"{station_id}/{instance}" if instance else station_id)}


def down(numbering: Numbering, stations: Iterable[str], component: Payload) -> tuple[str, Payload] | None:
    """(station id, the component in its own words) behind a component of the depot; None = it is of no charger.

    A cut instance is given back as it came: the caller looks it up in the inventory (``is_cut``).
    """
    evse = component.get("evse") or {}
    number = _number(evse.get("id"))
    if number:
        place = numbering.at(number)
        return None if place is None else (place.station_id, {**component, "evse": {**evse, "id": place.evse_id}})
    station_id, slash, instance = str(component.get("instance") or "").partition("/")
    known = next((known for known in stations if known.casefold() == station_id.casefold()), None)
    if known is None:
        return None
    own = {key: value for key, value in component.items() if key not in ("instance", "evse")}
    return known, ({**own, "instance": instance} if slash else own)


def is_cut(instance: str) -> bool:
    """Whether an instance was too long to be shown whole."""
    return len(instance) == INSTANCE_LETTERS and instance[-DIGEST_LETTERS - 1] == "~"


def size_of(payload: Any) -> int:
    """Letters of a payload as JSON."""
    return len(json.dumps(payload, separators=(",", ":")))


def _short(instance: str) -> str:
    if len(instance) <= INSTANCE_LETTERS and not is_cut(instance):
        return instance
    digest = hashlib.sha256(instance.casefold().encode()).hexdigest()[:DIGEST_LETTERS]
    return f"{instance[: INSTANCE_LETTERS - DIGEST_LETTERS - 1]}~{digest}"


def _number(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0
