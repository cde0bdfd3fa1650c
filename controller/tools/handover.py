"""What a commissioning leaves in its out folder: the state to go on from, the report, the measured models, the changes.

Files of an earlier commissioning are never lost: a model file that would change is kept under another name.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from controller import __version__
from controller.checking.fallback import fallback_sums
from controller.commission.charts import chart_from
from controller.commission.files import changes_text, charger_yaml, file_name, quirks_json, site_changes
from controller.commission.findings import Finding, Outcome, Quirks, Rotation, Verdict, finding_of, quirks_of
from controller.commission.report import Report, Section, html
from controller.config import Config
from controller.io.clock import Clock
from controller.ocpp.times import timestamp
from controller.site.stations.charger import GENERIC, ChargerModel
from controller.tools.client import ToolError
from controller.tools.trials import TRIALS, Result

FORMAT = 1
STATE = "commissioning.json"
TITLES = {"inventory": "Stations", "meters": "Meters", "heard": "What it says", **{trial.name: trial.title for trial in TRIALS}}
ORDER = ("steps", "minimum", "fineness", "ways", "plug", "reboot", "heard")


@dataclass(frozen=True, slots=True)
class Saved:
    """One finished test. when_wall_s: Unix time of its end."""

    when_wall_s: float
    result: Result


class Handover:
    """The out folder. config None: only what the running controller tells is known. Raises ToolError."""

    def __init__(self, folder: Path, config: Config | None, models: Mapping[str, ChargerModel]) -> None:
        self.folder, self.config, self.models = folder, config, models
        self._saved: dict[tuple[str, str], Saved] = {}
        self._details: dict[str, dict[str, str]] = {}
        self._site: dict[str, str] = {}

    # -- the state file ---------------------------------------------------------------------------------

    def load(self) -> None:
        """What an earlier walk has left, if anything."""
        path = self.folder / STATE
        if not path.exists():
            return
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            if data["format"] != FORMAT:
                raise ValueError("another format")
            self._site, self._details = dict(data["site"]), dict(data["details"])
            self._saved = {(one["point"], one["test"]): _saved(one) for one in data["tests"]}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ToolError(f"{path} cannot be used ({error}); move it away to begin anew, or name another folder with --out") from None

    def _store(self) -> None:
        tests = [{"point": point, "test": test, **_plain(saved)} for (point, test), saved in self._saved.items()]
        data = {"format": FORMAT, "site": self._site, "details": self._details, "tests": tests}
        self._write(STATE, json.dumps(data, ensure_ascii=False, indent=1))

    def _write(self, name: str, text: str) -> Path:
        """Whole or not at all: a laptop's battery may end here."""
        path = self.folder / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            half = path.with_name(f".{path.name}.new")
            half.write_text(text, encoding="utf-8")
            os.replace(half, path)
        except OSError as error:
            raise ToolError(f"{path} cannot be written ({error.strerror or error}); free some space or name another folder with --out") from None
        return path

    def site(self, state: Mapping[str, Any]) -> None:
        """Whose commissioning this is. Raises ToolError when the folder is another site's."""
        site = {"id": str(state["site_id"]), "name": str(state["site_name"]), "version": str(state["version"])}
        if self._site and self._site["id"] != site["id"]:
            raise ToolError(f"{self.folder} holds the commissioning of site {self._site['id']}; name another folder with --out")
        self._site = site

    def details(self, station_id: str, details: Mapping[str, str]) -> None:
        """What a station calls itself."""
        self._details.setdefault(station_id, {}).update(details)
        self._store()

    def keep(self, point: str, test: str, result: Result) -> None:
        """A test is done; on disk before the next one begins. point "" = the site."""
        self._saved[point, test] = Saved(Clock().stamp().wall_s, result)
        self._store()

    def done(self, point: str, test: str) -> bool:
        """Whether a test was done, now or before."""
        return (point, test) in self._saved

    # -- the files to hand over ---------------------------------------------------------------------------

    def write(self) -> list[str]:
        """Write everything; lines that say what is where."""
        if not self._saved:
            raise ToolError(f"nothing has been tested yet in {self.folder}")
        names = self._model_names()
        files: list[tuple[str, str]] = []
        said: list[str] = []
        for name in dict.fromkeys(names.values()):
            stations = [station for station, its in names.items() if its == name]
            text = charger_yaml(self._base(stations[0]), self._quirks(stations), self._heading(stations[0]))
            files.append((f"chargers/{name}.yaml", text))
            said += self._keep_old(f"chargers/{name}.yaml", text)
            said.append(f"wrote {self._write(f'chargers/{name}.yaml', text)}")
        changes = site_changes(self.config, self._rotations(), names) if self.config is not None else []
        said.append(f"wrote {self._write('site-changes.txt', changes_text(changes, [one for one, _ in files]))}")
        page = html(self._report(tuple(files), tuple(changes)))
        said.append(f"wrote {self._write('report.html', page)} - open it in a browser and print it, or save it as PDF")
        return said

    def _keep_old(self, name: str, text: str) -> list[str]:
        path = self.folder / name
        if not path.exists() or path.read_text(encoding="utf-8", errors="replace") == text:
            return []
        number = next(number for number in range(1, 10_000) if not path.with_suffix(f".yaml.{number}").exists())
        old = path.with_suffix(f".yaml.{number}")
        os.replace(path, old)
        return [f"kept the earlier {path.name} as {old.name}"]

    def _stations(self) -> list[str]:
        """Stations with measured quirks."""
        points = [point for (point, _), saved in self._saved.items() if point and saved.result.outcome.quirks.known()]
        return list(dict.fromkeys(point.rpartition("/")[0] for point in points))

    def _model_names(self) -> dict[str, str]:
        """Station -> model file; boxes of one make share one."""
        names: dict[str, str] = {}
        for station in self._stations():
            details = self._details.get(station, {})
            names[station] = file_name(details.get("vendor", ""), details.get("model", ""), station)
        return names

    def _base(self, station_id: str) -> ChargerModel:
        station = self.config.station(station_id) if self.config is not None else None
        return self.models.get(station.model, GENERIC) if station is not None else GENERIC

    def _quirks(self, stations: list[str]) -> Quirks:
        """Of several boxes of one make: the more careful figure of each."""
        found = [saved.result.outcome.quirks for (point, _), saved in self._saved.items() if point.rpartition("/")[0] in stations]
        whole = Quirks()
        for one in found:
            whole = whole.careful(one)
        return whole

    def _rotations(self) -> dict[tuple[str, int], Rotation]:
        found: dict[tuple[str, int], Rotation] = {}
        for (point, _), saved in self._saved.items():
            station, _, evse = point.rpartition("/")
            if saved.result.outcome.rotation is not None:
                found[station, int(evse)] = saved.result.outcome.rotation
        return found

    def _heading(self, station_id: str) -> str:
        details = self._details.get(station_id, {})
        who = " ".join(filter(None, [details.get("vendor", ""), details.get("model", "")])) or station_id
        firmware = f" firmware {details['firmware']}" if details.get("firmware") else ""
        return f"{who}{firmware}, measured at {self._site.get('name', '')} on {timestamp(self._newest())[:10]}"

    def _newest(self) -> float:
        return max(saved.when_wall_s for saved in self._saved.values())

    def _report(self, files: tuple[tuple[str, str], ...], changes: tuple[Any, ...]) -> Report:
        facts = [("Site", f"{self._site.get('name', '')} ({self._site.get('id', '')})"), ("Yardmaster", f"{__version__}, OCPP local controller")]
        facts += [(f"Station {name}", ", ".join(f"{key} {value}" for key, value in its.items())) for name, its in self._details.items() if its]
        sums = tuple(fallback_sums(self.config)) if self.config is not None else None
        when = f"Tested until {timestamp(self._newest())[:16].replace('T', ' ')} UTC"
        name = self._site.get("name") or self._site.get("id", "")
        return Report(name, when, tuple(facts), tuple(self._sections()), sums, changes, files)

    def _sections(self) -> list[Section]:
        sections: list[Section] = []
        for test in ("inventory", "meters"):
            if ("", test) in self._saved:
                sections.append(Section(TITLES[test], self._saved["", test].result.outcome.findings))
        for point in self._points():
            results = [self._saved[point, test].result for test in ORDER if (point, test) in self._saved]
            findings = [finding for one in results for finding in one.outcome.findings]
            findings += [Finding(trial.title, Verdict.SKIPPED, "not done yet") for trial in TRIALS if (point, trial.name) not in self._saved]
            sections.append(Section(f"EVSE {point}", tuple(findings), tuple(chart for one in results for chart in one.charts)))
        return [*sections, Section("Beyond these tests", tuple(self._beyond()))]

    def _points(self) -> list[str]:
        """Every EVSE of the site, whether it was tested or not; those that were tested where the site file is not known."""
        tested = dict.fromkeys(point for point, _ in self._saved if point)
        whole = [f"{station.id}/{evse.id}" for station in self.config.stations for evse in station.evses] if self.config is not None else []
        return list(dict.fromkeys([*whole, *tested]))

    def _beyond(self) -> Iterator[Finding]:
        """What no test here looks at, and where the site relies on it."""
        stations = self.config.stations if self.config is not None else None
        if stations is None:
            gives, switches = None, None
        else:
            gives = [f"{one.id}/{evse.id}" for one in stations for evse in one.evses if evse.v2g is not None]
            switches = [one.id for one in stations if self._base(one.id).phase_switching]
        yield _untested("Giving back (V2G)", gives, "Plug in such a car, plan a discharge and watch the meter turn round.")
        yield _untested("One phase and three phases", switches, "Limit a three-phase car to less than 4.1 kW and watch the meter.")


