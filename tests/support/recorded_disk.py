"""A disk that remembers the order of its writes, so that a power cut can be played at any moment (F68), without root.

``python -m tests.support.recorded_disk LOG run site.yaml`` is the controller, its SQLite told to note
each write, truncation, sync and deletion of the journal in LOG before doing it. ``PowerCut`` builds
what the disk would hold if power failed at a place of that log: everything synced is there; of
what was written since, any sectors in any choice - lost, kept, torn, overtaken by later ones. That is
crueller than most disks, and as cruel as POSIX allows.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

NAME = "journal.sqlite3"
SECTOR = 512
WRITE, TRUNCATE, SYNC, DELETE = b"WTSD"
HEAD = struct.Struct("<BHqi")


# -- recording: SQLite's own file functions with a note before each -----------------------------------

_POINTER, _INT, _INT64, _TEXT = ctypes.c_void_p, ctypes.c_int, ctypes.c_int64, ctypes.c_char_p
# The path as a pointer, not as text: SQLite keeps it until the file is closed, and names the shared memory after it.
_OPEN = ctypes.CFUNCTYPE(_INT, _POINTER, _POINTER, _POINTER, _INT, ctypes.POINTER(_INT))
_DELETE = ctypes.CFUNCTYPE(_INT, _POINTER, _TEXT, _INT)
_WRITE = ctypes.CFUNCTYPE(_INT, _POINTER, _POINTER, _INT, _INT64)
_TRUNCATE = ctypes.CFUNCTYPE(_INT, _POINTER, _INT64)
_SYNC = ctypes.CFUNCTYPE(_INT, _POINTER, _INT)


class _Vfs(ctypes.Structure):
    """The beginning of sqlite3_vfs."""

    _fields_ = (
        ("version", _INT),
        ("file_bytes", _INT),
        ("longest_path", _INT),
        ("next", _POINTER),
        ("name", _TEXT),
        ("data", _POINTER),
        ("open", _OPEN),
        ("delete", _DELETE),
    )


class _Methods(ctypes.Structure):
    """sqlite3_io_methods of version 3; what stands in ``rest`` passes as it is."""

    _fields_ = (
        ("version", _INT),
        ("close", _POINTER),
        ("read", _POINTER),
        ("write", _WRITE),
        ("truncate", _TRUNCATE),
        ("sync", _SYNC),
        ("rest", _POINTER * 13),
    )


class _File(ctypes.Structure):
    """The beginning of sqlite3_file."""

    _fields_ = (("methods", ctypes.POINTER(_Methods)),)


class Recorder:
    """Put in place once per process, before the first database is opened; must live as long as the process."""

    def __init__(self, log: Path) -> None:
        import _sqlite3

        library = ctypes.CDLL(_sqlite3.__file__)  # finds the SQLite this module is linked with
        library.sqlite3_vfs_find.restype = ctypes.POINTER(_Vfs)
        library.sqlite3_initialize()
        self._log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._names: dict[int, bytes] = {}
        self._kept: list[Any] = []
        vfs = library.sqlite3_vfs_find(None).contents
        self._open, self._delete = _OPEN.from_buffer_copy(vfs.open), _DELETE.from_buffer_copy(vfs.delete)
        self._kept += [_OPEN(self._opened), _DELETE(self._deleted)]
        vfs.open, vfs.delete = self._kept

    def _note(self, kind: int, name: bytes, place: int = 0, data: bytes = b"") -> None:
        os.write(self._log, HEAD.pack(kind, len(name), place, len(data)) + name + data)

    def _opened(self, vfs: Any, path: int | None, file: int, flags: int, out: Any) -> int:
        result: int = self._open(vfs, path, file, flags, out)
        name = os.path.basename(ctypes.string_at(path) if path else b"")
        if result == 0 and name.startswith(NAME.encode()):
            self._names[file] = name
            self._wrap(ctypes.cast(file, ctypes.POINTER(_File)).contents)
        return result

    def _deleted(self, vfs: Any, path: bytes, sync: int) -> int:
        name = os.path.basename(path)
        if name.startswith(NAME.encode()):
            self._note(DELETE, name, sync)
        result: int = self._delete(vfs, path, sync)
        return result

    def _wrap(self, file: _File) -> None:
        own = file.methods.contents
        methods = _Methods.from_buffer_copy(own)
        write, truncate, sync = (kind.from_buffer_copy(one) for kind, one in ((_WRITE, own.write), (_TRUNCATE, own.truncate), (_SYNC, own.sync)))

        def noted_write(at: int, data: int, count: int, offset: int) -> int:
            self._note(WRITE, self._names[at], offset, ctypes.string_at(data, count))
            return int(write(at, data, count, offset))

        def noted_truncate(at: int, size: int) -> int:
            self._note(TRUNCATE, self._names[at], size)
            return int(truncate(at, size))

        def noted_sync(at: int, flags: int) -> int:
            result: int = sync(at, flags)
            if result == 0:
                self._note(SYNC, self._names[at])  # only now it is promised
            return result

        methods.write, methods.truncate, methods.sync = _WRITE(noted_write), _TRUNCATE(noted_truncate), _SYNC(noted_sync)
        self._kept += [methods, write, truncate, sync]
        file.methods = ctypes.pointer(methods)


# -- playing the cut -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Note:
    """One operation. end: size of the log behind it [bytes]."""

    kind: int
    name: str
    place: int
    data: bytes
    end: int


def notes(log: Path) -> Iterator[Note]:
    """The log from its beginning; a note cut off at the end does not count."""
    data, place = log.read_bytes(), 0
    while place + HEAD.size <= len(data):
        kind, name_bytes, offset, count = HEAD.unpack_from(data, place)
        begin = place + HEAD.size
        place = begin + name_bytes + count
        if place > len(data):
            return
        yield Note(kind, data[begin : begin + name_bytes].decode(), offset, data[begin + name_bytes : place], place)


@dataclass(slots=True)
class _OnDisk:
    """One file. sound: None = not there. loose: what no sync has promised yet."""

    sound: bytearray | None = None
    loose: list[Note] = field(default_factory=list)


class PowerCut:
    """Plays a log forward. deaf: as if syncs were ignored, to see that the test would notice."""

    def __init__(self, deaf: bool = False) -> None:
        self._files: dict[str, _OnDisk] = {}
        self._deaf = deaf

    def play(self, note: Note) -> None:
        """One operation happens."""
        file = self._files.setdefault(note.name, _OnDisk())
        if note.kind == SYNC:
            if not self._deaf:
                self._promise(file)
        elif note.kind == DELETE and note.place:
            self._files[note.name] = _OnDisk()
        else:
            file.loose.append(note)

    def _promise(self, file: _OnDisk) -> None:
        if file.sound is None:
            # SQLite syncs the folder with the first sync of a log it has created: deletions before that are promised too.
            for other in self._files.values():
                if any(note.kind == DELETE for note in other.loose):
                    other.sound = None
                    other.loose.clear()
        for note in file.loose:
            file.sound = _apply(file.sound, note, None)
        file.sound = bytearray() if file.sound is None else file.sound
        file.loose.clear()

    def build(self, folder: Path, random: Random) -> None:
        """Power fails now: what the disk may hold, in ``folder``."""
        kept = random.choice((0.0, 0.5, 0.9, 1.0))
        for name, file in self._files.items():
            content = None if file.sound is None else bytearray(file.sound)
            for note in file.loose:
                if random.random() < kept:
                    content = _apply(content, note, random)
            if content is not None:
                (folder / name).write_bytes(content)


def _apply(content: bytearray | None, note: Note, random: Random | None) -> bytearray | None:
    """One operation on a file; with ``random`` only some sectors of a write."""
    if note.kind == DELETE:
        return None
    content = bytearray() if content is None else content
    if note.kind == TRUNCATE:
        del content[note.place :]
        return content.ljust(note.place, b"\0")
    torn = random is not None and random.random() < 0.3
    for start in range(0, len(note.data), SECTOR):
        if torn and random is not None and random.random() < 0.5:
            continue
        piece = note.data[start : start + SECTOR]
        at = note.place + start
        if len(content) < at + len(piece):
            content = content.ljust(at + len(piece), b"\0")
        content[at : at + len(piece)] = piece
    return content


if __name__ == "__main__":
    recorder = Recorder(Path(sys.argv[1]))
    del sys.argv[1]
    from controller.__main__ import main

    sys.exit(main())
