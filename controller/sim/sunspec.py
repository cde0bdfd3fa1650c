"""A simulated hybrid site device that speaks SunSpec and obeys: PV inverter, battery and grid meter behind one port.

Three dresses of the same physics: ``int`` (103, 123, 160, 124, 203 with scale factors), ``float``
(113, 213 and the same controls) and ``der`` (701-704, 713, 714, 802). Commands are checked as a
careful device does (whole points, writable, in range; refused with exceptions 2 and 3), followed
with a ramp, and forgotten when their reversion time is over. Powers here are as everywhere: charging
positive; ``pv_w`` is what the sun would give, >= 0.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusTcpServer
from pymodbus.server.requesthandler import ServerRequestHandler
from pymodbus.simulator import DataType, SimData, SimDevice

from controller.sim.car import VOLTAGE_V
from meters.sunspec_image import Image
from meters.sunspec_models import Found, Picture, Point, decode, layout

logging.getLogger("pymodbus.logging").setLevel(logging.CRITICAL)  # every client that hangs up is an error to it

Dress = Literal["int", "float", "der"]
FREQUENCY_HZ = 50.0
RAMP_S = 2.0
"""Time from nothing to full power, unless a command says another."""
FULL, EMPTY = 100.0, 0.0


@dataclass(slots=True)
class Plant:
    """The physical side. All powers in W, charging positive, pv_w >= 0 is what the sun would give.

    rating_w: of the inverter. most_w: of the battery, both ways. own_w: what the battery does when nobody commands it. other_w: load at the site
    besides. import_wh, export_wh: of the grid meter.
    """

    rating_w: float = 10_000.0
    most_w: float = 5_000.0
    capacity_wh: float = 10_000.0
    soc_percent: float = 50.0
    pv_w: float = 6_000.0
    own_w: float = 0.0
    other_w: float = 1_000.0
    produced_w: float = 0.0
    battery_w: float = 0.0
    import_wh: float = 1_000_000.0
    export_wh: float = 500_000.0
    produced_wh: float = 2_000_000.0

    @property
    def grid_w(self) -> float:
        """At the grid meter, import positive."""
        return self.other_w - self.produced_w + self.battery_w

    def step(self, seconds: float, limit_w: float | None, setpoint: Callable[[float], float], ramp_s: float) -> None:
        """Time passes; setpoint: from what the battery would like to what it may."""
        most_w = self.rating_w if limit_w is None else min(self.rating_w, limit_w)  # at the AC side, so the battery's share goes with it
        goal_w = min(self.pv_w, max(0.0, most_w + self.battery_w))
        reach_w = self.rating_w * seconds / ramp_s if ramp_s > 0 else self.rating_w
        self.produced_w = _towards(self.produced_w, goal_w, reach_w)
        wish_w = max(-self.most_w, min(self.most_w, setpoint(self.own_w)))
        if (wish_w > 0 and self.soc_percent >= FULL) or (wish_w < 0 and self.soc_percent <= EMPTY):
            wish_w = 0.0
        wish_w = max(wish_w, min(0.0, self.produced_w - most_w))
        self.battery_w = _towards(self.battery_w, wish_w, self.most_w * seconds / RAMP_S)
        self._count(seconds / 3600.0)

    def _count(self, hours: float) -> None:
        gained = 100.0 * self.battery_w * hours / self.capacity_wh
        self.soc_percent = max(EMPTY, min(FULL, self.soc_percent + gained))
        self.import_wh += max(0.0, self.grid_w) * hours
        self.export_wh += max(0.0, -self.grid_w) * hours
        self.produced_wh += self.produced_w * hours


@dataclass(slots=True)
class Timer:
    """One reversion timer. fires_s: None = not running."""

    fires_s: float | None = None

    def begin(self, now_s: float, life_s: float | None) -> None:
        """Run for ``life_s``; nothing or 0 means for ever."""
        self.fires_s = now_s + life_s if life_s else None

    def due(self, now_s: float) -> bool:
        """True once, when it is over."""
        if self.fires_s is None or now_s < self.fires_s:
            return False
        self.fires_s = None
        return True

    def left_s(self, now_s: float) -> float:
        """What is left."""
        return 0.0 if self.fires_s is None else max(0.0, self.fires_s - now_s)


class SimHybrid:
    """The device behind the registers. now_s: its clock, monotonic seconds; tests give a virtual one.

    deaf: takes commands and does not follow (S2). stubborn: points another master writes again and again, (model, point) -> value.
    """

    def __init__(self, dress: Dress = "int", now_s: Callable[[], float] | None = None, plant: Plant | None = None, *, base: int = 40000) -> None:
        self.plant = plant or Plant()
        self.deaf = False
        self.night = False
        self.stubborn: dict[tuple[int, str], float] = {}
        self.base = base
        self.writes = 0
        self._now_s = now_s or (lambda: asyncio.get_running_loop().time())
        self._last_s: float | None = None
        self._limit_timer, self._battery_timer = Timer(), Timer()
        self.wear(dress)

    def wear(self, dress: Dress) -> None:
        """Show these models from now on, all commands gone: what a switch in a web page does (S8)."""
        self.dress: Dress = dress
        self.image = Image(self.base)
        self.models = {model.model_id: model for model in _build(self.image, dress, self.plant)}
        self._limit_timer.fires_s = self._battery_timer.fires_s = None
        self._show(0.0)

    # -- what is in force -----------------------------------------------------------------------

    def value(self, model_id: int, name: str) -> float | None:
        """A point as a client would read it now."""
        return Picture(tuple(self.image.models), self.image.words).value(self.models.get(model_id), name)

    @property
    def limit_w(self) -> float | None:
        """Limit of production in force, None = free."""
        model_id, enable = (704, "WMaxLimPctEna") if self.dress == "der" else (123, "WMaxLim_Ena")
        percent = self.value(model_id, "WMaxLimPct")
        if self.deaf or self.value(model_id, enable) != 1 or percent is None:
            return None
        return percent / 100.0 * self.plant.rating_w

    def may_w(self, wish_w: float) -> float:
        """What the battery may do when it would like to do ``wish_w``."""
        if self.deaf:
            return wish_w
        if self.dress == "der":
            inject_w = self.value(704, "WSet") if self.value(704, "WSetMod") == 1 else None
            percent = self.value(704, "WSetPct")
            if inject_w is None and percent is not None:
                inject_w = percent / 100.0 * self.plant.rating_w
            return wish_w if self.value(704, "WSetEna") != 1 or inject_w is None else self.plant.produced_w - inject_w
        mode = int(self.value(124, "StorCtl_Mod") or 0)
        high = (self.value(124, "InWRte") or 0.0) / 100.0 * self.plant.most_w if mode & 1 else self.plant.most_w
        low = -(self.value(124, "OutWRte") or 0.0) / 100.0 * self.plant.most_w if mode & 2 else -self.plant.most_w
        return max(low, min(high, wish_w))

    def advance(self) -> None:
        """Let time pass up to now."""
        now_s = self._now_s()
        seconds = 0.0 if self._last_s is None else max(0.0, now_s - self._last_s)
        self._last_s = now_s
        for (model_id, name), value in self.stubborn.items():
            self.image.put(self.models[model_id], name, value)
        self._revert(now_s)
        ramp_s = RAMP_S if self.dress == "der" else (self.value(123, "WMaxLimPct_RmpTms") or RAMP_S)
        self.plant.step(seconds, self.limit_w, self.may_w, ramp_s)
        self._show(now_s)

    def _revert(self, now_s: float) -> None:
        if self._limit_timer.due(now_s):
            if self.dress == "der":
                self._copy(704, {"WMaxLimPctEna": "WMaxLimPctEnaRvrt", "WMaxLimPct": "WMaxLimPctRvrt"})
            else:
                self.image.put(self.models[123], "WMaxLim_Ena", 0)
        if self._battery_timer.due(now_s):
            if self.dress == "der":
                self._copy(704, {"WSetEna": "WSetEnaRvrt", "WSet": "WSetRvrt"})
            else:
                self.image.put(self.models[124], "StorCtl_Mod", 0)

    def _copy(self, model_id: int, names: Mapping[str, str]) -> None:
        for name, source in names.items():
            self.image.put(self.models[model_id], name, self.value(model_id, source))

    # -- writes ---------------------------------------------------------------------------------

    def write(self, address: int, words: list[int]) -> ExcCodes | None:
        """One Modbus write: taken whole, or refused whole."""
        points = self._points(address, len(words))
        if points is None:
            return ExcCodes.ILLEGAL_ADDRESS
        for model, point in points:
            start = model.address + point.offset - address
            raw = decode(point.type, words[start : start + point.size])
            if not _in_range(point, raw, self._scale(model, point)):
                return ExcCodes.ILLEGAL_VALUE
        self.image.words.update(enumerate(words, address))
        self.writes += 1
        self._start_timers({point.name for _, point in points})
        return None

    def _points(self, address: int, count: int) -> list[tuple[Found, Point]] | None:
        """The points a write covers: all writable, all present, none in part; else None."""
        model = next((model for model in self.models.values() if model.address <= address and address + count <= model.end), None)
        if model is None:
            return None
        offset, end, points = address - model.address, address - model.address + count, layout(model.model_id).points.values()
        covered = [point for point in points if point.offset < end and offset < point.offset + point.size]
        whole = all(offset <= point.offset and point.offset + point.size <= end for point in covered)
        picture = Picture(tuple(self.image.models), self.image.words)
        usable = all(point.writable and picture.raw(model, point) is not None for point in covered)
        return [(model, point) for point in covered] if whole and usable else None

    def _scale(self, model: Found, point: Point) -> float:
        exponent = Picture(tuple(self.image.models), self.image.words).exponent(model, point) if point.scale else 0
        return 10.0 ** (exponent or 0)

    def _start_timers(self, names: set[str]) -> None:
        """A command that is written while its function is on runs its full time again."""
        now_s = self._now_s()
        if any(name.startswith("WMaxLim") for name in names):
            der = self.dress == "der"
            on = self.value(704, "WMaxLimPctEna") if der else self.value(123, "WMaxLim_Ena")
            life_s = self.value(704, "WMaxLimPctRvrtTms") if der else self.value(123, "WMaxLimPct_RvrtTms")
            self._limit_timer.begin(now_s, life_s if on == 1 else None)
        if any(name.startswith(("WSet", "InOutWRte", "InWRte", "OutWRte", "StorCtl")) for name in names):
            der = self.dress == "der"
            on = self.value(704, "WSetEna") if der else self.value(124, "StorCtl_Mod")
            life_s = self.value(704, "WSetRvrtTms") if der else self.value(124, "InOutWRte_RvrtTms")
            self._battery_timer.begin(now_s, life_s if on else None)

    # -- reads ----------------------------------------------------------------------------------

    def _show(self, now_s: float) -> None:
        plant, put = self.plant, self.image.fill
        ac_w = plant.produced_w - plant.battery_w
        if self.dress == "der":
            put(self.models[701], **_der_values(plant, ac_w, self.night))
            put(self.models[713], SoC=plant.soc_percent, WHAvail=plant.capacity_wh * plant.soc_percent / 100.0)
            put(self.models[802], SoC=plant.soc_percent, W=-plant.battery_w, ChaSt=_charge_state(plant.battery_w))
            self.image.put(self.models[714], "DCW", None if self.night else plant.produced_w, 0)
            self.image.put(self.models[714], "DCW", -plant.battery_w, 1)
            put(self.models[704], WMaxLimPctRvrtRem=self._limit_timer.left_s(now_s), WSetRvrtRem=self._battery_timer.left_s(now_s))
        else:
            put(self.models[113 if self.dress == "float" else 103], **_inverter_values(plant, ac_w, self.night))
            put(self.models[124], ChaState=plant.soc_percent, ChaSt=_charge_state(plant.battery_w))
            powers = (plant.produced_w / 2, plant.produced_w / 2, max(0.0, plant.battery_w), max(0.0, -plant.battery_w))
            for group, power_w in enumerate(powers):
                self.image.put(self.models[160], "DCW", None if self.night and group < 2 else power_w, group)
        put(self.models[213 if self.dress == "float" else 203], **_meter_values(plant))


class SimSunSpec:
    """A ``SimHybrid`` on a TCP port, unit 1. one_client: hangs up on a second client, as many real devices do."""

    def __init__(self, device: SimHybrid, *, one_client: bool = False, unreadable: frozenset[int] = frozenset()) -> None:
        self.device = device
        self.port = 0
        self.silent = False
        self.unreadable = unreadable
        self._one_client = one_client
        self._server: ModbusTcpServer | None = None

    async def start(self, port: int = 0) -> None:
        """Listen on the loopback interface; 0 picks a free port."""
        kind = OneClientServer if self._one_client else ModbusTcpServer
        memory = SimData(0, count=65_535, values=0, datatype=DataType.REGISTERS)
        self._server = kind(SimDevice(id=1, simdata=[memory], action=self._serve), address=("127.0.0.1", port))
        await self._server.serve_forever(background=True)
        transport = self._server.transport
        assert isinstance(transport, asyncio.Server)
        self.port = int(transport.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Close the port and every connection."""
        if self._server is not None:
            await self._server.shutdown()  # type: ignore[no-untyped-call]
            self._server = None

    async def _serve(
        self, function: int, start: int, address: int, count: int, registers: list[int], values: list[int] | list[bool] | None
    ) -> ExcCodes | None:
        if self.silent:
            return ExcCodes.DEVICE_BUSY
        words, asked = self.device.image.words, range(address, address + count)
        if any(at in self.unreadable or at not in words for at in asked):
            return ExcCodes.ILLEGAL_ADDRESS
        self.device.advance()
        if values is not None and function in (6, 16):
            return self.device.write(address, [int(value) for value in values])
        for at in asked:
            registers[at - start] = self.device.image.words[at]
        return None


