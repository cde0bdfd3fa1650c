"""Commands in a register map: which registers make a battery charge or hold an inverter down, and what they read back.

    controls:
      kind: battery                # or inverter
      sign: export                 # battery: what a positive setpoint means: import = charging, export = discharging
      setpoint: {address: 1034, type: f32}
      before: [{address: 1000, type: u16, value: 1}]     # written before the setpoint, in this order
      after:  [{address: 1001, type: u16, value: 1}]     # written after it: the switch that makes it count
      free:   [{address: 1001, type: u16, value: 0}]     # gives the device free; without it it falls free by silence
      life:   {address: 1002, type: u16}                 # takes the life of the command [s], written before the setpoint
      ends_itself_s: 30                                  # the device forgets a command by itself after so long

Pure: writes and meanings, no connection. Numbers are cut towards zero: never more than was asked.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

CellType = Literal["u16", "s16", "u32", "s32", "f32"]
SIZES: Mapping[str, int] = {"u16": 1, "s16": 1, "u32": 2, "s32": 2, "f32": 2}
_FORMATS = {"u16": ">H", "s16": ">h", "u32": ">I", "s32": ">i", "f32": ">f"}
ABSENT: Mapping[str, int] = {"s16": 0x8000, "s32": 0x8000_0000, "u16": 0xFFFF, "u32": 0xFFFF_FFFF}


class ControlsError(Exception):
    """A command cannot be said in this map's registers. The text says why."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Cell(_Model):
    """One writable number. scale: value in W, percent or s of one raw count. function: 6 writes single registers, 16 several at once."""

    address: int = Field(ge=0, le=65_535)
    type: CellType = "u16"
    scale: float = 1.0
    word_order: Literal["big", "little"] | None = None
    function: Literal[6, 16] = 16

    @model_validator(mode="after")
    def _writable(self) -> Self:
        if self.scale == 0:
            raise ValueError("scale 0 would make every command 0")
        if self.function == 6 and SIZES[self.type] != 1:
            raise ValueError(f"function 6 writes one register, {self.type} has two")
        return self


class Fixed(Cell):
    """A number that is always the same. confirm: it is read back; false for registers that cannot be read."""

    value: float
    confirm: bool = True


class Controls(_Model):
    """How a device is commanded. percent: the setpoint is percent of the rated power, not W. reads: function its registers are read with.

    blind: nothing can be read back. read_at: where the setpoint in force is read; default: where it is written.
    """

    kind: Literal["battery", "inverter"]
    sign: Literal["import", "export"] = "import"
    setpoint: Cell
    percent: bool = False
    before: tuple[Fixed, ...] = ()
    after: tuple[Fixed, ...] = ()
    free: tuple[Fixed, ...] = ()
    life: Cell | None = None
    ends_itself_s: float | None = Field(default=None, gt=0, le=86_400)
    reads: Literal[3, 4] = 3
    blind: bool = False
    read_at: Cell | None = None

    @model_validator(mode="after")
    def _ends(self) -> Self:
        if not self.free and self.ends_itself_s is None:
            raise ValueError("say how the device becomes free again: free (what to write) or ends_itself_s (how long it waits for us)")
        return self

    @property
    def switches(self) -> tuple[Fixed, ...]:
        """Registers whose values tell whether a command is in force."""
        return () if self.blind else tuple(cell for cell in (*self.before, *self.after) if cell.confirm)

    @property
    def shown(self) -> Cell | None:
        """Where the setpoint in force is read."""
        return None if self.blind else self.read_at or self.setpoint


@dataclass(frozen=True, slots=True)
class CellWrite:
    """Words for one place. function: 6 or 16."""

    address: int
    words: tuple[int, ...]
    function: int


@dataclass(frozen=True, slots=True)
class InForce:
    """What the registers say. command_w: charging positive, or an inverter's most; None = not told.

    on: the switches are as a command sets them; None = there are none.
    """

    command_w: float | None
    on: bool | None


def command(controls: Controls, word_order: str, power_w: float, rated_w: float, life_s: float) -> tuple[CellWrite, ...]:
    """What to write, in this order. Raises ControlsError."""
    raw = -power_w if controls.kind == "battery" and controls.sign == "export" else power_w
    value = 100.0 * raw / rated_w if controls.percent else raw
    life = [_write(controls.life, word_order, math.ceil(life_s))] if controls.life is not None else []
    return (
        *(_write(cell, word_order, cell.value) for cell in controls.before),
        *life,
        _write(controls.setpoint, word_order, value),
        *(_write(cell, word_order, cell.value) for cell in controls.after),
    )


def release(controls: Controls, word_order: str) -> tuple[CellWrite, ...]:
    """What to write to give the device free; () = nothing, its own watchdog does it."""
    return tuple(_write(cell, word_order, cell.value) for cell in controls.free)


def spans(controls: Controls) -> tuple[tuple[int, int], ...]:
    """(address, length) of everything that is read back, without duplicates, ascending."""
    cells: list[Cell] = [*controls.switches, *([controls.shown] if controls.shown is not None else [])]
    return tuple(sorted({(cell.address, SIZES[cell.type]) for cell in cells}))


def in_force(controls: Controls, word_order: str, image: Mapping[int, int], rated_w: float) -> InForce:
    """What a reading of ``spans`` means."""
    switches = [_value(cell, word_order, image) == cell.value for cell in controls.switches]
    shown = controls.shown
    value = _value(shown, word_order, image) if shown is not None else None
    if value is not None and controls.percent:
        value = value / 100.0 * rated_w
    if value is not None and controls.kind == "battery" and controls.sign == "export":
        value = -value
    return InForce(value, all(switches) if switches else None)


def close(controls: Controls, one_w: float, other_w: float, rated_w: float) -> bool:
    """Whether two setpoints are the same as far as the register can tell."""
    step = abs((controls.read_at or controls.setpoint).scale)
    step_w = step / 100.0 * rated_w if controls.percent else step
    return abs(one_w - other_w) <= max(1.5 * step_w, 1e-4 * abs(one_w), 0.5)


def _write(cell: Cell, word_order: str, value: float) -> CellWrite:
    raw = value / cell.scale
    number = raw if cell.type == "f32" else math.trunc(round(raw, 6))
    try:
        data = struct.pack(_FORMATS[cell.type], number)
    except (struct.error, OverflowError):
        raise ControlsError(f"{value:g} does not fit into the {cell.type} at {cell.address}") from None
    words = [int.from_bytes(data[i : i + 2], "big") for i in range(0, len(data), 2)]
    return CellWrite(cell.address, tuple(words[::-1] if (cell.word_order or word_order) == "little" else words), cell.function)


def _value(cell: Cell, word_order: str, image: Mapping[int, int]) -> float | None:
    """The number read, None where it was not read or means "not available"."""
    words = [image.get(cell.address + step) for step in range(SIZES[cell.type])]
    known = [word for word in words if word is not None]
    if len(known) != len(words):
        return None
    data = b"".join(word.to_bytes(2, "big") for word in (known[::-1] if (cell.word_order or word_order) == "little" else known))
    if int.from_bytes(data, "big") == ABSENT.get(cell.type) and cell.type.startswith("s"):
        return None
    number = float(struct.unpack(_FORMATS[cell.type], data)[0])
    return number * cell.scale if math.isfinite(number) else None
