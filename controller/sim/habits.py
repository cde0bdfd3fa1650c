"""``yardmaster habits``: what the controller remembers of past sessions: look at it, bring older sessions in, forget it.

Bringing in and forgetting change the journal and need the data folder for themselves; a running controller keeps it locked.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from controller.check import ConfigError, load_config
from controller.io.clock import Clock, fresh_seed
from controller.io.journal.rows import FILE_NAME, JournalError, memories_of
from controller.io.journal.shell import lock_folder
from controller.io.journal.store import Batch, JournalStore
from controller.io.shell import StartError
from controller.link.driver import KEY as USERS_KEY
from controller.link.driver import Users
from controller.orders import Persist
from controller.sim.backtest.sessions import Recorded, SessionsError, read_sessions
from controller.site.layout import layout_of
from controller.site.plans.habits import FEWEST, FIRST_DAYS, LEAST_WH, LONGEST_S, MOST, SHORTEST_S, SPACE, History, key_of
from optimizer.past import PastSession

if TYPE_CHECKING:
    from controller.config import Config

DAY_S = 86_400.0
SHOWN = 12
"""Lines of a list; the rest is counted."""

EPILOG = """\
The controller remembers finished sessions (forecast.keep_days) and learns from them which cars usually still come, how long cars stay
and what they take. A new site knows nothing in its first week; sessions exported from the CSMS help it over that.

FILE is CSV, plain or .gz, with the columns evse, arrival, departure, energy_kwh and, where known, stated_kwh, stated_departure,
max_power_kw, user. evse is STATION/EVSE as in the site file; STATION alone does where it has one EVSE. user may be the idTag: only a
digest of it is kept, the same that live sessions get.

Examples:
  yardmaster habits show --site site.yaml                     what is remembered; works beside a running controller
  yardmaster habits import sessions.csv --site site.yaml      bring sessions in; stop the controller before
  yardmaster habits import old.csv --site site.yaml --rename "Box 7=CP7/1"
  yardmaster habits forget --site site.yaml --yes             forget all of it, and the key of the drivers' digests
"""


class HabitsError(Exception):
    """The command cannot do its work. The text is one sentence for the person at the terminal."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's own arguments."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EPILOG
    parser.add_argument("what", choices=("show", "import", "forget"), help="what to do")
    parser.add_argument("file", type=Path, nargs="?", metavar="FILE", help="import: the sessions")
    parser.add_argument("--site", type=Path, required=True, metavar="SITE.YAML", help="the site file; its data_dir holds the memory")
    parser.add_argument("--rename", action="append", default=[], metavar="NAME=STATION/EVSE", help="import: an EVSE of the file; may be repeated")
    parser.add_argument("--yes", action="store_true", help="forget: really")


def main(arguments: argparse.Namespace) -> int:
    """Do it; the exit code."""
    try:
        config = load_config(arguments.site)
        if arguments.what == "import":
            return _import(config, arguments)
        return _forget(config, arguments.yes) if arguments.what == "forget" else _show(config)
    except ConfigError as error:
        print(error.text(), file=sys.stderr)
        return 1
    except (HabitsError, JournalError, SessionsError) as error:
        print(f"yardmaster: {error}", file=sys.stderr)
        return 1


# -- the memory ---------------------------------------------------------------------------------------


@contextmanager
def _alone(config: Config) -> Iterator[JournalStore]:
    """The journal, nobody else having it. Raises HabitsError, JournalError."""
    try:
        lock = lock_folder(config.data_dir)
    except StartError as error:
        raise HabitsError(f"nothing was changed: {error}") from None
    with lock:
        try:
            store = JournalStore(config.data_dir, datetime.fromtimestamp(Clock().stamp().wall_s, ZoneInfo("UTC")).strftime("%Y%m%dT%H%M%SZ"))
        except StartError as error:
            raise HabitsError(f"nothing was changed: {error}") from None
        try:
            for note in store.notes:
                print(f"yardmaster: {note}", file=sys.stderr)
            yield store
        finally:
            store.close()


def _recalled(config: Config, memories: Mapping[tuple[str, str], Any]) -> History:
    history = History(config)
    for (space, key), memory in memories.items():
        if space == SPACE:
            history.recall(key, memory)
    return history


