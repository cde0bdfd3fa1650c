"""Every exchange of the all-actions run: what is sent, by whom, what the other side answers, what must become of it."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any, Final

from tests.conformance.directions import CALLS, DOWN, ENDS_HERE, SENDS, UP
from tests.conformance.peers import bodies, texts
from tests.conformance.peers.bodies import FULL, LEAN, ODD, STYLES, Meaning

RELAYED: Final = "relayed"
ANSWERED_HERE: Final = "answered here"
SILENT: Final = "silent"
STRIPPED: Final = "passes without its charging profile"
REFUSED: Final = "refused here"

ERROR: Final = "error"
"""A fourth kind of exchange beside the styles of bodies: the other side answers CALLERROR."""

EVSES: Final = {LEAN: 1, FULL: 2, ODD: 3, ERROR: 1}
LONG: Final = "the other side is not amused: é 充電\n" * 20
CODES: Final = ("NotImplemented", "InternalError", "FormationViolation", "OccurenceConstraintViolation", "VendorMadeThisUp", "SecurityError")

STARTS: Final = {"RequestStartTransaction", "RemoteStartTransaction"}
NOT_FIRST: Final = {"StopTransaction"}


@dataclass(frozen=True, slots=True)
class Exchange:
    """One message and its answer. direction: of the message. answer "" = none is due."""

    version: str
    direction: str
    action: str
    style: str
    message_id: str
    text: str
    answer: str
    fate: str
    by_dataclass: bool = False


class Catalogue:
    """Makes the exchanges of one version, in the order a station lives through them."""

    def __init__(self, version: str) -> None:
        self.version = version
        self._hand = texts.Hand()
        self._count = {UP: 0, DOWN: 0}
        self._errors = 0

    def exchanges(self, direction: str) -> list[Exchange]:
        """All actions of a direction in all styles."""
        made: list[Exchange] = []
        for style in (*STYLES, ERROR):
            meaning = self._meaning(style)
            for action in self._order(direction):
                made += self._of(direction, action, style, meaning)
        return made

    def extras(self, direction: str) -> list[Exchange]:
        """What no schema knows and real peers send all the same: it passes (P4 7, OCPP-NOTES 3.3, 16.12)."""
        signed = "StatusNotification-Signed" if direction == UP else "UnlockConnector-Signed"
        jws = {"payload": "eyJldnNlSWQiOjF9", "signatures": [{"protected": "eyJhbGciOiJFUzI1NiJ9", "signature": "DtEhU3ljbEg8L38VWAfUAqOyKAM6"}]}
        strange = [("VendorMadeThisUp", {"x": [1, {"y": None}]}), ("dataTransfer", {}), (signed, jws)]
        data: tuple[Any, ...] = ("text", {"a": 1.50}, [1, "two"], 42, 31.884057998657227, "", None, False)
        transfers = [("DataTransfer", {"vendorId": "org.example", "messageId": "m", "data": value}) for value in data]
        return [self._extra(direction, action, payload) for action, payload in strange + transfers]

    def guarded(self) -> list[Exchange]:
        """CALLs of the CSMS that Yardmaster reads: a start with a profile (K05), settings that would move the station (F27)."""
        return [self._start_with_profile(), *(self._forbidden(payload) for payload in self._moving_settings())]

    def _start_with_profile(self) -> Exchange:
        periods = [{"startPeriod": 0, "limit": 9.5, "numberPhases": 3}]
        schedule: Any = {"chargingRateUnit": "A", "chargingSchedulePeriod": periods}
        profile = {"stackLevel": 0, "chargingProfilePurpose": "TxProfile", "chargingProfileKind": "Relative"}
        if self.version == "ocpp1.6":
            action, payload = "RemoteStartTransaction", {"connectorId": 2, "idTag": "GOOD-1"}
            payload["chargingProfile"] = {**profile, "chargingProfileId": 71, "chargingSchedule": schedule}
        else:
            action, payload = "RequestStartTransaction", {"evseId": 2, "remoteStartId": 71, "idToken": {"idToken": "GOOD-1", "type": "ISO14443"}}
            payload["chargingProfile"] = {**profile, "id": 71, "chargingSchedule": [{**schedule, "id": 1}]}
        bodies.check(self.version, bodies.request_name(self.version, action), payload)
        return self._guarded(action, payload, {"status": "Accepted"}, STRIPPED)

    def _moving_settings(self) -> list[dict[str, Any]]:
        if self.version == "ocpp1.6":
            return [{"key": key, "value": value} for key, value in (("CentralSystemURL", "ws://elsewhere.example/"), ("SecurityProfile", "0"))]
        names = [("OCPPCommCtrlr", "NetworkConfigurationPriority"), ("ocppcommctrlr", "networkconfigurationpriority")]
        return [{"setVariableData": [{"component": {"name": c}, "variable": {"name": v}, "attributeValue": "2"}]} for c, v in names]

    def _forbidden(self, payload: dict[str, Any]) -> Exchange:
        action = "ChangeConfiguration" if self.version == "ocpp1.6" else "SetVariables"
        bodies.check(self.version, bodies.request_name(self.version, action), payload)
        return self._guarded(action, payload, {"status": "Accepted"}, REFUSED)

    def _guarded(self, action: str, payload: dict[str, Any], answer: dict[str, Any], fate: str) -> Exchange:
        message_id = self._id(DOWN, ERROR)
        text, reply = self._hand.frame(2, message_id, action, payload), self._hand.frame(3, message_id, answer)
        return Exchange(self.version, DOWN, action, "guarded", message_id, text, reply, fate)

    def _extra(self, direction: str, action: str, payload: dict[str, Any]) -> Exchange:
        message_id = self._id(direction, ERROR)
        text = self._hand.frame(2, message_id, action, payload)
        answer = self._hand.frame(3, message_id, {**payload, "status": "Accepted"})
        return Exchange(self.version, direction, action, "extra", message_id, text, answer, RELAYED)

    def _order(self, direction: str) -> list[str]:
        actions = sorted(CALLS[self.version][direction], key=lambda name: (name != "BootNotification", name in NOT_FIRST, name))
        return actions + (SENDS[self.version] if direction == UP else [])

    def _meaning(self, style: str) -> Meaning:
        evse = EVSES[style]
        transaction: str | int = 4710 + evse if self.version == "ocpp1.6" else f"tx-{style}-é"[:36]
        return Meaning(LEAN if style == ERROR else style, evse, transaction)

    def _of(self, direction: str, action: str, style: str, meaning: Meaning) -> list[Exchange]:
        if action != "TransactionEvent":
            return [self._one(direction, action, style, meaning)]
        made = []
        for event in ("Started", "Updated", "Ended"):
            meaning.event = event
            made.append(self._one(direction, action, style, meaning))
        return made

    def _one(self, direction: str, action: str, style: str, meaning: Meaning) -> Exchange:
        message_id = self._id(direction, style)
        request = bodies.request(self.version, action, meaning)
        if action in STARTS:
            request.pop("chargingProfile", None)  # its fate is a test of its own
        if action in SENDS[self.version]:
            text = self._hand.frame(6, message_id, action, request)
            return Exchange(self.version, direction, action, style, message_id, text, "", SILENT)
        fate = ANSWERED_HERE if action in ENDS_HERE[self.version][direction] else RELAYED
        text, by_dataclass = self._call(style, message_id, action, request)
        answer, answer_by = self._answer(style, message_id, action, meaning)
        return Exchange(self.version, direction, action, style, message_id, text, answer, fate, by_dataclass and answer_by)

    def _id(self, direction: str, style: str) -> str:
        """LEAN: UUID. FULL: numbers that both directions use alike. ODD: quotes, spaces, letters beyond ASCII."""
        self._count[direction] += 1
        count = self._count[direction]
        unique = str(uuid.UUID(int=count << 64 | len(direction)))
        return {LEAN: unique, FULL: str(count), ODD: f'é "{count}"\\/ocpp', ERROR: f"e-{direction}-{count}"}[style]

    def _call(self, style: str, message_id: str, action: str, payload: dict[str, Any]) -> tuple[str, bool]:
        if style in (ODD, ERROR):
            return self._hand.frame(2, message_id, action, payload), False
        return texts.call(self.version, message_id, action, payload)

    def _answer(self, style: str, message_id: str, action: str, meaning: Meaning) -> tuple[str, bool]:
        if style == ERROR:
            self._errors += 1
            code = CODES[self._errors % len(CODES)]
            return self._hand.frame(4, message_id, code, LONG[: 20 + 60 * (self._errors % 12)], {"at": self._errors}), False
        payload = bodies.response(self.version, action, meaning)
        if style == ODD:
            return self._hand.frame(3, message_id, payload), False
        return texts.result(self.version, message_id, action, payload)
