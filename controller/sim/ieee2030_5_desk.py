"""The desk of the simulated utility: ``python -m controller.sim.ieee2030_5_desk '{"port": ..., "desk_port": ..., "cert": ...}'``.

A plain door on loopback that takes orders as JSON, for tests and the demo. The server's own door is ``controller.sim.ieee2030_5``.
"""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from aiohttp import web

from controller.io.clock import Clock
from controller.sim.ieee2030_5 import CIPHERS, Faults, UtilityServer, tls
from controller.sim.ieee2030_5_utility import Planned, SimProgram, Utility
from signals.csip_identity import der_of_pem, lfdi, sfdi


class Desk:
    """The utility's desk, as JSON: POST /do {"what": ..., ...}, GET /told, GET /asked. For tests and the demo only."""

    def __init__(self, server: UtilityServer) -> None:
        self._server = server
        self._runner: web.AppRunner | None = None

    async def start(self, port: int) -> None:
        """Listen on loopback."""
        app = web.Application()
        app.router.add_post("/do", self._do)
        app.router.add_get("/told", self._told)
        app.router.add_get("/asked", self._asked)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", port).start()

    async def stop(self) -> None:
        """End."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _told(self, _: web.Request) -> web.Response:
        return web.json_response([asdict(one) for one in self._server.utility.told])

    async def _asked(self, _: web.Request) -> web.Response:
        return web.json_response(self._server.asked)

    async def _do(self, request: web.Request) -> web.Response:
        order = await request.json()
        self.act(order.pop("what"), **order)
        return web.json_response({"now_s": self._server.utility.now_s()})

    def act(self, what: str, **more: Any) -> None:
        """One order: set, faults, register, program, control, end, wipe (as it was when it began)."""
        utility = self._server.utility
        if what == "wipe":
            self._server.wipe()
        elif what == "set":
            for name, value in more.items():
                setattr(utility, name, value)
        elif what == "faults":
            self._server.faults = Faults(**more)
        elif what == "register":
            utility.register(more["lfdi"], more["sfdi"], more.get("pin", 111115)).enabled = more.get("enabled", True)
        elif what == "program":
            known = utility.programs.get(more["number"])
            utility.programs[more["number"]] = SimProgram(**more, controls=known.controls if known is not None else {})
        elif what == "control":
            begin_s = utility.now_s() + more.pop("in_s")
            utility.plan(more.pop("program"), Planned(start_s=begin_s, created_s=utility.now_s(), **more))
        elif what == "end":
            utility.end(more["mrid"], more["status"])
        else:
            raise ValueError(f"nobody knows how to {what}")


async def serve(settings: dict[str, Any]) -> None:
    """Run for ever. settings: port, desk_port, cert, key, ca, and orders to begin with. Says ``ready``."""
    utility = Utility(lambda: Clock().stamp().wall_s)
    server = UtilityServer(utility)
    desk = Desk(server)
    for order in settings.get("orders", ()):
        desk.act(order.pop("what"), **order)
    cert, key, ca = (Path(settings[name]) for name in ("cert", "key", "ca"))
    await server.start(settings["port"], tls(cert, key, ca, settings.get("ciphers", CIPHERS)))
    await desk.start(settings["desk_port"])
    print("ready", flush=True)
    await asyncio.Event().wait()


def register_order(cert: Path, pin: int) -> dict[str, Any]:
    """The order that makes a certificate's device known."""
    content = der_of_pem(cert.read_text())
    return {"what": "register", "lfdi": lfdi(content), "sfdi": sfdi(content), "pin": pin}


if __name__ == "__main__":
    asyncio.run(serve(json.loads(sys.argv[1])))
