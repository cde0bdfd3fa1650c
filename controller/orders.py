"""Orders: what shall be done. Plain frozen data, imperative, the only output of the engine.

Shells carry orders out and decide nothing. Orders marked "internal" go from the site side to
the link side inside the engine and never reach a shell.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from controller.facts import Direction, EvseKey, OutboxRow
from optimizer.problem import Problem


@dataclass(frozen=True, slots=True)
class Order:
    """Base of all orders."""


# -- to io/stations and io/upstream ----------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AnswerStation(Order):
    """Finish the handshake of a station that has arrived. version None: no common version with upstream."""

    station_id: str
    ticket: int
    version: str | None


@dataclass(frozen=True, slots=True)
class SetStationSecret(Order):
    """From now on the station's passwords are these salted hashes, not the configured one.

    hashes: in the form of ``link.secrets``; during a change the old and the new one. () = as configured.
    """

    station_id: str
    hashes: tuple[str, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class SendStation(Order):
    """Send one text message to a station, on the connection ``generation`` only."""

    station_id: str
    generation: int
    text: str


@dataclass(frozen=True, slots=True)
class CloseStation(Order):
    """Close a station's socket with a WebSocket close code and a reason (<= 123 bytes)."""

    station_id: str
    generation: int
    code: int
    reason: str


@dataclass(frozen=True, slots=True)
class HoldOffStation(Order):
    """Drop a station's connection and let it not in again for so many seconds: the "pull our plug" test of commissioning."""

    station_id: str
    for_s: float


@dataclass(frozen=True, slots=True)
class DialUpstream(Order):
    """Open the upstream socket of a station, offering the subprotocols ``offered`` in this order.

    password: of this station at this CSMS; None = as configured. mirror_id: "" for the primary CSMS,
    else the mirror's id; one station has one leg per mirror. Likewise below.
    """

    station_id: str
    generation: int
    upstream_id: str
    offered: tuple[str, ...]
    url_tail: str = ""
    mirror_id: str = ""
    password: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class SendUpstream(Order):
    """Send one text message to the CSMS on a station's upstream socket."""

    station_id: str
    generation: int
    text: str
    mirror_id: str = ""


@dataclass(frozen=True, slots=True)
class CloseUpstream(Order):
    """Close the upstream socket of a station."""

    station_id: str
    generation: int
    reason: str
    mirror_id: str = ""


