"""Every action of every version through a translated pair: no silence, no internal error, and every frame we make is valid.

Stations and CSMSs of all unequal versions, the messages made from the OCA's schemas in three styles (lean, full, and what real peers send:
float noise, other time formats, the last word of each enumeration). What must hold is judged by the schemas alone. Serves "what must be
seen" of the translation: 100 % valid, a documented refusal or an answer for each. OCPP-NOTES 12.1, 16.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.directions import CALLS, CODES, DOWN, UP
from tests.conformance.peers import bodies
from tests.support.translated import Translated

VERSIONS = tuple(CALLS)
PAIRS = [(station, csms) for station in VERSIONS for csms in VERSIONS if station != csms]
REFUSALS = {"NotSupported", "NotImplemented"}
"""What a CALLERROR may say of a message that is right."""


def _order(version: str, direction: str) -> list[str]:
    last = {"StopTransaction": 1}
    return sorted(CALLS[version][direction], key=lambda name: (name != "BootNotification", last.get(name, 0), name))


def _three_phases(value: Any) -> Any:
    """No grid has two thousand million phases, which the schemas of 1.6 and 2.0.1 allow."""
    if isinstance(value, dict):
        return {name: 3 if name in ("numberPhases", "phaseToUse") else _three_phases(item) for name, item in value.items()}
    return [_three_phases(item) for item in value] if isinstance(value, list) else value


def _play(station: str, csms: str, direction: str, style: str) -> tuple[list[Any], Translated]:
    world = Translated(station, csms)
    sender = station if direction == UP else csms
    say = world.station_says if direction == UP else world.csms_says
    meaning = bodies.Meaning(style, 2, 4712 if sender == "ocpp1.6" else "tx-é")
    found: list[Any] = []
    for action in _order(sender, direction):
        for event in ("Started", "Updated", "Ended") if action == "TransactionEvent" else ("Started",):
            meaning.event = event
            found.append((action, say(action, _three_phases(bodies.request(sender, action, meaning)))))
    world.seconds(30)
    return found, world


@pytest.mark.parametrize("style", bodies.STYLES)
@pytest.mark.parametrize("direction", [UP, DOWN])
@pytest.mark.parametrize(("station", "csms"), PAIRS)
def test_every_action_has_a_sane_outcome(station: str, csms: str, direction: str, style: str) -> None:
    found, world = _play(station, csms, direction, style)
    assert [action for action, answer in found if answer is None] == [], "nobody answered"
    errors = {action: answer[2:4] for action, answer in found if answer[0] == 4}
    wrong = {action: error for action, error in errors.items() if error[0] not in REFUSALS}
    assert wrong == {}
    assert {error[0] for error in errors.values()} <= CODES[station if direction == UP else csms]
    assert world.faults == []
    assert [text for text in world.warnings if "please report" in text] == []
