"""Combinations of charging profiles in all versions: stacks, purposes, validity, durations, recurrence, units, phases.

Each row's expected schedule is worked out by hand from the requirement it names, never from our own encoder; what a row takes
for granted stands in ``tests.support.combinations``. What only 2.1 has: test_combinations_21.
"""

from datetime import UTC, datetime

import pytest

from tests.support.combinations import ALL, DAY, HOUR, TWO, V16, Row, at, cases, expected_of, p, schedule_of

# -- the table --------------------------------------------------------------------------------------------------------------

STACKS = [
    Row("K06.FR.02 no profile, no limit", ALL, [], [(0, None)]),
    Row("16 3.13.2 a default limits", ALL, [p("default", (0, 16))], [(0, 16)]),
    Row("16 3.13.2 the highest stack wins outright, also upwards", ALL, [p("default", (0, 6)), p("default", (0, 32), stack=3)], [(0, 32)]),
    Row("16 3.13.2 the highest stack wins outright, downwards", ALL, [p("default", (0, 32)), p("default", (0, 6), stack=3)], [(0, 6)]),
    Row("K02.FR.08 the top runs out", ALL, [p("default", (0, 6)), p("default", (0, 32), stack=1, duration=600)], [(0, 32), (600, 6)]),
    Row(
        "K02.FR.08 three levels peel off",
        ALL,
        [p("default", (0, 6)), p("default", (0, 10), stack=1, duration=1200), p("default", (0, 20), stack=2, duration=600)],
        [(0, 20), (600, 10), (1200, 6)],
    ),
    Row("K02.FR.08 a top that begins later", ALL, [p("default", (0, 6)), p("default", (0, 20), stack=1, start=at(1))], [(0, 6), (HOUR, 20)]),
    Row(
        "16E 3.7 a top without duration never falls back",
        ALL,
        [p("default", (0, 6)), p("default", (0, 20), (600, 8), stack=1)],
        [(0, 20), (600, 8)],
    ),
    Row("SC.01 the TxProfile stands in for the default", ALL, [p("default", (0, 6)), p("tx", (0, 20))], [(0, 20)]),
    Row("SC.01 whatever the stack of the default", ALL, [p("default", (0, 6), stack=9), p("tx", (0, 20))], [(0, 20)]),
    Row("SC.01 downwards too", ALL, [p("default", (0, 32), stack=9), p("tx", (0, 8))], [(0, 8)]),
    Row("K02.FR.08 the TxProfile ends, the default is back", ALL, [p("default", (0, 6)), p("tx", (0, 20), duration=900)], [(0, 20), (900, 6)]),
    Row("K02.FR.08 the TxProfile ends, nothing is there", ALL, [p("tx", (0, 20), duration=900)], [(0, 20), (900, None)]),
    Row("SC.01 the default until the TxProfile begins", ALL, [p("default", (0, 6)), p("tx", (0, 20), start=at(0.5))], [(0, 6), (1800, 20)]),
    Row("SC.01 stacks of TxProfiles", ALL, [p("tx", (0, 20)), p("tx", (0, 30), stack=1, duration=60)], [(0, 30), (60, 20)]),
    Row("SC.01 the maximum caps a TxProfile", ALL, [p("max", (0, 12)), p("tx", (0, 20))], [(0, 12)]),
    Row("SC.01 the maximum caps a default", ALL, [p("max", (0, 12)), p("default", (0, 20))], [(0, 12)]),
    Row("SC.01 a higher maximum changes nothing", ALL, [p("max", (0, 63)), p("tx", (0, 20))], [(0, 20)]),
    Row("SC.01 the maximum alone", ALL, [p("max", (0, 25))], [(0, 25)]),
    Row("SC.01 the stack of a maximum says nothing about other purposes", ALL, [p("max", (0, 63), stack=9), p("tx", (0, 20))], [(0, 20)]),
    Row("SC.01 the higher maximum by stack", ALL, [p("max", (0, 10)), p("max", (0, 25), stack=1)], [(0, 25)]),
    Row(
        "K08.FR.04 the lowest at each moment",
        ALL,
        [p("max", (0, 12), (1200, 30)), p("tx", (0, 20), (600, 8), (1800, 40))],
        [(0, 12), (600, 8), (1800, 30)],
    ),
    Row("K08.FR.04 a pause is a limit of 0", ALL, [p("max", (0, 12)), p("tx", (0, 0), (600, 16))], [(0, 0), (600, 12)]),
    Row("K08.FR.04 equal neighbours are one period", ALL, [p("default", (0, 16), (60, 16), (120, 8))], [(0, 16), (120, 8)]),
]

