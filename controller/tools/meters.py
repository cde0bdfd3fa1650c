"""``yardmaster meters``: find meters, read them, test them, record and replay their registers. Only ever reads."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Callable, Coroutine
from typing import Any

from controller.tools.client import ToolError, UsageError
from controller.tools.meters_read import add_arguments as add_read_arguments
from controller.tools.meters_read import run as read
from controller.tools.meters_record import add_arguments as add_record_arguments
from controller.tools.meters_record import run as record
from controller.tools.meters_replay import add_arguments as add_replay_arguments
from controller.tools.meters_replay import run as replay
from controller.tools.meters_scan import add_arguments as add_scan_arguments
from controller.tools.meters_scan import run as scan
from controller.tools.meters_test import add_arguments as add_test_arguments
from controller.tools.meters_test import run as test

EPILOG = """\
Nothing is ever written to a device. Some accept one client only (SolarEdge, Kostal, Huawei): stop the controller, or
whatever else talks to them, before you ask them from here.

Examples:
  yardmaster meters scan --host 192.168.1.20                          what answers there, and which map fits
  yardmaster meters scan --host 192.168.1.0/24 --port 502,1502        a whole network
  yardmaster meters scan --device /dev/ttyUSB0 --baud 9600,19200 --unit 1-16
  yardmaster meters read grid --config site.yaml                      one meter of the site, once
  yardmaster meters read --host 192.168.1.20 --map eastron_sdm630 --framing rtu_over_tcp --every 1
  yardmaster meters test grid --config site.yaml --seconds 60         how well it answers, whether its numbers can be right
  yardmaster meters record --host 192.168.1.20 --map abb_b23 --seconds 30 --out abb.json
  yardmaster meters replay abb.json --port 5020                       the recorded device, on this machine

yardmaster meters ACTION --help tells more.
"""

Run = Callable[[argparse.Namespace], Coroutine[Any, Any, int]]
ACTIONS: dict[str, tuple[str, Callable[[argparse.ArgumentParser], None], Run]] = {
    "scan": ("find what answers at addresses, unit ids or on a serial line, and which register map fits", add_scan_arguments, scan),
    "read": ("read one meter once or again and again", add_read_arguments, read),
    "test": ("read one meter for a while and say whether it can be relied on", add_test_arguments, test),
    "record": ("save a device's registers in a file", add_record_arguments, record),
    "replay": ("serve a recorded device over Modbus TCP", add_replay_arguments, replay),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's own arguments."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EPILOG
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for name, (text, add, _) in ACTIONS.items():
        add(actions.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.", formatter_class=argparse.RawDescriptionHelpFormatter))


def main(arguments: argparse.Namespace) -> int:
    """Do it; the exit code: 0 well, 1 not well or not possible, 2 wrong use."""
    try:
        return asyncio.run(ACTIONS[arguments.action][2](arguments))
    except UsageError as error:
        print(f"yardmaster: {error}\n(yardmaster meters {arguments.action} --help tells more, with examples)", file=sys.stderr)
        return 2
    except ToolError as error:
        print(f"yardmaster: {error}", file=sys.stderr)
        return 1
