"""Charging sessions as a station lives them, told through the independent peers; one class per family of versions."""

from __future__ import annotations

from typing import Any

from tests.conformance.world import World

TOKEN = {"id_token": "GOOD-1", "type": "ISO14443"}
TRIGGERS = {"Started": "CablePluggedIn", "Updated": "MeterValuePeriodic", "Ended": "EVDeparted"}


class Session16:
    """A session of a 1.6 station. id: the transaction id it was told."""

    def __init__(self, here: World, tag: str, minute: int) -> None:
        self.here, self.tag, self.minute, self.wh, self.id = here, tag, minute, 1000 * minute, 0

    async def start(self) -> dict[str, Any]:
        await self.here.call("StatusNotification", connector_id=1, error_code="NoError", status="Preparing")
        answer = await self.here.call("StartTransaction", connector_id=1, id_tag=self.tag, meter_start=self.wh, timestamp=self.time())
        self.id = answer["transaction_id"]
        assert answer["id_tag_info"]["status"] == "Accepted"
        await self.here.call("StatusNotification", connector_id=1, error_code="NoError", status="Charging")
        return answer

    async def read(self) -> None:
        self.wh += 10
        sample = {"value": str(self.wh), "context": "Sample.Periodic", "measurand": "Energy.Active.Import.Register", "unit": "Wh"}
        value = {"timestamp": self.time(), "sampled_value": [sample]}
        await self.here.call("MeterValues", connector_id=1, transaction_id=self.id, meter_value=[value])

    async def stop(self, reason: str = "Local") -> None:
        self.wh += 10
        await self.here.call("StopTransaction", transaction_id=self.id, meter_stop=self.wh, timestamp=self.time(), reason=reason)
        await self.here.call("StatusNotification", connector_id=1, error_code="NoError", status="Available")

    def time(self) -> str:
        return f"2026-11-21T16:{self.minute:02d}:{self.wh // 10 % 100 % 60:02d}Z"


class Session2:
    """A session of a 2.x station. id: its own transaction id."""

    def __init__(self, here: World, number: int) -> None:
        self.here, self.id, self.seq, self.number = here, f"tx-{number}", 0, number

    async def start(self) -> None:
        await self.status("Occupied")
        answer = await self._event("Started", evse={"id": 1, "connector_id": 1}, id_token=TOKEN)
        assert answer["id_token_info"]["status"] == "Accepted"

    async def read(self) -> None:
        sample = {"value": 5.98, "measurand": "Current.Import", "phase": "L1", "context": "Sample.Periodic"}
        await self._event("Updated", meter_value=[{"timestamp": self._time(), "sampled_value": [sample]}])

    async def stop(self) -> None:
        await self._event("Ended")
        await self.status("Available")

    async def status(self, status: str) -> None:
        await self.here.call("StatusNotification", timestamp=self._time(), connector_status=status, evse_id=1, connector_id=1)

    async def _event(self, kind: str, **more: Any) -> dict[str, Any]:
        info = {"transaction_id": self.id, "charging_state": "EVConnected" if kind == "Ended" else "Charging"}
        seq, self.seq = self.seq, self.seq + 1
        return await self.here.call(
            "TransactionEvent",
            event_type=kind,
            timestamp=self._time(),
            trigger_reason=TRIGGERS[kind],
            seq_no=seq,
            transaction_info=info,
            **more,
        )

    def _time(self) -> str:
        return f"2026-11-21T16:{self.number:02d}:{self.seq:02d}Z"


async def boot_16(here: World) -> None:
    assert (await here.call("BootNotification", charge_point_vendor="Indie", charge_point_model="One"))["status"] == "Accepted"
    assert (await here.call("Authorize", id_tag="GOOD-1"))["id_tag_info"]["status"] == "Accepted"
    assert (await here.call("Authorize", id_tag="BAD-1"))["id_tag_info"]["status"] == "Invalid"


async def boot_2(here: World) -> None:
    booted = await here.call("BootNotification", reason="PowerUp", charging_station={"vendor_name": "Indie", "model": "One"})
    assert booted["status"] == "Accepted"
    assert (await here.call("Authorize", id_token=TOKEN))["id_token_info"]["status"] == "Accepted"
    bad = await here.call("Authorize", id_token={**TOKEN, "id_token": "BAD-1"})
    assert bad["id_token_info"]["status"] == "Invalid"
