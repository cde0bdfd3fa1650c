"""What the operator's CSMS is told of the whole site: values and limit of the grid connection, for EVSE 0 of a depot face.

Every ten seconds, and at once when the limit or a DER alarm changes. Sites without a depot face tell nothing.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from controller.config import ROOT_CIRCUIT, Config
from controller.facts import Stamp
from controller.orders import AnnounceSite, Order
from controller.site.meters.freshness import Health
from controller.site.sharing.inputs import FaceWish
from controller.site.sharing.layers import EMS, GRID_OPERATOR

if TYPE_CHECKING:
    from controller.site.site import Site

EVERY_S: Final = 10.0
CHANGED_A: Final = 0.05
"""Smaller changes of the limit are none [A]."""
LIMIT_MAX_DISCHARGE: Final = "LimitMaxDischarge"
ALARM_W: Final = 50.0
"""A DER control that holds back less than this is no alarm [W]."""
Held = tuple[float, str, str, float | None]
"""(limit per phase [A], source, word of NotifyChargingLimit, its end)."""


class SiteNews:
    """Remembers what was told last."""

    def __init__(self, config: Config) -> None:
        self._wanted = any(upstream.face == "depot" for upstream in config.upstreams)
        self._fuse_a = config.grid.fuse_a
        self._due_mono_s = -math.inf
        self._told: tuple[Held, tuple[str, ...]] | None = None

    def look(self, site: Site, at: Stamp) -> list[Order]:
        """The announcement, if it is due."""
        if not self._wanted:
            return []
        held, alarms = self._held(site, at), alarms_of(site, at)
        if at.mono_s < self._due_mono_s and self._told is not None and not _differs(self._told, (held, alarms)):
            return []
        self._told, self._due_mono_s = (held, alarms), at.mono_s + EVERY_S
        watch = site.meters.watches.get(site.layout.circuits[ROOT_CIRCUIT].meter or "")
        last = watch.last if watch is not None and watch.health is not Health.LOST else None
        volts = [value for value in last.voltage_v if value is not None] if last is not None else []
        limit_a, source, notified, until_wall_s = held
        return [
            AnnounceSite(
                site.meters.grid_power_w(),
                site.meters.grid_current_a() or (None, None, None),
                sum(volts) / len(volts) if volts else None,
                last.energy_import_wh if last is not None else None,
                last.energy_export_wh if last is not None else None,
                limit_a,
                source,
                sum(evse.power_w or 0.0 for evse in site.evses.values()),
                alarms,
                notified,
                until_wall_s,
            )
        ]

    def _held(self, site: Site, at: Stamp) -> Held:
        """What bounds the whole connection now."""
        found: Held = (self._fuse_a, "fuse", "", None)
        limit = site.limits.smallest(at.mono_s).get(ROOT_CIRCUIT)
        if limit is not None and limit.limit_a < found[0]:
            found = (limit.limit_a, limit.source, GRID_OPERATOR if limit.by_operator else EMS, limit.ends_wall_s)
        wish = site.grid_wishes.limit_a(at.wall_s)
        return (wish[0], "csms", "", wish[2]) if wish is not None and wish[0] < found[0] else found


def _differs(told: tuple[Held, tuple[str, ...]], now: tuple[Held, tuple[str, ...]]) -> bool:
    (before, alarms), (after, later) = told, now
    return alarms != later or before[1:3] != after[1:3] or abs(before[0] - after[0]) > CHANGED_A


def alarms_of(site: Site, at: Stamp) -> tuple[str, ...]:
    """DER controls that hold cars below what their CSMS's profiles ask of them (R05.FR.01). A plan is no profile: it knows the control."""
    for face in site.grid_wishes.now(at.wall_s):
        if face.discharge_w is not None and face.discharge_reason.startswith("DER ") and _asked_w(site, face, at) > face.discharge_w + ALARM_W:
            return (LIMIT_MAX_DISCHARGE,)
    return ()


def _asked_w(site: Site, face: FaceWish, at: Stamp) -> float:
    """What the CSMS asks its cars that are here to give back [W]."""
    asked_w = 0.0
    for key, evse in site.evses.items():
        if key.station_id in face.stations and evse.session is not None and evse.place.config.v2g is not None:
            step, _ = evse.wish_step(at.wall_s)
            if step is not None and step.setpoint_a is not None:
                asked_w += max(0.0, -step.setpoint_a) * site.layout.voltage_v * (step.phase_count or len(evse.place.phases))
    return max(asked_w, -(face.setpoint_w or 0.0) if any(evse.session is not None for evse in site.evses.values()) else 0.0)
