"""What others may send us as JSON: limits and meter values, checked before anybody believes them.

Bytes in, checked models out; ``PayloadError`` says in one sentence, meant for the sender, what
was wrong. Catalogue B36-B40: the unit is required, NaN and Infinity are not numbers, duplicate
keys are refused, numbers in text are refused, payloads end at 4 KiB.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from controller.facts import LimitReceived, LimitUnit, Stamp
from meters.reading import PhaseTriple, Quality, Reading

MAX_PAYLOAD_BYTES = 4096
MAX_AHEAD_S = 60.0  # a sender's clock may be wrong by this much before its "issued_at" is refused
LIMIT_EXAMPLE = '{"value": 40, "unit": "A", "valid_for_s": 900}'
METER_EXAMPLE = '{"current_a": [10.1, 9.8, 11.0], "power_w": 7100}'

Number = Annotated[float, Field(allow_inf_nan=False)]


class PayloadError(ValueError):
    """A payload cannot be used; the text is for its sender."""


class _Payload(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class LimitPayload(_Payload):
    """A limit on a circuit.

    value: per phase [A] or in total [W] by ``unit``; null withdraws the sender's limit.
    valid_for_s: seconds it holds; absent: the site's default. circuit: "grid" is the whole site.
    sequence: rises with each limit of a source. issued_at: ISO 8601 with zone. source: who says so.
    """

    value: float | None = Field(ge=0, le=1e8, allow_inf_nan=False)
    unit: Literal["A", "W"] | None = None
    valid_for_s: float | None = Field(default=None, gt=0, le=1e10, allow_inf_nan=False)
    circuit: str = Field(default="grid", pattern=r"^[A-Za-z0-9_.\-]{1,48}$")
    sequence: int | None = Field(default=None, ge=0, le=2**63 - 1)
    issued_at: str | None = Field(default=None, max_length=40)
    source: str | None = Field(default=None, pattern=r"^[A-Za-z0-9_.\-]{1,32}$")

    @field_validator("issued_at")
    @classmethod
    def _with_zone(cls, text: str | None) -> str | None:
        if text is not None and datetime.fromisoformat(text).tzinfo is None:
            raise ValueError("has no time zone; write for example 2026-11-20T08:00:00Z")
        return text

    @model_validator(mode="after")
    def _unit_with_value(self) -> Self:
        if self.value is not None and self.unit is None:
            raise ValueError('unit is missing: say "A" (per phase) or "W" (all phases together)')
        return self

    @property
    def issued_wall_s(self) -> float | None:
        """``issued_at`` as Unix time."""
        return None if self.issued_at is None else datetime.fromisoformat(self.issued_at).timestamp()


class MeterPayload(_Payload):
    """Values of a meter, import positive. current_a and voltage_v: one number per phase, one or three phases."""

    current_a: tuple[Number, ...] | None = Field(default=None, min_length=1, max_length=3)
    power_w: Number | None = None
    voltage_v: tuple[Number, ...] | None = Field(default=None, min_length=1, max_length=3)
    energy_import_wh: Number | None = None
    energy_export_wh: Number | None = None
    soc_percent: Number | None = None

    @field_validator("current_a", "voltage_v", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        if isinstance(value, list):
            return tuple(value)
        return (value,) if isinstance(value, int | float) and not isinstance(value, bool) else value

    @model_validator(mode="after")
    def _not_empty(self) -> Self:
        if self.current_a is None and self.power_w is None and self.soc_percent is None:
            raise ValueError("there is neither current_a nor power_w nor soc_percent")
        return self


def parse_limit(payload: bytes, at: Stamp, channel: str, default_valid_for_s: float, retained: bool = False) -> LimitReceived:
    """The limit in a payload. channel: "mqtt" or "api", becomes the source. Raises PayloadError."""
    limit = _validated(LimitPayload, payload, LIMIT_EXAMPLE)
    issued_wall_s = limit.issued_wall_s
    if issued_wall_s is not None and at.wall_trusted and issued_wall_s > at.wall_s + MAX_AHEAD_S:
        raise PayloadError(f"issued_at lies {issued_wall_s - at.wall_s:.0f} s in the future; check the sender's clock and zone")
    return LimitReceived(
        at=at,
        source=f"{channel}:{limit.source}" if limit.source else channel,
        circuit=limit.circuit,
        value=limit.value,
        unit=LimitUnit(limit.unit or "A"),
        valid_for_s=default_valid_for_s if limit.valid_for_s is None else limit.valid_for_s,
        sequence=limit.sequence,
        issued_wall_s=issued_wall_s,
        retained=retained,
    )


def parse_meter(payload: bytes, meter_id: str) -> Reading:
    """The reading in a payload, not yet judged. Raises PayloadError."""
    values = _validated(MeterPayload, payload, METER_EXAMPLE)
    return Reading(
        meter_id=meter_id,
        quality=Quality.GOOD,
        current_a=_phases(values.current_a),
        voltage_v=_phases(values.voltage_v),
        power_w=values.power_w,
        energy_import_wh=values.energy_import_wh,
        energy_export_wh=values.energy_export_wh,
        soc_percent=values.soc_percent,
    )


def load_json(payload: bytes, max_bytes: int = MAX_PAYLOAD_BYTES) -> Any:
    """Strict JSON: UTF-8, no NaN or Infinity, no duplicate keys, at most ``max_bytes``. Raises PayloadError."""
    if not payload.strip():
        raise PayloadError("the payload is empty")
    if len(payload) > max_bytes:
        raise PayloadError(f"the payload is longer than {max_bytes} bytes")
    try:
        return json.loads(payload.decode("utf-8"), parse_constant=_refuse_constant, object_pairs_hook=_refuse_duplicates)
    except UnicodeDecodeError:
        raise PayloadError("the payload is not UTF-8 text") from None
    except PayloadError:
        raise
    except (ValueError, RecursionError):
        raise PayloadError("the payload is not JSON") from None


def shown(payload: bytes, limit: int = 200) -> str:
    """The beginning of a payload, safe to show: no control characters."""
    text = payload[:limit].decode("utf-8", errors="replace")
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


ModelT = TypeVar("ModelT", bound=_Payload)


def _validated(model: type[ModelT], payload: bytes, example: str) -> ModelT:
    data = load_json(payload)
    if not isinstance(data, dict):
        raise PayloadError(f"the payload must be a JSON object, for example {example}")
    try:
        return model.model_validate(data)
    except ValidationError as error:
        problems = "; ".join(_sentence(item) for item in error.errors()[:5])
        raise PayloadError(f"{problems} (for example {example})") from None


def _sentence(item: Any) -> str:
    where = ".".join(str(step) for step in item["loc"])[:80]
    if item["type"] == "missing":
        return f"{where} is missing"
    if item["type"] == "extra_forbidden":
        return f"{where} is not a known key"
    message = str(item["msg"]).removeprefix("Value error, ")
    return f"{where}: {message}" if where else message


def _phases(values: tuple[float, ...] | None) -> PhaseTriple:
    padded = [*(values or ()), None, None, None]
    return padded[0], padded[1], padded[2]


def _refuse_constant(name: str) -> float:
    raise PayloadError(f"{name} is not a number that can be used")


def _refuse_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise PayloadError(f"{key[:80]} is given twice")
        found[key] = value
    return found
