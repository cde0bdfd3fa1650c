"""``yardmaster compliance FILE``: the record that limits from outside were received and obeyed, as a table or as CSV.

Reads the file beside a running controller; nothing is changed.
"""

from __future__ import annotations

import argparse
import itertools
import sqlite3
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

EPILOG = """\
examples:
  yardmaster compliance site.yaml
  yardmaster compliance site.yaml --source dso --from 2026-11-01 --to 2026-12-01 --csv > november.csv
"""
BLOCK = 1000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the verb."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EPILOG
    parser.add_argument("file", type=Path, help="the site's configuration, e.g. site.yaml")
    parser.add_argument("--source", help="only of this source, as it is called in the site file")
    parser.add_argument("--from", dest="since", type=_moment, default=0.0, metavar="TIME", help="first moment: ISO 8601, UTC unless it has a zone")
    parser.add_argument("--to", dest="until", type=_moment, default=253_402_300_799.0, metavar="TIME", help="last moment")
    parser.add_argument("--csv", action="store_true", help="as CSV with all columns, for a spreadsheet or the grid operator")


def main(arguments: argparse.Namespace) -> int:
    """Print the record. Exit code 1 where there is none."""
    from controller.check import ConfigError, load_config
    from controller.io.compliance import FILE, csv_text, read_only

    try:
        path = load_config(arguments.file).data_dir / FILE
        lines = read_only(path, arguments.source, arguments.since, arguments.until)
        header, found = True, 0
        while (block := list(itertools.islice(lines, BLOCK))) or header:
            text: Iterable[str] = [csv_text(block, header)] if arguments.csv else (_row(line) for line in block)
            for piece in text:
                sys.stdout.write(piece)
            header, found = False, found + len(block)
        if not found:
            print("yardmaster: no lines of this source and time are in the record", file=sys.stderr)
    except ConfigError as error:
        print(error.text(), file=sys.stderr)
        return 1
    except FileNotFoundError as error:
        print(f"yardmaster: there is no compliance record yet ({error}); it begins with the first limit from outside", file=sys.stderr)
        return 1
    except sqlite3.Error as error:
        print(f"yardmaster: the compliance record cannot be read: {error}", file=sys.stderr)
        return 1
    return 0


def _row(line: object) -> str:
    from controller.io.compliance import Line

    assert isinstance(line, Line)
    moment = datetime.fromtimestamp(line.wall_s, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    limit = "no limit" if line.limit_w is None else f"limit {line.limit_w:.0f} W"
    measured = "" if line.measured_w is None else f"measured {line.measured_w:.0f} W"
    head = f"{moment}  {line.source:<16} {line.direction:<11} {line.circuit:<10} {line.event:<12}"
    return f"{head} {limit:<16} {measured:<18} {line.detail}".rstrip() + "\n"


def _moment(text: str) -> float:
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no moment; write for example 2026-11-20 or 2026-11-20T08:00:00Z") from None
    return (parsed if parsed.tzinfo is not None else parsed.replace(tzinfo=UTC)).timestamp()
