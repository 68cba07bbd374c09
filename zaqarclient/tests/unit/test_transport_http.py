"""The HTTP transport: URLs, headers, errors, retries, timeouts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from unittest import mock

import pytest
import requests

from zaqarclient import errors as base_errors
from zaqarclient.queues.v2.client import Client
from zaqarclient.tests.http_stub import Answer, HttpStub
from zaqarclient.tests.transport.api import FakeApi
from zaqarclient.transport import errors
from zaqarclient.transport import request as request_module
from zaqarclient.transport.api import Retry
from zaqarclient.transport.http import HttpTransport
from zaqarclient.transport.request import Request


@pytest.fixture
def transport() -> Iterator[HttpTransport]:
    transport = HttpTransport({})
    transport.sleep = mock.Mock()
    yield transport
    transport.close()


@pytest.fixture
def sent(transport: HttpTransport) -> Iterator[mock.Mock]:
    """The one call that the transport makes of its client."""
    reply = requests.Response()
    reply.status_code = 200
    reply._content = b"{}"
    with mock.patch.object(
        transport.client, "request", autospec=True, return_value=reply
    ) as request:
        yield request


def test_a_bare_url_is_fetched_as_it_is(
    transport: HttpTransport, sent: mock.Mock
) -> None:
    """Section 21: the shape of ``HttpTransport.client.request``."""
    transport.send(Request("http://example.org/", params={"name": "Sauron"}))
    sent.assert_called_once_with(
        "GET",
        url="http://example.org/",
        params={"name": "Sauron"},
        headers={"content-type": "application/json"},
        data=None,
        verify=True,
    )


def test_arguments_of_the_path_are_quoted_and_the_rest_is_the_query(
    transport: HttpTransport, sent: mock.Mock
) -> None:
    request = Request("http://example.org", operation="test_operation")
    request._api = FakeApi()
    request.params = {"name": "Bil/bo", "address": "Bag End"}
    transport.send(request)
    assert sent.call_args.kwargs["url"] == "http://example.org/v2/test/Bil%2Fbo"
    assert sent.call_args.kwargs["params"] == {"address": "Bag End"}
    assert request.params == {"name": "Bil/bo", "address": "Bag End"}


def test_several_values_in_a_path_are_joined_by_commas(
    transport: HttpTransport, sent: mock.Mock
) -> None:
    request = Request("http://example.org", operation="test_operation")
    request._api = FakeApi()
    request.params = {"name": ["a", "b c"]}
    transport.send(request)
    assert sent.call_args.kwargs["url"] == "http://example.org/v2/test/a,b%20c"


def test_a_missing_argument_of_the_path_is_named(transport: HttpTransport) -> None:
    request = Request("http://example.org", operation="test_operation")
    request._api = FakeApi()
    with pytest.raises(base_errors.InvalidOperation, match="needs the argument name"):
        transport.send(request)


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://example.org",
        "http://example.org/",
        "http://example.org/v2",
        "http://example.org/v2/",
        "http://example.org/v2.0",
    ],
)
@pytest.mark.parametrize("prefix", ["", "/v2/", "v2/"])
def test_endpoint_and_path_are_joined_with_one_version(
    endpoint: str, prefix: str, transport: HttpTransport, sent: mock.Mock
) -> None:
    transport.send(Request(endpoint, ref=f"{prefix}queues?limit=2", api=2))
    assert sent.call_args.kwargs["url"] == "http://example.org/v2/queues?limit=2"


def test_an_endpoint_below_a_path_keeps_it() -> None:
    root = request_module.service_root
    assert root("https://cloud/messaging/v2/") == "https://cloud/messaging"
    assert root("https://cloud/messaging/") == "https://cloud/messaging/"


@pytest.mark.parametrize(
    ("verify", "cert", "expected"),
    [(True, None, True), (True, "/ca.pem", "/ca.pem"), (False, "/ca.pem", False)],
)
def test_the_certificate_is_checked_as_the_request_says(
    verify: bool,
    cert: str | None,
    expected: object,
    transport: HttpTransport,
    sent: mock.Mock,
) -> None:
    transport.send(Request("https://example.org", verify=verify, cert=cert))
    assert sent.call_args.kwargs["verify"] == expected


def test_headers_of_the_request_are_sent_and_not_changed(
    transport: HttpTransport, sent: mock.Mock
) -> None:
    request = Request("http://example.org", headers={"Content-Type": "text/x"})
    transport.send(request)
    assert sent.call_args.kwargs["headers"] == {"Content-Type": "text/x"}
    plain = Request("http://example.org")
    transport.send(plain)
    assert plain.headers == {}


STATUSES = [
    (400, errors.MalformedRequest),
    (401, errors.UnauthorizedError),
    (403, errors.ForbiddenError),
    (404, errors.ResourceNotFound),
    (405, errors.MethodNotAllowed),
    (406, errors.NotAcceptable),
    (409, errors.ConflictError),
    (413, errors.PayloadTooLarge),
    (415, errors.UnsupportedMediaType),
    (418, errors.RequestRefused),
    (429, errors.TooManyRequests),
    (500, errors.InternalServerError),
    (501, errors.ServerFault),
    (502, errors.BadGateway),
    (503, errors.ServiceUnavailableError),
    (504, errors.GatewayTimeout),
]


@pytest.mark.parametrize(("status", "expected"), STATUSES)
def test_every_status_from_400_is_an_error_of_its_class(
    status: int, expected: type[errors.TransportError], client: Client, stub: HttpStub
) -> None:
    """Acceptance 3: the exact class."""
    stub.default = Answer(
        status,
        {"title": "Invalid API request", "description": "Limit must be positive."},
        {"X-OpenStack-Request-ID": "req-7"},
    )
    with pytest.raises(errors.TransportError) as caught:
        client.queues()
    error = caught.value
    assert type(error) is expected
    assert type(error) in vars(errors).values()
    assert isinstance(error, base_errors.ZaqarError)
    assert error.title == "Invalid API request"
    assert error.description == "Limit must be positive."
    assert (error.status, error.request_id, error.text) == (status, "req-7", None)
    assert str(error).endswith(
        " Title: Invalid API request. Description: Limit must be positive."
    )


@pytest.mark.parametrize("status", [200, 201, 204, 299])
def test_a_status_of_success_is_no_error(status: int) -> None:
    assert errors.error_class(status) is None


@pytest.mark.parametrize("status", [0, 101, 300, 301, 302, 304, 307, 399])
def test_a_status_that_no_operation_has_is_an_error(status: int) -> None:
    assert errors.error_class(status) is errors.UnexpectedAnswer


def _is_error(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, base_errors.ZaqarError)


@pytest.mark.parametrize(
    "error", [kind for _, kind in sorted(vars(errors).items()) if _is_error(kind)]
)
def test_every_error_can_be_made_without_arguments(error: Any) -> None:
    made = error()
    if isinstance(made, errors.TransportError):
        assert made.status == error.code
        assert str(made)


def test_an_answer_of_the_authentication_layer_is_read_too(
    client: Client, stub: HttpStub
) -> None:
    inner = {"code": 401, "title": "Unauthorized", "message": "Token expired"}
    stub.default = Answer(401, {"error": inner})
    with pytest.raises(errors.UnauthorizedError) as caught:
        client.queues()
    assert caught.value.title == "Unauthorized"
    assert caught.value.description == "Token expired"


@pytest.mark.parametrize("page", ["<html>no</html>", "[1]", '"x"', '{"a": 1}'])
def test_an_answer_of_another_shape_is_kept_as_text(
    page: str, client: Client, stub: HttpStub
) -> None:
    stub.default = Answer(403, page)
    with pytest.raises(errors.ForbiddenError) as caught:
        client.queues()
    assert caught.value.text == page
    assert caught.value.title is None


def test_an_api_without_own_rule_repeats_what_its_method_allows() -> None:
    class PostApi(FakeApi):
        schema = {"act": {"ref": "act", "method": "POST"}}  # noqa: RUF012

    assert FakeApi().retry("test_operation", {}) is Retry.SAFE
    assert PostApi().retry("act", {}) is Retry.UNACCEPTED
    with pytest.raises(base_errors.InvalidOperation, match="no operation 'dance'"):
        PostApi().retry("dance", {})


def test_validation_is_by_the_schema_of_the_operation_and_api() -> None:
    class OtherApi(FakeApi):
        schema = {  # noqa: RUF012
            "test_operation": {"ref": "x", "properties": {"age": {"type": "integer"}}}
        }

    assert FakeApi().validate("test_operation", {"name": "Sauron"})
    assert not FakeApi().validate("test_operation", {})
    assert not FakeApi().validate("test_operation", {"name": 1})
    assert OtherApi().validate("test_operation", {"age": 1})
    assert not OtherApi().validate("test_operation", {"name": "Sauron"})
    assert FakeApi().is_supported("test_operation")
    assert not FakeApi().is_supported("dance")
    with pytest.raises(base_errors.InvalidOperation):
        FakeApi().validate("dance", {})


def test_a_request_is_validated_with_its_arguments_and_its_body() -> None:
    request = Request(api="v2", operation="claim_create")
    request.params = {"queue_name": "q", "limit": 1}
    request.content = '{"ttl": 60}'
    assert request.validate()
    request.content = '{"ttl": "long"}'
    assert not request.validate()
    assert Request().validate()
