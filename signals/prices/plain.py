"""Series in plain JSON or CSV: files, MQTT payloads, and whatever a server on the web calls its keys.

JSON: a list of objects somewhere in the document, each with a begin and a value, maybe an end; rows may also be lists [start, value] or [start,
end, value]. CSV: a head that names start, end and value, or none at all. Without ends a slot goes until the next begin, so gaps need ends,
or an entry whose value is null (empty in CSV). Values are multiplied by ``scale``.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, tzinfo
from typing import Any

from signals.prices import awattar, energy_charts, entsoe, nordpool, tibber
from signals.prices.json_text import at_path, list_of, read_json
from signals.prices.moments import Moments
from signals.prices.slots import PriceError, Slot, Slots, chained, number, scaled, shown, tidy

START_NAMES = ("start", "begin", "from", "time", "timestamp", "datetime", "date", "start_wall_s")
END_NAMES = ("end", "to", "until", "stop", "end_wall_s")
VALUE_NAMES = ("value", "price", "power", "power_w", "co2", "w")
DELIMITERS = ",;\t"
LIST_NAMES = ("slots", "prices", "items", "data", "values")


@dataclass(frozen=True, slots=True)
class Keys:
    """Where begin, end (None: there is none) and value of an entry are; each may be a path such as "price.total"."""

    start: str = "start"
    end: str | None = None
    value: str = "value"


def decode_json(body: bytes, items: str = "", keys: Keys | None = None, scale: float = 1.0, zone: tzinfo = UTC) -> Slots:
    """The series of a JSON document. items: path of the list. zone: of times without an offset. Raises PriceError."""
    return scaled(tidy(_slots(list_of(at_path(read_json(body), items), items or "the answer"), keys or Keys(), zone)), scale)


def decode_payload(body: bytes, scale: float = 1.0, zone: tzinfo = UTC) -> Slots:
    """An MQTT payload: {"slots": [{"start", "end", "value"}]}, or the list alone. Raises PriceError."""
    told = read_json(body, "the payload")
    rows = told.get("slots") if isinstance(told, dict) else told
    return scaled(tidy(_slots(list_of(rows, "slots"), Keys(end="end"), zone, loose=True)), scale)


def decode_file(body: bytes, scale: float = 1.0, zone: tzinfo = UTC, area: str | None = None, currency: str | None = None) -> Slots:
    """A file: CSV, JSON with start and value, or what one of the feeds has answered. currency: what the tariff is in. Raises PriceError."""
    begin = body.lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
    if not begin:
        raise PriceError("the file is empty")
    if begin == b"<":
        return scaled(entsoe.decode(body, currency), scale)
    if begin not in (b"{", b"["):
        return decode_csv(body, scale, zone)
    told = read_json(body, "the file")
    if isinstance(told, dict):
        if (feed := _feed_of(told)) is not None:
            return scaled(feed(body, area, currency), scale)
        told = next((told[name] for name in LIST_NAMES if isinstance(told.get(name), list)), told)
    return scaled(tidy(_slots(list_of(told, "the file"), Keys(end="end"), zone, loose=True)), scale)


def _feed_of(told: dict[str, Any]) -> Callable[[bytes, str | None, str | None], Slots] | None:
    """Which feed has answered this, by what only its answers have."""
    data = told.get("data")
    if isinstance(data, dict) and "viewer" in data:
        return lambda body, _area, currency: tibber.decode(body, None, currency)
    if told.get("object") == "list":
        return lambda body, _area, currency: awattar.decode(body, currency)
    if "multiAreaEntries" in told:
        return _nordpool
    return (lambda body, _area, currency: energy_charts.decode(body, currency)) if "unix_seconds" in told else None


def _nordpool(body: bytes, area: str | None, currency: str | None) -> Slots:
    entries = list_of(at_path(read_json(body), "multiAreaEntries"), "multiAreaEntries")
    told = [entry.get("entryPerArea") for entry in entries if isinstance(entry, dict)]
    areas = sorted({name for prices in told if isinstance(prices, dict) for name in prices})
    if area is None and len(areas) != 1:
        raise PriceError(f"the file has prices of {', '.join(areas) or 'no area'}; keep one area in it")
    return nordpool.decode(body, area or areas[0], currency)


# -- rows ------------------------------------------------------------------------------------------------


def _slots(rows: Sequence[Any], keys: Keys, zone: tzinfo, loose: bool = False) -> list[Slot]:
    """loose: an end may be missing in some entries, and rows may be lists."""
    starts, ends = Moments(zone), Moments(zone)
    triples: list[tuple[float, float | None, float | None]] = []
    for index, row in enumerate(rows):
        start, end, value = _cells(row, keys, f"entry {index}", loose)
        begins_s = starts.read(start, f"the start of entry {index}")
        ends_s = None if end is None else ends.read(end, f"the end of entry {index}")
        triples.append((begins_s, ends_s, None if value is None else number(value, f"the value of entry {index}")))
    return _closed(triples)


def _closed(triples: Iterable[tuple[float, float | None, float | None]]) -> list[Slot]:
    """Slots that have ends as they are; the others until the next begin of any."""
    triples = list(triples)
    opens = {start_s for start_s, end_s, _ in triples if end_s is None}
    slots = [Slot(start_s, end_s, value) for start_s, end_s, value in triples if end_s is not None and value is not None]
    if opens:
        all_starts = [(start_s, value) for start_s, _, value in triples]
        slots += [slot for slot in chained(all_starts) if slot.start_wall_s in opens]
    return slots


def _cells(row: Any, keys: Keys, what: str, loose: bool) -> tuple[Any, Any, Any]:
    if isinstance(row, list):
        if len(row) == 2:
            return row[0], None, row[1]
        if len(row) == 3:
            return row[0], row[1], row[2]
        raise PriceError(f"{what} is {shown(row)}; write [start, value] or [start, end, value]")
    if not isinstance(row, dict):
        raise PriceError(f"{what} is {shown(row)}, neither an object nor a list")
    start, value = at_path(row, keys.start, what), at_path(row, keys.value, what)
    if keys.end is None or (loose and keys.end not in row):
        return start, None, value
    return start, at_path(row, keys.end, what), value


# -- CSV ---------------------------------------------------------------------------------------------------


def decode_csv(body: bytes, scale: float = 1.0, zone: tzinfo = UTC) -> Slots:
    """A CSV with a head (start, value; start, end, value) or without one. Raises PriceError with the line."""
    try:
        text = body.decode("utf-8-sig")
        delimiter = max(DELIMITERS, key=text.split("\n", 1)[0].count)
        reader = csv.reader(text.splitlines(), delimiter=delimiter)
        rows = [(line, row) for line, row in enumerate(reader, 1) if any(cell.strip() for cell in row)]
    except (UnicodeDecodeError, csv.Error) as error:
        raise PriceError(f"the file is no CSV in UTF-8: {str(error)[:80]}") from None
    if not rows:
        raise PriceError("the file holds no rows")
    (start, end, value), headed = _columns([cell.strip().lower() for cell in rows[0][1]])
    starts, ends = Moments(zone), Moments(zone)
    triples = []
    for line, row in rows[1:] if headed else rows:
        if len(row) <= max(start, value, end or 0):
            raise PriceError(f"line {line} has {len(row)} columns, {max(start, value, end or 0) + 1} are needed")
        begins_s = starts.read(row[start].strip(), f"the start in line {line}")
        ends_s = ends.read(row[end].strip(), f"the end in line {line}") if end is not None and row[end].strip() else None
        cell = row[value].strip()
        triples.append((begins_s, ends_s, number(_point(cell, delimiter), f"the value in line {line}") if cell else None))
    return scaled(tidy(_closed(triples)), scale)


def _point(cell: str, delimiter: str) -> str:
    """A decimal comma is one where commas part no columns."""
    return cell.replace(",", ".") if delimiter != "," and cell.count(",") == 1 and "." not in cell else cell


def _columns(head: list[str]) -> tuple[tuple[int, int | None, int], bool]:
    """Columns of start, end and value, and whether the first row is a head."""
    if not any(name in START_NAMES for name in head):
        try:
            Moments().read(head[0].upper())
        except PriceError:
            raise PriceError(f"the first row is {shown(', '.join(head))}; name the columns start, value or start, end, value") from None
        if len(head) not in (2, 3):
            raise PriceError("without a head a row is start, value or start, end, value")
        return ((0, None, 1) if len(head) == 2 else (0, 1, 2)), False
    start = next(index for index, name in enumerate(head) if name in START_NAMES)
    end = next((index for index, name in enumerate(head) if name in END_NAMES), None)
    value = next((index for index, name in enumerate(head) if name in VALUE_NAMES), None)
    if value is None:
        others = [index for index in range(len(head)) if index not in (start, end)]
        if len(others) != 1:
            raise PriceError(f"the head {shown(', '.join(head))} names no column value")
        value = others[0]
    return (start, end, value), True
