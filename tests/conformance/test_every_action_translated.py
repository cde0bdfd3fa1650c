"""Every action of every version where it is translated: no silence, no internal error, and every frame we make is valid.

A pair: stations and CSMSs of all unequal versions. A depot: chargers of all three versions behind a CSMS of each. The messages are made from the
OCA's schemas in three styles (lean, full, and what real peers send: float noise, other time formats, the last word of each enumeration).
What must hold is judged by the schemas alone. OCPP-NOTES 12.1, 16.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.directions import CALLS, CODES, DOWN, UP
from tests.conformance.peers import bodies
from tests.support.depot_book import DepotBook, site
from tests.support.translated import Translated, friendly

VERSIONS = tuple(CALLS)
PAIRS = [(station, csms) for station in VERSIONS for csms in VERSIONS if station != csms]
WORDLESS = {"CostUpdated", "NotifyWebPaymentStarted", "BatterySwap", "NotifySettlement"}
"""Whose answer has no word for "no": CALLERROR NotSupported is the honest one. All others are answered in their own words."""
FILES_16 = {"UpdateFirmware", "GetDiagnostics"}
"""Likewise, of 1.6: a depot that cannot fetch from there, or has nothing to send, says so in a CALLERROR."""
CHARGERS = {"CP16": "ocpp1.6", "CP201": "ocpp2.0.1", "CP21": "ocpp2.1"}
PATIENCE_S = 90


def order(version: str, direction: str) -> list[str]:
    """All actions of a direction, as a station lives through them."""
    return sorted(CALLS[version][direction], key=lambda name: (name != "BootNotification", name == "StopTransaction", name))


def messages(version: str, direction: str, meaning: bodies.Meaning) -> list[tuple[str, Any]]:
    """(action, request) of all of them."""
    made = []
    for action in order(version, direction):
        for event in ("Started", "Updated", "Ended") if action == "TransactionEvent" else ("Started",):
            meaning.event = event
            made.append((action, three_phases(bodies.request(version, action, meaning))))
    return made


def three_phases(value: Any) -> Any:
    """No grid has two thousand million phases, which the schemas of 1.6 and 2.0.1 allow."""
    if isinstance(value, dict):
        return {name: 3 if name in ("numberPhases", "phaseToUse") else three_phases(item) for name, item in value.items()}
    return [three_phases(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("style", bodies.STYLES)
@pytest.mark.parametrize("direction", [UP, DOWN])
@pytest.mark.parametrize(("station", "csms"), PAIRS)
def test_in_a_pair(station: str, csms: str, direction: str, style: str) -> None:
    world = Translated(station, csms)
    sender = station if direction == UP else csms
    say = world.station_says if direction == UP else world.csms_says
    meaning = bodies.Meaning(style, 2, 4712 if sender == "ocpp1.6" else "tx-é")
    answers = [(action, say(action, request)) for action, request in messages(sender, direction, meaning)]
    world.seconds(30)
    assert [action for action, answer in answers if answer is None] == [], "nobody answered"
    errors = {action: answer[2] for action, answer in answers if answer is not None and answer[0] == 4}
    assert set(errors) <= WORDLESS, errors
    assert set(errors.values()) <= {"NotSupported"} & CODES[sender]
    assert world.faults == []
    assert [text for text in world.warnings if "please report" in text] == []


@pytest.mark.parametrize("code", ["InternalError", "VendorMadeThisUp"])
@pytest.mark.parametrize("direction", [UP, DOWN])
@pytest.mark.parametrize(("station", "csms"), PAIRS)
def test_in_a_pair_where_the_other_side_refuses_everything(station: str, csms: str, direction: str, code: str) -> None:
    """An answer comes all the same, valid, and it is no error of ours."""
    world = Translated(station, csms)
    world.refuses = code
    sender = station if direction == UP else csms
    say = world.station_says if direction == UP else world.csms_says
    meaning = bodies.Meaning(bodies.FULL, 2, 4712 if sender == "ocpp1.6" else "tx-é")
    answers = [(action, say(action, request)) for action, request in messages(sender, direction, meaning)]
    assert [action for action, answer in answers if answer is None] == [], "nobody answered"
    errors = {answer[2] for _, answer in answers if answer is not None and answer[0] == 4}
    assert errors <= CODES[sender] | {code}
    assert world.faults == []
    assert [text for text in world.warnings if "please report" in text or "internal error" in text] == []


def depot(csms: str) -> DepotBook:
    """Three chargers that agree with everything; their EVSEs are 1, 2 and 3 of the depot."""
    book = DepotBook(site(tuple(CHARGERS)), csms, **CHARGERS)
    book.csms_says = {action: friendly(csms, action) for action in CALLS[csms][UP]}
    for name, version in CHARGERS.items():
        book.station_says[name] = {action: friendly(version, action) for action in CALLS[version][DOWN]}
    book.open()
    book.wait(2)
    book.boot()
    book.wait(5)
    book.told.clear()
    return book


def settled(book: DepotBook, found: list[tuple[str, str]]) -> dict[str, Any]:
    """Action -> (code, description) of what was answered with an error; all of them must have an answer by then."""
    for _ in range(PATIENCE_S):
        if all(message_id in book.answers for _, message_id in found):
            break
        book.wait(1)
    assert [action for action, message_id in found if message_id not in book.answers] == [], "nobody answered"
    return {action: book.answers[message_id] for action, message_id in found if isinstance(book.answers[message_id], tuple)}


@pytest.mark.parametrize("style", bodies.STYLES)
@pytest.mark.parametrize("csms", VERSIONS)
def test_what_a_csms_asks_of_a_mixed_depot(csms: str, style: str) -> None:
    """``DepotBook`` judges every frame by the schema of its version."""
    for evse_id in (1, 2, 3):
        book = depot(csms)
        errors: dict[str, Any] = {}
        for action, request in messages(csms, DOWN, bodies.Meaning(style, evse_id, 4712 if csms == "ocpp1.6" else "tx-é")):
            book.csms(action, request)
            errors |= settled(book, [(action, f"csms-{book._count}")])
        assert set(errors) <= (WORDLESS if csms != "ocpp1.6" else FILES_16), errors
        assert [text for text in book.told if "please report" in text] == []


@pytest.mark.parametrize("style", bodies.STYLES)
@pytest.mark.parametrize("csms", VERSIONS)
def test_what_the_chargers_of_a_depot_say(csms: str, style: str) -> None:
    book = depot(csms)
    errors: dict[str, Any] = {}
    for name, version in CHARGERS.items():
        for action, request in messages(version, UP, bodies.Meaning(style, 1, 4712 if version == "ocpp1.6" else f"tx-{name}")):
            book.say(name, action, request)
            errors |= settled(book, [(action, f"{name}-{book._count}")])
    assert set(errors) <= WORDLESS, errors
    assert [text for text in book.told if "please report" in text] == []
