"""The MQTT shell against a real mosquitto: limits in, state out, broker gone and back, paho's thread dead (F51-F58)."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from controller.config import Config
from controller.facts import Fact, LimitReceived, LimitRefused, MeterFailed, MeterRead, SourceChanged, Stamp
from controller.io.mqtt.outbox import Message as OutMessage
from controller.io.mqtt.outbox import Outbox
from controller.io.mqtt.shell import MqttShell, Timing
from controller.orders import Publish
from meters.reading import Quality

ROOT = "yardmaster/test/"
FAST = Timing(heartbeat_s=0.05, silent_s=2.5)
"""Two processes and a thread take part in a heartbeat: a busy machine may keep one of them waiting for a while."""


class LoopClock:
    """The event loop's own time."""

    def stamp(self) -> Stamp:
        now = asyncio.get_running_loop().time()
        return Stamp(now, 1_780_000_000.0 + now)


class Collected:
    """A list a test can wait on."""

    def __init__(self) -> None:
        self.all: list[Any] = []
        self._news = asyncio.Event()

    def __call__(self, item: Any) -> None:
        self.all.append(item)
        self._news.set()

    async def until(self, condition: Callable[[], bool], within_s: float = 10.0) -> None:
        async with asyncio.timeout(within_s):
            while not condition():
                self._news.clear()
                await self._news.wait()

    def of(self, kind: type[Fact]) -> list[Any]:
        return [item for item in self.all if isinstance(item, kind)]

    def health(self) -> list[bool]:
        return [fact.healthy for fact in self.of(SourceChanged)]


class Neighbour:
    """Another client of the broker: sees everything below our root, speaks as fleet managers do."""

    def __init__(self, port: int) -> None:
        self.seen = Collected()
        self._client = paho.Client(CallbackAPIVersion.VERSION2)
        self._loop = asyncio.get_running_loop()
        self._ready = asyncio.Event()
        self._client.on_message = lambda _client, _userdata, message: self._loop.call_soon_threadsafe(self.seen, message)
        self._client.on_connect = lambda client, *_: client.subscribe("yardmaster/#", qos=1)
        self._client.on_subscribe = lambda *_: self._loop.call_soon_threadsafe(self._ready.set)
        self._client.connect_async("127.0.0.1", port)
        self._client.loop_start()

    async def ready(self) -> Neighbour:
        async with asyncio.timeout(10):
            await self._ready.wait()
        return self

    def say(self, topic: str, payload: Any, retain: bool = False, qos: int = 1) -> None:
        data = payload if isinstance(payload, bytes | str) else json.dumps(payload)
        self._client.publish(topic, data, qos=qos, retain=retain)

    def texts(self, tail: str) -> list[str]:
        return [message.payload.decode() for message in self.seen.all if message.topic == ROOT + tail]

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@asynccontextmanager
async def neighbour(port: int) -> AsyncIterator[Neighbour]:
    other = await Neighbour(port).ready()
    try:
        yield other
    finally:
        other.close()


def site(port: int, **mqtt: Any) -> Config:
    return Config.model_validate(
        {
            "site": {"id": "test"},
            "grid": {"fuse_a": 63, "worst_other_load_a": 10, "meter": "hall"},
            "meters": [{"id": "hall", "role": "grid", "source": {"type": "mqtt", "topic": "yardmaster/values/hall"}}],
            "mqtt": {"host": "127.0.0.1", "port": port, **mqtt},
        }
    )


def password_file(path: Path) -> Path:
    subprocess.run(["mosquitto_passwd", "-b", "-c", str(path), "site", "secret"], check=True, capture_output=True)
    os.chmod(path, 0o600)
    return path


@asynccontextmanager
async def running(config: Config, timing: Timing = FAST) -> AsyncIterator[tuple[MqttShell, Collected]]:
    facts = Collected()
    shell = MqttShell(config, LoopClock(), facts, timing)
    await shell.start()
    try:
        yield shell, facts
    finally:
        await shell.stop()


async def test_a_limit_comes_in_and_refusals_name_the_reason(mosquitto: Any) -> None:
    async with running(site(mosquitto.port)) as (_, facts), neighbour(mosquitto.port) as fleet:
        await facts.until(lambda: facts.health() == [True])
        fleet.say(ROOT + "limit/set", {"value": 40, "unit": "A", "valid_for_s": 600, "sequence": 1})
        fleet.say(ROOT + "limit/set", "10kW")
        fleet.say(ROOT + "limit/set", b"")
        fleet.say(ROOT + "limit/set", b"\x00" * 1_000_000)
        fleet.say(ROOT + "limit/set", {"value": 20, "unit": "A", "valid_for_s": 600, "sequence": 2})
        await facts.until(lambda: len(facts.of(LimitReceived)) == 2)
    assert [(fact.value, fact.sequence, fact.retained) for fact in facts.of(LimitReceived)] == [(40.0, 1, False), (20.0, 2, False)]
    assert [fact.reason for fact in facts.of(LimitRefused)] == [
        "the payload is not JSON",
        "the payload is empty",
        "the payload is longer than 4096 bytes",
    ]
    assert facts.of(LimitRefused)[0].payload == "10kW"


