"""Home Assistant discovery: messages as its documentation asks for, templates that fit the state we really publish, tidy over a real broker."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import jinja2
import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from controller.config import Config
from controller.facts import Stamp
from controller.io.mqtt.home_assistant import EXPIRE_S, HomeAssistant, devices_of, message, slug
from controller.io.mqtt.shell import MqttShell, Timing
from tests.support.facts import FactLog
from tests.support.site_story import Story, depot

PARTS: dict[str, Any] = {
    "mqtt": {"host": "127.0.0.1", "home_assistant": True},
    "meters": [
        {"id": "roof", "role": "pv", "phases": ["L2"], "source": {"type": "mqtt", "topic": "roof"}},
        {"id": "cell", "role": "battery", "source": {"type": "mqtt", "topic": "cell"}},
    ],
    "signals": [{"id": "dso", "type": "mqtt", "topic": "dso"}],
}
SENSOR_KEYS = {"platform", "unique_id", "name", "value_template", "expire_after"}
UNITS = {"power": "W", "current": "A", "energy": "Wh", "battery": "%"}


def site(**parts: Any) -> Config:
    data = depot(2, evse={"name": "Bay 1"}, **(PARTS | parts)).model_dump(mode="json", exclude_defaults=True)
    return Config.model_validate(data)


def messages(config: Config) -> dict[str, dict[str, Any]]:
    return {device.object_id: message(config, device, "1.2") for device in devices_of(config)}


def test_every_device_has_one_message_with_availability_on_the_will_topic() -> None:
    found = messages(site())
    assert list(found) == [
        "yardmaster_test",
        "yardmaster_test__evse__CP1_1_" + slug("CP1/1").rsplit("_", 1)[1],
        "yardmaster_test__evse__CP2_1_" + slug("CP2/1").rsplit("_", 1)[1],
        "yardmaster_test__meter__grid",
        "yardmaster_test__meter__roof",
        "yardmaster_test__meter__cell",
        "yardmaster_test__signal__dso",
    ]
    for object_id, one in found.items():
        assert one["device"]["identifiers"] == [object_id]
        assert one["availability"] == [{"topic": "yardmaster/test/status", "payload_available": "online", "payload_not_available": "offline"}]
        assert one["state_topic"] == "yardmaster/test/state"
        assert one["origin"]["name"] == "yardmaster"
        assert one["device"].get("via_device") == (None if object_id == "yardmaster_test" else "yardmaster_test")


def test_components_are_what_home_assistant_asks_for() -> None:
    """Units fit device classes, registers only rise, every unique_id is unique, numbers expire (MQTT sensor documentation)."""
    seen: list[str] = []
    for one in messages(site()).values():
        for component in one["components"].values():
            assert component.keys() >= SENSOR_KEYS
            assert component["expire_after"] == EXPIRE_S
            seen.append(component["unique_id"])
            kind = component.get("device_class")
            if component["platform"] == "sensor" and kind in UNITS:
                assert component["unit_of_measurement"] == UNITS[kind]
                assert component["state_class"] == ("total_increasing" if kind == "energy" else "measurement")
            elif component["platform"] == "sensor":
                assert "state_class" not in component, "texts have none"
    assert len(seen) == len(set(seen))


def test_a_meter_of_one_phase_has_one_current_and_only_a_battery_has_a_charge() -> None:
    found = messages(site())
    currents = {name: [key for key in one["components"] if key.startswith("current")] for name, one in found.items()}
    assert currents["yardmaster_test__meter__roof"] == ["current_l2"]
    assert [name for name, one in found.items() if "soc" in one["components"]] == ["yardmaster_test__meter__cell"]


@pytest.mark.parametrize(("text", "ok"), [("CP1", True), ("a_b-C9", True), ("a.b", False), ("ä", False), ("a/b", False)])
def test_object_ids_hold_allowed_characters_only(text: str, ok: bool) -> None:
    assert (slug(text) == text) is ok
    assert set(slug(text)) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")


def test_names_that_look_alike_once_they_are_plain_stay_two() -> None:
    assert slug("a.b") != slug("a/b") != "a_b"


def rendered(config: Config, state: dict[str, Any]) -> dict[str, str]:
    """Every entity's state, as Home Assistant would work it out: undefined names are errors here."""
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined)
    found = {}
    for one in messages(config).values():
        for component in one["components"].values():
            found[component["unique_id"]] = environment.from_string(component["value_template"]).render(value_json=state)
    return found


def test_templates_fit_the_state_that_is_really_published() -> None:
    config = site()
    told = Story(config)
    told.start()
    told.plug("CP1")
    told.do(told.reading((0.0, -8.0, 0.0), meter="roof", power_w=-1840.0, energy_export_wh=5000.0))
    told.do(told.reading((1.0, 1.0, 1.0), meter="cell", power_w=690.0, soc_percent=55.0))
    told.run(10)
    state = json.loads(json.dumps(told.published("state")[-1]))
    found = rendered(config, state)
    own = "yardmaster_test"
    assert found[f"{own}__mode"] == "normal"
    assert float(found[f"{own}__limit"]) == 63.0
    assert float(found[f"{own}__current_l1"]) > 10.0
    assert float(found[f"{own}__meter__roof__power"]) == -1840.0
    assert float(found[f"{own}__meter__roof__current_l2"]) == -8.0
    assert found[f"{own}__meter__roof__energy_import"] == "None"
    assert float(found[f"{own}__meter__cell__soc"]) == 55.0
    assert found[f"{own}__meter__grid__problem"] == "OFF"
    (charging,) = [value for name, value in found.items() if name.endswith("__state") and "CP1" in name]
    assert charging == "charging"
    assert found[f"{own}__signal__dso__limit"] is not None


