"""CALLs of the primary CSMS to one station: which pass, which are answered here, which are refused.

In this order: what would move the station past the fuse guard is refused, unless the operator has
opened a window for it (F27); what the operator's own rules forbid gets the action's own "no" (F31);
what the policy table keeps here is read, stored and answered here; a new password changes both legs
(``credentials``); everything else goes down byte for byte, but for the id of a transaction that the
station knows by another one (``transaction_ids``).
"""

from __future__ import annotations

from typing import Any, Final

from controller.config import StationConfig, UpstreamConfig
from controller.facts import Fact, Stamp
from controller.link import policy
from controller.link.auth_cache import AuthCache
from controller.link.commands import CommandPolicy
from controller.link.credentials import Credentials
from controller.link.downlink import Done, Downlink
from controller.link.ids import IdSource
from controller.link.local_list import LocalList
from controller.link.overlay import CHANGES, KEPT_HERE, Overlay
from controller.link.policy import Verb
from controller.link.profile_view import OWN_PROFILE_IDS
from controller.link.profiles import PROFILE_CALLS, Profiles
from controller.link.running import Running
from controller.link.uplink import Uplink
from controller.ocpp import rpc
from controller.ocpp.dialect import Dialect
from controller.ocpp.schedule import Profile
from controller.ocpp.times import timestamp
from controller.orders import Order, Persist, SendUpstream, Severity, Tell

Outcome = Order | Fact
Payload = dict[str, Any]

LONGEST_WINDOW_S: Final = 86_400.0
ABOUT_PROFILES: Final = PROFILE_CALLS | CHANGES
"""CALLs about charging profiles: kept and answered here, or passed to a station in overlay mode."""
NO_LEG: Final = -1
"""As upstream generation: the answer is not sent up by itself."""


