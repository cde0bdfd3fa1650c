"""What an independent station answers to the CALLs of smart charging, by its temper. Payloads as on the wire; nothing of ours."""

import time
from datetime import UTC, datetime
from types import MappingProxyType

from ocpp.exceptions import NotSupportedError
from stack import PURPOSES, VOLTS, Stack

MOST = 32.0
LEAST = 6.0
PAUSE_S = 3.0


class Brain:
    """One station with one EVSE of 32 A on three phases, and its car.

    obeys; no_tx: Rejected for every TxProfile; refuses: CALLERROR NotSupported for every profile; ignores: Accepted, and goes on as
    it likes; mis_stacks: keeps the older profile of an id; watts: takes W only and reports W; forgets: loses its default with its
    connection; rate: takes no profile within three seconds after the last, and says so.
    """

    def __init__(self, version, temper):
        self.version, self.temper = version, temper
        self.old = version == "ocpp1.6"
        self.stack = Stack(self.old, temper == "mis_stacks")
        self.transaction, self.began, self.taken = None, time.time(), 0.0

    # -- what it does ----------------------------------------------------------------------------

    def allowed(self):
        """What its profiles allow now [A]; unlimited is what the box has."""
        limit = self.stack.limit(time.time(), self.began)
        return MOST if limit is None else min(limit, MOST)

    def draws(self):
        """What its car really draws per phase [A]."""
        if self.transaction is None:
            return 0.0
        given = MOST if self.temper == "ignores" else self.allowed()
        return given if given >= LEAST else 0.0

    def reconnected(self):
        if self.temper == "forgets":
            self.stack.forget("default")

    # -- what it answers --------------------------------------------------------------------------

    def answer(self, action, payload):
        return self.ANSWERS[action](self, payload)

    def set_profile(self, payload):
        if self.temper == "refuses":
            raise NotSupportedError(description="no smart charging")
        evse = payload["connectorId"] if self.old else payload["evseId"]
        raw = payload["csChargingProfiles"] if self.old else payload["chargingProfile"]
        reason, info = self._judge(raw)
        if not reason:
            reason = self.stack.set(evse, raw, time.time())
            self.taken = time.time()
        return {"status": "Accepted"} if not reason else self._no(reason, info)

    def _judge(self, raw):
        schedule = raw["chargingSchedule"] if self.old else raw["chargingSchedule"][0]
        wait = self.taken + PAUSE_S - time.time()
        if self.temper == "no_tx" and raw["chargingProfilePurpose"] == "TxProfile":
            return "InvalidProfile", ""
        if self.temper == "watts" and schedule["chargingRateUnit"] != "W":
            return "UnsupportedRateUnit", ""
        if self.temper == "rate" and wait > 0:
            return "RateLimitExceeded", f"{wait:.0f} seconds before retry"
        purpose, mine = PURPOSES[raw["chargingProfilePurpose"]], str(self.transaction)
        if purpose == "tx" and (self.transaction is None or str(raw.get("transactionId", mine)) != mine):
            return "TxNotFound", ""
        return "", ""

    def _no(self, reason, info):
        if self.old:
            return {"status": "Rejected"}
        return {"status": "Rejected", "statusInfo": {"reasonCode": reason, **({"additionalInfo": info} if info else {})}}

    def clear_profile(self, payload):
        if self.old:
            found = (payload.get("id"), payload.get("connectorId"), payload.get("chargingProfilePurpose"), payload.get("stackLevel"))
        else:
            criteria = payload.get("chargingProfileCriteria", {})
            found = (payload.get("chargingProfileId"), *(criteria.get(key) for key in ("evseId", "chargingProfilePurpose", "stackLevel")))
        return {"status": self.stack.clear(True, *found)}

    def update(self, payload):
        done = self.stack.update(payload["chargingProfileId"], payload["scheduleUpdate"].get("limit"), time.time())
        return {"status": "Accepted"} if done else self._no("InvalidProfile", "")

    def composite(self, payload):
        evse, unit = payload["connectorId" if self.old else "evseId"], "W" if self.temper == "watts" else "A"
        if self.temper == "refuses":
            return {"status": "Rejected"}
        factor = VOLTS * 3 if unit == "W" else 1.0
        found = self.stack.composite(time.time(), payload["duration"], self.began, MOST)
        periods = [{"startPeriod": start, "limit": round(limit * factor, 1), "numberPhases": 3} for start, limit in found]
        start = datetime.now(UTC).isoformat()
        schedule = {"chargingRateUnit": unit, "duration": payload["duration"], "chargingSchedulePeriod": periods}
        if self.old:
            return {"status": "Accepted", "connectorId": evse, "scheduleStart": start, "chargingSchedule": schedule}
        return {"status": "Accepted", "schedule": {"evseId": evse, "scheduleStart": start, **schedule}}

    def variables(self, payload):
        said = {"RateUnit": "W" if self.temper == "watts" else "A", "ProfileStackLevel": "9", "SupportsDynamicProfiles": "true"}
        if self.temper != "obeys":
            said.pop("SupportsDynamicProfiles")
        return {"getVariableResult": [self._variable(item, said) for item in payload["getVariableData"]]}

    @staticmethod
    def _variable(item, said):
        value = said.get(item["variable"]["name"]) if item["component"]["name"] == "SmartChargingCtrlr" else None
        told = {"attributeStatus": "UnknownVariable"} if value is None else {"attributeStatus": "Accepted", "attributeValue": value}
        return {**told, "component": item["component"], "variable": item["variable"]}

    def availability(self, payload):
        return {"status": "Scheduled" if self.transaction is not None else "Accepted"}

    def trigger(self, payload):
        return {"status": "Accepted"}

    ANSWERS = MappingProxyType(
        {
            "SetChargingProfile": set_profile,
            "ClearChargingProfile": clear_profile,
            "UpdateDynamicSchedule": update,
            "GetCompositeSchedule": composite,
            "GetVariables": variables,
            "ChangeAvailability": availability,
            "TriggerMessage": trigger,
        }
    )
