"""Three days without a CSMS, the controller killed twice in between, in bounded memory (F19, P1, P2).

A few stations; ``make test-72h`` does it with a hundred. In a process of its own, whose memory is measured.
"""

from __future__ import annotations

import asyncio
import json
import sys

from tests.support.yard import ROOT

STATIONS, HOURS = 2, 72
MESSAGES = STATIONS * HOURS * 60
BYTES_PER_QUEUED = 600


async def test_f19_three_days_away_everything_arrives_in_order_and_memory_stays_small() -> None:
    program = [sys.executable, "-m", "tests.support.long_outage", "--stations", str(STATIONS), "--hours", str(HOURS), "--json"]
    process = await asyncio.create_subprocess_exec(*program, cwd=ROOT, stdout=asyncio.subprocess.PIPE)
    said, _ = await process.communicate()
    seen = json.loads(said)
    print(seen)
    assert process.returncode == 0, seen
    assert seen["said"] == seen["acknowledged"] > MESSAGES
    assert seen["missing_other"] == seen["wrong"] == seen["alarms"] == []
    assert seen["missing"] == seen["left_out"] > 0, "one car stays for more than a day: its values are thinned, and we are told how many"
    assert seen["arrivals"] - seen["repeats"] + seen["missing"] == seen["said"]
    assert seen["queued"] + seen["missing"] > MESSAGES * 0.95
    memory = seen["rss_mib"]
    assert memory["72 h"] - memory["12 h"] < 8 + BYTES_PER_QUEUED * seen["queued"] / 2**20
