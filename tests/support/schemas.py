"""The OCA's JSON schemas as they ship in PyPI ``ocpp``: the judge of every frame we make."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import ocpp

FOLDER = Path(ocpp.__file__).parent


@cache
def validator(name: str, version: str = "v201") -> Any:
    """Validator of a schema file, e.g. "BootNotificationResponse"."""
    schema = json.loads((FOLDER / version / "schemas" / f"{name}.json").read_text(encoding="utf-8-sig"))
    return jsonschema.Draft202012Validator({key: value for key, value in schema.items() if key != "$schema"})


def check_request(action: str, payload: dict[str, Any], version: str = "v201") -> None:
    """Raises jsonschema.ValidationError if the payload is no valid request."""
    validator(f"{action}Request", version).validate(payload)


def check_response(action: str, payload: dict[str, Any], version: str = "v201") -> None:
    """Raises jsonschema.ValidationError if the payload is no valid response."""
    validator(f"{action}Response", version).validate(payload)
