"""``yardmaster signals show``: what each source of limits says now, asked of a running controller, for people."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from controller.tools import client
from controller.tools.client import ToolError

STATES: Final = {
    "waiting": "has said nothing yet, its failsafe holds",
    "unlimited": "says there is no limit",
    "limited": "limits",
    "failsafe": "is silent, its failsafe holds",
    "released": "is back and has stated no limit: free",
    "silent": "has said nothing, and there is no failsafe",
}
WELL: Final = frozenset({"unlimited", "limited", "released"})
UNWELL: Final = 2
"""Exit code when a source is silent or in trouble."""


def main(arguments: argparse.Namespace) -> int:
    """Print what the sources say; 0 all are well, 2 one is not, 1 nobody could be asked."""
    try:
        state = _controller(arguments).get("state")
    except ToolError as error:
        print(f"yardmaster: {error}", file=sys.stderr)
        return 1
    signals = state["site"]["signals"]
    if arguments.json:
        print(json.dumps(signals, indent=2, ensure_ascii=False))
    else:
        print(text(state) if signals else "this site has no signals: nobody outside may hold it down (deploy/signals.md)")
    return 0 if all(map(_is_well, signals)) else UNWELL


def _controller(arguments: argparse.Namespace) -> client.Controller:
    """Where an address leads, or a site file; without either the usual address. Raises ToolError."""
    where = arguments.file
    is_file = where is not None and "://" not in where
    named = argparse.Namespace(url=None if is_file else where, config=Path(where) if is_file else None, token_file=arguments.token_file)
    return client.connect(named)


def _is_well(signal: Mapping[str, Any]) -> bool:
    return signal["state"] in WELL and not signal["trouble"]


def text(state: Mapping[str, Any]) -> str:
    """All sources as lines for a terminal."""
    site, zone = state["site"], zone_of(state.get("timezone", "UTC"))
    details = {source["name"]: source["detail"] for source in site["sources"] if source["health"] != "off"}
    return "\n\n".join("\n".join(_lines(signal, details.get(signal["id"], ""), zone)) for signal in site["signals"])


def _lines(signal: Mapping[str, Any], detail: str, zone: tzinfo) -> Iterator[str]:
    yield f"{signal['id']} ({signal['kind']}) {STATES.get(signal['state'], signal['state'])}{' and holds the site now' if signal['binds'] else ''}"
    for what, words in _limits(signal, zone):
        yield f"  {what:<12} {words}"
    if signal["measured_w"] is not None:
        yield f"  {'measured':<12} {_kw(signal['measured_w'])}"
    if signal["next"]:
        yield f"  {'events':<12} {signal['next']}"
    yield f"  {'heard':<12} {'never' if signal['heard_s'] is None else _ago(signal['heard_s'])}{f'; {detail}' if detail else ''}"
    if signal["trouble"]:
        yield f"  {'trouble':<12} {signal['trouble']}"


def _limits(signal: Mapping[str, Any], zone: tzinfo) -> Iterator[tuple[str, str]]:
    where = f"chargers and battery below {signal['circuit']}" if signal["controllable"] else f"import of {signal['circuit']}"
    if signal["limit_w"] is not None:
        yield "import" if not signal["controllable"] else "loads", f"{where}: at most {_kw(signal['limit_w'])}{_until(signal['ends_wall_s'], zone)}"
    if signal["production_limit_w"] is not None:
        yield "feed-in", f"at most {_kw(signal['production_limit_w'])}{_until(signal['production_ends_wall_s'], zone)}"
    if signal.get("load_limit_w") is not None:
        yield "loads", f"chargers and battery together: at most {_kw(signal['load_limit_w'])}"
    if signal.get("generation_limit_w") is not None:
        yield "generation", f"inverters and battery together: at most {_kw(signal['generation_limit_w'])}"


def _kw(watts: float) -> str:
    return f"{watts / 1000:.1f} kW"


def _until(wall_s: float | None, zone: tzinfo) -> str:
    return f" until {datetime.fromtimestamp(wall_s, zone):%Y-%m-%d %H:%M:%S}" if wall_s is not None else ", no end is known"


def _ago(seconds: float) -> str:
    return f"{seconds:.0f} s ago" if seconds < 600 else f"{seconds / 60:.0f} min ago" if seconds < 36_000 else f"{seconds / 3600:.0f} h ago"


def zone_of(name: str) -> tzinfo:
    """A site's time zone; UTC where this machine does not know it."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return UTC
