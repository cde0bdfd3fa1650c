"""From what a person asked for to cases: files are read, sites checked or made, sessions placed. Everything that can be wrong is told here."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from controller.check import load_config
from controller.config import Config, MeterConfig, TariffConfig
from controller.sim.backtest.briefing import LEARNT_DAYS, LOOK_AHEAD_S
from controller.sim.backtest.case import Case, CaseError, Visit, bays_of, make_visits, past_of, placed, visit_of, with_batteries
from controller.sim.backtest.garage import V2G, conversion_note, fitting_names, garage
from controller.sim.backtest.series import DAY_S, Series, by_local_hour, fixed, local, midnight
from controller.sim.backtest.series_files import read_watts
from controller.sim.backtest.sessions import SessionFile, read_sessions
from controller.sim.backtest.tariffs import Prices, read_prices, site_prices
from controller.sim.car import VOLTAGE_V
from optimizer.past import PastSession

ACN_TIMEZONE = "America/Los_Angeles"
DRIVERS = ("truth", "stated")
WEATHERS = ("learnt", "known")
MOST_DAYS = 400
WEEK_DAYS = 7
MOST_KW, MOST_PRICE = 100_000.0, 100.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to play again. first, last: local days, both included; last None = a week. prices, load, pv: a file, a number, or None.

    A number is a price per kWh, or kW. capacity_percent: of the uncontrolled phase peak, for a site made from the sessions.
    """

    sessions: Path
    site: Path | None
    first: date
    last: date | None = None
    prices: str | None = None
    load: str | None = None
    pv: str | None = None
    load_scale: float = 1.0
    pv_scale: float = 1.0
    timezone: str | None = None
    capacity_percent: float = 50.0
    v2g_share: float = 0.3
    drivers: str = "truth"
    weather: str = "learnt"
    seed: int = 1
    currency: str | None = None
    energy_first: bool = False


@dataclass(frozen=True, slots=True)
class Setting:
    """A case with its site, and the same with cars and EVSEs that give back (None where no EVSE may). problems: rows left out, by line."""

    case: Case
    v2g: Case | None
    problems: tuple[str, ...] = ()


def make_setting(wanted: Wanted) -> Setting:
    """Read everything. Raises CaseError, SessionsError, SeriesError, ConfigError; each text is for the person."""
    site = load_config(wanted.site) if wanted.site is not None else None
    timezone = wanted.timezone or (site.site.timezone if site is not None else None)
    _zone(timezone or "UTC")
    file = read_sessions(wanted.sessions, timezone or "UTC")
    timezone = timezone or (ACN_TIMEZONE if file.acn else "UTC")
    zone = _zone(timezone)
    if site is None:
        fitting = fitting_names(file.evses)
        file = replace(file, sessions=tuple(replace(one, evse=fitting[one.evse]) for one in file.sessions))
    start_s, end_s = _span(wanted, zone)
    _arrive(file, wanted, start_s, end_s, zone)
    base_w = _watts(wanted.load, wanted.load_scale, site.forecast.base_load_w if site else (), zone, start_s, end_s)
    pv_w = _watts(wanted.pv, wanted.pv_scale, site.forecast.pv_w if site else (), zone, start_s, end_s, sun=True)
    config = _site(wanted, site, file, timezone, (base_w, pv_w), start_s, end_s)
    prices = _prices(wanted, site.tariff if site is not None else TariffConfig(), zone, start_s, end_s)
    visits, told = make_visits(file.between(start_s, end_s), config, end_s)
    notes = [*told, *_edges(file, start_s, end_s), *_notes(wanted, site, file, config, prices)]
    config = _hurried(_metered(config, wanted), wanted)
    past = _past(file, config, start_s)
    case = Case(
        _name(wanted, site),
        config,
        start_s,
        end_s,
        visits,
        past,
        prices,
        base_w,
        pv_w,
        wanted.drivers,
        wanted.seed,
        tuple(notes),
        wanted.weather,
    )
    return Setting(case, _giving(case, wanted, site is None), file.problems)


def _hurried(config: Config, wanted: Wanted) -> Config:
    """The site with ``control.energy_first`` where it is asked for."""
    if not wanted.energy_first:
        return config
    return config.model_copy(update={"control": config.control.model_copy(update={"energy_first": True})})


