"""Runs conversations (``ocpp.hub``): sends what they ask, waits for what they wait for, stores what they keep.

A conversation that raises is a defect of ours: it ends with Failed and an alarm, and nobody else notices (P7). One that
waits for a peer that goes away is resumed with Failed by the port that sent its question, never left hanging.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from controller.facts import Fact, Stamp
from controller.link.contained import defect
from controller.ocpp.hub import NO_ANSWER, Ask, AskAll, Conversation, Emit, Failed, Keep, Post, Reply, Rest, Said
from controller.orders import Order

Outcome = Order | Fact
Then = Callable[[Stamp, Reply], list[Outcome]]
"""What happens with the reply."""


class Port(Protocol):
    """Where a conversation's steps go to. Every ``ask`` is answered once, by its deadline at the latest; possibly at once."""

    def ask(self, at: Stamp, step: Ask, then: Then) -> list[Outcome]:
        """Send a CALL to ``step.to``; ``then`` gets its reply."""

    def post(self, at: Stamp, step: Post) -> list[Outcome]:
        """Send a CALL or SEND; its reply is nobody's."""

    def keep(self, at: Stamp, then: Then) -> list[Outcome]:
        """Write all changed memories; ``then`` gets Said({}) when they are on disk, Failed if they are not."""


@dataclass(slots=True)
class _Resting:
    due_mono_s: float
    talk: Conversation
    port: Port
    done: Then


class _Answer:
    """The reply to one Ask. One that comes while the question is being put is handed over in the loop: no conversation, however
    many questions it puts to peers that are away, goes deeper than one."""

    __slots__ = ("_later", "_reply", "_waited")

    def __init__(self, later: Then) -> None:
        self._later = later
        self._reply: Reply | None = None
        self._waited = False

    def come(self, at: Stamp, reply: Reply) -> list[Outcome]:
        if self._waited:
            return self._later(at, reply)
        self._reply = reply
        return []

    def taken(self) -> Reply | None:
        self._waited = True
        return self._reply


def safely(make: Callable[[], list[Conversation]]) -> list[Conversation]:
    """What ``make`` returns. If it raises, a conversation that raises the same: its runner reports it, and nobody else is harmed (P7)."""
    try:
        return make()
    except Exception as error:
        return [_raising(error)]


def _raising(error: Exception) -> Conversation:
    raise error
    yield  # pragma: no cover - makes it a generator


def begun(make: Callable[..., Conversation], *words: Any) -> Conversation:
    """The conversation ``make(*words)``. One that cannot even begin is a defect like any other, met where conversations run (P7)."""
    return (yield from make(*words))


class _Answers:
    """The replies to one AskAll; complete when all are in or the time is over, and then nothing changes them any more."""

    __slots__ = ("_due_mono_s", "_later", "_open", "_replies", "_waited")

    def __init__(self, at: Stamp, step: AskAll, later: Callable[[Stamp], list[Outcome]]) -> None:
        step.replies[:] = [NO_ANSWER] * len(step.asks)
        self._replies = step.replies
        self._open = len(step.asks)
        self._due_mono_s = at.mono_s + step.within_s
        self._later = later
        self._waited = False

    @property
    def complete(self) -> bool:
        """Nobody is waited for any more."""
        return self._open == 0

    def of(self, index: int) -> Then:
        def come(at: Stamp, reply: Reply) -> list[Outcome]:
            if self.complete:
                return []
            self._replies[index] = reply
            self._open -= 1
            return self._later(at) if self.complete and self._waited else []

        return come

    def wait(self) -> None:
        self._waited = True

    def tick(self, at: Stamp) -> list[Outcome]:
        if self.complete or at.mono_s < self._due_mono_s:
            return []
        self._open = 0
        return self._later(at)


class Talks:
    """All conversations of one owner. subject: what the event log calls it."""

    def __init__(self, subject: str) -> None:
        self._subject = subject
        self._resting: list[_Resting] = []
        self._asking: list[_Answers] = []

    def begin(self, at: Stamp, talk: Conversation, port: Port, done: Then) -> list[Outcome]:
        """Run a conversation as far as it goes; ``done`` gets what it returns, now or later."""
        return self._on(at, talk, port, done, None)

    def spawn(self, at: Stamp, talks: list[Conversation], port: Port) -> list[Outcome]:
        """Conversations whose answer nobody waits for."""
        return [outcome for talk in talks for outcome in self.begin(at, talk, port, lambda at, reply: [])]

    def tick(self, at: Stamp) -> list[Outcome]:
        """A second has passed: those that rested long enough go on."""
        due = [item for item in self._resting if at.mono_s >= item.due_mono_s]
        self._resting = [item for item in self._resting if at.mono_s < item.due_mono_s]
        outcomes = [outcome for item in due for outcome in self._on(at, item.talk, item.port, item.done, None)]
        asking, self._asking = self._asking, []
        outcomes += [outcome for answers in asking for outcome in answers.tick(at)]
        self._asking += [answers for answers in asking if not answers.complete]
        return outcomes

    def _on(self, at: Stamp, talk: Conversation, port: Port, done: Then, value: Reply | None) -> list[Outcome]:
        outcomes: list[Outcome] = []
        while True:
            try:
                step = talk.send(value)
            except StopIteration as end:
                reply = end.value if isinstance(end.value, (Said, Failed)) else Said({})
                return [*outcomes, *done(at, reply)]
            except Exception:
                return [*outcomes, defect(self._subject, "a translation"), *done(at, Failed("InternalError", "this message could not be translated"))]
            value = None
            if isinstance(step, Ask):
                answer = _Answer(lambda at, reply: self._on(at, talk, port, done, reply))
                outcomes += port.ask(at, step, answer.come)
                value = answer.taken()
                if value is None:
                    return outcomes
                continue
            if isinstance(step, AskAll):
                answers = _Answers(at, step, lambda at: self._on(at, talk, port, done, Said({})))
                outcomes += [outcome for index, ask in enumerate(step.asks) for outcome in port.ask(at, ask, answers.of(index))]
                value = Said({})
                if not answers.complete:
                    answers.wait()
                    self._asking.append(answers)
                    return outcomes
                continue
            if isinstance(step, Keep):
                return [*outcomes, *port.keep(at, lambda at, reply: self._kept(at, talk, port, done, reply))]
            if isinstance(step, Rest):
                self._resting.append(_Resting(at.mono_s + step.for_s, talk, port, done))
                return outcomes
            outcomes += [step.outcome] if isinstance(step, Emit) else port.post(at, step)

    def _kept(self, at: Stamp, talk: Conversation, port: Port, done: Then, reply: Reply) -> list[Outcome]:
        if isinstance(reply, Failed):
            talk.close()
            return done(at, reply)
        return self._on(at, talk, port, done, None)
