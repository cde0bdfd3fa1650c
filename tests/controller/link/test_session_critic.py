"""What a cold reader found: each transcript was a defect of the link half once, named in one line."""

from __future__ import annotations

import json
import sys
from functools import partial
from typing import Any

import pytest

from controller.engine import Engine
from controller.facts import (
    EvseKey,
    EvseMeasured,
    OutboxRow,
    PersistFailed,
    Restored,
    SessionChanged,
    StationConnected,
    StationFrame,
    StationOnline,
    UpstreamClosed,
    UpstreamWished,
)
from controller.orders import Inject, InstallFloor
from tests.support.playbook import BOOT, TOKEN, Playbook, config, event

OK = {"status": "Accepted"}
TIME = "2026-11-21T16:00:00Z"


def booted(play: Playbook | None = None) -> Playbook:
    play = play or Playbook()
    play.connect()
    play.station(2, "boot", "BootNotification", BOOT)
    play.csms(3, "boot", {"currentTime": TIME, "interval": 300, "status": "Accepted"})
    return play


def charging(play: Playbook | None = None) -> Playbook:
    play = booted(play)
    play.station(2, "start", "TransactionEvent", event("Started", 0, idToken=TOKEN))
    play.csms(3, "start", {"idTokenInfo": OK})
    return play


def inject(number: int = 1, limit_a: float = 16.0) -> Inject:
    return Inject(EvseKey("CP1", 1), number, limit_a, 3, 120.0, "test")


def tx_profile(
    limit_a: float = 10.0, profile_id: int = 5, transaction_id: str | None = "tx-1", stack: int = 0, purpose: str = "TxProfile"
) -> dict[str, Any]:
    profile: dict[str, Any] = {
        "id": profile_id,
        "stackLevel": stack,
        "chargingProfilePurpose": purpose,
        "chargingProfileKind": "Relative",
        "chargingSchedule": [{"id": 1, "chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": limit_a}]}],
    }
    return profile if transaction_id is None else {**profile, "transactionId": transaction_id}


def ups(play: Playbook) -> list[Any]:
    return [json.loads(text) for text in play.sent_up]


def downs(play: Playbook) -> list[Any]:
    return [json.loads(text) for text in play.sent_down]


def current(amps: float = 16.0) -> list[Any]:
    return [{"timestamp": TIME, "sampledValue": [{"value": amps, "measurand": "Current.Import"}]}]


@pytest.mark.parametrize("shape", [5, None, True])
def test_set_variables_of_a_wrong_shape_gets_an_answer(shape: Any) -> None:
    # risky_variables iterates whatever stands there: TypeError out of Links.handle, the station's socket is closed for it.
    play = booted()
    play.csms(2, "c-1", "SetVariables", {"setVariableData": shape})
    assert play.sent_up or play.sent_down


def test_set_variables_with_an_unhashable_name_gets_an_answer() -> None:
    # ([...], "x") in RISKY_VARIABLES: unhashable, TypeError.
    play = booted()
    play.csms(2, "c-1", "SetVariables", {"setVariableData": [{"component": {"name": []}, "variable": {"name": "x"}, "attributeValue": "1"}]})
    assert play.sent_up or play.sent_down


def test_set_variables_risky_and_broken_together_gets_an_answer() -> None:
    # _variable_refused(5): AttributeError.
    risky = {"component": {"name": "SecurityCtrlr"}, "variable": {"name": "Identity"}, "attributeValue": "x"}
    play = booted()
    play.csms(2, "c-1", "SetVariables", {"setVariableData": [risky, 5]})
    assert ups(play)[0][:2] in ([3, "c-1"], [4, "c-1"])


@pytest.mark.parametrize(
    ("component", "variable"),
    [("securityctrlr", "identity"), ("SmartChargingCtrlr", "Enabled"), ("OCPPCommCtrlr", "networkConfigurationPriority")],
)
def test_variables_that_move_the_station_past_the_guard_are_refused_in_any_spelling(component: str, variable: str) -> None:
    # Names are identifierStrings, i.e. case-insensitive; SmartChargingCtrlr.Enabled=false switches every limit off (F27).
    play = booted()
    item = {"component": {"name": component}, "variable": {"name": variable}, "attributeValue": "false"}
    play.csms(2, "c-1", "SetVariables", {"setVariableData": [item]})
    assert play.sent_down == []


