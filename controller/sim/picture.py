"""A picture of simulated days as one SVG file, drawn with nothing but strings.

Upper panel: power at the grid connection per strategy, the fuse as a line, prices as shading.
Lower panel: the highest phase current against the fuse.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

from controller.config import Config
from controller.sim.account import Outcome, Sample, buy_price

WIDTH, PANEL, LEFT, RIGHT, TOP, GAP = 1000, 260, 70, 20, 96, 64
COLOURS = ("#c0392b", "#e08e0b", "#12805c", "#2456a6")
LABEL_CHARACTER = 6.5  # width of a character of the price labels, on the wide side
INK, FAINT, FUSE = "#1f2937", "#d7dde5", "#7f1d1d"
FONT = 'font-family="system-ui,Segoe UI,Helvetica,Arial,sans-serif"'


@dataclass(frozen=True, slots=True)
class Panel:
    """A rectangle with a time axis and a value axis."""

    top: float
    start_s: float
    end_s: float
    low: float
    high: float

    def x(self, wall_s: float) -> float:
        """Pixel of a time."""
        return LEFT + (WIDTH - LEFT - RIGHT) * (wall_s - self.start_s) / (self.end_s - self.start_s)

    def y(self, value: float) -> float:
        """Pixel of a value."""
        return self.top + PANEL * (self.high - value) / (self.high - self.low)


def draw(config: Config, outcomes: Sequence[Outcome], title: str) -> str:
    """The SVG text."""
    curves = [outcome.curve for outcome in outcomes]
    start_s, end_s = curves[0][0].wall_s, curves[0][-1].wall_s
    fuse_kw = config.grid.fuse_a * config.grid.phases * config.grid.voltage_v / 1000.0
    power = _panel(TOP, start_s, end_s, [sample.grid_w / 1000.0 for curve in curves for sample in curve] + [fuse_kw])
    current = _panel(TOP + PANEL + GAP, start_s, end_s, [sample.worst_a for curve in curves for sample in curve] + [config.grid.fuse_a])
    height = TOP + 2 * PANEL + GAP + 46
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" {FONT} font-size="13" fill="{INK}" role="img">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        _text(LEFT, 28, title, 'font-size="18" font-weight="600"'),
        *_legend(config, outcomes),
        *_prices(config, power),
        *_axes(power, "power at the grid connection [kW]"),
        *_axes(current, "highest phase current [A]"),
        *(_line(power, outcome.curve, lambda sample: sample.grid_w / 1000.0, COLOURS[index % 4]) for index, outcome in enumerate(outcomes)),
        *(_line(current, outcome.curve, lambda sample: sample.worst_a, COLOURS[index % 4]) for index, outcome in enumerate(outcomes)),
        *_fuse(power, fuse_kw, f"fuse {fuse_kw:.0f} kW"),
        *_fuse(current, config.grid.fuse_a, f"fuse {config.grid.fuse_a:g} A"),
        "</svg>",
    ]
    return "\n".join(parts)


def _panel(top: float, start_s: float, end_s: float, values: Sequence[float]) -> Panel:
    low = min(0.0, *values)
    return Panel(top, start_s, end_s, 10.0 * (low // 10.0), 1.08 * max(values))


def _text(x: float, y: float, text: str, more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" {more}>{escape(text)}</text>'


def _legend(config: Config, outcomes: Sequence[Outcome]) -> list[str]:
    parts = []
    for index, outcome in enumerate(outcomes):
        x = LEFT + index * 300
        parts.append(f'<line x1="{x}" y1="52" x2="{x + 26}" y2="52" stroke="{COLOURS[index % 4]}" stroke-width="4"/>')
        parts.append(_text(x + 34, 57, f"{outcome.name}: {outcome.cost:.0f} {config.tariff.currency}, peak {outcome.peak_w / 1000:.0f} kW"))
    return parts


def _prices(config: Config, panel: Panel) -> list[str]:
    """Darker where energy costs more."""
    hours = [panel.start_s + 3600.0 * step for step in range(int((panel.end_s - panel.start_s) // 3600.0) + 1)]
    prices = [buy_price(config.tariff, wall_s) for wall_s in hours]
    low, high = min(prices), max(prices)
    parts = []
    for wall_s, price in zip(hours, prices, strict=True):
        shade = 0.02 + 0.13 * ((price - low) / (high - low) if high > low else 0.0)
        x, end = panel.x(wall_s), min(panel.x(wall_s + 3600.0), WIDTH - RIGHT)
        parts.append(f'<rect x="{x:.1f}" y="{panel.top}" width="{max(0.0, end - x):.1f}" height="{PANEL}" fill="#2456a6" opacity="{shade:.3f}"/>')
        label = f"{price:.2f} {config.tariff.currency}/kWh"
        fits = x + 4 + LABEL_CHARACTER * len(label) < WIDTH - RIGHT  # the last hours of the picture may be too narrow for theirs
        if fits and (wall_s == hours[0] or price != buy_price(config.tariff, wall_s - 3600.0)):
            parts.append(_text(x + 4, panel.top + PANEL - 6, label, 'font-size="10" fill="#4b5a70"'))
    return parts


def _axes(panel: Panel, label: str) -> list[str]:
    step = next(size for size in (5, 10, 20, 25, 50, 100, 200, 500) if (panel.high - panel.low) / size <= 8 or size == 500)
    parts = [_text(LEFT, panel.top - 10, label, 'font-weight="600"')]
    value = panel.low - panel.low % step
    while value <= panel.high:
        y = panel.y(value)
        parts.append(f'<line x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}" stroke="{FAINT}"/>')
        parts.append(_text(LEFT - 8, y + 4, f"{value:g}", 'text-anchor="end"'))
        value += step
    first = 7200.0 * -(-panel.start_s // 7200.0)
    for index in range(int((panel.end_s - first) // 7200.0) + 1):
        wall_s = first + 7200.0 * index
        parts.append(_text(panel.x(wall_s), panel.top + PANEL + 18, f"{int(wall_s % 86_400 // 3600):02d}:00", 'text-anchor="middle" font-size="11"'))
    return parts


def _line(panel: Panel, curve: Sequence[Sample], value: Callable[[Sample], float], colour: str) -> str:
    points = " ".join(f"{panel.x(sample.wall_s):.1f},{panel.y(value(sample)):.1f}" for sample in curve)
    return f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.8" stroke-linejoin="round"/>'


def _fuse(panel: Panel, value: float, label: str) -> list[str]:
    y = panel.y(value)
    return [
        f'<line x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}" stroke="{FUSE}" stroke-width="1.5" stroke-dasharray="7 4"/>',
        _text(WIDTH - RIGHT - 4, y - 5, label, f'text-anchor="end" fill="{FUSE}" font-weight="600"'),
    ]
