"""Control modes of IEEE 2030.5 (DERControlBase): how they are written, and what this site does about each.

Limits are never rounded up. A mode that this site cannot carry out is named, not hidden.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import IntEnum
from fractions import Fraction
from typing import Final

from signals.csip_values import flag, integer, text_of
from signals.csip_xml import Node, XmlError

REFUSED: Final[dict[str, str]] = {
    "opModFixedPFAbsorbW": "no power factor is set: chargers and inverters are commanded in watts",
    "opModFixedPFInjectW": "no power factor is set: chargers and inverters are commanded in watts",
    "opModFixedVar": "no reactive power is set",
    "opModTargetVar": "no reactive power is set",
    "opModFreqDroop": "no droop is run: frequency is not measured fast enough",
    "opModFreqWatt": "no curves are run",
    "opModHFRTMayTrip": "no curves are run",
    "opModHFRTMustTrip": "no curves are run",
    "opModHVRTMayTrip": "no curves are run",
    "opModHVRTMomentaryCessation": "no curves are run",
    "opModHVRTMustTrip": "no curves are run",
    "opModLFRTMayTrip": "no curves are run",
    "opModLFRTMustTrip": "no curves are run",
    "opModLVRTMayTrip": "no curves are run",
    "opModLVRTMomentaryCessation": "no curves are run",
    "opModLVRTMustTrip": "no curves are run",
    "opModVoltVar": "no curves are run",
    "opModVoltWatt": "no curves are run",
    "opModWattPF": "no curves are run",
    "opModWattVar": "no curves are run",
    "Subscription": "the server is polled; we take no notifications",
    "EndDeviceControl": "demand response load control is not read; DER programs are",
    "FlowReservation": "not asked for; a limit says what may flow",
}
"""Mode or function set -> why it is not carried out."""


@dataclass(frozen=True, slots=True)
class Power:
    """ActivePower: value * 10 ** multiplier [W]."""

    value: int
    multiplier: int


@dataclass(frozen=True, slots=True)
class Modes:
    """DERControlBase. powers, percents: modes by name, percents in hundredths. others: modes we can only name."""

    powers: tuple[tuple[str, Power], ...] = ()
    percents: tuple[tuple[str, int], ...] = ()
    connect: bool | None = None
    energize: bool | None = None
    others: tuple[str, ...] = ()


POWER_MODES: Final = frozenset({"opModTargetW", "opModImpLimW", "opModExpLimW", "opModGenLimW", "opModLoadLimW", "opModStorageTargetW"})
LIMIT_MODES: Final = ("opModImpLimW", "opModExpLimW", "opModGenLimW", "opModLoadLimW")
PERCENT_MODES: Final = {"opModMaxLimW": (0, 10_000), "opModFixedW": (-10_000, 10_000)}


def modes(base: Node) -> Modes:
    """DERControlBase: every mode in it, each once. A mode in a namespace that is nobody's is named among the others."""
    powers: dict[str, Power] = {}
    percents: dict[str, int] = {}
    flags: dict[str, bool | None] = {}
    others: list[str] = []
    for node in base.children:
        name = node.tag.removeprefix("aus:")
        if name in powers or name in percents or name in flags:
            raise XmlError(f"{name} is given twice")
        if name in POWER_MODES:
            powers[name] = _power(node)
        elif name in PERCENT_MODES:
            percents[name] = integer(node.text, name, *PERCENT_MODES[name])
        elif name in ("opModConnect", "opModEnergize"):
            flags[name] = flag(base, node.tag)
        elif name != "rampTms":  # only how fast a mode is reached; ours are never slower than our devices
            others.append(name.rpartition("|")[2][:40])
    both = flags.get("opModConnect"), flags.get("opModEnergize")
    return Modes(tuple(powers.items()), tuple(percents.items()), *both, tuple(others))


def _power(node: Node) -> Power:
    """The standard's value has 16 bits; servers of large sites send more, and we take up to a gigawatt."""
    multiplier = integer(text_of(node, "multiplier"), f"{node.tag} multiplier", -9, 9)
    return Power(integer(text_of(node, "value"), f"{node.tag} value", -(10**9), 10**9), multiplier)


