"""Resources of an IEEE 2030.5 server as plain data: what a client of DER programs reads.

What the standard makes optional may be missing. What it demands and we need raises ``XmlError``; a list's items are
decoded one by one, so that one bad control does not hide the good ones (``Page.bad``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Generic, TypeVar

from signals.csip_xml import Node, XmlError, parse_as

Item = TypeVar("Item")
DIGITS: Final = 20
MOST_LIST: Final = 1000
"""More items than this in one list are refused: no utility needs them and we would read them every minute."""
LONGEST_S: Final = 2**32 - 1
LATEST_S: Final = 2**40


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """A part of a list. all: items of the whole list. results: of them here. bad: (mRID or "", why) of items that cannot be read."""

    all: int
    results: int
    items: tuple[Item, ...]
    bad: tuple[tuple[BadItem, str], ...] = ()
    poll_s: float | None = None


@dataclass(frozen=True, slots=True)
class BadItem:
    """What is known of an item that cannot be read: enough to answer it."""

    mrid: str = ""
    reply_to: str | None = None
    response_required: int = 0


@dataclass(frozen=True, slots=True)
class Capability:
    """DeviceCapability: where everything else is."""

    poll_s: float | None
    time: str | None
    end_devices: str | None
    programs: str | None
    mirrors: str | None


@dataclass(frozen=True, slots=True)
class ServerTime:
    """Time. now_s: Unix time [s]. quality: 3 authoritative to 7 intentionally uncoordinated. zone_s: offset of local time."""

    now_s: int
    quality: int
    zone_s: int
    poll_s: float | None


@dataclass(frozen=True, slots=True)
class EndDevice:
    """One of the server's EndDevices."""

    href: str | None
    lfdi: str | None
    sfdi: int | None
    enabled: bool
    assignments: str | None
    registration: str | None
    ders: str | None
    post_s: float | None


@dataclass(frozen=True, slots=True)
class Registration:
    """What the server has registered us with."""

    pin: int
    poll_s: float | None


@dataclass(frozen=True, slots=True)
class Assignment:
    """FunctionSetAssignments: which programs and which time are ours."""

    programs: str | None
    time: str | None


@dataclass(frozen=True, slots=True)
class Program:
    """DERProgram. primacy: the lower wins."""

    mrid: str
    primacy: int
    name: str
    default: str | None
    controls: str | None
    active: str | None


@dataclass(frozen=True, slots=True)
class Power:
    """ActivePower: value * 10 ** multiplier [W]."""

    value: int
    multiplier: int


@dataclass(frozen=True, slots=True)
class Modes:
    """DERControlBase. powers, percents: modes by name, percents in hundredths. others: modes we can only name."""

    powers: tuple[tuple[str, Power], ...] = ()
    percents: tuple[tuple[str, int], ...] = ()
    connect: bool | None = None
    energize: bool | None = None
    others: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Control:
    """DERControl. Times in Unix seconds of the server. status: 0 scheduled .. 4 superseded. category: bits, None = everybody."""

    mrid: str
    version: int
    name: str
    start_s: int
    duration_s: int
    created_s: int
    status: int
    status_s: int
    randomize_start_s: int
    randomize_duration_s: int
    category: int | None
    modes: Modes
    reply_to: str | None
    response_required: int


@dataclass(frozen=True, slots=True)
class Default:
    """DefaultDERControl: what holds while no control does."""

    mrid: str
    version: int
    name: str
    modes: Modes


@dataclass(frozen=True, slots=True)
class Der:
    """Where a DER's own data are PUT."""

    capability: str | None
    settings: str | None
    status: str | None
    availability: str | None


# -- single resources --------------------------------------------------------------------------------


def capability(body: bytes) -> Capability:
    """DeviceCapability. Raises XmlError, as all of these."""
    root = parse_as(body, "DeviceCapability")
    links = (_link(root, f"{name}Link") for name in ("Time", "EndDeviceList", "DERProgramList", "MirrorUsagePointList"))
    return Capability(_poll(root), *links)


def server_time(body: bytes) -> ServerTime:
    """Time."""
    root = parse_as(body, "Time")
    now_s = _integer(_text(root, "currentTime"), "currentTime", 0, LATEST_S)
    return ServerTime(now_s, _number(root, "quality", 7, 0, 255), _number(root, "tzOffset", 0, -86_400, 86_400), _poll(root))


def registration(body: bytes) -> Registration:
    """Registration."""
    root = parse_as(body, "Registration")
    return Registration(_integer(_text(root, "pIN"), "pIN", 0, 999_999), _poll(root))


def end_device(body: bytes) -> EndDevice:
    """One EndDevice by itself."""
    return _end_device(parse_as(body, "EndDevice"))


