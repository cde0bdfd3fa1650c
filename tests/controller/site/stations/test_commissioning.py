"""A commissioning test is one more layer that only narrows, ends by itself, and leaves the actuator's books alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.facts import Deed, EvseKey, FeaturesLearned, FloorConfirmed, Probe, SetpointAnswered, Stamp, StationOffline, StationOnline, TrialAsked
from controller.orders import ClearSetpoint, HoldOffStation, Inject, InstallFloor, ReadBack, Wake
from controller.site.sharing.arbiter import Claim, Pace, Row, decide
from controller.site.sharing.budget import SiteState
from controller.site.stations.commissioning import MAX_HOLD_OFF_S
from controller.site.stations.narrowing import OTHERS
from controller.site.stations.trace import MAX_ENTRIES
from tests.support.examples import examples
from tests.support.site_story import Story, depot

ONE, TWO = EvseKey("CP1", 1), EvseKey("CP2", 1)


def story(**parts: Any) -> Story:
    """Two cars charging behind 63 A with 20 A of building."""
    told = Story(depot(2, **parts))
    told.start()
    told.plug(ONE)
    told.plug(TWO)
    told.run(60)
    return told


def ask(told: Story, limit_a: float | None, for_s: float = 20.0, **more: Any) -> list[Any]:
    return told.do(TrialAsked(told.at(), more.pop("evse", ONE), limit_a, for_s, more.pop("session", "me"), **more))


def view(told: Story, after: int = 0) -> dict[str, Any]:
    return told.site.commissioning.view(told.at(), told.site.grants, after)


def kinds(told: Story) -> list[str]:
    return [entry["kind"] for entry in view(told)["entries"]]


def keep_asking(told: Story, limit_a: float, seconds: int) -> None:
    for _ in range(seconds):
        ask(told, limit_a)
        told.step()


def test_it_holds_the_evse_and_nobody_else_rises() -> None:
    told = story()
    other_a = told.limits_a[TWO]
    keep_asking(told, 8.0, 15)
    assert told.limits_a[ONE] == 8.0
    assert told.limits_a[TWO] <= other_a
    assert told.site.grants[TWO].reason == OTHERS
    assert view(told)["trial"]["granted_a"] == 8.0


def test_it_never_gets_more_than_the_fuse_leaves() -> None:
    """The building takes 10 A of 40 A; both cars together must fit into the rest at every moment, as granted and as drawn."""
    told = story(fuse_a=40.0)
    for _ in range(30):
        ask(told, 32.0)
        told.step()
        assert sum(told.site.grants[key].limit_a for key in (ONE, TWO)) <= 30.0
        assert max(told.metered_a(10.0)) <= 40.0
    assert told.limits_a[ONE] > told.limits_a[TWO]


def test_it_never_gets_more_than_a_limit_from_outside() -> None:
    told = story()
    told.limit(26.0)
    keep_asking(told, 32.0, 30)
    assert told.limits_a[ONE] + told.limits_a[TWO] <= 26.0 - 10.0
    assert max(told.metered_a(10.0)) <= 26.0


def test_it_ends_by_itself_when_nobody_asks_any_more() -> None:
    told = story()
    keep_asking(told, 6.0, 10)
    told.run(25)
    assert view(told)["trial"] is None
    told.run(60)
    assert told.limits_a[ONE] > 6.0


def test_it_ends_at_once_when_asked() -> None:
    told = story()
    ask(told, 6.0)
    ask(told, None, for_s=0.0)
    assert view(told)["trial"] is None


def test_one_person_at_a_time() -> None:
    told = story()
    ask(told, 6.0)
    assert ask(told, 16.0, session="another") == []
    assert view(told)["trial"]["limit_a"] == 6.0
    told.run(25)
    ask(told, 16.0, session="another")
    assert view(told)["trial"]["session"] == "another"


def test_a_slow_box_is_not_punished_while_it_is_tested_unless_a_fuse_is_over() -> None:
    told = story()
    told.stubborn.add(ONE)
    keep_asking(told, 6.0, 80)
    assert told.site.escalation.disobeying == frozenset()
    assert told.site.commissioning.spares(ONE, True, told.now) is False


def test_an_unknown_evse_changes_nothing() -> None:
    told = story()
    assert ask(told, 6.0, evse=EvseKey("CP9", 1)) == []
    assert view(told)["trial"] is None


# -- deeds and probes ----------------------------------------------------------------------------------


def test_a_probe_never_exceeds_the_setpoint_in_force() -> None:
    told = story()
    keep_asking(told, 10.0, 10)
    orders = [order for order in ask(told, 10.0, probe=Probe(16.0, 30.0, "tx_default", "W")) if isinstance(order, Inject)]
    assert [(order.limit_a, order.strategy.purpose, order.strategy.unit) for order in orders] == [(10.0, "tx_default", "W")]
    assert orders[0].number < 0


def test_the_answer_to_a_probe_never_reaches_the_actuator() -> None:
    told = story()
    keep_asking(told, 10.0, 10)
    before = replace_books(told)
    told.do(SetpointAnswered(told.at(), ONE, -1, False, "Rejected"))
    told.do(FloorConfirmed(told.at(), ONE, 32.0, False, "", -2))
    assert replace_books(told) == before
    assert kinds(told)[-2:] == ["answered", "read_back"]


def replace_books(told: Story) -> tuple[Any, ...]:
    channel = told.site.actuator.channels[ONE]
    return channel.rejections, channel.uncontrollable, channel.confirmed, channel.accepted


@pytest.mark.parametrize(
    ("deed", "kind"),
    [
        (Deed.WAKE_STATUS, Wake),
        (Deed.WAKE_AVAILABILITY, Wake),
        (Deed.READ_BACK, ReadBack),
        (Deed.CLEAR, ClearSetpoint),
        (Deed.HOLD_OFF, HoldOffStation),
    ],
)
def test_deeds(deed: Deed, kind: type) -> None:
    told = story()
    orders = [order for order in ask(told, 10.0, deed=deed, hold_s=1e9) if isinstance(order, kind)]
    assert len(orders) == 1
    if isinstance(orders[0], HoldOffStation):
        assert orders[0].for_s == MAX_HOLD_OFF_S


def test_nothing_is_cleared_where_the_floor_lies_higher() -> None:
    told = story(evse={"fallback_a": 16})
    keep_asking(told, 8.0, 15)
    assert told.limits_a[ONE] == 8.0
    assert not any(isinstance(order, ClearSetpoint) for order in ask(told, 8.0, deed=Deed.CLEAR))


def test_a_rebooted_station_is_asked_before_its_floor_is_written() -> None:
    told = story()
    ask(told, None, deed=Deed.LOOK_FIRST)
    told.do(StationOffline(told.at(), "CP1"))
    told.run(3)
    told.site.handle(StationOnline(told.at(), "CP1", "2.0.1"))
    told.site.handle(FloorConfirmed(told.at(), ONE, None, False, "station disconnected", -9))
    told.site.handle(StationOffline(told.at(), "CP1"))  # some boot twice
    orders = told.site.handle(StationOnline(told.at(), "CP1", "2.0.1"))
    asked = [order for order in orders if isinstance(order, ReadBack)]
    assert [order.evse for order in asked] == [ONE]
    assert not any(isinstance(order, InstallFloor) for order in orders)
    orders = told.site.handle(FloorConfirmed(told.at(), ONE, 6.0, True, "", asked[0].number))
    assert [order.evse for order in orders if isinstance(order, InstallFloor)] == [ONE]


def test_a_station_that_does_not_say_gets_its_floor_all_the_same() -> None:
    told = story()
    ask(told, None, deed=Deed.LOOK_FIRST)
    told.do(StationOffline(told.at(), "CP1"))
    told.unconfirmed.add(ONE)
    told.do(StationOnline(told.at(), "CP1", "2.0.1"))
    told.orders.clear()
    told.run(15)
    assert any(isinstance(order, InstallFloor) and order.evse == ONE for _, order in told.orders)


# -- the trace --------------------------------------------------------------------------------------------


def test_nothing_is_kept_while_nobody_tests() -> None:
    told = story()
    assert kinds(told) == []
    ask(told, 6.0)
    told.run(10)
    assert {"asked", "meter", "station", "sent", "answered"} <= set(kinds(told))
    told.run(200)
    last = view(told)["last"]
    told.run(20)
    assert view(told)["last"] == last


def test_the_trace_is_handed_out_in_parts_and_bounded() -> None:
    told = story()
    ask(told, 6.0)
    first = view(told)["last"]
    told.run(5)
    assert min(entry["number"] for entry in view(told, first)["entries"]) == first + 1
    for _ in range(MAX_ENTRIES + 10):
        told.site.commissioning.trace.note(told.at(), "meter", name="grid")
    assert len(view(told)["entries"]) == MAX_ENTRIES


def test_what_a_station_says_it_can_do_is_kept() -> None:
    told = story()
    fact = FeaturesLearned(told.at(), "CP1", units=("A",))
    told.do(fact)
    assert view(told)["features"]["CP1"]["units"] == ("A",)
    assert replace(fact, units=("A",)) == fact


# -- laws ---------------------------------------------------------------------------------------------------

AMPS = st.floats(0.0, 64.0)
KEYS = [EvseKey(f"CP{number}", 1) for number in range(1, 6)]
CLAIMS = st.lists(st.tuples(AMPS, AMPS, AMPS, st.sampled_from([6.0, 8.0])), min_size=1, max_size=5)


@settings(max_examples=examples(150), deadline=None)
@given(CLAIMS, AMPS, st.integers(0, 4))
def test_a_test_only_narrows_and_the_arbiter_keeps_its_rows(numbers: list[tuple[float, float, float, float]], limit_a: float, who: int) -> None:
    """No cap rises, nobody else gets more than it has, and no row is loaded beyond what it was loaded without a test."""
    claims = tuple(
        Claim(KEYS[place], (0,), least_a, cap_a, "cap", cap_a, min(present_a, cap_a), min(max(present_a, ceiling_a), cap_a))
        for place, (cap_a, present_a, ceiling_a, least_a) in enumerate(numbers)
    )
    site = Story(depot(5)).site.commissioning
    at = Stamp(1000.0, 2000.0)
    tested = KEYS[who % len(claims)]
    site.handle(TrialAsked(at, tested, limit_a, 20.0, "me"))
    rows = (Row(40.0, "fuse"),)
    narrowed = site.narrow(SiteState(at, rows, claims, {})).claims
    for before, after in zip(claims, narrowed, strict=True):
        assert after.cap_a <= before.cap_a
        assert after.ceiling_a == before.ceiling_a
        assert after.rows == before.rows
        if before.key != tested:
            assert after.cap_a <= max(before.present_a, before.min_a)
    grants = decide(rows, narrowed, Pace(4.0, 1.0))
    rises = [max(0.0, grant.limit_a - max(claim.ceiling_a, claim.present_a)) for grant, claim in zip(grants, narrowed, strict=True)]
    held = sum(max(claim.ceiling_a, min(grant.limit_a, claim.present_a)) for grant, claim in zip(grants, narrowed, strict=True))
    assert not sum(rises) > 1e-9 or held + sum(rises) <= 40.0 + 1e-6
    assert sum(grant.limit_a for grant in grants) <= max(40.0, 0.0) + 1e-6
