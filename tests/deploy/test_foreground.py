"""Ctrl-C in a terminal ends the demo and not the make around it; Ctrl-Z and fg work on both together."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

FOREGROUND = Path(__file__).resolve().parents[2] / "deploy" / "foreground.py"
CHILD = """\
import os, signal, sys
# os.write, because print may be interrupted inside itself by a handler that prints
def bye(*_):
    os.write(1, b"bye\\n")
    sys.exit(CODE)
signal.signal(signal.SIGINT, bye)
signal.signal(signal.SIGCONT, lambda *_: os.write(1, b"goes on\\n"))
os.write(1, b"up\\n")
while True:
    signal.pause()
"""
PATIENCE_S = 20.0


class Terminal:
    """A shell-less terminal with ``make`` in front."""

    def __init__(self, folder: Path, code: int) -> None:
        (folder / "child.py").write_text(CHILD.replace("CODE", str(code)), encoding="utf-8")
        (folder / "Makefile").write_text(f"demo:\n\t@exec {sys.executable} {FOREGROUND} {sys.executable} child.py\n", encoding="utf-8")
        self.pid, self._screen = pty.fork()
        if self.pid == 0:
            os.chdir(folder)
            os.execvp("make", ["make", "demo"])
        self.seen = ""

    def until(self, pattern: str) -> None:
        """Wait until the screen shows this."""
        while not re.search(pattern, self.seen):
            ready, _, _ = select.select([self._screen], [], [], PATIENCE_S)
            assert ready, f"the screen never showed {pattern!r}: {self.seen!r}"
            self.seen += os.read(self._screen, 4096).decode()

    def press(self, key: bytes) -> None:
        os.write(self._screen, key)

    def end(self) -> int:
        """Exit code of make, negative for a signal."""
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def deserted(self) -> bool:
        """Wait until no process holds the terminal any more; False if one stays."""
        while select.select([self._screen], [], [], PATIENCE_S)[0]:
            try:
                if not os.read(self._screen, 4096):
                    return True
            except OSError:  # Linux says EIO when the other side is closed
                return True
        return False

    def close(self) -> None:
        """Hang up, as a closed window does."""
        os.close(self._screen)


@pytest.fixture
def terminal(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Terminal]:
    made = Terminal(tmp_path, getattr(request, "param", 0))
    yield made
    made.close()


def test_ctrl_c_ends_the_command_and_make_ends_well(terminal: Terminal) -> None:
    terminal.until("up")
    terminal.press(b"\x03")
    terminal.until("bye")
    assert terminal.end() == 0


@pytest.mark.parametrize("terminal", [1], indirect=True)
def test_a_command_that_fails_still_fails(terminal: Terminal) -> None:
    terminal.until("up")
    terminal.press(b"\x03")
    terminal.until(r"Error 1")
    assert terminal.end() == 2


def test_ctrl_z_stops_make_too_and_it_goes_on(terminal: Terminal) -> None:
    terminal.until("up")
    terminal.press(b"\x1a")
    terminal.until("goes on")
    # No shell waits for make here, so the system does not let it stop; the command must not stay stopped alone.
    terminal.press(b"\x03")
    terminal.until("bye")
    assert terminal.end() == 0


def test_without_a_terminal_the_command_takes_its_place(tmp_path: Path) -> None:
    code = "import os, sys; print(os.getpid()); sys.exit(7)"
    started = subprocess.Popen(
        [sys.executable, FOREGROUND, sys.executable, "-c", code], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    printed, _ = started.communicate(timeout=PATIENCE_S)
    assert int(printed) == started.pid
    assert started.returncode == 7


def test_a_signal_to_the_leader_reaches_the_command(terminal: Terminal) -> None:
    terminal.until("up")
    os.kill(terminal.pid, signal.SIGTERM)  # make tells its child, foreground.py, which tells the command
    assert terminal.end() == -signal.SIGTERM
    assert terminal.deserted()
