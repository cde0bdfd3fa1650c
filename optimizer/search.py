"""The search for prices at which blocks fit together, and the plan it ends with.

Two kinds of rounds. Free: all blocks at the same prices, which gives a proved bound and proposals far apart, for at a price a car
charges fully or not at all. Near: blocks stay in the neighbourhood of the best mixture, which gives proposals that mend it. The coarse
start makes the first bound nearly exact (0.03 % below the optimum), so most rounds are near ones: with free rounds alone 3000
cars were 0.65 % above the optimum after two rounds and 0.2 % after five, one near round brought them to 0.17 %.

At the end each block plans for exactly the head flows of the best mixture: never dearer than the mixture, and a plan of a simplex.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy

from optimizer.arrays import Arrays, Floats, Whole
from optimizer.block import NO_BOUNDS, NO_PLACES, Answer, Task
from optimizer.crew import Crew
from optimizer.cuts import Apart, Homes, whole
from optimizer.master import Master, Mixture
from optimizer.model import Model
from optimizer.start import Start

CLOSE_ENOUGH = 4e-3
"""Relative gap at which the search ends."""
MOST_ROUNDS = 16
FREE_ROUNDS = (0, 1, 6, 11)
NEAR = 0.3
"""Neighbourhood of the first near round, in parts of what a flow has varied by so far; it shrinks, fast when little was gained."""
SHRINKS, LITTLE = (0.8, 0.5), 1e-3
BOX = 0.3
"""How far prices may move in one round, in parts of themselves and of their mean."""
FIRST_PART = 0.6
"""Part of the time left that the first, cold round may use."""
BURNT_KWH = 1e-5
LAST_STEP = 1.5
"""Time kept for the last step, in rounds."""


@dataclass(frozen=True, slots=True)
class Round:
    """What is known after a round: the best mixture's objective (inf: none fits), the best bound, and how long it took."""

    objective: float
    bound: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Found:
    """values: of every column of the joint program. objective and bound in its unit; bound = -inf when none was proved."""

    values: Floats
    objective: float
    bound: float
    rounds: tuple[Round, ...]

    @property
    def gap(self) -> float | None:
        """How much dearer than the best plan this one can be, in parts of itself; None = no bound."""
        return max(0.0, (self.objective - self.bound) / max(1e-9, abs(self.objective))) if math.isfinite(self.bound) else None


