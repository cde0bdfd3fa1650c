"""A charger's messages in the depot's EVSE numbers, and the few numbers in answers the other way.

Where a charger says "all of me" (EVSE 0, or none at all), the depot must not say "the whole site": it says each EVSE of that
charger. Components of the device model are named as in ``addresses``.
"""

from __future__ import annotations

from typing import Any, Final

from controller.link.depot.addresses import up
from controller.link.depot.office import Office
from controller.ocpp.hub import Payload

NOT_HERE: Final = "NotAtThisLocation"
"""idTokenInfo status where the CSMS allows a driver at other EVSEs only."""


class OutsideError(ValueError):
    """A message is about an EVSE that this depot does not have (the site file does not name it)."""


def evse_number(office: Office, station_id: str, evse_id: Any) -> int:
    """The depot's number of a charger's EVSE. Raises OutsideError."""
    number = office.numbering.of(station_id, evse_id) if isinstance(evse_id, int) and not isinstance(evse_id, bool) else None
    if number is None:
        raise OutsideError(f"EVSE {evse_id} of {station_id} is not in the site file")
    return number


def numbers_of(office: Office, station_id: str, evse_id: Any) -> tuple[int, ...]:
    """The depot's numbers of a charger's EVSE; of 0 or None: of all its EVSEs. Raises OutsideError."""
    if evse_id:
        return (evse_number(office, station_id, evse_id),)
    numbers = office.numbering.of_station(station_id)
    if not numbers:
        raise OutsideError(f"{station_id} is not in the site file")
    return numbers


def evse_up(office: Office, station_id: str, evse: Payload) -> Payload:
    """An EVSEType. Raises OutsideError."""
    return {**evse, "id": evse_number(office, station_id, evse.get("id"))}


def numbered_up(office: Office, station_id: str, value: Any) -> Any:
    """A payload with every ``evse``, ``component`` and ``evseId`` > 0 in the depot's words. Raises OutsideError."""
    if isinstance(value, list):
        return [numbered_up(office, station_id, item) for item in value]
    if not isinstance(value, dict):
        return value
    return {key: _member(office, station_id, key, item) for key, item in value.items()}


def _member(office: Office, station_id: str, key: str, item: Any) -> Any:
    if key == "customData":
        return item
    if key == "evseId" and isinstance(item, int) and item:
        return evse_number(office, station_id, item)
    if key == "evse" and isinstance(item, dict) and item.get("id"):
        return evse_up(office, station_id, item)
    if key == "component" and isinstance(item, dict):
        component = up(office.numbering, station_id, item)
        if component is None:
            raise OutsideError(f"a component of {station_id} is on an EVSE that is not in the site file")
        return component
    return numbered_up(office, station_id, item)


def token_info_down(office: Office, station_id: str, payload: Payload) -> Payload:
    """An answer of the CSMS with ``idTokenInfo.evseId`` in the charger's own numbers (C01, E01): () there means all."""
    info = payload.get("idTokenInfo")
    allowed = info.get("evseId") if isinstance(info, dict) else None
    if not allowed or not isinstance(info, dict):
        return payload
    places = [place for number in allowed if isinstance(number, int) and (place := office.numbering.at(number)) is not None]
    own = [place.evse_id for place in places if place.station_id == station_id]
    rest = {key: value for key, value in info.items() if key != "evseId"}
    if len(own) == len(office.numbering.of_station(station_id)):
        return {**payload, "idTokenInfo": rest}
    if own:
        return {**payload, "idTokenInfo": {**rest, "evseId": own}}
    return {**payload, "idTokenInfo": {**rest, "status": NOT_HERE if info.get("status") == "Accepted" else info.get("status")}}
