"""A pause that a push of the service ends, over a real connection."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from zaqarclient.queues.v2.cli.paging import PushPause
from zaqarclient.queues.v2.client import Client
from zaqarclient.tests.functional.cli.conftest import Run
from zaqarclient.transport import errors

#: Longer than any test takes: a pause that ends early was ended by a push.
LONG = 300.0


@pytest.fixture(params=["url", "websocket_url"])
def client(
    environment: dict[str, str],
    make_client: Callable[..., Client],
    server: Any,
    request: pytest.FixtureRequest,
) -> Client:
    """A client of HTTP, which finds the WebSocket, and one of WebSocket."""
    options = {"os_project_id": environment["OS_QUEUES_PROJECT_ID"]}
    auth = {"backend": "noauth", "options": options}
    return make_client(getattr(server, request.param), auth_opts=auth)


@pytest.fixture
def pause(client: Client) -> Iterator[PushPause]:
    with PushPause(client.queue("q")) as listening:
        yield listening


def test_a_message_ends_a_pause(zaqar: Run, pause: PushPause) -> None:
    assert pause.wait(0) is False
    zaqar("message", "post", "q", "1")
    assert pause.wait(LONG) is True


def test_a_message_of_another_queue_does_not(zaqar: Run, pause: PushPause) -> None:
    zaqar("message", "post", "other", "1")
    assert pause.wait(0.05) is False
    zaqar("message", "post", "q", "1")
    assert pause.wait(LONG) is True


def test_the_subscription_ends_with_the_command(
    zaqar: Run, process: Run, server: Any
) -> None:
    zaqar("message", "post", "q", "1")
    tail = ["message", "tail", "q", "--follow", "--timeout", "0"]
    wire = {"OS_QUEUES_ENDPOINT": server.websocket_url}
    assert process("zaqar", *tail, **wire).status == 0
    left = ["subscription", "list", "q", "-f", "json"]
    # The service hears of the end of a connection a moment later.
    assert any(zaqar(*left).data == [] for _ in range(200))


def test_a_connection_that_broke_ends_a_pause_when_it_is_back(
    server_factory: Callable[..., Any], make_client: Callable[..., Client]
) -> None:
    own = server_factory()
    with PushPause(make_client(own.websocket_url).queue("q")) as pause:
        own.kill()
        own.start()
        assert pause.wait(LONG) is True


def test_only_a_service_of_websocket_surely_pushes(
    make_client: Callable[..., Client], server: Any
) -> None:
    assert PushPause.serves(make_client(server.websocket_url))
    assert not PushPause.serves(make_client(server.url))


def test_a_service_that_lets_nobody_listen_is_asked_instead(
    server_factory: Callable[..., Any], zaqar: Run
) -> None:
    own = server_factory(options="[transport]\nsubscriber_types = mailto")
    word = ["--os-queues-endpoint", own.websocket_url]
    (only,) = zaqar(*word, "message", "post", "q", "1", "-f", "value").out.split()
    tail = ["message", "tail", "q", "--follow", "--timeout", "0.1", "-f", "value"]
    done = zaqar(*word, *tail, "-c", "ID")
    assert (done.status, done.out) == (0, f"{only}\n")
    assert "must be supported in the list" in done.err
    assert done.err.startswith("The service does not push here; polling: ")


def test_a_tail_is_pushed_each_message_once_also_over_a_restart(
    server_factory: Callable[..., Any], zaqar: Run, process: Any
) -> None:
    own = server_factory()
    word = ["--os-queues-endpoint", own.url]
    post = [*word, "message", "post", "q", "-f", "value"]
    ids = zaqar(*post, "1").out.split()
    tail = ["message", "tail", "q", "--follow", "--limit", "4", "-f", "value"]
    done: list[Any] = []
    thread = threading.Thread(
        target=lambda: done.append(process("zaqar", *word, *tail, "-c", "ID"))
    )
    thread.start()
    ids += zaqar(*post, "2").out.split()
    # The command listens by now, or finds the rest by itself.
    own.kill()
    own.start()
    ids += zaqar(*post, "3").out.split()
    ids += zaqar(*post, "4").out.split()
    thread.join()
    assert done[0].out.split() == ids


def test_a_service_that_goes_away_before_a_tail_listens_is_asked_until_it_is_back(
    server_factory: Callable[..., Any], zaqar: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = server_factory()
    word = ["--os-queues-endpoint", own.websocket_url]
    post = [*word, "message", "post", "q", "-f", "value"]
    ids = zaqar(*post, "1").out.split()

    def listen(*_queues: str, **_how: Any) -> Any:
        own.kill()
        own.start()
        ids.extend(zaqar(*post, "2").out.split())
        raise errors.ConnectionFailed(description="away")

    monkeypatch.setattr(Client, "listen", listen)
    tail = ["message", "tail", "q", "--follow", "--limit", "2", "-f", "value"]
    done = zaqar(*word, *tail, "-c", "ID")
    assert done.out.split() == ids
    assert len(ids) == 2
