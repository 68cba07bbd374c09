"""A mapping of bounded size."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class LRU(OrderedDict[K, V]):
    """A mapping that drops the least recently used item above its size.

    Storing an item and :meth:`use` count as a use; reading it does not.

    Args:
        most: The maximum number of items.
    """

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most

    def __setitem__(self, key: K, value: V) -> None:
        super().__setitem__(key, value)
        self.move_to_end(key)
        if len(self) > self._most:
            self.popitem(last=False)

    def use(self, key: K) -> V | None:
        """Return an item and count a use; ``None`` if it does not exist."""
        value = self.get(key)
        if value is not None:
            self.move_to_end(key)
        return value
