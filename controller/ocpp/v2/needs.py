"""What a car wants, as a 2.x station tells it: NotifyEVChargingNeeds and NotifyEVChargingSchedule (K15-K17).

Reads only; what cannot be read is not said. A DC car names the current of its battery, which is no
current of the grid, so only its power counts.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Final

from controller.facts import EvseKey, Fact, NeedsAnnounced, Stamp
from controller.ocpp.dialect import DriverWord, EvSchedule, Payload
from controller.ocpp.profile_fields import MAX_PERIODS
from controller.ocpp.samples import number
from controller.ocpp.schedule import Kind, Period, Profile, Purpose, Schedule
from controller.ocpp.times import wall_time

MAX_ENERGY_WH: Final = 2_000_000.0
"""No car's battery holds more; such a number is a mistake and says nothing."""
EV_SCHEDULE_ID: Final = -2
"""Profile id of what the car announces: it has none."""


def announced(at: Stamp, evse: EvseKey, needs: Any) -> list[Fact]:
    """The needs of a car as 2.0.1 knows them: ISO 15118-2, so a car that charges by schedule."""
    if not isinstance(needs, dict) or not evse.evse_id:
        return []
    ac, dc = part(needs, "acChargingParameters"), part(needs, "dcChargingParameters")
    mode = needs.get("requestedEnergyTransfer")
    return [
        NeedsAnnounced(
            at,
            evse,
            _energy_wh(ac, dc),
            wall_time(needs.get("departureTime")),
            positive(ac.get("evMaxCurrent")),
            min_current_a=positive(ac.get("evMinCurrent")),
            max_power_w=positive(dc.get("evMaxPower")),
            capacity_wh=energy(dc.get("evEnergyCapacity"), above=0.0),
            soc_percent=percent(dc.get("stateOfCharge")),
            dynamic_control=False if ac or dc else None,
            transfer_mode=mode if isinstance(mode, str) else "",
        )
    ]


def _energy_wh(ac: Payload, dc: Payload) -> float | None:
    """As said, else from the state of charge up to what the car takes for full."""
    said = energy(ac.get("energyAmount", dc.get("energyAmount")), above=-1.0)
    if said is not None:
        return said if said >= 0 else None
    capacity_wh, soc, full = energy(dc.get("evEnergyCapacity"), above=0.0), percent(dc.get("stateOfCharge")), percent(dc.get("fullSoC"))
    if capacity_wh is None or soc is None:
        return None
    return capacity_wh * max(0.0, (100.0 if full is None else full) - soc) / 100.0


def part(needs: Payload, key: str) -> Payload:
    """One object of the needs; {} if there is none."""
    found = needs.get(key)
    return found if isinstance(found, dict) else {}


def positive(value: Any) -> float | None:
    """A number above 0, else None."""
    found = number(value)
    return found if found is not None and found > 0 else None


def percent(value: Any) -> float | None:
    """0 to 100, else None."""
    found = number(value)
    return found if found is not None and 0 <= found <= 100 else None


def energy(value: Any, above: float = -MAX_ENERGY_WH) -> float | None:
    """A believable energy [Wh] above ``above``, else None."""
    found = number(value)
    return found if found is not None and above < found <= MAX_ENERGY_WH else None


# -- what the car will take -------------------------------------------------------------------------------


def ev_schedule(payload: Payload) -> EvSchedule | None:
    """The car's own schedule; None if it cannot be read. Without a start it begins at its time base."""
    evse_id, raw = payload.get("evseId"), payload.get("chargingSchedule")
    if type(evse_id) is not int or evse_id <= 0 or not isinstance(raw, dict):
        return None
    start_wall_s = wall_time(raw.get("startSchedule")) or wall_time(payload.get("timeBase"))
    periods = [_period(period) for period in raw.get("chargingSchedulePeriod", [])[:MAX_PERIODS]] if _has_list(raw) else []
    found = tuple(period for period in periods if period is not None)
    rising = all(one.start_s < other.start_s for one, other in pairwise(found))
    if start_wall_s is None or raw.get("chargingRateUnit") not in ("A", "W") or not found or len(found) != len(periods) or not rising:
        return None
    schedule = Schedule(0, str(raw["chargingRateUnit"]), found, positive(raw.get("duration")), start_wall_s)
    return EvSchedule(evse_id, Profile(EV_SCHEDULE_ID, 0, Purpose.EXTERNAL, Kind.ABSOLUTE, (schedule,)))


def _has_list(raw: Payload) -> bool:
    return isinstance(raw.get("chargingSchedulePeriod"), list)


def _period(raw: Any) -> Period | None:
    """One step; what a car gives back (a negative setpoint) takes nothing."""
    if not isinstance(raw, dict):
        return None
    start_s = number(raw.get("startPeriod"))
    limit = number(raw.get("limit") if raw.get("limit") is not None else raw.get("setpoint"))
    if start_s is None or start_s < 0 or limit is None or abs(limit) > 1e9:
        return None
    phases = raw.get("numberPhases")
    return Period(start_s, max(0.0, limit), phases if type(phases) is int and 1 <= phases <= 3 else 3)


# -- who charges ---------------------------------------------------------------------------------------------


def driver_word(request: Payload, result: Payload) -> DriverWord | None:
    """What the answer to a TransactionEvent says about its driver."""
    info, sent = result.get("idTokenInfo"), request.get("transactionInfo")
    transaction_id = sent.get("transactionId") if isinstance(sent, dict) else None
    if not isinstance(transaction_id, str):
        return None
    for holder in (result, info):
        priority = _priority(holder)
        if priority is not None:
            return DriverWord(transaction_id, priority, overrules=holder is result)
    return DriverWord(transaction_id, None) if isinstance(info, dict) else None


def _priority(holder: Any) -> int | None:
    value = holder.get("chargingPriority") if isinstance(holder, dict) else None
    return value if type(value) is int and -9 <= value <= 9 else None
