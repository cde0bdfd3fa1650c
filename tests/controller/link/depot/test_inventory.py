"""What chargers say of themselves is put together from pages, kept, and never replaced by half of it."""

from __future__ import annotations

from typing import Any

import pytest

from controller.link.depot.addresses import name_of
from controller.link.depot.inventory_entries import share_of
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


def test_a_charger_that_never_ends_its_report_does_not_keep_the_others_waiting_for_ever() -> None:
    desk = Desk([DeviceModel], depot_site(("CP1", "CP2")))
    ModelCharger(desk, "CP2", usual())
    desk.chargers["CP1"].says["GetBaseReport"] = {"status": "Accepted"}
    desk.seconds(7)
    for seq in range(130):  # a page every five seconds, never the last one
        pages(desk, asked(desk), seq, last=10**9)
        desk.seconds(5)
    part = desk.parts[0]
    assert isinstance(part, DeviceModel)
    assert known(part) == set()
    assert part.inventories.of("CP2")


def test_one_charger_fills_no_memory() -> None:
    desk, part = depot()
    desk.chargers["CP1"].says["GetBaseReport"] = {"status": "Accepted"}
    desk.seconds(7)
    for seq in range(50):
        items = [entry(f"C{seq}", f"V{number}", "x") for number in range(100)]
        head = {"requestId": asked(desk), "generatedAt": NOW, "seqNo": seq, "tbc": True}
        assert desk.station("CP1", "NotifyReport", {**head, "reportData": items}) == Said({})
    desk.seconds(3)
    assert len(part.inventories.of("CP1")) == 4000


@pytest.mark.parametrize(("stations", "most"), [(0, 4000), (1, 4000), (37, 4000), (100, 1500), (1000, 500)])
def test_many_chargers_share_what_there_is(stations: int, most: int) -> None:
    assert share_of(stations) == most


def test_after_a_start_they_are_unpacked_little_by_little_and_a_report_waits_for_them() -> None:
    stations = tuple(f"CP{number}" for number in range(30))
    desk = Desk([DeviceModel], depot_site(stations))
    plenty = [entry(f"Fan{number}", f"{number * 7919 % 10007}", "x") for number in range(300)]
    for station in stations:
        ModelCharger(desk, station, usual(1, plenty), page=400)
    desk.seconds(7 + 5 * len(stations))
    desk = desk.again()
    part = desk.parts[0]
    assert isinstance(part, DeviceModel)
    seen = []
    while not part.inventories.ready:
        desk.seconds(1)
        seen.append(sum(map(part.inventories.at_hand, stations)))
    assert len(seen) > 3  # some each second, never all at once
    desk = desk.again()
    for card in desk.office.cards.values():
        card.linked = False
    request = {"requestId": 5, "componentVariable": [{"component": {"name": "Fan7"}}]}
    assert desk.answer("GetReport", request) == {"status": "Accepted"}
    desk.seconds(60)
    told = [item for page in desk.heard("NotifyReport") for item in page["reportData"]]
    assert [item["component"]["instance"] for item in told] == list(stations)
