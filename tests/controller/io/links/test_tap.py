"""The tap hands out, filters, and never makes anybody wait."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest

from controller.facts import Fact, Stamp, StationClosed, StationFrame
from controller.io.links.tap import Listener, Tap, Want
from controller.orders import Order, SendStation, SendUpstream
from controller.snapshot import LinkView
from tests.support.picture import picture, site_config

AT = Stamp(100.0, 1_790_000_000.0)


def frame(station_id: str, action: str, message_id: str = "1") -> StationFrame:
    return StationFrame(AT, station_id, 1, json.dumps([2, message_id, action, {}]))


def make_tap() -> Tap:
    return Tap(site_config(), lambda: picture().links)


def taken(listener: Listener) -> list[dict[str, Any]]:
    lost, texts = listener.take()
    return [{"lost": lost}] * bool(lost) + [json.loads(text) for text in texts]


def test_nobody_listens_until_somebody_does() -> None:
    tap = make_tap()
    assert not tap.listening
    tap.see(frame("alpha", "Heartbeat"), [])
    first, second = tap.open(Want()), tap.open(Want())
    assert tap.listening
    tap.close(first)
    assert tap.listening
    tap.close(second)
    tap.close(second)
    assert not tap.listening


def test_every_listener_gets_what_it_wants() -> None:
    tap = make_tap()
    wants = {
        "all": Want(),
        "alpha": Want(station_id="alpha"),
        "boots": Want(actions=frozenset({"bootnotification"})),
        "down": Want(way="down"),
        "csms": Want(leg="csms"),
    }
    listeners = {name: tap.open(want) for name, want in wants.items()}
    heartbeat = frame("beta", "Heartbeat")
    tap.see(frame("alpha", "BootNotification", "b1"), [SendStation("alpha", 1, json.dumps([3, "b1", {"status": "Accepted"}]))])
    tap.see(heartbeat, [SendUpstream("beta", 1, heartbeat.text)])
    tap.see(StationClosed(AT, "beta", 1, "gone"), [])
    got = {name: [(item["station"], item["leg"], item["kind"]) for item in taken(listener)] for name, listener in listeners.items()}
    assert len(got["all"]) == 5
    assert {station for station, _, _ in got["alpha"]} == {"alpha"}
    assert got["boots"] == [("alpha", "station", "CALL"), ("alpha", "station", "RESULT")], "with the answer, without connections"
    assert got["down"] == [("alpha", "station", "RESULT"), ("beta", "station", "CLOSED")]
    assert got["csms"] == [("beta", "csms", "CALL")]


def test_a_slow_listener_loses_the_oldest_and_is_told() -> None:
    listener = Listener(Want(), max_waiting=3)
    for number in range(10):
        listener.put(json.dumps({"n": number}))
    assert taken(listener) == [{"lost": 7}, {"n": 7}, {"n": 8}, {"n": 9}]
    listener.put('{"n":10}')
    assert taken(listener) == [{"n": 10}], "told once"


def test_large_records_count_by_their_size() -> None:
    listener = Listener(Want(), max_chars=100)
    for number in range(5):
        listener.put(json.dumps([number, "x" * 60]))
    lost, texts = listener.take()
    assert (lost, len(texts)) == (4, 1)
    listener.put("y" * 1000)
    assert listener.take() == (0, ["y" * 1000]), "one that is larger than everything still comes through"


async def test_waiting_ends_with_the_first_record() -> None:
    listener = Listener(Want())
    assert not await listener.wait(0.01)
    asyncio.get_running_loop().call_soon(listener.put, "{}")
    assert await listener.wait(5)
    listener.take()
    assert not await listener.wait(0.01)


def test_a_defect_in_looking_does_not_reach_what_is_looked_at(caplog: pytest.LogCaptureFixture) -> None:
    tap = make_tap()
    tap.open(Want())

    class Broken(list[Order]):
        def __iter__(self) -> Iterator[Order]:
            raise ZeroDivisionError

    facts: list[Fact] = [frame("alpha", "Heartbeat"), frame("alpha", "Heartbeat")]
    for fact in facts:
        tap.see(fact, Broken())
    assert len(caplog.records) == 1, "said once"


def test_the_state_is_what_a_transcript_begins_with() -> None:
    views: list[LinkView] = list(picture().links)
    assert make_tap().state() == [
        {"station": view.station_id, "version": view.version, "online": view.online, "upstream": view.upstream} for view in views
    ]
