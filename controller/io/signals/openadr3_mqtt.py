"""The MQTT notifier of OpenADR 3.1: where the server offers a broker, what it announces there makes us poll at once.

As with the webhook nothing in a message is believed, and polling goes on: a broker that is away, that refuses us, or a server without topics for
us is told about and costs only time. The connection is made anew with each look, so that a token that has ended is replaced.
"""

from __future__ import annotations

import asyncio
import logging
import os
import ssl
import tempfile
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from paho.mqtt.enums import CallbackAPIVersion

from controller.config_signals import OpenAdr3Signal
from controller.io.clock import fresh_seed
from controller.io.mqtt.caller import Caller, in_thread, leave
from controller.io.signals.openadr3_http import Vtn, VtnError
from signals.openadr3_notifiers import CLIENT, Binding, Broker, Login, binding, topic_paths, topics
from signals.openadr_plain import Refused

log = logging.getLogger(__name__)

LOOK_AGAIN_S: Final = 600.0
AGAIN_S: Final = (5.0, 300.0)
"""Between two tries to reach a broker."""
KEEPALIVE_S: Final = 30
CONNECT_S: Final = 10.0
CLOSE_S: Final = 0.5
MOST_PROGRAMS: Final = 20
MOST_TOPICS: Final = 100


class Announcements:
    """One server's broker. called: what happens at each message, on the loop. note: what is wrong, for people; "" = nothing."""

    def __init__(self, entry: OpenAdr3Signal, called: Callable[[], None]) -> None:
        self._entry, self._called = entry, called
        self.note = ""
        self._link: Link | None = None
        self._looked_mono_s: float | None = None
        self._again_mono_s = float("-inf")
        self._failures = 0

    @property
    def listening(self) -> bool:
        """Whether the broker has taken our subscriptions."""
        return self._link is not None and self._link.listening

    def forget(self) -> None:
        """The server has been away: what it offers is looked up anew."""
        self._looked_mono_s = None

    async def look(self, vtn: Vtn, ven_id: str | None, program_ids: Iterable[str], mono_s: float) -> None:
        """See to it that we listen, if the server offers it. Raises VtnError when the server is away."""
        why = self._link.trouble if self._link is not None else ""
        if why:
            await self._lost(why, mono_s)
        due = self._looked_mono_s is None or mono_s - self._looked_mono_s >= LOOK_AGAIN_S
        broken = self._link is None and self._failures > 0
        if not (due or broken) or mono_s < self._again_mono_s:
            return
        self._looked_mono_s = mono_s
        try:
            await self._listen(vtn, ven_id, [*program_ids][:MOST_PROGRAMS])
        except (Refused, OSError, ValueError) as error:
            await self._lost(str(error), mono_s)
        except VtnError as error:
            self._looked_mono_s = None
            if not error.final and error.status not in (200, 401, 403):
                raise
            await self._lost(str(error), mono_s)

    async def _listen(self, vtn: Vtn, ven_id: str | None, program_ids: list[str]) -> None:
        """Connect, if what the server says has changed. Raises VtnError, Refused, OSError, ValueError."""
        offered = binding(await _offered(vtn), vtn.url.startswith("https://"))
        if offered is None:
            await self.close()
            self.note, self._failures = "", 0
            return
        wanted = await _topics(vtn, ven_id, program_ids)
        if not wanted:
            raise Refused("it names no topics to us")
        if self._link is not None and self._link.same(offered, wanted):
            return
        await self.close()
        user, password = await self._secrets(vtn, offered.login)
        place = offered.brokers[self._failures % len(offered.brokers)]
        self._link = Link(offered, wanted, self._called)
        await self._link.begin(place, self._entry.ca_file, user, password)

    async def _secrets(self, vtn: Vtn, login: Login) -> tuple[str | None, str | None]:
        if login.method != "OAUTH2_BEARER_TOKEN":
            return None, None
        user = login.username
        if user == CLIENT:
            if self._entry.oauth is None:
                raise Refused("it wants the client id as user name, and the site file has no oauth.client_id")
            user = self._entry.oauth.client_id
        return user, await vtn.token()

    async def _lost(self, why: str, mono_s: float) -> None:
        await self.close()
        self._failures += 1
        self._again_mono_s = mono_s + min(AGAIN_S[1], AGAIN_S[0] * 2.0 ** min(10, self._failures - 1))
        self.note = f"the server's MQTT notifier is not used, we poll as before: {why}"

    def heard(self) -> None:
        """The broker has taken our subscriptions: after a poll that saw it, all is well."""
        if self.listening:
            self.note, self._failures = "", 0

    async def close(self) -> None:
        """Let go of the broker, within a second."""
        link, self._link = self._link, None
        if link is not None:
            await link.end()


