"""PublishFirmware and UnpublishFirmware (L03, L04): downloaded once, checked, served to the local network."""

from __future__ import annotations

from typing import Any

import pytest

from controller.facts import FileFetched, FilesCollected, FileServed
from controller.link.depot.publishing import Publishing
from controller.orders import FetchFile, ServeFile, StopServing, Tell
from tests.support.desk import desk as mixed_desk
from tests.support.model_desk import Desk

Payload = dict[str, Any]
MD5 = "0123456789abcdef0123456789abcdef"
JOB = f"publish:{MD5}"
ORDER: Payload = {"location": "https://vendor.example/a/fw%201.bin", "checksum": MD5.upper(), "requestId": 4, "retries": 1, "retryInterval": 9}
URLS = ("http://10.0.0.1:9010/files/s/fw_1.bin", "https://10.0.0.1:9011/files/s/fw_1.bin")


def told(desk: Desk) -> list[tuple[str, Any, Any]]:
    desk.seconds(6)
    return [(one["status"], one.get("requestId"), one.get("location")) for one in desk.heard("PublishFirmwareStatusNotification")]


def publish(desk: Desk) -> None:
    assert desk.answer("PublishFirmware", ORDER) == {"status": "Accepted"}
    desk.seconds(1)


def fetched(desk: Desk, **more: Any) -> None:
    known: Payload = {"ok": True, "path": "/data/files/x/file", "md5": MD5, "sha256": "f" * 64, "size_bytes": 5}
    desk.told(FileFetched(desk.at, JOB, **{**known, **more}))


def published(desk: Desk) -> None:
    publish(desk)
    fetched(desk)
    desk.told(FileServed(desk.at, JOB, URLS))
    told(desk)


def test_the_whole_sequence_with_every_address_at_the_end() -> None:
    desk = Desk([Publishing])
    publish(desk)
    assert desk.ordered(FetchFile) == [FetchFile(JOB, ORDER["location"], attempts=2, retry_s=9.0)]
    fetched(desk)
    assert desk.ordered(ServeFile) == [ServeFile(JOB, "/data/files/x/file", "fw 1.bin")]
    desk.told(FileServed(desk.at, JOB, URLS))
    assert told(desk) == [
        ("Downloading", 4, None),
        ("Downloaded", 4, None),
        ("ChecksumVerified", 4, None),
        ("Published", 4, list(URLS)),
    ]


@pytest.mark.parametrize(
    ("fact", "expected"),
    [
        ({"ok": False, "reason": "the server answered 404"}, ["Downloading", "DownloadFailed"]),
        ({"md5": "0" * 32}, ["Downloading", "Downloaded", "InvalidChecksum"]),
    ],
)
def test_what_is_not_right_is_not_served(fact: Payload, expected: list[str]) -> None:
    desk = Desk([Publishing])
    publish(desk)
    fetched(desk, **fact)
    assert [status for status, _, _ in told(desk)] == expected
    assert desk.ordered(ServeFile) == []
    assert desk.ordered(StopServing) == [StopServing(JOB)]  # and its file is deleted
    assert desk.answer("UnpublishFirmware", {"checksum": MD5}) == {"status": "NoFirmware"}


def test_what_cannot_be_served_is_told() -> None:
    desk = Desk([Publishing])
    publish(desk)
    fetched(desk)
    desk.told(FileServed(desk.at, JOB, (), "port 9010 is in use"))
    assert [status for status, _, _ in told(desk)][-1] == "PublishFailed"


@pytest.mark.parametrize(
    "change",
    [{"location": "sftp://vendor.example/fw.bin"}, {"location": "file:///etc/passwd"}, {"location": "http://[bad"}, {"checksum": "xyz"}],
)
def test_what_cannot_be_done_is_rejected(change: Payload) -> None:
    desk = Desk([Publishing])
    assert desk.answer("PublishFirmware", {**ORDER, **change})["status"] == "Rejected"
    desk.seconds(3)
    assert desk.ordered(FetchFile) == []


def test_one_download_at_a_time() -> None:
    desk = Desk([Publishing])
    publish(desk)
    assert desk.answer("PublishFirmware", {**ORDER, "checksum": "f" * 32})["status"] == "Rejected"


def test_what_is_published_stays_so_over_restarts() -> None:
    desk = Desk([Publishing])
    published(desk)
    desk = desk.again()
    desk.seconds(2)
    assert desk.ordered(ServeFile) == [ServeFile(JOB, "/data/files/x/file", "fw 1.bin")]
    desk.told(FileServed(desk.at, JOB, URLS))
    assert told(desk) == []  # nothing has changed
    assert desk.answer("PublishFirmware", {**ORDER, "requestId": 5}) == {"status": "Accepted"}
    assert told(desk) == [("Published", 5, list(URLS))]
    assert desk.ordered(FetchFile) == []


