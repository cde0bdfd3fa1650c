"""Sessions of a 1.6 station: states come beside transactions, ids after starts, old messages late."""

from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest

from controller.facts import ChargingState, EvseKey, Fact, SessionChanged, Stamp
from controller.link.downlink import Downlink
from controller.link.ids import IdSource
from controller.link.profiles import Profiles
from controller.link.running import Running
from controller.ocpp import rpc
from controller.ocpp.registry import dialects
from controller.ocpp.times import timestamp
from controller.orders import Order, Persist

V16 = "ocpp1.6"
DIALECT = dialects()[V16]
AT = Stamp(10.0, 1_790_000_000.0)
NOW, OLD = timestamp(AT.wall_s), timestamp(AT.wall_s - 3600)
EVSE = EvseKey("CP1", 2)


class Station:
    """Calls of a station, as its session shows them to the site."""

    def __init__(self) -> None:
        self.numbers: Iterator[int] = count(1)
        down = Downlink("CP1", IdSource("seed"), 230.0, lambda at, call, frame: [])
        profiles = Profiles("CP1", {1: 3, 2: 3}, lambda: next(self.numbers), 230.0, down)
        down.dialect = profiles.dialect = DIALECT
        self.running = Running("CP1", {1: 3, 2: 3}, down, profiles, {}, lambda: Persist(0))

    def call(self, action: str, **payload: Any) -> list[Order | Fact]:
        text = rpc.call_text(str(next(self.numbers)), action, payload)
        call = rpc.parse(text, version=V16, max_bytes=65_536)
        assert isinstance(call, rpc.Call)
        return self.running.observe(AT, call, DIALECT.transaction_event(action, call.payload), DIALECT)

    def sessions(self, action: str, **payload: Any) -> list[SessionChanged]:
        return [outcome for outcome in self.call(action, **payload) if isinstance(outcome, SessionChanged)]

    def status(self, status: str) -> list[SessionChanged]:
        return self.sessions("StatusNotification", connectorId=2, errorCode="NoError", status=status)

    def start(self, moment: str = NOW, transaction_id: int | None = 17) -> list[SessionChanged]:
        """Before its answer, and, with an id, as the link shows it after the answer."""
        asked = {"connectorId": 2, "idTag": "AABB", "meterStart": 1200, "timestamp": moment}
        assert self.sessions("StartTransaction", **asked) == []
        return self.sessions("StartTransaction", **asked, transactionId=transaction_id)

    def stop(self, moment: str = NOW, transaction_id: int = 17) -> list[SessionChanged]:
        return self.sessions("StopTransaction", transactionId=transaction_id, meterStop=9000, timestamp=moment)

    def reading(self, moment: str = NOW, transaction_id: int = 17) -> list[SessionChanged]:
        value = {"timestamp": moment, "sampledValue": [{"value": "16.0", "measurand": "Current.Import", "unit": "A"}]}
        return self.sessions("MeterValues", connectorId=2, transactionId=transaction_id, meterValue=[value])


@pytest.fixture
def station() -> Station:
    return Station()


def test_a_start_is_booked_with_the_id_of_its_answer(station: Station) -> None:
    assert station.start() == [SessionChanged(AT, EVSE, "17", None, started=True)]
    assert station.running.id_at(2) == "17"
    assert station.stop() == [SessionChanged(AT, EVSE, "17", None, ended=True)]
    assert station.running.id_at(2) is None


def test_a_state_is_that_of_the_transaction_that_runs(station: Station) -> None:
    station.start()
    assert station.status("SuspendedEV") == [SessionChanged(AT, EVSE, "17", ChargingState.SUSPENDED_EV)]
    station.stop()
    assert station.status("Available") == []


def test_a_state_told_before_the_start_is_not_lost(station: Station) -> None:
    assert station.status("Charging") == []
    assert station.start() == [SessionChanged(AT, EVSE, "17", ChargingState.CHARGING, started=True)]


def test_what_a_station_had_queued_changes_nothing_live(station: Station) -> None:  # F16
    assert [fact.live for fact in station.start(OLD)] == [False]
    assert [fact.live for fact in station.reading(OLD)] == [False]


def test_a_session_begun_offline_that_still_runs_is_found_again(station: Station) -> None:
    station.start(OLD)
    assert station.status("Charging") == [SessionChanged(AT, EVSE, "17", ChargingState.CHARGING)]


def test_also_if_the_station_tells_its_state_first(station: Station) -> None:
    station.status("Charging")
    assert station.start(OLD) == [SessionChanged(AT, EVSE, "17", ChargingState.CHARGING, started=True, live=True)]


def test_also_by_its_next_reading(station: Station) -> None:
    station.start(OLD)
    assert station.reading() == [SessionChanged(AT, EVSE, "17", None)]


def test_the_end_of_what_runs_is_news_however_late(station: Station) -> None:  # E04
    station.start()
    assert station.stop(OLD) == [SessionChanged(AT, EVSE, "17", None, ended=True, live=True)]


def test_a_reading_after_the_end_begins_nothing(station: Station) -> None:  # trap 9
    station.start()
    station.stop()
    assert station.reading() == []
    assert station.running.id_at(2) is None
