"""Reads a YAML file strictly and remembers on which line everything stands (catalogue B44).

Refused, each with one clear sentence: more than 1 MB, not UTF-8, tabs in the indentation, anchors and
aliases (a few bytes of them grow to gigabytes), tags, keys given twice, deep nesting, more than one
document, anything but a mapping at the top. Plain scalars follow YAML 1.2, so that 22:00 stays a text
and 2026-01-01 is not turned into a date; only the words yes, no, on and off are still read as booleans,
because ``rules`` then can say so instead of taking ``id: yes`` for granted.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from controller.checking.problems import ConfigError, Problem, Where

MAX_BYTES = 1_000_000
MAX_DEPTH = 20

_PREFIX = "tag:yaml.org,2002:"
_BOOLEANS = re.compile(r"^(?:true|false|yes|no|on|off)$", re.IGNORECASE)
_INTEGER = re.compile(r"^[-+]?[0-9]+$")
_FLOAT = re.compile(r"^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$|^[-+]?\.(?:inf|Inf|INF)$|^\.(?:nan|NaN|NAN)$")
_NULL = re.compile(r"^(?:~|null|Null|NULL|)$")


@dataclass(frozen=True, slots=True)
class Document:
    """The content of a file. raw: scalars as they were written. problems: flaws that do not stop reading."""

    source: str
    data: dict[str, Any]
    lines: dict[Where, int] = field(default_factory=dict)
    raw: dict[Where, str] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()

    def line_of(self, where: Where) -> int | None:
        """Line of this place, or of the nearest thing around it."""
        for length in range(len(where), 0, -1):
            if where[:length] in self.lines:
                return self.lines[where[:length]]
        return None


class _RefusedError(Exception):
    """The text cannot be read on. line is 1-based."""

    def __init__(self, message: str, line: int | None = None) -> None:
        super().__init__(message)
        self.problem = Problem((), message, line)


class _StrictLoader(yaml.SafeLoader):
    """Composes nodes only; values are built by ``_Builder``, so no constructor of PyYAML ever runs."""

    yaml_implicit_resolvers: dict[str, list[Any]] = {}  # noqa: RUF012 - PyYAML wants a plain dict here
    _depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        line = event.start_mark.line + 1
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            sign = "*" if isinstance(event, yaml.AliasEvent) else "&"
            name = f"{sign}{event.anchor}"
            raise _RefusedError(f"anchors and aliases are not allowed: write out what {name} stands for (or put the text in quotes)", line)
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise _RefusedError(f"nested more than {MAX_DEPTH} levels deep; a site needs six. Look for brackets that are not closed", line)
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node


for _tag, _pattern, _first in (
    ("bool", _BOOLEANS, "tTfFyYnNoO"),
    ("int", _INTEGER, "-+0123456789"),
    ("float", _FLOAT, "-+.0123456789"),
    ("null", _NULL, ["~", "n", "N", ""]),
):
    _StrictLoader.add_implicit_resolver(_PREFIX + _tag, _pattern, list(_first))


def read_document(path: Path) -> Document:
    """The file as data with line numbers. Raises ConfigError."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        problem = Problem((), f"cannot read {path}: {reason}. Give the path of your site file, for example: yardmaster check site.yaml")
        raise ConfigError(str(path), [problem], unreadable=True) from error
    return parse_document(content, str(path))


def parse_document(content: bytes, source: str) -> Document:
    """The bytes of a site file as data with line numbers. Raises ConfigError."""
    try:
        text = _decoded(content)
        _refuse_tabs(text)
        node = _composed(text)
        builder = _Builder()
        data = builder.build(node, ())
    except _RefusedError as refusal:
        raise ConfigError(source, [refusal.problem]) from refusal
    return Document(source, data, builder.lines, builder.raw, tuple(builder.problems))


def _decoded(content: bytes) -> str:
    if len(content) > MAX_BYTES:
        raise _RefusedError(f"the file is larger than {MAX_BYTES // 1000} kB; a site with a hundred stations needs 30 kB. Is this the right file?")
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise _RefusedError("the file is encoded in UTF-16; save it as UTF-8")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _RefusedError("the file is not UTF-8 here (an umlaut or sign in an old encoding?); save it as UTF-8", line) from error


