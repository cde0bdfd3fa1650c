"""HiGHS through PuLP: proved, feasible and no plan are told apart by sol_status alone (coin-or/pulp #649, #711)."""

import pulp
import pytest
from pulp import constants

from optimizer.highs import OnePassHighs
from optimizer.model import build
from tests.support.plans import car, grid, problem


def test_the_whole_program_arrives_as_pulps_own_interface_would_hand_it_over() -> None:
    model = build(problem([0.1, 0.3, 0.2], car(), car("b", phases=(1,)), nodes=[grid(20.0)], sell=0.05, pv_w=[0.0, 900.0, 0.0], demand_per_kw=0.4))
    model.lp.solve(OnePassHighs(30.0))
    ours = pulp.value(model.lp.objective)
    model.lp.solve(pulp.HiGHS(msg=False))
    assert ours == pytest.approx(pulp.value(model.lp.objective), rel=1e-9)


def test_a_column_that_no_row_mentions_still_gets_its_value() -> None:
    lp = pulp.LpProblem("lonely")
    lonely, other = lp.add_variable("lonely", 0.0, 7.0), lp.add_variable("other", 0.0, 1.0)
    lp.addConstraint(pulp.LpConstraint(pulp.LpAffineExpression({other: 1.0}), pulp.LpConstraintGE, rhs=1.0))
    lp.setObjective(pulp.LpAffineExpression({lonely: -1.0}))
    lp.solve(OnePassHighs(30.0))
    assert (lonely.varValue, other.varValue) == (7.0, 1.0)


def test_a_run_stopped_before_it_has_a_point_is_no_plan() -> None:
    prices, cars = [0.1 + index % 7 * 0.05 for index in range(48)], [car(f"ev{index}") for index in range(20)]
    model = build(problem(prices, *cars, nodes=[grid(40.0)], demand_per_kw=1.0))
    engine = OnePassHighs(30.0)
    engine.optionsDict["simplex_iteration_limit"] = 3
    engine.optionsDict["presolve"] = "off"
    model.lp.solve(engine)
    assert (model.lp.status, model.lp.sol_status) == (constants.LpStatusNotSolved, constants.LpSolutionNoSolutionFound)


def test_a_run_stopped_at_a_point_that_keeps_all_rows_is_feasible() -> None:
    lp = pulp.LpProblem("primal")
    columns = [lp.add_variable(f"x{index}", 0.0, 1.0) for index in range(50)]
    lp.addConstraint(pulp.LpConstraint(pulp.LpAffineExpression(dict.fromkeys(columns, 1.0)), pulp.LpConstraintLE, rhs=20.0))
    lp.setObjective(pulp.LpAffineExpression({column: -1.0 - index for index, column in enumerate(columns)}))
    engine = OnePassHighs(30.0)
    engine.optionsDict.update(presolve="off", simplex_strategy=4, simplex_iteration_limit=1)
    lp.solve(engine)
    assert (lp.status, lp.sol_status) == (constants.LpStatusOptimal, constants.LpSolutionIntegerFeasible)


@pytest.mark.parametrize(("high", "expected"), [(None, constants.LpSolutionUnbounded), (1.0, constants.LpSolutionInfeasible)])
def test_infeasible_and_unbounded_are_told_apart(high: float | None, expected: int) -> None:
    lp = pulp.LpProblem("odd")
    column, other = lp.add_variable("x", 0.0, high), lp.add_variable("y", 0.0, 1.0)
    lp.addConstraint(pulp.LpConstraint(pulp.LpAffineExpression({column: 1.0, other: 1.0}), pulp.LpConstraintGE, rhs=3.0))
    lp.setObjective(pulp.LpAffineExpression({column: -1.0}))
    engine = OnePassHighs(30.0)
    engine.optionsDict["presolve"] = "off"
    lp.solve(engine)
    assert lp.sol_status == expected
