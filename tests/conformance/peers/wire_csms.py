"""A CSMS that speaks raw text, in its own process. argv: log file, file of default answers, port, spoken subprotocols.

The log also has {"dir": "open", "text": request target, "offered", "chosen", "extensions"} and {"dir": "close"}.
Commands: {"op": "answers", "answers": {station: {id: text}}}, {"op": "calls", "texts": {station: [...]}},
{"op": "send", "station", "text"}, {"op": "stop"}. With subprotocol "none" it agrees to nothing; a leading "strict"
makes it refuse the handshake with HTTP 400 instead where no version is common. "plain" turns compression off.
First line out: {"port"}.
"""

import asyncio
import json
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

import websockets
import wire

LOG, DEFAULTS, PORT, *SPOKEN = sys.argv[1:]
STRICT = "strict" in SPOKEN
COMPRESSION = None if "plain" in SPOKEN else "deflate"
log = wire.logger(LOG)
everything = json.loads(Path(DEFAULTS).read_text())
answers: dict[str, dict[str, str]] = {}
stations: dict[str, wire.Wire] = {}


def choose(_connection, offered):
    chosen = next((name for name in offered if name in SPOKEN), None)
    if chosen is None and STRICT:
        raise websockets.NegotiationError("speak my version")
    return chosen


def opened(socket) -> str:
    headers = socket.request.headers
    name = unquote(urlsplit(socket.request.path).path.rstrip("/").rsplit("/", 1)[-1])
    log(
        "open",
        socket.request.path,
        station=name,
        offered=", ".join(headers.get_all("Sec-WebSocket-Protocol")),
        chosen=socket.subprotocol,
        extensions=", ".join(headers.get_all("Sec-WebSocket-Extensions")),
        authorization=headers.get("Authorization", ""),
    )
    return name


async def serve(socket) -> None:
    name = opened(socket)
    if socket.subprotocol is None:
        await socket.close(1002, "no common version")
        return
    ready, defaults = answers.setdefault(name, {}), everything.get(socket.subprotocol, {})
    link = stations[name] = wire.Wire(socket, lambda way, text: log(way, text, station=name), ready, defaults)
    try:
        await link.read()
    except websockets.ConnectionClosed:
        pass
    finally:
        log("close", str(socket.close_code), station=name)
        if stations.get(name) is link:
            del stations[name]


async def handle(command):
    match command["op"]:
        case "answers":
            for name, texts in command["answers"].items():
                answers.setdefault(name, {}).update(texts)
        case "send":
            await stations[command["station"]].send(command["text"])
        case "calls":
            wanted = command["texts"]
            results = await asyncio.gather(*(stations[name].calls(texts) for name, texts in wanted.items()))
            return {"unanswered": dict(zip(wanted, results, strict=True))}
    return {}


async def main() -> None:
    options = {"select_subprotocol": choose, "compression": COMPRESSION, "max_size": None}
    async with websockets.serve(serve, "127.0.0.1", int(PORT), **options) as server:
        wire.say({"port": server.sockets[0].getsockname()[1]})
        await wire.commands(handle)


asyncio.run(main())