async def test_f53_a_retained_limit_says_that_it_is_retained(mosquitto: Any) -> None:
    async with neighbour(mosquitto.port) as fleet:
        fleet.say(ROOT + "limit/set", {"value": 16, "unit": "A"}, retain=True)
        await fleet.seen.until(lambda: bool(fleet.texts("limit/set")))
        async with running(site(mosquitto.port)) as (_, facts):
            await facts.until(lambda: bool(facts.of(LimitReceived)))
    assert facts.of(LimitReceived)[0].retained


async def test_foreign_topics_are_not_listened_to(mosquitto: Any) -> None:
    async with running(site(mosquitto.port)) as (_, facts), neighbour(mosquitto.port) as fleet:
        await facts.until(lambda: facts.health() == [True])
        for topic in ("yardmaster/other/limit/set", ROOT + "limit", ROOT + "limit/set/grid"):
            fleet.say(topic, {"value": 1, "unit": "A"})
        fleet.say(ROOT + "limit/set", {"value": 2, "unit": "A"})
        await facts.until(lambda: bool(facts.of(LimitReceived)))
    assert [fact.value for fact in facts.of(LimitReceived)] == [2.0]


async def test_meter_values_come_in_judged_and_old_retained_ones_do_not(mosquitto: Any) -> None:
    topic = "yardmaster/values/hall"
    async with neighbour(mosquitto.port) as other:
        other.say(topic, {"current_a": [9, 9, 9]}, retain=True)
        await other.seen.until(lambda: bool(other.seen.all))
        async with running(site(mosquitto.port)) as (_, facts):
            await facts.until(lambda: facts.health() == [True])
            other.say(topic, {"current_a": [1, 2, 3], "power_w": 1380})
            other.say(topic, {"current_a": [1, 2]})
            other.say(topic, {"power_w": 500})
            other.say(topic, "rubbish")
            await facts.until(lambda: bool(facts.of(MeterFailed)))
    readings = [fact.reading for fact in facts.of(MeterRead)]
    assert [(reading.current_a, reading.quality) for reading in readings] == [
        ((1.0, 2.0, 3.0), Quality.GOOD),
        ((1.0, 2.0, None), Quality.BAD),
        ((None, None, None), Quality.GOOD),
    ]
    assert facts.of(MeterFailed)[0].reason == "the payload is not JSON"


async def test_meters_of_other_makers_come_in_as_they_are(mosquitto: Any) -> None:
    sources = {
        "tasmota": {"topic": "yardmaster/tele/SENSOR", "format": "tasmota"},
        "shelly": {"topic": "yardmaster/pro3em/events/rpc", "format": "shelly"},
        "gen1": {"topic": "yardmaster/shellies/em3/#", "format": "shelly"},
        "bare": {"topic": "yardmaster/bare", "format": "json", "fields": {"p": {"path": "$", "scale": 1000}}},
    }
    data = site(mosquitto.port).model_dump(mode="json", exclude_defaults=True)
    data["meters"] += [{"id": name, "role": "load", "source": {"type": "mqtt", **source}} for name, source in sources.items()]
    async with running(Config.model_validate(data)) as (_, facts), neighbour(mosquitto.port) as other:
        await facts.until(lambda: facts.health() == [True])
        other.say("yardmaster/tele/SENSOR", {"Time": "x", "SML": {"Power_curr": -50, "Total_in": 1.0, "Meter": "y" * 5000}})
        other.say("yardmaster/pro3em/events/rpc", {"method": "NotifyEvent", "params": {}})
        other.say("yardmaster/pro3em/events/rpc", {"method": "NotifyStatus", "params": {"em:0": {"total_act_power": 5.0, "a_act_power": 5.0}}})
        for place in range(3):
            for name, value in (("power", 230), ("current", 1), ("voltage", 230)):
                other.say(f"yardmaster/shellies/em3/emeter/{place}/{name}", value)
        other.say("yardmaster/bare", "1.25")
        other.say("yardmaster/bare", "NaN")
        await facts.until(lambda: bool(facts.of(MeterFailed)))
    found = {fact.reading.meter_id: fact.reading for fact in facts.of(MeterRead)}
    assert {name: reading.power_w for name, reading in found.items()} == {"tasmota": -50, "shelly": 5, "gen1": 690, "bare": 1250}
    assert found["gen1"].current_a == (1, 1, 1)
    assert [(fact.meter_id, fact.reason) for fact in facts.of(MeterFailed)] == [("bare", "NaN is not a number that can be used")]


