"""Calls of operations, without any wire."""

from __future__ import annotations

import pytest

from zaqarclient.errors import AuthenticationFailed
from zaqarclient.queues.v2 import calls, core
from zaqarclient.queues.v2.calls import Calls
from zaqarclient.transport import errors
from zaqarclient.transport.base import Transport
from zaqarclient.transport.request import Request
from zaqarclient.transport.response import Response


class Script(Transport):
    """Plays answers, and notes the requests."""

    def __init__(self, *answers: Response | Exception) -> None:
        super().__init__()
        self.answers = list(answers)
        self.requests: list[Request] = []

    def prepare(self) -> tuple[Request, Transport]:
        return Request(), self

    def send(self, request: Request) -> Response:
        self.requests.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def calls_of(*answers: Response | Exception) -> Calls:
    return Calls(Script(*answers).prepare)


def test_each_call_gets_a_request_of_its_own() -> None:
    script = Script(
        Response(None, '{"a": 1}'),
        errors.ResourceNotFound(),
        Response(None, None),
        Response(None, '{"b": 2}'),
    )
    assert calls.replace_metadata(Calls(script.prepare), "q", {"b": 2}) == {"b": 2}
    assert len({id(request) for request in script.requests}) == 4
    assert [request.operation for request in script.requests] == [
        "queue_get",
        "queue_update",
        "queue_create",
        "queue_update",
    ]
    assert script.requests[0].content is None


def test_a_failure_that_a_call_does_not_expect_reaches_the_caller() -> None:
    failure = errors.ForbiddenError()
    with pytest.raises(errors.ForbiddenError) as caught:
        calls.queue_exists(calls_of(failure), "q")
    assert caught.value is failure


@pytest.mark.parametrize(
    "failure", [errors.BadGateway(), errors.NetworkError(), OSError("no wire")]
)
def test_a_ping_that_fails_in_any_way_means_no(failure: Exception) -> None:
    assert calls.ping(calls_of(failure)) is False


def test_a_ping_without_usable_credentials_says_so() -> None:
    with pytest.raises(AuthenticationFailed):
        calls.ping(calls_of(AuthenticationFailed("expired")))


def test_what_no_call_expects_reaches_the_caller_as_it_is() -> None:
    failure = OSError("no wire")
    with pytest.raises(OSError, match="no wire") as caught:
        calls_of(failure)("health")
    assert caught.value is failure


def test_the_whole_body_of_a_post_may_be_given() -> None:
    script = Script(Response(None, '{"resources": []}'))
    request = Request()
    body = {"messages": [{"body": 1}]}
    core.message_post(script, request, "q", body)
    assert request.content == '{"messages": [{"body": 1}]}'
    assert request.params == {"queue_name": "q"}
