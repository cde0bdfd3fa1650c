"""The HTTP of an OpenADR 3 VEN: one server, its token, its pages, its errors.

Everything a server sends is bounded and checked to be JSON with finite numbers before anybody looks at it. A redirect is followed on the
same server only, and no request for a token follows any: a token is for the server it was made for. Every failure is a ``VtnError`` with
what a person should know and how long to wait; none carries a secret.

OAuth 2 client credentials (RFC 6749 4.4): the token endpoint is the site file's, else what GET /auth/server says (3.1), else /auth/token
(3.0). A token is renewed before it ends, and once when the server calls it wrong: at any 401, and now and then at a 403, which is all that
3.0.1 has for an expired one.
"""

from __future__ import annotations

import asyncio
import json
import math
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

from controller.config_signals import OAuthConfig, OpenAdr3Signal
from controller.io.http_answers import TooLongError, body_of, date_s, retry_after_s
from controller.io.shell import Clock, StartError

TIMEOUT_S = 20.0
MOST_BYTES = 8 * 2**20
MOST_OBJECTS = 5000
PAGE = 50
"""Objects a page may have at most by the specification."""
MOST_CACHED_BYTES = 16 * 2**20
"""Pages kept for servers that say "unchanged"."""
MOST_LISTED_BYTES = 32 * 2**20
"""All pages of one list."""
LONGEST_WAIT_S = 3600.0
DOUBT_S = 30.0
"""Between two tokens that are got because of a 403, which may as well mean what it says [s]."""
MOST_HOPS = 3
NO_EXPIRY_S = 3600.0
"""A token whose server names no end is renewed after this time."""

Params = Sequence[tuple[str, str]]


class VtnError(Exception):
    """A request failed. status: HTTP, 0 = no answer at all, 200 = one we cannot use. retry_s: the server's own wish, None = none."""

    def __init__(self, text: str, status: int = 0, retry_s: float | None = None) -> None:
        super().__init__(text)
        self.status, self.retry_s = status, retry_s

    @property
    def final(self) -> bool:
        """Whether the same request can never succeed as it is."""
        return 400 <= self.status < 500 and self.status not in (401, 403, 408, 425, 429)

    @property
    def doubtful(self) -> bool:
        """Whether the server may have done what was asked all the same: there was no answer, or it stumbled over its own."""
        return self.status in (0, 408) or self.status >= 500


@dataclass(frozen=True, slots=True)
class _Reply:
    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class _Page:
    """What a path answered. size: of its text."""

    tag: str
    found: Any
    size: int


