"""Facts in, orders out: joins the message half (link) and the watt half (site).

The same engine runs in the field, in the demo, in the backtest and in every test; only clock and
shells differ. It does no I/O, looks at no clock, draws no random number and never awaits. Facts
that one half finds for the other, and orders that one half gives the other, go round inside until
nothing is left; only orders for shells come out.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from controller import __version__
from controller.config import Config
from controller.events import EventLog
from controller.facts import (
    CertificateEnding,
    EvseKey,
    EvseMeasured,
    EvseStatusChanged,
    Fact,
    SessionChanged,
    Stamp,
    StationConnected,
    StationFrame,
    StationRefused,
    StoryTold,
    UpstreamFrame,
)
from controller.link.links import Links
from controller.ocpp.shapes import Shapes
from controller.ocpp.times import timestamp, wall_time
from controller.orders import (
    AnnounceLimit,
    AnnounceSite,
    ClearSetpoint,
    CloseStation,
    ForgetDrivers,
    Inject,
    InstallFloor,
    Order,
    ReadBack,
    SetAvailable,
    Severity,
    Tell,
    Wake,
)
from controller.site.site import Site
from controller.site.stations.charger import ChargerModel
from controller.snapshot import LinkView, Snapshot, SourceView, WhyView

Outcome = Order | Fact
Carried = Inject | InstallFloor | ReadBack | SetAvailable | ClearSetpoint | Wake | AnnounceLimit | AnnounceSite | ForgetDrivers
INTERNAL = (Inject, InstallFloor, ReadBack, SetAvailable, ClearSetpoint, Wake, AnnounceLimit, AnnounceSite, ForgetDrivers)
ONLY_FRAMES = (StationFrame, UpstreamFrame, StationConnected)
ONLY_WATTS = (EvseMeasured, SessionChanged, EvseStatusChanged)
Subject = TypeVar("Subject")


class Engine:
    """The whole controller without its shells. seed: fresh per start (message ids). shapes: the schemas of all OCPP versions;
    None = nothing is translated, and a depot face has no stations."""

    def __init__(self, config: Config, seed: str, charger_models: Mapping[str, ChargerModel], shapes: Shapes | None = None) -> None:
        self.config = config
        overlay = frozenset(station.id for station in config.stations if _passes(charger_models.get(station.model)))
        self.links = Links(config, seed, wall_time, overlay, shapes)
        self.site = Site(config, charger_models)
        self.events = EventLog()

    def handle(self, fact: Fact) -> list[Order]:
        """Orders that follow from a fact. Never raises: a defect met with one station closes that station."""
        orders: list[Order] = []
        todo = self._both(fact)
        while todo:  # round by round, each in order: facts found here come after what was found with them
            later: list[Outcome] = []
            for item in todo:
                if isinstance(item, Fact):
                    later += self._both(item)
                elif isinstance(item, Tell):
                    orders += self._told(item, fact.at)
                elif isinstance(item, INTERNAL):
                    later += self._carry(item, fact.at)
                else:
                    orders.append(item)
            todo = later
        return orders

    def _both(self, fact: Fact) -> Sequence[Outcome]:
        if isinstance(fact, ONLY_FRAMES):  # mean nothing to the site; everything else may
            return self._safely(self.links.handle, fact, fact.station_id)
        if isinstance(fact, ONLY_WATTS):
            return self._safely(self.site.handle, fact, "")
        if isinstance(fact, StoryTold):
            return [Tell(Severity.INFO, "story", fact.text)]
        if isinstance(fact, CertificateEnding):
            return [_certificate_ends(fact)]
        if isinstance(fact, StationRefused):
            # Two live boxes under one identity: a person must look (F11). Anything else may be a guess at a password.
            severity = Severity.ALARM if fact.twin else Severity.WARNING
            return [Tell(severity, fact.station_id, f"connection from {fact.remote_address} refused: {fact.reason}")]
        outcomes = self._safely(self.links.handle, fact, getattr(fact, "station_id", ""))
        return [*outcomes, *self._safely(self.site.handle, fact, "")]

    def _carry(self, order: Carried, at: Stamp) -> Sequence[Outcome]:
        station_id = "" if isinstance(order, (AnnounceSite, ForgetDrivers)) else order.evse.station_id
        return self._safely(lambda order: self.links.carry(order, at), order, station_id)

    def _safely(self, step: Callable[[Subject], Sequence[Outcome]], subject: Subject, station_id: str) -> Sequence[Outcome]:
        """The one place where a defect is caught (house rule 18, P7): what else follows from the fact still does."""
        try:
            return step(subject)
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

    def _told(self, tell: Tell, at: Stamp) -> list[Order]:
        told = replace(tell, wall_s=at.wall_s, text=_one_line(tell.text))
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
            self.links.faces(),
            self.links.moves.view(),
        )

    def why(self, key: EvseKey, at: Stamp) -> WhyView | None:
        """The chain of limits behind an EVSE's setpoint; None for one this site does not have."""
        return self.site.why(key, at, self.links.profile_chain(key.station_id, key.evse_id, at))

    def _csms(self, links: tuple[LinkView, ...]) -> list[SourceView]:
        return [self._mirror(up.id, links) if up.role == "mirror" else self._primary(up.id, links) for up in self.config.upstreams]

    def _primary(self, upstream_id: str, links: tuple[LinkView, ...]) -> SourceView:
        mine = [link for link in links if self.links.sessions[link.station_id].upstream_id == upstream_id]
        online = [link for link in mine if link.online]
        return _csms_source(upstream_id, [link.upstream for link in online], f"{sum(link.queued for link in mine)} messages queued")

    def _mirror(self, upstream_id: str, links: tuple[LinkView, ...]) -> SourceView:
        legs = [(link.online, mirror) for link in links for mirror in link.mirrors if mirror.id == upstream_id]
        states = [mirror.state for online, mirror in legs if online]
        return _csms_source(upstream_id, states, f"{sum(mirror.queued for _, mirror in legs)} copies wait in memory")


def _passes(model: ChargerModel | None) -> bool:
    """Whether the CSMS's profiles pass to a charger of this model."""
    return model is not None and model.csms_profiles == "overlay"


def _one_line(text: str) -> str:
    """A text with words of a peer in it (an action, an error code) must not look like two entries of the log, nor steer a terminal."""
    return text if text.isprintable() else "".join(letter if letter.isprintable() else "?" for letter in text)


def _csms_source(upstream_id: str, states: list[str], queued: str) -> SourceView:
    """Health of a CSMS from the legs of the stations that are there; states: open, away."""
    linked = states.count("open")
    health = "off" if not states else "good" if linked == len(states) else "late" if linked else "lost"
    return SourceView(upstream_id, "csms", health, None, f"{linked} of {len(states)} stations linked, {queued}")


def _certificate_ends(fact: CertificateEnding) -> Tell:
    """A certificate of ours near its end: whoever checks it would refuse us (F30)."""
    days = (fact.ends_wall_s - fact.at.wall_s) / 86_400.0
    ended, ends = "stations that check it cannot connect any more", "stations cannot connect"
    if fact.user:
        ended, ends = f"the server of {fact.user} lets us in no more, and its failsafe will hold", f"the server of {fact.user} will not let us in"
    if fact.then:
        ended = ends = fact.then
    if days <= 0:
        return Tell(Severity.ALARM, "site", f"the certificate {fact.name} has ended - {ended}; renew it now")
    severity = Severity.ALARM if days <= 7 else Severity.WARNING
    return Tell(severity, "site", f"the certificate {fact.name} ends on {timestamp(fact.ends_wall_s)} - renew it before, or {ends}")
