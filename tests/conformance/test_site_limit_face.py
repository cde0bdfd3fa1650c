"""A CSMS's limit for the whole depot over real sockets, in the words of each version: ChargePointMaxProfile of connector 0 in 1.6,
ChargingStationMaxProfile of EVSE 0 in 2.x (K01, K04, SC.01). Three independent 2.1 stations want 16 A each; the CSMS lets them have 30 A together.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.conformance.giving_face import GivingFace, giving_face, now_s, spec

pytestmark = pytest.mark.system

NAMES = ["Y1", "Y2", "Y3"]
EACH_W, LIMIT_A, LOWER_A = 690.0 * 16, 30.0, 25.0
Payload = dict[str, Any]


@dataclass
class Seen:
    """What was seen of one life of the depot."""

    version: str
    answers: dict[str, Payload] = field(default_factory=dict)
    most_w: float = 0.0
    site: Payload = field(default_factory=dict)
    why: Payload = field(default_factory=dict)
    told: list[tuple[str, Payload]] = field(default_factory=list)
    invalid: list[Any] = field(default_factory=list)


def max_profile(version: str) -> Payload:
    period = {"startPeriod": 0, "limit": LIMIT_A}
    schedule: Payload = {"chargingRateUnit": "A", "chargingSchedulePeriod": [period], "startSchedule": "2026-01-01T00:00:00Z"}
    head: Payload = {"stackLevel": 0, "chargingProfileKind": "Absolute"}
    if version == "ocpp1.6":
        head |= {"chargingProfileId": 9, "chargingProfilePurpose": "ChargePointMaxProfile", "chargingSchedule": schedule}
        return {"connectorId": 0, "csChargingProfiles": head}
    head |= {"id": 9, "chargingProfilePurpose": "ChargingStationMaxProfile", "chargingSchedule": [{**schedule, "id": 1}]}
    return {"evseId": 0, "chargingProfile": head}


def composite(version: str) -> Payload:
    return {"connectorId" if version == "ocpp1.6" else "evseId": 0, "duration": 600, "chargingRateUnit": "A"}


def clear(version: str) -> Payload:
    return {"id": 9} if version == "ocpp1.6" else {"chargingProfileId": 9}


def plain(name: str) -> Payload:
    return {**spec(name), "needs": False}


async def live(folder: Path, version: str) -> Seen:
    seen = Seen(version)
    async with giving_face(folder, NAMES, [plain(name) for name in NAMES], version, worst_other_load_a=2) as face:
        await face.wait(lambda: sum(face.last_w(*NAMES)) == pytest.approx(3 * EACH_W), 40)
        await face.wait(lambda: face.connected)
        seen.answers["set"] = await face.order("SetChargingProfile", max_profile(version))
        await face.wait(lambda: sum(face.last_w(*NAMES)) <= 690.0 * LIMIT_A + 1, 10)
        seen.most_w = await watch(face, 3)
        seen.answers["composite"] = await face.order("GetCompositeSchedule", composite(version))
        seen.site = await face.state()
        seen.why = await asked(face, "/api/v1/evses/Y1/1/why")
        await the_grid_operator(face, seen)
        seen.answers["clear"] = await face.order("ClearChargingProfile", clear(version))
        await face.wait(lambda: sum(face.last_w(*NAMES)) > 690.0 * (LIMIT_A + 5), 30)
        seen.invalid = face.invalid()
        seen.told = site_wide(face, "NotifyChargingLimit", "ClearedChargingLimit")
    return seen


async def watch(face: GivingFace, readings: int) -> float:
    """The most all cars took together in so many readings, as they measured themselves [W]; those of one second are not of one moment."""
    begin = now_s() + 1.5
    await face.told_since(begin, readings, NAMES)
    told = [{int(at): watts for at, watts in face.flows(name) if at > begin} for name in NAMES]
    return max(sum(flow[second] for flow in told) for second in set.intersection(*map(set, told)))


async def the_grid_operator(face: GivingFace, seen: Seen) -> None:
    """A lower limit of somebody else, and its end."""
    await posted(face, {"value": LOWER_A, "unit": "A", "source": "dso", "valid_for_s": 600})
    await face.wait(lambda: sum(face.last_w(*NAMES)) <= 690.0 * (LOWER_A - 2) + 1, 10)
    if seen.version != "ocpp1.6":
        await face.wait(lambda: site_wide(face, "NotifyChargingLimit"), 15)
    await posted(face, {"value": None, "source": "dso"})
    if seen.version != "ocpp1.6":
        await face.wait(lambda: site_wide(face, "ClearedChargingLimit"), 15)


def site_wide(face: GivingFace, *actions: str) -> list[tuple[str, Payload]]:
    """What the CSMS was told of limits of the whole depot."""
    return [(action, payload) for _, action, payload in face.at_csms(*actions) if not payload.get("evseId")]


async def asked(face: GivingFace, path: str) -> Payload:
    async with aiohttp.ClientSession() as session, session.get(face.yard.api_url + path) as response:
        found: Payload = await response.json()
        return found


async def posted(face: GivingFace, limit: Payload) -> None:
    async with aiohttp.ClientSession() as session, session.post(face.yard.api_url + "/api/v1/limits", json=limit) as response:
        assert response.status == 202, await response.text()


VERSIONS = ["ocpp1.6", "ocpp2.0.1", "ocpp2.1"]


@pytest.fixture(scope="module")
def lives(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Seen]:
    """Three depots at the same time."""

    async def all_of_them() -> list[Seen]:
        return await asyncio.gather(*(live(tmp_path_factory.mktemp("limit"), version) for version in VERSIONS))

    return {seen.version: seen for seen in asyncio.run(all_of_them())}


@pytest.fixture(params=VERSIONS)
def seen(request: pytest.FixtureRequest, lives: dict[str, Seen]) -> Seen:
    return lives[request.param]


def test_all_chargers_together_keep_to_it(seen: Seen) -> None:
    assert seen.answers["set"] == {"status": "Accepted"}
    assert 690.0 * 6 <= seen.most_w <= 690.0 * LIMIT_A + 1


def test_every_frame_is_valid(seen: Seen) -> None:
    assert seen.invalid == []


def test_the_composite_of_the_depot_is_no_more(seen: Seen) -> None:
    """K08.FR.04: the sum of what is expected."""
    answer = seen.answers["composite"]
    assert answer["status"] == "Accepted"
    schedule = answer["chargingSchedule"] if seen.version == "ocpp1.6" else answer["schedule"]
    assert answer["connectorId"] == 0 if seen.version == "ocpp1.6" else schedule["evseId"] == 0
    assert 0 < schedule["chargingSchedulePeriod"][0]["limit"] <= LIMIT_A


def test_the_site_says_who_holds_its_cars(seen: Seen) -> None:
    assert "profile 9" in json.dumps(seen.why), json.dumps(seen.why)[:800]


def test_its_own_limit_is_no_news_but_the_grid_operators_is_told_and_cleared(seen: Seen) -> None:
    """K11-K14: sources SO or EMS, never CSO; each exactly once, for EVSE 0. 1.6 has no words for it."""
    if seen.version == "ocpp1.6":
        assert seen.told == []
        return
    assert [action for action, _ in seen.told] == ["NotifyChargingLimit", "ClearedChargingLimit"]
    assert seen.told[0][1]["chargingLimit"]["chargingLimitSource"] == seen.told[1][1]["chargingLimitSource"] == "SO"


def test_cleared_they_have_more_again(seen: Seen) -> None:
    assert seen.answers["clear"] == {"status": "Accepted"}
