"""Reports: what page, API, MQTT and history are told about the site. Decides nothing about watts.

``view`` fills the site half of ``snapshot``; ``tick`` publishes the state every few seconds and
records points of history. A number nobody measures is None or left out, never 0.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from controller.config import ROOT_CIRCUIT, Config
from controller.facts import ChargingState, EvseKey, EvseStatus, PhaseAmps, Stamp
from controller.orders import Order, Publish, RecordPoint
from controller.site.guard import total_of
from controller.site.layout import PHASE_NAMES, PHASES, Layout
from controller.site.meters.views import device_states, meter_points, meter_states, meter_views, signal_points, signal_states
from controller.site.plans.explained_words import Telling
from controller.site.plans.planning import NEED_REACHED
from controller.site.state import EvseState
from controller.site.telling.bounds import every_bound
from controller.snapshot import CircuitView, EvseView, GridView, LimitView, MaybeTriple, SiteView, SourceView, Triple

if TYPE_CHECKING:
    from controller.site.site import Site

PUBLISH_S, PUBLISH_GAP_S = 5.0, 1.0
"""The state is published this often, and not more often than this after a change [s]."""
BINDING_A = 1.0
"""A limit binds when what it limits is no further below it than this [A]."""
RECORD_WALL_S = 10.0
"""A point of history at most every so many seconds of the wall clock, and not more than one a second."""
KINDS = {"mqtt": "mqtt", "history": "history", "solver": "solver"}


@dataclass(frozen=True, slots=True)
class SourceNow:
    """What a shell last said about its connection."""

    healthy: bool
    detail: str
    since_mono_s: float


class Reporter:
    """Remembers only when it last reported."""

    def __init__(self, config: Config, layout: Layout) -> None:
        self._config, self._layout = config, layout
        self._published_mono_s = -math.inf
        self._recorded_mono_s = -math.inf
        self._hurry = False
        self._telling = Telling(config.tariff.currency)

    def hurry(self) -> None:
        """Something changed that is worth publishing soon."""
        self._hurry = True

    def tick(self, site: Site, at: Stamp) -> list[Order]:
        """Publish and record what is due."""
        orders: list[Order] = []
        passed_s = at.mono_s - self._published_mono_s
        if passed_s >= PUBLISH_S or (self._hurry and passed_s >= PUBLISH_GAP_S):
            self._published_mono_s, self._hurry = at.mono_s, False
            orders.append(Publish("state", self._state(site, at), retain=True))
        if at.mono_s - self._recorded_mono_s >= max(1.0, RECORD_WALL_S / at.wall_speed):
            self._recorded_mono_s = at.mono_s
            orders += self._points(site, at)
        return orders

    # -- MQTT --------------------------------------------------------------------------------------------

    def _state(self, site: Site, at: Stamp) -> dict[str, object]:
        now = at.mono_s
        evses = [
            {
                "id": str(key),
                "state": self._word(site, key, evse, now),
                "limit_a": site.actuator.channels[key].present_a(now) if evse.session is not None else None,
                "power_w": _rounded(evse.power_w),
                "energy_wh": _rounded(evse.session.charged_wh) if evse.session is not None else None,
                "reason": self._reason(site, key, evse, now),
            }
            for key, evse in site.evses.items()
        ]
        currents_a = site.meters.grid_current_a()
        return {
            "at_wall_s": round(at.wall_s, 1),
            "mode": site.mode.mode.value,
            "mode_reason": site.mode.reason,
            "grid": {
                "current_a": [round(a, 2) for a in currents_a] if currents_a else None,
                "power_w": _rounded(site.meters.grid_power_w()),
                "ev_power_w": _rounded(self._ev_power_w(site)),
            },
            "limits_a": {view.id: list(view.limit_a) for view in self._circuits(site, at)},
            "evses": evses,
            "meters": meter_states(site, at),
            "signals": signal_states(site, at),
            "devices": device_states(site, at),
        }

    def limits_order(self, site: Site, at: Stamp) -> Order:
        """The effective limit of every circuit with its source and end, and what the CSMS of a depot allows all its chargers; retained."""
        smallest = site.limits.smallest(at.mono_s)
        circuits: dict[str, object] = {}
        for name, circuit in self._layout.circuits.items():
            limit = smallest.get(name)
            below = limit is not None and limit.limit_a < circuit.fuse_a
            circuits[name] = {
                "limit_a": round(limit.limit_a, 2) if limit is not None and below else circuit.fuse_a,
                "source": limit.source if limit is not None and below else "fuse",
                "ends_wall_s": limit.ends_wall_s if limit is not None and below else None,
                **({"total_w": limit.value} if limit is not None and below and limit.total_a is not None else {}),
            }
        csms = {
            wish.face: {"limit_a": round(wish.limit_a, 2), "reason": wish.reason, "ends_wall_s": wish.ends_wall_s}
            for wish in site.grid_wishes.now(at.wall_s)
            if wish.limit_a is not None
        }
        return Publish("limit/state", {"at_wall_s": round(at.wall_s, 1), "circuits": circuits, **({"csms": csms} if csms else {})}, retain=True)

    # -- history ------------------------------------------------------------------------------------------

    def _points(self, site: Site, at: Stamp) -> Iterable[Order]:
        yield RecordPoint("grid", {}, self._grid_fields(site, at), at.wall_s)
        for key, evse in site.evses.items():
            if evse.session is None:
                continue
            fields = {"limit_a": site.actuator.channels[key].present_a(at.mono_s), "energy_wh": evse.session.charged_wh}
            if evse.power_w is not None:
                fields["power_w"] = evse.power_w
            yield RecordPoint("evse", {"evse": str(key)}, fields, at.wall_s)

        yield from meter_points(site, at)
        yield from signal_points(site, at)
        yield from site.devices.points(site.meters.side_power_w("battery"), at)

    def _grid_fields(self, site: Site, at: Stamp) -> dict[str, float]:
        fields = {"ev_power_w": self._ev_power_w(site)}
        root = next(iter(self._circuits(site, at)))
        for phase in range(self._layout.phase_count):
            fields[f"limit_{PHASE_NAMES[phase].lower()}_a"] = root.limit_a[phase]
        currents_a, power_w = site.meters.grid_current_a(), site.meters.grid_power_w()
        if currents_a is not None:
            fields |= {f"current_{PHASE_NAMES[phase].lower()}_a": currents_a[phase] for phase in range(self._layout.phase_count)}
        more = {"power_w": power_w, "pv_w": site.meters.side_power_w("pv"), "battery_w": site.meters.side_power_w("battery")}
        return fields | {name: watts for name, watts in more.items() if watts is not None}

    def session_point(self, evse: EvseState, at: Stamp) -> Order:
        """The summary of a session at its end."""
        session = evse.session
        assert session is not None
        fields = {"energy_wh": session.charged_wh, "duration_s": max(0.0, at.wall_s - session.started_wall_s)}
        if session.need_wh is not None:
            fields["missing_wh"] = session.need_wh
        tags = {"evse": str(evse.place.key), "transaction_id": session.transaction_id}
        return RecordPoint("session", tags, fields, at.wall_s)

    # -- the picture ---------------------------------------------------------------------------------------

    def view(self, site: Site, at: Stamp) -> SiteView:
        """The site half of the snapshot."""
        return SiteView(
            mode=site.mode.mode.value,
            mode_reason=site.mode.reason,
            grid=self._grid(site, at),
            circuits=tuple(self._circuits(site, at)),
            evses=tuple(self._evse(site, key, evse, at) for key, evse in site.evses.items()),
            limits=tuple(self._limits(site, at)),
            sources=tuple(self._sources(site, at)),
            plan=site.planner.view(),
            signals=site.outside.view(at),
            explain=self._telling.look(site.explained, site.planner.plan if site.planner.usable(at) else None, at),
            devices=site.devices.views(site.meters.side_power_w("battery"), at.mono_s),
            series=site.series.view(at),
            meters=meter_views(site, at),
            bounds=every_bound(site, at),
        )

    def _grid(self, site: Site, at: Stamp) -> GridView:
        meters, grid = site.meters, self._config.grid
        power_w, ev_w = meters.grid_power_w(), self._ev_power_w(site)
        pv_w, battery_w = meters.side_power_w("pv"), meters.side_power_w("battery")
        building_w = power_w - ev_w - (pv_w or 0.0) - (battery_w or 0.0) if power_w is not None else None
        return GridView(
            fuse_a=grid.fuse_a,
            voltage_v=grid.voltage_v,
            phases=grid.phases,
            current_a=meters.grid_current_a() or (None, None, None),
            power_w=power_w,
            meter_age_s=meters.grid_age_s(at.mono_s),
            ev_current_a=self._ev_current_a(site, ROOT_CIRCUIT),
            ev_power_w=ev_w,
            building_w=building_w,
            pv_w=pv_w,
            battery_w=battery_w,
            battery_soc_percent=meters.soc_percent(),
        )

    @staticmethod
    def _ev_power_w(site: Site) -> float:
        return sum(evse.power_w or 0.0 for evse in site.evses.values())

    def _ev_current_a(self, site: Site, circuit: str) -> Triple:
        total = [0.0, 0.0, 0.0]
        for key in self._layout.below[circuit]:
            for phase in PHASES:
                total[phase] += site.evses[key].current_a[phase] or 0.0
        return total[0], total[1], total[2]

    def _circuits(self, site: Site, at: Stamp) -> Iterable[CircuitView]:
        bounds, loads = site.limits.bounds(at.mono_s), site.meters.loads(at.mono_s)
        for name, circuit in self._layout.circuits.items():
            amps = min(circuit.fuse_a, *bounds.of(name))
            cars, other = self._ev_current_a(site, name), loads[name].other_a
            load: PhaseAmps = (cars[0] + other[0], cars[1] + other[1], cars[2] + other[2])
            yield CircuitView(name, circuit.parent, circuit.fuse_a, (amps, amps, amps), load)

    def _limits(self, site: Site, at: Stamp) -> Iterable[LimitView]:
        in_force, bounds, loads = site.limits.in_force(at.mono_s), site.limits.bounds(at.mono_s), site.meters.loads(at.mono_s)
        for circuit in self._circuits(site, at):
            name, lowest, load_a = circuit.id, bounds.phase.get(circuit.id), max(circuit.load_a)
            copper_a = circuit.fuse_a - loads[name].margin_a
            by_fuse = lowest is None or lowest.limit_a >= copper_a
            binds = by_fuse and (self._waits_for(site, name, _fuse_words(circuit)) or load_a >= copper_a - BINDING_A)
            yield LimitView("fuse", name, circuit.fuse_a, "A", circuit.fuse_a, None, binds)
            for one in in_force:
                if one.circuit == name:
                    full = load_a >= one.limit_a - BINDING_A if one.total_a is None else _fills(circuit.load_a, one.total_a)
                    holds = one == bounds.total.get(name) or (one == lowest and not by_fuse)
                    binds = holds and (full or self._waits_for(site, name, one.reason))
                    yield LimitView(one.source, name, one.value, one.unit.value, one.limit_a, one.ends_wall_s, binds)
        yield from self._controllable(site, at)
        for key, evse in site.evses.items():
            wish_a, grant = evse.wish_now(at.wall_s), site.grants.get(key)
            if wish_a is not None:
                reason = evse.wish_reason or "upstream profile"
                binds = grant is not None and grant.reason == reason and (evse.drawn_a or 0.0) >= wish_a - BINDING_A
                yield LimitView(reason, str(key), wish_a, "A", wish_a, _wish_end(evse, at.wall_s), binds)
        yield from self._station_wishes(site, at)
        yield from self._face_wishes(site, at)

    def _controllable(self, site: Site, at: Stamp) -> Iterable[LimitView]:
        """Limits of the controllable loads below a circuit."""
        for circuit, limit in site.limits.controllable(at.mono_s).items():
            cars_w = sum(site.evses[key].power_w or 0.0 for key in self._layout.below[circuit]) + site.limits.charging_w(circuit)
            waits = self._waits_for(site, circuit, limit.reason)
            binds = waits or cars_w >= limit.value - BINDING_A * self._layout.voltage_v * self._layout.phase_count
            where = f"controllable loads of {circuit}"
            yield LimitView(limit.source, where, limit.value, limit.unit.value, limit.limit_a, limit.ends_wall_s, binds)

    def _waits_for(self, site: Site, circuit: str, words: str) -> bool:
        """Whether a car below has not even its minimum because of this limit: then it binds well below its value."""
        grants = (site.grants.get(key) for key in self._layout.below[circuit])
        return any(grant.limit_a <= 0.0 and words in grant.reason for grant in grants if grant is not None)

    def _station_wishes(self, site: Site, at: Stamp) -> Iterable[LimitView]:
        """The CSMS's limits for the sum of a station, named by the station alone."""
        for station_id, wish in site.station_wishes.items():
            limit_a = wish.wish_now(at.wall_s)
            if limit_a is None:
                continue
            keys = self._layout.by_station[station_id]
            load_a = max(sum(site.evses[key].current_a[phase] or 0.0 for key in keys) for phase in PHASES)
            reason = wish.wish_reason or "upstream profile"
            held = any(reason in grant.reason for key in keys if (grant := site.grants.get(key)) is not None)
            binds = held and load_a >= limit_a - BINDING_A
            yield LimitView(reason, station_id, limit_a, "A", limit_a, _wish_end(wish, at.wall_s), binds)

    def _face_wishes(self, site: Site, at: Stamp) -> Iterable[LimitView]:
        """What the CSMS of a depot allows all its chargers together, named by its identity: their sum per phase, and what they may give back."""
        for wish in site.grid_wishes.now(at.wall_s):
            keys = [key for key in site.evses if key.station_id in wish.stations]
            if wish.limit_a is not None:
                first_a, second_a, third_a = (sum(site.evses[key].current_a[phase] or 0.0 for key in keys) for phase in PHASES)
                waits = any(grant.limit_a <= 0.0 and wish.reason in grant.reason for key in keys if (grant := site.grants.get(key)) is not None)
                if wish.total_a is None:
                    binds, said = waits or max(first_a, second_a, third_a) >= wish.limit_a - BINDING_A, (wish.limit_a, "A")
                else:
                    binds, said = waits or _fills((first_a, second_a, third_a), wish.total_a), (wish.total_a * site.layout.voltage_v, "W")
                yield LimitView(wish.reason, wish.face, *said, wish.limit_a, wish.ends_wall_s, binds)
            if wish.discharge_w is not None:
                amps = wish.discharge_w / site.layout.voltage_v / site.layout.phase_count
                yield LimitView(wish.discharge_reason, wish.face, wish.discharge_w, "W", amps, None, False)

    def _sources(self, site: Site, at: Stamp) -> Iterable[SourceView]:
        now = at.mono_s
        for meter_id, watch in site.meters.watches.items():
            age_s = watch.age_s(now)
            yield SourceView(meter_id, "meter", watch.health.value, age_s if math.isfinite(age_s) else None, watch.trouble)
        for meter_id, side in site.meters.sides.items():
            age_s = now - side.at_mono_s
            yield SourceView(meter_id, "meter", "good" if side.healthy else "lost", age_s if math.isfinite(age_s) else None, side.detail)
        said = dict(site.sources)
        if self._config.mqtt is None and "mqtt" not in said:
            yield SourceView("mqtt", "mqtt", "off", None, "not configured")
        for name, source in said.items():
            if name != "solver":
                yield SourceView(name, KINDS.get(name, "system"), "good" if source.healthy else "lost", None, source.detail)
        solver = said.get("solver")
        good = not site.planner.failing and (solver is None or solver.healthy)
        detail = site.planner.failing or (solver.detail if solver is not None else "")
        yield SourceView("solver", "solver", "good" if good else "lost", None, detail)

    def _evse(self, site: Site, key: EvseKey, evse: EvseState, at: Stamp) -> EvseView:
        place, channel, session, now = evse.place, site.actuator.channels[key], evse.session, at.mono_s
        in_force = channel.sent if channel.online else channel.accepted
        if in_force is not None and now >= in_force.ends_mono_s:
            in_force = None
        limit_a = channel.present_a(now) if channel.online else channel.known_a(now)
        return EvseView(
            id=str(key),
            station_id=key.station_id,
            evse_id=key.evse_id,
            name=place.config.name,
            circuit=place.circuit,
            phases=place.config.phases,
            state=self._word(site, key, evse, now),
            online=channel.online,
            transaction_id=session.transaction_id if session else None,
            power_w=evse.power_w,
            current_a=_by_station_phase(evse),
            limit_a=limit_a if session else None,
            max_current_a=place.config.max_current_a,
            floor_a=place.fallback_a,
            floor_confirmed=channel.confirmed,
            reason=self._reason(site, key, evse, now),
            ends_wall_s=at.wall_in(in_force.ends_mono_s - now) if session and in_force is not None else None,
            session_energy_wh=session.charged_wh if session else None,
            need_wh=session.need_wh if session else None,
            departure_wall_s=session.departure_wall_s if session else None,
            soc_percent=evse.soc_percent,
            priority=place.config.priority,
        )

    def words(self, site: Site, key: EvseKey, at: Stamp) -> tuple[str, str]:
        """(state, reason) of an EVSE as the page shows them."""
        evse = site.evses[key]
        return self._word(site, key, evse, at.mono_s), self._reason(site, key, evse, at.mono_s)

    @staticmethod
    def _reason(site: Site, key: EvseKey, evse: EvseState, now: float) -> str:
        channel = site.actuator.channels[key]
        if not channel.online:
            return f"station offline - {site.actuator.booked_offline_a(channel, now):g} A kept free for it"
        grant = site.grants.get(key)
        if evse.session is None or grant is None:
            return ""
        return grant.reason

    @staticmethod
    def _word(site: Site, key: EvseKey, evse: EvseState, now: float) -> str:
        """The state as the page shows it."""
        channel, session = site.actuator.channels[key], evse.session
        if not channel.online:
            return "offline"
        drawn = abs(evse.drawn_a or 0.0) > 1.0
        if (evse.status is EvseStatus.FAULTED and not drawn) or (evse.status is EvseStatus.UNAVAILABLE and session is None):
            return str(evse.status.value)
        if session is None:
            return "waiting" if evse.status is EvseStatus.OCCUPIED else "available"
        if (evse.power_w or 0.0) < -100.0:
            return "discharging"
        if (evse.drawn_a or 0.0) > 1.0:
            return "charging"
        grant = site.grants.get(key)
        if grant is not None and grant.waiting:
            return "waiting"
        if grant is not None and grant.limit_a <= 0:
            return "finished" if grant.reason == NEED_REACHED else "paused"
        done = session.charging_state is ChargingState.SUSPENDED_EV and session.charged_wh > 0
        return "finished" if done else "charging" if session.charging_state is ChargingState.CHARGING else "waiting"


def _fills(load_a: PhaseAmps, total_a: float) -> bool:
    """Whether a load leaves less of a total than a step on each phase needs."""
    return total_of(load_a) >= total_a - 3.0 * BINDING_A


def _fuse_words(circuit: CircuitView) -> str:
    return "fuse" if circuit.parent is None else f"circuit {circuit.id} "


def _by_station_phase(evse: EvseState) -> MaybeTriple:
    """Currents by site phase, only for the phases the EVSE is wired to."""
    amps = [evse.current_a[phase] if phase in evse.place.phases else None for phase in PHASES]
    return amps[0], amps[1], amps[2]


def _wish_end(evse: EvseState, wall_s: float) -> float | None:
    """When the step of the upstream schedule that holds now ends; None = not within its horizon."""
    return next((step.start_wall_s for step in evse.wish if step.start_wall_s > wall_s), None)


def _rounded(watts: float | None) -> float | None:
    return None if watts is None else round(watts, 1)
