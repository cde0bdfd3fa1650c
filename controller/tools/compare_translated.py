"""Translated legs, compared: what went on in other words, in the recording and in its replay.

No text goes through such a leg, so messages are counted: of each kind as many must go on as then, with the same content but for ids that are
given anew. States, values and questions that depend on the moment are told if they differ; anything else that is missing is a loss, and so is
a transaction message that now says other energy.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from controller.tools.counterparts import head_of, is_incoming, same_but_ids
from controller.tools.transcript import Record

OF_THE_MOMENT: Final = frozenset(
    {
        *("Heartbeat", "MeterValues", "StatusNotification", "NotifyEvent", "NotifyReport", "BootNotification"),
        *("GetConfiguration", "GetVariables", "GetBaseReport", "GetReport", "TriggerMessage", "ExtendedTriggerMessage", "GetCompositeSchedule"),
        *("SetChargingProfile", "ClearChargingProfile", "NotifyChargingLimit", "ClearedChargingLimit"),
    }
)
"""How often these are said depends on when: a newer one takes the place of an older one, or meters and prices decide."""
SOLD: Final = frozenset({"StartTransaction", "StopTransaction", "TransactionEvent"})
"""What is billed."""
TIMES: Final = frozenset({"timestamp", "currentTime", "generatedAt", "validFrom", "validTo", "startSchedule", "dynUpdateTime", "scheduleStart"})
Lane = tuple[str, str, str]
"""(station, leg, action)."""


@dataclass(slots=True)
class Lost:
    """A message of the recording that has no counterpart now. bad: it is a loss. now: what went on instead, "" = nothing."""

    bad: bool
    record: Record
    now: str


@dataclass(slots=True)
class Translations:
    """then, now: translated messages on each side; same: of equal content."""

    then: int = 0
    now: int = 0
    same: int = 0
    lost: list[Lost] = field(default_factory=list)


def names_of(records: Iterable[Record]) -> frozenset[str]:
    """Stations and depots whose words are translated in a recording."""
    return frozenset(record["station"] for record in records if record.get("did") == "translated")


def translations(recorded: Sequence[Record], replayed: Sequence[Record]) -> Translations:
    """What went on in other words, then and now."""
    then, now = _lanes(recorded), _lanes(replayed)
    result = Translations(sum(map(len, then.values())), sum(map(len, now.values())))
    for lane, records in then.items():
        _compare(result, lane, records, now.get(lane, []))
    return result


def _lanes(records: Iterable[Record]) -> dict[Lane, list[Record]]:
    found: dict[Lane, list[Record]] = defaultdict(list)
    for record in records:
        if record["kind"] in ("CALL", "SEND") and record.get("did") == "translated" and not is_incoming(record):
            found[record["station"], record["leg"], str(record.get("action", ""))].append(record)
    return found


def _compare(result: Translations, lane: Lane, then: list[Record], now: list[Record]) -> None:
    left = Counter(map(_content, now))
    missing = []
    for record in then:
        content = _content(record)
        if left[content]:
            left[content] -= 1
            result.same += 1
        else:
            missing.append(record)
    others = list(left.elements())
    for record in missing:
        wanted = _energy(_content(record)) if lane[2] in SOLD else ""
        other = next((one for one in others if lane[2] not in SOLD or _energy(one) == wanted), "")
        if other:
            others.remove(other)
        result.lost.append(Lost(not other and lane[2] not in OF_THE_MOMENT, record, other))


def _energy(content: str) -> str:
    """What of a transaction message becomes money: which one it is, and its numbers of energy."""
    found = json.loads(content)
    payload = found[0] if found and isinstance(found[0], dict) else {}
    entries = [entry for name in ("meterValue", "transactionData") for entry in payload.get(name) or [] if isinstance(entry, dict)]
    samples = [sample for entry in entries for sample in entry.get("sampledValue") or [] if isinstance(sample, dict)]
    energy = [
        [sample.get("value"), sample.get("unit"), sample.get("unitOfMeasure")]
        for sample in samples
        if str(sample.get("measurand", "Energy")).startswith("Energy")
    ]
    return json.dumps([payload.get("eventType"), payload.get("meterStart"), payload.get("meterStop"), energy], sort_keys=True)


def _content(record: Record) -> str:
    _, _, rest = head_of(record["text"])
    return json.dumps(_timeless(same_but_ids(rest[1:] if rest else [])), sort_keys=True, ensure_ascii=False)


def _timeless(value: Any) -> Any:
    """Times to the second: what Yardmaster stamps itself comes a tick sooner or later."""
    if isinstance(value, dict):
        return {key: str(item)[:18] if key in TIMES else _timeless(item) for key, item in value.items()}
    return [_timeless(item) for item in value] if isinstance(value, list) else value
