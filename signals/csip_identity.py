"""Who a device is in IEEE 2030.5: its certificate's fingerprint, in a long, a short and a spoken form; and the registration PIN.

IEEE 2030.5-2018, 6.3.2 to 6.3.5: the LFDI is the first 160 bits of the SHA-256 of the certificate (DER), the SFDI its first 36
bits as a number with one more digit, so that the digits' sum is a multiple of ten. The PIN's last digit is made in the same way.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import Final

LFDI_DIGITS: Final = 40
SFDI_BITS: Final = 36
_BEGIN, _END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"


class IdentityError(ValueError):
    """A certificate file holds no certificate. The text is one sentence for a person."""


def der_of_pem(text: str) -> bytes:
    """The first certificate in a PEM text: the device's own; those behind it are its issuers. Raises IdentityError."""
    _, begin, rest = text.partition(_BEGIN)
    inner, end, _ = rest.partition(_END)
    if not begin or not end:
        raise IdentityError("there is no certificate in it; it must be a PEM file that begins with our own certificate")
    try:
        return base64.b64decode("".join(inner.split()), validate=True)
    except binascii.Error:
        raise IdentityError("the certificate in it is damaged: it is not base64") from None


def lfdi(der: bytes) -> str:
    """Long-form device identifier: 40 hexadecimal digits, capital."""
    return hashlib.sha256(der).hexdigest()[:LFDI_DIGITS].upper()


def fingerprint(der: bytes) -> str:
    """How OpenADR 2.0b names a certificate (profile B 10.7): the last ten bytes of its SHA-256, in pairs."""
    digits = hashlib.sha256(der).hexdigest()[-20:].upper()
    return ":".join(digits[place : place + 2] for place in range(0, 20, 2))


def sfdi_of(long_form: str) -> int:
    """Short-form device identifier of an LFDI."""
    number = int(long_form[: SFDI_BITS // 4], 16)
    return number * 10 + check_digit(number)


def sfdi(der: bytes) -> int:
    """Short-form device identifier: up to 12 digits, the last one a check."""
    return sfdi_of(lfdi(der))


def spoken(short_form: int) -> str:
    """An SFDI as people write it: three digits at a time, e.g. 167-261-211-391."""
    text = f"{short_form:012d}"
    return "-".join(text[place : place + 3] for place in range(0, 12, 3))


def check_digit(number: int) -> int:
    """The digit that brings the sum of all to a multiple of ten."""
    return -sum(int(digit) for digit in str(number)) % 10


def good_pin(pin: int) -> bool:
    """Whether a PIN with its check digit can be one (2030.5 8.2.2.2): 0 to 999 999, digits' sum a multiple of ten."""
    return 0 <= pin <= 999_999 and check_digit(pin) == 0


def same_lfdi(one: str | None, other: str) -> bool:
    """Whether two LFDIs are the same, however they are written."""
    return one is not None and "".join(char for char in one if char.isalnum()).upper() == other


def share(*words: str) -> float:
    """A number in [0, 1) that is always the same for the same words: where one device lies in a random window."""
    digest = hashlib.sha256("\n".join(words).encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


def mrid(*words: str) -> str:
    """A stable 128-bit identifier for something of ours. Its last 32 bits, the maker's number, are 0: we have none."""
    return hashlib.sha256("\n".join(words).encode()).hexdigest()[:24].upper() + "00000000"
