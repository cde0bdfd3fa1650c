"""A running site changes from one CSMS, or face, to another: nobody's session is cut, no message goes to the wrong one, nothing is told twice."""

from __future__ import annotations

import json
from typing import Any

from controller.config import Config
from controller.facts import FaceWished, Restored, UpstreamFrame, UpstreamOpened
from controller.orders import CloseStation, CloseUpstream, SendStation, SendUpstream
from tests.support.playbook import BOOT, BOOT_16, TOKEN, Playbook, event, start_16, stop_16

ACCEPTED = {"currentTime": "2026-11-21T16:00:00Z", "interval": 300, "status": "Accepted"}
OLD, NEW = "old", "new"


def site(wished: str = OLD, old: bool = True, **new: Any) -> Config:
    """CP1 with CSMS ``wished``; new: fields of the second CSMS."""
    ups: list[dict[str, Any]] = [{"id": OLD, "url": "ws://127.0.0.1:1/ocpp"}] if old else []
    ups.append({"id": NEW, "url": "ws://127.0.0.1:2/ocpp", **new})
    data = {
        "site": {"id": "test"},
        "grid": {"fuse_a": 63, "worst_other_load_a": 10},
        "stations": [{"id": "CP1", "upstream": wished, "evses": [{"id": 1, "max_current_a": 32, "fallback_a": 6}]}],
        "upstreams": ups,
    }
    return Config.model_validate(data)


def booted(version: str = "ocpp2.0.1", **new: Any) -> Playbook:
    """CP1 is there, its old CSMS has accepted it."""
    p = Playbook(site(**new), version=version, translates=True)
    p.connect()
    p.station(2, "b", "BootNotification", BOOT_16 if version == "ocpp1.6" else BOOT)
    p.csms(3, "b", ACCEPTED)
    return p


def upstreams(p: Playbook) -> list[str]:
    return [dial.upstream_id for dial in p.dials()]


def calls(p: Playbook) -> list[Any]:
    return [frame for text in p.sent_up if (frame := json.loads(text))[0] == 2]


def moves(p: Playbook) -> tuple[str, str, str]:
    (view,) = p.links.moves.view()
    return view.current, view.wished, view.waits_for


def restarted(p: Playbook, config: Config) -> Playbook:
    p.config = config
    return p.restarted()


def test_idle_station_changes_at_once_and_keeps_its_connection() -> None:
    p = booted()
    p.feed(FaceWished(p.at, "CP1", NEW))
    assert [close.generation for close in p.closes() if isinstance(close, CloseUpstream)] == [1]
    assert not [close for close in p.closes() if isinstance(close, CloseStation)]
    assert upstreams(p) == [NEW]
    assert moves(p) == (NEW, NEW, "")


def test_new_csms_hears_the_boot_and_the_statuses_first() -> None:
    p = booted()
    status = {"timestamp": "2026-11-21T16:00:00Z", "connectorStatus": "Occupied", "evseId": 1, "connectorId": 1}
    p.station(2, "s", "StatusNotification", status)
    p.csms(3, "s", {})
    p.feed(FaceWished(p.at, "", NEW))
    p.open()
    ((_, boot_id, action, payload),) = calls(p)
    assert (action, payload) == ("BootNotification", BOOT)
    p.csms(3, boot_id, ACCEPTED)
    ((_, _, action, payload),) = calls(p)
    assert (action, payload) == ("StatusNotification", status)


def test_station_whose_boot_nobody_remembers_is_asked_for_it() -> None:
    p = booted().restarted()
    p.connect()
    p.feed(FaceWished(p.at, "CP1", NEW))
    asked = json.loads(p.sent_down[0])
    assert asked[2:] == ["TriggerMessage", {"requestedMessage": "BootNotification"}]


def test_running_session_stays_with_the_csms_it_began_with() -> None:
    p = booted()
    p.station(2, "t1", "TransactionEvent", event("Started", 0, idToken=TOKEN))
    p.csms(3, "t1", {})
    p.feed(FaceWished(p.at, "CP1", NEW))
    assert moves(p) == (OLD, NEW, "a charging session runs")
    p.wait(3600)
    assert upstreams(p) == []
    text = json.dumps([2, "t2", "TransactionEvent", event("Ended", 1)])
    p.station(text)
    assert p.sent_up == [text]
    p.csms(3, "t2", {})
    p.wait(1)
    assert upstreams(p) == [NEW]


