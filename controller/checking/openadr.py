"""Checks of OpenADR entries of ``signals``."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from controller.checking.problems import Problem, Where
from controller.config import Config
from controller.config_base import is_loopback
from controller.config_signals import OpenAdr2Signal, OpenAdr3Signal

MOST_MISSED = 2


def openadr_problems(config: Config) -> Iterator[Problem]:
    """What cannot work."""
    for where, entry in _entries(config):
        if isinstance(entry, OpenAdr2Signal):
            if (entry.cert_file is None) != (entry.key_file is None):
                yield Problem(where, f"{entry.id}: cert_file and key_file belong together")
            if entry.vtn_fingerprint is not None and entry.cert_file is None:
                yield Problem((*where, "vtn_fingerprint"), "a server that signs its messages wants ours signed, too: add cert_file and key_file")
            continue
        if entry.oauth is not None and (entry.token is not None or entry.token_file is not None):
            yield Problem((*where, "oauth"), f"{entry.id}: both oauth and a token are given; keep the one the server's operator gave you")
        if entry.oauth is not None and entry.oauth.client_secret is None and entry.oauth.client_secret_file is None:
            yield Problem((*where, "oauth"), f"{entry.id}: there is a client_id and no secret; add client_secret_file")
        if entry.username is not None or entry.password is not None or entry.password_file is not None:
            yield Problem(where, f"{entry.id}: OpenADR 3 knows no user name and password; use oauth, token_file or nothing")


def openadr_cautions(config: Config) -> Iterator[Problem]:
    """What somebody should look at twice."""
    for where, entry in _entries(config):
        parts = urlsplit(entry.url)
        if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
            yield Problem((*where, "url"), f"{entry.id}: http without TLS: anybody on the way can read its key and state limits; use https")
        if 0 < entry.heartbeat_s < MOST_MISSED * entry.poll_s:
            message = (
                f"polled every {entry.poll_s:g} s and taken for silent after {entry.heartbeat_s:g} s: one poll that fails is already the failsafe"
            )
            yield Problem((*where, "heartbeat_s"), message)
        if isinstance(entry, OpenAdr3Signal):
            yield from _callback(config, where, entry)


def _callback(config: Config, where: Where, entry: OpenAdr3Signal) -> Iterator[Problem]:
    if entry.callback_url is None:
        return
    parts = urlsplit(entry.callback_url)
    if not parts.path.rstrip("/").endswith(f"/api/v1/openadr3/{entry.id}"):
        message = f"calls are answered at /api/v1/openadr3/{entry.id}; a front server has to lead {parts.path or '/'} there"
        yield Problem((*where, "callback_url"), message)
    if is_loopback(config.api.host) and not is_loopback(parts.hostname or "") and parts.scheme == "http":
        yield Problem((*where, "callback_url"), f"api.host is {config.api.host}: nobody from outside reaches the API without a front server")


def _entries(config: Config) -> Iterator[tuple[Where, OpenAdr2Signal | OpenAdr3Signal]]:
    for number, entry in enumerate(config.signals):
        if isinstance(entry, OpenAdr2Signal | OpenAdr3Signal):
            yield ("signals", number), entry
