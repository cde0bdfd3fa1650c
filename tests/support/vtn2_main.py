"""A real openleadr VTN in a process of its own: ``python -m tests.support.vtn2_main PORT CONTROL_PORT [CERT KEY CA]``.

The control port takes JSON: {"add": {...}}, {"cancel": id}, {"modify": {...}}, {"forget": true}, {"poll_s": 300}, {"refuse": 2} (answers to
events are not taken), {"wipe": true} (as it was when it began); GET shows what came in.
"""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from aiohttp import web
from openleadr import OpenADRServer, enums, objects, utils


class World:
    """What the VTN knows and has seen."""

    def __init__(self) -> None:
        self.vens: dict[str, str] = {}
        self.opts: list[list[str]] = []
        self.reports: list[list[Any]] = []
        self.offered: list[str] = []
        self.registrations = 0
        self.fingerprint: str | None = None
        self.server: Any = None
        self.polls = 0
        self.refuse = 0

    @web.middleware
    async def door(self, request: web.Request, handler: Any) -> Any:
        body = await request.text()
        self.polls += "oadrPoll>" in body
        if "oadrCreatedEvent>" in body and self.refuse > 0:
            self.refuse -= 1
            return web.Response(status=503)
        return await handler(request)

    def wipe(self) -> None:
        """Nothing has happened yet."""
        self.vens, self.opts, self.reports, self.offered, self.registrations, self.polls, self.refuse = {}, [], [], [], 0, 0, 0
        self.server.events.clear()
        self.server.services["registration_service"].poll_freq = timedelta(seconds=1)

    async def register(self, registration: dict[str, Any]) -> Any:
        self.registrations += 1
        self.vens["ven-id"] = registration["ven_name"]
        self.fingerprint = registration.get("fingerprint")
        return "ven-id", f"registration-{self.registrations}"

    async def look_up(self, ven_id: str) -> Any:
        """None asks the VEN to register again."""
        return (
            {"ven_id": ven_id, "registration_id": f"registration-{self.registrations}", "fingerprint": self.fingerprint}
            if ven_id in self.vens
            else None
        )

    async def offer(
        self, ven_id: str, resource_id: str, measurement: str, unit: str, scale: str, min_sampling_interval: Any, max_sampling_interval: Any
    ) -> Any:
        self.offered.append(measurement)
        return partial(self.report, measurement), timedelta(seconds=1), timedelta(seconds=2)

    def report(self, measurement: str, values: list[Any]) -> None:
        self.reports.append([measurement, [value for _, value in values]])

    def answer(self, ven_id: str, event_id: str, opt_type: str) -> None:
        self.opts.append([event_id, opt_type])

    def add(self, body: dict[str, Any]) -> None:
        """One signal with one or more intervals."""
        self.server.add_raw_event("ven-id", self.event(body), callback=self.answer)

    def event(self, body: dict[str, Any], version: int = 0) -> Any:
        start = datetime.fromtimestamp(body["start"], UTC)
        length = timedelta(seconds=body["seconds"])
        values = body["values"]
        intervals = [objects.Interval(dtstart=start + place * length, duration=length, signal_payload=value) for place, value in enumerate(values)]
        measurement = enums.MEASUREMENTS[body["measurement"]] if body.get("measurement") else None
        if measurement is not None and body.get("unit"):
            measurement.unit = body["unit"]
        signal = objects.EventSignal(
            intervals=intervals, signal_name=body["name"], signal_type=body["type"], signal_id="signal", measurement=measurement
        )
        descriptor = objects.EventDescriptor(
            event_id=body["id"],
            modification_number=version,
            market_context="http://market.example",
            event_status="far",
            test_event=body.get("test", False),
            priority=body.get("priority", 0),
        )
        period = objects.ActivePeriod(dtstart=start, duration=timedelta(seconds=body["seconds"] * len(values)))
        return objects.Event(
            event_descriptor=descriptor,
            event_signals=[signal],
            targets=[objects.Target(ven_id="ven-id")],
            active_period=period,
            response_required="always",
        )

    async def control(self, request: web.Request) -> web.Response:
        body = await request.json()
        if "add" in body:
            self.add(body["add"])
        if "cancel" in body:
            self.server.cancel_event("ven-id", body["cancel"])
            event = utils.find_by(self.server.events["ven-id"], "event_descriptor.event_id", body["cancel"])
            self.server.event_callbacks[body["cancel"]] = (event, self.answer)
        if "modify" in body:
            events = self.server.events["ven-id"]
            utils.pop_by(events, "event_descriptor.event_id", body["modify"]["id"])
            self.server.add_raw_event("ven-id", self.event(body["modify"], body["modify"]["version"]), callback=self.answer)
        if body.get("forget"):
            self.vens.clear()
        if "poll_s" in body:
            self.server.services["registration_service"].poll_freq = timedelta(seconds=body["poll_s"])
        self.refuse = body.get("refuse", self.refuse)
        if body.get("wipe"):
            self.wipe()
        return web.json_response({})

    async def show(self, request: web.Request) -> web.Response:
        return web.json_response(
            {
                "opts": self.opts,
                "reports": self.reports,
                "offered": self.offered,
                "registrations": self.registrations,
                "vens": self.vens,
                "polls": self.polls,
            }
        )


async def main(port: int, control_port: int, cert: str | None = None, key: str | None = None, ca: str | None = None) -> None:
    world = World()
    extra: dict[str, Any] = {}
    if cert:
        extra = {"cert": cert, "key": key, "http_cert": cert, "http_key": key, "http_ca_file": ca}
    world.server = OpenADRServer(
        vtn_id="VTN",
        http_port=port,
        http_host="127.0.0.1",
        requested_poll_freq=timedelta(seconds=1),
        ven_lookup=world.look_up,
        show_fingerprint=False,
        **extra,
    )
    world.server.add_handler("on_create_party_registration", world.register)
    world.server.add_handler("on_register_report", world.offer)
    world.server.app.middlewares.append(world.door)
    await world.server.run()
    app = web.Application()
    app.router.add_post("/", world.control)
    app.router.add_get("/", world.show)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", control_port).start()
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:]))
