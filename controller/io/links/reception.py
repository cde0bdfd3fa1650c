"""Who may come in: each caller is judged before its handshake is finished.

The rules are in ``link.admission``; here is what they need of the connection, and what bounds a caller who tries again and again: slow checks
of passwords, refusals that are told, a pause after too many of them. Says nothing of versions and of other connections of the same station.
Serves security profiles 1 to 3 (A00), A01.FR.03, B32.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from aiohttp import hdrs, web

from controller.config import Config
from controller.facts import StationRefused
from controller.io.api.passwords import PasswordChecker
from controller.io.links.bucket import TokenBucket
from controller.io.links.door import address_of
from controller.io.links.tls import shown_by
from controller.io.shell import Clock, Submit
from controller.link.admission import Admit, AdmitWithoutVersion, FailureBucket, Prove, Refuse, Target, decide, printable, read_target, split_offer
from controller.orders import HoldOffStation, SetStationSecret

WRONG_PER_MINUTE = 20  # or as many as the site has stations: slow checks of wrong passwords one address may cause

_ANSWERS = {
    401: "wrong identity or password",
    403: "this station has to connect in another way: see its security profile and its certificate",
    404: "unknown station or path",
    405: "this address takes GET with a WebSocket upgrade only",
    409: "this identity is in use by another connection",
    426: "this address speaks OCPP over WebSocket only",
    429: "too many failed attempts; wait a minute",
    503: "not at the moment; come back later",
}


@dataclass(frozen=True, slots=True)
class Guest:
    """A station that has proved who it is. offered: what it offers and we speak, in its order. secret: the hash it proved it with."""

    target: Target
    offered: tuple[str, ...]
    address: str
    secret: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class NoVersion:
    """A station that has proved who it is and speaks no version of ours. reason: for people."""

    identity: str
    address: str
    reason: str


class Reception:
    """Judges callers. spoken: subprotocols we speak."""

    def __init__(self, config: Config, clock: Clock, submit: Submit, spoken: tuple[str, ...]) -> None:
        self._config, self._clock, self._submit, self._spoken = config, clock, submit, spoken
        self.passwords = PasswordChecker()
        self._hashes: dict[str, tuple[str, ...]] = {}
        self._failures = FailureBucket()
        self._wrong = FailureBucket(max(WRONG_PER_MINUTE, len(config.stations)))
        self._reports = {station.id: TokenBucket(1 / 60, 3) for station in config.stations}
        self._stranger_reports = TokenBucket(1 / 60, 10)
        self._held_off: dict[str, float] = {}  # until when on mono_s

    async def judge(self, request: web.BaseRequest) -> Guest | NoVersion | web.Response:
        """A guest, one without a version in common, or the answer that turns the caller away."""
        if request.method != hdrs.METH_GET:
            return answer(405)
        address = address_of(request.transport)
        target = read_target(request.raw_path, self._config.listen.path)
        if target is None:
            return self._refuse(Refuse(404, "asked for a path that is not a station's"), request.raw_path, address)
        if self._failures.retry_after_s(_key(target.identity, address), self._clock.stamp().mono_s) > 0:
            return self._too_many(self._failures, _key(target.identity, address))
        held_s = self._held_off.get(target.identity, 0.0) - self._clock.stamp().mono_s
        if held_s > 0:
            return answer(503, {hdrs.RETRY_AFTER: str(int(held_s) + 1)})
        hashes = self._hashes.get(target.identity, ())
        offered = split_offer(request.headers.getall(hdrs.SEC_WEBSOCKET_PROTOCOL, ()))
        shown, wall_s = shown_by(request.get_extra_info("ssl_object")), self._clock.stamp().wall_s
        sent = request.headers.getall(hdrs.AUTHORIZATION, ())
        decision = decide(target.identity, sent, offered, self._config, self._spoken, hashes, shown, wall_s)
        if isinstance(decision, Prove):
            return await self._prove(target, decision, address)
        if isinstance(decision, Refuse):
            return self._refuse(decision, target.identity, address)
        return self._let_in(target, decision, address)

    async def _prove(self, target: Target, decision: Prove, address: str) -> Guest | NoVersion | web.Response:
        """The password has to match a salted hash. Who fails too often gets no more of the processor's time."""
        found = self.passwords.remembered(target.identity, decision.password, decision.hashes)
        if found is None:
            if self._wrong.retry_after_s(("", address), self._clock.stamp().mono_s) > 0:
                return self._too_many(self._wrong, ("", address))
            found = await self.passwords.which(target.identity, decision.password, decision.hashes)
        if found is None or found not in (self._hashes.get(target.identity) or decision.hashes):  # replaced while it was being checked (A01.FR.03)
            self._wrong.failed(("", address), self._clock.stamp().mono_s)
            return self._refuse(decision.wrong, target.identity, address)
        return self._let_in(target, decision.then, address, found)

    def _let_in(self, target: Target, decision: Admit | AdmitWithoutVersion, address: str, secret: str = "") -> Guest | NoVersion:
        if isinstance(decision, AdmitWithoutVersion):
            return NoVersion(target.identity, address, decision.reason)
        # Which of the hashes it was matters only to a change of password; the configured one is no news.
        rotated = secret if secret in self._hashes.get(target.identity, ()) else ""
        return Guest(target, decision.offered, address, rotated)

    def _too_many(self, bucket: FailureBucket, key: tuple[str, str]) -> web.Response:
        return answer(429, {hdrs.RETRY_AFTER: str(int(bucket.retry_after_s(key, self._clock.stamp().mono_s)) + 1)})

    def _refuse(self, decision: Refuse, identity: str, address: str) -> web.Response:
        key, mono_s = _key(identity, address), self._clock.stamp().mono_s
        tries = self._failures.failed(key, mono_s)
        more = "; further attempts are refused for a minute" if self._failures.retry_after_s(key, mono_s) else ""
        if tries == 1 or more:
            self.report(identity, address, decision.reason + more)
        return answer(decision.http_status)

    def report(self, identity: str, address: str, reason: str, twin: bool = False) -> None:
        """Tell the engine of a refusal, but not of thousands: an attacker must not fill the event log."""
        stamp = self._clock.stamp()
        bucket = self._reports.get(identity, self._stranger_reports)
        if bucket.try_take(stamp.mono_s):
            self._submit(StationRefused(stamp, printable(identity), address, reason, twin))

    def set_secret(self, order: SetStationSecret) -> None:
        """The passwords of a station are these from now on."""
        self._hashes[order.station_id] = order.hashes
        self.passwords.forget(order.station_id, order.hashes)

    def hold_off(self, order: HoldOffStation) -> bool:
        """A station is not let in for a while ("pull our plug" of commissioning); False for one that is not ours."""
        if order.station_id not in self._reports:
            return False
        self._held_off[order.station_id] = self._clock.stamp().mono_s + order.for_s
        return True


def answer(status: int, headers: dict[str, str] | None = None) -> web.Response:
    """Turned away, in a sentence for people; the connection closes behind it."""
    headers = dict(headers or {})
    if status == 401:
        headers[hdrs.WWW_AUTHENTICATE] = 'Basic realm="OCPP"'
    response = web.Response(status=status, text=_ANSWERS[status] + "\n", headers=headers)
    response.force_close()
    return response


def _key(identity: str, address: str) -> tuple[str, str]:
    """Key of the failure bucket; cut, so that long made-up identities cost no memory."""
    return identity[:64], address
