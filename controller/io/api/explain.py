"""The part of the HTTP API behind ``yardmaster explain`` and the page's card "What the limits cost": what plans said over the last weeks."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

from controller.io.api.models import ApiError
from controller.io.api.picture import to_json
from controller.snapshot import Snapshot

PATH = "/api/v1/explain"


class Explain:
    """Handler of this call. snapshot: the picture of the site now."""

    def __init__(self, snapshot: Callable[[], Snapshot]) -> None:
        self._snapshot = snapshot

    def routes(self) -> list[web.RouteDef]:
        """The route of this file."""
        return [web.get(PATH, self._answer)]

    async def _answer(self, request: web.Request) -> web.Response:
        view = self._snapshot().site.explain
        if view is None:
            raise ApiError(503, "The controller has no plans to explain yet.", headers={"Retry-After": "10"})
        return web.json_response(text=to_json(view.as_json()))
