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
"""A client that is let go of is waited for so long [s]."""


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


def password_of(mqtt: MqttConfig) -> str | None:
    """The broker's password as the site file has it. Raises OSError, UnicodeError for a file that cannot be read."""
    if mqtt.password_file is not None:
        return mqtt.password_file.read_text(encoding="utf-8").strip()
    return None if mqtt.password is None else mqtt.password.get_secret_value()


def wait_published(info: paho.MQTTMessageInfo) -> None:
    """Block until a message is out, for at most CLOSE_S."""
    try:
        info.wait_for_publish(CLOSE_S)
    except (RuntimeError, ValueError):
        return  # not connected any more: the last will says it for us


def leave(client: paho.Client) -> None:
    """Disconnect and end paho's thread; may block for long."""
    client.disconnect()
    client.loop_stop()


async def in_thread(job: Callable[[], None], for_s: float = CLOSE_S) -> None:
    """Run a blocking call and wait for it at most ``for_s``.

    A daemon thread, not the pool: paho may hang in a dead connect, and the end of the program must not wait for it.
    """
    loop, done = asyncio.get_running_loop(), asyncio.Event()

    def run() -> None:
        job()
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(done.set)

    threading.Thread(target=run, daemon=True, name="mqtt close").start()
    with suppress(TimeoutError):
        async with asyncio.timeout(for_s):  # not wait_for: in CPython 3.11 it may lose a cancellation
            await done.wait()
