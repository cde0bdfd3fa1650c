"""Every action of every OCPP version, in its direction, through a running Yardmaster between independent peers.

What the table relays arrives to the byte, and so does its answer; what it does not relay is answered by Yardmaster
with a valid answer of that action, and the other side never hears of it. The directions and the list of actions that
end here are written down in ``directions`` from the specifications: a change of ``link/policy`` fails these tests.
Serves P8, P4 6.4; OCPP-NOTES 1.1, 3.3, 16.4, 16.7, 16.8, 16.12, 16.13; traps 1, 3.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from controller.link import policy
from controller.link.policy import Upstream, Verb
from tests.conformance.catalogue import ANSWERED_HERE, ERROR, REFUSED, RELAYED, SILENT, STRIPPED, Catalogue, Exchange
from tests.conformance.directions import CALLS, DOWN, ENDS_HERE, LOOKED_AT, SENDS, UP
from tests.conformance.peers import bodies
from tests.conformance.wires import NAMES, VERSIONS, defaults, depot
from tests.support.yard import Peer, Yard, frames

pytestmark = pytest.mark.system

DIRECTIONS = (UP, DOWN)
CASES = [(version, direction) for version in VERSIONS for direction in DIRECTIONS]


class Log:
    """What one peer heard and said, in order."""

    def __init__(self, logged: list[dict[str, Any]]) -> None:
        self.order = [(frame["dir"], frame["text"]) for frame in logged if frame["dir"] in ("in", "out")]
        self.heard = [text for way, text in self.order if way == "in"]
        self.said = [text for way, text in self.order if way == "out"]


@dataclass
class Run:
    """What was sent and what the two logs say afterwards."""

    exchanges: dict[tuple[str, str], list[Exchange]] = field(default_factory=dict)
    loose: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    trouble: dict[str, Any] = field(default_factory=dict)
    station: dict[str, Log] = field(default_factory=dict)
    csms: dict[str, Log] = field(default_factory=dict)

    def sender(self, version: str, direction: str) -> Log:
        """The log of the side that calls."""
        return (self.station if direction == UP else self.csms)[version]

    def receiver(self, version: str, direction: str) -> Log:
        """The log of the side that is called."""
        return (self.csms if direction == UP else self.station)[version]

    def answers(self, version: str, direction: str) -> dict[str, str]:
        """Message id -> text of the answers the caller got."""
        return {json.loads(text)[1]: text for text in self.sender(version, direction).heard if json.loads(text)[0] in (3, 4)}


async def live(folder: Path) -> Run:
    """Start everything, play every exchange, stop, read the logs."""
    run, answers = Run(), defaults(folder)
    csmss = {version: Peer("wire_csms.py", str(folder / f"{name}-csms.jsonl"), str(answers), "0", version) for version, name in NAMES.items()}
    try:
        ports = {version: (await csms.start())["port"] for version, csms in csmss.items()}
        async with Yard(folder, depot(folder, ports)) as yard:
            await asyncio.gather(*(play(run, version, yard, csmss[version], folder, answers) for version in VERSIONS))
    finally:
        for csms in csmss.values():
            await csms.stop()
    for version, name in NAMES.items():
        run.station[version] = Log(frames(folder / f"{name}.jsonl"))
        run.csms[version] = Log(frames(folder / f"{name}-csms.jsonl"))
    return run


async def play(run: Run, version: str, yard: Yard, csms: Peer, folder: Path, answers: Path) -> None:
    """All exchanges of one version: the boot, then both directions at once."""
    name, catalogue = NAMES[version], Catalogue(version)
    for direction in DIRECTIONS:
        run.exchanges[version, direction] = catalogue.exchanges(direction) + catalogue.extras(direction)
    run.exchanges[version, DOWN] += catalogue.guarded()
    up, down = run.exchanges[version, UP], run.exchanges[version, DOWN]
    station = Peer("wire_station.py", str(folder / f"{name}.jsonl"), str(answers), f"{yard.ocpp_url}/{name}", version)
    try:
        hello = await station.start()
        assert hello["subprotocol"] == version, hello
        await csms.do(op="answers", answers={name: {exchange.message_id: exchange.answer for exchange in up}})
        await station.do(op="answers", answers={exchange.message_id: exchange.answer for exchange in down})
        boot = await station.do(op="calls", texts=[up[0].text])
        rest, commands = await asyncio.gather(
            station.do(op="calls", texts=[exchange.text for exchange in up[1:]]),
            csms.do(op="calls", texts={name: [exchange.text for exchange in down]}),
        )
        run.trouble[version] = {UP: boot["unanswered"] + rest["unanswered"], DOWN: commands["unanswered"][name]}
        await loose_ends(run, version, catalogue, station, csms)
    except (AssertionError, KeyError) as error:
        run.trouble[version] = {UP: repr(error), DOWN: repr(error)}
    finally:
        await station.stop()


async def loose_ends(run: Run, version: str, catalogue: Catalogue, station: Peer, csms: Peer) -> None:
    """Types 5 and 6: about an answer of the other side, about an answer of Yardmaster, and out of nowhere."""
    name, up, down, ours = NAMES[version], *fresh(catalogue)
    stream = '[6 , "s-1","NotifyPeriodicEventStream",{"id":1,"pending":0,"basetime":"2026-11-21T16:00:00Z","data":[]}]'
    run.loose[version] = {UP: [complaint(up), stream], DOWN: [complaint(down)], "ours": [complaint(ours)]}
    await csms.do(op="answers", answers={name: {up.message_id: up.answer}})
    await station.do(op="answers", answers={down.message_id: down.answer})
    await station.do(op="calls", texts=[up.text, *run.loose[version][UP]])
    texts = [down.text, *run.loose[version][DOWN], ours.text, *run.loose[version]["ours"]]
    await csms.do(op="calls", texts={name: texts})
    # What comes after them has gone through: so have they, or never will.
    await station.do(op="calls", texts=[catalogue.extras(UP)[0].text])
    await csms.do(op="calls", texts={name: [catalogue.extras(DOWN)[0].text]})


def fresh(catalogue: Catalogue) -> tuple[Exchange, Exchange, Exchange]:
    """A message up, one down and one down that Yardmaster answers itself, all with new ids."""
    up = next(exchange for exchange in catalogue.exchanges(UP) if exchange.action == "StatusNotification")
    downwards = catalogue.exchanges(DOWN)
    down, ours = (next(exchange for exchange in downwards if exchange.action == action) for action in ("UnlockConnector", "ClearChargingProfile"))
    return up, down, ours


def complaint(about: Exchange) -> str:
    """A CALLRESULTERROR about the answer to an exchange (21 FR.06)."""
    return json.dumps([5, about.message_id, "FormatViolation", "cannot read   é", {"a": [1.50]}])


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """The one run all tests of this file look at."""
    return asyncio.run(live(tmp_path_factory.mktemp("every-action")))


# -- the tables ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", VERSIONS)
def test_the_directions_name_every_action_of_the_schemas(version: str) -> None:
    named = {*CALLS[version][UP], *CALLS[version][DOWN], *SENDS[version]}
    assert named == bodies.actions(version)
    assert set(CALLS[version][UP]) & set(CALLS[version][DOWN]) == {"DataTransfer"}
    assert len(named) == {"ocpp1.6": 39, "ocpp2.0.1": 64, "ocpp2.1": 91}[version]


@pytest.mark.parametrize(("version", "direction"), CASES)
def test_the_policy_has_a_row_for_each_and_ends_exactly_those_it_should(version: str, direction: str) -> None:
    table = (policy.STATION if direction == UP else policy.CSMS)[version]
    named = {*CALLS[version][direction], *(SENDS[version] if direction == UP else [])}
    assert set(table) == named
    not_relayed = {action for action, row in table.items() if row.verb(Upstream.OPEN) is not Verb.RELAY}
    assert not_relayed == ENDS_HERE[version][direction] | LOOKED_AT[version][direction]
    never = {action for action, row in table.items() if row.verb(Upstream.OPEN) is Verb.REFUSE}
    assert never == ENDS_HERE[version][direction] & {"SetNetworkProfile"}


# -- the run -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("version", "direction"), CASES)
def test_every_call_gets_an_answer(run: Run, version: str, direction: str) -> None:
    assert run.trouble[version][direction] == []


@pytest.mark.parametrize(("version", "direction"), CASES)
def test_relayed_messages_and_their_answers_pass_to_the_byte(run: Run, version: str, direction: str, counted: Counter[tuple[str, str, str]]) -> None:
    relayed = [exchange for exchange in run.exchanges[version, direction] if exchange.fate == RELAYED]
    answers = run.answers(version, direction)
    wrong = [(exchange.action, exchange.style) for exchange in relayed if answers.get(exchange.message_id) != exchange.answer]
    assert wrong == []
    expected = [exchange.text for exchange in run.exchanges[version, direction] if exchange.fate in (RELAYED, SILENT)]
    sent = set(expected)
    arrived = [text for text in run.receiver(version, direction).heard if text in sent]
    assert arrived == expected, "each once and in the order it was sent"
    for style in (*bodies.STYLES, ERROR, "extra"):
        counted[version, direction, f"{style} relayed"] = sum(exchange.style == style for exchange in relayed)
    counted[version, direction, "actions"] = len({e.action for e in run.exchanges[version, direction] if e.style == bodies.LEAN})


@pytest.mark.parametrize(("version", "direction"), CASES)
def test_what_ends_here_is_answered_validly_and_never_passes(run: Run, version: str, direction: str, counted: Counter[tuple[str, str, str]]) -> None:
    ours = [exchange for exchange in run.exchanges[version, direction] if exchange.fate == ANSWERED_HERE]
    answers = run.answers(version, direction)
    for exchange in ours:
        kind, _, payload, *_ = json.loads(answers[exchange.message_id])
        assert kind == 3, f"{exchange.action} {exchange.style}: {answers[exchange.message_id]}"
        bodies.check(version, f"{exchange.action}Response", payload)
    forbidden = {exchange.text for exchange in ours}
    ids = {exchange.message_id for exchange in ours}
    received = run.receiver(version, direction).heard
    assert [text for text in received if text in forbidden] == []
    assert [text for text in received if json.loads(text)[0] == 2 and json.loads(text)[1] in ids] == []
    counted[version, direction, "answered here"] = len(ours)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_remote_start_passes_without_its_charging_profile(run: Run, version: str) -> None:
    (start,) = [exchange for exchange in run.exchanges[version, DOWN] if exchange.fate == STRIPPED]
    arrived = [frame for frame in map(json.loads, run.station[version].heard) if frame[1] == start.message_id and frame[0] == 2]
    *head, payload = json.loads(start.text)
    del payload["chargingProfile"]
    assert arrived == [[*head, payload]]
    assert run.answers(version, DOWN)[start.message_id] == start.answer


@pytest.mark.parametrize("version", VERSIONS)
def test_settings_that_would_move_the_station_are_refused_in_the_words_of_the_action(run: Run, version: str) -> None:
    refused = [exchange for exchange in run.exchanges[version, DOWN] if exchange.fate == REFUSED]
    assert len(refused) == 2
    for exchange in refused:
        kind, _, payload, *_ = json.loads(run.answers(version, DOWN)[exchange.message_id])
        assert kind == 3
        bodies.check(version, f"{exchange.action}Response", payload)
        status = payload["status"] if version == "ocpp1.6" else payload["setVariableResult"][0]["attributeStatus"]
        assert status == "Rejected"
        assert [text for text in run.station[version].heard if json.loads(text)[1] == exchange.message_id and json.loads(text)[0] == 2] == []


@pytest.mark.parametrize(("version", "direction"), CASES)
def test_nobody_hears_an_answer_to_a_call_that_is_not_his(run: Run, version: str, direction: str) -> None:
    """Trap 1: answers to Yardmaster's own CALLs stay here; no CALL is answered twice."""
    asked = Counter(json.loads(text)[1] for text in run.sender(version, direction).said if json.loads(text)[0] == 2)
    answers = [json.loads(text) for text in run.sender(version, direction).heard if json.loads(text)[0] in (3, 4)]
    if version == "ocpp2.0.1" and direction == UP:
        # A type below 2.1 that does not exist may be answered as such (P4 4.1.3).
        answers = [answer for answer in answers if answer[:3] != [4, "s-1", "MessageTypeNotSupported"]]
    assert Counter(answer[1] for answer in answers) == asked


