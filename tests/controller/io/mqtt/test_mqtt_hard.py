"""MQTT as strangers run it: TLS with a private CA, access lists, a broker that restarts, duplicates, disorder, retained garbage (F51-F54, B36-B40).
"""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from controller.config import Config
from controller.facts import LimitReceived, LimitRefused, MeterFailed, MeterRead, SourceChanged, Stamp
from controller.io.mqtt.outbox import QUEUE_LENGTH, Message, Outbox
from controller.io.mqtt.shell import MqttShell, Timing
from controller.orders import Publish
from tests.conftest import Broker
from tests.support.certificates import ECDSA_CERT, ECDSA_KEY, RSA_CERT
from tests.support.facts import FactLog
from tests.support.site_story import Story, depot

ROOT = "yardmaster/test/"
FAST = Timing(heartbeat_s=0.05, silent_s=2.5)


class LoopClock:
    """The event loop's own time."""

    def stamp(self) -> Stamp:
        now = asyncio.get_running_loop().time()
        return Stamp(now, 1_780_000_000.0 + now)


def config(port: int, **mqtt: Any) -> Config:
    return Config.model_validate(
        {
            "site": {"id": "test"},
            "grid": {"fuse_a": 63, "worst_other_load_a": 10},
            "meters": [{"id": "hall", "role": "load", "source": {"type": "mqtt", "topic": "meters/hall"}}],
            "mqtt": {"host": "127.0.0.1", "port": port, **mqtt},
        }
    )


@asynccontextmanager
async def running(site: Config) -> AsyncIterator[tuple[MqttShell, FactLog]]:
    facts = FactLog()
    shell = MqttShell(site, LoopClock(), facts.submit, FAST)
    await shell.start()
    try:
        yield shell, facts
    finally:
        await shell.stop()


def health(facts: FactLog) -> list[bool]:
    return [fact.healthy for fact in facts.of(SourceChanged)]


class Sender:
    """Another client, over TLS if a CA is given, with a name if one is given."""

    def __init__(self, port: int, ca: Path | None = None, login: tuple[str, str] | None = None) -> None:
        self._client = paho.Client(CallbackAPIVersion.VERSION2)
        if ca is not None:
            self._client.tls_set_context(ssl.create_default_context(cafile=str(ca)))
        if login is not None:
            self._client.username_pw_set(*login)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def say(self, topic: str, payload: Any, retain: bool = False) -> None:
        """Publish and wait until the broker has it."""
        data = payload if isinstance(payload, bytes | str) else json.dumps(payload)
        self._client.publish(topic, data, qos=1, retain=retain).wait_for_publish(5)

    def close(self) -> None:
        """Leave."""
        self._client.disconnect()
        self._client.loop_stop()


@asynccontextmanager
async def sender(*words: Any) -> AsyncIterator[Sender]:
    one = await asyncio.to_thread(Sender, *words)
    try:
        yield one
    finally:
        one.close()


@pytest.fixture
def guarded(tmp_path: Path) -> Any:
    """A broker with TLS, names and an access list: the site may use its own topics and read its meters, fleet may set limits."""
    for name, text in (("cert.pem", ECDSA_CERT), ("key.pem", ECDSA_KEY), ("other.pem", RSA_CERT)):
        (tmp_path / name).write_text(text, encoding="utf-8")
    for name, password in (("site", "secret"), ("fleet", "other")):
        create = ["-c"] if name == "site" else []
        subprocess.run(["mosquitto_passwd", "-b", *create, str(tmp_path / "pw"), name, password], check=True, capture_output=True)
    site_may, fleet_may = "topic readwrite yardmaster/test/#\ntopic read meters/#", "topic write yardmaster/test/limit/set\ntopic write meters/#"
    (tmp_path / "acl").write_text(f"user site\n{site_may}\nuser fleet\n{fleet_may}\n", encoding="utf-8")
    for name in ("pw", "acl", "key.pem"):
        os.chmod(tmp_path / name, 0o600)
    settings = (
        f"cafile {tmp_path / 'cert.pem'}\ncertfile {tmp_path / 'cert.pem'}\nkeyfile {tmp_path / 'key.pem'}\n"
        f"allow_anonymous false\npassword_file {tmp_path / 'pw'}\nacl_file {tmp_path / 'acl'}\n"
    )
    broker = Broker(tmp_path, settings)
    broker.start()
    yield broker
    broker.stop()


def tls(broker: Any, **more: Any) -> Config:
    return config(broker.port, **{"tls": True, "ca_file": str(broker.folder / "cert.pem"), "username": "site", "password": "secret", **more})


