"""A web server in a process of its own that answers feeds as it is told: well, badly, slowly, or not at all.

``Feeds`` starts it. A script maps a path to answers, given one after the other, the last one again and again: {"status", "headers", "body"
(text), "how"}. how: "" well; "partial" less than Content-Length says; "silent" never; "endless" without end; "hang up" at once; "bomb": a small
gzip body that unpacks to gigabytes. ``seen`` are the requests it got.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import subprocess
import sys
from types import TracebackType
from typing import Any
from urllib.request import urlopen


class Feeds:
    """The server, for tests. Use as context manager."""

    def __init__(self, script: dict[str, list[dict[str, Any]]]) -> None:
        self._process = subprocess.Popen([sys.executable, __file__, json.dumps(script)], stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        self.url = f"http://127.0.0.1:{int(self._process.stdout.readline())}"

    def __enter__(self) -> Feeds:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._process.kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def seen(self) -> list[dict[str, Any]]:
        """Requests so far: method, target, headers (lower case), body."""
        with urlopen(f"{self.url}/seen") as answer:
            return list(json.load(answer))


class _Server:
    def __init__(self, script: dict[str, list[dict[str, Any]]]) -> None:
        self._script = script
        self._seen: list[dict[str, Any]] = []

    async def serve(self) -> None:
        server = await asyncio.start_server(self._client, "127.0.0.1", 0)
        print(server.sockets[0].getsockname()[1], flush=True)
        await server.serve_forever()

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._answer(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        method, target, _ = head[0].split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        if target == "/seen":
            await self._send(writer, {"body": json.dumps(self._seen)})
            return
        self._seen.append({"method": method, "target": target, "headers": headers, "body": body.decode()})
        answers = self._script.get(target.split("?")[0], [{"status": 404}])
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        mark = headers.get("if-none-match")
        if mark is not None and mark == answer.get("headers", {}).get("ETag"):
            answer = {"status": 304}
        await self._send(writer, answer)

    async def _send(self, writer: asyncio.StreamWriter, answer: dict[str, Any]) -> None:
        how, body = answer.get("how", ""), answer.get("body", "").encode()
        headers = {"Connection": "close", **answer.get("headers", {})}
        if how == "hang up":
            return
        if how == "silent":
            await asyncio.Event().wait()
        if how == "bomb":
            body, headers["Content-Encoding"] = gzip.compress(b"[" + b" " * 50_000_000), "gzip"
        if how != "endless":
            headers["Content-Length"] = str(len(body) + (10 if how == "partial" else 0))
        lines = [f"HTTP/1.1 {answer.get('status', 200)} x", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
        writer.write("\r\n".join(lines).encode() + body)
        await writer.drain()
        while how == "endless":
            writer.write(b" " * 65_536)
            await writer.drain()


if __name__ == "__main__":
    asyncio.run(_Server(json.loads(sys.argv[1])).serve())
