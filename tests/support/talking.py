"""One side of a version, alone: a test plays its peer on the wire and the hub, and every message is judged by the schemas on its way.

``wire`` and ``hub`` say what is answered to an action: a payload, a Failed, or a function of the request; an action without an answer gets NO_ANSWER.
``log`` is what the side sent. ``kept`` is what is on the disk: ``again()`` is the side after a crash, with that and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from controller.facts import Stamp
from controller.ocpp.hub import (
    NO_ANSWER,
    WIRE,
    Ask,
    Conversation,
    Emit,
    EvseShape,
    Failed,
    Keep,
    Memory,
    Message,
    Post,
    Reply,
    Rest,
    Said,
    Side,
    SideMaker,
    Surroundings,
    Wording,
)
from controller.ocpp.times import wall_time
from tests.support.shapes import SHAPES

Payload = dict[str, Any]
Answer = Payload | Failed | Callable[[Payload], Payload | Failed]
HUB_VERSION = "ocpp2.1"
NOON = "2026-11-21T12:00:00.000Z"
NOON_WALL_S = wall_time(NOON) or 0.0
MOST_STEPS = 500


@dataclass(frozen=True)
class Went:
    """What the side sent. to: "wire" or "hub"."""

    to: str
    action: str
    payload: Payload


@dataclass
class Talking:
    """A side and the test around it. version: what its wire speaks; numbers count up from 1000."""

    maker: SideMaker
    version: str = "ocpp1.6"
    evses: tuple[EvseShape, ...] = (EvseShape(1), EvseShape(2))
    wording: Wording = field(default_factory=Wording)
    wire: dict[str, Answer] = field(default_factory=dict)
    hub: dict[str, Answer] = field(default_factory=dict)
    log: list[Went] = field(default_factory=list)
    emitted: list[Any] = field(default_factory=list)
    kept: dict[str, dict[str, Any]] = field(default_factory=lambda: {"own": {}, "shared": {}, "numbers": {"last": 1000}})
    wall_s: float = NOON_WALL_S
    mono_s: float = 5000.0
    disk_fails: bool = False
    queued: int = 0
    """Messages of the station that wait on the disk."""

    def __post_init__(self) -> None:
        self.memory, self.shared = Memory(dict(self.kept["own"])), Memory(dict(self.kept["shared"]))
        self._fresh = 0
        around = Surroundings(
            name="CP-1",
            evses=lambda: self.evses,
            memory=self.memory,
            shared=self.shared,
            fresh=self._next_fresh,
            number=self._next_number,
            now=lambda: Stamp(self.mono_s, self.wall_s),
            fit=SHAPES.fit,
            wording=self.wording,
            queued=lambda: self.queued,
        )
        self.side: Side = self.maker(around)

    def _next_fresh(self) -> str:
        self._fresh += 1
        return f"00000000-0000-4000-8000-{self._fresh:012d}"

    def _next_number(self) -> int:
        self.kept["numbers"]["last"] += 1
        return int(self.kept["numbers"]["last"])

    def again(self) -> Talking:
        """The side after a crash: what was not kept is gone, the peers answer as before. The disk gives keys back in the order of the alphabet."""
        self.kept = {name: dict(sorted(keys.items())) for name, keys in self.kept.items()}
        return Talking(self.maker, self.version, self.evses, self.wording, self.wire, self.hub, kept=self.kept, wall_s=self.wall_s)

    # -- what happens ---------------------------------------------------------------------------------

    def said(self, action: str, payload: Payload) -> Reply:
        """The peer on the wire asks; its request and our answer are judged by its version."""
        assert SHAPES.check(self.version, action, False, payload) == "", "the test's own request is not valid"
        reply = self.run(self.side.said(Message(action, payload)))
        if isinstance(reply, Said):
            assert SHAPES.check(self.version, action, True, reply.payload) == ""
        return reply

    def asked(self, action: str, payload: Payload) -> Reply:
        """The hub asks; its request and our answer are judged by 2.1."""
        assert SHAPES.check(HUB_VERSION, action, False, payload) == "", "the test's own request is not valid"
        reply = self.run(self.side.asked(Message(action, payload)))
        if isinstance(reply, Said):
            assert SHAPES.check(HUB_VERSION, action, True, reply.payload) == ""
        return reply

    def opened(self) -> None:
        """The wire opens."""
        for talk in self.side.opened():
            self.run(talk)

    def closed(self) -> None:
        """The wire is gone."""
        for talk in self.side.closed():
            self.run(talk)

    def seconds(self, count: int) -> None:
        """Time passes."""
        for _ in range(count):
            self.wall_s, self.mono_s = self.wall_s + 1, self.mono_s + 1
            for talk in self.side.tick():
                self.run(talk)

    def run(self, talk: Conversation) -> Reply:
        """A conversation to its end; a Rest lets its time pass at once."""
        value: Reply | None = None
        for _ in range(MOST_STEPS):
            try:
                step = talk.send(value)
            except StopIteration as end:
                reply: Reply = end.value
                return reply
            value = None
            if isinstance(step, Ask | Post):
                value = self._sent(step) if isinstance(step, Ask) else self._posted(step)
            elif isinstance(step, Keep):
                if self.disk_fails:
                    talk.close()
                    return Failed("InternalError", "the disk has refused")
                self._keep()
            elif isinstance(step, Rest):
                self.wall_s, self.mono_s = self.wall_s + step.for_s, self.mono_s + step.for_s
            elif isinstance(step, Emit):
                self.emitted.append(step.outcome)
        raise AssertionError("the conversation does not end")

    def _posted(self, step: Post) -> None:
        self._sent(step)

    def _keep(self) -> None:
        for name, memory in (("own", self.memory), ("shared", self.shared)):
            for key, value in memory.changes().items():
                if value is None:
                    self.kept[name].pop(key, None)
                else:
                    self.kept[name][key] = value

    def _sent(self, step: Ask | Post) -> Reply:
        to_wire = step.to == WIRE
        version = self.version if to_wire else HUB_VERSION
        wrong = SHAPES.check(version, step.action, False, step.payload)
        assert wrong == "", f"{step.action} to {step.to}: {wrong}: {step.payload}"
        self.log.append(Went("wire" if to_wire else "hub", step.action, step.payload))
        answer = (self.wire if to_wire else self.hub).get(step.action)
        found = answer(step.payload) if callable(answer) else answer
        if found is None:
            return NO_ANSWER
        if isinstance(found, Failed):
            return found
        assert SHAPES.check(version, step.action, True, found) == "", "the test's own answer is not valid"
        return Said(found)

    # -- reading it ------------------------------------------------------------------------------------------

    def sent(self, to: str = "") -> list[tuple[str, Payload]]:
        """(action, payload) of what went out since the last call; to: only there."""
        found = [(went.action, went.payload) for went in self.log if to in ("", went.to)]
        self.log.clear()
        return found
