"""What a SetDERControl says: one body that belongs to its type, in its ranges, with a time exactly if it is scheduled (R04).

Percentages, power factors and curves are kept as they came: the sign of a FixedVar setpoint is its sender's (trap 24).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

from controller.ocpp.times import wall_time

Payload = dict[str, Any]

_OWN_BODY: Final = {
    "EnterService": "enterService",
    "FixedPFAbsorb": "fixedPFAbsorb",
    "FixedPFInject": "fixedPFInject",
    "FixedVar": "fixedVar",
    "FreqDroop": "freqDroop",
    "Gradients": "gradient",
    "LimitMaxDischarge": "limitMaxDischarge",
}
_CURVES: Final = (
    *("FreqWatt", "HFMustTrip", "HFMayTrip", "HVMustTrip", "HVMomCess", "HVMayTrip", "LFMustTrip", "LVMustTrip", "LVMomCess", "LVMayTrip"),
    *("PowerMonitoringMustTrip", "VoltVar", "VoltWatt", "WattPF", "WattVar"),
)
BODY_OF: Final = _OWN_BODY | dict.fromkeys(_CURVES, "curve")
"""Type of control -> the field of SetDERControl that holds it."""
BODIES: Final = frozenset(BODY_OF.values())
NEVER_SCHEDULED: Final = ("EnterService", "Gradients")
"""Their bodies have no time, so they can only be defaults."""
LONGEST_S: Final = 10 * 366 * 86_400.0
"""Longer than this lasts no control [s]."""


class BodyError(Exception):
    """A control that cannot be accepted. reason_code: <= 20 characters, as in the 2.x appendix; info: for people."""

    def __init__(self, reason_code: str, info: str) -> None:
        super().__init__(f"{reason_code}: {info}")
        self.reason_code = reason_code
        self.info = info


@dataclass(frozen=True, slots=True)
class Read:
    """A control as asked for. start_wall_s, duration_s: both or, for a default, none."""

    control_id: str
    control_type: str
    default: bool
    priority: int
    body: Payload
    start_wall_s: float | None
    duration_s: float | None


def read_body(request: Payload) -> Read:
    """Raises BodyError."""
    control_id, control_type, default = request.get("controlId"), request.get("controlType"), request.get("isDefault")
    if not isinstance(control_id, str) or not 1 <= len(control_id) <= 36:
        raise BodyError("InvalidValue", "controlId is not a text of 1 to 36 characters")
    if control_type not in BODY_OF or not isinstance(default, bool):
        raise BodyError("InvalidValue", "controlType or isDefault cannot be read")
    body = _body(request, control_type)
    priority = body.get("priority")
    if type(priority) is not int or priority < 0:
        raise BodyError("InvalidValue", "priority is not a whole number from 0 on")
    _check_values(control_type, body)
    start_wall_s, duration_s = _times(control_type, default, body)
    return Read(control_id, control_type, default, priority, body, start_wall_s, duration_s)


def _body(request: Payload, control_type: str) -> Payload:
    given = sorted(key for key in BODIES if request.get(key) is not None)
    wanted = BODY_OF[control_type]
    if given != [wanted]:
        raise BodyError("InvalidValue", f"a control of type {control_type} has {wanted} and nothing else, not {', '.join(given) or 'nothing'}")
    body = request[wanted]
    if not isinstance(body, dict):
        raise BodyError("InvalidValue", f"{wanted} is not an object")
    return body


def _check_values(control_type: str, body: Payload) -> None:
    if control_type == "LimitMaxDischarge":
        percent = body.get("pctMaxDischargePower")
        if percent is None and body.get("powerMonitoringMustTrip") is None:
            raise BodyError("MissingParam", "limitMaxDischarge limits nothing")
        if percent is not None and not _within(percent, 0.0, 100.0):
            raise BodyError("InvalidValue", "pctMaxDischargePower is not between 0 and 100 %")
    if control_type == "FixedVar" and not _within(body.get("setpoint"), -100.0, 100.0):
        raise BodyError("InvalidValue", "the setpoint of fixedVar is not between -100 and 100 %")
    if control_type.startswith("FixedPF") and not _within(body.get("displacement"), 0.0, 1.0):
        raise BodyError("InvalidValue", "the displacement of a power factor is not between 0 and 1")
    if BODY_OF[control_type] == "curve" and not 1 <= len(body.get("curveData") or ()) <= 10:
        raise BodyError("InvalidValue", "curveData is not a list of 1 to 10 points")


def _within(value: Any, low: float, high: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high


def _times(control_type: str, default: bool, body: Payload) -> tuple[float | None, float | None]:
    start, duration = body.get("startTime"), body.get("duration")
    if default:
        if start is not None or duration is not None:
            raise BodyError("InvalidValue", "a default control has neither startTime nor duration")
        return None, None
    if control_type in NEVER_SCHEDULED:
        raise BodyError("InvalidValue", f"{control_type} can only be a default")
    if start is None or duration is None:
        raise BodyError("MissingParam", "a scheduled control needs startTime and duration")
    start_wall_s = wall_time(start)
    if start_wall_s is None:
        raise BodyError("InvalidValue", "startTime cannot be read")
    if not _within(duration, 0.0, LONGEST_S) or not math.isfinite(duration) or duration <= 0:
        raise BodyError("InvalidValue", "duration is not a number of seconds above 0")
    return start_wall_s, float(duration)
