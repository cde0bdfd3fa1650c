"""One station's virtual CSMS: what its session talks to when the CSMS above speaks another version, or sees one large station.

    session --its own version's texts--> Leg (the version's station side) --hub messages--> the face, and back

The session's CALLs become conversations of the side, its answers resume the side's questions. What the side asks the station is
given to the session as frames of a CSMS, one CALL at a time. Everything made here is checked against the version's schemas
before it leaves. When nobody above answers in time, or our disk does not take what must be remembered first, the session hears nothing
either: what it then does (answer here, keep on disk) is what it does with any CSMS that is silent, and it gives the message
again later; an error would count as a refusal. Traps 1, 7, 8.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from controller.config import StationConfig
from controller.facts import Fact, Stamp, UpstreamClosed, UpstreamFrame, UpstreamOpened
from controller.link.faces import Means, memory_of
from controller.link.keeper import NOT_KEPT, Keeper
from controller.link.talks import Talks, Then, begun, safely
from controller.ocpp import rpc
from controller.ocpp.hub import HUB, NO_ANSWER, Ask, Conversation, EvseShape, Failed, Keep, Message, Payload, Post, Reply, Said, Side, Sides, Wording
from controller.ocpp.registry import sides_for
from controller.orders import Order, SendUpstream, Severity, Tell

Outcome = Order | Fact
Up = Callable[[Stamp, Message, Then], list[Outcome]]
"""Gives a station's hub message to the other side; ``then`` gets the reply, once. Of a SEND (``unanswered``) the reply is nobody's."""

HUB_VERSION: Final = "ocpp2.1"
STATION_ANSWER_S: Final = 90.0
"""How long a question to the station may take [s]: the session gives up much earlier and says so; this is for what it swallows."""
OF_THE_SESSION: Final = frozenset({"NotifyChargingLimit", "ClearedChargingLimit"})
"""What the session says in hub words where the station's version has no words for it (``limit_news``)."""
ODD_TOLD: Final = 64
NOT_THERE: Final = Failed("GenericError", "the station is not connected")


@dataclass(frozen=True, slots=True)
class _Asked:
    """A CALL to the station. sent_mono_s: when."""

    message_id: str
    action: str
    text: str
    then: Then
    sent_mono_s: float = 0.0


