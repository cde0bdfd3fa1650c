"""What a living model remembers of its structure: where the columns and rows of each car and of the site stand. Plain data.

Numbers of columns and rows count in the order of the program; -1 = there is none. A block is one column (or row) per slot, side by side.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from optimizer.cars import Curve
from optimizer.problem import Ev, Slot
from optimizer.weights import DemandWindow


@dataclass(slots=True)
class Car:
    """One car. first, last: its slots are first <= slot < last; blocks of columns begin at its first slot.

    key: what may not change while it lives in the model. keeps: how many of its slots lie in the running quarter hour and have
    a second column for the power of now (``keep``, ``give_keep``). short: columns of the missing energy, first half, second half,
    and (has_minimum) minimum. need_row: the energy row of a car that only charges, or the target row of one with a store. chain_row:
    block of rows of the store. curve_rows: one block of rows per line of its curve. urgency: 0..1, its own and the same for its
    whole stay. wear: price of its discharging in the objective. waits: whether its costs contain a price of waiting.
    """

    ev: Ev
    key: tuple[object, ...]
    row: int
    first: int
    last: int
    urgency: float
    two_way: bool
    curve: Curve
    charge: int = -1
    keep: int = -1
    keeps: int = 0
    give: int = -1
    give_keep: int = -1
    level: int = -1
    short: int = -1
    has_minimum: bool = False
    need_row: int = -1
    chain_row: int = -1
    curve_rows: list[int] = field(default_factory=list)
    wear: float = 0.0
    waits: bool = False

    @property
    def slots(self) -> int:
        """How many slots it has."""
        return self.last - self.first


@dataclass(slots=True)
class Store:
    """The stationary battery: blocks over all slots. deeper: what it goes below its reserve in a slot; under: how far it is below."""

    charge: int
    give: int
    level: int
    chain_row: int
    under: int = -1
    deeper: int = -1
    reserve_row: int = -1
    deeper_row: int = -1


@dataclass(slots=True)
class Site:
    """The grid connection. bought, sold, over_in, over_out, reserve, curtailed: blocks over all slots (reserve and curtailed may be
    missing). exchange_row: block of rows. setpoints: slot -> (row, column above, column below). window_rows: one per demand window.
    """

    bought: int
    sold: int
    over_in: int
    over_out: int
    reserve: int
    exchange_row: int
    curtailed: int = -1
    peak: int = -1
    store: Store | None = None
    setpoints: dict[int, tuple[int, int, int]] = field(default_factory=dict)
    windows: tuple[DemandWindow, ...] = ()
    window_rows: list[int] = field(default_factory=list)


@dataclass(slots=True)
class Wiring:
    """Flow columns and rows: [node in ``Tree.bottom_up``][slot][phase]. overloads: (node, slot, phase, sign) -> (row, column).

    unbalance: (node, slot) -> (column, {(phase above, phase below): row}). totals: node -> block of rows, one per slot.
    """

    column: list[list[list[int]]]
    row: list[list[list[int]]]
    overloads: dict[tuple[int, int, int, int], tuple[int, int]] = field(default_factory=dict)
    unbalance: dict[tuple[int, int], tuple[int, dict[tuple[int, int], int]]] = field(default_factory=dict)
    totals: dict[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Frame:
    """The time of a model, fixed while it lives. early: slots within the running quarter hour of the clock; lateness: 0..1 per slot."""

    slots: tuple[Slot, ...]
    early: int
    lateness: tuple[float, ...]
    buy: tuple[float, ...]
    sell: tuple[float, ...]

    def ends_wall_s(self) -> list[float]:
        """End of each slot: what a slot is known by, for the first one's begin moves."""
        return [slot.start_wall_s + slot.duration_s for slot in self.slots]
