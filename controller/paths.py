"""Where the shipped data files (register maps, charger models, demo site) are found."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def config_dir() -> Path:
    """The folder with meters/, chargers/ and the example sites.

    Order: environment YARDMASTER_CONFIG_DIR, the checkout's config/, <prefix>/share/yardmaster/config.
    """
    override = os.environ.get("YARDMASTER_CONFIG_DIR")
    if override:
        return Path(override)
    checkout = Path(__file__).resolve().parent.parent / "config"
    if (checkout / "meters").is_dir():
        return checkout
    return Path(sys.prefix) / "share" / "yardmaster" / "config"
