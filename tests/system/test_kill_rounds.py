"""kill -9 in a loop under traffic of three OCPP versions, with a CSMS that comes and goes (F67, P1, P2).

A short run; ``make test-kill`` does two hundred rounds. The account itself is tested first: it must be
able to find what it looks for.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.kill_rounds import kill_rounds
from tests.support.ledger import V16, V21, V201, VERSIONS, Arrived, Pen, Told, as_said, judge, transaction_of


def told_and_heard(version: str) -> tuple[dict[str, Told], list[Arrived]]:
    """A station with a few sessions, all of it acknowledged, and a CSMS that has all of it."""
    pen, book, heard = Pen("CP1", version, seed=3, wall_s=1_790_000_000.0), Told(version), []
    for _ in range(40):
        message = pen.next()
        book.said[message.number] = book.acknowledged[message.number] = message
        transaction_id = transaction_of(message.action, message.payload) or (str(message.session) if message.session else "")
        heard.append(Arrived("CP1", message.number, transaction_id, message.content))
    return {"CP1": book}, heard


def in_session(heard: list[Arrived]) -> int:
    """Place of a message in the middle of a session: the one before and the one behind belong to it too."""
    return next(n for n in range(1, len(heard) - 1) if heard[n].transaction_id and len({note.transaction_id for note in heard[n - 1 : n + 2]}) == 1)


@pytest.mark.parametrize("version", VERSIONS)
def test_an_account_with_nothing_wrong_is_faultless_with_repeats_too(version: str) -> None:
    told, heard = told_and_heard(version)
    assert judge(told, heard).faultless
    assert judge(told, [*heard, heard[5]], ["CP1"]).faultless
    assert str(judge(told, heard)).startswith("40 acknowledged messages")


@pytest.mark.parametrize("version", VERSIONS)
def test_the_account_finds_a_loss_a_swap_a_change_and_an_invention(version: str) -> None:
    told, heard = told_and_heard(version)
    place = in_session(heard)
    for number in range(len(heard)):
        assert len(judge(told, [*heard[:number], *heard[number + 1 :]]).lost) >= 1, "also a message outside sessions"
    swapped = [*heard[:place], heard[place + 1], heard[place], *heard[place + 2 :]]
    assert judge(told, swapped).reordered
    changed = [*heard[:place], replace(heard[place], content="{}"), *heard[place + 1 :]]
    assert judge(told, changed).mixed_up
    assert judge(told, [*heard, replace(heard[place], number=999)]).mixed_up


def test_the_account_finds_a_session_under_two_ids_and_a_message_under_a_strange_one() -> None:
    told, heard = told_and_heard(V16)
    place = in_session(heard)
    assert judge(told, [*heard[:place], replace(heard[place], transaction_id="-1"), *heard[place + 1 :]]).mixed_up
    start = next(note for note in heard if note.transaction_id == heard[place].transaction_id)
    left_over = [replace(start, transaction_id="7777"), *heard]
    assert judge(told, left_over).faultless, "a CSMS that does not know a repeated start again has a left-over"
    assert judge(told, left_over, one_id=["CP1"]).mixed_up, "one that does must not"
    told, heard = told_and_heard(V201)
    assert judge(told, [replace(heard[0], transaction_id="other"), *heard]).mixed_up


def in_words_of_16(heard: list[Arrived]) -> list[Arrived]:
    """What a 1.6 CSMS has of a 2.x station, all of it under one identity as EVSE 1; a start says its reading twice."""
    found = []
    for note in heard:
        payload = json.loads(note.content)
        values = {"connectorId": 1, "meterValue": payload.get("meterValue", [])}
        told = {"Started": {"connectorId": 1, "meterStart": note.number}, "Ended": {"meterStop": note.number}}.get(payload.get("eventType"), values)
        found.append(Arrived("DEPOT", note.number, note.transaction_id, json.dumps(told)))
        if payload.get("eventType") == "Started":
            found.append(Arrived("DEPOT", note.number, note.transaction_id, json.dumps(values)))
    return found


def test_the_account_reads_other_words_under_another_identity() -> None:
    told, heard = told_and_heard(V201)
    heard = [note for note in heard if note.transaction_id]
    told["CP1"].acknowledged = {number: message for number, message in told["CP1"].acknowledged.items() if message.session}
    there = in_words_of_16(heard)
    assert judge(told, as_said(told, there, "DEPOT")).faultless
    stop = next(number for number, note in enumerate(there) if "meterStop" in note.content)
    assert judge(told, as_said(told, [*there[:stop], *there[stop + 1 :]], "DEPOT")).lost
    start = next(number for number, note in enumerate(there) if "meterStart" in note.content)
    assert judge(told, as_said(told, [*there[:start], *there[start + 1 :]], "DEPOT")).lost, "a reading is no start"
    assert judge(told, as_said(told, [*there, replace(there[stop], number=there[stop].number - 1)], "DEPOT")).mixed_up


@pytest.mark.system
@pytest.mark.parametrize(("version", "depot"), [(V21, False), (V16, True)])
async def test_f67_killed_again_and_again_while_it_translates(tmp_path: Path, version: str, depot: bool) -> None:
    outcome = await kill_rounds(tmp_path, rounds=2, stations=6, rate=3.0, seed=68, version=version, depot=depot)
    print(outcome)
    assert outcome.complaints == []
    assert outcome.verdict.faultless, str(outcome)
    assert outcome.verdict.acknowledged.total() > 50


@pytest.mark.system
async def test_f67_killed_again_and_again_nothing_acknowledged_is_lost_or_reordered(tmp_path: Path) -> None:
    outcome = await kill_rounds(tmp_path, rounds=6, stations=9, rate=4.0, seed=67)
    print(outcome)
    assert outcome.complaints == []
    assert outcome.verdict.faultless, str(outcome)
    assert outcome.verdict.acknowledged.total() > 100
    assert set(outcome.verdict.acknowledged) == set(VERSIONS)
    assert outcome.connections >= 6 * 9 / 2
