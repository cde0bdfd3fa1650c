"""A station's clock may be wrong by a day: what we write acts all the same, and ends all the same.

The stations are the simulated ones, whose profile store was written apart from ours; they live by a clock that is off.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pytest

from controller.facts import EvseKey, FloorConfirmed, SetpointAnswered, Stamp
from controller.link.station_clock import StationClock
from controller.ocpp.told_times import told_wall_s
from controller.orders import Inject, InstallFloor, ReadBack, SendStation, Severity, Strategy, Tell
from controller.sim.car import CarSpec
from controller.sim.evse import EvseSpec
from controller.sim.station import SimStation, StationSpec
from tests.support.playbook import START_WALL_S, Playbook, config

EVSE = EvseKey("CP1", 1)
LIFE_S, SLACK_S = 120.0, 60.0
DAY = 86_400.0
VAN = CarSpec("van", 0.0, 2e9, 60_000.0, 60_000.0, 0.1)
OFF_S = (-DAY, -7200.0, -61.0, -1.0, 0.0, 1.0, 61.0, 130.0, 3600.0, DAY)
PLAIN = Strategy()
VERSIONS = ("1.6", "2.0.1", "2.1")


class Jumping(Playbook):
    """A transcript in which our own wall clock can be set."""

    jumped_s = 0.0

    @property
    def at(self) -> Stamp:
        return Stamp(self.mono_s, START_WALL_S + self.mono_s + self.jumped_s)


class Off:
    """One station whose clock is ``ahead_s`` ahead of ours, behind the real link half, with a car that would take all it gets."""

    def __init__(self, version: str, ahead_s: float, refuses: Any = None) -> None:
        self.book = Jumping(config(upstream=False), version=f"ocpp{version}")
        self.station = SimStation(StationSpec("CP1", (EvseSpec(1),), version=version))
        self.ahead_s, self.number, self.refuses = ahead_s, 0, refuses
        self.seen: list[Any] = []
        self.written: list[dict[str, Any]] = []
        self.alive = True
        self.book.admit()
        self._up(self.station.opened(self.theirs))
        self.run(3)
        self.order(InstallFloor(EVSE, 1, 6.0, 3, Strategy("tx_default", stack_level=0)))
        self.station.plug_in(self.theirs, 1, VAN)
        self.run(3)

    @property
    def theirs(self) -> Stamp:
        return Stamp(self.book.mono_s, START_WALL_S + self.book.mono_s + self.ahead_s)

    @property
    def offer_a(self) -> float:
        return self.station.offer_a(self.theirs, self.station.evses[1])

    def run(self, seconds: int) -> list[float]:
        """What the station offers, second by second."""
        offers = []
        for _ in range(seconds):
            if self.alive:
                self._down(self.book.wait(1))
            else:
                self.book.mono_s += 1.0
            self.station.advance(self.theirs)
            self._up(self.station.tick(self.theirs))
            offers.append(self.offer_a)
        return offers

    def hold(self, limit_a: float, seconds: int, strategy: Strategy = PLAIN) -> list[float]:
        """A setpoint, renewed every 50 s as the site does."""
        offers = []
        for since_s in range(0, seconds, 50):
            self.number += 1
            self.order(Inject(EVSE, 100 + self.number, limit_a, 3, LIFE_S, "test", strategy=strategy))
            offers += self.run(min(50, seconds - since_s))
        return offers

    def order(self, order: Any) -> None:
        self._down(self.book.carry(order))

    def facts(self, kind: type) -> list[Any]:
        return [one for one in self.seen if isinstance(one, kind)]

    def told(self) -> list[Tell]:
        return [one for one in self.seen if isinstance(one, Tell) and "clock" in one.text]

    def _up(self, texts: Iterable[str]) -> None:
        for text in texts:
            if self.alive:
                self._down(self.book.station(text))

    def _down(self, outcomes: Iterable[Any]) -> None:
        for one in outcomes:
            self.seen.append(one)
            if isinstance(one, SendStation):
                self._up(self._answered(one.text))

    def _answered(self, text: str) -> list[str]:
        frame = json.loads(text)
        if frame[0] == 2 and frame[2] == "SetChargingProfile":
            profile = frame[3].get("chargingProfile") or frame[3]["csChargingProfiles"]
            self.written.append(profile)
            if self.refuses is not None and self.refuses(profile, self.theirs):
                return [json.dumps([3, frame[1], {"status": "Rejected"}])]
        return self.station.handle_frame(self.theirs, text)


# -- what a wrong clock must not change ------------------------------------------------------------------------------


@pytest.mark.parametrize("ahead_s", OFF_S)
@pytest.mark.parametrize("version", VERSIONS)
def test_a_pause_is_a_pause_by_any_clock(version: str, ahead_s: float) -> None:
    """0 A where 0 A is wanted, from the first second: the first word of a session tells how far the station is ahead, and
    for one that is behind the schedule has begun a day ago."""
    off = Off(version, ahead_s)
    assert off.offer_a == 6.0, "the floor counts from the session and needs no clock"
    assert set(off.hold(0.0, 160)) == {0.0}
    off.order(ReadBack(EVSE, 0.0, 100 + off.number))
    (read,) = off.facts(FloorConfirmed)
    assert (read.limit_a, read.ok) == (0.0, True)


@pytest.mark.parametrize("ahead_s", OFF_S)
@pytest.mark.parametrize("version", VERSIONS)
def test_more_than_the_floor_ends_with_us_by_any_clock(version: str, ahead_s: float) -> None:
    """The dead man: the last setpoint was written 50 s before the end of ``hold``, and ends LIFE_S after it was written, at most SLACK_S later."""
    off = Off(version, ahead_s)
    off.hold(6.0, 100)  # its clock is learnt meanwhile
    assert set(off.hold(16.0, 150)[1:]) == {16.0}
    off.alive = False
    offers = off.run(400)
    lived_s = 50 + offers.index(6.0)
    assert LIFE_S - 11.0 <= lived_s <= LIFE_S + SLACK_S + 1.0
    assert set(offers[offers.index(6.0) :]) == {6.0}


@pytest.mark.parametrize("ahead_s", OFF_S)
@pytest.mark.parametrize("version", VERSIONS)
def test_nothing_above_the_floor_lives_longer_than_the_site_counts_with_even_before_the_clock_is_learnt(version: str, ahead_s: float) -> None:
    off = Off(version, ahead_s)
    off.hold(16.0, 1)
    off.alive = False
    assert 16.0 not in off.run(400)[int(LIFE_S + SLACK_S) :]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_pause_by_a_right_clock_ends_soon_after_us(version: str) -> None:
    off = Off(version, 0.0)
    off.hold(0.0, 50)
    off.alive = False
    offers = off.run(200)
    assert 50 + offers.index(6.0) == pytest.approx(LIFE_S + SLACK_S, abs=2.0)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_clock_that_is_set_while_the_car_charges_is_learnt_anew(version: str) -> None:
    off = Off(version, 3600.0)
    off.hold(16.0, 100)
    off.ahead_s = 0.0
    assert set(off.hold(16.0, 200)[60:]) == {16.0}
    off.alive = False
    assert 16.0 not in off.run(400)[int(LIFE_S + SLACK_S) - 50 + 1 :]


@pytest.mark.parametrize("jump_s", [-10_800.0, 10_800.0])
@pytest.mark.parametrize("version", VERSIONS)
def test_our_own_clock_may_be_the_wrong_one_and_be_set(version: str, jump_s: float) -> None:
    """F77: the station's stays. A minute later everything is dated by it again."""
    off = Off(version, 0.0)
    off.hold(0.0, 100)
    off.book.jumped_s = jump_s
    assert set(off.hold(0.0, 100)) == {0.0}
    assert set(off.hold(16.0, 100)[1:]) == {16.0}


