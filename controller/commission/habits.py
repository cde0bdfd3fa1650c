"""Judges the habits of a charger: pausing, waking, fineness, reading back, profiles, power cut, lost controller."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from controller.commission.findings import Finding, Outcome, Quirks, Verdict
from controller.commission.record import Curve, Hold, Record
from controller.commission.steptest import drawn

DRAWING_A = 1.5
"""Less is a car that does not charge [A]."""
SAME_A = 0.6
"""A limit read back this near to the one sent is the same [A]."""
FALL_SLACK_S = 5.0
"""Over life and apply_s, for the car and the meter [s]."""
TRICKS = {"status": "a status request (TriggerMessage)", "availability": "inoperative and back to operative"}


# -- pause and wake ------------------------------------------------------------------------------


def judge_minimum(record: Record) -> Outcome:
    """The smallest limit at which it charged; the holds go up from the site's minimum until it does."""
    title = "Smallest current"
    levels = [(hold.limit_a, drawn(record, hold)) for hold in record.holds if hold.limit_a > 0]
    known = [(limit_a, amps) for limit_a, amps in levels if amps is not None]
    charging = [limit_a for limit_a, amps in known if amps >= DRAWING_A]
    paused = [limit_a for limit_a, amps in known if amps < DRAWING_A]
    if not charging:
        text = "no level at which it charges was found" if known else "the station tells no currents by phase"
        return Outcome((Finding(title, Verdict.UNSURE, text, "Look at the car: is it full, or does its own timer hold it?"),))
    least_a = min((limit_a for limit_a in charging if limit_a > max(paused, default=0.0)), default=None)
    if least_a is None:
        text = f"charged at {min(charging):g} A but not at {max(paused):g} A; it changes its mind"
        return Outcome((Finding(title, Verdict.UNSURE, text, "Repeat the test, with another car if there is one."),))
    text = f"charges from {least_a:g} A" + (f", pauses at {max(paused):g} A" if paused else "")
    return Outcome((Finding(title, Verdict.INFO, text),), Quirks(min_current_a=min(32.0, least_a)))


def judge_pause(record: Record) -> Outcome:
    """Whether 0 A pauses it, whether it wakes again, and by what."""
    zero = next((hold for hold in record.holds if hold.limit_a == 0), None)
    if zero is None:
        return Outcome((Finding("Pause with 0 A", Verdict.UNSURE, "a limit of 0 A was not accepted", "Look at the profiles test."),))
    amps = drawn(record, zero)
    if amps is None or amps >= DRAWING_A:
        text = "the station tells no currents" if amps is None else f"still draws {amps:.1f} A with a limit of 0 A"
        verdict = Verdict.UNSURE if amps is None else Verdict.FAIL
        return Outcome((Finding("Pause with 0 A", verdict, text, "Do not rely on a pause: its minimum is always kept free for it."),))
    return _woken(record, zero)


def _woken(record: Record, zero: Hold) -> Outcome:
    paused = Finding("Pause with 0 A", Verdict.PASS, "pauses with 0 A")
    title = "Wake after a pause"
    offered = next((hold for hold in record.holds if hold.sent_s >= zero.until_s and hold.limit_a > 0), None)
    if offered is None:
        return Outcome((paused, Finding(title, Verdict.UNSURE, "nothing was offered to it after the pause")))
    again = next((one.mono_s for one in record.station.samples if one.mono_s > offered.accepted_s and _most(one.amps) >= DRAWING_A), None)
    tricks = [(float(entry["mono_s"]), str(entry.get("trick"))) for entry in record.of("wake") if float(entry["mono_s"]) >= offered.sent_s]
    if again is None:
        tried = ", ".join(trick for _, trick in tricks) or "nothing"
        text = f"does not charge again after a pause (tried: {tried})"
        return Outcome((paused, Finding(title, Verdict.FAIL, text, "Pausing ends this car's charging: keep its EVSE at the minimum, or unplug.")))
    used = [trick for mono_s, trick in tricks if mono_s <= again]
    took_s = again - (max(mono_s for mono_s, _ in tricks if mono_s <= again) if used else offered.accepted_s)
    resume = used[-1] if used else "none"
    how = f"after {TRICKS.get(resume, resume)}" if used else "by itself"
    return Outcome((paused, Finding(title, Verdict.PASS, f"charges again {how}, {took_s:.0f} s later")), Quirks(resume=resume))


def _most(amps: Sequence[float | None]) -> float:
    return max((one for one in amps if one is not None), default=0.0)


