"""A simulated CSMS for 2.0.1 stations: answers everything, remembers everything, and keeps the books.

``CsmsBooks`` is the pure half: text in, text out, and an account of every transaction, so that a
demo or a test can say whether anything was lost between station and CSMS (E04: sequence numbers
without gaps between Started and Ended). ``SimCsms`` puts it behind a real WebSocket server that
can be stopped and started again: an outage.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from aiohttp import WSMsgType, web

from controller.facts import Stamp
from controller.sim import wire
from controller.sim.wire import Payload

SUBPROTOCOL = "ocpp2.0.1"
HEARTBEAT_S = 60
KEPT_FRAMES = 20_000
GONE = "the CSMS closed"


class CsmsCallError(Exception):
    """A call from the CSMS was not answered with a result. reason: the error code or what happened to the link."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class SeenFrame:
    """One text message. incoming: from the station."""

    station_id: str
    wall_s: float
    incoming: bool
    text: str


@dataclass(slots=True)
class TransactionBook:
    """What is known of one transaction. events: seqNo -> payload as it first came."""

    transaction_id: str
    station_id: str
    events: dict[int, Payload] = field(default_factory=dict)
    order: list[int] = field(default_factory=list)
    duplicates: int = 0

    @property
    def started(self) -> bool:
        """The Started event is here."""
        return any(event["eventType"] == "Started" for event in self.events.values())

    @property
    def ended(self) -> bool:
        """The Ended event is here."""
        return any(event["eventType"] == "Ended" for event in self.events.values())

    @property
    def missing(self) -> list[int]:
        """Sequence numbers not seen between 0 and the highest one."""
        return [number for number in range(max(self.events, default=-1) + 1) if number not in self.events]

    @property
    def in_order(self) -> bool:
        """Events came with rising sequence numbers."""
        return self.order == sorted(self.order)

    @property
    def complete(self) -> bool:
        """Started, ended and nothing missing."""
        return self.started and self.ended and not self.missing

    @property
    def told_late(self) -> int:
        """Events that were told with offline = true."""
        return sum(event.get("offline") is True for event in self.events.values())


class CsmsBooks:
    """Answers station CALLs and keeps account."""

    def __init__(self, refused_tokens: tuple[str, ...] = ()) -> None:
        self.frames: deque[SeenFrame] = deque(maxlen=KEPT_FRAMES)
        self.transactions: dict[str, TransactionBook] = {}
        self.boots: dict[str, int] = {}
        self.statuses: dict[tuple[str, int], str] = {}
        self._refused_tokens = refused_tokens

    def handle(self, station_id: str, at: Stamp, text: str) -> list[str]:
        """One text message of a station; the texts to answer. Results of our own calls are only noted."""
        self._note(station_id, at, True, text)
        message = wire.read(text)
        if message is None:
            return [self._note(station_id, at, False, wire.error("-1", "RpcFrameworkError", "not a frame"))]
        if message.kind != wire.CALL:
            return []
        answer = self._answer(station_id, at, message)
        return [self._note(station_id, at, False, answer)]

    def note_call(self, station_id: str, at: Stamp, text: str) -> None:
        """Remember a CALL we send."""
        self._note(station_id, at, False, text)

    def gaps(self) -> dict[str, list[int]]:
        """Transactions with missing events -> the missing sequence numbers."""
        return {book.transaction_id: book.missing for book in self.transactions.values() if book.missing}

    def running(self) -> list[TransactionBook]:
        """Transactions without an end."""
        return [book for book in self.transactions.values() if not book.ended]

    def _note(self, station_id: str, at: Stamp, incoming: bool, text: str) -> str:
        self.frames.append(SeenFrame(station_id, at.wall_s, incoming, text))
        return text

    def _answer(self, station_id: str, at: Stamp, message: wire.Message) -> str:
        make = ANSWERS.get(message.action)
        if make is None:
            return wire.error(message.message_id, "NotImplemented", message.action)
        try:
            return wire.result(message.message_id, make(self, station_id, at, message.payload))
        except (KeyError, TypeError) as wrong:
            return wire.error(message.message_id, "FormatViolation", f"{type(wrong).__name__}: {wrong}")

    def booted(self, station_id: str, at: Stamp, payload: Payload) -> Payload:
        """B01: everybody is welcome."""
        self.boots[station_id] = self.boots.get(station_id, 0) + 1
        return {"currentTime": wire.iso(at.wall_s), "interval": HEARTBEAT_S, "status": "Accepted"}

    def status(self, station_id: str, at: Stamp, payload: Payload) -> Payload:
        """Keep the connector's last status."""
        self.statuses[station_id, payload["evseId"]] = payload["connectorStatus"]
        return {}

    def authorize(self, station_id: str, at: Stamp, payload: Payload) -> Payload:
        """Every token is accepted except the refused ones."""
        refused = payload["idToken"]["idToken"] in self._refused_tokens
        return {"idTokenInfo": {"status": "Invalid" if refused else "Accepted"}}

    def transaction_event(self, station_id: str, at: Stamp, payload: Payload) -> Payload:
        """Book the event; an idToken in it is answered (E05)."""
        transaction_id = payload["transactionInfo"]["transactionId"]
        book = self.transactions.setdefault(transaction_id, TransactionBook(transaction_id, station_id))
        number = payload["seqNo"]
        if number in book.events:
            book.duplicates += 1
        else:
            book.events[number] = payload
            book.order.append(number)
        return self.authorize(station_id, at, payload) if "idToken" in payload else {}


