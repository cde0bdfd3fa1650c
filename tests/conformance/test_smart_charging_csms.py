"""Smart charging as a CSMS sees it that knows nothing of Yardmaster, with such a station below, in all three versions.

Each chapter is told at a station of its own, all of them at the same time at one site behind a real ``yardmaster run``. Expected
values come from the specification: 2.x part 2, block K; 1.6 sections 3.13, 5.5, 5.7, 5.11, 5.16; numbers stand beside them.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.conformance.peers.smart_pair import Csms, Station
from tests.support.yard import Yard, site, until

pytestmark = pytest.mark.system

VERSIONS = {"16": "ocpp1.6", "201": "ocpp2.0.1", "21": "ocpp2.1"}
OURS = range(900_000_000, 900_001_000)
MAX_A = 32.0
UNKNOWN_EVSE = 7


@dataclass
class Scene:
    """One chapter's station and its CSMS, in the words of its version."""

    version: str
    station: Station
    csms: Csms
    yard: Yard
    transaction: Any = None

    @property
    def old(self) -> bool:
        return self.version == "ocpp1.6"

    @property
    def name(self) -> str:
        return str(self.station.name)

    async def call(self, action: str, **payload: Any) -> dict[str, Any]:
        answer: dict[str, Any] = await self.csms.call(self.name, action, payload)
        return answer

    async def begin(self) -> None:
        """A session, as soon as it may draw all its EVSE has."""
        self.transaction = await self.station.begin()
        await self.composite_is(MAX_A)

    def profile(self, profile_id: int, limit: float, purpose: str = "TxProfile", stack: int = 0, **more: Any) -> dict[str, Any]:
        """A profile of one endless period in A. more: fields of it; "schedule" and "period": of those."""
        period = {"startPeriod": 0, "limit": limit, **more.pop("period", {})}
        schedule = {"chargingRateUnit": "A", "chargingSchedulePeriod": [period], **more.pop("schedule", {})}
        if purpose == "Max":
            purpose = "ChargePointMaxProfile" if self.old else "ChargingStationMaxProfile"
            more, schedule = {"chargingProfileKind": "Absolute", **more}, {"startSchedule": "2026-01-01T00:00:00Z", **schedule}
        made = {"stackLevel": stack, "chargingProfilePurpose": purpose, "chargingProfileKind": "Relative", **more}
        if purpose == "TxProfile" and "transactionId" not in more and self.transaction is not None:
            made["transactionId"] = self.transaction
        if self.old:
            return {"chargingProfileId": profile_id, "chargingSchedule": schedule, **made}
        return {"id": profile_id, "chargingSchedule": [{"id": 1, **schedule}], **made}

    async def set(self, profile: dict[str, Any], evse: int = 1, judged: bool = True) -> str:
        """Accepted, or the reason of the refusal; 1.6 has none. judged: the request must be valid."""
        payload = {"connectorId": evse, "csChargingProfiles": profile} if self.old else {"evseId": evse, "chargingProfile": profile}
        return _verdict(await self.csms.call(self.name, "SetChargingProfile", payload, judged))

    async def clear(self, profile_id: int | None = None, evse: int | None = None, purpose: str | None = None, stack: int | None = None) -> str:
        words = {"connectorId" if self.old else "evseId": evse, "chargingProfilePurpose": purpose, "stackLevel": stack}
        criteria = {key: value for key, value in words.items() if value is not None}
        if self.old:
            payload = {**({} if profile_id is None else {"id": profile_id}), **criteria}
        else:
            payload = {"chargingProfileId": profile_id} if profile_id is not None else {"chargingProfileCriteria": criteria}
        return str((await self.call("ClearChargingProfile", **payload))["status"])

    async def composite(self, evse: int = 1, unit: str = "A", seconds: int = 600) -> list[tuple[int, float]]:
        """(second, limit) of an accepted GetCompositeSchedule."""
        place = "connectorId" if self.old else "evseId"
        answer = await self.call("GetCompositeSchedule", **{place: evse, "duration": seconds, "chargingRateUnit": unit})
        assert answer["status"] == "Accepted", answer
        schedule = answer["chargingSchedule" if self.old else "schedule"]
        assert schedule["chargingRateUnit"] == unit
        return [(period["startPeriod"], period["limit"]) for period in schedule["chargingSchedulePeriod"]]

    async def composite_is(self, limit: float, evse: int = 1, unit: str = "A") -> None:
        """It says so now, or soon: a rise takes the site a moment."""

        async def says_so() -> bool:
            return (await self.composite(evse, unit))[0][1] == limit

        await until(says_so)

    async def report(self, request_id: int, **criteria: Any) -> list[dict[str, Any]]:
        """The profiles reported for a GetChargingProfiles, with their EVSE as "evseId"."""
        evse = {} if "evse" not in criteria else {"evseId": criteria.pop("evse")}
        answer = await self.call("GetChargingProfiles", requestId=request_id, chargingProfile=criteria, **evse)
        if answer["status"] == "NoProfiles":
            return []
        assert answer["status"] == "Accepted"
        await until(lambda: [told for told in self.reports(request_id) if not told.get("tbc")])
        told = self.reports(request_id)
        assert all(one["chargingLimitSource"] == "CSO" for one in told)  # K09: the CSMS has set them
        assert [one.get("tbc", False) for one in told] == [True] * (len(told) - 1) + [False]
        return [{**profile, "evseId": one["evseId"]} for one in told for profile in one["chargingProfile"]]

    def reports(self, request_id: int) -> list[dict[str, Any]]:
        return [told for told in self.csms.heard(self.name, "ReportChargingProfiles") if told["requestId"] == request_id]

    def written(self) -> list[int]:
        """Ids of the profiles the station was sent, by whomever."""
        raws = [
            payload.get("chargingProfile") or payload["csChargingProfiles"] for action, payload in self.station.seen if action == "SetChargingProfile"
        ]
        return [raw.get("id", raw.get("chargingProfileId")) for raw in raws]


