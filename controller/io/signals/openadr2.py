"""OpenADR 2.0b: a VEN in pull mode, whose protocol lives in a process of its own (``openadr2_child``).

This side keeps the child alive, reads the events it hands over (``signals.openadr2``), tells the site the whole schedule, and has the child
answer each event: optIn where the site takes it, optOut where nothing of it is obeyed or the site rejects it, and anew when that changes.
A child that crashes, hangs, floods or talks nonsense is killed and begun anew; the site only ever sees silence, and after that its failsafe.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from dataclasses import replace
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from controller.config_signals import OpenAdr2Signal
from controller.facts import EventsTold, GridEvent, SeriesKind, SeriesTold, SourceChanged
from controller.io.shell import StartError
from controller.io.signals.driver import Surroundings
from controller.io.signals.openadr3 import base_of
from controller.io.tasks import end, spawn
from controller.orders import AnswerEvent, AnswerSignal, TellSource
from signals.openadr2 import Event, Meaning, Window, meaning, read_events
from signals.openadr3 import Value, merged
from signals.openadr_plain import Refused

log = logging.getLogger(__name__)

MOST_LINE = 12 * 2**20
MOST_EVENTS = 1900
SYNC_S = 60.0
"""All events are asked for so often, however rarely the server wants to be polled; the site's heartbeat is longer."""
SILENT_S = 180.0
"""A child that says nothing for so long hangs."""
RESTART_S = (2.0, 60.0)
SERIES_BACK_S, SERIES_AHEAD_S = 3600.0, 72 * 3600.0
HOME = Path(__file__).resolve().parents[3]
MISMATCH, INVALID = 462, 454


def build(entry: OpenAdr2Signal, surroundings: Surroundings) -> Ven2:
    """The driver of an entry. Raises StartError when its certificate cannot be read."""
    return Ven2(entry, surroundings)


