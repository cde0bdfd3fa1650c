"""What we send to an IEEE 2030.5 server, element by element in the order of the standard's schema."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from signals.csip_identity import mrid
from signals.csip_modes import Ratings
from signals.csip_readings import Average
from signals.csip_xml import Parts, document

CONNECT, ENERGIZE, FIXED_W, MAX_LIM_W, TARGET_W = 1 << 2, 1 << 3, 1 << 7, 1 << 20, 1 << 22
CHARGE, DISCHARGE = 1 << 0, 1 << 1
ELECTRICITY: Final = 1
SITE_ROLE: Final = "03"
"""roleFlags: a mirror (bit 0) at the premises' aggregation point (bit 1)."""
_CONNECTED: Final = "07"
"""ConnectStatusType: connected, available, operating."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One reading of the mirror. uom: IEC 61968-9. flow: 1 to the customer, 19 from the customer. tens: the unit is 10 ** tens."""

    name: str
    uom: int
    flow: int
    kind: int
    accumulation: int
    qualifier: int
    tens: int = 0


KINDS: Final = (
    Kind("power", uom=38, flow=1, kind=37, accumulation=12, qualifier=2),
    Kind("voltage", uom=29, flow=0, kind=0, accumulation=12, qualifier=2, tens=-1),
    Kind("energy import", uom=72, flow=1, kind=12, accumulation=9, qualifier=0),
    Kind("energy export", uom=72, flow=19, kind=12, accumulation=9, qualifier=0),
)
"""Power is positive when it comes from the grid, with its sign. Energies are the meter's registers."""


def end_device(lfdi: str, sfdi: int, category: int, now_s: float) -> bytes:
    """EndDevice, to register in band (2030.5 8.2)."""
    parts: Parts = (("deviceCategory", f"{category:08X}"), ("lFDI", lfdi), ("sFDI", sfdi), ("changedTime", int(now_s)))
    return document("EndDevice", parts)


def response(lfdi: str, subject: str, code: int, at_s: int) -> bytes:
    """DERControlResponse. subject: mRID of the control. at_s: server time when it came about."""
    return document("DERControlResponse", (("createdDateTime", at_s), ("endDeviceLFDI", lfdi), ("status", code), ("subject", subject)))


def subscription(resource: str, uri: str) -> bytes:
    """Subscription to a resource of the server. uri: whom it notifies. Of what changed we ask for nothing (limit 0): we look ourselves."""
    return document("Subscription", (("subscribedResource", resource), ("encoding", 0), ("level", "+S1"), ("limit", 0), ("notificationURI", uri)))


def modes(ratings: Ratings) -> int:
    """DERControlType bits of what can be carried out here."""
    bits = CONNECT | ENERGIZE | MAX_LIM_W | TARGET_W
    if ratings.charge_w > 0 or ratings.discharge_w > 0:
        bits |= FIXED_W | CHARGE | DISCHARGE
    return bits


def doe_modes(ratings: Ratings) -> int:
    """CSIP-AUS bits: export, import, generation, load limits. Import is left out where the source is aimed at the loads only."""
    return 0b1101 | (0 if ratings.controllable else 0b0010)


def capability(ratings: Ratings, aus: str | None) -> bytes:
    """DERCapability: the plate."""
    storage = ratings.charge_w > 0 or ratings.discharge_w > 0
    parts: Parts = (
        ("modesSupported", f"{modes(ratings):08X}"),
        ("rtgMaxChargeRateW", _power(ratings.charge_w) if storage else None),
        ("rtgMaxDischargeRateW", _power(ratings.discharge_w) if storage else None),
        ("rtgMaxW", _power(ratings.generation_w)),
        ("type", _type(ratings)),
        ("aus:doeModesSupported", f"{doe_modes(ratings):02X}"),
        ("aus:vppModesSupported", "01" if storage else None),
    )
    return document("DERCapability", parts, aus)


def settings(ratings: Ratings, now_s: float, aus: str | None) -> bytes:
    """DERSettings: what is set now, which is the plate. setGradW 0: no ramp of ours."""
    storage = ratings.charge_w > 0 or ratings.discharge_w > 0
    parts: Parts = (
        ("modesEnabled", f"{modes(ratings):08X}"),
        ("setGradW", 0),
        ("setMaxChargeRateW", _power(ratings.charge_w) if storage else None),
        ("setMaxDischargeRateW", _power(ratings.discharge_w) if storage else None),
        ("setMaxW", _power(ratings.generation_w)),
        ("updatedTime", int(now_s)),
        ("aus:doeModesEnabled", f"{doe_modes(ratings):02X}"),
        ("aus:vppModesEnabled", "01" if storage else None),
    )
    return document("DERSettings", parts, aus)


