"""What answers behind one unit id, and which ways there are to read it: SunSpec, and every register map that makes sense of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

from controller.config_base import ModbusLine
from controller.io.field.bus import GATEWAY_EXCEPTIONS, ILLEGAL_ADDRESS, Bus, RefusedError
from controller.io.field.modbus import CUT_AFTER, DEVICE_FAILURE
from controller.io.field.sunspec_device import converse
from controller.tools.lines import printable
from controller.tools.meters_line import ASSUMED_FUSE_A
from meters.decode import RegisterImage, decode, probe_matches
from meters.quality import Convention, Expectation, judge
from meters.reading import Quality, Reading, ReadingError
from meters.sunspec import BASES, MARK, Answer, Refused, discover
from meters.sunspec_models import HEAD, Found
from meters.sunspec_values import BATTERIES, INVERTERS, METERS, MPPT, STORAGE
from meters.template import PHASES, Block, Mark, Probe, Template

COMMON = 1
"""The SunSpec model with a device's name."""
Function = Literal[3, 4]
PLACES: Final[tuple[tuple[Function, int], ...]] = ((3, 0), (4, 0), (3, BASES[0]))
"""Where it is tried whether anything answers: some devices are silent where they have no registers."""
ENOUGH = 2
"""Pieces of evidence (voltages, frequency, a sum that fits) from which on a map is called plausible."""
SURE = 100
"""Evidence of a constant that only this model has."""
POSSIBLE = 1
"""Evidence of a map whose every register is there, with numbers that can be; told where there is nothing better."""
SILENCES = 2
"""Unanswered questions in a row after which it is asked whether the device is still there."""
MOST_SILENCES = 60


@dataclass(slots=True)
class Match:
    """A way to read a device.

    evidence: how much speaks for it, 100 and more = a constant. told: values it shows that are not 0. roles: what meters it can be in a
    site file. phases: those that are wired, () = all three. sign: of a SunSpec device, where it is not the usual one. caution: what people
    should know.
    """

    source: str
    name: str
    evidence: int
    why: str
    told: int = 0
    roles: tuple[str, ...] = ()
    phases: tuple[str, ...] = ()
    sign: str = ""
    caution: tuple[str, ...] = ()


class Asker:
    """Asks one unit, each thing once. unreachable: there is no connection at all. unsure: it says "failure" to everything so far."""

    def __init__(self, bus: Bus, line: ModbusLine) -> None:
        self.unreachable = self.unsure = False
        self._bus, self._line = bus, line
        self._known: dict[tuple[int, int, int], list[int] | None] = {}
        self._refused: set[tuple[int, int, int]] = set()
        self._place: tuple[Function, int] = PLACES[0]
        self._silences = self._in_a_row = 0

    async def alive(self) -> bool:
        """Whether anything comes back, be it a refusal. Gateways say 10 or 11 for nobody, some servers 4 to every read."""
        for place in PLACES if self._line.framing != "rtu" else PLACES[:2]:
            try:
                await self._bus.read_registers(self._line, *place, 1)
            except RefusedError as error:
                if error.code in GATEWAY_EXCEPTIONS:
                    continue
                self._place, self.unsure = place, error.code == DEVICE_FAILURE
                if not self.unsure:
                    return True
            except ReadingError as error:
                self.unreachable = error.reason == "not connected"
                if self.unreachable:
                    return False
            else:
                self._place, self.unsure = place, False
                return True
        return self.unsure

    async def matches(self, maps: dict[str, Template]) -> list[Match]:
        """Every way to read it, the best first."""
        found = await self._sunspec()
        for name, template in maps.items():
            if self._silences > MOST_SILENCES or not await self._still_there():
                break
            match = await self._fits(name, template)
            if match is not None:
                found.append(match)
        plausible = [match for match in found if match.evidence >= ENOUGH]
        wanted = "rtu" if self._line.framing.startswith("rtu") else "tcp"
        others = {name for name, template in maps.items() if wanted not in template.transport}
        return sorted(plausible or found, key=lambda match: (-match.evidence, -match.told, match.source in others))

    async def _still_there(self) -> bool:
        """A device that is silent where it has no registers still answers where it answered first."""
        if self._in_a_row < SILENCES:
            return True
        self._in_a_row = 0
        try:
            await self._bus.read_registers(self._line, *self._place, 1)
        except RefusedError:
            return True
        except ReadingError:
            return False
        return True

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
        why = f"SunSpec at {models[0].address - len(MARK)} with models {listed}"
        sign, caution = _habits(name, models)
        return [Match("sunspec", name or "a device", 2 * SURE, why, roles=_roles_of_models(models), sign=sign, caution=caution)]

    async def _holding(self, block: Block) -> Answer:
        return await self.words(3, block) or Refused(ILLEGAL_ADDRESS)

    # -- register maps ---------------------------------------------------------------------------

    async def _fits(self, name: str, template: Template) -> Match | None:
        says = await self._marked(template)
        if template.probe is not None and not await self._has(template.probe, template.function):
            return None
        image = await self._image(template)
        if image is None or not any(image.values()):
            return None
        reading, told = _reading(template, image), sum(1 for value in decode(template, image).values() if value)
        known = bool(says or template.probe is not None)
        if says and role_of(name) == "pv" and not _has_power(reading):
            return Match(
                name, template.name, SURE - 1, f"known by its constant ({says}), but it tells no values now; at night that is usual", 0, ("pv",)
            )
        evidence = _evidence(reading) + (SURE if known else self._by_unit(template, reading))
        if evidence < ENOUGH and told == len(template.registers) and reading.quality is Quality.GOOD:
            evidence = POSSIBLE
        if reading.quality is Quality.BAD or evidence < POSSIBLE or not _tells(template, reading):
            return None
        why = (
            f"known by its constant{f' ({says})' if says else ''}" if known else "plausible" if evidence >= ENOUGH else "possible, nothing proves it"
        )
        what = f"{why}: {_values(reading)}"
        return Match(name, template.name, evidence, what, told, (role_of(name),), _phases(template, reading), caution=template.caution)

    def _by_unit(self, template: Template, reading: Reading) -> int:
        """Maps without voltage and frequency prove nothing by their numbers; where the unit id is an unusual one it speaks for them."""
        shows = {"f", *(f"u_{phase}" for phase in PHASES)} & set(template.registers)
        usual = template.unit in (None, 1) or template.unit != self._line.unit
        return 0 if shows or usual or reading.quality is not Quality.GOOD else ENOUGH

    async def _image(self, template: Template) -> dict[int, int] | None:
        """Everything the map reads, in pieces where the device wants that; None if it is not such a device."""
        image: dict[int, int] = {}
        waiting = sorted(template.plan(), key=lambda block: not _telling(block, template))
        while waiting:
            block = waiting.pop(0)
            words = await self.words(template.function, block)
            if words is not None:
                image.update(enumerate(words, block.address))
                continue
            refused = (template.function, block.address, block.length) in self._refused
            if not image and (not refused or await self.words(template.function, _first(block, template)) is None):
                return None  # what tells most is not there: the rest need not be asked
            parts = template.split(block) if refused else (block,)
            waiting = [*(parts if parts != (block,) else ()), *waiting]
        return image

    async def _marked(self, template: Template) -> str:
        for mark in template.marks:
            if await self._has(mark, mark.function or template.function):
                return mark.says
        return ""

    async def _has(self, constant: Probe | Mark, function: Function) -> bool:
        words = await self.words(function, constant.span)
        return words is not None and probe_matches(constant, dict(enumerate(words, constant.address)))

    async def words(self, function: Function, block: Block) -> list[int] | None:
        """The words of a block; None if the device refuses or stays silent."""
        key = (function, block.address, block.length)
        if key not in self._known:
            self._known[key] = None
            try:
                self._known[key] = await self._bus.read_registers(self._line, function, block.address, block.length)
                self._in_a_row = 0
            except RefusedError as error:
                self._in_a_row = 0
                if error.code in CUT_AFTER:
                    self._refused.add(key)
            except ReadingError:
                self._silences += 1
                self._in_a_row += 1
        return self._known[key]