def _verdict(answer: dict[str, Any]) -> str:
    if answer["status"] == "Accepted":
        return "Accepted"
    return str(answer.get("statusInfo", {}).get("reasonCode", answer["status"]))


# -- chapters ------------------------------------------------------------------------------------------------


async def set_replace_clear(scene: Scene) -> None:
    """K01, K08, K09, K10; 1.6 5.16, 5.5, 5.7."""
    await scene.begin()
    assert await scene.set(scene.profile(41, 16.0)) == "Accepted"
    assert (await scene.composite())[0][1] == 16.0
    # 16 A x 230 V x 3 phases, as numberPhases that is not there counts as 3 (K01.FR.49).
    assert (await scene.composite(unit="W"))[0][1] == 11_040.0
    # The same id replaces (K01.FR.05; 1.6 5.16.3).
    assert await scene.set(scene.profile(41, 14.0)) == "Accepted"
    assert (await scene.composite())[0][1] == 14.0
    # Another id at the same place: Rejected in 2.x (K01.FR.39), 1.6 replaces (5.16.4).
    assert await scene.set(scene.profile(42, 12.0)) == ("Accepted" if scene.old else "DuplicateProfile")
    assert (await scene.composite())[0][1] == (12.0 if scene.old else 14.0)
    leading = 42 if scene.old else 41
    # The higher stack level wins outright within a purpose (K01.FR.04; 1.6 3.13.2), a lower one waits below it.
    assert await scene.set(scene.profile(43, 10.0, stack=3)) == "Accepted"
    assert (await scene.composite())[0][1] == 10.0
    # A default does not count beside a TxProfile; the station's maximum does (SC.01).
    assert await scene.set(scene.profile(44, 7.0, "TxDefaultProfile")) == "Accepted"
    assert (await scene.composite())[0][1] == 10.0
    assert await scene.set(scene.profile(45, 9.0, "Max"), 0) == "Accepted"
    assert (await scene.composite())[0][1] == 9.0
    assert (await scene.composite(evse=0))[0][1] == 9.0
    # K09: all, of one EVSE, of the station itself, by purpose, by id, none.
    if not scene.old:
        assert [(one["evseId"], one["id"]) for one in await scene.report(1)] == [(0, 45), (1, 41), (1, 43), (1, 44)]
        assert [one["id"] for one in await scene.report(2, evse=0)] == [45]
        assert [one["id"] for one in await scene.report(3, chargingProfilePurpose="TxDefaultProfile")] == [44]
        (found,) = await scene.report(4, chargingProfileId=[43])
        assert (found["stackLevel"], found["transactionId"]) == (3, scene.transaction)
        assert found["chargingSchedule"][0]["chargingSchedulePeriod"] == [{"startPeriod": 0, "limit": 10.0}]
        assert await scene.report(5, chargingProfileId=[99]) == []
        assert await scene.report(6, chargingLimitSource=["SO"]) == []
    # K10: by id; by purpose and stack level together; what is not there is Unknown.
    assert await scene.clear(45) == "Accepted"
    assert await scene.clear(45) == "Unknown"
    assert await scene.clear(purpose="TxProfile", stack=8) == "Unknown"
    assert await scene.clear(evse=1, purpose="TxProfile", stack=3) == "Accepted"
    assert await scene.clear(leading) == "Accepted"
    # Now the default holds the running transaction (K01.FR.32).
    assert (await scene.composite())[0][1] == 7.0
    assert await scene.clear(evse=1) == "Accepted"
    assert await scene.clear(evse=1) == "Unknown"
    assert set(scene.written()) <= set(OURS), "the CSMS's profiles never reach the station (OCPP-NOTES 5.6)"