def _name(wanted: Wanted, site: Config | None) -> str:
    if site is not None:
        return site.site.name or site.site.id
    return wanted.sessions.name.removesuffix(".gz").removesuffix(".csv")


def _zone(timezone: str) -> ZoneInfo:
    try:
        return ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise CaseError(f"unknown time zone {timezone!r}; use an IANA name such as Europe/Berlin with --timezone") from None


def _span(wanted: Wanted, zone: ZoneInfo) -> tuple[float, float]:
    last = wanted.last or wanted.first + timedelta(days=WEEK_DAYS - 1)
    if last < wanted.first:
        raise CaseError(f"--to {last} is before --from {wanted.first}; both days are included")
    if (last - wanted.first).days >= MOST_DAYS:
        raise CaseError(f"{wanted.first} to {last} is more than {MOST_DAYS} days; take a shorter time, or several runs")
    return midnight(wanted.first, zone), midnight(last + timedelta(days=1), zone)


def _arrive(file: SessionFile, wanted: Wanted, start_s: float, end_s: float, zone: ZoneInfo) -> None:
    if file.between(start_s, end_s):
        return
    first, last = file.sessions[0].arrival_wall_s, file.sessions[-1].arrival_wall_s
    told = f"{local(start_s, zone):%Y-%m-%d} to {local(end_s - 1.0, zone):%Y-%m-%d}"
    raise CaseError(
        f"no session of {wanted.sessions} begins in {told}; the file has {local(first, zone):%Y-%m-%d} to {local(last, zone):%Y-%m-%d}: "
        "choose days of that with --from and --to"
    )


def _watts(
    said: str | None, scale: float, hours: tuple[float, ...], zone: ZoneInfo, start_s: float, end_s: float, sun: bool = False
) -> Series:
    """Load or production over the time, the weeks before and the day after [W]."""
    begin_s, until_s = start_s - (LEARNT_DAYS + 1.0) * DAY_S, end_s + LOOK_AHEAD_S
    number = _number(said)
    if number is not None and not 0.0 <= number <= MOST_KW:
        raise CaseError(f"{'--pv' if sun else '--load'} {said}: give a file, or a power from 0 to {MOST_KW:g} kW")
    if number is not None:
        return fixed(1000.0 * number * scale)
    if said is not None:
        return read_watts(said, zone, begin_s, until_s, sun, (start_s, end_s)).scaled(scale)
    if len(hours) == 24:
        return by_local_hour(begin_s, until_s, zone, lambda _: [(float(hour), watts) for hour, watts in enumerate(hours)]).scaled(scale)
    return fixed(0.0)


def _number(said: str | None) -> float | None:
    try:
        return None if said is None else float(said)
    except ValueError:
        return None


def _prices(wanted: Wanted, tariff: TariffConfig, zone: ZoneInfo, start_s: float, end_s: float) -> Prices:
    until_s = end_s + LOOK_AHEAD_S
    number = _number(wanted.prices)
    if number is not None and not abs(number) <= MOST_PRICE:
        raise CaseError(f"--prices {wanted.prices}: give a file, or a price per kWh such as 0.30")
    if number is not None:
        sell, window_s = fixed(min(number, tariff.sell_per_kwh)), 60.0 * tariff.demand_minutes
        return Prices(fixed(number), sell, tariff.demand_per_kw, f"{number:g} all day", tariff.demand_window_days, window_s)
    if wanted.prices is not None:
        return read_prices(wanted.prices, tariff, zone, start_s, until_s, end_s)
    if tariff == TariffConfig():
        raise CaseError("the site has no tariff; give prices with --prices FILE (a tariff or day-ahead prices) or --prices 0.30")
    return site_prices(tariff, zone, start_s, until_s)


def _site(
    wanted: Wanted, site: Config | None, file: SessionFile, timezone: str, building: tuple[Series, Series], start_s: float, end_s: float
) -> Config:
    if site is None:
        name, (base_w, pv_w) = _name(wanted, None), building
        return garage(name, file.sessions, timezone, wanted.capacity_percent, base_w, start_s, end_s, file.acn, pv_w)
    return site.model_copy(update={"site": site.site.model_copy(update={"timezone": timezone})})


