"""Monitoring of the whole depot (N02-N08): own variables are watched here, a charger's by the charger.

Own monitors are kept on disk and looked at every second (``monitor_rules``). Those on a charger's component are set in the charger, and both
its monitor ids and the ids of its events get numbers of the depot, as two chargers surely use the same ones. SetMonitoringBase and
SetMonitoringLevel hold here at once and are brought to each charger once, when it can be asked.
Own events wait while the CSMS is away, the newest ``MOST_WAITING``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from typing import Any, Final

from controller.link.depot.addresses import component_of, name_of, up
from controller.link.depot.chargers_asked import Answer, Question, ask_chargers, parts
from controller.link.depot.inventory import Inventories
from controller.link.depot.monitor_ids import MonitorIds
from controller.link.depot.monitor_reports import MonitorReports
from controller.link.depot.monitor_rules import Monitor, Watch, look, monitor, refusal
from controller.link.depot.office import Office
from controller.link.depot.own_model import OwnModel
from controller.link.depot.own_words import Own
from controller.link.depot.variables import ALL_S, too_much
from controller.ocpp.hub import HUB, NO_ANSWER, Ask, Conversation, Failed, Keep, Message, Reply, Said, Step, answered
from controller.ocpp.times import timestamp

Payload = dict[str, Any]
OWN: Final = "monitors:own"
BASE: Final = "monitors:base"
LEVEL: Final = "monitors:level"
ORDERS: Final = "monitors:orders"
GIVEN: Final = "monitors:given:"
LOWEST_LEVEL: Final = 9
MOST_OWN: Final = 500
MOST_WAITING: Final = 200
IN_ONE: Final = 20
"""Events in one NotifyEvent."""
RETRY_S: Final = 60.0
CAUSES: Final = 100
"""Of each charger's events so many are remembered, for ``cause``."""
SET: Final = Question("SetVariableMonitoring", "setMonitoringData", "setMonitoringResult")


