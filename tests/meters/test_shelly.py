"""Shelly of both generations. Documents have the shapes of the maker's API pages; expected values are read off by hand."""

from __future__ import annotations

from typing import Any

import pytest

from meters.json_fields import JsonError
from meters.json_meter import JsonMeter
from meters.quality import Convention, Expectation, judge
from meters.reading import Quality
from meters.shelly import shelly


def channel(power: float, current: float, valid: bool = True) -> dict[str, Any]:
    return {"power": power, "pf": 0.98, "current": current, "voltage": 230.0, "is_valid": valid, "total": 1000.5, "total_returned": 10.0}


STATUS_3EM = {
    "wifi_sta": {"connected": True},
    "relays": [{"ison": True}],
    "emeters": [channel(1000, 4.4), channel(-500, 2.2), channel(0, 0.01)],
    "total_power": 500.0,
}
EM0 = {"id": 0, "a_current": 4.029, "a_voltage": 236.1, "a_act_power": 951.2, "a_aprt_power": 951.9, "a_pf": 1, "a_freq": 50,
       "b_current": 4.027, "b_voltage": 236.2, "b_act_power": -951.1, "b_aprt_power": 951.8, "b_pf": 1, "b_freq": 50,
       "c_current": 3.03, "c_voltage": 236.3, "c_act_power": 715.4, "c_aprt_power": 715.9, "c_pf": 1, "c_freq": 50,
       "n_current": None, "total_current": 11.083, "total_act_power": 715.5, "total_aprt_power": 2484.8, "user_calibrated_phase": []}  # fmt: skip
EM0_EXPECTED = {
    "p": 715.5, "f": 50, "p_l1": 951.2, "p_l2": -951.1, "p_l3": 715.4, "u_l1": 236.1, "u_l2": 236.2, "u_l3": 236.3,
    "i_l1": 4.029, "i_l2": 4.027, "i_l3": 3.03,
}  # fmt: skip
EMDATA0 = {"id": 0, "a_total_act_energy": 1.0, "total_act": 5000.0, "total_act_ret": 20.0}


def test_generation_1_three_phases() -> None:
    assert shelly(STATUS_3EM) == pytest.approx(
        {"p": 500, "p_l1": 1000, "p_l2": -500, "p_l3": 0, "u_l1": 230, "u_l2": 230, "u_l3": 230, "i_l1": 4.4, "i_l2": 2.2, "i_l3": 0.01}
        | {"e_imp": 3001.5, "e_exp": 30.0}
    )


def test_generation_1_plug_counts_watt_minutes() -> None:
    plug = {"relays": [{"ison": True}], "meters": [{"power": 24.5, "is_valid": True, "counters": [24, 24, 24], "total": 6000}]}
    assert shelly(plug) == pytest.approx({"p": 24.5, "p_l1": 24.5, "e_imp": 100.0})


@pytest.mark.parametrize(
    "document",
    [
        EM0,
        {"em:0": EM0},
        {"id": 1, "src": "shellypro3em-x", "result": EM0},
        {"src": "shellypro3em-x", "dst": "x/events", "method": "NotifyStatus", "params": {"ts": 1.5, "em:0": EM0}},
    ],
)
def test_generation_2_three_phases_in_every_envelope(document: Any) -> None:
    assert shelly(document) == pytest.approx(EM0_EXPECTED)


def test_generation_2_whole_status_has_the_registers_too() -> None:
    assert shelly({"em:0": EM0, "emdata:0": EMDATA0, "sys": {}, "wifi": {}}) == pytest.approx(EM0_EXPECTED | {"e_imp": 5000, "e_exp": 20})


