"""What a 2.0.1 station's messages mean for the site: watts, amps, sessions, needs.

Reads only. A value that cannot be understood is left out, never guessed (B19): the site falls
back on its meters. Signs: charging positive, export measurands become negative.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from controller.facts import (
    ChargingState,
    EvseKey,
    EvseMeasured,
    EvseStatus,
    EvseStatusChanged,
    Fact,
    NeedsAnnounced,
    SessionChanged,
    Stamp,
)
from controller.ocpp.times import wall_time

Payload = dict[str, Any]

CHARGING_STATES = {
    "Charging": ChargingState.CHARGING,
    "EVConnected": ChargingState.EV_CONNECTED,
    "SuspendedEV": ChargingState.SUSPENDED_EV,
    "SuspendedEVSE": ChargingState.SUSPENDED_EVSE,
    "Idle": ChargingState.IDLE,
}
STATUSES = {
    "Available": EvseStatus.AVAILABLE,
    "Occupied": EvseStatus.OCCUPIED,
    "Reserved": EvseStatus.RESERVED,
    "Unavailable": EvseStatus.UNAVAILABLE,
    "Faulted": EvseStatus.FAULTED,
}
ENERGY = "Energy.Active.Import.Register"
PHASE_INDEX = {"L1": 0, "L2": 1, "L3": 2, "L1-N": 0, "L2-N": 1, "L3-N": 2}


def observe(at: Stamp, station_id: str, action: str, payload: Payload, evse_hint: int = 0) -> list[Fact]:
    """Neutral facts of one CALL; evse_hint names the EVSE when the message does not (E01: sent once)."""
    evse = EvseKey(station_id, evse_number(payload) or evse_hint)
    if action == "StatusNotification":
        return _status(at, evse, payload.get("connectorStatus"))
    if action == "TransactionEvent":
        return _transaction(at, evse, payload)
    if action == "MeterValues":
        return _measured(at, evse, payload.get("meterValue"))
    if action == "NotifyEVChargingNeeds":
        return _needs(at, evse, payload.get("chargingNeeds"))
    if action == "NotifyEvent":
        return list(_events(at, station_id, payload.get("eventData")))
    return []


def evse_number(payload: Payload) -> int:
    """EVSE id a message names: ``evseId`` or ``evse.id``; 0 when it names none."""
    evse = payload.get("evse")
    value = evse.get("id") if isinstance(evse, dict) else payload.get("evseId")
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else 0


def number(value: Any) -> float | None:
    """A finite number, also from a numeric string as some stations send it; else None."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        result = float(value)
    except (ValueError, OverflowError):
        return None
    return result if math.isfinite(result) else None


def _status(at: Stamp, evse: EvseKey, status: Any) -> list[Fact]:
    known = STATUSES.get(status) if isinstance(status, str) else None
    return [EvseStatusChanged(at, evse, known)] if known is not None and evse.evse_id else []


def _events(at: Stamp, station_id: str, data: Any) -> Iterator[Fact]:
    for item in data if isinstance(data, list) else []:
        component = item.get("component") if isinstance(item, dict) else None
        variable = item.get("variable") if isinstance(item, dict) else None
        if not isinstance(component, dict) or not isinstance(variable, dict):
            continue
        if component.get("name") == "Connector" and variable.get("name") == "AvailabilityState":
            yield from _status(at, EvseKey(station_id, evse_number(component)), item.get("actualValue"))


def _transaction(at: Stamp, evse: EvseKey, payload: Payload) -> list[Fact]:
    info = payload.get("transactionInfo")
    if not isinstance(info, dict) or not isinstance(info.get("transactionId"), str):
        return []
    live = payload.get("offline") is not True
    phases = payload.get("numberOfPhasesUsed")
    state = info.get("chargingState")
    session = SessionChanged(
        at,
        evse,
        info["transactionId"],
        CHARGING_STATES.get(state) if isinstance(state, str) else None,
        started=payload.get("eventType") == "Started",
        ended=payload.get("eventType") == "Ended",
        phase_count=phases if isinstance(phases, int) and 1 <= phases <= 3 else None,
        live=live,
    )
    measured = _measured(at, evse, payload.get("meterValue")) if live else []
    # An ended session is told last, so that its final register still belongs to it.
    return [*measured, session] if session.ended else [session, *measured]


