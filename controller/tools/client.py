"""Talks to a running controller over its HTTP API; with the standard library only, so that a command starts at once."""

from __future__ import annotations

import argparse
import ipaddress
import json
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlencode, urlsplit
from urllib.request import OpenerDirector, ProxyHandler, Request, build_opener

if TYPE_CHECKING:
    from controller.config import Config

DEFAULT_URL = "http://127.0.0.1:8080"
ANSWER_S = 15.0
SILENCE_S = 60.0
"""A stream pings every 15 s: one that is silent for longer is dead."""


class ToolError(Exception):
    """A command cannot do its work. The text is one sentence for the person at the terminal."""


class UsageError(ToolError):
    """The command was called in a way that cannot be: exit code 2."""


class NoControllerError(ToolError):
    """Nobody listens at the address."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Where the controller is."""
    group = parser.add_argument_group("which controller")
    group.add_argument("--url", help=f"where its page is (default: as --config says, else {DEFAULT_URL})")
    group.add_argument("--config", type=Path, metavar="SITE.YAML", help="its site file: address and token are taken from there")
    group.add_argument("--token-file", type=Path, metavar="FILE", help="file with the token of its API (api.token_file), if it has one")


def read_config(path: Path) -> Config:
    """The site file. Raises ToolError with all its problems."""
    from controller.check import ConfigError, load_config

    try:
        return load_config(path)
    except ConfigError as error:
        raise ToolError(error.text()) from None


def connect(arguments: argparse.Namespace, config: Config | None = None) -> Controller:
    """The controller that the arguments name. Raises ToolError."""
    if config is None and arguments.config is not None:
        config = read_config(arguments.config)
    url = arguments.url or (_url_of(config) if config is not None else DEFAULT_URL)
    if urlsplit(url).scheme not in ("http", "https"):
        raise ToolError(f"{url} is no address of a page; it begins with http://, e.g. {DEFAULT_URL}")
    token_file = arguments.token_file
    token = None
    if config is not None and token_file is None:
        token_file = config.api.token_file
        token = config.api.token.get_secret_value() if config.api.token is not None else None
    return Controller(url.rstrip("/"), token or _read_token(token_file))


def _url_of(config: Config) -> str:
    host, port = config.api.host, config.api.port
    if not port:
        raise ToolError("api.port is 0 in the site file, so the port is another one each time; name the page with --url")
    host = "127.0.0.1" if host in ("", "0.0.0.0") else "::1" if host == "::" else host
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _read_token(path: Path | None) -> str | None:
    if path is None:
        return None
    try:
        token = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise ToolError(f"the token file {path} cannot be read ({reason}); check the path and its permissions") from None
    if not token:
        raise ToolError(f"the token file {path} is empty")
    return token


@dataclass(frozen=True, slots=True)
class Event:
    """One server-sent event."""

    name: str
    data: Any


class Controller:
    """One running controller. Every method raises ToolError, NoControllerError if nobody answers at all."""

    def __init__(self, url: str, token: str | None = None) -> None:
        self.url = url
        self._token = token
        self._opener = _opener(url)

    def get(self, path: str, **query: object) -> Any:
        """A JSON answer. Query parameters that are None are left out."""
        with self._open(self._request(path, query), ANSWER_S) as answer:
            return self._json(answer)

    def post(self, path: str, body: Mapping[str, object]) -> Any:
        """The JSON answer to a changing call."""
        request = self._request(path, {}, json.dumps(body).encode())
        with self._open(request, ANSWER_S) as answer:
            return self._json(answer)

    def lines(self, path: str, **query: object) -> Iterator[bytes]:
        """A long answer, line by line."""
        with self._open(self._request(path, query), SILENCE_S) as answer:
            yield from self._watched(answer)

    def events(self, path: str, **query: object) -> Iterator[Event]:
        """Server-sent events until the controller ends the stream."""
        fields: dict[str, str] = {}
        for raw in self.lines(path, **query):
            line = raw.decode("utf-8", "replace").rstrip("\r\n")
            if line:
                name, _, value = line.partition(":")
                if name:
                    fields[name] = value.removeprefix(" ")
            elif "data" in fields:
                try:
                    event = Event(fields.get("event", "message"), json.loads(fields["data"]))
                except ValueError:
                    raise ToolError(f"{self.url} sent something that is no JSON; is it a Yardmaster of another version?") from None
                fields = {}
                yield event

    # -- inside --------------------------------------------------------------------------------------

    def _request(self, path: str, query: Mapping[str, object], body: bytes | None = None) -> Request:
        asked = urlencode({name: value for name, value in query.items() if value is not None})
        headers = {"Content-Type": "application/json"} if body is not None else {}
        if self._token is not None:
            headers["Authorization"] = f"Bearer {self._token}".encode().decode("latin-1")
        url = f"{self.url}/api/v1/{quote(path)}" + (f"?{asked}" if asked else "")
        return Request(url, data=body, headers=headers)

    def _open(self, request: Request, timeout_s: float) -> HTTPResponse:
        try:
            answer: HTTPResponse = self._opener.open(request, timeout=timeout_s)
            return answer
        except HTTPError as error:
            with error:
                raise ToolError(self._refusal(error)) from None
        except (URLError, OSError, ValueError, HTTPException) as error:
            reason = getattr(error, "reason", None) or error
            raise NoControllerError(
                f"no controller answers at {self.url} ({reason}); start it with: yardmaster run FILE, or name its page with --url or --config"
            ) from None

    def _watched(self, answer: HTTPResponse) -> Iterator[bytes]:
        try:
            yield from answer
        except (OSError, HTTPException) as error:
            raise ToolError(f"the connection to {self.url} broke ({error or type(error).__name__})") from None

    def _json(self, answer: HTTPResponse) -> Any:
        try:
            return json.load(answer)
        except (ValueError, OSError, HTTPException):
            raise ToolError(f"{self.url} answered something that is no JSON; is this a Yardmaster?") from None

    def _refusal(self, error: HTTPError) -> str:
        if error.code == 401:
            return f"{self.url} wants its token; name it with --token-file, or the site file with --config"
        try:
            said = json.load(error)["error"]
        except (ValueError, OSError, KeyError, TypeError):
            return f"{self.url} answered HTTP {error.code}; is this a Yardmaster of this version?"
        return f"{self.url} refused: {said}"


def _opener(url: str) -> OpenerDirector:
    """A proxy in the environment is not for this machine."""
    secure = ssl.create_default_context() if url.startswith("https") else None
    handlers: list[Any] = [ProxyHandler({})] if is_loopback(urlsplit(url).hostname or "") else []
    if secure is not None:
        from urllib.request import HTTPSHandler

        handlers.append(HTTPSHandler(context=secure))
    return build_opener(*handlers)


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
