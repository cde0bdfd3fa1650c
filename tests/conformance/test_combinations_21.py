"""Combinations of charging profiles that only 2.1 has: local time and its two nights, Dynamic profiles, offline and state of
charge, priority, local generation, operation modes with setpoints.

Worked out by hand like those of test_combinations; what a row takes for granted stands in ``tests.support.combinations``.
"""

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.support.combinations import ALL, DAY, HOUR, NEW, P, Row, at, cases, expected_of, p, schedule_of

BERLIN = ZoneInfo("Europe/Berlin")
LOCAL = {"useLocalTime": True}
NIGHTLY: P = {"kind": "Recurring", "every": "Daily", "start": "2026-01-01T22:00:00Z", "duration": 8 * HOUR}
SPRING, AUTUMN = datetime(2026, 3, 28, 12, tzinfo=UTC), datetime(2026, 10, 24, 12, tzinfo=UTC)
# Berlin: UTC+1 until 2026-03-29T01:00Z, then UTC+2 until 2026-10-25T01:00Z.
CLOCKS = [
    Row(
        "K01.FR.90 22:00 of a winter's day is 21:00 UTC",
        NEW,
        [p("default", (0, 20), schedule=LOCAL, **NIGHTLY)],
        [(0, None), (9 * HOUR, 20), (17 * HOUR, None)],
        hours=24,
        zone=BERLIN,
    ),
    Row(
        "K01.FR.90 the zone in the message is disregarded",
        NEW,
        [p("default", (0, 20), schedule=LOCAL, **NIGHTLY | {"start": "2026-01-01T22:00:00+05:00"})],
        [(0, None), (9 * HOUR, 20), (17 * HOUR, None)],
        hours=24,
        zone=BERLIN,
    ),
    Row(
        "K01.FR.90 without local time it is 22:00 UTC",
        ALL,
        [p("default", (0, 20), **NIGHTLY)],
        [(0, None), (10 * HOUR, 20), (18 * HOUR, None)],
        hours=24,
        zone=BERLIN,
    ),
    Row(
        "K01.FR.90 no zone known: UTC",
        NEW,
        [p("default", (0, 20), schedule=LOCAL, **NIGHTLY)],
        [(0, None), (10 * HOUR, 20), (18 * HOUR, None)],
        hours=24,
    ),
    Row(  # 22:00 CET = 21:00Z, 8 hours of seconds end at 05:00Z; the next evening 22:00 CEST = 20:00Z: 23 hours later
        "F79 K01.FR.90 the night of 23 hours",
        NEW,
        [p("default", (0, 20), schedule=LOCAL, **NIGHTLY)],
        [(0, None), (9 * HOUR, 20), (17 * HOUR, None), (32 * HOUR, 20), (40 * HOUR, None)],
        now=SPRING,
        hours=48,
        zone=BERLIN,
    ),
    Row(  # 22:00 CEST = 20:00Z, end 04:00Z; the next evening 22:00 CET = 21:00Z: 25 hours later
        "F79 K01.FR.90 the night of 25 hours",
        NEW,
        [p("default", (0, 20), schedule=LOCAL, **NIGHTLY)],
        [(0, None), (8 * HOUR, 20), (16 * HOUR, None), (33 * HOUR, 20), (41 * HOUR, None)],
        now=AUTUMN,
        hours=48,
        zone=BERLIN,
    ),
    Row(
        "F79 in UTC the night of 25 hours is like any other",
        ALL,
        [p("default", (0, 20), **NIGHTLY)],
        [(0, None), (10 * HOUR, 20), (18 * HOUR, None), (34 * HOUR, 20), (42 * HOUR, None)],
        now=AUTUMN,
        hours=48,
        zone=BERLIN,
    ),
    Row(  # from midnight CEST (22:00Z) to midnight CET (23:00Z of the next day) are 25 hours
        "F79 a schedule of a whole day has no gap in 25 hours",
        NEW,
        [p("default", (0, 20), (6 * HOUR, 8), schedule=LOCAL, kind="Recurring", every="Daily", start="2026-01-01T00:00:00Z", duration=DAY)],
        [(0, 8), (10 * HOUR, 20), (16 * HOUR, 8), (35 * HOUR, 20), (41 * HOUR, 8)],
        now=AUTUMN,
        hours=48,
        zone=BERLIN,
    ),
    Row(  # midnight CET = 23:00Z, midnight CEST = 22:00Z of the next day: the period from 22:30 h on is cut after 23 hours
        "F79 a day of 23 hours is cut by the next one",
        NEW,
        [p("default", (0, 20), (81_000, 8), schedule=LOCAL, kind="Recurring", every="Daily", start="2026-01-01T00:00:00Z")],
        [(0, 20), (9.5 * HOUR, 8), (11 * HOUR, 20), (33.5 * HOUR, 8), (34 * HOUR, 20)],
        now=SPRING,
        hours=48,
        zone=BERLIN,
    ),
    Row(  # 02:30 does not exist; 30 minutes after the hour began it is 03:30 CEST = 01:30Z
        "F79 02:30 in the night without it",
        NEW,
        [p("default", (0, 20), schedule=LOCAL, kind="Recurring", every="Daily", start="2026-01-01T02:30:00Z", duration=HOUR)],
        [(0, None), (13.5 * HOUR, 20), (14.5 * HOUR, None), (36.5 * HOUR, 20), (37.5 * HOUR, None)],
        now=SPRING,
        hours=48,
        zone=BERLIN,
    ),
    Row(  # 02:30 comes twice, at 00:30Z and 01:30Z; it happens once
        "F79 02:30 in the night that has it twice",
        NEW,
        [p("default", (0, 20), schedule=LOCAL, kind="Recurring", every="Daily", start="2026-01-01T02:30:00Z", duration=HOUR)],
        [(0, None), (12.5 * HOUR, 20), (13.5 * HOUR, None), (37.5 * HOUR, 20), (38.5 * HOUR, None)],
        now=AUTUMN,
        hours=48,
        zone=BERLIN,
    ),
    Row(  # the round of yesterday 00:30 CEST (22:30Z) is running at 23:15Z; today's 00:30 CET is 23:30Z
        "F79 asked between the two clocks' half past twelve",
        NEW,
        [p("default", (0, 20), (HOUR, 8), schedule=LOCAL, kind="Recurring", every="Daily", start="2026-01-01T00:30:00Z")],
        [(0, 8), (900, 20), (900 + HOUR, 8)],
        now=datetime(2026, 10, 25, 23, 15, tzinfo=UTC),
        zone=BERLIN,
    ),
    Row(  # Sunday 2026-03-22 20:00 CET = 19:00Z, a week later 20:00 CEST = 18:00Z
        "K01.FR.90 weekly over the change",
        NEW,
        [p("default", (0, 20), schedule=LOCAL, kind="Recurring", every="Weekly", start="2026-03-22T20:00:00Z", duration=HOUR)],
        [(0, None), (30 * HOUR, 20), (31 * HOUR, None)],
        now=SPRING,
        hours=48,
        zone=BERLIN,
    ),
    Row(
        "K01.FR.90 an absolute schedule by the clock on the wall",
        NEW,
        [p("tx", (0, 20), schedule=LOCAL, start="2026-03-10T14:00:00Z")],
        [(0, None), (HOUR, 20)],
        zone=BERLIN,
    ),
]

