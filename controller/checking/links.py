"""Cross checks of everything that is a connection: station passwords, listeners, CSMSs, mirrors."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel

from controller.checking.problems import Problem, Where, did_you_mean, listed
from controller.config import NO_UPSTREAM, Config, MqttConfig, UpstreamConfig
from controller.config_base import is_loopback
from controller.config_security import IDENTITY, ClientCertificateConfig, files_of
from controller.config_signals import Ieee20305Signal
from controller.link.policy import CSMS
from controller.link.secrets import SecretError, check_hash

COMMANDS = frozenset(action for table in CSMS.values() for action in table)
"""Every action a CSMS may send, in any version."""


CERTIFICATE_KEYS: Final = frozenset({"cert_file", "key_file", "ca_file", "crl_file"})
WORDING = frozenset({"token_type", "anonymous_tag"})
"""Settings of ``upstreams[].depot`` that translated pairs use, too."""


def upstream_names(config: Config) -> Iterator[Problem]:
    """Stations name primaries, mirrors name stations."""
    primaries = {upstream.id for upstream in config.upstreams if upstream.role == "primary"}
    mirrors = {upstream.id for upstream in config.upstreams if upstream.role == "mirror"}
    for number, station in enumerate(config.stations):
        name, where = station.upstream, ("stations", number, "upstream")
        if name in mirrors:
            yield Problem(where, f"{name!r} is a mirror and answers nobody; name a primary CSMS, or none")
        elif name is not None and name != NO_UPSTREAM and name not in primaries:
            hint = did_you_mean(name, primaries) or " The file names no primary CSMS at all."
            yield Problem(where, f"there is no upstream {name!r}.{hint}")
    stations = {station.id for station in config.stations}
    for number, upstream in enumerate(config.upstreams):
        if upstream.id == NO_UPSTREAM:
            yield Problem(("upstreams", number, "id"), "'none' means: no CSMS; give this one another name")
        for position, name in enumerate(upstream.stations or ()):
            if name not in stations:
                yield Problem(("upstreams", number, "stations", position), f"there is no station {name!r}.{did_you_mean(name, stations)}")


def upstream_settings(config: Config) -> Iterator[Problem]:
    """Settings that contradict the role or each other."""
    for number, upstream in enumerate(config.upstreams):
        where: Where = ("upstreams", number)
        if upstream.role == "primary" and upstream.stations is not None:
            yield Problem((*where, "stations"), "is for mirrors; the stations of a primary name it themselves (stations[].upstream)")
        if upstream.ca_file is not None and not upstream.url.startswith("wss:"):
            yield Problem((*where, "ca_file"), "has no effect on an unencrypted ws:// address; use wss://")
        if upstream.dial_first_s >= config.listen.handshake_s:
            most = f"listen.handshake_s, {config.listen.handshake_s:g} s"
            message = f"is {upstream.dial_first_s:g} s and must be less than {most}: stations would be cut off"
            yield Problem((*where, "dial_first_s"), message)


def depot_faces(config: Config) -> Iterator[Problem]:
    """The one large station has an identity of its own, and rules that mean something."""
    stations = {station.id for station in config.stations}
    models = {station.model for station in config.stations}
    taken: dict[str, str] = {}
    for number, upstream in enumerate(config.upstreams):
        where: Where = ("upstreams", number)
        if upstream.face == "pair":
            if upstream.identity is not None:
                yield Problem((*where, "identity"), "is the name of one large station; add face: depot, or remove it")
            continue
        if upstream.role == "mirror":
            yield Problem((*where, "face"), "a mirror gets copies of what chargers say; only a primary can have the depot face")
        identity = config.identity_of(upstream)
        if identity in stations:
            yield Problem((*where, "identity"), f"the charger {identity!r} has that identity; the large station needs one of its own")
        if identity in taken:
            yield Problem((*where, "identity"), f"{identity!r} is the identity of upstream {taken[identity]} too; give each its own")
        taken.setdefault(identity, upstream.id)
        for position, model in enumerate(upstream.depot.firmware_models):
            if model not in models:
                at = (*where, "depot", "firmware_models", position)
                yield Problem(at, f"no charger of this site is of model {model!r}.{did_you_mean(model, models)}")


def listeners(config: Config) -> Iterator[Problem]:
    """Two doors never share a port, and one of them is open."""
    listen, tls = config.listen, config.listen.tls
    if tls is None:
        if not listen.plain:
            message = "is false and there is no listen.tls, so no station could connect; add listen.tls or remove plain: false"
            yield Problem(("listen", "plain"), message)
        return
    for name, port, used in (("listen.port", listen.port, listen.plain), ("api.port", config.api.port, True)):
        if used and tls.port == port != 0:
            yield Problem(("listen", "tls", "port"), f"port {tls.port} is also {name}; choose another one")


def file_doors(config: Config) -> Iterator[Problem]:
    """The file server for stations has ports of its own, and a certificate where it is to be encrypted."""
    files, listen = config.files, config.listen
    if files.tls_port is not None and listen.tls is None:
        message = "HTTPS for the stations' files uses the certificates of listen.tls, and there is none; add listen.tls, or remove it"
        yield Problem(("files", "tls_port"), message)
    if not any(upstream.face == "depot" for upstream in config.upstreams):
        return  # it never listens
    taken = {config.api.port: "api.port"}
    taken |= {listen.port: "listen.port"} if listen.plain else {}
    taken |= {listen.tls.port: "listen.tls.port"} if listen.tls is not None else {}
    for key, port in (("port", files.port), ("tls_port", files.tls_port), ("ftp_port", files.ftp_port)):
        if port and port in taken:
            yield Problem(("files", key), f"port {port} is also {taken[port]}; choose another one")
        taken |= {port: f"files.{key}"} if port else {}


def password_hashes(config: Config) -> Iterator[Problem]:
    """A hash that cannot be read would lock its station out."""
    for number, station in enumerate(config.stations):
        if station.password_hash is None:
            continue
        where: Where = ("stations", number, "password_hash")
        if station.password is not None or station.password_file is not None:
            yield Problem(where, "a password is given too; remove one of them (the hash is the safer place)")
        try:
            check_hash(station.password_hash.get_secret_value())
        except SecretError:
            yield Problem(where, "is no password hash; run `yardmaster hash-password` and paste what it prints")


def security_profiles(config: Config) -> Iterator[Problem]:
    """Profiles that nobody could reach with what the file says."""
    tls = config.listen.tls
    for number, station in enumerate(config.stations):
        least, where = station.security_profile or 0, ("stations", number, "security_profile")
        secret = station.password is not None or station.password_hash is not None or station.password_file is not None
        if least == 3 and (tls is None or tls.clients is None):
            yield Problem(where, "is 3, and no certificate of a station is accepted here; add listen.tls.clients with the CA of the stations")
        elif least == 2 and tls is None:
            yield Problem(where, "is 2 (TLS and password), and there is no TLS door; add listen.tls")
        elif least in (1, 2) and not secret:
            yield Problem(where, f"is {least}, which wants a password, and the station has none; add password_file or password_hash")
        if station.certificate_name is not None and (tls is None or tls.clients is None):
            yield Problem((*where[:2], "certificate_name"), "has no effect without listen.tls.clients")
    if tls is not None and tls.clients is not None:
        yield from _shared_names(config)
    for number, upstream in enumerate(config.upstreams):
        yield from _own_certificate(config, number, upstream)


def _shared_names(config: Config) -> Iterator[Problem]:
    """One certificate must not open two stations' doors."""
    first: dict[str, str] = {}
    for number, station in enumerate(config.stations):
        name = station.certificate_name or station.id
        other = first.setdefault(name, station.id)
        if other != station.id:
            message = f"certificates that name {name} are those of {other} too: one of the two could come as the other; give each its own name"
            yield Problem(("stations", number, "certificate_name"), message)


