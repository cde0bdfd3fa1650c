"""Shell: the site's MQTT broker. Limits and meter values in, state and refusals out.

Topics below ``yardmaster/<site>/``: ``limit/set`` in; everything the engine publishes, ``status``
(retained "online"/"offline", also our last will) and ``heartbeat`` out. What a limit means is not
decided here; this shell checks the payload's form. Other shells have topics of their own through
``listen`` and ``say`` (``controller.io.shell.Topics``); meters do.

What a broker sends although nobody here asked for its topic is ignored, told once and counted (``ignored``, B36).

What waits for the broker is kept in ``outbox``, paho's own ways are in ``caller``. Its thread only hands
over. An exception in a callback would end that thread while paho still says "connected" (fault F58), so
callbacks cannot raise, and our own heartbeat has to come back through the broker within 30 s or the client
is built anew. The session is clean on purpose: a limit the broker kept for us for hours would arrive
looking new.
"""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NamedTuple

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from controller import __version__
from controller.config import Config, MqttConfig
from controller.facts import LimitRefused, SourceChanged
from controller.io.field.mqtt_meters import MqttMeters
from controller.io.mqtt.caller import Caller, in_thread, leave, password_of, wait_published
from controller.io.mqtt.home_assistant import HomeAssistant
from controller.io.mqtt.outbox import QUEUE_LENGTH, Message, Outbox
from controller.io.mqtt.payloads import PayloadError, parse_limit, shown
from controller.io.mqtt.topic_board import Take, TopicBoard, check_filter
from controller.io.shell import Clock, Submit
from controller.io.tasks import end, keep
from controller.orders import Order, Publish

log = logging.getLogger(__name__)

SOURCE = "mqtt"
HEARTBEAT_S = 10.0
SILENT_S = 30.0
KEEPALIVE_S = 20
CONNECT_TIMEOUT_S = 5.0
LONGEST_BYTES = 262_144
"""Payloads are cut one byte behind this: two days of quarter hours of prices in a talkative format fit many times."""
SHOWN_BYTES = 100
LIMIT_TOPIC, STATUS_TOPIC, HEARTBEAT_TOPIC = "limit/set", "status", "heartbeat"


class Arrived(NamedTuple):
    """One message that came in, cut behind the longest payload anybody here reads."""

    topic: str
    payload: bytes
    retained: bool


@dataclass(frozen=True, slots=True)
class Timing:
    """heartbeat_s: between two own heartbeats. silent_s: without one coming back the client is rebuilt."""

    heartbeat_s: float = HEARTBEAT_S
    silent_s: float = SILENT_S