def _metered(config: Config, wanted: Wanted) -> Config:
    """The site with a meter for its sun, where sun is simulated, without forecasts of another building or sun, in the currency asked for."""
    meters, sun = config.meters, wanted.pv is not None
    if sun and not any(meter.role == "pv" for meter in meters):
        meters = (*meters, MeterConfig.model_validate({"id": "m-sun", "role": "pv", "source": {"type": "mqtt", "topic": "sun"}}))
    strange = {"base_load_w": () if wanted.load is not None else config.forecast.base_load_w, "pv_w": () if sun else config.forecast.pv_w}
    money = {"currency": wanted.currency} if wanted.currency else {}
    changes = {"meters": meters, "forecast": config.forecast.model_copy(update=strange), "tariff": config.tariff.model_copy(update=money)}
    return config.model_copy(update=changes)


def _past(file: SessionFile, config: Config, start_s: float) -> tuple[PastSession, ...]:
    earlier = [one for one in file.sessions if one.departure_wall_s <= start_s]
    where, _ = placed(sorted({one.evse for one in file.sessions}), config)
    bays = bays_of(config)
    return tuple(past_of(visit_of(one, bays[where[one.evse]]), one.energy_wh) for one in earlier if one.evse in where)


def _edges(file: SessionFile, start_s: float, end_s: float) -> list[str]:
    """What is told about cars that stand there when the time begins, or still when it ends."""
    early = sum(one.arrival_wall_s < start_s < one.departure_wall_s for one in file.sessions)
    late = sum(one.departure_wall_s > end_s for one in file.between(start_s, end_s))
    notes = [f"the garage begins empty: {early} cars that stood there at the first midnight are left out"] if early else []
    return [*notes, f"{late} stays go on after the last midnight and are cut there, with what they could get until then"] if late else notes


def _notes(wanted: Wanted, site: Config | None, file: SessionFile, config: Config, prices: Prices) -> list[str]:
    notes = [f"prices from {prices.source}"]
    if site is None:
        notes.append(conversion_note(config, file.acn))
        if wanted.timezone is None:
            notes.append(f"the site's clock is {config.site.timezone}; --timezone chooses another")
    elif config.grid.voltage_v != VOLTAGE_V:
        notes.append(f"cars are simulated at {VOLTAGE_V:g} V, the site file says {config.grid.voltage_v:g} V")
    if file.skipped:
        notes.append(f"{file.skipped} rows of {wanted.sessions} were left out")
    if file.cut:
        notes.append(f"{file.cut} stays that overlapped with the next one on their EVSE end where that begins")
    if wanted.weather == "known":
        notes.append("load and sun are forecast as they will be")
    if wanted.energy_first:
        notes.append("ours charges as early as the wires allow, whatever energy and peaks cost (control.energy_first)")
    if wanted.drivers == "stated":
        notes.append("the controller hears what drivers stated, true or not; cars take what was recorded")
    return notes


def _giving(case: Case, wanted: Wanted, made: bool) -> Case | None:
    """The same with a share of cars that can give back, where EVSEs may; in a site made from sessions all do."""
    config = _all_give(case.config) if made else case.config
    allowed = {str(key): bay.config.v2g for key, bay in bays_of(config).items() if bay.config.v2g is not None}
    if not allowed or wanted.v2g_share <= 0.0:
        return None
    visits = with_batteries([one for one in case.visits if one.evse in allowed], wanted.v2g_share, wanted.seed)
    others = [one for one in case.visits if one.evse not in allowed]
    together: list[Visit] = sorted([*visits, *others], key=lambda one: (one.arrival_wall_s, one.evse))
    return replace(case, config=config, visits=tuple(together))


def _all_give(config: Config) -> Config:
    data = config.model_dump(exclude={"data_dir"}, exclude_unset=True)
    for station in data["stations"]:
        for evse in station["evses"]:
            evse["v2g"] = dict(V2G)
    loose = Config.model_validate(data)
    return config.model_copy(update={"stations": loose.stations})
