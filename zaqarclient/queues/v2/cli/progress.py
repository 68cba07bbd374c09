"""Progress of long work, on the error stream of a terminal."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, Self, TextIO, TypeVar

from zaqarclient.queues.v2.cli.terminal import is_terminal

T = TypeVar("T")

#: Work that is done sooner, in seconds, shows no progress.
_GRACE: Final = 0.5

#: The line is drawn no more often than this, in seconds.
_PERIOD: Final = 0.1


class Progress:
    """A line with a bar, a count, a rate and the time left; gone at the end.

    Args:
        stream: Where to draw: nothing is shown unless it is a terminal.
        what: What is counted, such as ``messages``.
        total: The size of the whole, None if it is not known: then there is no bar.
        wanted: False shows nothing.
        clock: Returns the time, in seconds.
    """

    def __init__(
        self,
        stream: TextIO,
        what: str,
        total: int | None = None,
        *,
        wanted: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stream = stream
        self._what = what
        self._total = total or None
        self._shown = wanted and is_terminal(stream)
        self._clock = clock
        self._began = clock()
        self._next = self._began + _GRACE
        self._bar: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.hide()

    def hide(self) -> None:
        """Remove the line, until there is more to show: something else is printed."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def show(self, count: int, size: int | None = None) -> None:
        """Show how much is done.

        Args:
            count: How many are done.
            size: How much of the total that is; the count itself by default.
        """
        now = self._clock()
        if not self._shown or now < self._next:
            return
        self._next = now + _PERIOD
        self._bar = self._bar or self._drawn()
        rate = count / max(now - self._began, 0.001)
        (task,) = self._bar.task_ids
        self._bar.update(
            task,
            completed=count if size is None else size,
            done=f"{count:,} {self._what}, {rate:,.0f}/s",
            refresh=True,
        )

    def over(self, items: Iterable[T]) -> Iterator[T]:
        """Yield the items, and show how many are done."""
        for count, item in enumerate(items):
            self.show(count)
            yield item

    def _drawn(self) -> Any:
        from rich import progress  # noqa: PLC0415 - only for long work on a terminal
        from rich.console import Console  # noqa: PLC0415 - same

        columns: list[Any] = [progress.TextColumn("{task.fields[done]}")]
        if self._total:
            columns = [
                progress.BarColumn(24),
                progress.TaskProgressColumn(),
                *columns,
                progress.TimeRemainingColumn(compact=True),
            ]
        drawn = progress.Progress(
            *columns,
            console=Console(file=self._stream),
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        drawn.add_task("", total=self._total, done="")
        drawn.start()
        return drawn
