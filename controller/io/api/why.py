"""The part of the HTTP API behind ``yardmaster why`` and the "why" of the page: the chain of limits of one EVSE."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

from controller.facts import EvseKey
from controller.io.api.models import ApiError
from controller.io.api.picture import to_json
from controller.io.shell import Why

PATH = "/api/v1/evses/{station}/{evse}/why"


class Reasons:
    """Handler of this call. known: the EVSE a path names, raises ApiError 404. why: how to reach the engine, None before the app gave one."""

    def __init__(self, known: Callable[[str, str], EvseKey], why: Callable[[], Why | None]) -> None:
        self._known, self._why = known, why

    def routes(self) -> list[web.RouteDef]:
        """The route of this file."""
        return [web.get(PATH, self._answer)]

    async def _answer(self, request: web.Request) -> web.Response:
        key = self._known(request.match_info["station"], request.match_info["evse"])
        ask = self._why()
        view = ask(key) if ask is not None else None
        if view is None:
            raise ApiError(503, "The controller is not ready to explain itself yet.", headers={"Retry-After": "2"})
        return web.json_response(text=to_json(view.as_json()))
