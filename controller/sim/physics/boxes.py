"""Charging stations with a temper: ``SimStation`` with a box's habits, and quick while nothing happens in it."""

from __future__ import annotations

import json
from collections import Counter, deque
from dataclasses import dataclass, field
from random import Random

from controller.facts import PhaseAmps, Stamp
from controller.sim.car import Car
from controller.sim.evse import Evse
from controller.sim.physics.cars import TemperedCar
from controller.sim.physics.tempers import BoxTemper
from controller.sim.station import SimStation, StationSpec
from controller.sim.stored import Offer

HORIZON_S = 7200.0
RESTLESS_TICKS = 2
"""After a change a station looks that often again before it rests: a current must be seen to stay."""
WRITES = ("SetChargingProfile", "UpdateDynamicSchedule", "ClearChargingProfile")
NEVER_S = float("inf")
NOTHING: PhaseAmps = (0.0, 0.0, 0.0)


@dataclass(slots=True)
class Pilot:
    """What one EVSE offers now [A] and the changes on their way to it: (due on the monotonic clock, current)."""

    offer_a: float | None = None
    newest_a: float | None = None
    coming: deque[tuple[float, float]] = field(default_factory=deque)
    key: tuple[object, ...] = ()
    limit_a: float = 0.0
    until_wall_s: float = 0.0


