"""Rules for commands: lists, rate, and how often a person hears of it."""

from __future__ import annotations

import pytest

from controller.config import CommandsConfig
from controller.facts import Stamp
from controller.link.commands import CommandPolicy
from tests.support.playbook import Playbook, config


def at(mono_s: float) -> Stamp:
    return Stamp(mono_s, 1_790_000_000.0 + mono_s)


def policy(mirror: bool = False, **rules: object) -> CommandPolicy:
    return CommandPolicy("CP1", "csms", CommandsConfig.model_validate(rules), mirror)


@pytest.mark.parametrize(
    ("rules", "mirror", "passes"),
    [
        ({}, False, True),
        ({}, True, False),
        ({"allow": ("Reset",)}, False, True),
        ({"allow": ("Reset",)}, True, True),
        ({"allow": ("ClearCache",)}, False, False),
        ({"allow": ()}, False, False),
        ({"deny": ("Reset",)}, False, False),
        ({"allow": ("Reset",), "deny": ("Reset",)}, False, False),
    ],
)
def test_lists(rules: dict[str, object], mirror: bool, passes: bool) -> None:
    assert (policy(mirror, **rules).refusal("Reset", at(0)) == "") is passes


def test_the_rate_holds_for_any_minute_not_for_those_of_the_clock() -> None:  # F31
    rules = policy(per_minute=3)
    assert [rules.refusal("Reset", at(second)) == "" for second in (50, 55, 59, 61, 109)] == [True, True, True, False, False]
    assert rules.refusal("Reset", at(110.0)) == ""
    assert rules.refusal("Reset", at(114.9)) != ""


def test_a_command_that_the_lists_refuse_does_not_count_for_the_rate() -> None:
    rules = policy(per_minute=1, deny=("ClearCache",))
    assert "allowed" in rules.refusal("ClearCache", at(0))
    assert rules.refusal("Reset", at(1)) == ""
    assert "1 commands a minute" in rules.refusal("Reset", at(2))


def test_people_hear_of_it_once_a_minute_with_the_number() -> None:
    rules = policy(deny=("Reset",))
    told = [tell for second in range(0, 121, 5) for tell in rules.tell("Reset", "is not allowed", at(second))]
    assert len(told) == 3
    assert "other commands" not in told[0].text
    assert "11 other commands" in told[1].text
    assert rules.refused == 25


# -- through the session -----------------------------------------------------------------------------------


def connected(**commands: object) -> Playbook:
    play = Playbook(config(commands=commands))
    play.connect()
    return play


def test_a_denied_command_gets_the_action_s_own_no_and_does_not_reach_the_station() -> None:
    play = connected(deny=("Reset", "GetLog"))
    play.csms(2, "c-1", "Reset", {"type": "OnIdle"})
    assert play.up()[:2] == [3, "c-1"]
    assert play.up()[2]["status"] == "Rejected"
    assert play.sent_down == []
    assert any("Reset" in text for text in play.told())
    play.csms(2, "c-2", "ClearCache", {})
    assert play.down()[1] == "c-2"


def test_a_command_without_a_no_of_its_own_gets_an_error() -> None:
    play = connected(deny=("NewAction",))
    play.csms(2, "c-1", "NewAction", {})
    assert play.up()[:3] == [4, "c-1", "NotSupported"]


def test_a_storm_of_commands_is_cut_and_told_once() -> None:  # F31
    play = connected(per_minute=5)
    told = 0
    for number in range(50):
        play.csms(2, f"c-{number}", "UnlockConnector", {"evseId": 1, "connectorId": 1})
        told += len(play.told())
        assert len(play.sent_up) + len(play.sent_down) <= 1
    assert told == 1
    for number in range(4):
        play.station(3, f"c-{number}", {"status": "Unlocked"})
    play.wait(60)
    play.csms(2, "later", "ClearCache", {})
    assert play.down()[1] == "later"


def test_allowing_it_does_not_let_the_csms_move_the_station() -> None:
    play = connected(allow=("SetNetworkProfile", "SetChargingProfile"))
    play.csms(2, "c-1", "SetNetworkProfile", {"configurationSlot": 1, "connectionData": {}})
    assert play.up()[2]["status"] == "Rejected"
    assert play.sent_down == []


def test_a_denied_profile_call_is_refused_though_it_would_be_answered_here() -> None:
    play = connected(deny=("GetCompositeSchedule",))
    play.csms(2, "c-1", "GetCompositeSchedule", {"evseId": 1, "duration": 60})
    assert play.up()[2]["status"] == "Rejected"
