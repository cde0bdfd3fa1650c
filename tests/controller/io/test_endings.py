"""Certificates we show to others: their ends are told in time, once each, and anew for a renewed one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from controller.engine import Engine
from controller.facts import CertificateEnding, Fact, Stamp
from controller.io.clock import Clock
from controller.io.endings import Endings
from controller.io.links.tls import DAY_S, ends_at
from controller.orders import Severity, Tell
from tests.support.certificates import ECDSA_CERT
from tests.support.site_story import QUICK, Story, depot


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


@pytest.mark.parametrize(
    ("user", "left_days", "words"),
    [
        ("", 20.0, "or stations cannot connect"),
        ("utility", 5.0, "the server of utility will not let us in"),
        ("utility", -1.0, "lets us in no more, and its failsafe will hold"),
    ],
)
def test_people_are_told_who_would_refuse_us(user: str, left_days: float, words: str) -> None:
    story = Story(depot(1))
    engine = Engine(story.site.config, "endings", QUICK)
    at = Clock().stamp()
    orders = engine.handle(CertificateEnding(at, "/etc/ven.pem", at.wall_s + left_days * DAY_S, user))
    (told,) = [order for order in orders if isinstance(order, Tell)]
    assert words in told.text
    assert (told.severity is Severity.ALARM) == (left_days <= 7)
