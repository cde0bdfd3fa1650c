"""The demo's broker carries the fleet manager's limit in the form the product accepts."""

from __future__ import annotations

import asyncio

import paho.mqtt.client as paho
import pytest
from aiohttp import web
from paho.mqtt.enums import CallbackAPIVersion

from controller.facts import LimitUnit
from controller.io.api.models import NeedBody
from controller.io.mqtt.payloads import parse_limit
from controller.sim.broker import FleetManager, SimBroker
from controller.sim.demo import choose_ports
from tests.controller.sim.kit import stamp


@pytest.mark.system
async def test_a_limit_reaches_a_listener_and_is_a_valid_limit() -> None:
    port, broker = choose_ports(0).mqtt, SimBroker()
    await broker.start(port)
    loop = asyncio.get_running_loop()
    heard: asyncio.Future[bytes] = loop.create_future()
    subscribed = asyncio.Event()
    listener = paho.Client(CallbackAPIVersion.VERSION2, client_id="listener")
    listener.on_subscribe = lambda *_: loop.call_soon_threadsafe(subscribed.set)
    listener.on_message = lambda _client, _data, message: loop.call_soon_threadsafe(heard.set_result, message.payload)
    fleet = FleetManager("depot", port)
    try:
        await asyncio.to_thread(listener.connect, "127.0.0.1", port)
        listener.loop_start()
        listener.subscribe("yardmaster/depot/limit/set", qos=1)
        await asyncio.wait_for(subscribed.wait(), 10)
        await fleet.start()
        fleet.limit(50.0, "A", 30.0)
        limit = parse_limit(await asyncio.wait_for(heard, 10), stamp(0), "mqtt", 900.0)
    finally:
        listener.disconnect()
        await asyncio.to_thread(listener.loop_stop)
        await fleet.stop()
        await broker.stop()
    assert (limit.source, limit.value, limit.unit, limit.valid_for_s) == ("mqtt:fleet", 50.0, LimitUnit.A, 30.0)


@pytest.mark.system
async def test_who_speaks_for_the_grid_operator_hears_that_it_was_answered() -> None:
    """What is said before the controller listens is lost; it is said again until the answer comes."""
    port, broker = choose_ports(0).mqtt, SimBroker()
    await broker.start(port)
    fleet = FleetManager("depot", port)
    speaker = paho.Client(CallbackAPIVersion.VERSION2, client_id="controller")
    try:
        await fleet.start()
        assert fleet.answered == set()
        await asyncio.to_thread(speaker.connect, "127.0.0.1", port)
        speaker.loop_start()
        async with asyncio.timeout(10):
            while "dso" not in fleet.answered:
                speaker.publish("yardmaster/depot/signal/dso/answer", "{}", qos=1)
                await asyncio.sleep(0.05)
    finally:
        speaker.disconnect()
        await asyncio.to_thread(speaker.loop_stop)
        await fleet.stop()
        await broker.stop()


@pytest.mark.system
async def test_the_fleet_manager_says_what_a_car_needs_and_sees_whether_it_was_taken() -> None:
    heard, answers = [], iter([202, 409])

    async def need(request: web.Request) -> web.Response:
        heard.append((request.path, await request.json()))
        return web.json_response({}, status=next(answers))

    app = web.Application()
    app.router.add_post("/api/v1/evses/{station}/{evse}/need", need)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    fleet = FleetManager("depot", 0, runner.addresses[0][1])
    taken = [await fleet.need("A5", 1, 40_000.0, 1_781_762_400.0) for _ in range(2)]
    await runner.cleanup()
    assert [*taken, await fleet.need("A5", 1, 1.0, 2.0)] == [True, False, False]
    path, body = heard[0]
    assert path == "/api/v1/evses/A5/1/need"
    assert NeedBody.model_validate(body).energy_wh == 40_000.0
