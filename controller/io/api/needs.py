"""The part of the HTTP API through which somebody says what a car still needs."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

from controller.facts import EvseKey, NeedStated
from controller.io.api.models import ApiError, NeedBody, checked, read_json
from controller.io.api.picture import answer_json
from controller.io.shell import Clock, Submit
from controller.snapshot import Snapshot


class Needs:
    """Handler of this call. known: the EVSE of a path, raises ApiError."""

    def __init__(self, clock: Clock, submit: Submit, snapshot: Callable[[], Snapshot], known: Callable[[str, str], EvseKey]) -> None:
        self._clock, self._submit, self._snapshot, self._known = clock, submit, snapshot, known

    def routes(self) -> list[web.RouteDef]:
        """The route of this file."""
        return [web.post("/api/v1/evses/{station}/{evse}/need", self._state)]

    async def _state(self, request: web.Request) -> web.Response:
        key = self._known(request.match_info["station"], request.match_info["evse"])
        body = checked(NeedBody, await read_json(request))
        stamp = self._clock.stamp()
        if body.departure is not None and stamp.wall_trusted and body.departure <= stamp.wall_s:
            raise ApiError.of_field(422, "departure", "lies in the past")
        running = self._running(key)
        if running is None:
            raise ApiError.of_field(409, "evse", "has no charging session now; state the need when the car is plugged in")
        if body.transaction_id not in (None, running):
            raise ApiError.of_field(409, "transaction_id", "is not the session running at this EVSE now")
        self._submit(NeedStated(stamp, key, body.energy_wh, body.departure, "api"))
        return answer_json(
            {
                "station_id": key.station_id,
                "evse_id": key.evse_id,
                "energy_wh": body.energy_wh,
                "departure_wall_s": body.departure,
            },
            status=202,
        )

    def _running(self, key: EvseKey) -> str | None:
        evses = self._snapshot().site.evses
        return next((evse.transaction_id for evse in evses if (evse.station_id, evse.evse_id) == key), None)