def default(body: bytes) -> Default:
    """DefaultDERControl."""
    root = parse_as(body, "DefaultDERControl")
    base = root.one("DERControlBase")
    return Default(_mrid(root), _number(root, "version", 0, 0, 65_535), _name(root), modes(base) if base is not None else Modes())


def post_rate(body: bytes) -> float | None:
    """What a MirrorUsagePoint wants between two posts [s], None = it does not say."""
    return _seconds(parse_as(body, "MirrorUsagePoint"), "postRate")


# -- lists ----------------------------------------------------------------------------------------------


def end_devices(body: bytes) -> Page[EndDevice]:
    """EndDeviceList."""
    return _page(body, "EndDevice", _end_device)


def assignments(body: bytes) -> Page[Assignment]:
    """FunctionSetAssignmentsList."""
    return _page(body, "FunctionSetAssignments", lambda node: Assignment(_link(node, "DERProgramListLink"), _link(node, "TimeLink")))


def programs(body: bytes) -> Page[Program]:
    """DERProgramList."""
    return _page(body, "DERProgram", _program)


def controls(body: bytes) -> Page[Control]:
    """DERControlList, also the active one."""
    return _page(body, "DERControl", _control)


def ders(body: bytes) -> Page[Der]:
    """DERList."""
    return _page(body, "DER", _der)


def whole(pages: list[Page[Item]]) -> Page[Item]:
    """Pages put together. poll_s: of the first."""
    items = tuple(item for page in pages for item in page.items)
    bad = tuple(one for page in pages for one in page.bad)
    return replace(pages[0], results=len(items) + len(bad), items=items, bad=bad)


def _page(body: bytes, tag: str, decode: Callable[[Node], Item]) -> Page[Item]:
    root = parse_as(body, f"{tag}List")
    items: list[Item] = []
    bad: list[tuple[BadItem, str]] = []
    for node in root.all(tag):
        try:
            items.append(decode(node))
        except XmlError as error:
            bad.append((_known(node), str(error)))
    count = len(items) + len(bad)
    everything = _integer(root.attributes.get("all", str(count)), "all", 0, 2**32 - 1)
    if everything > MOST_LIST or count > MOST_LIST:
        raise XmlError(f"the {tag}List has {max(everything, count)} items, more than {MOST_LIST}; it was not read")
    return Page(everything, count, tuple(items), tuple(bad), _poll(root))


def _known(node: Node) -> BadItem:
    try:
        mrid = _mrid(node)
    except XmlError:
        return BadItem()
    try:
        return BadItem(mrid, _uri(node.attributes.get("replyTo")), _hex(node.attributes.get("responseRequired", "0"), "responseRequired", 8))
    except XmlError:
        return BadItem(mrid)


def _end_device(node: Node) -> EndDevice:
    short = node.one("sFDI")
    return EndDevice(
        _uri(node.attributes.get("href")),
        long.text if (long := node.one("lFDI")) is not None else None,
        _integer(short.text, "sFDI", 0, 2**40) if short is not None else None,
        _flag(node, "enabled") is not False,
        _link(node, "FunctionSetAssignmentsListLink"),
        _link(node, "RegistrationLink"),
        _link(node, "DERListLink"),
        _seconds(node, "postRate"),
    )


def _program(node: Node) -> Program:
    links = (_link(node, f"{name}Link") for name in ("DefaultDERControl", "DERControlList", "ActiveDERControlList"))
    return Program(_mrid(node), _integer(_text(node, "primacy"), "primacy", 0, 255), _name(node), *links)


def _der(node: Node) -> Der:
    return Der(*(_link(node, f"{name}Link") for name in ("DERCapability", "DERSettings", "DERStatus", "DERAvailability")))


def _control(node: Node) -> Control:
    interval, status, base = (_need(node, name) for name in ("interval", "EventStatus", "DERControlBase"))
    category = node.one("deviceCategory")
    return Control(
        _mrid(node),
        _number(node, "version", 0, 0, 65_535),
        _name(node),
        _integer(_text(interval, "start"), "start", 0, LATEST_S),
        _integer(_text(interval, "duration"), "duration", 0, LONGEST_S),
        _number(node, "creationTime", 0, 0, LATEST_S),
        _integer(_text(status, "currentStatus"), "currentStatus", 0, 4),
        _number(status, "dateTime", 0, 0, LATEST_S),
        _number(node, "randomizeStart", 0, -3600, 3600),
        _number(node, "randomizeDuration", 0, -3600, 3600),
        _hex(category.text, "deviceCategory", 32) if category is not None else None,
        modes(base),
        _uri(node.attributes.get("replyTo")),
        _hex(node.attributes.get("responseRequired", "0"), "responseRequired", 8),
    )


