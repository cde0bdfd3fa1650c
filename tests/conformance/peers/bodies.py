"""Message bodies made from the OCA's JSON schemas as PyPI ``ocpp`` ships them. Shares nothing with ``controller``.

Three styles of the same message: LEAN has required fields only, FULL everything the schema allows, with customData
and text beyond ASCII, ODD the same with values real stations send: float noise, huge integers, control characters.
Names with a meaning (EVSE, transaction, token, times) get values that fit each other, see ``Meaning``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

import jsonschema
import ocpp

LEAN: Final = "lean"
FULL: Final = "full"
ODD: Final = "odd"
STYLES: Final = (LEAN, FULL, ODD)

FOLDERS: Final = {"ocpp1.6": "v16", "ocpp2.0.1": "v201", "ocpp2.1": "v21"}
TEXTS: Final = {LEAN: "indie", FULL: "Zürich 充電 ✓ 🔌 №42", ODD: 'a"b\\c/d\te\nf é\u2028\u00a0 \U0001f50b end'}
NUMBERS: Final = {LEAN: 16.0, FULL: 31.884057998657227, ODD: 0.30000000000000004}
WHOLES: Final = {LEAN: 7, FULL: 2_147_483_647, ODD: 9_007_199_254_740_993}
TIMES: Final = {LEAN: "2026-11-21T16:00:{:02d}Z", FULL: "2026-11-21T16:00:{:02d}.123Z", ODD: "2026-11-21T16:00:{:02d}.123456+00:00"}
DEEPEST: Final = 14


@dataclass
class Meaning:
    """What the names of a message stand for, so that messages of one story fit together."""

    style: str
    evse: int = 1
    transaction: str | int = "tx-1"
    event: str = "Started"
    token: str = "GOOD-1"
    seconds: int = 0
    numbers: dict[str, int] = field(default_factory=dict)

    def clock(self) -> str:
        """Another second each time."""
        self.seconds = (self.seconds + 1) % 60
        return TIMES[self.style].format(self.seconds)

    def next(self, name: str) -> int:
        """0, 1, 2 ... per name."""
        self.numbers[name] = self.numbers.get(name, -1) + 1
        return self.numbers[name]


@cache
def names(version: str) -> frozenset[str]:
    """Names of the schema files of a version, without ".json"."""
    return frozenset(file.stem for file in (Path(ocpp.__file__).parent / FOLDERS[version] / "schemas").glob("*.json"))


@cache
def actions(version: str) -> frozenset[str]:
    """Every action the schemas of a version know."""
    return frozenset(name.removesuffix("Response").removesuffix("Request") for name in names(version))


def request_name(version: str, action: str) -> str:
    """Name of an action's request schema; 1.6 and the 2.1 SEND have no suffix."""
    return action if action in names(version) else f"{action}Request"


@cache
def schema(version: str, name: str) -> dict[str, Any]:
    """A schema file."""
    file = Path(ocpp.__file__).parent / FOLDERS[version] / "schemas" / f"{name}.json"
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8-sig"))
    return found


@cache
def _validator(version: str, name: str) -> Any:
    found = schema(version, name)
    kind = jsonschema.Draft4Validator if "draft-04" in found["$schema"] else jsonschema.Draft6Validator
    return kind(found)


def check(version: str, name: str, payload: Any) -> None:
    """Raises jsonschema.ValidationError if the payload breaks the schema ``name``."""
    _validator(version, name).validate(payload)


def request(version: str, action: str, meaning: Meaning) -> dict[str, Any]:
    """A valid request of an action."""
    return _body(version, request_name(version, action), meaning)


def response(version: str, action: str, meaning: Meaning) -> dict[str, Any]:
    """A valid response of an action: the first, friendly word of every status."""
    return _body(version, f"{action}Response", meaning)


def _body(version: str, name: str, meaning: Meaning) -> dict[str, Any]:
    made: dict[str, Any] = _Maker(version, name, meaning).value(schema(version, name), (name,))
    check(version, name, made)
    return made


