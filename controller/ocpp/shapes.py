"""What a payload may look like in a version: the OCA's JSON schemas, given to the pure parts as data.

The files ship in PyPI ``ocpp``; a shell reads them (``io.schemas``) and hands the reader in, so that this part does no I/O. Two jobs:
``check`` judges everything we originate or translate before it leaves; ``fit`` takes out what a version does not know.
What stations say is not judged: they are read leniently. What a CSMS orders is (``read``): an order that is half understood is
an order nobody gave.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import jsonschema_rs

from controller.ocpp.fitting import WHOLE_IN, Fitter, fitter

Payload = dict[str, Any]
Schema = dict[str, Any]
ReadSchema = Callable[[str, str, bool], "Schema | None"]
"""(subprotocol, action, is it an answer) -> its schema; None: this version has no such message."""

LONGEST: Final = 250
"""Characters of a complaint: it must fit into the description of a CALLERROR (255)."""

TOLERATED: Final = frozenset({"multipleOf", "format"})
"""Schema keywords that an order may break: 1.6 limits with several decimals, times without a zone (OCPP-NOTES 16.8)."""
_CODES: Final = {
    **dict.fromkeys(("required", "minItems", "maxItems"), "OccurrenceConstraintViolation"),
    **dict.fromkeys(("enum", "const", "minLength", "maxLength", "minimum", "maximum"), "PropertyConstraintViolation"),
    "type": "TypeConstraintViolation",
}
"""Schema keyword -> error code of part 4; any other: FormatViolation."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """An order that its version's schema does not allow. code: RPC error code in 2.x spelling; text: see ``Shapes.check``."""

    code: str
    text: str


class Shapes:
    """The schemas of all versions, read and compiled when first needed."""

    def __init__(self, read: ReadSchema) -> None:
        self._read = read
        self._judges: dict[tuple[str, str, bool], jsonschema_rs.Validator] = {}
        self._fitters: dict[tuple[str, str, bool], Fitter] = {}

    def knows(self, version: str, action: str) -> bool:
        """Whether a version has an action."""
        return self._read(version, action, False) is not None

    def check(self, version: str, action: str, answer: bool, payload: Payload) -> str:
        """What is wrong with a payload, in one line without its values (they may be secret); "" = it is valid. Never raises."""
        judge = self._judge_of((version, action, answer))
        if judge is None:
            return f"{version} has no {'answer to ' if answer else ''}{action}"
        try:
            return "" if judge.is_valid(payload) else _complaint(judge, payload)
        except Exception as error:  # what is no JSON at all: numbers without end, broken text, foreign objects
            return f"{action}: this cannot be written as JSON ({type(error).__name__})"

    def read(self, version: str, action: str, payload: Payload) -> Payload | Unreadable:
        """A CALL of a CSMS as it is meant: null is "not there", 60.0 is 60, ``TOLERATED`` passes, anything else that breaks the schema is refused. An
        unknown property too: a misspelt evseId must not make a Reset of one EVSE one of the whole site. What is no action of the version
        passes: whoever answers actions says so. Never raises."""
        judge = self._judge_of((version, action, False))
        if judge is None:
            return payload
        try:
            meant: Payload = payload if judge.is_valid(payload) else _without_null(payload)
            return next((_unreadable(error) for error in judge.iter_errors(meant) if not _tolerated(action, error)), meant)
        except Exception as error:
            return Unreadable("FormatViolation", f"{action}: this is no message ({type(error).__name__})")

    def fit(self, version: str, action: str, answer: bool, payload: Payload) -> Payload:
        """The payload as that version can say it: unknown properties and enum values of optional properties left out, texts cut to
        their length, lists to their bounds, numbers to their kind, times to RFC 3339. Never raises; what is required and cannot be said
        stays, for ``check`` to refuse; so do numbers out of range, and identifiers, addresses, keys and blobs that are too long: see
        ``fitting.WHOLE``. An action the version does not have: the payload as it is. The payload given is not changed."""
        fitted = self._fitter_of((version, action, answer))
        if fitted is None or not isinstance(payload, dict):
            return payload
        found: Payload = fitted(payload)
        return found

    def _judge_of(self, key: tuple[str, str, bool]) -> jsonschema_rs.Validator | None:
        if key not in self._judges and (schema := self._read(*key)) is not None:
            self._judges[key] = _judge(schema)
        return self._judges.get(key)

    def _fitter_of(self, key: tuple[str, str, bool]) -> Fitter | None:
        _, action, answer = key
        if key not in self._fitters and (schema := self._read(*key)) is not None:
            self._fitters[key] = fitter(schema, whole=not answer and action in WHOLE_IN)
        return self._fitters.get(key)


def _judge(schema: Schema) -> jsonschema_rs.Validator:
    """Times are judged, addresses are not: what real servers take as a URI is wider than the letter (spaces in ftp paths)."""
    return jsonschema_rs.validator_for(schema, validate_formats=True, formats={"uri": lambda text: True}, mask="this value")


def _without_null(value: Any) -> Any:
    """Several CSMSs write what is not there as null, a whole number as 60.0, and a period's seconds with a fraction, which is cut off (16.8)."""
    if isinstance(value, dict):
        return {key: item if key in ("customData", "data") else _without_null(_whole(key, item)) for key, item in value.items() if item is not None}
    return [_without_null(_whole("", item)) for item in value] if isinstance(value, list) else value


def _whole(key: str, value: Any) -> Any:
    if not isinstance(value, float) or not (value.is_integer() or key in ("startPeriod", "duration")) or abs(value) > 2**53:
        return value
    return math.floor(value)


def _tolerated(action: str, error: jsonschema_rs.ValidationError) -> bool:
    """See ``TOLERATED``; and what vendors tell each other may be any JSON (16.12)."""
    return error.schema_path[-1] in TOLERATED or (action == "DataTransfer" and list(error.instance_path)[:1] == ["data"])


def _unreadable(error: jsonschema_rs.ValidationError) -> Unreadable:
    return Unreadable(_CODES.get(str(error.schema_path[-1]), "FormatViolation"), _line(error))


def _complaint(judge: jsonschema_rs.Validator, payload: Payload) -> str:
    return _line(next(judge.iter_errors(payload)))


def _line(error: jsonschema_rs.ValidationError) -> str:
    where = ".".join(str(step) for step in error.instance_path)
    text = " ".join(f"{where or 'payload'}: {error.message}".split())
    return text if len(text) <= LONGEST else text[: LONGEST - 3] + "..."