class Vtn:
    """One server. ahead_s: its clock minus ours, as its last answer tells. Raises StartError when the CA file cannot be used."""

    def __init__(self, entry: OpenAdr3Signal, clock: Clock) -> None:
        self._entry, self._clock = entry, clock
        self.url = entry.url.rstrip("/")
        self._tls = _tls(entry)
        self._session: aiohttp.ClientSession | None = None
        self._token: str | None = None
        self._token_ends_mono_s = math.inf
        self._doubt_mono_s = -math.inf
        self._token_url: str | None = None
        self._cached: dict[str, _Page] = {}
        self._longest = 0
        self.ahead_s = 0.0

    async def close(self) -> None:
        """Let go of the connection."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    # -- requests -----------------------------------------------------------------------------------

    async def get(self, path: str, params: Params = ()) -> Any:
        """The JSON behind a path. Raises VtnError."""
        return (await self._page(path, params)).found

    async def _page(self, path: str, params: Params) -> _Page:
        key = f"{path}?{params}"
        known = self._cached.get(key)
        reply = await self._authorised("GET", path, params, None, {"If-None-Match": known.tag} if known else {})
        if reply.status == 304 and known:
            return known
        found = [] if reply.status == 204 else await asyncio.to_thread(_json, reply, path)
        page = _Page(reply.headers.get("ETag", ""), found, len(reply.body))
        self._cached.pop(key, None)
        if 0 < len(page.tag) < 300:
            self._cached[key] = page
            while sum(each.size for each in self._cached.values()) > MOST_CACHED_BYTES:
                self._cached.pop(next(iter(self._cached)))
        return page

    async def send(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """POST, PUT or DELETE; the object it answers with, None where it says no more than that it is done. Raises VtnError."""
        reply = await self._authorised(method, path, (), body, {})
        try:
            return parsed(reply.body)
        except ValueError:
            return None  # it is done: asking for it again would only do it twice

    async def pages(self, path: str, params: Params = ()) -> tuple[list[Any], bool]:
        """(all objects behind a path, whether they came on several pages). Raises VtnError, also when there is no end to them.

        A server may give fewer at once than we ask for, so a short page is the end only where a longer one has been seen.
        """
        found: list[Any] = []
        seen: set[str] = set()
        size = count = 0
        while True:
            told = await self._page(path, (*params, ("skip", str(len(found))), ("limit", str(PAGE))))
            page, size = told.found, size + told.size
            if size > MOST_LISTED_BYTES:
                raise VtnError(f"{path} has more than {MOST_LISTED_BYTES // 2**20} MB; ask for fewer programs in the site file", 200)
            if not isinstance(page, list):
                raise VtnError(f"{path} answers with something that is no list", 200)
            ids = {str(each.get("id")) for each in page if isinstance(each, dict)}
            if found and ids and ids <= seen:
                return found, True  # a server that knows no "skip" sends the same page again
            found += page
            seen |= ids
            count += bool(page)
            if len(found) > MOST_OBJECTS:
                raise VtnError(f"{path} has more than {MOST_OBJECTS} objects; ask for fewer programs in the site file", 200)
            if len(page) < max(1, self._longest) or len(page) > PAGE:
                return found, count > 1
            self._longest = min(PAGE, len(page))

    async def status_of(self, path: str) -> int:
        """The HTTP status of a GET, whatever it is. Raises VtnError when there is no answer."""
        return (await self._authorised("GET", path, (), None, {}, judge=False)).status

    async def _authorised(
        self, method: str, path: str, params: Params, body: Mapping[str, Any] | None, headers: Mapping[str, str], judge: bool = True
    ) -> _Reply:
        token = await self._bearer()
        reply = await self._request(method, self.url + path, params, _sent(headers, token), body)
        if reply.status == 401 or (reply.status == 403 and self._clock.stamp().mono_s >= self._doubt_mono_s):
            self._doubt_mono_s = self._clock.stamp().mono_s + DOUBT_S
            renewed = await self._renewed(token)
            if renewed is not None and renewed != token:
                reply = await self._request(method, self.url + path, params, _sent(headers, renewed), body)
        if judge and not (200 <= reply.status < 300 or reply.status == 304):
            raise _failure(method, path, reply, self._clock.stamp().wall_s)
        return reply

    async def _request(self, method: str, url: str, params: Params, headers: Mapping[str, str], body: Mapping[str, Any] | None) -> _Reply:
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S, sock_connect=10)
        kwargs: dict[str, Any] = {"params": list(params), "headers": headers, "timeout": timeout, "allow_redirects": False}
        if body is not None:
            kwargs["json"] = body
        reply = await self._carry(method, url, kwargs)
        for _ in range(MOST_HOPS):
            place = _elsewhere(method, URL(url), reply)
            if place is None:
                break
            url = str(place)
            reply = await self._carry(method, place, kwargs | {"params": []} if place.query_string else kwargs)
        return reply

    async def _carry(self, method: str, url: str | URL, kwargs: dict[str, Any]) -> _Reply:
        where = urlsplit(str(url)).path
        try:
            async with self._opened().request(method, url, **kwargs) as response:
                self._hear_clock(response.headers.get("Date"))
                return _Reply(response.status, response.headers, await body_of(response, MOST_BYTES))
        except TimeoutError:
            raise VtnError(f"{where} does not answer within {TIMEOUT_S:g} s") from None
        except aiohttp.ClientConnectorCertificateError as error:
            raise VtnError(f"the server's certificate is not trusted ({error.certificate_error}); check ca_file") from None
        except TooLongError as error:
            raise VtnError(f"{where} answers with {error}") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise VtnError(f"{where}: {type(error).__name__} ({str(error)[:120]})") from None

    def _hear_clock(self, date: str | None) -> None:
        moment_s = date_s(date or "")
        self.ahead_s = moment_s - self._clock.stamp().wall_s if moment_s is not None else 0.0

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None or self._session.closed:
            connector = aiohttp.TCPConnector(ssl=self._tls, limit=4)
            self._session = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())
        return self._session

    # -- tokens -------------------------------------------------------------------------------------

    async def token(self) -> str | None:
        """What shows the server who we are, renewed where its end is near. Raises VtnError."""
        return await self._bearer()

    async def _bearer(self) -> str | None:
        if self._entry.oauth is None:
            return await asyncio.to_thread(_secret, self._entry.token, self._entry.token_file, "token_file")
        if self._token is None or self._clock.stamp().mono_s >= self._token_ends_mono_s:
            await self._fetch(self._entry.oauth)
        return self._token

    async def _renewed(self, refused: str | None) -> str | None:
        """Another token than the one that was refused; None if there is no way to get one."""
        if self._entry.oauth is None:
            return await self._bearer() if self._entry.token_file is not None else None
        if self._token == refused:
            self._token = None
        return await self._bearer()

    async def _fetch(self, oauth: OAuthConfig) -> None:
        url = oauth.token_url or self._token_url or await self._discovered()
        secret = await asyncio.to_thread(_secret, oauth.client_secret, oauth.client_secret_file, "client_secret_file") or ""
        form = {"grant_type": "client_credentials", "client_id": oauth.client_id, "client_secret": secret}
        form |= {"scope": oauth.scope} if oauth.scope else {}
        reply = await self._token_reply(url, form, None)
        if reply.status in (400, 401) and b"invalid_client" in reply.body:  # some servers take the secret only in the header (RFC 6749 2.3.1)
            plain = {name: value for name, value in form.items() if name not in ("client_id", "client_secret")}
            reply = await self._token_reply(url, plain, aiohttp.encode_basic_auth(oauth.client_id, secret))
        if reply.status not in (200, 201):
            self._token_url = None
            raise _failure("POST", urlsplit(url).path, reply, self._clock.stamp().wall_s)
        self._keep(_json(reply, "the token endpoint"))

    async def _token_reply(self, url: str, form: Mapping[str, str], authorization: str | None) -> _Reply:
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S, sock_connect=10)
        headers = {"Accept": "application/json"} | ({"Authorization": authorization} if authorization else {})
        return await self._carry("POST", url, {"data": form, "headers": headers, "timeout": timeout, "allow_redirects": False})

    def _keep(self, found: Any) -> None:
        token = found.get("access_token") if isinstance(found, dict) else None
        if not isinstance(token, str) or not 0 < len(token) <= 16_384 or not token.isascii() or not token.isprintable():
            raise VtnError("the token endpoint answers without an access_token")
        if str(found.get("token_type", "Bearer")).lower() != "bearer":
            raise VtnError("the token endpoint gives another kind of token than Bearer")
        life = found.get("expires_in")
        if isinstance(life, str) and life.isdigit():
            life = int(life)
        life_s = float(life) if isinstance(life, int | float) and not isinstance(life, bool) and 0 < life < 1e9 else NO_EXPIRY_S
        self._token = token
        self._token_ends_mono_s = self._clock.stamp().mono_s + life_s - min(30.0, life_s / 10)

    async def _discovered(self) -> str:
        """The token endpoint that the server names (3.1), else the specification's own. A name is taken only if it loses no TLS."""
        reply = await self._request("GET", f"{self.url}/auth/server", (), {"Accept": "application/json"}, None)
        url = f"{self.url}/auth/token"
        if reply.status == 200:
            found = _json(reply, "/auth/server")
            named = found.get("tokenURL") if isinstance(found, dict) else None
            if isinstance(named, str) and named:
                url = named if "://" in named else f"{self.url}/{named.lstrip('/')}"
        elif reply.status >= 500 or reply.status == 429:
            raise _failure("GET", "/auth/server", reply, self._clock.stamp().wall_s)
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise VtnError("the server names no address of a token endpoint")
        if self.url.startswith("https://") and parts.scheme != "https":
            raise VtnError("the server names a token endpoint without TLS; the secret is not sent there (set oauth.token_url if that is meant)")
        self._token_url = url
        return url


