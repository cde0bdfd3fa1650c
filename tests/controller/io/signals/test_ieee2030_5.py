"""The driver against a utility server, over mutual TLS."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from controller.facts import Stamp
from controller.io.shell import StartError
from controller.io.signals import ieee2030_5_walk
from controller.io.signals.driver import Surroundings
from controller.io.signals.ieee2030_5 import build
from controller.orders import AnswerEvent, TellSource
from controller.sim.ieee2030_5_desk import register_order
from controller.sim.ieee2030_5_pki import Authority
from tests.support.csip_world import PIN, PROGRAM, QuickClock, World, config, eventually, listening, stamp

DEFAULT = f"default:{PROGRAM}"
ONE, TWO, THREE = "01" * 16, "02" * 16, "03" * 16
LIMITS = {"opModImpLimW": 11_000, "opModExpLimW": [5, 3]}


async def with_program(world: World, **more: Any) -> None:
    await world.do("program", **{"number": 1, "mrid": PROGRAM, "primacy": 1, "name": "DNSP", "default": LIMITS, **more})


async def test_defaults_and_controls_of_every_page_are_told(tmp_path: Path) -> None:
    async with World(tmp_path, ciphers="ECDHE-ECDSA-AES128-CCM8:@SECLEVEL=0") as world:  # the standard's own suite and nothing else
        await with_program(world)
        begins = [await world.control(f"{number:032X}", 600 * number, 300, {"opModImpLimW": 4000 + number}) for number in range(1, 8)]
        async with listening(config(tmp_path, world.entry())) as listener:
            await listener.until(listener.events)
            events = listener.events()
            assert (events[DEFAULT].consumption_w, events[DEFAULT].production_w) == (11_000.0, 5_000.0)
            assert len(events) == 8  # the server gives three a page
            for number, began in enumerate(begins, 1):
                event = events[f"{number:032X}"]
                assert (event.consumption_w, event.duration_s, event.answers) == (4000.0 + number, 300.0, True)
                assert abs(event.start_wall_s - (began + 600 * number)) <= 1.0
            assert listener.state()[0] is True


async def test_schedules_go_by_the_servers_clock(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        await world.do("set", offset_s=-7200.5)
        await with_program(world)
        await world.control(ONE, 100, 300, {"opModImpLimW": 4200})
        asked_s = stamp().wall_s
        async with listening(config(tmp_path, world.entry())) as listener:
            await listener.until(lambda: ONE in listener.events())
            assert abs(listener.events()[ONE].start_wall_s - (asked_s + 100)) < 1.6
            assert "behind ours" in listener.state()[1]
            told = listener.schedules()
            await world.do("set", offset_s=3600)
            await listener.until(lambda: listener.schedules() > told and "ahead of ours" in listener.state()[1])


async def test_cancelled_superseded_and_forgotten_controls(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        await with_program(world)
        for mrid in (ONE, TWO):
            await world.control(mrid, -5, 600, {"opModImpLimW": 4200})
        async with listening(config(tmp_path, world.entry())) as listener:
            await listener.until(lambda: {ONE, TWO} <= set(listener.events()))
            first = listener.events()[ONE].version
            await world.do("end", mrid=ONE, status=2)
            await world.do("end", mrid=TWO, status=4)
            await listener.until(lambda: listener.events()[ONE].cancelled and listener.events()[TWO].cancelled)
            assert listener.events()[ONE].version > first  # also where the server does not count
            for mrid in (ONE, TWO):
                listener.driver.answered(AnswerEvent("utility", mrid, 1, "cancelled", stamp().wall_s))
            await eventually(lambda: _has(world, {ONE: [6], TWO: [7]}))
            assert listener.events()[DEFAULT].consumption_w == 11_000.0


async def _has(world: World, wanted: dict[str, list[int]]) -> bool:
    return {mrid: await world.responses(mrid) for mrid in wanted} == wanted


async def test_a_poll_that_fails_part_way_cancels_nothing(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        await with_program(world)
        await world.control(ONE, -5, 600, {"opModImpLimW": 4200})
        async with listening(config(tmp_path, world.entry())) as listener:
            await listener.until(lambda: ONE in listener.events())
            for faults in (
                {"status": {"GET /edev/1/derp/1/derc": 500}},
                {"body": {"/edev/1/derp/1/derc": '<DERControlList xmlns="urn:ieee:std:2030.5:ns" all="2" results="0"/>'}},
                {"location": {"/edev/1/derp": "https://elsewhere.example/derp"}},
            ):
                await world.do("faults", **faults)
                await listener.until(lambda: not listener.state()[0])
                told = listener.schedules()
                assert ONE in listener.events()
                await world.do("faults")
                await listener.until(lambda told=told: listener.schedules() > told and listener.state()[0], 20)  # type: ignore[misc]
                assert not listener.events()[ONE].cancelled


async def test_assignments_that_cannot_be_read_anew_keep_their_programs_going(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        await with_program(world)
        async with listening(config(tmp_path, world.entry())) as listener:
            await listener.until(listener.events)
            await world.do("faults", status={"GET /edev/1/fsa": 503})
            await listener.until(lambda: "what we know goes on" in listener.state()[1])
            told = listener.schedules()
            await listener.until(lambda: listener.schedules() > told)
            assert listener.state()[0] is True


class ShiftedClock:
    """The real clocks, the wall one set by hand."""

    def __init__(self) -> None:
        self.by_s = 0.0

    def stamp(self) -> Stamp:
        now = QuickClock().stamp()
        return replace(now, wall_s=now.wall_s + self.by_s)


async def test_our_own_clock_jumps(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        await with_program(world)
        await world.do("set", poll_s=3600)  # nothing but the jump makes it look again
        await world.control(ONE, 600, 300, {"opModImpLimW": 4200})
        clock = ShiftedClock()
        async with listening(config(tmp_path, world.entry(heartbeat_s=0)), clock) as listener:
            await listener.until(lambda: ONE in listener.events())
            before_s = listener.events()[ONE].start_wall_s
            clock.by_s = 86_400.0
            await listener.until(lambda: abs(listener.events()[ONE].start_wall_s - before_s - 86_400.0) < 2.0)


async def test_a_redirect_on_the_same_server_is_followed(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        await with_program(world)
        await world.do("faults", location={"/dcap2": "/dcap"})
        entry = world.entry(url=world.url + "2")
        async with listening(config(tmp_path, entry)) as listener:
            await listener.until(listener.events)


async def test_a_server_that_goes_and_comes_back(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        await with_program(world)
        async with listening(config(tmp_path, world.entry())) as listener:
            await listener.until(listener.events)
            await world.kill()
            await listener.until(lambda: "cannot be reached" in listener.state()[1])
            told = listener.schedules()
            await world.start()
            await with_program(world, default={"opModImpLimW": 6000})
            await listener.until(lambda: listener.schedules() > told and listener.events()[DEFAULT].consumption_w == 6000.0, 20)


async def test_the_pin_must_be_the_servers(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        await with_program(world)
        async with listening(config(tmp_path, world.entry(pin=123455))) as listener:
            await listener.until(lambda: "PIN" in listener.state()[1])
            assert listener.state()[0] is False
            assert listener.schedules() == 0
            await world.do(**register_order(world.device.cert, 123455))
            await listener.until(listener.events)


async def test_a_device_that_is_not_registered_waits_and_says_who_it_is(tmp_path: Path) -> None:
    async with World(tmp_path, registered=False) as world:
        await with_program(world)
        order = register_order(world.device.cert, PIN)
        async with listening(config(tmp_path, world.entry())) as listener:
            await listener.until(lambda: order["lfdi"] in listener.state()[1])
            assert listener.state()[0] is False
            assert listener.schedules() == 0
            await world.do(**order)
            await listener.until(listener.events)


async def test_a_server_that_registers_by_hand_is_asked_once_and_looked_at_for_days(tmp_path: Path) -> None:
    async with World(tmp_path, registered=False) as world:
        await with_program(world)
        async with listening(config(tmp_path, world.entry())) as listener:
            await eventually(lambda: _looked(world, 2))
            assert [one for one in await world.asked() if one.startswith("POST")] == ["POST /edev"]
            assert "registers nobody by itself" in listener.state()[1]
            await world.do(**register_order(world.device.cert, PIN))
            await listener.until(listener.events)


async def _looked(world: World, times: int) -> bool:
    return len([one for one in await world.asked() if one.startswith("GET /edev?")]) >= times


async def test_limits_of_the_devices_are_told_as_such(tmp_path: Path) -> None:
    """CSIP-AUS annex B: of load and generation, beside those of the connection."""
    async with World(tmp_path) as world:
        await with_program(world, default={"opModImpLimW": 9000, "opModLoadLimW": 7000, "opModGenLimW": [6, 3], "opModExpLimW": 5000})
        async with listening(config(tmp_path, world.entry())) as listener:
            await listener.until(listener.events)
            event = listener.events()[DEFAULT]
            assert (event.consumption_w, event.production_w, event.load_w, event.generation_w) == (9000.0, 5000.0, 7000.0, 6000.0)
            assert "cannot be carried out" not in listener.state()[1]


async def test_three_hundred_controls_are_read_and_a_server_without_measure_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with World(tmp_path) as world:
        await with_program(world)
        await world.do("set", page=50)
        for number in range(1, 301):
            await world.control(f"{number:032X}", 600 * number, 300, {"opModImpLimW": 4000 + number})
        async with listening(config(tmp_path, world.entry())) as listener:
            await listener.until(lambda: len(listener.events()) == 301)
            monkeypatch.setattr(ieee2030_5_walk, "MOST_CONTROLS", 200)
            await listener.until(lambda: "more than 60 programs or 200 controls" in listener.state()[1])
            assert len(listener.events()) == 301, "what was scheduled stays so"


async def test_a_server_that_registers_in_band(tmp_path: Path) -> None:
    async with World(tmp_path, registered=False) as world:
        await with_program(world)
        await world.do("set", in_band=True)
        async with listening(config(tmp_path, world.entry())) as listener:
            await listener.until(listener.events)
        devices = await world.told("EndDevice")
        assert [device["lFDI"] for device in devices] == [register_order(world.device.cert, 0)["lfdi"]]


async def test_a_device_of_another_ca_is_not_let_in(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        stranger = Authority(tmp_path / "other").device("STRANGER")
        async with listening(config(tmp_path, world.entry(stranger))) as listener:
            await listener.until(lambda: "no TLS with 127.0.0.1" in listener.state()[1])
            assert listener.schedules() == 0
            assert listener.state()[0] is False


async def test_a_server_of_another_ca_is_not_believed(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        other = Authority(tmp_path / "other")
        async with listening(config(tmp_path, world.entry(ca_file=str(other.ca)))) as listener:
            await listener.until(lambda: "not trusted" in listener.state()[1])
        assert await world.asked() == []


@pytest.mark.parametrize(
    ("hosts", "url_host", "good"), [(("utility.example",), "localhost", False), (("localhost",), "localhost", True), ((), "localhost", True)]
)
async def test_a_server_that_names_hosts_must_name_the_one_we_dialled(tmp_path: Path, hosts: tuple[str, ...], url_host: str, good: bool) -> None:
    async with World(tmp_path, hosts) as world:
        await with_program(world)
        async with listening(config(tmp_path, world.entry(url=world.url.replace("127.0.0.1", url_host)))) as listener:
            await listener.until(listener.events if good else lambda: "not for localhost" in listener.state()[1])
            assert bool(listener.events()) is good


async def test_a_slow_poll_rate_is_honoured_and_the_heart_beats_in_between(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        await with_program(world)
        await world.do("set", poll_s=3600)
        async with listening(config(tmp_path, world.entry(heartbeat_s=1))) as listener:
            await listener.until(lambda: listener.beats() >= 3)
        asked = await world.asked()
        assert sum("/derp/1/derc" in one for one in asked) == 1
        assert sum(one == "GET /dcap" for one in asked) == 1


async def test_modes_that_nobody_can_carry_out_are_refused_in_the_standards_words(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        await with_program(world)
        await world.control(ONE, 5, 600, {"opModFixedVar": {"refType": 1, "value": 100}})
        await world.control(TWO, -900, 600, {"opModImpLimW": 4200})
        await world.control(THREE, 60, 600, {"opModImpLimW": 4200, "opModTargetVar": {"multiplier": 0, "value": 5}})
        async with listening(config(tmp_path, world.entry())) as listener:
            await listener.until(listener.events)
            assert set(listener.events()) == {DEFAULT, THREE}
            await eventually(lambda: _has(world, {ONE: [252], TWO: [254]}))
            await listener.until(lambda: "opModFixedVar" in listener.state()[1])
            for what in ("received", "started", "completed"):
                listener.driver.answered(AnswerEvent("utility", THREE, 1, what, stamp().wall_s))
            await eventually(lambda: _has(world, {THREE: [1, 2, 8]}))


async def test_responses_arrive_once_over_restarts_and_a_server_that_is_busy(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        await with_program(world)
        await world.control(ONE, 0, 600, {"opModImpLimW": 4200})
        site = config(tmp_path, world.entry())
        kept = tmp_path / "data" / "ieee2030_5-utility.json"
        async with listening(site) as listener:
            await listener.until(lambda: ONE in listener.events())
            listener.driver.answered(AnswerEvent("utility", ONE, 1, "received", stamp().wall_s))
            await eventually(lambda: _has(world, {ONE: [1]}))
            await world.do("faults", status={"POST /edev/1/rsps": 503})
            listener.driver.answered(AnswerEvent("utility", ONE, 1, "started", stamp().wall_s))
        assert await _kept(kept, 2)  # a stop keeps what waits
        assert await world.responses(ONE) == [1]
        await world.do("faults")
        async with listening(site) as listener:  # what waited goes out, what was said is not said again
            listener.driver.answered(AnswerEvent("utility", ONE, 1, "received", stamp().wall_s))
            listener.driver.answered(AnswerEvent("utility", ONE, 1, "started", stamp().wall_s))
            await eventually(lambda: _has(world, {ONE: [1, 2]}))
            await listener.until(listener.events)
            listener.driver.answered(AnswerEvent("utility", ONE, 1, "completed", stamp().wall_s))
            await eventually(lambda: _has(world, {ONE: [1, 2, 3]}))
            version = listener.events()[ONE].version
        async with listening(site) as listener:
            listener.driver.answered(AnswerEvent("utility", ONE, 1, "completed", stamp().wall_s))
            await listener.until(lambda: listener.schedules() >= 2)
            assert listener.events()[ONE].version > version  # a site that remembers must not take it for an older word
        assert await world.responses(ONE) == [1, 2, 3]


async def _kept(path: Path, code: int) -> bool:
    text = await asyncio.to_thread(lambda: path.read_text() if path.exists() else '{"waiting": []}')
    return code in [one["code"] for one in json.loads(text)["waiting"]]


@pytest.mark.parametrize("list_status", [None, 405, 404, 403, 501])
async def test_a_response_whose_answer_was_lost_is_not_sent_twice(tmp_path: Path, list_status: int | None) -> None:
    """The server has taken it and the connection breaks. Its ResponseList says so; one that shows no list is not asked to take it again."""
    async with World(tmp_path) as world:
        await with_program(world)
        await world.control(ONE, 0, 600, {"opModImpLimW": 4200})
        async with listening(config(tmp_path, world.entry())) as listener:
            await listener.until(lambda: ONE in listener.events())
            status = {} if list_status is None else {"GET /edev/1/rsps": list_status}
            await world.do("faults", cut={"POST /edev/1/rsps": 1}, status=status)
            for what in ("received", "started"):
                listener.driver.answered(AnswerEvent("utility", ONE, 1, what, stamp().wall_s))
            await eventually(lambda: _has(world, {ONE: [1, 2]}))
            await _settles(listener)
        assert await world.responses(ONE) == [1, 2]


async def _settles(listener: Any) -> None:
    """Nothing waits any more."""
    await eventually(lambda: _empty(listener))


async def _empty(listener: Any) -> bool:
    return listener.driver._answers._ledger.next() is None


@pytest.mark.parametrize("arrived", [True, False])
async def test_a_crash_behind_the_post_repeats_no_response_and_one_before_it_loses_none(tmp_path: Path, arrived: bool) -> None:
    """On the disk it stands as tried. The next run asks the server which of the two it was."""
    kept = tmp_path / "data" / "ieee2030_5-utility.json"
    async with World(tmp_path) as world:
        await with_program(world)
        await world.control(ONE, 0, 600, {"opModImpLimW": 4200})
        site = config(tmp_path, world.entry())
        async with listening(site) as listener:
            await listener.until(lambda: ONE in listener.events())
            if arrived:
                listener.driver.answered(AnswerEvent("utility", ONE, 1, "received", stamp().wall_s))
                await eventually(lambda: _has(world, {ONE: [1]}))
                await _settles(listener)
        waiting = {"mrid": ONE, "code": 1, "reply_to": "/edev/1/rsps/1/rsp", "server_s": int(stamp().wall_s), "at_s": stamp().wall_s, "tried": True}
        ledger = {"highest": 5, "said": {ONE: [stamp().wall_s, 1]}, "waiting": [waiting]}
        await asyncio.to_thread(kept.write_text, json.dumps(ledger))
        async with listening(site) as listener:
            await listener.until(lambda: ONE in listener.events())
            await _settles(listener)
            assert await world.responses(ONE) == [1]
            assert await _asked(world, "GET /edev/1/rsps/1/rsp?s=0&l=50")


async def test_it_stands_as_tried_on_the_disk_before_the_server_can_have_it(tmp_path: Path) -> None:
    """The server takes half a minute to read it, and the program ends meanwhile: it never had it, so the next run sends it."""
    kept = tmp_path / "data" / "ieee2030_5-utility.json"
    async with World(tmp_path) as world:
        await with_program(world)
        await world.control(ONE, 0, 600, {"opModImpLimW": 4200})
        site = config(tmp_path, world.entry())
        async with listening(site) as listener:
            await listener.until(lambda: ONE in listener.events())
            await world.do("faults", slow_s=30.0)
            listener.driver.answered(AnswerEvent("utility", ONE, 1, "received", stamp().wall_s))
            await eventually(lambda: _tried(kept))
            assert await world.responses(ONE) == []
        await world.do("faults")
        async with listening(site) as listener:
            await eventually(lambda: _has(world, {ONE: [1]}))
            await _settles(listener)
        assert await world.responses(ONE) == [1]


async def _tried(path: Path) -> bool:
    text = await asyncio.to_thread(lambda: path.read_text() if path.exists() else '{"waiting": []}')
    return any(one["tried"] for one in json.loads(text)["waiting"])


async def test_a_lost_ledger_asks_the_server_and_repeats_nothing(tmp_path: Path) -> None:
    kept = tmp_path / "data" / "ieee2030_5-utility.json"
    async with World(tmp_path) as world:
        await with_program(world)
        await world.control(ONE, 0, 600, {"opModImpLimW": 4200})
        site = config(tmp_path, world.entry())
        async with listening(site) as listener:
            await listener.until(lambda: ONE in listener.events())
            listener.driver.answered(AnswerEvent("utility", ONE, 1, "received", stamp().wall_s))
            await eventually(lambda: _has(world, {ONE: [1]}))
        await asyncio.to_thread(kept.write_text, "{ torn")
        async with listening(site) as listener:
            await listener.until(lambda: ONE in listener.events())
            for what in ("received", "started"):
                listener.driver.answered(AnswerEvent("utility", ONE, 1, what, stamp().wall_s))
            await eventually(lambda: _has(world, {ONE: [1, 2]}))
            await _settles(listener)
        assert await world.responses(ONE) == [1, 2]


async def test_a_response_the_server_will_never_take_holds_up_no_other(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        await with_program(world)
        for mrid in (ONE, TWO):
            await world.control(mrid, 0, 600, {"opModImpLimW": 4200})
        async with listening(config(tmp_path, world.entry())) as listener:
            await listener.until(lambda: ONE in listener.events())
            await world.do("faults", status={"POST /edev/1/rsps": 400})
            listener.driver.answered(AnswerEvent("utility", ONE, 1, "received", stamp().wall_s))
            await eventually(lambda: _asked(world, "POST /edev/1/rsps/1/rsp"))
            await world.do("faults")
            listener.driver.answered(AnswerEvent("utility", TWO, 1, "received", stamp().wall_s))
            await eventually(lambda: _has(world, {ONE: [], TWO: [1]}))


async def _asked(world: World, request: str) -> bool:
    return request in await world.asked()


def readings(power_w: float) -> TellSource:
    return TellSource("utility", stamp().wall_s, power_w, 5e6, 1e6, 231.4, 0.0, 3000.0, None, None, 4200.0, None, "limited")


async def test_readings_and_status_arrive(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        await with_program(world)
        async with listening(config(tmp_path, world.entry())) as listener:
            await listener.until(listener.events)
            listener.driver.answered(readings(-2500.0))
            await eventually(lambda: world.told("MirrorMeterReading"))
            await eventually(lambda: world.told("DERStatus"))
        mirror = (await world.told("MirrorUsagePoint"))[0]
        names = {one["mRID"]: one["description"] for one in mirror["mirrorMeterReadings"]}
        values = {names[one["mRID"]]: one["reading"]["value"] for one in await world.told("MirrorMeterReading")}
        assert values["power"] == -2500
        assert values.get("voltage", 2314) == 2314  # tenths of a volt
        assert len(await world.told("DERCapability")) == len(await world.told("DERSettings")) == 1
        assert (await world.told("DERCapability"))[0]["rtgMaxW"] == {"multiplier": 0, "value": 20_000}


async def test_readings_that_are_not_wanted_delay_no_limit(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        await with_program(world)
        await world.do("faults", status={"POST /mup": 403, "PUT /edev/1/der": 500})
        async with listening(config(tmp_path, world.entry())) as listener:
            await listener.until(listener.events)
            listener.driver.answered(readings(1.0))
            await listener.until(lambda: "did not take our readings" in listener.state()[1])
            told = listener.schedules()
            await listener.until(lambda: listener.schedules() > told + 1)
            assert listener.state()[0] is True


async def test_no_readings_where_they_are_switched_off(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        await with_program(world)
        async with listening(config(tmp_path, world.entry(readings=False))) as listener:
            listener.driver.answered(readings(1.0))
            await listener.until(lambda: listener.schedules() >= 2)
        assert await world.told("MirrorUsagePoint") == []


@pytest.mark.parametrize("broken", ["cert_file", "key_file", "ca_file"])
def test_certificates_that_cannot_be_used_end_the_start(tmp_path: Path, broken: str) -> None:
    authority = Authority(tmp_path / "pki")
    device, other = authority.device("A"), authority.device("B")
    entry = {"id": "utility", "type": "ieee2030_5", "url": "https://127.0.0.1:1/dcap", "cert_file": str(device.cert), "key_file": str(device.key)}
    entry |= {"ca_file": str(authority.ca), broken: str(other.key)}
    site = config(tmp_path, entry)
    with pytest.raises(StartError, match="the signal utility cannot work"):
        asyncio.run(_built(site))


async def _built(site: Any) -> None:
    from controller.io.clock import Clock

    build(site.signals[0], Surroundings(site, Clock(), lambda _: None, None))
