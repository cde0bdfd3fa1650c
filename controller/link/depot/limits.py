"""Limits of a transaction that the CSMS sets (C20, E16: money, energy, time, state of charge), kept by Yardmaster where the charger cannot.

A limit comes with the answer to a TransactionEvent and passes to the charger. A 2.1 charger that keeps it says so in its next event. For any
other one Yardmaster counts, and when the limit is reached it stops the transaction at the charger (RequestStopTransaction), once a minute
until it has ended.
The CSMS sees the limit in the next event after it was set, and in the Ended event the reason of the limit instead of "Remote".

Everything is on disk: what was counted from, the limit, and why it was stopped; so an event that is sent again is the same event.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from controller.facts import EvseKey, Stamp
from controller.link.depot.asking import Heard, ask_one, tell
from controller.link.depot.office import Office, Quiet
from controller.link.depot.running import running
from controller.ocpp.hub import Conversation, Keep, Payload, Said
from controller.ocpp.samples import Samples, number
from controller.ocpp.times import wall_time
from controller.orders import Severity

KEY: Final = "limit:"
LOOK_S: Final = 5.0
AGAIN_S: Final = 60.0
MOST: Final = 5000
REASONS: Final = {
    "maxCost": ("CostLimitReached", "LocalOutOfCredit"),
    "maxEnergy": ("EnergyLimitReached", "EnergyLimitReached"),
    "maxTime": ("TimeLimitReached", "TimeLimitReached"),
    "maxSoC": ("SoCLimitReached", "SOCLimitReached"),
}
"""Field of transactionLimit -> (triggerReason, stoppedReason)."""
_NO_TIME: Final = Stamp(0.0, 0.0)
COUNTED: Final = {"maxCost": "cost", "maxEnergy": "wh", "maxSoC": "soc"}


# -- what ``sessions`` tells and asks --------------------------------------------------------------------


def dressed(office: Office, event: Payload) -> Payload:
    """A TransactionEvent in the depot's words as it goes up: with the limit after it was set, with its reason when it was reached."""
    info = event["transactionInfo"]
    entry = _of(office, info["transactionId"])
    if entry is None or not entry.get("limit") or entry.get("own") or "transactionLimit" in info:
        return event
    sequence = event.get("seqNo")
    if entry.get("told") is None and sequence != entry.get("set"):
        entry = _put(office, info["transactionId"], {**entry, "told": sequence})
    if entry.get("told") == sequence:
        event = {**event, "transactionInfo": {**info, "transactionLimit": entry["limit"]}}
    return _ended(event, entry) if event.get("eventType") == "Ended" else event


def _ended(event: Payload, entry: Payload) -> Payload:
    reached, info = entry.get("stopping"), event["transactionInfo"]
    if reached not in REASONS or info.get("stoppedReason") not in ("Remote", None):
        return event
    trigger, stopped = REASONS[reached]
    return {**event, "triggerReason": trigger, "transactionInfo": {**info, "stoppedReason": stopped}}


def heard(office: Office, event: Payload, answer: Payload) -> bool:
    """The CSMS has answered an event (in the depot's words); whether it has set a limit, which the caller keeps before it answers the charger."""
    transaction_id = event["transactionInfo"]["transactionId"]
    if event.get("eventType") == "Ended":
        office.memory.put(f"{KEY}{transaction_id}", None)
        return False
    entry = _of(office, transaction_id) or _begun(office, event)
    if entry.get("limit") or answer.get("transactionLimit") or entry["first_wh"] is None:
        entry = _counted(entry, event)
    if "totalCost" in answer:
        entry = {**entry, "cost": answer["totalCost"]}
    limit = answer.get("transactionLimit")
    news = isinstance(limit, dict) and limit != entry.get("limit")
    if news:
        entry = {**entry, "limit": limit, "set": event.get("seqNo"), "told": None, "own": False, "stopping": ""}
    elif entry.get("limit") and event["transactionInfo"].get("transactionLimit") == entry["limit"] and entry.get("told") != event.get("seqNo"):
        entry = {**entry, "own": True}
    _put(office, transaction_id, entry)
    return news


def cost(office: Office, transaction_id: str, total_cost: float) -> bool:
    """CostUpdated; whether a limit that Yardmaster keeps is measured by it."""
    entry = _of(office, transaction_id)
    if entry is None or "maxCost" not in (entry.get("limit") or {}) or entry.get("own"):
        return False
    _put(office, transaction_id, {**entry, "cost": total_cost})
    return True


def _of(office: Office, transaction_id: str) -> Payload | None:
    found = office.memory.get(f"{KEY}{transaction_id}")
    return found if isinstance(found, dict) else None


