"""How near the program is to the memory it may have (F71).

The service manager ends a program that uses more than its unit allows (``MemoryMax``), and starts it again: nothing is
lost, but every station has to come back. So from 85 % on no new connection is let in and telemetry is left
out; it ends below 75 %. What counts is the resident memory without files: a database in the cache of the system is free to take.
"""

from __future__ import annotations

import os
from pathlib import Path

TIGHT, EASY = 0.85, 0.75
_GROUPS = Path("/sys/fs/cgroup")


class MemoryMeter:
    """Turns measurements into news: tight once, easy again once. Pure. tight: the state now."""

    def __init__(self) -> None:
        self.tight = False

    def saw(self, used_bytes: int, limit_bytes: int) -> tuple[bool, str] | None:
        """One measurement, both > 0; (healthy, detail) when the state changes, else None."""
        share = used_bytes / limit_bytes
        if self.tight == (share > (EASY if self.tight else TIGHT)):
            return None
        self.tight = not self.tight
        figures = f"{used_bytes / 2**20:.0f} of {limit_bytes / 2**20:.0f} MiB used"
        if not self.tight:
            return True, figures
        return False, f"{figures}; new connections are refused and telemetry is left out; give the service more memory (MemoryMax)"


def used_bytes(process: Path = Path("/proc/self")) -> int:
    """Memory of this program that cannot be dropped; 0 where the system does not say."""
    try:
        _, resident, shared, *_ = map(int, (process / "statm").read_text().split())
    except (OSError, ValueError):
        return 0
    return (resident - shared) * os.sysconf("SC_PAGE_SIZE")


def limit_bytes(process: Path = Path("/proc/self"), groups: Path = _GROUPS) -> int:
    """The least of what this program's control groups allow and what the machine has."""
    limits = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    try:
        lines = (process / "cgroup").read_text().splitlines()
    except OSError:
        lines = []
    for line in lines:
        if line.startswith("0::/"):
            folder = groups / line.removeprefix("0::/")
            limits += [limit for group in (folder, *folder.parents) if group.is_relative_to(groups) and (limit := _number(group / "memory.max"))]
    return min(limits)


def _number(file: Path) -> int:
    """The number in a file; 0 for "max", and where there is none."""
    try:
        return int(file.read_text())
    except (OSError, ValueError):
        return 0
