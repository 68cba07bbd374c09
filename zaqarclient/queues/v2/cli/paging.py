"""Listing over page borders."""

from collections.abc import Callable, Iterator
from typing import Any, Final

#: Largest page that a service with default settings gives.
PAGE_SIZE: Final = 20

#: Page that any service gives when no size is named.
DEFAULT_PAGE_SIZE: Final = 10


class Pages:
    """The items of a listing, page after page, up to a limit.

    Args:
        fetch: Asks for one page with ``marker`` and ``limit`` (left out when
            None) and returns the iterator of it.
        limit: How many items to give; 0 means all, None means one page of the
            service's own size.
        marker: Where to begin: after this item.
    """

    def __init__(
        self,
        fetch: Callable[..., Any],
        limit: int | None = None,
        marker: str | None = None,
    ) -> None:
        self._fetch = fetch
        self._limit = limit
        self._marker = marker
        #: After iteration: where the next page begins, None at the end.
        self.next_marker: str | None = None

    def __iter__(self) -> Iterator[Any]:
        """Yield the items; each page is read when it is needed."""
        marker, given = self._marker, 0
        seen = {marker}
        while True:
            wanted = self._page_size(given)
            page = self._fetch(**_present(marker=marker, limit=wanted))
            items = list(page)
            yield from items
            given += len(items)
            # The plain lists of tests have no next page.
            marker = getattr(page, "next_marker", None)
            if not items or marker is None or marker in seen:
                return
            if not self._goes_on(given):
                # A page that is not full is the last one; a hint at another one
                # would lead to an empty page.
                full = len(items) >= (wanted or DEFAULT_PAGE_SIZE)
                self.next_marker = marker if full else None
                return
            seen.add(marker)

    def _page_size(self, given: int) -> int | None:
        if self._limit is None:
            return None
        return min(self._limit - given, PAGE_SIZE) if self._limit else PAGE_SIZE

    def _goes_on(self, given: int) -> bool:
        return self._limit == 0 or (self._limit is not None and given < self._limit)


def _present(**params: Any) -> dict[str, Any]:
    return {name: value for name, value in params.items() if value is not None}


def message_id_of(href: str) -> str:
    """Return the id of the message that a path names."""
    return href.partition("?")[0].rpartition("/")[2]
