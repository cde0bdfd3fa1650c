"""The test bench of ``yardmaster commission``: asks a running controller to hold an EVSE, and watches what happens.

Every request lives a few seconds only: when this program, its laptop or the network dies, the controller
ends the test by itself. Never raises anything but ToolError.
"""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from controller.commission.record import Record, read
from controller.tools.client import Controller, ToolError

KEEP_S = 20.0
"""A request is good for so long [s]."""
ASK_EVERY_S = 5.0
LESS_AFTER_S = 6.0
"""When the site gives less than asked for so long, that is what there is [s]."""
NEAR_A, NEAR_PART = 1.0, 0.12
SAME_LEVEL_A = 0.05
"""Setpoints this near to each other are the same level [A]."""
ONE_TEST_S = 420.0
"""A test begins only when other cars may be held for so long, else they share freely for a while first [s]."""
STALE_S = 30.0
"""What a station told longer ago is not what it draws now [s], unless it always tells so rarely."""


@dataclass(frozen=True, slots=True)
class Pace:
    """Lengths of the tests [s], cycles: how often the step test goes down and up again."""

    poll_s: float = 1.0
    hold_s: float = 15.0
    patience_s: float = 90.0
    wake_s: float = 60.0
    watch_s: float = 20.0
    car_s: float = 900.0
    cycles: int = 4


class NotReachedError(ToolError):
    """A level could not be reached; the text says why. The test is not certain then, nothing worse."""


