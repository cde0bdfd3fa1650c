"""UpdateFirmware to the depot (L01, L02): for the charger models the site file names, and for nobody else.

One image never fits a mixed depot, and Yardmaster itself is not updated over OCPP; without ``firmware_models`` the answer is Rejected with that
reason. Otherwise the update goes to each charger of those models, ``firmware_parallel`` at a time, each only while nobody charges
there. All their states become one: that of the charger that is least far, until all have ended; then Installed, or the worst
that happened, with the counts in statusInfo. Everything is on disk: after a restart the same update goes on under the same numbers.
A charger whose firmware version changes has installed, even if it never says so, as many 1.6 chargers do not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from controller.link.depot.asking import refused
from controller.link.depot.firmware_states import Progress, ended, ending, merged
from controller.link.depot.office import Card, FromCsms, FromStation, Office, Quiet
from controller.ocpp.hub import HUB, NO_ANSWER, Ask, Conversation, Emit, Failed, Keep, Message, Reply, Said, answered
from controller.ocpp.times import wall_time
from controller.orders import Severity, Tell

Payload = dict[str, Any]
JOB: Final = "firmware:update"
SILENT_S: Final = 2 * 3600.0
"""A charger that has not said anything for so long, counted from when it may install, has failed."""
AWAY_S: Final = 24 * 3600.0
"""A charger that has not been there for so long since its turn could have come has failed: an update must end some day."""
RETRY_S: Final = 60.0
REFUSED: Final[dict[str, str]] = {
    "UpdateFirmware": "Rejected unless depot.firmware_models names the charger models it is for; Yardmaster itself is not updated over OCPP",
}


class Firmware(Quiet):
    """The part. Memory "firmware:update": requestId, firmware, retries, retryInterval, chargers, queue of states, queued: the last one."""

    def __init__(self, office: Office) -> None:
        self._office = office
        self._asking: set[str] = set()
        self._telling = False
        self._wait_mono_s: dict[str, float] = {}
        self._seen_wall_s: dict[str, float] = {}
        office.says["FirmwareStatusNotification"] = self._say

    def of_csms(self) -> Mapping[str, FromCsms]:
        """UpdateFirmware."""
        return {"UpdateFirmware": self._update}

    def of_station(self) -> Mapping[str, FromStation]:
        """FirmwareStatusNotification."""
        return {"FirmwareStatusNotification": self._heard}

    # -- the CSMS asks ------------------------------------------------------------------------------------------

    def _update(self, message: Message) -> Conversation:
        models = self._office.policy.firmware_models
        if not models:
            return answered(
                refused("Rejected", "UnsupportedRequest", "one image never fits a mixed depot: depot.firmware_models names no charger model")
            )
        cards = [card for card in self._office.cards.values() if card.config is not None and card.config.model in models]
        if not cards:
            return answered(refused("Rejected", "NotFound", f"no charger here is of a model in depot.firmware_models ({', '.join(models)})"))
        if wall_time(message.payload["firmware"]["retrieveDateTime"]) is None:
            return answered(refused("Rejected", "InvalidValue", "retrieveDateTime is no time"))
        return self._begin(message.payload, cards)

    def _begin(self, payload: Payload, cards: list[Card]) -> Conversation:
        old = self._office.memory.get(JOB)
        now_s = self._office.now().wall_s
        chargers = {
            card.station_id: {"status": "", "request": self._office.number(), "version": _version(card), "said": now_s, "asked": False}
            for card in cards
        }
        kept = {key: payload[key] for key in ("requestId", "firmware", "retries", "retryInterval") if key in payload}
        over = old is not None and _progress(old).final  # that it has ended is still to be told
        self._office.memory.put(JOB, {**kept, "chargers": chargers, "queue": old["queue"] if over else [], "queued": ""})
        self._wait_mono_s.clear()
        self._seen_wall_s.clear()
        yield Keep()
        yield Emit(Tell(Severity.INFO, self._office.identity, f"the CSMS updates the firmware of {len(cards)} chargers"))
        return Said({"status": "Accepted" if old is None or over else "AcceptedCanceled"})

    # -- a charger reports -----------------------------------------------------------------------------------------

    def _heard(self, station_id: str, message: Message) -> Conversation:
        """Of an update that is not ours nothing is told upwards: it would be taken for the depot's own (trap 30)."""
        status, request = str(message.payload.get("status", "")), message.payload.get("requestId")
        charger = self._charger(station_id)
        if charger is None or not charger["asked"] or request not in (None, charger["request"]):
            return answered(Said({}))
        return answered(Said({})) if status == "Idle" else self._set(station_id, status)

    def _set(self, station_id: str, status: str) -> Conversation:
        job = self._office.memory.get(JOB)
        if job is not None and station_id in job["chargers"] and not ended(job["chargers"][station_id]["status"]):
            charger = {**job["chargers"][station_id], "status": status, "said": self._office.now().wall_s}
            self._office.memory.put(JOB, _queued({**job, "chargers": {**job["chargers"], station_id: charger}}))
            yield Keep()
        return Said({})

    def station_changed(self, card: Card) -> list[Conversation]:
        """A new firmware version at boot: it has installed."""
        charger = self._charger(card.station_id)
        if charger is None or not charger["asked"] or ended(charger["status"]):
            return []
        changed = _version(card) not in ("", charger["version"]) and charger["version"] != ""
        return [self._set(card.station_id, "Installed")] if changed else []

    def _charger(self, station_id: str) -> Payload | None:
        job = self._office.memory.get(JOB)
        found: Payload | None = job["chargers"].get(station_id) if job is not None else None
        return found

    # -- going on ------------------------------------------------------------------------------------------------------

    def tick(self) -> list[Conversation]:
        """Ask the next chargers, tell the CSMS what has changed, end what has been silent too long."""
        job = self._office.memory.get(JOB)
        if job is None:
            return []
        talks = [self._set(station_id, "InstallationFailed") for station_id in self._silent(job)]
        talks += [self._set(station_id, "DownloadFailed") for station_id in self._away(job)]
        if (self._office.now().wall_s >= (wall_time(job["firmware"]["retrieveDateTime"]) or 0.0)) and not talks:
            talks += [self._ask(card) for card in self._next(job)]
        self._schedule()
        if self._office.accepted and not self._telling and self._office.memory.get(JOB)["queue"]:
            self._telling = True
            talks.append(self._tell())
        return talks

    def _schedule(self) -> None:
        """Nobody has begun, and nobody is about to: that is said once (L01.FR.16)."""
        job = self._office.memory.get(JOB)
        if not self._asking and not any(one["asked"] for one in job["chargers"].values()):
            self._office.memory.put(JOB, _queued(job))

    def _next(self, job: Payload) -> list[Card]:
        """Chargers whose turn it is: idle, and not too many at a time."""
        chargers, now_s = job["chargers"], self._office.now().mono_s
        running = sum(one["asked"] and not ended(one["status"]) for one in chargers.values())
        waiting = [card for card in self._office.linked() if card.station_id in chargers and not chargers[card.station_id]["asked"]]
        idle = [card for card in waiting if not card.transactions and self._wait_mono_s.get(card.station_id, 0.0) <= now_s]
        free = max(0, self._office.policy.firmware_parallel - running - len(self._asking))
        chosen = [card for card in idle if card.station_id not in self._asking][:free]
        self._asking |= {card.station_id for card in chosen}
        return chosen

    def _ask(self, card: Card) -> Conversation:
        try:
            job = self._office.memory.get(JOB)
            charger = job["chargers"][card.station_id]
            payload = {"requestId": charger["request"], **{key: job[key] for key in ("firmware", "retries", "retryInterval") if key in job}}
            self._put(card.station_id, {**charger, "asked": True, "said": self._office.now().wall_s})
            yield Keep()
            reply = yield Ask("UpdateFirmware", payload, to=card.station_id)
            yield from self._answered(card.station_id, charger["request"], reply)
            return Said({})
        finally:
            self._asking.discard(card.station_id)

    def _answered(self, station_id: str, request: int, reply: Reply | None) -> Conversation:
        charger = self._charger(station_id)
        if charger is None or charger["request"] != request:
            return Said({})
        if isinstance(reply, Said):
            status = str(reply.payload.get("status", ""))
            if not status.startswith("Accepted"):
                words = "InvalidSignature" if status in ("InvalidCertificate", "RevokedCertificate") else "InstallationFailed"
                yield Emit(Tell(Severity.WARNING, station_id, f"does not take the firmware update of the CSMS: {status}"))
                yield from self._set(station_id, words)
        elif reply is not None and reply.code in ("NotSupported", "NotImplemented"):
            yield from self._set(station_id, "InstallationFailed")
        elif charger["status"] == "":  # nobody knows: the same question, under the same number, once more
            self._wait_mono_s[station_id] = self._office.now().mono_s + RETRY_S
            self._put(station_id, {**charger, "asked": False})
            yield Keep()
        return Said({})

    def _put(self, station_id: str, charger: Payload) -> None:
        job = self._office.memory.get(JOB)
        self._office.memory.put(JOB, {**job, "chargers": {**job["chargers"], station_id: charger}})

    def _silent(self, job: Payload) -> list[str]:
        may_install_s = wall_time(job["firmware"].get("installDateTime")) or 0.0
        now_s = self._office.now().wall_s
        waiting = {
            station_id: max(one["said"], may_install_s) for station_id, one in job["chargers"].items() if one["asked"] and not ended(one["status"])
        }
        return [station_id for station_id, since_s in waiting.items() if now_s - since_s > SILENT_S]

    def _away(self, job: Payload) -> list[str]:
        """Chargers that were never asked and are not there; who charges, or whose turn it is not yet, is waited for while it is there."""
        now_s, begin_s = self._office.now().wall_s, wall_time(job["firmware"]["retrieveDateTime"]) or 0.0
        there = {card.station_id for card in self._office.linked() if card.configured}
        open_ones = {station_id: one for station_id, one in job["chargers"].items() if not one["asked"] and not ended(one["status"])}
        self._seen_wall_s |= dict.fromkeys(there & open_ones.keys(), now_s)
        last_s = {station_id: max(begin_s, one["said"], self._seen_wall_s.get(station_id, 0.0)) for station_id, one in open_ones.items()}
        return [station_id for station_id, since_s in last_s.items() if station_id not in there and now_s - since_s > AWAY_S]

    # -- telling the CSMS ------------------------------------------------------------------------------------------------

    def _tell(self) -> Conversation:
        """The next state that waits; each is told, in order, and stays on disk until the CSMS has it."""
        try:
            state = self._office.memory.get(JOB)["queue"][0]
            payload: Payload = {"status": state["status"], "requestId": state.get("request", self._office.memory.get(JOB)["requestId"])}
            if state["words"]:
                payload["statusInfo"] = {"reasonCode": "Unspecified", "additionalInfo": state["words"]}
            reply = yield Ask("FirmwareStatusNotification", payload, to=HUB)
            job = self._office.memory.get(JOB)
            refused_it = isinstance(reply, Failed) and reply != NO_ANSWER
            if job is None or state not in job["queue"] or not (isinstance(reply, Said) or refused_it):
                return reply or NO_ANSWER
            over = state["final"] and payload["requestId"] == job["requestId"]
            self._office.memory.put(JOB, None if over else {**job, "queue": [one for one in job["queue"] if one != state]})
            yield Keep()
            if state["final"]:
                severity = Severity.INFO if state["status"] == "Installed" else Severity.WARNING
                yield Emit(Tell(severity, self._office.identity, f"firmware update has ended: {state['words']}"))
            return Said({})
        finally:
            self._telling = False

    def _say(self) -> Conversation:
        """Triggered: the state that was told last while an update runs, else Idle (L01.FR.25, F06)."""
        job = self._office.memory.get(JOB)
        payload = {"status": "Idle"} if job is None else {"status": _progress(job).status, "requestId": job["requestId"]}
        return (yield Ask("FirmwareStatusNotification", payload, to=HUB)) or Said({})


def _version(card: Card) -> str:
    return str(card.boot.get("firmwareVersion") or "")


def _progress(job: Payload) -> Progress:
    return merged([one["status"] for one in job["chargers"].values()])


def _queued(job: Payload) -> Payload:
    """The job with its state in the queue, if it is another one than the last."""
    progress = _progress(job)
    if progress.status == job["queued"]:
        return job
    words = ending({station_id: one["status"] for station_id, one in job["chargers"].items()}) if progress.final else ""
    state = {"status": progress.status, "words": words, "final": progress.final, "request": job["requestId"]}
    return {**job, "queue": [*job["queue"], state], "queued": progress.status}
