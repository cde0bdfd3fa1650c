"""The beat on which a meter is asked: one task per meter, each poll ends in exactly one fact, and nothing a device does ends the task."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from controller.facts import MeterFailed, MeterRead
from controller.io.shell import Clock, Submit
from meters.reading import Reading, ReadingError


async def ask_for_ever(
    meter_id: str, period_s: float, poll: Callable[[], Awaitable[Reading]], clock: Clock, submit: Submit, mend: Callable[[], None] = lambda: None
) -> None:
    """Poll on a beat that does not drift. A beat that was missed (slow meter, F50) is skipped, not made up for.

    mend: called after a defect of ours, when nobody knows what state the line is in; it is raised then, and the task begun anew, see ``keep``.
    """
    beat_s = _now_s()
    while True:
        try:
            reading = await poll()
            submit(MeterRead(clock.stamp(), reading))  # stamped when it is there: facts of others may have come meanwhile
        except ReadingError as error:
            submit(MeterFailed(clock.stamp(), meter_id, str(error)))
        except Exception:
            mend()
            submit(MeterFailed(clock.stamp(), meter_id, "internal error while reading; it is in the program's log"))
            raise
        beat_s = next_beat(beat_s, period_s, _now_s())
        await asyncio.sleep(beat_s - _now_s())


def next_beat(last_s: float, period_s: float, now_s: float) -> float:
    """The first beat of ``last_s + n * period_s`` (n >= 1) that is not in the past."""
    late = max(0.0, now_s - last_s - period_s)
    missed = -(-late // period_s)
    return last_s + (1 + missed) * period_s


def _now_s() -> float:
    return asyncio.get_running_loop().time()
