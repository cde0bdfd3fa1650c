"""A simulated OCPP 2.0.1 charging station: text frames in, text frames out, no socket, no clock.

The same object stands behind a WebSocket in the demo (``station_client``) and in the virtual day
of ``yardmaster simulate``. It keeps the rules a controller relies on: one CALL in flight, nothing
but BootNotification before the boot is accepted (B02, B03), transaction events numbered from 0 and
kept while the link is away, then told with ``offline`` (E04, E11), profiles by the stacking
rules (``profiles``). ``Faults`` makes it a bad neighbour on purpose.
"""

from __future__ import annotations

import random
import uuid
from collections import deque
from dataclasses import dataclass, replace

from controller.facts import Stamp
from controller.sim import wire
from controller.sim.car import Car, CarSpec
from controller.sim.commands import answer
from controller.sim.evse import Evse, EvseSpec, Transaction
from controller.sim.profiles import ProfileStore, Session
from controller.sim.samples import meter_value
from controller.sim.variables import Settings
from controller.sim.wire import Payload

MESSAGE_TIMEOUT_S = 30.0
MAX_ATTEMPTS = 5
DEFAULT_HEARTBEAT_S = 60.0
BOOT_RETRY_S = 5.0


@dataclass(frozen=True, slots=True)
class StationSpec:
    """What a station is. sample_s: control seconds between two periodic meter values."""

    id: str
    evses: tuple[EvseSpec, ...]
    model: str = "SimDepot 22"
    vendor: str = "Yardmaster"
    serial: str = "SIM-0001"
    sample_s: float = 10.0
    boots_on_reconnect: bool = False


@dataclass(slots=True)
class Faults:
    """Bad habits that can be switched while running."""

    ignores_profiles: bool = False
    rejects_profiles: bool = False
    never_answers: bool = False


@dataclass(slots=True)
class Outgoing:
    """A CALL waiting for its turn. durable: kept over a lost link. not_before: mono time of a retry."""

    action: str
    payload: Payload
    evse_id: int = 0
    durable: bool = False
    attempts: int = 0
    not_before_mono_s: float = 0.0


@dataclass(frozen=True, slots=True)
class InFlight:
    """The one CALL that waits for its answer."""

    message_id: str
    call: Outgoing
    deadline_mono_s: float


