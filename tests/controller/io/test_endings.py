"""Certificates we show to others: their ends are told in time, once each, and anew for a renewed one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from controller.facts import CertificateEnding, Fact, Stamp
from controller.io.clock import Clock
from controller.io.endings import Endings
from controller.io.tls import DAY_S, ends_at
from tests.support.certificates import ECDSA_CERT


class DayClock:
    """A clock that stands so many days before an end."""

    def __init__(self, ends_wall_s: float) -> None:
        self.ends_wall_s, self.left_days, self.trusted = ends_wall_s, 100.0, True

    def stamp(self) -> Stamp:
        return replace(Clock().stamp(), wall_s=self.ends_wall_s - self.left_days * DAY_S, wall_trusted=self.trusted)


async def test_an_end_that_comes_near_is_told_once_each_step(tmp_path: Path) -> None:
    path = tmp_path / "ven.pem"
    path.write_text(ECDSA_CERT)
    clock, facts = DayClock(ends_at(path)), list[Fact]()
    endings = Endings({"utility": path, "none": tmp_path / "none.pem"}, clock, facts.append)
    told = []
    for left_days, trusted in ((100, True), (20, False), (20, True), (20, True), (10, True), (0.5, True), (-1, True), (-2, True)):
        clock.left_days, clock.trusted = left_days, trusted
        await endings.look()
        told.append(len(facts))
    assert told == [0, 0, 1, 1, 2, 3, 4, 4]
    assert {(fact.user, fact.name) for fact in facts if isinstance(fact, CertificateEnding)} == {("utility", str(path))}
