"""Tokens of 2.1 that 2.0.1 cannot show, and back (OCPP-NOTES 12.4, trap 28)."""

from __future__ import annotations

from controller.ocpp.hub import Memory, Message, Said
from controller.ocpp.v201.tokens import KEPT, Tokens, alias
from tests.support.two_versions import (
    LONG_TOKEN,
    event,
    old_station,
    only_sent,
)

# -- tokens ---------------------------------------------------------------------------------------------------------------


def test_a_long_token_has_an_alias_both_ways_and_after_a_restart() -> None:  # trap 28
    pair = old_station(Said({"status": "Accepted"}))
    token = {"idToken": LONG_TOKEN, "type": "DirectPayment"}
    pair.says("csms", Message("RequestStartTransaction", {"evseId": 1, "remoteStartId": 1, "idToken": token}))
    shown = only_sent(pair)["idToken"]
    assert shown == {"idToken": alias(LONG_TOKEN), "type": "Central"}
    assert len(shown["idToken"]) <= 36
    again = old_station()
    again.shared.load(dict(pair.shared.starting("token")))
    again.says("station", Message("TransactionEvent", event(idToken={**shown, "idToken": shown["idToken"].lower()})))
    assert only_sent(again)["idToken"] == token


def test_a_short_token_of_another_type_comes_back_as_it_was() -> None:
    tokens = Tokens(Memory())
    vin = {"idToken": "WVWZZZ1JZXW000001", "type": "VIN"}
    assert tokens.plain({"idToken": vin}) == {"idToken": {**vin, "type": "Central"}}
    assert tokens.restored({"idToken": {**vin, "type": "Central"}}) == {"idToken": vin}
    assert tokens.restored({"idToken": {**vin, "type": "Local"}}) == {"idToken": {**vin, "type": "Local"}}
    # The same text is a plain Central token later: then it is that.
    tokens.plain({"idToken": {**vin, "type": "Central"}})
    assert tokens.restored({"idToken": {**vin, "type": "Central"}}) == {"idToken": {**vin, "type": "Central"}}


def test_aliases_disregard_case_and_the_oldest_are_forgotten() -> None:
    assert alias(LONG_TOKEN) == alias(LONG_TOKEN.lower())
    memory = Memory()
    tokens = Tokens(memory)
    for number in range(KEPT + 5):
        tokens.plain({"idToken": f"{number:040d}", "type": "Central"})
    assert len(list(memory.starting("token:"))) == KEPT
    assert tokens.restored({"idToken": alias(f"{KEPT:040d}"), "type": "Central"})["idToken"] == f"{KEPT:040d}"


def test_tokens_in_lists_and_answers_are_shown_too_and_vendors_are_left_alone() -> None:
    more = [{"additionalIdToken": LONG_TOKEN, "type": "EVCCID"}, {"additionalIdToken": "short", "type": "EVCCID"}]
    info = {"status": "Accepted", "personalMessage": {"format": "HTML", "content": "x" * 513}}
    entry = {"idToken": {"idToken": LONG_TOKEN, "type": "eMAID", "additionalInfo": more}, "idTokenInfo": info}
    pair = old_station(Said({"status": "Accepted"}))
    update = {"versionNumber": 1, "updateType": "Full", "localAuthorizationList": [entry]}
    pair.says("csms", Message("SendLocalList", update))
    shown = {"idToken": alias(LONG_TOKEN), "type": "eMAID", "additionalInfo": more[1:]}
    assert only_sent(pair)["localAuthorizationList"] == [{"idToken": shown, "idTokenInfo": {"status": "Accepted"}}]
    tokens = Tokens(Memory())
    assert tokens.plain({"idToken": LONG_TOKEN, "type": "eMAID", "additionalInfo": more[:1]}) == {"idToken": alias(LONG_TOKEN), "type": "eMAID"}
    vendors = {"vendorId": "v", "data": {"idToken": LONG_TOKEN, "type": "X"}}
    other = old_station(Said({"status": "Accepted"}))
    other.says("csms", Message("DataTransfer", vendors))
    assert only_sent(other) == vendors
