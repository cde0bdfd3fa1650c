"""Prints constraints.txt: the exact versions of everything in this environment but the project itself.

Only names and versions: no place to download from is named, so any package index serves.
Run it with the environment's own Python (``make constraints``).
"""

from __future__ import annotations

import re
import sys
from importlib.metadata import distributions

SKIPPED = frozenset({"yardmaster", "pip", "setuptools", "wheel"})
HEADER = """\
# Exact versions of everything Yardmaster needs to run, to show itself and to be tested.
# Written by `make constraints`; the ranges with their reasons are in pyproject.toml.
"""


def normal(name: str) -> str:
    """The name as package indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def main() -> int:
    """Print the pins in alphabetical order."""
    pins = {normal(dist.name): dist.version for dist in distributions()}
    lines = [f"{name}=={version}" for name, version in sorted(pins.items()) if name not in SKIPPED]
    sys.stdout.write(HEADER + "\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
