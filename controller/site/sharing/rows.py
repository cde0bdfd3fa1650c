"""Rows: the copper, grid and site limits as capacities that claims share.

In this order: three per circuit (L1..L3); six for the allowed difference between two phases, if there is such a
limit; three per station whose sum the CSMS limits; three per depot face whose chargers' sum its CSMS limits; three per circuit, one for
the site, again six, and one per depot face with a bound on giving back, where cars may give back; last the totals.

Totals. A limit in watts is one row for its phases together, in amperes at the highest voltage seen; a claim loads it once per phase.
What one phase feeds in makes room on that phase only: beside the sum of all phases stands one without each phase (and each set of
phases) that feeds in, so that no sum of what is drawn exceeds the limit, whether a meter nets its phases or not. It never leaves less
than a third of it for each phase would.

Unbalance. Charging shall never make two phases p and q at the grid connection differ by more than U. Row (p, q) holds
what may load p and not q; its capacity is U plus what others are measured to draw on q and not on p (``Row.leans``), never more than
they are granted in the same decision. A car on three phases is in none of them; one whose phases are not known yet counts
as if it were on its first phase alone.

Export. What is given back must not flow over a fuse backwards even if every other car stops at once and must not exceed the
site's export limit with nothing but the measured other load to take it. Charging never counts on it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import combinations

from controller.config import ROOT_CIRCUIT
from controller.facts import EvseKey
from controller.site.grid.limits import Limit
from controller.site.layout import PHASE_NAMES, PHASES, Layout
from controller.site.sharing import layers
from controller.site.sharing.arbiter import Claim, Row
from controller.site.sharing.inputs import Inputs
from controller.site.state import EvseState

LEAN_FOR_S = 30.0
"""Others may lean on a car's current this long after it was measured [s]."""
LEAN_A = 1.0
"""Smaller differences between a car's phases are noise [A]."""
PAIRS = tuple((p, q) for p in PHASES for q in PHASES if p != q)
NO_LIMIT_A = 1e9
GIVE_PART = 0.5
"""Part of the allowed unbalance that giving back may take from charging."""

Phases = tuple[int, ...]