# -- DERControlBase ------------------------------------------------------------------------------------------

POWER_MODES: Final = frozenset({"opModTargetW", "opModImpLimW", "opModExpLimW", "opModGenLimW", "opModLoadLimW", "opModStorageTargetW"})
PERCENT_MODES: Final = {"opModMaxLimW": (0, 10_000), "opModFixedW": (-10_000, 10_000)}


def modes(base: Node) -> Modes:
    """DERControlBase: every mode in it, each once. A mode in a namespace that is nobody's is named among the others."""
    powers: dict[str, Power] = {}
    percents: dict[str, int] = {}
    flags: dict[str, bool | None] = {}
    others: list[str] = []
    for node in base.children:
        name = node.tag.removeprefix("aus:")
        if name in powers or name in percents or name in flags:
            raise XmlError(f"{name} is given twice")
        if name in POWER_MODES:
            powers[name] = _power(node)
        elif name in PERCENT_MODES:
            percents[name] = _integer(node.text, name, *PERCENT_MODES[name])
        elif name in ("opModConnect", "opModEnergize"):
            flags[name] = _flag(base, node.tag)
        elif name != "rampTms":  # only how fast a mode is reached; ours are never slower than our devices
            others.append(name.rpartition("|")[2][:40])
    flag = flags.get("opModConnect"), flags.get("opModEnergize")
    return Modes(tuple(powers.items()), tuple(percents.items()), *flag, tuple(others))


def _power(node: Node) -> Power:
    """The standard's value has 16 bits; servers of large sites send more, and we take up to a gigawatt."""
    multiplier = _integer(_text(node, "multiplier"), f"{node.tag} multiplier", -9, 9)
    return Power(_integer(_text(node, "value"), f"{node.tag} value", -(10**9), 10**9), multiplier)


# -- words and numbers -----------------------------------------------------------------------------------------


def _need(node: Node, name: str) -> Node:
    found = node.one(name)
    if found is None:
        raise XmlError(f"a {node.tag} has no {name}")
    return found


def _text(node: Node, name: str) -> str:
    return _need(node, name).text


def _name(node: Node) -> str:
    found = node.one("description")
    return "".join(char for char in found.text if char.isprintable())[:64] if found is not None else ""


def _mrid(node: Node) -> str:
    text = _text(node, "mRID").upper()
    if not 0 < len(text) <= 32 or any(char not in "0123456789ABCDEF" for char in text):
        raise XmlError(f"a {node.tag} has the mRID {text[:40]!r}, which is no hexadecimal number of 128 bits")
    return text


def _link(node: Node, name: str) -> str | None:
    found = node.one(name)
    return _uri(found.attributes.get("href")) if found is not None else None


def _uri(text: str | None) -> str | None:
    if text is None or not (trimmed := text.strip()):
        return None
    if len(trimmed) > 1024 or not trimmed.isascii() or not trimmed.isprintable() or " " in trimmed:
        raise XmlError("an address in the document is no URI")
    return trimmed


def _poll(root: Node) -> float | None:
    text = root.attributes.get("pollRate")
    return float(max(1, _integer(text, "pollRate", 0, LONGEST_S))) if text is not None else None


def _seconds(node: Node, name: str) -> float | None:
    found = node.one(name)
    return float(max(1, _integer(found.text, name, 0, LONGEST_S))) if found is not None else None


def _number(node: Node, name: str, otherwise: int, low: int, high: int) -> int:
    found = node.one(name)
    return otherwise if found is None else _integer(found.text, name, low, high)


def _integer(text: str, name: str, low: int, high: int) -> int:
    trimmed = text.strip()
    digits = trimmed.removeprefix("-").removeprefix("+") if trimmed[:2] not in ("-+", "+-") else ""
    if not digits.isascii() or not digits.isdigit() or len(digits) > DIGITS:
        raise XmlError(f"{name} is {trimmed[:40]!r}, which is no whole number")
    number = int(trimmed)
    if not low <= number <= high:
        raise XmlError(f"{name} is {number}, which is not between {low} and {high}")
    return number


def _hex(text: str, name: str, bits: int) -> int:
    trimmed = text.strip()
    if not 0 < len(trimmed) <= bits // 4 or any(char not in "0123456789abcdefABCDEF" for char in trimmed):
        raise XmlError(f"{name} is {trimmed[:40]!r}, which is no hexadecimal number of {bits} bits")
    return int(trimmed, 16)


def _flag(node: Node, name: str) -> bool | None:
    found = node.one(name)
    if found is None:
        return None
    if found.text not in ("true", "false", "1", "0"):
        raise XmlError(f"{name} is {found.text[:40]!r}, which is neither true nor false")
    return found.text in ("true", "1")
