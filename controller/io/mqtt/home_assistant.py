"""Announces the site to Home Assistant over MQTT discovery, one device message each for the site, its EVSEs, meters and what else it commands.

Shape of the messages as Home Assistant documents it (MQTT, device discovery; read 2026-11): retained on
``<prefix>/device/<object id>/config``, with the origin, availability on our will topic, and components by
key, each with platform, unique_id, device_class, state_class and ``expire_after``. All values come from the
retained ``state`` document, so an entity costs no message of its own.

What is no longer in the site file disappears: a device's topic is cleared, a component is sent once with
its platform only. Both are learnt from what the broker has retained, so nothing has to be remembered.
``announce`` again whenever Home Assistant says ``online``.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from controller.config import Config, MeterConfig
from controller.io.shell import Topics

EXPIRE_S: Final = 60
"""The state is published every five seconds; after so long without one an entity is unavailable [s]."""
MODES: Final = ("normal", "degraded", "failsafe", "stop")
PHASES: Final = ("L1", "L2", "L3")
_PLAIN: Final = re.compile(r"[A-Za-z0-9_\-]+")

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Device:
    """One device message: its object id, names, and components by key."""

    object_id: str
    name: str
    model: str
    components: dict[str, Json]


def slug(text: str) -> str:
    """A text as part of an object id: letters, digits, _ and -. What had to be changed gets a check sum, so that two never become one."""
    plain = re.sub(r"[^A-Za-z0-9_\-]", "_", text)
    return text if _PLAIN.fullmatch(text) else f"{plain}_{zlib.crc32(text.encode()):08x}"


def devices_of(config: Config) -> tuple[Device, ...]:
    """Everything the site announces."""
    site = config.site
    found = [Device(_id(config), site.name or site.id, "Site", dict(_site(config)))]
    for station in config.stations:
        for evse in station.evses:
            key = f"{station.id}/{evse.id}"
            found.append(Device(_id(config, "evse", key), evse.name or key, "Charger", dict(_evse(config, key))))
    for meter in config.meters:
        found.append(Device(_id(config, "meter", meter.id), f"Meter {meter.id}", f"Meter ({meter.role})", dict(_meter(config, meter))))
    for signal in config.signals:
        found.append(Device(_id(config, "signal", signal.id), f"Limit {signal.id}", "Grid signal", dict(_signal(config, signal.id))))
    for name, model in _commanded(config):
        found.append(Device(_id(config, "device", name), name, model, dict(_device(config, name))))
    return tuple(found)


def message(config: Config, device: Device, version: str, removed: dict[str, str] | None = None) -> Json:
    """The payload for a device. removed: components it had, key -> platform; sent once they disappear."""
    root = f"yardmaster/{config.site.id}"
    own = {"identifiers": [device.object_id], "name": device.name, "manufacturer": "Yardmaster", "model": device.model, "sw_version": version}
    if device.object_id != _id(config):
        own["via_device"] = _id(config)
    return {
        "device": own,
        "origin": {"name": "yardmaster", "sw_version": version},
        "availability": [{"topic": f"{root}/status", "payload_available": "online", "payload_not_available": "offline"}],
        "state_topic": f"{root}/state",
        "qos": 1,
        "components": {**device.components, **{key: {"platform": platform} for key, platform in (removed or {}).items()}},
    }


class HomeAssistant:
    """The hook: announces at the start and when Home Assistant comes, and clears what is gone."""

    def __init__(self, config: Config, version: str, topics: Topics) -> None:
        """config.mqtt must be present."""
        assert config.mqtt is not None
        self._config, self._version, self._topics = config, version, topics
        self._prefix = config.mqtt.discovery_prefix.strip("/")
        self._devices = {device.object_id: device for device in devices_of(config)}
        topics.listen(f"{self._prefix}/status", self._on_status)
        topics.listen(f"{self._prefix}/device/+/config", self._on_config)

    def announce(self) -> None:
        """Publish every device, retained."""
        for device in self._devices.values():
            self._say(device)

    def _say(self, device: Device, removed: dict[str, str] | None = None) -> None:
        self._topics.say(self._topic(device.object_id), _text(message(self._config, device, self._version, removed)), retain=True)

    def _topic(self, object_id: str) -> str:
        return f"{self._prefix}/device/{object_id}/config"

    def _on_status(self, _topic: str, payload: bytes, _retained: bool) -> None:
        if payload == b"online":
            self.announce()

    def _on_config(self, topic: str, payload: bytes, retained: bool) -> None:
        """What the broker keeps from earlier: ours and not in the site file any more is taken back."""
        object_id = topic.split("/")[-2]
        if not retained or not payload or not self._is_ours(object_id):
            return
        device = self._devices.get(object_id)
        if device is None:
            self._topics.say(topic, "", retain=True)
            return
        removed = {key: platform for key, platform in _announced(payload).items() if key not in device.components}
        if removed:
            self._say(device, removed)
            self._say(device)

    def _is_ours(self, object_id: str) -> bool:
        """Another site's id may begin like ours, so what follows must be one of our kinds."""
        own = _id(self._config)
        return object_id == own or any(object_id.startswith(f"{own}__{kind}__") for kind in ("evse", "meter", "signal", "device"))


