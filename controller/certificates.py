"""A certificate and its key, put into a TLS context: what goes wrong with them, in words. For servers, clients and the check of a site file."""

from __future__ import annotations

import os
import ssl
import stat
from pathlib import Path


class CertificateError(Exception):
    """Certificate files cannot be used. The text is one sentence for a person."""


def add_trust(context: ssl.SSLContext, ca: Path, user: str) -> None:
    """Trust the CA certificates of a file. user: the section that needs them. Raises CertificateError."""
    _check_readable(ca, user)
    try:
        context.load_verify_locations(cafile=str(ca))
    except (ssl.SSLError, OSError):
        raise CertificateError(f"{ca} holds no certificate that can be read; it must be a PEM file with the CA of the other side") from None


def add_pair(context: ssl.SSLContext, cert: Path, key: Path, user: str = "listen.tls") -> None:
    """Put a certificate and its key into a context. user: the section that needs them. Raises CertificateError."""
    for path in (cert, key):
        _check_readable(path, user)
    if os.name == "posix" and key.stat().st_mode & (stat.S_IROTH | stat.S_IWOTH | stat.S_IWGRP):
        raise CertificateError(f"the key file {key} may be read or changed by others; make it private with: chmod 600 {key}")
    locked = False

    def no_pass_phrase() -> bytes:  # without this the library would ask the terminal
        nonlocal locked
        locked = True
        return b""

    try:
        context.load_cert_chain(cert, key, password=no_pass_phrase)
    except ssl.SSLError as error:
        raise CertificateError(_trouble(error, cert, key, locked)) from None
    except (OSError, ValueError) as error:
        raise CertificateError(f"the certificate {cert} with the key {key} cannot be used: {error}") from None


def _check_readable(path: Path, user: str) -> None:
    try:
        with path.open("rb"):
            pass
    except OSError as error:
        raise CertificateError(f"cannot read {path}: {error.strerror}; {user} needs it, readable for the user Yardmaster runs as") from None


def _trouble(error: ssl.SSLError, cert: Path, key: Path, locked: bool) -> str:
    if locked:
        return f"the key {key} is protected by a pass phrase, which nobody can type here; store it without one, with chmod 600"
    match error.reason or "":
        case "KEY_VALUES_MISMATCH" | "KEY_TYPE_MISMATCH" | "NO_CERTIFICATE_ASSIGNED":
            return f"the key {key} does not belong to the certificate {cert}; give the pair that was made together"
        case "EE_KEY_TOO_SMALL" | "CA_MD_TOO_WEAK" | "EE_MD_TOO_WEAK" | "CA_KEY_TOO_SMALL":
            return f"the certificate {cert} is too weak for today's TLS ({error.reason}); make one with RSA 2048 or P-256 and SHA-256"
        case reason:
            return f"{cert} or {key} is not what it should be ({reason or 'not PEM'}); both must be PEM files, the certificate first in its file"
