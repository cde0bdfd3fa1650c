"""Messages of 2.0.1 as 2.1 wants them (OCPP-NOTES 12.12): one new field, tighter ranges."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from controller.ocpp.hub import Payload, Reply
from controller.ocpp.v2.passing import inner, items, no, real

Upward = Callable[[Payload], "Payload | Reply"]


def with_monitor_kinds(payload: Payload, own: list[int]) -> Payload:
    """NotifyMonitoringReport with eventNotificationType. own: ids of the monitors that the CSMS has set itself; others came with the station."""
    if "monitor" not in payload:
        return payload
    monitors = []
    for monitor in items(payload, "monitor"):
        made = [{**item, "eventNotificationType": _kind(item, own)} for item in items(monitor, "variableMonitoring")]
        monitors.append({**monitor, "variableMonitoring": made})
    return {**payload, "monitor": monitors}


def _kind(monitor: Payload, own: list[int]) -> str:
    return "CustomMonitor" if monitor.get("id") in own else "PreconfiguredMonitor"


def _transaction_event(payload: Payload) -> Payload | Reply:
    """A count of phases or a reservation that cannot be must not cost the operator the transaction."""
    made = dict(payload)
    if not _within(made.get("numberOfPhasesUsed"), 0, 3):
        made.pop("numberOfPhasesUsed", None)
    if not _within(made.get("reservationId"), 0, 2**63):
        made.pop("reservationId", None)
    return made


def _within(value: object, least: int, most: int) -> bool:
    return isinstance(value, int) and least <= value <= most


def _start(payload: Payload) -> Payload | Reply:
    """EVSE 0 cannot be started (F01.FR.20), and 2.1 has no word for asking it."""
    evse_id = payload.get("evseId")
    if real(evse_id) and evse_id is not None and evse_id < 1:
        return no("Rejected", "ValueTooLow", "a transaction needs an EVSE of 1 or above")
    return payload


UPWARD: Final[dict[str, Upward]] = {"TransactionEvent": _transaction_event, "RequestStartTransaction": _start}
"""Requests that need more than ``fit``."""


def events_as_states(payload: Payload) -> tuple[list[Payload], Payload | None]:
    """(StatusNotifications, what is left of a NotifyEvent): 2.1 stations report connectors by AvailabilityState, 2.0.1 CSMSs expect the
    older message (G01)."""
    events = items(payload, "eventData")
    states = [state for event in events if (state := _state(event)) is not None]
    left = [event for event in events if _state(event) is None]
    return states, ({**payload, "eventData": left} if left else None)


STATES: Final = ("Available", "Occupied", "Reserved", "Unavailable", "Faulted")


def _state(event: Payload) -> Payload | None:
    component, variable = inner(event, "component"), inner(event, "variable")
    place = inner(component, "evse")
    evse_id, connector_id = place.get("id"), place.get("connectorId")
    if component.get("name") != "Connector" or variable.get("name") != "AvailabilityState" or event.get("actualValue") not in STATES:
        return None
    if not isinstance(evse_id, int) or not isinstance(connector_id, int):
        return None
    return {"timestamp": event.get("timestamp"), "connectorStatus": event["actualValue"], "evseId": evse_id, "connectorId": connector_id}