class OneClientServer(ModbusTcpServer):
    """Serves the first client until it goes; others are hung up on at once."""

    def callback_new_connection(self) -> Any:
        """A handler for a new client."""
        if any(client.is_active() for client in self.active_connections.values()):
            return _Door(self, self.trace_packet, self.trace_pdu, self.trace_connect)  # type: ignore[no-untyped-call]
        return super().callback_new_connection()  # type: ignore[no-untyped-call]


class _Door(ServerRequestHandler):
    """Hangs up as soon as there is somebody."""

    def callback_connected(self) -> None:
        """Called with the connection."""
        super().callback_connected()
        self.loop.call_soon(self.close)


# -- registers --------------------------------------------------------------------------------


def _build(image: Image, dress: Dress, plant: Plant) -> list[Found]:
    common = image.add(1)
    for name, text in (("Mn", "Yardmaster"), ("Md", "Simulated hybrid"), ("Vr", "1"), ("SN", "SIM-1")):
        image.text(common, name, text)
    models = _build_der(image, plant) if dress == "der" else _build_old(image, plant, dress)
    watts = _scale_of(plant)
    meter = image.add(213 if dress == "float" else 203)
    if dress != "float":
        image.fill(meter, A_SF=watts - 2, V_SF=-1, Hz_SF=-2, W_SF=watts, TotWh_SF=0)
    image.close()
    return [common, *models, meter]


