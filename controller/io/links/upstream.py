"""Shell: the WebSocket client towards the CSMSs, one socket per station and CSMS (primary or mirror).

Dials when told, with the versions it is told to offer, carries frames, reports ends. When to
dial again is the engine's business (``link.upstream``). Every order and fact bears the
generation of the dial, so that a late end of an old socket never touches a new one.

permessage-deflate is offered (part 4 asks it of a local controller). A CSMS that agrees to none
of the offered versions has refused them, even if it finishes the handshake. A wss address is
never dialled with less than its certificate checked, against the configured CA if there is one
(F30). While the name server is dead the last good address serves for a day; the certificate must
still fit the name (F36).

Where the site file says so, we show the CSMS a certificate (security profile 3, ``wallet``): configured, or signed by the CSMS on our
request. A refusal then is also a word about the certificate.
"""

from __future__ import annotations

import asyncio
import base64
import errno
import logging
import socket as sockets
import ssl
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import quote

import aiohttp
from aiohttp import ClientWebSocketResponse, ClientWSTimeout, WSMsgType, hdrs
from yarl import URL

from controller.certificates import CertificateError
from controller.config import Config, UpstreamConfig
from controller.facts import UpstreamClosed, UpstreamFrame, UpstreamOpened
from controller.io.links.names import LastingResolver
from controller.io.links.our_certificates import OurCertificates
from controller.io.links.outgoing import Outgoing, close_words
from controller.io.links.patience import bound_silence
from controller.io.links.pinging import UpstreamSocket
from controller.io.links.pump import install, pumping
from controller.io.shell import Clock, Submit
from controller.io.tasks import end, spawn
from controller.link.admission import printable
from controller.orders import CloseUpstream, DialUpstream, InstallOwnCertificate, MakeSigningRequest, Order, SendUpstream

log = logging.getLogger(__name__)

OPEN_DEADLINE_S = 10.0
PING_S = 30.0  # a CSMS that stays silent is pinged after this time and given up half of it later
CLOSE_S = 2.0
MAX_FRAME_BYTES = 4 * 1024 * 1024
STOP_S = 0.8
UNACKNOWLEDGED_S = 30.0
"""A CSMS whose side acknowledges nothing of what we sent for so long is gone, even if words of it still come (F35, F39)."""
BAD_REQUEST = (400, 406, 426)
"""What some CSMSs answer to versions they do not know, instead of finishing the handshake without one."""
BARRED = (400, 401, 403, 495, 496)
"""What servers answer to a certificate, or the lack of one, that they do not like."""
ENDED_BY_PEER = (None, errno.ECONNRESET, errno.EPIPE, errno.ECONNABORTED)


class DialError(Exception):
    """The socket did not open. The text is one sentence for the event log. no_common_version, version_in_doubt, refused: see ``UpstreamClosed``.

    barred: it may be our certificate, or the lack of one, that the CSMS does not like.
    """

    def __init__(
        self, text: str, *, no_common_version: bool = False, version_in_doubt: bool = False, refused: bool = True, barred: bool = False
    ) -> None:
        super().__init__(text)
        self.refused = refused
        self.barred = barred
        self.no_common_version = no_common_version
        self.version_in_doubt = version_in_doubt


NOT_REFUSED = DialError("", refused=False)


@dataclass(slots=True)
class _Leg:
    """One dial and what became of it."""

    station_id: str
    mirror_id: str
    generation: int
    outgoing: Outgoing | None = None
    task: asyncio.Task[None] | None = None
    broken: str = ""
    reported: bool = False


