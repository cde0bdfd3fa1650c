"""A CSMS and its stations for smart charging in one event loop: PyPI ``ocpp`` over ``websockets``, nothing of ours.

The CSMS speaks 1.6 and 2.0.1 with the library's own ChargePoint, 2.1 with raw frames, as the library's snake_case breaks names of it.
The stations speak raw frames. Every frame in and out, of all versions, is judged by the library's schemas. Payloads here are as on
the wire (camelCase).
"""

import asyncio
import json
import time
import uuid
from contextlib import suppress
from datetime import UTC, datetime
from itertools import count

import ocpp.v16
import ocpp.v201
import websockets
from ocpp.charge_point import camel_to_snake_case, snake_to_camel_case
from ocpp.exceptions import NotImplementedError as NotThere
from ocpp.exceptions import OCPPError
from ocpp.messages import Call, CallResult, validate_payload
from ocpp.routing import on

from tests.conformance.peers.stack import Stack

ANSWER_S = 30.0
MOST_A = 32.0
NUMBERS = {"ocpp1.6": "1.6", "ocpp2.0.1": "2.0.1", "ocpp2.1": "2.1"}
MODULES = {"ocpp1.6": ocpp.v16, "ocpp2.0.1": ocpp.v201}
TRANSACTIONS = count(9001)
TOKEN = {"idToken": "GOOD-1", "type": "ISO14443"}
TOLD = ("NotifyChargingLimit", "ClearedChargingLimit", "ReportChargingProfiles", "NotifyPriorityCharging")
HEARD = ("BootNotification", "Heartbeat", "StatusNotification", "Authorize", "MeterValues")
"""What the CSMS hears in all versions, beside the messages of transactions."""


def now():
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


class Raw:
    """One end of a connection: frames by hand, one CALL in flight. answer(action, payload) makes the answers."""

    def __init__(self, socket, version, answer):
        self.socket, self.version, self.answer = socket, NUMBERS[version], answer
        self.waiting, self.turn = {}, asyncio.Lock()

    async def start(self):
        async for text in self.socket:
            kind, message_id, *rest = json.loads(text)
            if kind == 2:
                await self._asked(message_id, *rest)
            elif kind in (3, 4):
                self.waiting.pop(message_id).set_result(rest[0] if kind == 3 else OCPPError(str(rest)))

    async def _asked(self, message_id, action, payload):
        try:
            await validate_payload(Call(message_id, action, payload), self.version)
            answer = self.answer(action, payload)
            await validate_payload(CallResult(message_id, answer, action), self.version)
            await self.socket.send(json.dumps([3, message_id, answer]))
        except OCPPError as error:
            await self.socket.send(json.dumps([4, message_id, error.code, error.description, {}]))

    async def call(self, action, payload, judged=True):
        """The payload of the answer; raises OCPPError. judged: the request must be valid."""
        async with self.turn:
            message_id = str(uuid.uuid4())
            if judged:
                await validate_payload(Call(message_id, action, payload), self.version)
            self.waiting[message_id] = asyncio.get_running_loop().create_future()
            await self.socket.send(json.dumps([2, message_id, action, payload]))
            answer = await asyncio.wait_for(self.waiting[message_id], ANSWER_S)
            if isinstance(answer, OCPPError):
                raise answer
            await validate_payload(CallResult(message_id, answer, action), self.version)
            return answer


class Lib:
    """The same with the library's own ChargePoint."""

    def __init__(self, socket, version, answer):
        self.module = MODULES[version]
        actions = (*HEARD, "StartTransaction", "StopTransaction") if version == "ocpp1.6" else (*HEARD, "TransactionEvent", *TOLD[:3])
        point = type("Point", (self.module.ChargePoint,), {action: self._handler(action, answer) for action in actions})
        self.point = point("CSMS", socket, response_timeout=ANSWER_S)

    def _handler(self, action, answer):
        result = getattr(self.module.call_result, action)

        async def handle(_, **fields):
            return result(**camel_to_snake_case(answer(action, plain(snake_to_camel_case(fields)))))

        handle.__name__ = action  # by which ``ocpp`` finds it
        return on(action)(handle)

    async def start(self):
        await self.point.start()

    async def call(self, action, payload, judged=True):
        """The payload of the answer; raises OCPPError. judged: the request must be valid."""
        request = getattr(self.module.call, action)(**camel_to_snake_case(payload))
        answer = await self.point.call(request, suppress=False, skip_schema_validation=not judged)
        return {key: value for key, value in plain(snake_to_camel_case(vars(answer))).items() if value is not None}


