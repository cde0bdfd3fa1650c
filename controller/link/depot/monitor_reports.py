"""GetMonitoringReport of the whole depot (N02): own monitors first, then those of each charger, in pages.

Chargers are asked one after the other with the part of the filter that is about them, and their NotifyMonitoringReports are put under the depot's
names and numbers. EmptyResultSet only when nobody has anything; the first charger that has something makes it Accepted.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any, Final

from controller.link.depot.addresses import up
from controller.link.depot.inventory import Inventories
from controller.link.depot.matching import fits
from controller.link.depot.monitor_ids import MonitorIds
from controller.link.depot.monitor_rules import CRITERIA, Monitor
from controller.link.depot.office import Office
from controller.link.depot.paging import pages
from controller.ocpp.hub import HUB, Ask, Conversation, Failed, Keep, Message, Reply, Rest, Said, Step, answered
from controller.ocpp.times import timestamp

Payload = dict[str, Any]
SILENCE_S: Final = 30.0
MOST_WAITING: Final = 5
ATTEMPTS: Final = 2
MOST_MONITORS: Final = 5000


@dataclass(slots=True)
class _Collecting:
    heard_mono_s: float
    monitors: list[Payload] = field(default_factory=list)
    done: bool = False


@dataclass(slots=True)
class _Job:
    request_id: int
    filters: list[Payload]
    criteria: list[str]
    stations: list[str]
    begun: list[tuple[str, int]] = field(default_factory=list)  # stations that have said Accepted, and under which requestId


class MonitorReports:
    """Makes them. rules: gives the own monitors."""

    def __init__(self, office: Office, ids: MonitorIds, rules: Callable[[], list[Monitor]], inventories: Inventories) -> None:
        self._office = office
        self._ids = ids
        self._rules = rules
        self._inventories = inventories
        self._waiting = 0
        self._collecting: dict[tuple[str, int], _Collecting] = {}
        self._running = False

    def asked(self, message: Message) -> Conversation:
        """Accepted, EmptyResultSet or NotSupported; the report follows."""
        payload = message.payload
        filters, criteria = payload.get("componentVariable") or [], payload.get("monitoringCriteria") or []
        if any(one not in CRITERIA for one in criteria):
            return answered(Said({"status": "NotSupported"}))
        if self._waiting >= MOST_WAITING:
            return answered(Said({"status": "Rejected", "statusInfo": {"reasonCode": "OutOfMemory"}}))
        return self._begin(_Job(payload["requestId"], filters, criteria, self._stations(filters)))

    def _begin(self, job: _Job) -> Conversation:
        while not self._own(job) and not job.begun and job.stations:
            yield from self._ask(job)
        if not self._own(job) and not job.begun:
            return Said({"status": "EmptyResultSet"})
        self._waiting += 1
        self._office.afterwards.append(self._report(job))
        return Said({"status": "Accepted"})

    def told(self, station_id: str, message: Message) -> Conversation:
        """A page of a charger; one that nobody asked for is answered and not kept."""
        payload = message.payload
        job = self._collecting.get((station_id, payload.get("requestId", -1)))
        if job is not None:
            job.heard_mono_s = self._office.now().mono_s
            room = MOST_MONITORS - len(job.monitors)
            job.monitors += [one for one in payload.get("monitor") or [] if isinstance(one, dict)][:room]
            job.done = job.done or not payload.get("tbc", False)
        return answered(Said({}))

    # -- the parts ---------------------------------------------------------------------------------------------------

    def _own(self, job: _Job) -> list[Payload]:
        """Own monitors as ``monitor`` elements, one per variable."""
        kinds = [kind for one in job.criteria for kind in CRITERIA[one]]
        found: dict[Any, Payload] = {}
        for rule in self._rules():
            if (not kinds or rule.type in kinds) and (not job.filters or any(fits(one, rule.name) for one in job.filters)):
                element = found.setdefault(rule.name, {"component": rule.component, "variable": rule.variable, "variableMonitoring": []})
                element["variableMonitoring"].append(rule.told())
        return list(found.values())

    def _stations(self, filters: list[Payload]) -> list[str]:
        linked = [card.station_id for card in self._office.linked() if card.version != "ocpp1.6"]
        return [station_id for station_id in linked if not filters or self._filters_for(station_id, filters)]

    def _filters_for(self, station_id: str, filters: list[Payload]) -> list[Payload]:
        """What of a filter is about a charger, in its words. Without instance and EVSE it is about all."""
        mine: list[Payload] = []
        for one in filters:
            component = one["component"]
            if "instance" not in component and "evse" not in component:
                mine.append(one)
                continue
            place = self._inventories.locate(component)
            if place is not None and place[0] == station_id:
                mine.append({**one, "component": place[1]})
        return mine

    def _ask(self, job: _Job) -> Generator[Step, Reply | None, None]:
        """Ask the next charger; it is ``begun`` if it has something to tell."""
        station_id = job.stations.pop(0)
        request_id = self._office.number()
        request: Payload = {"requestId": request_id}
        if job.criteria:
            request["monitoringCriteria"] = job.criteria
        if job.filters:
            request["componentVariable"] = self._filters_for(station_id, job.filters)
        self._collecting[station_id, request_id] = _Collecting(self._office.now().mono_s)
        yield Keep()
        reply = yield Ask("GetMonitoringReport", request, to=station_id)
        if isinstance(reply, Said) and reply.payload.get("status") == "Accepted":
            self._collecting[station_id, request_id].heard_mono_s = self._office.now().mono_s
            job.begun.append((station_id, request_id))
        else:
            self._collecting.pop((station_id, request_id), None)

    def _report(self, job: _Job) -> Conversation:
        while self._running:
            yield Rest(1.0)
        self._running, self._waiting = True, self._waiting - 1
        try:
            monitors = self._own(job)
            while job.begun or job.stations:
                if not job.begun:
                    yield from self._ask(job)
                    continue
                monitors += yield from self._await(*job.begun.pop(0))
            yield Keep()
            return (yield from self._send(job.request_id, monitors))
        finally:
            for key in job.begun:
                self._collecting.pop(key, None)
            self._running = False

    def _await(self, station_id: str, request_id: int) -> Generator[Step, Reply | None, list[Payload]]:
        """What a charger has reported, complete or not, in the depot's words."""
        job = self._collecting[station_id, request_id]
        while not job.done and self._office.now().mono_s - job.heard_mono_s <= SILENCE_S:
            yield Rest(1.0)
        self._collecting.pop((station_id, request_id), None)
        return [shown for one in job.monitors if (shown := self._shown(station_id, one)) is not None]

    def _shown(self, station_id: str, one: Payload) -> Payload | None:
        component, rules = one.get("component"), one.get("variableMonitoring")
        shown = up(self._office.numbering, station_id, component) if isinstance(component, dict) else None
        if shown is None or not isinstance(rules, list) or not isinstance(one.get("variable"), dict):
            return None
        readable = [rule for rule in rules if isinstance(rule, dict) and isinstance(rule.get("id"), int)]
        numbered = [{**rule, "id": self._ids.of(station_id, rule["id"])} for rule in readable]
        return {"component": shown, "variable": one["variable"], "variableMonitoring": numbered} if numbered else None

    def _send(self, request_id: int, monitors: list[Payload]) -> Conversation:
        sheets = list(pages(monitors)) or [([], False)]
        for seq, (page, more) in enumerate(sheets):
            payload: Payload = {"requestId": request_id, "seqNo": seq, "tbc": more, "generatedAt": timestamp(self._office.now().wall_s)}
            if page:
                payload["monitor"] = page
            reply: Reply | None = None
            for _ in range(ATTEMPTS):
                reply = yield Ask("NotifyMonitoringReport", payload, to=HUB)
                if isinstance(reply, Said):
                    break
            if not isinstance(reply, Said):
                return Failed("GenericError", "the CSMS did not take a page")
        return Said({})
