"""Shell: the WebSocket server stations connect to.

Carries frames between stations' sockets and the engine, and holds the rules of the socket
itself: who may come in (``link.admission``), one live connection per identity, deadlines,
bounds. A message's meaning is none of its business.

Two connections with one identity (F09-F11): the newcomer has authenticated, so the old
connection is pinged; if it gives any sign of life within 5 s the newcomer gets 409, else it is
replaced. Every connection has a generation number that rises per station: orders and late
closes of an earlier generation never touch a later one.

Serves OCPP-J section 3, OCPP 2.0.1 part 4 section 3.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from aiohttp import WSCloseCode, WSMessage, WSMsgType, hdrs, web

from controller.config import Config
from controller.facts import StationClosed, StationConnected, StationFrame, StationRefused
from controller.io.bucket import TokenBucket
from controller.io.door import Door, DoorServer, address_of
from controller.io.outgoing import Outgoing, close_reply, close_words
from controller.io.shell import Clock, Submit, listen_error
from controller.io.tasks import end, spawn
from controller.link.admission import AdmitWithoutVersion, FailureBucket, Refuse, Target, decide, printable, read_target, split_offer
from controller.orders import CloseStation, Order, SendStation

log = logging.getLogger(__name__)

SPOKEN = ("ocpp2.0.1",)
PROBE_S = 5.0  # how long an old connection may take to prove that it lives (F10)
CLOSE_S = 2.0  # how long we wait for the peer's half of the closing handshake
MESSAGES_PER_S, MESSAGE_BURST = 20.0, 100.0  # per station; F13
DRAIN_EVERY_BYTES = 32 * 1024  # a send waits for the transport at least this often, so that its deadline can bite
STOP_S = 0.8

_ANSWERS = {
    401: "wrong identity or password",
    404: "unknown station or path",
    405: "this address takes GET with a WebSocket upgrade only",
    409: "this identity is in use by another connection",
    426: "this address speaks OCPP over WebSocket only",
    429: "too many failed attempts; wait a minute",
    503: "this station cannot be authenticated at the moment",
}


class StationSession:
    """One open socket of one station. Emits StationFrame and, exactly once, StationClosed."""

    def __init__(
        self, station_id: str, generation: int, socket: web.WebSocketResponse, transport: asyncio.Transport | None, clock: Clock, submit: Submit
    ) -> None:
        self.station_id = station_id
        self.generation = generation
        self.address = address_of(transport)
        self.outgoing = Outgoing(socket, self.abort)
        self.done = asyncio.Event()
        self._socket = socket
        self._transport = transport
        self._clock = clock
        self._submit = submit
        self._bucket = TokenBucket(MESSAGES_PER_S, MESSAGE_BURST)
        self._heard = asyncio.Event()
        self._ended = False

    async def run(self) -> None:
        """Read until the socket ends. A defect in handling one connection ends that connection only (P7)."""
        writer = spawn(self.outgoing.run(), f"send to station {self.station_id}")
        try:
            self.finish(await self._read())
        except Exception:
            log.exception("station %s: reading failed, the connection is closed", self.station_id)
            self.outgoing.close(1011, "internal error")
            self.finish("internal error")
        finally:
            self.finish("connection dropped")
            if self.outgoing.closing:
                await asyncio.wait([writer], timeout=CLOSE_S + 0.5)
            await end([writer])
            self.done.set()

    async def alive(self, within_s: float) -> bool:
        """Whether the peer gives a sign of life within ``within_s`` seconds: a pong or any message."""
        if self._ended:
            return False
        self._heard.clear()
        self.outgoing.ping()
        try:
            async with asyncio.timeout(within_s):
                await self._heard.wait()
        except TimeoutError:
            return False
        return not self._ended

    def abort(self, reason: str) -> None:
        """End the connection now, without a closing handshake."""
        self.finish(reason)
        if self._transport is not None:
            self._transport.abort()

    def finish(self, reason: str) -> None:
        """Report the end, once. Nothing of this generation is reported afterwards."""
        if self._ended:
            return
        self._ended = True
        self._heard.set()
        self._submit(StationClosed(self._clock.stamp(), self.station_id, self.generation, reason))

    async def _read(self) -> str:
        """Hand in frames until the socket ends; returns why it ended."""
        while True:
            message = await self._socket.receive()
            if self._ended:
                return "replaced"
            self._heard.set()
            if message.type is WSMsgType.CLOSE:
                return await self._part(message)
            reason = self._take(message)
            if reason is not None:
                return reason
            # Above the rate the socket is simply not read for a while: TCP tells the station to wait.
            pause_s = self._bucket.take(self._clock.stamp().mono_s)
            if pause_s > 0:
                await asyncio.sleep(pause_s)

    async def _part(self, message: WSMessage) -> str:
        """Answer the station's half of the closing handshake; what still waits to be sent is not wanted any more."""
        reply = close_reply(message.data)
        await self._socket.close(code=reply, drain=False)
        if reply == WSCloseCode.PROTOCOL_ERROR != message.data:
            return f"broke the WebSocket protocol with close code {message.data}; closed with {reply}"
        return f"closed by the station ({close_words(message)})"

    def _take(self, message: WSMessage) -> str | None:
        match message.type:
            case WSMsgType.TEXT:
                self._submit(StationFrame(self._clock.stamp(), self.station_id, self.generation, message.data))
            case WSMsgType.PING:
                self.outgoing.pong(message.data)
            case WSMsgType.PONG:
                pass
            case WSMsgType.BINARY:
                self.outgoing.close(1003, "OCPP-J messages are text")
                return "sent a binary message; closed with 1003"
            case WSMsgType.ERROR:
                return self._failed(message.data)
            case _:
                return "closed by us" if self.outgoing.closing else "connection lost"
        return None

    def _failed(self, error: BaseException) -> str:
        if isinstance(error, TimeoutError):
            self.abort("no answer to a ping")
        code = getattr(error, "code", None)
        return f"broke the WebSocket protocol; closed with {code}: {error}" if code else f"connection failed: {error}"


