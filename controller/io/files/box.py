"""A folder that takes files of stations in, with everything that makes a bad sender harm only itself (N01).

A box has so much room, all files of it together; one sender may use half of what the others have left, and put so many files. A file
that is not whole does not stay. The disk keeps ``SPARE_BYTES`` free, whatever the box may still hold: the journal needs room.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import aiohttp
from aiohttp import web

CHUNK_BYTES = 256 * 1024
SPARE_BYTES = 64 * 1024 * 1024
IDLE_S = 60.0
"""A sender that says nothing for so long is gone."""
TRANSFER_S = 3600.0
"""No single transfer takes longer."""
FILES_OF_ONE = 20
TOO_LARGE = "too large"
FULL = "this box is full"
CLOSED = "this box is closed"
GONE = "the sender went away"
TOO_SLOW = "the sender was too slow"
BROKEN = (aiohttp.ClientError, web.RequestPayloadError, ConnectionError, ValueError, RuntimeError, AssertionError)
"""What aiohttp raises for a body that ends early or is no form."""


@dataclass(slots=True)
class Box:
    """senders: who may put files in, empty = anybody. left_bytes: room that is not used yet. names: what is in it or on its way.

    used_bytes, counts: by sender. whole: names of complete files. limits: deadlines of what is on its way.
    """

    folder: Path
    left_bytes: int
    senders: frozenset[str] = frozenset()
    names: set[str] = field(default_factory=set)
    whole: set[str] = field(default_factory=set)
    used_bytes: dict[str, int] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    limits: set[asyncio.Timeout] = field(default_factory=set)
    closed: bool = False

    def knows(self, sender: str) -> bool:
        """Whether a sender may put files in."""
        return not self.closed and (not self.senders or sender in self.senders)

    def crowded(self, sender: str) -> bool:
        """Whether it has put enough of them."""
        return self.counts.get(sender, 0) >= FILES_OF_ONE

    def close(self) -> None:
        """Take nothing more; what is not whole by now ends."""
        self.closed = True
        for limit in self.limits:
            limit.reschedule(asyncio.get_running_loop().time())

    def name_for(self, sender: str, given: str) -> str:
        """A name that is not in the box yet, reserved in it: <sender>-<name>, the next ones <sender>-2-<name> ..."""
        name, count = f"{sender}-{given}", 1
        while name in self.names:
            count += 1
            name = f"{sender}-{count}-{given}"
        self.names.add(name)
        self.counts[sender] = self.counts.get(sender, 0) + 1
        return name

    async def take(self, sender: str, name: str, parts: AsyncIterator[bytes]) -> str:
        """Put chunks into the file of that name; returns why that was not possible, "" = it is there."""
        reason = GONE
        try:
            async with asyncio.timeout(TRANSFER_S) as limit:
                self.limits.add(limit)
                try:
                    reason = await self._write(sender, self.folder / name, parts)
                finally:
                    self.limits.discard(limit)
        except TimeoutError:
            reason = CLOSED if self.closed else TOO_SLOW
        finally:
            if reason:
                self.names.discard(name)
                self.counts[sender] -= 1
            else:
                self.whole.add(name)
        return reason

    async def _write(self, sender: str, path: Path, parts: AsyncIterator[bytes]) -> str:
        """Whatever ends it early, half a file does not stay."""
        taken, whole = 0, False
        try:
            with path.open("wb") as file:
                while (chunk := await _next(parts)) is not None:
                    if not self._claim(sender, len(chunk)):
                        return TOO_LARGE
                    taken += len(chunk)
                    await asyncio.to_thread(_put, file, chunk, path.parent)  # a slow disk must not hold up the loop that keeps the fuse
            whole = True
            return ""
        except BROKEN:
            return GONE
        except TimeoutError:
            return CLOSED if self.closed else TOO_SLOW
        except OSError as error:
            return error.strerror or "the file could not be written"
        finally:
            if not whole:
                self.left_bytes += taken
                self.used_bytes[sender] = self.used_bytes.get(sender, 0) - taken
                with contextlib.suppress(OSError):
                    os.unlink(path)  # at once: whoever cancelled this waits for nothing

    def _claim(self, sender: str, size: int) -> bool:
        """Room for a chunk. Of what the others have left one sender may use half; one that is alone may use all."""
        used = self.used_bytes.get(sender, 0)
        share = 1 if len(self.senders) == 1 else 2
        if size > self.left_bytes or (self.senders and (used + size) * share > self.left_bytes + used):
            return False
        self.left_bytes -= size
        self.used_bytes[sender] = used + size
        return True


async def _next(parts: AsyncIterator[bytes]) -> bytes | None:
    async with asyncio.timeout(IDLE_S):
        return await anext(parts, None)


def _put(file: IO[bytes], chunk: bytes, folder: Path) -> None:
    check_room(folder, len(chunk))
    file.write(chunk)


def check_room(folder: Path, size: int) -> None:
    """Raises OSError if the disk would have less than ``SPARE_BYTES`` left."""
    if size + SPARE_BYTES > shutil.disk_usage(folder).free:
        raise OSError(errno.ENOSPC, "there is not enough room on the disk")