def _put(office: Office, transaction_id: str, entry: Payload) -> Payload:
    office.memory.put(f"{KEY}{transaction_id}", entry)
    return entry


def _begun(office: Office, event: Payload) -> Payload:
    known = sorted((entry["began"], key) for key, entry in office.memory.starting(KEY))
    for _, key in known[: max(0, len(known) - MOST)]:
        office.memory.put(key, None)
    # By our own clock, unless the event waited: a charger whose clock is wrong must not lose its session to that.
    now_wall_s = office.now().wall_s
    told_wall_s = wall_time(event.get("timestamp")) if event.get("offline") else None
    began_wall_s = min(told_wall_s, now_wall_s) if told_wall_s is not None else now_wall_s
    return {"began": began_wall_s, "first_wh": None, "wh": 0.0, "soc": None, "cost": None}


def _counted(entry: Payload, event: Payload) -> Payload:
    for value in event.get("meterValue") or []:
        reader = Samples()
        for sample in value.get("sampledValue") or []:
            _take(reader, sample)
        fact = reader.fact(_NO_TIME, EvseKey("", 1)) if reader.seen else None
        if fact is not None and fact.energy_wh is not None:
            first_wh = entry["first_wh"] if entry["first_wh"] is not None else fact.energy_wh
            entry = {**entry, "first_wh": first_wh, "wh": max(entry["wh"], fact.energy_wh - first_wh)}
        if fact is not None and fact.soc_percent is not None:
            entry = {**entry, "soc": fact.soc_percent}
    return entry


def _take(reader: Samples, sample: Payload) -> None:
    amount, scale = number(sample.get("value")), sample.get("unitOfMeasure") or {}
    if amount is None or sample.get("location") in ("Body", "Cable", "Upstream"):
        return
    multiplier = scale.get("multiplier", 0)
    if isinstance(multiplier, int) and -12 <= multiplier <= 12:
        reader.add(sample.get("measurand", "Energy.Active.Import.Register"), amount * 10.0**multiplier, scale.get("unit"), sample.get("phase"))


# -- the part ----------------------------------------------------------------------------------------------


class Limits(Quiet):
    """Looks every few seconds whether a limit is reached."""

    def __init__(self, office: Office) -> None:
        self._office = office
        self._looked_mono_s = float("-inf")
        self._asked_mono_s: dict[str, float] = {}

    def tick(self) -> list[Conversation]:
        """Stop what has reached its limit."""
        now_mono_s = self._office.now().mono_s
        if now_mono_s - self._looked_mono_s < LOOK_S:
            return []
        self._looked_mono_s = now_mono_s
        reached = list(self._reached())
        self._asked_mono_s = {key: asked for key, asked in self._asked_mono_s.items() if any(key == one for one, _ in reached)}
        due = [(key, word) for key, word in reached if now_mono_s - self._asked_mono_s.get(key, float("-inf")) >= AGAIN_S]
        self._asked_mono_s |= {key: now_mono_s for key, _ in due}
        return [self._stop(key, word) for key, word in due]

    def _reached(self) -> Iterator[tuple[str, str]]:
        """(transaction, field of its limit)."""
        for key, entry in self._office.memory.starting(KEY):
            word = self._which(entry) if entry.get("limit") and not entry.get("own") else ""
            if word:
                yield key[len(KEY) :], word

    def _which(self, entry: Payload) -> str:
        limit: dict[str, Any] = entry["limit"]
        for word, counted in COUNTED.items():
            if limit.get(word) is not None and entry.get(counted) is not None and entry[counted] >= limit[word]:
                return word
        past_s = self._office.now().wall_s - entry["began"]
        return "maxTime" if limit.get("maxTime") is not None and self._office.now().wall_trusted and past_s >= limit["maxTime"] else ""

    def _stop(self, transaction_id: str, word: str) -> Conversation:
        found = running(self._office, transaction_id)
        entry = _of(self._office, transaction_id)
        if found is None or entry is None or not found[0].linked:
            self._asked_mono_s.pop(transaction_id, None)
            return Said({})
        if entry.get("stopping") != word:
            _put(self._office, transaction_id, {**entry, "stopping": word})
            yield Keep()
        one: Heard = yield from ask_one(found[0], "RequestStopTransaction", {"transactionId": transaction_id})
        text = f"transaction at {found[0].station_id}, EVSE {found[1]} has reached its {word} of the CSMS"
        if one.status == "Accepted":
            yield tell(self._office, Severity.INFO, f"{text}: stopped")
        else:
            yield tell(self._office, Severity.WARNING, f"{text}, but the charger does not stop it ({one.words}): asked again in a minute")
        return Said({})
