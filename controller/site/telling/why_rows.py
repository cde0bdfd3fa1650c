"""The rows behind "why only 8 A?": what one EVSE shares with others, as figures that add up.

Every row reads carries = other + margin + booked + others + own + left; a total in amperes over its phases. What is
left may be negative: then more flows, or is kept free, than the row carries, and the arbiter is taking it back.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from controller.site.layout import PHASE_NAMES
from controller.site.sharing.arbiter import WAITING, Claim, Grant, Row
from controller.site.sharing.budget import SiteState
from controller.site.sharing.layers import LIMIT, OPERATOR, UNBALANCE
from controller.site.state import EvseState
from controller.snapshot import WhyRow

if TYPE_CHECKING:
    from controller.site.site import Site

FULL_A: Final = 1.0
"""A row with less left than this is full, per phase of it: setpoints come in whole amperes [A]."""
TINY_A: Final = 1e-6


class SharedRows:
    """The rows of one EVSE in the last decision. claim None: it took no part (offline, no car)."""

    def __init__(self, site: Site, frozen: SiteState, evse: EvseState, claim: Claim | None, grant: Grant | None) -> None:
        self._site, self._frozen, self._evse, self._grant = site, frozen, evse, grant
        self._indices = tuple(dict.fromkeys(claim.rows if claim is not None and claim.rows else self._booked_on(evse)))
        self._granted = self._sums()

    def all(self) -> list[WhyRow]:
        """Tightest first."""
        return sorted((self._row(index) for index in self._indices), key=lambda row: row.left_a)

    def _booked_on(self, evse: EvseState) -> tuple[int, ...]:
        """The rows of an EVSE that takes no part, but for which room is kept."""
        kept_a = self._frozen.booked_a.get(evse.place.key, 0.0)
        return self._rows_booked(evse) if kept_a > 0 else ()

    def _rows_booked(self, evse: EvseState) -> tuple[int, ...]:
        """An offline station that was put on one phase falls back to all of them."""
        online = self._site.actuator.channels[evse.place.key].online
        return self._site.budget.rows_on(evse, evse.phases if online or evse.switched is None else evse.place.phases)

    def _sums(self) -> dict[int, float]:
        """Row -> what all cars on it were given [A]."""
        granted: dict[int, float] = {}
        for claim in self._frozen.claims:
            grant = self._site.grants.get(claim.key)
            for row in claim.rows:
                granted[row] = granted.get(row, 0.0) + (grant.limit_a if grant is not None else 0.0)
        return granted

    def _own_a(self, index: int) -> float:
        """What it was given on a row [A]; on a total for each of its phases."""
        times = sum(claim.rows.count(index) for claim in self._frozen.claims if claim.key == self._evse.place.key)
        return self._grant.limit_a * times if self._grant is not None else 0.0

    def _row(self, index: int) -> WhyRow:
        row, own_a, granted_a = self._frozen.rows[index], self._own_a(index), self._granted.get(index, 0.0)
        booked_a = self._booked_a(index)
        what, phase, carries_a, other_a, margin_a = self._circuit(index, row, booked_a) or self._beside(index, row, booked_a)
        left_a = carries_a - other_a - margin_a - booked_a - granted_a
        left_a = 0.0 if abs(left_a) < TINY_A else left_a
        figures = (carries_a, other_a, margin_a, booked_a, max(0.0, granted_a - own_a), own_a, left_a)
        return WhyRow(what, phase, *figures, self._binds(row, left_a), self._site.limits.measures.voltage_v if row.phases else None)

    def _binds(self, row: Row, left_a: float) -> bool:
        grant = self._grant
        return grant is not None and grant.reason.removeprefix(WAITING) == row.reason and (left_a < FULL_A * max(1, len(row.phases)) or grant.waiting)

    def _circuit(self, index: int, row: Row, booked_a: float) -> tuple[str, str, float, float, float] | None:
        """(what, phase, carries, other, margin) of a row of a circuit; None for any other."""
        circuits = list(self._site.layout.circuits)
        if row.phases:
            return self._total(index, row, booked_a)
        if index >= 3 * len(circuits):
            return None
        name, phase, inputs = circuits[index // 3], index % 3, self._site.budget.inputs
        other_a = inputs.loads[name].other_a[phase] if inputs is not None else 0.0
        circuit, carries_a = self._site.layout.circuits[name], row.capacity_a + booked_a + other_a
        if row.source in (LIMIT, OPERATOR):
            kept_a = inputs.loads[name].reserve_a if inputs is not None else 0.0
            where = "" if circuit.parent is None else f" for {name}"
            return f"{row.reason}{where}", PHASE_NAMES[phase], carries_a + kept_a, other_a, kept_a
        # The copper: what the rows keep free below it is a margin.
        what = "fuse" if circuit.parent is None else f"circuit {name}"
        return what, PHASE_NAMES[phase], circuit.fuse_a, other_a, circuit.fuse_a - carries_a

    def _total(self, index: int, row: Row, booked_a: float) -> tuple[str, str, float, float, float]:
        """A limit in watts: of a circuit with what flows there besides, or of controllable loads."""
        name = next((name for name, rows in self._frozen.totals.items() if index in rows), None)
        phases = "+".join(PHASE_NAMES[phase] for phase in row.phases)
        inputs = self._site.budget.inputs
        if name is None or inputs is None:
            return row.reason, phases, row.capacity_a + booked_a, 0.0, 0.0
        load, where = inputs.loads[name], "" if self._site.layout.circuits[name].parent is None else f" for {name}"
        other_a, kept_a = sum(load.other_a[phase] for phase in row.phases), load.reserve_a * len(row.phases)
        return f"{row.reason}{where}", phases, row.capacity_a + booked_a + other_a + kept_a, other_a, kept_a

    def _beside(self, index: int, row: Row, booked_a: float) -> tuple[str, str, float, float, float]:
        """The difference between two phases, or the sum of a station."""
        if row.source != UNBALANCE:
            first = 3 * len(self._site.layout.circuits) + (6 if self._site.layout.max_unbalance_a is not None else 0)
            return row.reason, PHASE_NAMES[(index - first) % 3], row.capacity_a + booked_a, 0.0, 0.0
        allowed_a = self._site.layout.max_unbalance_a or 0.0
        return row.reason, "", allowed_a, -self._leaned_a(row), allowed_a - row.capacity_a - booked_a

    def _leaned_a(self, row: Row) -> float:
        """What cars on the opposite phase draw, and are granted [A]: so much more fits."""
        grants = self._site.grants
        return sum(min(amps, grants[key].limit_a) if key in grants else amps for key, amps in row.leans)

    def _booked_a(self, index: int) -> float:
        return sum(amps * self._rows_booked(self._site.evses[key]).count(index) for key, amps in self._frozen.booked_a.items() if amps)


def full_words(row: WhyRow) -> str:
    """Why a row has no more, in one clause. A total is told in watts: that is how it was said."""
    name = f"{row.what} {row.phase}".strip() if row.w_per_a is None else row.what
    parts = [_other_words(row), f"{_much(row, row.others_a)} other cars", f"{_much(row, row.booked_a + row.margin_a)} kept free"]
    state = "is full" if row.left_a > -FULL_A else f"has {_much(row, -row.left_a)} too much on it"
    verb = "carries" if row.what == "fuse" or row.what.startswith("circuit ") else "allows"
    return f"{name} {verb} {_much(row, row.carries_a)} and {state} ({', '.join(parts)})"


def _much(row: WhyRow, amps: float) -> str:
    return f"{amps:.0f} A" if row.w_per_a is None else f"{amps * row.w_per_a / 1000:.1f} kW"


def _other_words(row: WhyRow) -> str:
    if row.what.startswith("unbalance"):
        return f"{-row.other_a:.0f} A balanced by cars on the other phase"
    return f"{_much(row, row.other_a)} other load" if row.other_a > -0.5 else f"{_much(row, -row.other_a)} fed in by others"


def binding(rows: Iterable[WhyRow]) -> WhyRow | None:
    """The tightest row that holds the EVSE."""
    return next((row for row in rows if row.binds), None)
