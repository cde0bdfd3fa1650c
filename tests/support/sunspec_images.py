"""SunSpec devices for tests: models encoded by pysunspec2 (not by our own encoder), registers seen on real devices, and servers of them."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusSerialServer, ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice
from sunspec2.device import Model

from controller.config_base import ModbusLine
from meters.sunspec import MARK, Conversation, Refused, Result
from meters.template import Block
from tests.support.modbus_lines import serial_pair

HOST = "127.0.0.1"
Wire = Literal["tcp", "rtu"]


def words_of(data: bytes) -> list[int]:
    """Big-endian words."""
    return list(struct.unpack(f">{len(data) // 2}H", data))


def model_words(model_id: int, values: Mapping[str, Any] | None = None, groups: Sequence[Mapping[str, Any]] = (), name: str = "") -> list[int]:
    """A model as pysunspec2 encodes it, id and length first. values, groups: unscaled numbers as they stand in registers."""
    data: dict[str, Any] = dict(values or {})
    if groups:
        data[name] = [dict(group) for group in groups]
    model = Model(model_id, data=data)
    words = words_of(bytes(model.get_mb()))
    return [model_id, len(words) - 2, *words[2:]]


def hexes(text: str) -> list[int | None]:
    """Words written as hex; ---- is a register that cannot be read."""
    return [None if word == "----" else int(word, 16) for word in text.split()]


def listed(*models: Sequence[int | None], base: int = 40000, end: Sequence[int] = (0xFFFF, 0)) -> dict[int, int | None]:
    """Address -> word of a whole device."""
    words: list[int | None] = [*MARK]
    for model in models:
        words += model
    return dict(enumerate([*words, *end], base))


# -- registers as real devices have shown them ------------------------------------------------

SMA_DAY_101 = hexes("""
    0065 0032 002D 002D FFFF FFFF FFFF FFFF FFFF FFFF 0958 FFFF FFFF FFFF 006C 0001 1386 FFFE 006D 0001 000A 0001
    FC1C FFFD 0021 1FAD 0001 FFFF 8000 FFFF 8000 8000 0001 002A 8000 8000 8000 0000 0004 FFFF 0000 0000
    FFFF FFFF FFFF FFFF FFFF FFFF FFFF FFFF FFFF FFFF""")
"""A single phase inverter by day: 4.5 A, 239.2 V, 1080 W, 49.98 Hz."""

SMA_NIGHT_101 = hexes("""
    0065 0032 FFFF FFFF FFFF FFFF FFFF FFFF FFFF FFFF FFFF FFFF FFFF FFFF 8000 0001 FFFF FFFE 8000 0001 8000 0001
    8000 FFFD 002C FB4A 0001 FFFF 8000 FFFF 8000 8000 0001 8000 8000 8000 8000 0000 FFFF FFFF 0000 0000
    FFFF FFFF FFFF FFFF FFFF FFFF FFFF FFFF FFFF FFFF""")
"""The same at night: nothing but its energy counter."""

SMA_OLD_103 = hexes("""
    0067 0032 00A0 00A0 8000 8000 FFFF FFFF FFFF FFFF 0959 8000 8000 FFFF 0170 0001 1387 FFFE 0170 0001 8000 0001
    8000 FFFD 0021 1FAD 0001 FFFF 8000 FFFF 8000 8000 0001 002A 8000 8000 8000 0000 0004 FFFF 0000 0000
    FFFF FFFF FFFF FFFF FFFF FFFF FFFF FFFF FFFF FFFF""")
"""Made after what was seen of firmware 1.01.32: absent phases have the code of signed points in unsigned ones (S1). 16.0 A, 3680 W."""

SMA_120 = hexes("""
    0078 001A 0004 0170 0001 0170 0001 00B8 8000 8000 00B8 0001 00A0 FFFF 0320 8000 8000 0320 FFFD FFFF 0002 FFFF
    0000 FFFF 0001 FFFF 0001 8000""")
SMA_123 = hexes("""
    007B 0018 FFFF FFFF 0000 0000 FFFF FFFF FFFF 0001 0000 FFFF FFFF FFFF 0000 0000 8000 8000 FFFF FFFF FFFF 0001
    0000 FFFE FFFC FFFE""")
"""Enabled with 0 percent, whatever it does (S2); no timers."""

SMA_124 = hexes("""
    007C 0018 FFFF FFFF FFFF 0000 FFFF FFFF FFFF FFFF FFFF FFFF 8000 8000 FFFF FFFF FFFF FFFF 0000 8000 8000 8000
    0000 8000 FFFE 8000""")
"""The storage model of an inverter without any storage."""

_MODULE = "FFFF FFFF FFFF 0000 0000 ---- FFFF 8000 FFFF ---- ----"
SMA_160 = hexes(f"00A0 0080 FFFF 0000 0001 8000 0000 0000 0006 FFFF {('---- ' * 9 + _MODULE + ' ') * 6}")
"""At night, with many registers that cannot be read (S7)."""

FIMER_103 = hexes("""
    0067 0032 0C81 042B 042A 042C FFFF 1DE8 1DDE 1DEC 1147 1140 1141 FFFF 373A 0001 1387 FFFE 373A 0001 0001 0001
    D8F0 FFFC 02BD 2174 0001 0609 FFFF FFFF 8000 3869 0001 0217 0302 8000 8000 FFFF 0004 0006 0000 0000 0000 0000
    0000 0000 0000 0000 0000 0000 0000 0000""")
"""A large inverter: 106.7, 106.6, 106.8 A, 442.3, 441.6, 441.7 V to neutral, 141380 W, 49.99 Hz."""

FIMER_VENDOR = (hexes("FECE 0001 0000"), hexes("FED0 0014" + " 0000" * 20))


# -- answering --------------------------------------------------------------------------------


def played(conversation: Conversation[Result], words: Mapping[int, int | None], asked: list[Block] | None = None, most: int = 125) -> Result:
    """Run a conversation against an image without any line. Unreadable or missing registers are refused with 2, long requests with 3."""
    try:
        block = next(conversation)
        while True:
            if asked is not None:
                asked.append(block)
            found = [words.get(at) for at in range(block.address, block.end)]
            known = [word for word in found if word is not None]
            if block.length > most:
                block = conversation.send(Refused(3))
            elif len(known) < block.length:
                block = conversation.send(Refused(2))
            else:
                block = conversation.send(known)
    except StopIteration as end:
        result: Result = end.value
        return result


@dataclass
class Device:
    """A pymodbus server of registers that may change while it runs. code: refusal of what cannot be read. asked: (address, count) of reads."""

    words: dict[int, int | None]
    code: ExcCodes = ExcCodes.ILLEGAL_ADDRESS
    port: int = 0
    asked: list[tuple[int, int]] = field(default_factory=list)
    written: list[tuple[int, list[int]]] = field(default_factory=list)
    busy: bool = False

    path: str = ""

    def line(self, **more: Any) -> ModbusLine:
        """How it is reached."""
        return ModbusLine.model_validate({**self.reached, **more})

    @property
    def reached(self) -> dict[str, Any]:
        """The keys of a line to it."""
        if self.path:
            return {"framing": "rtu", "device": self.path, "baud": 115_200}
        return {"host": HOST, "port": self.port}

    async def answer(self, *request: Any) -> ExcCodes | None:
        """What pymodbus asks; a test may put another ``serve`` in its place."""
        return await self.serve(*request)

    async def serve(
        self, _function: int, start: int, address: int, count: int, registers: list[int], values: list[int] | list[bool] | None
    ) -> ExcCodes | None:
        if self.busy:
            return ExcCodes.DEVICE_BUSY
        found = [self.words.get(at) for at in range(address, address + count)]
        if None in found:
            return self.code
        if values is not None:
            self.written.append((address, [int(value) for value in values]))
            self.words.update(enumerate([int(value) for value in values], address))
            return None
        self.asked.append((address, count))
        for offset, word in enumerate(found):
            registers[address - start + offset] = word or 0
        return None


@asynccontextmanager
async def serving(words: Mapping[int, int | None], code: ExcCodes = ExcCodes.ILLEGAL_ADDRESS, wire: Wire = "tcp") -> AsyncIterator[Device]:
    """A real pymodbus server of an image: Modbus TCP, or RTU on a pair of serial ports."""
    device = Device(dict(words), code)
    memory = SimData(0, count=65_535, values=0, datatype=DataType.REGISTERS)
    unit = SimDevice(id=1, simdata=[memory], action=device.answer)
    with ExitStack() as stack:
        server: ModbusTcpServer | ModbusSerialServer
        if wire == "rtu":
            device.path, theirs = stack.enter_context(serial_pair())
            server = ModbusSerialServer(unit, port=theirs, baudrate=115_200)
        else:
            server = ModbusTcpServer(unit, address=(HOST, 0))
        await server.serve_forever(background=True)
        if isinstance(server.transport, asyncio.Server):
            device.port = int(server.transport.sockets[0].getsockname()[1])
        try:
            yield device
        finally:
            await server.shutdown()
