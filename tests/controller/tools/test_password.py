"""``yardmaster hash-password``: the printed line fits site.yaml and the password is nowhere in it."""

from __future__ import annotations

import io
import sys

import pytest
import yaml

from controller.__main__ import main
from controller.config import StationConfig
from controller.link.secrets import matches

PASSWORD = "correct-horse-battery"


def piped(monkeypatch: pytest.MonkeyPatch, text: str) -> int:
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))
    return main(["hash-password", "--stdin"])


@pytest.mark.parametrize("end", ["\n", "\r\n", ""])
def test_the_line_is_a_stations(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], end: str) -> None:
    assert piped(monkeypatch, PASSWORD + end) == 0
    told = capsys.readouterr()
    assert PASSWORD not in told.out + told.err
    station = StationConfig.model_validate({"id": "CP1", "evses": [{"id": 1, "max_current_a": 16}], **yaml.safe_load(told.out)})
    assert station.password_hash is not None
    stored = station.password_hash.get_secret_value()
    assert matches(PASSWORD.encode(), stored)
    assert not matches(b"correct-horse-batterx", stored)


def test_two_hashes_of_one_password_differ(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    piped(monkeypatch, PASSWORD)
    piped(monkeypatch, PASSWORD)
    first, second = capsys.readouterr().out.splitlines()
    assert first != second


def test_what_is_no_password_is_refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for text in ("", "\n", "x" * 600):
        assert piped(monkeypatch, text) == 1
        told = capsys.readouterr()
        assert told.out == ""
        assert told.err.startswith("yardmaster: ")
        assert "xxx" not in told.err


def test_a_short_one_is_warned_about(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert piped(monkeypatch, "short") == 0
    assert "16 to 40" in capsys.readouterr().err


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_it_asks_twice_without_an_echo(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    answers = [PASSWORD, PASSWORD, PASSWORD, "another"]
    monkeypatch.setattr(sys, "stdin", Terminal())
    monkeypatch.setattr("getpass.getpass", lambda prompt: answers.pop(0))
    assert main(["hash-password"]) == 0
    assert main(["hash-password"]) == 1
    told = capsys.readouterr()
    assert "not the same" in told.err
    assert len(told.out.splitlines()) == 1


def test_without_a_terminal_it_says_how(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(PASSWORD))
    assert main(["hash-password"]) == 1
    assert "--stdin" in capsys.readouterr().err
