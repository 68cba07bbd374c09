"""The connection of the program where no identity service is asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from zaqarclient.shell.connection import PlainConnection
from zaqarclient.tests.http_stub import Answer, HttpStub, Seen

Run = Callable[..., Any]

POSTED = {"resources": ["/v2/queues/q/messages/m"]}
SIGNED = (
    "zaqar+{url}/v2/queues/q?project=4f2a&paths=messages&methods=GET,POST"
    "&expires=2031-03-03T09:00:00&signature=5ef3ebc4"
)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_followed_with_the_same_method_and_body(
    status: int, run: Run, stub: HttpStub
) -> None:
    def redirect(seen: Seen) -> Answer:
        if seen.path.startswith("/there"):
            return Answer(201, POSTED)
        return Answer(status, {}, {"Location": f"/there{seen.path}"})

    stub.default = redirect
    words = ("--os-queues-endpoint", stub.url, "message", "post", "q", "1")
    assert run(*words, "-f", "value").out == "m\n"
    assert (stub.last.method, stub.last.body) == ("POST", {"messages": [{"body": 1}]})


def test_each_request_is_timed(stub: HttpStub) -> None:
    stub.default = Answer(200, {})
    seen: list[tuple[str, str, float]] = []
    connection = PlainConnection(seen.append)
    connection.request("GET", url=f"{stub.url}/v2/ping", headers={})
    connection.close()
    ((method, url, seconds),) = seen
    assert (method, url) == ("GET", f"{stub.url}/v2/ping")
    assert 0 < seconds < 60


def test_redirects_in_a_circle_end_in_an_error(run: Run, stub: HttpStub) -> None:
    stub.default = Answer(302, {}, {"Location": f"{stub.url}/again"})
    done = run("--os-queues-endpoint", stub.url, "queue", "list")
    assert (done.status, done.out) == (1, "")
    assert "302" in done.err
    assert len(stub.seen) == 31


def test_debug_shows_requests_and_answers_without_the_signature(
    run: Run, stub: HttpStub
) -> None:
    stub.default = Answer(201, POSTED, {"X-OpenStack-Request-ID": "req-7"})
    words = ("--debug", "--signed-url", SIGNED.format(url=stub.url))
    done = run(*words, "message", "post", "q", "1")
    assert "curl -g -i -X POST" in done.err
    assert "req-7" in done.err
    assert str(POSTED["resources"][0]) in done.err
    assert stub.last.headers["url-signature"] == "5ef3ebc4"
    assert "5ef3ebc4" not in done.err
