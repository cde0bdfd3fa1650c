"""What may come in over the HTTP API: bodies, query strings, and how a mistake in them is told.

Every wrong input becomes one ``ApiError``: an HTTP status, a sentence, and the list of fields with
their problems. Nothing from outside reaches the engine before it has passed a model here, or in ``payloads`` for the limit that MQTT and
API share (B33).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar

from aiohttp import web
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

MAX_BODY_BYTES = 64 * 1024
MAX_POINTS = 5000
MAX_ENERGY_WH = 1_000_000.0
LATEST_WALL_S = 253_402_300_799.0  # 9999-12-31, the last moment datetime can show


class Problem(BaseModel):
    """One field and what is wrong with it; an empty field means the request as a whole."""

    field: str
    message: str


class ErrorBody(BaseModel):
    """Body of every answer with a status of 400 or higher."""

    error: str = Field(description="One sentence for a person.")
    problems: list[Problem] = Field(default=[], description="The fields at fault, if the mistake is in a field.")


class ApiError(Exception):
    """A request that is refused. status: 4xx, or 503 when a part of the controller is away."""

    def __init__(
        self, status: int, error: str, problems: list[Problem] | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(error)
        self.status = status
        self.body = ErrorBody(error=error, problems=problems or [])
        self.headers = dict(headers or {})

    @classmethod
    def of_field(cls, status: int, field: str, message: str) -> ApiError:
        """The mistake is in exactly one field."""
        return cls(status, f"{field}: {message}", [Problem(field=field, message=message)])

    def response(self) -> web.Response:
        """The JSON answer that says so."""
        return web.json_response(text=self.body.model_dump_json(), status=self.status, headers=self.headers)


def _moment(value: Any) -> Any:
    """Unix seconds, or ISO 8601 with a zone, as Unix seconds [s]. Without a zone it is refused, not guessed."""
    if not isinstance(value, str):
        return value
    try:
        return float(value)
    except ValueError:
        pass
    try:
        parsed = datetime.fromisoformat(value)
    except ValueError:
        raise ValueError("must be Unix seconds or ISO 8601 with a zone, e.g. 2026-03-01T17:30:00+01:00") from None
    if parsed.tzinfo is None:
        raise ValueError("has no zone; add Z or an offset such as +01:00")
    return (parsed - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()


def _not_bool(value: Any) -> Any:
    """pydantic takes true for 1.0; here it is a mistake."""
    if isinstance(value, bool):
        raise ValueError("must be a number, not true or false")
    return value


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise ValueError("must be a finite number")
    return value


Number = Annotated[float, BeforeValidator(_not_bool), AfterValidator(_finite)]
Moment = Annotated[float, BeforeValidator(_moment), BeforeValidator(_not_bool), Field(ge=0, le=LATEST_WALL_S)]


class Body(BaseModel):
    """Base of everything that comes in: unknown fields are errors, numbers are not read from text."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class NeedBody(Body):
    """What the car at an EVSE still needs. At least one of energy_wh and departure."""

    energy_wh: Annotated[Number, Field(strict=True, ge=0, le=MAX_ENERGY_WH)] | None = Field(
        default=None, description="Energy still to be charged [Wh]."
    )
    departure: Moment | None = Field(
        default=None,
        description="When the car leaves: Unix seconds, or ISO 8601 with a zone.",
        json_schema_extra={
            "anyOf": [{"type": "number", "minimum": 0}, {"type": "string", "format": "date-time"}, {"type": "null"}]
        },
    )
    transaction_id: str | None = Field(
        default=None, max_length=64, description="If given and another session is running by now, the answer is 409."
    )

    @model_validator(mode="after")
    def _says_something(self) -> NeedBody:
        if self.energy_wh is None and self.departure is None:
            raise ValueError("energy_wh or departure is needed")
        return self


class HistoryQuery(Body):
    """Which points of the history."""

    measurement: str = Field(pattern=r"^[A-Za-z0-9_.\-]{1,64}$", description="Kind of point, e.g. grid, evse, session.")
    since: Moment | None = Field(default=None, description="First moment; default: one hour before until.")
    until: Moment | None = Field(default=None, description="Last moment; default: now.")
    max_points: int = Field(default=500, ge=1, le=MAX_POINTS, description="At most so many points; more are thinned out.")
    tags: dict[str, str] = Field(default={}, max_length=8, description="Only points with these tags.")


class EventsQuery(Body):
    """Which events."""

    after: int = Field(default=0, ge=0, le=2**53, description="Only events with a higher number.")


Incoming = TypeVar("Incoming", bound=BaseModel)


def checked(model: type[Incoming], data: Any) -> Incoming:
    """``data`` as a ``model``.

    Raises ApiError 422 with every field at fault.
    """
    try:
        return model.model_validate(data)
    except ValidationError as error:
        problems = [
            Problem(field=_path(item["loc"]), message=_message(item))
            for item in error.errors(include_url=False, include_input=False)
        ]
        first = problems[0]
        raise ApiError(422, f"{first.field}: {first.message}" if first.field else first.message, problems) from None


def _path(location: tuple[int | str, ...]) -> str:
    """The field's name; pydantic adds the branch of a union behind it, which tells a caller nothing."""
    return str(location[0])[:80] if location else ""


def _message(item: Any) -> str:
    text = str(item["msg"]).removeprefix("Value error, ")
    return "is not a field of this call" if item["type"] == "extra_forbidden" else text


async def read_json(request: web.Request) -> Any:
    """The JSON object in the body.

    Raises ApiError: 415 wrong content type, 413 over 64 KiB, 400 not UTF-8 or not a JSON object.
    """
    if request.content_type != "application/json":
        raise ApiError(415, "Content-Type must be application/json.")
    try:
        raw = await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise ApiError(413, f"The body is larger than {MAX_BODY_BYTES} bytes.") from None
    except web.RequestPayloadError:
        raise ApiError(400, "The body is not what Content-Encoding or Transfer-Encoding say it is.") from None
    try:
        data = json.loads(raw.decode("utf-8"), parse_constant=_refuse_constant, object_pairs_hook=_without_duplicates)
    except (ValueError, RecursionError):
        raise ApiError(400, "The body is not valid JSON (RFC 8259, UTF-8, no NaN or Infinity).") from None
    if not isinstance(data, dict):
        raise ApiError(400, "The body must be a JSON object.")
    return data


def _refuse_constant(name: str) -> float:
    raise ValueError(name)


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Which of two equal keys counts would be a guess, so neither does."""
    data: dict[str, Any] = {}
    for key, value in pairs:
        if key in data:
            raise ApiError.of_field(400, key[:80], "is given twice")
        data[key] = value
    return data


def read_query(
    request: web.Request, model: type[Incoming], tags: bool = False, fixed: Mapping[str, Any] | None = None
) -> Incoming:
    """The query string as a ``model``; ``tag=name:value`` may repeat when ``tags``; ``fixed`` fields are not asked for.

    Raises ApiError 422 for a field that is unknown, repeated or wrong.
    """
    data: dict[str, Any] = {}
    found: dict[str, str] = {}
    for key, value in request.query.items():
        if tags and key == "tag":
            name, colon, wanted = value.partition(":")
            if not (name and colon):
                raise ApiError.of_field(422, "tag", "must look like tag=name:value")
            found[name] = wanted
        elif key == "tags" or key in (fixed or {}):
            raise ApiError.of_field(422, key, "is not a field of this call")
        elif key in data:
            raise ApiError.of_field(422, key[:80], "is given twice")
        else:
            data[key] = value
    return checked(model, {**data, **({"tags": found} if tags else {}), **(fixed or {})})
