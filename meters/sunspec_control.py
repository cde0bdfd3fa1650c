"""SunSpec: commands for inverters (models 123, 704) and batteries (124, 704), and what they say of them.

Everything works on a ``Picture`` of the device: scale factors, ratings and which points exist are
read, never assumed. A ``Command`` is whole contiguous writes of writable points, in an order in
which a half-done command does no harm: the value before the switch that makes it count, in one
write where the registers touch. Commands end by themselves after their life where the device has
that timer (``Command.ends_itself``).

    reader = Reader(models, control_reads(models))
    picture = <poll>
    command = limit_production(picture, 3000.0, life_s=60.0)
    for write in command.writes: bus.write_registers(line, write.address, write.words)
    <poll>; confirmed(picture, command)

Powers are in W; charging is positive. Percentages are cut towards zero: never more than was asked.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise

from meters.reading import ReadingError
from meters.sunspec_models import Found, Picture, Point, encode, layout
from meters.sunspec_values import ac_power_w, battery_power_w, dc_production_w, soc_percent

INVERTER_WAYS = (704, 123)
BATTERY_WAYS = (124, 704)
COMMON = 1
CONTROL_MODELS = (120, 121, 702, 123, 124, 704, 802, 713, 714, 160, 101, 102, 103, 111, 112, 113, 701)

ABOVE_SHARE, ABOVE_W = 0.05, 100.0
"""A power this much over a limit (share of the rating, or W) shows that the limit is not in force (S2)."""

NO_LIMIT_PERCENT = 100.0
"""Inverters that idle with their switch on and 100 percent are held down by nobody."""

NO_SCALE = 0x8000
"""A scale factor the device does not have."""
ENABLED, DISABLED = 1, 0
WATTS_MODE, PERCENT_MODE = 1, 0
ROUNDED_PERCENT = 1.0
"""Some devices keep whole percents, up or down: a command in percent counts as taken when it is read back this near."""
_ROUNDED = ("WMaxLimPct", "InWRte", "OutWRte", "WSetPct")
CHARGE_BIT, DISCHARGE_BIT = 1, 2
PV_ONLY, FROM_GRID = 0, 1
LOCAL = 1


class ControlError(Exception):
    """The device cannot be commanded so. The text says why, and what a person can do."""


@dataclass(frozen=True, slots=True)
class Write:
    """One Modbus write of contiguous registers. optional: if the device refuses it, the command still stands."""

    address: int
    words: tuple[int, ...]
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Command:
    """What to write, in this order. expected: address -> word that must be read back. power_w: what it comes to after rounding.

    ends_itself: the device forgets it after its life. way: the model that carries it. near: address of a signed 16-bit value -> how much
    it may differ when it is read back: some devices round what they are told.
    """

    way: int
    writes: tuple[Write, ...]
    expected: Mapping[int, int]
    power_w: float | None
    ends_itself: bool
    near: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class InverterState:
    """What an inverter says of its limit.

    way: model for commands, 0 = none. enabled: its switch. limit_w: limit while enabled, of all that leaves it at the AC side. steering:
    enabled below 100 percent, and its power shows that it is obeyed (S2; so never at night). power_w: production as negative power, None at
    night (S3). rating_w: what 100 percent is. connected: None = not told.
    """

    way: int
    enabled: bool
    limit_w: float | None
    steering: bool
    power_w: float | None
    rating_w: float | None
    remaining_s: float | None = None
    connected: bool | None = None


@dataclass(frozen=True, slots=True)
class BatteryState:
    """What a battery says. command_w: setpoint while steering, None = free or only limited. low_w..high_w: powers its command allows.

    charge_max_w, discharge_max_w: most it can, >= 0. local: set to local control, it ignores commands. grid_charging: allowed by the device.
    """

    way: int
    steering: bool
    command_w: float | None
    power_w: float | None
    soc_percent: float | None
    charge_max_w: float | None
    discharge_max_w: float | None
    low_w: float | None = None
    high_w: float | None = None
    local: bool = False
    grid_charging: bool | None = None
    remaining_s: float | None = None


def commanded(models: Iterable[Found], nth: int = 1) -> tuple[Found, ...]:
    """The models of the nth device that can be commanded, where a list holds several (each begins with a model 1). Raises ReadingError."""
    devices: list[list[Found]] = []
    for model in models:
        if model.model_id == COMMON or not devices:
            devices.append([])
        devices[-1].append(model)
    fit = [device for device in devices if any(model.model_id in (*INVERTER_WAYS, *BATTERY_WAYS) and model.usable for model in device)]
    if nth > max(1, len(fit)):
        raise ReadingError("model missing", f"number {nth} of the devices with model 704, 123 or 124 is wanted, the list has {len(fit)}")
    return tuple(fit[nth - 1]) if len(fit) > 1 else tuple(model for device in devices for model in device)


def control_reads(models: Iterable[Found]) -> tuple[tuple[Found, int], ...]:
    """What a ``Reader`` must read before a command and to check it: (model, registers)."""
    seen: dict[int, Found] = {}
    for model in models:
        if model.usable and model.model_id in CONTROL_MODELS:
            seen.setdefault(model.model_id, model)
    return tuple((model, 123 if model.model_id == 701 else 0) for model in seen.values())


def confirmed(picture: Picture, command: Command) -> bool:
    """True if the device has taken the command: everything that counts is read back as written."""
    return all(_reads(picture.words.get(address), word, command.near.get(address, 0)) for address, word in command.expected.items())


def _reads(shown: int | None, word: int, near: int) -> bool:
    return shown is not None and (shown == word or (near > 0 and abs(_signed(shown) - _signed(word)) <= near))


def _signed(word: int) -> int:
    return word - 0x10000 if word >= 0x8000 else word


# -- inverters --------------------------------------------------------------------------------


def read_inverter(picture: Picture) -> InverterState:
    """What the inverter does, and which limit it says is in force."""
    model = _way(picture, INVERTER_WAYS, _limits_production)
    rating_w, power_w = _rating_w(picture, model.model_id if model else 704), ac_power_w(picture)
    if model is None:
        return InverterState(0, False, None, False, power_w, rating_w)
    names = _LIMIT_NAMES[model.model_id]
    enabled = picture.value(model, names["enable"]) == ENABLED
    percent = _limit_percent(picture, model)
    limit_w = percent / 100.0 * rating_w if enabled and percent is not None and rating_w is not None else None
    holds = percent is not None and percent < NO_LIMIT_PERCENT
    obeyed = holds and limit_w is not None and power_w is not None and -power_w <= limit_w + max(ABOVE_W, ABOVE_SHARE * (rating_w or 0.0))
    connected = None if model.model_id != 123 else _flag(picture.value(model, "Conn"))
    remaining_s = picture.value(model, "WMaxLimPctRvrtRem") if model.model_id == 704 else None
    return InverterState(model.model_id, enabled, limit_w, enabled and obeyed, power_w, rating_w, remaining_s, connected)


def limit_production(picture: Picture, watts: float, life_s: float, *, piecemeal: bool = False) -> Command:
    """Produce at most ``watts`` (>= 0) for ``life_s``. piecemeal: single points, for devices that refuse whole blocks. Raises ControlError."""
    model = _way_or_raise(picture, INVERTER_WAYS, _limits_production, "limit of its production (model 123 or 704)")
    rating_w = _rating_w(picture, model.model_id)
    if not rating_w:
        raise ControlError("the inverter does not tell its rated power (models 120, 121, 702), so a limit in percent cannot be worked out")
    percent = 100.0 * min(1.0, max(0.0, watts) / rating_w)
    return _limit_command(picture, model, percent, ENABLED, life_s, rating_w, piecemeal)


def release_inverter(picture: Picture, *, piecemeal: bool = False) -> Command:
    """Give the inverter free. Raises ControlError."""
    model = _way_or_raise(picture, INVERTER_WAYS, _limits_production, "limit of its production (model 123 or 704)")
    return _limit_command(picture, model, 100.0, DISABLED, 0.0, None, piecemeal)


_LIMIT_NAMES: Mapping[int, Mapping[str, str]] = {
    123: {"percent": "WMaxLimPct", "enable": "WMaxLim_Ena", "life": "WMaxLimPct_RvrtTms"},
    704: {"percent": "WMaxLimPct", "enable": "WMaxLimPctEna", "life": "WMaxLimPctRvrtTms"},
}


def _limits_production(picture: Picture, model: Found) -> bool:
    return _has(picture, model, _limit_point(model)) and _limit_exponent(picture, model) is not None


def _limit_percent(picture: Picture, model: Found) -> float | None:
    raw, exponent = picture.raw(model, _limit_point(model)), _limit_exponent(picture, model)
    return None if raw is None or exponent is None else raw * 10.0**exponent


def _limit_exponent(picture: Picture, model: Found) -> int | None:
    """The limit's scale. Where the device has none, whole percents, if what stands there may be that: a finer scale that it keeps to itself makes
    the limit lower than it was meant, never higher. A scale out of range, or one that could not be read, says nothing."""
    point = _limit_point(model)
    exponent = picture.exponent(model, point)
    if exponent is not None:
        return exponent
    raw, scale = picture.raw(model, point), picture.at(model, layout(model.model_id).points[point.scale])
    return 0 if scale == [NO_SCALE] and raw is not None and raw <= NO_LIMIT_PERCENT else None


def _limit_point(model: Found) -> Point:
    return layout(model.model_id).points[_LIMIT_NAMES[model.model_id]["percent"]]


def _limit_command(picture: Picture, model: Found, percent: float, enable: int, life_s: float, rating_w: float | None, piecemeal: bool) -> Command:
    names = _LIMIT_NAMES[model.model_id]
    plan = _Plan(picture, model)
    exponent = _limit_exponent(picture, model)
    plan.scaled(names["percent"], percent, exponent=exponent)
    taken = plan.number(names["percent"])
    if model.model_id == 123:
        plan.exact("WMaxLimPct_WinTms", 0, needed=False)
        plan.exact("WMaxLimPct_RmpTms", 0, needed=False)
    else:
        plan.scaled("WMaxLimPctRvrt", 100.0, needed=False, exponent=exponent)
        plan.exact("WMaxLimPctEnaRvrt", DISABLED, needed=False)
    ends_itself = plan.exact(names["life"], _life(life_s), needed=False)
    plan.exact(names["enable"], enable)
    power_w = None if rating_w is None else taken / 100.0 * rating_w
    expected = (names["percent"], names["enable"]) if enable else (names["enable"],)
    return plan.command(power_w, ends_itself and enable == ENABLED, expected, last=names["enable"], piecemeal=piecemeal)


_OLD_RATINGS, _NEW_RATINGS = ((121, "WMax"), (120, "WRtg")), ((702, "WMax"), (702, "WMaxRtg"))


def _rating_w(picture: Picture, way: int = 704) -> float | None:
    """What 100 percent is: the setting where there is one, else the nameplate, of the generation of models that carries the command."""
    for model_id, name in (*_NEW_RATINGS, *_OLD_RATINGS) if way == 704 else (*_OLD_RATINGS, *_NEW_RATINGS):
        value = picture.value(picture.first(model_id), name)
        if value:
            return value
    return None


# -- batteries --------------------------------------------------------------------------------


def read_battery(picture: Picture) -> BatteryState:
    """What the battery does, and which command it says is in force."""
    model = _way(picture, BATTERY_WAYS, _sets_battery)
    state = BatteryState(
        0 if model is None else model.model_id,
        False,
        None,
        battery_power_w(picture),
        soc_percent(picture),
        _most_w(picture, "charge"),
        _most_w(picture, "discharge"),
        local=picture.value(picture.first(802), "LocRemCtl") == LOCAL,
    )
    if model is None:
        return state
    return _read_rates(picture, model, state) if model.model_id == 124 else _read_setpoint(picture, model, state)


def set_battery(picture: Picture, watts: float, life_s: float, *, grid_charging: bool = True, piecemeal: bool = False) -> Command:
    """Charge (positive) or discharge (negative) with ``watts`` for ``life_s``. Raises ControlError.

    What the battery cannot do is cut to what it can. grid_charging: it may be charged from the grid.
    """
    model = _way_or_raise(picture, BATTERY_WAYS, _sets_battery, "battery setpoint (model 124 or 704)")
    if picture.value(picture.first(802), "LocRemCtl") == LOCAL:
        raise ControlError("the battery is set to local control and ignores commands; set it to remote at the device")
    watts = _within(watts, _most_w(picture, "charge"), _most_w(picture, "discharge"))
    command = (_rates if model.model_id == 124 else _setpoint)(picture, model, watts, life_s, piecemeal, grid_charging)
    return replace(command, writes=(*command.writes, *_heartbeat(picture)))


def release_battery(picture: Picture, *, grid_charging: bool | None = None, piecemeal: bool = False) -> Command:
    """Give the battery free. grid_charging: what the device's own setting shall be again, None = as it is. Raises ControlError."""
    model = _way_or_raise(picture, BATTERY_WAYS, _sets_battery, "battery setpoint (model 124 or 704)")
    plan = _Plan(picture, model)
    if model.model_id == 704:
        plan.exact("WSetEna", DISABLED)
        return plan.command(None, False, ("WSetEna",), last="WSetEna", piecemeal=piecemeal)
    plan.exact("StorCtl_Mod", 0)
    plan.scaled("OutWRte", 100.0)  # free as well for devices that heed the rates without the switch
    plan.scaled("InWRte", 100.0)
    if grid_charging is not None:
        plan.exact("ChaGriSet", FROM_GRID if grid_charging else PV_ONLY, needed=False)
    return plan.command(None, False, ("StorCtl_Mod",), first="StorCtl_Mod", piecemeal=piecemeal)


