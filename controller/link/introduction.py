"""What a station has said of itself, kept for a CSMS that does not know it yet (``moves``): its boot and the newest status of each connector.

Only in memory: after a restart of Yardmaster the station is asked to say it again.
"""

from __future__ import annotations

from typing import Any, Final

from controller.ocpp import rpc
from controller.ocpp.dialect import Dialect

Payload = dict[str, Any]
KINDS: Final = frozenset({"BootNotification", "StatusNotification"})
STATUSES_KEPT: Final = 256


class Introduction:
    """One station's."""

    __slots__ = ("_version", "boot", "statuses")

    def __init__(self) -> None:
        self.boot: Payload | None = None
        self.statuses: dict[tuple[int, int], Payload] = {}
        self._version = ""

    def connected(self, version: str) -> None:
        """The station's socket is open; what it said in the words of another version is worth nothing."""
        if version != self._version:
            self._version, self.boot, self.statuses = version, None, {}

    def heard(self, call: rpc.Call, dialect: Dialect) -> None:
        """A CALL of one of KINDS."""
        if call.action == "BootNotification":
            self.boot = call.payload
            return
        key = dialect.status_key(call.payload)
        self.statuses.pop(key, None)
        self.statuses[key] = call.payload
        if len(self.statuses) > STATUSES_KEPT:
            del self.statuses[next(iter(self.statuses))]
