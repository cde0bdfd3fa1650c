"""What must be right in ``inverters``, ``relays`` and ``battery.command``, what should be looked at twice, and the plain words about them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from controller.checking.problems import Problem, Where
from controller.config import ROOT_CIRCUIT, Config
from controller.config_devices import BatteryControl, InverterControl, ModbusControl, MqttControl, StageControl, SunSpecControl
from meters.template import Template

BATTERY = "battery"
RENEWED_PART = 1.0 / 3.0
"""Commands are told again at this part of their life."""


def control_maps(config: Config) -> set[str]:
    """Register maps that commands need."""
    return {control.map for _, _, control, _ in _commanded(config) if isinstance(control, ModbusControl)}


def device_problems(config: Config, maps: frozenset[str], templates: Mapping[str, Template]) -> Iterator[Problem]:
    """What cannot work."""
    yield from _names(config)
    yield from _references(config)
    for where, name, control, life_s in _commanded(config):
        if isinstance(control, MqttControl) and config.mqtt is None:
            yield Problem((*where, "control", "type"), "it is commanded over MQTT, but the file has no 'mqtt' block that names the broker; add one")
        if isinstance(control, ModbusControl):
            yield from _map(where, name, control, life_s, maps, templates)
        if isinstance(control, StageControl):
            yield from _stages(config, where, control)


def _commanded(config: Config) -> Iterator[tuple[Where, str, BatteryControl | InverterControl, float]]:
    store = config.battery
    if store is not None and store.command is not None:
        yield ("battery", "command"), BATTERY, store.command.control, store.command.life_s
    for number, inverter in enumerate(config.inverters):
        yield ("inverters", number), inverter.id, inverter.control, inverter.life_s


def _names(config: Config) -> Iterator[Problem]:
    seen: dict[str, str] = {BATTERY: "the stationary battery"}
    lists = (("inverters", [one.id for one in config.inverters]), ("relays", [one.id for one in config.relays]))
    for kind, names in lists:
        for number, name in enumerate(names):
            if name in seen:
                yield Problem((kind, number, "id"), f"{name!r} is already the name of {seen[name]}; each device needs one of its own")
            seen.setdefault(name, f"one of {kind}")


def _references(config: Config) -> Iterator[Problem]:
    meters = {meter.id: meter for meter in config.meters}
    circuits = {ROOT_CIRCUIT, *(circuit.id for circuit in config.circuits)}
    for number, inverter in enumerate(config.inverters):
        if inverter.meter is not None and inverter.meter not in meters:
            yield Problem(("inverters", number, "meter"), f"there is no meter {inverter.meter!r}")
        elif inverter.meter is not None and meters[inverter.meter].role != "pv":
            yield Problem(("inverters", number, "meter"), f"meter {inverter.meter!r} has the role '{meters[inverter.meter].role}', it must be: pv")
    for number, relay in enumerate(config.relays):
        if relay.circuit not in circuits:
            yield Problem(("relays", number, "circuit"), f"there is no circuit {relay.circuit!r}")


def _map(
    where: Where, name: str, control: ModbusControl, life_s: float, maps: frozenset[str], templates: Mapping[str, Template]
) -> Iterator[Problem]:
    place: Where = (*where, "control", "map")
    template = templates.get(control.map)
    if control.map not in maps:
        yield Problem(place, f"there is no register map {control.map!r} (file in config/meters)")
        return
    if template is None:
        return
    kind = "battery" if name == BATTERY else "inverter"
    if template.controls is None or template.controls.kind != kind:
        yield Problem(place, f"the register map {control.map!r} has no controls for a device of the kind {kind}")
        return
    ends_s = template.controls.ends_itself_s
    if ends_s is not None and RENEWED_PART * life_s >= ends_s:
        text = f"commands are renewed every {RENEWED_PART * life_s:g} s, but this device forgets them after {ends_s:g} s; shorten life_s"
        yield Problem((*where, "life_s"), text)


def _stages(config: Config, where: Where, control: StageControl) -> Iterator[Problem]:
    relays = {relay.id: relay for relay in config.relays}
    for number, stage in enumerate(control.stages):
        for step, name in enumerate(stage.closed):
            place: Where = (*where, "control", "stages", number, "closed", step)
            if name not in relays:
                yield Problem(place, f"there is no relay {name!r}")
            elif relays[name].closes != "stage":
                yield Problem(place, f"relay {name!r} closes for '{relays[name].closes}', not as a step of an inverter; say closes: stage")


# -- cautions ----------------------------------------------------------------------------------------------------


def device_cautions(config: Config, templates: Mapping[str, Template]) -> Iterator[Problem]:
    """What is allowed and should be looked at twice."""
    store = config.battery
    if store is not None and store.command is not None and not any(meter.role == "battery" for meter in config.meters):
        text = "the battery is commanded and no meter measures it: what it says itself is believed"
        yield Problem(("battery", "command"), text)
    if _commands_anything(config) and config.grid.meter is None:
        text = "battery and inverters are commanded and no meter shows what flows at the grid connection: the battery rests, and inverters make no "
        yield Problem(("grid", "meter"), text + "more than may be fed in")
    if config.inverters and config.grid.max_export_w is None and not any(meter.role == "pv" for meter in config.meters):
        yield Problem(("inverters",), "no meter measures what the inverters make; they are asked themselves")
    for where, name, control, life_s in _commanded(config):
        if isinstance(control, MqttControl) and control.state_topic is None:
            text = f"{name} does not tell its state back: nobody sees whether it obeys, and who else commands it"
            yield Problem((*where, "control", "state_topic"), text)
        if isinstance(control, ModbusControl) and (template := templates.get(control.map)) is not None and template.controls is not None:
            if template.controls.blind:
                yield Problem((*where, "control", "map"), f"the controls of {control.map!r} cannot be read back: nobody sees whether {name} obeys")
            ends_s, keeps_s = template.controls.ends_itself_s, config.control.setpoint_life_s
            if name == BATTERY and ends_s is not None and template.controls.life is None and ends_s < keeps_s:
                text = (
                    f"if this machine stops, a discharge ends after {ends_s:g} s or so, and chargers keep their setpoints for {keeps_s:g} s: "
                    "cars that charge from the battery then load the fuse; shorten control.setpoint_life_s if that would be too much"
                )
                yield Problem((*where, "control", "map"), text)
            if template.controls.ends_itself_s is None and template.controls.life is None:
                text = f"{name} keeps its last command for ever if this machine stops; a device that ends commands by itself is safer"
                yield Problem((*where, "control", "map"), text)
        if life_s > 900:
            yield Problem((*where, "life_s"), f"{name} keeps the last command for {life_s / 60:.0f} min if this machine stops")


def _commands_anything(config: Config) -> bool:
    return bool(config.inverters) or (config.battery is not None and config.battery.command is not None)


# -- plain words -----------------------------------------------------------------------------------------------


def device_words(config: Config) -> Iterator[str]:
    """What is commanded, how, and what happens when we stop."""
    store = config.battery
    if store is not None and store.command is not None:
        command = store.command
        grid = "may be charged from the grid" if command.grid_charging else "is charged from the sun only"
        feeds = "may feed into the grid" if command.grid_discharging else "feeds nothing into the grid"
        reserve = max(store.min_soc_percent, store.reserve_percent)
        yield (
            f"The battery, {_way(command.control)}: follows the plan, corrected by the grid meter; {grid} and {feeds}. It stops at {reserve:g} %, "
            f"for an overload at {store.min_soc_percent:g} %. {_ends(command.control, command.life_s)}"
        )
    for inverter in config.inverters:
        least = f", never below {inverter.min_percent:g} %" if inverter.min_percent else ""
        yield (
            f"Inverter {inverter.id} ({inverter.max_power_w / 1000:g} kW), {_way(inverter.control)}: free, unless too much would be fed in "
            f"or feeding in costs money{least}. {_ends(inverter.control, inverter.life_s)}"
        )
    for relay in config.relays:
        if relay.closes != "stage":
            position = "open" if relay.inverted else "closed"
            yield f"Relay {relay.id}: {position} while {_RELAYS[relay.closes].format(relay.circuit, relay.surplus_w / 1000)}."


_RELAYS: Mapping[str, str] = {
    "limited": "a limit from outside holds {0}",
    "failsafe": "the site runs on fallbacks",
    "overload": "{0} is over its limit",
    "surplus": "more than {1:g} kW would be fed in",
}


def _way(control: BatteryControl | InverterControl) -> str:
    if isinstance(control, MqttControl):
        return f"over MQTT on {control.command_topic}"
    if isinstance(control, StageControl):
        return "by relays"
    where = control.host or control.device
    return f"over SunSpec at {where}" if isinstance(control, SunSpecControl) else f"at {where} with the map {control.map}"


def _ends(control: BatteryControl | InverterControl, life_s: float) -> str:
    if isinstance(control, StageControl):
        return "Without us the relays stay as they are; when we stop in order they open."
    return f"Each command ends after {life_s:g} s without a new one, where the device can."
