"""Names in a server's certificate: compared where both sides have one, as the standard's own have none."""

from __future__ import annotations

import ssl
from typing import Any

import pytest

from controller.io.signals.ieee2030_5_tls import check_names


def certificate(*names: tuple[str, str]) -> dict[str, Any]:
    """As the standard library gives it."""
    return {"subjectAltName": names}


@pytest.mark.parametrize(
    ("content", "host", "good"),
    [
        ({}, "utility.example", True),
        (certificate(("othername", "<unsupported>")), "utility.example", True),
        (certificate(("DNS", "utility.example")), "utility.example", True),
        (certificate(("DNS", "Utility.Example.")), "utility.example", True),
        (certificate(("DNS", "other.example")), "utility.example", False),
        (certificate(("DNS", "other.example"), ("DNS", "utility.example")), "utility.example", True),
        (certificate(("DNS", "*.example")), "utility.example", False),  # a star over a whole top level
        (certificate(("DNS", "*.utility.example")), "a.utility.example", True),
        (certificate(("DNS", "*.utility.example")), "a.b.utility.example", False),
        (certificate(("DNS", "*.utility.example")), "utility.example", False),
        (certificate(("DNS", "utility.example")), "10.0.0.1", True),  # dialled by an address: the chain alone counts
        (certificate(("IP Address", "10.0.0.1")), "10.0.0.1", True),
        (certificate(("IP Address", "10.0.0.2")), "10.0.0.1", False),
        (certificate(("IP Address", "FD00:0:0:0:0:0:0:1")), "fd00::1", True),
    ],
)
def test_names(content: dict[str, Any], host: str, good: bool) -> None:
    if good:
        check_names(content, host)
    else:
        with pytest.raises(ssl.SSLCertVerificationError):
            check_names(content, host)