def judge_fineness(record: Record, base_a: float) -> Outcome:
    """The smallest step it follows, from holds at base + 1, + 0.8, + 0.5 and + 0 A."""
    title = "Smallest step"
    told = {round(hold.limit_a - base_a, 1): drawn(record, hold) for hold in record.holds}
    one, most, half, none = (told.get(offset) for offset in (1.0, 0.8, 0.5, 0.0))
    if one is None or most is None or half is None or none is None or one - none < 0.5:
        return Outcome((Finding(title, Verdict.UNSURE, "the station's values are too coarse, or the car did not follow 1 A"),))
    parts = ((most - none) / (one - none), (half - none) / (one - none))
    step_a = _fineness(*parts)
    if step_a is None:
        return Outcome(
            (Finding(title, Verdict.UNSURE, f"drew {most:.2f} and {half:.2f} A where {base_a + 0.8:g} and {base_a + 0.5:g} A were allowed"),)
        )
    return Outcome((Finding(title, Verdict.INFO, f"follows steps of {step_a:g} A"),), Quirks(step_a=step_a))


def _fineness(most: float, half: float) -> float | None:
    """By which part of 1 A it stayed up at + 0.8 and + 0.5 A. A box that rounds up would draw too much: not certain."""
    if 0.65 <= most <= 0.92 and 0.35 <= half <= 0.65:
        return 0.1
    if 0.35 <= most < 0.65 and 0.35 <= half <= 0.65:
        return 0.5
    return 1.0 if most < 0.25 and half < 0.25 else None


def judge_read_back(record: Record) -> Outcome:
    """Whether GetCompositeSchedule tells what is in force."""
    title = "Reading the limit back"
    pairs = [(entry, hold) for entry in record.of("read_back") if (hold := _in_force(record, float(entry["mono_s"]))) is not None]
    if len(pairs) < 2:
        return Outcome((Finding(title, Verdict.SKIPPED, "too few answers to judge"),))
    right = [entry for entry, hold in pairs if entry.get("limit_a") is not None and abs(float(entry["limit_a"]) - hold.limit_a) <= SAME_A]
    if len(right) == len(pairs):
        return Outcome((Finding(title, Verdict.PASS, f"{len(right)} of {len(pairs)} times what was in force"),), Quirks(reads_back=True))
    said = "; ".join(_read_words(entry, hold) for entry, hold in pairs[:3])
    text = f"wrong {len(pairs) - len(right)} of {len(pairs)} times ({said})"
    return Outcome((Finding(title, Verdict.INFO, text, "An Accepted is believed instead; the meter still watches."),), Quirks(reads_back=False))


def _read_words(entry: Mapping[str, Any], hold: Hold) -> str:
    limit_a = entry.get("limit_a")
    said = f"{float(limit_a):g} A" if limit_a is not None else str(entry.get("detail") or "no limit")
    return f"said {said} at {hold.limit_a:g} A"


def _in_force(record: Record, mono_s: float) -> Hold | None:
    return next((hold for hold in record.holds if hold.accepted_s <= mono_s <= hold.until_s), None)


# -- profiles ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Way:
    """One way to write a setpoint. label: for people; stack_level: above the one of the fallback."""

    label: str
    purpose: str = "tx"
    unit: str = "A"
    relative: bool = False
    stack_level: int = 1
    dynamic: bool = False


