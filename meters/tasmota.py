"""What Tasmota devices say about energy.

Two families. Plugs and energy modules write a section ``ENERGY`` (numbers, or lists of three for
three phases). Reading heads on smart meters (SML, OBIS) write a section named by their owner with
labels of the owner's choice; the usual ones are known here, in any case. Both come as ``SENSOR``
over MQTT, and inside ``StatusSNS`` as the answer to Status 8 and Status 10 over MQTT and HTTP.

Facts (Tasmota documentation, read 2026-11): energies in kWh; currents without sign; before its first
telegram a reading head reports zeros, which are nobody's measurement.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from meters.json_fields import JsonError, Quantities, number

WH_PER_KWH: Final = 1000.0
SILENT_W: Final = 50.0
"""With more than this in total the phases cannot all be 0 [W]."""
NOT_METERS: Final = frozenset({"ENERGY", "ANALOG", "ESP32", "TIME", "TEMPUNIT"})
_PHASES: Final = (1, 2, 3)

TOTALS: Final[dict[str, tuple[str, ...]]] = {
    "p": ("power_curr", "power_cur", "power_total", "power_sum", "power_all", "curr_power", "power", "p_total", "watt"),
    "e_imp": ("total_in", "e_in", "energy_in", "total_kwh_in", "e_total_in", "power_total_in", "total_energy_in"),
    "e_exp": ("total_out", "e_out", "energy_out", "total_kwh_out", "e_total_out", "power_total_out", "total_energy_out"),
    "f": ("hz", "freq", "frequency"),
}
PER_PHASE: Final[dict[str, tuple[str, ...]]] = {
    "p": ("power_l{n}", "power_p{n}", "power_l{n}_curr", "power_p{n}_curr", "power_{n}", "power{n}", "watt_l{n}", "p_l{n}", "p{n}"),
    "u": ("voltage_l{n}", "voltage_p{n}", "volt_l{n}", "volt_p{n}", "volt_l{n}_curr", "voltage_l{n}_curr", "voltage_{n}", "u_l{n}", "u{n}"),
    "i": (
        *("current_l{n}", "current_p{n}", "curr_l{n}", "curr_p{n}", "amperage_p{n}", "amperage_l{n}", "amperage_l{n}_curr"),
        *("current_l{n}_curr", "amp_p{n}", "amp_l{n}", "ampere_p{n}", "ampere_l{n}", "i_l{n}", "i{n}"),
    ),
}
"""Labels of a reading head, lower case: quantity -> names, the first that is there counts."""


def tasmota(document: Any) -> Quantities:
    """The quantities in a message. Raises JsonError."""
    if not isinstance(document, dict):
        raise JsonError("a Tasmota message is a JSON object")
    body = document.get("StatusSNS", document)
    if not isinstance(body, dict):
        raise JsonError("StatusSNS is no JSON object")
    if isinstance(body.get("ENERGY"), dict):
        return _energy(body["ENERGY"])
    heads = [(name, found) for name, section in body.items() if name.upper() not in NOT_METERS and (found := _head(section))]
    if len(heads) > 1:
        names = ", ".join(name or '""' for name, _ in heads)
        raise JsonError(f"several sections could be the meter ({names}); use format json and name the fields")
    if not heads:
        raise JsonError("there is neither ENERGY nor a smart meter's section with Power_curr or Total_in; use format json and name the fields")
    return _awake(heads[0][1])


def _energy(section: Mapping[str, Any]) -> Quantities:
    found: Quantities = {"f": number(_first(section.get("Frequency")), "Frequency")}
    for key, name in (("p", "Power"), ("u", "Voltage"), ("i", "Current")):
        value = section.get(name)
        phases = value if isinstance(value, list) else [value]
        if len(phases) > 3:
            raise JsonError(f"{name} has {len(phases)} values, more than there are phases")
        for place, one in enumerate(phases, 1):
            found[f"{key}_l{place}"] = number(one, name)
    three = isinstance(section.get("Power"), list) and len(section["Power"]) == 3
    if not isinstance(section.get("Power"), list):
        found["p"] = found["p_l1"]
    if three and not isinstance(section.get("Voltage"), list):
        found["u_l2"] = found["u_l3"] = found["u_l1"]  # the module measures one voltage for all
    found["e_imp"] = _kwh(section.get("ImportActive", section.get("Total")), "Total")
    found["e_exp"] = _kwh(section.get("ExportActive"), "ExportActive")
    if all(found.get(name) is None for name in ("p", "p_l1", "p_l2", "p_l3")):
        raise JsonError("ENERGY holds no Power")
    return {name: value for name, value in found.items() if value is not None}


def _first(value: Any) -> Any:
    return (value[0] if value else None) if isinstance(value, list) else value


def _kwh(value: Any, name: str) -> float | None:
    """A register in Wh; those of several phases are added."""
    parts = [number(one, name) for one in (value if isinstance(value, list) else [value])]
    known = [part for part in parts if part is not None]
    return WH_PER_KWH * sum(known) if known and len(known) == len(parts) else None


def _head(section: Any) -> Quantities:
    """The quantities of a reading head's section; empty if it is none."""
    if not isinstance(section, dict):
        return {}
    labels = {str(name).lower(): value for name, value in section.items()}
    found: Quantities = {}
    for quantity, names in TOTALS.items():
        value = _labelled(labels, names)
        factor = WH_PER_KWH if quantity.startswith("e_") else 1.0
        if value is not None:
            found[quantity] = value * factor
    if "p" not in found and "e_imp" not in found:
        return {}
    for quantity, names in PER_PHASE.items():
        for phase in _PHASES:
            value = _labelled(labels, tuple(name.format(n=phase) for name in names))
            if value is not None:
                found[f"{quantity}_l{phase}"] = value
    return found


def _labelled(labels: Mapping[str, Any], names: tuple[str, ...]) -> float | None:
    return next((number(labels[name], name) for name in names if name in labels), None)


def _awake(found: Quantities) -> Quantities:
    """A head that has just started reports zeros for everything, a counter at 0 among them."""
    if "p" not in found and not any(name.startswith("p_") for name in found):
        raise JsonError("the smart meter's section holds no power; add it to the device's script, or the meter's PIN is missing")
    if found.get("e_imp") == 0.0 and not any(found.values()):
        raise JsonError("the reading head has not heard its meter yet: every value is 0")
    return _told(found)


def _told(found: Quantities) -> Quantities:
    """Without the zeros of what the meter does not tell: most smart meters keep their phases to themselves until the PIN is entered."""
    flows = abs(found.get("p") or 0.0) > SILENT_W
    untold: set[str] = set()
    for kind, never_zero in (("u", True), ("f", True), ("i", flows), ("p_l", flows)):
        names = [name for name in found if name.startswith(kind)]
        if never_zero and not any(found[name] for name in names):
            untold.update(names)
    return {name: value for name, value in found.items() if name not in untold}
