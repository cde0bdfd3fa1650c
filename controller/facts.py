"""Facts: what happened. Plain frozen data, past tense, the only input of the engine.

A fact comes either from a shell (a frame arrived, a meter was read, time passed) or from
the link side for the site side (an EVSE drew current, a session started). Link and site
never call each other: they meet in this file and in ``orders``.

Every fact carries a ``Stamp`` with two clocks. ``mono_s`` is for durations and never jumps;
``wall_s`` (UTC, seconds since 1970) is for protocols and people. Signs: import from the grid
and charging are positive. Phases are indexed 0, 1, 2 = L1, L2, L3 of the *site*.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

from meters.reading import Reading
from optimizer.problem import Plan

PhaseAmps = tuple[float, float, float]
"""Current per site phase L1, L2, L3 [A]; import and charging positive."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """The two clocks at one moment.

    mono_s: monotonic seconds, arbitrary zero. wall_s: Unix time in UTC.
    wall_speed: wall seconds per monotonic second; 1.0 in the field, larger in the demo where
    the day is compressed while the control loop runs in real time.
    wall_trusted: False until a clock source is known to be right (fault F78).
    """

    mono_s: float
    wall_s: float
    wall_speed: float = 1.0
    wall_trusted: bool = True

    def wall_in(self, seconds: float) -> float:
        """Wall time [s] that will be reached after a duration of ``seconds`` monotonic."""
        return self.wall_s + seconds * self.wall_speed

    def mono_at(self, wall_s: float) -> float:
        """Monotonic time [s] at which the wall clock will show ``wall_s``."""
        return self.mono_s + (wall_s - self.wall_s) / self.wall_speed


class EvseKey(NamedTuple):
    """Names one EVSE of one station. ``evse_id`` 1..n; 0 means the whole station."""

    station_id: str
    evse_id: int

    def __str__(self) -> str:
        return f"{self.station_id}/{self.evse_id}"


@dataclass(frozen=True, slots=True)
class Fact:
    """Base of all facts."""

    at: Stamp


# -- from the shells: time, storage ---------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TimePassed(Fact):
    """The control loop's tick, once a second."""


@dataclass(frozen=True, slots=True)
class Restored(Fact):
    """What the journal held at start-up.

    memories: (space, key) -> JSON value, as last ``Remember``-ed.
    outbox: per station the queued transaction messages, oldest first. Only the first of each
    station carry their text; the others have "" and come with ``LoadRows`` when their turn is near.
    """

    memories: dict[tuple[str, str], Any]
    outbox: dict[str, tuple[OutboxRow, ...]]


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """One message on disk that upstream has not acknowledged yet.

    number: strictly rising per journal. text: the frame as it shall be sent, "" = it is on disk only.
    transaction_id: as the station calls it. attempts: how often upstream has refused it. parked: given
    up, kept for export. version: subprotocol of the text. key: equal for repeats of the same message
    (F15), "" = unknown. values_of: what a periodic reading belongs to, a transaction or an EVSE; ""
    = never left out (E12.FR.04).
    """

    number: int
    station_id: str
    transaction_id: str
    action: str
    text: str
    stored_wall_s: float
    attempts: int = 0
    parked: bool = False
    version: str = ""
    key: str = ""
    values_of: str = ""


@dataclass(frozen=True, slots=True)
class Persisted(Fact):
    """The journal has the records of the ``Persist`` order ``token`` on disk (fsync done)."""

    token: int
    rows: tuple[OutboxRow, ...] = ()


@dataclass(frozen=True, slots=True)
class PersistFailed(Fact):
    """The journal could not write: disk full, read-only, I/O error."""

    token: int
    reason: str


@dataclass(frozen=True, slots=True)
class RowsLoaded(Fact):
    """Queued messages of a station read from the disk again, text included, in the order asked for.

    asked: the numbers of the ``LoadRows``; those that are not in rows are damaged or gone.
    """

    station_id: str
    rows: tuple[OutboxRow, ...]
    asked: tuple[int, ...] = ()


# -- from the shells: OCPP links ------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class StationArrived(Fact):
    """An authenticated station waits in its handshake for the subprotocol it shall speak.

    Answered by ``AnswerStation`` with the same ticket; the shell falls back by itself if none
    comes. offered: what the station offers and we speak, in its order of preference, never empty.
    """

    station_id: str
    ticket: int
    offered: tuple[str, ...]
    remote_address: str
    url_tail: str = ""


