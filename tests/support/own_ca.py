"""A certificate authority for tests of security profile 3: stations, CSMSs, lists of what is revoked; all made anew, in a folder of the test."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

DAY = timedelta(days=1)


@dataclass(frozen=True)
class Pair:
    """Files of one certificate. serial: its number."""

    cert: Path
    key: Path
    serial: int


def now() -> datetime:
    """What TLS compares certificates with."""
    return datetime.fromtimestamp(int(datetime.now(UTC).timestamp()), UTC)  # noqa: TID251


class OwnCa:
    """A CA. ca: its certificate's file."""

    def __init__(self, folder: Path, name: str = "Test CA") -> None:
        self.folder, self.name = folder, name
        folder.mkdir(parents=True, exist_ok=True)
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        self.ca = folder / f"{name.replace(' ', '-')}.pem"
        self.certificate = self._sign(self.subject, self.key.public_key(), now() - DAY, now() + 3650 * DAY, None, authority=True)
        self.ca.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))
        self.revoked: list[int] = []

    def _sign(self, subject, key, starts, ends, host, authority=False):  # type: ignore[no-untyped-def]
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(self.subject).public_key(key)
        builder = builder.serial_number(x509.random_serial_number()).not_valid_before(starts).not_valid_after(ends)
        builder = builder.add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        builder = builder.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
        if authority:
            builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        if host:
            builder = builder.add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(host))]), critical=False)
        return builder.sign(self.key, hashes.SHA256())

    def pair(
        self, common_name: str, *, file: str = "", starts: timedelta = -DAY, ends: timedelta = 365 * DAY, host: str = "", organization: str = ""
    ) -> Pair:
        """A key and its certificate. starts, ends: from now. host: for a server."""
        key = ec.generate_private_key(ec.SECP256R1())
        named = [x509.NameAttribute(x509.NameOID.COMMON_NAME, common_name)]
        named += [x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, organization)] if organization else []
        certificate = self._sign(x509.Name(named), key.public_key(), now() + starts, now() + ends, host)
        name = file or common_name
        pair = Pair(self.folder / f"{name}.pem", self.folder / f"{name}.key", certificate.serial_number)
        pair.cert.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        form = serialization.PrivateFormat.PKCS8
        pair.key.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
        pair.key.chmod(0o600)
        return pair

    def sign(self, csr: str, *, common_name: str = "", starts: timedelta = -DAY, ends: timedelta = 365 * DAY, chain: bool = True) -> str:
        """What a CSMS answers to SignCertificate: a chain as PEM. common_name: another than asked for."""
        request = x509.load_pem_x509_csr(csr.encode())
        assert request.is_signature_valid
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common_name)]) if common_name else request.subject
        certificate = self._sign(subject, request.public_key(), now() + starts, now() + ends, None)
        parts = [certificate, self.certificate] if chain else [certificate]
        return "".join(part.public_bytes(serialization.Encoding.PEM).decode() for part in parts)

    def crl(self, *serials: int, ends: timedelta = 30 * DAY, file: str = "crl.pem") -> Path:
        """A list of what is revoked."""
        builder = x509.CertificateRevocationListBuilder().issuer_name(self.subject)
        builder = builder.last_update(now() - 2 * DAY).next_update(now() + ends)
        for serial in serials:
            revoked = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now() - DAY).build()
            builder = builder.add_revoked_certificate(revoked)
        path = self.folder / file
        path.write_bytes(builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
        return path
