"""Laws of the link half under any order of events: nothing acknowledged is lost, order is kept, ids never meet.

The machine plays a station, a CSMS and a disk that crash, hang and answer late, in any order
hypothesis can think of, and checks P1, P2, one CALL in flight per direction and leak-freedom after
every step. At the end everything comes back and the queue must drain. The same machine speaks 2.0.1
and 1.6; the ids of 1.6 transactions have laws of their own in ``test_transaction_id_laws``.
"""

from __future__ import annotations

import json
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from controller.facts import EvseKey
from controller.orders import CloseUpstream, Inject, SendStation, SendUpstream
from tests.support.examples import examples
from tests.support.playbook import BOOT, BOOT_16, Playbook, event, values_16


class LinkMachine(RuleBasedStateMachine):
    """See the module."""

    version = "ocpp2.0.1"
    boot = BOOT
    reset = "OnIdle"
    kept = "TransactionEvent"

    def message(self, seq: int) -> dict[str, Any]:
        """A transaction message with a number in it."""
        return event("Started" if seq == 0 else "Updated", seq)

    def number(self, payload: dict[str, Any]) -> int:
        """The number in it."""
        return int(payload["seqNo"])

    def __init__(self) -> None:
        super().__init__()
        self.play = Playbook(disk=None, version=self.version)
        self.connected = False
        self.open = False
        self.seq = 0
        self.station_pending: dict[str, int | None] = {}
        self.acknowledged: set[int] = set()
        self.delivered: list[int] = []
        self.up_pending: dict[str, tuple[str, Any]] = {}
        self.down_pending: dict[str, str] = {}
        self.sent_mono_s: dict[str, float] = {}
        self.csms_calls: set[str] = set()
        self.csms_ids = 0
        self.station_ids: set[str] = set()
        self.down_ids: set[str] = set()

    # -- watching what comes out -------------------------------------------------------------------

    def watch(self) -> None:
        for outcome in list(self.play.outcomes):
            if isinstance(outcome, SendUpstream):
                self.saw_up(json.loads(outcome.text))
            elif isinstance(outcome, SendStation):
                self.saw_down(json.loads(outcome.text))
            elif isinstance(outcome, CloseUpstream):
                self.open = False
                self.up_pending.clear()
                self.csms_calls.clear()
        self.play.outcomes = []

    def saw_up(self, frame: list[Any]) -> None:
        assert self.open, "a frame went up a closed socket"
        if frame[0] == 2:
            self.expire(self.up_pending)
            assert not self.up_pending, "two CALLs in flight upstream"
            self.sent_mono_s[frame[1]] = self.play.mono_s
            self.up_pending[frame[1]] = (frame[2], frame[3])
        else:
            assert frame[1] in self.csms_calls, "an answer to one of our own CALLs leaked upstream"
            self.csms_calls.discard(frame[1])

    def saw_down(self, frame: list[Any]) -> None:
        assert self.connected, "a frame went down a closed socket"
        if frame[0] == 2:
            self.expire(self.down_pending)
            assert not self.down_pending, "two CALLs in flight to the station"
            self.sent_mono_s[frame[1]] = self.play.mono_s
            assert frame[1] not in self.station_ids, "one of our ids met one of the station's"
            self.down_pending[frame[1]] = frame[2]
            return
        assert frame[1] in self.station_pending, "an answer to nothing reached the station"
        seq = self.station_pending.pop(frame[1])
        if frame[0] == 3 and seq is not None:
            self.acknowledged.add(seq)

    def expire(self, pending: dict[str, Any]) -> None:
        """A CALL unanswered for 30 s is no longer in flight by the rules (P4 4.1.1)."""
        for message_id in [name for name in pending if self.play.mono_s - self.sent_mono_s[name] >= 30.0]:
            del pending[message_id]

    # -- events ----------------------------------------------------------------------------------------

    @initialize()
    def begin(self) -> None:
        self.play.connect(csms=None)
        self.connected = True
        self.watch()
        self.play.open()
        self.open = True
        self.watch()
        self.play.station(2, "boot", "BootNotification", self.boot)
        self.station_pending["boot"] = None
        self.watch()

    @precondition(lambda self: self.connected and len(self.station_pending) < 3)
    @rule()
    def station_sends_a_transaction_event(self) -> None:
        message_id = f"s-{self.seq}"
        self.station_ids.add(message_id)
        self.station_pending[message_id] = self.seq
        self.play.station(2, message_id, self.kept, self.message(self.seq))
        self.seq += 1
        self.watch()

    @precondition(lambda self: self.connected and "hb" not in self.station_pending)
    @rule()
    def station_sends_a_heartbeat(self) -> None:
        self.station_pending["hb"] = None
        self.play.station(2, "hb", "Heartbeat", {})
        self.watch()

    @precondition(lambda self: self.connected and self.down_pending)
    @rule(good=st.booleans())
    def station_answers(self, good: bool) -> None:
        message_id, _ = self.down_pending.popitem()
        frame = [3, message_id, {"status": "Accepted"}] if good else [4, message_id, "InternalError", "", {}]
        self.play.station(*frame)
        self.watch()

    @precondition(lambda self: self.open and self.up_pending)
    @rule(good=st.booleans())
    def csms_answers(self, good: bool) -> None:
        message_id, (action, payload) = self.up_pending.popitem()
        if not good and action == self.kept and (payload.get("offline") or self.version == "ocpp1.6"):
            good = True  # parking is tested elsewhere; here the CSMS takes what it is given
        if good and action == self.kept:
            self.delivered.append(self.number(payload))
        answer = {"status": "Accepted", "interval": 60, "currentTime": "2026-11-21T16:00:00Z"} if action == "BootNotification" else {}
        frame = [3, message_id, answer] if good or action == "BootNotification" else [4, message_id, "InternalError", "", {}]
        self.play.csms(*frame)
        self.watch()

    @precondition(lambda self: self.open and self.connected and len(self.csms_calls) < 4)
    @rule()
    def csms_commands(self) -> None:
        self.csms_ids += 1
        message_id = f"c-{self.csms_ids}"
        self.csms_calls.add(message_id)
        self.play.csms(2, message_id, "Reset", {"type": self.reset})
        self.watch()

    @precondition(lambda self: self.connected)
    @rule(limit_a=st.sampled_from([0.0, 6.0, 16.0]))
    def the_site_injects(self, limit_a: float) -> None:
        self.play.carry(Inject(EvseKey("CP1", 1), 1, limit_a, 3, 120.0, "plan"))
        self.watch()

    @precondition(lambda self: self.play.unwritten)
    @rule()
    def the_disk_writes(self) -> None:
        order = self.play.unwritten.pop(0)
        self.play.feed(self.play.write(order))
        self.watch()

    @precondition(lambda self: self.open)
    @rule()
    def the_csms_goes(self) -> None:
        self.open = False
        self.up_pending.clear()
        self.csms_calls.clear()
        self.play.close()
        self.watch()

    @precondition(lambda self: not self.open and self.play.links.sessions["CP1"].up.link.state.value == "dialling")  # type: ignore[union-attr]
    @rule()
    def the_csms_returns(self) -> None:
        self.open = True
        self.play.open()
        self.watch()

    @precondition(lambda self: self.connected)
    @rule()
    def the_station_drops(self) -> None:
        self.connected = self.open = False
        self.up_pending.clear()
        self.down_pending.clear()
        self.csms_calls.clear()
        self.station_pending.clear()
        self.play.hang_up()
        self.watch()

    @precondition(lambda self: not self.connected)
    @rule()
    def the_station_returns(self) -> None:
        self.connected = True
        self.play.connect(csms=None)
        self.watch()

    @rule(seconds=st.sampled_from([1, 5, 31]))
    def time_passes(self, seconds: int) -> None:
        for _ in range(seconds):
            self.play.wait(1)
            self.watch()

    # -- laws ---------------------------------------------------------------------------------------------

    @invariant()
    def nothing_acknowledged_is_lost(self) -> None:
        on_disk = {self.number(json.loads(row.text)[3]) for row in self.play.rows.values()}
        assert self.acknowledged <= on_disk | set(self.delivered)

    def teardown(self) -> None:
        """Everything comes back: what was acknowledged must all be upstream, in order."""
        if not self.connected:
            self.the_station_returns()
        for _ in range(400):
            while self.play.unwritten:
                self.the_disk_writes()
            if not self.open and self.play.links.sessions["CP1"].up.link.state.value == "dialling":  # type: ignore[union-attr]
                self.the_csms_returns()
            while self.up_pending:
                self.csms_answers(good=True)
            if self.open and not self.play.rows and not self.up_pending:
                break
            self.time_passes(1)
        assert self.acknowledged <= set(self.delivered)
        first_seen = list(dict.fromkeys(self.delivered))
        kept = [seq for seq in first_seen if seq in self.acknowledged]
        assert kept == sorted(kept), "order of a transaction was not kept"


class LinkMachine16(LinkMachine):
    """The same in OCPP 1.6, within one transaction of the CSMS."""

    version = "ocpp1.6"
    boot = BOOT_16
    reset = "Soft"
    kept = "MeterValues"

    def message(self, seq: int) -> dict[str, Any]:
        """A reading of transaction 7."""
        return values_16(7, str(seq))

    def number(self, payload: dict[str, Any]) -> int:
        """Its register."""
        return int(payload["meterValue"][0]["sampledValue"][0]["value"])


LinkMachine.TestCase.settings = settings(max_examples=examples(120), stateful_step_count=40, deadline=None)
LinkMachine16.TestCase.settings = settings(max_examples=examples(120), stateful_step_count=40, deadline=None)
TestLinkLaws = LinkMachine.TestCase
TestLinkLaws16 = LinkMachine16.TestCase
