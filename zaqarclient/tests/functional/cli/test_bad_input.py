"""Whatever is typed or piped in: a status, an explanation, never a traceback."""

from __future__ import annotations

import json

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from zaqarclient.queues.v2.cli.commands import COMMANDS
from zaqarclient.tests.functional.cli.conftest import Run

# The worker runs what it is given, so it is not given just anything.
ENDLESS = {"claim run", "consume", "message wait"}
NAMES = st.sampled_from(sorted(set(COMMANDS) - ENDLESS))

_TEXTS = ["-", "@", "@/etc", "--", "[]", "{}", "null", "a=b", "=", "0", "-1", ","]
_TEXTS += ["q"] * 5 + [
    "é",
    "NaN",
    "ID",
    "1e999",
    "",
    "9" * 30,
    "\udcff",
    "\0",
    "x" * 300,
    '[{"body": 1}]',
    '{"/a": {"exists": true}}',
    "http://h",
]
_OPTIONS = "limit marker all property filter ttl yes text body lines json-lines echo"
_OPTIONS += " claim-id client-id column sort-column message-ids name check"
_OPTIONS += " options message message-id since new post-header retry-policy"

ODD_WORDS = st.sampled_from([*_TEXTS, *(f"--{option}" for option in _OPTIONS.split())])

INPUTS = st.sampled_from([b"", b"x\n", b'{"body": 1}', b"\xff\xfe", b'"\\ud800"'])


@given(NAMES, st.lists(ODD_WORDS, max_size=5), INPUTS, st.booleans())
@settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_odd_words_end_in_a_status_and_one_explanation(
    zaqar: Run, name: str, words: list[str], stdin: bytes, as_json: bool
) -> None:
    output = ["-f", "json"] if as_json else []
    done = zaqar(*name.split(), *words, *output, stdin=stdin)
    assert done.status in {0, 1, 2, 3, 4, 5, 6, 8}
    assert "Traceback" not in done.err
    if done.status and not done.out:
        assert done.err.strip()
    # After "--" the format is a word like any other.
    if not done.status and as_json and "--" not in words:
        # What comes message by message is a document a line.
        tails = name.endswith("message tail")
        texts = done.out.splitlines() if tails else [done.out]
        assert all(isinstance(json.loads(text), list | dict) for text in texts)
