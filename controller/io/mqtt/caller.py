"""paho's client and its own ways: why a try failed, which password it gives, and how to let go of one that hangs."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import paho.mqtt.client as paho

from controller.config import MqttConfig

CLOSE_S = 0.4


class Caller(paho.Client):
    """paho's client, which tells why a connection failed: paho itself only says that it did. why: "" = no try has failed yet."""

    why = ""

    def reconnect(self) -> Any:
        """Called by paho for each try, on its thread."""
        try:
            return super().reconnect()
        except ssl.SSLCertVerificationError as error:
            self.why = f"its certificate is not accepted: {error.verify_message}; check mqtt.ca_file and mqtt.host"
            raise
        except OSError as error:
            self.why = error.strerror or str(error) or type(error).__name__
            raise


def _password(mqtt: MqttConfig) -> str | None:
    if mqtt.password_file is not None:
        return mqtt.password_file.read_text(encoding="utf-8").strip()
    return None if mqtt.password is None else mqtt.password.get_secret_value()


def _wait_published(info: paho.MQTTMessageInfo) -> None:
    try:
        info.wait_for_publish(CLOSE_S)
    except (RuntimeError, ValueError):
        return  # not connected any more: the last will says it for us


def _end(client: paho.Client) -> None:
    client.disconnect()
    client.loop_stop()


async def _in_thread(job: Callable[[], None]) -> None:
    """Run a blocking call for at most CLOSE_S. A daemon thread, not the pool: paho may hang in a dead connect,

    and the end of the program must not wait for it.
    """
    loop, done = asyncio.get_running_loop(), asyncio.Event()

    def run() -> None:
        job()
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(done.set)

    threading.Thread(target=run, daemon=True, name="mqtt close").start()
    with suppress(TimeoutError):
        async with asyncio.timeout(CLOSE_S):  # not wait_for: in CPython 3.11 it may lose a cancellation
            await done.wait()
