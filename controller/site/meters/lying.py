"""Lying: station values against what is possible, against themselves, and against the meter above.

A station's word decides little here, for the sharing counts setpoints; but it tells whether a cut was followed, which
phases a car uses, and what of a meter's load are cars. So its currents are kept out of the picture as long as they cannot be true
(F41-F45 at a station): the car then counts with what its station may still be obeying, on every phase it is wired to, and
gets no more in this session than it had. Energy and state of charge go on: they are for people and bills, not for fuses.

 - at once: currents beyond three times the charger's maximum (milliamperes, a tenfold scale);
 - after three messages: charging shown as negative where nothing may be given back;
 - after three messages: power that cannot belong to the currents (kW as W): only the power is left out, for no fuse hangs on it;
 - after a minute: nothing moves, not even the energy counter, although the setpoint did;
 - after three steps alone on the meter: claims less than the meter shows, or shows it on another phase than the site file says.

Told once with what a person can do, taken back when the values agree again.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from controller.facts import EvseKey, EvseMeasured, PhaseAmps
from controller.orders import Order, Severity, Tell
from controller.site.layout import PHASE_NAMES, PHASES, Place
from controller.site.meters.steps import Seen, Sight, Step, Told, seen
from controller.site.sharing.inputs import Target
from controller.site.state import UNKNOWN, EvseState, MaybeTriple
from controller.site.stations.appetite import HUNGRY
from controller.site.stations.phases import UNSEEN

ABSURD_TIMES = 3.0
"""Currents beyond this multiple of the charger's maximum are no currents of this charger."""
NEGATIVE_A, NEGATIVE_PART = 1.0, 0.02
"""Charging shown more negative than this counts as turned round: [A], and part of the charger's maximum."""
UNSEEN_PART = 0.3
"""A meter that moves by less than this part of what a station tells has not seen it."""
MESSAGES = 3
"""Messages in a row after which a wrong sign or power is believed to be one, and right ones after which it is over."""
STEPS = 3
"""Steps alone on the meter that must show the same."""
AS_LARGE = 0.6
"""A right step counts only if it is at least this part of the last wrong one."""
STEPS_CLEAR = 2
"""Right steps in a row that end it."""
FITS = (0.15, 8.0)
"""Power divided by what the currents make of it at 230 V; outside the two do not belong together. Wide: a station may tell one
phase of three, a DC one its 800 V side."""
FLOWS_W = 500.0
"""Less than this is not compared [W]."""
STUCK_AFTER_S, STUCK_STEP_A = 60.0, 2.0
"""Nothing has moved for this long [s] although the setpoint moved by more than this [A]."""


class Why:
    """What is wrong, as a key; the words for people are made in ``_words``."""

    ABSURD, NEGATIVE, POWER, STUCK, HIDES, ROTATED = "absurd", "negative", "power", "stuck", "hides", "rotated"


OF_STEPS = (Why.HIDES, Why.ROTATED)


NEVER = Told(-math.inf, (0.0, 0.0, 0.0))


@dataclass(slots=True)
class Record:
    """What is known of one EVSE's values.

    least_a, most_a: between them a current is nothing special.
    """

    least_a: float = 0.0
    most_a: float = 0.0
    flag: str = ""
    told: Told = NEVER
    wrong: str = ""
    wrong_count: int = 0
    right_count: int = 0
    step_wrong: Seen | str = ""
    step_count: int = 0
    step_right: int = 0
    step_size_a: float = 0.0
    same: MaybeTriple = UNKNOWN
    energy_wh: float | None = None
    same_since_mono_s: float = -math.inf
    limit_then_a: float = 0.0
    detail: str = ""


