"""An independent station for the matrix, in its own process: it lives, as far as the story needs it. PyPI ``ocpp``, nothing of ours.

argv: log file, URL with identity, subprotocol. It has one EVSE with one connector. Commands: {"do": name, ...}: boot, plug, start, values,
stop, unplug, authorize, state, dial. What a CSMS asks of it, it does: starts, stops, profiles, configuration, list, firmware, logs, reset.
"""

import asyncio
import sys
import urllib.request

import websockets
from judged import Line, Log, commands, say
from living import Life2, Life16

LOG = Log(sys.argv[1])
URL, VERSION = sys.argv[2], sys.argv[3]


class Station:
    """The connection under a life. A reset ends it and begins another."""

    def __init__(self):
        self.life = (Life16 if VERSION == "ocpp1.6" else Life2)(self, VERSION)
        self.line, self.reader, self.deeds = None, None, set()

    async def connect(self):
        socket = await websockets.connect(URL, subprotocols=[VERSION])
        self.line = Line(URL.rsplit("/", 1)[-1], socket, LOG, self.life.answer)
        self.reader = asyncio.ensure_future(self.line.read())

    async def call(self, action, payload):
        return await self.line.call(action, payload)

    async def reboot(self):
        await self.line.socket.close()
        await self.connect()
        await self.life.boot(reset=True)

    def later(self, deed):
        """After the answer to a command: what the command began."""
        task = asyncio.ensure_future(self._soon(deed))
        self.deeds.add(task)
        task.add_done_callback(self.deeds.discard)

    async def _soon(self, deed):
        await asyncio.sleep(0.05)
        await deed()

    async def fetch(self, url):
        return await asyncio.to_thread(lambda: urllib.request.urlopen(url, timeout=10).read())

    async def put(self, url, body):
        request = urllib.request.Request(url, data=body, method="PUT")
        await asyncio.to_thread(lambda: urllib.request.urlopen(request, timeout=10).read())

    async def handle(self, command):
        name = command.pop("do")
        if name == "dial":  # after its connection has gone; it has not restarted, so it does not boot
            await self.connect()
            return {}
        return await getattr(self.life, name)(**command) or {}



async def main():
    station = Station()
    await station.connect()
    say({"subprotocol": station.line.socket.subprotocol})
    await commands(station.handle)


asyncio.run(main())
