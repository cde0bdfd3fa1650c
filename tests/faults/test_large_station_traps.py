"""The traps of OCPP by number where a whole depot is one station, or a station's version is another than its CSMS's (TRAPS.md).

One charger of each version, one CSMS; every frame that Yardmaster makes is judged by the schemas of its version (``DepotBook``).
"""

from __future__ import annotations

from typing import Any

import pytest

from controller.config import Config
from controller.facts import GridControlled, SiteWished
from controller.ocpp.times import timestamp
from tests.support.depot_book import DepotBook, Payload
from tests.support.desk import UUID_A, asked, desk, mixed, says

VERSIONS = ("ocpp1.6", "ocpp2.0.1", "ocpp2.1")
ACCEPTED = {"status": "Accepted"}
LONG = {"idToken": "DE-ABC-C1234567-89-A-CONTRACT", "type": "eMAID"}
"""Too long for 1.6 (20 characters), not for 2.0.1 (36)."""

every_version = pytest.mark.parametrize("version", VERSIONS)


def start_16(book: DepotBook, tag: str = "AABBCCDD") -> Payload:
    """A StartTransaction that is happening now."""
    return {"connectorId": 1, "idTag": tag, "meterStart": 0, "timestamp": timestamp(book.at.wall_s)}


def starts(book: DepotBook) -> list[tuple[Any, Any]]:
    """(transaction id, first number) of every start the CSMS has heard of, each once."""
    events = [told["transactionInfo"]["transactionId"] for told in book.heard("TransactionEvent") if told["eventType"] == "Started"]
    return list(dict.fromkeys(events))


# -- versions and names of the legs ---------------------------------------------------------------------------


@every_version
def test_trap_4_each_leg_speaks_its_own_version_whatever_the_other_one_has_chosen(version: str) -> None:
    """Each charger hears its own words only, and the CSMS its own: DepotBook refuses any frame that is not of its leg's version."""
    book = desk(version)
    says(book, "ClearCache", CP16=ACCEPTED, CP20=ACCEPTED, CP21=ACCEPTED)
    assert book.csms("ClearCache", {})["status"] == "Accepted"
    assert [asked(book, name, "ClearCache") for name in book.stations] == [[{}], [{}], [{}]]
    assert {name: session.version for name, session in book.links.sessions.items()} == {"CP16": "ocpp1.6", "CP20": "ocpp2.0.1", "CP21": "ocpp2.1"}
    assert book.face.trunk.version == version


@every_version
def test_trap_5_the_depot_boots_with_its_own_serial_number_and_never_with_a_chargers(version: str) -> None:
    """A CSMS may compare it with the client certificate of whoever dials. We have none yet; the number is the operator's to write down."""
    book = DepotBook(mixed(serial_number="Q4-1"), version=version, CP16="ocpp1.6", CP20="ocpp2.0.1", CP21="ocpp2.1")
    book.open()
    book.connect()
    book.say("CP16", "BootNotification", {"chargePointVendor": "ACME", "chargePointModel": "One", "chargePointSerialNumber": "S-16"})
    for name in ("CP20", "CP21"):
        book.say(name, "BootNotification", {"reason": "PowerUp", "chargingStation": {"vendorName": "ACME", "model": "Two", "serialNumber": name}})
    book.wait(5)
    (boot,) = book.heard("BootNotification")
    assert boot.get("chargePointSerialNumber", boot.get("chargingStation", {}).get("serialNumber")) == "Q4-1"
    assert not any("S-16" in str(told) for _, told in book.up)


# -- transactions -----------------------------------------------------------------------------------------------------


def test_trap_7_a_charger_that_starts_while_the_csms_is_away_is_answered_at_once() -> None:
    book = desk()
    book.lose()
    started = book.say("CP16", "StartTransaction", start_16(book))
    assert started["transactionId"] > 0
    assert book.event("CP21", "Started", UUID_A, 0) is not None
    assert all(wire.open for wire in book.stations.values())
    assert len({row.station_id for row in book.rows.values()}) == 2, "both are on disk until the CSMS has them"