def test_templates_bear_a_state_in_which_nothing_is_known() -> None:
    config = site()
    told = Story(config)
    told.run(1, building_a=None)
    found = rendered(config, json.loads(json.dumps(told.published("state")[-1])))
    assert found["yardmaster_test__current_l1"] == "None"
    assert found["yardmaster_test__meter__grid__power"] == "None"
    assert found["yardmaster_test__meter__grid__problem"] == "ON"


# -- the hook -----------------------------------------------------------------------------------------


class Board:
    """A broker on paper: what was said, and a way to let it speak."""

    def __init__(self) -> None:
        self.said: list[tuple[str, str, bool]] = []
        self.takers: dict[str, Callable[[str, bytes, bool], None]] = {}

    def listen(self, topic: str, take: Callable[[str, bytes, bool], None]) -> None:
        self.takers[topic] = take

    def say(self, topic: str, payload: str, retain: bool = False) -> None:
        self.said.append((topic, payload, retain))


def hook(**parts: Any) -> tuple[HomeAssistant, Board]:
    board = Board()
    return HomeAssistant(site(**parts), "1.2", board), board


def test_everything_is_said_again_when_home_assistant_comes() -> None:
    home, board = hook()
    home.announce()
    first = list(board.said)
    assert all(retain and topic.startswith("homeassistant/device/yardmaster_test") for topic, _, retain in first)
    board.takers["homeassistant/status"]("homeassistant/status", b"offline", False)
    assert board.said == first
    board.takers["homeassistant/status"]("homeassistant/status", b"online", False)
    assert board.said == first * 2


def test_what_is_gone_from_the_site_file_is_cleared_and_strangers_are_left_alone() -> None:
    _, board = hook(mqtt={"host": "h", "home_assistant": True, "discovery_prefix": "ha"})
    take = board.takers["ha/device/+/config"]
    old = json.dumps({"components": {"x": {"platform": "sensor"}}}).encode()
    for object_id in ("yardmaster_test__meter__sold", "yardmaster_test2", "yardmaster_test2__meter__a", "zigbee_1", "yardmaster_test__other"):
        take(f"ha/device/{object_id}/config", old, True)
    take("ha/device/yardmaster_test__meter__echo/config", old, False)
    take("ha/device/yardmaster_test__meter__cleared/config", b"", True)
    assert board.said == [("ha/device/yardmaster_test__meter__sold/config", "", True)]


def test_a_component_that_is_gone_is_sent_once_with_its_platform_only() -> None:
    _, board = hook()
    topic = "homeassistant/device/yardmaster_test/config"
    take = board.takers["homeassistant/device/+/config"]
    take(topic, json.dumps({"cmps": {"mode": {"p": "sensor"}, "old": {"p": "binary_sensor", "name": "x"}}}).encode(), True)
    once, final = (json.loads(payload)["components"] for _, payload, _ in board.said)
    assert once["old"] == {"platform": "binary_sensor"}
    assert "old" not in final
    board.said.clear()
    for rubbish in (b"rubbish", b"[]", b'{"components": []}', b'{"components": {"mode": 5}}', b"[" * 10_000):
        take(topic, rubbish, True)
    assert board.said == []


class LoopClock:
    def stamp(self) -> Stamp:
        now = asyncio.get_running_loop().time()
        return Stamp(now, 1_780_000_000.0 + now)


async def test_over_a_real_broker_the_messages_are_there_for_a_home_assistant_that_comes_later(mosquitto: Any) -> None:
    config = site(mqtt={"host": "127.0.0.1", "port": mosquitto.port, "home_assistant": True})
    facts, kept, news = FactLog(), {}, asyncio.Event()
    loop = asyncio.get_running_loop()

    def take(_client: Any, _userdata: Any, message: paho.MQTTMessage) -> None:
        kept[message.topic] = (message.payload, message.retain)
        loop.call_soon_threadsafe(news.set)

    other = paho.Client(CallbackAPIVersion.VERSION2)
    other.on_message = take
    other.connect("127.0.0.1", mosquitto.port)
    gone = "homeassistant/device/yardmaster_test__meter__sold/config"
    other.publish(gone, b"{}", qos=1, retain=True)
    other.loop_start()
    shell = MqttShell(config, LoopClock(), facts.submit, Timing(heartbeat_s=0.05, silent_s=2.0))
    await shell.start()
    await facts.until(lambda: any(getattr(fact, "healthy", False) for fact in facts.facts))
    other.subscribe("homeassistant/#", qos=1)
    try:
        async with asyncio.timeout(10):
            while len([one for one in kept.values() if one[0]]) < 7 or kept.get(gone, (b"", True))[0] != b"":
                news.clear()
                await news.wait()
    finally:
        await shell.stop()
        other.disconnect()
        other.loop_stop()
    assert json.loads(kept["homeassistant/device/yardmaster_test__meter__roof/config"][0])["device"]["name"] == "Meter roof"