class Leg:
    """One station's. up: where its hub messages go. wording: see ``hub.Wording``. find: subprotocol -> its sides."""

    def __init__(
        self, station: StationConfig, means: Means, up: Up, wording: Wording | None = None, find: Callable[[str], Sides | None] = sides_for
    ) -> None:
        self.station_id = station.id
        self.generation = 0
        self.version = ""
        """Of the virtual leg that is open, "" = none is."""
        self._evses = tuple(EvseShape(evse.id, 1, len(evse.phases), evse.max_current_a) for evse in station.evses)
        self._means = means
        self._up = up
        self._wording = wording
        self._find = find
        self._talks = Talks(station.id)
        self._port = _Port(self, self._upward, means.keeper)
        self._sides: dict[str, Side] = {}
        self._online = False
        self._began = False
        self._asked: _Asked | None = None
        self._line: deque[_Asked] = deque()
        self._doing: dict[str, list[str]] = {}
        self._odd: set[str] = set()

    @property
    def is_open(self) -> bool:
        """Whether the session's virtual leg is open: the station can be asked if it is connected."""
        return bool(self.version)

    @property
    def linked(self) -> bool:
        """Whether the station can be asked now."""
        return self.is_open and self._online

    # -- life ---------------------------------------------------------------------------------------------

    def open(self, at: Stamp, generation: int, version: str) -> list[Outcome]:
        """The session's dial succeeds. generation: of its DialUpstream; version: what ``Means.serves`` says of its offer."""
        if self._find(version) is None:
            return [UpstreamClosed(at, self.station_id, generation, f"{version} cannot be translated")]
        outcomes = self.shut(at, "dialled anew") if self.is_open else []
        self.generation, self.version, self._began = generation, version, False
        return [*outcomes, UpstreamOpened(at, self.station_id, generation, version), *self._begin(at)]

    def shut(self, at: Stamp, reason: str, no_common_version: bool = False) -> list[Outcome]:
        """There is no CSMS any more: the session hears that its leg closed, then everything that waited ends."""
        if not self.is_open:
            return []
        told = UpstreamClosed(at, self.station_id, self.generation, reason, no_common_version)
        return [told, *self.hung_up(at)]

    def hung_up(self, at: Stamp) -> list[Outcome]:
        """The session has closed its leg (``CloseUpstream``)."""
        if not self.is_open:
            return []
        side, began = self._side(), self._began
        self.version, self._began = "", False
        self._doing.clear()
        outcomes = self._drop(at)
        return [*outcomes, *(self._spawn(at, side.closed) if began else [])]

    def present(self, at: Stamp, online: bool) -> list[Outcome]:
        """The station is connected, or gone."""
        self._online = online
        if online:
            return self._begin(at) if self.is_open else []
        outcomes = self._drop(at)
        if self._began:
            self._began = False
            outcomes += self._spawn(at, self._side().closed)
        return outcomes

    def _begin(self, at: Stamp) -> list[Outcome]:
        """Leg open and station connected: the side may speak for itself."""
        if self._began or not self._online:
            return []
        self._began = True
        return self._spawn(at, self._side().opened)

    def _drop(self, at: Stamp) -> list[Outcome]:
        """Nobody will answer what the station was asked."""
        gone = [*([self._asked] if self._asked is not None else []), *self._line]
        self._asked = None
        self._line.clear()
        return [outcome for item in gone for outcome in item.then(at, NO_ANSWER)]

    def tick(self, at: Stamp) -> list[Outcome]:
        """A second has passed."""
        outcomes = self._talks.tick(at)
        if self._asked is not None and at.mono_s - self._asked.sent_mono_s >= STATION_ANSWER_S:
            outcomes += self._settle(at, NO_ANSWER)
        return [*outcomes, *(self._spawn(at, self._side().tick) if self._began else [])]

    def _spawn(self, at: Stamp, begin: Callable[[], list[Conversation]]) -> list[Outcome]:
        """What the side does by itself."""
        return self._talks.spawn(at, safely(begin), self._port)

    def _side(self) -> Side:
        version = self.version
        side = self._sides.get(version)
        if side is None:
            sides = self._find(version)
            assert sides is not None
            memory = memory_of("leg", self.station_id, version)
            side = sides.station(self._means.surroundings(self.station_id, memory, lambda: self._evses, self._wording))
            self._sides[version] = side
        return side

    # -- what the session says ----------------------------------------------------------------------------------

    def said(self, at: Stamp, order: SendUpstream) -> list[Outcome]:
        """A text of the session: the station's CALL or SEND, or the answer to ours."""
        if not self.is_open or order.generation != self.generation:
            return []
        try:
            frame = rpc.parse(order.text, version=self.version, max_bytes=max(rpc.MAX_BYTES, 4 * len(order.text)))
        except rpc.FrameError:
            return []  # the session has read it before; its own answers are well formed
        match frame:
            case rpc.Call():
                return self._call(at, frame)
            case rpc.Send():
                return self._talks.begin(at, begun(self._side().said, Message(frame.action, frame.payload, unanswered=True)), self._port, _nobody)
            case rpc.Result():
                return self._answer(at, frame.message_id, Said(frame.payload))
            case rpc.Error():
                return self._answer(at, frame.message_id, Failed(frame.code, frame.description))
        return []

    def _call(self, at: Stamp, call: rpc.Call) -> list[Outcome]:
        key = json.dumps([call.action, call.payload], sort_keys=True)
        waiting = self._doing.get(key)
        if waiting is not None:  # the same message once more, while the first is on its way: one answer for both
            if call.message_id not in waiting:
                waiting.append(call.message_id)
            return []
        ids = self._doing[key] = [call.message_id]
        version = self.version

        def done(now: Stamp, reply: Reply) -> list[Outcome]:
            if self._doing.get(key) is not ids:
                return []  # its leg is gone: the session has settled it already
            del self._doing[key]
            return [outcome for message_id in ids for outcome in self._reply(now, call.action, message_id, reply)]

        if self._means.shapes.knows(version, call.action):
            return self._talks.begin(at, self._after_the_disk(Message(call.action, call.payload)), self._port, done)
        if call.action in OF_THE_SESSION:
            return self._upward(at, Message(call.action, call.payload), done)
        return done(at, Failed("NotImplemented", f"{call.action} cannot be translated"))

    def _after_the_disk(self, message: Message) -> Conversation:
        """What the side finds in its memory it takes for kept: if the disk has refused some of it, that comes first."""
        generation = self.generation
        if self._means.keeper.behind:
            yield Keep()
            if not self.is_open or self.generation != generation:
                return NO_ANSWER  # the leg has gone meanwhile: the session gives the message to the next one
        return (yield from self._side().said(message))

    def _reply(self, at: Stamp, action: str, message_id: str, reply: Reply) -> list[Outcome]:
        """The answer to a CALL of the session. None at all where nobody answered: see the module."""
        if reply in (NO_ANSWER, NOT_KEPT):
            return []
        outcomes: list[Outcome] = []
        if isinstance(reply, Said):
            wrong = self._wrong(self.version, action, True, reply.payload)
            if not wrong:
                return [self._frame(at, rpc.result_text(message_id, reply.payload))]
            outcomes = self._odd_once(f"answer to {action}", wrong)
            reply = Failed("FormatViolation", f"the answer of the CSMS cannot be said in {self.version}")
        return [*outcomes, self._frame(at, rpc.error_text(message_id, reply.code, reply.description, version=self.version))]

    def _wrong(self, version: str, action: str, answer: bool, payload: Payload) -> str:
        if version != HUB_VERSION and action in OF_THE_SESSION and not self._means.shapes.knows(version, action):
            version = HUB_VERSION
        return self._means.shapes.check(version, action, answer, payload)

    def _upward(self, at: Stamp, message: Message, then: Then) -> list[Outcome]:
        wrong = self._means.shapes.check(HUB_VERSION, message.action, False, message.payload)
        if wrong:
            return [*self._odd_once(message.action, wrong), *then(at, Failed("FormatViolation", f"{message.action}: {wrong}"[:255]))]
        return self._up(at, message, then)

    # -- what the other side asks --------------------------------------------------------------------------------

    def ask(self, at: Stamp, message: Message, then: Then) -> list[Outcome]:
        """A CALL for the station in hub words; ``then`` gets the answer in hub words, once, at once or later."""
        if not self.linked:
            return then(at, NOT_THERE)
        return self._talks.begin(at, begun(self._side().asked, message), self._port, lambda now, reply: self._told(now, message.action, reply, then))

    def _told(self, at: Stamp, action: str, reply: Reply, then: Then) -> list[Outcome]:
        """The side's answer in hub words."""
        wrong = self._means.shapes.check(HUB_VERSION, action, True, reply.payload) if isinstance(reply, Said) else ""
        if not wrong:
            return then(at, reply)
        refusal = Failed("FormatViolation", f"the station's answer to {action} cannot be translated: {wrong}"[:255])
        return [*self._odd_once(f"answer to {action}", wrong), *then(at, refusal)]

    # -- what the side asks of the station ---------------------------------------------------------------------------

    def wire(self, at: Stamp, action: str, payload: Payload, then: Then) -> list[Outcome]:
        """A CALL to the station in its version's words; behind those that wait already."""
        if not self.linked:
            return then(at, NO_ANSWER)
        wrong = self._means.shapes.check(self.version, action, False, payload)
        if wrong:
            return [*self._odd_once(action, wrong), *then(at, Failed("FormatViolation", f"{action}: {wrong}"[:255]))]
        message_id = self._means.ids.fresh(translated=True)
        self._line.append(_Asked(message_id, action, rpc.call_text(message_id, action, payload), then))
        return self._next(at)

    def send(self, at: Stamp, action: str, payload: Payload) -> list[Outcome]:
        """A SEND to the station; only 2.1 has them."""
        wrong = "this version has no SEND" if self.version != HUB_VERSION else self._means.shapes.check(self.version, action, False, payload)
        if wrong or not self.linked:
            return self._odd_once(action, wrong) if wrong else []
        return [self._frame(at, rpc.send_text(self._means.ids.fresh(translated=True), action, payload))]

    def _next(self, at: Stamp) -> list[Outcome]:
        if self._asked is not None or not self._line:
            return []
        self._asked = replace(self._line.popleft(), sent_mono_s=at.mono_s)
        return [self._frame(at, self._asked.text)]

    def _answer(self, at: Stamp, message_id: str, reply: Reply) -> list[Outcome]:
        if self._asked is None or self._asked.message_id != message_id:
            return []
        return self._settle(at, reply)

    def _settle(self, at: Stamp, reply: Reply) -> list[Outcome]:
        assert self._asked is not None
        asked, self._asked = self._asked, None
        outcomes = asked.then(at, reply)
        return [*outcomes, *self._next(at)]

    # -- small things ----------------------------------------------------------------------------------------------------

    def _frame(self, at: Stamp, text: str) -> UpstreamFrame:
        return UpstreamFrame(at, self.station_id, self.generation, text)

    def _odd_once(self, what: str, wrong: str) -> list[Outcome]:
        """One warning per kind of message: it is a defect of a translation, or a peer far from its version."""
        if what in self._odd or len(self._odd) >= ODD_TOLD:
            return []
        self._odd.add(what)
        text = f"{what} cannot be translated between station and CSMS ({wrong}) - it is refused, nothing else is affected; please report it"
        return [Tell(Severity.WARNING, self.station_id, text[:400])]


class _Port:
    """Where the steps of the side's conversations go."""

    def __init__(self, leg: Leg, upward: Up, keeper: Keeper) -> None:
        self._leg = leg
        self._upward = upward
        self._keeper = keeper

    def ask(self, at: Stamp, step: Ask, then: Then) -> list[Outcome]:
        """A CALL up, or to the station."""
        if step.to == HUB:
            return self._upward(at, Message(step.action, step.payload), then)
        return self._leg.wire(at, step.action, step.payload, then)

    def post(self, at: Stamp, step: Post) -> list[Outcome]:
        """The same, or a SEND; nobody waits for an answer."""
        if step.to == HUB:
            return self._upward(at, Message(step.action, step.payload, step.unanswered), _nobody)
        if step.unanswered:
            return self._leg.send(at, step.action, step.payload)
        return self._leg.wire(at, step.action, step.payload, _nobody)

    def keep(self, at: Stamp, then: Then) -> list[Outcome]:
        """What has changed goes to disk."""
        return self._keeper.keep(at, then)


def _nobody(at: Stamp, reply: Reply) -> list[Outcome]:
    return []
