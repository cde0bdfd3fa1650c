"""Sentences about limits, soft rules, forecasts and plans, word by word."""

from __future__ import annotations

import dataclasses
from datetime import timedelta

import pytest

from controller.facts import Stamp
from controller.site.plans.explained import Day, Explained
from controller.site.plans.explained_words import Telling, broken_rules, hours, limit_sentence, money, name_of, span_words, view
from controller.site.plans.worth import Sum
from optimizer.problem import PlanStatus, Slack, SlackKind
from tests.support.explained_story import TODAY, filled, plan, told
from tests.support.picture import NOW_WALL_S, site_config


def test_the_sentence_of_the_week() -> None:
    week = Sum(45_000.0, 1.3, 41.3, 12.1)
    words = "Circuit hall-b held cars back for 12.5 h in the last 7 days; that cost about 41 EUR. 10 A more there would have saved about 12 EUR."
    assert limit_sentence("hall-b", week, "EUR", "in the last 7 days") == words


@pytest.mark.parametrize(
    ("where", "week", "words"),
    [
        ("limit (dso)", Sum(1500.0), "The limit (dso) held cars back for 25 min today; that cost next to nothing."),
        ("grid", Sum(30.0), "The grid connection held no car back today."),
        ("grid", Sum(1500.0), "The grid connection held cars back for 25 min today; that cost next to nothing."),
        ("peak", Sum(7200.0, 3.0), "The demand charge held cars back for 2.0 h today: charging moved to spare the highest quarter hour."),
        (
            "import",
            Sum(7200.0, 1.0, 4.0, 1.5),
            "The import limit held cars back for 2.0 h today; that cost about 4.00 EUR. 10 kW more there would have saved about 1.50 EUR.",
        ),
        (
            "h",
            Sum(7200.0, short_s=7200.0, short_wh=4600.0),
            "Circuit h held cars back for 2.0 h today. All that time not all cars could be served in time; "
            "10 A more would have brought about 4.6 kWh.",
        ),
    ],
)
def test_other_sentences(where: str, week: Sum, words: str) -> None:
    assert limit_sentence(where, week, "EUR", "today") == words


def test_names_spans_and_numbers() -> None:
    assert name_of("station CP1") == "The CSMS's limit of station CP1"
    assert span_words(TODAY, TODAY) == "today"
    assert span_words(TODAY - timedelta(days=2), TODAY) == "in the last 3 days"
    assert span_words(TODAY - timedelta(days=20), TODAY) == "in the last 7 days"
    assert (hours(60.0), hours(3599.0), money(9.5, "EUR"), money(1234.5, "EUR")) == ("1 min", "1.0 h", "9.50 EUR", "1,234 EUR")


def test_every_soft_rule_has_words() -> None:
    for kind in SlackKind:
        sentences = list(broken_rules(plan(slacks=(Slack(kind, "somebody", None, 3.0, "kW", 1.0, 3.0),))))
        assert len(sentences) == 1
        assert "3.0 kW" in sentences[0]
        assert "{" not in sentences[0]


def test_broken_rules_leave_out_crumbs_and_cars_that_may_not_come() -> None:
    assert told().broken == ("As planned, beta/2 would leave with 1.2 kWh less than it needs.",)


def test_the_whole_picture() -> None:
    seen = told()
    assert [one.where for one in seen.limits] == ["hall", "grid", "peak"]
    hall = seen.limits[0]
    # Five working days among Fri 26 Dec .. Thu 1 Jan: 9000 s each and 900 s more per day back (0, 1, 2, 3, 6).
    assert hall.week.bound_s == pytest.approx(5 * 9000.0 + 900.0 * (0 + 1 + 2 + 3 + 6))
    assert hall.week.cost == pytest.approx(5 * 8.2)
    assert hall.month.bound_s == pytest.approx(sum(hall.day_bound_s))
    assert hall.phases == ("L1", "L2")
    assert len(seen.days) == len(hall.day_bound_s) == 14
    assert seen.days[-1] == "2026-01-01"
    assert seen.sentences[0] == hall.sentence
    assert [one.came for one in seen.forecast] == [14] * 7
    assert "98 cars came and took 1218 kWh; plans had kept room for 1120 kWh" in " ".join(seen.sentences)
    assert seen.solver == type(seen.solver)(1300, 1299, 1240, 1, pytest.approx(0.012), 0.34, "proved", "hot")


def test_a_site_that_knows_nothing_says_so() -> None:
    seen = view(Explained(site_config()), None, TODAY, NOW_WALL_S, "EUR")
    assert seen.sentences == ("No limit held a car back today.", "No plan was made today yet.")
    assert seen.limits == seen.forecast == seen.broken == ()
    assert (seen.solver.plans, seen.solver.status) == (0, "")


def test_many_limits_are_summed_up() -> None:
    explained = Explained(site_config())
    explained.days[TODAY] = Day({f"hall{number}": Sum(3600.0, 0.1, float(number)) for number in range(1, 8)})
    seen = view(explained, plan(status=PlanStatus.RULES), TODAY, NOW_WALL_S, "EUR")
    assert seen.sentences[0].startswith("Circuit hall7 ")
    assert seen.sentences[3] == "4 more limits held cars back, see the table."


def test_the_picture_stays_small_however_much_is_wrong() -> None:
    explained = Explained(site_config())
    explained.days[TODAY] = Day({f"hall{number}": Sum(3600.0, 0.1, float(number)) for number in range(300)})
    slacks = tuple(Slack(SlackKind.SHORTFALL, f"car{number}", None, 2.0, "kWh", 1.0, 2.0) for number in range(300))
    seen = view(explained, plan(slacks=slacks), TODAY, NOW_WALL_S, "EUR")
    assert (len(seen.limits), len(seen.broken)) == (20, 20)
    assert "297 more limits held cars back, see the table." in seen.sentences
    assert "297 more soft rules cannot be kept as planned." in seen.sentences
    assert len(seen.sentences) == 9


def test_it_is_told_anew_once_a_minute_or_with_a_new_plan() -> None:
    telling, explained = Telling("EUR"), filled()
    now = Stamp(0.0, NOW_WALL_S)
    first = telling.look(explained, plan(), now)
    assert telling.look(explained, plan(), dataclasses.replace(now, wall_s=NOW_WALL_S + 30.0)) is first
    assert telling.look(explained, plan(), dataclasses.replace(now, wall_s=NOW_WALL_S + 61.0)) is not first
    second = telling.look(explained, plan(created_wall_s=NOW_WALL_S + 5.0), dataclasses.replace(now, wall_s=NOW_WALL_S + 62.0))
    assert second.now_wall_s == NOW_WALL_S + 62.0
