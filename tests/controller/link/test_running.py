"""Which transactions run, as stations of every version tell it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from controller.facts import EvseKey, SessionChanged, StationConnected, StationFrame, UpstreamFrame, UpstreamOpened
from controller.ocpp.times import timestamp
from controller.orders import Inject, Severity, Tell
from tests.support.playbook import BOOT, BOOT_16, Playbook, config, event, start_16, stop_16, values_16

ACCEPTED = {"status": "Accepted", "interval": 300, "currentTime": "2026-11-21T16:00:00Z"}
OK_16 = {"status": "Accepted"}


def booted(version: str = "ocpp1.6", evses: int = 1, **upstream: Any) -> Playbook:
    play = Playbook(config(evses=evses, **upstream), version=version)
    play.connect()
    play.station(2, "boot", "BootNotification", BOOT_16 if version == "ocpp1.6" else BOOT)
    play.csms(3, "boot", ACCEPTED)
    return play


def running(play: Playbook) -> dict[int, str]:
    return {evse: known.transaction_id for evse, known in play.links.sessions["CP1"].transactions.items()}


def now(play: Playbook) -> str:
    return timestamp(play.at.wall_s)


def test_a_1_6_transaction_runs_when_its_start_is_answered_and_ends_with_its_stop() -> None:
    play = booted(evses=2)
    play.station(2, "s", "StartTransaction", start_16(2, time=now(play)))
    assert play.facts(SessionChanged) == []
    assert running(play) == {}
    play.csms(3, "s", {"transactionId": 17, "idTagInfo": OK_16})
    (begun,) = play.facts(SessionChanged)
    assert (begun.evse, begun.transaction_id, begun.started, begun.live) == (EvseKey("CP1", 2), "17", True, True)
    assert running(play) == {2: "17"}
    play.carry(Inject(EvseKey("CP1", 2), 1, 16.0, 3, 120.0, "plan"))
    assert play.down()[3]["csChargingProfiles"]["transactionId"] == 17
    play.station(2, "e", "StopTransaction", stop_16(17, time=now(play)))
    (ended,) = play.facts(SessionChanged)
    assert (ended.evse, ended.ended) == (EvseKey("CP1", 2), True)
    assert running(play) == {}


def test_a_1_6_start_without_csms_gets_an_id_here_and_runs() -> None:
    play = booted()
    play.close()
    play.station(2, "s", "StartTransaction", start_16(time=now(play)))
    local = play.down()[2]["transactionId"]
    assert local > 0
    assert running(play) == {1: str(local)}


def test_a_repeated_1_6_start_is_one_transaction() -> None:  # F15
    play = booted()
    play.station(2, "s", "StartTransaction", start_16())
    play.csms(3, "s", {"transactionId": 17, "idTagInfo": OK_16})
    play.station(2, "again", "StartTransaction", start_16())
    assert play.down()[:2] == [3, "again"]
    assert play.down()[2]["transactionId"] == 17
    assert running(play) == {1: "17"}
    play.station(2, "e", "StopTransaction", stop_16(17))
    play.csms(3, "e", {})
    play.station(2, "third", "StopTransaction", stop_16(17))
    assert running(play) == {}


def test_a_1_6_meter_value_of_an_unknown_transaction_begins_it() -> None:
    play = booted()
    play.station(2, "v", "MeterValues", values_16(44))
    assert running(play) == {1: "44"}


@pytest.mark.parametrize("transaction_id", ["17", None, True, 1.5, [17]])
def test_ids_of_the_wrong_type_never_break_the_session(transaction_id: Any) -> None:  # B28
    play = booted()
    play.station(2, "e", "StopTransaction", {**stop_16(1), "transactionId": transaction_id})
    assert play.up()[1] == "e"
    play.csms(3, "e", {})
    play.station(2, "h", "Heartbeat", {})
    assert play.up()[1] == "h"


def test_transactions_survive_a_restart_in_every_version() -> None:
    play = booted()
    play.station(2, "s", "StartTransaction", start_16())
    play.csms(3, "s", {"transactionId": 17, "idTagInfo": OK_16})
    play = play.restarted()
    assert running(play) == {1: "17"}
    play.connect()
    play.station(2, "h", "Heartbeat", {})
    assert [fact.transaction_id for fact in play.facts(SessionChanged)] == ["17"]


def test_old_2_x_news_does_not_displace_what_runs_but_an_end_counts_however_late() -> None:  # F16, E04
    play = booted("ocpp2.1")
    play.station(2, "a", "TransactionEvent", event("Started", 0, "tx-1"))
    play.csms(3, "a", {})
    play.station(2, "b", "TransactionEvent", event("Updated", 5, "tx-0", offline=True))
    play.csms(3, "b", {})
    assert running(play) == {1: "tx-1"}
    play.station(2, "c", "TransactionEvent", event("Ended", 1, "tx-1", offline=True))
    assert [(fact.ended, fact.live) for fact in play.facts(SessionChanged)] == [(True, True)]
    play.csms(3, "c", {})
    play.station(2, "d", "TransactionEvent", event("Updated", 2, "tx-1"))
    assert running(play) == {}


# -- two stations, one transaction (F14) --------------------------------------------------------------------


def pair(upstreams: tuple[str | None, str | None] = (None, None)) -> Playbook:
    data = config().model_dump(mode="json")
    one = data["stations"][0]
    data["stations"] = [{**one, "id": f"CP{number}", "upstream": upstreams[number - 1]} for number in (1, 2)]
    if any(upstreams):
        data["upstreams"] = [{**data["upstreams"][0], "id": name} for name in ("csms", "other")]
    return Playbook(type(config()).model_validate(data), version="ocpp1.6")


def start_at(play: Playbook, station_id: str, transaction_id: int) -> list[Tell]:
    play.feed(StationConnected(play.at, station_id, 1, "ocpp1.6", "127.0.0.1"))
    play.feed(UpstreamOpened(play.at, station_id, 1, "ocpp1.6"))
    play.feed(StationFrame(play.at, station_id, 1, json.dumps([2, "s", "StartTransaction", start_16()])))
    answer = {"transactionId": transaction_id, "idTagInfo": OK_16}
    play.feed(UpstreamFrame(play.at, station_id, 1, json.dumps([3, "s", answer])))
    return [order for order in play.outcomes if isinstance(order, Tell) and order.severity is Severity.ALARM]


def test_a_transaction_at_two_stations_is_an_alarm() -> None:
    play = pair()
    assert start_at(play, "CP1", 17) == []
    (alarm,) = start_at(play, "CP2", 17)
    assert "CP1" in alarm.text


def test_two_csmss_may_use_the_same_number() -> None:
    play = pair(("csms", "other"))
    assert start_at(play, "CP1", 17) == []
    assert start_at(play, "CP2", 17) == []


@pytest.mark.parametrize("number", [0, -1])
def test_numbers_that_mean_nothing_are_no_alarm(number: int) -> None:  # 16E 3.54
    play = pair()
    assert start_at(play, "CP1", number) == []
    assert start_at(play, "CP2", number) == []


def test_stations_without_csms_may_have_the_same_local_number() -> None:
    data = config(upstream=False).model_dump(mode="json")
    data["stations"] = [{**data["stations"][0], "id": name} for name in ("CP1", "CP2")]
    play = Playbook(type(config()).model_validate(data), version="ocpp1.6")
    alarms = []
    for name in ("CP1", "CP2"):
        play.feed(StationConnected(play.at, name, 1, "ocpp1.6", "127.0.0.1"))
        play.feed(StationFrame(play.at, name, 1, json.dumps([2, "s", "StartTransaction", start_16()])))
        alarms += [order for order in play.outcomes if isinstance(order, Tell) and order.severity is Severity.ALARM]
    assert alarms == []
    assert all(session.transactions for session in play.links.sessions.values())
