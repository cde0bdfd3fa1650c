"""Who may connect as which station: decided before the first OCPP message, without any I/O.

Unknown identities get 404, wrong or missing passwords 401 (compared as bytes, in constant
time), stations that offer no version spoken here get their handshake finished without a
subprotocol and are then closed. The identity is the path, percent-decoded exactly once, and
must match to the letter (B30). The user name must be that identity, in UTF-8 or Latin-1; the
password is what follows it, so nothing is split at a colon a password may contain (B31).

Where only salted hashes of the password are known, checking takes long: then the decision is left
open (``Prove``) and the shell finds out elsewhere. Hashes that a change of password has brought
(F27) take the place of what is configured.

A station configured without a password is let in whatever header it sends: many boxes send
one at security profile 0. Passwords never appear in a text that leaves this module.

A certificate that the TLS listener has verified is a proof by itself, if it names the station (security
profile 3): its common name must be the configured one, to the letter. A certificate of another station lets
nobody in, whatever password comes with it. ``security_profile`` of a station is the lowest it may come with: what is less is
refused, so that nobody talks a station down (A00.FR.003, A05).

Serves OCPP-J section 3 (connection) and security profiles 1 to 3 (A00.FR.201 to FR.205, FR.402 to FR.405).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar
from urllib.parse import unquote_to_bytes

from controller.config import Config, StationConfig
from controller.link.secrets import SecretError, check_hash, same_password

T = TypeVar("T")

MAX_TARGET_CHARACTERS = 2048
MAX_HEADER_CHARACTERS = 2048
MAX_OFFERED = 100


@dataclass(frozen=True, slots=True)
class Admit:
    """Let the station in. offered: the subprotocols it offers and we speak, in its order of preference, never empty."""

    offered: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AdmitWithoutVersion:
    """Finish the handshake without a subprotocol, then close: no common version (B32)."""

    reason: str


@dataclass(frozen=True, slots=True)
class Refuse:
    """Answer with an HTTP error. reason: one sentence without secrets."""

    http_status: int
    reason: str


@dataclass(frozen=True, slots=True)
class Prove:
    """Let the station in as ``then`` says, if the password it sent matches one of the hashes; else refuse it as ``wrong`` says."""

    password: bytes = field(repr=False)
    hashes: tuple[str, ...] = field(repr=False)
    then: Admit | AdmitWithoutVersion
    wrong: Refuse


Decision = Admit | AdmitWithoutVersion | Prove | Refuse


@dataclass(frozen=True, slots=True)
class Shown:
    """How a station comes. encrypted: over TLS. certificate: it has shown one that is verified; names: its common names, organizations: its O;
    ends_wall_s: when it ends, Unix time (a TLS session that is taken up again is not verified anew)."""

    encrypted: bool = False
    certificate: bool = False
    names: tuple[str, ...] = ()
    organizations: tuple[str, ...] = ()
    ends_wall_s: float = float("inf")


PLAIN: Final = Shown()


@dataclass(frozen=True, slots=True)
class Target:
    """A request target taken apart. url_tail: raw text after the base path, query included."""

    identity: str
    url_tail: str


def read_target(target: str, base_path: str) -> Target | None:
    """Find the identity in a raw request target such as ``/ocpp/CP%201?x=1``.

    Doubled slashes before the identity and one trailing slash are tolerated, as stations
    append to whatever URL they were given. None if the target is not below ``base_path``,
    holds more than one segment, or is not UTF-8 after one decoding.
    """
    if len(target) > MAX_TARGET_CHARACTERS:
        return None
    path = _origin_form(target)
    base = base_path.rstrip("/")
    if not path.startswith(base + "/"):
        return None
    url_tail = path[len(base) :]
    segment = url_tail.partition("?")[0].lstrip("/").removesuffix("/")
    if not segment or "/" in segment:
        return None
    try:
        identity = unquote_to_bytes(segment).decode("utf-8")
    except UnicodeDecodeError:
        return None
    return Target(identity, url_tail)


def decide(
    identity: str,
    authorization: Sequence[str],
    offered: Sequence[str],
    config: Config,
    spoken: Sequence[str],
    hashes: Sequence[str] = (),
    shown: Shown = PLAIN,
    wall_s: float = 0.0,
) -> Decision:
    """Admit or refuse a station.

    identity: decoded once, see ``read_target``. authorization: every Authorization header as
    it came. offered: subprotocols in the station's order of preference. spoken: what we speak.
    hashes: of ``SetStationSecret``, in place of the configured password; () = as configured. shown: how it comes. wall_s: now, Unix time.
    """
    station = config.station(identity)
    if station is None:
        return Refuse(404, f"station {printable(identity)} is not in the configuration")
    if shown.certificate:
        return _strange(station, shown, config, wall_s) or _choose(station, offered, spoken)
    lower = _too_low(station, shown, bool(hashes))
    if lower is not None:
        return lower
    good = _good(station, hashes)
    if good is None or isinstance(good, Refuse):
        return good or _choose(station, offered, spoken)
    wrong = Refuse(401, f"station {identity} sent {'a wrong password' if authorization else 'no password'}")
    sent = _password(identity, authorization)
    if sent is None:
        return wrong
    if isinstance(good, tuple):
        return Prove(sent, good, _choose(station, offered, spoken), wrong)
    return _choose(station, offered, spoken) if same_password(sent, good) else wrong


def _strange(station: StationConfig, shown: Shown, config: Config, wall_s: float) -> Refuse | None:
    """Why a verified certificate is not this station's; None = it is (A00.FR.404, FR.405)."""
    wanted, clients = station.certificate_name or station.id, config.listen.tls.clients if config.listen.tls is not None else None
    if wall_s >= shown.ends_wall_s:
        return Refuse(403, f"station {station.id} shows a certificate that has ended; renew it in the station")
    if shown.names != (wanted,):
        named = ", ".join(map(printable, shown.names[:3])) or "nobody"
        hint = f"this station's must name {wanted} (stations[].certificate_name)"
        return Refuse(403, f"station {station.id} shows a certificate that names {named}; {hint}")
    if clients is not None and clients.organization is not None and clients.organization not in shown.organizations:
        named = ", ".join(map(printable, shown.organizations[:3])) or "none"
        return Refuse(403, f"station {station.id} shows a certificate of the organization {named}, not of {clients.organization}")
    return None


