"""What a device with a given register map shows on the wire when certain things are true: the maps read backwards, by hand."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from meters.template import PHASES, Register, Template

FORMATS = {"u16": ">H", "s16": ">h", "u32": ">I", "s32": ">i", "u64": ">Q", "s64": ">q", "f32": ">f", "f64": ">d"}


@dataclass(frozen=True)
class Truth:
    """What flows. current_a, phase_power_w: import positive."""

    voltage_v: tuple[float, float, float] = (231.0, 229.5, 230.4)
    current_a: tuple[float, float, float] = (12.4, 7.1, 20.3)
    phase_power_w: tuple[float, float, float] = (2840.0, 1620.0, 4650.0)
    frequency_hz: float = 50.01
    energy_import_wh: float = 4_200_000.0
    energy_export_wh: float = 1_100_000.0
    soc_percent: float = 55.0

    @property
    def power_w(self) -> float:
        """The sum."""
        return sum(self.phase_power_w)


def shown(name: str, template: Template, truth: Truth) -> float:
    """The number a quantity has on the device, in SI units and with the device's own signs."""
    way = 1.0 if template.sign == "import" else -1.0
    kind, _, phase = name.partition("_")
    at = PHASES.index(phase[:2]) if phase[:2] in PHASES else -1
    if name in ("e_imp", "e_exp", "soc", "f"):
        return {"e_imp": truth.energy_import_wh, "e_exp": truth.energy_export_wh, "soc": truth.soc_percent, "f": truth.frequency_hz}[name]
    if kind == "u":
        return truth.voltage_v[at]
    if kind == "i":
        return truth.current_a[at] * way if template.current == "signed" else abs(truth.current_a[at])
    power = truth.power_w if at < 0 else truth.phase_power_w[at]
    if name.endswith("_imp"):
        return max(0.0, power)
    if name.endswith("_exp"):
        return max(0.0, -power)
    return power * way


def words_of(register: Register, template: Template, value: float) -> list[int]:
    """The registers of a number."""
    raw = value / register.scale
    data = struct.pack(FORMATS[register.type], raw if register.type.startswith("f") else round(raw))
    words = [int.from_bytes(data[at : at + 2], "big") for at in range(0, len(data), 2)]
    return words[::-1] if (register.word_order or template.word_order) == "little" else words


def exponents(template: Template, truth: Truth) -> dict[int, int]:
    """Scale register -> the power of ten with which a device of finest resolution would show what is true."""
    found: dict[int, int] = {}
    for name, register in template.registers.items():
        if register.scale_register is None:
            continue
        most = (1 << 8 * struct.calcsize(FORMATS[register.type]) - 1) - 2
        value = abs(shown(name, template, truth))
        need = next(exponent for exponent in range(-2, 11) if value / 10.0**exponent <= most)
        found[register.scale_register] = max(need, found.get(register.scale_register, -2))
    return found


def image_of(template: Template, truth: Truth | None = None) -> dict[int, int]:
    """All registers a poll reads, and the probe."""
    truth = truth or Truth()
    image = {address: 0 for block in template.plan() for address in range(block.address, block.end)}
    scales = exponents(template, truth)
    for name, register in template.registers.items():
        power = 10.0 ** scales[register.scale_register] if register.scale_register is not None else 1.0
        image.update(enumerate(words_of(register, template, shown(name, template, truth) / power), register.address))
    image.update({address: exponent & 0xFFFF for address, exponent in scales.items()})
    for lost in template.lost_if:
        image[lost.address] = lost.equals[0] + 1
    if (probe := template.probe) is not None:
        count = probe.span.length
        image.update({probe.address + at: probe.equals[0] >> 16 * (count - 1 - at) & 0xFFFF for at in range(count)})
    return image
