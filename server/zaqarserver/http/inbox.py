"""What came in and was not parsed yet, in pieces that end where a request ends."""

from __future__ import annotations

_END = b"\r\n\r\n"  # of a head, and of a chunked body


class Inbox:
    """Bytes that a connection received.

    The parser takes whole pieces. One that ends behind each empty line, or with
    the last byte of a body of known length, never reads into the next request.
    """

    __slots__ = ("_at", "_data", "_tail")

    def __init__(self) -> None:
        self.clear()

    def __len__(self) -> int:
        return len(self._data) - self._at

    def clear(self) -> None:
        """Forget all."""
        self._data, self._at, self._tail = b"", 0, b""

    def add(self, data: bytes) -> None:
        """Put more behind what is there."""
        self._data, self._at = self._data[self._at :] + data, 0

    def take(self, most: int) -> bytes:
        """Return at most so many bytes."""
        piece = self._data[self._at : self._at + most]
        self._at += len(piece)
        self._tail = (self._tail + piece[-3:])[-3:]
        if self._at == len(self._data):
            self._data, self._at = b"", 0
        return piece

    def take_line(self, most: int) -> bytes:
        """Return what there is up to the next empty line, at most so many bytes."""
        data, at = self._data, self._at
        # The empty line may have begun in the piece before.
        found = (self._tail + data[at : at + 3]).find(_END)
        if found >= 0:
            return self.take(min(most, found + 4 - len(self._tail)))
        found = data.find(_END, at)
        return self.take(min(most, found + 4 - at) if found >= 0 else most)
