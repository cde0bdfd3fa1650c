"""Words of the OpenAPI document: references, parameters, answers, and what each kind of call has in common."""

from __future__ import annotations

from typing import Any

from controller.io.api.models import MAX_POINTS
from controller.io.api.signals import CHANGES
from controller.io.api.traffic import MAX_PAGE

Schema = dict[str, Any]

REFERENCE = "#/components/schemas/{model}"
MEANINGS = {
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
AFTER = "Only what comes behind this one: next of the page before."


def ref(name: str) -> Schema:
    """A model of the document by its name."""
    return {"$ref": REFERENCE.format(model=name)}


def array_of(items: Schema) -> Schema:
    """A list of these."""
    return {"type": "array", "items": items}


def object_of(properties: Schema, additional: bool = False) -> Schema:
    """An object with exactly these members."""
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": additional}


def answer_of(description: str, schema: Schema, media: str = "application/json") -> Schema:
    """An answer with a body."""
    return {"description": description, "content": {media: {"schema": schema}}}


def refusals(*statuses: int) -> Schema:
    """Answers that refuse, by their status."""
    return {str(status): answer_of(MEANINGS[status], ref("ErrorBody")) for status in sorted(set(statuses))}


def reading(summary: str, schema: str | None, parameters: list[Schema] | None = None, *errors: int) -> Schema:
    """A call that reads. schema: name of the model it answers with."""
    good = answer_of("As asked.", ref(schema) if schema else {"type": "object"})
    return {"summary": summary, "parameters": parameters or [], "responses": {"200": good, **refusals(405, 421, *errors)}}


def text_reading(summary: str, media: str) -> Schema:
    """A reading call whose answer is no JSON."""
    return {"summary": summary, "responses": {"200": answer_of("As asked.", {"type": "string"}, media), **refusals(405, 421)}}


def private(operation: Schema) -> Schema:
    """A reading call that shows messages, and with them people's id tokens: it needs the right to change."""
    return operation | {"security": [{"token": []}, {}], "responses": {**operation["responses"], **refusals(401, 403)}}


def changing(summary: str, body: str, answer: str, parameters: list[Schema] | None = None, *errors: int) -> Schema:
    """A call that changes something. body, answer: names of models."""
    return {
        "summary": summary,
        "parameters": parameters or [],
        "security": [{"token": []}, {}],
        "requestBody": {"required": True, "content": {"application/json": {"schema": ref(body)}}},
        "responses": {
            "202": answer_of("Taken; the state shows the effect.", ref(answer)),
            **refusals(400, 401, 403, 405, 409, 413, 415, 421, 422, *errors),
        },
    }


# -- parameters -------------------------------------------------------------------------------------------


def query(name: str, description: str, schema: Schema, default: Any = None, required: bool = False) -> Schema:
    """A query parameter."""
    parameter = {"name": name, "in": "query", "required": required, "description": description, "schema": schema}
    if default is not None:
        parameter["schema"] = schema | {"default": default}
    return parameter


def measurement() -> Schema:
    """Which kind of point."""
    return query("measurement", "Kind of point.", {"type": "string", "pattern": r"^[A-Za-z0-9_.\-]{1,64}$"}, required=True)


def window() -> list[Schema]:
    """A stretch of the past, and tags."""
    moment = {"anyOf": [{"type": "number", "minimum": 0}, {"type": "string", "format": "date-time"}]}
    tag = array_of({"type": "string", "pattern": "^[^:]+:.+$"})
    return [
        query("since", "First moment: Unix seconds, or ISO 8601 with a zone.", moment),
        query("until", "Last moment; default now.", moment),
        query("tag", "Only points with this tag, as name:value; may repeat.", tag),
    ]


def record_query() -> list[Schema]:
    """Which lines of the compliance record."""
    since, until, _ = window()
    return [query("source", "Only of this source.", {"type": "string"}), since, until, after_number()]


def changes_only() -> Schema:
    """Only lines that tell a change."""
    return query("changes", CHANGES, {"type": "integer", "minimum": 1, "maximum": 500})


def max_points() -> Schema:
    """How finely."""
    return query("max_points", "More points are thinned out.", {"type": "integer", "minimum": 1, "maximum": MAX_POINTS}, 500)


def evse_path() -> list[Schema]:
    """The EVSE in a path."""
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


def after_number() -> Schema:
    """Behind which number."""
    return query("after", AFTER, {"type": "integer", "minimum": 0}, 0)


def page_size() -> Schema:
    """How many on a page."""
    return query("limit", "At most so many.", {"type": "integer", "minimum": 1, "maximum": MAX_PAGE}, 100)


def one_station() -> Schema:
    """Which station, as a query."""
    return query("station", "Only this station.", {"type": "string"})


def station_path() -> Schema:
    """The station in a path."""
    return evse_path()[0]
