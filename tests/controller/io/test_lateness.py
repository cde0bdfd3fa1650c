"""How late the event loop runs, and who is to blame: a task, other programs, or a standstill (F70)."""

from __future__ import annotations

import threading
from itertools import count
from pathlib import Path

import pytest

from controller.io.lateness import CALM_S, LAG_ALARM_S, OF_THIS_THREAD, LagMeter, Spent, spent, why


def test_f70_lag_is_news_once_and_calm_is_news_once() -> None:
    meter = LagMeter()
    assert meter.saw(LAG_ALARM_S - 0.01, 0.0) is None
    late = meter.saw(2.0, 1.0)
    assert late is not None
    assert not late[0]
    assert "2000 ms" in late[1]
    assert meter.saw(2.0, 3.0) is None
    assert meter.saw(0.0, 3.0 + CALM_S - 0.1) is None
    calm = meter.saw(0.0, 3.0 + CALM_S)
    assert calm is not None
    assert calm[0]
    assert meter.saw(0.0, 3.0 + 2 * CALM_S) is None


@pytest.mark.parametrize(
    ("meanwhile", "words"),
    [
        (Spent(worked_s=0.39, waited_s=0.01), "one task held everything up for 400 ms"),
        (Spent(worked_s=0.05, waited_s=0.35), "no processor for us during 350 of 400 ms"),
        (Spent(worked_s=0.21, waited_s=0.2), "no processor for us"),
        (Spent(worked_s=0.01, waited_s=0.6), "no processor for us during 400 of 400 ms"),  # before it was due, too
        (Spent(worked_s=0.02, waited_s=0.01), "stood still for 400 ms"),
        (None, "something held everything up for 400 ms"),
    ],
)
def test_f70_the_right_one_is_blamed(meanwhile: Spent | None, words: str) -> None:
    assert words in why(0.4, meanwhile)
    news = LagMeter().saw(0.4, 0.0, meanwhile)
    assert news is not None
    assert news == (False, f"{why(0.4, meanwhile)}; control ran late by as much")


def test_what_a_thread_did_is_read_as_linux_writes_it(tmp_path: Path) -> None:
    file = tmp_path / "schedstat"
    file.write_text("1500000000 250000000 77\n")
    assert spent(file) == Spent(1.5, 0.25)
    assert Spent(1.5, 0.75).since(Spent(1.0, 0.5)) == Spent(0.5, 0.25)


@pytest.mark.parametrize("text", ["", "one two three", "12"])
def test_a_system_that_does_not_say_is_no_error(tmp_path: Path, text: str) -> None:
    file = tmp_path / "schedstat"
    assert spent(file) is None
    file.write_text(text)
    assert spent(file) is None


def test_work_of_this_thread_counts_and_that_of_others_does_not() -> None:
    if not OF_THIS_THREAD.exists():  # another system than Linux: then nothing is known, and that is told above
        assert spent() is None
        return
    before = spent()
    assert before is not None
    seen: list[Spent | None] = []
    other = threading.Thread(target=lambda: seen.append(spent()))
    other.start()
    other.join()
    assert seen[0] is not None
    assert seen[0].worked_s < before.worked_s, "a thread that has just begun has done less than the one that ran all these tests"
    for _ in count():
        after = spent()
        assert after is not None
        if after.since(before).worked_s > 0.01:
            break
