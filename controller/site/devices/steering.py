"""What the site commands besides chargers: inverters, the battery, relays. From one picture of the moment to orders.

``look`` runs with every tick and with every reading of the grid meter. The laws say what each device should do (``battery``,
``sun``, ``relays``), a ``Line`` per device says it, sees that it is done and lets somebody else's command stand.
What a battery is told counts for cars before it is measured: ``kept_w``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from controller.config import BatteryConfig, Config
from controller.config_devices import InverterConfig, MqttControl, StageControl
from controller.facts import DeviceAnswered, DeviceRead, Restored, Stamp
from controller.orders import Order, RecordPoint, Severity, Tell
from controller.site.devices.battery import BatteryLaw, Held, Power, Setpoint
from controller.site.devices.line import FREE, REACTION_S, SPACE, Line, Numbers, Wish
from controller.site.devices.relays import Relay
from controller.site.devices.scene import Scene
from controller.site.devices.sun import TIGHT_PART, Cap, Steps, SunLaw, closed_in, least_w, shares, spare_of_w
from controller.snapshot import DeviceView

BATTERY: Final = "battery"
DEAD_PART: Final = 0.01
DEAD_W: Final = 100.0
"""Smaller changes of a setpoint wait for its renewal: the larger of this and a part of the rated power."""
STRAY_PART: Final = 0.05
STRAY_W: Final = 300.0
BACK_W_PER_S: Final = 1400.0
"""Room for a discharge that shall end is taken from cars no faster than this [W/s]: about 2 A per phase."""
FREE_SUN_S: Final = 1800.0
"""What inverters made before they were held down is what they could make, for so long [s]."""
RELAY_LIFE_S: Final = 60.0
KEPT_S: Final = 15.0
"""A discharge that a fuse hangs on outlasts the setpoints of the chargers by so much if we stop [s]."""


class Devices:
    """All devices of a site; most sites have none. Mutable; ``now`` is monotonic seconds."""

    def __init__(self, config: Config) -> None:
        self._config = config
        numbers = Numbers()
        self.inverters = {one.id: one for one in config.inverters}
        self.lines: dict[str, Line] = {}
        store = config.battery
        control = store.command if store is not None else None
        self._law = BatteryLaw(store, control) if store is not None and control is not None else None
        if store is not None and control is not None:
            rated_w = max(store.max_charge_w, store.max_discharge_w)
            insist = control.other_master == "insist"
            keeps_s = config.control.setpoint_life_s + KEPT_S
            tells = _tells(control.control)
            self.lines[BATTERY] = Line(BATTERY, "battery", control.life_s, rated_w, numbers, insist=insist, tells=tells, keeps_s=keeps_s)
        for inverter in config.inverters:
            if not isinstance(inverter.control, StageControl):
                tells, insist = _tells(inverter.control), inverter.other_master == "insist"
                self.lines[inverter.id] = Line(inverter.id, "inverter", inverter.life_s, inverter.max_power_w, numbers, insist=insist, tells=tells)
        self.relays = {one.id: Relay(one) for one in config.relays}
        self.lines |= {one.id: Line(one.id, "relay", RELAY_LIFE_S, 0.0, numbers, insist=True) for one in config.relays}
        self._sun, self._steps = SunLaw(), Steps()
        self._cap = Cap(None, "")
        self._setpoint: Setpoint | None = None
        self._ending_w = 0.0
        self._looked_mono_s = -math.inf
        self._free_sun: tuple[float, float] | None = None
        self._short_mono_s = math.inf
        self._short_told = False
        self._began_mono_s: float | None = None
        self._seen = not any(one.role == "grid" for one in config.meters)
        self._parts_w: dict[str, float | None] = {}
        self._last_parts_w: dict[str, float | None] = {}
        self._reasons: dict[str, str] = {}

    @property
    def any(self) -> bool:
        """Whether there is anything to command."""
        return bool(self.lines) or bool(self.inverters)

    # -- facts ---------------------------------------------------------------------------------------------

    def restored(self, fact: Restored) -> None:
        """What was commanded when the controller last stopped."""
        for (space, name), memory in fact.memories.items():
            if space == SPACE and name in self.lines:
                self.lines[name].recall(memory)

    def read(self, fact: DeviceRead) -> list[Order]:
        """A device says what it does."""
        line = self.lines.get(fact.device)
        return line.heard(_sane(fact)) if line is not None else []

    def answered(self, fact: DeviceAnswered) -> list[Order]:
        """A command was carried out, or not."""
        line = self.lines.get(fact.device)
        return line.answered(fact) if line is not None else []

    # -- what others ask --------------------------------------------------------------------------------------

    @property
    def export_spare_w(self) -> float:
        """What the battery keeps free below a bound of feeding in [W]: more than the inverters do, so that it takes before they are held down."""
        rated_w = sum(one.max_power_w for one in self.inverters.values())
        return spare_of_w(rated_w) + 2.0 * TIGHT_PART * rated_w

    @property
    def commands_battery(self) -> bool:
        """Whether there is a battery that can be commanded."""
        return self._law is not None

    def battery_obeys(self, now: float) -> bool:
        """Whether the battery does what we want of it."""
        line = self.lines.get(BATTERY)
        return self._law is not None and line is not None and line.obeys(now)

    def battery_w(self, metered_w: float | None, now: float) -> float | None:
        """What the battery carries now [W]: its meter's word, else its own."""
        line = self.lines.get(BATTERY)
        return metered_w if metered_w is not None or line is None else line.power_w(now)

    def soc_percent(self, metered: float | None) -> float | None:
        """Its state of charge likewise."""
        line = self.lines.get(BATTERY)
        return metered if metered is not None or line is None else line.soc_percent()

    def battery_power(self, store: BatteryConfig) -> Power:
        """What it can do now: the site file's bounds, or less if it says so."""
        line = self.lines.get(BATTERY)
        said = line.read if line is not None else None
        charge_w = store.max_charge_w if said is None or said.max_charge_w is None else min(store.max_charge_w, said.max_charge_w)
        discharge_w = store.max_discharge_w if said is None or said.max_discharge_w is None else min(store.max_discharge_w, said.max_discharge_w)
        return Power(charge_w, discharge_w)

    def kept_w(self, metered_w: float | None, now: float) -> float:
        """Room that cars must leave beside what is measured [W]: a rise of the battery that was commanded, and a discharge that shall end."""
        line = self.lines.get(BATTERY)
        if self._law is None or line is None or metered_w is None:
            return 0.0
        shown_w, told_w = line.bounds_w(metered_w, now)
        return max(0.0, told_w - shown_w, self._ending_w)

    def charging_w(self, metered_w: float | None, now: float) -> float:
        """What the battery's charging counts with where only controllable loads count [W]: what it draws or was told to."""
        line = self.lines.get(BATTERY)
        if line is None or metered_w is None:
            return max(0.0, metered_w or 0.0)
        return max(0.0, *line.bounds_w(metered_w, now))

    def can_curtail(self, now: float) -> bool:
        """Whether at least one inverter can be held down."""
        return any(self._obeys(one, now) for one in self.inverters.values())

    def holds_sun(self) -> bool:
        """Whether inverters are held down now: what is measured is not what the sun gives."""
        return self._sun.holds

    def free_sun_w(self, pv_w: float | None, now: float) -> float | None:
        """What PV makes or could make now [W] as far as known: while held down the last free measurement, for a while."""
        if not self._sun.binds:
            return pv_w
        if self._free_sun is None or now - self._free_sun[0] > FREE_SUN_S:
            return None
        return max(self._free_sun[1], pv_w or 0.0)

    def _obeys(self, inverter: InverterConfig, now: float) -> bool:
        if isinstance(inverter.control, StageControl):
            return all(self.lines[name].obeys(now) for stage in inverter.control.stages for name in stage.closed)
        return self.lines[inverter.id].obeys(now)

    # -- the laws ------------------------------------------------------------------------------------------------

    def look(self, scene: Scene) -> list[Order]:
        """Time has passed, or the grid meter was read."""
        if not self.any or self._waits(scene):
            return []
        orders = self._look_at_battery(scene)
        orders += self._look_at_sun(scene)
        staged = {name for one in self.inverters.values() if isinstance(one.control, StageControl) for s in one.control.stages for name in s.closed}
        for name, relay in self.relays.items():
            if name not in staged:
                wish, reason, urgent = relay.wish(scene)
                orders += self._tell(name, wish, reason, scene, urgent=urgent)
                orders += self.lines[name].look(scene.at.mono_s, False)
        self._looked_mono_s = scene.at.mono_s
        return orders

    def _waits(self, scene: Scene) -> bool:
        """Right after the start nothing is known yet: whoever was left alone so far is left alone for a few seconds more."""
        now = scene.at.mono_s
        self._began_mono_s = now if self._began_mono_s is None else self._began_mono_s
        self._seen = self._seen or scene.grid_w is not None
        return not self._seen and now - self._began_mono_s < self._config.control.meter_lost_s

    def _tell(self, name: str, wish: Wish, reason: str, scene: Scene, *, urgent: bool = False, dead_w: float = 0.0) -> list[Order]:
        self._reasons[name] = reason
        return self.lines[name].steer(wish, reason, scene.at.mono_s, urgent=urgent, dead_w=dead_w)

    def _look_at_battery(self, scene: Scene) -> list[Order]:
        line, store = self.lines.get(BATTERY), self._config.battery
        if self._law is None or line is None or store is None:
            return []
        now = scene.at.mono_s
        if scene.battery_w is None:
            self._law.forget()
            self._setpoint, self._ending_w = None, 0.0
            orders = self._tell(BATTERY, FREE, "nobody measures it: it is left to itself", scene)
            return orders + line.look(now, None)
        if line.yields(now):
            self._law.forget()
        line.learn(scene.battery_w, now)
        told_w = line.bounds_w(scene.battery_w, now)
        self._law.reacts_s = line.reacts_s
        held = Held.NOT if not self._sun.binds else Held.BOUND if self._cap_by_bound(scene) else Held.PLAN
        setpoint = self._setpoint = self._law.setpoint(scene, self.battery_power(store), told_w, held)
        self._ending(scene, setpoint, told_w[0])
        dead_w = 0.0 if setpoint.urgent else max(DEAD_W, DEAD_PART * line.rated_w)
        wish = Wish(setpoint.power_w, keeps=min(setpoint.power_w, scene.battery_w) < 0.0 and scene.headroom_w - scene.margin_w < -min(told_w))
        orders = self._tell(BATTERY, wish, setpoint.reason, scene, urgent=setpoint.urgent, dead_w=dead_w)
        strayed = line.strayed(scene.battery_w, max(STRAY_W, STRAY_PART * line.rated_w), now)
        return orders + line.look(now, strayed)

    def _ending(self, scene: Scene, setpoint: Setpoint, shown_w: float) -> None:
        """Cars leave room for a discharge that shall end, little by little, before it ends."""
        line = self.lines[BATTERY]
        to_w = 0.0 if line.strays else min(0.0, setpoint.wanted_w)
        wanted_w = max(0.0, to_w - min(0.0, shown_w)) if line.strays or self.battery_obeys(scene.at.mono_s) else 0.0
        step_w = BACK_W_PER_S * min(5.0, max(0.0, scene.at.mono_s - self._looked_mono_s))
        self._ending_w = min(wanted_w, self._ending_w + step_w)

    def _cap_by_bound(self, scene: Scene) -> bool:
        """Whether PV is held down because too much would be fed in, and not because the plan throws it away."""
        return any(self._cap.reason.startswith(why) for _, why in scene.exports)

    # -- inverters -------------------------------------------------------------------------------------------------

    def _look_at_sun(self, scene: Scene) -> list[Order]:
        if not self.inverters:
            return []
        now = scene.at.mono_s
        obeying = [one for one in self.inverters.values() if self._obeys(one, now)]
        rated_w = sum(one.max_power_w for one in obeying)
        made_w = self._made_w(obeying, scene)
        told_w = self._told_w(obeying, made_w, now)
        if not self._sun.binds and scene.pv_w is not None:
            self._free_sun = (now, scene.pv_w)
        less_w = 0.0
        if self._setpoint is not None and scene.battery_w is not None and self.battery_obeys(now):
            less_w = min(0.0, self._setpoint.power_w - scene.battery_w)
        self._cap = self._sun.cap(scene, made_w, told_w, rated_w, least_w(obeying), less_w)
        orders = self._short(scene, rated_w)
        self._last_parts_w, self._parts_w = self._parts_w, shares(self._cap.power_w, obeying)
        for inverter in self.inverters.values():
            wanted_w = self._parts_w[inverter.id] if inverter.id in self._parts_w else self._alone_w(inverter, rated_w)
            orders += self._steer_inverter(inverter, wanted_w, scene)
        return orders

    def _alone_w(self, inverter: InverterConfig, rated_w: float) -> float | None:
        """What one that does not obey is asked for all the same: the part it would have."""
        if self._cap.power_w is None:
            return None
        if rated_w <= 0.0:
            line = self.lines.get(inverter.id)
            return line.wanted.power_w if line is not None else self._last_parts_w.get(inverter.id)
        whole_w = rated_w + inverter.max_power_w
        return max(inverter.min_percent / 100.0, min(1.0, self._cap.power_w / whole_w)) * inverter.max_power_w

    def _steer_inverter(self, inverter: InverterConfig, wanted_w: float | None, scene: Scene) -> list[Order]:
        now = scene.at.mono_s
        reason = self._cap.reason if wanted_w is not None else ""
        if isinstance(inverter.control, StageControl):
            step = self._steps.settle(inverter, wanted_w, now)
            self._reasons[inverter.id] = reason
            orders: list[Order] = []
            for name, closed in closed_in(step, inverter.control).items():
                orders += self._tell(name, Wish(closed=closed), f"{inverter.id}: {step.percent:g} %", scene, urgent=self._cap.urgent)
                orders += self.lines[name].look(now, False)
            return orders
        line = self.lines[inverter.id]
        dead_w = 0.0 if self._cap.urgent else max(DEAD_W, DEAD_PART * inverter.max_power_w)
        orders = self._tell(inverter.id, Wish(wanted_w), reason, scene, urgent=self._cap.urgent, dead_w=dead_w)
        made_w, told_w = self._produced_w(inverter, scene), line.commanded_w
        strayed: bool | None = None
        if made_w is not None:
            line.learn(made_w, now)
        if now - line.moved_mono_s > line.reacts_s and told_w is not None and made_w is not None:
            strayed = made_w > told_w + max(STRAY_W, STRAY_PART * inverter.max_power_w)
        return orders + line.look(now, strayed)

    def _produced_w(self, inverter: InverterConfig, scene: Scene) -> float | None:
        """What one makes [W], >= 0: its meter's word, else its own."""
        metered_w = scene.inverters_w.get(inverter.id)
        if metered_w is not None:
            return max(0.0, metered_w)
        line = self.lines.get(inverter.id)
        said_w = line.power_w(scene.at.mono_s) if line is not None else None
        return None if said_w is None else max(0.0, said_w)

    def _made_w(self, inverters: Iterable[InverterConfig], scene: Scene) -> float:
        """What these make together; whoever does not say has its part of what PV meters show, else all it can."""
        found = list(inverters)
        said = {one.id: self._produced_w(one, scene) for one in found}
        silent = [one for one in found if said[one.id] is None]
        total_w = sum(watts for watts in said.values() if watts is not None)
        if not silent:
            return total_w
        silent_rated_w = sum(one.max_power_w for one in silent)
        if scene.pv_w is None:
            return total_w + silent_rated_w
        whole_w = sum(one.max_power_w for one in self.inverters.values())
        return total_w + min(silent_rated_w, scene.pv_w * silent_rated_w / whole_w)

    def _told_w(self, inverters: Iterable[InverterConfig], made_w: float, now: float) -> float:
        """What they may be making by commands that are on their way."""
        lines = [line for one in inverters if (line := self.lines.get(one.id)) is not None]
        commanded_w = sum(line.rated_w if line.commanded_w is None else line.commanded_w for line in lines)
        if any(now - line.moved_mono_s <= line.reacts_s and line.commanded_w is not None for line in lines):
            return commanded_w
        return commanded_w if _stepping(lines, made_w, now) else made_w

    def _short(self, scene: Scene, rated_w: float) -> list[Order]:
        """Nobody can keep the bound: said once, when it has lasted longer than any device needs to follow."""
        bound, now = scene.export, scene.at.mono_s
        over = bound is not None and scene.grid_w is not None and -scene.grid_w > bound[0] + STRAY_W
        short = over and (rated_w <= 0 or self._cap.short)
        self._short_mono_s = min(self._short_mono_s, now) if short else math.inf
        lasts = now - self._short_mono_s >= REACTION_S
        told, self._short_told = self._short_told, short and (lasts or self._short_told)
        if not lasts or told or bound is None:
            return []
        text = (
            f"{bound[1]}: no more than {bound[0]:.0f} W may be fed in, and no inverter can be held down further - battery and cars take what they "
            "can; look at the inverters"
        )
        return [Tell(Severity.ALARM, "site", text)]

    # -- for people ---------------------------------------------------------------------------------------------------

    def views(self, battery_w: float | None, now: float) -> tuple[DeviceView, ...]:
        """The devices for page and API."""
        return tuple(self._view(name, battery_w, now) for name in (*self.lines, *(one for one in self.inverters if one not in self.lines)))

    def _view(self, name: str, battery_w: float | None, now: float) -> DeviceView:
        line = self.lines.get(name)
        if line is None:
            return self._staged_view(self.inverters[name], now)
        read = line.read
        power_w = battery_w if name == BATTERY and battery_w is not None else line.power_w(now)
        return DeviceView(
            id=name,
            kind=line.kind,
            state=line.state(now),
            power_w=power_w,
            wanted_w=line.wanted.power_w,
            command_w=read.command_w if read is not None and read.command_w is not None else line.commanded_w,
            closed=read.closed if read is not None and read.closed is not None else line.wanted.closed,
            reason=self._reasons.get(name, ""),
            trouble=line.trouble,
        )

    def _staged_view(self, inverter: InverterConfig, now: float) -> DeviceView:
        assert isinstance(inverter.control, StageControl)
        wanted_w = self._parts_w.get(inverter.id)
        lines = [self.lines[name] for name in closed_in(inverter.control.stages[0], inverter.control)]
        states = {line.state(now) for line in lines}
        state = next((word for word in ("silent", "refused", "commanded") if word in states), "free" if wanted_w is None else "confirmed")
        trouble = next((line.trouble for line in lines if line.trouble), "")
        return DeviceView(inverter.id, "inverter", state, None, wanted_w, wanted_w, None, self._reasons.get(inverter.id, ""), trouble)

    def points(self, battery_w: float | None, at: Stamp) -> Iterable[Order]:
        """Points of history."""
        for view in self.views(battery_w, at.mono_s):
            values = {"power_w": view.power_w, "wanted_w": view.wanted_w, "command_w": view.command_w}
            fields = {name: float(value) for name, value in values.items() if value is not None}
            fields |= {"closed": float(view.closed)} if view.closed is not None else {}
            if fields:
                yield RecordPoint("device", {"device": view.id}, fields, at.wall_s)


def _tells(control: object) -> bool:
    """Whether the device says by itself what it does."""
    return not isinstance(control, MqttControl) or control.state_topic is not None


def _sane(fact: DeviceRead) -> DeviceRead:
    """Numbers that are none count as not told."""
    return replace(
        fact,
        power_w=_number(fact.power_w),
        command_w=_number(fact.command_w),
        max_charge_w=_number(fact.max_charge_w, 0.0),
        max_discharge_w=_number(fact.max_discharge_w, 0.0),
        soc_percent=_number(fact.soc_percent),
    )


def _number(value: float | None, least: float = -math.inf) -> float | None:
    return None if value is None or not math.isfinite(value) else max(least, value)


def _stepping(lines: Iterable[Line], made_w: float, now: float) -> bool:
    """Whether inverters that make what they may were told a little more or less a moment ago: what they show is older than what the grid's
    meter shows, and taken at its word it would have them led up and down each second. Who makes less than it may does not follow a cap."""
    lately = [(line.rated_w, told) for line in lines if line.commanded_w is not None and (told := line.lately_w(now))]
    held_w = sum(min(told) - TIGHT_PART * rated_w for rated_w, told in lately)
    return made_w >= held_w and any(max(told) > min(told) for _, told in lately)