# -- import -------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Sorted:
    """The sessions of a file: taken, and how many were left out why. strangers: EVSEs the site does not have."""

    taken: list[PastSession] = field(default_factory=list)
    strangers: dict[str, int] = field(default_factory=dict)
    left_out: dict[str, int] = field(default_factory=dict)

    def leave_out(self, why: str) -> None:
        """Count one."""
        self.left_out[why] = self.left_out.get(why, 0) + 1


def _import(config: Config, arguments: argparse.Namespace) -> int:
    if arguments.file is None:
        raise HabitsError("name the file of sessions: yardmaster habits import FILE --site SITE.YAML")
    if not arguments.file.is_file():
        raise HabitsError(f"there is no file {arguments.file}")
    told = read_sessions(arguments.file, config.site.timezone)
    for problem in told.problems:
        print(f"yardmaster: {problem}", file=sys.stderr)
    places, now_wall_s = Places(config, _renamed(arguments.rename)), Clock().stamp().wall_s
    with _alone(config) as store:
        memories = store.read().memories
        users, history = Users(fresh_seed()), _recalled(config, memories)
        users.load(memories.get(USERS_KEY))
        found = sort_out(told.sessions, places, users, history.sessions, now_wall_s, config.forecast.keep_days * DAY_S)
        if not found.taken:
            raise HabitsError(f"no session of {arguments.file} can be used: {_why(found)}; nothing was changed")
        orders = [*history.remember(found.taken, now_wall_s), *(users.keep() if any(one.user for one in found.taken) else ())]
        store.write([_batch(orders)])
    _report(found, history)
    return 0


def _batch(orders: Iterable[object]) -> Batch:
    """All that the orders want kept, in one transaction."""
    kept = [item for order in orders if isinstance(order, Persist) for item in order.remember.items()]
    return Batch(remember=tuple((space, key, None if value is None else json.dumps(value)) for (space, key), value in kept))


def _renamed(words: Sequence[str]) -> dict[str, str]:
    found = {}
    for word in words:
        name, equals, place = word.rpartition("=")
        if not equals or not name or not place:
            raise HabitsError(f"--rename {word} is not NAME=STATION/EVSE")
        found[name] = place
    return found


class Places:
    """The EVSEs of a site by name."""

    def __init__(self, config: Config, renamed: Mapping[str, str] | None = None) -> None:
        self._layout = layout_of(config, {})
        self._renamed = renamed or {}
        self._names = {str(key): key for key in self._layout.places}
        for station_id, keys in self._layout.by_station.items():
            if len(keys) == 1:
                self._names.setdefault(station_id, keys[0])
        unknown = sorted(place for place in self._renamed.values() if place not in self._names)
        if unknown:
            raise HabitsError(f"--rename names {unknown[0]}, which the site does not have; it has {', '.join(sorted(self._names)[:SHOWN])}")

    def past(self, one: Recorded, user: str) -> PastSession | None:
        """A recorded session as this site would have seen it; None at an EVSE it does not have."""
        key = self._names.get(self._renamed.get(one.evse, one.evse))
        if key is None:
            return None
        place = self._layout.places[key]
        phases = place.phases[: one.phases] if one.phases else place.phases
        most_w = place.config.max_current_a * self._layout.voltage_v * len(phases)
        return PastSession(
            str(key),
            place.circuit,
            phases,
            one.arrival_wall_s,
            one.departure_wall_s,
            one.energy_wh,
            min(most_w, one.max_power_w or most_w),
            one.stated_wh,
            one.stated_departure_wall_s,
            user,
        )


def sort_out(sessions: Iterable[Recorded], places: Places, users: Users, known: Sequence[PastSession], now_wall_s: float, keep_s: float) -> Sorted:
    """Which sessions of a file are taken: at EVSEs of the site, long and large enough, young enough, and not seen by the controller itself."""
    found, stays = Sorted(), _stays(known)
    for one in sessions:
        past = places.past(one, users.name({"idToken": one.user}))
        if past is None:
            found.strangers[one.evse] = found.strangers.get(one.evse, 0) + 1
        elif not SHORTEST_S <= one.stay_s <= LONGEST_S or one.energy_wh < LEAST_WH:
            found.leave_out("too short, too long or without energy")
        elif one.departure_wall_s > now_wall_s:
            found.leave_out("not over yet")
        elif one.departure_wall_s < now_wall_s - keep_s:
            found.leave_out(f"older than the {keep_s / DAY_S:g} days of forecast.keep_days")
        elif _overlaps(past, stays.get(past.evse, ())):
            found.leave_out("at the time of one that is remembered")
        else:
            found.taken.append(past)
    return found


