"""The sources of ``signals``: facts about them in, answers, log entries, memories and the compliance record out.

What holds is the machines' business (``limits``, ``signal``); this file lets them hear and tells what follows, each change once. The site asks
``Outside.handle`` with a fact and ``look`` with each tick, and decides anew when something in force has changed. An answer leaves when what it
acknowledges is on disk (``keeping``).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from controller.facts import ContactsRead, Direction, EventsTold, Fact, FailsafeStated, LimitStated, LimitUnit, SignalBeat, Stamp
from controller.orders import AnswerEvent, AnswerSignal, Order, Persist, Severity, Tell, TellSource
from controller.site.grid.compliance import Compliance, Held
from controller.site.grid.keeping import NOT_KEPT, Answer, Keeping
from controller.site.grid.limit_machine import State
from controller.site.grid.limit_store import BROKER, LimitStore
from controller.site.grid.measured import Flows, Measured
from controller.site.grid.signal import Signal, Standing
from controller.site.grid.words import Refusal
from controller.site.session_memory import number_or_none
from controller.snapshot import SignalView

SPACE: Final = "signal"
"""Where the journal keeps a source."""
JUMP_S: Final = 5.0
"""A wall clock that has moved by more against the monotonic one was set [s]."""
LOADS, GENERATION = "controllable loads", "generation"
"""In place of a circuit in the record, where an event limits the devices by themselves."""
TELL_S: Final = 10.0
"""Sources are told the readings this often [s]."""
ANSWERS = (AnswerSignal, AnswerEvent)
SPEAKS = (LimitStated, SignalBeat, FailsafeStated, ContactsRead, EventsTold)

FREE: Final = (State.UNLIMITED, State.RELEASED, State.SILENT)
Picture = dict[str, dict[Direction, Standing]]


@dataclass(slots=True)
class Outcome:
    """What follows from a fact. changed: a limit in force is another one; the site decides anew."""

    orders: list[Order] = field(default_factory=list)
    changed: bool = False


class Outside:
    """All sources. flows: what is measured now. keeping: the way to the disk."""

    def __init__(self, limits: LimitStore, flows: Callable[[Stamp], Flows], keeping: Keeping) -> None:
        self._limits, self._flows, self._keeping = limits, flows, keeping
        self.signals: Mapping[str, Signal] = limits.signals
        self.compliance = Compliance()
        self._told_mono_s = float("-inf")
        self._apart_s: float | None = None
        self._refused: dict[str, str] = {}
        self._troubles: dict[str, str] = {}
        self._notes: dict[str, frozenset[str]] = {}
        self._devices: dict[str, dict[str, float]] = {}

    # -- facts -------------------------------------------------------------------------------------------

    def handle(self, fact: LimitStated | SignalBeat | FailsafeStated | ContactsRead | EventsTold) -> Outcome:
        """A source spoke. One that the site file does not have is told so."""
        signal = self.signals.get(fact.source)
        if signal is None:
            return Outcome(_unknown(fact))
        before = self._picture(fact.at.mono_s)
        orders = [*self._clock(fact.at), *self._heard(signal, fact)]
        orders += signal.look(fact.at)
        outcome = self._after(before, orders, fact.at, None if isinstance(fact, SignalBeat) else signal.id)
        outcome.orders = self._acknowledged(outcome.orders, fact.at)
        if outcome.changed:
            outcome.orders += self.compliance.look(self._held(self._flows(fact.at), fact.at), fact.at)
        return outcome

    def _acknowledged(self, orders: list[Order], at: Stamp) -> list[Order]:
        """Answers come last, and only when what they are about is on disk; a refusal keeps its place behind them."""
        answers = [order for order in orders if isinstance(order, ANSWERS)]
        if not answers:
            return orders
        rest = [order for order in orders if not isinstance(order, ANSWERS)]
        refused = {one.source for one in answers if isinstance(one, AnswerEvent) and one.what == "rejected"}
        at_once = {source for source in refused if not self._keeping.waits((SPACE, source))}  # the driver's own answer goes by it
        held = (one for one in answers if one.source not in at_once)
        rest += [one for one in answers if one.source in at_once]
        return rest + [said for one in held for said in self._keeping.answer((SPACE, one.source), _as_kept(one), at)]

    def _heard(self, signal: Signal, fact: Fact) -> list[Order]:
        if isinstance(fact, LimitStated):
            return self._stated(signal, fact)
        if isinstance(fact, FailsafeStated):
            return self._failsafe(signal, fact)
        if isinstance(fact, ContactsRead):
            signal.read(fact)
        elif isinstance(fact, EventsTold):
            return [*signal.tell(fact), *self._noted(signal, fact)]
        elif isinstance(fact, SignalBeat):
            signal.beat(fact.at)
        return []

    def _noted(self, signal: Signal, fact: EventsTold) -> list[Order]:
        """What a source asks for and nobody here can do is told once, as long as it asks."""
        before = self._notes.get(signal.id, frozenset())
        self._notes[signal.id] = frozenset(fact.notes)
        return [Tell(Severity.WARNING, f"signal {signal.id}", note) for note in fact.notes if note not in before]

    def _stated(self, signal: Signal, fact: LimitStated) -> list[Order]:
        refusal = signal.state(fact)
        in_force_w = signal.value_w(fact.direction, fact.at.mono_s)
        answer = AnswerSignal(fact.source, fact.number, refusal is None, refusal.reason if refusal else "", in_force_w)
        if refusal is not None and refusal.repeat:
            return [answer]
        return [answer, *self._received(signal, fact, refusal), *self._refusal(signal, fact.direction, refusal)]

    def _received(self, signal: Signal, fact: LimitStated, refusal: Refusal | None) -> Iterable[Order]:
        ends = "without an end" if fact.duration_s is None else f"for {fact.duration_s:g} s"
        detail = refusal.reason if refusal else (fact.detail or ("stated: no limit" if fact.value_w is None else ends))
        measured_w = self._flows(fact.at).at(signal.entry, fact.direction).whole_w
        held = Held(signal.id, fact.direction, signal.entry.circuit, signal.worst().value, fact.value_w, measured_w, detail)
        return self.compliance.heard(held, "refused" if refusal else "received", fact.at)

    def _refusal(self, signal: Signal, way: Direction, refusal: Refusal | None) -> list[Order]:
        key = f"{signal.id} {way.value}"
        if refusal is None:
            self._refused.pop(key, None)
            return []
        if self._refused.get(key) == refusal.reason:
            return []
        self._refused[key] = refusal.reason
        text = f"{way.value} limit from {signal.id} refused: {refusal.reason} - what holds stays; correct the sender"
        return [Tell(Severity.WARNING, f"signal {signal.id}", text)]

    def _failsafe(self, signal: Signal, fact: FailsafeStated) -> list[Order]:
        refusal = signal.set_failsafe(fact)
        in_force_w = signal.value_w(fact.direction, fact.at.mono_s)
        orders: list[Order] = [AnswerSignal(fact.source, fact.number, refusal is None, refusal.reason if refusal else "", in_force_w)]
        detail = refusal.reason if refusal else f"for {fact.duration_s:g} s at least" if fact.duration_s is not None else ""
        held = Held(signal.id, fact.direction, signal.entry.circuit, signal.worst().value, fact.value_w, None, detail)
        return [*orders, *self.compliance.heard(held, "failsafe_refused" if refusal else "failsafe_set", fact.at)]

    def link(self, source: str, up: bool, at: Stamp) -> None:
        """A shell told of its connection."""
        for signal in self.signals.values():
            if signal.id == source or (source == BROKER and signal.entry.type in ("mqtt", "eebus")):
                signal.link(up, at)

    # -- time ---------------------------------------------------------------------------------------------

    def look(self, at: Stamp) -> Outcome:
        """Let time pass."""
        clock = self._clock(at)
        if not self.signals and not self.compliance.wanted(self._limits.stated(at.mono_s)):
            return Outcome()
        before = self._picture(at.mono_s)
        orders = clock
        for signal in self.signals.values():
            orders += signal.look(at)
        outcome = self._after(before, orders, at)
        outcome.orders = self._acknowledged(outcome.orders, at)
        flows = self._flows(at)
        self._measure(flows, at)
        outcome.orders += self.compliance.look(self._held(flows, at), at)
        for source in self.compliance.broken & self.signals.keys():
            if (schedule := self.signals[source].schedule) is not None:
                schedule.broken(at)
        if at.mono_s - self._told_mono_s >= TELL_S or outcome.changed:
            self._told_mono_s = at.mono_s
            outcome.orders += [self._reading(signal, flows, at) for signal in self.signals.values()]
        return outcome

    def _clock(self, at: Stamp) -> list[Order]:
        """The wall clock was set (F77): what holds goes on, the journal gets the ends as they are now, the record says so."""
        apart_s, before_s = at.wall_s - at.mono_s * at.wall_speed, self._apart_s
        if before_s is not None and abs(apart_s - before_s) <= JUMP_S:
            return []
        self._apart_s = apart_s
        return [] if before_s is None else self._clock_set(apart_s - before_s, at)

    def _clock_set(self, moved_s: float, at: Stamp) -> list[Order]:
        fleet = self._limits.clock_set(at)
        orders: list[Order] = [order for signal in self.signals.values() for order in self._remember(signal)]
        orders += self._keeping.remember({("limit", f"{source}:{circuit}"): memory for (source, circuit), memory in fleet.items()})
        return orders + self.compliance.clock_set(moved_s, at)

    def _measure(self, flows: Flows, at: Stamp) -> None:
        """The loop is closed by what is measured: voltages, the sum of the controllable loads."""
        limits = self._limits
        limits.measures.seen(flows.voltages_v, flows.grid_w, flows.currents_a)
        limits.battery_charging_w = flows.charging_w()
        held = limits.controllable(at.mono_s)
        limits.trims.look({name: one.value for name, one in held.items()}, {name: flows.controllable(name) for name in held}, at.mono_s)

    def _picture(self, now: float) -> Picture:
        return {name: signal.standing(now) for name, signal in self.signals.items()}

    def _after(self, before: Picture, orders: list[Order], at: Stamp, spoke: str | None = None) -> Outcome:
        """What follows when sources were heard or time has passed. spoke: the source that stated something."""
        outcome = Outcome(orders)
        stirred = {order.source for order in orders if isinstance(order, AnswerEvent)} | {spoke}
        for name, signal in self.signals.items():
            after = signal.standing(at.mono_s)
            stirred |= {name} if after != before[name] else set()
            for way, standing in after.items():
                if standing != before[name][way]:
                    outcome.changed = True
                    outcome.orders += _news(signal, way, before[name][way], standing, at)
            news = self._devices_news(signal, at)
            outcome.changed |= bool(news)
            outcome.orders += [*news, *self._trouble(signal, at), *(self._remember(signal) if name in stirred else [])]
        return outcome

    def _devices_news(self, signal: Signal, at: Stamp) -> list[Order]:
        """One entry of the log for each change of what an event limits of the devices by themselves."""
        before, now = self._devices.get(signal.id, {}), {what: watts for _, what, watts in _of_devices(signal)}
        self._devices[signal.id] = now
        said = [f"{signal.id} limits the {what} to {watts / 1000:.3g} kW" for what, watts in now.items() if before.get(what) != watts]
        said += [f"{signal.id} does not limit the {what} any more" for what in before if what not in now]
        return [Tell(Severity.INFO, f"signal {signal.id}", text, at.wall_s) for text in said]

    def _trouble(self, signal: Signal, at: Stamp) -> list[Order]:
        """A contact that cannot be read, once."""
        text = signal.level.trouble if signal.level is not None else ""
        if self._troubles.get(signal.id, "") == text:
            return []
        self._troubles[signal.id] = text
        told = f"{text} - check the wiring and the module" if text else "all contacts can be read again"
        return [Tell(Severity.WARNING if text else Severity.INFO, f"signal {signal.id}", told)]

    def _remember(self, signal: Signal) -> list[Order]:
        return self._keeping.remember({(SPACE, signal.id): signal.memory()})

    def restore(self, name: str, memory: Any, at: Stamp) -> list[Order]:
        """A source as the journal has it. One that the site file does not have any more is forgotten, and that is told."""
        if not isinstance(memory, dict):
            return []
        if (signal := self.signals.get(name)) is None:
            return [Persist(0, remember={(SPACE, name): None}), *self._gone(name, memory, at)]
        signal.restore(memory, at)
        return []

    def _gone(self, name: str, memory: Mapping[str, Any], at: Stamp) -> list[Order]:
        ways = {way: one for way in Direction if isinstance(one := memory.get(way.value), dict)}
        held = {way: watts for way, one in ways.items() if (watts := number_or_none(one.get("value"))) is not None}
        detail = "the site file does not have this source any more"
        lines = [self.compliance.note(Held(name, way, "", "silent", None, None, detail), "ended", at) for way in held]
        told = " and ".join(f"{way.value} {watts / 1000:.3g} kW" for way, watts in held.items())
        text = f"{detail}: its last limit ({told}) is not obeyed; if it was only renamed, it has to state its limit anew"
        return [*lines, Tell(Severity.WARNING, f"signal {name}", text)] if held else []

    # -- compliance and readings -----------------------------------------------------------------------------

    def _held(self, flows: Flows, at: Stamp) -> Iterator[Held]:
        now = at.mono_s
        for signal in self.signals.values():
            for way, standing in signal.standing(now).items():
                found = flows.at(signal.entry, way)
                where = (signal.id, way, signal.entry.circuit)
                yield Held(*where, standing.state.value, standing.value_w, _told_w(found), _label(signal), found.more_w, found.read_mono_s)
            for way, what, watts in _of_devices(signal):
                found = flows.controllable(signal.entry.circuit) if what == LOADS else flows.generation()
                held = State.LIMITED.value, watts, _told_w(found), _label(signal), found.more_w, found.read_mono_s
                yield Held(signal.id, way, what, *held)
        for limit in self._limits.stated(now):
            watts = self._limits.measures.watts(limit.value, limit.unit)
            measured_w = flows.circuit_w(limit.circuit)
            if limit.unit is LimitUnit.A and (amps := flows.circuit_a(limit.circuit)) is not None:
                measured_w = self._limits.measures.watts(amps, limit.unit)
            state = State.FAILSAFE if limit.reason.startswith("failsafe") else State.LIMITED
            yield Held(limit.source, Direction.CONSUMPTION, limit.circuit, state.value, watts, measured_w, limit.reason)

    def _reading(self, signal: Signal, flows: Flows, at: Stamp) -> TellSource:
        return TellSource(
            signal.id,
            at.wall_s,
            flows.grid_w,
            flows.energy_import_wh,
            flows.energy_export_wh,
            flows.voltage_v,
            flows.controllable().whole_w,
            flows.pv_w,
            flows.battery_w,
            flows.soc_percent,
            signal.value_w(Direction.CONSUMPTION, at.mono_s),
            signal.value_w(Direction.PRODUCTION, at.mono_s),
            signal.worst().value,
        )

    # -- the picture --------------------------------------------------------------------------------------------

    def view(self, at: Stamp) -> tuple[SignalView, ...]:
        """For page and API."""
        flows = self._flows(at)
        return tuple(self._view(signal, flows, at) for signal in self.signals.values())

    def _view(self, signal: Signal, flows: Flows, at: Stamp) -> SignalView:
        now, entry = at.mono_s, signal.entry
        limit_w, production_w = (signal.value_w(way, now) for way in (Direction.CONSUMPTION, Direction.PRODUCTION))
        devices = {what: watts for _, what, watts in _of_devices(signal)}
        return SignalView(
            id=signal.id,
            kind=entry.type,
            circuit=entry.circuit,
            controllable=entry.binds == "controllable",
            state=State.LIMITED.value if devices and signal.worst() in FREE else signal.worst().value,
            limit_w=limit_w,
            ends_wall_s=signal.ends(Direction.CONSUMPTION, now)[1],
            production_limit_w=production_w,
            production_ends_wall_s=signal.ends(Direction.PRODUCTION, now)[1],
            heard_s=now - signal.heard_mono_s if signal.heard_mono_s is not None else None,
            binds=self._binds(signal, now),
            measured_w=flows.at(entry, Direction.PRODUCTION if limit_w is None and production_w is not None else Direction.CONSUMPTION).whole_w,
            next=_next_words(signal, at),
            trouble="; ".join(filter(None, (self._broken_words(signal), signal.trouble(now)))),
            load_limit_w=devices.get(LOADS),
            generation_limit_w=devices.get(GENERATION),
        )

    def _binds(self, signal: Signal, now: float) -> bool:
        """Whether it is the lowest of all limits where it binds."""
        circuit, export = signal.entry.circuit, self._limits.export(now)
        rows = self._limits.controllable(now) if signal.entry.binds == "controllable" else self._limits.smallest(now)
        lowest = rows.get(circuit)
        return (lowest is not None and lowest.source == signal.id) or (export is not None and export[2] == signal.id)

    def _broken_words(self, signal: Signal) -> str:
        return "more is measured than it allows" if signal.id in self.compliance.broken else ""


def _of_devices(signal: Signal) -> Iterator[tuple[Direction, str, float]]:
    """(way, where, limit) of what an event limits of the devices by themselves."""
    says = signal.says
    if says.load_w is not None:
        yield Direction.CONSUMPTION, LOADS, says.load_w
    if says.generation_w is not None or not says.connected:
        yield Direction.PRODUCTION, GENERATION, says.generation_w if says.connected and says.generation_w is not None else 0.0


def _as_kept(answer: AnswerSignal | AnswerEvent) -> Answer:
    """What is said with and without the disk. A refusal needs none; and an event is still in its source's schedule after a restart."""
    if isinstance(answer, AnswerEvent) or not answer.accepted:
        return Answer((answer,), (answer,))
    return Answer((answer,), (replace(answer, accepted=False, reason=NOT_KEPT),))


