"""What the controller of a backtest knows when it begins: its site file with the tariff, and its journal with what it has learnt.

A tariff is told through ``tariff.seasons``, one season per day, so any prices go in as in the field; day-ahead prices come as those of a feed
do (``market``). The building
and the sun of the four weeks before are learnt by the very code that learns them in the field, and so are the sessions of the file that
ended before the start.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Any

from controller.config import Config, PriceWindow, SeasonConfig, TariffConfig
from controller.facts import Stamp
from controller.orders import Persist
from controller.sim.backtest.case import Case
from controller.sim.backtest.series import DAY_S, Series, days, local, midnight
from controller.site.plans import habits, usual_days
from optimizer.forecast import zone_of
from optimizer.past import PastSession
from optimizer.problem import Slot
from optimizer.usual import Usual

LEARNT_DAYS = 28.0
LOOK_AHEAD_S = 2 * DAY_S
LEARN_STEP_S = 300.0
CONTROL: Mapping[str, float] = {
    "setpoint_life_s": 900.0,
    "setpoint_renew_s": 400.0,
    "plan_every_s": 300.0,
    "plan_max_age_s": 1800.0,
    "meter_late_s": 120.0,
    "meter_lost_s": 300.0,
}
"""What is different from the site's own ``control`` in virtual time: lives that only save traffic, and ages that fit long steps."""


def told_config(case: Case, config: Config) -> Config:
    """The site as the engine sees it in virtual time: no CSMS, the prices of the case."""
    control = config.control.model_copy(update=dict(CONTROL))
    return config.model_copy(update={"control": control, "upstreams": (), "mqtt": None, "tariff": told_tariff(case, config)})


def told_tariff(case: Case, config: Config) -> TariffConfig:
    """The tariff of the case, a season for each day from the first to a little beyond the last.

    Prices of a market are not in it: until they are published (``market``) the mean of the case's first day stands for them. The billing
    period is the stretch itself, with the share of the demand charge that the account takes for it.
    """
    end_s = case.end_wall_s + LOOK_AHEAD_S
    zone = zone_of(config.site.timezone)
    market = case.prices.market
    known = () if market else days(case.start_wall_s, end_s, zone)
    seasons = tuple(_season(day, _windows(case.prices.buy, day, config)) for day in known)
    sell = case.prices.sell.mean(case.start_wall_s, case.start_wall_s + DAY_S if market else case.end_wall_s)
    buy = case.prices.buy.mean(case.start_wall_s, case.start_wall_s + DAY_S)
    changes = {
        "seasons": seasons,
        "buy": (PriceWindow.model_construct(start="00:00", price_per_kwh=buy),),
        "market": None,
        "sell_market": None,
        "sell": (),
        "sell_per_kwh": sell,
        "demand_per_kw": case.demand_per_kw,
        "demand_window_days": case.days,
        "demand_minutes": round(case.prices.window_s / 60.0),
        "demand_period": "days",
    }
    return config.tariff.model_copy(update=changes)  # no validation: a year of days is more than a person would write


def _season(day: date, windows: tuple[PriceWindow, ...]) -> SeasonConfig:
    name = f"{day.month:02d}-{day.day:02d}"
    return SeasonConfig(first_day=name, last_day=name, buy=windows)


def _windows(buy: Series, day: date, config: Config) -> tuple[PriceWindow, ...]:
    zone = zone_of(config.site.timezone)
    begin_s = midnight(day, zone)
    found = {"00:00": buy.at(begin_s)}
    for edge_s in buy.edges(begin_s, begin_s + 1.1 * DAY_S):
        moment = local(edge_s, zone)
        if moment.date() == day:
            found[f"{moment:%H:%M}"] = buy.at(edge_s)
    return tuple(PriceWindow.model_construct(start=start, price_per_kwh=price) for start, price in sorted(found.items()))


class Foretold(Usual):
    """A forecast of load or sun that comes true: what a good weather service would tell, at its best."""

    def __init__(self, series: Series, timezone: str) -> None:
        super().__init__(timezone)
        self._series = series

    @property
    def knows(self) -> bool:
        """Always."""
        return True

    @property
    def knows_all(self) -> bool:
        """Always."""
        return True

    def expected_w(self, slots: Sequence[Slot], otherwise_w: Sequence[float]) -> tuple[float, ...]:
        """What will be [W]."""
        return tuple(self._series.mean(slot.start_wall_s, slot.start_wall_s + slot.duration_s) for slot in slots)

    def again_w(self, slots: Sequence[Slot], weeks: int, otherwise_w: Sequence[float]) -> tuple[float, ...]:
        """What will be, too."""
        return self.expected_w(slots, otherwise_w)

    def above_w(self, slots: Sequence[Slot], quantile: float) -> tuple[float, ...]:
        """Nothing is uncertain."""
        return (0.0,) * len(slots)


# -- the journal ------------------------------------------------------------------------------------------------


def memories(case: Case, config: Config) -> dict[tuple[str, str], Any]:
    """What the journal holds at the start."""
    learnt = {(habits.SPACE, habits.key_of(past)): habits.memory_of(past) for past in past_sessions(case)}
    return {**learnt, **_usual(case, config)}


def past_sessions(case: Case) -> tuple[PastSession, ...]:
    """The sessions before. Where drivers tell the truth now, they have always done so: their word can be relied on."""
    if case.drivers != "truth":
        return case.past
    return tuple(replace(past, stated_wh=past.energy_wh, stated_departure_wall_s=past.departure_wall_s) for past in case.past)


def _usual(case: Case, config: Config) -> dict[tuple[str, str], Any]:
    """What building and sun usually do, learnt from the weeks before."""
    days_seen = usual_days.UsualDays(config)
    found: dict[tuple[str, str], Any] = {}
    for wall_s in _moments(case.start_wall_s - LEARNT_DAYS * DAY_S, case.start_wall_s):
        sun_w = case.pv_w.at(wall_s) if any(meter.role == "pv" for meter in config.meters) else None
        for order in days_seen.seen(case.base_w.at(wall_s), sun_w, Stamp(0.0, wall_s)):
            if isinstance(order, Persist):
                found.update(order.remember)
    return found


def _moments(start_s: float, end_s: float) -> Iterator[float]:
    for step in range(int((end_s - start_s) // LEARN_STEP_S) + 1):
        yield start_s + step * LEARN_STEP_S