async def test_state_is_retained_and_the_status_tells_who_is_there(mosquitto: Any) -> None:
    async with running(site(mosquitto.port)) as (shell, facts):
        await facts.until(lambda: facts.health() == [True])
        shell.carry(Publish("limit/effective", {"limit_a": 32}, retain=True))
        shell.carry(Publish("limit/refused", {"reason": "unit is missing"}))
        async with neighbour(mosquitto.port) as late:
            await late.seen.until(lambda: bool(late.texts("limit/effective")) and "online" in late.texts("status"))
            assert json.loads(late.texts("limit/effective")[0]) == {"limit_a": 32}
            shell.carry(Publish("limit/refused", {"reason": "again"}))
            await late.seen.until(lambda: bool(late.texts("limit/refused")))
            assert [message.retain for message in late.seen.all if message.topic == ROOT + "limit/refused"] == [False]
    async with neighbour(mosquitto.port) as later:
        await later.seen.until(lambda: "offline" in later.texts("status"))
    assert later.texts("status") == ["offline"], "said at a clean stop"


async def test_what_cannot_be_written_as_json_does_not_disturb(mosquitto: Any) -> None:
    async with running(site(mosquitto.port)) as (shell, facts), neighbour(mosquitto.port) as other:
        await facts.until(lambda: facts.health() == [True])
        shell.carry(Publish("state", {"power_w": float("nan")}, retain=True))
        shell.carry(Publish("state", {"power_w": 1.0}, retain=True))
        await other.seen.until(lambda: bool(other.texts("state")))
    assert other.texts("state") == ['{"power_w":1.0}']


async def test_the_last_will_says_offline_when_we_die(mosquitto: Any) -> None:
    async with running(site(mosquitto.port)) as (shell, facts), neighbour(mosquitto.port) as other:
        await facts.until(lambda: facts.health() == [True])
        await other.seen.until(lambda: "online" in other.texts("status"))
        assert shell._client is not None
        socket = shell._client.socket()
        assert socket is not None
        socket.shutdown(2)
        await other.seen.until(lambda: "offline" in other.texts("status"))
        await other.seen.until(lambda: other.texts("status")[-1] == "online")
        await facts.until(lambda: len(facts.health()) >= 3)
    assert facts.health()[:3] == [True, False, True]


async def test_f51_the_broker_may_come_later_and_gets_the_newest_state_and_all_the_rest(mosquitto: Any) -> None:
    mosquitto.stop()
    async with running(site(mosquitto.port)) as (shell, facts):
        await facts.until(lambda: facts.health() == [False])
        for limit_a in (10, 20, 32):
            shell.carry(Publish("limit/effective", {"limit_a": limit_a}, retain=True))
            shell.carry(Publish("event", {"number": limit_a}))
        mosquitto.start()
        async with neighbour(mosquitto.port) as other:
            await other.seen.until(lambda: len(other.texts("event")) == 3 and bool(other.texts("limit/effective")))
        assert {json.loads(text)["limit_a"] for text in other.texts("limit/effective")} == {32}
        assert [json.loads(text)["number"] for text in other.texts("event")] == [10, 20, 32]
    assert "cannot be reached" in facts.of(SourceChanged)[0].detail


async def test_f51_a_broker_that_forgot_everything_gets_the_state_again(mosquitto: Any) -> None:
    async with running(site(mosquitto.port)) as (shell, facts):
        await facts.until(lambda: facts.health() == [True])
        shell.carry(Publish("limit/effective", {"limit_a": 7}, retain=True))
        mosquitto.restart()
        await facts.until(lambda: facts.health() == [True, False, True])
        async with neighbour(mosquitto.port) as other:
            await other.seen.until(lambda: bool(other.texts("limit/effective")) and "online" in other.texts("status"))
            other.say(ROOT + "limit/set", {"value": 5, "unit": "A"})
            await facts.until(lambda: bool(facts.of(LimitReceived)))


