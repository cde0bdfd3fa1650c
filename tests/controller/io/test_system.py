"""The machine: systemd's socket, the watchdog fed by the control loop, the event loop's lag, signals."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import resource
import signal
import socket
import time
import weakref
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from controller.config import Config
from controller.facts import SourceChanged
from controller.io.clock import Clock, VirtualClock
from controller.io.lateness import LAG_ALARM_S
from controller.io.system import GROWN_BLOCKS, GROWN_BYTES, MEMORY_EVERY_S, SystemShell, allow_files, on_stop_signal
from tests.support.facts import FactLog

CONFIG = Config.model_validate({"site": {"id": "t"}, "grid": {"fuse_a": 63, "worst_other_load_a": 20}})


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(address)
        receiver.setblocking(False)
        yield receiver, address


def heard(receiver: socket.socket) -> list[str]:
    messages = []
    while True:
        try:
            messages.append(receiver.recv(4096).decode())
        except BlockingIOError:
            return messages


async def test_systemd_hears_ready_and_stopping(systemd: tuple[socket.socket, str]) -> None:
    receiver, address = systemd
    shell = SystemShell(CONFIG, Clock(), FactLog().submit, {"NOTIFY_SOCKET": address})
    shell.ready()
    shell.stopping()
    assert [message.split("\n")[0] for message in heard(receiver)] == ["READY=1", "STOPPING=1"]


async def test_f69_the_watchdog_is_fed_by_the_control_loop_and_often_enough(systemd: tuple[socket.socket, str]) -> None:
    receiver, address = systemd
    clock = VirtualClock()
    shell = SystemShell(CONFIG, clock, FactLog().submit, {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "15000000"})
    fed_s: list[float] = []
    for _ in range(60):
        shell.beat()
        fed_s += [clock.stamp().mono_s] * len(heard(receiver))
        clock.advance(1.0)
    gaps_s = [later - earlier for earlier, later in pairwise(fed_s)]
    assert gaps_s
    assert max(gaps_s) <= 7.5
    assert heard(receiver) == [], "nobody feeds it but the control loop"


async def test_without_systemd_nothing_is_sent_and_a_lost_socket_is_no_error() -> None:
    for environment in ({}, {"NOTIFY_SOCKET": "/nowhere/at/all", "WATCHDOG_USEC": "1000000"}):
        shell = SystemShell(CONFIG, Clock(), FactLog().submit, environment)
        shell.ready()
        shell.beat()
        shell.stopping()


async def test_f70_a_blocked_event_loop_is_reported() -> None:
    log = FactLog()
    shell = SystemShell(CONFIG, Clock(), log.submit, {})
    await shell.start()
    await asyncio.sleep(0)
    time.sleep(LAG_ALARM_S + 0.3)  # noqa: ASYNC251 - the fault itself
    alarm = await log.next(SourceChanged)
    assert (alarm.source, alarm.healthy) == ("event loop", False)
    await shell.stop()


def test_f71_memory_is_looked_at_on_the_beat_and_told_when_it_gets_tight() -> None:
    clock, log = VirtualClock(), FactLog()
    used = [100]
    shell = SystemShell(CONFIG, clock, log.submit, {}, memory=lambda: (used[0], 1000))
    for used[0], tight in ((100, False), (900, True), (800, True), (700, False), (0, False)):
        clock.advance(MEMORY_EVERY_S)
        shell.beat()
        assert shell.tight is tight
    used[0] = 990
    shell.beat()
    assert not shell.tight, "looked at more often than it costs nothing"
    news = [(fact.source, fact.healthy) for fact in log.facts if isinstance(fact, SourceChanged)]
    assert news == [("memory", False), ("memory", True)]


class Ring:
    """Only a search finds that nobody needs it."""

    def __init__(self) -> None:
        self.me = self


def searched(shell: SystemShell, clock: VirtualClock) -> bool:
    """Whether the next look at memory finds a ring."""
    gc.disable()
    try:
        gone = weakref.ref(Ring())
        clock.advance(MEMORY_EVERY_S)
        shell.beat()
    finally:
        gc.enable()
    return gone() is None


def test_f71_memory_that_grows_is_searched_for_what_nobody_needs() -> None:
    clock, blocks = VirtualClock(), [100]
    shell = SystemShell(CONFIG, clock, FactLog().submit, {}, memory=lambda: (0, 0), blocks=lambda: blocks[0])
    gc.collect()
    found = []
    for grown in (GROWN_BLOCKS + 200, 0, GROWN_BLOCKS // 2, GROWN_BLOCKS):
        blocks[0] += grown
        found.append(searched(shell, clock))
    assert found == [True, False, False, True]


def test_f71_few_blocks_that_hold_much_memory_are_searched_too() -> None:
    clock, used = VirtualClock(), [2 * GROWN_BYTES]
    shell = SystemShell(CONFIG, clock, FactLog().submit, {}, memory=lambda: (used[0], 2**40), blocks=lambda: 100)
    gc.collect()
    found = []
    for grown in (0, GROWN_BYTES, 1, -GROWN_BYTES, GROWN_BYTES, 1):
        used[0] += grown
        found.append(searched(shell, clock))
    assert found == [True, False, True, False, False, True], "at the first look, then above what was left, or fallen to, since"


def test_f72_all_files_the_system_gives_are_taken_and_too_few_are_told(caplog: pytest.LogCaptureFixture) -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
        with caplog.at_level(logging.WARNING):
            most = allow_files(100)
            assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == most == before[1]
            assert not caplog.messages
            allow_files(10**9)
        assert "LimitNOFILE" in caplog.text or most == resource.RLIM_INFINITY
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_signals_ask_for_an_end_and_are_given_back(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    asked = asyncio.Event()
    restore = on_stop_signal(asked.set)
    os.kill(os.getpid(), number)
    await asyncio.wait_for(asked.wait(), 5)
    restore()
    assert signal.getsignal(number) in (before, signal.default_int_handler, signal.SIG_DFL)
