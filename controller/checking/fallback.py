"""The arithmetic that makes a site safe by construction (promise P6).

When Yardmaster is gone every EVSE falls back to its ``fallback_a``. For every circuit and phase the sum
of these currents and of everything else that may run there must fit under the fuse:

    sum of fallback_a of all EVSEs below, on this phase
  + worst_other_load_a of this circuit and of all circuits below it   <=   fuse_a

A car that uses fewer phases than its EVSE has only makes the sum smaller. A charger whose model is known to let cars draw more
than told (``overdraw_part``) counts with that.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from controller.checking.problems import Problem, Where, listed
from controller.config import ROOT_CIRCUIT, Config, Phase

ALL_PHASES: tuple[Phase, ...] = ("L1", "L2", "L3")
TOLERANCE_A = 1e-6


@dataclass(frozen=True, slots=True)
class Addend:
    """One part of a sum [A]: what it is called and how much it is."""

    name: str
    amps: float


@dataclass(frozen=True, slots=True)
class FallbackSum:
    """The worst case on one phase of one circuit without Yardmaster. All in A per phase."""

    circuit: str
    where: Where
    phase: Phase
    fuse_a: float
    chargers: tuple[Addend, ...]
    others: tuple[Addend, ...]

    @property
    def chargers_a(self) -> float:
        """What the chargers fall back to."""
        return sum(part.amps for part in self.chargers)

    @property
    def others_a(self) -> float:
        """Everything else at its worst."""
        return sum(part.amps for part in self.others)

    @property
    def total_a(self) -> float:
        """The whole sum."""
        return self.chargers_a + self.others_a

    @property
    def excess_a(self) -> float:
        """By how much the sum is above the fuse; 0 or less: it fits."""
        return self.total_a - self.fuse_a

    @property
    def fits(self) -> bool:
        """Whether the sum is not above the fuse."""
        return self.excess_a <= TOLERANCE_A


def phases_of(config: Config) -> tuple[Phase, ...]:
    """The phases of the grid connection."""
    return ALL_PHASES[: config.grid.phases]


def path_to_grid(config: Config, circuit_id: str) -> tuple[str, ...]:
    """Circuit ids from here up to 'grid'; empty if there is no way (unknown circuit, circle)."""
    parents = {circuit.id: circuit.parent for circuit in config.circuits}
    way = [circuit_id]
    while way[-1] != ROOT_CIRCUIT:
        step = parents.get(way[-1])
        if step is None or step in way:
            return ()
        way.append(step)
    return tuple(way)


def fallback_sums(config: Config, overdraw: Mapping[str, float] | None = None) -> list[FallbackSum]:
    """One sum per circuit (the grid first, then in the order of the file) and phase.

    overdraw: charger model -> part by which its cars draw more than told; None = none does.
    """
    fuses: dict[str, tuple[Where, float]] = {ROOT_CIRCUIT: (("grid",), config.grid.fuse_a)}
    fuses |= {circuit.id: (("circuits", number), circuit.fuse_a) for number, circuit in enumerate(config.circuits)}
    return [
        FallbackSum(circuit, (*where, "fuse_a"), phase, fuse_a, _chargers(config, circuit, phase, overdraw or {}), _others(config, circuit))
        for circuit, (where, fuse_a) in fuses.items()
        for phase in phases_of(config)
    ]


def _chargers(config: Config, circuit_id: str, phase: Phase, overdraw: Mapping[str, float]) -> tuple[Addend, ...]:
    return tuple(
        Addend(f"{station.id}/{evse.id}", evse.fallback_a * (1.0 + overdraw.get(station.model, 0.0)))
        for station in config.stations
        if circuit_id in path_to_grid(config, station.circuit)
        for evse in station.evses
        if phase in evse.phases and evse.fallback_a > 0
    )


def _others(config: Config, circuit_id: str) -> tuple[Addend, ...]:
    own = [Addend(ROOT_CIRCUIT, config.grid.worst_other_load_a)] if circuit_id == ROOT_CIRCUIT else []
    below = [Addend(one.id, one.worst_other_load_a) for one in config.circuits if circuit_id in path_to_grid(config, one.id)]
    return tuple(part for part in [*own, *below] if part.amps > 0)


def fallback_problems(config: Config, overdraw: Mapping[str, float] | None = None) -> Iterator[Problem]:
    """One problem per circuit whose sum does not fit, with the worst phase spelled out."""
    worst: dict[str, FallbackSum] = {}
    sums = fallback_sums(config, overdraw)
    for one in sums:
        if not one.fits and (one.circuit not in worst or one.excess_a > worst[one.circuit].excess_a + TOLERANCE_A):
            worst[one.circuit] = one
    for one in worst.values():
        phases = [other.phase for other in sums if other.circuit == one.circuit and not other.fits]
        yield Problem(one.where, _sentence(one, phases))


def _sentence(one: FallbackSum, phases: list[Phase]) -> str:
    also = f" (also on {listed([phase for phase in phases if phase != one.phase])})" if len(phases) > 1 else ""
    return f"the fallback does not fit under the fuse of {one.circuit!r} on {one.phase}{also}: {spelled_out(one)}. {_advice(one)}"


def spelled_out(one: FallbackSum, *, names: bool = True) -> str:
    """The sum in figures. names: say which EVSE has which current, as long as there are few of them."""
    relation = "fits under" if one.fits else "more than"
    chargers, others = _sum(one.chargers, names), _sum(one.others, True)
    return f"chargers {chargers}, other load {others}, together {one.total_a:g} A, {relation} {one.fuse_a:g} A"


def _sum(parts: tuple[Addend, ...], names: bool) -> str:
    """``10 (box1/1) + 10 (box2/1) = 20 A``, or ``2 x 10 = 20 A``."""
    total = f"{sum(part.amps for part in parts):g} A"
    if not parts:
        return "0 A"
    if len(parts) == 1 and names:
        return f"{total} ({parts[0].name})"
    if len(parts) <= 6 and names:
        return " + ".join(f"{part.amps:g} ({part.name})" for part in parts) + f" = {total}"
    kinds: dict[float, int] = {}
    for part in parts:
        kinds[part.amps] = kinds.get(part.amps, 0) + 1
    return " + ".join(f"{count} x {amps:g}" for amps, count in sorted(kinds.items(), reverse=True)) + f" = {total}"


def _advice(one: FallbackSum) -> str:
    over = f"{one.excess_a:g} A"
    if one.others_a >= one.fuse_a:
        return "The other load alone fills the fuse: check worst_other_load_a and fuse_a (both are per phase)."
    names = [part.name for part in sorted(one.chargers, key=lambda part: -part.amps)]
    return (
        f"Lower fallback_a by {over} in all on this phase (of {listed(names, 4)}; 0 is allowed), "
        "or lower worst_other_load_a if it is really less, or raise fuse_a if the fuse is really larger."
    )
