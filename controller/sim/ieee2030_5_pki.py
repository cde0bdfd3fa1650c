"""Certificates as a 2030.5 world has them, made anew: a CA, a server, devices with a hardware name and no host name. For demo and tests."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Any

FROM = datetime(2020, 1, 1, tzinfo=UTC)
FOR_EVER = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
"""What the standard writes for "no end" (6.11.8.4)."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Files of one certificate."""

    cert: Path
    key: Path


class Authority:
    """A CA that signs what it is asked to. folder: where the files go; ``ca`` is its own certificate."""

    def __init__(self, folder: Path, name: str = "Smart Grid Root") -> None:
        from cryptography.hazmat.primitives.asymmetric import ec

        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._key, self._name = folder, ec.generate_private_key(ec.SECP256R1()), _name(name)
        self.ca = folder / f"{name.replace(' ', '-').lower()}.pem"
        self._write(self.ca, self._signed(self._name, self._key.public_key(), None, authority=True))

    def server(self, hosts: tuple[str, ...] = ()) -> Pair:
        """A server's certificate; without hosts it names none, as the standard's do."""
        from cryptography import x509

        names: list[Any] = [_host(host) for host in hosts]
        return self._issue("server" + "-".join(hosts), x509.SubjectAlternativeName(names) if names else _hardware("server"))

    def device(self, serial: str) -> Pair:
        """A device's certificate: an empty subject and a hardware module name."""
        return self._issue(serial, _hardware(serial))

    def _issue(self, name: str, names: Any) -> Pair:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ec

        key = ec.generate_private_key(ec.SECP256R1())
        pair = Pair(self._folder / f"{name}.pem", self._folder / f"{name}.key")
        self._write(pair.cert, self._signed(_name(None), key.public_key(), names, authority=False))
        form = serialization.PrivateFormat.PKCS8
        pair.key.touch(mode=0o600)
        pair.key.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
        return pair

    def _signed(self, subject: Any, key: Any, names: Any, authority: bool) -> Any:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes

        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(self._name).public_key(key)
        builder = builder.serial_number(x509.random_serial_number()).not_valid_before(FROM).not_valid_after(FOR_EVER)
        builder = builder.add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        if names is not None:
            builder = builder.add_extension(names, critical=True)
        return builder.sign(self._key, hashes.SHA256())

    def _write(self, path: Path, certificate: Any) -> None:
        from cryptography.hazmat.primitives import serialization

        path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


def _name(common: str | None) -> Any:
    from cryptography import x509

    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common)] if common is not None else [])


def _host(host: str) -> Any:
    from cryptography import x509

    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _hardware(serial: str) -> Any:
    """SubjectAltName with a HardwareModuleName (RFC 4108): a type and a serial number."""
    from cryptography import x509

    kind, number = bytes.fromhex("06082b0601040182e525"), serial.encode()[:60]
    inner = kind + bytes((4, len(number))) + number
    other = x509.OtherName(x509.ObjectIdentifier("1.3.6.1.5.5.7.8.4"), bytes((0x30, len(inner))) + inner)
    return x509.SubjectAlternativeName([other])
