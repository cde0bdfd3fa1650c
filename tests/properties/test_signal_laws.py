"""Laws of limits from outside, for any sequence of words, heartbeats, silence, clock jumps and restarts.

- What holds is never above what a source that lives has stated last, nor above its failsafe while that is due.
- A source with a failsafe is never silently unlimited: free only if it said so, its limit ended by itself, or its heartbeat is back for two minutes.
- Of several sources the smallest holds.
"""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from controller.facts import Direction, LimitStated, SignalBeat, Stamp
from controller.site.limit_store import LimitStore
from controller.site.limits import State
from tests.support.examples import examples
from tests.support.site_story import depot

FAILSAFE_W, WALL_S = 4200.0, 1_780_000_000.0
CONFIG = depot(
    1,
    signals=[
        {"id": "eebus", "type": "eebus", "failsafe_w": FAILSAFE_W},
        {"id": "mqtt", "type": "mqtt", "failsafe_w": FAILSAFE_W, "heartbeat_s": 60},
        {"id": "free", "type": "api", "heartbeat_s": 0},
    ],
)
SOURCES = st.sampled_from(["eebus", "mqtt", "free"])
WATTS = st.one_of(st.none(), st.sampled_from([0.0, 1000.0, FAILSAFE_W, 5000.0, 11_000.0, -1.0, float("nan"), 1e12]))
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("say"), SOURCES, WATTS, st.one_of(st.none(), st.sampled_from([10.0, 300.0, 90_000.0])), st.booleans()),
        st.tuples(st.just("beat"), SOURCES),
        st.tuples(st.just("wait"), st.sampled_from([1.0, 30.0, 59.0, 61.0, 119.0, 121.0, 8000.0])),
        st.tuples(st.just("restart"), st.booleans()),
        st.tuples(st.just("jump"), st.sampled_from([-3.0e8, -3600.0, 3600.0, 3.0e8])),
    ),
    max_size=25,
)


class World:
    """The store with what its sources said, kept apart from it."""

    def __init__(self) -> None:
        self.store = LimitStore(CONFIG)
        self.now, self.jump_s = 1000.0, 0.0
        self.said: dict[str, tuple[float | None, float | None]] = {}  # (value, mono end)
        self.beats: dict[str, list[float]] = {name: [] for name in self.store.signals}

    def at(self, trusted: bool = True) -> Stamp:
        return Stamp(self.now, WALL_S + self.now + self.jump_s, 1.0, trusted)

    def do(self, step: tuple[Any, ...]) -> None:
        getattr(self, step[0])(*step[1:])

    def say(self, name: str, watts: float | None, duration_s: float | None, retained: bool) -> None:
        signal = self.store.signals[name]
        fact = LimitStated(self.at(), name, Direction.CONSUMPTION, watts, duration_s, retained=retained)
        if signal.state(fact) is None:
            self.said[name] = (watts, None if duration_s is None else self.now + duration_s)
            if name != "eebus" or not self.beats[name]:
                self.beats[name].append(self.now)

    def beat(self, name: str) -> None:
        fact = SignalBeat(self.at(), name)
        self.store.signals[name].beat(fact.at)
        self.beats[name].append(self.now)

    def wait(self, seconds: float) -> None:
        end = self.now + seconds
        while self.now < end:
            self.now = min(end, self.now + max(1.0, seconds / 40.0))
            self.tick()

    def tick(self) -> None:
        for signal in self.store.signals.values():
            signal.look(self.at())

    def restart(self, trusted: bool) -> None:
        memories = {name: signal.memory() for name, signal in self.store.signals.items()}
        self.now += 5.0
        self.store = LimitStore(CONFIG)
        self.beats = {name: [] for name in self.store.signals}
        for name, memory in memories.items():
            self.store.signals[name].restore(memory, self.at(trusted))

    def jump(self, seconds: float) -> None:
        self.jump_s += seconds

    def lives(self, name: str) -> bool:
        heartbeat_s = self.store.signals[name].entry.heartbeat_s
        return heartbeat_s <= 0 or bool(self.beats[name] and self.now - self.beats[name][-1] < heartbeat_s)

    def back_for_s(self, name: str) -> float:
        """How long its heartbeat has been there without a gap."""
        heartbeat_s, since = self.store.signals[name].entry.heartbeat_s, self.now
        for beat in reversed(self.beats[name]):
            if since - beat >= heartbeat_s:
                break
            since = beat
        return self.now - since


@settings(max_examples=examples(150), deadline=None)
@given(STEPS)
def test_laws(steps: list[tuple[Any, ...]]) -> None:
    world = World()
    for step in steps:
        world.do(step)
        world.tick()
        for name, signal in world.store.signals.items():
            holds_w = signal.value_w(Direction.CONSUMPTION, world.now)
            state = signal.machines[Direction.CONSUMPTION].state
            value, end = world.said.get(name, (None, None))
            standing = value is not None and (end is None or world.now < end)
            if standing and world.lives(name) and state is State.LIMITED:
                assert holds_w is not None
                assert holds_w <= value
            if name == "free":
                continue
            if not world.lives(name) or state in (State.WAITING, State.FAILSAFE):
                assert holds_w is not None, f"{name} is silently unlimited in state {state}"
                assert holds_w <= FAILSAFE_W
            if holds_w is None:
                said_so = name in world.said and (value is None or (end is not None and world.now >= end))
                assert said_so or (state is State.RELEASED and world.back_for_s(name) >= 120.0)
        limits = world.store.in_force(world.now)
        smallest = world.store.smallest(world.now)
        assert all(smallest[limit.circuit].limit_a <= limit.limit_a for limit in limits)
