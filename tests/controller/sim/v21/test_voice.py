"""A simulated 2.1 station on the wire: every frame fits the published schema of 2.1."""

from __future__ import annotations

from tests.controller.sim.kit import Bench, car, make_bench


def charging(**spec: object) -> Bench:
    bench = make_bench(version="2.1", **spec)
    bench.connect()
    bench.run(2)
    bench.station.plug_in(bench.at, 1, car())
    bench.run(30)
    return bench


def test_a_whole_visit_is_valid_and_complete() -> None:
    bench = charging()
    bench.station.unplug(bench.at, 1)
    bench.run(5)
    (book,) = bench.books.transactions.values()
    assert book.complete
    assert book.in_order
    modes = [event["transactionInfo"]["operationMode"] for event in bench.events()]
    assert modes[0] == "Idle"
    assert "ChargingOnly" in modes
    assert {"NotifyEvent", "NotifyEVChargingNeeds"} <= set(bench.actions())
    assert "StatusNotification" not in bench.actions()
    assert bench.books.statuses["A1", 1] == "Available"
    assert bench.watch.errors == []


def test_its_power_streams_if_the_csms_wants_it() -> None:
    bench = charging(stream_s=5)
    sends = [frame for frame in bench.sent if frame[0] == 6]
    assert 5 <= len(sends) <= 8
    assert {frame[2] for frame in sends} == {"NotifyPeriodicEventStream"}
    assert float(sends[-1][3]["data"][0]["v"]) == 16 * 690
    assert bench.books.streamed["A1"] == len(sends)
    assert len({frame[1] for frame in sends}) == len(sends)
    (stream,) = bench.ask("GetPeriodicEventStream", {})["constantStreamData"]
    assert stream["params"]["interval"] == 5


def test_without_consent_nothing_streams() -> None:
    bench = charging()
    assert not [frame for frame in bench.sent if frame[0] == 6]
    assert bench.ask("GetPeriodicEventStream", {}) == {}
    assert bench.ask("UsePriorityCharging", {"transactionId": "t", "activate": True}) == {"status": "NoProfile"}
