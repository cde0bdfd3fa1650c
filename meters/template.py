"""Register maps: what a meter model keeps where.

One YAML file per model in ``config/meters``; adding a meter is adding a file. A map is pure
data (addresses, types, scales, signs); no code is named in it. ``load_template`` refuses
what cannot be right (overlap, unknown type, scale 0, missing sign; catalogue B43) with file,
line and a sentence, because a wrong map shows plausible wrong watts and nobody notices.

Quantities: u_l1..u_l3 [V], i_l1..i_l3 [A], p_l1..p_l3 and p [W], f [Hz], e_imp and e_exp [Wh],
soc [percent]. Meters that keep import and export apart have p_imp/p_exp and p_l1_imp/p_l1_exp ...
(both unsigned). Addresses are 0-based, as sent on the wire.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from meters.controls import Controls

RegisterType = Literal["u16", "s16", "u32", "s32", "u64", "s64", "f32", "f64"]
WIDTHS: Mapping[str, int] = {"u16": 1, "s16": 1, "u32": 2, "s32": 2, "u64": 4, "s64": 4, "f32": 2, "f64": 4}
"""Registers (16 bit each) per value."""

PHASES = ("l1", "l2", "l3")
QUANTITIES = frozenset(
    [f"{kind}_{phase}" for kind in "uip" for phase in PHASES]
    + [f"p_{phase}_{way}" for phase in PHASES for way in ("imp", "exp")]
    + ["p", "p_imp", "p_exp", "f", "e_imp", "e_exp", "soc"]
)
MAX_HOLE_REGS = 48  # 0.1 s at 9600 bit/s, about what a second request costs; fewer reads leave less to mix up (trap M1)
MAX_FILE_BYTES = 65_536


class TemplateError(Exception):
    """A register map cannot be used. ``problems``: one readable line each, with file and line."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class Block(NamedTuple):
    """One contiguous read: ``length`` registers from ``address``."""

    address: int
    length: int

    @property
    def end(self) -> int:
        """First address behind the block."""
        return self.address + self.length

    def covers(self, other: Block) -> bool:
        """True if ``other`` lies entirely inside."""
        return self.address <= other.address and other.end <= self.end


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Product(_Model):
    """A device this map is for, as people know it."""

    brand: str = Field(min_length=1, max_length=60)
    description: str = Field(min_length=1, max_length=120)


class Register(_Model):
    """Where one quantity is and how its number is meant.

    scale: value in SI units per raw count, not 0. scale_register: address of a signed 16-bit
    power of ten that comes on top (SunSpec style). nan: raw values that mean "not available".
    absolute: the sign of the raw number means nothing. word_order: when it differs from the map's.
    """

    address: int = Field(ge=0, le=65_535)
    type: RegisterType
    scale: float = Field(default=1.0, allow_inf_nan=False)
    scale_register: int | None = Field(default=None, ge=0, le=65_535)
    nan: tuple[int, ...] = ()
    absolute: bool = False
    word_order: Literal["big", "little"] | None = None

    @field_validator("scale")
    @classmethod
    def _not_zero(cls, scale: float) -> float:
        if scale == 0:
            raise ValueError("scale 0 would make every reading 0; give the SI value of one raw count")
        return scale

    @field_validator("nan", mode="before")
    @classmethod
    def _one_or_many(cls, nan: Any) -> Any:
        return (nan,) if isinstance(nan, int) else nan

    @property
    def span(self) -> Block:
        """The registers of the value itself."""
        return Block(self.address, WIDTHS[self.type])


class Probe(_Model):
    """A known constant: an answer without it is from another device or another request (F46)."""

    address: int = Field(ge=0, le=65_535)
    type: Literal["u16", "u32", "u64"]
    equals: tuple[int, ...] = Field(min_length=1)

    @field_validator("equals", mode="before")
    @classmethod
    def _one_or_many(cls, equals: Any) -> Any:
        return (equals,) if isinstance(equals, int) else equals

    @property
    def span(self) -> Block:
        """The registers of the constant."""
        return Block(self.address, WIDTHS[self.type])


class Mark(Probe):
    """A constant that tells which model answers, for people who look for meters (``yardmaster meters scan``).

    Unlike the probe it is no condition: not every device of a family has it. says: the model. function: how it is read, default the map's.
    """

    says: str = Field(min_length=1, max_length=60)
    function: Literal[3, 4] | None = None


class Lost(Probe):
    """A value with which a device says itself that its numbers are not those of now; such a reading counts as silence.

    says: what it means. A device that refuses these registers is read without them.
    """

    says: str = Field(min_length=1, max_length=80)


class BlockModel(_Model):
    """A read written down in the map, for devices that insist on certain ranges."""

    address: int = Field(ge=0, le=65_535)
    count: int = Field(ge=1, le=125)