def _untested(title: str, used_at: Sequence[str] | None, advice: str) -> Finding:
    """used_at: where the site relies on it; None = the site file is not known."""
    if used_at is None:
        return Finding(title, Verdict.SKIPPED, "not tested; the site file was not named (--config)", advice)
    if not used_at:
        return Finding(title, Verdict.SKIPPED, "not tested; this site does not use it by its site file")
    return Finding(title, Verdict.SKIPPED, f"not tested, but used at {', '.join(used_at)}", f"Before you rely on it: {advice}")


def _plain(saved: Saved) -> dict[str, Any]:
    outcome = saved.result.outcome
    rotation = outcome.rotation
    return {
        "when_wall_s": saved.when_wall_s,
        "findings": [one.as_json() for one in outcome.findings],
        "quirks": quirks_json(outcome.quirks),
        "rotation": None if rotation is None else {"site_phases": list(rotation.site_phases), "used": rotation.used},
        "charts": [chart.as_json() for chart in saved.result.charts],
    }


def _saved(data: Mapping[str, Any]) -> Saved:
    rotation = data["rotation"]
    order = [None if phase is None else int(phase) for phase in rotation["site_phases"]] if rotation is not None else [None] * 3
    wiring = Rotation((order[0], order[1], order[2]), int(rotation["used"])) if rotation is not None else None
    outcome = Outcome(tuple(finding_of(one) for one in data["findings"]), quirks_of(data["quirks"]), wiring)
    return Saved(float(data["when_wall_s"]), Result(outcome, tuple(chart_from(chart) for chart in data["charts"])))
