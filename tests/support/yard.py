"""Yardmaster as its owner runs it: a process of its own with a site.yaml, killed or stopped like one."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any

import aiohttp
import yaml

ROOT = Path(__file__).resolve().parents[2]


_GIVEN: set[int] = set()


def free_port() -> int:
    """A loopback port that was free a moment ago; never the same one twice, or two doors of one site could meet."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
        if port not in _GIVEN:
            _GIVEN.add(port)
            return port


def site(folder: Path, **parts: Any) -> dict[str, Any]:
    """A small site on free loopback ports; parts replace or add top-level keys."""
    data: dict[str, Any] = {
        "site": {"id": "test"},
        "grid": {"fuse_a": 63, "worst_other_load_a": 10},
        "stations": [{"id": "CP1", "evses": [{"id": 1, "max_current_a": 32, "fallback_a": 6}]}],
        "listen": {"host": "127.0.0.1", "port": free_port()},
        "api": {"host": "127.0.0.1", "port": free_port()},
        "files": {"host": "127.0.0.1", "port": free_port()},
        "data_dir": str(folder / "data"),
    }
    return {**data, **parts}


class Yard:
    """A running ``yardmaster run``. Use as async context manager."""

    def __init__(self, folder: Path, data: dict[str, Any]) -> None:
        self.file = folder / "site.yaml"
        self.file.write_text(yaml.safe_dump(data))
        self.log = folder / "yardmaster.log"
        self.ocpp_url = f"ws://127.0.0.1:{data['listen']['port']}/ocpp"
        self.api_url = f"http://127.0.0.1:{data['api']['port']}"
        self.program: tuple[str, ...] = ("-m", "controller")
        self.process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Yard:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self.process is not None and self.process.returncode is None:
            await self.stop()

    async def start(self) -> None:
        """Start the process and wait until its page answers; fails with its log if it ends instead."""
        with self.log.open("ab") as log:
            self.process = await self.spawn(log)
        async with aiohttp.ClientSession() as session:
            for _ in range(600):
                if self.process.returncode is not None:
                    raise AssertionError(f"yardmaster ended with {self.process.returncode}:\n{self.log.read_text()[-4000:]}")
                try:
                    async with session.get(f"{self.api_url}/api/v1/health") as response:
                        if response.status in (200, 503):
                            return
                except aiohttp.ClientError:
                    await asyncio.sleep(0.05)
        raise AssertionError(f"no answer within 30 s:\n{self.log.read_text()[-4000:]}")

    async def spawn(self, output: Any) -> asyncio.subprocess.Process:
        """The process alone. output: where its log goes."""
        command = [sys.executable, *self.program, "run", str(self.file)]
        return await asyncio.create_subprocess_exec(*command, stdout=output, stderr=output, cwd=ROOT, env={**os.environ, "PYTHONUNBUFFERED": "1"})

    async def stop(self) -> int:
        """SIGTERM, as systemd does; returns the exit code."""
        assert self.process is not None
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
        return await asyncio.wait_for(self.process.wait(), 20)

    async def kill(self) -> None:
        """kill -9."""
        assert self.process is not None
        self.process.kill()
        await self.process.wait()

    async def state(self) -> dict[str, Any]:
        """GET /api/v1/state."""
        async with aiohttp.ClientSession() as session, session.get(f"{self.api_url}/api/v1/state") as response:
            data: dict[str, Any] = await response.json()
            return data


class Peer:
    """An independent station or CSMS process driven by JSON lines."""

    def __init__(self, script: str, *arguments: str) -> None:
        self._command = [sys.executable, str(ROOT / "tests" / "conformance" / "peers" / script), *arguments]
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> dict[str, Any]:
        """Start; returns its first line."""
        self._process = await asyncio.create_subprocess_exec(*self._command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE)
        return await self._line()

    async def _line(self) -> dict[str, Any]:
        assert self._process is not None
        assert self._process.stdout is not None
        line = await asyncio.wait_for(self._process.stdout.readline(), 60)
        assert line, "the peer ended"
        data: dict[str, Any] = json.loads(line)
        return data

    async def do(self, **command: Any) -> dict[str, Any]:
        """One command, its answer."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write((json.dumps(command) + "\n").encode())
        await self._process.stdin.drain()
        return await self._line()

    async def stop(self) -> None:
        """End it."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()


async def until(condition: Any, seconds: float = 60.0) -> Any:
    """Wait for a (possibly async) condition to give something true; fails after ``seconds``."""
    for _ in range(int(seconds / 0.05)):
        value = condition()
        if asyncio.iscoroutine(value):
            value = await value
        if value:
            return value
        await asyncio.sleep(0.05)
    raise AssertionError(f"not within {seconds} s: {condition}")


def frames(log: Path) -> list[dict[str, Any]]:
    """The frames of a peer's log."""
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
