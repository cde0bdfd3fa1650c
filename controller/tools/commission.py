"""``yardmaster commission``: walks the installer through the tests of every charger and writes the report.

The controller runs and keeps every limit meanwhile; this program only asks it. What has been tested is kept
in the out folder after every step, so that it goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TextIO

from controller.commission.findings import WORDS, Finding, Outcome, Verdict
from controller.commission.meters import judge_answers, judge_clock, judge_meters, judge_station
from controller.config import PHASE_INDEX, Config
from controller.io.clock import fresh_seed
from controller.site.stations.charger import GENERIC, ChargerModel
from controller.tools import client
from controller.tools.bench import Bench, Ear, Pace
from controller.tools.client import Controller, ToolError
from controller.tools.handover import Handover
from controller.tools.lines import printable
from controller.tools.trials import TRIALS, Point, Result, Trial, declined, no_car

EPILOG = """\
What you need: the controller runs, the stations are connected, and at each EVSE a car that is not full or a test box.
A one-phase car or test box tells the order of the phases best. Other cars may charge; they are held where they are
while a test runs. No test ever exceeds a limit of the site, and each ends by itself when this program dies.

It takes about 15 minutes per EVSE. Ctrl-C stops it safely; the same command goes on where it was stopped.
It writes into the out folder and nowhere else: report.html to hand over (print it, or save it as PDF from the
browser), chargers/*.yaml with what was measured, and site-changes.txt with the lines to change.

Examples:
  yardmaster commission --config site.yaml                 all stations, with questions
  yardmaster commission --config site.yaml --station CP1   one station
  yardmaster commission --config site.yaml --only steps    one kind of test again
  yardmaster commission --config site.yaml --report        write the files again from what was tested
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's own arguments."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EPILOG
    parser.add_argument("--station", action="append", default=[], metavar="STATION", help="only this station; may be repeated")
    names = [trial.name for trial in TRIALS]
    parser.add_argument("--only", action="append", default=[], choices=names, help="only this test, also when it was done before; may be repeated")
    parser.add_argument("--out", type=Path, default=Path("commissioning"), metavar="FOLDER", help="where the results go (default: %(default)s)")
    parser.add_argument("--yes", action="store_true", help="ask nothing; the power cut is left out unless named with --only")
    parser.add_argument("--report", action="store_true", help="test nothing, write the files from what was tested")
    pace, times = Pace(), parser.add_argument_group("lengths of the tests, in seconds")
    times.add_argument("--hold", type=_positive, default=pace.hold_s, help="stay at each level (default: %(default)s)")
    times.add_argument("--patience", type=_positive, default=pace.patience_s, help="wait for a station to act (default: %(default)s)")
    times.add_argument("--wake", type=_positive, default=pace.wake_s, help="wait for a car to wake (default: %(default)s)")
    times.add_argument("--watch", type=_positive, default=pace.watch_s, help="watch the meters (default: %(default)s)")
    times.add_argument("--wait-car", type=_positive, default=pace.car_s, help="wait for a car, or for a power cut (default: %(default)s)")
    times.add_argument("--poll", type=_positive, default=pace.poll_s, help="look at the controller (default: %(default)s)")
    times.add_argument("--cycles", type=int, choices=range(3, 21), metavar="N", default=pace.cycles, help="step test: times down and up, 3 to 20")
    client.add_arguments(parser)


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.05 <= value <= 7200:
        raise argparse.ArgumentTypeError("must be a number of seconds, 0.05 to 7200")
    return value


def main(arguments: argparse.Namespace) -> int:
    """Test, or write the report again; the exit code."""
    talk = Talk(sys.stdout, arguments.yes)
    try:
        config = client.read_config(arguments.config) if arguments.config is not None else None
        controller = client.connect(arguments, config)
        handover = Handover(arguments.out, config, _models())
        handover.load()
        if not arguments.report:
            Walk(arguments, controller, config, handover, talk).run()
        talk.say("", *handover.write())
    except ToolError as error:
        talk.clear()
        print(f"yardmaster: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        talk.clear()
        print("stopped; the charger is free again. The same command goes on where it was stopped.", file=sys.stderr)
        return 1
    return 0


def _models() -> dict[str, ChargerModel]:
    from controller.io.chargers import ChargerFileError, load_chargers
    from controller.paths import config_dir

    try:
        return load_chargers(config_dir() / "chargers")
    except ChargerFileError as error:
        raise ToolError(f"a charger model cannot be used: {error}") from None


@dataclass(slots=True)
class Talk:
    """The terminal. On no terminal long waits are silent."""

    out: TextIO
    yes: bool
    _width: int = 0

    def say(self, *lines: str) -> None:
        """Whole lines."""
        self.clear()
        for line in lines:
            print(printable(line) if "\n" not in line else line, file=self.out)
        self.out.flush()

    def progress(self, text: str) -> None:
        """A line that the next one writes over."""
        if not self.out.isatty():
            return
        text = printable(text)[:100]
        print(f"\r  {text.ljust(self._width)}", end="", file=self.out, flush=True)
        self._width = len(text)

    def clear(self) -> None:
        """Away with the progress line."""
        if self._width:
            print("\r" + " " * (self._width + 2) + "\r", end="", file=self.out, flush=True)
            self._width = 0

    def agree(self, question: str, default: bool = True) -> bool:
        """Yes or no. Without a person: the default."""
        if self.yes:
            return default
        while True:
            self.clear()
            try:
                answer = input(f"{question} [{'Y/n' if default else 'y/N'}, q to stop] ").strip().lower()
            except EOFError:
                raise ToolError("nobody answers at the terminal; use --yes to test without questions") from None
            if answer == "q":
                raise KeyboardInterrupt
            if answer in ("", "y", "yes", "n", "no"):
                return default if not answer else answer.startswith("y")

    def tell(self, findings: Sequence[Finding]) -> None:
        """Findings, one a line, advice below."""
        for one in findings:
            self.say(f"  {WORDS[one.verdict]:<12} {one.title}: {one.text}")
            if one.advice and one.verdict in (Verdict.FAIL, Verdict.UNSURE):
                self.say(f"               {one.advice}")


@dataclass(slots=True)
class Walk:
    """One walk through the site."""

    arguments: argparse.Namespace
    controller: Controller
    config: Config | None
    handover: Handover
    talk: Talk
    session: str = field(default_factory=lambda: f"commission-{fresh_seed()[:12]}")

    @property
    def pace(self) -> Pace:
        """As the arguments say."""
        given = self.arguments
        return Pace(given.poll, given.hold, given.patience, given.wake, given.watch, given.wait_car, given.cycles)

    def run(self) -> None:
        """Inventory, meters, then every EVSE. Raises ToolError."""
        state = self.controller.get("state")
        self.handover.site(state)
        links = {link["station_id"]: link for link in state["links"]}
        wanted = self.arguments.station or list(links)
        unknown = [name for name in wanted if name not in links]
        if unknown:
            raise ToolError(f"station {unknown[0]} is not at this site; it has {', '.join(links)}")
        self.talk.say(f"Commissioning of {state['site_name']}. Results go to {self.arguments.out}.", "")
        self._inventory(links, wanted)
        points = [self._point(view, links) for view in state["site"]["evses"] if view["station_id"] in wanted and links[view["station_id"]]["online"]]
        self._meters(points)
        for point in points:
            self._evse(point)

    # -- the site -----------------------------------------------------------------------------------------

    def _inventory(self, links: Mapping[str, Any], wanted: Sequence[str]) -> None:
        self.talk.say("1. Who is there")
        findings = [judge_station(name, links[name]["online"], links[name]["version"], {"from": links[name]["remote_address"]}) for name in wanted]
        self.talk.tell(findings)
        self.handover.keep("", "inventory", Result(Outcome(tuple(findings))))
        if not any(links[name]["online"] for name in wanted):
            raise ToolError("no station is connected; nothing can be tested. Set the stations' URL and password, and look at the event log")

    def _meters(self, points: Sequence[Point]) -> None:
        if self.handover.done("", "meters") and not self.arguments.yes:
            return
        self.talk.say("", f"2. Meters: watched for {self.pace.watch_s:g} s")
        if self.config is None or not self.config.meters:
            none = "no meter is configured" if self.config is not None else "the site file was not named (--config)"
            findings = [Finding("Meters", Verdict.SKIPPED, none, "Without a meter the step test has only the stations' own words.")]
        else:
            bench = self._bench(points[0])
            bench.ask(None)
            bench.wait(self.pace.watch_s, what="watching the meters")
            roles = {meter.id: meter.role for meter in self.config.meters}
            findings = judge_meters(bench.entries, roles, self.config.control.meter_late_s)
            bench.end()
        self.talk.tell(findings)
        self.handover.keep("", "meters", Result(Outcome(tuple(findings))))

    # -- one EVSE -------------------------------------------------------------------------------------------

    def _bench(self, point: Point) -> Bench:
        return Bench(self.controller, self.session, self.pace, point.station, point.evse, self.talk.progress, self.talk.say)

    def _point(self, view: Mapping[str, Any], links: Mapping[str, Any]) -> Point:
        station = self.config.station(view["station_id"]) if self.config is not None else None
        evse = next((one for one in station.evses if one.id == view["evse_id"]), None) if station is not None else None
        model = self.handover.models.get(station.model, GENERIC) if station is not None else GENERIC
        least_a = max(evse.min_current_a if evse is not None else 6.0, model.min_current_a, 6.0)
        wired = tuple(PHASE_INDEX[name] for name in view["phases"])
        link = links[view["station_id"]]
        return Point(
            view["station_id"],
            view["evse_id"],
            wired,
            least_a,
            view["max_current_a"],
            view["floor_a"],
            link["version"],
            model.apply_s,
            model.stack_level,
        )

    def _chosen(self, point: Point) -> list[Trial]:
        only = self.arguments.only
        if only:
            return [trial for trial in TRIALS if trial.name in only]
        return [trial for trial in TRIALS if not self.handover.done(str(point), trial.name) and not (self.arguments.yes and trial.name == "reboot")]

    def _evse(self, point: Point) -> None:
        trials = self._chosen(point)
        if not trials:
            self.talk.say("", f"EVSE {point}: tested before")
            return
        self.talk.say("", f"EVSE {point}")
        if not self.talk.agree(f"Test {point} now?"):
            return
        ear = Ear(self.controller, point.station)
        ear.start()
        bench = self._bench(point)
        bench.ask(None)
        try:
            for trial in trials:
                point = self._try(bench, point, trial)
        finally:
            ear.stop()
            bench.end()
        self._heard(point, bench, ear)

    def _try(self, bench: Bench, point: Point, trial: Trial) -> Point:
        self.talk.say("", f"{point}: {trial.title}", *(f"  {line}" for line in trial.tell.splitlines()))
        if trial.asks and not self.talk.agree(trial.asks):
            result = declined(trial)
        elif trial.needs_car and not self._car(bench, point):
            result = no_car(trial)
        else:
            result = trial.run(bench, point)
        self.talk.tell(result.outcome.findings)
        self.handover.keep(str(point), trial.name, result)
        apply_s = result.outcome.quirks.apply_s
        return replace(point, apply_s=apply_s) if apply_s is not None else point

    def _car(self, bench: Bench, point: Point) -> bool:
        """Whether a car is there; asks for one."""
        if self._session(point):
            return True
        self.talk.say(f"  Plug a car or a test box in at {point} and start charging.")
        return bench.wait(self.pace.car_s, lambda: self._session(point), f"waiting for a car at {point}")

    def _session(self, point: Point) -> bool:
        evses = self.controller.get("state")["site"]["evses"]
        return any(one["id"] == str(point) and one["transaction_id"] is not None for one in evses)

    def _heard(self, point: Point, bench: Bench, ear: Ear) -> None:
        """What was heard beside the tests."""
        features = bench.features.get(point.station)
        findings = [judge_clock(ear.offsets_s), judge_answers(bench.answers_s)]
        if features:
            findings.append(Finding("What it says it can do", Verdict.INFO, _features_words(features)))
        self.talk.tell(findings)
        self.handover.details(point.station, ear.details)
        self.handover.keep(str(point), "heard", Result(Outcome(tuple(findings))))


def _features_words(features: Mapping[str, Any]) -> str:
    """What a station said about itself, for people."""
    parts: list[str] = []
    for name, value in features.items():
        if name in ("at", "station_id") or not value:
            continue
        told = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        label = name.replace("_", " ")
        parts.append(label if value is True else f"{label}: {told}")
    return "; ".join(parts) or "nothing"
