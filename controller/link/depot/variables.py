"""GetVariables and SetVariables over the whole depot (B05, B06): own components answered here, a charger's by the charger.

A request is sorted by owner, each charger is asked in messages it can take, and the results stand in the order of the request.
What a charger does not answer within ``ALL_S`` is Rejected with the reason; the other items are not touched by it.

A setting of all chargers (``own_model.FANNED``): kept first, then given to every charger that is there, and to the others when they come. It is
Accepted as soon as one charger takes it, RebootRequired if one of them says so, Rejected (and forgotten) if all that know it refuse; how many
did what stands in attributeStatusInfo.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator
from typing import Any, Final

from controller.link.depot.addresses import name_of, size_of
from controller.link.depot.chargers_asked import Answer, Question, ask_chargers
from controller.link.depot.inventory import Inventories
from controller.link.depot.office import Card, Office
from controller.link.depot.own_model import OwnModel
from controller.link.depot.own_words import BYTES, FOR_ALL, ITEMS, Own
from controller.ocpp.hub import NO_ANSWER, Conversation, Emit, Failed, Keep, Message, Reply, Said, Step, answered
from controller.ocpp.times import wall_time
from controller.orders import Severity, Tell

Payload = dict[str, Any]
Answering = Callable[[Payload], Generator[Step, "Reply | None", Payload]]
GIVEN: Final = "model:given:"
ALL_S: Final = 20.0
FAN_S: Final = 12.0
RETRY_S: Final = 60.0
OWN_WINS: Final = frozenset({"availabilitystate", "available", "chargingstation"})
"""Of an EVSE and its connectors, these are always the depot's own words: they agree with what StatusNotification said."""


GET: Final = Question("GetVariables", "getVariableData", "getVariableResult")
SET_ITEMS: Final = Question("SetVariables", "setVariableData", "setVariableResult")