def test_a_late_close_of_the_old_upstream_leg_does_not_swallow_a_call_of_the_new_one() -> None:
    # session.closed() forgets the CSMS's waiting calls before it looks at the generation.
    play = charging()
    old = play.upstream_generation
    play.hang_up()
    play.connect()
    play.station(2, "h", "Heartbeat", {})
    play.carry(inject())
    ours = play.down()[1]
    play.csms(2, "c-1", "ClearCache", {})
    play.feed(UpstreamClosed(play.at, "CP1", old, "late close"))
    play.station(3, ours, OK)
    assert [frame[1] for frame in downs(play)] == ["c-1"]


def test_a_status_in_flight_when_the_csms_leaves_again_is_still_owed() -> None:
    # _statuses.pop() happens at sending, not at the answer.
    play = booted()
    play.close()
    play.station(2, "s", "StatusNotification", {"timestamp": TIME, "connectorStatus": "Faulted", "evseId": 1, "connectorId": 1})
    play.wait(10)
    play.open()
    assert play.up()[2] == "StatusNotification"
    play.close()
    play.wait(30)
    play.open()
    assert [frame[2] for frame in ups(play)] == ["StatusNotification"]


def test_the_last_status_the_csms_hears_is_the_newest() -> None:
    # A status relayed while the first dial is undecided does not settle the older one that is owed: Faulted goes up last.
    play = booted()
    play.close()
    status = {"timestamp": TIME, "evseId": 1, "connectorId": 1}
    play.station(2, "s-1", "StatusNotification", {**status, "connectorStatus": "Faulted"})
    play.hang_up()
    play.connect(csms=None)
    play.station(2, "s-2", "StatusNotification", {**status, "connectorStatus": "Available"})
    play.open()
    heard = []
    for _ in range(4):
        for frame in ups(play):
            heard.append(frame[3]["connectorStatus"])
            play.csms(3, frame[1], {})
    assert heard[-1] == "Available"


def test_a_boot_that_the_csms_missed_survives_our_restart() -> None:
    # Uplink._boot lives in memory only; a 2.x station that reconnects does not boot again.
    play = Playbook()
    play.connect(csms=False)
    play.station(2, "boot", "BootNotification", BOOT)
    assert play.down()[2]["status"] == "Accepted"
    play.station(2, "u", "TransactionEvent", event("Started", 0))
    play = play.restarted()
    play.connect()
    assert ups(play)[0][2] == "BootNotification"


def test_a_late_answer_with_a_reused_id_does_not_delete_an_unsent_row() -> None:
    # _held_rows maps a message id to a row even if that row never went up under this id: P1 broken.
    play = charging()
    play.close()
    play.station(2, "4", "TransactionEvent", event("Updated", 1))
    play.station(2, "5", "TransactionEvent", event("Updated", 2))
    play.wait(10)
    play.open()
    first = play.up()
    play.csms(4, first[1], "InternalError", "", {})
    play.station(2, "5", "Heartbeat", {})
    assert play.up()[1:3] == ["5", "Heartbeat"]
    play.wait(31)
    play.csms(3, "5", {"currentTime": TIME})
    assert any('"seqNo":2' in row.text for row in play.rows.values())


def test_the_outbox_drains_although_the_lane_was_full() -> None:
    # _offer_ours ignores that the lane refused: Outbox.in_flight stays set and nothing drains until the next disconnect.
    play = charging()
    play.close()
    play.station(2, "u-1", "TransactionEvent", event("Updated", 1))
    play.hang_up()
    play.connect(csms=None)
    for number in range(64):
        play.station(2, f"n-{number}", "NotifyReport", {"requestId": 1, "generatedAt": TIME, "seqNo": number})
    play.open()
    for _ in range(200):
        frames = ups(play)
        if frames:
            play.csms(3, frames[0][1], {})
        else:
            play.wait(1)
    assert play.rows == {}


def test_a_csms_that_is_silent_for_hours_gets_everything_in_the_end() -> None:
    # Silence counts as an attempt: three times 30 s of a hung backend behind an open socket and every message is parked.
    play = charging()
    play.close()
    play.station(2, "u-1", "TransactionEvent", event("Updated", 1))
    play.wait(10)
    play.open()
    play.wait(600)
    assert play.links.view()[0].parked == 0


