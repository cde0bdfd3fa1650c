"""TLS towards the stations (security profiles 2 and 3): the server's certificates, those of stations, their renewal, their end.

OCPP wants TLS 1.2 or later, no compression, and both an ECDSA and an RSA certificate, so that a
station finds one of ECDHE-ECDSA/RSA or plain RSA with AES-GCM that it knows (A00.FR.318/321).
Python's default list lacks the last, which old stations have only.

Certificates are watched: files that change are put in force for the next connection without a
restart, files that are wrong leave the old ones in force. An end that comes near is told 30, 14, 7
and 1 days before, and once more when it has come (F30); stations that refuse an expired certificate
stay at their fallback. A key that others may read is no key: the program does not start with it (F83).

Where ``listen.tls.clients`` says so, a station may show a certificate of its own (profile 3). It is asked for and not demanded, as
stations of profile 2 use the same door; one that is shown must hold: signed by these CAs, in its time, not revoked where there are lists.
Whose it is, is decided by ``link.admission``.
"""

from __future__ import annotations

import asyncio
import asyncio.sslproto
import ssl
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from controller.certificates import CertificateError, add_pair, add_trust
from controller.config import CertificateConfig
from controller.config_security import StationCertificatesConfig
from controller.facts import CertificateEnding, SourceChanged
from controller.io.shell import Clock, StartError, Submit
from controller.link.admission import Shown, printable

__all__ = ["CertificateError", "Certificates", "ends_at", "server_context"]

SOURCE = "certificate"
CIPHERS = "ECDHE+AESGCM:AES128-GCM-SHA256:AES256-GCM-SHA384"
"""Below TLS 1.3. Checked with Python 3.11 and OpenSSL 3.0; elliptic curves first, as forward secrecy is worth it."""
LOOK_EVERY_S = 60.0
WARN_DAYS = (30, 14, 7, 1, 0)
LIST_WARN_DAYS = 7
DAY_S = 86_400.0
READ_BUFFER_BYTES = 16 * 1024
"""asyncio keeps a buffer of 256 KiB per TLS connection; one record fits here. 1000 connections: 65 instead of 305 KiB each,
for a third more processor time under full load (measured 2026, 3.11)."""


