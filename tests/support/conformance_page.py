"""Writes the tables of controller/ocpp/CONFORMANCE.md: `python -m tests.support.conformance_page` in the repository.

The prose above the marker line is the maintainer's; everything below it is made here from four sources: the policy
tables that run, the tables REFUSED of the translators and of the depot face's parts, the list of use cases in
``tests.support.requirements``, and the requirement numbers that tests cite in their comments, docstrings and
names. ``tests/controller/ocpp/test_conformance_page.py`` holds the page to them.
"""

from __future__ import annotations

import ast
import gc
import importlib
import pkgutil
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import controller.link.depot
import controller.ocpp
from controller.link.policy import CSMS, STATION, Row, Verb
from controller.ocpp.registry import sides
from tests.support.requirements import SECTIONS

TESTS: Final = Path(__file__).resolve().parents[1]
PAGE: Final = TESTS.parent / "controller" / "ocpp" / "CONFORMANCE.md"
MARKER: Final = "<!-- made by tests/support/conformance_page.py from here on -->"

CITED: Final = re.compile(r"\b([A-S]\d\d\.FR\.\d+(?:/(?:FR\.)?\d+)*|SC\.\d\d|V2X\.\d\d|16E \d\.\d+|16JE \d\.\d+|traps? \d+(?:(?:, | and |-)\d+)*)")

SEEN: Final = {
    Verb.RELAY: "conformance/test_every_action.py",
    Verb.HOLD: "controller/link/test_outbox.py",
    Verb.INTERCEPT: "controller/link/test_session.py",
}
TRANSLATION: Final = "What cannot be translated"
FAMILIES: Final = {"ocpp1.6": "v16", "ocpp2.0.1": "v2", "ocpp2.1": "v2"}


# -- policy ------------------------------------------------------------------------------------------


def policy_rows(version: str) -> list[tuple[str, str, str, str, str]]:
    """(action, sender, verb with the CSMS there, away, none) of a version, in the page's order."""
    sides = (("station", STATION[version]), ("CSMS", CSMS[version]))
    return [(action, side, str(row.open), str(row.away), str(row.none)) for side, table in sides for action, row in sorted(table.items())]


def _policy(version: str) -> Iterator[str]:
    yield f"## Messages of {version}"
    yield ""
    yield "| action | sent by | CSMS there | CSMS away | no CSMS | tests |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for side, table in (("station", STATION[version]), ("CSMS", CSMS[version])):
        for action, row in sorted(table.items()):
            yield f"| {action} | {side} | {row.open} | {row.away} | {row.none} | {', '.join(_seen(version, side, row))} |"
    yield ""


def _seen(version: str, side: str, row: Row) -> list[str]:
    """Files that show a row at work: the answer or refusal of its family of versions, and what its verbs do."""
    own = f"controller/ocpp/{FAMILIES[version]}/test_{'answers' if side == 'station' else 'refusals'}.py"
    files = [SEEN[verb] for verb in dict.fromkeys((row.open, row.away)) if verb in SEEN]
    return [f"`{name}`" for name in (*files, own) if (TESTS / name).exists()]


# -- translation ---------------------------------------------------------------------------------------


def refused(package: str, path: list[str], word: str = "") -> list[tuple[str, str]]:
    """(action, what is refused) of all tables REFUSED in a package's modules whose name holds a word."""
    found: set[tuple[str, str]] = set()
    for module in pkgutil.iter_modules(path):
        if word in module.name:
            table: dict[str, str] = getattr(importlib.import_module(f"{package}.{module.name}"), "REFUSED", {})
            found |= set(table.items())
    return sorted(found)


def side_rows(subprotocol: str, end: str) -> list[tuple[str, str]]:
    """(action, what cannot be said) of a version's side. end: "station" or "csms"."""
    package = importlib.import_module(f"controller.ocpp.{_folder(subprotocol)}")
    return refused(package.__name__, list(package.__path__), end)


def _folder(subprotocol: str) -> str:
    for module in pkgutil.iter_modules(controller.ocpp.__path__):
        found = getattr(importlib.import_module(f"controller.ocpp.{module.name}"), "SIDES", None) if module.ispkg else None
        if found is not None and found.subprotocol == subprotocol:
            return module.name
    raise KeyError(subprotocol)


def depot_rows() -> list[tuple[str, str]]:
    """(action, what is refused) of the depot face's parts."""
    return refused("controller.link.depot", list(controller.link.depot.__path__))