def plain(payload):
    """As JSON: the library reads decimals."""
    return json.loads(json.dumps(payload, default=float))


class Csms:
    """One server for stations of all versions. told: station -> [(time, action, payload)] of what it was told about limits and profiles.

    pulled: profile id -> limit it answers to PullDynamicScheduleUpdate.
    """

    def __init__(self):
        self.links, self.told, self.pulled, self.server, self.port = {}, {}, {}, None, 0

    async def __aenter__(self):
        self.server = await websockets.serve(self._serve, "127.0.0.1", 0, subprotocols=list(NUMBERS))
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_):
        self.server.close()

    async def _serve(self, socket):
        name = socket.request.path.rsplit("/", 1)[-1]
        kind = Raw if socket.subprotocol == "ocpp2.1" else Lib
        self.links[name] = kind(socket, socket.subprotocol, lambda action, payload: self._answer(name, action, payload))
        with suppress(websockets.ConnectionClosed):
            await self.links[name].start()

    def _answer(self, name, action, payload):
        if action in TOLD or action == "PullDynamicScheduleUpdate":
            self.told.setdefault(name, []).append((time.monotonic(), action, payload))
        match action:
            case "BootNotification":
                return {"currentTime": now(), "interval": 300, "status": "Accepted"}
            case "Heartbeat":
                return {"currentTime": now()}
            case "Authorize" | "TransactionEvent" if "idToken" in payload:
                return {"idTokenInfo": {"status": "Accepted"}}
            case "Authorize":
                return {"idTagInfo": {"status": "Accepted"}}
            case "StartTransaction":
                return {"transactionId": next(TRANSACTIONS), "idTagInfo": {"status": "Accepted"}}
            case "PullDynamicScheduleUpdate":
                limit = self.pulled.get(payload["chargingProfileId"])
                return {"status": "Rejected"} if limit is None else {"status": "Accepted", "scheduleUpdate": {"limit": limit}}
        return {}

    async def call(self, name, action, payload, judged=True):
        """A CALL to a station. judged: it must be valid."""
        return await self.links[name].call(action, payload, judged)

    def heard(self, name, action):
        """Payloads of one action a station's leg has told, in order."""
        return [payload for _, told, payload in self.told.get(name, []) if told == action]


