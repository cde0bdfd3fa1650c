"""SunSpec: from a picture of a device to the quantities of a meter, by what it measures for the site.

Which models hold them is chosen by the meter's role unless the site file names them. A hybrid
inverter's PV is its DC inputs without the battery's, as the battery is a meter of its own.

Directions: a meter model counts import as positive unless ``sign`` says export (SolarEdge);
inverters and DC ports count what they give as positive, so PV reads negative here. Currents of
SunSpec models may be magnitudes: they get the direction of their phase's power. At night many
inverters say "not available" for everything (S3): that is a good reading without values.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from meters.quality import VOLTAGE_V, Convention, Expectation, judge
from meters.reading import Quality, Reading, ReadingError
from meters.sunspec_models import Found, Picture, layout

Role = Literal["grid", "circuit", "pv", "battery", "load"]
Sign = Literal["import", "export"]

METERS = (201, 202, 203, 204, 211, 212, 213, 214)
INVERTERS = (101, 102, 103, 111, 112, 113, 701)
BATTERIES = (802, 713, 124, 714)
MPPT, PORTS, STORAGE, BANK = 160, 714, 124, 802
MEASURING = (*INVERTERS, *METERS, *BATTERIES, MPPT)
"""Models that can be named as the ones that hold a meter's values."""

HYBRID_MODULES = 4
"""Inputs in model 160 of a hybrid: PV 1, PV 2, charging, discharging."""
PORT_PV, PORT_STORAGE = 0, 1
CHARGING, DISCHARGING = 4, 3
_ASLEEP = {101: (1, 2, 8), 701: (0, 1, 7)}
ASLEEP = "the inverter sleeps and tells no values"

Quantities = dict[str, float | None]


@dataclass(frozen=True, slots=True)
class Source:
    """Where a meter's values are in a device. main: the model that must be there; with: models that add to it."""

    role: Role
    main: Found
    others: tuple[Found, ...]

    @property
    def wanted(self) -> tuple[tuple[Found, int], ...]:
        """For a ``Reader``: the models and how many registers of each are needed."""
        return tuple((model, _NEEDED.get(model.model_id, 0)) for model in (self.main, *self.others))


_NEEDED = {**dict.fromkeys((201, 202, 203, 204), 55), **dict.fromkeys((211, 212, 213, 214), 76), 701: 123}
"""Registers with the values we use and all their scale factors; the rest need not be asked for."""


def choose(models: Iterable[Found], role: Role, ids: tuple[int, ...] = (), nth: int = 1) -> Source:
    """The models for a meter's role, or those named by ``ids``; nth: which of several. Raises ReadingError if there is none."""
    present = tuple(models)
    wanted = ids or {"pv": INVERTERS, "battery": BATTERIES}.get(role, METERS)
    fitting = [model for model in present if model.model_id in wanted]
    if role == "battery" and not ids:  # of several models of one battery the one that tells most
        best = next((model_id for model_id in BATTERIES if any(model.model_id == model_id for model in fitting)), 0)
        fitting = [model for model in fitting if model.model_id == best]
    usable = [model for model in fitting if model.usable]
    if len(usable) >= nth:
        return Source(role, usable[nth - 1], _others(present, role, usable[nth - 1]))
    raise ReadingError("model missing", _missing(fitting, wanted, nth))


def settled(picture: Picture, source: Source) -> Source:
    """The source without models that turned out to say nothing about it: no battery on the inverter, so its own values are PV."""
    return replace(source, others=()) if source.role == "pv" and not _is_hybrid(picture, source) else source


def reading(meter_id: str, picture: Picture, source: Source, sign: Sign | None, expected: Expectation) -> Reading:
    """The judged reading of one picture."""
    values, asleep = quantities(picture, source, sign), _asleep(picture, source.main)
    if asleep and not any(values[name] is not None for name in values if name not in ("e_imp", "e_exp")):
        energy = judge(meter_id, values, Convention(), replace(expected, current_phases=()))
        missing = expected.current_phases
        return replace(energy, quality=Quality.BAD if missing else Quality.GOOD, reason=ASLEEP)
    return judge(meter_id, values, Convention(current=_currents(values)), expected)


