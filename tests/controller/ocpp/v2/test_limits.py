"""Limits beside OCPP in the words of 2.x: told to a CSMS, read from a station, and how a station is set to tell them."""

from typing import Any

import pytest

from controller.facts import Stamp
from controller.ocpp.dialect import ExternalLimit, LimitNotice, LimitSettings, ProfileCriteria
from controller.ocpp.registry import dialects
from controller.ocpp.schedule import Purpose, limit_a_at
from tests.support.schemas import check_request

AT = Stamp(10.0, 1_790_000_000.0)
OLD, NEW, OLDEST = dialects()["ocpp2.0.1"], dialects()["ocpp2.1"], dialects()["ocpp1.6"]


@pytest.mark.parametrize("dialect", [OLD, NEW])
@pytest.mark.parametrize("evse_id", [0, 2])
def test_a_notice_validates_in_every_version(dialect: Any, evse_id: int) -> None:  # K11.FR.02, K13.FR.02
    for with_schedule in (True, False):
        notice = LimitNotice(evse_id, 9.99, "EMS", True, with_schedule, 1, AT.wall_s, AT.wall_s + 0.5)
        action, payload = dialect.limit_notice(notice)
        check_request(action, payload, dialect.subprotocol)
        assert ("chargingSchedule" in payload) is with_schedule
        assert payload.get("evseId", 0) == evse_id
    check_request(*dialect.limit_cleared(evse_id, ""), dialect.subprotocol)


def test_1_6_has_none_of_it() -> None:
    assert OLDEST.limit_notice(LimitNotice(1, 9.0, "EMS", False, True, 3, 0.0)) is None
    assert OLDEST.limit_cleared(1, "EMS") is None
    assert OLDEST.external_limit(AT, "NotifyChargingLimit", {}) is None
    assert OLDEST.limit_settings("GetConfiguration", {}, {}) is None


def told(unit: str = "W", limit: float = 6900.0, **schedule: Any) -> dict[str, Any]:
    periods = [{"startPeriod": 0, "limit": limit}]
    return {
        "chargingLimit": {"chargingLimitSource": "SO", "isGridCritical": True},
        "evseId": 1,
        "chargingSchedule": [{"id": 1, "chargingRateUnit": unit, "chargingSchedulePeriod": periods, **schedule}],
    }


@pytest.mark.parametrize("dialect", [OLD, NEW])
def test_a_limit_of_a_station_is_read_with_its_schedule(dialect: Any) -> None:  # K11, K23
    check_request("NotifyChargingLimit", told(duration=600), dialect.subprotocol)
    found = dialect.external_limit(AT, "NotifyChargingLimit", told(duration=600))
    assert (found.evse_id, found.source, found.cleared, found.profile.purpose) == (1, "SO", False, Purpose.EXTERNAL)
    assert limit_a_at(found.profile, AT.wall_s, AT.wall_s, 230.0) == 10.0  # 6900 W over 3 x 230 V, from now on
    assert limit_a_at(found.profile, AT.wall_s + 600, AT.wall_s, 230.0) is None


def test_the_lowest_of_several_schedules_counts() -> None:
    payload = told()
    payload["chargingSchedule"] += told("A", 8.0)["chargingSchedule"] + ["nonsense", {"chargingRateUnit": "A"}]
    found = NEW.external_limit(AT, "NotifyChargingLimit", payload)
    assert found is not None
    assert found.profile is not None
    assert limit_a_at(found.profile, AT.wall_s, AT.wall_s, 230.0) == 8.0


def test_the_end_of_a_limit() -> None:  # K13
    assert OLD.external_limit(AT, "ClearedChargingLimit", {"chargingLimitSource": "SO"}) == ExternalLimit(0, "SO", True)
    for odd in ({}, {"chargingLimitSource": 4}, {"chargingLimitSource": "SO", "evseId": -1}, {"chargingLimitSource": "SO", "evseId": True}):
        assert OLD.external_limit(AT, "ClearedChargingLimit", odd) is None
    assert OLD.external_limit(AT, "Heartbeat", {}) is None


def variable(name: str, value: Any, status: str = "Accepted", component: str = "SmartChargingCtrlr") -> dict[str, Any]:
    return {"component": {"name": component}, "variable": {"name": name}, "attributeValue": value, "attributeStatus": status}


@pytest.mark.parametrize(
    ("items", "settings"),
    [
        ([variable("LimitChangeSignificance", "2.5")], LimitSettings(2.5)),
        ([variable("NotifyChargingLimitWithSchedules", "TRUE"), variable("LimitChangeSignificance", "0")], LimitSettings(0.0, True)),
        ([variable("LimitChangeSignificance", "2.5", "Rejected")], None),
        ([variable("LimitChangeSignificance", "a lot")], None),
        ([variable("LimitChangeSignificance", "101")], None),
        ([variable("LimitChangeSignificance", "nan")], None),
        ([variable("LimitChangeSignificance", "5", component="DisplayMessageCtrlr")], None),
        (["nonsense", {}, variable("LimitChangeSignificance", 5)], None),
    ],
)
def test_settings_of_a_station(items: list[Any], settings: LimitSettings | None) -> None:  # SC.03
    assert OLD.limit_settings("GetVariables", {}, {"getVariableResult": items}) == settings
    asked = [{key: item[key] for key in item if key != "attributeStatus"} if isinstance(item, dict) else item for item in items]
    assert OLD.limit_settings("SetVariables", {"setVariableData": asked}, {"setVariableResult": items}) == settings


def test_other_answers_set_nothing() -> None:
    assert OLD.limit_settings("GetVariables", {}, {"getVariableResult": "none"}) is None
    assert OLD.limit_settings("SetVariables", {"setVariableData": None}, {"setVariableResult": []}) is None
    assert OLD.limit_settings("GetReport", {}, {"status": "Accepted"}) is None


@pytest.mark.parametrize("dialect", [OLDEST, OLD, NEW])
@pytest.mark.parametrize("criteria", [ProfileCriteria(), ProfileCriteria(evse_id=0, stack_level=3)])
def test_a_clear_of_everything_but_the_maximum_is_valid_in_every_version(dialect: Any, criteria: ProfileCriteria) -> None:  # K10
    calls = dialect.clear_others(criteria)
    for action, payload in calls:
        check_request(action, payload, dialect.subprotocol)
        assert "Max" not in str(payload)
    assert len(calls) == (3 if dialect is NEW else 2)