class Template(_Model):
    """The register map of one meter model.

    transport, port, unit, baud, parity, min_poll_s: hints for people and for ``yardmaster check``; baud and parity: as delivered.
    marks: constants by which ``yardmaster meters scan`` tells the model. lost_if: states in which its numbers are not those of now.
    sign: what a positive raw power means. "import": consumption from the grid, charging.
    current: "signed" if the current registers are known to go negative with the power; otherwise
    "unsigned": only their magnitude is used and the direction is taken from the phase power.
    max_regs: most registers per request. min_gap_ms: silence the device needs between two requests.
    connect_delay_ms: silence it needs after connecting. nan: "not available" codes per type.
    blocks: reads to do; derived from the registers when absent. controls: how the device is commanded.
    """

    name: str = Field(min_length=1, max_length=80)
    products: tuple[Product, ...] = Field(min_length=1)
    transport: Literal["tcp", "rtu", "rtu_or_tcp", "rtu_over_tcp"]
    port: int | None = Field(default=None, ge=1, le=65_535)
    unit: int | None = Field(default=None, ge=0, le=255)
    baud: int | None = Field(default=None, ge=300, le=1_000_000)
    parity: Literal["N", "E", "O"] | None = None
    min_poll_s: float = Field(default=0.0, ge=0, le=3600)
    single_client: bool = False
    function: Literal[3, 4]
    word_order: Literal["big", "little"] = "big"
    sign: Literal["import", "export"]
    current: Literal["signed", "unsigned"] | None = None
    max_regs: int = Field(default=120, ge=1, le=125)
    min_gap_ms: int = Field(default=0, ge=0, le=10_000)
    connect_delay_ms: int = Field(default=0, ge=0, le=60_000)
    nan: dict[RegisterType, tuple[int, ...]] = {}
    probe: Probe | None = None
    lost_if: tuple[Lost, ...] = ()
    marks: tuple[Mark, ...] = ()
    registers: dict[str, Register] = Field(min_length=1)
    blocks: tuple[BlockModel, ...] = ()
    caution: tuple[str, ...] = ()
    controls: Controls | None = None

    @field_validator("nan", mode="before")
    @classmethod
    def _one_or_many(cls, nan: Any) -> Any:
        if not isinstance(nan, dict):
            return nan
        return {kind: (codes,) if isinstance(codes, int) else codes for kind, codes in nan.items()}

    @field_validator("registers")
    @classmethod
    def _known_quantities(cls, registers: dict[str, Register]) -> dict[str, Register]:
        unknown = sorted(set(registers) - QUANTITIES)
        if unknown:
            raise ValueError(f"unknown quantity {', '.join(unknown)}; known are {', '.join(sorted(QUANTITIES))}")
        return registers

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        problems = [*self._overlaps(), *self._half_pairs(), *self._uncovered(), *self._impossible_signs()]
        if self.current is None and self.measures_current:
            problems.append("current is missing: say whether the current registers are signed or unsigned")
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _overlaps(self) -> Iterator[str]:
        spans = sorted((register.span, name) for name, register in self.registers.items())
        for (first, first_name), (second, second_name) in pairwise(spans):
            if second.address < first.end:
                yield f"registers {first_name} and {second_name} overlap at address {second.address}"

    def _half_pairs(self) -> Iterator[str]:
        for base in ("p", *(f"p_{phase}" for phase in PHASES)):
            present = [name for name in (f"{base}_imp", f"{base}_exp") if name in self.registers]
            if len(present) == 1 and base not in self.registers:
                yield f"{present[0]} without its counterpart; the net power of {base} cannot be known"

    def _uncovered(self) -> Iterator[str]:
        blocks = [Block(block.address, block.count) for block in self.blocks]
        for block in blocks:
            if block.length > self.max_regs:
                yield f"block at {block.address} reads {block.length} registers, more than max_regs {self.max_regs}"
        for span in self.spans if blocks else ():
            if not any(block.covers(span) for block in blocks):
                yield f"no block reads address {span.address}"

    def _impossible_signs(self) -> Iterator[str]:
        for phase in PHASES:
            register = self.registers.get(f"i_{phase}")
            if self.current == "signed" and register is not None and register.type.startswith("u"):
                yield f"current is signed but i_{phase} has the type {register.type}, which has no sign"

    @property
    def measures_current(self) -> bool:
        """True if at least one phase current is measured: without it no fuse can be guarded."""
        return any(f"i_{phase}" in self.registers for phase in PHASES)

    @property
    def spans(self) -> tuple[Block, ...]:
        """Every stretch of registers a reading needs (not the probe), ascending, without duplicates."""
        values = {register.span for register in self.registers.values()} | {lost.span for lost in self.lost_if}
        scales = {Block(r.scale_register, 1) for r in self.registers.values() if r.scale_register is not None}
        return tuple(sorted(values | scales))

    def plan(self) -> tuple[Block, ...]:
        """The reads of one poll, as few as possible; the probe is in them if it lies near."""
        if self.blocks:
            return tuple(Block(block.address, block.count) for block in self.blocks)
        return merge(self.spans, self.max_regs)

    def split(self, block: Block) -> tuple[Block, ...]:
        """Cut a block the device refuses at its widest hole; one span or less cannot be cut further.

        Devices differ within a product line: one refuses unused addresses, the next refuses long reads.
        """
        inside = [span for span in self.spans if block.covers(span)]
        if len(inside) < 2:
            return (block,)
        holes = [after.address - before.end for before, after in pairwise(inside)]
        widest = max(holes)
        middle = len(holes) / 2
        at = 1 + min((i for i, hole in enumerate(holes) if hole == widest), key=lambda i: abs(i + 1 - middle))
        return _hull(inside[:at]), _hull(inside[at:])

    def essential(self, block: Block) -> bool:
        """True if a reading without this block is worth nothing: it holds a current or a power, or all there is."""
        return any(block.covers(register.span) and (name[0] in "ip" or len(self.registers) == 1) for name, register in self.registers.items())

    def tells_something(self, image: Mapping[int, int]) -> bool:
        """True if a current or a power was read, or all there is: then a reading can be judged."""
        return any(register.address in image and (name[0] in "ip" or len(self.registers) == 1) for name, register in self.registers.items())