async def over_time(scene: Scene) -> None:
    """Periods, durations, what comes after: K01.FR.12/35, K02.FR.08, K08."""
    await scene.begin()
    assert await scene.set(scene.profile(41, 9.0, "TxDefaultProfile")) == "Accepted"
    periods = [{"startPeriod": 0, "limit": 8.0}, {"startPeriod": 120, "limit": 6.0}]
    start = (await scene.composite(seconds=60))[0][1]
    assert start == 9.0
    assert await scene.set(scene.profile(42, 8.0, schedule={"chargingSchedulePeriod": periods, "duration": 300})) == "Accepted"
    found = await scene.composite(seconds=900)
    # Relative: it counts from the session, which began a few seconds ago (K01.FR.42). Then 6 A up to its end, then the default:
    # at most what the site holds in force now, and never above it.
    assert [limit for _, limit in found][:2] == [8.0, 6.0]
    begins, ends = found[1][0], found[2][0]
    assert ends - begins == 180
    assert 60 <= begins <= 120
    assert 6.0 < found[2][1] <= 9.0
    # Cut to the length asked for.
    assert all(second < 60 for second, _ in await scene.composite(seconds=60))
    place = {"connectorId": UNKNOWN_EVSE} if scene.old else {"evseId": UNKNOWN_EVSE}
    assert _verdict(await scene.call("GetCompositeSchedule", duration=60, **place)) == ("Rejected" if scene.old else "UnknownEvse")


