"""HiGHS through PuLP: proved, feasible and no plan are told apart by sol_status alone (coin-or/pulp #649, #711)."""

import pulp
import pytest
from pulp import constants

from optimizer.arrays import OtherProgram
from optimizer.highs import LiveHighs, Verdict
from optimizer.model import build
from optimizer.problem import Problem
from tests.support.plans import car, grid, problem


def test_the_whole_program_arrives_as_pulps_own_interface_would_hand_it_over() -> None:
    model = build(problem([0.1, 0.3, 0.2], car(), car("b", phases=(1,)), nodes=[grid(20.0)], sell=0.05, pv_w=[0.0, 900.0, 0.0], demand_per_kw=0.4))
    model.lp.solve(LiveHighs(30.0))
    ours = pulp.value(model.lp.objective)
    model.lp.solve(pulp.HiGHS(msg=False))
    assert ours == pytest.approx(pulp.value(model.lp.objective), rel=1e-9)


def test_a_column_that_no_row_mentions_still_gets_its_value() -> None:
    lp = pulp.LpProblem("lonely")
    lonely, other = lp.add_variable("lonely", 0.0, 7.0), lp.add_variable("other", 0.0, 1.0)
    lp.addConstraint(pulp.LpConstraint(pulp.LpAffineExpression({other: 1.0}), pulp.LpConstraintGE, rhs=1.0))
    lp.setObjective(pulp.LpAffineExpression({lonely: -1.0}))
    lp.solve(LiveHighs(30.0))
    assert (lonely.varValue, other.varValue) == (7.0, 1.0)


def test_a_run_stopped_before_it_has_a_point_is_no_plan() -> None:
    prices, cars = [0.1 + index % 7 * 0.05 for index in range(48)], [car(f"ev{index}") for index in range(20)]
    model = build(problem(prices, *cars, nodes=[grid(40.0)], demand_per_kw=1.0))
    engine = LiveHighs(30.0)
    engine.optionsDict["simplex_iteration_limit"] = 3
    engine.optionsDict["presolve"] = "off"
    model.lp.solve(engine)
    assert (model.lp.status, model.lp.sol_status) == (constants.LpStatusNotSolved, constants.LpSolutionNoSolutionFound)


def test_a_run_stopped_at_a_point_that_keeps_all_rows_is_feasible() -> None:
    lp = pulp.LpProblem("primal")
    columns = [lp.add_variable(f"x{index}", 0.0, 1.0) for index in range(50)]
    lp.addConstraint(pulp.LpConstraint(pulp.LpAffineExpression(dict.fromkeys(columns, 1.0)), pulp.LpConstraintLE, rhs=20.0))
    lp.setObjective(pulp.LpAffineExpression({column: -1.0 - index for index, column in enumerate(columns)}))
    engine = LiveHighs(30.0)
    engine.optionsDict.update(presolve="off", simplex_strategy=4, simplex_iteration_limit=1)
    lp.solve(engine)
    assert (lp.status, lp.sol_status) == (constants.LpStatusOptimal, constants.LpSolutionIntegerFeasible)


@pytest.mark.parametrize(("high", "expected"), [(None, constants.LpSolutionUnbounded), (1.0, constants.LpSolutionInfeasible)])
def test_infeasible_and_unbounded_are_told_apart(high: float | None, expected: int) -> None:
    lp = pulp.LpProblem("odd")
    column, other = lp.add_variable("x", 0.0, high), lp.add_variable("y", 0.0, 1.0)
    lp.addConstraint(pulp.LpConstraint(pulp.LpAffineExpression({column: 1.0, other: 1.0}), pulp.LpConstraintGE, rhs=3.0))
    lp.setObjective(pulp.LpAffineExpression({column: -1.0}))
    engine = LiveHighs(30.0)
    engine.optionsDict["presolve"] = "off"
    lp.solve(engine)
    assert lp.sol_status == expected


# -- kept alive ------------------------------------------------------------------------------------


def prices(count: int) -> list[float]:
    return [0.1 + index % 7 * 0.05 for index in range(count)]


def depot(cars: int, need_wh: float = 9000.0) -> Problem:
    return problem(prices(24), *(car(f"ev{index}", need_wh + 200.0 * index) for index in range(cars)), nodes=[grid(30.0)], demand_per_kw=0.5)


