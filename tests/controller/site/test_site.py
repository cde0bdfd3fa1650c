"""The door of the site half: what it shows and publishes in its rhythm, and what it does not know."""

from __future__ import annotations

import pytest

from controller.facts import (
    EvseKey,
    EvseStatus,
    EvseStatusChanged,
    SessionChanged,
    StationConnected,
    StationOffline,
)
from controller.orders import InstallFloor, RecordPoint
from meters.reading import Quality, Reading
from tests.support.site_story import Story, depot

CP1, CP2, CP3 = EvseKey("CP1", 1), EvseKey("CP2", 1), EvseKey("CP3", 1)


def present(told: Story, key: EvseKey) -> float:
    return told.site.actuator.channels[key].present_a(told.now)


def test_states_on_the_page() -> None:
    told = Story(depot(3))
    told.start(["CP1", "CP2"])
    told.plug(CP1)
    told.run(5)
    told.do(EvseStatusChanged(told.at(), CP2, EvseStatus.FAULTED))
    view = told.site.view(told.at())
    assert [one.state for one in view.evses] == ["charging", "faulted", "offline"]
    one = view.evses[0]
    assert (one.limit_a, one.power_w, one.floor_a, one.floor_confirmed, one.online) == (32.0, 32 * 690.0, 6.0, True, True)
    assert one.ends_wall_s is not None
    assert view.grid.ev_power_w == 32 * 690.0
    assert view.grid.building_w == pytest.approx(10 * 690.0, abs=1.0)
    assert view.circuits[0].load_a[0] == pytest.approx(42.0, abs=0.1)
    told.limit(0.0)
    told.run(3)
    assert told.site.view(told.at()).evses[0].state in ("waiting", "paused")
    told.unplug(CP1)
    told.run(1)
    assert told.site.view(told.at()).evses[0].state == "available"


def test_state_is_published_and_points_are_recorded_in_their_rhythm() -> None:
    told = Story(depot(1))
    told.start()
    told.plug(CP1)
    told.orders.clear()
    told.run(40)
    assert 7 <= len(told.published("state")) <= 9
    grid = [point for point in told.of(RecordPoint) if point.measurement == "grid"]
    assert 3 <= len(grid) <= 5
    assert {"current_l1_a", "power_w", "limit_l1_a", "ev_power_w"} <= set(grid[-1].fields)
    told.unplug(CP1)
    session = [point for point in told.of(RecordPoint) if point.measurement == "session"]
    assert len(session) == 1
    assert session[0].tags["evse"] == "CP1/1"


def test_what_the_site_does_not_know_does_not_disturb_it() -> None:
    told = Story(depot(1))
    stranger = EvseKey("CP9", 1)
    told.do(SessionChanged(told.at(), stranger, "tx", None, started=True))
    told.do(EvseStatusChanged(told.at(), stranger, EvseStatus.AVAILABLE))
    told.do(StationOffline(told.at(), "CP9"))
    told.do(told.reading((1.0, 1.0, 1.0), Quality.GOOD, meter="nobody"))
    assert told.do(StationConnected(told.at(), "CP1", 1, "2.0.1", "127.0.0.1")) == []
    assert told.site.meters.grid_current_a() is None
    assert Reading("x", Quality.GOOD).power_w is None
    assert not told.of(InstallFloor)
