"""Fixtures for every test: free ports and a real MQTT broker of one's own, on the loopback address."""

from __future__ import annotations

import gc
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

import pytest

from tests.support.compiled import compile_all, write_bytecode
from tests.support.examples import load_profile

load_profile()
write_bytecode()

HOST = "127.0.0.1"
SERVER_PATHS = "/usr/sbin:/usr/local/sbin"


LONGEST = (
    "tests/system/test_kill_rounds.py",
    "tests/conformance/test_depot_lab.py",
    "tests/journeys/test_closed_loop.py",
    "tests/controller/sim/test_virtual.py",
    "tests/conformance/test_matrix.py",
    "tests/journeys/test_v2g.py",
)
WAITING = ("tests/system/", "tests/conformance/", "tests/browser/")


def pytest_configure(config: pytest.Config) -> None:
    """Before the workers of a run of everything start, all is compiled once."""
    if config.args_source is config.ArgsSource.TESTPATHS and config.getoption("numprocesses", None):
        compile_all()


def pytest_collection_finish() -> None:
    """Ten thousand tests and their modules stay until the end: the garbage collector need not look at them again and again."""
    gc.collect()
    gc.freeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first, so that none is left alone at the end; then those that mostly wait in turn with those that mostly work."""
    files = list(dict.fromkeys(item.nodeid.partition("::")[0] for item in items))
    waiting = [name for name in files if name.startswith(WAITING)]
    working = [name for name in files if not name.startswith(WAITING)]
    in_turn = [name for pair in zip_longest(waiting, working) for name in pair if name is not None]
    place = {name: number for number, name in enumerate(dict.fromkeys([*(name for name in LONGEST if name in files), *in_turn]))}
    items.sort(key=lambda item: place[item.nodeid.partition("::")[0]])


PURE = ("tests/optimizer/", "tests/properties/", "tests/journeys/", "tests/fuzz/", "tests/meters/", "tests/signals/")
PURE_PARTS = ("tests/controller/site/", "tests/controller/sim/", "tests/controller/ocpp/", "tests/controller/link/")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Tests that only reckon give way to those that live with real sockets and clocks beside them."""
    if os.geteuid() == 0:  # nobody else may become less polite again
        os.setpriority(os.PRIO_PROCESS, 0, 10 if item.nodeid.startswith((*PURE, *PURE_PARTS)) else 0)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _executable(name: str) -> str:
    found = shutil.which(name) or shutil.which(name, path=SERVER_PATHS)
    if found is None:
        pytest.fail(f"{name} is not installed; on Debian: apt-get install -y --no-install-recommends {name}")
    return found


@pytest.fixture
def free_port() -> int:
    """A TCP port nobody listens on."""
    return _free_port()


class Broker:
    """A mosquitto of our own. start and stop may be called again and again; the port stays the same."""

    def __init__(self, folder: Path, settings: str = "allow_anonymous true\n") -> None:
        self.host, self.port = HOST, _free_port()
        self.folder = folder
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start and wait until it listens. Nothing is remembered from an earlier run."""
        file = self.folder / "mosquitto.conf"
        file.write_text(f"listener {self.port} {self.host}\nuser root\npersistence false\n{self._settings}", encoding="utf-8")
        command = [_executable("mosquitto"), "-c", str(file)]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _wait_for_port(self.port, self._process)

    def stop(self) -> None:
        """End it, as a power cut would: clients get no goodbye."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(5)
            self._process = None

    def restart(self) -> None:
        """Stop and start."""
        self.stop()
        self.start()


def _wait_for_port(port: int, process: subprocess.Popen[bytes], attempts: int = 250) -> None:
    for _ in range(attempts):
        with socket.socket() as probe:
            probe.settimeout(0.2)
            if probe.connect_ex((HOST, port)) == 0:
                return
        try:
            process.wait(0.02)
        except subprocess.TimeoutExpired:
            continue
        pytest.fail(f"the server ended at once with exit code {process.returncode}")
    pytest.fail(f"nothing listens on port {port}")


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Broker]:
    """A running broker that lets everybody in."""
    broker = Broker(tmp_path)
    broker.start()
    yield broker
    broker.stop()
