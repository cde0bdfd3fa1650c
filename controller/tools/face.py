"""``yardmaster face``: shows which CSMS each station has, and gives stations to another one while the site runs."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from typing import Any

from controller.tools import client
from controller.tools.client import Controller, ToolError

EPILOG = """\
A station changes when it charges nobody and no message waits for the CSMS it has; until then that one stays. No session
is cut and no message is lost or told twice. What is said here holds until the site file names another upstream for the station.

Examples:
  yardmaster face                        who has which CSMS, and what still waits
  yardmaster face depot                  give every station to the upstream "depot"
  yardmaster face depot CP1 CP2          only these
  yardmaster face --as-configured CP1    back to what the site file says
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's own arguments."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EPILOG
    parser.add_argument("names", nargs="*", metavar="UPSTREAM [STATION ...]", help="id of a primary upstream, and the stations; none: all")
    parser.add_argument("--as-configured", action="store_true", help="back to what the site file says; all names are stations then")
    parser.add_argument("--json", action="store_true", help="print what GET /api/v1/faces answers")
    client.add_arguments(parser)


def main(arguments: argparse.Namespace) -> int:
    """Run the command; the exit code."""
    try:
        controller = client.connect(arguments)
        if arguments.names or arguments.as_configured:
            upstream, stations = (None, arguments.names) if arguments.as_configured else (arguments.names[0], arguments.names[1:])
            _change(controller, upstream, stations)
        answer = controller.get("faces")
    except ToolError as error:
        print(f"yardmaster: {error}", file=sys.stderr)
        return 1
    print(json.dumps(answer, indent=2, ensure_ascii=False) if arguments.json else "\n".join(_lines(answer)))
    return 0


def _change(controller: Controller, upstream: str | None, stations: list[str]) -> None:
    everybody: list[str | None] = [None]
    for station in stations or everybody:
        controller.post("faces", {"station": station, "upstream": upstream})


def _lines(answer: dict[str, Any]) -> Iterator[str]:
    if not answer["stations"]:
        yield "this site has no stations"
    for move in answer["stations"]:
        yield f"{move['station_id']:<20} {move['current'] or 'no CSMS'}{_rest(move)}"
    for face in answer["faces"]:
        if face["kind"] == "depot":
            trouble = f" ({face['trouble']})" if face["trouble"] else ""
            yield f"depot {face['identity']} at {face['upstream_id']}: {face['state']}{', ' + face['version'] if face['version'] else ''}{trouble}"


def _rest(move: dict[str, Any]) -> str:
    said = " (said by the operator)" if move["by_operator"] else ""
    if move["current"] == move["wished"]:
        return said
    waits = f", waits: {move['waits_for']}" if move["waits_for"] else ""
    return f" -> {move['wished'] or 'no CSMS'}{said}{waits}"
