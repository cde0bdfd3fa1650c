"""The event log: numbered, bounded, not a parrot."""

from controller.events import KEPT, EventLog
from controller.orders import Severity, Tell


def tell(text: str, subject: str = "CP1") -> Tell:
    return Tell(Severity.INFO, subject, text, 5.0)


def test_entries_are_numbered_without_gaps_and_bounded() -> None:
    log = EventLog()
    for number in range(KEPT + 10):
        assert log.add(tell(f"event {number}"), float(number))
    numbers = [entry.number for entry in log.entries()]
    assert numbers == list(range(11, KEPT + 11))


def test_the_same_words_about_the_same_thing_are_said_once_a_minute() -> None:
    log = EventLog()
    assert log.add(tell("silent"), 0.0)
    assert not log.add(tell("silent"), 59.0)
    assert log.add(tell("silent", "CP2"), 59.0)
    assert log.add(tell("silent"), 60.0)