WATCH: P = {"kind": "Dynamic", "start": ""}
NEWER = [
    Row("K28.FR.05 a dynamic limit without end", NEW, [p("default", (0, 6)), p("tx", (0, 13), **WATCH)], [(0, 13)], updated_s=90_000),
    Row(
        "K28.FR.13 a dynamic limit ends so long after its update",
        NEW,
        [p("default", (0, 6)), p("tx", (0, 13), duration=300, **WATCH)],
        [(0, 13), (240, 6)],
        updated_s=60,
    ),
    Row("K28.FR.13 not updated for too long", NEW, [p("default", (0, 6)), p("tx", (0, 13), duration=300, **WATCH)], [(0, 6)], updated_s=301),
    Row(
        "K28.FR.14 updated just now",
        NEW,
        [p("default", (0, 6)), p("tx", (0, 13), duration=300, **WATCH)],
        [(0, 13), (300, 6)],
        updated_s=0,
    ),
    Row("K28 a dynamic maximum caps", NEW, [p("max", (0, 10), **WATCH), p("tx", (0, 13))], [(0, 10)], updated_s=60),
    Row(
        "K01.FR.101 valid so long after the CSMS is lost",
        NEW,
        [p("default", (0, 6)), p("tx", (0, 20), profile={"maxOfflineDuration": 900})],
        [(0, 20), (300, 6)],
        known={"offline_since_wall_s": 600},
    ),
    Row(
        "K01.FR.101 0: at once",
        NEW,
        [p("default", (0, 6)), p("tx", (0, 20), profile={"maxOfflineDuration": 0})],
        [(0, 6)],
        known={"offline_since_wall_s": 0},
    ),
    Row(
        "K01.FR.102 offline for too long",
        NEW,
        [p("tx", (0, 20), profile={"maxOfflineDuration": 60})],
        [(0, None)],
        known={"offline_since_wall_s": 60},
    ),
    Row("K01.FR.101 nothing ends while the CSMS is there", NEW, [p("tx", (0, 20), profile={"maxOfflineDuration": 0})], [(0, 20)]),
    Row("K06.FR.01 without the field it stays", ALL, [p("default", (0, 6)), p("tx", (0, 20))], [(0, 20)], known={"offline_since_wall_s": 9000}),
    Row(
        "K01.FR.100 above the state of charge",
        NEW,
        [p("tx", (0, 20), schedule={"limitAtSoC": {"soc": 80, "limit": 8}})],
        [(0, 8)],
        known={"soc_percent": 81},
    ),
    Row("K01.FR.100 at it", NEW, [p("tx", (0, 20), schedule={"limitAtSoC": {"soc": 80, "limit": 8}})], [(0, 8)], known={"soc_percent": 80}),
    Row("K01.FR.100 below it", NEW, [p("tx", (0, 20), schedule={"limitAtSoC": {"soc": 80, "limit": 8}})], [(0, 20)], known={"soc_percent": 79}),
    Row("K01.FR.100 unknown: the safer side", NEW, [p("tx", (0, 20), schedule={"limitAtSoC": {"soc": 80, "limit": 8}})], [(0, 8)]),
    Row(
        "K01.FR.100 it raises nothing, and is in the unit of the schedule",
        NEW,
        [p("tx", (0, 6900), (600, 2070), unit="W", schedule={"limitAtSoC": {"soc": 80, "limit": 4140}})],
        [(0, 6), (600, 3)],
        known={"soc_percent": 99},
    ),
    Row("K08 an idle EVSE has no random delay", NEW, [p("default", (0, 16), (600, 8), schedule={"randomizedDelay": 900})], [(0, 16), (600, 8)]),
    Row("K21 priority not asked for", NEW, [p("tx", (0, 8)), p("priority", (0, 32))], [(0, 8)]),
    Row(
        "K21 priority stands in for the TxProfile",
        NEW,
        [p("tx", (0, 8), stack=9), p("priority", (0, 32))],
        [(0, 32)],
        known={"priority_active": True},
    ),
    Row("K21 and for the default", NEW, [p("default", (0, 8)), p("priority", (0, 32))], [(0, 32)], known={"priority_active": True}),
    Row("SC.01 the maximum caps priority", NEW, [p("max", (0, 25)), p("priority", (0, 32))], [(0, 25)], known={"priority_active": True}),
    Row(
        "K21 priority without a valid profile",
        NEW,
        [p("tx", (0, 8)), p("priority", (0, 32), profile={"validTo": at(1)})],
        [(0, 32), (HOUR, 8)],
        known={"priority_active": True},
    ),
    Row("K27 5 kW and 2 kW of the sun are 7 kW", NEW, [p("default", (0, 5000), unit="W"), p("sun", (0, 2000), unit="W")], [(0, 7000)], unit="W"),
    Row("SC.01 the sun on top of the lowest", NEW, [p("max", (0, 10)), p("tx", (0, 20)), p("sun", (0, 6))], [(0, 16)]),
    Row("K27 the sun alone limits nothing", NEW, [p("sun", (0, 6))], [(0, None)]),
    Row("K27 the sun sets", NEW, [p("default", (0, 10)), p("sun", (0, 6), (600, 0))], [(0, 16), (600, 10)]),
    Row("K27 the sun by stack", NEW, [p("default", (0, 10)), p("sun", (0, 6)), p("sun", (0, 2), stack=1)], [(0, 12)]),
    Row("K27 the sun on top of priority", NEW, [p("priority", (0, 20)), p("sun", (0, 6))], [(0, 26)], known={"priority_active": True}),
    Row(
        "K27 an external limit of the sun not known yet", NEW, [p("default", (0, 10)), p("sun", (0, {"operationMode": "ExternalLimits"}))], [(0, 10)]
    ),
]