async def test_f58_a_dead_paho_thread_is_noticed_and_the_client_built_anew(mosquitto: Any) -> None:
    async with running(site(mosquitto.port)) as (shell, facts), neighbour(mosquitto.port) as fleet:
        await facts.until(lambda: facts.health() == [True])
        dead = shell._client
        assert dead is not None
        dead._thread_terminate = True  # what an exception in a callback would do
        dead.is_connected = lambda: True  # type: ignore[method-assign]
        await facts.until(lambda: facts.health() == [True, False, True])
        assert shell._client is not dead
        fleet.say(ROOT + "limit/set", {"value": 3, "unit": "A"})
        await facts.until(lambda: bool(facts.of(LimitReceived)))


async def test_a_wrong_password_is_told_and_the_right_one_works(mosquitto: Any, tmp_path: Path) -> None:
    passwords = password_file(tmp_path / "pw")
    mosquitto._settings = f"allow_anonymous false\npassword_file {passwords}\n"
    mosquitto.restart()
    async with running(site(mosquitto.port, username="site", password="wrong")) as (_, facts):
        await facts.until(lambda: facts.health() == [False])
        assert "refuses us" in facts.of(SourceChanged)[0].detail
        assert "wrong" not in facts.of(SourceChanged)[0].detail
    secret = tmp_path / "secret"
    secret.write_text("secret\n", encoding="utf-8")
    async with running(site(mosquitto.port, username="site", password_file=str(secret))) as (_, facts):
        await facts.until(lambda: facts.health() == [True])


async def test_a_broker_that_lets_us_write_but_not_read_is_told_without_flapping(mosquitto: Any, tmp_path: Path) -> None:
    rules = tmp_path / "acl"
    rules.write_text("topic write #\n", encoding="utf-8")
    os.chmod(rules, 0o600)
    mosquitto._settings = f"allow_anonymous true\nacl_file {rules}\n"
    mosquitto.restart()
    async with running(site(mosquitto.port)) as (_, facts):
        await facts.until(lambda: facts.health() == [False])
        assert "may we read yardmaster/test/# there?" in facts.of(SourceChanged)[0].detail
        rules.write_text("topic readwrite #\n", encoding="utf-8")
        mosquitto.restart()
        await facts.until(lambda: facts.health() == [False, True])


async def test_f83_an_unreadable_secret_keeps_this_leg_down_and_says_why(mosquitto: Any, tmp_path: Path) -> None:
    async with running(site(mosquitto.port, username="site", password_file=str(tmp_path / "gone"))) as (_, facts):
        await facts.until(lambda: facts.health() == [False])
    assert "gone" in facts.of(SourceChanged)[0].detail


async def test_a_broker_that_does_not_speak_tls_is_told_and_no_plain_text_follows(mosquitto: Any) -> None:
    async with running(site(mosquitto.port, tls=True)) as (_, facts):
        await facts.until(lambda: facts.health() == [False])
    assert True not in facts.health()


def test_f51_what_waited_longer_than_an_hour_is_not_sent_any_more() -> None:
    outbox = Outbox()
    for at_s in (0.0, 100.0):
        outbox.put(OutMessage("event", str(at_s), False, at_s))
    assert [message.payload for message in outbox.take_waiting(3650.0)] == ["100.0"]
    assert len(outbox) == 0


def test_the_outbox_is_bounded() -> None:
    outbox = Outbox()
    for number in range(6000):
        outbox.put(OutMessage("event", str(number), False, 0.0))
    waiting = outbox.take_waiting(0.0)
    assert (len(waiting), waiting[-1].payload) == (5000, "5999")


@pytest.mark.parametrize("ca", [None, "missing.pem"])
async def test_stop_is_quick_and_may_be_called_twice(free_port: int, ca: str | None) -> None:
    shell = MqttShell(site(free_port, tls=ca is not None, ca_file=ca), LoopClock(), print, FAST)
    await shell.start()
    await asyncio.sleep(0)
    async with asyncio.timeout(20):
        await shell.stop()
        await shell.stop()


# -- topics of other shells ---------------------------------------------------------------------


async def test_listeners_hear_filters_before_and_after_the_start_and_over_a_restart(mosquitto: Any) -> None:
    heard = Collected()
    shell = MqttShell(site(mosquitto.port), LoopClock(), facts := Collected(), FAST)
    shell.listen("yardmaster/else/+/power", lambda *message: heard(message))
    await shell.start()
    try:
        await facts.until(lambda: facts.health() == [True])
        shell.listen("yardmaster/late/#", lambda *message: heard(message))
        async with neighbour(mosquitto.port) as other:
            other.say("yardmaster/else/pump/power", "1")
            other.say("yardmaster/else/pump/other", "2")
            await heard.until(lambda: len(heard.all) == 1)
            other.say("yardmaster/late", "kept", retain=True)
            await heard.until(lambda: len(heard.all) == 2)
        mosquitto.restart()
        await facts.until(lambda: facts.health() == [True, False, True])
        async with neighbour(mosquitto.port) as other:
            other.say("yardmaster/late/a/b", "3")
            other.say("yardmaster/else/x/power", "4")
            await heard.until(lambda: len(heard.all) == 4)
    finally:
        await shell.stop()
    assert heard.all == [
        ("yardmaster/else/pump/power", b"1", False),
        ("yardmaster/late", b"kept", False),
        ("yardmaster/late/a/b", b"3", False),
        ("yardmaster/else/x/power", b"4", False),
    ]


