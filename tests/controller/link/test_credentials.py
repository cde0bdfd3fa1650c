"""F27, A01: a new password changes both legs at once, and nothing that goes wrong in between locks anybody out."""

from __future__ import annotations

import json
from typing import Any

import pytest

from controller.config import Config, StationConfig, UpstreamConfig
from controller.facts import Fact, Stamp, StationConnected
from controller.link.credentials import KEPT, SPACE, STUCK_S, Credentials, Known
from controller.link.ids import IdSource
from controller.link.secrets import QUICK_COST, matches, salted_hash
from controller.ocpp import rpc
from controller.ocpp.dialect import SecretChange
from controller.orders import DialUpstream, Order, Persist, SendUpstream, SetStationSecret, Tell
from tests.support.playbook import BOOT, Playbook, config

FIRST, SECOND, THIRD = "the first password", "the second password", "the third password"
EVSES = ({"id": 1, "max_current_a": 32},)
AT = Stamp(1000.0, 1_790_000_000.0)
LEG = 7


def call(text: str, message_id: str = "c1") -> rpc.Call:
    payload = {"password": text}
    return rpc.Call(message_id, "ChangePassword", payload, json.dumps([2, message_id, "ChangePassword", payload]))


YES = rpc.Result("c1", {"status": "Accepted"}, '[3, "c1", {"status":"Accepted"}]')
NO = rpc.Result("c1", {"status": "Rejected"}, '[3, "c1", {"status":"Rejected"}]')


class Change:
    """Credentials with a disk that writes at once (disk True), fails (False), or waits to be told (None)."""

    def __init__(
        self, station: dict[str, Any] | None = None, upstream: dict[str, Any] | None = None, memory: Any = None, disk: bool | None = True
    ) -> None:
        below = {"password": FIRST} if station is None else station
        above = {"password": "csms-password"} if upstream is None else upstream
        self.station = StationConfig.model_validate({"id": "CP1", "evses": EVSES, **below})
        self.upstream = UpstreamConfig.model_validate({"id": "u", "url": "ws://x", **above})
        self.tokens = 0
        self.disk = disk
        self.memory = memory
        self.outcomes: list[Order | Fact] = []
        self.passed: list[rpc.Call] = []
        self.reachable = True
        self.unwritten: list[Persist] = []
        self.it = Credentials(self.station, self.upstream, IdSource("seed"), self._token, self._down, self._reply)
        self.run(self.it.restore(memory))

    def _token(self) -> int:
        self.tokens += 1
        return self.tokens

    def _down(self, at: Stamp, generation: int, call: rpc.Call) -> list[Order | Fact] | None:
        if not self.reachable:
            return None
        assert generation == LEG
        self.passed.append(call)
        return []

    def _reply(self, generation: int, text: str) -> list[Order | Fact]:
        return [SendUpstream("CP1", generation, text)]

    def run(self, outcomes: list[Order | Fact] | None) -> list[Order | Fact]:
        assert outcomes is not None
        self.outcomes = []
        self._settle(outcomes)
        return self.outcomes

    def _settle(self, outcomes: list[Order | Fact]) -> None:
        for outcome in outcomes:
            self.outcomes.append(outcome)
            if isinstance(outcome, Persist):
                self._store(outcome)

    def _store(self, order: Persist) -> None:
        if self.disk is None and order.token:
            self.unwritten.append(order)
        elif self.disk is False:
            self._settle(self.it.persist_failed(order.token) or [])
        else:
            self.written(order)

    def written(self, order: Persist) -> None:
        self.memory = json.loads(json.dumps(order.remember[(SPACE, "CP1")]))
        self._settle(self.it.persisted(AT, order.token) or [])

    def change(self, text: str = SECOND, at: Stamp = AT) -> list[Order | Fact]:
        """The CSMS sets a password; the station has not answered yet."""
        self.call = call(text)
        return self.run(self.it.change(at, LEG, self.call, SecretChange(text.encode(), text), "ocpp2.0.1"))

    def changed(self, text: str = SECOND) -> list[Order | Fact]:
        self.change(text)
        return self.run(self.it.answered(YES, True))

    def restarted(self, **more: Any) -> Change:
        return Change(more.get("station"), more.get("upstream"), self.memory)

    def connects(self, text: str) -> list[Order | Fact]:
        """The station connects with a password; the shell finds which hash it matches."""
        found = [known.value for known in self.it._good if matches(text.encode(), known.value)]
        assert found or (not self.it._good and text == FIRST), "it is refused"
        return self.run(self.it.connected(found[0] if found else ""))

    def good(self, *texts: str) -> bool:
        """Whether these are what the station may use, all of them and no other of the three."""
        hashes = self.hashes
        if not hashes:
            return texts == (FIRST,)
        return {text for text in (FIRST, SECOND, THIRD) for stored in hashes if matches(text.encode(), stored)} == set(texts)

    @property
    def hashes(self) -> tuple[str, ...]:
        return tuple(known.value for known in self.it._good)

    def told_shell(self) -> tuple[str, ...] | None:
        """What the shell was told last in this step."""
        orders = [order for order in self.outcomes if isinstance(order, SetStationSecret)]
        return orders[-1].hashes if orders else None

    def sent_up(self) -> list[str]:
        return [order.text for order in self.outcomes if isinstance(order, SendUpstream)]


