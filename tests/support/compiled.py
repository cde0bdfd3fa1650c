"""Compiles all test files and ours once, before the workers of a parallel run start: `compile_all()`.

Every worker of pytest-xdist reads every test file, and pytest rewrites each one's asserts. Side by side at the start, each of
them would do all of that work for itself; what lies in ``__pycache__`` they only read. The programs that tests start find
Yardmaster compiled there, too.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

TESTS: Final = Path(__file__).resolve().parents[1]
STAMP: Final = TESTS / "__pycache__" / "compiled"
"""Written when all was compiled; whatever is newer makes it necessary again."""
SIDE_BY_SIDE: Final = 2


def write_bytecode() -> None:
    """Here and in every program we start, whatever the surroundings say: several hundred starts of Python pay for it."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False


def stale() -> bool:
    """Whether a test file is newer than the last compilation of all."""
    files = [*TESTS.rglob("test_*.py"), *TESTS.rglob("conftest.py")]
    return not STAMP.exists() or max(file.stat().st_mtime for file in files) > STAMP.stat().st_mtime


def compile_all() -> None:
    """Collect half of the files in each of two processes, which leaves them compiled. Their problems show in the real run."""
    if not stale():
        return
    files = sorted((str(file) for file in TESTS.rglob("test_*.py")), key=lambda name: Path(name).stat().st_size)
    shares = [files[number::SIDE_BY_SIDE] for number in range(SIDE_BY_SIDE)]
    command = [sys.executable, "-m", "pytest", "--collect-only", "-qq", "-p", "no:xdist", "-p", "no:cacheprovider"]
    running = [subprocess.Popen([*command, *share], cwd=TESTS.parent, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for share in shares]
    for process in running:
        process.wait()
    STAMP.parent.mkdir(exist_ok=True)
    STAMP.touch()