async def test_f58_listeners_survive_a_client_that_is_built_anew(mosquitto: Any) -> None:
    heard = Collected()
    async with running(site(mosquitto.port)) as (shell, facts), neighbour(mosquitto.port) as other:
        shell.listen("yardmaster/prices", lambda *message: heard(message))
        await facts.until(lambda: facts.health() == [True])
        assert shell._client is not None
        shell._client._thread_terminate = True
        await facts.until(lambda: facts.health() == [True, False, True])
        other.say("yardmaster/prices", "x" * 100_000)
        await heard.until(lambda: bool(heard.all))
    assert len(heard.all[0][1]) == 100_000, "longer than any limit or reading may be"


async def test_a_retained_message_says_so_and_a_failing_listener_harms_only_itself(mosquitto: Any) -> None:
    heard = Collected()

    def fail(*_: Any) -> None:
        raise RuntimeError("defect")

    async with neighbour(mosquitto.port) as other:
        other.say("yardmaster/kept", "old", retain=True)
        await other.seen.until(lambda: bool(other.seen.all))
        async with running(site(mosquitto.port)) as (shell, facts):
            shell.listen("yardmaster/kept", fail)
            shell.listen("yardmaster/kept", lambda *message: heard(message))
            await heard.until(lambda: bool(heard.all))
            await facts.until(lambda: facts.health() == [True])
            other.say(ROOT + "limit/set", {"value": 2, "unit": "A"})
            await facts.until(lambda: bool(facts.of(LimitReceived)))
    assert heard.all[0] == ("yardmaster/kept", b"old", True)


async def test_what_is_said_before_the_broker_is_there_arrives_and_wildcards_are_refused(mosquitto: Any) -> None:
    mosquitto.stop()
    async with running(site(mosquitto.port)) as (shell, _):
        shell.say("yardmaster/own/state", "1", retain=True)
        shell.say("yardmaster/own/state", "2", retain=True)
        with pytest.raises(ValueError, match="listening"):
            shell.say("yardmaster/+", "4")
        mosquitto.start()
        async with neighbour(mosquitto.port) as other:
            await other.seen.until(lambda: any(message.topic == "yardmaster/own/state" for message in other.seen.all))
    assert {message.payload for message in other.seen.all if message.topic == "yardmaster/own/state"} == {b"2"}


async def refusing_broker(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Takes the connection and refuses every subscription but the first two (MQTT 3.1.1, 3.9.3: 0x80)."""
    while head := await reader.read(2):
        body = await reader.readexactly(head[1])  # our packets stay below 128 bytes
        if head[0] >> 4 == 1:
            writer.write(b"\x20\x02\x00\x00")
        if head[0] >> 4 == 8:
            count, rest = 0, body[2:]
            while rest:
                count, rest = count + 1, rest[2 + int.from_bytes(rest[:2], "big") + 1 :]
            codes = bytes([1] * min(count, 2) + [0x80] * max(0, count - 2))
            writer.write(bytes([0x90, 2 + count]) + body[:2] + codes)
    writer.close()


class Lines(logging.Handler):
    """The log, as something a test can wait on."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = Collected()

    def emit(self, record: logging.LogRecord) -> None:
        self.seen(record.getMessage())


async def test_a_filter_the_broker_refuses_is_named_in_the_log() -> None:
    lines, server = Lines(), await asyncio.start_server(refusing_broker, "127.0.0.1", 0)
    logging.getLogger("controller.io.mqtt.shell").addHandler(lines)
    shell = MqttShell(site(server.sockets[0].getsockname()[1]), LoopClock(), lambda _: None, FAST)
    shell.listen("prices/#", lambda *_: None)
    await shell.start()
    try:
        async with server:
            await lines.seen.until(lambda: len(lines.seen.all) == 2)
            await shell.stop()
    finally:
        logging.getLogger("controller.io.mqtt.shell").removeHandler(lines)
    refused = ("yardmaster/values/hall", "prices/#")
    assert [line.split(";")[0] for line in lines.seen.all] == [f"the broker does not let us read {topic}" for topic in refused]