# -- the ordinary way --------------------------------------------------------------------------------


def test_f27_the_frame_goes_down_only_when_the_new_password_is_on_disk_and_the_station_may_use_it() -> None:
    story = Change(disk=None)
    story.change()
    assert story.passed == []
    assert story.told_shell() is None
    story.outcomes = []
    story.written(story.unwritten.pop())
    assert story.passed == [story.call]
    assert story.passed[0].text == story.call.text
    assert story.told_shell() == story.hashes
    assert story.good(FIRST, SECOND)


def test_f27_the_answer_goes_up_only_when_the_disk_has_it() -> None:
    story = Change()
    story.change()
    story.disk = None
    story.run(story.it.answered(YES, True))
    assert story.sent_up() == []
    story.outcomes = []
    story.written(story.unwritten.pop())
    assert story.sent_up() == [YES.text]


def test_a01_fr_03_the_old_password_ends_when_the_station_has_used_the_new_one() -> None:
    story = Change()
    story.changed()
    assert story.good(FIRST, SECOND), "until then it is kept (F27)"
    story.connects(FIRST)
    assert story.good(FIRST, SECOND), "the station takes the new one with its next boot"
    story.connects(SECOND)
    assert story.good(SECOND)
    assert story.told_shell() == story.hashes
    assert story.restarted().good(SECOND)


def test_the_csms_is_shown_the_new_password_as_soon_as_the_station_has_taken_it() -> None:
    story = Change()
    assert story.it.dial_password() is None
    story.change()
    assert story.it.dial_password() is None, "the station may still say no"
    story.run(story.it.answered(YES, True))
    assert story.it.dial_password() == SECOND
    story.run(story.it.upstream_opened())
    assert story.it._shown == (Known(SECOND, True),)
    assert story.restarted().it.dial_password() == SECOND


def test_f27_if_the_csms_does_not_know_the_new_one_yet_failed_dials_alternate() -> None:
    story = Change()
    story.changed()
    shown = []
    for _ in range(4):
        shown.append(story.it.dial_password())
        story.it.upstream_failed()
    assert shown == [SECOND, None, SECOND, None]
    assert story.it.dial_password() == SECOND


def test_a_password_that_is_no_text_is_shown_byte_for_byte() -> None:
    raw = bytes.fromhex("00ff7a1e" * 5)
    story = Change()
    change = call(raw.hex())
    story.run(story.it.change(AT, LEG, change, SecretChange(raw, raw.hex()), "ocpp1.6"))
    story.run(story.it.answered(YES, True))
    after = story.restarted()
    shown = after.it.dial_password()
    assert shown is not None
    assert shown.encode("utf-8", "surrogateescape") == raw
    assert matches(raw, after.hashes[-1])
    assert matches(raw.hex().encode(), after.hashes[-1])


