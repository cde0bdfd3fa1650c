"""The table says who gets what until when, what each hour costs, and shouts about overloads."""

from optimizer.rules import uncontrolled
from optimizer.solve import solve
from optimizer.table import as_table
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
