"""The report as its reader gets it: parsed, its numbers compared with the data, and fed with everything odd."""

from __future__ import annotations

import math
import re
import time
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from controller.sim.backtest.outcome import Backtest, LimitCost, PolicyOutcome
from controller.sim.backtest.report import page, sentences, write_report
from controller.sim.backtest.report_money import reached
from controller.sim.backtest.report_words import energy, money, percent, power
from tests.support.garage_month import month, outcome, visits

VOID = {"meta", "link", "br", "img"}
HOSTILE = '<script>alert(1)</script>"\'&<b onload=x>\u202e\x00\u2603'


class Page(HTMLParser):
    """A strict reader: tags must be balanced; keeps texts of cells, ids and everything that could ask the network."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.tables: list[list[list[str]]] = []
        self.captions: list[str] = []
        self.text: list[str] = []
        self._into: list[str] | None = None
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag in VOID:
            return
        self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")
        elif tag == "caption":
            self.captions.append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" in self.open:
            return
        self.text.append(data)
        if "caption" in self.open:
            self.captions[-1] += data
        elif "td" in self.open or "th" in self.open:
            self.tables[-1][-1][-1] += data

    def table(self, caption: str) -> list[list[str]]:
        """The rows of the first table with this begin of its caption, without its head."""
        return self.tables[next(index for index, words in enumerate(self.captions) if words.startswith(caption))][1:]

    @property
    def words(self) -> str:
        return " ".join("".join(self.text).split())


@pytest.fixture(scope="module")
def backtest() -> Backtest:
    return month()


@pytest.fixture(scope="module")
def read(backtest: Backtest) -> Page:
    return Page(page(backtest))


def of(backtest: Backtest, name: str) -> PolicyOutcome:
    found = backtest.policy(name)
    assert found is not None
    return found


def test_it_is_whole_and_names_its_month(read: Page) -> None:
    assert "Garage Nord: charging in March 2019" in read.words
    titles = ["Compared with other", "What each part", "How hard", "The days", "Day by day", "What the cars got", "The circuits", "What to know"]
    assert all(title in read.words for title in titles)
    assert "".join(tag for tag, _ in read.tags).count("section") == 8


def test_the_first_sentences_tell_the_saving(backtest: Backtest, read: Page) -> None:
    free, ours, best = of(backtest, "uncontrolled"), of(backtest, "ours"), of(backtest, "bound")
    saved = money(free.ev_cost - ours.ev_cost, "EUR").replace("\xa0", " ")
    part = percent(100.0 * (free.ev_cost - ours.ev_cost) / (free.ev_cost - best.ev_cost)).replace("\xa0", " ")
    assert f"that is {saved} (" in read.words.replace("\xa0", " ")
    assert f"reached {part} of that" in read.words.replace("\xa0", " ")
    assert 3 <= len(sentences(backtest)) <= 4


def test_the_comparison_has_every_policy_with_its_numbers(backtest: Backtest, read: Page) -> None:
    rows = read.table("All policies")
    assert len(rows) == len(backtest.policies) == 8
    for row, one in zip(rows, backtest.policies, strict=True):
        assert row[1] == money(one.ev_cost, "EUR")
        assert row[5:7] == [percent(one.delivered_percent), power(one.peak_w)]
    free = of(backtest, "uncontrolled")
    assert rows[5][3].startswith(money(free.ev_cost - of(backtest, "ours").ev_cost, "EUR"))
    assert rows[0][7] == "10.5\xa0hhall-b"
    assert free.over_limit_s["hall-b"] == 10.5 * 3600.0


def test_the_stairs_of_the_bill_lead_from_one_cost_to_the_other(backtest: Backtest, read: Page) -> None:
    rows = read.table("From Uncontrolled to Yardmaster:")
    values = [float(re.sub(r"[^\d.\-]", "", row[2].replace("\u2212", "-"))) for row in rows]
    assert values[0] + sum(values[1:-1]) == pytest.approx(values[-1], abs=2.0)  # rounded to whole euros
    assert rows[0][2] == money(of(backtest, "uncontrolled").cost, "EUR")
    assert rows[-1][2] == money(of(backtest, "ours").cost, "EUR")


def test_energy_by_price_is_all_the_energy(backtest: Backtest, read: Page) -> None:
    rows = read.table("When the cars charged")
    assert [row[0] for row in rows] == ["0.19", "0.27", "0.41"]
    total = sum(float(row[1].split("\xa0")[0].replace(",", "")) for row in rows)
    assert total * 1000.0 == pytest.approx(of(backtest, "ours").delivered_wh, abs=1500.0)


def test_limits_and_notes_are_told(backtest: Backtest, read: Page) -> None:
    assert read.table("What the limits cost")[0] == ["hall-b", "41.30\xa0EUR", "10\xa0A more would have saved 12.10\xa0EUR"]
    assert read.table("What the limits cost")[2][1:] == ["not reckoned", "not reckoned"]
    assert backtest.notes[0] in read.words
    told = Page(page(replace(backtest, drivers="truth", notes=("lower case",))))
    assert "Every policy knew how much each car could take" in told.words
    assert "Lower case" in told.words


def test_service_counts_all_cars(backtest: Backtest, read: Page) -> None:
    for row in read.table("Cars by what they got"):
        assert sum(int(cell) for cell in row[2:7]) == len(of(backtest, "ours").sessions)
    reasons = read.table("Why ")
    assert sum(int(row[1]) for row in reasons) == int(next(words for words in read.captions if words.startswith("Why ")).split()[1])
    assert len(read.table("Who was short")) == 15


def test_it_asks_nobody_and_runs_nothing(read: Page) -> None:
    assert not {tag for tag, _ in read.tags} & {"script", "iframe", "img", "object", "embed", "form", "base", "video", "audio"}
    links = [value for _, attributes in read.tags for name, value in attributes.items() if name in ("href", "src", "xlink:href", "srcset", "action")]
    assert all(link.startswith(("#", "data:,")) for link in links)
    assert not any(name.startswith("on") for _, attributes in read.tags for name in attributes)


def test_every_picture_has_words_and_every_link_a_place(read: Page) -> None:
    pictures = [attributes for _, attributes in read.tags if attributes.get("role") == "img"]
    assert len(pictures) >= 11
    assert all(len(attributes["aria-label"]) > 20 for attributes in pictures)
    svgs = [attributes for tag, attributes in read.tags if tag == "svg"]
    assert all(attributes.get("aria-hidden") == "true" for attributes in svgs)
    ids = [attributes["id"] for _, attributes in read.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {attributes["href"][1:] for tag, attributes in read.tags if tag == "a"} <= set(ids)
    heads = [attributes for tag, attributes in read.tags if tag == "th"]
    assert all(attributes.get("scope") in ("row", "col") for attributes in heads)


def test_no_shape_leaves_its_picture_and_no_number_is_broken(backtest: Backtest) -> None:
    html = page(backtest)
    assert "nan" not in html.lower().replace("finance", "")
    assert "inf," not in html
    for way in re.findall(r' d="M([^"]+)"', html):
        for x, y in re.findall(r"(-?[\d.]+),(-?[\d.]+)", way):
            assert 0.0 <= float(x) <= 1000.0
            assert 0.0 <= float(y) <= 400.0


@pytest.mark.parametrize(
    ("limit", "cost", "more"),
    [
        (
            LimitCost("h", "A", 5.0, 10.0, 2.0, 30.0, 8.0),
            "5.00 EUR and kept 30.0 kWh from cars",
            "10 A more would have saved 2.00 EUR and delivered 8.0 kWh more",
        ),
        (LimitCost("h", "A", -1.0, 10.0, -3.0, 0.0, 8.0), "\u22121.00 EUR", "10 A more would have delivered 8.0 kWh more for 3.00 EUR"),
        (LimitCost("h", "A", -1.0, 10.0, 0.0, 30.0), "kept 30.0 kWh from cars and saved their 1.00 EUR", "10 A more would have saved nothing"),
        (LimitCost("h", "A", 0.0, 2.5, 0.0), "0.00 EUR", "2.5 A more would have saved nothing"),
    ],
)
def test_a_limit_may_cost_money_energy_or_both(backtest: Backtest, limit: LimitCost, cost: str, more: str) -> None:
    read = Page(page(only(replace(backtest, policies=(replace(of(backtest, "ours"), limits=(limit,)),)), "ours")))
    assert [cell.replace("\xa0", " ") for cell in read.table("What the limits cost")[0]] == ["h", cost, more]


# -- odd months ----------------------------------------------------------------------------------------------------


def only(backtest: Backtest, *names: str, **changes: object) -> Backtest:
    return replace(backtest, policies=tuple(one for one in backtest.policies if one.policy in names), **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("names", [(), ("ours",), ("uncontrolled",), ("bound",), ("edf", "llf"), ("ours-v2g", "uncontrolled"), ("ours", "bound")])
def test_any_choice_of_policies_makes_a_page(backtest: Backtest, names: tuple[str, ...]) -> None:
    read = Page(page(only(backtest, *names)))
    assert "Garage Nord" in read.words
    if names:
        assert len(read.table("All policies")) == len(names)


def test_a_month_without_cars() -> None:
    empty = month(3, 0)
    read = Page(page(empty))
    assert "No car came from 1 March to 3 March 2019; there was nothing to steer." in read.words
    assert "No car came in this time." in read.words


def test_no_time_at_all() -> None:
    nothing = PolicyOutcome("ours", 0.0, 0.0, 0.0, 0.0, 0.0, (), ())
    read = Page(page(Backtest("x", 0.0, 0.0, "UTC", "EUR", "quick", (nothing, replace(nothing, policy="uncontrolled")), {})))
    assert "Only forecast, optimiser and rounding ran" in read.words


def test_nothing_costs_anything(backtest: Backtest) -> None:
    free = [replace(one, energy_cost=0.0, demand_cost=0.0, wear_cost=0.0, base_cost=0.0) for one in backtest.policies]
    gratis = [replace(one, curve=tuple(replace(quarter, buy_per_kwh=0.0, sell_per_kwh=0.0) for quarter in one.curve)) for one in free]
    made = replace(backtest, policies=tuple(gratis))
    read = Page(page(made))
    assert "that is 0.00 EUR less" in read.words.replace("\xa0", " ")
    assert reached(made, made.policies[0]) is None
    assert "\u2212" not in read.table("All policies")[5][3]


def test_negative_prices_and_a_cost_above_uncontrolled(backtest: Backtest) -> None:
    curve = tuple(replace(one, buy_per_kwh=one.buy_per_kwh - 0.3 + one.wall_s % 7200 / 1e5) for one in of(backtest, "ours").curve)
    worse = replace(of(backtest, "ours"), energy_cost=of(backtest, "uncontrolled").energy_cost + 900.0, curve=curve)
    read = Page(page(replace(backtest, policies=(of(backtest, "uncontrolled"), worse))))
    assert " more; " in read.words
    assert "\u2212" in read.table("All policies")[1][3]
    assert read.table("When the cars charged")[0][0].startswith("\u2212")


def test_v2g_charging_below_zero_and_infinite_numbers_do_not_break_it(backtest: Backtest) -> None:
    ours = of(backtest, "ours")
    odd = tuple(replace(one, ev_w=-one.ev_w, battery_w=5e4 * math.sin(one.wall_s)) for one in ours.curve)
    stays = tuple(replace(stay, delivered_wh=-500.0) for stay in ours.sessions[:5]) + ours.sessions[5:]
    made = replace(ours, curve=odd, sessions=stays, worst={"hall-a": math.inf}, peak_w=math.inf, limits=(LimitCost("import", "kW", -3.0, 0.5, -0.1),))
    read = Page(page(replace(backtest, policies=(made,))))
    assert "\u2013\xa0kW" in read.table("All policies")[0]


def test_hostile_names_stay_text(backtest: Backtest) -> None:
    costs = (LimitCost(HOSTILE, HOSTILE, 1.0, 10.0, 2.0),)
    one = replace(of(backtest, "ours"), policy=HOSTILE, over_limit_s={HOSTILE: 60.0}, notes=(HOSTILE,), limits=costs)
    loads = tuple(replace(quarter, loads={HOSTILE: 1.0}) for quarter in one.curve)
    stays = tuple(replace(stay, id=HOSTILE, evse=HOSTILE) for stay in one.sessions)
    named = replace(backtest, site=HOSTILE, timezone=HOSTILE, currency=HOSTILE, fidelity=HOSTILE, notes=(HOSTILE,), circuits_a={HOSTILE: 10.0})
    read = Page(page(replace(named, policies=(replace(one, curve=loads, sessions=stays),))))
    assert "script" not in {tag for tag, _ in read.tags}
    assert not any(name.startswith("on") for _, attributes in read.tags for name in attributes)
    assert "<script>alert(1)</script>" in read.words
    assert "\u202e" not in "".join(read.text)


def test_a_month_of_eight_policies_is_quick_and_light(backtest: Backtest, tmp_path: Path) -> None:
    begun_s = time.process_time()
    path = write_report(backtest, tmp_path / "report.html")
    spent_s = time.process_time() - begun_s
    assert path.stat().st_size < 3_000_000
    assert spent_s < 10.0  # about 0.1 s; a quadratic mistake would take minutes


def test_a_year_is_told_in_weeks_and_stays_light() -> None:
    quarters = 365 * 96
    policies = (outcome("ours", visits(365, 6), quarters, "cheap"),)
    short = month(3, 2)
    year = replace(short, policies=policies, end_wall_s=short.start_wall_s + quarters * 900.0)
    html = page(year)
    read = Page(html)
    assert len(html) < 3_000_000
    assert "Energy into cars per week" in read.words
    assert energy(policies[0].delivered_wh) in " ".join(read.text)