def test_what_cannot_be_served_after_a_restart_is_offered_again_until_it_can() -> None:
    desk = Desk([Publishing])
    published(desk)
    desk = desk.again()
    desk.seconds(2)
    for _ in range(3):
        assert len(desk.ordered(ServeFile)) == 1
        desk.told(FileServed(desk.at, JOB, (), "port 9010 is in use"))
        desk.seconds(50)
        assert desk.ordered(ServeFile) == []
        desk.seconds(12)
    assert len([order for order in desk.outcomes if isinstance(order, Tell)]) == 1  # one line for the owner, not one a minute
    desk.told(FileServed(desk.at, JOB, URLS))
    desk.ordered(ServeFile)
    desk.seconds(200)
    assert desk.ordered(ServeFile) == []
    assert told(desk) == []


def test_a_published_file_that_is_gone_is_fetched_again() -> None:
    desk = Desk([Publishing])
    published(desk)
    desk = desk.again()
    desk.seconds(2)
    desk.told(FileServed(desk.at, JOB, (), "the file is not there any more", missing=True))
    desk.seconds(200)
    assert len(desk.ordered(FetchFile)) == 1
    fetched(desk)
    desk.told(FileServed(desk.at, JOB, URLS))
    assert [status for status, _, _ in told(desk)] == ["Downloading", "Downloaded", "ChecksumVerified", "Published"]


def test_a_download_that_a_crash_ended_is_begun_anew() -> None:
    desk = Desk([Publishing])
    publish(desk)
    desk = desk.again()
    desk.seconds(2)
    assert len(desk.ordered(FetchFile)) == 1


def test_states_wait_for_the_csms_in_order() -> None:
    desk = Desk([Publishing])
    publish(desk)
    desk.office.accepted = False
    fetched(desk)
    desk.told(FileServed(desk.at, JOB, URLS))
    desk.seconds(3)
    desk = desk.again()
    assert [status for status, _, _ in told(desk)] == ["Downloaded", "ChecksumVerified", "Published"]


def test_unpublish() -> None:
    desk = Desk([Publishing])
    assert desk.answer("UnpublishFirmware", {"checksum": MD5}) == {"status": "NoFirmware"}
    publish(desk)
    assert desk.answer("UnpublishFirmware", {"checksum": MD5}) == {"status": "DownloadOngoing"}
    fetched(desk)
    desk.told(FileServed(desk.at, JOB, URLS))
    desk.told(FilesCollected(desk.at, JOB, "busy", True, "1"))
    assert desk.answer("UnpublishFirmware", {"checksum": MD5}) == {"status": "DownloadOngoing"}  # a station fetches it (L04.FR.03)
    desk.told(FilesCollected(desk.at, JOB, "busy", True, "0"))
    assert desk.answer("UnpublishFirmware", {"checksum": MD5}) == {"status": "Unpublished"}
    assert desk.ordered(StopServing) == [StopServing(JOB)]
    assert desk.answer("UnpublishFirmware", {"checksum": MD5}) == {"status": "NoFirmware"}


def test_after_published_a_trigger_says_idle() -> None:
    desk = Desk([Publishing])
    publish(desk)
    told(desk)
    desk.talks.spawn(desk.at, [desk.office.says["PublishFirmwareStatusNotification"]()], desk)
    assert told(desk) == [("Downloading", 4, None)]
    fetched(desk)
    desk.told(FileServed(desk.at, JOB, URLS))
    told(desk)
    desk.talks.spawn(desk.at, [desk.office.says["PublishFirmwareStatusNotification"]()], desk)
    assert told(desk) == [("Idle", None, None)]


def test_over_the_real_face_only_the_depot_itself_answers() -> None:
    """Trap 30: no charger hears of it."""
    book = mixed_desk()
    assert book.csms("PublishFirmware", ORDER) == {"status": "Accepted"}
    book.wait(2)
    (order,) = [one for one in book.outcomes if isinstance(one, FetchFile)]
    book.feed(FileFetched(book.at, order.job, True, "", "/data/file", "f" * 64, MD5, 5))
    book.feed(FileServed(book.at, order.job, URLS))
    book.wait(6)
    heard = book.heard("PublishFirmwareStatusNotification")
    assert [one["status"] for one in heard] == ["Downloading", "Downloaded", "ChecksumVerified", "Published"]
    assert all(action != "PublishFirmware" for told in book.down.values() for action, _ in told)