def _unknown(fact: Fact) -> list[Order]:
    """An answer for a source that the site file does not have (any more)."""
    if isinstance(fact, LimitStated | FailsafeStated):
        return [AnswerSignal(fact.source, fact.number, False, "this site has no such signal", None)]
    return []


def _told_w(found: Measured) -> float | None:
    """As far as it is measured; None where nothing is known."""
    return None if found.power_w == 0.0 and math.isinf(found.more_w) else found.power_w


def _label(signal: Signal) -> str:
    return signal.says.label or (signal.level.label if signal.level is not None else "")


def _next_words(signal: Signal, at: Stamp) -> str:
    """The label of what holds, and what comes."""
    coming = signal.schedule.next_words(at) if signal.schedule is not None else None
    parts = [_label(signal)] if _label(signal) else []
    if coming is not None:
        left_s = coming[0] - at.wall_s
        parts.append(f"{coming[1]} in {left_s / 60:.0f} min" if left_s < 7200 else f"{coming[1]} in {left_s / 3600:.0f} h")
    return ", ".join(parts)


def _news(signal: Signal, way: Direction, before: Standing, after: Standing, at: Stamp) -> Iterable[Order]:
    """One entry of the log for a change of what a source holds."""
    where = signal.entry.circuit if way is Direction.CONSUMPTION else "feed-in"
    where = f"the controllable loads below {where}" if way is Direction.CONSUMPTION and signal.entry.binds == "controllable" else where
    kw = f"{after.value_w / 1000:.3g} kW" if after.value_w is not None else ""
    severity, text = Severity.INFO, ""
    if after.state is State.FAILSAFE:
        severity = Severity.ALARM
        text = f"{signal.id} is silent - its failsafe of {kw} holds for {where} until it states a limit again; check its connection"
        if before.state is State.FAILSAFE:
            severity, text = Severity.INFO, f"the failsafe of {signal.id} for {where} is {kw} now"
    elif after.state is State.WAITING:
        text = f"{signal.id} has said nothing yet - its failsafe of {kw} holds for {where}"
    elif after.value_w is not None:
        text = f"{signal.id} limits {where} to {kw}"
    elif after.state is State.RELEASED:
        text = f"{signal.id} is back and has stated no limit for two minutes - {where} is free again"
    elif after.state is State.SILENT:
        severity, text = Severity.WARNING, f"{signal.id} is silent and has no failsafe - {where} is not limited by it; check its connection"
    elif before.value_w is not None:
        text = f"{signal.id} does not limit {where} any more"
    return [Tell(severity, f"signal {signal.id}", text, at.wall_s)] if text else []
