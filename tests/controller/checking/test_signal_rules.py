"""Sources of limits in a site file: what is refused, what is pointed out, and what is said in plain words."""

from __future__ import annotations

from typing import Any

import pytest

from controller.checking.report import report
from controller.checking.rules import Site, cross_problems
from controller.checking.signal_rules import signal_cautions, signal_problems, signal_words
from controller.config import Config
from tests.support.site_story import depot

MQTT = {"mqtt": {"host": "broker"}}
INVERTER = {"inverters": [{"id": "roof", "max_power_w": 10_000, "control": {"type": "mqtt", "command_topic": "x"}}]}


def site(*signals: dict[str, Any], **more: Any) -> Config:
    return depot(2, signals=[{"id": f"s{number}", "type": "api", "failsafe_w": 4200, **one} for number, one in enumerate(signals)], **more)


def contact(**more: Any) -> dict[str, Any]:
    return {"name": "W4", "pin": {"type": "file", "path": "/pin"}, "consumption_w": 4200, **more}


@pytest.mark.parametrize(
    ("signals", "more", "path", "says"),
    [
        (({"id": "a"}, {"id": "a"}), {}, ("signals", 1, "id"), "a is there twice"),
        (({"circuit": "hall9"},), {}, ("signals", 0, "circuit"), "hall9 is no circuit"),
        (({"type": "mqtt"},), {}, ("signals", 0, "type"), "no broker"),
        (({"type": "eebus"},), {}, ("signals", 0, "type"), "no broker"),
        (({"type": "mqtt", "topic": "a/+"},), MQTT, ("signals", 0, "topic"), "without + and #"),
        (({"type": "mqtt", "topic": "a"}, {"type": "eebus", "topic": "a"}), MQTT, ("signals", 1, "topic"), "topic of s0"),
        (({"type": "contacts", "contacts": [contact(), contact()]},), {}, ("signals", 0, "contacts", 1, "name"), "twice"),
        (
            ({"type": "contacts", "contacts": [contact(production_percent=30)]},),
            {},
            ("signals", 0, "contacts", 0, "production_percent"),
            "no inverters",
        ),
    ],
)
def test_what_cannot_work(signals: tuple[dict[str, Any], ...], more: dict[str, Any], path: tuple[Any, ...], says: str) -> None:
    found = [problem for problem in signal_problems(site(*signals, **more)) if problem.where == path]
    assert len(found) == 1
    assert says in found[0].message
    assert any(says in problem.message for problem in cross_problems(Site(site(*signals, **more))))


def test_a_good_entry_of_each_kind_is_refused_nothing() -> None:
    signals = ({"type": "mqtt"}, {"type": "eebus", "circuit": "hall0"}, {"type": "contacts", "contacts": [contact(production_percent=30)]})
    assert list(signal_problems(site(*signals, circuits=1, **MQTT, **INVERTER))) == []


@pytest.mark.parametrize(
    ("signal", "more", "says"),
    [
        ({"failsafe_w": None}, {}, "no failsafe_w"),
        ({"failsafe_w": 50_000}, {}, "holds nobody down"),
        ({"heartbeat_s": 0}, {}, "silence is not noticed"),
        ({"failsafe_production_w": 0}, {}, "nothing here can be held down"),
    ],
)
def test_what_wants_a_second_look(signal: dict[str, Any], more: dict[str, Any], says: str) -> None:
    assert [problem for problem in signal_cautions(site(signal, **more)) if says in problem.message]
    assert not list(signal_cautions(site({}, **more)))


def test_feed_in_that_can_be_held_down_is_fine() -> None:
    assert not list(signal_cautions(site({"failsafe_production_w": 0}, **INVERTER)))


def test_in_plain_words() -> None:
    config = site(
        {"id": "dso", "type": "eebus", "binds": "controllable", "failsafe_w": "section_14a", "failsafe_production_w": 0},
        {"id": "fleet", "failsafe_w": None, "operator": False, "circuit": "hall0"},
        {"id": "box", "type": "contacts", "contacts": [contact(active="open", missing="hold")]},
        circuits=1,
        **MQTT,
        **INVERTER,
    )
    text = "\n".join(signal_words(config))
    for words in (
        "dso, over an EEBUS bridge (LPC, LPP): may limit the consumption of chargers and the battery's charging below grid",
        "silent for 120 s: 7.56 kW consumption and 0 kW feed-in",
        "fleet, over the HTTP API: may limit the consumption of circuit hall0",
        "It has no failsafe",
        "box W4, when open: consumption 4.2 kW. If it cannot be read: as it was last.",
        "section 14a EnWG for 2 controllable devices is 7.56 kW",
        "the lowest counts",
        "recorded for 3 years",
    ):
        assert words in text
    assert "Who may hold the site down" in report(config)
    assert "Who may hold the site down" not in report(depot(1))
