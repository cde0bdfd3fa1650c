"""A stranger's laboratory at the depot face: three chargers of three versions at once, a CSMS of each version, and frames no library writes.

Expected values come from the documents: part 4 for what is answered to a frame that is none, part 2 for the rest (numbers at the lines).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.lab import TIME, Lab, Payload, lab
from tests.support import schemas
from tests.support.yard import until

pytestmark = pytest.mark.system

VERSIONS = ("ocpp1.6", "ocpp2.0.1", "ocpp2.1")
TOKEN = {"idToken": "AABB", "type": "Central"}
REFUSALS = {"FormatViolation", "OccurrenceConstraintViolation", "PropertyConstraintViolation", "TypeConstraintViolation", "NotImplemented"}
REFUSALS_16 = {"FormationViolation", "OccurenceConstraintViolation", "PropertyConstraintViolation", "TypeConstraintViolation", "NotImplemented"}
"""Part 4, 4.2.3; the second spelling is that of 1.6J."""


# -- frames -------------------------------------------------------------------------------------------------


def damaged(action: str, version: str) -> Iterator[Payload]:
    """An order without what it must have, with what it must not have, and with everything of another kind."""
    for full in (False, True):
        good = schemas.example_request(action, version, full=full)
        yield {**good, "bogus": 1}
        for key, value in good.items():
            if (version, action, key) == ("ocpp1.6", "DataTransfer", "data"):
                continue  # real CSMSs send anything there (16.12)
            yield {other: kept for other, kept in good.items() if other != key}
            yield {**good, key: [["x"]] if not isinstance(value, list) else "x"}
            yield {**good, key: {"x": {}}}


def is_valid(action: str, payload: Payload, version: str) -> bool:
    try:
        schemas.check_request(action, payload, version)
    except Exception:
        return False
    return True


@pytest.mark.parametrize("version", VERSIONS)
async def test_what_is_no_message_is_answered_and_not_done_and_the_link_stays(tmp_path: Path, version: str) -> None:
    async with lab(tmp_path, version) as here:
        await here.booted()
        line = here.csms.line
        await broken_orders(here, version)
        await broken_frames(here, version)
        answer = await line.call("TriggerMessage", {"requestedMessage": "Heartbeat"})
        assert answer[2] == {"status": "Accepted"}
        assert here.csms.line is line
        here.all_well()


async def broken_orders(here: Lab, version: str) -> None:
    """Each order of the version, damaged in every way."""
    actions = sorted(schemas.actions(version) - schemas.SEND_ONLY)
    orders = [(action, payload) for action in actions for payload in damaged(action, version) if not is_valid(action, payload, version)]
    assert len(orders) > 200
    for action, payload in orders:
        answer = await here.csms.line.call(action, payload)
        assert answer[0] == 4, (action, payload, answer)
        assert answer[2] in (REFUSALS_16 if version == "ocpp1.6" else REFUSALS), (action, payload, answer)
        assert len(answer[3]) <= 255
    told = [len(station.calls("RemoteStartTransaction", "RequestStartTransaction", "Reset", "ReserveNow")) for station in here.stations]
    assert told == [0, 0, 0]


FRAMES = (
    *("nonsense", "[]", '{"a": 1}', "[2]", '[2,"1"]', '[2,"2","Reset"]', '[2,"3","Reset","x"]', '[2,"4","Reset",[1]]', '[2,"5",7,{}]'),
    *('[2,"6","NoSuchThing",{}]', '[2,8,"Reset",{}]'),
)
SILENT = ('[3,"none",{}]', '[4,"none","X","",{}]', '[4,"none"]', '[5,"none","X","",{}]')
"""Answers to nothing: nobody waits for an answer to them (16.13)."""
UNKNOWN_TYPE = '[9,"7","Reset",{}]'
"""1.6 ignores it (1.6J 4.1.3), 2.x has a code for it (part 4, 4.2.3)."""


async def broken_frames(here: Lab, version: str) -> None:
    """Texts that are no frames are answered once, answers to nothing never."""
    line = here.csms.line
    for text in FRAMES:
        known = len(line.answers)
        await line.send(text)
        await until(lambda known=known: len(line.answers) > known)
        assert line.answers[-1][0] == 4, text
    if version != "ocpp1.6":
        await line.send(UNKNOWN_TYPE)
        await until(lambda: line.answers[-1][1:3] == ["7", "MessageTypeNotSupported"])
    known = len(line.answers)
    for text in SILENT if version != "ocpp1.6" else (*SILENT, UNKNOWN_TYPE):
        await line.send(text)
    assert (await line.call("GetLocalListVersion", {}))[0] == 3
    assert len(line.answers) == known + 1


# -- boot (B01-B03) ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", VERSIONS)
async def test_pending_then_accepted(tmp_path: Path, version: str) -> None:
    status = ["Pending"]
    says = {"BootNotification": lambda request: {"status": status[0], "currentTime": TIME, "interval": 1}}
    async with lab(tmp_path, version, says) as here:
        await until(lambda: here.csms.lines and here.csms.line.heard)
        for station in here.stations:
            await station.come()
            assert station.line is not None
            assert station.line.answers[0][2]["status"] == "Accepted"  # chargers are not held up by it
        line = here.csms.line
        if version == "ocpp1.6":
            refused = await line.call("RemoteStartTransaction", {"idTag": "AABB", "connectorId": 1})
            assert len((await line.call("GetConfiguration", {}))[2]["configurationKey"]) > 5
        else:
            refused = await line.call("RequestStartTransaction", {"remoteStartId": 1, "idToken": TOKEN, "evseId": 1})
            assert (await line.call("GetBaseReport", {"requestId": 9, "reportBase": "FullInventory"}))[2] == {"status": "Accepted"}
            await until(lambda: [page["tbc"] for page in line.calls("NotifyReport")][-1:] == [False])  # B02.FR.02
        assert refused[2]["status"] == "Rejected"  # B02.FR.05
        await until(lambda: len(line.calls("BootNotification")) >= 3)
        assert {action for action, _ in line.heard} <= {"BootNotification", "NotifyReport"}  # B02.FR.02
        status[0] = "Accepted"
        await until(lambda: all(here.csms.states(number)[-1:] == ["Available"] for number in (1, 2, 3, 4)))  # B01.FR.05
        await until(lambda: here.csms.states(5)[-1:] == ["Unavailable"])
        here.all_well()


# -- many chargers, one identity ----------------------------------------------------------------------------


async def start(here: Lab, number: int) -> Any:
    """A start without EVSE."""
    if here.csms.version == "ocpp1.6":
        return (await here.csms.line.call("RemoteStartTransaction", {"idTag": f"T{number}"}))[2]
    return (await here.csms.line.call("RequestStartTransaction", {"remoteStartId": number, "idToken": TOKEN}))[2]


def started(here: Lab) -> list[tuple[str, int]]:
    """(station, its EVSE) of every start."""
    asked = [(station.name, one) for station in here.stations for one in station.calls("RemoteStartTransaction", "RequestStartTransaction")]
    return [(name, one.get("evseId", one.get("connectorId"))) for name, one in asked]


@pytest.mark.parametrize("version", VERSIONS)
async def test_the_same_id_at_two_chargers_and_two_drivers_without_an_evse(tmp_path: Path, version: str) -> None:
    async with lab(tmp_path, version) as here:
        await here.booted()
        line = here.csms.line
        await here.s201.event("Started", "TX-1", 0)
        await here.s21.event("Started", "TX-1", 0)
        if version == "ocpp1.6":
            await until(lambda: [one["connectorId"] for one in line.calls("StartTransaction")] == [2, 4])
            stopped = await line.call("RemoteStopTransaction", {"transactionId": 102})
        else:
            told = line.calls("TransactionEvent")
            ids = [one["transactionInfo"]["transactionId"] for one in told]
            assert [one["evse"]["id"] for one in told] == [2, 4]
            assert len(set(ids)) == 2  # E01.FR.08
            assert (await line.call("GetTransactionStatus", {"transactionId": ids[1]}))[2] == {"ongoingIndicator": True, "messagesInQueue": False}
            assert (await line.call("GetTransactionStatus", {}))[2] == {"messagesInQueue": False}  # E14.FR.06
            stopped = await line.call("RequestStopTransaction", {"transactionId": ids[1]})
        assert stopped[2]["status"] == "Accepted"
        assert here.s21.calls("RequestStopTransaction") == [{"transactionId": "TX-1"}]
        assert here.s201.calls("RequestStopTransaction") == []
        assert [(await start(here, number))["status"] for number in (7, 8)] == ["Accepted", "Accepted"]
        assert sorted(started(here)) == [("S16", 1), ("S201", 2)]  # EVSEs 1 and 3: 2 and 4 have sessions
        await rapid_changes(here)
        here.all_well()


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_charger_that_leaves_and_comes_back_and_a_reset_of_all(tmp_path: Path, version: str) -> None:
    async with lab(tmp_path, version, absent_s=1.0) as here:
        await here.booted()
        line = here.csms.line
        assert here.s21.line is not None
        await here.s21.line.close()
        await until(lambda: here.csms.states(4)[-1] == "Unavailable")
        if version != "ocpp1.6":
            await until(lambda: _missing(line.calls("NotifyEvent"), 4))
        await here.s21.come()
        await until(lambda: here.csms.states(4)[-1] == "Available")
        kind = {"ocpp1.6": "Soft"}.get(version, "Immediate")
        assert (await line.call("Reset", {"type": kind}))[2]["status"] == "Accepted"
        for station in here.stations:
            assert station.line is not None
            await until(lambda station=station: station.calls("Reset"))
            await station.line.close()
        await until(lambda: here.csms.states(1)[-1] == "Unavailable")
        known = len(line.heard)
        for station in here.stations:
            await station.come()
        await until(lambda: len(line.calls("BootNotification")) == 2)
        boot = next(index for index, (action, _) in enumerate(line.heard) if index >= known and action == "BootNotification")
        if version != "ocpp1.6":
            assert line.heard[boot][1]["reason"] == "RemoteReset"  # B11
        await until(lambda: {_number(one) for action, one in line.heard[boot:] if action == "StatusNotification"} >= {1, 2, 3, 4, 5})  # B01.FR.05
        here.all_well()


def _number(told: Payload) -> int:
    number: int = told.get("evseId", told.get("connectorId"))
    return number


def _missing(told: list[Payload], number: int) -> bool:
    events = [event for one in told for event in one["eventData"]]
    return any(event["component"].get("evse", {}).get("id") == number and event["actualValue"] == "Unavailable" for event in events)


async def rapid_changes(here: Lab) -> None:
    """A state that flaps is told as what it came to."""
    known = len(here.csms.states(4))
    for _ in range(20):
        await here.s21.status("Occupied")
        await here.s21.status("Available")
    await here.s21.status("Faulted")
    await until(lambda: here.csms.states(4)[-1] == "Faulted")
    assert len(here.csms.states(4)) - known <= 6  # of 41, at one a half second
