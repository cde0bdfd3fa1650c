"""``yardmaster queue``: what waits for the CSMS, what was given up, and what to do about it.

Asks the running controller. When none runs and the site file is named, reads its data folder instead, without
changing anything in it.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol, TextIO

from controller.io.api.queue import Page, QueueReader, Row
from controller.io.clock import Clock
from controller.io.journal.rows import JournalError
from controller.tools import client
from controller.tools.client import Controller, NoControllerError, ToolError
from controller.tools.lines import printable

PAGE_ROWS = 200

EPILOG = """\
Messages of charging sessions that the CSMS has not taken yet are kept on disk and go up by themselves, in order. A
message it refuses again and again is parked: kept, but no longer sent. Find out why (the event log names the error),
then hand it to the CSMS's operator (--export) or send it again (--requeue).

Examples:
  yardmaster queue                                  how much waits, per station
  yardmaster queue --station CP1                    what waits of one station, per charging session
  yardmaster queue --parked                         what was given up
  yardmaster queue --export parked.jsonl            write it into a file, one JSON object a line; - for the terminal
  yardmaster queue --requeue 17 --requeue 18        send these again; --requeue all for everything
  yardmaster queue --config site.yaml               works too when the controller is stopped; it only reads
"""


class Source(Protocol):
    """Where the answers come from: the controller, or its data folder."""

    def stations(self, after: str = "", limit: int = 100) -> Page:
        """See ``QueueReader``."""
        ...

    def transactions(self, station_id: str, after: int = 0, limit: int = 100) -> Page:
        """See ``QueueReader``."""
        ...

    def parked(self, station_id: str = "", after: int = 0, limit: int = 100) -> Page:
        """See ``QueueReader``."""
        ...


class _Asked:
    """The running controller as a source."""

    def __init__(self, controller: Controller) -> None:
        self._controller = controller

    def stations(self, after: str = "", limit: int = 100) -> Page:
        answer = self._controller.get("queue", after=after or None, limit=limit)
        return Page(answer["stations"], answer["next"])

    def transactions(self, station_id: str, after: int = 0, limit: int = 100) -> Page:
        answer = self._controller.get(f"queue/{station_id}", after=after, limit=limit)
        return Page(answer["transactions"], answer["next"])

    def parked(self, station_id: str = "", after: int = 0, limit: int = 100) -> Page:
        answer = self._controller.get("parked", station=station_id or None, after=after, limit=limit)
        return Page(answer["messages"], answer["next"])


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's own arguments."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EPILOG
    parser.add_argument("--station", metavar="STATION", help="only this station, in detail")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--parked", action="store_true", help="list messages that were given up")
    what.add_argument("--export", type=Path, metavar="FILE", help="write messages that were given up as JSON lines; - prints them")
    what.add_argument("--requeue", action="append", metavar="NUMBER", help="send a message that was given up again; may be repeated; or: all")
    parser.add_argument("--json", action="store_true", help="print JSON, one object a line")
    client.add_arguments(parser)


def main(arguments: argparse.Namespace) -> int:
    """Answer, or change; the exit code."""
    try:
        config = client.read_config(arguments.config) if arguments.config is not None else None
        controller = _reachable(arguments, config)
        if arguments.requeue:
            return _requeue(controller, arguments)
        return _show(_Asked(controller) if controller is not None else _folder(config), arguments)
    except (ToolError, JournalError) as error:
        print(f"yardmaster: {error}", file=sys.stderr)
        return 1


def _reachable(arguments: argparse.Namespace, config: Any) -> Controller | None:
    """The running controller; None when none runs and the site file tells where its data is."""
    try:
        controller = client.connect(arguments, config)
        controller.get("queue", limit=1)
    except NoControllerError as error:
        if config is None:
            raise ToolError(f"{error}; what a stopped one has kept is shown with --config site.yaml") from None
        if arguments.requeue:
            raise ToolError(f"messages are sent again by a running controller, and {error}") from None
        return None
    except ToolError:
        if config is not None and not config.api.port and arguments.url is None:
            return None
        raise
    return controller


def _folder(config: Any) -> QueueReader:
    reader = QueueReader(config.data_dir)
    if not reader.exists:
        raise ToolError(f"no controller runs, and there is no journal in {config.data_dir}; check data_dir of the site file")
    print(f"no controller runs; this is what {config.data_dir} holds", file=sys.stderr)
    return reader


# -- showing -------------------------------------------------------------------------------------------


def _show(source: Source, arguments: argparse.Namespace) -> int:
    if arguments.export is not None:
        return _export(source, arguments.export, arguments.station or "")
    now_wall_s = Clock().stamp().wall_s
    if arguments.parked:
        _print(_all_parked(source, arguments.station or ""), _parked_table, arguments.json, now_wall_s)
    elif arguments.station:
        _print(_all(lambda after: source.transactions(arguments.station, after or 0, PAGE_ROWS)), _transactions_table, arguments.json, now_wall_s)
    else:
        _print(_all(lambda after: source.stations(after or "", PAGE_ROWS)), _stations_table, arguments.json, now_wall_s)
    return 0


def _all(page_after: Any) -> Iterator[Row]:
    page = page_after(None)
    yield from page.rows
    while page.next is not None:
        page = page_after(page.next)
        yield from page.rows


def _all_parked(source: Source, station_id: str) -> Iterator[Row]:
    return _all(lambda after: source.parked(station_id, after or 0, PAGE_ROWS))


def _print(rows: Iterator[Row], table: Any, as_json: bool, now_wall_s: float) -> None:
    for line in (json.dumps(row, ensure_ascii=False) for row in rows) if as_json else table(rows, now_wall_s):
        print(line)


def _stations_table(rows: Iterator[Row], now_wall_s: float) -> Iterator[str]:
    queued = parked = 0
    for number, row in enumerate(rows):
        if not number:
            yield f"{'station':<20} {'waiting':>8} {'sessions':>8} {'oldest':>12} {'retries':>8} {'parked':>7}"
        queued, parked = queued + row["queued"], parked + row["parked"]
        oldest = _age(row["oldest_wall_s"], now_wall_s)
        yield f"{printable(row['station_id']):<20} {row['queued']:>8} {row['transactions']:>8} {oldest:>12} {row['attempts']:>8} {row['parked']:>7}"
    if not queued and not parked:
        yield "nothing waits for the CSMS, nothing was given up"
        return
    yield f"{queued} messages wait for the CSMS" + (f"; {parked} were given up, see --parked" if parked else "")


def _transactions_table(rows: Iterator[Row], now_wall_s: float) -> Iterator[str]:
    total = 0
    for row in rows:
        if not total:
            yield f"{'session':<38} {'waiting':>8} {'oldest':>12} {'newest':>12} {'retries':>8}"
        total += row["queued"]
        ages = f"{_age(row['oldest_wall_s'], now_wall_s):>12} {_age(row['newest_wall_s'], now_wall_s):>12}"
        yield f"{printable(row['transaction_id']) or '-':<38} {row['queued']:>8} {ages} {row['attempts']:>8}"
    yield f"{total} messages wait for the CSMS" if total else "nothing waits for the CSMS"


def _parked_table(rows: Iterator[Row], now_wall_s: float) -> Iterator[str]:
    total = 0
    for total, row in enumerate(rows, 1):
        if total == 1:
            yield f"{'number':>8} {'station':<20} {'session':<38} {'action':<26} {'age':>12} {'sent':>5}"
        names = f"{printable(row['station_id']):<20} {printable(row['transaction_id']) or '-':<38} {printable(row['action']):<26}"
        yield f"{row['number']:>8} {names} {_age(row['stored_wall_s'], now_wall_s):>12} {row['attempts']:>5}"
    yield f"{total} messages were given up" if total else "nothing was given up"


def _age(wall_s: float | None, now_wall_s: float) -> str:
    if wall_s is None:
        return "-"
    seconds = max(0, round(now_wall_s - wall_s))
    if seconds < 120:
        return f"{seconds} s"
    if seconds < 7200:
        return f"{seconds // 60} min"
    return f"{seconds // 3600} h {seconds % 3600 // 60:02} min" if seconds < 172_800 else f"{seconds // 86_400} days"


# -- export, requeue ---------------------------------------------------------------------------------------


def _export(source: Source, path: Path, station_id: str) -> int:
    rows = _all_parked(source, station_id)
    if str(path) == "-":
        count = _write(rows, sys.stdout)
    else:
        try:
            # They name drivers' cards: for the owner's eyes only.
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
                count = _write(rows, file)
        except FileExistsError:
            raise ToolError(f"{path} is there already; name another file, or remove it") from None
        except OSError as error:
            raise ToolError(f"{path} cannot be written ({error.strerror})") from None
    print(f"{count} messages that were given up" + ("" if str(path) == "-" else f" are in {path}; they stay in the queue, too"), file=sys.stderr)
    return 0


def _write(rows: Iterator[Row], file: TextIO) -> int:
    count = 0
    for row in rows:
        file.write(json.dumps(row, ensure_ascii=False) + "\n")
        count += 1
    return count


def _requeue(controller: Controller | None, arguments: argparse.Namespace) -> int:
    assert controller is not None, "refused before"
    body: dict[str, object] = {"station": arguments.station} if arguments.station else {}
    words: list[str] = arguments.requeue
    if words != ["all"]:
        wrong = [word for word in words if not word.isdigit()]
        if wrong:
            raise ToolError(f"{wrong[0]} is no number of a message; `yardmaster queue --parked` lists them, and `--requeue all` takes all")
        body["numbers"] = sorted({int(word) for word in words})
    answer = controller.post("parked/requeue", body)
    print(f"{answer['requeued']} messages go to the CSMS again" + ("; there are more, repeat the command" if answer["more"] else ""))
    return 0
