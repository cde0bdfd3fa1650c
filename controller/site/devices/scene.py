"""What the laws of battery, inverters and relays look at: one frozen picture of the site, and what its grid meter shows beside a device.

``Rest`` answers "what flows here besides this device?". Grid meter and device are read at different moments, and a device takes seconds to
follow. Subtracting one from the other naively makes its own move look like a load that has come or gone, and the law that answers it
swings. So the device is taken to be anywhere between what it shows and what it was told; the last answer stays as long as it fits.
The same idea as ``otherload`` has for cars.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from controller.facts import Stamp

Bound = tuple[float, str]
"""(power [W], who says so)."""


@dataclass(frozen=True, slots=True)
class PlanSlot:
    """What the plan in force says about this moment, mean powers [W]. battery_w: charging positive. grid_w: import positive.

    curtailed_w >= 0: PV thrown away of the pv_w expected. peak_w: import that costs nothing more as it is paid for, None = peaks cost nothing.
    battery: there is one in the plan.
    """

    battery_w: float
    grid_w: float
    curtailed_w: float
    pv_w: float
    peak_w: float | None
    battery: bool = True


@dataclass(frozen=True, slots=True)
class Scene:
    """One moment. grid_w: believed power at the grid connection, import positive; None = its meter is lost. late: it is older than it should be.

    pv_w >= 0, battery_w (charging positive), soc_percent: measured, None = not known. slot: None = no plan. room_w: what fuses and
    limits leave the battery beside what cars may draw, negative = it should take less. headroom_w: what the last reading was below
    the limits of the grid connection, negative = above; margin_w: of it, kept free. kept_w: what cars leave for the end of a discharge and what
    was commanded, by the last decision. exports: bounds of feeding in >= 0, whoever sets
    them. consumption: what a bound of all controllable loads leaves to the battery's charging. part: of the rated output that PV and
    battery may give (0..1), with who says so. generation: most that PV may make, used here or not;
    discharge: what that leaves to the battery. limited: circuits held by a limit from outside; over: circuits above their limit.
    failsafe: the site runs on fallbacks. fuse_w: what may flow either way. export_spare_w: the battery begins to take so much below a
    bound of feeding in: before inverters are held down, so that what they make shows what the sun gives. asked_w: a setpoint that
    somebody outside asks of the battery; grid_asked_w: one of the grid connection, import positive. inverters_w: what inverters with a meter make.
    """

    at: Stamp
    grid_w: float | None
    late: bool
    pv_w: float | None
    battery_w: float | None
    soc_percent: float | None
    slot: PlanSlot | None
    room_w: float
    headroom_w: float = float("inf")
    margin_w: float = 0.0
    kept_w: float = 0.0
    exports: tuple[Bound, ...] = ()
    consumption: Bound | None = None
    part: Bound | None = None
    generation: Bound | None = None
    discharge: Bound | None = None
    limited: Collection[str] = ()
    over: Collection[str] = ()
    failsafe: bool = False
    fuse_w: float = float("inf")
    export_spare_w: float = 100.0
    asked_w: Bound | None = None
    grid_asked_w: Bound | None = None
    inverters_w: Mapping[str, float] = field(default_factory=dict)

    @property
    def export(self) -> Bound | None:
        """The lowest bound of feeding in."""
        return min(self.exports, default=None)


class Rest:
    """What the grid connection carries besides a device [W], import positive."""

    def __init__(self) -> None:
        self.now_w: float | None = None

    def read(self, grid_w: float, one_w: float, other_w: float) -> float:
        """A reading of the grid; the device's flow (import positive) lies between one_w and other_w."""
        least_w, most_w = grid_w - max(one_w, other_w), grid_w - min(one_w, other_w)
        before_w = grid_w - one_w if self.now_w is None else self.now_w
        self.now_w = min(max(before_w, least_w), most_w)
        return self.now_w

    def forget(self) -> None:
        """Nobody knows any more."""
        self.now_w = None
