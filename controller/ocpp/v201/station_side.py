"""How a 2.0.1 station looks to the hub (OCPP-NOTES 12.12).

Nearly every message has the same shape. What a 2.0.1 station cannot be told is answered for it with its own "no", never cut to something
else: half a charging profile would let a car draw more than it may. Tokens of 2.1 have aliases (``tokens``).
"""

from __future__ import annotations

from typing import Final

from controller.ocpp.hub import HUB, WIRE, Ask, Conversation, Failed, Keep, Message, Payload, Reply, Said, Surroundings
from controller.ocpp.v2.mending import timeless
from controller.ocpp.v2.passing import HUB_VERSION, Passing, items, unanswered
from controller.ocpp.v201 import commands_down, upward, words
from controller.ocpp.v201.answers_down import TOLD
from controller.ocpp.v201.items_down import SPLIT
from controller.ocpp.v201.only_21 import NOT_FOR_STATION
from controller.ocpp.v201.tokens import Tokens

MAX_MONITORS: Final = 1000
"""Ids of monitors remembered per station."""

REFUSED: Final[dict[str, str]] = {
    "AFRRSignal": "Rejected: 2.0.1 has no frequency reserve",
    "AdjustPeriodicEventStream": "Rejected: 2.0.1 has no event streams",
    "CertificateSigned": "V2G20Certificate is Rejected",
    "ChangeTransactionTariff": "Rejected: 2.0.1 has no tariffs",
    "ClearChargingProfile": "purposes PriorityCharging and LocalGeneration are Unknown",
    "ClearDERControl": "NotSupported: 2.0.1 has no DER controls",
    "ClearTariffs": "NoTariff: 2.0.1 has no tariffs",
    "GetChargingProfiles": "purposes and sources of 2.1 have NoProfiles",
    "GetDERControl": "NotSupported: 2.0.1 has no DER controls",
    "GetDisplayMessages": "states Suspended and Discharging are Unknown",
    "GetInstalledCertificateIds": "OEMRootCertificate is NotFound",
    "GetLog": "DataCollectorLog and addresses over 512 characters are Rejected",
    "GetPeriodicEventStream": "answered with no streams",
    "GetTariffs": "NoTariff: 2.0.1 has no tariffs",
    "InstallCertificate": "OEMRootCertificate and certificates over 5500 characters are Rejected",
    "NotifyAllowedEnergyTransfer": "Rejected: 2.0.1 has no change of service",
    "NotifyWebPaymentStarted": "CALLERROR NotSupported: 2.0.1 has no web payments",
    "PublishFirmware": "addresses over 512 characters are Rejected",
    "RequestBatterySwap": "Rejected: 2.0.1 has no battery swap",
    "RequestStartTransaction": "Rejected with a charging profile that SetChargingProfile would refuse",
    "Reset": "ImmediateAndResume is Rejected",
    "SetChargingProfile": "Dynamic, PriorityCharging, LocalGeneration, modes and limits of V2X, phases of their own, limitAtSoC, useLocalTime, "
    "randomizedDelay, offline durations are Rejected with their reason",
    "SetDERControl": "NotSupported: 2.0.1 has no DER controls",
    "SetDefaultTariff": "Rejected: 2.0.1 has no tariffs",
    "SetDisplayMessage": "states Suspended and Discharging NotSupportedState, QR codes NotSupportedMessageFormat, long HTML or URI Rejected; "
    "further languages left out",
    "SetNetworkProfile": "long addresses and logins, an identity, a password, interface Any are Rejected",
    "SetVariableMonitoring": "TargetDelta monitors UnsupportedMonitorType, event streams Rejected, item by item",
    "SetVariables": "values over 1000 characters are Rejected, item by item",
    "TransactionEvent": "of the answer: transactionLimit left out, so the station never confirms it, and further languages of the message",
    "Authorize": "of the answer: tariff and allowedEnergyTransfer left out",
    "TriggerMessage": "CustomTrigger and SignV2G20Certificate are NotImplemented",
    "UpdateDynamicSchedule": "Rejected: 2.0.1 has no Dynamic profiles",
    "UpdateFirmware": "addresses over 512 characters are Rejected",
    "UsePriorityCharging": "Rejected: 2.0.1 has no priority charging",
}
"""Action of the hub -> what a 2.0.1 station cannot be told, and what is answered."""


