"""What a payload may look like in a version: the OCA's JSON schemas, given to the pure parts as data.

The files ship in PyPI ``ocpp``; a shell reads them (``io.schemas``) and hands the reader in, so that this part does no I/O. Two jobs:
``check`` judges everything we originate or translate before it leaves; ``fit`` takes out what a version does not know.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Payload = dict[str, Any]
Schema = dict[str, Any]
ReadSchema = Callable[[str, str, bool], "Schema | None"]
"""(subprotocol, action, is it an answer) -> its schema; None: this version has no such message."""


class Shapes:
    """The schemas of all versions, read when first needed."""

    def __init__(self, read: ReadSchema) -> None:
        self._read = read

    def knows(self, version: str, action: str) -> bool:
        """Whether a version has an action."""
        return self._read(version, action, False) is not None

    def check(self, version: str, action: str, answer: bool, payload: Payload) -> str:
        """What is wrong with a payload, in one line; "" = it is valid."""
        raise NotImplementedError

    def fit(self, version: str, action: str, answer: bool, payload: Payload) -> Payload:
        """The payload as that version can say it: unknown properties and enum values of optional properties left out, texts cut to
        their length, lists to their bounds, numbers to their kind. Never raises; what is required and cannot be said stays,
        for ``check`` to refuse."""
        raise NotImplementedError
