"""Asks a feed over HTTP: bounded in time and size, with the server's own marks for "nothing new", and every failure in plain words.

Addresses and parameters may hold tokens: no message repeats them. A redirect is followed a few times, never from https to http, and to
another host only without our credentials.
"""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass, replace
from http import HTTPStatus
from pathlib import Path

import aiohttp
from yarl import URL

from controller.io.feeds.questions import Question
from controller.io.http_answers import TooLongError, body_of, retry_after_s

DEADLINE_S = 30.0
CONNECT_S = 10.0
MOST_BYTES = 4 * 1024 * 1024
MOST_REDIRECTS = 3
LONGEST_RETRY_S = 86_400.0
AGENT = "Yardmaster (site energy controller)"
MARKS = {"If-None-Match": "ETag", "If-Modified-Since": "Last-Modified"}


class AskError(Exception):
    """No answer. The text says why, for a person; retry_after_s: the server asked to be left alone so long [s]."""

    def __init__(self, text: str, retry_after_s: float = 0.0) -> None:
        super().__init__(text)
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, slots=True)
class Reply:
    """body: None = nothing new since the marks. marks: headers for the next question."""

    body: bytes | None
    marks: dict[str, str]


@dataclass(frozen=True, slots=True)
class Way:
    """How servers are reached. trust: for https, None = the system's certificates. deadline_s: for one whole answer."""

    session: aiohttp.ClientSession
    trust: ssl.SSLContext | None = None
    deadline_s: float = DEADLINE_S


async def ask(way: Way, question: Question, marks: dict[str, str], now_wall_s: float) -> Reply:
    """The answer to a question; "nothing there yet" is an empty body. Raises AskError."""
    try:
        async with asyncio.timeout(way.deadline_s):
            return await _followed(way, question, marks, now_wall_s)
    except TimeoutError:
        raise AskError(f"no whole answer within {way.deadline_s:g} s") from None
    except aiohttp.ClientConnectorCertificateError:
        raise AskError("its certificate is not trusted; check ca_file") from None
    except aiohttp.ClientConnectorError as error:
        raise AskError(f"cannot connect to {question.host}: {error.os_error.strerror or type(error.os_error).__name__}") from None
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise AskError(f"the answer broke off ({type(error).__name__})") from None


async def _followed(way: Way, question: Question, marks: dict[str, str], now_wall_s: float) -> Reply:
    url = URL(question.url).update_query(question.params)
    for _ in range(MOST_REDIRECTS + 1):
        reply, moved = await _once(way, question, url, marks, now_wall_s)
        if reply is not None:
            return reply
        target = url.join(moved)
        if target.scheme not in ("http", "https") or (url.scheme == "https" and target.scheme == "http"):
            raise AskError("it redirects to an address that is not safe; correct url")
        if target.origin() != url.origin():
            question = replace(question, headers={name: value for name, value in question.headers.items() if name != "Authorization"})
        url = target
    raise AskError(f"it redirects more than {MOST_REDIRECTS} times; correct url")


async def _once(way: Way, question: Question, url: URL, marks: dict[str, str], now_wall_s: float) -> tuple[Reply | None, URL]:
    """One request: its reply, or where it is to be asked instead."""
    method, headers = "GET" if question.body is None else "POST", {"User-Agent": AGENT, "Accept": "*/*", **question.headers, **marks}
    secure = way.trust if way.trust is not None else True
    async with way.session.request(method, url, data=question.body, headers=headers, ssl=secure, allow_redirects=False) as answer:
        status = answer.status
        if status == HTTPStatus.NOT_MODIFIED:
            return Reply(None, marks), url
        if status in question.missing:
            return Reply(b"", {}), url
        if status in (301, 302, 303, 307, 308):
            return None, URL(answer.headers.get("Location", ""))
        if status != HTTPStatus.OK and status not in question.told_with:
            raise AskError(_refusal(status), retry_after_s(answer.headers.get("Retry-After"), now_wall_s, LONGEST_RETRY_S) or 0.0)
        try:
            body = await body_of(answer, MOST_BYTES)
        except TooLongError as error:
            raise AskError(f"its answer has {error}") from None
        if not body.strip():
            if not question.empty:
                raise AskError("its answer is empty")
            return Reply(b"", {}), url
        fresh = {name: answer.headers[theirs] for name, theirs in MARKS.items() if theirs in answer.headers and status == HTTPStatus.OK}
        return Reply(body, fresh), url


def _refusal(status: int) -> str:
    if status in (401, 403):
        return f"it refuses us (HTTP {status}); check token or password"
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return "it says that we ask too often (HTTP 429); it is asked again when it allows"
    if status >= 500:
        return f"it is out of order (HTTP {status})"
    return f"it answers HTTP {status}; check url and what is asked"


def trust_of(ca_file: Path | None) -> ssl.SSLContext | None:
    """The certificates a server is checked with; None = the system's. Raises OSError for a file that is no PEM."""
    return ssl.create_default_context(cafile=str(ca_file)) if ca_file is not None else None
