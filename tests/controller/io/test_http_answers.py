"""Bodies up to a bound, and Retry-After in all its forms."""

from __future__ import annotations

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer

from controller.io.http_answers import TooLongError, body_of, retry_after_s

DATE = "Sat, 20 Jun 2026 08:00:00 GMT"
DATE_S = 1_781_942_400.0


@pytest.mark.parametrize(
    ("text", "now_s", "wait_s"),
    [
        ("7", None, 7.0),
        ("0", None, 0.0),
        ("99999999999999", None, 600.0),
        ("-5", None, None),
        ("1.5", None, None),
        ("soon", DATE_S, None),
        ("", DATE_S, None),
        (None, DATE_S, None),
        ("\u00b2", DATE_S, None),
        (" 7 ", DATE_S, 7.0),
        (DATE, DATE_S - 30.0, 30.0),
        (DATE, DATE_S + 30.0, 0.0),
        (DATE, DATE_S - 86_400.0, 600.0),
        (DATE, None, None),
        ("Saturday, 20-Jun-26 08:00:00 GMT", DATE_S - 5.0, 5.0),
        ("Sat, 99 Foo 2026", DATE_S, None),
    ],
)
def test_retry_after_in_seconds_and_as_a_date(text: str | None, now_s: float | None, wait_s: float | None) -> None:
    """RFC 9110, 10.2.3. The date was worked out by hand: 2026-06-20T08:00:00Z is day 20 624 since 1970 and eight hours."""
    assert DATE_S == 20_624 * 86_400 + 8 * 3600
    assert retry_after_s(text, now_s, 600.0) == wait_s


@pytest.mark.parametrize(("length", "fits"), [(0, True), (100_000, True), (100_001, False), (10_000_000, False)])
async def test_a_body_is_read_up_to_the_bound(length: int, fits: bool) -> None:
    async def say(_request: web.Request) -> web.Response:
        return web.Response(body=b"x" * length)

    app = web.Application()
    app.router.add_get("/", say)
    async with TestServer(app) as server, ClientSession() as session, session.get(server.make_url("/")) as answer:
        if fits:
            assert await body_of(answer, 100_000) == b"x" * length
        else:
            with pytest.raises(TooLongError, match="more than 100000 bytes"):
                await body_of(answer, 100_000)
