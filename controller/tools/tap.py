"""``yardmaster tap``: watch OCPP frames as they pass a running controller, and record them."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from controller.tools import client
from controller.tools.client import Controller, ToolError
from controller.tools.lines import Lines, second_half
from controller.tools.transcript import TranscriptWriter

EPILOG = """\
What each column says:
  who speaks to Yardmaster (station →, csms →) or to whom it speaks (→ station, → csms), the kind of message,
  its action (for an answer that of the message it answers), the head of its id, and what Yardmaster did:
    relayed      went on as it came, byte for byte     held         kept on disk for a CSMS that is away
    changed      went on with another content          waits        will go on when the line is free
    answered     answered by Yardmaster itself         intercepted  a CSMS's command answered by Yardmaster
    ours         Yardmaster's own message              dropped      nobody waits for it
    translated   went on (or came) in other words: another OCPP version, or the depot as one station

A message that is relayed at once is one line; --all shows it on both legs. What is translated is two lines: the station's
words and the CSMS's. Those of a depot stand under the depot's identity.
Passwords and keys are shown as *** and never leave the controller.

Examples:
  yardmaster tap                                        everything
  yardmaster tap CP1 --action MeterValues --action TransactionEvent
  yardmaster tap --leg csms --direction down            what the CSMS asks for
  yardmaster tap --config site.yaml --record today.jsonl --quiet
  yardmaster tap --json --for 60 | jq .action
"""


class _OverError(Exception):
    """The time that was asked for has passed."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's own arguments."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EPILOG
    parser.add_argument("station", nargs="?", metavar="STATION", help="only this station, or the depot of this identity (default: all)")
    parser.add_argument("--action", action="append", default=[], metavar="ACTION", help="only this action and its answers; may be repeated")
    parser.add_argument("--direction", choices=("up", "down"), help="up: from the station towards the CSMS; down: the other way")
    parser.add_argument("--leg", metavar="LEG", help="only this connection: station, csms or mirror:ID")
    show = parser.add_argument_group("what to print")
    show.add_argument("--json", action="store_true", help="print records as JSON, one a line, both legs")
    show.add_argument("--all", action="store_true", help="also the second half of what is relayed at once")
    show.add_argument("--full", action="store_true", help="do not cut lines at the terminal's width")
    show.add_argument("--no-color", action="store_true", help="no colours (they are off without a terminal, and with NO_COLOR)")
    keep = parser.add_argument_group("recording")
    keep.add_argument("--record", type=Path, metavar="FILE", help="also write a transcript, for `yardmaster replay`; both legs")
    keep.add_argument("--quiet", action="store_true", help="print nothing; with --record")
    parser.add_argument("--for", dest="for_s", type=_seconds, metavar="SECONDS", help="end after so many seconds (default: Ctrl-C ends it)")
    parser.add_argument("--count", type=_count, metavar="N", help="end after so many records")
    client.add_arguments(parser)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.0 < value <= 366 * 86_400:
        raise argparse.ArgumentTypeError("must be a number of seconds above 0")
    return value


def _count(text: str) -> int:
    if not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError("must be a whole number above 0")
    return int(text)


def main(arguments: argparse.Namespace) -> int:
    """Watch until Ctrl-C or the asked-for end; the exit code."""
    try:
        return _watch(arguments)
    except ToolError as error:
        print(f"yardmaster: {error}", file=sys.stderr)
        return 1


def _watch(arguments: argparse.Namespace) -> int:
    controller = client.connect(arguments)
    writer = TranscriptWriter(arguments.record) if arguments.record is not None else None
    printer = _Printer(arguments, sys.stdout)
    try:
        with _ends_after(arguments.for_s):
            return _follow(controller, arguments, printer, writer)
    except (_OverError, KeyboardInterrupt):
        return 0
    finally:
        if writer is not None:
            writer.close()
            print(f"{writer.records} records in {writer.path}", file=sys.stderr)


def _follow(controller: Controller, arguments: argparse.Namespace, printer: _Printer, writer: TranscriptWriter | None) -> int:
    seen = 0
    for event in controller.events("tap", **_query(arguments)):
        if event.name == "start":
            if writer is not None:
                writer.header(event.data)
            printer.start(event.data, controller.url)
            continue
        if writer is not None:
            writer.record(event.data)  # before it is shown: what was seen is in the file, whenever Ctrl-C comes
        printer.record(event.data)
        seen += 1
        if arguments.count is not None and seen >= arguments.count:
            return 0
    raise ToolError(f"the controller at {controller.url} ended the connection; it was stopped or restarts")


def _query(arguments: argparse.Namespace) -> dict[str, Any]:
    return {
        "station": arguments.station,
        "action": ",".join(arguments.action) or None,
        "direction": arguments.direction,
        "leg": arguments.leg,
    }


class _Printer:
    """What goes to the terminal."""

    def __init__(self, arguments: argparse.Namespace, out: TextIO) -> None:
        self._out = out
        self._json = arguments.json
        self._quiet = arguments.quiet
        self._both = arguments.all or arguments.leg is not None
        terminal = out.isatty()
        width = shutil.get_terminal_size().columns if terminal and not arguments.full else None
        color = terminal and not arguments.no_color and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
        self._lines = Lines(color=color, width=width)
        reconfigure = getattr(out, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")

    def start(self, start: dict[str, Any], url: str) -> None:
        """The tap is open."""
        online = sum(bool(station.get("online")) for station in start.get("stations", []))
        print(f"watching {start.get('site', '?')} at {url}, {online} stations online; Ctrl-C ends", file=sys.stderr, flush=True)

    def record(self, record: dict[str, Any]) -> None:
        """One record, or none of it if it only repeats."""
        if self._quiet or (not self._json and not self._both and second_half(record)):
            return
        text = json.dumps(record, separators=(",", ":")) if self._json else self._lines.line(record)
        print(text, file=self._out, flush=True)


@contextmanager
def _ends_after(seconds: float | None) -> Iterator[None]:
    """Raises _OverError inside after so many seconds, even in the middle of waiting for the controller."""

    def over(*_: object) -> None:
        raise _OverError

    if seconds is None:
        yield
        return
    before = signal.signal(signal.SIGALRM, over)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