@dataclass(frozen=True, slots=True)
class StationLeft(Fact):
    """A station that had arrived is gone before its WebSocket was open."""

    station_id: str
    ticket: int


@dataclass(frozen=True, slots=True)
class StationConnected(Fact):
    """A station's WebSocket is open. ``generation`` rises with each connection of the box.

    secret: the salted hash of ``SetStationSecret`` that its password matched (F27); "" = the configured
    password, or none was asked for.
    """

    station_id: str
    generation: int
    version: str
    remote_address: str
    url_tail: str = ""
    secret: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class StationFrame(Fact):
    """One text message from a station, exactly as it came."""

    station_id: str
    generation: int
    text: str


@dataclass(frozen=True, slots=True)
class StationClosed(Fact):
    """A station's WebSocket is gone."""

    station_id: str
    generation: int
    reason: str


@dataclass(frozen=True, slots=True)
class StationRefused(Fact):
    """A connection under a station's identity was refused before it became one (F09, F11, F66).

    twin: the identity is in use by another connection that lives.
    """

    station_id: str
    remote_address: str
    reason: str
    twin: bool = False


@dataclass(frozen=True, slots=True)
class CertificateEnding(Fact):
    """A certificate of ours ends soon, or has ended (F30); told 30, 14, 7, 1 and 0 days before.

    name: its file. ends_wall_s: its last moment, Unix time. user: the source of ``signals`` whose server we show it to, "" = stations see it.
    then: what happens at its end, for people; "" = what follows from user.
    """

    name: str
    ends_wall_s: float
    user: str = ""
    then: str = ""


@dataclass(frozen=True, slots=True)
class SigningRequestMade(Fact):
    """A ``MakeSigningRequest`` is done. csr: PKCS#10 as PEM, "" = it could not be made, reason says why."""

    upstream_id: str
    identity: str
    number: int
    csr: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class OwnCertificateInstalled(Fact):
    """An ``InstallOwnCertificate`` is done. ok False: it cannot be used, reason says why. starts_wall_s: from when it is valid, Unix time."""

    upstream_id: str
    identity: str
    number: int
    ok: bool
    reason: str = ""
    starts_wall_s: float = 0.0


@dataclass(frozen=True, slots=True)
class OwnCertificateSeen(Fact):
    """Which certificate we show a CSMS, told before each dial and when a new one is proven. ends_wall_s: Unix time, 0 = none. fresh: a new one that
    has yet to be proven. lasts_s: from its first moment to its last [s]."""

    upstream_id: str
    identity: str
    ends_wall_s: float
    fresh: bool = False
    lasts_s: float = float("inf")


@dataclass(frozen=True, slots=True)
class UpstreamOpened(Fact):
    """The upstream socket of a station is open; version: the subprotocol the CSMS chose.

    generation: as dialled; negative = a socket of the face that translates for the station (``link.bridge``), of which its session knows nothing.
    mirror_id: of which mirror's socket this is told; "" = the primary CSMS. Likewise below.
    """

    station_id: str
    generation: int
    version: str
    mirror_id: str = ""


@dataclass(frozen=True, slots=True)
class UpstreamFrame(Fact):
    """One text message from the CSMS on the upstream socket of a station."""

    station_id: str
    generation: int
    text: str
    mirror_id: str = ""


@dataclass(frozen=True, slots=True)
class UpstreamClosed(Fact):
    """The upstream socket of a station closed, or a dial failed.

    no_common_version: the CSMS answered, but speaks none of the versions offered to it. version_in_doubt: it
    may be so; it refused the request as such, as some do with a version they do not know, and others for other reasons.
    refused: the CSMS is there, and it (or its certificate) will not do: somebody has to change something.
    """

    station_id: str
    generation: int
    reason: str
    no_common_version: bool = False
    mirror_id: str = ""
    version_in_doubt: bool = False
    refused: bool = False


# -- from the shells: meters, limits, plans --------------------------------------------------


@dataclass(frozen=True, slots=True)
class MeterRead(Fact):
    """A meter answered. The reading carries its own quality; BAD readings come too.

    age_s: how long before ``at`` the oldest of its values was measured, for meters worked out from others [s].
    """

    reading: Reading
    age_s: float = 0.0


