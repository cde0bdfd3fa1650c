"""TransactionEvents as 1.6 says them: StartTransaction, MeterValues, StopTransaction (OCPP-NOTES 12.5, 12.6, "down").

A transaction exists for 1.6 from its first event with an idToken on: what came before is held. The CSMS's transactionId is on disk
before the event is answered, so an event that comes again (it stays in the session's outbox until its answer) starts nothing twice.
Old events keep their timestamps. A transaction that nobody authorised never existed for 1.6, unless energy has flowed: then it is told at its
end, with the tag for nobody (``Wording.anonymous_tag``), so that no energy is missing above.

Energy: meterStart and meterStop are whole Wh, the exact register is kept here. Where the station told no register at the start, the
last one of the same connector counts, as nothing flows in between; where there is none either, meterStart is 0 and meterStop counts from
the first register seen: too little rather than a whole register's worth of somebody's money.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, Final

from controller.ocpp.hub import Conversation, Failed, Keep, Message, Payload, Said
from controller.ocpp.v16 import readings, words
from controller.ocpp.v16.csms_desk import Desk, Talk, answer_of, table, tables, text
from controller.ocpp.v16.csms_states import States

SEEN_KEPT: Final = 4
ENDED_KEPT: Final = 64
REMOTES_KEPT: Final = 100
BEGIN: Final = "Transaction.Begin"
END: Final = "Transaction.End"
NOBODY: Final = {"idToken": "", "type": "NoAuthorization"}


class Transactions:
    """All transactions of one station or depot.

    memory: "tx:<hub id>" = record; "run:<connectorId>" = hub id; "number:<n>" = hub id that the CSMS calls n, the latest by arrival;
    "wh:<connectorId>" = last register [Wh]; "remote:<remoteStartId>" = idTag; "ended" = hub ids, the oldest are forgotten.
    A record: cid, begun, tag, started, number, info (idTokenInfo), first_wh, begin_wh (exact), zero_wh, wh, held (readings), state, charged, seen,
    reservation, remote, stop_tag, unlock, ended.
    """

    def __init__(self, desk: Desk, states: States) -> None:
        self._desk, self._states = desk, states

    # -- who runs where -------------------------------------------------------------------------------------

    def named(self, number: Any) -> str:
        """Hub id of a running transaction by the number the CSMS gave it, the latest of that number. "" if there is none, and where several
        share a number that is none (16E 3.54): better nobody is stopped than somebody else."""
        found = text(self._desk.memory.get(f"number:{number}")) if isinstance(number, int) and number > 0 else ""
        if found and not self._record(found).get("ended"):
            return found
        same = [key for key, record in self._desk.memory.starting("tx:") if record.get("number") == number and not record.get("ended")]
        return same[0].removeprefix("tx:") if len(same) == 1 else ""

    def at(self, connector_id: int) -> str:
        """Hub id of what runs at a connector; "" if nothing does."""
        return text(self._desk.memory.get(f"run:{connector_id}"))

    def connector_of(self, hub_id: Any) -> int:
        """connectorId of a transaction, also of one that has ended; 0 if nobody knows."""
        return int(self._record(text(hub_id)).get("cid", 0))

    def unlocking(self, connector_id: int) -> None:
        """What runs there will end because of an UnlockConnector."""
        hub_id = self.at(connector_id)
        if hub_id:
            self._put(hub_id, {**self._record(hub_id), "unlock": True})

    def expect(self, remote_id: int, id_tag: str) -> None:
        """A remote start was asked for; whoever calls this yields Keep."""
        memory = self._desk.memory
        memory.put(f"remote:{remote_id}", id_tag)
        for key, _ in list(memory.starting("remote:"))[:-REMOTES_KEPT]:
            memory.put(key, None)

    def _record(self, hub_id: str) -> Payload:
        return dict(table(self._desk.memory.get(f"tx:{hub_id}")))

    def _put(self, hub_id: str, record: Payload) -> None:
        self._desk.memory.put(f"tx:{hub_id}", dict(record))

    # -- one event ----------------------------------------------------------------------------------------------

    def event(self, message: Message) -> Conversation:
        """A TransactionEvent; its answer carries idTokenInfo when the event carried an idToken."""
        payload = message.payload
        hub_id, mark = text(table(payload.get("transactionInfo")).get("transactionId")), _mark(payload)
        known = self._record(hub_id)
        if mark in known.get("seen", []):
            return Said(self._answer(known, payload))
        if not known and payload.get("eventType") != "Started":
            yield self._desk.warn(f"transaction {hub_id[:8]}... began before this CSMS was told; it gets no more than what comes now")
        record = self._learnt(hub_id, known, payload)
        reply = yield from self._carried(hub_id, record, payload)
        if isinstance(reply, Failed):
            return reply
        record = self._record(hub_id)
        if record.get("started"):
            record.pop("held", None)
        self._put(hub_id, {**record, "seen": [*record.get("seen", []), mark][-SEEN_KEPT:]})
        if payload.get("eventType") == "Ended" or not record.get("started"):
            yield Keep()
        yield from self._states.changed(record["cid"], payload.get("timestamp"), live=payload.get("offline") is not True)
        return reply

    def _carried(self, hub_id: str, record: Payload, payload: Payload) -> Talk:
        """What the event means, said in 1.6; returns the answer to the event."""
        tag = yield from self._tag(record, payload)
        if isinstance(tag, Failed):
            return tag
        id_tag, first = text(tag.payload.get("idTag")), payload.get("eventType") == "Started"
        begin = payload
        if not id_tag and payload.get("eventType") == "Ended" and _drew(record):
            tag = yield from self._desk.tag(NOBODY)
            id_tag = text(tag.payload.get("idTag")) if isinstance(tag, Said) else ""
            begin = {"timestamp": record.get("begun", payload.get("timestamp"))}
        if id_tag and not record.get("started"):
            reply = yield from self._start(hub_id, record, begin, id_tag)
            if isinstance(reply, Failed):
                return reply
            record = self._record(hub_id)
        told: Said | Failed = Said(self._answer(record, payload))
        held = bool(record.get("started") and record.get("held"))
        ended = payload.get("eventType") == "Ended"
        if not ended and id_tag and id_tag.casefold() != text(record.get("tag")).casefold():
            told = yield from self._other_driver(hub_id, record, id_tag)
        if isinstance(told, Failed):
            return told
        if not ended or held:  # the readings last: they are told once, whatever before them has to be asked again
            reply = yield from self._values(hub_id, record, {} if ended else payload, first or held)
            if isinstance(reply, Failed):
                return reply
        return (yield from self._stop(hub_id, record, payload, id_tag, told.payload)) if ended else told

    def _tag(self, record: Payload, payload: Payload) -> Talk:
        """idTag of the event; that of the remote start where it names only that."""
        if isinstance(payload.get("idToken"), dict):
            return (yield from self._desk.tag(payload["idToken"]))
        expected = text(self._desk.memory.get(f"remote:{record.get('remote')}"))
        return Said({"idTag": "" if record.get("started") else expected})

    def _answer(self, record: Payload, payload: Payload) -> Payload:
        """idTokenInfo is due exactly when the request carried an idToken (E01, E05)."""
        if not isinstance(payload.get("idToken"), dict) or "info" not in record:
            return {}
        same = self._desk.aliases.tag(payload["idToken"]).casefold() == text(record.get("tag")).casefold()
        return {"idTokenInfo": record["info"]} if same else {}

    def _learnt(self, hub_id: str, known: Payload, payload: Payload) -> Payload:
        """The record with what this event tells; in memory at once, on disk with the next Keep."""
        info, evse = table(payload.get("transactionInfo")), table(payload.get("evse"))
        connectors = self._desk.places.all()
        record = known or {"cid": connectors[0] if len(connectors) == 1 else 0, "begun": payload.get("timestamp")}
        if evse:
            record["cid"] = self._desk.places.number(evse.get("id"), evse.get("connectorId", 0))
        told = {"state": info.get("chargingState"), "remote": info.get("remoteStartId"), "reservation": payload.get("reservationId")}
        record |= words.without_none(told)
        if info.get("chargingState") == "Charging":
            record["charged"] = True
        if record.get("started") and payload.get("triggerReason") in ("Authorized", "StopAuthorized"):
            # Whoever stops it, the cable stays in: the stop that comes later names him - unless he goes on after all.
            stopped = payload["triggerReason"] == "StopAuthorized" and "idTokenInfo" in self._answer(record, payload)
            record["stop_tag"] = record.get("tag") if stopped else None
        register_wh = readings.register_wh(payload.get("meterValue"))
        if register_wh is not None:
            record["wh"] = max(register_wh, record["wh"]) if payload.get("eventType") == "Started" and "wh" in record else register_wh
            record.setdefault("first_wh", register_wh)
            if payload.get("eventType") == "Started" and not record.get("started"):
                record["first_wh"] = register_wh  # it may come behind later events
            if record.get("started") and record.get("begin_wh") is None:
                record.setdefault("zero_wh", register_wh)
        self._put(hub_id, record)
        if record["cid"] and not record.get("ended") and payload.get("eventType") != "Ended":
            before = text(self._desk.memory.get(f"run:{record['cid']}"))
            if before not in ("", hub_id):
                self._retire(before)  # its end never came; it still may
            self._desk.memory.put(f"run:{record['cid']}", hub_id)
            self._desk.memory.put(f"done:{record['cid']}", None)
        return record

    # -- start -----------------------------------------------------------------------------------------------------

    def _start(self, hub_id: str, record: Payload, payload: Payload, id_tag: str) -> Talk:
        begin_wh = self._begin_wh(record, payload)
        start: Payload = {"connectorId": record["cid"], "idTag": id_tag, "meterStart": round(begin_wh or 0.0)}
        start["timestamp"] = self._desk.time(payload.get("timestamp"))
        if isinstance(record.get("reservation"), int):
            start["reservationId"] = record["reservation"]
        reply = answer_of((yield self._desk.call("StartTransaction", start)))
        if isinstance(reply, Failed):
            return reply
        number = words.whole(reply.payload.get("transactionId"))
        record |= {"started": True, "tag": id_tag, "number": -1 if number is None else number}
        record |= {"info": self._desk.aliases.token_info(reply.payload.get("idTagInfo")), "begin_wh": begin_wh}
        self._put(hub_id, record)
        self._desk.memory.put(f"number:{record['number']}", hub_id)
        self._desk.memory.put(f"remote:{record.get('remote')}", None)
        yield Keep()
        return Said({})

    def _begin_wh(self, record: Payload, payload: Payload) -> float | None:
        """The register at the start [Wh]: of this event, the first of the transaction, or what the connector stood at; None if nobody knows."""
        begin_wh = readings.register_wh(payload.get("meterValue"), BEGIN)
        if begin_wh is None:
            begin_wh = record.get("first_wh")
        return begin_wh if begin_wh is not None else self._desk.memory.get(f"wh:{record['cid']}")

    # -- values ------------------------------------------------------------------------------------------------------

    def _values(self, hub_id: str, record: Payload, payload: Payload, first: bool) -> Talk:
        """MeterValues; of a start only what meterStart has not said. What a start brings before anybody is authorised waits with it, as it may be
        signed; other readings before go without a transactionId."""
        values = tables(payload.get("meterValue"))
        if first and not record.get("started"):
            self._put(hub_id, {**record, "held": values})
            return Said({})
        held = record.get("held", []) if first else []
        found = readings.down(_without([*held, *values], BEGIN, record.get("begin_wh")) if first else values)
        if not found:
            return Said({})
        numbered = {"transactionId": record["number"]} if record.get("started") else {}
        return answer_of((yield self._desk.call("MeterValues", {"connectorId": record["cid"], **numbered, "meterValue": found})))

    def meter_values(self, message: Message) -> Conversation:
        """MeterValues outside transactions; EVSE 0 is connector 0 (trap 11)."""
        number = self._desk.places.number(message.payload.get("evseId"))
        register_wh = readings.register_wh(message.payload.get("meterValue"))
        if register_wh is not None and number:
            self._desk.memory.put(f"wh:{number}", register_wh)
        found = readings.down(message.payload.get("meterValue"))
        if not found:
            return Said({})
        reply = answer_of((yield self._desk.call("MeterValues", {"connectorId": number, "meterValue": found})))
        return reply if isinstance(reply, Failed) else Said({})

    # -- stop -----------------------------------------------------------------------------------------------------------

    def _other_driver(self, hub_id: str, record: Payload, id_tag: str) -> Talk:
        """Another card ends the transaction (or tries to): the CSMS says what it thinks of it."""
        reply = answer_of((yield self._desk.call("Authorize", {"idTag": id_tag})))
        if isinstance(reply, Failed):
            return reply
        self._put(hub_id, {**record, "stop_tag": id_tag})
        return Said({"idTokenInfo": self._desk.aliases.token_info(reply.payload.get("idTagInfo"))})

    def _stop(self, hub_id: str, record: Payload, payload: Payload, id_tag: str, answer: Payload) -> Talk:
        if record.get("started"):
            reply = answer_of((yield self._desk.call("StopTransaction", self._stop_payload(record, payload, id_tag))))
            if isinstance(reply, Failed):
                return reply
            if isinstance(payload.get("idToken"), dict) and isinstance(reply.payload.get("idTagInfo"), dict):
                answer = {"idTokenInfo": self._desk.aliases.token_info(reply.payload["idTagInfo"])}
        self._forget(hub_id, record, payload)
        return Said(answer)

    def _stop_payload(self, record: Payload, payload: Payload, id_tag: str) -> Payload:
        info, held = table(payload.get("transactionInfo")), payload.get("meterValue")
        reason = words.stop_down(info.get("stoppedReason"), payload.get("triggerReason"))
        stop: Payload = {
            "transactionId": record["number"],
            "meterStop": self._meter_stop(record, held),
            "timestamp": self._desk.time(payload.get("timestamp")),
            "reason": "UnlockCommand" if record.get("unlock") and reason in ("Remote", "Other") else reason,
        }
        if id_tag or record.get("stop_tag"):
            stop["idTag"] = id_tag or record["stop_tag"]
        left = _without(held, END, stop["meterStop"])
        if readings.down(left, in_stop=True):
            stop["transactionData"] = readings.down(held, in_stop=True)
        return stop

    def _meter_stop(self, record: Payload, held: Any) -> int:
        end_wh = readings.register_wh(held, END)
        if end_wh is None:
            end_wh = record.get("wh")
        begin_wh = record.get("begin_wh")
        if begin_wh is None:  # the start said 0
            return 0 if end_wh is None else max(0, round(end_wh - record.get("zero_wh", end_wh)))
        return round(begin_wh if end_wh is None else end_wh)

    def _forget(self, hub_id: str, record: Payload, payload: Payload) -> None:
        """The transaction is over; its record stays for a while, as its last event may come again."""
        memory, cid = self._desk.memory, record["cid"]
        self._put(hub_id, {**record, "ended": True})
        if record.get("wh") is not None and cid:
            memory.put(f"wh:{cid}", record["wh"])
        if memory.get(f"run:{cid}") == hub_id:
            memory.put(f"run:{cid}", None)
            info = table(payload.get("transactionInfo"))
            unplugged = info.get("stoppedReason") == "EVDisconnected" or info.get("chargingState") == "Idle"
            known = memory.get(f"status:{cid}")
            free = known == "Available" or (unplugged and known is None)
            memory.put(f"done:{cid}", None if free else True)
        if memory.get(f"number:{record.get('number')}") == hub_id:
            memory.put(f"number:{record['number']}", None)
        memory.put(f"remote:{record.get('remote')}", None)
        self._retire(hub_id)

    def _retire(self, hub_id: str) -> None:
        """A record that is kept only for what may come late; the oldest of these are forgotten."""
        memory = self._desk.memory
        ended = [*(other for other in memory.get("ended", []) if other != hub_id), hub_id]
        kept = max(ENDED_KEPT, 2 * len(self._desk.places.all()))
        for old in ended[:-kept]:
            number = self._record(old).get("number")
            if memory.get(f"number:{number}") == old:
                memory.put(f"number:{number}", None)
            memory.put(f"tx:{old}", None)
        memory.put("ended", ended[-kept:])


def _drew(record: Payload) -> bool:
    """Whether energy has flowed in a transaction that nobody authorised."""
    first_wh, last_wh = record.get("first_wh"), record.get("wh")
    moved = isinstance(first_wh, int | float) and isinstance(last_wh, int | float) and last_wh > first_wh
    return not record.get("started") and moved


def _mark(payload: Payload) -> str:
    """What never changes when an event comes again; a repeat may be marked offline."""
    content = [payload.get(name) for name in ("eventType", "seqNo", "timestamp", "triggerReason", "transactionInfo")]
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _without(meter_value: Any, context: str, said_wh: float | None) -> list[Payload]:
    """Readings without the plain register that meterStart or meterStop has said already; a signed one stays."""
    kept = []
    for entry in tables(meter_value):
        samples = [sample for sample in tables(entry.get("sampledValue")) if not _is_said(sample, context, said_wh)]
        if samples:
            kept.append({**entry, "sampledValue": samples})
    return kept


def _is_said(sample: Payload, context: str, said_wh: float | None) -> bool:
    if sample.get("context") != context or "signedMeterValue" in sample:
        return False
    return said_wh is not None and readings.register_wh([{"sampledValue": [sample]}]) == said_wh
