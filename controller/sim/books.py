"""What a simulated CSMS answers, and its account of every transaction: text in, text out.

The account says whether anything was lost between station and CSMS. 2.x numbers its events: no gap between Started
and Ended (E04). 1.6 does not, so there a station tells what it has had confirmed (``SimStation.confirmed``), and the
CSMS must have heard all of it: ``unheard``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from controller.facts import Stamp
from controller.sim import wire
from controller.sim.wire import Payload

HEARTBEAT_S = 60
KEPT_FRAMES = 20_000
FIRST_ID = 1001
LATE_S = 10.0
DEFAULT_SUBPROTOCOL = "ocpp2.0.1"


@dataclass(frozen=True, slots=True)
class SeenFrame:
    """One text message. incoming: from the station."""

    station_id: str
    wall_s: float
    incoming: bool
    text: str


@dataclass(slots=True)
class TransactionBook:
    """What is known of one transaction. events: number -> payload as it first came; the seqNo, in 1.6 a count of arrivals."""

    transaction_id: str
    station_id: str
    events: dict[int, Payload] = field(default_factory=dict)
    order: list[int] = field(default_factory=list)
    duplicates: int = 0

    @property
    def started(self) -> bool:
        """The Started event is here."""
        return any(event["eventType"] == "Started" for event in self.events.values())

    @property
    def ended(self) -> bool:
        """The Ended event is here."""
        return any(event["eventType"] == "Ended" for event in self.events.values())

    @property
    def missing(self) -> list[int]:
        """Sequence numbers not seen between 0 and the highest one."""
        return [number for number in range(max(self.events, default=-1) + 1) if number not in self.events]

    @property
    def in_order(self) -> bool:
        """Events came with rising sequence numbers."""
        return self.order == sorted(self.order)

    @property
    def complete(self) -> bool:
        """Started, ended and nothing missing."""
        return self.started and self.ended and not self.missing

    @property
    def told_late(self) -> int:
        """Events that were told with offline = true."""
        return sum(event.get("offline") is True for event in self.events.values())


@dataclass(slots=True)
class TransactionBook16(TransactionBook):
    """A transaction of 1.6. Nothing shows what is missing in it: see ``CsmsBooks.unheard``. late: heard ten seconds or more after its time."""

    late: int = 0

    def enter(self, at: Stamp, payload: Payload, moment: str) -> None:
        """The next message of the transaction; moment: its own timestamp."""
        number = len(self.events)
        self.events[number] = payload
        self.order.append(number)
        self.late += at.wall_s - wire.unix(moment) >= LATE_S * at.wall_speed

    @property
    def started(self) -> bool:
        """The StartTransaction is here."""
        return any("meterStart" in event for event in self.events.values())

    @property
    def ended(self) -> bool:
        """The StopTransaction is here."""
        return any("meterStop" in event for event in self.events.values())

    @property
    def in_order(self) -> bool:
        """The start came first, the stop last, and the moments rise: the newest of each message, for a reading taken when the car was plugged
        in, before its driver was known, comes behind the start."""
        rows = [self.events[number] for number in self.order]
        kinds = [0 if "meterStart" in row else 2 if "meterStop" in row else 1 for row in rows]
        moments = [wire.unix(row["timestamp"] if "timestamp" in row else row["meterValue"][-1]["timestamp"]) for row in rows]
        return kinds == sorted(kinds) and moments == sorted(moments)

    @property
    def told_late(self) -> int:
        """Messages whose time was long over when they came."""
        return self.late


class CsmsBooks:
    """Answers station CALLs and keeps account. strays: messages of 1.6 transactions that never began here."""

    def __init__(self, refused_tokens: tuple[str, ...] = (), heartbeat_s: int = HEARTBEAT_S) -> None:
        self.heartbeat_s = heartbeat_s
        self.frames: deque[SeenFrame] = deque(maxlen=KEPT_FRAMES)
        self.transactions: dict[str, TransactionBook] = {}
        self.boots: dict[str, int] = {}
        self.statuses: dict[tuple[str, int], str] = {}
        self.streamed: dict[str, int] = {}
        self.strays: list[Payload] = []
        self._refused_tokens = refused_tokens
        self._subprotocols: dict[str, str] = {}
        self._heard: dict[str, set[str]] = {}
        self._numbers: dict[tuple[str, int, str, str], int] = {}

    def speaks(self, station_id: str, subprotocol: str) -> None:
        """The version a station has agreed on; 2.0.1 until it says otherwise."""
        self._subprotocols[station_id] = subprotocol

    def handle(self, station_id: str, at: Stamp, text: str) -> list[str]:
        """One text message of a station; the texts to answer. Results of our own calls are only noted."""
        self._note(station_id, at, True, text)
        message = wire.read(text)
        if message is None:
            return [self._note(station_id, at, False, wire.error("-1", "RpcFrameworkError", "not a frame"))]
        if message.kind == wire.SEND:
            self.streamed[station_id] = self.streamed.get(station_id, 0) + len(message.payload.get("data", ()))
        if message.kind != wire.CALL:
            return []
        return [self._note(station_id, at, False, self._answer(station_id, at, message))]

    def note_call(self, station_id: str, at: Stamp, text: str) -> None:
        """Remember a CALL we send."""
        self._note(station_id, at, False, text)

    def gaps(self) -> dict[str, list[int]]:
        """Transactions with missing events -> the missing sequence numbers."""
        return {book.transaction_id: book.missing for book in self.transactions.values() if book.missing}

    def unheard(self, station_id: str, marks: Iterable[str]) -> list[str]:
        """Which of these transaction messages (``wire.mark``) of a station never came."""
        heard = self._heard.get(station_id, set())
        return [mark for mark in marks if mark not in heard]

    def forget(self) -> None:
        """Drop what was said, keep who is who: for months of virtual time nobody audits."""
        self.frames.clear()
        self._heard.clear()
        self.transactions = {name: book for name, book in self.transactions.items() if not book.ended}
        for book in self.transactions.values():
            book.events.clear()
            book.order.clear()

    def running(self) -> list[TransactionBook]:
        """Transactions without an end."""
        return [book for book in self.transactions.values() if not book.ended]

    def _note(self, station_id: str, at: Stamp, incoming: bool, text: str) -> str:
        self.frames.append(SeenFrame(station_id, at.wall_s, incoming, text))
        return text

    def _answer(self, station_id: str, at: Stamp, message: wire.Message) -> str:
        subprotocol = self._subprotocols.get(station_id, DEFAULT_SUBPROTOCOL)
        make = ANSWERS[subprotocol].get(message.action)
        if make is None:
            return wire.error(message.message_id, "NotImplemented", message.action)
        try:
            answer = make(self, station_id, at, message.payload)
            mark = wire.mark(message.action, message.payload)
        except (LookupError, TypeError, ValueError) as wrong:
            return wire.error(message.message_id, UNREADABLE[subprotocol], f"{type(wrong).__name__}: {wrong}")
        if mark is not None:
            self._heard.setdefault(station_id, set()).add(mark)
        return wire.result(message.message_id, answer)

    # -- every version ------------------------------------------------------------------------------

    def booted(self, station_id: str, at: Stamp, payload: Payload) -> Payload:
        """B01: everybody is welcome."""
        self.boots[station_id] = self.boots.get(station_id, 0) + 1
        return {"currentTime": wire.iso(at.wall_s), "interval": self.heartbeat_s, "status": "Accepted"}

    def _permission(self, token: str) -> str:
        return "Invalid" if token in self._refused_tokens else "Accepted"

    # -- 2.x ----------------------------------------------------------------------------------------

    def status(self, station_id: str, at: Stamp, payload: Payload) -> Payload:
        """Keep the connector's last status."""
        self.statuses[station_id, payload["evseId"]] = payload["connectorStatus"]
        return {}

    def events(self, station_id: str, at: Stamp, payload: Payload) -> Payload:
        """Statuses may come as events of AvailabilityState."""
        for event in payload["eventData"]:
            if (event["component"]["name"], event["variable"]["name"]) == ("Connector", "AvailabilityState"):
                self.statuses[station_id, event["component"]["evse"]["id"]] = event["actualValue"]
        return {}

    def authorize(self, station_id: str, at: Stamp, payload: Payload) -> Payload:
        """Every token is accepted except the refused ones."""
        return {"idTokenInfo": {"status": self._permission(payload["idToken"]["idToken"])}}

    def transaction_event(self, station_id: str, at: Stamp, payload: Payload) -> Payload:
        """Book the event; an idToken in it is answered (E05)."""
        transaction_id = payload["transactionInfo"]["transactionId"]
        book = self.transactions.setdefault(transaction_id, TransactionBook(transaction_id, station_id))
        number = payload["seqNo"]
        if number in book.events:
            book.duplicates += 1
        else:
            book.events[number] = payload
            book.order.append(number)
        return self.authorize(station_id, at, payload) if "idToken" in payload else {}

    # -- 1.6 ----------------------------------------------------------------------------------------

    def status_16(self, station_id: str, at: Stamp, payload: Payload) -> Payload:
        """Keep the connector's last status; 0 is the station."""
        self.statuses[station_id, payload["connectorId"]] = payload["status"]
        return {}

    def authorize_16(self, station_id: str, at: Stamp, payload: Payload) -> Payload:
        """Every idTag is accepted except the refused ones."""
        return {"idTagInfo": {"status": self._permission(payload["idTag"])}}

    def start_16(self, station_id: str, at: Stamp, payload: Payload) -> Payload:
        """Give the transaction its number; the same start told again has the same one."""
        key = (station_id, payload["connectorId"], payload["timestamp"], payload["idTag"])
        number = self._numbers.setdefault(key, FIRST_ID + len(self._numbers))
        book = self.transactions.get(str(number))
        if book is None:
            fresh = self.transactions[str(number)] = TransactionBook16(str(number), station_id)
            fresh.enter(at, payload, payload["timestamp"])
        else:
            book.duplicates += 1
        return {"transactionId": number, **self.authorize_16(station_id, at, payload)}

    def stop_16(self, station_id: str, at: Stamp, payload: Payload) -> Payload:
        """Book the end."""
        self._book_16(station_id, at, payload, payload["timestamp"])
        return {}

    def values_16(self, station_id: str, at: Stamp, payload: Payload) -> Payload:
        """Book the values of a transaction."""
        if "transactionId" in payload:
            self._book_16(station_id, at, payload, payload["meterValue"][0]["timestamp"])
        return {}

    def _book_16(self, station_id: str, at: Stamp, payload: Payload, moment: str) -> None:
        book = self.transactions.get(str(payload["transactionId"]))
        if not isinstance(book, TransactionBook16) or book.station_id != station_id:
            self.strays.append(payload)
        elif payload in book.events.values():
            book.duplicates += 1
        else:
            book.enter(at, payload, moment)


