"""The stations' side of a transcript, played to a running controller as real WebSocket clients.

Each station connects when it did, sends its CALLs when it did (one at a time, as OCPP wants), and answers what it is
asked with its last recorded answer to that action. Only this machine is dialled unless the person insists: a
recording played to a productive CSMS makes charging sessions that never were.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import quote, urlsplit

from aiohttp import ClientError, ClientSession, ClientTimeout, ClientWebSocketResponse, WSMsgType, encode_basic_auth

from controller.config import Config
from controller.io.links.tap_reading import STATION
from controller.io.tasks import end, spawn
from controller.tools.client import ToolError, is_loopback
from controller.tools.counterparts import head_of, is_incoming
from controller.tools.transcript import Record, Transcript

ANSWER_S = 60.0
LINGER_S = 1.0
DIAL_S = 10.0


@dataclass(slots=True)
class Outcome:
    """How it went. sent, answered, refused (CALLERROR), silent: the stations' CALLs. asked: CALLs of the controller. problems: sentences."""

    sent: int = 0
    answered: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    silent: int = 0
    asked: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        """Whether every message got an answer."""
        return not self.silent and not self.problems


def check_target(url: str, anywhere: bool) -> str:
    """The URL without its slash at the end. Raises ToolError for one that is none, or leads to another machine."""
    parts = urlsplit(url)
    if parts.scheme not in ("ws", "wss") or not parts.hostname:
        raise ToolError(f"{url} is no address for stations; it begins with ws://, e.g. ws://127.0.0.1:9000/ocpp")
    if not anywhere and not is_loopback(parts.hostname):
        raise ToolError(
            f"{parts.hostname} is another machine; a recording played to a live site makes charging sessions that never were. "
            "If you mean it, add --anywhere"
        )
    return url.rstrip("/")


async def play(transcript: Transcript, config: Config, url: str, speed: float) -> Outcome:
    """Play all stations at once, ``speed`` times as fast as recorded."""
    outcome = Outcome()
    by_station: dict[str, list[Record]] = defaultdict(list)
    for record in transcript.records:
        if record["leg"] == STATION and is_incoming(record):
            by_station[record["station"]].append(record)
    begin_mono_s = float(transcript.header.get("mono_s", 0.0))
    versions = {str(state.get("station")): str(state.get("version", "")) for state in transcript.header.get("stations", []) if state.get("online")}
    async with ClientSession(timeout=ClientTimeout(total=None, sock_connect=DIAL_S)) as session:
        actors = [
            _Actor(name, records, versions.get(name, ""), _password(config, name), session, url, outcome).play(begin_mono_s, speed)
            for name, records in by_station.items()
        ]
        await asyncio.gather(*actors)
    return outcome


def _password(config: Config, station_id: str) -> str | None:
    station = config.station(station_id)
    if station is None:
        return None
    if station.password is not None:
        return station.password.get_secret_value()
    if station.password_file is None:
        return None
    try:
        return station.password_file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        raise ToolError(f"the password file {station.password_file} of {station_id} cannot be read") from None


class _Actor:
    """One station."""

    def __init__(
        self, name: str, records: Sequence[Record], version: str, password: str | None, session: ClientSession, url: str, outcome: Outcome
    ) -> None:
        self._name = name
        self._records = records
        self._version = version
        self._headers = {"Authorization": encode_basic_auth(name, password)} if password is not None else {}
        self._session = session
        self._url = f"{url}/{quote(name, safe='')}"
        self._outcome = outcome
        self._socket: ClientWebSocketResponse | None = None
        self._reading: asyncio.Task[None] | None = None
        self._waiting: dict[str, asyncio.Future[list[object]]] = {}
        self._answers = {record["action"]: record["text"] for record in records if record["kind"] == "RESULT" and record.get("action")}

    async def play(self, begin_mono_s: float, speed: float) -> None:
        loop = asyncio.get_running_loop()
        begin_s = loop.time()
        try:
            if self._version and not any(record["kind"] == "OPENED" for record in self._records[:1]):
                await self._connect(self._version)
            for record in self._records:
                await asyncio.sleep(begin_s + (float(record["mono_s"]) - begin_mono_s) / speed - loop.time())
                await self._act(record)
            await asyncio.sleep(LINGER_S / speed)
        finally:
            await self._disconnect()

    async def _act(self, record: Record) -> None:
        if record["kind"] == "OPENED":
            await self._disconnect()
            await self._connect(str(record.get("version", "")))
        elif record["kind"] == "CLOSED":
            await self._disconnect()
        elif record["kind"] in ("CALL", "SEND"):
            await self._say(record["kind"], record["text"])

    async def _connect(self, version: str) -> None:
        try:
            self._socket = await self._session.ws_connect(self._url, protocols=(version,), headers=self._headers, heartbeat=20.0)
        except (ClientError, OSError, TimeoutError) as error:
            self._outcome.problems.append(f"{self._name} could not connect: {error or type(error).__name__}")
            return
        if self._socket.protocol != version:
            self._outcome.problems.append(f"{self._name} offered {version or 'nothing'} and was given {self._socket.protocol or 'nothing'}")
        self._reading = spawn(self._read(self._socket), f"replay {self._name}")

    async def _disconnect(self) -> None:
        socket, self._socket = self._socket, None
        if socket is not None:
            await socket.close()
        if self._reading is not None:
            await end([self._reading])
            self._reading = None

    async def _say(self, kind: str, text: str) -> None:
        socket = self._socket
        if socket is None or socket.closed:
            self._outcome.silent += 1
            return
        self._outcome.sent += 1
        if kind == "SEND":
            await self._send(socket, text)
            return
        message_id = head_of(text)[1]
        answer = self._waiting[message_id] = asyncio.get_running_loop().create_future()
        await self._send(socket, text)
        try:
            async with asyncio.timeout(ANSWER_S):
                frame = await answer
        except (TimeoutError, ConnectionError):
            self._outcome.silent += 1
            return
        finally:
            self._waiting.pop(message_id, None)
        if frame[0] == 3:
            self._outcome.answered += 1
        else:
            self._outcome.refused[str(frame[2]) if len(frame) > 2 else "?"] += 1

    async def _send(self, socket: ClientWebSocketResponse, text: str) -> None:
        with suppress(ConnectionError, ClientError):
            await socket.send_str(text)

    async def _read(self, socket: ClientWebSocketResponse) -> None:
        async for message in socket:
            if message.type is not WSMsgType.TEXT:
                continue
            number, message_id, rest = head_of(message.data)
            if number in (3, 4) and message_id in self._waiting and not self._waiting[message_id].done():
                self._waiting[message_id].set_result([number, message_id, *rest])
            elif number == 2:
                await self._send(socket, self._reply(message_id, str(rest[0])))
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(ConnectionResetError())

    def _reply(self, message_id: str, action: str) -> str:
        self._outcome.asked[action] += 1
        recorded = self._answers.get(action)
        if recorded is None:
            return json.dumps([4, message_id, "NotSupported", "not in the recording", {}])
        return json.dumps([3, message_id, *head_of(recorded)[2]])
