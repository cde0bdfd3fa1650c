"""One EVSE, a station's messages about it, and moments, for tests of the picture."""

from __future__ import annotations

from controller.facts import ChargingState, EvseKey, EvseMeasured, SessionChanged, Stamp
from controller.site import state
from controller.site.layout import layout_of
from controller.site.state import EvseState
from tests.support.site_story import depot

KEY = EvseKey("CP1", 1)


def at(now: float = 0.0) -> Stamp:
    """A moment, trusted."""
    return Stamp(now, 1_780_000_000.0 + now)


def evse(phases: tuple[str, ...] = ("L1", "L2", "L3"), session: bool = True) -> EvseState:
    """An EVSE, with a session that has just begun."""
    layout = layout_of(depot(1, evse={"phases": list(phases)}), {})
    made = EvseState(layout.places[KEY])
    return state.session_changed(made, SessionChanged(at(), KEY, "tx", ChargingState.CHARGING, started=True)) if session else made


def told(now: float = 0.0, current: tuple[float | None, ...] = (None, None, None), **more: float) -> EvseMeasured:
    """A meter value of its station."""
    return EvseMeasured(at(now), KEY, current, **more)  # type: ignore[arg-type]