Answer = Callable[[CsmsBooks, str, Stamp, Payload], Payload]


def _always(answer: Payload) -> Answer:
    return lambda _books, _station_id, _at, _payload: dict(answer)


def _nothing(*actions: str) -> dict[str, Answer]:
    return {action: _always({}) for action in actions}


COMMON: Mapping[str, Answer] = {
    "BootNotification": CsmsBooks.booted,
    "Heartbeat": lambda _books, _id, at, _payload: {"currentTime": wire.iso(at.wall_s)},
    "DataTransfer": _always({"status": "UnknownVendorId"}),
    "SignCertificate": _always({"status": "Rejected"}),
    **_nothing("SecurityEventNotification", "LogStatusNotification", "FirmwareStatusNotification"),
}
ANSWERS_16: Mapping[str, Answer] = {
    **COMMON,
    "StatusNotification": CsmsBooks.status_16,
    "Authorize": CsmsBooks.authorize_16,
    "StartTransaction": CsmsBooks.start_16,
    "StopTransaction": CsmsBooks.stop_16,
    "MeterValues": CsmsBooks.values_16,
    **_nothing("DiagnosticsStatusNotification", "SignedFirmwareStatusNotification"),
}
ANSWERS_201: Mapping[str, Answer] = {
    **COMMON,
    "StatusNotification": CsmsBooks.status,
    "NotifyEvent": CsmsBooks.events,
    "Authorize": CsmsBooks.authorize,
    "TransactionEvent": CsmsBooks.transaction_event,
    "NotifyEVChargingNeeds": _always({"status": "Accepted"}),
    "NotifyEVChargingSchedule": _always({"status": "Accepted"}),
    "Get15118EVCertificate": _always({"status": "Failed", "exiResponse": ""}),
    "GetCertificateStatus": _always({"status": "Failed"}),
    **_nothing("MeterValues", "NotifyReport", "NotifyMonitoringReport", "NotifyCustomerInformation", "NotifyDisplayMessages"),
    **_nothing("NotifyChargingLimit", "ClearedChargingLimit", "ReportChargingProfiles", "ReservationStatusUpdate"),
    **_nothing("PublishFirmwareStatusNotification"),
}
ANSWERS_21: Mapping[str, Answer] = {
    **ANSWERS_201,
    "OpenPeriodicEventStream": _always({"status": "Accepted"}),
    "PullDynamicScheduleUpdate": _always({"status": "Rejected"}),
    "VatNumberValidation": lambda _books, _id, _at, payload: {"vatNumber": payload["vatNumber"], "status": "Rejected"},
    "GetCertificateChainStatus": lambda _books, _id, at, payload: _chain_status(at, payload["certificateStatusRequests"]),
    **_nothing("ClosePeriodicEventStream", "NotifyPriorityCharging", "NotifySettlement", "BatterySwap"),
    **_nothing("NotifyDERAlarm", "NotifyDERStartStop", "ReportDERControl"),
}
ANSWERS: Mapping[str, Mapping[str, Answer]] = {"ocpp1.6": ANSWERS_16, "ocpp2.0.1": ANSWERS_201, "ocpp2.1": ANSWERS_21}
UNREADABLE = {"ocpp1.6": "FormationViolation", "ocpp2.0.1": "FormatViolation", "ocpp2.1": "FormatViolation"}


def _chain_status(at: Stamp, asked: list[Payload]) -> Payload:
    same = {"status": "Failed", "nextUpdate": wire.iso(at.wall_s)}
    return {"certificateStatus": [{"certificateHashData": item["certificateHashData"], "source": item["source"], **same} for item in asked]}