# -- what goes wrong ------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [NO, rpc.Error("c1", "InternalError", "", {}, '[4,"c1","InternalError","",{}]')])
def test_a_no_of_the_station_forgets_the_new_password(answer: rpc.Result | rpc.Error) -> None:
    story = Change()
    story.change()
    story.run(story.it.answered(answer, False))
    assert story.good(FIRST)
    assert story.told_shell() == (), "as configured"
    assert story.it.dial_password() is None
    assert story.sent_up() == [answer.text]
    assert story.memory is None


@pytest.mark.parametrize(("used", "left"), [(FIRST, FIRST), (SECOND, SECOND)])
def test_no_answer_leaves_both_until_the_next_connection_decides(used: str, left: str) -> None:
    story = Change()
    story.change()
    story.run(story.it.answered(None, False))
    assert story.good(FIRST, SECOND)
    story.connects(used)
    assert story.good(left)


def test_a_station_that_leaves_before_it_answers_is_undecided() -> None:
    story = Change()
    story.change()
    story.run(story.it.disconnected())
    assert story.good(FIRST, SECOND)
    assert not story.it.owns(story.call)
    story.change(THIRD)
    assert story.passed[-1] is story.call


@pytest.mark.parametrize(("used", "left"), [(FIRST, FIRST), (SECOND, SECOND)])
def test_f67_a_restart_before_the_answer_is_undecided_too(used: str, left: str) -> None:
    story = Change()
    story.change()
    after = story.restarted()
    assert after.told_shell() == after.hashes
    assert after.good(FIRST, SECOND)
    assert {after.it.dial_password(), after.it.upstream_failed() or after.it.dial_password()} == {None, SECOND}
    after.connects(used)
    assert after.good(left)


def test_f67_a_restart_between_the_answer_and_the_disk_loses_nothing() -> None:
    story = Change()
    story.change()
    story.disk = None
    story.run(story.it.answered(YES, True))
    assert story.restarted().good(FIRST, SECOND)


def test_f73_what_cannot_be_stored_is_not_sent_to_the_station() -> None:
    story = Change(disk=False)
    story.change()
    assert story.passed == []
    (answer,) = story.sent_up()
    assert json.loads(answer)[:3] == [4, "c1", "InternalError"]
    assert story.good(FIRST)
    story.disk = True
    story.changed()
    assert story.good(FIRST, SECOND)


def test_f73_a_yes_goes_up_even_if_the_disk_fails_now_because_it_has_both_already() -> None:
    story = Change()
    story.change()
    story.disk = False
    story.run(story.it.answered(YES, True))
    assert story.sent_up() == [YES.text]
    assert story.restarted().good(FIRST, SECOND)


def test_a_station_that_has_left_while_the_disk_was_busy_never_heard_of_it() -> None:
    story = Change(disk=None)
    story.change()
    story.reachable = False
    story.disk = True
    story.outcomes = []
    story.written(story.unwritten.pop())
    assert json.loads(story.sent_up()[0])[:3] == [4, "c1", "GenericError"]
    assert story.good(FIRST)


def test_a_second_change_waits_for_the_first_but_not_for_ever() -> None:
    story = Change()
    story.change()
    assert story.it.change(AT, LEG, call(THIRD), SecretChange(THIRD.encode(), THIRD), "ocpp2.0.1") is None
    story.change(THIRD, Stamp(AT.mono_s + STUCK_S, AT.wall_s))
    assert story.good(FIRST, SECOND, THIRD), "whether the station has heard of the second is not known"


@pytest.mark.parametrize("text", ["", "x" * 600])
def test_what_cannot_be_a_password_is_refused(text: str) -> None:
    story = Change()
    assert story.it.change(AT, LEG, call(text), SecretChange(text.encode(), text), "ocpp2.0.1") is None


def test_changes_in_a_row_keep_what_the_station_may_still_hold() -> None:
    story = Change()
    story.changed(SECOND)
    story.changed(THIRD)
    assert story.good(FIRST, SECOND, THIRD)
    story.connects(SECOND)
    assert story.good(SECOND, THIRD)
    story.connects(THIRD)
    assert story.good(THIRD)