def test_refusals_of_a_message_without_transaction_do_not_put_live_transactions_offline() -> None:
    # One NotifyEvent the CSMS does not know (NotImplemented) makes queued > 0 for minutes: live events are held, "Unknown" is said to drivers.
    play = booted()
    play.close()
    play.station(2, "n", "NotifyEvent", {"generatedAt": TIME, "seqNo": 0, "eventData": []})
    play.wait(10)
    play.open()
    play.csms(4, play.up()[1], "NotImplemented", "", {})
    play.station(2, "t", "TransactionEvent", event("Started", 0, idToken=TOKEN))
    assert [frame[1] for frame in ups(play)] == ["t"]


def test_the_answer_to_a_replayed_event_teaches_the_cache() -> None:
    # 4.4: what the CSMS says on replay is its newest word; Blocked is ignored and the driver stays Accepted in the next outage.
    play = charging()
    play.close()
    play.station(2, "t-2", "TransactionEvent", event("Started", 0, "tx-2", idToken=TOKEN))
    play.wait(10)
    play.open()
    play.csms(3, play.up()[1], {"idTokenInfo": {"status": "Blocked"}})
    play.close()
    play.station(2, "a", "Authorize", {"idToken": TOKEN})
    assert play.down()[2]["idTokenInfo"]["status"] == "Blocked"


def test_a_station_that_never_answers_setpoints_still_gets_the_csms_s_calls() -> None:
    # SAFETY always goes first: a station silent to SetChargingProfile never sees another CALL of the CSMS, nor does the CSMS get an answer (F05).
    play = charging()
    play.carry(inject(1))
    play.csms(2, "c-1", "RequestStopTransaction", {"transactionId": "tx-1"})
    seen: list[str] = []
    for number in range(2, 14):
        play.carry(inject(number))
        play.wait(10)
        seen += [frame[1] for frame in [*downs(play), *ups(play)]]
    assert "c-1" in seen


def test_a_csms_call_is_not_carried_out_after_its_deadline() -> None:
    # The deadline counts from sending, not from arrival: the CSMS gave up at 30 s, we start the transaction at 30 s.
    play = charging()
    play.carry(inject(1))
    play.csms(2, "c-1", "UnlockConnector", {"evseId": 1, "connectorId": 1})
    play.wait(32)
    assert [frame[:2] for frame in ups(play)] == [[4, "c-1"]]
    assert [frame for frame in downs(play) if frame[1] == "c-1"] == []


def test_old_events_do_not_displace_the_running_transaction() -> None:  # F16
    # An offline event of a finished transaction takes the EVSE; its Ended then leaves the live one unknown, its meter values are lost.
    play = charging()
    play.station(2, "o-1", "TransactionEvent", event("Updated", 7, "tx-0", offline=True, evse={"id": 1}))
    play.csms(3, "o-1", {})
    play.station(2, "o-2", "TransactionEvent", event("Ended", 8, "tx-0", offline=True, evse={"id": 1}))
    play.csms(3, "o-2", {})
    play.station(2, "u-1", "TransactionEvent", event("Updated", 1, meterValue=current()))
    assert [fact.evse for fact in play.facts(EvseMeasured)] == [EvseKey("CP1", 1)]


def test_an_event_after_the_end_does_not_revive_the_transaction() -> None:
    # Updated after Ended (trap 9) registers the dead transaction again, for ever: setpoints become TxProfiles that no station accepts.
    play = charging()
    play.station(2, "e", "TransactionEvent", event("Ended", 2))
    play.csms(3, "e", {})
    play.station(2, "u", "TransactionEvent", event("Updated", 1, offline=True, evse={"id": 1}))
    play.csms(3, "u", {})
    play.carry(inject())
    assert "transactionId" not in play.down()[3]["chargingProfile"]


def test_a_station_that_knows_no_such_transaction_gets_a_default_profile_next() -> None:
    # The station lost power and forgot tx-1 without an Ended: every later setpoint is a TxProfile for tx-1 and rejected.
    play = charging()
    play.carry(inject(1))
    play.station(3, play.down()[1], {"status": "Rejected", "statusInfo": {"reasonCode": "TxNotFound"}})
    assert [fact.ended for fact in play.facts(SessionChanged)] == [True]
    play.carry(inject(2))
    assert play.down()[3]["chargingProfile"]["chargingProfilePurpose"] == "TxDefaultProfile"