def _too_low(station: StationConfig, shown: Shown, changed: bool) -> Refuse | None:
    """A station without a certificate, and its lowest security profile. changed: whether a change has brought a password."""
    least = station.security_profile or 0
    if least >= 3:
        how = "over TLS without a certificate" if shown.encrypted else "without TLS"
        return Refuse(403, f"station {station.id} comes {how}, and its lowest security profile is 3 (TLS and its own certificate)")
    if least >= 2 and not shown.encrypted:
        return Refuse(403, f"station {station.id} comes without TLS, and its lowest security profile is 2")
    if least >= 1 and not changed and station.password is None and station.password_hash is None and station.password_file is None:
        return Refuse(503, f"station {station.id} has security profile {least} and no password in the site file")
    return None


def _good(station: StationConfig, hashes: Sequence[str]) -> tuple[str, ...] | str | Refuse | None:
    """What the station has to prove: one of these hashes, this password, nothing; or why that cannot be told (F83)."""
    if hashes:
        return tuple(hashes)
    if station.password_hash is not None:
        stored = station.password_hash.get_secret_value()
        try:
            check_hash(stored)
        except SecretError as error:
            return Refuse(503, f"the password_hash of station {station.id} cannot be used: {error}")
        return (stored,)
    if station.password is not None:
        return station.password.get_secret_value()
    if station.password_file is not None:
        return Refuse(503, f"the password file of station {station.id} cannot be read")
    return None


