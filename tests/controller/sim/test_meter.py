"""The simulated meters, read by a pymodbus client and by the product's own decoder."""

from __future__ import annotations

import pytest
from pymodbus.client import AsyncModbusTcpClient

from controller.paths import config_dir
from controller.sim.meter import MAP_NAME, SimMeters, image
from controller.sim.site import MeterValues
from meters.decode import decode, probe_matches
from meters.quality import Convention, Expectation, judge
from meters.reading import Quality
from meters.template import load_template

TEMPLATE = load_template(config_dir() / "meters" / f"{MAP_NAME}.yaml")


def test_what_is_encoded_is_decoded_and_believed() -> None:
    words = image(TEMPLATE, MeterValues((10.5, -3.25, 0.0), import_wh=1234.5, export_wh=6.0))
    assert TEMPLATE.probe is not None
    assert probe_matches(TEMPLATE.probe, words)
    reading = judge("grid", decode(TEMPLATE, words), Convention("import", "signed"), Expectation(125.0, 230.0, (0, 1, 2)))
    assert reading.quality is Quality.GOOD
    assert reading.current_a == (10.5, -3.25, 0.0)
    assert reading.power_w == pytest.approx(230 * 7.25)
    assert (reading.energy_import_wh, reading.energy_export_wh, reading.soc_percent) == (1234.5, 6.0, None)


@pytest.mark.system
async def test_units_answer_with_fresh_values_and_can_fall_silent() -> None:
    now = {"a": 1.0}
    units = {1: lambda: MeterValues((now["a"], 0.0, 0.0)), 3: lambda: MeterValues((0.0, 0.0, 0.0), soc_percent=50.0)}
    meters = SimMeters(config_dir() / "meters", units)
    await meters.start()
    client = AsyncModbusTcpClient("127.0.0.1", port=meters.port)
    try:
        await client.connect()
        assert await read(client, 1, "i_l1") == 1.0
        now["a"] = 2.0
        assert await read(client, 1, "i_l1") == 2.0
        assert await read(client, 3, "soc") == 50.0
        assert await read(client, 1, "soc") is None
        meters.silent = True
        assert (await client.read_holding_registers(0, count=30, device_id=1)).isError()
    finally:
        client.close()
        await meters.stop()


async def read(client: AsyncModbusTcpClient, unit: int, quantity: str) -> float | None:
    answer = await client.read_holding_registers(0, count=30, device_id=unit)
    return decode(TEMPLATE, dict(enumerate(answer.registers)))[quantity]
