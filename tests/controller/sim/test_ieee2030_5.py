"""The simulated utility is strict: what the standard does not allow, it refuses."""

from __future__ import annotations

import ssl
from pathlib import Path

import aiohttp
import pytest

from controller.config_signals import Ieee20305Signal
from controller.io.signals.ieee2030_5_tls import client_context
from signals.csip_documents import response, status
from tests.support.csip_world import PROGRAM, World

LFDI = "AB" * 20
MRID = "01" * 16


@pytest.mark.parametrize(
    ("method", "path", "body", "kind", "answer"),
    [
        ("GET", "/edev/2/derp", None, None, 403),  # another's
        ("GET", "/edev/1/derp/9/derc", None, None, 404),
        ("PUT", "/edev/1/der/1/ders", status(1.0, True, False, None, None), "application/sep+xml", 204),
        ("PUT", "/edev/1/der/1/ders", status(1.0, True, False, None, None), "application/xml", 415),
        ("PUT", "/edev/1/der/1/dercap", status(1.0, True, False, None, None), "application/sep+xml", 400),
        ("POST", "/edev/1/rsps/1/rsp", response(LFDI, MRID, 1, 5), "application/sep+xml", 400),  # another's LFDI
        ("POST", "/mup/7", b"<MirrorMeterReading/>", "application/sep+xml", 404),
        ("POST", "/edev", b"", "application/sep+xml", 403),  # registered by hand
    ],
)
async def test_what_it_refuses(tmp_path: Path, method: str, path: str, body: bytes | None, kind: str | None, answer: int) -> None:
    async with World(tmp_path) as world:
        await world.do("program", number=1, mrid=PROGRAM, primacy=1, name="P")
        context = client_context(Ieee20305Signal(**world.entry()), "127.0.0.1")
        headers = {"Content-Type": kind} if kind is not None else None
        async with aiohttp.ClientSession() as session:
            async with session.request(method, world.url.replace("/dcap", path), data=body, headers=headers, ssl=context) as found:
                assert found.status == answer, await found.text()


async def test_nobody_comes_in_without_a_certificate(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        context = ssl.create_default_context(cafile=str(world.authority.ca))
        context.check_hostname = False
        async with aiohttp.ClientSession() as session:
            with pytest.raises(aiohttp.ClientError):
                await session.get(world.url, ssl=context)
