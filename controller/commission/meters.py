"""Judges the meters before anything is stepped: fresh, phases against total, direction, clocks of the stations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from statistics import median
from typing import Any

from controller.commission.findings import Finding, Verdict
from controller.commission.record import Entry, triple

SUM_W, SUM_PART = 200.0, 0.1
"""Phases and total may differ by so much."""
CLOCK_S = 30.0
"""A station's clock may be wrong by so much before its profiles start or end noticeably late [s]."""


def judge_meters(entries: Sequence[Entry], roles: Mapping[str, str], late_s: float) -> list[Finding]:
    """One finding per meter of the site. roles: meter id -> grid, circuit, pv, battery ... late_s: control.meter_late_s."""
    findings: list[Finding] = []
    for name, role in roles.items():
        mine = [entry for entry in entries if entry.get("kind") == "meter" and entry.get("name") == name]
        findings.append(_meter(name, role, mine, _span(entries), late_s))
    return findings


def _span(entries: Sequence[Entry]) -> float:
    times = [float(entry["mono_s"]) for entry in entries]
    return max(times) - min(times) if times else 0.0


def _meter(name: str, role: str, mine: Sequence[Entry], span_s: float, late_s: float) -> Finding:
    title = f"Meter {name}"
    good = [entry for entry in mine if entry.get("quality") != "bad"]
    if len(good) < 3:
        bad = next((str(entry.get("reason")) for entry in mine if entry.get("reason")), "")
        text = f"{len(good)} usable readings in {span_s:.0f} s" + (f" ({bad})" if bad else "")
        return Finding(title, Verdict.FAIL, text, "Check its address, wiring and register map; yardmaster status tells what is wrong.")
    times = [float(entry["mono_s"]) for entry in good]
    longest_s = max(later - sooner for sooner, later in pairwise(times))
    parts = [f"{len(good)} readings, longest gap {longest_s:.1f} s"]
    if longest_s > late_s:
        advice = f"A reading older than {late_s:g} s (control.meter_late_s) makes the site careful: poll faster or raise it."
        return Finding(title, Verdict.FAIL, parts[0], advice)
    off_w = _off_sum(good)
    if off_w is not None and off_w[0] > max(SUM_W, SUM_PART * abs(off_w[1])):
        text = f"{parts[0]}; its phases add up to {off_w[0]:.0f} W more or less than its total of {off_w[1]:.0f} W"
        return Finding(title, Verdict.FAIL, text, "One phase is missing, turned or scaled otherwise: look at its transformers.")
    back = _backwards(good)
    if role in ("grid", "circuit") and back:
        text = f"{parts[0]}; {', '.join(back)} shows export now"
        return Finding(title, Verdict.UNSURE, text, "Fine with solar or a battery running; else a transformer is turned: the step test will tell.")
    return Finding(title, Verdict.PASS, "; ".join([*parts, "phases fit the total" if off_w is not None else "it tells no powers to compare"]))


def _off_sum(good: Sequence[Entry]) -> tuple[float, float] | None:
    """(median difference between the phases' sum and the total, median total) [W]."""
    pairs: list[tuple[float, float]] = []
    for entry in good:
        phases, total = triple(entry.get("phase_power_w")), entry.get("power_w")
        known = [watts for watts in phases if watts is not None]
        if len(known) >= 1 and isinstance(total, int | float):
            pairs.append((abs(sum(known) - total), float(total)))
    return (median([off for off, _ in pairs]), median([total for _, total in pairs])) if pairs else None


def _backwards(good: Sequence[Entry]) -> list[str]:
    found: list[str] = []
    for index, name in enumerate(("L1", "L2", "L3")):
        watts = [value for entry in good if (value := triple(entry.get("phase_power_w"))[index]) is not None]
        if watts and median(watts) < -20.0:
            found.append(name)
    return found


def judge_clock(offsets_s: Sequence[float]) -> Finding:
    """offsets_s: a station's timestamps minus our time on arrival."""
    if not offsets_s:
        return Finding("Clock", Verdict.SKIPPED, "the station sent no time while we listened")
    off_s = median(offsets_s)
    text = f"{abs(off_s):.0f} s {'fast' if off_s > 0 else 'slow'}" if abs(off_s) >= 2 else "right within 2 s"
    if abs(off_s) <= CLOCK_S:
        return Finding("Clock", Verdict.PASS, text)
    return Finding(
        "Clock", Verdict.FAIL, text, "Set the station's time source (NTP, or from the CSMS): it reads begin and end of limits by its clock."
    )


def judge_answers(times_s: Sequence[float]) -> Finding:
    """times_s: how long the station took to answer our commands."""
    if not times_s:
        return Finding("Answer times", Verdict.SKIPPED, "it was asked nothing")
    text = f"usually {median(times_s):.2f} s, longest {max(times_s):.2f} s, of {len(times_s)} commands"
    if max(times_s) <= 5.0:
        return Finding("Answer times", Verdict.PASS, text)
    return Finding("Answer times", Verdict.UNSURE, text, "Slow answers delay every cut: look at its network (mobile or weak Wi-Fi?).")


def judge_station(station_id: str, online: bool, version: str, details: Mapping[str, Any]) -> Finding:
    """Whether it is there and who it is."""
    if not online:
        advice = "Check its URL, password and network; the event log tells when it was refused."
        return Finding(station_id, Verdict.FAIL, "is not connected", advice)
    words = ", ".join(f"{name} {value}" for name, value in details.items() if value)
    return Finding(station_id, Verdict.PASS, f"connected, {version or 'version unknown'}" + (f", {words}" if words else ""))