def test_a_running_transaction_is_known_when_the_only_evse_is_clear() -> None:
    # Yardmaster is put in between while a car charges: events do not repeat the EVSE, a station with one EVSE needs none.
    play = booted()
    play.station(2, "u-1", "TransactionEvent", event("Updated", 5, meterValue=current()))
    assert [fact.evse for fact in play.facts(EvseMeasured)] == [EvseKey("CP1", 1)]


def test_profiles_of_a_transaction_die_when_another_one_starts() -> None:
    # Without the Ended of tx-1 its TxProfile limits tx-2 and every later transaction, and fills the store of 100.
    play = charging()
    play.csms(2, "p", "SetChargingProfile", {"evseId": 1, "chargingProfile": tx_profile(10.0)})
    assert play.facts(UpstreamWished)
    play.station(2, "s2", "TransactionEvent", event("Started", 0, "tx-2"))
    play.csms(3, "s2", {})
    play.csms(2, "g", "GetChargingProfiles", {"requestId": 1, "chargingProfile": {}})
    assert ups(play)[0] == [3, "g", {"status": "NoProfiles"}]


def test_a_remote_start_the_station_rejects_leaves_no_profile() -> None:  # K05
    # The profile waits for ever and limits the next driver's transaction.
    play = booted()
    start = {"remoteStartId": 9, "idToken": TOKEN, "evseId": 1, "chargingProfile": tx_profile(7.0, transaction_id=None)}
    play.csms(2, "r", "RequestStartTransaction", start)
    play.station(3, "r", {"status": "Rejected"})
    play.station(2, "s", "TransactionEvent", event("Started", 0, "tx-5"))
    assert [step.limit_a for fact in play.facts(UpstreamWished) for step in fact.steps] in ([], [None])


def test_a_remote_start_into_a_running_transaction_binds_its_profile() -> None:  # K05, F02: cable first
    # The station names the running transaction in its answer; no Started follows, the profile never takes effect, but the next driver gets it.
    play = booted()
    play.station(2, "s", "TransactionEvent", event("Started", 0))
    play.csms(3, "s", {})
    start = {"remoteStartId": 9, "idToken": TOKEN, "evseId": 1, "chargingProfile": tx_profile(7.0, transaction_id=None)}
    play.csms(2, "r", "RequestStartTransaction", start)
    told = list(play.facts(UpstreamWished))
    play.station(3, "r", {"status": "Accepted", "transactionId": "tx-1"})
    told += play.facts(UpstreamWished)
    info = {"transactionId": "tx-1", "chargingState": "Charging", "remoteStartId": 9}
    play.station(2, "u", "TransactionEvent", {**event("Updated", 1), "triggerReason": "RemoteStart", "transactionInfo": info})
    told += play.facts(UpstreamWished)
    assert [step.limit_a for fact in told for step in fact.steps] == [7.0]


def test_a_flood_of_remote_starts_does_not_grow_memory() -> None:  # F24
    # Starts takes any evseId, also of EVSEs that do not exist.
    play = booted()
    for evse_id in range(200):
        start = {"remoteStartId": evse_id, "idToken": TOKEN, "evseId": evse_id + 50, "chargingProfile": tx_profile(7.0, transaction_id=None)}
        play.csms(2, f"r-{evse_id}", "RequestStartTransaction", start)
        play.station(3, f"r-{evse_id}", {"status": "Rejected"})
    assert len(play.links.sessions["CP1"].profiles.starts) <= 2


def test_statuses_of_connectors_that_cannot_be_do_not_grow_memory() -> None:
    # Owed keeps one entry per (evse, connector) the station invents, and sends them all at once later.
    play = booted()
    play.close()
    for number in range(2000):
        status = {"timestamp": TIME, "evseId": number, "connectorId": number, "connectorStatus": "Available"}
        play.station(2, f"s-{number}", "StatusNotification", status)
    assert len(play.links.sessions["CP1"].up._owed) <= 256


