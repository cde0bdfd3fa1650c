"""GetBaseReport and GetReport of the whole depot (B07, B08), in pages of NotifyReport.

The answer goes first; the pages follow one after the other, each after the CSMS has taken the last one. A report
begins with the depot's own components; then come the chargers, each asked anew first if what is known of it is old. A charger that does
not answer is shown as it was last known. One report runs at a time, others wait in line, at most ``MOST_WAITING``.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Any, Final

from controller.link.depot.addresses import name_of, size_of, up
from controller.link.depot.inventory import Inventories
from controller.link.depot.matching import fits
from controller.link.depot.office import Office
from controller.link.depot.own_model import OwnModel
from controller.link.depot.own_words import BYTES, ITEMS
from controller.link.depot.paging import pages
from controller.link.depot.variables import OWN_WINS
from controller.ocpp.hub import HUB, Ask, Conversation, Emit, Failed, Message, Reply, Rest, Said, Step, answered
from controller.ocpp.times import timestamp
from controller.orders import Severity, Tell

Payload = dict[str, Any]
Wanted = Callable[[Payload], bool]
Owner = tuple[str, str, int, int]

MOST_WAITING: Final = 5
ATTEMPTS: Final = 2
REFRESH_S: Final = 120.0
"""All chargers together may take so long to be asked anew; then the rest is shown as last known."""
SUMMARY: Final = frozenset({"availabilitystate"})
TROUBLE: Final = frozenset({"problem", "tripped", "overload", "fallback"})
FLAGS: Final = frozenset({"active", "available", "enabled", "problem"})
CRITERIA: Final = frozenset({"Active", "Available", "Enabled", "Problem"})


@dataclass(frozen=True, slots=True)
class _Job:
    request_id: int
    wanted: Wanted
    stations: frozenset[str] | None = None  # None: all; else only these are asked anew


class Reports:
    """Makes reports."""

    def __init__(self, office: Office, inventories: Inventories, own: OwnModel) -> None:
        self._office = office
        self._inventories = inventories
        self._own = own
        self._waiting = 0
        self._running = False

    # -- the CSMS asks -----------------------------------------------------------------------------------------

    def base(self, message: Message) -> Conversation:
        """GetBaseReport (B07.FR.01-09)."""
        wanted = {"FullInventory": _everything, "ConfigurationInventory": _settable, "SummaryInventory": _summary}.get(message.payload["reportBase"])
        if wanted is None:
            return answered(Said({"status": "NotSupported"}))
        return answered(self._queued(_Job(message.payload["requestId"], wanted)))

    def custom(self, message: Message) -> Conversation:
        """GetReport (B08.FR.01-24)."""
        payload = message.payload
        filters, criteria = payload.get("componentVariable") or [], set(payload.get("componentCriteria") or [])
        if len(filters) > ITEMS["GetReport"]:
            return answered(Failed("OccurrenceConstraintViolation", f"at most {ITEMS['GetReport']} items in one GetReport"))
        if size_of(payload) > BYTES:
            return answered(Failed("FormatViolation", f"at most {BYTES} bytes in one GetReport"))
        if criteria - CRITERIA:
            return answered(Said({"status": "NotSupported"}))
        job = _Job(payload["requestId"], self._chosen(filters, criteria), frozenset())
        if next((item for item in self.items() if job.wanted(item)), None) is None:
            return answered(Said({"status": "EmptyResultSet"}))
        return answered(self._queued(job))

    def _queued(self, job: _Job) -> Reply:
        if self._waiting >= MOST_WAITING:
            reason = {"reasonCode": "OutOfMemory", "additionalInfo": "other reports are still being sent; ask again later"}
            return Said({"status": "Rejected", "statusInfo": reason})
        self._waiting += 1
        self._office.afterwards.append(self._report(job))
        return Said({"status": "Accepted"})

    # -- the report -----------------------------------------------------------------------------------------------

    def _report(self, job: _Job) -> Conversation:
        """Runs as part of the command, so it may go up while the boot is Pending (B02.FR.02)."""
        while self._running:
            yield Rest(1.0)
        self._running, self._waiting = True, self._waiting - 1
        try:
            if job.stations is None:
                yield from self._refresh()
            seq = 0
            for page, more in pages(item for item in self.items() if job.wanted(item)):
                if not (yield from self._page(job.request_id, seq, page, more)):
                    text = f"the CSMS did not take page {seq} of report {job.request_id} - it was ended there"
                    yield Emit(Tell(Severity.WARNING, self._office.identity, text))
                    return Failed("GenericError", "not taken")
                seq += 1
            if seq == 0:  # B07: an accepted report is never without an end
                yield from self._page(job.request_id, 0, [], False)
            return Said({})
        finally:
            self._running = False

    def _page(self, request_id: int, seq: int, page: list[Payload], more: bool) -> Generator[Step, Reply | None, bool]:
        payload: Payload = {"requestId": request_id, "generatedAt": timestamp(self._office.now().wall_s), "seqNo": seq, "tbc": more}
        if page:
            payload["reportData"] = page
        for _ in range(ATTEMPTS):
            reply = yield Ask("NotifyReport", payload, to=HUB)
            if isinstance(reply, Said):
                return True
        return False

    def _refresh(self) -> Generator[Step, Reply | None, None]:
        until_s = self._office.now().mono_s + REFRESH_S
        for card in self._office.linked():
            if self._office.now().mono_s <= until_s:
                yield from self._inventories.refresh(card.station_id)

    # -- what there is ------------------------------------------------------------------------------------------------

    def items(self) -> Iterator[Payload]:
        """The whole device model as reportData, every variable once. What is known is fixed at the first item: a report goes on for a while."""
        office = self._office
        known = {station_id: self._inventories.of(station_id) for station_id in office.cards}
        tier = [(own, own.name, evse) for number, evse in office.numbering.all() for own in self._own.evse_tier(number, evse)]
        own_words = {(evse.station_id, name._replace(evse_id=evse.evse_id)) for _, name, evse in tier if name.variable in OWN_WINS}
        station_tier = list(self._own.station_tier())
        yield from (own.report() for own in station_tier)
        for station_id, entries in known.items():
            for name, entry in entries.items():
                shown = up(office.numbering, station_id, entry["component"])
                if shown is not None and (station_id, name) not in own_words:
                    yield _tidy({**entry, "component": shown})
        for own, name, evse in tier:
            if name.variable in OWN_WINS or name._replace(evse_id=evse.evse_id) not in known.get(evse.station_id, {}):
                yield own.report()

    def _chosen(self, filters: list[Payload], criteria: set[str]) -> Wanted:
        """The criteria: one of them is true, or is no variable of the component; a problem must be told (B08.FR.07-10)."""
        flags = self._flags() if criteria else {}

        def wanted(item: Payload) -> bool:
            name = name_of(item["component"], item["variable"])
            if criteria and not any(flags.get(name.owner, {}).get(one.casefold(), one != "Problem") for one in criteria):
                return False
            return not filters or any(fits(one, name) for one in filters)

        return wanted

    def _flags(self) -> dict[Owner, dict[str, bool]]:
        """Component in the depot's words -> which of the criteria it has as a variable, and whether it is true."""
        found: dict[Owner, dict[str, bool]] = {}
        for own in self._own.all():
            name = own.name
            if name.variable in FLAGS:
                found.setdefault(name.owner, {})[name.variable] = own.value == "true"
        for station_id in self._office.cards:
            for (_, variable, instance), entries in self._inventories.index(station_id).items():
                for _, entry in entries if variable in FLAGS and not instance else ():
                    shown = up(self._office.numbering, station_id, entry["component"])
                    if shown is not None:
                        found.setdefault(name_of(shown).owner, {}).setdefault(variable, _is_true(entry))
        return found


