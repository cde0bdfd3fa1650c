"""The picture of the whole site at one moment: what the page, the API and MQTT state show.

Plain frozen data filled by ``site`` and ``link`` and joined by the engine; ``as_json`` turns it
into the documented body of ``GET /api/v1/state``. Units are in the names; import and charging
are positive; times ``*_wall_s`` are Unix seconds UTC.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

Triple = tuple[float, float, float]
MaybeTriple = tuple[float | None, float | None, float | None]


@dataclass(frozen=True, slots=True)
class GridView:
    """The grid connection now. Values are None when nobody measures them or they are lost."""

    fuse_a: float
    voltage_v: float
    phases: int
    current_a: MaybeTriple
    power_w: float | None
    meter_age_s: float | None
    ev_current_a: Triple
    ev_power_w: float
    building_w: float | None
    pv_w: float | None
    battery_w: float | None
    battery_soc_percent: float | None


@dataclass(frozen=True, slots=True)
class CircuitView:
    """One circuit: fuse, the limit now in force per phase, estimated load per phase."""

    id: str
    parent: str | None
    fuse_a: float
    limit_a: Triple
    load_a: Triple


@dataclass(frozen=True, slots=True)
class EvseView:
    """One EVSE as the card on the page shows it.

    state: offline, available, waiting, charging, paused, finished, discharging, faulted, unavailable.
    limit_a: setpoint in force per phase; reason: why it is not higher. ends_wall_s: when the
    setpoint ends by itself. session_energy_wh: charged in this session. need_wh: still wanted.
    """

    id: str
    station_id: str
    evse_id: int
    name: str
    circuit: str
    phases: tuple[str, ...]
    state: str
    online: bool
    transaction_id: str | None
    power_w: float | None
    current_a: MaybeTriple
    limit_a: float | None
    max_current_a: float
    floor_a: float
    floor_confirmed: bool
    reason: str
    ends_wall_s: float | None
    session_energy_wh: float | None
    need_wh: float | None
    departure_wall_s: float | None
    soc_percent: float | None
    priority: int


@dataclass(frozen=True, slots=True)
class LimitView:
    """One limit in force: who set it, on which circuit, until when (None = for ever)."""

    source: str
    circuit: str
    value: float
    unit: str
    limit_a: float
    ends_wall_s: float | None
    binding: bool


@dataclass(frozen=True, slots=True)
class SourceView:
    """Health of one source. health: good, late, lost, off. kind: meter, mqtt, csms, solver, history, station."""

    name: str
    kind: str
    health: str
    age_s: float | None
    detail: str


@dataclass(frozen=True, slots=True)
class MeterView:
    """A meter. role: grid, circuit, pv, battery, load. health: good, late, lost. quality: good, suspect, bad of its newest reading, "" = none yet.

    age_s: of what is believed, None = nothing yet. power_w, current_a: as believed, import positive, by site phase. reads, refused, failed: readings
    since the start, those of them not believed, and polls that brought none. detail: what is wrong, "" = nothing.
    """

    id: str
    role: str
    health: str
    quality: str
    age_s: float | None
    power_w: float | None
    current_a: MaybeTriple
    reads: int
    refused: int
    failed: int
    detail: str = ""


@dataclass(frozen=True, slots=True)
class SignalView:
    """One source of limits from outside (``signals``). state: waiting (failsafe until the first limit), unlimited, limited, failsafe, released (free
    after a failsafe that has lasted), silent (nothing said, no failsafe). limit_w, production_limit_w: in force, None = none; their
    ends. heard_s: seconds since it was heard, None = never. binds: it is what holds the site now. measured_w: what flows where it binds.
    next: the next event for people, "" = none. trouble: "" = all is well. load_limit_w, generation_limit_w: of what the devices we command
    take and give together, whatever flows at the grid connection (CSIP-AUS), None = none.
    """

    id: str
    kind: str
    circuit: str
    controllable: bool
    state: str
    limit_w: float | None
    ends_wall_s: float | None
    production_limit_w: float | None
    production_ends_wall_s: float | None
    heard_s: float | None
    binds: bool
    measured_w: float | None
    next: str = ""
    trouble: str = ""
    load_limit_w: float | None = None
    generation_limit_w: float | None = None


@dataclass(frozen=True, slots=True)
class BoundView:
    """One limit of the site that is not copper, in force or announced.

    kind: import (of a circuit), loads (what can be controlled below a circuit: chargers, a commanded battery's charging), feed_in (at the grid
    connection), generation (inverters and battery together, wherever it flows), giving (what cars give back). source: who says so: contract, a
    fleet manager's name, a signal's id, CSMS. power_w: over all phases; current_a: per phase, if it was said so. state: in_force, failsafe,
    waiting (failsafe until its first word), announced. begins_wall_s: None = holds now; ends_wall_s: None = no end is known. measured_w: what
    flows there, None = not measured. obeyed: None = not known (yet). words: name of the event or control, "" = none. lowest: of all of its kind
    and circuit that hold now.
    """

    kind: str
    source: str
    circuit: str
    power_w: float
    state: str
    current_a: float | None = None
    begins_wall_s: float | None = None
    ends_wall_s: float | None = None
    measured_w: float | None = None
    obeyed: bool | None = None
    words: str = ""
    lowest: bool = False


@dataclass(frozen=True, slots=True)
class DeviceView:
    """An inverter, the battery or a relay we command. kind: inverter, battery, relay. state: free, commanded, confirmed, refused, other (something
    else commands it and we let it), silent. wanted_w, command_w: what we want and what it says is in force. reason: why.
    """

    id: str
    kind: str
    state: str
    power_w: float | None
    wanted_w: float | None
    command_w: float | None
    closed: bool | None
    reason: str
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class SeriesView:
    """Prices or a forecast from a feed. kind: buy, sell, co2, pv, load, clear_sky. until_wall_s: end of what is known, None = nothing is.

    value_now: as the feed told it, without what the tariff adds; None = it has none for now. trouble: what holds instead.
    """

    kind: str
    source: str
    until_wall_s: float | None
    value_now: float | None
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class PlanView:
    """The plan in force; per-slot tuples are as long as start_wall_s.

    status: proved, feasible (the solver's time ended first), rules (no plan was made). trouble: why no newer plan came: late, dead,
    wrong, no plan; "" = all is well. ev_power_w: cars that are here; expected_power_w: those that usually still come, nobody's setpoint.
    announced: whether a slot's buying price was told by a market; else it is the tariff's. () = there is no market.
    """

    created_wall_s: float
    status: str
    solver: str
    solve_s: float
    cost: float
    peak_w: float
    start_wall_s: tuple[float, ...]
    duration_s: tuple[float, ...]
    grid_power_w: tuple[float, ...]
    ev_power_w: tuple[float, ...]
    evse_power_w: dict[str, tuple[float, ...]]
    base_load_w: tuple[float, ...]
    pv_w: tuple[float, ...]
    battery_power_w: tuple[float, ...]
    buy_per_kwh: tuple[float, ...]
    shortfall_wh: dict[str, float]
    expected_power_w: tuple[float, ...] = ()
    expected_cars: int = 0
    trouble: str = ""
    sell_per_kwh: tuple[float, ...] = ()
    announced: tuple[bool, ...] = ()


@dataclass(frozen=True, slots=True)
class HeldBack:
    """What one limit did over some days. bound_s: it held cars back; cost, per_unit (per next A or kW), saved_by_more: money.

    short_s, short_wh: of it the time in which cars could not be served at all, and the energy that ``more`` would have brought.
    """

    bound_s: float
    cost: float
    per_unit: float
    saved_by_more: float
    short_s: float
    short_wh: float


@dataclass(frozen=True, slots=True)
class LimitEffect:
    """One limit that held cars back lately. where: circuit, "import", "export" or "peak"; unit: A or kW; phases: those it held.

    week, month: the last 7 and 30 days. day_bound_s: the last 14 days, oldest first. sentence: the week in words.
    """

    where: str
    name: str
    unit: str
    more: float
    phases: tuple[str, ...]
    today: HeldBack
    week: HeldBack
    month: HeldBack
    day_bound_s: tuple[float, ...]
    sentence: str


@dataclass(frozen=True, slots=True)
class ForecastEffect:
    """Of the cars that came on one day: what plans had kept room for, and what they took. day: its date."""

    day: str
    expected_wh: float
    came_wh: float
    came: int


@dataclass(frozen=True, slots=True)
class SolverEffect:
    """The optimiser today. hot: plans that went on from the last one; status, way: of the plan in force, "" = none."""

    plans: int
    proved: int
    hot: int
    failed: int
    mean_s: float
    slowest_s: float
    status: str
    way: str


@dataclass(frozen=True, slots=True)
class ExplainView:
    """What the plans of the last weeks say. first_day: the oldest that is known. broken: soft rules the plan in force cannot keep.

    sentences: all of it for people, the most important first. limits: the dearest first.
    """

    now_wall_s: float
    currency: str
    first_day: str
    days: tuple[str, ...]
    sentences: tuple[str, ...]
    limits: tuple[LimitEffect, ...]
    broken: tuple[str, ...]
    forecast: tuple[ForecastEffect, ...]
    solver: SolverEffect

    def as_json(self) -> dict[str, Any]:
        """Plain dicts and lists, ready for ``json.dumps``."""
        return dataclasses.asdict(self)


@dataclass(frozen=True, slots=True)
class MirrorView:
    """One station's leg to a mirror. state: open, away. queued: copies that wait in memory."""

    id: str
    state: str
    queued: int


@dataclass(frozen=True, slots=True)
class LinkView:
    """One station's links. upstream: open, away, none. queued: messages on disk not yet upstream.

    maintenance_until_wall_s: until then the CSMS may move the station elsewhere (F27); None = it may not.
    """

    station_id: str
    online: bool
    version: str
    upstream: str
    queued: int
    parked: int
    remote_address: str
    mirrors: tuple[MirrorView, ...] = ()
    maintenance_until_wall_s: float | None = None


@dataclass(frozen=True, slots=True)
class MoveView:
    """Which primary CSMS a station has ("" = none) and shall have. by_operator: the site file says another one.

    waits_for: why it has not changed yet, for people; "" = it has, or does within a second.
    """

    station_id: str
    current: str
    wished: str
    by_operator: bool
    waits_for: str


@dataclass(frozen=True, slots=True)
class NumberView:
    """One EVSE number of a depot face. station_id, evse_id: the EVSE behind it; states: of its connectors, as told to the CSMS.

    configured: False = its charger is not seen through this face (yet, or any more), the number stays reserved. linked: the charger can be asked now.
    """

    number: int
    station_id: str
    evse_id: int
    states: tuple[str, ...]
    configured: bool
    linked: bool


@dataclass(frozen=True, slots=True)
class FaceView:
    """One upstream socket of a face. kind: pair (one station's, translated) or depot. identity: under which it is dialled. state: open,
    dialling, away. version: what its CSMS speaks, "" = not known. queued: CALLs that wait for their turn on it.

    Of a depot face also: accepted: the CSMS has accepted its boot. ranks: (rank, how many wait), first served first. numbers: ascending.
    trouble: why nothing goes up, for people; "" = all is well.
    """

    upstream_id: str
    kind: str
    identity: str
    state: str
    version: str = ""
    queued: int = 0
    accepted: bool = False
    ranks: tuple[tuple[str, int], ...] = ()
    numbers: tuple[NumberView, ...] = ()
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class EventView:
    """One entry of the event log. number rises without gaps."""

    number: int
    wall_s: float
    severity: str
    subject: str
    text: str


@dataclass(frozen=True, slots=True)
class SiteView:
    """The site half of the picture. mode: normal, degraded, failsafe, stop."""

    mode: str
    mode_reason: str
    grid: GridView
    circuits: tuple[CircuitView, ...]
    evses: tuple[EvseView, ...]
    limits: tuple[LimitView, ...]
    sources: tuple[SourceView, ...]
    plan: PlanView | None
    explain: ExplainView | None = None
    signals: tuple[SignalView, ...] = ()
    devices: tuple[DeviceView, ...] = ()
    series: tuple[SeriesView, ...] = ()
    meters: tuple[MeterView, ...] = ()
    bounds: tuple[BoundView, ...] = ()


@dataclass(frozen=True, slots=True)
class WhyLayer:
    """One limit on an EVSE by its own. limit_a: per phase. source: a word of ``site.layers``. binds: it is the lowest of all."""

    what: str
    source: str
    limit_a: float
    ends_wall_s: float | None
    binds: bool


@dataclass(frozen=True, slots=True)
class WhyRow:
    """One thing the EVSE shares with others, on one phase: a fuse, a limit, a station's sum. All per phase [A].

    w_per_a: of a limit in watts, whose currents are sums over the phases it names ("L1+L2+L3"): power of one ampere [W]; None = any other.

    carries_a: what it carries in all, other_a: what flows besides cars, margin_a: kept free, booked_a: kept free for EVSEs that
    cannot be commanded, others_a: given to other cars, own_a: given to this one, left_a: what remains. binds: it holds this EVSE.
    """

    what: str
    phase: str
    carries_a: float
    other_a: float
    margin_a: float
    booked_a: float
    others_a: float
    own_a: float
    left_a: float
    binds: bool
    w_per_a: float | None = None


@dataclass(frozen=True, slots=True)
class WhyProfile:
    """A charging profile of the CSMS that counts now: the leading one of its purpose. limit_a: per phase, None = none."""

    profile_id: int
    purpose: str
    stack_level: int
    limit_a: float | None
    setpoint_a: float | None
    counts: bool
    binds: bool


@dataclass(frozen=True, slots=True)
class WhyStep:
    """One stretch of the plan: mean power [W], limit per phase [A], and what holds it there."""

    start_wall_s: float
    end_wall_s: float
    power_w: float
    limit_a: float
    reason: str


@dataclass(frozen=True, slots=True)
class WhyView:
    """Why an EVSE gets what it gets, now and over the plan. sentence: all of it in one line.

    layers: lowest first. rows: tightest first. told: how the station is told, floor and refusals included.
    """

    id: str
    name: str
    now_wall_s: float
    state: str
    sentence: str
    limit_a: float | None
    setpoint_w: float | None
    drawn_a: float | None
    reason: str
    ends_wall_s: float | None
    priority: int
    priority_from: str
    layers: tuple[WhyLayer, ...]
    rows: tuple[WhyRow, ...]
    profiles: tuple[WhyProfile, ...]
    plan: tuple[WhyStep, ...]
    told: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Plain dicts and lists, ready for ``json.dumps``."""
        return dataclasses.asdict(self)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything at one moment. faces: the depot faces, and pairs whose two versions differ. moves: each station's CSMS."""

    site_id: str
    site_name: str
    timezone: str
    currency: str
    now_wall_s: float
    wall_speed: float
    version: str
    site: SiteView
    links: tuple[LinkView, ...]
    events: tuple[EventView, ...]
    faces: tuple[FaceView, ...] = ()
    moves: tuple[MoveView, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Plain dicts and lists, ready for ``json.dumps``."""
        return dataclasses.asdict(self)
