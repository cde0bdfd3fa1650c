"""Subscriptions of an IEEE 2030.5 server (8.6 of the standard), where it offers them and the site file says how it can reach us.

A Notification is a hint to poll, and nothing in it is believed: the server is asked for none of the content (limit 0), and polling goes on as the
floor. It comes over mutual TLS, to an address that only the server was told. Subscriptions are looked at again as often as what is assigned to
us, as servers forget; those that an earlier run left behind are deleted.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable, Iterable
from typing import Final

from aiohttp import web
from yarl import URL

from controller.certificates import add_pair, add_trust
from controller.config_signals import Ieee20305Signal
from controller.io.clock import fresh_seed
from controller.io.signals.ieee2030_5_http import Http, ServerError
from controller.io.signals.ieee2030_5_tls import CIPHERS, LEGACY_CIPHERS
from signals import csip_resources as resources
from signals.csip_documents import subscription
from signals.csip_xml import CONTENT_TYPE, MOST_BYTES, XmlError

log = logging.getLogger(__name__)

LOOK_AGAIN_S: Final = 900.0
AGAIN_S: Final = 60.0
MOST_SUBSCRIPTIONS: Final = 60


class Door:
    """Where the server calls. called: a resource changed; cancelled: a subscription of ours is no more. Raises CertificateError when made."""

    def __init__(self, entry: Ieee20305Signal, called: Callable[[], None], cancelled: Callable[[], None]) -> None:
        assert entry.notify_url is not None
        base = URL(entry.notify_url)
        self.base = str(base).rstrip("/") + "/"
        self.uri = self.base + fresh_seed()[:32]
        self._called, self._cancelled = called, cancelled
        self._where = entry.notify_host, entry.door
        self._context = _context(entry)
        self._runner: web.AppRunner | None = None
        self.trouble = ""

    async def start(self) -> None:
        """Listen. A port that is taken is told, and tried again with the next look."""
        if self._runner is not None:
            return
        app = web.Application(client_max_size=MOST_BYTES)
        app.router.add_post(URL(self.uri).path, self._notified)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        await runner.setup()
        try:
            await web.TCPSite(runner, *self._where, ssl_context=self._context).start()
        except OSError as error:
            await runner.cleanup()
            self.trouble = f"notifications cannot come, as {self._where[0]}:{self._where[1]} cannot be listened on ({error.strerror}); we poll"
            return
        self._runner, self.trouble = runner, ""

    @property
    def open(self) -> bool:
        """Whether it listens."""
        return self._runner is not None

    async def stop(self) -> None:
        """Let go of the port."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    async def _notified(self, request: web.Request) -> web.Response:
        """204 for a Notification, 400 for what is none, 415 for what is no XML of the standard."""
        if request.content_type not in (CONTENT_TYPE, "application/xml", "text/xml"):
            return web.Response(status=415)
        try:
            said = resources.notification(await request.read())
        except XmlError as error:
            return web.Response(status=400, text=str(error))
        if said.status != 0:
            self._cancelled()
        self._called()
        return web.Response(status=204)


class Subscriptions:
    """Ours on the server. trouble: why it does not call us, for people; "" = it does, or offers nothing to subscribe to."""

    def __init__(self, http: Http, door: Door) -> None:
        self._http, self._door = http, door
        self._known: dict[str, URL | None] = {}
        self._wanted: tuple[str, ...] = ()
        self._due_mono_s = float("-inf")
        self.trouble = ""

    def forget(self) -> None:
        """Look again soon: the server has been away, or has cancelled one."""
        self._due_mono_s = float("-inf")

    async def keep(self, place: URL | None, wanted: Iterable[str], mono_s: float) -> None:
        """See to it that these resources are subscribed to. place: of the SubscriptionList, None = the server has none. Never raises."""
        names = tuple(dict.fromkeys(wanted))[:MOST_SUBSCRIPTIONS]
        if place is None or (mono_s < self._due_mono_s and names == self._wanted):
            return
        self._wanted, self._due_mono_s = names, mono_s + LOOK_AGAIN_S
        await self._door.start()
        if not self._door.open:
            self.trouble, self._due_mono_s = self._door.trouble, mono_s + AGAIN_S
            return
        try:
            await self._renew(place, names)
            self.trouble = ""
        except (ServerError, XmlError) as error:
            self.trouble, self._due_mono_s = f"the server does not take our subscriptions, we poll ({error})", mono_s + AGAIN_S

    async def _renew(self, place: URL, names: tuple[str, ...]) -> None:
        known: dict[str, URL | None] = {}
        for one in await self._listed(place):
            there = self._http.at(place, one.href) if one.href is not None else None
            if one.uri == self._door.uri and one.resource in names and one.resource not in known:
                known[one.resource] = there
            elif one.uri.startswith(self._door.base) and there is not None:
                await self._http.send("DELETE", there, None)
        self._known = known
        for name in names:
            if name not in known:
                done = await self._http.send("POST", place, subscription(name, self._door.uri))
                known[name] = done.location

    async def _listed(self, place: URL) -> tuple[resources.Subscribed, ...]:
        """Those there. A server that shows none is told of what we know to be there no second time."""
        try:
            return (await self._http.pages(place, resources.subscriptions)).items
        except ServerError as error:
            if error.status in (403, 404, 405, 501):
                return tuple(resources.Subscribed(str(at) if at else None, name, self._door.uri) for name, at in self._known.items())
            raise

    async def close(self) -> None:
        """Give them back, as far as the server is there."""
        for there in self._known.values():
            if there is not None:
                try:
                    await self._http.send("DELETE", there, None)
                except ServerError:
                    log.debug("a subscription is left behind at %s", there.path)
        self._known.clear()


def _context(entry: Ieee20305Signal) -> ssl.SSLContext:
    """Both sides show certificates of the same world; ours is the device's own."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_REQUIRED
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(LEGACY_CIPHERS if entry.ca_legacy_tls else CIPHERS)
    add_pair(context, entry.cert_file, entry.key_file, f"the signal {entry.id}")
    add_trust(context, entry.ca_file, f"the signal {entry.id}")
    return context
