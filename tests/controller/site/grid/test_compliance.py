"""The compliance record: received, obeyed, measured, broken, ended - in the order it happened."""

from __future__ import annotations

from dataclasses import replace

from controller.facts import Direction, Stamp
from controller.site.grid.compliance import Compliance, Held


class Log:
    """One limit over time."""

    def __init__(self) -> None:
        self.compliance, self.now, self.lines = Compliance(), 0.0, []  # type: ignore[var-annotated]

    def run(self, seconds: int, limit_w: float | None, measured_w: float | None, state: str = "limited", **more: float) -> list[str]:
        held = Held("dso", Direction.CONSUMPTION, "grid", state, limit_w, measured_w, **more)
        found: list[str] = []
        for _ in range(seconds):
            self.now += 1.0
            lines = self.compliance.look([held], self.at())
            self.lines += lines
            found += [line.event for line in lines if line.event != "measured"]
        return found

    def at(self, trusted: bool = True) -> Stamp:
        return Stamp(self.now, 1e9 + self.now, wall_trusted=trusted)

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
    assert 215 <= log.measured() <= 230  # each five seconds for a quarter of an hour, then each minute
    assert "highest 4190 W" in log.lines[-1].detail
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


def test_a_limit_that_holds_for_a_year_does_not_fill_the_disk_and_a_broken_one_is_told_closely() -> None:
    log = Log()
    log.run(2000, 4200.0, 4000.0)
    before = log.measured()
    log.run(600, 4200.0, 4000.0)
    assert log.measured() - before == 10
    log.run(60, 4200.0, 9000.0)
    assert log.measured() - before >= 10 + 10


def test_a_peak_between_two_lines_of_a_minute_is_in_the_record() -> None:
    log = Log()
    log.run(2000, 4200.0, 4000.0)
    log.run(2, 4200.0, 5555.0)
    log.run(60, 4200.0, 4000.0)
    assert any("highest 5555 W" in line.detail for line in log.lines)


def test_what_was_read_before_the_limit_came_proves_nothing() -> None:
    log = Log()
    assert log.run(100, 4200.0, 22_000.0, read_mono_s=0.5).count("violated") == 0
    assert log.run(100, 4200.0, 100.0, read_mono_s=0.6).count("obeyed") == 0
    assert {line.event for line in log.lines[5:]} == {"not_measured"}
    assert log.run(10, 4200.0, 4000.0, read_mono_s=150.0) == ["obeyed"]


def test_what_is_measured_in_part_is_no_proof_but_too_much_of_it_is() -> None:
    log = Log()
    found = log.run(100, 4200.0, 1000.0, more_w=float("inf"))
    assert set(found) == {"in_force", "not_measured"}
    assert "only in part" in log.lines[-1].detail
    assert "obeyed" in log.run(10, 4200.0, 1000.0, more_w=2000.0)  # whatever it draws, it is below
    assert "violated" in log.run(10, 4200.0, 5000.0, more_w=float("inf"))


def test_a_gap_of_the_meter_is_not_bridged() -> None:
    log = Log()
    log.run(3, 4200.0, 4000.0)
    log.run(600, 4200.0, None)
    assert log.run(1, 4200.0, 4000.0) == []
    assert log.run(5, 4200.0, 4000.0) == ["obeyed"]


def test_a_word_that_is_repeated_each_second_is_one_line_in_a_quarter_of_an_hour() -> None:
    log = Log()
    held = Held("dso", Direction.CONSUMPTION, "grid", "limited", 4200.0, None, "for 60 s")
    lines = []
    for _ in range(1000):
        log.now += 1.0
        lines += log.compliance.heard(held, "received", log.at())
    assert [line.detail for line in lines] == ["for 60 s", "for 60 s; and 899 times since the last line"]
    assert log.compliance.heard(replace(held, limit_w=4100.0), "received", log.at())
    assert log.compliance.heard(held, "received", log.at())


def test_a_clock_that_is_set_or_not_trusted_is_said_to_be() -> None:
    log = Log()
    log.run(10, 4200.0, 4000.0)
    (line,) = log.compliance.clock_set(-3600.0, log.at())
    assert (line.event, line.detail) == ("clock_set", "by -3600 s")
    (line,) = log.compliance.heard(Held("dso", Direction.CONSUMPTION, "grid", "limited", 1.0, None, ""), "received", log.at(trusted=False))
    assert line.detail == "the clock was not set"