async def refused(scene: Scene) -> None:
    """B20-B27: each is Rejected with its reason, and 9 A stay in force."""
    await scene.begin()
    assert await scene.set(scene.profile(40, 9.0)) == "Accepted"
    backwards = [{"startPeriod": 0, "limit": 8.0}, {"startPeriod": 60, "limit": 7.0}, {"startPeriod": 30, "limit": 8.0}]
    late = [{"startPeriod": 5, "limit": 8.0}]
    other = 4711 if scene.old else "tx-of-nobody"
    rows: list[tuple[str, dict[str, Any], int, str]] = [
        ("B20 K01.FR.35", scene.profile(41, 8.0, stack=1, schedule={"chargingSchedulePeriod": backwards}), 1, "InvalidSchedule"),
        ("B20 K01.FR.31", scene.profile(41, 8.0, stack=1, schedule={"chargingSchedulePeriod": late}), 1, "InvalidSchedule"),
        ("B21", scene.profile(41, -1.0, stack=1), 1, "InvalidSchedule"),
        ("B23", scene.profile(41, 8.0, stack=1, schedule={"duration": 0}), 1, "InvalidSchedule"),
        ("B26 K01.FR.33", scene.profile(41, 8.0, stack=1, transactionId=other), 1, "TxNotFound"),
        ("B27 K01.FR.16", scene.profile(41, 8.0, stack=1), 0, "InvalidValue"),
        ("B27 K04.FR.03", scene.profile(41, 8.0, "Max", stack=1), 1, "InvalidValue"),
        ("B27 K01.FR.28", scene.profile(41, 8.0, "TxDefaultProfile", stack=1), UNKNOWN_EVSE, "UnknownEvse"),
    ]
    if not scene.old:
        absolute = {"chargingProfileKind": "Absolute"}
        from_then = {"startSchedule": "2026-01-01T00:00:00Z"}
        external = scene.profile(41, 8.0, "ChargingStationExternalConstraints", stack=1, schedule=from_then, **absolute)
        two_phases = scene.profile(41, 8.0, stack=1, period={"numberPhases": 2, "phaseToUse": 1})
        unnamed = scene.profile(41, 8.0, stack=1)
        del unnamed["transactionId"]
        rows += [
            ("B22 K01.FR.19", two_phases, 1, "InvalidSchedule"),
            ("B24 K01.FR.40", scene.profile(41, 8.0, stack=1, **absolute), 1, "InvalidSchedule"),
            ("B24 K01.FR.41", scene.profile(41, 8.0, stack=1, schedule=from_then), 1, "InvalidSchedule"),
            ("B25", scene.profile(41, 8.0, stack=-1), 1, "InvalidStackLevel"),
            ("B26 K01.FR.03", unnamed, 1, "MissingParam"),
            ("B27 K01.FR.22", external, 1, "InvalidProfile"),
            (
                "K01.FR.38",
                scene.profile(41, 8.0, "Max", stack=1, chargingProfileKind="Relative", schedule={"startSchedule": None}),
                0,
                "InvalidProfile",
            ),
        ]
    if scene.version == "ocpp2.1":
        mode = {"period": {"operationMode": "CentralSetpoint", "setpoint": 8.0, "limit": 8.0}}
        per_phase = {"period": {"limit_L2": 8.0, "limit_L3": 8.0}}
        dynamic = {"chargingProfileKind": "Dynamic"}
        rows += [
            ("K01.FR.115", scene.profile(41, 8.0, stack=1, **mode), 1, "InvalidOperationMode"),
            ("K01.FR.143", scene.profile(41, 8.0, "TxDefaultProfile", stack=1, **per_phase), 1, "PhaseConflict"),
            ("K01.FR.70", scene.profile(41, 8.0, "PriorityCharging", stack=1, schedule={"duration": 60}), 1, "InvalidSchedule"),
            ("K28.FR.01", scene.profile(41, 8.0, stack=1, schedule={"chargingSchedulePeriod": [*late, *late]}, **dynamic), 1, "InvalidSchedule"),
        ]
    for number, profile, evse, reason in rows:
        schedule = profile["chargingSchedule"]
        if not scene.old and schedule[0].get("startSchedule", "") is None:
            del schedule[0]["startSchedule"]
        assert await scene.set(profile, evse, judged=False) == ("Rejected" if scene.old else reason), number
    assert (await scene.composite())[0][1] == 9.0
    if not scene.old:
        assert [one["id"] for one in await scene.report(1)] == [40]
    assert set(scene.written()) <= set(OURS)


async def below_the_wish(scene: Scene) -> None:
    """F25, K11-K14, traps 20 and 21: a limit of the site below what the CSMS allows."""
    await scene.begin()
    # The CSMS allows more than there is: accepted, for a limit is no order to draw; the composite tells what will be (K08).
    assert await scene.set(scene.profile(41, 1000.0)) == "Accepted"
    assert (await scene.composite())[0][1] == MAX_A
    assert await scene.set(scene.profile(42, 500.0, "Max"), 0) == "Accepted"
    await limit(scene.yard, scene.name, 10.0, 6)
    await scene.composite_is(10.0)
    assert (await scene.composite(evse=0))[0][1] == 10.0
    if scene.old:  # 1.6 has no words for it: nothing is made up
        await scene.composite_is(MAX_A)
        assert scene.csms.told.get(scene.name, []) == []
        return
    await until(lambda: scene.csms.heard(scene.name, "NotifyChargingLimit"))
    assert scene.csms.heard(scene.name, "ClearedChargingLimit") == []
    await until(lambda: scene.csms.heard(scene.name, "ClearedChargingLimit"), 30.0)
    await scene.composite_is(MAX_A)
    told = scene.csms.heard(scene.name, "NotifyChargingLimit")
    assert all(one["evseId"] == 1 for one in told)
    sources = {one["chargingLimit"]["chargingLimitSource"] for one in told}
    assert "CSO" not in sources  # K11.FR.05
    assert len(told) <= 3, "a change that matters, at a pace that floods nobody (SC.02, trap 20)"
    (cleared,) = scene.csms.heard(scene.name, "ClearedChargingLimit")  # K13, trap 21: exactly once
    assert cleared["evseId"] == 1
    assert cleared["chargingLimitSource"] in sources