class SimStation:
    """One charging station. Feed it with ``opened``, ``handle_frame``, ``tick``, ``closed``."""

    def __init__(self, spec: StationSpec, seed: int = 0) -> None:
        self.spec = spec
        self.faults = Faults()
        self.evses: dict[int, Evse] = {evse.id: Evse(evse) for evse in spec.evses}
        self.profiles = ProfileStore(tuple(self.evses))
        self.connected = False
        self.accepted = False
        self.wants_close = False
        self._random = random.Random(f"{seed}/{spec.id}")
        self._queue: deque[Outgoing] = deque()
        self._in_flight: InFlight | None = None
        self._boot_reason = "PowerUp"
        self._next_boot_mono_s = 0.0
        self._heartbeat_s = DEFAULT_HEARTBEAT_S
        self._next_heartbeat_mono_s = 0.0
        self._last: Stamp | None = None
        self.settings: Settings = {("OCPPCommCtrlr", "HeartbeatInterval"): "60", ("SampledDataCtrlr", "TxUpdatedInterval"): str(int(spec.sample_s))}

    # -- the physical side ---------------------------------------------------------------------

    def plug_in(self, at: Stamp, evse_id: int, spec: CarSpec) -> Car:
        """A car arrives: cable in, transaction begins, authorisation is asked for."""
        evse = self.evses[evse_id]
        car = evse.car = Car(spec, len(evse.spec.site_phases))
        token = {"idToken": f"SIM-{spec.name}"[:36], "type": "ISO14443"}
        self.begin(at, evse, token)
        return car

    def unplug(self, at: Stamp, evse_id: int) -> Car | None:
        """The car leaves, whatever it has got."""
        evse = self.evses[evse_id]
        car = evse.car
        if evse.transaction is not None:
            self.end(at, evse, "EVCommunicationLost", "EVDisconnected")
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
        """Current per phase the pilot may offer by the profiles [A]."""
        if self.faults.ignores_profiles:
            return evse.spec.max_current_a
        session = evse.transaction.session if evse.transaction else None
        limits = [evse.spec.max_current_a]
        own = self.profiles.evse_limit_a(evse.spec.id, at.wall_s, session)
        limits += [] if own is None else [own]
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
        for evse in self.evses.values():
            evse.reported = ""
        return self.tick(at)

    def closed(self, at: Stamp) -> None:
        """The WebSocket is gone: what must not be lost is kept and will be told as offline (E11.FR.07)."""
        self.connected = False
        for evse in self.evses.values():
            if evse.transaction is not None:
                self._release(at, evse, evse.transaction, "Authorized")
        if self._in_flight is not None:
            self._queue.appendleft(self._in_flight.call)
            self._in_flight = None
        self._queue = deque(item for item in self._queue if item.durable)
        for item in self._queue:
            item.payload["offline"] = True
        self._last = self._last or at

    def reboot(self, at: Stamp, reason: str = "PowerUp") -> None:
        """Power cycle: transactions end, volatile profiles are gone, the link drops."""
        for evse in self.evses.values():
            if evse.transaction is not None:
                self.end(at, evse, "ResetCommand" if reason == "RemoteReset" else "AbnormalCondition", "ImmediateReset")
        self.profiles.forget_volatile()
        self.accepted, self.wants_close, self._boot_reason = False, True, reason

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
        return self._pump(at)

    def handle_frame(self, at: Stamp, text: str) -> list[str]:
        """One text message from the other side; the texts to send in return."""
        message = wire.read(text)
        if message is None:
            return [wire.error("-1", "RpcFrameworkError", "not a frame")]
        if message.kind == wire.CALL:
            return answer(self, at, message) + self._pump(at)
        self._settle(at, message)
        return self._pump(at)

    # -- our CALLs -----------------------------------------------------------------------------

    def say(self, action: str, payload: Payload, evse_id: int = 0) -> None:
        """Queue a CALL that may be lost with the link."""
        self._queue.append(Outgoing(action, payload, evse_id))

    def boot_now(self, at: Stamp) -> None:
        """Do not wait for the boot interval (TriggerMessage)."""
        self._next_boot_mono_s = at.mono_s

    def forget_events(self) -> None:
        """Throw away what waits to be told: for days on which nobody listens."""
        self._queue.clear()

    def queued_transactions(self) -> list[str]:
        """Transaction ids of the events still waiting (E14)."""
        return [item.payload["transactionInfo"]["transactionId"] for item in self._queue if item.durable]

    def _pump(self, at: Stamp) -> list[str]:
        call = self._next_call(at) if self.connected and self._in_flight is None else None
        if call is None:
            return []
        call.attempts += 1
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
        box = {"model": self.spec.model[:20], "vendorName": self.spec.vendor, "serialNumber": self.spec.serial[:25], "firmwareVersion": "1.0.0"}
        return Outgoing("BootNotification", {"chargingStation": box, "reason": self._boot_reason})

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
        elif flight.call.action in ("Authorize", "TransactionEvent"):
            self._authorised(at, flight.call, message.payload)

    def _booted(self, at: Stamp, payload: Payload) -> None:
        interval_s = float(payload.get("interval") or 0)
        self.accepted = payload.get("status") == "Accepted"
        if not self.accepted:
            self._next_boot_mono_s = at.mono_s + (interval_s or BOOT_RETRY_S)
            return
        self._heartbeat_s = interval_s or DEFAULT_HEARTBEAT_S
        self._next_heartbeat_mono_s = at.mono_s + self._heartbeat_s

    def _authorised(self, at: Stamp, call: Outgoing, payload: Payload) -> None:
        info = payload.get("idTokenInfo")
        evse = self.evses.get(call.evse_id)
        transaction = evse.transaction if evse else None
        if evse is None or transaction is None or info is None:
            return
        if call.action == "TransactionEvent" and call.payload["transactionInfo"]["transactionId"] != transaction.session.transaction_id:
            return
        if info.get("status") == "Accepted":
            self._release(at, evse, transaction, "Authorized")
        else:
            self.end(at, evse, "Deauthorized", "DeAuthorized")

    def _periodic(self, at: Stamp) -> None:
        if at.mono_s >= self._next_heartbeat_mono_s:
            self._next_heartbeat_mono_s = at.mono_s + self._heartbeat_s
            self.say("Heartbeat", {})
        for evse in self.evses.values():
            self.report_status(at, evse)

    def report_status(self, at: Stamp, evse: Evse) -> None:
        """Tell the connector's status if it is not known to the other side yet."""
        if evse.reported == evse.status or not self.connected:
            return
        evse.reported = evse.status
        body = {"timestamp": wire.iso(at.wall_s), "connectorStatus": evse.status, "evseId": evse.spec.id, "connectorId": 1}
        self.say("StatusNotification", body)

    # -- transactions --------------------------------------------------------------------------

    def begin(self, at: Stamp, evse: Evse, id_token: Payload) -> None:
        """A cable was plugged in: the transaction starts (TxStartPoint EVConnected)."""
        transaction_id = str(uuid.UUID(int=self._random.getrandbits(128), version=4))
        transaction = evse.transaction = Transaction(Session(transaction_id, at.wall_s), id_token)
        self.report_status(at, evse)
        self.event(at, evse, "Started", "CablePluggedIn")
        start = evse.pending_start
        if start is not None:
            evse.pending_start = None
            self.remote_start(at, evse, transaction, start)
        elif self.connected:
            self.say("Authorize", {"idToken": id_token}, evse.spec.id)
        else:
            self._release(at, evse, transaction, "Authorized")  # LocalAuthorizeOffline: a depot knows its cars

    def remote_start(self, at: Stamp, evse: Evse, transaction: Transaction, start: Payload) -> None:
        """Authorise a plugged-in car by RequestStartTransaction (F01, F02)."""
        transaction.id_token, transaction.remote_start_id = start["idToken"], start["remoteStartId"]
        profile = start.get("chargingProfile")
        if profile is not None:  # K05: the TxProfile of a start has no transaction id yet
            self.profiles.put(evse.spec.id, {**profile, "transactionId": transaction.session.transaction_id}, transaction.session)
        self._release(at, evse, transaction, "RemoteStart")

    def _release(self, at: Stamp, evse: Evse, transaction: Transaction, trigger: str) -> None:
        if transaction.authorised:
            return
        transaction.authorised = True
        transaction.session = replace(transaction.session, started_wall_s=at.wall_s)
        info = {} if transaction.remote_start_id is None else {"remoteStartId": transaction.remote_start_id}
        self.event(at, evse, "Updated", trigger, {"idToken": transaction.id_token}, info)
        self._announce(evse)

    def _announce(self, evse: Evse) -> None:
        car = evse.car
        if car is None or not car.spec.announces:
            return
        kind = {1: "AC_single_phase", 2: "AC_two_phase"}.get(car.phases, "AC_three_phase")
        needs = {
            "requestedEnergyTransfer": kind,
            "departureTime": wire.iso(car.spec.departure_wall_s),
            "acChargingParameters": {
                "energyAmount": round(car.missing_wh),
                "evMinCurrent": 6,
                "evMaxCurrent": int(car.spec.max_current_a),
                "evMaxVoltage": 400,
            },
        }
        self.say("NotifyEVChargingNeeds", {"evseId": evse.spec.id, "chargingNeeds": needs})

    def end(self, at: Stamp, evse: Evse, trigger: str, reason: str) -> None:
        """End the running transaction, if there is one."""
        transaction = evse.transaction
        if transaction is None:
            return
        self.event(at, evse, "Ended", trigger, info={"stoppedReason": reason})
        evse.transaction = None
        evse.offer_a = 0.0
        self.profiles.end_session(evse.spec.id)
        self._settle_availability(evse)

    def _watch_states(self, at: Stamp) -> None:
        for evse in self.evses.values():
            transaction = evse.transaction
            if transaction is None:
                continue
            state = evse.charging_state()
            if state != transaction.state:
                transaction.state = state
                self.event(at, evse, "Updated", "ChargingStateChanged")
            elif evse.rate_changed():
                self.event(at, evse, "Updated", "ChargingRateChanged")
            elif at.mono_s >= evse.next_sample_mono_s and transaction.authorised:
                self.event(at, evse, "Updated", "MeterValuePeriodic")

    def event(self, at: Stamp, evse: Evse, kind: str, trigger: str, extra: Payload | None = None, info: Payload | None = None) -> None:
        """Queue the next TransactionEvent of an EVSE's running transaction. info: more fields of transactionInfo."""
        transaction = evse.transaction
        assert transaction is not None
        state = "Idle" if kind == "Ended" and trigger == "EVCommunicationLost" else transaction.state
        payload: Payload = {
            "eventType": kind,
            "timestamp": wire.iso(at.wall_s),
            "triggerReason": trigger,
            "seqNo": transaction.next_seq_no(),
            "transactionInfo": {"transactionId": transaction.session.transaction_id, "chargingState": state, **(info or {})},
            "meterValue": [meter_value(at, evse, kind, trigger)],
            **(extra or {}),
        }
        if not transaction.evse_told:  # E01: told once
            payload["evse"] = {"id": evse.spec.id, "connectorId": 1}
            transaction.evse_told = True
        if state == "Charging" and evse.car is not None:
            payload["numberOfPhasesUsed"] = evse.car.phases
        if not self.connected:
            payload["offline"] = True
        evse.next_sample_mono_s = at.mono_s + self._sample_s
        evse.told_a = evse.phase_current_a()[0]
        self._queue.append(Outgoing("TransactionEvent", payload, evse.spec.id, durable=True))

    @property
    def _sample_s(self) -> float:
        return float(self.settings["SampledDataCtrlr", "TxUpdatedInterval"])

    def _settle_availability(self, evse: Evse) -> None:
        if evse.inoperative_next and evse.transaction is None:
            evse.operative, evse.inoperative_next = False, False
