"""A progress line for long posts, on a terminal."""

import time
from collections.abc import Callable
from typing import Final, TextIO

#: The line is rewritten no more often than this, in seconds.
_PERIOD: Final = 0.1

_BAR: Final = 24


class Progress:
    """Progress of a post; silent unless the stream is a terminal.

    Args:
        stream: Where to write, the error stream of the program.
        total: Size of the input in bytes, None if it is not known.
        wanted: False keeps it silent anyway.
        clock: Returns the time, in seconds.
    """

    def __init__(
        self,
        stream: TextIO,
        total: int | None = None,
        *,
        wanted: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stream = stream
        self._total = total
        self._shown = wanted and stream.isatty()
        self._clock = clock
        self._began = clock()
        self._next = self._began

    def show(self, messages: int, size: int) -> None:
        """Show how many messages and bytes are posted so far."""
        now = self._clock()
        if self._shown and now >= self._next:
            self._next = now + _PERIOD
            rate = messages / max(now - self._began, 0.001)
            self._stream.write(
                f"\r{self._bar(size)}{messages:,} messages, {rate:,.0f}/s\033[K"
            )
            self._stream.flush()

    def close(self) -> None:
        """Clear the line."""
        if self._shown:
            self._stream.write("\r\033[K")
            self._stream.flush()

    def _bar(self, size: int) -> str:
        if not self._total:
            return ""
        share = min(size / self._total, 1.0)
        done = round(share * _BAR)
        return f"[{'#' * done}{'.' * (_BAR - done)}] {share:4.0%}  "
