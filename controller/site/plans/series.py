"""Prices and forecasts that were told: kept per source, laid over each other, and handed to planning.

A ``SeriesTold`` replaces what its source said for that time, and nothing else. Several sources of one kind lie over each other: what a source of
``signals`` tells (an OpenADR price event) holds before the feed of the site file, and the tariff's windows hold wherever nobody has told
anything. ``plus_per_kwh`` and ``plus_percent`` belong to the feed they are written at; prices of signals are taken as they come.

Everything is remembered in the journal, so that a restart without the cloud still has tomorrow's prices. It is bounded: so many sources, so
many slots, nothing older than ``KEPT_PAST_S``. What a feed told while it was set otherwise (another bidding zone) is not taken back.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise
from typing import Any, Final

from pydantic import BaseModel, SecretStr

from controller.config import Config
from controller.config_prices import MarketConfig
from controller.facts import SeriesKind, SeriesTold, Stamp
from controller.orders import Order, Persist, RecordPoint, Severity, Tell
from controller.site.plans.series_judge import measures_of, sound
from controller.site.plans.tariffs import Books, books_of
from controller.site.plans.zones import zone_of
from controller.site.session_memory import number_or_none
from controller.snapshot import SeriesView
from optimizer.sunny import ClearSky
from optimizer.told import NOTHING_TOLD, Stretch, Told
from signals.prices.slots import PriceError, Slot, layered

SPACE: Final = "series"
DAY_S: Final = 86_400.0
KEPT_PAST_S: Final = 2 * DAY_S
"""What is over is kept so long: today's level of a forecast is taken from it."""
KEPT_CLEAR_S: Final = 36 * DAY_S
"""The clear sky of as many days as measured production is kept."""
MOST_AHEAD_S: Final = 100 * DAY_S
MOST_SLOTS, MOST_CLEAR_SLOTS = 2000, 4000
"""Of one source: 20 days of quarter hours; of a clear sky 41."""
MOST_SOURCES: Final = 8
"""Of one kind; the one that has not told anything for longest goes."""
QUARTER_S: Final = 900.0
GRACE_S: Final = 120.0
"""After the start a feed has so long until its absence is told [s]."""
MODEL: Final = "pv model"
FEEDS: Final[Mapping[str, SeriesKind]] = {
    "market": SeriesKind.BUY,
    "sell_market": SeriesKind.SELL,
    "co2_feed": SeriesKind.CO2,
    "pv_feed": SeriesKind.PV,
    "load_feed": SeriesKind.LOAD,
}
"""The feeds of the site file: key -> kind."""
INSTEAD: Final[Mapping[SeriesKind, str]] = {
    SeriesKind.BUY: "the prices of tariff.buy hold",
    SeriesKind.SELL: "tariff.sell holds",
    SeriesKind.CO2: "tariff.co2_kg_per_kwh holds",
    SeriesKind.PV: "production is forecast from what was measured",
    SeriesKind.LOAD: "the load is forecast from what was measured",
}
NAMES: Final[Mapping[SeriesKind, str]] = {
    SeriesKind.BUY: "prices of the market",
    SeriesKind.SELL: "prices of exported energy",
    SeriesKind.CO2: "CO2 of the grid's energy",
    SeriesKind.PV: "a PV forecast",
    SeriesKind.LOAD: "a load forecast",
}


def source_of(key: str) -> str:
    """The name a feed of the site file has as a source. key: of ``FEEDS``."""
    return f"feed {key}"


