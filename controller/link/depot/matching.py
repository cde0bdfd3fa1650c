"""Whether a filter of GetReport or GetMonitoringReport means a variable: what it leaves out is any (B08.FR.21-24, N02)."""

from __future__ import annotations

from typing import Any

from controller.link.depot.addresses import Name, name_of

Payload = dict[str, Any]


def fits(pattern: Payload, name: Name) -> bool:
    """pattern: {component, variable?}. Left out: instance, EVSE, connector, variable, its instance."""
    asked, given = pattern["component"], pattern.get("variable")
    wanted, evse = name_of(asked, given), asked.get("evse")
    if wanted.component != name.component or ("instance" in asked and wanted.instance != name.instance):
        return False
    if evse is not None and wanted.evse_id != name.evse_id:
        return False
    if evse is not None and "connectorId" in evse and wanted.connector_id != name.connector_id:
        return False
    return given is None or (wanted.variable == name.variable and ("instance" not in given or wanted.variable_instance == name.variable_instance))
