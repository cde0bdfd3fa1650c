"""``yardmaster habits``: sessions from a file come into the journal as the engine keeps them, and out again."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from controller.__main__ import main
from controller.app import build_engine
from controller.check import load_config
from controller.facts import Restored, Stamp
from controller.io.clock import Clock
from controller.io.journal.rows import memories_of
from controller.io.journal.shell import lock_folder
from controller.io.journal.store import Batch, JournalStore
from controller.link.driver import KEY, Users
from controller.site.plans.habits import past_of

DAY_S = 86_400.0
NOW_S = Clock().stamp().wall_s


@pytest.fixture
def site(tmp_path: Path) -> Path:
    data = {
        "site": {"id": "yard", "timezone": "Europe/Berlin"},
        "grid": {"fuse_a": 63, "worst_other_load_a": 20},
        "circuits": [{"id": "hall", "fuse_a": 50}],
        "stations": [
            {"id": "alpha", "circuit": "hall", "evses": [{"id": 1, "max_current_a": 16}]},
            {"id": "beta", "evses": [{"id": 1, "max_current_a": 32}, {"id": 2, "max_current_a": 32, "phases": ["L2"]}]},
        ],
        "data_dir": str(tmp_path / "data"),
    }
    path = tmp_path / "site.yaml"
    path.write_text(yaml.safe_dump(data))
    return path


def row(evse: str, days_ago: float, hours: float = 8.0, kwh: float = 12.0, user: str = "") -> str:
    begin = NOW_S - days_ago * DAY_S
    came, left = (datetime.fromtimestamp(wall_s, UTC).isoformat() for wall_s in (begin, begin + 3600.0 * hours))
    return f"{evse},{came},{left},{kwh},{user}"


def sessions(folder: Path, *rows: str) -> Path:
    path = folder / "sessions.csv"
    path.write_text("\n".join(["evse,arrival,departure,energy_kwh,user", *rows]))
    return path


def kept(site: Path) -> dict[str, object]:
    return {key: value for (space, key), value in memories_of(load_config(site).data_dir).items() if space == "past"}


def run(*words: object) -> int:
    return main(["habits", *map(str, words)])


def test_imported_sessions_are_what_the_engine_learns_from(site: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [row(name, day + 1.0, user="CARD-7") for day in range(20) for name in ("alpha", "beta/2")]
    assert run("import", sessions(tmp_path, *rows), "--site", site) == 0
    assert "40 sessions brought in; 40 are remembered now\nenough to learn from" in capsys.readouterr().out
    config = load_config(site)
    engine = build_engine(config, "seed")
    memories = memories_of(config.data_dir)
    at = Stamp(1000.0, NOW_S)
    engine.handle(Restored(at, memories, {}))
    history = engine.site.history
    assert len(history) == 40
    by_evse = {one.evse: one for one in history.sessions}
    assert (by_evse["alpha/1"].node_id, by_evse["alpha/1"].phases, by_evse["alpha/1"].max_power_w) == ("hall", (0, 1, 2), 16 * 690.0)
    assert (by_evse["beta/2"].node_id, by_evse["beta/2"].phases, by_evse["beta/2"].max_power_w) == ("grid", (1,), 32 * 230.0)
    users = Users("another start")
    users.load(memories[KEY])
    assert {one.user for one in history.sessions} == {users.name({"idToken": "card-7"})}, "the name that a live session of this card gets"
    assert "CARD-7" not in json.dumps(list(memories.values()))
    while history.learn(at).habits is None:
        pass
    assert history.learnt.habits is not None
    assert history.learnt.habits.usual


def test_the_same_file_twice_is_remembered_once_and_live_sessions_win(site: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = sessions(tmp_path, row("alpha/1", 3), row("beta/1", 3))
    assert run("import", path, "--site", site) == run("import", path, "--site", site) == 0
    assert len(kept(site)) == 2
    assert run("import", sessions(tmp_path, row("alpha/1", 3.1), row("beta/1", 5)), "--site", site) == 0
    assert "1 at the time of one that is remembered" in capsys.readouterr().out
    assert len(kept(site)) == 3


def test_what_cannot_be_used_is_told_and_nothing_is_changed(site: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = sessions(tmp_path, row("beta", 2), row("stranger", 2), row("alpha", 400), row("alpha", 0.1), row("alpha", 9, hours=0.01))
    assert run("import", path, "--site", site) == 1
    told = capsys.readouterr().err
    for word in ("2 at EVSEs the site does not have (beta, stranger", "90 days", "not over yet", "too short", "nothing was changed"):
        assert word in told
    assert not kept(site)


def test_an_evse_may_have_another_name_in_the_file(site: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = sessions(tmp_path, row("Box 7", 2))
    assert run("import", path, "--site", site, "--rename", "Box 7=beta/2") == 0
    (memory,) = kept(site).values()
    past = past_of(memory)
    assert past is not None
    assert past.evse == "beta/2"
    assert run("import", path, "--site", site, "--rename", "Box 7=gamma") == 1
    assert "gamma, which the site does not have; it has alpha" in capsys.readouterr().err
    assert run("import", path, "--site", site, "--rename", "Box 7") == 1
    assert "not NAME=STATION/EVSE" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "evse,arrival\n", "a;b\n1;2\n", "evse,arrival,departure,energy_kwh\nalpha,yesterday,today,1\n"])
def test_a_file_that_is_none_is_refused_with_a_sentence(site: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str) -> None:
    path = tmp_path / "odd.csv"
    path.write_text(text)
    assert run("import", path, "--site", site) == 1
    assert "odd.csv" in capsys.readouterr().err
    assert run("import", tmp_path / "none.csv", "--site", site) == 1
    assert "there is no file" in capsys.readouterr().err
    assert run("import", "--site", site) == 1
    assert "name the file" in capsys.readouterr().err


def test_a_running_controller_is_not_disturbed(site: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = sessions(tmp_path, row("alpha", 2))
    assert run("import", path, "--site", site) == 0
    with lock_folder(load_config(site).data_dir):
        assert run("import", path, "--site", site) == 1
        assert "nothing was changed: another Yardmaster" in capsys.readouterr().err
        assert run("forget", "--yes", "--site", site) == 1
        assert run("show", "--site", site) == 0
    assert "1 sessions from" in capsys.readouterr().out
    assert len(kept(site)) == 1


def test_show_tells_what_is_remembered(site: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("show", "--site", site) == 1
    assert "no journal" in capsys.readouterr().err
    run("import", sessions(tmp_path, row("alpha", 2, user="X"), row("alpha", 3, user="Y", kwh=20.0), row("beta/1", 2)), "--site", site)
    assert run("show", "--site", site) == 0
    told = capsys.readouterr().out
    assert "3 sessions from" in told
    assert "44 kWh, 2 drivers known again" in told
    assert "alpha/1                         2      16.0        8.0" in told
    assert "not enough to learn from yet: 3 sessions on 2 days" in told


def test_forgetting_wants_to_be_meant_and_leaves_everything_else(site: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("import", sessions(tmp_path, row("alpha", 2, user="X")), "--site", site)
    folder = load_config(site).data_dir
    store = JournalStore(folder, "now", 4096)
    store.write([Batch(remember=(("peak", "grid", "{}"),))])
    store.close()
    assert run("forget", "--site", site) == 1
    assert "--yes" in capsys.readouterr().err
    assert kept(site)
    assert run("forget", "--yes", "--site", site) == 0
    assert "1 past sessions" in capsys.readouterr().out
    assert set(memories_of(folder)) == {("peak", "grid")}
