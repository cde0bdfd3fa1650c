"""Takes the basis of an old model over into a new one: what stood where at which moment is still nearly right a quarter hour later.

A column or row is known by what it is for (this car's charging, this wire) and by the moment its slot lies in; where the new grid is
finer than the old, several new slots take the status of one old. What has no counterpart starts at its lower bound (columns) or slack
(rows). The number of basic ones need not fit and the basis may be singular: HiGHS repairs both. Nothing here can make a plan
wrong, only slow to find.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy
from numpy.typing import NDArray

from optimizer.highs import Basis
from optimizer.model import Model
from optimizer.parts import Car

Statuses: TypeAlias = NDArray[numpy.int8]
Places: TypeAlias = NDArray[numpy.int64]

AT_LOWER, BASIC = 0, 1
CAR_COLUMNS, KEEP_COLUMNS = ("charge", "give", "level"), ("keep", "give_keep")
SITE_COLUMNS = ("bought", "sold", "over_in", "over_out", "reserve", "curtailed")
STORE_COLUMNS, STORE_ROWS = ("charge", "give", "level", "under", "deeper"), ("chain_row", "reserve_row", "deeper_row")


class Stood:
    """Where an old model's columns and rows stood. It keeps no column or row: the old program may go before the new one is built."""

    def __init__(self, model: Model, basis: Basis) -> None:
        self.columns, self.rows = numpy.array(basis.columns, dtype=numpy.int8), numpy.array(basis.rows, dtype=numpy.int8)
        self.cars, self.site, self.wiring = model.cars, model.site, model.wiring
        self.nodes = {node.node_id: place for place, node in enumerate(model.tree.bottom_up)}
        self.ends = numpy.array(model.frame.ends_wall_s())

    def at(self, model: Model) -> Basis:
        """A basis for another model."""
        return _Carrier(self, model).basis()


class _Carrier:
    """One taking over. then: new slot -> the old slot its middle lies in, beyond the old horizon the last."""

    def __init__(self, old: Stood, model: Model) -> None:
        self._old, self._model = old, model
        self._columns = numpy.full(len(model.program.columns), AT_LOWER, dtype=numpy.int8)
        self._rows = numpy.full(len(model.program.rows), BASIC, dtype=numpy.int8)
        middles = [slot.start_wall_s + 0.5 * slot.duration_s for slot in model.frame.slots]
        self._then = numpy.minimum(numpy.searchsorted(old.ends, middles, side="right"), len(old.ends) - 1)

    def basis(self) -> Basis:
        self._cars()
        self._site()
        self._wires()
        return Basis(self._columns.tolist(), self._rows.tolist())

    def _cars(self) -> None:
        for ev_id, car in self._model.cars.items():
            before = self._old.cars.get(ev_id)
            if before is not None and before.key == car.key and car.slots and before.slots:
                self._car(before, car)

    def _car(self, old: Car, new: Car) -> None:
        then = self._then[new.first : new.last]
        here = numpy.flatnonzero((then >= old.first) & (then < old.last))
        for name in CAR_COLUMNS:
            self._block(self._columns, self._old.columns, getattr(new, name), getattr(old, name), here, then[here] - old.first)
        self._block(self._rows, self._old.rows, new.chain_row, old.chain_row, here, then[here] - old.first)
        early = here[(here < new.keeps) & (then[here] - old.first < old.keeps)]
        for name in KEEP_COLUMNS:
            self._block(self._columns, self._old.columns, getattr(new, name), getattr(old, name), early, then[early] - old.first)
        for row, old_row in zip(new.curve_rows, old.curve_rows, strict=False):
            self._block(self._rows, self._old.rows, row, old_row, here, then[here] - old.first)
        shorts = numpy.arange(2 + (new.has_minimum and old.has_minimum))
        self._block(self._columns, self._old.columns, new.short, old.short, shorts, shorts)
        self._one(self._rows, self._old.rows, new.need_row, old.need_row)

    def _site(self) -> None:
        new, old, every = self._model.site, self._old.site, numpy.arange(len(self._then))
        for name in SITE_COLUMNS:
            self._block(self._columns, self._old.columns, getattr(new, name), getattr(old, name), every, self._then)
        self._block(self._rows, self._old.rows, new.exchange_row, old.exchange_row, every, self._then)
        self._one(self._columns, self._old.columns, new.peak, old.peak)
        known = {slot: row for window, row in zip(old.windows, old.window_rows, strict=True) for slot, _ in window.parts}
        for window, row in zip(new.windows, new.window_rows, strict=True):
            self._one(self._rows, self._old.rows, row, known.get(int(self._then[window.parts[0][0]]), -1))
        if new.store is not None and old.store is not None:
            for name in STORE_COLUMNS:
                self._block(self._columns, self._old.columns, getattr(new.store, name), getattr(old.store, name), every, self._then)
            for name in STORE_ROWS:
                self._block(self._rows, self._old.rows, getattr(new.store, name), getattr(old.store, name), every, self._then)

    def _wires(self) -> None:
        for place, node in enumerate(self._model.tree.bottom_up):
            before = self._old.nodes.get(node.node_id)
            if before is not None:
                wiring, old = self._model.wiring, self._old.wiring
                self._table(self._columns, self._old.columns, wiring.column[place], old.column[before])
                self._table(self._rows, self._old.rows, wiring.row[place], old.row[before])
                total, old_total = wiring.totals.get(place, -1), old.totals.get(before, -1)
                self._block(self._rows, self._old.rows, total, old_total, numpy.arange(len(self._then)), self._then)

    def _table(self, new: Statuses, old: Statuses, places: Sequence[Sequence[int]], old_places: Sequence[Sequence[int]]) -> None:
        """Per slot and phase; -1 = none."""
        here, there = numpy.array(places).ravel(), numpy.array(old_places)[self._then].ravel()
        both = (here >= 0) & (there >= 0)
        new[here[both]] = old[there[both]]

    @staticmethod
    def _block(new: Statuses, old: Statuses, first: int, old_first: int, here: Places, there: Places) -> None:
        if first >= 0 and old_first >= 0:
            new[first + here] = old[old_first + there]

    @staticmethod
    def _one(new: Statuses, old: Statuses, place: int, old_place: int) -> None:
        if place >= 0 and old_place >= 0:
            new[place] = old[old_place]
