"""What 1.6 stations say of their smart charging when the CSMS asks for their configuration (16 9.4)."""

from __future__ import annotations

from typing import Any

import pytest

from controller.ocpp.registry import dialects
from tests.support.schemas import check_response

WORDS = dialects()["ocpp1.6"]


def said(key: Any, value: Any) -> list[tuple[str, Any, int]]:
    answer = {"configurationKey": [{"key": key, "readonly": True, "value": value}]}
    if isinstance(key, str) and isinstance(value, str):
        check_response("GetConfiguration", answer, "ocpp1.6")
    return [(one.name, one.value, one.evse_id) for one in WORDS.features("GetConfiguration", {}, answer)]


@pytest.mark.parametrize(
    ("key", "value", "features"),
    [
        ("ChargingScheduleAllowedChargingRateUnit", "Current,Power", [("units", ("A", "W"), 0)]),
        ("ChargingScheduleAllowedChargingRateUnit", "Power", [("units", ("W",), 0)]),
        ("chargingscheduleallowedchargingrateunit", " current , A ", [("units", ("A",), 0)]),
        ("ChargeProfileMaxStackLevel", "10", [("max_stack_level", 10, 0)]),
        ("MaxChargingProfilesInstalled", "20", [("max_profiles", 20, 0)]),
        ("ConnectorSwitch3to1PhaseSupported", "true", [("phase_switching", True, 0)]),
        ("ConnectorPhaseRotation", "0.RST, 1.RST,2.RTS", [("rotation", "RST", 1), ("rotation", "RTS", 2)]),
        ("ConnectorPhaseRotation", "1.NotApplicable, 2.Unknown", []),
        ("ConnectorPhaseRotation", "Unknown", []),
        ("ChargeProfileMaxStackLevel", "many", []),
        ("ChargeProfileMaxStackLevel", None, []),
        ("HeartbeatInterval", "42", []),
        (5, "x", []),
    ],
)
def test_keys(key: Any, value: Any, features: list[tuple[str, Any, int]]) -> None:
    assert said(key, value) == features


@pytest.mark.parametrize("answer", [{}, {"configurationKey": None}, {"configurationKey": [None, 5, {}]}])
def test_garbage_says_nothing(answer: dict[str, Any]) -> None:
    assert WORDS.features("GetConfiguration", {}, answer) == []
    assert WORDS.features("ChangeConfiguration", {}, {"configurationKey": [{"key": "MaxChargingProfilesInstalled", "value": "20"}]}) == []
