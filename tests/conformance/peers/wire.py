"""What both wire peers need: a socket with a log, answers laid ready, commands on stdin. Nothing of ``controller``.

A wire peer keeps and sends raw text. It answers a CALL with the text laid ready for its id, else with a default
of its action, else with CALLERROR NotImplemented; types 5 and 6 are only logged.
"""

import asyncio
import json
import sys
from datetime import UTC, datetime

from ocpp.messages import CallError, CallResult

ANSWER_S = 20.0


class Wire:
    """One connection. log: called with direction and text. answers: id -> text. defaults: action -> payload."""

    def __init__(self, socket, log, answers, defaults) -> None:
        self.socket, self.log, self.answers, self.defaults = socket, log, answers, defaults
        self._pending: dict[str, asyncio.Future] = {}

    async def read(self) -> None:
        """Until the connection ends."""
        async for text in self.socket:
            self.log("in", text)
            message = json.loads(text)
            if message[0] == 2:
                await self.send(self.answers.get(message[1]) or self.default(message[1], message[2], message[3]))
            elif message[0] in (3, 4) and message[1] in self._pending:
                self._pending.pop(message[1]).set_result(text)

    def default(self, message_id: str, action: str, payload: dict) -> str:
        """The text of an answer nobody has laid ready."""
        if action not in self.defaults:
            return CallError(message_id, "NotImplemented", "no such action here", {}).to_json()
        return CallResult(message_id, self.defaults[action]).to_json()

    async def send(self, text: str) -> None:
        """One raw text."""
        self.log("out", text)
        await self.socket.send(text)

    async def calls(self, texts: list[str]) -> list[str]:
        """CALLs one after another, SENDs in between without waiting. Returns the ids that got no answer, at most three."""
        silent: list[str] = []
        for text in texts:
            message = json.loads(text)
            if message[0] != 2:
                await self.send(text)
            elif not await self._call(message[1], text):
                silent.append(message[1])
            if len(silent) == 3:
                break
        return silent

    async def _call(self, message_id: str, text: str) -> bool:
        answered = self._pending[message_id] = asyncio.get_running_loop().create_future()
        await self.send(text)
        try:
            await asyncio.wait_for(answered, ANSWER_S)
        except TimeoutError:
            del self._pending[message_id]
            return False
        return True


def logger(file: str, **more):
    """A function that appends {**more, "dir", "text"} to a file of JSON lines."""
    stream = open(file, "a", buffering=1)  # noqa: SIM115

    def log(direction: str, text: str, **also) -> None:
        stream.write(json.dumps({**more, **also, "dir": direction, "text": text}) + "\n")

    return log


def composite(version: str, request: dict, limit: float) -> dict:
    """A GetCompositeSchedule answer with one limit."""
    now, periods = datetime.now(UTC).isoformat(), [{"startPeriod": 0, "limit": limit}]
    if version == "ocpp1.6":
        schedule = {"chargingRateUnit": "A", "chargingSchedulePeriod": periods}
        return {"status": "Accepted", "connectorId": request["connectorId"], "scheduleStart": now, "chargingSchedule": schedule}
    schedule = {"evseId": request["evseId"], "duration": request["duration"], "scheduleStart": now, "chargingRateUnit": "A"}
    return {"status": "Accepted", "schedule": {**schedule, "chargingSchedulePeriod": periods}}


def first_limit(value) -> float | None:
    """The first "limit" anywhere in a profile."""
    if isinstance(value, dict):
        if "limit" in value:
            return value["limit"]
        value = list(value.values())
    if isinstance(value, list):
        return next((found for found in map(first_limit, value) if found is not None), None)
    return None


async def commands(handle) -> None:
    """Hand JSON lines of stdin to ``handle`` until {"op": "stop"} or the end; print what it returns."""
    loop = asyncio.get_running_loop()
    while True:
        line = await loop.run_in_executor(None, sys.stdin.readline)
        command = json.loads(line) if line.strip() else {"op": "stop"}
        if command["op"] == "stop":
            return
        say(await handle(command))


def say(answer: dict) -> None:
    """One JSON line to whoever started us."""
    print(json.dumps(answer), flush=True)
