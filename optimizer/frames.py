"""Messages on the pipe between the controller and the solver child.

One message = 4 bytes magic, 4 bytes length (big endian), then that many bytes of UTF-8 JSON. Anything else on the pipe
- a solver's chatter, a half-written answer - is recognised at once by the magic and means: this child
cannot be trusted any more. Pure: bytes in, bytes out.

Request: {"number": n, "problem": {...}}. Answer: {"number": n, "plan": {...}} or {"number": n, "reason": "...", "detail": "..."}.
"""

from __future__ import annotations

import struct

MAGIC = b"YMP1"
HEADER_BYTES = 8
MAX_BODY_BYTES = 64 * 1024 * 1024
"""A problem of 1000 cars and 97 slots is about 3 MB."""


class FrameError(ValueError):
    """The bytes are not a message of ours; the text says why."""


def frame(body: bytes) -> bytes:
    """A message ready for the pipe. Raises FrameError when it is too long."""
    if len(body) > MAX_BODY_BYTES:
        raise FrameError(f"a message of {len(body)} bytes is longer than {MAX_BODY_BYTES}")
    return MAGIC + struct.pack(">I", len(body)) + body


def body_length(header: bytes) -> int:
    """Length of the body [bytes] that follows a header of HEADER_BYTES bytes. Raises FrameError."""
    if len(header) != HEADER_BYTES or header[:4] != MAGIC:
        raise FrameError(f"the pipe carries {header[:HEADER_BYTES]!r} where a message should begin")
    (length,) = struct.unpack(">I", header[4:])
    if length > MAX_BODY_BYTES:
        raise FrameError(f"the pipe announces {length} bytes, more than {MAX_BODY_BYTES}")
    return int(length)
