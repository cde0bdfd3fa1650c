"""Any schema-valid message of one version gives schema-valid messages of the other, or a refusal with its reason.

Every action of every version, both ways, over all pairs of versions that have sides; answers of the peers are generated likewise.
What a side emits is judged by the OCA's schemas: on the wire by its version, in the hub by 2.1.
"""

from __future__ import annotations

import itertools
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controller.link.policy import CSMS, STATION
from controller.ocpp.hub import Failed, Message, Reply, Said
from controller.ocpp.registry import sides_for
from tests.support.conformance_page import side_rows
from tests.support.examples import examples
from tests.support.generated import as_sent, payloads
from tests.support.pair import Pair
from tests.support.shapes import VERSIONS

READY = tuple(version for version in VERSIONS if sides_for(version) is not None)
PAIRS = tuple(itertools.product(READY, READY))
SEND_ONLY = frozenset({"NotifyPeriodicEventStream"})
ACTIONS = {"station": STATION, "csms": CSMS}
REFUSED = Failed("InternalError", "not today")
WITHOUT_STATUS = frozenset({"UpdateFirmware", "GetDiagnostics"})
"""Their answers in 1.6 have no word for a 2.x station's Rejected: it becomes CALLERROR."""

QUICK = settings(deadline=None, database=None, suppress_health_check=list(HealthCheck), max_examples=examples(10))  # of each action of each pair
LONG = settings(deadline=None, database=None, suppress_health_check=list(HealthCheck), max_examples=examples(50))


def cases() -> list[Any]:
    """(version of the station, of the CSMS, who speaks, action)."""
    found = []
    for station, csms in PAIRS:
        for end, version in (("station", station), ("csms", csms)):
            found += [pytest.param(station, csms, end, action, id=f"{station}-{csms}-{action}") for action in sorted(ACTIONS[end][version])]
    return found


def joined(station: str, csms: str, data: st.DataObject, *, wild: bool) -> Pair:
    """Both sides, with a peer behind each that answers whatever its schema allows."""

    def answer(version: str, action: str) -> Reply:
        if data.draw(st.integers(0, 9)) == 9:
            return REFUSED
        return Said(as_sent(data.draw(payloads(version, action, True, wild))))

    station_sides, csms_sides = sides_for(station), sides_for(csms)
    assert station_sides is not None
    assert csms_sides is not None
    return Pair(station_sides, csms_sides, answer)


def message(data: st.DataObject, version: str, action: str, *, wild: bool) -> Message:
    """One of all schema-valid requests of an action."""
    return Message(action, as_sent(data.draw(payloads(version, action, False, wild))), action in SEND_ONLY)


@pytest.mark.parametrize(("station", "csms", "end", "action"), cases())
def test_one_message_gives_valid_messages_or_a_refusal(station: str, csms: str, end: str, action: str) -> None:
    """Whoever is answered with CALLERROR has it from the other end, or the table of refusals says so."""
    version = station if end == "station" else csms
    documented = {row[0] for row in (*side_rows(station, "station"), *side_rows(csms, "csms"))} | WITHOUT_STATUS

    @QUICK
    @given(st.data())
    def law(data: st.DataObject) -> None:
        pair = joined(station, csms, data, wild=False)
        reply = pair.says(end, message(data, version, action, wild=False))
        assert pair.complaints == []
        assert isinstance(reply, Said) or REFUSED in pair.answers or action in documented

    law()


@pytest.mark.parametrize(("station", "csms"), PAIRS)
def test_a_day_of_any_messages_never_raises_and_ends(station: str, csms: str) -> None:
    """Also what schemas allow and the protocol does not: then nothing bad leaves, and everybody still has an answer."""
    choices = [(end, action) for end, version in (("station", station), ("csms", csms)) for action in sorted(ACTIONS[end][version])]

    @LONG
    @given(st.data())
    def law(data: st.DataObject) -> None:
        pair = joined(station, csms, data, wild=True)
        for end, side in pair.sides.items():
            pair.spawn(end, side.opened())
        for end, action in data.draw(st.lists(st.sampled_from(choices), min_size=2, max_size=8)):
            pair.says(end, message(data, pair.version(end), action, wild=True))
            pair.tick(data.draw(st.sampled_from((1, 3))))
        for end, side in pair.sides.items():
            pair.spawn(end, side.closed())

    law()


def tenths(value: Any) -> Any:
    """A payload of 2.0.1 with its limits rounded as a command is: limits down to a tenth, least rates up."""
    if isinstance(value, list):
        return [tenths(item) for item in value]
    if not isinstance(value, dict):
        return value
    made = {key: tenths(item) for key, item in value.items()}
    if "startPeriod" in made:
        made["limit"] = float(Decimal(repr(made["limit"])).quantize(Decimal("0.1"), ROUND_FLOOR))
    if "minChargingRate" in made:
        made["minChargingRate"] = float(Decimal(repr(made["minChargingRate"])).quantize(Decimal("0.1"), ROUND_CEILING))
    return made


def hub_like() -> list[Any]:
    """(version, who speaks, action) of the versions whose words are nearly the hub's."""
    return [
        pytest.param(version, end, action, id=f"{version}-{action}")
        for version in ("ocpp2.0.1", "ocpp2.1")
        for end, table in ACTIONS.items()
        for action in sorted(table[version])
    ]


@pytest.mark.parametrize(("version", "end", "action"), hub_like())
def test_what_both_ends_can_say_comes_through_the_hub_unchanged(version: str, end: str, action: str) -> None:
    """2.0.1 -> hub -> 2.0.1 and 2.1 -> hub -> 2.1: the message as it was sent, the answer as it was given."""
    same = tenths if version == "ocpp2.0.1" and action in ("SetChargingProfile", "RequestStartTransaction") else as_sent

    @QUICK
    @given(st.data())
    def law(data: st.DataObject) -> None:
        replies: list[Reply] = []

        def answer(version: str, action: str) -> Reply:
            replies.append(Said(as_sent(data.draw(payloads(version, action, True)))))
            return replies[-1]

        found = sides_for(version)
        assert found is not None
        pair = Pair(found, found, answer)
        sent = message(data, version, action, wild=False)
        reply = pair.says(end, sent)
        assert [(each.action, each.payload) for each in pair.sent] == [(action, same(sent.payload))]
        assert replies in ([], [reply])

    law()