def _refuse_tabs(text: str) -> None:
    """A tab in front of a line would be PyYAML's least helpful message."""
    for number, line in enumerate(text.split("\n"), start=1):
        if "\t" in line[: len(line) - len(line.lstrip())] and not line.lstrip().startswith("#") and line.strip():
            raise _RefusedError("this line is indented with a tab; YAML needs spaces", number)


def _composed(text: str) -> yaml.MappingNode:
    try:
        loader = _StrictLoader(text)
        try:
            node = loader.get_single_node()
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        raise _unreadable(error) from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise _RefusedError(f"the character U+{ord(text[error.position]):04X} is not allowed in a text file; remove it", line) from error
    if node is None:
        raise _RefusedError("the file is empty; start from config/site.example.yaml")
    if not isinstance(node, yaml.MappingNode):
        raise _RefusedError("the file must be keys and values, beginning with 'site:'; start from config/site.example.yaml", node.start_mark.line + 1)
    return node


def _unreadable(error: yaml.MarkedYAMLError) -> _RefusedError:
    """PyYAML's own words about broken syntax, without the snippet: it might show a password."""
    mark = error.problem_mark or error.context_mark
    what = error.problem or "broken syntax"
    if "expected a single document" in (error.context or ""):
        what = "a second document begins here ('---'); a site is one document"
    elif "mapping values are not allowed" in what:
        what = "a ':' where none may be; look at the indentation, or put the text in quotes"
    elif "expected <block end>" in what:
        what = "the indentation does not fit the lines above"
    elif "could not find expected ':'" in what:
        what = "a ':' is missing after the key above"
    return _RefusedError(f"not readable as YAML: {what}", mark.line + 1 if mark else None)


class _Builder:
    """Turns nodes into plain data and notes lines, raw scalars and duplicate keys."""

    def __init__(self) -> None:
        self.lines: dict[Where, int] = {}
        self.raw: dict[Where, str] = {}
        self.problems: list[Problem] = []

    def build(self, node: yaml.Node, where: Where) -> Any:
        self.lines.setdefault(where, node.start_mark.line + 1)
        if node.tag.removeprefix(_PREFIX) not in (*_SCALARS, "map", "seq"):
            raise _RefusedError(f"the tag {node.tag} is not allowed; put the text in quotes if it begins with '!'", node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, where)
        if isinstance(node, yaml.SequenceNode):
            return [self.build(item, (*where, index)) for index, item in enumerate(node.value)]
        self.raw[where] = node.value
        return _scalar(node)

    def _mapping(self, node: yaml.MappingNode, where: Where) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                raise _RefusedError("a key must be a word, not a list or a block", line)
            key = key_node.value
            if key in found:
                first = self.lines[(*where, key)]
                self.problems.append(Problem((*where, key), f"'{key}' is given twice, first on line {first}; remove one of them", line))
                continue
            self.lines[(*where, key)] = line
            found[key] = self.build(value_node, (*where, key))
        return found


def _scalar(node: yaml.Node) -> Any:
    """One value; a tag somebody forced on a text that does not fit it is an error."""
    kind, text = node.tag.removeprefix(_PREFIX), str(node.value)
    try:
        return _SCALARS[kind](text)
    except (KeyError, ValueError) as error:
        raise _RefusedError(f"the value is not of the kind '{kind}' that it is marked with", node.start_mark.line + 1) from error


def _boolean(text: str) -> bool:
    if not _BOOLEANS.match(text):
        raise ValueError(text)
    return text.lower() in ("true", "yes", "on")


def _float(text: str) -> float:
    return float(re.sub(r"\.(?=inf|nan)", "", text.lower()))


def _integer(text: str) -> int | float:
    """Very long digits would make Python's int() itself refuse; as a float they fail the range checks."""
    return int(text) if len(text) <= 40 else float(text)


_SCALARS: dict[str, Callable[[str], Any]] = {"str": str, "bool": _boolean, "int": _integer, "float": _float, "null": lambda _: None}