class Requests:
    """One station's. told: what the CSMS has said about drivers. tokens: numbers of ``Persist`` orders."""

    __slots__ = ("_cache", "_commands", "_down", "_list", "_overlay", "_profiles", "_running", "_station_id", "_up", "_window", "credentials")

    def __init__(
        self,
        station: StationConfig,
        upstream: UpstreamConfig | None,
        ids: IdSource,
        told: tuple[AuthCache, LocalList],
        up: Uplink,
        down: Downlink,
        profiles: Profiles,
        running: Running,
        tokens: Any,
        overlay: Overlay | None = None,
    ) -> None:
        self._station_id = station.id
        self._commands = _policy(station.id, upstream)
        self._cache, self._list = told
        self._up = up
        self._down = down
        self._profiles = profiles
        self._overlay = overlay
        self._running = running
        self._window: tuple[float, float] | None = None  # ends at: monotonic, wall
        self.credentials = Credentials(station, upstream, ids, tokens, self._pass_password, self._reply)

    def rewire(self, upstream: UpstreamConfig | None) -> list[Outcome]:
        """The station has another CSMS from now on, or none."""
        self._commands = _policy(self._station_id, upstream)
        return self.credentials.rewire(upstream)

    def keeps(self, profile: Profile) -> bool:
        """Whether a profile of the CSMS is kept here alone; in overlay mode nearly all pass."""
        return self._overlay is None or profile.purpose in KEPT_HERE

    def overlays(self, payload: Payload) -> bool:
        """Whether a question of the station about a profile is one for the CSMS: in overlay mode, but for one of ours."""
        return self._overlay is not None and payload.get("chargingProfileId") not in OWN_PROFILE_IDS

    # -- the maintenance window (F27) ---------------------------------------------------------------------

    def maintenance(self, at: Stamp, for_s: float) -> list[Outcome]:
        """The operator opens the window for ``for_s`` seconds, at most a day; 0 closes it."""
        if for_s <= 0:
            return self._close_window()
        for_s = min(for_s, LONGEST_WINDOW_S)
        self._window = (at.mono_s + for_s, at.wall_in(for_s))
        text = f"maintenance window open until {timestamp(self._window[1])}: until then the CSMS may make this station dial elsewhere"
        return [Tell(Severity.ALARM, self._station_id, text)]

    @property
    def window_until_wall_s(self) -> float | None:
        """When the window closes, None = it is closed."""
        return self._window[1] if self._window is not None else None

    def tick(self, at: Stamp) -> list[Outcome]:
        """A second has passed."""
        return self._close_window() if self._window is not None and at.mono_s >= self._window[0] else []

    def _close_window(self) -> list[Outcome]:
        if self._window is None:
            return []
        self._window = None
        return [Tell(Severity.INFO, self._station_id, "maintenance window closed: the CSMS cannot make this station dial elsewhere any more")]

    # -- CALLs of the CSMS -----------------------------------------------------------------------------------

    def call(self, at: Stamp, generation: int, call: rpc.Call) -> list[Outcome]:
        """One CALL. generation: of the upstream leg it came on."""
        call = self._in_station_words(call)
        dialect = self._dialect()
        moves = dialect.moves_station(call.action, call.payload)
        verb = policy.from_csms(dialect.subprotocol, call.action)
        if (moves or verb is Verb.REFUSE) and not (moves and self._window is not None):
            return [self._refusal(generation, call), self._told(call, "it would change the link between station and Yardmaster")]
        reason = self._commands.refusal(call.action, at) if self._commands is not None else ""
        if reason and self._commands is not None:
            return [self._refusal(generation, call), *self._commands.tell(call.action, reason, at)]
        if not moves:
            handled = self._intercept(at, generation, call) if verb is Verb.INTERCEPT else None
            return handled if handled is not None else self._pass_down(at, generation, call)
        told = Tell(Severity.ALARM, self._station_id, f"{call.action} from the CSMS passes: the maintenance window is open")
        return [told, *(self._new_password(at, generation, call) or self._pass_down(at, generation, call))]

    def _in_station_words(self, call: rpc.Call) -> rpc.Call:
        text = self._up.to_station(call)
        if text is None:
            return call
        translated = rpc.parse(text, version=self._dialect().subprotocol, max_bytes=len(text) * 4)
        assert isinstance(translated, rpc.Call)
        return translated

    def _intercept(self, at: Stamp, generation: int, call: rpc.Call) -> list[Outcome] | None:
        """Outcomes for a CALL of the table's "intercept" kind; None when it may pass after all."""
        dialect = self._dialect()
        if call.action in ABOUT_PROFILES:
            return self._about_profiles(at, generation, call)
        if dialect.starts_remotely(call.action):
            return self._start_with_profile(at, generation, call)
        if call.action == "GetTransactionStatus":
            return self._transaction_status(generation, call)
        return self._settings(at, generation, call)

    def _about_profiles(self, at: Stamp, generation: int, call: rpc.Call) -> list[Outcome] | None:
        transactions = self._running.transactions
        if self._overlay is not None:
            return self._overlay.stays(at, generation, call, transactions, self._up.offer_own)
        if call.action == "UpdateDynamicSchedule":
            return self._profiles.update(at, generation, call)
        if call.action == "UsePriorityCharging":
            return self._profiles.use_priority(at, generation, call, transactions, self._up.offer_own)
        return self._profiles.csms_call(at, generation, call, transactions, self._up.offer_own)

    def _settings(self, at: Stamp, generation: int, call: rpc.Call) -> list[Outcome] | None:
        changed = self._new_password(at, generation, call)
        if changed is not None or not self._dialect().risky_variables(call.payload):
            return changed
        return [self._refusal(generation, call), self._told(call, "it would take the station out of Yardmaster's hands")]

    def _new_password(self, at: Stamp, generation: int, call: rpc.Call) -> list[Outcome] | None:
        """A new password for the station's connection changes both legs (F27); None if the CALL holds none."""
        dialect = self._dialect()
        change = dialect.secret_change(call.action, call.payload)
        if change is None:
            return None
        outcomes = self.credentials.change(at, generation, call, change, dialect.subprotocol)
        if outcomes is not None:
            return outcomes
        return [self._refusal(generation, call), self._told(call, "this password cannot be used, or another change is under way")]

    def _transaction_status(self, generation: int, call: rpc.Call) -> list[Outcome] | None:
        """From our queue as long as it holds what was asked for; else the station knows best (E14, trap 10)."""
        dialect, queued = self._dialect(), self._up.outbox.transactions()
        asked = dialect.transaction_of_command(call.action, call.payload)
        if not self._up.queued if asked is None else asked not in queued:
            return None
        payload = dialect.queue_status(call.payload, self._running.ids(), queued, bool(self._up.queued))
        return [self._to_csms(generation, rpc.result_text(call.message_id, payload))]

    def _start_with_profile(self, at: Stamp, generation: int, call: rpc.Call) -> list[Outcome] | None:
        dialect = self._dialect()
        profile = dialect.profile_in_start(call.payload)
        if profile is None:
            return None
        refusal = self._profiles.remote_start(at, call, profile)
        if self._overlay is not None:
            refusal = self._overlay.collides(profile)  # all else is the station's to judge
        if refusal is not None:
            return [self._to_csms(generation, rpc.result_text(call.message_id, refusal))]
        if self._overlay is not None:
            return None
        return self._pass_down(at, generation, call, rpc.with_payload(call, dialect.without_profile(call.payload)))

    def _pass_down(self, at: Stamp, generation: int, call: rpc.Call, text: str | None = None) -> list[Outcome]:
        outcomes = self._down.relay(at, call, generation, text)
        if outcomes is not None:
            return outcomes
        text = rpc.error_text(call.message_id, "GenericError", "this id is in use or too many calls are waiting", version=self._dialect().subprotocol)
        return [self._to_csms(generation, text)]

    def _refusal(self, generation: int, call: rpc.Call) -> Order:
        """The action's own valid "no"."""
        dialect = self._dialect()
        payload = dialect.refuse(call.action, call.payload)
        if payload is not None:
            return self._to_csms(generation, rpc.result_text(call.message_id, payload))
        text = rpc.error_text(call.message_id, "NotSupported", "not allowed at this site", version=dialect.subprotocol)
        return self._to_csms(generation, text)

    def _told(self, call: rpc.Call, why: str) -> Tell:
        return Tell(Severity.WARNING, self._station_id, f"{call.action} from the CSMS refused: {why}")

    # -- answers of the station ---------------------------------------------------------------------------------

    def answered(self, at: Stamp, call: rpc.Call, frame: rpc.Result | rpc.Error | None) -> list[Outcome]:
        """The station's answer to a CALL of the CSMS has passed, or never came."""
        payload = frame.payload if isinstance(frame, rpc.Result) else None
        dialect = self._dialect()
        if self.credentials.owns(call):
            return self._password_answered(at, call, frame, payload)
        if dialect.starts_remotely(call.action):
            return self._profiles.start_answered(at, call, payload, self._running.transactions)
        if self._overlay is not None and call.action in CHANGES:
            return self._overlay.answered(at, call, payload, self._running.transactions)
        return self._learn(at, call, payload) if payload is not None else []

    def _learn(self, at: Stamp, call: rpc.Call, payload: Payload) -> list[Outcome]:
        """What an exchange between CSMS and station says for the next outage."""
        dialect = self._dialect()
        outcomes: list[Outcome] = []
        rules = dialect.retry_rules(call.action, call.payload, payload)
        if rules is not None:
            outcomes += self._up.learn_rules(rules)
        remember = self._learn_drivers(dialect, call, payload)
        return [*outcomes, Persist(0, remember=remember)] if remember else outcomes

    def _learn_drivers(self, dialect: Dialect, call: rpc.Call, payload: Payload) -> dict[tuple[str, str], Any]:
        """What the station now has as its list or cache, we have too; returns what the journal shall remember."""
        update = dialect.list_update(call.action, call.payload, payload)
        if update is not None:
            return self._list.update(update)
        version = dialect.list_version(call.action, payload)
        if version is not None:
            return self._list.reported(version)
        # Whoever the CSMS wants forgotten at one station is forgotten at all: our cache is the site's (C11).
        cleared = call.action == "ClearCache" and payload.get("status") == "Accepted"
        return self._cache.clear() if cleared else {}

    # -- passwords ------------------------------------------------------------------------------------------------

    def _pass_password(self, at: Stamp, generation: int, call: rpc.Call) -> list[Outcome] | None:
        """Down to the station; what it answers goes up only when the disk has it."""
        return self._down.relay(at, call, NO_LEG) if self._down.generation is not None else None

    def _password_answered(self, at: Stamp, call: rpc.Call, frame: rpc.Result | rpc.Error | None, payload: Payload | None) -> list[Outcome]:
        if frame is None:
            link = self._up.link
            text = rpc.error_text(call.message_id, "GenericError", "station did not answer in time", version=self._dialect().subprotocol)
            errors = self._reply(link.generation, text) if link is not None else []
            return [*errors, *self.credentials.answered(None, False)]
        accepted = payload is not None and self._dialect().secret_accepted(call.action, call.payload, payload)
        return self.credentials.answered(frame, accepted)

    def _reply(self, generation: int, text: str) -> list[Outcome]:
        link = self._up.link
        return [self._to_csms(generation, text)] if link is not None and link.is_open and link.generation == generation else []

    # -- mirrors --------------------------------------------------------------------------------------------------

    def of_mirror(self, at: Stamp, call: rpc.Call, done: Done) -> list[Outcome] | None:
        """A CALL that a mirror was allowed to make; None if it is the primary's business alone."""
        dialect = self._dialect()
        if dialect.moves_station(call.action, call.payload) or not self._for_mirrors(dialect, call):
            return None
        return self._down.ask(at, call.action, call.payload, done)

    @staticmethod
    def _for_mirrors(dialect: Dialect, call: rpc.Call) -> bool:
        """What goes down unchanged for the primary too; of what is read first, only starts without profile, and words about a transaction."""
        verb = policy.from_csms(dialect.subprotocol, call.action)
        if verb is not Verb.INTERCEPT or call.action in ABOUT_PROFILES:
            return verb is Verb.RELAY
        if dialect.starts_remotely(call.action):
            return dialect.profile_in_start(call.payload) is None
        return dialect.transaction_of_command(call.action, call.payload) is not None

    # -- small things -----------------------------------------------------------------------------------------------

    def _to_csms(self, generation: int, text: str) -> Order:
        return SendUpstream(self._station_id, generation, text)

    def _dialect(self) -> Dialect:
        assert self._down.dialect is not None
        return self._down.dialect


def _policy(station_id: str, upstream: UpstreamConfig | None) -> CommandPolicy | None:
    return CommandPolicy(station_id, upstream.id, upstream.commands) if upstream is not None else None
