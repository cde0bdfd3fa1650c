"""The part of the HTTP API behind ``yardmaster face``: which CSMS, and through which face, each station is seen by, and its change to another."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from aiohttp import web
from pydantic import Field

from controller.config import Config
from controller.facts import FaceWished
from controller.io.api.models import ApiError, Body, checked, read_json
from controller.io.api.picture import to_json
from controller.io.shell import Clock, Submit
from controller.snapshot import Snapshot

PATH = "/api/v1/faces"


class FaceBody(Body):
    """Which CSMS a station shall have."""

    station: str | None = Field(default=None, max_length=64, description="The station; none: every station.")
    upstream: str | None = Field(max_length=64, description="Id of a primary upstream of the site file; null: as the site file says.")


class Faces:
    """Handlers of these calls. snapshot: the picture of the site now."""

    def __init__(self, config: Config, clock: Clock, submit: Submit, snapshot: Callable[[], Snapshot]) -> None:
        self._config = config
        self._clock = clock
        self._submit = submit
        self._snapshot = snapshot
        self._primaries = [upstream.id for upstream in config.upstreams if upstream.role == "primary"]

    def routes(self) -> list[web.RouteDef]:
        """The routes of this file."""
        return [web.get(PATH, self._answer), web.post(PATH, self._change)]

    async def _answer(self, request: web.Request) -> web.Response:
        picture = self._snapshot()
        stations = [dataclasses.asdict(move) for move in picture.moves]
        return web.json_response(text=to_json({"stations": stations, "faces": [dataclasses.asdict(face) for face in picture.faces]}))

    async def _change(self, request: web.Request) -> web.Response:
        body = checked(FaceBody, await read_json(request))
        if body.station is not None and self._config.station(body.station) is None:
            raise ApiError.of_field(404, "station", "is not in this site's configuration")
        if body.upstream is not None and body.upstream not in self._primaries:
            known = ", ".join(self._primaries) or "none"
            raise ApiError.of_field(422, "upstream", f"is no primary CSMS of this site's configuration, which has: {known}")
        self._submit(FaceWished(self._clock.stamp(), body.station or "", body.upstream or ""))
        return web.json_response(text=to_json({"station": body.station, "upstream": body.upstream}), status=202)