TIMES = [
    Row("K01.FR.36 not before validFrom", ALL, [p("default", (0, 9), profile={"validFrom": at(1)})], [(0, None), (HOUR, 9)]),
    Row("K01.FR.37 not from validTo on", ALL, [p("default", (0, 9), profile={"validTo": at(1)})], [(0, 9), (HOUR, None)]),
    Row("K01.FR.36 valid at validFrom itself", ALL, [p("default", (0, 9), profile={"validFrom": at(0)})], [(0, 9)]),
    Row("K01.FR.37 not valid at validTo itself", ALL, [p("default", (0, 9), profile={"validTo": at(0)})], [(0, None)]),
    Row(
        "K01.FR.36 an invalid top leaves the lower one",
        ALL,
        [p("default", (0, 6)), p("default", (0, 20), stack=1, profile={"validFrom": at(1), "validTo": at(2)})],
        [(0, 6), (HOUR, 20), (2 * HOUR, 6)],
    ),
    Row("K01.FR.37 in the middle of a period", ALL, [p("max", (0, 9), (1800, 12), profile={"validTo": at(1)})], [(0, 9), (1800, 12), (HOUR, None)]),
    Row(
        "16E 3.65 a TxProfile has validity as well",
        ALL,
        [p("default", (0, 6)), p("tx", (0, 20), profile={"validTo": at(1)})],
        [(0, 20), (HOUR, 6)],
    ),
    Row("K01.FR.11 the duration cuts the last period", ALL, [p("default", (0, 16), (600, 8), duration=900)], [(0, 16), (600, 8), (900, None)]),
    Row("K01.FR.12 the duration cuts a period away", ALL, [p("default", (0, 16), (600, 8), duration=300)], [(0, 16), (300, None)]),
    Row("K01.FR.12 the duration ends where a period begins", ALL, [p("default", (0, 16), (600, 8), duration=600)], [(0, 16), (600, None)]),
    Row("16 5.16.4 a start in the past is running", ALL, [p("default", (0, 16), (3900, 8), start=at(-1))], [(0, 16), (300, 8)]),
    Row("K01.FR.11 a schedule that is over", ALL, [p("default", (0, 16), start=at(-2), duration=HOUR)], [(0, None)]),
    Row("K01.FR.40 a start in the future", ALL, [p("default", (0, 16), start=at(2))], [(0, None), (2 * HOUR, 16)]),
    Row("K01.FR.40 a start beyond the window", ALL, [p("default", (0, 16), start=at(7))], [(0, None)]),
    Row(
        "16 3.13.3 daily, the default in between",
        ALL,
        [p("default", (0, 6)), p("default", (0, 20), stack=1, kind="Recurring", every="Daily", start="2026-03-01T13:00:00Z", duration=HOUR)],
        [(0, 6), (HOUR, 20), (2 * HOUR, 6), (HOUR + DAY, 20), (2 * HOUR + DAY, 6)],
        hours=30,
    ),
    Row(
        "16 3.13.3 daily over midnight, entered at noon",
        ALL,
        [p("default", (0, 20), (8 * HOUR, 6), kind="Recurring", every="Daily", start="2026-03-01T22:00:00Z")],
        [(0, 6), (10 * HOUR, 20), (18 * HOUR, 6)],
        hours=24,
    ),
    Row(
        "16 3.13.3 daily over midnight, entered at night",
        ALL,
        [p("default", (0, 20), (8 * HOUR, 6), kind="Recurring", every="Daily", start="2026-03-01T22:00:00Z")],
        [(0, 20), (5 * HOUR, 6)],
        now=datetime(2026, 3, 11, 1, tzinfo=UTC),
        hours=12,
    ),
    Row(
        "16 3.13.3 not before its first day",
        ALL,
        [p("default", (0, 20), kind="Recurring", every="Daily", start="2026-03-11T10:00:00Z", duration=HOUR)],
        [(0, None), (22 * HOUR, 20), (23 * HOUR, None)],
        hours=24,
    ),
    Row(
        "16 3.13.3 a whole day leaves no gap",
        ALL,
        [p("default", (0, 20), (12 * HOUR, 6), kind="Recurring", every="Daily", start="2026-03-01T00:00:00Z", duration=DAY)],
        [(0, 6), (12 * HOUR, 20), (24 * HOUR, 6)],
        hours=30,
    ),
    Row(
        "16 3.13.3 a day begins anew before its last period is over",
        ALL,
        [p("default", (0, 20), (2 * DAY, 6), kind="Recurring", every="Daily", start="2026-03-01T00:00:00Z")],
        [(0, 20)],
        hours=48,
    ),
    Row(
        "16 3.13.3 weekly: Tuesday noon, from years ago",
        ALL,
        [p("default", (0, 20), kind="Recurring", every="Weekly", start="2020-03-10T12:00:00Z", duration=HOUR)],
        [(0, 20), (HOUR, None)],
        hours=48,
    ),
    Row(
        "16 3.13.3 weekly: an hour each Wednesday",
        ALL,
        [p("default", (0, 20), kind="Recurring", every="Weekly", start="2026-03-04T06:00:00Z", duration=HOUR)],
        [(0, None), (18 * HOUR, 20), (19 * HOUR, None)],
        hours=100,
    ),
    Row("K01.FR.42 relative from the session on", ALL, [p("tx", (0, 16), (900, 8), kind="Relative")], [(0, 16), (300, 8)], session_s=600),
    Row("K01.FR.42 relative, begun long ago", ALL, [p("tx", (0, 16), (900, 8), kind="Relative")], [(0, 8)], session_s=9000),
    Row("K01.FR.42 a relative schedule that is over", ALL, [p("tx", (0, 16), kind="Relative", duration=600)], [(0, None)], session_s=600),
    Row("K08 an idle EVSE: as if a session began now", ALL, [p("default", (0, 16), (900, 8), kind="Relative")], [(0, 16), (900, 8)]),
    Row("16 7.13 absolute without a date: from the session on", (V16,), [p("tx", (0, 16), (900, 8), start="")], [(0, 16), (300, 8)], session_s=600),
    Row(
        "16 7.13 a date in a relative schedule means nothing",
        (V16,),
        [p("tx", (0, 16), (900, 8), kind="Relative", schedule={"startSchedule": at(5)})],
        [(0, 16), (300, 8)],
        session_s=600,
    ),
    Row("16 3.13.1 a maximum without a date holds always", (V16,), [p("max", (0, 16), kind="Relative")], [(0, 16)]),
]

