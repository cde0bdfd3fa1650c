"""Register images of real devices, written from published register lists, and a server of them that shares no code with ours.

Every number below is a raw count as the device's manual scales it, worked out by hand from one truth:

    L1 imports 2300 W at 230.0 V and 10.00 A, L2 exports 1150 W at 230.5 V and 5.00 A, L3 imports 4600 W at 229.5 V and 20.00 A;
    together 5750 W are imported at 50.00 Hz; 123 456.7 kWh were imported so far, 7 654.3 kWh exported.

Addresses are those of the request on the wire. Manuals that count from 1 are one higher (Schneider), those of input registers write 30001 for 0.
"""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests.support.modbus_lines import Asked, RawDevice, Say, raw_over_tcp

HOST = "127.0.0.1"
TRUE = {"u": (230.0, 230.5, 229.5), "i": (10.0, -5.0, 20.0), "p": (2300.0, -1150.0, 4600.0), "total": 5750.0, "f": 50.0,
        "e_imp": 123_456_700.0, "e_exp": 7_654_300.0}  # fmt: skip

Part = tuple[int, str, tuple[float, ...]]
"""Address, struct format of one value, values behind each other."""


def words(parts: Iterable[Part], low_first: bool = False) -> dict[int, int]:
    """Address -> word. low_first: values longer than a word have their low word first."""
    table: dict[int, int] = {}
    for address, kind, values in parts:
        at = address
        for value in values:
            data = struct.pack(">" + kind, value if kind in "fd" else int(value))
            run = [data[place] << 8 | data[place + 1] for place in range(0, len(data), 2)]
            table.update(enumerate(reversed(run) if low_first else run, at))
            at += len(run)
    return table


@dataclass(frozen=True)
class Device:
    """A device. shows: which of u, i, p (phases), total, f, imp, exp the map of it tells. unit: the id it listens to."""

    map_name: str
    function: int
    table: dict[int, int]
    shows: str
    unit: int = 1
    others: dict[int, int] = field(default_factory=dict)
    """Registers that are there besides (constants of the model)."""

    @property
    def registers(self) -> dict[int, int]:
        """All of it."""
        return {**self.others, **self.table}


ALL = "u i p total f imp exp"


