"""Any story leaves the engine standing, every station its own socket. Run by ``make fuzz``; see ``drive`` and ``engine_world``."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.fuzz.drive import drive, instrumented

with instrumented():
    from tests.fuzz.engine_world import play


if __name__ == "__main__":
    drive(play, 2000)
