"""The compliance record: received, obeyed, measured, broken, ended - in the order it happened."""

from __future__ import annotations

from dataclasses import replace

from controller.facts import Direction, Stamp
from controller.site.compliance import Compliance, Held


class Log:
    """One limit over time."""

    def __init__(self) -> None:
        self.compliance, self.now, self.lines = Compliance(), 0.0, []  # type: ignore[var-annotated]

    def run(self, seconds: int, limit_w: float | None, measured_w: float | None, state: str = "limited") -> list[str]:
        held = Held("dso", Direction.CONSUMPTION, "grid", state, limit_w, measured_w)
        found: list[str] = []
        for _ in range(seconds):
            self.now += 1.0
            lines = self.compliance.look([held], Stamp(self.now, 1e9 + self.now))
            self.lines += lines
            found += [line.event for line in lines if line.event != "measured"]
        return found

    def measured(self) -> int:
        return sum(line.event == "measured" for line in self.lines)


def test_a_limit_that_is_obeyed_after_some_seconds() -> None:
    log = Log()
    assert log.run(10, None, 9000.0, "unlimited") == []
    assert log.run(8, 4200.0, 9000.0) == ["in_force"]
    assert log.run(4, 4200.0, 4100.0) == []
    assert log.run(4, 4200.0, 4100.0) == ["obeyed"]
    assert "8.0 s after" in next(line.detail for line in log.lines if line.event == "obeyed")
    assert log.run(3600, 4200.0, 4190.0) == []
    assert 700 <= log.measured() <= 730  # each five seconds
    assert log.run(3, None, 9000.0, "unlimited") == ["ended"]
    assert log.run(30, None, 9000.0, "unlimited") == []


def test_a_limit_that_nobody_obeys_is_broken_after_a_minute() -> None:
    log = Log()
    assert log.run(59, 4200.0, 9000.0) == ["in_force"]
    assert log.run(5, 4200.0, 9000.0) == ["violated"]
    assert log.compliance.broken == {"dso"}
    assert log.run(60, 4200.0, 9000.0) == []
    assert log.run(10, 4200.0, 4000.0) == ["obeyed"]
    assert log.compliance.broken == set()


def test_a_moment_above_it_is_none_and_five_seconds_are() -> None:
    log = Log()
    log.run(10, 4200.0, 4000.0)
    assert log.run(4, 4200.0, 5000.0) == []
    assert log.run(1, 4200.0, 4000.0) == []
    assert log.run(4, 4200.0, 5000.0) == []
    assert log.run(2, 4200.0, 5000.0) == ["violated"]
    assert log.lines[-1].event in ("violated", "measured")


def test_failsafe_and_release_have_their_words() -> None:
    log = Log()
    assert log.run(3, 4200.0, 100.0, "failsafe") == ["failsafe"]
    assert log.run(3, None, 100.0, "released") == ["released"]


def test_without_a_meter_nothing_is_claimed() -> None:
    log = Log()
    assert set(log.run(300, 4200.0, None)) == {"in_force", "not_measured"}


def test_a_source_that_is_gone_has_ended() -> None:
    log = Log()
    log.run(10, 4200.0, 100.0)
    lines = log.compliance.look([], Stamp(99.0, 1e9))
    assert [(line.event, line.source) for line in lines] == [("ended", "dso")]
    assert log.compliance.look([], Stamp(100.0, 1e9)) == []


def test_a_lower_limit_has_to_be_obeyed_anew() -> None:
    log = Log()
    log.run(10, 4200.0, 4000.0)
    assert log.run(10, 3000.0, 2900.0) == ["in_force", "obeyed"]
    assert replace(log.lines[-1]).limit_w == 3000.0
