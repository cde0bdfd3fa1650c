"""Schema-valid payloads for hypothesis: a schema of the OCA becomes a strategy.

Values come from small pools that hold what breaks translators - limits of lengths and ranges, empty texts, other scripts, each word of
an enumeration - so that a draw is quick and shrinks to the simplest. ``wild`` also draws what a schema allows and the protocol does not:
negative ids and counts.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from hypothesis import strategies as st

from controller.io.schemas import read_schema

Schema = dict[str, Any]
Strategy = st.SearchStrategy[Any]

MAX_ITEMS = 2
TIMES = ("2026-11-21T16:00:00Z", "2026-11-21T16:00:00.123Z", "2026-11-21T17:00:00+01:00", "2026-03-29T01:59:59.999999Z")
ANYTHING = (
    *("", "text", '{"a": 1}', 1, 1.5, True),
    *({"a": [1, "b", {}]}, ["a", 2]),
)
"""For properties without a type: DataTransfer's data."""


@cache
def payloads(version: str, action: str, answer: bool, wild: bool = False) -> Strategy:
    """All payloads of a message. Raises KeyError if the version has no such message."""
    schema = read_schema(version, action, answer)
    if schema is None:
        raise KeyError(f"{version} has no {action}")
    return _Maker(schema.get("definitions", {}), wild).make(schema, "")


class _Maker:
    """Strategies of one schema's nodes, made once per definition."""

    def __init__(self, definitions: Schema, wild: bool) -> None:
        self._definitions, self._wild = definitions, wild
        self._made: dict[str, Strategy] = {}

    def make(self, node: Schema, name: str) -> Strategy:
        if "$ref" in node:
            return self._definition(node["$ref"].rsplit("/", 1)[-1], name)
        if "enum" in node:
            return st.sampled_from(node["enum"])
        kind = node.get("type")
        if kind == "object":
            return self._object(node)
        if kind == "array":
            fewest, most = node.get("minItems", 0), min(node.get("maxItems", MAX_ITEMS), MAX_ITEMS)
            return st.lists(self.make(node["items"], name), min_size=fewest, max_size=max(fewest, most))
        if kind == "string":
            return st.sampled_from(TIMES) if node.get("format") == "date-time" else st.sampled_from(_texts(node))
        if kind in ("integer", "number"):
            return st.sampled_from(_numbers(node, kind, name, self._wild))
        return st.booleans() if kind == "boolean" else st.sampled_from(ANYTHING)

    def _definition(self, named: str, name: str) -> Strategy:
        key = f"{named}/{name}"
        if key not in self._made:
            self._made[key] = self.make(self._definitions[named], name)
        return self._made[key]

    def _object(self, node: Schema) -> Strategy:
        parts = {name: self.make(inner, name) for name, inner in node.get("properties", {}).items()}
        needed = set(node.get("required", ()))
        if set(parts) == {"vendorId"}:
            return st.sampled_from(({"vendorId": "org.example"}, {"vendorId": "org.example", "more": {"idToken": "x", "type": "y"}}))
        return st.fixed_dictionaries(
            {name: part for name, part in parts.items() if name in needed},
            optional={name: part for name, part in parts.items() if name not in needed},
        )


def _texts(node: Schema) -> list[str]:
    """Short, of another script, empty, and as long as allowed."""
    if node.get("format") == "uri":
        return ["ftp://files.example/a", "https://files.example/" + "x" * 500]
    longest = node.get("maxLength", 3000)
    found = ["A1", "Ünï→文"[:longest], "", "x" * longest, "1234567890ABCD", "12.5", "AvailabilityState", "Connector", "Occupied"]
    return [text for text in found if len(text) <= longest]


def _numbers(node: Schema, kind: str, name: str, wild: bool) -> list[Any]:
    """Few, with the limits of the range."""
    least, most = node.get("minimum"), node.get("maximum")
    found: list[Any] = [1, 2, 0, 3, 7, 900, 2**31 - 1]
    found += [0.1, 16.3, 6.0, 1234567.8, -1.0] + ([] if node.get("multipleOf") else [16.35, 1e-7]) if kind == "number" else []
    found += [-1, -7] if wild or kind == "number" else []
    found += [int(value) for value in (least, most) if value is not None]
    if not wild:
        found = [value for value in found if value >= 0 and (name != "evseId" or value > 0)] if least is None else found
        found = [value for value in found if value <= 3] if name in ("numberPhases", "phaseToUse", "numberOfPhasesUsed") else found
    inside = [value for value in found if (least is None or value >= least) and (most is None or value <= most)]
    return inside or [int(least or 0)]


def as_sent(payload: Any) -> Any:
    """What a peer reads of it: through JSON and back."""
    return json.loads(json.dumps(payload, allow_nan=False))