def test_generation_2_single_phases() -> None:
    one = {"id": 0, "current": 2.598, "voltage": 234.9, "act_power": -501.8, "aprt_power": 612.4, "pf": 0.84, "freq": 50, "calibration": "factory"}
    data = {"id": 0, "total_act_energy": 100.0, "total_act_ret_energy": 5.0}
    expected = {"p": -501.8, "p_l1": -501.8, "u_l1": 234.9, "i_l1": 2.598, "f": 50}
    assert shelly({"em1:0": one}) == pytest.approx(expected)
    assert shelly(one) == pytest.approx(expected)
    assert shelly({"em1:0": one, "em1data:0": data}) == pytest.approx(expected | {"e_imp": 100, "e_exp": 5})
    three = {f"em1:{n}": {**one, "id": n, "act_power": 100.0 * n} for n in range(3)} | {f"em1data:{n}": data for n in range(3)}
    found = shelly(three)
    assert found is not None
    assert [found[f"p_l{n}"] for n in (1, 2, 3)] == [0, 100, 200]
    assert (found["e_imp"], "p" in found) == (300, False)


def test_generation_2_plug() -> None:
    plug = {"id": 0, "source": "x", "output": True, "apower": 8.9, "voltage": 237.5, "current": 0.077, "aenergy": {"total": 6.532}, "temperature": {}}
    assert shelly({"switch:0": plug, "sys": {}}) == pytest.approx({"p": 8.9, "p_l1": 8.9, "u_l1": 237.5, "i_l1": 0.077, "e_imp": 6.532})
    assert shelly({"pm1:0": {"id": 0, "apower": -5.0, "voltage": 230.0, "current": 0.02, "freq": 50.0}}) == pytest.approx(
        {"p": -5, "p_l1": -5, "u_l1": 230, "i_l1": 0.02, "f": 50}
    )


@pytest.mark.parametrize(
    ("document", "why"),
    [
        ({"emeters": [channel(1, 1), channel(2, 2)]}, "2 channels"),
        ({"emeters": [channel(1, 1), channel(2, 2, False), channel(3, 3)]}, "not valid"),
        ({"meters": [{"power": 1}, {"power": 2}]}, "2 channels"),
        ({"switch:0": {"apower": 1}, "switch:1": {"apower": 1}}, "2 channels"),
        ({"em1:0": {"act_power": 1}, "em1:1": {"act_power": 1}}, "em1:0.act_power"),
        ({**EM0, "errors": ["power_meter_failure"]}, "failure of its power meter"),
        ({"id": 1, "error": {"code": 404, "message": "No handler"}}, "refuses"),
        ({"hello": "world"}, "no energy values"),
        ({**EM0, "a_act_power": "951"}, "no number"),
        ([], "JSON object"),
    ],
)
def test_what_is_no_reading_is_refused(document: Any, why: str) -> None:
    with pytest.raises(JsonError, match=why):
        shelly(document)


def test_a_value_out_of_the_meters_range_is_no_value() -> None:
    found = shelly({**EM0, "b_errors": ["out_of_range:current", "out_of_range:act_power"]})
    assert found is not None
    assert ("i_l2" in found, "p_l2" in found, "u_l2" in found) == (False, False, True)


def test_messages_about_other_things_are_no_reading_and_no_error() -> None:
    meter = JsonMeter("shelly", {})
    for document in (
        {"method": "NotifyEvent", "params": {"ts": 1, "events": []}},
        {"method": "NotifyStatus", "params": {"ts": 1, "wifi": {"rssi": -60}, "sys": {}}},
        {"method": "NotifyStatus", "params": {"ts": 1, "switch:0": {"id": 0, "output": True}}},
        EMDATA0,
    ):
        assert meter.take(document, 0.0) is None, document


def test_registers_that_come_alone_are_told_with_the_next_reading_for_five_minutes() -> None:
    meter = JsonMeter("shelly", {})
    assert meter.take({"method": "NotifyStatus", "params": {"emdata:0": EMDATA0}}, 0.0) is None
    early, late = meter.take(EM0, 300.0), meter.take(EM0, 300.5)
    assert early is not None
    assert late is not None
    assert (early.quantities.get("e_imp"), late.quantities.get("e_imp")) == (5000.0, None)