@dataclass(frozen=True, slots=True)
class MeterFailed(Fact):
    """A poll of a meter failed (timeout, exception, connection lost)."""

    meter_id: str
    reason: str


class LimitUnit(StrEnum):
    """Unit of a limit: A is per phase, W is the sum of the phases."""

    A = "A"
    W = "W"


@dataclass(frozen=True, slots=True)
class LimitReceived(Fact):
    """A site limit came in over MQTT or the API and passed the schema.

    source: who said so, e.g. "mqtt" or "api". circuit: id of the circuit it binds ("grid" = site).
    value: per phase [A] or total [W] by ``unit``; >= 0. A value of None withdraws the source's limit.
    valid_for_s: seconds from ``at``. sequence: rises per source and circuit; older ones are refused. number: comes back in
    ``AnswerLimit``; 0 = only the broker is told.
    """

    source: str
    circuit: str
    value: float | None
    unit: LimitUnit
    valid_for_s: float
    sequence: int | None = None
    issued_wall_s: float | None = None
    retained: bool = False
    reply_topic: str = ""
    number: int = 0


@dataclass(frozen=True, slots=True)
class LimitRefused(Fact):
    """A payload on the limit topic could not be used. ``reason`` is for the sender."""

    source: str
    reason: str
    payload: str


@dataclass(frozen=True, slots=True)
class SourceChanged(Fact):
    """A shell's own connection went up or down: broker, history server, solver ..."""

    source: str
    healthy: bool
    detail: str


@dataclass(frozen=True, slots=True)
class StoryTold(Fact):
    """The demo tells people what is happening now. ``text`` is a whole sentence."""

    text: str


@dataclass(frozen=True, slots=True)
class PlanSolved(Fact):
    """The solver child returned a plan (not yet verified)."""

    plan: Plan


@dataclass(frozen=True, slots=True)
class PlanFailed(Fact):
    """No plan: killed at the deadline, crashed, infeasible. created_wall_s: of the problem, None = not told."""

    reason: str
    created_wall_s: float | None = None


@dataclass(frozen=True, slots=True)
class NeedStated(Fact):
    """A person or fleet system said what a session needs (API).

    energy_wh still to be charged; departure_wall_s Unix time. None = leave as it is.
    """

    evse: EvseKey
    energy_wh: float | None
    departure_wall_s: float | None
    source: str


@dataclass(frozen=True, slots=True)
class MaintenanceOpened(Fact):
    """The operator lets a station be moved away from us (CentralSystemURL, SetNetworkProfile, F27) for a while.

    for_s: seconds from ``at``; 0 closes an open window.
    """

    station_id: str
    for_s: float


@dataclass(frozen=True, slots=True)
class FaceWished(Fact):
    """The operator wants a station to be seen by another primary CSMS, or through another face (pair, depot).

    station_id "" = every station. upstream_id: of the site file, "" = as the site file says. A station changes as soon as it neither charges nor
    holds messages for the CSMS it has; until then that one stays.
    """

    station_id: str
    upstream_id: str


@dataclass(frozen=True, slots=True)
class ParkedReturned(Fact):
    """The operator wants messages that were given up to be sent to the CSMS again (F22).

    rows: of this station, as read from the disk, oldest first, all parked. One that is not parked any more is left alone.
    """

    station_id: str
    rows: tuple[OutboxRow, ...]


# -- from the shells: the grid's signals ------------------------------------------------------


class Direction(StrEnum):
    """Which way a limit looks: what is drawn from the grid, or what is fed in."""

    CONSUMPTION = "consumption"
    PRODUCTION = "production"


@dataclass(frozen=True, slots=True)
class LimitStated(Fact):
    """A source of ``signals`` states what holds from now on, in one direction (LPC/LPP write, contact, REST, MQTT).

    value_w: >= 0 [W], also for production; None = known unlimited (isActive false). Negative or not finite is refused by the site.
    duration_s: monotonic seconds after which it ends by itself, None = it does not (APCL_DUR_02). sequence, issued_wall_s, retained: for
    the order and age of messages, as far as the sender told them. number: comes back in ``AnswerSignal``.
    """

    source: str
    direction: Direction
    value_w: float | None
    duration_s: float | None = None
    sequence: int | None = None
    issued_wall_s: float | None = None
    retained: bool = False
    number: int = 0
    detail: str = ""


