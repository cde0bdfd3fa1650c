"""``yardmaster simulate --sessions FILE``: recorded sessions played again under several ways to charge, on the very controller.

Arguments, what is printed and what is written. The work is in ``setting`` (reading), ``jobs`` (what is to be run) and ``parallel``.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from tempfile import TemporaryFile

from controller.checking.problems import ConfigError
from controller.config import ROOT_CIRCUIT
from controller.sim.backtest.case import Case, CaseError, bays_of
from controller.sim.backtest.jobs import BOUNDS, GIVING, POLICIES, Job, jobs_of, together
from controller.sim.backtest.outcome import Backtest, PolicyOutcome
from controller.sim.backtest.parallel import RunError, StoppedError, cores, run_all
from controller.sim.backtest.progress import Bar, clock_words
from controller.sim.backtest.report import write_report
from controller.sim.backtest.report_files import write_csv, write_json
from controller.sim.backtest.series import SeriesError
from controller.sim.backtest.sessions import SessionsError, printable
from controller.sim.backtest.setting import DRIVERS, WEATHERS, Setting, Wanted, make_setting
from controller.sim.backtest.summary import table
from controller.sim.backtest.yard import path_of
from controller.sim.car import VOLTAGE_V
from optimizer.failure import SolveError

STOPPED = 130
TEXT = "results.txt"
DEFAULT_V2G = 0.3
DEFAULT_CAPACITY = 50.0
ERRORS = (CaseError, ConfigError, SessionsError, SeriesError, RunError, SolveError)
EXAMPLES = """\
examples:
  yardmaster simulate
      the demo day, three ways
  yardmaster simulate --sessions caltech.csv.gz --from 2019-07-08 --prices sce_tou.json
      a week of recorded sessions in a garage made from them, under every policy
  yardmaster simulate --site site.yaml --sessions ours.csv --from 2026-03-01 --to 2026-03-31 --load building.csv --pv roof.csv
      a month at a site of yours, with what its building drew and its roof gave
  yardmaster simulate --sessions jpl.csv.gz --from 2019-10-01 --to 2019-12-31 --prices nl_day_ahead.csv.gz --policy ours,llf,bound --quick
      three months in minutes: planner and ideal cars instead of the whole controller

columns of a sessions file, the first four needed: evse, arrival, departure, energy_kwh, stated_kwh, stated_departure, max_power_kw, phases,
user, soc, capacity_kwh, id; or the form of ACN-Data. Times in ISO 8601. Plain CSV or .gz.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of a backtest."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EXAMPLES
    what = parser.add_argument_group("recorded sessions (all of this needs --sessions)")
    what.add_argument("--sessions", type=Path, action="append", metavar="FILE", help="recorded sessions; more than once for several sites")
    what.add_argument("--site", type=Path, action="append", metavar="FILE", help="site file, one or one for each sessions file; default: a garage")
    what.add_argument("--from", dest="first", type=_day, metavar="DATE", help="first local day, YYYY-MM-DD")
    what.add_argument("--to", dest="last", type=_day, metavar="DATE", help="last local day, included; default: a week")
    what.add_argument("--policy", default="all", metavar="NAME,...", help=f"all, or some of {', '.join(POLICIES)} (default: all)")
    what.add_argument("--prices", metavar="FILE", help="tariff (.json), day-ahead prices (.csv) or a price per kWh; default: the site's tariff")
    what.add_argument("--currency", type=_currency, metavar="CODE", help="of the prices, e.g. USD; default: the site's, else EUR")
    what.add_argument("--load", metavar="FILE", help="load of the building (.csv) or kW; default: the site's forecast, else none")
    what.add_argument("--pv", metavar="FILE", help="PV production (.csv) or kW; default: the site's forecast, else none")
    what.add_argument("--load-scale", type=_positive, default=1.0, metavar="X", help="take the load so many times (default: 1)")
    what.add_argument("--pv-scale", type=_positive, default=1.0, metavar="X", help="take the production so many times (default: 1)")
    what.add_argument("--drivers", choices=DRIVERS, default="truth", help="what the controller hears of needs and departures (default: truth)")
    what.add_argument("--weather", choices=WEATHERS, default="learnt", help="forecast of load and sun: learnt from the weeks before, or as it comes")
    what.add_argument("--capacity", type=_positive, default=None, metavar="PERCENT", help="of a garage: limits against the uncontrolled peak (50)")
    what.add_argument("--v2g-share", type=_share, default=DEFAULT_V2G, metavar="PART", help="cars that can give back, for ours-v2g (default: 0.3)")
    what.add_argument("--energy-first", action="store_true", help="ours charges as early as the wires allow, whatever it costs")
    what.add_argument("--timezone", metavar="NAME", help="clock of the site; default: the site file's; for ACN sessions that of California")
    what.add_argument("--seed", type=int, default=1, help="of everything drawn by lot (default: 1)")
    how = parser.add_argument_group("how it is run")
    how.add_argument("--quick", action="store_true", help="forecast, optimiser and ideal cars only: years in minutes, less true")
    how.add_argument("--jobs", type=int, default=None, metavar="N", help="processes side by side (default: one per core)")
    how.add_argument("--workers", metavar="ADDRESS", help="run on the workers of this Dask scheduler, e.g. tcp://10.0.0.5:8786")
    how.add_argument("--days-apart", type=_whole_days, default=None, metavar="DAYS", help="cut into parts of so many days that run side by side; "
                     "each begins with an empty garage and without the peak so far")  # fmt: skip


