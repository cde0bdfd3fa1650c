"""The command line: ``yardmaster VERB``.

Every verb imports only what it needs, so that ``--help`` and ``version`` answer at once. Exit
codes: 0 done, 1 refused with a sentence, 2 wrong use.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from controller import __version__

log = logging.getLogger("yardmaster")


@dataclass(frozen=True, slots=True)
class Verb:
    """One word after ``yardmaster``. add: puts its arguments on a parser; run: does it, returns the exit code. group: its heading in the help."""

    group: str
    help: str
    add: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the verb in ``argv`` (default: the command line). Returns the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    parser = _parser(words[0] if words else "")
    arguments, unknown = parser.parse_known_args(words)
    if unknown:  # told by the verb itself, with its own usage
        getattr(arguments, "complain", parser.error)(f"unrecognized arguments: {' '.join(unknown)}")
    if arguments.verb is None:
        _parser("").print_help()
        return 2
    try:
        code = VERBS[arguments.verb].run(arguments)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        return 0
    except BrokenPipeError:  # the reader of our output, e.g. head, has gone; the interpreter must not try again at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _parser(verb: str) -> argparse.ArgumentParser:
    """The parser of all verbs; only the chosen one brings its arguments along (and their imports)."""
    parser = argparse.ArgumentParser(
        prog="yardmaster",
        usage="yardmaster VERB ...",
        description="The site's OCPP local controller and energy manager.\n\n" + _overview(),
        epilog="yardmaster VERB --help tells more about a verb, with examples. Start with: yardmaster demo",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"yardmaster {__version__}", help="print the version and end")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", prog="yardmaster", help=argparse.SUPPRESS)
    for name, entry in VERBS.items():
        sub = verbs.add_parser(name, help=entry.help, description=f"{entry.help[0].upper()}{entry.help[1:]}.")
        if name == verb:
            entry.add(sub)
            sub.set_defaults(complain=sub.error)
    return parser


def _overview() -> str:
    """The verbs under their headings."""
    lines: list[str] = []
    for group in dict.fromkeys(entry.group for entry in VERBS.values()):
        lines += [f"{group}:", *(f"  {name:<15} {entry.help}" for name, entry in VERBS.items() if entry.group == group), ""]
    return "\n".join(lines).rstrip()


# -- run ------------------------------------------------------------------------------------------


def _add_run(parser: argparse.ArgumentParser) -> None:
    _add_file(parser)
    parser.add_argument("--verbose", action="store_true", help="log more, for finding faults")


def _run(arguments: argparse.Namespace) -> int:
    from controller.check import ConfigError
    from controller.io.shell import StartError
    from controller.running import run

    log_to_stderr(logging.DEBUG if arguments.verbose else logging.INFO)
    try:
        run(arguments.file)
    except ConfigError as error:
        print(error.text(), file=sys.stderr)
        return 1
    except StartError as error:
        return _refuse(str(error))
    return 0


# -- small verbs ----------------------------------------------------------------------------------


def _schema(_: argparse.Namespace) -> int:
    from controller.check import schema_text

    sys.stdout.write(schema_text())
    return 0


def _export_parked(arguments: argparse.Namespace) -> int:
    from controller.check import ConfigError, load_config
    from controller.io.journal.shell import export_parked
    from controller.io.journal.store import JournalError

    try:
        count = export_parked(load_config(arguments.file).data_dir, sys.stdout)
    except ConfigError as error:
        print(error.text(), file=sys.stderr)
        return 1
    except JournalError as error:
        return _refuse(str(error))
    print(f"{count} parked messages", file=sys.stderr)
    return 0


def _version(_: argparse.Namespace) -> int:
    print(f"yardmaster {__version__}")
    return 0


def _elsewhere(group: str, module: str, help_text: str) -> Verb:
    """A verb whose arguments and work live in ``module`` (``add_arguments`` and ``main``)."""
    from importlib import import_module

    def add(parser: argparse.ArgumentParser) -> None:
        import_module(module).add_arguments(parser)

    def run(arguments: argparse.Namespace) -> int:
        return int(import_module(module).main(arguments))

    return Verb(group, help_text, add, run)


def _add_file(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, help="the site's configuration, e.g. site.yaml")


def _add_nothing(_: argparse.ArgumentParser) -> None:
    pass


def _refuse(sentence: str) -> int:
    print(f"yardmaster: {sentence}", file=sys.stderr)
    return 1


def log_to_stderr(level: int = logging.INFO) -> None:
    """One concise line per event. The neighbours' libraries speak only when something is wrong."""
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)-7s %(message)s", stream=sys.stderr)
    for name in ("aiohttp", "pymodbus", "asyncio", "paho", "amqtt", "transitions"):
        logging.getLogger(name).setLevel(max(level, logging.WARNING))
    logging.getLogger("aiohttp.websocket").setLevel(logging.ERROR)


RUN, SITE, LOOK = "Run", "Set up a site", "Look into a running controller"

VERBS: dict[str, Verb] = {
    "run": Verb(RUN, "run the controller of a site until Ctrl-C", _add_run, _run),
    "demo": _elsewhere(RUN, "controller.sim.demo", "watch a simulated depot charge through a real controller"),
    "simulate": _elsewhere(RUN, "controller.sim.simulate", "compare ways to charge: over a simulated day, or over recorded sessions"),
    "check": _elsewhere(SITE, "controller.check", "check a site file: all problems at once, or what it means in plain words"),
    "schema": Verb(SITE, "print the JSON schema of site files", _add_nothing, _schema),
    "meters": _elsewhere(SITE, "controller.tools.meters", "find, read and test meters; record and replay their registers"),
    "signals": _elsewhere(SITE, "controller.tools.signals", "what sources of limits say now; and LFDI and SFDI, which a utility must know"),
    "hash-password": _elsewhere(SITE, "controller.tools.password", "turn a station's password into the line for site.yaml that stores it nowhere"),
    "commission": _elsewhere(SITE, "controller.tools.commission", "test the chargers of a site one by one and write the report to hand over"),
    "status": _elsewhere(LOOK, "controller.tools.status", "ask a running controller how it is: stations, limits now and announced"),
    "why": _elsewhere(LOOK, "controller.tools.why", "why an EVSE gets what it gets: the chain of limits, now and over the plan"),
    "explain": _elsewhere(LOOK, "controller.tools.explain", "what held cars back lately and what it cost, how good forecasts and plans were"),
    "compliance": _elsewhere(LOOK, "controller.tools.compliance", "the record that limits from outside were received and obeyed, also as CSV"),
    "tap": _elsewhere(LOOK, "controller.tools.tap", "watch OCPP messages pass, live, and record them"),
    "replay": _elsewhere(LOOK, "controller.tools.replay", "put a recording through the controller's engine and compare what it does"),
    "face": _elsewhere(LOOK, "controller.tools.face", "which CSMS each station has; give stations to another one, pair or depot"),
    "queue": _elsewhere(LOOK, "controller.tools.queue", "what waits for the CSMS, what was given up; export it or send it again"),
    "habits": _elsewhere(SITE, "controller.sim.habits", "past sessions the controller learns from: show, import older ones, forget"),
    "export-parked": Verb(LOOK, "print messages the CSMS never took, one JSON object a line", _add_file, _export_parked),
    "version": Verb(LOOK, "print the version", _add_nothing, _version),
}

if __name__ == "__main__":
    sys.exit(main())