def status(now_s: float, connected: bool, controlled: bool, battery_w: float | None, soc_percent: float | None, alarms: int = 0) -> bytes:
    """DERStatus. controlled: a limit of this server holds. battery_w: charging positive. alarms: bits of alarmStatus."""
    at: Parts = (("dateTime", int(now_s)),)
    storing = None if battery_w is None else (*at, ("value", 0 if battery_w > 50 else 1 if battery_w < -50 else 2))
    charge = None if soc_percent is None else (*at, ("value", int(min(100.0, max(0.0, soc_percent)) * 100)))
    parts: Parts = (
        ("alarmStatus", f"{alarms:08X}"),
        ("genConnectStatus", (*at, ("value", _CONNECTED if connected else "00"))),
        ("inverterStatus", (*at, ("value", 5 if controlled else 4))),
        ("localControlModeStatus", (*at, ("value", 1))),
        ("operationalModeStatus", (*at, ("value", 2))),
        ("readingTime", int(now_s)),
        ("stateOfChargeStatus", charge),
        ("storageModeStatus", storing),
        ("storConnectStatus", (*at, ("value", _CONNECTED)) if battery_w is not None else None),
    )
    return document("DERStatus", parts)


def availability(now_s: float, ratings: Ratings, pv_w: float | None) -> bytes:
    """DERAvailability: what could still be delivered now, as far as it is known. Nothing is promised of a battery's reserve."""
    spare = None if pv_w is None else _power(max(0.0, ratings.generation_w - ratings.discharge_w - pv_w))
    return document("DERAvailability", (("readingTime", int(now_s)), ("statWAvail", spare)))


# -- mirror usage points ---------------------------------------------------------------------------------------


def usage_point(lfdi: str, name: str, post_s: float, kinds: tuple[Kind, ...] = KINDS) -> bytes:
    """MirrorUsagePoint with the types of its readings."""
    readings: Parts = tuple(("MirrorMeterReading", (*_identity(lfdi, name, kind), ("ReadingType", _reading_type(kind, post_s)))) for kind in kinds)
    parts: Parts = (
        ("mRID", mrid(lfdi, name, "usage point")),
        ("description", name[:32]),
        ("roleFlags", SITE_ROLE),
        ("serviceCategoryKind", 0),
        ("status", 1),
        ("deviceLFDI", lfdi),
        *readings,
        ("postRate", max(1, int(post_s))),
    )
    return document("MirrorUsagePoint", parts)


def meter_reading(lfdi: str, name: str, kind: Kind, average: Average) -> bytes:
    """MirrorMeterReading: one value with the time it covers."""
    period: Parts = (("duration", int(average.duration_s)), ("start", int(average.start_s)))
    until_s = int(average.start_s + average.duration_s)
    reading: Parts = (("qualityFlags", "0001"), ("timePeriod", period), ("value", round(average.value * 10**-kind.tens)))
    return document("MirrorMeterReading", (*_identity(lfdi, name, kind), ("lastUpdateTime", until_s), ("Reading", reading)))


def _identity(lfdi: str, name: str, kind: Kind) -> Parts:
    return (("mRID", mrid(lfdi, name, kind.name)), ("description", kind.name))


def _reading_type(kind: Kind, post_s: float) -> Parts:
    return (
        ("accumulationBehaviour", kind.accumulation),
        ("commodity", ELECTRICITY),
        ("dataQualifier", kind.qualifier),
        ("flowDirection", kind.flow),
        ("intervalLength", max(1, int(post_s)) if kind.qualifier else None),
        ("kind", kind.kind),
        ("powerOfTenMultiplier", kind.tens),
        ("uom", kind.uom),
    )


def _power(power_w: float) -> Parts:
    """ActivePower: a value of 16 bits and a power of ten; never more than it is."""
    multiplier = 0
    while power_w >= 32_768 * 10**multiplier and multiplier < 9:
        multiplier += 1
    return (("multiplier", multiplier), ("value", math.floor(power_w / 10**multiplier)))


def _type(ratings: Ratings) -> int:
    """DERType: 4 photovoltaic, 80 storage, 83 both, 82 EVSE where nothing is generated."""
    solar, storage = ratings.generation_w > ratings.discharge_w, ratings.discharge_w > 0
    return 83 if solar and storage else 4 if solar else 80 if storage else 82
