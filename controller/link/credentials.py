"""A station's password while its CSMS changes it: what the station may use, what we show the CSMS.

The CSMS sets a new password in the station (A01; 1.6 AuthorizationKey). Basic auth ends in
Yardmaster, so one message changes two legs: the station's to us, and ours to the CSMS in the
station's name. A crash, a lost answer or a "no" in between must lock out neither (F27):

    1  the new one goes on disk beside the old one, the station may use either; only then the frame goes down
    2  the station says no: the new one is forgotten. It says yes: that is put on disk, then the answer
       goes up, and from now on we dial with the new one. It says nothing: both stay, undecided
    3  the station connects with the new one: the old one is forgotten (A01.FR.03). It connects with
       the old one: what was undecided is forgotten. The CSMS decides about its leg in the same way;
       as long as there are two, a failed dial is followed by one with the other

The journal keeps salted hashes of what the station may use. The text is kept only where the CSMS wants
a password from us (``upstreams.password``), because that leg has to present it; the journal's file is
readable by its owner only. Passwords are never told, logged or shown: events say that one was changed.

What an operator writes into the configuration afterwards wins: a rotated password counts as long as
the configured one is still the one it replaced. A station without a configured password stays open.

Pure; owned by the session, which tells it everything. Serves A01.FR.01 to FR.12, F27.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from controller.config import StationConfig, UpstreamConfig
from controller.facts import Fact, Stamp
from controller.link.ids import IdSource
from controller.link.secrets import QUICK_COST, SALT_BYTES, SecretError, check_hash, salted_hash
from controller.ocpp import rpc
from controller.ocpp.dialect import SecretChange
from controller.orders import Order, Persist, SetStationSecret, Severity, Tell

Outcome = Order | Fact
SPACE = "credentials"
STUCK_S = 90.0
"""A change without any answer for so long never reached the station: the leg it came on is gone."""
KEPT = 4
"""Passwords that may be the right one on a leg, at most; the eldest goes first."""


@dataclass(frozen=True, slots=True)
class Known:
    """A password that may be the right one. value: a hash, or on the upstream leg its text; "" = as configured.

    sure: the other side has said yes to it, or has used it.
    """

    value: str = field(repr=False)
    sure: bool


Knowns = tuple[Known, ...]
"""Eldest first. () = as configured."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """A change on its way. repeats: its text was known before. answer: the station's, sent up when the disk has it."""

    call: rpc.Call = field(repr=False)
    upstream_generation: int
    version: str
    at_mono_s: float
    hash: str = field(repr=False)
    text: str = field(repr=False)
    repeats: bool
    answer: str = field(default="", repr=False)


PassDown = Callable[[Stamp, int, rpc.Call], "list[Outcome] | None"]
"""Gives a CALL of the CSMS to the station now: (at, upstream generation, call). None: it cannot be given."""
Reply = Callable[[int, str], list[Outcome]]
"""Sends a text to the CSMS: (upstream generation, text); nothing if that leg is gone."""


