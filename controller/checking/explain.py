"""Turns pydantic's findings into sentences for the person who edits the file.

Decides nothing about a site. A message says what is wrong with the value and what to write instead;
values of passwords and tokens are never repeated.
"""

from __future__ import annotations

import math
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from controller.checking.problems import Problem, Where, did_you_mean, listed, shown
from controller.checking.yaml_file import Document
from controller.config import Config

ErrorDetails = Mapping[str, Any]


def explained(error: ValidationError, document: Document) -> list[Problem]:
    """One problem per finding of pydantic, with paths as they stand in the file."""
    details: list[ErrorDetails] = [
        {**item, "where": place_in_file(item["loc"], item["type"], document.data)} for item in error.errors(include_url=False)
    ]
    blamed: set[Where] = {item["where"] for item in details}
    return [_problem(item, document) for item in details if not _follows_from(item, blamed)]


def place_in_file(loc: Where, kind: str, data: Any) -> Where:
    """pydantic's location without the names of union members, which do not stand in the file."""
    where: list[str | int] = []
    for position, step in enumerate(loc):
        last = position == len(loc) - 1
        if isinstance(data, dict) and step not in data and not (last and kind == "missing"):
            continue
        where.append(step)
        data = _inside(data, step)
    return (*where, "type") if kind in ("union_tag_invalid", "union_tag_not_found") else tuple(where)


def _inside(data: Any, step: str | int) -> Any:
    try:
        return data[step]
    except (KeyError, IndexError, TypeError):
        return None


def _follows_from(item: ErrorDetails, blamed: set[Where]) -> bool:
    """A list counts as too short when its items are wrong; the items' own problems say it better."""
    where = item["where"]
    return item["type"] == "too_short" and any(other != where and other[: len(where)] == where for other in blamed)


def _problem(item: ErrorDetails, document: Document) -> Problem:
    where, kind = item["where"], item["type"]
    explain = _SENTENCES.get(kind, _as_pydantic_says)
    return Problem(where, explain(item, document), document.line_of(where))


# -- one small function per kind of mistake ----------------------------------------------------------


def _missing(item: ErrorDetails, document: Document) -> str:
    return f"is missing; add it. {_meaning(item)}"


def _unknown(item: ErrorDetails, document: Document) -> str:
    where = item["where"]
    key = str(where[-1])
    allowed = {name for model in models_at(item["loc"][:-1]) for name in model.model_fields}
    homes = [home for home in _homes_of(key) if key not in allowed]
    hint = f" It belongs in {' or '.join(homes)}." if homes else did_you_mean(key, allowed)
    return f"unknown key '{key}'.{hint}"


def _not_a_number(item: ErrorDetails, document: Document) -> str:
    where, value = item["where"], item["input"]
    if value is None:
        return f"has no value; write a number or remove the line. {_meaning(item)}"
    if isinstance(value, str) and where[-1] not in ("password", "token"):
        number = _leading_number(value)
        advice = f"write {number}, the unit is part of the key's name" if number else "write a number such as 16 or 0.5"
        return f"must be a number, not {shown(value, where)}; {advice}. {_meaning(item)}"
    return f"must be a number. {_meaning(item)}"


def _leading_number(text: str) -> str:
    """``63A`` -> 63, ``0,30`` -> 0.30; empty when the text does not begin with a number."""
    text = text.strip().replace(",", ".", 1)
    length = next((n for n in range(len(text), 0, -1) if _is_number(text[:n])), 0)
    return text[:length].strip()


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _not_text(item: ErrorDetails, document: Document) -> str:
    where, value = item["where"], item["input"]
    if value is None:
        return f"has no value; write it or remove the line. {_meaning(item)}"
    if isinstance(value, dict | list):
        return f"must be one text, not a block. {_meaning(item)}"
    raw = document.raw.get(where)
    if where[-1] in ("password", "token") or raw is None:
        return "must be a text; put it in quotes"
    return f'must be a text; put it in quotes: "{raw}". {_meaning(item)}'


