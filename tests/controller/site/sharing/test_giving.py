"""How much is given back when rows are full, and how calmly it changes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from controller.facts import EvseKey
from controller.site.sharing.claims import Claim, Give, Row
from controller.site.sharing.giving import GAP_S, give_back

GIVE = Give(10.0, 1.0, (0,), 690.0, "plan")


def given_a(give: Give, room_a: float) -> float | None:
    """Per phase [A]; None = nothing."""
    claim = Claim(EvseKey("CP1", 1), (), 6.0, 0.0, "plan", 0.0, 0.0, 0.0, give=give)
    found = give_back([Row(room_a, "export limit")], [claim], [0.0])
    return found[0] / 690.0 if found else None


@pytest.mark.parametrize(
    ("now_a", "changed_s", "wanted_a", "room_a", "expected_a"),
    [
        (0.0, 99.0, 10.0, 30.0, 10.0),  # begins with all it may
        (0.0, 99.0, 10.0, 4.7, 4.7),
        (4.7, 1.0, 10.0, 4.3, 4.0),  # a full row takes whole amperes...
        (4.0, 1.0, 10.0, 4.9, 4.0),  # ... and gives back only clear steps
        (4.0, 99.0, 10.0, 4.9, 4.0),
        (4.0, 1.0, 10.0, 6.0, 4.0),  # ... after a while
        (4.0, 99.0, 10.0, 6.0, 6.0),
        (4.0, 99.0, 10.0, 30.0, 10.0),
        (9.8, 99.0, 10.0, 30.0, 10.0),  # what is wanted is what is meant, however little it differs
        (10.0, 1.0, 7.3, 30.0, 7.3),
        (7.3, GAP_S - 1, 7.9, 30.0, 7.3),
        (4.0, 1.0, 10.0, 0.9, None),  # less than the car's least is nothing
        (4.0, 1.0, 10.0, 1.9, 1.0),
    ],
)
def test_less_at_once_more_with_care(now_a: float, changed_s: float, wanted_a: float, room_a: float, expected_a: float | None) -> None:
    found = given_a(replace(GIVE, wanted_a=wanted_a, now_a=now_a, changed_s=changed_s), room_a)
    assert found == (pytest.approx(expected_a) if expected_a is not None else None)


def test_what_a_whole_ampere_would_leave_of_nearly_nothing_is_given_exactly() -> None:
    assert given_a(replace(GIVE, least_a=1.5, now_a=4.0, changed_s=1.0), 1.8) == pytest.approx(1.8)
