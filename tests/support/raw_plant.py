"""A PV inverter, a battery and a relay on three ports of their own, spoken to byte by byte: no Modbus library, nothing of Yardmaster.

The registers are SunSpec models as pysunspec2 encodes them; what the devices do follows from what stands in them, at once.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

from controller.sim.car import VOLTAGE_V
from controller.sim.site import MeterValues
from tests.support.sunspec_images import listed, model_words

HOST = "127.0.0.1"
RATED_W = 10_000.0
STORE_W = 5_000.0
CONTROL_AT, STORAGE_AT, POWER_AT = 40102, 40070, 40128
"""Where models 123, 124 and 103 begin: behind model 1 (68 registers), 121 (32) and 123 (26)."""
PERCENT, LIFE, SWITCH = CONTROL_AT + 5, CONTROL_AT + 7, CONTROL_AT + 9
MODE, OUT_RATE, IN_RATE, STORE_LIFE = STORAGE_AT + 5, STORAGE_AT + 12, STORAGE_AT + 13, STORAGE_AT + 15
COIL = 7


@dataclass
class RawUnit:
    """One Modbus TCP server. words: holding registers; coils; writes: (function, address, values) as they came. mute: it says nothing more."""

    words: dict[int, int] = field(default_factory=dict)
    coils: dict[int, bool] = field(default_factory=dict)
    writes: list[tuple[int, int, list[int]]] = field(default_factory=list)
    mute: bool = False
    port: int = 0
    _server: asyncio.Server | None = None
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)

    async def start(self) -> None:
        """Listen, on the port it had before if it had one."""
        self._server = await asyncio.start_server(self._serve, HOST, self.port)
        self.port = int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Close the port and every connection."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in list(self._writers):
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while True:
                head = await reader.readexactly(7)
                number, _, length, unit = struct.unpack(">HHHB", head)
                request = await reader.readexactly(length - 1)
                if not self.mute:
                    answer = self.answer(request)
                    writer.write(struct.pack(">HHHB", number, 0, len(answer) + 1, unit) + answer)
                    await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            self._writers.discard(writer)
            writer.close()

    def answer(self, request: bytes) -> bytes:
        """Function and content of the answer."""
        function, address, value = struct.unpack(">BHH", request[:5])
        asked = range(address, address + (1 if function in (5, 6) else value))
        table = self.coils if function in (1, 5) else self.words
        if function not in (1, 3, 5, 6, 16):
            return bytes([function | 0x80, 1])
        if any(at not in table for at in asked):
            return bytes([function | 0x80, 2])
        if function == 1:
            bits = sum(self.coils[at] << step for step, at in enumerate(asked))
            return bytes([1, (value + 7) // 8]) + bits.to_bytes((value + 7) // 8, "little")
        if function == 3:
            return bytes([3, 2 * value]) + b"".join(struct.pack(">H", self.words[at]) for at in asked)
        self._write(function, address, [value] if function in (5, 6) else [*struct.unpack(f">{value}H", request[6:])])
        return request[:5]

    def _write(self, function: int, address: int, values: Sequence[int]) -> None:
        self.writes.append((function, address, list(values)))
        if function == 5:
            self.coils[address] = values[0] == 0xFF00
        else:
            self.words.update(enumerate(values, address))


class RawPlant:
    """All three and the grid connection they hang on. sun_w: what the inverter would make; house_w: what is drawn besides."""

    def __init__(self, sun_w: float = 9_000.0, house_w: float = 500.0) -> None:
        self.sun_w, self.house_w = sun_w, house_w
        common, timers = model_words(1), {"WinTms": 0, "RvrtTms": 0, "RmpTms": 0}
        limit = {"WMaxLimPct": 100, "WMaxLimPct_SF": 0, "WMaxLim_Ena": 0, **{f"WMaxLimPct_{name}": word for name, word in timers.items()}}
        rates = {"OutWRte": 100, "InWRte": 100, "InOutWRte_SF": 0, "ChaGriSet": 1, **{f"InOutWRte_{name}": word for name, word in timers.items()}}
        storage = {"WChaMax": 500, "WChaMax_SF": 1, "StorCtl_Mod": 0, "ChaState": 40, "ChaState_SF": 0, **rates}
        settings, power = model_words(121, {"WMax": 1000, "WMax_SF": 1}), model_words(103, {"W": 0, "W_SF": 0, "St": 4})
        self.inverter = RawUnit(_whole(listed(common, settings, model_words(123, limit), power)))
        self.battery = RawUnit(_whole(listed(common, model_words(124, storage))))
        self.relay = RawUnit(coils={COIL: False})
        self._turn = 0

    @property
    def units(self) -> tuple[RawUnit, ...]:
        """All servers."""
        return self.inverter, self.battery, self.relay

    @property
    def limit_w(self) -> float | None:
        """The inverter's limit that is in force by its registers."""
        words = self.inverter.words
        return words[PERCENT] / 100.0 * RATED_W if words[SWITCH] == 1 else None

    @property
    def setpoint_w(self) -> float | None:
        """The battery's setpoint that is in force by its registers, charging positive."""
        words = self.battery.words
        rate = words[IN_RATE] - 0x10000 if words[IN_RATE] >= 0x8000 else words[IN_RATE]
        return rate / 100.0 * STORE_W if words[MODE] == 3 else None

    @property
    def closed(self) -> bool:
        """The relay's coil."""
        return self.relay.coils[COIL]

    @property
    def made_w(self) -> float:
        """What the inverter makes."""
        return self.sun_w if self.limit_w is None else min(self.sun_w, self.limit_w)

    def grid(self) -> MeterValues:
        """The grid's meter; its last digits move."""
        self._turn = (self._turn + 1) % 5
        self.inverter.words[POWER_AT + 14] = round(self.made_w)
        return _phases(self.house_w + (self.setpoint_w or 0.0) - self.made_w + self._turn)

    def store(self) -> MeterValues:
        """The battery's meter."""
        return _phases(self.setpoint_w or 0.0)


def _phases(power_w: float) -> MeterValues:
    amps = power_w / 3.0 / VOLTAGE_V
    return MeterValues((amps, amps, amps), soc_percent=40.0)


def _whole(words: dict[int, int | None]) -> dict[int, int]:
    return {at: word for at, word in words.items() if word is not None}
