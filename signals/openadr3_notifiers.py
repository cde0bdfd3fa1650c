"""What an OpenADR 3.1 server says about its MQTT notifier: where its broker is, how one logs in, and which topics are ours.

GET /notifiers and GET /notifiers/mqtt/topics/... of the 3.1 OpenAPI document (``notifiersResponse``, ``mqttNotifierBindingObject``,
``notifierTopicsResponse``). A VEN may ask for the topics of its own ven, which private events come on, and of programs; those of all objects
are the energy provider's.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from signals.openadr_plain import Refused, items, mapping, text

PORTS: Final = {"mqtt": 1883, "mqtts": 8883, "tcp": 1883, "ssl": 8883}
"""Schemes we can dial -> their usual ports."""
SAFE: Final = frozenset({"mqtts", "ssl"})
MOST_BROKERS: Final = 8
MOST_TOPIC: Final = 1000
MOST_PEM: Final = 64 * 1024
CLIENT: Final = "{clientID}"
"""As a user name: our own client id stands for it."""


@dataclass(frozen=True, slots=True)
class Broker:
    """An address of the broker. safe: over TLS."""

    host: str
    port: int
    safe: bool


@dataclass(frozen=True, slots=True)
class Login:
    """How the broker lets us in. method: ANONYMOUS, OAUTH2_BEARER_TOKEN (the token is the password) or CERTIFICATE (PEM texts)."""

    method: str = "ANONYMOUS"
    username: str = ""
    ca: str = ""
    cert: str = ""
    key: str = ""

    def __repr__(self) -> str:
        return f"Login({self.method})"  # the key is nobody's business


@dataclass(frozen=True, slots=True)
class Binding:
    """The MQTT notifier."""

    brokers: tuple[Broker, ...]
    login: Login


def binding(raw: Any, safe_only: bool) -> Binding | None:
    """The MQTT notifier of a notifiersResponse, None = the server has none. safe_only: brokers without TLS do not count for what is secret.

    Raises Refused for one we cannot use.
    """
    offered = mapping(raw, "the list of notifiers").get("MQTT")
    if offered is None or offered is False:
        return None
    body = mapping(offered, "the MQTT notifier")
    if body.get("serialization", "JSON") != "JSON":
        raise Refused("its messages are not JSON")
    login = _login(body.get("authentication"))
    brokers = tuple(_brokers(items(body.get("URIS"), "URIS", MOST_BROKERS)))
    if safe_only and login.method != "ANONYMOUS":
        brokers = tuple(broker for broker in brokers if broker.safe)
    if not brokers:
        raise Refused("it names no broker that we may use: mqtts, or mqtt where nothing secret is shown to it")
    return Binding(brokers, login)


def _brokers(uris: Iterable[Any]) -> Iterable[Broker]:
    """Those we can dial; others (WebSocket) are passed over."""
    for uri in uris:
        try:
            parts = urlsplit(text(uri, "an address of the broker", 500))
            if parts.scheme in PORTS and parts.hostname:
                yield Broker(parts.hostname, parts.port or PORTS[parts.scheme], parts.scheme in SAFE)
        except ValueError:
            continue


def _login(raw: Any) -> Login:
    if raw is None:
        return Login()
    body = mapping(raw, "the broker's authentication")
    method = text(body.get("method"), "the broker's method of authentication")
    if method == "ANONYMOUS":
        return Login()
    if method == "OAUTH2_BEARER_TOKEN":
        return Login(method, username=text(body.get("username"), "the broker's user name", 300))
    if method == "CERTIFICATE":
        pems = (text(body.get(name), f"the broker's {name}", MOST_PEM) for name in ("caCert", "clientCert", "clientKey"))
        return Login(method, "", *pems)
    raise Refused(f"its way to log in, {method[:40]!r}, is not known here")


def topic_paths(ven_id: str | None, program_ids: Iterable[str]) -> tuple[str, ...]:
    """Where to ask for topics: our own ven's, all programs', each program's events."""
    own = ("events", "programs") if ven_id else ()
    head = "/notifiers/mqtt/topics"
    return (*(f"{head}/vens/{ven_id}/{kind}" for kind in own), f"{head}/programs", *(f"{head}/programs/{name}/events" for name in program_ids))


def topics(raw: Any) -> tuple[str, ...]:
    """The topics of a notifierTopicsResponse: the one for all operations, or each operation's. Raises Refused."""
    body = mapping(mapping(raw, "the list of topics").get("topics"), "topics")
    names = ("ALL",) if body.get("ALL") else ("CREATE", "UPDATE", "DELETE")
    found = tuple(text(body[name], "a topic", MOST_TOPIC) for name in names if body.get(name))
    if any("\0" in topic or not _filter(topic) for topic in found):
        raise Refused("a topic of it is none of MQTT")
    return found


def _filter(topic: str) -> bool:
    """Whether a filter is one (MQTT 3.1.1, 4.7.1): # at the end only, + and # alone between slashes."""
    levels = topic.split("/")
    return all(level in ("+", "#") or not set(level) & {"+", "#"} for level in levels) and "#" not in levels[:-1]