def _build_old(image: Image, plant: Plant, dress: Dress) -> list[Found]:
    watts = _scale_of(plant)
    inverter, rating, settings, status = (image.add(number) for number in (113 if dress == "float" else 103, 120, 121, 122))
    if dress != "float":
        image.fill(inverter, A_SF=watts - 2, V_SF=-1, W_SF=watts, Hz_SF=-2, WH_SF=0)
    image.fill(rating, WRtg_SF=watts, WRtg=plant.rating_w, DERTyp=82, WHRtg_SF=watts + 1, WHRtg=plant.capacity_wh)
    image.fill(rating, MaxChaRte_SF=watts, MaxChaRte=plant.most_w, MaxDisChaRte_SF=watts, MaxDisChaRte=plant.most_w)
    image.fill(settings, WMax_SF=watts, WMax=plant.rating_w)
    image.fill(status, PVConn=7, StorConn=7, ECPConn=1)
    controls, mppt, storage = image.add(123), image.add(160, groups=4), image.add(124)
    image.fill(controls, WMaxLimPct_SF=-2, WMaxLimPct=100, WMaxLim_Ena=0, Conn=1)
    image.fill(controls, WMaxLimPct_WinTms=0, WMaxLimPct_RvrtTms=0, WMaxLimPct_RmpTms=0)
    image.fill(mppt, DCW_SF=watts, DCA_SF=-2, DCV_SF=-1, N=4)
    for group, name in enumerate(("MPPT 1", "MPPT 2", "StCha 3", "StDisCha 4")):
        image.put(mppt, "ID", group + 1, group)
        image.text(mppt, "IDStr", name, group)
    image.fill(storage, WChaMax_SF=watts, WChaMax=plant.most_w, StorCtl_Mod=0, ChaState_SF=-2, InOutWRte_SF=-2, OutWRte=100, InWRte=100)
    image.fill(storage, InOutWRte_WinTms=0, InOutWRte_RvrtTms=0, InOutWRte_RmpTms=0, ChaGriSet=0)
    return [inverter, rating, settings, status, controls, mppt, storage]


