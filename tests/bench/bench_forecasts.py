"""How wrong forecasts are: PV, base load, departures and energies, on a year of recorded or simulated data, beside simple references of the same run.

PV (--rows pv): forecasts made at 6, 9, 12 and 15 h of the local clock for the next 24 h, against what the plant gave. references: persistence
(the present power goes on), yesterday (the same quarter hour a day ago), usual (the mean of the time of day with today's level,
``optimizer.usual``: what the site does without forecast.pv_plants).
Base load (--rows load): forecasts at 0, 6, 9, 12 and 18 h, against persistence, yesterday, and a week ago.
Cars (--rows cars): departure and energy of each session of the second half of a file, forecast at arrival from the sessions before it, against
the mean of all sessions so far and (departures) what the driver said.

Calibration: the share of quarter hours (daylight only for PV) that stay inside the room a plan leaves for load_certainty_percent = 90.

Data: a folder as in the project's data README (sessions/, load_pv/), as argument or in YARDMASTER_DATA.

    python tests/bench/bench_forecasts.py DATA [--rows pv load cars] [--days 365] [--dry]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from controller.sim.backtest.quick_garage import past_sessions, places
from controller.sim.backtest.series import Series, midnight
from controller.sim.backtest.series_files import read_watts
from controller.sim.backtest.sessions import Recorded, SessionFile, read_sessions
from optimizer.expect import DEPARTURE_QUANTILE, ENERGY_QUANTILE
from optimizer.past import PastSession, Stay
from optimizer.problem import Slot
from optimizer.stays import Likes, departure_s, learn_likes, total_wh
from optimizer.sunny import ClearSky, Sunny
from optimizer.told import Told
from optimizer.usual import Usual
from tests.bench import ledger

BENCH = "forecasts"
ZONE = ZoneInfo("America/Los_Angeles")
LOAD, SUN = "load_pv/RefBldgMediumOfficeNew2004_7.1_5.0_3B_USA_CA_LOS_ANGELES.csv", "load_pv/results_jpl_autosized_220kWdc.csv"
JPL = {"latitude": 34.2, "longitude": -118.17, "altitude_m": 350.0, "tilt_degrees": 20.0, "azimuth_degrees": 180.0}
PEAK_W = 220_000.0
FIRST = date(2019, 1, 1)
WARM_UP_DAYS = 21
HOUR, QUARTER, DAY = 3600.0, 900.0, 86_400.0
SURE = 0.9
ROWS = ("pv", "load", "cars")
INSIDE = {"departure": "55..65", "energy": "85..95"}
"""Plans take the departure that 40 of 100 cars undercut, and the energy that 90 of 100 do not exceed."""
CLOUD_HALF_LIFE_S = 4 * HOUR


@dataclass
class Errors:
    """Absolute errors [W] of one forecast, by how far ahead it was."""

    near: list[float] = field(default_factory=list)
    far: list[float] = field(default_factory=list)

    def add(self, ahead_s: float, error_w: float) -> None:
        """One quarter hour. near: up to four hours ahead."""
        (self.near if ahead_s <= 4 * HOUR else self.far).append(abs(error_w))

    @property
    def all(self) -> float:
        """Mean absolute error [W]."""
        return statistics.fmean([*self.near, *self.far])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("data", nargs="?", type=Path, default=os.environ.get("YARDMASTER_DATA"), help="folder of data (or YARDMASTER_DATA)")
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=ROWS)
    parser.add_argument("--days", type=int, default=365, help="days of PV and load")
    parser.add_argument("--dry", action="store_true", help="write nothing into history.csv")
    options = parser.parse_args()
    if options.data is None or not Path(options.data).is_dir():
        raise SystemExit("give the folder with the data: see --help")
    data = Path(options.data)
    for row in options.rows:
        for figure, value, unit, target, ratio in {"pv": _pv, "load": _load, "cars": _cars}[row](data, options.days):
            if options.dry:
                beside = f", {ratio:.3g} x the reference" if ratio is not None else ""
                print(f"{figure}: {value:.4g} {unit}{beside}", flush=True)
            else:
                ledger.record(BENCH, figure, value, unit, target, ratio)


Figure = tuple[str, float, str, str, float | None]
Forecast = Callable[[tuple[Slot, ...]], Sequence[float]]


def _slots(at_s: float) -> tuple[Slot, ...]:
    return tuple(Slot(at_s + index * QUARTER, QUARTER) for index in range(96))


def _days(count: int) -> Iterator[tuple[date, float]]:
    """The days that are measured and their midnights, after the warm-up."""
    for number in range(WARM_UP_DAYS, count):
        day = FIRST + timedelta(days=number)
        yield day, midnight(day, ZONE)


def _lived(series: Series, usual: Usual, until_s: float, from_s: float) -> float:
    """Let a time pass in steps of five minutes; where it ended."""
    at_s = from_s
    while at_s <= until_s:
        usual.add(series.at(at_s), at_s)
        at_s += 300.0
    usual.forget()
    return at_s


def _figures(name: str, errors: dict[str, Errors], ours: str) -> Iterator[Figure]:
    for other, found in errors.items():
        beside = errors[ours].all / found.all if other != ours else None
        yield f"{name}, {other}, mean error of 24 h", found.all / 1000.0, "kW", "", beside
        yield f"{name}, {other}, up to 4 h ahead", statistics.fmean(found.near) / 1000.0, "kW", "", None


# -- PV ---------------------------------------------------------------------------------------------------


def clear_sky(begin_s: float, count: int) -> Told:
    """The child's answer for the plant at JPL."""
    plant = {**JPL, "peak_w": PEAK_W, "inverter_w": PEAK_W, "losses_percent": 0.0}
    request = json.dumps({"plants": [plant], "begin_wall_s": begin_s, "count": count, "step_s": QUARTER})
    command = [sys.executable, "-m", "controller.io.feeds.clear_sky"]
    answer = subprocess.run(command, input=request, capture_output=True, text=True, check=True, cwd=Path(__file__).resolve().parents[2])
    watts = json.loads(answer.stdout)["watts"]
    return Told(tuple((begin_s + index * QUARTER, begin_s + (index + 1) * QUARTER, value) for index, value in enumerate(watts)))


