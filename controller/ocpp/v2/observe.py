"""What a 2.x station's messages mean for the site: watts, amps, sessions, needs.

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
    EvseStatus,
    EvseStatusChanged,
    Fact,
    SessionChanged,
    Stamp,
)
from controller.ocpp.samples import ENERGY, Samples, number
from controller.ocpp.v2 import needs

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

TELLING = frozenset({"StatusNotification", "TransactionEvent", "MeterValues", "NotifyEVChargingNeeds", "NotifyEvent"})
"""Actions that tell the site something."""


def observe(at: Stamp, station_id: str, action: str, payload: Payload, evse_hint: int = 0) -> list[Fact]:
    """Neutral facts of one CALL; evse_hint names the EVSE when the message does not (E01: sent once)."""
    if action not in TELLING:
        return []
    evse = EvseKey(station_id, evse_number(payload) or evse_hint)
    if action == "StatusNotification":
        return _status(at, evse, payload.get("connectorStatus"))
    if action == "TransactionEvent":
        return _transaction(at, evse, payload)
    if action == "MeterValues":
        return _measured(at, evse, payload.get("meterValue"))
    if action == "NotifyEVChargingNeeds":
        return needs.announced(at, evse, payload.get("chargingNeeds"))
    if action == "NotifyEvent":
        return list(_events(at, station_id, payload.get("eventData")))
    return []


def evse_number(payload: Payload) -> int:
    """EVSE id a message names: ``evseId`` or ``evse.id``; 0 when it names none."""
    evse = payload.get("evse")
    value = evse.get("id") if isinstance(evse, dict) else payload.get("evseId")
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else 0


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
    reader = Samples()
    for sample in samples:
        if isinstance(sample, dict):
            _take(reader, sample)
    return [reader.fact(at, evse)] if reader.seen else []


def _take(reader: Samples, sample: Payload) -> None:
    """One sampled value. Values at the grid side of the station (Inlet, location of DC stations) count too; Upstream is the site's meter."""
    value, scale, unit = sample.get("value"), sample.get("unitOfMeasure"), None
    if type(value) is not float or not math.isfinite(value):  # else as it is, as nearly always
        value = number(value)
    if value is None or sample.get("location") in ("Body", "Cable", "Upstream"):
        return
    if isinstance(scale, dict):
        unit, multiplier = scale.get("unit"), scale.get("multiplier", 0)
        if multiplier and isinstance(multiplier, int) and -12 <= multiplier <= 12:
            value *= 10.0**multiplier
            if not math.isfinite(value):
                return
    reader.add(sample.get("measurand", ENERGY), value, unit, sample.get("phase"))
