"""What a grid operator's auditor tries on LPC and LPP: both directions at once, two sources, a restart at any moment. Seeds are hypothesis' own.

The judge keeps its own books, from the table of the use cases (ECOSYSTEM 4.1), and knows nothing of the machines' states: when each source was
heard, what it last stated for each direction, and until when. ``tests/controller/site/grid/test_lpc_table.py`` has the rows one by one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from controller.facts import Direction
from controller.orders import AnswerSignal
from controller.site.grid.limit_machine import FAILSAFE_MIN_S, State
from tests.support.signal_story import CONSUMPTION, FAILSAFE_PRODUCTION_W, FAILSAFE_W, PRODUCTION, STATED, SignalStory, entry

FAILSAFES = {CONSUMPTION: FAILSAFE_W, PRODUCTION: FAILSAFE_PRODUCTION_W}
NAMES = ("dso", "second")
Word = tuple[float | None, float]
"""(value stated [W], None = no limit; when it ends [monotonic s])."""


@dataclass
class Books:
    """What the judge knows of one source."""

    kind: str
    heard_s: float = -math.inf
    words: dict[Direction, Word] = field(default_factory=dict)
    spoke_s: dict[Direction, float] = field(default_factory=dict)

    def silent(self, now: float) -> bool:
        return now - self.heard_s >= 120.0

    def last_w(self, way: Direction, now: float) -> float | None:
        """What was stated last, if it has not ended."""
        value, end_s = self.words.get(way, (None, math.inf))
        return value if now < end_s else None


_statement = st.tuples(
    st.just("say"),
    st.sampled_from(NAMES),
    st.sampled_from(list(Direction)),
    st.sampled_from([0.0, 500.0, 3000.0, 6000.0, 11_000.0, None]),
    st.sampled_from([None, 60.0, 300.0, 3600.0]),
)
_deeds = st.lists(
    st.one_of(
        _statement,
        st.tuples(st.just("beat"), st.sampled_from(NAMES)),
        st.tuples(st.just("wait"), st.sampled_from([1.0, 30.0, 59.0, 119.0, 120.0, 121.0, 300.0, 7200.0])),
        st.tuples(st.just("restart"), st.sampled_from([0.0, 5.0, 200.0])),
    ),
    max_size=20,
)


class Audit:
    """Two sources with both failsafes on one site."""

    def __init__(self, kinds: tuple[str, str]) -> None:
        self.story = SignalStory(*(entry(kind, id=name) for kind, name in zip(kinds, NAMES, strict=True)))
        self.books = {name: Books(kind) for kind, name in zip(kinds, NAMES, strict=True)}
        self.story.do(self.story.tick())

    def say(self, name: str, way: Direction, watts: float | None, duration_s: float | None) -> None:
        before = {other: self.held(other) for other in NAMES}
        orders = self.story.say(watts, way, duration_s, name)
        (answer,) = (order for order in orders if isinstance(order, AnswerSignal))
        assert answer.accepted, answer
        assert answer.in_force_w == self.story.holds_w(way, name)
        books, now = self.books[name], self.story.now
        ends_s = math.inf if duration_s is None or watts is None else now + duration_s
        books.words[way], books.spoke_s[way] = (watts, ends_s), now
        if books.kind != "eebus" or books.heard_s == -math.inf:
            books.heard_s = now
        other_way = PRODUCTION if way is CONSUMPTION else CONSUMPTION
        assert self.held(name)[other_way] == before[name][other_way], "a word about one direction says nothing about the other"
        (neighbour,) = (other for other in NAMES if other != name)
        assert self.held(neighbour) == before[neighbour], "nor about another source"
        if watts is not None:  # obeyed at once; a failsafe may hold it lower still
            now_w = self.story.holds_w(way, name)
            assert now_w is not None
            assert now_w <= watts
        elif not books.silent(now):
            assert self.story.state(way, name) is State.UNLIMITED or books.kind == "eebus"

    def beat(self, name: str) -> None:
        before = self.held(name)
        self.story.beat(name)
        self.books[name].heard_s = self.story.now
        assert all(self.not_higher(self.held(name)[way], before[way]) for way in Direction), "a heartbeat alone frees nothing"

    def wait(self, seconds: float) -> None:
        self.story.wait(seconds, step_s=max(1.0, seconds / 2.0))

    def restart(self, down_s: float) -> None:
        before = {name: {way: self.standing(name, way) for way in Direction} for name in NAMES}
        self.story.restart(down_s)
        for name, books in self.books.items():
            books.heard_s = -math.inf
            for way in Direction:
                held_w, limit_w = self.story.holds_w(way, name), before[name][way]
                assert held_w is not None, "after a restart nobody is believed to be free"
                assert held_w <= FAILSAFES[way]
                last_w = books.last_w(way, self.story.now)
                if limit_w is not None and last_w is not None and limit_w == last_w:
                    assert held_w <= limit_w, "a restart raises no limit that still holds"
        self.story.do(self.story.tick())

    def standing(self, name: str, way: Direction) -> float | None:
        return self.story.holds_w(way, name)

    def held(self, name: str) -> dict[Direction, float | None]:
        return {way: self.story.holds_w(way, name) for way in Direction}

    @staticmethod
    def not_higher(now_w: float | None, before_w: float | None) -> bool:
        return before_w is None or (now_w is not None and now_w <= before_w)

    def judge(self) -> None:
        """What must be true at any moment."""
        now = self.story.now
        for name, books in self.books.items():
            for way in Direction:
                held_w, last_w = self.story.holds_w(way, name), books.last_w(way, now)
                if books.silent(now):  # LPC-911, LPC-TS-012: never silently unlimited
                    assert held_w is not None, (name, way)
                    assert held_w <= FAILSAFES[way], (name, way)
                    if last_w is not None and now - books.spoke_s[way] < FAILSAFE_MIN_S and math.isfinite(books.words[way][1]):
                        assert held_w <= last_w, "a limit with an end outlasts its source"
                if way not in books.words:  # LPC-TS-017, after a silence LPC-921
                    assert held_w is not None or self.story.state(way, name) is State.RELEASED
        export, circuit = self.story.site.limits.export(now), self.story.site.limits.smallest(now).get("grid")
        for way, found in ((PRODUCTION, export and export[0]), (CONSUMPTION, circuit and circuit.value)):
            lowest = min((watts for name in NAMES if (watts := self.story.holds_w(way, name)) is not None), default=None)
            assert found == lowest, "of several sources the lowest counts, in each direction by itself"


@settings(max_examples=60, deadline=None)
@given(kinds=st.tuples(st.sampled_from(STATED), st.sampled_from(STATED)), deeds=_deeds)
def test_both_directions_two_sources_and_restarts(kinds: tuple[str, str], deeds: list[tuple[object, ...]]) -> None:
    audit = Audit(kinds)
    audit.judge()
    for what, *rest in deeds:
        getattr(audit, str(what))(*rest)
        audit.judge()
