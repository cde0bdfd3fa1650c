"""Recorded charging sessions from a file: what a backtest plays again. Two forms of CSV, plain or .gz.

ACN form (acndata.caltech.edu): ``arrival, departure, requested_energy (kWh), delivered_energy (kWh), station_id, session_id,
estimated_departure, claimed``; what was asked for counts as stated only where a driver has claimed the session.

Our own form, one line per session; the first four are needed:

    evse, arrival, departure, energy_kwh, stated_kwh, stated_departure, max_power_kw, phases, user, soc, capacity_kwh, id

evse: any name, "station/evse" fits a site file. Times: ISO 8601, or 31.12.2026 18:30; without an offset they are local times of the
site. soc: state of charge at arrival [%]. phases: how many the car uses, 1 to 3. Separator comma, or semicolon or tabulator with
decimal commas. Heads in any order and case; others are let be.

A row that cannot be used is left out and told with its line. Of two stays that overlap on one EVSE the first ends where the second begins.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import math
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

MOST_KWH = 5_000.0
MOST_KW = 2_000.0
SHOWN_PROBLEMS = 20
DAY_FIRST = re.compile(r"^(\d{2})\.(\d{2})\.(\d{4})(?= )")
ACN_HEADS = ("arrival", "departure", "delivered_energy (kWh)", "station_id")
OWN_HEADS = ("evse", "arrival", "departure", "energy_kwh")
MORE_HEADS = (
    *("stated_kwh", "stated_departure", "max_power_kw", "phases", "user", "soc", "capacity_kwh", "id"),
    *("requested_energy (kWh)", "session_id", "estimated_departure", "claimed"),
)


class SessionsError(ValueError):
    """A file of sessions cannot be used at all. The text says which, why, and what to do."""


class RowError(ValueError):
    """One row cannot be used; the text says why."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """One recorded session. evse: as the file names it. energy_wh: what was charged, at the charger.

    stated_*, max_power_w, phases, soc (0..1) and capacity_wh are None where the file does not tell. user: "" = unknown.
    """

    id: str
    evse: str
    arrival_wall_s: float
    departure_wall_s: float
    energy_wh: float
    stated_wh: float | None = None
    stated_departure_wall_s: float | None = None
    max_power_w: float | None = None
    phases: int | None = None
    user: str = ""
    soc: float | None = None
    capacity_wh: float | None = None

    @property
    def stay_s(self) -> float:
        """From arrival to departure [s]."""
        return self.departure_wall_s - self.arrival_wall_s

    @property
    def mean_power_w(self) -> float:
        """Energy over the whole stay [W]."""
        return self.energy_wh * 3600.0 / self.stay_s


@dataclass(frozen=True, slots=True)
class SessionFile:
    """What a file holds: sessions by arrival, and what was wrong with it. cut: stays ended earlier because the next car came.

    acn: it has the ACN form.
    """

    sessions: tuple[Recorded, ...]
    skipped: int
    cut: int
    problems: tuple[str, ...]
    acn: bool = False

    @property
    def evses(self) -> tuple[str, ...]:
        """Names of the EVSEs, sorted."""
        return tuple(sorted({one.evse for one in self.sessions}))

    def between(self, start_wall_s: float, end_wall_s: float) -> tuple[Recorded, ...]:
        """Sessions that arrive in this time, by arrival."""
        return tuple(one for one in self.sessions if start_wall_s <= one.arrival_wall_s < end_wall_s)


def read_sessions(path: Path | str, timezone: str = "UTC") -> SessionFile:
    """The sessions of a file. timezone: of times without an offset. Raises SessionsError."""
    path = Path(path)
    if path.suffix.lower() in (".xlsx", ".xls", ".ods"):
        heads = ", ".join(OWN_HEADS)
        raise SessionsError(f"{path}: tables of a spreadsheet are not read; save the sheet as CSV with the heads {heads} and name that file")
    try:
        return parse_sessions(text_of(path).splitlines(), str(path), timezone)
    except (OSError, EOFError, UnicodeDecodeError, zlib.error, csv.Error) as error:
        raise SessionsError(f"{path} cannot be read ({error}); give the file of sessions with --sessions") from error


def text_of(path: Path) -> str:
    """The text of a file, unpacked if it ends in .gz. UTF-8, the UTF-16 of spreadsheets, or else Windows' own letters.

    Raises OSError, EOFError, UnicodeDecodeError, zlib.error.
    """
    raw = path.read_bytes()
    data = gzip.decompress(raw) if path.suffix.lower() == ".gz" else raw
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        if b"\0" in data:
            raise
        return data.decode("cp1252")


def year_first(text: str) -> str:
    """A time like 31.12.2026 18:30 as ISO 8601 has it; any other as it is."""
    return DAY_FIRST.sub(r"\3-\2-\1", text)


def printable(text: str) -> str:
    """The text without letters that steer a terminal."""
    return "".join(letter if letter.isprintable() or letter == "\n" else "?" for letter in text)


def parse_sessions(lines: Sequence[str], source: str, timezone: str = "UTC") -> SessionFile:
    """The sessions of a text; source names it in messages. Raises SessionsError."""
    rows = rows_of(lines)
    heads = _heads(rows[0][1] if rows else (), source)
    make = _form(heads, source)
    zone, found, problems, seen = ZoneInfo(timezone), [], [], set[tuple[str, float]]()
    for number, cells in rows[1:]:
        try:
            one = make(dict(zip(heads, cells, strict=False)), f"line {number}", zone)
            if (one.evse, one.arrival_wall_s) in seen:
                raise RowError(f"{one.evse} has a session that begins in this very second already")
        except RowError as error:
            problems.append(f"{source}, line {number}: {error}; left out")
            continue
        seen.add((one.evse, one.arrival_wall_s))
        found.append(one)
    if not found:
        more = f"; the first problem: {problems[0]}" if problems else ""
        raise SessionsError(f"{source} holds no usable session{more}")
    sessions, cut = without_overlaps(found)
    return SessionFile(sessions, len(problems), cut, tuple(_shown(problems, source)), make is _acn)


def without_overlaps(sessions: Iterable[Recorded]) -> tuple[tuple[Recorded, ...], int]:
    """By arrival; a stay that lasts into the next on its EVSE ends there. The number of those cut."""
    kept: list[Recorded] = []
    cut, last = 0, dict[str, int]()
    for one in sorted(sessions, key=lambda session: (session.arrival_wall_s, session.evse)):
        before = last.get(one.evse)
        if before is not None and kept[before].departure_wall_s > one.arrival_wall_s:
            kept[before] = replace(kept[before], departure_wall_s=one.arrival_wall_s)
            cut += 1
        last[one.evse] = len(kept)
        kept.append(one)
    return tuple(kept), cut


def rows_of(lines: Sequence[str]) -> list[tuple[int, tuple[str, ...]]]:
    """(line number, cells) of a CSV text; empty lines and lines that begin with # are left out, heads included as the first."""
    kept = [(number, line) for number, line in enumerate(lines, 1) if line.strip() and not line.lstrip().startswith("#")]
    if not kept:
        return []
    return list(_cells(kept, max(",;\t", key=kept[0][1].count)))


