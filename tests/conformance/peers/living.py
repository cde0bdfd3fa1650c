"""How the stations of the matrix live: one EVSE, one connector, in the words of 1.6 and of 2.x. Nothing of ours.

``box`` is the connection: call, later, reboot, fetch, put. What a CSMS orders is done as a real station would: answered first, then done,
then told.
"""

import time
import uuid
from datetime import UTC, datetime

from judged import unknown
from stack import Stack


def now():
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


class Life:
    """What both families share. wh: the import register."""

    def __init__(self, box, version):
        self.box, self.version = box, version
        self.stack = Stack(replaces=version == "ocpp1.6")
        self.list_version, self.listed = 0, []
        self.transaction, self.wh = None, 1000
        self.plugged = False
        self.got = []

    def answer(self, action, payload):
        """The answer to a CALL of the CSMS."""
        self.got.append(action)
        method = getattr(self, f"on_{action}", None)
        if method is None:
            raise unknown(action)
        return method(payload)

    async def state(self):
        limit = self.stack.limit(time.time(), time.time())
        return {
            "transaction": self.transaction,
            "limit": limit,
            "settings": self.settings,
            "list": [self.list_version, self.listed],
            "got": self.got,
            "deeds": len(self.box.deeds),
        }

    async def redial(self):
        """Whoever it spoke to went away."""
        await self.box.connect()

    def later(self, deed):
        self.box.later(deed)

    async def firmware(self, url, tell):
        for status in ("Downloading", "Downloaded", "Installing", "Installed"):
            if status == "Downloading":
                await self.box.fetch(url)
            await tell(status)


