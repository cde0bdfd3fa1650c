"""Meters no fuse hangs on: what people are told when they fall silent, never speak, and come back."""

from __future__ import annotations

from controller.orders import Severity, Tell
from controller.site.meters.sides import Side
from meters.reading import Quality, Reading

LOST_S = 10.0


def look(side: Side, now: float) -> list[tuple[Severity, str]]:
    return [(tell.severity, tell.text) for tell in side.look(now, LOST_S, 0.0) if isinstance(tell, Tell)]


def watts(power_w: float) -> Reading:
    return Reading("sun", power_w=power_w, quality=Quality.GOOD)


def test_one_that_never_spoke_is_told_once_with_the_reason() -> None:
    side = Side("sun", "pv")
    assert look(side, 100.0) == []
    side.detail = "meter.invalid is a name nobody knows"
    assert look(side, 109.0) == []
    ((severity, text),) = look(side, 110.0)
    assert severity is Severity.WARNING
    assert text == "pv meter sun silent (meter.invalid is a name nobody knows) - planning goes on without it; check its cable and power"
    assert look(side, 500.0) == []


def test_falling_silent_and_coming_back_are_each_told_once() -> None:
    side = Side("cell", "battery")
    look(side, 0.0)
    side.read(watts(-500.0), 1.0)
    assert look(side, 2.0) == []
    ((_, silent),) = look(side, 11.5)
    assert "room is kept for what the battery gave last" in silent
    assert look(side, 20.0) == []
    side.read(watts(-400.0), 30.0)
    assert look(side, 30.5) == [(Severity.INFO, "battery meter cell tells values again")]
    assert look(side, 31.0) == []
