"""The ENTSO-E transparency platform, day-ahead prices (document type A44): a Publication_MarketDocument in XML.

TimeSeries > Period (timeInterval, resolution PT15M, PT30M, PT60M or P1D) > Point (position from 1, price.amount), prices per MWh. Traps,
each seen in the field:

- curve type A03 leaves out positions whose price has not changed: the last value goes on until the next one, or to the period's end;
- several series cover the same time, told apart by their classification sequence (1 is the coupled market, 2 another auction): the
  lowest holds, others fill in; intraday auctions (agreement A07) may come along and are left out;
- days have 23 or 25 hours, so only positions count, never hours.

An Acknowledgement_MarketDocument "no matching data" means that there is nothing yet: no slots. Any other says why it refuses us.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from datetime import timedelta

from signals.prices.moments import Moments
from signals.prices.slots import MOST_SLOTS, PriceError, Slot, Slots, layered, number, per_kwh_factor, plausible, same_currency, scaled, shown
from signals.prices.xml_text import Node, read_xml

DAY_AHEAD = "A01"
STEP = re.compile(r"^P(?:(\d{1,3})D)?(?:T(?:(\d{1,4})H)?(?:(\d{1,4})M)?)?$")
NOTHING = "no matching data"


def decode(body: bytes, currency: str | None = None) -> Slots:
    """Prices [currency/kWh]. Raises PriceError."""
    if not body.strip():
        return ()
    document = read_xml(body)
    if document.name == "Acknowledgement_MarketDocument":
        return _acknowledged(document)
    if document.name != "Publication_MarketDocument":
        raise PriceError(f"the answer is a {shown(document.name)}, not a Publication_MarketDocument")
    by_rank: dict[float, list[Slot]] = {}
    for series in document.all("TimeSeries"):
        if series.text("contract_MarketAgreement.type") in ("", DAY_AHEAD):
            by_rank.setdefault(_rank(series), []).extend(_series(series, currency))
            if sum(map(len, by_rank.values())) > MOST_SLOTS:
                raise PriceError(f"the answer holds more than {MOST_SLOTS} slots")
    return plausible(layered(by_rank[rank] for rank in sorted(by_rank)), currency)


def _acknowledged(document: Node) -> Slots:
    reasons = [f"{reason.text('code')} {reason.text('text')}".strip() for reason in document.all("Reason")]
    if any(NOTHING in reason.lower() for reason in reasons):
        return ()
    raise PriceError(f"the platform refuses the question: {shown('; '.join(reasons) or 'without a reason')}; check token and domain")


def _rank(series: Node) -> float:
    """Place of a series among those of the same time; without one it is the first."""
    told = series.text("classificationSequence_AttributeInstanceComponent.position")
    return number(told, "classificationSequence") if told else 1.0


def _series(series: Node, currency: str | None) -> Slots:
    same_currency(series.text("currency_Unit.name"), currency)
    factor = per_kwh_factor(series.text("price_Measure_Unit.name"), 0.001)
    slots = [slot for period in series.all("Period") for slot in _period(period)]
    return scaled(slots, factor)


def _period(period: Node) -> Iterator[Slot]:
    """Every point until the next one; the last until the end of the period."""
    interval = period.first("timeInterval")
    if interval is None:
        raise PriceError("a period has no timeInterval")
    start_s = Moments().read(interval.text("start"), "the start of a period")
    step_s = _step_s(period.text("resolution"))
    points = dict(_point(point) for point in period.all("Point"))
    if not points:
        return
    ends = interval.text("end")
    end_s = Moments().read(ends, "the end of a period") if ends else start_s + max(points) * step_s
    ordered = sorted(points.items())
    if start_s + (ordered[-1][0] - 1) * step_s >= end_s:
        raise PriceError(f"position {ordered[-1][0]} lies behind the end of its period {interval.text('start')} to {ends}")
    begins = [start_s + (position - 1) * step_s for position, _ in ordered]
    for begin_s, next_s, (_, value) in zip(begins, [*begins[1:], end_s], ordered, strict=True):
        yield from _steps(begin_s, next_s, step_s, value)


def _steps(begin_s: float, end_s: float, step_s: float, value: float) -> Iterator[Slot]:
    """Slots of the period's own length, so that a left-out position does not look like a coarser slot."""
    count = math.ceil((end_s - begin_s) / step_s)
    if count > MOST_SLOTS:
        raise PriceError(f"a period holds more than {MOST_SLOTS} slots")
    for index in range(count):
        yield Slot(begin_s + index * step_s, min(end_s, begin_s + (index + 1) * step_s), value)


def _point(point: Node) -> tuple[int, float]:
    position = number(point.text("position"), "a position")
    if position < 1 or position != int(position) or position > MOST_SLOTS:
        raise PriceError(f"a position is {position:g}; positions count from 1")
    return int(position), number(point.text("price.amount"), f"price.amount of position {position:g}")


def _step_s(told: str) -> float:
    found = STEP.match(told)
    days, hours, minutes = (int(part or 0) for part in found.groups()) if found else (0, 0, 0)
    seconds = timedelta(days=days, hours=hours, minutes=minutes).total_seconds()
    if not 60.0 <= seconds <= 86_400.0:
        raise PriceError(f"a period has the resolution {shown(told)}; PT15M, PT30M, PT60M and P1D are understood")
    return seconds
