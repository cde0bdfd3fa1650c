"""A simulated charging station of any OCPP version: text frames in, text frames out, no socket, no clock.

The same object stands behind a WebSocket in the demo (``station_client``) and in the virtual day
of ``yardmaster simulate``. This is its neutral part: cars, EVSEs, sessions, profiles, one CALL in flight, and
nothing but BootNotification before the boot is accepted (B02, B03). What must not be lost is kept while
the link is away and told later (E04, E11; 16 3.7). The words are those of its ``voice``. ``Faults`` makes it a bad
neighbour on purpose.
"""

from __future__ import annotations

import math
import random
import uuid
from collections import deque
from dataclasses import dataclass, replace

from controller.facts import Stamp
from controller.sim import wire
from controller.sim.car import Car, CarSpec
from controller.sim.evse import Evse, EvseSpec, RemoteStart, Transaction
from controller.sim.profiles import Session
from controller.sim.stored import CHARGING_ONLY
from controller.sim.v2.voice import Voice201
from controller.sim.v16.voice import Voice16
from controller.sim.v21.voice import Voice21
from controller.sim.voice import Ending, Moment, Outgoing, Settings, Voice
from controller.sim.wire import Payload

MESSAGE_TIMEOUT_S = 30.0
MAX_ATTEMPTS = 5
DEFAULT_HEARTBEAT_S = 60
BOOT_RETRY_S = 5.0
VOICES: dict[str, type[Voice]] = {"1.6": Voice16, "2.0.1": Voice201, "2.1": Voice21}


@dataclass(frozen=True, slots=True)
class StationSpec:
    """What a station is. sample_s: control seconds between two periodic meter values. version: "1.6", "2.0.1" or "2.1".

    stream_s: a 2.1 station offers its power as a periodic event stream, a value every so many seconds; 0 = it does not.
    v2x: a 2.1 station lets cars give back.
    """

    id: str
    evses: tuple[EvseSpec, ...]
    model: str = "SimDepot 22"
    vendor: str = "Yardmaster"
    serial: str = "SIM-0001"
    sample_s: float = 10.0
    boots_on_reconnect: bool = False
    version: str = "2.0.1"
    stream_s: int = 0
    v2x: bool = False

    @property
    def subprotocol(self) -> str:
        """The WebSocket subprotocol it offers."""
        return f"ocpp{self.version}"


@dataclass(slots=True)
class Faults:
    """Bad habits that can be switched while running.

    refused_purpose: profiles of this purpose are Rejected, as the version names it. only_unit: "A" or "W", profiles in
    the other one are. min_write_s: profiles that outlive a transaction are, when they come more often [s] (K01.FR.56).
    """

    ignores_profiles: bool = False
    rejects_profiles: bool = False
    refused_purpose: str = ""
    never_answers: bool = False
    only_unit: str = ""
    min_write_s: float = 0.0
    next_write_mono_s: float = -math.inf

    def refusal(self, raw_profile: Payload, schedule: Payload, mono_s: float) -> tuple[str, str] | None:
        """Reason code and more, if a SetChargingProfile is Rejected out of a bad habit."""
        if self.rejects_profiles or raw_profile["chargingProfilePurpose"] == self.refused_purpose:
            return "InternalError", ""
        if self.only_unit and schedule["chargingRateUnit"] != self.only_unit:
            return "UnsupportedRateUnit", ""
        if self.min_write_s <= 0.0 or raw_profile["chargingProfilePurpose"] == "TxProfile":
            return None
        if mono_s < self.next_write_mono_s:
            return "RateLimitExceeded", f"{math.ceil(self.next_write_mono_s - mono_s)} seconds before retry"
        self.next_write_mono_s = mono_s + self.min_write_s
        return None


@dataclass(frozen=True, slots=True)
class InFlight:
    """The one CALL that waits for its answer."""

    message_id: str
    call: Outgoing
    deadline_mono_s: float


