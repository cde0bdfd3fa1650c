"""The four journeys through the whole engine, in virtual time, with real frames and no shell.

(a) a transaction message, (b) a profile of the CSMS, (c) a meter reading over the fuse, (d) a site
limit; and what happens to the rest when one half meets a defect.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from controller.config import Config
from controller.engine import Engine
from controller.facts import (
    EvseKey,
    Fact,
    LimitReceived,
    LimitUnit,
    MeterRead,
    OutboxRow,
    Persisted,
    Stamp,
    StationConnected,
    StationFrame,
    StationRefused,
    StoryTold,
    TimePassed,
    UpstreamClosed,
    UpstreamFrame,
    UpstreamOpened,
)
from controller.link.session import Session
from controller.orders import CloseStation, DialUpstream, Order, Persist, Publish, SendStation, SendUpstream, Severity, Tell
from controller.site.stations.charger import ChargerModel
from meters.reading import Quality, Reading
from tests.support.playbook import BOOT, event

CONFIG = Config.model_validate(
    {
        "site": {"id": "test"},
        "grid": {"fuse_a": 63, "worst_other_load_a": 20, "meter": "main"},
        "stations": [{"id": f"CP{n}", "evses": [{"id": 1, "max_current_a": 32, "fallback_a": 6}]} for n in (1, 2)],
        "upstreams": [{"id": "csms", "url": "ws://127.0.0.1:1/ocpp"}],
        "meters": [{"id": "main", "role": "grid", "source": {"type": "mqtt", "topic": "m"}}],
    }
)


class World:
    """The engine with obedient stations, a disk and a meter."""

    def __init__(self) -> None:
        self.engine = Engine(CONFIG, "seed", {"generic": ChargerModel("generic")})
        self.mono_s = 100.0
        self.orders: list[Order] = []
        self.limits: dict[str, float] = {}
        self.up: list[tuple[str, str]] = []
        self.down: list[tuple[str, Any]] = []
        self.building_a = 10.0
        self.rows = 0

    @property
    def at(self) -> Stamp:
        return Stamp(self.mono_s, 1_790_000_000.0 + self.mono_s)

    def feed(self, fact: Fact) -> list[Order]:
        """One fact; disk and stations answer until nothing is left."""
        orders = self.engine.handle(fact)
        self.orders += orders
        for order in list(orders):
            orders += self._answer(order)
        return orders

    def _answer(self, order: Order) -> list[Order]:
        if isinstance(order, SendUpstream):
            frame = json.loads(order.text)
            if frame[0] == 2 and frame[2] in ("NotifyChargingLimit", "ClearedChargingLimit"):
                return self.csms(order.station_id, 3, frame[1], {})  # the controller's own, in turn with the station's
            self.up.append((order.station_id, order.text))
        if isinstance(order, Persist) and order.token:
            rows = []
            for row in order.rows:
                self.rows += 1
                rows.append(OutboxRow(self.rows, row.station_id, row.transaction_id, row.action, row.text, row.stored_wall_s))
            return self.feed(Persisted(self.at, order.token, tuple(rows)))
        if isinstance(order, SendStation):
            frame = json.loads(order.text)
            self.down.append((order.station_id, frame))
            return self._station(order.station_id, frame) if frame[0] == 2 else []
        return []

    def _station(self, name: str, frame: list[Any]) -> list[Order]:
        answer: dict[str, Any] = {"status": "Accepted"}
        if frame[2] == "SetChargingProfile":
            self.limits[name] = frame[3]["chargingProfile"]["chargingSchedule"][0]["chargingSchedulePeriod"][0]["limit"]
        elif frame[2] == "GetCompositeSchedule":
            period = {"startPeriod": 0, "limit": self.limits[name]}
            answer["schedule"] = {
                "evseId": 1, "duration": 300, "scheduleStart": "2026-09-21T00:00:00Z", "chargingRateUnit": "A", "chargingSchedulePeriod": [period],
            }  # fmt: skip
        return self.say(name, 3, frame[1], answer)

    def say(self, name: str, *frame: Any) -> list[Order]:
        """A frame of a station."""
        return self.feed(StationFrame(self.at, name, 1, json.dumps(list(frame))))

    def csms(self, name: str, *frame: Any) -> list[Order]:
        """A frame of the CSMS."""
        return self.feed(UpstreamFrame(self.at, name, 1, json.dumps(list(frame))))

    def arrive(self, name: str) -> None:
        """A station connects, boots and starts a transaction."""
        orders = self.feed(StationConnected(self.at, name, 1, "ocpp2.0.1", "127.0.0.1"))
        assert any(isinstance(order, DialUpstream) for order in orders)
        self.feed(UpstreamOpened(self.at, name, 1, "ocpp2.0.1"))
        self.say(name, 2, "boot", "BootNotification", BOOT)
        self.csms(name, 3, "boot", {"status": "Accepted", "interval": 300, "currentTime": "2026-09-21T00:00:00Z"})
        self.say(name, 2, "start", "TransactionEvent", event("Started", 0, f"tx-{name}"))
        self.csms(name, 3, "start", {})

    def run(self, seconds: int) -> None:
        """Time passes; the meter shows the building and what the stations may draw; stations report."""
        for second in range(seconds):
            self.mono_s += 1.0
            if second % 5 == 0:
                for name, limit_a in self.limits.items():
                    sample = [{"value": limit_a, "measurand": "Current.Import", "phase": phase} for phase in ("L1", "L2", "L3")]
                    values = [{"timestamp": "2026-09-21T00:00:00Z", "sampledValue": sample}]
                    message = f"u-{name}-{self.mono_s}"
                    self.say(name, 2, message, "TransactionEvent", event("Updated", 1, f"tx-{name}", meterValue=values))
                    self.csms(name, 3, message, {})
            self.read(self.building_a + sum(self.limits.values()) + 0.001 * (second % 9))
            self.feed(TimePassed(self.at))

    def read(self, amps: float) -> list[Order]:
        """One reading of the grid meter, the same on each phase."""
        return self.feed(MeterRead(self.at, Reading("main", Quality.GOOD, current_a=(amps, amps, amps), power_w=amps * 690.0)))


@pytest.fixture
def world() -> World:
    """Two stations charging."""
    world = World()
    for name in ("CP1", "CP2"):
        world.arrive(name)
    world.run(60)
    return world


def test_a_a_transaction_message_goes_up_as_it_is_and_to_disk_when_nobody_is_there(world: World) -> None:
    world.up.clear()
    text = '[2, "odd id",  "TransactionEvent", ' + json.dumps(event("Updated", 2, "tx-CP1")) + "]"
    world.feed(StationFrame(world.at, "CP1", 1, text))
    assert ("CP1", text) in world.up
    world.csms("CP1", 3, "odd id", {})
    world.feed(UpstreamClosed(world.at, "CP1", 1, "gone"))
    orders = world.say("CP1", 2, "u-9", "TransactionEvent", event("Updated", 3, "tx-CP1"))
    kinds = [type(order).__name__ for order in orders if isinstance(order, Persist | SendStation)]
    assert kinds.index("Persist") < kinds.index("SendStation")
    assert world.down[-1] == ("CP1", [3, "u-9", {}])


def test_b_a_profile_of_the_csms_lowers_the_setpoint_and_stays_here(world: World) -> None:
    assert world.limits["CP1"] > 9.0
    profile = {
        "id": 7, "stackLevel": 0, "chargingProfilePurpose": "TxDefaultProfile", "chargingProfileKind": "Relative",
        "chargingSchedule": [{"id": 1, "chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 9.0}]}],
    }  # fmt: skip
    world.csms("CP1", 2, "p-1", "SetChargingProfile", {"evseId": 1, "chargingProfile": profile})
    assert json.loads(world.up[-1][1]) == [3, "p-1", {"status": "Accepted"}]
    world.run(3)
    assert world.limits["CP1"] == 9.0
    assert all(frame[1] != "p-1" for _, frame in world.down)
    (view,) = [evse for evse in world.engine.snapshot(world.at).site.evses if evse.id == "CP1/1"]
    assert "profile 7" in view.reason


def test_c_a_reading_over_the_fuse_lowers_setpoints_in_the_same_step(world: World) -> None:
    before = dict(world.limits)
    orders = world.read(80.0)
    sent = [order for order in orders if isinstance(order, SendStation) and "SetChargingProfile" in order.text]
    assert sent
    assert sum(world.limits.values()) <= sum(before.values()) - 17.0


def test_d_a_site_limit_is_kept_obeyed_published_and_ends_by_itself(world: World) -> None:
    before = sum(world.limits.values())
    orders = world.feed(LimitReceived(world.at, "mqtt", "grid", 30.0, LimitUnit.A, 60.0, sequence=1))
    assert any(isinstance(order, Persist) and any(space == "limit" for space, _ in order.remember) for order in orders)
    assert any(isinstance(order, Publish) and order.topic == "limit/state" and order.retain for order in orders)
    world.run(20)
    assert sum(world.limits.values()) + world.building_a <= 30.0
    (limit,) = [limit for limit in world.engine.snapshot(world.at).site.limits if limit.source == "mqtt"]
    assert limit.ends_wall_s is not None
    world.run(90)
    assert sum(world.limits.values()) >= before - 2.0


def test_a_defect_met_with_one_station_closes_that_station_only(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def defect(session: Session, *frame: Any) -> Any:
        return 1 / 0 if session.station_id == "CP1" else sound(session, *frame)

    sound: Callable[..., Any] = Session.station_frame
    monkeypatch.setattr(Session, "station_frame", defect)
    orders = world.say("CP1", 2, "h", "Heartbeat", {})
    assert [order.station_id for order in orders if isinstance(order, CloseStation)] == ["CP1"]
    assert any(isinstance(order, Tell) and order.severity is Severity.ALARM for order in orders)
    world.say("CP2", 2, "h", "Heartbeat", {})
    assert world.up[-1][0] == "CP2"


def test_a_defect_in_the_site_keeps_messages_going(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(world.engine.site, "handle", lambda *_: 1 / 0)
    orders = world.feed(TimePassed(world.at))
    assert any(isinstance(order, Tell) and "report it" in order.text for order in orders)
    world.say("CP1", 2, "h", "Heartbeat", {})
    assert world.up[-1][0] == "CP1"


def test_people_hear_of_stories_and_of_refused_connections(world: World) -> None:
    world.feed(StoryTold(world.at, "A cloud."))
    world.feed(StationRefused(world.at, "CP1", "127.0.0.9", "wrong password"))
    world.feed(StationRefused(world.at, "CP1", "127.0.0.9", "in use", twin=True))
    events = world.engine.snapshot(world.at).events[-3:]
    assert [(event.subject, event.severity) for event in events] == [("story", "info"), ("CP1", "warning"), ("CP1", "alarm")]


def test_the_snapshot_is_plain_json(world: World) -> None:
    picture = json.loads(json.dumps(world.engine.snapshot(world.at).as_json()))
    assert picture["site"]["mode"] == "normal"
    assert [source["health"] for source in picture["site"]["sources"] if source["kind"] == "csms"] == ["good"]
    assert [evse["id"] for evse in picture["site"]["evses"]] == [str(EvseKey("CP1", 1)), str(EvseKey("CP2", 1))]
