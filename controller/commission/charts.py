"""Small charts as inline SVG: setpoint against measured current per phase. No script, no font, no request."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from controller.commission.record import PHASE_NAMES, Record

WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 680, 190, 44, 24, 10
MAX_POINTS = 300
COLORS = ("#b1532d", "#3b3b3b", "#6f7fae")
"""L1, L2, L3: told apart in grey print too (brown is darkest, then the dashes help)."""
DASHES = ("", "6 3", "2 3")

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Line:
    """One curve. name: for the legend; kind: "setpoint" is drawn as steps, 0..2 = phase."""

    name: str
    kind: str
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class Chart:
    """Curves over seconds from the begin of the test; y in A."""

    title: str
    lines: tuple[Line, ...]

    def as_json(self) -> dict[str, Any]:
        """For the state file."""
        return {"title": self.title, "lines": [{"name": one.name, "kind": one.kind, "points": [list(p) for p in one.points]} for one in self.lines]}


def chart_from(data: dict[str, Any]) -> Chart:
    """Back from the state file. Raises KeyError, TypeError or ValueError for anything else."""
    lines = (Line(str(one["name"]), str(one["kind"]), tuple((float(point[0]), float(point[1])) for point in one["points"])) for one in data["lines"])
    return Chart(str(data["title"]), tuple(lines))


def charts_of(record: Record, title: str) -> list[Chart]:
    """One chart per source: what the station tells, and each meter, each over the same setpoints."""
    begin_s = min((float(entry["mono_s"]) for entry in record.entries), default=0.0)
    setpoint = Line("setpoint", "setpoint", _steps(record, begin_s))
    charts: list[Chart] = []
    for curve in (record.station, *record.meters):
        lines = [Line(PHASE_NAMES[phase], str(phase), points) for phase in range(3) if (points := _points(curve, phase, begin_s))]
        if lines:
            words = "the station itself tells" if curve is record.station else f"meter {curve.name}"
            charts.append(Chart(f"{title}: {words}", (setpoint, *lines) if setpoint.points else tuple(lines)))
    return charts


def _steps(record: Record, begin_s: float) -> tuple[Point, ...]:
    points: list[Point] = []
    for hold in record.holds:
        points += [(round(hold.accepted_s - begin_s, 2), hold.limit_a), (round(hold.until_s - begin_s, 2), hold.limit_a)]
    return tuple(points)


def _points(curve: Any, phase: int, begin_s: float) -> tuple[Point, ...]:
    every = max(1, math.ceil(len(curve.samples) / MAX_POINTS))
    kept = curve.samples[::every]
    return tuple((round(one.mono_s - begin_s, 2), round(one.amps[phase], 2)) for one in kept if one.amps[phase] is not None)


def svg(chart: Chart) -> str:
    """The chart as an SVG element."""
    values = [amps for line in chart.lines for _, amps in line.points]
    times = [seconds for line in chart.lines for seconds, _ in line.points]
    if not values:
        return ""
    low, high = _nice(min(0.0, *values), max(1.0, *values))
    end_s = max(1.0, *times)

    def place(point: Point) -> Point:
        x = LEFT + (WIDTH - LEFT - 8) * point[0] / end_s
        return x, TOP + (HEIGHT - TOP - BOTTOM) * (1 - (point[1] - low) / (high - low))

    parts = [*_grid(low, high, end_s, place), *(_path(line, [place(point) for point in line.points]) for line in chart.lines)]
    label = escape(chart.title, quote=True)
    body = "".join(parts)
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}" xmlns="http://www.w3.org/2000/svg">{body}</svg>'


def _nice(low: float, high: float) -> tuple[float, float]:
    """Round ends, so that four grid lines have whole figures."""
    step = max(1.0, math.ceil((high - low) / 4))
    first = math.floor(low / step) * step
    return first, first + step * max(1, math.ceil((high - first) / step))


def _grid(low: float, high: float, end_s: float, place: Any) -> Iterable[str]:
    step = max(1.0, round((high - low) / 4))
    amps = low
    while amps <= high + 1e-6:
        x, y = place((0.0, amps))
        yield f'<line x1="{x:.0f}" y1="{y:.1f}" x2="{WIDTH - 8}" y2="{y:.1f}" class="grid"/>'
        yield f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{amps:g} A</text>'
        amps += step
    for part in (0.0, 0.25, 0.5, 0.75, 1.0):
        x, _ = place((part * end_s, low))
        anchor = "end" if part == 1.0 else "middle" if part else "start"
        yield f'<text x="{x:.0f}" y="{HEIGHT - 6}" text-anchor="{anchor}">{part * end_s:.0f} s</text>'


def _path(line: Line, places: Sequence[Point]) -> str:
    way = " ".join(f"{'L' if number else 'M'}{x:.1f},{y:.1f}" for number, (x, y) in enumerate(places))
    if line.kind == "setpoint":
        return f'<path d="{way}" class="setpoint"/>'
    phase = int(line.kind) if line.kind in ("0", "1", "2") else 0
    dash = f' stroke-dasharray="{DASHES[phase]}"' if DASHES[phase] else ""
    return f'<path d="{way}" fill="none" stroke="{COLORS[phase]}" stroke-width="1.6"{dash}/>'


def legend(chart: Chart) -> str:
    """The legend as HTML."""
    parts: list[str] = []
    for line in chart.lines:
        phase = int(line.kind) if line.kind in ("0", "1", "2") else -1
        color, dash = (COLORS[phase], DASHES[phase]) if phase >= 0 else ("#9a9a9a", "")
        stroke = f'stroke="{color}" stroke-width="{2 if phase >= 0 else 5}"' + (f' stroke-dasharray="{dash}"' if dash else "")
        sample = f'<svg class="key" viewBox="0 0 24 8" aria-hidden="true"><line x1="0" y1="4" x2="24" y2="4" {stroke}/></svg>'
        parts.append(f"<span>{sample} {escape(line.name)}</span>")
    return f'<p class="legend">{"".join(parts)}</p>'
