"""What a 1.6 station says about its smart charging, in its answers to the CSMS's GetConfiguration (16 9.4)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from controller.ocpp.dialect import Feature, Payload

_UNITS: Final = {"current": "A", "power": "W", "a": "A", "w": "W"}
_NUMBERS: Final = {"chargeprofilemaxstacklevel": "max_stack_level", "maxchargingprofilesinstalled": "max_profiles"}
_ROTATION: Final = re.compile(r"(\d{1,4})\s*[.=:]\s*(RST|RTS|SRT|STR|TRS|TSR)\b", re.IGNORECASE)


def features(action: str, result: Payload) -> list[Feature]:
    """Features in a GetConfiguration answer; what cannot be read is not said."""
    keys = result.get("configurationKey") if action == "GetConfiguration" else None
    if not isinstance(keys, list):
        return []
    return [feature for entry in keys if isinstance(entry, dict) for feature in _key(entry.get("key"), entry.get("value"))]


def _key(key: Any, value: Any) -> Iterator[Feature]:
    if not isinstance(key, str) or not isinstance(value, str):
        return
    name = key.lower()
    if name == "chargingscheduleallowedchargingrateunit":
        words = [word.strip().lower() for word in value.split(",")[:8]]
        yield Feature("units", tuple(dict.fromkeys(_UNITS[word] for word in words if word in _UNITS)))
    elif name == "connectorswitch3to1phasesupported":
        yield Feature("phase_switching", value.strip().lower() == "true")
    elif name == "connectorphaserotation":
        for number, rotation in _ROTATION.findall(value):
            if int(number):  # 0 is the way from the grid to the main meter
                yield Feature("rotation", rotation.upper(), int(number))
    elif name in _NUMBERS and value.strip().isdecimal() and len(value) < 9:
        yield Feature(_NUMBERS[name], int(value))
