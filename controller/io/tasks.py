"""Background tasks that cannot vanish.

asyncio keeps only weak references to tasks and swallows the exception of one nobody awaits.
``spawn`` keeps the task until it ends and logs its exception once. ``keep`` is for work that is
never done: when a defect ends it, it is logged and begun anew.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

log = logging.getLogger(__name__)

RESTART_S = (1.0, 60.0)

_running: set[asyncio.Task[Any]] = set()


def spawn(coro: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
    """Run ``coro`` in the background under ``name``; an exception is logged with its traceback."""
    task = asyncio.get_running_loop().create_task(coro, name=name)
    _running.add(task)
    task.add_done_callback(_finished)
    return task


def keep(work: Callable[[], Coroutine[Any, Any, None]], name: str, restart_s: tuple[float, float] = RESTART_S) -> asyncio.Task[None]:
    """Like ``spawn`` for a loop that must not stop: a meter whose poll task died would look silent for ever.

    restart_s: first and longest pause before the next try [s]; the pause doubles with each failure and
    is forgotten after work that went well for the longest.
    """
    return spawn(_again_and_again(work, name, *restart_s), name)


async def _again_and_again(work: Callable[[], Coroutine[Any, Any, None]], name: str, first_s: float, longest_s: float) -> None:
    loop, pause_s = asyncio.get_running_loop(), first_s
    while True:
        began_s = loop.time()
        try:
            return await work()
        except Exception:
            pause_s = first_s if loop.time() - began_s > longest_s else pause_s
            log.exception("background task %r failed, please report it; it is begun anew in %g s, the rest goes on", name, pause_s)
        await asyncio.sleep(pause_s)
        pause_s = min(longest_s, 2 * pause_s)


async def end(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel tasks and wait until they are gone. Their exceptions have been logged by ``spawn``."""
    tasks = [task for task in tasks if task is not asyncio.current_task()]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _finished(task: asyncio.Task[Any]) -> None:
    _running.discard(task)
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("background task %r failed; it has ended, the rest goes on", task.get_name(), exc_info=error)
