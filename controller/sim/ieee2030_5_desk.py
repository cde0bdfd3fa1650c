"""The simulated utility with its desk: a plain door on loopback that takes orders as JSON. For trying it out, for tests and the demo.

    python -m controller.sim.ieee2030_5_desk --folder pki

makes the certificates it needs, says what belongs into a site file and how to send a limit. Tests give all of it as one JSON object. The
server's own door is ``controller.sim.ieee2030_5``.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from aiohttp import web

from controller.io.clock import Clock
from controller.sim.ieee2030_5 import CIPHERS, Faults, UtilityServer, caller_tls, tls
from controller.sim.ieee2030_5_pki import Authority
from controller.sim.ieee2030_5_utility import Planned, SimProgram, Utility
from signals.csip_identity import der_of_pem, lfdi, sfdi

PIN = 111115
MRID = "AA" * 16


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
        """One order: set, faults, register, program, control, end; changed (path, status): subscribers are told."""
        utility = self._server.utility
        if what == "set":
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
        elif what != "changed":
            raise ValueError(f"nobody knows how to {what}")
        if what in ("control", "end", "program", "changed"):
            self._server.changed(more.get("path", "/"), more.get("status", 0) if what == "changed" else 0)


async def serve(settings: dict[str, Any]) -> None:
    """Run for ever. settings: port, desk_port, cert, key, ca, and orders to begin with. Says ``ready``."""
    utility = Utility(lambda: Clock().stamp().wall_s)
    server = UtilityServer(utility)
    desk = Desk(server)
    for order in settings.get("orders", ()):
        desk.act(order.pop("what"), **order)
    cert, key, ca = (Path(settings[name]) for name in ("cert", "key", "ca"))
    server.caller = caller_tls(cert, key, ca)
    await server.start(settings["port"], tls(cert, key, ca, settings.get("ciphers", CIPHERS)))
    await desk.start(settings["desk_port"])
    print("ready", flush=True)
    await asyncio.Event().wait()


def register_order(cert: Path, pin: int) -> dict[str, Any]:
    """The order that makes a certificate's device known."""
    content = der_of_pem(cert.read_text())
    return {"what": "register", "lfdi": lfdi(content), "sfdi": sfdi(content), "pin": pin}


def prepared(folder: Path, port: int, desk_port: int) -> dict[str, Any]:
    """Settings for ``serve``: certificates of a new world, or those an earlier call made here, with our device known."""
    names = {"cert": folder / "server.pem", "key": folder / "server.key", "ca": folder / "smart-grid-root.pem"}
    device = folder / "device.pem"
    if not all(path.exists() for path in (*names.values(), device)):
        authority = Authority(folder)
        authority.server()
        authority.device("device")
    program = {"what": "program", "number": 1, "mrid": MRID, "primacy": 1, "name": "try", "default": {"opModImpLimW": 30_000}}
    orders = [register_order(device, PIN), {"what": "set", "poll_s": 5}, program]
    return {"port": port, "desk_port": desk_port, **{name: str(path) for name, path in names.items()}, "orders": orders}


def words(settings: dict[str, Any]) -> str:
    """What a person needs to use it."""
    folder, desk = Path(settings["ca"]).resolve().parent, f"http://127.0.0.1:{settings['desk_port']}"
    control = {"what": "control", "program": 1, "mrid": "01" * 16, "in_s": 10, "duration_s": 60, "modes": {"opModImpLimW": 8000}}
    return f"""For the site file:

signals:
  - id: utility
    type: ieee2030_5
    url: https://127.0.0.1:{settings["port"]}/dcap
    cert_file: {folder}/device.pem
    key_file: {folder}/device.key
    ca_file: {settings["ca"] if Path(settings["ca"]).is_absolute() else folder / Path(settings["ca"]).name}
    pin: {PIN}
    notify_url: https://127.0.0.1:{settings["desk_port"] + 1}/ntfy
    notify_host: 127.0.0.1

It has one program with a default of 30 kW. A limit of 8 kW in ten seconds for a minute, its end before that, and what it was told:

curl -d '{json.dumps(control)}' {desk}/do
curl -d '{json.dumps({"what": "end", "mrid": "01" * 16, "status": 2})}' {desk}/do
curl {desk}/told
"""


def main() -> None:
    """Command line."""
    if sys.argv[1:] and sys.argv[1].startswith("{"):
        return asyncio.run(serve(json.loads(sys.argv[1])))
    parser = argparse.ArgumentParser(description="A server of IEEE 2030.5 for tests and demonstrations; it listens on this machine only.")
    parser.add_argument("--folder", type=Path, default=Path("pki"), help="where its certificates are, or shall be made (default: %(default)s)")
    parser.add_argument("--port", type=int, default=9104, help="of the server (default: %(default)s)")
    parser.add_argument("--desk-port", type=int, default=9105, help="of the desk that takes orders (default: %(default)s)")
    arguments = parser.parse_args()
    settings = prepared(arguments.folder, arguments.port, arguments.desk_port)
    print(words(settings), flush=True)
    return asyncio.run(serve(settings))


if __name__ == "__main__":
    main()
