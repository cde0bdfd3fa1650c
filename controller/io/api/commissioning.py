"""The part of the HTTP API behind ``yardmaster commission``: ask for a test, read its trace.

A test is a fact like any other: the engine lowers it to what every limit of the site allows, and it ends
by itself when nobody asks for it any more. Needs the right of changing calls, for reading too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from aiohttp import web
from pydantic import Field

from controller.config import Config
from controller.facts import Deed, EvseKey, Probe, TrialAsked
from controller.io.api.models import ApiError, Body, Number, checked, read_json, read_query
from controller.io.api.picture import to_json
from controller.io.shell import Clock, Submit, Trace

PATH = "/api/v1/commissioning"
MAX_FOR_S = 300.0
MAX_HOLD_S = 7200.0
LATEST = 2**53
"""Behind every entry of the trace: none is wanted."""


class ProbeBody(Body):
    """One setpoint written in one certain manner; see ``facts.Probe``."""

    limit_a: Number = Field(ge=0, le=1000, description="Limit per phase; lowered to the setpoint in force [A].")
    life_s: Number = Field(gt=0, le=MAX_FOR_S, description="Life of the profile, at most that of a usual setpoint [s].")
    purpose: Literal["tx", "tx_default", "station_max"] = Field(default="tx", description="Profile purpose.")
    unit: Literal["A", "W"] = Field(default="A", description="Unit of the limit on the wire.")
    relative: bool = Field(default=False, description="The schedule counts from the session; only with purpose tx.")
    stack_level: int = Field(default=1, ge=0, le=100, description="Stack level; a default lies at least one above the fallback.")
    dynamic: bool = Field(default=False, description="A Dynamic profile (2.1).")


class TrialBody(Body):
    """A test of one EVSE."""

    station: str = Field(min_length=1, max_length=64, description="OCPP identity.")
    evse: int = Field(ge=1, le=99, description="EVSE of the station.")
    session: str = Field(min_length=1, max_length=64, description="Who tests; while one test runs, another session gets 409.")
    limit_a: Number | None = Field(default=None, ge=0, le=1000, description="Held at most there [A]; null: not held, only watched.")
    for_s: Number = Field(ge=0, le=MAX_FOR_S, description="Ends by itself after this time; 0 = now [s].")
    deed: Deed = Field(default=Deed.NONE, description="One thing done once.")
    probe: ProbeBody | None = Field(default=None, description="One setpoint in one certain manner.")
    hold_s: Number = Field(default=0.0, ge=0, le=MAX_HOLD_S, description="With hold_off: how long the station is kept out [s].")


class TraceQuery(Body):
    """Which part of the trace."""

    after: int = Field(default=0, ge=0, le=LATEST, description="Only entries with a higher number.")


class Trials:
    """Handlers of these calls. trace: how to reach it, None before the app gave one."""

    def __init__(self, config: Config, clock: Clock, submit: Submit, trace: Callable[[], Trace | None]) -> None:
        self._config, self._clock, self._submit, self._trace = config, clock, submit, trace

    def routes(self) -> list[web.RouteDef]:
        """Everything served here."""
        return [web.get(PATH, self.look), web.post(PATH, self.ask)]

    async def look(self, request: web.Request) -> web.Response:
        """The running test, and what was measured, sent and answered behind a number."""
        query = read_query(request, TraceQuery)
        return web.json_response(text=to_json(self._view(query.after)))

    async def ask(self, request: web.Request) -> web.Response:
        """Begin a test, go on with it, or end it."""
        body = checked(TrialBody, await read_json(request))
        station = self._config.station(body.station)
        if station is None or all(evse.id != body.evse for evse in station.evses):
            raise ApiError.of_field(404, "evse" if station else "station", "is not in this site's configuration")
        running = self._view(LATEST)["trial"]
        if running is not None and running["session"] != body.session:
            where = f"{running['station']}/{running['evse']}"
            ends = f"it ends by itself {running['ends_in_s']:.0f} s after its tester falls silent"
            raise ApiError(409, f"Somebody else is testing {where}; wait until that test has ended ({ends}).")
        probe = Probe(**body.probe.model_dump()) if body.probe is not None else None
        key = EvseKey(body.station, body.evse)
        self._submit(TrialAsked(self._clock.stamp(), key, body.limit_a, body.for_s, body.session, body.deed, probe, body.hold_s))
        view = self._view(LATEST)
        return web.json_response(text=to_json({"trial": view["trial"], "last": view["last"], "mono_s": view["mono_s"]}), status=202)

    def _view(self, after: int) -> dict[str, Any]:
        trace = self._trace()
        if trace is None:
            raise ApiError(503, "This controller takes no tests.")
        return trace(after)
