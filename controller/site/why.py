"""Why only 8 A? The chain of limits behind one EVSE's setpoint, now and over the plan.

Reads what the last decision was made of and decides nothing: the layers of the EVSE itself, the rows it
shares with others (what a fuse carries, what flows besides, what the others got), the turn it
waits for, what its station has been told, and what holds the plan where it is. Numbers are per phase [A].
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

from controller.facts import EvseKey, Stamp
from controller.site.arbiter import WAITING, Claim, Grant
from controller.site.budget import SiteState
from controller.site.channel import Channel, Floor
from controller.site.layers import LIMIT, OPERATOR, PLAN, Layer
from controller.site.state import PHASE_NAMES, EvseState
from controller.site.turns import PRIORITISED
from controller.snapshot import WhyLayer, WhyProfile, WhyRow, WhyStep, WhyView
from optimizer.problem import Ev, Plan, Problem

if TYPE_CHECKING:
    from controller.site.site import Site

FULL_A: Final = 1.0
"""A row with less left than this is full: setpoints come in whole amperes [A]."""
SAME_W: Final = 50.0
"""Powers of a plan closer together than this are the same stretch [W]."""
MOST_STEPS: Final = 24


class Explainer:
    """One question about one EVSE at one moment."""

    def __init__(self, site: Site, key: EvseKey, at: Stamp) -> None:
        self._site, self._key, self._at = site, key, at
        self._evse: EvseState = site.evses[key]
        self._channel: Channel = site.actuator.channels[key]
        self._grant: Grant | None = site.grants.get(key)
        frozen = site.frozen
        self._frozen: SiteState | None = frozen
        self._claim: Claim | None = next((claim for claim in frozen.claims if claim.key == key), None) if frozen is not None else None

    def view(self, state: str, reason: str, profiles: tuple[WhyProfile, ...]) -> WhyView:
        """The whole answer. state, reason: as the page shows them. profiles: the CSMS's, from the link side."""
        evse, channel, grant, now = self._evse, self._channel, self._grant, self._at.mono_s
        session = evse.session is not None
        layers, rows, plan = tuple(self._layers()), tuple(self._rows()), tuple(self._plan())
        limit_a = channel.present_a(now) if session else None
        return WhyView(
            id=str(self._key),
            name=evse.place.config.name,
            now_wall_s=self._at.wall_s,
            state=state,
            sentence=self._sentence(layers, rows, plan, reason),
            limit_a=limit_a,
            setpoint_w=grant.setpoint_w if grant is not None else None,
            drawn_a=evse.drawn_a,
            reason=reason,
            ends_wall_s=grant.ends_wall_s if grant is not None else None,
            priority=self._claim.priority if self._claim is not None else evse.place.config.priority,
            priority_from=self._priority_words(),
            layers=layers,
            rows=rows,
            profiles=profiles,
            plan=plan,
            told=tuple(self._told()),
        )

    # -- in one line -------------------------------------------------------------------------------------

    def _sentence(self, layers: Sequence[WhyLayer], rows: Sequence[WhyRow], plan: Sequence[WhyStep], reason: str) -> str:
        evse, channel, grant = self._evse, self._channel, self._grant
        if not channel.online:
            return f"{self._key}: {reason or 'its station is not connected'}."
        if evse.session is None:
            return f"{self._key}: no car charges here; the next one starts with the fallback of {evse.place.fallback_a:g} A."
        amps = f"{channel.present_a(self._at.mono_s):g} A"
        if grant is not None and grant.setpoint_w is not None and grant.setpoint_w < 0:
            return f"{self._key} gives back {-grant.setpoint_w / 1000:.1f} kW: {grant.reason}."
        if grant is None:
            return f"{self._key} has {amps}: the first decision is still to come."
        if grant.waiting:
            return f"{self._key} waits for its turn: {grant.reason.removeprefix(WAITING)}. {self._turn_words()}".rstrip()
        full = next((row for row in rows if row.binds), None)
        if full is not None:
            shared = f"{full.other_a:.0f} A other load, {full.others_a:.0f} A other cars, {full.booked_a + full.margin_a:.0f} A kept free"
            return f"{self._key} has {amps}: {full.what} {full.phase} carries {full.carries_a:.0f} A and is full ({shared})."
        lowest = layers[0] if layers else None
        has_a = channel.present_a(self._at.mono_s)
        more = f", {lowest.limit_a:g} A" if lowest is not None and lowest.binds and abs(lowest.limit_a - has_a) > FULL_A else ""
        planned = f" - {plan[0].reason}" if plan and lowest is not None and lowest.binds and lowest.source == PLAN else ""
        return f"{self._key} has {amps}: {grant.reason}{more}{planned}."

    def _turn_words(self) -> str:
        turn = self._site.turns.of.get(self._key)
        if turn is None or turn.served:
            return ""
        ahead = sum(1 for other in self._site.turns.of.values() if not other.served and other.since_mono_s < turn.since_mono_s)
        waited_s = self._at.mono_s - turn.since_mono_s
        return f"It has waited {waited_s:.0f} s; {_counted(ahead, 'car has', 'cars have')} waited longer."

    def _priority_words(self) -> str:
        evse = self._evse
        driver = evse.session.driver if evse.session is not None else None
        parts = [f"EVSE {evse.place.config.priority:+d}"]
        if driver is not None and driver.priority:
            parts.append(f"{'group ' + driver.group if driver.group else 'driver'} {driver.priority:+d}")
        if evse.prioritised:
            parts.append(f"priority charging +{PRIORITISED}")
        return ", ".join(parts)

    # -- the limits of the EVSE itself ---------------------------------------------------------------------

    def _layers(self) -> Iterator[WhyLayer]:
        inputs = self._site.budget.inputs
        if inputs is None:
            return
        found = sorted(self._site.budget.layers(self._evse, self._channel, inputs), key=lambda layer: layer.limit_a)
        for number, layer in enumerate(found):
            yield WhyLayer(layer.reason, layer.source, max(0.0, layer.limit_a), layer.ends_wall_s, number == 0 and self._binds(layer))

    def _binds(self, layer: Layer) -> bool:
        """Whether the EVSE's own lowest limit, and not what it shares, decides."""
        return self._grant is not None and not self._grant.waiting and self._grant.reason == layer.reason

    # -- what it shares ------------------------------------------------------------------------------------

    def _rows(self) -> list[WhyRow]:
        frozen, claim = self._frozen, self._claim
        if frozen is None or claim is None:
            return []
        granted = self._granted(frozen)
        found = [self._row(frozen, index, granted.get(index, 0.0)) for index in claim.rows]
        return sorted(found, key=lambda row: row.left_a)

    def _granted(self, frozen: SiteState) -> dict[int, float]:
        """Row -> what all cars on it were given [A]."""
        granted: dict[int, float] = {}
        for claim in frozen.claims:
            grant = self._site.grants.get(claim.key)
            for row in claim.rows:
                granted[row] = granted.get(row, 0.0) + (grant.limit_a if grant is not None else 0.0)
        return granted

    def _row(self, frozen: SiteState, index: int, granted_a: float) -> WhyRow:
        row, circuits = frozen.rows[index], list(self._site.layout.circuits)
        own_a = self._grant.limit_a if self._grant is not None else 0.0
        left_a = max(0.0, row.capacity_a - granted_a)
        binds = self._grant is not None and self._grant.reason.removeprefix(WAITING) == row.reason and (left_a < FULL_A or self._grant.waiting)
        if index >= 3 * len(circuits):
            return WhyRow(row.reason, "", row.capacity_a, 0.0, 0.0, 0.0, max(0.0, granted_a - own_a), own_a, left_a, binds)
        name, phase = circuits[index // 3], index % 3
        inputs = self._site.budget.inputs
        other_a = inputs.loads[name].other_a[phase] if inputs is not None else 0.0
        booked_a = self._booked(frozen, name, phase)
        carries_a, margin_a, what = row.capacity_a + booked_a + other_a, 0.0, row.reason
        if row.source not in (LIMIT, OPERATOR):  # the copper: what the rows keep free below it is a margin
            circuit = self._site.layout.circuits[name]
            what = "fuse" if circuit.parent is None else f"circuit {name}"
            carries_a, margin_a = circuit.fuse_a, max(0.0, circuit.fuse_a - carries_a)
        others_a = max(0.0, granted_a - own_a)
        return WhyRow(what, PHASE_NAMES[phase], carries_a, other_a, margin_a, booked_a, others_a, own_a, left_a, binds)

    def _booked(self, frozen: SiteState, circuit: str, phase: int) -> float:
        below = self._site.layout.below[circuit]
        return sum(amps for key, amps in frozen.booked_a.items() if key in below and phase in self._site.evses[key].phases)

    # -- what the station knows ------------------------------------------------------------------------------

    def _told(self) -> Iterator[str]:
        channel, now = self._channel, self._at.mono_s
        floor = {Floor.CONFIRMED: "confirmed by the station", Floor.FAILED: "refused or read back too high"}.get(channel.floor, "not confirmed yet")
        yield f"fallback {channel.place.fallback_a:g} A, {floor}"
        live = channel.live(now)
        if live is not None:
            way = live.strategy
            kind = "Dynamic " if way.dynamic else "relative " if way.relative else ""
            yield f"setpoint {live.told_a:g} A accepted {now - live.at_mono_s:.0f} s ago as {kind}{PURPOSE_WORDS[way.purpose]} in {way.unit}"
        if channel.sent is not None and not channel.answered:
            yield f"setpoint {channel.sent.told_a:g} A sent {now - channel.asked_mono_s:.0f} s ago, no answer yet"
        if channel.overdraw_part > 0:
            yield f"it draws {100 * channel.overdraw_part:.0f} % more than told, and is told less for that"
        if channel.uncontrollable:
            yield "it takes no setpoints: its maximum is kept free for it"
        if channel.last_reason and (channel.uncontrollable or channel.rejections):
            yield f"last refusal: {channel.last_reason}"
        writes = self._site.actuator.writes_today(self._key.station_id, self._at.wall_s)
        yield f"{writes} profiles written into {self._key.station_id} today"

    # -- the plan ------------------------------------------------------------------------------------------------

    def _plan(self) -> Iterable[WhyStep]:
        planner = self._site.planner
        plan, problem = planner.plan, planner.problem
        if plan is None or problem is None or not planner.usable(self._at):
            return ()
        ev = next((one for one in problem.evs if one.ev_id == str(self._key)), None)
        watts = plan.ev_power_w.get(str(self._key))
        return () if ev is None or watts is None else _stretches(self._evse, problem, plan, ev, watts, self._at.wall_s)


PURPOSE_WORDS: Final = {"tx": "TxProfile", "tx_default": "TxDefaultProfile", "station_max": "station-max profile"}


def explain(site: Site, key: EvseKey, at: Stamp, profiles: tuple[WhyProfile, ...] = ()) -> WhyView:
    """Why the EVSE gets what it gets. key: an EVSE of this site."""
    shown = site.reporter.words(site, key, at)
    return Explainer(site, key, at).view(*shown, profiles)


def _counted(count: int, one: str, many: str) -> str:
    return f"{count or 'no'} {one if count == 1 else many}"


def _stretches(evse: EvseState, problem: Problem, plan: Plan, ev: Ev, watts: Sequence[float], now_wall_s: float) -> tuple[WhyStep, ...]:
    """The plan of one car as stretches of equal power with what holds each; from now to its departure."""
    per_a = problem.voltage_v * max(1, len(ev.phases))
    found: list[WhyStep] = []
    for number, slot in enumerate(problem.slots):
        end_s = slot.start_wall_s + slot.duration_s
        if end_s <= now_wall_s:
            continue
        if slot.start_wall_s >= ev.departure_wall_s or len(found) > MOST_STEPS:
            break
        reason = _held_by(evse, problem, plan, ev, number)
        last = found[-1] if found else None
        if last is not None and abs(last.power_w - watts[number]) < SAME_W and last.reason == reason:
            found[-1] = WhyStep(last.start_wall_s, end_s, last.power_w, last.limit_a, reason)
        else:
            found.append(WhyStep(max(now_wall_s, slot.start_wall_s), end_s, watts[number], watts[number] / per_a, reason))
    return tuple(found[:MOST_STEPS])


def _held_by(evse: EvseState, problem: Problem, plan: Plan, ev: Ev, slot: int) -> str:
    """What holds a planned power where it is."""
    power_w = plan.ev_power_w[ev.ev_id][slot]
    if power_w < 0:
        return "gives back: it pays at this price"
    if power_w >= ev.max_power_w - SAME_W:
        return "charger or car maximum"
    wished_w = ev.max_slot_power_w[slot] if ev.max_slot_power_w else math.inf
    if power_w >= wished_w - SAME_W:
        return evse.wish_reason or "upstream profile"
    full = _full_node(problem, plan, ev, slot)
    if full:
        return full
    if problem.import_limit_w and plan.grid_power_w[slot] >= problem.import_limit_w[slot] - SAME_W:
        return "import limit of the site"
    if problem.demand_per_kw > 0 and plan.grid_power_w[slot] >= max(plan.peak_w, problem.peak_so_far_w) - SAME_W:
        return "no higher peak than the month has to pay for"
    return "other hours are cheaper" if power_w < SAME_W else "enough until it leaves"


def _full_node(problem: Problem, plan: Plan, ev: Ev, slot: int) -> str:
    """The circuit above a car that the plan fills in this slot; "" if there is none."""
    nodes = {node.node_id: node for node in problem.nodes}
    step: str | None = ev.node_id
    while step is not None:
        node = nodes[step]
        limit_a = min(node.limit_a[ev.phases[0]], node.slot_limit_a[slot]) if node.slot_limit_a else node.limit_a[ev.phases[0]]
        for phase in ev.phases:
            if _planned_a(problem, plan, step, phase, slot) >= limit_a - FULL_A:
                return f"{node.node_id} {PHASE_NAMES[phase]} is full in the plan"
        step = node.parent
    return ""


def _planned_a(problem: Problem, plan: Plan, node_id: str, phase: int, slot: int) -> float:
    """Planned current of a node and phase: other load below it and all cars [A]."""
    below = _below(problem, node_id)
    load_a = sum(node.other_load_a[slot][phase] for node in problem.nodes if node.node_id in below and node.other_load_a)
    cars = (one for one in problem.evs if one.node_id in below and phase in one.phases)
    return load_a + sum(plan.ev_power_w[one.ev_id][slot] / (problem.voltage_v * len(one.phases)) for one in cars if one.ev_id in plan.ev_power_w)


def _below(problem: Problem, node_id: str) -> set[str]:
    found = {node_id}
    for _ in problem.nodes:
        more = {node.node_id for node in problem.nodes if node.parent in found} - found
        if not more:
            break
        found |= more
    return found