@dataclass(slots=True)
class Claims:
    """The values of all stations. Mutable; ``now`` is monotonic seconds."""

    records: dict[EvseKey, Record] = field(default_factory=dict)
    _caps: dict[EvseKey, float] = field(default_factory=dict)
    _news: list[Order] = field(default_factory=list)

    def drain(self) -> list[Order]:
        """What there is to tell."""
        news, self._news = self._news, []
        return news

    def flagged(self, key: EvseKey) -> bool:
        """Whether the currents of this EVSE are kept out."""
        record = self.records.get(key)
        return record is not None and record.flag not in ("", Why.POWER)

    # -- each message ------------------------------------------------------------------------------

    def believed(self, fact: EvseMeasured, evse: EvseState, limit_a: float, setpoint_a: float) -> EvseMeasured:
        """The message without what cannot be true. limit_a: what it gets at most while flagged; setpoint_a: in force [A]."""
        record = self.records.get(fact.evse)
        if record is None:
            record = self.records[fact.evse] = Record(*_bounds(evse.place))
        wrong = "" if _usual(fact, record) else _wrong(fact, evse.place)
        if fact.energy_wh is not None and (fact.energy_wh != record.energy_wh or fact.phase_current_a != record.same):
            # Most messages of a running session: it moves.
            record.energy_wh, record.same, record.same_since_mono_s, record.limit_then_a = (
                fact.energy_wh,
                fact.phase_current_a,
                fact.at.mono_s,
                setpoint_a,
            )
        elif not wrong and fact.energy_wh is not None:
            wrong = self._stuck(record, fact, setpoint_a)
        if wrong or record.wrong:
            self._judge(record, wrong, fact, limit_a)
        return fact if not record.flag else self._stripped(record, fact, evse.place)

    @staticmethod
    def _stripped(record: Record, fact: EvseMeasured, place: Place) -> EvseMeasured:
        if record.flag == Why.POWER:
            return replace(fact, power_w=None)
        if record.flag in OF_STEPS:
            record.told = Told(fact.at.mono_s, _site_amps(fact, place))
        return replace(fact, phase_current_a=UNKNOWN, power_w=None)

    def _judge(self, record: Record, wrong: str, fact: EvseMeasured, limit_a: float) -> None:
        if not wrong:
            record.right_count += 1
            if record.right_count >= MESSAGES:
                record.wrong, record.wrong_count = "", 0
                if record.flag and record.flag not in OF_STEPS:
                    self._clear(record, fact.evse)
            return
        record.wrong_count = record.wrong_count + 1 if wrong == record.wrong else 1
        record.wrong, record.right_count = wrong, 0
        if not record.flag and (record.wrong_count >= MESSAGES or wrong in (Why.ABSURD, Why.STUCK)):
            record.detail = _detail(wrong, fact)
            self._flag(record, fact.evse, wrong, limit_a)

    @staticmethod
    def _stuck(record: Record, fact: EvseMeasured, setpoint_a: float) -> str:
        """Only with an energy counter: a current that flows in moves it, whatever else is rounded or constant. One that flows out moves another."""
        still_s, moved_a = fact.at.mono_s - record.same_since_mono_s, abs(setpoint_a - record.limit_then_a)
        flows = max([amps for amps in fact.phase_current_a if amps is not None], default=0.0) > NEGATIVE_A
        return Why.STUCK if flows and still_s >= STUCK_AFTER_S and moved_a > STUCK_STEP_A else ""

    # -- each step on the meter ----------------------------------------------------------------------

    def step(self, step: Step, limit_a: float, place: Place, trusted: bool) -> None:
        """A judged step of one EVSE alone. trusted: the meter is one that may speak against a station."""
        record = self.records.setdefault(place.key, Record(*_bounds(place)))
        fault = _fault(step, trusted)
        if fault is None:
            return
        size_a = max(map(abs, step.metered_a))
        if fault == "":
            if size_a < AS_LARGE * record.step_size_a:
                return  # one that is right about small steps alone is not right
            record.step_wrong, record.step_count, record.step_right = "", 0, record.step_right + 1
            if record.step_right >= STEPS_CLEAR and record.flag in OF_STEPS:
                self._clear(record, place.key)
            return
        record.step_count = record.step_count + 1 if fault == record.step_wrong else 1
        record.step_wrong, record.step_right, record.step_size_a = fault, 0, size_a
        if record.step_count >= STEPS and not record.flag:
            self._flag_by_steps(record, place, step, fault, limit_a)

    def _flag_by_steps(self, record: Record, place: Place, step: Step, fault: Seen | str, limit_a: float) -> None:
        if isinstance(fault, Seen):
            told = max(PHASES, key=lambda phase: abs(step.told_a[phase]))
            record.detail = f"its car on {PHASE_NAMES[told]} appears on {PHASE_NAMES[fault.where]} - {_rotation(place, told, fault.where)}"
            self._flag(record, place.key, Why.ROTATED, limit_a)
            return
        metered, claimed = sum(step.metered_a), sum(step.told_a)
        record.detail = f"the meter moved by {metered:.0f} A and the station tells {claimed:.0f} A"
        self._flag(record, place.key, Why.HIDES, limit_a)

    def meter_was_wrong(self, keys: tuple[EvseKey, ...]) -> None:
        """The meter that spoke against these is the one that was wrong."""
        for key in keys:
            record = self.records.get(key)
            if record is not None:
                record.step_wrong, record.step_count, record.step_size_a = "", 0, 0.0
                if record.flag in OF_STEPS:
                    self._clear(record, key)

    # -- consequences ------------------------------------------------------------------------------------

    def _flag(self, record: Record, key: EvseKey, why: str, limit_a: float) -> None:
        record.flag = why
        if why != Why.POWER:
            self._caps[key] = limit_a
        severity = Severity.ALARM if why != Why.POWER else Severity.WARNING
        self._news.append(Tell(severity, str(key), f"{key} {_words(why, record.detail)}"))

    def _clear(self, record: Record, key: EvseKey) -> None:
        record.flag, record.step_right = "", 0
        self._caps.pop(key, None)
        self._news.append(Tell(Severity.INFO, str(key), f"the values of {key} agree again and are used"))

    def session_over(self, key: EvseKey) -> None:
        """A cap is for the car that was there; the flag stays with the station."""
        self._caps.pop(key, None)

    def cap(self, key: EvseKey) -> float:
        """The most this EVSE gets while its values are kept out [A]; infinite for all others."""
        return self._caps.get(key, math.inf)

    def capped(self, targets: Mapping[EvseKey, Target]) -> Mapping[EvseKey, Target]:
        """The plan's targets with the caps of flagged stations, which only lower."""
        if not self._caps:
            return targets
        found = dict(targets)
        for key, cap_a in self._caps.items():
            target = found.get(key)
            if target is None or cap_a < target.limit_a:
                found[key] = Target(cap_a, "its meter values are not believed")
        return found


