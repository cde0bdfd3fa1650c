"""Where a site is cut, and that its pieces hold every column and row of the joint program exactly once."""

from dataclasses import replace

import numpy

from optimizer.arrays import read
from optimizer.block import Block, Task
from optimizer.crew import Crew
from optimizer.cuts import cut_nodes, homes, take_apart, whole
from optimizer.master import Master
from optimizer.model import build
from optimizer.problem import Problem
from optimizer.solve import solve
from optimizer.start import begin
from optimizer.wires import plant_tree
from tests.support.feeders import site

FOREVER_S = 1e9


def cuts_of(problem: Problem, most_cars: int = 150) -> tuple[str, ...]:
    return cut_nodes(problem, plant_tree(problem), most_cars)


def test_feeders_with_cars_are_cut() -> None:
    assert cuts_of(site([3, 0, 4])) == ("feeder0", "feeder2")


def test_a_big_feeder_is_gone_through_until_nothing_hangs_below() -> None:
    assert cuts_of(site([30, 4]), 20) == ("feeder1", "panel0a", "panel0b")
    assert cuts_of(site([30, 4]), 10) == ("feeder1", "panel0a", "panel0b")


def test_every_column_and_row_has_one_home() -> None:
    problem = site([6, 9, 4], 140.0)
    model = build(problem)
    joint, cuts = read(model.lp), cuts_of(problem)
    apart = take_apart(joint, homes(model, cuts))
    assert apart is not None
    rows = numpy.concatenate([part.rows for part in (apart.master, *apart.blocks)])
    assert sorted(rows.tolist()) == list(range(len(joint.row_lower)))
    inner = [numpy.setdiff1d(part.columns, part.columns[part.heads]) for part in (apart.master, *apart.blocks)]
    heads = numpy.concatenate([part.columns[part.heads] for part in apart.blocks])
    assert sorted(numpy.concatenate([*inner, heads]).tolist()) == list(range(len(joint.cost)))
    assert sorted(heads.tolist()) == sorted(apart.master.columns[apart.master.heads].tolist())
    entries = sum(len(part.program.entries.values) for part in (apart.master, *apart.blocks))
    assert entries == len(joint.entries.values), "a head stands in rows of its block and of the master, each row in one of them"


def test_at_the_joint_prices_the_pieces_add_up_to_the_joint_optimum() -> None:
    """Lagrange: the bound at the joint program's own duals is its optimum."""
    problem = site([6, 9, 4], 140.0, 60.0)
    model = build(problem)
    joint = read(model.lp)
    apart = take_apart(joint, homes(model, cuts_of(problem)))
    assert apart is not None
    none, free = numpy.zeros(0, dtype=numpy.int32), numpy.zeros(0)
    best = Block(joint, none).solve(Task(free, none, free, free))
    assert best.duals is not None
    master = Master(apart)
    duals = best.duals[apart.master.rows[master.links]]
    pairs = zip(apart.blocks, master.head_prices(duals), strict=True)
    answers = [Block(part.program, part.heads).solve(Task(own, none, free, free)) for part, own in pairs]
    bound = master.bound(duals) + sum(answer.objective for answer in answers)
    assert abs(bound - best.objective) <= 1e-6 * abs(best.objective)
    assert best.values is not None
    parts = [best.values[part.columns] for part in apart.blocks]
    settled = master.settled(parts)
    assert settled is not None
    assert abs(settled[0] - best.objective) <= 1e-6 * abs(best.objective)
    assert numpy.allclose(whole(apart, best.values[apart.master.columns], parts, len(joint.cost)), best.values)


def test_a_row_across_two_blocks_is_found() -> None:
    problem = site([6, 9])
    model = build(problem)
    joint, known = read(model.lp), homes(model, cuts_of(problem))
    places = [model.cars[problem.evs[index].ev_id].charge for index in (0, -1)]
    entries = joint.entries
    joined = replace(
        joint,
        row_lower=numpy.append(joint.row_lower, 0.0),
        row_upper=numpy.append(joint.row_upper, 1.0),
        lengths=numpy.append(joint.lengths, 2).astype(numpy.int32),
        entries=replace(
            entries,
            starts=numpy.append(entries.starts, len(entries.values) + 2).astype(numpy.int32),
            indices=numpy.append(entries.indices, places).astype(numpy.int32),
            values=numpy.append(entries.values, [1.0, 1.0]),
        ),
    )
    assert take_apart(joint, known) is not None
    assert take_apart(joined, known) is None


def test_the_coarse_picture_knows_what_power_is_worth() -> None:
    """First prices are near those of the joint optimum: the bound they give is within 2 % of it."""
    problem = site([12, 15, 10, 8], 130.0)
    model, cuts = build(problem), cuts_of(problem)
    apart = take_apart(read(model.lp), homes(model, cuts))
    start = begin(problem, cuts, FOREVER_S)
    assert apart is not None
    assert start.prices
    master, known = Master(apart), homes(model, cuts)
    places = {column: place for place, column in enumerate(apart.master.columns.tolist())}
    duals = master.link_duals({places[column]: start.prices[place] / model.scale for column, place in known.keys.items() if place in start.prices})
    duals = numpy.nan_to_num(duals)
    none, free = numpy.zeros(0, dtype=numpy.int32), numpy.zeros(0)
    with Crew(1) as crew:
        crew.load(apart.blocks)
        answers = crew.solve({number: Task(own, none, free, free) for number, own in enumerate(master.head_prices(duals))}, FOREVER_S)
    bound = model.scale * (master.bound(duals) + sum(answer.objective for answer in answers.values()) + model.lp.objective.constant)
    optimum = solve(problem, FOREVER_S).objective
    assert optimum is not None
    assert 0.98 * optimum <= bound <= optimum * (1 + 1e-6)
