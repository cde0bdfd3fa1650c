"""``yardmaster replay``: a recording once more through the engine, and what it does differently."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from controller.tools import client
from controller.tools.client import ToolError
from controller.tools.lines import Lines, printable
from controller.tools.transcript import Transcript, read_transcript

SHOWN = 50

EPILOG = """\
Plays what stations and CSMSs said in a recording (`yardmaster tap --record FILE`) to the same engine that runs in the
field, with the site file you name, in virtual time and without any connection; then compares what became of every
message. Nothing is sent anywhere, unless you say --to: then the stations' side is played to a running controller.

Yardmaster's own messages (limits, fallbacks) depend on meters and prices, which a recording does not hold: they are
counted, not compared one by one. A recording that begins in the middle of a charging session lacks its beginning.
Of stations that are translated, and of a depot as one station, what went on in other words is compared by content, but for
the ids that Yardmaster gives. EVSE numbers of a depot are those of the site file you name.

Exit code 0: every message was relayed, kept or answered as recorded, or differently without harm. 1: a message of a
station or CSMS would be lost, or would go on with another text; or the recording cannot be used.

Examples:
  yardmaster replay today.jsonl --config site.yaml
  yardmaster replay today.jsonl --config site.yaml --sent --station CP1
  yardmaster replay today.jsonl --config site.yaml --to ws://127.0.0.1:9000/ocpp --speed 10
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's own arguments."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EPILOG
    parser.add_argument("file", type=Path, metavar="FILE", help="the recording")
    parser.add_argument("--config", type=Path, required=True, metavar="SITE.YAML", help="the site file to play it with")
    parser.add_argument("--station", metavar="STATION", help="only this station")
    parser.add_argument("--sent", action="store_true", help="print everything Yardmaster sends in the replay, too")
    parser.add_argument("--all", action="store_true", help=f"print all differences, not only the first {SHOWN}")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")
    live = parser.add_argument_group("to a running controller")
    live.add_argument("--to", metavar="URL", help="play the stations' side as WebSocket clients, e.g. to ws://127.0.0.1:9000/ocpp")
    live.add_argument("--speed", type=_speed, default=1.0, metavar="N", help="so many times as fast as recorded (default: 1)")
    live.add_argument("--anywhere", action="store_true", help="--to may name another machine than this one")