async def limit(yard: Yard, circuit: str, amps: float, seconds: int) -> None:
    """A limit on one circuit, as a grid operator's box would set it."""
    body = {"value": amps, "unit": "A", "circuit": circuit, "valid_for_s": seconds, "source": circuit}
    async with aiohttp.ClientSession() as session, session.post(f"{yard.api_url}/api/v1/limits", json=body) as response:
        assert response.status < 300, await response.text()


async def in_a_remote_start(scene: Scene) -> None:
    """K05, 1.6 5.11 and 16E 3.41: the profile of a remote start is that of its transaction, and dies with it (K02)."""
    wrong = scene.profile(50, 7.0, "TxDefaultProfile")
    right = scene.profile(51, 7.0)
    assert "transactionId" not in right

    async def start(profile: dict[str, Any]) -> dict[str, Any]:
        if scene.old:
            return await scene.call("RemoteStartTransaction", idTag="GOOD-1", connectorId=1, chargingProfile=profile)
        token = {"idToken": "GOOD-1", "type": "ISO14443"}
        return await scene.call("RequestStartTransaction", idToken=token, remoteStartId=77, evseId=1, chargingProfile=profile)

    assert (await start(wrong))["status"] == "Rejected"
    assert (await start(right))["status"] == "Accepted"
    starts = [payload for action, payload in scene.station.seen if action.endswith("StartTransaction")]
    assert [("chargingProfile" in one) for one in starts] == [False]
    scene.transaction = await scene.station.begin()
    await scene.composite_is(7.0)
    if not scene.old:
        (found,) = await scene.report(1)
        assert (found["id"], found["evseId"], found["transactionId"]) == (51, 1, scene.transaction)
    await scene.station.end()
    if not scene.old:
        assert await scene.report(2) == []
    assert await scene.clear(51) == "Unknown"
    # K01.FR.33: no TxProfile without its transaction.
    assert await scene.set(scene.profile(52, 7.0)) == ("Rejected" if scene.old else "TxNotFound")


async def dynamic(scene: Scene) -> None:
    """K28: pushed and pulled."""
    await scene.begin()
    assert await scene.set(scene.profile(60, 20.0, chargingProfileKind="Dynamic")) == "Accepted"
    assert (await scene.composite())[0][1] == 20.0
    update = {"chargingProfileId": 60, "scheduleUpdate": {"limit": 9.0}}
    assert _verdict(await scene.call("UpdateDynamicSchedule", **update)) == "Accepted"
    assert (await scene.composite())[0][1] == 9.0
    (found,) = await scene.report(1)
    assert found["chargingSchedule"][0]["chargingSchedulePeriod"][0]["limit"] == 9.0
    assert "dynUpdateTime" in found  # K28.FR.09
    # K28.FR.11: neither an id that is not there, nor a profile that is not Dynamic.
    assert await scene.set(scene.profile(61, 30.0, "TxDefaultProfile")) == "Accepted"
    for profile_id in (61, 99):
        answer = await scene.call("UpdateDynamicSchedule", chargingProfileId=profile_id, scheduleUpdate={"limit": 8.0})
        assert _verdict(answer) == "InvalidProfile"
    scene.csms.pulled[62] = 8.0
    pulling = scene.profile(62, 12.0, stack=1, chargingProfileKind="Dynamic", dynUpdateInterval=3)
    assert await scene.set(pulling) == "Accepted"
    await until(lambda: len(scene.csms.heard(scene.name, "PullDynamicScheduleUpdate")) >= 2)  # K28.FR.10: again and again
    assert {one["chargingProfileId"] for one in scene.csms.heard(scene.name, "PullDynamicScheduleUpdate")} == {62}
    await scene.composite_is(8.0)
    # K28.FR.13: the duration is a watchdog; nobody feeds it, and the next lower stack level holds again.
    # Whole amperes: between two of the charger's steps the site's own plan may be the lower limit.
    update = {"chargingProfileId": 60, "scheduleUpdate": {"limit": 7.0}}
    assert _verdict(await scene.call("UpdateDynamicSchedule", **update)) == "Accepted"
    assert await scene.set(scene.profile(63, 7.5, stack=2, chargingProfileKind="Dynamic", schedule={"duration": 3})) == "Accepted"
    assert (await scene.composite())[0][1] == 7.5
    assert await scene.clear(62) == "Accepted"
    await scene.composite_is(7.0)


