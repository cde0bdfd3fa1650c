"""The device model of a 1.6 station: its configuration keys and what else is known of it, as variables (OCPP-NOTES 12.9).

SetVariables becomes one ChangeConfiguration after the other; each item has its own result. A report is made from one GetConfiguration
and sent in pages after the answer.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Final

from controller.ocpp.hub import NO_ANSWER, WIRE, Conversation, Failed, Message, Payload, Reply, Said, Step
from controller.ocpp.v16 import keys
from controller.ocpp.v16.station_fixed import SUMMARY, Fixed, fixed
from controller.ocpp.v16.station_state import StationState, ask, hub_error, is_unknown
from controller.ocpp.v16.words import without_none

KEYS_PER_CALL: Final = 20
ITEMS_PER_REPORT: Final = 20
_PROFILES: Final = "SupportedFeatureProfiles"
_ROTATION: Final = "ConnectorPhaseRotation"
Configuration = dict[str, Payload]
"""Key in lower case -> the station's entry {key, readonly, value?}."""
_ECHO: Final = ("attributeType", "component", "variable")


class DeviceModel:
    """One station's."""

    def __init__(self, state: StationState) -> None:
        self._state = state

    # -- GetVariables ----------------------------------------------------------------------------------------------

    def get(self, message: Message) -> Conversation:
        """GetVariables."""
        items = _objects(message.payload.get("getVariableData"))
        wanted = [key for item in items if (key := _key(keys.place_of(item))) is not None]
        rotation = [_ROTATION] if any(keys.place_of(item).variable.lower() == "phaserotation" for item in items) else []
        found = yield from self._configuration([*wanted, _PROFILES, *rotation])
        if isinstance(found, Failed):
            return hub_error(found)
        known = fixed(self._state, _text(found, _PROFILES), _text(found, _ROTATION))
        return Said({"getVariableResult": [_echo(item) | self._value(item, found, known) for item in items]})

    def _value(self, item: Payload, found: Configuration, known: list[Fixed]) -> Payload:
        place, connector_id = keys.place_of(item), _connector(item)
        ours = next((one for one in known if one.fits(place, connector_id)), None)
        if ours is not None:
            return _actual_only(place) or {"attributeStatus": "Accepted", "attributeValue": ours.value}
        key = _key(place)
        if key is None:
            return _actual_only(place, known) if self._named(place, known) else _unknown(place, known)
        if keys.mutability(key, False) == "WriteOnly":
            return {"attributeStatus": "Rejected", "attributeStatusInfo": {"reasonCode": "WriteOnly"}}
        entry = found.get(key.lower())
        if entry is None:
            return {"attributeStatus": "UnknownVariable"}
        value = keys.value_up(key, str(entry.get("value", "")))
        return {"attributeStatus": "Rejected"} if value is None else {"attributeStatus": "Accepted", "attributeValue": value}

    def _named(self, place: keys.Place, known: list[Fixed]) -> bool:
        """Whether the variable is there under another attribute."""
        return any(keys.key_of(place.component, place.variable, place.instance, place.evse_id, one) for one in (keys.ACTUAL, keys.MAX_SET))

    # -- SetVariables -------------------------------------------------------------------------------------------------

    def set(self, message: Message) -> Conversation:
        """SetVariables: one after the other, as far as it gets."""
        results: list[Payload] = []
        known = fixed(self._state, "", keys.rotation_text(dict.fromkeys((0, *self._state.evse_ids), "Unknown")))
        for item in _objects(message.payload.get("setVariableData")):
            results.append(_echo(item) | (yield from self._change(item, known)))
        return Said({"setVariableResult": results})

    def _change(self, item: Payload, known: list[Fixed]) -> Generator[Step, Reply | None, Payload]:
        place, text = keys.place_of(item), str(item.get("attributeValue", ""))
        ours = next((one for one in known if one.fits(place, _connector(item))), None)
        key = None if ours is not None else keys.key_of(place.component, place.variable, place.instance, place.evse_id)
        if ours is not None or (key is not None and keys.read_only(key)):
            return {"attributeStatus": "Rejected", "attributeStatusInfo": {"reasonCode": "ReadOnly"}}
        if place.attribute != keys.ACTUAL:
            return {"attributeStatus": "NotSupportedAttributeType"} if self._named(place, known) else _unknown(place, known)
        if key is None:
            return _unknown(place, known)
        if len(text) > keys.MAX_VALUE_CHARS:
            return {"attributeStatus": "Rejected", "attributeStatusInfo": {"reasonCode": "TooLargeElement"}}
        reply = yield from ask("ChangeConfiguration", {"key": key, "value": keys.value_down(key, text)}, WIRE)
        if isinstance(reply, Failed):
            reason = {"reasonCode": "InternalError", "additionalInfo": f"the station answered {reply.code}"}
            return {"attributeStatus": "Rejected", "attributeStatusInfo": reason}
        return {"attributeStatus": keys.set_status_up(reply.payload.get("status"))}

    # -- reports --------------------------------------------------------------------------------------------------------

    def base_report(self, message: Message) -> Conversation:
        """GetBaseReport."""
        base = message.payload.get("reportBase")
        found = yield from self._everything()
        if isinstance(found, Failed):
            return hub_error(found)
        if base == "ConfigurationInventory":
            found = [item for item in found if any(one.get("mutability") != "ReadOnly" for one in item["variableAttribute"])]
        elif base == "SummaryInventory":
            found = [item for item in found if item["variable"]["name"] in SUMMARY]
        return self._report(message.payload.get("requestId"), found)

    def report(self, message: Message) -> Conversation:
        """GetReport: the named components and variables, and those that fit the criteria (B08)."""
        found = yield from self._everything()
        if isinstance(found, Failed):
            return hub_error(found)
        wanted = _objects(message.payload.get("componentVariable"))
        criteria = [one for one in message.payload.get("componentCriteria") or [] if isinstance(one, str)]
        fitting = _fitting(found, criteria)
        chosen = [item for item in found if _place(item) in fitting and (not wanted or any(_meant(item, one) for one in wanted))]
        return self._report(message.payload.get("requestId"), chosen)

    def _report(self, request_id: Any, found: list[Payload]) -> Said:
        if not found:
            return Said({"status": "EmptyResultSet"})
        self._state.later.append(self._tell(request_id, found))
        return Said({"status": "Accepted"})

    def _tell(self, request_id: Any, found: list[Payload]) -> Conversation:
        pages = [found[index : index + ITEMS_PER_REPORT] for index in range(0, len(found), ITEMS_PER_REPORT)]
        for number, page in enumerate(pages):
            told = {"requestId": request_id, "generatedAt": self._state.now, "seqNo": number, "tbc": number + 1 < len(pages), "reportData": page}
            reply = yield from ask("NotifyReport", told)
            if reply == NO_ANSWER:
                return reply
        return Said({})

    def _everything(self) -> Generator[Step, Reply | None, list[Payload] | Failed]:
        found = yield from self._configuration([])
        if isinstance(found, Failed):
            return found
        made = [one.item() for one in fixed(self._state, _text(found, _PROFILES), _text(found, _ROTATION))]
        named = {_name(item) for item in made}
        for entry in found.values():
            key, value = keys.spelt(str(entry["key"])), entry.get("value")
            item = keys.report_item(key, None if value is None else str(value), bool(entry.get("readonly")))
            if _name(item) not in named:
                named.add(_name(item))
                made.append(item)
        return made

    # -- GetConfiguration -------------------------------------------------------------------------------------------------

    def _configuration(self, wanted: list[str]) -> Generator[Step, Reply | None, Configuration | Failed]:
        """The station's keys; none wanted: all. A station without GetConfiguration has none."""
        left, size = list(dict.fromkeys(wanted)), KEYS_PER_CALL
        found: Configuration = {}
        while True:
            some = left[:size]
            reply = yield from ask("GetConfiguration", {"key": some} if some else {}, WIRE)
            if isinstance(reply, Failed) and reply != NO_ANSWER and not is_unknown(reply) and len(some) > 1:
                size = len(some) // 2  # more than its GetConfigurationMaxKeys
                continue
            if isinstance(reply, Failed):
                return {} if is_unknown(reply) else reply
            for entry in _objects(reply.payload.get("configurationKey")):
                if isinstance(entry.get("key"), str):
                    found.setdefault(entry["key"].lower(), entry)
            left = left[size:]
            if not left:
                return found


