"""Relay contacts: polarity, debounce, missing inputs, FNN and ripple levels, SG-Ready. Time is virtual."""

from __future__ import annotations

from typing import Any

import pytest

from controller.config_signals import ContactsSignal
from controller.site.grid.contacts import Contacts, Level
from tests.support.site_story import depot


def contacts(*each: dict[str, Any], inverters_w: float = 10_000.0, **more: Any) -> Contacts:
    named = [{"name": f"K{number}", "pin": {"type": "file", "path": "/pin"}, **one} for number, one in enumerate(each)]
    config = depot(
        2,
        inverters=[{"id": "roof", "max_power_w": inverters_w, "control": {"type": "mqtt", "command_topic": "x"}}],
        signals=[{"id": "box", "type": "contacts", "contacts": named, **more}],
    )
    entry = config.signals[0]
    assert isinstance(entry, ContactsSignal)
    return Contacts(config, entry)


def held(made: Contacts, *closed: bool | None, now: float = 100.0) -> Level:
    """The level after these positions have lasted."""
    made.read(closed, now)
    made.read(closed, now + 30.0)
    level = made.look(now + 30.0)
    assert level is not None
    return level


FNN = (
    {"production_percent": 0},
    {"production_percent": 30},
    {"production_percent": 60},
    {"consumption_w": "section_14a"},
)


@pytest.mark.parametrize(
    ("closed", "production_w", "consumption_w"),
    [
        ((False, False, False, False), None, None),
        ((False, False, True, False), 6000.0, None),
        ((False, True, True, False), 3000.0, None),
        ((True, True, True, False), 0.0, None),
        ((True, False, False, True), 0.0, 4200.0 + 0.8 * 4200.0),
        ((False, False, False, True), None, 7560.0),
    ],
)
def test_fnn_box_and_ripple_receiver_the_lowest_wins(closed: tuple[bool, ...], production_w: float | None, consumption_w: float | None) -> None:
    level = held(contacts(*FNN), *closed)
    assert (level.production_w, level.consumption_w) == (production_w, pytest.approx(consumption_w) if consumption_w is not None else None)


def test_polarity_a_contact_that_restricts_when_open() -> None:
    made = contacts({"consumption_w": 4200, "active": "open"})
    assert held(made, True).consumption_w is None
    assert held(made, False, now=200.0).consumption_w == 4200.0


def test_debounce_a_position_counts_when_it_has_lasted() -> None:
    made = contacts({"consumption_w": 4200}, debounce_s=0.5)
    made.read((False,), 0.0)
    assert made.look(0.4) is None  # nothing is known before the first position has lasted
    made.read((False,), 0.5)
    assert made.look(0.5) == Level(None, None)
    made.read((True,), 1.0)
    made.read((False,), 1.3)  # it bounced
    made.read((True,), 1.4)
    level = made.look(1.8)
    assert level is not None
    assert level.consumption_w is None
    made.read((True,), 1.9)
    level = made.look(1.9)
    assert level is not None
    assert level.consumption_w == 4200.0


@pytest.mark.parametrize(
    ("missing", "before", "consumption_w"),
    [("restrict", False, 4200.0), ("hold", True, 4200.0), ("hold", False, None), ("ignore", True, None), ("hold", None, 4200.0)],
)
def test_a_contact_that_cannot_be_read(missing: str, before: bool | None, consumption_w: float | None) -> None:
    made = contacts({"consumption_w": 4200, "missing": missing})
    if before is not None:
        held(made, before, now=0.0)
    made.read((None,), 100.0)
    if before is not None:
        level = made.look(101.0)  # one poll that fails is nothing yet
        assert level is not None
        assert (level.consumption_w, level.trouble) == (4200.0 if before else None, "")
    made.read((None,), 102.0)
    level = made.look(102.0)
    assert level is not None
    assert level.consumption_w == consumption_w
    assert "K0 cannot be read" in level.trouble


def test_a_module_that_says_nothing_at_all_is_missing() -> None:
    made = contacts({"consumption_w": 4200}, poll_s=0.5)
    held(made, False, now=0.0)
    level = made.look(35.0)
    assert level is not None
    assert level.consumption_w == 4200.0


def test_a_reading_of_the_wrong_length_is_none() -> None:
    made = contacts({"consumption_w": 4200})
    assert not made.read((True, True), 0.0)
    assert not made.read((), 1.0)


# -- SG-Ready -------------------------------------------------------------------------------------------------------


def sg() -> Contacts:
    return contacts({"consumption_w": 1500}, {}, profile="sg_ready", debounce_s=0.0)


def look(made: Contacts, first: bool, second: bool, now: float) -> Level:
    made.read((first, second), now)
    level = made.look(now)
    assert level is not None
    return level


def test_the_four_states() -> None:
    for first, second, word, limit_w in (
        (True, False, "locked", 1500.0),
        (False, False, "normal", None),
        (False, True, "recommended", None),
        (True, True, "forced", None),
    ):
        level = look(sg(), first, second, 100.0)
        assert (level.label, level.consumption_w) == (word, limit_w)


def test_a_state_lasts_a_minute_but_the_lock_holds_at_once() -> None:
    made = sg()
    assert look(made, False, True, 0.0).label == "recommended"
    assert look(made, False, False, 59.0).label == "recommended"
    assert look(made, True, False, 59.5).label == "locked"
    assert look(made, False, False, 100.0).label == "locked"
    assert look(made, False, False, 119.5).label == "normal"


def test_a_lock_ends_after_two_hours() -> None:
    made = sg()
    assert look(made, True, False, 0.0).label == "locked"
    assert look(made, True, False, 7199.0).label == "locked"
    level = look(made, True, False, 7200.0)
    assert (level.label, level.consumption_w) == ("normal", None)
    assert "two hours" in level.trouble
    look(made, False, False, 7300.0)
    assert look(made, True, False, 7400.0).label == "locked"
