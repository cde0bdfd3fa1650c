"""The files a commissioning leaves behind: a candidate for ``config/chargers`` and the lines to change in site.yaml.

Nothing is ever written into the site: a person reads, copies and takes the responsibility. What was not
measured keeps the value of the model the station has now.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from controller.commission.findings import Quirks, Rotation
from controller.commission.record import PHASE_NAMES
from controller.config import Config
from controller.site.stations.charger import GENERIC, ChargerModel

CYCLES = ((0, 1, 2), (1, 2, 0), (2, 0, 1))
"""The usual rotations: the order of the phases is kept."""


def file_name(vendor: str, model: str, station_id: str) -> str:
    """A name for the model file: what the station calls itself, else its identity. Lower case, letters, digits, - and _."""
    words = f"{vendor} {model}".strip() or station_id
    name = re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-")[:40]
    return name if name and name != GENERIC.name else f"measured-{re.sub(r'[^a-z0-9]+', '-', station_id.lower()).strip('-')[:30] or 'station'}"


def charger_yaml(base: ChargerModel, quirks: Quirks, heading: str) -> str:
    """A file that ``io.chargers.load_charger`` accepts. heading: one line, who was measured and when."""
    known = quirks.known()
    values = {**_plain(base), **known}
    lines = [f"# {_one_line(heading)}", f"# Measured fields: {', '.join(sorted(known)) or 'none'}; the others are those of {base.name}."]
    lines.append(f"description: {json.dumps(_one_line(heading)[:200], ensure_ascii=False)}")
    lines += [f"{name}: {_scalar(value)}" + ("" if name in known else "  # not measured") for name, value in values.items()]
    return "\n".join(lines) + "\n"


def _plain(base: ChargerModel) -> dict[str, Any]:
    """The model's fields in their order, without those that name it."""
    data = {one.name: getattr(base, one.name) for one in fields(base) if one.name not in ("name", "description")}
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in data.items()
        if isinstance(value, bool | int | float | str | tuple)
    }


def _scalar(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(str, value))}]"
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _one_line(text: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in text)


@dataclass(frozen=True, slots=True)
class Change:
    """One line to change in site.yaml. where: e.g. ``stations CP1, EVSE 2``. why: what was seen."""

    where: str
    line: str
    instead_of: str
    why: str


def full_rotation(rotation: Rotation, wired: tuple[str, ...]) -> tuple[tuple[str, ...], bool] | None:
    """(phases for site.yaml, whether all were measured); None when nothing was told apart, or it is as the file says.

    A one-phase car shows one conductor: the others are assumed to follow in the usual order.
    """
    seen = rotation.site_phases[: len(wired)]
    if not any(phase is not None for phase in seen):
        return None
    complete = all(phase is not None for phase in seen)
    fits = [cycle for cycle in CYCLES if all(phase is None or phase == cycle[own] for own, phase in enumerate(seen))]
    order = tuple(phase for phase in seen if phase is not None) if complete else fits[0][: len(wired)] if fits else None
    if order is None:
        return None
    names = tuple(PHASE_NAMES[phase] for phase in order)
    return None if names == wired else (names, complete)


def site_changes(config: Config, rotations: Mapping[tuple[str, int], Rotation], models: Mapping[str, str]) -> list[Change]:
    """What to change in site.yaml. models: station id -> name of the measured model file."""
    changes: list[Change] = []
    for station in config.stations:
        model = models.get(station.id)
        if model is not None and model != station.model:
            changes.append(Change(f"station {station.id}", f"model: {model}", f"model: {station.model}", "measured; copy the model file first"))
        for evse in station.evses:
            rotation = rotations.get((station.id, evse.id))
            found = full_rotation(rotation, evse.phases) if rotation is not None else None
            if found is None:
                continue
            why = "measured" if found[1] else "its L1 was measured, the others follow in the usual order"
            lines = (f"phases: [{', '.join(found[0])}]", f"phases: [{', '.join(evse.phases)}]")
            changes.append(Change(f"station {station.id}, EVSE {evse.id}", *lines, why))
    return changes


def changes_text(changes: list[Change], copies: list[str]) -> str:
    """What a person does now, as text. copies: model files to copy."""
    lines = ["What to change at this site. Nothing has been changed by itself.", ""]
    lines += [f"copy {name} into config/chargers/ of the controller" for name in copies]
    for change in changes:
        lines += ["", f"site.yaml, {change.where} ({change.why}):", f"  - {change.instead_of}", f"  + {change.line}"]
    if not changes and not copies:
        lines.append("Nothing: the site file says what was measured.")
    else:
        lines += ["", "Then: yardmaster check site.yaml, restart the controller, and run the step test once more."]
    return "\n".join(lines) + "\n"


def site_with(data: dict[str, Any], changes: list[Change]) -> dict[str, Any]:
    """The site file's data with the changes made, for trying them out; ``data`` stays as it is."""
    copy: dict[str, Any] = json.loads(json.dumps(data))
    for change in changes:
        key, _, value = change.line.partition(": ")
        for station in copy.get("stations", []):
            if change.where == f"station {station['id']}":
                station[key] = value
            for evse in station.get("evses", []):
                if change.where == f"station {station['id']}, EVSE {evse['id']}":
                    evse[key] = [word.strip() for word in value.strip("[]").split(",")]
    return copy


def quirks_json(quirks: Quirks) -> dict[str, Any]:
    """For the state file."""
    return {name: value for name, value in asdict(quirks).items() if value is not None}
