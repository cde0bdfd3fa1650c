"""The 2.x family: the contract of a dialect beside profiles and commands."""

from controller.ocpp.registry import dialect_for, dialects

DIALECT = dialects()["ocpp2.0.1"]


def test_the_registry_finds_the_version_by_its_folder() -> None:
    assert dialect_for("ocpp2.0.1") is DIALECT
    assert dialect_for("ocpp1.2") is None


def test_boot_words() -> None:
    assert [DIALECT.boot_status({"status": s}) for s in ("Accepted", "Pending", "Rejected", "odd")] == ["Accepted", "Pending", "Rejected", "Rejected"]
    assert DIALECT.boot_status({}) == "Rejected"


def test_what_waited_is_marked_offline() -> None:
    assert DIALECT.mark_offline("TransactionEvent", {"seqNo": 1}) == {"seqNo": 1, "offline": True}
    assert DIALECT.mark_offline("MeterValues", {"evseId": 1}) == {"evseId": 1}
