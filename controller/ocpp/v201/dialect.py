"""OCPP 2.0.1: what the 2.x family has in common, and nothing more."""

from __future__ import annotations

from controller.ocpp.v2.dialect import Dialect2


class Dialect201(Dialect2):
    """Stateless. See ``controller.ocpp.dialect.Dialect`` for what each function promises."""

    subprotocol = "ocpp2.0.1"
    version = "2.0.1"
