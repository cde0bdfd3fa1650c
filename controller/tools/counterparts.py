"""What Yardmaster itself said in a recording, to be matched with what the engine says in the replay.

Its CALLs bear other message ids each time. Where legs are translated, so do some ids inside: a transaction of a 1.6 charger gets a number
or an id of ours, and so does a request that the other version cannot do without. A frame of the recording and its counterpart
of the replay tell which id became which; what peers say later is given to the engine with its own ids.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Final

from controller.io.links.tap_reading import STATION
from controller.tools.transcript import Record

OURS: Final = ("ours", "translated")
"""What was done with a frame that Yardmaster made."""
ANSWERS: Final = ("RESULT", "ERROR")
NUMBERED: Final = frozenset({"transactionId", "requestId", "remoteStartId", "reservationId"})
"""Fields with numbers that Yardmaster may have given."""
_FRESH: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def head_of(text: str) -> tuple[int, str, Any]:
    """(message type, id, rest) of a recorded frame; type 0 if it cannot be read."""
    try:
        frame = json.loads(text)
        number, message_id = frame[0], frame[1]
    except (ValueError, LookupError, TypeError):
        return 0, "", None
    return (number, message_id, frame[2:]) if isinstance(number, int) and isinstance(message_id, str) else (0, "", None)


def with_id(text: str, message_id: str) -> str:
    """A recorded answer with another id; the very text if it is the same."""
    number, recorded, rest = head_of(text)
    if recorded == message_id or not number:
        return text
    return json.dumps([number, message_id, *rest], separators=(",", ":"), ensure_ascii=False)


def is_incoming(record: Record) -> bool:
    """Whether a record came from a peer, and not from Yardmaster."""
    return bool((record["leg"] == STATION) == (record["way"] == "up"))


def same_but_ids(value: Any) -> Any:
    """A payload with every id that may be ours left blank, to be compared."""
    if isinstance(value, dict):
        return {key: "#" if _may_be_ours(key, item) else same_but_ids(item) for key, item in value.items()}
    if isinstance(value, list):
        return [same_but_ids(item) for item in value]
    return "#" if _may_be_ours("", value) else value


def _may_be_ours(key: str, value: Any) -> bool:
    if isinstance(value, str):
        return _FRESH.fullmatch(value) is not None or (key in NUMBERED and value != "")
    return key in NUMBERED and isinstance(value, int) and not isinstance(value, bool)


class Aliases:
    """Ids of the recording -> ids of the replay."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, Any], Any] = {}

    def learn(self, then: Any, now: Any, key: str = "") -> None:
        """Two payloads that stand for each other."""
        if isinstance(then, dict) and isinstance(now, dict):
            for name in then.keys() & now.keys():
                self.learn(then[name], now[name], name)
        elif isinstance(then, list) and isinstance(now, list):
            for one, other in zip(then, now, strict=False):
                self.learn(one, other, key)
        elif then != now and _may_be_ours(key, then) and _may_be_ours(key, now):
            self._known[_kind(key, then), then] = now

    def apply(self, text: str) -> str:
        """A peer's frame with the ids of the replay; the very text where none of ours is in it."""
        if not self._known:
            return text
        number, message_id, rest = head_of(text)
        changed = self._changed(rest, "") if number else rest
        return text if changed == rest else json.dumps([number, message_id, *changed], separators=(",", ":"), ensure_ascii=False)

    def _changed(self, value: Any, key: str) -> Any:
        if isinstance(value, dict):
            return {name: self._changed(item, name) for name, item in value.items()}
        if isinstance(value, list):
            return [self._changed(item, key) for item in value]
        return self._known.get((_kind(key, value), value), value) if _may_be_ours(key, value) else value


def _kind(key: str, value: Any) -> str:
    return key if isinstance(value, int) else "text"


class Counterparts:
    """Yardmaster's own words in the recording."""

    def __init__(self, records: Sequence[Record]) -> None:
        self._open: dict[tuple[str, str, str], list[tuple[str, Any]]] = defaultdict(list)
        self._stand_ins: dict[tuple[str, str, str], str] = {}
        self._answered: dict[tuple[str, str, str], list[Any]] = defaultdict(list)
        for record in records:
            self._note(record)

    def _note(self, record: Record) -> None:
        station_id, leg, action = record["station"], record["leg"], str(record.get("action", ""))
        _, message_id, rest = head_of(record["text"])
        if is_incoming(record):
            if record["kind"] in ANSWERS and action:
                self._stand_ins[station_id, leg, action] = record["text"]
        elif record["kind"] in ("CALL", "SEND") and record.get("did") in OURS:
            self._open[station_id, leg, action].append((message_id, rest))
        elif record["kind"] in ANSWERS and record.get("did") in ("answered", "translated"):
            self._answered[station_id, leg, message_id].append(rest)

    def match(self, station_id: str, leg: str, rest: Any) -> tuple[str, Any] | None:
        """(id, rest) of a recorded CALL that stands for this one, and is used up; None if there is none."""
        candidates = self._open[station_id, leg, str(rest[0])]
        blank = same_but_ids(rest)
        found = next((item for item in candidates if item[1] == rest), None)
        found = found or next((item for item in candidates if same_but_ids(item[1]) == blank), candidates[0] if candidates else None)
        if found is not None:
            candidates.remove(found)
        return found

    def answer(self, station_id: str, leg: str, message_id: str) -> Any:
        """What a peer's CALL was answered with in the recording, used up; None if it was not."""
        answers = self._answered.get((station_id, leg, message_id))
        return answers.pop(0) if answers else None

    def stand_in(self, station_id: str, leg: str, action: str) -> str | None:
        """An answer to such a CALL."""
        return self._stand_ins.get((station_id, leg, action))
