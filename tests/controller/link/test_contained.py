"""P7: a defect met with one station, or with one CSMS, costs the others nothing, neither a second nor a message."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from controller.config import Config
from controller.facts import OutboxRow, Persisted, Restored, Stamp, StationConnected, TimePassed, UpstreamClosed
from controller.io.schemas import shapes
from controller.link.contained import contained
from controller.link.depot.face import DepotFace
from controller.link.keeper import Keeper
from controller.link.links import Links
from controller.link.session import Session
from controller.ocpp.hub import Said
from controller.ocpp.times import wall_time
from controller.orders import DialUpstream, Persist, Severity, Tell
from tests.support.depot_book import DepotBook
from tests.support.depot_book import site as depot_site

AT = Stamp(100.0, 1_790_000_000.0)


def site(*faces: str) -> Config:
    """One station for each face, each with a CSMS of its own."""
    names = [f"CP{number + 1}" for number in range(len(faces))]
    evse = {"id": 1, "max_current_a": 32, "fallback_a": 6}
    return Config.model_validate(
        {
            "site": {"id": "test"},
            "grid": {"fuse_a": 100, "worst_other_load_a": 10},
            "stations": [{"id": name, "upstream": f"of-{name}", "evses": [evse]} for name in names],
            "upstreams": [
                {"id": f"of-{name}", "url": "ws://127.0.0.1:1/ocpp", "face": face, **({"identity": f"D-{name}"} if face == "depot" else {})}
                for name, face in zip(names, faces, strict=True)
            ],
        }
    )


def alarms(outcomes: list[Any]) -> list[Tell]:
    return [one for one in outcomes if isinstance(one, Tell) and one.severity is Severity.ALARM]


def broken(sound: Callable[..., Any], name: str) -> Callable[..., Any]:
    """A method that raises for the station or depot of this name."""
    return lambda it, *words: 1 / 0 if name in (getattr(it, "station_id", ""), getattr(it, "identity", "")) else sound(it, *words)


def test_a_step_that_raises_is_told_with_its_place_and_nothing_else() -> None:
    told = alarms(contained("CP1", lambda: [1 / 0]))  # type: ignore[list-item]
    assert [one.subject for one in told] == ["CP1"]
    assert "ZeroDivisionError" in told[0].text
    assert contained("CP1", lambda: [TimePassed(AT)]) == [TimePassed(AT)]


def test_a_defect_in_the_second_of_one_station_leaves_the_others_theirs(monkeypatch: pytest.MonkeyPatch) -> None:
    links = Links(site("pair", "pair"), "test", wall_time)
    for name in ("CP1", "CP2"):
        (dial,) = [one for one in links.handle(StationConnected(AT, name, 1, "ocpp2.0.1", "127.0.0.1")) if isinstance(one, DialUpstream)]
        links.handle(UpstreamClosed(AT, name, dial.generation, "CSMS stopped"))
    monkeypatch.setattr(Session, "tick", broken(Session.tick, "CP1"))
    dialled: list[str] = []
    for second in range(1, 90):
        outcomes = links.handle(TimePassed(Stamp(AT.mono_s + second, AT.wall_s + second)))
        assert [one.subject for one in alarms(outcomes)] == ["CP1"]
        dialled += [one.station_id for one in outcomes if isinstance(one, DialUpstream)]
    assert dialled == ["CP2"]


def test_a_defect_in_the_second_of_one_depot_leaves_the_other_one_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    links = Links(site("depot", "depot"), "test", wall_time, shapes=shapes())
    for order in links.handle(Restored(AT, {}, {})):
        if isinstance(order, Persist):
            links.handle(Persisted(AT, order.token, ()))
    monkeypatch.setattr(DepotFace, "tick", broken(DepotFace.tick, "D-CP1"))
    outcomes = links.handle(TimePassed(AT))
    assert [one.subject for one in alarms(outcomes)] == ["D-CP1"]
    assert [one.station_id for one in outcomes if isinstance(one, DialUpstream)] == ["D-CP2"]


def test_a_defect_while_one_station_is_restored_leaves_the_others_their_queues(monkeypatch: pytest.MonkeyPatch) -> None:
    links = Links(site("pair", "pair"), "test", wall_time)
    monkeypatch.setattr(Session, "restore", broken(Session.restore, "CP1"))
    rows = {name: (OutboxRow(1, name, "tx", "TransactionEvent", '[2,"1","TransactionEvent",{}]', 0.0),) for name in ("CP1", "CP2")}
    assert [one.subject for one in alarms(links.handle(Restored(AT, {}, rows)))] == ["CP1"]
    assert links.sessions["CP2"].up.queued == 1


def test_a_defect_of_one_session_does_not_cost_what_a_face_has_for_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """The CSMS has accepted the depot: every charger's leg opens, one after the other, in one go."""
    book = DepotBook(depot_site(("CP1", "CP2", "CP3")))
    book.csms_says["BootNotification"] = {"error": "InternalError"}
    book.open()
    book.connect()
    monkeypatch.setattr(Session, "opened", broken(Session.opened, "CP2"))
    outcomes = book.face._accept(book.at)
    assert book.links.junction is not None
    told = alarms(book.links.junction.of_face(book.at, outcomes))
    assert [one.subject for one in told] == ["CP2"]
    assert [session.view().upstream for session in book.links.sessions.values()] == ["open", "away", "open"]


def test_all_who_wait_for_one_writing_go_on_whatever_one_of_them_makes_of_it() -> None:
    numbers = iter(range(1, 10))
    keeper = Keeper(lambda: next(numbers))
    keeper.memory("one").put("key", 1)
    keeper.keep(AT, lambda at, reply: [1 / 0])  # type: ignore[list-item]
    keeper.keep(AT, lambda at, reply: [Tell(Severity.INFO, "second", str(reply))])
    told = keeper.persisted(AT, 1)
    assert len(alarms(told)) == 1
    assert [one.text for one in told if isinstance(one, Tell) and one.subject == "second"] == [str(Said({}))]
