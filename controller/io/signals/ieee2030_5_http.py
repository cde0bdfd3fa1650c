"""HTTP towards an IEEE 2030.5 server: one request at a time, bounded, on one server only.

Links are followed relative to the document they stand in, and only to the server of the site file: a document cannot send us, and our
certificate, elsewhere. Redirects are followed a few times under the same rule (2030.5 clause 5).
"""

from __future__ import annotations

import math
import ssl
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

import aiohttp
from yarl import URL

from controller.config_signals import Ieee20305Signal
from controller.io.http_answers import body_of, retry_after_s
from controller.io.signals.ieee2030_5_tls import client_context
from signals.csip_resources import MOST_LIST, Item, Page, whole
from signals.csip_xml import CONTENT_TYPE, MOST_BYTES, XmlError

TIMEOUT: Final = aiohttp.ClientTimeout(total=30.0, sock_connect=10.0)
MOST_HOPS: Final = 4
PAGE_ITEMS: Final = 50
MOST_PAGES: Final = 100
LONGEST_RETRY_S: Final = 3600.0
HEADERS: Final = {"Accept": CONTENT_TYPE, "Accept-Encoding": "identity", "User-Agent": "Yardmaster"}
"""Packed answers are not asked for. A server that packs all the same is read within the same bounds: a few bytes could become a gigabyte."""
NEVER_SENT: Final = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL)
"""Failures before there was a connection."""
PACKED: Final = {"gzip": 31, "x-gzip": 31, "deflate": 15}


class ServerError(Exception):
    """A request came to nothing. The text is a clause for a person. status: of HTTP, 0 = no answer. retry_s: the server asks us to wait.
    arrived: it may have got to the server, which may have done what was asked."""

    def __init__(self, text: str, status: int = 0, retry_s: float | None = None, arrived: bool = False) -> None:
        super().__init__(text)
        self.status = status
        self.retry_s = retry_s
        self.arrived = arrived or status in (500, 502, 504)

    @property
    def gone(self) -> bool:
        """The resource is not there: what led to it is to be read anew."""
        return self.status in (404, 410)


class AstrayError(ServerError):
    """A link leads elsewhere or nowhere: asking again changes nothing."""


@dataclass(frozen=True, slots=True)
class Got:
    """A document and where it was."""

    url: URL
    body: bytes


@dataclass(frozen=True, slots=True)
class Done:
    """A request that changed something there. location: of what was made."""

    status: int
    location: URL | None