class StationsShell:
    """The server. spoken: subprotocols we speak. probe_s: see the module's text."""

    orders: tuple[type[Order], ...] = (SendStation, CloseStation)

    def __init__(self, config: Config, clock: Clock, submit: Submit, *, spoken: Sequence[str] = SPOKEN, probe_s: float = PROBE_S) -> None:
        self._config = config
        self._clock = clock
        self._submit = submit
        self._spoken = tuple(spoken)
        self._probe_s = min(probe_s, config.listen.handshake_s / 2)
        self._door = Door(config.listen.handshake_s, len(config.stations))
        self._failures = FailureBucket()
        self._reports = {station.id: TokenBucket(1 / 60, 3) for station in config.stations}
        self._stranger_reports = TokenBucket(1 / 60, 10)
        self._sessions: dict[str, StationSession] = {}
        self._generations: dict[str, int] = {}
        self._deciding: set[str] = set()
        self._web: web.Server | None = None
        self._server: asyncio.Server | None = None
        self._stopping = False
        self._carriers: dict[type[Order], Callable[..., None]] = {SendStation: self._send, CloseStation: self._close}
        self.port = 0

    # -- the shape of every shell ---------------------------------------------------------------

    def carry(self, order: SendStation | CloseStation) -> None:
        """Send or close; an order for a connection that is gone does nothing."""
        self._carriers[type(order)](order)

    async def start(self) -> None:
        """Listen on ``listen.host:listen.port``. Raises StartError if that cannot be done."""
        listen = self._config.listen
        server = DoorServer(self._door, self._handle, listen.handshake_s)
        try:
            self._server = await asyncio.get_running_loop().create_server(lambda: self._door.protocol(server), listen.host, listen.port, backlog=512)
        except OSError as error:
            raise listen_error(error, listen.host, listen.port, "listen") from None
        self._web = server
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Ask every station to come back later (1001), then end what is left."""
        self._stopping = True
        if self._server is not None:
            self._server.close()
        self._door.close()
        sessions = list(self._sessions.values())
        for session in sessions:
            session.outgoing.close(1001, "controller is stopping")
        try:
            async with asyncio.timeout(STOP_S):
                await asyncio.gather(*(session.done.wait() for session in sessions))
        except TimeoutError:
            for session in sessions:
                session.abort("controller is stopping")
        if self._web is not None:
            await self._web.shutdown(timeout=0.2)
        self._server = self._web = None

    def _send(self, order: SendStation) -> None:
        session = self._sessions.get(order.station_id)
        if session is not None and session.generation == order.generation:
            session.outgoing.send(order.text)

    def _close(self, order: CloseStation) -> None:
        session = self._sessions.get(order.station_id)
        if session is not None and session.generation == order.generation:
            session.outgoing.close(order.code, order.reason)

    # -- the handshake ----------------------------------------------------------------------------

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        transport = request.transport
        try:
            return await self._judge(request)
        finally:
            self._door.passed(transport)

    async def _judge(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.method != hdrs.METH_GET:
            return _answer(405)
        address = address_of(request.transport)
        target = read_target(request.raw_path, self._config.listen.path)
        if target is None:
            return self._refuse(Refuse(404, "asked for a path that is not a station's"), request.raw_path, address)
        shut_out_s = self._failures.retry_after_s(_key(target.identity, address), self._clock.stamp().mono_s)
        if shut_out_s > 0:
            return _answer(429, {hdrs.RETRY_AFTER: str(int(shut_out_s) + 1)})
        offered = split_offer(request.headers.getall(hdrs.SEC_WEBSOCKET_PROTOCOL, ()))
        decision = decide(target.identity, request.headers.getall(hdrs.AUTHORIZATION, ()), offered, self._config, self._spoken)
        if isinstance(decision, Refuse):
            return self._refuse(decision, target.identity, address)
        if isinstance(decision, AdmitWithoutVersion):
            return await self._close_politely(request, decision, target.identity, address)
        return await self._admit(request, target, decision.version, address)

    def _refuse(self, decision: Refuse, identity: str, address: str) -> web.Response:
        key, mono_s = _key(identity, address), self._clock.stamp().mono_s
        tries = self._failures.failed(key, mono_s)
        more = "; further attempts are refused for a minute" if self._failures.retry_after_s(key, mono_s) else ""
        if tries == 1 or more:
            self._report(identity, address, decision.reason + more)
        return _answer(decision.http_status)

    def _report(self, identity: str, address: str, reason: str, twin: bool = False) -> None:
        """Tell the engine of a refusal, but not of thousands: an attacker must not fill the event log."""
        stamp = self._clock.stamp()
        bucket = self._reports.get(identity, self._stranger_reports)
        if bucket.try_take(stamp.mono_s):
            self._submit(StationRefused(stamp, printable(identity), address, reason, twin))

    async def _close_politely(self, request: web.BaseRequest, decision: AdmitWithoutVersion, identity: str, address: str) -> web.StreamResponse:
        socket = web.WebSocketResponse(timeout=CLOSE_S, max_msg_size=self._config.listen.max_frame_bytes)
        if not socket.can_prepare(request):
            return _answer(426, {hdrs.UPGRADE: "websocket"})
        await socket.prepare(request)
        self._report(identity, address, decision.reason)
        await socket.close(code=1002, message=b"no common OCPP version")
        return socket

    async def _admit(self, request: web.BaseRequest, target: Target, version: str, address: str) -> web.StreamResponse:
        socket = self._socket(version)
        ready = socket.can_prepare(request)
        if not ready.ok:
            return _answer(426, {hdrs.UPGRADE: "websocket"})
        if ready.protocol != version:
            socket.headers[hdrs.SEC_WEBSOCKET_PROTOCOL] = version  # offered in a second header line, which aiohttp does not read
        if target.identity in self._deciding or self._stopping:
            return _answer(409)
        self._deciding.add(target.identity)
        self._door.passed(request.transport)  # no stranger any more: while we probe its old connection others may come in
        try:
            if not await self._place_is_free(target.identity, address):
                return _answer(409)
            await socket.prepare(request)
            session = self._register(request, socket, target, version, address)
        finally:
            self._deciding.discard(target.identity)
        await self._serve(session)
        return socket

    def _socket(self, version: str) -> web.WebSocketResponse:
        listen = self._config.listen
        return web.WebSocketResponse(
            timeout=CLOSE_S,
            autoping=False,  # pongs must be seen: they prove that an old connection lives
            autoclose=False,  # a close code that must not be on the wire is answered as what it is (B17)
            heartbeat=listen.ping_s,
            protocols=(version,),
            max_msg_size=listen.max_frame_bytes,
            writer_limit=DRAIN_EVERY_BYTES,
        )

    async def _place_is_free(self, identity: str, address: str) -> bool:
        old = self._sessions.get(identity)
        if old is None:
            return True
        if await old.alive(self._probe_s):
            reason = f"the identity is in use by a live connection from {old.address}; check whether two boxes share it"
            self._report(identity, address, reason, twin=True)
            return False
        old.abort(f"replaced: it gave no sign of life for {self._probe_s:g} s when a new connection came from {address}")
        return True

    def _register(self, request: web.BaseRequest, socket: web.WebSocketResponse, target: Target, version: str, address: str) -> StationSession:
        generation = self._generations.get(target.identity, 0) + 1
        self._generations[target.identity] = generation
        session = StationSession(target.identity, generation, socket, request.transport, self._clock, self._submit)
        self._sessions[target.identity] = session
        self._submit(StationConnected(self._clock.stamp(), target.identity, generation, version, address, target.url_tail))
        return session

    async def _serve(self, session: StationSession) -> None:
        try:
            await session.run()
        finally:
            if self._sessions.get(session.station_id) is session:
                del self._sessions[session.station_id]


def _key(identity: str, address: str) -> tuple[str, str]:
    """Key of the failure bucket; cut, so that long made-up identities cost no memory."""
    return identity[:64], address


def _answer(status: int, headers: dict[str, str] | None = None) -> web.Response:
    headers = dict(headers or {})
    if status == 401:
        headers[hdrs.WWW_AUTHENTICATE] = 'Basic realm="OCPP"'
    response = web.Response(status=status, text=_ANSWERS[status] + "\n", headers=headers)
    response.force_close()
    return response
