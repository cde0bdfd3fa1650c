"""The MQTT side of the demo: a small broker in the process, and a fleet manager that sets limits.

The broker (amqtt) is for the demo only; a real site brings its own, e.g. Mosquitto.
"""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import aiohttp
import paho.mqtt.client as paho
from amqtt.broker import Broker
from paho.mqtt.enums import CallbackAPIVersion

logging.getLogger("amqtt").setLevel(logging.CRITICAL)
logging.getLogger("transitions").setLevel(logging.CRITICAL)

API_ANSWER_S = 5.0
ACCEPTED = 202


class SimBroker:
    """An MQTT broker on the loopback interface."""

    def __init__(self) -> None:
        self._broker: Broker | None = None

    async def start(self, port: int) -> None:
        """Listen on ``port``. Nobody needs a password: the port is not reachable from outside."""
        settings = {
            "listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{port}", "max_connections": 50}},
            "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
        }
        self._broker = Broker(settings)
        await self._broker.start()

    async def stop(self) -> None:
        """Close every connection and the port."""
        if self._broker is not None:
            await self._broker.shutdown()
            self._broker = None


class FleetManager:
    """Publishes limits for a site as a fleet system would, and tells its API what cars need whose stations cannot (1.6)."""

    def __init__(self, site_id: str, port: int, page_port: int = 0) -> None:
        self._head = f"yardmaster/{site_id}"
        self._port = port
        self._url = f"http://127.0.0.1:{page_port}/api/v1/evses"
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id="fleet-manager")
        self._client.on_connect = self._listen
        self._client.on_message = self._hear
        self.answered: set[str] = set()
        """Sources whose statements the controller has answered."""

    def _listen(self, *_: Any) -> None:
        self._client.subscribe(f"{self._head}/signal/+/answer", qos=1)

    def _hear(self, _client: Any, _data: Any, message: paho.MQTTMessage) -> None:
        self.answered.add(message.topic.split("/")[-2])

    async def start(self) -> None:
        """Connect; paho keeps the link by itself from then on."""
        await asyncio.to_thread(self._client.connect, "127.0.0.1", self._port, 30)
        self._client.loop_start()

    async def stop(self) -> None:
        """Say goodbye and end paho's thread."""
        self._client.disconnect()
        await asyncio.to_thread(self._client.loop_stop)

    def limit(self, value: float, unit: str, valid_for_s: float) -> None:
        """Set a limit for the whole site: per phase [A] or in total [W], for so many seconds."""
        body = {"value": value, "unit": unit, "valid_for_s": valid_for_s, "source": "fleet"}
        self._client.publish(f"{self._head}/limit/set", json.dumps(body), qos=1)

    def state(self, source: str, body: dict[str, Any]) -> None:
        """Speak as the grid operator's box, a source of limits of the site file."""
        self._client.publish(f"{self._head}/signal/{source}/set", json.dumps(body), qos=1)

    async def need(self, station_id: str, evse_id: int, energy_wh: float, departure_wall_s: float) -> bool:
        """State what the car at an EVSE still needs; False if it was not taken, e.g. because no session runs there yet."""
        body = {"energy_wh": energy_wh, "departure": departure_wall_s}
        try:
            limit = aiohttp.ClientTimeout(total=API_ANSWER_S)
            async with aiohttp.ClientSession(timeout=limit) as session, session.post(f"{self._url}/{station_id}/{evse_id}/need", json=body) as answer:
                return answer.status == ACCEPTED
        except (aiohttp.ClientError, TimeoutError, OSError):
            return False