def _pv(data: Path, days: int) -> Iterator[Figure]:
    begin_s, end_s = midnight(FIRST, ZONE), midnight(FIRST + timedelta(days=days + 2), ZONE)
    series = read_watts(data / SUN, ZONE, begin_s, end_s, True)
    skies: list[Told] = []
    for start_s in range(int(begin_s), int(end_s), int(180 * DAY)):
        skies.append(clear_sky(start_s, 180 * 96))
    sky = ClearSky(Told(tuple(stretch for one in skies for stretch in one.stretches)))
    usual = Usual(ZONE.key, CLOUD_HALF_LIFE_S, by_kind=False)
    errors = {name: Errors() for name in ("clear sky and measured", "usual by time of day", "yesterday", "persistence")}
    inside = daylight = 0
    room_w: list[float] = []
    lived_s = begin_s
    for _, day_s in _days(days):
        for hour in (6, 9, 12, 15):
            at_s = day_s + hour * HOUR
            lived_s = _lived(series, usual, at_s, lived_s)
            slots, model = _slots(at_s), Sunny(sky, usual, at_s)
            nothing = (0.0,) * len(slots)
            ours, less = model.expected_w(slots, nothing), model.below_w(slots, 1.0 - SURE)
            others = {
                "clear sky and measured": ours,
                "usual by time of day": [max(0.0, watts) for watts in usual.expected_w(slots, nothing)],
                "yesterday": [series.mean(slot.start_wall_s - DAY, slot.start_wall_s - DAY + QUARTER) for slot in slots],
                "persistence": [series.at(at_s)] * len(slots),
            }
            for index, slot in enumerate(slots):
                true_w, clear_w = series.mean(slot.start_wall_s, slot.start_wall_s + QUARTER), sky.told.at(slot.start_wall_s) or 0.0
                if max(true_w, clear_w) < 1000.0:
                    continue  # the night is no art
                for name, forecast in others.items():
                    errors[name].add(slot.start_wall_s - at_s, forecast[index] - true_w)
                if slot.start_wall_s - at_s > HOUR:
                    daylight += 1
                    inside += true_w >= ours[index] - less[index]
                    room_w.append(less[index])
    yield from _figures("PV 220 kW", errors, "clear sky and measured")
    yield "PV 220 kW, not darker than the room kept for 90 %", 100.0 * inside / daylight, "%", "85..95", None
    yield "PV 220 kW, that room", statistics.fmean(room_w) / 1000.0, "kW", "", None


# -- base load ----------------------------------------------------------------------------------------------


