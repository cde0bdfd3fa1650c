"""A connection of an independent peer: frames made and judged with PyPI ``ocpp``, raw payloads as on the wire, nothing of ours.

Every frame in and out is checked against the schemas that ship with the library; a frame of the other side that breaks them is
written to the log as {"invalid": why}. One CALL in flight at a time, as the documents want. Every frame goes to the log as
{"name", "dir", "text", "at"}.
"""

import asyncio
import json
import sys
import time
import uuid

from ocpp.exceptions import NotImplementedError as NotThere
from ocpp.exceptions import OCPPError
from ocpp.messages import Call, CallError, CallResult, validate_payload

NUMBERS = {"ocpp1.6": "1.6", "ocpp2.0.1": "2.0.1", "ocpp2.1": "2.1"}
ANSWER_S = 30.0


class Log:
    """A file of JSON lines."""

    def __init__(self, file):
        self.stream = open(file, "a", buffering=1)  # noqa: SIM115

    def write(self, **entry):
        self.stream.write(json.dumps({**entry, "at": time.time()}) + "\n")


class Line:
    """One end of a connection. answer(action, payload): the payload of a CALLRESULT, or raises OCPPError."""

    def __init__(self, name, socket, log, answer):
        self.name, self.socket, self.log, self.answer = name, socket, log, answer
        self.version = NUMBERS[socket.subprotocol]
        self.waiting, self.asked, self.turn = {}, {}, asyncio.Lock()

    async def read(self):
        """Until the connection ends."""
        async for text in self.socket:
            self.log.write(name=self.name, dir="in", text=text)
            kind, message_id, *rest = json.loads(text)
            if kind == 2:
                await self._answer(message_id, *rest)
            elif kind in (3, 4) and message_id in self.waiting:
                await self._judge_answer(kind, message_id, rest)
                self.waiting.pop(message_id).set_result({"result": rest[0]} if kind == 3 else {"error": rest})

    async def _judge_answer(self, kind, message_id, rest):
        if kind == 3:
            await self._judge(CallResult(message_id, rest[0], self.asked.pop(message_id)))

    async def _judge(self, message):
        try:
            await validate_payload(message, self.version)
        except OCPPError as error:
            self.log.write(name=self.name, invalid=f"{message.action}: {error!r}", text=message.to_json())

    async def _answer(self, message_id, action, payload):
        await self._judge(Call(message_id, action, payload))
        try:
            made = CallResult(message_id, self.answer(action, payload), action)
            await validate_payload(made, self.version)
            await self.send(made.to_json())
        except OCPPError as error:
            await self.send(CallError(message_id, error.code, error.description or "no", {}).to_json())

    async def send(self, text):
        self.log.write(name=self.name, dir="out", text=text)
        await self.socket.send(text)

    async def call(self, action, payload):
        """{"result": payload} or {"error": [code, description, details]}."""
        async with self.turn:
            message = Call(str(uuid.uuid4()), action, payload)
            await validate_payload(message, self.version)
            self.asked[message.unique_id] = action
            done = self.waiting[message.unique_id] = asyncio.get_running_loop().create_future()
            await self.send(message.to_json())
            return await asyncio.wait_for(done, ANSWER_S)


def unknown(action):
    """What a peer says to an action it does not have."""
    return NotThere(description=f"{action} is not known here")


async def commands(handle):
    """Hand JSON lines of stdin to ``handle`` until {"stop": true} or the end; print what it returns."""
    loop = asyncio.get_running_loop()
    while True:
        line = await loop.run_in_executor(None, sys.stdin.readline)
        command = json.loads(line) if line.strip() else {"stop": True}
        if command.get("stop"):
            return
        say(await handle(command))


def say(answer):
    """One JSON line to whoever started us."""
    print(json.dumps(answer), flush=True)
