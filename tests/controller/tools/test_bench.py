"""What is heard beside the tests: who a station says it is, and what time it believes it is."""

from __future__ import annotations

import json
from typing import Any

from controller.tools.bench import Ear
from controller.tools.client import Controller

NOW_WALL_S = 1_780_000_000.0  # 2026-05-28T20:26:40Z


def ear() -> Ear:
    return Ear(Controller("http://127.0.0.1:1"), "CP1")


def call(action: str, payload: Any, kind: str = "CALL") -> dict[str, Any]:
    return {"kind": kind, "action": action, "wall_s": NOW_WALL_S, "text": json.dumps([2, "1", action, payload])}


def test_a_boot_of_either_family_says_who_it_is() -> None:
    new, old = ear(), ear()
    new.hear(call("BootNotification", {"reason": "PowerUp", "chargingStation": {"vendorName": "Acme", "model": "W\x1b22", "firmwareVersion": "1.2"}}))
    old.hear(call("BootNotification", {"chargePointVendor": "Acme", "chargePointModel": "W22", "chargePointSerialNumber": "7"}))
    assert new.details == {"vendor": "Acme", "model": "W22", "firmware": "1.2"}
    assert old.details == {"vendor": "Acme", "model": "W22", "serial": "7"}


def test_its_clock_is_read_from_what_it_sends_live() -> None:
    heard = ear()
    heard.hear(call("StatusNotification", {"timestamp": "2026-05-28T20:27:40Z"}))
    heard.hear(call("MeterValues", {"meterValue": [{"timestamp": "2026-05-28T22:26:10+02:00"}]}))
    heard.hear(call("TransactionEvent", {"timestamp": "2020-01-01T00:00:00Z", "offline": True}))
    assert heard.offsets_s == [60.0, -30.0]


def test_nonsense_says_nothing() -> None:
    heard = ear()
    for payload in ({"timestamp": "soon"}, {"timestamp": "2026-05-28T20:27:40"}, {"timestamp": 5}, {"meterValue": [5]}, [], {"chargingStation": 3}):
        heard.hear(call("BootNotification", payload))
    heard.hear(call("StatusNotification", {"timestamp": "2026-05-28T20:27:40Z"}, kind="RESULT"))
    assert heard.offsets_s == []
    assert heard.details == {}
