"""Talking to a controller: where it is, what it says, and sentences for everything that goes wrong."""

from __future__ import annotations

import argparse
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from controller.tools import client
from controller.tools.client import Controller, NoControllerError, ToolError


@contextmanager
def answering(raw: bytes) -> Iterator[str]:
    """A server that answers every request with these bytes and hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    peer, _ = server.accept()
                except OSError:
                    return
                with peer:
                    while b"\r\n\r\n" not in peer.recv(65_536):
                        pass
                    peer.sendall(raw)

        threading.Thread(target=serve, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}"
        finally:
            server.shutdown(socket.SHUT_RDWR)


def http(status: str, body: bytes, kind: str = "application/json") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (http("200 OK", b"<html>"), "no JSON"),
        (http("404 Not Found", b"<html>"), "answered HTTP 404; is this a Yardmaster"),
        (http("404 Not Found", b'{"error":"station: is not there","problems":[]}'), "refused: station: is not there"),
        (http("401 Unauthorized", b"{}"), "--token-file"),
        (http("503 Service Unavailable", b"[]"), "HTTP 503"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "no controller answers"),
        (b"", "no controller answers"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{", "no JSON"),
    ],
)
def test_answers_that_are_none(raw: bytes, words: str) -> None:
    with answering(raw) as url, pytest.raises(ToolError, match=words):
        Controller(url).get("queue")


def test_events_of_a_stream() -> None:
    body = b': ping\r\n\r\nevent: start\r\ndata: {"a":1}\r\n\r\nid: 7\r\nevent: seen\r\ndata: {"b":2}\r\n\r\ndata: 3\r\n\r\n'
    with answering(http("200 OK", body, "text/event-stream")) as url:
        events = list(Controller(url).events("tap", station=None, action="A,B"))
    assert [(event.name, event.data) for event in events] == [("start", {"a": 1}), ("seen", {"b": 2}), ("message", 3)]


def test_an_event_that_is_no_json() -> None:
    with answering(http("200 OK", b"data: {x\n\n", "text/event-stream")) as url, pytest.raises(ToolError, match="another version"):
        list(Controller(url).events("tap"))


def test_nobody_there(free_port: int) -> None:
    with pytest.raises(NoControllerError):
        Controller(f"http://127.0.0.1:{free_port}").get("queue")


def test_a_proxy_is_not_asked_for_this_machine(monkeypatch: pytest.MonkeyPatch, free_port: int) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port}")
    with answering(http("200 OK", b"{}")) as url:
        assert Controller(url).get("queue") == {}


SITE = "site: {{id: yard}}\ngrid: {{fuse_a: 63, worst_other_load_a: 40}}\napi: {{{api}}}\n"


def named(**given: object) -> argparse.Namespace:
    return argparse.Namespace(**{"url": None, "config": None, "token_file": None, **given})


@pytest.mark.parametrize(
    ("api", "url"),
    [
        ("port: 8081", "http://127.0.0.1:8081"),
        ("host: 0.0.0.0, port: 8081, token: x", "http://127.0.0.1:8081"),
        ("host: 10.1.2.3, port: 80, token: x", "http://10.1.2.3:80"),
        ("host: '::1'", "http://[::1]:8080"),
        ("host: '::', token: x", "http://[::1]:8080"),
    ],
)
def test_the_site_file_tells_where(tmp_path: Path, api: str, url: str) -> None:
    path = tmp_path / "site.yaml"
    path.write_text(SITE.format(api=api))
    assert client.connect(named(config=path)).url == url


def test_what_is_named_wins(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_text(SITE.format(api="port: 8081"))
    assert client.connect(named(config=path, url="http://box:80/")).url == "http://box:80"
    assert client.connect(named()).url == client.DEFAULT_URL


def test_what_cannot_be_used_is_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_text(SITE.format(api="port: 0"))
    with pytest.raises(ToolError, match=r"api\.port is 0"):
        client.connect(named(config=path))
    path.write_text(SITE.format(api="port: x"))
    with pytest.raises(ToolError, match=r"api\.port"):
        client.connect(named(config=path))
    (tmp_path / "token").write_text(" \n")
    with pytest.raises(ToolError, match="is empty"):
        client.connect(named(token_file=tmp_path / "token"))
    (tmp_path / "token").write_bytes(b"\xff\xfe")
    with pytest.raises(ToolError, match="not UTF-8"):
        client.connect(named(token_file=tmp_path / "token"))
