"""Keys of our own, requests to sign them, and whether what came back can be used (A02). Knows cryptography, no files and no network.

Keys are ECDSA on P-256, which every TLS 1.2 peer of OCPP knows (A00.FR.318). A certificate is judged by what we can know: it holds our
key, it names us, it is in its time or will be, and the chain holds together. Whom the CSMS trusts is the CSMS's business.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

MOST_CERTIFICATES = 10
_NOT_USABLE = (ValueError, TypeError, InvalidSignature, x509.InvalidVersion)


class SigningError(Exception):
    """A key or certificate cannot be used. The text is one sentence for a person."""


class OtherKeyError(SigningError):
    """The certificate holds another key."""


@dataclass(frozen=True, slots=True)
class Valid:
    """The time of a certificate, Unix time."""

    starts_wall_s: float
    ends_wall_s: float


def new_key() -> bytes:
    """A private key, PEM (PKCS#8)."""
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def signing_request(key: bytes, common_name: str, organization: str = "") -> str:
    """A PKCS#10 request as PEM (A02.FR.02). Raises SigningError."""
    attributes = [x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, organization)] if organization else []
    try:
        subject = x509.Name([*attributes, x509.NameAttribute(x509.NameOID.COMMON_NAME, common_name)])
        built = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(_private(key), hashes.SHA256())
    except _NOT_USABLE as error:
        raise SigningError(f"no request can be made for {common_name}: {error}") from None
    return built.public_bytes(serialization.Encoding.PEM).decode("ascii")


def judge(chain: str, key: bytes, common_name: str, wall_s: float) -> Valid:
    """The time of a signed chain that fits a key and a name. wall_s: now, Unix time. Raises SigningError."""
    certificates = _read(chain)
    ours = certificates[0]
    if _public(ours) != _private(key).public_key().public_bytes(*_SPKI):
        raise OtherKeyError("the certificate is for another key than the one we asked for")
    names = [attribute.value for attribute in ours.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)]
    if names != [common_name]:
        raise SigningError(f"the certificate names {str(names[0])[:64] if names else 'nobody'}, and we asked for {common_name}")
    valid = Valid(ours.not_valid_before_utc.timestamp(), ours.not_valid_after_utc.timestamp())
    if wall_s >= valid.ends_wall_s:
        raise SigningError("the certificate has ended already")
    for lower, upper in pairwise(certificates):
        try:
            lower.verify_directly_issued_by(upper)
        except _NOT_USABLE:
            raise SigningError("the chain does not hold together: one certificate is not signed by the next") from None
    return valid


def _read(chain: str) -> list[x509.Certificate]:
    try:
        found = x509.load_pem_x509_certificates(chain.encode("ascii", "replace"))
    except _NOT_USABLE:
        raise SigningError("it holds no certificate that can be read; PEM is wanted") from None
    if len(found) > MOST_CERTIFICATES:
        raise SigningError(f"the chain holds more than {MOST_CERTIFICATES} certificates")
    return found


_SPKI = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def _public(certificate: x509.Certificate) -> bytes:
    try:
        return certificate.public_key().public_bytes(*_SPKI)
    except _NOT_USABLE:
        raise SigningError("the certificate holds a key of a kind that is not known here") from None


def _private(key: bytes) -> ec.EllipticCurvePrivateKey:
    try:
        found = serialization.load_pem_private_key(key, None)
    except _NOT_USABLE:
        raise SigningError("the key we asked with cannot be read any more") from None
    if not isinstance(found, ec.EllipticCurvePrivateKey):
        raise SigningError("the key we asked with is of another kind")
    return found