def _everything(item: Payload) -> bool:
    return True


def _settable(item: Payload) -> bool:
    """ConfigurationInventory: what an operator can set. Without a word about it, it can be."""
    return any(one.get("mutability", "ReadWrite") != "ReadOnly" for one in item["variableAttribute"])


def _summary(item: Payload) -> bool:
    """SummaryInventory: availability of all, and what is wrong."""
    name = name_of(item["component"], item["variable"])
    if name.variable in SUMMARY:
        return name.component in ("chargingstation", "evse", "connector")
    return name.variable in TROUBLE and _is_true(item)


def _is_true(item: Payload) -> bool:
    return any(one.get("type", "Actual") == "Actual" and str(one.get("value", "")).casefold() in ("true", "1") for one in item["variableAttribute"])


def _tidy(entry: Payload) -> Payload:
    """An element as the schemas want it: some stations add words of their own, or tell a secret that is write-only."""
    attributes = []
    for one in entry["variableAttribute"]:
        kept = {key: value for key, value in one.items() if key in ("type", "value", "mutability", "persistent", "constant")}
        if kept.get("mutability") == "WriteOnly":
            kept.pop("value", None)
        attributes.append(kept)
    found: Payload = {"component": entry["component"], "variable": entry["variable"], "variableAttribute": attributes}
    if isinstance(entry.get("variableCharacteristics"), dict):
        found["variableCharacteristics"] = entry["variableCharacteristics"]
    return found
