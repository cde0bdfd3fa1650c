"""Messages a CSMS dies of: each waits a little longer the next time, and is forgotten when it has been answered."""

from __future__ import annotations

from controller.link.suspects import KEPT, MOST_SUSPECT_S, SUSPECT_S, Suspects
from controller.ocpp.hub import Message

EVENT = Message("TransactionEvent", {"seqNo": 1})


def test_once_may_be_chance_and_each_time_after_that_it_waits_longer() -> None:
    suspects = Suspects()
    waits = []
    for _ in range(20):
        suspects.died_of(EVENT)
        waits.append(suspects.waits_s(EVENT))
    assert waits[:4] == [0.0, SUSPECT_S, 2 * SUSPECT_S, 3 * SUSPECT_S]
    assert waits[-1] == MOST_SUSPECT_S, "it never loses its turn for good"


def test_told_late_it_is_the_same_message_and_an_answer_clears_it() -> None:
    suspects = Suspects()
    suspects.died_of(EVENT)
    suspects.died_of(Message("TransactionEvent", {"seqNo": 1, "offline": True}))
    assert suspects.waits_s(EVENT) == SUSPECT_S
    assert suspects.waits_s(Message("TransactionEvent", {"seqNo": 2})) == 0.0
    suspects.answered(EVENT)
    assert suspects.waits_s(EVENT) == 0.0


def test_what_begins_every_connection_is_never_suspected_and_few_are_remembered() -> None:
    suspects = Suspects()
    boot = Message("BootNotification", {"reason": "PowerUp"})
    for _ in range(5):
        suspects.died_of(boot)
    assert suspects.waits_s(boot) == 0.0
    for number in range(KEPT + 1):
        for _ in range(2):
            suspects.died_of(Message("TransactionEvent", {"seqNo": number}))
    assert suspects.waits_s(Message("TransactionEvent", {"seqNo": 0})) == 0.0
    assert suspects.waits_s(Message("TransactionEvent", {"seqNo": KEPT})) == SUSPECT_S