# -- small things -------------------------------------------------------------------------------------------------------------


def _objects(values: Any) -> list[Payload]:
    return [value for value in values if isinstance(value, dict)] if isinstance(values, list) else []


def _key(place: keys.Place) -> str | None:
    return keys.key_of(place.component, place.variable, place.instance, place.evse_id, place.attribute)


def _text(found: Configuration, key: str) -> str | None:
    entry = found.get(key.lower())
    return None if entry is None or entry.get("value") is None else str(entry["value"])


def _connector(item: Payload) -> int:
    evse = (item.get("component") or {}).get("evse") or {}
    number = evse.get("connectorId", 0)
    return number if isinstance(number, int) else 0


def _echo(item: Payload) -> Payload:
    return without_none({name: item.get(name) for name in _ECHO})


def _actual_only(place: keys.Place, known: list[Fixed] | None = None) -> Payload:
    """{} for the attribute Actual, which all have."""
    return {} if place.attribute == keys.ACTUAL and known is None else {"attributeStatus": "NotSupportedAttributeType"}


def _unknown(place: keys.Place, known: list[Fixed]) -> Payload:
    ours = any(one.component.lower() == place.component.lower() and one.evse_id == place.evse_id for one in known)
    there = ours or (not place.evse_id and keys.knows_component(place.component))
    return {"attributeStatus": "UnknownVariable" if there else "UnknownComponent"}


