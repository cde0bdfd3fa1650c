"""Pictures of the report: SVG without script, font or request, labels as HTML around it.

The SVG is stretched to the width it gets (strokes keep theirs), and every word stands outside of it: so the same picture can be
read on a telephone, on a desk and on paper. A chart library would weigh more than all the rest and needs scripts, which mail programs
and telephones often switch off.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from controller.sim.backtest.report_words import number, text

WIDTH, HEIGHT = 1000.0, 400.0

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Axis:
    """One direction. ticks: (value, word); minor ones among them vanish on a narrow screen."""

    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]

    def part(self, value: float) -> float:
        """Where a value lies, 0..1, cut off at the ends."""
        return min(1.0, max(0.0, (value - self.low) / (self.high - self.low)))


def scale(low: float, high: float, unit: str = "", count: int = 5) -> Axis:
    """An axis from low to high with round ticks; the unit stands at the topmost."""
    if not (math.isfinite(low) and math.isfinite(high)) or high <= low:
        low, high = (low, low + 1.0) if math.isfinite(low) else (0.0, 1.0)
    step = _round_step((high - low) / count)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    words = [number(index * step, digits) for index in range(first, last + 1)]
    words[-1] += f"\u00a0{unit}" if unit else ""
    return Axis(first * step, last * step, tuple((index * step, word) for index, word in zip(range(first, last + 1), words, strict=True)))


def _round_step(rough: float) -> float:
    size = 10.0 ** math.floor(math.log10(rough))
    return next(factor * size for factor in (1.0, 2.0, 2.5, 5.0, 10.0) if factor * size >= rough * (1 - 1e-9))


class Canvas:
    """Shapes in the coordinates of two axes. Nothing that is drawn leaves the picture."""

    def __init__(self, x: Axis, y: Axis) -> None:
        self.x, self.y = x, y
        self._shapes: list[str] = []
        self._words: list[str] = []

    def _place(self, point: Point) -> str:
        return f"{_short(WIDTH * self.x.part(point[0]))},{_short(HEIGHT * (1.0 - self.y.part(point[1])))}"

    def line(self, points: Sequence[Point], look: str) -> None:
        """A polyline. look: classes of the stylesheet."""
        if points:
            self._shapes.append(f'<path class="line {look}" d="M{" ".join(map(self._place, points))}"/>')

    def steps(self, edges: Sequence[float], values: Sequence[float], look: str) -> None:
        """A line of steps; edges: one more than values."""
        self.line([point for index, value in enumerate(values) for point in ((edges[index], value), (edges[index + 1], value))], look)

    def area(self, edges: Sequence[float], low: Sequence[float], high: Sequence[float], look: str) -> None:
        """A filled band of steps between two series."""
        if not high or all(abs(a - b) < 1e-9 for a, b in zip(low, high, strict=True)):
            return
        there = [point for index, value in enumerate(high) for point in ((edges[index], value), (edges[index + 1], value))]
        back = [point for index, value in enumerate(low) for point in ((edges[index], value), (edges[index + 1], value))]
        self._shapes.append(f'<path class="{look}" d="M{" ".join(map(self._place, [*there, *reversed(back)]))}z"/>')

    def bar(self, begin: float, end: float, low: float, high: float, look: str, tip: str = "") -> None:
        """One upright bar. tip: shown under the pointer."""
        left, right = WIDTH * self.x.part(begin), WIDTH * self.x.part(end)
        top, bottom = HEIGHT * (1.0 - self.y.part(max(low, high))), HEIGHT * (1.0 - self.y.part(min(low, high)))
        shape = f'class="{look}" x="{_short(left)}" y="{_short(top)}" width="{_short(right - left)}" height="{_short(bottom - top)}"'
        self._shapes.append(f"<rect {shape}><title>{text(tip)}</title></rect>" if tip else f"<rect {shape}/>")

    def dots(self, points: Iterable[Point], look: str) -> None:
        """Round dots of the stroke's width."""
        way = "".join(f"M{self._place(point)}h0" for point in points)
        if way:
            self._shapes.append(f'<path class="dot {look}" d="{way}"/>')

    def level(self, value: float, look: str, word: str = "", below: bool = False) -> None:
        """A level line over the whole width, with its word at the right."""
        if not self.y.low <= value <= self.y.high:
            return
        self.line([(self.x.low, value), (self.x.high, value)], look)
        if word:
            side = f"top:{100 * (1 - self.y.part(value)):.1f}%" if below else f"bottom:{100 * self.y.part(value):.1f}%"
            self._words.append(f'<span class="tag" style="{side}">{text(word)}</span>')

    def html(self, alt: str, height_px: int = 240) -> str:
        """The picture with its labels; alt: what it shows, for those who cannot see it."""
        grid = "".join(f'<path class="line grid" d="M0,{_short(HEIGHT * (1 - self.y.part(at)))}h1000"/>' for at, _ in self.y.ticks)
        zero = f'<path class="line zero" d="M0,{_short(HEIGHT * (1 - self.y.part(0.0)))}h1000"/>' if self.y.low < 0 < self.y.high else ""
        svg = f'<svg viewBox="0 0 1000 400" preserveAspectRatio="none" aria-hidden="true">{grid}{"".join(self._shapes)}{zero}</svg>'
        ys = "".join(f'<span class="y" style="bottom:{100 * self.y.part(at):.1f}%">{text(word)}</span>' for at, word in self.y.ticks)
        xs = "".join(self._under(index, at, word) for index, (at, word) in enumerate(self.x.ticks))
        return f'<div class="plot" role="img" aria-label="{text(alt)}" style="height:{height_px}px">{svg}{ys}{xs}{"".join(self._words)}</div>'

    def _under(self, index: int, at: float, word: str) -> str:
        part = self.x.part(at)
        edge = " first" if part < 0.02 else " last" if part > 0.98 else ""
        minor = " minor" if index % 2 and len(self.x.ticks) > 4 else ""
        return f'<span class="x{edge}{minor}" style="left:{100 * part:.1f}%">{text(word)}</span>'