def merge(spans: tuple[Block, ...], max_regs: int) -> tuple[Block, ...]:
    """Join ascending spans into reads of at most ``max_regs`` registers without long holes."""
    blocks: list[Block] = []
    for span in spans:
        last = blocks[-1] if blocks else None
        if last is not None and span.end - last.address <= max_regs and span.address - last.end <= MAX_HOLE_REGS:
            blocks[-1] = _hull([last, span])
        else:
            blocks.append(span)
    return tuple(blocks)


def _hull(spans: list[Block]) -> Block:
    start = min(span.address for span in spans)
    return Block(start, max(span.end for span in spans) - start)


def load_template(path: Path) -> Template:
    """Read and check one register map. Raises TemplateError with every problem, file and line."""
    node, data = _read_yaml(path)
    try:
        return Template.model_validate(data)
    except ValidationError as error:
        raise TemplateError([f"{path.name}:{_line_of(node, item['loc'])}: {_sentence(item)}" for item in error.errors()]) from None


def load_all(directory: Path) -> dict[str, Template]:
    """Every map in a folder by file name without .yaml. Raises one TemplateError with all problems."""
    found: dict[str, Template] = {}
    problems: list[str] = []
    for path in sorted(directory.glob("*.yaml")):
        try:
            found[path.stem] = load_template(path)
        except TemplateError as error:
            problems += error.problems
    if problems:
        raise TemplateError(problems)
    return found


def find_template(directory: Path, name: str) -> Template:
    """The map ``name`` of a folder. Raises TemplateError naming the maps there are."""
    path = directory / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(item.stem for item in directory.glob("*.yaml"))) or "none"
        raise TemplateError([f"there is no register map '{name}' in {directory}; known maps: {known}"])
    return load_template(path)


class _Loader(yaml.SafeLoader):
    """SafeLoader that refuses duplicate keys and aliases: in a register map both are mistakes."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.composer.ComposerError(None, None, "aliases are not allowed", mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value]
        twice = next((key for key, _ in reversed(node.value) if keys.count(key.value) > 1), None)
        if twice is not None:
            raise yaml.constructor.ConstructorError(None, None, f"'{twice.value}' is given twice", twice.start_mark)
        return super().construct_mapping(node, deep=deep)


def _read_yaml(path: Path) -> tuple[yaml.Node, Any]:
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise TemplateError([f"{path.name}: larger than {MAX_FILE_BYTES} bytes, this is no register map"])
        loader = _Loader(path.read_text(encoding="utf-8"))
        node = loader.get_single_node()
        if not isinstance(node, yaml.MappingNode):
            raise TemplateError([f"{path.name}:1: a register map is a list of 'key: value' lines"])
        return node, loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise TemplateError([f"{path.name}:{line}: {error.problem}"]) from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise TemplateError([f"{path.name}: cannot be read: {error}"]) from None


def _line_of(node: yaml.Node, loc: tuple[int | str, ...]) -> int:
    """Line of the deepest node on the way ``loc`` that exists in the file."""
    for step in loc:
        following = _child(node, step)
        if following is None:
            break
        node = following
    return node.start_mark.line + 1


def _child(node: yaml.Node, step: int | str) -> yaml.Node | None:
    if isinstance(node, yaml.MappingNode):
        return next((value for key, value in node.value if key.value == str(step)), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return node.value[step]  # type: ignore[no-any-return]
    return None


def _sentence(item: Any) -> str:
    where = ".".join(str(step) for step in item["loc"])
    text = {"missing": "is missing", "extra_forbidden": "is not a known key"}.get(item["type"])
    if text:
        return f"{where} {text}"
    message = item["msg"].removeprefix("Value error, ")
    return f"{where}: {message}" if where else message