def test_transactions_of_evses_that_are_not_configured_do_not_grow_memory() -> None:
    # session.transactions takes any EVSE number and writes the whole map to disk each time.
    play = booted()
    for number in range(300):
        play.station(2, f"t-{number}", "TransactionEvent", event("Started", 0, f"x-{number}", evse={"id": number + 10}))
        play.csms(3, f"t-{number}", {})
    assert len(play.links.sessions["CP1"].transactions) <= 99


def test_a_station_whose_boot_gets_an_error_but_goes_on_is_commanded() -> None:  # F32
    # _booting stays True for ever: a station that works on after a CALLERROR is never online, never gets its floor.
    play = Playbook()
    play.connect()
    play.station(2, "boot", "BootNotification", BOOT)
    play.csms(4, "boot", "InternalError", "", {})
    play.station(2, "s", "TransactionEvent", event("Started", 0))
    online = bool(play.facts(StationOnline))
    play.csms(3, "s", {})
    play.wait(30)
    assert online or play.facts(StationOnline)


def test_a_damaged_memory_of_one_station_costs_no_other_station_its_queue() -> None:
    # restore() of one session raises, the loop ends, the queues of all later stations are never loaded.
    play = Playbook()
    row = OutboxRow(1, "CP1", "tx-1", "TransactionEvent", json.dumps([2, "a", "TransactionEvent", event("Started", 0)]), 0.0)
    play.rows[1] = row
    play.feed(Restored(play.at, {("link", "CP1"): {"transactions": {"one": {}}}}, {"CP1": (row,)}))
    play.connect()
    assert [frame[2] for frame in ups(play)] == ["TransactionEvent"]


def test_a_row_that_cannot_be_read_is_set_aside() -> None:
    # _offer_row parses the text of the journal unguarded: FrameError out of every pump, the station is closed each second.
    play = Playbook()
    rows = (
        OutboxRow(1, "CP1", "tx-1", "TransactionEvent", "[2,", 0.0),
        OutboxRow(2, "CP1", "tx-2", "TransactionEvent", json.dumps([2, "a", "TransactionEvent", event("Started", 0, "tx-2")]), 0.0),
    )
    play.feed(Restored(play.at, {}, {"CP1": rows}))
    play.connect()
    play.wait_until_up(3)
    assert [frame[2] for frame in ups(play)] == ["TransactionEvent"]


def test_measured_values_are_finite() -> None:
    # The multiplier is applied after the check: 1e300 x 10^12 is inf and reaches the site.
    play = charging()
    sample = {"value": 1e300, "measurand": "Power.Active.Import", "unitOfMeasure": {"unit": "W", "multiplier": 12}}
    play.station(2, "u", "TransactionEvent", event("Updated", 1, meterValue=[{"timestamp": TIME, "sampledValue": [sample]}]))
    assert [fact.power_w for fact in play.facts(EvseMeasured) if fact.power_w == float("inf")] == []


def test_the_composite_after_the_transaction_is_the_floor() -> None:
    # Downlink.setpoints outlives the transaction (and a reboot) that took the TxProfile along (K02.FR.08).
    play = charging()
    play.carry(InstallFloor(EvseKey("CP1", 1), 1, 6.0, 3))
    play.station(3, play.down()[1], OK)
    play.carry(inject(2, 16.0))
    play.station(3, play.down()[1], OK)
    play.station(2, "e", "TransactionEvent", event("Ended", 2))
    play.csms(3, "e", {})
    play.csms(2, "g", "GetCompositeSchedule", {"evseId": 1, "duration": 60, "chargingRateUnit": "A"})
    assert play.up()[2]["schedule"]["chargingSchedulePeriod"][0]["limit"] == 6.0


def test_a_late_answer_to_an_old_setpoint_does_not_replace_a_newer_one() -> None:
    # down._ours books whatever answer comes last.
    play = charging()
    play.carry(inject(1, 32.0))
    old = play.down()[1]
    play.wait(31)
    play.carry(inject(2, 8.0))
    play.station(3, play.down()[1], OK)
    play.station(3, old, OK)
    play.csms(2, "g", "GetCompositeSchedule", {"evseId": 1, "duration": 60, "chargingRateUnit": "A"})
    assert play.up()[2]["schedule"]["chargingSchedulePeriod"][0]["limit"] == 8.0


