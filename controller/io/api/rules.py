"""Who may call the HTTP API, and the headers of every answer.

The rules, and the attacks they end (B34, section "Security" of the threat model):

- A page on another origin cannot change anything: changing calls need ``Content-Type:
  application/json`` (no form can send it without a preflight, and we answer none), and an ``Origin``
  or ``Sec-Fetch-Site`` header, if there is one, must be ours.
- A name that suddenly points to 127.0.0.1 (DNS rebinding) gets nothing: bound to a loopback
  address we answer only to loopback names in ``Host``.
- Changing calls need the bearer token if one is configured. Without a token they are possible on
  a loopback address only. The same holds for reading calls that show messages, for these name
  people's id tokens (``traffic``).
- The page may load nothing from elsewhere and nobody may frame it.
"""

from __future__ import annotations

import hmac
from urllib.parse import urlsplit

from aiohttp import web

from controller.config_base import is_loopback
from controller.io.api.models import ApiError

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})

# style-src needs 'unsafe-inline' because plotly creates a <style> element at start and sets style
# attributes on the SVG it draws. Scripts stay strict: 'self' only, no inline, no eval. img-src data:
# and blob: serve plotly's own "save as picture".
CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'self'",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)

HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


def host_name(netloc: str) -> str:
    """The host of ``host:port``, lower case, without brackets; "" if it cannot be read."""
    try:
        return (urlsplit(f"//{netloc}").hostname or "").lower()
    except ValueError:
        return ""


def check_host(request: web.Request, bind_host: str) -> None:
    """Refuse a foreign ``Host`` on a loopback bind.

    Raises ApiError 421.
    """
    if is_loopback(bind_host) and host_name(request.host) not in LOOPBACK_NAMES | {bind_host.lower()}:
        raise ApiError(
            421, "This address is served only as localhost. Open the page as http://localhost, or set api.host in site.yaml."
        )


def check_origin(request: web.Request) -> None:
    """Refuse a changing call that a page of another origin sent.

    Raises ApiError 403.
    """
    origin = request.headers.get("Origin")
    site = request.headers.get("Sec-Fetch-Site", "none")
    if origin is not None and _netloc(origin) != request.host.lower():
        raise ApiError(403, "Origin is not this server: this call is refused from other web pages.")
    if site not in ("none", "same-origin"):
        raise ApiError(403, "Sec-Fetch-Site is not same-origin: this call is refused from other web pages.")


def _netloc(origin: str) -> str:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


def check_token(request: web.Request, token: str | None, bind_host: str) -> None:
    """Refuse a changing or private call without the right.

    Raises ApiError 403 when the site has no token and is reachable from other machines, 401 for a
    missing or wrong token. The token is compared in constant time and never logged.
    """
    if token is None:
        if is_loopback(bind_host):
            return
        raise ApiError(
            403,
            f"Changing calls and those that show messages are off: api.host is {bind_host} and no api.token is set. "
            "Set api.token or api.token_file in site.yaml.",
        )
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    sent = given.strip().encode("utf-8", "surrogateescape")
    if scheme.lower() != "bearer" or not hmac.compare_digest(sent, token.encode()):
        raise ApiError(401, "The bearer token is missing or wrong.", headers={"WWW-Authenticate": 'Bearer realm="yardmaster"'})


async def add_headers(_request: web.BaseRequest, response: web.StreamResponse) -> None:
    """On every answer, also errors and streams: the security headers, and no caching unless the handler said otherwise."""
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers.setdefault("Cache-Control", "no-store")
