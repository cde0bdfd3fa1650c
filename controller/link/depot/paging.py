"""Long reports in pages: each below the frame bound, numbered from 0, the last one without "to be continued"."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from controller.link.depot.addresses import size_of

Payload = dict[str, Any]
PAGE_BYTES: Final = 24_000
"""Of items in one page; with its head a frame stays below 30 kB, which every CSMS we know takes."""
PAGE_ITEMS: Final = 100
"""DeviceDataCtrlr.ItemsPerMessage is about requests; a page keeps to the same order of size."""


def pages(items: Iterable[Payload], most_bytes: int = PAGE_BYTES, most_items: int = PAGE_ITEMS) -> Iterator[tuple[list[Payload], bool]]:
    """(items of one page, whether more follow). Every item once, in order; nothing at all gives no page. Reads ahead one page only."""
    page: list[Payload] = []
    size = 0
    for item in items:
        length = size_of(item) + 1
        if page and (len(page) >= most_items or size + length > most_bytes):
            yield page, True
            page, size = [], 0
        page.append(item)
        size += length
    if page:
        yield page, False
