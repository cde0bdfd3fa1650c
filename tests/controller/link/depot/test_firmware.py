"""UpdateFirmware to the depot (L01, L02): by policy, a few at a time, only while idle, one state for all."""

from __future__ import annotations

from typing import Any

import pytest

from controller.link.depot.firmware import Firmware
from controller.ocpp.hub import Failed
from controller.ocpp.times import timestamp
from tests.support.depot_book import START_WALL_S
from tests.support.desk import asked as mixed_asked
from tests.support.desk import desk as mixed_desk
from tests.support.model_desk import Charger, Desk, depot_site

Payload = dict[str, Any]
FIRMWARE = {"location": "http://10.0.0.1/fw.bin", "retrieveDateTime": "2026-11-21T11:00:00Z", "signingCertificate": "PEM", "signature": "SIG"}
IMAGE: Payload = {"requestId": 7, "firmware": FIRMWARE, "retries": 2}


def depot(stations: tuple[str, ...] = ("CP1", "CP2", "CP3"), **policy: Any) -> Desk:
    desk = Desk([Firmware], depot_site(stations, **{"firmware_models": ("generic",), **policy}))
    for charger in desk.chargers.values():
        charger.says["UpdateFirmware"] = {"status": "Accepted"}
    return desk


def asked(charger: Charger) -> list[Payload]:
    return charger.asked("UpdateFirmware")


def says(desk: Desk, station: str, *statuses: str) -> None:
    request = asked(desk.chargers[station])[-1]["requestId"]
    for status in statuses:
        desk.station(station, "FirmwareStatusNotification", {"status": status, "requestId": request})
        desk.seconds(1)


def told(desk: Desk) -> list[str]:
    return [payload["status"] for payload in desk.heard("FirmwareStatusNotification")]


def test_without_a_policy_it_is_rejected_and_says_why() -> None:
    desk = depot(firmware_models=())
    answer = desk.answer("UpdateFirmware", IMAGE)
    assert answer["status"] == "Rejected"
    assert "firmware_models" in answer["statusInfo"]["additionalInfo"]
    desk = depot(firmware_models=("another",))
    assert desk.answer("UpdateFirmware", IMAGE)["status"] == "Rejected"
    desk.seconds(5)
    assert all(asked(charger) == [] for charger in desk.chargers.values())


def test_it_goes_to_a_few_at_a_time_with_numbers_of_their_own() -> None:
    desk = depot()
    assert desk.answer("UpdateFirmware", IMAGE) == {"status": "Accepted"}
    desk.seconds(3)
    assert [len(asked(charger)) for charger in desk.chargers.values()] == [1, 1, 0]
    first = asked(desk.chargers["CP1"])[0]
    assert first == {**IMAGE, "requestId": first["requestId"]}  # certificate and signature as they came
    assert first["requestId"] not in (7, asked(desk.chargers["CP2"])[0]["requestId"])
    says(desk, "CP1", "Downloading", "Downloaded", "SignatureVerified", "Installing", "Installed")
    desk.seconds(2)
    assert [len(asked(charger)) for charger in desk.chargers.values()] == [1, 1, 1]


def test_the_depot_tells_one_sequence_and_the_counts_at_the_end() -> None:
    desk = depot()
    desk.answer("UpdateFirmware", IMAGE)
    desk.seconds(2)
    for station in ("CP1", "CP2"):
        says(desk, station, "Downloading", "Downloaded", "Installing", "Installed")
    desk.seconds(2)
    says(desk, "CP3", "Downloading", "Downloaded", "Installing", "Installed")
    payloads = desk.heard("FirmwareStatusNotification")
    assert [payload["status"] for payload in payloads] == ["Downloading", "Downloaded", "Installing", "Installed"]
    assert {payload["requestId"] for payload in payloads} == {7}
    assert payloads[-1]["statusInfo"]["additionalInfo"] == "3 of 3 chargers installed"


def test_the_worst_end_wins() -> None:
    desk = depot(("CP1", "CP2", "CP3"), firmware_parallel=3)
    desk.chargers["CP3"].says["UpdateFirmware"] = {"status": "InvalidCertificate"}
    desk.answer("UpdateFirmware", IMAGE)
    desk.seconds(2)
    says(desk, "CP1", "Downloading", "Installed")
    says(desk, "CP2", "Downloading", "DownloadFailed")
    desk.seconds(2)
    payloads = desk.heard("FirmwareStatusNotification")
    assert payloads[-1]["status"] == "InvalidSignature"
    assert payloads[-1]["statusInfo"]["additionalInfo"] == "1 of 3 chargers installed; CP2 DownloadFailed, CP3 InvalidSignature"


def test_who_charges_is_not_disturbed() -> None:
    desk = depot(("CP1",))
    desk.changed("CP1", transactions={1: "TX"})
    desk.answer("UpdateFirmware", IMAGE)
    desk.seconds(30)
    assert asked(desk.chargers["CP1"]) == []
    assert told(desk) == ["DownloadScheduled"]
    desk.changed("CP1", transactions={})
    desk.seconds(2)
    assert len(asked(desk.chargers["CP1"])) == 1


