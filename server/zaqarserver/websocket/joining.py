"""A transport whose writes are joined."""

from __future__ import annotations

import asyncio
from typing import Any


class JoiningTransport:
    """A transport that can join the writes of one turn of the loop.

    While several requests are served concurrently, their answers leave in one system
    call. A single answer is written at once.
    """

    __slots__ = ("_loop", "_parts", "joins", "plain")

    def __init__(
        self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop
    ) -> None:
        self.plain = transport
        self.joins = False
        self._loop = loop
        self._parts: list[bytes] = []

    def is_closing(self) -> bool:
        """Return True if nothing can be written any more."""
        return self.plain.is_closing()

    def write(self, data: bytes) -> None:
        """Write now, or at the end of this turn of the loop."""
        if self.plain.is_closing():
            return
        if self._parts:
            self._parts.append(data)
        elif self.joins:
            self._parts.append(data)
            self._loop.call_soon(self.flush)
        else:
            self.plain.write(data)

    def flush(self) -> None:
        """Write the joined data."""
        if self._parts:
            parts, self._parts = self._parts, []
            if not self.plain.is_closing():
                self.plain.write(b"".join(parts))

    def close(self) -> None:
        """Write the joined data, then close."""
        self.flush()
        self.plain.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.plain, name)
