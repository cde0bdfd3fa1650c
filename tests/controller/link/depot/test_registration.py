"""Whether the CSMS knows the depot (B01-B04)."""

from __future__ import annotations

import pytest

from controller.facts import Stamp
from controller.link.depot.registration import REASON_KEY, RETRY_S, SHORTEST_BEAT_S, Registration, State
from controller.ocpp.hub import NO_ANSWER, Memory, Said
from controller.ocpp.times import timestamp


def at(mono_s: float) -> Stamp:
    return Stamp(mono_s, 1_790_000_000.0 + mono_s)


def answer(status: str, interval: object = 300) -> Said:
    return Said({"currentTime": timestamp(1_790_000_000.0), "interval": interval, "status": status})


def asked(memory: Memory | None = None) -> Registration:
    known = Registration(memory or Memory())
    known.connected("ocpp2.1")
    known.asked()
    return known


def test_accepted_it_beats_as_told_and_stays_known_over_a_loss_of_the_link() -> None:
    known = asked()
    assert known.answered(at(0), answer("Accepted", 600)) is State.ACCEPTED
    assert known.interval_s == 600.0
    known.lost()
    assert known.connected("ocpp2.1")
    known.lost()
    assert not known.connected("ocpp1.6")
    assert known.reason == "Unknown"


@pytest.mark.parametrize(("interval", "wait_s"), [(90, 90.0), (0, RETRY_S), (None, RETRY_S), (-5, RETRY_S), ("x", RETRY_S), (1e9, RETRY_S)])
def test_pending_it_waits_as_told_or_as_it_likes(interval: object, wait_s: float) -> None:
    known = asked()
    assert known.answered(at(0), answer("Pending", interval)) is State.PENDING
    assert not known.boot_due(at(wait_s - 1))
    assert known.boot_due(at(wait_s))


def test_silence_and_rubbish_are_no_answer() -> None:
    for reply in (NO_ANSWER, Said({}), answer("Perhaps")):
        known = asked()
        assert known.answered(at(0), reply) is State.UNKNOWN
        assert known.boot_due(at(RETRY_S))


def test_one_boot_at_a_time() -> None:
    known = asked()
    assert not known.boot_due(at(1e6))
    known.again("Triggered")
    assert not known.boot_due(at(1e6))
    known.answered(at(0), answer("Accepted"))
    known.again("Triggered")
    assert known.boot_due(at(0))
    assert known.reason == "Triggered"
    known.asked()
    known.answered(at(1), answer("Accepted"))
    assert known.reason == "PowerUp"


def test_a_reason_left_behind_is_told_once() -> None:
    memory = Memory({REASON_KEY: "RemoteReset"})
    known = asked(memory)
    assert known.reason == "RemoteReset"
    known.answered(at(0), answer("Accepted", 1))
    assert known.reason == "PowerUp"
    assert memory.get(REASON_KEY) is None
    assert known.interval_s == SHORTEST_BEAT_S


def test_one_that_is_no_longer_accepted_boots_when_the_link_is_back() -> None:
    known = asked()
    known.answered(at(0), answer("Accepted"))
    known.again("Triggered")
    known.asked()
    known.answered(at(0), answer("Rejected", 60))
    known.lost()
    assert not known.connected("ocpp2.1")


def test_clocks() -> None:
    known = asked()
    assert not known.clock_off(at(30), answer("Accepted"))
    assert "-90 s" in known.clock_off(at(90), answer("Accepted"))
    assert not known.clock_off(at(95), answer("Accepted"))
    assert not known.clock_off(at(1), answer("Accepted"))
    assert known.clock_off(at(99), answer("Accepted"))
    assert not Registration(Memory()).clock_off(Stamp(0, 0.0, wall_trusted=False), answer("Accepted"))
