"""Files of ours that hold secrets: only the user the program runs as may read them.

The journal is one: it keeps the passwords that a CSMS has given to stations, which have to be shown to
that CSMS again (``link.credentials``).
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def keep_private(path: Path) -> bool:
    """Create the file, empty, if it is missing, and take away what others may do with it; False if they still may."""
    with suppress(OSError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    for each in (path, path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")):
        with suppress(OSError):
            mode = each.stat().st_mode
            if mode & _OTHERS:
                each.chmod(stat.S_IMODE(mode) & ~_OTHERS)
    try:
        return not path.stat().st_mode & _OTHERS
    except OSError:
        return True
