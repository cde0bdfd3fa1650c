"""What one charger gave to the logs of the depot, and the manifest that leaves nobody out (N01). Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from controller.link.depot.office import Card, Office
from controller.ocpp.hub import Failed, Reply, Said
from controller.ocpp.times import timestamp

Payload = dict[str, Any]
SENDER: Final = "{sender}"
"""In an address of a box: stands for the sender's name."""


@dataclass(slots=True)
class Source:
    """One charger. state: what the manifest says of it. request: our requestId to it. sender: its name in the box."""

    state: str
    request: int = 0
    sender: str = ""
    files: list[str] = field(default_factory=list)
    came_mono_s: float = 0.0
    open: bool = False
    nothing_mono_s: float | None = None  # when it said that it has nothing to send

    @property
    def told(self) -> str:
        """What the manifest says of it at the end."""
        if not self.open:
            return self.state
        return "received, not confirmed" if self.files else "no answer in time" if self.nothing_mono_s is None else "has nothing to send"


def manifest(office: Office, job: Payload, sources: Mapping[str, tuple[str, list[str]]]) -> str:
    """Which charger gave what, as JSON for people and programs."""
    chargers = [
        {
            "id": id,
            "evses": list(office.numbering.of_station(id)),
            "state": state,
            "files": files,
            "firmware": office.cards[id].boot.get("firmwareVersion", ""),
        }
        for id, (state, files) in sources.items()
    ]
    head = {"depot": office.identity, "requestId": job["requestId"], "logType": job["logType"], "made": timestamp(office.now().wall_s)}
    return json.dumps({**head, "chargers": chargers}, indent=1)


def request_of(job: Payload, request_id: int, url: str) -> Payload:
    """GetLog for a charger: what the CSMS wants, to our box."""
    times = {key: job["log"][key] for key in ("oldestTimestamp", "latestTimestamp") if key in job["log"]}
    return {"logType": job["logType"], "requestId": request_id, "log": {"remoteLocation": url, **times}, "retries": 2, "retryInterval": 30}


def address_for(urls: tuple[str, ...], sender: str, protocols: str) -> str:
    """Where a charger puts its log. urls: of the box, best first; one with "{sender}" is for chargers that know no HTTP. protocols: what it knows
    (FileTransferProtocols), "" = it has not said."""
    known = {word.strip().upper() for word in protocols.split(",")} - {""}
    ftp = [url for url in urls if SENDER in url]
    web = [url for url in urls if SENDER not in url]
    if ftp and "FTP" in known and not known & {"HTTP", "HTTPS"}:
        return ftp[0].replace(SENDER, sender)
    secure = [url for url in web if url.startswith("https:")]
    chosen = secure[0] if secure and "HTTPS" in known and "HTTP" not in known else web[0]
    return f"{chosen}/{sender}"


def absent(card: Card, urls: tuple[str, ...]) -> str:
    """What the manifest says of a charger before it has said anything."""
    if not card.configured:
        return "no longer in the site file"
    if not card.linked:
        return "offline"
    return "asked" if urls else "not asked: no box could be opened here"


def note(source: Source, reply: Reply, now_s: float) -> None:
    """What a charger has answered to GetLog."""
    status = str(reply.payload.get("status", "")) if isinstance(reply, Said) else ""
    if source.files:
        return
    if isinstance(reply, Said) and status.startswith("Accepted"):
        source.nothing_mono_s = None if reply.payload.get("filename") else now_s  # N01: no name means nothing to send
        return
    source.open = False
    source.state = (
        f"refused: {status}" if status else f"not possible: {reply.description or reply.code}" if isinstance(reply, Failed) else "refused"
    )


def sender_of(index: int, station_id: str, fresh: str) -> str:
    """A charger's name in an address, and the beginning of its files' names: no other charger's begins so, and none can guess it."""
    return f"{index:03d}-{re.sub(r'[^A-Za-z0-9._-]', '_', station_id)[:40]}-{re.sub('[^A-Za-z0-9]', '', fresh)[-12:]}"
