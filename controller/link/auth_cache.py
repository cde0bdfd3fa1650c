"""What the CSMS said about id tokens, for the time it is away (OCPP-NOTES 4.4).

Filled only from answers of the CSMS, keeps their expiry, forgets after MAX_AGE_S. Keys are
hashes: the file on disk names nobody. Site-wide: a driver known at one station is known at all.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

Payload = dict[str, Any]
SPACE = "token"
MAX_AGE_S = 30 * 86_400.0
MAX_TOKENS = 20_000
LASTING = frozenset({"Accepted", "Blocked", "Expired", "Invalid", "NoCredit", "Unknown"})
"""What is true of the driver. Other words (ConcurrentTx, NotAtThisTime ...) are true of one moment only."""
KEPT = ("status", "cacheExpiryDateTime", "chargingPriority", "evseId")
"""Of an idTokenInfo; group tokens and personal messages name people and stay out of the journal."""


def token_key(token: Payload) -> str:
    """Stable hash of an idToken; case-insensitive as the specification wants."""
    text = f"{token.get('type', '')}:{token.get('idToken', '')}".lower()
    return hashlib.sha256(text.encode()).hexdigest()[:40]


class AuthCache:
    """token key -> {"info": idTokenInfo, "seen_wall_s": when}. read_time parses the expiry of an answer."""

    def __init__(self, read_time: Callable[[Any], float | None]) -> None:
        self._read_time = read_time
        self._known: dict[str, Payload] = {}

    def load(self, key: str, value: Any) -> None:
        """A remembered entry from the journal."""
        if isinstance(value, dict) and isinstance(value.get("info"), dict):
            self._known[key] = value

    def learn(self, token: Payload, info: Payload, wall_s: float) -> dict[tuple[str, str], Any]:
        """Keep an answer; returns what the journal shall remember (nothing when it is no news)."""
        if info.get("status") not in LASTING:
            return {}
        info = {name: info[name] for name in KEPT if name in info}
        key = token_key(token)
        old = self._known.get(key)
        if old is not None and old["info"] == info and wall_s - old.get("seen_wall_s", 0.0) < 86_400.0:
            return {}
        remember: dict[tuple[str, str], Any] = {}
        if old is None and len(self._known) >= MAX_TOKENS:
            oldest = min(self._known, key=lambda known: self._known[known].get("seen_wall_s", 0.0))
            del self._known[oldest]
            remember[(SPACE, oldest)] = None
        self._known[key] = {"info": info, "seen_wall_s": wall_s}
        remember[(SPACE, key)] = self._known[key]
        return remember

    def lookup(self, token: Payload, wall_s: float) -> Payload | None:
        """idTokenInfo as last said, None when unknown, too old or past its expiry."""
        entry = self._known.get(token_key(token))
        if entry is None or wall_s - entry.get("seen_wall_s", 0.0) > MAX_AGE_S:
            return None
        info: Payload = entry["info"]
        return None if self.is_over(info, wall_s) else info

    def clear(self) -> dict[tuple[str, str], Any]:
        """Forget everybody; returns what the journal shall remember."""
        forgotten: dict[tuple[str, str], Any] = {(SPACE, key): None for key in self._known}
        self._known.clear()
        return forgotten

    def is_over(self, info: Payload, wall_s: float) -> bool:
        """Whether an idTokenInfo has passed its own expiry."""
        expiry_wall_s = self._read_time(info.get("cacheExpiryDateTime"))
        return expiry_wall_s is not None and expiry_wall_s <= wall_s

    def last_status(self, token: Payload) -> str | None:
        """The status the CSMS gave last, however long ago; None if it never did."""
        entry = self._known.get(token_key(token))
        return str(entry["info"].get("status")) if entry is not None else None
