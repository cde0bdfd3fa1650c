"""The work of a backtest as jobs that know nothing of each other: one policy over one stretch of one case. And their results put together.

A case longer than a month is cut at the calendar months of its site, since each has its own demand charge: there nothing is lost but
cars that stay over midnight of the first, who are cut there. ``apart_days`` cuts further, to use more cores: each part then begins with
an empty garage, and without the peak of the days before, so a controller that watches its peak pays more than in one go. The demand
charge of the month is reckoned on the highest peak of its parts all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from itertools import pairwise

from controller.io.chargers import load_chargers
from controller.paths import config_dir
from controller.sim.backtest.account import base_account
from controller.sim.backtest.case import Case
from controller.sim.backtest.limit_costs import joined_limits
from controller.sim.backtest.loop import run_ours
from controller.sim.backtest.outcome import PolicyOutcome
from controller.sim.backtest.policies import SHARES, run_rule
from controller.sim.backtest.quickly import run_bound, run_quick
from controller.sim.backtest.series import local, midnight
from controller.sim.backtest.setting import Setting
from controller.sim.backtest.timeline import Progress
from optimizer.forecast import zone_of

UNCONTROLLED, OURS, OURS_V2G, BOUND, BOUND_V2G = "uncontrolled", "ours", "ours-v2g", "bound", "bound-v2g"
POLICIES = (UNCONTROLLED, *SHARES, OURS, OURS_V2G, BOUND, BOUND_V2G)
GIVING = (OURS_V2G, BOUND_V2G)
BOUNDS = (BOUND, BOUND_V2G)
MONTH_DAYS = 31.0
WEIGHTS = {OURS: 40.0, OURS_V2G: 60.0, BOUND: 5.0, BOUND_V2G: 8.0}
"""How long a policy takes against a rule, for progress."""


@dataclass(frozen=True, slots=True)
class Job:
    """One policy over one stretch. number: of its setting; period: of its month."""

    number: int
    period: int
    policy: str
    case: Case
    quick: bool = False

    @property
    def weight(self) -> float:
        """How much work it is, against a day of a rule."""
        return self.case.days * (1.0 if self.quick else WEIGHTS.get(self.policy, 1.0))


def run_job(job: Job, progress: Progress) -> PolicyOutcome:
    """Do it."""
    if job.policy in BOUNDS:
        return run_bound(job.case, job.policy, progress, job.quick)
    if job.quick:
        return run_quick(job.case, job.policy, progress)
    if job.policy in (OURS, OURS_V2G):
        return run_ours(job.case, job.case.config, load_chargers(config_dir() / "chargers"), job.policy, progress)
    return run_rule(job.case, job.case.config, job.policy, progress)


def jobs_of(settings: Sequence[Setting], policies: Sequence[str], quick: bool, apart_days: float | None) -> list[Job]:
    """All work, the longest first. Policies that give back are left out where nothing may."""
    found = []
    for number, setting in enumerate(settings):
        for policy in policies:
            case = setting.v2g if policy in GIVING else setting.case
            for period, part in enumerate(periods(case)) if case is not None else ():
                whole = apart_days is None or policy in BOUNDS
                found += [Job(number, period, policy, one, quick) for one in ([part] if whole else apart(part, apart_days or 0.0))]
    return sorted(found, key=lambda job: -job.weight)


# -- cutting ------------------------------------------------------------------------------------------------------


def periods(case: Case) -> list[Case]:
    """The case by calendar months, if it is longer than one."""
    if case.days <= MONTH_DAYS + 0.1:
        return [case]
    return _cut(case, [case.start_wall_s, *_months(case), case.end_wall_s])


def _months(case: Case) -> Iterable[float]:
    zone = zone_of(case.config.site.timezone)
    day = local(case.start_wall_s, zone).date()
    while True:
        day = date(day.year + day.month // 12, day.month % 12 + 1, 1)
        if midnight(day, zone) >= case.end_wall_s:
            return
        yield midnight(day, zone)


def apart(case: Case, apart_days: float) -> list[Case]:
    """The case in parts of so many whole local days."""
    zone = zone_of(case.config.site.timezone)
    day, edges = local(case.start_wall_s, zone).date(), [case.start_wall_s]
    while (edge_s := midnight(day := day + timedelta(days=max(1, round(apart_days))), zone)) < case.end_wall_s:
        edges.append(edge_s)
    return _cut(case, [*edges, case.end_wall_s])


def _cut(case: Case, edges: Sequence[float]) -> list[Case]:
    return [case.stretch(start_s, end_s) for start_s, end_s in pairwise(edges)]


# -- putting together ---------------------------------------------------------------------------------------------


def together(setting: Setting, done: Sequence[tuple[Job, PolicyOutcome]], policies: Sequence[str]) -> tuple[PolicyOutcome, ...]:
    """The outcomes of one setting's jobs, one per policy, in the order of the policies."""
    found = []
    for policy in policies:
        mine = [(job, outcome) for job, outcome in done if job.policy == policy]
        case = setting.v2g if policy in GIVING else setting.case
        if mine and case is not None:
            months = [_month(part, [outcome for job, outcome in mine if job.period == number]) for number, part in enumerate(periods(case))]
            found.append(_joined(months))
    return tuple(found)


def _month(case: Case, parts: Sequence[PolicyOutcome]) -> PolicyOutcome:
    """One billing period from its parts: one peak, one demand charge."""
    if len(parts) == 1:
        return parts[0]
    whole = _joined(sorted(parts, key=lambda one: one.curve[0].wall_s if one.curve else 0.0))
    base = base_account(case)
    demand = max(0.0, whole.peak_w) / 1000.0 * case.demand_per_kw
    return replace(whole, demand_cost=demand, base_cost=base.energy_cost + base.demand_cost)


def _joined(parts: Sequence[PolicyOutcome]) -> PolicyOutcome:
    """Parts that follow each other as one."""
    if len(parts) == 1:
        return parts[0]

    def total(value: Callable[[PolicyOutcome], float]) -> float:
        return sum(value(one) for one in parts)

    return PolicyOutcome(
        policy=parts[0].policy,
        energy_cost=total(lambda one: one.energy_cost),
        demand_cost=total(lambda one: one.demand_cost),
        wear_cost=total(lambda one: one.wear_cost),
        base_cost=total(lambda one: one.base_cost),
        peak_w=max(one.peak_w for one in parts),
        sessions=tuple(session for one in parts for session in one.sessions),
        curve=tuple(quarter for one in parts for quarter in one.curve),
        over_limit_s=_by_circuit(parts, lambda one: one.over_limit_s, sum),
        worst=_by_circuit(parts, lambda one: one.worst, max),
        limits=joined_limits([one.limits for one in parts]),
        co2_kg=total(lambda one: one.co2_kg),
        seconds=total(lambda one: one.seconds),
        notes=tuple(dict.fromkeys(note for one in parts for note in one.notes)),
    )


def _by_circuit(
    parts: Sequence[PolicyOutcome], rows: Callable[[PolicyOutcome], Mapping[str, float]], put: Callable[[list[float]], float]
) -> dict[str, float]:
    names = dict.fromkeys(name for one in parts for name in rows(one))
    return {name: put([rows(one)[name] for one in parts if name in rows(one)]) for name in names}
