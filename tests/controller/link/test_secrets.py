"""Salted hashes of passwords: all spellings match, damaged or costly hashes are refused, nothing is told."""

from __future__ import annotations

import base64
import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.link.secrets import COST, QUICK_COST, SecretError, check_hash, matches, salted_hash, same_password, spelled_out
from tests.support.examples import examples

SALT = bytes(range(16))
HEX_KEY = "00ff7a1e" * 5
CHEAP = 2**10


def test_the_form_is_readable_and_can_be_checked_with_any_scrypt() -> None:
    stored = salted_hash("open:sesame:0123456", SALT)
    name, cost, block, parallel, salt, digest = stored.split("$")
    assert (name, int(cost), block, parallel) == ("scrypt", COST, "8", "1")
    raw = base64.urlsafe_b64decode(salt + "==")
    assert raw == SALT
    assert base64.urlsafe_b64decode(digest + "=") == hashlib.scrypt(b"open:sesame:0123456", salt=raw, n=COST, r=8, p=1, dklen=32)


def test_the_same_password_never_hashes_twice_to_the_same() -> None:
    assert salted_hash("0123456789abcdefg", SALT, CHEAP) != salted_hash("0123456789abcdefg", SALT[::-1], CHEAP)


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ("open:sesame:0123456", b"open:sesame:0123456"),
        ("pässword-0123456", "pässword-0123456".encode()),
        (HEX_KEY, HEX_KEY.encode()),
        (HEX_KEY, HEX_KEY.upper().encode()),
        (HEX_KEY.upper(), HEX_KEY.encode()),
        (HEX_KEY, bytes.fromhex(HEX_KEY)),
        (HEX_KEY.upper(), bytes.fromhex(HEX_KEY)),
        # A key whose bytes are digits themselves: the CSMS has spelled out a text password.
        (b"0123456789abcdef".hex(), b"0123456789abcdef"),
        (b"0123456789abcdef".hex(), b"0123456789abcdef".hex().encode()),
        ("12345678901234567890", b"12345678901234567890"),
    ],
)
def test_b31_a_password_matches_as_text_and_as_the_bytes_of_its_digits(written: str, sent: bytes) -> None:
    assert matches(sent, salted_hash(written, SALT, CHEAP))
    assert same_password(sent, written)


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ("open:sesame:0123456", b"open:sesame:012345"),
        ("open:sesame:0123456", b"open:sesame:01234567"),
        ("open:sesame:0123456", b""),
        (HEX_KEY, bytes.fromhex(HEX_KEY)[:-1]),
        (HEX_KEY, HEX_KEY.encode()[:-1]),
        ("pässword-0123456", "pässword-0123456".encode("latin-1")),
        ("x" * 512, b"x" * 513),
        ("open:sesame:0123456", b"x" * 1_000_000),
    ],
)
def test_b31_anything_else_does_not(written: str, sent: bytes) -> None:
    assert not matches(sent, salted_hash(written, SALT, CHEAP))
    assert not same_password(sent, written)


@pytest.mark.parametrize("password", ["", b"", "x" * 513, b"\0" * 513])
def test_what_cannot_be_a_password_is_refused(password: str | bytes) -> None:
    with pytest.raises(SecretError) as refused:
        salted_hash(password, SALT)
    assert "xx" not in str(refused.value)


GOOD = salted_hash("0123456789abcdefg", SALT, QUICK_COST)
PARTS = GOOD.split("$")


@pytest.mark.parametrize(
    "stored",
    [
        "",
        "0123456789abcdefg",
        GOOD[:-3],
        GOOD + "$",
        GOOD.replace("scrypt", "argon2"),
        "$".join([*PARTS[:4], "!!!!", PARTS[5]]),
        "$".join([*PARTS[:4], PARTS[4], PARTS[5] + "AAAA"]),
        "$".join([*PARTS[:4], "AAAA", PARTS[5]]),
        "$".join(["scrypt", "4095", *PARTS[2:]]),
        "$".join(["scrypt", "512", *PARTS[2:]]),
        "$".join(["scrypt", str(2**17), *PARTS[2:]]),
        "$".join(["scrypt", str(2**62), *PARTS[2:]]),
        "$".join(["scrypt", str(2**16), "16", *PARTS[3:]]),
        "$".join(["scrypt", "4096", "8", "99", *PARTS[4:]]),
        "$".join(["scrypt", "4096", "0", *PARTS[3:]]),
        "$".join(["scrypt", "-4096", *PARTS[2:]]),
        "$".join(["scrypt", "four", *PARTS[2:]]),
        "$".join(["scrypt", "9" * 300, *PARTS[2:]]),
    ],
)
def test_a_hash_that_is_none_or_would_cost_too_much_is_refused_without_telling_it(stored: str) -> None:
    for use in (lambda: check_hash(stored), lambda: matches(b"0123456789abcdefg", stored)):
        with pytest.raises(SecretError) as refused:
            use()
        assert "hash-password" in str(refused.value)
        assert not stored or stored not in str(refused.value)


def test_the_costliest_that_is_allowed_can_be_checked() -> None:
    assert not matches(b"x", "$".join(["scrypt", str(2**16), "8", "1", PARTS[4], PARTS[5]]))
    check_hash(GOOD + "\n")


@given(st.binary(max_size=200))
def test_spelled_out_is_idempotent_on_what_is_not_hex(raw: bytes) -> None:
    once = spelled_out(raw)
    assert once == raw or once.hex() == raw.decode().lower()


@settings(max_examples=examples(20), deadline=None)
@given(st.text(min_size=1, max_size=40))
def test_every_text_matches_itself(text: str) -> None:
    raw = text.encode("utf-8", "surrogatepass")
    assert same_password(raw, text)
    assert matches(raw, salted_hash(text, SALT, CHEAP))
    assert text not in salted_hash(text, SALT, CHEAP) or len(text) < 4


@given(st.text(max_size=120))
def test_any_text_is_a_hash_or_the_one_documented_error(text: str) -> None:
    try:
        check_hash(text)
    except SecretError:
        return
    assert text.strip().startswith("scrypt$")