def origin_of(config: BaseModel | Iterable[BaseModel]) -> str:
    """A digest of what a source is set to: another one after a change of zone or address, the same after one of a password."""
    models = [config] if isinstance(config, BaseModel) else list(config)
    text = repr([[(name, value) for name, value in model if name != "every_s" and not isinstance(value, SecretStr)] for model in models])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What was told about the coming hours, laid over each other. sky: PV without a cloud, None = nobody told it."""

    co2_kg: Told = NOTHING_TOLD
    pv_w: Told = NOTHING_TOLD
    load_w: Told = NOTHING_TOLD
    sky: ClearSky | None = None


NOTHING_FORESEEN: Final = Foreseen()


@dataclass(slots=True)
class _Source:
    """What one source has told of one kind."""

    slots: tuple[Slot, ...]
    origin: str
    told_wall_s: float


class SeriesRoom:
    """Keeps the series. Mutable; every method takes the time it happens at."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._wanted = {source_of(key): feed for key, feed in config.feeds().items()}
        self._origins = {name: origin_of(feed) for name, feed in self._wanted.items()}
        if config.forecast.pv_plants:
            self._origins[MODEL] = origin_of(config.forecast.pv_plants)
        self._signals = {entry.id for entry in config.signals}
        self._measures = measures_of(config)
        self._kept: dict[tuple[SeriesKind, str], _Source] = {}
        self._refused: dict[tuple[SeriesKind, str], str] = {}
        self._gone: set[tuple[SeriesKind, str]] = set()
        self._rubbish: set[str] = set()
        self._quarter: int | None = None
        self._since_mono_s: float | None = None
        self._missing: dict[SeriesKind, bool] = {}
        self._holes: dict[str, tuple[float, float]] = {}
        self.books: Books | None = None
        self.foreseen = NOTHING_FORESEEN

    # -- what is told --------------------------------------------------------------------------------------

    def told(self, fact: SeriesTold) -> list[Order]:
        """Take a series in. Values that make no sense refuse it whole, told once; what was told before stays."""
        before = self._kept.get((fact.kind, fact.source))
        earlier = before.slots if before is not None and before.origin == fact.origin else ()
        try:
            laid = layered([sound(fact, self._measures), _past(earlier, fact.at.wall_s) if fact.whole else earlier])
        except PriceError as error:
            return self._refuse(fact, str(error))
        return self._welcome(fact) + self._taken(fact, laid, earlier)

    def _refuse(self, fact: SeriesTold, why: str) -> list[Order]:
        known, self._refused[fact.kind, fact.source] = (fact.kind, fact.source) in self._refused, why
        text = f"{fact.source} told {fact.kind.value} values that cannot be used: {why} - what it told before stays in force"
        return [] if known else [Tell(Severity.WARNING, fact.source, text)]

    def _welcome(self, fact: SeriesTold) -> list[Order]:
        if self._refused.pop((fact.kind, fact.source), None) is None:
            return []
        return [Tell(Severity.INFO, fact.source, f"{fact.source} tells {fact.kind.value} values that can be used again")]

    def _taken(self, fact: SeriesTold, laid: tuple[Slot, ...], earlier: tuple[Slot, ...]) -> list[Order]:
        at, key = fact.at, (fact.kind, fact.source)
        before = self._kept.get(key)
        same = before is not None and before.origin == fact.origin
        if before is None and not laid:
            return []
        kept = _kept_slots(laid, fact.kind, at.wall_s)
        if before is not None and same and kept == _kept_slots(earlier, fact.kind, at.wall_s):
            before.told_wall_s = at.wall_s
            return []
        self._kept[key] = _Source(kept, fact.origin, at.wall_s)
        self._bound(fact.kind)
        self._lay()
        return [*self._saved([key] if fact.kind is not SeriesKind.CLEAR_SKY else ()), *self._gap(fact, kept)]

    def _gap(self, fact: SeriesTold, slots: Iterable[Slot]) -> list[Order]:
        """A hole in what a feed of the site file says of the time to come is told, once for each (B45)."""
        if fact.source not in self._wanted:
            return []  # price events may well cover some hours only
        ahead = [slot for slot in slots if slot.end_wall_s > fact.at.wall_s]
        hole = next(((one.end_wall_s, other.start_wall_s) for one, other in pairwise(ahead) if one.end_wall_s < other.start_wall_s), None)
        if hole is None or self._holes.get(fact.source) == hole:
            return []
        self._holes[fact.source] = hole
        zone = zone_of(self._config.site.timezone)
        begin, end = (f"{datetime.fromtimestamp(moment, zone):%Y-%m-%d %H:%M}" for moment in hole)
        text = f"{NAMES[fact.kind]} have a gap from {begin} to {end}, local time - {INSTEAD[fact.kind]} there; check the feed"
        return [Tell(Severity.WARNING, fact.source, text)]

    def _bound(self, kind: SeriesKind) -> None:
        known = sorted((source.told_wall_s, key) for key, source in self._kept.items() if key[0] is kind)
        for _, key in known[:-MOST_SOURCES]:
            del self._kept[key]
            self._gone.add(key)

    # -- the journal ---------------------------------------------------------------------------------------

    def _saved(self, keys: Iterable[tuple[SeriesKind, str]]) -> list[Order]:
        remember: dict[tuple[str, str], Any] = {(SPACE, _name(key)): None for key in self._gone}
        remember |= {(SPACE, name): None for name in self._rubbish}
        remember |= {(SPACE, _name(key)): _memory(source) for key in keys if (source := self._kept.get(key)) is not None}
        self._gone.clear()
        self._rubbish.clear()
        return [Persist(0, remember=remember)] if remember else []

    def recall(self, name: str, memory: Any, at: Stamp) -> None:
        """Take back what a source told before the restart; what nobody is asked for any more is forgotten, rubbish is nothing (F75)."""
        word, _, source = name.partition(" ")
        found = _source_from(memory)
        if found is None or word not in {kind.value for kind in SeriesKind} or not self._believed(source, found.origin):
            self._rubbish.add(name)
            return
        kind = SeriesKind(word)
        self._kept[kind, source] = replace(found, slots=_kept_slots(found.slots, kind, at.wall_s) if at.wall_trusted else found.slots)
        self._lay()

    def _believed(self, source: str, origin: str) -> bool:
        """Whether the site file still asks this source, and asks it the same."""
        return source in self._signals or self._origins.get(source) == origin

    # -- laid over each other --------------------------------------------------------------------------------

    def _lay(self) -> None:
        tariff, plain = self._config.tariff, books_of(self._config.tariff, self._config.site.timezone)
        buy, sell = self._over(SeriesKind.BUY, tariff.market), self._over(SeriesKind.SELL, tariff.sell_market)
        self.books = Books(replace(plain.buy, announced=buy), replace(plain.sell, announced=sell)) if buy or sell else None
        clear, sky = self._over(SeriesKind.CLEAR_SKY), self.foreseen.sky
        if sky is None or sky.told != clear:  # what was learnt of a sky that stays is kept
            sky = ClearSky(clear) if clear else None
        self.foreseen = Foreseen(self._over(SeriesKind.CO2), self._over(SeriesKind.PV), self._over(SeriesKind.LOAD), sky)

    def _over(self, kind: SeriesKind, market: MarketConfig | None = None) -> Told:
        """All series of a kind: those of signals first, the youngest of them on top."""
        mine = sorted(
            ((source in self._origins, -kept.told_wall_s, source, kept.slots) for (one, source), kept in self._kept.items() if one is kind),
            key=lambda entry: entry[:3],
        )
        laid = layered(_with_plus(slots, market) if ours else slots for ours, _, _, slots in mine)
        return Told(tuple(_plain(slot) for slot in laid)) if laid else NOTHING_TOLD

    # -- time --------------------------------------------------------------------------------------------------

    def tick(self, at: Stamp) -> list[Order]:
        """What time brings: a point of history each quarter hour, and a word when told prices end or come back."""
        if self._since_mono_s is None:
            self._since_mono_s = at.mono_s
        orders = self._saved(()) if self._gone or self._rubbish else []
        if not at.wall_trusted:
            return orders
        if at.mono_s - self._since_mono_s >= GRACE_S:
            orders += self._missed(at)
        quarter = int(at.wall_s // QUARTER_S)
        if quarter != self._quarter:
            self._quarter = quarter
            orders += self._point(at)
        return orders

    def _missed(self, at: Stamp) -> list[Order]:
        """Tell once that nobody has told anything for now, and once that it is there again."""
        orders: list[Order] = []
        for kind in {FEEDS[key] for key in FEEDS if source_of(key) in self._wanted}:
            missing = self._now(kind, at.wall_s) is None
            if missing != self._missing.get(kind, False):
                self._missing[kind] = missing
                text = f"there is no word about {NAMES[kind]} for now - {INSTEAD[kind]}, charging goes on; check the feed"
                back = f"{NAMES[kind]} are known again"
                orders.append(Tell(Severity.WARNING if missing else Severity.INFO, "prices", text if missing else back))
        return orders

    def _now(self, kind: SeriesKind, wall_s: float) -> float | None:
        if kind in (SeriesKind.BUY, SeriesKind.SELL):
            if self.books is None:
                return None
            return (self.books.buy if kind is SeriesKind.BUY else self.books.sell).announced.at(wall_s)
        return {SeriesKind.CO2: self.foreseen.co2_kg, SeriesKind.PV: self.foreseen.pv_w}.get(kind, self.foreseen.load_w).at(wall_s)

    def _point(self, at: Stamp) -> list[Order]:
        """The prices in force, where a market tells any."""
        if self.books is None:
            return []
        fields = {"buy_per_kwh": self.books.buy.at(at.wall_s), "sell_per_kwh": self.books.sell.at(at.wall_s)}
        co2 = self.foreseen.co2_kg.at(at.wall_s)
        return [RecordPoint("price", {}, fields | ({"co2_kg_per_kwh": co2} if co2 is not None else {}), at.wall_s)]

    # -- the page ------------------------------------------------------------------------------------------------

    def view(self, at: Stamp) -> tuple[SeriesView, ...]:
        """What the page is told: every source that has told anything, and every feed that has not."""
        known = [self._seen(kind, source, kept.slots, at) for (kind, source), kept in sorted(self._kept.items())]
        silent = [
            SeriesView(FEEDS[key].value, source_of(key), None, None, self._silent(FEEDS[key], source_of(key)))
            for key in FEEDS
            if source_of(key) in self._wanted and (FEEDS[key], source_of(key)) not in self._kept
        ]
        return (*known, *silent)

    def _silent(self, kind: SeriesKind, source: str) -> str:
        refused = self._refused.get((kind, source))
        return f"its word cannot be used: {refused}; {INSTEAD[kind]}" if refused else f"nothing told yet: {INSTEAD[kind]}"

    def _seen(self, kind: SeriesKind, source: str, slots: tuple[Slot, ...], at: Stamp) -> SeriesView:
        told = Told(tuple(_plain(slot) for slot in slots))
        until_s, now = told.until_wall_s, told.at(at.wall_s)
        ended = until_s is None or until_s <= at.wall_s
        instead = INSTEAD.get(kind, "it waits for a new one")
        trouble = "" if now is not None else f"what was told has ended: {instead}" if ended else f"a gap: {instead}"
        refused = self._refused.get((kind, source))
        trouble = f"its last word cannot be used: {refused}" + (f"; {trouble}" if trouble else "") if refused else trouble
        return SeriesView(kind.value, source, None if ended else until_s, now, trouble)


# -- slots -----------------------------------------------------------------------------------------------------


def _past(slots: Iterable[Slot], now_wall_s: float) -> list[Slot]:
    """What is over stays what it was, whatever is withdrawn: energy was bought at it."""
    return [slot._replace(end_wall_s=min(slot.end_wall_s, now_wall_s)) for slot in slots if slot.start_wall_s < now_wall_s]


def _kept_slots(slots: Iterable[Slot], kind: SeriesKind, now_wall_s: float) -> tuple[Slot, ...]:
    past_s, most = (KEPT_CLEAR_S, MOST_CLEAR_SLOTS) if kind is SeriesKind.CLEAR_SKY else (KEPT_PAST_S, MOST_SLOTS)
    kept = [slot for slot in slots if slot.end_wall_s > now_wall_s - past_s and slot.start_wall_s < now_wall_s + MOST_AHEAD_S]
    return tuple(kept[:most])


def _with_plus(slots: Iterable[Slot], market: MarketConfig | None) -> Iterable[Slot]:
    """Market prices with what supplier and state add: tax on the fees, too."""
    if market is None:
        return slots
    factor = 1.0 + market.plus_percent / 100.0
    return [slot._replace(value=(slot.value + market.plus_per_kwh) * factor) for slot in slots]


def _plain(slot: Slot) -> Stretch:
    return slot.start_wall_s, slot.end_wall_s, slot.value


def _name(key: tuple[SeriesKind, str]) -> str:
    return f"{key[0].value} {key[1]}"


def _memory(source: _Source) -> dict[str, Any]:
    """For the journal: [begin, length, value]."""
    rows = [[slot.start_wall_s, slot.end_wall_s - slot.start_wall_s, round(slot.value, 6)] for slot in source.slots]
    return {"origin": source.origin, "told_wall_s": round(source.told_wall_s), "slots": rows}


def _source_from(memory: Any) -> _Source | None:
    """Back from the journal; None for anything that is no such thing."""
    if not isinstance(memory, dict) or not isinstance(memory.get("slots"), list) or not isinstance(memory.get("origin"), str):
        return None
    told_wall_s = number_or_none(memory.get("told_wall_s"))
    found: list[Slot] = []
    for row in memory["slots"][:MOST_SLOTS]:
        numbers = [number_or_none(one) for one in row] if isinstance(row, list) and len(row) == 3 else [None]
        begin, length, value = (*(one for one in numbers if one is not None), math.nan, math.nan, math.nan)[:3]
        found.append(Slot(begin, begin + length, value))
    try:
        return _Source(layered([found]), memory["origin"], told_wall_s or 0.0)
    except PriceError:
        return None
