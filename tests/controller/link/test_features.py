"""What a station can do: asked once of 2.1 stations, overheard from all, kept over a restart, and never told upstream."""

from __future__ import annotations

import json
from typing import Any

import pytest

from controller.facts import FeaturesLearned, Restored
from controller.link.features import FEW, SPACE
from tests.support.playbook import BOOT, BOOT_16, Playbook, config
from tests.support.schemas import check_request

V21, V201, V16 = "ocpp2.1", "ocpp2.0.1", "ocpp1.6"
YES: dict[tuple[str, str, int], str] = {
    ("SmartChargingCtrlr", "RateUnit", 0): "A,W",
    ("SmartChargingCtrlr", "ProfileStackLevel", 0): "8",
    ("SmartChargingCtrlr", "SupportsDynamicProfiles", 0): "true",
    ("V2XChargingCtrlr", "Available", 2): "true",
    ("V2XChargingCtrlr", "SupportedOperationModes", 2): "ChargingOnly,CentralSetpoint",
    ("EVSE", "PhaseRotation", 1): "STR",
}


class Story:
    """One station and its CSMS; ``asked`` is the probe of this connection."""

    def __init__(self, version: str = V21, memories: dict[Any, Any] | None = None) -> None:
        self.play = Playbook(config(evses=2), version=version)
        self.learned: list[FeaturesLearned] = []
        if memories is not None:
            self.play.feed(Restored(self.play.at, memories, {}))
        self.asked: list[Any] = []
        self.boot()

    def boot(self) -> None:
        self.play.connect()
        self.play.open()
        self.play.station(2, f"b{self.play.mono_s}", "BootNotification", BOOT_16 if self.play.version == V16 else BOOT)
        frame = self.play.up()
        self.play.csms(3, frame[1], {"status": "Accepted", "currentTime": "2026-11-21T16:00:00Z", "interval": 300})
        self.hear()
        self.wait(3)

    def hear(self) -> None:
        self.learned += self.play.facts(FeaturesLearned)
        down = [json.loads(text) for text in self.play.sent_down]
        self.asked += [frame for frame in down if frame[0] == 2 and frame[2] == "GetVariables"]

    def wait(self, seconds: int) -> None:
        self.play.wait(seconds)
        self.hear()

    def answer(self, said: dict[tuple[str, str, int], str] | str) -> None:
        """The station answers the last question: what it says of itself, or the code of an error."""
        frame = self.asked[-1]
        if isinstance(said, str):
            self.play.station(4, frame[1], said, "", {})
        else:
            self.play.station(3, frame[1], {"getVariableResult": [answered(item, said) for item in frame[3]["getVariableData"]]})
        assert self.play.sent_up == [], "the answer to our own question ends here"
        self.hear()


def answered(item: dict[str, Any], said: dict[tuple[str, str, int], str]) -> dict[str, Any]:
    component, variable = item["component"], item["variable"]
    value = said.get((component["name"], variable["name"], component.get("evse", {}).get("id", 0)))
    told = {"attributeStatus": "UnknownVariable"} if value is None else {"attributeStatus": "Accepted", "attributeValue": value}
    return {**told, "component": component, "variable": variable}


def test_a_2_1_station_is_asked_once_and_its_answers_end_here() -> None:
    story = Story()
    (frame,) = story.asked
    check_request(frame[2], frame[3], V21)
    story.answer(YES)
    (fact,) = story.learned
    assert (fact.units, fact.max_stack_level, fact.dynamic, fact.max_offline) == (("A", "W"), 8, True, False)
    assert (fact.v2x, fact.modes, fact.rotation) == ((2,), ("CentralSetpoint", "ChargingOnly"), ((1, "STR"),))
    story.wait(60)
    assert len(story.asked) == 1
    assert story.play.links.sessions["CP1"].features.modes(2) == {"ChargingOnly", "CentralSetpoint"}
    assert story.play.links.sessions["CP1"].features.modes(1) == frozenset()


@pytest.mark.parametrize("version", [V16, V201])
def test_others_are_not_asked(version: str) -> None:
    assert Story(version).asked == []


def test_it_is_asked_again_after_a_boot_and_after_a_new_connection() -> None:
    story = Story()
    story.answer(YES)
    story.play.station(2, "again", "BootNotification", BOOT)
    story.play.csms(3, story.play.up()[1], {"status": "Accepted", "currentTime": "2026-11-21T16:00:00Z", "interval": 300})
    story.hear()
    story.wait(3)
    assert len(story.asked) == 2
    story.answer({})
    assert story.learned[-1].units == (), "it cannot any more"
    story.play.hang_up()
    story.boot()
    assert len(story.asked) == 3


@pytest.mark.parametrize("refusal", ["NotImplemented", "NotSupported", "InternalError"])
def test_a_station_that_does_not_say_cannot(refusal: str) -> None:
    story = Story()
    story.answer(refusal)
    (fact,) = story.learned
    assert fact == FeaturesLearned(fact.at, "CP1")


@pytest.mark.parametrize("payload", [{}, {"getVariableResult": 5}, {"getVariableResult": [None, "x", {"component": []}]}])
def test_garbage_announces_nothing(payload: dict[str, Any]) -> None:
    story = Story()
    story.play.station(3, story.asked[-1][1], payload)
    story.hear()
    assert [(fact.units, fact.v2x, fact.dynamic) for fact in story.learned] == [((), (), False)]


