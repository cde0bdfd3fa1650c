"""Reports add up, their table shows what matters, and a promise that is broken is named."""

from __future__ import annotations

from controller.sim.physics.account import Tally, Wait
from controller.sim.physics.report import BUDGET_S, PhaseReport, Report, plain, together
from controller.sim.physics.table import table


def phase(longest_113_s: float = 0.0, thermal: float = 0.8, over_s: float = 1.0) -> PhaseReport:
    return PhaseReport("grid", "L1", 100.0, over_s, 0.0, 0.0, 1.0, longest_113_s, 10.0, 110.0, thermal)


def report(row: PhaseReport, **more: object) -> Report:
    base = Report(1, 5.0, 64, 52, phases=[row], by_car={"late": Tally(10, 1000.0, 900.0, 1)}, writes={"TxProfile": 100}, station_days=10)
    for name, value in more.items():
        setattr(base, name, value)
    return base


def test_two_stretches_make_one() -> None:
    later = report(phase(3.0, 0.9), longest_wait=Wait(60.0, "S1/1", "late"), alarms={"x": 2}, most_writes_day=7, most_writes_station="S2")
    whole = together([report(phase(2.0), alarms={"x": 1}), later])
    assert (whole.days, whole.station_days, whole.writes) == (10.0, 20, {"TxProfile": 200})
    assert (whole.phases[0].over_s, whole.phases[0].longest_113_s, whole.phases[0].peak_thermal) == (2.0, 3.0, 0.9)
    assert whole.by_car == {"late": Tally(20, 2000.0, 1800.0, 2)}
    assert (whole.longest_wait.seconds, whole.alarms, whole.most_writes_station) == (60.0, {"x": 3}, "S2")


def test_a_long_excess_a_hot_breaker_and_a_defect_are_breaches() -> None:
    assert report(phase(BUDGET_S)).breaches() == []
    assert len(report(phase(BUDGET_S + 0.1)).breaches()) == 1
    assert len(report(phase(0.0, 1.01)).breaches()) == 1
    assert report(phase(), defects=["internal error, please report it: x"]).breaches() == ["internal error, please report it: x"]


def test_a_controller_frozen_on_purpose_is_judged_by_its_own_test() -> None:
    assert report(phase(90.0, 1.2), frozen=True).breaches() == []


def test_the_table_names_fuses_energy_and_verdict() -> None:
    good, bad = table(report(phase(2.0))), table(report(phase(90.0)))
    assert "grid     L1     100" in good
    assert "90 %" in good
    assert "Kept: no fuse" in good
    assert "NOT KEPT" in bad


def test_alike_alarms_count_together() -> None:
    assert plain("S01/2 draws 16 A with a setpoint of 0 A") == plain("S17 draws 7.5 A with a setpoint of 6 A")
    assert plain("meter m-d3 silent for 10 s - circuit d3 held") == plain("meter m-grid silent for 300 s - circuit panel-a held")