# -- stations that refuse what has begun ----------------------------------------------------------------------------------


def begun(profile: dict[str, Any], at: Stamp) -> bool:
    schedules = profile["chargingSchedule"]
    schedule = schedules[0] if isinstance(schedules, list) else schedules
    start = told_wall_s("StatusNotification", {"timestamp": schedule.get("startSchedule")})
    return start is not None and start < at.wall_s - 5.0


@pytest.mark.parametrize("version", VERSIONS)
def test_a_station_that_refuses_what_has_begun_gets_what_begins_now(version: str) -> None:
    off = Off(version, 0.0, refuses=begun)
    assert set(off.hold(0.0, 150)) == {0.0}
    answers = [fact for fact in off.facts(SetpointAnswered) if fact.number > 100]
    assert [fact.accepted for fact in answers] == [True] * 3
    assert len(off.written) == 1 + 1 + 3, "the floor, one refused, three taken: it is not asked again what it refuses"


# -- telling people -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("ahead_s", "words"), [(3600.0, "60 min ahead of ours"), (-DAY * 3, "3 days behind ours"), (7200.0, "2 h ahead of ours")])
def test_people_are_told_once_and_again_when_it_is_right(ahead_s: float, words: str) -> None:
    off = Off("2.0.1", ahead_s)
    off.hold(16.0, 200)
    (told,) = off.told()
    assert words in told.text
    assert (told.severity, told.subject) == (Severity.WARNING, "CP1")
    off.ahead_s = 0.0
    off.hold(16.0, 200)
    assert [one.text for one in off.told()[1:]] == ["the station's clock is right again"]