@every_version
def test_trap_8_a_power_cut_between_a_start_and_its_answer_is_one_transaction_above(version: str) -> None:
    """Nobody has answered the chargers, so they say their starts again; what goes up is word for word what may have gone up before."""
    book = desk(version)
    book.mute = True
    start = start_16(book)
    moment = start["timestamp"]
    token = {"idToken": "AABBCCDD", "type": "ISO14443"}
    assert book.say("CP16", "StartTransaction", start) is None
    book.wait(31)  # the CSMS is silent: the next one gets its turn
    book.event("CP21", "Started", UUID_A, 0, timestamp=moment, idToken=token)
    after = book.restarted()
    after.open()
    after.boot()
    number = after.say("CP16", "StartTransaction", start)
    after.event("CP21", "Started", UUID_A, 0, timestamp=moment, idToken=token)
    after.wait(5)
    assert number["transactionId"] > 0
    named = [_named(action, told) for action, told in (*book.up, *after.up)]
    begun = [one for one in named if one is not None]
    assert len(begun) >= 3, "at least one of them was said twice"
    assert {place for place, *_ in begun} == {1, 4}
    assert len(set(begun)) == 2


def _named(action: str, told: Payload) -> tuple[Any, ...] | None:
    """What a CSMS knows a start by; None for anything else."""
    if action == "StartTransaction":
        return told["connectorId"], told["timestamp"], told["meterStart"]
    if action == "TransactionEvent" and told["eventType"] == "Started":
        return told["evse"]["id"], told["transactionInfo"]["transactionId"], told["seqNo"], told["timestamp"]
    return None


def test_trap_9_what_waited_goes_up_first_and_says_so() -> None:
    book = desk()
    book.event("CP21", "Started", UUID_A, 0)
    book.lose()
    book.wait(2)
    book.event("CP21", "Updated", UUID_A, 1)
    book.wait(2)
    book.open()
    book.event("CP21", "Ended", UUID_A, 2)
    book.wait(60)
    told = [(event["eventType"], event["seqNo"], event.get("offline", False)) for event in book.heard("TransactionEvent")]
    assert told == [("Started", 0, False), ("Updated", 1, True), ("Ended", 2, told[2][2])]


def test_trap_10_a_transaction_whose_messages_wait_here_is_not_asked_of_its_charger() -> None:
    book = desk()
    says(book, "GetTransactionStatus", CP21={"ongoingIndicator": True, "messagesInQueue": False})
    book.event("CP21", "Started", UUID_A, 0)
    book.lose()
    book.wait(2)
    book.event("CP21", "Updated", UUID_A, 1)
    book.after_s = 5  # the CSMS takes its time
    book.open()
    book.wait(7)  # it knows the depot again
    assert book.rows
    assert book.csms("GetTransactionStatus", {"transactionId": UUID_A})["messagesInQueue"] is True
    book.wait(90)
    assert book.rows == {}
    assert book.csms("GetTransactionStatus", {"transactionId": UUID_A}) == {"ongoingIndicator": True, "messagesInQueue": False}


@every_version
def test_trap_26_two_chargers_with_one_id_are_two_transactions_and_numbers_outlive_a_swap(version: str) -> None:
    book = desk(version)
    for name in ("CP20", "CP21"):
        book.event(name, "Started", UUID_A, 0, idToken={"idToken": "AABBCCDD", "type": "ISO14443"})
    book.wait(5)
    if version == "ocpp1.6":
        assert [told["connectorId"] for told in book.heard("StartTransaction")] == [2, 4]
    else:
        assert len(starts(book)) == 2
    # The 1.6 charger is swapped for a box of 2.1 under the same identity, and the site file names them in another order.
    data = book.config.model_dump(mode="json", exclude_defaults=True)
    data["stations"].reverse()
    again = book.restarted(Config.model_validate(data))
    again.stations["CP16"].version = "ocpp2.1"
    again.open()
    again.boot()
    numbers = {(one.station_id, one.evse_id): one.number for one in again.face.view().numbers}
    assert numbers == {("CP16", 1): 1, ("CP20", 1): 2, ("CP20", 2): 3, ("CP21", 1): 4}


# -- commands ---------------------------------------------------------------------------------------------------------


