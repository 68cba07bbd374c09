"""Unknown names: what is close to them, and how they are reported."""

from __future__ import annotations

import warnings
from typing import Any

import pytest

from zaqarclient import names


@pytest.mark.parametrize(
    ("known", "given", "meant"),
    [
        (names.MESSAGE, "tll", "ttl"),
        (names.MESSAGE, "TTL", "ttl"),
        (names.SUBSCRIPTION_OPTIONS, "frm", "from"),
        (names.METADATA, "_ttl", "_default_message_ttl"),
        (names.METADATA, "_max_claims", "_max_claim_count"),
        (names.CONF, "timeuot", "timeout"),
        (names.RETRY_POLICY, "max_delay", "maximum_delay"),
    ],
)
def test_a_mistyped_name_gets_the_one_that_is_meant(
    known: names.KnownNames, given: str, meant: str
) -> None:
    (problem,) = known.problems([given])
    assert problem == f"unknown {known.kind} {given!r}: did you mean {meant!r}?"


def test_a_name_like_no_other_gets_those_that_there_are() -> None:
    (problem,) = names.MESSAGE.problems({"body": 1, "xyz": 2})
    assert problem == ("unknown member of a message 'xyz': known are body, delay, ttl")


@pytest.mark.parametrize(
    ("known", "given"),
    [
        (names.MESSAGE, {"body": 1, "ttl": 60, "delay": 0}),
        (names.METADATA, {"colour": "red", "_flavor": "fast"}),
        (names.SUBSCRIPTION_OPTIONS, {"filter": {}, "post_data": ""}),
    ],
)
def test_known_names_and_those_chosen_freely_are_no_problem(
    known: names.KnownNames, given: dict[str, Any]
) -> None:
    assert known.problems(given) == []


def test_a_warning_is_of_the_line_that_calls_the_package() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        names.MESSAGE.warn(["tll"])
    (warning,) = caught
    assert warning.category is names.UnknownNameWarning
    assert warning.filename == __file__


class Sample:
    def plain(self, echo: bool = False, *, limit: int = 1) -> Any:
        return echo, limit

    @names.ignoring("group")
    def ignores(self, options: object = None) -> Any:
        return options

    @names.filtering
    def filters(self, *, limit: int = 1, filters: object = None) -> Any:
        return limit, filters


names.checked(Sample)


def test_a_keyword_that_is_not_known_is_refused_with_a_close_one() -> None:
    assert Sample().plain(True, limit=2) == (True, 2)
    with pytest.raises(TypeError, match=r"plain\(\).*'ecoh': did you mean 'echo'\?"):
        Sample().plain(ecoh=True)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="'xyz': known are echo, limit"):
        Sample().plain(xyz=True)  # type: ignore[call-arg]


def test_where_earlier_clients_ignore_keywords_they_are_warned_of() -> None:
    lenient: Any = Sample()
    assert lenient.ignores(options=1, group="old") == 1
    with pytest.warns(names.UnknownNameWarning, match="ignores the argument 'xyz'"):
        assert lenient.ignores(options=1, xyz=2) == 1
    with pytest.raises(TypeError, match="did you mean 'options'"):
        lenient.ignores(optoins=1)


def test_where_earlier_clients_take_filters_as_keywords_they_still_count() -> None:
    lenient: Any = Sample()
    with pytest.warns(DeprecationWarning, match="give the filters self, team as"):
        found = lenient.filters(self="me", team="x", filters={"a": 1})
    assert found == (1, {"self": "me", "team": "x", "a": 1})
    with pytest.raises(TypeError, match="did you mean 'limit'"):
        lenient.filters(limt=1)
