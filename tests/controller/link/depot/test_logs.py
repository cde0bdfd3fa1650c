"""GetLog of the depot (N01): everybody's log in one zip, and a manifest that leaves nobody out."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from controller.facts import FilesCollected, FileServed
from controller.link.depot.logs import Logs
from controller.orders import OpenBox, SendBox, StopServing
from tests.support.desk import asked as mixed_asked
from tests.support.desk import desk as mixed_desk
from tests.support.model_desk import Desk, depot_site

Payload = dict[str, Any]
ORDER: Payload = {
    "logType": "DiagnosticsLog",
    "requestId": 3,
    "log": {"remoteLocation": "https://csms.example/up/", "oldestTimestamp": "2026-11-20T00:00:00Z"},
    "retries": 1,
    "retryInterval": 5,
}


def depot(stations: tuple[str, ...] = ("CP1", "CP2"), **policy: Any) -> Desk:
    desk = Desk([Logs], depot_site(stations, **policy))
    for charger in desk.chargers.values():
        charger.says["GetLog"] = {"status": "Accepted", "filename": "x.log"}
    return desk


def told(desk: Desk) -> list[tuple[str, int]]:
    return [(payload["status"], payload.get("requestId", 0)) for payload in desk.heard("LogStatusNotification")]


def begin(desk: Desk) -> str:
    """Until the chargers have been asked; returns the box."""
    assert desk.answer("GetLog", ORDER)["status"] == "Accepted"
    return box_opened(desk)


def box_opened(desk: Desk) -> str:
    desk.seconds(2)
    box = desk.ordered(OpenBox)[-1].job
    desk.told(FileServed(desk.at, box, ("http://10.0.0.1:9010/box/s",)))
    return str(box)


def request(desk: Desk, station: str) -> Payload:
    return desk.chargers[station].asked("GetLog")[-1]


def sender(desk: Desk, station: str) -> str:
    """Its name in the box."""
    return str(request(desk, station)["log"]["remoteLocation"]).rsplit("/", 1)[1]


def finish(desk: Desk, box: str, station: str, status: str = "Uploaded") -> None:
    asked = request(desk, station)
    if status == "Uploaded":
        desk.told(FilesCollected(desk.at, box, "received", True, f"{sender(desk, station)}-x.log"))
    desk.station(station, "LogStatusNotification", {"status": status, "requestId": asked["requestId"]})


def manifest(order: SendBox) -> dict[str, Any]:
    found = json.loads(dict(order.extra)["manifest.json"])
    return {charger["id"]: (charger["state"], charger["files"]) for charger in found["chargers"]}


def test_all_are_asked_and_one_zip_goes_up() -> None:
    desk = depot()
    answer = desk.answer("GetLog", ORDER)
    assert answer == {"status": "Accepted", "filename": "DEPOT-DiagnosticsLog-2026-11-21T120000.zip"}
    desk.seconds(2)
    (order,) = desk.ordered(OpenBox)
    box = order.job
    desk.told(FileServed(desk.at, box, ("http://10.0.0.1:9010/box/s",)))
    first = request(desk, "CP1")
    assert re.fullmatch("001-CP1-[0-9A-Za-z]{4,12}", sender(desk, "CP1"))
    assert first["log"] == {"remoteLocation": f"http://10.0.0.1:9010/box/s/{sender(desk, 'CP1')}", "oldestTimestamp": "2026-11-20T00:00:00Z"}
    assert order.senders == (sender(desk, "CP1"), sender(desk, "CP2"))  # nobody else may put anything
    assert first["requestId"] not in (3, request(desk, "CP2")["requestId"])
    finish(desk, box, "CP1")
    desk.seconds(2)
    assert desk.ordered(SendBox) == []
    finish(desk, box, "CP2")
    desk.seconds(2)
    (sent,) = desk.ordered(SendBox)
    assert (sent.url, sent.name, sent.attempts, sent.retry_s) == (ORDER["log"]["remoteLocation"], answer["filename"], 2, 5.0)
    assert manifest(sent) == {id: ("complete", [f"{sender(desk, id)}-x.log"]) for id in ("CP1", "CP2")}
    desk.told(FilesCollected(desk.at, box, "sent", True, sent.name))
    desk.seconds(2)
    assert told(desk) == [("Uploading", 3), ("Uploaded", 3)]
    assert desk.ordered(StopServing) == [StopServing(box)]
    desk.seconds(5)
    assert desk.ordered(OpenBox) == []  # the job has ended


def test_the_manifest_leaves_nobody_out() -> None:
    desk = depot(("CP1", "CP2", "CP3", "CP4", "CP5"))
    desk.changed("CP1", linked=False, online=False)
    desk.chargers["CP2"].says["GetLog"] = {"status": "Rejected"}
    del desk.chargers["CP3"].says["GetLog"]
    box = begin(desk)
    finish(desk, box, "CP4", "UploadFailure")
    desk.seconds(200)  # CP5 says nothing
    (sent,) = desk.ordered(SendBox)
    assert manifest(sent) == {
        "CP1": ("offline", []),
        "CP2": ("refused: Rejected", []),
        "CP3": ("not possible: NotSupported", []),
        "CP4": ("UploadFailure", []),
        "CP5": ("no answer in time", []),
    }


def test_a_charger_that_puts_its_file_and_says_nothing_is_not_waited_for_long() -> None:
    desk = depot(("CP1",))
    box = begin(desk)
    desk.told(FilesCollected(desk.at, box, "received", True, f"{sender(desk, 'CP1')}-x.log"))
    desk.seconds(25)
    assert desk.ordered(SendBox) == []
    desk.seconds(10)
    (sent,) = desk.ordered(SendBox)
    assert manifest(sent) == {"CP1": ("received, not confirmed", [f"{sender(desk, 'CP1')}-x.log"])}


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (0, "UploadFailure"),
        (503, "UploadFailure"),
        (403, "PermissionDenied"),
        (530, "PermissionDenied"),
        (405, "NotSupportedOperation"),
        (400, "BadMessage"),
    ],
)
def test_a_failed_upload_is_told_with_what_the_server_said(answer: int, status: str) -> None:
    desk = depot(("CP1",))
    box = begin(desk)
    finish(desk, box, "CP1")
    desk.seconds(2)
    desk.told(FilesCollected(desk.at, box, "sent", False, "x.zip", "it did not work", answer))
    desk.seconds(2)
    assert told(desk) == [("Uploading", 3), (status, 3)]


def test_who_has_nothing_to_send_is_not_waited_for_long_but_may_think_better_of_it() -> None:
    desk = depot(("CP1", "CP2"))
    for charger in desk.chargers.values():  # N01: without a filename there is no log
        charger.says["GetLog"] = {"status": "Accepted"}
    box = begin(desk)
    desk.seconds(20)
    desk.station("CP2", "LogStatusNotification", {"status": "Uploading", "requestId": request(desk, "CP2")["requestId"]})
    desk.seconds(60)
    assert desk.ordered(SendBox) == []
    finish(desk, box, "CP2")
    desk.seconds(2)
    (sent,) = desk.ordered(SendBox)
    assert manifest(sent) == {"CP1": ("has nothing to send", []), "CP2": ("complete", [f"{sender(desk, 'CP2')}-x.log"])}


@pytest.mark.parametrize(
    ("asked", "attempts", "retry_s"),
    [({}, 4, 30.0), ({"retries": 0, "retryInterval": 0}, 1, 1.0), ({"retries": 2_000_000_000, "retryInterval": 2_000_000_000}, 21, 86_400.0)],
)
def test_the_csms_neither_floods_its_server_nor_keeps_us_for_ever(asked: Payload, attempts: int, retry_s: float) -> None:
    desk = depot(("CP1",))
    order = {key: value for key, value in ORDER.items() if key not in ("retries", "retryInterval")}
    desk.answer("GetLog", {**order, **asked})
    finish(desk, box_opened(desk), "CP1")
    desk.seconds(2)
    (sent,) = desk.ordered(SendBox)
    assert (sent.attempts, sent.retry_s) == (attempts, retry_s)


def test_without_a_box_the_own_log_is_sent_all_the_same() -> None:
    desk = depot()
    desk.answer("GetLog", ORDER)
    desk.seconds(2)
    desk.told(FileServed(desk.at, desk.ordered(OpenBox)[-1].job, (), "port 9010 is in use"))
    desk.seconds(2)
    (sent,) = desk.ordered(SendBox)
    assert {state for state, _ in manifest(sent).values()} == {"not asked: no box could be opened here"}


def test_a_second_one_ends_the_first() -> None:
    desk = depot(("CP1",))
    box = begin(desk)
    old = request(desk, "CP1")["requestId"]
    assert desk.answer("GetLog", {**ORDER, "requestId": 4, "logType": "SecurityLog"})["status"] == "AcceptedCanceled"
    assert desk.ordered(StopServing) == [StopServing(box)]
    other = box_opened(desk)
    assert other != box
    desk.station("CP1", "LogStatusNotification", {"status": "Uploaded", "requestId": old})
    desk.told(FilesCollected(desk.at, box, "sent", True, "old.zip"))
    desk.seconds(3)
    assert desk.ordered(SendBox) == []
    finish(desk, other, "CP1")
    desk.seconds(2)
    assert len(desk.ordered(SendBox)) == 1
    desk.told(FilesCollected(desk.at, other, "sent", True, "new.zip"))
    desk.seconds(4)
    assert told(desk) == [("Uploading", 3), ("AcceptedCanceled", 3), ("Uploading", 4), ("Uploaded", 4)]


def test_after_a_crash_the_job_is_begun_anew() -> None:
    desk = depot(("CP1",))
    begin(desk)
    desk = desk.again()
    box = box_opened(desk)
    finish(desk, box, "CP1")
    desk.seconds(2)
    assert len(desk.ordered(SendBox)) == 1
    desk.told(FilesCollected(desk.at, box, "sent", True, "x.zip"))
    desk.seconds(2)
    assert told(desk) == [("Uploaded", 3)]  # Uploading was told before the crash


def test_after_a_crash_it_waits_for_the_chargers_but_not_for_ever() -> None:
    desk = depot()
    begin(desk)
    desk = desk.again()
    desk.changed("CP1", linked=False, online=False)
    desk.changed("CP2", linked=False, online=False)
    desk.seconds(40)
    assert desk.ordered(OpenBox) == []
    desk.changed("CP1", linked=True, online=True)
    desk.seconds(18)
    assert desk.ordered(OpenBox) == []
    desk.seconds(5)
    box = desk.ordered(OpenBox)[-1].job
    desk.told(FileServed(desk.at, box, ("http://10.0.0.1:9010/box/s",)))
    finish(desk, box, "CP1")
    desk.seconds(2)
    (sent,) = desk.ordered(SendBox)
    assert {id: state for id, (state, _) in manifest(sent).items()} == {"CP1": "complete", "CP2": "offline"}


@pytest.mark.parametrize(
    ("policy", "change"),
    [
        ({"logs": "refuse"}, {}),
        ({}, {"logType": "DataCollectorLog"}),
        ({}, {"log": {"remoteLocation": "sftp://csms.example/up"}}),
    ],
)
def test_what_cannot_be_done_is_rejected(policy: Payload, change: Payload) -> None:
    desk = depot(**policy)
    answer = desk.answer("GetLog", {**ORDER, **change})
    assert answer["status"] == "Rejected"
    assert answer["statusInfo"]["additionalInfo"]
    desk.seconds(3)
    assert told(desk) == []


def test_a_chargers_own_upload_is_not_told_as_the_depots() -> None:
    desk = depot()
    desk.station("CP1", "LogStatusNotification", {"status": "Uploaded", "requestId": 3})
    desk.seconds(3)
    assert told(desk) == []


def test_what_a_trigger_makes_it_say() -> None:
    desk = depot(("CP1",))
    desk.talks.spawn(desk.at, [desk.office.says["LogStatusNotification"]()], desk)
    assert told(desk) == [("Idle", 0)]
    begin(desk)
    told(desk)
    desk.talks.spawn(desk.at, [desk.office.says["LogStatusNotification"]()], desk)
    assert told(desk) == [("Uploading", 3)]


def test_over_the_real_face_each_version_is_asked_in_its_own_words() -> None:
    book = mixed_desk()
    for station in ("CP20", "CP21"):
        book.station_says[station]["GetLog"] = {"status": "Accepted", "filename": "x.log"}
    book.station_says["CP16"]["GetDiagnostics"] = {"fileName": "x.log"}
    assert book.csms("GetLog", ORDER)["status"] == "Accepted"
    book.wait(2)
    (box,) = [order.job for order in book.outcomes if isinstance(order, OpenBox)]
    book.feed(FileServed(book.at, box, ("http://10.0.0.1:9010/box/s",)))
    book.wait(2)
    asked_of_16 = mixed_asked(book, "CP16", "GetDiagnostics") or mixed_asked(book, "CP16", "GetLog")
    assert "http://10.0.0.1:9010/box/s/001-CP16" in json.dumps(asked_of_16)
    for index, station in ((2, "CP20"), (3, "CP21")):
        (log,) = mixed_asked(book, station, "GetLog")
        assert log["log"]["remoteLocation"].startswith(f"http://10.0.0.1:9010/box/s/00{index}-{station}-")
        book.say(station, "LogStatusNotification", {"status": "Uploaded", "requestId": log["requestId"]})
    book.say("CP16", "DiagnosticsStatusNotification", {"status": "Uploaded"})
    book.wait(2)
    (sent,) = [order for order in book.outcomes if isinstance(order, SendBox)]
    assert {state for state, _ in manifest(sent).values()} == {"complete"}
    book.feed(FilesCollected(book.at, box, "sent", True, sent.name))
    book.wait(2)
    assert [told["status"] for told in book.heard("LogStatusNotification")] == ["Uploading", "Uploaded"]
