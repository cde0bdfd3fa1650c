"""GetConfiguration and ChangeConfiguration of a 1.6 CSMS as variables of the device model (OCPP-NOTES 12.9; the table is ``keys``).

Three keys have no variable and are answered from what is known of the station: NumberOfConnectors, SupportedFeatureProfiles and
ConnectorPhaseRotation. Lengths (maxLimit) that a station does not tell as an attribute are asked for once with GetReport and kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from controller.ocpp.hub import Ask, Conversation, Failed, Message, Payload, Reply, Rest, Said
from controller.ocpp.v16 import keys
from controller.ocpp.v16.csms_desk import Desk, Handler, Talk, answer_of, table, tables, text

BATCH: Final = 16
"""Variables in one GetVariables: what small stations still take (DeviceDataCtrlr.ItemsPerMessage)."""
TOO_MANY: Final = ("OccurrenceConstraintViolation", "PropertyConstraintViolation", "FormatViolation")
"""How a station says that a GetVariables names more than it takes; it is asked again for half."""
REPORT_WAIT_S: Final = 4
"""How long a GetConfiguration waits for the lengths in a report."""
NUMBER, PROFILES, ROTATION = keys.COMPUTED


class Configuration:
    """memory: "length:<key>" = maxLimit the station has reported."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._reports: set[int] = set()

    def handlers(self) -> Mapping[str, Handler]:
        """Action of the CSMS -> who answers it."""
        return {"GetConfiguration": self._get, "ChangeConfiguration": self._change}

    # -- read ---------------------------------------------------------------------------------------------

    def _get(self, message: Message) -> Conversation:
        asked = message.payload.get("key")
        named = [key for key in asked if isinstance(key, str)] if isinstance(asked, list) else []
        wanted = list(dict.fromkeys(keys.spelt(key) for key in named or [*keys.COMPUTED, *(row.key for row in keys.ROWS)]))
        values = yield from self._values(wanted)
        if isinstance(values, Failed):
            return values
        found = values.payload
        known: Payload = {"configurationKey": [found[key] for key in wanted if key in found]}
        unknown = [key for key in named if keys.spelt(key) not in found]
        return Said(known | {"unknownKey": unknown} if unknown else known)

    def _values(self, wanted: list[str]) -> Talk:
        """key -> configurationKey entry, for those the station has."""
        plain = [key for key in wanted if key not in keys.COMPUTED]
        reply = yield from self._variables([keys.variable_of(key) for key in plain])
        if isinstance(reply, Failed):
            return reply
        entries = {key: entry for key, result in zip(plain, reply.payload["results"], strict=True) if (entry := self._entry(key, result)) is not None}
        missing = [key for key in plain if key not in entries and keys.variable_of(key).attribute == keys.MAX_SET]
        entries |= yield from self._lengths(missing)
        for key in wanted:
            if key in keys.COMPUTED:
                value = yield from self._computed(key)
                entries[key] = {"key": key, "readonly": key != ROTATION, "value": value}
        return Said(entries)

    def _variables(self, places: Iterable[keys.Place]) -> Talk:
        """{"results": one per place, {} where the station said nothing}; the order of a station's answer does not count."""
        left, results, size = list(places), [], BATCH
        while left:
            batch = left[:size]
            reply = answer_of((yield Ask("GetVariables", {"getVariableData": [place.payload() for place in batch]})))
            if isinstance(reply, Failed) and reply.code in TOO_MANY and len(batch) > 1:
                size = len(batch) // 2
                continue
            if isinstance(reply, Failed):
                return reply
            left = left[size:]
            told = {keys.same(keys.place_of(item)): item for item in tables(reply.payload.get("getVariableResult"))}
            results += [told.get(keys.same(place), {}) for place in batch]
        return Said({"results": results})

    def _entry(self, key: str, result: Payload) -> Payload | None:
        """A configurationKey entry; a key that nobody may read has no value."""
        status, value = result.get("attributeStatus"), result.get("attributeValue")
        if status == "Accepted":
            return {"key": key, "readonly": keys.read_only(key), "value": keys.value_down(key, text(value))}
        row = keys.row_of(key)
        return {"key": key, "readonly": False} if status == "Rejected" and row is not None and row.access == "W" else None

    # -- lengths ----------------------------------------------------------------------------------------------

    def _lengths(self, wanted: list[str]) -> Any:
        """Entries of lengths from the station's reports; asks for a report if they are not known yet."""
        unknown = [key for key in wanted if self._desk.memory.get(f"length:{key}") is None]
        if unknown:
            number = self._desk.around.number()
            places = [{name: value for name, value in keys.variable_of(key).payload().items() if name != "attributeType"} for key in unknown]
            self._reports.add(number)
            reply = answer_of((yield Ask("GetReport", {"requestId": number, "componentVariable": places})))
            for _ in range(REPORT_WAIT_S if isinstance(reply, Said) and reply.payload.get("status") == "Accepted" else 0):
                if number not in self._reports:
                    break
                yield Rest(1.0)
            self._reports.discard(number)
        found = {key: self._desk.memory.get(f"length:{key}") for key in wanted}
        return {key: {"key": key, "readonly": True, "value": str(value)} for key, value in found.items() if value is not None}

    def reported(self, message: Message) -> Conversation:
        """NotifyReport: the lengths in it are kept, the rest has no reader here."""
        for item in tables(message.payload.get("reportData")):
            place = keys.place_of(item)
            key = keys.key_of(place.component, place.variable, place.instance, place.evse_id, keys.MAX_SET)
            length = table(item.get("variableCharacteristics")).get("maxLimit")
            if key is not None and isinstance(length, int | float) and 0 <= length < 2**31:
                self._desk.memory.put(f"length:{key}", int(length))
        number = message.payload.get("requestId")
        if message.payload.get("tbc") is not True and isinstance(number, int):
            self._reports.discard(number)
        return Said({})
        yield  # pragma: no cover - makes it a generator

    # -- keys without a variable ----------------------------------------------------------------------------------

    def _computed(self, key: str) -> Any:
        if key == NUMBER:
            return str(len(self._desk.places.all()))
        if key == PROFILES:
            return (yield from self._profiles())
        return (yield from self._rotation())

    def _profiles(self) -> Any:
        controllers = list(keys.CONTROLLERS.values())
        reply = yield from self._variables(keys.Place(controller, "Available") for controller in controllers)
        results = reply.payload["results"] if isinstance(reply, Said) else [{}] * len(controllers)
        told = {name: text(result.get("attributeValue")).lower() for name, result in zip(controllers, results, strict=True)}
        # This controller limits current whatever the station says of it; a station that does not say so has smart charging (K01).
        return keys.profiles_of({name: value == "true" or (not value and name == "SmartChargingCtrlr") for name, value in told.items()})

    def _rotation(self) -> Any:
        """Of every connector what its EVSE says; NotApplicable on one phase, else Unknown."""
        shapes = {shape.evse_id: shape for shape in self._desk.around.evses()}
        reply = yield from self._variables(_rotation_at(evse_id) for evse_id in shapes)
        results = reply.payload["results"] if isinstance(reply, Said) else [{}] * len(shapes)
        told: dict[int, str] = {}
        for (evse_id, shape), result in zip(shapes.items(), results, strict=True):
            word = text(result.get("attributeValue")) or ("NotApplicable" if shape.phases == 1 else "Unknown")
            told |= dict.fromkeys(self._desk.places.of_evse(evse_id), word)
        return keys.value_down(ROTATION, keys.rotation_text(told))

    # -- write ------------------------------------------------------------------------------------------------------

    def _change(self, message: Message) -> Conversation:
        key, value = keys.spelt(text(message.payload.get("key"))), text(message.payload.get("value"))
        if key == ROTATION:
            return (yield from self._set_rotation(value))
        up = None if keys.read_only(key) else keys.value_up(key, value)
        if up is None:
            return Said({"status": "Rejected"})
        return _worst((yield _set([(keys.variable_of(key), up)])))

    def _set_rotation(self, value: str) -> Talk:
        told = {number: word for number, word in keys.rotations(value).items() if number}
        spots = {number: self._desk.places.spot(number) for number in told}
        places = [(_rotation_at(spot[0]), told[number]) for number, spot in spots.items() if spot is not None]
        if not places or len(places) < len(told):
            return Said({"status": "Rejected"})
        return _worst((yield _set(places)))


def _rotation_at(evse_id: int) -> keys.Place:
    return keys.Place("EVSE", "PhaseRotation", evse_id=evse_id)


def _set(values: list[tuple[keys.Place, str]]) -> Ask:
    return Ask("SetVariables", {"setVariableData": [{**place.payload(), "attributeValue": value} for place, value in values]})


def _worst(reply: Reply | None) -> Reply:
    """One status for all results: the first that is no yes."""
    found = answer_of(reply)
    if isinstance(found, Failed):
        return found
    statuses = [keys.set_status_down(item.get("attributeStatus")) for item in tables(found.payload.get("setVariableResult"))]
    order = ("NotSupported", "Rejected", "RebootRequired", "Accepted")
    return Said({"status": next((status for status in order if status in statuses), "Rejected")})