def quantities(picture: Picture, source: Source, sign: Sign | None = None) -> Quantities:
    """Values in our directions (import, charging positive), names as in ``meters.template``; None = not available."""
    main = source.main
    if source.role == "battery" and main.model_id not in METERS:
        return _battery(picture, source, sign)
    if main.model_id in METERS:
        return _meter(picture, main, -1.0 if sign == "export" else 1.0)
    if main.model_id in INVERTERS:
        return _inverter(picture, source)
    if main.model_id == MPPT:
        return {"p": _negative(_dc_module_power(picture, main)[0])}
    if main.model_id == PORTS:
        return {"p": _negative(_ports_w(picture, main, PORT_PV))}
    raise ReadingError("model missing", f"model {main.model_id} holds no values of a meter with role {source.role}")


# -- what control needs, too ------------------------------------------------------------------


def ac_power_w(picture: Picture) -> float | None:
    """AC power of the device's inverter, production negative; None = not available."""
    return _negative(picture.value(picture.first(*INVERTERS), "W"))


def dc_production_w(picture: Picture) -> float | None:
    """What its PV inputs give, >= 0, where they are told apart from the battery; else None."""
    ports = picture.first(PORTS)
    if ports is not None:
        return _ports_w(picture, ports, PORT_PV)
    bank_w, ac_w = _bank_power_w(picture, picture.first(BANK)), ac_power_w(picture)
    if bank_w is not None and ac_w is not None:
        return max(0.0, bank_w - ac_w)
    mppt = picture.first(MPPT)
    return None if mppt is None else _dc_module_power(picture, mppt)[0]


def battery_power_w(picture: Picture, battery: Found | None = None, sign: Sign | None = None) -> float | None:
    """What flows into the battery, from the model that tells it best; None = not available. sign: of a model 802 without its state."""
    bank = battery if battery is not None and battery.model_id == BANK else picture.first(BANK)
    power_w = _bank_power_w(picture, bank, sign)
    ports, mppt = picture.first(PORTS), picture.first(MPPT)
    if power_w is None and ports is not None:
        power_w = _negative(_ports_w(picture, ports, PORT_STORAGE))
    if power_w is None and mppt is not None:
        power_w = _dc_module_power(picture, mppt)[1]
    if power_w is None and ports is None and mppt is None and picture.first(713, BANK) is not None:
        power_w = ac_power_w(picture)  # no PV inputs: what the inverter does is the battery's
    return power_w


def soc_percent(picture: Picture, battery: Found | None = None) -> float | None:
    """State of charge, 0..100; None = not available."""
    bank = battery if battery is not None and battery.model_id == BANK else picture.first(BANK)
    told = (picture.value(bank, "SoC"), picture.value(picture.first(713), "SoC"), picture.value(picture.first(STORAGE), "ChaState"))
    return next((soc for soc in told if soc is not None and 0.0 <= soc <= 100.0), None)


# -- by kind ----------------------------------------------------------------------------------

_METER_NAMES = {
    **{f"i_l{number}": f"Aph{phase}" for number, phase in enumerate("ABC", 1)},
    **{f"u_l{number}": f"PhVph{phase}" for number, phase in enumerate("ABC", 1)},
    **{f"p_l{number}": f"Wph{phase}" for number, phase in enumerate("ABC", 1)},
    "p": "W",
    "f": "Hz",
    "e_imp": "TotWhImp",
    "e_exp": "TotWhExp",
}
_INVERTER_NAMES = {
    **{f"i_l{number}": f"Aph{phase}" for number, phase in enumerate("ABC", 1)},
    **{f"u_l{number}": f"PhVph{phase}" for number, phase in enumerate("ABC", 1)},
    "p": "W",
    "f": "Hz",
    "e_exp": "WH",
}
_DER_NAMES = {
    **{f"i_l{number}": f"AL{number}" for number in (1, 2, 3)},
    **{f"u_l{number}": f"VL{number}" for number in (1, 2, 3)},
    **{f"p_l{number}": f"WL{number}" for number in (1, 2, 3)},
    "p": "W",
    "f": "Hz",
    "e_imp": "TotWhAbs",
    "e_exp": "TotWhInj",
}
_SINGLE_PHASE = (101, 111, 201, 211)
_DELTA = (204, 214)


def _read(picture: Picture, model: Found, names: dict[str, str]) -> Quantities:
    values = {name: picture.value(model, point) for name, point in names.items()}
    if model.model_id in _SINGLE_PHASE:  # one phase only: its values may be told as totals
        for name, total in (("i_l1", "A"), ("p_l1", "W")):
            if values.get(name) is None:
                values[name] = picture.value(model, total)
    return values


