"""Reset of one charger and of all (B11, B12, trap 27)."""

from __future__ import annotations

from tests.support.desk import UUID_A, asked, desk, says

ACCEPTED = {"status": "Accepted"}
IMMEDIATE = {"type": "Immediate"}


def test_all_chargers_are_reset_and_yardmaster_says_that_it_is_not() -> None:
    book = desk()
    says(book, "Reset", CP16=ACCEPTED, CP20=ACCEPTED, CP21=ACCEPTED)
    answer = book.csms("Reset", IMMEDIATE)
    assert answer["status"] == "Accepted"
    assert "does not restart" in answer["statusInfo"]["additionalInfo"]
    assert asked(book, "CP16", "Reset") == [{"type": "Soft"}]
    assert asked(book, "CP20", "Reset") == asked(book, "CP21", "Reset") == [IMMEDIATE]


def test_one_that_refuses_and_one_that_is_away_are_named_and_told() -> None:
    book = desk()
    says(book, "Reset", CP20=ACCEPTED, CP21={"status": "Rejected", "statusInfo": {"reasonCode": "FwUpdateInProgress"}})
    book.hang_up("CP16")
    answer = book.csms("Reset", IMMEDIATE)
    assert (answer["status"], answer["statusInfo"]["reasonCode"]) == ("Accepted", "PartlyDone")
    assert "CP16: charger is offline" in answer["statusInfo"]["additionalInfo"]
    assert "FwUpdateInProgress" in answer["statusInfo"]["additionalInfo"]
    assert any("CP21: Rejected (FwUpdateInProgress)" in text for text in book.told)


def test_on_idle_waits_for_a_16_charger_that_charges() -> None:
    book = desk()
    says(book, "Reset", CP16=ACCEPTED, CP20=ACCEPTED, CP21={"status": "Scheduled"})
    start = {"connectorId": 1, "idTag": "AABBCCDD", "meterStart": 0, "timestamp": "2026-09-21T14:00:00Z"}
    number = book.say("CP16", "StartTransaction", start)["transactionId"]
    assert book.csms("Reset", {"type": "OnIdle"})["status"] == "Scheduled"
    assert asked(book, "CP16", "Reset") == []  # a Soft reset now would end the session
    book.say("CP16", "StopTransaction", {"transactionId": number, "meterStop": 10, "timestamp": "2026-09-21T15:00:00Z"})
    book.wait(20)
    assert asked(book, "CP16", "Reset") == [{"type": "Soft"}]


def test_the_only_evse_of_a_charger_is_the_whole_charger() -> None:
    book = desk()
    says(book, "Reset", CP16=ACCEPTED, CP21=ACCEPTED)
    assert book.csms("Reset", {"type": "Immediate", "evseId": 1}) == ACCEPTED
    assert asked(book, "CP16", "Reset") == [{"type": "Soft"}]
    assert book.csms("Reset", {"type": "Immediate", "evseId": 4}) == ACCEPTED
    assert asked(book, "CP21", "Reset") == [IMMEDIATE]


def test_one_of_several_evses_is_its_chargers_to_judge() -> None:
    book = desk()
    says(book, "Reset", CP20={"status": "Rejected", "statusInfo": {"reasonCode": "NotEnabled"}})
    answer = book.csms("Reset", {"type": "Immediate", "evseId": 3})
    assert asked(book, "CP20", "Reset") == [{"type": "Immediate", "evseId": 2}]
    assert answer == {"status": "Rejected", "statusInfo": {"reasonCode": "NotEnabled"}}


def test_the_policy_can_refuse_and_nobody_at_home_is_no_success() -> None:
    book = desk(reset="refuse")
    assert book.csms("Reset", IMMEDIATE)["status"] == "Rejected"
    assert not any(book.down.values())
    book = desk()
    book.hang_up()
    assert book.csms("Reset", IMMEDIATE)["statusInfo"]["reasonCode"] == "StationOffline"


def test_after_it_the_depot_boots_with_the_reason() -> None:
    book = desk()
    says(book, "Reset", CP16=ACCEPTED, CP20=ACCEPTED, CP21=ACCEPTED)
    book.csms("Reset", IMMEDIATE)
    book.wait(2)
    assert not book.heard("BootNotification")
    book.hang_up()
    book.wait(30)
    book.boot("CP16", "CP20")
    book.wait(2)
    assert not book.heard("BootNotification")
    book.boot("CP21")
    book.wait(5)
    assert [told["reason"] for told in book.heard("BootNotification")] == ["RemoteReset"]


def test_chargers_that_do_not_come_back_do_not_hold_up_the_boot() -> None:
    book = desk()
    says(book, "Reset", CP21=ACCEPTED)
    book.csms("Reset", IMMEDIATE)
    book.wait(170)
    assert not book.heard("BootNotification")
    book.wait(20)
    assert [told["reason"] for told in book.heard("BootNotification")] == ["RemoteReset"]


def test_an_ongoing_session_of_a_2x_charger_makes_it_scheduled() -> None:
    book = desk()
    book.event("CP21", "Started", UUID_A, 0)
    says(book, "Reset", CP21={"status": "Scheduled"})
    assert book.csms("Reset", {"type": "OnIdle", "evseId": 4}) == {"status": "Scheduled"}


def test_after_the_boot_the_csms_gets_all_states_again() -> None:
    book = desk()
    says(book, "Reset", CP16=ACCEPTED, CP20=ACCEPTED, CP21=ACCEPTED)
    book.csms("Reset", IMMEDIATE)
    book.hang_up()
    book.wait(5)
    book.up.clear()
    book.boot()
    book.wait(3)
    actions = [action for action, _ in book.up]
    after = [payload["evseId"] for action, payload in book.up[actions.index("BootNotification") :] if action == "StatusNotification"]
    assert sorted(set(after)) == [1, 2, 3, 4]  # B01.FR.05


def test_one_that_waits_for_its_session_makes_it_a_scheduled_reset() -> None:
    book = desk()
    book.event("CP21", "Started", UUID_A, 0)
    says(book, "Reset", CP16=ACCEPTED, CP20=ACCEPTED, CP21={"status": "Scheduled"})
    assert book.csms("Reset", {"type": "OnIdle"})["status"] == "Scheduled"
    book.hang_up("CP16", "CP20")
    book.wait(10)
    book.boot("CP16", "CP20")
    book.wait(600)
    assert not book.heard("BootNotification")  # CP21 still charges
    book.event("CP21", "Ended", UUID_A, 1, trigger="EVDeparted")
    book.hang_up("CP21")
    book.wait(10)
    book.boot("CP21")
    book.wait(3)
    assert [told["reason"] for told in book.heard("BootNotification")] == ["ScheduledReset"]  # B12
