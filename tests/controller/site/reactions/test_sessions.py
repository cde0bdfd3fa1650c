"""Sessions: replays begin none, and a pause a station tells is a current it tells.

1.6 sends no meter value with a pause, and the last one may be a minute old.
"""

from __future__ import annotations

import pytest

from controller.facts import ChargingState, EvseKey, EvseMeasured, SessionChanged
from controller.orders import Inject, Persist
from tests.support.site_story import Story, depot

CP1 = EvseKey("CP1", 1)


def charging(amps: float = 16.0) -> Story:
    told = Story(depot(1))
    told.start()
    told.plug(CP1, wants_a=amps)
    told.run(20)
    assert told.site.evses[CP1].drawn_a == pytest.approx(amps)
    return told


def tells(told: Story, state: ChargingState) -> None:
    session = told.site.evses[CP1].session
    assert session is not None
    told.do(SessionChanged(told.at(), CP1, session.transaction_id, state))


@pytest.mark.parametrize("state", [ChargingState.SUSPENDED_EVSE, ChargingState.SUSPENDED_EV])
def test_a_told_pause_is_no_current_from_now_on(state: ChargingState) -> None:
    told = charging()
    told.now += 3.0
    tells(told, state)
    evse = told.site.evses[CP1]
    assert (evse.drawn_a, evse.power_w, evse.measured_mono_s) == (0.0, 0.0, told.now)


def test_the_same_pause_told_again_hides_no_current() -> None:
    told = charging()
    tells(told, ChargingState.SUSPENDED_EVSE)
    told.do(EvseMeasured(told.at(), CP1, (9.0, 9.0, 9.0)))
    tells(told, ChargingState.SUSPENDED_EVSE)
    assert told.site.evses[CP1].drawn_a == 9.0


def test_who_pauses_as_told_is_not_pursued_for_an_old_meter_value() -> None:
    """Closed loop, seed 1: a paused 1.6 box was made unavailable while its minute-old value said 6 A and the fuse was over."""
    told = charging()
    told.limit(6.0)
    told.limit(0.0)
    told.now += 2.0
    told.report()  # one value right after the cut, before the car could react
    told.now += 3.0
    told.drawn_a[CP1] = 0.0
    tells(told, ChargingState.SUSPENDED_EVSE)
    for _ in range(50):  # then nothing until the next minute; the building is above the limit for a while
        told.step(building_a=64.0, report=False)
    assert told.told("draws 16 A with a setpoint of 0 A") == []
    assert told.blocked() == []


def test_a_replay_after_reconnect_starts_no_session_and_sends_nothing() -> None:
    told = Story(depot(1))
    told.start()
    told.orders.clear()
    told.do(SessionChanged(told.at(), CP1, "old", ChargingState.CHARGING, started=True, live=False))
    told.run(3)
    assert not told.of(Inject)
    assert not told.of(Persist)