def test_however_many_changes_stay_unanswered_the_right_one_is_never_dropped() -> None:
    story = Change()
    for number in range(2 * KEPT):
        story.change(f"unanswered number {number}")
        story.run(story.it.answered(None, False))
    assert len(story.hashes) == KEPT
    story.connects(FIRST)
    assert story.good(FIRST)
    assert story.it.dial_password() is None


def test_the_same_password_set_again_and_rejected_stays_the_right_one() -> None:
    story = Change()
    story.changed()
    story.connects(SECOND)
    story.run(story.it.upstream_opened())
    story.change(SECOND)
    story.run(story.it.answered(NO, False))
    assert story.good(SECOND)
    assert story.it.dial_password() == SECOND


# -- configuration -----------------------------------------------------------------------------------------


def test_a_hash_in_the_configuration_is_the_old_password() -> None:
    story = Change({"password_hash": salted_hash(FIRST, bytes(16), QUICK_COST)})
    story.changed()
    assert story.good(FIRST, SECOND)
    assert story.hashes[0] == story.station.password_hash.get_secret_value()  # type: ignore[union-attr]


def test_a_password_the_operator_writes_anew_wins() -> None:
    story = Change()
    story.changed()
    story.connects(SECOND)
    after = story.restarted(station={"password": THIRD})
    assert after.hashes == ()
    assert "password" in next(order.text for order in after.outcomes if isinstance(order, Tell))
    assert after.it.dial_password() == SECOND, "the other leg's password was not touched"
    again = story.restarted(upstream={"password": "another"})
    assert again.it.dial_password() is None
    assert again.good(SECOND)


def test_a_station_without_a_password_stays_open_and_the_csms_is_shown_the_new_one() -> None:
    story = Change({})
    story.changed()
    assert story.told_shell() is None
    assert story.hashes == ()
    assert story.it.dial_password() == SECOND


def test_without_a_password_upstream_its_text_is_kept_nowhere() -> None:
    story = Change(upstream={})
    story.changed()
    assert story.good(FIRST, SECOND)
    assert story.it.dial_password() is None
    assert SECOND not in json.dumps(story.memory)


UNREADABLE = {"salt": "", "configured": "", "good": [["scrypt$x", True]], "shown": []}


@pytest.mark.parametrize("memory", [{}, [], "x", {"salt": "x"}, UNREADABLE, {"good": 7}])
def test_a_damaged_memory_leaves_the_configured_password_in_force(memory: Any) -> None:
    story = Change(memory=memory)
    assert story.hashes == ()
    assert story.it.dial_password() is None
    story.changed()
    assert story.good(FIRST, SECOND)


def test_a01_fr_12_passwords_are_never_told() -> None:
    story = Change()
    seen = [*story.change(), *story.run(story.it.answered(YES, True)), *story.connects(SECOND), *story.restarted().outcomes]
    told = repr([item for item in seen if not isinstance(item, Persist)]) + repr(story.it._asked) + repr(story.it._good) + repr(story.it._shown)
    assert FIRST not in told
    assert SECOND not in told
    assert not any(stored in told for stored in story.hashes)
    assert repr(DialUpstream("CP1", 1, "u", (), password=SECOND)).count(SECOND) == 0


# -- the whole link ------------------------------------------------------------------------------------------


def guarded() -> Config:
    plain = config(password="csms-password")
    station = plain.stations[0].model_copy(update={"password": StationConfig.model_validate({"id": "x", "password": FIRST, "evses": EVSES}).password})
    return plain.model_copy(update={"stations": (station,)})


def set_password(text: str, *more: dict[str, Any]) -> dict[str, Any]:
    names = {"component": {"name": "SecurityCtrlr"}, "variable": {"name": "BasicAuthPassword"}}
    return {"setVariableData": [{"attributeValue": text, **names}, *more]}


def result(status: str, *more: dict[str, Any]) -> dict[str, Any]:
    names = {"component": {"name": "SecurityCtrlr"}, "variable": {"name": "BasicAuthPassword"}}
    return {"setVariableResult": [{"attributeStatus": status, **names}, *more]}


HEARTBEATS = {"component": {"name": "OCPPCommCtrlr"}, "variable": {"name": "HeartbeatInterval"}}


