"""The OCA's schema files of PyPI ``ocpp``."""

from __future__ import annotations

import pytest

from controller.io import schemas
from controller.io.schemas import read_schema, shapes
from tests.support.shapes import VERSIONS


def test_requests_and_answers_are_told_apart() -> None:
    for version in VERSIONS:
        request, answer = read_schema(version, "DataTransfer", False), read_schema(version, "DataTransfer", True)
        assert request is not None
        assert answer is not None
        assert "vendorId" in request["properties"]
        assert "status" in answer["properties"]


def test_a_send_has_a_request_only() -> None:
    assert read_schema("ocpp2.1", "NotifyPeriodicEventStream", False) is not None
    assert read_schema("ocpp2.1", "NotifyPeriodicEventStream", True) is None
    assert read_schema("ocpp2.0.1", "NotifyPeriodicEventStream", False) is None


def test_what_a_version_does_not_have_is_none() -> None:
    for action in ("NoSuchThing", "ResetResponse", "", "../v21/schemas/Reset", "x" * 5000, "Reset\0"):
        assert read_schema("ocpp1.6", action, False) is None
    assert read_schema("ocpp3", "Reset", False) is None


def test_a_file_is_read_once() -> None:
    assert read_schema("ocpp2.1", "Reset", False) is read_schema("ocpp2.1", "Reset", False)
    assert shapes() is shapes()


def test_all_files_are_read_at_the_start() -> None:
    shapes()
    before = schemas._read.cache_info().misses
    assert shapes().check("ocpp2.0.1", "ClearCache", False, {}) == ""
    assert schemas._read.cache_info().misses == before
    assert before == sum(len(schemas._names(version)) for version in VERSIONS)


def test_a_missing_package_shows_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schemas, "find_spec", lambda name: None)
    schemas._folder.cache_clear()
    try:
        with pytest.raises(RuntimeError, match="install Yardmaster with its dependencies"):
            schemas._folder("ocpp2.1")
    finally:
        schemas._folder.cache_clear()


def test_unknown_actions_of_bad_stations_are_not_remembered() -> None:
    before = schemas._read.cache_info().currsize
    for number in range(100):
        assert shapes().check("ocpp1.6", f"Nonsense{number}", False, {}) == f"ocpp1.6 has no Nonsense{number}"
    assert schemas._read.cache_info().currsize == before
