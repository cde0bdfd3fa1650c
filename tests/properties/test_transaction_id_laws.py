"""Laws of 1.6 transaction ids under kills at any moment: one id per transaction at the station, the right one upstream.

The machine plays a station that repeats what nobody answered, a naive CSMS that makes a new
transaction of every StartTransaction it hears, and a disk that carries out orders one by one, later.
A kill takes away everything the disk has not done yet (traps 7 and 8, F15, F67, P1, P2).
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from controller.facts import (
    OutboxRow,
    Persisted,
    Restored,
    RowsLoaded,
    Stamp,
    StationClosed,
    StationConnected,
    StationFrame,
    TimePassed,
    UpstreamClosed,
    UpstreamFrame,
    UpstreamOpened,
)
from controller.link.links import Links
from controller.link.transaction_ids import FIRST_LOCAL
from controller.ocpp.times import timestamp, wall_time
from controller.orders import CloseUpstream, DialUpstream, ForgetRows, LoadRows, Persist, SendStation, SendUpstream, UpdateRow
from tests.support.examples import examples
from tests.support.playbook import BOOT_16, START_WALL_S, config, start_16, stop_16, values_16

VERSION = "ocpp1.6"
OK = {"status": "Accepted"}


class Transaction:
    """One transaction as the station and the CSMS know it. csms_ids: every id the CSMS made for its start."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.station_id: int | None = None
        self.csms_ids: list[int] = []
        self.readings = 0
        self.acknowledged: set[str] = set()
        self.arrived: list[tuple[int, str]] = []
        self.stopped = False


