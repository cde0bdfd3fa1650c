"""What the CSMS missed and shall be told in its present state, not as history (16 4.9, B04).

A boot that was answered here is told first and blocks everything else until the CSMS accepts it;
of each connector only the newest status goes up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from controller.facts import Fact, Stamp
from controller.orders import Order, Persist

Payload = dict[str, Any]

BOOT_SPACE: Final = "boot"
BOOT_RETRY_S: Final = 30.0
STATUSES_KEPT: Final = 256


@dataclass(frozen=True, slots=True)
class OurBoot:
    """Note of a BootNotification that we send for a station that booted while the CSMS was away."""


@dataclass(frozen=True, slots=True)
class OurStatus:
    """Note of a StatusNotification that tells the current state after an outage."""

    key: tuple[int, int]
    payload: Payload


class Owed:
    """Boot and statuses of one station."""

    __slots__ = ("_boot_due_mono_s", "_station_id", "_statuses", "boot")

    def __init__(self, station_id: str) -> None:
        self._station_id = station_id
        self.boot: Payload | None = None
        self._boot_due_mono_s = float("-inf")
        self._statuses: dict[tuple[int, int], Payload] = {}

    def __len__(self) -> int:
        return len(self._statuses) + (self.boot is not None)

    def set_boot(self, payload: Payload | None) -> list[Order | Fact]:
        """A boot the CSMS has to hear of, or none. On disk, for a 2.x station that reconnects does not boot again."""
        if payload == self.boot:
            return []
        self.boot = payload
        return [Persist(0, remember={(BOOT_SPACE, self._station_id): payload})]

    def boot_now(self) -> None:
        """The boot goes up at the next chance."""
        self._boot_due_mono_s = float("-inf")

    def boot_later(self, at: Stamp) -> None:
        """The CSMS did not accept the boot, or did not answer it."""
        self._boot_due_mono_s = at.mono_s + BOOT_RETRY_S

    def boot_due(self, at: Stamp) -> bool:
        """Whether the boot may go up now."""
        return self.boot is not None and at.mono_s >= self._boot_due_mono_s

    def status(self, key: tuple[int, int], payload: Payload) -> None:
        """A connector changed while the CSMS was away. key: (EVSE, connector), whatever the station invents: bounded."""
        self._statuses.pop(key, None)
        self._statuses[key] = payload
        if len(self._statuses) > STATUSES_KEPT:
            del self._statuses[next(iter(self._statuses))]

    def status_settled(self, key: tuple[int, int]) -> None:
        """A newer state of this connector is on its way."""
        self._statuses.pop(key, None)

    def told(self, note: OurStatus) -> None:
        """The CSMS has heard a status; a newer one that came meanwhile is still owed."""
        if self._statuses.get(note.key) is note.payload:
            del self._statuses[note.key]

    def next_status(self) -> OurStatus | None:
        """The status to tell next."""
        if not self._statuses:
            return None
        key, payload = next(iter(self._statuses.items()))
        return OurStatus(key, payload)
