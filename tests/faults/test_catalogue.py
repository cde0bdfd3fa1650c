"""The catalogue pages tell the truth: each number once, each named test exists and carries it, each missing one says why.

Out of date? `python -m tests.support.catalogue_pages` writes the last column anew.
"""

import re

import pytest

from tests.support.catalogue_pages import PAGES, REASONS, ROW, TESTS, Page, meant, numbers_in


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.file.name)
def test_every_number_has_a_test_that_carries_it_or_a_reason(page: Page) -> None:
    rows = ROW.findall(page.file.read_text(encoding="utf-8"))
    assert [number for number, _, _ in rows] == [page.number(index) for index in range(1, page.last + 1)]
    for number, _, cell in rows:
        files = re.findall(r"`([^`]+)`", cell) if not cell.startswith(REASONS) else []
        assert files or (cell.startswith(REASONS) and len(cell) > len("not yet: ") + 8), number
        for name in files:
            assert meant(number, name)
            assert number in numbers_in((TESTS / name).read_text(encoding="utf-8")), f"{name} does not carry {number}"


def test_numbers_are_found_where_people_write_them() -> None:
    trap = "trap"  # apart from its number, or other pages would list this test too
    assert numbers_in(f"x (F42, B01-B03, F50-F53), {trap} 7") == {"F42", "B01", "B02", "B03", "F50", "F53", f"{trap} 7"}
    assert numbers_in(f"def test_f04_f05_x\ndef test_b28_y\ndef test_{trap}_23_25_z") == {"F04", "F05", "B28", f"{trap} 23", f"{trap} 25"}
    assert numbers_in(f"{trap}s 7 and 8, {trap}s 1, 3; {trap}s 4-6") == {f"{trap} {number}" for number in (7, 8, 1, 3, 4, 5, 6)}