def wants(arguments: argparse.Namespace) -> bool:
    """Whether recorded sessions are asked for."""
    return getattr(arguments, "sessions", None) is not None


def misplaced(arguments: argparse.Namespace) -> str:
    """A sentence about options that mean nothing without --sessions, "" = none."""
    names = {"site": "--site", "first": "--from", "last": "--to", "prices": "--prices", "load": "--load", "pv": "--pv", "workers": "--workers"}
    found = [option for name, option in names.items() if getattr(arguments, name, None) is not None]
    found += ["--quick"] if getattr(arguments, "quick", False) else []
    return f"{', '.join(found)}: only with --sessions FILE; without it the demo day is simulated" if found else ""


def main(arguments: argparse.Namespace) -> int:
    """Run the backtest; the exit code."""
    began_s = time.monotonic()
    try:
        policies = policies_of(arguments.policy)
        settings = [make_setting(one) for one in wanted_of(arguments)]
        _tell_problems(settings)
        jobs = jobs_of(settings, policies, arguments.quick, arguments.days_apart)
        if not jobs:
            raise CaseError("nothing is left to run: no EVSE of the site may give energy back (evses[].v2g), and only such policies were asked for")
        folders = [_made(_folder(arguments.out, setting.case, len(settings), number)) for number, setting in enumerate(settings)]
        outcomes = _run(jobs, arguments)
    except ERRORS as error:
        print(f"yardmaster: {printable(str(error))}", file=sys.stderr)
        return 1
    except StoppedError:
        print("\nStopped; nothing was written.", file=sys.stderr)
        return STOPPED
    for number, (setting, folder) in enumerate(zip(settings, folders, strict=True)):
        mine = [(job, one) for job, one in zip(jobs, outcomes, strict=True) if job.number == number]
        backtest = backtest_of(setting, together(setting, mine, policies), arguments.quick, arguments.days_apart)
        print(f"\n{table(backtest)}")
        try:
            _write(backtest, folder)
        except OSError as error:
            told = f"the results above could not all be written to {folder} ({error}); make room, or choose another --out"
            print(f"yardmaster: {told}", file=sys.stderr)
            return 1
        print(f"\nReport: {folder / 'report.html'}, numbers: {folder / 'results.json'} and CSV files beside it")
    print(f"\nDone in {clock_words(time.monotonic() - began_s)}.")
    return 0


def policies_of(text: str) -> tuple[str, ...]:
    """The policies meant by "all" or a list of names. Raises CaseError."""
    names = [name.strip().lower() for name in text.split(",") if name.strip()]
    if not names or names == ["all"]:
        return POLICIES
    strangers = [name for name in names if name not in POLICIES and name != "all"]
    if strangers:
        raise CaseError(f"unknown policy {', '.join(strangers)}; there are all, {', '.join(POLICIES)}")
    return tuple(policy for policy in POLICIES if policy in names or "all" in names)


def wanted_of(arguments: argparse.Namespace) -> list[Wanted]:
    """What is asked for, one for each sessions file. Raises CaseError."""
    sites = arguments.site or ([arguments.file] if arguments.file is not None else [])
    files = arguments.sessions
    if len(sites) not in (0, 1, len(files)):
        raise CaseError(f"{len(sites)} site files for {len(files)} sessions files; give none, one, or one for each")
    if arguments.first is None:
        raise CaseError("say from which day with --from YYYY-MM-DD")
    if sites and arguments.capacity is not None:
        raise CaseError("--capacity is for a garage made from the sessions; a site file has limits of its own")
    each = [None] * len(files) if not sites else sites * len(files) if len(sites) == 1 else sites
    same = {
        "first": arguments.first,
        "last": arguments.last,
        "prices": arguments.prices,
        "load": arguments.load,
        "pv": arguments.pv,
        "load_scale": arguments.load_scale,
        "pv_scale": arguments.pv_scale,
        "timezone": arguments.timezone,
        "capacity_percent": arguments.capacity or DEFAULT_CAPACITY,
        "v2g_share": arguments.v2g_share,
        "drivers": arguments.drivers,
        "weather": arguments.weather,
        "seed": arguments.seed,
        "currency": arguments.currency,
        "energy_first": arguments.energy_first,
    }
    return [Wanted(sessions=file, site=site, **same) for file, site in zip(files, each, strict=True)]


