"""PV in a plan: which forecast holds, how far what is measured corrects it, and how much darker it may turn out. Decides nothing.

A feed holds where it has values; else the clear sky of ``forecast.pv_plants`` with what usually comes through of it; else what is usual at this
time of day; else the site file's profile. Whatever it is, the next hour begins at what is measured now.
"""

from __future__ import annotations

from collections.abc import Sequence

from controller.config import Config
from controller.site.plans.series import Foreseen
from optimizer.forecast import blended_w, profile_w
from optimizer.problem import Slot
from optimizer.sunny import ClearSky, Sunny
from optimizer.usual import Usual


def sun_w(config: Config, foreseen: Foreseen, sun: Usual | None, present_w: float | None, slots: Sequence[Slot]) -> tuple[float, ...]:
    """Expected PV [W], never negative. Without a forecast the present production fades to 0 within the hour: the safer side.

    sun: measured days, None = not wanted. present_w: production now, None = nobody measures it.
    """
    return tuple(max(0.0, watts) for watts in blended_w(slots, usual_sun_w(config, foreseen, sun, slots), present_w))


def usual_sun_w(config: Config, foreseen: Foreseen, sun: Usual | None, slots: Sequence[Slot]) -> tuple[float, ...]:
    """The forecast without the present moment [W]."""
    modelled = _modelled_w(config, foreseen, sun, slots)
    return foreseen.pv_w.per_slot(slots, modelled) if foreseen.pv_w else modelled


def _modelled_w(config: Config, foreseen: Foreseen, sun: Usual | None, slots: Sequence[Slot]) -> tuple[float, ...]:
    told, zone = config.forecast.pv_w, config.site.timezone
    expected = profile_w(slots, told, zone) if told else (0.0,) * len(slots)
    learnt = sun.expected_w(slots, expected) if sun is not None else expected
    model = _model(foreseen.sky, sun, config, slots)
    return model.expected_w(slots, learnt) if model is not None else learnt


def _model(sky: ClearSky | None, sun: Usual | None, config: Config, slots: Sequence[Slot]) -> Sunny | None:
    """Clear sky and measured days; without measurements (none wanted, or no meter) the clear sky of a middling day."""
    if sky is None or not slots:
        return None
    return Sunny(sky, sun if sun is not None else Usual(config.site.timezone), slots[0].start_wall_s)


def darker_w(config: Config, foreseen: Foreseen, sun: Usual | None, slots: Sequence[Slot], quantile: float) -> tuple[float, ...]:
    """How much less than expected the sun may give on a day at this quantile (below 0.5) [W]; () while nothing is known of that."""
    model = _model(foreseen.sky, sun, config, slots)
    if model is not None and (model.knows or sun is None or not sun.knows):
        return model.below_w(slots, quantile)
    return sun.above_w(slots, quantile) if sun is not None and sun.knows else ()


def sun_again_w(config: Config, foreseen: Foreseen, sun: Usual | None, slots: Sequence[Slot], weeks: int) -> tuple[float, ...]:
    """PV as so many weeks ago [W]."""
    expected = usual_sun_w(config, foreseen, sun, slots)
    again = sun.again_w(slots, weeks, expected) if sun is not None else expected
    return tuple(max(0.0, watts) for watts in again)
