"""A change of state is told once, not its continuation (house rule 20)."""

from __future__ import annotations

from controller.orders import Order, Severity, Tell


class Changes:
    """The last text told of each topic."""

    def __init__(self) -> None:
        self._told: dict[str, str] = {}

    def tell(self, topic: str, severity: Severity, subject: str, text: str) -> list[Order]:
        """The message, unless it is what this topic said last."""
        if self._told.get(topic) == text:
            return []
        self._told[topic] = text
        return [Tell(severity, subject, text)]

    def over(self, topic: str) -> None:
        """The topic's state has ended: the same text is news again."""
        self._told.pop(topic, None)
