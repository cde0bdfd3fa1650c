"""What the CSMS missed and shall be told in its present state, not as history (16 4.9, B04).

A boot that was answered here is told first and blocks everything else until the CSMS accepts it;
of each connector only the newest status goes up.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from controller.facts import Fact, Stamp
from controller.ocpp import rpc
from controller.orders import Order, Persist

Payload = dict[str, Any]

BOOT_SPACE: Final = "boot"
STATUS_SPACE: Final = "status"
BOOT_RETRY_S: Final = 30.0
LONGEST_INTERVAL_S: Final = 86_400.0
"""An interval beyond a day is a mistake, and would keep a station from its CSMS."""
STATUSES_KEPT: Final = 256
BARRED_S: Final = 600.0
"""How long, at least, a station that the CSMS has not accepted may take to boot again; then its queue is tried all the same."""


@dataclass(frozen=True, slots=True)
class OurBoot:
    """Note of a BootNotification that we send for a station that booted while the CSMS was away."""


@dataclass(frozen=True, slots=True)
class OurStatus:
    """Note of a StatusNotification that tells the current state after an outage."""

    key: tuple[int, int]
    payload: Payload


Done = Callable[[Stamp, "rpc.Result | rpc.Error | None"], list[Order | Fact]]
"""Called once with the CSMS's answer to a CALL of ours, None when it did not come in time."""


@dataclass(frozen=True, slots=True)
class OurAsked:
    """Note of a CALL of ours whose answer somebody of this side waits for."""

    done: Done


class Owed:
    """Boot and statuses of one station. barred: the CSMS has heard of its boot, and has not accepted it: nothing of the queue may go up."""

    __slots__ = ("_barred_until_mono_s", "_boot_due_mono_s", "_boot_told", "_station_id", "_statuses", "barred", "boot")

    def __init__(self, station_id: str) -> None:
        self._station_id = station_id
        self.boot: Payload | None = None
        self.barred = False
        self._barred_until_mono_s = float("-inf")
        self._boot_due_mono_s = float("-inf")
        self._boot_told = False
        self._statuses: dict[tuple[int, int], Payload] = {}

    def __len__(self) -> int:
        return len(self._statuses) + (self.boot is not None)

    def set_boot(self, payload: Payload | None) -> list[Order | Fact]:
        """A boot the CSMS has to hear of, or none. On disk, for a 2.x station that reconnects does not boot again."""
        if payload == self.boot:
            return []
        self.boot, self._boot_told = payload, False
        return [Persist(0, remember={(BOOT_SPACE, self._station_id): payload})]

    def boot_now(self) -> None:
        """The boot goes up at the next chance, but not before the time that the CSMS has named."""
        if not self._boot_told:
            self._boot_due_mono_s = float("-inf")

    def boot_later(self, at: Stamp, interval_s: Any = None) -> None:
        """The CSMS did not accept the boot, or did not answer it. interval_s: as it says; 0 or none leaves it to us (F32)."""
        named = isinstance(interval_s, int | float) and not isinstance(interval_s, bool) and 0 < interval_s <= LONGEST_INTERVAL_S
        self._boot_told = named
        self._boot_due_mono_s = at.mono_s + (float(interval_s) if named else BOOT_RETRY_S)

    def bar(self, at: Stamp, interval_s: Any) -> None:
        """The CSMS has not accepted the boot that the station told it itself, and names the time for the next."""
        named = isinstance(interval_s, int | float) and not isinstance(interval_s, bool) and 0 < interval_s <= LONGEST_INTERVAL_S
        self.barred, self._barred_until_mono_s = True, at.mono_s + max(BARRED_S, 2.0 * interval_s if named else 0.0)

    def tick(self, at: Stamp) -> None:
        """A second has passed."""
        if self.barred and at.mono_s >= self._barred_until_mono_s:
            self.barred = False

    def boot_due(self, at: Stamp) -> bool:
        """Whether the boot may go up now."""
        return self.boot is not None and at.mono_s >= self._boot_due_mono_s

    def restore(self, boot: Any, statuses: Any) -> None:
        """What the journal remembered; what cannot be read is not owed."""
        self.boot = boot if isinstance(boot, dict) else None
        for entry in statuses if isinstance(statuses, list) else []:
            match entry:
                case [int(evse_id), int(connector_id), dict(payload)]:
                    self._statuses[(evse_id, connector_id)] = payload

    def forget(self) -> list[Order | Fact]:
        """The station speaks another version now: what it said in the words of the old one can be told to nobody."""
        had, self._statuses = bool(self._statuses), {}
        return [*self.set_boot(None), *([self._write()] if had else [])]

    def _write(self) -> Persist:
        # On disk, for a station that was online all the time, as it sees it, does not say it again after our restart.
        statuses = [[*key, payload] for key, payload in self._statuses.items()]
        return Persist(0, remember={(STATUS_SPACE, self._station_id): statuses or None})

    def status(self, key: tuple[int, int], payload: Payload) -> list[Order | Fact]:
        """A connector changed while the CSMS was away. key: (EVSE, connector), whatever the station invents: bounded."""
        self._statuses.pop(key, None)
        self._statuses[key] = payload
        if len(self._statuses) > STATUSES_KEPT:
            del self._statuses[next(iter(self._statuses))]
        return [self._write()]

    def status_settled(self, key: tuple[int, int]) -> list[Order | Fact]:
        """A newer state of this connector is on its way."""
        return [self._write()] if self._statuses.pop(key, None) is not None else []

    def told(self, note: OurStatus) -> list[Order | Fact]:
        """The CSMS has heard a status; a newer one that came meanwhile is still owed."""
        return self.status_settled(note.key) if self._statuses.get(note.key) is note.payload else []

    def next_status(self) -> OurStatus | None:
        """The status to tell next."""
        if not self._statuses:
            return None
        key, payload = next(iter(self._statuses.items()))
        return OurStatus(key, payload)
