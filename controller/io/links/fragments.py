"""Counts the fragments of a WebSocket message as its bytes arrive. Pure.

aiohttp joins fragments and shows none of them, and a message in endless empty ones costs it time
without end (B16). Here only the heads of frames are looked at, as the bytes pass by on their way to
aiohttp: a frame that arrives whole and alone, which nearly all do, costs one comparison.

RFC 6455 5.2 and 5.4: FIN and opcode in the first byte, 0 continues a message; in the second the
length, 126 and 127 announcing 2 or 8 more bytes of it, and a bit for a mask of 4.
"""

from __future__ import annotations

MOST = 256
_END_OF_HEAD = b"\r\n\r\n"


class FragmentCounter:
    """Fed with everything a peer sends, its HTTP request first; that has no body, as it is a GET."""

    __slots__ = ("_fragments", "_frames", "_head", "_skip")

    def __init__(self) -> None:
        self._frames = False
        self._head = b""
        self._skip = 0
        self._fragments = 0

    def feed(self, data: bytes) -> bool:
        """The next bytes; False if a message has more than MOST fragments, now or before."""
        if not self._frames:
            return self._request(data)
        if not self._skip and not self._head and _is_one_whole_message(data):
            return self._fragments < MOST
        return self._walk(data)

    def _request(self, data: bytes) -> bool:
        text = self._head + data
        end = text.find(_END_OF_HEAD)
        if end < 0:
            self._head = text[-3:]
            return True
        self._frames, self._head = True, b""
        return self._walk(text[end + 4 :])

    def _walk(self, data: bytes) -> bool:
        if self._skip < len(data):
            data, place, self._head = self._head + data, self._skip, b""
            self._skip = 0
        else:
            self._skip -= len(data)
            return self._fragments < MOST
        while place < len(data):
            size = _head_size(data, place)
            if len(data) - place < size:
                self._head = data[place:]
                return self._fragments < MOST
            self._count(data[place])
            place += size + _length(data, place)
        self._skip = place - len(data)
        return self._fragments < MOST

    def _count(self, first: int) -> None:
        """A frame begins. Control frames may stand between fragments; a whole message has one that is the first and the last."""
        if first & 0x0F >= 8:
            return
        if self._fragments < MOST:
            self._fragments = 0 if first & 0x80 else self._fragments + 1


def _is_one_whole_message(data: bytes) -> bool:
    """A final text frame with up to 65535 bytes, masked, nothing behind it; no statement about anything else."""
    if len(data) < 8 or data[0] & 0x8F != 0x81:
        return False
    length = data[1] & 0x7F
    return len(data) == 6 + length if length < 126 else length == 126 and len(data) == 8 + (data[2] << 8 | data[3])


def _head_size(data: bytes, place: int) -> int:
    """Bytes of the frame's head that begins here; 2 while even that is not there."""
    if len(data) - place < 2:
        return 2
    second = data[place + 1]
    return 2 + {126: 2, 127: 8}.get(second & 0x7F, 0) + (4 if second & 0x80 else 0)


def _length(data: bytes, place: int) -> int:
    length = data[place + 1] & 0x7F
    if length < 126:
        return length
    return int.from_bytes(data[place + 2 : place + (4 if length == 126 else 10)], "big")
