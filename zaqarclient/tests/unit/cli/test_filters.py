"""Subscription filters, against the samples that the server is held against too."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zaqarclient.queues.v2.cli.filters import MISSING, Filter, FilterError

SAMPLES = json.loads(
    (Path(__file__).parents[2] / "golden" / "filters.json").read_text(encoding="utf-8")
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


def about(sample: dict[str, Any]) -> str:
    return str(sample["about"])


@pytest.mark.parametrize("sample", SAMPLES["matching"], ids=about)
def test_conditions_hold_as_the_samples_say(sample: dict[str, Any]) -> None:
    checked = Filter(sample["filter"])
    verdicts = list(checked.explain(sample["body"]))
    assert [verdict.holds for verdict in verdicts] == sample["holds"]
    assert checked.matches(sample["body"]) == all(sample["holds"])


@pytest.mark.parametrize("sample", SAMPLES["refused"], ids=about)
def test_what_is_no_filter_is_refused_with_the_part_that_is_wrong(
    sample: dict[str, Any],
) -> None:
    with pytest.raises(FilterError) as refused:
        Filter(sample["filter"])
    assert sample.get("names", "filter") in str(refused.value)


def test_a_filter_has_32_conditions_at_most() -> None:
    full = {f"/{number}": {"exists": False} for number in range(32)}
    assert Filter(full).matches({})
    with pytest.raises(FilterError, match="1 to 32 conditions, not 33"):
        Filter({**full, "/more": {"exists": False}})


@pytest.mark.parametrize(
    "condition",
    [{"prefix": "x" * 1025}, {"equals": "x" * 1025}, {"any_of": [0] * 101}],
)
def test_operands_are_bounded(condition: dict[str, Any]) -> None:
    with pytest.raises(FilterError, match="'/a'"):
        Filter({"/a": condition})


def test_numbers_of_any_size_compare() -> None:
    assert Filter({"/a": {"above": 10**400}}).matches({"a": 10**401})
    assert not Filter({"/a": {"above": 1.5}}).matches({"a": -(10**400)})


def test_an_explanation_names_the_condition_and_what_was_found() -> None:
    (first, second) = Filter({"/a/0": {"below": 5, "exists": False}}).explain(
        {"a": [7]}
    )
    assert first.condition == ("/a/0", "below", 5)
    assert (first.found, second.found) == (7, 7)
    (missing,) = Filter({"/b": {"exists": False}}).explain({"a": 1})
    assert missing.found is MISSING


@given(JSON, JSON)
def test_any_json_is_a_filter_or_refused_and_any_body_can_be_asked(
    raw: Any, body: Any
) -> None:
    try:
        checked = Filter(raw)
    except FilterError:
        return
    assert checked.matches(body) in {True, False}


@given(
    st.sampled_from(["equals", "any_of", "prefix", "at_least", "exists"]), JSON, JSON
)
def test_conditions_never_fail_on_a_body(
    operator: str, operand: Any, body: Any
) -> None:
    try:
        checked = Filter({"/a": {operator: operand}})
    except FilterError:
        return
    assert checked.matches({"a": body}) in {True, False}
