"""What one station says it can do with charging profiles: asked of 2.1 stations, overheard from all others.

A 2.1 station is asked once after each boot and each connection, when nothing else is to be said to it; its
answers end here. Of the rest is taken what the CSMS asks for itself: GetVariables, reports, GetConfiguration. What a
station never said, or said so that nobody can read it, it cannot do. Kept in the journal: after a restart it is known
at once. The answer to a question overrules what was known; no answer at all leaves it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

from controller.facts import Fact, FeaturesLearned, Stamp
from controller.link.lane import Priority
from controller.link.own_profiles import Answer, Asker
from controller.ocpp import rpc
from controller.ocpp.dialect import Dialect, Feature
from controller.orders import Order, Persist

Outcome = Order | Fact
SPACE: Final = "features"
ALL_AT_ONCE: Final = 500
FEW: Final = 4
"""So many questions at once when a station says that all are too many (B06.FR.16/17)."""
TOO_MANY: Final = ("OccurrenceConstraintViolation", "OccurenceConstraintViolation", "FormatViolation", "FormationViolation")
_ASKED: Final = frozenset({"units", "max_stack_level", "phase_switching", "dynamic", "max_offline", "v2x", "v2x_enabled", "modes", "rotation"})
_OVERHEARD: Final = frozenset({"max_profiles", "input_phases"})
Key = tuple[str, int]


class Features:
    """One station's. evse_ids: those configured; what a station says of others is not kept."""

    __slots__ = ("_answers", "_ask", "_evse_ids", "_known", "_left", "_round", "_station_id", "_told", "_wanted")

    def __init__(self, station_id: str, evse_ids: Iterable[int], ask: Asker) -> None:
        self._station_id = station_id
        self._evse_ids = tuple(evse_ids)
        self._ask = ask
        self._known: dict[Key, Any] = {}
        self._told: FeaturesLearned | None = None
        self._wanted = True
        self._round = 0
        self._left = 0
        self._answers: list[Feature] = []

    # -- the journal's side ------------------------------------------------------------------------------

    def load(self, data: Any) -> None:
        """What ``_persist`` gave; anything else is as good as nothing."""
        for entry in data if isinstance(data, list) else []:
            if isinstance(entry, list | tuple) and len(entry) == 3 and isinstance(entry[0], str) and isinstance(entry[1], int):
                value = tuple(entry[2]) if isinstance(entry[2], list) else entry[2]
                self._keep(self._known, Feature(entry[0], value, entry[1]))

    def _persist(self) -> Persist:
        entries = [[name, evse_id, list(value) if isinstance(value, tuple) else value] for (name, evse_id), value in sorted(self._known.items())]
        return Persist(0, remember={(SPACE, self._station_id): entries})

    # -- life --------------------------------------------------------------------------------------------

    def ask_again(self) -> None:
        """A new connection, or a boot: what the station can do may have changed."""
        self._wanted = True
        self._round += 1
        self._left = 0

    def online(self, at: Stamp) -> list[Outcome]:
        """The station takes commands: the site hears what is known of it."""
        self._told = None
        return self._tell(at) if self._known else []

    def tick(self, at: Stamp, dialect: Dialect) -> list[Outcome]:
        """The station is online and nobody speaks to it: ask, if it is due."""
        if not self._wanted:
            return []
        self._wanted = False
        return self._begin(at, dialect, ALL_AT_ONCE)

    # -- questions ------------------------------------------------------------------------------------------

    def _begin(self, at: Stamp, dialect: Dialect, most: int) -> list[Outcome]:
        calls = dialect.ask_features(self._evse_ids, most)
        self._left, self._answers = len(calls), []
        asked, outcomes = self._round, list[Outcome]()
        for action, payload in calls:

            def done(at: Stamp, answer: Answer, action: str = action, payload: dict[str, Any] = payload) -> list[Outcome]:
                return self._answered(at, dialect, (action, payload, most), answer) if asked == self._round else []

            outcomes += self._ask(at, action, payload, done, Priority.HOUSEKEEPING)
        return outcomes

    def _answered(self, at: Stamp, dialect: Dialect, asked: tuple[str, dict[str, Any], int], answer: Answer) -> list[Outcome]:
        action, payload, most = asked
        if answer is None:
            self._round += 1  # nobody knows: what was known stays, and the other answers do not count without this one
            return []
        if isinstance(answer, rpc.Error) and answer.code in TOO_MANY and most > FEW:
            return self._begin(at, dialect, FEW)
        self._left -= 1
        if isinstance(answer, rpc.Result):
            self._answers += dialect.features(action, payload, answer.payload)
        return self._finish(at) if self._left == 0 else []

    def _finish(self, at: Stamp) -> list[Outcome]:
        known = {key: value for key, value in self._known.items() if key[0] not in _ASKED}
        for feature in self._answers:
            self._keep(known, feature)
        return self._learn(at, known, first=self._told is None)

    # -- what goes by -----------------------------------------------------------------------------------------

    def heard(self, at: Stamp, dialect: Dialect, action: str, request: dict[str, Any], result: dict[str, Any]) -> list[Outcome]:
        """An exchange between CSMS and station has gone by. result: {} for a CALL of the station."""
        found = dialect.features(action, request, result)
        if not found:
            return []
        known = dict(self._known)
        for feature in found:
            self._keep(known, feature, anew=True)
        return self._learn(at, known, first=False)

    def _keep(self, known: dict[Key, Any], feature: Feature, anew: bool = False) -> None:
        """Two spellings of one variable may both be answered: one yes is enough."""
        name, evse_id, value = feature.name, feature.evse_id, feature.value
        if name not in _ASKED | _OVERHEARD or evse_id not in (0, *self._evse_ids) or not isinstance(value, bool | int | str | tuple):
            return
        before = known.get((name, evse_id))
        known[name, evse_id] = value or before if isinstance(value, bool) and isinstance(before, bool) and not anew else value

    def _learn(self, at: Stamp, known: dict[Key, Any], first: bool) -> list[Outcome]:
        if known == self._known and not first:
            return []
        news, self._known = known != self._known, known
        return [*self._tell(at), *([self._persist()] if news else [])]

    def _tell(self, at: Stamp) -> list[Outcome]:
        fact = self.fact(at)
        if self._told is not None and replace(self._told, at=at) == fact:
            return []
        self._told = fact
        return [fact]

    # -- what is known -----------------------------------------------------------------------------------------

    def modes(self, evse_id: int) -> frozenset[str]:
        """Operation modes an EVSE has announced; none unless its V2X controller is available and not switched off."""
        if not self._of(evse_id, "v2x", False) or not self._of(evse_id, "v2x_enabled", True):
            return frozenset()
        found = self._of(evse_id, "modes", ())
        return frozenset(mode for mode in found if isinstance(mode, str)) if isinstance(found, tuple) else frozenset()

    def input_phases(self, evse_id: int) -> bool:
        """Whether a DC EVSE controls the phases of its input (K01.FR.54)."""
        return self._of(evse_id, "input_phases", False) is True

    def _of(self, evse_id: int, name: str, otherwise: Any) -> Any:
        """What is said of an EVSE, else of the whole station."""
        return self._known.get((name, evse_id), self._known.get((name, 0), otherwise))

    def fact(self, at: Stamp) -> FeaturesLearned:
        """All of it. modes: those that every EVSE with a V2X controller has."""
        v2x = tuple(evse_id for evse_id in self._evse_ids if self.modes(evse_id))
        common = frozenset.intersection(*(self.modes(evse_id) for evse_id in v2x)) if v2x else frozenset()
        rotation = {evse_id: self._known.get(("rotation", evse_id)) for evse_id in self._evse_ids}
        return FeaturesLearned(
            at,
            self._station_id,
            _words(self._known.get(("units", 0))),
            tuple(sorted(common)),
            self._known.get(("dynamic", 0)) is True,
            self._known.get(("max_offline", 0)) is True,
            any(self._known.get(("phase_switching", evse_id)) is True for evse_id in (0, *self._evse_ids)),
            _number(self._known, "max_stack_level"),
            _number(self._known, "max_profiles"),
            tuple((evse_id, text) for evse_id, text in rotation.items() if isinstance(text, str)),
            v2x,
        )


def _words(value: Any) -> tuple[str, ...]:
    return tuple(word for word in value if isinstance(word, str)) if isinstance(value, tuple) else ()


def _number(known: Mapping[Key, Any], name: str) -> int | None:
    value = known.get((name, 0))
    return value if isinstance(value, int) and not isinstance(value, bool) else None