# -- components: each generator yields key, component -----------------------------------------------------


def _site(config: Config) -> Iterator[tuple[str, Json]]:
    own = _id(config)
    yield "mode", _sensor(own, "mode", "Mode", "value_json.mode", device_class="enum", options=list(MODES))
    yield "mode_reason", _sensor(own, "mode_reason", "Reason", "value_json.mode_reason", entity_category="diagnostic")
    yield "problem", _problem(own, "value_json.mode != 'normal'")
    yield "power", _sensor(own, "power", "Grid power", "value_json.grid.power_w", **_POWER)
    for place in range(config.grid.phases):
        where = f"value_json.grid.current_a[{place}] if value_json.grid.current_a else None"
        yield f"current_l{place + 1}", _sensor(own, f"current_l{place + 1}", f"Grid current L{place + 1}", where, **_CURRENT)
    yield "limit", _sensor(own, "limit", "Grid limit", "value_json.limits_a.grid | min", **_CURRENT)
    yield "ev_power", _sensor(own, "ev_power", "Charging power", "value_json.grid.ev_power_w", **_POWER)


def _evse(config: Config, key: str) -> Iterator[tuple[str, Json]]:
    own, here = _id(config, "evse", key), f"(value_json.evses | selectattr('id', 'eq', {_quoted(key)}) | first)"
    yield "state", _sensor(own, "state", "State", f"{here}.state")
    yield "reason", _sensor(own, "reason", "Reason", f"{here}.reason[:250]", entity_category="diagnostic")
    yield "power", _sensor(own, "power", "Power", f"{here}.power_w", **_POWER)
    yield "limit", _sensor(own, "limit", "Limit", f"{here}.limit_a", **_CURRENT)
    yield "energy", _sensor(own, "energy", "Session energy", f"{here}.energy_wh", **_ENERGY)


def _meter(config: Config, meter: MeterConfig) -> Iterator[tuple[str, Json]]:
    own, here = _id(config, "meter", meter.id), f"value_json.meters[{_quoted(meter.id)}]"
    yield "power", _sensor(own, "power", "Power", f"{here}.power_w", **_POWER)
    for place, phase in enumerate(PHASES):
        if phase in meter.phases and (place < config.grid.phases):
            yield f"current_l{place + 1}", _sensor(own, f"current_l{place + 1}", f"Current {phase}", f"{here}.current_a[{place}]", **_CURRENT)
    yield "energy_import", _sensor(own, "energy_import", "Energy import", f"{here}.energy_import_wh", **_ENERGY)
    yield "energy_export", _sensor(own, "energy_export", "Energy export", f"{here}.energy_export_wh", **_ENERGY)
    if meter.role == "battery":
        yield "soc", _sensor(own, "soc", "State of charge", f"{here}.soc_percent", device_class="battery", state_class="measurement", unit="%")
    yield "problem", _problem(own, f"{here}.health != 'good'")


