"""A day of a 1.6 station between independent peers, with an outage in the middle of a session.

Seen at the CSMS: every start, reading and stop once and in order, all of them with the id the CSMS itself chose.
Seen at the station: one id per session from start to stop, whoever chose it. OCPP-NOTES 4.2; traps 8, 9.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conformance.sessions import Session16, boot_16
from tests.conformance.world import World, world
from tests.support.yard import until

pytestmark = pytest.mark.system

MONEY = ("StartTransaction", "MeterValues", "StopTransaction")


async def morning(here: World) -> None:
    """Boot, a session that the CSMS ends, and one that is running when the CSMS dies."""
    await boot_16(here)
    first = Session16(here, "GOOD-1", 1)
    await first.start()
    assert first.id == 9001
    await first.read()
    await first.read()
    assert (await here.order("RemoteStopTransaction", transaction_id=9001))["status"] == "Accepted"
    assert here.at_station("RemoteStopTransaction")[-1][1] == {"transactionId": 9001}
    await first.stop("Remote")


async def outage(here: World) -> Session16:
    """The CSMS is killed in the second session; the third happens without it; the fourth is running when this ends."""
    second = Session16(here, "GOOD-1", 2)
    await second.start()
    await second.read()
    await here.csms_off()
    await second.read()
    await second.stop()
    assert (await here.call("Authorize", id_tag="GOOD-1"))["id_tag_info"]["status"] == "Accepted"
    third = Session16(here, "GOOD-1", 3)
    await third.start()
    await third.read()
    await third.stop()
    fourth = Session16(here, "GOOD-1", 4)
    await fourth.start()
    await fourth.read()
    ids = [second.id, third.id, fourth.id]
    assert second.id == 9002
    assert all(number > 0 for number in ids)
    assert len({9001, *ids}) == 4
    return fourth


def told(here: World) -> list[tuple[str, int, str]]:
    """What the CSMS was told of sessions: (action, transaction, time), "transaction" of a start being its meter value."""
    found = []
    for action, payload in here.at_csms(*MONEY):
        if action == "StartTransaction":
            found.append(("start", payload["meterStart"], payload["timestamp"]))
        elif action == "MeterValues":
            found.append(("read", payload["transactionId"], payload["meterValue"][0]["timestamp"]))
        else:
            found.append(("stop", payload["transactionId"], payload["timestamp"]))
    return found


async def evening(here: World, fourth: Session16) -> None:
    """The CSMS is back and gives ids of its own, from 9101 on."""
    await here.csms_on(first_id=9101)
    await until(lambda: len(told(here)) >= 13 and here.settled())
    await fourth.read()
    assert (await here.order("RemoteStopTransaction", transaction_id=9102))["status"] == "Accepted"
    assert here.at_station("RemoteStopTransaction")[-1][1] == {"transactionId": fourth.id}
    await fourth.stop("Remote")
    await until(lambda: len(told(here)) >= 15)


EVERYTHING = [
    *[("start", 1000), ("read", 9001), ("read", 9001), ("stop", 9001)],
    *[("start", 2000), ("read", 9002), ("read", 9002), ("stop", 9002)],
    *[("start", 3000), ("read", 9101), ("stop", 9101)],
    *[("start", 4000), ("read", 9102), ("read", 9102), ("stop", 9102)],
]


def check(here: World) -> None:
    """Everything once, in order; statuses are the present, not history."""
    assert [entry[:2] for entry in told(here)] == EVERYTHING
    assert len(set(told(here))) == len(EVERYTHING)
    stops = [payload["meterStop"] for _, payload in here.at_csms("StopTransaction")]
    assert stops == [1030, 2030, 3020, 4030]


async def test_sessions_through_an_outage(tmp_path: Path) -> None:
    async with world(tmp_path, "ocpp1.6") as here:
        await morning(here)
        fourth = await outage(here)
        before = len(here.at_csms("StatusNotification"))
        await evening(here, fourth)
        check(here)
        after = [payload["status"] for _, payload in here.at_csms("StatusNotification")[before:]]
        assert after == ["Charging", "Available"], "16 4.9: only the current state after an outage"
        assert len(here.at_csms("BootNotification")) == 1, "the station did not boot again"


async def test_sessions_through_an_outage_in_which_yardmaster_dies(tmp_path: Path) -> None:
    async with world(tmp_path, "ocpp1.6") as here:
        await morning(here)
        fourth = await outage(here)
        await here.yard.kill()
        await here.unplug()
        await here.yard.start()
        await here.plug()
        await evening(here, fourth)
        check(here)


async def test_a_driver_blocked_meanwhile_is_stopped_when_the_csms_is_back(tmp_path: Path) -> None:
    """OCPP-NOTES 4.4: accepted from the cache, verified again on replay."""
    async with world(tmp_path, "ocpp1.6") as here:
        await boot_16(here)
        await here.csms_off()
        session = Session16(here, "GOOD-1", 1)
        await session.start()
        await here.csms_on(9101, "block:GOOD-1")
        await until(lambda: here.at_station("RemoteStopTransaction"))
        assert here.at_station("RemoteStopTransaction") == [("RemoteStopTransaction", {"transactionId": session.id})]
        await session.stop("DeAuthorized")
        await until(lambda: len(told(here)) >= 2)
        assert [entry[:2] for entry in told(here)] == [("start", 1000), ("stop", 9101)]
