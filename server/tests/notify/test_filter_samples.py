"""Filters mean what the samples say that the client is held against too."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from zaqarserver.errors import BadRequest
from zaqarserver.subscribers.filters import compile_filter

ROOT = Path(__file__).parents[3]
SAMPLES = json.loads(
    (ROOT / "zaqarclient/tests/golden/filters.json").read_text(encoding="utf-8")
)


def about(sample: dict[str, Any]) -> str:
    return str(sample["about"])


@pytest.mark.parametrize("sample", SAMPLES["matching"], ids=about)
def test_conditions_hold_as_the_samples_say(sample: dict[str, Any]) -> None:
    compiled = compile_filter(sample["filter"])
    body = json.dumps(sample["body"]).encode()
    assert [verdict.holds for verdict in compiled.explain(body)] == sample["holds"]
    assert compiled.matches(body) == all(sample["holds"])


@pytest.mark.parametrize("sample", SAMPLES["refused"], ids=about)
def test_what_is_no_filter_is_refused_with_the_part_that_is_wrong(
    sample: dict[str, Any],
) -> None:
    with pytest.raises(BadRequest) as refused:
        compile_filter(sample["filter"])
    assert sample.get("names", "filter") in str(refused.value)