class Life16(Life):
    """OCPP 1.6 with the security extension."""

    settings = None

    def __init__(self, box, version):
        super().__init__(box, version)
        self.settings = {"HeartbeatInterval": "42", "MeterValueSampleInterval": "60", "NumberOfConnectors": "1", "VendorKey": "x"}

    async def status(self, word):
        payload = {"connectorId": 1, "errorCode": "NoError", "status": word, "timestamp": now()}
        return await self.box.call("StatusNotification", payload)

    async def boot(self, reset=False):
        answer = await self.box.call("BootNotification", {"chargePointVendor": "Indie", "chargePointModel": "Sixteen", "firmwareVersion": "1.0"})
        await self.status("Available")
        return answer

    async def plug(self):
        self.plugged = True
        return await self.status("Preparing")

    async def authorize(self, token):
        return await self.box.call("Authorize", {"idTag": token})

    async def start(self, token, wh=1000, more=None):
        self.wh = wh
        answer = await self.box.call("StartTransaction", {"connectorId": 1, "idTag": token, "meterStart": wh, "timestamp": now(), **(more or {})})
        self.transaction = answer["result"]["transactionId"] if "result" in answer else None
        await self.status("Charging")
        return answer

    async def values(self, wh):
        self.wh = wh
        sample = {"value": str(wh), "context": "Sample.Periodic", "measurand": "Energy.Active.Import.Register", "unit": "Wh"}
        amps = {"value": "6.0", "context": "Sample.Periodic", "measurand": "Current.Import", "unit": "A", "phase": "L1"}
        value = {"timestamp": now(), "sampledValue": [sample, amps]}
        return await self.box.call("MeterValues", {"connectorId": 1, "transactionId": self.transaction, "meterValue": [value]})

    async def stop(self, wh, reason="Local"):
        self.wh = wh
        transaction, self.transaction = self.transaction, None
        self.stack.forget("tx")
        answer = await self.box.call("StopTransaction", {"transactionId": transaction, "meterStop": wh, "timestamp": now(), "reason": reason})
        await self.status("Finishing")
        return answer

    async def unplug(self):
        self.plugged = False
        return await self.status("Available")

    def on_RemoteStartTransaction(self, payload):  # noqa: N802
        self.later(lambda: self.start(payload["idTag"], self.wh))
        return {"status": "Accepted" if self.transaction is None else "Rejected"}

    def on_RemoteStopTransaction(self, payload):  # noqa: N802
        if payload["transactionId"] != self.transaction:
            return {"status": "Rejected"}
        self.later(lambda: self.stop(self.wh + 10, "Remote"))
        return {"status": "Accepted"}

    def on_SetChargingProfile(self, payload):  # noqa: N802
        reason = self.stack.set(payload["connectorId"], payload["csChargingProfiles"], time.time())
        return {"status": "Rejected" if reason else "Accepted"}

    def on_ClearChargingProfile(self, payload):  # noqa: N802
        wanted = (payload.get("id"), payload.get("connectorId"), payload.get("chargingProfilePurpose"), payload.get("stackLevel"))
        return {"status": self.stack.clear(True, *wanted)}

    def on_GetCompositeSchedule(self, payload):  # noqa: N802
        periods = self.stack.composite(time.time(), min(payload["duration"], 200), time.time(), 32.0)
        schedule = {"chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": start, "limit": limit} for start, limit in periods]}
        return {"status": "Accepted", "connectorId": payload["connectorId"], "scheduleStart": now(), "chargingSchedule": schedule}

    def on_GetConfiguration(self, payload):  # noqa: N802
        asked = payload.get("key") or list(self.settings)
        known = [{"key": key, "readonly": key == "NumberOfConnectors", "value": self.settings[key]} for key in asked if key in self.settings]
        return {"configurationKey": known, "unknownKey": [key for key in asked if key not in self.settings]}

    def on_ChangeConfiguration(self, payload):  # noqa: N802
        if payload["key"] not in self.settings:
            return {"status": "NotSupported"}
        self.settings[payload["key"]] = payload["value"]
        return {"status": "Accepted"}

    def on_SendLocalList(self, payload):  # noqa: N802
        self.list_version = payload["listVersion"]
        self.listed = [item["idTag"] for item in payload.get("localAuthorizationList", [])]
        return {"status": "Accepted"}

    def on_GetLocalListVersion(self, payload):  # noqa: N802
        return {"listVersion": self.list_version}

    def on_Reset(self, payload):  # noqa: N802
        self.later(self.box.reboot)
        return {"status": "Accepted"}

    def on_UpdateFirmware(self, payload):  # noqa: N802
        self.later(lambda: self.firmware(payload["location"], lambda status: self.box.call("FirmwareStatusNotification", {"status": status})))
        return {}

    def on_GetDiagnostics(self, payload):  # noqa: N802
        async def upload():
            await self.box.call("DiagnosticsStatusNotification", {"status": "Uploading"})
            await self.box.put(payload["location"].rstrip("/") + "/diagnostics.log", b"diagnostics of the station")
            await self.box.call("DiagnosticsStatusNotification", {"status": "Uploaded"})

        self.later(upload)
        return {"fileName": "diagnostics.log"}

    def on_GetLog(self, payload):  # noqa: N802
        async def upload():
            await self.box.call("LogStatusNotification", {"status": "Uploading", "requestId": payload["requestId"]})
            await self.box.put(payload["log"]["remoteLocation"].rstrip("/") + "/station.log", b"log of the station")
            await self.box.call("LogStatusNotification", {"status": "Uploaded", "requestId": payload["requestId"]})

        self.later(upload)
        return {"status": "Accepted", "filename": "station.log"}

    def on_TriggerMessage(self, payload):  # noqa: N802
        return {"status": "NotImplemented"}

    def on_ClearCache(self, payload):  # noqa: N802
        return {"status": "Accepted"}

    def on_ChangeAvailability(self, payload):  # noqa: N802
        return {"status": "Accepted"}

    def on_UnlockConnector(self, payload):  # noqa: N802
        return {"status": "NotSupported"}


