"""The table says who gets what until when, what each hour costs, and shouts about overloads."""

from dataclasses import replace

from optimizer.problem import ShadowPrice, Slack, SlackKind
from optimizer.rules import uncontrolled
from optimizer.solve import solve
from optimizer.table import MOST_LINES, as_table
from tests.support.plans import HOUR_S, START_S, car, grid, load, problem, v2g_car


def test_cars_hours_and_sum_are_told_in_local_time() -> None:
    cars = car(departure_wall_s=START_S + 2 * HOUR_S), v2g_car(wear_per_kwh=0.0)
    site = problem([0.1, 0.4], *cars, nodes=[grid(other_load_a=load(20.0, 20.0))], currency="CHF")
    lines = as_table(site, solve(site, 30.0), "Europe/Berlin").splitlines()
    assert lines[0].startswith("proved by highs in ")
    assert lines[1] == "cost 1.20 CHF, peak 12.0 kW, shortfall 0.0 kWh"
    assert [line.split() for line in lines[3:6]] == [
        ["car", "node", "phases", "until", "need", "kWh", "in", "kWh", "out", "kWh", "short"],
        ["ev", "grid", "L1", "15.11.", "02:00", "4.0", "4.0", "0.0", "0.0"],
        ["v2g", "grid", "L1", "15.11.", "02:00", "0.0", "4.0", "4.0", "0.0"],
    ]
    assert [line.split()[:3] for line in lines[8:]] == [["15.11.", "00:00", "12.0"], ["15.11.", "01:00", "0.0"]]


def test_an_overload_is_named() -> None:
    site = problem([0.3], car(), nodes=[grid(15.0)])
    assert "OVERLOAD grid/L1 by 5.0 A" in as_table(site, uncontrolled(site))


def test_what_was_not_kept_and_what_a_limit_costs_are_told_dearest_first() -> None:
    site = problem([0.3, 0.3], car(), currency="CHF")
    slacks = (
        Slack(SlackKind.SHORTFALL, "ev", None, 1.5, "kWh", 10.0, 15.0),
        Slack(SlackKind.OVERLOAD, "grid/L1", 1, 5.0, "A", 100.0, 500.0),
    )
    shadow = (ShadowPrice("grid", 0, 0.25, (0.25, 0.0)), ShadowPrice("peak", None, 0.5, (0.5, 0.5)))
    plan = replace(uncontrolled(site), slacks=slacks, shadow=shadow, way="hot", solver="highs")
    text = as_table(site, plan)
    lines = [line.split() for line in text.splitlines()]
    assert "by highs (hot) in" in text
    at = lines.index(["not", "kept", "where", "by", "worst", "weight"])
    assert lines[at + 1] == ["current", "limit", "grid/L1", "5.00", "A", "15.11.", "00:00", "500.00"]
    assert lines[at + 2] == ["energy", "ev", "1.50", "kWh", "15.00"]
    assert lines[at + 5 : at + 7] == [["peak", "0.5000", "CHF/kW", "2"], ["grid", "L1", "0.2500", "CHF/A", "1"]]


def test_a_hundred_broken_rules_do_not_drown_the_table() -> None:
    slacks = tuple(Slack(SlackKind.SHORTFALL, f"ev{index}", None, 1.0, "kWh", 1.0, 1.0) for index in range(100))
    site = problem([0.3], car())
    text = as_table(site, replace(uncontrolled(site), slacks=slacks))
    assert text.count("kWh ") < 20
    assert f"and {100 - MOST_LINES} more, together 88.00" in text
