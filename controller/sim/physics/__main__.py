"""``python -m controller.sim.physics``: days of a depot in virtual time against the very engine, as a table and as JSON.

A month is cut into stretches of whole days that run side by side. Each begins as after a restart of the controller,
with the cars plugged in that are there at that hour: that is harder than going on, and after minutes nothing of the
controller's memory reaches back across such a cut (its longest are a turn and a short rest). Cars and building are
the same however the month is cut: a stay depends on its day and its bay alone.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from controller.config import Config
from controller.io.chargers import load_chargers
from controller.paths import config_dir
from controller.sim.physics.depot import make_depot
from controller.sim.physics.report import Identity, Report, report_of, together
from controller.sim.physics.runner import PLANS, Freeze, Run, drive
from controller.sim.physics.table import table

DAY_S = 86_400.0
MONDAY_WALL_S = 20_619 * DAY_S  # 15 June 2026, UTC
STRETCH_DAYS = 5.0


def main(words: Sequence[str] | None = None) -> int:
    """Returns 0 if every promise was kept."""
    arguments = _parser().parse_args(words)
    began_s = time.monotonic()
    report = together(run_all(arguments))
    report.took_s = time.monotonic() - began_s
    print(table(report))
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(report.as_json(), indent=2) + "\n", encoding="utf-8")
    return 1 if report.breaches() else 0


def run_all(arguments: argparse.Namespace) -> list[Report]:
    """The stretches, in order, on as many cores as there are."""
    stretches = [(arguments, start, min(STRETCH_DAYS, arguments.days - start)) for start in _starts(arguments.days)]
    if len(stretches) == 1 or arguments.jobs == 1:
        return [run_one(*stretch) for stretch in stretches]
    with ProcessPoolExecutor(arguments.jobs, get_context("spawn")) as pool:
        return [future.result() for future in [pool.submit(run_one, *stretch) for stretch in stretches]]


def _starts(days: float) -> list[float]:
    return [STRETCH_DAYS * number for number in range(max(1, -int(-days // STRETCH_DAYS)))]


def run_one(arguments: argparse.Namespace, start_day: float, days: float) -> Report:
    """One stretch, from its own start."""
    began_s = time.monotonic()
    depot = make_depot(arguments.seed, arguments.evses)
    freezes = (Freeze(3600.0 * arguments.freeze[0], arguments.freeze[1]),) if arguments.freeze else ()
    start_wall_s = MONDAY_WALL_S + start_day * DAY_S + 3600.0 * arguments.hour
    plans = arguments.plans or ("rules", "none")[round(start_day / STRETCH_DAYS) % 2]
    models = load_chargers(config_dir() / "chargers")
    config, thin = Config.model_validate(depot.data), not arguments.every_second
    run = Run(depot, config, models, arguments.seed, start_wall_s, days * DAY_S, freezes, plans, thin)
    loop = drive(run, progress=lambda share, took_s: _progress(start_day, days, share, took_s))
    told = [(tell.severity.value, tell.text) for tell in loop.told]
    return report_of(loop.world, Identity(run.seed, run.days, bool(freezes)), told, time.monotonic() - began_s)


def _progress(start_day: float, days: float, share: float, took_s: float) -> None:
    if round(share * days * 144) % 36 == 0:  # a line per six hours of the depot
        left_s = took_s / share * (1.0 - share)
        print(f"day {start_day + share * days:5.2f}  {100 * share:5.1f} % of its stretch, {left_s / 60:.0f} min left", file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m controller.sim.physics", description="Days of a depot in virtual time against the real engine.")
    parser.add_argument("--days", type=float, default=30.0, help="virtual days (default: 30)")
    parser.add_argument("--hour", type=float, default=0.0, help="hour of the day at which each stretch begins (default: 0)")
    parser.add_argument("--seed", type=int, default=1, help="depot, cars, motors and mishaps (default: 1)")
    parser.add_argument("--evses", type=int, default=64, help="number of EVSEs (default: 64)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes (default: one per core)")
    parser.add_argument("--freeze", type=float, nargs=2, metavar=("HOUR", "SECONDS"), help="SIGSTOP the controller so many hours after the start")
    parser.add_argument("--plans", choices=PLANS, help="who plans (default: rules and none, by turns, five days each)")
    parser.add_argument("--every-second", action="store_true", help="leave no second out, also while nothing moves (slower)")
    parser.add_argument("--json", help="file for the report")
    return parser


if __name__ == "__main__":
    sys.exit(main())
