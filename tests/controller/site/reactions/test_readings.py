"""Readings that are shown and decide nothing. The fast path is in test_guard and ``meters``."""

from __future__ import annotations

from tests.support.site_story import Story, depot


def test_pv_and_battery_meters_are_shown_and_guard_nothing() -> None:
    meters = [{"id": "roof", "role": "pv", "source": {"type": "mqtt", "topic": "roof"}}]
    told = Story(depot(1, meters=meters))
    told.start()
    told.do(told.reading((0.0, 0.0, 0.0), meter="roof", power_w=-5000.0))
    assert told.site.view(told.at()).grid.pv_w == -5000.0
    told.run(15)
    assert told.site.mode.mode.value == "normal"
    assert told.told("pv meter roof silent")
    assert told.site.view(told.at()).grid.pv_w is None
