"""Many items for several chargers, in as many messages as it takes: their limits are respected, one bad item does not spoil the rest.

``ask_chargers`` gives one answer per item, in the order of the items, whatever the chargers do: one that answers in another order is
sorted out by names, one that finds a message too long is asked again with half of it, one that stays silent answers for nothing. All
are asked at the same time; the messages to one charger follow each other.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from controller.facts import Stamp
from controller.link.depot.addresses import Name, name_of, size_of
from controller.ocpp.hub import NO_ANSWER, Ask, AskAll, Failed, Reply, Step

Payload = dict[str, Any]
Answer = Payload | Failed
Answers = Generator[Step, "Reply | None", dict[str, list[Answer]]]

USUAL_ITEMS: Final = 20
"""In one message to a charger that has not said how many it takes."""
USUAL_BYTES: Final = 8_000
TOO_MUCH: Final = frozenset({"OccurrenceConstraintViolation", "OccurenceConstraintViolation", "FormatViolation", "FormationViolation"})


@dataclass(frozen=True, slots=True)
class Question:
    """A kind of message with items. request, result: names of its lists. items, size: the charger's limits, None = it has not said."""

    action: str
    request: str
    result: str
    items: int | None = None
    size: int | None = None


class _Part(NamedTuple):
    station_id: str
    question: Question
    first: int
    items: list[Payload]


def ask_chargers(now: Callable[[], Stamp], batches: Mapping[str, tuple[Question, Sequence[Payload]]], within_s: float) -> Answers:
    """Station id -> one answer per item; Failed for what it has not answered in time."""
    until_s = now().mono_s + within_s
    answers: dict[str, list[Answer]] = {station_id: [NO_ANSWER] * len(items) for station_id, (_, items) in batches.items()}
    todo = [part for station_id, (question, items) in batches.items() for part in _parts_of(station_id, question, items)]
    while todo and (left_s := until_s - now().mono_s) > 0:
        step = AskAll(tuple(Ask(part.question.action, {part.question.request: part.items}, to=part.station_id) for part in todo), left_s)
        yield step
        again: list[_Part] = []
        for part, reply in zip(todo, step.replies, strict=True):
            if isinstance(reply, Failed) and reply.code in TOO_MUCH and len(part.items) > 1:
                again += _halves(part)
            else:
                given = [reply] * len(part.items) if isinstance(reply, Failed) else _matched(part.items, reply.payload.get(part.question.result))
                answers[part.station_id][part.first : part.first + len(part.items)] = given
        todo = again
    return answers


def _parts_of(station_id: str, question: Question, items: Sequence[Payload]) -> list[_Part]:
    found: list[_Part] = []
    first = 0
    for group in parts(items, question.items or USUAL_ITEMS, question.size or USUAL_BYTES):
        found.append(_Part(station_id, question, first, group))
        first += len(group)
    return found


def _halves(part: _Part) -> list[_Part]:
    half = len(part.items) // 2
    return [part._replace(items=part.items[:half]), part._replace(first=part.first + half, items=part.items[half:])]


def parts(items: Sequence[Payload], most: int, most_bytes: int) -> list[list[Payload]]:
    """Items in groups, in order, none larger than allowed; an item that is too large by itself goes alone."""
    groups: list[list[Payload]] = []
    size = 0
    for item in items:
        length = size_of(item) + 1
        if not groups or len(groups[-1]) >= most or size + length > most_bytes:
            groups.append([])
            size = 0
        groups[-1].append(item)
        size += length
    return groups


def _matched(asked: Sequence[Payload], results: Any) -> list[Answer]:
    """Results in the order asked. By place where the names agree, else by name; what is missing is Failed."""
    given = [one for one in results if isinstance(one, dict)] if isinstance(results, list) else []
    if len(given) == len(asked) and all(_key(one) == _key(item) for one, item in zip(given, asked, strict=True)):
        return list(given)
    left: dict[tuple[Name, str], list[Payload]] = {}
    for one in given:
        left.setdefault(_key(one), []).append(one)
    missing = Failed("PropertyConstraintViolation", "the charger has not answered this item")
    return [left[_key(item)].pop(0) if left.get(_key(item)) else missing for item in asked]


def _key(item: Payload) -> tuple[Name, str]:
    component, variable = item.get("component"), item.get("variable")
    name = name_of(component if isinstance(component, dict) else {}, variable if isinstance(variable, dict) else {})
    return name, str(item.get("attributeType") or item.get("type") or "Actual")