def _meter(picture: Picture, model: Found, factor: float) -> Quantities:
    values = _read(picture, model, _METER_NAMES)
    if model.model_id in _DELTA:
        values |= dict.fromkeys(("u_l1", "u_l2", "u_l3"), None)  # no neutral there: what is told is not a phase voltage
    return {name: -value if value is not None and factor < 0 and name[0] in "pi" else value for name, value in values.items()}


def _inverter(picture: Picture, source: Source) -> Quantities:
    names = _DER_NAMES if source.main.model_id == 701 else _INVERTER_NAMES
    values = _read(picture, source.main, names)
    for name in ("p", "p_l1", "p_l2", "p_l3"):
        values[name] = _negative(values.get(name))
    values |= {name: _like(values.get(name), values[f"p_l{name[-1]}"] or values["p"]) for name in ("i_l1", "i_l2", "i_l3")}
    values |= {name: _site_voltage(values.get(name)) for name in ("u_l1", "u_l2", "u_l3")}
    if not _is_hybrid(picture, source):
        return values
    kept = {name: value for name, value in values.items() if name[0] in "uf"}
    return {**kept, "p": _pv_of_hybrid_w(picture, source, values["p"])}  # currents and energies are those of PV and battery together


def _is_hybrid(picture: Picture, source: Source) -> bool:
    """True if the inverter has a battery on its DC side, which is a meter of its own."""
    bank = next((model for model in source.others if model.model_id == BANK), None)
    return _pv_inputs(picture, source) is not None or _bank_power_w(picture, bank) is not None


def _pv_of_hybrid_w(picture: Picture, source: Source, ac_w: float | None) -> float | None:
    """From its PV inputs; where they are not told apart, what is left of its AC power without the battery's."""
    inputs = _pv_inputs(picture, source)
    if inputs is not None:
        return _negative(_ports_w(picture, inputs, PORT_PV) if inputs.model_id == PORTS else _dc_module_power(picture, inputs)[0])
    bank_w = _bank_power_w(picture, picture.first(BANK))
    return None if ac_w is None or bank_w is None else min(0.0, ac_w - bank_w)


def _pv_inputs(picture: Picture, source: Source) -> Found | None:
    """The model that tells the PV inputs apart from the battery's on the same inverter."""
    for model in source.others:
        if model.model_id == MPPT and _battery_modules(picture, model) is not None:
            return model
        if model.model_id == PORTS and any(picture.value(model, "PrtTyp", port) == PORT_STORAGE for port in picture.groups(model)):
            return model
    return None


def _battery(picture: Picture, source: Source, sign: Sign | None) -> Quantities:
    if source.main.model_id in INVERTERS:
        values = _inverter(picture, replace(source, others=()))
        return {**values, "soc": soc_percent(picture)}
    return {"p": battery_power_w(picture, source.main, sign), "soc": soc_percent(picture, source.main)}


def _bank_power_w(picture: Picture, bank: Found | None, sign: Sign | None = None) -> float | None:
    """Model 802 does not say which sign is charging: its state does; without one ``sign`` does, else what it gives is positive as elsewhere
    in SunSpec."""
    power_w = picture.value(bank, "W")
    if power_w is None:
        return None
    state = picture.value(bank, "ChaSt")
    if state in (CHARGING, DISCHARGING):
        return abs(power_w) if state == CHARGING else -abs(power_w)
    return power_w if sign == "import" else 0.0 - power_w


def _battery_modules(picture: Picture, mppt: Found) -> tuple[int, int] | None:
    """Numbers of the inputs that charge and discharge the battery: by their names, or the last two of a hybrid's four."""
    groups = picture.groups(mppt)
    names = [picture.text(mppt, "IDStr", group).lower().replace(" ", "") for group in groups]
    discharging = next((group for group in groups if "discha" in names[group]), None)
    charging = next((group for group in groups if "cha" in names[group] and "discha" not in names[group]), None)
    if charging is not None and discharging is not None:
        return charging, discharging
    bank = picture.first(BANK)
    if bank is not None and bank.address in picture.words:
        return None  # the battery has a model of its own: four inputs may be four strings
    has_storage = bool(picture.value(picture.first(STORAGE), "WChaMax"))  # SMA shows the model without any storage
    return (2, 3) if has_storage and len(groups) == HYBRID_MODULES else None


