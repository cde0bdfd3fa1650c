"""A line to the CSMS that loses every fifth packet, takes half a second and carries 64 kbit/s (F33, P1, P2, P7).

With root it is a line of real packets between two network namespaces; without, a proxy that behaves like one.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from tests.support.lossy_link import in_own_network
from tests.support.yard import ROOT

STATION_PATIENCE_S = 30.0
"""What stations usually give a CALL. Ours are answered after at most a call's timeout and the wait for the dialled CSMS (3 s)."""

pytestmark = pytest.mark.system


async def test_f33_on_a_lossy_slow_line_nothing_is_lost_and_stations_are_answered_in_time(tmp_path: Path) -> None:
    program = await asyncio.to_thread(in_own_network, str(tmp_path), "8")
    process = await asyncio.create_subprocess_exec(*program, cwd=ROOT, stdout=asyncio.subprocess.PIPE)
    said, _ = await process.communicate()
    assert process.returncode == 0
    seen = json.loads(said)
    print(seen)
    assert seen["faultless"], seen["account"]
    assert seen["complaints"] == []
    assert seen["acknowledged"] > 20
    assert all(lost >= 3 and lost > passed / 20 for lost, passed in zip(seen["lost"], seen["passed"], strict=True))
    assert seen["worst_answer_s"] < STATION_PATIENCE_S / 2
    assert seen["setpoints"] > 0, "control does not wait for the CSMS"
