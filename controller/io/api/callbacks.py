"""Calls of servers that we asked to call us: notifications of OpenADR 3 at POST /api/v1/openadr3/<id>.

They carry the key that the source's driver gave the server with its subscription, not the key of the API: that one is nobody else's. A call is
a hint to look, whatever it says, so one that is too large to read is taken as well.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from aiohttp import web

from controller.io.api.models import ApiError

PATH = "/api/v1/openadr3"
ANY = b'{"objectType": "EVENT"}'


class Called(NamedTuple):
    """key_of: what a source's server must show, None = no such source, or nobody calls it. notify: hands the body to its driver."""

    key_of: Callable[[str], str | None]
    notify: Callable[[str, bytes], Awaitable[tuple[int, str] | None]]


def is_callback(request: web.Request) -> bool:
    """Whether a request is judged here and not by the key of the API."""
    return request.path.startswith(PATH + "/")


class Callbacks:
    """Handlers of these calls. called: None before the app gave it."""

    def __init__(self, called: Callable[[], Called | None]) -> None:
        self._called = called

    def routes(self) -> list[web.RouteDef]:
        """The routes of this file."""
        return [web.post(f"{PATH}/{{source}}", self._notified)]

    async def _notified(self, request: web.Request) -> web.Response:
        called, source = self._called(), request.match_info["source"]
        key = called.key_of(source) if called is not None else None
        if called is None or key is None:
            raise ApiError(404, "No server is expected to call here.")
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not hmac.compare_digest(given.strip().encode("utf-8", "surrogateescape"), key.encode()):
            raise ApiError(401, "The bearer token of the subscription is missing or wrong.", headers={"WWW-Authenticate": "Bearer"})
        try:
            body = await request.read()
        except (web.HTTPRequestEntityTooLarge, web.RequestPayloadError):
            body = ANY
        answer = await called.notify(source, body)
        status, text = answer if answer is not None else (404, "{}")
        return web.json_response(text=text, status=status)
