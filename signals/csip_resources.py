"""Resources of an IEEE 2030.5 server as plain data: what a client of DER programs reads.

What the standard makes optional may be missing. What it demands and we need raises ``XmlError``; a list's items are
decoded one by one, so that one bad control does not hide the good ones (``Page.bad``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Generic, TypeVar

from signals.csip_modes import Modes, modes
from signals.csip_values import (
    LATEST_S,
    LONGEST_S,
    called,
    flag,
    hexadecimal,
    integer,
    link,
    mrid,
    need,
    number,
    poll_rate,
    seconds,
    text_of,
    uri,
)
from signals.csip_xml import Node, XmlError, parse_as

Item = TypeVar("Item")
MOST_LIST: Final = 1000
"""More items than this in one list are refused: no utility needs them and we would read them every minute."""


RESPONSES: Final = ("DERControlResponse", "DrResponse", "PriceResponse", "TextResponse", "FlowReservationResponseResponse")


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """A part of a list. all: items of the whole list. results: of them here. bad: (mRID or "", why) of items that cannot be read.
    subscribable: without conditions."""

    all: int
    results: int
    items: tuple[Item, ...]
    bad: tuple[tuple[BadItem, str], ...] = ()
    poll_s: float | None = None
    subscribable: bool = False


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
    subscriptions: str | None = None
    log: str | None = None


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
    subscribable: bool = False


@dataclass(frozen=True, slots=True)
class Der:
    """Where a DER's own data are PUT."""

    capability: str | None
    settings: str | None
    status: str | None
    availability: str | None


@dataclass(frozen=True, slots=True)
class Answered:
    """A Response the server has. status: its code, None = not said."""

    lfdi: str
    subject: str
    status: int | None


@dataclass(frozen=True, slots=True)
class Subscribed:
    """A Subscription. href: its own place. resource: what it is to. uri: whom the server notifies."""

    href: str | None
    resource: str
    uri: str


@dataclass(frozen=True, slots=True)
class Notification:
    """status: 0 something changed, others: the subscription is no more."""

    resource: str
    status: int


# -- single resources --------------------------------------------------------------------------------


def capability(body: bytes) -> Capability:
    """DeviceCapability. Raises XmlError, as all of these."""
    root = parse_as(body, "DeviceCapability")
    links = (link(root, f"{name}Link") for name in ("Time", "EndDeviceList", "DERProgramList", "MirrorUsagePointList"))
    return Capability(poll_rate(root), *links)


def server_time(body: bytes) -> ServerTime:
    """Time."""
    root = parse_as(body, "Time")
    now_s = integer(text_of(root, "currentTime"), "currentTime", 0, LATEST_S)
    return ServerTime(now_s, number(root, "quality", 7, 0, 255), number(root, "tzOffset", 0, -86_400, 86_400), poll_rate(root))


def registration(body: bytes) -> Registration:
    """Registration."""
    root = parse_as(body, "Registration")
    return Registration(integer(text_of(root, "pIN"), "pIN", 0, 999_999), poll_rate(root))


def end_device(body: bytes) -> EndDevice:
    """One EndDevice by itself."""
    return _end_device(parse_as(body, "EndDevice"))


def default(body: bytes) -> Default:
    """DefaultDERControl."""
    root = parse_as(body, "DefaultDERControl")
    base = root.one("DERControlBase")
    return Default(mrid(root), number(root, "version", 0, 0, 65_535), called(root), modes(base) if base is not None else Modes(), _subscribable(root))


def notification(body: bytes) -> Notification:
    """Notification. The resource in it, if there is any, is not looked at."""
    root = parse_as(body, "Notification")
    return Notification(text_of(root, "subscribedResource"), integer(text_of(root, "status"), "status", 0, 255))


def post_rate(body: bytes) -> float | None:
    """What a MirrorUsagePoint wants between two posts [s], None = it does not say."""
    return seconds(parse_as(body, "MirrorUsagePoint"), "postRate")


# -- lists ----------------------------------------------------------------------------------------------


def end_devices(body: bytes) -> Page[EndDevice]:
    """EndDeviceList."""
    return _page(body, "EndDevice", _end_device)


def assignments(body: bytes) -> Page[Assignment]:
    """FunctionSetAssignmentsList."""
    return _page(body, "FunctionSetAssignments", lambda node: Assignment(link(node, "DERProgramListLink"), link(node, "TimeLink")))


def programs(body: bytes) -> Page[Program]:
    """DERProgramList."""
    return _page(body, "DERProgram", _program)


def controls(body: bytes) -> Page[Control]:
    """DERControlList, also the active one."""
    return _page(body, "DERControl", _control)