def _translation() -> Iterator[str]:
    yield f"## {TRANSLATION}"
    yield ""
    yield "What a pair of versions cannot say is the table of its station's version and that of its CSMS's version."
    yield "All messages are listed that need more than other words: what is refused, left out or answered here, and how."
    yield ""
    yield "| station | " + " | ".join(f"CSMS {version}" for version in sorted(sides())) + " |"
    yield "| --- |" + " --- |" * len(sides())
    for station in sorted(sides()):
        yield f"| {station} | " + " | ".join(_pair(station, csms) for csms in sorted(sides())) + " |"
    yield ""
    for version in sorted(sides()):
        for end, title in (("station", "stations"), ("csms", "CSMSs")):
            yield from _refusals(f"{version} {title}", side_rows(version, end))
    yield from _refusals("The depot as one station", depot_rows())


def _pair(station: str, csms: str) -> str:
    if station == csms:
        return "byte for byte"
    return f"{len(side_rows(station, 'station'))} + {len(side_rows(csms, 'csms'))} rows"


def _refusals(title: str, rows: list[tuple[str, str]]) -> Iterator[str]:
    yield f"### {title}"
    yield ""
    if not rows:
        yield "Nothing: the hub speaks this version."
    else:
        yield "| message | what is refused, and how |"
        yield "| --- | --- |"
        yield from (f"| {action} | {why} |" for action, why in rows)
    yield ""


# -- requirements --------------------------------------------------------------------------------------


def citations() -> dict[str, list[str]]:
    """Requirement number -> "file::test" (or "file") of all tests that cite it, each number on its own."""
    found: dict[str, list[str]] = defaultdict(list)
    for file in sorted(TESTS.rglob("test_*.py")):
        name = str(file.relative_to(TESTS))
        for test, text in _blocks(file.read_text(encoding="utf-8")):
            where = f"{name}::{test}" if test else name
            for number in sorted({single for cited in CITED.findall(text) for single in _single(cited)} | _in_name(test)):
                found[number].append(where)
    return dict(found)


def _parsed(text: str) -> ast.Module:
    """The syntax tree. CPython 3.11 fails with a SystemError when the garbage collector runs somebody's finaliser meanwhile (gh-106905)."""
    collects = gc.isenabled()
    gc.disable()
    try:
        return ast.parse(text)
    finally:
        if collects:
            gc.enable()


def _blocks(text: str) -> Iterator[tuple[str, str]]:
    """(name, text) of each test function with its decorators and comments above, then ("", the rest)."""
    lines = text.splitlines()
    taken: set[int] = set()
    for node in ast.walk(_parsed(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test"):
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)]) - 1
            while first and lines[first - 1].startswith("#"):
                first -= 1
            span = range(first, node.end_lineno or first)
            taken.update(span)
            yield node.name, "\n".join(lines[index] for index in span)
    yield "", "\n".join(line for index, line in enumerate(lines) if index not in taken)


def _in_name(test: str) -> set[str]:
    """Numbers in the name of a test: "test_trap_23_25_...", "test_e11_fr_07_..."."""
    traps = {f"trap {int(number):02d}" for named in re.findall(r"_trap((?:_\d+)+)_", test) for number in named.strip("_").split("_")}
    return traps | {f"{case.upper()}.FR.{number}" for case, number in re.findall(r"_([a-s]\d\d)_fr_(\d+)_", test)}


def _single(cited: str) -> list[str]:
    """ "K01.FR.36/37" -> both numbers; "traps 2, 3" likewise."""
    if cited.startswith("trap"):
        numbers = re.findall(r"\d+", cited)
        if "-" in cited:
            numbers = [str(number) for number in range(int(numbers[0]), int(numbers[-1]) + 1)]
        return [f"trap {int(number):02d}" for number in numbers]
    first, *others = cited.split("/")
    stem = first.rpartition(".")[0]
    return [first, *(f"{stem}.{other.removeprefix('FR.')}" for other in others)]


def _requirements() -> Iterator[str]:
    cited = citations()
    for title, rows in SECTIONS:
        yield f"## {title}"
        yield ""
        yield "| requirement | state | what | tests |"
        yield "| --- | --- | --- | --- |"
        for row in rows:
            yield f"| {row.number} | {row.state} | {row.what} | {', '.join(f'`{name}`' for name in row.tests if (TESTS / name).exists())} |"
            for number in sorted(number for number in cited if number.startswith(f"{row.number}.FR.")):
                yield f"| {number} | done | | {_names(cited.pop(number))} |"
        yield ""
    yield "## Other rules and known traps"
    yield ""
    yield "| rule | state | tests |"
    yield "| --- | --- | --- |"
    for number in sorted(cited):
        yield f"| {number} | done | {_names(cited[number])} |"


def _names(places: list[str]) -> str:
    return ", ".join(f"`{place}`" for place in places)


def page(head: str) -> str:
    """The whole page: ``head`` up to the marker, then the tables."""
    lines = [line for version in STATION for line in _policy(version)]
    return "\n".join([head.partition(MARKER)[0].rstrip(), "", MARKER, "", *lines, *_translation(), *_requirements(), ""])


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