class _Maker:
    def __init__(self, version: str, name: str, meaning: Meaning) -> None:
        self.version, self.name, self.meaning = version, name, meaning
        self.style = meaning.style
        self.definitions = schema(version, name).get("definitions", {})
        self.answer = name.endswith("Response")

    def value(self, kind: dict[str, Any], path: tuple[str, ...]) -> Any:
        """A value of a schema node; path: names from the message down to it."""
        if "$ref" in kind:
            name = kind["$ref"].rsplit("/", 1)[-1]
            return self.value(self.definitions[name], (*path[:-1], f"{path[-1]}:{name}"))
        meant = self._meant(kind, path) if kind.get("type") not in ("array", "object") else None
        if meant is not None:
            return meant
        if "enum" in kind:
            return self._word(kind["enum"])
        makers = {"object": self._object, "array": self._array, "string": self._text, "integer": self._whole, "number": self._number}
        if kind.get("type") == "boolean":
            return self.style != FULL
        return makers[kind["type"]](kind, path) if "type" in kind else self._anything()

    def _meant(self, kind: dict[str, Any], path: tuple[str, ...]) -> Any:
        """The value a name stands for; None if it stands for nothing special."""
        name = path[-1].partition(":")[0]
        parent = path[-2].rpartition(":")[2] if len(path) > 1 else ""
        m = self.meaning
        flat = self.version == "ocpp1.6"
        if kind.get("format") == "date-time":
            return m.clock()
        if kind.get("format") == "uri":
            return "ftp://files.example/a%20b?c=1"
        meant = {
            "evseId": m.evse,
            "EVSEType.id": m.evse,
            "connectorId": m.evse if flat else 1,
            "transactionId": m.transaction,
            "idTag": m.token,
            "IdTokenType.idToken": m.token,
            "IdTokenType.type": "ISO14443",
            "TransactionEventRequest.eventType": m.event,
            "triggerReason": {"Started": "CablePluggedIn", "Updated": "MeterValuePeriodic", "Ended": "EVDeparted"}[m.event],
            "measurand": "Energy.Active.Import.Register",
            "listVersion": 3,
            "versionNumber": 3,
        }
        found = meant.get(f"{parent}.{name}", meant.get(name))
        if found is None and name == "seqNo":
            return m.next("seqNo")
        if found is None and name == "value" and "sampledValue" in [part.partition(":")[0] for part in path] and kind.get("type") == "string":
            return "31.884057998657227"
        return found

    def _word(self, words: list[Any]) -> Any:
        if self.answer or self.style == LEAN:
            return words[0]
        return words[len(words) // 2] if self.style == FULL else words[-1]

    def _object(self, kind: dict[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
        required = kind.get("required", [])
        made: dict[str, Any] = {}
        for name, sub in kind.get("properties", {}).items():
            if name in required or (self.style != LEAN and len(path) < DEEPEST):
                made[name] = self.value(sub, (*path, name))
        if "vendorId" in made and path[-1].endswith("CustomDataType"):
            made.update({"tariff": {"steps": [1, 2.50, True]}, "größe": "42"} if self.style == FULL else {"a_b C": [None, {}, [[-0.0]]], "": 1e300})
        return made

    def _array(self, kind: dict[str, Any], path: tuple[str, ...]) -> list[Any]:
        count = max(kind.get("minItems", 0), 1 if self.style == LEAN else 2)
        return [self.value(kind["items"], path) for _ in range(min(count, kind.get("maxItems", count)))]

    def _text(self, kind: dict[str, Any], path: tuple[str, ...]) -> str:
        return TEXTS[self.style][: kind.get("maxLength", 100)]

    def _whole(self, kind: dict[str, Any], path: tuple[str, ...]) -> int:
        return int(self._within(WHOLES[self.style], kind))

    def _number(self, kind: dict[str, Any], path: tuple[str, ...]) -> float:
        return float(self._within(16.0 if "multipleOf" in kind else NUMBERS[self.style], kind))

    @staticmethod
    def _within(value: float, kind: dict[str, Any]) -> float:
        if kind.get("maximum", value) <= 0:
            value = -value
        return min(max(value, kind.get("minimum", value)), kind.get("maximum", value))

    def _anything(self) -> Any:
        return {LEAN: "text", FULL: {"any": [1, "two", {"three": None}]}, ODD: [[], {}, "", -0.5, 1e-7]}[self.style]
