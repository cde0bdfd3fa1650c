"""Runs a fuzz target: with atheris, which looks for inputs that reach new code, else with blind random bytes.

    python tests/fuzz/fuzz_frames.py [--seconds 60] [--replay FILE]

atheris is not part of the development environment (it has wheels for few platforms): pip install atheris. What breaks
the oracle is kept in a file whose path is printed, and is run again with ``--replay``. Ends with 1 if something was found.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

try:
    import atheris
except ImportError:
    atheris = None

Target = Callable[[bytes], object]


def instrumented() -> Any:
    """Around the imports of what is fuzzed: atheris then sees which lines an input reaches."""
    return atheris.instrument_imports(include=["controller"]) if atheris is not None else contextlib.nullcontext()


def drive(one: Target, largest: int) -> None:
    """Feed a target for a while. largest: bytes of the longest input."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--replay", type=Path)
    options = parser.parse_args()
    if options.replay is not None:
        one(options.replay.read_bytes())
    elif atheris is not None:
        folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
        arguments = [f"-max_total_time={options.seconds}", f"-max_len={largest}", "-len_control=0", f"-artifact_prefix={folder}/"]
        atheris.Setup([sys.argv[0], *arguments], one)
        atheris.Fuzz()
    else:
        print("atheris is not installed: random bytes without a view of the code's coverage (pip install atheris)", flush=True)
        blind(one, largest, options.seconds)


def blind(one: Target, largest: int, seconds: float, seed: int | None = None) -> None:
    """Random inputs and mutations of earlier ones. Raises SystemExit(1) at the first that breaks the oracle."""
    seed = random.SystemRandom().getrandbits(32) if seed is None else seed
    print(f"seed {seed}", flush=True)
    dice = random.Random(seed)
    pool: list[bytes] = [b""]
    end, runs = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        data = _mutated(dice, pool, largest)
        runs += 1
        try:
            one(data)
        except Exception:
            file = Path(tempfile.mkdtemp(prefix="fuzz-")) / "found"
            file.write_bytes(data)
            print(f"found after {runs} runs, kept in {file}; again with: --replay {file}", flush=True)
            raise
        pool[dice.randrange(len(pool)) if len(pool) > 200 else len(pool) :] = [data]
    print(f"{runs} runs, nothing found")


def _mutated(dice: random.Random, pool: list[bytes], largest: int) -> bytes:
    if dice.random() < 0.5:
        return dice.randbytes(dice.randrange(largest))
    data = bytearray(dice.choice(pool))
    for _ in range(dice.randrange(1, 8)):
        place = dice.randrange(len(data) + 1)
        data[place : place + dice.randrange(4)] = dice.randbytes(dice.randrange(4))
    return bytes(data[:largest])
