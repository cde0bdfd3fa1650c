"""What became of each message of the stations and CSMSs: in a recording, and in its replay.

A fate is followed through the records in their order, so that ids a station uses again are told apart. Two fates
are compared by what counts: a message that went on with the same text must do so again; one that was taken care of must
not be lost. That Yardmaster answers now what it relayed then (or the other way round) is told, but is no loss.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from controller.tools.compare_translated import Translations, translations
from controller.tools.counterparts import head_of, is_incoming, same_but_ids
from controller.tools.transcript import Record

FRAMES = ("CALL", "SEND", "RESULT", "ERROR", "RESULTERROR")

Key = tuple[str, str, str, str]
"""(station, leg it came on, call or answer, message id)."""


@dataclass(slots=True)
class Fate:
    """One message of a peer. passed: (leg, text) it went on with. answer: what Yardmaster answered itself."""

    record: Record
    passed: list[tuple[str, str]] = field(default_factory=list)
    answer: str | None = None

    @property
    def held(self) -> bool:
        """Whether it went to disk when it came."""
        return self.record.get("did") == "held"

    @property
    def word(self) -> str:
        """relayed, changed, held, answered or nothing."""
        if self.passed:
            return "relayed" if all(text == self.record["text"] for _, text in self.passed) else "changed"
        return "held" if self.held else "answered" if self.answer is not None else "nothing"


@dataclass(frozen=True, slots=True)
class Difference:
    """bad: a loss, or another text than the one that came. then, now: the fates in words, or the texts."""

    bad: bool
    what: str
    record: Record
    then: str
    now: str


@dataclass(slots=True)
class Comparison:
    """The result. counts: how often each pair of fates (then, now) was met."""

    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    differences: list[Difference] = field(default_factory=list)
    own_then: int = 0
    own_now: int = 0
    own_same: int = 0
    translated: Translations = field(default_factory=Translations)

    @property
    def bad(self) -> bool:
        """Whether anything was lost or came out with another text."""
        return any(difference.bad for difference in self.differences)


def fates(records: Iterable[Record]) -> dict[Key, list[Fate]]:
    """All messages of peers with what became of them. Answers to Yardmaster's own CALLs are left out, they end there."""
    found: dict[Key, list[Fate]] = defaultdict(list)
    newest: dict[tuple[str, str, str], Fate] = {}
    for record in records:
        if record["kind"] not in FRAMES:
            continue
        station_id, leg = record["station"], record["leg"]
        family, message_id = _family(record), head_of(record["text"])[1]
        if is_incoming(record):
            if family == "answer" and (record.get("did") in ("ours", "translated") or not record.get("action")):
                continue
            fate = Fate(record)
            found[station_id, leg, family, message_id].append(fate)
            newest[station_id, family, message_id] = fate
            continue
        source = newest.get((station_id, family, message_id))
        if source is not None and source.record["leg"] != leg:
            if not leg.startswith("mirror:"):  # a mirror gets a copy, whatever becomes of the message itself
                source.passed.append((leg, record["text"]))
        elif family == "answer" and found.get((station_id, leg, "call", message_id)):
            found[station_id, leg, "call", message_id][-1].answer = record["text"]
    return found


def _family(record: Record) -> str:
    return "call" if record["kind"] in ("CALL", "SEND") else "answer"


def compare(recorded: Sequence[Record], replayed: Sequence[Record]) -> Comparison:
    """The recording against its replay."""
    result = Comparison()
    then_fates, now_fates = fates(recorded), fates(replayed)
    for key, items in then_fates.items():
        again = now_fates.get(key, [])
        for index, then in enumerate(items):
            _judge(result, then, again[index] if index < len(again) else None)
    _own(result, recorded, replayed)
    _in_other_words(result, recorded, replayed)
    return result


def _in_other_words(result: Comparison, recorded: Sequence[Record], replayed: Sequence[Record]) -> None:
    result.translated = translations(recorded, replayed)
    for lost in result.translated.lost:
        what = "lost on its way" if lost.bad else "translated otherwise"
        result.differences.append(Difference(lost.bad, what, lost.record, lost.record["text"], lost.now or "nothing"))


def _judge(result: Comparison, then: Fate, now: Fate | None) -> None:
    if now is None:
        _not_played(result, then)
        return
    words = (then.word, now.word)
    result.counts[words] += 1
    if words == ("answered", "answered"):
        if not _same_answer(then, now):
            result.differences.append(Difference(False, "answered otherwise", then.record, str(then.answer), str(now.answer)))
    elif words[0] == words[1] == "changed":
        if [_payload(text) for _, text in then.passed] != [_payload(text) for _, text in now.passed]:
            result.differences.append(Difference(False, "changed otherwise", then.record, then.passed[0][1], now.passed[0][1]))
    elif words[0] != words[1]:
        lost = words[1] == "nothing"
        altered = words == ("relayed", "changed")
        what = "lost" if lost else "text altered" if altered else "treated otherwise"
        result.differences.append(Difference(lost or altered, what, then.record, words[0], now.passed[0][1] if altered else words[1]))


def _same_answer(then: Fate, now: Fate) -> bool:
    """Whether a CALL is answered as then. On a translated leg ids are given anew."""
    one, other = _payload(then.answer), _payload(now.answer)
    return one == other or (then.record.get("did") == "translated" and same_but_ids(one) == same_but_ids(other))


def _not_played(result: Comparison, then: Fate) -> None:
    """It could not be played: an answer to something that was not asked this time, or a connection that was closed here."""
    result.counts[then.word, "not played"] += 1
    if then.word == "nothing":
        return
    if _family(then.record) == "answer":
        result.differences.append(Difference(False, "not asked for", then.record, then.word, "the message it answers did not go on this time"))
    else:
        why = "the connection was closed here, or the station is not in the site file"
        result.differences.append(Difference(True, "lost", then.record, then.word, why))


def _own(result: Comparison, recorded: Sequence[Record], replayed: Sequence[Record]) -> None:
    end_mono_s = recorded[-1]["mono_s"] if recorded else 0.0
    then = Counter(_own_calls(recorded))
    now = Counter(_own_calls(record for record in replayed if record["mono_s"] <= end_mono_s))
    result.own_then, result.own_now, result.own_same = then.total(), now.total(), (then & now).total()


def _own_calls(records: Iterable[Record]) -> Iterable[tuple[str, str, str]]:
    """Yardmaster's own CALLs without their ids."""
    for record in records:
        if record["kind"] == "CALL" and record.get("did") == "ours" and not is_incoming(record):
            yield record["station"], record["leg"], json.dumps(head_of(record["text"])[2], sort_keys=True)


def _payload(text: Any) -> Any:
    return head_of(text)[2] if isinstance(text, str) else None
