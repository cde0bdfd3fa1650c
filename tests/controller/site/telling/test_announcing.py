"""What the operator's CSMS is told of the site's own limits: on change only, and when they are gone."""

from __future__ import annotations

from controller.facts import EvseKey, LimitStep, UpstreamWished
from controller.orders import AnnounceLimit
from controller.site.sharing.arbiter import Grant
from controller.site.telling.announcing import Announcer
from tests.support.site_story import WALL_S, Story, depot

CP1 = EvseKey("CP1", 1)


def look(announcer: Announcer, told: Story, limit_a: float, source: str, **more: float) -> list[AnnounceLimit]:
    orders = announcer.look([Grant(CP1, limit_a, "fuse L1", source=source, **more)], told.site.evses, told.at().wall_s)  # type: ignore[arg-type]
    assert all(isinstance(order, AnnounceLimit) for order in orders)
    return [order for order in orders if isinstance(order, AnnounceLimit)]


def site(wish_a: float | None = None) -> Story:
    told = Story(depot(1))
    told.start()
    told.plug(CP1)
    if wish_a is not None:
        told.do(UpstreamWished(told.at(), CP1, (LimitStep(WALL_S, wish_a),), "upstream profile 7"))
    return told


def test_a_limit_is_told_on_change_and_once_when_it_is_gone() -> None:
    announcer, told = Announcer(), site()
    assert look(announcer, told, 16.0, "EMS") == [AnnounceLimit(CP1, 16.0, "EMS", "fuse L1")]
    assert look(announcer, told, 16.02, "EMS") == []
    assert [order.limit_a for order in look(announcer, told, 12.0, "EMS")] == [12.0]
    assert [order.limit_a for order in look(announcer, told, 32.0, "")] == [None]
    assert look(announcer, told, 32.0, "") == []


def test_the_grids_limit_is_critical_and_has_its_end() -> None:
    order = look(Announcer(), site(), 8.0, "SO", ends_wall_s=99.0)[0]
    assert (order.source, order.critical, order.until_wall_s) == ("SO", True, 99.0)


def test_what_the_csms_itself_or_the_charger_holds_is_not_told() -> None:
    assert look(Announcer(), site(), 16.0, "CSO") == []
    assert look(Announcer(), site(), 16.0, "") == []
    assert look(Announcer(), site(), 32.0, "EMS") == [], "the charger's maximum"
    assert look(Announcer(), site(10.0), 10.0, "EMS") == [], "the CSMS wants no more"
    assert len(look(Announcer(), site(10.0), 8.0, "EMS")) == 1


def test_a_change_of_source_is_a_change() -> None:
    announcer, told = Announcer(), site()
    look(announcer, told, 16.0, "EMS")
    assert [order.source for order in look(announcer, told, 16.0, "SO")] == ["SO"]


def test_the_site_tells_it_and_lets_go_with_the_session() -> None:
    told = Story(depot(2))
    told.start()
    for name in ("CP1", "CP2"):
        told.plug(name)
    told.run(30)
    held = [order for order in told.of(AnnounceLimit) if order.evse == CP1]
    assert held
    assert held[-1].source == "EMS"
    assert held[-1].limit_a == told.site.grants[CP1].limit_a
    told.unplug(CP1)
    assert [order.limit_a for order in told.of(AnnounceLimit) if order.evse == CP1][-1] is None
