"""Contacts over files and over a real Modbus server of pymodbus, on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pymodbus.datastore import ModbusDeviceContext, ModbusSequentialDataBlock, ModbusServerContext
from pymodbus.server import ModbusTcpServer

from controller.facts import ContactsRead, SourceChanged
from controller.io.signals.contacts import _groups, build, read_file
from tests.support.signal_wire import Wire


def wire(*pins: dict[str, Any], **more: Any) -> Wire:
    contacts = [{"name": f"K{number}", "pin": pin, "consumption_w": 1000.0 * number} for number, pin in enumerate(pins)]
    return Wire({"type": "contacts", "contacts": contacts, "poll_s": 0.05, "debounce_s": 0.0, **more}, build)


@pytest.fixture
async def module() -> AsyncIterator[tuple[int, Any]]:
    """A server with discrete inputs 0..31 and coils 0..31, all open. Yields (port, its context)."""
    inputs, coils = ModbusSequentialDataBlock(1, [False] * 32), ModbusSequentialDataBlock(1, [False] * 32)
    context = ModbusServerContext(devices=ModbusDeviceContext(di=inputs, co=coils), single=True)
    server = ModbusTcpServer(context, address=("127.0.0.1", 0))
    await server.listen()
    assert server.transport is not None
    yield server.transport.sockets[0].getsockname()[1], server
    await server.shutdown()


def pin(port: int, address: int, table: str = "input") -> dict[str, Any]:
    return {"type": "modbus", "host": "127.0.0.1", "port": port, "address": address, "table": table}


async def close(server: Any, function: int, address: int) -> None:
    """Close a contact: of the inputs (2) or coils (1)."""
    await server.context.async_setValues(0, function, address, [True])


async def read_all(there: Wire) -> tuple[bool | None, ...]:
    """Look until the line is there."""
    driver: Any = there.driver
    for _ in range(1000):
        found: tuple[bool | None, ...] = await driver.look()
        if None not in found:
            return found
        await asyncio.sleep(0.02)
    raise AssertionError("the module was never read")


async def test_inputs_and_coils_of_a_module(module: tuple[int, Any]) -> None:
    port, server = module
    there = wire(pin(port, 3), pin(port, 0), pin(port, 5, "coil"))
    assert await read_all(there) == (False, False, False)
    await close(server, 2, 3)
    await close(server, 1, 5)
    assert await read_all(there) == (True, False, True)
    await there.driver._around.buses.close()  # type: ignore[attr-defined]


async def test_addresses_a_module_does_not_have_are_not_asked_for_between(module: tuple[int, Any]) -> None:
    port, server = module
    await close(server, 2, 0)
    there = wire(pin(port, 0), pin(port, 40))  # 40 does not exist
    driver: Any = there.driver
    for _ in range(1000):
        found = await driver.look()
        if found[0] is not None:
            break
        await asyncio.sleep(0.02)
    assert found == (True, None)
    await driver._around.buses.close()


async def test_files(tmp_path: Path) -> None:
    first, second = tmp_path / "gpio17", tmp_path / "gpio18"
    first.write_text("1\n")
    second.write_text("0")
    there = wire({"type": "file", "path": str(first)}, {"type": "file", "path": str(second)}, {"type": "file", "path": str(tmp_path / "gone")})
    driver: Any = there.driver
    assert await driver.look() == (True, False, None)


@pytest.mark.parametrize("text", ["", "2", "yes", "1 0"])
def test_a_file_that_holds_something_else_cannot_be_read(tmp_path: Path, text: str) -> None:
    (tmp_path / "pin").write_text(text)
    with pytest.raises(ValueError, match="not 0 or 1"):
        read_file(tmp_path / "pin")


async def test_the_driver_tells_readings_and_its_health(tmp_path: Path) -> None:
    path = tmp_path / "pin"
    path.write_text("0")
    there = wire({"type": "file", "path": str(path)})
    running = asyncio.ensure_future(there.driver.run())

    async def until(word: str, closed: bool | None) -> None:
        for _ in range(2000):
            seen = [fact.closed for fact in there.facts if isinstance(fact, ContactsRead)]
            if seen and seen[-1] == (closed,):
                return
            await asyncio.sleep(0.01)
        raise AssertionError(word)

    await until("open", False)
    (tmp_path / "next").write_text("1")
    (tmp_path / "next").replace(path)  # at once, as the kernel's files change: it is read in another thread, which must not see it empty
    await until("closed", True)
    path.unlink()
    await until("gone", None)
    running.cancel()
    changes = [(fact.healthy, fact.detail) for fact in there.facts if isinstance(fact, SourceChanged)]
    assert [healthy for healthy, _ in changes] == [True, False]
    assert "pin" in changes[1][1]


def test_pins_of_one_module_are_read_together() -> None:
    there = wire(pin(502, 0), pin(502, 5), pin(502, 200), pin(503, 1), pin(502, 7, "coil"))
    driver: Any = there.driver
    assert sorted(map(sorted, _groups(driver._pins))) == [[0, 1], [2], [3], [4]]
