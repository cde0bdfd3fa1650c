"""The planning problem and its answer as plain data: what goes to the solver, what comes back.

Pure data, no solver, picklable: it crosses the border to the solver child process. Times are
Unix seconds UTC, power in W, energy in Wh, current in A per phase, prices in currency per kWh.
Charging and import are positive. Phases are 0, 1, 2 = L1, L2, L3 of the site.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

Triple = tuple[float, float, float]

IMPORT_OVERLOAD = "import"
EXPORT_OVERLOAD = "export"

EXPECTED = "expected:"
"""Prefix of the id of a car that may come (``Ev.expected``); nobody commands it."""


def overload_key(node_id: str, phase: int) -> str:
    """Name of one phase (0, 1, 2) of a node in ``Plan.overload_a``, e.g. "hall-a/L2"."""
    return f"{node_id}/L{phase + 1}"


@dataclass(frozen=True, slots=True)
class Slot:
    """One step of the horizon. Slots are contiguous and ascending."""

    start_wall_s: float
    duration_s: float

    @property
    def hours(self) -> float:
        """Length [h]."""
        return self.duration_s / 3600.0


@dataclass(frozen=True, slots=True)
class Node:
    """One node of the feeder tree. parent None = the root, the grid connection.

    limit_a: per phase [A], what the copper (or a valid limit on this circuit) carries.
    slot_limit_a: optional tighter limit per slot (per phase [A]); length = number of slots.
    other_load_a: per slot, per phase [A], metered or forecast load on this node that is not an
    EV of the problem and not in a child node: the expected value, money is counted with it.
    margin_a: optional, per slot [A]: what stays unplanned in the drawing direction because the load may be higher
    (or the PV lower) than expected, say its 90 % quantile minus the expectation. It gives way where it alone would overload.
    max_unbalance_a: largest difference between the currents of two phases [A], soft; None = no rule.
    slot_total_w: optional limit of all phases together per slot, in the drawing direction [W]. Where other loads alone are above it,
    cars and battery add nothing; at the root PV counts with all it makes. battery_counts: the battery's charging counts in it, though
    it hangs on the root (a limit of all controllable loads).
    """

    node_id: str
    parent: str | None
    limit_a: Triple
    slot_limit_a: tuple[float, ...] = ()
    other_load_a: tuple[Triple, ...] = ()
    margin_a: tuple[float, ...] = ()
    max_unbalance_a: float | None = None
    slot_total_w: tuple[float, ...] = ()
    battery_counts: bool = False


@dataclass(frozen=True, slots=True)
class Ev:
    """One plugged-in, announced or expected car.

    phases: site phases it loads, e.g. (0, 1, 2) or (1,); power divides equally among them.
    arrival_wall_s, departure_wall_s: its stay. energy_need_wh: at the charger, still to come.
    min_power_w: smallest power it takes without pausing (6 A rule); the LP itself is free in
    between, rounding to 0 or >= min happens in the arbiter. max_slot_power_w: optional upper
    bound per slot (upstream profile), length = number of slots.
    V2G: max_discharge_w > 0 only if allowed; then capacity_wh and soc_wh must be given, and the
    stored energy stays >= reserve_wh. wear_per_kwh prices each discharged kWh.
    present_power_w: what it draws now (for few changes).
    minimum_wh: the part of the need that comes before everybody's wishes (0..energy_need_wh).
    acceptance: the car's own curve, falling and concave: (stored energy [Wh], most charging power from there on [W]) in
    ascending order, straight lines between, the last power lasting; needs capacity_wh and soc_wh. The mean power of a slot
    is at most the curve at the mean of the stored energy at the slot's begin and end. Empty = max_power_w until full.
    max_slot_discharge_w: optional bound of discharge per slot [W].
    expected: a car that has not come and may not; it keeps room free and is in nobody's setpoints.
    shortfall_per_kwh: this car's own price of a missing kWh [currency/kWh], before priority; None = the problem's.
    wait_per_kwh: optional price of putting charging off to a slot, per slot, >= 0 and ascending [currency/kWh charged there]: money that
    nobody pays (``waiting.py``), in the objective and not in the cost.
    """

    ev_id: str
    node_id: str
    phases: tuple[int, ...]
    arrival_wall_s: float
    departure_wall_s: float
    energy_need_wh: float
    min_power_w: float
    max_power_w: float
    efficiency: float = 1.0
    priority: int = 0
    max_slot_power_w: tuple[float, ...] = ()
    max_discharge_w: float = 0.0
    capacity_wh: float = 0.0
    soc_wh: float = 0.0
    reserve_wh: float = 0.0
    wear_per_kwh: float = 0.0
    present_power_w: float = 0.0
    minimum_wh: float = 0.0
    acceptance: tuple[tuple[float, float], ...] = ()
    max_slot_discharge_w: tuple[float, ...] = ()
    expected: bool = False
    shortfall_per_kwh: float | None = None
    wait_per_kwh: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Battery:
    """The stationary battery. Energies at the cells; power at the grid side, charging positive.

    min_soc_wh is never planned below. reserve_wh: kept for outages and grid events; broken only where an overload or a
    missing kWh of a car would cost more, and reported. sun_only: it charges no more than PV makes in a slot.
    feeds_grid: it may be discharged into the grid; False: while it gives, no more is fed in than PV makes beyond the building
    and cars that are there could give. max_slot_discharge_w: optional tighter bound per slot [W]; length = number of slots.
    """

    capacity_wh: float
    soc_wh: float
    min_soc_wh: float
    max_charge_w: float
    max_discharge_w: float
    efficiency_one_way: float = 0.96
    wear_per_kwh: float = 0.0
    reserve_wh: float = 0.0
    sun_only: bool = False
    feeds_grid: bool = True
    max_slot_discharge_w: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Problem:
    """Everything a plan depends on.

    Per-slot tuples have one entry per slot. buy/sell_per_kwh: currency per kWh; pv_w >= 0 is
    production, spread evenly over the phases. import/export_limit_w: total at the grid
    connection. demand_per_kw: currency per kW of the highest mean import of a demand window, peak_so_far_w the
    peak already paid for. shortfall_per_kwh: price of energy not delivered by departure; None = energy first: a price above
    anything that money could gain by leaving a kWh out.

    demand_window_s: length of a demand window [s], windows begin on its multiples (UTC); slots inside one window are
    averaged. window_import_wh: what the running window has imported before the first slot [Wh].
    co2_kg_per_kwh per slot, with co2_per_kg [currency/kg] added to the buy price. reserve_w per slot: import left free below
    the import limit (or the fuse) for an announced grid event, soft at reserve_per_kwh. grid_setpoint_w per slot: the grid
    power somebody asks for (DER setpoint, import positive), None = nobody; soft at setpoint_per_kwh. pv_fixed: PV cannot be held down.
    """

    created_wall_s: float
    slots: tuple[Slot, ...]
    voltage_v: float
    nodes: tuple[Node, ...]
    evs: tuple[Ev, ...]
    buy_per_kwh: tuple[float, ...]
    sell_per_kwh: tuple[float, ...]
    pv_w: tuple[float, ...]
    import_limit_w: tuple[float, ...] = ()
    export_limit_w: tuple[float, ...] = ()
    demand_per_kw: float = 0.0
    peak_so_far_w: float = 0.0
    battery: Battery | None = None
    shortfall_per_kwh: float | None = None
    currency: str = "EUR"
    demand_window_s: float = 900.0
    window_import_wh: float = 0.0
    co2_kg_per_kwh: tuple[float, ...] = ()
    co2_per_kg: float = 0.0
    reserve_w: tuple[float, ...] = ()
    reserve_per_kwh: float = 1.0
    grid_setpoint_w: tuple[float | None, ...] = ()
    setpoint_per_kwh: float = 1.0
    pv_fixed: bool = False


class PlanStatus(StrEnum):
    """How good the solver says the plan is."""

    PROVED = "proved"
    FEASIBLE = "feasible"
    RULES = "rules"


class SlackKind(StrEnum):
    """Which soft rule a plan could not (or would rather not) keep."""

    OVERLOAD = "overload"
    IMPORT = "import"
    EXPORT = "export"
    UNBALANCE = "unbalance"
    MINIMUM = "minimum"
    SHORTFALL = "shortfall"
    BATTERY_RESERVE = "battery_reserve"
    EVENT_RESERVE = "event_reserve"
    SETPOINT = "setpoint"


@dataclass(frozen=True, slots=True)
class Slack:
    """One broken soft rule, and what the plan reckons for it.

    where: car, ``overload_key``, node, "battery" or "site". amount in unit ("A", "kWh", "kW"): the worst slot's for powers and
    currents, the sum for energies. slot: the worst one, None = not about one slot. price: currency per unit as the
    program weighs it (a penalty, not money somebody pays), summed over the slots in cost.
    """

    kind: SlackKind
    where: str
    slot: int | None
    amount: float
    unit: str
    price: float
    cost: float


@dataclass(frozen=True, slots=True)
class ShadowPrice:
    """What one more unit of a limit would save, from the duals of a proved plan; only limits that bind.

    where: node_id, "import", "export" or "peak". phase 0..2, None = no phase. per_unit: currency per A (nodes) or per kW
    (import, export, peak), for the limit being looser in every slot; slots: the same per slot.
    """

    where: str
    phase: int | None
    per_unit: float
    slots: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """A plan: mean power per EV and slot, and what it costs.

    ev_power_w: ev_id -> one value per slot [W], negative = discharge. battery_power_w: per slot,
    charging positive. grid_power_w: per slot, import positive. shortfall_wh: ev_id -> energy not
    delivered by departure. overload_a: ``overload_key(node, phase)`` -> worst planned overdraw [A]
    that not even zero charging can avoid (soft limit); empty when everything fits. Overdraw of the
    site's import / export limit stands under IMPORT_OVERLOAD / EXPORT_OVERLOAD [A, sum of phases].
    cost: energy + demand, in the problem's currency, without penalties, CO2 price and wear. peak_w: highest mean import of a demand
    window, what the running one has already imported included. solver: which one, and in solve_s.
    Expected cars have their series too. objective: the whole objective [currency] with penalties and preferences (None: made by
    rules). slacks: every soft rule that is broken. shadow: see ``ShadowPrice``, () when not proved. way: how much of the last plan's work
    could be used: "hot", "admitted" (cars came or left) or "rebuilt"; "" = solved for itself or by rules.
    gap: proved: the objective is at most this part of itself above the best one; None = not known (0 when PROVED).
    """

    created_wall_s: float
    slots: tuple[Slot, ...]
    ev_power_w: dict[str, tuple[float, ...]]
    grid_power_w: tuple[float, ...]
    status: PlanStatus
    cost: float
    peak_w: float
    battery_power_w: tuple[float, ...] = ()
    pv_curtailed_w: tuple[float, ...] = ()
    shortfall_wh: dict[str, float] = field(default_factory=dict)
    overload_a: dict[str, float] = field(default_factory=dict)
    solver: str = ""
    solve_s: float = 0.0
    objective: float | None = None
    co2_kg: float = 0.0
    slacks: tuple[Slack, ...] = ()
    shadow: tuple[ShadowPrice, ...] = ()
    way: str = ""
    gap: float | None = None

    def slot_at(self, wall_s: float) -> int | None:
        """Index of the slot that contains ``wall_s``, None outside the horizon."""
        for index, slot in enumerate(self.slots):
            if slot.start_wall_s <= wall_s < slot.start_wall_s + slot.duration_s:
                return index
        return None
