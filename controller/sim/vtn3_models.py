"""What a strict OpenADR 3 server takes: the schemas of 3.0.1 and 3.1.1, written from the specification.

Strict means: types are not coerced, patterns and bounds hold, and fields the schema does not have are refused, although the specification
lets a server pass over them: what our VEN sends shall be exactly what was agreed.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

DURATION = r"^(-?)P(?=\d|T\d)(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)([DW]))?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?$"
TIME = r"^\d{4}-\d\d-\d\d([Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)?)?$"


def _no_lookaround(pattern: str) -> Any:
    """pydantic's own engine knows no look-ahead, which the specification's pattern has."""
    import re

    compiled = re.compile(pattern)

    def check(value: Any) -> Any:
        if not isinstance(value, str) or not compiled.fullmatch(value):
            raise ValueError(f"does not match {pattern}")
        return value

    return BeforeValidator(check)


class Shape(BaseModel):
    """Base of all bodies."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


ObjectId = Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]*$", min_length=1, max_length=128)]
Name = Annotated[str, Field(min_length=1, max_length=128)]
Duration = Annotated[str, _no_lookaround(DURATION)]
DateTime = Annotated[str, _no_lookaround(TIME)]
Object = Literal["PROGRAM", "EVENT", "REPORT", "SUBSCRIPTION", "VEN", "RESOURCE"]


class Point(Shape):
    """A pair of numbers."""

    x: float
    y: float


class ValuesMap(Shape):
    """Values of a type."""

    type: Name
    values: list[float | int | str | bool | Point]


class Period(Shape):
    """When."""

    start: DateTime | None = None
    duration: Duration | None = None
    randomizeStart: Duration | None = None  # noqa: N815


class Interval(Shape):
    """A window and its values."""

    id: int
    intervalPeriod: Period | None = None  # noqa: N815
    payloads: list[ValuesMap]


class EventDescriptor(Shape):
    """Units of an event's payload."""

    objectType: Literal["EVENT_PAYLOAD_DESCRIPTOR"] | None = None  # noqa: N815
    payloadType: Name  # noqa: N815
    units: str | None = None
    currency: str | None = None


class ReportPayloadDescriptor(Shape):
    """Units of a report's payload."""

    objectType: Literal["REPORT_PAYLOAD_DESCRIPTOR"]  # noqa: N815
    payloadType: Name  # noqa: N815
    readingType: Name | None = None  # noqa: N815
    units: Name | None = None
    accuracy: float | None = None
    confidence: Annotated[int, Field(ge=0, le=100)] | None = None


class ReportPayloadDescriptor30(ReportPayloadDescriptor):
    """The same in 3.0.1."""

    objectType: Literal["REPORT_PAYLOAD_DESCRIPTOR"] | None = None  # type: ignore[assignment]  # noqa: N815


class ReportDescriptor(Shape):
    """A request for reports."""

    payloadType: Name  # noqa: N815
    readingType: Name | None = None  # noqa: N815
    units: Name | None = None
    targets: list[ValuesMap | Name] | None = None
    aggregate: bool = False
    startInterval: int = -1  # noqa: N815
    numIntervals: int = -1  # noqa: N815
    historical: bool = True
    frequency: int = -1
    repeat: int = 1
    reportIntervals: Literal["INTERVALS", "SUB_INTERVALS", "OPEN_INTERVALS"] = "INTERVALS"  # noqa: N815


class Program(Shape):
    """programRequest, with what 3.0 had as fields of its own."""

    model_config = ConfigDict(extra="allow", strict=True, allow_inf_nan=False)
    programName: Name  # noqa: N815
    intervalPeriod: Period | None = None  # noqa: N815
    payloadDescriptors: list[EventDescriptor | ReportPayloadDescriptor30] | None = None  # noqa: N815
    targets: list[ValuesMap | Name] | None = None


class Event(Shape):
    """eventRequest. Fields of a server's own are kept: BL and VEN may have agreed on them."""

    model_config = ConfigDict(extra="allow", strict=True, allow_inf_nan=False)
    programID: ObjectId  # noqa: N815
    eventName: str | None = None  # noqa: N815
    duration: Duration | None = None
    priority: Annotated[int, Field(ge=0)] | None = None
    targets: list[ValuesMap | Name] | None = None
    reportDescriptors: list[ReportDescriptor] | None = None  # noqa: N815
    payloadDescriptors: list[EventDescriptor] | None = None  # noqa: N815
    intervalPeriod: Period | None = None  # noqa: N815
    intervals: list[Interval] | None = None


class ReportResource(Shape):
    """What is reported of one resource."""

    resourceName: Name  # noqa: N815
    intervalPeriod: Period | None = None  # noqa: N815
    intervals: list[Interval]


_NOT_NEGATIVE = frozenset({"USAGE", "DEMAND"})
_QUALITY = frozenset({"OK", "MISSING", "ESTIMATED", "BAD"})
_STATES = frozenset(
    [
        *("NORMAL", "ERROR", "IDLE_NORMAL", "RUNNING_NORMAL", "RUNNING_CURTAILED", "RUNNING_HEIGHTENED", "IDLE_CURTAILED"),
        *("SGD_ERROR_CONDITION", "IDLE_HEIGHTENED", "IDLE_OPTED_OUT", "RUNNING_OPTED_OUT"),
    ]
)