def without_currents(evse: EvseState) -> EvseState:
    """The picture of an EVSE whose currents are not believed any more: as if it had never told any."""
    return replace(evse, current_a=UNKNOWN, power_w=None, phase_use=UNSEEN, appetite=HUNGRY, doubted=True)


# -- what is wrong -----------------------------------------------------------------------------------------


def _bounds(place: Place) -> tuple[float, float]:
    """Below and above which a current of this EVSE cannot be true [A]."""
    most_a = ABSURD_TIMES * place.config.max_current_a
    return -max(NEGATIVE_A, NEGATIVE_PART * place.config.max_current_a) if place.config.v2g is None else -most_a, most_a


def _usual(fact: EvseMeasured, record: Record) -> bool:
    """Whether nothing is odd at the first look, as nearly always."""
    first_a, second_a, third_a = fact.phase_current_a
    if first_a is None or second_a is None or third_a is None or not record.least_a <= min(first_a, second_a, third_a):
        return False
    total_w = 230.0 * (first_a + second_a + third_a)
    return max(first_a, second_a, third_a) <= record.most_a and (fact.power_w is None or 0.5 * total_w <= fact.power_w <= 2.0 * total_w)


def _wrong(fact: EvseMeasured, place: Place) -> str:
    """What one message shows to be impossible; "" = nothing."""
    least_a, most_a = _bounds(place)
    known = [amps for amps in fact.phase_current_a if amps is not None]
    if any(abs(amps) > most_a for amps in known):
        return Why.ABSURD
    if any(amps < least_a for amps in known):
        return Why.NEGATIVE
    if fact.power_w is None or not math.isfinite(fact.power_w):
        return ""
    return _wrong_power(fact.power_w, sum(known), bool(known), place)


