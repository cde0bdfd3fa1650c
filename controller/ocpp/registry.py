"""Finds the dialects: every folder ``ocpp/v*`` that has a ``DIALECT``. Nobody imports one by name,
so a new OCPP version is one new folder. A folder without one is what several versions share."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from pathlib import Path

from controller.ocpp.dialect import Dialect
from controller.ocpp.hub import Sides


@cache
def dialects() -> dict[str, Dialect]:
    """Subprotocol name ("ocpp2.0.1") -> dialect, for every version folder."""
    found: dict[str, Dialect] = {}
    for module in pkgutil.iter_modules([str(Path(__file__).parent)]):
        if module.ispkg and module.name.startswith("v"):
            dialect: Dialect | None = getattr(importlib.import_module(f"{__package__}.{module.name}"), "DIALECT", None)
            if dialect is not None:
                found[dialect.subprotocol] = dialect
    return found


def dialect_for(subprotocol: str) -> Dialect | None:
    """The dialect of a subprotocol, None if we do not speak it."""
    return dialects().get(subprotocol)


@cache
def sides() -> dict[str, Sides]:
    """Subprotocol name -> how its stations and CSMSs look to the hub: SIDES of every version folder."""
    found: dict[str, Sides] = {}
    for module in pkgutil.iter_modules([str(Path(__file__).parent)]):
        if module.ispkg and module.name.startswith("v"):
            both: Sides | None = getattr(importlib.import_module(f"{__package__}.{module.name}"), "SIDES", None)
            if both is not None:
                found[both.subprotocol] = both
    return found


def sides_for(subprotocol: str) -> Sides | None:
    """The sides of a subprotocol, None if we do not translate it."""
    return sides().get(subprotocol)
