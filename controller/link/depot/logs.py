"""GetLog of the depot (N01): the logs of all chargers and Yardmaster's own events, in one zip.

The CSMS is answered at once and hears Uploading; every charger that is there is asked to put its log into a box here; when
all have said that they have, or have been silent for ``SILENT_S``, the box is packed with a manifest and sent to the CSMS's
address. The manifest names every charger of the depot and what came from it, those that were away included: nothing is missing in
silence. A new GetLog ends the running one, which is told as AcceptedCanceled. After a restart the job is begun anew.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from controller.facts import Fact, FilesCollected, FileServed
from controller.link.depot.asking import refused
from controller.link.depot.log_sources import Source, absent, address_for, manifest, note, request_of, sender_of
from controller.link.depot.office import FromCsms, FromStation, Office, Quiet
from controller.link.depot.publishing import is_file_url, retries_of
from controller.link.depot.state_line import StateLine
from controller.ocpp.hub import HUB, Ask, AskAll, Conversation, Emit, Keep, Message, Said, answered
from controller.ocpp.times import timestamp
from controller.orders import OpenBox, SendBox, Severity, StopServing, Tell

Payload = dict[str, Any]
JOB: Final = "logs:job"
QUEUE: Final = "logs:states"
ACTION: Final = "LogStatusNotification"
SILENT_S: Final = 180.0
"""Chargers that say nothing for so long are not waited for."""
ALL_S: Final = 1800.0
BOX_S: Final = 15.0
REJOIN_S: Final = 60.0
"""After a start the chargers get so long to connect again before a job that was running is begun anew: else it would find nobody."""
SETTLE_S: Final = 30.0
"""Between a charger's file and its word that this was all."""
REFUSALS: Final = {
    **dict.fromkeys((401, 403, 530, 532, 550, 553), "PermissionDenied"),
    **dict.fromkeys((405, 501), "NotSupportedOperation"),
    **dict.fromkeys((400, 411, 415), "BadMessage"),
}
"""The server's last answer -> what the upload has ended with; any other is an UploadFailure."""
FAILED: Final = ("UploadFailure", "BadMessage", "PermissionDenied", "NotSupportedOperation", "AcceptedCanceled")
REFUSED: Final[dict[str, str]] = {
    "GetLog": "Rejected by depot.logs: refuse, for DataCollectorLog, and for other addresses than http, https and ftp",
}


@dataclass(slots=True)
class _Work:
    """The job as far as it has come since the start. stage: box, asking, waiting, sending. senders: station id -> its name in the box."""

    box: str
    stage: str = "box"
    senders: dict[str, str] = field(default_factory=dict)
    sources: dict[str, Source] = field(default_factory=dict)
    since_mono_s: float = 0.0
    heard_mono_s: float = 0.0