async def test_over_tls_with_names_and_an_access_list_everything_works(guarded: Any) -> None:
    async with running(tls(guarded)) as (shell, facts), sender(guarded.port, guarded.folder / "cert.pem", ("fleet", "other")) as fleet:
        await facts.until(lambda: health(facts) == [True])
        await asyncio.to_thread(fleet.say, ROOT + "limit/set", {"value": 40, "unit": "A"})
        await asyncio.to_thread(fleet.say, "meters/hall", {"power_w": 5})
        assert (await facts.next(LimitReceived)).value == 40
        assert (await facts.next(MeterRead)).reading.power_w == 5
        shell.carry(Publish("state", {"a": 1}, retain=True))
        guarded.restart()
        await facts.until(lambda: health(facts) == [True, False, True])


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"ca_file": "other.pem"}, "its certificate is not accepted"),
        ({"ca_file": None}, "its certificate is not accepted"),
        ({"host": "no-such-broker.invalid"}, "Name or service not known"),
        ({"tls": False, "ca_file": None}, ""),
    ],
)
async def test_a_broker_nobody_vouches_for_or_that_speaks_otherwise_is_not_used(guarded: Any, more: dict[str, Any], why: str) -> None:
    if more.get("ca_file"):
        more = {**more, "ca_file": str(guarded.folder / more["ca_file"])}
    async with running(tls(guarded, **more)) as (_, facts):
        await facts.until(lambda: health(facts) == [False])
    assert True not in health(facts)
    assert all("secret" not in fact.detail and why in fact.detail for fact in facts.of(SourceChanged))


async def test_b36_who_may_not_write_limits_changes_nothing(guarded: Any) -> None:
    """The access list is the broker's; what we see is that only allowed messages come, and that the site goes on."""
    async with running(tls(guarded)) as (_, facts), sender(guarded.port, guarded.folder / "cert.pem", ("fleet", "other")) as fleet:
        await facts.until(lambda: health(facts) == [True])
        await asyncio.to_thread(fleet.say, ROOT + "state", {"mode": "normal"})
        await asyncio.to_thread(fleet.say, "other/limit/set", {"value": 1, "unit": "A"})
        await asyncio.to_thread(fleet.say, ROOT + "limit/set/" + "x" * 60_000, {"value": 1, "unit": "A"})
        await asyncio.to_thread(fleet.say, ROOT + "limit/set", {"value": 2, "unit": "A"})
        await facts.next(LimitReceived)
    assert [fact.value for fact in facts.of(LimitReceived)] == [2]


class StrangeBroker:
    """Takes every connection and subscription, and then sends what nobody asked for."""

    def __init__(self, *topics: bytes) -> None:
        self._topics = topics
        self.port = 0

    async def __aenter__(self) -> StrangeBroker:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head, body = await self._packet(reader)
                if head >> 4 == 1:  # CONNECT
                    writer.write(b"\x20\x02\x00\x00")
                elif head >> 4 == 8:  # SUBSCRIBE: one byte for each topic it holds
                    count = sum(1 for _ in self._subscribed(body[2:]))
                    writer.write(bytes([0x90, 2 + count]) + body[:2] + b"\x01" * count)
                    for topic in self._topics:
                        writer.write(self._publish(topic, b'{"value": 1, "unit": "A"}'))

    @staticmethod
    async def _packet(reader: asyncio.StreamReader) -> tuple[int, bytes]:
        head, length, shift = (await reader.readexactly(1))[0], 0, 0
        while True:
            byte = (await reader.readexactly(1))[0]
            length |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return head, await reader.readexactly(length)

    @staticmethod
    def _subscribed(body: bytes) -> Iterator[bytes]:
        while body:
            end = 2 + int.from_bytes(body[:2], "big")
            yield body[2:end]
            body = body[end + 1 :]

    @staticmethod
    def _publish(topic: bytes, payload: bytes) -> bytes:
        body, length = len(topic).to_bytes(2, "big") + topic + payload, b""
        left = len(body)
        while True:
            left, digit = divmod(left, 128)
            length += bytes([digit | (128 if left else 0)])
            if not left:
                return b"\x30" + length + body


async def test_b36_topics_nobody_asked_for_are_ignored_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    """Wildcards in a topic, 64 kB of topic, another site's prefix, one of our own that is for others - and then a limit."""
    strange = (b"other/limit/set", b"yardmaster/+/limit/set", b"yardmaster/#", b"x" * 65_535, (ROOT + "state").encode(), b"\x1b[2J")
    async with StrangeBroker(*strange, (ROOT + "limit/set").encode()) as broker, running(config(broker.port)) as (shell, facts):
        await facts.next(LimitReceived)
        assert shell.ignored >= len(strange)
    assert {fact.value for fact in facts.of(LimitReceived)} == {1}
    warnings = [record.getMessage() for record in caplog.records if "nobody here asked for" in record.getMessage()]
    assert len(warnings) == 1  # told once, and no stranger's text steers a terminal
    assert len(warnings[0]) < 300


