"""Bad input catalogue, values in messages: B07, B18, B19, B28, B29, B32 as transcripts in every version.

The rule everywhere: what passes, passes byte for byte, for it is between station and CSMS; what Yardmaster cannot
understand it does not use, answers validly, and goes on.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from controller.facts import EvseMeasured, SessionChanged
from controller.orders import Tell
from tests.support.playbook import config
from tests.support.schemas import check_response
from tests.support.talk import SCHEMAS, V16, V21, V201, VERSIONS, Talk

every_version = pytest.mark.parametrize("version", VERSIONS)
two_x = pytest.mark.parametrize("version", [V201, V21])


# -- B07: actions --------------------------------------------------------------------------------------------


@every_version
@pytest.mark.parametrize("action", ["Bogus", "heartbeat", "HeartbeatRequest", "Vendor-Signed", "X" * 64])
def test_b07_an_unknown_action_passes_to_a_csms_waits_for_one_and_is_not_implemented_without(version: str, action: str) -> None:
    play = Talk(version=version).known()
    text = json.dumps([2, "u", action, {"a": 1}])
    play.station(text)
    assert play.sent_up == [text]
    play.csms(4, "u", "NotImplemented", "", {})
    assert play.down()[:3] == [4, "u", "NotImplemented"]
    play.close()
    play.station(2, "v", action, {})
    assert play.down()[:3] == [4, "v", "GenericError"], "later may be another answer"
    alone = Talk(config(upstream=False), version=version)
    alone.connect(csms=None)
    alone.station(2, "w", action, {})
    assert alone.down()[:3] == [4, "w", "NotImplemented"]


@every_version
def test_b07_an_unknown_action_of_the_csms_passes_to_the_station(version: str) -> None:
    play = Talk(version=version).known()
    text = '[2,"u", "Bogus",{ }]'
    play.csms(text)
    assert play.sent_down == [text]


# -- B18: times ----------------------------------------------------------------------------------------------


@every_version
@pytest.mark.parametrize(
    "time",
    [
        "2026-09-21T14:13:20",
        "2026-02-30T00:00:00Z",
        "0001-01-01T00:00:00Z",
        "2026-09-21T14:13:20.123456789Z",
        "2026-09-21t14:13:20z",
        "",
        "now",
        1_790_000_000,
        None,
    ],
)
def test_b18_any_time_passes_unchanged_and_is_kept_unchanged(version: str, time: Any) -> None:
    play = Talk(version=version).known()
    play.begin("s", timestamp=time)
    (text,) = play.sent_up
    assert json.loads(text)[3]["timestamp"] == time
    play.take()
    assert list(play.links.sessions["CP1"].transactions) == [1]
    play.close()
    play.finish("e", timestamp=time)
    assert play.down()[:2] == [3, "e"]
    (row,) = play.rows.values()
    assert json.loads(row.text)[3]["timestamp"] == time


@pytest.mark.parametrize(("time", "live"), [("2026-09-21T14:30:00", True), ("2026-09-21T12:30:00", False), ("2026-09-31T14:30:00Z", False)])
def test_b18_a_time_without_a_zone_is_utc_and_no_time_at_all_is_not_now(time: str, live: bool) -> None:
    play = Talk(version=V16).known()  # its clock shows 14:30:00 UTC
    play.begin("s", timestamp=time)
    play.take()
    assert [fact.live for fact in play.facts(SessionChanged)] == [live]


# -- B19: values ---------------------------------------------------------------------------------------------

ODD = ["", "12,5", "0x1F", "14.4kW", "NaN-ish", None, True, [], {}, 1e40, "1e40", "9" * 200]


def measured(play: Talk, sample: dict[str, Any]) -> list[EvseMeasured]:
    """A MeterValues with this sample goes up unchanged; what the site heard of it."""
    place = "connectorId" if play.is_16 else "evseId"
    text = json.dumps([2, "m", "MeterValues", {place: 1, "meterValue": [{"timestamp": play.now, "sampledValue": [sample]}]}])
    play.station(text)
    assert play.sent_up == [text]
    return play.facts(EvseMeasured)


@every_version
@pytest.mark.parametrize("value", ODD, ids=repr)
@pytest.mark.parametrize("measurand", ["Current.Import", "Energy.Active.Import.Register", "Power.Active.Import"])
def test_b19_a_value_that_is_none_passes_and_is_not_used(version: str, value: Any, measurand: str) -> None:
    play = Talk(version=version).charging()
    assert measured(play, {"value": value, "measurand": measurand}) == []
    play.csms(3, "m", {})
    play.station(2, "h", "Heartbeat", {})
    assert play.up()[1] == "h"


@every_version
def test_b19_spaces_around_a_number_do_not_matter(version: str) -> None:
    unit = {"unit": "A"} if version == V16 else {}
    assert [
        fact.phase_current_a[0] for fact in measured(Talk(version=version).charging(), {"value": " 7 ", "measurand": "Current.Import", **unit})
    ] == [7.0]


def test_b19_in_1_6_only_the_register_may_leave_its_unit_out() -> None:
    play = Talk(version=V16).charging()
    assert [fact.energy_wh for fact in measured(play, {"value": "7"})] == [7.0]
    play.csms(3, "m", {})
    assert measured(play, {"value": "7", "measurand": "Power.Active.Import"}) == []
    play.csms(3, "m", {})
    assert measured(play, {"value": "7", "measurand": "Power.Active.Import", "unit": "Wh"}) == []


# -- B28: transaction ids --------------------------------------------------------------------------------------


@pytest.mark.parametrize("csms_id", [-1, 0, 1, "17", 2**31 - 1, 2**40, "none", "", None, 17.5, True, [1]], ids=repr)
def test_b28_whatever_a_1_6_csms_gives_as_id_the_station_gets_it_and_can_charge(csms_id: Any) -> None:
    play = Talk(version=V16).known()
    play.begin("s")
    play.csms(3, "s", {"transactionId": csms_id, "idTagInfo": {"status": "Accepted"}})
    heard = play.down()[2]["transactionId"]
    assert heard == csms_id or heard > 2_140_000_000, "its own, or ours where it could be taken for one of ours"
    setpoint = play.profile_of(play.inject())
    known = isinstance(csms_id, int) and not isinstance(csms_id, bool) and csms_id > 0
    assert setpoint["chargingProfilePurpose"] == ("TxProfile" if known or csms_id == "17" else "TxDefaultProfile")
    play.transaction = heard
    play.finish()
    assert play.up()[3]["transactionId"] == csms_id


@every_version
@pytest.mark.parametrize("transaction_id", [-1, 0, 17, None, "", 17.5, True, [1], {}, "x" * 37, "1"], ids=repr)
def test_b28_a_station_may_name_any_transaction_and_nothing_breaks(version: str, transaction_id: Any) -> None:
    play = Talk(version=version).known()
    play.transaction = transaction_id
    for away in (False, True):
        if away:
            play.close()
        play.finish(f"e-{away}")
        assert play.down()[:2] == [3, f"e-{away}"] if away else play.up()[1] == f"e-{away}"
        if not away:
            play.csms(3, "e-False", {})
    play = play.restarted()
    play.connect(csms=False)
    play.comes_back()
    assert [call[1] for call in play.drain()], "and it goes up when the CSMS is back"
    assert play.rows == {}


@every_version
def test_b28_an_id_that_comes_again_after_a_restart_is_another_session(version: str) -> None:
    # A CSMS (1.6) or a station (2.x) that counts from 1 after each restart, or always says the same.
    play = Talk(version=version).charging()
    first = play.transaction
    for number in range(3):
        play.finish(f"e-{number}")
        play.take()
        assert play.links.sessions["CP1"].running.ids() == set()
        play.wait(60)
        play.begin(f"s-{number}")
        if version == V16:
            play.take()
        assert [fact.started for fact in play.facts(SessionChanged)] == [True]
        if version != V16:
            play.take()
        assert play.transaction == first
        assert play.links.sessions["CP1"].running.ids() == {str(first)}
        play.read(f"m-{number}")
        assert [fact.transaction_id for fact in play.facts(SessionChanged)] == [str(first)]
        play.csms(3, f"m-{number}", {})
    play.read("late")
    play.csms(3, "late", {})


# -- B29: drivers ----------------------------------------------------------------------------------------------

TAGS = ["x" * 21, "x" * 256, "", "'; DROP TABLE outbox; --", "a\r\nb: c", "\u202eevil", "ü" * 20, 7, None, [], {}]


@every_version
@pytest.mark.parametrize("tag", TAGS, ids=repr)
def test_b29_odd_drivers_pass_to_the_csms_and_are_nobody_without_it(version: str, tag: Any) -> None:
    play = Talk(version=version).known()
    driver = {"idTag": tag} if version == V16 else {"idToken": {"idToken": tag, "type": "ISO14443"}}
    text = json.dumps([2, "a", "Authorize", driver])
    play.station(text)
    assert play.sent_up == [text]
    play.csms(3, "a", play.allowed)
    play.close()
    play.station(2, "b", "Authorize", driver)
    answer = play.down()[2]
    check_response("Authorize", answer, SCHEMAS[version])
    status = answer["idTagInfo" if version == V16 else "idTokenInfo"]["status"]
    usable = isinstance(tag, str) and 0 < len(tag) <= (20 if version == V16 else 255)
    assert status in (["Accepted"] if usable else ["Invalid", "Unknown"])
    play.begin("s", **({"idTag": tag} if version == V16 else {"idToken": driver["idToken"]}))
    assert play.down()[:2] == [3, "s"]
    assert len(play.rows) == 1
    told = [one.text for one in play.outcomes if isinstance(one, Tell)]
    assert not any(str(tag) in text for text in told if tag), "no driver in the event log"


# -- B32: versions ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "offered", [(), ("ocpp1.5",), ("ocpp1.2", "ocpp2.0"), ("OCPP1.6",), ("ocpp1.6 ",), tuple(f"x{n}" for n in range(100))], ids=repr
)
def test_b32_a_version_nobody_speaks_reaches_no_session(offered: tuple[str, ...]) -> None:
    play = Talk(version="ocpp1.5" if not offered else offered[0])
    play.admit()
    assert play.outcomes == []
    assert play.links.sessions["CP1"].generation is None
