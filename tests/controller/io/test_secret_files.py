"""Files with secrets are readable by their owner only, the journal among them."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from controller.io.journal.store import FILE_NAME, JournalStore
from controller.io.secret_files import keep_private


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture(autouse=True)
def _careless_umask() -> object:
    old = os.umask(0o000)
    yield
    os.umask(old)


def test_a_missing_file_is_made_private(tmp_path: Path) -> None:
    assert keep_private(tmp_path / "secret")
    assert mode(tmp_path / "secret") == 0o600


@pytest.mark.parametrize("given", [0o644, 0o660, 0o777, 0o606])
def test_others_lose_what_they_may_do(tmp_path: Path, given: int) -> None:
    path = tmp_path / "secret"
    path.write_text("content")
    path.chmod(given)
    assert keep_private(path)
    assert mode(path) == given & 0o700
    assert path.read_text() == "content"


def test_what_cannot_be_made_private_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "secret"
    path.write_text("")
    path.chmod(0o644)

    def refused(*_: object, **__: object) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "chmod", refused)  # a file system without permissions, e.g. FAT
    assert not keep_private(path)


def test_a_folder_that_is_not_there_is_not_our_business(tmp_path: Path) -> None:
    assert keep_private(tmp_path / "nowhere" / "secret")
    assert not (tmp_path / "nowhere").exists()


def test_the_journal_is_private_from_its_first_byte_and_made_so_if_it_was_not(tmp_path: Path) -> None:
    store = JournalStore(tmp_path, "now", reserve_bytes=4096)
    assert {mode(path) for path in tmp_path.iterdir() if path.name.startswith(FILE_NAME)} == {0o600}
    store.close()
    (tmp_path / FILE_NAME).chmod(0o644)
    store = JournalStore(tmp_path, "now", reserve_bytes=4096)
    assert {mode(path) for path in tmp_path.iterdir() if path.name.startswith(FILE_NAME)} == {0o600}
    assert not store.notes
    store.close()
