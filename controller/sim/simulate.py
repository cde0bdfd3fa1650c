"""``yardmaster simulate``: a virtual day, three ways, on the same cars and the same physics.

Uncontrolled charging, earliest-deadline-first, and Yardmaster itself (the very engine and solver of the
field). What it costs and how hard it pulls is measured at the simulated meter. Writes a
table, the curves and a picture into a folder. With ``--sessions`` recorded days are played again instead: ``backtest.cli``.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from controller.check import load_config
from controller.checking.problems import ConfigError
from controller.config import Config
from controller.io.chargers import load_chargers
from controller.orders import Severity
from controller.paths import config_dir
from controller.sim.account import Outcome
from controller.sim.backtest import cli
from controller.sim.picture import draw
from controller.sim.scenario import DEMO_MIDNIGHT_WALL_S, SCENARIOS, Scenario
from controller.sim.strategies import EarliestDeadlineFirst, Progress, run_baseline, uncontrolled
from controller.sim.virtual import run_yardmaster

Show = Callable[[str], Progress]

DAY_BEGINS_H = 7.0
HOURS = 24.0
PLAN_EVERY_S = 300.0
PLAN_MAX_AGE_S = 900.0
SHOWN_ALARMS = 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's own arguments."""
    parser.add_argument("file", nargs="?", type=Path, default=None, help="site file; default: the demo depot")
    parser.add_argument("--day", choices=sorted(SCENARIOS), default="demo", help="which day is simulated")
    parser.add_argument("--out", type=Path, default=Path("simulation"), help="folder for the table, the curves and the picture")
    parser.add_argument("--hours", type=float, default=HOURS, help="length of the day [h], for a quick look")
    cli.add_arguments(parser)


def main(arguments: argparse.Namespace) -> int:
    """Run the command; the exit code."""
    if cli.wants(arguments):
        return cli.main(arguments)
    misplaced = cli.misplaced(arguments)
    if misplaced:
        print(f"yardmaster: {misplaced}", file=sys.stderr)
        return 2
    path = arguments.file or config_dir() / "site.demo.yaml"
    try:
        config = load_config(path)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 1
    scenario = SCENARIOS[getattr(arguments, "day", None) or "demo"]
    strangers = unknown_bays(config, scenario)
    if strangers:
        print(f"the day '{scenario.id}' needs EVSEs that {path} does not have: {', '.join(strangers)}", file=sys.stderr)
        return 1
    started_s = time.monotonic()
    outcomes = simulate(config, scenario, getattr(arguments, "hours", HOURS) or HOURS, _show)
    print()
    print(table(config, outcomes))
    folder = Path(getattr(arguments, "out", None) or "simulation")
    save(folder, config, outcomes, scenario)
    print(f"\nDone in {time.monotonic() - started_s:.0f} s. Picture: {folder / 'simulation.svg'}, numbers: {folder / 'simulation.json'}")
    return 0


def unknown_bays(config: Config, scenario: Scenario) -> list[str]:
    """EVSEs the scenario's cars go to that the site does not have."""
    known = {(station.id, evse.id) for station in config.stations for evse in station.evses}
    return sorted({f"{visit.station_id}/{visit.evse_id}" for visit in scenario.visits if (visit.station_id, visit.evse_id) not in known})


def simulate(config: Config, scenario: Scenario, hours: float, show: Show) -> list[Outcome]:
    """The outcomes of all strategies, Yardmaster last."""
    start_wall_s = DEMO_MIDNIGHT_WALL_S + 3600.0 * DAY_BEGINS_H
    rule = EarliestDeadlineFirst(config, scenario)
    outcomes = [
        run_baseline("uncontrolled", config, scenario, start_wall_s, hours, uncontrolled, show("uncontrolled")),
        run_baseline("earliest deadline", config, scenario, start_wall_s, hours, rule, show("earliest deadline")),
    ]
    models = load_chargers(config_dir() / "chargers")
    outcome, day = run_yardmaster("Yardmaster", virtual_config(config), scenario, start_wall_s, hours, models, show("Yardmaster"))
    for alarm in [tell for tell in day.told if tell.severity is Severity.ALARM][:SHOWN_ALARMS]:
        print(f"Yardmaster raised an alarm on this day: {alarm.text}", file=sys.stderr)
    return [*outcomes, outcome]


