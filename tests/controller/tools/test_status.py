"""``yardmaster status``: what people at a terminal are told of a running controller."""

from __future__ import annotations

from dataclasses import replace

import pytest

from controller.__main__ import main
from controller.snapshot import BoundView, FaceView, NumberView
from controller.tools.status import text
from tests.support.picture import NOW_WALL_S, picture


def test_limits_now_and_announced_are_told_with_whose_they_are_and_how_they_are_kept() -> None:
    """The picture begins at 00:00 UTC on 2026-01-01, a Thursday; the yard is in Berlin."""
    bounds = (
        BoundView("import", "contract", "grid", 40_000.0, "in_force", measured_w=19_250.0, obeyed=True),
        BoundView("import", "mqtt", "hall", 34_500.0, "in_force", 50.0, None, NOW_WALL_S + 600.0, 36_000.0, False),
        BoundView("loads", "dso", "grid", 4200.0, "failsafe", words="section 14a"),
        BoundView("feed_in", "dso", "grid", 0.0, "announced", None, NOW_WALL_S + 4 * 3600.0, NOW_WALL_S + 6 * 3600.0, words="noon"),
        BoundView("generation", "dso", "grid", 8000.0, "announced", None, NOW_WALL_S + 12 * 3600.0),
    )
    lines = [line for line in text(picture(bounds=bounds).as_json()).splitlines() if line.startswith("limit")]
    assert lines == [
        "limit     import at most 40.0 kW: contract, 19.2 kW measured, obeyed",
        "limit     import of hall at most 50 A per phase: mqtt, 36.0 kW measured, EXCEEDED, until Thu 01:10",
        "limit     chargers and battery at most 4.2 kW: dso (section 14a), failsafe: the source is silent",
        "limit     feed-in at most 0.0 kW: dso (noon), announced, Thu 05:00 to Thu 07:00",
        "limit     inverters and battery at most 8.0 kW: dso, announced, from Thu 13:00 on",
    ]


def test_status_shows_the_one_station_a_csms_sees() -> None:
    numbers = (NumberView(1, "CP1", 1, ("Available", "Occupied"), True, True), NumberView(2, "OLD", 3, ("Unavailable",), False, False))
    depot = FaceView("csms", "depot", "HARBOUR", "open", "ocpp2.1", 3, True, (("transaction", 2), ("security", 0), ("status", 1)), numbers)
    pair = FaceView("other", "pair", "CP9", "open", "ocpp1.6", 0)
    lines = text(replace(picture(), faces=(depot, pair)).as_json()).splitlines()
    shown = lines[lines.index("as one    HARBOUR at csms: accepted with ocpp2.1, waiting: 2 transaction, 1 status") :]
    assert shown[1].split() == ["EVSE", "1", "CP1/1", "Available", "Occupied"]
    assert shown[2].split() == ["EVSE", "2", "OLD/3", "Unavailable", "not", "part", "of", "it", "now"]
    assert not any("CP9" in line for line in lines)
    away = replace(depot, state="away", accepted=False, version="", trouble="the CSMS refused the connection with HTTP 401")
    lines = text(replace(picture(), faces=(away,)).as_json()).splitlines()
    at = lines.index("as one    HARBOUR at csms: away, waiting: 2 transaction, 1 status")
    assert lines[at + 1].strip() == "the CSMS refused the connection with HTTP 401"


def test_status_without_a_controller(free_port: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "--url", f"http://127.0.0.1:{free_port}"]) == 1
    assert "no controller answers" in capsys.readouterr().err


def test_status_of_something_else(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "--url", "nonsense"]) == 1
    assert "nonsense is no address of a page" in capsys.readouterr().err
