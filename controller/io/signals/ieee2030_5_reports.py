"""What the server learns about us: the DER's plate, settings, status and availability, and readings in mirror usage points (CSIP 6.4)."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Final

from yarl import URL

from controller.config_signals import Ieee20305Signal
from controller.io.signals.ieee2030_5_alarms import AlarmLog
from controller.io.signals.ieee2030_5_http import Http, ServerError
from controller.io.signals.ieee2030_5_walk import Ourselves, Places
from controller.orders import TellSource
from signals import csip_documents as documents
from signals import csip_resources as resources
from signals.csip_documents import KINDS, Kind
from signals.csip_readings import Collected
from signals.csip_xml import XmlError

log = logging.getLogger(__name__)

POST_S: Final = 300.0
"""Between two posts, where the server does not say (CSIP 6.4: 5 minutes)."""
NAME: Final = "grid connection"


class Reports:
    """Tells the server what it asks for. server_s: its time at a wall time. Failures are in ``trouble`` and tried again."""

    def __init__(self, entry: Ieee20305Signal, http: Http, ourselves: Ourselves, server_s: Callable[[float], float], alarms: AlarmLog) -> None:
        self._entry, self._http, self._we, self._server_s, self._alarms = entry, http, ourselves, server_s, alarms
        self._collected = Collected()
        self._latest: TellSource | None = None
        self._ders: tuple[URL, resources.Der] | None = None
        self._plate_for: URL | None = None
        self._mirror: URL | None = None
        self._kinds: tuple[Kind, ...] = ()
        self._due: dict[str, float] = {}
        self._post_s = POST_S
        self._troubles: dict[str, str] = {}

    @property
    def trouble(self) -> str:
        """What the server did not take, for people; "" if it takes all."""
        return "; ".join(self._troubles.values())

    def told(self, order: TellSource) -> None:
        """New readings of the site."""
        self._latest = order
        self._alarms.told(order)
        at_s = self._server_s(order.wall_s)
        values = (order.power_w, order.voltage_v, order.energy_import_wh, order.energy_export_wh)
        for kind, value in zip(KINDS, values, strict=True):
            self._collected.add(kind.name, value, at_s)

    async def round(self, places: Places, mono_s: float, wall_s: float, connected: bool) -> None:
        """Send what is due."""
        await self._try("alarms", mono_s, lambda: self._log(places))
        await self._try("status", mono_s, lambda: self._status(places, wall_s, connected))
        if self._entry.readings:
            await self._try("readings", mono_s, lambda: self._readings(places))

    async def _log(self, places: Places) -> None:
        await self._alarms.send(places.log)

    async def _try(self, name: str, mono_s: float, work: Callable[[], Awaitable[float | None]]) -> None:
        """Do one thing when its time has come; it says when it wants to be done again [s], None = at the next round."""
        if mono_s < self._due.get(name, mono_s):
            return
        try:
            again_s = await work()
            self._troubles.pop(name, None)
        except (ServerError, XmlError) as error:
            again_s = max(60.0, getattr(error, "retry_s", None) or 0.0)
            self._troubles[name] = f"the server did not take our {name}: {error}"
        if again_s is not None:
            self._due[name] = mono_s + again_s

    # -- the DER ---------------------------------------------------------------------------------------------

    async def _status(self, places: Places, wall_s: float, connected: bool) -> float | None:
        if places.ders is None:
            return POST_S
        base, der = await self._der(places.ders)
        now_s, ratings = self._server_s(wall_s), self._we.ratings
        if self._plate_for != base:
            await self._put(base, der.capability, documents.capability(ratings, places.aus))
            await self._put(base, der.settings, documents.settings(ratings, now_s, places.aus))
            self._plate_for = base
        latest = self._latest
        if latest is None:
            return None
        controlled = latest.limit_w is not None or latest.production_limit_w is not None
        await self._put(base, der.status, documents.status(now_s, connected, controlled, latest.battery_w, latest.soc_percent, self._alarms.bits))
        await self._put(base, der.availability, documents.availability(now_s, ratings, None if latest.pv_w is None else max(0.0, -latest.pv_w)))
        return places.device.post_s or POST_S

    async def _der(self, url: URL) -> tuple[URL, resources.Der]:
        """The first DER of our end device: the site as a whole."""
        if self._ders is None or self._ders[0] != url:
            listed = await self._http.pages(url, resources.ders)
            self._ders = url, next(iter(listed.items), resources.Der(None, None, None, None))
        return self._ders

    async def _put(self, base: URL, href: str | None, body: bytes) -> None:
        if href is None:
            return
        try:
            await self._http.send("PUT", self._http.at(base, href), body)
        except ServerError as error:
            if error.gone:
                self._ders = None
            if error.status not in (405, 501):  # a server that does not want it
                raise

    # -- readings ---------------------------------------------------------------------------------------------

    async def _readings(self, places: Places) -> float | None:
        if places.mirrors is None:
            return POST_S
        if self._mirror is None:
            if self._latest is None:
                return None
            self._mirror = await self._create(places.mirrors)
            return self._post_s
        for name, average in self._collected.take().items():
            kind = next(kind for kind in KINDS if kind.name == name)
            if kind in self._kinds:
                await self._post(self._mirror, documents.meter_reading(self._we.lfdi, NAME, kind, average))
        return self._post_s

    async def _create(self, url: URL) -> URL:
        """The mirror with what we can read; the server makes it anew or finds it by its mRID, and says how often it wants readings."""
        assert self._latest is not None
        latest = self._latest
        values = (latest.power_w, latest.voltage_v, latest.energy_import_wh, latest.energy_export_wh)
        self._kinds = tuple(kind for kind, value in zip(KINDS, values, strict=True) if value is not None) or KINDS[:1]
        done = await self._http.send("POST", url, documents.usage_point(self._we.lfdi, NAME, POST_S, self._kinds))
        if done.location is None:
            raise ServerError("it took the mirror usage point but did not say where it is")
        try:
            self._post_s = resources.post_rate((await self._http.get(done.location)).body) or POST_S
        except (ServerError, XmlError):
            self._post_s = POST_S
        return done.location

    async def _post(self, url: URL, body: bytes) -> None:
        try:
            await self._http.send("POST", url, body)
        except ServerError as error:
            if error.gone:
                self._mirror = None
            raise
