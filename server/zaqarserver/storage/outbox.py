"""Deliveries of several notices: what every driver has to work out for them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from zaqarserver.storage.subscriptions import NoticeMessage


class SharedMessages:
    """The messages of notices, read and joined once for all deliveries of one take.

    Args:
        read: Returns the messages of a notice by its number.
    """

    def __init__(self, read: Callable[[int], Sequence[NoticeMessage]]) -> None:
        self._read = read
        self._parts: dict[int, Sequence[NoticeMessage]] = {}
        self._joined: dict[tuple[int, ...], Sequence[NoticeMessage]] = {}

    def of(self, notices: tuple[int, ...]) -> Sequence[NoticeMessage]:
        """Return the messages of notices in order, one object for the same ones."""
        if notices not in self._joined:
            parts = [self._part(notice) for notice in notices]
            whole = [message for part in parts for message in part]
            self._joined[notices] = parts[0] if len(parts) == 1 else whole
        return self._joined[notices]

    def _part(self, notice: int) -> Sequence[NoticeMessage]:
        if notice not in self._parts:
            self._parts[notice] = self._read(notice)
        return self._parts[notice]


def locate(counts: Iterable[int], position: int) -> tuple[int, int]:
    """Find a position of a delivery in its notices.

    Args:
        counts: How many messages each notice has.
        position: How many messages of all are settled.

    Returns:
        How many notices are settled as a whole, and how many messages of the next one.
    """
    whole = 0
    for count in counts:
        if position < count:
            break
        whole, position = whole + 1, position - count
    return whole, position