def test_trap_24_the_sign_of_a_reactive_setpoint_is_the_senders_and_moves_no_power_of_ours() -> None:
    """7: a FixedVar setpoint is reactive power, positive for injecting. It is no charging setpoint, where positive is into the car."""
    book = desk()
    for value in (-30.5, 30.5):
        control = {"priority": 1, "setpoint": value, "unit": "PctMaxVar"}
        before = len(book.outcomes)
        book.csms("SetDERControl", {"isDefault": True, "controlId": f"v{value}", "controlType": "FixedVar", "fixedVar": control})
        book.wait(5)
        made = book.outcomes[before:]
        assert [one for one in made if isinstance(one, SiteWished)] == []
        assert [one for one in made if isinstance(one, GridControlled) and (one.max_discharge_w, one.max_export_w) != (None, None)] == []
        assert {sent["fixedVar"]["setpoint"] for name in book.stations for sent in asked(book, name, "SetDERControl")} <= {value}


@pytest.mark.parametrize("version", ["ocpp2.0.1", "ocpp2.1"])
def test_trap_27_on_idle_ends_nobodys_session(version: str) -> None:
    book = desk(version)
    says(book, "Reset", CP16=ACCEPTED, CP20={"status": "Scheduled"}, CP21=ACCEPTED)
    number = book.say("CP16", "StartTransaction", start_16(book))["transactionId"]
    assert book.csms("Reset", {"type": "OnIdle"})["status"] == "Scheduled"
    book.wait(600)
    assert asked(book, "CP16", "Reset") == [], "1.6 has no OnIdle, and Soft would end the session"
    assert asked(book, "CP20", "Reset") == [{"type": "OnIdle"}]
    book.say("CP16", "StopTransaction", {"transactionId": number, "meterStop": 10, "timestamp": timestamp(book.at.wall_s)})
    book.wait(20)
    assert [sent["type"] for sent in asked(book, "CP16", "Reset")] == ["Soft"]


@pytest.mark.parametrize("version", ["ocpp2.0.1", "ocpp2.1"])
def test_trap_28_a_long_token_has_one_name_at_a_16_charger_in_list_start_and_answer(version: str) -> None:
    book = desk(version)
    says(book, "SendLocalList", CP16=ACCEPTED, CP20=ACCEPTED, CP21=ACCEPTED)
    says(book, "RequestStartTransaction", CP16=ACCEPTED)
    says(book, "RemoteStartTransaction", CP16=ACCEPTED)
    entry = {"idToken": LONG, "idTokenInfo": {"status": "Accepted"}}
    book.csms("SendLocalList", {"versionNumber": 1, "updateType": "Full", "localAuthorizationList": [entry]})
    book.wait(5)
    (tag,) = [item["idTag"] for sent in asked(book, "CP16", "SendLocalList") for item in sent["localAuthorizationList"]]
    assert len(tag) == 20
    assert LONG["idToken"] in str(asked(book, "CP20", "SendLocalList")), "a 2.x charger hears the token itself"
    book.csms("RequestStartTransaction", {"idToken": LONG, "remoteStartId": 7, "evseId": 1})
    assert [sent["idTag"] for sent in asked(book, "CP16", "RemoteStartTransaction")] == [tag]
    after = book.restarted()  # the alias is on disk before anybody sees it
    after.open()
    after.boot()
    started = after.say("CP16", "StartTransaction", start_16(after, tag))
    after.wait(5)
    assert started["idTagInfo"]["status"] == "Accepted"
    assert [told["idToken"]["idToken"] for told in after.heard("TransactionEvent") if "idToken" in told][:1] == [LONG["idToken"]]


def test_trap_29_an_error_code_in_any_spelling_is_read_and_our_own_is_the_published_one() -> None:
    book = desk("ocpp2.0.1")
    for code in ("OccurenceConstraintViolation", "OccurrenceConstraintViolation", "FormationViolation", "FormatViolation"):
        book.csms_says["DataTransfer"] = {"error": code}
        answer = book.say("CP16", "DataTransfer", {"vendorId": "acme"})
        assert answer is not None
        assert book.is_open, code
    assert not any("internal error" in text for text in book.told)


@pytest.mark.parametrize("version", ["ocpp2.0.1", "ocpp2.1"])
def test_trap_30_publishing_is_the_depots_own_and_no_charger_hears_of_it(version: str) -> None:
    book = desk(version)
    order: Payload = {"location": "http://127.0.0.1:1/fw", "checksum": "0" * 32, "requestId": 3}
    assert book.csms("PublishFirmware", order)["status"] == "Accepted"
    book.wait(5)
    assert [told["status"] for told in book.heard("PublishFirmwareStatusNotification")][:1] == ["Downloading"]
    assert [name for name in book.stations if asked(book, name, "PublishFirmware")] == []
