"""Limits as JSON over MQTT and HTTP: what is taken, what is refused with which reason (B36-B40), and what the sender hears."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from controller.io.clock import VirtualClock
from controller.io.signals import stated
from controller.io.signals.stated import build
from controller.orders import Publish, RecordCompliance
from tests.support.signal_wire import Wire
from tests.support.site_story import WALL_S

ROOT = "yardmaster/test/signal/dso"
MQTT: dict[str, Any] = {"type": "mqtt", "failsafe_w": 4200, "failsafe_production_w": 0}


def wire(**more: Any) -> Wire:
    return Wire({**MQTT, **more}, build)


def iso(seconds: float) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(WALL_S + seconds, UTC).isoformat()


def test_both_directions_in_one_message_and_the_answers() -> None:
    there = wire()
    there.send(f"{ROOT}/set", {"consumption_w": 11000, "production_w": 0, "duration_s": 900, "seq": 5, "detail": "notice 7"})
    assert (there.holds_w(), there.holds_w("production")) == (11_000.0, 0.0)
    assert there.said("/answer") == [
        {"accepted": True, "reason": "", "in_force_w": 11_000, "direction": "consumption", "sequence": 5},
        {"accepted": True, "reason": "", "in_force_w": 0, "direction": "production", "sequence": 5},
    ]
    assert there.of(RecordCompliance)[0].detail == "notice 7"


def test_what_is_not_named_is_not_stated_and_null_is() -> None:
    there = wire()
    there.send(f"{ROOT}/set", {"production_w": None})
    assert (there.holds_w(), there.holds_w("production")) == (4200.0, None)


def test_an_empty_object_is_a_heartbeat_and_no_limit() -> None:
    there = wire()
    there.send(f"{ROOT}/set", {})
    assert there.signal.heard_mono_s is not None
    assert there.holds_w() == 4200.0


def test_failsafe_values_are_set_before_the_limit_counts() -> None:
    there = wire()
    there.send(f"{ROOT}/set", {"failsafe_consumption_w": 3000, "failsafe_duration_s": 7200})
    assert there.holds_w() == 3000.0
    assert [answer["accepted"] for answer in there.said("/answer")] == [True, True]
    there.send(f"{ROOT}/set", {"failsafe_duration_s": 60})
    assert "from 7200 to 86400" in there.said("/answer")[-1]["reason"]


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xff\xfe",
        b"10",
        b'"NaN"',
        b"10kW",
        b'{"consumption_w": NaN}',
        b'{"consumption_w": 1e999}',
        b'{"consumption_w": "4200"}',
        b'{"consumption_w": true}',
        b'{"limit": 10}',
        b'{"value": 10, "unit": "A"}',
        b'{"consumption_kw": 4.2}',
        b'{"consumption_w": 1, "consumption_w": 2}',
        b'{"consumption_w": 1, "issued_at": "2026-11-20T08:00:00"}',
        b'{"consumption_w": 1, "issued_at": "yesterday"}',
        b'{"consumption_w": 1, "sequence": -1}',
        b"[" * 3000,
        b"x" * 5000,
    ],
)
def test_what_cannot_be_read_is_refused_with_a_reason(payload: bytes) -> None:  # B37, B38
    there = wire()
    there.send(f"{ROOT}/set", {"consumption_w": 6000})
    there.send(f"{ROOT}/set", payload)
    assert there.holds_w() == 6000.0
    assert there.said("/answer")[-1]["accepted"] is False
    assert there.said("/answer")[-1]["reason"]
    assert [order.topic for order in there.of(Publish) if order.topic == "limit/refused"]


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"consumption_w": -4200}, "must be 0 W or more"),
        ({"consumption_w": 1e9}, "check the unit"),
        ({"consumption_w": 6000, "duration_s": 0}, "more than 0 seconds"),
        ({"consumption_w": 6000, "duration_s": -5}, "more than 0 seconds"),
        ({"consumption_w": 6000, "duration_s": 900, "issued_at": iso(120)}, "in the future"),
    ],
)
def test_what_can_be_read_and_is_wrong_is_refused_by_the_site(said: dict[str, Any], reason: str) -> None:  # B39, F55
    there = wire()
    there.send(f"{ROOT}/set", said)
    answer = there.said("/answer")[-1]
    assert not answer["accepted"]
    assert reason in answer["reason"]
    assert there.holds_w() == 4200.0


def test_retained_messages(  # B40, F53
) -> None:
    there = wire()
    there.send(f"{ROOT}/set", {"consumption_w": 9000}, retained=True)
    there.send(f"{ROOT}/set", {"consumption_w": 9000, "duration_s": 600, "issued_at": iso(-7 * 86_400)}, retained=True)
    there.send(f"{ROOT}/set", {}, retained=True)
    assert there.holds_w() == 4200.0
    assert there.signal.heard_mono_s is None
    there.send(f"{ROOT}/set", {"consumption_w": 9000, "duration_s": 600, "issued_at": iso(-60)}, retained=True)
    assert there.holds_w() == 9000.0
    there.send(f"{ROOT}/set", b"", retained=True)  # the broker's copy was cleared: no word of the source
    assert there.holds_w() == 9000.0


def test_a_topic_of_ones_own() -> None:
    there = wire(topic="grid/dimming")
    there.send("grid/dimming", {"consumption_w": 5000})
    assert there.holds_w() == 5000.0
    assert there.broker.said[0][0] == f"{ROOT}/answer"


async def test_over_http_the_answer_is_the_response() -> None:
    there = Wire({"type": "api", "failsafe_w": 4200}, build)
    driver: Any = there.driver
    status, text = await driver.notified(b'{"consumption_w": 6000, "production_w": 100}')
    assert (status, json.loads(text)["accepted"]) == (200, True)
    assert [(one["direction"], one["in_force_w"]) for one in json.loads(text)["answers"]] == [("consumption", 6000), ("production", 100)]
    status, text = await driver.notified(b'{"consumption_w": -1}')
    assert status == 422
    assert "0 W or more" in json.loads(text)["error"]
    status, text = await driver.notified(b"nonsense")
    assert status == 422
    assert (await driver.notified(b"{}"))[0] == 200


async def test_a_site_that_does_not_answer_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stated, "ANSWER_S", 0.01)
    there = Wire({"type": "api"}, build)
    driver: Any = there.driver
    there.site.handle = lambda fact: []  # type: ignore[method-assign]  # the engine is busy
    waiting = asyncio.ensure_future(driver.notified(b'{"consumption_w": 1}'))
    await asyncio.sleep(0)
    status, text = await waiting
    assert status == 503
    assert "state the limit again" in json.loads(text)["error"]
    assert isinstance(there.clock, VirtualClock)
