"""The runner of conversations: one question at a time, several at once, pauses, the disk, and defects."""

from __future__ import annotations

from collections.abc import Callable

from controller.facts import Stamp
from controller.link.talks import Outcome, Talks, Then
from controller.ocpp.hub import NO_ANSWER, Ask, AskAll, Conversation, Emit, Failed, Keep, Post, Reply, Rest, Said
from controller.orders import Severity, Tell

NOTE = Tell(Severity.INFO, "x", "noted")


class Peers:
    """A port whose peers answer when the test says so; ``ready`` ones at once."""

    def __init__(self, *ready: str) -> None:
        self.ready = ready
        self.open: dict[str, Then] = {}
        self.posted: list[str] = []
        self.disk: Then | None = None

    def ask(self, at: Stamp, step: Ask, then: Then) -> list[Outcome]:
        if step.to in self.ready:
            return then(at, Said({"from": step.to}))
        self.open[step.to] = then
        return []

    def post(self, at: Stamp, step: Post) -> list[Outcome]:
        self.posted.append(step.action)
        return []

    def keep(self, at: Stamp, then: Then) -> list[Outcome]:
        self.disk = then
        return []


def at(mono_s: float) -> Stamp:
    return Stamp(mono_s, 1_790_000_000.0 + mono_s)


def run(talk: Conversation, peers: Peers) -> tuple[Talks, list[Reply], list[Outcome]]:
    talks, ends = Talks("test"), list[Reply]()

    def done(now: Stamp, reply: Reply) -> list[Outcome]:
        ends.append(reply)
        return []

    return talks, ends, talks.begin(at(0), talk, peers, done)


def everybody(names: str, heard: list[Reply], within_s: float = 20.0) -> Conversation:
    step = AskAll(tuple(Ask("Reset", {}, to=name) for name in names), within_s)
    begun = yield step
    heard += step.replies
    return begun or Said({"nothing": True})


def test_several_are_asked_at_once_and_their_answers_keep_their_places() -> None:
    peers, heard = Peers(), list[Reply]()
    _, ends, _ = run(everybody("abc", heard), peers)
    assert sorted(peers.open) == ["a", "b", "c"]
    for name in "cab":
        assert ends == []
        peers.open[name](at(1), Said({"from": name}))
    assert heard == [Said({"from": "a"}), Said({"from": "b"}), Said({"from": "c"})]
    assert ends == [Said({})]


def test_answers_that_come_at_once() -> None:
    peers, heard = Peers("a", "b"), list[Reply]()
    _, ends, _ = run(everybody("ab", heard), peers)
    assert (len(heard), ends) == (2, [Said({})])


def test_one_that_is_silent_is_not_waited_for_and_is_heard_no_more() -> None:
    peers, heard = Peers("a"), list[Reply]()
    talks, ends, _ = run(everybody("ab", heard), peers)
    talks.tick(at(19))
    assert ends == []
    talks.tick(at(20))
    assert heard == [Said({"from": "a"}), NO_ANSWER]
    assert ends == [Said({})]
    assert peers.open["b"](at(21), Said({"late": True})) == []
    talks.tick(at(60))
    assert heard == [Said({"from": "a"}), NO_ANSWER]
    assert len(ends) == 1


def test_nobody_to_ask() -> None:
    heard = list[Reply]()
    _, ends, _ = run(everybody("", heard), Peers())
    assert (heard, ends) == ([], [Said({})])


def test_many_answers_at_once_do_not_pile_up() -> None:
    def talk() -> Conversation:
        for _ in range(5000):
            yield Ask("Heartbeat", {}, to="a")
        return Said({"done": True})

    _, ends, _ = run(talk(), Peers("a"))
    assert ends == [Said({"done": True})]


def test_steps_that_nobody_answers_go_on_at_once() -> None:
    def talk() -> Conversation:
        yield Post("Heartbeat", {})
        yield Emit(NOTE)
        return Said({})

    peers = Peers()
    _, ends, outcomes = run(talk(), peers)
    assert (peers.posted, outcomes, ends) == (["Heartbeat"], [NOTE], [Said({})])


def test_a_pause() -> None:
    def talk() -> Conversation:
        yield Rest(5)
        return Said({})

    talks, ends, _ = run(talk(), Peers())
    talks.tick(at(4))
    assert ends == []
    talks.tick(at(5))
    assert ends == [Said({})]


def disk(answer: Reply) -> list[Reply]:
    reached = list[str]()

    def talk() -> Conversation:
        yield Keep()
        reached.append("after")
        return Said({"kept": True})

    peers = Peers()
    _, ends, _ = run(talk(), peers)
    assert ends == []
    assert peers.disk is not None
    peers.disk(at(1), answer)
    assert bool(reached) == isinstance(answer, Said)
    return ends


def test_the_disk() -> None:
    assert disk(Said({})) == [Said({"kept": True})]
    assert disk(Failed("InternalError", "disk full")) == [Failed("InternalError", "disk full")]


def test_a_defect_harms_only_its_own_conversation() -> None:
    def broken(boom: Callable[[], int]) -> Conversation:
        yield Post("Heartbeat", {})
        boom()
        return Said({})

    _, ends, outcomes = run(broken(lambda: 1 // 0), Peers())
    assert isinstance(ends[0], Failed)
    assert [outcome.severity for outcome in outcomes if isinstance(outcome, Tell)] == [Severity.ALARM]
