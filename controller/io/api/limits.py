"""The part of the HTTP API that takes fleet limits: ``POST /api/v1/limits``.

The answer waits for the site: 202 when the limit holds and is on disk, 422 with the reason when the site refuses it, 503 when it holds but
the disk does not take it, or when nobody has said anything in time. What a limit means is decided elsewhere.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import replace
from itertools import count
from typing import Any, Final

from aiohttp import web

from controller.config import ROOT_CIRCUIT, Config
from controller.facts import LimitReceived
from controller.io.api.models import ApiError, checked, read_json
from controller.io.api.picture import to_json
from controller.io.mqtt.payloads import LimitPayload, PayloadError, parse_limit
from controller.io.shell import Clock, Submit
from controller.orders import AnswerLimit

PATH: Final = "/api/v1/limits"
ANSWER_S: Final = 2.0
"""The site and its disk answer within milliseconds; after so long they have not [s]."""
MAX_SEQUENCES: Final = 1000
"""Remembered limits, one per source and circuit."""


class FleetLimits:
    """Handler of this call. submit: takes the facts."""

    def __init__(self, config: Config, clock: Clock, submit: Submit) -> None:
        self._config, self._clock, self._submit = config, clock, submit
        self._numbers = count(1)
        self._waiting: dict[int, asyncio.Future[AnswerLimit]] = {}
        self.last: dict[tuple[str, str], LimitReceived] = {}

    def routes(self) -> list[web.RouteDef]:
        """The routes of this file."""
        return [web.post(PATH, self._set)]

    def answered(self, order: AnswerLimit) -> None:
        """The site, and its disk, have said what became of a limit."""
        future = self._waiting.get(order.number)
        if future is not None and not future.done():
            future.set_result(order)

    async def _set(self, request: web.Request) -> web.Response:
        data = await read_json(request)
        body = checked(LimitPayload, data)
        circuits = {ROOT_CIRCUIT, *(circuit.id for circuit in self._config.circuits)}
        if body.circuit not in circuits:
            raise ApiError.of_field(422, "circuit", f"is not a circuit of this site; it has {_listed(circuits)}")
        try:
            received = parse_limit(to_json(data).encode(), self._clock.stamp(), "api", self._config.limits.default_valid_for_s)
        except PayloadError as error:
            raise ApiError(422, str(error)) from None
        self._check_sequence(received)
        answer = await self._ask(replace(received, number=next(self._numbers)))
        if not answer.accepted and not answer.holds:
            self.last.pop((received.source, received.circuit), None)
            raise ApiError(422, f"The limit is refused: {answer.reason}. The limits in force stay.")
        if not answer.accepted:
            raise ApiError(503, f"{answer.reason[:1].upper()}{answer.reason[1:]}.", headers={"Retry-After": "10"})
        return web.json_response(text=to_json(self._taken(received)), status=202)

    async def _ask(self, received: LimitReceived) -> AnswerLimit:
        """Hand it in and wait. Raises ApiError 503 if no answer comes in time."""
        future: asyncio.Future[AnswerLimit] = asyncio.get_running_loop().create_future()
        self._waiting[received.number] = future
        try:
            self._submit(received)
            async with asyncio.timeout(ANSWER_S):
                return await future
        except TimeoutError:
            text = "The controller has not answered yet: the limit may hold, but need not be on disk. Set it again."
            raise ApiError(503, text, headers={"Retry-After": "2"}) from None
        finally:
            del self._waiting[received.number]

    def _check_sequence(self, received: LimitReceived) -> None:
        """Two people at once: the older sequence loses and is told so (B35). Repeating the same call is no conflict."""
        key = (received.source, received.circuit)
        last = self.last.get(key)
        if last is not None and last.sequence is not None and received.sequence is not None:
            same = (last.value, last.unit, last.valid_for_s) == (received.value, received.unit, received.valid_for_s)
            if received.sequence < last.sequence or (received.sequence == last.sequence and not same):
                raise ApiError.of_field(409, "sequence", f"must be higher than {last.sequence}: the limit was changed meanwhile")
        self.last.pop(key, None)
        self.last[key] = received
        if len(self.last) > MAX_SEQUENCES:  # sources name themselves: made-up ones must cost no memory
            del self.last[next(iter(self.last))]

    def _taken(self, received: LimitReceived) -> dict[str, Any]:
        valid_for_s = min(received.valid_for_s, self._config.limits.max_valid_for_s)
        ends_wall_s = None if received.value is None else received.at.wall_in(valid_for_s)
        return {
            "circuit": received.circuit,
            "value": received.value,
            "unit": received.unit.value,
            "valid_for_s": valid_for_s,
            "ends_wall_s": ends_wall_s,
        }


def _listed(words: Collection[str]) -> str:
    return ", ".join(sorted(words))
