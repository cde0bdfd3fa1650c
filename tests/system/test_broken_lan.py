"""A charger's network breaks: one way only, under a new address, with a twin of ours on it, for large packets only (F35, F37, F38, F39).

With root these are real packets between two network namespaces, without a proxy that loses what they would lose. Each story ends with the
station charging above its fallback again, without anybody's help; a story in which anything of it does not happen ends with an error.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.broken_lan import FAULTS, in_own_network
from tests.support.yard import ROOT

pytestmark = pytest.mark.system

Seen = dict[str, Any]
fault = pytest.mark.parametrize("fault", list(FAULTS))


async def _played(folder: Path, fault: str, packets: bool) -> Seen:
    program = await asyncio.to_thread(in_own_network, folder, fault, packets)
    process = await asyncio.create_subprocess_exec(*program, cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT)
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()[-4000:]
    seen: Seen = json.loads(said.splitlines()[-1])
    print(fault, {name: value for name, value in seen.items() if name != "log"})
    return seen


async def _all(folder: Path) -> dict[tuple[str, bool], Seen]:
    """Side by side, because real seconds pass; the plain proxy too, which is all that machines without root have."""
    plays = [(fault, packets) for fault in FAULTS for packets in (True, False)]
    for fault, packets in plays:
        (folder / f"{fault}-{packets}").mkdir()
    seen = await asyncio.gather(*(_played(folder / f"{fault}-{packets}", fault, packets) for fault, packets in plays))
    return dict(zip(plays, seen, strict=True))


@pytest.fixture(scope="module")
def stories(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, bool], Seen]:
    """All of them, once."""
    return asyncio.run(_all(tmp_path_factory.mktemp("broken")))


@fault
@pytest.mark.parametrize("packets", [True, False], ids=["packets", "bytes"])
def test_control_is_back_by_itself_and_nothing_of_ours_broke(stories: dict[tuple[str, bool], Seen], fault: str, packets: bool) -> None:
    seen = stories[fault, packets]
    assert seen["code"] == 0
    assert "Traceback" not in seen["log"]
    assert "its fallback holds until it is back" in seen["log"], "a person is told"


@pytest.mark.parametrize(("fault", "told"), [("F35", "no answer to a ping"), ("F37", "no answer to a ping"), ("F38", "no answer to a ping")])
def test_a_path_that_is_dead_is_found_by_a_ping(stories: dict[tuple[str, bool], Seen], fault: str, told: str) -> None:
    """F02's way: nobody is told of the end of such a connection. The proxy ends it, where it can do no better."""
    seen = stories[fault, True]
    assert seen["line"] == "bytes" or told in seen["log"]


def test_f39_a_connection_that_takes_small_packets_only_does_not_hang(stories: dict[tuple[str, bool], Seen]) -> None:
    assert "station disconnected" in stories["F39", True]["log"]
