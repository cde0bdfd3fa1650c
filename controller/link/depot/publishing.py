"""PublishFirmware and UnpublishFirmware (L03, L04): the controller downloads once, and the stations fetch it here.

    Downloading -> Downloaded -> ChecksumVerified -> Published (with every address)
    DownloadFailed | InvalidChecksum | PublishFailed

Each state is one PublishFirmwareStatusNotification; they wait on disk, in order, while the CSMS is away. What is published stays so over
restarts, under the same addresses, until it is unpublished. The message is for the local controller: only the depot's own identity
answers it, never a charger (trap 30). One download at a time.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from controller.facts import Fact, FileFetched, FilesCollected, FileServed
from controller.link.depot.asking import refused
from controller.link.depot.office import FromCsms, Office, Quiet
from controller.link.depot.state_line import StateLine
from controller.ocpp.hub import HUB, Ask, Conversation, Emit, Keep, Message, Said, answered
from controller.orders import FetchFile, ServeFile, Severity, StopServing, Tell

Payload = dict[str, Any]
PREFIX: Final = "publish:"
"""Jobs of the file shell are "publish:<md5>"."""
JOBS: Final = "publish-jobs"
"""In the memory: job -> location, requestId, retries, stage, path, urls."""
QUEUE: Final = "publish-states"
ACTION: Final = "PublishFirmwareStatusNotification"
FETCHING: Final = "fetching"
FETCHED: Final = "fetched"
SERVED: Final = "served"
MOST_PUBLISHED: Final = 20
KEPT: Final = ("location", "requestId", "retries", "retryInterval")
DEFAULT_RETRIES: Final = 3
DEFAULT_RETRY_S: Final = 30
MOST_RETRIES: Final = 20
LONGEST_RETRY_S: Final = 86_400.0
AGAIN_S: Final = 60.0
"""What is published and cannot be served now (its port is taken, say) is tried again so often."""
REFUSED: Final[dict[str, str]] = {
    "PublishFirmware": "Rejected for other addresses than http, https and ftp, and while another download runs",
}


class Publishing(Quiet):
    """The part."""

    def __init__(self, office: Office) -> None:
        self._office = office
        self._begun: set[str] = set()
        self._again_mono_s: dict[str, float] = {}
        self._fetching_by: dict[str, int] = {}
        self._states = StateLine(office, ACTION, QUEUE)
        office.says[ACTION] = self._say

    def of_csms(self) -> Mapping[str, FromCsms]:
        """Publish and unpublish."""
        return {"PublishFirmware": self._publish, "UnpublishFirmware": self._unpublish}

    # -- the CSMS asks ----------------------------------------------------------------------------------------------

    def _publish(self, message: Message) -> Conversation:
        payload, checksum = message.payload, str(message.payload["checksum"]).lower()
        jobs = self._jobs()
        if re.fullmatch(r"[0-9a-f]{32}", checksum) is None:
            return answered(refused("Rejected", "InvalidValue", "checksum is no MD5 in hex (L03)"))
        if not is_file_url(payload["location"]):
            return answered(refused("Rejected", "InvalidURL", "only http, https and ftp addresses are fetched"))
        other = any(job["stage"] in (FETCHING, FETCHED) for key, job in jobs.items() if key != PREFIX + checksum)
        if other or len(jobs) >= MOST_PUBLISHED:
            reason = "another download runs" if other else "too many are published: unpublish one first"
            return answered(refused("Rejected", "FwUpdateInProgress" if other else "OutOfStorage", reason))
        return self._begin(payload, checksum, jobs.get(PREFIX + checksum))

    def _begin(self, payload: Payload, checksum: str, old: Payload | None) -> Conversation:
        key = PREFIX + checksum
        if old is not None and old["stage"] == SERVED:  # it is here already: the addresses once more
            self._put(key, {**old, "requestId": payload["requestId"]})
            self._states.add({"status": "Published", "requestId": payload["requestId"], "location": old["urls"]})
        else:
            kept: Payload = {word: payload[word] for word in KEPT if word in payload}
            self._put(key, {**kept, "stage": FETCHING})
            self._begun.discard(key)
            self._states.add({"status": "Downloading", "requestId": payload["requestId"]})
        yield Keep()
        return Said({"status": "Accepted"})

    def _unpublish(self, message: Message) -> Conversation:
        key = PREFIX + str(message.payload["checksum"]).lower()
        job = self._jobs().get(key)
        if job is None:
            return Said({"status": "NoFirmware"})
        if job["stage"] != SERVED or self._fetching_by.get(key, 0) > 0:
            return Said({"status": "DownloadOngoing"})
        self._put(key, None)
        self._again_mono_s.pop(key, None)
        yield Keep()
        yield Emit(StopServing(key))
        return Said({"status": "Unpublished"})

    # -- the file shell reports --------------------------------------------------------------------------------------------

    def told(self, fact: Fact) -> list[Conversation]:
        """What has become of a download, or of serving it."""
        key = getattr(fact, "job", "")
        job = self._jobs().get(key) if key.startswith(PREFIX) else None
        if job is None:
            return []
        match fact:
            case FileFetched():
                return [self._fetched(key, job, fact)] if job["stage"] == FETCHING else []
            case FileServed():
                return [self._served(key, job, fact)]
            case FilesCollected(kind="busy"):
                self._fetching_by[key] = int(fact.name)
        return []

    def _fetched(self, key: str, job: Payload, fact: FileFetched) -> Conversation:
        request_id = job["requestId"]
        if not fact.ok:
            yield from self._fail(key, "DownloadFailed", request_id, f"the download failed: {fact.reason}")
        elif fact.md5.lower() != key.removeprefix(PREFIX):
            self._states.add({"status": "Downloaded", "requestId": request_id})
            yield from self._fail(key, "InvalidChecksum", request_id, "the download is not what the CSMS announced: its MD5 is another one")
        else:
            self._states.add({"status": "Downloaded", "requestId": request_id})
            self._states.add({"status": "ChecksumVerified", "requestId": request_id})
            self._put(key, {**job, "stage": FETCHED, "path": fact.path, "sha256": fact.sha256})
            yield Keep()
            yield Emit(ServeFile(key, fact.path, file_name(job["location"])))
        return Said({})

    def _served(self, key: str, job: Payload, fact: FileServed) -> Conversation:
        if not fact.urls and job["stage"] == FETCHED:
            yield from self._fail(key, "PublishFailed", job["requestId"], f"it cannot be served: {fact.reason}")
        elif not fact.urls:
            yield from self._not_served(key, job, fact)
        else:
            self._again_mono_s.pop(key, None)
            if job["stage"] == FETCHED or list(fact.urls) != job.get("urls"):
                self._states.add({"status": "Published", "requestId": job["requestId"], "location": list(fact.urls)})
            self._put(key, {**job, "stage": SERVED, "urls": list(fact.urls)})
            yield Keep()
        return Said({})

    def _not_served(self, key: str, job: Payload, fact: FileServed) -> Conversation:
        """Published, and not there: fetched again if the file is gone, else offered again in a while. It is told once."""
        if fact.missing:
            self._states.add({"status": "Downloading", "requestId": job["requestId"]})
            self._put(key, {**{word: job[word] for word in KEPT if word in job}, "stage": FETCHING})
            self._begun.discard(key)
            self._again_mono_s.pop(key, None)
            yield Keep()
            return Said({})
        known = key in self._again_mono_s
        self._again_mono_s[key] = self._office.now().mono_s + AGAIN_S
        if not known:
            yield Emit(Tell(Severity.WARNING, self._office.identity, f"published firmware is not served now: {fact.reason} - it is tried again"))
        return Said({})

    def _fail(self, key: str, status: str, request_id: int, text: str) -> Conversation:
        self._states.add({"status": status, "requestId": request_id, "statusInfo": {"reasonCode": "Unspecified", "additionalInfo": text[:500]}})
        self._put(key, None)
        yield Keep()
        yield Emit(StopServing(key))
        yield Emit(Tell(Severity.WARNING, self._office.identity, f"firmware was not published: {text}"))
        return Said({})

    # -- going on ----------------------------------------------------------------------------------------------------------------

    def tick(self) -> list[Conversation]:
        """Begin what is on disk and not begun since the start, tell the CSMS the next state."""
        now_s = self._office.now().mono_s
        self._begun -= {key for key, due_s in self._again_mono_s.items() if due_s <= now_s}
        talks = [self._resume(key, job) for key, job in self._jobs().items() if key not in self._begun]
        return [*talks, *self._states.tick()]

    def _resume(self, key: str, job: Payload) -> Conversation:
        self._begun.add(key)
        if key in self._again_mono_s:
            self._again_mono_s[key] = self._office.now().mono_s + AGAIN_S
        if job["stage"] == FETCHING:
            attempts, retry_s = retries_of(job)
            yield Emit(FetchFile(key, job["location"], attempts=attempts, retry_s=retry_s))
        else:
            yield Emit(ServeFile(key, job["path"], file_name(job["location"])))
        return Said({})

    def _jobs(self) -> dict[str, Payload]:
        found: dict[str, Payload] = self._office.memory.get(JOBS, {})
        return found

    def _put(self, key: str, job: Payload | None) -> None:
        left = {one: other for one, other in self._jobs().items() if one != key}
        self._office.memory.put(JOBS, {**left, **({} if job is None else {key: job})} or None)

    def _say(self) -> Conversation:
        """Triggered: where a running download is, else Idle (L03.FR.08)."""
        running = [job for _, job in self._jobs().items() if job["stage"] != SERVED]
        status = (
            {"status": "Downloading" if running[0]["stage"] == FETCHING else "ChecksumVerified", "requestId": running[0]["requestId"]}
            if running
            else {}
        )
        return (yield Ask(ACTION, status or {"status": "Idle"}, to=HUB)) or Said({})


def is_file_url(url: Any) -> bool:
    """Whether an address is one that we fetch from and send to."""
    try:
        parts = urlsplit(url) if isinstance(url, str) else None
        return parts is not None and parts.scheme in ("http", "https", "ftp") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def retries_of(payload: Mapping[str, Any]) -> tuple[int, float]:
    """(attempts, seconds between them) of a request. Bounded: what a CSMS writes there must neither flood a server nor last for ever."""
    retries, pause_s = int(payload.get("retries", DEFAULT_RETRIES)), float(payload.get("retryInterval", DEFAULT_RETRY_S))
    return 1 + min(max(0, retries), MOST_RETRIES), min(max(1.0, pause_s), LONGEST_RETRY_S)


def file_name(url: str) -> str:
    """The last part of an address's path."""
    return unquote(urlsplit(url).path).rsplit("/", 1)[-1] or "firmware"
