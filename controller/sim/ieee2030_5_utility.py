"""What a simulated IEEE 2030.5 utility knows: its devices, programs and controls, and all it was told. No sockets.

Documents are made and checked with the models of envoy-schema, which others wrote: neither our reader nor our writer is its own judge.
"""

from __future__ import annotations

import types
import typing
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from envoy_schema.server.schema.sep2 import der, end_device, log_events, metering_mirror, pub_sub
from envoy_schema.server.schema.sep2 import response as responses
from envoy_schema.server.schema.sep2.base import BaseXmlModelWithNS
from envoy_schema.server.schema.sep2.der_control_types import ActivePower
from envoy_schema.server.schema.sep2.event import EventStatus
from envoy_schema.server.schema.sep2.types import DateTimeIntervalType
from pydantic_xml.fields import XmlEntityInfo
from pydantic_xml.typedefs import EntityLocation

SEP = "{urn:ieee:std:2030.5:ns}"
SCHEDULED, ACTIVE = 0, 1
POWERS = frozenset({"opModTargetW", "opModImpLimW", "opModExpLimW", "opModGenLimW", "opModLoadLimW", "opModStorageTargetW"})


@dataclass(slots=True)
class Device:
    """A registered EndDevice."""

    number: int
    lfdi: str
    sfdi: int
    pin: int
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class Planned:
    """A DERControl. start_s, duration_s and the randomisations in seconds of the server. status: None = by time, else 2, 3 or 4."""

    mrid: str
    start_s: int
    duration_s: int
    modes: Mapping[str, Any]
    created_s: int
    version: int = 0
    randomize_start_s: int | None = None
    randomize_duration_s: int | None = None
    required: str = "03"
    category: str | None = None
    status: int | None = None
    status_s: int = 0


@dataclass(slots=True)
class SimProgram:
    """A DERProgram. default: modes, None = the link leads to nothing."""

    number: int
    mrid: str
    primacy: int
    name: str
    default: Mapping[str, Any] | None = None
    controls: dict[str, Planned] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Told:
    """Something a client sent. what: name of the document. who: LFDI."""

    what: str
    who: str
    path: str
    content: dict[str, Any]


class RefusedError(Exception):
    """The client sent what the standard does not allow. status: HTTP."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class Utility:
    """The state behind a server. wall_s: its clock before offset_s."""

    def __init__(self, wall_s: Callable[[], float]) -> None:
        self._wall_s = wall_s
        self.offset_s = 0.0
        self.poll_s: int | None = 2
        self.post_s = 2
        self.page = 3
        self.in_band = False
        self.new_pin = 111115
        self.devices: dict[str, Device] = {}
        self.programs: dict[int, SimProgram] = {}
        self.mirrors: dict[str, tuple[int, metering_mirror.MirrorUsagePointRequest]] = {}
        self.subscribable = True
        self.subscriptions: dict[int, tuple[str, pub_sub.Subscription]] = {}
        self.told: list[Told] = []

    def now_s(self) -> int:
        """The server's time."""
        return int(self._wall_s() + self.offset_s)

    def register(self, lfdi: str, sfdi: int, pin: int) -> Device:
        """Know a device from now on."""
        device = self.devices.get(lfdi) or Device(len(self.devices) + 1, lfdi, sfdi, pin)
        self.devices[lfdi] = replace(device, pin=pin)
        return self.devices[lfdi]

    def plan(self, program: int, control: Planned) -> None:
        """Put a control into a program, or change it."""
        self.programs[program].controls[control.mrid] = control

    def end(self, mrid: str, status: int) -> None:
        """Cancel (2), cancel with randomisation (3) or supersede (4) a control."""
        for program in self.programs.values():
            if mrid in program.controls:
                program.controls[mrid] = replace(program.controls[mrid], status=status, status_s=self.now_s())

    # -- documents ----------------------------------------------------------------------------------------

    def control(self, device: Device, control: Planned) -> der.DERControlResponse:
        """One DERControl as a document."""
        begun = self.now_s() >= control.start_s
        status = control.status if control.status is not None else ACTIVE if begun else SCHEDULED
        return der.DERControlResponse(
            href=f"/edev/{device.number}/derc/{control.mrid}",
            replyTo=f"/edev/{device.number}/rsps/1/rsp",
            responseRequired=control.required,
            mRID=control.mrid,
            description=f"control {control.mrid[:4]}",
            version=control.version,
            creationTime=control.created_s,
            EventStatus_=EventStatus(currentStatus=status, dateTime=control.status_s or control.created_s, potentiallySuperseded=False),
            interval=DateTimeIntervalType(duration=control.duration_s, start=control.start_s),
            randomizeDuration=control.randomize_duration_s,
            randomizeStart=control.randomize_start_s,
            DERControlBase_=base(control.modes),
            deviceCategory=control.category,
        )

    def controls(self, device: Device, program: SimProgram, active: bool) -> list[der.DERControlResponse]:
        """Those of a program that are not over, the earliest first."""
        now_s = self.now_s()
        alive = sorted((one for one in program.controls.values() if now_s < one.start_s + one.duration_s + 600), key=lambda one: one.start_s)
        documents = [self.control(device, one) for one in alive]
        running = {one.mrid for one in alive if one.start_s <= now_s < one.start_s + one.duration_s}
        return [one for one in documents if not active or (one.EventStatus_.currentStatus == ACTIVE and one.mRID in running)]

    # -- what clients send ----------------------------------------------------------------------------------

    def take(self, what: str, who: str, path: str, body: bytes) -> Any:
        """Check a document and keep it. Raises RefusedError."""
        model = checked(what, body)
        if what == "DERControlResponse":
            self._check_response(who, model)
        if what == "EndDevice" and (model.lFDI is None or model.lFDI.upper() != who):
            raise RefusedError(400, "an EndDevice must have the LFDI of the certificate")
        self.told.append(Told(what, who, path, model.model_dump(mode="json", exclude_none=True, warnings=False)))
        return model

    def _check_response(self, who: str, model: responses.DERControlResponse) -> None:
        known = {mrid for program in self.programs.values() for mrid in program.controls}
        if model.endDeviceLFDI.upper() != who:
            raise RefusedError(400, "endDeviceLFDI is not that of the certificate")
        if model.subject not in known:
            raise RefusedError(404, f"there is no control {model.subject}")
        if model.createdDateTime is None or model.status is None or abs(model.createdDateTime - self.now_s()) > 3600:
            raise RefusedError(400, "a response needs a status and a time of ours")


