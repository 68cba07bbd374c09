"""Programs written for version 1 of the API get a client that speaks version 2."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import pytest

from zaqarclient import errors
from zaqarclient.queues import client as factory
from zaqarclient.queues.v1 import client as v1_client
from zaqarclient.queues.v2 import client as v2_client
from zaqarclient.tests.conftest import NOAUTH
from zaqarclient.tests.http_stub import Answer, HttpStub

QUEUE = {"name": "orders", "href": "/v2/queues/orders"}


@pytest.fixture(autouse=True)
def said_nothing_yet() -> Iterator[None]:
    """As at the start of a program, and again after the test."""
    v1_client._warn.cache_clear()
    yield
    v1_client._warn.cache_clear()


@pytest.fixture
def quiet() -> Iterator[None]:
    """For tests that are not about the warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield


@pytest.mark.parametrize("version", [1, 1.0, 1.1, "1", "1.1", "v1.1"])
def test_the_factory_gives_version_one_a_client_that_speaks_two(
    version: object, quiet: None
) -> None:
    client = factory.Client("http://127.0.0.1:8888", version)
    assert type(client) is v1_client.Client
    assert client.api_version == 2


def test_a_program_is_warned_once() -> None:
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        for _ in range(3):
            v1_client.Client("http://127.0.0.1:8888", version=1.1)
        factory.Client("http://127.0.0.1:8888", version=1)
    (only,) = said
    assert only.category is DeprecationWarning
    assert "use zaqarclient.queues.client.Client(version=2)" in str(only.message)
    assert only.filename == __file__


def test_other_versions_are_unknown_here_too() -> None:
    for version in (3, -1, "x"):
        with pytest.raises(errors.ZaqarError, match="Unknown client version"):
            v1_client.Client(version=version)
    assert not issubclass(v2_client.Client, v1_client.Client)


def test_queues_are_no_pair(quiet: None, stub: HttpStub) -> None:
    stub.answers = [
        Answer(
            200,
            {
                "queues": [QUEUE],
                "links": [{"rel": "next", "href": "/v2/queues?marker=orders"}],
            },
        ),
        Answer(200, {"queues": [{**QUEUE, "name": "returns"}], "links": []}),
    ]
    with v1_client.Client(stub.url, 1.1, NOAUTH) as client:
        assert [queue.name for queue in client.iter_queues()] == ["orders", "returns"]
        stub.default = Answer(200, {"queues": [QUEUE], "links": []})
        assert [queue.name for queue in client.queues(limit=1)] == ["orders"]
    assert stub.calls() == [("GET", "/v2/queues")] * 3


def test_a_post_goes_to_version_two(quiet: None, stub: HttpStub) -> None:
    stub.default = Answer(201, {"resources": ["x"]})
    with v1_client.Client(stub.url, conf=NOAUTH) as client:
        client.queue("orders").post({"body": {"a": 1}, "ttl": 600})
    assert stub.calls() == [("POST", "/v2/queues/orders/messages")]
    assert stub.last.body == {"messages": [{"body": {"a": 1}, "ttl": 600}]}
