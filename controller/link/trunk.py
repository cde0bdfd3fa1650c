"""The socket to a CSMS while it is open, in the words of the version that CSMS has chosen.

Hub messages come in (``ask``), wait for their turn (``link.turns``), are translated by the version's ``CsmsSide`` and leave as CALLs,
one at a time. CALLs of the CSMS are judged (``Shapes.read``), translated the other way and given to the owner as hub messages; the
owner is a pair bridge or the depot face. Everything is checked against the schemas of the CSMS's version before it leaves; what fails is
not sent.

``NO_ANSWER`` means that nobody knows whether the CSMS has the message: whoever asked must keep it (a session has it on disk) and may
ask again. The same message asked again while it is still here joins the first one; an answer that came after its deadline is kept for
it. So a transaction message goes up once as long as the socket lives.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from controller.facts import Stamp
from controller.link.ids import IdSource
from controller.link.jobs import job_of
from controller.link.suspects import Suspects, words_of
from controller.link.talks import Outcome, Talks, Then, begun, safely
from controller.link.turns import Job, Rank, Turns, Wired, rank_of
from controller.ocpp import rpc
from controller.ocpp.hub import HUB, NO_ANSWER, Ask, Failed, Message, Payload, Post, Reply, Said, Side, Surroundings
from controller.ocpp.registry import sides_for
from controller.ocpp.shapes import Shapes, Unreadable
from controller.orders import Severity, Tell

SILENCES: Final = 2
"""Unanswered CALLs in a row after which the socket counts as dead (F20, F21)."""
LATE_KEPT: Final = 32
CALLS_AT_ONCE: Final = 64
"""CALLs of the CSMS that may be under way; more are refused."""
BUSY: Final = Failed("GenericError", "too many messages are waiting; send again later")
_IN_HUB_SPELLING: Final = {"FormationViolation": "FormatViolation", "OccurenceConstraintViolation": "OccurrenceConstraintViolation"}


def unsure(reply: Reply) -> bool:
    """Whether nobody knows that the CSMS has the message: it is to be kept and asked again, not to be counted as refused."""
    return reply == NO_ANSWER


@dataclass(frozen=True, slots=True)
class Hooks:
    """What the owner of a trunk does for it.

    send(at, text): one text message on the socket. hang_up(at, reason): end the socket; the owner calls ``closed`` then.
    asked(at, message, then): the CSMS asks something, in hub words; ``then`` wants the reply, once; of a SEND nobody wants it.
    keep(at, then): write all changed memories, then ``then(Said)`` or ``then(Failed)``. surroundings(version): for the side of a version.
    """

    send: Callable[[Stamp, str], list[Outcome]]
    hang_up: Callable[[Stamp, str], list[Outcome]]
    asked: Callable[[Stamp, Message, Then], list[Outcome]]
    keep: Callable[[Stamp, Then], list[Outcome]]
    surroundings: Callable[[str], Surroundings]


@dataclass(slots=True)
class _Flight:
    message_id: str
    wired: Wired
    deadline_mono_s: float


class Trunk:
    """One upstream socket. subject: its name in the event log. Owner tells it of every opening, frame, closing and second."""

    def __init__(self, subject: str, shapes: Shapes, ids: IdSource, hooks: Hooks, timeout_s: float, max_frame_bytes: int = rpc.MAX_BYTES) -> None:
        self.version = ""
        self.turns = Turns()
        self._subject = subject
        self._shapes = shapes
        self._ids = ids
        self._hooks = hooks
        self._timeout_s = timeout_s
        self._max_frame_bytes = max_frame_bytes
        self._sides: dict[str, Side] = {}
        self._talks = Talks(subject)
        self._flight: _Flight | None = None
        self._late: OrderedDict[str, Wired] = OrderedDict()
        self._late_answers: OrderedDict[str, Reply] = OrderedDict()
        self._suspects = Suspects()
        self._opened_mono_s = 0.0
        self._silences = 0
        self._serving = 0
        self._epoch = 0
        self._keeping = 0
        self._beginning: Job | None = None
        self._pumping = False
        self._warned: set[tuple[str, str, bool]] = set()

    @property
    def is_open(self) -> bool:
        """Whether something can go up."""
        return bool(self.version)

    @property
    def idle(self) -> bool:
        """Whether nothing is under way in either direction, and nothing waits."""
        return self._flight is None and not len(self.turns) and not self._serving

    @property
    def waiting(self) -> dict[Rank, int]:
        """How many messages wait in each rank, the one in flight not counted."""
        return self.turns.waiting()

    # -- life ------------------------------------------------------------------------------------------

    def opened(self, at: Stamp, version: str) -> list[Outcome]:
        """The socket is open. Raises KeyError for a version without sides (``registry.sides_for``): the owner must not offer it."""
        side = self._side_of(version)
        self.version, self._silences, self._epoch, self._opened_mono_s = version, 0, self._epoch + 1, at.mono_s
        return [*self._talks.spawn(at, safely(side.opened), self._port()), *self.pump(at)]

    def _side_of(self, version: str) -> Side:
        if version not in self._sides:
            sides = sides_for(version)
            if sides is None:
                raise KeyError(version)
            self._sides[version] = sides.csms(self._hooks.surroundings(version))
        return self._sides[version]

    def closed(self, at: Stamp) -> list[Outcome]:
        """The socket is gone: everybody who waits hears NO_ANSWER."""
        if not self.version:
            return []
        side, self.version = self._sides[self.version], ""
        flight, self._flight = self._flight, None
        if flight is not None and flight.wired.job is not None:
            self._suspects.died_of(flight.wired.job.message)
        wired, jobs = self.turns.drain()
        self._late.clear()
        self._serving, self._epoch = 0, self._epoch + 1
        outcomes = [outcome for item in ([flight.wired] if flight else []) + wired for outcome in item.then(at, NO_ANSWER)]
        for job in jobs:
            outcomes += job.answered(at, NO_ANSWER)
        return [*outcomes, *self._talks.spawn(at, safely(side.closed), self._port())]

    def tick(self, at: Stamp) -> list[Outcome]:
        """A second has passed: deadlines, rests, what the side does by itself."""
        outcomes = self._talks.tick(at)
        if not self.version:
            return outcomes
        if self._flight is not None and at.mono_s >= self._flight.deadline_mono_s:
            outcomes += self._overdue(at, self._flight)
        if self.version:
            outcomes += self._talks.spawn(at, safely(self._sides[self.version].tick), self._port())
        return [*outcomes, *self.pump(at)]

    # -- up: hub messages --------------------------------------------------------------------------------

    def ask(
        self, at: Stamp, message: Message, then: Then, rank: Rank | None = None, key: tuple[Any, ...] | None = None, *, expendable: bool | None = None
    ) -> list[Outcome]:
        """A hub message for the CSMS. ``then`` gets the reply, once.

        rank: None = usual for its action. key: a newer message of the same key replaces the one that waits, whose asker
        gets the newer one's answer; None = usual (one per connector for StatusNotification), () = never. expendable: it may be
        left out, and answered here, when there is no room; None = MeterValues without signed values.
        """
        if not self.version:
            return then(at, NO_ANSWER)
        job = job_of(message, then, rank, key, expendable)
        wait_s = self._suspects.waits_s(message)
        if wait_s:
            job.not_before_mono_s = self._opened_mono_s + wait_s
        taken, gone = self.turns.offer(job)
        outcomes = [outcome for other in gone for outcome in other.answered(at, Said({}))]
        if not taken:
            return [*outcomes, *then(at, NO_ANSWER if job.chain else BUSY)]
        return [*outcomes, *self.pump(at)]

    def pump(self, at: Stamp) -> list[Outcome]:
        """Send what may go now."""
        if self._pumping:
            return []
        self._pumping = True
        outcomes: list[Outcome] = []
        try:
            while self.version and self._flight is None:
                item = self.turns.take(jobs=not self._keeping, now_mono_s=at.mono_s)
                if item is None:
                    break
                outcomes += self._send(at, item) if isinstance(item, Wired) else self._begin(at, item)
        finally:
            self._pumping = False
        return outcomes

    def _begin(self, at: Stamp, job: Job) -> list[Outcome]:
        self._beginning = job
        talk, port = begun(self._sides[self.version].asked, job.message), _Port(self, job, self._epoch)
        try:
            return self._talks.begin(at, talk, port, lambda at, reply: self._ended(at, job, reply))
        finally:
            self._beginning = None

    def _ended(self, at: Stamp, job: Job, reply: Reply) -> list[Outcome]:
        self.turns.ended(job)
        if not unsure(reply):
            self._suspects.answered(job.message)
        return [*job.answered(at, reply), *self.pump(at)]

    def _port(self) -> _Port:
        return _Port(self, None, self._epoch)

    def call(self, at: Stamp, wired: Wired, epoch: int) -> list[Outcome]:
        """A CALL of a conversation, in the wire's words: at once if its job has its turn now, else in line."""
        if not self.version or epoch != self._epoch:
            return wired.then(at, NO_ANSWER)
        wrong = self._wrong(wired.action, False, wired.payload)
        if wrong:
            return [*self._warning(wired.action, False, wrong), *wired.then(at, Failed("FormatViolation", wrong[:255]))]
        known = self._late_answers.pop(words_of(wired.action, wired.payload), None) if self._late_answers else None
        if known is not None:
            return wired.then(at, known)
        if self._flight is None and wired.job is not None and wired.job is self._beginning:
            return self._send(at, wired)
        self.turns.push(wired)
        return self.pump(at)

    def _send(self, at: Stamp, wired: Wired) -> list[Outcome]:
        message_id = self._ids.fresh(translated=True)
        self._flight = _Flight(message_id, wired, at.mono_s + self._timeout_s)
        return self._hooks.send(at, rpc.call_text(message_id, wired.action, wired.payload))

    def send_only(self, at: Stamp, action: str, payload: Payload) -> list[Outcome]:
        """A SEND: only where the wire speaks 2.1 (trap 3)."""
        if self.version != "ocpp2.1":
            return []
        wrong = self._wrong(action, False, payload)
        if wrong:
            return self._warning(action, False, wrong)
        return self._hooks.send(at, rpc.send_text(self._ids.fresh(translated=True), action, payload))

    # -- down: frames of the CSMS -----------------------------------------------------------------------

    def frame(self, at: Stamp, text: str) -> list[Outcome]:
        """One text message of the CSMS."""
        if not self.version:
            return []
        try:
            frame = rpc.parse(text, version=self.version, max_bytes=self._max_frame_bytes)
        except rpc.FrameError as error:
            return self._bad(at, error)
        if isinstance(frame, rpc.Call):
            return self._call(at, frame)
        if isinstance(frame, rpc.Send):
            talk = begun(self._sides[self.version].said, Message(frame.action, frame.payload, unanswered=True))
            return self._talks.begin(at, talk, self._port(), lambda at, reply: [])
        if isinstance(frame, (rpc.Result, rpc.Error)):
            return self._answer(at, frame)
        return []  # CALLRESULTERROR: our answers are checked before they leave; there is nobody to tell

    def _bad(self, at: Stamp, error: rpc.FrameError) -> list[Outcome]:
        if error.message_type in (rpc.CALLRESULT, rpc.CALLERROR):
            return self._settle(at, error.message_id, Failed("GenericError", f"broken answer: {error.detail}"[:255]))
        if error.ignore:
            return []
        return self._hooks.send(at, rpc.error_text(error.message_id, error.code, error.detail, version=self.version))

    def _call(self, at: Stamp, call: rpc.Call) -> list[Outcome]:
        if self._serving >= CALLS_AT_ONCE:
            text = rpc.error_text(call.message_id, "GenericError", "too many calls are being worked on; send again later", version=self.version)
            return self._hooks.send(at, text)
        meant = self._shapes.read(self.version, call.action, call.payload)
        if isinstance(meant, Unreadable):
            return self._hooks.send(at, rpc.error_text(call.message_id, meant.code, meant.text, version=self.version))
        self._serving += 1
        epoch, once = self._epoch, [True]

        def done(at: Stamp, reply: Reply) -> list[Outcome]:
            if epoch != self._epoch or not once:
                return []  # the CSMS that asked is not there any more
            once.clear()
            self._serving -= 1
            return self._reply(at, call, reply)

        outcomes = self._talks.begin(at, begun(self._sides[self.version].said, Message(call.action, meant)), self._port(), done)
        return [*outcomes, *self.pump(at)]

    def _reply(self, at: Stamp, call: rpc.Call, reply: Reply) -> list[Outcome]:
        if isinstance(reply, Said):
            wrong = self._wrong(call.action, True, reply.payload)
            if not wrong:
                return self._hooks.send(at, rpc.result_text(call.message_id, reply.payload))
            told = self._warning(call.action, True, wrong)
            text = rpc.error_text(call.message_id, "InternalError", "the answer could not be put into this OCPP version", version=self.version)
            return [*told, *self._hooks.send(at, text)]
        return self._hooks.send(at, rpc.error_text(call.message_id, reply.code, reply.description, version=self.version))

    def _answer(self, at: Stamp, frame: rpc.Result | rpc.Error) -> list[Outcome]:
        if isinstance(frame, rpc.Result):
            return self._settle(at, frame.message_id, Said(frame.payload))
        message_id = frame.message_id
        if message_id == rpc.UNREADABLE_ID and self.version != "ocpp2.1" and self._flight is not None:
            message_id = self._flight.message_id  # an error that cannot say what it answers is about the only CALL there is (16.5)
        busy = frame.code in ("RpcFrameworkError", "ProtocolError") and "progress" in frame.description.lower()
        # It still works on a CALL we have given up (16.6): that says nothing about this one.
        reply = NO_ANSWER if busy else Failed(_IN_HUB_SPELLING.get(frame.code, frame.code), frame.description[:255])
        return self._settle(at, message_id, reply)

    def _settle(self, at: Stamp, message_id: str, reply: Reply) -> list[Outcome]:
        self._silences = 0
        flight = self._flight
        if flight is None or message_id != flight.message_id:
            return self._settle_late(message_id, reply)
        self._flight = None
        return [*flight.wired.then(at, reply), *self.pump(at)]

    def _settle_late(self, message_id: str, reply: Reply) -> list[Outcome]:
        wired = self._late.pop(message_id, None)
        if wired is not None and isinstance(reply, Said):
            self._late_answers[words_of(wired.action, wired.payload)] = reply
            while len(self._late_answers) > LATE_KEPT:
                self._late_answers.popitem(last=False)
        return []

    def _overdue(self, at: Stamp, flight: _Flight) -> list[Outcome]:
        self._flight = None
        if flight.wired.job is not None and flight.wired.job.chain:  # an event is said once; what is asked again tomorrow wants tomorrow's answer
            self._late[flight.message_id] = flight.wired
            while len(self._late) > LATE_KEPT:
                self._late.popitem(last=False)
        outcomes = flight.wired.then(at, NO_ANSWER)
        self._silences += 1
        return [*outcomes, *self._hooks.hang_up(at, "CSMS does not answer")] if self._silences >= SILENCES and self.version else outcomes

    # -- what conversations need ------------------------------------------------------------------------------

    def up(self, at: Stamp, message: Message, then: Then) -> list[Outcome]:
        """A conversation asks the hub."""
        return self._hooks.asked(at, message, then)

    def keep(self, at: Stamp, then: Then) -> list[Outcome]:
        """A conversation waits for the disk; no new one begins meanwhile, so that what it sends keeps its place."""
        self._keeping += 1

        def kept(at: Stamp, reply: Reply) -> list[Outcome]:
            self._keeping -= 1
            return [*then(at, reply), *self.pump(at)]

        return self._hooks.keep(at, kept)

    def _wrong(self, action: str, answer: bool, payload: Payload) -> str:
        return self._shapes.check(self.version, action, answer, payload)

    def _warning(self, action: str, answer: bool, wrong: str) -> list[Outcome]:
        """Once per kind of message: a translation that is not valid is ours to repair."""
        kind = (self.version, action, answer)
        if kind in self._warned:
            return []
        self._warned.add(kind)
        what = f"the answer to {action}" if answer else action
        text = f"{what} could not be put into {self.version} and was not sent: {wrong[:200]} - please report it"
        return [Tell(Severity.WARNING, self._subject, text)]


@dataclass(frozen=True, slots=True)
class _Port:
    """Where the steps of one conversation go to. epoch: of the connection it began on; it never speaks on another one."""

    trunk: Trunk
    job: Job | None
    epoch: int

    def ask(self, at: Stamp, step: Ask, then: Then) -> list[Outcome]:
        if step.to == HUB:
            return self.trunk.up(at, Message(step.action, step.payload), then)
        rank = self.job.rank if self.job is not None else rank_of(step.action)
        return self.trunk.call(at, Wired(step.action, step.payload, rank, then, self.job), self.epoch)

    def post(self, at: Stamp, step: Post) -> list[Outcome]:
        if step.to == HUB:
            return self.trunk.up(at, Message(step.action, step.payload, unanswered=step.unanswered), lambda at, reply: [])
        if step.unanswered:
            return self.trunk.send_only(at, step.action, step.payload)
        rank = self.job.rank if self.job is not None else rank_of(step.action)
        return self.trunk.call(at, Wired(step.action, step.payload, rank, lambda at, reply: [], None), self.epoch)

    def keep(self, at: Stamp, then: Then) -> list[Outcome]:
        return self.trunk.keep(at, then)
