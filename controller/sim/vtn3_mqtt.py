"""The MQTT side of the simulated OpenADR 3.1 server: what it offers at /notifiers, its topics, and the announcements on them.

The broker is another's (Mosquitto in tests). Topics are named as in the OpenAPI document's examples; private objects are announced on the topics
of the vens they are targeted at, public ones on those of their program and of everybody.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

OPERATIONS = ("CREATE", "UPDATE", "DELETE")


@dataclass(slots=True)
class Offered:
    """What the server says of its broker. uris, authentication: as they are told. wildcard: it names topics for all operations, too."""

    uris: list[str]
    authentication: dict[str, Any] = field(default_factory=lambda: {"method": "ANONYMOUS"})
    wildcard: bool = True
    serialization: str = "JSON"

    def body(self) -> dict[str, Any]:
        """mqttNotifierBindingObject."""
        return {"URIS": self.uris, "serialization": self.serialization, "authentication": self.authentication}


def topics_of(place: str, wildcard: bool, made: bool = True) -> dict[str, Any]:
    """notifierTopicsResponse. made: whether there can be news of something made (not for one single object)."""
    found = {name: f"{place}/{name.lower()}" for name in OPERATIONS if made or name != "CREATE"}
    return {"topics": found | ({"ALL": f"{place}/+"} if wildcard else {})}


def places(name: str, made: dict[str, Any], vens: Iterable[dict[str, Any]]) -> list[str]:
    """Where an operation on an object is announced. vens: with the targets granted to each."""
    targets = set(made.get("targets") or [])
    if targets:
        return [name, *(f"{name}/vens/{ven['id']}" for ven in vens if targets & set(ven.get("targets") or []))]
    program = [f"{name}/programs/{made['programID']}"] if name == "events" else [f"programs/{made['id']}"]
    return [name, *program, *(f"{name}/vens/{ven['id']}" for ven in vens)]


class Announcer:
    """Publishes on the broker."""

    def __init__(self, host: str, port: int, login: tuple[str, str] | None = None, retain: bool = True) -> None:
        self._where, self._retain = (host, port), retain
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id="vtn")
        if login is not None:
            self._client.username_pw_set(*login)

    async def start(self) -> None:
        """Connect. Raises OSError when there is no broker."""
        await asyncio.to_thread(self._client.connect, *self._where)
        self._client.loop_start()

    def say(self, place: str, operation: str, note: dict[str, Any]) -> None:
        """Announce an operation."""
        self._client.publish(f"{place}/{operation.lower()}", json.dumps(note), qos=1, retain=self._retain)

    async def stop(self) -> None:
        """Leave."""
        self._client.disconnect()
        await asyncio.to_thread(self._client.loop_stop)
