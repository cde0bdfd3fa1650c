"""Writes the last column of the catalogues in tests/faults: `python -m tests.support.catalogue_pages` in the repository.

A row names every test file that carries its number: ``F07``, ``B07`` or ``trap 7`` in a comment, docstring or name. A row
without such a file keeps its reason. ``tests/faults/test_catalogue.py`` holds the pages to what is found here.
"""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path
from typing import Final, NamedTuple

TESTS: Final = Path(__file__).resolve().parents[1]

NOT_MEANT: Final = {
    # The use cases of OCPP are numbered alike.
    ("B02", "controller/link/test_session_critic.py"),
    ("B09", "controller/ocpp/v2/test_secrets.py"),
    ("F02", "controller/link/test_session_critic.py"),
}
OF_OCPP: Final = ("controller/link/depot/", "controller/ocpp/v201/", "controller/ocpp/v16/test_csms_", "controller/ocpp/v16/test_station_")
"""Test files that begin so answer use cases: F05 there is OCPP's. Traps they may carry."""


class Page(NamedTuple):
    """One catalogue. letter: "F", "B" or "trap"; last: its highest number."""

    file: Path
    letter: str
    last: int

    def number(self, index: int) -> str:
        """As a row and a test write it."""
        return f"trap {index}" if self.letter == "trap" else f"{self.letter}{index:02d}"


PAGES: Final = (
    Page(TESTS / "faults" / "CATALOGUE.md", "F", 84),
    Page(TESTS / "faults" / "BAD_INPUTS.md", "B", 46),
    Page(TESTS / "faults" / "TRAPS.md", "trap", 30),
)
ROW: Final = re.compile(r"^\| (trap \d+|[FB]\d\d) \| ([^|]+) \| ?([^|]*?) ?\|$", re.MULTILINE)
REASONS: Final = ("not yet: ", "later: ", "waits: ")

# "F40-F50" at the head of a file tells its subject, not that each of them has its test there; of bad input each has.
_RANGE: Final = re.compile(r"\b(F)(\d\d)\b(?!\.FR)()|\b(B)(\d\d)\b(?!\.FR)(?:-B?(\d\d)\b)?")
_NAMED: Final = re.compile(r"_([fb])(\d\d)(?=_)")
_TRAPS: Final = re.compile(r"\b[Tt]raps? ((?:\d+)(?:(?:, | and |-)\d+)*)|_trap((?:_\d+)+)(?=_)")


def numbers_in(text: str) -> set[str]:
    """Every number a test file carries."""
    spans = [tuple(filter(None, groups)) for groups in _RANGE.findall(text)]
    found = {f"{letter}{number:02d}" for letter, *ends in spans for number in range(int(ends[0]), int(ends[-1]) + 1)}
    found |= {f"{letter.upper()}{number}" for letter, number in _NAMED.findall(text)}
    for listed, named in _TRAPS.findall(text):
        first, *rest = map(int, re.findall(r"\d+", listed or named))
        many = range(first, rest[0] + 1) if "-" in listed else [first, *rest]
        found |= {f"trap {number}" for number in many}
    return found


def meant(number: str, name: str) -> bool:
    """Whether a number in a test file is one of the catalogues'."""
    return (number, name) not in NOT_MEANT and (number.startswith("trap") or not name.startswith(OF_OCPP))


def carried() -> dict[str, list[str]]:
    """Number -> the test files that carry it, relative to tests/."""
    found: dict[str, list[str]] = defaultdict(list)
    for file in sorted(TESTS.rglob("test_*.py")):
        name = str(file.relative_to(TESTS))
        if name == "faults/test_catalogue.py":
            continue
        for number in numbers_in(file.read_text(encoding="utf-8")):
            if meant(number, name):
                found[number].append(name)
    return dict(found)


def written(text: str) -> str:
    """A page with its last column as it is now. What follows the files in brackets is the writer's and stays."""
    known = carried()

    def row(match: re.Match[str]) -> str:
        number, what, cell = match.groups()
        note = re.search(r" \([^`]*\)$", cell)
        files = ", ".join(f"`{name}`" for name in known.get(number, ()))
        return f"| {number} | {what} | {files + (note.group(0) if note else '') if files else cell} |"

    return ROW.sub(row, text)


if __name__ == "__main__":
    for page in PAGES:
        page.file.write_text(written(page.file.read_text(encoding="utf-8")), encoding="utf-8")
