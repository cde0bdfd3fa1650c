"""Problems and plans survive the way through JSON; what is no problem is refused with the place of the mistake."""

import json
import math
from typing import Any

import pytest

from optimizer.problem_json import FOREVER_WALL_S, ProblemJsonError, plan_from_json, plan_to_json, problem_from_json, problem_to_json
from optimizer.solve import solve
from tests.support.plans import battery, car, grid, load, problem, v2g_car

ROOT = grid((63.0, 50.0, 40.0), other_load_a=load(1.0, 2.5))
SITE = problem([0.3, 0.1], car(), v2g_car(), nodes=[ROOT], battery=battery(), import_limit_w=(9000.0, 8000.0))


def spoilt(**changes: Any) -> str:
    return json.dumps({**json.loads(problem_to_json(SITE)), **changes})


def test_a_problem_comes_back_equal() -> None:
    assert problem_from_json(problem_to_json(SITE)) == SITE
    assert problem_from_json(problem_to_json(SITE, indent=1).decode()) == SITE


def test_a_plan_comes_back_equal() -> None:
    plan = solve(SITE, 30.0)
    assert plan_from_json(plan_to_json(plan)) == plan


def test_an_open_end_becomes_the_end_of_time() -> None:
    back = problem_from_json(problem_to_json(problem([0.3], car(departure_wall_s=math.inf))))
    assert back.evs[0].departure_wall_s == FOREVER_WALL_S


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "Problem"),
        (spoilt(voltage_v="high"), "voltage_v"),
        (spoilt(slots=None), "slots"),
        (spoilt(shortfall_per_kWh=3.0), "unknown fields: shortfall_per_kWh"),
        (spoilt(evs=[{"ev_id": "a", "colour": "red"}]), "evs.0.colour"),
        (spoilt(battery={"capacity_wh": 5.0}), "battery.soc_wh"),
        (spoilt(nodes=[{"node_id": "grid", "parent": None, "limit_a": [1.0, 2.0]}]), "nodes.0.limit_a"),
    ],
)
def test_what_is_no_problem_is_refused_with_the_place(text: str, named: str) -> None:
    with pytest.raises(ProblemJsonError) as caught:
        problem_from_json(text)
    assert named in str(caught.value)


def test_a_plan_without_its_fields_is_refused() -> None:
    with pytest.raises(ProblemJsonError, match="slots"):
        plan_from_json('{"cost": 1.0}')


def test_a_number_json_cannot_carry_is_refused_not_guessed() -> None:
    with pytest.raises(ProblemJsonError, match="voltage_v"):
        problem_from_json(problem_to_json(problem([0.3], voltage_v=math.nan)))
