"""How a 2.0.1 CSMS looks to the hub (OCPP-NOTES 12.12).

A 2.1 station's messages become those of 2.0.1; what only 2.1 has is answered for the CSMS. Signed meter values go letter for letter or not
at all. A connector's AvailabilityState becomes StatusNotification, a DER alarm becomes NotifyEvent.
"""

from __future__ import annotations

from typing import Final

from controller.ocpp.hub import HUB, WIRE, Ask, Conversation, Emit, Failed, Keep, Message, Payload, Reply, Said, Surroundings
from controller.ocpp.v2.passing import HUB_VERSION, Passing, real, unanswered
from controller.ocpp.v201 import reports_down, words
from controller.ocpp.v201.answers_down import TOLD
from controller.ocpp.v201.needs import is_iso_20, plain_needs
from controller.ocpp.v201.only_21 import NOT_FOR_CSMS, chain_status
from controller.ocpp.v201.tokens import Tokens
from controller.ocpp.v201.upward import UPWARD
from controller.orders import Severity, Tell

REFUSED: Final[dict[str, str]] = {
    "Authorize": "contracts over 5500 characters or addresses over 512 are Invalid with CertChainError: nobody could check them",
    "BatterySwap": "CALLERROR NotSupported: nobody would keep the record",
    "ClosePeriodicEventStream": "answered here: there is no stream",
    "Get15118EVCertificate": "requests over 5600 characters and answers over 7500 are Failed",
    "GetCertificateChainStatus": "Failed for each certificate",
    "GetCertificateStatus": "addresses over 512 characters and answers over 5500 are Failed",
    "MeterValues": "measurands of 2.1 and readings of location Upstream left out; signed values over 2500 characters left out, their number stays",
    "NotifyChargingLimit": "local generation is no limit and is not told; schedules without a limit are left out",
    "NotifyDERAlarm": "told as NotifyEvent on ChargingStation.Problem",
    "NotifyDERStartStop": "answered here",
    "NotifyDisplayMessages": "HTML and URI over 512 characters are left out, states of 2.1 too",
    "NotifyEVChargingNeeds": "bidirectional and wireless modes are told as the one-way mode of the same plug; DER and V2X parameters left out",
    "NotifyEVChargingSchedule": "a schedule without limits is Accepted with the reason and not told",
    "NotifyEvent": "AvailabilityState of connectors is told as StatusNotification; severity left out",
    "NotifyMonitoringReport": "TargetDelta monitors are left out",
    "NotifyPeriodicEventStream": "not told: opening the stream was Rejected",
    "NotifyPriorityCharging": "answered here",
    "NotifySettlement": "CALLERROR NotSupported: nobody would keep the payment",
    "OpenPeriodicEventStream": "Rejected",
    "PullDynamicScheduleUpdate": "Rejected: 2.0.1 has no Dynamic profiles",
    "ReportChargingProfiles": "profiles of kinds and purposes of 2.1 are left out",
    "ReportDERControl": "answered here",
    "SignCertificate": "V2G20Certificate is Rejected",
    "TransactionEvent": "costs, tariffs, limits and operation mode left out; reasons of 2.1 become the nearest; meter values as in MeterValues",
    "VatNumberValidation": "Rejected",
    "RequestStartTransaction": "EVSE 0 is Rejected: 2.1 has no word for it",
}
"""Action -> what a 2.0.1 CSMS cannot be told, and what is answered (the last: what it cannot ask)."""

_UNSIGNED: Final = (
    "signed meter values are longer than the 2500 characters that OCPP 2.0.1 carries: the numbers went to the CSMS without their signature. "
    "Let the station send shorter signed values, or connect the CSMS with OCPP 2.1"
)