def test_it_is_not_fetched_before_its_time() -> None:
    desk = depot(("CP1",))
    later = {**FIRMWARE, "retrieveDateTime": "2026-11-21T12:01:00Z", "installDateTime": "2026-11-21T23:00:00Z"}
    desk.answer("UpdateFirmware", {"requestId": 7, "firmware": later})
    desk.seconds(58)
    assert asked(desk.chargers["CP1"]) == []
    assert told(desk) == ["DownloadScheduled"]
    desk.seconds(3)
    assert asked(desk.chargers["CP1"])[0]["firmware"] == later  # when to install is the charger's to keep


def test_it_goes_on_after_a_crash_under_the_same_numbers() -> None:
    desk = depot()
    desk.answer("UpdateFirmware", IMAGE)
    desk.seconds(2)
    says(desk, "CP1", "Downloading")
    before = asked(desk.chargers["CP1"])[0]["requestId"]
    desk = desk.again()
    desk.seconds(3)
    assert [len(asked(charger)) for charger in desk.chargers.values()] == [1, 1, 0]
    desk.station("CP1", "FirmwareStatusNotification", {"status": "Installed", "requestId": before})
    desk.seconds(2)
    assert len(asked(desk.chargers["CP3"])) == 1


def test_a_state_waits_for_the_csms_and_none_is_lost() -> None:
    desk = depot(("CP1",))
    desk.answer("UpdateFirmware", IMAGE)
    desk.seconds(2)
    desk.office.accepted = False
    says(desk, "CP1", "Downloading", "Downloaded", "Installing")
    desk = desk.again()
    desk.seconds(2)
    says(desk, "CP1", "Installed")
    desk.seconds(5)
    assert told(desk) == ["Downloading", "Downloaded", "Installing", "Installed"]


def test_a_new_version_at_boot_means_installed() -> None:
    """A 1.6 charger reboots into its new firmware and never says Installed."""
    desk = depot(("CP1",))
    desk.changed("CP1", boot={"vendorName": "V", "model": "M", "firmwareVersion": "1"})
    desk.answer("UpdateFirmware", IMAGE)
    desk.seconds(2)
    says(desk, "CP1", "Downloading", "Downloaded", "Installing")
    desk.changed("CP1", boot={"vendorName": "V", "model": "M", "firmwareVersion": "2"})
    desk.seconds(4)
    assert told(desk)[-1] == "Installed"


def test_a_charger_that_stays_silent_has_failed() -> None:
    desk = depot(("CP1",))
    desk.answer("UpdateFirmware", IMAGE)
    desk.seconds(2)
    says(desk, "CP1", "Downloading")
    desk.at = type(desk.at)(desk.at.mono_s + 7300, desk.at.wall_s + 7300)
    desk.seconds(3)
    assert told(desk)[-1] == "InstallationFailed"


def test_an_update_ends_though_a_charger_never_comes() -> None:
    desk = depot(("CP1", "CP2"))
    desk.changed("CP2", linked=False, online=False)
    desk.answer("UpdateFirmware", IMAGE)
    desk.seconds(2)
    says(desk, "CP1", "Downloading", "Installed")
    desk.at = type(desk.at)(desk.at.mono_s + 23 * 3600, desk.at.wall_s + 23 * 3600)
    desk.seconds(5)
    assert told(desk)[-1] == "Downloading"  # it may still come
    desk.at = type(desk.at)(desk.at.mono_s + 3700, desk.at.wall_s + 3700)
    desk.seconds(5)
    (payload,) = desk.heard("FirmwareStatusNotification")
    assert payload["status"] == "DownloadFailed"
    assert payload["statusInfo"]["additionalInfo"] == "1 of 2 chargers installed; CP2 DownloadFailed"


def test_that_one_has_ended_is_told_though_the_next_has_begun() -> None:
    desk = depot(("CP1",))
    desk.answer("UpdateFirmware", IMAGE)
    desk.seconds(2)
    desk.office.accepted = False
    says(desk, "CP1", "Downloading", "Installed")
    desk.seconds(2)
    assert desk.answer("UpdateFirmware", {**IMAGE, "requestId": 8}) == {"status": "Accepted"}  # nothing was cancelled
    desk.office.accepted = True
    desk.seconds(5)
    says(desk, "CP1", "Downloading", "Installed")
    desk.seconds(5)
    states = [(payload["status"], payload["requestId"]) for payload in desk.heard("FirmwareStatusNotification")]
    assert states[-4:] == [("Downloading", 7), ("Installed", 7), ("Downloading", 8), ("Installed", 8)]