class SimStation:
    """One charging station. Feed it with ``opened``, ``handle_frame``, ``tick``, ``closed``.

    confirmed: marks (``wire.mark``) of the transaction messages the other side has taken, in that order.
    """

    def __init__(self, spec: StationSpec, seed: int = 0) -> None:
        self.spec = spec
        self.voice: Voice = VOICES[spec.version]()
        self.faults = Faults()
        self.evses: dict[int, Evse] = {evse.id: Evse(evse) for evse in spec.evses}
        self.profiles = self.voice.profiles(tuple(self.evses))
        self.connected = False
        self.accepted = False
        self.wants_close = False
        self.confirmed: list[str] = []
        self._random = random.Random(f"{seed}/{spec.id}")
        self._queue: deque[Outgoing] = deque()
        self._in_flight: InFlight | None = None
        self._boot_reason = "PowerUp"
        self._next_boot_mono_s = 0.0
        self._next_heartbeat_mono_s = 0.0
        self._last: Stamp | None = None
        self.settings: Settings = self.voice.settings(spec)

    # -- the physical side ---------------------------------------------------------------------

    def plug_in(self, at: Stamp, evse_id: int, spec: CarSpec, car: Car | None = None) -> Car:
        """A car arrives: cable in, transaction begins, authorisation is asked for. car: another one than the plain one of ``spec``."""
        evse = self.evses[evse_id]
        evse.car = car = car or Car(spec, len(evse.spec.site_phases))
        evse.served = False
        token = {"idToken": f"SIM-{spec.name}"[:36], "type": "ISO14443"}
        self.begin(at, evse, token)
        return car

    def unplug(self, at: Stamp, evse_id: int) -> Car | None:
        """The car leaves, whatever it has got."""
        evse = self.evses[evse_id]
        car = evse.car
        if evse.transaction is not None:
            self.end(at, evse, Ending.UNPLUGGED)
        evse.car = None
        self._settle_availability(evse)
        self.report_status(at, evse)
        return car

    def advance(self, at: Stamp) -> None:
        """Let time pass for the cars: reaction and ramp on mono_s, energy on wall_s."""
        last, self._last = self._last, at
        if last is None or at.mono_s <= last.mono_s:
            return
        for evse in self.evses.values():
            evse.advance(self.offer_a(at, evse), at.mono_s - last.mono_s, at.wall_s - last.wall_s)

    def offer_a(self, at: Stamp, evse: Evse) -> float:
        """Current per phase the pilot may offer by the profiles [A]; negative: what the car shall give back (CentralSetpoint)."""
        if self.faults.ignores_profiles:
            return evse.spec.max_current_a
        session = evse.transaction.session if evse.transaction else None
        limits = [evse.spec.max_current_a]
        found = self.profiles.offer(evse.spec.id, at.wall_s, session)
        evse.mode = found.mode if found is not None else CHARGING_ONLY
        if found is not None and found.setpoint_a is not None:
            if found.setpoint_a < 0.0:
                return max(found.setpoint_a, -evse.spec.max_current_a) if self.spec.v2x else 0.0
            limits.append(found.setpoint_a)
        limits += [] if found is None or found.limit_a is None else [found.limit_a]
        whole = self.profiles.station_limit_a(at.wall_s)
        sharing = max(1, sum(other.may_deliver for other in self.evses.values()))
        limits += [] if whole is None else [whole / sharing]
        return max(0.0, min(limits))

    def site_current_a(self) -> tuple[float, float, float]:
        """Current of all EVSEs by site phases [A]."""
        parts = [evse.site_current_a() for evse in self.evses.values()]
        return sum(part[0] for part in parts), sum(part[1] for part in parts), sum(part[2] for part in parts)

    # -- the link ------------------------------------------------------------------------------

    def opened(self, at: Stamp) -> list[str]:
        """The WebSocket is open."""
        self.connected, self.wants_close, self._in_flight = True, False, None
        if self.spec.boots_on_reconnect:
            self.accepted = False
        self._next_boot_mono_s = at.mono_s
        self.profiles.online(at.wall_s)
        for evse in self.evses.values():
            evse.reported = ""
        return self.tick(at)

    def nudge(self, evse: Evse, trick: str) -> None:
        """The pilot of an EVSE was touched by a command; trick: "status" or "availability". What that does is up to the box."""

    def closed(self, at: Stamp) -> None:
        """The WebSocket is gone: what must not be lost is kept and will be told later (E11.FR.07; 16 3.7)."""
        self.connected = False
        self.profiles.offline(at.wall_s)
        for evse in self.evses.values():
            if evse.transaction is not None:
                self._release(at, evse, evse.transaction)
        if self._in_flight is not None:
            self._queue.appendleft(self._in_flight.call)
            self._in_flight = None
        self._queue = deque(item for item in self._queue if item.durable)
        for item in self._queue:
            self.voice.lost_link(item.payload)
        self._last = self._last or at

    def reboot(self, at: Stamp, ending: Ending = Ending.POWER_LOST) -> None:
        """Power cycle: transactions end, volatile profiles are gone, the link drops."""
        for evse in self.evses.values():
            self.end(at, evse, ending)
        self.profiles.forget_volatile()
        self._boot_reason = "PowerUp" if ending is Ending.POWER_LOST else "RemoteReset"
        self.accepted, self.wants_close = False, True

    @property
    def waiting(self) -> int:
        """CALLs not answered yet."""
        return len(self._queue) + (self._in_flight is not None)

    def tick(self, at: Stamp) -> list[str]:
        """Time has passed: due heartbeats, meter values, retries."""
        self._watch_states(at)
        if not self.connected:
            return []
        self._expire(at)
        if self.accepted:
            self._periodic(at)
        sends = self.voice.sends(self, at) if self.accepted else []
        return sends + self._pump(at)

    def handle_frame(self, at: Stamp, text: str) -> list[str]:
        """One text message from the other side; the texts to send in return."""
        message = wire.read(text)
        if message is None:
            return [wire.error("-1", "RpcFrameworkError", "not a frame")]
        if message.kind == wire.CALL:
            return self._obey(at, message) + self._pump(at)
        self._settle(at, message)
        return self._pump(at)

    def _obey(self, at: Stamp, message: wire.Message) -> list[str]:
        """The answer to one CALL, [] if the station is in the mood not to answer."""
        if self.faults.never_answers:
            return []
        handler = self.voice.commands.get(message.action)
        if handler is None:
            return [wire.error(message.message_id, "NotImplemented", message.action)]
        if not self.accepted and message.action not in self.voice.early:
            return [wire.error(message.message_id, "SecurityError", "not accepted yet")]  # B02.FR.09
        try:
            return [wire.result(message.message_id, handler(self, at, message.payload))]
        except (KeyError, TypeError, ValueError, AttributeError) as wrong:
            return [wire.error(message.message_id, self.voice.unreadable, f"{type(wrong).__name__}: {wrong}")]

    # -- our CALLs -----------------------------------------------------------------------------

    def say(self, action: str, payload: Payload, evse_id: int = 0) -> None:
        """Queue a CALL that may be lost with the link."""
        evse = self.evses.get(evse_id)
        self._queue.append(Outgoing(action, payload, evse_id, transaction=evse.transaction if evse else None))

    def keep(self, action: str, payload: Payload, evse: Evse) -> None:
        """Queue a CALL about the running transaction; it is kept over a lost link and told late."""
        if not self.connected:
            self.voice.lost_link(payload)
        self._queue.append(Outgoing(action, payload, evse.spec.id, durable=True, transaction=evse.transaction))

    def boot_now(self, at: Stamp) -> None:
        """Do not wait for the boot interval, or boot again in words only (TriggerMessage)."""
        if self.accepted:
            self._queue.append(self._boot(at))
        self._next_boot_mono_s = at.mono_s

    def forget_events(self) -> None:
        """Throw away what waits to be told: for days on which nobody listens."""
        self._queue.clear()

    def queued_transactions(self) -> list[str]:
        """Transaction ids of the events still waiting (E14)."""
        return [item.transaction.session.transaction_id for item in self._queue if item.durable and item.transaction is not None]

    def _pump(self, at: Stamp) -> list[str]:
        call = self._next_call(at) if self.connected and self._in_flight is None else None
        if call is None:
            return []
        call.attempts += 1
        self.voice.ready(call)
        message_id = str(uuid.UUID(int=self._random.getrandbits(128), version=4))
        self._in_flight = InFlight(message_id, call, at.mono_s + MESSAGE_TIMEOUT_S)
        return [wire.call(message_id, call.action, call.payload)]

    def _next_call(self, at: Stamp) -> Outgoing | None:
        if not self.accepted:
            return self._boot(at) if at.mono_s >= self._next_boot_mono_s else None
        if self._queue and self._queue[0].not_before_mono_s <= at.mono_s:
            return self._queue.popleft()
        return None

    def _boot(self, at: Stamp) -> Outgoing:
        self._next_boot_mono_s = at.mono_s + MESSAGE_TIMEOUT_S + BOOT_RETRY_S
        return Outgoing("BootNotification", self.voice.boot(self.spec, self._boot_reason))

    def _expire(self, at: Stamp) -> None:
        flight = self._in_flight
        if flight is not None and at.mono_s >= flight.deadline_mono_s:
            self._in_flight = None
            self._again(at, flight.call)

    def _again(self, at: Stamp, call: Outgoing) -> None:
        """E13: transaction events are repeated with growing pauses, the rest is not worth it."""
        if call.durable and call.attempts < MAX_ATTEMPTS:
            call.not_before_mono_s = at.mono_s + call.attempts * BOOT_RETRY_S
            self._queue.appendleft(call)

    def _settle(self, at: Stamp, message: wire.Message) -> None:
        flight = self._in_flight
        if flight is None or flight.message_id != message.message_id:
            return
        self._in_flight = None
        if message.kind == wire.CALLERROR:
            self._again(at, flight.call)
        elif flight.call.action == "BootNotification":
            self._booted(at, message.payload)
        else:
            self._confirm(flight.call)
            self.voice.answered(self, at, flight.call, message.payload)

    def _confirm(self, call: Outgoing) -> None:
        mark = wire.mark(call.action, call.payload) if call.durable else None
        if mark is not None:
            self.confirmed.append(mark)

    def _booted(self, at: Stamp, payload: Payload) -> None:
        interval_s, was_accepted = int(payload.get("interval") or 0), self.accepted
        self.accepted = payload.get("status") == "Accepted"
        if not self.accepted:
            self._next_boot_mono_s = at.mono_s + (interval_s or BOOT_RETRY_S)
            return
        self.settings[self.voice.heartbeat] = str(interval_s or DEFAULT_HEARTBEAT_S)
        self._next_heartbeat_mono_s = at.mono_s + self._seconds(self.voice.heartbeat)
        if not was_accepted:
            self.voice.welcomed(self, at)

    def permit(self, at: Stamp, call: Outgoing, accepted: bool) -> None:
        """The answer to a token: the session it was asked for may charge, or ends."""
        evse = self.evses.get(call.evse_id)
        transaction = evse.transaction if evse else None
        if evse is None or transaction is None or transaction is not call.transaction:
            return
        if accepted:
            self._release(at, evse, transaction)
        else:
            self.end(at, evse, Ending.REFUSED)

    def _periodic(self, at: Stamp) -> None:
        if at.mono_s >= self._next_heartbeat_mono_s:
            self._next_heartbeat_mono_s = at.mono_s + self._seconds(self.voice.heartbeat)
            self.say("Heartbeat", {})
        for evse in self.evses.values():
            self.report_status(at, evse)

    def report_status(self, at: Stamp, evse: Evse) -> None:
        """Tell the connector's status if it is not known to the other side yet."""
        status = self.voice.status(evse)
        if evse.reported == status or not self.connected:
            return
        evse.reported = status
        self.say(*self.voice.status_call(at, evse))

    # -- sessions ------------------------------------------------------------------------------

    def begin(self, at: Stamp, evse: Evse, id_token: Payload) -> None:
        """A cable was plugged in: the session begins (TxStartPoint EVConnected in 2.x)."""
        transaction_id = str(uuid.UUID(int=self._random.getrandbits(128), version=4))
        transaction = evse.transaction = Transaction(Session(transaction_id, at.wall_s), id_token)
        self.report_status(at, evse)
        self.voice.happened(self, at, evse, Moment.PLUGGED)
        start = evse.pending_start
        if start is not None:
            evse.pending_start = None
            self.remote_start(at, evse, transaction, start)
        elif self.connected:
            self.say("Authorize", self.voice.authorize(id_token), evse.spec.id)
        else:
            self._release(at, evse, transaction)  # LocalAuthorizeOffline: a depot knows its cars

    def remote_start(self, at: Stamp, evse: Evse, transaction: Transaction, start: RemoteStart) -> None:
        """Authorise a plugged-in car from afar (F01, F02; 16 5.11)."""
        transaction.id_token, transaction.remote_start_id = start.token, start.remote_id
        if start.profile is not None:  # K05: the TxProfile of a start has no transaction id yet
            profile = {**start.profile, "transactionId": transaction.session.transaction_id}
            self.profiles.put(evse.spec.id, profile, transaction.session, at.wall_s)
        self._release(at, evse, transaction, Moment.STARTED_REMOTELY)

    def _release(self, at: Stamp, evse: Evse, transaction: Transaction, moment: Moment = Moment.AUTHORISED) -> None:
        if transaction.authorised:
            return
        transaction.authorised = evse.served = True
        transaction.session = replace(transaction.session, started_wall_s=at.wall_s)
        self.voice.happened(self, at, evse, moment)

    def end(self, at: Stamp, evse: Evse, ending: Ending) -> None:
        """End the running session, if there is one."""
        if evse.transaction is None:
            return
        self.voice.ended(self, at, evse, ending)
        evse.transaction = None
        evse.offer_a = 0.0
        self.profiles.end_session(evse.spec.id)
        self._settle_availability(evse)

    def told(self, at: Stamp, evse: Evse) -> None:
        """Meter values of an EVSE have just been told: the next ones are due an interval later."""
        evse.next_sample_mono_s = at.mono_s + self._seconds(self.voice.sample)
        evse.told_a = evse.phase_current_a()[0]

    def _watch_states(self, at: Stamp) -> None:
        for evse in self.evses.values():
            transaction = evse.transaction
            if transaction is None:
                continue
            state = evse.charging_state()
            if state != transaction.state:
                transaction.state = state
                self.voice.happened(self, at, evse, Moment.STATE_CHANGED)
            elif self.voice.tells_mode and evse.mode != transaction.mode and transaction.authorised:
                transaction.mode = evse.mode
                self.voice.happened(self, at, evse, Moment.MODE_CHANGED)
            elif self.voice.tells_rate and evse.rate_changed():
                self.voice.happened(self, at, evse, Moment.RATE_CHANGED)
            elif at.mono_s >= evse.next_sample_mono_s and transaction.authorised:
                self.voice.happened(self, at, evse, Moment.SAMPLE_DUE)

    def _seconds(self, key: tuple[str, str]) -> float:
        return float(self.settings[key])

    @staticmethod
    def _settle_availability(evse: Evse) -> None:
        if evse.inoperative_next and evse.transaction is None:
            evse.operative, evse.inoperative_next = False, False
