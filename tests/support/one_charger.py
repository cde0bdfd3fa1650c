"""One charger and its actuator, for tests of what is written to it and what its answers mean."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from controller.facts import EvseKey, FeaturesLearned, FloorConfirmed, SetpointAnswered, Stamp
from controller.orders import ClearSetpoint, Inject, InstallFloor, Order, ReadBack
from controller.site.layout import layout_of
from controller.site.sharing.arbiter import Grant
from controller.site.stations.actuate import Actuator
from controller.site.stations.charger import ChargerModel
from tests.support.site_story import depot

KEY = EvseKey("CP1", 1)
MODEL = ChargerModel("generic", apply_s=2.0)


def at(now: float) -> Stamp:
    """A moment."""
    return Stamp(now, 1_780_000_000.0 + now)


def actuator(version: str = "2.0.1", features: FeaturesLearned | None = None, memory: Any = None, **model: Any) -> Actuator:
    """An actuator of one station whose floor is confirmed. memory: what the journal kept; model: fields of the charger model."""
    config = depot(1)
    made = Actuator(layout_of(config, {"generic": replace(MODEL, **model)}), config.control)
    if memory is not None:
        made.recall(str(KEY), memory)
    if features is not None:
        made.learned(features)
    floor = made.online("CP1", 0.0, version)[0]
    if any(isinstance(order, ReadBack) for order in answer(made, floor, 0.0)):
        made.floor_read(FloorConfirmed(at(0.0), KEY, 6.0, True))
    assert made.channels[KEY].confirmed
    return made


def answer(made: Actuator, order: Order, now: float, accepted: bool = True, **more: Any) -> list[Order]:
    """The station answers an order; the orders that follow."""
    assert isinstance(order, Inject | InstallFloor | ClearSetpoint)
    return made.answered(SetpointAnswered(at(now), order.evse, order.number, accepted, more.pop("reason", "Rejected"), **more))


def send(made: Actuator, limit_a: float, now: float, **more: Any) -> list[Order]:
    """A grant; the orders that follow."""
    return made.setpoint(Grant(KEY, limit_a, "fuse L1", **more), at(now))


def inject(orders: list[Order]) -> Inject:
    """The one setpoint among the orders."""
    found = [order for order in orders if isinstance(order, Inject)]
    assert len(found) == 1, orders
    return found[0]


def taken(made: Actuator, limit_a: float, now: float) -> list[Order]:
    """A setpoint that the station accepts at once; the orders that follow."""
    return answer(made, inject(send(made, limit_a, now)), now)


def said(**more: Any) -> FeaturesLearned:
    """What the station announces."""
    return FeaturesLearned(at(0.0), "CP1", **more)