def _ascii(address: int, text: str) -> dict[int, int]:
    data = text.encode()
    return {address + at // 2: data[at] << 8 | data[at + 1] for at in range(0, len(data), 2)}


EASTRON = words(
    [
        (0, "f", (230.0, 230.5, 229.5, 10.0, 5.0, 20.0, 2300.0, -1150.0, 4600.0)),
        (52, "f", (5750.0,)),
        (70, "f", (50.0, 123_456.7, 7_654.3)),
    ]
)
GAVAZZI = [
    (0x00, "i", (2300, 2305, 2295)),
    (0x0C, "i", (10_000, 5_000, 20_000, 23_000, -11_500, 46_000)),
    (0x28, "i", (57_500,)),
]
UMG = [
    (19000, "f", (230.0, 230.5, 229.5)),
    (19012, "f", (10.0, 5.0, 20.0)),
    (19020, "f", (2300.0, -1150.0, 4600.0, 5750.0)),
    (19050, "f", (50.0,)),
]
SOCOMEC = [
    (0xC558, "I", (23_000, 23_050, 22_950)),
    (0xC560, "I", (10_000, 5_000, 20_000)),
    (0xC568, "i", (575,)),
    (0xC570, "i", (230, -115, 460)),
]
SOCOMEC_ENERGY = [(0xC702, "I", (12_345_670,)), (0xC708, "I", (765_430,))]
SOCO = {0xC350: ord("S"), 0xC351: ord("O"), 0xC352: ord("C"), 0xC353: ord("O")}
KSEM = [
    (0, "I", (57_500, 0)),
    (26, "I", (50_000,)),
    (40, "I", (23_000, 0)),
    (60, "I", (10_000, 230_000)),
    (80, "I", (0, 11_500)),
    (100, "I", (5_000, 230_500)),
    (120, "I", (46_000, 0)),
    (140, "I", (20_000, 229_500)),
    (512, "Q", (1_234_567_000, 76_543_000)),
]
PLENTICORE = [
    (220, "f", (50.0, 10.0, 2300.0)),
    (230, "f", (230.0, 5.0, -1150.0)),
    (240, "f", (230.5, 20.0, 4600.0)),
    (250, "f", (229.5, 5750.0)),
]
HUAWEI = [  # powers and currents positive for feeding in
    (37100, "H", (1,)),
    (37101, "i", (2300, 2305, 2295, -1000, 500, -2000, -5750)),
    (37118, "h", (5000,)),
    (37119, "i", (-765_430, 12_345_670)),
    (37132, "i", (-2300, 1150, -4600)),
]
SMA_GRID = [
    (30581, "I", (123_456_700, 7_654_300)),
    (30865, "i", (5750, 0)),
    (31253, "I", (23_000, 23_050, 22_950, 0, 1150, 0, 2300, 0, 4600)),
    (31435, "i", (10_000, 5_000, 20_000)),
    (31447, "I", (5_000,)),
]
VICTRON_GRID = [
    (2616, "H", (2300,)), (2617, "h", (100,)), (2618, "H", (2305,)), (2619, "h", (-50,)), (2620, "H", (2295,)), (2621, "h", (200,)),
    (2634, "I", (12_345_670, 765_430)),
    (2638, "i", (2300, -1150, 4600)),
]  # fmt: skip


def solaredge_meter(base: int) -> dict[int, int]:
    """A meter's registers where L1's current is at ``base``: 0.1 A, 0.01 V, 0.01 Hz, 1 W, 100 Wh; power positive for feeding in."""
    return words(
        [
            (base, "h", (100, 50, 200, -1)),
            (base + 5, "h", (23_000, 23_050, 22_950)),
            (base + 12, "h", (-2, 5000, -2, -5750, -2300, 1150, -4600, 0)),
            (base + 35, "I", (76_543,)),
            (base + 43, "I", (1_234_567,)),
            (base + 51, "h", (2,)),
        ]
    )


SOLAREDGE = {40000: 0x5375, 40001: 0x6E53, **_ascii(40004, "SolarEdge ")}

DEVICES: tuple[Device, ...] = (
    Device("eastron_sdm630", 4, EASTRON, ALL),
    Device("eastron_sdm72dm_v2_short", 4, EASTRON, ALL),
    Device("eastron_sdm72dm_v1", 4, {at: word for at, word in EASTRON.items() if at >= 52 and at != 70 and at != 71}, "total imp exp"),
    Device("carlo_gavazzi_em340", 4, words([*GAVAZZI, (0x33, "h", (500,)), (0x34, "i", (1_234_567,)), (0x4E, "i", (76_543,))], True), ALL),
    Device("carlo_gavazzi_em24_rtu", 4, words([*GAVAZZI, (0x37, "h", (500,)), (0x42, "i", (1_234_567,)), (0x5C, "i", (76_543,))], True), ALL),
    Device("janitza_umg96", 3, words([*UMG, (19068, "f", (123_456_700.0,)), (19076, "f", (7_654_300.0,))]), ALL),
    Device("janitza_umg806", 3, words([*UMG, (19062, "f", (123_456_700.0,)), (19070, "f", (7_654_300.0,))]), ALL),
    Device("janitza_b23_mbus", 3, words([*UMG, (19068, "f", (123_456_700.0,)), (19076, "f", (7_654_300.0,))]), "u1 i p total f imp exp"),
    Device(
        "janitza_umg604_native", 3,
        words([(1317, "f", (230.0,)), (1325, "f", (10.0, 5.0, 20.0)), (1333, "f", (2300.0, -1150.0, 4600.0)), (1369, "f", (5750.0,)),
               (1439, "f", (50.0,))]), "u1 i p total f",
    ),
    Device(
        "schneider_iem3000_pm5000", 3,
        words([(2999, "f", (10.0, 5.0, 20.0)), (3027, "f", (230.0, 230.5, 229.5)), (3053, "f", (2.3, -1.15, 4.6, 5.75)), (3109, "f", (50.0,)),
               (3203, "q", (123_456_700, 7_654_300))]), ALL,
    ),
    Device(
        "abb_b23", 3,
        words([(0x5B00, "I", (2300, 2305, 2295)), (0x5B0C, "I", (1000, 500, 2000)), (0x5B14, "i", (575_000, 230_000, -115_000, 460_000)),
               (0x5B2C, "H", (5000,)), (0x5000, "Q", (12_345_670, 765_430))]), ALL, others=_ascii(0x8960, "B23 "),
    ),
    Device(
        "siemens_pac2200", 3,
        words([(1, "f", (230.0, 230.5, 229.5)), (13, "f", (10.0, 5.0, 20.0)), (25, "f", (2300.0, -1150.0, 4600.0)), (55, "f", (50.0,)),
               (65, "f", (5750.0,)), (801, "d", (123_456_700.0,)), (809, "d", (7_654_300.0,))]), ALL,
    ),
    Device("socomec_countis", 3, words([*SOCOMEC, (0xC55E, "I", (5000,)), *SOCOMEC_ENERGY]), ALL, others=SOCO),
    Device("socomec_countis_e2x", 3, words([*SOCOMEC, (0xC55E, "I", (50_000,)), *SOCOMEC_ENERGY]), ALL, others=SOCO),
    Device("socomec_diris_a10", 3, words([*SOCOMEC, (0xC55E, "I", (5000,)), (0xC65C, "I", (123_457,)), (0xC662, "I", (7_654,))]), ALL, others=SOCO),
    Device("kostal_ksem", 3, words(KSEM), ALL, unit=71),
    Device("kostal_plenticore", 3, words(PLENTICORE, True), "u i p total f", unit=71, others=_ascii(768, "PLENTICORE plus ")),
    Device("huawei_sun2000_meter", 3, words(HUAWEI), ALL, others=_ascii(30000, "SUN2000-10KTL-M1")),
    Device("sma_inverter_grid", 3, words(SMA_GRID), ALL, unit=3),
    Device("victron_gx_grid", 3, words(VICTRON_GRID), "u i p total imp exp", unit=30),
    Device("victron_gx", 3, words([(908, "i", (2300, -1150, 4600))]), "p total", unit=100),
    Device("victron_gx_16bit", 3, words([(820, "h", (2300, -1150, 4600))]), "p total", unit=100),
    Device("solaredge_meter", 3, solaredge_meter(40191), ALL, others=SOLAREDGE),
    Device("solaredge_meter2", 3, solaredge_meter(40365), ALL, others=SOLAREDGE),
    Device("solaredge_meter3", 3, solaredge_meter(40539), ALL, others=SOLAREDGE),
    Device("solaredge_meter_synergy2", 3, solaredge_meter(40241), ALL, others=SOLAREDGE),
    Device("solaredge_meter_synergy3", 3, solaredge_meter(40261), ALL, others=SOLAREDGE),
)  # fmt: skip
BY_MAP = {device.map_name: device for device in DEVICES}


# -- a server of an image ------------------------------------------------------------------------------


@dataclass
class Habits:
    """How a device answers. most: registers per read, else exception 3 (or the code, or silence for code 0).

    holes: True = registers in between that are of no value read 0, False = they are refused with 2. without: addresses that are refused.
    code: of those. units: ids it answers to, None = every one. mute: silent where others refuse. silent: silent at these addresses only.
    """

    most: int = 125
    too_long: int = 3
    holes: bool = True
    without: frozenset[int] = frozenset()
    code: int = 2
    units: frozenset[int] | None = None
    mute: bool = False
    silent: frozenset[int] = frozenset()
    functions: frozenset[int] = frozenset({3, 4})


def behaving(device: Device, habits: Habits) -> Callable[[RawDevice, Asked], list[Say]]:
    """The answers of a device with such habits. Only its own function reads its values; the other one has no registers."""
    own = device.registers
    first, last = min(own), max(own)

    def behave(raw: RawDevice, asked: Asked) -> list[Say]:
        def refuse(code: int) -> list[Say]:
            return [] if habits.mute or code == 0 else [(0.0, raw.exception(asked, code))]

        if (habits.units is not None and asked.unit not in habits.units) or asked.address in habits.silent:
            return []
        if asked.function not in habits.functions:
            return refuse(1)
        if asked.count > habits.most:
            return refuse(habits.too_long)
        span = range(asked.address, asked.address + asked.count)
        table = own if asked.function == device.function else {}
        if any(at in habits.without for at in span):
            return refuse(habits.code)
        filled = habits.holes and bool(table)
        known = [table.get(at, 0 if filled and first <= at <= last + 8 else None) for at in span]
        if None in known:
            return refuse(2)
        return [(0.0, raw.words(asked, [word or 0 for word in known]))]

    return behave


@asynccontextmanager
async def standing(port: int, device: Device, habits: Habits | None = None) -> AsyncIterator[RawDevice]:
    """The device on the loopback address."""
    async with raw_over_tcp(port, rtu=False, behave=behaving(device, habits or Habits())) as raw:
        yield raw
