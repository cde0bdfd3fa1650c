"""Files of the certificates we show CSMSs (security profile 3), and TLS contexts made of them.

Configured files are read anew when they change. What a CSMS has signed for us lies in ``<data_dir>/certificates``, one folder per CSMS and
identity, key and chain in one file so that a power cut cannot part them:

    <number>.key   asked for, not signed yet         new.pem    signed, not proven yet
    kept.pem    proven                            proven     a CSMS has let us in with a certificate

Configured files that are newer than ``kept.pem`` win: an operator has put them there since. All is readable by the owner only.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import ssl
from dataclasses import dataclass
from pathlib import Path

from controller.certificates import CertificateError, add_pair, add_trust
from controller.config import UpstreamConfig
from controller.config_security import files_of
from controller.io.links.signing import OtherKeyError, SigningError, Valid, judge, new_key, signing_request
from controller.io.links.tls import ends_at
from controller.link.client_certificate import ClientCertificate, Source
from controller.orders import InstallOwnCertificate, MakeSigningRequest

FOLDER = "certificates"
NEW = "new.pem"
KEPT = "kept.pem"
PROVEN = "proven"
KEYS_KEPT = 3
"""Requests that may still be answered; older keys go."""
Stamp = tuple[float, int, int]


@dataclass(frozen=True, slots=True)
class Shows:
    """What a dial is made with. ends_wall_s: of the certificate, 0 = none is shown. fresh: it has yet to be proven. path: its file.
    lasts_s: from its first moment to its last."""

    context: ssl.SSLContext
    ends_wall_s: float = 0.0
    fresh: bool = False
    path: Path | None = None
    lasts_s: float = float("inf")


@dataclass(slots=True)
class _Ready:
    stamps: tuple[Stamp, ...]
    context: ssl.SSLContext
    ends_wall_s: float
    lasts_s: float


class Wallet:
    """All certificates towards all CSMSs. data_dir: where ours lie. Methods read files: call them in a thread, one at a time."""

    def __init__(self, data_dir: Path) -> None:
        self._root = data_dir / FOLDER
        self._choices: dict[tuple[str, str], ClientCertificate] = {}
        self._ready: dict[tuple[str, Path, Path], _Ready] = {}

    def _folder(self, upstream_id: str, identity: str) -> Path:
        return self._root / hashlib.sha256(f"{upstream_id}\0{identity}".encode()).hexdigest()[:32]

    def _choice(self, upstream_id: str, identity: str) -> ClientCertificate:
        return self._choices.setdefault((upstream_id, identity), ClientCertificate())

    # -- dialling -------------------------------------------------------------------------------------

    def shows(self, upstream: UpstreamConfig, identity: str, wall_s: float) -> Shows:
        """The context for the next dial. Raises CertificateError."""
        entry = upstream.certificate
        assert entry is not None
        folder = self._folder(upstream.id, identity)
        cert, key = files_of(entry, identity)
        own = entry.renewal == "csms"
        new, kept = folder / NEW, folder / KEPT
        there = _stamp(cert) is not None
        usable = own and kept.exists() and not (there and _newer(cert, kept))
        begun = own and new.exists() and _starts(new) <= wall_s and not (there and _newer(cert, new))
        proven = not own or (folder / PROVEN).exists()
        choice = self._choice(upstream.id, identity).choose(new=begun, kept=usable, configured=there or not own, proven=proven)
        if choice is None:
            raise CertificateError(f"the certificate for {identity} is gone ({folder}); put one into {cert}, as without one we do not dial")
        if choice is Source.NONE:
            return Shows(self._context(upstream, None, None).context)
        pair = {Source.NEW: (new, new), Source.KEPT: (kept, kept)}.get(choice, (cert, key))
        try:
            ready = self._context(upstream, *pair)
        except CertificateError:
            if choice is not Source.NEW:
                raise
            self._give_up(upstream.id, identity)  # damaged on disk: it must not keep the one before from being shown
            return self.shows(upstream, identity, wall_s)
        return Shows(ready.context, ready.ends_wall_s, choice is Source.NEW, pair[0], ready.lasts_s)

    def _context(self, upstream: UpstreamConfig, cert: Path | None, key: Path | None) -> _Ready:
        """Made once per pair of files, and anew when one of them changes."""
        place = (upstream.id, cert or Path(), key or Path())
        stamps = tuple(_stamp(path) or (0.0, 0, 0) for path in (cert, key, upstream.ca_file) if path is not None)
        known = self._ready.get(place)
        if known is not None and known.stamps == stamps:
            return known
        context = ssl.create_default_context() if upstream.ca_file is None else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if upstream.ca_file is not None:
            add_trust(context, upstream.ca_file, "upstreams.ca_file")
        if cert is not None and key is not None:
            add_pair(context, cert, key, "upstreams.certificate")
        ends_wall_s = ends_at(cert) if cert is not None else 0.0
        lasts_s = ends_wall_s - _starts(cert) if cert is not None else float("inf")
        found = self._ready[place] = _Ready(stamps, context, ends_wall_s, lasts_s if lasts_s > 0 else float("inf"))
        return found

    def opened(self, upstream: UpstreamConfig, identity: str) -> bool:
        """The CSMS has let us in; True if a new certificate is the one from now on."""
        folder, choice = self._folder(upstream.id, identity), self._choice(upstream.id, identity)
        if upstream.certificate is None or upstream.certificate.renewal != "csms" or not choice.shown:
            return False
        proven = choice.opened()
        with contextlib.suppress(OSError):
            if proven:
                os.replace(folder / NEW, folder / KEPT)  # needs no room on a full disk
                _sync(folder)
        with contextlib.suppress(OSError):
            if not (folder / PROVEN).exists():
                _write(folder / PROVEN, b"")
        return proven

    def refused(self, upstream: UpstreamConfig, identity: str) -> bool:
        """The CSMS has refused us; True if the new certificate has been given up."""
        if not self._choice(upstream.id, identity).refused():
            return False
        self._give_up(upstream.id, identity)
        return True

    def _give_up(self, upstream_id: str, identity: str) -> None:
        self._choice(upstream_id, identity).renewed()
        with contextlib.suppress(OSError):
            (self._folder(upstream_id, identity) / NEW).unlink()

    # -- signing ------------------------------------------------------------------------------------------

    def request(self, order: MakeSigningRequest) -> str:
        """A new key on disk, and its request as PEM. Raises SigningError or OSError."""
        key = new_key()
        csr = signing_request(key, order.common_name, order.organization)
        folder = self._folder(order.upstream_id, order.identity)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        older = sorted(folder.glob("*.key"), key=lambda path: path.stat().st_mtime)
        for path in older[: max(0, len(older) - KEYS_KEPT + 1)]:
            path.unlink(missing_ok=True)
        _write(folder / f"{order.number}.key", key)
        return csr

    def install(self, order: InstallOwnCertificate, wall_s: float) -> Valid:
        """Keep a signed chain for the next dial. Raises SigningError or OSError; nothing has changed then."""
        folder = self._folder(order.upstream_id, order.identity)
        key, path, valid = _matching(folder, order, wall_s)
        pem = order.chain.strip().encode("ascii", "replace") + b"\n"
        _check_pair(folder, pem, key)
        _write(folder / NEW, pem + key)
        path.unlink(missing_ok=True)
        self._choice(order.upstream_id, order.identity).renewed()
        return valid


def _matching(folder: Path, order: InstallOwnCertificate, wall_s: float) -> tuple[bytes, Path, Valid]:
    """Which request a chain answers: the newest first, as a CSMS before 2.1 does not say. Raises SigningError."""
    found: SigningError | None = None
    for path in sorted(folder.glob("*.key"), key=lambda path: path.stat().st_mtime, reverse=True):
        key = path.read_bytes()
        try:
            return key, path, judge(order.chain, key, order.common_name, wall_s)
        except OtherKeyError as error:
            found = error
    raise found or SigningError("nobody here has asked for this certificate, or its key is gone; the CSMS has to sign a new request")


def _check_pair(folder: Path, pem: bytes, key: bytes) -> None:
    """What the TLS library itself would refuse must not be accepted. Raises SigningError or OSError."""
    trial = folder / "trial.pem"
    _write(trial, pem + key)
    try:
        add_pair(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), trial, trial, "the new certificate")
    except CertificateError as error:
        raise SigningError(f"TLS cannot use it: {error}") from None
    finally:
        trial.unlink(missing_ok=True)


def _starts(path: Path) -> float:
    from cryptography import x509

    try:
        return x509.load_pem_x509_certificate(path.read_bytes()).not_valid_before_utc.timestamp()
    except (OSError, ValueError):
        return float("inf")


def _stamp(path: Path) -> Stamp | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return (found.st_mtime, found.st_size, found.st_ino)


def _newer(path: Path, other: Path) -> bool:
    try:
        return path.stat().st_mtime > other.stat().st_mtime
    except OSError:
        return False


def _write(path: Path, content: bytes) -> None:
    """Whole or not at all, for the owner only, on disk before it counts. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    part = path.with_name(path.name + ".part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)
    _sync(path.parent)


def _sync(folder: Path) -> None:
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
