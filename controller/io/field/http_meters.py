"""Shell: meters that are asked over HTTP and answer JSON (Shelly, Tasmota, anything with fields by path).

One task and one session per device. A poll begins only when the one before is over, each has a deadline
for everything together, answers are read up to a bound, redirects are not followed: a meter that moves is
a matter for its owner. Devices that keep failing are asked less often, but never less than every ten
seconds. The first 401 tells whether the device wants Digest (Shelly, Generation 2 and later) or Basic.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from functools import partial
from pathlib import Path
from urllib.parse import quote, urlsplit

import aiohttp
from pydantic import SecretStr
from yarl import URL

from controller.config import Config, HttpSource
from controller.facts import MeterFailed, MeterRead
from controller.io.field.meter_desk import MAX_BYTES, MeterDesk, usable
from controller.io.http_answers import TooLongError, body_of
from controller.io.shell import Clock, Submit
from controller.io.tasks import end, keep
from controller.orders import Order

log = logging.getLogger(__name__)

BACKOFF_MAX_S = 10.0
RETRY_SETTINGS_S = 60.0
"""Wrong credentials are tried again this seldom: devices lock out who knocks too often [s]."""
FORGET_AFTER = 5
"""Polls in a row that fail until the way to ask is looked for anew."""
SHELLY_WAYS = ("/rpc/Shelly.GetStatus", "/status", "/rpc/EM.GetStatus?id=0")
TASMOTA_WAYS = ("/cm?cmnd=Status%2010", "/cm?cmnd=Status%208")


class AskError(Exception):
    """A device could not be asked. wait_s: no sooner again [s]. status: of the answer, 0 = there was none."""

    def __init__(self, text: str, status: int = 0, wait_s: float = 0.0) -> None:
        super().__init__(text)
        self.status = status
        self.wait_s = wait_s


class HttpMeter:
    """One device: its session, the address that works, its credentials."""

    def __init__(self, source: HttpSource, desk: MeterDesk) -> None:
        self.source, self.desk = source, desk
        self._where = f"{urlsplit(source.url).scheme}://{urlsplit(source.url).netloc.rpartition('@')[2]}"  # never with a password
        self._way: str | None = None
        self._session: aiohttp.ClientSession | None = None
        self._basic = False
        self._failures = 0

    async def poll(self) -> tuple[MeterRead | MeterFailed | None, float]:
        """One reading and how long to leave the device in peace beyond its usual time [s]. Never raises what a device can cause."""
        try:
            async with asyncio.timeout(self.source.timeout_s):
                fact = await self._ask()
        except TimeoutError:
            return self._failed(AskError(f"{self._where} did not answer within {self.source.timeout_s:g} s"))
        except AskError as error:
            return self._failed(error)
        except (aiohttp.ClientError, OSError, ssl.SSLError, ValueError) as error:
            return self._failed(AskError(f"{self._where} cannot be asked ({_reason(error)})"))
        if isinstance(fact, MeterFailed):
            return fact, self._rest()
        if usable(fact):
            self._failures = 0
        return fact, 0.0

    async def close(self) -> None:
        """Let go of the connection."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    # -- asking --------------------------------------------------------------------------------------

    async def _ask(self) -> MeterRead | MeterFailed | None:
        if self._way is not None:
            return self.desk.read(await self._get(self._way))
        fact: MeterRead | MeterFailed | None = None
        missing: AskError | None = None
        for way in ways(self.source):
            try:
                fact = self.desk.read(await self._get(way))
            except AskError as error:
                if error.status not in (400, 404, 405, 500, 501):
                    raise
                missing = error
                continue
            if isinstance(fact, MeterRead):
                self._way = way
                return fact
        if fact is None and missing is not None:
            raise missing
        return fact or self.desk.failed(f"{self._where} answers, but shows neither power nor current")

    async def _get(self, way: str) -> bytes:
        """The body of an answer. Raises AskError, aiohttp.ClientError, OSError."""
        session = self._session or self._open()
        url = URL(way if "://" in way else self.source.url.rstrip("/") + way, encoded=True)
        for _ in (1, 2):
            async with session.get(url, headers=self._headers(), allow_redirects=False) as answer:
                if answer.status == 200:
                    return await self._body(answer)
                asks_basic = answer.status == 401 and "basic" in answer.headers.get("WWW-Authenticate", "").lower()
            if not asks_basic or self._basic or not self._named():
                break
            self._basic = True
        if answer.status in (401, 403):
            raise AskError(f"{self._where} refuses us ({answer.status}); check user name and password", answer.status, RETRY_SETTINGS_S)
        raise AskError(f"{self._where} answers with status {answer.status}", answer.status)

    async def _body(self, answer: aiohttp.ClientResponse) -> bytes:
        try:
            return await body_of(answer, MAX_BYTES)
        except TooLongError as error:
            raise AskError(f"{self._where} answers with {error}; this is no meter's answer") from None

    def _open(self) -> aiohttp.ClientSession:
        """The session. Digest answers a challenge only; without one the name stays here."""
        source, named = self.source, self._named()
        digest = (aiohttp.DigestAuthMiddleware(named, _secret(source.password, source.password_file)),) if named else ()
        tls = ssl.create_default_context(cafile=str(source.ca_file) if source.ca_file else None) if source.url.startswith("https:") else True
        connector = aiohttp.TCPConnector(ssl=tls, limit=1)
        self._session = aiohttp.ClientSession(
            connector=connector, timeout=aiohttp.ClientTimeout(total=None), middlewares=digest, cookie_jar=aiohttp.DummyCookieJar()
        )
        return self._session

    def _named(self) -> str:
        """The user a password belongs to; Shelly and Tasmota know only "admin"."""
        source = self.source
        has_password = source.password is not None or source.password_file is not None
        return source.username or ("admin" if has_password else "")

    def _headers(self) -> dict[str, str]:
        source = self.source
        headers = {"Accept": "application/json"}
        if source.token is not None or source.token_file is not None:
            headers["Authorization"] = f"Bearer {_secret(source.token, source.token_file)}"
        elif self._basic:
            headers["Authorization"] = aiohttp.encode_basic_auth(self._named(), _secret(source.password, source.password_file))
        return headers

    # -- failing --------------------------------------------------------------------------------------

    def _failed(self, error: AskError) -> tuple[MeterFailed, float]:
        rest_s = self._rest()
        return self.desk.failed(str(error)), max(error.wait_s, rest_s)

    def _rest(self) -> float:
        """How long a device that keeps failing is left alone [s]; it may have been changed, so the way to ask it is looked for anew."""
        self._failures += 1
        if self._failures % FORGET_AFTER == 0:
            self._way = None
        return 0.0 if self._failures < 2 else min(BACKOFF_MAX_S, 2.0 ** (self._failures - 2))