def _name(item: Payload) -> tuple[Any, ...]:
    variable = item["variable"]
    return *_place(item), variable["name"].lower(), str(variable.get("instance", "")).lower()


def _place(item: Payload) -> tuple[Any, ...]:
    """Which component an entry belongs to."""
    component = item["component"]
    evse = component.get("evse") or {}
    return component["name"].lower(), str(component.get("instance", "")).lower(), evse.get("id", 0), evse.get("connectorId", 0)


def _fitting(found: list[Payload], criteria: list[str]) -> set[tuple[Any, ...]]:
    """Components that fit any of the criteria: the variable is true, or - but for Problem - there is none (B08.FR.07-10)."""
    told: dict[tuple[Any, ...], dict[str, str]] = {}
    for item in found:
        told.setdefault(_place(item), {})[item["variable"]["name"]] = str(item["variableAttribute"][0].get("value", ""))
    if not criteria:
        return set(told)
    return {place for place, values in told.items() if any(values.get(one, str(one != "Problem")).lower() == "true" for one in criteria)}


def _meant(item: Payload, wanted: Payload) -> bool:
    """Whether a report asks for an entry: by component, EVSE and variable as far as they are named."""
    component, variable = wanted.get("component") or {}, wanted.get("variable")
    evse = component.get("evse") or {}
    name, instance, evse_id, connector_id = _place(item)
    same = str(component.get("name", "")).lower() == name and str(component.get("instance") or instance).lower() == instance
    there = evse.get("id") in (None, evse_id) and evse.get("connectorId") in (None, connector_id)
    if not (same and there) or variable is None:
        return same and there
    ours = item["variable"]
    return bool(str(variable.get("name", "")).lower() == ours["name"].lower() and variable.get("instance") in (None, ours.get("instance")))
