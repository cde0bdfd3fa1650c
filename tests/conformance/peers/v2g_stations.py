"""Independent 2.1 stations with cars that could give back, many in one process: raw ``websockets``, nothing of ours.

argv: log file, URL without identity, stations as JSON: [{"name", "announces", "needs", "refuses"}]. announces: whether it says that it takes
V2X setpoints; needs: whether its car asks for a bidirectional transfer; refuses: whether it rejects V2X profiles all the same; der (if
there): the types of DER control its inverter executes. Each obeys the last profile, reports every second, and logs
{"at", "name", "dir", "frame"} for every frame.
stdin: {"say": name, "action", "payload"} lets a station send a CALL, its answer is printed; {"come": spec} one more station; {"leave": name}
one less; {"stop": true} ends.
"""

import asyncio
import json
import sys
import time
import uuid
from datetime import UTC, datetime, timedelta

import websockets

LOG = open(sys.argv[1], "a", buffering=1)  # noqa: SIM115
URL, STATIONS = sys.argv[2], json.loads(sys.argv[3])
CAPACITY_WH, SOC = 60_000.0, 80.0
VARIABLES = {
    ("V2XChargingCtrlr", "Available"): "true",
    ("V2XChargingCtrlr", "Enabled"): "true",
    ("V2XChargingCtrlr", "SupportedOperationModes"): "ChargingOnly,CentralSetpoint,CentralFrequency",
}


def now(more_s=0.0):
    return (datetime.now(UTC) + timedelta(seconds=more_s)).isoformat().replace("+00:00", "Z")