# -- what it may be in a site file -------------------------------------------------------------------


def role_of(map_name: str) -> str:
    """The role of a meter with this register map."""
    return "battery" if "battery" in map_name else "pv" if map_name.endswith("_pv") else "grid"


def _roles_of_models(models: Iterable[Found]) -> tuple[str, ...]:
    ids = {model.model_id for model in models if model.usable}
    stores = ids & ({*BATTERIES} - {STORAGE}) or {STORAGE, MPPT} <= ids
    there = (("grid", ids & {*METERS}), ("pv", ids & {*INVERTERS}), ("battery", stores))
    return tuple(role for role, has in there if has)


def _habits(name: str, models: Iterable[Found]) -> tuple[str, tuple[str, ...]]:
    """The sign of its meters where it is known not to be the usual one, and what to say about it."""
    meters = sum(1 for model in models if model.usable and model.model_id in METERS)
    more = (f"{meters} meters in one list: nth: 2 is the second",) if meters > 1 else ()
    if meters and name.lower().startswith("solaredge"):
        return "export", ("its meters count feeding in as positive, hence sign: export; compare with the display", *more)
    return "", more


def _first(block: Block, template: Template) -> Block:
    """The one value of a block that tells most: a voltage, else a current, else its first."""
    inside = {name: register.span for name, register in template.registers.items() if block.covers(register.span)}
    return next((inside[name] for name in ("u_l1", "i_l1", *inside) if name in inside), block)


def _telling(block: Block, template: Template) -> bool:
    """True for the block with a voltage, or a current: if that is refused the rest need not be asked."""
    return any(block.covers(register.span) for name, register in template.registers.items() if name in ("u_l1", "i_l1"))


def _reading(template: Template, image: RegisterImage) -> Reading:
    convention = Convention(template.sign, template.current or "signed")
    return judge("scan", decode(template, image), convention, Expectation(ASSUMED_FUSE_A))


def _tells(template: Template, reading: Reading) -> bool:
    """Whether it shows what the map is for: a current where the map has one, else a power or a state of charge."""
    if template.measures_current:
        return any(value is not None for value in reading.current_a)
    return _has_power(reading)


def _has_power(reading: Reading) -> bool:
    """Whether there is a power or a state of charge."""
    return any(value is not None for value in (*reading.phase_power_w, reading.power_w, reading.soc_percent))


def _phases(template: Template, reading: Reading) -> tuple[str, ...]:
    """The meter's own phases that are wired, where it is only one: it has a voltage and a current, the others have none."""
    if not all(f"u_{phase}" in template.registers and f"i_{phase}" in template.registers for phase in PHASES):
        return ()
    pairs = zip(reading.voltage_v, reading.current_a, strict=True)
    wired = tuple(f"L{place}" for place, (volts, amps) in enumerate(pairs, 1) if volts and amps is not None)
    return wired if wired == ("L1",) else ()


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