def _not_a_list(item: ErrorDetails, document: Document) -> str:
    if item["input"] is None:
        return f"is empty; remove the line or add entries. {_meaning(item)}"
    return f"must be a list: entries that begin with '- ', or values in [ ]. {_meaning(item)}"


def _not_a_block(item: ErrorDetails, document: Document) -> str:
    models = models_at(item["loc"])
    keys = list(dict.fromkeys(name for model in models for name in model.model_fields))
    what = "is empty; remove the line or give it keys" if item["input"] is None else "must be a block with keys of its own"
    return f"{what}: {listed(keys)}"


def _out_of_range(item: ErrorDetails, document: Document) -> str:
    words = {"gt": "more than", "ge": "at least", "lt": "less than", "le": "at most"}
    bounds = [f"{words[name]} {limit:g}" for name, limit in item["ctx"].items() if name in words]
    return f"is {shown(item['input'], item['where'])} but must be {' and '.join(bounds)}. {_meaning(item)}"


def _one_of(item: ErrorDetails, document: Document) -> str:
    value, where = item["input"], item["where"]
    if value is None:
        return f"has no value; must be {item['ctx']['expected']}"
    return f"is {shown(value, where)} but must be {item['ctx']['expected']}. {_meaning(item)}"


def _wrong_kind(item: ErrorDetails, document: Document) -> str:
    expected = item["ctx"]["expected_tags"]
    return f"must be one of {expected}.{did_you_mean(str(item['ctx']['tag']), expected.replace(chr(39), '').split(', '))}"


def _no_kind(item: ErrorDetails, document: Document) -> str:
    kinds = [kind for model in models_at(item["loc"]) for kind in _kinds_of(model)]
    return f"is missing; add it. One of: {listed(kinds)}"


def _wrong_pattern(item: ErrorDetails, document: Document) -> str:
    where = item["where"]
    known = "URL" if where[-1] == "url" else shown(item["input"], where)
    rule = _PATTERNS_IN_WORDS.get(item["ctx"]["pattern"], f"must match {item['ctx']['pattern']}")
    return f"{known} is not usable here: {rule}. {_meaning(item)}"


_PATTERNS_IN_WORDS = {
    r"^[A-Za-z0-9_.\-]{1,48}$": "use 1 to 48 letters, digits and _ . -",
    r"^[^:/\x00-\x1f]{1,48}$": "an OCPP identity has 1 to 48 characters, without ':' and '/'",
    r"^wss?://\S+$": "it must begin with ws:// or wss://",
    r"^https?://\S+$": "it must begin with http:// or https://",
    r"^/[A-Za-z0-9_\-/]*$": "a path begins with / and has letters, digits, _ and -",
    r"^([01]\d|2[0-3]):[0-5]\d$": "write a time of day as HH:MM, from 00:00 to 23:59",
    r"^[A-Z]{3}$": "write three capital letters such as EUR",
}


def _wrong_length(item: ErrorDetails, document: Document) -> str:
    context = item["ctx"]
    bound = f"at least {context['min_length']}" if "min_length" in context else f"at most {context['max_length']}"
    unit = "characters" if item["type"].startswith("string") else "entries"
    return f"must have {bound} {unit}. {_meaning(item)}"


def _own_rule(item: ErrorDetails, document: Document) -> str:
    return str(item["ctx"]["error"])


def _as_pydantic_says(item: ErrorDetails, document: Document) -> str:
    return f"{item['msg'].lower()}. {_meaning(item)}"