def _elsewhere(method: str, url: URL, reply: _Reply) -> URL | None:
    """Where a redirect leads, None where there is none that we follow: 301 and 302 change the method of what is no GET (RFC 9110 15.4)."""
    kinds = (301, 302, 307, 308) if method == "GET" else (307, 308)
    if reply.status not in kinds or "Location" not in reply.headers:
        return None
    try:
        place = url.join(URL(reply.headers["Location"]))
        return place if place.origin() == url.origin() else None
    except ValueError:
        return None


def _sent(headers: Mapping[str, str], token: str | None) -> dict[str, str]:
    sent = {"Accept": "application/json, application/problem+json", **headers}
    return sent | ({"Authorization": f"Bearer {token}"} if token else {})


def _tls(entry: OpenAdr3Signal) -> ssl.SSLContext | bool:
    if entry.ca_file is None:
        return True
    try:
        return ssl.create_default_context(cafile=str(entry.ca_file))
    except (OSError, ssl.SSLError) as error:
        raise StartError(f"signals: {entry.id}: ca_file {entry.ca_file} cannot be used ({error.strerror or error}); give a PEM file") from None


def _secret(value: Any, file: Path | None, key: str) -> str | None:
    """A secret, read anew from its file each time: it may have been changed. Raises VtnError."""
    if file is None:
        return None if value is None else str(value.get_secret_value())
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise VtnError(f"{key} {file} cannot be read ({type(error).__name__}); check the path and its permissions") from None


def parsed(body: bytes) -> Any:
    """JSON of a stranger: no NaN, no endless nesting. Raises ValueError."""

    def refuse(name: str) -> Any:
        raise ValueError(f"{name} is no number of JSON")

    try:
        return json.loads(body, parse_constant=refuse)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _json(reply: _Reply, path: str) -> Any:
    try:
        return parsed(reply.body)
    except ValueError:
        raise VtnError(f"{path} answers with something that is not JSON", reply.status) from None


def _failure(method: str, path: str, reply: _Reply, now_wall_s: float) -> VtnError:
    """What a server's refusal says, in the words of its problem object if it sent one."""
    said = ""
    try:
        found = parsed(reply.body) if len(reply.body) < 65_536 else None
    except ValueError:
        found = None
    if isinstance(found, dict):
        words = [found.get(key) for key in ("title", "detail", "error", "error_description")]
        said = ": " + " - ".join(dict.fromkeys(word[:150] for word in words if isinstance(word, str) and word)) if any(words) else ""
    wait_s = retry_after_s(reply.headers.get("Retry-After"), now_wall_s, LONGEST_WAIT_S)
    return VtnError(f"{method} {path} is answered with {reply.status}{said}", reply.status, wait_s)