class Life2(Life):
    """OCPP 2.0.1 and 2.1."""

    settings = None

    def __init__(self, box, version):
        super().__init__(box, version)
        self.settings = {"OCPPCommCtrlr/HeartbeatInterval": "42", "SampledDataCtrlr/TxUpdatedInterval": "60"}
        self.seq, self.remote = 0, None

    async def status(self, word):
        payload = {"timestamp": now(), "connectorStatus": word, "evseId": 1, "connectorId": 1}
        return await self.box.call("StatusNotification", payload)

    async def boot(self, reset=False):
        about = {"vendorName": "Indie", "model": "Twenty", "firmwareVersion": "2.0"}
        answer = await self.box.call("BootNotification", {"reason": "RemoteReset" if reset else "PowerUp", "chargingStation": about})
        await self.status("Available")
        return answer

    async def plug(self):
        self.plugged = True
        return await self.status("Occupied")

    async def authorize(self, token):
        return await self.box.call("Authorize", {"idToken": {"idToken": token, "type": "Central"}})

    async def _event(self, kind, trigger, wh, context, info=None, **more):
        self.wh = wh
        seq, self.seq = self.seq, self.seq + 1
        sample = {"value": wh, "context": context, "measurand": "Energy.Active.Import.Register", "unitOfMeasure": {"unit": "Wh"}}
        payload = {
            "eventType": kind,
            "timestamp": now(),
            "triggerReason": trigger,
            "seqNo": seq,
            "transactionInfo": {"transactionId": self.transaction, **(info or {})},
            "meterValue": [{"timestamp": now(), "sampledValue": [sample]}],
            **more,
        }
        return await self.box.call("TransactionEvent", payload)

    async def start(self, token, wh=1000):
        self.transaction, self.seq = str(uuid.uuid4()), 0
        info = {"chargingState": "Charging"}
        if self.remote is not None:
            info["remoteStartId"], self.remote = self.remote, None
        trigger = "RemoteStart" if "remoteStartId" in info else "Authorized"
        more = {"evse": {"id": 1, "connectorId": 1}, "idToken": {"idToken": token, "type": "Central"}}
        return await self._event("Started", trigger, wh, "Transaction.Begin", info, **more)

    async def values(self, wh):
        return await self._event("Updated", "MeterValuePeriodic", wh, "Sample.Periodic", {"chargingState": "Charging"})

    async def stop(self, wh, reason="Local"):
        trigger = {"Local": "StopAuthorized", "Remote": "RemoteStop"}[reason]
        answer = await self._event("Ended", trigger, wh, "Transaction.End", {"stoppedReason": reason, "chargingState": "EVConnected"})
        self.transaction = None
        self.stack.forget("tx")
        return answer

    async def unplug(self):
        self.plugged = False
        return await self.status("Available")

    def on_RequestStartTransaction(self, payload):  # noqa: N802
        self.remote = payload["remoteStartId"]
        self.later(lambda: self.start(payload["idToken"]["idToken"], self.wh))
        return {"status": "Accepted" if self.transaction is None else "Rejected"}

    def on_RequestStopTransaction(self, payload):  # noqa: N802
        if payload["transactionId"] != self.transaction:
            return {"status": "Rejected"}
        self.later(lambda: self.stop(self.wh + 10, "Remote"))
        return {"status": "Accepted"}

    def on_SetChargingProfile(self, payload):  # noqa: N802
        reason = self.stack.set(payload["evseId"], payload["chargingProfile"], time.time())
        return {"status": "Rejected", "statusInfo": {"reasonCode": reason}} if reason else {"status": "Accepted"}

    def on_ClearChargingProfile(self, payload):  # noqa: N802
        criteria = payload.get("chargingProfileCriteria", {})
        wanted = (payload.get("chargingProfileId"), criteria.get("evseId"), criteria.get("chargingProfilePurpose"), criteria.get("stackLevel"))
        return {"status": self.stack.clear(True, *wanted)}

    def on_GetCompositeSchedule(self, payload):  # noqa: N802
        periods = self.stack.composite(time.time(), min(payload["duration"], 200), time.time(), 32.0)
        schedule = {"evseId": payload["evseId"], "duration": payload["duration"], "scheduleStart": now(), "chargingRateUnit": "A"}
        schedule["chargingSchedulePeriod"] = [{"startPeriod": start, "limit": limit} for start, limit in periods]
        return {"status": "Accepted", "schedule": schedule}

    def _named(self, item):
        return f"{item['component']['name']}/{item['variable']['name']}"

    def on_GetVariables(self, payload):  # noqa: N802
        found = []
        for item in payload["getVariableData"]:
            value = self.settings.get(self._named(item))
            head = {"component": item["component"], "variable": item["variable"]}
            known = {"attributeStatus": "Accepted", "attributeValue": value}
            found.append({**head, **(known if value is not None else {"attributeStatus": "UnknownVariable"})})
        return {"getVariableResult": found}

    def on_SetVariables(self, payload):  # noqa: N802
        done = []
        for item in payload["setVariableData"]:
            known = self._named(item) in self.settings
            if known:
                self.settings[self._named(item)] = item["attributeValue"]
            status = "Accepted" if known else "UnknownVariable"
            done.append({"component": item["component"], "variable": item["variable"], "attributeStatus": status})
        return {"setVariableResult": done}

    def on_GetBaseReport(self, payload):  # noqa: N802
        async def report():
            data = [
                {
                    "component": {"name": name.split("/")[0]},
                    "variable": {"name": name.split("/")[1]},
                    "variableAttribute": [{"value": value}],
                    "variableCharacteristics": {"dataType": "integer", "supportsMonitoring": False},
                }
                for name, value in self.settings.items()
            ]
            for number, item in enumerate(data):
                page = {"requestId": payload["requestId"], "generatedAt": now(), "seqNo": number, "tbc": number + 1 < len(data)}
                await self.box.call("NotifyReport", {**page, "reportData": [item]})

        self.later(report)
        return {"status": "Accepted"}

    def on_SendLocalList(self, payload):  # noqa: N802
        self.list_version = payload["versionNumber"]
        self.listed = [item["idToken"]["idToken"] for item in payload.get("localAuthorizationList", [])]
        return {"status": "Accepted"}

    def on_GetLocalListVersion(self, payload):  # noqa: N802
        return {"versionNumber": self.list_version}

    def on_Reset(self, payload):  # noqa: N802
        self.later(self.box.reboot)
        return {"status": "Accepted"}

    def on_UpdateFirmware(self, payload):  # noqa: N802
        def tell(status):
            return self.box.call("FirmwareStatusNotification", {"status": status, "requestId": payload["requestId"]})

        self.later(lambda: self.firmware(payload["firmware"]["location"], tell))
        return {"status": "Accepted"}

    def on_GetLog(self, payload):  # noqa: N802
        async def upload():
            await self.box.call("LogStatusNotification", {"status": "Uploading", "requestId": payload["requestId"]})
            await self.box.put(payload["log"]["remoteLocation"].rstrip("/") + "/station.log", b"log of the station")
            await self.box.call("LogStatusNotification", {"status": "Uploaded", "requestId": payload["requestId"]})

        self.later(upload)
        return {"status": "Accepted", "filename": "station.log"}

    def on_GetTransactionStatus(self, payload):  # noqa: N802
        return {"messagesInQueue": False}

    def on_TriggerMessage(self, payload):  # noqa: N802
        return {"status": "NotImplemented"}

    def on_ClearCache(self, payload):  # noqa: N802
        return {"status": "Accepted"}

    def on_ChangeAvailability(self, payload):  # noqa: N802
        return {"status": "Accepted"}

    def on_UnlockConnector(self, payload):  # noqa: N802
        return {"status": "UnlockFailed"}