class TemperedStation(SimStation):
    """A station with a temper. writes: profiles written to it, by what they are. lost_mono_s: its link is down until then."""

    def __init__(self, spec: StationSpec, temper: BoxTemper, seed: int) -> None:
        super().__init__(spec, seed)
        self.temper = temper
        self.writes: Counter[str] = Counter()
        self.lost_until_mono_s = 0.0
        self.faults.refused_purpose = temper.refused_purpose
        self.faults.only_unit = temper.only_unit
        self.faults.min_write_s = temper.min_write_s
        self.faults.ignores_profiles = temper.ignores_profiles
        self.profiles.stacking = temper.stacking
        self._pilots = {evse_id: Pilot() for evse_id in self.evses}
        self._chance = Random(f"{seed}/{spec.id}/chance")
        self._mishaps: dict[str, float] = {}
        self._restless = RESTLESS_TICKS
        self._next_mono_s = 0.0
        self._amps = NOTHING
        self._occupied = False

    # -- the physical side -------------------------------------------------------------------------

    def plug_in(self, at: Stamp, evse_id: int, spec: object, car: Car | None = None) -> Car:
        """As any station."""
        self._stir()
        self._occupied = True
        return super().plug_in(at, evse_id, spec, car)  # type: ignore[arg-type]

    def unplug(self, at: Stamp, evse_id: int) -> Car | None:
        """As any station."""
        self._stir()
        car = super().unplug(at, evse_id)
        self._occupied = any(evse.car is not None for evse in self.evses.values())
        self._amps = super().site_current_a()
        return car

    def nudge(self, evse: Evse, trick: str) -> None:
        """Wake the car if this box touches its pilot then."""
        if trick in self.temper.wakes_by and isinstance(evse.car, TemperedCar):
            evse.car.wake()

    def advance(self, at: Stamp) -> None:
        """Let time pass for the cars."""
        last, self._last = self._last, at
        if last is None or not self._occupied:
            return
        control_s, wall_s, moved = at.mono_s - last.mono_s, at.wall_s - last.wall_s, False
        for evse in self.evses.values():
            car = evse.car
            if car is None:
                continue
            before_a, drew_a = evse.offer_a, car.current_a
            evse.offer_a = self.offer_a(at, evse) if evse.may_deliver else 0.0
            evse.register_wh += car.step(evse.offer_a, control_s, wall_s)
            moved = moved or car.current_a != drew_a or evse.offer_a != before_a
        if moved:
            self._restless = RESTLESS_TICKS
            self._amps = super().site_current_a()

    def site_current_a(self) -> PhaseAmps:
        """Current of all EVSEs by site phases [A], as of the last ``advance``."""
        return self._amps

    def offer_a(self, at: Stamp, evse: Evse) -> float:
        """What the pilot offers: a changed limit takes its time to get there [A]."""
        pilot = self._pilots[evse.spec.id]
        limit_a = self._limit_a(at, evse, pilot)
        if pilot.offer_a is None:
            pilot.offer_a = pilot.newest_a = limit_a
        if limit_a != pilot.newest_a:
            pilot.newest_a = limit_a
            pilot.coming.append((at.mono_s + self.temper.apply_s, limit_a))
        while pilot.coming and pilot.coming[0][0] <= at.mono_s:
            pilot.offer_a = pilot.coming.popleft()[1]
        return pilot.offer_a

    def _limit_a(self, at: Stamp, evse: Evse, pilot: Pilot) -> float:
        sharing = 1 if len(self.evses) == 1 else max(1, sum(other.may_deliver for other in self.evses.values()))
        key = (self.profiles.revision, self.profiles.offline_wall_s, evse.transaction, evse.operative, sharing)
        if key != pilot.key or at.wall_s >= pilot.until_wall_s:
            pilot.key = key
            started = evse.transaction.session.started_wall_s if evse.transaction else at.wall_s
            moments = self.profiles.edges(at.wall_s, at.wall_s + HORIZON_S, started)
            pilot.until_wall_s = moments[1] if len(moments) > 1 else at.wall_s + HORIZON_S
            pilot.limit_a = self._by_profiles(at, evse, sharing)
        return pilot.limit_a

    def _by_profiles(self, at: Stamp, evse: Evse, sharing: int) -> float:
        most_a = evse.spec.max_current_a
        if self.faults.ignores_profiles:
            return most_a
        own = self.profiles.offer(evse.spec.id, at.wall_s, evse.transaction.session if evse.transaction else None) or Offer(None)
        whole = self.profiles.station_limit_a(at.wall_s)
        limits = [most_a, own.limit_a, own.setpoint_a, None if whole is None else whole / sharing]
        return max(0.0, min(limit for limit in limits if limit is not None))

    # -- the link --------------------------------------------------------------------------------------

    def opened(self, at: Stamp) -> list[str]:
        """The link is up again."""
        self._stir()
        if self.temper.forgets_default:
            self.profiles.clear(None, {"chargingProfilePurpose": "TxDefaultProfile"})
        return super().opened(at)

    def closed(self, at: Stamp) -> None:
        """The link is gone."""
        self._stir()
        super().closed(at)

    def handle_frame(self, at: Stamp, text: str) -> list[str]:
        """Also counts what is written to its flash."""
        self._stir()
        if '"SetChargingProfile"' in text or '"UpdateDynamicSchedule"' in text or '"ClearChargingProfile"' in text:
            self._count(text)
        return super().handle_frame(at, text)

    def _count(self, text: str) -> None:
        frame = json.loads(text)
        if frame[0] != 2 or frame[2] not in WRITES:
            return
        profile = frame[3].get("chargingProfile") or frame[3].get("csChargingProfiles") or {}
        purpose = str(profile.get("chargingProfilePurpose", frame[2]))
        self.writes["ChargingStationMaxProfile" if purpose == "ChargePointMaxProfile" else purpose] += 1

    def tick(self, at: Stamp) -> list[str]:
        """Nothing is looked at while nothing can be due."""
        if self._restless <= 0 and at.mono_s < self._next_mono_s:
            return []
        self._restless -= 1
        texts = super().tick(at)
        self._next_mono_s = self._due_mono_s()
        return texts

    def _due_mono_s(self) -> float:
        due_s = self._next_heartbeat_mono_s if self.accepted else self._next_boot_mono_s
        for evse in self.evses.values():
            if evse.transaction is not None and evse.transaction.authorised:
                due_s = min(due_s, evse.next_sample_mono_s)
        if self._in_flight is not None:
            due_s = min(due_s, self._in_flight.deadline_mono_s)
        if self._queue and self._in_flight is None and self.connected and self.accepted:
            due_s = min(due_s, self._queue[0].not_before_mono_s)
        return due_s

    def _stir(self) -> None:
        self._restless = RESTLESS_TICKS

    # -- mishaps -----------------------------------------------------------------------------------------

    def mishap(self, at: Stamp) -> str:
        """What happens to the box itself in this second: "", "reboots" or "offline"."""
        for name, every_h in (("reboots", self.temper.reboots_every_h), ("offline", self.temper.offline_every_h)):
            if every_h > 0.0 and at.mono_s >= self._mishaps.setdefault(name, at.mono_s + self._chance.expovariate(1.0 / (3600.0 * every_h))):
                del self._mishaps[name]
                return name
        return ""

    def lose_link(self, at: Stamp) -> None:
        """Offline for minutes."""
        self.lost_until_mono_s = at.mono_s + self._chance.uniform(0.3, 2.0) * self.temper.offline_s
