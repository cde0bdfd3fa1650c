"""The neighbours' process: ready when its ports are open, gone when its parent is."""

from __future__ import annotations

import asyncio
import socket
import sys
from asyncio.subprocess import PIPE, Process

import pytest

from controller.io.clock import Clock
from controller.paths import config_dir
from controller.sim.demo import Ports, choose_ports, said_by
from controller.sim.neighbours import Settings
from controller.sim.scenario import DEMO
from tests.controller.sim.kit import DAY


async def started(ports: Ports) -> Process:
    now_mono_s, path = Clock().stamp().mono_s, str(config_dir() / "site.demo.yaml")
    settings = Settings(path, DEMO.id, now_mono_s, DAY + 15.5 * 3600, 60.0, ports.stations, ports.csms, ports.meters, ports.mqtt, ports.page)
    child = await asyncio.create_subprocess_exec(sys.executable, "-m", "controller.sim.neighbours", stdin=PIPE, stdout=PIPE)
    assert child.stdin is not None
    child.stdin.write(settings.text().encode())
    await child.stdin.drain()
    return child


@pytest.mark.system
async def test_opens_its_ports_and_ends_when_the_pipe_closes() -> None:
    ports = choose_ports(0)
    child = await started(ports)
    try:
        first = await asyncio.wait_for(anext(said_by(child)), 30)
        assert first == {"ready": True}
        for port in (ports.csms, ports.meters, ports.mqtt):
            with socket.create_connection(("127.0.0.1", port), timeout=5):
                pass
        assert child.stdin is not None
        child.stdin.close()
        assert await asyncio.wait_for(child.wait(), 10) == 0
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()


@pytest.mark.system
async def test_a_port_that_is_taken_is_told_to_the_parent() -> None:
    ports = choose_ports(0)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", ports.csms))
        taken.listen()
        child = await started(ports)
        try:
            first = await asyncio.wait_for(anext(said_by(child)), 30)
            assert "error" in first
            assert await asyncio.wait_for(child.wait(), 10) == 1
        finally:
            if child.returncode is None:
                child.kill()
                await child.wait()
