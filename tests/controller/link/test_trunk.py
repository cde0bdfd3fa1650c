"""The one socket of many stations: one CALL at a time, in a fair order, nothing lost, nothing twice."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.facts import Stamp
from controller.link.ids import IdSource
from controller.link.suspects import SUSPECT_S
from controller.link.trunk import BUSY, CALLS_AT_ONCE, SILENCES, Hooks, Outcome, Then, Trunk, unsure
from controller.link.turns import PATIENCE, Rank
from controller.ocpp.hub import NO_ANSWER, Failed, Memory, Message, Reply, Said, Surroundings
from controller.orders import Tell
from tests.support.examples import examples
from tests.support.shapes import SHAPES

NOW = "2026-11-21T16:00:00.000Z"
TIMEOUT_S = 30.0


class Upstream:
    """A trunk and the CSMS it speaks to. sent: frames that left; asked: what the CSMS has asked the hub."""

    def __init__(self, version: str = "ocpp2.1", keeps: bool = True) -> None:
        self.mono_s = 100.0
        self.sent: list[list[Any]] = []
        self.replies: dict[str, list[Reply]] = {}
        self.asked: list[Message] = []
        self.waiting: list[Then] = []
        self.hung_up: list[str] = []
        self.told: list[str] = []
        self.keeping: list[Then] = []
        self.keeps = keeps
        self.trunk = Trunk("DEPOT", SHAPES, IdSource("test"), Hooks(self._send, self._hang_up, self._asks, self._keep, self._around), TIMEOUT_S)
        self.version = version
        self.do(self.trunk.opened(self.at, version))

    @property
    def at(self) -> Stamp:
        return Stamp(self.mono_s, 1_790_000_000.0 + self.mono_s)

    def _around(self, version: str) -> Surroundings:
        numbers = iter(range(1, 10_000))
        memory = Memory()
        return Surroundings("DEPOT", tuple, memory, memory, IdSource("fresh").fresh, lambda: next(numbers), lambda: self.at, SHAPES.fit)

    def _send(self, at: Stamp, text: str) -> list[Outcome]:
        self.sent.append(json.loads(text))
        return []

    def _hang_up(self, at: Stamp, reason: str) -> list[Outcome]:
        self.hung_up.append(reason)
        return self.trunk.closed(at)

    def _asks(self, at: Stamp, message: Message, then: Then) -> list[Outcome]:
        self.asked.append(message)
        self.waiting.append(then)
        return []

    def _keep(self, at: Stamp, then: Then) -> list[Outcome]:
        if self.keeps:
            return then(at, Said({}))
        self.keeping.append(then)
        return []

    def do(self, outcomes: list[Outcome]) -> None:
        self.told += [outcome.text for outcome in outcomes if isinstance(outcome, Tell)]

    def ask(self, name: str, message: Message, **how: Any) -> None:
        """A hub message; its replies are kept under ``name``."""
        replies = self.replies.setdefault(name, [])

        def then(at: Stamp, reply: Reply) -> list[Outcome]:
            replies.append(reply)
            return []

        self.do(self.trunk.ask(self.at, message, then, **how))

    @property
    def calls(self) -> list[list[Any]]:
        return [frame for frame in self.sent if frame[0] == 2]

    def names(self) -> list[str]:
        return [f"{frame[2]} {frame[3].get('seqNo', frame[3].get('evseId', ''))}".strip() for frame in self.calls]

    def answer(self, payload: dict[str, Any] | None = None, index: int = -1) -> None:
        """The CSMS answers a CALL, usually the last."""
        self.do(self.trunk.frame(self.at, json.dumps([3, self.calls[index][1], payload or {}])))

    def frame(self, *frame: Any) -> None:
        self.do(self.trunk.frame(self.at, json.dumps(list(frame))))

    def wait(self, seconds: float) -> None:
        for _ in range(int(seconds)):
            self.mono_s += 1.0
            self.do(self.trunk.tick(self.at))


def event(transaction_id: str, seq: int, kind: str = "Updated", **more: Any) -> Message:
    info = {"transactionId": transaction_id}
    payload = {"eventType": kind, "timestamp": NOW, "triggerReason": "Trigger", "seqNo": seq, "transactionInfo": info, **more}
    return Message("TransactionEvent", payload)


def status(evse_id: int, state: str = "Available") -> Message:
    return Message("StatusNotification", {"timestamp": NOW, "connectorStatus": state, "evseId": evse_id, "connectorId": 1})


def values(evse_id: int, value: float = 1.0, **more: Any) -> Message:
    sample = {"value": value, **more}
    return Message("MeterValues", {"evseId": evse_id, "meterValue": [{"timestamp": NOW, "sampledValue": [sample]}]})


SIGNED = {"signedMeterData": "AA==", "signingMethod": "", "encodingMethod": "OCMF", "publicKey": ""}
HEARTBEAT = Message("Heartbeat", {})
SECURITY = Message("SecurityEventNotification", {"type": "SettingSystemTime", "timestamp": NOW})


# -- one at a time, in order ------------------------------------------------------------------------------


def test_one_call_at_a_time_and_what_money_depends_on_first() -> None:
    up = Upstream()
    up.ask("h", HEARTBEAT)
    for name, message in (("v", values(1)), ("s", status(1)), ("x", SECURITY), ("e", event("a", 7))):
        up.ask(name, message)
    assert up.names() == ["Heartbeat"]
    for _ in range(4):
        up.answer()
    assert up.names() == ["Heartbeat", "TransactionEvent 7", "SecurityEventNotification", "StatusNotification 1", "MeterValues 1"]
    up.answer()
    assert all(len(replies) == 1 and isinstance(replies[0], Said) for replies in up.replies.values())


def test_a_low_rank_waits_for_so_many_others_at_most() -> None:
    up = Upstream()
    up.ask("first", HEARTBEAT)
    up.ask("low", Message("Heartbeat", {}))
    for seq in range(200):
        up.ask(f"e{seq}", event(f"t{seq}", seq))
    for _ in range(60):
        up.answer({} if up.calls[-1][2] != "Heartbeat" else {"currentTime": NOW})
    place = up.names().index("Heartbeat", 1)
    assert place <= PATIENCE[Rank.HOUSEKEEPING] + 2  # the one in flight, then PATIENCE others, then it


def test_events_of_one_transaction_wait_for_each_other() -> None:
    up = Upstream(version="ocpp2.1")
    up.ask("h", HEARTBEAT)
    for seq, transaction in enumerate(("a", "b", "a", "b")):
        up.ask(str(seq), event(transaction, seq))
    for _ in range(5):
        up.answer({"currentTime": NOW} if up.calls[-1][2] == "Heartbeat" else {})
    assert up.names()[1:] == [f"TransactionEvent {seq}" for seq in range(4)]


# -- one for another ---------------------------------------------------------------------------------------


def test_a_newer_state_replaces_the_one_that_waits_and_both_hear_its_answer() -> None:
    up = Upstream()
    up.ask("h", HEARTBEAT)
    up.ask("old", status(1, "Available"))
    up.ask("other", status(2, "Available"))
    up.ask("new", status(1, "Occupied"))
    up.answer({"currentTime": NOW})
    up.answer()
    up.answer()
    assert [frame[3]["connectorStatus"] for frame in up.calls[1:]] == ["Occupied", "Available"]
    assert up.replies["old"] == up.replies["new"] == [Said({})]


def test_a_state_in_flight_is_not_replaced() -> None:
    up = Upstream()
    up.ask("old", status(1, "Available"))
    up.ask("new", status(1, "Occupied"))
    up.answer()
    up.answer()
    assert [frame[3]["connectorStatus"] for frame in up.calls] == ["Available", "Occupied"]


def test_a_transaction_event_asked_again_joins_the_first_and_goes_up_once() -> None:
    up = Upstream()
    up.ask("live", event("a", 1))
    up.ask("again", event("a", 1, offline=True))  # its session has stored it meanwhile and replays it
    up.answer({"totalCost": 1.5})
    assert len(up.calls) == 1
    assert up.replies["live"] == up.replies["again"] == [Said({"totalCost": 1.5})]


def test_one_that_still_waits_goes_up_in_its_newer_words() -> None:
    up = Upstream()
    up.ask("h", HEARTBEAT)
    up.ask("live", event("a", 1))
    up.ask("again", event("a", 1, offline=True))
    up.answer({"currentTime": NOW})
    assert up.calls[-1][3]["offline"] is True  # E11.FR.07


# -- no room --------------------------------------------------------------------------------------------------


def test_when_full_the_oldest_values_go_and_signed_ones_never() -> None:
    up = Upstream()
    up.trunk.turns._most[Rank.VALUES] = 3
    up.ask("h", HEARTBEAT)
    up.ask("signed", values(1, signedMeterValue=SIGNED))
    for number in range(2, 6):
        up.ask(f"v{number}", values(number))
    assert up.replies["v2"] == up.replies["v3"] == [Said({})]  # left out, and answered here
    assert not up.replies["signed"]
    up.answer({"currentTime": NOW})
    for _ in range(3):
        up.answer()
    assert up.names() == ["Heartbeat", "MeterValues 1", "MeterValues 4", "MeterValues 5"]


def test_a_transaction_message_for_which_there_is_no_room_stays_with_its_session() -> None:
    up = Upstream()
    up.trunk.turns._most[Rank.TRANSACTION] = 1
    up.ask("h", HEARTBEAT)
    up.ask("a", event("a", 1))
    up.ask("b", event("b", 1))
    assert up.replies["b"] == [NO_ANSWER]
    assert unsure(up.replies["b"][0])
    up.trunk.turns._most[Rank.HOUSEKEEPING] = 1
    up.ask("h2", HEARTBEAT)
    up.ask("h3", HEARTBEAT)
    assert up.replies["h3"] == [BUSY]


# -- a message the CSMS dies of ---


def dies_of(up: Upstream, message: Message) -> None:
    """The CSMS hangs up on it, and is there again."""
    up.ask("poison", message)
    up.do(up.trunk.closed(up.at))
    up.do(up.trunk.opened(up.at, "ocpp2.1"))


def test_a_message_on_which_the_csms_hangs_up_again_and_again_lets_others_go_first() -> None:
    up = Upstream()
    dies_of(up, event("a", 1))
    dies_of(up, event("a", 1))
    up.sent.clear()
    up.ask("poison", event("a", 1, offline=True))
    up.ask("a2", event("a", 2))
    up.ask("b", event("b", 1))
    assert up.names() == ["TransactionEvent 1"]
    assert up.calls[0][3]["transactionInfo"]["transactionId"] == "b", "another transaction; its own waits behind it (P2)"
    up.answer()
    up.wait(SUSPECT_S - 1)
    assert len(up.calls) == 1
    up.wait(1)
    assert up.calls[-1][3]["transactionInfo"]["transactionId"] == "a"
    up.answer()
    assert up.names() == ["TransactionEvent 1", "TransactionEvent 1", "TransactionEvent 2"]


def test_a_message_that_was_answered_is_above_suspicion() -> None:
    up = Upstream()
    dies_of(up, event("a", 1))
    up.ask("a", event("a", 1))
    up.answer()
    dies_of(up, event("a", 1))
    up.sent.clear()
    up.ask("a", event("a", 1))
    assert len(up.calls) == 1


def test_a_boot_is_never_put_off() -> None:
    boot = Message("BootNotification", {"reason": "PowerUp", "chargingStation": {"model": "M", "vendorName": "V"}})
    up = Upstream()
    for _ in range(5):
        dies_of(up, boot)
    up.sent.clear()
    up.ask("boot", boot)
    assert len(up.calls) == 1


# -- silence, errors, the end -----------------------------------------------------------------------------------


def test_silence_is_no_verdict_and_twice_in_a_row_the_end_of_the_socket() -> None:
    up = Upstream()
    up.ask("a", event("a", 1))
    up.ask("b", event("b", 1))
    up.ask("c", event("c", 1))
    up.wait(TIMEOUT_S)
    assert up.replies["a"] == [NO_ANSWER]
    assert not up.hung_up
    up.wait(TIMEOUT_S * (SILENCES - 1))
    assert up.hung_up == ["CSMS does not answer"]
    assert up.replies["b"] == up.replies["c"] == [NO_ANSWER]
    assert not up.trunk.is_open


def test_an_answer_after_its_deadline_is_kept_for_who_asks_again() -> None:
    up = Upstream()
    up.ask("a", event("a", 1))
    up.wait(TIMEOUT_S)
    up.answer({"totalCost": 2.5})
    up.ask("again", event("a", 1))
    assert len(up.calls) == 1
    assert up.replies == {"a": [NO_ANSWER], "again": [Said({"totalCost": 2.5})]}


def test_a_late_answer_counts_also_for_the_same_event_marked_as_told_late() -> None:
    up = Upstream()
    up.ask("a", event("a", 1))
    up.wait(TIMEOUT_S)
    up.answer({"totalCost": 2.5})
    up.ask("again", event("a", 1, offline=True))
    assert len(up.calls) == 1
    assert up.replies["again"] == [Said({"totalCost": 2.5})]


def test_a_late_word_about_a_driver_or_a_boot_is_nobodys() -> None:
    """The same question is asked again tomorrow: the card may be blocked by then, and the time another one."""
    card = Message("Authorize", {"idToken": {"idToken": "04A1B2C3", "type": "ISO14443"}})
    boot = Message("BootNotification", {"reason": "PowerUp", "chargingStation": {"model": "M", "vendorName": "V"}})
    answers = {"Authorize": {"idTokenInfo": {"status": "Accepted"}}, "BootNotification": {"currentTime": NOW, "interval": 1, "status": "Pending"}}
    for message in (card, boot):
        up = Upstream()
        up.ask("a", message)
        up.wait(TIMEOUT_S)
        up.answer(answers[message.action])
        up.ask("tomorrow", message)
        assert len(up.calls) == 2
        assert up.replies["tomorrow"] == []


def test_busy_with_another_call_is_no_refusal() -> None:
    up = Upstream()
    up.ask("a", event("a", 1))
    up.frame(4, up.calls[-1][1], "RpcFrameworkError", "Call already in progress", {})
    assert up.replies["a"] == [NO_ANSWER]


def test_an_error_that_names_nothing_is_about_the_only_call() -> None:
    up = Upstream("ocpp2.0.1")
    up.ask("a", event("a", 1))
    up.frame(4, "-1", "InternalError", "what was that", {})
    assert up.replies["a"] == [Failed("InternalError", "what was that")]


def test_in_21_it_may_be_about_a_send_as_well() -> None:
    up = Upstream("ocpp2.1")
    up.ask("a", event("a", 1))
    up.frame(4, "-1", "InternalError", "what was that", {})
    assert not up.replies["a"]


def test_a_broken_answer_is_an_answer() -> None:
    up = Upstream()
    up.ask("a", event("a", 1))
    up.frame(3, up.calls[-1][1], "no object")
    assert isinstance(up.replies["a"][0], Failed)
    assert not unsure(up.replies["a"][0])


def test_when_the_socket_goes_everybody_hears_it_once() -> None:
    up = Upstream()
    for name in "abc":
        up.ask(name, event(name, 1))
    up.do(up.trunk.closed(up.at))
    up.frame(3, up.calls[0][1], {})
    assert up.replies == {"a": [NO_ANSWER], "b": [NO_ANSWER], "c": [NO_ANSWER]}
    up.ask("d", event("d", 1))
    assert up.replies["d"] == [NO_ANSWER]
    up.do(up.trunk.opened(up.at, "ocpp2.1"))
    up.ask("a", event("a", 1))
    assert up.names() == ["TransactionEvent 1", "TransactionEvent 1"]


# -- what may leave ------------------------------------------------------------------------------------------------


def test_what_breaks_the_schema_is_not_sent_and_told_once() -> None:
    up = Upstream()
    up.ask("bad", status(1, "Sleeping"))
    up.ask("bad", status(1, "Sleeping"))
    assert not up.sent
    assert [reply.code for reply in up.replies["bad"] if isinstance(reply, Failed)] == ["FormatViolation"] * 2
    assert len(up.told) == 1
    assert "StatusNotification" in up.told[0]


def test_an_answer_that_breaks_the_schema_becomes_an_honest_error() -> None:
    up = Upstream()
    up.frame(2, "c1", "Reset", {"type": "OnIdle"})
    up.do(up.waiting[0](up.at, Said({"status": "Perhaps"})))
    assert up.sent[-1][:3] == [4, "c1", "InternalError"]
    assert len(up.told) == 1


def test_calls_of_the_csms_reach_the_hub_and_are_answered_once() -> None:
    up = Upstream()
    up.frame(2, "c1", "Reset", {"type": "OnIdle", "evseId": 3})
    assert up.asked == [Message("Reset", {"type": "OnIdle", "evseId": 3})]
    up.do(up.waiting[0](up.at, Said({"status": "Scheduled"})))
    up.do(up.waiting[0](up.at, Said({"status": "Accepted"})))
    assert up.sent == [[3, "c1", {"status": "Scheduled"}]]


def test_an_answer_for_a_socket_that_is_gone_goes_nowhere() -> None:
    up = Upstream()
    up.frame(2, "c1", "Reset", {"type": "OnIdle"})
    up.do(up.trunk.closed(up.at))
    up.do(up.trunk.opened(up.at, "ocpp2.1"))
    up.do(up.waiting[0](up.at, Said({"status": "Scheduled"})))
    assert not up.sent


def test_too_many_calls_at_once_are_refused() -> None:
    up = Upstream()
    for number in range(CALLS_AT_ONCE + 1):
        up.frame(2, f"c{number}", "Reset", {"type": "OnIdle"})
    assert [frame[:3] for frame in up.sent] == [[4, f"c{CALLS_AT_ONCE}", "GenericError"]]
    assert len(up.asked) == CALLS_AT_ONCE


def test_rubbish_is_answered_as_its_version_wants_and_a_result_error_never() -> None:
    up = Upstream()
    up.frame(5, "x", "GenericError", "", {})
    assert not up.sent
    up.do(up.trunk.frame(up.at, "no json"))
    assert up.sent[-1][:3] == [4, "-1", "RpcFrameworkError"]


def test_a_send_passes_only_where_21_is_spoken() -> None:
    payload = {"id": 1, "pending": 0, "basetime": NOW, "data": [{"t": 0, "v": "1"}]}
    message = Message("NotifyPeriodicEventStream", payload, unanswered=True)
    up = Upstream("ocpp2.1")
    up.ask("s", message)
    assert [frame[0] for frame in up.sent] == [6]
    old = Upstream("ocpp2.0.1")
    old.ask("s", message)
    assert not old.sent  # trap 3


# -- laws ---------------------------------------------------------------------------------------------------------------

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("event"), st.integers(0, 5)),
        st.tuples(st.just("status"), st.integers(1, 3)),
        st.tuples(st.just("values"), st.integers(1, 3)),
        st.tuples(st.just("beat"), st.just(0)),
        st.tuples(st.just("answer"), st.just(0)),
        st.tuples(st.just("refuse"), st.just(0)),
        st.tuples(st.just("late"), st.just(0)),
        st.tuples(st.just("wait"), st.integers(1, 40)),
        st.tuples(st.just("reopen"), st.just(0)),
    ),
    max_size=80,
)


@settings(max_examples=examples(150), deadline=None)
@given(STEPS)
def test_whatever_happens_each_message_is_answered_once_and_events_keep_their_order(steps: list[tuple[str, int]]) -> None:
    """Every ask gets one reply; at most one CALL in flight; no event of a transaction before an older one, none twice unless unanswered."""
    up = Upstream()
    seqs: dict[int, int] = {}
    open_calls: list[int] = []

    def in_flight() -> int | None:
        return next((index for index in open_calls if index == len(up.calls) - 1), None)

    for count, (kind, number) in enumerate(steps):
        before = len(up.calls)
        if kind == "event":
            seqs[number] = seqs.get(number, -1) + 1
            up.ask(f"{count}", event(f"tx{number}", seqs[number]))
        elif kind in ("status", "values", "beat"):
            up.ask(f"{count}", {"status": status(number), "values": values(number), "beat": HEARTBEAT}[kind])
        elif kind in ("answer", "refuse") and up.calls and (index := in_flight()) is not None:
            open_calls.remove(index)
            payload = {"currentTime": NOW} if up.calls[-1][2] == "Heartbeat" else {}
            up.frame(*([3, up.calls[index][1], payload] if kind == "answer" else [4, up.calls[index][1], "InternalError", "", {}]))
        elif kind == "late" and up.calls:
            up.frame(3, up.calls[0][1], {})
            open_calls = [index for index in open_calls if index]
        elif kind == "wait":
            up.wait(number)
        elif kind == "reopen":
            up.do(up.trunk.closed(up.at))
            up.do(up.trunk.opened(up.at, "ocpp2.1"))
        open_calls += list(range(before, len(up.calls)))
        if not up.trunk.is_open:
            up.do(up.trunk.opened(up.at, "ocpp2.1"))
        due = [job for job in up.trunk.turns._all() if job.not_before_mono_s <= up.mono_s]
        put_off = {job.chain for job in up.trunk.turns._all() if job.not_before_mono_s > up.mono_s} - {""}
        assert up.trunk._flight is not None or {job.chain for job in due} <= put_off, "something waits and nothing is under way"
    up.do(up.trunk.closed(up.at))
    assert all(len(replies) == 1 for replies in up.replies.values())
    events = [frame[3] for frame in up.calls if frame[2] == "TransactionEvent"]
    for transaction in {told["transactionInfo"]["transactionId"] for told in events}:
        sent = [told["seqNo"] for told in events if told["transactionInfo"]["transactionId"] == transaction]
        assert sent == sorted(set(sent))


@settings(max_examples=examples(60), deadline=None)
@given(st.lists(st.sampled_from(sorted(Rank)), min_size=1, max_size=120))
def test_no_rank_starves_while_others_never_cease(ranks: list[Rank]) -> None:
    """Saturated: a message of a rank is served after PATIENCE others and one more per rank above and below, times its place in its own line."""
    up = Upstream()
    up.ask("first", HEARTBEAT)
    for index, rank in enumerate(ranks):
        up.ask(f"w{index}", values(index + 1), rank=rank, expendable=False)
    for flood in range(40 * len(ranks) + 200):
        if all(len(up.replies[f"w{index}"]) for index in range(len(ranks))):
            break
        up.ask(f"f{flood}", event(f"f{flood}", flood))
        up.answer({"currentTime": NOW} if up.calls[-1][2] == "Heartbeat" else {})
    served = [frame[3].get("evseId") for frame in up.calls]
    for rank in Rank:
        mine = [index for index, known in enumerate(ranks) if known is rank]
        for place, index in enumerate(mine, start=1):
            if rank is not Rank.TRANSACTION:
                assert served.index(index + 1) <= place * (PATIENCE[rank] + len(Rank)) + 1


@pytest.mark.parametrize("frame", [[2, "c", "ClearCache", {}], [6, "s", "NotifyPeriodicEventStream", {"id": 1}]])
def test_a_side_that_cannot_even_begin_on_a_frame_of_the_csms_harms_that_frame_only(monkeypatch: pytest.MonkeyPatch, frame: list[Any]) -> None:
    """P7: no generator yet that could be caught where conversations run."""
    upstream = Upstream()
    side = upstream.trunk._side_of("ocpp2.1")
    monkeypatch.setattr(side, "said", lambda message: 1 / 0)
    upstream.frame(*frame)
    assert [text for text in upstream.told if "internal error" in text]
    assert upstream.sent == ([[4, "c", "InternalError", "this message could not be translated", {}]] if frame[0] == 2 else [])
    upstream.ask("beat", HEARTBEAT)
    upstream.answer({"currentTime": NOW})
    assert upstream.replies["beat"] == [Said({"currentTime": NOW})]


def test_a_side_that_cannot_even_begin_on_a_hub_message_gives_the_turn_to_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    upstream = Upstream()
    side = upstream.trunk._side_of("ocpp2.1")
    sound = side.asked
    monkeypatch.setattr(side, "asked", lambda message: 1 / 0 if message.action == "StatusNotification" else sound(message))
    upstream.ask("state", status(1))
    upstream.ask("beat", HEARTBEAT)
    assert [type(reply) for reply in upstream.replies["state"]] == [Failed]
    assert upstream.names() == ["Heartbeat"]


@pytest.mark.parametrize(("version", "code"), [("ocpp2.1", "OccurrenceConstraintViolation"), ("ocpp1.6", "OccurenceConstraintViolation")])
def test_an_order_the_schema_does_not_allow_reaches_nobody_and_is_no_alarm(version: str, code: str) -> None:
    up = Upstream(version)
    up.frame(2, "x1", "ReserveNow", {})
    assert (up.sent[-1][:3], up.asked, up.told) == ([4, "x1", code], [], [])
