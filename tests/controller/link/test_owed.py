"""What the CSMS missed: the boot first, then one status per connector, the newest."""

from controller.facts import Stamp
from controller.link.owed import BOOT_RETRY_S, BOOT_SPACE, LONGEST_INTERVAL_S, STATUSES_KEPT, Owed
from controller.orders import Persist


def test_the_newest_status_of_each_connector_is_owed() -> None:
    owed = Owed("CP1")
    owed.status((1, 1), {"n": 1})
    owed.status((2, 1), {"n": 2})
    owed.status((1, 1), {"n": 3})
    first = owed.next_status()
    assert first is not None
    assert first.payload == {"n": 2}
    owed.told(first)
    second = owed.next_status()
    assert second is not None
    assert second.payload == {"n": 3}
    owed.status((1, 1), {"n": 4})
    owed.told(second)
    assert len(owed) == 1, "a newer one came while the older was told"
    owed.status_settled((1, 1))
    assert owed.next_status() is None


def test_invented_connectors_are_bounded() -> None:
    owed = Owed("CP1")
    for number in range(10 * STATUSES_KEPT):
        owed.status((number, 1), {})
    assert len(owed) == STATUSES_KEPT


def test_a_boot_is_due_at_once_and_again_after_a_while() -> None:
    owed = Owed("CP1")
    assert not owed.boot_due(Stamp(0.0, 0.0))
    (order,) = owed.set_boot({})
    assert isinstance(order, Persist)
    assert order.remember == {(BOOT_SPACE, "CP1"): {}}
    assert owed.set_boot({}) == []
    assert owed.boot_due(Stamp(0.0, 0.0))
    owed.boot_later(Stamp(0.0, 0.0))
    assert not owed.boot_due(Stamp(BOOT_RETRY_S - 1.0, 0.0))
    assert owed.boot_due(Stamp(BOOT_RETRY_S, 0.0))
    owed.boot_later(Stamp(50.0, 0.0))
    owed.boot_now()
    assert owed.boot_due(Stamp(50.0, 0.0))


def test_the_csms_names_when_it_wants_to_hear_a_boot_again() -> None:  # F32, B02
    owed = Owed("CP1")
    owed.set_boot({})
    owed.boot_later(Stamp(0.0, 0.0), 900)
    owed.boot_now()
    assert not owed.boot_due(Stamp(899.0, 0.0)), "a new connection does not shorten it"
    assert owed.boot_due(Stamp(900.0, 0.0))
    for none in (0, -5, True, "900", None, LONGEST_INTERVAL_S + 1):
        owed.boot_later(Stamp(0.0, 0.0), none)
        assert owed.boot_due(Stamp(BOOT_RETRY_S, 0.0)), none
    owed.boot_later(Stamp(0.0, 0.0), 900)
    owed.set_boot({"reason": "PowerUp"})
    owed.boot_now()
    assert owed.boot_due(Stamp(1.0, 0.0)), "the station has booted again"
