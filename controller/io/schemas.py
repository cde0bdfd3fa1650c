"""Reads the OCA's JSON schemas, which ship in PyPI ``ocpp``; only its files are used, none of its code."""

from __future__ import annotations

import json
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from controller.ocpp.shapes import Shapes

Schema = dict[str, Any]

FOLDERS: Final = {"ocpp1.6": "v16", "ocpp2.0.1": "v201", "ocpp2.1": "v21"}


@cache
def _folder(version: str) -> Path:
    """Where a version's files are. Raises RuntimeError if the package is not installed."""
    spec = find_spec("ocpp")
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError("the Python package 'ocpp' is missing: it holds the OCPP schemas; install Yardmaster with its dependencies")
    return Path(spec.submodule_search_locations[0]) / FOLDERS[version] / "schemas"


@cache
def _names(version: str) -> frozenset[str]:
    """Of all messages of a version, e.g. "BootNotificationResponse". Raises RuntimeError if the files are not installed."""
    names = frozenset(path.stem for path in _folder(version).glob("*.json"))
    if not names:
        raise RuntimeError(f"the Python package 'ocpp' holds no schemas of {version}; install Yardmaster with its pinned dependencies")
    return names


def read_schema(version: str, action: str, answer: bool) -> Schema | None:
    """The schema of a message, read once; None: that version has no such message. version: a subprotocol.

    A request is named without suffix in 1.6 and for a SEND of 2.1. Raises RuntimeError if the files are not installed.
    """
    if version not in FOLDERS or (action.endswith("Response") and not answer):
        return None
    candidates = (f"{action}Response",) if answer else (f"{action}Request", action)
    return next((_read(version, name) for name in candidates if name in _names(version)), None)


@cache
def _read(version: str, name: str) -> Schema:
    found: Schema = json.loads((_folder(version) / f"{name}.json").read_text(encoding="utf-8-sig"))
    return found


@cache
def shapes() -> Shapes:
    """The one ``Shapes`` of this process: compiled schemas are shared by all links.

    All files are read here, at the start (some 50 ms), so that what is missing shows then, and no file is read while messages wait.
    Raises RuntimeError if the files are not installed.
    """
    for version in FOLDERS:
        for name in _names(version):
            _read(version, name)
    return Shapes(read_schema)
