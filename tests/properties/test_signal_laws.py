"""Laws of limits from outside, for any sequence of words, heartbeats, events, contacts, silence, clock jumps and restarts of all kinds at once.

- What holds is never above what a source that lives has stated last, nor above its failsafe while that is due.
- What a schedule says of this moment holds, whether its source lives or not, also over a restart; without a clock all of it holds.
- A closed contact holds, and one that cannot be read does.
- A source with a failsafe is never silently unlimited: free only if it said so, its limit ended by itself, or its heartbeat is back for two minutes.
- Of several sources the smallest holds.
"""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from controller.facts import ContactsRead, Direction, EventsTold, GridEvent, LimitStated, SignalBeat, Stamp
from controller.site.grid.limit_machine import State
from controller.site.grid.limit_store import LimitStore
from tests.support.site_story import depot

FAILSAFE_W, CONTACT_W, WALL_S = 4200.0, 3500.0, 1_780_000_000.0
GRACE_S = 2.0
CONFIG = depot(
    1,
    signals=[
        {"id": "eebus", "type": "eebus", "failsafe_w": FAILSAFE_W},
        {"id": "mqtt", "type": "mqtt", "failsafe_w": FAILSAFE_W, "heartbeat_s": 60},
        {"id": "free", "type": "api", "heartbeat_s": 0},
        {"id": "vtn", "type": "openadr3", "url": "http://vtn", "ven_name": "yard", "failsafe_w": FAILSAFE_W},
        {"id": "vtn2", "type": "openadr2", "url": "http://vtn/OpenADR2/Simple/2.0b", "ven_name": "yard"},
        {
            "id": "box",
            "type": "contacts",
            "debounce_s": 0,
            "contacts": [{"name": "W4", "pin": {"type": "file", "path": "/pin"}, "consumption_w": CONTACT_W}],
        },
    ],
)
SOURCES, SCHEDULES, GUARDED = ("eebus", "mqtt", "free"), ("vtn", "vtn2"), ("eebus", "mqtt", "vtn")
WATTS = st.one_of(st.none(), st.sampled_from([0.0, 1000.0, FAILSAFE_W, 5000.0, 11_000.0, -1.0, float("nan"), 1e12]))
EVENTS = st.lists(
    st.tuples(
        st.sampled_from([-7200.0, 0.0, 60.0, 3000.0]), st.sampled_from([None, 30.0, 600.0, 20_000.0]), st.sampled_from([0.0, 900.0, 4000.0, 9000.0])
    ),
    max_size=2,
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("say"), st.sampled_from(SOURCES), WATTS, st.one_of(st.none(), st.sampled_from([10.0, 300.0, 90_000.0])), st.booleans()),
        st.tuples(st.just("beat"), st.sampled_from(["eebus", "mqtt", "free", "vtn"])),
        st.tuples(st.just("tell"), st.sampled_from(SCHEDULES), EVENTS),
        st.tuples(st.just("read"), st.sampled_from([True, False, None])),
        st.tuples(st.just("wait"), st.sampled_from([1.0, 30.0, 59.0, 61.0, 119.0, 121.0, 8000.0])),
        st.tuples(st.just("restart"), st.booleans()),
        st.tuples(st.just("clock"), st.booleans()),
        st.tuples(st.just("jump"), st.sampled_from([-3.0e8, -3600.0, 3600.0, 3.0e8])),
    ),
    max_size=25,
)


