"""Transcript files: written line by line, read strictly, what is wrong is named."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from controller.tools.client import ToolError
from controller.tools.transcript import TranscriptWriter, read_transcript

START = {"transcript": 1, "site": "yard", "yardmaster": "1", "wall_s": 1_790_000_000.5, "mono_s": 3.0, "wall_speed": 1.0, "stations": []}
RECORD: dict[str, Any] = {"wall_s": 1.0, "mono_s": 2.0, "station": "CP1", "leg": "station", "way": "up", "kind": "CALL", "text": "[]"}


def written(path: Path, *records: dict[str, Any]) -> Path:
    writer = TranscriptWriter(path)
    writer.header(START)
    for record in records:
        writer.record(record)
    writer.close()
    return path


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = written(tmp_path / "a.jsonl", RECORD, {"lost": 5}, {**RECORD, "text": "ü\u2028"})
    transcript = read_transcript(path)
    assert transcript.header["site"] == "yard"
    assert transcript.header["started"] == "2026-09-21T14:13:20.500+00:00"
    assert [record["text"] for record in transcript.records] == ["[]", "ü\u2028"]
    assert (transcript.lost, transcript.cut) == (5, False)


def test_only_its_owner_may_read_it(tmp_path: Path) -> None:
    assert stat.S_IMODE(written(tmp_path / "a.jsonl").stat().st_mode) == 0o600


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    path = written(tmp_path / "a.jsonl", RECORD)
    with pytest.raises(ToolError, match="is there already"):
        TranscriptWriter(path)
    assert len(read_transcript(path).records) == 1


def test_a_recording_that_never_began_leaves_no_file(tmp_path: Path) -> None:
    TranscriptWriter(tmp_path / "a.jsonl").close()
    assert not (tmp_path / "a.jsonl").exists()


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="cannot be written"):
        TranscriptWriter(tmp_path / "no" / "a.jsonl")


def test_a_line_cut_off_by_a_kill_is_left_out(tmp_path: Path) -> None:
    path = written(tmp_path / "a.jsonl", RECORD)
    with path.open("a") as file:
        file.write('{"wall_s":1.0,"mono')
    transcript = read_transcript(path)
    assert (len(transcript.records), transcript.cut) == (1, True)


HEADER = json.dumps(START)
GOOD = json.dumps(RECORD)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "is no transcript"),
        ("hello\n", "line 1 is no JSON"),
        ("[1]\n", "line 1 is no JSON object"),
        ('{"transcript":"x"}\n', "is no transcript"),
        (GOOD + "\n", "is no transcript"),
        ('{"transcript":2}\n', "format 2, this Yardmaster knows 1"),
        (f"{HEADER}\n{GOOD}\nnonsense\n{GOOD}\n", "line 3 is no JSON"),
        (f"{HEADER}\n\n{GOOD}\n7\n", "line 4 is no JSON object"),
        (f'{HEADER}\n{{"station":"CP1"}}\n', "line 2: wall_s is missing"),
        (f"{HEADER}\n{json.dumps({**RECORD, 'station': 7})}\n", "line 2: station is missing or of the wrong type"),
        (f"{HEADER}\n{json.dumps({**RECORD, 'mono_s': True})}\n", "line 2: mono_s"),
        (f"{HEADER}\n" + "[" * 100_000 + "\n", "line 2 is no JSON"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, content: str, words: str) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text(content)
    with pytest.raises(ToolError, match=words):
        read_transcript(path)


def test_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "picture").write_bytes(b"\x89PNG\xff\xfe")
    with pytest.raises(ToolError, match="not UTF-8"):
        read_transcript(tmp_path / "picture")
    with pytest.raises(ToolError, match="cannot be read"):
        read_transcript(tmp_path / "nowhere")
    with pytest.raises(ToolError, match="cannot be read"):
        read_transcript(tmp_path)