class Station:
    """One station on one connection. flow_w: what flows into the car, negative = out of it."""

    def __init__(self, spec):
        self.name, self.spec = spec["name"], spec
        self.flow_w, self.transaction, self.seq = 0.0, str(uuid.uuid4()), 0
        self.waiting, self.turn, self.socket = {}, asyncio.Lock(), None

    async def live(self):
        async with websockets.connect(f"{URL}/{self.name}", subprotocols=["ocpp2.1"]) as self.socket:
            reader = asyncio.ensure_future(self.read())
            try:
                await self.session()
            finally:
                reader.cancel()

    async def session(self):
        await self.call("BootNotification", {"reason": "PowerUp", "chargingStation": {"model": "X", "vendorName": "Y"}})
        connector = {"timestamp": now(), "evseId": 1, "connectorId": 1, "connectorStatus": "Occupied"}
        await self.call("StatusNotification", connector)
        await asyncio.sleep(2.0)
        started = {"evse": {"id": 1, "connectorId": 1}, "idToken": {"idToken": "BUS-1", "type": "ISO14443"}}
        await self.event("Started", "Authorized", **started)
        await asyncio.sleep(2.0)
        if self.spec["needs"]:
            await self.call("NotifyEVChargingNeeds", {"evseId": 1, "chargingNeeds": self.needs()})
        while True:
            await asyncio.sleep(1.0)
            await self.event("Updated", "MeterValuePeriodic")

    def needs(self):
        v2x = {
            "minChargePower": 4140,
            "maxChargePower": 11040,
            "minDischargePower": 500,
            "maxDischargePower": 5000,
            "evTargetEnergyRequest": 3000,
            "evMaxEnergyRequest": CAPACITY_WH * (100 - SOC) / 100,
            "evMinV2XEnergyRequest": -30_000,
        }
        return {"requestedEnergyTransfer": "AC_BPT", "departureTime": now(10 * 3600), "v2xChargingParameters": v2x}

    async def event(self, kind, trigger, **more):
        way = "Export" if self.flow_w < 0 else "Import"
        sampled = [{"value": abs(self.flow_w) / 690.0, "measurand": f"Current.{way}", "phase": f"L{n}"} for n in (1, 2, 3)]
        sampled.append({"value": abs(self.flow_w), "measurand": f"Power.Active.{way}", "unitOfMeasure": {"unit": "W"}})
        sampled.append({"value": SOC, "measurand": "SoC"})
        body = {
            "eventType": kind,
            "timestamp": now(),
            "triggerReason": trigger,
            "seqNo": self.seq,
            "transactionInfo": {"transactionId": self.transaction, "chargingState": "Charging"},
            "meterValue": [{"timestamp": now(), "sampledValue": sampled}],
            **more,
        }
        self.seq += 1
        await self.call("TransactionEvent", body)

    # -- frames -------------------------------------------------------------------------------------------------

    def log(self, direction, text):
        LOG.write(json.dumps({"at": time.time(), "name": self.name, "dir": direction, "frame": json.loads(text)}) + "\n")

    async def send(self, frame):
        text = json.dumps(frame)
        self.log("out", text)
        await self.socket.send(text)

    async def call(self, action, payload):
        async with self.turn:
            message_id = str(uuid.uuid4())
            self.waiting[message_id] = asyncio.get_running_loop().create_future()
            await self.send([2, message_id, action, payload])
            return await asyncio.wait_for(self.waiting[message_id], 30)

    async def read(self):
        async for text in self.socket:
            self.log("in", text)
            kind, message_id, *rest = json.loads(text)
            if kind == 2:
                await self.send([3, message_id, self.answer(*rest)])
            else:
                self.waiting.pop(message_id).set_result(rest[0])

    def answer(self, action, payload):
        if action == "GetVariables":
            return {"getVariableResult": [self.variable(item) for item in payload["getVariableData"]]}
        if action == "SetChargingProfile":
            return self.take(payload["chargingProfile"]["chargingSchedule"][0]["chargingSchedulePeriod"][0])
        if action == "UpdateDynamicSchedule":
            return self.take(payload["scheduleUpdate"])
        if action == "GetCompositeSchedule":
            period = {"startPeriod": 0, "limit": max(0.0, self.flow_w) / 690.0, "numberPhases": 3}
            schedule = {"evseId": 1, "duration": payload["duration"], "scheduleStart": now(), "chargingRateUnit": "A"}
            return {"status": "Accepted", "schedule": {**schedule, "chargingSchedulePeriod": [period]}}
        if action == "AFRRSignal":
            return {"status": "Rejected", "statusInfo": {"reasonCode": "NoSignalWattCurve"}}
        return {"status": "Accepted"}

    def variable(self, item):
        if (item["component"]["name"], item["variable"]["name"]) == ("DCDERCtrlr", "ModesSupported") and self.spec.get("der"):
            return {"attributeStatus": "Accepted", "attributeValue": self.spec["der"], "component": item["component"], "variable": item["variable"]}
        known = VARIABLES.get((item["component"]["name"], item["variable"]["name"])) if self.spec["announces"] else None
        if known is None:
            return {"attributeStatus": "UnknownVariable", "component": item["component"], "variable": item["variable"]}
        return {"attributeStatus": "Accepted", "attributeValue": known, "component": item["component"], "variable": item["variable"]}

    def take(self, period):
        """The car follows at once: the setpoint in W, else the limit, up to 16 A on three phases."""
        if "setpoint" in period:
            if self.spec["refuses"]:
                return {"status": "Rejected", "statusInfo": {"reasonCode": "InvalidOperationMode"}}
            self.flow_w = max(-5000.0, period["setpoint"])
        else:
            self.flow_w = 690.0 * min(16.0, period["limit"])
        return {"status": "Accepted"}


async def main():
    loop = asyncio.get_running_loop()
    stations = {spec["name"]: Station(spec) for spec in STATIONS}
    tasks = {name: asyncio.ensure_future(station.live()) for name, station in stations.items()}
    print(json.dumps({"at": time.time()}), flush=True)
    while True:
        line = await loop.run_in_executor(None, sys.stdin.readline)
        command = json.loads(line) if line.strip() else {"stop": True}
        if command.get("stop"):
            break
        said = {}
        if "come" in command:
            name = command["come"]["name"]
            stations[name] = Station(command["come"])
            tasks[name] = asyncio.ensure_future(stations[name].live())
        elif "leave" in command:
            tasks.pop(command["leave"]).cancel()
        else:
            said = await stations[command["say"]].call(command["action"], command["payload"])
        print(json.dumps({"at": time.time(), "said": said}), flush=True)
    failed = [repr(task.exception()) for task in tasks.values() if task.done() and not task.cancelled()]
    if failed:
        print(*failed, file=sys.stderr, flush=True)
    for task in tasks.values():
        task.cancel()


asyncio.run(main())
