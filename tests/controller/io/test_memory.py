"""Memory: what counts as used, what is allowed, and when it becomes news (F71)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from controller.io.memory import MemoryMeter, limit_bytes, used_bytes

MIB = 2**20


def test_f71_tight_is_told_once_and_so_is_easy() -> None:
    meter = MemoryMeter()
    told = [meter.saw(share * MIB, 100 * MIB) for share in (50, 85, 86, 99, 80, 76, 74, 80)]
    assert [news is not None for news in told] == [False, False, True, False, False, False, True, False]
    assert told[2] is not None
    assert told[2][0] is False
    assert told[2][1].startswith("86 of 100 MiB used")
    assert told[6] == (True, "74 of 100 MiB used")


def test_this_program_uses_some_memory_and_may_use_some() -> None:
    assert 0 < used_bytes() < limit_bytes()


@pytest.mark.parametrize(("own", "parent", "expected"), [("max", "max", None), ("536870912", "max", 536870912), ("max", "1000000", 1000000)])
def test_the_tightest_group_counts(tmp_path: Path, own: str, parent: str, expected: int | None) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc" / "cgroup").write_text("12:pids:/x\n0::/system.slice/yardmaster.service\n")
    groups = tmp_path / "groups"
    folder = groups / "system.slice" / "yardmaster.service"
    folder.mkdir(parents=True)
    (folder / "memory.max").write_text(own + "\n")
    (folder.parent / "memory.max").write_text(parent + "\n")
    (tmp_path / "memory.max").write_text("1\n")  # above the groups: nobody's business
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert limit_bytes(tmp_path / "proc", groups) == (expected or machine)


def test_where_the_system_does_not_say_nothing_is_claimed(tmp_path: Path) -> None:
    assert used_bytes(tmp_path) == 0
    assert limit_bytes(tmp_path, tmp_path) > 0
