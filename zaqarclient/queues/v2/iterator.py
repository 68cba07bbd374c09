"""Iterating over lists."""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from zaqarclient.queues.v2.client import Client

P = ParamSpec("P")
T = TypeVar("T")


class Listing(Generic[T]):
    """Yields the items of a list once, by default those of one page.

    Args:
        client: Reads the next page.
        listing_response: A page as the service gave it, its bare list of
            items, or None for an empty one.
        iter_key: The member of the page that holds the items.
        create_function: Makes an object of an item.

    Attributes:
        _links: The links of the current page, each with ``rel`` and ``href``
            (callers read them to take the marker from).
    """

    def __init__(
        self,
        client: Client,
        listing_response: Mapping[str, Any] | Sequence[Any] | None,
        iter_key: str,
        create_function: Callable[[dict[str, Any]], T],
    ) -> None:
        self._client = client
        self._iter_key = iter_key
        self._create_function = create_function
        self._streaming = False
        self._followed: set[str] = set()
        self._links: list[dict[str, str]] = []
        self._items: deque[dict[str, Any]] = deque()
        self._take(listing_response)

    def __repr__(self) -> str:
        rest = ", further pages follow" if self._streaming and self._next_link() else ""
        return f"<Listing of {self._iter_key}: {len(self._items)} to come{rest}>"

    def __iter__(self) -> Listing[T]:
        return self

    def __next__(self) -> T:
        if self.needs_page:
            self._read_next_page()
        if not self._items:
            raise StopIteration
        return self._create_function(self._items.popleft())

    def next(self) -> T:
        """Return the next item, as the builtin ``next`` does."""
        return self.__next__()

    def stream(self, enabled: bool = True) -> Listing[T]:
        """Follow the links to further pages, to the end of the list.

        A page is read when the items of the one before are used up. A service
        that links to a page already read ends the list.

        Args:
            enabled: False to stop at the end of the page again.

        Returns:
            This iterator.
        """
        self._streaming = enabled
        return self

    @property
    def has_items(self) -> bool:
        """True if items of the current page are left."""
        return bool(self._items)

    @property
    def needs_page(self) -> bool:
        """True if the next item has to be read from the service."""
        return self._streaming and not self._items

    @property
    def next_marker(self) -> str | None:
        """The marker of the page after the current one, None at the end."""
        link = self._next_link()
        markers = parse_qs(urlsplit(link or "").query).get("marker")
        return markers[-1] if markers else None

    def _next_link(self) -> str | None:
        links = (link["href"] for link in self._links if link.get("rel") == "next")
        return next(links, None)

    def _take(self, page: Mapping[str, Any] | Sequence[Any] | None) -> None:
        if page is None:
            self._items, self._links = deque(), []
        elif isinstance(page, Mapping):
            self._items = deque(page[self._iter_key] or ())
            self._links = list(page.get("links") or [])
        else:
            self._items, self._links = deque(page), []

    def _read_next_page(self) -> None:
        link = self._next_link()
        if link is None or link in self._followed:
            return
        self._followed.add(link)
        self._take(self._client.follow(link) or None)


def streamed(method: Callable[P, Listing[T]], what: str) -> Callable[P, Listing[T]]:
    """Return a method that lists one page as one that goes on to the end.

    Args:
        method: The method.
        what: What it lists.
    """

    @functools.wraps(method)
    def call(*args: P.args, **kwargs: P.kwargs) -> Listing[T]:
        return method(*args, **kwargs).stream()

    call.__name__ = f"iter_{what}"
    call.__qualname__ = f"{method.__qualname__.rpartition('.')[0]}.iter_{what}"
    call.__doc__ = f"""Return all {what}, page by page as they are used up.

        The arguments are those of `{what}`; `limit` is the size of a page.
        """
    return call


_Iterator = Listing
"""The name by which callers know it (contract, SDK section 14)."""