ONE = {"numberPhases": 1}
UNITS = [
    Row("K01.FR.49 11040 W without phases are 16 A", ALL, [p("default", (0, 11_040), unit="W")], [(0, 16)]),
    Row("K01.FR.50 3680 W on one phase are 16 A", ALL, [p("default", (0, {"limit": 3680, **ONE}), unit="W")], [(0, {"limit": 16, **ONE})]),
    Row(
        "K01.FR.50 7360 W on two phases are 16 A",
        ALL,
        [p("default", (0, {"limit": 7360, "numberPhases": 2}), unit="W")],
        [(0, {"limit": 16, "numberPhases": 2})],
    ),
    Row("K01.FR.51 16 A on three phases are 11040 W", ALL, [p("default", (0, 16))], [(0, 11_040)], unit="W"),
    Row("K01.FR.51 16 A on one phase are 3680 W", ALL, [p("default", (0, {"limit": 16, **ONE}))], [(0, {"limit": 3680, **ONE})], unit="W"),
    Row("K01.FR.50 amps are per phase, watts in all", ALL, [p("max", (0, 11_040), unit="W"), p("tx", (0, 20))], [(0, 16)]),
    Row("K01.FR.50 the lower of both", ALL, [p("max", (0, 11_040), unit="W"), p("tx", (0, 10))], [(0, 10)]),
    Row("K01.FR.50 watts that change", ALL, [p("tx", (0, 6900), (600, 3450), unit="W")], [(0, 10), (600, 5)]),
    Row("16 7.13 rounded to 0.1, never up", ALL, [p("default", (0, 10_000), unit="W")], [(0, 14.4)]),  # 14.49 A
    Row("16 7.13 31.8 A as 21942 W", ALL, [p("default", (0, 31.8))], [(0, 21_942)], unit="W"),
    Row("K01.FR.140 the fewest phases", ALL, [p("max", (0, {"limit": 16, **ONE})), p("tx", (0, 32))], [(0, {"limit": 16, **ONE})]),
    Row("K01.FR.140 the other way round", ALL, [p("max", (0, 16)), p("tx", (0, {"limit": 32, **ONE}))], [(0, {"limit": 16, **ONE})]),
    Row(
        "K01.FR.140 three phases again when it ends",
        ALL,
        [p("max", (0, 32)), p("tx", (0, {"limit": 20, **ONE}), duration=600)],
        [(0, {"limit": 20, **ONE}), (600, 32)],
    ),
    Row(
        "K01.FR.50 watts by the phases of their own period",
        ALL,
        [p("max", (0, {"limit": 32, **ONE})), p("tx", (0, {"limit": 11_040, "numberPhases": 3}), unit="W")],
        [(0, {"limit": 16, **ONE})],
    ),
    Row("16E 3.34 32 A for three phases stay 32 A on one", ALL, [p("default", (0, {"limit": 32, "numberPhases": 3}))], [(0, 32)], phases=1),
    Row("trap 12: 3680 W at an EVSE of one phase are 16 A", ALL, [p("default", (0, 3680), unit="W")], [(0, 16)], phases=1),
    Row(
        "K01.FR.19 the phase to use",
        TWO,
        [p("max", (0, 20)), p("tx", (0, {"limit": 32, "phaseToUse": 2, **ONE}), duration=600)],
        [(0, {"limit": 20, "phaseToUse": 2, **ONE}), (600, 20)],
    ),
    Row(
        "K01.FR.34 of several schedules the lowest",
        TWO,
        [p("tx", (0, 20), schedules=[{"chargingSchedulePeriod": [{"startPeriod": 0, "limit": 30}, {"startPeriod": 600, "limit": 10}]}])],
        [(0, 20), (600, 10)],
    ),
    Row(
        "K01.FR.34 one schedule ends, the others go on",
        TWO,
        [p("tx", (0, 20), schedules=[{"chargingSchedulePeriod": [{"startPeriod": 0, "limit": 10}], "duration": 600}])],
        [(0, 10), (600, 20)],
    ),
]

ROWS = (*STACKS, *TIMES, *UNITS)


@pytest.mark.parametrize(("version", "row"), cases(*ROWS))
def test_a_combination(version: str, row: Row) -> None:
    assert schedule_of(row, version) == expected_of(row)


def test_no_row_is_there_twice_and_each_version_has_enough() -> None:
    assert len({row.name for row in ROWS}) == len(ROWS)
    assert all(sum(version in row.versions for row in ROWS) >= 60 for version in ALL)
