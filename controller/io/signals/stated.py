"""Drivers: limits as JSON, over the site's broker (``mqtt``) or over our HTTP API (``api``).

Each message is a heartbeat of its source. Over MQTT every statement is answered on ``.../signal/<id>/answer`` and the state of the source is
kept on ``.../signal/<id>/state``; over HTTP the answer is the response. The format is in deploy/signals.md.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Any, Final

from controller.config_signals import ApiSignal, MqttSignal, SignalConfig
from controller.facts import Direction, FailsafeStated, LimitRefused, LimitStated
from controller.io.mqtt.payloads import PayloadError, shown
from controller.io.signals.driver import Driver, Surroundings
from controller.io.signals.words import SignalPayload, answer_text, facts_of, parse, state_text
from controller.orders import AnswerEvent, AnswerSignal, TellSource

ANSWER_S: Final = 2.0
"""The site answers within its control loop; after so long it has not [s]."""
MOST_OPEN: Final = 200
Asked = tuple[Direction, int | None]
"""(direction, the sender's own sequence)."""


def build(entry: SignalConfig, around: Surroundings) -> Driver:
    """The driver of an entry of type mqtt or api."""
    assert isinstance(entry, MqttSignal | ApiSignal)
    return OverMqtt(entry, around) if isinstance(entry, MqttSignal) else OverApi(entry, around)


class Stating:
    """What both have in common: numbers for statements, and who asked."""

    def __init__(self, source_id: str, around: Surroundings) -> None:
        self.source_id, self._around = source_id, around
        self._number = 0
        self._asked: dict[int, Asked] = {}

    def _next(self) -> int:
        self._number += 1
        return self._number

    def _take(self, said: SignalPayload, retained: bool) -> list[int]:
        """Hand a statement in. Returns the numbers that will be answered."""
        facts = facts_of(said, self.source_id, self._around.clock.stamp(), retained, self._next)
        numbers = {fact.number: fact for fact in facts if isinstance(fact, LimitStated | FailsafeStated)}
        self._asked |= {number: (fact.direction, said.sequence) for number, fact in numbers.items()}
        for number in list(self._asked)[:-MOST_OPEN]:
            del self._asked[number]
        self._expect(list(numbers))
        for fact in facts:
            self._around.submit(fact)
        return list(numbers)

    def _expect(self, numbers: list[int]) -> None:
        """Statements go in now; their answers may come before this returns."""

    def _refuse(self, payload: bytes, error: PayloadError) -> None:
        self._around.submit(LimitRefused(self._around.clock.stamp(), self.source_id, str(error), shown(payload)))

    async def close(self) -> None:
        """Nothing is kept open."""


class OverMqtt(Stating):
    """A source on the site's broker."""

    def __init__(self, entry: MqttSignal, around: Surroundings) -> None:
        super().__init__(entry.id, around)
        self._root = f"yardmaster/{around.config.site.id}/signal/{entry.id}"
        self._topic = entry.topic or f"{self._root}/set"
        self._said: dict[str, str] = {}
        if around.topics is not None:
            around.topics.listen(self._topic, self._heard)

    async def run(self) -> None:
        """The broker's own shell keeps the connection."""
        await asyncio.Event().wait()

    def _heard(self, topic: str, payload: bytes, retained: bool) -> None:
        try:
            said = parse(payload)
        except PayloadError as error:
            if not (retained and not payload):
                self._refuse(payload, error)
                self._say("answer", json.dumps({"accepted": False, "reason": str(error), "in_force_w": None}, separators=(",", ":")))
            return
        self._take(said, retained)

    def answered(self, order: AnswerSignal | AnswerEvent | TellSource) -> None:
        """Tell the sender, and everybody who looks."""
        if isinstance(order, AnswerSignal):
            way, sequence = self._asked.pop(order.number, (Direction.CONSUMPTION, None))
            self._say("answer", answer_text(order, direction=way.value, sequence=sequence))
        elif isinstance(order, TellSource):
            self._say("state", state_text(order), retain=True)

    def _say(self, what: str, text: str, retain: bool = False) -> None:
        if self._around.topics is not None:
            self._around.topics.say(f"{self._root}/{what}", text, retain)


class OverApi(Stating):
    """A source that calls ``POST /api/v1/signals/<id>``."""

    def __init__(self, entry: ApiSignal, around: Surroundings) -> None:
        super().__init__(entry.id, around)
        self._waiting: dict[int, asyncio.Future[AnswerSignal]] = {}

    async def run(self) -> None:
        """Requests come through the API's own shell."""
        await asyncio.Event().wait()

    def _expect(self, numbers: list[int]) -> None:
        loop = asyncio.get_running_loop()
        self._waiting |= {number: loop.create_future() for number in numbers}

    async def notified(self, body: bytes) -> tuple[int, str]:
        """A request: 200 taken, 422 refused with the reason, 503 no answer in time."""
        try:
            said = parse(body)
        except PayloadError as error:
            self._refuse(body, error)
            return 422, _error(str(error))
        numbers = self._take(said, retained=False)
        futures = {number: self._waiting[number] for number in numbers}
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(ANSWER_S):
                    await asyncio.gather(*futures.values())
        finally:
            ways = {number: self._asked.pop(number, (Direction.CONSUMPTION, None))[0] for number in numbers}
            for number in numbers:
                self._waiting.pop(number, None)
        done = {number: future.result() for number, future in futures.items() if future.done() and not future.cancelled()}
        if len(done) < len(futures):
            return 503, _error("the controller has not answered yet; state the limit again")
        return _response({number: (ways[number], answer) for number, answer in done.items()})

    def answered(self, order: AnswerSignal | AnswerEvent | TellSource) -> None:
        """Let the waiting request go on."""
        future = self._waiting.get(order.number) if isinstance(order, AnswerSignal) else None
        if future is not None and isinstance(order, AnswerSignal) and not future.done():
            future.set_result(order)


def _response(answers: dict[int, tuple[Direction, AnswerSignal]]) -> tuple[int, str]:
    refused = [answer.reason for _, answer in answers.values() if not answer.accepted]
    told = [
        {"direction": way.value, "accepted": answer.accepted, "reason": answer.reason, "in_force_w": answer.in_force_w}
        for way, answer in answers.values()
    ]
    if refused:
        return 422, _error("; ".join(dict.fromkeys(refused)), answers=told)
    return 200, json.dumps({"accepted": True, "answers": told}, separators=(",", ":"))


def _error(sentence: str, **more: Any) -> str:
    return json.dumps({"error": sentence, "problems": [], **more}, separators=(",", ":"))