def _own_certificate(config: Config, number: int, upstream: UpstreamConfig) -> Iterator[Problem]:
    entry, where = upstream.certificate, ("upstreams", number, "certificate")
    if entry is None:
        return
    if not upstream.url.startswith("wss:"):
        yield Problem(where, "cannot be shown on an unencrypted ws:// address; use wss://")
    if entry.renewal == "csms" and upstream.face == "pair":
        message = "is csms, which is for face: depot; each charger asks the CSMS for its own certificate, so renew the files yourself (operator)"
        yield Problem((*where, "renewal"), message)
    if (IDENTITY in str(entry.cert_file)) != (IDENTITY in str(entry.key_file)):
        yield Problem(where, f"either both files or none have {IDENTITY} in their name: a certificate and its key belong together")


# -- warnings ---------------------------------------------------------------------------------------------


def link_cautions(config: Config) -> Iterator[Problem]:
    """What somebody should look at twice."""
    for number, upstream in enumerate(config.upstreams):
        where: Where = ("upstreams", number)
        for key, names in (("allow", upstream.commands.allow or ()), ("deny", upstream.commands.deny)):
            strange = [name for name in names if name not in COMMANDS]
            if strange:
                hint = did_you_mean(strange[0], COMMANDS) or " Is it a vendor's own?"
                yield Problem((*where, "commands", key), f"no OCPP version has {listed(strange, 6)}.{hint}")
        if upstream.role == "mirror" and upstream.commands.allow:
            message = f"the mirror {upstream.id} may send {listed(list(upstream.commands.allow), 6)} to stations; a mirror usually only listens"
            yield Problem((*where, "commands", "allow"), message)
        if upstream.face == "pair" and upstream.depot.model_fields_set - WORDING:
            named = listed(sorted(upstream.depot.model_fields_set - WORDING), 6)
            yield Problem((*where, "depot"), f"{named}: without effect, this CSMS sees each charger for itself; is face: depot missing?")
        if upstream.role == "primary" and upstream.offline_unknown == "accept":
            yield Problem((*where, "offline_unknown"), f"anybody can charge while the CSMS {upstream.id} is away, except drivers it has blocked")
    secrets = any(station.password_hash or station.password or station.password_file for station in config.stations)
    if secrets and config.listen.tls is None and not is_loopback(config.listen.host):
        yield Problem(("listen",), "stations send their passwords unencrypted; listen.tls adds an encrypted door (security profile 2)")
    if config.authorization.unknown == "accept" and config.authorization.tokens:
        yield Problem(("authorization", "unknown"), "is accept, so where no CSMS is configured the list of drivers only adds names and priorities")