@pytest.mark.parametrize("version", VERSIONS)
def test_calls_of_yardmaster_are_valid_and_never_collide(run: Run, version: str) -> None:
    for direction in DIRECTIONS:
        others = {json.loads(text)[1] for text in run.sender(version, direction).said}
        own = [json.loads(text) for text in run.receiver(version, direction).heard if json.loads(text)[0] == 2 and json.loads(text)[1] not in others]
        for _, message_id, action, payload in own:
            assert action in CALLS[version][direction], action
            bodies.check(version, bodies.request_name(version, action), payload)
            assert len(message_id) <= 36
        assert len({message[1] for message in own}) == len(own)


@pytest.mark.parametrize(("version", "direction"), CASES)
def test_one_call_at_a_time_in_each_direction(run: Run, version: str, direction: str) -> None:
    """OCPP-J 4.1.1: no second CALL to a side that has not answered the first (trap 2)."""
    log = run.receiver(version, direction).order
    open_ids: set[str] = set()
    for way, text in log:
        kind, message_id = json.loads(text)[:2]
        if way == "in" and kind == 2:
            assert not open_ids, f"{message_id} came while {open_ids} was unanswered"
            open_ids.add(message_id)
        elif way == "out" and kind in (3, 4):
            open_ids.discard(message_id)


