"""What can be wrong with a site file, as data: where, on which line, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

Where = tuple[str | int, ...]
"""A place in the file, e.g. ("stations", 0, "evses", 1, "fallback_a"); () is the file itself."""

SECRET_KEYS = frozenset({"password", "token"})
SHOWN_CHARACTERS = 60


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong. line: 1-based line in the file, None where there is none."""

    where: Where
    message: str
    line: int | None = None

    @property
    def path(self) -> str:
        """The place with dots, e.g. ``stations.0.evses.1.fallback_a``; empty for the file itself."""
        return ".".join(str(step) for step in self.where)

    def __str__(self) -> str:
        line = f"line {self.line}: " if self.line is not None else ""
        return f"{line}{self.path}: {self.message}" if self.where else f"{line}{self.message}"

    def as_json(self) -> dict[str, Any]:
        """Path, line and message."""
        return {"path": self.path, "line": self.line, "message": self.message}


class ConfigError(Exception):
    """A site file cannot be used. ``problems`` holds all of them, in the order of the file.

    unreadable: the file could not even be opened, so nothing is known about its content.
    """

    def __init__(self, source: str, problems: Sequence[Problem], *, unreadable: bool = False) -> None:
        self.source = source
        self.problems = tuple(problems)
        self.unreadable = unreadable
        super().__init__(self.text())

    def text(self) -> str:
        """All problems, one a line, under a headline that counts them."""
        if self.unreadable:
            return str(self.problems[0])
        count = len(self.problems)
        headline = f"{self.source}: {count} problem{'s' if count != 1 else ''}, nothing was changed"
        return "\n".join([headline, *(f"  {problem}" for problem in self.problems)])


def in_file_order(problems: Iterable[Problem]) -> list[Problem]:
    """Sorted by line, those without a line last; the same sentence about the same place only once."""
    unique = dict.fromkeys(problems)
    return sorted(unique, key=lambda one: (one.line is None, one.line or 0))


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`` Did you mean 'x'?`` or the list of what is known; empty when nothing is known."""
    names = sorted(known)
    close = get_close_matches(word, names, n=1) or _same_letters(word, names)
    if close:
        return f" Did you mean '{close[0]}'?"
    return f" Known: {listed(names)}." if names else ""


def _same_letters(word: str, names: Sequence[str]) -> list[str]:
    return [name for name in names if name.lower() == word.lower()]


def listed(names: Sequence[str], most: int = 12) -> str:
    """Names separated by commas; a long list is cut and says so."""
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown


def shown(value: object, where: Where) -> str:
    """A value as a message may print it: short, and never a secret."""
    if where and where[-1] in SECRET_KEYS:
        return "the given value"
    text = repr(value)
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[: SHOWN_CHARACTERS - 4]} ...'"
