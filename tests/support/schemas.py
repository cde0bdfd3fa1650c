"""The OCA's JSON schemas as they ship in PyPI ``ocpp``: the judge of every frame we make, and a source of examples.

A version is named by its schema folder ("v16", "v201", "v21") or by its subprotocol ("ocpp2.1"). Validators are
built once per schema. Numbers are judged as decimals: 16.3 is a multiple of 0.1, whatever floats say.
"""

from __future__ import annotations

import json
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import ocpp

FOLDER = Path(ocpp.__file__).parent
FOLDERS = {"ocpp1.6": "v16", "ocpp2.0.1": "v201", "ocpp2.1": "v21"}
SEND_ONLY = {"NotifyPeriodicEventStream"}


@cache
def schema_names(version: str) -> frozenset[str]:
    """Names of all schema files of a version, e.g. "BootNotificationResponse"."""
    return frozenset(path.stem for path in (FOLDER / FOLDERS.get(version, version) / "schemas").glob("*.json"))


@cache
def actions(version: str) -> frozenset[str]:
    """All actions of a version, the SEND of 2.1 included."""
    return frozenset(name.removesuffix("Response").removesuffix("Request") for name in schema_names(version))


@cache
def schema(name: str, version: str) -> dict[str, Any]:
    """A schema file. Raises FileNotFoundError."""
    text = (FOLDER / FOLDERS.get(version, version) / "schemas" / f"{name}.json").read_text(encoding="utf-8-sig")
    found: dict[str, Any] = json.loads(text, parse_float=Decimal)
    return {key: value for key, value in found.items() if key != "$schema"}


@cache
def validator(name: str, version: str = "v201") -> Any:
    """Validator of a schema file, e.g. "BootNotificationResponse". Raises FileNotFoundError."""
    return jsonschema.Draft202012Validator(schema(name, version))


def _check(name: str, payload: dict[str, Any], version: str) -> None:
    validator(name, version).validate(json.loads(json.dumps(payload, allow_nan=False), parse_float=Decimal))


def request_name(action: str, version: str) -> str:
    """Schema name of an action's request: without suffix in 1.6, and for a SEND."""
    return action if action in schema_names(version) else f"{action}Request"


def check_request(action: str, payload: dict[str, Any], version: str = "v201") -> None:
    """Raises jsonschema.ValidationError if the payload is no valid request."""
    _check(request_name(action, version), payload, version)


def check_response(action: str, payload: dict[str, Any], version: str = "v201") -> None:
    """Raises jsonschema.ValidationError if the payload is no valid response."""
    _check(f"{action}Response", payload, version)


def example_request(action: str, version: str = "v201", *, full: bool = False) -> dict[str, Any]:
    """A valid request of an action: required fields only, or all of them."""
    name = request_name(action, version)
    made: dict[str, Any] = _example(schema(name, version), schema(name, version).get("definitions", {}), full)
    _check(name, made, version)
    return made


def _example(kind: dict[str, Any], definitions: dict[str, Any], full: bool) -> Any:
    if "$ref" in kind:
        return _example(definitions[kind["$ref"].rsplit("/", 1)[-1]], definitions, full)
    if "enum" in kind:
        return kind["enum"][0]
    if kind.get("type") == "object":
        wanted = kind.get("required", [])
        return {key: _example(value, definitions, full) for key, value in kind.get("properties", {}).items() if full or key in wanted}
    if kind.get("type") == "array":
        count = min(max(kind.get("minItems", 1), 2 if full else 1), kind.get("maxItems", 2))
        return [_example(kind["items"], definitions, full) for _ in range(count)]
    if kind.get("type") == "string":
        return "2026-11-21T16:00:00Z" if kind.get("format") == "date-time" else "é-text"[: kind.get("maxLength", 6)]
    whole = int(min(max(1, kind.get("minimum", 1)), kind.get("maximum", 1)))
    return {"integer": whole, "number": whole, "boolean": True}.get(kind.get("type", ""), "anything")