def _cells(kept: Sequence[tuple[int, str]], separator: str) -> Iterator[tuple[int, tuple[str, ...]]]:
    for number, line in kept:  # line by line: a stray quote spoils its own row only
        told = (cell.strip() for cell in next(csv.reader((line,), delimiter=separator)))
        yield number, tuple(cell.replace(",", ".") if separator != "," else cell for cell in told)


Make = Callable[[Mapping[str, str], str, ZoneInfo], Recorded]


def _heads(heads: Sequence[str], source: str) -> tuple[str, ...]:
    """The heads as we write them, however a file does. Raises SessionsError for one that is there twice."""
    known = {head.lower(): head for head in (*ACN_HEADS, *OWN_HEADS, *MORE_HEADS)}
    found = tuple(known.get(head.lower(), head) for head in heads)
    twice = next((head for head in known.values() if found.count(head) > 1), None)
    if twice is not None:
        raise SessionsError(f"{source} has the column {twice} twice; leave one out, so that it is clear which counts")
    return found


def _form(heads: Sequence[str], source: str) -> Make:
    if all(head in heads for head in ACN_HEADS):
        return _acn
    if all(head in heads for head in OWN_HEADS):
        return _own
    if not heads:
        raise SessionsError(f"{source} is empty; needed is a line of heads with {', '.join(OWN_HEADS)}, and a line for each session")
    told = ", ".join(heads[:12])[:300]
    raise SessionsError(f"{source} begins with the columns {told}; needed are {', '.join(OWN_HEADS)}, or those of ACN: {', '.join(ACN_HEADS)}")