def _stays(known: Sequence[PastSession]) -> dict[str, list[PastSession]]:
    stays: dict[str, list[PastSession]] = {}
    for past in known:
        stays.setdefault(past.evse, []).append(past)
    return stays


def _overlaps(past: PastSession, others: Iterable[PastSession]) -> bool:
    """Whether another session was there at that time; the same one from an earlier import is simply replaced."""
    return any(
        other.arrival_wall_s < past.departure_wall_s - 1.0 and past.arrival_wall_s < other.departure_wall_s - 1.0 and key_of(other) != key_of(past)
        for other in others
    )


def _why(found: Sorted) -> str:
    reasons = [f"{count} {why}" for why, count in found.left_out.items()]
    if found.strangers:
        names = sorted(found.strangers)
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        told = f"{', '.join(names[:SHOWN])}{more}"
        reasons.append(f"{sum(found.strangers.values())} at EVSEs the site does not have ({told}; --rename NAME=STATION/EVSE helps)")
    return ", ".join(reasons)


def _report(found: Sorted, history: History) -> None:
    print(f"{len(found.taken)} sessions brought in; {len(history)} are remembered now")
    if found.left_out or found.strangers:
        print(f"left out: {_why(found)}")
    print(_readiness(history.sessions))


# -- show, forget -----------------------------------------------------------------------------------------


def _show(config: Config) -> int:
    if not (config.data_dir / FILE_NAME).is_file():
        raise HabitsError(f"there is no journal in {config.data_dir} yet; check data_dir of the site file, or run the controller first")
    past = _recalled(config, memories_of(config.data_dir)).sessions
    if not past:
        print("no session is remembered yet")
        return 0
    zone = ZoneInfo(config.site.timezone)
    first, last = (datetime.fromtimestamp(wall_s, zone).date() for wall_s in (past[0].departure_wall_s, past[-1].departure_wall_s))
    users = {one.user for one in past if one.user}
    print(f"{len(past)} sessions from {first} to {last}, {sum(one.energy_wh for one in past) / 1000:.0f} kWh, {len(users)} drivers known again")
    print(_readiness(past))
    print(f"{'EVSE':<24} {'sessions':>8} {'kWh each':>9} {'hours each':>10}")
    lines = list(_by_evse(past))
    print("\n".join([*lines[:SHOWN], *([f"... and {len(lines) - SHOWN} more EVSEs"] if len(lines) > SHOWN else [])]))
    return 0


def _by_evse(past: Sequence[PastSession]) -> Iterator[str]:
    """The busiest EVSEs first."""
    for evse, some in sorted(_stays(past).items(), key=lambda item: (-len(item[1]), item[0])):
        energy_kwh = sum(one.energy_wh for one in some) / 1000.0 / len(some)
        stay_h = sum(one.departure_wall_s - one.arrival_wall_s for one in some) / 3600.0 / len(some)
        yield f"{evse:<24} {len(some):>8} {energy_kwh:>9.1f} {stay_h:>10.1f}"


def _readiness(past: Sequence[PastSession]) -> str:
    days = len({one.arrival_wall_s // DAY_S for one in past})
    if len(past) >= FEWEST and days >= FIRST_DAYS:
        full = f"; the oldest go when there are more than {MOST}" if len(past) > 0.9 * MOST else ""
        return f"enough to learn from{full}"
    return f"not enough to learn from yet: {len(past)} sessions on {days} days, needed are {FEWEST} on {FIRST_DAYS}"


def _forget(config: Config, sure: bool) -> int:
    if not sure:
        raise HabitsError("this forgets all past sessions of the site and cannot be undone; add --yes if you mean it")
    if not (config.data_dir / FILE_NAME).is_file():
        raise HabitsError(f"there is no journal in {config.data_dir}; nothing to forget")
    with _alone(config) as store:
        memories = store.read().memories
        gone = [(space, key) for space, key in memories if space == SPACE]
        store.write([Batch(remember=tuple((space, key, None) for space, key in [*gone, *([USERS_KEY] if USERS_KEY in memories else [])]))])
    print(f"{len(gone)} past sessions and the key of the drivers' digests are forgotten")
    return 0