@dataclass(slots=True)
class Table:
    """The rows of one decision while they are being made: capacity [A], and (reason, source, ends)."""

    owner: Rows
    capacity: list[float] = field(default_factory=list)
    named: list[tuple[str, str, float | None]] = field(default_factory=list)
    leans: dict[int, list[tuple[EvseKey, float]]] = field(default_factory=dict)
    station_rows: dict[str, int] = field(default_factory=dict)
    face_rows: dict[str, list[int]] = field(default_factory=dict)
    give_rows: dict[str, list[int]] = field(default_factory=dict)
    strict: set[int] = field(default_factory=set)
    passing: dict[int, float] = field(default_factory=dict)
    phases: dict[int, Phases] = field(default_factory=dict)
    totals: dict[str, tuple[int, ...]] = field(default_factory=dict)
    face_totals: dict[str, tuple[int, ...]] = field(default_factory=dict)
    _loads: dict[tuple[str, Phases], tuple[int, ...]] = field(default_factory=dict)

    def add(self, capacity_a: float, reason: str, source: str, ends_wall_s: float | None = None, passing_a: float = 0.0) -> None:
        """One more row."""
        if passing_a:
            self.passing[len(self.capacity)] = passing_a
        self.capacity.append(capacity_a)
        self.named.append((reason, source, ends_wall_s))

    def rows_of(self, evse: EvseState) -> tuple[int, ...]:
        """The rows an EVSE loads with the phases that count for it now."""
        return self.rows_on(evse, evse.phases)

    def rows_on(self, evse: EvseState, phases: Phases) -> tuple[int, ...]:
        """The rows an EVSE loads with these phases."""
        rows = self.owner.fixed_rows(evse.place.circuit, phases)
        if self.owner.unbalance_a is not None:
            rows += self.owner.pair_rows(evse, phases)
        station_id = evse.place.key.station_id
        first = self.station_rows.get(station_id)
        rows = rows if first is None else rows + tuple([first + phase for phase in phases])
        if self.face_rows:
            rows += tuple([first + phase for first in self.face_rows.get(station_id, ()) for phase in phases])
        return rows + self._totals_on(evse, phases) if self.phases else rows

    def _totals_on(self, evse: EvseState, phases: Phases) -> tuple[int, ...]:
        """The totals above an EVSE, each once per phase."""
        found = self._loads.get((evse.place.key.station_id, phases))
        if found is None:
            above = [row for name in evse.place.path for row in self.totals.get(name, ())]
            above += self.face_totals.get(evse.place.key.station_id, ())
            found = tuple([row for row in above for phase in phases if phase in self.phases[row]])
            self._loads[evse.place.key.station_id, phases] = found
        return found

    def sums_of(self, rows: tuple[int, ...]) -> tuple[int, ...]:
        """The totals among some rows that stand there more than once."""
        return tuple([row for row in self.phases if rows.count(row) > 1]) if self.phases else ()

    def total(self, capacity_a: float, phases: Phases, reason: str, source: str, ends_wall_s: float | None, passing_a: float = 0.0) -> int:
        """A row for several phases together; its index."""
        row = len(self.capacity)
        self.phases[row] = phases
        self.add(capacity_a, reason, source, ends_wall_s, passing_a)
        return row

    def book(self, evse: EvseState, amps: float, online: bool) -> None:
        """Subtract what cannot be commanded. An offline station that was put on one phase falls back to all of them."""
        phases = evse.phases if online or evse.switched is None else evse.place.phases
        for row in self.rows_on(evse, phases):
            self.capacity[row] -= amps

    def finished(self) -> tuple[Row, ...]:
        """The rows, frozen."""
        leans, passing, phases = self.leans, self.passing, self.phases
        return tuple(
            [
                Row(amps, *self.named[index], tuple(leans.get(index, ())), passing.get(index, 0.0), index in self.strict, phases.get(index, ()))
                for index, amps in enumerate(self.capacity)
            ]
        )


def drawing(phases: Phases, other_a: Sequence[float]) -> list[Phases]:
    """All phases, and every set of them without some that feed in; the sum of what is drawn is the largest of their sums."""
    feeding = [phase for phase in phases if other_a[phase] < 0.0]
    without = [gone for count in range(len(feeding) + 1) for gone in combinations(feeding, count) if count < len(phases)]
    return [tuple([phase for phase in phases if phase not in gone]) for gone in without]