# -- types 5 and 6 -------------------------------------------------------------------------------------------------


def test_21_send_goes_up_and_nobody_answers(run: Run) -> None:
    sends = [exchange for exchange in run.exchanges["ocpp2.1", UP] if exchange.fate == SILENT]
    assert len(sends) == 4
    ids = {exchange.message_id for exchange in sends} | {"s-1"}
    assert {json.loads(text)[1] for text in run.csms["ocpp2.1"].heard if json.loads(text)[0] == 6} == ids
    assert [text for text in run.station["ocpp2.1"].heard if json.loads(text)[1] in ids and json.loads(text)[0] in (3, 4, 5)] == []


def test_21_callresulterror_reaches_the_side_whose_answer_it_is_about(run: Run) -> None:
    up, down, ours = (run.loose["ocpp2.1"][key] for key in (UP, DOWN, "ours"))
    assert [text for text in run.csms["ocpp2.1"].heard if text.startswith("[5")] == up[:1]
    assert [text for text in run.station["ocpp2.1"].heard if text.startswith("[5")] == down
    assert ours[0] not in run.station["ocpp2.1"].heard, "it was about an answer of Yardmaster"


@pytest.mark.parametrize("version", ["ocpp1.6", "ocpp2.0.1"])
def test_types_5_and_6_are_not_forwarded_below_21(run: Run, version: str) -> None:
    """Trap 3."""
    for log in (run.station, run.csms):
        assert [text for text in log[version].heard if json.loads(text)[0] in (5, 6)] == []
