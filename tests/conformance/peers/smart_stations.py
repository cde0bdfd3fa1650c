"""Independent stations with cars, many in one process: PyPI ``ocpp`` over ``websockets``, nothing of ours. Speaks 1.6, 2.0.1, 2.1.

argv: log file, URL without identity, stations as JSON: [{"name", "version", "temper"}]. Each connects, starts a session and
reports what its car draws. The log has one line per CALL to a station, {"at", "name", "action", "payload", "answer"}, and per
station and second {"at", "name", "allowed", "draws"}. stdin: {"drop": name} breaks a connection for a moment; {"stop": true} ends.

2.1 is spoken with raw dicts, judged by the schemas: ``ocpp``'s snake_case breaks names of it.
"""

import asyncio
import json
import sys
import time
import uuid
from datetime import UTC, datetime

import ocpp.v16
import ocpp.v201
import websockets
from ocpp.charge_point import camel_to_snake_case, snake_to_camel_case
from ocpp.exceptions import OCPPError
from ocpp.messages import Call, CallResult, validate_payload
from ocpp.routing import on
from tempers import Brain

LOG = open(sys.argv[1], "a", buffering=1)  # noqa: SIM115
URL, STATIONS = sys.argv[2], json.loads(sys.argv[3])
REPORT_S = 1.5
CALLS = ("SetChargingProfile", "ClearChargingProfile", "GetCompositeSchedule", "ChangeAvailability", "TriggerMessage")
MODULES = {"ocpp1.6": ocpp.v16, "ocpp2.0.1": ocpp.v201}


def log(**line):
    LOG.write(json.dumps({"at": time.time(), **line}) + "\n")


def now():
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


def asked(station, action, payload):
    """The brain's answer, logged; raises OCPPError for a CALLERROR."""
    try:
        answer = station.brain.answer(action, payload)
    except OCPPError as error:
        log(name=station.name, action=action, payload=payload, answer=error.code)
        raise
    log(name=station.name, action=action, payload=payload, answer=answer)
    return answer


def handler(module, action):
    async def handle(self, **fields):
        answer = asked(self.owner, action, json.loads(json.dumps(snake_to_camel_case(fields), default=float)))
        return getattr(module.call_result, action)(**camel_to_snake_case(answer))

    handle.__name__ = action  # by which ``ocpp`` finds it
    return on(action)(handle)


def charge_point(module):
    actions = CALLS if module is ocpp.v16 else (*CALLS, "GetVariables")
    return type("Point", (module.ChargePoint,), {action: handler(module, action) for action in actions})


POINTS = {version: charge_point(module) for version, module in MODULES.items()}


class Lib:
    """The wire of 1.6 and 2.0.1: ``ocpp``'s own."""

    def __init__(self, station, socket):
        self.module = MODULES[station.version]
        self.point = POINTS[station.version](station.name, socket, response_timeout=30)
        self.point.owner = station

    def start(self):
        return self.point.start()

    async def call(self, action, payload):
        answer = await self.point.call(getattr(self.module.call, action)(**camel_to_snake_case(payload)), suppress=False)
        return snake_to_camel_case(vars(answer))


class Raw:
    """The wire of 2.1: frames by hand, one CALL in flight, each judged by the schemas."""

    def __init__(self, station, socket):
        self.station, self.socket, self.waiting, self.turn = station, socket, {}, asyncio.Lock()

    async def start(self):
        async for text in self.socket:
            kind, message_id, *rest = json.loads(text)
            if kind == 2:
                await self._asked(message_id, *rest)
            else:
                self.waiting.pop(message_id).set_result(rest[0] if kind == 3 else OCPPError(str(rest)))

    async def _asked(self, message_id, action, payload):
        try:
            await validate_payload(Call(message_id, action, payload), "2.1")
            answer = asked(self.station, action, payload)
            await validate_payload(CallResult(message_id, answer, action), "2.1")
            await self.socket.send(json.dumps([3, message_id, answer]))
        except OCPPError as error:
            await self.socket.send(json.dumps([4, message_id, error.code, error.description, {}]))

    async def call(self, action, payload):
        async with self.turn:
            message_id = str(uuid.uuid4())
            await validate_payload(Call(message_id, action, payload), "2.1")
            self.waiting[message_id] = asyncio.get_running_loop().create_future()
            await self.socket.send(json.dumps([2, message_id, action, payload]))
            answer = await asyncio.wait_for(self.waiting[message_id], 30)
            if isinstance(answer, OCPPError):
                raise answer
            return answer