WAYS = (
    Way("TxProfile in A"),
    Way("TxProfile in W", unit="W"),
    Way("TxProfile, relative", relative=True),
    Way("TxProfile, higher stack level", stack_level=2),
    Way("TxDefaultProfile in A", purpose="tx_default"),
    Way("ChargingStationMaxProfile in A", purpose="station_max"),
)
DYNAMIC = Way("Dynamic TxProfile (2.1)", dynamic=True)
PURPOSES = {"tx": "TxProfile", "tx_default": "TxDefaultProfile", "station_max": "ChargingStationMaxProfile"}


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one way: answered None = no answer; obeyed None = could not be seen."""

    way: Way
    accepted: bool | None
    reason: str = ""
    obeyed: bool | None = None

    @property
    def words(self) -> str:
        """For people."""
        if self.accepted is None:
            return self.reason or "no answer"
        if not self.accepted:
            return f"rejected ({self.reason})" if self.reason else "rejected"
        return "accepted and obeyed" if self.obeyed else "accepted, NOT obeyed" if self.obeyed is False else "accepted, effect not seen"


def judge_ways(answers: Sequence[Answer], floor_stack: int = 0) -> Outcome:
    """Which ways work, and which fields of the model file follow. floor_stack: stack level of the fallback."""
    findings = tuple(Finding(f"Profile: {one.way.label}", _way_verdict(one), one.words) for one in answers)
    by = {one.way.label: one for one in answers}
    works = {label for label, one in by.items() if one.accepted and one.obeyed}
    certain = {label for label, one in by.items() if one.accepted is False or (one.accepted and one.obeyed is not None)}
    raised = _raised(works, certain)
    level = 1 + raised
    usable = [way for way in WAYS if way.label in works and not way.relative and (way.stack_level == level or way.purpose != "tx")]
    purposes = tuple(dict.fromkeys(PURPOSES[way.purpose] for way in usable))
    amps, watts = WAYS[3 if raised else 0].label, WAYS[1].label
    unit = "A" if amps in works else "W" if watts in works and amps in certain else None
    other = {amps: watts, watts: amps}[watts if unit == "W" else amps]
    quirks = Quirks(
        purposes=purposes or None,
        unit=unit,
        other_unit=None if unit is None or other not in certain else other in works,
        relative=True if unit and WAYS[2].label in works and not purposes else None,
        stack_level=floor_stack + raised if works & {WAYS[0].label, WAYS[1].label, WAYS[3].label} else None,
        dynamic=DYNAMIC.label in works if DYNAMIC.label in certain else None,
    )
    if certain and not works:
        text = "no way to set a limit was obeyed: this station cannot be controlled"
        return Outcome((*findings, Finding("Profiles", Verdict.FAIL, text, "Its maximum current is kept free for it at all times.")), quirks)
    return Outcome(findings, quirks)


def _raised(works: set[str], certain: set[str]) -> int:
    """By how much the fallback's stack level must rise: 1 where only the higher of the two TxProfiles holds."""
    plain, higher = {WAYS[0].label, WAYS[1].label}, WAYS[3].label
    return 1 if higher in works and not works & plain and WAYS[0].label in certain else 0


def _way_verdict(answer: Answer) -> Verdict:
    if answer.accepted is None or (answer.accepted and answer.obeyed is None):
        return Verdict.UNSURE
    if answer.accepted and not answer.obeyed:
        return Verdict.FAIL  # a station must not accept what it does not do
    return Verdict.PASS if answer.accepted else Verdict.INFO


def judge_burst(record: Record, writes: int) -> Outcome:
    """Whether the station limits how often it is written to."""
    title = "Many writes in a row"
    limited = [float(entry["retry_after_s"]) for entry in record.of("rate_limit") if isinstance(entry.get("retry_after_s"), int | float)]
    if limited:
        wait_s = max(limited)
        text = f"asked to wait {wait_s:g} s between writes"
        return Outcome(
            (Finding(title, Verdict.INFO, text, "Written into the model file: rises wait so long."),), Quirks(min_write_s=min(3600.0, wait_s))
        )
    refused = [one for one in record.sent if one.number < 0 and one.answered_s is not None and not one.accepted and not one.lost]
    accepted = [one for one in record.sent if one.number < 0 and one.accepted]
    if refused:
        text = f"took {len(accepted)} of {writes} writes in a row ({refused[0].reason or 'no reason'})"
        return Outcome((Finding(title, Verdict.UNSURE, text, "Perhaps a hidden rate limit: set min_write_s in the model file by its manual."),))
    if len(accepted) < writes:
        return Outcome((Finding(title, Verdict.UNSURE, f"only {len(accepted)} of {writes} writes had an answer of the station"),))
    return Outcome((Finding(title, Verdict.PASS, f"took {len(accepted)} of {writes} writes in a row"),))


# -- without us --------------------------------------------------------------------------------------


def judge_reboot(record: Record, floor_a: float) -> Outcome:
    """Whether the floor is still in the station after a power cut, by what it says before it is written again."""
    title = "Default after a power cut"
    back_s = max((float(entry["mono_s"]) for entry in record.of("link") if entry.get("online")), default=None)
    if back_s is None:
        return Outcome((Finding(title, Verdict.SKIPPED, "the station did not come back in time, or was not switched off"),))
    written_s = min((one["mono_s"] for one in record.of("floor") if one["mono_s"] >= back_s), default=float("inf"))
    asked = [one for one in record.of("read_back") if back_s <= one["mono_s"] <= written_s]
    if not asked:
        return Outcome((Finding(title, Verdict.UNSURE, "it did not say in time what it still holds"),))
    limit_a = asked[0].get("limit_a")
    if limit_a is not None and abs(float(limit_a) - floor_a) <= SAME_A:
        return Outcome((Finding(title, Verdict.PASS, f"still holds its fallback of {floor_a:g} A after the power cut"),), Quirks(keeps_default=True))
    if limit_a is None:
        text = f"could not be read after the power cut ({asked[0].get('detail') or 'no limit told'})"
        return Outcome((Finding(title, Verdict.UNSURE, text, "Watch the meter after a power cut with a car plugged in, before Yardmaster is up."),))
    said = f"{float(limit_a):g} A"
    advice = "After a power cut a car may charge unlimited until Yardmaster has written the fallback again: keep this in mind for the fuse."
    return Outcome((Finding(title, Verdict.FAIL, f"forgot its fallback of {floor_a:g} A (says: {said})", advice),), Quirks(keeps_default=False))


