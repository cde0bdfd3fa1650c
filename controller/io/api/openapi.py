"""The OpenAPI 3.1 document of the HTTP API, built from the same models that check and fill it.

Schemas come from ``Snapshot`` and the body models, so they cannot drift from the code; a test calls
every path written here and validates the answers.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, TypeAdapter

from controller.io.api.commissioning import TrialBody
from controller.io.api.faces import FaceBody
from controller.io.api.models import MAX_POINTS, ErrorBody, NeedBody
from controller.io.api.signals import CHANGES
from controller.io.api.traffic import MAX_PAGE, MaintenanceBody, ReturnBody
from controller.io.mqtt.payloads import LimitPayload
from controller.io.signals.words import SignalPayload
from controller.snapshot import EventView, ExplainView, SiteView, Snapshot, WhyView

Schema = dict[str, Any]

_REFERENCE = "#/components/schemas/{model}"
_MEANINGS = {
    400: "The body is not a JSON object.",
    401: "The bearer token is missing or wrong.",
    403: "Not allowed: another origin, or no token is configured on an address others can reach.",
    404: "No such thing.",
    405: "Wrong method; Allow names the right one.",
    409: "Somebody was faster: an older sequence number, another session, or none any more.",
    413: "The body is larger than 64 KiB.",
    415: "Content-Type is not application/json.",
    421: "Bound to a loopback address and asked under a foreign name.",
    422: "A field is missing, unknown or out of range; problems names it.",
    503: "A part of the controller is away.",
}


def document(version: str) -> Schema:
    """The whole document as plain data."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Yardmaster",
            "version": version,
            "summary": "State and limits of one charging site.",
            "description": "Units are in the names; import and charging are positive; *_wall_s are Unix seconds UTC. Values nobody knows are null.",
        },
        "servers": [{"url": "/"}],
        "paths": _paths(),
        "components": {
            "schemas": _schemas(),
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "api.token of site.yaml; not needed on a loopback address without one.",
                }
            },
        },
    }


def _paths() -> Schema:
    return {
        "/api/v1/state": {"get": _reading("Everything at one moment", "Snapshot")},
        "/api/v1/events": {
            "get": _reading(
                "The event log, oldest first",
                "Events",
                [_query("after", "Only events with a higher number.", {"type": "integer", "minimum": 0}, 0)],
                422,
            )
        },
        "/api/v1/history": {
            "get": _reading(
                "Series of one measurement, each oldest first", "History", [_measurement(), *_window(), _max_points()], 422, 503
            )
        },
        "/api/v1/sessions": {"get": _reading("Finished charging sessions, oldest first", "Sessions", _window(), 422, 503)},
        "/api/v1/health": {"get": _health()},
        "/api/v1/stream": {"get": _stream()},
        "/api/v1/openapi.json": {"get": _reading("This document", None)},
        "/metrics": {"get": _text("Numbers for Prometheus", "text/plain")},
        "/api/v1/limits": {"post": _changing("Set or withdraw a limit", "LimitPayload", "LimitAnswer", None, 503)},
        "/api/v1/evses/{station}/{evse}/need": {
            "post": _changing("Say what a car still needs", "NeedBody", "NeedAnswer", _evse_path(), 404)
        },
        "/api/v1/evses/{station}/{evse}/why": {
            "get": _reading("Why an EVSE gets what it gets: the chain of limits, now and over the plan", "WhyView", _evse_path(), 404, 503)
        },
        "/api/v1/explain": {
            "get": _reading("What the plans of the last weeks say: limits, broken soft rules, forecasts, solver", "ExplainView", None, 503)
        },
        "/api/v1/tap": {"get": _tap()},
        "/api/v1/queue": {
            "get": _private(
                _reading("What waits for the CSMS, per station", "Queue", [_query("after", _AFTER, {"type": "string"}), _page_size()], 422, 503)
            )
        },
        "/api/v1/queue/{station}": {
            "get": _private(
                _reading("What waits of one station, per transaction", "StationQueue", [_station_path(), _after(), _page_size()], 404, 422, 503)
            )
        },
        "/api/v1/parked": {
            "get": _private(_reading("Messages that were given up", "Parked", [_one_station(), _after(), _page_size()], 404, 422, 503))
        },
        "/api/v1/parked/export": {"get": _export()},
        "/api/v1/parked/requeue": {
            "post": _changing("Send messages that were given up again", "ReturnBody", "ReturnAnswer", None, 404, 503)
        },
        "/api/v1/commissioning": {
            "get": _private(_reading("The running commissioning test and its trace", "Commissioning", [_after()], 422, 503)),
            "post": _changing("Begin, go on with or end a commissioning test of one EVSE", "TrialBody", "TrialAnswer", None, 404, 503),
        },
        "/api/v1/faces": {
            "get": _reading("Which CSMS each station has and shall have, and the sockets of depot faces", "Faces"),
            "post": _changing("Give one station or all to another CSMS, as soon as they are free", "FaceBody", "FaceAnswer", None, 404),
        },
        "/api/v1/signals": {"get": _reading("The sources of limits from outside, and what holds", "Signals")},
        "/api/v1/signals/{source}": {"post": _stating()},
        "/api/v1/openadr3/{source}": {"post": _calling()},
        "/api/v1/compliance": {"get": _reading("Limits received and obeyed, oldest first", "Compliance", [*_record(), _changes()], 422, 503)},
        "/api/v1/compliance.csv": {"get": _record_csv()},
        "/api/v1/stations/{station}/maintenance": {
            "post": _changing("Let a CSMS move the station for a while", "MaintenanceBody", "MaintenanceAnswer", [_station_path()], 404)
        },
    }