def _build_der(image: Image, plant: Plant) -> list[Found]:
    watts = _scale_of(plant)
    measures, capacity, service, controls, storage = (image.add(number) for number in (701, 702, 703, 704, 713))
    ports, bank = image.add(714, groups=2), image.add(802)
    image.fill(measures, A_SF=watts - 1, V_SF=-1, Hz_SF=-2, W_SF=watts, TotWh_SF=0, ACType=2, St=1, ConnSt=1)
    image.fill(capacity, W_SF=watts, WMaxRtg=plant.rating_w, WMax=plant.rating_w, WChaRteMaxRtg=plant.most_w, WDisChaRteMaxRtg=plant.most_w)
    image.fill(service, ES=1)
    image.fill(controls, WMaxLimPct_SF=-1, WMaxLimPctEna=0, WMaxLimPct=100, WMaxLimPctRvrt=100, WMaxLimPctEnaRvrt=0)
    image.fill(controls, WMaxLimPctRvrtTms=0, WMaxLimPctRvrtRem=0, WSet_SF=watts, WSetEna=0, WSetMod=1, WSet=0, WSetRvrt=0)
    image.fill(controls, WSetPct_SF=-1, WSetPct=0, WSetPctRvrt=0, WSetEnaRvrt=0, WSetRvrtTms=0, WSetRvrtRem=0)
    image.fill(storage, WH_SF=watts + 1, Pct_SF=-1, WHRtg=plant.capacity_wh, Sta=0)
    image.fill(ports, DCW_SF=watts, NPrt=2)
    image.put(ports, "PrtTyp", 0, 0)
    image.put(ports, "PrtTyp", 1, 1)
    image.fill(bank, WHRtg_SF=watts + 1, WHRtg=plant.capacity_wh, WChaDisChaMax_SF=watts, WChaRteMax=plant.most_w, WDisChaRteMax=plant.most_w)
    image.fill(bank, SoC_SF=-1, W_SF=watts, LocRemCtl=0, CtrlHb=0, Hb=0, State=3)
    return [measures, capacity, service, controls, storage, ports, bank]