def _sets_battery(picture: Picture, model: Found) -> bool:
    if model.model_id == 124:
        return bool(picture.value(model, "WChaMax"))
    has_battery = picture.first(713, 802) is not None or bool(picture.value(picture.first(702), "WChaRteMaxRtg"))
    return has_battery and (_writable_blind(picture, model, "WSet") or _writable_blind(picture, model, "WSetPct"))


def _read_rates(picture: Picture, model: Found, state: BatteryState) -> BatteryState:
    """Model 124: one bit each makes the rates for charging and discharging count; a negative rate turns round (the range is elsewhere)."""
    mode = int(picture.value(model, "StorCtl_Mod") or 0)
    most_w = picture.value(model, "WChaMax")
    in_rate, out_rate = picture.value(model, "InWRte"), picture.value(model, "OutWRte")
    grid = _flag(picture.value(model, "ChaGriSet"))
    if most_w is None or in_rate is None or out_rate is None:
        return replace(state, steering=bool(mode & 3), grid_charging=grid)
    high_w = in_rate / 100.0 * most_w if mode & CHARGE_BIT else None
    low_w = -out_rate / 100.0 * most_w if mode & DISCHARGE_BIT else None
    exact = high_w is not None and low_w is not None and abs(high_w - low_w) <= 0.02 * most_w
    holds = (high_w is not None and high_w < 0.99 * most_w) or (low_w is not None and low_w > -0.99 * most_w)
    return replace(state, steering=holds, command_w=high_w if exact else None, low_w=low_w, high_w=high_w, grid_charging=grid)


