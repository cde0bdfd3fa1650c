"""What every shell does with an HTTP answer: read it up to a bound, and understand when the server wants to be asked again."""

from __future__ import annotations

from datetime import UTC
from email.utils import parsedate_to_datetime

import aiohttp

CHUNK_BYTES = 65_536


class TooLongError(ValueError):
    """An answer is longer than anything we asked for."""


async def body_of(answer: aiohttp.ClientResponse, most_bytes: int) -> bytes:
    """The body, unpacked. Raises TooLongError, and reads no further, beyond ``most_bytes``."""
    body = bytearray()
    async for part in answer.content.iter_chunked(CHUNK_BYTES):
        body += part
        if len(body) > most_bytes:
            answer.close()
            raise TooLongError(f"more than {most_bytes} bytes")
    return bytes(body)


def retry_after_s(text: str | None, now_wall_s: float | None, most_s: float) -> float | None:
    """How long Retry-After asks us to wait [s], at most ``most_s``: seconds, or a date counted from now (RFC 9110, 10.2.3).

    None for nothing, nonsense, and a date that nobody can count from; the past is 0.
    """
    text = (text or "").strip()
    if text.isascii() and text.isdigit():
        return min(most_s, float(text[:10]))
    until_s = date_s(text)
    if until_s is None or now_wall_s is None:
        return None
    return max(0.0, min(most_s, until_s - now_wall_s))


def date_s(text: str) -> float | None:
    """A date of HTTP as Unix seconds; one without a zone is UTC. None for anything else."""
    try:
        moment = parsedate_to_datetime(text)
        return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