def _signal(config: Config, name: str) -> Iterator[tuple[str, Json]]:
    own, here = _id(config, "signal", name), f"value_json.signals[{_quoted(name)}]"
    yield "state", _sensor(own, "state", "State", f"{here}.state")
    yield "limit", _sensor(own, "limit", "Limit", f"{here}.limit_w", **_POWER)
    yield "production_limit", _sensor(own, "production_limit", "Feed-in limit", f"{here}.production_limit_w", **_POWER)
    yield "problem", _problem(own, f"{here}.state == 'failsafe' or {here}.trouble != ''")


def _device(config: Config, name: str) -> Iterator[tuple[str, Json]]:
    own, here = _id(config, "device", name), f"value_json.devices[{_quoted(name)}]"
    yield "state", _sensor(own, "state", "State", f"{here}.state")
    yield "power", _sensor(own, "power", "Power", f"{here}.power_w", **_POWER)
    yield "wanted", _sensor(own, "wanted", "Wanted power", f"{here}.wanted_w", **_POWER)
    yield "problem", _problem(own, f"{here}.state in ('refused', 'silent') or {here}.trouble != ''")


_POWER: Final[Json] = {"device_class": "power", "state_class": "measurement", "unit": "W"}
_CURRENT: Final[Json] = {"device_class": "current", "state_class": "measurement", "unit": "A"}
_ENERGY: Final[Json] = {"device_class": "energy", "state_class": "total_increasing", "unit": "Wh"}


def _sensor(own: str, key: str, name: str, value: str, unit: str | None = None, **more: Any) -> Json:
    """A sensor. What is not known renders as None, which Home Assistant takes for unknown."""
    component: Json = {"platform": "sensor", "unique_id": f"{own}__{key}", "name": name, "value_template": f"{{{{ {value} }}}}"}
    return component | {"expire_after": EXPIRE_S} | more | ({"unit_of_measurement": unit} if unit is not None else {})


def _problem(own: str, condition: str) -> Json:
    template = f"{{{{ 'ON' if {condition} else 'OFF' }}}}"
    return {
        "platform": "binary_sensor",
        "unique_id": f"{own}__problem",
        "name": "Problem",
        "device_class": "problem",
        "entity_category": "diagnostic",
        "expire_after": EXPIRE_S,
        "value_template": template,
    }


# -- small things ---------------------------------------------------------------------------------------------


def _commanded(config: Config) -> Iterator[tuple[str, str]]:
    """Names and kinds of what the site commands besides chargers, as ``state`` names them."""
    yield from ((inverter.id, "Inverter") for inverter in config.inverters)
    yield from ((relay.id, "Relay") for relay in config.relays)
    if config.battery is not None and config.battery.command is not None:
        yield "battery", "Battery"


def _id(config: Config, kind: str = "", name: str = "") -> str:
    own = f"yardmaster_{slug(config.site.id)}"
    return f"{own}__{kind}__{slug(name)}" if kind else own


def _quoted(text: str) -> str:
    """A text as a Jinja string: ids hold no quotes and no backslash (``Identifier``), station ids neither."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _announced(payload: bytes) -> dict[str, str]:
    """Components of a retained message, key -> platform; {} if it cannot be read."""
    try:
        data = json.loads(payload)
        parts = data.get("components") or data.get("cmps") or {}
        return {str(key): str(part.get("platform") or part.get("p") or "sensor") for key, part in parts.items()}
    except (ValueError, AttributeError, RecursionError):
        return {}


def _text(data: Json) -> str:
    return json.dumps(data, separators=(",", ":"), ensure_ascii=False)