def missing_files(config: Config) -> Iterator[Problem]:
    """Certificate files that cannot be opened, wherever they are named. Those of IEEE 2030.5 and of the broker are looked at elsewhere."""
    for place, path in (*_certificate_files(config, ()), *_own_certificate_files(config)):
        try:
            path.open("rb").close()
        except OSError as error:
            yield Problem(place, f"cannot read {path}: {error.strerror or type(error).__name__}; give the path of a PEM file")


def _own_certificate_files(config: Config) -> Iterator[tuple[Where, Path]]:
    """What we show CSMSs: one pair, or one for each identity. With renewal by the CSMS they need not exist."""
    for number, upstream in enumerate(config.upstreams):
        entry = upstream.certificate
        if entry is None or entry.renewal == "csms":
            continue
        served = [station.id for station in config.stations if upstream.role == "mirror" or config.upstream_of(station.id) == upstream]
        named = upstream.face == "pair" and IDENTITY in str(entry.cert_file)
        for cert, key in dict.fromkeys(files_of(entry, identity) for identity in (served if named else [config.identity_of(upstream)])):
            yield from ((("upstreams", number, "certificate", "cert_file"), cert), (("upstreams", number, "certificate", "key_file"), key))


def _certificate_files(model: Any, where: Where) -> Iterator[tuple[Where, Path]]:
    if isinstance(model, tuple):
        for number, item in enumerate(model):
            yield from _certificate_files(item, (*where, number))
    elif isinstance(model, BaseModel) and not isinstance(model, Ieee20305Signal | MqttConfig | ClientCertificateConfig):
        for name in type(model).model_fields:
            value = getattr(model, name)
            if name in CERTIFICATE_KEYS and value is not None:
                yield (*where, name), value
            else:
                yield from _certificate_files(value, (*where, name))
