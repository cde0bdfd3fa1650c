"""GetBaseReport and GetReport of the whole depot (B07, B08), in pages of NotifyReport.

The answer goes first; the pages follow one after the other, each after the CSMS has taken the last one. A report
begins with the depot's own components; then come the chargers, each asked anew first if what is known of it is old. A charger that does
not answer is shown as it was last known. One report runs at a time, others wait in line, at most ``MOST_WAITING``.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Any, Final

from controller.link.depot.addresses import Name, size_of, up
from controller.link.depot.inventory import Inventories
from controller.link.depot.inventory_entries import Entries, Index, settable
from controller.link.depot.matching import filter_of
from controller.link.depot.office import Office
from controller.link.depot.own_model import OwnModel
from controller.link.depot.own_words import BYTES, ITEMS, Own
from controller.link.depot.paging import pages
from controller.link.depot.variables import OWN_WINS
from controller.ocpp.hub import HUB, Ask, Conversation, Emit, Failed, Message, Reply, Rest, Said, Step, answered
from controller.ocpp.times import timestamp
from controller.orders import Severity, Tell

Payload = dict[str, Any]
Owner = tuple[str, str, int, int]
Flags = dict[Owner, dict[str, bool]]
"""Component in the depot's words -> which of the criteria it has as a variable, and whether it is true."""

MOST_WAITING: Final = 5
ATTEMPTS: Final = 2
REFRESH_S: Final = 120.0
"""All chargers together may take so long to be asked anew; then the rest is shown as last known."""
SUMMARY: Final = frozenset({"availabilitystate"})
TROUBLE: Final = frozenset({"problem", "tripped", "overload", "fallback"})
PROBLEM: Final = "problem"
YES: Final = ("true", "1")
CRITERIA: Final = frozenset({"Active", "Available", "Enabled", "Problem"})


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a report is about. name, entry: both must be right, the cheap one is asked first. criteria: in small letters, none = no matter.

    components: nothing else is looked at, None = all. settable: only what an operator can set.
    """

    name: Callable[[Name], bool] | None = None
    entry: Callable[[Payload], bool] | None = None
    criteria: frozenset[str] = frozenset()
    components: frozenset[str] | None = None
    settable: bool = False

    def takes(self, name: Name, flags: Flags) -> bool:
        """The criteria: one of them is true, or is no variable of the component; a problem must be told (B08.FR.07-10)."""
        if self.name is not None and not self.name(name):
            return False
        if not self.criteria:
            return True
        stated = flags.get(name.owner, {})
        return any(stated.get(one, one != PROBLEM) for one in self.criteria)

    def tells(self, entry: Payload) -> bool:
        """Whether the variable itself is right."""
        return (self.entry is None or self.entry(entry)) and (not self.settable or settable(entry))


@dataclass(frozen=True, slots=True)
class _Job:
    request_id: int
    wanted: Wanted
    anew: bool  # chargers are asked anew


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
        wanted = BASES.get(message.payload["reportBase"])
        if wanted is None:
            return answered(Said({"status": "NotSupported"}))
        return answered(self._queued(_Job(message.payload["requestId"], wanted, anew=True)))

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
        job = _Job(payload["requestId"], _chosen(filters, criteria), anew=False)
        if self._inventories.ready and next(self.items(job.wanted), None) is None:
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
            if job.anew:
                yield from self._refresh()
            while not self._inventories.ready:  # a moment after the start
                yield Rest(1.0)
            seq = 0
            for page, more in pages(self.items(job.wanted)):
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

    def items(self, wanted: Wanted) -> Iterator[Payload]:
        """The device model as reportData, every variable once: the depot's own, then charger by charger.

        What is known is fixed at the first item: a report goes on for a while.
        """
        stations = self._office.cards
        known = {station_id: (self._inventories.of(station_id), self._inventories.index(station_id)) for station_id in stations}
        yield from _told([(own.name, own) for own in self._own.station_tier()], wanted, {})
        numbers: dict[str, list[int]] = {station_id: [] for station_id in stations}
        for number, evse in self._office.numbering.all():
            numbers.setdefault(evse.station_id, []).append(number)
        for station_id, here in numbers.items():
            tier = [(own.name, own) for number in here for own in self._own.of_evse(number)]
            yield from self._station(station_id, *known.get(station_id, (Entries(), Index())), tier, wanted)

    def _station(self, station_id: str, entries: Entries, index: Index, tier: list[tuple[Name, Own]], wanted: Wanted) -> Iterator[Payload]:
        """A charger's own words, and the depot's about its EVSEs where they count or it has none."""
        flags = _flags(entries, index, tier, wanted.criteria) if wanted.criteria else {}
        if wanted.criteria == {PROBLEM} and not any(stated.get(PROBLEM) for stated in flags.values()):
            return
        ours = {name for name, _ in tier if name.variable in OWN_WINS}
        components = index.by_component if wanted.components is None else wanted.components
        for component in components:
            for shown, own in index.by_component.get(component, ()):
                if (wanted.settable and not entries.settable(own)) or shown in ours or not wanted.takes(shown, flags):
                    continue
                entry = entries[own]
                if wanted.tells(entry):
                    yield _tidy({**entry, "component": up(self._office.numbering, station_id, entry["component"])})
        theirs = {place.shown for name, _ in tier for place in index.by_component.get(name.component, ())} - ours
        yield from _told([(name, own) for name, own in tier if name not in theirs], wanted, flags)


def _told(tier: list[tuple[Name, Own]], wanted: Wanted, flags: Flags) -> Iterator[Payload]:
    """Of the depot's own variables, those that are wanted."""
    stated = flags or (_flags(Entries(), Index(), tier, wanted.criteria) if wanted.criteria else {})
    for name, own in tier:
        if wanted.takes(name, stated) and wanted.tells(report := own.report()):
            yield report


def _flags(entries: Entries, index: Index, tier: list[tuple[Name, Own]], criteria: frozenset[str]) -> Flags:
    found: Flags = {}
    for name, own in tier:
        if name.variable in criteria:
            found.setdefault(name.owner, {})[name.variable] = own.value == "true"
    for shown, own_name in index.flags:
        if shown.variable in criteria:
            found.setdefault(shown.owner, {}).setdefault(shown.variable, str(entries.actual(own_name)).casefold() in YES)
    return found


def _chosen(filters: list[Payload], criteria: set[str]) -> Wanted:
    """What a GetReport is about."""
    tests = [filter_of(one) for one in filters]
    components = frozenset(str(one["component"]["name"]).casefold() for one in filters)
    return Wanted(
        (lambda name: any(test(name) for test in tests)) if tests else None,
        criteria=frozenset(one.casefold() for one in criteria),
        components=components if filters else None,
    )


def _short(name: Name) -> bool:
    """SummaryInventory: availability of all, and what is wrong."""
    return name.variable in TROUBLE or (name.variable in SUMMARY and name.component in ("chargingstation", "evse", "connector"))


def _summary(item: Payload) -> bool:
    return str(item["variable"]["name"]).casefold() in SUMMARY or _is_true(item)


def _is_true(item: Payload) -> bool:
    return any(one.get("type", "Actual") == "Actual" and str(one.get("value", "")).casefold() in YES for one in item["variableAttribute"])


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


BASES: Final = {
    "FullInventory": Wanted(),
    "ConfigurationInventory": Wanted(settable=True),
    "SummaryInventory": Wanted(name=_short, entry=_summary),
}