def test_bare_numbers_of_generation_1_make_a_reading_when_three_channels_have_spoken() -> None:
    meter = JsonMeter("shelly", {})
    found = []
    for lap in range(2):
        for place in range(3):
            for name, value in (("power", 1000.0 * (place - 1)), ("pf", 1.0), ("current", 4.3), ("voltage", 230.0), ("total", 5.0)):
                found.append(meter.take(value, 30.0 * lap + 0.1 * place, f"shellies/shellyem3-X/emeter/{place}/{name}"))
    readings = [one for one in found if one is not None]
    assert len(readings) == 2
    reading = judge("m", readings[0].quantities, readings[0].convention, Expectation(63, 230, (0, 1, 2)))
    assert (reading.current_a, reading.quality) == ((-4.3, 4.3, 4.3), Quality.GOOD), "currents get the direction of their power"
    assert meter.take("online", 60.0, "shellies/shellyem3-X/online") is None


def test_bare_numbers_of_different_moments_do_not_become_one_reading() -> None:
    meter = JsonMeter("shelly", {})
    found = [meter.take(1.0, 3.0 * place, f"shellies/x/emeter/{place}/{name}") for place in range(3) for name in ("power", "current", "voltage")]
    assert found == [None] * 9


def test_a_generation_1_as_it_answered_in_the_field() -> None:
    """A public sample of a 3EM; its neutral is not connected and not valid, which is no fault."""
    emeters = [
        {"power": 51.08, "pf": 0.27, "current": 0.78, "voltage": 234.90, "is_valid": True, "total": 1686297.2, "total_returned": 428958.4},
        {"power": 155.02, "pf": 0.98, "current": 0.66, "voltage": 235.57, "is_valid": True, "total": 878905.6, "total_returned": 4.1},
        {"power": 6.75, "pf": 0.26, "current": 0.11, "voltage": 234.70, "is_valid": True, "total": 206151.1, "total_returned": 0.0},
    ]
    neutral = {"current": 0.0, "ixsum": 1.29, "mismatch": False, "is_valid": False}
    found = shelly({"relays": [{"ison": False}], "emeters": emeters, "total_power": 212.85, "emeter_n": neutral, "fs_mounted": True})
    assert found == pytest.approx(
        {"p": 212.85, "p_l1": 51.08, "p_l2": 155.02, "p_l3": 6.75, "i_l1": 0.78, "i_l2": 0.66, "i_l3": 0.11}
        | {"u_l1": 234.9, "u_l2": 235.57, "u_l3": 234.7, "e_imp": 2_771_353.9, "e_exp": 428_962.5}
    )


def test_a_pro_3em_with_one_phase_connected() -> None:
    """A public sample: the phases without a wire show 0 V and 0 Hz; the frequency is that of the other."""
    em = {"id": 0, "a_current": 0.028, "a_voltage": 0.0, "a_act_power": 0.0, "a_freq": 0.0, "b_current": 0.027, "b_voltage": 0.0, "b_act_power": 0.0,
          "b_freq": 0.0, "c_current": 1.137, "c_voltage": 233.1, "c_act_power": 142.6, "c_pf": 0.54, "c_freq": 50.0, "n_current": None,
          "total_current": 1.192, "total_act_power": 142.605, "user_calibrated_phase": []}  # fmt: skip
    found = shelly({"ble": {}, "em:0": em, "emdata:0": {"id": 0, "total_act": 95884.11, "total_act_ret": 5123.04}, "modbus": {}, "sys": {"mac": "x"}})
    assert found is not None
    reading = judge("m", found, Convention(current="unsigned"), Expectation(63.0))
    assert (reading.quality, reading.frequency_hz, reading.power_w, reading.energy_export_wh) == (Quality.GOOD, 50.0, 142.605, 5123.04)