class Station:
    """One EVSE of 32 A on three phases and a car that takes all it may. seen: [(action, payload)] of the CALLs it got."""

    def __init__(self, name, version):
        self.name, self.version, self.old = name, version, version == "ocpp1.6"
        self.stack, self.seen = Stack(self.old), []
        self.transaction, self.began, self.seq, self.wire, self.task, self.remote = None, 0.0, 0, None, None, None

    async def plug(self, url):
        """Connect, boot, and say every second what the car draws."""
        socket = await websockets.connect(f"{url}/{self.name}", subprotocols=[self.version])
        self.wire = Raw(socket, self.version, self._answer)
        self.task = asyncio.gather(self.wire.start(), self._report())
        box = {"chargePointVendor": "Indie", "chargePointModel": "Three"}
        boot = box if self.old else {"reason": "PowerUp", "chargingStation": {"vendorName": "Indie", "model": "Three"}}
        await self.wire.call("BootNotification", boot)
        await self._status("Preparing" if self.old else "Occupied")

    async def unplug(self):
        self.task.cancel()
        await self.wire.socket.close()

    async def _status(self, status):
        place = {"connectorId": 1, "errorCode": "NoError", "status": status}
        await self.wire.call("StatusNotification", place if self.old else {**_EVSE_STATUS, "timestamp": now(), "connectorStatus": status})

    async def begin(self):
        """A session begins; returns the id of its transaction."""
        self.began, self.seq = time.time(), 0
        if self.old:
            start = {"connectorId": 1, "idTag": "GOOD-1", "meterStart": 0, "timestamp": now()}
            self.transaction = (await self.wire.call("StartTransaction", start))["transactionId"]
            await self._status("Charging")
        else:
            self.transaction = f"tx-{self.name}"
            start_id = {} if self.remote is None else {"remoteStartId": self.remote}
            await self._event("Started", "CablePluggedIn", start_id, evse={"id": 1, "connectorId": 1}, idToken=TOKEN)
        return self.transaction

    async def end(self):
        transaction, self.transaction = self.transaction, None
        self.stack.forget("tx")
        if self.old:
            await self.wire.call("StopTransaction", {"transactionId": transaction, "meterStop": 100, "timestamp": now()})
        else:
            await self._event("Ended", "EVDeparted", {}, transaction)

    async def _event(self, kind, trigger, info, transaction=None, **more):
        about = {"transactionId": transaction or self.transaction, "chargingState": "EVConnected" if kind == "Ended" else "Charging", **info}
        seq, self.seq = self.seq, self.seq + 1
        event = {"eventType": kind, "timestamp": now(), "triggerReason": trigger, "seqNo": seq, "transactionInfo": about, **more}
        await self.wire.call("TransactionEvent", event)

    def allowed(self):
        """What its stack allows [A]."""
        limit = self.stack.limit(time.time(), self.began)
        return MOST_A if limit is None else min(limit, MOST_A)

    async def _report(self):
        while True:
            await asyncio.sleep(1.0)
            if self.transaction is None:
                continue
            drawn = round(self.allowed(), 1) if self.allowed() >= 6.0 else 0.0
            samples = [{"value": drawn, "measurand": "Current.Import", "phase": phase, "context": "Sample.Periodic"} for phase in ("L1", "L2", "L3")]
            if self.old:
                told = [{"timestamp": now(), "sampledValue": [{**one, "value": str(drawn), "unit": "A"} for one in samples]}]
                await self.wire.call("MeterValues", {"connectorId": 1, "transactionId": self.transaction, "meterValue": told})
            else:
                meter = [{"timestamp": now(), "sampledValue": samples}]
                await self._event("Updated", "MeterValuePeriodic", {}, meterValue=meter)

    def _answer(self, action, payload):
        self.seen.append((action, payload))
        handler = getattr(self, f"_{action}", None)
        if handler is None:
            raise NotThere(description="no such action here")
        return handler(payload)

    def _SetChargingProfile(self, payload):  # noqa: N802 - as the message is called
        raw = payload.get("chargingProfile") or payload["csChargingProfiles"]
        reason = self.stack.set(payload["connectorId" if self.old else "evseId"], raw, time.time())
        return {"status": "Rejected" if reason else "Accepted"}

    def _ClearChargingProfile(self, payload):  # noqa: N802
        criteria = payload if self.old else payload.get("chargingProfileCriteria", {})
        purpose, place = criteria.get("chargingProfilePurpose"), criteria.get("connectorId" if self.old else "evseId")
        profile_id = payload.get("id" if self.old else "chargingProfileId")
        return {"status": self.stack.clear(True, profile_id, place, purpose, criteria.get("stackLevel"))}

    def _GetCompositeSchedule(self, payload):  # noqa: N802
        found = self.stack.composite(time.time(), 5, self.began or time.time(), MOST_A)
        periods = [{"startPeriod": start, "limit": round(limit, 1)} for start, limit in found]
        if self.old:
            schedule = {"chargingRateUnit": "A", "chargingSchedulePeriod": periods}
            return {"status": "Accepted", "connectorId": payload["connectorId"], "scheduleStart": now(), "chargingSchedule": schedule}
        head = {"evseId": payload["evseId"], "duration": payload["duration"], "scheduleStart": now(), "chargingRateUnit": "A"}
        return {"status": "Accepted", "schedule": {**head, "chargingSchedulePeriod": periods}}

    def _GetVariables(self, payload):  # noqa: N802
        found = [{**item, "attributeStatus": "UnknownVariable"} for item in payload["getVariableData"]]
        return {"getVariableResult": found}

    def _RequestStartTransaction(self, payload):  # noqa: N802
        self.remote = payload["remoteStartId"]
        return {"status": "Accepted"}

    def _RemoteStartTransaction(self, _):  # noqa: N802
        return {"status": "Accepted"}

    def _TriggerMessage(self, _):  # noqa: N802
        return {"status": "Accepted"}


_EVSE_STATUS = {"evseId": 1, "connectorId": 1}
