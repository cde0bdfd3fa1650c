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
from controller.site.layout import PHASE_NAMES
from controller.site.sharing.arbiter import WAITING, Claim, Grant
from controller.site.sharing.budget import SiteState
from controller.site.sharing.layers import PLAN, Layer
from controller.site.sharing.turns import PRIORITISED
from controller.site.state import EvseState
from controller.site.stations.channel import Channel, Floor, Sent
from controller.site.stations.narrowing import MINE, OTHERS
from controller.site.telling.why_rows import FULL_A, SharedRows, binding, full_words
from controller.snapshot import WhyLayer, WhyProfile, WhyRow, WhyStep, WhyView
from optimizer.problem import Ev, Node, Plan, Problem

if TYPE_CHECKING:
    from controller.site.site import Site

TEST: Final = "test"
"""Source of the layer that a commissioning test puts on an EVSE."""
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
        evse, grant = self._evse, self._grant
        session = evse.session is not None
        layers, rows, plan = tuple(self._layers()), tuple(self._rows()), tuple(self._plan())
        limit_a = self._told_a() if session else None
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
        uncommanded = self._uncommanded()
        if uncommanded:
            return f"{self._key} {uncommanded}."
        if evse.session is None:
            doubt = "" if channel.confirmed else ", which its station has not confirmed"
            return f"{self._key}: no car charges here; the next one starts with the fallback of {evse.place.fallback_a:g} A{doubt}."
        has_a = self._told_a()
        amps = f"{has_a:.3g} A"
        if self._gives_w() > 0 and grant is not None:
            return f"{self._key} gives back {self._gives_w() / 1000:.1f} kW: {grant.reason}."
        if grant is None:
            return f"{self._key} has {amps}: the first decision is still to come."
        if grant.waiting:
            return f"{self._key} waits for its turn: {grant.reason.removeprefix(WAITING)}. {self._turn_words()}".rstrip()
        full = binding(rows)
        if full is not None:
            return f"{self._key} has {amps}: {full_words(full)}."
        lowest = layers[0] if layers else None
        more = f", {lowest.limit_a:g} A" if lowest is not None and lowest.binds and abs(lowest.limit_a - has_a) > FULL_A else ""
        planned = f" - {plan[0].reason}" if plan and lowest is not None and lowest.binds and lowest.source == PLAN else ""
        return f"{self._key} has {amps}: {grant.reason}{more}{planned}."

    def _told_a(self) -> float:
        """The setpoint as its station was told it [A]: where cars draw more than told, more counts."""
        channel, now = self._channel, self._at.mono_s
        sent = channel.sent if channel.online else channel.accepted
        return sent.told_a if sent is not None and now < sent.ends_mono_s else self._evse.place.fallback_a

    def _gives_w(self) -> float:
        """What its station was told to give back [W]; 0 where it was not told, or refused."""
        sent = self._channel.sent
        return sent.given_w if sent is not None and self._at.mono_s < sent.ends_mono_s else 0.0

    def _uncommanded(self) -> str:
        """What happens where setpoints do not decide; "" where they do."""
        channel, kept_a = self._channel, self._frozen.booked_a.get(self._key) if self._frozen is not None else None
        if channel.uncontrollable:
            kept_a = kept_a if kept_a is not None else self._evse.place.config.max_current_a
            return f"takes no setpoints ({channel.last_reason or 'no reason given'}): {kept_a:.3g} A are kept free for it"
        if kept_a is None or self._evse.session is None:
            return ""
        drawn = f"draws {self._evse.drawn_a:.3g} A" if self._evse.drawn_a is not None else "may draw"
        return f"{drawn} with a setpoint of {self._told_a():.3g} A: it does not follow, {kept_a:.3g} A are kept free for it"

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
        if self._claim is not None and self._claim.cap_reason == MINE:
            parts.append(f"commissioning test: {self._claim.priority} instead")
        return ", ".join(parts)

    # -- the limits of the EVSE itself ---------------------------------------------------------------------

    def _layers(self) -> Iterator[WhyLayer]:
        inputs = self._site.budget.inputs
        if inputs is None:
            return
        found = sorted([*self._of_test(), *self._site.budget.layers(self._evse, self._channel, inputs)], key=lambda layer: layer.limit_a)
        for number, layer in enumerate(found):
            yield WhyLayer(layer.reason, layer.source, max(0.0, layer.limit_a), layer.ends_wall_s, number == 0 and self._binds(layer))

    def _of_test(self) -> Iterator[Layer]:
        """A commissioning test narrows what the EVSE may have, as the last decision saw it."""
        claim = self._claim
        if claim is not None and claim.cap_reason in (MINE, OTHERS):
            yield Layer(claim.cap_a / (1.0 + self._channel.overdraw_part), claim.cap_reason, TEST)

    def _binds(self, layer: Layer) -> bool:
        """Whether the EVSE's own lowest limit, and not what it shares, decides."""
        return self._grant is not None and not self._grant.waiting and self._grant.reason == layer.reason

    # -- what it shares ------------------------------------------------------------------------------------

    def _rows(self) -> list[WhyRow]:
        frozen = self._frozen
        return SharedRows(self._site, frozen, self._evse, self._claim, self._grant).all() if frozen is not None else []

    # -- what the station knows ------------------------------------------------------------------------------

    def _told(self) -> Iterator[str]:
        channel, now = self._channel, self._at.mono_s
        floor = {Floor.CONFIRMED: "confirmed by the station", Floor.FAILED: "refused or read back too high"}.get(channel.floor, "not confirmed yet")
        yield f"fallback {channel.place.fallback_a:g} A, {floor}"
        live = channel.live(now)
        if live is not None:
            way = live.strategy
            kind = "Dynamic " if way.dynamic else "relative " if way.relative else ""
            accepted = f"accepted {now - live.at_mono_s:.0f} s ago"
            yield f"setpoint {self._setpoint_words(live)} {accepted} as {kind}{PURPOSE_WORDS[way.purpose]} in {way.unit}"
        if channel.sent is not None and not channel.answered:
            yield f"setpoint {channel.sent.told_a:.4g} A sent {now - channel.asked_mono_s:.0f} s ago, no answer yet"
        if channel.overdraw_part > 0:
            yield f"it draws {100 * channel.overdraw_part:.0f} % more than told, and is told less for that"
        if channel.uncontrollable:
            yield "it takes no setpoints: its maximum is kept free for it"
        if channel.last_reason and (channel.uncontrollable or channel.rejections):
            yield f"last refusal: {channel.last_reason}"
        writes = self._site.actuator.writes_today(self._key.station_id, self._at.wall_s)
        yield f"{writes} profiles written into {self._key.station_id} today"

    def _setpoint_words(self, live: Sent) -> str:
        whole = self._site.actuator.trunks.line(self._key.station_id)
        if whole is not None and whole.accepted is not None:
            return f"{whole.accepted.told_a:.4g} A for the whole station, {live.told_a:.4g} A of it for this EVSE,"
        return f"{-live.given_w / 1000:.1f} kW" if live.given_w > 0 else f"{live.told_a:.4g} A"

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
        if node.slot_total_w and _planned_w(problem, plan, node, slot) >= node.slot_total_w[slot] - 3 * SAME_W:
            return f"{node.node_id} is full in the plan"
        step = node.parent
    return ""


def _planned_w(problem: Problem, plan: Plan, node: Node, slot: int) -> float:
    """Planned power of a node as its limit in watts counts it; at the grid connection with PV and battery [W]."""
    if node.parent is None:
        return plan.grid_power_w[slot]
    battery_w = plan.battery_power_w[slot] if node.battery_counts and plan.battery_power_w else 0.0
    return problem.voltage_v * sum(_planned_a(problem, plan, node.node_id, phase, slot) for phase in (0, 1, 2)) + max(0.0, battery_w)


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
