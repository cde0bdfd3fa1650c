"""What chargers say of themselves is put together from pages, kept, and never replaced by half of it."""

from __future__ import annotations

from typing import Any

from controller.link.depot.addresses import name_of
from controller.link.depot.model import DeviceModel
from controller.ocpp.hub import Said
from tests.support.model_charger import NOW, ModelCharger, entry, usual
from tests.support.model_desk import Desk, depot_site

Payload = dict[str, Any]


def depot() -> tuple[Desk, DeviceModel]:
    desk = Desk([DeviceModel], depot_site(("CP1",)))
    part = desk.parts[0]
    assert isinstance(part, DeviceModel)
    return desk, part


def pages(desk: Desk, request_id: int, *numbers: int, last: int) -> None:
    for seq in numbers:
        item = entry(f"C{seq}", "V", str(seq))
        head = {"requestId": request_id, "generatedAt": NOW, "seqNo": seq, "tbc": seq != last}
        assert desk.station("CP1", "NotifyReport", {**head, "reportData": [item]}) == Said({})


def known(part: DeviceModel) -> set[str]:
    return {name.component for name in part.inventories.of("CP1")}


def asked(desk: Desk) -> int:
    """The requestId of the last question; the charger has accepted it."""
    return int(desk.chargers["CP1"].asked("GetBaseReport")[-1]["requestId"])


def test_pages_in_any_order_make_the_whole() -> None:
    desk, part = depot()
    desk.chargers["CP1"].says["GetBaseReport"] = {"status": "Accepted"}
    desk.seconds(7)
    pages(desk, asked(desk), 2, 0, last=2)
    desk.seconds(2)
    assert known(part) == set()  # one is missing still
    pages(desk, asked(desk), 1, last=2)
    desk.seconds(2)
    assert known(part) == {"c0", "c1", "c2"}


def test_half_a_report_replaces_nothing_and_another_ones_pages_do_not_count() -> None:
    desk, part = depot()
    ModelCharger(desk, "CP1", usual())
    desk.seconds(30)
    before = known(part)
    desk.chargers["CP1"].says["GetBaseReport"] = {"status": "Accepted"}
    desk.changed("CP1", boot={"vendorName": "V", "model": "new"})
    desk.seconds(8)
    pages(desk, asked(desk) + 1, 0, last=0)
    pages(desk, asked(desk), 0, 2, last=2)
    desk.seconds(60)
    assert known(part) == before


def test_attributes_of_one_variable_in_several_elements_are_joined() -> None:
    desk, part = depot()
    target = entry("Fan", "Speed", "900")
    target["variableAttribute"][0]["type"] = "Target"
    desk.chargers["CP1"].says["GetBaseReport"] = {"status": "Accepted"}
    desk.seconds(7)
    head = {"requestId": asked(desk), "generatedAt": NOW, "seqNo": 0}
    desk.station("CP1", "NotifyReport", {**head, "reportData": [entry("Fan", "Speed", "850"), target]})
    desk.seconds(2)
    found = part.inventories.of("CP1")[name_of({"name": "Fan"}, {"name": "Speed"})]
    assert [(one["type"], one["value"]) for one in found["variableAttribute"]] == [("Actual", "850"), ("Target", "900")]


def test_what_is_on_disk_and_cannot_be_read_is_asked_again() -> None:
    desk, _ = depot()
    ModelCharger(desk, "CP1", usual())
    desk.seconds(30)
    desk.kept["memory"]["model:inventory:CP1"] = "not what was put there"
    desk = desk.again()
    part = desk.parts[0]
    assert isinstance(part, DeviceModel)
    assert known(part) == set()
    desk.seconds(30)
    assert "temperaturesensor" in known(part)


def test_only_values_that_change_are_not_written_again() -> None:
    desk, _ = depot()
    charger = ModelCharger(desk, "CP1", usual())
    desk.seconds(30)
    packed = desk.kept["memory"]["model:inventory:CP1"]
    charger.items[name_of({"name": "SampledDataCtrlr"}, {"name": "TxUpdatedInterval"})]["variableAttribute"][0]["value"] = "5"
    desk.changed("CP1", boot={"vendorName": "V", "model": "new"})
    desk.seconds(30)
    assert len(desk.chargers["CP1"].asked("GetBaseReport")) == 2
    assert desk.kept["memory"]["model:inventory:CP1"] == packed
