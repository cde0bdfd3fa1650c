"""A station that speaks raw text, in its own process. argv: log file, file of default answers, URL, offered subprotocols.

Commands: {"op": "answers", "answers": {id: text}}, {"op": "calls", "texts": [...]}, {"op": "send", "text"},
{"op": "stop"}. First line out: {"subprotocol", "extensions", "closed"}.
"""

import asyncio
import json
import sys
from pathlib import Path

import websockets
import wire

LOG, DEFAULTS, URL, *OFFERED = sys.argv[1:]
everything = json.loads(Path(DEFAULTS).read_text())


class Station(wire.Wire):
    """Takes every charging profile and reports the last one."""

    limit = 32.0

    def default(self, message_id, action, payload):
        if action == "SetChargingProfile":
            self.limit = wire.first_limit(payload) or 0.0
        if action == "GetCompositeSchedule":
            self.defaults[action] = wire.composite(self.socket.subprotocol, payload, self.limit)
        return super().default(message_id, action, payload)


async def main() -> None:
    answers: dict[str, str] = {}
    async with websockets.connect(URL, subprotocols=OFFERED or None, max_size=None, open_timeout=20) as socket:
        station = Station(socket, wire.logger(LOG), answers, everything.get(socket.subprotocol, {}))
        reader = asyncio.ensure_future(station.read())
        wire.say({"subprotocol": socket.subprotocol, "extensions": socket.response.headers.get("Sec-WebSocket-Extensions", "")})

        async def handle(command):
            match command["op"]:
                case "answers":
                    answers.update(command["answers"])
                case "send":
                    await station.send(command["text"])
                case "calls":
                    return {"unanswered": await station.calls(command["texts"])}
            return {}

        await wire.commands(handle)
        reader.cancel()


asyncio.run(main())
