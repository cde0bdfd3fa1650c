"""A station's side and a CSMS's side joined by the hub, without sockets: runs conversations and judges every message on the way.

``Pair`` plays the peers with answers from the test. What a side emits is judged by the schemas of where it goes: WIRE by its own version, HUB by 2.1.
As on a real leg a bad message is not sent and the conversation goes on with Failed; the pair keeps the complaint.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from controller.facts import Stamp
from controller.ocpp.hub import WIRE, Ask, Conversation, EvseShape, Failed, Keep, Memory, Message, Post, Reply, Rest, Said, Sides, Surroundings
from tests.support.shapes import SHAPES

HUB_VERSION = "ocpp2.1"
Answer = Callable[[str, str], Reply]
"""(version, action) -> what the peer on that wire answers."""


class TooManyStepsError(AssertionError):
    """A conversation that does not come to an end."""


@dataclass
class Sent:
    """A message that left on a wire. end: "station" or "csms"."""

    end: str
    action: str
    payload: dict[str, Any]
    unanswered: bool = False


@dataclass
class Pair:
    """Both sides with their memories; ``sent``, ``answers`` (of the peers) and ``complaints`` grow."""

    station: Sides
    csms: Sides
    answer: Answer
    most_steps: int = 300
    sent: list[Sent] = field(default_factory=list)
    answers: list[Reply] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    emitted: list[Any] = field(default_factory=list)
    mono_s: float = 1000.0
    steps: int = 0
    shared: Memory = field(default_factory=Memory)
    numbers: int = 0
    evses: tuple[EvseShape, ...] = (EvseShape(1), EvseShape(2))

    def __post_init__(self) -> None:
        self.sides = {
            "station": self.station.station(self._around("CP-1")),
            "csms": self.csms.csms(self._around("CP-1")),
        }

    def _around(self, name: str) -> Surroundings:
        return Surroundings(
            name=name,
            evses=lambda: self.evses,
            memory=Memory(),
            shared=self.shared,
            fresh=self._fresh,
            number=self._number,
            now=lambda: Stamp(self.mono_s, 1_795_276_800.0 + self.mono_s),
            fit=SHAPES.fit,
        )

    def _number(self) -> int:
        self.numbers += 1
        return self.numbers

    def _fresh(self) -> str:
        return f"00000000-0000-4000-8000-{self._number():012d}"

    def version(self, end: str) -> str:
        """Subprotocol of an end."""
        return (self.station if end == "station" else self.csms).subprotocol

    def says(self, end: str, message: Message) -> Reply:
        """A peer sends a message in its own words; what it is answered, judged."""
        self.steps = 0
        reply = self.run(self.sides[end].said(message), end)
        return reply if message.unanswered else self._judged_reply(self.version(end), message.action, reply, f"answer to {end}")

    def spawn(self, end: str, talks: list[Conversation]) -> None:
        """Conversations a side began itself (opened, closed, tick)."""
        for talk in talks:
            self.steps = 0
            self.run(talk, end)

    def tick(self, seconds: int = 1) -> None:
        """Time passes for both sides."""
        for _ in range(seconds):
            self.mono_s += 1
            for end, side in self.sides.items():
                self.spawn(end, side.tick())

    def run(self, talk: Conversation, end: str) -> Reply:
        """A conversation of one end's side, to its end."""
        value: Reply | None = None
        while True:
            self.steps += 1
            if self.steps > self.most_steps:
                raise TooManyStepsError(f"more than {self.most_steps} steps")
            try:
                step = talk.send(value)
            except StopIteration as finished:
                return finished.value if isinstance(finished.value, Said | Failed) else Failed("", f"no reply: {finished.value}")
            value = None
            if isinstance(step, Ask):
                value = self._ask(end, Message(step.action, step.payload), step.to)
            elif isinstance(step, Post):
                self._ask(end, Message(step.action, step.payload, step.unanswered), step.to)
            elif isinstance(step, Keep):
                self.shared.changes()
            elif isinstance(step, Rest):
                self.mono_s += step.for_s
            else:
                self.emitted.append(step.outcome)

    def _ask(self, end: str, message: Message, to: str) -> Reply:
        wire = to == WIRE
        version = self.version(end) if wire else HUB_VERSION
        where = f"{message.action} to {end if wire else 'the hub'} ({version})"
        wrong = SHAPES.check(version, message.action, False, message.payload)
        if wrong:
            self.complaints.append(f"{where}: {wrong}")
            return Failed("FormatViolation", wrong)
        if wire:
            self.sent.append(Sent(end, message.action, message.payload, message.unanswered))
            if message.unanswered:
                return Said({})
            self.answers.append(self.answer(version, message.action))
            return self.answers[-1]
        other = "csms" if end == "station" else "station"
        reply = self.run(self.sides[other].asked(message), other)
        return reply if message.unanswered else self._judged_reply(HUB_VERSION, message.action, reply, f"hub answer of {other}")

    def _judged_reply(self, version: str, action: str, reply: Reply, where: str) -> Reply:
        if isinstance(reply, Failed):
            assert reply.code in (CODES | CODES_16 if version == "ocpp1.6" else CODES), reply
            assert reply.description, reply
            return reply
        wrong = SHAPES.check(version, action, True, reply.payload)
        if wrong:
            self.complaints.append(f"{where}: {action} ({version}): {wrong}")
            return Failed("FormatViolation", wrong)
        return reply


CODES = frozenset(
    (
        *("FormatViolation", "GenericError", "InternalError", "MessageTypeNotSupported", "NotImplemented", "NotSupported"),
        *("OccurrenceConstraintViolation", "PropertyConstraintViolation", "ProtocolError", "RpcFrameworkError", "SecurityError"),
        "TypeConstraintViolation",
    )
)
"""RPC error codes in 2.x spelling."""
CODES_16 = frozenset({"FormationViolation", "OccurenceConstraintViolation"})
"""As 1.6 spells two of them."""
