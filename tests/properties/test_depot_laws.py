"""Whatever happens to chargers, CSMS and power: no session message of a depot is lost, none is out of order, numbers and ids hold."""

from __future__ import annotations

from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from controller.ocpp.times import timestamp
from tests.support.depot_book import DepotBook, site
from tests.support.examples import examples

NAMES = ("CP1", "CP2", "CP3")
VERSIONS = {"CP1": "ocpp2.1", "CP2": "ocpp2.0.1", "CP3": "ocpp2.1"}
STORY = st.lists(
    st.one_of(
        st.tuples(st.just("event"), st.integers(0, 2)),
        st.tuples(st.just("end"), st.integers(0, 2)),
        st.tuples(st.just("lose"), st.just(0)),
        st.tuples(st.just("open"), st.just(0)),
        st.tuples(st.just("gone"), st.integers(0, 2)),
        st.tuples(st.just("back"), st.integers(0, 2)),
        st.tuples(st.just("mute"), st.just(0)),
        st.tuples(st.just("hear"), st.just(0)),
        st.tuples(st.just("slow"), st.integers(0, 2)),
        st.tuples(st.just("wait"), st.integers(1, 40)),
        st.tuples(st.just("power"), st.just(0)),
    ),
    max_size=40,
)


class Tale:
    """A depot with three chargers that count what they have said and what was acknowledged."""

    def __init__(self) -> None:
        self.book = DepotBook(site(NAMES), **VERSIONS)
        self.book.open()
        self.book.boot()
        self.lives: list[DepotBook] = []
        self.transactions = dict.fromkeys(NAMES, 0)
        self.seqs = dict.fromkeys(NAMES, 0)
        self.said: list[tuple[str, int]] = []
        self.unheard: dict[str, list[dict[str, Any]]] = {name: [] for name in NAMES}

    def own_id(self, name: str) -> str:
        """Every charger counts from 1, so that ids of two of them meet."""
        return str(self.transactions[name])

    def event(self, name: str, ends: bool = False) -> None:
        """The next event, if the charger is there; it keeps what was not acknowledged and says it again when it is back."""
        seq, self.seqs[name] = self.seqs[name], self.seqs[name] + 1
        kind = "Ended" if ends else "Started" if seq == 0 else "Updated"
        payload = {
            "eventType": kind,
            "timestamp": timestamp(self.book.at.wall_s),
            "triggerReason": "Trigger",
            "seqNo": seq,
            "transactionInfo": {"transactionId": self.own_id(name)},
            **({"evse": {"id": 1, "connectorId": 1}} if seq == 0 else {}),
        }
        self.said.append((f"{name}/{self.own_id(name)}", seq))
        self.unheard[name].append(payload)
        if ends:
            self.transactions[name] += 1
            self.seqs[name] = 0
        self.say(name)

    def say(self, name: str) -> None:
        """What is not acknowledged yet, oldest first, one at a time."""
        while self.unheard[name] and self.book.stations[name].open:
            count = self.book._count + 1
            self.book.say(name, "TransactionEvent", self.unheard[name][0])
            for _ in range(70):  # the charger waits as long as it must
                if f"{name}-{count}" in self.book.answers or not self.book.stations[name].open:
                    break
                self.book.wait(1)
            if not isinstance(self.book.answers.get(f"{name}-{count}"), dict):
                return
            self.unheard[name].pop(0)

    def step(self, kind: str, number: int) -> None:
        """One thing happens."""
        book, name = self.book, NAMES[number] if number < len(NAMES) else NAMES[0]
        match kind:
            case "event" | "end":
                self.event(name, ends=kind == "end" and self.seqs[name] > 0)
            case "lose" if book.is_open:
                book.lose()
            case "open" if not book.is_open:
                book.open()
            case "gone" if book.stations[name].open:
                book.hang_up(name)
            case "back" if not book.stations[name].open:
                book.connect(name)
                self.say(name)
            case "mute" | "hear":
                book.mute = kind == "mute"
            case "slow":
                book.after_s = number
            case "wait":
                book.wait(number)
            case "power":
                self.lives.append(book)
                self.book = book.restarted()

    def end(self) -> None:
        """All is well again for long enough."""
        self.book.mute, self.book.after_s = False, 0
        if not self.book.is_open:
            self.book.open()
        for name in NAMES:
            if not self.book.stations[name].open:
                self.book.connect(name)
            self.say(name)
        for _ in range(20):
            self.book.wait(60)
            if not self.book.is_open:
                self.book.open()
        for name in NAMES:
            self.say(name)

    def heard(self) -> list[dict[str, Any]]:
        """All the CSMS has heard, over all lives."""
        return [told for book in (*self.lives, self.book) for told in book.heard("TransactionEvent")]


@settings(max_examples=examples(40), deadline=None)
@example(story=[("event", 0), ("end", 0), ("power", 0)])
@given(STORY)
def test_every_event_reaches_the_csms_in_order_under_one_id(story: list[tuple[str, int]]) -> None:
    tale = Tale()
    for kind, number in story:
        tale.step(kind, number)
    tale.end()
    assert not tale.book.rows
    assert not any(tale.unheard.values())
    firsts: dict[str, list[int]] = {}
    for told in tale.heard():
        seqs = firsts.setdefault(told["transactionInfo"]["transactionId"], [])
        if told["seqNo"] not in seqs:
            seqs.append(told["seqNo"])
    counts: dict[str, int] = {}
    for transaction, _ in tale.said:
        counts[transaction] = counts.get(transaction, 0) + 1
    # As many transactions for the CSMS as there were, each whole, from its start on and in order.
    assert sorted(len(seqs) for seqs in firsts.values()) == sorted(counts.values())
    assert all(seqs == list(range(len(seqs))) for seqs in firsts.values())
    numbers = [(known.number, known.station_id) for known in tale.book.face.view().numbers]
    assert numbers == [(1, "CP1"), (2, "CP2"), (3, "CP3")]


@settings(max_examples=examples(25), deadline=None)
@given(STORY)
def test_without_silence_and_power_cuts_nothing_goes_up_twice(story: list[tuple[str, int]]) -> None:
    """A CSMS that answers each CALL it has got hears no event twice, whatever outages and absences there are between."""
    tale = Tale()
    for kind, number in story:
        if kind not in ("mute", "power", "slow"):
            tale.step(kind, number)
    tale.end()
    heard = [(told["transactionInfo"]["transactionId"], told["seqNo"]) for told in tale.heard()]
    assert len(heard) == len(set(heard)) == len(tale.said)
