"""One station's state machine: a station link below, an upstream link above, profiles in between.

It decides for each frame where it goes (by ``policy``) and never what it means in watts. It must
never change a relayed text, let an answer to a CALL of ours leak upstream, or acknowledge a
transaction message that is neither upstream nor on disk. A session lives as long as the
station is configured; connections come and go under it, told apart by their generation.

Its parts: ``arrival`` the handshake, ``up`` and ``down`` the two legs, ``running`` the transactions,
``requests`` the CSMS's CALLs, ``profiles`` its charging profiles, ``mirrors`` the CSMSs that listen.
Serves P1, P2, P7, P8; K01, K08-K10 towards the CSMS; faults F01-F08, F14-F16, F19-F29, F31, F32.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from controller.config import AuthorizationConfig, StationConfig, UpstreamConfig
from controller.facts import EvseKey, Fact, OutboxRow, Stamp, StationOffline, StationOnline
from controller.link import policy
from controller.link.answering import Hooks
from controller.link.arrival import TURN_SHARE, Arrival
from controller.link.auth_cache import AuthCache
from controller.link.cars import Cars
from controller.link.downlink import Downlink
from controller.link.driver import Drivers, Groups, Users
from controller.link.dynamic import Pulls
from controller.link.features import Features
from controller.link.ids import IdSource
from controller.link.introduction import KINDS, Introduction
from controller.link.limit_news import LimitNews
from controller.link.local_list import Authorizer, SiteList
from controller.link.mirror import Mirror
from controller.link.overlay import Overlay
from controller.link.policy import Verb
from controller.link.profiles import Profiles, Transaction
from controller.link.requests import Requests
from controller.link.running import Running
from controller.link.taps import Taps
from controller.link.uplink import Uplink
from controller.link.upstream import State
from controller.ocpp import rpc
from controller.ocpp.dialect import Dialect, TransactionEvent
from controller.ocpp.registry import dialect_for
from controller.ocpp.told_times import told_wall_s
from controller.orders import AnnounceLimit, CloseStation, CloseUpstream, DialUpstream, Order, Persist, SendStation, SendUpstream, Severity, Tell
from controller.snapshot import LinkView

Outcome = Order | Fact

# A 2.x station that reconnects need not boot again; one that stays silent is taken as accepted.
SILENT_START_S = 5.0
DEFAULT_VERSION = "ocpp2.0.1"
"""Taken for a station of which nothing is known yet; its first connection says better."""
CHOOSE_AGAIN_S = 600.0
"""A station is not asked more often than this to connect again for another version."""
BAD_FRAMES_PER_MINUTE = 60
VERSIONS = ("ocpp1.6", "ocpp2.0.1", "ocpp2.1")
"""Eldest first."""
HUB_VERSION = "ocpp2.1"
RESULTS_KEPT = 16
"""Ids of relayed answers that a CALLRESULTERROR may still name."""


class DialSpread:
    """How many dials may begin in a second (F12). may: whether one more may now; hopeless: none could within so many seconds."""

    def __init__(self, per_second: float) -> None:
        self._per_second = per_second
        self._second = 0
        self._begun = 0
        self._denied = 0

    def may(self, at: Stamp) -> bool:
        """Take a turn, or be denied one."""
        self._roll(at)
        if self._begun >= self._per_second:
            self._denied += 1
            return False
        self._begun += 1
        return True

    def hopeless(self, at: Stamp, within_s: float) -> bool:
        """Whether so many have been denied within this second that no turn comes within ``within_s``."""
        self._roll(at)
        return self._denied >= self._per_second * within_s > 0

    def _roll(self, at: Stamp) -> None:
        second = int(at.mono_s)
        if second != self._second:
            self._second, self._begun, self._denied = second, 0, 0


@dataclass(frozen=True, slots=True)
class Shared:
    """What all sessions share. dials, mirror_dials: turns to dial. places: CSMS -> transaction -> station (F14).

    overlay: stations at which the CSMS's profiles pass, see ``overlay``.
    """

    ids: IdSource
    tokens: Callable[[], int]
    cache: AuthCache
    authorization: AuthorizationConfig
    site_list: SiteList
    voltage_v: float
    max_frame_bytes: int
    dials: DialSpread
    mirror_dials: DialSpread
    places: dict[str, dict[str, str]]
    groups: Groups
    users: Users
    overlay: frozenset[str] = frozenset()


class Session:
    """One configured station. Feed it facts; carry out what it returns. upstream None: it has no CSMS."""

    __slots__ = (
        "_bad_frames",
        "_booting",
        "_chose_mono_s",
        "_evse_ids",
        "_in_depot",
        "_introduction",
        "_leg_version",
        "_max_frame_bytes",
        "_no_common_version",
        "_results_down",
        "_results_up",
        "_shared",
        "_since_mono_s",
        "_url_tail",
        "_version_in_doubt",
        "_wait_s",
        "arrival",
        "down",
        "drivers",
        "features",
        "generation",
        "last_generation",
        "limit_news",
        "mirrors",
        "online",
        "profiles",
        "pulls",
        "remote_address",
        "requests",
        "running",
        "station_id",
        "taps",
        "up",
        "upstream_id",
        "version",
        "virtual",
        "who",
    )

    def __init__(self, station: StationConfig, upstream: UpstreamConfig | None, shared: Shared, mirrors: tuple[UpstreamConfig, ...] = ()) -> None:
        self.station_id = station.id
        self.upstream_id = upstream.id if upstream is not None else ""
        self.generation: int | None = None
        self.last_generation = 0
        self.remote_address = ""
        self.version = DEFAULT_VERSION
        self.online = False
        self.virtual = False
        """Whether the open upstream leg is one of a face that translates."""
        self._booting = False
        self._url_tail = ""
        self._leg_version = ""
        self._since_mono_s: float | None = None
        self._bad_frames = (0, 0)
        self._no_common_version = self._version_in_doubt = False
        self._chose_mono_s = float("-inf")
        self._results_up: tuple[str, ...] = ()
        self._results_down: tuple[str, ...] = ()
        self._max_frame_bytes = shared.max_frame_bytes
        self._shared = shared
        self._wait_s = upstream.dial_first_s if upstream is not None else 0.0
        self._in_depot = upstream is not None and upstream.face == "depot"
        self._introduction = Introduction()
        self._evse_ids = tuple(evse.id for evse in station.evses)
        phases = {evse.id: len(evse.phases) for evse in station.evses}
        hooks = Hooks(self._boot_answer, self._started, self._unwanted, self._heard)
        self.drivers = Authorizer(station.id, shared.authorization, shared.site_list, upstream, shared.cache)
        self.up = Uplink(station.id, upstream, shared.ids, shared.tokens, lookup=self._lookup, learn=shared.cache.learn, hooks=hooks)
        self.down = Downlink(station.id, shared.ids, shared.voltage_v, self._relayed_answer, phases, self._modes, station.id in shared.overlay)
        self.features = Features(station.id, phases, self.down.ask)
        cars = Cars(self.features.input_phases, self.down.commander.refuses_phases)
        zone = shared.groups.timezone
        self.profiles = Profiles(station.id, phases, shared.tokens, shared.voltage_v, self.down, zone, self.features.modes, cars)
        self.pulls = Pulls(self.up.ask, self._pulled)
        self.who = Drivers(station.id, shared.groups, self.drivers.service, shared.users)
        self.limit_news = LimitNews(station.id, phases, upstream, self.up.ask)
        places = shared.places.setdefault(self.upstream_id, {})
        self.running = Running(station.id, phases, self.down, self.profiles, places, self._remember)
        self.taps = Taps(self.profiles, self.who, self.running)
        told = (shared.cache, self.drivers.list)
        overlay = Overlay(station.id, self.profiles, self.down) if station.id in shared.overlay else None
        self.requests = Requests(station, upstream, shared.ids, told, self.up, self.down, self.profiles, self.running, shared.tokens, overlay)
        self.arrival = Arrival(station.id, self.up.link, self._wait_s, self.up.hang_up, shared.dials.hopeless)
        self.mirrors = tuple(Mirror(station.id, mirror, shared.ids, shared.mirror_dials.may, self.requests.of_mirror) for mirror in mirrors)

    @property
    def transactions(self) -> dict[int, Transaction]:
        """EVSE id -> the transaction that runs there."""
        return self.running.transactions

    # -- the journal's side -----------------------------------------------------------------------

    def restore(
        self,
        at: Stamp,
        rows: tuple[OutboxRow, ...],
        link: Any,
        profiles: Any,
        boot: Any,
        outage: Any = None,
        credentials: Any = None,
        listed: Any = None,
        statuses: Any = None,
    ) -> list[Outcome]:
        """What the journal remembered: queued messages first, then what may be damaged without losing them."""
        self._since_mono_s = at.mono_s
        self.up.dialect = dialect_for(DEFAULT_VERSION)
        self.drivers.list.load(listed)
        outcomes = [*self.up.restore(rows, boot, outage, statuses), *self.requests.credentials.restore(credentials)]
        # One by one: damaged transactions must not cost the profiles, which nobody tells anew.
        for load, data in ((self._restore_link, link), (self.profiles.load, profiles)):
            try:
                load(data)
            except (AttributeError, KeyError, TypeError, ValueError):
                text = "remembered transactions or profiles cannot be read - the station will tell them anew"
                outcomes.append(Tell(Severity.WARNING, self.station_id, text))
        return outcomes + self.profiles.upstream_is(at, False, self.transactions)

    def _restore_link(self, link: Any) -> None:
        if not isinstance(link, dict):
            return
        version = str(link.get("version", DEFAULT_VERSION))
        self.version = version if dialect_for(version) is not None else DEFAULT_VERSION
        self.up.dialect = dialect_for(self.version)
        self.arrival.load(link.get("agreed", {}).get(self.upstream_id, ""))
        self.running.load(link.get("transactions", {}))

    def _remember(self) -> Persist:
        agreed = {self.upstream_id: self.arrival.agreed} if self.arrival.agreed else {}
        link = {"version": self.version, "transactions": self.running.dump(), "agreed": agreed, "upstream": self.upstream_id, "depot": self._in_depot}
        return Persist(0, remember={("link", self.station_id): link})

    # -- another CSMS -----------------------------------------------------------------------------

    @property
    def is_idle(self) -> bool:
        """Whether nothing here binds the station to the CSMS it has: it charges nobody, and no message waits."""
        return not self.running.transactions and not self.up.queued and not self.up.lane.busy and not self.arrival.waiting

    def leave(self, at: Stamp) -> list[Outcome]:
        """The leg to the CSMS ends for good."""
        if self.up.link is None:
            return []
        outcomes = self.up.hang_up("the station has another CSMS now")
        self.down.forget_csms()
        self.limit_news.closed()
        self.pulls.upstream_changed()
        self._no_common_version = self._version_in_doubt = self.virtual = False
        self._leg_version = ""
        return [*outcomes, *self.profiles.upstream_is(at, False, self.transactions)]

    def rewire(self, upstream: UpstreamConfig | None) -> list[Outcome]:
        """The station has this CSMS from now on; its own connection stays. Profiles stay too, as they would in any station."""
        self.upstream_id = upstream.id if upstream is not None else ""
        self._in_depot = upstream is not None and upstream.face == "depot"
        self._wait_s = upstream.dial_first_s if upstream is not None else 0.0
        self.up.rewire(upstream)
        self.drivers.rewire(upstream)
        self.running.rewire(self._shared.places.setdefault(self.upstream_id, {}))
        self.arrival.rewire(self.up.link, self._wait_s)
        return [*self.limit_news.rewire(upstream), *self.requests.rewire(upstream)]

    def join(self, at: Stamp) -> list[Outcome]:
        """After ``rewire`` while the site runs: on disk, then up to the new CSMS."""
        return [self._remember(), *self._introduce(at), *self.dial(at)]

    def _introduce(self, at: Stamp) -> list[Outcome]:
        """The new CSMS hears who the station is: as it said it itself, else it is asked to say it again."""
        if self.generation is None or self.up.link is None:
            return []
        if self._introduction.boot is not None:
            return self.up.introduce(self._introduction.boot, self._introduction.statuses)
        outcomes = self.up.introduce(None, self._introduction.statuses) if self._in_depot else []  # a depot has booted itself
        outcomes += self.down.send_own(at, "TriggerMessage", {"requestedMessage": "BootNotification"})
        for evse_id in self._evse_ids:
            outcomes += self.down.send_own(at, *self._dialect().ask_status(evse_id))
        return outcomes

    # -- life -----------------------------------------------------------------------------------

    def arrived(self, at: Stamp, ticket: int, offered: tuple[str, ...], url_tail: str) -> list[Outcome]:
        """The station has proved who it is and waits for the version it shall speak."""
        self._url_tail = url_tail
        return [*self.arrival.arrived(at, ticket, offered, self._leg_version), *self.dial(at)]

    def left(self, ticket: int) -> list[Outcome]:
        """The station is gone before it was connected."""
        return self.arrival.left(ticket)

    def connected(self, at: Stamp, generation: int, version: str, remote_address: str, url_tail: str, secret: str = "") -> list[Outcome]:
        """The station's WebSocket is open (admission and duplicates are decided before). secret: the hash its password matched."""
        dialect = dialect_for(version)
        if generation <= self.last_generation or dialect is None:
            return []
        outcomes = self.disconnected(at, self.generation, "replaced by a new connection") if self.generation is not None else []
        if self.up.link is not None and self.up.link.is_open and self._leg_version != version:
            outcomes += self.up.hang_up("the station speaks another OCPP version now")
        self.generation = self.last_generation = generation
        news = version != self.version
        self.version, self.remote_address, self._url_tail = version, remote_address, url_tail
        self.online, self._booting, self._since_mono_s = False, False, at.mono_s
        self._version_in_doubt = False
        self._results_up = self._results_down = ()
        self._introduction.connected(version)
        self.down.connected(generation, dialect)
        self.features.ask_again()
        self.profiles.dialect = self.limit_news.dialect = dialect
        outcomes += [*self.requests.credentials.connected(secret), *([self._remember()] if news else [])]
        outcomes.append(Tell(Severity.INFO, self.station_id, f"station connected from {remote_address} with {version}"))
        return [*outcomes, *self._join(at, generation, dialect), *self._connect_mirrors(at, dialect)]

    def _join(self, at: Stamp, generation: int, dialect: Dialect) -> list[Outcome]:
        """The upstream leg: the one that opened during the handshake, else a dial now."""
        leg = self.arrival.connected()
        outcomes = self.up.connected(generation, dialect)
        if self.arrival.away(at):
            outcomes += self._wait_no_longer(at)
        if leg is not None:
            outcomes += self.opened(at, leg.generation, leg.version)
            for text in leg.frames:
                outcomes += self.csms_frame(at, leg.generation, text)
        outcomes += self.dial(at)
        link = self.up.link
        if link is not None and link.state is State.WAITING and self._shared.dials.hopeless(at, self._wait_s / TURN_SHARE):
            outcomes += self._wait_no_longer(at)
        return outcomes

    def _connect_mirrors(self, at: Stamp, dialect: Dialect) -> list[Outcome]:
        return [outcome for mirror in self.mirrors for outcome in (*mirror.connected(dialect, self._url_tail), *mirror.dial(at))]

    def _wait_no_longer(self, at: Stamp) -> list[Outcome]:
        return [] if self.up.transparent else self.up.wait_no_longer(at)

    def disconnected(self, at: Stamp, generation: int | None, reason: str) -> list[Outcome]:
        """The station's WebSocket is gone; a late close of an older connection changes nothing (F10)."""
        if generation is None or generation != self.generation:
            return []
        self.generation = None
        self._since_mono_s = at.mono_s
        outcomes = [*self.down.disconnected(at), *self.requests.credentials.disconnected(), *self.up.disconnected()]
        for mirror in self.mirrors:
            outcomes += mirror.disconnected()
        if self.online:
            self.online = False
            outcomes.append(StationOffline(at, self.station_id))
        outcomes.append(Tell(Severity.WARNING, self.station_id, f"station disconnected ({reason}) - its fallback holds until it is back"))
        return outcomes

    def tick(self, at: Stamp) -> list[Outcome]:
        """A second has passed."""
        outcomes: list[Outcome] = self.arrival.tick(at) if self.arrival.waiting else []
        if self.generation is not None:
            outcomes += self._tick_connected(at)
        outcomes += self.up.tick(at, self._since_mono_s if self.generation is None else None)
        moved_s = self.profiles.clock_moved(at)
        outcomes += self.running.wall_moved(at, moved_s) if moved_s else []
        outcomes += self.profiles.tick(at, self.transactions)
        outcomes += [*self.requests.tick(at), *self._limit_news(at)]
        for mirror in self.mirrors:
            outcomes += mirror.tick(at)
        return outcomes + self.dial(at)

    def _tick_connected(self, at: Stamp) -> list[Outcome]:
        outcomes: list[Outcome] = []
        since_s = at.mono_s - (self._since_mono_s if self._since_mono_s is not None else at.mono_s)
        if not self.online and not self._booting and since_s >= SILENT_START_S:
            outcomes += self._go_online(at)
        link = self.up.link
        if link is not None and link.first and link.state is State.WAITING and since_s >= max(self._wait_s, 1.0):
            outcomes += self._wait_no_longer(at)
        if self.down.lane.busy:
            return [*outcomes, *self.down.tick(at, self._upstream_generation())]
        return [*outcomes, *(self.features.tick(at, self._dialect()) if self.online else [])]

    def dial(self, at: Stamp, *, spread: bool = True) -> list[Outcome]:
        """Dial upstream if it is due; dials of all stations are spread (F12). spread False: it opens no socket, so it need not wait its turn."""
        link = self.up.link
        if link is None or not link.due(at.mono_s) or (spread and not self._shared.dials.may(at)):
            return []
        version = self.version if self.generation is not None else self.up.drain_version or self.version
        offered, password = self.arrival.offer(version, self._others(at)), self.requests.credentials.dial_password()
        return [DialUpstream(self.station_id, link.dial(), self.upstream_id, offered, self._url_tail, password=password)]

    def _go_online(self, at: Stamp) -> list[Outcome]:
        if self.online:
            return []
        self.online = True
        news = [StationOnline(at, self.station_id, self.version), *self.running.told(at), *self.taps.again(at)]
        news += self.profiles.wishes(at, self.transactions)
        return [*news, *self.features.online(at), *self.down.commander.online(at), *self.running.stop_unwanted(at)]

    def _upstream_generation(self) -> int | None:
        link = self.up.link
        return link.generation if link is not None and link.is_open else None

    # -- frames from below -------------------------------------------------------------------------

    def station_frame(self, at: Stamp, generation: int, text: str) -> list[Outcome]:
        """One text message of the station."""
        if generation != self.generation:
            return []
        try:
            frame = rpc.parse(text, version=self.version, max_bytes=self._max_frame_bytes)
        except rpc.FrameError as error:
            return self._bad_frame(at, error)
        if isinstance(frame, rpc.Call):
            return self._station_call(at, frame)
        if isinstance(frame, (rpc.Result, rpc.Error)):
            return self._station_answer(at, frame)
        return self._station_send(frame) if isinstance(frame, rpc.Send) else self._complaint_up(frame)

    def _station_answer(self, at: Stamp, frame: rpc.Result | rpc.Error) -> list[Outcome]:
        outcomes = self.down.answer(at, frame, self._upstream_generation())
        # Only 2.1 knows a CALLRESULTERROR, which may name them.
        if self._leg_version == "ocpp2.1" and outcomes and isinstance(outcomes[0], SendUpstream) and outcomes[0].text is frame.text:
            self._results_up = (*self._results_up, frame.message_id)[-RESULTS_KEPT:]
        return self.running.lost(at, outcomes)

    def _station_send(self, frame: rpc.Send) -> list[Outcome]:
        """A SEND is never answered: it passes now or is dropped (21 FR.07, N13)."""
        copies = [outcome for mirror in self.mirrors for outcome in mirror.send(frame)]
        generation = self._upstream_generation()
        if generation is None or policy.from_station(self.version, frame.action, self.up.upstream) is not Verb.RELAY:
            return copies
        return [SendUpstream(self.station_id, generation, frame.text), *copies]

    def _complaint_up(self, frame: rpc.ResultError) -> list[Outcome]:
        """A CALLRESULTERROR about an answer of the CSMS goes to it; one about an answer of ours ends here."""
        generation = self._upstream_generation()
        relayed = generation is not None and frame.message_id in self._results_down
        return [SendUpstream(self.station_id, generation, frame.text)] if relayed and generation is not None else []

    def _relayed_answer(self, at: Stamp, call: rpc.Call, frame: rpc.Result | rpc.Error | None) -> list[Outcome]:
        payload = frame.payload if isinstance(frame, rpc.Result) else {}
        settings = self._dialect().limit_settings(call.action, call.payload, payload) if payload else None
        if settings is not None:
            self.limit_news.settings(settings)
        learned = self.features.heard(at, self._dialect(), call.action, call.payload, payload) if payload else []
        return [*self.requests.answered(at, call, frame), *learned]

    def _modes(self, evse_id: int) -> frozenset[str]:
        return self.features.modes(evse_id)

    def _bad_frame(self, at: Stamp, error: rpc.FrameError) -> list[Outcome]:
        assert self.generation is not None
        minute = int(at.mono_s // 60)
        count = self._bad_frames[1] + 1 if self._bad_frames[0] == minute else 1
        self._bad_frames = (minute, count)
        if count > BAD_FRAMES_PER_MINUTE:
            return [CloseStation(self.station_id, self.generation, 1008, "too many broken messages")]
        outcomes: list[Outcome] = []
        if count == 1:
            outcomes.append(Tell(Severity.WARNING, self.station_id, f"broken message refused: {error.detail} ({error.code})"))
        if error.message_type in (rpc.CALLRESULT, rpc.CALLERROR):
            outcomes += self.down.answer(at, _broken_answer(error, self.version), self._upstream_generation(), unreadable=True)
        if not error.ignore:
            answer = rpc.error_text(error.message_id, error.code, error.detail, version=self.version)
            outcomes.append(SendStation(self.station_id, self.generation, answer))
        return outcomes

    def _station_call(self, at: Stamp, call: rpc.Call) -> list[Outcome]:
        repeated = self.up.repeated(at, call)
        if repeated is not None:
            return repeated
        outcomes: list[Outcome] = []
        if call.action in KINDS:
            self._introduction.heard(call, self._dialect())
        if call.action == "BootNotification":
            self._booting = True
            outcomes += self._rebooted(at)
        elif not self.online and not self._booting:
            outcomes += self._go_online(at)
        outcomes += self._clock_heard(at, call)
        event = self.up.about(call).event
        if event is not None and event.ended and self._dialect().assigns_transactions and self.running.is_foreign(event):
            return [*outcomes, *self._foreign_stop(at, call)]
        outcomes += self._observed(at, call, event)
        outcomes += self.features.heard(at, self._dialect(), call.action, call.payload, {})
        outcomes += self._own_profile_answer(at, call) or self.up.call(at, call)
        for mirror in self.mirrors:
            outcomes += mirror.copy(at, call)
        return outcomes

    def _clock_heard(self, at: Stamp, call: rpc.Call) -> list[Order]:
        """What time the station believes it is: our own profiles are dated by that."""
        clock = self.down.commander.clock
        told = told_wall_s(call.action, call.payload) if clock.listens(at) else None
        return clock.heard(at, told, reading=call.action == "MeterValues") if told is not None else []

    def _foreign_stop(self, at: Stamp, call: rpc.Call) -> list[Outcome]:
        """Where the CSMS numbers the transactions, a station could end the session of another one (F14, CVE-2026-28230)."""
        text = f"security event: {call.action} for a transaction that runs at another station - refused and kept aside; see `yardmaster queue`"
        return [Tell(Severity.ALARM, self.station_id, text), *self.up.aside(at, call)]

    def _own_profile_answer(self, at: Stamp, call: rpc.Call) -> list[Outcome]:
        """A question for new values of a profile (2.1 K28): the CSMS's never was at the station, but in overlay mode."""
        if self.generation is None or policy.from_station(self.version, call.action, policy.Upstream.OPEN) is not Verb.INTERCEPT:
            return []
        if self.requests.overlays(call.payload) and self.up.upstream is policy.Upstream.OPEN:
            return self.up.pass_up(at, call)
        ours = self.down.commander.dynamic_of(call.payload.get("chargingProfileId"))
        payload = self._dialect().pull_answer(ours if ours is not None and ours.until_wall_s > at.wall_s else None)
        return [SendStation(self.station_id, self.generation, rpc.result_text(call.message_id, payload))]

    def _rebooted(self, at: Stamp) -> list[Outcome]:
        # After a boot nothing is known to be installed: the site must confirm the floor anew (F08).
        self.down.rebooted()
        self.features.ask_again()
        if not self.online:
            return []
        self.online = False
        return [StationOffline(at, self.station_id)]

    def _boot_answer(self, at: Stamp, text: str) -> list[Outcome]:
        """An answer to the station's BootNotification goes down: from now on it takes commands, or not."""
        frame = rpc.parse(text, version=self.version, max_bytes=self._max_frame_bytes)
        if not isinstance(frame, rpc.Result) or self.down.dialect is None:
            self._booting = False  # no verdict: what it does next decides
            return []
        self._booting = self.down.dialect.boot_status(frame.payload) == "Rejected"
        # Pending stations answer commands too (B02); local control does not wait for the CSMS (F32).
        return [] if self._booting else self._go_online(at)

    def _started(self, at: Stamp, call: rpc.Call, transaction_id: str) -> list[Outcome]:
        """The station has its answer to a start without an id of its own: now the transaction has a name (1.6)."""
        for mirror in self.mirrors:
            mirror.started(call.message_id, transaction_id)
        event = self.up.about(call).event
        if event is None or self.running.is_over(replace(event, transaction_id=transaction_id)):
            return []
        named = int(transaction_id) if transaction_id.removeprefix("-").isdecimal() else transaction_id
        told = replace(call, payload={**call.payload, "transactionId": named})
        return self._observed(at, told, replace(event, transaction_id=transaction_id))

    def _observed(self, at: Stamp, call: rpc.Call, event: TransactionEvent | None) -> list[Outcome]:
        found = self.running.observe(at, call, event, self._dialect())
        return [*found, *self.taps.seen(at, call, event, self._dialect(), found)]

    def _heard(self, at: Stamp, action: str, request: dict[str, Any], result: dict[str, Any]) -> list[Outcome]:
        dialect = dialect_for(self.version)
        return self.taps.heard(at, action, request, result, dialect) if dialect is not None else []

    def _pulled(self, at: Stamp, profile_id: int, values: dict[str, Any]) -> list[Outcome]:
        return self.profiles.pulled(at, profile_id, values, self.transactions)

    def _unwanted(self, at: Stamp, transaction_id: str) -> list[Outcome]:
        return self.running.unwanted(at, transaction_id, self.online)

    def _lookup(self, token: dict[str, Any], at: Stamp) -> dict[str, Any] | None:
        return self.drivers.lookup(token, at.wall_s)

    def _dialect(self) -> Dialect:
        assert self.down.dialect is not None
        return self.down.dialect

    # -- frames from above ----------------------------------------------------------------------------

    def opened(self, at: Stamp, generation: int, version: str) -> list[Outcome]:
        """The upstream socket is open; version: what the CSMS chose."""
        link = self.up.link
        if link is None or generation != link.generation or link.state is not State.DIALLING:
            return []
        agreed = self.arrival.agreed
        waiting = self.arrival.opened(at, generation, version)
        if waiting is None and version in self._others(at):
            return self._choose_again(at, self.generation or 0, generation, version)
        if waiting is None and self.generation is not None and version != self.version:
            waiting = self.arrival.mismatch(generation, self.version, version)
        if waiting is not None:
            return [*waiting, *([self._remember()] if self.arrival.agreed != agreed else []), *self.dial(at)]
        return self._open(at, generation, version)

    def _open(self, at: Stamp, generation: int, version: str) -> list[Outcome]:
        self._leg_version, self._no_common_version, self._version_in_doubt = version, False, False
        self.up.patient = self.virtual
        self.limit_news.dialect = self._limit_words(version)
        self.limit_news.opened(at)
        self.pulls.upstream_changed()
        outcomes = self.requests.credentials.upstream_opened()
        if self.generation is not None and self.arrival.agreed != version:
            self.arrival.agreed = version
            outcomes.append(self._remember())
        outcomes += self.profiles.upstream_is(at, True, self.transactions)
        return [*outcomes, *self.up.opened(generation, at, version)]

    def _limit_words(self, version: str) -> Dialect | None:
        """1.6 has no words for limits: through a face that translates, the CSMS hears of them in those of the hub."""
        return dialect_for(HUB_VERSION) if self.virtual and version == "ocpp1.6" else dialect_for(self.version)

    def _others(self, at: Stamp) -> tuple[str, ...]:
        """Versions the station could change to for a CSMS that does not speak the one it was given; none while it charges."""
        return self.arrival.others(self.version) if self._version_in_doubt and self._calm(at) else ()

    def _calm(self, at: Stamp) -> bool:
        return self.generation is not None and not self.running.transactions and at.mono_s - self._chose_mono_s >= CHOOSE_AGAIN_S

    def may_change(self, at: Stamp, offered: tuple[str, ...]) -> bool:
        """Whether the station could rather connect again with a version it speaks, and that this dial did not offer, than be translated."""
        return self._calm(at) and not self.arrival.waiting and not set(self.arrival.others(self.version)) <= set(offered)

    def serves(self, offered: tuple[str, ...]) -> str:
        """What a leg has to speak for the station if a face translates. offered: by the dial; not empty."""
        waiting = self.arrival.choice
        if waiting is None:
            return self.version if self.generation is not None else offered[0]
        return waiting or max(offered, key=lambda version: VERSIONS.index(version) if version in VERSIONS else -1)

    def dial_now(self, at: Stamp) -> list[Outcome]:
        """A dial would succeed now: the usual wait is cut short."""
        link = self.up.link
        if link is None or link.state is not State.WAITING:
            return []
        link.hurry()
        return self.dial(at, spread=False)

    def _choose_again(self, at: Stamp, generation: int, leg: int, version: str) -> list[Outcome]:
        """The CSMS speaks what the station has offered too: it gets that when it connects again, which it does at once."""
        assert self.up.link is not None
        self.up.link.release()
        self._version_in_doubt, self._chose_mono_s, self.arrival.agreed = False, at.mono_s, version
        text = f"the CSMS speaks {version}, not {self.version} as the station was given while it was away - the station is asked to connect again"
        return [
            CloseUpstream(self.station_id, leg, "the station connects again first"),
            CloseStation(self.station_id, generation, 1012, f"connect again for {version}"),
            Tell(Severity.INFO, self.station_id, text),
            self._remember(),
        ]

    def closed(self, at: Stamp, generation: int, reason: str, no_common_version: bool = False, version_in_doubt: bool = False) -> list[Outcome]:
        """The upstream socket closed or a dial failed."""
        if generation != self._leg_generation():
            return []
        assert self.up.link is not None
        if not self.up.link.is_open:
            self.requests.credentials.upstream_failed()
        waiting = self.arrival.closed(at, generation, reason, no_common_version)
        if waiting is not None:
            return waiting
        self._version_in_doubt = no_common_version or version_in_doubt
        self.down.forget_csms()
        self.limit_news.closed()
        self.pulls.upstream_changed()
        away = self.profiles.upstream_is(at, False, self.transactions)
        return [*self._without_common_version(no_common_version), *self.up.closed(generation, at, reason), *away]

    def _without_common_version(self, no_common_version: bool) -> list[Outcome]:
        """The CSMS does not speak what the station was given while it was away: a person must bring them together."""
        if not no_common_version or self._no_common_version or self.generation is None:
            return []
        self._no_common_version = True
        text = (
            f"the CSMS does not speak {self.version} as this station does - local control goes on and messages are kept on disk;"
            " give one of them another OCPP version, or restart the station if it offers several"
        )
        return [Tell(Severity.ALARM, self.station_id, text)]

    def _leg_generation(self) -> int | None:
        """Generation of the upstream leg that is open or being dialled."""
        link = self.up.link
        return link.generation if link is not None and link.state in (State.OPEN, State.DIALLING) else None

    def csms_frame(self, at: Stamp, generation: int, text: str) -> list[Outcome]:
        """One text message of the CSMS."""
        kept = self.arrival.keep(generation, text) if self.arrival.waiting else None
        if kept is not None:
            return kept
        if generation != self._upstream_generation():
            return []
        try:
            frame = rpc.parse(text, version=self._leg_version, max_bytes=self._max_frame_bytes)
        except rpc.FrameError as error:
            return self._bad_csms_frame(at, generation, error)
        if isinstance(frame, rpc.Call):
            return self._csms_call(at, generation, frame)
        if isinstance(frame, (rpc.Result, rpc.Error)):
            return self._csms_answer(at, frame)
        return self._complaint_down(frame) if isinstance(frame, rpc.ResultError) else []

    def _bad_csms_frame(self, at: Stamp, generation: int, error: rpc.FrameError) -> list[Outcome]:
        if error.message_type in (rpc.CALLRESULT, rpc.CALLERROR):
            return self.up.answer(at, _broken_answer(error, self._leg_version))
        answer = rpc.error_text(error.message_id, error.code, error.detail, version=self._leg_version)
        return [] if error.ignore else [SendUpstream(self.station_id, generation, answer)]

    def _csms_answer(self, at: Stamp, frame: rpc.Result | rpc.Error) -> list[Outcome]:
        outcomes = self.up.answer(at, frame)
        if self.version == "ocpp2.1" and outcomes and isinstance(outcomes[0], SendStation) and outcomes[0].text is frame.text:
            self._results_down = (*self._results_down, frame.message_id)[-RESULTS_KEPT:]
        return outcomes

    def _complaint_down(self, frame: rpc.ResultError) -> list[Outcome]:
        """A CALLRESULTERROR about an answer of the station goes to it; one about an answer of ours ends here."""
        if self.generation is None or frame.message_id not in self._results_up:
            return []
        return [SendStation(self.station_id, self.generation, frame.text)]

    def _csms_call(self, at: Stamp, generation: int, call: rpc.Call) -> list[Outcome]:
        if self.generation is not None:
            return self.requests.call(at, generation, call)
        text = rpc.error_text(call.message_id, "GenericError", "station is offline", version=self._leg_version)
        return [SendUpstream(self.station_id, generation, text)]

    # -- mirrors -------------------------------------------------------------------------------------------

    def mirror(self, mirror_id: str) -> Mirror | None:
        """The leg to a mirror."""
        return next((mirror for mirror in self.mirrors if mirror.mirror_id == mirror_id), None)

    def mirror_frame(self, at: Stamp, mirror: Mirror, generation: int, text: str) -> list[Outcome]:
        """One text message of a mirror."""
        return mirror.frame(at, generation, text, self._max_frame_bytes)

    # -- orders of the site, storage -----------------------------------------------------------------------

    def carry(self, order: Order, evse: EvseKey, at: Stamp) -> list[Outcome]:
        """One of the site's internal orders for an EVSE of this station."""
        if isinstance(order, AnnounceLimit):
            self.limit_news.announce(order)
            return self._limit_news(at)
        running = self.running.transactions.get(evse.evse_id)
        return self.down.carry(order, at, *((running.transaction_id, running.start_wall_s) if running is not None else (None, None)))

    def _limit_news(self, at: Stamp) -> list[Outcome]:
        """What the CSMS shall hear of limits, when it has nothing better to hear, and what we ask of it."""
        if not self.online or self._leg_version != self.version or not self.up.may_ask:
            return []
        dynamic = [profile for profile in self.profiles.view.dynamic() if self.requests.keeps(profile)]
        outcomes = self.pulls.tick(at, dynamic, self._dialect()) if dynamic else []
        return [*outcomes, *(self.limit_news.pump(at) if self.up.at_leisure else [])]

    def maintenance(self, at: Stamp, for_s: float) -> list[Outcome]:
        """The operator lets the CSMS move this station elsewhere for a while (F27)."""
        return self.requests.maintenance(at, for_s)

    def persisted(self, at: Stamp, token: int, rows: tuple[OutboxRow, ...]) -> list[Outcome]:
        """The journal has written ``token``; not every token is ours."""
        outcomes = self.up.persisted(token, rows, at)
        if outcomes is None:
            outcomes = self.requests.credentials.persisted(at, token)
        return outcomes if outcomes is not None else self.profiles.persisted(at, token, self.transactions, self._upstream_generation())

    def loaded(self, at: Stamp, rows: tuple[OutboxRow, ...], asked: tuple[int, ...]) -> list[Outcome]:
        """The journal has read queued messages again."""
        return self.up.loaded(at, rows, asked)

    def persist_failed(self, at: Stamp, token: int) -> list[Outcome]:
        """The journal could not write ``token``."""
        outcomes = self.up.persist_failed(token)
        if outcomes is None:
            outcomes = self.requests.credentials.persist_failed(token)
        return outcomes if outcomes is not None else self.profiles.persist_failed(at, token, self.transactions, self._upstream_generation())

    def view(self) -> LinkView:
        """What the page shows."""
        link = self.up.link
        upstream = "none" if link is None else "open" if link.state is State.OPEN else "away"
        return LinkView(
            self.station_id,
            self.generation is not None,
            self.version,
            upstream,
            self.up.queued,
            self.up.outbox.parked,
            self.remote_address,
            tuple(mirror.view() for mirror in self.mirrors),
            self.requests.window_until_wall_s,
        )


def _broken_answer(error: rpc.FrameError, version: str) -> rpc.Error:
    """A broken answer is an answer all the same: whoever waits for it need not wait longer."""
    text = rpc.error_text(error.message_id, "GenericError", f"broken answer: {error.detail}", version=version)
    return rpc.Error(error.message_id, "GenericError", error.detail, {}, text)