def _wrong_power(power_w: float, total_a: float, has_currents: bool, place: Place) -> str:
    most_w = ABSURD_TIMES * place.config.max_current_a * 3 * 300.0
    if abs(power_w) > most_w:
        return Why.ABSURD if not has_currents else Why.POWER
    if not has_currents:
        return Why.NEGATIVE if place.config.v2g is None and power_w < -FLOWS_W else ""
    expected_w = total_a * 230.0
    if expected_w < FLOWS_W and abs(power_w) < FLOWS_W:
        return ""
    return "" if FITS[0] * expected_w <= power_w <= FITS[1] * expected_w or place.config.v2g is not None else Why.POWER


def _fault(step: Step, trusted: bool) -> Seen | str | None:
    """ "" = station and meter agree, a word or a phase = how they do not, None = the step says nothing."""
    sights = [one for one in seen(step) if one is not None]
    if sights and all(one.sight is Sight.FOLLOWS for one in sights):
        return ""
    if not trusted:
        return None
    elsewhere = next((one for one in sights if one.sight is Sight.ELSEWHERE), None)
    if elsewhere is not None:
        return elsewhere
    # Its setpoint moved, and the meter moved the same way by far more than the station tells.
    if abs(step.commanded_a) >= min(step.gate_a) and any(_hidden(step, phase) for phase in PHASES):
        return Why.HIDES
    # It tells of a step that the meter does not see on any phase: it says that it follows and does not, or the other way round.
    clear = [phase for phase in PHASES if abs(step.told_a[phase]) >= step.gate_a[phase]]
    return Why.HIDES if clear and all(abs(step.metered_a[phase]) < UNSEEN_PART * abs(step.told_a[phase]) for phase in clear) else None


def _hidden(step: Step, phase: int) -> bool:
    metered_a, way = step.metered_a[phase], math.copysign(1.0, step.commanded_a)
    return metered_a * way >= step.gate_a[phase] and step.told_a[phase] * way < 0.5 * metered_a * way


def _rotation(place: Place, told: int, where: int) -> str:
    """The rotation that would explain it, for the site file."""
    shift = (where - told) % 3
    if len(place.phases) == 1:
        return f"write phases: [{PHASE_NAMES[where]}] for it, or correct the wiring"
    turned = ", ".join(PHASE_NAMES[(phase + shift) % 3] for phase in place.phases)
    return f"write phases: [{turned}] for it, or correct the wiring"


def _site_amps(fact: EvseMeasured, place: Place) -> PhaseAmps:
    amps = [0.0, 0.0, 0.0]
    for phase, told_a in zip(place.phases, fact.phase_current_a, strict=False):
        amps[phase] = told_a if told_a is not None and math.isfinite(told_a) else 0.0
    return amps[0], amps[1], amps[2]


def _detail(why: str, fact: EvseMeasured) -> str:
    amps = ", ".join("-" if one is None else f"{one:.4g}" for one in fact.phase_current_a)
    power = "" if fact.power_w is None else f", {fact.power_w:.4g} W"
    return f"{amps} A{power}"


def _words(why: str, detail: str) -> str:
    held = "its currents are not used, it gets no more than now"
    return {
        Why.ABSURD: f"tells currents it cannot carry ({detail}) - {held}; look for milliamperes or a wrong scale in its settings",
        Why.NEGATIVE: f"shows charging as negative ({detail}) - {held}; turn its current sensors or correct its settings",
        Why.POWER: f"tells power and currents that do not belong together ({detail}) - the power is not used; look for kW sent as W or a wrong scale",
        Why.STUCK: f"repeats the same values though its setpoint moved ({detail}) - {held}; restart it",
        Why.HIDES: f"tells something else than the meter shows ({detail}, {STEPS} times) - {held}; have its meter checked",
        Why.ROTATED: f"is wired to other phases than configured: {detail} - until then it counts on all its phases",
    }[why]