def _acn(row: Mapping[str, str], name: str, zone: ZoneInfo) -> Recorded:
    claimed = row.get("claimed", "True").lower() not in ("false", "0", "no", "")
    arrival_s, departure_s = _stay(row, zone)
    energy_wh = 1000.0 * _number(row, "delivered_energy (kWh)", 0.0, MOST_KWH)
    stated_wh = _kilo(row, "requested_energy (kWh)", MOST_KWH) if claimed else None
    leaves_s = _moment(row, "estimated_departure", zone) if claimed and row.get("estimated_departure") else None
    return _checked(Recorded(row.get("session_id") or name, row["station_id"], arrival_s, departure_s, energy_wh, stated_wh, leaves_s))


def _own(row: Mapping[str, str], name: str, zone: ZoneInfo) -> Recorded:
    arrival_s, departure_s = _stay(row, zone)
    soc_percent = _optional(row, "soc", 100.0)
    phases = _optional(row, "phases", 3.0)
    if phases is not None and phases not in (1.0, 2.0, 3.0):
        raise RowError(f"phases is {row['phases']!r}, not 1, 2 or 3")
    return _checked(
        Recorded(
            row.get("id") or name,
            row["evse"],
            arrival_s,
            departure_s,
            1000.0 * _number(row, "energy_kwh", 0.0, MOST_KWH),
            _kilo(row, "stated_kwh", MOST_KWH),
            _moment(row, "stated_departure", zone) if row.get("stated_departure") else None,
            _kilo(row, "max_power_kw", MOST_KW) or None,
            None if phases is None else int(phases),
            row.get("user", ""),
            None if soc_percent is None else soc_percent / 100.0,
            _kilo(row, "capacity_kwh", MOST_KWH) or None,
        )
    )


def _checked(one: Recorded) -> Recorded:
    if not one.evse:
        raise RowError("it names no EVSE")
    if one.stay_s <= 0:
        raise RowError("it leaves before it comes")
    if one.mean_power_w > 1000.0 * MOST_KW:
        raise RowError(f"{one.energy_wh / 1000:g} kWh within {one.stay_s:.0f} s cannot be")
    if one.stated_departure_wall_s is not None and one.stated_departure_wall_s <= one.arrival_wall_s:
        return replace(one, stated_departure_wall_s=None)
    return one


def _stay(row: Mapping[str, str], zone: ZoneInfo) -> tuple[float, float]:
    return _moment(row, "arrival", zone), _moment(row, "departure", zone)


def _moment(row: Mapping[str, str], name: str, zone: ZoneInfo) -> float:
    text = row.get(name) or ""
    try:
        moment = datetime.fromisoformat(year_first(text))
        return (moment if moment.tzinfo is not None else moment.replace(tzinfo=zone)).timestamp()
    except (ValueError, OverflowError):
        raise RowError(f"{name} is {text!r}, not a time such as 2026-03-01T07:30:00+01:00 or 01.03.2026 07:30") from None


def _number(row: Mapping[str, str], name: str, least: float, most: float) -> float:
    text = row.get(name) or ""
    try:
        value = float(text)
    except ValueError:
        raise RowError(f"{name} is {text!r}, not a number") from None
    if not math.isfinite(value) or not least <= value <= most:
        raise RowError(f"{name} is {text}, not between {least:g} and {most:g}")
    return value


def _optional(row: Mapping[str, str], name: str, most: float) -> float | None:
    return _number(row, name, 0.0, most) if row.get(name) else None


def _kilo(row: Mapping[str, str], name: str, most: float) -> float | None:
    value = _optional(row, name, most)
    return None if value is None else 1000.0 * value


def _shown(problems: Sequence[str], source: str) -> Iterator[str]:
    yield from problems[:SHOWN_PROBLEMS]
    if len(problems) > SHOWN_PROBLEMS:
        yield f"{source}: {len(problems) - SHOWN_PROBLEMS} more rows left out"
