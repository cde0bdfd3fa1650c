"""Oversight: after a setpoint is in a station, is it obeyed? Pursues, learns, wakes, and tells people once.

Joins ``escalation`` (does not follow), ``overdraw`` (draws a little too much), ``waking`` (sleeps after a pause) and the
events about control (refuses, mis-stacks, takes no V2X setpoints). Once a second, after the meters were read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from controller.facts import EvseKey, PhaseAmps, Stamp
from controller.orders import Order, Persist, SetAvailable, Severity, Tell
from controller.site.layout import Layout
from controller.site.state import EvseState
from controller.site.stations.actuate import Actuator
from controller.site.stations.channel import Channel
from controller.site.stations.escalation import Escalation, Step
from controller.site.stations.overdraw import Overdraw
from controller.site.stations.tastes import Tastes
from controller.site.stations.waking import Waker

SILENT_S: Final = 90.0
"""A station that told no current for this long is judged by the meter of its own circuit, where it has one [s]."""
SPACE: Final = "blocked"
"""Where the journal keeps which EVSEs were made unavailable."""

Spares = Callable[[EvseKey, bool, float], bool]
"""(EVSE, its circuit is over, now): whether it is left alone for a moment, because somebody tests it."""
Tests = Callable[[EvseKey, float], bool]
"""(EVSE, now): whether somebody tests it; its car is then woken by the test alone."""


class Oversight:
    """All EVSEs. metered: circuit id -> currents of its meter if it is believed now, else None."""

    def __init__(self, layout: Layout, actuator: Actuator, metered: Callable[[str], PhaseAmps | None], spares: Spares, tests: Tests) -> None:
        self.escalation = Escalation()
        self._overdraw, self._waker, self._tastes = Overdraw(), Waker(), Tastes()
        self._layout, self._actuator, self._metered, self._spares, self._tests = layout, actuator, metered, spares, tests
        self._alone = {
            keys[0]: name
            for name, circuit in layout.circuits.items()
            if circuit.meter is not None and circuit.worst_other_load_a == 0 and len(keys := layout.below[name]) == 1
        }
        self._told: dict[str, str] = {}

    def look(self, evses: Mapping[EvseKey, EvseState], over: set[str], at: Stamp) -> list[Order]:
        """Everything due now. over: circuits above their limit."""
        orders: list[Order] = []
        for key, evse in evses.items():
            channel = self._actuator.channels[key]
            orders += self.tell(channel)
            if evse.session is None:
                if key in self.escalation.blocked and channel.online:
                    orders += self._free(key, "its session is over")
                continue
            orders += self._judge(key, evse, channel, not over.isdisjoint(evse.place.path), at)
            self._tastes.look(channel, evse, at.mono_s)
            orders += self._waker.look(channel, evse, at.mono_s, quiet=self._tests(key, at.mono_s))
        return orders

    def _judge(self, key: EvseKey, evse: EvseState, channel: Channel, above: bool, at: Stamp) -> list[Order]:
        now = at.mono_s
        if self._spares(key, above, now):
            return []
        drawn_a, measured_mono_s = self._drawn(key, evse, now)
        if self._overdraw.look(channel, drawn_a, measured_mono_s, now):
            percent = 100.0 * channel.overdraw_part
            text = f"{key} lets its car draw {percent:.0f} % more than told - told that much less from now on; check its meter and its model file"
            return [Tell(Severity.INFO, str(key), text)]
        steps = self.escalation.look(channel, drawn_a, measured_mono_s, above, now)
        if steps is None:
            freed = self._free(key, "it follows its setpoint again") if key in self.escalation.blocked else []
            return freed or [Tell(Severity.INFO, str(key), f"{key} follows its setpoint again")]
        orders: list[Order] = []
        for step in steps:
            orders += self._step(key, channel, drawn_a or 0.0, step, now)
        return orders

    def _drawn(self, key: EvseKey, evse: EvseState, now: float) -> tuple[float | None, float]:
        """What it draws [A] and when that was measured: by its own word, else by the meter of a circuit it has to itself."""
        circuit = self._alone.get(key)
        if circuit is None or now - evse.measured_mono_s < SILENT_S:
            return evse.drawn_a, evse.measured_mono_s
        amps = self._metered(circuit)
        return (max(amps[phase] for phase in evse.place.phases), now) if amps is not None else (evse.drawn_a, evse.measured_mono_s)

    def _step(self, key: EvseKey, channel: Channel, drawn_a: float, step: Step, now: float) -> list[Order]:
        draws = f"{key} draws {drawn_a:.0f} A with a setpoint of {channel.known_a(now):.0f} A"
        if step is Step.RESENT:
            channel.resend = True
            return [Tell(Severity.WARNING, str(key), f"{draws} - sent again, its current is kept free for it")]
        if step is Step.PAUSED:
            return [Tell(Severity.WARNING, str(key), f"{draws} - told to pause")]
        if step is Step.BLOCKED:
            self.escalation.blocked.add(key)
            kept = Persist(0, remember={(SPACE, str(key)): {"blocked": True}})
            return [kept, SetAvailable(key, False), Tell(Severity.ALARM, str(key), f"{draws} - made unavailable")]
        return [Tell(Severity.ALARM, str(key), f"{draws} and obeys nothing - switch it off at its breaker and call service")]

    def _free(self, key: EvseKey, why: str) -> list[Order]:
        self.escalation.free(key)
        kept = Persist(0, remember={(SPACE, str(key)): None})
        return [kept, SetAvailable(key, True), Tell(Severity.INFO, str(key), f"{key} is available again: {why}")]

    def session_over(self, key: EvseKey) -> list[Order]:
        """Nothing of a session is carried into the next one."""
        self._overdraw.forget(key)
        self._waker.forget(key)
        self._tastes.forget(self._actuator.channels[key])
        self._told.pop(f"v2x {key}", None)
        return self._free(key, "its session is over") if self.escalation.forget(key) else []

    def recall(self, name: str, memory: Any) -> None:
        """The journal knows of an EVSE that was made unavailable and not freed before a restart."""
        key = next((key for key in self._layout.places if str(key) == name), None)
        if key is not None and isinstance(memory, Mapping):
            self.escalation.blocked.add(key)

    # -- events about control -----------------------------------------------------------------------------

    def tell(self, channel: Channel) -> list[Order]:
        """Say once when an EVSE is out of control, and once when it is back (F04, F05); likewise for the lesser troubles."""
        key, name = channel.place.key, str(channel.place.key)
        topic = f"control {key}"
        orders: list[Order] = []
        if channel.mis_stacks:
            text = f"{key} does not obey what it accepts ({channel.last_reason}) - another kind of profile is tried; check the charger model"
            orders += self._once(f"stack {key}", Severity.WARNING, name, text)
        else:
            self._told.pop(f"stack {key}", None)
        if channel.giving_refused:
            text = f"{key} refused a V2X setpoint ({channel.last_reason or 'no reason given'}) - it only charges until its session is over"
            orders += self._once(f"v2x {key}", Severity.WARNING, name, text)
        if channel.uncontrollable and channel.put_off:
            return orders  # it asked for time and gets it; its maximum is kept free meanwhile
        if channel.uncontrollable:
            amps = channel.place.config.max_current_a
            text = f"{key} takes no setpoints ({channel.last_reason or 'no reason given'}) - {amps:g} A kept free for it; check the charger model"
            return orders + self._once(topic, Severity.ALARM, name, text)
        if self._told.pop(topic, ""):
            orders.append(Tell(Severity.INFO, name, f"{key} takes setpoints again"))
        return orders

    def _once(self, topic: str, severity: Severity, subject: str, text: str) -> list[Order]:
        if topic in self._told:
            return []
        self._told[topic] = text
        return [Tell(severity, subject, text)]
