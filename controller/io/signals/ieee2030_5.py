"""Driver: an IEEE 2030.5 (CSIP) utility server over mutual TLS.

Polled, as often as the server's resources ask for, and at once when it notifies us (``ieee2030_5_notify``). Each whole poll of our programs is
told to the site as one schedule, in our clock; one that fails part-way tells nothing, so nothing is lifted by a server that stumbles. Where
the server wants to be asked more rarely than the site's heartbeat allows, its Time is read in between: it lives. Demands nothing of the site:
``site`` decides.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Final

from controller.certificates import CertificateError
from controller.config_signals import Ieee20305Signal, SignalConfig
from controller.facts import EventsTold, GridEvent, SignalBeat, SourceChanged, Stamp
from controller.io.shell import StartError
from controller.io.signals.driver import Surroundings
from controller.io.signals.ieee2030_5_alarms import AlarmLog
from controller.io.signals.ieee2030_5_answers import Answers
from controller.io.signals.ieee2030_5_http import Http, ServerError
from controller.io.signals.ieee2030_5_notify import Door, Subscriptions
from controller.io.signals.ieee2030_5_reports import Reports
from controller.io.signals.ieee2030_5_site import ourselves
from controller.io.signals.ieee2030_5_walk import Places, UnregisteredError, Walk
from controller.orders import AnswerEvent, AnswerSignal, TellSource
from signals import csip_resources as resources
from signals.csip_clock import ServerClock
from signals.csip_schedule import Planned, ProgramState, Schedule, held, schedule
from signals.csip_xml import XmlError

log = logging.getLogger(__name__)

TICK_S: Final = 0.25
BACKOFF_S: Final = (5.0, 300.0)
STRUCTURE_S: Final = 900.0
"""Between two looks at what is assigned to us, where the server does not say (the standard's default)."""
LOOK_AGAIN_S: Final = 60.0
QUICKEST_S: Final = 1.0
"""Between two polls that notifications cause, however many there are [s]."""
JUMP_S: Final = 2.0
FAR_S: Final = 30.0
"""A difference of the clocks that people should know of."""


class Ieee20305Driver:
    """One server. Times of the loop are monotonic."""

    def __init__(self, entry: Ieee20305Signal, surroundings: Surroundings) -> None:
        self.source_id = entry.id
        self._entry, self._clock, self._submit = entry, surroundings.clock, surroundings.submit
        self._we = ourselves(surroundings.config, entry)
        self._http = Http(entry)
        self._walk = Walk(entry, self._http, self._we)
        self._server = ServerClock()
        path = surroundings.config.data_dir / f"ieee2030_5-{entry.id}.json"
        self._answers = Answers(path, self._we.lfdi, self._http, self._server_s)
        alarms = surroundings.config.data_dir / f"ieee2030_5-{entry.id}-alarms.json"
        nominal_v = surroundings.config.grid.voltage_v
        self._reports = Reports(entry, self._http, self._we, self._server_s, AlarmLog(alarms, nominal_v, self._http, self._server_s))
        self._door = Door(entry, self._hinted, self._cancelled) if entry.notify_url is not None else None
        self._subscriptions = Subscriptions(self._http, self._door) if self._door is not None else None
        self._hint = False
        self._polled_mono_s = float("-inf")
        self._places: Places | None = None
        self._states: tuple[ProgramState, ...] | None = None
        self._schedule = Schedule((), {})
        self._versions: dict[str, tuple[int, Planned]] = {}
        self._due: dict[str, float] = {}
        self._lost = ""
        self._said: tuple[bool, str] | None = None
        stamp = self._clock.stamp()
        self._mono_to_wall_s = stamp.wall_s - stamp.mono_s * stamp.wall_speed

    def answered(self, order: AnswerSignal | AnswerEvent | TellSource) -> None:
        """What the site says: of events, and what it measures."""
        if isinstance(order, AnswerEvent):
            self._answers.told(order)
        elif isinstance(order, TellSource):
            self._reports.told(order)

    async def close(self) -> None:
        """Keep the responses that wait, give subscriptions back, let go of the connection."""
        await self._answers.close()
        if self._door is not None and self._subscriptions is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.5):
                    await self._subscriptions.close()
            await self._door.stop()
        await self._http.close()

    async def run(self) -> None:
        """Poll, answer and report until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._poll_for_ever())
            group.create_task(self._answers.run())
            group.create_task(self._report_for_ever())
            group.create_task(self._subscribe_for_ever())

    # -- the polls ---------------------------------------------------------------------------------------------

    async def _poll_for_ever(self) -> None:
        first_s = pause_s = min(BACKOFF_S[0], self._entry.poll_s)
        while True:
            try:
                await self._round()
                pause_s, wait_s = first_s, TICK_S
            except UnregisteredError as error:
                self._places = None
                wait_s = error.wait_s or self._entry.poll_s
                self._say(False, str(error))
            except (ServerError, XmlError) as error:
                self._cancelled()  # it may have forgotten them
                wait_s = max(pause_s, (error.retry_s or 0.0) if isinstance(error, ServerError) else 0.0)
                pause_s = min(2 * pause_s, BACKOFF_S[1])
                if _shut_out(error):
                    self._places = None
                self._say(False, f"{error}; what was scheduled stays so, we try again")
            await asyncio.sleep(wait_s)

    async def _round(self) -> None:
        """Do what is due. Raises ServerError, XmlError, UnregisteredError."""
        stamp = self._clock.stamp()
        mono_s = stamp.mono_s
        self._take_hint(mono_s)
        places = await self._find(stamp)
        self._watch_jumps(mono_s, stamp.wall_s, stamp.wall_speed)
        beat = await self._read_time(places, mono_s)
        if self._is_due("programs", mono_s):
            await self._read_programs(places, mono_s)
        elif self._schedule.next_s is not None and self._server_s(self._clock.stamp().wall_s) >= self._schedule.next_s:
            self._tell()
        elif beat and self._states is not None:
            self._submit(SignalBeat(self._clock.stamp(), self.source_id))
        self._say(True, self._words())

    async def _report_for_ever(self) -> None:
        """Beside the polls: a server that takes readings slowly delays no limit."""
        while True:
            await asyncio.sleep(TICK_S)
            if self._places is not None and self._states is not None:
                stamp = self._clock.stamp()
                await self._reports.round(self._places, stamp.mono_s, stamp.wall_s, self._connected())

    def _hinted(self) -> None:
        """The server says that something has changed."""
        self._hint = True

    def _take_hint(self, mono_s: float) -> None:
        """Look now, also at what is assigned to us."""
        if self._hint and mono_s - self._polled_mono_s >= QUICKEST_S:
            self._hint, self._polled_mono_s = False, mono_s
            self._due.pop("places", None)
            self._due.pop("programs", None)

    def _cancelled(self) -> None:
        if self._subscriptions is not None:
            self._subscriptions.forget()

    async def _subscribe_for_ever(self) -> None:
        """Beside the polls, as a server that takes subscriptions slowly delays no limit."""
        while self._subscriptions is not None:
            await asyncio.sleep(TICK_S)
            if self._places is not None and self._states is not None:
                mono_s = self._clock.stamp().mono_s
                await self._subscriptions.keep(self._places.subscriptions, self._walk.subscribable, mono_s)

    def _is_due(self, name: str, mono_s: float) -> bool:
        return mono_s >= self._due.get(name, mono_s)

    async def _find(self, at: Stamp) -> Places:
        before, mono_s = self._places, at.mono_s
        if before is not None and not self._is_due("places", mono_s):
            return before
        try:
            places = await self._walk.places(at)
        except (ServerError, XmlError) as error:
            if before is None or _shut_out(error):
                raise
            self._due["places"] = mono_s + LOOK_AGAIN_S
            self._lost = f"what is assigned to us could not be read anew ({error}), what we know goes on"
            return before
        if before is None or places.programs != before.programs:
            self._due.pop("programs", None)
        self._places, self._lost = places, ""
        self._due["places"] = mono_s + (places.poll_s or STRUCTURE_S)
        return places

    async def _read_time(self, places: Places, mono_s: float) -> bool:
        """Whether the server has told its time just now. A server without Time goes by ours."""
        if places.time is None or not self._is_due("time", mono_s):
            return False
        asked_s = self._clock.stamp().wall_s
        got = await self._http.get(places.time)
        found = resources.server_time(got.body)
        before_s = self._server.offset_s
        self._server = self._server.read(found.now_s, asked_s, self._clock.stamp().wall_s)
        self._due["time"] = mono_s + min(found.poll_s or self._entry.poll_s, self._beat_s())
        if before_s is not None and self._server.offset_s != before_s:
            self._tell()
        return True

    def _beat_s(self) -> float:
        """How often the server must be heard, so that the site does not think it silent."""
        return self._entry.heartbeat_s / 3 if self._entry.heartbeat_s > 0 else float("inf")

    def _watch_jumps(self, mono_s: float, wall_s: float, speed: float) -> None:
        """Our clock was set (F77): ask for the server's time at once."""
        now_s = wall_s - mono_s * speed
        jump_s, self._mono_to_wall_s = now_s - self._mono_to_wall_s, now_s
        if abs(jump_s) > JUMP_S * speed:
            self._server = self._server.jumped(jump_s)
            self._due.pop("time", None)
            self._tell()

    async def _read_programs(self, places: Places, mono_s: float) -> None:
        states, poll_s = await self._walk.programs(places)
        self._states = held(states, self._states or ())
        self._due["programs"] = mono_s + (poll_s or self._entry.poll_s)
        self._tell()

    # -- what is told to the site ------------------------------------------------------------------------------------

    def _server_s(self, wall_s: float) -> float:
        return self._server.server_s(wall_s)

    def _tell(self) -> None:
        """The schedule as a whole, in our clock."""
        if self._states is None:
            return
        stamp = self._clock.stamp()
        known = self._answers.known
        self._schedule = schedule(self._states, self._we.ratings, self._we.lfdi, self._server_s(stamp.wall_s), known)
        self._answers.scheduled(self._schedule, stamp.wall_s)
        self._versions = {event.event_id: self._version(event, stamp.wall_s) for event in self._schedule.events}
        self._submit(EventsTold(stamp, self.source_id, tuple(self._event(event) for event in self._schedule.events)))

    def _version(self, event: Planned, wall_s: float) -> tuple[int, Planned]:
        """Its version for the site: rises with every change, also where the server forgot to count, and over restarts."""
        known = self._versions.get(event.event_id)
        return known if known is not None and known[1] == event else (self._answers.version(wall_s), event)

    def _event(self, event: Planned) -> GridEvent:
        return GridEvent(
            event.event_id,
            self._versions[event.event_id][0],
            self._server.wall_s(event.start_s),
            event.duration_s,
            event.effects.consumption_w,
            event.effects.production_w,
            event.effects.setpoint_w,
            event.effects.battery_w,
            primacy=event.primacy,
            created_wall_s=event.created_s,
            randomize_start_s=event.randomize_start_s,
            randomize_duration_s=event.randomize_duration_s,
            cancelled=event.cancelled,
            answers=event.answers,
            connected=event.effects.connected,
            label=event.label,
            generation_w=event.effects.generation_w,
            load_w=event.effects.load_w,
        )

    def _connected(self) -> bool:
        """Whether no control asks for disconnection now."""
        now_s = self._server_s(self._clock.stamp().wall_s)
        running = (
            event for event in self._schedule.events if not event.cancelled and event.start_s <= now_s < event.start_s + (event.duration_s or 1e12)
        )
        return all(event.effects.connected for event in running)

    def _words(self) -> str:
        """How things stand, for people."""
        offset_s = self._server.offset_s
        count = len(self._states or ())
        parts = [f"connected as {self._we.words()}", f"{count} program{'s' if count != 1 else ''}"]
        if self._places is not None and self._places.time is None:
            parts.append("the server tells no time, so its schedules go by our clock")
        if offset_s is not None and abs(offset_s) > FAR_S:
            parts.append(f"its clock is {abs(offset_s):.0f} s {'ahead of' if offset_s > 0 else 'behind'} ours; its schedules go by its clock")
        parts += [self._lost] if self._lost else []
        parts += self._schedule.troubles[:3]
        parts += [self._reports.trouble] if self._reports.trouble else []
        parts += [self._subscriptions.trouble] if self._subscriptions is not None and self._subscriptions.trouble else []
        return "; ".join(parts)

    def _say(self, healthy: bool, detail: str) -> None:
        """Once per change."""
        if self._said != (healthy, detail):
            self._said = healthy, detail
            self._submit(SourceChanged(self._clock.stamp(), self.source_id, healthy, detail))


def _shut_out(error: Exception) -> bool:
    """Whether what we know of the server's places no longer holds."""
    return isinstance(error, ServerError) and (error.gone or error.status in (401, 403))


def build(entry: SignalConfig, surroundings: Surroundings) -> Ieee20305Driver:
    """A driver for an entry. Raises StartError when its certificates cannot be used."""
    assert isinstance(entry, Ieee20305Signal)
    try:
        return Ieee20305Driver(entry, surroundings)
    except CertificateError as error:
        raise StartError(f"the signal {entry.id} cannot work: {error}") from None