@dataclass(frozen=True, slots=True)
class SignalBeat(Fact):
    """A source of ``signals`` lives: a heartbeat, a successful poll. Its limit is not told anew by that (LPC-916)."""

    source: str


@dataclass(frozen=True, slots=True)
class FailsafeStated(Fact):
    """A source sets the failsafe values of a direction (LPC scenario 2). None = leave as it is. duration_s: 7200..86400."""

    source: str
    direction: Direction
    value_w: float | None = None
    duration_s: float | None = None
    number: int = 0


@dataclass(frozen=True, slots=True)
class ContactsRead(Fact):
    """The contacts of a source, in the order of the site file: True = closed, None = could not be read."""

    source: str
    closed: tuple[bool | None, ...]


@dataclass(frozen=True, slots=True)
class GridEvent:
    """One event of a schedule a source keeps (OpenADR event interval, DERControl, DefaultDERControl).

    event_id: stable, unique per source. version: rises when the source changes it. start_wall_s, duration_s: wall clock; start
    -inf and duration None = a default that holds while nothing else does. consumption_w, production_w: limits >= 0 [W], None = not
    limited. setpoint_w: grid power asked for, import positive. battery_w: power asked of the battery, charging positive. price_per_kwh:
    a price it tells. primacy: lower wins over higher at the same time; equal: the later created_wall_s. randomize_start_s,
    randomize_duration_s: most it may be shifted (2030.5), drawn once and kept by the site. cancelled: it shall not run (any more).
    opt: whether the source wants to hear what we do. connected False: the site shall disconnect its generation (opModConnect/Energize).
    generation_w, load_w: limits >= 0 of what the devices we command give and take together, whatever flows at the grid connection: inverters,
    battery, chargers (CSIP-AUS opModGenLimW, opModLoadLimW).
    """

    event_id: str
    version: int
    start_wall_s: float
    duration_s: float | None
    consumption_w: float | None = None
    production_w: float | None = None
    setpoint_w: float | None = None
    battery_w: float | None = None
    price_per_kwh: float | None = None
    primacy: int = 0
    created_wall_s: float = 0.0
    randomize_start_s: float = 0.0
    randomize_duration_s: float = 0.0
    cancelled: bool = False
    answers: bool = False
    connected: bool = True
    label: str = ""
    generation_w: float | None = None
    load_w: float | None = None


@dataclass(frozen=True, slots=True)
class EventsTold(Fact):
    """Everything a source has scheduled, whole: what is not in it any more is cancelled. Counts as a heartbeat.

    notes: what the source asks for and nobody here can do, one sentence for people each; the same as last time if nothing changed.
    """

    source: str
    events: tuple[GridEvent, ...]
    notes: tuple[str, ...] = ()


class SeriesKind(StrEnum):
    """What a series of values over time is about."""

    BUY = "buy"
    SELL = "sell"
    CO2 = "co2"
    PV = "pv"
    LOAD = "load"
    CLEAR_SKY = "clear_sky"


@dataclass(frozen=True, slots=True)
class SeriesTold(Fact):
    """Prices or forecasts came. slots: (start_wall_s, end_wall_s, value), ascending, not overlapping, gaps allowed.

    value: currency/kWh (buy, sell; may be negative), kg/kWh (co2), W >= 0 (pv, load; clear_sky: what the plants would give without a
    cloud, past days too). source: of the feed. Later ones replace earlier ones where they overlap. origin: names what the source is set to
    ask, without secrets; what it told while it was set otherwise is forgotten. whole: what the source told of this kind before and is not
    in slots is withdrawn, too (a cancelled event); what is over stays.
    """

    kind: SeriesKind
    source: str
    slots: tuple[tuple[float, float, float], ...]
    origin: str = ""
    whole: bool = False


# -- from the shells: what we command besides chargers ----------------------------------------