class Search:
    """From first prices to a plan that fits. One use. end_s: on ``time.perf_counter``."""

    def __init__(self, model: Model, joint: Arrays, known: Homes, apart: Apart, crew: Crew, end_s: float) -> None:
        self._model, self._joint, self._known, self._apart = model, joint, known, apart
        self._crew, self._end_s = crew, end_s
        self._master = Master(apart)
        self._points: list[list[Floats]] = [[] for _ in apart.blocks]
        self._bound, self._centre = -math.inf, numpy.zeros(len(self._master.links))
        self._rounds: list[Round] = []
        self._near = NEAR
        self._pairs = _pairs(model)

    def run(self, start: Start) -> Found | None:
        """None when there was no time even for the first proposals, or they do not fit together."""
        self._crew.load(self._apart.blocks)
        if not self._first_proposals(start):
            return None
        mixture = self._master.mixed()
        prices = self._first_duals(start, mixture)
        while self._time_for_another():
            begin_s = time.perf_counter()
            if len(self._rounds) in FREE_ROUNDS or mixture is None:
                self._ask_free(prices)
            else:
                self._ask_near(mixture)
            mixture, prices = self._mixed(mixture, prices)
            objective = mixture.objective if mixture is not None else math.inf
            self._rounds.append(Round(objective, self._bound, time.perf_counter() - begin_s))
            if objective - self._bound <= CLOSE_ENOUGH * abs(objective):
                break
        return self._ended(mixture) if mixture is not None else None

    def _mixed(self, before: Mixture | None, prices: Floats) -> tuple[Mixture | None, Floats]:
        """The best mixture, and the prices for a free round: duals in the box."""
        box = BOX * (numpy.abs(self._centre) + float(numpy.abs(self._centre).mean()))
        boxed, mixture = self._master.mixed(self._centre, box), self._master.mixed()
        if mixture is not None and before is not None:
            gained = before.objective - mixture.objective
            self._near *= SHRINKS[gained < LITTLE * abs(mixture.objective)]
        return mixture or before, prices if boxed is None else boxed.duals

    def _left_s(self) -> float:
        return self._end_s - time.perf_counter()

    def _time_for_another(self) -> bool:
        if not self._rounds:
            return self._left_s() > 0.0
        return len(self._rounds) < MOST_ROUNDS and self._left_s() > (1.0 + LAST_STEP) * self._rounds[-1].seconds

    # -- the start --------------------------------------------------------------------------------------

    def _first_proposals(self, start: Start) -> bool:
        """What the blocks do under the plan by rules: it fits together, so every later mixture has something that does."""
        caps, tasks = self._ruled_caps(start), dict[int, Task]()
        for number, part in enumerate(self._apart.blocks):
            local = numpy.flatnonzero(~numpy.isnan(caps[part.columns])).astype(numpy.int32)
            low = part.program.lower[local]
            tasks[number] = Task(numpy.zeros(len(part.heads)), local, low, numpy.maximum(low, caps[part.columns][local]))
        answers = self._crew.solve(tasks, self._end_s)
        if any(answer.values is None for answer in answers.values()):
            return False
        self._propose(answers)
        return True

    def _ruled_caps(self, start: Start) -> Floats:
        """Upper bounds of the cars' columns that leave only what the rules give [kWh]; NaN for all other columns."""
        model, upper = self._model, self._joint.upper
        hours = numpy.array([slot.hours for slot in model.problem.slots])
        caps = numpy.full(len(upper), math.nan)
        for car in model.cars.values():
            if car.charge < 0:
                continue
            given = numpy.maximum(0.0, start.ruled.ev_power_w[car.ev.ev_id][car.first : car.last]) * hours[car.first : car.last] / 1000.0
            kept = numpy.minimum(upper[car.keep : car.keep + car.keeps], given[: car.keeps])
            given[: car.keeps] -= kept
            caps[car.keep : car.keep + car.keeps] = kept
            caps[car.charge : car.charge + car.slots] = numpy.minimum(upper[car.charge : car.charge + car.slots], given)
            if car.two_way:
                caps[car.give : car.give + car.slots] = 0.0
                caps[car.give_keep : car.give_keep + car.keeps] = 0.0
        return caps

    def _first_duals(self, start: Start, mixture: Mixture | None) -> Floats:
        """Prices of the coarse site; where it has none, those of the first mixture."""
        places, wanted = {column: place for place, column in enumerate(self._apart.master.columns.tolist())}, dict[int, float]()
        for column, place in self._known.keys.items():
            if place in start.prices:
                wanted[places[column]] = start.prices[place] / self._model.scale
        duals = self._master.link_duals(wanted)
        return numpy.where(numpy.isnan(duals), mixture.duals if mixture is not None else 0.0, duals)

    # -- a round ----------------------------------------------------------------------------------------

    def _ask_free(self, duals: Floats) -> None:
        """All blocks at these prices; the prices of the best bound become the centre."""
        if not self._rounds:
            self._centre = duals
        prices = self._master.head_prices(duals)
        answers = self._crew.solve({number: Task(own, NO_PLACES, NO_BOUNDS, NO_BOUNDS) for number, own in enumerate(prices)}, self._round_end_s())
        self._propose(answers)
        if all(answer.proved for answer in answers.values()):
            bound = self._master.bound(duals) + sum(answer.objective for answer in answers.values())
            if bound > self._bound:
                self._bound, self._centre = bound, duals

    def _ask_near(self, mixture: Mixture) -> None:
        """All blocks at the mixture's own prices, each in the neighbourhood of its part of it."""
        tasks = {}
        for number, prices in enumerate(self._master.head_prices(mixture.duals)):
            part, points = self._apart.blocks[number], self._points[number]
            flows = numpy.array([point[part.heads] for point in points])
            here, reach = _mean(flows, mixture.weights[number]), self._near * (flows.max(axis=0) - flows.min(axis=0))
            least = numpy.minimum(here, numpy.maximum(part.program.lower[part.heads], here - reach))
            most = numpy.maximum(here, numpy.minimum(part.program.upper[part.heads], here + reach))
            tasks[number] = Task(prices, part.heads, least, most)
        self._propose(self._crew.solve(tasks, self._round_end_s()))

    def _round_end_s(self) -> float:
        """A round must leave time for the last step."""
        left_s = self._left_s()
        return time.perf_counter() + (left_s - LAST_STEP * self._rounds[-1].seconds if self._rounds else left_s * FIRST_PART)

    def _propose(self, answers: dict[int, Answer]) -> None:
        for number, answer in answers.items():
            if answer.values is not None:
                self._points[number].append(answer.values)
                self._master.propose(number, answer.values)

    # -- the end ----------------------------------------------------------------------------------------

    def _ended(self, mixture: Mixture) -> Found | None:
        """Every block plans for exactly the flows of its mixture, the cheapest way; where there is no time, its mixture itself."""
        mixed = [_mean(points, weights) for points, weights in zip(self._points, mixture.weights, strict=True)]
        exact = self._planned_for(mixed, range(len(mixed)), below=False)
        burning = [number for number, values in enumerate(exact) if self._burns(number, values)]
        blocks = self._planned_for(mixed, burning, below=True) if burning else []
        for number, values in zip(burning, blocks, strict=True):
            exact[number] = values
        settled = self._master.settled(exact)
        if settled is None:
            return None
        return Found(whole(self._apart, settled[1], exact, len(self._joint.cost)), settled[0], self._bound, tuple(self._rounds))

    def _planned_for(self, mixed: Sequence[Floats], numbers: Sequence[int], below: bool) -> list[Floats]:
        """Plans of some blocks with the flows of their mixtures; below: or less, at the prices of the best bound."""
        tasks, prices = {}, self._master.head_prices(self._centre)
        for number in numbers:
            part = self._apart.blocks[number]
            budget = mixed[number][part.heads]
            least = numpy.minimum(part.program.lower[part.heads], budget) if below else budget
            tasks[number] = Task(prices[number], part.heads, least, budget)
        answers = self._crew.solve(tasks, self._end_s)
        return [_or(answers[number].values, mixed[number]) for number in numbers]

    def _burns(self, number: int, values: Floats) -> bool:
        """Whether a car would charge and give at once, to get rid of energy that its block has to draw. No car can."""
        columns, known = self._apart.blocks[number].columns, numpy.zeros(len(self._joint.cost))
        known[columns] = values
        return bool((numpy.minimum(known[self._pairs[0]], known[self._pairs[1]]) > BURNT_KWH).any())

def _pairs(model: Model) -> tuple[Whole, Whole]:
    """Columns of the same car and slot that must not both be above 0: charging, giving."""
    charge, give = list[int](), list[int]()
    for car in model.cars.values():
        if car.two_way and car.give >= 0:
            for one, other in itertools.product((car.charge, car.keep), (car.give, car.give_keep)):
                count = car.slots if (one, other) == (car.charge, car.give) else car.keeps
                charge += range(one, one + count)
                give += range(other, other + count)
    return numpy.array(charge, dtype=numpy.int32), numpy.array(give, dtype=numpy.int32)


def _or(values: Floats | None, other: Floats) -> Floats:
    return other if values is None else values


def _mean(points: Sequence[Floats] | Floats, weights: Floats) -> Floats:
    """A mixture of points; the weights add up to 1 but for the solver's rounding."""
    shares = weights / max(1e-12, float(weights.sum()))
    mean = numpy.zeros(len(points[0]))
    for share, point in zip(shares.tolist(), points, strict=False):
        if share > 0.0:
            mean += share * point
    return mean