class Report31(Shape):
    """reportRequest of 3.1, its values judged by the report enumerations."""

    eventID: ObjectId  # noqa: N815
    clientName: Name  # noqa: N815
    reportName: str | None = None  # noqa: N815
    payloadDescriptors: list[ReportPayloadDescriptor] | None = None  # noqa: N815
    resources: list[ReportResource]

    @model_validator(mode="after")
    def _values(self) -> Report31:
        for resource in self.resources:
            for interval in resource.intervals:
                for payload in interval.payloads:
                    _judge(payload)
        return self


class Report30(Report31):
    """A report of 3.0.1 names its program, too."""

    programID: ObjectId  # noqa: N815
    payloadDescriptors: list[ReportPayloadDescriptor30] | None = None  # type: ignore[assignment]  # noqa: N815


def _judge(payload: ValuesMap) -> None:
    value = payload.values[0] if len(payload.values) == 1 else None
    if value is None:
        raise ValueError(f"{payload.type} has {len(payload.values)} values")
    if payload.type in _NOT_NEGATIVE and not (isinstance(value, int | float) and value >= 0):
        raise ValueError(f"{payload.type} {value!r} is negative or no number")
    if payload.type == "STORAGE_CHARGE_LEVEL" and not (isinstance(value, int | float) and 0 <= value <= 1):
        raise ValueError(f"STORAGE_CHARGE_LEVEL {value!r} is no part of 1")
    allowed = {"OPERATING_STATE": _STATES, "DATA_QUALITY": _QUALITY}.get(payload.type)
    if allowed is not None and value not in allowed:
        raise ValueError(f"{payload.type} {value!r} is not enumerated")


class Operation(Shape):
    """What a subscription wants to hear, and where."""

    objects: list[Object]
    operations: list[Literal["READ", "CREATE", "UPDATE", "DELETE"]]
    callbackUrl: Annotated[str, Field(pattern=r"^https?://", max_length=8000)]  # noqa: N815
    bearerToken: str | None = None  # noqa: N815


class Subscription31(Shape):
    """subscriptionRequest of 3.1."""

    clientName: Name  # noqa: N815
    programID: ObjectId | None = None  # noqa: N815
    objectOperations: list[Operation]  # noqa: N815
    targets: list[Name] | None = None


class Subscription30(Shape):
    """A subscription of 3.0.1: always to one program."""

    clientName: Name  # noqa: N815
    programID: ObjectId  # noqa: N815
    objectOperations: list[Operation]  # noqa: N815
    targets: list[ValuesMap] | None = None


class Resource30(Shape):
    """A resource of 3.0.1."""

    resourceName: Name  # noqa: N815
    attributes: list[ValuesMap] | None = None
    targets: list[ValuesMap] | None = None


class Ven30(Shape):
    """A ven of 3.0.1."""

    venName: Name  # noqa: N815
    attributes: list[ValuesMap] | None = None
    targets: list[ValuesMap] | None = None
    resources: list[Resource30] | None = None


class VenVen(Shape):
    """A ven as its VEN makes it (3.1): without targets, which only the business side grants."""

    objectType: Literal["VEN_VEN_REQUEST"]  # noqa: N815
    venName: Name  # noqa: N815
    attributes: list[ValuesMap] | None = None


class BlVen(VenVen):
    """A ven as the business side makes it (3.1)."""

    objectType: Literal["BL_VEN_REQUEST"]  # type: ignore[assignment]  # noqa: N815
    clientID: Name  # noqa: N815
    targets: list[Name] | None = None


class VenResource(Shape):
    """A resource as a VEN makes it (3.1)."""

    objectType: Literal["VEN_RESOURCE_REQUEST"]  # noqa: N815
    resourceName: Name  # noqa: N815
    venID: ObjectId | None = None  # noqa: N815
    attributes: list[ValuesMap] | None = None


class BlResource(VenResource):
    """A resource as the business side makes it (3.1)."""

    objectType: Literal["BL_RESOURCE_REQUEST"]  # type: ignore[assignment]  # noqa: N815
    targets: list[Name] | None = None


SHAPES: dict[tuple[str, str, bool], type[Shape]] = {
    ("3.0", "programs", True): Program,
    ("3.1", "programs", True): Program,
    ("3.0", "events", True): Event,
    ("3.1", "events", True): Event,
    ("3.0", "reports", False): Report30,
    ("3.1", "reports", False): Report31,
    ("3.0", "subscriptions", False): Subscription30,
    ("3.1", "subscriptions", False): Subscription31,
    ("3.0", "subscriptions", True): Subscription30,
    ("3.1", "subscriptions", True): Subscription31,
    ("3.0", "vens", False): Ven30,
    ("3.0", "vens", True): Ven30,
    ("3.1", "vens", False): VenVen,
    ("3.1", "vens", True): BlVen,
    ("3.0", "resources", False): Resource30,
    ("3.0", "resources", True): Resource30,
    ("3.1", "resources", False): VenResource,
    ("3.1", "resources", True): BlResource,
}
"""(generation, collection, by the business side) -> what may be written; missing = that side may not write it."""
