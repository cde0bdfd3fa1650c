"""What it means for the site that a neighbour is not well, in words that are true for this site."""

from __future__ import annotations

from typing import Final

from controller.config import Config
from controller.site.grid.limit_store import BROKER

WITHOUT: Final = "charging goes on, it does not depend on it"
OVER_BROKER: Final = frozenset({"mqtt", "eebus"})
"""Types of signals that come over the site's broker."""


def without(config: Config, source: str) -> str:
    """What holds while ``source`` is not well. A source of limits goes on holding the site, and what comes over the broker falls silent."""
    if source == BROKER:
        leaning = any(entry.type in OVER_BROKER for entry in config.signals) or any(meter.source.type == "mqtt" for meter in config.meters)
        return "charging goes on; limits and meters that come over it are silent" if leaning else WITHOUT
    entry = next((entry for entry in config.signals if entry.id == source), None)
    if entry is None:
        return WITHOUT
    if entry.type == "contacts":
        return "a contact that cannot be read counts as its 'missing' says"
    if entry.failsafe_w is not None or entry.failsafe_production_w is not None:
        return "its last limit holds on, and its failsafe when it stays silent"
    return "its last limit holds on until its end"
