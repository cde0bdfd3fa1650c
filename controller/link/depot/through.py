"""Messages of chargers that need nothing but the depot's words: EVSE numbers, component names, whose it is.

The last part of the face: whoever knows better about an action stands before it. What means nothing to the depot's CSMS, because it
answers a question that CSMS never asked or names a thing in the charger's own numbers, ends here with an honest answer (``REFUSED``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from controller.link.depot.office import FromStation, Office, Payload, Quiet
from controller.link.depot.renumber import OutsideError, numbered_up, numbers_of, token_info_down
from controller.ocpp.hub import Ask, Conversation, Failed, Message, Post, Reply, Said, answered

PASSED: Final = (
    "Authorize",
    "BatterySwap",
    "DataTransfer",
    "Get15118EVCertificate",
    "GetCertificateChainStatus",
    "GetCertificateStatus",
    "NotifyDERAlarm",
    "NotifyDERStartStop",
    "NotifyEVChargingNeeds",
    "NotifyEVChargingSchedule",
    "NotifyEvent",
    "NotifyPriorityCharging",
    "NotifySettlement",
    "ReservationStatusUpdate",
    "SignCertificate",
    "VatNumberValidation",
)
PER_EVSE: Final = ("NotifyChargingLimit", "ClearedChargingLimit", "ReportChargingProfiles")
"""May speak of a whole charger: then it is said of each of its EVSEs."""
REFUSED: Final[dict[str, str]] = {
    "NotifyReport": "the depot's CSMS never asked this charger; reports are the depot's own",
    "NotifyMonitoringReport": "the depot's CSMS never asked this charger; reports are the depot's own",
    "NotifyDisplayMessages": "the depot's CSMS never asked this charger",
    "NotifyCustomerInformation": "the depot's CSMS never asked this charger",
    "ReportDERControl": "the depot's CSMS never asked this charger",
    "FirmwareStatusNotification": "no update of the depot's CSMS is under way at this charger",
    "LogStatusNotification": "no log was asked of this charger by the depot's CSMS",
    "PublishFirmwareStatusNotification": "only a local controller publishes firmware",
    "ClosePeriodicEventStream": "streams of chargers do not pass: their numbers collide",
    "NotifyPeriodicEventStream": "streams of chargers do not pass: their numbers collide",
}
"""Answered here with the action's empty answer: its sender has done its part."""
STREAM_REFUSED: Final = Said({"status": "Rejected", "statusInfo": {"reasonCode": "UnsupportedRequest"}})
TECH_INFO_LETTERS: Final = 255


class Through(Quiet):
    """Everything nobody else takes."""

    def __init__(self, office: Office) -> None:
        self._office = office

    def of_station(self) -> Mapping[str, FromStation]:
        """All actions above."""
        here: dict[str, FromStation] = dict.fromkeys(REFUSED, self._here)
        passed: dict[str, FromStation] = dict.fromkeys(PASSED, self._passed)
        per_evse: dict[str, FromStation] = dict.fromkeys(PER_EVSE, self._per_evse)
        others: dict[str, FromStation] = {
            "OpenPeriodicEventStream": self._stream,
            "PullDynamicScheduleUpdate": self._pull,
            "SecurityEventNotification": self._security,
        }
        return {**here, **passed, **per_evse, **others}

    def _here(self, station_id: str, message: Message) -> Conversation:
        return answered(Said({}))

    def _stream(self, station_id: str, message: Message) -> Conversation:
        return answered(STREAM_REFUSED)

    def _pull(self, station_id: str, message: Message) -> Conversation:
        return answered(Said({"status": "Rejected", "statusInfo": {"reasonCode": "NotFound"}}))

    def _passed(self, station_id: str, message: Message) -> Conversation:
        try:
            payload: Payload = numbered_up(self._office, station_id, message.payload)
        except OutsideError as outside:
            return Failed("PropertyConstraintViolation", str(outside))
        if message.unanswered:
            yield Post(message.action, payload, unanswered=True)
            return Said({})
        reply = yield Ask(message.action, payload)
        assert reply is not None
        return reply if isinstance(reply, Failed) else Said(token_info_down(self._office, station_id, reply.payload))

    def _per_evse(self, station_id: str, message: Message) -> Conversation:
        try:
            numbers = numbers_of(self._office, station_id, message.payload.get("evseId"))
        except OutsideError as outside:
            return Failed("PropertyConstraintViolation", str(outside))
        last: Reply | None = None
        for index, number in enumerate(numbers):
            payload = {**message.payload, "evseId": number}
            if message.action == "ReportChargingProfiles" and index < len(numbers) - 1:
                payload["tbc"] = True
            last = yield Ask(message.action, payload)
        assert last is not None
        return last

    def _security(self, station_id: str, message: Message) -> Conversation:
        told = message.payload.get("techInfo")
        text = f"{station_id}: {told}" if isinstance(told, str) and told else f"charger {station_id}"
        reply = yield Ask("SecurityEventNotification", {**message.payload, "techInfo": text[:TECH_INFO_LETTERS]})
        assert reply is not None
        return reply
