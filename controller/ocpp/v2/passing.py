"""A side whose own words are the hub's: whatever its peer says goes on, less what the schemas do not know.

Peers are read leniently: unknown properties, null, over-long texts and times without a zone are put right by ``fit``, so that one careless
station does not lose its messages. What still is no message of 2.1 is refused by whoever sends it on.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any, Final

from controller.ocpp.hub import HUB, WIRE, Ask, Conversation, Failed, Keep, Message, Payload, Post, Reply, Said, Surroundings
from controller.ocpp.times import timestamp
from controller.ocpp.v2.mending import mended, readable, timeless

HUB_VERSION: Final = "ocpp2.1"
FIRST_READ: Final = "first read"
FIRST_READ_KEPT: Final = 64


class Passing:
    """A station's or a CSMS's side of 2.1. memory: "first read" = [[mark of an event without a time, when we first read it], ...], the latest."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._around = surroundings

    def said(self, message: Message) -> Conversation:
        """Of the peer, to the hub."""
        return self._pass(message, HUB)

    def asked(self, message: Message) -> Conversation:
        """Of the hub, to the peer."""
        return self._pass(message, WIRE)

    def opened(self) -> list[Conversation]:
        """Nothing of its own."""
        return []

    def closed(self) -> list[Conversation]:
        """Nothing."""
        return []

    def tick(self) -> list[Conversation]:
        """Nothing."""
        return []

    def _pass(self, message: Message, to: str) -> Conversation:
        sent = tidy(message.payload) if message.action == "TransactionEvent" else message.payload
        payload = self._upward_fit(message.action, sent) if to == HUB else self._around.fit(HUB_VERSION, message.action, False, sent)
        if message.unanswered:
            yield Post(message.action, payload, to, unanswered=True)
            return Said({})
        if message.action == "MeterValues" and "meterValue" not in payload:
            return Said({})  # nothing in it can be read
        if to == HUB and timeless(message.action, sent):
            yield Keep()
        reply = yield Ask(message.action, payload, to)
        return self._fitted(message.action, reply)

    def _upward_fit(self, action: str, sent: Payload) -> Payload:
        """What a peer says, in the hub's words."""
        careful = mended(action, sent, self._first_read(sent) if timeless(action, sent) else timestamp(self._around.now().wall_s))
        return readable(action, careful, self._around.fit(HUB_VERSION, action, False, careful))

    def _first_read(self, sent: Payload) -> str:
        """When we first read an event that tells no time: told again, it is the same event and not another one. Whoever calls this yields Keep."""
        content = {key: value for key, value in sent.items() if key != "offline"}
        mark = hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode("utf-8", "surrogatepass")).hexdigest()[:16]
        known = [tuple(entry) for entry in self._around.memory.get(FIRST_READ, [])]
        found = dict(known).get(mark)
        if found is None:
            found = timestamp(self._around.now().wall_s)
            self._around.memory.put(FIRST_READ, [list(entry) for entry in (*known, (mark, found))][-FIRST_READ_KEPT:])
        return str(found)

    def _fitted(self, action: str, reply: Reply | None) -> Reply:
        if isinstance(reply, Said):
            return Said(self._around.fit(HUB_VERSION, action, True, reply.payload))
        return unanswered(reply)


def tidy(event: Payload) -> Payload:
    """A TransactionEvent: a count of phases or a reservation that cannot be must not cost the operator the transaction."""
    wrong = [name for name, most in (("numberOfPhasesUsed", 3), ("reservationId", 2**63)) if name in event and not _within(event[name], most)]
    return {key: value for key, value in event.items() if key not in wrong} if wrong else event


def _within(value: Any, most: int) -> bool:
    return real(value) and 0 <= value <= most


# -- answers made here -------------------------------------------------------------------------------------


Made = Callable[[Payload], Reply]


def no(status: str, code: str, text: str) -> Said:
    """The action's own "no" with its reason. code: a reason code of the appendix, at most 20 characters; text: at most 512."""
    return Said({"status": status, "statusInfo": {"reasonCode": code, "additionalInfo": text}})


def always(reply: Reply) -> Made:
    """The same answer to every request."""
    return lambda payload: reply


def unanswered(reply: Reply | None) -> Failed:
    """What an Ask that was not answered ends with; always with a description, for people."""
    if isinstance(reply, Failed):
        return reply if reply.description else Failed(reply.code, "the other side refused this without a reason")
    return Failed("GenericError", "no answer")


# -- reading what may be anything ------------------------------------------------------------------------------


def inner(payload: Payload, key: str) -> Payload:
    """The object under a key; empty if there is none."""
    found = payload.get(key)
    return found if isinstance(found, dict) else {}


def items(payload: Payload, key: str) -> list[Payload]:
    """The objects of the list under a key."""
    found = payload.get(key)
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def longer(value: Any, most: int) -> bool:
    """Whether it is a text of more characters than that."""
    return isinstance(value, str) and len(value) > most


def real(value: Any) -> bool:
    """Whether it is a number."""
    return isinstance(value, int | float) and not isinstance(value, bool)
