"""The models of the OpenAPI document, made from those that check and fill requests and answers, so that they cannot drift from the code."""

from __future__ import annotations

from pydantic import BaseModel, TypeAdapter

from controller.io.api.commissioning import TrialBody
from controller.io.api.faces import FaceBody
from controller.io.api.models import ErrorBody, NeedBody
from controller.io.api.openapi_words import REFERENCE, Schema, array_of, object_of, ref
from controller.io.api.traffic import MaintenanceBody, ReturnBody
from controller.io.mqtt.payloads import LimitPayload
from controller.io.signals.words import SignalPayload
from controller.snapshot import EventView, ExplainView, SiteView, Snapshot, WhyView


def schemas() -> Schema:
    """All models of the document."""
    answers: Schema = {
        "Events": object_of({"events": array_of(ref("EventView"))}),
        "Series": object_of({"tags": _tags(), "field": {"type": "string"}, "points": array_of(_pair())}),
        "History": object_of({"measurement": {"type": "string"}, "series": array_of(ref("Series"))}),
        "Session": object_of(
            {
                "wall_s": {"type": "number"},
                "tags": _tags(),
                "fields": {"type": "object", "additionalProperties": {"type": "number"}},
            }
        ),
        "Sessions": object_of({"sessions": array_of(ref("Session"))}),
        "Health": object_of(
            {
                "status": {"enum": ["ok", "degraded", "failing"]},
                "mode": {"enum": ["normal", "degraded", "failsafe", "stop"]},
                "reason": {"type": "string"},
                "version": {"type": "string"},
                "troubles": array_of({"type": "string"}),
            }
        ),
        "LimitAnswer": object_of(
            {
                "circuit": {"type": "string"},
                "value": {"type": ["number", "null"]},
                "unit": {"enum": ["A", "W"]},
                "valid_for_s": {"type": "number"},
                "ends_wall_s": {"type": ["number", "null"]},
            }
        ),
        "NeedAnswer": object_of(
            {
                "station_id": {"type": "string"},
                "evse_id": {"type": "integer"},
                "energy_wh": {"type": ["number", "null"]},
                "departure_wall_s": {"type": ["number", "null"]},
            }
        ),
    }
    models = _of_models(LimitPayload, SignalPayload, NeedBody, ErrorBody, ReturnBody, MaintenanceBody, TrialBody, FaceBody)
    views = _of_data(Snapshot) | _of_data(EventView) | _of_data(SiteView) | _of_data(WhyView) | _of_data(ExplainView)
    return views | models | answers | _traffic_schemas() | _signal_schemas()


def _signal_schemas() -> Schema:
    text, watts = {"type": "string"}, {"type": ["number", "null"]}
    said = {"direction": {"enum": ["consumption", "production"]}, "accepted": {"type": "boolean"}, "reason": text, "in_force_w": watts}
    line = {
        "number": {"type": "integer"},
        "wall_s": {"type": "number"},
        "source": text,
        "direction": {"enum": ["consumption", "production"]},
        "circuit": text,
        "event": text,
        "limit_w": watts,
        "measured_w": watts,
        "detail": text,
    }
    return {
        "Signals": object_of({"signals": array_of(ref("SignalView"))}),
        "Said": object_of(said),
        "SignalAnswer": object_of({"accepted": {"type": "boolean"}, "answers": array_of(ref("Said"))}),
        "ComplianceLine": object_of(line),
        "Compliance": object_of({"lines": array_of(ref("ComplianceLine")), "more": {"type": "boolean"}}),
    }


def _traffic_schemas() -> Schema:
    count, seconds, text = {"type": "integer", "minimum": 0}, {"type": "number"}, {"type": "string"}
    thing, maybe = {"type": "object"}, {"type": ["object", "null"]}
    oldest = {"type": ["number", "null"], "description": "When the oldest was stored; null when none waits."}
    queue = {"station_id": text, "queued": count, "transactions": count, "oldest_wall_s": oldest, "attempts": count, "parked": count}
    waiting = {
        "first_number": count,
        "transaction_id": {"type": "string", "description": "Empty: messages of no transaction."},
        "queued": count,
        "oldest_wall_s": seconds,
        "newest_wall_s": seconds,
        "attempts": count,
    }
    message = {
        "number": count,
        "station_id": text,
        "transaction_id": text,
        "action": text,
        "stored_wall_s": seconds,
        "attempts": count,
        "version": {"type": "string", "description": "Subprotocol of the text, e.g. ocpp2.0.1; empty if it is not known."},
        "text": {"type": "string", "description": "The frame as it would be sent."},
    }
    return {
        "StationInQueue": object_of(queue),
        "Queue": object_of({"stations": array_of(ref("StationInQueue")), "next": {"type": ["string", "null"]}}),
        "TransactionInQueue": object_of(waiting),
        "StationQueue": object_of({"station_id": text, "transactions": array_of(ref("TransactionInQueue")), "next": {"type": ["integer", "null"]}}),
        "ParkedMessage": object_of(message),
        "Parked": object_of({"messages": array_of(ref("ParkedMessage")), "next": {"type": ["integer", "null"]}}),
        "ReturnAnswer": object_of({"requeued": count, "more": {"type": "boolean", "description": "There are more than one call takes: call again."}}),
        "Commissioning": object_of(
            {"mono_s": seconds, "wall_s": seconds, "trial": maybe, "features": thing, "last": count, "entries": array_of(thing)}
        ),
        "TrialAnswer": object_of({"trial": maybe, "last": count, "mono_s": seconds}),
        "Faces": object_of({"stations": array_of(ref("MoveView")), "faces": array_of(ref("FaceView"))}),
        "FaceAnswer": object_of({"station": {"type": ["string", "null"]}, "upstream": {"type": ["string", "null"]}}),
        "MaintenanceAnswer": object_of({"station_id": text, "minutes": {"type": "number"}, "ends_wall_s": {"type": ["number", "null"]}}),
    }


def _of_data(kind: type) -> Schema:
    """The schema of a frozen dataclass and of all it holds. Absent never happens: every field is required."""
    schema = TypeAdapter(kind).json_schema(mode="serialization", ref_template=REFERENCE)
    parts: Schema = schema.pop("$defs", {})
    return parts | {kind.__name__: schema}


def _of_models(*models: type[BaseModel]) -> Schema:
    parts: Schema = {}
    for model in models:
        schema = model.model_json_schema(ref_template=REFERENCE)
        parts |= schema.pop("$defs", {}) | {model.__name__: schema}
    return parts


def _tags() -> Schema:
    return {"type": "object", "additionalProperties": {"type": "string"}, "description": "What the points belong to, e.g. evse."}


def _pair() -> Schema:
    return {
        "type": "array",
        "prefixItems": [{"type": "number"}, {"type": "number"}],
        "minItems": 2,
        "maxItems": 2,
        "description": "wall_s, value",
    }