class Http:
    """Requests to one server. Raises CertificateError when made, ServerError when used."""

    def __init__(self, entry: Ieee20305Signal) -> None:
        self.root = URL(entry.url, encoded=True)
        self._context = client_context(entry, self.root.host or "")
        self._session: aiohttp.ClientSession | None = None
        self._single: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Let go of the connection."""
        sessions, self._session, self._single = (self._session, self._single), None, None
        for session in sessions:
            if session is not None:
                await session.close()

    def at(self, base: URL, href: str) -> URL:
        """Where a link leads. Raises AstrayError when it leaves the server."""
        try:
            url = base.join(URL(href, encoded=True))
            same = _place(url) == _place(self.root)
        except ValueError:
            raise AstrayError(f"the server gave {href[:80]!r} as an address, which is none") from None
        if not same:
            raise AstrayError(f"the server sent us to another one ({url.host}); links are followed on {self.root.host} only")
        return self._here(url)

    def _here(self, url: URL) -> URL:
        """The same path on the server as the site file calls it."""
        return URL(f"{self.root.origin()}{url.raw_path_qs}", encoded=True)  # not joined: a path may begin with //, which would be a host

    def _made(self, base: URL, place: str) -> URL | None:
        """Where what we made is. A server behind a front may name itself as it is called inside: then the same path on the one we know counts."""
        try:
            return self._here(base.join(URL(place, encoded=True)))
        except ValueError:
            return None

    async def get(self, url: URL) -> Got:
        """Read a resource."""
        for _ in range(MOST_HOPS):
            status, headers, body = await self._request("GET", url)
            if status in (301, 302, 303, 307, 308) and "Location" in headers:
                url = self.at(url, headers["Location"])
                continue
            if status == 204:
                raise ServerError(f"{url.path} is empty (204)", 404)
            if status != 200:
                raise _refusal("GET", url, status, headers)
            _check_type(url, headers.get("Content-Type", ""))
            return Got(url, body)
        raise ServerError(f"{self.root.host} sends us round in circles from {url.path}")

    async def send(self, method: str, url: URL, body: bytes | None, once: bool = False) -> Done:
        """POST or PUT a document, or DELETE. once: on a connection of its own, as one that the server is about to close leaves us in doubt."""
        for _ in range(MOST_HOPS):
            status, headers, _ = await self._request(method, url, body, once)
            if status in (301, 302, 307, 308) and "Location" in headers:
                url = self.at(url, headers["Location"])
                continue
            if status not in (200, 201, 202, 204):
                raise _refusal(method, url, status, headers)
            return Done(status, self._made(url, headers["Location"]) if "Location" in headers else None)
        raise ServerError(f"{self.root.host} sends us round in circles from {url.path}")

    async def _request(self, method: str, url: URL, body: bytes | None = None, once: bool = False) -> tuple[int, Mapping[str, str], bytes]:
        headers = {"Content-Type": CONTENT_TYPE} if body is not None else None
        try:
            async with self._opened(once).request(method, url, data=body, headers=headers, allow_redirects=False) as response:
                return response.status, response.headers, _unpacked(await body_of(response, MOST_BYTES), response.headers.get("Content-Encoding", ""))
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
            raise ServerError(self._why(error), arrived=not isinstance(error, NEVER_SENT)) from None

    def _opened(self, once: bool) -> aiohttp.ClientSession:
        known = self._single if once else self._session
        if known is not None:
            return known
        connector = aiohttp.TCPConnector(ssl=self._context, limit=1 if once else 4, force_close=once)
        made = aiohttp.ClientSession(
            connector=connector, timeout=TIMEOUT, headers=HEADERS, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False
        )
        if once:
            self._single = made
        else:
            self._session = made
        return made

    def _why(self, error: BaseException) -> str:
        where = f"{self.root.host}:{self.root.port}"
        if isinstance(error, aiohttp.ClientConnectorCertificateError | ssl.SSLCertVerificationError):
            return f"the certificate of {where} is not trusted ({_last(error)}); check ca_file and the address"
        cut = isinstance(getattr(error, "os_error", None), ConnectionResetError | BrokenPipeError)  # how some servers turn a certificate down
        if cut or isinstance(error, aiohttp.ClientSSLError | ssl.SSLError):
            return f"no TLS with {where} ({_last(error)}); does it know our certificate, does it speak the ciphers of 2030.5 (ca_legacy_tls)?"
        if isinstance(error, TimeoutError):
            return f"{where} did not answer in time"
        return f"{where} cannot be reached ({_last(error)})"

    async def pages(self, url: URL, decode: PageDecoder[Item]) -> Page[Item]:
        """A whole list, page by page (2030.5 4.6: s first item, l how many). A list that changes meanwhile is read again, else refused."""
        for _ in range(3):
            pages = await self._pages(url, decode)
            if pages is not None:
                return whole(pages)
        raise ServerError(f"the list {url.path} changes while it is read")

    async def _pages(self, url: URL, decode: PageDecoder[Item]) -> list[Page[Item]] | None:
        pages: list[Page[Item]] = []
        seen = 0
        while len(pages) < MOST_PAGES:
            page = decode((await self.get(paged(url, seen))).body)
            if pages and page.all != pages[0].all:
                return None
            if pages and page.items and page.items == pages[-1].items:
                raise XmlError(f"the list {url.path} has {page.all} items but gives the same {page.results} again and again")
            pages.append(page)
            seen += page.results
            if seen >= page.all:
                return pages if seen == page.all else None
            if page.results == 0:
                raise XmlError(f"the list {url.path} has {page.all} items but gives only {seen}")
        raise XmlError(f"the list {url.path} has more than {min(MOST_LIST, MOST_PAGES)} pages")


def _place(url: URL) -> tuple[str, str, int | None]:
    """Scheme, host and port: the usual port may be written out, and names have no case (RFC 3986 6.2.2)."""
    return url.scheme.lower(), (url.raw_host or "").lower().rstrip("."), url.port


def paged(url: URL, first: int) -> URL:
    """A part of a list. What the server has put into the address's query stays letter for letter."""
    own = [part for part in url.raw_query_string.split("&") if part and part.partition("=")[0] not in ("s", "l")]
    return URL(f"{str(url).partition('?')[0]}?{'&'.join([*own, f's={first}', f'l={PAGE_ITEMS}'])}", encoded=True)


class PageDecoder(Protocol[Item]):
    """Makes a page of a document. Raises XmlError."""

    def __call__(self, body: bytes) -> Page[Item]: ...


def _unpacked(body: bytes, coding: str) -> bytes:
    """The body as it was before the server packed it. Raises ValueError."""
    name = coding.strip().lower()
    if not body or name in ("", "identity"):
        return body
    if name not in PACKED:
        raise ValueError(f"its answer is packed as {name[:40]!r}, which was not asked for")
    unpacker = zlib.decompressobj(PACKED[name])
    try:
        plain = unpacker.decompress(body, MOST_BYTES + 1)
    except zlib.error:
        raise ValueError(f"its answer says it is packed as {name}, but is not") from None
    if len(plain) > MOST_BYTES or not unpacker.eof:
        raise ValueError(f"its answer is cut, or longer than {MOST_BYTES} bytes")
    return plain


def _check_type(url: URL, kind: str) -> None:
    """sep+xml, or what careless servers call it, or no name at all: the reader judges. EXI we do not speak and do not ask for."""
    name = kind.partition(";")[0].strip().lower()
    if name not in (CONTENT_TYPE, "application/xml", "text/xml", ""):
        raise ServerError(f"{url.path} came as {name[:60] or 'nothing'}, not as {CONTENT_TYPE}")


def _refusal(method: str, url: URL, status: int, headers: Mapping[str, str]) -> ServerError:
    wait_s = retry_after_s(headers.get("Retry-After"), None, LONGEST_RETRY_S) if status in (429, 503) else None
    words = {401: "does not let us in", 403: "does not let us in", 404: "is not there", 410: "is gone", 429: "is asked too often", 503: "is busy"}
    return ServerError(f"{method} {url.path} {words.get(status, 'failed')} (HTTP {status})", status, wait_s if wait_s is None else math.ceil(wait_s))


def _last(error: BaseException) -> str:
    """The innermost cause, in its own words."""
    inner = getattr(error, "certificate_error", None) or getattr(error, "os_error", None) or error
    return (str(inner) or type(inner).__name__)[:160]
