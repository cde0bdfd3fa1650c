"""Shell: the WebSocket server stations connect to.

Carries frames between stations' sockets and the engine, and holds the rules of the socket
itself: one live connection per identity, deadlines, bounds. Who may come in is ``reception``'s
business, a message's meaning none of its.

Two connections with one identity (F09-F11): the newcomer has authenticated, so the old
connection is pinged; if it gives any sign of life within 5 s the newcomer gets 409, else it is
replaced. Every connection has a generation number that rises per station: orders and late
closes of an earlier generation never touch a later one.

Passwords of which only salted hashes are known are checked elsewhere (``passwords``), and TLS is the
listener's business (``tls``): past the handshake nobody can tell a plain connection from the other.

The OCPP version is fixed in the answer to the handshake, and the CSMS has a say in it. So the shell
tells that a station has arrived, and keeps the handshake open until the engine names the version
or a deadline passes; then the station's first choice is taken.

Serves OCPP-J section 3, OCPP 2.0.1 part 4 section 3, security profiles 1 to 3 (A00).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from typing import cast

from aiohttp import hdrs, web

from controller.config import Config
from controller.facts import StationArrived, StationConnected, StationLeft
from controller.io.links.door import Door, DoorServer, Handler, Listener, listening_sockets
from controller.io.links.pinging import StationSocket
from controller.io.links.pump import install
from controller.io.links.reception import Guest, NoVersion, Reception, answer
from controller.io.links.station_session import CLOSE_S, StationSession
from controller.io.links.tls import Certificates, tls_words
from controller.io.shell import Clock, Submit, listen_error
from controller.io.tasks import end, keep
from controller.ocpp.registry import dialects
from controller.orders import AnswerStation, CloseStation, HoldOffStation, Order, SendStation, SetStationSecret

log = logging.getLogger(__name__)

VERSIONS = ("ocpp2.1", "ocpp2.0.1", "ocpp1.6")  # newest first; the station's own order of preference decides
PROBE_S = 5.0  # how long an old connection may take to prove that it lives (F10)
DRAIN_EVERY_BYTES = 32 * 1024  # a send waits for the transport at least this often, so that its deadline can bite
STOP_S = 0.8

logging.getLogger("aiohttp.websocket").addFilter(lambda record: "overlap" not in record.msg)  # offers in a second line: we read them all


@dataclass(frozen=True, slots=True)
class _Arrival:
    """A guest whose handshake waits for its version. version: None in it = none in common."""

    station_id: str
    version: asyncio.Future[str | None]


class StationsShell:
    """The server. spoken: subprotocols we speak, None = every dialect there is. probe_s: see the module's text.

    answer_s: how long a handshake waits for ``AnswerStation`` [s]; None = a second more than the CSMSs may
    take to choose the version, at most half of ``listen.handshake_s``. port, tls_port: where it listens, 0 = not.
    """

    orders: tuple[type[Order], ...] = (SendStation, CloseStation, AnswerStation, SetStationSecret, HoldOffStation)

    def __init__(
        self,
        config: Config,
        clock: Clock,
        submit: Submit,
        *,
        spoken: Sequence[str] | None = None,
        probe_s: float = PROBE_S,
        answer_s: float | None = None,
    ) -> None:
        install()
        self._config = config
        self._clock = clock
        self._submit = submit
        self._spoken = tuple(spoken) if spoken is not None else tuple(name for name in VERSIONS if name in dialects())
        self._probe_s = min(probe_s, config.listen.handshake_s / 2)
        self._answer_s = answer_s if answer_s is not None else _answer_s(config)
        self._door = Door(config.listen.handshake_s, len(config.stations))
        self._certificates = _certificates(config, clock, submit)
        self._watching: asyncio.Task[None] | None = None
        self.reception = Reception(config, clock, submit, self._spoken)
        self._sessions: dict[str, StationSession] = {}
        self._generations: dict[str, int] = {}
        self._deciding: set[str] = set()
        self._arrivals: dict[int, _Arrival] = {}
        self._waiting: dict[Handler, int] = {}
        self._tickets = count(1)
        self._web: DoorServer | None = None
        self._listeners: list[Listener] = []
        self._stopping = False
        self.crowded = False  # nobody new comes in while memory is nearly used up (F71)
        self._carriers: dict[type[Order], Callable[..., None]] = {
            SendStation: self._send,
            CloseStation: self._close,
            AnswerStation: self._answer,
            SetStationSecret: self.reception.set_secret,
            HoldOffStation: self._hold_off,
        }
        self.port = 0
        self.tls_port = 0

    # -- the shape of every shell ---------------------------------------------------------------

    def carry(self, order: SendStation | CloseStation | AnswerStation | SetStationSecret | HoldOffStation) -> None:
        """Send, close, finish a handshake, change a password, hold off; an order for a connection that is gone does nothing."""
        self._carriers[type(order)](order)

    async def start(self) -> None:
        """Listen on ``listen.host:listen.port``, and with TLS on ``listen.tls.port``. Raises StartError if that cannot be done."""
        listen = self._config.listen
        if self._certificates is not None:
            self._certificates.start()
            self._watching = keep(self._certificates.watch, "certificates")
        self._web = DoorServer(self._door, self._handle, listen.handshake_s, self._lost, self._tls_failed)
        if listen.plain:
            self.port = self._listen(self._web, listen.host, listen.port, "listen")
        if listen.tls is not None:
            self.tls_port = self._listen(self._web, listen.tls.host or listen.host, listen.tls.port, "listen.tls")

    def _listen(self, server: DoorServer, host: str, port: int, key: str) -> int:
        """Listen on every address of ``host``; returns the port of the first."""
        context = self._certificates.context if self._certificates is not None and key == "listen.tls" else None
        try:
            sockets = listening_sockets(host, port)
        except OSError as error:
            raise listen_error(error, host, port, key) from None
        listeners = [server.listen(socket, context) for socket in sockets]
        self._listeners += listeners
        return listeners[0].port

    async def stop(self) -> None:
        """Ask every station to come back later (1001), then end what is left."""
        self._stopping = True
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()
        self._door.close()
        for arrival in list(self._arrivals.values()):
            _settle(arrival, ConnectionResetError("controller is stopping"))
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
            self._web = None
        if self._watching is not None:
            await end([self._watching])
        self.reception.passwords.close()

    def _send(self, order: SendStation) -> None:
        session = self._sessions.get(order.station_id)
        if session is not None and session.generation == order.generation:
            session.outgoing.send(order.text)

    def _close(self, order: CloseStation) -> None:
        session = self._sessions.get(order.station_id)
        if session is not None and session.generation == order.generation:
            session.outgoing.close(order.code, order.reason)

    def _answer(self, order: AnswerStation) -> None:
        arrival = self._arrivals.get(order.ticket)
        if arrival is not None and arrival.station_id == order.station_id and not arrival.version.done():
            arrival.version.set_result(order.version)

    def _hold_off(self, order: HoldOffStation) -> None:
        session = self._sessions.get(order.station_id)
        if self.reception.hold_off(order) and session is not None and order.for_s > 0:
            session.abort(f"held off for {order.for_s:g} s by a commissioning test")

    # -- who knocks -------------------------------------------------------------------------------

    def _lost(self, handler: Handler) -> None:
        """A connection closed: whoever waits for a version on it need not wait longer."""
        ticket = self._waiting.get(handler)
        if ticket is not None:
            _settle(self._arrivals[ticket], ConnectionResetError("the station left"))

    def _tls_failed(self, address: str, error: Exception) -> None:
        if isinstance(error, ConnectionError):  # a port scan, a health check
            return
        self.reception.report("tls", address, f"no agreement on TLS ({tls_words(error)})")

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        handler = cast(Handler, request.protocol)
        try:
            return await self._received(request)
        finally:
            self._door.passed(handler.caller)

    async def _received(self, request: web.BaseRequest) -> web.StreamResponse:
        if self.crowded and request.method == hdrs.METH_GET:
            return answer(503, {hdrs.RETRY_AFTER: "60"})
        found = await self.reception.judge(request)
        if isinstance(found, Guest):
            return await self._admit(request, found)
        if isinstance(found, NoVersion):
            return await self._close_politely(request, found.reason, found.identity, found.address)
        return found

    async def _close_politely(self, request: web.BaseRequest, reason: str, identity: str, address: str) -> web.StreamResponse:
        """No common version: the handshake is finished without one, then the socket is closed (B32)."""
        socket = web.WebSocketResponse(timeout=CLOSE_S, max_msg_size=self._config.listen.max_frame_bytes)
        if not socket.can_prepare(request):
            return answer(426, {hdrs.UPGRADE: "websocket"})
        await socket.prepare(request)
        self.reception.report(identity, address, reason)
        await socket.close(code=1002, message=b"no common OCPP version")
        return socket

    async def _admit(self, request: web.BaseRequest, guest: Guest) -> web.StreamResponse:
        identity = guest.target.identity
        if not self._socket(guest.offered[0]).can_prepare(request).ok:
            return answer(426, {hdrs.UPGRADE: "websocket"})
        if identity in self._deciding or self._stopping:
            return answer(409)
        self._deciding.add(identity)
        self._door.passed(cast(Handler, request.protocol).caller)  # no stranger any more: while we probe its old connection others may come in
        try:
            if not await self._place_is_free(identity, guest.address):
                return answer(409)
            found = await self._welcome(request, guest)
        finally:
            self._deciding.discard(identity)
        if isinstance(found, StationSession):
            await self._serve(found)
            return found.socket
        return await self._close_politely(request, found, identity, guest.address)

    async def _welcome(self, request: web.BaseRequest, guest: Guest) -> StationSession | str:
        """Open the socket in the version the engine names; a sentence if there is none. Exactly one fact follows each arrival."""
        if request.transport is None:
            raise ConnectionResetError("the station left")
        ticket, connected = next(self._tickets), False
        try:
            version = await self._version(request, guest, ticket)
            if version is None:
                offers = ", ".join(guest.offered)
                return f"the CSMS speaks no OCPP version that station {guest.target.identity} offers ({offers})"
            socket = self._socket(version)
            if socket.can_prepare(request).protocol != version:
                socket.headers[hdrs.SEC_WEBSOCKET_PROTOCOL] = version  # offered in a second header line, which aiohttp does not read
            await socket.prepare(request)
            connected = True
            return self._register(request, socket, guest, version)
        finally:
            if not connected:
                self._submit(StationLeft(self._clock.stamp(), guest.target.identity, ticket))

    async def _version(self, request: web.BaseRequest, guest: Guest, ticket: int) -> str | None:
        """What the engine answers; the station's first choice if it does not in time."""
        handler = cast(Handler, request.protocol)
        arrival = _Arrival(guest.target.identity, asyncio.get_running_loop().create_future())
        self._arrivals[ticket], self._waiting[handler] = arrival, ticket
        try:
            self._submit(StationArrived(self._clock.stamp(), arrival.station_id, ticket, guest.offered, guest.address, guest.target.url_tail))
            async with asyncio.timeout(self._answer_s):
                version = await arrival.version
        except TimeoutError:
            return guest.offered[0]
        finally:
            del self._arrivals[ticket], self._waiting[handler]
        return version if version is None or version in guest.offered else guest.offered[0]

    def _socket(self, version: str) -> web.WebSocketResponse:
        listen = self._config.listen
        return StationSocket(
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
            self.reception.report(identity, address, reason, twin=True)
            return False
        old.abort(f"replaced: it gave no sign of life for {self._probe_s:g} s when a new connection came from {address}")
        return True

    def _register(self, request: web.BaseRequest, socket: web.WebSocketResponse, guest: Guest, version: str) -> StationSession:
        target = guest.target
        generation = self._generations.get(target.identity, 0) + 1
        self._generations[target.identity] = generation
        handler, rate = cast(Handler, request.protocol), self._config.listen.messages_per_s
        session = StationSession(target.identity, generation, socket, handler, self._clock, self._submit, rate)
        self._sessions[target.identity] = session
        log.info("station %s connects %s", target.identity, _transport_words(request))
        self._submit(StationConnected(self._clock.stamp(), target.identity, generation, version, guest.address, target.url_tail, guest.secret))
        return session

    async def _serve(self, session: StationSession) -> None:
        try:
            await session.run()
        finally:
            if self._sessions.get(session.station_id) is session:
                del self._sessions[session.station_id]


def _transport_words(request: web.BaseRequest) -> str:
    found = request.get_extra_info("cipher")
    shown = " and its certificate" if request.get_extra_info("peercert") else ""
    return f"over {found[1]} with {found[0]}{shown}" if found else "without TLS"


def _certificates(config: Config, clock: Clock, submit: Submit) -> Certificates | None:
    tls = config.listen.tls
    return Certificates(tls.certificates, clock, submit, tls.clients) if tls is not None else None


def _answer_s(config: Config) -> float:
    """A CSMS has its time, then the engine a second; the station itself may give up soon after ten."""
    dial_s = max((upstream.dial_first_s for upstream in config.upstreams if upstream.role == "primary"), default=0.0)
    return min(dial_s + 1.0, config.listen.handshake_s / 2)


def _settle(arrival: _Arrival, error: ConnectionError) -> None:
    if not arrival.version.done():
        arrival.version.set_exception(error)
