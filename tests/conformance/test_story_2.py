"""A day of a 2.0.1 and of a 2.1 station between independent peers, with an outage in the middle of a session.

Seen at the CSMS: every TransactionEvent once, per session in the order of seqNo and without a gap; offline exactly
where the CSMS was away. OCPP-NOTES 4.3; E11.FR.07; trap 9.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conformance.sessions import TOKEN, Session2, boot_2
from tests.conformance.world import World, world
from tests.support.yard import until

pytestmark = pytest.mark.system

VERSIONS = ("ocpp2.0.1", "ocpp2.1")


async def morning(here: World) -> None:
    """Boot, and a session that the CSMS ends."""
    await boot_2(here)
    first = Session2(here, 1)
    await first.start()
    await first.read()
    await first.read()
    assert (await here.order("RequestStopTransaction", transaction_id="tx-1"))["status"] == "Accepted"
    assert here.at_station("RequestStopTransaction")[-1][1] == {"transactionId": "tx-1"}
    await first.stop()


async def outage(here: World) -> Session2:
    """The CSMS is killed in the second session; the third happens without it; the fourth is running when this ends."""
    second = Session2(here, 2)
    await second.start()
    await second.read()
    await here.csms_off()
    await second.read()
    await second.stop()
    assert (await here.call("Authorize", id_token=TOKEN))["id_token_info"]["status"] == "Accepted"
    third = Session2(here, 3)
    await third.start()
    await third.read()
    await third.stop()
    fourth = Session2(here, 4)
    await fourth.start()
    await fourth.read()
    return fourth


def told(here: World) -> list[tuple[str, int, str, bool]]:
    """What the CSMS was told of sessions: (transaction, seqNo, kind, offline)."""
    return [
        (payload["transactionInfo"]["transactionId"], payload["seqNo"], payload["eventType"], payload.get("offline", False))
        for _, payload in here.at_csms("TransactionEvent")
    ]


async def evening(here: World, fourth: Session2) -> None:
    """The CSMS is back: the queue first, then live again, and the CSMS commands."""
    await here.csms_on()
    await until(lambda: len(told(here)) >= 13 and here.settled())
    await fourth.read()
    assert (await here.order("RequestStopTransaction", transaction_id="tx-4"))["status"] == "Accepted"
    await fourth.stop()
    await until(lambda: len(told(here)) >= 15)


EVERYTHING = [
    *[("tx-1", 0, "Started", False), ("tx-1", 1, "Updated", False), ("tx-1", 2, "Updated", False), ("tx-1", 3, "Ended", False)],
    *[("tx-2", 0, "Started", False), ("tx-2", 1, "Updated", False), ("tx-2", 2, "Updated", True), ("tx-2", 3, "Ended", True)],
    *[("tx-3", 0, "Started", True), ("tx-3", 1, "Updated", True), ("tx-3", 2, "Ended", True)],
    *[("tx-4", 0, "Started", True), ("tx-4", 1, "Updated", True), ("tx-4", 2, "Updated", False), ("tx-4", 3, "Ended", False)],
]


@pytest.mark.parametrize("version", VERSIONS)
async def test_sessions_through_an_outage(tmp_path: Path, version: str) -> None:
    async with world(tmp_path, version) as here:
        await morning(here)
        fourth = await outage(here)
        before = len(here.at_csms("StatusNotification"))
        await evening(here, fourth)
        assert told(here) == EVERYTHING
        after = [payload["connectorStatus"] for _, payload in here.at_csms("StatusNotification")[before:]]
        assert after == ["Occupied", "Available"], "only the current state after an outage"
        assert len(here.at_csms("BootNotification")) == 1


@pytest.mark.parametrize("version", VERSIONS)
async def test_sessions_through_an_outage_in_which_yardmaster_dies(tmp_path: Path, version: str) -> None:
    async with world(tmp_path, version) as here:
        await morning(here)
        fourth = await outage(here)
        await here.yard.kill()
        await here.unplug()
        await here.yard.start()
        await here.plug()
        await evening(here, fourth)
        assert told(here) == EVERYTHING


async def test_a_driver_blocked_meanwhile_is_stopped_when_the_csms_is_back(tmp_path: Path) -> None:
    """OCPP-NOTES 4.4: accepted from the cache, verified again on replay."""
    async with world(tmp_path, "ocpp2.1") as here:
        await boot_2(here)
        await here.csms_off()
        session = Session2(here, 1)
        await session.start()
        await here.csms_on(9101, "block:GOOD-1")
        await until(lambda: here.at_station("RequestStopTransaction"))
        assert here.at_station("RequestStopTransaction") == [("RequestStopTransaction", {"transactionId": "tx-1"})]
        await until(here.settled)
        await session.stop()
        assert told(here) == [("tx-1", 0, "Started", True), ("tx-1", 1, "Ended", False)]