class Category(IntEnum):
    """Bits of DeviceCategoryType that a site can be."""

    ENERGY_MANAGER = 1 << 14
    EVSE = 1 << 17
    MIXED_DER = 1 << 18
    PHOTOVOLTAIC = 1 << 21
    PV_AND_STORAGE = 1 << 23
    STORAGE = 1 << 25


@dataclass(frozen=True, slots=True)
class Ratings:
    """What percents are of, all [W]. generation_w: setMaxW, inverters and battery. charge_w, discharge_w: of the battery, 0 = none.
    load_w: what can be charged, with all chargers. controllable: consumption limits of this source bind only what can be controlled."""

    generation_w: float
    charge_w: float = 0.0
    discharge_w: float = 0.0
    load_w: float = 0.0
    controllable: bool = False

    @property
    def category(self) -> int:
        """deviceCategory of the site."""
        solar, storage = self.generation_w > self.discharge_w, self.discharge_w > 0
        bits: int = Category.ENERGY_MANAGER | Category.EVSE | Category.MIXED_DER
        bits |= Category.PHOTOVOLTAIC if solar else 0
        bits |= Category.STORAGE if storage else 0
        return bits | (Category.PV_AND_STORAGE if solar and storage else 0)


@dataclass(frozen=True, slots=True)
class Effects:
    """What a site does about modes. Limits >= 0 [W], None = not limited. setpoint_w: import positive. battery_w: charging positive.
    generation_w, load_w: of what
    the devices we command give and take together (CSIP-AUS annex B), not at the grid connection. undone: modes that are not
    carried out, or not wholly. done: of something there is a part that is."""

    consumption_w: float | None = None
    production_w: float | None = None
    setpoint_w: float | None = None
    battery_w: float | None = None
    generation_w: float | None = None
    load_w: float | None = None
    connected: bool = True
    undone: tuple[str, ...] = ()
    done: bool = True


def effects(modes: Modes, ratings: Ratings) -> Effects:
    """What these modes mean here."""
    powers = {name: _exact(power) for name, power in modes.powers}
    percents = dict(modes.percents)
    undone = [*modes.others]
    imports, exports, made, loads = ([powers[name]] if name in powers else [] for name in LIMIT_MODES)
    if "opModMaxLimW" in percents:
        exports.append(Fraction(percents["opModMaxLimW"], 10_000) * Fraction(ratings.generation_w))
    if ratings.controllable and "opModImpLimW" in powers:
        undone.append("opModImpLimW")  # the site file aims this source at less than the grid connection
    undone += [name for name, value in powers.items() if value < 0 and "Lim" in name]
    battery_w, unfit = _battery(powers, percents, ratings)
    setpoint = powers.get("opModTargetW")
    found = Effects(
        _lowest(imports),
        _lowest(exports),
        -float(setpoint) + 0.0 if setpoint is not None else None,
        battery_w,
        _lowest(made),
        _lowest(loads),
        modes.connect is not False and modes.energize is not False,
    )
    undone += unfit
    something = found != Effects() or modes.connect is not None or modes.energize is not None
    return replace(found, undone=tuple(dict.fromkeys(undone)), done=something or not undone)


def _exact(power: Power) -> Fraction:
    return Fraction(power.value) * Fraction(10) ** power.multiplier


def _lowest(limits: list[Fraction]) -> float | None:
    """The lowest limit as a float that is not above it; below 0 W nothing can be held, so 0."""
    if not limits:
        return None
    lowest = max(min(limits), Fraction(0))
    nearest = float(lowest)
    return nearest if Fraction(nearest) <= lowest else math.nextafter(nearest, 0.0)


def _battery(powers: Mapping[str, Fraction], percents: Mapping[str, int], ratings: Ratings) -> tuple[float | None, list[str]]:
    """Power asked of the battery, charging positive; the standard counts what is delivered. And the modes that cannot be done."""
    asked = [name for name in ("opModStorageTargetW", "opModFixedW") if name in powers or name in percents]
    if not asked:
        return None, []
    if ratings.charge_w <= 0 and ratings.discharge_w <= 0:
        return None, asked
    if "opModStorageTargetW" in powers:
        return -float(powers["opModStorageTargetW"]) + 0.0, asked[1:]
    part = percents["opModFixedW"] / 10_000
    return (-part * ratings.discharge_w if part > 0 else -part * ratings.charge_w) + 0.0, []
