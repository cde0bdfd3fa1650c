"""Many chargers' firmware states as one. Pure.

While some are under way the depot is where the one is that is least far; those that have failed do not hold it back. When all
have ended it is Installed if all are, else the worst that happened.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

WAY: Final = {
    "": 0,
    "DownloadScheduled": 0,
    "DownloadPaused": 1,
    "Downloading": 1,
    "Downloaded": 2,
    "SignatureVerified": 3,
    "InstallScheduled": 4,
    "Installing": 5,
    "InstallRebooting": 5,
    "Installed": 6,
}
FAILURES: Final = ("InstallationFailed", "InstallVerificationFailed", "InvalidSignature", "DownloadFailed")
"""The worst one first."""


@dataclass(frozen=True, slots=True)
class Progress:
    """status: of the depot. final: all have ended."""

    status: str
    final: bool = False


def ended(status: str) -> bool:
    """Whether a charger's update is over."""
    return status == "Installed" or status in FAILURES


def merged(statuses: Sequence[str]) -> Progress:
    """statuses: the last one of each charger, "" = it has said nothing yet."""
    if all(ended(status) for status in statuses):
        return Progress(next((status for status in FAILURES if status in statuses), "Installed"), True)
    if not any(WAY.get(status, 1) >= 1 for status in statuses):
        return Progress("DownloadScheduled")
    # One that still waits for its turn has everything before it: the depot as a whole is downloading.
    going = [status for status in statuses if status not in FAILURES]
    least = min(going, key=lambda status: max(1, WAY.get(status, 1)))
    return Progress("Downloading" if WAY.get(least, 1) == 0 else least)


def ending(chargers: Mapping[str, str]) -> str:
    """Who did what, for statusInfo. chargers: station id -> its last state."""
    installed = sum(status == "Installed" for status in chargers.values())
    failed = [f"{station_id} {status}" for station_id, status in chargers.items() if status != "Installed"]
    return f"{installed} of {len(chargers)} chargers installed{'; ' if failed else ''}{', '.join(failed)}"[:500]