def test_a_composite_in_watts_counts_the_phases_of_the_evse() -> None:  # trap 12
    # Watts are always three phases: a single-phase EVSE at 16 A reports 11 kW instead of 3.7 kW.
    data = config().model_dump(mode="json", exclude_unset=True)
    data["stations"][0]["evses"][0]["phases"] = ["L1"]
    play = charging(Playbook(type(config()).model_validate(data)))
    play.carry(Inject(EvseKey("CP1", 1), 1, 16.0, 1, 120.0, "test"))
    play.station(3, play.down()[1], OK)
    play.csms(2, "g", "GetCompositeSchedule", {"evseId": 1, "duration": 60, "chargingRateUnit": "W"})
    period = play.up()[2]["schedule"]["chargingSchedulePeriod"][0]
    assert period == {"startPeriod": 0, "limit": 3680.0, "numberPhases": 1}


def test_a_message_that_could_not_be_stored_is_not_overtaken_by_a_later_one() -> None:  # P2, F73
    # seq 1 cannot be written, seq 2 can and is acknowledged on the closing socket: the station repeats seq 1 after seq 2.
    play = charging()
    play.close()
    play.disk = None
    play.station(2, "u-1", "TransactionEvent", event("Updated", 1))
    play.station(2, "u-2", "TransactionEvent", event("Updated", 2))
    play.feed(PersistFailed(play.at, play.unwritten[0].token, "disk full"))
    assert play.closes()
    play.feed(play.write(play.unwritten[1]))
    assert play.sent_down == []


def test_a_reused_id_with_another_text_in_flight_is_not_swallowed() -> None:  # F15, 16.4
    # repeated() looks at the id only while the first call waits: the second message is neither answered nor stored.
    play = charging()
    play.station(2, "7", "TransactionEvent", event("Updated", 1))
    play.station(2, "7", "TransactionEvent", event("Updated", 2))
    first = ups(play)
    play.csms(3, "7", {})
    assert first or [frame for frame in [*ups(play)] if frame[3]["seqNo"] == 2]


def test_tokens_of_the_local_list_are_known_in_the_outage() -> None:
    # SendLocalList is the CSMS's own word; drivers on it are told Unknown, and StopTxOnInvalidId ends their charge.
    play = booted()
    listed = {"idToken": {"idToken": "LISTED", "type": "ISO14443"}, "idTokenInfo": OK}
    play.csms(2, "l", "SendLocalList", {"versionNumber": 1, "updateType": "Full", "localAuthorizationList": [listed]})
    play.station(3, "l", OK)
    play.close()
    play.station(2, "t", "TransactionEvent", event("Started", 0, idToken=listed["idToken"]))
    assert play.down()[2] == {"idTokenInfo": OK}


def test_a_temporary_no_is_not_remembered_for_a_month() -> None:
    # ConcurrentTx is true of one moment; in the outage the driver is refused everywhere.
    play = booted()
    play.station(2, "a-1", "Authorize", {"idToken": TOKEN})
    play.csms(3, "a-1", {"idTokenInfo": OK})
    play.station(2, "a-2", "Authorize", {"idToken": TOKEN})
    play.csms(3, "a-2", {"idTokenInfo": {"status": "ConcurrentTx"}})
    play.close()
    play.station(2, "a-3", "Authorize", {"idToken": TOKEN})
    assert play.down()[2]["idTokenInfo"]["status"] == "Accepted"


def test_a_broken_answer_of_the_csms_settles_the_call() -> None:
    # Below, a broken answer counts as an answer; above, the station waits out the whole timeout.
    play = booted()
    play.station(2, "h", "Heartbeat", {})
    play.csms('[3,"h",[]]')
    assert [frame[1] for frame in downs(play)] == ["h"]


def test_a_failed_store_does_not_undo_a_profile_that_is_stored() -> None:
    # persist_failed loads the snapshot from before the failed one, which takes the later, accepted profile out of the store.
    play = charging(Playbook(disk=None))
    play.unwritten.clear()
    play.csms(2, "p-1", "SetChargingProfile", {"evseId": 1, "chargingProfile": tx_profile(10.0, 5)})
    play.csms(2, "p-2", "SetChargingProfile", {"evseId": 1, "chargingProfile": tx_profile(9.0, 6, stack=1)})
    play.feed(PersistFailed(play.at, play.unwritten[0].token, "disk full"))
    play.feed(play.write(play.unwritten[1]))
    assert play.up() == [3, "p-2", OK]
    play.csms(2, "g", "GetChargingProfiles", {"requestId": 1, "chargingProfile": {"chargingProfileId": [6]}})
    assert ups(play)[0] == [3, "g", OK]


