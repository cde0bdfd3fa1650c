"""The command line in processes of its own: verbs, sentences instead of tracebacks, exit codes."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from controller.__main__ import VERBS, main
from controller.facts import OutboxRow
from controller.io.journal.store import Batch, JournalStore

ROOT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-m", "controller"]


def write_site(folder: Path, **more: Any) -> Path:
    data = {
        "site": {"id": "test", "name": "Test depot"},
        "grid": {"fuse_a": 63, "worst_other_load_a": 20},
        "listen": {"host": "127.0.0.1", "port": 0},
        "api": {"port": 0},
        "data_dir": str(folder / "data"),
        "stations": [{"id": "CP1", "evses": [{"id": 1, "max_current_a": 32}]}],
        **more,
    }
    path = folder / "site.yaml"
    path.write_text(yaml.safe_dump(data), encoding="utf-8")
    return path


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *words], capture_output=True, text=True, cwd=ROOT, timeout=60)


@contextmanager
def controller(path: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A running controller and the URL of its page."""
    with subprocess.Popen([*COMMAND, "run", str(path)], stderr=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stderr is not None
        url = ""
        for line in process.stderr:
            if "the page is at " in line:
                url = line.split("the page is at ")[1].strip()
                break
        try:
            yield process, url
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_run_ends_with_0_when_told_to_and_status_asks_it_before(tmp_path: Path, number: signal.Signals, capsys: pytest.CaptureFixture[str]) -> None:
    with controller(write_site(tmp_path)) as (process, url):
        assert main(["status", "--url", url]) == 0
        told = capsys.readouterr().out
        assert "Test depot (test)" in told
        assert "0 of 1 online" in told
        assert main(["status", "--url", url, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["site_id"] == "test"
        process.send_signal(number)
        assert process.wait(timeout=30) == 0
        assert process.stderr is not None
        rest = process.stderr.read()
    assert "Traceback" not in rest
    assert "stopped" in rest


def test_run_refuses_a_bad_file_with_the_same_words_as_check(tmp_path: Path) -> None:
    path = write_site(tmp_path, grid={"fuse_a": 0, "worst_other_load_a": 20, "nonsense": 1})
    refused, checked = run("run", str(path)), run("check", str(path))
    assert (refused.returncode, checked.returncode) == (1, 1)
    assert refused.stderr == checked.stderr
    assert "nonsense" in refused.stderr
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("section", ["listen", "api"])
def test_a_busy_port_is_one_sentence_and_exit_code_1(tmp_path: Path, section: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = run("run", str(write_site(tmp_path, **{section: {"host": "127.0.0.1", "port": port}})))
    assert refused.returncode == 1
    assert "Traceback" not in refused.stderr
    complaint = refused.stderr.strip().splitlines()[-1]
    assert complaint.startswith("yardmaster: ")
    assert str(port) in complaint
    assert f"{section}.port" in complaint


def test_a_missing_file_is_a_sentence(tmp_path: Path) -> None:
    refused = run("run", str(tmp_path / "nowhere.yaml"))
    assert refused.returncode == 1
    assert "nowhere.yaml" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_export_parked_prints_json_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_site(tmp_path)
    assert main(["export-parked", str(path)]) == 1
    assert "there is no journal" in capsys.readouterr().err
    (tmp_path / "data").mkdir()
    store = JournalStore(tmp_path / "data", "now", 4096)
    waiting = OutboxRow(0, "CP1", "tx", "TransactionEvent", "[2]", 1.0)
    store.write([Batch(rows=(replace(waiting, attempts=5, parked=True), waiting))])
    store.close()
    assert main(["export-parked", str(path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [json.loads(line)["attempts"] for line in lines] == [5]


def test_version_and_schema(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["version"]) == 0
    assert capsys.readouterr().out.startswith("yardmaster ")
    assert main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out)["type"] == "object"


def test_no_verb_prints_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    told = capsys.readouterr().out
    assert all(verb in told for verb in VERBS)


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_every_verb_explains_itself(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([verb, "--help"])
    assert ended.value.code == 0
    assert "usage: yardmaster" in capsys.readouterr().out


def test_the_help_is_in_groups_and_a_wrong_word_is_told_by_its_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    told = capsys.readouterr().out
    assert {verb.group for verb in VERBS.values()} == {line[:-1] for line in told.splitlines() if line.endswith(":") and not line.startswith(" ")} - {
        "options"
    }
    with pytest.raises(SystemExit):
        main(["status", "--nonsense"])
    assert "usage: yardmaster status" in capsys.readouterr().err


def test_help_and_version_import_no_heavy_package() -> None:
    heavy = "('aiohttp', 'pulp', 'pydantic')"
    code = f"import sys; from controller.__main__ import main; main(['version']); print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=60, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    with subprocess.Popen([*COMMAND, "schema"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.wait(timeout=60) == 0
        assert "Traceback" not in process.stderr.read()
