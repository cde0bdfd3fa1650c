"""Addresses lose their users, names of secrets are known."""

import pytest

from controller.ocpp.hiding import SECRET_NAME, without_user


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("ftp://user:geheim@host/dir", "ftp://***@host/dir"),
        ("ftp://user@host/dir", "ftp://***@host/dir"),
        ("sftp://user:p@ss:w/ord@host", "sftp://***@host"),
        ("https://host/put?sig=geheim&x=1", "https://host/put?***"),
        ("https://host/dir", "https://host/dir"),
        ("user:geheim@host", "user:geheim@host"),  # no address
    ],
)
def test_addresses(text: str, shown: str) -> None:
    assert without_user(text) == shown


def test_addresses_anywhere_in_a_value() -> None:
    assert without_user({"a": ["ftp://u:p@h", 5, None], "b": {"c": "ftp://u:p@h"}}) == {"a": ["ftp://***@h", 5, None], "b": {"c": "ftp://***@h"}}


def test_names_of_secrets() -> None:
    assert all(SECRET_NAME.search(name) for name in ("basicauthpassword", "authorizationkey", "vpnpresharedkey", "privatekey"))
    assert not any(SECRET_NAME.search(name) for name in ("heartbeatinterval", "keycount", "connectionurl"))
