"""Which version two peers end up with through Yardmaster, and what their handshakes carry; on the wire, byte by byte.

The CSMS is asked first, with what the station offers; its choice is the station's answer (OCPP-NOTES 3.4, 16.1). A
CSMS that is away or silent costs the station a bounded wait. Path, query, identity: 2, 16.2; compression: 2, 16.14.
Traps 4; bad inputs B30, B32.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio

from tests.conformance import raw
from tests.conformance.raw import DEFLATE, Csms, Wire, dial
from tests.support.yard import Yard, site, until

pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="module")]

ALL = "ocpp2.1, ocpp2.0.1, ocpp1.6"
MISLEADING = "/depot-7/ocpp1.6"
"""Where stations connect in these tests: a path that names a version means nothing (OCPP-NOTES 2)."""
PLACES = 32
QUICK = ("Q1", "Q2", "Q3")
"""Stations whose handshake waits hardly a second for their CSMS; the others wait as long as a busy machine may need."""
PLAIN = ("P1", "P2")
"""Stations whose CSMS gets their own version or none: nothing is translated for it."""
NAMED = ("Säule 7 ✓", "a+b%41", "CP&1;x=y")
BOOTS = {
    "ocpp1.6": '[2, "b-1","BootNotification", {"chargePointVendor":"Indie", "chargePointModel":"Öne"}]',
    "ocpp2.0.1": '[2, "b-1","BootNotification", {"reason":"PowerUp" ,"chargingStation":{"vendorName":"Indie", "model":"Öne"}}]',
    "ocpp2.1": '[2, "b-1","BootNotification", {"reason":"PowerUp" ,"chargingStation":{"vendorName":"Indie", "model":"Öne"}}]',
}
ANSWER = '[3,"b-1" ,{"status":"Accepted", "interval":300,"currentTime":"2026-11-21T16:00:00Z"}]'


class Place:
    """One station and the CSMS of its own that it is configured for."""

    def __init__(self, name: str, csms: Csms, base: str) -> None:
        self.name, self.csms, self.url = name, csms, f"{base}/{name}"

    async def pair(self, *protocols: str, extensions: str = "", path: str | None = None) -> tuple[raw.Head, Wire, Wire]:
        """Both legs open: (answer to the station, its socket, the CSMS's socket)."""
        head, wire = await dial(self.url, *protocols, extensions=extensions, path=path)
        return head, wire, await asyncio.wait_for(self.csms.wires.get(), raw.PATIENCE_S)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def places(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[dict[str, Place]]:
    """One Yardmaster; as many stations with a raw CSMS each as there are tests; see ``place`` and ``quick``."""
    folder = tmp_path_factory.mktemp("negotiation")
    names = [*NAMED, *QUICK, *PLAIN, *(f"CP{number}" for number in range(PLACES))]
    async with AsyncExitStack() as stack:
        csmss = [await stack.enter_async_context(Csms()) for _ in names]
        data = site(folder)
        data["listen"] |= {"path": MISLEADING, "handshake_s": 45}
        data["stations"] = [{"id": name, "upstream": f"up{number}", "evses": [{"id": 1, "max_current_a": 16}]} for number, name in enumerate(names)]
        data["upstreams"] = [
            {
                "id": f"up{number}",
                "url": f"ws://127.0.0.1:{csms.port}/tenant%201/ocpp2.1?key=a%20b",
                "dial_first_s": 1.0 if name in QUICK else 20.0,
                "reconnect_min_s": 0.2,
                "translate": name not in PLAIN,
            }
            for number, (name, csms) in enumerate(zip(names, csmss, strict=True))
        ]
        yard = await stack.enter_async_context(Yard(folder, data))
        base = yard.ocpp_url.removesuffix("/ocpp") + MISLEADING
        yield {name: Place(name, csms, base) for name, csms in zip(names, csmss, strict=True)}


@pytest.fixture
def place(places: dict[str, Place]) -> Place:
    """A station nobody has used yet."""
    return places.pop(next(name for name in places if name not in (*NAMED, *QUICK, *PLAIN)))


@pytest.fixture
def plain(places: dict[str, Place]) -> Place:
    """The same, of the plain ones."""
    return places.pop(next(name for name in places if name in PLAIN))


@pytest.fixture
def quick(places: dict[str, Place]) -> Place:
    """The same, of the quick ones."""
    return places.pop(next(name for name in places if name in QUICK))


async def booted(wire: Wire, text: str, compress: bool = False) -> raw.Frame:
    """The answer to a BootNotification; what is asked of the station before is not answered."""
    await wire.send(text, compress)
    while True:
        frame = await wire.receive()
        assert frame.opcode == 1, frame
        if json.loads(frame.text)[:2] == [3, "b-1"]:
            return frame


# -- identity, path and query ----------------------------------------------------------------------------------------------


async def test_identities_and_queries_reach_the_csms_as_they_are(places: dict[str, Place]) -> None:
    dialled = {
        "Säule 7 ✓": ("/S%c3%a4ule%207%20%E2%9C%93?token=a%20b&x=1", "/S%C3%A4ule%207%20%E2%9C%93", "token=a%20b&x=1"),
        "a+b%41": ("//a+b%2541/", "/a%2Bb%2541", ""),
        "CP&1;x=y": ("///CP&1;x=y/?", "/CP%261%3Bx%3Dy", ""),
    }
    for name, (tail, identity, query) in dialled.items():
        place = places[name]
        place.csms.protocol = "ocpp2.0.1"
        head, wire, _ = await place.pair("ocpp2.0.1", path=MISLEADING + tail)
        assert head.status == 101, name
        path, _, sent = place.csms.requests[0].target.partition("?")
        assert path == "/tenant%201/ocpp2.1" + identity
        assert sent == "&".join(part for part in ("key=a%20b", query) if part)
        await wire.close()


@pytest.mark.parametrize("tail", ["/Saeule", "/S%C3%A4ule%25207", "/%FF%FE", "/CP0/more", "/", "", "/cp0"])
async def test_an_identity_that_is_not_configured_gets_404(place: Place, tail: str) -> None:
    head, wire = await dial(place.url, "ocpp2.0.1", path=MISLEADING + tail)
    assert head.status == 404
    assert place.csms.requests == []
    await wire.close()


# -- the version -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("offered", "chosen", "asked"),
    [
        ((ALL,), "ocpp1.6", "ocpp2.1, ocpp2.0.1, ocpp1.6"),
        ((ALL,), "ocpp2.0.1", "ocpp2.1, ocpp2.0.1, ocpp1.6"),
        ((ALL,), "ocpp2.1", "ocpp2.1, ocpp2.0.1, ocpp1.6"),
        (("ocpp1.6,ocpp2.0.1",), "ocpp2.0.1", "ocpp1.6, ocpp2.0.1"),
        (("ocpp2.0.1",), "ocpp2.0.1", "ocpp2.0.1"),
        (("vendor9, ocpp1.5 ,, ocpp1.6",), "ocpp1.6", "ocpp1.6"),
        (("ocpp2.1", "ocpp1.6"), "ocpp1.6", "ocpp2.1, ocpp1.6"),
    ],
)
async def test_the_station_hears_what_the_csms_chose(place: Place, offered: tuple[str, ...], chosen: str, asked: str) -> None:
    place.csms.protocol = chosen
    place.csms.may_answer.clear()
    dialling = asyncio.ensure_future(place.pair(*offered))
    await asyncio.wait_for(place.csms.asked.wait(), 10)
    assert not dialling.done(), "the station has its answer before the CSMS has chosen"
    place.csms.may_answer.set()
    head, wire, upper = await dialling
    assert head.status == 101
    assert head.headers["sec-websocket-protocol"] == chosen
    assert place.csms.requests[0].headers["sec-websocket-protocol"].replace(" ", "").split(",") == asked.split(", ")
    await wire.send(BOOTS[chosen])
    assert (await upper.receive()).text == BOOTS[chosen]
    assert len(place.csms.requests) == 1, "the socket that negotiated is the one that is used"
    await wire.close()


@pytest.mark.parametrize("offered", ["ocpp1.2, ocpp1.5,ocpp2.0", "OCPP2.0.1", ""])
async def test_no_version_in_common_with_us_ends_after_a_handshake_without_one(place: Place, offered: str) -> None:
    head, wire = await dial(place.url, *([offered] if offered else []))
    await refused_politely(head, wire)
    assert place.csms.requests == []


async def refused_politely(head: raw.Head, wire: Wire) -> None:
    assert head.status == 101
    assert "sec-websocket-protocol" not in head.headers
    frame = await wire.receive()
    assert (frame.opcode, frame.code) == (8, 1002)
    await wire.close()


async def test_no_version_in_common_with_the_csms_ends_the_same_way(plain: Place) -> None:
    head, wire = await dial(plain.url, "ocpp2.1, ocpp2.0.1")  # the CSMS finishes its handshake without a subprotocol
    await refused_politely(head, wire)
    assert len(plain.csms.requests) == 1


async def test_a_csms_that_chooses_what_was_not_offered_is_not_obeyed(plain: Place) -> None:
    plain.csms.protocol = "ocpp1.6"
    head, wire = await dial(plain.url, "ocpp2.0.1")
    await refused_politely(head, wire)


async def test_what_can_be_translated_is_offered_before_a_station_is_refused(place: Place) -> None:
    head, wire = await dial(place.url, "ocpp2.1")
    await refused_politely(head, wire)
    offered = [request.headers["sec-websocket-protocol"].replace(" ", "") for request in place.csms.requests]
    assert offered == ["ocpp2.1", "ocpp2.0.1,ocpp1.6"]


async def test_a_station_gets_its_own_version_while_its_csms_speaks_another(place: Place) -> None:
    place.csms.protocol = "ocpp2.0.1"
    dialling = asyncio.ensure_future(dial(place.url, "ocpp2.1"))
    refused = await asyncio.wait_for(place.csms.wires.get(), raw.PATIENCE_S)  # chosen without having been offered
    upper = await asyncio.wait_for(place.csms.wires.get(), raw.PATIENCE_S)
    head, wire = await dialling
    assert head.headers["sec-websocket-protocol"] == "ocpp2.1"
    await wire.send(BOOTS["ocpp2.1"])
    boot = json.loads((await upper.receive()).text)
    assert boot[2:] == json.loads(BOOTS["ocpp2.1"])[2:]
    await upper.send(json.dumps([3, boot[1], json.loads(ANSWER)[2]]))
    while (answer := json.loads((await wire.receive()).text))[0] != 3:
        continue
    assert answer == json.loads(ANSWER)
    await wire.close()
    await refused.close()


@pytest.mark.parametrize("status", ["400 Bad Request", "401 Unauthorized", "404 Not Found", "503 Service Unavailable"])
async def test_a_csms_that_refuses_the_handshake_is_away(place: Place, status: str) -> None:
    """What ails the CSMS is for its operator to mend: local control serves the station meanwhile."""
    place.csms.status = status
    head, wire = await dial(place.url, "ocpp1.6")
    assert head.headers["sec-websocket-protocol"] == "ocpp1.6"
    assert json.loads((await booted(wire, BOOTS["ocpp1.6"])).text)[2]["status"] == "Accepted"
    await wire.close()


async def test_while_the_csms_is_away_the_station_gets_its_first_choice(place: Place) -> None:
    await place.csms.away()
    head, wire = await dial(place.url, "ocpp2.1, ocpp1.6")
    assert head.headers["sec-websocket-protocol"] == "ocpp2.1"
    answer = json.loads((await booted(wire, BOOTS["ocpp2.1"])).text)
    assert answer[2]["status"] == "Accepted", "autonomous: accepted with real time while the CSMS is away"
    await wire.close()


async def test_a_silent_csms_costs_a_bounded_wait(quick: Place) -> None:
    quick.csms.may_answer.clear()
    head, wire = await dial(quick.url, ALL)
    assert head.headers["sec-websocket-protocol"] == "ocpp2.1"
    assert quick.csms.asked.is_set()
    assert not quick.csms.may_answer.is_set()
    await wire.close()


async def test_an_upstream_that_opens_later_speaks_the_version_of_the_station(quick: Place) -> None:
    """Trap 4: both legs one version, whatever the CSMS would like by now."""
    quick.csms.may_answer.clear()
    head, wire = await dial(quick.url, "ocpp2.0.1, ocpp1.6")
    assert head.headers["sec-websocket-protocol"] == "ocpp2.0.1"
    quick.csms.protocol = "ocpp1.6"
    quick.csms.may_answer.set()
    await until(lambda: len(quick.csms.requests) > 1)
    assert quick.csms.requests[1].headers["sec-websocket-protocol"] == "ocpp2.0.1"
    await wire.close()


@pytest.mark.parametrize("status", ["101 Switching Protocols", "400 Bad Request"])
async def test_a_station_that_got_another_version_in_an_outage_is_asked_to_connect_again(place: Place, status: str) -> None:
    """F29: the CSMS is down when the station comes, and speaks 1.6 only when it is back; it refuses 2.0.1 in one way or the other."""
    place.csms.status = "503 Service Unavailable"
    head, wire = await dial(place.url, "ocpp2.0.1, ocpp1.6")
    assert head.headers["sec-websocket-protocol"] == "ocpp2.0.1"
    place.csms.status = status
    await until(lambda: _late(place))
    place.csms.status, place.csms.protocol = "101 Switching Protocols", "ocpp1.6"
    while (frame := await wire.receive()).opcode != 8:
        assert frame.opcode == 1
    assert frame.code == 1012
    await wire.close()
    head, wire = await dial(place.url, "ocpp2.0.1, ocpp1.6")
    assert head.headers["sec-websocket-protocol"] == "ocpp1.6"
    await wire.close()


def _late(place: Place) -> bool:
    """The whole offer was made more than in the handshake. Other versions, to translate, are offered after it and by themselves."""
    offers = [request.headers["sec-websocket-protocol"].replace(" ", "") for request in place.csms.requests]
    return offers.count("ocpp2.0.1,ocpp1.6") > 1


# -- compression -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("below", [True, False])
@pytest.mark.parametrize("above", [True, False])
async def test_each_leg_compresses_exactly_where_its_peer_agreed(place: Place, below: bool, above: bool) -> None:
    """RFC 7692; P4 5.4: required of a local controller, never forced on a peer."""
    place.csms.protocol, place.csms.extensions = "ocpp2.0.1", DEFLATE if above else ""
    head, wire, upper = await place.pair("ocpp2.0.1", extensions=DEFLATE if below else "")
    assert (DEFLATE in head.headers.get("sec-websocket-extensions", "")) == below
    assert DEFLATE in place.csms.requests[0].headers["sec-websocket-extensions"], "offered in any case"
    reading = asyncio.ensure_future(booted(wire, BOOTS["ocpp2.0.1"], compress=below))
    arrived = await upper.receive()
    assert (arrived.text, arrived.compressed) == (BOOTS["ocpp2.0.1"], above)
    await upper.send(ANSWER, compress=above)
    back = await reading
    assert (back.text, back.compressed) == (ANSWER, below)
    await wire.close()
