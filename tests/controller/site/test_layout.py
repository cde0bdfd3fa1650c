"""The tree of circuits and the phases of a place."""

from __future__ import annotations

import pytest

from controller.site.layout import layout_of
from tests.support.one_evse import KEY
from tests.support.site_story import depot


def test_a_one_phase_site_uses_only_its_phase() -> None:
    layout = layout_of(depot(1, grid={"phases": 1}), {})
    assert layout.places[KEY].phases == (0,)


def test_circuits_come_parents_first_and_know_what_hangs_below() -> None:
    config = depot(1, circuits=1)
    deep = config.circuits[0].model_copy(update={"id": "cabinet", "parent": "hall0"})
    station = config.stations[0].model_copy(update={"circuit": "cabinet"})
    layout = layout_of(config.model_copy(update={"circuits": (deep, config.circuits[0]), "stations": (station,)}), {})
    assert list(layout.circuits) == ["grid", "hall0", "cabinet"]
    assert layout.places[KEY].path == ("cabinet", "hall0", "grid")
    assert all(layout.below[name] == (KEY,) for name in layout.circuits)
    with pytest.raises(ValueError, match="without a way to the grid: cabinet"):
        layout_of(config.model_copy(update={"circuits": (deep,), "stations": ()}), {})