def _run(jobs: Sequence[Job], arguments: argparse.Namespace) -> list[PolicyOutcome]:
    bar = Bar([job.weight for job in jobs])
    workers = arguments.jobs if arguments.jobs is not None else cores()
    if workers < 1:
        raise CaseError("--jobs needs at least 1 process")
    try:
        return run_all(jobs, workers, bar.tell, arguments.workers)
    finally:
        bar.end()


def backtest_of(setting: Setting, outcomes: Sequence[PolicyOutcome], quick: bool, apart_days: float | None = None) -> Backtest:
    """All that a report needs."""
    case = setting.case
    config = case.config
    circuits = {ROOT_CIRCUIT: config.grid.fuse_a} | {circuit.id: circuit.fuse_a for circuit in config.circuits}
    notes = list(case.notes)
    if apart_days is not None:
        notes.append(f"cut into parts of {apart_days:g} days; each began with an empty garage and without the peak of the days before")
    if setting.v2g is not None and any(outcome.policy in GIVING for outcome in outcomes):
        able = sum(visit.max_discharge_w > 0 for visit in setting.v2g.visits)
        notes.append(f"with V2G {able} of {len(setting.v2g.visits)} visits are cars that can give back; their batteries are made up")
    if any(outcome.policy in BOUNDS for outcome in outcomes):
        notes.append("perfect foresight uses the limits without margin, quarter hours, and no stationary battery")
    return Backtest(
        case.name,
        case.start_wall_s,
        case.end_wall_s,
        config.site.timezone,
        config.tariff.currency,
        "quick" if quick else "full",
        tuple(outcomes),
        circuits,
        tuple(notes),
        config.grid.max_import_w or config.grid.fuse_a * VOLTAGE_V * config.grid.phases,
        {str(key): tuple(path_of(config, bay.node_id)) for key, bay in bays_of(config).items()},
        case.drivers,
    )


def _folder(out: Path | None, case: Case, count: int, number: int) -> Path:
    folder = out or Path("simulation")
    name = "".join(letter if letter.isalnum() or letter in "_.-" else "-" for letter in case.name)
    return folder if count == 1 else folder / f"{number + 1}-{name}"


def _made(folder: Path) -> Path:
    """The folder, there and writable, before minutes are spent. Raises CaseError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        TemporaryFile(dir=folder).close()
    except OSError as error:
        raise CaseError(f"results cannot be written to {folder} ({error}); choose another folder with --out") from error
    return folder


def _tell_problems(settings: Sequence[Setting]) -> None:
    for problem in [problem for setting in settings for problem in setting.problems]:
        print(f"yardmaster: {printable(problem)}", file=sys.stderr)


def _write(backtest: Backtest, folder: Path) -> None:
    (folder / TEXT).write_text(table(backtest) + "\n", encoding="utf-8")
    write_json(backtest, folder / "results.json")
    write_csv(backtest, folder)
    write_report(backtest, folder / "report.html")


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no day; write YYYY-MM-DD") from None


def _currency(text: str) -> str:
    code = text.strip().upper()
    if len(code) != 3 or not code.isascii() or not code.isalpha():
        raise argparse.ArgumentTypeError(f"{text!r} is no currency code of three letters such as EUR")
    return code


def _positive(text: str) -> float:
    value = _float(text)
    if not 0.0 < value < 1e6:
        raise argparse.ArgumentTypeError(f"{text} must be above 0")
    return value


def _whole_days(text: str) -> float:
    value = _float(text)
    if value < 1.0 or value != int(value):
        raise argparse.ArgumentTypeError(f"{text} is no number of whole days, 1 or more")
    return value


def _share(text: str) -> float:
    value = _float(text)
    if not 0.0 <= value <= 1.0:
        raise argparse.ArgumentTypeError(f"{text} is no part from 0 to 1, e.g. 0.3 for 30 %")
    return value


def _float(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no number") from None