class CsmsSide(Passing):
    """One 2.0.1 CSMS. memory: keys "sign:..."; shared: see ``Tokens``."""

    def __init__(self, surroundings: Surroundings) -> None:
        super().__init__(surroundings)
        self._tokens = Tokens(surroundings.shared)
        self._warned = False

    # -- the CSMS says -----------------------------------------------------------------------------------------

    def said(self, message: Message) -> Conversation:
        """A request of the CSMS, to the hub."""
        action = message.action
        if action not in words.ACTIONS:
            return Failed("NotImplemented", f"OCPP 2.0.1 has no {action[:50]}")
        sent = UPWARD.get(action, _same)(self._tokens.restored(message.payload))
        if not isinstance(sent, dict):
            return sent
        if action == "CertificateSigned":
            sent = {**self._request_id(sent), **sent}
        reply = yield Ask(action, self._around.fit(HUB_VERSION, action, False, sent), HUB)
        if not isinstance(reply, Said):
            return unanswered(reply)
        told = TOLD.get(action, _same)(self._tokens.plain(reply.payload))
        if self._around.shared.changed:
            yield Keep()
        return Said(self._around.fit(words.VERSION, action, True, told))

    # -- the hub asks --------------------------------------------------------------------------------------------

    def asked(self, message: Message) -> Conversation:
        """A message of a station, to the CSMS."""
        action, payload = message.action, message.payload
        if message.unanswered:
            return Said({})
        if action in NOT_FOR_CSMS:
            return NOT_FOR_CSMS[action](payload)
        if action == "GetCertificateChainStatus":
            return chain_status(self._around.now(), payload)
        if action == "NotifyDERAlarm":
            return _nothing_to_say((yield from self._ask("NotifyEvent", reports_down.alarm_event(payload, self._around.number()))))
        if action not in words.ACTIONS:
            return Failed("NotSupported", f"OCPP 2.0.1 has no {action[:50]}")
        if action == "NotifyEvent":
            return (yield from self._events(payload))
        sent, unsigned = self._plain(action, self._tokens.plain(payload))
        if unsigned and not self._warned:
            self._warned = True
            yield Emit(Tell(Severity.WARNING, self._around.name, _UNSIGNED))
        if not isinstance(sent, dict):
            return sent
        reply = yield from self._ask(action, sent)
        return _kept_alive(reply) if action == "NotifyEVChargingNeeds" and is_iso_20(payload) else reply

    def _plain(self, action: str, payload: Payload) -> tuple[Payload | Reply, bool]:
        """(The message in 2.0.1 or its answer, whether a signed value had to go)."""
        if action == "TransactionEvent":
            return reports_down.transaction_event(payload)
        if action == "MeterValues":
            return reports_down.meter_values(payload)
        if action == "NotifyEVChargingNeeds":
            return plain_needs(payload, self._phases(payload)), False
        if action == "SignCertificate":
            self._remember_request(payload)
        return reports_down.PLAIN.get(action, _same)(payload), False

    def _ask(self, action: str, sent: Payload) -> Conversation:
        if self._around.shared.changed or self._around.memory.changed:
            yield Keep()
        reply = yield Ask(action, self._around.fit(words.VERSION, action, False, sent), WIRE)
        if not isinstance(reply, Said):
            return unanswered(reply)
        return Said(self._around.fit(HUB_VERSION, action, True, self._tokens.restored(reply.payload)))

    def _events(self, payload: Payload) -> Conversation:
        """One StatusNotification per connector, then the rest; the first failure is the answer, so that the station says all of it again."""
        states, left = reports_down.events_as_states(payload)
        for state in states:
            reply = yield from self._ask("StatusNotification", state)
            if isinstance(reply, Failed):
                return reply
        return (yield from self._ask("NotifyEvent", left)) if left is not None else Said({})

    def _phases(self, payload: Payload) -> int:
        return next((evse.phases for evse in self._around.evses() if evse.evse_id == payload.get("evseId")), 3)

    # -- requestId of certificates: 2.0.1 does not carry it back (A02, A03) --------------------------------------------

    def _remember_request(self, payload: Payload) -> None:
        request_id = payload.get("requestId")
        self._around.memory.put(_signing(payload), request_id if real(request_id) else None)

    def _request_id(self, payload: Payload) -> Payload:
        request_id = self._around.memory.get(_signing(payload))
        return {} if request_id is None else {"requestId": request_id}


def _signing(payload: Payload) -> str:
    return f"sign:{payload.get('certificateType') or 'ChargingStationCertificate'}"


def _kept_alive(reply: Reply) -> Reply:
    """Rejected of a 2.0.1 CSMS means "no schedule from me"; to a 2.1 station with an ISO 15118-20 car that is NoChargingProfile (trap 22)."""
    rejected = isinstance(reply, Said) and reply.payload.get("status") == "Rejected"
    return Said({**reply.payload, "status": "NoChargingProfile"}) if isinstance(reply, Said) and rejected else reply


def _nothing_to_say(reply: Reply) -> Reply:
    return Said({}) if isinstance(reply, Said) else reply


def _same(payload: Payload) -> Payload:
    return payload
