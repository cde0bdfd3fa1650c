"""Sharing what is left after everybody's minimum: max-min fair, level by level, higher priorities first.

All claims of one priority rise to one common level until their cap or a full row stops them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from controller.site.sharing.claims import EPS, Claim, Row


@dataclass(slots=True)
class Share:
    """The tables of one decision, by index of claim and row. by: the row or claim that holds a claim back."""

    rows: Sequence[Row]
    claims: Sequence[Claim]
    capacity: Sequence[float]
    amps: list[float]
    slack: list[float]
    why: list[str]
    by: list[Row | Claim]
    waiting: set[int] = field(default_factory=set)


def take(share: Share, index: int, more_a: float) -> None:
    """Grant a claim more, or less."""
    share.amps[index] += more_a
    for row in share.claims[index].rows:
        share.slack[row] -= more_a


def fill_by_priority(share: Share, admitted: Sequence[int], caps: Sequence[float]) -> None:
    """Give the admitted more, up to their caps, higher priorities first."""
    hungry = [index for index in admitted if caps[index] > share.amps[index] + EPS]
    for priority in sorted({share.claims[index].priority for index in hungry}, reverse=True):
        _fill(share, [index for index in hungry if share.claims[index].priority == priority], caps)


def _fill(share: Share, members: list[int], caps: Sequence[float]) -> None:
    """Max-min fair: all rise to one common level until their cap or a full row stops them."""
    if _all_fit(share, members, caps):
        for index in members:
            take(share, index, caps[index] - share.amps[index])
        return
    _Level(share, members, caps).run()


def _all_fit(share: Share, members: Sequence[int], caps: Sequence[float]) -> bool:
    need = [0.0] * len(share.rows)
    for index in members:
        more_a = caps[index] - share.amps[index]
        for row in share.claims[index].rows:
            need[row] += more_a
    return all(wanted <= slack + EPS for wanted, slack in zip(need, share.slack, strict=True))


class _Level:
    """The water level of one priority. Each pass moves it to the next start, cap or full row."""

    def __init__(self, share: Share, members: list[int], caps: Sequence[float]) -> None:
        self.share, self.caps = share, caps
        self.starts = sorted(members, key=lambda index: -share.amps[index])
        self.stops = sorted(members, key=lambda index: -caps[index])
        self.level = share.amps[self.starts[-1]]
        self.rising: set[int] = set()
        self.done: set[int] = set()
        self.count: dict[int, int] = {}
        self.on_row: dict[int, list[int]] = {}

    def run(self) -> None:
        while True:
            self._start()
            self._stop()
            if not self.starts and not self.rising:
                return
            self._rise(self._next())

    def _start(self) -> None:
        amps = self.share.amps
        while self.starts and amps[self.starts[-1]] <= self.level + EPS:
            index = self.starts.pop()
            self.rising.add(index)
            for row in self.share.claims[index].rows:
                if row in self.count:
                    self.count[row] += 1
                    self.on_row[row].append(index)
                else:
                    self.count[row], self.on_row[row] = 1, [index]

    def _stop(self) -> None:
        while self.stops and (self.stops[-1] in self.done or (self.stops[-1] in self.rising and self.caps[self.stops[-1]] <= self.level + EPS)):
            self._freeze(self.stops.pop())
        for row in [row for row, count in self.count.items() if count and self.share.slack[row] <= EPS]:
            for index in self.on_row[row]:
                self._freeze(index)

    def _freeze(self, index: int) -> None:
        if index not in self.rising:
            return
        self.rising.discard(index)
        self.done.add(index)
        self.share.amps[index] = min(self.level, self.caps[index])
        for row in self.share.claims[index].rows:
            self.count[row] -= 1

    def _next(self) -> float:
        """The next level at which something happens."""
        slack = self.share.slack
        level = min((self.level + slack[row] / count for row, count in self.count.items() if count), default=math.inf)
        if self.starts:
            level = min(level, self.share.amps[self.starts[-1]])
        for index in reversed(self.stops):
            if index in self.rising:
                return min(level, self.caps[index])
        return level

    def _rise(self, level: float) -> None:
        by_a = max(0.0, level - self.level)
        for row, count in self.count.items():
            if count:
                self.share.slack[row] -= count * by_a
        self.level = level