_SENTENCES: dict[str, Callable[[ErrorDetails, Document], str]] = {
    "missing": _missing,
    "extra_forbidden": _unknown,
    "union_tag_invalid": _wrong_kind,
    "union_tag_not_found": _no_kind,
    "literal_error": _one_of,
    "string_pattern_mismatch": _wrong_pattern,
    "value_error": _own_rule,
    **dict.fromkeys(("float_parsing", "float_type", "int_parsing", "int_type", "int_from_float", "finite_number"), _not_a_number),
    **dict.fromkeys(("string_type", "path_type"), _not_text),
    **dict.fromkeys(("tuple_type", "list_type"), _not_a_list),
    **dict.fromkeys(("model_type", "dict_type", "model_attributes_type"), _not_a_block),
    **dict.fromkeys(("greater_than", "greater_than_equal", "less_than", "less_than_equal"), _out_of_range),
    **dict.fromkeys(("too_short", "too_long", "string_too_short", "string_too_long"), _wrong_length),
}


# -- what the models say about a place ------------------------------------------------------------------


def _meaning(item: ErrorDetails) -> str:
    """The field's own sentence, so that nobody has to look it up."""
    loc = tuple(step for step in item["loc"])
    while loc and isinstance(loc[-1], int):
        loc = loc[:-1]
    if not loc:
        return ""
    field = next((model.model_fields[str(loc[-1])] for model in models_at(loc[:-1]) if str(loc[-1]) in model.model_fields), None)
    return field.description or "" if field else ""


def models_at(loc: Where) -> list[type[BaseModel]]:
    """The models that may stand at a location of pydantic's (with names of union members)."""
    found: list[type[BaseModel]] = [Config]
    for step in loc:
        if isinstance(step, int):
            continue
        fields = [model.model_fields[step] for model in found if step in model.model_fields]
        if fields:
            found = [model for field in fields for model in _models_of(field.annotation)]
        else:
            found = [model for model in found if step in _kinds_of(model)]
    return found


def _models_of(annotation: Any) -> Iterator[type[BaseModel]]:
    """Every model named in a type such as ``tuple[StationConfig, ...]`` or ``Annotated[A | B, ...]``."""
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in typing.get_args(annotation):
        yield from _models_of(argument)


def _kinds_of(model: type[BaseModel]) -> tuple[str, ...]:
    """The values of the field ``type`` that choose this model in a union."""
    field = model.model_fields.get("type")
    return typing.get_args(field.annotation) if field is not None and typing.get_origin(field.annotation) is Literal else ()


def all_fields(model: type[BaseModel] = Config, path: str = "") -> Iterator[tuple[str, str, FieldInfo]]:
    """(path of the block, name, field) of every field below a model; lists are written with []."""
    for name, field in model.model_fields.items():
        yield path, name, field
        inner = list(_models_of(field.annotation))
        brackets = "[]" if "tuple[" in str(field.annotation) else ""
        for other in inner:
            yield from all_fields(other, f"{path}.{name}{brackets}".lstrip("."))


def _homes_of(key: str) -> list[str]:
    """Blocks that do have this key, for somebody who put it one level too high or too low."""
    homes = dict.fromkeys(path or "the top level" for path, name, _ in all_fields() if name == key)
    return list(homes) if len(homes) <= 2 else []


def boolean_keys() -> frozenset[str]:
    """Names of the keys whose value is yes or no."""
    return frozenset(name for _, name, field in all_fields() if field.annotation is bool)


def misread_scalars(document: Document) -> list[Problem]:
    """yes/no/on/off/true/false where no boolean belongs, and numbers without end, which pydantic would accept."""
    return [found for where, raw in document.raw.items() if (found := _misread(where, raw, document)) is not None]


def _misread(where: Where, raw: str, document: Document) -> Problem | None:
    value: Any = document.data
    for step in where:
        value = _inside(value, step)
    if isinstance(value, bool) and where[-1] not in boolean_keys():
        message = f'{raw} without quotes means true or false in YAML; write "{raw}" if it is a name, a number if it is an amount'
    elif isinstance(value, float) and not math.isfinite(value):
        message = "must be a finite number"
    else:
        return None
    return Problem(where, message, document.line_of(where))
