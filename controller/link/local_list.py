"""Who may charge while the CSMS cannot say: lists first, then what it said before (C10-C14, D01, OCPP-NOTES 4.4).

In this order: the site's own list of drivers (site.yaml), the local authorisation list the CSMS has
put into this very station, the cache of its earlier answers, and last what the site file says of
drivers nobody knows. A copy of a station's list is kept in step with the station: an update counts
when the station has accepted it, and when the station reports another version than ours the copy is
dropped, because a driver may have been taken off it. Keys are hashes: the file on disk names nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from controller.config import AuthorizationConfig, TokenConfig, UpstreamConfig
from controller.link.auth_cache import KEPT, AuthCache, token_key
from controller.ocpp.dialect import ListUpdate, Payload
from controller.ocpp.times import timestamp

SPACE: Final = "list"
MAX_ENTRIES: Final = 20_000
CARDS: Final = ("", "ISO14443", "ISO15693", "Central", "KeyCode", "Local")
"""Kinds that may all mean the same card: 1.6 does not tell them apart, so a driver known at a 1.6 station is known at a 2.x one."""

Memory = dict[tuple[str, str], Any]


def spellings(token: Payload) -> Iterable[Payload]:
    """The idToken as it is, then as stations of other versions would name the same card."""
    yield token
    if token.get("type", "") in CARDS:
        yield from ({"idToken": token.get("idToken"), "type": kind} for kind in CARDS if kind != token.get("type", ""))


class SiteList:
    """The site's own drivers. Compared without case (C10 and 1.6 CiString)."""

    def __init__(self, config: AuthorizationConfig) -> None:
        self._tokens = {token.id_token.lower(): token for token in config.tokens}
        self._groups = {group.id: group.priority for group in config.groups}

    def lookup(self, token: Payload, wall_s: float) -> Payload | None:
        """idTokenInfo of a driver on the list (Expired after its end), None for any other."""
        known = self._known(token)
        if known is None:
            return None
        info: Payload = {"status": "Accepted"}
        if known.expires is not None:
            expires_wall_s = known.expires.timestamp()
            if expires_wall_s <= wall_s:
                return {"status": "Expired"}
            info["cacheExpiryDateTime"] = timestamp(expires_wall_s)
        priority = self.service(token)[0]
        return info | ({"chargingPriority": priority} if priority else {})

    def service(self, token: Payload) -> tuple[int | None, str]:
        """(priority, name of the fleet group) of a driver on the list; (None, "") for any other."""
        known = self._known(token)
        if known is None:
            return None, ""
        group = known.group or ""
        return self._groups.get(group) if known.priority is None else known.priority, group

    def _known(self, token: Payload) -> TokenConfig | None:
        return self._tokens.get(str(token.get("idToken", "")).lower()) if token.get("type", "") in (*CARDS, "eMAID") else None


class LocalList:
    """Copy of one station's local authorisation list."""

    __slots__ = ("_entries", "_station_id", "version")

    def __init__(self, station_id: str) -> None:
        self._station_id = station_id
        self._entries: dict[str, Payload] = {}
        self.version = 0
        """As the station has it; 0 = none."""

    def load(self, data: Any) -> None:
        """As the journal remembered it; what cannot be read counts as no list."""
        entries = data.get("entries") if isinstance(data, dict) else None
        version = data.get("version") if isinstance(data, dict) else None
        if isinstance(entries, dict) and isinstance(version, int) and all(isinstance(info, dict) for info in entries.values()):
            self._entries, self.version = dict(entries), version

    def update(self, update: ListUpdate) -> Memory:
        """An update the station has accepted; returns what the journal shall remember."""
        if update.full:
            self._entries = {}
        for token, info in update.entries:
            self._put(token_key(token), info)
        self.version = update.version
        return self._remember()

    def _put(self, key: str, info: Payload | None) -> None:
        if info is None:
            self._entries.pop(key, None)
        elif key in self._entries or len(self._entries) < MAX_ENTRIES:
            self._entries[key] = {name: info[name] for name in KEPT if name in info}

    def reported(self, version: int) -> Memory:
        """The station tells the version of its list: if it is not ours, ours is worth nothing."""
        if version == self.version or (version <= 0 and not self._entries):
            return {}
        self._entries, self.version = {}, max(0, version)
        return self._remember()

    def _remember(self) -> Memory:
        return {(SPACE, self._station_id): {"version": self.version, "entries": self._entries}}

    def lookup(self, token: Payload) -> Payload | None:
        """idTokenInfo as the CSMS put it into the list, None for a driver who is not on it."""
        return next((found for spelt in spellings(token) if (found := self._entries.get(token_key(spelt))) is not None), None)


class Authorizer:
    """What one station's drivers hear from us. upstream None: the station has no CSMS."""

    __slots__ = ("_cache", "_config", "_site", "_unknown", "depot", "list")

    def __init__(self, station_id: str, config: AuthorizationConfig, site: SiteList, upstream: UpstreamConfig | None, cache: AuthCache) -> None:
        self.list = LocalList(station_id)
        self.depot: Callable[[Payload], Payload | None] = lambda token: None
        """idTokenInfo on the list of the depot this station is an EVSE of: also for a station that keeps no list itself."""
        self._site = site
        self._cache = cache
        self._config = config
        self.rewire(upstream)

    def rewire(self, upstream: UpstreamConfig | None) -> None:
        """The station has another CSMS from now on, or none."""
        # Without a CSMS nobody could ever say yes: where there is no list either, the gate of the depot does.
        self._unknown = upstream.offline_unknown == "accept" if upstream is not None else self._config.accepts_unknown

    def lookup(self, token: Payload, wall_s: float) -> Payload | None:
        """idTokenInfo of a driver; None for one nobody knows and nobody vouches for."""
        known = self._site.lookup(token, wall_s) or self._listed(token, wall_s) or self._said(token, wall_s)
        if known is None and self._unknown and not self._barred(token):
            return {"status": "Accepted"}
        return known

    def service(self, token: Payload, wall_s: float) -> tuple[int | None, str]:
        """(priority, name of the fleet group): the CSMS's own word first, then the station's list, then the site's (E01.FR.18)."""
        priority, group = self._site.service(token)
        for info in (self._said(token, wall_s), self.list.lookup(token)):
            said = info.get("chargingPriority") if info is not None else None
            if type(said) is int and -9 <= said <= 9:
                return said, group
        return priority, group

    def _listed(self, token: Payload, wall_s: float) -> Payload | None:
        info = self.list.lookup(token) or self.depot(token)
        return {**info, "status": "Expired"} if info is not None and self._cache.is_over(info, wall_s) else info

    def _said(self, token: Payload, wall_s: float) -> Payload | None:
        return next((found for spelt in spellings(token) if (found := self._cache.lookup(spelt, wall_s)) is not None), None)

    def _barred(self, token: Payload) -> bool:
        """However long ago the CSMS said no: that is not "unknown"."""
        last = (self._cache.last_status(spelt) for spelt in spellings(token))
        return any(status not in (None, "Accepted") for status in last)
