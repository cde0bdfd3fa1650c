"""What Shelly devices say about energy, over HTTP and MQTT.

Generation 1 (``/status``; bare numbers on ``shellies/<id>/emeter/<n>/<name>``): 3EM, EM with one
channel, plugs. Generation 2 and later (``EM.GetStatus``, ``Shelly.GetStatus``, ``<prefix>/events/rpc``,
``<prefix>/status/em:0``): Pro 3EM and 3EM-63 in either profile, EM Mini, plugs.

Facts (maker's API documentation, read 2026-11): power with sign, currents without; energies in Wh,
those of Generation 1 relays in watt-minutes. A device of two independent channels does not say
which one is the site, so it is refused here: format json names the channel.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from meters.json_fields import JsonError, Quantities, number

WH_PER_WATT_MINUTE: Final = 1.0 / 60.0
TWO_CHANNELS: Final = "{count} channels, and nobody says which is the site; use format json and name the fields, e.g. {example}"
IGNORED: Final = frozenset({"NotifyEvent"})
_LETTERS: Final = ("a", "b", "c")


def shelly(document: Any) -> Quantities | None:
    """The quantities in a message; None = it is about something else. Raises JsonError."""
    if not isinstance(document, dict):
        raise JsonError("a Shelly message is a JSON object")
    if document.get("method") in IGNORED:
        return None
    if "error" in document and "result" not in document and "params" not in document:
        raise JsonError(f"the device refuses: {str(document['error'])[:100]}")
    body = document.get("params", document.get("result", document))
    if not isinstance(body, dict):
        raise JsonError("the device's answer holds no object")
    if "emeters" in body or "meters" in body:
        return _generation_1(body)
    found = _components(body)
    return found if found is not None else _component(body)


# -- generation 1 --------------------------------------------------------------------------------


def _generation_1(body: Mapping[str, Any]) -> Quantities:
    channels = body.get("emeters") or body.get("meters")
    if not isinstance(channels, list) or not all(isinstance(one, dict) for one in channels):
        raise JsonError("emeters is no list of channels")
    if any(one.get("is_valid") is False for one in channels):
        raise JsonError("the device says its own values are not valid")
    by_phase = "emeters" in body and bool(body["emeters"])
    if len(channels) not in (1, 3) or (not by_phase and len(channels) != 1):
        raise JsonError(TWO_CHANNELS.format(count=len(channels), example="p: {path: emeters[0].power}"))
    found: Quantities = {}
    for place, channel in enumerate(channels, 1):
        found |= _known(place, channel, {"p": "power", "u": "voltage", "i": "current"})
    found["p"] = number(body.get("total_power"), "total_power") if len(channels) == 3 else found.get("p_l1")
    factor = 1.0 if by_phase else WH_PER_WATT_MINUTE
    for quantity, name in (("e_imp", "total"), ("e_exp", "total_returned")):
        found[quantity] = _sum([number(one.get(name), name) for one in channels], factor)
    return _with_power(found)


def channel_value(topic: str, document: Any) -> tuple[int, str, float] | None:
    """(channel from 1, quantity, value) of a bare number of Generation 1 on ``.../emeter/<n>/<name>``; None = another topic."""
    levels = topic.split("/")
    names = {"power": "p", "voltage": "u", "current": "i", "total": "e_imp", "total_returned": "e_exp"}
    if len(levels) < 3 or levels[-3] != "emeter" or levels[-1] not in names or levels[-2] not in ("0", "1", "2"):
        return None
    value = number(document, levels[-1])
    return None if value is None else (int(levels[-2]) + 1, names[levels[-1]], value)


# -- generation 2 and later -------------------------------------------------------------------------


def _components(body: Mapping[str, Any]) -> Quantities | None:
    """The quantities of a status with components by name; None if it has none of them."""
    parts = {name: value for name, value in body.items() if isinstance(value, dict)}
    em, data = parts.get("em:0"), parts.get("emdata:0")
    if em is not None or data is not None:
        return (_three(em) if em is not None else {}) | (_registers(data) if data is not None else {})
    for kind, of_data in (("em1", "em1data"), ("pm1", ""), ("switch", "")):
        channels = {name: value for name, value in parts.items() if name.split(":")[0] == kind and _measures(value)}
        if channels:
            return _single(channels, parts, kind, of_data)
    return {} if any(":" in name for name in parts) or "sys" in parts else None


def _single(channels: Mapping[str, Any], parts: Mapping[str, Any], kind: str, of_data: str) -> Quantities:
    if len(channels) not in (1, 3) or (kind != "em1" and len(channels) != 1):
        power = "act_power" if kind == "em1" else "apower"
        raise JsonError(TWO_CHANNELS.format(count=len(channels), example=f"p: {{path: '{kind}:0.{power}'}}"))
    found: Quantities = {}
    for place, name in enumerate(sorted(channels), 1):
        data = parts.get(name.replace(kind, of_data, 1)) if of_data else None
        one = _one(channels[name]) | (_registers(data) if isinstance(data, dict) else {})
        found |= {f"{key}_l{place}": one.get(key) for key in ("p", "u", "i")}
        found["f"] = _measured([found.get("f"), one.get("f")])
        for key in ("e_imp", "e_exp"):
            value = one.get(key)
            if value is not None:
                found[key] = (found.get(key) or 0.0) + value
    if len(channels) == 1:
        found["p"] = found["p_l1"]
    return {name: value for name, value in found.items() if value is not None}


def _component(body: Mapping[str, Any]) -> Quantities | None:
    """The status of one component alone, as ``EM.GetStatus`` answers it."""
    if "a_act_power" in body or "a_current" in body:
        return _three(body)
    if _measures(body):
        one = _one(body)
        return {{"p": "p_l1", "u": "u_l1", "i": "i_l1"}.get(name, name): value for name, value in one.items()} | {"p": one.get("p")}
    if "total_act" in body or "total_act_energy" in body:
        return _registers(body)
    if "id" in body or "ts" in body:
        return {}
    raise JsonError("there are no energy values of a Shelly; check the address, or use format json and name the fields")


def _measures(component: Any) -> bool:
    return isinstance(component, dict) and ("act_power" in component or "apower" in component)


def _three(em: Mapping[str, Any]) -> Quantities:
    if "power_meter_failure" in _errors(em, ""):
        raise JsonError("the device reports a failure of its power meter")
    hertz = [number(em.get(f"{letter}_freq"), f"{letter}_freq") for letter in _LETTERS]
    found: Quantities = {"p": number(em.get("total_act_power"), "total_act_power"), "f": _measured(hertz)}
    for place, letter in enumerate(_LETTERS, 1):
        names = {"p": f"{letter}_act_power", "u": f"{letter}_voltage", "i": f"{letter}_current"}
        found |= _known(place, em, names, _errors(em, f"{letter}_"))
    return _with_power(found)


def _one(component: Mapping[str, Any]) -> Quantities:
    bad = _errors(component, "")
    if "power_meter_failure" in bad:
        raise JsonError("the device reports a failure of its power meter")
    power = "act_power" if "act_power" in component else "apower"
    found: Quantities = {"f": number(component.get("freq"), "freq")}
    for key, name in (("p", power), ("u", "voltage"), ("i", "current")):
        found[key] = None if f"out_of_range:{name}" in bad else number(component.get(name), name)
    for key, name in (("e_imp", "aenergy"), ("e_exp", "ret_aenergy")):
        register = component.get(name)
        if isinstance(register, dict):
            found[key] = number(register.get("total"), name)
    return {name: value for name, value in found.items() if value is not None}


def _registers(data: Mapping[str, Any]) -> Quantities:
    imported = data.get("total_act", data.get("total_act_energy"))
    exported = data.get("total_act_ret", data.get("total_act_ret_energy"))
    found = {"e_imp": number(imported, "total_act"), "e_exp": number(exported, "total_act_ret")}
    return {name: value for name, value in found.items() if value is not None}


# -- what they share ------------------------------------------------------------------------------------


def _known(place: int, channel: Mapping[str, Any], names: Mapping[str, str], bad: frozenset[str] = frozenset()) -> Quantities:
    """Power, voltage and current of a phase. bad: errors of the phase; a value that is out of its range is no value."""
    found: Quantities = {}
    for key, name in names.items():
        plain = name.split("_", 1)[1] if name.startswith(("a_", "b_", "c_")) else name
        if f"out_of_range:{plain}" not in bad:
            found[f"{key}_l{place}"] = number(channel.get(name), name)
    return found


def _measured(hertz: list[float | None]) -> float | None:
    """The frequency of a phase that is connected: the others show 0."""
    return next((value for value in hertz if value), None)


def _errors(component: Mapping[str, Any], head: str) -> frozenset[str]:
    errors = component.get(f"{head}errors")
    return frozenset(str(one) for one in errors) if isinstance(errors, list) else frozenset()


def _with_power(found: Quantities) -> Quantities:
    kept: Quantities = {name: value for name, value in found.items() if value is not None}
    if not any(name == "p" or name.startswith(("p_", "i_")) for name in kept):
        raise JsonError("the device shows neither power nor current")
    return kept


def _sum(values: list[float | None], factor: float) -> float | None:
    known = [value for value in values if value is not None]
    return factor * sum(known) if known and len(known) == len(values) else None