def _schemas() -> Schema:
    answers: Schema = {
        "Events": _object({"events": _list(_ref("EventView"))}),
        "Series": _object({"tags": _tags(), "field": {"type": "string"}, "points": _list(_pair())}),
        "History": _object({"measurement": {"type": "string"}, "series": _list(_ref("Series"))}),
        "Session": _object(
            {
                "wall_s": {"type": "number"},
                "tags": _tags(),
                "fields": {"type": "object", "additionalProperties": {"type": "number"}},
            }
        ),
        "Sessions": _object({"sessions": _list(_ref("Session"))}),
        "Health": _object(
            {
                "status": {"enum": ["ok", "degraded", "failing"]},
                "mode": {"enum": ["normal", "degraded", "failsafe", "stop"]},
                "reason": {"type": "string"},
                "version": {"type": "string"},
                "troubles": _list({"type": "string"}),
            }
        ),
        "LimitAnswer": _object(
            {
                "circuit": {"type": "string"},
                "value": {"type": ["number", "null"]},
                "unit": {"enum": ["A", "W"]},
                "valid_for_s": {"type": "number"},
                "ends_wall_s": {"type": ["number", "null"]},
            }
        ),
        "NeedAnswer": _object(
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
        "Signals": _object({"signals": _list(_ref("SignalView"))}),
        "Said": _object(said),
        "SignalAnswer": _object({"accepted": {"type": "boolean"}, "answers": _list(_ref("Said"))}),
        "ComplianceLine": _object(line),
        "Compliance": _object({"lines": _list(_ref("ComplianceLine")), "more": {"type": "boolean"}}),
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
        "StationInQueue": _object(queue),
        "Queue": _object({"stations": _list(_ref("StationInQueue")), "next": {"type": ["string", "null"]}}),
        "TransactionInQueue": _object(waiting),
        "StationQueue": _object({"station_id": text, "transactions": _list(_ref("TransactionInQueue")), "next": {"type": ["integer", "null"]}}),
        "ParkedMessage": _object(message),
        "Parked": _object({"messages": _list(_ref("ParkedMessage")), "next": {"type": ["integer", "null"]}}),
        "ReturnAnswer": _object({"requeued": count, "more": {"type": "boolean", "description": "There are more than one call takes: call again."}}),
        "Commissioning": _object(
            {"mono_s": seconds, "wall_s": seconds, "trial": maybe, "features": thing, "last": count, "entries": _list(thing)}
        ),
        "TrialAnswer": _object({"trial": maybe, "last": count, "mono_s": seconds}),
        "Faces": _object({"stations": _list(_ref("MoveView")), "faces": _list(_ref("FaceView"))}),
        "FaceAnswer": _object({"station": {"type": ["string", "null"]}, "upstream": {"type": ["string", "null"]}}),
        "MaintenanceAnswer": _object({"station_id": text, "minutes": {"type": "number"}, "ends_wall_s": {"type": ["number", "null"]}}),
    }


def _of_data(kind: type) -> Schema:
    """The schema of a frozen dataclass and of all it holds. Absent never happens: every field is required."""
    schema = TypeAdapter(kind).json_schema(mode="serialization", ref_template=_REFERENCE)
    parts: Schema = schema.pop("$defs", {})
    return parts | {kind.__name__: schema}


def _of_models(*models: type[BaseModel]) -> Schema:
    parts: Schema = {}
    for model in models:
        schema = model.model_json_schema(ref_template=_REFERENCE)
        parts |= schema.pop("$defs", {}) | {model.__name__: schema}
    return parts


def _ref(name: str) -> Schema:
    return {"$ref": _REFERENCE.format(model=name)}


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


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _object(properties: Schema, additional: bool = False) -> Schema:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": additional}


def _query(name: str, description: str, schema: Schema, default: Any = None, required: bool = False) -> Schema:
    parameter = {"name": name, "in": "query", "required": required, "description": description, "schema": schema}
    if default is not None:
        parameter["schema"] = schema | {"default": default}
    return parameter


def _measurement() -> Schema:
    return _query("measurement", "Kind of point.", {"type": "string", "pattern": r"^[A-Za-z0-9_.\-]{1,64}$"}, required=True)


def _window() -> list[Schema]:
    moment = {"anyOf": [{"type": "number", "minimum": 0}, {"type": "string", "format": "date-time"}]}
    tag = _list({"type": "string", "pattern": "^[^:]+:.+$"})
    return [
        _query("since", "First moment: Unix seconds, or ISO 8601 with a zone.", moment),
        _query("until", "Last moment; default now.", moment),
        _query("tag", "Only points with this tag, as name:value; may repeat.", tag),
    ]


def _record() -> list[Schema]:
    since, until, _ = _window()
    return [_query("source", "Only of this source.", {"type": "string"}), since, until, _after()]


def _changes() -> Schema:
    return _query("changes", CHANGES, {"type": "integer", "minimum": 1, "maximum": 500})


def _record_csv() -> Schema:
    operation = _text("The record that limits were received and obeyed, as CSV", "text/csv")
    return operation | {"parameters": _record(), "responses": {**operation["responses"], **_errors(422, 503)}}


def _stating() -> Schema:
    source = {"name": "source", "in": "path", "required": True, "description": "Id of a signal of the site file.", "schema": {"type": "string"}}
    operation = _changing("State what a source of limits holds; for sources of type api", "SignalPayload", "SignalAnswer", [source], 404, 503)
    taken = {"200": _answer("Taken; what holds of this source now.", _ref("SignalAnswer"))}
    return operation | {"responses": taken | {status: told for status, told in operation["responses"].items() if status != "202"}}


def _calling() -> Schema:
    source = {"name": "source", "in": "path", "required": True, "description": "Id of a signal of the site file.", "schema": {"type": "string"}}
    return {
        "summary": "A server of OpenADR 3 says that something has changed; it shows the bearerToken of our subscription",
        "parameters": [source],
        "requestBody": {"required": True, "content": {"application/json": {"schema": {"type": "object"}}}},
        "responses": {"200": _answer("We look now.", {"type": "object"}), **_errors(400, 401, 403, 404, 405, 421)},
    }


def _max_points() -> Schema:
    return _query("max_points", "More points are thinned out.", {"type": "integer", "minimum": 1, "maximum": MAX_POINTS}, 500)


def _evse_path() -> list[Schema]:
    return [
        {
            "name": "station",
            "in": "path",
            "required": True,
            "description": "OCPP identity of the station.",
            "schema": {"type": "string"},
        },
        {
            "name": "evse",
            "in": "path",
            "required": True,
            "description": "EVSE number, from 1.",
            "schema": {"type": "integer", "minimum": 1},
        },
    ]


_AFTER = "Only what comes behind this one: next of the page before."


def _after() -> Schema:
    return _query("after", _AFTER, {"type": "integer", "minimum": 0}, 0)


def _page_size() -> Schema:
    return _query("limit", "At most so many.", {"type": "integer", "minimum": 1, "maximum": MAX_PAGE}, 100)


def _one_station() -> Schema:
    return _query("station", "Only this station.", {"type": "string"})


def _station_path() -> Schema:
    return _evse_path()[0]


def _answer(description: str, schema: Schema, media: str = "application/json") -> Schema:
    return {"description": description, "content": {media: {"schema": schema}}}


def _errors(*statuses: int) -> Schema:
    return {str(status): _answer(_MEANINGS[status], _ref("ErrorBody")) for status in sorted(set(statuses))}


def _reading(summary: str, schema: str | None, parameters: list[Schema] | None = None, *errors: int) -> Schema:
    good = _answer("As asked.", _ref(schema) if schema else {"type": "object"})
    return {"summary": summary, "parameters": parameters or [], "responses": {"200": good, **_errors(405, 421, *errors)}}


def _text(summary: str, media: str) -> Schema:
    return {"summary": summary, "responses": {"200": _answer("As asked.", {"type": "string"}, media), **_errors(405, 421)}}


def _stream() -> Schema:
    operation = _text("Server-sent events: the page's feed", "text/event-stream")
    operation["description"] = (
        "Event `state` (on connect): the Snapshot. Event `change` (about once a second, only when something changed): an object with "
        "now_wall_s and those members of the Snapshot's top level and of its site that changed; `events` holds new entries only. "
        "Event `time`, when nothing changed for a while: now_wall_s."
    )
    operation["responses"] |= _errors(503)
    return operation


def _tap() -> Schema:
    operation = _private(_text("Server-sent events: every OCPP frame as it passes", "text/event-stream"))
    operation["description"] = (
        "Event `start`: what a transcript begins with. Event `seen`: one frame, or one change of a connection, with wall_s, mono_s, station, "
        "leg, way, kind (CALL, RESULT, ERROR, SEND, RESULTERROR, BROKEN; OPENED, CLOSED, DIALLED, HANGUP, REFUSED), action, id, did (relayed, "
        "changed, held, answered, intercepted, ours, translated, waits, dropped) and text, the frame itself. Passwords and keys are replaced by ***; "
        "hidden tells that they were. Event `lost`: so many records were left out because this listener is too slow."
    )
    operation["parameters"] = [
        _one_station(),
        _query("action", "Only these actions and the answers to them, a comma between two.", {"type": "string"}),
        _query("direction", "up: towards the CSMS; down: towards the station.", {"enum": ["up", "down"]}),
        _query("leg", "Which connection.", {"type": "string", "pattern": "^(station|csms|mirror:.+)$"}),
    ]
    operation["responses"] |= _errors(404, 422, 503)
    return operation


def _export() -> Schema:
    operation = _private(_text("Messages that were given up, one JSON object (ParkedMessage) a line", "application/x-ndjson"))
    operation["parameters"] = [_one_station()]
    operation["responses"] |= _errors(404, 422, 503)
    return operation


def _private(operation: Schema) -> Schema:
    """A reading call that shows messages, and with them people's id tokens: it needs the right to change."""
    return operation | {"security": [{"token": []}, {}], "responses": {**operation["responses"], **_errors(401, 403)}}


def _health() -> Schema:
    bad = _answer("The site is in failsafe or stop, or the controller cannot tell.", _ref("Health"))
    return {
        "summary": "For monitoring: is the site under control",
        "description": "A 503 calls for a person. Do not restart the controller because of it: failsafe is what it shall do then.",
        "responses": {"200": _answer("In control, perhaps degraded.", _ref("Health")), "503": bad, **_errors(405, 421)},
    }


def _changing(summary: str, body: str, answer: str, parameters: list[Schema] | None = None, *errors: int) -> Schema:
    return {
        "summary": summary,
        "parameters": parameters or [],
        "security": [{"token": []}, {}],
        "requestBody": {"required": True, "content": {"application/json": {"schema": _ref(body)}}},
        "responses": {
            "202": _answer("Taken; the state shows the effect.", _ref(answer)),
            **_errors(400, 401, 403, 405, 409, 413, 415, 421, 422, *errors),
        },
    }