class MqttShell:
    """The connection to one broker."""

    orders: tuple[type[Order], ...] = (Publish,)

    def __init__(self, config: Config, clock: Clock, submit: Submit, timing: Timing | None = None) -> None:
        """config.mqtt must be present."""
        if config.mqtt is None:
            raise ValueError("the site has no MQTT broker")
        self._mqtt: MqttConfig = config.mqtt
        self._config = config
        self._clock = clock
        self._submit = submit
        self._timing = timing or Timing()
        self._root = f"yardmaster/{config.site.id}/"
        self._board = TopicBoard()
        self._asked: dict[int, list[str]] = {}  # subscriptions under way, by message number
        self._outbox = Outbox()
        self._unacknowledged: dict[int, Message] = {}
        self._client: paho.Client | None = None
        self._greeted = False  # the broker let us in
        self._connected = False  # and has taken our subscriptions
        self._healthy: bool | None = None
        self._last_heard_s = 0.0
        self.ignored = 0
        """Messages on topics that nobody here reads, since the start."""
        self._tasks: list[asyncio.Task[None]] = []
        MqttMeters(config, clock, submit).join(self)
        self._home = HomeAssistant(config, __version__, self) if self._mqtt.home_assistant else None

    # -- topics of other shells ----------------------------------------------------------------

    def listen(self, topic: str, take: Take) -> None:
        """Hand every message on a topic (it may hold + and #) to ``take`` as (topic, payload, retained), on the event loop.

        Also before the start; it survives lost connections. A message may come twice (QoS 1, filters that overlap, a
        second listener of the same filter brings the retained ones again). Payloads end one byte behind LONGEST_BYTES.
        Raises ValueError for what is no topic filter.
        """
        self._board.add(topic, take)
        if self._greeted:
            self._subscribe([topic])

    def say(self, topic: str, payload: str, retain: bool = False) -> None:
        """Publish on a topic of one's own, written out in full; an empty retained payload clears what the broker keeps.

        Raises ValueError for a topic with + or #.
        """
        check_filter(topic)
        if "+" in topic or "#" in topic:
            raise ValueError(f"{topic}: + and # are for listening only")
        self._send(Message(topic, payload, retain, _now_s()))

    # -- shell shape ---------------------------------------------------------------------------

    def carry(self, order: Order) -> None:
        """Publish now, or keep it until the broker is there."""
        if not isinstance(order, Publish):
            return
        try:
            payload = json.dumps(order.payload, separators=(",", ":"), allow_nan=False)
        except (TypeError, ValueError) as error:
            log.error("cannot publish %s: %s", order.topic, error)
            return
        self._send(Message(self._root + order.topic, payload, order.retain, _now_s()))

    async def start(self) -> None:
        """Begin connecting. A broker that is away, or a secret that cannot be read, is reported and no reason to fail."""
        self._outbox.put(Message(self._root + STATUS_TOPIC, "online", True, _now_s()))
        if self._home is not None:
            self._home.announce()
        self._tasks = [keep(self._keep_alive, "mqtt heartbeat")]

    async def stop(self) -> None:
        """Say goodbye and disconnect."""
        await end(self._tasks)
        await self._close(polite=True)

    # -- our own heartbeat ------------------------------------------------------------------------

    async def _keep_alive(self) -> None:
        while True:
            silent_s = _now_s() - self._last_heard_s
            if self._client is None or silent_s > self._timing.silent_s:
                await self._rebuild(silent_s)
            self._beat()
            await asyncio.sleep(self._timing.heartbeat_s)

    def _beat(self) -> None:
        if self._connected and self._client is not None:
            self._client.publish(self._root + HEARTBEAT_TOPIC, "1", qos=0)

    async def _rebuild(self, silent_s: float) -> None:
        if self._client is not None:
            detail = f"nothing came back from the broker for {silent_s:.0f} s; the connection is built anew; may we read {self._root}# there?"
            self._report(False, detail)
        await self._close(polite=False)
        self._last_heard_s = _now_s()
        try:
            client = self._build()
        except (OSError, ValueError) as error:
            self._report(False, f"MQTT cannot start: {error}; no limits and states until this is repaired")
            return
        self._client = client
        client.connect_async(self._mqtt.host, self._mqtt.port, keepalive=KEEPALIVE_S)
        client.loop_start()

    def _build(self) -> Caller:
        """A client with callbacks that only hand over. Raises OSError, ValueError for unreadable secrets or certificates."""
        client = Caller(CallbackAPIVersion.VERSION2, client_id=f"yardmaster-{self._config.site.id}", clean_session=True)
        client.suppress_exceptions = True
        client.connect_timeout = CONNECT_TIMEOUT_S
        client.reconnect_delay_set(1, 10)
        client.max_queued_messages_set(QUEUE_LENGTH)
        client.will_set(self._root + STATUS_TOPIC, "offline", qos=1, retain=True)
        if self._mqtt.username is not None:
            client.username_pw_set(self._mqtt.username, password_of(self._mqtt))
        if self._mqtt.tls:
            ca_file = None if self._mqtt.ca_file is None else str(self._mqtt.ca_file)
            client.tls_set_context(ssl.create_default_context(cafile=ca_file))
        self._wire(client, asyncio.get_running_loop())
        return client

    def _wire(self, client: Caller, loop: asyncio.AbstractEventLoop) -> None:
        def hand_over(job: Callable[[], None]) -> None:
            """Called on paho's thread. By the time the job runs a newer client may have taken this one's place."""
            with suppress(RuntimeError):  # the loop is closed: we are shutting down
                loop.call_soon_threadsafe(lambda: job() if self._client is client else None)

        def on_connect(_client: paho.Client, _userdata: Any, _flags: Any, reason: Any, _properties: Any) -> None:
            refusal = str(reason) if reason.is_failure else ""
            hand_over(lambda: self._on_connect(refusal))

        def on_subscribe(_client: paho.Client, _userdata: Any, number: int, reasons: Any, _properties: Any) -> None:
            refused = [bool(reason.is_failure) for reason in reasons]
            hand_over(lambda: self._on_subscribed(number, refused))

        def on_connect_fail(_client: paho.Client, _userdata: Any) -> None:
            why = f" ({client.why})" if client.why else ""
            hand_over(lambda: self._on_lost(f"the broker cannot be reached{why}"))

        def on_disconnect(_client: paho.Client, _userdata: Any, _flags: Any, reason: Any, _properties: Any) -> None:
            detail = str(reason)
            hand_over(lambda: self._on_lost(f"the connection ended: {detail}"))

        def on_message(_client: paho.Client, _userdata: Any, message: paho.MQTTMessage) -> None:
            arrived = Arrived(message.topic, bytes(message.payload[: LONGEST_BYTES + 1]), message.retain)
            hand_over(lambda: self._on_message(arrived))

        def on_publish(_client: paho.Client, _userdata: Any, number: int, _reason: Any, _properties: Any) -> None:
            hand_over(lambda: self._on_published(number))

        client.on_connect = on_connect
        client.on_subscribe = on_subscribe
        client.on_connect_fail = on_connect_fail
        client.on_disconnect = on_disconnect
        client.on_message = on_message
        client.on_publish = on_publish

    async def _close(self, polite: bool) -> None:
        client, self._client = self._client, None
        if client is None:
            return
        if polite and self._connected:
            farewell = client.publish(self._root + STATUS_TOPIC, "offline", qos=1, retain=True)
            await in_thread(lambda: wait_published(farewell))
        self._connected = self._greeted = False
        self._outbox.put_back(self._unacknowledged.values())
        self._unacknowledged.clear()
        await in_thread(lambda: leave(client))

    # -- what paho handed over, now on the event loop ------------------------------------------------

    def _on_connect(self, refusal: str) -> None:
        if refusal or self._client is None:
            self._report(False, f"the broker refuses us: {refusal}; check user name and password")
            return
        self._asked.clear()
        self._last_heard_s = _now_s()  # a connection that has just come gets its time, however long the broker was away
        self._greeted = True
        self._subscribe([self._root + LIMIT_TOPIC, self._root + HEARTBEAT_TOPIC, *self._board.filters])

    def _subscribe(self, topics: list[str]) -> None:
        if self._client is None:
            return
        _, number = self._client.subscribe([(topic, 1) for topic in topics])
        if number is not None:
            self._asked[number] = topics

    def _on_subscribed(self, number: int, refused: list[bool]) -> None:
        """Only now do we publish: by this time paho has repeated what was in flight before, and newer state must come after it."""
        for topic, no in zip(self._asked.pop(number, []), refused, strict=False):
            if no:
                log.error("the broker does not let us read %s; nothing will come from there; allow it in the broker's access list", topic)
        if self._connected:
            return
        self._connected = True
        for message in [*self._outbox.state.values(), *self._outbox.take_waiting(_now_s())]:
            self._send(message)
        self._beat()

    def _on_lost(self, detail: str) -> None:
        self._connected = self._greeted = False
        self._report(False, f"{detail}; limits keep until their end, state is kept for the broker's return")

    def _on_published(self, number: int) -> None:
        self._unacknowledged.pop(number, None)

    def _on_message(self, message: Arrived) -> None:
        self._last_heard_s = _now_s()
        if message.topic == self._root + HEARTBEAT_TOPIC:
            self._report(True, f"connected to {self._mqtt.host}:{self._mqtt.port}")  # only now limits are known to reach us
        elif message.topic == self._root + LIMIT_TOPIC:
            self._take_limit(message)
        wanted = self._board.hand_over(message.topic, message.payload, message.retained)
        if not wanted and message.topic not in (self._root + HEARTBEAT_TOPIC, self._root + LIMIT_TOPIC):
            self._ignore(message)

    def _ignore(self, message: Arrived) -> None:
        if not self.ignored:
            topic = shown(message.topic.encode("utf-8", errors="replace"), SHOWN_BYTES)
            log.warning("the broker sent a message on %s, which nobody here asked for; it and all further ones are ignored and counted", topic)
        self.ignored += 1

    def _take_limit(self, message: Arrived) -> None:
        at = self._clock.stamp()
        try:
            fact = parse_limit(message.payload, at, SOURCE, self._config.limits.default_valid_for_s, message.retained)
        except PayloadError as error:
            self._submit(LimitRefused(at, SOURCE, str(error), shown(message.payload)))
            return
        self._submit(fact)

    # -- out -----------------------------------------------------------------------------------------

    def _send(self, message: Message) -> None:
        if message.retain:
            self._outbox.put(message)
        sent = self._publish(message)
        if not sent and not message.retain:
            self._outbox.put(message)

    def _publish(self, message: Message) -> bool:
        if not self._connected or self._client is None:
            return False
        info = self._client.publish(message.topic, message.payload, qos=1, retain=message.retain)
        if info.rc not in (paho.MQTT_ERR_SUCCESS, paho.MQTT_ERR_NO_CONN):
            return False
        if not message.retain:
            self._unacknowledged[info.mid] = message
        return True

    def _report(self, healthy: bool, detail: str) -> None:
        if healthy != self._healthy:
            self._healthy = healthy
            self._submit(SourceChanged(self._clock.stamp(), SOURCE, healthy, detail))


def _now_s() -> float:
    return asyncio.get_running_loop().time()
