"""The OpenAPI 3.1 document of the HTTP API: every path, with what it takes and answers.

A test calls every path written here and validates the answers.
"""

from __future__ import annotations

from controller.io.api.openapi_schemas import schemas
from controller.io.api.openapi_words import (
    AFTER,
    Schema,
    after_number,
    answer_of,
    changes_only,
    changing,
    evse_path,
    max_points,
    measurement,
    one_station,
    page_size,
    private,
    query,
    reading,
    record_query,
    ref,
    refusals,
    station_path,
    text_reading,
    window,
)


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
            "schemas": schemas(),
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "api.token of site.yaml; not needed on a loopback address without one.",
                }
            },
        },
    }


def _limit() -> Schema:
    """A limit's answers say more than those of other calls: whether it holds, and whether a restart would know it."""
    operation = changing("Set or withdraw a limit", "LimitPayload", "LimitAnswer", None, 503)
    words = {
        "202": "It holds and is on disk.",
        "422": "A field is missing, unknown or out of range (problems names it), or the limit is refused for the reason given.",
        "503": "It holds but is not on disk, or there was no answer in time.",
    }
    answers = {status: {**operation["responses"][status], "description": text} for status, text in words.items()}
    return {**operation, "responses": {**operation["responses"], **answers}}


def _paths() -> Schema:
    return {
        "/api/v1/state": {"get": reading("Everything at one moment", "Snapshot")},
        "/api/v1/events": {
            "get": reading(
                "The event log, oldest first",
                "Events",
                [query("after", "Only events with a higher number.", {"type": "integer", "minimum": 0}, 0)],
                422,
            )
        },
        "/api/v1/history": {
            "get": reading(
                "Series of one measurement, each oldest first", "History", [measurement(), *window(), max_points()], 422, 503
            )
        },
        "/api/v1/sessions": {"get": reading("Finished charging sessions, oldest first", "Sessions", window(), 422, 503)},
        "/api/v1/health": {"get": _health()},
        "/api/v1/stream": {"get": _stream()},
        "/api/v1/openapi.json": {"get": reading("This document", None)},
        "/metrics": {"get": text_reading("Numbers for Prometheus", "text/plain")},
        "/api/v1/limits": {"post": _limit()},
        "/api/v1/evses/{station}/{evse}/need": {
            "post": changing("Say what a car still needs", "NeedBody", "NeedAnswer", evse_path(), 404)
        },
        "/api/v1/evses/{station}/{evse}/why": {
            "get": reading("Why an EVSE gets what it gets: the chain of limits, now and over the plan", "WhyView", evse_path(), 404, 503)
        },
        "/api/v1/explain": {
            "get": reading("What the plans of the last weeks say: limits, broken soft rules, forecasts, solver", "ExplainView", None, 503)
        },
        "/api/v1/tap": {"get": _tap()},
        "/api/v1/queue": {
            "get": private(
                reading("What waits for the CSMS, per station", "Queue", [query("after", AFTER, {"type": "string"}), page_size()], 422, 503)
            )
        },
        "/api/v1/queue/{station}": {
            "get": private(
                reading("What waits of one station, per transaction", "StationQueue", [station_path(), after_number(), page_size()], 404, 422, 503)
            )
        },
        "/api/v1/parked": {
            "get": private(reading("Messages that were given up", "Parked", [one_station(), after_number(), page_size()], 404, 422, 503))
        },
        "/api/v1/parked/export": {"get": _export()},
        "/api/v1/parked/requeue": {
            "post": changing("Send messages that were given up again", "ReturnBody", "ReturnAnswer", None, 404, 503)
        },
        "/api/v1/commissioning": {
            "get": private(reading("The running commissioning test and its trace", "Commissioning", [after_number()], 422, 503)),
            "post": changing("Begin, go on with or end a commissioning test of one EVSE", "TrialBody", "TrialAnswer", None, 404, 503),
        },
        "/api/v1/faces": {
            "get": reading("Which CSMS each station has and shall have, and the sockets of depot faces", "Faces"),
            "post": changing("Give one station or all to another CSMS, as soon as they are free", "FaceBody", "FaceAnswer", None, 404),
        },
        "/api/v1/signals": {"get": reading("The sources of limits from outside, and what holds", "Signals")},
        "/api/v1/signals/{source}": {"post": _stating()},
        "/api/v1/openadr3/{source}": {"post": _calling()},
        "/api/v1/compliance": {"get": reading("Limits received and obeyed, oldest first", "Compliance", [*record_query(), changes_only()], 422, 503)},
        "/api/v1/compliance.csv": {"get": _record_csv()},
        "/api/v1/stations/{station}/maintenance": {
            "post": changing("Let a CSMS move the station for a while", "MaintenanceBody", "MaintenanceAnswer", [station_path()], 404)
        },
    }


