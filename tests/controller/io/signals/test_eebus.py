"""The bridge to EEBUS, message by message as deploy/signals.md describes it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from controller.facts import SourceChanged
from controller.io.signals.eebus import build, nominal
from controller.site.grid.limit_machine import State
from tests.support.signal_wire import Wire
from tests.support.site_story import depot

HEAD = "yardmaster/test/eebus/dso"


def wire(**more: Any) -> Wire:
    return Wire({"type": "eebus", "failsafe_w": 4200, "failsafe_production_w": 1000, **more}, build)


def test_a_write_is_answered_with_the_bridges_own_number() -> None:
    there = wire()
    there.send(f"{HEAD}/heartbeat", {})
    there.send(f"{HEAD}/consumption/limit", {"value_w": 6000, "active": True, "number": 41})
    assert there.said("consumption/answer") == [{"what": "limit", "number": 41, "accepted": True, "reason": "", "in_force_w": 6000}]
    there.send(f"{HEAD}/consumption/limit", {"value_w": 6000, "active": False, "number": 42})
    assert there.said("consumption/answer")[-1]["in_force_w"] is None


def test_production_comes_with_the_sign_of_eebus() -> None:
    there = wire()
    there.send(f"{HEAD}/production/limit", {"value_w": -3000, "active": True})
    assert there.holds_w("production") == 3000.0
    there.send(f"{HEAD}/production/limit", {"value_w": 0, "active": True})
    assert there.holds_w("production") == 0.0


def test_a_negative_consumption_limit_is_refused() -> None:
    there = wire()
    there.send(f"{HEAD}/consumption/limit", {"value_w": -6000, "active": True, "number": 1})
    answer = there.said("consumption/answer")[-1]
    assert (answer["accepted"], answer["in_force_w"]) == (False, 4200)


def test_failsafe_values_over_the_bridge() -> None:
    there = wire()
    there.send(f"{HEAD}/consumption/failsafe", {"value_w": 2000, "duration_s": 7200, "number": 3})
    assert there.said("consumption/answer") == [{"what": "failsafe", "number": 3, "accepted": True, "reason": "", "in_force_w": 2000}]
    there.send(f"{HEAD}/consumption/failsafe", {"duration_s": 100, "number": 4})
    assert not there.said("consumption/answer")[-1]["accepted"]


def test_heartbeats_are_messages_of_their_own_and_never_retained() -> None:
    there = wire()
    there.send(f"{HEAD}/consumption/limit", {"value_w": 9000, "active": True})
    there.clock.advance(121.0)
    there.signal.look(there.clock.stamp())
    assert there.signal.worst() is State.FAILSAFE
    there.send(f"{HEAD}/heartbeat", {}, retained=True)
    there.send(f"{HEAD}/consumption/limit", {"value_w": 9000, "active": True})
    assert there.holds_w() == 4200.0
    there.send(f"{HEAD}/heartbeat", {})
    there.send(f"{HEAD}/consumption/limit", {"value_w": 9000, "active": True})
    assert there.holds_w() == 9000.0


def test_a_retained_limit_is_refused() -> None:
    there = wire()
    there.send(f"{HEAD}/consumption/limit", {"value_w": 9000, "active": True}, retained=True)
    assert there.holds_w() == 4200.0


@pytest.mark.parametrize(
    "payload", [b"", b"1", b"{}", b'{"value_w": "1", "active": true}', b'{"value_w": 1, "active": 1}', b'{"value_w": 1}', b"\xff"]
)
def test_what_cannot_be_read_changes_nothing(payload: bytes) -> None:
    there = wire()
    there.send(f"{HEAD}/consumption/limit", payload)
    assert there.holds_w() == 4200.0
    if payload:
        assert there.said("consumption/answer")[-1]["reason"]


def test_the_bridges_will_is_a_word_about_its_connection() -> None:
    there = wire()
    for text in (b"online", b"online", b"offline"):
        there.send(f"{HEAD}/status", text, retained=True)
    assert [fact.healthy for fact in there.facts if isinstance(fact, SourceChanged)] == [True, False]


async def test_our_own_heartbeat_and_the_nominal_values() -> None:
    there = wire()
    running = asyncio.ensure_future(there.driver.run())
    await asyncio.sleep(0.01)
    running.cancel()
    assert there.said("controller/heartbeat")
    (nominal_values,) = there.said("controller/nominal")
    assert nominal_values == {"consumption_nominal_max_w": 63 * 690.0, "production_nominal_max_w": 0}


def test_nominal_is_the_contract_of_the_connection() -> None:
    assert nominal(depot(1, grid={"max_import_w": 20_000}))["consumption_nominal_max_w"] == 20_000
