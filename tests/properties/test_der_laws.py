"""Which DER control is in force at any moment: the store against a plain model that lives through every second (R04.FR.02-FR.11).

The store may sleep (power away) between two looks; the model never does. Both must agree on what exists, what is superseded, what is in
force, and on what the CSMS is told of starts and ends while somebody looks every second.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from controller.link.depot.der_store import DerStore
from controller.ocpp.hub import Memory
from controller.ocpp.times import timestamp
from tests.support.examples import examples

BEGIN_S = 1_790_000_000
TYPES = {"FreqDroop": "freqDroop", "LimitMaxDischarge": "limitMaxDischarge"}
BODIES: dict[str, dict[str, Any]] = {
    "freqDroop": {"overFreq": 50.2, "underFreq": 49.8, "overDroop": 5, "underDroop": 5, "responseTime": 2},
    "limitMaxDischarge": {},
}


@dataclass
class Plain:
    """One control of the model. start None = a default."""

    id: str
    type: str
    priority: int
    start: int | None
    end: int
    order: int
    superseded: bool = False
    was_on: bool = False


@dataclass
class Model:
    """Second by second, by the letter of the requirements."""

    controls: list[Plain] = field(default_factory=list)
    now: int = 0
    holder: dict[str, str | None] = field(default_factory=dict)
    told: list[tuple[str, bool]] = field(default_factory=list)

    def live(self, until: int) -> None:
        while self.now < until:
            self.now += 1
            self.second()

    def second(self) -> None:
        for one in sorted((c for c in self.controls if c.start == self.now), key=lambda c: c.order):
            self.starts(one)
        for one in [c for c in self.controls if c.start is not None and c.end <= self.now]:
            self.controls.remove(one)
            if one.was_on and not one.superseded:
                self.told.append((one.id, False))
        self.settle()

    def starts(self, one: Plain) -> None:
        """FR.07: what runs and is weaker is superseded now."""
        if not one.superseded:
            for other in self.controls:
                if other.type == one.type and other.start is not None and other.priority > one.priority:
                    other.superseded = True

    def settle(self) -> None:
        for kind in TYPES:
            running = [c for c in self.controls if c.type == kind and not c.superseded and c.start is not None and c.start <= self.now < c.end]
            best = [c for c in running if c.priority == min(r.priority for r in running)]
            held = [c for c in best if c.id == self.holder.get(kind)]
            chosen = held or sorted(best, key=lambda c: (not c.was_on, c.start, c.order))
            self.holder[kind] = chosen[0].id if chosen else None
            if chosen and not chosen[0].was_on:
                chosen[0].was_on = True
                self.told.append((chosen[0].id, True))

    def in_force(self, kind: str) -> str | None:
        if self.holder.get(kind):
            return self.holder[kind]
        defaults = [c for c in self.controls if c.type == kind and c.start is None and not c.superseded]
        return min(defaults, key=lambda c: (c.priority, c.order)).id if defaults else None

    def set(self, new: Plain) -> None:
        self.controls = [c for c in self.controls if c.id != new.id]
        self.holder = {kind: None if held == new.id else held for kind, held in self.holder.items()}  # it is another control now
        rivals = [c for c in self.controls if c.type == new.type and (c.start is None) == (new.start is None) and not c.superseded]
        if any(rival.priority < new.priority for rival in rivals):
            new.superseded = True
        else:
            for rival in rivals:
                active = rival.start is not None and rival.start <= self.now
                if rival.priority > new.priority and (not active or (new.start or 0) <= self.now):
                    rival.superseded = True
        self.controls.append(new)


Step = tuple[str, int, str, int, int | None, int, bool]
STEPS = st.lists(
    st.tuples(
        st.sampled_from("abcdef"),  # id
        st.integers(0, 12),  # seconds since the last step
        st.sampled_from(sorted(TYPES)),
        st.integers(0, 3),  # priority
        st.one_of(st.none(), st.integers(-3, 15)),  # start after now
        st.integers(4, 25),  # duration
        st.booleans(),  # asleep meanwhile
    ),
    max_size=14,
)


def request(step: Step, now: int) -> dict[str, Any]:
    control_id, _, kind, priority, start, duration, _ = step
    body = {**BODIES[TYPES[kind]], "priority": priority}
    if kind == "LimitMaxDischarge":
        body["pctMaxDischargePower"] = (37 * duration + 11 * priority) % 101
    if start is not None:
        body |= {"startTime": timestamp(BEGIN_S + now + start), "duration": duration}
    return {"isDefault": start is None, "controlId": control_id, "controlType": kind, TYPES[kind]: body}


@settings(max_examples=examples(400), deadline=None)
@given(STEPS)
def test_the_store_knows_what_the_plain_model_knows(steps: list[Step]) -> None:
    model, memory = Model(), Memory()
    told: list[tuple[str, bool]] = []
    slept = False
    now = 0
    for order, step in enumerate([*steps, ("end", 60, "FreqDroop", 0, None, 0, True)]):
        control_id, gap, kind, priority, start, duration, asleep = step
        store = DerStore(memory)  # what it knows is in its memory alone
        looks = [now + gap] if asleep else range(now, now + gap + 1)
        slept = slept or (asleep and gap > 0)
        for moment in looks:
            told += [(turn.control.control_id, turn.started) for turn in store.advance(BEGIN_S + moment) if turn.told]
            model.live(moment)
            model.settle()
            agree(model, store, moment)
        now += gap
        if control_id == "end":
            break
        verdict = store.set(request(step, now), BEGIN_S + now)
        before = {c.id for c in model.controls if c.superseded}
        begins = None if start is None else now + start
        if begins is not None and begins + duration <= now:
            assert verdict.status == "Rejected"
            continue
        model.set(Plain(control_id, kind, priority, begins, now + 1_000_000 if begins is None else begins + duration, order))
        news = {c.id for c in model.controls if c.superseded} - (before - {control_id})
        assert (verdict.status, set(verdict.superseded)) == ("Accepted", news)
    if not slept:
        assert sorted(told) == sorted(model.told)


def agree(model: Model, store: DerStore, moment: int) -> None:
    assert {c.control_id: c.superseded for c in store.all()} == {c.id: c.superseded for c in model.controls}
    for kind in TYPES:
        found = store.in_force(kind, BEGIN_S + moment)
        assert (found.control_id if found is not None else None) == model.in_force(kind)


@given(STEPS)
def test_without_the_time_the_lowest_limit_that_could_be_holds(steps: list[Step]) -> None:
    """F78: whatever the clock will turn out to be, the limit in force then is not lower."""
    store = DerStore(Memory())
    for step in steps:
        store.set(request(step, 0), BEGIN_S, wall_trusted=False)
    lowest = store.discharge_limit(BEGIN_S, wall_trusted=False)
    for moment in range(-5, 45):
        found = store.in_force("LimitMaxDischarge", BEGIN_S + moment)
        if found is not None:
            assert lowest is not None
            assert lowest.body["pctMaxDischargePower"] <= found.body["pctMaxDischargePower"]
