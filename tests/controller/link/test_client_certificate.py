"""Which of our certificates is shown next (A02, A03, A05)."""

from __future__ import annotations

from controller.link.client_certificate import REFUSALS, ClientCertificate, Source


def test_the_new_one_first_then_the_one_before_then_the_new_one_again() -> None:
    one = ClientCertificate()
    shown = []
    given_up = False
    while not given_up:
        shown.append(one.choose(new=True, kept=True, configured=True, proven=True))
        given_up = one.refused() if shown[-1] is Source.NEW else one.opened()
    assert shown == [Source.NEW, Source.KEPT, Source.NEW, Source.KEPT, Source.NEW]
    assert shown.count(Source.NEW) == REFUSALS


def test_without_one_before_the_new_one_is_tried_on() -> None:
    one = ClientCertificate()
    for _ in range(2):
        assert one.choose(new=True, kept=False, configured=False, proven=False) is Source.NEW
        assert not one.refused()


def test_let_in_with_the_new_one_proves_it_and_with_another_does_not() -> None:
    one = ClientCertificate()
    assert one.choose(new=False, kept=True, configured=True, proven=True) is Source.KEPT
    assert not one.opened()
    assert one.choose(new=True, kept=True, configured=True, proven=True) is Source.NEW
    assert one.opened()
    assert one.choose(new=False, kept=True, configured=True, proven=True) is Source.KEPT


def test_refusals_of_the_one_before_say_nothing_about_the_new_one() -> None:
    one = ClientCertificate()
    for _ in range(10):
        assert one.choose(new=False, kept=False, configured=True, proven=True) is Source.CONFIGURED
        assert not one.refused()


def test_a05_none_is_shown_only_where_none_ever_was() -> None:
    one = ClientCertificate()
    assert one.choose(new=False, kept=False, configured=False, proven=False) is Source.NONE
    assert not one.shown
    assert one.choose(new=False, kept=False, configured=False, proven=True) is None


def test_a_new_one_after_a_refused_one_begins_anew() -> None:
    one = ClientCertificate()
    one.choose(new=True, kept=True, configured=False, proven=True)
    one.refused()
    one.renewed()
    assert one.choose(new=True, kept=True, configured=False, proven=True) is Source.NEW
