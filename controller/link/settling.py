"""What an answer of the CSMS settles: a live CALL, a queued row, something told in the station's name.

An answer may come late, when the station has had its own already and the message waits on disk: it
settles the row then, and the CSMS hears the message once (F21). It may name a 1.6 transaction, it
may say that a driver must not charge, and it is always the CSMS's newest word about a driver (4.4).

A CALLERROR to a message that went up live goes down as it came, also where money is in it (16.11): nothing was
acknowledged, so the record is still the station's, and the station repeats it by its own rules (E13, 1.6
TransactionMessageAttempts). Repeating it here as well would tell the CSMS twice, and tell the station a
success that nobody has seen. Only what was answered here is ours to repeat (``replay``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from controller.facts import Fact, OutboxRow, Stamp
from controller.link.answering import Answering, Hooks
from controller.link.held import Held, Relay
from controller.link.lane import Waiting
from controller.link.owed import OurAsked, OurBoot, OurStatus, Owed
from controller.link.replay import OurRow, Replay
from controller.ocpp import rpc
from controller.ocpp.dialect import Dialect
from controller.orders import Order, Persist

Outcome = Order | Fact
Payload = dict[str, Any]
Answer = rpc.Result | rpc.Error
Learn = Callable[[Payload, Payload, float], dict[tuple[str, str], Any]]
"""(idToken, idTokenInfo as the CSMS has just said, wall time) -> what the journal shall remember."""

LATE_ROWS_KEPT: Final = 16
SPEAKS_OF_ACCEPTANCE: Final = ("Authorize", "Heartbeat")
"""With transaction messages, what no CSMS answers to a station that it has not accepted."""


class Settling:
    """One station's. leg: the dialect of the upstream leg; the station's own, unless only its queue is sent."""

    __slots__ = ("_answers", "_hooks", "_late_rows", "_learn_token", "_owed", "_replay", "leg", "stop_invalid")

    def __init__(self, answers: Answering, replay: Replay, owed: Owed, learn: Learn, hooks: Hooks, stop_invalid: bool) -> None:
        self.leg: Dialect | None = None
        self._answers = answers
        self._replay = replay
        self._owed = owed
        self._learn_token = learn
        self._hooks = hooks
        self.stop_invalid = stop_invalid
        self._late_rows: dict[str, tuple[Relay, OurRow]] = {}

    def dialect(self) -> Dialect:
        """What the CSMS speaks here."""
        dialect = self.leg or self._answers.dialect
        assert dialect is not None
        return dialect

    def forget_leg(self) -> None:
        """The upstream leg is gone, and with it every answer that was to come."""
        self._late_rows.clear()

    def answered(self, at: Stamp, item: Waiting, frame: Answer) -> list[Outcome]:
        """The answer to the CALL in flight."""
        note = item.note
        if isinstance(note, Relay):
            return self._live(at, note, frame)
        if isinstance(note, OurRow):
            return self._row(at, note, frame.payload) if isinstance(frame, rpc.Result) else self._replay.refused(note, frame, at, self.dialect())
        if isinstance(note, OurBoot):
            return self._boot(at, frame)
        if isinstance(note, OurAsked):
            return note.done(at, frame)
        return self._owed.told(note) if isinstance(note, OurStatus) else []

    # -- CALLs of the station ------------------------------------------------------------------------

    def _live(self, at: Stamp, relay: Relay, frame: Answer) -> list[Outcome]:
        call, about = relay.call(self._answers.version), relay.about
        if isinstance(frame, rpc.Error):
            return self._answers.refusal(at, call, frame, relay.also)
        if about.begins:
            outcomes = self._live_start(at, call, relay, frame)
        else:
            outcomes = self._answers.result(at, call, about, frame.text, also=relay.also, live=True)
        if call.action == "BootNotification":
            self._owed.barred = False
            if self.dialect().boot_status(frame.payload) != "Accepted":
                self._owed.bar(at, frame.payload.get("interval"))
        elif about.event is not None or call.action in SPEAKS_OF_ACCEPTANCE:
            self._owed.barred = False
        if about.ends:
            outcomes += self._ended(about.transaction_id)
        return outcomes + self._learn(at, call.action, call.payload, frame.payload)

    def _live_start(self, at: Stamp, call: rpc.Call, relay: Relay, frame: rpc.Result) -> list[Outcome]:
        """The CSMS names the transaction. An id that means another one, or could, is not for the station: it gets a local one."""
        dialect, ids = self.dialect(), self._replay.ids
        csms_id, known = dialect.started_by_answer(call.action, call.payload, frame.payload), len(ids)
        if csms_id is None or not (ids.reserved(csms_id) or ids.taken(csms_id)):
            outcomes = self._answers.result(at, call, relay.about, frame.text, csms_id or "", relay.also, live=True)
            return outcomes if len(ids) == known else [*outcomes, Persist(0, remember=self._replay.memory())]
        local = ids.fresh(at)
        ids.settle(local, csms_id, relay.about.key)
        ids.trim(self._replay.outbox.has)
        text = rpc.result_text(call.message_id, dialect.assign_transaction(frame.payload, local))
        return self._answers.store(Held(call, relay.about, text, local), (), relay.also)

    def _ended(self, transaction_id: str) -> list[Outcome]:
        """The CSMS has heard of the end of a transaction, as the station calls it."""
        self._answers.repeats.ended(transaction_id)
        return self._replay.ended(transaction_id)

    def _learn(self, at: Stamp, action: str, request: Payload, result: Payload) -> list[Outcome]:
        learnt = self.dialect().token_answer(action, request, result)
        remember = self._learn_token(*learnt, at.wall_s) if learnt is not None else {}
        heard = self._hooks.heard(at, action, request, result)
        return [Persist(0, remember=remember), *heard] if remember else heard

    # -- CALLs of ours -----------------------------------------------------------------------------------

    def _row(self, at: Stamp, row: OurRow, result: Payload) -> list[Outcome]:
        """The CSMS has acknowledged a queued message. Its word about the driver counts also for a session that runs."""
        dialect = self.dialect()
        unwanted = self.stop_invalid and row.number in self._replay.outbox and dialect.deauthorised(row.action, row.request, result)
        outcomes = [*self._replay.accepted(row, result, dialect), *self._learn(at, row.action, row.request, result)]
        event = dialect.transaction_event(row.action, row.request)
        if event is not None and event.ended:
            outcomes += self._ended(row.transaction_id)
        return outcomes + (self._hooks.unwanted(at, row.transaction_id) if unwanted else [])

    def _boot(self, at: Stamp, frame: Answer) -> list[Outcome]:
        if isinstance(frame, rpc.Result) and self.dialect().boot_status(frame.payload) == "Accepted":
            self._owed.barred = False
            return self._owed.set_boot(None)
        self._owed.boot_later(at, frame.payload.get("interval") if isinstance(frame, rpc.Result) else None)
        return []

    # -- late answers --------------------------------------------------------------------------------------

    def stored(self, at: Stamp, held: Held, row: OutboxRow) -> list[Outcome]:
        """A message that went up before is on disk now. The CSMS has it and gets time to answer before it gets the row."""
        if held.relay is None:
            return []
        ours = OurRow(row.number, row.action, held.call.payload, row.transaction_id, row.key)
        if held.taken is not None:
            return self._row(at, ours, held.taken)
        self._replay.outbox.silent(row.number, at.mono_s)
        self._late_rows[held.call.message_id] = (held.relay, ours)
        if len(self._late_rows) > LATE_ROWS_KEPT:
            del self._late_rows[next(iter(self._late_rows))]
        return []

    def late(self, at: Stamp, item: Waiting, frame: rpc.Result) -> list[Outcome]:
        """An answer after its deadline: the station has had its own already, but the CSMS has the message."""
        note = item.note
        if isinstance(note, OurRow):
            return self._row(at, note, frame.payload)
        if not isinstance(note, Relay):
            return []
        for held in self._answers.held.values():
            if held.relay is note:
                held.taken = frame.payload  # the disk is not done yet
                return []
        relay, row = self._late_rows.get(frame.message_id, (None, None))
        if row is not None and relay is note:
            del self._late_rows[frame.message_id]
            return self._row(at, row, frame.payload)
        call = note.call(self._answers.version)
        return self._learn(at, call.action, call.payload, frame.payload)
