"""``yardmaster status``: how a running controller is: grid, stations, limits now and announced, and what is not well."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from datetime import datetime, tzinfo
from typing import Any, Final

from controller.tools import client
from controller.tools.signals_show import zone_of

KINDS: Final = {
    "import": "import",
    "loads": "chargers and battery",
    "feed_in": "feed-in",
    "generation": "inverters and battery",
    "giving": "giving back",
}
STATES: Final = {"failsafe": "failsafe: the source is silent", "waiting": "failsafe: nothing was said yet", "announced": "announced"}
OBEYED: Final = {True: "obeyed", False: "EXCEEDED", None: ""}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``status``."""
    parser.add_argument("--json", action="store_true", help="print the whole state as JSON")
    client.add_arguments(parser)


def main(arguments: argparse.Namespace) -> int:
    """Print how it is; 1 when nobody could be asked."""
    try:
        state = client.connect(arguments).get("state")
    except client.ToolError as error:
        print(f"yardmaster: {error}", file=sys.stderr)
        return 1
    print(json.dumps(state, indent=2, ensure_ascii=False) if arguments.json else text(state))
    return 0


def text(state: Mapping[str, Any]) -> str:
    """A few lines about a state as ``GET /api/v1/state`` answers it."""
    site = state["site"]
    grid, links = site["grid"], state["links"]
    amps = " / ".join("?" if value is None else f"{value:.1f}" for value in grid["current_a"][: grid["phases"]])
    lines = [
        f"{state['site_name']} ({state['site_id']}), version {state['version']}",
        f"mode      {site['mode']}" + (f": {site['mode_reason']}" if site["mode_reason"] else ""),
        f"grid      {amps} A of {grid['fuse_a']:g} A per phase",
        *_limit_lines(site.get("bounds", ()), zone_of(state.get("timezone", "UTC"))),
        f"stations  {sum(link['online'] for link in links)} of {len(links)} online, {sum(link['queued'] for link in links)} messages queued",
    ]
    lines += [f"  {evse['id']:<20} {evse['state']:<12} {_amps(evse['limit_a'])}  {evse['reason']}".rstrip() for evse in site["evses"]]
    lines += [line for face in state["faces"] if face["kind"] == "depot" for line in _depot_lines(face)]
    lines += [f"source    {source['name']}: {source['health']}, {source['detail']}" for source in site["sources"] if source["health"] != "good"]
    return "\n".join(lines)


def _limit_lines(bounds: Any, zone: tzinfo) -> Iterator[str]:
    """One line for each limit that holds or is announced: what, how much, whose, until when, obeyed or not."""
    for one in bounds:
        what = KINDS.get(one["kind"], one["kind"]) + ("" if one["circuit"] == "grid" else f" of {one['circuit']}")
        most = f"{one['power_w'] / 1000:.1f} kW" if one["current_a"] is None else f"{one['current_a']:g} A per phase"
        measured = f"{one['measured_w'] / 1000:.1f} kW measured" if one["measured_w"] is not None else ""
        source = f"{one['source']} ({one['words']})" if one["words"] else one["source"]
        parts = [source, STATES.get(one["state"], ""), measured, OBEYED[one["obeyed"]], _times(one, zone)]
        yield f"limit     {what} at most {most}: {', '.join(filter(None, parts))}"


def _times(one: Mapping[str, Any], zone: tzinfo) -> str:
    begins, ends = (f"{datetime.fromtimestamp(at, zone):%a %H:%M}" if at is not None else "" for at in (one["begins_wall_s"], one["ends_wall_s"]))
    if begins:
        return f"{begins} to {ends}" if ends else f"from {begins} on"
    return f"until {ends}" if ends else ""


def _depot_lines(face: Mapping[str, Any]) -> list[str]:
    """The site as the one station its CSMS sees."""
    known = "accepted" if face["accepted"] else "not accepted yet" if face["state"] == "open" else face["state"]
    waiting = ", ".join(f"{count} {rank}" for rank, count in face["ranks"] if count) or "nothing"
    version = f" with {face['version']}" if face["version"] else ""
    lines = [f"as one    {face['identity']} at {face['upstream_id']}: {known}{version}, waiting: {waiting}"]
    lines += [f"          {face['trouble']}"] if face["trouble"] else []
    for number in face["numbers"]:
        charger = f"{number['station_id']}/{number['evse_id']}"
        gone = "" if number["configured"] else "  not part of it now"
        lines.append(f"  EVSE {number['number']:<4} {charger:<20} {' '.join(number['states']) or 'unknown'}{gone}")
    return lines


def _amps(limit_a: float | None) -> str:
    return "   no limit" if limit_a is None else f"{limit_a:9.1f} A"
