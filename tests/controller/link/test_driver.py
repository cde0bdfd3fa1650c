"""Who charges decides on service: the CSMS's word, lists, groups; told to the site, kept over a restart, nobody named."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from controller.config import AuthorizationConfig, Config
from controller.facts import DriverKnown
from controller.link.driver import Groups, Users
from tests.support.playbook import BOOT, BOOT_16, TOKEN, Playbook, config, event, start_16, stop_16

ACCEPTED = {"status": "Accepted", "interval": 300, "currentTime": "2026-11-21T16:00:00Z"}
VANS = {"id": "vans", "priority": 4, "departure": "06:30", "energy_wh": 40_000}
LISTS = {"groups": [VANS], "tokens": [{"id_token": "VAN1", "group": "vans"}, {"id_token": "VAN2", "group": "vans", "priority": -3}]}


def site(authorization: dict[str, Any] | None = None, timezone: str = "Europe/Berlin") -> Config:
    data = json.loads(config().model_dump_json(exclude_none=True))
    data["site"]["timezone"] = timezone
    data["authorization"] = authorization or LISTS
    return Config.model_validate(data)


def booted(version: str = "ocpp2.0.1", authorization: dict[str, Any] | None = None) -> Playbook:
    play = Playbook(site(authorization), version=version)
    play.connect()
    play.station(2, "b", "BootNotification", BOOT_16 if version == "ocpp1.6" else BOOT)
    play.csms(3, "b", ACCEPTED)
    return play


def start(play: Playbook, id_token: str = "AABBCC", transaction_id: str = "tx-1", answer: dict[str, Any] | None = None) -> list[DriverKnown]:
    """A session begins with this driver; what the site hears of the driver up to the CSMS's answer."""
    token = {"idToken": id_token, "type": "ISO14443"}
    play.station(2, transaction_id, "TransactionEvent", event("Started", 0, transaction_id, idToken=token))
    found = play.facts(DriverKnown)
    play.csms(3, transaction_id, {"idTokenInfo": {"status": "Accepted"}} if answer is None else answer)
    return [*found, *play.facts(DriverKnown)]


def priorities(found: list[DriverKnown]) -> list[int | None]:
    return [fact.priority for fact in found]


# -- the CSMS's word (E01.FR.18, K21) --------------------------------------------------------------------------


def test_the_priority_of_the_token_and_that_of_the_transaction() -> None:
    play = booted()
    assert priorities(start(play, answer={"idTokenInfo": {"status": "Accepted", "chargingPriority": 5}})) == [None, 5]
    play.station(2, "u", "TransactionEvent", event("Updated", 1))
    play.csms(3, "u", {"chargingPriority": 7})
    assert priorities(play.facts(DriverKnown)) == [7]
    play.station(2, "v", "TransactionEvent", event("Updated", 2, idToken=TOKEN))
    play.csms(3, "v", {"idTokenInfo": {"status": "Accepted", "chargingPriority": 5}})
    assert play.facts(DriverKnown) == []  # that of the transaction overrules the token's


def test_the_cached_word_counts_while_the_csms_is_away() -> None:
    play = booted()
    start(play, answer={"idTokenInfo": {"status": "Accepted", "chargingPriority": 5}})
    play.station(2, "e", "TransactionEvent", event("Ended", 1))
    play.csms(3, "e", {})
    play.close()
    play.station(2, "n", "TransactionEvent", event("Started", 0, "tx-2", idToken=TOKEN))
    (fact,) = play.facts(DriverKnown)
    assert (fact.transaction_id, fact.priority) == ("tx-2", 5)


def test_the_local_list_of_the_station_counts() -> None:  # D01
    play = booted()
    entry = {"idToken": TOKEN, "idTokenInfo": {"status": "Accepted", "chargingPriority": 3}}
    play.csms(2, "l", "SendLocalList", {"versionNumber": 1, "updateType": "Full", "localAuthorizationList": [entry]})
    play.station(3, "l", {"status": "Accepted"})
    assert priorities(start(play)) == [3]


@pytest.mark.parametrize("priority", [10, "5", 2.5, None, True])
def test_what_is_no_priority_says_nothing(priority: Any) -> None:
    assert priorities(start(booted(), answer={"idTokenInfo": {"status": "Accepted", "chargingPriority": priority}})) == [None]


# -- lists and groups of the site --------------------------------------------------------------------------------


def test_a_group_gives_priority_departure_and_energy() -> None:
    play = booted()
    (fact,) = start(play, "van1")
    assert (fact.priority, fact.group, fact.energy_wh) == (4, "vans", 40_000)
    assert fact.departure_wall_s is not None
    leaves = datetime.fromtimestamp(fact.departure_wall_s, ZoneInfo("Europe/Berlin"))
    assert (leaves.hour, leaves.minute) == (6, 30)
    assert 0 < fact.departure_wall_s - play.at.wall_s <= 86_400


def test_the_driver_s_own_priority_wins_over_the_group_s_and_the_csms_s_over_both() -> None:
    play = booted()
    assert priorities(start(play, "VAN2", answer={"idTokenInfo": {"status": "Accepted", "chargingPriority": 8}})) == [-3, 8]


def test_in_1_6_lists_and_groups_count_too() -> None:
    play = booted("ocpp1.6")
    play.station(2, "s", "StartTransaction", start_16(id_tag="VAN1"))
    assert play.facts(DriverKnown) == []  # no transaction yet that it could be about
    play.csms(3, "s", {"transactionId": 17, "idTagInfo": {"status": "Accepted"}})
    (fact,) = play.facts(DriverKnown)
    assert (fact.transaction_id, fact.priority, fact.group, fact.evse.evse_id) == ("17", 4, "vans", 1)
    play.station(2, "e", "StopTransaction", stop_16(17) | {"idTag": "VAN2"})
    assert play.facts(DriverKnown) == []