class Variables:
    """Reads and writes variables. Memory: ``FOR_ALL``, and "model:given:<station id>": what it has been given of those for all."""

    def __init__(self, office: Office, inventories: Inventories, own: OwnModel) -> None:
        self._office = office
        self._inventories = inventories
        self._own = own
        self._retry_mono_s: dict[str, float] = {}
        self._giving = False

    # -- GetVariables ---------------------------------------------------------------------------------------------

    def get(self, message: Message) -> Conversation:
        """Results in the order of the request."""
        refused = too_much(message, GET)
        return answered(refused) if refused is not None else self._all(message, GET, self._own_value, self._told)

    def set(self, message: Message) -> Conversation:
        """Likewise; an item that fails leaves the others alone."""
        refused = too_much(message, SET_ITEMS)
        return answered(refused) if refused is not None else self._all(message, SET_ITEMS, self._own_write, self._taken)

    def _all(self, message: Message, kind: Question, own: Answering, then: Callable[[str, Payload, Payload], None]) -> Conversation:
        items = message.payload[kind.request]
        results: list[Payload] = [{}] * len(items)
        abroad: dict[str, list[tuple[int, Payload]]] = {}
        for index, item in enumerate(items):
            place = self._owner(item)
            if place is None:
                results[index] = yield from own(item)
            else:
                abroad.setdefault(place[0], []).append((index, {**item, "component": place[1]}))
        there = {station_id: asked for station_id, asked in abroad.items() if self._linked(station_id)}
        batches = {station_id: (self.question(station_id, kind), [item for _, item in asked]) for station_id, asked in there.items()}
        answers = yield from ask_chargers(self._office.now, batches, ALL_S)
        for station_id, asked in abroad.items():
            away = Failed("Offline", f"charger {station_id} is not connected")
            for (index, item), answer in zip(asked, answers.get(station_id, [away] * len(asked)), strict=True):
                results[index] = _result(items[index], answer)
                if isinstance(answer, dict):
                    then(station_id, item, answer)
        return Said({kind.result: results})

    def _linked(self, station_id: str) -> bool:
        card = self._office.cards.get(station_id)
        return card is not None and card.linked

    def question(self, station_id: str, kind: Question) -> Question:
        """The kind of message within the limits the charger has told."""
        most = self._inventories.most(station_id, "ItemsPerMessage", kind.action)
        size = self._inventories.most(station_id, "BytesPerMessage", kind.action)
        return Question(kind.action, kind.request, kind.result, most, size)

    def _owner(self, item: Payload) -> tuple[str, Payload] | None:
        """(station id, the component in its words) of who answers for a variable; None = we do."""
        component, variable = item["component"], item["variable"]
        name = name_of(component, variable)
        place = self._inventories.locate(component)
        if place is None or (not name.evse_id and name.component == "localcontroller"):
            return None
        card = self._office.cards.get(place[0])
        if not name.evse_id:
            return place
        own = self._own.find(name)
        if own is not None and (name.variable in OWN_WINS or not self._inventories.has(*place, variable)):
            return None
        return place if card is not None else None

    def _own_value(self, item: Payload) -> Generator[Step, Reply | None, Payload]:
        yield from ()  # without steps, but in the form of a step like ``_own_write``
        own, status = self._find(item)
        if own is None:
            return _echo(item, status)
        if item.get("attributeType", "Actual") != "Actual":
            return _echo(item, "NotSupportedAttributeType")
        if own.write == "secret":
            return _echo(item, "Rejected", "WriteOnly")
        return {**_echo(item, "Accepted"), "attributeValue": (own.value or "")[:2500]}

    def _find(self, item: Payload) -> tuple[Own | None, str]:
        name = name_of(item["component"], item["variable"])
        tier = self._own.tier(name.evse_id)
        if name in tier:
            return tier[name], ""
        return None, "UnknownVariable" if any(one.owner == name.owner for one in tier) else "UnknownComponent"

    def _told(self, station_id: str, item: Payload, answer: Payload) -> None:
        if answer.get("attributeStatus") == "Accepted" and isinstance(answer.get("attributeValue"), str):
            kind = str(item.get("attributeType", "Actual"))
            self._inventories.note(station_id, item["component"], item["variable"], kind, answer["attributeValue"])

    def _taken(self, station_id: str, item: Payload, answer: Payload) -> None:
        if answer.get("attributeStatus") == "Accepted":
            kind = str(item.get("attributeType", "Actual"))
            self._inventories.note(station_id, item["component"], item["variable"], kind, str(item["attributeValue"]))

    # -- SetVariables of our own -------------------------------------------------------------------------------------

    def _own_write(self, item: Payload) -> Generator[Step, Reply | None, Payload]:
        own, status = self._find(item)
        if own is None:
            return _echo(item, status)
        if item.get("attributeType", "Actual") != "Actual":
            return _echo(item, "NotSupportedAttributeType")
        if own.write in ("", "secret"):
            return _echo(item, "Rejected", "ReadOnly", "this is set in site.yaml of Yardmaster")
        value = str(item["attributeValue"])
        wrong = problem(own, value)
        if wrong:
            return _echo(item, "Rejected", wrong)
        before = self._office.memory.get(FOR_ALL, {})
        self._own.writes += 1
        if own.write == "own":
            self._office.memory.put(own.keep, float(value))
        else:
            self._office.memory.put(FOR_ALL, {**before, own.key: value})
        yield Keep()
        return (yield from self._fan(item, own, value, before.get(own.key))) if own.write == "fan" else _echo(item, "Accepted")

    def _fan(self, item: Payload, own: Own, value: str, before: Any) -> Generator[Step, Reply | None, Payload]:
        """Give a setting to all chargers that are there, as long as the CSMS can wait; the rest follows in the background."""
        said = yield from self._give({card.station_id: {own.key: value} for card in self._office.linked()})
        verdicts = {station_id: statuses.get(own.key, "") for station_id, statuses in said.items()}
        status = _verdict(list(verdicts.values()))
        if status == "Rejected":
            self._own.writes += 1
            kept = {key: one for key, one in self._office.memory.get(FOR_ALL, {}).items() if key != own.key}
            self._office.memory.put(FOR_ALL, {**kept, **({} if before is None else {own.key: before})} or None)
        yield Keep()
        took = sum(one in ("Accepted", "RebootRequired") for one in verdicts.values())
        refused = [station_id for station_id, one in verdicts.items() if one == "Rejected"]
        words = f"{took} of {len(self._office.cards)} chargers have it now"
        words += f"; refused by {', '.join(refused)}" if refused else ""
        return _echo(item, status, "Unspecified", words)

    # -- settings of all chargers, given to each -------------------------------------------------------------------------

    def tick(self) -> list[Conversation]:
        """The next charger that lacks a setting gets it; one at a time."""
        now_s = self._office.now().mono_s
        if self._giving:
            return []
        for card in self._office.linked():
            if self._retry_mono_s.get(card.station_id, 0.0) <= now_s and self._lacking(card.station_id):
                self._giving = True
                return [self._bring(card)]
        return []

    def _lacking(self, station_id: str) -> dict[str, str]:
        given = self._office.memory.get(GIVEN + station_id, {})
        return {key: value for key, value in self._office.memory.get(FOR_ALL, {}).items() if given.get(key) != value}

    def _bring(self, card: Card) -> Conversation:
        try:
            said = yield from self._give({card.station_id: self._lacking(card.station_id)})
            statuses = said[card.station_id]
            refused = [key for key, status in statuses.items() if status == "Rejected"]
            if refused:
                names = ", ".join(_short(key) for key in refused)
                yield Emit(Tell(Severity.WARNING, card.station_id, f"refuses settings meant for all chargers: {names} - it keeps its own"))
            yield Keep()
            return Said({})
        finally:
            self._giving = False

    def _give(self, wanted: dict[str, dict[str, str]]) -> Generator[Step, Reply | None, dict[str, dict[str, str]]]:
        """Station id -> {setting -> what the charger said; "" = nothing, it will be asked again}. wanted: station id -> {setting -> value}."""
        known = {own.key: own for own in self._own.station_tier() if own.write == "fan"}
        wanted = {station_id: {key: value for key, value in settings.items() if key in known} for station_id, settings in wanted.items()}
        batches = {}
        for station_id, settings in wanted.items():
            items = [{"component": known[key].component, "variable": known[key].variable, "attributeValue": settings[key]} for key in settings]
            batches[station_id] = (self.question(station_id, SET_ITEMS), items)
        answers = yield from ask_chargers(self._office.now, batches, FAN_S)
        return {station_id: self._given(station_id, settings, answers[station_id], known) for station_id, settings in wanted.items()}

    def _given(self, station_id: str, settings: dict[str, str], answers: list[Answer], known: dict[str, Own]) -> dict[str, str]:
        """Remember what a charger has been given: what it has answered is not asked again."""
        given = dict(self._office.memory.get(GIVEN + station_id, {}))
        said = {key: _status(answer) for key, answer in zip(settings, answers, strict=True)}
        for key, status in said.items():
            if status:
                given[key] = settings[key]
            if status == "Accepted":
                self._inventories.note(station_id, known[key].component, known[key].variable, "Actual", settings[key])
        if "" in said.values():
            self._retry_mono_s[station_id] = self._office.now().mono_s + RETRY_S
        self._office.memory.put(GIVEN + station_id, given)
        return said


