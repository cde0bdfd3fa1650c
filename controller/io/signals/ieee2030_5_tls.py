"""TLS towards an IEEE 2030.5 server: both sides show a certificate (2030.5 clause 6, CSIP 5.2).

The standard's one cipher suite is TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8 in TLS 1.2; GCM suites with ECDSA are offered as well. A server of
that world is told by its certificate's chain: its device certificate holds no host name, and it is often dialled by an address. So
the chain must end at ``ca_file``, which holds the utility's own CA and no public ones; and where the certificate does name hosts and
the site file does too, the names must agree, so that a public CA in ``ca_file`` lets nobody else in.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from ipaddress import ip_address
from typing import Any, Final

from controller.certificates import add_pair, add_trust
from controller.config_signals import Ieee20305Signal

CIPHERS: Final = "ECDHE-ECDSA-AES128-CCM8:ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-CCM"
LEGACY_CIPHERS: Final = f"{CIPHERS}:ECDHE+AES:AES128-GCM-SHA256:AES256-GCM-SHA384:!aNULL:!eNULL"
"""Also RSA certificates and CBC suites, for servers behind an ordinary web front."""


def client_context(entry: Ieee20305Signal, host: str) -> ssl.SSLContext:
    """The context for one server. Raises CertificateError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False  # see above; ``_named`` checks after the handshake
    context.verify_mode = ssl.CERT_REQUIRED
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # an issuing CA in ca_file is enough, its root may be elsewhere
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if not entry.ca_legacy_tls:
        context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(LEGACY_CIPHERS if entry.ca_legacy_tls else CIPHERS)
    add_pair(context, entry.cert_file, entry.key_file, f"the signal {entry.id}")
    add_trust(context, entry.ca_file, f"the signal {entry.id}")
    context.sslobject_class = _named(host)
    return context


def _named(host: str) -> type[ssl.SSLObject]:
    """A connection that also looks at names once both sides have shown their certificates."""

    class Named(ssl.SSLObject):
        def do_handshake(self) -> None:
            super().do_handshake()
            check_names(self.getpeercert() or {}, host)

    return Named


def check_names(certificate: Any, host: str) -> None:
    """Raises SSLCertVerificationError if a certificate names hosts and not this one. An address is not compared with names."""
    names = [value for kind, value in certificate.get("subjectAltName", ()) if kind == "DNS"]
    addresses = [value for kind, value in certificate.get("subjectAltName", ()) if kind == "IP Address"]
    dialled = _address(host)
    if dialled is None and names and not _matches(host, names):
        raise ssl.SSLCertVerificationError(f"the certificate is for {', '.join(names[:4])} and not for {host}")
    if dialled is not None and addresses and dialled not in {_address(one) for one in addresses}:
        raise ssl.SSLCertVerificationError(f"the certificate is for {', '.join(addresses[:4])} and not for {host}")


def _matches(host: str, names: Iterable[str]) -> bool:
    """RFC 6125: letter for letter, or a star in place of the first label."""
    wanted = host.lower().rstrip(".")
    for name in (one.lower().rstrip(".") for one in names):
        if name == wanted or (name.startswith("*.") and "." in name[2:] and wanted.partition(".")[2] == name[2:]):
            return True
    return False


def _address(text: str) -> Any:
    try:
        return ip_address(text.strip("[]"))
    except ValueError:
        return None
