"""The catalogue page tells the truth: each fault once, each named test exists and carries the number."""

import re
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
ROW = re.compile(r"\| F(\d\d) \| ([^|]+) \| ([^|]+) \|")


def test_every_fault_has_a_test_with_its_number_or_a_reason() -> None:
    rows = ROW.findall((TESTS / "faults" / "CATALOGUE.md").read_text(encoding="utf-8"))
    assert [int(number) for number, _, _ in rows] == list(range(1, 85))
    for number, _, cell in rows:
        files = re.findall(r"`([^`]+)`", cell) if not cell.startswith("not yet:") else []
        assert files or len(cell) > len("not yet: ") + 10
        for name in files:
            text = (TESTS / name).read_text(encoding="utf-8")
            assert re.search(rf"\bF{number}\b|_f{number}_", text), f"{name} does not carry F{number}"