class HttpMetersShell:
    """Polls every HTTP meter of the site."""

    orders: tuple[type[Order], ...] = ()

    def __init__(self, config: Config, clock: Clock, submit: Submit) -> None:
        self._submit = submit
        self._meters = [
            HttpMeter(meter.source, MeterDesk(config, meter, meter.source, clock)) for meter in config.meters if isinstance(meter.source, HttpSource)
        ]
        self._tasks: list[asyncio.Task[None]] = []

    def carry(self, order: Order) -> None:
        """Takes no orders."""

    async def start(self) -> None:
        """Begin polling; a device that is away, or a password file that cannot be read, is told as a fact."""
        self._tasks = [keep(partial(self._watch, meter), f"meter {meter.desk.meter_id}") for meter in self._meters]

    async def stop(self) -> None:
        """Stop polling and close the connections."""
        await end(self._tasks)
        await asyncio.gather(*(meter.close() for meter in self._meters), return_exceptions=True)

    async def _watch(self, meter: HttpMeter) -> None:
        """Poll on the beat for ever. A beat that was missed is skipped, not made up for."""
        loop = asyncio.get_running_loop()
        beat_s, period_s = loop.time(), meter.source.poll_s
        while True:
            fact, rest_s = await meter.poll()
            if fact is not None:
                self._submit(fact)
            earliest_s = loop.time() + rest_s
            beat_s += period_s * max(1.0, -(-(earliest_s - beat_s) // period_s))
            await asyncio.sleep(beat_s - loop.time())


def ways(source: HttpSource) -> tuple[str, ...]:
    """What to ask, best first: the address as it is, or for a bare ``http://device`` the device's own addresses.

    Tasmota takes its password in the query only (its documentation of web requests), so it goes there.
    """
    parts = urlsplit(source.url)
    if source.format not in ("tasmota", "shelly") or parts.path.strip("/") or parts.query:
        return (source.url,)
    if source.format == "shelly":
        return SHELLY_WAYS
    secret = _secret(source.password, source.password_file) if source.password or source.password_file else ""
    login = f"&user={quote(source.username or 'admin', safe='')}&password={quote(secret, safe='')}" if secret else ""
    return tuple(way + login for way in TASMOTA_WAYS)


def _secret(value: SecretStr | None, file: Path | None) -> str:
    """Raises OSError when the file cannot be read."""
    if file is not None:
        return file.read_text(encoding="utf-8").strip()
    return "" if value is None else value.get_secret_value()


def _reason(error: Exception) -> str:
    """Short, and never with the address: it may hold a password."""
    if isinstance(error, aiohttp.ClientConnectorError):
        return error.os_error.strerror or type(error.os_error).__name__
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    return type(error).__name__