class Credentials:
    """One station's passwords. tokens: numbers of ``Persist`` orders. pass_down, reply: the session's ways."""

    def __init__(
        self,
        station: StationConfig,
        upstream: UpstreamConfig | None,
        ids: IdSource,
        tokens: Callable[[], int],
        pass_down: PassDown,
        reply: Reply,
    ) -> None:
        self.station_id = station.id
        secret = station.password_hash or station.password
        self._station_basis = secret.get_secret_value() if secret is not None else ""
        self._has_hash = station.password_hash is not None
        self._guarded = secret is not None or station.password_file is not None
        self._use(upstream)
        self._ids = ids
        self._tokens = tokens
        self._pass_down = pass_down
        self._reply = reply
        self._configured = ""
        self._good: Knowns = ()
        self._shown: Knowns = ()
        self._turn = 0
        self._dialled = ""
        self._asked: _Asked | None = None
        self._writing = 0

    def _use(self, upstream: UpstreamConfig | None) -> None:
        shown = upstream.password if upstream is not None else None
        self._upstream_basis = shown.get_secret_value() if shown is not None else ""
        self._shows = shown is not None or (upstream is not None and upstream.password_file is not None)

    def rewire(self, upstream: UpstreamConfig | None) -> list[Outcome]:
        """Another CSMS, or none: it knows the configured password, not what the old one has set for itself. The station keeps its own."""
        self._use(upstream)
        had, self._shown, self._turn, self._dialled = bool(self._shown), (), 0, ""
        return [self._write(0)] if had else []

    # -- the journal ------------------------------------------------------------------------------

    def restore(self, remembered: Any) -> list[Outcome]:
        """What the journal kept under (SPACE, station). A change it was in the middle of is undecided again."""
        if not isinstance(remembered, dict):
            return []
        try:
            salt, self._configured = str(remembered["salt"]), str(remembered["configured"])
            good, shown = _read_known(remembered["good"], check_hash), _read_known(remembered["shown"])
        except (KeyError, TypeError, ValueError):
            text = "a changed password in the journal cannot be read - the configured one counts; if the station is refused, set it anew there"
            return [Tell(Severity.ALARM, self.station_id, text)]
        self._good = good if self._guarded and remembered.get("replaced_good") == _print(self._station_basis, salt) else ()
        self._shown = shown if self._shows and remembered.get("replaced_shown") == _print(self._upstream_basis, salt) else ()
        outcomes: list[Outcome] = [] if not self._good else self._allow()
        if self._good != good or self._shown != shown:
            text = "the configuration has another password than before - it counts, the one the CSMS had set is forgotten"
            outcomes += [Tell(Severity.INFO, self.station_id, text), self._write(0)]
        return outcomes

    def _write(self, token: int) -> Persist:
        salt = self._salt().hex()
        content = {
            "salt": salt,
            "configured": self._configured,
            "good": [[known.value, known.sure] for known in self._good],
            "shown": [[known.value, known.sure] for known in self._shown],
            "replaced_good": _print(self._station_basis, salt),
            "replaced_shown": _print(self._upstream_basis, salt),
        }
        return Persist(token, remember={(SPACE, self.station_id): content if self._good or self._shown else None})

    def _write_first(self) -> list[Outcome]:
        """Put the state on disk; what waits for it goes on in ``persisted``."""
        self._writing = self._tokens()
        return [self._write(self._writing)]

    def persisted(self, at: Stamp, token: int) -> list[Outcome] | None:
        """The journal has written ``token``; None if it is not one of ours."""
        if not token or token != self._writing:
            return None
        self._writing = 0
        asked = self._asked
        if asked is None:
            return []
        return self._answer_up(asked) if asked.answer else [*self._allow(), *self._down(at, asked)]

    def persist_failed(self, token: int) -> list[Outcome] | None:
        """The journal could not write ``token``; None if it is not one of ours.

        The new password is on disk since before the station heard of it, so its yes may go up all the same.
        """
        if not token or token != self._writing:
            return None
        self._writing = 0
        asked = self._asked
        if asked is None:
            return []
        return self._answer_up(asked) if asked.answer else self._call_off(asked, "InternalError", "the new password cannot be stored")

    # -- a change ---------------------------------------------------------------------------------

    def change(self, at: Stamp, generation: int, call: rpc.Call, change: SecretChange, version: str) -> list[Outcome] | None:
        """A CALL of the CSMS that sets a new password; it goes down when the disk has it. None: refuse it.

        Refused are a second one while the first is under way, and a password that cannot be one.
        """
        if self._asked is not None and at.mono_s - self._asked.at_mono_s < STUCK_S:
            return None
        try:
            hashed = salted_hash(change.text, self._salt(), QUICK_COST)
        except SecretError:
            return None
        # The header holds bytes, which in 1.6 need not be text: this carries them through str and JSON.
        text = change.password.decode("utf-8", "surrogateescape")
        repeats = any(known.value == text for known in self._shown)
        if self._guarded:
            self._good = _bounded((*(self._good or self._as_configured()), Known(hashed, False)))
        if self._shows and not repeats:
            self._shown = _bounded((*(self._shown or (Known("", True),)), Known(text, False)))
        self._asked = _Asked(call, generation, version, at.mono_s, hashed, text, repeats)
        return self._write_first()

    def owns(self, call: rpc.Call) -> bool:
        """Whether the answer to this CALL is ours to send up, see ``answered``."""
        return self._asked is not None and self._asked.call is call

    def answered(self, frame: rpc.Result | rpc.Error | None, accepted: bool) -> list[Outcome]:
        """The station's answer to the change; None = none came in time, and the CSMS has had its error."""
        asked = self._asked
        if asked is None or asked.answer:
            return []
        if frame is None:
            self._asked = None
            text = "no answer to a new password from the CSMS - old and new are good until the station connects with one of them"
            return [Tell(Severity.WARNING, self.station_id, text)]
        if not accepted:
            self._forget(asked)
            return [self._write(0), *self._allow(), *self._reply(asked.upstream_generation, frame.text)]
        self._good = _confirmed(self._good, asked.hash)
        self._shown = _confirmed(self._shown, asked.text)
        self._turn = 0
        self._asked = replace(asked, answer=frame.text)
        return self._write_first()

    def _down(self, at: Stamp, asked: _Asked) -> list[Outcome]:
        outcomes = self._pass_down(at, asked.upstream_generation, asked.call)
        return outcomes if outcomes is not None else self._call_off(asked, "GenericError", "the station cannot be reached now")

    def _answer_up(self, asked: _Asked) -> list[Outcome]:
        self._asked = None
        text = "the CSMS has changed the password of the station - the old one ends when the new one has been used"
        return [*self._reply(asked.upstream_generation, asked.answer), Tell(Severity.INFO, self.station_id, text)]

    def _call_off(self, asked: _Asked, code: str, detail: str) -> list[Outcome]:
        """The station never heard of it."""
        self._forget(asked)
        text = rpc.error_text(asked.call.message_id, code, detail, version=asked.version)
        return [self._write(0), *self._allow(), *self._reply(asked.upstream_generation, text)]

    def _forget(self, asked: _Asked) -> None:
        self._asked = None
        self._good = self._plain(tuple(known for known in self._good if known.value != asked.hash))
        shown = tuple(known for known in self._shown if known.value != asked.text or asked.repeats)
        self._shown = () if shown == (Known("", True),) else shown

    # -- which one is right -------------------------------------------------------------------------

    def connected(self, secret: str) -> list[Outcome]:
        """The station has connected. secret: the hash its password matched, "" = the configured one, or none was asked for."""
        good = _decided(self._good, secret)
        if good == self._good:
            return []
        self._good = self._plain(good)
        return [self._write(0), *self._allow()]

    def disconnected(self) -> list[Outcome]:
        """The station's socket is gone: an answer that has not come never will."""
        return self.answered(None, False) if self._asked is not None and not self._writing else []

    def dial_password(self) -> str | None:
        """For ``DialUpstream.password`` of a dial that begins now; None = as configured."""
        order = _in_order(self._shown)
        self._dialled = order[self._turn % len(order)].value if order else ""
        return self._dialled or None

    def upstream_opened(self) -> list[Outcome]:
        """The dial succeeded: the CSMS knows the password it was made with."""
        shown = _decided(self._shown, self._dialled)
        if shown == self._shown:
            return []
        self._shown, self._turn = shown, 0
        return [self._write(0)]

    def upstream_failed(self) -> None:
        """A dial failed, for whatever reason: the next one is made with the other password, if there is one."""
        self._turn += 1

    # -- inside ---------------------------------------------------------------------------------------

    def _allow(self) -> list[Outcome]:
        return [SetStationSecret(self.station_id, tuple(known.value for known in self._good))] if self._guarded else []

    def _as_configured(self) -> Knowns:
        """The configured password as the first of those that may be right."""
        with suppress(SecretError):
            secret = self._station_basis
            self._configured = secret if self._has_hash else salted_hash(secret, self._salt(), QUICK_COST)
            return (Known(self._configured, True),)
        return ()

    def _plain(self, good: Knowns) -> Knowns:
        """Nothing but the configured password is nothing to remember."""
        return () if good == (Known(self._configured, True),) else good

    def _salt(self) -> bytes:
        return hashlib.sha256(f"salt:{self._ids.fresh()}".encode()).digest()[:SALT_BYTES]