async def _offered(vtn: Vtn) -> Any:
    """Raises VtnError; a server without the resource offers nothing."""
    try:
        return await vtn.get("/notifiers")
    except VtnError as error:
        if error.final:
            return {}
        raise


async def _topics(vtn: Vtn, ven_id: str | None, program_ids: Iterable[str]) -> tuple[str, ...]:
    """Those the server names to us. What it keeps to others is left out. Raises VtnError, Refused."""
    found: list[str] = []
    for path in topic_paths(ven_id, program_ids):
        try:
            found += topics(await vtn.get(path))
        except VtnError as error:
            if not error.final and error.status not in (401, 403):
                raise
    return tuple(dict.fromkeys(found))[:MOST_TOPICS]


class Link:
    """One connection to a broker, made once: when it is lost the next look makes another. trouble: why it is of no use, "" = it is, or may be."""

    def __init__(self, offered: Binding, wanted: tuple[str, ...], called: Callable[[], None]) -> None:
        self._offered, self._wanted, self._called = offered, wanted, called
        self.listening, self.trouble = False, ""
        self._client: Caller | None = None
        self._loop = asyncio.get_running_loop()
        self._pending = threading.Event()

    def same(self, offered: Binding, wanted: tuple[str, ...]) -> bool:
        """Whether it is what the server offers now."""
        return not self.trouble and (self._offered, self._wanted) == (offered, wanted)

    async def begin(self, place: Broker, ca_file: Path | None, user: str | None, password: str | None) -> None:
        """Dial. Raises OSError, ValueError when certificates cannot be used."""
        client = Caller(CallbackAPIVersion.VERSION2, client_id=f"yardmaster-{fresh_seed()[:12]}", clean_session=True, reconnect_on_failure=False)
        client.suppress_exceptions = True
        client.connect_timeout = CONNECT_S
        if place.safe:
            client.tls_set_context(await asyncio.to_thread(_context, ca_file, self._offered.login))
        if user is not None:
            client.username_pw_set(user, password)
        self._wire(client)
        self._client = client
        client.connect_async(place.host, place.port, keepalive=KEEPALIVE_S)
        client.loop_start()

    def _wire(self, client: Caller) -> None:
        """Callbacks come on paho's thread and only hand over."""

        def hand_over(job: Callable[[], None]) -> None:
            with suppress(RuntimeError):  # the loop is closed: we are shutting down
                self._loop.call_soon_threadsafe(lambda: job() if self._client is client else None)

        def on_connect(_client: Any, _userdata: Any, _flags: Any, reason: Any, _properties: Any) -> None:
            if reason.is_failure:
                words = str(reason)
                return hand_over(lambda: self._lose(f"its broker refuses us: {words}"))
            client.subscribe([(topic, 1) for topic in self._wanted])
            return None

        def on_subscribe(_client: Any, _userdata: Any, _number: int, reasons: Any, _properties: Any) -> None:
            if all(reason.is_failure for reason in reasons):
                return hand_over(lambda: self._lose("its broker lets us subscribe to none of the topics the server named"))
            return hand_over(self._taken)

        def on_message(_client: Any, _userdata: Any, _message: Any) -> None:
            if not self._pending.is_set():  # a thousand of them are one reason to look
                self._pending.set()
                hand_over(self._announced)

        client.on_connect, client.on_subscribe, client.on_message = on_connect, on_subscribe, on_message
        client.on_connect_fail = lambda _client, _userdata: hand_over(lambda: self._lose(f"its broker cannot be reached ({client.why})"))
        client.on_disconnect = lambda *_words: hand_over(lambda: self._lose("the connection to its broker ended"))

    def _taken(self) -> None:
        self.listening = True
        self._called()  # what was announced before is not announced again

    def _announced(self) -> None:
        self._pending.clear()
        self._called()

    def _lose(self, why: str) -> None:
        self.trouble, self.listening = self.trouble or why, False
        self._called()

    async def end(self) -> None:
        """Leave. paho may hang in a dead connect: we do not wait for that."""
        client, self._client = self._client, None
        self.listening = False
        if client is None:
            return
        await in_thread(lambda: leave(client), CLOSE_S)


def _context(ca_file: Path | None, login: Login) -> ssl.SSLContext:
    """TLS as the server says, or the site file. Raises OSError, ValueError (SSLError is both)."""
    if login.method != "CERTIFICATE":
        return ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))
    context = ssl.create_default_context(cadata=login.ca)
    handle, name = tempfile.mkstemp(prefix="yardmaster-")  # ssl reads a key from a file only; this one is ours alone and lives for a moment
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(f"{login.cert.strip()}\n{login.key.strip()}\n")
        context.load_cert_chain(name)
    except (ssl.SSLError, UnicodeError):
        raise ValueError("the certificate and key that the server gives us for its broker cannot be used") from None
    finally:
        Path(name).unlink(missing_ok=True)
    return context
