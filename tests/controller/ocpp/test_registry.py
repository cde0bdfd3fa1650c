"""Versions are found by their folders; what they share is none."""

from controller.ocpp.registry import dialect_for, dialects


def test_each_version_folder_is_found_under_its_subprotocol() -> None:
    found = dialects()
    assert {"ocpp2.0.1", "ocpp2.1"} <= set(found)
    assert all(name == dialect.subprotocol and name == f"ocpp{dialect.version}" for name, dialect in found.items())


def test_a_shared_folder_is_no_version_and_an_unknown_name_none_either() -> None:
    assert all(name.startswith("ocpp") and "." in name for name in dialects())
    assert dialect_for("ocpp2") is None
    assert dialect_for("ocpp1.2") is None
    assert dialect_for("") is None
