"""What sources state as JSON, checked before it becomes a fact: limits, failsafe values, heartbeats.

One message may state both directions. What it does not name is not stated; null states that there is no limit. Numbers are taken as they
are, negative ones too: refusing them, with a reason and a line in the compliance log, is the site's business. ``PayloadError`` is for
everything that cannot be read at all (B36-B40).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError, field_validator

from controller.facts import Direction, Fact, FailsafeStated, LimitStated, SignalBeat, Stamp
from controller.io.mqtt.payloads import PayloadError, load_json
from controller.orders import AnswerSignal, TellSource

EXAMPLE: Final = '{"consumption_w": 4200, "duration_s": 900}'
NO_WATTS: Final = frozenset({"value", "unit", "limit", "limit_a", "consumption_a", "consumption_kw", "production_kw"})


class SignalPayload(BaseModel):
    """A statement of a source of limits. {} is a heartbeat."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    consumption_w: float | None = Field(default=None, description="Most import of what the source binds [W], >= 0; null: no limit.")
    production_w: float | None = Field(default=None, description="Most feed-in at the grid connection [W], >= 0; null: no limit.")
    duration_s: float | None = Field(default=None, description="The limits end by themselves after so long [s]; absent: they do not.")
    sequence: int | None = Field(
        default=None, ge=0, le=2**63 - 1, validation_alias=AliasChoices("sequence", "seq"), description="Rises with each message."
    )
    issued_at: str | None = Field(default=None, max_length=40, description="When it was issued, ISO 8601 with zone; a retained message needs it.")
    failsafe_consumption_w: float | None = Field(default=None, description="Failsafe of consumption from now on [W].")
    failsafe_production_w: float | None = Field(default=None, description="Failsafe of feed-in from now on [W].")
    failsafe_duration_s: float | None = Field(default=None, description="Shortest life of a failsafe, 7200 to 86400 s.")
    detail: str = Field(default="", max_length=200, description="For people; goes into the compliance log.")

    @field_validator("issued_at")
    @classmethod
    def _with_zone(cls, text: str | None) -> str | None:
        if text is not None and datetime.fromisoformat(text).tzinfo is None:
            raise ValueError("has no time zone; write for example 2026-11-20T08:00:00Z")
        return text

    @property
    def issued_wall_s(self) -> float | None:
        """``issued_at`` as Unix time."""
        return None if self.issued_at is None else datetime.fromisoformat(self.issued_at).timestamp()


def parse(payload: bytes) -> SignalPayload:
    """The statement in a payload. Raises PayloadError."""
    data = load_json(payload)
    if not isinstance(data, dict):
        raise PayloadError(f"the payload must be a JSON object, for example {EXAMPLE}")
    if strange := NO_WATTS & data.keys():
        raise PayloadError(f"{min(strange)} is not known: a limit is consumption_w or production_w, a number of watts (for example {EXAMPLE})")
    return checked(data)


def checked(data: Any) -> SignalPayload:
    """The same for an object that was read already. Raises PayloadError."""
    try:
        return SignalPayload.model_validate(data)
    except ValidationError as error:
        problems = "; ".join(_sentence(item) for item in error.errors()[:5])
        raise PayloadError(f"{problems} (for example {EXAMPLE})") from None


def facts_of(said: SignalPayload, source: str, at: Stamp, retained: bool, number: Callable[[], int]) -> list[Fact]:
    """What a statement means, in the order it counts: failsafe values first, as a limit may end a failsafe. number: of each that is answered."""
    facts: list[Fact] = []
    told = said.model_fields_set
    failsafes = {Direction.CONSUMPTION: said.failsafe_consumption_w, Direction.PRODUCTION: said.failsafe_production_w}
    for way, watts in failsafes.items():
        if watts is not None or said.failsafe_duration_s is not None:
            facts.append(FailsafeStated(at, source, way, watts, said.failsafe_duration_s, number()))
    for way, name in ((Direction.CONSUMPTION, "consumption_w"), (Direction.PRODUCTION, "production_w")):
        if name in told:
            value_w = getattr(said, name)
            order = (said.sequence, said.issued_wall_s, retained)
            facts.append(LimitStated(at, source, way, value_w, said.duration_s, *order, number(), said.detail))
    if not retained and not any(isinstance(fact, LimitStated) for fact in facts):
        facts.append(SignalBeat(at, source))
    return facts


def answer_text(answer: AnswerSignal, **more: Any) -> str:
    """What became of a statement, as JSON."""
    return _text({"accepted": answer.accepted, "reason": answer.reason, "in_force_w": answer.in_force_w, **more})


def state_text(told: TellSource) -> str:
    """State and readings of a source, as JSON."""
    return _text(
        {
            "state": told.state,
            "limit_w": told.limit_w,
            "production_limit_w": told.production_limit_w,
            "power_w": _whole(told.power_w),
            "controllable_w": _whole(told.controllable_w),
            "pv_w": _whole(told.pv_w),
            "battery_w": _whole(told.battery_w),
            "at_wall_s": round(told.wall_s, 1),
        }
    )


def _whole(watts: float | None) -> float | None:
    return None if watts is None else round(watts, 1)


def _text(value: dict[str, Any]) -> str:
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


def _sentence(item: Any) -> str:
    where = ".".join(str(step) for step in item["loc"])[:80]
    if item["type"] == "extra_forbidden":
        return f"{where} is not a known key"
    message = str(item["msg"]).removeprefix("Value error, ")
    return f"{where}: {message}" if where else message
