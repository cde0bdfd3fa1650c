"""Shared by the tests of the backtest: a small garage, a day of it, and the options of a run."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from controller.sim.backtest.series import midnight
from controller.sim.backtest.setting import Setting, Wanted, make_setting

DAY = date(2026, 6, 3)  # a Wednesday
ZONE = "Europe/Berlin"
START_S = midnight(DAY, ZoneInfo(ZONE))
HEADS = "evse,arrival,departure,energy_kwh,stated_kwh,stated_departure,max_power_kw,phases,user"
Row = tuple[str, float, float, float]
"""EVSE, hour of arrival, hour of departure, kWh."""

ROWS: tuple[Row, ...] = (
    ("P1", 7.5, 12.0, 20.0),
    ("P2", 7.7, 16.2, 22.0),
    ("P3", 8.0, 15.0, 24.0),
    ("P4", 8.1, 11.0, 9.0),
    ("P5", 8.3, 17.5, 18.0),
    ("P4", 12.0, 14.5, 11.0),
    ("P6", 9.0, 13.0, 12.0),
)
TARIFF = """{"name": "test", "schedule": [{"dow_mask": "ALL", "times": [0, 8, 11, 15, 20],
 "tariffs": [0.10, 0.30, 0.12, 0.25, 0.10], "demand_charge": 15}]}"""


def clock(hour: float, day: date = DAY) -> str:
    return f"{day}T{int(hour):02d}:{round(hour % 1 * 60):02d}"


def sessions_file(folder: Path, rows: Sequence[Row] = ROWS, days: Sequence[date] = (DAY,), power_kw: float = 6.9) -> Path:
    lines = [HEADS]
    for day in days:
        for evse, begins, ends, kwh in rows:
            lines.append(f"{evse},{clock(begins, day)},{clock(ends, day)},{kwh},{kwh + 3},{clock(ends - 0.5, day)},{power_kw},1,user-{evse}")
    path = folder / "sessions.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def wanted(folder: Path, **changes: Any) -> Wanted:
    (folder / "tariff.json").write_text(TARIFF, encoding="utf-8")
    sessions = changes.pop("sessions", None) or sessions_file(folder)
    options: dict[str, Any] = {"last": DAY, "prices": str(folder / "tariff.json"), "load": "12", "timezone": ZONE, "seed": 3}
    return Wanted(**{"sessions": sessions, "site": None, "first": DAY, **options, **changes})


def setting(folder: Path, **changes: Any) -> Setting:
    return make_setting(wanted(folder, **changes))