class UpstreamShell:
    """The client. open_s: deadline of a dial [s]."""

    orders: tuple[type[Order], ...] = (DialUpstream, SendUpstream, CloseUpstream, MakeSigningRequest, InstallOwnCertificate)

    def __init__(self, config: Config, clock: Clock, submit: Submit, *, open_s: float = OPEN_DEADLINE_S, ping_s: float = PING_S) -> None:
        install()
        self._upstreams = {upstream.id: upstream for upstream in config.upstreams}
        self._clock = clock
        self._submit = submit
        self._open_s = open_s
        self._ping_s = ping_s
        self._http: aiohttp.ClientSession | None = None
        self._legs: dict[tuple[str, str], _Leg] = {}
        self._trusted: dict[str, ssl.SSLContext] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._certificates = OurCertificates(config, clock, submit)
        self._carriers: dict[type[Order], Callable[..., None]] = {
            DialUpstream: self._dial,
            SendUpstream: self._send,
            CloseUpstream: self._close,
            MakeSigningRequest: self._certificates.carry,
            InstallOwnCertificate: self._certificates.carry,
        }

    def carry(self, order: Order) -> None:
        """Dial, send, close, or care for our certificate; an order for a socket that is gone does nothing."""
        self._carriers[type(order)](order)

    async def start(self) -> None:
        """Make the client; nothing is dialled yet."""
        self._http = aiohttp.ClientSession(
            # The default limit of 100 would stop at 100 stations.
            connector=aiohttp.TCPConnector(limit=0, resolver=LastingResolver(lambda: self._clock.stamp().mono_s)),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None),
            middlewares=(_refuse_redirect,),
            ws_response_class=UpstreamSocket,
        )
        self._certificates.start()

    async def stop(self) -> None:
        """Close all sockets politely, then end what is left."""
        await self._certificates.stop()
        for leg in self._legs.values():
            if leg.outgoing is not None:
                leg.outgoing.close(1001, "controller is stopping")
            elif leg.task is not None:
                leg.task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=STOP_S)
            await end(self._tasks)
        if self._http is not None:
            await self._http.close()
            self._http = None

    def _dial(self, order: DialUpstream) -> None:
        key = (order.station_id, order.mirror_id)
        old = self._legs.get(key)
        if old is not None:
            self._end(old, "dialled anew")
            _hang_up(old)
        leg = _Leg(order.station_id, order.mirror_id, order.generation)
        self._legs[key] = leg
        leg.task = spawn(self._run(leg, order), f"upstream {order.upstream_id} of {order.station_id}")
        self._tasks.add(leg.task)
        leg.task.add_done_callback(self._tasks.discard)

    def _leg(self, order: SendUpstream | CloseUpstream) -> _Leg | None:
        leg = self._legs.get((order.station_id, order.mirror_id))
        return leg if leg is not None and leg.generation == order.generation else None

    def _send(self, order: SendUpstream) -> None:
        leg = self._leg(order)
        if leg is not None and leg.outgoing is not None:
            leg.outgoing.send(order.text)

    def _close(self, order: CloseUpstream) -> None:
        leg = self._leg(order)
        if leg is None:
            return
        if leg.outgoing is not None:
            leg.outgoing.close(1000, order.reason)
        else:
            _hang_up(leg)

    async def _run(self, leg: _Leg, order: DialUpstream) -> None:
        reason, refused = "closed by us", NOT_REFUSED
        try:
            socket = await self._open(leg, order)
            await self._certificates.let_in(order)
            reason = await self._talk(leg, socket)
        except DialError as error:
            reason, refused = str(error), error
            if error.barred:
                await self._certificates.kept_out(order, reason)
        except Exception:
            log.exception("upstream of station %s: internal error, the socket is closed", leg.station_id)
            reason = "internal error"
        finally:
            self._end(leg, leg.broken or reason, refused)
            key = (leg.station_id, leg.mirror_id)
            if self._legs.get(key) is leg:
                del self._legs[key]

    def _end(self, leg: _Leg, reason: str, refused: DialError | None = None) -> None:
        if not leg.reported:
            leg.reported = True
            error = refused or NOT_REFUSED
            sure, doubt = error.no_common_version, error.version_in_doubt
            self._submit(UpstreamClosed(self._clock.stamp(), leg.station_id, leg.generation, reason, sure, leg.mirror_id, doubt, error.refused))

    async def _open(self, leg: _Leg, order: DialUpstream) -> ClientWebSocketResponse:
        upstream = self._upstreams.get(order.upstream_id)
        if upstream is None or self._http is None:
            raise DialError(f"upstream {order.upstream_id} is not in the configuration")
        try:
            async with asyncio.timeout(self._open_s):
                socket = await self._connect(self._http, upstream, order)
        except TimeoutError:
            raise DialError(f"no answer within {self._open_s:g} s", refused=False) from None
        except aiohttp.WSServerHandshakeError as error:
            doubt, barred = error.status in BAD_REQUEST, error.status in BARRED
            raise DialError(_refusal(error), version_in_doubt=doubt, refused=error.status < 500, barred=barred) from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            barred, hint = _barred(error), ""
            if barred and upstream.certificate is not None:
                hint = "; it may not accept the certificate we show (upstreams.certificate)"
            denied = isinstance(error, aiohttp.ClientSSLError | ssl.SSLError) or bool(hint)
            raise DialError(f"cannot connect: {_trouble(error)}{hint}", refused=denied, barred=barred) from None
        if socket.protocol not in order.offered:
            text = f"the CSMS did not agree to {' or '.join(order.offered)}; it may speak another version only"
            refused = DialError(text, no_common_version=True)
            self._end(leg, text, refused)  # told before the goodbye: a station waits for it in its handshake
            await socket.close(code=1002, message=b"no common OCPP version")
            raise refused
        bound_silence(socket.get_extra_info("socket"), UNACKNOWLEDGED_S)
        return socket

    async def _connect(self, http: aiohttp.ClientSession, upstream: UpstreamConfig, order: DialUpstream) -> ClientWebSocketResponse:
        return await http.ws_connect(
            upstream_url(upstream.url, order.station_id, order.url_tail),
            protocols=order.offered,
            headers=_credentials(upstream, order),
            ssl=await self._tls(upstream, order.station_id),
            compress=15,
            heartbeat=self._ping_s,
            max_msg_size=MAX_FRAME_BYTES,
            timeout=ClientWSTimeout(ws_close=CLOSE_S),
        )

    async def _tls(self, upstream: UpstreamConfig, identity: str) -> ssl.SSLContext | bool:
        """What certificates are checked against: the configured CA and no other (F30), else the system's. And what we show."""
        if upstream.certificate is not None and upstream.url.startswith("wss:"):
            try:
                return await self._certificates.context(upstream, identity)
            except (CertificateError, OSError) as error:
                raise DialError(f"{error}; nothing was sent, check upstreams.certificate") from None
        if upstream.ca_file is None or not upstream.url.startswith("wss:"):
            return True
        known = self._trusted.get(upstream.id)
        if known is None:
            try:
                known = await asyncio.to_thread(ssl.create_default_context, cafile=str(upstream.ca_file))
            except (OSError, ValueError) as error:
                trouble = "it is no PEM file with certificates" if isinstance(error, ssl.SSLError) else getattr(error, "strerror", None) or str(error)
                raise DialError(f"its CA file {upstream.ca_file} cannot be used: {trouble}; nothing was sent, check upstreams.ca_file") from None
            self._trusted[upstream.id] = known
        return known

    async def _talk(self, leg: _Leg, socket: ClientWebSocketResponse) -> str:
        def broken(reason: str) -> None:
            leg.broken = reason
            _cut(socket)

        leg.outgoing = Outgoing(socket, broken)
        writer = spawn(leg.outgoing.run(), f"send to upstream of {leg.station_id}")
        try:
            self._submit(UpstreamOpened(self._clock.stamp(), leg.station_id, leg.generation, socket.protocol or "", leg.mirror_id))
            return await self._read(leg, socket)
        finally:
            if leg.outgoing.closing:
                await asyncio.wait([writer], timeout=CLOSE_S + 0.5)
            await end([writer])
            if not socket.closed:
                _cut(socket)
            if isinstance(socket, UpstreamSocket):
                socket.let_go()

    async def _read(self, leg: _Leg, socket: ClientWebSocketResponse) -> str:
        def at_once(text: str) -> bool:
            if leg.reported:
                return False
            self._submit(UpstreamFrame(self._clock.stamp(), leg.station_id, leg.generation, text, leg.mirror_id))
            return True

        with pumping(socket, at_once):
            return await self._receive(leg, socket)

    async def _receive(self, leg: _Leg, socket: ClientWebSocketResponse) -> str:
        while True:
            message = await socket.receive()
            if leg.reported:
                return "superseded"
            match message.type:
                case WSMsgType.TEXT:
                    self._submit(UpstreamFrame(self._clock.stamp(), leg.station_id, leg.generation, message.data, leg.mirror_id))
                case WSMsgType.CLOSE:
                    return f"closed by the CSMS ({close_words(message)})"
                case WSMsgType.ERROR:
                    return f"connection failed: {printable(str(message.data))}"
                case WSMsgType.BINARY:
                    log.info("upstream of station %s sent a binary message; ignored, OCPP-J messages are text", leg.station_id)
                case _:
                    return "closed by us" if leg.outgoing is not None and leg.outgoing.closing else "connection lost"


