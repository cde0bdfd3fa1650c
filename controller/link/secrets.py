"""Salted hashes of stations' passwords: how they are written, and whether a header holds the right one.

    scrypt$16384$8$1$<salt>$<hash>        cost n, block size r, parallelism p; base64url without padding

A password that is written as hex digits is taken as the bytes they stand for: a 1.6 station is given
its AuthorizationKey as hex and sends the bytes, other boxes send the digits themselves, in either case
(OCPP-NOTES 2.1, 16.3). So what is written down is the hash of the bytes, and what a header holds is
tried as it is and as digits. Parameters are bounded when they are read: a hash in a file must not cost a gigabyte.

Pure: whoever makes a hash brings the salt. A check with the usual parameters takes some 50 ms of
processor time and 16 MiB, so it has no place in the event loop. Passwords never appear in an error.

Serves A01.FR.08 (the server keeps salted hashes only) and A00.FR.205.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass, field

COST = 2**14
"""For passwords that people may have chosen: 16 MiB, 50 ms on a 2020 desktop core, 150 ms on a Raspberry Pi 4."""
QUICK_COST = 2**12
"""For passwords a CSMS has drawn at random (at least 16 characters), made where nothing may wait: 12 ms."""
BLOCK, PARALLEL = 8, 1
SALT_BYTES, HASH_BYTES = 16, 32
MAX_PASSWORD_BYTES = 512
_MIN_COST, _MAX_BLOCK, _MAX_PARALLEL = 2**10, 16, 4
_MAX_AREA = 2**19  # cost x block size: 64 MiB
_MAX_MEMORY_BYTES = 96 * 1024 * 1024
_HEX = frozenset(b"0123456789abcdefABCDEF")


class SecretError(ValueError):
    """A password or hash cannot be used. The text is one sentence for a person, without the secret."""


@dataclass(frozen=True, slots=True)
class _Hash:
    """A hash taken apart."""

    cost: int
    block: int
    parallel: int
    salt: bytes = field(repr=False)
    digest: bytes = field(repr=False)


def salted_hash(password: str | bytes, salt: bytes, cost: int = COST) -> str:
    """The hash of a password to write down. salt: SALT_BYTES fresh random bytes. Raises SecretError for no password at all."""
    raw = password.encode("utf-8", "surrogatepass") if isinstance(password, str) else password
    if not raw:
        raise SecretError("a password must not be empty")
    if len(raw) > MAX_PASSWORD_BYTES:
        raise SecretError(f"a password must not be longer than {MAX_PASSWORD_BYTES} bytes")
    digest = _scrypt(spelled_out(raw), _Hash(cost, BLOCK, PARALLEL, salt, b""))
    return "$".join(("scrypt", str(cost), str(BLOCK), str(PARALLEL), _text(salt), _text(digest)))


def check_hash(stored: str) -> None:
    """Raises SecretError if ``stored`` is not a hash of ours."""
    _parse(stored)


def matches(sent: bytes, stored: str) -> bool:
    """Whether the password in a header is the one of this hash. Slow. Raises SecretError if ``stored`` is none."""
    wanted = _parse(stored)
    return any(hmac.compare_digest(_scrypt(form, wanted), wanted.digest) for form in _forms(sent))


def same_password(sent: bytes, text: str) -> bool:
    """Whether the password in a header is this one, which is known in clear. Fast, in constant time."""
    wanted = spelled_out(text.encode("utf-8", "surrogatepass"))
    return any(hmac.compare_digest(form, wanted) for form in _forms(sent))


def spelled_out(password: bytes) -> bytes:
    """The bytes that hex digits stand for; anything else as it is."""
    if password and len(password) % 2 == 0 and all(digit in _HEX for digit in password):
        return bytes.fromhex(password.decode("ascii"))
    return password


def _forms(sent: bytes) -> tuple[bytes, ...]:
    """As sent, which may be the bytes of a key that themselves look like digits, and as digits. Too long: nobody's password."""
    return tuple(dict.fromkeys((sent, spelled_out(sent)))) if len(sent) <= MAX_PASSWORD_BYTES else (b"",)


def _scrypt(password: bytes, how: _Hash) -> bytes:
    return hashlib.scrypt(password, salt=how.salt, n=how.cost, r=how.block, p=how.parallel, maxmem=_MAX_MEMORY_BYTES, dklen=HASH_BYTES)


def _parse(stored: str) -> _Hash:
    parts = stored.strip().split("$")
    if len(parts) != 6 or parts[0] != "scrypt" or len(stored) > 256:
        raise SecretError("the hash is not of the form scrypt$n$r$p$salt$hash; make one with `yardmaster hash-password`")
    try:
        cost, block, parallel = (int(part) for part in parts[1:4] if part.isdecimal() and part.isascii())
        found = _Hash(cost, block, parallel, _bytes(parts[4]), _bytes(parts[5]))
    except (ValueError, binascii.Error):
        raise SecretError("the hash is damaged; make a new one with `yardmaster hash-password`") from None
    if not _bearable(cost, block, parallel) or not 8 <= len(found.salt) <= 64 or len(found.digest) != HASH_BYTES:
        raise SecretError("the hash has parameters that are not allowed; make a new one with `yardmaster hash-password`")
    return found


def _bearable(cost: int, block: int, parallel: int) -> bool:
    """Whether the parameters are neither worthless nor an attack on this machine."""
    power_of_two = cost & (cost - 1) == 0
    return power_of_two and cost >= _MIN_COST and 1 <= block <= _MAX_BLOCK and cost * block <= _MAX_AREA and 1 <= parallel <= _MAX_PARALLEL


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode("ascii").rstrip("=")


def _bytes(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