def _speed(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.01 <= value <= 1000.0:
        raise argparse.ArgumentTypeError("must be a number from 0.01 to 1000")
    return value


def main(arguments: argparse.Namespace) -> int:
    """Play and compare; the exit code."""
    try:
        return _live(arguments) if arguments.to is not None else _replay(arguments)
    except ToolError as error:
        print(f"yardmaster: {error}", file=sys.stderr)
        return 1


def _replay(arguments: argparse.Namespace) -> int:
    from controller.io.chargers import ChargerFileError, load_chargers
    from controller.paths import config_dir
    from controller.tools.compare import compare
    from controller.tools.compare_translated import names_of
    from controller.tools.stage import Stage

    config = client.read_config(arguments.config)
    transcript = only(read_transcript(arguments.file), arguments.station)
    translated = sorted(names_of(transcript.records))
    try:
        models = load_chargers(config_dir() / "chargers")
    except ChargerFileError as error:
        raise ToolError(f"a charger model cannot be used: {error}") from None
    played = Stage(config, transcript, models).play()
    comparison = compare(transcript.records, played.records)
    if arguments.json:
        print(json.dumps({**_as_json(transcript, played, comparison), "translated": translated}, ensure_ascii=False))
    else:
        if translated:
            names = ", ".join(map(printable, translated))
            print(f"translated {names}: compared by content, ids that Yardmaster gives left aside")
        _print(arguments, transcript, played, comparison)
    return 1 if comparison.bad or played.defects else 0


def _live(arguments: argparse.Namespace) -> int:
    import asyncio

    from controller.tools.live import check_target, play

    url = check_target(arguments.to, arguments.anywhere)
    config = client.read_config(arguments.config)
    transcript = only(read_transcript(arguments.file), arguments.station)
    outcome = asyncio.run(play(transcript, config, url, arguments.speed))
    if arguments.json:
        counts = {"sent": outcome.sent, "answered": outcome.answered, "refused": dict(outcome.refused), "silent": outcome.silent}
        print(json.dumps({**counts, "asked": dict(outcome.asked), "problems": outcome.problems}))
        return 0 if outcome.good else 1
    for problem in outcome.problems:
        print(f"!! {printable(problem)}")
    refused = "".join(f", {count} {printable(code)}" for code, count in sorted(outcome.refused.items()))
    print(f"sent       {outcome.sent} messages of stations: {outcome.answered} answered{refused}, {outcome.silent} without an answer")
    asked = ", ".join(f"{count} {printable(action)}" for action, count in sorted(outcome.asked.items()))
    print(f"asked      {asked or 'nothing'}")
    return 0 if outcome.good else 1


def only(transcript: Transcript, station_id: str | None) -> Transcript:
    """The part of a transcript about one station; None = all of it. Raises ToolError if it is not in there."""
    if station_id is None:
        return transcript
    records = [record for record in transcript.records if record["station"] == station_id]
    stations = [state for state in transcript.header.get("stations", []) if state.get("station") == station_id]
    if not records and not stations:
        raise ToolError(f"station {station_id} is not in this recording")
    return Transcript({**transcript.header, "stations": stations}, records, transcript.lost, transcript.cut)


def _print(arguments: argparse.Namespace, transcript: Transcript, played: Any, comparison: Any) -> None:
    from controller.tools.counterparts import is_incoming

    lines = Lines()
    if arguments.sent:
        for record in played.records:
            if not is_incoming(record):
                print(lines.line(record))
        print()
    shown = comparison.differences if arguments.all else comparison.differences[:SHOWN]
    for difference in shown:
        print(f"{'!!' if difference.bad else ' ~'} {difference.what}: {lines.line(difference.record)}")
        print(f"     then: {printable(difference.then)[:400]}")
        print(f"     now:  {printable(difference.now)[:400]}")
    if len(shown) < len(comparison.differences):
        print(f"   ... and {len(comparison.differences) - len(shown)} more; --all shows them")
    for defect in played.defects:
        print(f"!! {printable(defect)}")
    for line in summary(transcript, played, comparison):
        print(line)


def summary(transcript: Transcript, played: Any, comparison: Any) -> list[str]:
    """A few lines about the whole."""
    header, records = transcript.header, transcript.records
    span_s = records[-1]["mono_s"] - header.get("mono_s", records[0]["mono_s"]) if records else 0.0
    stations = {record["station"] for record in records} | {state.get("station") for state in header.get("stations", [])}
    missing = f", {transcript.lost} missing" if transcript.lost else ""
    cut = ", its last line is cut off" if transcript.cut else ""
    left_out = f", {played.left_out} left out (unreadable, or their question is not in the recording)" if played.left_out else ""
    lines = [
        f"recording  site {header.get('site', '?')}, started {header.get('started', '?')}, {span_s:.0f} s, {len(stations)} stations, "
        f"{len(records)} records{missing}{cut}",
        f"played     {played.fed} messages of stations and CSMSs{left_out}",
    ]
    for (then, now), count in sorted(comparison.counts.items()):
        lines.append(f"  {count:>7}  {then}" + (" then and now" if then == now else f" then, {now} now"))
    lines.append(f"own        {comparison.own_then} messages of Yardmaster then, {comparison.own_now} now, {comparison.own_same} with equal content")
    found = comparison.translated
    if found.then or found.now:
        lines.append(f"translated {found.then} messages in other words then, {found.now} now, {found.same} with equal content")
    if played.waiting or played.parked:
        lines.append(f"queue      {played.waiting} messages still wait for the CSMS at the end, {played.parked} were given up")
    losses = sum(difference.bad for difference in comparison.differences)
    verdict = f"{losses} messages would be lost or altered" if losses else "nothing lost, no relayed text altered"
    return [*lines, f"result     {verdict}" + (f"; {len(played.defects)} internal errors" if played.defects else "")]


def _as_json(transcript: Transcript, played: Any, comparison: Any) -> dict[str, Any]:
    return {
        "site": transcript.header.get("site"),
        "records": len(transcript.records),
        "missing": transcript.lost,
        "played": played.fed,
        "left_out": played.left_out,
        "fates": [{"then": then, "now": now, "count": count} for (then, now), count in sorted(comparison.counts.items())],
        "own": {"then": comparison.own_then, "now": comparison.own_now, "same": comparison.own_same},
        "in_other_words": {"then": comparison.translated.then, "now": comparison.translated.now, "same": comparison.translated.same},
        "waiting": played.waiting,
        "parked": played.parked,
        "differences": [
            {"bad": item.bad, "what": item.what, "then": item.then, "now": item.now, "record": item.record} for item in comparison.differences
        ],
        "defects": played.defects,
        "bad": comparison.bad or bool(played.defects),
    }