class Ven2:
    """One source. command: replaces the child's command line, for fault tests."""

    def __init__(self, entry: OpenAdr2Signal, surroundings: Surroundings, command: tuple[str, ...] | None = None) -> None:
        config = surroundings.config
        self.source_id = entry.id
        self._entry, self._clock, self._submit = entry, surroundings.clock, surroundings.submit
        self._command = command or (sys.executable, "-m", "controller.io.signals.openadr2_child")
        self._base = base_of(config, entry.circuit, entry.levels, entry.failsafe_w, entry.failsafe_production_w)
        self._currency, self._resource, self._zone = config.tariff.currency, config.site.id, ZoneInfo(config.site.timezone)
        self._child: Process | None = None
        self._tail: asyncio.Task[bytes] | None = None
        self._ven_id: str | None = None
        self._events: dict[str, Event] = {}
        self._meanings: dict[str, Meaning] = {}
        self._answers: dict[str, str] = {}
        self._opted: dict[tuple[str, int], str] = {}
        self._asked: dict[tuple[str, int], str] = {}
        self._readable: dict[str, Event] = {}
        self._told_prices: tuple[tuple[float, float, float], ...] | None = None
        self._notes: list[str] = []
        self._read_mono_s = float("-inf")
        self._said: tuple[bool, str] | None = None
        _check_files(entry)

    # -- what the shell wants -------------------------------------------------------------------------

    async def run(self) -> None:
        """Keep a child alive until cancelled."""
        wait_s = RESTART_S[0]
        while True:
            begin_s = self._clock.stamp().mono_s
            try:
                why = await self._live()
            except OSError as error:
                why = f"the VEN's process cannot be started: {error}"
            finally:
                last = await self._end()
            self._health(False, f"{why}{f' ({last})' if last else ''}; it is started again")
            wait_s = RESTART_S[0] if self._clock.stamp().mono_s - begin_s > 120 else min(RESTART_S[1], 2 * wait_s)
            await asyncio.sleep(wait_s)

    async def close(self) -> None:
        """End the child."""
        await self._end()

    def answered(self, order: AnswerSignal | AnswerEvent | TellSource) -> None:
        """Readings go to the child; what the site does with an event decides the opt."""
        if isinstance(order, TellSource):
            if self._entry.reports and self._clock.stamp().mono_s - self._read_mono_s >= 1.0:
                self._read_mono_s = self._clock.stamp().mono_s
                reading = {"power": order.power_w, "energy": order.energy_import_wh, "voltage": order.voltage_v, "wall_s": order.wall_s}
                self._tell_child({"kind": "reading"} | reading)
        elif isinstance(order, AnswerEvent):
            self._answers[order.event_id] = order.what
            event = self._events.get(order.event_id.rsplit("/", 2)[0])
            if event is not None and self._known(event) not in (None, self._opt(event)["opt_type"]):
                self._answer([event], "")

    def _known(self, event: Event) -> str | None:
        """How this version was answered, or is about to be."""
        key = event.id, event.version
        return self._asked.get(key, self._opted.get(key))

    # -- the child ------------------------------------------------------------------------------------

    async def _live(self) -> str:
        """Start a child and listen to it; why it is no use any more."""
        child = self._child = await asyncio.create_subprocess_exec(
            *self._command, stdin=PIPE, stdout=PIPE, stderr=PIPE, cwd=HOME, start_new_session=True, limit=MOST_LINE
        )
        assert child.stdout is not None
        self._tail = spawn(_last_words(child.stderr), f"{self.source_id} stderr")
        self._tell_child(self._settings())
        while True:
            try:
                async with asyncio.timeout(SILENT_S):
                    line = await child.stdout.readline()
            except TimeoutError:
                return "the VEN's process says nothing any more"
            except ValueError:
                return "the VEN's process says too much at once"
            if not line:
                return "the VEN's process has ended"
            if (why := self._heard(line)) is not None:
                return why

    def _settings(self) -> dict[str, Any]:
        entry = self._entry
        files = {name: str(path) if (path := getattr(entry, name)) else None for name in ("cert_file", "key_file", "ca_file")}
        told = {"url": entry.url, "ven_name": entry.ven_name, "ven_id": self._ven_id, "vtn_fingerprint": entry.vtn_fingerprint}
        more = {"poll_s": entry.poll_s, "sync_s": SYNC_S, "reports": entry.reports, "resource_id": self._resource}
        return files | told | more

    def _tell_child(self, line: dict[str, Any]) -> None:
        child = self._child
        if child is None or child.stdin is None or child.returncode is not None or child.stdin.is_closing():
            return
        if child.stdin.transport.get_write_buffer_size() < 1 << 20:  # one that does not read gets no more
            child.stdin.write(json.dumps(line).encode() + b"\n")

    async def _end(self) -> str:
        """Kill the child. Returns its last words."""
        child, tail, self._child, self._tail = self._child, self._tail, None, None
        if child is None:
            return ""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)
        await child.wait()
        words = b""
        if tail is not None:
            try:
                async with asyncio.timeout(0.5):
                    words = await tail
            except TimeoutError:
                await end([tail])
        lines = words.decode(errors="replace").strip().splitlines()
        return lines[-1][:200] if lines else ""

    def _heard(self, line: bytes) -> str | None:
        """One line of the child; why it cannot be listened to any more."""
        try:
            body = json.loads(line)
            kind = body["kind"]
            if kind == "health":
                self._health(bool(body["healthy"]), str(body["detail"])[:300])
                if body["healthy"]:
                    self._tell()
                else:
                    self._asked.clear()  # what was not sent is asked for again with the next list of all events
            elif kind == "opted":
                done = {(str(name), int(version)): str(opt) for name, version, opt in body["responses"]}
                self._opted |= done
                self._asked = {key: opt for key, opt in self._asked.items() if done.get(key) != opt}
            elif kind == "registered":
                self._ven_id = str(body["ven_id"])
            elif kind == "note":
                self._notes = [*self._notes, str(body["text"])[:300]][-10:]
            elif kind == "events":
                self._take(body["xml"], bool(body["whole"]))
        except (ValueError, KeyError, TypeError, RecursionError):
            log.exception("%s: a line of the VEN's process makes no sense", self.source_id)
            return "the VEN's process talks nonsense"
        return None

    def _health(self, healthy: bool, detail: str) -> None:
        if (healthy, detail) != self._said:
            self._said = healthy, detail
            self._submit(SourceChanged(self._clock.stamp(), self.source_id, healthy, detail))

    # -- events ---------------------------------------------------------------------------------------

    def _take(self, xml: str | None, whole: bool) -> None:
        """Events came. whole: all there are; else those that are new or changed, the others stay until all are asked for."""
        request_id, found = "", tuple[Event, ...]()
        if xml is not None:
            try:
                request_id, found = read_events(xml.encode("utf-8", "replace"), self._names(), self._zone)
            except Refused as refused:
                self._notes = [*self._notes, f"a message with events cannot be read: {refused}"][-10:]
                return
        known = self._events
        self._events = {} if whole else dict(known)
        for event in found:
            self._events[event.id] = self._best(event, known.get(event.id))
        self._meanings = {event.id: self._meant(event) for event in self._events.values()}
        self._readable = {name: event for name, event in self._readable.items() if name in self._events}
        self._opted = {key: opt for key, opt in self._opted.items() if key[0] in self._events}
        self._answers = {key: what for key, what in self._answers.items() if key.rsplit("/", 2)[0] in self._events}
        self._tell()
        wanted = [event for event in found if event.answer and event.status != "completed"]
        self._answer([event for event in wanted if not whole or self._known(event) is None], request_id)

    def _names(self) -> frozenset[str]:
        return frozenset(name for name in (self._entry.ven_name, self._ven_id) if name)

    def _best(self, event: Event, known: Event | None) -> Event:
        """A version that cannot be read leaves the last readable one in force."""
        if event.why and known is not None and not known.why and event.status not in ("cancelled", "completed"):
            self._notes = [*self._notes, f"event {event.id[:60]} cannot be read: {event.why}; its last readable version holds on"][-10:]
            return known
        return event

    def _meant(self, event: Event) -> Meaning:
        """What an event says. Where a limit of it cannot be read, what it said before holds on beside."""
        says = meaning(event, self._base, self._currency)
        if not says.unread:
            self._readable[event.id] = event
        elif (known := self._readable.get(event.id)) is not None:
            says.windows += [replace(window, key=f"{window.key}.before") for window in meaning(known, self._base, self._currency).windows]
        return says

    def _tell(self) -> None:
        at = self._clock.stamp()
        windows = [each for said in self._meanings.values() for each in said.windows if _ahead(each, at.wall_s)]
        windows.sort(key=lambda window: window.start_s)
        notes = [note for said in self._meanings.values() for note in said.notes]
        told = tuple(_event(window) for window in windows[:MOST_EVENTS])
        self._submit(EventsTold(at, self.source_id, told, tuple(dict.fromkeys((*notes, *self._notes)))[:50]))
        hour_s = at.wall_s // 3600 * 3600
        values = [
            Value("buy", start_s, end_s, price, self._events[name].priority or 10**6, self._events[name].created_s)
            for name, said in self._meanings.items()
            for start_s, end_s, price in said.prices
        ]
        slots = merged(values, "buy", hour_s - SERIES_BACK_S, hour_s + SERIES_AHEAD_S)
        if slots != self._told_prices:  # whole: prices of an event that was called off go with it, also while we were down
            self._submit(SeriesTold(at, SeriesKind.BUY, self.source_id, slots, whole=True))
        self._told_prices = slots

    def _answer(self, events: list[Event], request_id: str) -> None:
        """Have the child send what we do about events."""
        responses = [self._opt(event) for event in events]
        if responses:
            self._tell_child({"kind": "opt", "request_id": request_id, "responses": responses})
            self._asked |= {(event.id, event.version): said["opt_type"] for event, said in zip(events, responses, strict=True)}

    def _opt(self, event: Event) -> dict[str, Any]:
        says = self._meanings[event.id]
        answers = [self._answers.get(window.key) for window in says.windows]
        rejected = bool(answers) and all(what == "rejected" for what in answers)
        passive = event.test or event.status in ("cancelled", "completed") or says.obeyed or says.code == 200
        opt_in = event.ours and passive and not rejected
        code = says.code if event.ours else MISMATCH
        return {"event_id": event.id, "modification_number": event.version, "opt_type": "optIn" if opt_in else "optOut", "response_code": code}


def _ahead(window: Window, now_s: float) -> bool:
    return window.length_s is None or window.start_s + window.length_s > now_s


def _event(window: Window) -> GridEvent:
    return GridEvent(
        event_id=window.key,
        version=window.version,
        start_wall_s=window.start_s,
        duration_s=window.length_s,
        consumption_w=window.consumption_w,
        setpoint_w=window.setpoint_w,
        primacy=window.primacy,
        created_wall_s=window.created_s,
        answers=True,
        label=window.label,
    )


def _check_files(entry: OpenAdr2Signal) -> None:
    if (entry.cert_file is None) != (entry.key_file is None):
        raise StartError(f"signals: {entry.id}: cert_file and key_file belong together")
    for name in ("cert_file", "key_file", "ca_file"):
        path = getattr(entry, name)
        if path is not None and not os.access(path, os.R_OK):
            raise StartError(f"signals: {entry.id}: {name} {path} cannot be read; check the path and its permissions")


async def _last_words(stream: Any) -> bytes:
    kept = b""
    while piece := await stream.read(4096):
        kept = (kept + piece)[-2000:]
    return kept
