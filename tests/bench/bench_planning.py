"""What planning costs the controller's own loop, in CPU time: nothing here may hold up a decision about the fuse.

At 1000 EVSEs with a car each: the picture as a problem, the check of a plan, rounding to amps, ceilings, and the rules that stand in for
the solver; each also as a multiple of freeze + decide of the same run. Then 20 000 past sessions: the longest piece of learning in a
tick, all of it, and a start of the controller with them in its journal.

    python tests/bench/bench_planning.py [--rounds 5] [--evses 1000] [--sessions 20000]
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))


from controller.facts import Restored
from controller.io.journal.store import Batch, JournalStore
from controller.site.plans import habits
from controller.site.plans.habits import History, key_of, memory_of
from controller.site.plans.posing import build_problem
from controller.site.plans.rounding import Rounding
from optimizer.check import check
from optimizer.expect import Habits
from optimizer.past import PastSession
from optimizer.rules import allocate
from tests.bench.ledger import record
from tests.support.site_story import WALL_S, Story, depot

BENCH = "planning"


def least_ms(work: Callable[[], object], rounds: int) -> float:
    """The least CPU time of some rounds [ms]."""
    found = []
    for _ in range(rounds):
        begin_s = time.process_time()
        work()
        found.append(time.process_time() - begin_s)
    return 1000.0 * min(found)


def plans(count: int, rounds: int) -> None:
    """A depot with a car at every EVSE."""
    told = Story(depot(count, fuse_a=6000.0, circuits=10, circuit_fuse_a=800.0))
    told.start()
    for key in told.site.evses:
        told.plug(key)
    told.run(12)
    site, at, problem = told.site, told.at(), told.problems()[-1]
    inputs, plan = site.on_plans.inputs(at), allocate(problem)
    site.planner._take(plan, problem, at)
    site.planner.prepare(site.evses, site.actuator.channels, at)
    decide_ms = least_ms(lambda: site.deciding.control(at, at_once=True), rounds)
    parts: dict[str, Callable[[], object]] = {
        "posing": lambda: build_problem(site.config, site.layout, inputs, at),
        "check": lambda: check(problem, plan),
        "rounding": lambda: Rounding(60.0).renew(problem, plan, 0, site.evses, site.actuator.channels, at),
        "ceilings": lambda: site.planner.targets(site.evses, at),
        "rules": lambda: allocate(problem),
    }
    record(BENCH, f"freeze + decide + write {count}", decide_ms, "ms")
    for name, work in parts.items():
        milliseconds = least_ms(work, rounds)
        record(BENCH, f"{name} {count}", milliseconds, "ms", "<= 50" if name != "rules" else "", milliseconds / decide_ms)


def sessions(count: int) -> list[PastSession]:
    """Made up, over 80 days, at 200 EVSEs."""
    draw = random.Random(7)
    found = []
    for number in range(count):
        came = WALL_S - 80 * 86_400.0 * (1.0 - number / count) - 90_000.0
        stay_s, evse = draw.uniform(3600.0, 36_000.0), f"CP{number % 200}/1"
        user, wh = f"driver {draw.randrange(300)}", draw.uniform(2e3, 4e4)
        found.append(PastSession(evse, f"hall{number % 4}", (0, 1, 2), came, came + stay_s, wh, 11_040.0, wh, came + stay_s, user))
    return found


def learning(past: list[PastSession], rounds: int) -> None:
    """All at once, and the longest tick."""
    whole_ms = least_ms(lambda: Habits.learn(past, WALL_S, "Europe/Berlin"), rounds)
    record(BENCH, f"learning {len(past)} at once", whole_ms, "ms")
    longest_ms, ticks = min(longest_tick(past) for _ in range(rounds))
    record(BENCH, f"learning {len(past)} longest tick", longest_ms, "ms", "<= 50", longest_ms / whole_ms)
    record(BENCH, f"learning {len(past)} ticks", ticks, "ticks")


def longest_tick(past: list[PastSession]) -> tuple[float, int]:
    """(the longest [ms], how many) of the ticks in which a history learns."""
    told = Story(depot(1))
    history = History(told.config)
    history.remember(past, WALL_S)
    longest_s, ticks = 0.0, 0
    while history.learnt is habits.NOTHING_LEARNT:
        begin_s = time.process_time()
        history.learn(told.at())
        longest_s, ticks = max(longest_s, time.process_time() - begin_s), ticks + 1
    return 1000.0 * longest_s, ticks


def restart(past: list[PastSession]) -> None:
    """Reading the journal and taking it in."""
    with tempfile.TemporaryDirectory() as name:
        store = JournalStore(Path(name), "bench", 4096)
        store.write([Batch(remember=tuple((habits.SPACE, key_of(one), json.dumps(memory_of(one))) for one in past))])
        store.close()
        record(BENCH, f"journal with {len(past)} sessions", sum(file.stat().st_size for file in Path(name).glob("journal.sqlite3*")) / 1e6, "MB")
        begin_s = time.process_time()
        store = JournalStore(Path(name), "bench", 4096)
        memories = store.read().memories
        read_s = time.process_time() - begin_s
        told = Story(depot(1))
        begin_s = time.process_time()
        told.site.handle(Restored(told.at(), memories, {}))
        record(BENCH, f"start with {len(past)} sessions, reading", read_s, "s", "<= 1")
        record(BENCH, f"start with {len(past)} sessions, taking in", time.process_time() - begin_s, "s", "<= 1")
        store.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--evses", type=int, default=1000)
    parser.add_argument("--sessions", type=int, default=20_000)
    arguments = parser.parse_args()
    plans(arguments.evses, arguments.rounds)
    past = sessions(arguments.sessions)
    learning(past, arguments.rounds)
    restart(past)


if __name__ == "__main__":
    main()
