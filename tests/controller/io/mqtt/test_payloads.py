"""What others send: limits and meter values, good and bad (B36-B40, F53-F55)."""

import json
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.facts import LimitReceived, LimitUnit, Stamp
from controller.io.mqtt.payloads import PayloadError, parse_limit, parse_meter, shown
from tests.support.examples import examples

NOW = Stamp(mono_s=50.0, wall_s=1_780_000_000.0)  # 2026-05-28T20:26:40Z


def limit(text: str | bytes, at: Stamp = NOW) -> LimitReceived:
    return parse_limit(text if isinstance(text, bytes) else text.encode(), at, "mqtt", 900.0)


def test_a_full_limit() -> None:
    fact = limit(
        '{"value": 40.5, "unit": "A", "valid_for_s": 600, "circuit": "garage", "sequence": 7, '
        '"issued_at": "2026-05-28T22:26:30+02:00", "source": "fleet"}'
    )
    expected = LimitReceived(NOW, "mqtt:fleet", "garage", 40.5, LimitUnit.A, 600.0, sequence=7, issued_wall_s=1_779_999_990.0)
    assert fact == expected


def test_what_may_be_left_out() -> None:  # F54: the end comes from limits.default_valid_for_s
    assert limit('{"value": 9000, "unit": "W"}') == LimitReceived(NOW, "mqtt", "grid", 9000.0, LimitUnit.W, 900.0)


@pytest.mark.parametrize("text", ['{"value": null}', '{"value": null, "unit": "W"}'])
def test_null_withdraws(text: str) -> None:
    assert limit(text).value is None


def test_zero_is_a_limit() -> None:
    assert limit('{"value": 0, "unit": "A"}').value == 0.0


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "the payload is empty"),
        (b"  \n", "the payload is empty"),
        (b"10", "must be a JSON object"),
        (b'"NaN"', "must be a JSON object"),
        (b"10kW", "not JSON"),
        (b'{"value": 10', "not JSON"),
        (b"\xff\xfe\x00\x01", "not UTF-8"),
        (b" " * 1_000_000 + b"{}", "longer than 4096 bytes"),
        (b"[" * 4000, "not JSON"),
        (b'{"value": NaN, "unit": "A"}', "NaN is not a number"),
        (b'{"value": Infinity, "unit": "A"}', "Infinity is not a number"),
        (b'{"value": 1e999, "unit": "A"}', "value"),
        (b'{"value": 10}', "unit is missing"),
        (b'{"unit": "A"}', "value is missing"),
        (b'{"value": "10", "unit": "A"}', "value: Input should be a valid number"),
        (b'{"value": "10kW", "unit": "W"}', "value: Input should be a valid number"),
        (b'{"value": true, "unit": "A"}', "value: Input should be a valid number"),
        (b'{"value": 10, "unit": "kW"}', "unit: Input should be 'A' or 'W'"),
        (b'{"value": -1, "unit": "A"}', "value: Input should be greater than or equal to 0"),
        (b'{"value": 1e9, "unit": "W"}', "value: Input should be less than or equal to"),
        (b'{"value": 10, "unit": "A", "valid_for_s": 0}', "valid_for_s: Input should be greater than 0"),
        (b'{"value": 10, "unit": "A", "valid_for_s": -5}', "valid_for_s: Input should be greater than 0"),
        (b'{"limit": "abc"}', "limit is not a known key"),
        (b'{"value": 10, "unit": "A", "circuit": "a/b"}', "circuit"),
        (b'{"value": 10, "unit": "A", "sequence": 1.5}', "sequence"),
        (b'{"value": 10, "unit": "A", "sequence": -1}', "sequence"),
        (b'{"value": 10, "unit": "A", "issued_at": "yesterday"}', "issued_at"),
        (b'{"value": 10, "unit": "A", "issued_at": "2026-05-28T20:00:00"}', "issued_at: has no time zone"),
        (b'{"value": 10, "unit": "A", "issued_at": "2026-05-28T20:28:00Z"}', "80 s in the future"),
        (b'{"value": 10, "value": 20, "unit": "A"}', "value is given twice"),
    ],
)
def test_a_useless_limit_is_refused_with_a_sentence_for_its_sender(payload: bytes, reason: str) -> None:
    with pytest.raises(PayloadError) as caught:
        limit(payload)
    assert reason in str(caught.value)
    assert len(str(caught.value)) < 500


def test_a_box_that_does_not_know_the_time_does_not_judge_the_sender_s_clock() -> None:
    lost = Stamp(mono_s=1.0, wall_s=0.0, wall_trusted=False)
    assert limit('{"value": 1, "unit": "A", "issued_at": "2026-05-28T20:00:00Z"}', lost).issued_wall_s == 1_779_998_400.0


@given(st.binary(max_size=200))
def test_law_any_bytes_are_a_limit_or_a_refusal(payload: bytes) -> None:
    with suppress(PayloadError):
        limit(payload)


@settings(max_examples=examples(40))
@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_law_any_json_is_a_limit_or_a_refusal(value: object) -> None:
    with suppress(PayloadError):
        limit(json.dumps({"value": value, "unit": "A"}))


def test_meter_values() -> None:
    reading = parse_meter(b'{"current_a": [1, 2.5, -3], "power_w": 115, "voltage_v": 230, "energy_import_wh": 5, "soc_percent": 40}', "hall")
    assert (reading.meter_id, reading.current_a, reading.power_w) == ("hall", (1.0, 2.5, -3.0), 115.0)
    assert (reading.voltage_v, reading.soc_percent) == ((230.0, None, None), 40.0)


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"{}", "neither current_a nor power_w"),
        (b'{"current_a": []}', "current_a"),
        (b'{"current_a": [1, 2, 3, 4]}', "current_a"),
        (b'{"current_a": ["1"]}', "current_a"),
        (b'{"current_a": true}', "current_a"),
        (b'{"power_w": "5"}', "power_w"),
        (b'{"power_w": NaN}', "NaN"),
        (b'{"watts": 5}', "watts is not a known key"),
    ],
)
def test_useless_meter_values_are_refused(payload: bytes, reason: str) -> None:
    with pytest.raises(PayloadError) as caught:
        parse_meter(payload, "hall")
    assert reason in str(caught.value)


def test_payloads_are_shown_without_control_characters() -> None:
    assert shown(b"ab\x00\x1b[31mc\xff") == "ab\ufffd\ufffd[31mc\ufffd"
    assert len(shown(b"x" * 10_000)) == 200
