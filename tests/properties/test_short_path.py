"""The short way of the normal case is only shorter: with and without it a station's story gives the same orders and facts."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from controller.facts import EvseKey, Fact
from controller.link.lane import Lane, Priority, Waiting
from controller.link.running import Running
from controller.ocpp.ledger import Owner
from controller.orders import Inject, Order
from tests.support.playbook import BOOT, BOOT_16, Playbook, config, event, start_16, stop_16, values_16

STEPS = 150
ACCEPTED = {"status": "Accepted", "interval": 300, "currentTime": "2026-11-21T16:00:00Z"}
PROFILE = {
    "id": 9,
    "stackLevel": 1,
    "chargingProfilePurpose": "TxProfile",
    "chargingProfileKind": "Relative",
    "chargingSchedule": [{"id": 9, "chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 10.0}]}],
}
Outcomes = list[list[Order | Fact]]


class Story:
    """One station, its CSMS and the disk, each doing what the dice say."""

    def __init__(self, seed: int, version: str) -> None:
        self.dice = random.Random(f"{seed} {version}")
        self.version = version
        self.play = Playbook(config(evses=2), version=version)
        self.asked: list[str] = []
        self.said: list[list[Any]] = []
        self.number = 0
        self.seen: Outcomes = []

    def run(self) -> Outcomes:
        """All that came out."""
        self.note(self.play.connect())
        self.say("BootNotification", BOOT_16 if self.version == "ocpp1.6" else BOOT)
        self.note(self.play.csms(3, self.asked.pop(), ACCEPTED))
        moves = [self.call] * 8 + [self.answer] * 8 + [self.again, self.tick, self.carry, self.command, self.obey, self.obey, self.gone, self.disk]
        for _ in range(STEPS):
            self.dice.choice(moves)()
        return self.seen

    def note(self, outcomes: list[Order | Fact]) -> None:
        self.seen.append(outcomes)
        self.asked += [json.loads(text)[1] for text in self.play.sent_up if json.loads(text)[0] == 2]

    def say(self, action: str, payload: dict[str, Any]) -> None:
        self.number += 1
        self.said.append([2, f"s{self.number}", action, payload])
        self.note(self.play.station(*self.said[-1]))

    def call(self) -> None:
        self.say(*self.dice.choice([self.message_16, self.message_2])() if self.version == "ocpp1.6" else self.message_2())

    def message_16(self) -> tuple[str, dict[str, Any]]:
        place, number = self.dice.choice([1, 2]), self.dice.choice([7, 8, 9])
        action = self.dice.choice(["StartTransaction", "StopTransaction", "MeterValues"])
        if action == "StartTransaction":
            return action, start_16(place, meter_wh=self.number)
        return action, stop_16(number) if action == "StopTransaction" else values_16(self.dice.choice([number, None]), str(self.number), place)

    def message_2(self) -> tuple[str, dict[str, Any]]:
        action = self.dice.choice(["Heartbeat", "StatusNotification", *["TransactionEvent"] * 6])
        if action == "Heartbeat" or self.version == "ocpp1.6":
            return "Heartbeat", {}
        if action == "StatusNotification":
            return action, {"timestamp": "2026-11-21T16:00:00Z", "connectorStatus": "Occupied", "evseId": 1, "connectorId": 1}
        kind = self.dice.choice(["Started", "Updated", "Updated", "Updated", "Ended"])
        more: dict[str, Any] = {"evse": {"id": self.dice.choice([1, 2]), "connectorId": 1}} if self.dice.random() < 0.7 else {}
        if self.dice.random() < 0.2:
            more["offline"] = True
        values = [{"value": float(self.number), "measurand": "Current.Import"}]
        payload = event(kind, self.number, self.dice.choice(["tx-1", "tx-2", "tx-3"]), **more, meterValue=[{"sampledValue": values}])
        if self.dice.random() < 0.2:
            payload["transactionInfo"]["remoteStartId"] = 5
        return action, payload

    def answer(self) -> None:
        if not self.asked:
            return
        message_id = self.asked.pop(self.dice.randrange(len(self.asked)))
        if self.dice.random() < 0.15:
            self.note(self.play.csms(4, message_id, "InternalError", "", {}))
        else:
            named = {**ACCEPTED, "transactionId": self.dice.choice([7, 8, 9]), "idTagInfo": {}}
            self.note(self.play.csms(3, message_id, self.dice.choice([{}, named])))

    def again(self) -> None:
        if self.said:
            frame = self.dice.choice(self.said[-5:])
            self.number += 1
            self.note(self.play.station(*(frame if self.dice.random() < 0.5 else [2, f"s{self.number}", *frame[2:]])))

    def tick(self) -> None:
        self.note(self.play.wait(self.dice.choice([1, 1, 1, 5, 40])))

    def carry(self) -> None:
        self.number += 1
        self.note(self.play.carry(Inject(EvseKey("CP1", 1), self.number, 16.0, 3, 120.0, "plan")))

    def command(self) -> None:
        self.number += 1
        if self.version == "ocpp1.6":
            self.note(self.play.csms(2, f"c{self.number}", "RemoteStartTransaction", {"idTag": "A", "connectorId": 1}))
        else:
            start = {"remoteStartId": 5, "idToken": {"idToken": "A", "type": "Central"}, "evseId": 1}
            self.note(self.play.csms(2, f"c{self.number}", "RequestStartTransaction", {**start, "chargingProfile": PROFILE}))

    def obey(self) -> None:
        calls = [frame for outcomes in self.seen[-6:] for text in texts_down(outcomes) if (frame := json.loads(text))[0] == 2]
        if calls:
            self.note(self.play.station(3, self.dice.choice(calls)[1], {"status": "Accepted"}))

    def gone(self) -> None:
        self.asked.clear()
        if self.dice.random() < 0.5:
            self.note(self.play.close())
            self.note(self.play.wait(30))
            self.note(self.play.open())
        else:
            self.note(self.play.hang_up())
            self.note(self.play.connect())

    def disk(self) -> None:
        self.play.disk = self.dice.choice([True, True, False])


def texts_down(outcomes: list[Order | Fact]) -> list[str]:
    return [outcome.text for outcome in outcomes if type(outcome).__name__ == "SendStation"]  # type: ignore[union-attr]


@pytest.mark.parametrize("version", ["ocpp1.6", "ocpp2.0.1", "ocpp2.1"])
def test_a_story_is_the_same_the_long_way_round(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    short = [Story(seed, version).run() for seed in range(25)]
    relayed = sum(type(outcome).__name__ == "SendUpstream" for story in short for outcomes in story for outcome in outcomes)
    assert relayed > 300, "the stories are about nothing"
    monkeypatch.setattr(Lane, "go", lambda _lane, _item: False)
    monkeypatch.setattr(Running, "_is_routine", lambda _running, _place, _event: False)
    for seed, expected in enumerate(short):
        assert Story(seed, version).run() == expected, f"seed {seed}"


def test_go_is_offer_and_take_in_one() -> None:
    dice = random.Random(1)
    one, two = Lane(30.0), Lane(30.0)
    for number in range(2000):
        now = float(number)
        item = Waiting(f"m{dice.randrange(40)}", "A", "text", dice.choice(list(Owner)), dice.choice(list(Priority)), now)
        kind = dice.choice(["send", "offer", "settle", "settle", "settle", "overdue"])
        if kind == "send":
            went = [item] if one.go(item) else [one.offer(item), one.take(now)]
            offered, taken = two.offer(item), two.take(now)
            assert went in ([taken], [offered, taken])
        elif kind == "offer":
            assert one.offer(item) == two.offer(item)
        elif kind == "settle":
            message_id = next((known.message_id for known in one.unanswered()), "")
            assert one.settle(message_id) == two.settle(message_id)
        else:
            assert one.overdue(now + 40.0) == two.overdue(now + 40.0)
        if dice.random() < 0.5:
            assert one.take(now) == two.take(now)
        assert one.unanswered() == two.unanswered()