def _read_setpoint(picture: Picture, model: Found, state: BatteryState) -> BatteryState:
    """Model 704: the setpoint is of the whole inverter, injection positive; what PV gives is not the battery's."""
    if picture.value(model, "WSetEna") != ENABLED:
        return state
    inject_w = picture.value(model, "WSet")
    if picture.value(model, "WSetMod") != WATTS_MODE:
        percent, rating_w = picture.value(model, "WSetPct"), _rating_w(picture)
        inject_w = None if percent is None or rating_w is None else percent / 100.0 * rating_w
    command_w = None if inject_w is None else (dc_production_w(picture) or 0.0) - inject_w
    remaining_s = picture.value(model, "WSetRvrtRem")
    return replace(state, steering=True, command_w=command_w, low_w=command_w, high_w=command_w, remaining_s=remaining_s)


def _rates(picture: Picture, model: Found, watts: float, life_s: float, piecemeal: bool, grid_charging: bool) -> Command:
    most_w = picture.value(model, "WChaMax")
    if not most_w:
        raise ControlError("the battery does not tell its most power (WChaMax in model 124), so a setpoint in percent cannot be worked out")
    percent = 100.0 * max(-1.0, min(1.0, watts / most_w))
    plan = _Plan(picture, model)
    plan.scaled("OutWRte", -percent)
    plan.scaled("InWRte", percent)
    taken = plan.number("InWRte")
    plan.exact("InOutWRte_WinTms", 0, needed=False)
    ends_itself = plan.exact("InOutWRte_RvrtTms", _life(life_s), needed=False)
    plan.exact("InOutWRte_RmpTms", 0, needed=False)
    source = FROM_GRID if grid_charging else PV_ONLY
    if watts > 0 and picture.value(model, "ChaGriSet") != source:  # devices keep it for good: written only to change it
        plan.exact("ChaGriSet", source, needed=False)
    plan.exact("StorCtl_Mod", CHARGE_BIT | DISCHARGE_BIT)
    expected = ("OutWRte", "InWRte", "StorCtl_Mod")
    return plan.command(taken / 100.0 * most_w, ends_itself, expected, last="StorCtl_Mod", piecemeal=piecemeal)


