"""``yardmaster why STATION``: the chain of limits behind each EVSE's setpoint, for people."""

from __future__ import annotations

import argparse
import difflib
import json
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, tzinfo
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from controller.tools import client
from controller.tools.client import Controller, ToolError

BAR = 24


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's own arguments."""
    parser.add_argument("evse", metavar="STATION[/EVSE]", help="a station, e.g. CP1, or one of its EVSEs, e.g. CP1/2")
    parser.add_argument("--json", action="store_true", help="print what GET /api/v1/evses/STATION/EVSE/why answers")
    client.add_arguments(parser)


def main(arguments: argparse.Namespace) -> int:
    """Run the command; the exit code."""
    try:
        controller = client.connect(arguments)
        state = controller.get("state")
        answers = [_ask(controller, *key) for key in _meant(arguments.evse, state["site"]["evses"])]
    except ToolError as error:
        print(f"yardmaster: {error}", file=sys.stderr)
        return 1
    if arguments.json:
        print(json.dumps(answers if len(answers) != 1 else answers[0], indent=2, ensure_ascii=False))
        return 0
    zone = _zone(state.get("timezone", "UTC"))
    print("\n\n".join(text(answer, zone) for answer in answers))
    return 0


def _ask(controller: Controller, station_id: str, evse_id: int) -> Any:
    return controller.get(f"evses/{station_id}/{evse_id}/why")


def _meant(words: str, evses: Sequence[dict[str, Any]]) -> list[tuple[str, int]]:
    """The EVSEs a person means. Raises ToolError with the nearest names if there is none."""
    found = [(evse["station_id"], evse["evse_id"]) for evse in evses if words in (evse["id"], evse["station_id"], evse["name"])]
    if found:
        return found
    names = sorted({evse["id"] for evse in evses} | {evse["station_id"] for evse in evses})
    near = difflib.get_close_matches(words, names, 3) or names[:6]
    raise ToolError(f"this site has no {words!r}; did you mean {', '.join(near)}?" if near else "this site has no stations yet")


def text(why: dict[str, Any], zone: tzinfo = UTC) -> str:
    """The answer of the API as lines for a terminal."""
    return "\n".join(_lines(why, zone))


def _lines(why: dict[str, Any], zone: tzinfo) -> Iterator[str]:
    name = f" ({why['name']})" if why["name"] else ""
    yield f"{why['id']}{name}: {why['state']}, priority {why['priority']} = {why['priority_from']}"
    yield why["sentence"]
    if why["layers"]:
        yield "\nIts own limits, lowest first [A per phase]"
        yield from (_layer(layer, zone) for layer in why["layers"])
    if why["rows"]:
        yield "\nWhat it shares, tightest first [A]          carries   other  margin  booked  others    this    left"
        yield from (_row(row) for row in why["rows"])
    if why["profiles"]:
        yield "\nCharging profiles of the CSMS"
        yield from (_profile(profile) for profile in why["profiles"])
    if why["plan"]:
        yield "\nThe plan"
        yield from _plan(why["plan"], zone)
    yield "\nThe station"
    yield from (f"  {line}" for line in why["told"])


def _layer(layer: dict[str, Any], zone: tzinfo) -> str:
    end = f", until {_clock(layer['ends_wall_s'], zone)}" if layer["ends_wall_s"] is not None else ""
    return f"{_mark(layer)} {layer['limit_a']:7.1f}  {layer['what']} [{layer['source']}]{end}"


def _row(row: dict[str, Any]) -> str:
    """In amperes per phase; a limit in watts in kW."""
    per_a, unit = (1.0, "") if row.get("w_per_a") is None else (row["w_per_a"] / 1000.0, " [kW]")
    numbers = (per_a * row[key] for key in ("carries_a", "other_a", "margin_a", "booked_a", "others_a", "own_a", "left_a"))
    name = f"{row['what']} {row['phase']}".strip()
    return f"{_mark(row)} {name[: 41 - len(unit)] + unit:<41}" + "".join(f"{amps:8.1f}" for amps in numbers)


def _profile(profile: dict[str, Any]) -> str:
    limit = "no limit" if profile["limit_a"] is None else f"{profile['limit_a']:.1f} A"
    flow = f", setpoint {profile['setpoint_a']:.1f} A" if profile["setpoint_a"] is not None else ""
    idle = "" if profile["counts"] else " (another stands in for it)"
    which = f"profile {profile['profile_id']}, {profile['purpose']}, stack level {profile['stack_level']}"
    return f"{_mark(profile)} {which}: {limit}{flow}{idle}"


def _plan(steps: Sequence[dict[str, Any]], zone: tzinfo) -> Iterator[str]:
    most_w = max(abs(step["power_w"]) for step in steps) or 1.0
    for step in steps:
        bar = ("#" if step["power_w"] >= 0 else "<") * round(BAR * abs(step["power_w"]) / most_w)
        span = f"{_clock(step['start_wall_s'], zone)}-{_clock(step['end_wall_s'], zone)}"
        yield f"  {span}  {step['power_w'] / 1000:6.1f} kW {step['limit_a']:6.1f} A  {bar:<{BAR}}  {step['reason']}"


def _mark(entry: dict[str, Any]) -> str:
    return ">" if entry["binds"] else " "


def _clock(wall_s: float, zone: tzinfo) -> str:
    return datetime.fromtimestamp(wall_s, zone).strftime("%H:%M")


def _zone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return UTC
