"""The schemas as the running controller has them, for tests of pure parts."""

from __future__ import annotations

from controller.io.schemas import shapes

SHAPES = shapes()
"""Shared: schemas are compiled once per test process."""

VERSIONS = ("ocpp1.6", "ocpp2.0.1", "ocpp2.1")