class Certificates:
    """The TLS context for the next connection, kept in step with its files. ``start`` raises StartError."""

    def __init__(
        self, files: Sequence[CertificateConfig], clock: Clock, submit: Submit, clients: StationCertificatesConfig | None = None
    ) -> None:
        self._files = tuple(files)
        self._clients = clients
        self._clock = clock
        self._submit = submit
        self._context: ssl.SSLContext | None = None
        self._seen: tuple[tuple[float, int, int], ...] = ()
        self._ends: dict[Path, tuple[float, str]] = {}
        self._anew_wall_s = float("inf")
        self._warned: dict[Path, int] = {}
        self._healthy = True

    def context(self) -> ssl.SSLContext:
        """What the next connection is served with."""
        assert self._context is not None
        return self._context

    def start(self) -> None:
        """Read the files. Raises StartError."""
        _shrink_buffers()
        try:
            self._load()
        except CertificateError as error:
            raise StartError(str(error)) from None
        self._warn()

    async def watch(self) -> None:
        """Look at the files and at the calendar, for ever."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            self.look()

    def look(self) -> None:
        """Put changed files in force; tell of an end that comes near."""
        if self._stamps() != self._seen or self._clock.stamp().wall_s >= self._anew_wall_s:
            try:
                self._load()
                self._tell(True, "the new certificate is in force")
            except CertificateError as error:
                self._seen = self._stamps()  # said once, not every minute
                self._tell(False, f"{error}; the one read before stays in force")
        self._warn()

    def _load(self) -> None:
        seen = self._stamps()
        context = server_context(self._files)
        ends = {file.cert_file: (ends_at(file.cert_file), "") for file in self._files}
        if self._clients is not None:
            ask_clients(context, self._clients)
            ends |= _ends_of(self._clients)
        self._anew_wall_s = self._next_end_of_a_list()
        self._note_told(ends)
        self._context, self._ends = context, ends
        self._seen = seen

    def _note_told(self, ends: dict[Path, tuple[float, str]]) -> None:
        """What is the same end as before has been told. A list is renewed every few days and never far from its end: of a new one only the last
        day is told."""
        self._warned = {path: days for path, days in self._warned.items() if self._ends.get(path) == ends.get(path)}
        lists = self._clients.crl_file if self._clients is not None else None
        if self._context is not None and lists is not None and self._ends.get(lists) != ends.get(lists):
            self._warned[lists] = LIST_WARN_DAYS

    def _next_end_of_a_list(self) -> float:
        """When the context has to be made anew, Unix time: TLS 1.2 lets a session be taken up again without looking at the lists, and only a new
        context knows no sessions. A list that changes makes one anyway."""
        if self._clients is None or self._clients.crl_file is None:
            return float("inf")
        wall_s = self._clock.stamp().wall_s
        return min((ends for ends in ends_of_lists(self._clients.crl_file) if ends > wall_s), default=float("inf"))

    def _stamps(self) -> tuple[tuple[float, int, int], ...]:
        paths = [path for file in self._files for path in (file.cert_file, file.key_file)]
        if self._clients is not None:
            paths += [path for path in (self._clients.ca_file, self._clients.crl_file) if path is not None]
        return tuple(_stamp(path) for path in paths)

    def _tell(self, healthy: bool, detail: str) -> None:
        if healthy and self._healthy:
            return
        self._healthy = healthy
        self._submit(SourceChanged(self._clock.stamp(), SOURCE, healthy, detail))

    def _warn(self) -> None:
        stamp = self._clock.stamp()
        if not stamp.wall_trusted:
            return
        for path, (ends_wall_s, then) in self._ends.items():
            left = (ends_wall_s - stamp.wall_s) / DAY_S
            passed = min((days for days in WARN_DAYS if left <= days), default=None)
            if passed is not None and passed < self._warned.get(path, 31):
                self._warned[path] = passed
                self._submit(CertificateEnding(stamp, str(path), ends_wall_s, then=then))


def server_context(files: Sequence[CertificateConfig]) -> ssl.SSLContext:
    """A server context with all the certificates. Raises CertificateError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_CIPHER_SERVER_PREFERENCE | ssl.OP_NO_RENEGOTIATION
    context.set_ciphers(CIPHERS)
    for file in files:
        add_pair(context, file.cert_file, file.key_file)
    return context


# -- stations' certificates ------------------------------------------------------------------------------


def ask_clients(context: ssl.SSLContext, clients: StationCertificatesConfig) -> None:
    """Let stations show certificates. Raises CertificateError."""
    add_trust(context, clients.ca_file, "listen.tls.clients")
    context.verify_mode = ssl.CERT_OPTIONAL
    # No tickets: they would outlive this context, and with it a revocation. See ``_next_end_of_a_list`` for what TLS 1.2 has beside them.
    context.options |= ssl.OP_NO_TICKET
    context.num_tickets = 0
    if clients.crl_file is not None:
        ends_of_lists(clients.crl_file)
        try:
            context.load_verify_locations(cafile=str(clients.crl_file))
        except (ssl.SSLError, OSError):
            raise CertificateError(f"{clients.crl_file} cannot be used as revocation list; it must be a PEM file") from None
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_CHAIN  # a CA between may be revoked, too


def _ends_of(clients: StationCertificatesConfig) -> dict[Path, tuple[float, str]]:
    refused = "stations that show a certificate of it cannot connect any more"
    ends = {clients.ca_file: (ends_at(clients.ca_file), refused)}
    if clients.crl_file is not None:
        ends[clients.crl_file] = (min(ends_of_lists(clients.crl_file)), "stations that show a certificate of its CA cannot connect any more")
    return ends


