"""The picture that the laws of battery, inverters and relays look at, taken from the site at one moment."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

from controller.config import PHASE_INDEX, ROOT_CIRCUIT
from controller.facts import Stamp
from controller.site.devices.room import could_draw_a, room_a
from controller.site.devices.scene import Bound, Scene
from controller.site.guard import total_of
from controller.site.layout import PHASES
from controller.site.meters.freshness import Health, Mode

if TYPE_CHECKING:
    from controller.site.site import Site


class Pictures:
    """Keeps the room that the last decision about cars has left."""

    def __init__(self, battery_phases: tuple[int, ...]) -> None:
        self._phases, self.phase_count = battery_phases, len(battery_phases)
        self._room_w = self._kept_w = 0.0

    def decided(self, site: Site) -> None:
        """The arbiter has decided: what is left beside the cars."""
        frozen, per_a = site.frozen, site.layout.voltage_v * len(self._phases)
        if frozen is not None:
            self._room_w = room_a(site.layout, frozen.rows, frozen.claims, self._phases, frozen.totals.get(ROOT_CIRCUIT, ())) * per_a
            self._kept_w = max(site.meters.reserve.now_a, site.meters.rising_a) * per_a

    def take(self, site: Site, at: Stamp) -> Scene:
        """The picture now."""
        now, meters = at.mono_s, site.meters
        pv_w, battery_w = meters.side_power_w("pv"), site.devices.battery_w(meters.side_power_w("battery"), now)
        smallest = site.limits.smallest(now)
        root = site.layout.circuits[ROOT_CIRCUIT]
        return Scene(
            at,
            meters.grid_power_w(),
            _late(site),
            max(0.0, -pv_w) if pv_w is not None else None,
            battery_w,
            site.devices.soc_percent(meters.soc_percent()),
            site.planner.slot_now(at),
            self._room_w,
            self._headroom_a(site, now) * site.layout.voltage_v * len(self._phases),
            site.config.grid.margin_a * site.layout.voltage_v * len(self._phases),
            self._kept_w,
            tuple(exports(site, at)),
            consumption=left_for_battery(site, now),
            part=_part(site),
            generation=site.limits.generation(),
            discharge=_discharge(site, pv_w),
            limited=frozenset(name for name, limit in smallest.items() if limit.limit_a < site.layout.circuits[name].fuse_a),
            over=frozenset(meters.over),
            failsafe=site.mode.mode in (Mode.FAILSAFE, Mode.STOP),
            fuse_w=max(0.0, root.fuse_a - site.config.grid.margin_a) * site.layout.voltage_v * site.layout.phase_count,
            export_spare_w=site.devices.export_spare_w,
            asked_w=site.limits.battery_w(now),
            grid_asked_w=site.limits.setpoint_w(now),
            inverters_w={one.id: -watts for one in site.config.inverters if one.meter and (watts := meters.meter_power_w(one.meter)) is not None},
        )

    def _headroom_a(self, site: Site, now: float) -> float:
        """What the last reading left below fuse or limit on the tightest of the battery's phases [A]; nothing measured = no bound."""
        measured_a, root = site.meters.grid_current_a(), site.layout.circuits[ROOT_CIRCUIT]
        if measured_a is None:
            return math.inf
        limit_a, total_a = site.limits.bounds(now).of(ROOT_CIRCUIT)
        most_a = min(root.fuse_a, limit_a)
        left_a = min(most_a - measured_a[phase] for phase in self._phases)
        return min(left_a, (total_a - total_of(measured_a)) / len(self._phases)) if total_a < math.inf else left_a


def exports(site: Site, at: Stamp) -> Iterable[Bound]:
    """Everything that bounds feeding in now."""
    if site.config.grid.max_export_w is not None:
        yield site.config.grid.max_export_w, "feed-in limit"
    told = site.grid_wishes.export()
    if told is not None:
        yield told
    stated = site.limits.export(at.mono_s)
    if stated is not None:
        yield stated[0], stated[1]


def _discharge(site: Site, pv_w: float | None) -> Bound | None:
    """What a bound of generation leaves to the battery beside PV, which goes first; where nobody measures PV it counts with all it can."""
    bound = site.limits.generation()
    if bound is None:
        return None
    made_w = max(0.0, -pv_w) if pv_w is not None else sum(one.max_power_w for one in site.config.inverters)
    return max(0.0, bound[0] - made_w), bound[1]


def _part(site: Site) -> Bound | None:
    """The part of their rated output that inverters and battery may give."""
    who = site.limits.disconnected()
    return (0.0, who) if who is not None else site.grid_wishes.part()


def left_for_battery(site: Site, now: float) -> Bound | None:
    """What a limit of all controllable loads leaves to the battery's charging beside what cars may draw."""
    found: list[Bound] = []
    for circuit, limit in site.limits.controllable(now).items():
        if circuit == ROOT_CIRCUIT and site.frozen is not None:
            booked_a = site.frozen.booked_a
            cars_a = sum(could_draw_a(claim) * len(site.evses[claim.key].phases) for claim in site.frozen.claims if claim.rows)
            cars_a += sum(amps * len(site.evses[key].phases) for key, amps in booked_a.items())
            limit_w = limit.limit_a * site.layout.voltage_v * site.layout.phase_count
            found.append((limit_w - cars_a * site.layout.voltage_v, limit.reason))
    return min(found, default=None)


def _late(site: Site) -> bool:
    watch = site.meters.watches.get(site.layout.circuits[ROOT_CIRCUIT].meter or "")
    return watch is not None and watch.health is Health.LATE


def battery_phases(site: Site) -> tuple[int, ...]:
    """Site phases the stationary battery is on: those of its meter."""
    config = site.config
    wanted = config.battery.meter if config.battery is not None else None
    meter = next((one for one in config.meters if one.id == wanted or (wanted is None and one.role == "battery")), None)
    phases = PHASES[: site.layout.phase_count]
    if meter is None:
        return phases
    return tuple(PHASE_INDEX[name] for name in meter.phases if PHASE_INDEX[name] in phases) or phases