Answer = Callable[[CsmsBooks, str, Stamp, Payload], Payload]


def _always(answer: Payload) -> Answer:
    return lambda _books, _station_id, _at, _payload: dict(answer)


ANSWERS: Mapping[str, Answer] = {
    "BootNotification": CsmsBooks.booted,
    "StatusNotification": CsmsBooks.status,
    "Authorize": CsmsBooks.authorize,
    "TransactionEvent": CsmsBooks.transaction_event,
    "Heartbeat": lambda _books, _id, at, _payload: {"currentTime": wire.iso(at.wall_s)},
    "DataTransfer": _always({"status": "UnknownVendorId"}),
    "NotifyEVChargingNeeds": _always({"status": "Accepted"}),
    "NotifyEVChargingSchedule": _always({"status": "Accepted"}),
    "SignCertificate": _always({"status": "Rejected"}),
    "Get15118EVCertificate": _always({"status": "Failed", "exiResponse": ""}),
    "GetCertificateStatus": _always({"status": "Failed"}),
    **{
        action: _always({})
        for action in (
            "MeterValues",
            "NotifyReport",
            "NotifyEvent",
            "NotifyMonitoringReport",
            "NotifyChargingLimit",
            "ClearedChargingLimit",
            "NotifyCustomerInformation",
            "NotifyDisplayMessages",
            "ReportChargingProfiles",
            "ReservationStatusUpdate",
            "SecurityEventNotification",
            "LogStatusNotification",
            "FirmwareStatusNotification",
            "PublishFirmwareStatusNotification",
        )
    },
}


class SimCsms:
    """The books behind a WebSocket server on the loopback interface."""

    def __init__(self, stamp: Callable[[], Stamp], books: CsmsBooks | None = None) -> None:
        self.books = books or CsmsBooks()
        self.port = 0
        self._stamp = stamp
        self._runner: web.AppRunner | None = None
        self._sockets: dict[str, web.WebSocketResponse] = {}
        self._waiting: dict[str, asyncio.Future[wire.Message]] = {}
        self._calls = 0

    @property
    def url(self) -> str:
        """The endpoint stations dial, without their identity."""
        return f"ws://127.0.0.1:{self.port}/csms"

    @property
    def connected(self) -> list[str]:
        """Identities of the stations linked now."""
        return sorted(self._sockets)

    async def start(self, port: int = 0) -> None:
        """Listen; 0 picks a free port, which is kept for later starts."""
        app = web.Application()
        app.router.add_get("/csms/{identity}", self._serve)
        self._runner = web.AppRunner(app, shutdown_timeout=0.5)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", port or self.port)
        await site.start()
        self.port = int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        """An outage: every socket closes, the port is dead until ``start``."""
        for socket in list(self._sockets.values()):
            await socket.close(code=1012, message=b"going down")
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(CsmsCallError(GONE))
        self._waiting.clear()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def call(self, station_id: str, action: str, payload: Payload, timeout_s: float = 30.0) -> Payload:
        """Send a CALL to a station and give its result. Raises CsmsCallError."""
        socket = self._sockets.get(station_id)
        if socket is None:
            raise CsmsCallError(f"{station_id} is not connected")
        self._calls += 1
        message_id = f"sim-csms-{self._calls}"
        future: asyncio.Future[wire.Message] = asyncio.get_running_loop().create_future()
        self._waiting[message_id] = future
        text = wire.call(message_id, action, payload)
        self.books.note_call(station_id, self._stamp(), text)
        await socket.send_str(text)
        try:
            message = await asyncio.wait_for(future, timeout_s)
        except TimeoutError:
            raise CsmsCallError(f"{station_id} did not answer {action} within {timeout_s:g} s") from None
        finally:
            self._waiting.pop(message_id, None)
        if message.kind == wire.CALLERROR:
            raise CsmsCallError(message.action)
        return message.payload

    async def _serve(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(protocols=(SUBPROTOCOL,), heartbeat=20.0, max_msg_size=1 << 20)
        await socket.prepare(request)
        station_id = request.match_info["identity"]
        self._sockets[station_id] = socket
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    await self._take(station_id, socket, message.data)
        finally:
            if self._sockets.get(station_id) is socket:
                del self._sockets[station_id]
        return socket

    async def _take(self, station_id: str, socket: web.WebSocketResponse, text: str) -> None:
        message = wire.read(text)
        future: asyncio.Future[wire.Message] | None = self._waiting.get(message.message_id) if message and message.kind != wire.CALL else None
        if future is not None and message is not None and not future.done():
            future.set_result(message)
        for answer in self.books.handle(station_id, self._stamp(), text):
            await socket.send_str(answer)