class Logs(Quiet):
    """The part. Memory "logs:job": the GetLog and its file name; "logs:states": what is still to be told."""

    def __init__(self, office: Office) -> None:
        self._office = office
        self._work: _Work | None = None
        self._rejoined_mono_s: float | None = None
        self._states = StateLine(office, ACTION, QUEUE)
        office.says[ACTION] = self._say

    def of_csms(self) -> Mapping[str, FromCsms]:
        """GetLog."""
        return {"GetLog": self._get}

    def of_station(self) -> Mapping[str, FromStation]:
        """LogStatusNotification."""
        return {"LogStatusNotification": self._heard}

    # -- the CSMS asks ---------------------------------------------------------------------------------------------

    def _get(self, message: Message) -> Conversation:
        payload = message.payload
        if self._office.policy.logs == "refuse":
            return answered(refused("Rejected", "NotEnabled", "collecting logs is switched off (depot.logs)"))
        if payload["logType"] not in ("DiagnosticsLog", "SecurityLog"):
            return answered(refused("Rejected", "UnsupportedRequest", f"there is no {payload['logType']} here"))
        if not is_file_url(payload["log"]["remoteLocation"]):
            return answered(refused("Rejected", "InvalidURL", "logs are sent to http, https and ftp addresses only"))
        return self._begin(payload)

    def _begin(self, payload: Payload) -> Conversation:
        old = self._office.memory.get(JOB)
        stamp = timestamp(self._office.now().wall_s)[:19].replace(":", "")
        name = f"{re.sub(r'[^A-Za-z0-9._-]', '_', self._office.identity)}-{payload['logType']}-{stamp}.zip"[-255:]
        if old is not None:
            self._queue("AcceptedCanceled", old["requestId"])
        self._office.memory.put(JOB, {**payload, "name": name})
        self._rejoined_mono_s = 0.0  # who asks now means those who are here now
        self._queue("Uploading", payload["requestId"])
        yield Keep()
        yield from self._drop()
        return Said({"status": "Accepted" if old is None else "AcceptedCanceled", "filename": name})

    def _drop(self) -> Conversation:
        """Forget what is under way; the next tick begins the job on disk, if there is one."""
        work, self._work = self._work, None
        if work is not None:
            yield Emit(StopServing(work.box))
        return Said({})

    # -- chargers report ---------------------------------------------------------------------------------------------

    def _heard(self, station_id: str, message: Message) -> Conversation:
        """Of a log that is not for our box nothing is told upwards: it would be taken for the depot's own."""
        status, request = str(message.payload.get("status", "")), message.payload.get("requestId")
        source = self._work.sources.get(station_id) if self._work is not None else None
        if self._work is not None and source is not None and source.request and request in (None, source.request):
            self._work.heard_mono_s = self._office.now().mono_s
            source.nothing_mono_s = None
            if status == "Uploaded" or status in FAILED:  # one that has failed may try again
                source.open, source.state = False, "complete" if status == "Uploaded" else status
        return answered(Said({}))

    # -- the file shell reports ----------------------------------------------------------------------------------------

    def told(self, fact: Fact) -> list[Conversation]:
        """The box is open, a file has come, the zip has been sent."""
        work = self._work
        if work is None or getattr(fact, "job", "") != work.box:
            return []
        work.heard_mono_s = self._office.now().mono_s
        match fact:
            case FileServed() if work.stage == "box":
                return [self._ask_all(work, fact.urls)]
            case FilesCollected(kind="received"):
                self._came(work, fact)
            case FilesCollected(kind="sent"):
                return [self._sent(fact)]
        return []

    def _came(self, work: _Work, fact: FilesCollected) -> None:
        source = next((one for one in work.sources.values() if one.sender and fact.name.startswith(f"{one.sender}-")), None)
        if source is not None:
            source.files.append(fact.name if fact.ok else f"{fact.name}: {fact.reason}")
            source.came_mono_s = self._office.now().mono_s

    # -- going on ------------------------------------------------------------------------------------------------------------

    def tick(self) -> list[Conversation]:
        """Begin, wait, pack, tell."""
        talks: list[Conversation] = []
        job = self._office.memory.get(JOB)
        if job is not None:
            talks += self._go_on(job)
        return [*talks, *self._states.tick()]

    def _go_on(self, job: Payload) -> list[Conversation]:
        now_s, work = self._office.now().mono_s, self._work
        if work is None and self._rejoining(now_s):
            return []
        if work is None:
            cards = enumerate(self._office.cards.values(), start=1)
            senders = {card.station_id: sender_of(index, card.station_id, self._office.fresh()) for index, card in cards}
            self._work = _Work(f"logs:{self._office.number()}", senders=senders, since_mono_s=now_s, heard_mono_s=now_s)
            return [self._open(self._work)]
        if work.stage == "box" and now_s - work.since_mono_s > BOX_S:
            return [self._ask_all(work, ())]
        silent = now_s - work.heard_mono_s > SILENT_S or now_s - work.since_mono_s > ALL_S
        if work.stage == "waiting" and (silent or not any(self._awaited(source, now_s) for source in work.sources.values())):
            work.stage = "sending"
            return [self._send(job, work)]
        return []

    def _rejoining(self, now_s: float) -> bool:
        """Whether a job from before the start waits for the chargers it was about."""
        if self._rejoined_mono_s is None:
            self._rejoined_mono_s = now_s + REJOIN_S
        return now_s < self._rejoined_mono_s and not all(card.linked for card in self._office.cards.values() if card.configured)

    def _awaited(self, source: Source, now_s: float) -> bool:
        """Whether a charger is still to say something; many 1.6 chargers put their file and say nothing more."""
        if source.nothing_mono_s is not None and not source.files:
            return now_s - source.nothing_mono_s <= SETTLE_S  # some leave the name out and send something all the same
        return source.open and not (source.files and now_s - source.came_mono_s > SETTLE_S)

    def _open(self, work: _Work) -> Conversation:
        yield Keep()
        yield Emit(OpenBox(work.box, senders=tuple(work.senders.values())))
        return Said({})

    def _ask_all(self, work: _Work, urls: tuple[str, ...]) -> Conversation:
        """Every charger that is there is asked at the same time; each puts its file under its own name."""
        work.stage = "asking"
        job = self._office.memory.get(JOB)
        for card in self._office.cards.values():
            work.sources[card.station_id] = Source(absent(card, urls))
        there = [card for card in self._office.linked() if card.configured and urls and card.station_id in work.senders]
        asks = []
        for card in there:
            source = work.sources[card.station_id]
            source.request, source.sender, source.open = self._office.number(), work.senders[card.station_id], True
            address = address_for(urls, source.sender, self._office.file_protocols(card.station_id))
            asks.append(Ask("GetLog", request_of(job, source.request, address), to=card.station_id))
        yield Keep()
        step = AskAll(tuple(asks), 60.0)
        if asks:
            yield step
        for card, reply in zip(there, step.replies, strict=False):
            note(work.sources[card.station_id], reply, self._office.now().mono_s)
        if work is self._work:
            work.stage, work.heard_mono_s = "waiting", self._office.now().mono_s
        return Said({})

    def _send(self, job: Payload, work: _Work) -> Conversation:
        text = manifest(self._office, job, {id: (source.told, source.files) for id, source in work.sources.items()})
        attempts, retry_s = retries_of(job)
        yield Emit(SendBox(work.box, job["log"]["remoteLocation"], job["name"], (("manifest.json", text),), attempts, retry_s))
        return Said({})

    def _sent(self, fact: FilesCollected) -> Conversation:
        job = self._office.memory.get(JOB)
        if job is not None:
            self._queue("Uploaded" if fact.ok else REFUSALS.get(fact.answer, "UploadFailure"), job["requestId"], fact.reason)
        self._office.memory.put(JOB, None)
        yield Keep()
        yield from self._drop()
        words = f"logs were sent to the CSMS as {fact.name}" if fact.ok else f"logs could not be sent to the CSMS: {fact.reason}"
        yield Emit(Tell(Severity.INFO if fact.ok else Severity.WARNING, self._office.identity, words))
        return Said({})

    # -- telling the CSMS --------------------------------------------------------------------------------------------------------

    def _queue(self, status: str, request_id: int, words: str = "") -> None:
        payload: Payload = {"status": status, "requestId": request_id}
        if words:
            payload["statusInfo"] = {"reasonCode": "Unspecified", "additionalInfo": words[:500]}
        self._states.add(payload)

    def _say(self) -> Conversation:
        """Triggered: Uploading while a job runs, else Idle (N01.FR.11)."""
        job = self._office.memory.get(JOB)
        payload = {"status": "Idle"} if job is None else {"status": "Uploading", "requestId": job["requestId"]}
        return (yield Ask(ACTION, payload, to=HUB)) or Said({})
