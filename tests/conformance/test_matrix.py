"""The same story in every cell of station version x face x upstream version, and what the CSMS saw of it.

Peers are processes of their own made with PyPI ``ocpp``; each judges every frame it gets by the schemas of its version. The expected
view has no version: who charged where, from which register value to which, and why it ended.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.conformance.matrix import FACES, VERSIONS, Cell, cell
from tests.support.yard import until

pytestmark = pytest.mark.system

ROWS = [(station, face) for station in VERSIONS for face in FACES]


async def morning(here: Cell) -> None:
    """Boot, authorise, charge, a limit of the CSMS, and the CSMS ends it."""
    assert (await here.do("boot"))["status"] == "Accepted"
    await until(lambda: here.upstream_is("open"))
    info = {"ocpp1.6": "idTagInfo"}.get(here.station_version, "idTokenInfo")

    async def known() -> bool:
        return bool((await here.do("authorize", token="GOOD-1"))[info]["status"] == "Accepted")

    await until(known)  # the socket is open a moment before the CSMS has accepted the boot; until then nobody is asked
    assert (await here.do("authorize", token="BAD-1"))[info]["status"] == "Invalid"
    await here.do("plug")
    await here.do("start", token="GOOD-1", wh=1000)
    await until(lambda: here.words.view())
    await here.do("values", wh=1010)
    assert await here.words.limit(9.0) == "Accepted"
    await here.station_has(lambda state: state["limit"] is not None and state["limit"] <= 9.0)
    assert await here.words.stop() == "Accepted"
    await here.station_has(lambda state: state["transaction"] is None and not state["deeds"])
    await here.do("unplug")


async def outage(here: Cell) -> None:
    """A session without the CSMS, which learns of it afterwards."""
    await here.csms_off()
    await here.do("plug")
    await here.do("start", token="GOOD-1", wh=2000)
    await here.do("values", wh=2010)
    await here.do("stop", wh=2020)
    await here.do("unplug")
    await here.csms_on(9501)
    await until(lambda: here.settled())


async def office_hours(here: Cell) -> None:
    """Configuration, local list, firmware, log."""
    assert await here.words.read() == "60"
    assert await here.words.write("77") == "Accepted"
    await here.station_has(lambda state: "77" in state["settings"].values())
    assert await here.words.read() == "77"
    assert await here.words.send_list(3, "GOOD-1", "GOOD-2") == "Accepted"
    await here.station_has(lambda state: {token.upper() for token in state["list"][1]} == {"GOOD-1", "GOOD-2"})
    assert await here.words.list_version() == 3
    assert await here.words.firmware(f"{here.web}/fw.bin") == "Accepted"
    await until(lambda: "Installed" in here.words.firmware_states())
    assert await here.words.logs(f"{here.web}/logs") in ("Accepted", "AcceptedCanceled")
    await until(lambda: "Uploaded" in here.words.log_states())


async def evening(here: Cell) -> None:
    """A remote start, and a reset of the station."""
    await here.do("plug")
    assert await here.words.start("GOOD-2") == "Accepted"
    await here.station_has(lambda state: state["transaction"] is not None and not state["deeds"])
    await here.do("stop", wh=2050)
    await here.do("unplug")
    await until(lambda: len([event for event in here.words.view() if event[0] == "stop"]) == 3)
    assert await here.words.reset() == "Accepted"
    await until(lambda: len(_boots(here)) == 2)


def _boots(here: Cell) -> list[str]:
    return [line for line in (here.folder / "station.jsonl").read_text().splitlines() if "BootNotification" in line and '"out"' in line]


@pytest.mark.parametrize(("station", "face"), ROWS)
async def test_the_story_below_a_csms_of_every_version(tmp_path: Path, station: str, face: str) -> None:
    """Three cells side by side: most of a story is waiting."""
    async with asyncio.TaskGroup() as cells:
        for upstream in VERSIONS:
            (tmp_path / upstream).mkdir()
            cells.create_task(story(tmp_path / upstream, station, face, upstream))


async def story(folder: Path, station: str, face: str, upstream: str) -> None:
    """One cell."""
    async with cell(folder, station, face, upstream) as here:
        await morning(here)
        await outage(here)
        await office_hours(here)
        await evening(here)
        assert here.words.view() == [
            *[("start", here.place, "GOOD-1", 1000), ("value", 1010), ("stop", 1020, "Remote")],
            *[("start", here.place, "GOOD-1", 2000), ("value", 2010), ("stop", 2020, "Local")],
            *[("start", here.place, "GOOD-2", 2020), ("stop", 2050, "Local")],
        ], f"{station} at a CSMS of {upstream}"
        here.words.laws()
        assert here.names() == {here.name}, "the CSMS meets the one identity of this face"
        await until(lambda: here.words.states()[-1] == "Available", 15)  # a state waits for the next one before it is told
        assert here.invalid() == []
