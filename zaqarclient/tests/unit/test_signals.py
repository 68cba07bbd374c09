"""SIGTERM as an exception, and signals that wait for the end of a step."""

from __future__ import annotations

import signal
import threading

import pytest

from zaqarclient.common.signals import Terminated, signals_held, sigterm_raises


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
        with sigterm_raises(), signals_held():
            done.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == [signal.SIG_DFL]


@pytest.mark.parametrize(
    ("number", "error"),
    [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Terminated)],
)
def test_a_signal_waits_for_the_end_of_a_step(
    number: int, error: type[BaseException]
) -> None:
    ended: list[bool] = []

    def work() -> None:
        with sigterm_raises(), signals_held():
            signal.raise_signal(number)
            ended.append(True)

    with pytest.raises(error):
        work()
    assert ended