def _record_csv() -> Schema:
    operation = text_reading("The record that limits were received and obeyed, as CSV", "text/csv")
    return operation | {"parameters": record_query(), "responses": {**operation["responses"], **refusals(422, 503)}}


def _stating() -> Schema:
    source = {"name": "source", "in": "path", "required": True, "description": "Id of a signal of the site file.", "schema": {"type": "string"}}
    operation = changing("State what a source of limits holds; for sources of type api", "SignalPayload", "SignalAnswer", [source], 404, 503)
    taken = {"200": answer_of("Taken; what holds of this source now.", ref("SignalAnswer"))}
    return operation | {"responses": taken | {status: told for status, told in operation["responses"].items() if status != "202"}}


def _calling() -> Schema:
    source = {"name": "source", "in": "path", "required": True, "description": "Id of a signal of the site file.", "schema": {"type": "string"}}
    return {
        "summary": "A server of OpenADR 3 says that something has changed; it shows the bearerToken of our subscription",
        "parameters": [source],
        "requestBody": {"required": True, "content": {"application/json": {"schema": {"type": "object"}}}},
        "responses": {"200": answer_of("We look now.", {"type": "object"}), **refusals(400, 401, 403, 404, 405, 421)},
    }


def _stream() -> Schema:
    operation = text_reading("Server-sent events: the page's feed", "text/event-stream")
    operation["description"] = (
        "Event `state` (on connect): the Snapshot. Event `change` (about once a second, only when something changed): an object with "
        "now_wall_s and those members of the Snapshot's top level and of its site that changed; `events` holds new entries only. "
        "Event `time`, when nothing changed for a while: now_wall_s."
    )
    operation["responses"] |= refusals(503)
    return operation


def _tap() -> Schema:
    operation = private(text_reading("Server-sent events: every OCPP frame as it passes", "text/event-stream"))
    operation["description"] = (
        "Event `start`: what a transcript begins with. Event `seen`: one frame, or one change of a connection, with wall_s, mono_s, station, "
        "leg, way, kind (CALL, RESULT, ERROR, SEND, RESULTERROR, BROKEN; OPENED, CLOSED, DIALLED, HANGUP, REFUSED), action, id, did (relayed, "
        "changed, held, answered, intercepted, ours, translated, waits, dropped) and text, the frame itself. Passwords and keys are replaced by ***; "
        "hidden tells that they were. Event `lost`: so many records were left out because this listener is too slow."
    )
    operation["parameters"] = [
        one_station(),
        query("action", "Only these actions and the answers to them, a comma between two.", {"type": "string"}),
        query("direction", "up: towards the CSMS; down: towards the station.", {"enum": ["up", "down"]}),
        query("leg", "Which connection.", {"type": "string", "pattern": "^(station|csms|mirror:.+)$"}),
    ]
    operation["responses"] |= refusals(404, 422, 503)
    return operation


def _export() -> Schema:
    operation = private(text_reading("Messages that were given up, one JSON object (ParkedMessage) a line", "application/x-ndjson"))
    operation["parameters"] = [one_station()]
    operation["responses"] |= refusals(404, 422, 503)
    return operation


def _health() -> Schema:
    bad = answer_of("The site is in failsafe or stop, or the controller cannot tell.", ref("Health"))
    return {
        "summary": "For monitoring: is the site under control",
        "description": "A 503 calls for a person. Do not restart the controller because of it: failsafe is what it shall do then.",
        "responses": {"200": answer_of("In control, perhaps degraded.", ref("Health")), "503": bad, **refusals(405, 421)},
    }