class Steering(StrEnum):
    """Who commands a device now, as far as it tells."""

    FREE = "free"
    OURS = "ours"
    OTHER = "other"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class DeviceRead(Fact):
    """What an inverter, battery or relay of the site file says about itself. None = it does not tell.

    device: its id ("battery" for the stationary one). power_w: what flows, charging positive, production >= 0 for an inverter. command_w:
    the command in force (inverter: most production; battery: setpoint, charging positive), None = none. steering: whose it is.
    closed: of a relay. max_charge_w, max_discharge_w: what it can now, >= 0. soc_percent: of a battery.
    """

    device: str
    power_w: float | None = None
    command_w: float | None = None
    steering: Steering = Steering.UNKNOWN
    closed: bool | None = None
    max_charge_w: float | None = None
    max_discharge_w: float | None = None
    soc_percent: float | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class DeviceAnswered(Fact):
    """A ``SteerDevice`` was carried out and read back (ok), or not. reason: for people, "" if ok. confirmed: it was read back."""

    device: str
    number: int
    ok: bool
    reason: str = ""
    confirmed: bool = True


# -- from link for site: neutral words about stations ----------------------------------------


@dataclass(frozen=True, slots=True)
class StationOnline(Fact):
    """A station may be commanded: connected and its boot accepted."""

    station_id: str
    version: str


@dataclass(frozen=True, slots=True)
class StationOffline(Fact):
    """A station's link is gone. Its last accepted setpoint may still be in force."""

    station_id: str


class EvseStatus(StrEnum):
    """Connector status words common to all versions."""

    AVAILABLE = "available"
    OCCUPIED = "occupied"
    RESERVED = "reserved"
    UNAVAILABLE = "unavailable"
    FAULTED = "faulted"


@dataclass(frozen=True, slots=True)
class EvseStatusChanged(Fact):
    """A connector of an EVSE reported its status."""

    evse: EvseKey
    status: EvseStatus


class ChargingState(StrEnum):
    """Charging states of a running session (2.x chargingState, neutral spelling)."""

    IDLE = "idle"
    EV_CONNECTED = "ev_connected"
    CHARGING = "charging"
    SUSPENDED_EV = "suspended_ev"
    SUSPENDED_EVSE = "suspended_evse"


@dataclass(frozen=True, slots=True)
class SessionChanged(Fact):
    """A transaction started, went on or ended.

    phase_count: phases really used as told by the station, None if untold.
    ended: True with the last message. live: False for replays of old events (F16): they
    must not change the live picture.
    """

    evse: EvseKey
    transaction_id: str
    charging_state: ChargingState | None
    started: bool = False
    ended: bool = False
    phase_count: int | None = None
    live: bool = True


@dataclass(frozen=True, slots=True)
class EvseMeasured(Fact):
    """Meter values of an EVSE, already in A, W, Wh, percent.

    phase_current_a: by the *station's* phases L1..L3; None where it did not say.
    energy_wh: the import register, given_wh: the export register. Charging positive.
    """

    evse: EvseKey
    phase_current_a: tuple[float | None, float | None, float | None] = (None, None, None)
    power_w: float | None = None
    energy_wh: float | None = None
    soc_percent: float | None = None
    voltage_v: float | None = None
    given_wh: float | None = None


@dataclass(frozen=True, slots=True)
class NeedsAnnounced(Fact):
    """NotifyEVChargingNeeds was seen on its way: what the car itself asks for (K15, K18-K20, Q01). None = not said.

    energy_wh: still to be charged, at the charger. max_discharge_w >= 0: the most it gives back, over all phases.
    capacity_wh, soc_percent: of its battery. min_wh, max_wh: energy relative to now that brings it to its own lowest
    and highest state (negative = above it); min_v2x_wh, max_v2x_wh: the range it lets itself be cycled in. bidirectional:
    it asked for a transfer mode that can give back. dynamic_control: ISO 15118-20 dynamic mode, False = scheduled or -2.
    single_phases: it told its powers phase by phase (K01.FR.142).
    """

    evse: EvseKey
    energy_wh: float | None
    departure_wall_s: float | None
    max_current_a: float | None = None
    max_discharge_w: float | None = None
    min_current_a: float | None = None
    max_power_w: float | None = None
    min_power_w: float | None = None
    min_discharge_w: float | None = None
    capacity_wh: float | None = None
    soc_percent: float | None = None
    min_wh: float | None = None
    max_wh: float | None = None
    min_v2x_wh: float | None = None
    max_v2x_wh: float | None = None
    bidirectional: bool = False
    dynamic_control: bool | None = None
    transfer_mode: str = ""
    single_phases: bool = False


