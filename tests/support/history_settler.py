"""A program that writes history and settles it all the time, for a test that kills it. ``python -m tests.support.history_settler FILE``.

Prints the number of batches that are written, after each.
"""

from __future__ import annotations

import sys
from itertools import count
from pathlib import Path

from controller.io.history.store import HistoryStore
from controller.orders import RecordPoint

BEGIN_S = 20_000.0 * 86_400


def main(path: str) -> None:
    """Until killed."""
    store = HistoryStore(Path(path))
    store.open()
    for number in count(1):
        fields = {"power_w": float(number), "limit_a": 16.0, "energy_wh": float(number)}
        store.write([RecordPoint("evse", {"evse": f"CP{one}/1"}, fields, BEGIN_S + 10.0 * number) for one in range(10)])
        print(number, flush=True)
        if number % 7 == 0:
            for part in store.unsettled():
                store.settle(part)
            store.settled()


if __name__ == "__main__":
    main(sys.argv[1])