class StationSide(Passing):
    """One 2.0.1 station. memory: key "monitors" and those of ``Passing``; shared: see ``Tokens``."""

    def __init__(self, surroundings: Surroundings) -> None:
        super().__init__(surroundings)
        self._tokens = Tokens(surroundings.shared)

    # -- the station says --------------------------------------------------------------------------------------

    def said(self, message: Message) -> Conversation:
        """A message of the station, to the hub."""
        action = message.action
        if action not in words.ACTIONS:
            return Failed("NotImplemented", f"OCPP 2.0.1 has no {action[:50]}")
        sent = self._upward(action, message.payload)
        if not isinstance(sent, dict):
            return sent
        payload = self._upward_fit(action, sent)
        if action == "MeterValues" and "meterValue" not in payload:
            return Said({})  # nothing in it can be read
        if timeless(action, sent):
            yield Keep()
        reply = yield Ask(action, payload, HUB)
        if not isinstance(reply, Said):
            return unanswered(reply)
        told = TOLD.get(action, _same)(self._tokens.plain(reply.payload))
        if self._around.shared.changed:
            yield Keep()
        return Said(self._around.fit(words.VERSION, action, True, told))

    def _upward(self, action: str, payload: Payload) -> Payload | Reply:
        restored: Payload = self._tokens.restored(payload)
        if action == "NotifyMonitoringReport":
            return upward.with_monitor_kinds(restored, self._around.memory.get("monitors", []))
        return upward.UPWARD.get(action, _same)(restored)

    # -- the hub asks --------------------------------------------------------------------------------------------

    def asked(self, message: Message) -> Conversation:
        """A message of the hub, to the station."""
        action, payload = message.action, message.payload
        if action in NOT_FOR_STATION:
            return NOT_FOR_STATION[action](payload)
        if action not in words.ACTIONS or message.unanswered:
            return Failed("NotSupported", f"OCPP 2.0.1 has no {action[:50]}")
        split = SPLIT.get(action)
        if split is None:
            return (yield from self._ask(action, payload))
        left, known = split.parted(payload)
        reply = (yield from self._ask(action, left)) if left is not None else Said({split.result: []})
        return split.joined(known, reply)

    def _ask(self, action: str, payload: Payload) -> Conversation:
        sent = commands_down.PLAIN.get(action, _same)(self._tokens.plain(payload))
        if not isinstance(sent, dict):
            return sent
        if self._around.shared.changed:
            yield Keep()
        reply = yield Ask(action, self._around.fit(words.VERSION, action, False, sent), WIRE)
        if not isinstance(reply, Said):
            return unanswered(reply)
        if self._noted(action, payload, reply.payload):
            yield Keep()
        return Said(self._around.fit(HUB_VERSION, action, True, self._tokens.restored(reply.payload)))

    def _noted(self, action: str, asked: Payload, answer: Payload) -> bool:
        """Which monitors are the CSMS's own; whether that changed."""
        own: list[int] = self._around.memory.get("monitors", [])
        if action == "SetVariableMonitoring":
            new = [item.get("id") for item in items(answer, "setMonitoringResult") if item.get("status") == "Accepted"]
            own = [*own, *(each for each in new if isinstance(each, int) and each not in own)]
        elif action == "ClearVariableMonitoring":
            gone = {item.get("id") for item in items(answer, "clearMonitoringResult") if item.get("status") in ("Accepted", "NotFound")}
            own = [each for each in own if each not in gone]
        elif action == "SetMonitoringBase" and answer.get("status") == "Accepted" and asked.get("monitoringBase") != "All":
            own = []
        else:
            return False
        self._around.memory.put("monitors", own[-MAX_MONITORS:])
        return self._around.memory.changed


def _same(payload: Payload) -> Payload:
    return payload
