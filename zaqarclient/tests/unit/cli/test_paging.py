"""Listing over page borders."""

from __future__ import annotations

from typing import Any

import pytest

from zaqarclient.queues.v2.cli.paging import Pages


class Page(list[int]):
    """A page as the client gives it: items, and the marker of the next one."""

    def __init__(self, items: list[int], next_marker: object) -> None:
        super().__init__(items)
        self.next_marker = str(next_marker) if items else None


class Listing:
    """A service with the numbers below ``count``, and a log of its pages."""

    def __init__(self, count: int, *, stuck: bool = False) -> None:
        self._count = count
        self._stuck = stuck
        self.asked: list[dict[str, Any]] = []

    def __call__(self, **params: Any) -> Page:
        assert len(self.asked) < 50, "it goes on for ever"
        self.asked.append(params)
        start = 0 if self._stuck else int(params.get("marker", -1)) + 1
        items = list(range(start, min(self._count, start + params.get("limit", 10))))
        return Page(items, items[-1] if items else None)


@pytest.mark.parametrize(
    ("count", "limit", "shown", "next_marker"),
    [
        (0, None, 0, None),
        (9, None, 9, None),
        (10, None, 10, "9"),
        (45, None, 10, "9"),
        (45, 3, 3, "2"),
        (45, 30, 30, "29"),
        (45, 100, 45, None),
        (45, 45, 45, "44"),
        (40, 0, 40, None),
        (45, 0, 45, None),
    ],
)
def test_a_limit_is_served_from_as_many_pages_as_it_needs(
    count: int, limit: int | None, shown: int, next_marker: str | None
) -> None:
    pages = Pages(Listing(count), limit)
    assert list(pages) == list(range(shown))
    assert pages.next_marker == next_marker


def test_a_listing_begins_after_the_marker_and_goes_on_from_there() -> None:
    listing = Listing(30)
    pages = Pages(listing, 5, marker="4")
    assert list(pages) == [5, 6, 7, 8, 9]
    assert list(Pages(listing, 5, marker=pages.next_marker)) == [10, 11, 12, 13, 14]


def test_without_a_limit_none_is_sent() -> None:
    listing = Listing(3)
    assert list(Pages(listing)) == [0, 1, 2]
    assert listing.asked == [{}]


def test_a_page_is_asked_for_when_its_turn_comes() -> None:
    listing = Listing(100)
    items = iter(Pages(listing, 0))
    for _ in range(20):
        next(items)
    assert len(listing.asked) == 1


def test_a_service_that_repeats_a_page_does_not_keep_us_for_ever() -> None:
    listing = Listing(20, stuck=True)
    assert len(list(Pages(listing, 0))) == 40
    assert len(listing.asked) == 2