# -- to io/journal ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Persist(Order):
    """Put rows and memories on disk in one transaction, fsync, then report ``Persisted``.

    rows: new outbox rows; their ``number`` is 0 and is assigned by the journal (rising).
    remember: (space, key) -> JSON value; None deletes. token: names the answer; 0 = no answer wanted.
    """

    token: int
    rows: tuple[OutboxRow, ...] = ()
    remember: dict[tuple[str, str], Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ForgetRows(Order):
    """Upstream has acknowledged these outbox rows: they may leave the disk."""

    numbers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class UpdateRow(Order):
    """Keep the number of attempts of an outbox row, or park it."""

    number: int
    attempts: int
    parked: bool


@dataclass(frozen=True, slots=True)
class LoadRows(Order):
    """Read queued messages from the disk again; answered by ``RowsLoaded``. Damaged ones are left out."""

    station_id: str
    numbers: tuple[int, ...]


# -- to io/mqtt, io/history, io/solver, log ----------------------------------------------------


@dataclass(frozen=True, slots=True)
class Publish(Order):
    """Publish a JSON payload below ``yardmaster/<site>/``. topic is the tail, without slash at its head."""

    topic: str
    payload: dict[str, Any]
    retain: bool = False


@dataclass(frozen=True, slots=True)
class SolvePlan(Order):
    """Hand a problem to the solver child; replaces one still waiting."""

    problem: Problem


@dataclass(frozen=True, slots=True)
class RecordPoint(Order):
    """One point of history: measurement, tags, float fields with units in their names, wall time."""

    measurement: str
    tags: dict[str, str]
    fields: dict[str, float]
    wall_s: float


@dataclass(frozen=True, slots=True)
class RecordCompliance(Order):
    """One line of the compliance log: on disk for years, exported as CSV.

    source, direction, circuit: whose limit. event: received, refused, obeyed, measured, ended, failsafe, released ... limit_w: the limit in
    force [W], None = none. measured_w: what flowed where it binds [W], None = not known. detail: for people.
    """

    wall_s: float
    source: str
    direction: Direction
    circuit: str
    event: str
    limit_w: float | None
    measured_w: float | None
    detail: str = ""


# -- to the shells of grid signals, inverters, battery, relays -----------------------------------


@dataclass(frozen=True, slots=True)
class AnswerSignal(Order):
    """What became of a ``LimitStated`` or ``FailsafeStated`` with this number, for its sender. in_force_w: of the source, None = no limit.

    accepted: it holds and is on disk.
    """

    source: str
    number: int
    accepted: bool
    reason: str
    in_force_w: float | None


@dataclass(frozen=True, slots=True)
class AnswerLimit(Order):
    """What became of a ``LimitReceived`` with this number. accepted: it holds and is on disk. holds: it holds, on disk or not."""

    number: int
    accepted: bool
    holds: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class AnswerEvent(Order):
    """What the site does about an event whose source wants to know: received, started, completed, superseded, cancelled, rejected,
    partial (in part or not at all obeyed). wall_s: since when."""

    source: str
    event_id: str
    version: int
    what: str
    wall_s: float


@dataclass(frozen=True, slots=True)
class TellSource(Order):
    """What the site measures, for sources that want readings (OpenADR reports, mirror usage points). None = not known.

    power_w, energy_import_wh, energy_export_wh, voltage_v: at the grid connection, import positive. controllable_w: chargers and the battery's
    charging. pv_w, battery_w: import and charging positive. limit_w, production_limit_w: of this source, now in force. state: of its limit
    machine (``snapshot.SignalView.state``).
    """

    source: str
    wall_s: float
    power_w: float | None
    energy_import_wh: float | None
    energy_export_wh: float | None
    voltage_v: float | None
    controllable_w: float | None
    pv_w: float | None
    battery_w: float | None
    soc_percent: float | None
    limit_w: float | None
    production_limit_w: float | None
    state: str


@dataclass(frozen=True, slots=True)
class SteerDevice(Order):
    """Command an inverter (power_w >= 0: its most production), the battery (charging positive) or a relay (closed).

    power_w None and closed None = give it free. life_s: after so long without a new order the device shall be free by itself, where it can;
    the shell renews nothing. number: comes back in ``DeviceAnswered``. urgent: overtakes readings. keeps: when the program stops this command is
    left to end by itself, where it does: a fuse would be over without it, and nobody would be there to lower the cars.
    """

    device: str
    number: int
    power_w: float | None = None
    closed: bool | None = None
    life_s: float = 60.0
    urgent: bool = False
    keeps: bool = False


class Severity(StrEnum):
    """How loud an event is: info for the log, warning wants a look, alarm wants a person."""

    INFO = "info"
    WARNING = "warning"
    ALARM = "alarm"


@dataclass(frozen=True, slots=True)
class Tell(Order):
    """An entry of the event log: what happened, what we did, what a person can do. No secrets.

    subject: what it is about (a station, a meter, "site"). Written once per change of state.
    """

    severity: Severity
    subject: str
    text: str
    wall_s: float = 0.0


# -- internal: site -> link ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Strategy:
    """How a setpoint or a floor is brought to a station, by its charger model; the next one follows a rejection (F04).

    purpose: "tx", "tx_default" or "station_max" (the whole station, EVSE 0). unit: "A" per phase or "W" in all. relative:
    the schedule counts from the session, not from a date. stack_level: of the setpoint; floors lie below it. dynamic: a 2.1
    Dynamic profile, updated by UpdateDynamicSchedule. max_offline_s: 2.1, the profile ends when the station is offline so long.
    """

    purpose: str = "tx"
    unit: str = "A"
    relative: bool = False
    stack_level: int = 1
    dynamic: bool = False
    max_offline_s: float | None = None


@dataclass(frozen=True, slots=True)
class Inject(Order):
    """Internal. Bring a setpoint to a station as a charging profile of finite life.

    limit_a: per phase [A]; 0 = pause. phase_count: 1..3 phases the limit counts for; phase_to_use: 1..3 of the
    station's own phases, only with phase_count 1 and a charger that can switch.
    life_s: monotonic seconds after which the station must have fallen back to its floor.
    number: comes back in ``SetpointAnswered``. urgent: overtakes everything waiting.
    setpoint_w: for V2G, signed total power [W] (operation mode CentralSetpoint); None for plain charging.
    idle: 2.1 operation mode Idle, neither charge nor discharge.
    """

    evse: EvseKey
    number: int
    limit_a: float
    phase_count: int
    life_s: float
    reason: str
    urgent: bool = False
    setpoint_w: float | None = None
    strategy: Strategy = Strategy()
    phase_to_use: int | None = None
    idle: bool = False


@dataclass(frozen=True, slots=True)
class InstallFloor(Order):
    """Internal. Write the persistent fallback (TxDefaultProfile) into a station.

    limit_a: per phase [A]. Answered by ``SetpointAnswered`` with ``number``. strategy: unit, purpose ("tx_default" or
    "station_max") and stack level.
    """

    evse: EvseKey
    number: int
    limit_a: float
    phase_count: int
    strategy: Strategy = Strategy(purpose="tx_default", stack_level=0)


@dataclass(frozen=True, slots=True)
class ClearSetpoint(Order):
    """Internal. Take our setpoint out of a station (another strategy follows); answered by ``SetpointAnswered``.

    purpose: "" = the one written last; "station_max" = that of the station, which a commissioning test has left beside it.
    """

    evse: EvseKey
    number: int
    purpose: str = ""


@dataclass(frozen=True, slots=True)
class ReadBack(Order):
    """Internal. Ask a station for its composite schedule; answered by ``FloorConfirmed``. number: of the setpoint, 0 = floor."""

    evse: EvseKey
    expected_a: float
    number: int = 0


@dataclass(frozen=True, slots=True)
class SetAvailable(Order):
    """Internal. Make an EVSE operative or inoperative (last steps of the escalation)."""

    evse: EvseKey
    operative: bool


@dataclass(frozen=True, slots=True)
class Wake(Order):
    """Internal. Help a car that sleeps after a pause of 0 A (trap 19). trick: "status" or "availability", see ``site.charger``."""

    evse: EvseKey
    trick: str


@dataclass(frozen=True, slots=True)
class AnnounceLimit(Order):
    """Internal. The site holds an EVSE (evse_id 0: a station) below what its CSMS allows: tell the CSMS (K11-K14, K24-K26).

    limit_a: per phase [A] now, None = the site holds nothing back any more. source: "EMS", "SO" or "Other". critical: for the
    grid. Told by every decision that changes it; the link keeps the significance and the pace.
    """

    evse: EvseKey
    limit_a: float | None
    source: str
    reason: str
    critical: bool = False
    until_wall_s: float | None = None


@dataclass(frozen=True, slots=True)
class AnnounceSite(Order):
    """Internal. What the site measures and allows now, for EVSE 0 of a depot face; each 10 s and whenever the limit changes.

    power_w, phase_current_a: at the grid connection, None = its meter is not to be trusted now. import_wh, export_wh: its registers.
    limit_a: per phase, in force for the whole connection; limit_source: "fuse", "mqtt", "csms" ... chargers_w: all chargers in sum.
    alarms: DER control types that hold cars below their schedule now (R05), e.g. "LimitMaxDischarge". limit_notified: "EMS" or "SO" while
    something but fuse and CSMS holds the site down, in the words of NotifyChargingLimit, "" = nothing does; limit_until_wall_s: its end.
    """

    power_w: float | None
    phase_current_a: tuple[float | None, float | None, float | None]
    voltage_v: float | None
    import_wh: float | None
    export_wh: float | None
    limit_a: float
    limit_source: str
    chargers_w: float
    alarms: tuple[str, ...] = ()
    limit_notified: str = ""
    limit_until_wall_s: float | None = None


@dataclass(frozen=True, slots=True)
class ForgetDrivers(Order):
    """Internal. ClearCache of a depot face: what the CSMS has said of drivers, kept for its absence, is forgotten (C11). face: its identity."""

    face: str


# -- to io/files ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FetchFile(Order):
    """Download a file once (firmware). Answered by ``FileFetched``. max_bytes: give up beyond. attempts, retry_s: as in UpdateFirmware."""

    job: str
    url: str
    max_bytes: int = 512 * 1024 * 1024
    attempts: int = 3
    retry_s: float = 30.0


@dataclass(frozen=True, slots=True)
class MakeSigningRequest(Order):
    """Make a new key for our certificate towards a CSMS, and the request to sign it (A02, A03); answered by ``SigningRequestMade``.

    number: of the request. common_name, organization ("" = none): of the subject.
    """

    upstream_id: str
    identity: str
    number: int
    common_name: str
    organization: str = ""


@dataclass(frozen=True, slots=True)
class InstallOwnCertificate(Order):
    """Check a signed certificate against the keys of our requests and keep it for the next dial; answered by ``OwnCertificateInstalled``.

    chain: PEM, ours first. The one before stays until the CSMS has let us in with the new one.
    """

    upstream_id: str
    identity: str
    number: int
    chain: str
    common_name: str


@dataclass(frozen=True, slots=True)
class ServeFile(Order):
    """Offer a fetched file to stations on the local network over HTTP; answered by ``FileServed``."""

    job: str
    path: str
    name: str


@dataclass(frozen=True, slots=True)
class StopServing(Order):
    """End a ``ServeFile`` or ``OpenBox`` and delete its files."""

    job: str


@dataclass(frozen=True, slots=True)
class OpenBox(Order):
    """Take in files that stations upload (logs); answered by ``FileServed`` (urls to upload to), then ``FilesCollected`` per file.

    senders: the names that may follow the url, () = any. What one of them may put is bounded, so that it leaves room for the others.
    """

    job: str
    max_bytes: int = 256 * 1024 * 1024
    senders: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SendBox(Order):
    """Pack everything in a box into one zip, with ``extra`` (name -> text) beside it, and upload that; answered by ``FilesCollected`` "sent"."""

    job: str
    url: str
    name: str
    extra: tuple[tuple[str, str], ...] = ()
    attempts: int = 3
    retry_s: float = 30.0
