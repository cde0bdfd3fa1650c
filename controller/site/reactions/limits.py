"""What follows from a limit for a circuit, whoever sends it, and from the health of what sends it.

A limit is in force at once and acknowledged when it is on disk; one that is refused leaves the limits in force as they are. Where a limit
changes, the site plans, tells and decides anew in the same call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from controller.facts import (
    ContactsRead,
    EventsTold,
    FailsafeStated,
    LimitReceived,
    LimitRefused,
    LimitStated,
    Persisted,
    PersistFailed,
    SignalBeat,
    SourceChanged,
    Stamp,
)
from controller.orders import AnswerLimit, Order, Persist, Publish, Severity, Tell
from controller.site.grid.fleet_limits import CROWDED, NO_ROOM
from controller.site.grid.keeping import NOT_KEPT, Answer
from controller.site.grid.limit_store import BROKER
from controller.site.grid.outside import SPEAKS, Outcome
from controller.site.grid.words import Refusal
from controller.site.reactions import Handlers
from controller.site.telling.reports import SourceNow
from controller.site.telling.troubles import without

if TYPE_CHECKING:
    from controller.site.site import Site

SPACE, FAILSAFE_SPACE = "limit", "failsafe"
"""Where the journal keeps limits, by source and circuit, and that the failsafe holds."""
NEW_SENDERS, UNKNOWN_SENDER = "refused: new senders", "refused: unknown sender"
"""Topics of what is told of senders without one of their own."""


class OnLimits:
    """Reactions to limits and their sources. sources: what each said last of itself."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self.sources: dict[str, SourceNow] = {}

    def handlers(self) -> Handlers:
        """By type of fact."""
        return {
            LimitReceived: self._received,
            LimitRefused: self._refused,
            SourceChanged: self._source_changed,
            Persisted: self._stored,
            PersistFailed: self._stored,
            **dict.fromkeys(SPEAKS, self._signalled),
        }

    def look(self, at: Stamp) -> list[Order]:
        """Let time pass: limits end, answers that wait too long are given up, signals fall silent."""
        orders = self._ended(at)
        orders += self._site.keeping.look(at)
        return orders + self._obey(self._site.outside.look(at), at)

    # -- limits of the broker and of a depot's CSMS ------------------------------------------------------

    def _received(self, fact: LimitReceived) -> list[Order]:
        limits, changes = self._site.limits, self._site.changes
        failsafe, known = limits.failsafe, limits.knows(fact.source, fact.circuit)
        refusal = limits.receive(fact, self._site.keeping.crowded)
        subject = f"limit {fact.source}"
        if refusal is not None:
            if refusal.repeat:
                return self._repeated(fact, refusal.reason)
            return [*self._answer(fact, refusal.reason), *self._tell_refused(fact, refusal)]
        changes.over(f"refused {fact.source}")
        if not known:
            changes.over(NEW_SENDERS)
        orders = self.forget_gone() + self._site.keeping.remember({_key(fact.source, fact.circuit): limits.memory(fact.source, fact.circuit)})
        if fact.value is None:
            text = f"{fact.source} withdrew its limit for {fact.circuit}"
        else:
            text = f"{fact.source} limits {fact.circuit} to {fact.value:g} {fact.unit.value}"
        orders += changes.tell(f"limit {fact.source}:{fact.circuit}", Severity.INFO, subject, text)
        if failsafe and not limits.failsafe:
            orders.append(_remember_failsafe(False))
        orders.append(self._site.reporter.limits_order(self._site, fact.at))
        self._site.planner.ask()
        return [*orders, *self._site.deciding.control(fact.at, at_once=True), *self._answer(fact)]

    def _tell_refused(self, fact: LimitReceived, refusal: Refusal) -> list[Order]:
        """For people, once. Names cost memory, and anybody may make them up: those nobody knows share one entry."""
        changes, text = self._site.changes, f"refused: {refusal.reason}"
        if refusal in (NO_ROOM, CROWDED):
            return changes.tell(NEW_SENDERS, Severity.WARNING, "limits", f"limits of new senders are {text}")
        known = self._site.limits.knows(fact.source, fact.circuit)
        said = f"limit for {fact.circuit} from {fact.source} {text} - the limits in force stay; correct the sender"
        return changes.tell(f"refused {fact.source}" if known else UNKNOWN_SENDER, Severity.WARNING, f"limit {fact.source}", said)

    def forget_gone(self) -> list[Order]:
        """Senders that made room for others leave the journal, too."""
        gone = self._site.limits.gone()
        for source, circuit in gone:
            self._site.changes.over(f"refused {source}")
            self._site.changes.over(f"limit {source}:{circuit}")
        return self._site.keeping.forget(_key(source, circuit) for source, circuit in gone)

    def _repeated(self, fact: LimitReceived, reason: str) -> list[Order]:
        """The same word again changes nothing; whoever waits for the answer to a call made twice gets that of the first."""
        memory = self._site.limits.memory(fact.source, fact.circuit)
        if not fact.number or memory["value"] != fact.value:
            return self._answer(fact, reason)
        return [*self._site.keeping.remember({_key(fact.source, fact.circuit): memory}), *self._answer(fact)]

    def _answer(self, fact: LimitReceived, refusal: str = "") -> list[Order]:
        """For its sender: what is taken is acknowledged when it is on disk; until then ``limit/state`` only says what holds."""
        refused = _said(fact, refusal or NOT_KEPT, holds=not refusal)
        answer = Answer(refused if refusal else _said(fact), refused)
        return self._site.keeping.answer(_key(fact.source, fact.circuit), answer, fact.at)

    def _stored(self, fact: Persisted | PersistFailed) -> list[Order]:
        """The journal has answered. Most of its answers are the link's."""
        return self._site.keeping.stored(fact) if fact.token < 0 else []

    def _refused(self, fact: LimitRefused) -> list[Order]:
        text = f"limit from {fact.source} refused: {fact.reason} - the limits in force stay; correct the sender"
        payload = {"source": fact.source, "reason": fact.reason, "payload": fact.payload[:200]}
        told = self._site.changes.tell(f"refused {fact.source}", Severity.WARNING, f"limit {fact.source}", text)
        return [Publish("limit/refused", payload), *told]

    def _ended(self, at: Stamp) -> list[Order]:
        orders: list[Order] = []
        site, before = self._site, self._site.limits.failsafe
        for limit in site.limits.expire(at.mono_s):
            orders += site.keeping.remember({_key(limit.source, limit.circuit): site.limits.memory(limit.source, limit.circuit)})
            site.changes.over(f"limit {limit.source}:{limit.circuit}")
            orders.append(Tell(Severity.INFO, f"limit {limit.source}", f"the limit of {limit.source} for {limit.circuit} has ended"))
            site.planner.ask()
        if site.limits.failsafe and not before:
            amps = site.config.limits.failsafe_a
            text = f"broker lost and the last limit has ended - site held to {amps:g} A until a new limit comes; check the broker"
            orders += [Tell(Severity.ALARM, "limit mqtt", text), _remember_failsafe(True)]
        return [*orders, site.reporter.limits_order(site, at)] if orders else []

    # -- the sources of signals --------------------------------------------------------------------------

    def _signalled(self, fact: LimitStated | SignalBeat | FailsafeStated | ContactsRead | EventsTold) -> list[Order]:
        """A source of ``signals`` spoke."""
        return self._obey(self._site.outside.handle(fact), fact.at)

    def _obey(self, outcome: Outcome, at: Stamp) -> list[Order]:
        """A limit in force has changed: plan, tell and decide anew, at once."""
        if not outcome.changed:
            return outcome.orders
        self._site.planner.ask()
        self._site.reporter.hurry()
        return [*outcome.orders, self._site.reporter.limits_order(self._site, at), *self._site.deciding.control(at, at_once=True)]

    def _source_changed(self, fact: SourceChanged) -> list[Order]:
        site, before = self._site, self.sources.get(fact.source)
        self.sources[fact.source] = SourceNow(fact.healthy, fact.detail, fact.at.mono_s)
        if fact.source == BROKER:
            site.limits.broker(fact.healthy)
        site.outside.link(fact.source, fact.healthy, fact.at)
        unchanged = fact.healthy if before is None else before.healthy == fact.healthy
        if unchanged:
            return []
        severity = Severity.INFO if fact.healthy else Severity.WARNING
        why = f" ({fact.detail})" if fact.detail else ""
        said = "is well again" if fact.healthy else f"is not well{why} - {without(site.config, fact.source)}"
        return [Tell(severity, fact.source, f"{fact.source} {said}")]


def _remember_failsafe(holds: bool) -> Order:
    return Persist(0, remember={(FAILSAFE_SPACE, BROKER): {"holds": True} if holds else None})


def _key(source: str, circuit: str) -> tuple[str, str]:
    return SPACE, f"{source}:{circuit}"


def _said(fact: LimitReceived, reason: str = "", holds: bool = True) -> tuple[Order, ...]:
    """What the sender of a limit is told, over the broker and, where it waits for it, in its own way. reason: why not."""
    payload = {"source": fact.source, "circuit": fact.circuit, "value": fact.value, "unit": fact.unit.value, "sequence": fact.sequence}
    told: Order = Publish(fact.reply_topic or "limit/refused", payload | {"reason": reason}) if reason else Publish("limit/accepted", payload)
    return (told, AnswerLimit(fact.number, not reason, holds, reason)) if fact.number else (told,)