class Station:
    """One station for the whole run; connections come and go."""

    def __init__(self, name, version, temper):
        self.name, self.version, self.brain = name, version, Brain(version, temper)
        self.socket, self.seq, self.told = None, 0, False

    async def live(self):
        while True:
            try:
                async with websockets.connect(f"{URL}/{self.name}", subprotocols=[self.version]) as self.socket:
                    wire = (Raw if self.version == "ocpp2.1" else Lib)(self, self.socket)
                    reader = asyncio.ensure_future(wire.start())
                    try:
                        await self.session(wire)
                    finally:
                        reader.cancel()
            except (websockets.ConnectionClosed, OSError):
                self.brain.reconnected()
                await asyncio.sleep(0.5)

    async def session(self, wire):
        if not self.told:
            await (self.begin_16 if self.brain.old else self.begin_2)(wire)
            self.told = True
        while True:
            await asyncio.sleep(REPORT_S)
            await (self.report_16 if self.brain.old else self.report_2)(wire)

    async def begin_16(self, wire):
        await wire.call("BootNotification", {"chargePointVendor": "Indie", "chargePointModel": "Two"})
        await wire.call("StatusNotification", {"connectorId": 1, "errorCode": "NoError", "status": "Preparing"})
        start = {"connectorId": 1, "idTag": "GOOD-1", "meterStart": 0, "timestamp": now()}
        answer = await wire.call("StartTransaction", start)
        self.brain.transaction, self.brain.began = answer["transactionId"], time.time()
        await wire.call("StatusNotification", {"connectorId": 1, "errorCode": "NoError", "status": "Charging"})

    async def begin_2(self, wire):
        await wire.call("BootNotification", {"reason": "PowerUp", "chargingStation": {"vendorName": "Indie", "model": "Two"}})
        status = {"timestamp": now(), "connectorStatus": "Occupied", "evseId": 1, "connectorId": 1}
        await wire.call("StatusNotification", status)
        self.brain.transaction, self.brain.began = f"tx-{self.name}", time.time()
        token = {"idToken": "GOOD-1", "type": "ISO14443"}
        await self.event(wire, "Started", "CablePluggedIn", evse={"id": 1, "connectorId": 1}, idToken=token)

    async def event(self, wire, kind, trigger, **more):
        info = {"transactionId": self.brain.transaction, "chargingState": "Charging" if self.brain.draws() else "SuspendedEVSE"}
        event = {"eventType": kind, "timestamp": now(), "triggerReason": trigger, "seqNo": self.seq, "transactionInfo": info, **more}
        self.seq += 1
        await wire.call("TransactionEvent", event)

    def samples(self):
        drawn = round(self.brain.draws(), 1)
        return [{"value": drawn, "measurand": "Current.Import", "phase": phase, "context": "Sample.Periodic"} for phase in ("L1", "L2", "L3")]

    async def report_16(self, wire):
        samples = [{**sample, "value": str(sample["value"]), "unit": "A"} for sample in self.samples()]
        meter = [{"timestamp": now(), "sampledValue": samples}]
        await wire.call("MeterValues", {"connectorId": 1, "transactionId": self.brain.transaction, "meterValue": meter})

    async def report_2(self, wire):
        meter = [{"timestamp": now(), "sampledValue": self.samples()}]
        await self.event(wire, "Updated", "MeterValuePeriodic", meterValue=meter)


async def watch(stations):
    while True:
        for station in stations:
            log(name=station.name, allowed=station.brain.allowed(), draws=station.brain.draws())
        await asyncio.sleep(0.5)


async def main():
    stations = [Station(**fields) for fields in STATIONS]
    tasks = [asyncio.ensure_future(station.live()) for station in stations] + [asyncio.ensure_future(watch(stations))]
    for task in tasks:
        task.add_done_callback(lambda done: done.cancelled() or print(repr(done.exception()), file=sys.stderr, flush=True))
    print(json.dumps({"stations": len(stations), "at": time.time()}), flush=True)
    loop = asyncio.get_running_loop()
    while True:
        line = await loop.run_in_executor(None, sys.stdin.readline)
        command = json.loads(line) if line.strip() else {"stop": True}
        if command.get("stop"):
            return
        for station in stations:
            if station.name == command.get("drop"):
                await station.socket.close()
        print(json.dumps({}), flush=True)


asyncio.run(main())
