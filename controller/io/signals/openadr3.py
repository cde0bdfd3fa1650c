"""OpenADR 3: a VEN that reads a server's events and tells the site about limits, prices and CO2.

Polls, and is called where the site file says how we can be reached or the server has an MQTT notifier. A call is only a hint to poll now:
nothing in it is believed. Each poll that succeeds tells the whole schedule, which is the heartbeat; one that fails anywhere tells nothing, so
that no event is called off by an outage, by a page that was missing, or by an event that came in a broken version (its last readable one
stays). Decides nothing about energy: ``signals.openadr3`` says what events mean, ``site`` what holds.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import replace
from typing import Any
from zoneinfo import ZoneInfo

from controller.config import Config
from controller.config_base import ROOT_CIRCUIT
from controller.config_signals import LevelConfig, OpenAdr3Signal, PowerOrMinimum
from controller.facts import EventsTold, GridEvent, SeriesKind, SeriesTold, SourceChanged, Stamp
from controller.io.clock import fresh_seed
from controller.io.signals.driver import Surroundings
from controller.io.signals.openadr3_enrol import Enrolment
from controller.io.signals.openadr3_http import Params, Vtn, VtnError, parsed
from controller.io.signals.openadr3_mqtt import Announcements
from controller.io.signals.openadr3_reporter import Reporter
from controller.orders import AnswerEvent, AnswerSignal, TellSource
from controller.section_14a import resolved_w
from signals.openadr3 import Meaning, Us, Value, Window, meaning, means_us, merged, still
from signals.openadr3_objects import Event, Program, object_id, read_event, read_program
from signals.openadr_plain import Base, Refused, drawn

log = logging.getLogger(__name__)

MOST_EVENTS = 1900
"""Windows told to the site: those that come first."""
MOST_NOTES = 50
MOST_TARGETS = 50
SERIES_BACK_S = 3600.0
SERIES_AHEAD_S = 72 * 3600.0
SLOWEST_S = 300.0
FAR_S = 30.0
"""A difference of the clocks that people should know of [s]."""
QUICKEST_S = 1.0
"""Between two polls, however often we are called [s]."""


def build(entry: OpenAdr3Signal, surroundings: Surroundings) -> Ven:
    """The driver of an entry. Raises StartError when its CA file cannot be used."""
    return Ven(entry, surroundings)


class Ven:
    """One source. callback_token: what the server has to show when it calls us."""

    def __init__(self, entry: OpenAdr3Signal, surroundings: Surroundings) -> None:
        config = surroundings.config
        self.source_id = entry.id
        self.callback_token = fresh_seed()
        self._entry, self._clock, self._submit = entry, surroundings.clock, surroundings.submit
        resource_name = entry.resource_name or config.site.id
        self._us = Us(
            entry.ven_name,
            resource_name,
            base_of(config, entry.circuit, entry.levels, entry.failsafe_w, entry.failsafe_production_w),
            frozenset(entry.targets),
            frozenset(entry.programs),
            config.tariff.currency,
            entry.alert_level,
            zone=ZoneInfo(config.site.timezone),
        )
        self._vtn = Vtn(entry, self._clock)
        self._enrolment = Enrolment(entry, resource_name, self.callback_token)
        self._reporter = Reporter(config, entry.ven_name, resource_name)
        self._called = asyncio.Event()
        self._announcements = Announcements(entry, self._called.set)
        self._good: dict[str, Event] = {}
        self._seen_s: dict[str, float] = {}
        self._granted: set[str] = set()
        self._told_series: dict[str, tuple[tuple[float, float, float], ...]] = {}
        self._trouble = ""
        self._said: tuple[bool, str] | None = None
        self._failures = 0

    # -- what the shell wants -------------------------------------------------------------------------

    async def run(self) -> None:
        """Poll until cancelled."""
        while True:
            wait_s = await self._round()
            await asyncio.sleep(min(QUICKEST_S, wait_s))
            try:
                async with asyncio.timeout(max(0.0, wait_s - QUICKEST_S)):
                    await self._called.wait()
            except TimeoutError:
                continue

    async def close(self) -> None:
        """Give the subscription back and let go."""
        await self._announcements.close()
        try:
            async with asyncio.timeout(0.7):
                await self._enrolment.unsubscribe(self._vtn)
        except (TimeoutError, VtnError):
            log.debug("%s: the subscription is left behind", self.source_id)
        await self._vtn.close()

    def answered(self, order: AnswerSignal | AnswerEvent | TellSource) -> None:
        """Readings are kept for reports. OpenADR 3 knows no answers to events: what was done is in the reports."""
        if isinstance(order, TellSource):
            self._reporter.tell(order)

    async def notified(self, body: bytes) -> tuple[int, str]:
        """The server calls: we poll now. 400 for what is no notification."""
        try:
            found = parsed(body)
        except ValueError:
            found = None
        if not isinstance(found, dict) or not isinstance(found.get("objectType"), str):
            return 400, '{"title": "Bad Request", "status": 400, "detail": "this is no notification of OpenADR 3"}'
        self._called.set()
        return 200, "{}"

    # -- one round ------------------------------------------------------------------------------------

    async def _round(self) -> float:
        """Poll once. Returns how long to wait until the next time [s]."""
        self._called.clear()
        try:
            await self._poll()
        except VtnError as error:
            return self._failed(error)
        self._failures = 0
        return self._entry.poll_s

    def _failed(self, error: VtnError) -> float:
        """Say it, and wait longer each time; never so long that an outage that is over goes unseen for minutes."""
        self._failures += 1
        self._enrolment.forget()
        self._announcements.forget()
        self._health(False, str(error))
        slowest_s = max(self._entry.poll_s, min(SLOWEST_S, 4 * self._entry.poll_s))
        wait_s = min(slowest_s, self._entry.poll_s * 2.0 ** min(10, self._failures - 1))
        wait_s *= 1 + 0.2 * drawn(self._entry.ven_name, str(self._failures))
        return max(wait_s, error.retry_s or 0.0)

    async def _poll(self) -> None:
        at = self._clock.stamp()
        await self._enrolment.look(self._vtn, at.mono_s)
        programs, notes = await self._programs()
        raw = await self._events(programs)
        at = self._clock.stamp()
        events, meanings, more = await asyncio.to_thread(self._understood, raw, programs, at.wall_s)  # thousands of intervals take their time
        self._tell(at, meanings, [*notes, *more, *self._reporter.wanted(events)])
        self._health(True, "")
        try:
            await self._enrolment.subscribe(self._vtn, programs, at.mono_s)
            if self._enrolment.generation == "3.1" and self._entry.mqtt_notifier:
                await self._announcements.look(self._vtn, self._enrolment.ven_id, programs, at.mono_s)
            if self._entry.reports:
                await self._reporter.send(self._vtn, events, self._seen_s, at.wall_s, self._enrolment.generation)
            self._trouble = ""
        except VtnError as error:  # the schedule is told; the rest is tried again with the next poll
            self._trouble = f"reports or subscriptions do not get through: {error}"

    def _health(self, healthy: bool, detail: str) -> None:
        if (healthy, detail) != self._said:
            self._said = healthy, detail
            self._submit(SourceChanged(self._clock.stamp(), self.source_id, healthy, detail))

    # -- reading --------------------------------------------------------------------------------------

    async def _programs(self) -> tuple[dict[str, Program], list[str]]:
        """The programs that count, by id. Raises VtnError."""
        found: dict[str, Program] = {}
        notes: list[str] = []
        try:
            listed = await self._listed("/programs")
        except VtnError as error:
            if self._entry.programs or not (error.final or error.status == 403):
                raise
            return found, [f"the server does not show its programs: {error}"]
        for raw in listed.values():
            try:
                program = read_program(raw)
            except Refused as refused:
                notes.append(f"a program cannot be read: {refused}")
                continue
            if not self._entry.programs or program.name in self._entry.programs:
                found[program.id] = program
        missing = set(self._entry.programs) - {program.name for program in found.values()}
        notes += [f"the server shows us no program named {name!r}" for name in sorted(missing)]
        return found, notes

    async def _events(self, programs: dict[str, Program]) -> dict[str, Any]:
        """All events as they came, by id. Raises VtnError."""
        if not self._entry.programs:
            return await self._listed("/events", checked=True)
        found: dict[str, Any] = {}
        for program_id in programs:
            found |= await self._listed("/events", (("programID", program_id),), checked=True)
        return found

    async def _listed(self, path: str, params: Params = (), checked: bool = False) -> dict[str, Any]:
        """Objects by id, of all pages. checked: what was there before and is not on any of several pages is asked for by name, as a list
        that changes between two pages may lose an entry."""
        raw, several = await self._vtn.pages(path, params)
        for target in self._asked_targets():
            try:
                more, pages = await self._vtn.pages(path, (*params, ("targets", target)))
            except VtnError as error:
                if target in self._granted or not (error.final or error.status == 403):
                    raise
                continue
            self._granted.add(target)
            raw, several = raw + more, several or pages
        found = {name: each for each in raw if (name := _id_of(each)) is not None}
        if checked and several:
            for missing in [name for name in self._good if name not in found]:
                if (again := await self._again(f"{path}/{missing}")) is not None:
                    found[missing] = again
        return found

    def _asked_targets(self) -> tuple[str, ...]:
        """In 3.1 objects with targets are only shown to those who ask for them by name; 3.0 shows everything."""
        if self._enrolment.generation != "3.1":
            return ()
        named = self._entry.targets or self._enrolment.granted
        return tuple(dict.fromkeys((*named, self._entry.ven_name, self._us.resource_name)))[:MOST_TARGETS]

    async def _again(self, path: str) -> Any:
        try:
            return await self._vtn.get(path)
        except VtnError as error:
            if error.status in (403, 404, 410):
                return None
            raise

    # -- understanding --------------------------------------------------------------------------------

    def _understood(self, raw: dict[str, Any], programs: dict[str, Program], now_s: float) -> tuple[list[Event], list[Meaning], list[str]]:
        """(events that mean us, what they say, what is wrong with others). Runs beside the loop: there may be thousands of intervals."""
        us = self._who()
        events: list[Event] = []
        meanings: list[Meaning] = []
        notes: list[str] = []
        good: dict[str, Event] = {}
        self._seen_s = {name: self._seen_s.get(name, now_s) for name in raw}
        for name, each in raw.items():
            for event, why in self._versions(name, each):
                try:
                    said = self._meant(name, event, programs.get(event.program_id), us, now_s)
                except Refused as refused:
                    notes.append(f"event {event.name or event.id} cannot be used: {refused}")
                    continue
                if said is not None:
                    events.append(event)
                    meanings.append(said)
                readable = said is None or not said.unread
                good |= {name: event} if readable else {name: known} if (known := self._good.get(name)) else {}
                notes += [why] if why else []
                break
            else:
                notes.append(f"event {name} cannot be used; what it asks for is not known")
        self._good = good
        return events, meanings, notes

    def _meant(self, name: str, event: Event, program: Program | None, us: Us, now_s: float) -> Meaning | None:
        """What an event says, None = nothing to us. Where a limit of it cannot be read, what it said before holds on beside. Raises Refused."""
        if not means_us(event, program, us):
            return None
        said = meaning(event, program, us, self._seen_s[name], now_s)
        known = self._good.get(name) if said.unread else None
        return said if known is None else still(said, meaning(known, program, us, self._seen_s[name], now_s))

    def _who(self) -> Us:
        us = self._us
        enforced = self._enrolment.generation == "3.1"
        return us if us.enforced == enforced else replace(us, enforced=enforced)

    def _versions(self, name: str, raw: Any) -> Iterable[tuple[Event, str]]:
        """An event as it is, and, if that cannot be read, as it was."""
        why = ""
        try:
            yield read_event(raw), ""
        except Refused as refused:
            why = f"event {name} cannot be read: {refused}; its last readable version holds on"
        if (known := self._good.get(name)) is not None:
            yield known, why or f"event {name}: its last usable version holds on"

    # -- telling --------------------------------------------------------------------------------------

    def _tell(self, at: Stamp, meanings: list[Meaning], notes: list[str]) -> None:
        windows = sorted((window for each in meanings for window in each.windows), key=lambda window: window.start_s)
        self._announcements.heard()
        own = [*self._enrolment.notes.values(), self._announcements.note, self._trouble, self._clocks()]
        said = [*notes, *(note for each in meanings for note in each.notes), *own]
        new = tuple(dict.fromkeys(note[:300] for note in said if note))[:MOST_NOTES]
        self._submit(EventsTold(at, self.source_id, tuple(_event(window) for window in windows[:MOST_EVENTS]), new))
        self._tell_series(at, [value for each in meanings for value in each.values])

    def _clocks(self) -> str:
        """Events are told in the time of day: clocks that differ shift them."""
        ahead_s = self._vtn.ahead_s
        if abs(ahead_s) <= FAR_S:
            return ""
        way = "ahead of" if ahead_s > 0 else "behind"
        return f"the server's clock is about {_rough(abs(ahead_s))} {way} ours; its events hold by ours: set the clock of whichever is wrong"

    def _tell_series(self, at: Stamp, values: list[Value]) -> None:
        """What is new, whole: prices of an event that was called off go with it. The window moves by whole hours so that a series is not told
        anew with each poll. After a start also that there is none: the site may remember one."""
        hour_s = at.wall_s // 3600 * 3600
        for kind in (SeriesKind.BUY, SeriesKind.SELL, SeriesKind.CO2):
            slots = merged(values, kind.value, hour_s - SERIES_BACK_S, hour_s + SERIES_AHEAD_S)
            if slots != self._told_series.get(kind):
                self._submit(SeriesTold(at, kind, self.source_id, slots, whole=True))
            self._told_series[kind] = slots


def _rough(seconds: float) -> str:
    """So that a note does not change with each poll."""
    return f"{round(seconds / 30) * 30:.0f} s" if seconds < 600 else f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"


def _id_of(raw: Any) -> str | None:
    try:
        return object_id(raw)
    except Refused:
        return None


def _event(window: Window) -> GridEvent:
    return GridEvent(
        event_id=window.key,
        version=0,  # a poll is always the newest word: what it says replaces what was said, whatever the server's clock
        start_wall_s=window.start_s,
        duration_s=window.length_s,
        consumption_w=window.consumption_w,
        production_w=window.production_w,
        setpoint_w=window.setpoint_w,
        primacy=window.primacy,
        created_wall_s=window.created_s,
        label=window.label,
    )


def base_of(
    config: Config, circuit: str, levels: tuple[LevelConfig, ...], failsafe_w: PowerOrMinimum | None, failsafe_production_w: float | None
) -> Base:
    """What percents, amps and levels of a source mean on its circuit."""
    grid = config.grid
    amps_w = grid.voltage_v * grid.phases
    fuse_a = next((each.fuse_a for each in config.circuits if each.id == circuit), grid.fuse_a)
    nominal_w = fuse_a * amps_w
    if circuit == ROOT_CIRCUIT and grid.max_import_w is not None:
        nominal_w = min(nominal_w, grid.max_import_w)
    left_w = [nominal_w * (level.consumption_percent or 0.0) / 100 if level.consumption_w is None else level.consumption_w for level in levels]
    return Base(
        nominal_w,
        grid.max_export_w,
        amps_w,
        (left_w[0], left_w[1], left_w[2]),
        resolved_w(failsafe_w, config),
        failsafe_production_w,
    )
