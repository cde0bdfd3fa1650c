"""What people are told a neighbour's trouble means must be true: a source of limits holds the site on, it is not true that nothing depends on it."""

from __future__ import annotations

from typing import Any

from controller.site.telling.troubles import WITHOUT, without
from tests.support.site_story import depot

DSO: dict[str, Any] = {"id": "dso", "type": "openadr3", "url": "https://vtn.invalid", "ven_name": "v"}
PIN = {"type": "file", "path": "/gpio"}
BOX: dict[str, Any] = {"id": "box", "type": "contacts", "contacts": [{"name": "W4", "pin": PIN, "consumption_w": 4200}]}
MQTT: dict[str, Any] = {"host": "broker"}


def test_sources_of_limits_go_on_holding_the_site() -> None:
    config = depot(1, signals=[{**DSO, "failsafe_w": 5000}, {**DSO, "id": "fleet"}, BOX])
    assert without(config, "dso") == "its last limit holds on, and its failsafe when it stays silent"
    assert without(config, "fleet") == "its last limit holds on until its end"
    assert "counts as its 'missing' says" in without(config, "box")
    assert without(config, "history") == WITHOUT


def test_what_comes_over_the_broker_falls_silent_with_it() -> None:
    assert without(depot(1, mqtt=MQTT), "mqtt") == WITHOUT
    assert "are silent" in without(depot(1, mqtt=MQTT, signals=[{"id": "fleet", "type": "mqtt"}]), "mqtt")
    assert "are silent" in without(depot(1, mqtt=MQTT, meters=[{"id": "m", "role": "load", "source": {"type": "mqtt", "topic": "m"}}]), "mqtt")