def test_a_driver_nobody_knows_is_only_known_again() -> None:
    (fact,) = start(booted())
    assert (fact.priority, fact.group, fact.departure_wall_s, fact.energy_wh) == (None, "", None, None)
    assert fact.user


# -- known again by a digest ---------------------------------------------------------------------------------------


def user_of(play: Playbook, id_token: str, transaction_id: str) -> str:
    fact = start(play, id_token, transaction_id)[0]
    play.station(2, f"{transaction_id} ends", "TransactionEvent", event("Ended", 9, transaction_id))
    play.csms(3, f"{transaction_id} ends", {})
    return fact.user


def test_the_same_driver_has_the_same_name_over_restarts_and_nobody_else_has() -> None:
    play = booted()
    mine, other = user_of(play, "AABBCC", "tx-1"), user_of(play, "DDEEFF", "tx-2")
    assert mine == user_of(play, "aabbcc", "tx-3") != other, "OCPP compares without case"
    again = play.restarted()
    again.connect()
    again.station(2, "b2", "BootNotification", BOOT)
    again.csms(3, "b2", ACCEPTED)
    assert user_of(again, "AABBCC", "tx-4") == mine


def test_another_site_knows_the_same_driver_by_another_name() -> None:
    other = Playbook(site(), seed="another start")
    other.connect()
    other.station(2, "b", "BootNotification", BOOT)
    other.csms(3, "b", ACCEPTED)
    assert user_of(other, "AABBCC", "tx-1") != user_of(booted(), "AABBCC", "tx-1")


def test_the_disk_has_the_key_and_the_digest_and_never_the_card() -> None:
    play = booted()
    start(play, "AABBCC")
    assert play.memories[("driver_key", "users")]
    kept = json.dumps([[*key, value] for key, value in play.memories.items()]).lower()
    assert "aabbcc" not in kept
    assert play.memories[("driver", "CP1")]["1"]["user"] in kept


@pytest.mark.parametrize("rubbish", [None, 5, "", "short", "\u00e4" * 64, ["x"] * 64])
def test_a_key_that_is_none_is_made_anew(rubbish: Any) -> None:
    users = Users("fresh")
    users.load(rubbish)
    assert users.name({"idToken": "A"}) == Users("fresh").name({"idToken": "A"})
    assert len(users.keep()) == 1
    assert users.keep() == []


@pytest.mark.parametrize("token", [{}, {"idToken": ""}, {"idToken": None}, {"idToken": "  ", "type": "NoAuthorization"}])
def test_nobody_has_no_name(token: dict[str, Any]) -> None:
    assert Users("fresh").name(token) == ""


def test_another_s_card_at_the_end_does_not_make_it_another_s_session() -> None:
    play = booted()
    (first,) = start(play, "AABBCC")
    play.station(2, "u", "TransactionEvent", event("Updated", 1, idToken={"idToken": "VAN1", "type": "ISO14443"}))
    assert [fact.user for fact in play.facts(DriverKnown)] == [first.user]


def test_named_again_the_departure_stays_that_of_the_start() -> None:
    play = booted()
    (first,) = start(play, "VAN1")
    play.wait(60)
    play.station(2, "u", "TransactionEvent", event("Updated", 1, idToken={"idToken": "VAN1", "type": "ISO14443"}))
    assert play.facts(DriverKnown) == []
    assert first.departure_wall_s is not None


# -- memory ----------------------------------------------------------------------------------------------------------


def test_a_restart_forgets_nothing_and_the_file_names_nobody() -> None:
    play = booted()
    start(play, "VAN1", answer={"idTokenInfo": {"status": "Accepted", "chargingPriority": 6}})
    assert "VAN1" not in json.dumps(play.memories[("driver", "CP1")])
    again = play.restarted()
    again.connect()
    again.station(2, "h", "Heartbeat", {})
    (fact,) = again.facts(DriverKnown)
    assert (fact.transaction_id, fact.priority, fact.group) == ("tx-1", 6, "vans")
    again.csms(3, "h", {"currentTime": "2026-11-21T16:00:00Z"})
    again.station(2, "e", "TransactionEvent", event("Ended", 9))
    assert ("driver", "CP1") not in again.memories


def test_a_damaged_memory_is_none() -> None:
    play = booted()
    play.links.sessions["CP1"].who.load({"1": {"id": "tx-1"}, "x": None, "2": 5})
    play.links.sessions["CP1"].who.load("nonsense")
    assert priorities(start(play, "VAN1")) == [4]


# -- the clock on the wall ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("now", "departs"),
    [
        ("2026-07-01T05:00:00+02:00", "2026-07-01T06:30:00+02:00"),
        ("2026-07-01T06:30:00+02:00", "2026-07-02T06:30:00+02:00"),
        ("2026-10-24T20:00:00+02:00", "2026-10-25T06:30:00+01:00"),  # the night the clocks go back: 11.5 h
        ("2026-03-28T20:00:00+01:00", "2026-03-29T06:30:00+02:00"),  # and forward: 9.5 h
    ],
)
def test_the_departure_is_by_the_site_s_clock(now: str, departs: str) -> None:
    groups = Groups(AuthorizationConfig.model_validate({"groups": [VANS]}), "Europe/Berlin")
    assert groups.needs("vans", datetime.fromisoformat(now).timestamp())[0] == datetime.fromisoformat(departs).timestamp()


def test_unknown_groups_and_zones_do_no_harm() -> None:
    groups = Groups(AuthorizationConfig.model_validate({"groups": [VANS]}), "Nowhere/Land")
    assert groups.needs("lorries", 0.0) == (None, None)
    assert groups.needs("vans", 0.0) == (6.5 * 3600, 40_000)