def _setpoint(picture: Picture, model: Found, watts: float, life_s: float, piecemeal: bool, grid_charging: bool) -> Command:
    produced_w = dc_production_w(picture) or 0.0
    if watts > 0 and not grid_charging:
        watts = min(watts, produced_w)
    inject_w = produced_w - watts
    plan = _Plan(picture, model)
    if _writable_blind(picture, model, "WSet"):
        plan.scaled("WSet", inject_w)
        plan.exact("WSetMod", WATTS_MODE, needed=False)
        plan.scaled("WSetRvrt", 0.0, needed=False)
        name, taken = "WSet", plan.number("WSet")
    else:
        rating_w = _rating_w(picture)
        if not rating_w:
            raise ControlError("the inverter does not tell its rated power (models 121, 702), so a setpoint in percent cannot be worked out")
        plan.scaled("WSetPct", 100.0 * max(-1.0, min(1.0, inject_w / rating_w)))
        plan.exact("WSetMod", PERCENT_MODE, needed=False)
        plan.scaled("WSetPctRvrt", 0.0, needed=False)
        name, taken = "WSetPct", plan.number("WSetPct") / 100.0 * rating_w
    plan.exact("WSetEnaRvrt", DISABLED, needed=False)
    ends_itself = plan.exact("WSetRvrtTms", _life(life_s), needed=False)
    plan.exact("WSetEna", ENABLED)
    return plan.command(produced_w - taken, ends_itself, (name, "WSetEna"), last="WSetEna", piecemeal=piecemeal)