def test_the_transparent_mode_answers_nothing_by_itself() -> None:
    # With outage "transparent" a slow CSMS still gets its transaction messages acknowledged and stored here.
    play = charging(Playbook(config(outage="transparent")))
    play.station(2, "u-1", "TransactionEvent", event("Updated", 1))
    play.wait(31)
    assert [frame for frame in downs(play) if frame[1] == "u-1" and frame[0] == 3] == []


def test_parked_messages_do_not_stay_in_memory() -> None:
    # A CSMS without NotifyEvent parks each one, with an alarm, and Outbox keeps every text in memory and walks over all of them at each send.
    play = booted()
    for number in range(30):
        play.close()
        play.station(2, f"n-{number}", "NotifyEvent", {"generatedAt": TIME, "seqNo": number, "eventData": []})
        play.wait(60)
        play.open()
        for _ in range(3):
            play.csms(4, play.up()[1], "NotImplemented", "", {})
            play.wait_until_up(100)
            if not play.sent_up:
                break
    assert play.links.view()[0].parked == 0


def test_a_csms_that_answers_after_its_deadline_is_believed() -> None:  # F21
    # At 35 s per answer every row is overdue, its late answer is thrown away: sent three times, parked with an alarm.
    play = charging()
    play.close()
    play.station(2, "u-1", "TransactionEvent", event("Updated", 1))
    play.wait(10)
    play.open()
    due: list[tuple[float, str]] = [(play.mono_s + 35.0, frame[1]) for frame in ups(play)]
    copies = len(due)
    for _ in range(300):
        play.wait(1)
        due += [(play.mono_s + 35.0, frame[1]) for frame in ups(play)]
        copies += len(ups(play))
        for _, message_id in [one for one in due if one[0] <= play.mono_s]:
            play.csms(3, message_id, {})
        due = [one for one in due if one[0] > play.mono_s]
    assert (play.rows, play.links.view()[0].parked, copies <= 2) == ({}, 0, True)


def test_a_new_transaction_is_not_refused_while_the_queue_of_another_drains() -> None:
    # _must_wait looks at the whole station: with the CSMS there, a driver it knows is told "Unknown" from our cache.
    play = charging(Playbook(config(evses=2)))
    play.close()
    for seq in range(1, 40):
        play.station(2, f"u-{seq}", "TransactionEvent", event("Updated", seq))
    play.wait(10)
    play.open()
    stranger = {"idToken": "NEW", "type": "ISO14443"}
    play.station(2, "s-2", "TransactionEvent", event("Started", 0, "tx-2", idToken=stranger, evse={"id": 2, "connectorId": 1}))
    assert [frame for frame in downs(play) if frame[1] == "s-2"] == []


def test_profiles_left_in_the_station_by_others_are_cleared_when_they_block_the_floor() -> None:  # K01.FR.06/52, trap 15
    # A TxDefault of the CSMS from before Yardmaster: our floor is rejected for ever. dialect.clear_profile has no caller.
    play = charging()
    sent: list[str] = []
    for number in range(1, 4):
        play.carry(InstallFloor(EvseKey("CP1", 1), number, 6.0, 3))
        for _ in range(3):
            frames = downs(play)
            sent += [frame[2] for frame in frames]
            for frame in frames:
                answer = {"status": "Rejected", "statusInfo": {"reasonCode": "DuplicateProfile"}} if frame[2] == "SetChargingProfile" else OK
                play.station(3, frame[1], answer)
        play.wait(5)
    assert "ClearChargingProfile" in sent


def test_a_transaction_of_another_station_is_noticed() -> None:  # F14
    # Nothing compares transaction ids between stations.
    data = config().model_dump(mode="json", exclude_unset=True)
    data["stations"].append({**data["stations"][0], "id": "CP2"})
    play = charging(Playbook(type(config()).model_validate(data)))
    play.feed(StationConnected(play.at, "CP2", 1, "ocpp2.0.1", "127.0.0.1", "/ocpp/CP2"))
    play.feed(StationFrame(play.at, "CP2", 1, json.dumps([2, "x", "TransactionEvent", event("Ended", 3, "tx-1")])))
    assert [text for text in play.told() if "transaction" in text]


