"""What came out of a backtest: one record per policy, the same for every way of running it. Plain data, JSON-ready.

Measured at the simulated meters, never planned. Wall times are Unix seconds UTC, energy Wh, power W, money in the tariff's currency;
import and charging positive.
"""

from __future__ import annotations

from dataclasses import dataclass, field

CURVE_STEP_S = 900.0
"""Curves are means over quarter hours of the wall clock [s]."""


@dataclass(frozen=True, slots=True)
class SessionOutcome:
    """One car's stay. wanted_wh: what it could have taken (the recorded energy); stated_*: what its driver said, None = nothing.

    end_soc and capacity_wh only where a battery is simulated (V2G).
    """

    id: str
    evse: str
    arrival_wall_s: float
    departure_wall_s: float
    wanted_wh: float
    delivered_wh: float
    stated_wh: float | None = None
    stated_departure_wall_s: float | None = None
    given_wh: float = 0.0

    @property
    def missing_wh(self) -> float:
        """Energy the car left without [Wh], >= 0."""
        return max(0.0, self.wanted_wh - self.delivered_wh)


@dataclass(frozen=True, slots=True)
class Quarter:
    """Means of one quarter hour [W]; buy and sell [currency/kWh]. loads: circuit -> highest phase current / its limit."""

    wall_s: float
    grid_w: float
    ev_w: float
    base_w: float
    pv_w: float
    battery_w: float
    buy_per_kwh: float
    sell_per_kwh: float
    loads: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LimitCost:
    """What a circuit's limit (or "import", "export", "peak") cost over the whole run.

    cost: against the same run without this limit; saved_by_more: what ``more`` of unit more would have saved [currency]. None = not reckoned.
    cost_kwh: energy that the limit kept from cars; gained_kwh: what ``more`` would have delivered on top.
    """

    where: str
    unit: str
    cost: float | None
    more: float
    saved_by_more: float | None
    cost_kwh: float = 0.0
    gained_kwh: float = 0.0


@dataclass(frozen=True, slots=True)
class PolicyOutcome:
    """One policy over the whole time. cost = energy + demand + wear. base_cost: the same site without any car, so cost - base_cost is
    what the cars cost. over_limit_s: circuit -> seconds above its limit. worst: circuit -> highest phase current / limit."""

    policy: str
    energy_cost: float
    demand_cost: float
    wear_cost: float
    base_cost: float
    peak_w: float
    sessions: tuple[SessionOutcome, ...]
    curve: tuple[Quarter, ...]
    over_limit_s: dict[str, float] = field(default_factory=dict)
    worst: dict[str, float] = field(default_factory=dict)
    limits: tuple[LimitCost, ...] = ()
    co2_kg: float = 0.0
    seconds: float = 0.0
    notes: tuple[str, ...] = ()

    @property
    def cost(self) -> float:
        """Everything that is paid [currency]."""
        return self.energy_cost + self.demand_cost + self.wear_cost

    @property
    def ev_cost(self) -> float:
        """What the cars cost [currency]: against the same site without any."""
        return self.cost - self.base_cost

    @property
    def wanted_wh(self) -> float:
        """Energy all cars could have taken [Wh]."""
        return sum(session.wanted_wh for session in self.sessions)

    @property
    def delivered_wh(self) -> float:
        """Energy all cars got, what they gave back taken off [Wh]."""
        return sum(session.delivered_wh for session in self.sessions)

    @property
    def delivered_percent(self) -> float:
        """Delivered part of what was wanted [%]; 100 when nobody wanted anything."""
        return 100.0 * self.delivered_wh / self.wanted_wh if self.wanted_wh > 0 else 100.0


@dataclass(frozen=True, slots=True)
class Backtest:
    """All policies over the same time. fidelity: "full" = the whole controller, "quick" = planner and ideal cars only.

    circuits_a: circuit -> its limit [A per phase], the grid connection first. grid_limit_w: what the grid connection carries in all
    [W], None = not told. evse_circuits: EVSE -> the circuits it hangs on, the nearest first; {} = not told.
    drivers: "truth" = policies knew needs and departures, "stated" = they knew what drivers had said, "" = not told.
    """

    site: str
    start_wall_s: float
    end_wall_s: float
    timezone: str
    currency: str
    fidelity: str
    policies: tuple[PolicyOutcome, ...]
    circuits_a: dict[str, float]
    notes: tuple[str, ...] = ()
    grid_limit_w: float | None = None
    evse_circuits: dict[str, tuple[str, ...]] = field(default_factory=dict)
    drivers: str = ""

    def policy(self, name: str) -> PolicyOutcome | None:
        """The outcome of this policy, None when it was not run."""
        return next((outcome for outcome in self.policies if outcome.policy == name), None)
