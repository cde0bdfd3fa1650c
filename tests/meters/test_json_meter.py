"""Whether a JSON meter still measures: ``measured_at``, for devices and gateways that go on answering with an old value (F41)."""

from __future__ import annotations

from typing import Any

import pytest

from meters.json_fields import Field, JsonError, parse_path
from meters.json_meter import JsonMeter


def meter(path: str = "time") -> JsonMeter:
    return JsonMeter("json", {"p": Field(("w",))}, parse_path(path))


def age_s(made: JsonMeter, document: Any, mono_s: float) -> float:
    values = made.take(document, mono_s)
    assert values is not None
    return values.age_s


@pytest.mark.parametrize("stamps", [("2026-01-01T10:00:00Z", "2026-01-01T10:00:05Z"), (17, 18), (1.5, 1.6), (9, 8)])
def test_f41_values_age_while_their_time_stands_still(stamps: tuple[Any, Any]) -> None:
    made, (first, second) = meter(), stamps
    for mono_s in (0.0, 1.0):
        with pytest.raises(JsonError, match="has not moved yet"):
            made.take({"w": 100, "time": first}, mono_s)
    assert [age_s(made, {"w": 100 + mono_s, "time": second}, mono_s) for mono_s in (2.0, 3.0, 14.0)] == [0.0, 1.0, 12.0]
    assert age_s(made, {"w": 100, "time": first}, 15.0) == 0.0, "any change counts: clocks are set back"


@pytest.mark.parametrize("document", [{"w": 1}, {"w": 1, "time": None}, {"w": 1, "time": {}}, [1]])
def test_a_document_without_its_time_is_not_believed(document: Any) -> None:
    with pytest.raises(JsonError, match="is not in the document"):
        meter().take(document, 0.0)


def test_without_the_setting_every_answer_is_new() -> None:
    made = JsonMeter("json", {"p": Field(("w",))})
    assert [age_s(made, {"w": 1, "time": 1}, mono_s) for mono_s in (0.0, 60.0)] == [0.0, 0.0]
