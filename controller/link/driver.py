"""Who charges at one station's EVSEs, as far as it decides on service: ``DriverKnown`` for the site.

A priority comes, in this order, from the CSMS's word about the transaction, its word about the
driver (live, or as it was heard before), the station's local list, the site's own list, and the
driver's fleet group (E01.FR.18, K21). A group also knows when its cars usually leave and what they
need. In 1.6 the CSMS has no such word; lists and groups count there all the same.

What is kept on disk for a running session names nobody: a driver is known by a digest of the idTag under a key of this site's own,
so that who has a list of idTags cannot look up who came when.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, Final
from zoneinfo import ZoneInfo

from controller.config import AuthorizationConfig, GroupConfig
from controller.facts import DriverKnown, EvseKey, Fact, Stamp
from controller.ocpp.dialect import DriverWord, Payload
from controller.orders import Order, Persist

Outcome = Order | Fact
SPACE: Final = "driver"
KEY_SPACE: Final = "driver_key"
KEY: Final = (KEY_SPACE, "users")
Lookup = Callable[[Payload, float], "tuple[int | None, str]"]
"""(idToken, wall time) -> (priority, name of the group) as lists and earlier answers have it."""


class Users:
    """Names for drivers that say nothing about them and outlast restarts. seed: fresh randomness, the key until the journal has one."""

    def __init__(self, seed: str) -> None:
        self._key = hashlib.sha256(f"{seed}:users".encode()).hexdigest()
        self._kept = False

    def load(self, memory: Any) -> None:
        """The key as remembered; rubbish is none (F75)."""
        if isinstance(memory, str) and len(memory) == len(self._key) and memory.isascii():
            self._key, self._kept = memory, True

    def keep(self) -> list[Outcome]:
        """Put a fresh key on disk, once it has named somebody."""
        if self._kept:
            return []
        self._kept = True
        return [Persist(0, remember={KEY: self._key})]

    def name(self, token: Payload) -> str:
        """Of who has this idToken, "" = nobody in particular. Upper and lower case are the same, as the specifications want."""
        text = str(token.get("idToken") or "").strip().lower()
        return hashlib.blake2b(text.encode(), digest_size=8, key=self._key.encode()).hexdigest() if text else ""


class Groups:
    """The fleet groups of the site. timezone: IANA name; an unknown one counts as UTC."""

    def __init__(self, config: AuthorizationConfig, timezone: str) -> None:
        self._groups = {group.id: group for group in config.groups}
        self.timezone = _zone(timezone)

    def priority(self, name: str) -> int | None:
        """Of a group; None for an unknown one."""
        group = self._groups.get(name)
        return group.priority if group is not None else None

    def needs(self, name: str, wall_s: float) -> tuple[float | None, float | None]:
        """(when its cars usually leave next, what they usually need [Wh])."""
        group = self._groups.get(name)
        return (self._departure(group, wall_s), group.energy_wh) if group is not None else (None, None)

    def _departure(self, group: GroupConfig, wall_s: float) -> float | None:
        """The next HH:MM by the clock on the site's wall; one that the clock skips or repeats at a change comes once."""
        if group.departure is None:
            return None
        hour, minute = map(int, group.departure.split(":"))
        today = datetime.fromtimestamp(wall_s, self.timezone)
        for days in (0, 1, 2):
            day = today.date() + timedelta(days=days)
            moment = datetime(day.year, day.month, day.day, hour, minute, tzinfo=self.timezone).timestamp()
            if moment > wall_s:
                return moment
        return None


def _zone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        return UTC


@dataclass(frozen=True, slots=True)
class _Driver:
    """What is known of the driver of one transaction. of_csms: the priority is the CSMS's; overruled: of this transaction."""

    transaction_id: str
    priority: int | None = None
    of_csms: bool = False
    overruled: bool = False
    group: str = ""
    departure_wall_s: float | None = None
    energy_wh: float | None = None
    user: str = ""


