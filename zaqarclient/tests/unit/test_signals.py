"""SIGTERM as an exception."""

from __future__ import annotations

import signal
import threading

import pytest

from zaqarclient.common.signals import Terminated, sigterm_raises


def test_sigterm_is_an_interrupt_within_the_block_and_only_there() -> None:
    with pytest.raises(Terminated), sigterm_raises():
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    assert issubclass(Terminated, KeyboardInterrupt)


def test_a_handler_of_the_program_stays() -> None:
    came: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: came.append(number))
    try:
        with sigterm_raises():
            signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert came == [signal.SIGTERM]


def test_another_thread_is_left_alone() -> None:
    done: list[object] = []

    def work() -> None:
        with sigterm_raises():
            done.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == [signal.SIG_DFL]