def base(modes: Mapping[str, Any]) -> der.DERControlBase:
    """DERControlBase of plain values: watts (or (value, multiplier)) for powers, hundredths for percents, booleans."""
    values: dict[str, Any] = {}
    for name, value in modes.items():
        if name not in POWERS:
            values[name] = value
        elif isinstance(value, list | tuple):
            values[name] = ActivePower(value=value[0], multiplier=value[1])
        else:
            values[name] = ActivePower(value=value, multiplier=0)
    return der.DERControlBase(**values)


MODELS: dict[str, type[BaseXmlModelWithNS]] = {
    "EndDevice": end_device.EndDeviceRequest,
    "DERControlResponse": responses.DERControlResponse,
    "DERCapability": der.DERCapability,
    "DERSettings": der.DERSettings,
    "DERStatus": der.DERStatus,
    "DERAvailability": der.DERAvailability,
    "LogEvent": log_events.LogEvent,
    "Subscription": pub_sub.Subscription,
    "MirrorUsagePoint": metering_mirror.MirrorUsagePointRequest,
    "MirrorMeterReading": metering_mirror.MirrorMeterReadingRequest,
}


def checked(what: str, body: bytes) -> Any:
    """A document as its model. Raises RefusedError for a wrong name, wrong order, unknown elements, or values that are none."""
    try:
        root = ElementTree.fromstring(body)
    except ElementTree.ParseError as error:
        raise RefusedError(400, f"no XML: {error}") from None
    if root.tag != SEP + what:
        raise RefusedError(400, f"{root.tag} where {what} belongs")
    model = MODELS[what]
    _check_order(root, model)
    try:
        return model.from_xml(body)
    except Exception as error:
        raise RefusedError(400, f"{what} does not keep to the schema: {error}") from None


def _check_order(node: ElementTree.Element, model: type[BaseXmlModelWithNS]) -> None:
    """The schema is a sequence: elements stand in the order of the model's fields, those of a base type first."""
    order = _elements(model)
    tags = [child.tag for child in node]
    unknown = [tag for tag in tags if tag not in order]
    if unknown:
        raise RefusedError(400, f"{node.tag} has no {unknown[0]}")
    places = [list(order).index(tag) for tag in tags]
    if places != sorted(places):
        raise RefusedError(400, f"the elements of {node.tag} are not in the order of the schema: {[tag.rpartition('}')[2] for tag in tags]}")
    for child in node:
        if (inner := order[child.tag]) is not None:
            _check_order(child, inner)


def _elements(model: type[BaseXmlModelWithNS]) -> dict[str, type[BaseXmlModelWithNS] | None]:
    spaces: dict[str | None, str] = {None: SEP, "csipaus": "{https://csipaus.org/ns/v1.3}"}
    found: dict[str, type[BaseXmlModelWithNS] | None] = {}
    for name, info in model.model_fields.items():
        for entity in (one for one in info.metadata if isinstance(one, XmlEntityInfo)):
            if entity.location is EntityLocation.ELEMENT:
                found[spaces[entity.ns] + (entity.path or name)] = _inner(info.annotation)
    return found


def _inner(annotation: Any) -> type[BaseXmlModelWithNS] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseXmlModelWithNS):
        return annotation
    parts: Sequence[Any] = typing.get_args(annotation) if typing.get_origin(annotation) in (typing.Union, types.UnionType, list) else ()
    return next((found for part in parts if (found := _inner(part)) is not None), None)