def _load(data: Path, days: int) -> Iterator[Figure]:
    begin_s, end_s = midnight(FIRST, ZONE), midnight(FIRST + timedelta(days=days + 2), ZONE)
    series = read_watts(data / LOAD, ZONE, begin_s, end_s)
    usual = Usual(ZONE.key)
    errors = {name: Errors() for name in ("usual with today's level", "yesterday", "a week ago", "persistence")}
    inside = count = 0
    lived_s = begin_s
    for _, day_s in _days(days):
        for hour in (0, 6, 9, 12, 18):
            at_s = day_s + hour * HOUR
            lived_s = _lived(series, usual, at_s, lived_s)
            slots = _slots(at_s)
            ours, more = usual.expected_w(slots, (0.0,) * len(slots)), usual.above_w(slots, SURE)
            back = {
                days_back: [series.mean(slot.start_wall_s - days_back * DAY, slot.start_wall_s - days_back * DAY + QUARTER) for slot in slots]
                for days_back in (1, 7)
            }
            others = {"usual with today's level": ours, "yesterday": back[1], "a week ago": back[7], "persistence": [series.at(at_s)] * len(slots)}
            for index, slot in enumerate(slots):
                true_w = series.mean(slot.start_wall_s, slot.start_wall_s + QUARTER)
                for name, forecast in others.items():
                    errors[name].add(slot.start_wall_s - at_s, forecast[index] - true_w)
                if slot.start_wall_s - at_s > HOUR:
                    count += 1
                    inside += true_w <= ours[index] + more[index] + 1.0
    yield from _figures("office load", errors, "usual with today's level")
    yield "office load, not above the room kept for 90 %", 100.0 * inside / count, "%", "85..95", None


# -- cars ---------------------------------------------------------------------------------------------------


def _cars(data: Path, _days_wanted: int) -> Iterator[Figure]:
    for file in sorted((data / "sessions").glob("*.csv.gz")):
        name = file.name.split(".")[0].rsplit("_", 1)[0].replace("_", " ")
        yield from _garage(name, read_sessions(file, ZONE.key))


def _garage(name: str, file: SessionFile) -> Iterator[Figure]:
    """Each day's sessions from the habits of the days before."""
    where, ordered = places(file.evses), file.sessions
    middle_s = ordered[len(ordered) // 2].arrival_wall_s
    found: dict[str, list[float]] = {}
    day, likes = "", {}
    for one in (one for one in ordered if one.arrival_wall_s >= middle_s):
        today = datetime.fromtimestamp(one.arrival_wall_s, ZONE).date()
        if today.isoformat() != day:
            day, past = today.isoformat(), past_sessions(ordered, where, midnight(today, ZONE))
            likes = learn_likes(past, ZONE)
        for figure, value in _misses(one, likes, past):
            found.setdefault(figure, []).append(value)
    for what, unit, scale in (("departure", "h", HOUR), ("energy", "kWh", 1000.0)):
        ours = statistics.fmean(found[f"{what}, habits, nothing said"])
        for who in ("habits, nothing said", "mean of all sessions", "habits, as stated", "as stated, believed"):
            miss = statistics.fmean(found[f"{what}, {who}"])
            beside = {"mean of all sessions": ours / miss, "as stated, believed": statistics.fmean(found[f"{what}, habits, as stated"]) / miss}.get(
                who
            )
            yield f"{name}, {what}, {who}", miss / scale, unit, "", beside
        yield f"{name}, {what}, inside the habits' quantile", 100.0 * statistics.fmean(found[f"{what}, inside"]), "%", INSIDE[what], None


def _misses(one: Recorded, likes: Likes, past: Sequence[PastSession]) -> Iterator[tuple[str, float]]:
    """How far off each forecast at arrival is [s, Wh]."""
    silent = Stay(one.evse, one.arrival_wall_s, 0.0, 7000.0)
    stay_s, mean_s, mean_wh = one.stay_s, statistics.fmean(stay_of(one) for one in past), statistics.fmean(one.energy_wh for one in past)
    at_s = one.arrival_wall_s
    yield "departure, habits, nothing said", abs(departure_s(likes, silent, at_s, ZONE, 0.5) - at_s - stay_s)
    yield "departure, mean of all sessions", abs(mean_s - stay_s)
    yield "departure, inside", float(departure_s(likes, silent, at_s, ZONE, DEPARTURE_QUANTILE) <= one.departure_wall_s)
    yield "energy, habits, nothing said", abs(total_wh(likes, silent, ZONE, 0.5) - one.energy_wh)
    yield "energy, mean of all sessions", abs(mean_wh - one.energy_wh)
    yield "energy, inside", float(total_wh(likes, silent, ZONE, ENERGY_QUANTILE) >= one.energy_wh)
    if one.stated_wh and one.stated_departure_wall_s is not None and one.stated_departure_wall_s > at_s:
        told = replace(silent, stated_wh=one.stated_wh, stated_departure_wall_s=one.stated_departure_wall_s)
        yield "departure, habits, as stated", abs(departure_s(likes, told, at_s, ZONE, 0.5) - one.departure_wall_s)
        yield "departure, as stated, believed", abs(one.stated_departure_wall_s - one.departure_wall_s)
        yield "energy, habits, as stated", abs(total_wh(likes, told, ZONE, 0.5) - one.energy_wh)
        yield "energy, as stated, believed", abs(one.stated_wh - one.energy_wh)


def stay_of(one: PastSession) -> float:
    """From arrival to departure [s]."""
    return one.departure_wall_s - one.arrival_wall_s


if __name__ == "__main__":
    main()