def test_a_right_clock_is_no_news() -> None:
    off = Off("2.0.1", 4.0)
    off.hold(16.0, 200)
    assert off.told() == []


# -- what proves what -----------------------------------------------------------------------------------------------------------


def at(mono_s: float, trusted: bool = True) -> Stamp:
    return Stamp(mono_s, 1_790_000_000.0 + mono_s, wall_trusted=trusted)


def heard(clock: StationClock, *times: tuple[float, float], reading: bool = False) -> StationClock:
    """times: when it came, how far ahead it was."""
    for mono_s, ahead_s in times:
        clock.heard(at(mono_s), at(mono_s).wall_s + ahead_s, reading)
    return clock


def ahead_s(clock: StationClock) -> float:
    return round(clock.ahead_s(at(500.0)), 3)


def span_s(clock: StationClock) -> tuple[float, float]:
    least_s, most_s = clock.span_s(at(500.0))
    return round(least_s, 3), round(most_s, 3)


def test_messages_that_waited_are_no_clock() -> None:
    """Kept offline for an hour and sent within a second, or sent one by one with what they said then: the station is not behind."""
    burst = heard(StationClock(), (0.0, -3600.0), (5.0, -3601.0), (10.0, -3602.0))
    assert ahead_s(burst) == 0.0
    old = heard(StationClock(), (0.0, -3600.0), (30.0, -3630.0), (60.0, -3660.0))
    assert (ahead_s(old), span_s(old)) == (0.0, (-3660.0, 0.0))


def test_two_that_agree_prove_it_and_one_says_how_far_it_may_be() -> None:
    clock = heard(StationClock(), (0.0, 3600.0))
    assert (ahead_s(clock), span_s(clock)) == (0.0, (0.0, 3600.0))
    heard(clock, (20.0, 3598.0))
    assert ahead_s(clock) == 3598.0


def test_readings_may_bear_the_begin_of_their_interval() -> None:
    late = heard(StationClock(), (0.0, -900.0), (60.0, -900.0), (120.0, -900.0), reading=True)
    assert (ahead_s(late), span_s(late)) == (0.0, (-900.0, 0.0))
    started = heard(heard(StationClock(), (0.0, -900.0)), (30.0, -900.0), (60.0, -898.0), reading=True)
    assert ahead_s(started) == -898.0, "a start does not"
    early = heard(StationClock(), (0.0, 900.0), (60.0, 900.0), reading=True)
    assert ahead_s(early) == 900.0, "nobody reads a meter in the future"


def test_small_distances_are_none() -> None:
    assert ahead_s(heard(StationClock(), (0.0, 9.0), (30.0, 9.0))) == 0.0


def test_a_boot_puts_it_in_doubt_and_a_jump_of_ours_moves_it() -> None:
    clock = heard(StationClock(), (0.0, 3600.0), (30.0, 3600.0))
    set_right = Stamp(30.0, at(30.0).wall_s + 3600.0)
    assert (clock.ahead_s(set_right), clock.span_s(set_right)) == (0.0, (0.0, 0.0))
    clock.doubt()
    assert (clock.ahead_s(at(30.0)), clock.span_s(at(30.0))) == (0.0, (0.0, 3600.0))


def test_one_that_is_not_what_the_station_goes_by_is_not_used_but_stays_possible() -> None:
    """Some write their local time and call it UTC, and read ours rightly."""
    clock = heard(StationClock(), (0.0, 3600.0), (30.0, 3600.0))
    clock.misled()
    heard(clock, (60.0, 3600.0))
    assert (ahead_s(clock), span_s(clock)) == (0.0, (0.0, 3600.0))
    heard(clock, (90.0, 7200.0), (120.0, 7200.0))
    assert ahead_s(clock) == 7200.0


def test_nobody_is_blamed_while_ours_is_in_doubt() -> None:
    clock = StationClock("CP1")
    for mono_s in (0.0, 30.0):
        assert clock.heard(at(mono_s, trusted=False), at(mono_s).wall_s + 1e8) == []
    assert ahead_s(clock) == pytest.approx(1e8)
    (told,) = clock.heard(at(60.0), at(60.0).wall_s + 1e8)
    assert "days ahead" in told.text  # type: ignore[attr-defined]


def test_it_listens_seldom() -> None:
    clock = heard(StationClock(), (0.0, 0.0))
    assert [clock.listens(at(mono_s)) for mono_s in (1.0, 4.0, 5.0)] == [False, False, True]
