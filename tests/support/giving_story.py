"""Stories of cars that give back, all behind one depot face: the real site, cars that follow their setpoints after a second.

``flow`` is what all cars took together second by second [W], negative = gave back. In the CSMS's words a car gives what its own profile says
(``ask``), the site what its profile of EVSE 0 says (``wish``).
"""

from __future__ import annotations

from typing import Any

from controller.config import Config
from controller.facts import EvseKey, FeaturesLearned, GridControlled, LimitStep, NeedsAnnounced, SiteWished, StationOnline, UpstreamWished
from controller.orders import Inject, Order
from tests.support.site_story import Story, depot

FACE = "DEPOT"
SITE = EvseKey("", 0)
W_PER_A = 230.0 * 3
RATED_W = 11_000.0


def giving_depot(count: int, **parts: Any) -> Config:
    """Cars may give back 11 kW each. parts: as ``site_story.depot``."""
    csms = {"id": "csms", "url": "ws://127.0.0.1:1/ocpp", "face": "depot", "identity": FACE}
    return depot(count, evse={"v2g": {"max_discharge_w": RATED_W, "reserve_percent": 20}, **parts.pop("evse", {})}, upstreams=[csms], **parts)


class GivingStory(Story):
    """See the module. plain: stations whose cars only charge."""

    def __init__(self, count: int, plain: int = 0, fuse_a: float = 250.0, **parts: Any) -> None:
        super().__init__(giving_depot(count + plain, fuse_a=fuse_a, **parts))
        self.keys = tuple(EvseKey(f"CP{number + 1}", 1) for number in range(count + plain))
        self.givers = self.keys[:count]
        self.flow: list[float] = []
        for key in self.keys:
            self.do(StationOnline(self.at(), key.station_id, "2.1"))
            modes = ("ChargingOnly", "CentralSetpoint", "Idle") if key in self.givers else ()
            self.do(FeaturesLearned(self.at(), key.station_id, ("A", "W"), modes, v2x=(1,) if modes else ()))
        for _ in range(4):
            self.step()

    def park(self, *keys: EvseKey, soc_percent: float = 70.0) -> None:
        """Cars that offer 11 kW come (default: everywhere)."""
        for key in keys or self.keys:
            self.plug(key)
            if key in self.givers:
                leaves_wall_s, battery = self.at().wall_s + 36_000.0, {"capacity_wh": 80_000.0, "soc_percent": soc_percent}
                self.do(NeedsAnnounced(self.at(), key, 20_000.0, leaves_wall_s, max_discharge_w=RATED_W, bidirectional=True, **battery))

    def _inject(self, order: Inject) -> None:
        super()._inject(order)
        if order.setpoint_w is not None and order.setpoint_w < 0 and order.evse not in self.mute:
            self._due.pop()
            self._due.append((self.now + self.reaction_s, order.evse, order.setpoint_w / W_PER_A))

    def step(self, building_a: float | None = 10.0, report: bool = True) -> None:
        """One second; what flows is noted."""
        super().step(building_a, report)
        self.flow.append(sum(self.drawn_a.values()) * W_PER_A)

    # -- the CSMS -----------------------------------------------------------------------------------------

    def ask(self, key: EvseKey, setpoint_w: float) -> list[Order]:
        """Its profile for one car."""
        step = LimitStep(self.at().wall_s, None, setpoint_a=setpoint_w / W_PER_A, mode="CentralSetpoint")
        return self.do(UpstreamWished(self.at(), key, (step,), "upstream profile 1"))

    def wish(self, *steps: LimitStep, reason: str = "CSMS limit for the site (profile 17)") -> list[Order]:
        """Its composite for EVSE 0."""
        return self.do(SiteWished(self.at(), FACE, steps, reason))

    def wish_w(self, setpoint_w: float) -> list[Order]:
        """A setpoint for all cars."""
        step = LimitStep(self.at().wall_s, None, setpoint_a=setpoint_w / W_PER_A, mode="CentralSetpoint")
        return self.wish(step, reason="CSMS setpoint for the site (profile 5)")

    def control(self, most_w: float | None, key: EvseKey = SITE, number: int = 17) -> list[Order]:
        """A LimitMaxDischarge is in force; None: no more."""
        words = f"DER LimitMaxDischarge {number}" if most_w is not None else ""
        return self.do(GridControlled(self.at(), FACE, key, most_w, None, words))
