"""Runs a command so that the terminal's Ctrl-C reaches the command and not the ``make`` that started it.

make ends with an error as soon as it gets the signal itself, however well its command ended. So the command
becomes a process group of its own and the terminal's foreground group, as a shell does with a job; Ctrl-Z,
``fg`` and ``bg`` go on working. Without a terminal, or in the background, the command simply takes our place.

    python deploy/foreground.py COMMAND [ARGUMENT ...]
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from types import FrameType

FORWARDED = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


def main(command: list[str]) -> int:
    """Run the command; its exit code, or 128 + the signal that ended it."""
    try:
        terminal = os.open("/dev/tty", os.O_RDWR)
        in_front = os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        in_front = False
    if not in_front:
        os.execvp(command[0], command)
    # Handing the terminal over from the background would otherwise stop us.
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    child = os.fork()
    if child == 0:
        become_job(terminal, command)
    with suppress(OSError):
        os.setpgid(child, child)  # also done by the child: whoever is first
    return attend(terminal, child)


def become_job(terminal: int, command: list[str]) -> None:
    """In the child: a group of its own, in front, with ordinary signals. Does not return."""
    try:
        os.setpgid(0, 0)
        os.tcsetpgrp(terminal, os.getpid())
        os.close(terminal)
        signal.signal(signal.SIGTTOU, signal.SIG_DFL)
        os.execvp(command[0], command)
    except OSError as error:
        print(f"cannot run {command[0]}: {error.strerror}", file=sys.stderr)
    finally:
        os._exit(127)


def attend(terminal: int, child: int) -> int:
    """Wait for the child, stop and go on together with it, and take the terminal back at its end."""

    def forward(number: int, _: FrameType | None) -> None:
        os.killpg(child, number)

    for number in FORWARDED:
        signal.signal(number, forward)
    while True:
        _, status = os.waitpid(child, os.WUNTRACED)
        os.tcsetpgrp(terminal, os.getpgrp())
        if not os.WIFSTOPPED(status):
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code
        os.killpg(0, signal.SIGTSTP)  # make and we stop too, so that the shell sees its whole job stopped
        if os.tcgetpgrp(terminal) == os.getpgrp():  # fg, not bg
            os.tcsetpgrp(terminal, child)
        os.killpg(child, signal.SIGCONT)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
