"""What answers behind one unit id, and which ways there are to read it: SunSpec, and every register map that makes sense of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from controller.config_base import ModbusLine
from controller.io.field.bus import ILLEGAL_ADDRESS, Bus, RefusedError
from controller.io.field.sunspec_device import converse
from controller.tools.lines import printable
from controller.tools.meters_line import ASSUMED_FUSE_A
from meters.decode import RegisterImage, decode, probe_matches
from meters.quality import Convention, Expectation, judge
from meters.reading import Quality, Reading, ReadingError
from meters.sunspec import MARK, Answer, Refused, discover
from meters.sunspec_models import HEAD
from meters.template import PHASES, Block, Mark, Probe, Template

COMMON = 1
"""The SunSpec model with a device's name."""
FUNCTIONS: tuple[Literal[3], Literal[4]] = (3, 4)
NOBODY = frozenset({4, 10, 11})
ENOUGH = 2
"""Pieces of evidence (voltages, frequency, a sum that fits) from which on a map is called plausible."""


@dataclass(slots=True)
class Match:
    """A way to read a device. evidence: how much speaks for it, 100 and more = a constant."""

    source: str
    name: str
    evidence: int
    why: str


class Asker:
    """Asks one unit, each thing once. unreachable: there is no connection at all."""

    def __init__(self, bus: Bus, line: ModbusLine) -> None:
        self.unreachable = False
        self._bus, self._line = bus, line
        self._known: dict[tuple[int, int, int], list[int] | None] = {}
        self._silences = 0

    async def alive(self) -> bool:
        """Whether anything comes back, be it a refusal. Gateways say 10 or 11 for nobody, some servers 4 to every read."""
        for function in FUNCTIONS:
            try:
                await self._bus.read_registers(self._line, function, 0, 1)
            except RefusedError as error:
                if error.code not in NOBODY:
                    return True
            except ReadingError as error:
                self.unreachable = error.reason == "not connected"
                if self.unreachable:
                    return False
            else:
                return True
        return False

    async def matches(self, maps: dict[str, Template]) -> list[Match]:
        """Every way to read it, the best first."""
        found = await self._sunspec()
        for name, template in maps.items():
            if self._silences > 2:
                break
            match = await self._fits(name, template)
            if match is not None:
                found.append(match)
        return sorted(found, key=lambda match: -match.evidence)

    # -- SunSpec ---------------------------------------------------------------------------------

    async def _sunspec(self) -> list[Match]:
        try:
            models = await converse(self._holding, discover())
        except ReadingError:
            return []
        listed = ", ".join(str(model.model_id) for model in models)
        common = next((model for model in models if model.model_id == COMMON), None)
        words = await self.words(3, Block(common.address + HEAD, 32)) if common is not None else None
        name = " ".join(_text(part) for part in (words[:16], words[16:])).strip() if words else ""
        return [Match("sunspec", name or "a device", 200, f"SunSpec at {models[0].address - len(MARK)} with models {listed}")]

    async def _holding(self, block: Block) -> Answer:
        return await self.words(3, block) or Refused(ILLEGAL_ADDRESS)

    # -- register maps ---------------------------------------------------------------------------

    async def _fits(self, name: str, template: Template) -> Match | None:
        says = await self._marked(template)
        if template.probe is not None and not await self._has(template.probe, template.function):
            return None
        image: dict[int, int] = {}
        for block in sorted(template.plan(), key=lambda block: not _telling(block, template)):
            words = await self.words(template.function, block)
            if words is None and template.essential(block):
                return None
            image.update(enumerate(words or (), block.address))
        reading = _reading(template, image)
        evidence = _evidence(reading) + (100 if says or template.probe is not None else 0)
        if reading.quality is Quality.BAD or evidence < ENOUGH:
            return None
        why = f"known by its constant{f' ({says})' if says else ''}" if evidence >= 100 else "plausible"
        return Match(name, template.name, evidence, f"{why}: {_values(reading)}")

    async def _marked(self, template: Template) -> str:
        for mark in template.marks:
            if await self._has(mark, mark.function or template.function):
                return mark.says
        return ""

    async def _has(self, constant: Probe | Mark, function: Literal[3, 4]) -> bool:
        words = await self.words(function, constant.span)
        return words is not None and probe_matches(constant, dict(enumerate(words, constant.address)))

    async def words(self, function: Literal[3, 4], block: Block) -> list[int] | None:
        """The words of a block; None if the device refuses or stays silent."""
        key = (function, block.address, block.length)
        if key not in self._known:
            try:
                self._known[key] = await self._bus.read_registers(self._line, function, block.address, block.length)
                self._silences = 0
            except RefusedError:
                self._known[key] = None
            except ReadingError:
                self._known[key] = None
                self._silences += 1
        return self._known[key]


def _telling(block: Block, template: Template) -> bool:
    """True for the block with a voltage, or a current: if that is refused the rest need not be asked."""
    return any(block.covers(register.span) for name, register in template.registers.items() if name in ("u_l1", "i_l1"))


def _reading(template: Template, image: RegisterImage) -> Reading:
    needed = tuple(at for at, phase in enumerate(PHASES) if f"i_{phase}" in template.registers)
    convention = Convention(template.sign, template.current or "signed")
    return judge("scan", decode(template, image), convention, Expectation(ASSUMED_FUSE_A, current_phases=needed))


def _evidence(reading: Reading) -> int:
    """Numbers that only a right map shows: mains voltage, mains frequency, a total that is the sum of phases that flow."""
    volts = sum(value is not None and (200 < value < 260 or 100 < value < 140) for value in reading.voltage_v)
    hertz = reading.frequency_hz is not None and (49 < reading.frequency_hz < 51 or 59 < reading.frequency_hz < 61)
    phases = [power for power in reading.phase_power_w if power]
    adds_up = len(phases) == 3 and reading.power_w is not None and abs(reading.power_w - sum(phases)) < 0.01 * abs(sum(phases)) + 1
    return volts + 2 * hertz + adds_up


def _values(reading: Reading) -> str:
    volts = "/".join("-" if value is None else f"{value:.0f}" for value in reading.voltage_v)
    amps = "/".join("-" if value is None else f"{value:.1f}" for value in reading.current_a)
    power = "-" if reading.power_w is None else f"{reading.power_w:.0f}"
    return f"{volts} V, {amps} A, {power} W"


def _text(words: Iterable[int]) -> str:
    raw = b"".join(word.to_bytes(2, "big") for word in words).split(b"\0")[0]
    return printable(raw.decode("ascii", "replace").strip())
