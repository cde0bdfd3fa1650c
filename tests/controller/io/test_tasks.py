"""Background tasks: kept alive, and heard when they fail."""

from __future__ import annotations

import asyncio
import gc

import pytest

from controller.io.tasks import end, keep, spawn


async def test_an_exception_is_logged_once_with_its_task(caplog: pytest.LogCaptureFixture) -> None:
    async def fail() -> None:
        raise ZeroDivisionError("by zero")

    task = spawn(fail(), "meter grid")
    await asyncio.wait([task])
    await asyncio.sleep(0)
    records = [record for record in caplog.records if "meter grid" in record.getMessage()]
    assert len(records) == 1
    assert records[0].exc_info is not None


async def test_a_task_nobody_holds_is_not_collected() -> None:
    reached = asyncio.Event()

    async def work() -> None:
        await asyncio.sleep(0.01)
        reached.set()

    spawn(work(), "work")
    gc.collect()
    await asyncio.wait_for(reached.wait(), 5)


async def test_ended_tasks_are_gone_and_silent(caplog: pytest.LogCaptureFixture) -> None:
    tasks = [spawn(asyncio.Event().wait(), f"waits {n}") for n in range(3)]
    await asyncio.sleep(0)
    await end(tasks)
    assert all(task.cancelled() for task in tasks)
    assert not caplog.records


async def test_a_task_that_ends_its_own_group_does_not_cancel_itself() -> None:
    async def leader() -> str:
        await end([follower, *mine])
        return "done"

    mine: list[asyncio.Task[str]] = []
    follower = spawn(asyncio.Event().wait(), "follower")
    mine.append(spawn(leader(), "leader"))
    assert await mine[0] == "done"
    assert follower.cancelled()


async def test_kept_work_that_fails_is_logged_and_begun_anew(caplog: pytest.LogCaptureFixture) -> None:
    began: list[int] = []
    runs_on = asyncio.Event()

    async def work() -> None:
        began.append(1)
        if len(began) < 3:
            raise ZeroDivisionError("by zero")
        runs_on.set()
        await asyncio.Event().wait()

    task = keep(work, "meter grid", restart_s=(0.001, 0.002))
    await asyncio.wait_for(runs_on.wait(), 5)
    assert [record.getMessage().count("'meter grid' failed") for record in caplog.records] == [1, 1]
    assert all(record.exc_info for record in caplog.records)
    await end([task])
    assert task.cancelled()


async def test_kept_work_may_come_to_its_end() -> None:
    async def work() -> None:
        return

    await asyncio.wait_for(keep(work, "short"), 5)
