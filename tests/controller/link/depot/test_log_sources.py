"""Where a charger puts its log."""

from __future__ import annotations

import pytest

from controller.link.depot.log_sources import address_for

HTTP, HTTPS, FTP = "http://10.0.0.1:9010/box/s", "https://10.0.0.1:9011/box/s", "ftp://{sender}:s@10.0.0.1:2121/"


@pytest.mark.parametrize(
    ("urls", "protocols", "expected"),
    [
        ((HTTP,), "", f"{HTTP}/CP1"),
        ((HTTP, HTTPS, FTP), "", f"{HTTP}/CP1"),
        ((HTTP, HTTPS, FTP), "FTP,HTTP", f"{HTTP}/CP1"),
        ((HTTP, HTTPS, FTP), "FTP, HTTPS", f"{HTTPS}/CP1"),
        ((HTTP, FTP), "FTPS,FTP", "ftp://CP1:s@10.0.0.1:2121/"),
        ((HTTP, FTP), "ftp", "ftp://CP1:s@10.0.0.1:2121/"),
        ((HTTP,), "FTP", f"{HTTP}/CP1"),
        ((HTTP, FTP), "SFTP", f"{HTTP}/CP1"),
    ],
)
def test_by_what_it_knows(urls: tuple[str, ...], protocols: str, expected: str) -> None:
    assert address_for(urls, "CP1", protocols) == expected