def _heartbeat(picture: Picture) -> tuple[Write, ...]:
    """Model 802 may want to see that its controller lives: a number that rises."""
    model = picture.first(802)
    beat = picture.value(model, "CtrlHb")
    if model is None or beat is None:
        return ()
    return (Write(model.address + layout(802).points["CtrlHb"].offset, (int(beat + 1) % 0x7FFF,), optional=True),)


_MOST = {
    "charge": ((802, "WChaRteMax"), (702, "WChaRteMax"), (702, "WChaRteMaxRtg"), (120, "MaxChaRte"), (124, "WChaMax")),
    "discharge": ((802, "WDisChaRteMax"), (702, "WDisChaRteMax"), (702, "WDisChaRteMaxRtg"), (120, "MaxDisChaRte"), (124, "WChaMax")),
}


def _most_w(picture: Picture, way: str) -> float | None:
    """The least of all that the device says it can; a 0 there means nobody filled it in."""
    said = [picture.value(picture.first(model_id), name) for model_id, name in _MOST[way]]
    return min((value for value in said if value), default=None)


def _within(watts: float, charge_max_w: float | None, discharge_max_w: float | None) -> float:
    if watts >= 0:
        return watts if charge_max_w is None else min(watts, charge_max_w)
    return watts if discharge_max_w is None else max(watts, -discharge_max_w)


# -- writes -----------------------------------------------------------------------------------