class IdMachine(RuleBasedStateMachine):
    """See the module."""

    def __init__(self) -> None:
        super().__init__()
        self.mono_s = 1000.0
        self.rows: dict[int, OutboxRow] = {}
        self.memories: dict[tuple[str, str], Any] = {}
        self.newest = 0
        self.starts = 0
        self.lives = 0
        self.generation = 0
        self.all: dict[str, Transaction] = {}
        self.running: Transaction | None = None
        self.sending: tuple[Transaction, str, str, dict[str, Any]] | None = None  # transaction, what, action, payload
        self.message_id = ""
        self.messages = 0
        self.next_csms_id = 1
        self.alive()

    @property
    def at(self) -> Stamp:
        return Stamp(self.mono_s, START_WALL_S + self.mono_s)

    # -- a process, its disk, its sockets ------------------------------------------------------------------

    def alive(self) -> None:
        self.lives += 1
        self.links = Links(config(message_attempts=100), f"life {self.lives}", wall_time)
        self.orders: list[Persist | ForgetRows | UpdateRow] = []
        self.connected = self.open = self.dialling = False
        self.leg = 0
        self.in_flight: dict[str, tuple[str, dict[str, Any]]] = {}
        self.late: dict[str, tuple[str, dict[str, Any]]] = {}
        self.commands: dict[str, Transaction] = {}
        rows = tuple(replace(row, text="") if place > 1 else row for place, row in enumerate(self.rows.values()))
        self.feed(Restored(self.at, dict(self.memories), {"CP1": rows}))

    def feed(self, fact: Any) -> None:
        for outcome in self.links.handle(fact):
            if isinstance(outcome, Persist | ForgetRows | UpdateRow):
                self.orders.append(outcome)
            elif isinstance(outcome, LoadRows):
                found = tuple(self.rows[number] for number in outcome.numbers if number in self.rows)
                self.feed(RowsLoaded(self.at, "CP1", found, outcome.numbers))
            elif isinstance(outcome, DialUpstream):
                self.leg, self.dialling = outcome.generation, True
            elif isinstance(outcome, CloseUpstream):
                self.hung_up()
            elif isinstance(outcome, SendUpstream):
                self.saw_up(json.loads(outcome.text))
            elif isinstance(outcome, SendStation):
                self.saw_down(json.loads(outcome.text))

    def hung_up(self) -> None:
        self.open = self.dialling = False
        self.in_flight.clear()
        self.late.clear()
        self.commands.clear()

    def carry_out(self, told: bool = True) -> None:
        """The disk does the next order; told False: and the power fails before anybody hears of it."""
        order = self.orders.pop(0)
        if isinstance(order, ForgetRows):
            for number in order.numbers:
                self.rows.pop(number, None)
        elif isinstance(order, Persist):
            stored = []
            for row in order.rows:
                self.newest += 1
                stored.append(replace(row, number=self.newest))
                self.rows[self.newest] = stored[-1]
            for key, value in order.remember.items():
                self.memories[key] = json.loads(json.dumps(value))
            if order.token and told:
                self.feed(Persisted(self.at, order.token, tuple(stored)))

    # -- the CSMS -------------------------------------------------------------------------------------------

    def saw_up(self, frame: list[Any]) -> None:
        if frame[0] != 2:
            self.commands.pop(frame[1], None)
            return
        assert self.open
        self.in_flight = {frame[1]: (frame[2], frame[3])}

    def take(self, message_id: str, action: str, payload: dict[str, Any], local_range: bool) -> None:
        """The CSMS has the message and answers it."""
        answer: dict[str, Any] = {}
        if action == "StartTransaction":
            transaction = self.all[payload["idTag"]]
            self.next_csms_id += 1
            number = self.next_csms_id
            if local_range:  # an id that the station may have from us for another transaction
                taken = max([FIRST_LOCAL, *(one.station_id or 0 for one in self.all.values())])
                number = taken if not any(taken in one.csms_ids for one in self.all.values()) else FIRST_LOCAL + self.next_csms_id
            transaction.csms_ids.append(number)
            transaction.arrived.append((number, "start"))
            answer = {"idTagInfo": OK, "transactionId": number}
        elif action in ("MeterValues", "StopTransaction"):
            owner = next((one for one in self.all.values() if payload["transactionId"] in one.csms_ids), None)
            assert owner is not None, f"a message went up under {payload['transactionId']}, an id the CSMS never gave"
            what = "stop" if action == "StopTransaction" else payload["meterValue"][0]["sampledValue"][0]["value"]
            assert what == "stop" or what.startswith(owner.name + " "), "a reading went up under another transaction's id"
            owner.arrived.append((payload["transactionId"], what))
        elif action == "BootNotification":
            answer = {**OK, "interval": 60, "currentTime": timestamp(self.at.wall_s)}
        self.feed(UpstreamFrame(self.at, "CP1", self.leg, json.dumps([3, message_id, answer])))

    # -- the station --------------------------------------------------------------------------------------------

    def say(self, transaction: Transaction, what: str, action: str, payload: dict[str, Any]) -> None:
        self.sending = (transaction, what, action, payload)
        self.send()

    def send(self) -> None:
        """Say it, or say it again, under a fresh id."""
        if self.sending is None or not self.connected:
            return
        self.messages += 1
        self.message_id = f"{self.lives}-{self.messages}"
        self.feed(StationFrame(self.at, "CP1", self.generation, json.dumps([2, self.message_id, *self.sending[2:]])))

    def saw_down(self, frame: list[Any]) -> None:
        assert self.connected
        if frame[0] == 2:
            self.commanded(frame)
        elif frame[0] == 3 and self.sending is not None and frame[1] == self.message_id:
            transaction, what, action, _ = self.sending
            self.sending = None
            transaction.acknowledged.add(what)
            if action == "StartTransaction":
                assert transaction.station_id is None
                transaction.station_id = frame[2]["transactionId"]
                assert [one.station_id for one in self.all.values()].count(transaction.station_id) == 1, "two transactions share an id"
            if what == "stop":
                self.running = None

    def commanded(self, frame: list[Any]) -> None:
        if frame[2] == "RemoteStopTransaction":
            meant = self.commands[frame[1]]
            assert frame[3]["transactionId"] == meant.station_id, "a command reached another transaction"
        self.feed(StationFrame(self.at, "CP1", self.generation, json.dumps([3, frame[1], {"status": "Rejected"}])))

    # -- what happens -----------------------------------------------------------------------------------------------

    @initialize()
    def begin(self) -> None:
        self.station_connects()
        self.feed(StationFrame(self.at, "CP1", self.generation, json.dumps([2, "boot", "BootNotification", BOOT_16])))

    def station_connects(self) -> None:
        self.connected = True
        self.generation += 1
        self.feed(StationConnected(self.at, "CP1", self.generation, VERSION, "127.0.0.1", "/CP1"))
        self.send()

    @precondition(lambda self: self.connected)
    @rule()
    def station_reconnects(self) -> None:
        self.connected = False
        self.feed(StationClosed(self.at, "CP1", self.generation, "gone"))
        self.hung_up()
        self.station_connects()

    @precondition(lambda self: self.connected and self.running is None and self.sending is None)
    @rule()
    def a_transaction_starts(self) -> None:
        self.starts += 1
        self.running = Transaction(f"driver {self.starts}")
        self.all[self.running.name] = self.running
        self.say(self.running, "start", "StartTransaction", start_16(id_tag=self.running.name, time=timestamp(self.at.wall_s + self.starts)))

    @precondition(lambda self: self.connected and self.running is not None and self.running.station_id is not None and self.sending is None)
    @rule()
    def it_tells_a_reading(self) -> None:
        assert self.running is not None
        assert self.running.station_id is not None
        self.running.readings += 1
        what = f"{self.running.name} {self.running.readings}"
        self.say(self.running, what, "MeterValues", values_16(self.running.station_id, what))

    @precondition(lambda self: self.connected and self.running is not None and self.running.station_id is not None and self.sending is None)
    @rule()
    def it_stops(self) -> None:
        assert self.running is not None
        assert self.running.station_id is not None
        self.running.stopped = True
        self.say(self.running, "stop", "StopTransaction", stop_16(self.running.station_id, time=timestamp(self.at.wall_s + self.starts)))

    @precondition(lambda self: self.sending is not None)
    @rule()
    def the_station_is_impatient(self) -> None:
        self.send()

    @precondition(lambda self: self.orders)
    @rule(count=st.integers(1, 8))
    def the_disk_works(self, count: int) -> None:
        for _ in range(min(count, len(self.orders))):
            self.carry_out()

    @precondition(lambda self: self.dialling)
    @rule()
    def csms_opens(self) -> None:
        self.the_csms_opens()

    def the_csms_opens(self) -> None:
        self.dialling, self.open = False, True
        self.feed(UpstreamOpened(self.at, "CP1", self.leg, VERSION))

    @precondition(lambda self: self.open or self.dialling)
    @rule()
    def the_csms_goes(self) -> None:
        self.hung_up()
        self.feed(UpstreamClosed(self.at, "CP1", self.leg, "gone"))

    @precondition(lambda self: self.open and self.in_flight)
    @rule(local_range=st.sampled_from([False, False, False, True]))
    def csms_answers(self, local_range: bool) -> None:
        self.the_csms_answers(local_range)

    def the_csms_answers(self, local_range: bool) -> None:
        message_id, (action, payload) = self.in_flight.popitem()
        self.take(message_id, action, payload, local_range)

    @precondition(lambda self: self.open and self.in_flight)
    @rule()
    def the_csms_thinks_for_too_long(self) -> None:
        before = dict(self.in_flight)
        leg = self.leg
        self.pass_time(31)
        if self.open and self.leg == leg:
            self.late.update(before)

    @precondition(lambda self: self.open and self.late)
    @rule()
    def the_csms_answers_late(self) -> None:
        message_id, (action, payload) = self.late.popitem()
        self.in_flight.pop(message_id, None)
        self.take(message_id, action, payload, False)

    @precondition(lambda self: self.open and self.connected and self.running is not None and self.running.csms_ids and self.sending is None)
    @rule()
    def the_csms_commands(self) -> None:
        assert self.running is not None
        # Only of an id whose start is settled here: an id that a kill has made us forget means nothing to us.
        mapped = self.links.sessions["CP1"].up._replay.ids
        number = self.running.csms_ids[-1]
        if mapped.to_csms(str(self.running.station_id)) != str(number):
            return
        self.messages += 1
        self.commands[f"c-{self.messages}"] = self.running
        text = json.dumps([2, f"c-{self.messages}", "RemoteStopTransaction", {"transactionId": number}])
        self.feed(UpstreamFrame(self.at, "CP1", self.leg, text))

    @rule(seconds=st.sampled_from([1, 5]))
    def time_passes(self, seconds: int) -> None:
        self.pass_time(seconds)

    def pass_time(self, seconds: int) -> None:
        for _ in range(seconds):
            self.mono_s += 1.0
            self.feed(TimePassed(self.at))

    @rule(local_range=st.booleans())
    def all_goes_well_for_a_while(self, local_range: bool) -> None:
        for _ in range(4):
            while self.orders:
                self.carry_out()
            if self.dialling:
                self.the_csms_opens()
            if self.open and self.in_flight:
                self.the_csms_answers(local_range)
            self.pass_time(1)

    @precondition(lambda self: self.orders or self.rows or self.in_flight)
    @rule(written=st.integers(0, 3))
    def power_fails(self, written: int) -> None:
        for _ in range(min(written, len(self.orders))):
            self.carry_out(told=False)
        self.mono_s += 5.0
        self.alive()
        self.station_connects()

    # -- laws -----------------------------------------------------------------------------------------------------------

    @invariant()
    def nothing_acknowledged_is_lost(self) -> None:
        on_disk: dict[str, set[str]] = {}
        for row in self.rows.values():
            payload = json.loads(row.text)[3]
            if row.action == "StartTransaction":
                on_disk.setdefault(payload["idTag"], set()).add("start")
            elif row.action == "MeterValues":
                what = payload["meterValue"][0]["sampledValue"][0]["value"]
                on_disk.setdefault(what.rsplit(" ", 1)[0], set()).add(what)
            else:
                on_disk.setdefault(self.owner(payload["transactionId"]).name, set()).add("stop")
        for name, transaction in self.all.items():
            assert transaction.acknowledged <= on_disk.get(name, set()) | {what for _, what in transaction.arrived}

    @invariant()
    def a_start_is_kept_once(self) -> None:
        starts = [json.loads(row.text)[3]["idTag"] for row in self.rows.values() if row.action == "StartTransaction"]
        assert len(starts) == len(set(starts))

    def owner(self, station_id: int) -> Transaction:
        return next(one for one in self.all.values() if one.station_id == station_id)

    def teardown(self) -> None:
        """Everything works from now on: the queue must drain, in order, under ids of the right transaction."""
        if not self.connected:
            self.station_connects()
        for _ in range(600):
            while self.orders:
                self.carry_out()
            if self.dialling:
                self.the_csms_opens()
            while self.in_flight and self.open:
                message_id, (action, payload) = self.in_flight.popitem()
                self.take(message_id, action, payload, False)
            if self.open and not self.rows and not self.orders and self.sending is None:
                break
            self.pass_time(1)
        assert self.rows == {}
        for transaction in self.all.values():
            assert transaction.acknowledged <= {what for _, what in transaction.arrived}
            self.check_order(transaction)

    def check_order(self, transaction: Transaction) -> None:
        """Under each id of the CSMS a transaction is told from its start on, in order, repeats aside."""
        order = ["start", *(f"{transaction.name} {number}" for number in range(1, transaction.readings + 1)), "stop"]
        first_seen = list(dict.fromkeys(what for _, what in transaction.arrived))
        kept = [what for what in first_seen if what in transaction.acknowledged]
        assert kept == sorted(kept, key=order.index)


IdMachine.TestCase.settings = settings(max_examples=examples(200), stateful_step_count=60, deadline=None)
TestTransactionIdLaws = IdMachine.TestCase
