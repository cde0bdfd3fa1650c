"""Facts in, orders out: joins the message half (link) and the watt half (site).

The same engine runs in the field, in the demo, in the backtest and in every test; only clock and
shells differ. It does no I/O, looks at no clock, draws no random number and never awaits. Facts
that one half finds for the other, and orders that one half gives the other, go round inside until
nothing is left; only orders for shells come out.
"""

from __future__ import annotations

import traceback
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace

from controller import __version__
from controller.config import Config
from controller.events import EventLog
from controller.facts import Fact, Stamp, StationConnected, StationFrame, StationRefused, StoryTold, UpstreamFrame
from controller.link.links import Links
from controller.ocpp.times import wall_time
from controller.orders import CloseStation, Inject, InstallFloor, Order, ReadBack, SetAvailable, Severity, Tell
from controller.site.charger import ChargerModel
from controller.site.site import Site
from controller.snapshot import LinkView, Snapshot, SourceView

Outcome = Order | Fact
INTERNAL = (Inject, InstallFloor, ReadBack, SetAvailable)


class Engine:
    """The whole controller without its shells. seed: fresh per start (message ids)."""

    def __init__(self, config: Config, seed: str, charger_models: Mapping[str, ChargerModel]) -> None:
        self.config = config
        self.links = Links(config, seed, wall_time)
        self.site = Site(config, charger_models)
        self.events = EventLog()

    def handle(self, fact: Fact) -> list[Order]:
        """Orders that follow from a fact. Never raises: a defect met with one station closes that station."""
        todo: deque[Outcome] = deque([fact])
        orders: list[Order] = []
        while todo:
            item = todo.popleft()
            if isinstance(item, INTERNAL):
                todo.extend(self._carry(item, fact.at))
            elif isinstance(item, Order):
                orders += self._out(item, fact.at)
            else:
                todo.extend(self._both(item))
        return orders

    def _both(self, fact: Fact) -> list[Outcome]:
        if isinstance(fact, StoryTold):
            return [Tell(Severity.INFO, "story", fact.text)]
        if isinstance(fact, StationRefused):
            # Two live boxes under one identity: a person must look (F11). Anything else may be a guess at a password.
            severity = Severity.ALARM if fact.twin else Severity.WARNING
            return [Tell(severity, fact.station_id, f"connection from {fact.remote_address} refused: {fact.reason}")]
        station_id = getattr(fact, "station_id", "")
        outcomes = self._safely(lambda: self.links.handle(fact), station_id)
        # Frames mean nothing to the site; everything else may.
        if not isinstance(fact, StationFrame | UpstreamFrame | StationConnected):
            outcomes = [*outcomes, *self._safely(lambda: list(self.site.handle(fact)), "")]
        return outcomes

    def _carry(self, order: Inject | InstallFloor | ReadBack | SetAvailable, at: Stamp) -> list[Outcome]:
        return self._safely(lambda: self.links.carry(order, at), order.evse.station_id)

    def _safely(self, step: Callable[[], list[Outcome]], station_id: str) -> list[Outcome]:
        """The one place where a defect is caught (house rule 18, P7): what else follows from the fact still does."""
        try:
            return step()
        except Exception:
            return self._defect(station_id)

    def _defect(self, station_id: str) -> list[Outcome]:
        where = traceback.format_exc().strip().splitlines()[-3:]
        text = f"internal error, please report it: {' | '.join(line.strip() for line in where)}"[:400]
        outcomes: list[Outcome] = [Tell(Severity.ALARM, station_id or "site", text)]
        session = self.links.sessions.get(station_id)
        if session is not None and session.generation is not None:
            outcomes.append(CloseStation(station_id, session.generation, 1011, "internal error"))
        return outcomes

    def _out(self, order: Order, at: Stamp) -> list[Order]:
        if not isinstance(order, Tell):
            return [order]
        told = replace(order, wall_s=at.wall_s)
        return [told] if self.events.add(told, at.mono_s) else []

    def snapshot(self, at: Stamp) -> Snapshot:
        """The picture for page, API and MQTT."""
        site = self.site.view(at)
        links = self.links.view()
        sources = (*site.sources, *self._csms(links))
        config = self.config
        return Snapshot(
            config.site.id,
            config.site.name or config.site.id,
            config.site.timezone,
            config.tariff.currency,
            at.wall_s,
            at.wall_speed,
            __version__,
            replace(site, sources=sources),
            links,
            self.events.entries(),
        )

    def _csms(self, links: tuple[LinkView, ...]) -> list[SourceView]:
        views: list[SourceView] = []
        for upstream in self.config.upstreams:
            mine = [link for link in links if link.online and self.links.sessions[link.station_id].upstream_id == upstream.id]
            away = [link for link in mine if link.upstream != "open"]
            queued = sum(link.queued for link in links if self.links.sessions[link.station_id].upstream_id == upstream.id)
            health = "off" if not mine else "good" if not away else "lost" if len(away) == len(mine) else "late"
            detail = f"{len(mine) - len(away)} of {len(mine)} stations linked, {queued} messages queued"
            views.append(SourceView(upstream.id, "csms", health, None, detail))
        return views
