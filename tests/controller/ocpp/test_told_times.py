"""What a station's clock shows, as its messages tell it: live ones only."""

from __future__ import annotations

from typing import Any

import pytest

from controller.ocpp.told_times import told_wall_s

NOON, NOON_WALL_S = "2026-11-21T12:00:00Z", 1_795_262_400.0  # 20778 days after 1970 and twelve hours


@pytest.mark.parametrize(
    ("action", "payload", "told"),
    [
        ("StatusNotification", {"timestamp": NOON}, NOON_WALL_S),
        ("StatusNotification", {}, None),  # 1.6 need not tell it
        ("TransactionEvent", {"timestamp": NOON}, NOON_WALL_S),
        ("TransactionEvent", {"timestamp": NOON, "offline": True}, None),
        ("StartTransaction", {"timestamp": "2026-11-21T13:00:00+01:00"}, NOON_WALL_S),
        ("StopTransaction", {"timestamp": "noon"}, None),
        ("MeterValues", {"meterValue": [{"timestamp": "2020-01-01T00:00:00Z"}, {"timestamp": NOON}]}, NOON_WALL_S),
        ("MeterValues", {"meterValue": []}, None),
        ("MeterValues", {"meterValue": "nothing"}, None),
        ("NotifyEvent", {"generatedAt": NOON}, NOON_WALL_S),
        ("Heartbeat", {}, None),
        ("SecurityEventNotification", {"timestamp": NOON}, None),  # kept and sent late (A04)
    ],
)
def test_what_a_call_tells_of_now(action: str, payload: dict[str, Any], told: float | None) -> None:
    assert told_wall_s(action, payload) == told
