"""Answers of any shape at every command: a line that says so, in plain words."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from zaqarclient.queues.v2.cli.commands import COMMANDS
from zaqarclient.tests.functional.cli.conftest import Run
from zaqarclient.tests.http_stub import Answer, HttpStub

ARGUMENTS = {
    "claim query": "q c",
    "claim release": "q c",
    "claim renew": "q c",
    "flavor create": "f --pool-list p",
    "flavor update": "f --pool-list p",
    "message delete": "q m",
    "message post": "q 1",
    "message show": "q m",
    "pool create": "p sqlite:///x 1",
    "pool update": "p --pool-weight 3",
    "queue purge": "q --yes",
    "queue delete": "q --yes",
    "queue set": "q --property a=1",
    "message bury": "q m --claim-id c",
    "message release": "q m --claim-id c",
    "queue set metadata": "q {}",
    "queue signed url revoke": "q s",
    "queue unset": "q --property a",
    "subscription confirm": "q s",
    "subscription create": "q http://h 60",
    "subscription delete": "q s",
    "subscription explain": "q s --message {}",
    "subscription show": "q s",
    "subscription update": "q s --ttl 60",
}
#: They take one name, or nothing.
BARE = {"queue list", "topic list", "pool list", "flavor list", "quota show"} | {
    "limits",
    "ping",
    "health",
    "homedoc",
}
# They wait for more, or write files.
LEFT_OUT = {
    *("message tail", "topic message tail", "claim run", "consume", "queue import"),
    "message wait",
}

#: The words of the interpreter where a program has run into an answer.
PYTHON = re.compile(
    r"object is not|has no attribute|indices must|unhashable|not supported between"
    r"|Traceback|unpack|expected str|NoneType|required positional|must be str|got an"
)

LEAVES = st.sampled_from([None, True, 0, -1, 1.5, "", "x", [], {}])
MEMBERS = st.sampled_from(
    (  # noqa: SIM905 - shorter so
        "queues topics messages links resources subscriptions subscription_id pools "
        "flavors signed_urls rel href name id body ttl age source subscriber options "
        "metadata free total claimed oldest newest quotas rate limit used pool_list "
        "moved running error paths methods expires signature project"
    ).split()
)
DOCUMENTS = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(MEMBERS, inner, max_size=6)
    ),
    max_leaves=12,
)


@pytest.fixture(scope="module")
def stub() -> Iterator[HttpStub]:
    with HttpStub().running() as running:
        yield running


@given(st.sampled_from(sorted(set(COMMANDS) - LEFT_OUT)), DOCUMENTS)
@settings(
    max_examples=400,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_no_answer_makes_a_command_speak_python(
    zaqar: Run, stub: HttpStub, tmp_path_factory, name: str, document: object
) -> None:
    stub.default = Answer(200, document)
    words = ARGUMENTS.get(name, ARGUMENTS.get(name.replace("topic ", "", 1), "q"))
    if name.startswith("topic ") and name.count(" ") == 1:
        words = ARGUMENTS.get(name.replace("topic", "queue"), words)
    if name == "queue export":
        words = f"q {tmp_path_factory.mktemp('export')}/file"
    arguments = [] if name in BARE else words.split()
    done = zaqar("--os-queues-endpoint", stub.url, *name.split(), *arguments)
    assert "usage:" not in done.err, done.err
    assert PYTHON.search(done.err) is None, (name, document, done.err)
    assert done.status in {0, 1, 3, 69}
    assert done.status == 0 or done.err or done.out
