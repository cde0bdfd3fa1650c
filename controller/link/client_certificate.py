"""Which of our certificates we show a CSMS next: the new one until it is proven or has failed too often, else the one before (A02, A03).

    new one comes --let in--> it is the one from now on, the one before goes
                  --refused--> the one before once, then the new one again; after three refusals it goes

Only refusals count: a CSMS that is away says nothing about a certificate. And one that has been let in with a certificate is never
shown none again: a security profile is not lowered because a file has gone (A05).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

REFUSALS: Final = 3
"""A CSMS may need a while to know what it has signed."""


class Source(StrEnum):
    """Where the certificate for the next dial is."""

    NEW = "new"
    KEPT = "kept"
    CONFIGURED = "configured"
    NONE = "none"


class ClientCertificate:
    """Of one identity at one CSMS."""

    def __init__(self) -> None:
        self._refused = 0
        self._showing = Source.NONE

    @property
    def shown(self) -> bool:
        """Whether the last dial was made with a certificate."""
        return self._showing is not Source.NONE

    def choose(self, *, new: bool, kept: bool, configured: bool, proven: bool) -> Source | None:
        """What to show now, of what there is. proven: one has been let in before. None: one is needed and there is none."""
        if new and self._showing is Source.NEW and self._refused:
            new = not (kept or configured)  # the one before, once
        self._showing = _first(new, kept, configured)
        return None if self._showing is Source.NONE and proven else self._showing

    def opened(self) -> bool:
        """The CSMS has let us in; True if a new one is proven by that."""
        proven = self._showing is Source.NEW
        if proven:
            self._refused = 0
        return proven

    def refused(self) -> bool:
        """It has refused us; True if the new one shall go: it will not do."""
        if self._showing is not Source.NEW:
            return False
        self._refused += 1
        if self._refused < REFUSALS:
            return False
        self.renewed()
        return True

    def renewed(self) -> None:
        """There is another new one, or none any more."""
        self._refused, self._showing = 0, Source.NONE


def _first(new: bool, kept: bool, configured: bool) -> Source:
    if new:
        return Source.NEW
    if kept:
        return Source.KEPT
    return Source.CONFIGURED if configured else Source.NONE
