"""Checks of IEEE 2030.5 entries of ``signals``: the PIN, what the source is aimed at, and whether its certificates can be used."""

from __future__ import annotations

import ssl
from collections.abc import Iterator

from controller.certificates import CertificateError, add_pair, add_trust
from controller.checking.problems import Problem
from controller.config import Config
from controller.config_signals import Ieee20305Signal
from signals.csip_identity import check_digit, good_pin


def csip_problems(config: Config) -> Iterator[Problem]:
    """A PIN that cannot be one, and a port for notifications that is somebody else's."""
    taken = _doors(config)
    for number, entry in _entries(config):
        if entry.door is not None and entry.door in taken:
            yield Problem(("signals", number, "notify_port"), f"port {entry.door} is also {taken[entry.door]}; choose another one")
        taken |= {entry.door: f"notify_port of {entry.id}"} if entry.door is not None else {}
    for number, entry in _entries(config):
        if entry.pin is not None and not good_pin(entry.pin):
            whole = entry.pin // 10 * 10 + check_digit(entry.pin // 10)
            message = f"{entry.pin:06d} is no registration PIN: its last digit is a check, {whole:06d} would be one; ask the utility again"
            yield Problem(("signals", number, "pin"), message)


def csip_cautions(config: Config) -> Iterator[Problem]:
    """What somebody should look at twice."""
    for number, entry in _entries(config):
        if entry.binds == "controllable":
            message = (
                "this utility's limits bind only what can be controlled: its limits at the connection (opModImpLimW) are answered as done in part"
            )
            yield Problem(("signals", number, "binds"), message)
        if entry.pin is None:
            yield Problem(
                ("signals", number), f"{entry.id}: no pin, so the server's registration is not compared; the utility gave one with the contract"
            )
        if entry.ca_legacy_tls:
            yield Problem(
                ("signals", number, "ca_legacy_tls"), "also takes ciphers that IEEE 2030.5 does not allow; needed only for servers behind a web front"
            )


def csip_files(config: Config) -> Iterator[Problem]:
    """Certificate, key and CA as they will be used: readable, private, belonging together."""
    for number, entry in _entries(config):
        context, user = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), f"the signal {entry.id}"
        try:
            add_pair(context, entry.cert_file, entry.key_file, user)
        except CertificateError as error:
            yield Problem(("signals", number, "cert_file"), str(error))
        try:
            add_trust(context, entry.ca_file, user)
        except CertificateError as error:
            yield Problem(("signals", number, "ca_file"), str(error))


def _doors(config: Config) -> dict[int, str]:
    """Ports we listen on already."""
    listen = config.listen
    taken = {config.api.port: "api.port"} | ({listen.port: "listen.port"} if listen.plain else {})
    return taken | ({listen.tls.port: "listen.tls.port"} if listen.tls is not None else {})


def _entries(config: Config) -> Iterator[tuple[int, Ieee20305Signal]]:
    return ((number, entry) for number, entry in enumerate(config.signals) if isinstance(entry, Ieee20305Signal))