@dataclass(slots=True)
class Bench:
    """One EVSE under test.

    progress: shows a short line that may be written over; say: a line that stays. answers_s: how long the station took to answer.
    """

    controller: Controller
    session: str
    pace: Pace
    station: str
    evse: int
    progress: Callable[[str], None]
    say: Callable[[str], None]
    mono_s: float = 0.0
    trial: Mapping[str, Any] | None = None
    features: Mapping[str, Any] = field(default_factory=dict)
    answers_s: list[float] = field(default_factory=list)
    _entries: list[Mapping[str, Any]] = field(default_factory=list)
    _after: int = 0
    _limit_a: float | None = None
    _asked_s: float = -math.inf

    # -- asking ---------------------------------------------------------------------------------------

    def begin(self) -> None:
        """A new test: what was seen before does not belong to it."""
        self._count_answers()
        self._let_others_charge()
        self.ask(self._limit_a)
        self._entries.clear()

    def _let_others_charge(self) -> None:
        """Other cars have been held for long: let them have their share before the next test."""
        if self.trial is None or self.trial.get("held_left_s", ONE_TEST_S) >= ONE_TEST_S:
            return
        level_a, rested_s = self._limit_a, math.inf
        self.ask(None)

        def rested() -> bool:
            return self.trial is None or (self.trial["eases_s"] <= 0 and self.trial["held_left_s"] >= ONE_TEST_S)

        self.wait(rested_s, rested, "the other cars get their share for a while")
        self._limit_a = level_a

    def _wait_until_quiet(self, what: str) -> None:
        """While other cars share freely their currents would be taken for the test's."""
        if self.trial is not None and self.trial.get("eases_s", 0.0) > 0:
            self.wait(math.inf, lambda: self.trial is None or self.trial["eases_s"] <= 0, f"{what}: the other cars get their share first")

    def _count_answers(self) -> None:
        """Keep how long the station took to answer, over all tests."""
        self.answers_s += [one.answered_s - one.sent_s for one in self.record.sent if one.answered_s is not None]

    def ask(self, limit_a: float | None, deed: str = "", probe: Mapping[str, Any] | None = None, hold_s: float = 0.0, for_s: float = KEEP_S) -> None:
        """Hold at ``limit_a`` (None: only watch), and do one thing."""
        body = {"station": self.station, "evse": self.evse, "session": self.session, "limit_a": limit_a, "for_s": for_s, "deed": deed}
        answer = self.controller.post("commissioning", {**body, "probe": probe, "hold_s": hold_s})
        self._limit_a, self._asked_s = limit_a, time.monotonic()
        self.mono_s = float(answer["mono_s"])
        if not self._entries and not self._after:
            self._after = max(0, int(answer["last"]) - 1)

    def end(self) -> None:
        """The test is over: everybody shares again."""
        self._count_answers()
        self.ask(None, for_s=0.0)

    def look(self) -> None:
        """Read what is new."""
        view = self.controller.get("commissioning", after=self._after)
        self._after, self.mono_s, self.trial, self.features = int(view["last"]), float(view["mono_s"]), view["trial"], view["features"]
        self._entries += view["entries"]

    @property
    def record(self) -> Record:
        """What this test saw so far."""
        return read(self._entries, self.station, self.evse)

    @property
    def entries(self) -> list[Mapping[str, Any]]:
        """As the controller gave them."""
        return self._entries

    # -- waiting ----------------------------------------------------------------------------------------

    def wait(self, seconds: float, until: Callable[[], bool] | None = None, what: str = "", keep: bool = True) -> bool:
        """Watch for so long, or until a condition holds; whether it came to hold. keep: go on asking, so that the test lives."""
        begin_s = time.monotonic()
        while True:
            if keep and time.monotonic() - self._asked_s >= min(ASK_EVERY_S, KEEP_S / 3):
                self.ask(self._limit_a)
            self.look()
            if until is not None and until():
                return True
            left_s = begin_s + seconds - time.monotonic()
            if left_s <= 0:
                return False
            left = f", {left_s:.0f} s left" if math.isfinite(left_s) else ""
            self.progress(f"{what} - {self._now_words()}{left}" if what else self._now_words())
            time.sleep(min(self.pace.poll_s, left_s))

    def _now_words(self) -> str:
        drawn_a, limit_a = self.drawn_a, self.limit_a
        limit = "no limit yet" if limit_a is None else f"limit {limit_a:g} A"
        samples = self.record.station.samples
        if samples and self.mono_s - samples[-1].mono_s > max(STALE_S, 3.0 * (self.record.station.period_s or 0.0)):
            drawn_a = None
        if self._offline:
            return "station not connected"
        return f"{limit}, car draws {'?' if drawn_a is None else f'{drawn_a:.1f}'} A"

    @property
    def _offline(self) -> bool:
        links = self.record.of("link")
        return bool(links) and not links[-1].get("online")

    @property
    def drawn_a(self) -> float | None:
        """What the station told last, on its largest phase [A]."""
        samples = self.record.station.samples
        return max((amps for amps in samples[-1].amps if amps is not None), default=None) if samples else None

    @property
    def limit_a(self) -> float | None:
        """The setpoint the station accepted last [A]."""
        holds = self.record.holds
        return holds[-1].limit_a if holds else None

    @property
    def present_a(self) -> float | None:
        """The setpoint in force by the controller's books [A]."""
        return float(self.trial["present_a"]) if self.trial is not None else None

    @property
    def present_reason(self) -> str:
        """Why the setpoint is not higher."""
        return str(self.trial["reason"]) if self.trial is not None and self.trial["reason"] else "no reason given"

    # -- holding ------------------------------------------------------------------------------------------

    def hold(self, level_a: float, what: str) -> float:
        """Bring the EVSE to a level, wait until it acts, stay there; the level it really got [A].

        Raises NotReachedError when the station accepts no setpoint near it.
        """
        self._wait_until_quiet(what)
        before = len(self.record.holds)
        at_level = self.present_a is not None and abs(self.present_a - level_a) < SAME_LEVEL_A
        self.ask(level_a)
        begin_s = time.monotonic()

        def accepted() -> bool:
            limit_a = self.limit_a
            if limit_a is not None and abs(limit_a - level_a) < SAME_LEVEL_A:
                return True
            given_a = self.trial["granted_a"] if self.trial is not None else None
            less = limit_a is not None and given_a is not None and abs(limit_a - given_a) < SAME_LEVEL_A and limit_a < level_a
            return less and time.monotonic() - begin_s >= LESS_AFTER_S

        if at_level and before == 0:
            self.ask(level_a, deed="rewrite")
        if not self.wait(self.pace.patience_s, accepted, f"{what}: setting {level_a:g} A"):
            raise NotReachedError(f"{level_a:g} A could not be set within {self.pace.patience_s:g} s ({self._why()})")
        got_a = self.limit_a if self.limit_a is not None else level_a
        accepted_s = self.record.holds[-1].accepted_s
        self.wait(self._settle_s(), lambda: self._arrived(accepted_s, got_a), f"{what}: {got_a:g} A")
        self.wait(self._dwell_s(), what=f"{what}: {got_a:g} A")
        return got_a

    def _why(self) -> str:
        refused = [one for one in self.record.sent if one.answered_s is not None and not one.accepted]
        if refused:
            return f"the station refused: {refused[-1].reason or 'no reason'}"
        if self.trial is not None and self.trial["granted_a"] is None:
            return "no car is charging here"
        return str(self.trial["reason"]) if self.trial is not None else "the test was ended"

    def _settle_s(self) -> float:
        """How long to wait for an effect; a station that tells no currents gets a fixed time."""
        return self.pace.patience_s if self.record.station.samples else 2 * self.pace.hold_s

    def _dwell_s(self) -> float:
        """Long enough for some samples of every source."""
        period_s = self.record.station.period_s or 0.0
        return max(self.pace.hold_s, min(2.5 * period_s, self.pace.patience_s))

    def _arrived(self, accepted_s: float, level_a: float) -> bool:
        near_a = max(NEAR_A, NEAR_PART * level_a)
        samples = [one for one in self.record.station.samples if one.mono_s > accepted_s]
        return bool(samples) and abs(max((amps for amps in samples[-1].amps if amps is not None), default=math.inf) - level_a) <= near_a


