"""A start does not overtake what is queued of its own EVSE; other EVSEs go live (decision 0008, 16 3.7)."""

import json
from typing import Any

import pytest

from tests.support.playbook import TOKEN, Playbook, config, event

VERSIONS = ("ocpp1.6", "ocpp2.0.1")


def start(play: Playbook, evse_id: int, number: int) -> None:
    at = f"2026-11-21T16:00:{number:02d}Z"
    if play.version == "ocpp1.6":
        play.station(2, f"s{number}", "StartTransaction", {"connectorId": evse_id, "idTag": "AABBCC", "meterStart": number, "timestamp": at})
    else:
        payload = event("Started", 0, f"tx-{number}", evse={"id": evse_id, "connectorId": 1}, idToken=TOKEN) | {"timestamp": at}
        play.station(2, f"s{number}", "TransactionEvent", payload)


def stop(play: Playbook, transaction_id: Any, number: int) -> None:
    at = f"2026-11-21T16:01:{number:02d}Z"
    if play.version == "ocpp1.6":
        play.station(2, f"e{number}", "StopTransaction", {"transactionId": transaction_id, "meterStop": number + 5, "timestamp": at})
    else:
        play.station(2, f"e{number}", "TransactionEvent", event("Ended", 1, transaction_id) | {"timestamp": at})


def offline_session(play: Playbook) -> None:
    """One session on EVSE 1, begun and ended while the CSMS is away."""
    play.connect(csms=False)
    start(play, 1, 1)
    transaction_id = json.loads(play.sent_down[0])[2].get("transactionId", "tx-1")
    stop(play, transaction_id, 2)


def taken(play: Playbook) -> list[tuple[str, Any]]:
    """What the CSMS has got, in order, answering everything."""
    got: list[tuple[str, Any]] = []
    for _ in range(60):
        for text in play.sent_up:
            frame = json.loads(text)
            if frame[0] == 2:
                got.append((frame[2], frame[3]))
                answer = {"transactionId": 70 + len(got), "idTagInfo": {"status": "Accepted"}} if frame[2] == "StartTransaction" else {}
                play.csms(3, frame[1], answer)
                break
        else:
            play.wait(1)
    return got


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("restart", [False, True])
def test_a_start_waits_for_the_end_of_the_session_before_it(version: str, restart: bool) -> None:
    play = Playbook(config(evses=2), version=version)
    offline_session(play)
    if restart:
        play = play.restarted()
        play.connect()
    else:
        play.wait(10)
        play.open()
    first_up = play.sent_up
    start(play, 1, 3)
    assert play.sent_up == []
    play.outcomes = []
    assert first_up
    got: list[tuple[str, Any]] = []
    play.csms(3, json.loads(first_up[0])[1], {"transactionId": 70, "idTagInfo": {"status": "Accepted"}} if version == "ocpp1.6" else {})
    got = taken(play)
    kinds = [payload.get("eventType", action) for action, payload in got if action in ("StartTransaction", "StopTransaction", "TransactionEvent")]
    assert kinds in (["StopTransaction", "StartTransaction"], ["Ended", "Started"])


@pytest.mark.parametrize("version", VERSIONS)
def test_a_start_at_another_evse_goes_live(version: str) -> None:
    play = Playbook(config(evses=2), version=version)
    offline_session(play)
    play.wait(10)
    play.open()
    first = json.loads(play.sent_up[0])
    start(play, 2, 3)
    play.csms(3, first[1], {"transactionId": 70, "idTagInfo": {"status": "Accepted"}} if version == "ocpp1.6" else {})
    assert [json.loads(text)[1] for text in play.sent_up] == ["s3"]
