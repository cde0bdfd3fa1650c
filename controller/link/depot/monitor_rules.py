"""When a monitor on one of the depot's own variables speaks (N04, N07): thresholds with hysteresis, changes, periods. Pure.

A threshold alerts once when it is crossed and clears once when the value is back by more than 1 % of it: a site that
runs at its limit must not flood its CSMS. A value that is not known now changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from controller.facts import Stamp
from controller.link.depot.addresses import Name, name_of
from controller.link.depot.own_words import Own

Payload = dict[str, Any]
HYSTERESIS: Final = 0.01
NUMBERS: Final = ("UpperThreshold", "LowerThreshold", "Delta", "Periodic", "PeriodicClockAligned")
WORDS: Final = ("Delta", "Periodic", "PeriodicClockAligned")
"""Of what can be watched on a variable that is no number: that it changed, and what it is."""
CRITERIA: Final = {
    "ThresholdMonitoring": ("UpperThreshold", "LowerThreshold"),
    "DeltaMonitoring": ("Delta", "TargetDelta", "TargetDeltaRelative"),
    "PeriodicMonitoring": ("Periodic", "PeriodicClockAligned"),
}
DAY_S: Final = 86_400


@dataclass(frozen=True, slots=True)
class Monitor:
    """As it was set. component, variable: in the depot's words; value: threshold, change, or seconds."""

    id: int
    component: Payload
    variable: Payload
    type: str
    value: float
    severity: int
    transaction: bool = False

    @property
    def name(self) -> Name:
        """Of the variable it watches."""
        return name_of(self.component, self.variable)

    def stored(self) -> Payload:
        """As it is kept on disk."""
        return {word: getattr(self, word) for word in ("id", "component", "variable", "type", "value", "severity", "transaction")}

    def told(self) -> Payload:
        """As variableMonitoring of a report."""
        kept = {word: getattr(self, word) for word in ("id", "transaction", "value", "type", "severity")}
        return {**kept, "eventNotificationType": "CustomMonitor"}


@dataclass(slots=True)
class Watch:
    """What one monitor has seen. alert: number of the event that is not cleared yet. told: value last told. due_mono_s: of the next period."""

    alert: int | None = None
    told: str | None = None
    due_mono_s: float | None = None
    slot: int | None = None


def monitor(stored: Any) -> Monitor | None:
    """What ``Monitor.stored`` gave; None = unreadable."""
    try:
        return Monitor(**stored)
    except TypeError:
        return None


def refusal(own: Own, item: Payload) -> tuple[str, str]:
    """(status, reason code) why a monitor cannot be set on an own variable; ("", "") = it can (N04.FR.06-09)."""
    kind, value = item["type"], item["value"]
    if not own.monitored or kind not in (NUMBERS if _is_number(own) else WORDS):
        return "UnsupportedMonitorType", ""
    if kind == "Delta" and value < 0:
        return "Rejected", "ValuePositiveOnly"
    if kind.startswith("Periodic") and (value < 1 or (kind == "PeriodicClockAligned" and value > DAY_S)):
        return "Rejected", "ValueOutOfRange"
    if kind.endswith("Threshold") and own.high is not None and value > own.high:
        return "Rejected", "ValueTooHigh"
    if kind.endswith("Threshold") and own.low is not None and value < own.low:
        return "Rejected", "ValueTooLow"
    return "", ""


def look(rule: Monitor, watch: Watch, value: str, at: Stamp) -> tuple[str, bool] | None:
    """(trigger, cleared) of the event a value means now; None = no event. Changes ``watch``, but for ``alert``: the caller numbers events."""
    if rule.type.endswith("Threshold"):
        return _threshold(rule, watch, value)
    if rule.type == "Delta":
        return _delta(rule, watch, value)
    return _period(rule, watch, at)


def _threshold(rule: Monitor, watch: Watch, value: str) -> tuple[str, bool] | None:
    number = as_number(value)
    if number is None:
        return None
    over = number - rule.value if rule.type == "UpperThreshold" else rule.value - number
    if watch.alert is None:
        return ("Alerting", False) if over > 0 else None
    return ("Alerting", True) if over <= -HYSTERESIS * abs(rule.value) else None


def _delta(rule: Monitor, watch: Watch, value: str) -> tuple[str, bool] | None:
    if watch.told is None:
        watch.told = value
        return None
    old, new = as_number(watch.told), as_number(value)
    moved = abs(new - old) >= rule.value and new != old if old is not None and new is not None else value != watch.told
    if not moved:
        return None
    watch.told = value
    return "Delta", False


def _period(rule: Monitor, watch: Watch, at: Stamp) -> tuple[str, bool] | None:
    if rule.type == "PeriodicClockAligned":  # counted from midnight UTC
        slot = int(at.wall_s // DAY_S) * DAY_S + int(at.wall_s % DAY_S // rule.value)
        before, watch.slot = watch.slot, slot
        return ("Periodic", False) if before is not None and before != slot else None
    if watch.due_mono_s is None:
        watch.due_mono_s = at.mono_s + rule.value
        return None
    if at.mono_s < watch.due_mono_s:
        return None
    watch.due_mono_s = max(watch.due_mono_s + rule.value, at.mono_s)
    return "Periodic", False


def as_number(value: str) -> float | None:
    """A value as number; true and false are 1 and 0; None = it is neither."""
    if value in ("true", "false"):
        return float(value == "true")
    try:
        return float(value)
    except ValueError:
        return None


def _is_number(own: Own) -> bool:
    return own.data_type in ("decimal", "integer", "boolean")