async def test_f51_f53_a_restart_brings_retained_garbage_and_nothing_is_believed_twice(mosquitto: Any) -> None:
    """A persistent broker would do the same at every start: what it kept comes first, marked as retained."""
    async with sender(mosquitto.port) as other:
        for topic, payload in (
            (ROOT + "limit/set", b"\xff\xfe\x00"),
            ("meters/hall", {"power_w": 99_999}),
            (ROOT + "heartbeat", b"x" * 100_000),
            (ROOT + "status", "offline"),
        ):
            await asyncio.to_thread(other.say, topic, payload, True)
        async with running(config(mosquitto.port)) as (_, facts):
            await facts.until(lambda: bool(facts.of(LimitRefused)) and True in health(facts))
            await asyncio.to_thread(other.say, "meters/hall", {"power_w": 5})
            await facts.next(MeterRead)
    assert [fact.reading.power_w for fact in facts.of(MeterRead)] == [5], "a retained value is of unknown age"
    assert "not UTF-8" in facts.of(LimitRefused)[0].reason


@pytest.mark.parametrize(
    "payload",
    [b"", b"\x00" * 1_000_000, b"\x80\x81", b"10", b'"NaN"', b"[]", b'{"power_w": NaN}', b'{"power_w": 1e999}', b'{"power_w": "5"}', b"{" * 5000],
)
async def test_b37_b38_rubbish_on_a_meters_topic_is_told_and_the_next_value_counts(mosquitto: Any, payload: bytes) -> None:
    async with running(config(mosquitto.port)) as (_, facts), sender(mosquitto.port) as other:
        await facts.until(lambda: health(facts) == [True])
        await asyncio.to_thread(other.say, "meters/hall", payload)
        await asyncio.to_thread(other.say, "meters/hall", {"power_w": 7})
        assert (await facts.next(MeterRead)).reading.power_w == 7
    assert len(facts.of(MeterFailed)) == 1


async def test_f52_duplicates_and_disorder_reach_the_site_as_they_are_and_it_keeps_the_newest(mosquitto: Any) -> None:
    """QoS 1 may deliver twice and queues may turn round: sequence decides, nothing flaps."""
    async with running(config(mosquitto.port)) as (_, facts), sender(mosquitto.port) as fleet:
        await facts.until(lambda: health(facts) == [True])
        for number, amps in ((1, 40), (2, 32), (2, 32), (1, 40), (3, 20), (2, 32)):
            await asyncio.to_thread(fleet.say, ROOT + "limit/set", {"value": amps, "unit": "A", "valid_for_s": 600, "sequence": number})
        await facts.next(LimitReceived, 6)
    told = Story(depot(1))
    told.start()
    in_force = []
    for fact in facts.of(LimitReceived):
        told.limit(fact.value, sequence=fact.sequence)
        in_force.append(told.published("limit/state")[-1]["circuits"]["grid"]["limit_a"])
    assert in_force == [40, 32, 32, 32, 20, 20]


async def test_messages_that_had_to_wait_arrive_once_and_in_order(mosquitto: Any) -> None:
    heard: list[str] = []
    loop, news = asyncio.get_running_loop(), asyncio.Event()

    def take(_client: Any, _userdata: Any, message: paho.MQTTMessage) -> None:
        heard.append(message.payload.decode())
        loop.call_soon_threadsafe(news.set)

    client = paho.Client(CallbackAPIVersion.VERSION2)
    client.on_message = take
    client.on_subscribe = lambda *_: loop.call_soon_threadsafe(news.set)
    client.connect("127.0.0.1", mosquitto.port)
    client.loop_start()
    client.subscribe("news/#", 1)
    await asyncio.wait_for(news.wait(), 10)
    shell = MqttShell(config(mosquitto.port), LoopClock(), FactLog().submit, FAST)
    for number in range(50):
        shell.say("news/box", str(number))
    await shell.start()
    async with asyncio.timeout(10):
        while len(heard) < 50:
            news.clear()
            await news.wait()
    await shell.stop()
    client.disconnect()
    client.loop_stop()
    assert heard == [str(number) for number in range(50)]


def test_what_was_never_confirmed_goes_before_what_came_later_and_the_newest_stay() -> None:
    outbox = Outbox()
    outbox.put(Message("t", "late", False, 5.0))
    outbox.put_back([Message("t", "early", False, 1.0)])
    assert [one.payload for one in outbox.take_waiting(6.0)] == ["early", "late"]
    for number in range(QUEUE_LENGTH):
        outbox.put(Message("t", str(number), False, 5.0))
    outbox.put_back([Message("t", "early", False, 1.0)])
    kept = outbox.take_waiting(6.0)
    assert (len(kept), kept[-1].payload) == (QUEUE_LENGTH, str(QUEUE_LENGTH - 1))