def test_answers_kept_for_repeats_are_small() -> None:
    # Repeats held 64 whole requests and answers: up to 32 MB per station.
    play = booted()
    for number in range(64):
        play.station(2, f"d-{number}", "DataTransfer", {"vendorId": "x", "data": "y" * 200_000})
        play.csms(3, f"d-{number}", OK)
    known = play.links.sessions["CP1"].up._answers.repeats._by_id.values()
    assert sum(len(repr(one)) for one in known) < 100_000


def test_a_profile_of_a_remote_start_survives_our_restart() -> None:  # K05, P1
    # Profiles._next is in memory only: the CSMS was told the start is accepted, the limit is gone.
    play = booted()
    start = {"remoteStartId": 9, "idToken": TOKEN, "evseId": 1, "chargingProfile": tx_profile(7.0, transaction_id=None)}
    play.csms(2, "r", "RequestStartTransaction", start)
    play.station(3, "r", OK)
    play = play.restarted()
    play.connect()
    info = {"transactionId": "tx-1", "chargingState": "Charging", "remoteStartId": 9}
    play.station(2, "s", "TransactionEvent", {**event("Started", 0), "transactionInfo": info})
    assert [step.limit_a for fact in play.facts(UpstreamWished) for step in fact.steps] == [7.0]


def test_the_same_id_much_later_is_a_new_message() -> None:  # F15, 16.4
    # Stations with few ids exist: for 64 answers long an equal Heartbeat gets the old time, and the CSMS never hears it.
    play = booted()
    play.station(2, "1", "Heartbeat", {})
    play.csms(3, "1", {"currentTime": TIME})
    play.wait(300)
    play.station(2, "1", "Heartbeat", {})
    assert [frame[1] for frame in ups(play)] == ["1"]


def test_a_boot_asked_again_under_the_same_id_is_asked_again() -> None:  # B02
    # The Pending of the first time is repeated for ever, the station is never accepted.
    play = Playbook()
    play.connect()
    for _ in range(2):
        play.station(2, "boot", "BootNotification", BOOT)
        assert [frame[1] for frame in ups(play)] == ["boot"]
        play.csms(3, "boot", {"currentTime": TIME, "interval": 60, "status": "Pending"})
        play.wait(60)


def _lines_run(periods: int) -> int:
    """Lines of link/profiles.py run for one GetCompositeSchedule over so many periods."""
    play = charging()
    schedule = [{"startPeriod": 60 * n, "limit": 6 + n % 2} for n in range(periods)]
    profile = tx_profile(transaction_id=None, purpose="TxDefaultProfile")
    profile["chargingSchedule"][0]["chargingSchedulePeriod"] = schedule
    play.csms(2, "p", "SetChargingProfile", {"evseId": 1, "chargingProfile": profile})
    count = 0

    def trace(frame: Any, kind: str, _: Any) -> Any:
        nonlocal count
        if not frame.f_code.co_filename.endswith("link/profiles.py"):
            return None
        count += kind == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        play.csms(2, "g", "GetCompositeSchedule", {"evseId": 1, "duration": 86_400})
    finally:
        sys.settrace(before)
    return count


def test_a_composite_costs_in_line_with_its_periods() -> None:  # P3, P7
    # _combine looks up every moment in every layer from the front: quadratic. 8 daily profiles over a week hold the loop for 12 s.
    assert _lines_run(200) < 3 * _lines_run(100)


def test_a_transaction_that_ended_offline_is_over() -> None:  # F16, E04
    # The car left while the link was down: its Ended comes with offline=true, so live=False, and the site keeps a session without a car for ever.
    play = Playbook()
    engine = Engine(play.config, "test", {})
    say = partial(StationFrame, play.at, "CP1", 1)
    engine.handle(StationConnected(play.at, "CP1", 1, "ocpp2.0.1", "127.0.0.1", "/ocpp/CP1"))
    engine.handle(say(json.dumps([2, "s", "TransactionEvent", event("Started", 0)])))
    key = EvseKey("CP1", 1)
    assert engine.site.evses[key].session is not None
    engine.handle(say(json.dumps([2, "e", "TransactionEvent", event("Ended", 2, offline=True)])))
    assert engine.site.evses[key].session is None