def test_nobody_knows_whether_it_was_asked_so_it_is_asked_again_with_the_same_number() -> None:
    desk = depot(("CP1",))
    desk.chargers["CP1"].says["UpdateFirmware"] = Failed("GenericError", "no answer in time")
    desk.answer("UpdateFirmware", IMAGE)
    desk.seconds(5)
    desk.chargers["CP1"].says["UpdateFirmware"] = {"status": "Accepted"}
    desk.seconds(70)
    first, second = asked(desk.chargers["CP1"])
    assert first == second


def test_the_state_of_an_update_that_is_not_ours_is_not_told_as_the_depots() -> None:
    """Trap 30: identities are not mixed up."""
    desk = depot()
    for request in ({}, {"requestId": 7}):
        desk.station("CP1", "FirmwareStatusNotification", {"status": "Installing", **request})
    desk.seconds(3)
    assert told(desk) == []
    desk.answer("UpdateFirmware", IMAGE)
    desk.seconds(2)
    desk.station("CP1", "FirmwareStatusNotification", {"status": "Installed", "requestId": 7})
    desk.station("CP3", "FirmwareStatusNotification", {"status": "Installed"})  # it was not asked yet
    desk.seconds(3)
    assert told(desk) == []


def test_a_second_update_replaces_the_first() -> None:
    desk = depot(("CP1",))
    desk.answer("UpdateFirmware", IMAGE)
    desk.seconds(2)
    old = asked(desk.chargers["CP1"])[0]["requestId"]
    assert desk.answer("UpdateFirmware", {**IMAGE, "requestId": 8}) == {"status": "AcceptedCanceled"}
    desk.seconds(2)
    desk.station("CP1", "FirmwareStatusNotification", {"status": "DownloadFailed", "requestId": old})
    says(desk, "CP1", "Downloading", "Installed")
    desk.seconds(2)
    payloads = desk.heard("FirmwareStatusNotification")
    assert [(payload["status"], payload["requestId"]) for payload in payloads] == [("Downloading", 8), ("Installed", 8)]


@pytest.mark.parametrize(("running", "expected"), [(False, {"status": "Idle"}), (True, {"status": "Downloading", "requestId": 7})])
def test_what_a_trigger_makes_it_say(running: bool, expected: Payload) -> None:
    desk = depot(("CP1",))
    if running:
        desk.answer("UpdateFirmware", IMAGE)
        desk.seconds(2)
        says(desk, "CP1", "Downloading")
        desk.heard("FirmwareStatusNotification")
    desk.talks.spawn(desk.at, [desk.office.says["FirmwareStatusNotification"]()], desk)
    assert desk.heard("FirmwareStatusNotification") == [expected]


def test_over_the_real_face_each_version_gets_it_in_its_own_words() -> None:
    book = mixed_desk(firmware_models=("generic",), firmware_parallel=3)
    for station in ("CP20", "CP21"):
        book.station_says[station]["UpdateFirmware"] = {"status": "Accepted"}
    book.station_says["CP16"]["UpdateFirmware"] = {}
    image = {"requestId": 7, "firmware": {"location": FIRMWARE["location"], "retrieveDateTime": timestamp(START_WALL_S)}}
    assert book.csms("UpdateFirmware", image) == {"status": "Accepted"}
    book.wait(3)
    assert mixed_asked(book, "CP16", "UpdateFirmware")[0]["location"] == FIRMWARE["location"]
    for station in ("CP20", "CP21"):
        (told_it,) = mixed_asked(book, station, "UpdateFirmware")
        assert told_it["firmware"]["location"] == FIRMWARE["location"]
        for status in ("Downloading", "Downloaded", "Installing", "Installed"):
            book.say(station, "FirmwareStatusNotification", {"status": status, "requestId": told_it["requestId"]})
    for status in ("Downloading", "Downloaded", "Installing", "Installed"):
        book.say("CP16", "FirmwareStatusNotification", {"status": status})
        book.wait(2)
    heard = book.heard("FirmwareStatusNotification")
    assert [payload["status"] for payload in heard] == ["Downloading", "Downloaded", "Installing", "Installed"]
    assert {payload["requestId"] for payload in heard} == {7}


def test_a_charger_that_is_away_for_a_day_does_not_keep_the_update_open() -> None:
    desk = depot(("CP1", "CP2"))
    desk.changed("CP2", linked=False, online=False)
    assert desk.answer("UpdateFirmware", IMAGE) == {"status": "Accepted"}
    desk.seconds(3)
    says(desk, "CP1", "Downloading", "Downloaded", "Installing", "Installed")
    assert told(desk)[-1] != "Installed"  # CP2 may come back
    desk.seconds(24 * 3600)
    last = desk.heard("FirmwareStatusNotification")[-1]
    assert last["status"] == "DownloadFailed"
    assert "CP2 DownloadFailed" in last["statusInfo"]["additionalInfo"]
    assert desk.answer("UpdateFirmware", IMAGE) == {"status": "Accepted"}  # nothing is replaced
