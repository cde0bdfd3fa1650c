"""What the CSMS wishes of an EVSE or of a station lowers, and never raises."""

from __future__ import annotations

import pytest

from controller.facts import (
    EvseKey,
    LimitStep,
    UpstreamWished,
)
from tests.support.site_story import Story, depot

CP1 = EvseKey("CP1", 1)


def present(told: Story, key: EvseKey) -> float:
    return told.site.actuator.channels[key].present_a(told.now)


@pytest.mark.parametrize(("amps", "expected"), [(16.0, 16.0), (5.0, 0.0), (0.0, 0.0), (99.0, 32.0)])
def test_upstream_wishes_only_lower(amps: float, expected: float) -> None:
    told = Story(depot(1))
    told.start()
    told.plug(CP1)
    told.do(UpstreamWished(told.at(), CP1, (LimitStep(0.0, amps),), "upstream profile 17"))
    told.run(10)
    assert present(told, CP1) == expected
    if amps < 32.0:
        assert told.site.grants[CP1].reason == "upstream profile 17"


def test_the_sum_of_a_station_is_limited_by_its_evse_0() -> None:
    evses = ({"id": 1, "max_current_a": 32}, {"id": 2, "max_current_a": 32})
    config = depot(1)
    station = config.stations[0].model_copy(update={"evses": tuple(config.stations[0].evses[0].model_copy(update=one) for one in evses)})
    told = Story(config.model_copy(update={"stations": (station,)}))
    told.start()
    first, second = EvseKey("CP1", 1), EvseKey("CP1", 2)
    told.plug(first)
    told.plug(second)
    told.do(UpstreamWished(told.at(), EvseKey("CP1", 0), (LimitStep(0.0, 20.0),), "upstream profile 3"))
    told.run(20)
    assert present(told, first) + present(told, second) == 20.0
    assert told.site.grants[first].reason == "upstream profile 3"
