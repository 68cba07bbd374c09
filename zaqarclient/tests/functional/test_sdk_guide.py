"""The code of the SDK guide runs as it is written there."""

from __future__ import annotations

import ast
import re
import textwrap
from pathlib import Path
from typing import Any

import pytest

import zaqarclient as zq
from zaqarclient.queues.client import Client
from zaqarclient.tests.conftest import NOAUTH

GUIDE = Path(__file__).parents[3] / "doc" / "source" / "user" / "sdk.rst"


def blocks() -> list[str]:
    directive = r"^( *)\.\. code-block:: python\n\n((?:\1   .*\n|\n)+)"
    found = re.finditer(directive, GUIDE.read_text(), re.MULTILINE)
    return [textwrap.dedent(match.group(2)) for match in found]


class Stop(Exception):
    """Ends the endless loop of a worker."""


@pytest.fixture
def names(server: Any) -> Any:
    """The names that a reader of the guide has after its first lines."""
    with Client(server.url, conf=NOAUTH) as zaqar:
        yield {"zq": zq, "zaqar": zaqar, "queue": zaqar.queue("guide")}


def block_with(words: str) -> str:
    (block,) = [block for block in blocks() if words in block]
    return block


def test_all_code_of_the_guide_is_python() -> None:
    assert len(blocks()) > 5
    for block in blocks():
        compile(block, str(GUIDE), "exec")


def test_the_first_example_posts_two_messages(
    server: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    code = block_with("with zq.Client").replace("http://127.0.0.1:8888", server.url)
    exec(code, {})  # noqa: S102 - the guide's own code
    ids, free = capsys.readouterr().out.splitlines()
    assert len(ast.literal_eval(ids)) == 2
    assert int(free) >= 2


def test_the_worker_deletes_what_it_handled(names: Any) -> None:
    names["queue"].post([{"body": number} for number in range(3)])
    seen: list[int] = []

    def handle(body: int) -> None:
        if body == 2:
            raise Stop
        seen.append(body)

    exec(block_with("def work"), names)  # noqa: S102 - the guide's own code
    with pytest.raises(Stop):
        names["work"](names["queue"], handle)
    assert seen == [0, 1]
    assert names["queue"].stats["messages"]["total"] == 1
    names["queue"].delete()


def test_lists_and_metadata_are_read_and_changed(names: Any) -> None:
    names["queue"].ensure_exists(force_create=True)
    exec(block_with("for message in queue.messages"), names)  # noqa: S102
    exec(block_with("patch_metadata"), names)  # noqa: S102
    assert names["queue"].metadata(force_reload=True)["_max_claim_count"] == 3
    names["queue"].delete()


def test_a_line_is_lent_used_and_taken_back(
    server_factory: Any, names: dict[str, Any]
) -> None:
    server = server_factory(options="\n[signed_url]\nsecret_key = s3cret")
    exec(block_with("def line_for_builds"), names)  # noqa: S102 - the guide's own code
    with Client(server.url, conf=NOAUTH) as zaqar:
        queue = zaqar.queue("builds")
        line = names["line_for_builds"](zaqar, queue)
        with Client(line) as guest:
            guest.queue("builds").post({"body": "done"})
        assert next(queue.pop()).body == "done"
        names["take_back"](queue)
        assert [known["revoked"] for known in queue.signed_urls()] == [True]


def test_quotas_are_printed(
    names: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    exec(block_with("zaqar.quotas"), names)  # noqa: S102 - the guide's own code
    assert "'limit': -1" in capsys.readouterr().out
