"""Pages hold everything once, in order, and no page is too large."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from controller.link.depot.addresses import size_of
from controller.link.depot.paging import pages


@given(st.lists(st.integers(0, 120), max_size=60), st.integers(50, 400), st.integers(1, 9))
def test_every_item_once_and_in_order(lengths: list[int], most_bytes: int, most_items: int) -> None:
    items = [{"number": number, "text": "x" * length} for number, length in enumerate(lengths)]
    sheets = list(pages(items, most_bytes, most_items))
    assert [item for page, _ in sheets for item in page] == items
    assert [more for _, more in sheets] == [True] * (len(sheets) - 1) + [False] * bool(sheets)
    for page, _ in sheets:
        assert 0 < len(page) <= most_items
        assert len(page) == 1 or sum(size_of(item) + 1 for item in page) <= most_bytes
