"""Sends the reports that OpenADR 3 events ask for, each once, with the readings the site gives us.

A report that the server does not take now is tried again with the next poll, for a day; one it will never take is given up and said so.
Reports about times before our first reading are left out.

OpenADR 3 gives a report no number of the client's. So each has a name of its own, which is the same whenever we ask; and where we cannot know
whether the server has it (the first one after a start, one whose answer was lost, a 409), its list of our reports is asked before it is sent.
"""

from __future__ import annotations

import logging
from typing import Any

from controller.config import Config
from controller.io.signals.openadr3_http import Vtn, VtnError
from controller.orders import TellSource
from signals.openadr3_objects import Event, ReportRequest
from signals.openadr3_reports import LATE_S, Due, Sample, Samples, Storage, Timing, due, first_number, grouped, report
from signals.openadr3_times import slots
from signals.openadr_plain import Refused

log = logging.getLogger(__name__)

MOST_A_ROUND = 20


class Reporter:
    """One source's reports."""

    def __init__(self, config: Config, ven_name: str, resource_name: str) -> None:
        battery = config.battery
        self._names = (ven_name, resource_name)
        self._storage = Storage(battery.capacity_wh, battery.max_charge_w, battery.max_discharge_w) if battery is not None else None
        self._samples = Samples()
        self._first_s: float | None = None
        self._next: dict[tuple[str, Timing], int] = {}
        self._refused: dict[tuple[str, Timing], str] = {}
        self._sure: set[tuple[str, Timing]] = set()

    def tell(self, order: TellSource) -> None:
        """Keep a reading."""
        self._first_s = order.wall_s if self._first_s is None else min(self._first_s, order.wall_s)
        self._samples.add(
            Sample(
                order.wall_s,
                order.power_w,
                order.energy_import_wh,
                order.energy_export_wh,
                order.voltage_v,
                order.controllable_w,
                order.soc_percent,
                order.limit_w,
                order.limit_w is not None or order.production_limit_w is not None,
            )
        )

    def wanted(self, events: list[Event]) -> list[str]:
        """Why some reports that are asked for are not sent."""
        found = [f"event {event.name or event.id}: {note}" for event in events for note in grouped(event.reports)[1]]
        return [*found, *self._refused.values()]

    async def send(self, vtn: Vtn, events: list[Event], seen_s: dict[str, float], now_s: float, generation: str) -> None:
        """Send what is due. Raises VtnError when the server is away."""
        known = {_name(event) for event in events}
        self._next = {key: number for key, number in self._next.items() if key[0] in known}
        self._refused = {key: why for key, why in self._refused.items() if key[0] in known}
        self._sure = {key for key in self._sure if key[0] in known}
        left = MOST_A_ROUND
        for event in events:
            for timing, requests in grouped(event.reports)[0].items():
                left -= await self._event(vtn, event, timing, requests, (seen_s.get(event.id, now_s), now_s), generation, left)

    async def _event(
        self, vtn: Vtn, event: Event, timing: Timing, requests: list[ReportRequest], times: tuple[float, float], generation: str, most: int
    ) -> int:
        """Reports of one event. Returns how many were sent."""
        seen_s, now_s = times
        if self._first_s is None or most <= 0:
            return 0
        key, sent = (_name(event), timing), 0
        try:
            slotted = slots(event, self._names[0], seen_s, now_s) if event.intervals else ()
            number = self._next.get(key, -1)
            if number < 0:
                number = 0 if timing.frequency == 0 else first_number(event, timing, seen_s, slotted, min(self._first_s, now_s))
            while sent < most and (what := due(event, timing, number, self._names[0], seen_s, now_s, slotted)) and what.due_s <= now_s:
                if not self._worth(what, now_s) or await self._one(vtn, event, key, requests, what, now_s, generation):
                    number += 1
                    self._next[key] = number
                    sent += what.due_s >= now_s - LATE_S
                else:
                    break
        except Refused as refused:
            self._refused[key] = f"event {event.name or event.id}: its reports cannot be made: {refused}"
        return sent

    def _worth(self, what: Due, now_s: float) -> bool:
        return what.due_s >= now_s - LATE_S and self._first_s is not None and what.due_s >= self._first_s

    async def _one(
        self, vtn: Vtn, event: Event, key: tuple[str, Timing], requests: list[ReportRequest], what: Due, now_s: float, generation: str
    ) -> bool:
        """Whether the report is done with. Raises VtnError when the server is away."""
        body: dict[str, Any] | None = report(event, requests, what, self._samples, self._storage, self._names, now_s, generation)
        if body is None:
            self._refused[key] = f"event {event.name or event.id}: a report is left out, as nothing it asks for was measured"
            return True
        if key not in self._sure and await _there(vtn, body, event.program_id, generation):
            self._sure.add(key)
            return True
        try:
            await vtn.send("POST", "/reports", body)
        except VtnError as error:
            return await self._refusal(vtn, event, key, body, error, generation)
        self._sure.add(key)
        self._refused.pop(key, None)
        return True

    async def _refusal(self, vtn: Vtn, event: Event, key: tuple[str, Timing], body: dict[str, Any], error: VtnError, generation: str) -> bool:
        """After a report that was not taken. Raises VtnError when it is to be tried again."""
        if error.doubtful:
            self._sure.discard(key)
        if not error.final and error.status != 403:
            raise error
        if error.status != 409 or await _there(vtn, body, event.program_id, generation) is False:
            self._refused[key] = f"event {event.name or event.id}: the server does not take its report: {error}"
        return True


async def _there(vtn: Vtn, body: dict[str, Any], program_id: str, generation: str) -> bool | None:
    """Whether the server has this report; None = it does not say. Raises VtnError when it is away."""
    narrow = ("eventID", str(body["eventID"])) if generation != "3.0" else ("programID", program_id)
    try:
        listed, _ = await vtn.pages("/reports", (("clientName", str(body["clientName"])), narrow))
    except VtnError as error:
        if error.status == 0 or error.status >= 500 or error.status == 429:
            raise
        return None
    same = ("eventID", "clientName", "reportName")
    return any(isinstance(each, dict) and all(each.get(name) == body[name] for name in same) for each in listed)


def _name(event: Event) -> str:
    """An id that a server uses again is another event: what was reported of the first one is not reported of it."""
    return f"{event.id} {event.created_s}"
