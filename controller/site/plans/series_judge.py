"""What a told series may be on this site: values that only another unit explains refuse it whole.

A feed that tells EUR/MWh, cents or kilowatts where EUR/kWh or watts are meant would cost money for days: cars wait for prices that never come, or
for sun that does not shine. What the site file says is the measure: its tariff for prices, its plants for PV, its connection for the load. Single
hours may be far off (markets have peaks, and prices below 0), the middle of a series may not.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from controller.config import Config
from controller.facts import SeriesKind, SeriesTold
from signals.prices.currencies import size_of
from signals.prices.slots import PriceError, Slot, layered

PRICES: Final = frozenset({SeriesKind.BUY, SeriesKind.SELL})
LEAST_PRICE: Final = 0.05
"""A site file whose energy costs less, or nothing, is measured as if it cost this, in units of the size of a euro."""
OFTEN, ONCE = 15.0, 100.0
"""The middle price of a series may be so many times the site file's highest one, a single price so many times. In the dearest month of 2022 the
German market was at 2 times a tariff of 0.30; EUR/MWh is 1000 times, cents are 100 times. Caps: 5 EUR/kWh in Europe, 20 AUD/kWh in Australia."""
LONG_S: Final = 20 * 3600.0
"""A series of so many hours, none of them 0 throughout, also has a least highest value."""
LITTLE: Final = 0.001
CO2_MOST_KG: Final = 5.0
"""The dirtiest lignite makes 1.3 kg/kWh; more is told in grams."""
PLANTS_MOST, CONNECTION_MOST = 1.5, 2.0


@dataclass(frozen=True, slots=True)
class Measure:
    """once: the most a single value may be (either sign). often: the most of the middle one. least: what the highest of a long series reaches."""

    once: float
    often: float
    least: float
    hint: str


def measures_of(config: Config) -> dict[SeriesKind, Measure]:
    """The measures of a site. CLEAR_SKY has none: it is computed here."""
    tariff, grid = config.tariff, config.grid
    windows = [*tariff.buy, *tariff.sell, *(window for season in tariff.seasons for window in season.buy)]
    price = max([LEAST_PRICE * size_of(tariff.currency), abs(tariff.sell_per_kwh), *(abs(window.price_per_kwh) for window in windows)])
    unit = f"{tariff.currency} per kWh, the site file has prices up to {price:g}; correct the feed's unit or scale, or tariff.buy"
    prices = Measure(ONCE * price, OFTEN * price, LITTLE * price, unit)
    plants_w, connection_w = _plants_w(config), grid.fuse_a * grid.voltage_v * grid.phases
    most_pv_w = PLANTS_MOST * plants_w if plants_w else CONNECTION_MOST * connection_w
    watts = f"W of PV, the site file has {plants_w:g} W; correct the feed's unit or scale, or forecast.pv_plants"
    load = f"W of load behind a connection of {connection_w:g} W; correct the feed's unit or scale"
    return {
        SeriesKind.BUY: prices,
        SeriesKind.SELL: prices,
        SeriesKind.CO2: Measure(CO2_MOST_KG, CO2_MOST_KG, 0.0, "kg of CO2 per kWh; grams want scale: 0.001"),
        SeriesKind.PV: Measure(most_pv_w, most_pv_w, LITTLE * plants_w, watts),
        SeriesKind.LOAD: Measure(CONNECTION_MOST * connection_w, CONNECTION_MOST * connection_w, LITTLE**2 * connection_w, load),
    }


def sound(fact: SeriesTold, measures: dict[SeriesKind, Measure]) -> tuple[Slot, ...]:
    """The slots of a fact, clean. Raises PriceError; powers and CO2 below 0 are refused, prices may be."""
    slots = layered([[Slot(*slot) for slot in fact.slots]])
    if fact.kind not in PRICES and any(slot.value < 0.0 for slot in slots):
        raise PriceError("a value below 0")
    measure = measures.get(fact.kind)
    if measure is not None and slots:
        _judge(slots, measure)
    return slots


def _judge(slots: Sequence[Slot], measure: Measure) -> None:
    sizes = [abs(slot.value) for slot in slots]
    highest, middle = max(sizes), statistics.median(sizes)
    if highest > measure.once:
        raise PriceError(f"a value of {highest:g} {measure.hint}")
    if middle > measure.often:
        raise PriceError(f"values of about {middle:g} {measure.hint}")
    if 0.0 < highest < measure.least and _length_s(slots) >= LONG_S:
        raise PriceError(f"nothing above {highest:g} {measure.hint}")


def _length_s(slots: Iterable[Slot]) -> float:
    return sum(slot.end_wall_s - slot.start_wall_s for slot in slots)


def _plants_w(config: Config) -> float:
    """What the site's plants give at most [W], by forecast.pv_plants, else by the inverters; 0 = the site file does not say."""
    plants = sum(min(plant.peak_w, plant.inverter_w or plant.peak_w) for plant in config.forecast.pv_plants)
    return plants or sum(inverter.max_power_w for inverter in config.inverters)
