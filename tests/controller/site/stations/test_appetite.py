"""What a car takes when it may take more: learned slowly, doubted now and then, forgotten at once."""

from __future__ import annotations

from controller.site.stations.appetite import DOUBT_S, HEADROOM_A, HUNGRY, LEARN_AFTER_S, OFFER_AGAIN_S, Appetite, fed


def after(start: Appetite, begun: float, seconds: float, drawn_a: float, offer_a: float = 32.0, every_s: float = 10.0) -> Appetite:
    """The same draw for a while."""
    now = begun
    while now <= begun + seconds:
        start = fed(start, drawn_a, offer_a, now)
        now += every_s
    return start


def test_a_maximum_is_learned_from_a_longer_time_at_a_clearly_higher_offer() -> None:
    assert after(HUNGRY, 0.0, LEARN_AFTER_S - 10, 16.0).cap_a(100.0) is None
    assert after(HUNGRY, 0.0, LEARN_AFTER_S, 16.0).cap_a(LEARN_AFTER_S) == 16.0 + HEADROOM_A


def test_the_highest_draw_of_the_time_counts() -> None:
    mixed = after(after(HUNGRY, 0.0, 50.0, 20.0), 60.0, 100.0, 10.0)
    assert mixed.cap_a(160.0) == 20.0 + HEADROOM_A


def test_an_offer_in_use_teaches_nothing() -> None:
    assert after(HUNGRY, 0.0, 1000.0, 31.0) is HUNGRY
    assert after(HUNGRY, 0.0, 1000.0, 8.0, offer_a=8.0) is HUNGRY


def test_a_paused_or_idle_car_teaches_nothing() -> None:
    assert after(HUNGRY, 0.0, 1000.0, 0.0, offer_a=0.0) is HUNGRY
    assert after(HUNGRY, 0.0, 1000.0, 0.3).cap_a(1000.0) is None


def test_a_car_that_uses_its_headroom_gets_all_back_at_once() -> None:
    known = after(HUNGRY, 0.0, LEARN_AFTER_S, 16.0)
    assert fed(known, 17.5, 19.0, 130.0) is HUNGRY
    assert fed(known, 16.8, 19.0, 130.0).cap_a(130.0) == 19.0, "a little more is noise"


def test_a_lower_offer_in_use_does_not_disprove_the_maximum() -> None:
    known = after(HUNGRY, 0.0, LEARN_AFTER_S, 16.0)
    held = after(known, 130.0, 100.0, 8.0, offer_a=8.0)
    assert held.cap_a(230.0) == 19.0


def test_a_car_that_tapers_further_is_learned_anew() -> None:
    known = after(HUNGRY, 0.0, LEARN_AFTER_S, 16.0)
    lower = after(known, 130.0, 2 * LEARN_AFTER_S, 9.0, offer_a=19.0)
    assert lower.cap_a(400.0) == 9.0 + HEADROOM_A


def test_the_full_offer_comes_back_now_and_then_for_a_while() -> None:
    known = after(HUNGRY, 0.0, LEARN_AFTER_S, 16.0)
    doubted_s = LEARN_AFTER_S + OFFER_AGAIN_S
    assert known.cap_a(doubted_s - 1) == 19.0
    assert known.cap_a(doubted_s) is None
    still = after(known, LEARN_AFTER_S + 10, OFFER_AGAIN_S + DOUBT_S - 20, 16.0)
    assert still.cap_a(doubted_s + DOUBT_S - 10) is None
    again = after(still, doubted_s + DOUBT_S, LEARN_AFTER_S, 16.0)
    assert again.cap_a(doubted_s + DOUBT_S + LEARN_AFTER_S) == 19.0
    woken = fed(still, 30.0, 32.0, doubted_s + 20.0)
    assert woken is HUNGRY
