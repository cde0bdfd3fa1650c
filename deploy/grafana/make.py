"""Writes Yardmaster's Grafana dashboards: ``python deploy/grafana/make.py``.

Each dashboard is made twice from the same list of panels: for InfluxDB in InfluxQL (1.x, or 2.x with a
DBRP mapping) and for VictoriaMetrics in PromQL (its series are named measurement_field). Import a file in
Grafana and choose the data source above the panels. Tested as JSON only: every query names a measurement
and a field that Yardmaster writes (tests/deploy/test_grafana.py).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
PHASES = ("l1", "l2", "l3")


@dataclass(frozen=True)
class Line:
    """One field of one measurement. by: the tag that tells its series apart, "" = there is one. mean: else the last value."""

    measurement: str
    field: str
    name: str
    by: str = ""
    mean: bool = True


@dataclass(frozen=True)
class Panel:
    """A chart over time. unit: as Grafana names it. wide: over the whole width. every_s: between two points of it [s]."""

    title: str
    unit: str
    lines: tuple[Line, ...]
    wide: bool = False
    steps: bool = False
    about: str = ""
    every_s: int = 10


def phases(measurement: str, head: str, tail: str, name: str, by: str = "") -> tuple[Line, ...]:
    """A line per phase."""
    return tuple(Line(measurement, f"{head}_{phase}_{tail}", f"{name} {phase.upper()}", by) for phase in PHASES)


SITE = (
    Panel(
        "Power",
        "watt",
        (
            Line("grid", "power_w", "grid"),
            Line("grid", "ev_power_w", "chargers"),
            Line("grid", "pv_w", "PV"),
            Line("grid", "battery_w", "battery"),
        ),
        wide=True,
        about="Import, charging and charging the battery are positive; PV is negative while it produces.",
    ),
    Panel("Grid current and limit per phase", "amp", (*phases("grid", "current", "a", "current"), *phases("grid", "limit", "a", "limit")), wide=True),
    Panel("Meters: power", "watt", (Line("meter", "power_w", "{meter}", "meter"),)),
    Panel("Meters: age of what is believed", "s", (Line("meter", "age_s", "{meter}", "meter", mean=False),)),
    Panel("Meters: voltage", "volt", phases("meter", "voltage", "v", "{meter}", "meter")),
    Panel("Battery: state of charge", "percent", (Line("meter", "soc_percent", "{meter}", "meter"),)),
    Panel(
        "Registers",
        "watth",
        (
            Line("meter", "energy_import_wh", "{meter} import", "meter", mean=False),
            Line("meter", "energy_export_wh", "{meter} export", "meter", mean=False),
        ),
    ),
    Panel(
        "Prices",
        "none",
        (Line("price", "buy_per_kwh", "buying per kWh"), Line("price", "sell_per_kwh", "selling per kWh")),
        steps=True,
        about="In the currency of the site file.",
        every_s=900,
    ),
    Panel("CO2 of the grid", "none", (Line("price", "co2_kg_per_kwh", "kg per kWh"),), steps=True, every_s=900),
)
CHARGERS = (
    Panel("Power per charger", "watt", (Line("evse", "power_w", "{evse}", "evse"),), wide=True),
    Panel("Limit per charger", "amp", (Line("evse", "limit_a", "{evse}", "evse", mean=False),), wide=True, steps=True),
    Panel("Energy of the running session", "watth", (Line("evse", "energy_wh", "{evse}", "evse", mean=False),)),
    Panel("All chargers", "watt", (Line("grid", "ev_power_w", "chargers"),)),
    Panel("Energy per session", "watth", (Line("session", "energy_wh", "{evse}", "evse", mean=False),)),
    Panel("Energy that was missing at departure", "watth", (Line("session", "missing_wh", "{evse}", "evse", mean=False),)),
    Panel("Length of sessions", "s", (Line("session", "duration_s", "{evse}", "evse", mean=False),)),
)
SIGNALS = (
    Panel(
        "Limits on consumption and what flows",
        "watt",
        (Line("signal", "limit_w", "{signal} allows", "signal", mean=False), Line("signal", "measured_w", "{signal} measured", "signal")),
        wide=True,
        steps=True,
        about="The proof that a limit was kept; the log with times of receipt and obedience is exported as CSV (yardmaster compliance).",
    ),
    Panel(
        "Limits on feeding in",
        "watt",
        (Line("signal", "production_limit_w", "{signal} allows", "signal", mean=False), Line("grid", "power_w", "grid")),
        wide=True,
        steps=True,
    ),
    Panel(
        "State of the sources",
        "bool_yes_no",
        (
            Line("signal", "limited", "{signal} limits", "signal", mean=False),
            Line("signal", "failsafe", "{signal} failsafe", "signal", mean=False),
            Line("signal", "binds", "{signal} binds", "signal", mean=False),
        ),
        steps=True,
    ),
    Panel(
        "Inverters, battery, relays: power",
        "watt",
        (Line("device", "power_w", "{device} does", "device"), Line("device", "wanted_w", "{device} shall", "device", mean=False)),
    ),
    Panel("Commands in force", "watt", (Line("device", "command_w", "{device}", "device", mean=False),), steps=True),
    Panel("Relays", "bool_on_off", (Line("device", "closed", "{device}", "device", mean=False),), steps=True),
)
DASHBOARDS = {"site": ("Yardmaster: site", SITE), "chargers": ("Yardmaster: chargers", CHARGERS), "signals": ("Yardmaster: grid signals", SIGNALS)}
KINDS = {"influxql": "influxdb", "victoriametrics": "prometheus"}


def influxql(line: Line, number: int) -> dict[str, Any]:
    """A query for InfluxDB."""
    value = f'{"mean" if line.mean else "last"}("{line.field}")'
    group = f', "{line.by}"' if line.by else ""
    query = f'SELECT {value} FROM "{line.measurement}" WHERE $timeFilter GROUP BY time($__interval){group} fill(none)'
    alias = line.name.replace("{", "$tag_").replace("}", "")
    return {"refId": chr(65 + number), "rawQuery": True, "query": query, "alias": alias, "resultFormat": "time_series"}


def promql(line: Line, number: int) -> dict[str, Any]:
    """A query for VictoriaMetrics."""
    over = "avg_over_time" if line.mean else "last_over_time"
    legend = line.name.replace("{", "{{").replace("}", "}}")
    return {"refId": chr(65 + number), "expr": f"{over}({line.measurement}_{line.field}[$__interval])", "legendFormat": legend, "range": True}


def panel(one: Panel, kind: str, place: dict[str, int], number: int) -> dict[str, Any]:
    """A chart."""
    make = influxql if kind == "influxql" else promql
    source = {"type": KINDS[kind], "uid": "${datasource}"}
    longest_gap_ms = 4000 * max(15, one.every_s)
    line = "stepAfter" if one.steps else "linear"
    custom = {"lineInterpolation": line, "fillOpacity": 5, "showPoints": "auto", "spanNulls": longest_gap_ms}
    return {
        "id": number,
        "type": "timeseries",
        "title": one.title,
        "description": one.about,
        "datasource": source,
        "interval": f"{2 * one.every_s}s" if one.every_s < 60 else f"{one.every_s}s",  # a step without a point would be a hole
        "gridPos": place,
        "fieldConfig": {"defaults": {"unit": one.unit, "custom": custom}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
        "targets": [{"datasource": source, **make(line, place)} for place, line in enumerate(one.lines)],
    }


def dashboard(name: str, kind: str) -> dict[str, Any]:
    """A whole dashboard."""
    title, panels = DASHBOARDS[name]
    made, x, y = [], 0, 0
    for number, one in enumerate(panels, 1):
        width = 24 if one.wide else 12
        if x + width > 24:
            x, y = 0, y + 8
        made.append(panel(one, kind, {"x": x, "y": y, "w": width, "h": 8}, number))
        x += width
    choice = {"name": "datasource", "label": "Data source", "type": "datasource", "query": KINDS[kind], "current": {}, "hide": 0}
    return {
        "uid": f"yardmaster-{name}-{kind}"[:40],
        "title": title,
        "tags": ["yardmaster"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "time": {"from": "now-24h", "to": "now"},
        "refresh": "30s",
        "templating": {"list": [choice]},
        "annotations": {"list": []},
        "panels": made,
    }


def text(name: str, kind: str) -> str:
    """A dashboard as its file holds it."""
    return json.dumps(dashboard(name, kind), indent=2, ensure_ascii=False) + "\n"


def main() -> None:
    """Write all of them."""
    for kind in KINDS:
        (FOLDER / kind).mkdir(exist_ok=True)
        for name in DASHBOARDS:
            (FOLDER / kind / f"{name}.json").write_text(text(name, kind), encoding="utf-8")


if __name__ == "__main__":
    main()
