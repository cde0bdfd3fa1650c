"""What must not be seen in logs, taps and recordings: passwords, keys, and the users in addresses (A01.FR.09/12)."""

from __future__ import annotations

import re
from typing import Any, Final

HIDDEN: Final = "***"

SECRET_NAME: Final = re.compile(r"password|passphrase|secret|privatekey|authorizationkey|presharedkey|simpin|apikey")
"""Searched in the lower-case name of a variable or key: its value is a secret."""

_URL_USER: Final = re.compile(r"(?<=://)(?:[^/?#\s]*:\S*|[^/?#\s]+)(?=@)")
_URL_QUERY: Final = re.compile(r"(?<=\?)\S+")


def without_user(value: Any) -> Any:
    """Any JSON value with its addresses bare: they may carry name and password (ftp://name:password@host) or a signed query."""
    if isinstance(value, str):
        return _URL_QUERY.sub(HIDDEN, _URL_USER.sub(HIDDEN, value)) if "://" in value else value
    if isinstance(value, list):
        return [without_user(item) for item in value]
    if isinstance(value, dict):
        return {key: without_user(item) for key, item in value.items()}
    return value