def _measured(at: Stamp, evse: EvseKey, values: Any) -> list[Fact]:
    samples = values[-1].get("sampledValue") if isinstance(values, list) and values and isinstance(values[-1], dict) else None
    if not isinstance(samples, list) or not evse.evse_id:
        return []
    reader = _Samples()
    for sample in samples:
        if isinstance(sample, dict):
            reader.take(sample)
    return [reader.fact(at, evse)] if reader.seen else []


class _Samples:
    """Collects the sampled values of one meter value."""

    def __init__(self) -> None:
        self.seen = False
        self.current_a: list[float | None] = [None, None, None]
        self.phase_power_w: list[float | None] = [None, None, None]
        self.current_all_a: float | None = None
        self.power_w: float | None = None
        self.energy_wh: float | None = None
        self.soc_percent: float | None = None
        self.voltage_v: float | None = None

    def take(self, sample: Payload) -> None:
        """One sampled value. Values at the grid side of the station (Inlet, location of DC stations) count too."""
        value = number(sample.get("value"))
        if value is None or sample.get("location") in ("Body", "Cable"):
            return
        unit = sample.get("unitOfMeasure") if isinstance(sample.get("unitOfMeasure"), dict) else {}
        assert isinstance(unit, dict)
        multiplier = unit.get("multiplier", 0)
        if isinstance(multiplier, int) and -12 <= multiplier <= 12:
            value *= 10.0**multiplier
        if not math.isfinite(value):
            return
        self._sort(sample.get("measurand", ENERGY), value, unit.get("unit"), sample.get("phase"))

    def _sort(self, measurand: Any, value: float, unit: Any, phase: Any) -> None:
        kilo = 1000.0 if unit in ("kWh", "kW", "kVA", "kVAh") else 1.0
        index = PHASE_INDEX.get(phase) if isinstance(phase, str) else None
        sign = -1.0 if isinstance(measurand, str) and ".Export" in measurand else 1.0
        if measurand in ("Current.Import", "Current.Export") and (value or sign > 0):
            self._current(sign * value, phase, index)
        elif measurand in ("Power.Active.Import", "Power.Active.Export") and (value or sign > 0):
            self._power(sign * value * kilo, phase, index)
        elif measurand == ENERGY and phase is None:
            self.energy_wh, self.seen = value * kilo, True
        elif measurand == "SoC" and 0.0 <= value <= 100.0:
            self.soc_percent, self.seen = value, True
        elif measurand == "Voltage" and (index is None or index == 0):
            self.voltage_v, self.seen = value, True

    def _current(self, current_a: float, phase: Any, index: int | None) -> None:
        if index is not None:
            self.current_a[index], self.seen = current_a, True
        elif phase is None:
            self.current_all_a, self.seen = current_a, True

    def _power(self, power_w: float, phase: Any, index: int | None) -> None:
        if index is not None:
            self.phase_power_w[index], self.seen = power_w, True
        elif phase is None:
            self.power_w, self.seen = power_w, True

    def fact(self, at: Stamp, evse: EvseKey) -> EvseMeasured:
        """The fact. A current without a phase is taken for every phase: the safe side for the fuse."""
        current = self.current_a
        if self.current_all_a is not None and all(value is None for value in current):
            current = [self.current_all_a] * 3
        power_w = self.power_w
        if power_w is None and any(value is not None for value in self.phase_power_w):
            power_w = sum(value or 0.0 for value in self.phase_power_w)
        return EvseMeasured(at, evse, (current[0], current[1], current[2]), power_w, self.energy_wh, self.soc_percent, self.voltage_v)


def _needs(at: Stamp, evse: EvseKey, needs: Any) -> list[Fact]:
    if not isinstance(needs, dict) or not evse.evse_id:
        return []
    ac = needs.get("acChargingParameters")
    dc = needs.get("dcChargingParameters")
    ac, dc = (ac if isinstance(ac, dict) else {}), (dc if isinstance(dc, dict) else {})
    energy = number(ac.get("energyAmount", dc.get("energyAmount")))
    current = number(ac.get("evMaxCurrent"))
    return [
        NeedsAnnounced(
            at,
            evse,
            energy if energy is not None and energy >= 0 else None,
            wall_time(needs.get("departureTime")),
            current if current is not None and current > 0 else None,
        )
    ]