@dataclass(slots=True)
class _Plan:
    """Collects points of one model and their new words, then makes writes of them."""

    picture: Picture
    model: Found
    words: dict[int, tuple[int, ...]] = field(default_factory=dict)
    names: dict[int, str] = field(default_factory=dict)
    numbers: dict[str, float] = field(default_factory=dict)
    near: dict[int, int] = field(default_factory=dict)

    def exact(self, name: str, number: float, needed: bool = True) -> bool:
        """Write this number, unscaled. A point the device does not have is left out; True if it has it. Raises ControlError if it is needed."""
        point = layout(self.model.model_id).points[name]
        if not point.writable or not _has(self.picture, self.model, point):
            if needed:
                raise ControlError(f"the device does not offer {name} of model {self.model.model_id}")
            return False
        try:
            self.words[point.offset] = encode(point.type, number)
        except ValueError as error:
            raise ControlError(f"{name} of model {self.model.model_id}: {error}") from error
        self.names[point.offset] = name
        return True

    def scaled(self, name: str, value: float, needed: bool = True, exponent: int | None = None) -> bool:
        """Write a value in its unit, cut towards zero to what its scale can say. exponent: that scale, None = the device's word."""
        point = layout(self.model.model_id).points[name]
        if exponent is None:
            exponent = self.picture.exponent(self.model, point) if point.scale else 0
        if exponent is None:
            if needed:
                raise ControlError(f"the device does not tell the scale factor of {name} in model {self.model.model_id}")
            return False
        raw = math.trunc(round(value / 10.0**exponent, 6))
        if not self.exact(name, raw, needed):
            return False
        self.numbers[name] = raw * 10.0**exponent
        if name in _ROUNDED:
            self.near[point.offset] = round(ROUNDED_PERCENT / 10.0**exponent)
        return True

    def number(self, name: str) -> float:
        """What was really written for a scaled point, in its unit."""
        return self.numbers[name]

    def command(
        self, power_w: float | None, ends_itself: bool, expected: tuple[str, ...], *, last: str = "", first: str = "", piecemeal: bool = False
    ) -> Command:
        """The writes: touching registers together, those with the switch ``last`` at the end, or ``first`` at the beginning, the rest optional."""
        points = layout(self.model.model_id).points
        runs = [[offset] for offset in self.words] if piecemeal else _runs(sorted(self.words), self.words)
        switch = points[last or first].offset
        runs.sort(key=lambda run: (switch in run) == bool(last))
        writes = tuple(
            Write(self.model.address + run[0], tuple(word for offset in run for word in self.words[offset]), optional=bool(first) and number > 0)
            for number, run in enumerate(runs)
        )
        keys = [points[name].offset for name in expected]
        read_back = {self.model.address + offset + step: word for offset in keys for step, word in enumerate(self.words[offset])}
        near = {self.model.address + offset: steps for offset, steps in self.near.items()}
        return Command(self.model.model_id, writes, read_back, power_w, ends_itself, near)


def _runs(offsets: list[int], words: Mapping[int, tuple[int, ...]]) -> list[list[int]]:
    runs = [[offset] for offset in offsets[:1]]
    for before, offset in pairwise(offsets):
        if offset == before + len(words[before]):
            runs[-1].append(offset)
        else:
            runs.append([offset])
    return runs


_Fits = Callable[[Picture, Found], bool]


def _way(picture: Picture, ways: tuple[int, ...], fits: _Fits) -> Found | None:
    for model_id in ways:
        model = picture.first(model_id)
        if model is not None and fits(picture, model):
            return model
    return None


def _way_or_raise(picture: Picture, ways: tuple[int, ...], fits: _Fits, what: str) -> Found:
    model = _way(picture, ways, fits)
    if model is None:
        raise ControlError(f"the device offers no {what}; check that control over Modbus is allowed in its settings")
    return model


def _has(picture: Picture, model: Found, point: Point) -> bool:
    """True if the device has this point: its words were read and do not mean not available."""
    return picture.raw(model, point) is not None


def _writable_blind(picture: Picture, model: Found, name: str) -> bool:
    point = layout(model.model_id).points[name]
    return point.writable and _has(picture, model, point) and (not point.scale or picture.exponent(model, point) is not None)


def _life(life_s: float) -> int:
    """Whole seconds, at least one for a command: 0 would mean for ever."""
    return math.ceil(life_s)


def _flag(value: float | None) -> bool | None:
    return None if value is None else value == 1
