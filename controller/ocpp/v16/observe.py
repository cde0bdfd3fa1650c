"""What a 1.6 station's messages mean for the site: watts, amps, sessions.

A connectorId is an EVSE id; 0 is the station itself and no EVSE's measurement (trap 11). Reads only. A value
that cannot be understood is left out, never guessed (B19).

- A StatusNotification names no transaction. Its charging state is told as a ``SessionChanged`` with
  transaction_id "": the state of whatever runs there.
- A StartTransaction names none either, the CSMS chooses the id in its answer. It is told once it is
  known: the payload then carries "transactionId". Without it nothing is told.
- 1.6 has no offline flag. What a station has queued comes late, so a reading or an event older than
  FRESH_S does not count as live (F16), nor does one whose time cannot be read.
"""

from __future__ import annotations

from typing import Any, Final

from controller.facts import ChargingState, EvseKey, EvseMeasured, EvseStatus, EvseStatusChanged, Fact, SessionChanged, Stamp
from controller.ocpp.dialect import Payload
from controller.ocpp.samples import ENERGY, Samples
from controller.ocpp.times import wall_time
from controller.ocpp.v16.readings import number, objects
from controller.ocpp.v16.transactions import connector, id_text

FRESH_S: Final = 120.0
"""Older messages were queued by the station: longer than any retry on the way, shorter than most sample intervals."""

STATUSES: Final[dict[str, tuple[EvseStatus, ChargingState | None]]] = {
    "Available": (EvseStatus.AVAILABLE, ChargingState.IDLE),
    "Preparing": (EvseStatus.OCCUPIED, ChargingState.EV_CONNECTED),
    "Charging": (EvseStatus.OCCUPIED, ChargingState.CHARGING),
    "SuspendedEV": (EvseStatus.OCCUPIED, ChargingState.SUSPENDED_EV),
    "SuspendedEVSE": (EvseStatus.OCCUPIED, ChargingState.SUSPENDED_EVSE),
    "Finishing": (EvseStatus.OCCUPIED, ChargingState.EV_CONNECTED),
    "Reserved": (EvseStatus.RESERVED, ChargingState.IDLE),
    # These say nothing about a transaction: it may go on when the fault is over.
    "Unavailable": (EvseStatus.UNAVAILABLE, None),
    "Faulted": (EvseStatus.FAULTED, None),
}
UNITS: Final[dict[str, tuple[Any, ...]]] = {
    # The default unit Wh is that of energy; many leave out A and V, but W or kW nobody can tell (B19).
    "Energy": ("Wh", "kWh", None),
    "Power": ("W", "kW"),
    "Current": ("A", None),
    "Voltage": ("V", None),
    "SoC": ("Percent", "%", None),
}


def observe(at: Stamp, station_id: str, action: str, payload: Payload, evse_hint: int = 0) -> list[Fact]:
    """Neutral facts of one CALL; evse_hint names the EVSE of the transaction where the message does not."""
    if action == "StatusNotification":
        return _status(at, EvseKey(station_id, connector(payload)), payload.get("status"))
    if action == "StartTransaction":
        return _started(at, EvseKey(station_id, connector(payload)), payload)
    if action == "StopTransaction":
        return _stopped(at, EvseKey(station_id, evse_hint), payload)
    return _meter_values(at, station_id, payload, evse_hint) if action == "MeterValues" else []


def _status(at: Stamp, evse: EvseKey, status: Any) -> list[Fact]:
    known = STATUSES.get(status) if isinstance(status, str) else None
    if known is None or not evse.evse_id:
        return []
    facts: list[Fact] = [EvseStatusChanged(at, evse, known[0])]
    return facts if known[1] is None else [*facts, SessionChanged(at, evse, "", known[1])]


# -- transactions ------------------------------------------------------------------------------------------


def _started(at: Stamp, evse: EvseKey, payload: Payload) -> list[Fact]:
    transaction_id = id_text(payload.get("transactionId"))
    if transaction_id is None or not evse.evse_id:
        return []
    live = _fresh(at, payload.get("timestamp"))
    # The register first: the session begins with it.
    return [*_register(at, evse, payload.get("meterStart"), live), SessionChanged(at, evse, transaction_id, None, started=True, live=live)]


def _stopped(at: Stamp, evse: EvseKey, payload: Payload) -> list[Fact]:
    transaction_id = id_text(payload.get("transactionId"))
    if transaction_id is None or not evse.evse_id:
        return []
    live = _fresh(at, payload.get("timestamp"))
    # Likewise: the final register still belongs to the session.
    return [*_register(at, evse, payload.get("meterStop"), live), SessionChanged(at, evse, transaction_id, None, ended=True, live=live)]


def _register(at: Stamp, evse: EvseKey, value: Any, live: bool) -> list[Fact]:
    energy_wh = number(value)
    return [EvseMeasured(at, evse, energy_wh=energy_wh)] if live and energy_wh is not None else []


def _fresh(at: Stamp, moment: Any) -> bool:
    """Whether a moment told by the station is now. Before our own clock is right, nobody can tell: taken as now (F78)."""
    wall_s = wall_time(moment)
    return wall_s is not None and (not at.wall_trusted or at.wall_s - wall_s <= FRESH_S * at.wall_speed)


# -- meter values ----------------------------------------------------------------------------------------


def _meter_values(at: Stamp, station_id: str, payload: Payload, evse_hint: int) -> list[Fact]:
    transaction_id = id_text(payload.get("transactionId"))
    evse = EvseKey(station_id, connector(payload) or (evse_hint if transaction_id is not None else 0))
    if not evse.evse_id:
        return []
    values = [value for value in objects(payload.get("meterValue")) if wall_time(value.get("timestamp")) is not None]
    live, samples = _newest(at, values)
    facts: list[Fact] = [SessionChanged(at, evse, transaction_id, None, live=live)] if transaction_id is not None else []
    reader = Samples()
    for sample in samples if live else []:
        _take(reader, sample)
    return [*facts, reader.fact(at, evse)] if reader.seen else facts


def _newest(at: Stamp, values: list[Payload]) -> tuple[bool, list[Payload]]:
    """(live, sampled values) of the latest moment; some stations write each of its samples as a meter value of its own."""
    latest = max((wall_time(value["timestamp"]) or 0.0 for value in values), default=None)
    newest = [value for value in values if wall_time(value["timestamp"]) == latest]
    return any(_fresh(at, value["timestamp"]) for value in newest), [sample for value in newest for sample in objects(value.get("sampledValue"))]


def _take(reader: Samples, sample: Payload) -> None:
    """One sampled value, with the defaults of 16 7.43. Inlet is the grid side of the station and counts too."""
    value, measurand, unit = number(sample.get("value")), sample.get("measurand", ENERGY), sample.get("unit")
    if value is None or not isinstance(measurand, str) or sample.get("format", "Raw") != "Raw":
        return
    if sample.get("location") in ("Body", "Cable") or (sample.get("location") == "EV" and measurand != "SoC"):
        return
    if unit in UNITS.get(measurand.split(".")[0], ()):
        reader.add(measurand, value, unit, sample.get("phase"))