@dataclass(frozen=True, slots=True)
class Fall:
    """Of the "pull our plug" test. drawn_a: before, per phase; phases: in use; life_s: of the last setpoint."""

    floor_a: float
    drawn_a: float
    phases: int
    life_s: float
    apply_s: float


def judge_fall(record: Record, fall: Fall) -> Outcome:
    """Whether a meter saw the station fall to its floor in time while we were gone, and whether it came back."""
    title = "Pull our plug"
    gone_s = next((float(entry["mono_s"]) for entry in record.of("held_off")), None)
    back_s = next((float(one["mono_s"]) for one in record.of("link") if one.get("online") and gone_s is not None and one["mono_s"] > gone_s), None)
    if gone_s is None:
        return Outcome((Finding(title, Verdict.SKIPPED, "the connection was not interrupted"),))
    expected_a = (fall.drawn_a - fall.floor_a) * fall.phases
    if expected_a < 2.0 * fall.phases:
        text = f"drew {fall.drawn_a:.1f} A, hardly more than its fallback of {fall.floor_a:g} A: a fall would not show"
        return Outcome((Finding(title, Verdict.UNSURE, text, "Repeat with a car that takes more."),))
    seen = [(curve, _fell_s(curve, gone_s, back_s or record.until_s, expected_a)) for curve in record.meters]
    allowed_s = fall.life_s + fall.apply_s + FALL_SLACK_S
    times = {curve.name: seconds for curve, seconds in seen if seconds is not None}
    findings = [_fall_finding(title, times, allowed_s, fall, bool(record.meters))]
    returned = back_s is not None and any(one.accepted and one.sent_s >= back_s for one in record.sent)
    words = "connected again and takes setpoints" if returned else "did not take a setpoint again in time"
    findings.append(Finding("After our return", Verdict.PASS if returned else Verdict.FAIL, words, "" if returned else "Look at the event log."))
    return Outcome(tuple(findings))


def _fall_finding(title: str, times: Mapping[str, float], allowed_s: float, fall: Fall, metered: bool) -> Finding:
    if not metered:
        text = "no meter sees this charger, so nobody saw whether it fell"
        return Finding(title, Verdict.UNSURE, text, "Watch the car's display or a clamp meter during this test and note it in the report.")
    if not times:
        advice = "Without Yardmaster this charger stays high: the fuse is NOT safe by construction. Set max_current_a as its fallback_a."
        return Finding(title, Verdict.FAIL, f"did not fall to its fallback of {fall.floor_a:g} A within {allowed_s:.0f} s", advice)
    name, seconds = min(times.items(), key=lambda item: item[1])
    text = f"fell to its fallback of {fall.floor_a:g} A after {seconds:.0f} s (allowed {allowed_s:.0f} s), seen by {name}"
    if seconds <= allowed_s:
        return Finding(title, Verdict.PASS, text)
    return Finding(title, Verdict.FAIL, text, "Its profiles end late: check the station's clock (NTP), it reads our end times by it.")


def _fell_s(curve: Curve, gone_s: float, until_s: float, expected_a: float) -> float | None:
    """Seconds until the sum of the phases lies three quarters of the way down and stays there; None = never."""
    sums = [(one.mono_s, sum(amps for amps in one.amps if amps is not None)) for one in curve.between(gone_s - 15.0, until_s)]
    before = [amps for mono_s, amps in sums if mono_s <= gone_s]
    after = [(mono_s, amps) for mono_s, amps in sums if mono_s > gone_s]
    if not before or len(after) < 4:
        return None
    mark_a = median(before) - 0.75 * expected_a
    for number, (mono_s, _) in enumerate(after):
        rest = [amps for _, amps in after[number:]]
        # Half of what follows and the next samples must be below: one motor that starts later proves nothing.
        if len(rest) >= 3 and median(rest) <= mark_a and all(amps <= mark_a for amps in rest[:3]):
            return mono_s - gone_s
    return None