def test_queue_goes_to_the_csms_it_is_for_before_the_station_changes() -> None:
    p = booted()
    p.close()
    p.station(2, "t1", "TransactionEvent", event("Started", 0, idToken=TOKEN))
    p.station(2, "t2", "TransactionEvent", event("Ended", 1))
    p.feed(FaceWished(p.at, "CP1", NEW))
    assert moves(p) == (OLD, NEW, "2 messages wait for the CSMS it has")
    p.wait(10)
    assert upstreams(p) == [OLD]
    p.open()
    told = []
    for _ in range(3):
        for frame in calls(p):
            told.append(frame[3].get("seqNo"))
            p.csms(3, frame[1], {})
    assert told == [0, 1]
    p.wait(1)
    assert upstreams(p) == [NEW]
    p.open()
    p.wait(5)
    assert not any(frame[2] == "TransactionEvent" for frame in calls(p))


def test_wish_outlives_a_restart_until_the_site_file_says_otherwise() -> None:
    p = booted()
    p.feed(FaceWished(p.at, "CP1", NEW))
    same = p.restarted()
    same.admit()
    assert upstreams(same) == [NEW]
    other = restarted(p, site(wished=NEW))
    assert not other.links.moves.view()[0].by_operator


def test_wish_is_withdrawn() -> None:
    p = booted()
    p.feed(FaceWished(p.at, "CP1", NEW))
    p.feed(FaceWished(p.at, "CP1", ""))
    assert upstreams(p) == [OLD]
    assert ("face", "CP1") not in p.memories


def test_changed_site_file_waits_for_the_session_that_runs() -> None:
    p = booted()
    p.station(2, "t1", "TransactionEvent", event("Started", 0, idToken=TOKEN))
    p.csms(3, "t1", {})
    other = restarted(p, site(wished=NEW))
    other.connect()
    assert other.links.sessions["CP1"].upstream_id == OLD
    other.station(2, "t2", "TransactionEvent", event("Ended", 1))
    other.csms(3, "t2", {})
    other.wait(2)
    assert upstreams(other) == [NEW]
    again = restarted(other, site(wished=NEW))
    again.admit()
    assert upstreams(again) == [NEW]


def test_session_survives_a_second_restart_before_it_ends() -> None:
    p = booted()
    p.station(2, "t1", "TransactionEvent", event("Started", 0, idToken=TOKEN))
    p.csms(3, "t1", {})
    twice = restarted(restarted(p, site(wished=NEW)), site(wished=NEW))
    assert twice.links.sessions["CP1"].upstream_id == OLD
    assert twice.links.sessions["CP1"].transactions[1].transaction_id == "tx-1"


def test_station_that_is_gone_from_the_site_file_is_told_with_what_it_leaves_behind() -> None:
    p = booted()
    p.close()
    p.station(2, "t1", "TransactionEvent", event("Started", 0, idToken=TOKEN))
    elsewhere = Config.model_validate(
        site().model_dump(exclude_unset=True) | {"stations": [{"id": "CP9", "evses": [{"id": 1, "max_current_a": 32}]}]}
    )
    (text,) = [text for text in restarted(p, elsewhere).told() if "is not in the site file any more" in text]
    assert "1 messages to its CSMS wait on disk and a transaction is open there" in text
    back = restarted(p, site())
    assert back.links.sessions["CP1"].up.queued == 1


def test_csms_that_is_gone_from_the_site_file_is_left_at_once_with_an_alarm() -> None:
    p = booted()
    p.close()
    p.station(2, "t1", "TransactionEvent", event("Started", 0, idToken=TOKEN))
    other = restarted(p, site(wished=NEW, old=False))
    assert any("no longer in the site file" in text for text in other.told())
    other.admit()
    assert upstreams(other) == [NEW]
    other.open()
    assert any(frame[2] == "TransactionEvent" for frame in calls(other))  # late and to another one, but not lost


def test_face_of_a_csms_that_is_changed_under_a_running_session_is_an_alarm() -> None:
    p = booted(face="pair")
    p.feed(FaceWished(p.at, "CP1", NEW))
    p.open()
    assert not any("another face" in text for text in restarted(p, site(face="depot")).told())  # nothing runs, nothing waits
    p.station(2, "t1", "TransactionEvent", event("Started", 0, idToken=TOKEN))
    same = restarted(p, site(face="pair"))
    assert not any("another face" in text for text in same.told())
    turned = restarted(p, site(face="depot"))
    assert any("CSMS new sees it through another face than before" in text for text in turned.told())


def test_unknown_names_change_nothing() -> None:
    p = booted()
    p.feed(FaceWished(p.at, "CP1", "typo"))
    assert any("nothing was changed" in text for text in p.told())
    p.feed(FaceWished(p.at, "CP9", NEW))
    assert any("nothing was changed" in text for text in p.told())
    assert moves(p)[:2] == (OLD, OLD)