def numbers_of(lp: pulp.LpProblem, other: pulp.LpProblem) -> None:
    """Write the numbers of another program of the same shape into this one."""
    for column, theirs in zip(lp._variables, other._variables, strict=True):
        column.lowBound, column.upBound = theirs.lowBound, theirs.upBound
        lp.objective[column] = other.objective.get(theirs, 0.0)
    for row, theirs in zip(lp._constraints.values(), other._constraints.values(), strict=True):
        row.constant = theirs.constant


def afresh(lp: pulp.LpProblem) -> float:
    """The objective of a new solver that has seen nothing."""
    engine = LiveHighs(30.0)
    assert engine.cold(lp) is Verdict.PROVED
    return engine.objective


def test_hot_is_as_good_as_cold_and_much_shorter() -> None:
    lp, engine = build(depot(20)).lp, LiveHighs(30.0)
    assert engine.cold(lp) is Verdict.PROVED
    first = engine._highs.getInfo().simplex_iteration_count
    numbers_of(lp, build(depot(20, 9300.0)).lp)
    assert engine.hot(lp) is Verdict.PROVED
    assert engine.objective == pytest.approx(afresh(lp), rel=1e-9)
    steps = engine._highs.getInfo().simplex_iteration_count
    assert steps < first / 3


def test_added_columns_and_rows_join_the_running_program() -> None:
    lp, engine = build(depot(5)).lp, LiveHighs(30.0)
    engine.cold(lp)
    row = next(iter(lp._constraints.values()))
    extra = lp.add_variable("extra", 0.0, 2.0)
    row.expr[extra] = 1.0
    lp.objective[extra] = -1.0
    lp.addConstraint(pulp.LpConstraint(pulp.LpAffineExpression({extra: 1.0}), pulp.LpConstraintLE, rhs=1.5), "bounded")
    assert engine.hot(lp) is Verdict.PROVED
    assert engine.objective == pytest.approx(afresh(lp), rel=1e-9)


def test_duals_and_reduced_costs_come_back_and_agree_with_the_objective() -> None:
    lp, engine = build(depot(5)).lp, LiveHighs(30.0)
    engine.cold(lp)
    engine.write_back(lp, True)
    dual = sum(-row.constant * row.pi for row in lp._constraints.values()) + sum(column.dj * column.varValue for column in lp._variables)
    assert dual + lp.objective.constant == pytest.approx(pulp.value(lp.objective), rel=1e-6)
    assert pulp.value(lp.objective) == pytest.approx(engine.objective, rel=1e-9)


def test_what_a_late_run_reached_is_kept_for_the_next() -> None:
    lp, engine = build(depot(40)).lp, LiveHighs(30.0, presolve="off", simplex_iteration_limit=5)
    assert engine.cold(lp) is Verdict.LATE
    assert engine.alive
    engine._highs.setOptionValue("simplex_iteration_limit", 1_000_000)
    assert engine.hot(lp) is Verdict.PROVED


def test_the_clock_of_each_run_is_its_own() -> None:
    """HiGHS counts time_limit from its first run: without care a living solver would be late for ever."""
    lp, engine = build(depot(40)).lp, LiveHighs(30.0)
    engine.cold(lp)
    engine.timeLimit = 1e-9
    numbers_of(lp, build(depot(40, 20_000.0)).lp)
    assert engine.hot(lp) is Verdict.LATE
    engine.timeLimit = 30.0
    assert engine.hot(lp) is Verdict.PROVED


def test_a_basis_taken_over_shortens_a_rebuild() -> None:
    engine = LiveHighs(30.0)
    engine.cold(build(depot(20)).lp)
    basis = engine.basis()
    lp = build(depot(20, 9300.0)).lp
    assert engine.cold(lp) is Verdict.PROVED
    cold = engine._highs.getInfo().simplex_iteration_count
    objective = engine.objective
    assert engine.cold(lp, basis) is Verdict.PROVED
    assert engine._highs.getInfo().simplex_iteration_count < cold / 2
    assert engine.objective == pytest.approx(objective, rel=1e-9)


def test_without_a_living_program_there_is_nothing_to_go_on_with() -> None:
    lp, engine = build(depot(3)).lp, LiveHighs(30.0)
    with pytest.raises(pulp.PulpSolverError):
        engine.hot(lp)
    engine.cold(lp)
    lp._constraints.popitem()
    with pytest.raises(OtherProgram):
        engine.hot(lp)
    assert not engine.alive
