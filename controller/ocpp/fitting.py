"""Makes a payload fit a schema: a schema becomes a function once, the function runs on every translated message.

A fitter returns what can be said, or ``UNSAYABLE``; whoever holds the value then leaves it out if the schema lets it, and
keeps it as it is if it is required: ``shapes.Shapes.check`` refuses it before it leaves. Fitters never raise.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import datetime
from decimal import ROUND_FLOOR, Decimal
from typing import Any, Final

Schema = dict[str, Any]
Fitter = Callable[[Any], Any]

UNSAYABLE: Final = object()

WHOLE: Final = frozenset(
    {
        "id", "idToken", "idTag", "parentIdTag", "additionalIdToken", "transactionId", "type", "key", "messageId", "vendorId",
        "name", "instance", "controlId", "tariffId", "identity", "csr", "certificate", "certificateChain", "signingCertificate",
        "signature", "exiRequest", "exiResponse", "ocspResult", "responderURL", "issuerNameHash", "issuerKeyHash", "location",
        "remoteLocation", "url", "ocppCsmsUrl", "checksum", "signedMeterData", "publicKey", "signingMethod", "encodingMethod",
        "data",
    }
)
"""Properties that mean something else when they are cut: identifiers, addresses, keys, blobs. They stay, and ``check`` refuses them."""
WHOLE_IN: Final = frozenset({"ChangeConfiguration", "SetVariables", "SetNetworkProfile"})
"""Requests that set something: nothing in them is cut."""

MAX_DIGITS: Final = 20
_DECIMAL: Final = re.compile(r"-?\d+(?:\.\d+)?", re.ASCII)
_TIME: Final = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d)(:\d\d)?([.,]\d+)?\s*([Zz]|[+-]\d\d:?\d\d)?")


def fitter(schema: Schema, *, whole: bool) -> Fitter:
    """The function for a whole schema. whole: no text in it is ever cut."""
    return _Maker(schema.get("definitions", {}), whole).make(schema, "")


class _Maker:
    """Compiles the nodes of one schema; a definition is compiled once."""

    def __init__(self, definitions: Schema, whole: bool) -> None:
        self._definitions, self._whole = definitions, whole
        self._made: dict[str, Fitter] = {}

    def make(self, node: Schema, name: str) -> Fitter:
        """name: of the property that holds it."""
        if "$ref" in node:
            return self._definition(str(node["$ref"]).rsplit("/", 1)[-1], name)
        if "enum" in node:
            return _enum(frozenset(node["enum"]))
        kind = node.get("type")
        if kind == "object" and "properties" in node:
            return self._object(node)
        if kind == "array":
            return _list(self.make(node.get("items", {}), name), node.get("minItems", 0), node.get("maxItems"))
        if kind == "string":
            return _time if node.get("format") == "date-time" else _text(node.get("maxLength"), self._whole or name in WHOLE)
        if kind in ("integer", "number"):
            return _integer if kind == "integer" else _number(node.get("multipleOf"))
        return _as_it_is

    def _definition(self, named: str, name: str) -> Fitter:
        key = f"{named}/{name}"
        if key not in self._made:
            self._made[key] = lambda value: self._made[key](value)  # a definition that holds itself
            self._made[key] = self.make(self._definitions.get(named, {}), name)
        return self._made[key]

    def _object(self, node: Schema) -> Fitter:
        fitters = {name: self.make(inner, name) for name, inner in node["properties"].items()}
        return _object(fitters, frozenset(node.get("required", ())), node.get("additionalProperties", True) is not False)


# -- kinds of nodes ------------------------------------------------------------------------------------


def _object(fitters: dict[str, Fitter], required: frozenset[str], open_: bool) -> Fitter:
    def fit(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        said = {}
        for name, inner in value.items():
            found = fitters.get(name)
            if found is None:
                if open_:
                    said[name] = inner
                continue
            fitted = found(inner)
            if fitted is not UNSAYABLE and inner is not None and (name != "customData" or _has_vendor(inner)):
                said[name] = fitted
            elif name in required:
                said[name] = inner
        return said

    return fit


def _has_vendor(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("vendorId"), str)


def _list(item: Fitter, fewest: int, most: int | None) -> Fitter:
    def fit(value: Any) -> Any:
        if not isinstance(value, list):
            return value
        said = [fitted for fitted in map(item, value) if fitted is not UNSAYABLE]
        if len(said) < fewest:
            return UNSAYABLE
        return said if most is None else said[:most]

    return fit


def _enum(values: frozenset[Any]) -> Fitter:
    def fit(value: Any) -> Any:
        return value if isinstance(value, str | int) and value in values else UNSAYABLE

    return fit


def _text(longest: int | None, whole: bool) -> Fitter:
    most = None if whole else longest

    def fit(value: Any) -> Any:
        """A number where a text belongs is its text: careless stations send cards and readings so."""
        text = str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value
        return text[:most] if isinstance(text, str) else text

    return fit


def _integer(value: Any) -> Any:
    value = plain_number(value)
    return round(value) if isinstance(value, float) and math.isfinite(value) else value


def plain_number(value: Any) -> Any:
    """A plain decimal number in a text is that number (trap 11); whatever else stays."""
    if not isinstance(value, str) or len(value) > MAX_DIGITS or not _DECIMAL.fullmatch(value):
        return value
    return float(value) if "." in value else int(value)


def _number(step: float | None) -> Fitter:
    if step is None:
        return plain_number
    whole_step = Decimal(repr(step))

    def fit(value: Any) -> Any:
        """Down to a whole number of steps: such numbers are limits."""
        value = plain_number(value)
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            return value
        steps = (Decimal(repr(value)) / whole_step).to_integral_value(ROUND_FLOOR)
        return value if steps * whole_step == Decimal(repr(value)) else float(steps * whole_step)

    return fit


def _time(value: Any) -> Any:
    """An RFC 3339 time; without a zone it is taken as UTC, as 2.x and the 1.6 errata want times to be."""
    if not isinstance(value, str):
        return value
    found = _TIME.fullmatch(value.strip())
    if found is None:
        return UNSAYABLE
    day, minute, second, fraction, zone = found.groups()
    second = ":59" if second == ":60" else second or ":00"
    zone = zone.upper() if zone else "Z"
    if len(zone) == 5:
        zone = f"{zone[:3]}:{zone[3:]}"
    try:
        datetime.fromisoformat(f"{day}T{minute}{second}{zone}")
    except ValueError:
        return UNSAYABLE
    return f"{day}T{minute}{second}{(fraction or '').replace(',', '.')}{zone}"


def rfc_3339(value: Any) -> str | None:
    """A time as ``fit`` says it; None if nobody can read it."""
    said = _time(value)
    return said if isinstance(said, str) else None


def _as_it_is(value: Any) -> Any:
    return value
