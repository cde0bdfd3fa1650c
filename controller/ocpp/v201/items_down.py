"""SetVariables and SetVariableMonitoring towards a 2.0.1 station: what it cannot be asked is answered here, item by item,
the rest goes on, and the results come back in the order of the request."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from controller.ocpp.hub import Payload, Reply, Said
from controller.ocpp.v2.passing import items, longer
from controller.ocpp.v201 import words


@dataclass(frozen=True, slots=True)
class Split:
    """request, result: keys of the two lists; refusal: the result of an item that cannot be sent on, None if it can."""

    request: str
    result: str
    refusal: Callable[[Payload], Payload | None]

    def parted(self, payload: Payload) -> tuple[Payload | None, list[Payload | None]]:
        """(request for the station, None if nothing is left; results known here, None where the station is asked)."""
        known = [self.refusal(item) for item in items(payload, self.request)]
        left = [item for item, refused in zip(items(payload, self.request), known, strict=True) if refused is None]
        return ({**payload, self.request: left} if left or not known else None), known

    def joined(self, known: list[Payload | None], reply: Reply) -> Reply:
        """All results in order. The station's own failure is everybody's."""
        if not isinstance(reply, Said) or all(result is None for result in known):
            return reply
        said = iter(items(reply.payload, self.result))
        return Said({**reply.payload, self.result: list(_merged(known, said))})


def _merged(known: list[Payload | None], said: Any) -> Iterable[Payload]:
    for result in known:
        found = result if result is not None else next(said, None)
        if found is not None:
            yield found


def _echo(item: Payload, *keys: str) -> Payload:
    return {key: item[key] for key in ("component", "variable", *keys) if key in item}


def _too_long(item: Payload) -> Payload | None:
    if not longer(item.get("attributeValue"), words.MAX_VALUE_CHARS):
        return None
    why = {"reasonCode": "TooLargeElement", "additionalInfo": f"a 2.0.1 station takes values of at most {words.MAX_VALUE_CHARS} characters"}
    return {"attributeStatus": "Rejected", **_echo(item, "attributeType"), "attributeStatusInfo": why}


def _new_monitor(item: Payload) -> Payload | None:
    if item.get("type") in words.MONITORS_OF_21:
        why = {"reasonCode": "UnsupportedParam", "additionalInfo": "a 2.0.1 station has no monitors of this type"}
        return {"status": "UnsupportedMonitorType", **_echo(item, "type", "severity", "id"), "statusInfo": why}
    if isinstance(item.get("periodicEventStream"), dict):
        why = {"reasonCode": "UnsupportedParam", "additionalInfo": "a 2.0.1 station has no event streams"}
        return {"status": "Rejected", **_echo(item, "type", "severity", "id"), "statusInfo": why}
    return None


SPLIT: Final[dict[str, Split]] = {
    "SetVariables": Split("setVariableData", "setVariableResult", _too_long),
    "SetVariableMonitoring": Split("setMonitoringData", "setMonitoringResult", _new_monitor),
}
