"""XML from strangers, without what makes it dangerous: no document types, no entities, bounded depth and size.

A document type is where expanding entities ("a billion laughs") and files of ours come in; no document of this field has one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from xml.parsers import expat

from signals.prices.slots import PriceError

MOST_BYTES = 8 * 1024 * 1024
DEEPEST = 40
MOST_NODES = 500_000


@dataclass(slots=True)
class Node:
    """One element. name: without its namespace. content: its own text, stripped by ``text``."""

    name: str
    content: str = ""
    children: list[Node] = field(default_factory=list)

    def all(self, name: str) -> Iterator[Node]:
        """The children of a name, in their order."""
        return (child for child in self.children if child.name == name)

    def first(self, name: str) -> Node | None:
        """The first child of a name."""
        return next(self.all(name), None)

    def text(self, name: str) -> str:
        """The text of the first child of a name, "" if there is none."""
        child = self.first(name)
        return child.content.strip() if child is not None else ""


class _Reader:
    """Builds nodes from what the parser tells."""

    def __init__(self) -> None:
        self.root: Node | None = None
        self._open: list[Node] = []
        self._texts: list[list[str]] = []
        self._count = 0

    def begins(self, name: str, _attributes: dict[str, str]) -> None:
        node = Node(name.rpartition("}")[2])
        self._count += 1
        if len(self._open) >= DEEPEST or self._count > MOST_NODES:
            raise PriceError("the XML is too deep or has too many elements")
        if self._open:
            self._open[-1].children.append(node)
        else:
            self.root = node
        self._open.append(node)
        self._texts.append([])

    def ends(self, _name: str) -> None:
        self._open.pop().content = "".join(self._texts.pop())

    def says(self, text: str) -> None:
        if self._texts:
            self._texts[-1].append(text)


def _refuse(*_: object) -> int:
    raise PriceError("the XML has a document type or entities; such documents are not read")


def read_xml(body: bytes, what: str = "the answer") -> Node:
    """The root element. Raises PriceError."""
    if len(body) > MOST_BYTES:
        raise PriceError(f"{what} has more than {MOST_BYTES} bytes")
    reader, parser = _Reader(), expat.ParserCreate(namespace_separator="}")
    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = reader.begins, reader.ends, reader.says
    parser.StartDoctypeDeclHandler, parser.EntityDeclHandler, parser.ExternalEntityRefHandler = _refuse, _refuse, _refuse
    try:
        parser.Parse(body, True)
    except (expat.ExpatError, ValueError, LookupError) as error:
        if isinstance(error, PriceError):
            raise
        begin = body[:60].decode("utf-8", "replace")
        raise PriceError(f"{what} is no XML ({str(error)[:80]}); it begins {begin!r}") from None
    if reader.root is None:
        raise PriceError(f"{what} is an empty XML document")
    return reader.root
