"""The simulated utility is strict: what the standard does not allow, it refuses."""

from __future__ import annotations

import asyncio
import ssl
import sys
from pathlib import Path

import aiohttp
import pytest
import yaml

from controller.config_signals import Ieee20305Signal
from controller.io.signals.ieee2030_5_tls import client_context
from controller.sim.ieee2030_5_desk import prepared
from signals.csip_documents import response, status
from tests.support.csip_world import PROGRAM, World, config, listening
from tests.support.yard import ROOT, free_port

LFDI = "AB" * 20
MRID = "01" * 16


SEP = "application/sep+xml"
STATUS = status(1.0, True, False, None, None)
REQUESTS = (
    ("GET", "/edev/2/derp", None, None, 403),  # another's
    ("GET", "/edev/1/derp/9/derc", None, None, 404),
    ("PUT", "/edev/1/der/1/ders", STATUS, SEP, 204),
    ("PUT", "/edev/1/der/1/ders", STATUS, "application/xml", 415),
    ("PUT", "/edev/1/der/1/dercap", STATUS, SEP, 400),
    ("POST", "/edev/1/rsps/1/rsp", response(LFDI, MRID, 1, 5), SEP, 400),  # another's LFDI
    ("POST", "/mup/7", b"<MirrorMeterReading/>", SEP, 404),
    ("POST", "/edev", b"", SEP, 403),  # registered by hand
)


async def test_what_it_takes_and_what_it_refuses(tmp_path: Path) -> None:
    async with World(tmp_path, process=True) as world, aiohttp.ClientSession() as session:
        await world.do("program", number=1, mrid=PROGRAM, primacy=1, name="P")
        context = client_context(Ieee20305Signal(**world.entry()), "127.0.0.1")
        for method, path, body, kind, answer in REQUESTS:
            headers = {"Content-Type": kind} if kind is not None else None
            async with session.request(method, world.url.replace("/dcap", path), data=body, headers=headers, ssl=context) as found:
                assert (path, kind, found.status) == (path, kind, answer)


async def test_what_it_prints_for_a_site_file_works_and_stays_the_same(tmp_path: Path) -> None:
    """``--folder``: certificates are made once; what it says goes into a site file as it stands."""
    ports = free_port(), free_port()
    first, again = (prepared(tmp_path / "pki", *ports) for _ in range(2))
    assert first["orders"][0] == again["orders"][0]
    words = ("-m", "controller.sim.ieee2030_5_desk", "--folder", str(tmp_path / "pki"), "--port", str(ports[0]), "--desk-port", str(ports[1]))
    process = await asyncio.create_subprocess_exec(sys.executable, *words, cwd=ROOT, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    try:
        printed = (await asyncio.wait_for(process.stdout.readuntil(b"ready\n"), 30)).decode()
        block = printed[printed.index("signals:") : printed.index("It has one program")]
        async with listening(config(tmp_path, *yaml.safe_load(block)["signals"])) as listener:
            await listener.until(listener.events)
            assert [event.consumption_w for event in listener.events().values()] == [30_000.0]
    finally:
        process.kill()
        await process.wait()


async def test_nobody_comes_in_without_a_certificate(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        context = ssl.create_default_context(cafile=str(world.authority.ca))
        context.check_hostname = False
        async with aiohttp.ClientSession() as session:
            with pytest.raises(aiohttp.ClientError):
                await session.get(world.url, ssl=context)
