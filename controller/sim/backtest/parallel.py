"""Runs jobs side by side: in this process, in processes on the cores of this machine, or on the workers of a Dask cluster.

Results come back in the order of the jobs. ``StoppedError`` is raised on Ctrl-C after every process of ours has ended.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from importlib import import_module
from multiprocessing.queues import Queue as ProcessQueue
from queue import Empty
from typing import Any

from controller.sim.backtest.jobs import Job, run_job
from controller.sim.backtest.outcome import PolicyOutcome

LOOK_EVERY_S = 0.5
TELL_PART = 0.005
CLUSTER_TIMEOUT_S = 10

Tell = Callable[[int, float], None]
"""Told that a job (by its place) has so much of itself done, 0..1."""


class RunError(RuntimeError):
    """Work cannot be done; the text says why and what to do."""


class StoppedError(Exception):
    """Somebody pressed Ctrl-C."""


def run_all(jobs: Sequence[Job], workers: int, tell: Tell, cluster: str | None = None) -> list[PolicyOutcome]:
    """The outcomes of all jobs. workers: processes at most. cluster: address of a Dask scheduler. Raises RunError, StoppedError."""
    try:
        if cluster is not None:
            return _on_cluster(jobs, cluster, tell)
        if workers <= 1 or len(jobs) <= 1:
            return [run_job(job, _teller(tell, place)) for place, job in enumerate(jobs)]
        return _on_cores(jobs, min(workers, len(jobs)), tell)
    except KeyboardInterrupt:
        raise StoppedError from None


def cores() -> int:
    """How many processes make sense here."""
    return os.cpu_count() or 1


def _teller(tell: Tell, place: int) -> Callable[[float], None]:
    return lambda part: tell(place, part)


# -- on the cores -------------------------------------------------------------------------------------------------

_news: ProcessQueue[tuple[int, float]] | None = None


def _begin(news: ProcessQueue[tuple[int, float]]) -> None:
    """In a worker: Ctrl-C is the parent's business; progress goes home through a queue."""
    global _news
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _news = news


def _work(place: int, job: Job) -> PolicyOutcome:
    last = 0.0

    def progress(part: float) -> None:
        nonlocal last
        if _news is not None and part - last >= TELL_PART:
            last = part
            _news.put((place, part))

    return run_job(job, progress)


def _on_cores(jobs: Sequence[Job], workers: int, tell: Tell) -> list[PolicyOutcome]:
    context = multiprocessing.get_context("spawn")
    news: ProcessQueue[tuple[int, float]] = context.Queue()
    pool = ProcessPoolExecutor(workers, context, _begin, (news,))
    try:
        futures = [pool.submit(_work, place, job) for place, job in enumerate(jobs)]
        _watch(futures, news, tell)
        return [future.result() for future in futures]
    except BrokenProcessPool:
        raise RunError("a process of the backtest was ended from outside, perhaps for lack of memory; try fewer with --jobs 1") from None
    except BaseException:
        for process in list(getattr(pool, "_processes", None) or {}):
            os.kill(process, signal.SIGTERM)
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        news.close()


def _watch(futures: Sequence[Future[PolicyOutcome]], news: ProcessQueue[tuple[int, float]], tell: Tell) -> None:
    """Tell progress until all are done; the first failure ends it."""
    waiting = set(futures)
    while waiting:
        done, waiting = wait(waiting, LOOK_EVERY_S, FIRST_COMPLETED)
        try:
            while True:
                tell(*news.get_nowait())
        except Empty:
            pass
        for future in done:
            future.result()
            tell(list(futures).index(future), 1.0)


# -- on a cluster ---------------------------------------------------------------------------------------------------


def _alone(job: Job) -> PolicyOutcome:
    return run_job(job, lambda _: None)


def _on_cluster(jobs: Sequence[Job], address: str, tell: Tell) -> list[PolicyOutcome]:
    try:
        distributed: Any = import_module("distributed")
    except ImportError:
        raise RunError("--workers needs the package distributed; install it with: pip install 'yardmaster[cluster]'") from None
    try:
        client = distributed.Client(address, timeout=CLUSTER_TIMEOUT_S)
    except (OSError, ValueError, TimeoutError) as error:
        raise RunError(f"no Dask scheduler answers at {address} ({error}); start one with: dask scheduler, and workers with: dask worker") from None
    with client:
        if not client.scheduler_info().get("workers"):
            raise RunError(f"the Dask scheduler at {address} has no workers; start some with: dask worker {address}")
        futures = [client.submit(_alone, job, pure=False) for job in jobs]
        try:
            places = {future.key: place for place, future in enumerate(futures)}
            for future in distributed.as_completed(futures):
                tell(places[future.key], 1.0)
            return list(client.gather(futures))
        except BaseException:
            client.cancel(futures)
            raise