def _dc_module_power(picture: Picture, mppt: Found) -> tuple[float | None, float | None]:
    """(what PV inputs give, what flows into the battery) of model 160."""
    powers = [picture.value(mppt, "DCW", group) for group in picture.groups(mppt)]
    pair = _battery_modules(picture, mppt)
    produced = [power for group, power in enumerate(powers) if power is not None and group not in (pair or ())]
    battery_w = None
    if pair is not None:
        charging_w, discharging_w = powers[pair[0]], powers[pair[1]]
        battery_w = None if charging_w is None or discharging_w is None else charging_w - discharging_w
    return (sum(produced) if produced else None), battery_w


def _ports_w(picture: Picture, model: Found, kind: int) -> float | None:
    """What all DC ports of a type give."""
    said = [picture.value(model, "DCW", port) for port in picture.groups(model) if picture.value(model, "PrtTyp", port) == kind]
    known = [power for power in said if power is not None]
    return sum(known) if known and (kind == PORT_PV or len(known) == len(said)) else None


# -- small rules ------------------------------------------------------------------------------


def _others(models: tuple[Found, ...], role: Role, main: Found) -> tuple[Found, ...]:
    """What belongs to the main model: nothing for a meter; else the models of the same device that tell battery and PV apart."""
    if main.model_id in METERS or role not in ("pv", "battery"):
        return ()
    own = _same_device(models, main)
    if role == "pv" and not any(model.model_id in (STORAGE, 713, BANK, PORTS) for model in own) and not _many_inputs(own):
        return ()
    ids = (MPPT, PORTS, STORAGE, BANK) if role == "pv" else (BANK, 713, STORAGE, PORTS, MPPT)
    firsts = [next((model for model in own if model.model_id == model_id), None) for model_id in ids]
    if role == "battery":
        firsts.append(next((model for model in own if model.model_id in INVERTERS), None))
    return tuple(model for model in firsts if model is not None and model.model_id != main.model_id)


def _same_device(models: tuple[Found, ...], main: Found) -> tuple[Found, ...]:
    """The usable models between two common ones: each model 1 begins another device of the list (SolarEdge: inverter, then its meters)."""
    at = models.index(main)
    begin = max((index for index in range(at) if models[index].model_id == 1), default=0)
    end = next((index for index in range(at, len(models)) if models[index].model_id == 1), len(models))
    return tuple(model for model in models[begin:end] if model.usable)


def _many_inputs(models: tuple[Found, ...]) -> bool:
    return any(model.model_id == MPPT and model.usable and layout(MPPT).groups(model.length) >= HYBRID_MODULES for model in models)


def _missing(fitting: list[Found], wanted: tuple[int, ...], nth: int) -> str:
    odd = [f"model {model.model_id} has length {model.length}, which does not fit" for model in fitting if not model.usable]
    names = ", ".join(str(model_id) for model_id in wanted)
    there = sum(1 for model in fitting if model.usable)
    lack = f"the device has no model of {names}" if nth == 1 else f"number {nth} of models {names} is wanted, the device has {there}"
    return "; ".join([lack, *odd])


def _asleep(picture: Picture, model: Found) -> bool:
    if model.model_id not in INVERTERS:
        return False
    if model.model_id == 701:
        return picture.value(model, "InvSt") in (*_ASLEEP[701], None)
    return picture.value(model, "St") in (*_ASLEEP[101], None)


def _currents(values: Quantities) -> Literal["signed", "unsigned"]:
    """Magnitudes get the direction of their phase's power; a device without phase powers that writes a minus knows directions itself."""
    blind = all(values.get(f"p_l{phase}") is None for phase in (1, 2, 3))
    return "signed" if blind and any((values.get(f"i_l{phase}") or 0.0) < 0 for phase in (1, 2, 3)) else "unsigned"


def _like(current_a: float | None, power_w: float | None) -> float | None:
    if current_a is None:
        return None
    return -abs(current_a) if power_w is not None and power_w < 0 else abs(current_a)


def _site_voltage(voltage_v: float | None) -> float | None:
    """A large inverter sits behind a transformer of its own: its 442 V is not the site's voltage, and no reason to doubt its power."""
    return voltage_v if voltage_v is not None and VOLTAGE_V[0] <= voltage_v <= VOLTAGE_V[1] else None


def _negative(value: float | None) -> float | None:
    return None if value is None else 0.0 - value