def _choose(station: StationConfig, offered: Sequence[str], spoken: Sequence[str]) -> Admit | AdmitWithoutVersion:
    common = common_versions(offered, spoken)
    if common:
        return Admit(common)
    shown = ", ".join(printable(name) for name in offered[:5]) or "none"
    return AdmitWithoutVersion(f"station {station.id} offers no OCPP version spoken here (it offers: {shown}; we speak: {', '.join(spoken)})")


def common_versions(offered: Sequence[str], spoken: Sequence[str]) -> tuple[str, ...]:
    """The offered subprotocols that we speak, each once, in the station's order: its preference rules."""
    return tuple(dict.fromkeys(name for name in offered[:MAX_OFFERED] if name in spoken))


def split_offer(headers: Iterable[str]) -> tuple[str, ...]:
    """Subprotocol names from the Sec-WebSocket-Protocol headers, in order; empty entries are skipped."""
    return tuple(name for header in headers for part in header.split(",") if (name := part.strip()))


def printable(text: str) -> str:
    """Foreign text made fit for a log line: shortened, control characters escaped."""
    shown = text[:48].encode("unicode_escape").decode("ascii")
    return shown + ("..." if len(text) > 48 else "")


def _origin_form(target: str) -> str:
    """``http://host/path`` (absolute form, as some proxies send it) becomes ``/path``."""
    if target.startswith("/"):
        return target
    return "/" + target.partition("://")[2].partition("/")[2]


def _password(identity: str, authorization: Sequence[str]) -> bytes | None:
    """The password in the one Basic header whose user is the identity; None if there is no such header."""
    pair = _basic_credentials(authorization[0]) if len(authorization) == 1 else None
    if pair is None:
        return None
    for encoding in ("utf-8", "latin-1"):
        user = identity.encode(encoding, "ignore") + b":"
        if pair.startswith(user) and user[:-1].decode(encoding) == identity:
            return pair[len(user) :]
    return None


def _basic_credentials(header: str) -> bytes | None:
    scheme, _, encoded = header.strip().partition(" ")
    if scheme.lower() != "basic" or len(header) > MAX_HEADER_CHARACTERS:
        return None
    try:
        return base64.b64decode(encoded.strip(), validate=True)
    except (binascii.Error, ValueError):
        return None


class FailureBucket:
    """Counts failed attempts per key; after ``limit`` within a minute the key is shut out for a minute.

    Keys are (identity, remote address). Bounded: the oldest keys are forgotten first, so that
    an attacker with many identities costs no memory. All times are monotonic seconds.
    """

    WINDOW_S = 60.0
    PENALTY_S = 60.0
    MAX_KEYS = 4096

    def __init__(self, limit: int = 5) -> None:
        self._limit = limit
        self._failures: dict[tuple[str, str], list[float]] = {}
        self._shut_until: dict[tuple[str, str], float] = {}

    def retry_after_s(self, key: tuple[str, str], mono_s: float) -> float:
        """How long the key is still shut out [s]; 0.0 when it may try."""
        until_mono_s = self._shut_until.get(key)
        if until_mono_s is None:
            return 0.0
        if mono_s >= until_mono_s:
            del self._shut_until[key]
            return 0.0
        return until_mono_s - mono_s

    def failed(self, key: tuple[str, str], mono_s: float) -> int:
        """Count a failure; the number of failures of this key within the last minute."""
        recent = [at for at in self._failures.pop(key, ()) if at > mono_s - self.WINDOW_S]
        recent.append(mono_s)
        if len(recent) >= self._limit:
            _keep_newest(self._shut_until, key, mono_s + self.PENALTY_S, self.MAX_KEYS)
        else:
            _keep_newest(self._failures, key, recent, self.MAX_KEYS)
        return len(recent)


def _keep_newest(table: dict[tuple[str, str], T], key: tuple[str, str], entry: T, most: int) -> None:
    """Put an entry in at the end of a table; drop the oldest when there are too many."""
    table.pop(key, None)
    table[key] = entry
    if len(table) > most:
        del table[next(iter(table))]