@dataclass(slots=True)
class Ear:
    """Listens to a station's messages beside the tests: who it says it is, and what time it believes it is."""

    controller: Controller
    station: str
    details: dict[str, str] = field(default_factory=dict)
    offsets_s: list[float] = field(default_factory=list)
    _ended: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        """Begin to listen, in a thread that dies with the program."""
        threading.Thread(target=self._listen, name=f"listen to {self.station}", daemon=True).start()

    def stop(self) -> None:
        """What comes from now on is not kept."""
        self._ended.set()

    def _listen(self) -> None:
        try:
            for event in self.controller.events("tap", station=self.station, direction="up", leg="station"):
                if self._ended.is_set():
                    return
                if event.name == "seen":
                    self.hear(event.data)
        except (ToolError, ValueError, TypeError, KeyError):
            return  # nothing is lost but the clock finding, which then says so

    def hear(self, record: Mapping[str, Any]) -> None:
        """One record of the tap."""
        if record.get("kind") != "CALL":
            return
        frame = json.loads(str(record.get("text")))
        payload = frame[3] if isinstance(frame, list) and len(frame) > 3 and isinstance(frame[3], dict) else {}
        if record.get("action") == "BootNotification":
            self._boot(payload)
        moment = _timestamp(payload)
        if moment is not None and not payload.get("offline"):
            self.offsets_s.append(moment - float(record["wall_s"]))

    def _boot(self, payload: Mapping[str, Any]) -> None:
        body = payload.get("chargingStation", payload)
        names = {
            "vendor": ("vendorName", "chargePointVendor"),
            "model": ("model", "chargePointModel"),
            "serial": ("serialNumber", "chargePointSerialNumber"),
            "firmware": ("firmwareVersion",),
        }
        for label, keys in names.items():
            for key in keys:
                if isinstance(body, Mapping) and isinstance(body.get(key), str):
                    self.details[label] = "".join(letter for letter in body[key][:50] if letter.isprintable())


def _timestamp(payload: Mapping[str, Any]) -> float | None:
    """The moment a message speaks of: its own, else that of its last meter value."""
    values = payload.get("meterValue")
    found = payload.get("timestamp")
    if found is None and isinstance(values, list) and values and isinstance(values[-1], Mapping):
        found = values[-1].get("timestamp")
    try:
        moment = datetime.fromisoformat(found) if isinstance(found, str) else None
    except ValueError:
        return None
    return moment.timestamp() if moment is not None and moment.tzinfo is not None else None
