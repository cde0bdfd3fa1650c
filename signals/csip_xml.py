"""XML of IEEE 2030.5 (``application/sep+xml``): a reader that strangers cannot harm, and a writer.

The reader knows no document types and no entities of its own, and it bounds size, depth and number of elements: a
document that wants more is refused, not tried. Names of the standard's namespace become bare, names of the Australian
extension (CSIP-AUS, any of its versions) get ``aus:`` in front, all others keep their namespace and are never looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr

NAMESPACE: Final = "urn:ieee:std:2030.5:ns"
"""Of the editions of 2018 and 2023."""
OLD_NAMESPACES: Final = frozenset({"http://zigbee.org/sep", "urn:ieee:std:2030.5"})
"""Of SEP 2.0 and of the edition of 2013, whose resources mean other things; told in the refusal."""
AUS: Final = "https://csipaus.org/ns"
AUS_DEFAULT: Final = "https://csipaus.org/ns/v1.3"
CONTENT_TYPE: Final = "application/sep+xml"
MOST_BYTES: Final = 1024 * 1024
MOST_DEPTH: Final = 24
MOST_ELEMENTS: Final = 40_000
MOST_TEXT: Final = 16 * 1024
MOST_ATTRIBUTES: Final = 32
_SEPARATOR: Final = "|"


class XmlError(ValueError):
    """A document cannot be used. The text is one sentence for a person."""


@dataclass(slots=True)
class Node:
    """One element. tag: its name, see above. text: without the white space around it."""

    tag: str
    attributes: Mapping[str, str]
    children: list[Node] = field(default_factory=list)
    text: str = ""

    def all(self, tag: str) -> Iterator[Node]:
        """Its children of that name, in order."""
        return (child for child in self.children if child.tag == tag)

    def one(self, tag: str) -> Node | None:
        """Its first child of that name."""
        return next(self.all(tag), None)


def parse(body: bytes) -> Node:
    """The document's element. Raises XmlError for everything that is no sound 2030.5 document."""
    if len(body) > MOST_BYTES:
        raise XmlError(f"a document of {len(body)} bytes is longer than {MOST_BYTES}; it was not read")
    reading = _Reading()
    parser = expat.ParserCreate(namespace_separator=_SEPARATOR)
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = reading.doctype
    parser.StartElementHandler = reading.start
    parser.EndElementHandler = reading.end
    parser.CharacterDataHandler = reading.data
    try:
        parser.Parse(body, True)
    except expat.ExpatError as error:
        raise XmlError(f"this is no XML: {error}") from None
    except (LookupError, ValueError) as error:
        raise error if isinstance(error, XmlError) else XmlError(f"this is no XML: {error}") from None
    assert reading.root is not None  # expat has refused documents without an element
    if _SEPARATOR in reading.root.tag:
        raise XmlError(_stranger(reading.root.tag))
    return reading.root


def parse_as(body: bytes, *tags: str) -> Node:
    """The document, if it is one of these. Raises XmlError."""
    root = parse(body)
    if root.tag not in tags:
        raise XmlError(f"the server sent a {root.tag[:60]} where {' or '.join(tags)} was asked for")
    return root


class _Reading:
    """What the parser calls."""

    def __init__(self) -> None:
        self.root: Node | None = None
        self._open: list[Node] = []
        self._count = 0

    def doctype(self, *_: object) -> None:
        raise XmlError("the document declares a document type; 2030.5 has none, and such can hide entities that explode")

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._count += 1
        if len(self._open) >= MOST_DEPTH or self._count > MOST_ELEMENTS or len(attributes) > MOST_ATTRIBUTES:
            raise XmlError(f"the document is deeper than {MOST_DEPTH} or has more than {MOST_ELEMENTS} elements; it was not read")
        node = Node(self._short(name), attributes)
        if self._open:
            self._open[-1].children.append(node)
        else:
            self.root = node
        self._open.append(node)

    def end(self, _: str) -> None:
        node = self._open.pop()
        node.text = node.text.strip()

    def data(self, text: str) -> None:
        node = self._open[-1]
        if len(node.text) + len(text) > MOST_TEXT:
            raise XmlError(f"a text in the document is longer than {MOST_TEXT} characters; it was not read")
        node.text += text

    def _short(self, name: str) -> str:
        space, _, local = name.rpartition(_SEPARATOR)
        if space == NAMESPACE:
            return local
        if space == AUS or space.startswith(AUS + "/"):
            return f"aus:{local}"
        return f"{space}{_SEPARATOR}{local}"


def _stranger(tag: str) -> str:
    space = tag.rpartition(_SEPARATOR)[0]
    if space in OLD_NAMESPACES:
        return f"the document is of an older edition ({space}); we speak {NAMESPACE}"
    return f"the document's namespace is {space[:80] or 'missing'} and not {NAMESPACE}"


def aus_namespace(body: bytes) -> str | None:
    """Which version of CSIP-AUS a sound document speaks, None = none."""
    at = body.find(AUS.encode())
    if at < 0:
        return None
    end = min((place for mark in (b'"', b"'") if (place := body.find(mark, at)) > 0), default=-1)
    return body[at:end].decode("ascii", "replace") if 0 < end - at < 80 else None


# -- writing ---------------------------------------------------------------------------------------

Value = str | int | None
Part = tuple[str, "Value | Parts"]
Parts = tuple[Part, ...]
"""Elements in order: (name, value or parts of its own). None = left out. The standard's order is the writer's business."""


def document(tag: str, parts: Parts, aus: str | None = None) -> bytes:
    """A document of the standard's namespace. aus: CSIP-AUS namespace for names that begin with ``aus:``; None = those are left out."""
    spaces = f' xmlns="{NAMESPACE}"' + (f" xmlns:aus={quoteattr(aus)}" if aus else "")
    inner = "".join(_written(part, aus) for part in parts)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<{tag}{spaces}>{inner}</{tag}>'.encode()


def _written(part: Part, aus: str | None) -> str:
    name, value = part
    if value is None or (aus is None and name.startswith("aus:")):
        return ""
    if isinstance(value, tuple):
        return f"<{name}>{''.join(_written(inner, aus) for inner in value)}</{name}>"
    return f"<{name}>{escape(str(value))}</{name}>"