async def priority(scene: Scene) -> None:
    """K21: a profile that counts while its transaction has priority."""
    await scene.begin()
    assert await scene.set(scene.profile(70, 8.0)) == "Accepted"

    async def use(on: bool, transaction: str) -> str:
        return str((await scene.call("UsePriorityCharging", transactionId=transaction, activate=on))["status"])

    assert await use(True, scene.transaction) == "NoProfile"  # K21.FR.02
    assert await scene.set(scene.profile(71, 16.0, "PriorityCharging")) == "Accepted"
    assert (await scene.composite())[0][1] == 8.0
    assert await use(True, "tx-of-nobody") == "Rejected"
    assert await use(True, scene.transaction) == "Accepted"
    await scene.composite_is(16.0)
    assert await use(False, scene.transaction) == "Accepted"
    await scene.composite_is(8.0)


Chapter = Callable[[Scene], Awaitable[None]]
CHAPTERS: dict[str, tuple[Chapter, tuple[str, ...]]] = {
    "profiles": (set_replace_clear, tuple(VERSIONS)),
    "time": (over_time, tuple(VERSIONS)),
    "refused": (refused, tuple(VERSIONS)),
    "limit": (below_the_wish, tuple(VERSIONS)),
    "start": (in_a_remote_start, tuple(VERSIONS)),
    "dynamic": (dynamic, ("21",)),
    "priority": (priority, ("21",)),
}
TOLD = [f"{chapter}-{kind}" for chapter, (_, kinds) in CHAPTERS.items() for kind in kinds]


async def tell(name: str, yard: Yard, csms: Csms) -> None:
    """One chapter in one version."""
    chapter, kind = name.split("-")
    station = Station(name, VERSIONS[kind])
    await station.plug(yard.ocpp_url)
    try:
        await until(lambda: name in csms.links)
        await CHAPTERS[chapter][0](Scene(VERSIONS[kind], station, csms, yard))
    finally:
        await station.unplug()


async def ending(name: str, yard: Yard, csms: Csms) -> str:
    """How a chapter ended: "" if well."""
    try:
        await tell(name, yard, csms)
    except Exception:
        return traceback.format_exc()
    return ""


async def tell_all(folder: Path) -> dict[str, str]:
    evse = {"id": 1, "max_current_a": MAX_A, "fallback_a": 6}
    async with Csms() as csms:
        data = site(
            folder,
            grid={"fuse_a": 1000, "worst_other_load_a": 0},
            circuits=[{"id": name, "fuse_a": 63} for name in TOLD],
            stations=[{"id": name, "circuit": name, "upstream": "csms", "evses": [{**evse}]} for name in TOLD],
            upstreams=[{"id": "csms", "url": f"ws://127.0.0.1:{csms.port}/ocpp"}],
            control={"ramp_up_a_per_s": 100, "dead_band_a": 0.5, "plan_every_s": 3},
        )
        async with Yard(folder, data) as yard:
            ends = await asyncio.gather(*(ending(name, yard, csms) for name in TOLD))
    return dict(zip(TOLD, ends, strict=True))


@pytest.fixture(scope="module")
def ends(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """How each chapter ended."""
    return asyncio.run(tell_all(tmp_path_factory.mktemp("csms")))


@pytest.mark.parametrize("name", TOLD)
def test_smart_charging_from_above(ends: dict[str, str], name: str) -> None:
    assert ends[name] == "", ends[name]
