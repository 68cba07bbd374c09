"""A peer that makes the server log much does not fill the disk."""

import logging

import pytest
from zaqarserver.common.log import RepetitionFilter


@pytest.fixture
def clock():
    return [0.0]


@pytest.fixture
def lines(clock):
    """Log through the filter; what passes is put here."""
    seen = []
    handler = logging.Handler()
    handler.emit = lambda record: seen.append(record.getMessage())
    handler.addFilter(RepetitionFilter(3, lambda: clock[0]))
    logger = logging.getLogger("test-of-sparing")
    logger.propagate = False
    logger.addHandler(handler)
    yield seen
    logger.removeHandler(handler)


def complain(number):
    logging.getLogger("test-of-sparing").warning("bad peer %d", number)


def test_lines_of_one_place_are_bounded_each_second(lines):
    for number in range(1000):
        complain(number)
    assert lines == ["bad peer 0", "bad peer 1", "bad peer 2"]


def test_other_lines_pass_and_say_how_many_were_left_out(lines):
    for number in range(10):
        complain(number)
    logging.getLogger("test-of-sparing").warning("something else")
    assert lines[3:] == ["something else (7 lines before left out)"]


def test_the_next_second_has_lines_again(lines, clock):
    for number in range(10):
        complain(number)
    clock[0] = 1.0
    complain(11)
    complain(12)
    assert lines[3:] == ["bad peer 11 (7 lines before left out)", "bad peer 12"]
