"""A CSMS of every version that keeps a ledger: ``python -m tests.support.ledger_csms LOG PORT [SEED [HOST [VERSION]]]``.

Notes each message that bears a number in LOG before it answers, so that a kill loses no note. Every
second station's CSMS knows a repeated StartTransaction again by its content, as some do, and
gives the same id; the others give a new one, as others do. Now and then it refuses a message with an error,
or takes its time. Says ``ready`` and runs until killed.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from random import Random
from typing import Any

from aiohttp import WSMsgType, web

from tests.support.ledger import VERSIONS, Arrived, content_of, number_of, transaction_of

TIME = "2026-11-21T16:00:00Z"
ACCEPTED = {"status": "Accepted"}
ERRORS = 0.005
SLOW, SLOWEST_S = 0.05, 0.2


def knows_repeats(station_id: str) -> bool:
    """Whether the CSMS gives this station's repeated start the same id."""
    return sum(station_id.encode()) % 2 == 0


def read_notes(log: Path) -> list[Arrived]:
    """The ledger. A line cut off by a kill does not count: it was never answered."""
    if not log.exists():
        return []
    return [Arrived(*json.loads(line)) for line in log.read_text().split("\n")[:-1]]


def dials_log(log: Path) -> Path:
    """Where the moments of all connections stand [s, monotonic]."""
    return log.with_suffix(".dials")


class LedgerCsms:
    """Answers and notes. Started again it knows the ids it has given."""

    def __init__(self, log: Path, seed: int, versions: tuple[str, ...] = VERSIONS) -> None:
        self.last = 0
        self._versions = versions
        self.starts: dict[tuple[str, str], int] = {}
        for note in read_notes(log):
            if '"meterStart"' in note.content:
                self._given(note.station_id, note.content, int(note.transaction_id))
        _end_line(log)
        self._log = log.open("a", buffering=1)
        self._dials = dials_log(log).open("a", buffering=1)
        self._random = Random(seed)

    def _given(self, station_id: str, content: str, number: int) -> None:
        self.last = max(self.last, number)
        self.starts[(station_id, content)] = number

    def answer(self, station_id: str, message_id: str, action: str, payload: dict[str, Any], version: str) -> list[Any]:
        """CALLRESULT or CALLERROR; what was answered with an error is not noted."""
        number = number_of(action, payload)
        if number is None:
            return [3, message_id, _plain(action, version)]
        if self._random.random() < ERRORS:
            return [4, message_id, "InternalError", "the ledger is out of ink", {}]
        content = content_of(payload)
        transaction_id, result = transaction_of(action, payload), {}
        if action == "StartTransaction":
            given = self.starts.get((station_id, content)) if knows_repeats(station_id) else None
            given = given or self.last + 1
            self._given(station_id, content, given)
            transaction_id, result = str(given), {"transactionId": given, "idTagInfo": ACCEPTED}
        self._log.write(json.dumps([station_id, number, transaction_id, content]) + "\n")
        return [3, message_id, result]

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """One station's connection."""
        socket = web.WebSocketResponse(protocols=self._versions)
        try:
            await socket.prepare(request)
        except ConnectionError:
            return web.Response(status=500)  # the caller was killed meanwhile; nobody reads this
        self._dials.write(f"{asyncio.get_running_loop().time():.3f}\n")
        station_id, version = request.path.rsplit("/", 1)[1], socket.ws_protocol or ""
        async for message in socket:
            if message.type is not WSMsgType.TEXT:
                break
            frame = json.loads(message.data)
            if frame[0] != 2:
                continue
            if self._random.random() < SLOW:
                await asyncio.sleep(self._random.uniform(0, SLOWEST_S))
            try:
                await socket.send_str(json.dumps(self.answer(station_id, frame[1], frame[2], frame[3], version)))
            except ConnectionError:
                break
        return socket


def _plain(action: str, version: str) -> dict[str, Any]:
    if action == "BootNotification":
        return {"status": "Accepted", "currentTime": TIME, "interval": 300}
    if action == "Heartbeat":
        return {"currentTime": TIME}
    if action == "Authorize":
        return {"idTagInfo": ACCEPTED} if version == "ocpp1.6" else {"idTokenInfo": ACCEPTED}
    return {}


def _end_line(log: Path) -> None:
    """Cut a half line off, so that the next note begins on its own."""
    if log.exists():
        data = log.read_bytes()
        log.write_bytes(data[: data.rfind(b"\n") + 1])


async def serve(log: Path, port: int, seed: int, host: str = "127.0.0.1", version: str = "") -> None:
    """Run for ever. version: the only one it speaks, "" = all."""
    csms = LedgerCsms(log, seed, (version,) if version else VERSIONS)
    app = web.Application()
    app.router.add_get("/{path:.*}", csms.serve)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, host, port).start()
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    arguments = sys.argv[1:]
    asyncio.run(serve(Path(arguments[0]), int(arguments[1]), int(arguments[2]) if len(arguments) > 2 else 0, *arguments[3:5]))