def _scale_of(plant: Plant) -> int:
    """The power of ten that lets the largest power of the plant fit into 16 bits with a sign: a large device shows tens of watts, as real ones do."""
    most_w = max(plant.rating_w, plant.most_w, abs(plant.other_w) + plant.rating_w + plant.most_w)
    return max(0, math.ceil(math.log10(most_w / 32_767.0)))


def _inverter_values(plant: Plant, ac_w: float, night: bool) -> dict[str, float | None]:
    state = 2 if night else 5 if plant.produced_w < min(plant.pv_w, plant.rating_w) - 1 else 4
    if night:
        return dict.fromkeys(("W", "A", "AphA", "AphB", "AphC", "Hz", "PhVphA", "PhVphB", "PhVphC")) | {"WH": plant.produced_wh, "St": state}
    amps = abs(ac_w) / 3 / VOLTAGE_V
    values: dict[str, float | None] = {"W": ac_w, "A": 3 * amps, "Hz": FREQUENCY_HZ, "WH": plant.produced_wh, "St": state}
    return values | dict.fromkeys(("AphA", "AphB", "AphC"), amps) | dict.fromkeys(("PhVphA", "PhVphB", "PhVphC"), VOLTAGE_V)


def _der_values(plant: Plant, ac_w: float, night: bool) -> dict[str, float | None]:
    if night:
        return dict.fromkeys(("W", "A", "WL1", "WL2", "WL3", "AL1", "AL2", "AL3", "Hz")) | {"InvSt": 1}
    values: dict[str, float | None] = {"W": ac_w, "Hz": FREQUENCY_HZ, "TotWhInj": plant.produced_wh, "InvSt": 3}
    values |= dict.fromkeys(("WL1", "WL2", "WL3"), ac_w / 3) | dict.fromkeys(("AL1", "AL2", "AL3"), abs(ac_w) / 3 / VOLTAGE_V)
    return values | dict.fromkeys(("VL1", "VL2", "VL3"), VOLTAGE_V)