class Monitors:
    """Memory: "monitors:own" [[monitor ...]], "monitors:base", "monitors:level", "monitors:orders" and "monitors:given:<station id>"."""

    def __init__(self, office: Office, inventories: Inventories, own: OwnModel) -> None:
        self._office = office
        self._inventories = inventories
        self._own = own
        self._ids = MonitorIds(office)
        self._reports = MonitorReports(office, self._ids, self.rules, inventories)
        self._watches: dict[int, Watch] = {}
        self._waiting: deque[Payload] = deque(maxlen=MOST_WAITING)
        self._events: dict[str, dict[int, int]] = {}
        self._retry_mono_s: dict[str, float] = {}
        self._sending = False
        self._bringing = False

    def rules(self) -> list[Monitor]:
        """The monitors on own variables."""
        return [rule for stored in self._office.memory.get(OWN, []) if (rule := monitor(stored)) is not None]

    def _store(self, rules: list[Monitor]) -> None:
        self._office.memory.put(OWN, [rule.stored() for rule in rules] or None)
        kept = {rule.id for rule in rules}
        self._watches = {number: watch for number, watch in self._watches.items() if number in kept}

    # -- SetVariableMonitoring -----------------------------------------------------------------------------------

    def set(self, message: Message) -> Conversation:
        """Results in the order of the request (N04)."""
        refused = too_much(message, SET)
        return answered(refused) if refused is not None else self._set(message.payload["setMonitoringData"])

    def _set(self, items: list[Payload]) -> Conversation:
        results: list[Payload] = [{}] * len(items)
        abroad: dict[str, list[tuple[int, Payload]]] = {}
        for index, item in enumerate(items):
            own = self._own.find(name_of(item["component"], item["variable"]))
            place = None if own is not None and own.monitored else self._inventories.locate(item["component"])
            if "periodicEventStream" in item:
                results[index] = _echo(item, "Rejected", "UnsupportedParam")
            elif place is None:
                results[index] = self._set_own(item, own)
            elif (down := self._for_charger(place, item)) is None:
                results[index] = _echo(item, "Rejected", "NotFound")
            else:
                abroad.setdefault(place[0], []).append((index, down))
        there = {station_id: asked for station_id, asked in abroad.items() if self._linked(station_id)}
        batches = {station_id: (self._question(station_id), [item for _, item in asked]) for station_id, asked in there.items()}
        answers = yield from ask_chargers(self._office.now, batches, ALL_S)
        for station_id, asked in abroad.items():
            away = Failed("Offline", f"charger {station_id} is not connected")
            for (index, _), answer in zip(asked, answers.get(station_id, [away] * len(asked)), strict=True):
                results[index] = self._from_charger(station_id, items[index], answer)
        yield Keep()
        return Said({"setMonitoringResult": results})

    def _set_own(self, item: Payload, own: Own | None) -> Payload:
        if own is None:
            return _echo(item, self._unknown(item))
        status, reason = refusal(own, item)
        if status:
            return _echo(item, status, reason)
        rules = self.rules()
        same = [rule for rule in rules if rule.name == own.name and rule.type == item["type"] and rule.severity == item["severity"]]
        old = next((rule for rule in rules if rule.id == item.get("id")), None)
        if "id" in item and (old is None or old.name != own.name):
            return _echo(item, "Rejected", "NotFound")  # a number is only given to replace (N04.FR.13)
        if any(rule is not old for rule in same):
            return _echo(item, "Duplicate")
        if old is None and len(rules) >= MOST_OWN:
            return _echo(item, "Rejected", "OutOfStorage")
        number = old.id if old is not None else self._office.number()
        new = Monitor(number, own.component, own.variable, item["type"], item["value"], item["severity"], bool(item.get("transaction", False)))
        self._store([rule for rule in rules if rule is not old])  # a replaced one begins anew
        self._store([*self.rules(), new])
        if own.value is not None and new.severity <= self._office.memory.get(LEVEL, LOWEST_LEVEL):
            self._look_at(new, own.value)  # what changes counts from now, not from the next second
        return {**_echo(item, "Accepted"), "id": number}

    def _unknown(self, item: Payload) -> str:
        name = name_of(item["component"])
        return "UnknownVariable" if any(one.owner == name.owner for one in self._own.tier(name.evse_id)) else "UnknownComponent"

    def _for_charger(self, place: tuple[str, Payload], item: Payload) -> Payload | None:
        """The item in the charger's words; None = it replaces a monitor that is not there."""
        down = {**item, "component": place[1]}
        if "id" in item:
            theirs = self._ids.at(item["id"])
            if theirs is None or theirs[0] != place[0]:
                return None
            down["id"] = theirs[1]
        return down

    def _linked(self, station_id: str) -> bool:
        card = self._office.cards.get(station_id)
        return card is not None and card.linked

    def _question(self, station_id: str) -> Question:
        most = self._inventories.most(station_id, "ItemsPerMessage", SET.action, "MonitoringCtrlr")
        size = self._inventories.most(station_id, "BytesPerMessage", SET.action, "MonitoringCtrlr")
        return Question(SET.action, SET.request, SET.result, most, size)

    def _from_charger(self, station_id: str, item: Payload, answer: Answer) -> Payload:
        if isinstance(answer, Failed):
            unsupported = answer.code in ("NotSupported", "NotImplemented")
            return _echo(item, "UnsupportedMonitorType") if unsupported else _echo(item, "Rejected", "Timeout", answer.description)
        result = _echo(item, str(answer.get("status", "Rejected")))
        if isinstance(answer.get("statusInfo"), dict):
            result["statusInfo"] = answer["statusInfo"]
        if result["status"] == "Accepted" and isinstance(answer.get("id"), int):
            result["id"] = self._ids.of(station_id, answer["id"])
        return result

    # -- ClearVariableMonitoring -----------------------------------------------------------------------------------

    def clear(self, message: Message) -> Conversation:
        """Results in the order of the request (N06)."""
        wanted = message.payload["id"]
        statuses: dict[int, str] = {}
        abroad: dict[str, list[tuple[int, int]]] = {}
        own = {rule.id for rule in self.rules()}
        for number in dict.fromkeys(wanted):
            place = self._ids.at(number)
            if place is not None:
                abroad.setdefault(place[0], []).append((number, place[1]))
            statuses[number] = "Accepted" if number in own else "NotFound"
        self._store([rule for rule in self.rules() if rule.id not in statuses])
        for station_id, pairs in abroad.items():
            yield from self._clear_at(station_id, pairs, statuses)
        yield Keep()
        return Said({"clearMonitoringResult": [{"id": number, "status": statuses[number]} for number in wanted]})

    def _clear_at(self, station_id: str, pairs: list[tuple[int, int]], statuses: dict[int, str]) -> Generator[Step, Reply | None, None]:
        statuses.update({number: "Rejected" for number, _ in pairs})
        if not self._linked(station_id):
            return
        most = self._inventories.most(station_id, "ItemsPerMessage", "ClearVariableMonitoring", "MonitoringCtrlr")
        for part in parts([{"ours": ours, "theirs": theirs} for ours, theirs in pairs], most or IN_ONE, 10**6):
            reply = yield Ask("ClearVariableMonitoring", {"id": [pair["theirs"] for pair in part]}, to=station_id)
            told = reply.payload.get("clearMonitoringResult") if isinstance(reply, Said) else None
            said = {one.get("id"): one.get("status") for one in told if isinstance(one, dict)} if isinstance(told, list) else {}
            for pair in part:
                status = str(said.get(pair["theirs"], "Rejected"))
                statuses[pair["ours"]] = status
                if status in ("Accepted", "NotFound"):
                    self._ids.forget(station_id, pair["theirs"])

    # -- base, level, report -------------------------------------------------------------------------------------------

    def set_base(self, message: Message) -> Conversation:
        """FactoryDefault and HardWiredOnly end all custom monitors, All leaves them (N05)."""
        base = message.payload["monitoringBase"]
        if base != "All":
            self._store([])
        self._office.memory.put(BASE, base)
        return self._ordered("SetMonitoringBase", {"monitoringBase": base})

    def set_level(self, message: Message) -> Conversation:
        """Events of a higher number than this are not told (N03); 0 to 9."""
        severity = message.payload["severity"]
        if not 0 <= severity <= LOWEST_LEVEL:
            return answered(Said({"status": "Rejected", "statusInfo": {"reasonCode": "ValueOutOfRange"}}))
        self._office.memory.put(LEVEL, severity)
        return self._ordered("SetMonitoringLevel", {"severity": severity})

    def _ordered(self, action: str, payload: Payload) -> Conversation:
        orders = self._office.memory.get(ORDERS, {})
        self._office.memory.put(ORDERS, {**orders, action: [self._office.number(), payload]})
        yield Keep()
        return Said({"status": "Accepted"})

    def report(self, message: Message) -> Conversation:
        """GetMonitoringReport (N02)."""
        return self._reports.asked(message)

    def reported(self, station_id: str, message: Message) -> Conversation:
        """A charger's NotifyMonitoringReport."""
        return self._reports.told(station_id, message)

    # -- events of chargers -----------------------------------------------------------------------------------------------

    def event(self, station_id: str, message: Message) -> Conversation:
        """A charger's NotifyEvent, in the depot's words; the charger hears what the CSMS says to it."""
        events = [self._event(station_id, one) for one in message.payload["eventData"]]
        yield Keep()  # numbers that were told never come again
        reply = yield Ask("NotifyEvent", {**message.payload, "eventData": events}, to=HUB)
        return reply if reply is not None else Failed("GenericError", "no answer")

    def _event(self, station_id: str, one: Payload) -> Payload:
        self._inventories.note(station_id, one["component"], one["variable"], "Actual", str(one.get("actualValue", "")))
        shown = up(self._office.numbering, station_id, one["component"])
        if shown is None:  # an EVSE the site file does not have: the event is still the charger's
            shown = up(self._office.numbering, station_id, {key: value for key, value in one["component"].items() if key != "evse"})
        told = {**one, "component": shown or component_of("ChargingStation", station_id), "eventId": self._number(station_id, one["eventId"])}
        causes = self._events.get(station_id, {})
        if "cause" in one:
            told["cause"] = causes.get(one["cause"])
        if "variableMonitoringId" in one:
            told["variableMonitoringId"] = self._ids.of(station_id, one["variableMonitoringId"])
        return {key: value for key, value in told.items() if value is not None}

    def _number(self, station_id: str, theirs: int) -> int:
        known = self._events.setdefault(station_id, {})
        known[theirs] = self._office.number()
        while len(known) > CAUSES:
            known.pop(next(iter(known)))
        return known[theirs]

    # -- own events ---------------------------------------------------------------------------------------------------------

    def tick(self) -> list[Conversation]:
        """Look at own variables; send what waits; bring base and level to chargers."""
        self._look()
        talks: list[Conversation] = []
        if self._waiting and self._office.accepted and not self._sending:
            self._sending = True
            talks.append(self._send())
        if not self._bringing and (owed := self._owed()) is not None:
            self._bringing = True
            talks.append(self._bring(*owed))
        return talks

    def _look(self) -> None:
        rules = self.rules()
        if not rules:
            return
        owners = {rule.name.evse_id for rule in rules}
        known = {name: own for number in owners for name, own in self._own.tier(number).items()}
        level = self._office.memory.get(LEVEL, LOWEST_LEVEL)
        for rule in rules:
            own = known.get(rule.name)
            if own is not None and own.value is not None and rule.severity <= level:
                self._look_at(rule, own.value)

    def _look_at(self, rule: Monitor, value: str) -> None:
        transaction_id = self._transaction(rule)
        if rule.transaction and transaction_id is None:
            return
        watch = self._watches.setdefault(rule.id, Watch())
        seen = look(rule, watch, value, self._office.now())
        if seen is None:
            return
        trigger, cleared = seen
        event = self._own_event(rule, value, trigger)
        if trigger == "Alerting":
            if cleared:
                event |= {"cleared": True, "cause": watch.alert}
            watch.alert = None if cleared else event["eventId"]
        if transaction_id:
            event["transactionId"] = transaction_id
        self._waiting.append(event)

    def _own_event(self, rule: Monitor, value: str, trigger: str) -> Payload:
        return {
            "eventId": self._office.number(),
            "timestamp": timestamp(self._office.now().wall_s),
            "trigger": trigger,
            "actualValue": value[:2500],
            "component": rule.component,
            "variable": rule.variable,
            "variableMonitoringId": rule.id,
            "eventNotificationType": "CustomMonitor",
            "severity": rule.severity,
        }

    def _transaction(self, rule: Monitor) -> str | None:
        """The transaction a monitor's events belong to; "" = some transaction of the depot runs, None = none does."""
        evse_id = rule.name.evse_id
        place = self._office.place(evse_id) if evse_id else None
        if evse_id:
            return place[0].transactions.get(place[1]) if place is not None else None
        return "" if any(card.transactions for card in self._office.cards.values()) else None

    def _send(self) -> Conversation:
        try:
            batch = [self._waiting[index] for index in range(min(IN_ONE, len(self._waiting)))]
            yield Keep()  # numbers that were told never come again
            payload = {"generatedAt": timestamp(self._office.now().wall_s), "seqNo": 0, "tbc": False, "eventData": batch}
            reply = yield Ask("NotifyEvent", payload, to=HUB)
            if reply is not None and reply != NO_ANSWER:  # one that refuses them will not take them later either
                for event in batch:
                    if self._waiting and self._waiting[0] is event:
                        self._waiting.popleft()
            return reply or Failed("GenericError", "no answer")
        finally:
            self._sending = False

    # -- base and level for the chargers ---------------------------------------------------------------------------------------

    def _owed(self) -> tuple[str, str, int, Payload] | None:
        now_s = self._office.now().mono_s
        orders = self._office.memory.get(ORDERS, {})
        for card in self._office.linked() if orders else ():
            given = self._office.memory.get(GIVEN + card.station_id, {})
            for action, (number, payload) in orders.items():
                if given.get(action) != number and self._retry_mono_s.get(card.station_id, 0.0) <= now_s:
                    return card.station_id, action, number, payload
        return None

    def _bring(self, station_id: str, action: str, number: int, payload: Payload) -> Conversation:
        try:
            reply = yield Ask(action, payload, to=station_id)
            if isinstance(reply, Failed) and reply.code not in ("NotSupported", "NotImplemented"):
                self._retry_mono_s[station_id] = self._office.now().mono_s + RETRY_S
                return reply
            given = self._office.memory.get(GIVEN + station_id, {})
            self._office.memory.put(GIVEN + station_id, {**given, action: number})
            yield Keep()
            return Said({})
        finally:
            self._bringing = False


def _echo(item: Payload, status: str, reason: str = "", words: str = "") -> Payload:
    result = {"status": status, **{word: item[word] for word in ("type", "severity", "component", "variable")}}
    if reason:
        result["statusInfo"] = {"reasonCode": reason, **({"additionalInfo": words[:1024]} if words else {})}
    return result
