"""``/metrics``: meters, limits by source, signals, devices and the spool; the format itself (types, each row once)."""

from __future__ import annotations

from collections import Counter

from controller.io.api.metrics import prometheus_text
from controller.io.history.influx import Counts
from controller.snapshot import DeviceView, LimitView, MeterView, SeriesView, SignalView
from tests.support.picture import picture

HALL = MeterView("hall", "grid", "late", "suspect", 3.5, -200.0, (1.0, None, -2.0), 10, 2, 3, "odd")
NEW = MeterView("new", "pv", "lost", "", None, None, (None, None, None), 0, 0, 7)
DSO = SignalView("dso", "eebus", "grid", True, "failsafe", 4200.0, None, None, None, 12.0, True, 4000.0)
PV = DeviceView("roof", "inverter", "commanded", -5000.0, -3000.0, None, None, "limit")


def rows(**changes: object) -> list[str]:
    return prometheus_text(picture(**changes), Counts(5, 1, 2, 30, 4000)).splitlines()


def test_meters_tell_age_quality_and_errors() -> None:
    lines = rows(meters=(HALL, NEW))
    for line in (
        'meter_age_seconds{meter="hall",role="grid"} 3.5',
        'meter_health{meter="hall",role="grid",health="late"} 1.0',
        'meter_health{meter="new",role="pv",health="lost"} 1.0',
        'meter_quality{meter="hall",role="grid",quality="suspect"} 1.0',
        'meter_current_amperes{meter="hall",role="grid",phase="L3"} -2.0',
        'meter_readings_total{meter="hall",role="grid"} 10.0',
        'meter_refused_total{meter="hall",role="grid"} 2.0',
        'meter_errors_total{meter="new",role="pv"} 7.0',
    ):
        assert f"yardmaster_{line}" in lines, line
    assert not any('age_seconds{meter="new"' in line or 'quality{meter="new"' in line or 'phase="L2"} None' in line for line in lines)


def test_limits_by_source_each_row_once() -> None:
    twice = tuple(LimitView("fuse", "grid", value, "A", value, None, value == 40.0) for value in (63.0, 40.0))
    lines = rows(limits=twice)
    assert [line for line in lines if line.startswith("yardmaster_limit_amperes")] == ['yardmaster_limit_amperes{circuit="grid",source="fuse"} 40.0']


def test_signals_devices_series_and_spool() -> None:
    now = picture().now_wall_s
    lines = rows(signals=(DSO,), devices=(PV,), series=(SeriesView("buy", "market", now + 3600, 0.3), SeriesView("pv", "feed", None, None)))
    for line in (
        'signal_state{signal="dso",circuit="grid",state="failsafe"} 1.0',
        'signal_state{signal="dso",circuit="grid",state="limited"} 0.0',
        'signal_limit_watts{signal="dso",circuit="grid"} 4200.0',
        'signal_heard_seconds{signal="dso",circuit="grid"} 12.0',
        'device_state{device="roof",kind="inverter",state="commanded"} 1.0',
        'device_wanted_watts{device="roof",kind="inverter"} -3000.0',
        'series_ahead_seconds{kind="buy",source="market"} 3600.0',
        'series_ahead_seconds{kind="pv",source="feed"} 0.0',
        "history_spool_points 30.0",
        "history_spool_bytes 4000.0",
        "history_dropped_total 1.0",
        "history_quarantined_total 2.0",
    ):
        assert f"yardmaster_{line}" in lines, line
    assert not any("production_limit" in line or "device_command" in line for line in lines), "what nobody knows is left out"


def test_the_format_holds_every_name_is_declared_once_and_counters_end_in_total() -> None:
    lines = rows(meters=(HALL, NEW), signals=(DSO,), devices=(PV,))
    declared = [line.split()[2:4] for line in lines if line.startswith("# TYPE")]
    assert max(Counter(name for name, _ in declared).values()) == 1
    assert all((kind == "counter") == name.endswith("_total") for name, kind in declared)
    samples = [line.rsplit(" ", 1)[0] for line in lines if not line.startswith("#")]
    assert max(Counter(samples).values()) == 1
    assert {sample.split("{")[0] for sample in samples} == {name for name, _ in declared}


def test_without_a_server_there_is_no_spool() -> None:
    assert "spool" not in prometheus_text(picture())


def test_messages_of_the_broker_that_nobody_asked_for_are_counted() -> None:  # B36
    assert "yardmaster_mqtt_ignored_total 3" in prometheus_text(picture(), None, 3)
    assert "yardmaster_mqtt_ignored_total 0" in prometheus_text(picture(), None, 0)
    assert "mqtt_ignored" not in prometheus_text(picture())  # no broker
