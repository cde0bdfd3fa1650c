"""Many items for one charger, in as many messages as it takes: its limits are respected, one bad item does not spoil the rest.

``ask_in_parts`` gives one answer per item, in the order of the items, whatever the charger does: a station that answers in another order is
sorted out by names, one that finds a message too long is asked again with half of it, one that stays silent answers for nothing.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from controller.link.depot.addresses import Name, name_of, size_of
from controller.ocpp.hub import NO_ANSWER, Ask, Failed, Reply, Step

Payload = dict[str, Any]
Answers = Generator[Step, "Reply | None", "list[Payload | Failed]"]

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


def ask_in_parts(station_id: str, question: Question, items: Sequence[Payload]) -> Answers:
    """One answer per item; Failed for what the charger has not answered."""
    answers: list[Payload | Failed] = []
    todo = parts(items, question.items or USUAL_ITEMS, question.size or USUAL_BYTES)
    while todo:
        part = todo.pop(0)
        reply = yield Ask(question.action, {question.request: list(part)}, to=station_id)
        if isinstance(reply, Failed) and reply.code in TOO_MUCH and len(part) > 1:
            half = len(part) // 2
            todo = [part[:half], part[half:], *todo]
        elif isinstance(reply, Failed) or reply is None:
            answers += [reply or NO_ANSWER] * len(part)
        else:
            answers += _matched(part, reply.payload.get(question.result))
    return answers


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


def _matched(asked: Sequence[Payload], results: Any) -> list[Payload | Failed]:
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
