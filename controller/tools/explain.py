"""``yardmaster explain``: what held cars back lately and what it cost, for people."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from typing import Any

from controller.tools import client
from controller.tools.client import ToolError

BAR = 14


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's own arguments."""
    parser.add_argument("--json", action="store_true", help="print what GET /api/v1/explain answers")
    client.add_arguments(parser)


def main(arguments: argparse.Namespace) -> int:
    """Run the command; the exit code."""
    try:
        answer = client.connect(arguments).get("explain")
    except ToolError as error:
        print(f"yardmaster: {error}", file=sys.stderr)
        return 1
    print(json.dumps(answer, indent=2, ensure_ascii=False) if arguments.json else text(answer))
    return 0


def text(answer: dict[str, Any]) -> str:
    """The answer of the API as lines for a terminal."""
    return "\n".join(_lines(answer))


def _lines(answer: dict[str, Any]) -> Iterator[str]:
    yield from answer["sentences"]
    if not answer["limits"]:
        return
    money = answer["currency"]
    yield ""
    yield f"{'Limit':<28}{'held back, h':>14}{'':>12}{'cost, ' + money:>24}{'':>12}{'more saves':>16}"
    yield f"{'':<28}{'7 days':>14}{'30 days':>12}{'7 days':>24}{'30 days':>12}{'7 days':>16}"
    for one in answer["limits"]:
        week, month = one["week"], one["month"]
        if one["where"] == "peak":  # its price is no loss: it is what charging moved for
            yield f"{one['name']:<28.28}{week['bound_s'] / 3600:>14.1f}{month['bound_s'] / 3600:>12.1f}{'-':>24}{'-':>12}{'-':>16}"
            continue
        more = f"{week['saved_by_more']:.2f}/{one['more']:g} {one['unit']}"
        hours = f"{week['bound_s'] / 3600:>14.1f}{month['bound_s'] / 3600:>12.1f}"
        yield f"{one['name']:<28.28}{hours}{week['cost']:>24.2f}{month['cost']:>12.2f}{more:>16}"
