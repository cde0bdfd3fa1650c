"""Reports of many stations become one report with one requestId, in pages.

The pages of the stations are sent on as they come, but the last one we have is held back until it is known whether it is the last of all:
only then can its "to be continued" be told. Nothing goes up before the CSMS has had its answer (``start``). A station that is silent for
``SILENT_S`` or goes away is not waited for any more, and that is told in the event log.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from controller.link.depot.asking import tell
from controller.link.depot.office import Card, Office
from controller.ocpp.hub import Conversation, Message, Payload, Post, Said
from controller.orders import Severity

SILENT_S: Final = 60.0
KEPT: Final = 16
"""Reports under way at once; the oldest one ends when there are more."""

Dress = Callable[[Payload, int, bool], Payload]
"""(page without requestId, its number in the report, whether more follow) -> the payload for the CSMS."""


@dataclass(slots=True)
class _Report:
    request_id: int
    open: set[str]
    pages: deque[Payload] = field(default_factory=deque)
    started: bool = False
    sent: int = 0
    heard_mono_s: float = 0.0


class Gathering:
    """The reports of one action. dress: adds tbc, and seqNo where the message has one."""

    def __init__(self, office: Office, action: str, dress: Dress) -> None:
        self._office = office
        self._action = action
        self._dress = dress
        self._reports: dict[int, _Report] = {}

    def begin(self, request_id: int, stations: Iterable[str]) -> int:
        """A report is asked for; returns the requestId under which the stations are asked."""
        down_id = self._office.number()
        self._reports[down_id] = _Report(request_id, set(stations), heard_mono_s=self._office.now().mono_s)
        if len(self._reports) > KEPT:
            self._reports.pop(next(iter(self._reports)))
        return down_id

    def add(self, down_id: int, page: Payload) -> None:
        """A page of our own."""
        if down_id in self._reports:
            self._reports[down_id].pages.append(page)

    def expect(self, down_id: int, stations: Iterable[str]) -> None:
        """Only these will report; the others have refused or have nothing. Those whose last page is already here do not come back."""
        report = self._reports.get(down_id)
        if report is not None:
            report.open &= set(stations)

    def start(self, down_id: int) -> None:
        """The CSMS gets its answer now: pages may go up from the next second on."""
        if down_id in self._reports:
            self._reports[down_id].started = True

    def drop(self, down_id: int) -> None:
        """There is nothing to report."""
        self._reports.pop(down_id, None)

    def page(self, station_id: str, message: Message, pages: Iterable[Payload]) -> Conversation:
        """A station reports: it gets its answer at once. pages: what it said, in the depot's words."""
        report = self._reports.get(message.payload.get("requestId", -1))
        if report is not None and station_id in report.open:
            report.pages.extend(pages)
            report.heard_mono_s = self._office.now().mono_s
            if not message.payload.get("tbc"):
                report.open.discard(station_id)
            if report.started:
                yield from self._flush(report)
        return Said({})

    def knows(self, down_id: int) -> bool:
        """Whether such a report is under way."""
        return down_id in self._reports

    def station_changed(self, card: Card) -> list[Conversation]:
        """One that went away reports no more."""
        if card.linked:
            return []
        waiting = [report for report in self._reports.values() if card.station_id in report.open]
        for report in waiting:
            report.open.discard(card.station_id)
        return [self._missing(report, {card.station_id}) for report in waiting]

    def tick(self) -> list[Conversation]:
        """Reports whose answer has gone up begin; those that stay silent end."""
        now_mono_s = self._office.now().mono_s
        talks: list[Conversation] = []
        for report in [report for report in self._reports.values() if report.started]:
            if report.open and now_mono_s - report.heard_mono_s >= SILENT_S:
                missing, report.open = report.open, set()
                talks.append(self._missing(report, missing))
            elif report.pages:
                talks.append(self._flush(report))
        self._reports = {key: report for key, report in self._reports.items() if report.open or report.pages or not report.started}
        return talks

    def _missing(self, report: _Report, stations: set[str]) -> Conversation:
        yield tell(self._office, Severity.WARNING, f"{self._action} to the CSMS is without {', '.join(sorted(stations))}: no report came in time")
        return (yield from self._flush(report)) if report.started else Said({})

    def _flush(self, report: _Report) -> Conversation:
        while report.pages and (len(report.pages) > 1 or not report.open):
            page = report.pages.popleft()
            more = bool(report.pages or report.open)
            report.sent += 1
            payload = {"requestId": report.request_id, **self._dress(page, report.sent - 1, more)}
            yield Post(self._action, payload)
        return Said({})
