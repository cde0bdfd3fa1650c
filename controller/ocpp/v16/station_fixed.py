"""Variables of the 2.x device model that a 1.6 station has no key for, but that are known: how it behaves, what it is built of (OCPP-NOTES 12.9).

Its transactions begin with the power path and end with the cable or the driver: TxStartPoint and TxStopPoint say so, read only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from controller.ocpp.hub import EvseShape, Payload
from controller.ocpp.v16.keys import Place, controllers_of, rotations
from controller.ocpp.v16.station_state import StationState
from controller.ocpp.v16.words import CONNECTOR_STATUS_UP

SUMMARY: Final = ("AvailabilityState", "Available", "Enabled", "Problem")
"""What a SummaryInventory is about."""


@dataclass(frozen=True, slots=True)
class Fixed:
    """A read-only variable. tier: 0 = the station, 1 = an EVSE, 2 = a connector. kind: dataType."""

    component: str
    variable: str
    value: str
    kind: str = "string"
    instance: str = ""
    evse_id: int = 0
    tier: int = 0
    unit: str = ""
    values: str = ""
    max_limit: float | None = None

    def fits(self, place: Place, connector_id: int) -> bool:
        """Whether a place in a question is this variable."""
        names = (place.component.lower(), place.variable.lower(), place.instance.lower())
        same = names == (self.component.lower(), self.variable.lower(), self.instance.lower())
        return same and place.evse_id == self.evse_id and (connector_id == 1) == (self.tier == 2)

    def item(self) -> Payload:
        """The reportData entry."""
        kind: Payload = {"dataType": self.kind, "supportsMonitoring": False}
        kind |= {"unit": self.unit} if self.unit else {}
        kind |= {"valuesList": self.values} if self.values else {}
        kind |= {"maxLimit": self.max_limit} if self.max_limit is not None else {}
        evse = {"evse": {"id": self.evse_id, **({"connectorId": 1} if self.tier == 2 else {})}} if self.evse_id else {}
        variable = {"name": self.variable, **({"instance": self.instance} if self.instance else {})}
        attribute = {"value": self.value, "mutability": "ReadOnly"}
        component = {"name": self.component, **evse}
        return {"component": component, "variable": variable, "variableAttribute": [attribute], "variableCharacteristics": kind}


def fixed(state: StationState, profiles: str | None, rotation: str | None = None) -> list[Fixed]:
    """All of a station. profiles: its SupportedFeatureProfiles, rotation: its ConnectorPhaseRotation; None = it has not said."""
    found = [*_station(state), *_behaviour(state), *_controllers(profiles)]
    told = rotations(rotation or "")
    for evse in state.around.evses():
        found += _evse(state, evse)
        if evse.evse_id in told:
            found.append(Fixed("EVSE", "PhaseRotation", told[evse.evse_id], evse_id=evse.evse_id, tier=1))
    if 0 in told:
        found.append(Fixed("ElectricalFeed", "PhaseRotation", told[0]))
    return found


def _station(state: StationState) -> list[Fixed]:
    boot, shapes = state.memory.get("boot", {}), state.around.evses()
    serial = boot.get("chargePointSerialNumber") or boot.get("chargeBoxSerialNumber")
    texts = {"VendorName": boot.get("chargePointVendor"), "Model": boot.get("chargePointModel"), "SerialNumber": serial}
    meter = {"Model": boot.get("meterType"), "SerialNumber": boot.get("meterSerialNumber")}
    phases = max((evse.phases for evse in shapes), default=3)
    return [
        *_about("ChargingStation", state.status(0) or "Available", 0, 0),
        Fixed("ChargingStation", "SupplyPhases", str(phases), "integer"),
        *(Fixed("ChargingStation", name, str(text)) for name, text in texts.items() if text),
        *([Fixed("Controller", "FirmwareVersion", str(boot["firmwareVersion"]))] if boot.get("firmwareVersion") else []),
        *(Fixed("FiscalMetering", name, str(text)) for name, text in meter.items() if text),
    ]


def _behaviour(state: StationState) -> list[Fixed]:
    points = "ParkingBayOccupancy,EVConnected,Authorized,DataSigned,PowerPathClosed,EnergyTransfer"
    return [
        Fixed("TxCtrlr", "TxStartPoint", "PowerPathClosed", "MemberList", values=points),
        Fixed("TxCtrlr", "TxStopPoint", "EVConnected,Authorized", "MemberList", values=points),
        Fixed("ClockCtrlr", "DateTime", state.now, "dateTime"),
        Fixed("DeviceDataCtrlr", "ItemsPerMessage", "32", "integer", instance="GetReport"),
        Fixed("DeviceDataCtrlr", "ItemsPerMessage", "32", "integer", instance="SetVariables"),
    ]


def _controllers(profiles: str | None) -> list[Fixed]:
    if profiles is None:
        return []
    return [Fixed(name, "Available", str(there).lower(), "boolean") for name, there in controllers_of(profiles).items()]


def _evse(state: StationState, evse: EvseShape) -> list[Fixed]:
    status, phases, number = state.status(evse.evse_id) or "Unavailable", str(evse.phases), evse.evse_id
    power_w = evse.phases * evse.max_current_a * state.around.voltage_v
    return [
        *_about("EVSE", status, number, 1),
        Fixed("EVSE", "SupplyPhases", phases, "integer", evse_id=number, tier=1),
        Fixed("EVSE", "Power", "0", "decimal", evse_id=number, tier=1, unit="W", max_limit=power_w),
        *_about("Connector", status, number, 2),
        Fixed("Connector", "SupplyPhases", phases, "integer", evse_id=number, tier=2),
        Fixed("Connector", "ConnectorType", "Unknown", evse_id=number, tier=2),
    ]


def _about(component: str, status: str, evse_id: int, tier: int) -> list[Fixed]:
    """What a station, an EVSE and a connector alike say of themselves."""
    states = "Available,Occupied,Reserved,Unavailable,Faulted"
    mapped, faulted = CONNECTOR_STATUS_UP.get(status, "Unavailable"), str(status == "Faulted").lower()
    return [
        Fixed(component, "AvailabilityState", mapped, "OptionList", evse_id=evse_id, tier=tier, values=states),
        Fixed(component, "Available", "true", "boolean", evse_id=evse_id, tier=tier),
        Fixed(component, "Problem", faulted, "boolean", evse_id=evse_id, tier=tier),
    ]
