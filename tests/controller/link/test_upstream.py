"""When to dial, when to wait (F20, F23)."""

from controller.link.upstream import STEADY_S, State, UpstreamLink


def link() -> UpstreamLink:
    return UpstreamLink("CP1", 2.0, 60.0)


def test_dials_at_once_when_a_station_connects() -> None:
    up = link()
    assert not up.due(0.0)
    up.want()
    assert up.undecided
    assert up.due(0.0)
    generation = up.dial()
    assert up.undecided
    assert up.opened(generation, 1.0)
    assert up.is_open
    assert not up.undecided


def test_waits_longer_after_each_failure_and_never_more_than_the_longest() -> None:
    up = link()
    up.want()
    waits = []
    for _ in range(12):
        assert up.closed(up.dial(), 0.0, "refused")
        waits.append(up.wait_s())
    assert 1.0 <= waits[0] <= 3.0
    assert waits[3] > waits[0]
    assert all(wait <= 90.0 for wait in waits)


def test_a_csms_that_drops_at_once_keeps_being_spared() -> None:
    up = link()
    up.want()
    for _ in range(5):
        up.opened(up.dial(), 10.0)
        up.closed(up.generation, 11.0, "gone")
    assert up.failures == 5
    up.opened(up.dial(), 100.0)
    up.closed(up.generation, 100.0 + STEADY_S, "gone")
    assert up.failures == 1


def test_stale_events_change_nothing() -> None:
    up = link()
    up.want()
    old = up.dial()
    up.closed(old, 0.0, "timeout")
    new = up.dial()
    assert not up.opened(old, 1.0)
    assert up.opened(new, 1.0)
    assert not up.closed(old, 2.0, "late")
    assert up.state is State.OPEN


def test_stations_spread_their_waits() -> None:
    waits = set()
    for number in range(40):
        up = UpstreamLink(f"CP{number}", 2.0, 60.0)
        up.want()
        up.closed(up.dial(), 0.0, "refused")
        waits.add(round(up.wait_s(), 3))
    assert len(waits) > 30