def shown_by(connection: ssl.SSLObject | None) -> Shown:
    """What admission needs to know of a connection; None = a plain one."""
    if connection is None:
        return Shown()
    found: Any = connection.getpeercert()
    if not found:
        return Shown(encrypted=True)
    subject = [pair for part in found.get("subject", ()) for pair in part]
    names = tuple(value for key, value in subject if key == "commonName")
    organizations = tuple(value for key, value in subject if key == "organizationName")
    return Shown(True, True, names, organizations, float(ssl.cert_time_to_seconds(found["notAfter"])))


def tls_words(error: Exception) -> str:
    """Why a handshake failed, for people."""
    found = getattr(error, "verify_message", "")
    if found:
        return f"the station's certificate is not accepted: {printable(str(found))}"
    words = getattr(error, "reason", None) or str(error) or type(error).__name__
    return printable(str(words).replace("_", " ").lower())


def _stamp(path: Path) -> tuple[float, int, int]:
    try:
        found = path.stat()
    except OSError:
        return (0.0, 0, 0)
    return (found.st_mtime, found.st_size, found.st_ino)


def _shrink_buffers() -> None:
    protocol = asyncio.sslproto.SSLProtocol
    if getattr(protocol, "max_size", 0) > READ_BUFFER_BYTES:
        protocol.max_size = READ_BUFFER_BYTES


# -- the end of a certificate --------------------------------------------------------------------


def ends_at(path: Path) -> float:
    """notAfter of the first certificate in a PEM file, Unix time [s]. Raises CertificateError."""
    try:
        text = path.read_text("ascii", "replace")
        begin = text.index("-----BEGIN CERTIFICATE-----")
        end = text.index("-----END CERTIFICATE-----", begin)
        return _not_after(ssl.PEM_cert_to_DER_cert(text[begin:end] + "-----END CERTIFICATE-----\n"))
    except (OSError, ValueError, IndexError, StopIteration):
        raise CertificateError(f"{path} holds no certificate that can be read") from None


def ends_of_lists(path: Path) -> list[float]:
    """nextUpdate of each revocation list in a PEM file, Unix time [s], inf = has none; never empty. Raises CertificateError."""
    from cryptography import x509

    mark = b"-----BEGIN X509 CRL-----"
    try:
        lists = [x509.load_pem_x509_crl(mark + part) for part in path.read_bytes().split(mark)[1:]]
    except (OSError, ValueError):
        raise CertificateError(f"{path} cannot be read as revocation list; it must be a PEM file (openssl crl -outform PEM)") from None
    if not lists:
        raise CertificateError(f"{path} holds no revocation list that can be read; it must be a PEM file (openssl crl -outform PEM)")
    return [each.next_update_utc.timestamp() if each.next_update_utc is not None else float("inf") for each in lists]


def _not_after(der: bytes) -> float:
    """The standard library reads this only from a peer's certificate. RFC 5280 4.1: the second time of the field
    ``validity``, which is the fifth of ``tbsCertificate`` behind an optional version."""
    certificate = next(_fields(der))[1]
    parts = [part for part in _fields(next(_fields(certificate))[1]) if part[0] != 0xA0]
    tag, text = list(_fields(parts[3][1]))[1]
    # UTCTime has two digits of the year, 50 to 99 being the last century's; GeneralizedTime has four.
    form = "%y%m%d%H%M%SZ" if tag == 0x17 else "%Y%m%d%H%M%SZ"
    ends = datetime.strptime(text.decode("ascii"), form).replace(tzinfo=UTC)
    return (ends.replace(year=ends.year - 100) if tag == 0x17 and ends.year >= 2050 else ends).timestamp()


def _fields(content: bytes) -> Iterator[tuple[int, bytes]]:
    """(tag, content) of each element in DER. Raises IndexError or ValueError."""
    place = 0
    while place < len(content):
        tag, length, place = content[place], content[place + 1], place + 2
        if length & 0x80:
            count = length & 0x7F
            length, place = int.from_bytes(content[place : place + count], "big"), place + count
        if place + length > len(content):
            raise ValueError("cut off")
        yield tag, content[place : place + length]
        place += length
