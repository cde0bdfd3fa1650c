"""Shell: the WebSocket server stations connect to.

Carries frames between stations' sockets and the engine, and holds the rules of the socket
itself: who may come in (``link.admission``), one live connection per identity, deadlines,
bounds. A message's meaning is none of its business.

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
from dataclasses import dataclass, field
from itertools import count
from typing import cast

from aiohttp import hdrs, web

from controller.config import Config
from controller.facts import StationArrived, StationConnected, StationLeft, StationRefused
from controller.io.api.passwords import PasswordChecker
from controller.io.links.bucket import TokenBucket
from controller.io.links.door import Door, DoorServer, Handler, Listener, address_of, listening_sockets
from controller.io.links.pinging import StationSocket
from controller.io.links.pump import install
from controller.io.links.station_session import CLOSE_S, StationSession
from controller.io.links.tls import Certificates, shown_by, tls_words
from controller.io.shell import Clock, Submit, listen_error
from controller.io.tasks import end, keep
from controller.link.admission import Admit, AdmitWithoutVersion, FailureBucket, Prove, Refuse, Target, decide, printable, read_target, split_offer
from controller.ocpp.registry import dialects
from controller.orders import AnswerStation, CloseStation, HoldOffStation, Order, SendStation, SetStationSecret

log = logging.getLogger(__name__)

VERSIONS = ("ocpp2.1", "ocpp2.0.1", "ocpp1.6")  # newest first; the station's own order of preference decides
PROBE_S = 5.0  # how long an old connection may take to prove that it lives (F10)
DRAIN_EVERY_BYTES = 32 * 1024  # a send waits for the transport at least this often, so that its deadline can bite
WRONG_PER_MINUTE = 20  # or as many as the site has stations: slow checks of wrong passwords one address may cause
STOP_S = 0.8

logging.getLogger("aiohttp.websocket").addFilter(lambda record: "overlap" not in record.msg)  # offers in a second line: we read them all

_ANSWERS = {
    401: "wrong identity or password",
    403: "this station has to connect in another way: see its security profile and its certificate",
    404: "unknown station or path",
    405: "this address takes GET with a WebSocket upgrade only",
    409: "this identity is in use by another connection",
    426: "this address speaks OCPP over WebSocket only",
    429: "too many failed attempts; wait a minute",
    503: "not at the moment; come back later",
}


@dataclass(frozen=True, slots=True)
class _Guest:
    """A station that has proved who it is. offered: what it offers and we speak, in its order. secret: the hash it proved it with."""

    target: Target
    offered: tuple[str, ...]
    address: str
    secret: str = field(default="", repr=False)


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
        self._passwords = PasswordChecker()
        self._hashes: dict[str, tuple[str, ...]] = {}
        self._failures = FailureBucket()
        self._wrong = FailureBucket(max(WRONG_PER_MINUTE, len(config.stations)))
        self._reports = {station.id: TokenBucket(1 / 60, 3) for station in config.stations}
        self._stranger_reports = TokenBucket(1 / 60, 10)
        self._sessions: dict[str, StationSession] = {}
        self._generations: dict[str, int] = {}
        self._deciding: set[str] = set()
        self._arrivals: dict[int, _Arrival] = {}
        self._held_off: dict[str, float] = {}  # until when on mono_s; "pull our plug" of commissioning
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
            SetStationSecret: self._set_secret,
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
        self._passwords.close()

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

    def _set_secret(self, order: SetStationSecret) -> None:
        self._hashes[order.station_id] = order.hashes
        self._passwords.forget(order.station_id, order.hashes)

    def _hold_off(self, order: HoldOffStation) -> None:
        if order.station_id not in self._reports:  # not one of ours
            return
        self._held_off[order.station_id] = self._clock.stamp().mono_s + order.for_s
        session = self._sessions.get(order.station_id)
        if session is not None and order.for_s > 0:
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
        self._report("tls", address, f"no agreement on TLS ({tls_words(error)})")

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        handler = cast(Handler, request.protocol)
        try:
            return await self._judge(request)
        finally:
            self._door.passed(handler.caller)

    async def _judge(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.method != hdrs.METH_GET:
            return _answer(405)
        if self.crowded:
            return _answer(503, {hdrs.RETRY_AFTER: "60"})
        address = address_of(request.transport)
        target = read_target(request.raw_path, self._config.listen.path)
        if target is None:
            return self._refuse(Refuse(404, "asked for a path that is not a station's"), request.raw_path, address)
        if self._failures.retry_after_s(_key(target.identity, address), self._clock.stamp().mono_s) > 0:
            return self._too_many(self._failures, _key(target.identity, address))
        held_s = self._held_off.get(target.identity, 0.0) - self._clock.stamp().mono_s
        if held_s > 0:
            return _answer(503, {hdrs.RETRY_AFTER: str(int(held_s) + 1)})
        hashes = self._hashes.get(target.identity, ())
        offered = split_offer(request.headers.getall(hdrs.SEC_WEBSOCKET_PROTOCOL, ()))
        shown, wall_s = shown_by(request.get_extra_info("ssl_object")), self._clock.stamp().wall_s
        sent = request.headers.getall(hdrs.AUTHORIZATION, ())
        decision = decide(target.identity, sent, offered, self._config, self._spoken, hashes, shown, wall_s)
        if isinstance(decision, Prove):
            return await self._prove(request, target, decision, address)
        if isinstance(decision, Refuse):
            return self._refuse(decision, target.identity, address)
        return await self._let_in(request, target, decision, address)

    async def _prove(self, request: web.BaseRequest, target: Target, decision: Prove, address: str) -> web.StreamResponse:
        """The password has to match a salted hash. Who fails too often gets no more of the processor's time."""
        found = self._passwords.remembered(target.identity, decision.password, decision.hashes)
        if found is None:
            if self._wrong.retry_after_s(("", address), self._clock.stamp().mono_s) > 0:
                return self._too_many(self._wrong, ("", address))
            found = await self._passwords.which(target.identity, decision.password, decision.hashes)
        if found is None or found not in (self._hashes.get(target.identity) or decision.hashes):  # replaced while it was being checked (A01.FR.03)
            self._wrong.failed(("", address), self._clock.stamp().mono_s)
            return self._refuse(decision.wrong, target.identity, address)
        return await self._let_in(request, target, decision.then, address, found)

    async def _let_in(
        self, request: web.BaseRequest, target: Target, decision: Admit | AdmitWithoutVersion, address: str, secret: str = ""
    ) -> web.StreamResponse:
        if isinstance(decision, AdmitWithoutVersion):
            return await self._close_politely(request, decision.reason, target.identity, address)
        # Which of the hashes it was matters only to a change of password; the configured one is no news.
        rotated = secret if secret in self._hashes.get(target.identity, ()) else ""
        return await self._admit(request, _Guest(target, decision.offered, address, rotated))

    def _too_many(self, bucket: FailureBucket, key: tuple[str, str]) -> web.Response:
        return _answer(429, {hdrs.RETRY_AFTER: str(int(bucket.retry_after_s(key, self._clock.stamp().mono_s)) + 1)})

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

    async def _close_politely(self, request: web.BaseRequest, reason: str, identity: str, address: str) -> web.StreamResponse:
        """No common version: the handshake is finished without one, then the socket is closed (B32)."""
        socket = web.WebSocketResponse(timeout=CLOSE_S, max_msg_size=self._config.listen.max_frame_bytes)
        if not socket.can_prepare(request):
            return _answer(426, {hdrs.UPGRADE: "websocket"})
        await socket.prepare(request)
        self._report(identity, address, reason)
        await socket.close(code=1002, message=b"no common OCPP version")
        return socket

    async def _admit(self, request: web.BaseRequest, guest: _Guest) -> web.StreamResponse:
        identity = guest.target.identity
        if not self._socket(guest.offered[0]).can_prepare(request).ok:
            return _answer(426, {hdrs.UPGRADE: "websocket"})
        if identity in self._deciding or self._stopping:
            return _answer(409)
        self._deciding.add(identity)
        self._door.passed(cast(Handler, request.protocol).caller)  # no stranger any more: while we probe its old connection others may come in
        try:
            if not await self._place_is_free(identity, guest.address):
                return _answer(409)
            found = await self._welcome(request, guest)
        finally:
            self._deciding.discard(identity)
        if isinstance(found, StationSession):
            await self._serve(found)
            return found.socket
        return await self._close_politely(request, found, identity, guest.address)

    async def _welcome(self, request: web.BaseRequest, guest: _Guest) -> StationSession | str:
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

    async def _version(self, request: web.BaseRequest, guest: _Guest, ticket: int) -> str | None:
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
            self._report(identity, address, reason, twin=True)
            return False
        old.abort(f"replaced: it gave no sign of life for {self._probe_s:g} s when a new connection came from {address}")
        return True

    def _register(self, request: web.BaseRequest, socket: web.WebSocketResponse, guest: _Guest, version: str) -> StationSession:
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