def test_late_word_of_the_old_socket_is_nobodys() -> None:
    p = booted()
    old = p.upstream_generation
    p.feed(FaceWished(p.at, "CP1", NEW))
    p.open()
    assert p.upstream_generation > old
    p.legs[""], new = old, p.upstream_generation
    p.csms(2, "c", "Reset", {"type": "Immediate"})
    assert not p.sent_down
    p.close("closed by us")
    assert p.links.sessions["CP1"].view().upstream == "open"
    p.legs[""] = new


def test_from_pair_to_one_large_station_while_a_16_station_charges() -> None:
    """Issue point 5: start seen by the old CSMS as a pair, stop as well; the next session by the depot's."""
    p = booted("ocpp1.6", face="depot", identity="DEPOT", versions=["ocpp2.1"])
    p.wait(2)
    p.station(2, "t1", "StartTransaction", start_16())
    p.csms(3, "t1", {"transactionId": 77, "idTagInfo": {"status": "Accepted"}})
    p.feed(FaceWished(p.at, "", NEW))
    p.wait(30)
    assert p.links.sessions["CP1"].upstream_id == OLD
    stop = json.dumps([2, "t2", "StopTransaction", stop_16(77)])
    p.station(stop)
    assert [o.text for o in p.outcomes if isinstance(o, SendUpstream) and o.station_id == "CP1"] == [stop]
    p.csms(3, "t2", {})
    p.wait(2)
    assert p.links.sessions["CP1"].upstream_id == NEW
    assert [number.station_id for number in p.links.junction.view()[0].numbers] == ["CP1"]
    assert not [close for close in p.closes() if isinstance(close, CloseStation)]


def test_after_the_change_the_depot_s_csms_gets_the_session_as_an_evse_of_the_depot() -> None:
    p = Playbook(site(face="depot", identity="DEPOT", versions=["ocpp2.1"]), version="ocpp1.6", translates=True)
    p.feed(Restored(p.at, {}, {}))
    p.wait(1)
    p.connect()
    p.station(2, "b", "BootNotification", BOOT_16)
    p.csms(3, "b", ACCEPTED)
    p.station(2, "s", "StatusNotification", {"connectorId": 1, "errorCode": "NoError", "status": "Available"})
    p.csms(3, "s", {})
    depot = Depot(p)
    depot.open()
    p.feed(FaceWished(p.at, "", NEW))
    depot.settle(5)
    p.station(2, "t1", "StartTransaction", start_16())
    depot.settle(3)
    (number,) = [frame[2]["transactionId"] for frame in depot.down if frame[1] == "t1"]
    p.station(2, "t2", "StopTransaction", stop_16(number))
    depot.settle(3)
    events = [payload for action, payload in depot.calls if action == "TransactionEvent"]
    assert (events[0]["eventType"], events[0]["seqNo"], events[0]["evse"]["id"]) == ("Started", 0, 1)
    assert events[-1]["eventType"] == "Ended"
    assert len({event["transactionInfo"]["transactionId"] for event in events}) == 1
    assert [event["seqNo"] for event in events] == list(range(len(events)))


class Depot:
    """The CSMS of the depot face: accepts everything. down: frames the station has got."""

    def __init__(self, p: Playbook) -> None:
        self.p = p
        self.generation = 0
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.down: list[Any] = []

    def open(self) -> None:
        self.generation = 1
        self._follow(self.p.feed(UpstreamOpened(self.p.at, "DEPOT", 1, "ocpp2.1")))

    def settle(self, seconds: int) -> None:
        self._follow(self.p.outcomes)
        for _ in range(seconds):
            self._follow(self.p.wait(1))

    def _follow(self, outcomes: list[Any]) -> None:
        todo = list(outcomes)
        while todo:
            outcome = todo.pop(0)
            if isinstance(outcome, SendUpstream) and outcome.station_id == "DEPOT":
                todo += self._answer(json.loads(outcome.text))
            elif isinstance(outcome, SendStation):
                frame = json.loads(outcome.text)
                self.down.append(frame)
                if frame[0] == 2:
                    todo += self.p.station(3, frame[1], {"status": "Accepted"})

    def _answer(self, frame: list[Any]) -> list[Any]:
        if frame[0] != 2:
            return []
        self.calls.append((frame[2], frame[3]))
        answers: dict[str, Any] = {"BootNotification": ACCEPTED, "Heartbeat": {"currentTime": ACCEPTED["currentTime"]}}
        answer = answers.get(frame[2], {"idTokenInfo": {"status": "Accepted"}} if "idToken" in frame[3] else {})
        return self.p.feed(UpstreamFrame(self.p.at, "DEPOT", self.generation, json.dumps([3, frame[1], answer])))
