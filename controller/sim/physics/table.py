"""A report as a table for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from controller.sim.physics.report import BUDGET_S, Report

SHOWN = 12


def table(report: Report) -> str:
    """Everything a person wants to know, the fuses first."""
    parts = [_head(report), _fuses(report), _energy(report), _waits(report), _writes(report), _told(report), _verdict(report)]
    return "\n\n".join(part for part in parts if part)


def _head(report: Report) -> str:
    frozen = ", with a frozen controller" if report.frozen else ""
    return (
        f"Seed {report.seed}: {report.evses} EVSEs at {report.stations} stations, {report.days:.2f} days, "
        f"{report.motor_starts} motor starts{frozen}; {report.took_s:.0f} s of work."
    )


def _fuses(report: Report) -> str:
    heads = ("circuit", "", "fuse A", "s over", "s > 1.13", "longest", "s > 1.45", "worst A x s", "peak A", "thermal")
    rows = [
        (
            row.circuit,
            row.phase,
            f"{row.fuse_a:g}",
            f"{row.over_s:.1f}",
            f"{row.over_113_s:.1f}",
            f"{row.longest_113_s:.1f}",
            f"{row.over_145_s:.1f}",
            f"{row.worst_as:.0f}",
            f"{row.peak_a:.0f}",
            f"{row.peak_thermal:.2f}",
        )
        for row in report.phases
    ]
    return _aligned([heads, *rows])


def _energy(report: Report) -> str:
    heads = ("cars", "visits", "asked kWh", "got kWh", "part", "left short", "longest wait")
    rows = [
        (
            name,
            str(tally.visits),
            f"{tally.asked_wh / 1000:.0f}",
            f"{tally.got_wh / 1000:.0f}",
            _part(tally.got_wh, tally.asked_wh),
            str(tally.short),
            f"{report.waits.get(name, 0) / 60:.0f} min",
        )
        for name, tally in sorted(report.by_car.items())
    ]
    visits, short = (sum(getattr(tally, field) for tally in report.by_car.values()) for field in ("visits", "short"))
    rows.append(
        (
            "all",
            str(visits),
            f"{report.asked_wh / 1000:.0f}",
            f"{report.got_wh / 1000:.0f}",
            _part(report.got_wh, report.asked_wh),
            str(short),
            f"{report.longest_wait.seconds / 60:.0f} min",
        )
    )
    return _aligned([heads, *rows])


def _part(got: float, asked: float) -> str:
    return f"{100 * got / asked:.0f} %" if asked else "-"


def _waits(report: Report) -> str:
    wait, helpless = report.longest_wait, report.helpless_wait
    lines = [f"Longest wait without energy: {wait.seconds / 60:.0f} min ({wait.car} at {wait.place}, box: {wait.box}; {wait.reason})."]
    who = f"({helpless.car} at {helpless.place}, {helpless.box})"
    lines.append(f"With an offer it does not take, or a box that is offline or deaf: {helpless.seconds / 60:.0f} min {who}.")
    if report.empty_handed:
        lines.append(f"Left without any energy: {len(report.empty_handed)}, e.g. {report.empty_handed[0]}.")
    return "\n".join([*lines, *_counts("Why they waited [s]:", report.wait_reasons)])


def _writes(report: Report) -> str:
    days = max(1, report.station_days)
    mean, most = sum(report.writes.values()) / days, f"{report.most_writes_day} (at {report.most_writes_station})"
    lines = [f"Profiles written per station and day: {mean:.0f} on average, most {most}."]
    lines += [f"  {purpose}: {count / days:.1f}" for purpose, count in sorted(report.writes.items())]
    return "\n".join(lines)


def _told(report: Report) -> str:
    return "\n".join([*_counts("Alarms:", report.alarms), *_counts("Warnings:", report.warnings)])


def _counts(title: str, texts: Mapping[str, int]) -> list[str]:
    rows = sorted(texts.items(), key=lambda row: -row[1])[:SHOWN]
    return [title, *(f"  {count:7d} x {text}" for text, count in rows)] if rows else []


def _verdict(report: Report) -> str:
    breaches = report.breaches()
    if breaches:
        return "\n".join(["NOT KEPT:", *(f"  {text}" for text in breaches)])
    if report.frozen:
        return "No defect was met. The controller was frozen on purpose: see the fuses above."
    return f"Kept: no fuse was above 1.13 times its rating for more than {BUDGET_S:g} s, and no breaker can have tripped."


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join([row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]) for row in rows]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])
