"""The MQTT notifier of OpenADR 3.1: our VEN, the server of ``sim`` and a real Mosquitto.

A poll comes so rarely here (an hour) that only an announcement can be why the site hears of something.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from controller.config import Config
from controller.io.signals import openadr3, openadr3_mqtt
from controller.io.tasks import end, spawn
from controller.sim.vtn3 import Fault, Vtn3
from controller.sim.vtn3_mqtt import Announcer, Offered
from tests.conftest import Broker
from tests.controller.io.signals.test_openadr3 import limit_event
from tests.support.certificates import ECDSA_CERT, ECDSA_KEY
from tests.support.openadr3_world import SITE, World, entry, until

HOUR_S = 3600.0


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openadr3, "QUICKEST_S", 0.02)
    monkeypatch.setattr(openadr3_mqtt, "AGAIN_S", (0.0, 0.0))


@asynccontextmanager
async def announced(broker: Broker, offered: Offered | None = None, poll_s: float = HOUR_S, **more: Any) -> AsyncIterator[World]:
    """A server with a broker, and a VEN that listens there."""
    vtn = Vtn3()
    vtn.mqtt = offered or Offered([f"mqtt://127.0.0.1:{broker.port}"])
    vtn.announcer = Announcer("127.0.0.1", broker.port, more.pop("login", None))
    await vtn.start()
    await vtn.announcer.start()
    made = Config.model_validate(SITE | {"signals": [entry(vtn.url, **more)]})
    there = World(vtn, made, poll_s)
    task = spawn(there.ven.run(), "ven")
    try:
        yield there
    finally:
        await end([task])
        await there.ven.close()
        await vtn.announcer.stop()
        await vtn.stop()


async def listens(there: World) -> None:
    """Its subscriptions are taken."""
    await until(lambda: there.ven._announcements.listening)


@pytest.mark.parametrize("wildcard", [True, False])
async def test_what_is_announced_is_heard_at_once(mosquitto: Broker, wildcard: bool) -> None:
    offered = Offered([f"mqtt://127.0.0.1:{mosquitto.port}"], wildcard=wildcard)
    async with announced(mosquitto, offered) as there:
        await listens(there)
        program = (await there.business("POST", "/programs", {"programName": "doe"}))["id"]
        made = await there.business("POST", "/events", limit_event(program, there.now() + 60, 11.0))
        await until(lambda: [event.consumption_w for event in there.events()] == [11_000.0])
        await there.business("PUT", f"/events/{made['id']}", limit_event(program, there.now() + 60, 4.2))
        await until(lambda: [event.consumption_w for event in there.events()] == [4200.0])
        await there.business("DELETE", f"/events/{made['id']}")
        await until(lambda: there.events() == ())
        assert "MQTT" not in there.notes()


async def test_private_events_come_on_the_topics_of_our_ven_only(mosquitto: Broker) -> None:
    async with announced(mosquitto) as there:
        await listens(there)
        (ven,) = there.vtn.objects["vens"].values()
        ven["targets"] = ["group1"]
        program = (await there.business("POST", "/programs", {"programName": "doe"}))["id"]
        await there.business("POST", "/events", limit_event(program, there.now() + 60, 7.0, targets=["group1"]))
        there.ven._enrolment.forget()  # what was granted is read anew
        await until(lambda: [event.consumption_w for event in there.events()] == [7000.0])
        topics = [each["path"] for each in there.asked("GET", "/notifiers/mqtt/topics")]
        assert f"{there.vtn.base_path}/notifiers/mqtt/topics/vens/{ven['id']}/events" in topics
        assert f"{there.vtn.base_path}/notifiers/mqtt/topics/events" not in topics


async def test_a_broker_that_goes_and_comes_back_while_polls_go_on(mosquitto: Broker) -> None:
    async with announced(mosquitto, poll_s=0.1) as there:
        await listens(there)
        mosquitto.stop()
        await until(lambda: "the server's MQTT notifier is not used, we poll as before" in there.notes())
        program = (await there.business("POST", "/programs", {"programName": "doe"}))["id"]
        await there.business("POST", "/events", limit_event(program, there.now() + 60, 7.0))
        await until(lambda: [event.consumption_w for event in there.events()] == [7000.0])
        mosquitto.start()
        await listens(there)
        await until(lambda: "MQTT" not in there.notes())
        assert {healthy for healthy, _ in there.health()} == {True}


async def test_a_broker_with_rubbish_and_a_storm_costs_polls_and_nothing_else(mosquitto: Broker) -> None:
    async with announced(mosquitto) as there:
        await listens(there)
        announcer = there.vtn.announcer
        assert announcer is not None
        for place, body in (("programs/create", b"\xff\0"), ("programs/update", b""), ("programs/delete", b"x" * 100_000)):
            announcer._client.publish(place, body, qos=1)
        for _ in range(2000):
            announcer._client.publish("programs/create", b"{}", qos=0)
        told = len(there.told())
        await until(lambda: len(there.told()) > told)
        program = (await there.business("POST", "/programs", {"programName": "doe"}))["id"]
        await there.business("POST", "/events", limit_event(program, there.now() + 60, 7.0))
        await until(lambda: [event.consumption_w for event in there.events()] == [7000.0])
        assert {healthy for healthy, _ in there.health()} == {True}
        assert len(there.asked("GET", "/events")) < 200, "two thousand announcements are few polls"


@pytest.mark.parametrize(
    ("offered", "words"),
    [
        ({"serialization": "CBOR"}, "its messages are not JSON"),
        ({"authentication": {"method": "KERBEROS"}}, "is not known here"),
        ({"uris": ["wss://127.0.0.1/mqtt"]}, "it names no broker"),
        ({"uris": ["mqtt://127.0.0.1:9"]}, "cannot be reached"),
        ({"authentication": {"method": "CERTIFICATE", "caCert": "x", "clientCert": "x", "clientKey": "x"}}, "MQTT notifier is not used"),
    ],
    ids=str,
)
async def test_what_cannot_be_used_is_told_and_polls_go_on(mosquitto: Broker, offered: dict[str, Any], words: str) -> None:
    uris = offered.pop("uris", [f"mqtts://127.0.0.1:{mosquitto.port}" if "authentication" in offered else f"mqtt://127.0.0.1:{mosquitto.port}"])
    async with announced(mosquitto, Offered(uris, **offered), poll_s=0.1) as there:
        await until(lambda: words in there.notes())
        await there.next_poll()
        assert {healthy for healthy, _ in there.health()} == {True}


async def test_a_server_that_names_us_no_topics_and_one_that_fails_while_we_ask(mosquitto: Broker) -> None:
    vtn = Vtn3()
    vtn.mqtt = Offered([f"mqtt://127.0.0.1:{mosquitto.port}"])
    vtn.faults += [Fault("/notifiers", 503, 1), Fault("/notifiers/mqtt", 403, 6)]
    await vtn.start()
    there = World(vtn, Config.model_validate(SITE | {"signals": [entry(vtn.url)]}))
    task = spawn(there.ven.run(), "ven")
    try:
        await until(lambda: "it names no topics to us" in there.notes())
        await listens(there)
    finally:
        await end([task])
        await there.ven.close()
        await vtn.stop()


async def test_switched_off_in_the_site_file(mosquitto: Broker) -> None:
    async with announced(mosquitto, poll_s=0.05, mqtt_notifier=False) as there:
        await there.next_poll(2)
        assert there.asked("GET", "/notifiers") == []


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Broker]:
    """A broker over TLS that wants a name and a password: the token, as the notifications document has it (12.2)."""
    (tmp_path / "cert.pem").write_text(ECDSA_CERT, encoding="utf-8")
    (tmp_path / "key.pem").write_text(ECDSA_KEY, encoding="utf-8")
    for name, password in (("vtn", "vtn-secret"), ("ven", "the-token")):
        create = ["-c"] if name == "vtn" else []
        subprocess.run(["mosquitto_passwd", "-b", *create, str(tmp_path / "pw"), name, password], check=True, capture_output=True)
    os.chmod(tmp_path / "pw", 0o600)
    names = f"allow_anonymous false\npassword_file {tmp_path / 'pw'}\n"
    broker = Broker(tmp_path, f"certfile {tmp_path / 'cert.pem'}\nkeyfile {tmp_path / 'key.pem'}\n{names}")
    broker.start()
    yield broker
    broker.stop()


@pytest.mark.parametrize(("token", "heard"), [("the-token", True), ("another", False)])
async def test_the_token_is_the_password_over_tls(guarded: Broker, tmp_path: Path, token: str, heard: bool) -> None:
    """user name "{clientID}" stands for our own; a broker that refuses us is told without the token."""
    (tmp_path / "ca.pem").write_text(ECDSA_CERT, encoding="utf-8")
    vtn = Vtn3()
    vtn.fresh_token = lambda: token
    vtn.mqtt = Offered([f"mqtts://localhost:{guarded.port}"], {"method": "OAUTH2_BEARER_TOKEN", "username": "{clientID}"})
    await vtn.start()
    there = World(vtn, Config.model_validate(SITE | {"signals": [entry(vtn.url, ca_file=str(tmp_path / "ca.pem"))]}))
    task = spawn(there.ven.run(), "ven")
    try:
        if heard:
            await listens(there)
            await until(lambda: there.told() and "MQTT" not in there.notes())
        else:
            await until(lambda: "its broker refuses us" in there.notes())
            assert token not in there.notes()
    finally:
        await end([task])
        await asyncio.wait_for(there.ven.close(), 5)
        await vtn.stop()
