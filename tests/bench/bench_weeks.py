"""Cost above the perfect-foresight bound on real weeks: the figures the product is judged by. Medians and worst weeks go to history.csv.

Rows (--rows): each is a closed loop of the quick backtest (``controller/sim/backtest/quick*.py``) in steps of 5 minutes, Monday to Friday
cost      half the capacity, true stays and wishes: EV cost above the bound [%], energy delivered [%]
day       the same, but building and sun of later days unknown when the peak of the period is rehearsed
amps      the same, rounded to 0 or 6..31 whole amps
scarce    30 % capacity, energy first (one price, nobody expected): delivered, beside least laxity first and the bound
stated    half the capacity, drivers' own statements: delivered, part of the reachable saving
v2g       half the capacity, 30 % of the cars give back: part of the reachable saving, delivered

Data: a folder as in the project's data README (sessions/, prices/, load_pv/), as argument or in YARDMASTER_DATA. The office load is taken as it
is, the PV at half its size, sold energy earns nothing. A week's forecast knows the sessions of its file before it. Weeks of Caltech
in May and June 2019 and of JPL in September and October 2019 served to choose parameters, and the energy-only trouble was found
on Caltech 2019-08-12: they are left out unless --tuning is given.

    python tests/bench/bench_weeks.py DATA [--weeks 3] [--garage caltech jpl] [--tariff sce4 a10 sce8 nl] [--rows cost ...] [--capacity 0.5] [--dry]
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from statistics import median
from zoneinfo import ZoneInfo

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from controller.config import TariffConfig
from controller.sim.backtest.bound import bound
from controller.sim.backtest.outcome import PolicyOutcome
from controller.sim.backtest.quick import World, run
from controller.sim.backtest.quick_garage import V2g, past_sessions, places, quick_world
from controller.sim.backtest.quick_policies import Planner, Rule, Uncontrolled
from controller.sim.backtest.series_files import read_watts
from controller.sim.backtest.sessions import SessionFile, read_sessions
from controller.sim.backtest.tariffs import read_prices
from tests.bench import ledger

BENCH = "weeks"
TIMEZONE = "America/Los_Angeles"
ZONE = ZoneInfo(TIMEZONE)
TARIFFS = {
    "sce4": "sce_tou_ev_4_march_2019.json",
    "a10": "pge_a10_tou_aug_2019.json",
    "sce8": "sce_tou_ev_8_june_2019.json",
    "nl": "NL_day_ahead_2019_2022.csv.gz",
}
TUNED = {
    "caltech": ((date(2019, 5, 1), date(2019, 6, 30)), (date(2019, 8, 12), date(2019, 8, 12))),
    "jpl": ((date(2019, 9, 1), date(2019, 10, 31)),),
}
FEWEST_SESSIONS = 50
PV_SCALE = 0.5
LOAD, SUN = "load_pv/RefBldgMediumOfficeNew2004_7.1_5.0_3B_USA_CA_LOS_ANGELES.csv", "load_pv/results_jpl_autosized_220kWdc.csv"
ROWS = ("cost", "day", "amps", "scarce", "stated", "v2g")
SCARCE = 0.3
OVER = 1.001


@dataclass(frozen=True)
class Task:
    """One week under one tariff for one row."""

    data: Path
    file: Path
    monday: date
    tariff: str
    row: str
    capacity: float

    @property
    def garage(self) -> str:
        """caltech or jpl."""
        return self.file.name.split("_")[0]


@dataclass(frozen=True)
class Result:
    """What came out. saving and gap in percent; llf and top: energy delivered by least laxity first and by the bound [%]."""

    task: Task
    cars: int
    gap: float
    saving: float
    energy: float
    llf_gap: float
    llf: float
    top: float
    worst_load: float
    seconds: float


def main() -> None:
    """Run the tasks and print the tables."""
    options = _options()
    tasks = list(_tasks(options))
    if not tasks:
        raise SystemExit("no week fits: see --help for the folder of data and the choices")
    print(f"{len(tasks)} weeks to play", flush=True)
    results: list[Result] = []
    with ProcessPoolExecutor(max_workers=options.processes) as pool:
        for done in as_completed([pool.submit(play, task) for task in tasks]):
            results.append(done.result())
            print(f"[{len(results)}/{len(tasks)}] {_line(results[-1])}", flush=True)
    for row in options.rows:
        _report(row, sorted((one for one in results if one.task.row == row), key=_order), options)
    if any(one.worst_load > OVER for one in results):
        raise SystemExit("a limit was exceeded")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("data", nargs="?", type=Path, default=os.environ.get("YARDMASTER_DATA"), help="folder of data (or YARDMASTER_DATA)")
    parser.add_argument("--weeks", type=int, default=3, help="weeks per garage and year, spread evenly; 0 = all")
    parser.add_argument("--garage", nargs="+", default=["caltech", "jpl"], choices=["caltech", "jpl"])
    parser.add_argument("--tariff", nargs="+", default=list(TARIFFS), choices=list(TARIFFS))
    parser.add_argument("--rows", nargs="+", default=list(ROWS), choices=ROWS)
    parser.add_argument("--capacity", type=float, default=0.5)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--tuning", action="store_true", help="the weeks parameters were chosen on, instead of the others")
    parser.add_argument("--dry", action="store_true", help="leave history.csv alone")
    options = parser.parse_args()
    if options.data is None:
        print("no data given: nothing to measure. Name the folder, or set YARDMASTER_DATA")
        raise SystemExit(0)
    options.data = Path(options.data)
    return options


# -- which weeks ---------------------------------------------------------------------------------------


def _tasks(options: argparse.Namespace) -> Iterator[Task]:
    for garage in options.garage:
        for file in sorted((options.data / "sessions").glob(f"{garage}_*.csv*")):
            mondays = [monday for monday in _mondays(file) if _tuned(garage, monday) == options.tuning]
            for monday in _spread(mondays, options.weeks):
                for row in options.rows:
                    capacity = SCARCE if row == "scarce" else options.capacity
                    yield from (Task(options.data, file, monday, tariff, row, capacity) for tariff in _tariffs(row, options.tariff))


def _tariffs(row: str, wanted: Sequence[str]) -> Sequence[str]:
    """Rows beside the first are measured under one tariff with and one without demand charge, as far as wanted."""
    return wanted if row in ("cost", "day") else [name for name in wanted if name in ("sce4", "sce8")] or wanted[:1]


def _mondays(file: Path) -> Iterator[date]:
    """Mondays of weeks with enough sessions and at least a week of past."""
    sessions = _sessions(file).sessions
    day = datetime.fromtimestamp(sessions[0].arrival_wall_s, ZONE).date() + timedelta(days=7)
    day += timedelta(days=-day.weekday() % 7)
    while _at(day) < sessions[-1].arrival_wall_s:
        if len(_sessions(file).between(_at(day), _at(day + timedelta(days=5)))) >= FEWEST_SESSIONS:
            yield day
        day += timedelta(days=7)


def _tuned(garage: str, monday: date) -> bool:
    return any(first <= monday <= last for first, last in TUNED[garage])


def _spread(days: Sequence[date], count: int) -> list[date]:
    if not count or len(days) <= count:
        return list(days)
    return [days[round((at + 0.5) * len(days) / count - 0.5)] for at in range(count)]


def _at(day: date) -> float:
    return datetime(day.year, day.month, day.day, tzinfo=ZONE).timestamp()


@lru_cache(maxsize=8)
def _sessions(file: Path) -> SessionFile:
    return read_sessions(file, TIMEZONE)


# -- one week ------------------------------------------------------------------------------------------


def play(task: Task) -> Result:
    """Play one week: uncontrolled, least laxity first, ours, and the bound."""
    world = _world(task)
    best = bound(world)
    nobody, plain, ours = run(world, Uncontrolled()), run(world, Rule("least laxity")), run(world, _planner(task, world))
    reachable = nobody.ev_cost - best.ev_cost
    return Result(
        task=task,
        cars=len(world.cars),
        gap=_above(ours, best),
        saving=100.0 * (nobody.ev_cost - ours.ev_cost) / reachable if reachable > 0 else 100.0,
        energy=ours.delivered_percent,
        llf_gap=_above(plain, best),
        llf=plain.delivered_percent,
        top=best.delivered_percent,
        worst_load=max(ours.worst.values(), default=0.0),
        seconds=ours.seconds,
    )


def _above(one: PolicyOutcome, best: PolicyOutcome) -> float:
    return 100.0 * (one.ev_cost / best.ev_cost - 1.0) if best.ev_cost > 0 else 0.0


def _world(task: Task) -> World:
    start_s, end_s = _at(task.monday), _at(task.monday + timedelta(days=5))
    file, until_s = _sessions(task.file), end_s + 3 * 86_400.0
    base = read_watts(task.data / LOAD, ZONE, start_s, until_s)
    sun = read_watts(task.data / SUN, ZONE, start_s, until_s, sun=True).scaled(PV_SCALE)
    prices = read_prices(task.data / "prices" / TARIFFS[task.tariff], TariffConfig(), ZONE, start_s, until_s)
    name = f"{task.garage} {task.monday} {task.tariff}"
    where = places(file.evses)
    v2g = V2g() if task.row == "v2g" else None
    return quick_world(name, file.sessions, where, (start_s, end_s), TIMEZONE, task.capacity, (base, sun), prices, v2g)


def _planner(task: Task, world: World) -> Planner:
    file = _sessions(task.file)
    past = past_sessions(file.sessions, places(file.evses), world.start_wall_s)
    return Planner(
        past=past,
        arrivals=task.row != "scarce",
        stated=task.row == "stated",
        rounded=task.row == "amps",
        weather="day" if task.row == "day" else "period",
        hurry=task.row == "scarce",
        replan_s=300.0 if task.row in ("amps", "scarce") else 900.0,
    )


# -- what is told -------------------------------------------------------------------------------------


def _order(one: Result) -> tuple[str, str, date]:
    return one.task.tariff, one.task.garage, one.task.monday


def _line(one: Result) -> str:
    task = one.task
    return (
        f"{task.row:7s}{task.tariff:5s}{task.garage:8s}{task.monday} {one.cars:4d} cars: "
        f"above the bound {one.gap:6.2f} %, saving {one.saving:6.1f} %, "
        f"energy {one.energy:7.3f} % (least laxity first {one.llf:7.3f} % at {one.llf_gap:6.1f} %, bound {one.top:7.3f} %), "
        f"most loaded wire {100 * one.worst_load:.1f} %, {one.seconds:.0f} s"
    )


def _report(row: str, results: Sequence[Result], options: argparse.Namespace) -> None:
    print(f"\n{row}\n" + "\n".join(_line(one) for one in results), flush=True)
    kinds = {f"{task.garage} {task.tariff}" for task in (one.task for one in results)}
    for kind in sorted(kinds):
        group = [one for one in results if f"{one.task.garage} {one.task.tariff}" == kind]
        _figures(row, kind, group, options.dry)
    if results:
        _figures(row, "all", results, options.dry)


def _figures(row: str, kind: str, group: Sequence[Result], dry: bool) -> None:
    name = f"{row}, {kind}, {len(group)} weeks"
    least = min(one.energy for one in group)
    if row in ("cost", "day", "amps"):
        _tell(dry, f"{name}: above the bound, median", median(one.gap for one in group), "%", "<= 7")
        _tell(dry, f"{name}: above the bound, worst", max(one.gap for one in group), "%", "<= 10")
        _tell(dry, f"{name}: energy, least", least, "%", ">= 99.95")
        _tell(dry, f"{name}: energy less than min(99.95, bound - 0.05), worst", max(_lacking(one) for one in group), "points", "<= 0")
    elif row == "scarce":
        _tell(dry, f"{name}: energy less than least laxity first, worst", max(one.llf - one.energy for one in group), "points", "<= 0")
        _tell(dry, f"{name}: energy less than the bound, worst", max(one.top - one.energy for one in group), "points", "<= 0.3")
    else:
        wanted = (">= 70", ">= 99.7") if row == "stated" else (">= 85", ">= 99.9")
        _tell(dry, f"{name}: saving, median", median(one.saving for one in group), "%", wanted[0])
        _tell(dry, f"{name}: saving, worst", min(one.saving for one in group), "%", wanted[0])
        _tell(dry, f"{name}: energy, least", least, "%", wanted[1])


def _lacking(one: Result) -> float:
    """What is missing of as much as can be asked for: on some weeks not even the bound delivers 99.95 %."""
    return min(99.95, one.top - 0.05) - one.energy


def _tell(dry: bool, figure: str, value: float, unit: str, target: str) -> None:
    if dry:
        print(f"{figure}: {value:.4g} {unit}   (to reach: {target})", flush=True)
    else:
        ledger.record(BENCH, figure, value, unit, target)


if __name__ == "__main__":
    main()