def _print(basis: str, salt: str) -> str:
    """Tells whether a configured password is still the same. Cut, so that it proves little to who finds it."""
    return hashlib.sha256(f"{salt}:{basis}".encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _confirmed(knowns: Knowns, value: str) -> Knowns:
    """The other side has said yes to ``value``: it is the newest that is sure."""
    if all(known.value != value for known in knowns):
        return knowns
    return (*(known for known in knowns if known.value != value), Known(value, True))


def _bounded(knowns: Knowns) -> Knowns:
    """At most KEPT: the eldest goes first, but never the newest that is sure."""
    sure = next((known for known in reversed(knowns) if known.sure), None)
    spare = [known for known in knowns if known is not sure]
    gone = spare[: max(0, len(knowns) - KEPT)]
    return tuple(known for known in knowns if known not in gone)


def _decided(knowns: Knowns, value: str) -> Knowns:
    """What may still be right after ``value`` has been used: itself, and what was agreed on later."""
    place = next((place for place, known in enumerate(knowns) if known.value == value), None)
    if place is None:
        return knowns
    return (Known(value, True), *(known for known in knowns[place + 1 :] if known.sure))


def _in_order(knowns: Knowns) -> list[Known]:
    """The order to try them in: the newest that was agreed on first, what is undecided last."""
    return [known for known in reversed(knowns) if known.sure] + [known for known in reversed(knowns) if not known.sure]


def _read_known(items: Iterable[Any], check: Callable[[str], None] = lambda value: None) -> Knowns:
    """From the journal's JSON. Raises ValueError or TypeError."""
    found = tuple(Known(str(value), bool(sure)) for value, sure in items)
    for known in found:
        check(known.value)
    return found
