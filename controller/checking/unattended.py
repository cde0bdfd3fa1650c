"""Limits that nobody would keep if this machine stopped: they refuse nothing, and somebody should know them beforehand.

Under a fuse the fallbacks always fit (``fallback``). Under a limit from outside they need not: a failsafe, a contact of the grid operator, the
contract hold because Yardmaster lowers the chargers. Without it each EVSE draws up to its ``fallback_a``, the battery does what its own
control says, inverters give all they have, and setpoints that were written before hold on until their life is over.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from controller.checking.fallback import TOLERANCE_A, FallbackSum, fallback_sums
from controller.checking.problems import Problem, Where
from controller.config import ROOT_CIRCUIT, Config
from controller.config_signals import ContactsSignal, SignalConfig
from controller.section_14a import resolved_w

TOLERANCE_W = 1.0


@dataclass(frozen=True, slots=True)
class _Alone:
    """What may flow below a circuit without us [W], all phases together."""

    chargers_w: float
    battery_w: float
    others_w: float

    @property
    def ours_w(self) -> float:
        """What Yardmaster otherwise holds down."""
        return self.chargers_w + self.battery_w


def unattended_cautions(config: Config, overdraw: Mapping[str, float]) -> Iterator[Problem]:
    """overdraw: charger model -> part by which its cars draw more than told."""
    sums = fallback_sums(config, overdraw)
    for number, entry in enumerate(config.signals):
        yield from _consumption(config, ("signals", number), entry, sums)
        yield from _life(config, ("signals", number), entry)
        if entry.failsafe_production_w is not None:
            yield from _production(config, ("signals", number, "failsafe_production_w"), f"{entry.id}: ", entry.failsafe_production_w, "failsafe")
    yield from _contract(config, sums)
    yield from _broker(config, sums)


# -- consumption -----------------------------------------------------------------------------------------------


def _consumption(config: Config, where: Where, entry: SignalConfig, sums: list[FallbackSum]) -> Iterator[Problem]:
    lowest = min(_held(config, entry), default=None)
    if lowest is None or entry.circuit not in {one.circuit for one in sums}:
        return
    held_w, key, what = lowest
    alone = _alone(config, entry.circuit, sums)
    place = (*where, key)
    whole = entry.binds == "circuit"
    if whole and alone.others_w > held_w + TOLERANCE_W:
        yield Problem(
            place,
            f"{entry.id}: the other load below {entry.circuit} may be {_kw(alone.others_w)} by itself (worst_other_load_a), more than {what} of "
            f"{_kw(held_w)}: nothing here can keep that, as only chargers and the battery can be lowered. If he means these only, say "
            "binds: controllable; else check worst_other_load_a",
        )
    elif (total_w := alone.ours_w + (alone.others_w if whole else 0.0)) > held_w + TOLERANCE_W:
        yield Problem(
            place,
            f"{entry.id}: without Yardmaster {_who(alone, whole)} below {entry.circuit} may draw {_kw(total_w)}, more than {what} of "
            f"{_kw(held_w)}: if this machine or its network fails while that holds, it is broken. {_lower(alone, total_w - held_w)}",
        )


def _held(config: Config, entry: SignalConfig) -> Iterator[tuple[float, str, str]]:
    """(limit of consumption [W], its key, its name for people) that has to hold whatever happens to us."""
    failsafe_w = resolved_w(entry.failsafe_w, config)
    if failsafe_w is not None:
        yield failsafe_w, "failsafe_w", "the failsafe"
    for contact in entry.contacts if isinstance(entry, ContactsSignal) else ():
        watts = resolved_w(contact.consumption_w, config)
        if watts is not None:
            yield watts, "contacts", f"the limit of contact {contact.name}"


def _alone(config: Config, circuit: str, sums: list[FallbackSum]) -> _Alone:
    volts = config.grid.voltage_v
    phases = [one for one in sums if one.circuit == circuit]
    battery = config.battery if circuit == ROOT_CIRCUIT else None
    battery_w = battery.max_charge_w if battery is not None and battery.command is not None else 0.0
    return _Alone(sum(one.chargers_a for one in phases) * volts, battery_w, sum(one.others_a for one in phases) * volts)


def _who(alone: _Alone, whole: bool) -> str:
    parts = [f"chargers at their fallback ({_kw(alone.chargers_w)})"] if alone.chargers_w else []
    parts += [f"the battery, left to its own control ({_kw(alone.battery_w)})"] if alone.battery_w else []
    parts += [f"the other load at its worst ({_kw(alone.others_w)})"] if whole and alone.others_w else []
    return " and ".join(parts)


def _lower(alone: _Alone, over_w: float) -> str:
    chargers_w = min(over_w - alone.battery_w, alone.chargers_w)
    ways = ["have the battery's own control charge from the sun only"] if alone.battery_w else []
    ways += [f"lower fallback_a of chargers there by {_kw(chargers_w)} in all (0 is allowed)"] if chargers_w > TOLERANCE_W else []
    text = " and ".join(ways)
    return f"{text[:1].upper()}{text[1:]}, or tell whoever set the limit"


# -- how long the last setpoints hold on -----------------------------------------------------------------------


def _life(config: Config, where: Where, entry: SignalConfig) -> Iterator[Problem]:
    life_s, heartbeat_s = config.control.setpoint_life_s, entry.heartbeat_s
    held = resolved_w(entry.failsafe_w, config) is not None
    if held and config.stations and 0 < heartbeat_s < life_s:
        yield Problem(
            (*where, "heartbeat_s"),
            f"{entry.id}: its failsafe has to hold {heartbeat_s:g} s after its silence, and if this machine stops, chargers keep their last setpoint "
            f"for up to {life_s:g} s. Set control.setpoint_life_s to {heartbeat_s:g} or less",
        )


# -- feed-in -----------------------------------------------------------------------------------------------------


def _production(config: Config, where: Where, name: str, held_w: float, what: str) -> Iterator[Problem]:
    battery = config.battery
    gives = battery is not None and battery.command is not None and battery.command.grid_discharging
    parts = [f"inverters ({_kw(made_w)})"] if (made_w := sum(one.max_power_w for one in config.inverters)) else []
    given_w = battery.max_discharge_w if battery is not None and gives else 0.0
    parts += [f"the battery ({_kw(given_w)})"] if given_w else []
    if made_w + given_w > held_w + TOLERANCE_W:
        yield Problem(
            where,
            f"{name}without Yardmaster {' and '.join(parts)} may feed in up to {_kw(made_w + given_w)}, more than the {what} of {_kw(held_w)}: "
            "commands end by themselves and nobody makes them anew. Where the devices have a limit of their own for lost communication, set it to "
            "that, or tell whoever set the limit",
        )


# -- the contract, and a lost broker -----------------------------------------------------------------------------


def _contract(config: Config, sums: list[FallbackSum]) -> Iterator[Problem]:
    grid, alone = config.grid, _alone(config, ROOT_CIRCUIT, sums)
    total_w = alone.ours_w + alone.others_w
    if grid.max_import_w is not None and total_w > grid.max_import_w + TOLERANCE_W and alone.ours_w:
        yield Problem(
            ("grid", "max_import_w"),
            f"without Yardmaster {_who(alone, True)} may draw {_kw(total_w)}, more than the contract of {_kw(grid.max_import_w)}. "
            f"{_lower(alone, total_w - grid.max_import_w)}",
        )
    if grid.max_export_w is not None:
        yield from _production(config, ("grid", "max_export_w"), "", grid.max_export_w, "export limit")


def _broker(config: Config, sums: list[FallbackSum]) -> Iterator[Problem]:
    failsafe_a = config.limits.failsafe_a
    worst = max((one for one in sums if one.circuit == ROOT_CIRCUIT), key=lambda one: one.total_a, default=None)
    if failsafe_a is None or worst is None or not worst.chargers or worst.total_a <= failsafe_a + TOLERANCE_A:
        return
    yield Problem(
        ("limits", "failsafe_a"),
        f"without Yardmaster the chargers fall back to {worst.chargers_a:g} A in sum on {worst.phase}, with other load {worst.total_a:g} A: more "
        f"than this failsafe of {failsafe_a:g} A. Lower fallback_a by {worst.total_a - failsafe_a:g} A in all (0 is allowed), if it has to hold "
        "then, too",
    )


def _kw(watts: float) -> str:
    return f"{watts / 1000:.3g} kW"
