"""Progress of long work on a terminal."""

from __future__ import annotations

import io
from typing import Any

import pytest

from zaqarclient.queues.v2.cli.progress import Progress


class Clock:
    """A clock that is set by hand."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_bar_comes_with_share_count_rate_and_time_left(terminal: Any) -> None:
    stream, clock = terminal(), Clock()
    with Progress(stream, "messages", 1000, clock=clock) as progress:
        clock.now = 2.0
        progress.show(500, 250)
        shown = stream.getvalue()
    assert "25%" in shown
    assert "500 messages, 250/s" in shown
    assert "--:--" in shown  # not known yet
    assert stream.getvalue().endswith("\x1b[2K")


def test_the_bar_of_an_unknown_size_is_a_count(terminal: Any) -> None:
    stream, clock = terminal(), Clock()
    with Progress(stream, "queues", clock=clock) as progress:
        clock.now = 1.0
        progress.show(3)
    assert "3 queues, 3/s" in stream.getvalue()
    assert "%" not in stream.getvalue()


def test_short_work_shows_nothing(terminal: Any) -> None:
    stream, clock = terminal(), Clock()
    with Progress(stream, "queues", 3, clock=clock) as progress:
        assert list(progress.over("abc")) == ["a", "b", "c"]
    assert stream.getvalue() == ""


def test_the_line_is_not_drawn_all_the_time(terminal: Any) -> None:
    stream, clock = terminal(), Clock()
    with Progress(stream, "queues", clock=clock) as progress:
        clock.now = 1.0
        for count in range(100):
            progress.show(count)
        drawn = stream.getvalue()
    assert "0 queues" in drawn
    assert "1 queues" not in drawn


def test_a_hidden_line_comes_again(terminal: Any) -> None:
    stream, clock = terminal(), Clock()
    with Progress(stream, "queues", clock=clock) as progress:
        clock.now = 1.0
        progress.show(1)
        progress.hide()
        assert stream.getvalue().endswith("\x1b[2K")
        clock.now = 2.0
        progress.show(2)
        assert "2 queues" in stream.getvalue()


@pytest.mark.parametrize("wanted", [True, False])
def test_progress_is_silent_elsewhere(terminal: Any, wanted: bool) -> None:
    stream, clock = io.StringIO() if wanted else terminal(), Clock()
    with Progress(stream, "queues", 1000, wanted=wanted, clock=clock) as progress:
        clock.now = 5.0
        progress.show(5)
    assert stream.getvalue() == ""