def ders(body: bytes) -> Page[Der]:
    """DERList."""
    return _page(body, "DER", _der)


def responses(body: bytes) -> Page[Answered]:
    """ResponseList. Its items are responses of every kind: by name, or by type only."""
    return _page(body, "Response", _answered, RESPONSES)


def subscriptions(body: bytes) -> Page[Subscribed]:
    """SubscriptionList."""
    return _page(body, "Subscription", _subscribed)


def whole(pages: list[Page[Item]]) -> Page[Item]:
    """Pages put together. poll_s: of the first."""
    items = tuple(item for page in pages for item in page.items)
    bad = tuple(one for page in pages for one in page.bad)
    return replace(pages[0], results=len(items) + len(bad), items=items, bad=bad)


def _page(body: bytes, tag: str, decode: Callable[[Node], Item], kin: tuple[str, ...] = ()) -> Page[Item]:
    root = parse_as(body, f"{tag}List")
    items: list[Item] = []
    bad: list[tuple[BadItem, str]] = []
    for node in (child for child in root.children if child.tag == tag or child.tag in kin):
        try:
            items.append(decode(node))
        except XmlError as error:
            bad.append((_known(node), str(error)))
    count = len(items) + len(bad)
    everything = integer(root.attributes.get("all", str(count)), "all", 0, 2**32 - 1)
    if everything > MOST_LIST or count > MOST_LIST:
        raise XmlError(f"the {tag}List has {max(everything, count)} items, more than {MOST_LIST}; it was not read")
    return Page(everything, count, tuple(items), tuple(bad), poll_rate(root), _subscribable(root))


def _subscribable(node: Node) -> bool:
    """1 and 3: without conditions."""
    return node.attributes.get("subscribable", "0").strip() in ("1", "3")


def _subscribed(node: Node) -> Subscribed:
    return Subscribed(uri(node.attributes.get("href")), text_of(node, "subscribedResource"), text_of(node, "notificationURI"))


def _known(node: Node) -> BadItem:
    try:
        name = mrid(node)
    except XmlError:
        return BadItem()
    try:
        required = hexadecimal(node.attributes.get("responseRequired", "0"), "responseRequired", 8)
        return BadItem(name, uri(node.attributes.get("replyTo")), required)
    except XmlError:
        return BadItem(name)


def _end_device(node: Node) -> EndDevice:
    short = node.one("sFDI")
    return EndDevice(
        uri(node.attributes.get("href")),
        long.text if (long := node.one("lFDI")) is not None else None,
        integer(short.text, "sFDI", 0, 2**40) if short is not None else None,
        flag(node, "enabled") is not False,
        link(node, "FunctionSetAssignmentsListLink"),
        link(node, "RegistrationLink"),
        link(node, "DERListLink"),
        seconds(node, "postRate"),
        link(node, "SubscriptionListLink"),
        link(node, "LogEventListLink"),
    )


def _answered(node: Node) -> Answered:
    status = node.one("status")
    code = integer(status.text, "status", 0, 255) if status is not None else None
    return Answered(text_of(node, "endDeviceLFDI"), text_of(node, "subject").upper(), code)


def _program(node: Node) -> Program:
    links = (link(node, f"{name}Link") for name in ("DefaultDERControl", "DERControlList", "ActiveDERControlList"))
    return Program(mrid(node), integer(text_of(node, "primacy"), "primacy", 0, 255), called(node), *links)


def _der(node: Node) -> Der:
    return Der(*(link(node, f"{name}Link") for name in ("DERCapability", "DERSettings", "DERStatus", "DERAvailability")))


def _control(node: Node) -> Control:
    interval, status, base = (need(node, name) for name in ("interval", "EventStatus", "DERControlBase"))
    category = node.one("deviceCategory")
    return Control(
        mrid(node),
        number(node, "version", 0, 0, 65_535),
        called(node),
        integer(text_of(interval, "start"), "start", 0, LATEST_S),
        integer(text_of(interval, "duration"), "duration", 0, LONGEST_S),
        number(node, "creationTime", 0, 0, LATEST_S),
        integer(text_of(status, "currentStatus"), "currentStatus", 0, 4),
        number(status, "dateTime", 0, 0, LATEST_S),
        number(node, "randomizeStart", 0, -3600, 3600),
        number(node, "randomizeDuration", 0, -3600, 3600),
        hexadecimal(category.text, "deviceCategory", 32) if category is not None else None,
        modes(base),
        uri(node.attributes.get("replyTo")),
        hexadecimal(node.attributes.get("responseRequired", "0"), "responseRequired", 8),
    )