def booted() -> Playbook:
    play = Playbook(guarded())
    play.connect()
    play.station(2, "b1", "BootNotification", BOOT)
    play.csms(3, "b1", {"currentTime": "2026-11-21T16:00:00Z", "interval": 300, "status": "Accepted"})
    return play


def test_f27_a_setvariables_with_password_and_other_items_passes_as_one_byte_for_byte() -> None:
    play = booted()
    text = json.dumps([2, "v1", "SetVariables", set_password(SECOND, {"attributeValue": "60", **HEARTBEATS})])
    play.csms(text)
    assert play.sent_down == [text]
    answer = json.dumps([3, "v1", result("Accepted", {"attributeStatus": "Accepted", **HEARTBEATS})])
    play.station(answer)
    assert play.sent_up == [answer]


def test_f27_both_legs_use_the_new_password_after_the_station_has_reconnected() -> None:
    play = booted()
    play.csms(2, "v1", "SetVariables", set_password(SECOND))
    play.station(3, "v1", result("Accepted"))
    hashes = next(memory["good"] for (space, _), memory in play.memories.items() if space == SPACE)
    play.hang_up()
    play.generation += 1
    play.feed(StationConnected(play.at, "CP1", play.generation, "ocpp2.0.1", "127.0.0.1", secret=hashes[1][0]))
    (secret,) = play.facts(SetStationSecret)
    assert secret.hashes == (hashes[1][0],)
    play.wait(2)
    again = play.restarted()
    (secret,) = again.facts(SetStationSecret)
    assert secret.hashes == (hashes[1][0],)
    again.connect(csms=None)
    dials = [*again.dials(), *[order for order in again.wait(3) if isinstance(order, DialUpstream)]]
    assert dials[0].password == SECOND


def test_f27_a_rejected_password_changes_nothing() -> None:
    play = booted()
    play.csms(2, "v1", "SetVariables", set_password(SECOND))
    play.station(3, "v1", result("Rejected"))
    assert json.loads(play.sent_up[0]) == [3, "v1", result("Rejected")]
    assert play.facts(SetStationSecret)[-1].hashes == ()
    assert SPACE not in {space for (space, _), memory in play.memories.items() if memory is not None}


def test_f27_a_password_the_station_never_answers_is_an_error_for_the_csms_and_both_stay() -> None:
    play = booted()
    play.csms(2, "v1", "SetVariables", set_password(SECOND))
    outcomes = play.wait(40)
    errors = [json.loads(order.text) for order in outcomes if isinstance(order, SendUpstream)]
    assert [error[:2] for error in errors if error[0] == 4] == [[4, "v1"]]
    good = next(memory["good"] for (space, _), memory in play.memories.items() if space == SPACE)
    assert [matches(text.encode(), good[place][0]) for place, text in enumerate((FIRST, SECOND))] == [True, True]


def test_f27_the_password_of_a_1_6_station_is_its_authorization_key() -> None:
    key = "00ff7a1e" * 5
    play = Playbook(guarded(), version="ocpp1.6")
    play.connect()
    play.station(2, "b1", "BootNotification", {"chargePointVendor": "Acme", "chargePointModel": "One"})
    play.csms(3, "b1", {"currentTime": "2026-11-21T16:00:00Z", "interval": 300, "status": "Accepted"})
    play.csms(2, "k1", "ChangeConfiguration", {"key": "AuthorizationKey", "value": key})
    assert play.down()[2] == "ChangeConfiguration"
    play.station(3, "k1", {"status": "Accepted"})
    assert play.up() == [3, "k1", {"status": "Accepted"}]
    good = next(memory["good"] for (space, _), memory in play.memories.items() if space == SPACE)
    assert matches(bytes.fromhex(key), good[1][0])
    play.hang_up()
    play.generation += 1
    play.feed(StationConnected(play.at, "CP1", play.generation, "ocpp1.6", "127.0.0.1", secret=good[1][0]))
    dials = [*play.dials(), *[order for order in play.wait(3) if isinstance(order, DialUpstream)]]
    assert (dials[0].password or "").encode("utf-8", "surrogateescape") == bytes.fromhex(key)
