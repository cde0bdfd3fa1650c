"""The benchmark's memory: one line per figure in ``history.csv``, so that a slower or worse version is seen.

Columns: date, commit, bench, figure, value, unit, target, ratio. ratio is against a reference of the same run ("" = none):
machines are noisy, ratios are not.
"""

from __future__ import annotations

import csv
import subprocess
from datetime import UTC, datetime
from pathlib import Path

HISTORY = Path(__file__).with_name("history.csv")
HEADS = ("date", "commit", "bench", "figure", "value", "unit", "target", "ratio")


def record(bench: str, figure: str, value: float, unit: str, target: str = "", ratio: float | None = None) -> None:
    """Print a figure and append it to the history. target: as a text, e.g. "<= 15"."""
    beside = f", {ratio:.3g} x the reference" if ratio is not None else ""
    print(f"{figure}: {value:.4g} {unit}{beside}" + (f"   (to reach: {target})" if target else ""), flush=True)
    fresh = not HISTORY.exists()
    with HISTORY.open("a", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        if fresh:
            writer.writerow(HEADS)
        day = datetime.now(UTC).strftime("%Y-%m-%d")  # noqa: TID251 - a benchmark's own date
        writer.writerow((day, commit(), bench, figure, f"{value:.6g}", unit, target, "" if ratio is None else f"{ratio:.4g}"))


def commit() -> str:
    """Short name of the commit that is measured, with "+" for uncommitted changes; "?" outside a repository."""
    try:
        name, dirty = _git("rev-parse", "--short", "HEAD"), _git("status", "--porcelain", "-uno")
    except (OSError, subprocess.CalledProcessError):
        return "?"
    return name + ("+" if dirty else "")


def _git(*words: str) -> str:
    return subprocess.run(["git", *words], capture_output=True, text=True, check=True, cwd=HISTORY.parent).stdout.strip()