class Drivers:
    """One station's. lookup: what lists say of a driver."""

    __slots__ = ("_groups", "_known", "_lookup", "_station_id", "_users")

    def __init__(self, station_id: str, groups: Groups, lookup: Lookup, users: Users) -> None:
        self._station_id = station_id
        self._groups = groups
        self._lookup = lookup
        self._users = users
        self._known: dict[int, _Driver] = {}

    # -- the journal's side -----------------------------------------------------------------------------

    def load(self, data: Any) -> None:
        """As remembered; what cannot be read is not known."""
        for key, value in data.items() if isinstance(data, dict) else ():
            try:
                self._known[int(key)] = _read(value)
            except (KeyError, TypeError, ValueError):
                continue

    def _remember(self) -> Persist:
        told = {str(evse_id): _dump(driver) for evse_id, driver in self._known.items()}
        return Persist(0, remember={(SPACE, self._station_id): told or None})

    # -- what happens ---------------------------------------------------------------------------------------

    def seen(self, at: Stamp, evse_id: int, transaction_id: str, token: Payload) -> list[Outcome]:
        """A message of a running transaction names its driver."""
        priority, group = self._lookup(token, at.wall_s)
        departure_wall_s, energy_wh = self._groups.needs(group, at.wall_s) if at.wall_trusted else (None, None)
        old = self._known.get(evse_id)
        driver = _Driver(transaction_id, priority, False, False, group, departure_wall_s, energy_wh, self._users.name(token))
        if old is not None and old.transaction_id == transaction_id:
            if old.group == group:  # named again: the departure it was told at the start still holds
                driver = replace(driver, departure_wall_s=old.departure_wall_s)
            driver = replace(driver, user=old.user or driver.user)  # another's card may end the session of whoever began it
            if old.of_csms:
                driver = replace(driver, priority=old.priority, of_csms=True, overruled=old.overruled)
        return self._set(at, evse_id, driver)

    def heard(self, at: Stamp, word: DriverWord, transactions: Mapping[int, str]) -> list[Outcome]:
        """The CSMS's answer speaks of the driver of a transaction. transactions: EVSE id -> what runs there."""
        evse_id = next((evse_id for evse_id, running in transactions.items() if running == word.transaction_id), None)
        if evse_id is None or word.priority is None:
            return []
        old = self._known.get(evse_id)
        known = old if old is not None and old.transaction_id == word.transaction_id else _Driver(word.transaction_id)
        if known.overruled and not word.overrules:
            return []
        return self._set(at, evse_id, replace(known, priority=word.priority, of_csms=True, overruled=word.overrules))

    def ended(self, running: Mapping[int, str]) -> list[Outcome]:
        """Transactions are over: their drivers are nobody's business any more."""
        gone = [evse_id for evse_id, driver in self._known.items() if running.get(evse_id) != driver.transaction_id]
        for evse_id in gone:
            del self._known[evse_id]
        return [self._remember()] if gone else []

    def told(self, at: Stamp, running: Mapping[int, str]) -> list[Outcome]:
        """All that is known, for a site that has just begun to listen."""
        return [self._fact(at, evse_id, driver) for evse_id, driver in self._known.items() if running.get(evse_id) == driver.transaction_id]

    def _set(self, at: Stamp, evse_id: int, driver: _Driver) -> list[Outcome]:
        old = self._known.get(evse_id)
        nothing = driver.priority is None and not driver.group and not driver.user
        if old == driver or (nothing and old is None):
            return []
        self._known[evse_id] = driver
        return [*(self._users.keep() if driver.user else ()), self._remember(), self._fact(at, evse_id, driver)]

    def _fact(self, at: Stamp, evse_id: int, driver: _Driver) -> DriverKnown:
        evse = EvseKey(self._station_id, evse_id)
        return DriverKnown(at, evse, driver.transaction_id, driver.priority, driver.departure_wall_s, driver.energy_wh, driver.group, driver.user)


def _dump(driver: _Driver) -> dict[str, Any]:
    return {
        "id": driver.transaction_id,
        "priority": driver.priority,
        "of_csms": driver.of_csms,
        "overruled": driver.overruled,
        "group": driver.group,
        "departure_wall_s": driver.departure_wall_s,
        "energy_wh": driver.energy_wh,
        "user": driver.user,
    }


def _read(data: Any) -> _Driver:
    """Inverse of ``_dump``. Raises KeyError, TypeError or ValueError."""
    priority, departure_wall_s, energy_wh = data["priority"], data["departure_wall_s"], data["energy_wh"]
    return _Driver(
        str(data["id"]),
        None if priority is None else int(priority),
        bool(data["of_csms"]),
        bool(data["overruled"]),
        str(data["group"]),
        None if departure_wall_s is None else float(departure_wall_s),
        None if energy_wh is None else float(energy_wh),
        str(data.get("user", "")),
    )
