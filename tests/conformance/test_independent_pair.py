"""Charging profiles of a CSMS between a station and a CSMS that know nothing of Yardmaster, for every OCPP version.

They end here and lower what the station is told (OCPP-NOTES 5.6); the CSMS gets its answers as if the station had
given them; our own CALLs and their answers stay below (P8, P4 6.4). Read from the peers' own logs.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.sessions import Session2, Session16, boot_2, boot_16
from tests.conformance.world import World, world
from tests.support.yard import until

pytestmark = pytest.mark.system

PERIODS = [{"start_period": 0, "limit": 9.0, "number_phases": 3}]
PROFILE_16 = {
    "charging_profile_id": 41,
    "stack_level": 2,
    "charging_profile_purpose": "TxDefaultProfile",
    "charging_profile_kind": "Relative",
    "charging_schedule": {"charging_rate_unit": "A", "charging_schedule_period": PERIODS},
}
PROFILE_2 = {
    "id": 41,
    "stack_level": 2,
    "charging_profile_purpose": "TxDefaultProfile",
    "charging_profile_kind": "Relative",
    "charging_schedule": [{"id": 1, "charging_rate_unit": "A", "charging_schedule_period": PERIODS}],
}


class Csms16:
    """The commands of a 1.6 CSMS."""

    def __init__(self, here: World) -> None:
        self.here = here

    async def charge(self) -> None:
        await boot_16(self.here)
        session = Session16(self.here, "GOOD-1", 1)
        await session.start()
        await session.read()

    async def limit(self, evse: int) -> str:
        return str((await self.here.order("SetChargingProfile", connector_id=evse, cs_charging_profiles=PROFILE_16))["status"])

    async def composite_a(self) -> float:
        answer = await self.here.order("GetCompositeSchedule", connector_id=1, duration=600, charging_rate_unit="A")
        return float(answer["charging_schedule"]["charging_schedule_period"][0]["limit"])

    async def clear(self) -> str:
        return str((await self.here.order("ClearChargingProfile", id=41))["status"])

    def ours(self) -> list[Any]:
        """Profiles Yardmaster has set: (id, purpose, limit)."""
        profiles = [payload["csChargingProfiles"] for _, payload in self.here.at_station("SetChargingProfile")]
        return [(p["chargingProfileId"], p["chargingProfilePurpose"], _limit(p["chargingSchedule"])) for p in profiles]


class Csms2:
    """The commands of a 2.x CSMS."""

    def __init__(self, here: World) -> None:
        self.here = here

    async def charge(self) -> None:
        await boot_2(self.here)
        session = Session2(self.here, 1)
        await session.start()
        await session.read()

    async def limit(self, evse: int) -> str:
        return str((await self.here.order("SetChargingProfile", evse_id=evse, charging_profile=PROFILE_2))["status"])

    async def composite_a(self) -> float:
        answer = await self.here.order("GetCompositeSchedule", evse_id=1, duration=600, charging_rate_unit="A")
        return float(answer["schedule"]["charging_schedule_period"][0]["limit"])

    async def clear(self) -> str:
        return str((await self.here.order("ClearChargingProfile", charging_profile_id=41))["status"])

    def ours(self) -> list[Any]:
        """Profiles Yardmaster has set: (id, purpose, limit)."""
        profiles = [payload["chargingProfile"] for _, payload in self.here.at_station("SetChargingProfile")]
        return [(p["id"], p["chargingProfilePurpose"], _limit(p["chargingSchedule"][0])) for p in profiles]


def _limit(schedule: dict[str, Any]) -> float:
    return float(schedule["chargingSchedulePeriod"][0]["limit"])


def setpoints(csms: Csms16 | Csms2) -> list[float]:
    """The limits of the running session, in order."""
    return [limit for _, purpose, limit in csms.ours() if purpose == "TxProfile"]


async def test_profiles_of_the_csms_end_here_and_ours_never_leak(tmp_path: Path) -> None:
    """All versions side by side: most of the time is waiting for setpoints to rise again."""
    async with asyncio.TaskGroup() as group:
        for version, kind in (("ocpp1.6", Csms16), ("ocpp2.0.1", Csms2), ("ocpp2.1", Csms2)):
            folder = tmp_path / version
            folder.mkdir()
            group.create_task(_profiles_end_here(folder, version, kind))


async def _profiles_end_here(folder: Path, version: str, kind: type[Csms16 | Csms2]) -> None:
    async with world(folder, version) as here:
        csms = kind(here)
        await csms.charge()
        await until(lambda: [limit for limit in setpoints(csms) if limit > 9.0])
        assert await csms.limit(1) == "Accepted"
        await until(lambda: setpoints(csms)[-1] == 9.0)

        assert all(number >= 900_000_000 for number, _, _ in csms.ours())
        floors = [limit for _, purpose, limit in csms.ours() if purpose == "TxDefaultProfile"]
        assert floors[0] == 6.0
        assert await csms.composite_a() == 9.0
        assert await csms.limit(7) == "Rejected"
        assert await csms.clear() == "Accepted"
        await until(lambda: setpoints(csms)[-1] > 9.0, 60.0)

        asked = set(ids(here.texts("csms.jsonl", "out"), 2))
        answers = ids(here.texts("csms.jsonl", "in"), 3, 4)
        assert set(answers) <= asked, "answers to our own CALLs stay below"
        assert not asked & set(ids(here.texts("station.jsonl", "in"), 2))


def ids(texts: list[str], *kinds: int) -> list[str]:
    return [json.loads(text)[1] for text in texts if json.loads(text)[0] in kinds]