def upstream_url(base: str, station_id: str, url_tail: str = "") -> URL:
    """The URL to dial: base + "/" + percent-encoded identity, and the query the station itself sent (P4 6.2)."""
    root = URL(base)
    queries = [query for query in (root.raw_query_string, url_tail.partition("?")[2]) if query]
    query = "?" + "&".join(queries) if queries else ""
    path = root.raw_path.rstrip("/")
    return URL(f"{root.scheme}://{root.raw_authority}{path}/{quote(station_id, safe='')}{query}", encoded=True)


def _credentials(upstream: UpstreamConfig, order: DialUpstream) -> dict[str, str]:
    """The station's own password where the CSMS has given it one, else the configured one. Bytes that are no UTF-8 come as surrogate escapes."""
    configured = upstream.password.get_secret_value() if upstream.password is not None else None
    password = order.password if order.password is not None else configured
    if password is None:
        if upstream.password_file is not None:
            raise DialError("its password file cannot be read; check upstreams.password_file and its permissions")
        return {}
    pair = f"{order.station_id}:{password}"
    return {hdrs.AUTHORIZATION: "Basic " + base64.b64encode(pair.encode("utf-8", "surrogateescape")).decode("ascii")}


async def _refuse_redirect(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """aiohttp would follow a redirect anywhere, from wss to plain ws too: what stations say would leave in clear text (F30)."""
    answer = await handler(request)
    if 300 <= answer.status < 400:
        answer.close()
        raise DialError(f"the CSMS redirects (HTTP {answer.status}), which is not followed; put its new address into upstreams.url")
    return answer


def _barred(error: Exception) -> bool:
    """Whether the other side is there and has ended the connection: it may not like our certificate. Some send an alert, some only hang up."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientConnectorDNSError | ValueError):
        return False
    system = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    return not isinstance(system, OSError) or isinstance(system, ssl.SSLError) or system.errno in ENDED_BY_PEER


def _trouble(error: Exception) -> str:
    """Why there is no connection, in words a person can act on."""
    match error:
        case aiohttp.ClientConnectorCertificateError():
            found = getattr(error.certificate_error, "verify_message", "") or str(error.certificate_error)
            return f"its certificate is not accepted ({found[:100]}); nothing was sent"
        case aiohttp.ClientSSLError():
            return f"TLS failed ({error.os_error.strerror or type(error.os_error).__name__}); nothing was sent"
        case aiohttp.ClientConnectorDNSError():
            return f"the name {error.host} cannot be resolved; check upstreams.url and the name server"
        case aiohttp.ClientConnectorError():
            return f"{error.host}:{error.port}: {error.os_error.strerror or error.os_error}"
        case _:
            return printable(str(error) or type(error).__name__)


def _refusal(error: aiohttp.WSServerHandshakeError) -> str:
    if error.status in (101, 200):
        return f"it answered HTTP {error.status} but no valid WebSocket handshake; is upstreams.url the OCPP address?"
    hints = {
        401: "it wants another password for this identity; check upstreams.password",
        403: "it forbids this identity",
        404: "it does not know this identity, or upstreams.url is wrong",
    }
    hint = hints.get(error.status, "")
    return f"the CSMS refused the connection with HTTP {error.status}" + (f": {hint}" if hint else "")


def _hang_up(leg: _Leg) -> None:
    if leg.outgoing is not None:
        leg.outgoing.close(1000, "superseded")
    elif leg.task is not None:
        leg.task.cancel()


def _cut(socket: ClientWebSocketResponse) -> None:
    """End a connection whose peer does not read. Closing the transport would wait for its buffer to drain."""
    raw = socket.get_extra_info("socket")
    if raw is not None:
        with suppress(OSError):
            raw.shutdown(sockets.SHUT_RDWR)