def too_much(message: Message, kind: Question) -> Failed | None:
    """More items or bytes than we advertise (B05.FR.11, B06.FR.16/17)."""
    items = message.payload.get(kind.request)
    if not isinstance(items, list) or not items:
        return Failed("OccurrenceConstraintViolation", f"{kind.request} must hold at least one item")
    if len(items) > ITEMS[kind.action]:
        return Failed("OccurrenceConstraintViolation", f"at most {ITEMS[kind.action]} items in one {kind.action}")
    return Failed("FormatViolation", f"at most {BYTES} bytes in one {kind.action}") if size_of(message.payload) > BYTES else None


def problem(own: Own, value: str) -> str:
    """The reason code why a value cannot be that of a variable; "" = it can."""
    if len(value) > 1000:
        return "TooLargeElement"
    if own.data_type == "boolean":
        return "" if value in ("true", "false") else "InvalidValue"
    if own.data_type in ("integer", "decimal"):
        return _number_problem(own, value)
    if own.data_type == "dateTime":
        return "" if wall_time(value) is not None else "InvalidValue"
    if own.data_type == "OptionList":
        return "" if value in own.values.split(",") else "InvalidValue"
    return ""


def _number_problem(own: Own, value: str) -> str:
    if re.fullmatch(r"[+-]?[0-9]{1,15}" if own.data_type == "integer" else r"[+-]?[0-9]{1,15}(\.[0-9]{1,15})?", value) is None:
        return "InvalidValue"
    number = float(value)
    if own.low is not None and number < own.low:
        return "ValueTooLow"
    return "ValueTooHigh" if own.high is not None and number > own.high else ""


def _echo(item: Payload, status: str, reason: str = "", words: str = "") -> Payload:
    """A result with the words of the request."""
    result: Payload = {"attributeStatus": status, "component": item["component"], "variable": item["variable"]}
    if "attributeType" in item:
        result["attributeType"] = item["attributeType"]
    if reason:
        result["attributeStatusInfo"] = {"reasonCode": reason[:20], **({"additionalInfo": words[:1024]} if words else {})}
    return result


def _result(item: Payload, answer: Payload | Failed) -> Payload:
    """A charger's answer under the name the CSMS used."""
    if isinstance(answer, Failed):
        reason = "Timeout" if answer == NO_ANSWER or answer.code in ("Offline", "Timeout") else "Unspecified"
        return _echo(item, "Rejected", reason, answer.description or answer.code)
    result = _echo(item, str(answer.get("attributeStatus", "Rejected")))
    kept: Payload = {key: answer[key] for key in ("attributeType", "attributeValue", "attributeStatusInfo") if key in answer}
    return {**result, **kept}


def _status(answer: Payload | Failed) -> str:
    if isinstance(answer, dict):
        return str(answer.get("attributeStatus", ""))
    return "UnknownVariable" if answer.code in ("NotSupported", "NotImplemented") else ""


def _verdict(statuses: list[str]) -> str:
    """What all chargers together say to a setting; those that do not know it, or said nothing, do not count."""
    if "RebootRequired" in statuses:
        return "RebootRequired"
    return "Rejected" if "Rejected" in statuses and "Accepted" not in statuses else "Accepted"


def _short(key: str) -> str:
    parts = key.split(".")
    return f"{parts[0]}.{parts[4]}"
