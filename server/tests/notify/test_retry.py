"""Retry policies against the tables of the contract (``notifications`` 6)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zaqarserver.errors import BadRequest
from zaqarserver.subscribers.retry import (
    DEFAULT,
    RetryPolicy,
    check_policy,
    choose,
    schedule,
)

FUNCTIONS = ("linear", "arithmetic", "geometric", "exponential")


def backoff(function, low, high):
    """Return the backoff part of the schedule alone."""
    return list(
        schedule(
            RetryPolicy(
                retries_with_no_delay=0,
                minimum_delay_retries=0,
                maximum_delay_retries=0,
                minimum_delay=low,
                maximum_delay=high,
                retry_backoff_function=function,
            )
        )
    )


@pytest.mark.parametrize(
    ("function", "low", "high", "waits"),
    [
        ("exponential", 10, 60, "10 12 14 18 22 27 33 40 49 60"),
        ("geometric", 20, 80, "20 22 25 29 33 37 42 48 54 62 70 80"),
        ("arithmetic", 30, 100, "30 30 32 34 37 41 46 51 57 64 72 80 90 100"),
        ("linear", 5, 30, "5 10 15 20 25"),
        ("geometric", 5, 30, "5 7 12 19 30"),
        ("exponential", 5, 30, "5 7 12 19 30"),
        ("arithmetic", 5, 30, "5 7 12 20 30"),
        ("geometric", 30, 100, "30 32 36 39 43 47 52 57 62 69 75 83 91 99"),
        ("arithmetic", 7, 40, "7 9 13 20 29 40"),
        ("arithmetic", 5, 15, "5 15"),
        ("geometric", 5, 15, "5 15"),
        ("exponential", 5, 15, "5 15"),
        ("linear", 5, 16, "5 10 15"),
    ],
)
def test_backoff_follows_the_table(function, low, high, waits):
    assert backoff(function, low, high) == [int(wait) for wait in waits.split()]


def test_the_default_is_fourteen_retries_over_three_minutes():
    waits = list(schedule(DEFAULT))
    assert waits == [0, 0, 0, 5, 5, 5, 5, 10, 15, 20, 25, 30, 30, 30]
    assert sum(waits) == 180


def test_a_schedule_ends_where_it_says():
    waits = schedule(DEFAULT)
    assert waits[3:5] == [5, 5]
    with pytest.raises(IndexError):
        waits[len(waits)]


def test_a_policy_of_many_retries_costs_no_memory():
    waits = schedule(RetryPolicy(maximum_delay=2**31 - 1))
    assert len(waits) == 9 + 429496729
    assert waits[len(waits) - 1] == 2**31 - 1


@given(
    function=st.sampled_from(FUNCTIONS),
    low=st.integers(1, 100_000),
    spread=st.integers(10, 2_000),
)
def test_waits_grow_and_stay_within_the_delays(function, low, spread):
    waits = backoff(function, low, low + spread)
    assert waits == sorted(waits)
    # An exponential start may be truncated to one below the minimum.
    assert low - 1 <= waits[0]
    assert waits[-1] <= low + spread


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ([], "retry_policy must be a dict."),
        ("x", "retry_policy must be a dict."),
        ({"retry_backoff_function": 1}, "retry_backoff_function must be a string."),
        ({"retry_backoff_function": "x"}, "invalid retry_backoff_function."),
        (
            {"ignore_subscription_override": "yes"},
            "ignore_subscription_override must be a boolean.",
        ),
        ({"minimum_delay": "1"}, "Retry policy: minimum_delay must be a integer."),
        ({"minimum_delay": None}, "Retry policy: minimum_delay must be a integer."),
        ({"maximum_delay": True}, "Retry policy: maximum_delay must be a integer."),
        ({"retries_with_no_delay": -1}, "retries_with_no_delay must be from 0"),
        ({"minimum_delay": 50}, "minimum_delay must less than maximum_delay."),
        ({"minimum_delay": 25}, "invalid minimum_delay and maximum_delay."),
        (
            {"minimum_delay": 0, "retry_backoff_function": "geometric"},
            "minimum_delay must be at least 1",
        ),
    ],
)
def test_a_policy_that_cannot_be_followed_is_refused(raw, text):
    with pytest.raises(BadRequest) as caught:
        check_policy(raw)
    assert text in caught.value.description


def test_unknown_members_are_ignored_and_missing_ones_have_their_defaults():
    assert check_policy({"colour": "red"}) == DEFAULT
    assert check_policy({}) == DEFAULT
    assert check_policy({"minimum_delay": 7}) == RetryPolicy(minimum_delay=7)


OF_QUEUE = {"minimum_delay": 11}
OF_SUBSCRIPTION = {"minimum_delay": 12}
OVERRIDE = {"ignore_subscription_override": True}


@pytest.mark.parametrize(
    ("queue", "subscription", "minimum"),
    [
        (None, None, 5),
        (OF_QUEUE, None, 11),
        (None, OF_SUBSCRIPTION, 12),
        (OF_QUEUE, OF_SUBSCRIPTION, 12),
        (OF_QUEUE | OVERRIDE, OF_SUBSCRIPTION, 11),
        (OF_QUEUE, OF_SUBSCRIPTION | OVERRIDE, 11),
        (None, OF_SUBSCRIPTION | OVERRIDE, 5),
        ({}, {}, 5),
        (OF_QUEUE, {"minimum_delay": "broken"}, 11),
        ("broken", None, 5),
    ],
)
def test_the_subscription_wins_unless_either_side_says_otherwise(
    queue, subscription, minimum
):
    assert choose(queue, subscription).minimum_delay == minimum


def test_the_chosen_policy_is_used_whole():
    chosen = choose({"maximum_delay": 99}, OF_SUBSCRIPTION)
    assert chosen.maximum_delay == DEFAULT.maximum_delay