@dataclass(frozen=True, slots=True)
class ScheduleAnnounced(Fact):
    """NotifyEVChargingSchedule: what the car says it will take, per phase [A]; () = it takes it back (K15-K17)."""

    evse: EvseKey
    steps: tuple[LimitStep, ...]


@dataclass(frozen=True, slots=True)
class DriverKnown(Fact):
    """Who charges here, as far as it decides on service; told anew when it changes. None = not said.

    priority: -9..9, from the CSMS's chargingPriority, else the site's list or the driver's group (E01.FR.18, K21).
    departure_wall_s, energy_wh: what the driver's group usually needs. group: its name, "" = none. user: a stable name of
    the driver for learning habits, a keyed digest, never the idToken itself; "" = not said.
    """

    evse: EvseKey
    transaction_id: str
    priority: int | None
    departure_wall_s: float | None = None
    energy_wh: float | None = None
    group: str = ""
    user: str = ""


@dataclass(frozen=True, slots=True)
class FeaturesLearned(Fact):
    """What a station says it can do with charging profiles; () / None / False = not said, taken as no.

    units: "A", "W". modes: 2.1 operation modes by their names. dynamic, max_offline: Dynamic profiles, maxOfflineDuration.
    phase_switching: ACPhaseSwitchingSupported / ConnectorSwitch3to1PhaseSupported. rotation: EVSE id -> "RST" etc.
    v2x: EVSE ids whose V2XChargingCtrlr is available.
    """

    station_id: str
    units: tuple[str, ...] = ()
    modes: tuple[str, ...] = ()
    dynamic: bool = False
    max_offline: bool = False
    phase_switching: bool = False
    max_stack_level: int | None = None
    max_profiles: int | None = None
    rotation: tuple[tuple[int, str], ...] = ()
    v2x: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class LimitStep:
    """One step of a limit over time: from start_wall_s until the next step, limit_a per phase.

    limit_a None = no limit in this step. discharge_a <= 0: the deepest discharge allowed, None = nothing said about it.
    setpoint_a: what shall flow, negative = given back, None = up to the site and the car. phase_count, phase_to_use: what
    the limit means, None = as the EVSE is wired. mode: 2.1 operation mode, "" = ChargingOnly. total: limit_a is the even part
    of a limit in watts; where several cars share it, only the sum of the phases has to hold.
    """

    start_wall_s: float
    limit_a: float | None
    discharge_a: float | None = None
    setpoint_a: float | None = None
    phase_count: int | None = None
    phase_to_use: int | None = None
    mode: str = ""
    total: bool = False


@dataclass(frozen=True, slots=True)
class UpstreamWished(Fact):
    """The composite of the CSMS's own profiles for one EVSE (evse_id 0: the station's sum).

    steps ascend and cover the next 24 h; the last one holds on. reason names the profile. prioritised: PriorityCharging
    is active (K21/K22). min_rate_a: less than this is inefficient, says the profile (K01.FR.21), a hint.
    """

    evse: EvseKey
    steps: tuple[LimitStep, ...]
    reason: str
    prioritised: bool = False
    min_rate_a: float | None = None