def _meter_values(plant: Plant) -> dict[str, float | None]:
    amps = plant.grid_w / 3 / VOLTAGE_V
    values: dict[str, float | None] = {"W": plant.grid_w, "Hz": FREQUENCY_HZ, "TotWhImp": plant.import_wh, "TotWhExp": plant.export_wh}
    values |= dict.fromkeys(("AphA", "AphB", "AphC"), amps) | dict.fromkeys(("PhVphA", "PhVphB", "PhVphC"), VOLTAGE_V)
    return values | dict.fromkeys(("WphA", "WphB", "WphC"), plant.grid_w / 3)


def _charge_state(battery_w: float) -> float:
    return 4 if battery_w > 1 else 3 if battery_w < -1 else 6


_RANGES = {"WMaxLimPct": (0.0, 100.0), "WMaxLimPctRvrt": (0.0, 100.0), "OutWRte": (-100.0, 100.0), "InWRte": (-100.0, 100.0)}
_SWITCHES = {"StorCtl_Mod": 3}


def _in_range(point: Point, raw: float | None, scale: float) -> bool:
    """What a careful device takes: known switches, percentages that can be."""
    if raw is None:
        return False
    if point.type.startswith(("enum", "bitfield")):
        return 0 <= raw <= _SWITCHES.get(point.name, 1)
    low, high = _RANGES.get(point.name, (float("-inf"), float("inf")))
    return low - 1e-9 <= raw * scale <= high + 1e-9


def _towards(value: float, goal: float, reach: float) -> float:
    return goal if abs(goal - value) <= reach else value + (reach if goal > value else -reach)