def _short(value: float) -> str:
    words = f"{value:.1f}"
    return words[:-2] if words.endswith(".0") else words


# -- around a picture ---------------------------------------------------------------------------------------


def figure(title: str, words: str, picture: str, keys: str = "", behind: str = "", look: str = "") -> str:
    """A picture with its headline, legend and the numbers behind it. words: safe HTML."""
    more = f"<p>{words}</p>" if words else ""
    numbers = f"<details><summary>The numbers behind this picture</summary>{behind}</details>" if behind else ""
    return f'<figure class="chart {look}"><figcaption><h3>{text(title)}</h3>{more}</figcaption>{keys}{picture}{numbers}</figure>'


FILL, LINE, DOT = "fill", "line", "dot"


def legend(entries: Iterable[tuple[str, str, str]]) -> str:
    """(look, name, kind of sample: ``FILL``, ``LINE`` or ``DOT``)."""
    items = "".join(f"<li>{_sample(look, kind)}{text(name)}</li>" for look, name, kind in entries)
    return f'<ul class="legend">{items}</ul>'


def _sample(look: str, kind: str) -> str:
    shapes = {
        FILL: f'<rect class="{look}" x="7" y="1" width="14" height="12" rx="2"/>',
        LINE: f'<path class="line {look}" d="M0,7h28"/>',
        DOT: f'<path class="dot {look}" d="M14,7h0"/>',
    }
    shape = shapes[kind]
    return f'<svg class="key" viewBox="0 0 28 14" aria-hidden="true">{shape}</svg>'


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table. number: set to the right."""

    head: str
    number: bool = True


def table(caption: str, columns: Sequence[Column], rows: Iterable[Sequence[str]], look: str = "", marks: Sequence[str] = ()) -> str:
    """A table of safe HTML cells; the first column names the row. On a narrow screen "cards" make a block of each row."""
    kinds = ["num" if column.number else "" for column in columns]
    heads = "".join(f'<th scope="col" class="{kind}">{text(column.head)}</th>' for column, kind in zip(columns, kinds, strict=True))
    body = "".join(_row(columns, kinds, row, marks[index] if index < len(marks) else "") for index, row in enumerate(rows))
    table_html = f"<table><caption>{text(caption)}</caption><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>"
    return f'<div class="table {look}" tabindex="0" role="region" aria-label="{text(caption)}">{table_html}</div>'


def _row(columns: Sequence[Column], kinds: Sequence[str], row: Sequence[str], mark: str) -> str:
    cells = "".join(
        f'<td class="{kind}" data-label="{text(column.head)}">{cell}</td>' for column, kind, cell in zip(columns[1:], kinds[1:], row[1:], strict=True)
    )
    return f'<tr class="{mark}"><th scope="row">{row[0]}</th>{cells}</tr>'


def bar_cell(low: float, value: float, high: float, look: str) -> str:
    """A small bar from 0 (or the point where the last ended) inside a table cell; low..high is the whole width."""
    span = (high - low) or 1.0
    begin, end = sorted((max(low, min(high, 0.0)), max(low, min(high, value))))
    return float_bar(low, begin, end, span + low, look)


def float_bar(low: float, begin: float, end: float, high: float, look: str) -> str:
    """A small bar between two values; low..high is the whole width."""
    span = (high - low) or 1.0
    left, width = 100.0 * (begin - low) / span, 100.0 * (end - begin) / span
    return f'<span class="bar" aria-hidden="true"><i class="{look}" style="left:{left:.1f}%;width:{max(0.4, width):.1f}%"></i></span>'
