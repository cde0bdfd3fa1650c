"""Checks passwords against salted hashes, away from the event loop.

A check is slow on purpose (``link.secrets``): 1000 stations that come back after a power cut must not
cost 1000 of them, and somebody who guesses must not buy processor time with it (F66). So what was
right once is remembered while the program runs, as a digest keyed with a number that exists only in
this process; at most two checks run at a time, at low priority; and what is wrong is counted by the
caller, who asks no more for an identity or an address that keeps failing.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import os
import secrets
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from controller.link.secrets import SecretError, matches

THREADS = 2
NICENESS = 10


class PasswordChecker:
    """checked: how many slow checks were made."""

    def __init__(self) -> None:
        self.checked = 0
        self._key = secrets.token_bytes(32)
        self._right: dict[tuple[str, str], bytes] = {}
        self._threads: ThreadPoolExecutor | None = None

    def remembered(self, identity: str, password: bytes, hashes: Sequence[str]) -> str | None:
        """The hash of these that the password has matched before; None if that has to be found out."""
        digest = self._digest(identity, password)
        return next((stored for stored in hashes if hmac.compare_digest(self._right.get((identity, stored), b""), digest)), None)

    async def which(self, identity: str, password: bytes, hashes: Sequence[str]) -> str | None:
        """The hash of these that the password matches, None for a wrong one. Slow ones are remembered if right."""
        if self._threads is None:
            self._threads = ThreadPoolExecutor(THREADS, "passwords", _be_modest)
        found = await asyncio.get_running_loop().run_in_executor(self._threads, _first_match, password, tuple(hashes))
        self.checked += 1
        if found is not None:
            self._right[(identity, found)] = self._digest(identity, password)
        return found

    def forget(self, identity: str, but: Sequence[str] = ()) -> None:
        """Hashes of a station that do not count any more."""
        for key in [key for key in self._right if key[0] == identity and key[1] not in but]:
            del self._right[key]

    def close(self) -> None:
        """What still waits is not wanted any more."""
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)
            self._threads = None

    def _digest(self, identity: str, password: bytes) -> bytes:
        pair = identity.encode("utf-8", "surrogatepass") + b"\0" + password  # no identity holds a NUL
        return hashlib.blake2b(pair, key=self._key).digest()


def _first_match(password: bytes, hashes: tuple[str, ...]) -> str | None:
    for stored in hashes:
        with suppress(SecretError):
            if matches(password, stored):
                return stored
    return None


def _be_modest() -> None:
    """The control loop and the stations go first; on Linux a thread has a priority of its own."""
    with suppress(OSError, AttributeError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
