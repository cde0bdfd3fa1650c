"""Parts of the depot face on a real desk, with real ``Talks``, in virtual time: the test plays the CSMS, the chargers, the disk.

Every message is judged by the schemas of 2.1, in both directions. ``csms_says`` and ``Charger.says`` are answers by action: a
payload, a Failed or a function; without one a charger answers NotSupported and the CSMS {}. ``again()`` is the desk after a
crash, with nothing but what was on disk.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from controller.config import Config
from controller.facts import EvseKey, Fact, Stamp
from controller.link.depot.numbering import Numbering
from controller.link.depot.office import Card, Office, Part
from controller.link.talks import Outcome, Talks, Then
from controller.ocpp.hub import HUB, NO_ANSWER, Ask, Failed, Memory, Message, Post, Reply, Said
from controller.ocpp.times import wall_time
from tests.support.shapes import SHAPES

Payload = dict[str, Any]
Says = Payload | Failed | Callable[[Payload], Payload | Failed]
NOON_WALL_S = wall_time("2026-11-21T12:00:00.000Z") or 0.0
V21 = "ocpp2.1"


def depot_site(stations: Sequence[str] = ("CP1", "CP2"), evses: int = 1, model: str = "generic", **depot: Any) -> Config:
    """A site with circuit "hall" for all but the first charger. depot: fields of ``upstreams.depot``."""
    return Config.model_validate(
        {
            "site": {"id": "test"},
            "grid": {"fuse_a": 250, "worst_other_load_a": 10},
            "circuits": [{"id": "hall", "fuse_a": 100}],
            "upstreams": [{"id": "csms", "url": "ws://127.0.0.1:1/ocpp", "face": "depot", "identity": "DEPOT", "depot": depot}],
            "stations": [
                {
                    "id": station,
                    "model": model,
                    "circuit": "hall" if index else "grid",
                    "evses": [{"id": number, "max_current_a": 32} for number in range(1, evses + 1)],
                }
                for index, station in enumerate(stations)
            ],
        }
    )


@dataclass
class Charger:
    """A charger that is played. player: who plays it, if it says more than answers; it follows to the desk after a crash."""

    says: dict[str, Says] = field(default_factory=dict)
    heard: list[tuple[str, Payload]] = field(default_factory=list)
    player: Any = None

    def asked(self, action: str) -> list[Payload]:
        """The payloads of all requests of a kind."""
        return [payload for name, payload in self.heard if name == action]


class Desk:
    """Parts at work. makers: of the parts; kept: what is on the disk."""

    def __init__(self, makers: Sequence[Callable[[Office], Part]], config: Config | None = None, kept: dict[str, Any] | None = None) -> None:
        self.makers, self.config = tuple(makers), config or depot_site()
        self.kept: dict[str, Any] = {"number": 1000, "memory": {}} if kept is None else kept
        self.at = Stamp(5000.0, NOON_WALL_S)
        self.memory = Memory(dict(self.kept["memory"]))
        numbering = Numbering(self.memory)
        numbering.settle(EvseKey(station.id, evse.id) for station in self.config.stations for evse in station.evses)
        upstream = self.config.upstreams[0]
        self.office = Office(
            "DEPOT", self.config, upstream, self.memory, numbering, SHAPES, lambda: f"id-{self._number()}", self._number, lambda: self.at
        )
        self.office.csms_version, self.office.accepted = V21, True
        self.office.cards = {
            station.id: Card(station.id, station, linked=True, online=True, version=V21, states={(evse.id, 1): "Available" for evse in station.evses})
            for station in self.config.stations
        }
        self.parts = [make(self.office) for make in self.makers]
        self.talks = Talks("DEPOT")
        self.chargers = {station.id: Charger() for station in self.config.stations}
        self.csms_says: dict[str, Says] = {}
        self.up: list[tuple[str, Payload]] = []
        self.said_before: list[tuple[str, Payload]] = []  # what had gone up when the last command was answered
        self.outcomes: list[Outcome] = []
        self.later: list[Callable[[], None]] = []
        self._keep()

    def again(self) -> Desk:
        """After a crash; the chargers and the CSMS are the same."""
        desk = Desk(self.makers, self.config, self.kept)
        desk.chargers, desk.csms_says, desk.at = self.chargers, self.csms_says, replace(self.at, mono_s=9000.0)
        for charger in desk.chargers.values():
            if charger.player is not None:
                charger.player.desk = desk
        return desk

    def _number(self) -> int:
        self.kept["number"] += 1
        return int(self.kept["number"])

    # -- the port of Talks ---------------------------------------------------------------------------------

    def ask(self, at: Stamp, step: Ask, then: Then) -> list[Outcome]:
        """A part asks."""
        return then(at, self._sent(step.to, step.action, step.payload))

    def post(self, at: Stamp, step: Post) -> list[Outcome]:
        """A part says."""
        self._sent(step.to, step.action, step.payload)
        return []

    def keep(self, at: Stamp, then: Then) -> list[Outcome]:
        """The disk takes everything."""
        self._keep()
        return then(at, Said({}))

    def _keep(self) -> None:
        for key, value in self.memory.changes().items():
            if value is None:
                self.kept["memory"].pop(key, None)
            else:
                self.kept["memory"][key] = value

    def _sent(self, to: str, action: str, payload: Payload) -> Reply:
        wrong = SHAPES.check(V21, action, False, payload)
        assert wrong == "", f"{action} to {to}: {wrong}: {payload}"
        if to == HUB:
            if not self.office.accepted:
                return NO_ANSWER
            self.up.append((action, payload))
            return _reply(self.csms_says.get(action, {}), action, payload)
        if not self.office.cards[to].linked:
            return NO_ANSWER
        self.chargers[to].heard.append((action, payload))
        return _reply(self.chargers[to].says.get(action, Failed("NotSupported")), action, payload)

    # -- what happens -----------------------------------------------------------------------------------------

    def csms(self, action: str, payload: Payload, seconds: int = 0) -> Reply:
        """The CSMS asks; seconds: let so many pass for the answer. Its request and our answer are judged."""
        assert SHAPES.check(V21, action, False, payload) == "", SHAPES.check(V21, action, False, payload)
        handler = next(part.of_csms()[action] for part in self.parts if action in part.of_csms())
        replies: list[Reply] = []
        self.outcomes += self.talks.begin(self.at, handler(Message(action, payload)), self, _into(replies))
        self.said_before = list(self.up)
        self._follow()
        self.seconds(seconds)
        assert replies, f"{action} was not answered"
        if isinstance(replies[0], Said):
            wrong = SHAPES.check(V21, action, True, replies[0].payload)
            assert wrong == "", f"answer to {action}: {wrong}"
        return replies[0]

    def answer(self, action: str, payload: Payload, seconds: int = 0) -> Payload:
        """The same, for what must be answered."""
        reply = self.csms(action, payload, seconds)
        assert isinstance(reply, Said), reply
        return reply.payload

    def station(self, station_id: str, action: str, payload: Payload) -> Reply:
        """A charger says something."""
        assert SHAPES.check(V21, action, False, payload) == "", SHAPES.check(V21, action, False, payload)
        handler = next(part.of_station()[action] for part in self.parts if action in part.of_station())
        replies: list[Reply] = []
        self.outcomes += self.talks.begin(self.at, handler(station_id, Message(action, payload)), self, _into(replies))
        assert replies, f"{action} was not answered"
        return replies[0]

    def told(self, fact: Fact) -> None:
        """A shell reports."""
        for part in self.parts:
            self.outcomes += self.talks.spawn(self.at, part.told(fact), self)

    def changed(self, station_id: str, **card: Any) -> None:
        """A card changes."""
        for name, value in card.items():
            setattr(self.office.cards[station_id], name, value)
        for part in self.parts:
            self.outcomes += self.talks.spawn(self.at, part.station_changed(self.office.cards[station_id]), self)

    def seconds(self, count: int) -> None:
        """Time passes, second by second."""
        for _ in range(count):
            self.at = Stamp(self.at.mono_s + 1, self.at.wall_s + 1)
            todo, self.later = self.later, []
            for act in todo:
                act()
            self.outcomes += self.talks.tick(self.at)
            for part in self.parts:
                self.outcomes += self.talks.spawn(self.at, part.tick(), self)
            self._follow()

    def _follow(self) -> None:
        """What an answered command has left to do."""
        talks, self.office.afterwards = self.office.afterwards, []
        self.outcomes += self.talks.spawn(self.at, talks, self)

    # -- reading it ----------------------------------------------------------------------------------------------

    def heard(self, action: str) -> list[Payload]:
        """What the CSMS has heard of a kind, and forgets."""
        found = [payload for name, payload in self.up if name == action]
        self.up = [item for item in self.up if item[0] != action]
        return found

    def ordered(self, kind: type) -> list[Any]:
        """Orders of a kind so far, and forgets them."""
        found = [one for one in self.outcomes if isinstance(one, kind)]
        self.outcomes = [one for one in self.outcomes if not isinstance(one, kind)]
        return found


def _into(replies: list[Reply]) -> Then:
    def then(at: Stamp, reply: Reply) -> list[Outcome]:
        replies.append(reply)
        return []

    return then


def _reply(says: Says, action: str, payload: Payload) -> Reply:
    found = says(payload) if callable(says) else says
    if isinstance(found, Failed):
        return found
    assert SHAPES.check(V21, action, True, found) == "", f"the test's own answer to {action}: {SHAPES.check(V21, action, True, found)}"
    return Said(found)