def mode(name: str, **values: Any) -> P:
    return {"operationMode": name, **values}


V2X = [
    Row(
        "Q03 a setpoint out of the car",
        NEW,
        [p("tx", (0, mode("CentralSetpoint", setpoint=-6900)), unit="W")],
        [(0, mode("CentralSetpoint", setpoint=-6900))],
        unit="W",
    ),
    Row(  # 6.1: without phases named it is the sum, also in A
        "Q03 a setpoint asked in amps is the sum of the phases",
        NEW,
        [p("tx", (0, mode("CentralSetpoint", setpoint=-6900)), unit="W")],
        [(0, mode("CentralSetpoint", setpoint=-30))],
    ),
    Row(
        "V2X.03 a setpoint is capped by the maximum",
        NEW,
        [p("max", (0, 10)), p("tx", (0, mode("CentralSetpoint", setpoint=11_040)), unit="W")],
        [(0, mode("CentralSetpoint", limit=6900, setpoint=6900))],
        unit="W",
    ),
    Row(
        "K01.FR.111 a maximum bounds no discharge (trap 23)",
        NEW,
        [p("max", (0, 10)), p("tx", (0, mode("CentralSetpoint", setpoint=-11_040)), unit="W")],
        [(0, mode("CentralSetpoint", limit=6900, setpoint=-11_040))],
        unit="W",
    ),
    Row(
        "K08.FR.08 the discharge limit is told",
        NEW,
        [p("tx", (0, mode("CentralFrequency", setpoint=-3000, dischargeLimit=-4000, limit=4000)), unit="W")],
        [(0, mode("CentralFrequency", setpoint=-3000, dischargeLimit=-4000, limit=4000))],
        unit="W",
    ),
    Row(
        "Q03 a schedule of setpoints, then plain charging",
        NEW,
        [p("tx", (0, mode("CentralSetpoint", setpoint=3000)), (600, mode("CentralSetpoint", setpoint=-3000)), (1200, 6900), unit="W")],
        [(0, mode("CentralSetpoint", setpoint=3000)), (600, mode("CentralSetpoint", setpoint=-3000)), (1200, 6900)],
        unit="W",
    ),
    Row(
        "SC.01 a plain TxProfile stands in for a default with setpoints",
        NEW,
        [p("default", (0, mode("CentralSetpoint", setpoint=-3000)), unit="W"), p("tx", (0, 16), duration=600)],
        [(0, 11_040), (600, mode("CentralSetpoint", setpoint=-3000))],
        unit="W",
    ),
    Row(
        "SC.01 a TxProfile that leaves the limit to others stands in for the default",
        NEW,
        [p("default", (0, 6)), p("tx", (0, mode("ExternalLimits")))],
        [(0, mode("ExternalLimits"))],
    ),
    Row("Q05 and the maximum still caps it", NEW, [p("max", (0, 10)), p("tx", (0, mode("ExternalLimits")))], [(0, mode("ExternalLimits", limit=10))]),
    Row(
        "Q05 an external setpoint within limits",
        NEW,
        [p("max", (0, 10)), p("tx", (0, mode("ExternalSetpoint", limit=9000, dischargeLimit=-2300)), unit="W")],
        [(0, mode("ExternalSetpoint", limit=6900, dischargeLimit=-2300))],
        unit="W",
    ),
    Row(
        "Q09 local load balancing with caps",
        NEW,
        [p("default", (0, mode("LocalLoadBalancing", limit=6900, dischargeLimit=-6900)), unit="W")],
        [(0, mode("LocalLoadBalancing", limit=6900, dischargeLimit=-6900))],
        unit="W",
    ),
    Row("Q10 idle, then charging", NEW, [p("tx", (0, mode("Idle")), (600, 16))], [(0, mode("Idle")), (600, 16)]),
    Row(
        "Q10 idle is idle, whatever the sun and the maximum",
        NEW,
        [p("max", (0, 10)), p("sun", (0, 9)), p("tx", (0, mode("Idle")))],
        [(0, mode("Idle"))],
    ),
    Row(
        "K21 priority ends discharging",
        NEW,
        [p("tx", (0, mode("CentralSetpoint", setpoint=-3000)), unit="W"), p("priority", (0, 32))],
        [(0, 22_080)],
        unit="W",
        known={"priority_active": True},
    ),
    Row(
        "Q04 a dynamic setpoint with a watchdog",
        NEW,
        [p("default", (0, 6)), p("tx", (0, mode("CentralSetpoint", setpoint=-6900)), unit="W", duration=120, **WATCH)],
        [(0, mode("CentralSetpoint", setpoint=-30)), (110, 6)],
        updated_s=10,
    ),
    Row(
        "K01.FR.51 a setpoint on one phase",
        NEW,
        [p("tx", (0, mode("CentralSetpoint", setpoint=-2300, numberPhases=1)), unit="W")],
        [(0, mode("CentralSetpoint", setpoint=-10, numberPhases=1))],
    ),
    Row("K01.FR.147 of limits of single phases the lowest", NEW, [p("tx", (0, {"limit": 16, "limit_L2": 10, "limit_L3": 13}))], [(0, 10)]),
    Row("6.1 in W each phase has its own", NEW, [p("tx", (0, {"limit": 3680, "limit_L2": 2300, "limit_L3": 3680}), unit="W")], [(0, 10)]),
    Row(  # 3680 + 2300 + 2300 W: on average 12 A a phase
        "V2X.06 a setpoint phase by phase is met in all",
        NEW,
        [p("tx", (0, mode("CentralSetpoint", setpoint=-3680, setpoint_L2=-2300, setpoint_L3=-2300)), unit="W")],
        [(0, mode("CentralSetpoint", setpoint=-8280))],
        unit="W",
    ),
    Row(
        "V2X.06 discharge limits phase by phase: the least",
        NEW,
        [p("tx", (0, mode("ExternalSetpoint", dischargeLimit=-3680, dischargeLimit_L2=-2300, dischargeLimit_L3=-3680)), unit="W")],
        [(0, mode("ExternalSetpoint", dischargeLimit=-6900))],
        unit="W",
    ),
]

ROWS = (*CLOCKS, *NEWER, *V2X)


@pytest.mark.parametrize(("version", "row"), cases(*ROWS))
def test_a_combination(version: str, row: Row) -> None:
    assert schedule_of(row, version) == expected_of(row)


def test_no_row_is_there_twice() -> None:
    assert len({row.name for row in ROWS}) == len(ROWS) >= 50