class World:
    """The store with what its sources said, kept apart from it. stale: said before a silence or a restart, so that other rules decide."""

    def __init__(self) -> None:
        self.store = LimitStore(CONFIG)
        self.now, self.jump_s, self.trusted = 1000.0, 0.0, True
        self.said: dict[str, tuple[float | None, float | None]] = {}  # (value, mono end)
        self.stale: set[str] = set()
        self.beats: dict[str, list[float]] = {name: [] for name in self.store.signals}
        self.events: dict[str, tuple[GridEvent, ...]] = {}
        self.contact: tuple[bool | None, float] = (False, self.now)
        self.unread_s = self.now

    def at(self) -> Stamp:
        return Stamp(self.now, WALL_S + self.now + self.jump_s, 1.0, self.trusted)

    def do(self, step: tuple[Any, ...]) -> None:
        getattr(self, step[0])(*step[1:])

    def say(self, name: str, watts: float | None, duration_s: float | None, retained: bool) -> None:
        signal = self.store.signals[name]
        fact = LimitStated(self.at(), name, Direction.CONSUMPTION, watts, duration_s, retained=retained)
        before_w = signal.value_w(Direction.CONSUMPTION, self.now)
        if signal.state(fact) is None and not (retained and not self.trusted):
            self.said[name] = (watts, None if duration_s is None else self.now + duration_s)
            self.stale.discard(name)
            if name != "eebus" or not self.beats[name]:
                self.beats[name].append(self.now)
        after_w = signal.value_w(Direction.CONSUMPTION, self.now)
        if retained and not self.trusted and before_w is not None:  # of unknown age
            assert after_w is not None
            assert after_w <= before_w

    def beat(self, name: str) -> None:
        fact = SignalBeat(self.at(), name)
        self.store.signals[name].beat(fact.at)
        self.beats[name].append(self.now)

    def tell(self, name: str, events: list[tuple[float, float | None, float]]) -> None:
        wall_s = self.at().wall_s
        self.events[name] = tuple(
            GridEvent(f"{self.now}-{number}", 1, wall_s + start, length, watts) for number, (start, length, watts) in enumerate(events)
        )
        self.store.signals[name].tell(EventsTold(self.at(), name, self.events[name]))
        self.beats[name].append(self.now)

    def read(self, closed: bool | None) -> None:
        self.contact = (closed, self.now) if closed is not None else self.contact
        self.unread_s = self.now if closed is not None else self.unread_s
        self.store.signals["box"].read(ContactsRead(self.at(), "box", (closed,)))

    def wait(self, seconds: float) -> None:
        end = self.now + seconds
        while self.now < end:
            self.now = min(end, self.now + max(1.0, seconds / 40.0))
            self.tick()

    def tick(self) -> None:
        for name, signal in self.store.signals.items():
            signal.look(self.at())
            if not self.lives(name):
                self.stale.add(name)

    def restart(self, trusted: bool) -> None:
        memories = {name: signal.memory() for name, signal in self.store.signals.items()}
        self.now += 5.0
        self.trusted = trusted
        self.store = LimitStore(CONFIG)
        self.beats = {name: [] for name in self.store.signals}
        self.stale |= set(GUARDED)
        self.unread_s = self.now if self.contact[0] is False else self.unread_s
        for name, memory in memories.items():
            self.store.signals[name].restore(memory, self.at())
        for name in SOURCES:  # at this moment nothing is above the last words
            value, end = self.said.get(name, (None, None))
            holds_w = self.store.signals[name].value_w(Direction.CONSUMPTION, self.now)
            if value is not None and end is None and memories[name]["consumption"]["value"] == value:
                assert holds_w is not None or memories[name]["consumption"]["state"] == "released"
                assert holds_w is None or holds_w <= value

    def clock(self, trusted: bool) -> None:
        self.trusted = trusted

    def jump(self, seconds: float) -> None:
        self.jump_s += seconds
        self.store.clock_set(self.at())

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

    def due_w(self, name: str) -> float | None:
        """The lowest of what a source has said of this moment; None = nothing, or other rules decide."""
        if name in SCHEDULES:
            wall_s = self.at().wall_s
            outlived = name in GUARDED and name in self.stale  # by its failsafe, what has no end that can be known
            running = [
                event
                for event in self.events.get(name, ())
                if not self.trusted or event.start_wall_s <= wall_s < event.start_wall_s + (1e12 if event.duration_s is None else event.duration_s)
                if not outlived or (event.duration_s is not None and self.trusted)
            ]
            return min((event.consumption_w for event in running if event.consumption_w is not None), default=None)
        if name == "box":
            return CONTACT_W if self.contact[0] or self.now - self.unread_s > GRACE_S + 1.0 else None
        value, end = self.said.get(name, (None, None))
        return value if name not in self.stale and (end is None or self.now < end) else None


@settings(max_examples=150, deadline=None)
@given(STEPS)
def test_laws(steps: list[tuple[Any, ...]]) -> None:
    world = World()
    for step in steps:
        world.do(step)
        world.tick()
        for name, signal in world.store.signals.items():
            holds_w = signal.value_w(Direction.CONSUMPTION, world.now)
            due_w = world.due_w(name)
            if due_w is not None:
                assert holds_w is not None, f"{name} said {due_w} W and nothing holds"
                assert holds_w <= due_w
            if name in GUARDED:
                never_silently_unlimited(world, name, holds_w)
        limits = world.store.in_force(world.now)
        smallest = world.store.smallest(world.now)
        assert all(smallest[limit.circuit].limit_a <= limit.limit_a for limit in limits)


def never_silently_unlimited(world: World, name: str, holds_w: float | None) -> None:
    state = world.store.signals[name].machines[Direction.CONSUMPTION].state
    if not world.lives(name) or state in (State.WAITING, State.FAILSAFE):
        assert holds_w is not None, f"{name} is silently unlimited in state {state}"
        assert holds_w <= FAILSAFE_W
    if holds_w is None and name in SOURCES:
        value, end = world.said.get(name, (None, None))
        said_so = name in world.said and (value is None or (end is not None and world.now >= end))
        assert said_so or (state is State.RELEASED and world.back_for_s(name) >= 120.0)