@dataclass(frozen=True, slots=True)
class SiteWished(Fact):
    """The CSMS's own charging profiles for the whole site, EVSE 0 of a depot face (SC.01, K01): one composite.

    steps as in ``UpstreamWished``: limit_a per phase of the grid connection's controllable loads (all chargers in sum; ``total``: of all
    phases together), discharge_a <= 0 likewise, setpoint_a what all chargers together shall take (negative: give). () = it wishes nothing
    (any more). face: the depot's identity.
    """

    face: str
    steps: tuple[LimitStep, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class GridStep:
    """What DER controls that are known already will bound from start_wall_s until the next step; None = nothing. As in ``GridControlled``."""

    start_wall_s: float
    max_discharge_w: float | None = None
    max_export_w: float | None = None
    part: float | None = None


@dataclass(frozen=True, slots=True)
class GridControlled(Fact):
    """A DER control of the CSMS is in force now, begins, changes or ends (R04); told for each EVSE and for the site.

    evse: station_id "" and evse_id 0 = the whole site. max_discharge_w >= 0: the most that may be given back, None = not limited.
    max_export_w >= 0: at the grid connection, site only. part: of their rated output (0..1) that inverters and battery may give, site only.
    control: id and type, for people, "" = nothing is in force. coming: what changes later, ascending; all of the above holds until the first.
    """

    face: str
    evse: EvseKey
    max_discharge_w: float | None
    max_export_w: float | None = None
    control: str = ""
    part: float | None = None
    coming: tuple[GridStep, ...] = ()


@dataclass(frozen=True, slots=True)
class FileFetched(Fact):
    """A ``FetchFile`` has ended. ok False: reason says why. path: where the file is; sha256, md5: hex digests; size_bytes."""

    job: str
    ok: bool
    reason: str = ""
    path: str = ""
    sha256: str = ""
    md5: str = ""
    size_bytes: int = 0
    url: str = ""


@dataclass(frozen=True, slots=True)
class FileServed(Fact):
    """A ``ServeFile`` is being served. urls: where stations on the local network find it, best first; () = it cannot be.

    missing: it cannot be because the file is gone; it must be fetched again.
    """

    job: str
    urls: tuple[str, ...]
    reason: str = ""
    missing: bool = False


@dataclass(frozen=True, slots=True)
class FilesCollected(Fact):
    """A station has put a file into the box of an ``OpenBox``, or the box was sent on (``SendBox``). kind: "received" or "sent".

    kind "busy": so many stations (name, a number as text) fetch the file of a ``ServeFile`` now. answer: of "sent" that failed, the
    status code of the server's last answer (HTTP or FTP), 0 = it gave none.
    """

    job: str
    kind: str
    ok: bool
    name: str = ""
    reason: str = ""
    answer: int = 0


@dataclass(frozen=True, slots=True)
class SetpointAnswered(Fact):
    """The station answered an ``Inject`` or ``InstallFloor``.

    accepted False: rejected, error or deadline passed; reason says which. lost: nobody knows whether it was taken
    (no answer, connection gone). retry_after_s: the station asked to wait so long (RateLimitExceeded, K01.FR.56-59).
    """

    evse: EvseKey
    number: int
    accepted: bool
    reason: str = ""
    lost: bool = False
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class FloorConfirmed(Fact):
    """The composite schedule read back from a station shows a limit [A] at or below what was expected.

    number: of the setpoint it was read for, 0 = the floor.
    """

    evse: EvseKey
    limit_a: float | None
    ok: bool
    detail: str = ""
    number: int = 0


@dataclass(frozen=True, slots=True)
class SetpointInForce:
    """Part of the answers about profiles: what the site has commanded for an EVSE."""

    limit_a: float
    until_wall_s: float
    reason: str
    phases: int = 3
    extra: dict[str, Any] = field(default_factory=dict)


# -- from the shells: commissioning -----------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Probe:
    """A setpoint written in one certain manner, to see whether a station obeys it. Fields as in ``orders.Strategy``.

    limit_a: per phase; the site lowers it to what the EVSE is allowed now. life_s: of the profile, at most a usual setpoint's.
    """

    limit_a: float
    life_s: float
    purpose: str = "tx"
    unit: str = "A"
    relative: bool = False
    stack_level: int = 1
    dynamic: bool = False


class Deed(StrEnum):
    """One thing done once during a test. NONE: only the limit counts."""

    NONE = ""
    WAKE_STATUS = "wake_status"
    WAKE_AVAILABILITY = "wake_availability"
    READ_BACK = "read_back"
    CLEAR = "clear"
    REWRITE = "rewrite"
    HOLD_OFF = "hold_off"
    LOOK_FIRST = "look_first"


@dataclass(frozen=True, slots=True)
class TrialAsked(Fact):
    """The installer tests an EVSE (``yardmaster commission``): one test on the site at a time.

    limit_a: told at most this, inside every limit of the site, while others rise to their minimum at most; None = not held. for_s:
    seconds from ``at`` after which it ends by itself, 0 = now. session: who tests; another one must wait. deed, probe: done
    once. hold_s: how long HOLD_OFF keeps the station out, at most until the test ends.
    """

    evse: EvseKey
    limit_a: float | None
    for_s: float
    session: str
    deed: Deed = Deed.NONE
    probe: Probe | None = None
    hold_s: float = 0.0