def virtual_config(config: Config) -> Config:
    """The site as the engine sees it in virtual time: it plans every five minutes of the day."""
    control = config.control.model_copy(update={"plan_every_s": PLAN_EVERY_S, "plan_max_age_s": PLAN_MAX_AGE_S})
    return config.model_copy(update={"control": control})


def table(config: Config, outcomes: Sequence[Outcome]) -> str:
    """The result as a table for a terminal, with what Yardmaster saves."""
    money = config.tariff.currency
    heads = ("", f"cost {money}", "energy", "demand", "peak kW", "worst A", "over fuse", "delivered", "cars short")
    rows = [heads, *(_row(outcome) for outcome in outcomes)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(heads))]
    lines = [_aligned(row, widths) for row in rows]
    lines.insert(1, "-" * len(lines[0]))
    *others, ours = outcomes
    lines += ["", "Measured at the simulated meter. What the battery holds more or less in the end is priced at the mean price."]
    lines += [_saving(ours, other, money) for other in others]
    lines += [_given(outcome, money) for outcome in outcomes if outcome.given_wh > 0]
    lines += [f"{outcome.name} left short: {', '.join(outcome.short)}" for outcome in outcomes if outcome.short]
    return "\n".join(lines)


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *rest = zip(cells, widths, strict=True)
    return "  ".join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in rest)])


def _row(outcome: Outcome) -> tuple[str, ...]:
    return (
        outcome.name,
        f"{outcome.cost:.2f}",
        f"{outcome.energy_cost:.2f}",
        f"{outcome.demand_cost:.2f}",
        f"{outcome.peak_w / 1000:.1f}",
        f"{outcome.worst_a:.0f}",
        f"{outcome.over_fuse_s / 60:.0f} min",
        f"{outcome.delivered_percent:.1f} %",
        str(len(outcome.short)),
    )


def _given(outcome: Outcome, money: str) -> str:
    return f"{outcome.name}: cars gave back {outcome.given_wh / 1000:.1f} kWh; its cost holds {outcome.wear_cost:.2f} {money} for their wear."


def _saving(ours: Outcome, other: Outcome, money: str) -> str:
    cost, peak_kw = other.cost - ours.cost, (other.peak_w - ours.peak_w) / 1000.0
    cost_share, peak_share = 100 * cost / other.cost, 100_000 * peak_kw / other.peak_w
    return f"Against {other.name}: saves {cost:.2f} {money} a day ({cost_share:.0f} %), peak lower by {peak_kw:.1f} kW ({peak_share:.0f} %)."


def save(folder: Path, config: Config, outcomes: Sequence[Outcome], scenario: Scenario) -> None:
    """Write simulation.json, simulation.csv (curves), simulation.txt and simulation.svg."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "simulation.txt").write_text(table(config, outcomes) + "\n", encoding="utf-8")
    (folder / "simulation.svg").write_text(draw(config, outcomes, f"{config.site.name or config.site.id}: the day '{scenario.id}'"), encoding="utf-8")
    numbers = [{**_numbers(outcome), "cost": outcome.cost, "delivered_percent": outcome.delivered_percent} for outcome in outcomes]
    (folder / "simulation.json").write_text(json.dumps(numbers, indent=2) + "\n", encoding="utf-8")
    with (folder / "simulation.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["strategy", "wall_s", "grid_w", "ev_w", "worst_a"])
        writer.writerows((outcome.name, *asdict(sample).values()) for outcome in outcomes for sample in outcome.curve)


def _numbers(outcome: Outcome) -> Mapping[str, object]:
    return {key: value for key, value in asdict(outcome).items() if key != "curve"}


def _show(name: str) -> Progress:
    """Progress on one line of the terminal; without a terminal, a line per quarter of the day."""
    on_terminal, last = sys.stdout.isatty(), [-1]

    def progress(share: float) -> None:
        percent = int(100 * share)
        step = percent if on_terminal else percent // 25 * 25
        if step == last[0]:
            return
        last[0] = step
        print(f"\r{name:18} {step:3d} %", end="" if on_terminal and step < 100 else "\n", flush=True)

    return progress
