"""The policy table against the schemas of the specification: no action lacks a row."""

import json
from pathlib import Path

import ocpp
import pytest

from controller.link.policy import CSMS, STATION, Upstream, Verb, from_csms, from_station

V = "ocpp2.0.1"
FROM_STATION, FROM_CSMS = STATION[V], CSMS[V]

SCHEMAS = Path(ocpp.__file__).parent / "v201" / "schemas"
ACTIONS = {path.name.removesuffix("Request.json") for path in SCHEMAS.glob("*Request.json")}


def test_every_action_of_2_0_1_has_a_row() -> None:
    assert len(ACTIONS) == 64
    assert set(FROM_STATION) | set(FROM_CSMS) == ACTIONS


def test_only_data_transfer_goes_both_ways() -> None:
    assert set(FROM_STATION) & set(FROM_CSMS) == {"DataTransfer"}


@pytest.mark.parametrize("action", ["SetChargingProfile", "ClearChargingProfile", "GetChargingProfiles", "GetCompositeSchedule"])
def test_profiles_of_the_csms_never_reach_the_station(action: str) -> None:
    assert from_csms(V, action) is Verb.INTERCEPT


def test_what_costs_money_is_held_while_the_csms_is_away() -> None:
    for action in ("TransactionEvent", "MeterValues", "SecurityEventNotification"):
        assert from_station(V, action, Upstream.AWAY) is Verb.HOLD
        assert from_station(V, action, Upstream.OPEN) is Verb.RELAY


def test_unknown_and_signed_actions_pass_while_the_csms_is_there() -> None:
    assert from_station(V, "NotifyReport-Signed", Upstream.OPEN) is Verb.RELAY
    assert from_station(V, "NotifyReport-Signed", Upstream.AWAY) is Verb.REFUSE
    assert from_csms(V, "VendorThing") is Verb.RELAY


def test_the_station_cannot_be_moved_past_us() -> None:
    assert from_csms(V, "SetNetworkProfile") is Verb.REFUSE


def test_the_schema_folder_is_the_real_one() -> None:
    assert json.loads((SCHEMAS / "TransactionEventRequest.json").read_text())["properties"]["seqNo"]["type"] == "integer"