class Rows:
    """Makes the rows; keeps only the fixed layout."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self.unbalance_a = layout.max_unbalance_a
        self._index = {name: number for number, name in enumerate(layout.circuits)}
        self._paths = {place.circuit: place.path for place in layout.places.values()}
        self._fixed: dict[tuple[str, Phases], tuple[int, ...]] = {}
        self._first_pair = 3 * len(self._index)
        self._gives = any(place.config.v2g is not None for place in layout.places.values())

    def row_of(self, circuit: str, phase: int) -> int:
        """Index of the row of a circuit and phase."""
        return 3 * self._index[circuit] + phase

    def fixed_rows(self, circuit: str, phases: Phases) -> tuple[int, ...]:
        """The rows from a circuit up to the grid on these phases."""
        found = self._fixed.get((circuit, phases))
        if found is None:
            found = tuple([3 * self._index[name] + phase for name in self._paths[circuit] for phase in phases])
            self._fixed[circuit, phases] = found
        return found

    def pair_rows(self, evse: EvseState, phases: Phases) -> tuple[int, ...]:
        """The rows (p, q) that an EVSE loads: on p and not on q."""
        pairs = [(p, q) for p in phases for q in PHASES if q not in phases]
        if len(phases) > 1 and set(phases) != set(evse.phase_use.most):
            pairs += [(phases[0], q) for q in phases[1:]]  # it may be a one-phase car as far as anybody has seen
        return tuple([self._first_pair + PAIRS.index(pair) for pair in pairs])

    def table(self, inputs: Inputs) -> Table:
        """All rows at this moment, before anything is booked."""
        table = Table(self)
        for name in self._layout.circuits:
            self._circuit(table, name, inputs)
        if self.unbalance_a is not None:
            for p, q in PAIRS:
                table.add(self.unbalance_a, f"unbalance limit {PHASE_NAMES[p]} over {PHASE_NAMES[q]}", layers.UNBALANCE)
        for station_id, wish in inputs.station_wishes.items():
            table.station_rows[station_id] = len(table.capacity)
            for _ in PHASES:
                table.add(wish.limit_a, wish.reason, layers.UPSTREAM, wish.ends_wall_s)
        for face in inputs.faces:
            if face.phase_a is not None:
                for station_id in face.stations:
                    table.face_rows.setdefault(station_id, []).append(len(table.capacity))
                for _ in PHASES:
                    table.add(face.phase_a, face.reason, face.source, face.ends_wall_s)
        if self._gives:
            self._export(table, inputs)
        for name, limit in inputs.totals.items():
            table.totals[name] = self._total(table, name, limit, inputs)
        for face in inputs.faces:
            if face.total_a is not None:
                row = table.total(face.total_a, PHASES[: self._layout.phase_count], face.reason, face.source, face.ends_wall_s)
                for station_id in face.stations:
                    table.face_totals[station_id] = (*table.face_totals.get(station_id, ()), row)
        return table

    def _total(self, table: Table, name: str, limit: Limit, inputs: Inputs) -> tuple[int, ...]:
        """A limit of all phases of a circuit together, less the other load."""
        load, phases = inputs.loads[name], PHASES[: self._layout.phase_count]
        kept_a = [amps + load.reserve_a for amps in load.other_a]
        source = layers.OPERATOR if limit.by_operator else layers.LIMIT
        total_a = limit.limit_a * len(phases) if limit.total_a is None else limit.total_a
        rows = []
        for which in drawing(phases, kept_a):
            free_a, passing_a = total_a - sum(kept_a[phase] for phase in which), sum(load.passing_a[phase] for phase in which)
            rows.append(table.total(free_a, which, limit.reason, source, limit.ends_wall_s, passing_a))
        return tuple(rows)

    def _circuit(self, table: Table, name: str, inputs: Inputs) -> None:
        """Fuse, or a lower limit, less the other load."""
        circuit, load, limit = self._layout.circuits[name], inputs.loads[name], inputs.limits.get(name)
        copper_a = circuit.fuse_a - load.margin_a
        if limit is not None and limit.limit_a < copper_a:
            source = layers.OPERATOR if limit.by_operator else layers.LIMIT
            for phase in PHASES:
                table.add(limit.limit_a - load.other_a[phase] - load.reserve_a, limit.reason, source, limit.ends_wall_s, load.passing_a[phase])
            return
        fuse, source = ("fuse", layers.FUSE) if circuit.parent is None else (f"circuit {name}", layers.CIRCUIT)
        for phase in PHASES:
            table.add(copper_a - load.other_a[phase] - load.reserve_a, f"{fuse} {PHASE_NAMES[phase]}", source, None, load.passing_a[phase])

    # -- unbalance -------------------------------------------------------------------------------------------

    def lean(self, table: Table, inputs: Inputs, claims: Iterable[Claim]) -> None:
        """What others draw on q and not on p makes room in row (p, q); what is given back there takes room away, at most half of it."""
        if self.unbalance_a is None:
            return
        now, given = inputs.at.mono_s, [0.0] * len(PAIRS)
        for claim in claims:
            evse = inputs.evses[claim.key]
            if claim.give is not None:
                for number in self._against(evse.phases):
                    given[number] += claim.give.wanted_a
            if now - evse.measured_mono_s > LEAN_FOR_S:
                continue
            amps = [max(0.0, current_a or 0.0) for current_a in evse.current_a]
            for number, (p, q) in enumerate(PAIRS):
                row, more_a = self._first_pair + number, amps[q] - amps[p]
                if row not in claim.rows and abs(more_a) > LEAN_A:
                    table.leans.setdefault(row, []).append((claim.key, more_a))
        for number, amps_a in enumerate(given):
            table.capacity[self._first_pair + number] -= min(amps_a, GIVE_PART * self.unbalance_a)

    @staticmethod
    def _against(phases: Phases) -> list[int]:
        """The pairs (p, q) that giving back on these phases makes worse: q among them, p not."""
        return [number for number, (p, q) in enumerate(PAIRS) if q in phases and p not in phases]

    # -- export ----------------------------------------------------------------------------------------------

    def _export(self, table: Table, inputs: Inputs) -> None:
        for name, circuit in self._layout.circuits.items():
            load = inputs.loads[name]
            for phase in PHASES:
                table.add(circuit.fuse_a - load.margin_a + min(0.0, load.other_a[phase]), f"fuse {name} {PHASE_NAMES[phase]}", layers.FUSE)
        table.add(*self._site_export_a(inputs), layers.LIMIT)
        if self.unbalance_a is not None:
            for p, q in PAIRS:
                table.add(GIVE_PART * self.unbalance_a, f"unbalance limit {PHASE_NAMES[p]} over {PHASE_NAMES[q]}", layers.UNBALANCE)
        for face in inputs.faces:
            if face.discharge_w is not None:
                for station_id in face.stations:
                    table.give_rows.setdefault(station_id, []).append(len(table.capacity))
                table.strict.add(len(table.capacity))
                table.add(face.discharge_w / self._layout.voltage_v, face.discharge_reason, layers.UPSTREAM, face.ends_wall_s)

    def _site_export_a(self, inputs: Inputs) -> tuple[float, str]:
        """Sum of the phases that may be given back [A], and who says so: the export limit and what is measured to take it."""
        most_w, reason, load = self._layout.max_export_w, "feed-in limit", inputs.loads[ROOT_CIRCUIT]
        if inputs.export is not None and (most_w is None or inputs.export[0] < most_w):
            most_w, reason = inputs.export
        if most_w is None:
            return NO_LIMIT_A, reason
        phases = PHASES[: self._layout.phase_count]
        taken_a = sum(load.other_a[phase] - load.margin_a for phase in phases) if load.meter else 0.0
        return most_w / self._layout.voltage_v + taken_a, reason

    def still_gives(self, table: Table, evse: EvseState, amps: float) -> None:
        """Who shall give nothing may still be giving so much per phase [A]: nobody gives more instead yet."""
        for row in table.give_rows.get(evse.place.key.station_id, ()):
            table.capacity[row] -= amps * len(evse.phases)

    def export_rows_of(self, evse: EvseState, inputs: Inputs, table: Table | None = None) -> tuple[int, ...]:
        """The export rows an EVSE loads by giving back; sums over the phases stand there once per phase."""
        pairs = 0 if self.unbalance_a is None else len(PAIRS)
        limited = sum(face.phase_a is not None for face in inputs.faces)
        first = 3 * len(self._index) + pairs + 3 * len(inputs.station_wishes) + 3 * limited
        phases = evse.phases
        site = first + 3 * len(self._index)
        rows = [first + row for row in self.fixed_rows(evse.place.circuit, phases)] + [site] * len(phases)
        if pairs:
            rows += [site + 1 + number for number in self._against(phases)]
        for row in table.give_rows.get(evse.place.key.station_id, ()) if table is not None else ():
            rows += [row] * len(phases)
        return tuple(rows)
