"""Words and numbers of IEEE 2030.5 documents, each within its bounds. What is none of them raises ``XmlError`` with its name."""

from __future__ import annotations

from typing import Final

from signals.csip_xml import Node, XmlError

DIGITS: Final = 20
LONGEST_S: Final = 2**32 - 1
LATEST_S: Final = 2**40


def need(node: Node, name: str) -> Node:
    """A child that the standard demands."""
    found = node.one(name)
    if found is None:
        raise XmlError(f"a {node.tag} has no {name}")
    return found


def text_of(node: Node, name: str) -> str:
    """The text of a child that the standard demands."""
    return need(node, name).text


def called(node: Node) -> str:
    """Its description, for people; empty if there is none."""
    found = node.one("description")
    return "".join(char for char in found.text if char.isprintable())[:64] if found is not None else ""


def mrid(node: Node) -> str:
    """mRID, capital."""
    text = text_of(node, "mRID").upper()
    if not 0 < len(text) <= 32 or any(char not in "0123456789ABCDEF" for char in text):
        raise XmlError(f"a {node.tag} has the mRID {text[:40]!r}, which is no hexadecimal number of 128 bits")
    return text


def link(node: Node, name: str) -> str | None:
    """Where a link leads, None = there is none."""
    found = node.one(name)
    return uri(found.attributes.get("href")) if found is not None else None


def uri(text: str | None) -> str | None:
    """An address that can be one; None for none."""
    if text is None or not (trimmed := text.strip()):
        return None
    if len(trimmed) > 1024 or not trimmed.isascii() or not trimmed.isprintable() or " " in trimmed:
        raise XmlError("an address in the document is no URI")
    return trimmed


def poll_rate(root: Node) -> float | None:
    """pollRate [s], None = not said."""
    text = root.attributes.get("pollRate")
    return float(max(1, integer(text, "pollRate", 0, LONGEST_S))) if text is not None else None


def seconds(node: Node, name: str) -> float | None:
    """An optional time [s], at least 1."""
    found = node.one(name)
    return float(max(1, integer(found.text, name, 0, LONGEST_S))) if found is not None else None


def number(node: Node, name: str, otherwise: int, low: int, high: int) -> int:
    """An optional whole number within bounds."""
    found = node.one(name)
    return otherwise if found is None else integer(found.text, name, low, high)


def integer(text: str, name: str, low: int, high: int) -> int:
    """A whole number within bounds."""
    trimmed = text.strip()
    digits = trimmed.removeprefix("-").removeprefix("+") if trimmed[:2] not in ("-+", "+-") else ""
    if not digits.isascii() or not digits.isdigit() or len(digits) > DIGITS:
        raise XmlError(f"{name} is {trimmed[:40]!r}, which is no whole number")
    number = int(trimmed)
    if not low <= number <= high:
        raise XmlError(f"{name} is {number}, which is not between {low} and {high}")
    return number


def hexadecimal(text: str, name: str, bits: int) -> int:
    """A hexadecimal number of so many bits."""
    trimmed = text.strip()
    if not 0 < len(trimmed) <= bits // 4 or any(char not in "0123456789abcdefABCDEF" for char in trimmed):
        raise XmlError(f"{name} is {trimmed[:40]!r}, which is no hexadecimal number of {bits} bits")
    return int(trimmed, 16)


def flag(node: Node, name: str) -> bool | None:
    """An optional true or false."""
    found = node.one(name)
    if found is None:
        return None
    if found.text not in ("true", "false", "1", "0"):
        raise XmlError(f"{name} is {found.text[:40]!r}, which is neither true nor false")
    return found.text in ("true", "1")