def test_a_station_that_takes_few_questions_gets_few_at_once() -> None:  # B06.FR.16
    story = Story()
    everything = story.asked[-1][3]["getVariableData"]
    story.answer("OccurrenceConstraintViolation")
    rest = []
    while len(rest) < len(everything):
        part = story.asked[-1][3]["getVariableData"]
        assert len(part) <= FEW
        rest += part
        story.answer(YES)
    assert rest == everything
    assert [fact.v2x for fact in story.learned] == [(2,)]


def test_one_that_takes_no_questions_at_all_announces_nothing() -> None:
    story = Story()
    story.answer("OccurrenceConstraintViolation")
    for _ in range(20):
        if story.learned:
            break
        story.answer("OccurrenceConstraintViolation")
    assert [fact.units for fact in story.learned] == [()]


def test_no_answer_leaves_what_was_known() -> None:
    story = Story(memories={(SPACE, "CP1"): [["units", 0, ["W"]]]})
    story.wait(40)
    assert [fact.units for fact in story.learned] == [("W",)]


def test_a_restart_knows_at_once_what_was_learned() -> None:
    story = Story()
    story.answer(YES)
    kept = json.loads(json.dumps(story.play.memories[SPACE, "CP1"]))
    after = Story(memories={(SPACE, "CP1"): kept})
    assert [(fact.units, fact.v2x, fact.modes) for fact in after.learned] == [(("A", "W"), (2,), ("CentralSetpoint", "ChargingOnly"))]
    after.answer(YES)
    assert len(after.learned) == 1, "nothing new"


@pytest.mark.parametrize("damage", [5, "x", [5], [["units"]], [["units", "x", 5]], [["nonsense", 0, 5]], [["modes", 2, {"a": 1}]], {"units": ["A"]}])
def test_a_damaged_memory_is_as_good_as_none(damage: Any) -> None:
    story = Story(memories={(SPACE, "CP1"): damage})
    story.answer(YES)
    assert story.learned[-1].units == ("A", "W")


# -- what goes by ---------------------------------------------------------------------------------------------


def heard(version: str, action: str, payload: dict[str, Any], result: dict[str, Any]) -> list[FeaturesLearned]:
    """A CALL of the CSMS and the station's answer to it."""
    story = Story(version)
    story.play.csms(2, "c", action, payload)
    assert story.play.down()[2] == action
    story.play.station(3, "c", result)
    assert story.play.up()[:2] == [3, "c"], "the CSMS has its answer"
    story.hear()
    return story.learned


def test_the_csms_asks_and_we_hear_it() -> None:
    item = {"component": {"name": "SmartChargingCtrlr"}, "variable": {"name": "RateUnit"}}
    result = {"getVariableResult": [{**item, "attributeStatus": "Accepted", "attributeValue": "W"}]}
    assert [fact.units for fact in heard(V201, "GetVariables", {"getVariableData": [item]}, result)] == [("W",)]
    keys = [
        {"key": "ConnectorPhaseRotation", "readonly": False, "value": "1.STR"},
        {"key": "ChargeProfileMaxStackLevel", "readonly": True, "value": "3"},
    ]
    (fact,) = heard(V16, "GetConfiguration", {}, {"configurationKey": keys})
    assert (fact.rotation, fact.max_stack_level) == (((1, "STR"),), 3)


def test_a_report_going_by_is_heard_and_kept() -> None:
    story = Story(V201)
    entry = {
        "component": {"name": "SmartChargingCtrlr"},
        "variable": {"name": "Entries", "instance": "ChargingProfiles"},
        "variableAttribute": [{"value": "0"}],
        "variableCharacteristics": {"dataType": "integer", "supportsMonitoring": False, "maxLimit": 4},
    }
    stranger = {"component": {"name": "EVSE", "evse": {"id": 77}}, "variable": {"name": "PhaseRotation"}, "variableAttribute": [{"value": "RST"}]}
    payload = {"requestId": 1, "seqNo": 0, "generatedAt": "2026-11-21T16:00:00Z", "reportData": [entry, stranger]}
    story.play.station(2, "r", "NotifyReport", payload)
    assert story.play.up()[2:] == ["NotifyReport", payload]
    story.hear()
    assert [(fact.max_profiles, fact.rotation) for fact in story.learned] == [(4, ())]
    assert story.play.memories[SPACE, "CP1"] == [["max_profiles", 0, 4]]
    story.play.station(2, "r2", "NotifyReport", payload)
    story.hear()
    assert len(story.learned) == 1, "nothing new"


def test_what_was_overheard_stays_after_our_own_question() -> None:
    story = Story(memories={(SPACE, "CP1"): [["max_profiles", 0, 4], ["units", 0, ["W"]]]})
    story.answer(YES)
    assert (story.learned[-1].max_profiles, story.learned[-1].units) == (4, ("A", "W"))


def test_one_yes_of_two_spellings_is_enough_and_a_later_no_counts() -> None:
    story = Story()
    story.answer({**YES, ("SmartChargingCtrlr", "SupportsFeature", 0): "false"})
    assert story.learned[-1].dynamic is True
    item = {"component": {"name": "SmartChargingCtrlr"}, "variable": {"name": "SupportsDynamicProfiles"}}
    story.play.csms(2, "c", "GetVariables", {"getVariableData": [item]})
    story.play.station(3, "c", {"getVariableResult": [{**item, "attributeStatus": "Accepted", "attributeValue": "false"}]})
    story.hear()
    assert story.learned[-1].dynamic is False


def test_a_controller_that_is_switched_off_offers_no_modes() -> None:
    story = Story()
    story.answer({**YES, ("V2XChargingCtrlr", "Enabled", 2): "false"})
    assert (story.learned[-1].v2x, story.learned[-1].modes) == ((), ())
