"""A whole picture of a small site, for tests of the page and the API."""

from __future__ import annotations

import dataclasses

from controller.config import Config
from controller.snapshot import (
    CircuitView,
    EventView,
    EvseView,
    GridView,
    LimitView,
    LinkView,
    PlanView,
    SiteView,
    Snapshot,
    SourceView,
)

NOW_WALL_S = 1_767_225_600.0
SLOTS = 96


def site_config(**api: object) -> Config:
    """Two stations, one circuit below the grid; ``api`` goes into the api section, port 0 unless said otherwise."""
    return Config.model_validate(
        {
            "site": {"id": "yard", "name": "Test yard", "timezone": "Europe/Berlin"},
            "grid": {"fuse_a": 63, "worst_other_load_a": 40},
            "circuits": [{"id": "hall", "fuse_a": 40}],
            "stations": [
                {"id": "alpha", "circuit": "hall", "evses": [{"id": 1, "max_current_a": 32, "name": "Bay 1"}]},
                {"id": "beta", "evses": [{"id": 1, "max_current_a": 16}, {"id": 2, "max_current_a": 16, "phases": ["L2"]}]},
            ],
            "api": {"port": 0, **api},
        }
    )


def evse(station_id: str, evse_id: int, **changes: object) -> EvseView:
    """One EVSE that charges with 10 A of a 14 A limit."""
    view = EvseView(
        id=f"{station_id}/{evse_id}",
        station_id=station_id,
        evse_id=evse_id,
        name="",
        circuit="grid",
        phases=("L1", "L2", "L3"),
        state="charging",
        online=True,
        transaction_id=f"tx-{station_id}-{evse_id}",
        power_w=6900.0,
        current_a=(10.0, 10.0, 10.0),
        limit_a=14.0,
        max_current_a=16.0,
        floor_a=6.0,
        floor_confirmed=True,
        reason="fuse L2",
        ends_wall_s=NOW_WALL_S + 100,
        session_energy_wh=4200.0,
        need_wh=9800.0,
        departure_wall_s=NOW_WALL_S + 7200,
        soc_percent=None,
        priority=0,
    )
    return dataclasses.replace(view, **changes)  # type: ignore[arg-type]


def plan(created_wall_s: float = NOW_WALL_S) -> PlanView:
    """A plan of 96 quarter hours."""
    level = (4000.0,) * SLOTS
    return PlanView(
        created_wall_s=created_wall_s,
        status="optimal",
        solver="HiGHS",
        solve_s=0.12,
        cost=21.5,
        peak_w=31000.0,
        start_wall_s=tuple(NOW_WALL_S + 900.0 * slot for slot in range(SLOTS)),
        duration_s=(900.0,) * SLOTS,
        grid_power_w=level,
        ev_power_w=(3000.0,) * SLOTS,
        evse_power_w={"alpha/1": (3000.0,) * SLOTS},
        base_load_w=(2000.0,) * SLOTS,
        pv_w=(1000.0,) * SLOTS,
        battery_power_w=(0.0,) * SLOTS,
        buy_per_kwh=(0.3,) * SLOTS,
        shortfall_wh={"beta/2": 1200.0},
    )


def picture(**site_changes: object) -> Snapshot:
    """The site in normal mode; ``site_changes`` replace members of its ``site``."""
    site = SiteView(
        mode="normal",
        mode_reason="",
        grid=GridView(63.0, 230.0, 3, (30.5, 28.25, 25.0), 19_250.0, 0.4, (20.0, 20.0, 20.0), 13_800.0, 9450.0, -4000.0, None, None),
        circuits=(
            CircuitView("grid", None, 63.0, (50.0, 50.0, 50.0), (30.5, 28.25, 25.0)),
            CircuitView("hall", "grid", 40.0, (39.0, 39.0, 39.0), (10.0, 10.0, 10.0)),
        ),
        evses=(
            evse("alpha", 1, name="Bay 1", circuit="hall", max_current_a=32.0),
            evse("beta", 1),
            evse("beta", 2, state="available", transaction_id=None, power_w=0.0, phases=("L2",), limit_a=None, departure_wall_s=None),
        ),
        limits=(LimitView("mqtt", "grid", 50.0, "A", 50.0, NOW_WALL_S + 600, True),),
        sources=(SourceView("grid", "meter", "good", 0.4, ""), SourceView("csms", "csms", "lost", 12.0, "refused")),
        plan=plan(),
    )
    site = dataclasses.replace(site, **site_changes)  # type: ignore[arg-type]
    links = (
        LinkView("alpha", True, "ocpp2.0.1", "open", 0, 0, "127.0.0.1"),
        LinkView("beta", True, "ocpp2.0.1", "away", 7, 1, "127.0.0.1"),
    )
    events = (
        EventView(1, NOW_WALL_S - 60, "info", "story", "The day begins."),
        EventView(2, NOW_WALL_S - 30, "warning", "csms", "CSMS away - messages wait on disk"),
    )
    return Snapshot("yard", "Test yard", "Europe/Berlin", "EUR", NOW_WALL_S, 1.0, "0.1.0", site, links, events)
