"""LFDI, SFDI, PIN. The example of IEEE 2030.5-2018 6.3.4: a certificate's fingerprint 3E4F-45AB-31ED-FE5B-67E3-43E5-E456-2E31-984E-23E5-...
makes the SFDI 167-261-211-391 (3E4F45AB3 hexadecimal is 16726121139, its digits' sum 39, so the check digit is 1)."""

from __future__ import annotations

import hashlib

import pytest

from signals.csip_identity import IdentityError, check_digit, der_of_pem, good_pin, lfdi, mrid, same_lfdi, sfdi, sfdi_of, share, spoken

EXAMPLE = "3E4F45AB31EDFE5B67E343E5E4562E31984E23E5"


def test_the_standards_example_of_an_sfdi() -> None:
    assert sfdi_of(EXAMPLE) == 167261211391
    assert spoken(167261211391) == "167-261-211-391"


def test_an_sfdi_with_leading_zeros_is_spoken_with_twelve_digits() -> None:
    # 000000001 hexadecimal is 1, the digit that makes ten is 9: 19
    assert sfdi_of("000000001" + "F" * 31) == 19
    assert spoken(19) == "000-000-000-019"


def test_the_lfdi_is_the_beginning_of_the_certificates_hash() -> None:
    der = b"any certificate"
    assert lfdi(der) == hashlib.sha256(der).hexdigest()[:40].upper()
    assert sfdi(der) == sfdi_of(lfdi(der))


@pytest.mark.parametrize(("number", "digit"), [(0, 0), (12345, 5), (11111, 5), (19, 0), (99999, 5)])
def test_check_digits(number: int, digit: int) -> None:
    assert check_digit(number) == digit


@pytest.mark.parametrize(("pin", "good"), [(123455, True), (111115, True), (123456, False), (0, True), (1000009, False), (-5, False)])
def test_pins(pin: int, good: bool) -> None:
    assert good_pin(pin) is good


def test_the_first_certificate_of_a_file_counts() -> None:
    text = "junk\n-----BEGIN CERTIFICATE-----\nAQID\nBA==\n-----END CERTIFICATE-----\n-----BEGIN CERTIFICATE-----\nBQ==\n-----END CERTIFICATE-----\n"
    assert der_of_pem(text) == b"\x01\x02\x03\x04"


@pytest.mark.parametrize("text", ["", "-----BEGIN CERTIFICATE-----\nAQID", "-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----"])
def test_a_file_without_a_certificate_is_told(text: str) -> None:
    with pytest.raises(IdentityError):
        der_of_pem(text)


@pytest.mark.parametrize("text", [EXAMPLE, EXAMPLE.lower(), "-".join(EXAMPLE[i : i + 4] for i in range(0, 40, 4)), f" {EXAMPLE}\n"])
def test_an_lfdi_is_the_same_however_it_is_written(text: str) -> None:
    assert same_lfdi(text, EXAMPLE)


def test_another_lfdi_is_not_ours() -> None:
    assert not same_lfdi(None, EXAMPLE)
    assert not same_lfdi(EXAMPLE[:-1] + "4", EXAMPLE)
    assert not same_lfdi(EXAMPLE[:36], EXAMPLE)


def test_shares_are_stable_and_spread() -> None:
    drawn = [share(EXAMPLE, str(number)) for number in range(200)]
    assert drawn == [share(EXAMPLE, str(number)) for number in range(200)]
    assert all(0 <= one < 1 for one in drawn)
    assert min(drawn) < 0.05
    assert max(drawn) > 0.95


def test_mrids_have_128_bits_and_no_makers_number() -> None:
    assert len(mrid("a", "b")) == 32
    assert mrid("a", "b").endswith("00000000")
    assert mrid("a", "b") != mrid("ab", "")
