"""What one variable of the depot is, and the tables of those that chargers decide on: settings of all, and sums of what they say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

from controller.link.depot.addresses import Name, name_of

Payload = dict[str, Any]
Kind = Literal["string", "decimal", "integer", "dateTime", "boolean", "OptionList", "SequenceList", "MemberList"]
FOR_ALL: Final = "model:settings-for-all"
"""Of the memory: written values of settings of all chargers, by ``Own.key``."""
ITEMS: Final = {"GetVariables": 100, "SetVariables": 50, "GetReport": 100, "SetVariableMonitoring": 50, "ClearVariableMonitoring": 100}
BYTES: Final = 60_000
"""What we take in one request; answers to so many items stay well below a frame's bound."""
STATES: Final = ("Occupied", "Reserved", "Available", "Faulted", "Unavailable")
"""An EVSE is what its connectors are, the first of these that one of them is."""


@dataclass(frozen=True, slots=True)
class Own:
    """One variable. value None: not known now. write: "" = read only. monitored: monitors may watch it.

    keep: key of the memory where a number written to an "own" one goes.
    """

    component: Payload
    variable: Payload
    value: str | None
    data_type: Kind = "string"
    unit: str = ""
    write: Literal["", "own", "fan", "secret"] = ""
    low: float | None = None
    high: float | None = None
    values: str = ""
    monitored: bool = False
    constant: bool = False
    keep: str = ""

    @property
    def name(self) -> Name:
        """As it is compared."""
        return name_of(self.component, self.variable)

    @property
    def key(self) -> str:
        """What a written value is kept under."""
        return ".".join(str(part) for part in self.name)

    @property
    def mutability(self) -> str:
        """As OCPP calls it."""
        return "ReadOnly" if not self.write else "WriteOnly" if self.write == "secret" else "ReadWrite"

    def report(self) -> Payload:
        """As an element of reportData."""
        attribute: Payload = {"type": "Actual", "mutability": self.mutability, "persistent": bool(self.write), "constant": self.constant}
        if self.value is not None and self.write != "secret":
            attribute["value"] = self.value[:2500]
        bounds = {"unit": self.unit or None, "minLimit": self.low, "maxLimit": self.high, "valuesList": self.values or None}
        stated = {key: one for key, one in bounds.items() if one is not None}
        kind: Payload = {"dataType": self.data_type, "supportsMonitoring": self.monitored, **stated}
        return {"component": self.component, "variable": self.variable, "variableAttribute": [attribute], "variableCharacteristics": kind}


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting of all chargers. default: what is shown while nobody has said anything."""

    component: str
    variable: str
    data_type: Kind
    default: str
    unit: str = ""
    instance: str = ""
    low: float | None = None
    high: float | None = None
    values: str = ""


TX_POINTS: Final = "ParkingBayOccupancy,EVConnected,Authorized,DataSigned,PowerPathClosed,EnergyTransfer"
MEASURANDS: Final = "Current.Import,Energy.Active.Import.Register,Power.Active.Import,SoC,Voltage"
FANNED: Final = (
    Setting("SampledDataCtrlr", "Enabled", "boolean", "true"),
    Setting("SampledDataCtrlr", "TxUpdatedInterval", "integer", "60", "s", low=0),
    Setting("SampledDataCtrlr", "TxEndedInterval", "integer", "0", "s", low=0),
    Setting("SampledDataCtrlr", "TxStartedMeasurands", "MemberList", "Energy.Active.Import.Register", values=MEASURANDS),
    Setting("SampledDataCtrlr", "TxUpdatedMeasurands", "MemberList", "Energy.Active.Import.Register", values=MEASURANDS),
    Setting("SampledDataCtrlr", "TxEndedMeasurands", "MemberList", "Energy.Active.Import.Register", values=MEASURANDS),
    Setting("AlignedDataCtrlr", "Enabled", "boolean", "true"),
    Setting("AlignedDataCtrlr", "Interval", "integer", "900", "s", low=0),
    Setting("AlignedDataCtrlr", "Measurands", "MemberList", "Energy.Active.Import.Register", values=MEASURANDS),
    Setting("AlignedDataCtrlr", "TxEndedInterval", "integer", "0", "s", low=0),
    Setting("AlignedDataCtrlr", "TxEndedMeasurands", "MemberList", "Energy.Active.Import.Register", values=MEASURANDS),
    Setting("TxCtrlr", "EVConnectionTimeOut", "integer", "60", "s", low=0),
    Setting("TxCtrlr", "StopTxOnEVSideDisconnect", "boolean", "true"),
    Setting("TxCtrlr", "StopTxOnInvalidId", "boolean", "true"),
    Setting("TxCtrlr", "MaxEnergyOnInvalidId", "integer", "0", "Wh", low=0),
    Setting("TxCtrlr", "TxStartPoint", "MemberList", "PowerPathClosed", values=TX_POINTS),
    Setting("TxCtrlr", "TxStopPoint", "MemberList", "EVConnected,Authorized", values=TX_POINTS),
    Setting("AuthCtrlr", "AuthorizeRemoteStart", "boolean", "false"),
    Setting("AuthCtrlr", "LocalAuthorizeOffline", "boolean", "true"),
    Setting("AuthCtrlr", "LocalPreAuthorize", "boolean", "false"),
    Setting("AuthCtrlr", "OfflineTxForUnknownIdEnabled", "boolean", "false"),
    Setting("AuthCacheCtrlr", "Enabled", "boolean", "true"),
    Setting("LocalAuthListCtrlr", "Enabled", "boolean", "true"),
    Setting("OCPPCommCtrlr", "UnlockOnEVSideDisconnect", "boolean", "true"),
)
DERIVED: Final = (
    ("ReservationCtrlr", "Available", ""),
    ("ReservationCtrlr", "NonEvseSpecific", ""),
    ("TariffCostCtrlr", "Available", "Tariff"),
    ("TariffCostCtrlr", "Available", "Cost"),
    ("DisplayMessageCtrlr", "Available", ""),
    ("ISO15118Ctrlr", "PnCEnabled", ""),
    ("SmartChargingCtrlr", "Phases3to1", ""),
    ("SmartChargingCtrlr", "ACPhaseSwitchingSupported", ""),
    ("DCDERCtrlr", "Available", ""),
    ("ACDERCtrlr", "Available", ""),
)
"""True where one charger says so, on whatever tier."""
UNITED: Final = (("DCDERCtrlr", "ModesSupported"), ("ACDERCtrlr", "ModesSupported"), ("V2XChargingCtrlr", "SupportedOperationModes"))
"""Lists that hold what any charger names; shown only if one does."""


def text_of(number: float | None) -> str | None:
    """A number as OCPP wants it: no exponent, no needless digits."""
    if number is None:
        return None
    text = f"{number:.3f}".rstrip("0").rstrip(".")
    return "0" if text in ("", "-0") else text


def flag_of(value: bool) -> str:
    return "true" if value else "false"
