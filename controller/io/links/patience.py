"""How long TCP may go on sending to somebody who acknowledges nothing (F35, F39).

A path that swallows large packets, or one direction, leaves a connection that looks alive: small packets or the other direction still pass, the
peer goes on talking, and what we say waits in the kernel, which gives up after a quarter of an hour. Pings do not find it while the peer talks.
"""

from __future__ import annotations

import contextlib
import socket
from typing import Any


def bound_silence(connection: Any, seconds: float) -> None:
    """End this connection when something sent stays unacknowledged for ``seconds``. A listening socket hands it on to those it accepts.

    connection: a socket, or what asyncio shows of one; nothing is done to None, or where the system cannot (it is Linux' TCP_USER_TIMEOUT).
    """
    option = getattr(socket, "TCP_USER_TIMEOUT", None)
    if connection is None or option is None:
        return
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.IPPROTO_TCP, option, round(1000.0 * seconds))
